/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run: starts a program in this process, and the loop of each of its threads. See linux.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/macros.h"
#include "personality/linux/debug.h"
#include "personality/linux/memory.h"
#include "personality/linux/other.h"
#include "personality/linux/proc.h"
#include "personality/linux/session.h"
#include "personality/linux/shell.h"
#include "personality/linux/signal.h"
#include "personality/linux/start.h"
#include "personality/linux/thread.h"

/* Where position-independent programs go, or up to 1 TiB above that: two thirds up of half the address space,
 * away from the host's own programs, its mmap() area and the address ranges that the sanitizers' shadows
 * need. */
#define PROGRAM_HINT 0x2aaaaaaa0000ull
/* The same for those with 32-bit addresses, and their memory. */
#define LOW_PROGRAM_HINT 0x56555000ull
#define LOW_MAP_TOP      0xf8000000ull
#define LOW_CHOICES      2048u
/* Below the host's own mmap() area, in whole large pages. */
#define LAYOUT_LOW     0x7d0000000000ull
#define LAYOUT_STEP    (2ull << 20)
#define LAYOUT_CHOICES (1ull << 19)
/* The name that programs see comes from here, as after execve(). */
#define COMMAND_SIZE 16

/* -- the loop of a thread -------------------------------------------------------------------------------- */

/* After PR_SET_TAGGED_ADDR_CTRL the kernel ignores tags of pointers that it is given, except for places where
 * it is to map something. Pointers in the guest's memory are the guest's matter. */
static void untag_arguments(const struct linux_thread *thread, const struct linux_syscall *syscall,
                            uint64_t a[6])
{
    const char *format = syscall->format + (*syscall->format == '!');
    bool places = !strcmp(syscall->name, "mmap") || !strcmp(syscall->name, "brk");
    bool moves = !strcmp(syscall->name, "mremap");
    for (unsigned i = 0; i < 6 && format[i] && format[i] != '>'; i++) {
        bool pointer = strchr("pswSrvyXEtOBHDIKYLGZelbRb", format[i]) && format[i] != 'R';
        if (pointer && !(places && i == 0) && !(moves && i == 4))
            a[i] = linux_untag(thread->process->arch->address_tag, a[i]);
    }
}

static void serve_syscall(struct linux_thread *thread)
{
    const struct linux_arch *arch = thread->process->arch;
    struct linux_call call;
    call.number = arch->syscall_arguments(thread->cpu, call.arguments);

    if (thread->signal_pending) { /* came before the call */
        arch->restart(thread->cpu, &call);
        return;
    }
    const struct linux_syscall *syscall = linux_syscall_by_number(arch->calls, call.number);
    if (UNLIKELY(thread->tagged_addresses) && syscall)
        untag_arguments(thread, syscall, call.arguments);
    bool trace = thread->process->trace & LINUX_TRACE_SYSCALL;
    if (trace)
        linux_trace_enter(thread, syscall, call.arguments);
    thread->keep_result = false;
    call.result = syscall && syscall->run ? syscall->run(thread, call.arguments) : -ENOSYS;
    if (UNLIKELY(call.result == -EFAULT) && linux_memory_unwatch(thread->process, 0, GUEST_ADDRESS_END))
        call.result = syscall->run(thread, call.arguments);
    if (trace)
        linux_trace_leave(thread, syscall, call.arguments, call.result);

    if (thread->keep_result && call.result != LINUX_RESTART)
        return;
    if (call.result == LINUX_RESTART || thread->signal_pending)
        linux_signals_deliver(thread, &call);
    else
        arch->set_result(thread->cpu, call.result);
    thread->signals->has_temporary_mask = false;
}

/*
 * A page that could not be written because there are translations of it can be now. The instruction may be on
 * that page itself, so it is executed before it is translated again. False: that was not the reason.
 */
static bool code_changes(struct linux_thread *thread)
{
    if (!linux_memory_unwatch(thread->process, thread->cpu->exit_payload, 1))
        return false;
    thread->stepping = true;
    enum translator_exit exit = translator_step(thread->cpu, 0);
    thread->stepping = false;
    if (exit != TRANSLATOR_NONE)
        linux_thread_serve(thread, exit);
    return true;
}

/* The CPU reports where the access was; what kind of fault the kernel would see in it is decided here. */
static void serve_fault(struct linux_thread *thread)
{
    const struct linux_arch *arch = thread->process->arch;
    const struct translator_cpu *cpu = thread->cpu;

    /* The host says this of addresses beyond its own, without saying which. The guest's processor may ignore
     * what is wrong with it. */
    if (cpu->fault_info.code == SI_KERNEL && arch->address_tag) {
        enum translator_exit exit = translator_step(thread->cpu, arch->address_tag);
        if (exit != TRANSLATOR_FAULT) {
            linux_thread_serve(thread, exit);
            return;
        }
    }
    if (cpu->fault_info.write && code_changes(thread))
        return;
    int code = cpu->fault_info.code > 0 ? cpu->fault_info.code : SEGV_MAPERR;
    uint64_t address = cpu->exit_payload;
    if (code == SEGV_ACCERR && cpu->fault_info.signal == SIGSEGV &&
        !linux_memory_is_guest(thread->process, address, 1)) /* visor's */
        code = SEGV_MAPERR;
    if (arch->note_fault(thread, code, address, false))
        linux_force_signal(thread, cpu->fault_info.signal == SIGBUS ? SIGBUS : SIGSEGV, code, address);
}

static void serve_fetch_fault(struct linux_thread *thread, uint64_t pc)
{
    const struct linux_arch *arch = thread->process->arch;
    int signal = SIGBUS, code = BUS_ADRALN;
    uint64_t address = thread->cpu->exit_payload; /* behind pc if the instruction only begins there */
    uint64_t untagged = linux_untag(arch->address_tag, pc);
    if (untagged != pc) {
        arch->set_pc(thread->cpu, untagged);
        return;
    }
    if (arch->serve_fetch && arch->serve_fetch(thread, pc))
        return;
    if (!(pc & ((1u << arch->isa->pc_shift) - 1)))
        signal = linux_memory_fetch_fault(thread->process, address, &code);
    if (signal && arch->note_fault(thread, code, address, true))
        linux_force_signal(thread, signal, code, address);
}

void linux_thread_serve(struct linux_thread *thread, enum translator_exit exit)
{
    const struct linux_arch *arch = thread->process->arch;
    switch (exit) {
    case TRANSLATOR_SYSCALL: serve_syscall(thread); break;
    case TRANSLATOR_DIVIDE:
    case TRANSLATOR_FLOAT:
    case TRANSLATOR_EXCEPTION:
    case TRANSLATOR_TARGET:
    case TRANSLATOR_UNDEFINED:
    case TRANSLATOR_BREAKPOINT:
    case TRANSLATOR_ALIGNMENT: arch->raise(thread, exit); break;
    case TRANSLATOR_EMULATE:
        if (arch->emulates_syscall && arch->emulates_syscall(thread))
            serve_syscall(thread);
        else
            arch->raise(thread, exit);
        break;
    case TRANSLATOR_FAULT: serve_fault(thread); break;
    case TRANSLATOR_FETCH_FAULT: serve_fetch_fault(thread, arch->pc(thread->cpu)); break;
    case TRANSLATOR_NO_MEMORY: linux_die(SIGKILL); /* as the kernel does it */
    default: break;                                /* interrupted: the signal is delivered by the loop */
    }
}

void linux_thread_run(struct linux_thread *thread)
{
    while (!thread->exiting) {
        if (UNLIKELY(thread->under_debugger))
            linux_debug_turn(thread);
        else if (thread->signal_pending)
            linux_signals_deliver(thread, NULL);
        else if (UNLIKELY(thread->steps))
            thread->process->arch->step(thread);
        else
            linux_thread_serve(thread, translator_run(thread->cpu));
    }
}

/* -- start ----------------------------------------------------------------------------------------------- */

/* Memory that a program asks for without saying where goes below a random address. Processes that share
 * translations have it in common: the same program finds its libraries, and itself, at the same addresses
 * again. */
static uint64_t choose_layout(uint64_t inherited)
{
    uint64_t random = 0;
    int64_t persona = linux_plain_syscall(SYS_personality, 0xffffffff, 0, 0, 0, 0, 0);
    if (persona >= 0 && persona & ADDR_NO_RANDOMIZE)
        return LAYOUT_LOW;
    if (inherited)
        return inherited;
    getrandom(&random, sizeof random, GRND_NONBLOCK);
    return LAYOUT_LOW + random % LAYOUT_CHOICES * LAYOUT_STEP;
}

/* The session's choice, where all addresses must be low ones. */
static uint64_t low_choice(const struct linux_process *process)
{
    return (process->layout - LAYOUT_LOW) / LAYOUT_STEP % LOW_CHOICES * GUEST_PAGE_SIZE;
}

static uint64_t map_top(const struct linux_process *process)
{
    return linux_is_32bit(process) ? LOW_MAP_TOP - low_choice(process) : process->layout;
}

/* Where to put a position-independent program. */
static uint64_t program_hint(const struct linux_process *process)
{
    if (linux_is_32bit(process))
        return LOW_PROGRAM_HINT + low_choice(process);
    return PROGRAM_HINT + (process->layout - LAYOUT_LOW) % (LAYOUT_CHOICES * LAYOUT_STEP);
}

static bool is_debugged(const struct linux_start *start)
{
    return start->debug.listen_fd >= 0 || start->debug.fd >= 0;
}

static int new_translator(struct linux_process *process, const struct linux_start *start, struct error *error)
{
    const struct translator_options options = {
        .trace = (start->trace & LINUX_TRACE_GUEST ? TRANSLATOR_TRACE_GUEST : 0) |
                 (start->trace & LINUX_TRACE_IR ? TRANSLATOR_TRACE_IR : 0) |
                 (start->trace & LINUX_TRACE_HOST ? TRANSLATOR_TRACE_HOST : 0),
        .trace_stream = start->trace_fd >= 0 ? fdopen(start->trace_fd, "w") : NULL,
        .interpret = start->interpret,
    };
    const struct translator_callbacks callbacks = {.fetch = is_debugged(start) ? linux_debug_fetch
                                                                               : linux_memory_fetch,
                                                   .context = process,
                                                   .lasting = linux_memory_is_lasting};
    return translator_new(&process->translator, process->arch->isa, &options, &callbacks, error);
}

/* Whose program it is; arm64's is what anything else is then said not to be. */
static const struct linux_arch *arch_of(const struct linux_start *start)
{
    uint8_t head[32];
    ssize_t size = pread(start->program_fd, head, sizeof head, 0);
    const struct linux_arch *arch =
        linux_arch_for(size > 0 ? elf_machine_of(head, (size_t)size) : -1, start->translate_host);
    return arch ? arch : &linux_arm64;
}

static struct linux_process *new_process(const struct linux_start *start, struct error *error)
{
    struct linux_process *process = calloc(1, sizeof *process);
    if (!process) {
        error_set(error, -ENOMEM, "out of memory");
        return NULL;
    }
    process->arch = arch_of(start);
    process->translate_host = start->translate_host;
    process->trace = start->trace;
    process->interpret = start->interpret;
    process->by_binfmt = start->by_binfmt;
    process->space = process;
    process->thread_count = 1;
    process->own_fds = process->own_fd_numbers;
    process->own_fds[OWN_VISOR] = start->visor_fd;
    process->own_fds[OWN_EXE] = start->program_fd;
    process->own_fds[OWN_TRACE] = start->trace_fd;
    process->own_fds[OWN_STORE] = process->own_fds[OWN_DEBUG_LISTEN] = process->own_fds[OWN_DEBUG] = -1;
    process->session_failed = is_debugged(start); /* blocks that end at a breakpoint are for nobody else */
    linux_note_own_file(process);
    process->layout = choose_layout(start->layout);
    process->map_top = map_top(process);
    if (new_translator(process, start, error) < 0)
        return NULL;
    linux_session_join(process, start->store_fd);
    return process;
}

/* The path by which the kernel knows the file; without /proc the one that was given. */
static char *path_of(int fd, const char *fallback)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return strdup(fallback);
    path[length] = '\0';
    return strdup(path);
}

static int load_interpreter(struct linux_process *process, int program_fd, const struct elf_image *program,
                            uint64_t *base, uint64_t *entry, struct error *error)
{
    char path[PATH_MAX];
    struct elf_image image;

    int code = elf_read_interpreter(program_fd, program, path, sizeof path, error);
    if (code < 0)
        return code;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "cannot open its loader %s: %s", path, strerror(errno));
    code = elf_read(fd, process->arch->elf_machine, &image, error);
    if (code == 0)
        code = elf_load(process, fd, &image, linux_is_32bit(process) ? 0 : process->layout, base, error);
    close(fd);
    if (code < 0) {
        error_prefix(error, "%s: ", path);
        return code;
    }
    *entry = image.entry + *base;
    *base += image.low; /* AT_BASE: where its first segment is */
    return 0;
}

static int load_program(struct linux_process *process, const struct linux_start *start, uint64_t *entry,
                        uint64_t *sp, struct error *error)
{
    struct linux_layout layout = {
        .exec_name = start->exec_name, .arguments = start->arguments, .environment = start->environment};
    struct elf_image image;
    uint64_t bias;

    int code = elf_read(start->program_fd, process->arch->elf_machine, &image, error);
    if (code == 0)
        code = elf_load(process, start->program_fd, &image, program_hint(process), &bias, error);
    if (code < 0)
        return code;
    process->brk_start = process->brk_end = image.high + bias;
    process->brk_limit = process->arch->address_end - GUEST_PAGE_SIZE;

    layout.entry = *entry = image.entry + bias;
    layout.program_headers = image.program_headers ? image.program_headers + bias : 0;
    layout.program_header_count = image.program_header_count;
    layout.program_header_size = image.program_header_size;
    layout.executable_stack = image.executable_stack;
    if (image.interpreter_size)
        code = load_interpreter(process, start->program_fd, &image, &layout.interpreter_base, entry, error);
    if (code == 0)
        code = linux_vdso_new(process, error);
    if (code == 0)
        code = linux_stack_new(process, &layout, sp, error);
    return code;
}

static void set_command(const char *exec_name)
{
    char command[COMMAND_SIZE];
    const char *slash = strrchr(exec_name, '/');
    snprintf(command, sizeof command, "%s", slash ? slash + 1 : exec_name);
    prctl(PR_SET_NAME, command);
}

static void leader_main(unsigned high, unsigned low)
{
    struct linux_thread *thread = (struct linux_thread *)((uintptr_t)high << 32 | low);

    linux_signals_enter(thread);
    linux_thread_run(thread);
    linux_thread_finish(thread);
}

/* Runs the first thread on a stack of visor's own: the kernel's is as small as the guest has made its limit.
 * Returns only if that cannot be. */
static int run_leader(struct linux_thread *thread, struct error *error)
{
    const unsigned high = (unsigned)((uintptr_t)thread >> 32), low = (unsigned)(uintptr_t)thread;
    ucontext_t context;

    void *stack =
        mmap(NULL, LINUX_HOST_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED || mprotect(stack, GUEST_PAGE_SIZE, PROT_NONE) < 0 || getcontext(&context) < 0)
        return error_set(error, -ENOMEM, "cannot make a stack: out of memory");
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = LINUX_HOST_STACK;
    context.uc_link = NULL;
    makecontext(&context, (void (*)(void))leader_main, 2, high, low);
    setcontext(&context);
    return error_set(error, -errno, "cannot change to another stack: %s", strerror(errno));
}

int linux_start(const struct linux_start *start, struct error *error)
{
    uint64_t entry, sp;
    struct linux_process *process = new_process(start, error);
    if (!process)
        return error->code;
    struct linux_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return error_set(error, -ENOMEM, "out of memory");
    process->exe_path = path_of(start->program_fd, start->path);
    thread->process = process;
    thread->leader = true;
    thread->tid = gettid();
    thread->lock_number = lock_self();
    linux_plain_syscall(SYS_set_tid_address, 0, 0, 0, 0, 0, 0); /* libc's; from now on it is the guest's */

    int code = translator_cpu_new(process->translator, &thread->cpu, error);
    if (code < 0)
        return code;
    thread->cpu->owner = thread;
    thread->under_debugger = is_debugged(start);
    if (!process->exe_path || linux_memory_new(process) < 0 || linux_shells_new(process) < 0 ||
        linux_signals_new_process(process) < 0 || linux_signals_new_thread(thread, NULL) < 0)
        return error_set(error, -ENOMEM, "out of memory");

    if (linux_is_32bit(process) && !host_has_compat())
        return error_set(error, -ENOSYS,
                         "cannot run %s: the host's kernel has no system calls for 32-bit programs",
                         start->path);
    code = load_program(process, start, &entry, &sp, error);
    if (code < 0) {
        error_prefix(error, "%s: ", start->path);
        return code;
    }
    if (start->started_fd > 0)
        close(start->started_fd);
    if (is_debugged(start))
        code = linux_debug_new(process, &start->debug, error);
    if (code < 0)
        return code;
    set_command(start->exec_name);
    linux_proc_publish(process, sp);
    linux_other_show(process);
    process->arch->start(thread->cpu, entry, sp);
    return run_leader(thread, error);
}
