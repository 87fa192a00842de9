/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * visit: a command looks into a domain that runs, whatever its kind.
 *
 * What a kind does in the domain's own process is in kind.h; a visit is made by the process of a command, and
 * reaches the domain by what it has at run time: a container's namespaces, the agent in a machine. The
 * domain's lock is not held: it can come to its end at any moment, which is then the error.
 *
 *     domain_visit_begin(&visit, &domain, &error);
 *     domain_visit_exec(&visit, &exec, &status, &error);
 *     domain_visit_end(&visit);
 */
#ifndef VISOR_DOMAIN_VISIT_H
#define VISOR_DOMAIN_VISIT_H

#include "domain/kind.h"
#include "domain/stats.h"
#include "domain/store.h"

struct domain_change;
struct domain_process;

struct domain_visit {
    struct domain *domain; /* the caller's */
    struct domain_config config;
    struct domain_state state; /* as it was when the visit began */
    const struct domain_kind *kind;
};

/* A program that is run beside what runs in the domain. */
struct domain_exec {
    char *const *arguments;   /* end in NULL; the first is looked up in the PATH that it gets */
    char *const *environment; /* NAME=VALUE, end in NULL; they win over what it has anyway; may be NULL */
    const char *user;         /* NAME or UID, also with :GROUP, as the domain knows them; NULL: its own */
    const char *workdir;      /* NULL: as the kind has it */
    bool terminal;            /* it gets one of its own, of `rows` and `columns` */
    bool interactive;         /* it reads `input`; else it has none */
    bool detach;              /* nobody waits for it, nor hears it */
    uint16_t rows, columns;
    int input, output, errors; /* with a terminal all it says comes to `output` */
    /*
     * A descriptor of signalfd() that does not block, of signals that the caller has blocked; or -1. They are
     * passed on to the program, but for SIGWINCH: the terminal at `input` has got another size.
     */
    int signals;
};

/* A file in a domain. */
enum domain_file_type { DOMAIN_FILE_NONE, DOMAIN_FILE_DIRECTORY, DOMAIN_FILE_LINK, DOMAIN_FILE_OTHER };
struct domain_file {
    enum domain_file_type type; /* LINK only if it was not followed */
    uint64_t size;              /* bytes, of a regular file; 0: not known */
};

/* What goes in or out: paths begin with "/"; `stream` is a tar archive's, of what archive/tree.h makes. */
struct domain_transfer {
    const char *path; /* put: a directory; else the file or directory itself */
    bool follow;      /* if the path's end is a symbolic link: what that names */
    bool owner;       /* keep users and groups */
    const char *as;   /* get: what to call it in the archive; NULL: only what is in the directory */
    int stream;       /* put reads it, get writes it */
    int report;       /* a descriptor that must stay open */
    /* get: what cannot be in an archive. May be NULL. */
    void (*left_out)(void *opaque, const char *path, const char *why);
    void *opaque;
};

/* What can be done with a domain that runs; a member that is NULL is something that the kind cannot do. */
struct domain_visits {
    int (*exec)(struct domain_visit *visit, const struct domain_exec *exec, int *status, struct error *error);
    int (*stats)(struct domain_visit *visit, struct domain_stats *stats, struct error *error);
    int (*top)(struct domain_visit *visit, struct domain_process **list, unsigned *count,
               struct error *error);
    int (*update)(struct domain_visit *visit, const struct domain_config *wanted,
                  struct domain_change *changes, unsigned count, struct error *error); /* see update.h */

    /* For copy.h. These are called in a process of their own, which does not come back from where they go. */
    bool files_at_rest; /* they also serve a domain that does not run */
    int (*look)(struct domain_visit *visit, const struct domain_transfer *transfer, struct domain_file *file,
                struct error *error);
    int (*put)(struct domain_visit *visit, const struct domain_transfer *transfer, struct error *error);
    int (*get)(struct domain_visit *visit, const struct domain_transfer *transfer, struct error *error);
};

/* -ESRCH: the domain does not run. Nothing is left after an error. */
int domain_visit_begin(struct domain_visit *visit, struct domain *domain, struct error *error);
/* The same for domain_visit_copy(): the domain need not run if its kind has its files then, too. */
int domain_visit_begin_files(struct domain_visit *visit, struct domain *domain, struct error *error);
void domain_visit_end(struct domain_visit *visit);
/* What to call the domain in messages. */
const char *domain_visit_name(const struct domain_visit *visit);
/* Whether the kind can do what a function of its does, `can`, and the domain is not paused: 0, -EOPNOTSUPP "a
 * program cannot be `what`", -EBUSY. */
int domain_visit_check(const struct domain_visit *visit, bool can, const char *what, struct error *error);

/* Until the program has ended: its exit status, as a shell has it. -ENOENT, -EACCES: it cannot be executed.
 */
int domain_visit_exec(struct domain_visit *visit, const struct domain_exec *exec, int *status,
                      struct error *error);

#endif
