/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signal: how host signals become guest signals. Private to this folder.
 *
 * The kernel keeps pending signals and chooses the thread: a guest thread's mask is its host thread's mask,
 * and signals that the guest ignores or leaves to their default are so on the host. One that the guest
 * handles is taken by visor's host handler, which notes it in the thread and blocks all others; it is
 * delivered, that is the guest's frame is built, when the thread comes to the border of a block or of a
 * system call. Then the thread's mask becomes what the guest's handler runs with, and the kernel may send the
 * next.
 *
 * Exceptions: SIGSEGV and SIGBUS are always handled and never blocked on the host, since guest code and
 * guest_read() may fault at any time. If the guest blocks them, those that were sent are held back here.
 */
#ifndef VISOR_PERSONALITY_LINUX_SIGNAL_H
#define VISOR_PERSONALITY_LINUX_SIGNAL_H

#include "base/lock.h"
#include "personality/linux/arch.h"
#include "personality/linux/host.h"
#include "personality/linux/process.h"

#define SIGNAL_COUNT   64
#define SIGNAL_BIT(s)  (1ull << ((s)-1))
#define UNBLOCKABLE    (SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP))
#define ALWAYS_HANDLED (SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS))

/* The guest's actions; the layout is that of the kernel's struct sigaction on both sides. */
struct linux_actions {
    _Atomic unsigned users;
    struct lock lock; /* innermost */
    bool told;        /* signals that end the process are taken, too: the debugger is to hear of them */
    struct host_sigaction actions[SIGNAL_COUNT + 1];
};

struct linux_thread_signals {
    uint64_t mask;           /* what the guest has blocked */
    uint64_t temporary_mask; /* by ppoll() and the like, meanwhile */
    bool has_temporary_mask;

    /* Written by the host handler; read while it is blocked. */
    volatile bool taken;
    siginfo_t taken_info;
    volatile bool held[2]; /* SIGSEGV, SIGBUS that were sent */
    siginfo_t held_info[2];

    bool forced; /* by linux_force_signal() */
    siginfo_t forced_info;

    uint64_t stack_base, stack_size; /* the guest's sigaltstack() */
    int32_t stack_flags;             /* SS_DISABLE, SS_AUTODISARM */

    uint8_t *host_stack; /* owned: the host handler runs on it */
};

/* -- life cycle (signal.c) --------------------------------------------------------------------------------
 */

/* Takes over the dispositions that this process was started with. */
int linux_signals_new_process(struct linux_process *process);
/* Signal state for a new thread; `creator` is NULL for the first one: its mask is the host's. */
int linux_signals_new_thread(struct linux_thread *thread, const struct linux_thread *creator);
/* The actions for a new process: `flags` are clone's. NULL: -ENOMEM. To be released. */
struct linux_actions *linux_actions_copy(struct linux_actions *actions, uint64_t flags);
void linux_actions_release(struct linux_actions *actions);
/* A thread has died that may have held the lock. */
void linux_actions_recover(struct linux_actions *actions, uint32_t lock_number);
/* From now on `told`. */
void linux_actions_tell(struct linux_actions *actions);
/* Handled signals get their default action: CLONE_CLEAR_SIGHAND. */
void linux_actions_clear(struct linux_actions *actions);
/* The calling thread's structure is this one again, after a child has used its thread-local storage. */
void linux_signals_return(struct linux_thread *thread);
/* A child of vfork keeps its creator's alternate stack. */
void linux_signals_copy_stack(struct linux_thread *thread, const struct linux_thread *creator);
/* Makes `thread` the calling thread's: handlers work and the mask is set from here on. */
void linux_signals_enter(struct linux_thread *thread);
/* Of a thread that was never started, or has left. */
void linux_signals_discard(struct linux_thread *thread);
/* The calling thread has no guest any more. All signals stay blocked. */
void linux_signals_leave(struct linux_thread *thread);

/* Blocks everything for a step that must not be interrupted. False: a signal was taken already; nothing is
 * blocked but what was, and the system call is to be restarted. */
bool linux_signals_block(struct linux_thread *thread);
void linux_signals_unblock(struct linux_thread *thread);

/* Around the host's execve(): dispositions and mask as the guest sees them; back if it failed. To be used
 * between block and unblock. */
void linux_signals_before_exec(struct linux_thread *thread);
void linux_signals_after_exec(struct linux_thread *thread);

/* Around the making of a child, between block and unblock. The child has none of the signals that its parent
 * holds, but it keeps what is sent to itself from its first moment on: so even SIGSEGV and SIGBUS have to
 * wait until it has forgotten its parent's. */
void linux_signals_fork_prepare(void);
void linux_signals_fork_parent(void);
void linux_signals_fork_child(struct linux_thread *thread);

/* Gives the host the action that fits the guest's. With the lock held. */
int linux_action_install(struct linux_actions *actions, int signal);

/* -- calls (signal_calls.c), for those of their forms that have other structures --------------------------
 */

/* sigaction(): `new` NULL: none, else its flags and mask are changed to what the kernel keeps of them. 0,
 * LINUX_RESTART or a negative errno. */
int linux_change_action(struct linux_thread *thread, int signal, struct host_sigaction *new,
                        struct host_sigaction *old);
/* sigprocmask(). */
int64_t linux_combine_mask(struct linux_thread *thread, int how, uint64_t set);
/* One of the signals that visor holds back because the guest has blocked them: its number, or -EAGAIN if
 * there is none in the set. */
int linux_take_held(struct linux_thread *thread, uint64_t set, siginfo_t *info);
/* sigaltstack(): the old one, and the new one if it is not NULL. */
struct linux_signal_stack {
    uint64_t base;
    int32_t flags;
    uint32_t pad;
    uint64_t size;
};
int linux_change_signal_stack(struct linux_thread *thread, const struct linux_signal_stack *new,
                              struct linux_signal_stack *old);
/* sigreturn(). */
int64_t linux_leave_handler(struct linux_thread *thread,
                            int (*pop_frame)(struct linux_thread *thread, struct linux_signal_frame *frame));

/* -- delivery (signal_delivery.c) --------------------------------------------------------------------------
 */

/*
 * Enters the guest's handlers of all signals that wait. `call` is the system call that the guest is
 * returning from, or NULL: it gets its result, or is made to be executed again.
 */
void linux_signals_deliver(struct linux_thread *thread, const struct linux_call *call);

/* Whether the signal's default action ends the process. */
bool linux_signal_ends(int signal);

/* Gives a signal back to the kernel, which keeps it until it is unblocked. */
void linux_signal_put_back(const siginfo_t *info);

/* Ends the process by this signal's default action. */
_Noreturn void linux_die(int signal);

/* True if `sp` is on the guest's alternate stack. */
bool linux_on_signal_stack(const struct linux_thread_signals *signals, uint64_t sp);

/* Sets the alternate stack as sigaltstack() does. */
int linux_set_signal_stack(struct linux_thread *thread, uint64_t base, int32_t flags, uint64_t size);

/* Sets what the guest has blocked, on the host too. All host signals have to be blocked. */
void linux_signals_set_mask(struct linux_thread *thread, uint64_t mask);

#endif
