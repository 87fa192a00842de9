/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arch: what the Linux personality must know about a guest's processor: system call convention, program
 * start, signal frames. One constant struct per guest. Private to this folder.
 */
#ifndef VISOR_PERSONALITY_LINUX_ARCH_H
#define VISOR_PERSONALITY_LINUX_ARCH_H

#include "personality/linux/process.h"

/* A signal on its way to a guest handler. */
struct linux_signal_frame {
    siginfo_t info;
    uint64_t handler;
    uint64_t flags;                  /* SA_* of the guest's action */
    uint64_t restorer;               /* meaningful with SA_RESTORER */
    uint64_t mask;                   /* blocked before the handler, restored after it */
    uint64_t sp;                     /* where the frame goes: the interrupted or the alternate stack's top */
    uint64_t stack_base, stack_size; /* sigaltstack's values, to be saved */
    int32_t stack_flags;
};

/* What the shared object that the kernel provides has in it: vdso.c makes it. */
struct linux_vdso_symbol {
    const char *name;
    uint16_t start, size; /* bytes of the code */
};

struct linux_vdso {
    const char *version; /* of all symbols */
    const struct linux_vdso_symbol *symbols;
    unsigned symbol_count;
    const void *code;
    uint16_t code_size;
    uint16_t frameless_size;                 /* the code begins with this much that leaves the stack alone */
    uint16_t trampoline;                     /* where signal handlers return to: calls rt_sigreturn */
    uint8_t return_register, stack_register; /* DWARF's numbers */
    uint8_t return_address_size; /* on the stack, at a function's begin; 0: it is in the register */
};

/* A system call that has just been made, in case a signal interrupted it. */
struct linux_call {
    uint64_t number;
    uint64_t arguments[6];
    int64_t result;
};

struct linux_arch {
    const struct guest_isa *isa;
    uint16_t elf_machine;
    const char *machine;  /* uname -m, AT_PLATFORM */
    uint64_t address_end; /* of the guest's addresses: at most GUEST_ADDRESS_END */
    uint8_t word_size;    /* bytes of a pointer, and of C's long */
    const struct linux_syscall_table *calls;
    bool coherent_code; /* the processor sees changed code at once */
    bool host_abi; /* numbers and structures are the host's; those of 32-bit programs if words have 4 bytes */
    uint64_t (*hwcap)(void);  /* AT_HWCAP */
    uint64_t (*hwcap2)(void); /* AT_HWCAP2; NULL: 0 */
    uint32_t minimum_signal_stack;
    const struct linux_vdso *vdso; /* NULL: none */
    /* Where there is none: maps the code that signal handlers return to. NULL: they bring it along. */
    int (*map_trampolines)(struct linux_process *process);
    const struct linux_debug_arch *debug; /* debug.h */
    uint64_t address_tag;                 /* bits of addresses that the processor ignores */

    /* /proc/cpuinfo */
    void (*write_cpuinfo)(FILE *stream);

    /* A fresh CPU is made ready to run from `entry`. */
    void (*start)(struct translator_cpu *cpu, uint64_t entry, uint64_t sp);
    /* The registers of a new thread or process: those of its creator, with result 0. */
    void (*copy)(struct translator_cpu *to, struct translator_cpu *from);
    void (*set_sp)(struct translator_cpu *cpu, uint64_t sp);
    /* What clone() gives as `tls`. If that is not a value but the address of one, check_thread_pointer (else
     * NULL) has said 0 before: it gives a negative errno for what clone() is to fail for. */
    void (*set_thread_pointer)(struct translator_cpu *cpu, uint64_t value);
    int (*check_thread_pointer)(uint64_t value);

    uint64_t (*sp)(const struct translator_cpu *cpu);
    uint64_t (*pc)(const struct translator_cpu *cpu);
    void (*set_pc)(struct translator_cpu *cpu, uint64_t pc);

    /* Of a CPU that stopped for TRANSLATOR_SYSCALL: the number. `a` has six elements. */
    uint64_t (*syscall_arguments)(const struct translator_cpu *cpu, uint64_t *a);
    void (*set_result)(struct translator_cpu *cpu, int64_t result);
    /* Makes it execute the system call instruction again, as it was at the first try. */
    void (*restart)(struct translator_cpu *cpu, const struct linux_call *call);

    /* Has it stopped for TRANSLATOR_EMULATE to make a system call? It is then behind that instruction. NULL:
     * it never does. */
    bool (*emulates_syscall)(struct linux_thread *thread);

    /* What the processor raises when it stops for anything but a system call and what has to do with memory,
     * or executes what is left to it (TRANSLATOR_EMULATE). */
    void (*raise)(struct linux_thread *thread, enum translator_exit exit);
    /* With thread->steps: executes one instruction, and what follows from it. NULL: never. */
    void (*step)(struct linux_thread *thread);
    /* Before the signal of an access or fetch that failed: takes note of it for the frame. `code` is an
     * SI_ code; false: it was raised in another way. */
    bool (*note_fault)(struct linux_thread *thread, int code, uint64_t address, bool fetch);
    /* A fetch at `pc` that failed: true if that was no fault. NULL: it always is one. */
    bool (*serve_fetch)(struct linux_thread *thread, uint64_t pc);

    /* Builds the frame of a handler and makes the CPU enter it: 0 or -EFAULT. */
    int (*push_frame)(struct linux_thread *thread, const struct linux_signal_frame *frame);
    /* rt_sigreturn: restores the registers; fills mask and stack_ fields. 0, -EFAULT or -EINVAL. */
    int (*pop_frame)(struct linux_thread *thread, struct linux_signal_frame *frame);

    /* clone()'s arguments in the order flags, stack, parent_tid, child_tid, tls. */
    void (*clone_arguments)(const uint64_t *a, uint64_t *ordered);
};

/* The address without its tag. The processor extends the bit below the tag: such addresses are the kernel's.
 */
static inline uint64_t linux_untag(uint64_t tag, uint64_t address)
{
    return address & (tag & -tag) >> 1 ? address : address & ~tag;
}

extern const struct linux_arch linux_arm64, linux_amd64, linux_i386;

/* Programs with 32-bit addresses; the host's own. */
static inline bool linux_is_32bit(const struct linux_process *process)
{
    return process->arch->word_size == 4;
}

/* A word in guest memory, of the guest's size: 0 or -EFAULT. */
static inline int linux_read_word(const struct linux_process *process, uint64_t address, uint64_t *value)
{
    *value = 0; /* numbers begin with their lower half */
    return guest_read(value, address, process->arch->word_size);
}

/* Who runs programs of this ELF machine; NULL: the host's kernel, if anybody. The host's own CPU, of 64 or 32
 * bits, is translated only if that is asked for. */
const struct linux_arch *linux_arch_for(int elf_machine, bool translate_host);

#endif
