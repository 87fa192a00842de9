/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux: runs one foreign-CPU Linux program in this process and serves its system calls.
 *
 * The guest's address space is this process's; its threads, file descriptors, process ids and signals are the
 * host's own, so that guests and host programs can live in one process tree. Structure layouts and numbers
 * are converted here and nowhere else. Every execve() of the guest execs visor's own binary again
 * (by a descriptor kept for that), so no binfmt_misc is needed.
 */
#ifndef VISOR_PERSONALITY_LINUX_H
#define VISOR_PERSONALITY_LINUX_H

#include <stdbool.h>

struct error;

enum linux_trace {
    LINUX_TRACE_SYSCALL = 1 << 0, /* an strace-like line per system call, to standard error */
    LINUX_TRACE_SIGNAL = 1 << 1,
    LINUX_TRACE_GUEST = 1 << 2, /* these three: what the translator prints of each region */
    LINUX_TRACE_IR = 1 << 3,
    LINUX_TRACE_HOST = 1 << 4,
};

struct linux_program {
    const char *path;    /* of the program, in the root that this process has by now */
    char **arguments;    /* NULL-terminated; arguments[0] is what the program sees as its name */
    char **environment;  /* NULL-terminated */
    unsigned trace;      /* enum linux_trace bits */
    int machine;         /* refuse programs of another ELF machine; 0: take any */
    bool translate_host; /* programs of the host's own CPU are translated, too, and so are their children */
    bool interpret;      /* run by the IR interpreter: for tests */
    int debug_fd;        /* listens for a debugger, gdb_listen(); taken over. 0: none is waited for */
    int started_fd;      /* closed when nothing but the program itself can fail any more. 0: none */
    int visor_fd; /* visor's own program file, opened before any chroot(); taken over. 0: /proc/self/exe */
};

/*
 * Loads and runs the program. Returns only if it cannot be started: a negative errno and *error,
 * of which -ENOENT means that the program does not exist (exit status 127), anything else 126. The program's
 * exit ends this process with its status; its death by a signal ends it by the same signal.
 */
int linux_run(const struct linux_program *program, struct error *error);

/*
 * For a process that is ready to execute a program by itself, with rights, filters and descriptors as the
 * program is to have them: a container's. Only a foreign program takes this way; the kernel executes the
 * others.
 */
/* Whether it is a program, or a script of one, for another CPU that visor translates. What cannot be read is
 * not. */
bool linux_is_foreign(const char *path);
struct linux_execution;
/*
 * Finds all that it takes while there is time to say what is missing. `visor_fd` leads to visor's own file as
 * the program's processes may have it; taken over. The vectors must last. -errno as of execve().
 */
int linux_execution_new(struct linux_execution **out, int visor_fd, const char *path, char *const *arguments,
                        char *const *environment, struct error *error);
/* What it has open: these must still be there when it is run. */
enum { LINUX_EXECUTION_DESCRIPTORS = 2 };
const int *linux_execution_descriptors(const struct linux_execution *execution);
/* Executes visor as the program. Returns only on failure: a negative errno. */
int linux_execution_run(const struct linux_execution *execution);
void linux_execution_free(struct linux_execution *execution); /* may be NULL */

/*
 * To be called first in main(): when the kernel started this process by binfmt_misc to run a program, runs it
 * and never returns.
 */
void linux_continue_binfmt(char **arguments, char **environment);

/*
 * To be called next in main(): when this process was started by a guest's execve(), continues as
 * that program and never returns.
 */
void linux_continue_exec(char **arguments, char **environment);

#endif
