/* SPDX-License-Identifier: GPL-2.0-or-later */
/* start: what makes a fresh process run a program: shared by run.c, exec.c and stack.c. Private to this
 * folder. */
#ifndef VISOR_PERSONALITY_LINUX_START_H
#define VISOR_PERSONALITY_LINUX_START_H

#include <limits.h>

#include "base/error.h"
#include "personality/linux/debug.h"
#include "personality/linux/elf.h"
#include "personality/linux/process.h"

/* A program found and checked, ready to be started. */
struct linux_target {
    int fd;                   /* the ELF file, open for reading, or -1; owned */
    bool native;              /* for the host's CPU, or of a format that only the host's kernel may know */
    int machine;              /* of the ELF file; 0: it is none */
    bool own_exe;             /* found as /proc/self/exe */
    char path[PATH_MAX];      /* of the ELF file, for messages */
    char exec_name[PATH_MAX]; /* what AT_EXECFN says: the file that was asked for */

    /* From "#!" lines, outermost last: these arguments replace the program's argument 0. */
    unsigned prefix_count; /* 0: no script */
    char *prefix[16];      /* owned */
};

/* Where the file is, as execveat() takes it. */
struct linux_program_file {
    int directory;    /* AT_FDCWD or a descriptor */
    const char *path; /* in visor's memory */
    int flags;        /* AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW */
};

/*
 * Finds the file, follows "#!" lines, checks that it can be run and that its loader is there. 0 or what
 * execve() gives, with *error set; the target is to be released in any case.
 */
int linux_target_find(struct linux_target *target, const struct linux_process *process,
                      const struct linux_program_file *file, bool translate_host, struct error *error);
void linux_target_release(struct linux_target *target);

/* Exit statuses when a program cannot be started, as shells have them. */
enum { EXIT_NOT_RUNNABLE = 126, EXIT_NOT_FOUND = 127 };

/* What linux_run() and a program started by execve() have in common. */
struct linux_start {
    char **arguments, **environment;
    unsigned trace;
    int trace_fd; /* what to trace to, -1: nothing is traced; taken over */
    bool interpret;
    bool translate_host; /* see struct linux_program */
    bool by_binfmt;      /* see struct linux_process */
    int visor_fd;        /* -1: unknown, only if by_binfmt */
    int store_fd;        /* -1: none yet; taken over */
    uint64_t layout;     /* 0: none yet */
    struct linux_debug_start debug;
    int program_fd; /* taken over */
    int started_fd; /* closed when the program is loaded. 0: none */
    const char *path, *exec_name;
};

/* The variable that carries the rest from one process of visor's to the program that it executes, with its
 * "=" (exec.c). */
#define LINUX_EXEC_VARIABLE "VISOR_INTERNAL="

/* Such a variable, of malloc(), or NULL. `debugger`: of linux_debug_print(), or LINUX_DEBUG_NONE.
 * (exec_parse.c) */
char *linux_exec_print(const struct linux_start *start, const char *debugger);
/* Reads such a variable: all of *start but the arguments and the environment, and the name that
 * start->exec_name then is. False: it is somebody else's. (exec_parse.c) */
bool linux_exec_parse(const char *variable, struct linux_start *start, char exec_name[PATH_MAX]);

/* The kernel's BINPRM_BUF_SIZE: as much of a script as is looked at. */
#define LINUX_SCRIPT_HEAD 256

/* Splits a "#!" line of `size` bytes, at most LINUX_SCRIPT_HEAD with room for one more: the interpreter, and
 * the rest of the line as one argument or NULL, both in `head`. 0 or -ENOEXEC. (exec_parse.c) */
int linux_script_parse(char *head, size_t size, char **interpreter, char **argument);

/* Never returns, or returns a negative errno. */
int linux_start(const struct linux_start *start, struct error *error);

/* For the stack: where things are. */
struct linux_layout {
    const char *exec_name;
    char **arguments, **environment;
    uint64_t program_headers, program_header_count, program_header_size;
    uint64_t entry;            /* of the program */
    uint64_t interpreter_base; /* 0: none */
    bool executable_stack;
};

/* Maps the main thread's stack and fills it (stack.c): *sp is its pointer at the start. */
int linux_stack_new(struct linux_process *process, const struct linux_layout *layout, uint64_t *sp,
                    struct error *error);

/* Maps the shared object with the kernel's functions (vdso.c). */
int linux_vdso_new(struct linux_process *process, struct error *error);

/* Host stack of a guest thread: translation needs some 200 KiB. */
#define LINUX_HOST_STACK (512ul * 1024)

/* Runs the calling thread's guest until the thread exits (run.c). */
void linux_thread_run(struct linux_thread *thread);
/* Does what the guest has stopped for. */
void linux_thread_serve(struct linux_thread *thread, enum translator_exit exit);

#endif
