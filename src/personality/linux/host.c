/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host: see host.h. This one is for x86-64.
 *
 * The assembly below marks two ranges of instructions with labels. A signal handler compares the
 * interrupted instruction pointer with them:
 *
 * - [syscall_begin, syscall_end) looks at the flag of pending signals and enters the kernel. A signal
 *   that comes in between must not be forgotten while the call blocks, so the handler moves the
 *   instruction pointer to syscall_restart. The kernel itself moves it back to the SYSCALL
 *   instruction, which is in the range too, when it wants the call to be restarted after the handler.
 *   [compat_begin, compat_end) is the same for the calls of 32-bit programs.
 * - [copy_begin, copy_end) touches guest memory. A fault there continues at copy_fault.
 */
#include "personality/linux/host.h"

#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "base/macros.h"
#include "personality/linux/memory.h"

#ifndef __x86_64__
#error "the Linux personality has no code for this host processor"
#endif

int64_t host_syscall_stub(const _Atomic uint32_t *pending, const uint64_t *number_and_arguments);
int64_t host_compat_stub(const _Atomic uint32_t *pending, const uint64_t *number_and_arguments);
int64_t host_compat_probe(void);
int64_t host_copy(void *to, const void *from, size_t length);
int64_t host_strnlen(const char *string, size_t max);
int64_t host_clone_call(int64_t number, const uint64_t *arguments);
void host_restorer(void);
extern const char host_syscall_begin[], host_syscall_end[], host_syscall_restart[];
extern const char host_compat_begin[], host_compat_end[], host_compat_restart[];
extern const char host_copy_begin[], host_copy_end[], host_copy_fault[];

_Static_assert(LINUX_RESTART == -512 && EFAULT == 14, "numbers in the assembly");

__asm__(".text\n"
        ".globl host_syscall_stub, host_syscall_begin, host_syscall_end, host_syscall_restart\n"
        ".hidden host_syscall_stub, host_syscall_begin, host_syscall_end, host_syscall_restart\n"
        ".type host_syscall_stub, @function\n"
        "host_syscall_stub:\n"
        "    mov %rdi, %rcx\n"
        "    mov (%rsi), %rax\n"
        "    mov 8(%rsi), %rdi\n"
        "    mov 24(%rsi), %rdx\n"
        "    mov 32(%rsi), %r10\n"
        "    mov 40(%rsi), %r8\n"
        "    mov 48(%rsi), %r9\n"
        "    mov 16(%rsi), %rsi\n"
        "host_syscall_begin:\n"
        "    cmpl $0, (%rcx)\n"
        "    jne host_syscall_restart\n"
        "    syscall\n"
        "host_syscall_end:\n"
        "    ret\n"
        "host_syscall_restart:\n"
        "    mov $-512, %rax\n"
        "    ret\n"
        ".size host_syscall_stub, . - host_syscall_stub\n"

        ".globl host_compat_stub, host_compat_begin, host_compat_end, host_compat_restart\n"
        ".hidden host_compat_stub, host_compat_begin, host_compat_end, host_compat_restart\n"
        ".type host_compat_stub, @function\n"
        "host_compat_stub:\n"
        "    push %rbx\n"
        "    push %rbp\n"
        "    mov %rdi, %r8\n"
        "    mov (%rsi), %eax\n"
        "    mov 8(%rsi), %ebx\n"
        "    mov 16(%rsi), %ecx\n"
        "    mov 24(%rsi), %edx\n"
        "    mov 40(%rsi), %edi\n"
        "    mov 48(%rsi), %ebp\n"
        "    mov 32(%rsi), %esi\n"
        "host_compat_begin:\n"
        "    cmpl $0, (%r8)\n"
        "    jne host_compat_restart\n"
        "    int $0x80\n"
        "host_compat_end:\n"
        "1:  pop %rbp\n"
        "    pop %rbx\n"
        "    ret\n"
        "host_compat_restart:\n"
        "    mov $-512, %rax\n"
        "    jmp 1b\n"
        ".size host_compat_stub, . - host_compat_stub\n"

        ".globl host_copy, host_strnlen, host_copy_begin, host_copy_end, host_copy_fault\n"
        ".globl host_compat_probe\n"
        ".hidden host_copy, host_strnlen, host_compat_probe\n"
        ".hidden host_copy_begin, host_copy_end, host_copy_fault\n"
        ".type host_copy, @function\n"
        "host_copy_begin:\n"
        "host_copy:\n"
        "    mov %rdx, %rcx\n"
        "    cmp $8, %rcx\n"
        "    je 1f\n"
        "    cmp $4, %rcx\n"
        "    je 2f\n"
        "    rep movsb\n"
        "    xor %eax, %eax\n"
        "    ret\n"
        "1:  mov (%rsi), %rax\n"
        "    mov %rax, (%rdi)\n"
        "    xor %eax, %eax\n"
        "    ret\n"
        "2:  mov (%rsi), %eax\n" /* one access each: the guest may use futexes on it */
        "    mov %eax, (%rdi)\n"
        "    xor %eax, %eax\n"
        "    ret\n"
        ".size host_copy, . - host_copy\n"
        ".type host_strnlen, @function\n"
        "host_strnlen:\n"
        "    xor %eax, %eax\n"
        "3:  cmp %rsi, %rax\n"
        "    jae 4f\n"
        "    cmpb $0, (%rdi,%rax)\n"
        "    je 4f\n"
        "    inc %rax\n"
        "    jmp 3b\n"
        "4:  ret\n"
        ".type host_compat_probe, @function\n"
        "host_compat_probe:\n"
        "    mov $20, %eax\n" /* getpid */
        "    int $0x80\n"
        "    ret\n"
        ".size host_compat_probe, . - host_compat_probe\n"
        "host_copy_end:\n"
        "host_copy_fault:\n"
        "    mov $-14, %rax\n"
        "    ret\n"
        ".size host_strnlen, . - host_strnlen\n"

        ".globl host_clone_call\n"
        ".hidden host_clone_call\n"
        ".type host_clone_call, @function\n"
        "host_clone_call:\n" /* (number, arguments[5]) */
        "    mov %rdi, %rax\n"
        "    mov %rsi, %r9\n"
        "    mov (%r9), %rdi\n"
        "    mov 8(%r9), %rsi\n"
        "    mov 16(%r9), %rdx\n"
        "    mov 24(%r9), %r10\n"
        "    mov 32(%r9), %r8\n"
        "    mov 40(%r9), %r9\n" /* nonzero: the child has a new stack */
        "    syscall\n"
        "    test %rax, %rax\n"
        "    jnz 5f\n"
        "    test %r9, %r9\n"
        "    jz 5f\n"
        "    xor %ebp, %ebp\n"
        "    pop %rax\n"
        "    pop %rdi\n"
        "    call *%rax\n"
        "    hlt\n"
        "5:  ret\n"
        ".size host_clone_call, . - host_clone_call\n"
        ".globl host_exit_task\n"
        ".hidden host_exit_task\n"
        ".type host_exit_task, @function\n"
        "host_exit_task:\n"
        "    mov $60, %eax\n" /* exit */
        "    xor %edi, %edi\n"
        "    syscall\n"
        "    jmp host_exit_task\n"
        ".size host_exit_task, . - host_exit_task\n"

        ".globl host_restorer\n"
        ".hidden host_restorer\n"
        ".type host_restorer, @function\n"
        "host_restorer:\n"
        "    mov $15, %eax\n" /* rt_sigreturn */
        "    syscall\n"
        ".size host_restorer, . - host_restorer\n");

int64_t linux_host_syscall(struct linux_thread *thread, long number, uint64_t a, uint64_t b, uint64_t c,
                           uint64_t d, uint64_t e, uint64_t f)
{
    const uint64_t arguments[7] = {(uint64_t)number, a, b, c, d, e, f};
    return host_syscall_stub(&thread->signal_pending, arguments);
}

int64_t linux_plain_syscall(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                            uint64_t f)
{
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    int64_t result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

int64_t linux_compat_syscall(struct linux_thread *thread, long number, const uint64_t a[6])
{
    const uint64_t arguments[7] = {(uint64_t)number, a[0], a[1], a[2], a[3], a[4], a[5]};
    return host_compat_stub(&thread->signal_pending, arguments);
}

int64_t linux_plain_compat_syscall(long number, const uint64_t a[6])
{
    static const _Atomic uint32_t never;
    const uint64_t arguments[7] = {(uint64_t)number, a[0], a[1], a[2], a[3], a[4], a[5]};
    int64_t result;
    do /* a signal that comes just before is no reason not to make it */
        result = host_compat_stub(&never, arguments);
    while (result == LINUX_RESTART);
    return result;
}

bool host_has_compat(void)
{
    return host_compat_probe() > 0;
}

int64_t host_clone(const struct host_clone *arguments, bool extended, void (*run)(void *), void *argument)
{
    struct host_clone all = *arguments;
    if (run) {
        uint64_t *top = (uint64_t *)(all.stack + all.stack_size); /* a multiple of 16 */
        *--top = (uintptr_t)argument;
        *--top = (uintptr_t)run;
        all.stack_size -= 2 * sizeof *top;
    }
    if (extended) {
        const uint64_t call[6] = {(uintptr_t)&all, sizeof all, 0, 0, 0, run != NULL};
        return host_clone_call(SYS_clone3, call);
    }
    const uint64_t stack = run ? all.stack + all.stack_size : 0;
    /* The id of a pidfd and that of the parent share an argument. */
    const uint64_t parent = all.parent_tid ? all.parent_tid : all.pidfd;
    const uint64_t call[6] = {
        all.flags | all.exit_signal, stack, parent, all.child_tid, all.tls, run != NULL};
    return host_clone_call(SYS_clone, call);
}

uint64_t host_thread_storage(void)
{
    uint64_t self;
    __asm__("mov %%fs:0, %0" : "=r"(self)); /* the psABI: the first word points to itself */
    return self;
}

void host_restart_syscall(void *ucontext)
{
    greg_t *ip = &((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
    if (*ip >= (greg_t)(uintptr_t)host_syscall_begin && *ip < (greg_t)(uintptr_t)host_syscall_end)
        *ip = (greg_t)(uintptr_t)host_syscall_restart;
    if (*ip >= (greg_t)(uintptr_t)host_compat_begin && *ip < (greg_t)(uintptr_t)host_compat_end)
        *ip = (greg_t)(uintptr_t)host_compat_restart;
}

bool host_recover_copy(void *ucontext)
{
    greg_t *ip = &((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
    if (*ip < (greg_t)(uintptr_t)host_copy_begin || *ip >= (greg_t)(uintptr_t)host_copy_end)
        return false;
    *ip = (greg_t)(uintptr_t)host_copy_fault;
    return true;
}

uint64_t host_instruction(const void *ucontext)
{
    return (uint64_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
}

int host_sigaction(int signal, const struct host_sigaction *action, struct host_sigaction *old)
{
    struct host_sigaction copy;
    if (action) {
        copy = *action;
        copy.flags |= 0x04000000; /* SA_RESTORER */
        copy.restorer = (uintptr_t)host_restorer;
    }
    return (int)linux_plain_syscall(SYS_rt_sigaction, (uint64_t)signal, (uintptr_t)(action ? &copy : NULL),
                                    (uintptr_t)old, 8, 0, 0);
}

int guest_read(void *to, uint64_t from, size_t length)
{
    return (int)host_copy(to, (const void *)from, length);
}

int guest_write(uint64_t to, const void *from, size_t length)
{
    const struct linux_thread *thread = linux_current();
    int code = (int)host_copy((void *)to, from, length);
    if (UNLIKELY(code < 0) && thread && linux_memory_unwatch(thread->process, to, length))
        code = (int)host_copy((void *)to, from, length);
    return code;
}

ssize_t guest_strlen(uint64_t address, size_t max)
{
    int64_t length = host_strnlen((const char *)address, max);
    if (length >= 0 && (size_t)length == max)
        return -ENAMETOOLONG;
    return length;
}

ssize_t guest_read_string(char *buffer, size_t size, uint64_t address)
{
    ssize_t length = guest_strlen(address, size);
    if (length < 0)
        return length;
    if (guest_read(buffer, address, (size_t)length) < 0)
        return -EFAULT;
    buffer[length] = '\0'; /* another thread of the guest may have changed it meanwhile */
    return length;
}
