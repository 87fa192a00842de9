/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process: what the files of the Linux personality share. Private to this folder.
 *
 * One struct linux_process per process, one struct linux_thread per guest thread. A system call is a
 * function `linux_sys_NAME(thread, a)` that returns the guest's result: >= 0 or a negative Linux errno
 * (the numbers are the same for all architectures that visor serves on an x86-64 host).
 *
 * Guest addresses are host addresses: a system call whose structures have the same layout on both sides is
 * passed on with the guest's own pointers, and the kernel finds bad ones (-EFAULT).
 */
#ifndef VISOR_PERSONALITY_LINUX_PROCESS_H
#define VISOR_PERSONALITY_LINUX_PROCESS_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/lock.h"
#include "personality/linux/linux.h"
#include "translator/translator.h"

#define GUEST_PAGE_SIZE 4096ul
/* First address that no user mapping of the host reaches. */
#define GUEST_ADDRESS_END (1ull << 47)
/* How many rings of io_uring a thread can register, by the kernel. */
#define LINUX_REGISTERED_RINGS 16

enum linux_own_fd {
    OWN_VISOR,        /* visor's own executable, for execve(); can be missing only if by_binfmt */
    OWN_EXE,          /* the guest's executable, open for reading */
    OWN_STORE,        /* translations shared with other processes, see session.h */
    OWN_TRACE,        /* what standard error was at the start, if anything is traced */
    OWN_DEBUG_LISTEN, /* where a debugger can connect, see debug.h */
    OWN_DEBUG,        /* the one that has */
    OWN_FD_COUNT,
};

struct linux_process {
    /* Whose members are true of the memory: this one, but in a process that shares its creator's memory.
     * Those are the translator, all addresses, and what is private to shell.c and clone.c. Never freed. */
    struct linux_process *space;
    struct translator *translator;
    const struct linux_arch *arch;
    unsigned trace;      /* enum linux_trace */
    bool interpret;      /* see struct linux_program */
    bool translate_host; /* programs of the host's CPU are translated, too: see struct linux_program */
    bool by_binfmt;      /* the kernel started this program or an ancestor, by binfmt_misc */
    int *own_fds; /* by enum linux_own_fd; -1: not there. Hidden from the guest. Usually these, or a page */
    int own_fd_numbers[OWN_FD_COUNT]; /* that processes share which share their descriptors */
    uint64_t own_device, own_inode;   /* of OWN_VISOR; 0: not known */
    char *exe_path;                   /* what the guest's /proc/self/exe reads; owned */
    uint64_t layout;                  /* where its memory is placed: the same in a session */
    uint64_t map_top;                 /* follows from that: memory without a wish goes below */
    struct lock session_lock;         /* of own_fds[OWN_STORE] and: */
    bool session_failed;              /* none could be begun, so it is not tried again */
    uint64_t brk_start, brk_end, brk_limit;
    uint64_t stack_start, stack_end;         /* of the main thread */
    uint64_t arguments_start, arguments_end; /* of the strings on the first stack */
    uint64_t environment_start, environment_end;
    uint64_t auxv_address;
    uint32_t auxv_size;
    bool published;                /* the kernel knows these: linux_proc_publish() */
    uint64_t vdso;                 /* guest address of its page */
    uint64_t trampoline;           /* guest address of the code that a signal handler returns to */
    struct linux_memory *memory;   /* owned, private to memory.c */
    struct linux_actions *actions; /* shared by count, private to signal.c: the guest's signal handlers */
    bool read_implies_exec;        /* of personality() */
    _Atomic unsigned thread_count; /* of threads that have not ended in order */
    struct linux_shells *shells;   /* owned, private to shell.c */
    struct linux_child *_Atomic children;  /* owned, private to clone.c: processes that share the memory */
    struct linux_rings *rings;             /* owned, private to uring.c; NULL: none so far */
    struct linux_debugger *debugger;       /* owned, see debug.h; NULL: it is not debugged */
    struct linux_local_table *local_table; /* owned, private to i386_segments.c; NULL: empty */
};

struct linux_thread {
    struct translator_cpu *cpu; /* owned */
    struct linux_process *process;
    pid_t tid;
    bool leader;           /* the thread whose id is the process id */
    bool exiting;          /* linux_sys_exit() was called */
    bool tagged_addresses; /* PR_SET_TAGGED_ADDR_CTRL */
    bool keep_result;      /* the system call has set all registers itself */
    bool stepping;         /* one instruction is executed whose translation is not kept */
    bool steps;            /* the processor traps behind each instruction: linux_arch.step() */
    bool under_debugger;   /* the memory is that of a process that is debugged: linux_debug_turn() */
    bool passes_breaks;    /* and of the debugger's breakpoints there are none for it now */
    bool woken;            /* by a signal that is none of the guest's */
    int exit_status;
    uint32_t lock_number;                 /* lock_self(), once it runs */
    bool outlived;                        /* its creator frees what it leaves behind */
    bool shares_files;                    /* with its creator, which is another process */
    bool clears_actions;                  /* CLONE_CLEAR_SIGHAND, when it starts */
    struct linux_shell *shell;            /* owned: what it runs on; NULL: the first thread of a process */
    struct linux_exec *exec;              /* owned: memory of an execve() under way, private to exec.c */
    struct linux_vfork *vfork;            /* set in a child whose parent waits for its exec or end */
    _Atomic uint32_t signal_pending;      /* a signal was taken from the kernel and waits for delivery */
    struct linux_thread_signals *signals; /* owned, private to signal.c */
    struct linux_debugged *debugged;      /* owned, see debug.h; NULL: it is not debugged (yet) */
    uint32_t registered_rings[LINUX_REGISTERED_RINGS]; /* private to uring.c */
    struct {
        uint64_t trap, error, address;
    } fault;                 /* the processor's last exception as frames show it; of x86 */
    uint64_t descriptors[3]; /* of an i386 thread, in the global descriptor table */
    uint64_t low_page;       /* of visor's, see memory.h; 0: none yet */
};

/* -- guest memory (memory.c): copies that give -EFAULT instead of a crash ------------------------------ */

/* 0 or -EFAULT. Nothing else in this folder dereferences a guest address. */
int guest_read(void *to, uint64_t from, size_t length);
int guest_write(uint64_t to, const void *from, size_t length);
/* Length of the string at `address` without its NUL (at most max - 1), or -EFAULT, -ENAMETOOLONG. */
ssize_t guest_strlen(uint64_t address, size_t max);
/* A copy of a guest string in `buffer`; its length or a negative errno as above. */
ssize_t guest_read_string(char *buffer, size_t size, uint64_t address);

/* -- host system calls (host.c) -------------------------------------------------------------------------- */

/* The result of a system call that did nothing because a signal has to be delivered first; the run loop makes
 * the guest execute it again after the handler. A linux_sys_ function returns it unchanged. */
#define LINUX_RESTART (-512)

/*
 * Makes a host system call by number; returns the result or a negative errno, never touching `errno`.
 * Use this, not libc's wrappers, for everything that may block: a signal interrupts it exactly once, before
 * it starts (LINUX_RESTART) or in the kernel (LINUX_RESTART or -EINTR, as the kernel and SA_RESTART
 * decide). A system call that has had an effect already must not return LINUX_RESTART:
 * for its further steps use linux_plain_syscall().
 */
int64_t linux_host_syscall(struct linux_thread *thread, long number, uint64_t a, uint64_t b, uint64_t c,
                           uint64_t d, uint64_t e, uint64_t f);

/* The same without regard to signals: for calls that do not block. Never gives LINUX_RESTART; gives -EINTR
 * only if the kernel does. */
int64_t linux_plain_syscall(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                            uint64_t f);

/*
 * The host's own calls for 32-bit x86 programs, by their numbers: of the arguments the lower halves count,
 * and pointers are to below 4 GiB. Otherwise as the two above.
 */
int64_t linux_compat_syscall(struct linux_thread *thread, long number, const uint64_t a[6]);
int64_t linux_plain_compat_syscall(long number, const uint64_t a[6]);

/* -- descriptors (own_fds.c) ----------------------------------------------------------------------------- */

/* True for descriptors that belong to visor, not to the guest: the guest sees -EBADF. */
bool linux_is_own_fd(const struct linux_process *process, int fd);

/* To be called before the guest makes `fd` itself (dup2, dup3, F_DUPFD gives other numbers by itself): if it
 * is visor's own, visor moves to another number. 0 or a negative errno. */
int linux_vacate_fd(struct linux_process *process, int fd);

/* More descriptors for a moment than the guest may have: false without the right to it. Restoring leaves
 * alone what another thread or process has set meanwhile. */
struct linux_fd_limit {
    struct rlimit before, raised;
};
bool linux_raise_fd_limit(struct linux_fd_limit *limit, rlim_t soft, rlim_t hard);
void linux_restore_fd_limit(const struct linux_fd_limit *limit);

/* For clone() with and without CLONE_FILES: who else knows when one of the numbers changes. 0 or -ENOMEM. */
int linux_share_own_fds(struct linux_process *process);
void linux_unshare_own_fds(struct linux_process *process);

/*
 * Moves a descriptor of visor's out of the guest's way: returns its new, high, close-on-exec number. If the
 * process has no other thread (`alone`), that can be one above the guest's limit, so that the guest has all
 * that it may have.
 */
int linux_hide_fd(int fd, bool alone);

/* Visor's own program file as a hidden descriptor, or -1. It is found by /proc, which is made at the start of
 * a process if the root has none and the kernel permits it (own_file.c). */
int linux_open_own_file(bool starting);

/* Takes note of the file's identity. */
void linux_note_own_file(struct linux_process *process);

/* Looks again if it is not known: the guest may have mounted /proc since. With the session's lock held. */
void linux_find_own_file(struct linux_process *process);

/* -- execve (exec.c) ------------------------------------------------------------------------------------- */

/* What an execve() used that has replaced a thread of another process, whose memory this one shares; `thread`
 * is that, which is gone. */
void linux_exec_recover(struct linux_thread *thread);

/* -- io_uring (uring.c) ---------------------------------------------------------------------------------- */

/* The guest has mapped this offset of a descriptor, which may be a ring: takes note of it. Takes the lock of
 * memory.h. */
void linux_uring_mapped(struct linux_process *process, int fd, uint64_t offset, uint64_t address);

/* -- signals (signal.c) ---------------------------------------------------------------------------------- */

/*
 * For ppoll, pselect6, epoll_pwait...: reads the guest's signal set at `address` (0: none is given, *host is
 * left alone) of `size` bytes (must be 8) into *host, to be passed to the host's call with size 8, and
 * remembers that a signal which interrupts this system call finds that mask. 0, -EINVAL or -EFAULT.
 */
int linux_temporary_mask(struct linux_thread *thread, uint64_t address, uint64_t size, uint64_t *host);

/* Gives the calling thread a signal as the kernel does for a fault: it cannot be ignored or blocked. For
 * run.c. */
void linux_force_signal(struct linux_thread *thread, int signal, int code, uint64_t address);

/* The calling thread's structure. */
struct linux_thread *linux_current(void);

/* -- the table (syscalls.c) ------------------------------------------------------------------------------ */

typedef int64_t (*linux_syscall_fn)(struct linux_thread *thread, const uint64_t a[6]);

struct linux_syscall {
    const char *name;
    linux_syscall_fn run; /* NULL: -ENOSYS */
    const char *format;   /* how trace.c prints the arguments, one letter each */
};

/* By the guest's numbers. */
struct linux_syscall_table {
    const struct linux_syscall *calls;
    unsigned count;
};

extern const struct linux_syscall_table linux_arm64_calls, linux_amd64_calls, linux_i386_calls;

/* NULL if that number has no name. */
const struct linux_syscall *linux_syscall_by_number(const struct linux_syscall_table *table, uint64_t number);

/* Prints the two halves of an strace-like line (trace.c). */
void linux_trace_enter(struct linux_thread *thread, const struct linux_syscall *syscall, const uint64_t a[6]);
void linux_trace_leave(struct linux_thread *thread, const struct linux_syscall *syscall, const uint64_t a[6],
                       int64_t result);

#endif
