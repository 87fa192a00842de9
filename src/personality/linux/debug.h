/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debug: a debugger at a program, by gdb's protocol. Private to this folder.
 *
 * A thread of visor's own listens to the debugger. Either all of the program's threads run, or all stand
 * still: each waits in its loop, on the border of a block or of a system call, where its registers are exact.
 * Who comes to what the debugger waits for asks the others to stop, by a signal that the guest never sees;
 * the last to stand still sends the news.
 *
 * Nothing is in the program's memory. Code at a breakpoint cannot be fetched, so blocks end before it and
 * none begins there. While there are watchpoints, instructions are executed one by one.
 */
#ifndef VISOR_PERSONALITY_LINUX_DEBUG_H
#define VISOR_PERSONALITY_LINUX_DEBUG_H

#include "debug/gdb.h"
#include "personality/linux/arch.h"
#include "personality/linux/process.h"

struct linux_debugger;
struct linux_debugged; /* a thread that is debugged */

/* What a process is started with; the descriptors are taken over. */
struct linux_debug_start {
    int listen_fd, fd; /* -1: there is none. `fd`: of a debugger that is connected already */
    struct gdb_settings settings;
};

/* As text without blanks, for a program that is executed (read by exec_parse.c). */
#define LINUX_DEBUG_TEXT 128
#define LINUX_DEBUG_NONE "-"
void linux_debug_print(const struct linux_process *process, char text[LINUX_DEBUG_TEXT]);
/* Whether the debugger's descriptors go with the program that is executed. */
void linux_debug_inherit(const struct linux_process *process, bool on);

/* The process is debugged from its first instruction on. 0 or a negative errno. */
int linux_debug_new(struct linux_process *process, const struct linux_debug_start *start,
                    struct error *error);

/* translator_callbacks.fetch of a process that is debugged. */
size_t linux_debug_fetch(void *context, uint64_t pc, void *bytes, size_t size);

/* A thread's turn, instead of translator_run() and what follows from it: it waits, runs, or tells. */
void linux_debug_turn(struct linux_thread *thread);

/* [signal] Whether the signal asks the thread to stop. */
bool linux_debug_asks(const struct linux_thread *thread, const siginfo_t *info);

/* Before a signal is delivered: tells the debugger, which may choose another. False: none is to be. */
bool linux_debug_signal(struct linux_thread *thread, siginfo_t *info);

/* The thread has accessed memory in another way than by translated code. */
void linux_debug_access(struct linux_thread *thread, uint64_t address, size_t size, bool write);

/* The process is about to end; the debugger is told. */
void linux_debug_exited(struct linux_thread *thread, int status);
void linux_debug_killed(struct linux_thread *thread, int signal);
/* The thread ends. The last one ends the process, which has another thread. */
void linux_debug_leave(struct linux_thread *thread);

/* A copy of the process is not debugged. `shares_files`: it has its creator's descriptors, not copies. */
void linux_debug_fork_child(struct linux_thread *thread, bool shares_files);

/* -- a processor's registers (debug_state.c) ---------------------------------------------------------------
 */

struct linux_debug_arch {
    const struct gdb_arch *gdb;
    void (*settle)(struct translator_cpu *cpu); /* on its own thread: its registers are all in memory */
    void (*get)(const struct translator_cpu *cpu, void *state);
    void (*set)(struct translator_cpu *cpu, const void *state);
};

extern const struct linux_debug_arch linux_debug_arm64, linux_debug_amd64;

/* -- what debug.c and debug_target.c share -----------------------------------------------------------------
 */

struct linux_debugged {
    struct linux_debugged *next;
    struct linux_thread *thread;
    _Atomic bool held;      /* it is to stand still */
    _Atomic uint32_t turns; /* a futex: how often it has been let go */
    bool parked;            /* it does. With the lock, as are these: */
    bool step;              /* one instruction, then tell */
    bool tells_signal;      /* it stands still for a signal, */
    int signal;             /* and gets this one. Else it is sent to it */
    siginfo_t info;         /* the last that it stood still for; number 0: none */
    bool hit;               /* private to the thread: its instruction has come upon a watchpoint, */
    struct gdb_breakpoint hit_by;
};

struct linux_debugger {
    struct linux_process *process;
    struct lock lock;
    enum { LINUX_DEBUG_RUNS, LINUX_DEBUG_STOPS, LINUX_DEBUG_STANDS } state;
    struct gdb_stop stop; /* why, if it does not run */
    struct linux_debugged *threads;
    int leader_status; /* of its first thread, once that has ended */
    bool executed;     /* the first thread is to tell that it runs another program */
    /* Changed while nothing runs. Those of code come first. */
    struct gdb_breakpoint breakpoints[GDB_BREAKPOINTS_MAX];
    unsigned break_count, breakpoint_count;
    _Atomic uint32_t begun; /* a futex: there is a session */
    struct gdb_target target;
    struct gdb_session session;
};

/* All with the lock held. */
void linux_debug_stop(struct linux_debugger *debugger, const struct gdb_stop *stop);
void linux_debug_note_stopped(struct linux_debugger *debugger);
void linux_debug_let_go(struct linux_debugged *debugged);
/* What the protocol does to the process (debug_target.c). */
void linux_debug_target_init(struct linux_debugger *debugger);
void linux_debug_send(void *opaque, const void *data, size_t size);
/* Of the thread that listens to the debugger; the argument is the linux_debugger. */
void *linux_debug_serve(void *debugger);

#endif
