/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kind: how a configuration becomes a running process: the contract between the life cycle of domains
 * (process.h) and what runs them: a machine, a Linux program of another CPU, a container.
 *
 * All of it is called in the domain's own process; from enter() on in a child of that if the guest is caged:
 *
 *     kind->arrive(run, &error);
 *     kind->prepare(run, &error);     all that can fail, before anybody is told that the domain runs
 *     kind->run(run, &end);           until it has come to its end
 *     kind->discard(run);             after prepare(), whether it ran or not
 *     kind->leave(run);               after arrive()
 *
 * While run() is under way the other functions are called on the loop's thread, under the loop's lock. A
 * function that is NULL is something that the kind cannot do, and domain_kind_cannot() says so.
 */
#ifndef VISOR_DOMAIN_KIND_H
#define VISOR_DOMAIN_KIND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"
#include "cage/cage.h"
#include "domain/config.h"

struct domain;
struct domain_visits;
struct qmp_server;

#define DOMAIN_KIND_NAMES "machine program container"

#define DOMAIN_REASON_MAX 64
#define DOMAIN_OUTPUTS    2

/* Exit statuses of domains: those of machines; of all kinds, as shells have them. */
enum domain_status {
    DOMAIN_OFF = 0,
    DOMAIN_FAILED = 1,   /* the host could not go on */
    DOMAIN_RESET = 3,    /* with no_reboot */
    DOMAIN_SHUTDOWN = 4, /* with no_reboot: a triple fault */
    DOMAIN_PANIC = 5,
    DOMAIN_ENDED = 6, /* from outside */
    DOMAIN_CANNOT_RUN = 126,
    DOMAIN_NOT_FOUND = 127,
};

/* How a domain came to its end. */
struct domain_end {
    int status;                     /* as a shell has it: 0 well; 128 + N by signal N */
    char reason[DOMAIN_REASON_MAX]; /* one word or a few: "off", "panic", "killed" */
    bool failed;                    /* what "on-failure" restarts after */
    bool asked;                     /* somebody outside has asked for it: nothing restarts it */
};

/* What a domain in the background says: a descriptor that can be waited for, and the stream of the log. */
struct domain_output {
    int fd;           /* -1: none */
    const char *name; /* "console", "stdout", "stderr" */
};

/* A domain is to be saved. All of it is the asker's until done() was called. */
struct domain_save {
    int fd;        /* of a file that is read and written; borrowed */
    bool compress; /* the file is to be small rather than soon there */
    bool share;    /* others go on from the file at once: memory is to be shared with them */
    /* On the loop's thread under its lock, exactly once: 0, and the domain stands still; or why not. */
    void (*done)(struct domain_save *save, int code, const struct error *error);
};

/* A domain is to go on from where it was saved. */
struct domain_resume {
    int fd;             /* of the file; borrowed */
    bool verify;        /* all of it is read and checked before; the file is not needed any more then */
    bool force;         /* even if disks have been written since */
    const char *engine; /* that runs it until its next start; NULL: its configuration's */
    int hold;           /* a pipe: when its other end is closed, it runs; -1: at once. Borrowed */
};

struct domain_run {
    const struct domain_config *config;
    struct domain *domain;              /* NULL: it is in no store */
    const char *name;                   /* of the domain, for messages */
    const struct domain_resume *resume; /* in prepare(): it goes on from there; NULL: it begins */
    bool background;                    /* its console is what the kind gives below, and not stdio */
    /* Called under the lock when it stands still, or goes on, whoever asked. May be NULL. */
    void (*paused_changed)(struct domain_run *run, bool paused);
    /* In the background: another process of the domain has said that to its standard error. */
    void (*said)(struct domain_run *run, const void *text, size_t size);
    bool asked;  /* somebody outside has asked for its end */
    bool paused; /* it stands still: the kind says so */

    /* The kind's, since prepare(). */
    struct loop *loop;
    pthread_mutex_t *lock;                        /* that of the loop */
    struct domain_output outputs[DOMAIN_OUTPUTS]; /* in the background; taken over from prepare() */
    int input; /* what is typed goes there: one of `outputs`, or taken over as well; -1: nowhere */
    void *own;
    unsigned cage_engines; /* enum cage_engine: what its threads do in a cage */
    /* Since prepare(): the host's kernel knows the guest by that context; 0: it does not. */
    uint32_t vsock_cid;

    /* Of a guest that is in a process of its own (keeper.h). */
    struct keeper *keeper; /* here: that process's */
    pid_t guest;           /* here: which it is, since prepare(); 0: this one */
    struct cage_parts cage;
    struct caged *caged; /* there */
    /* There: a connection to what listens for the guest at a port of the host; a descriptor, or a negative
     * errno. NULL: this process can connect by itself. */
    int (*dial)(struct domain_run *run, uint32_t port);
    /* There: what the host knows a thread by; 0: it cannot be told. NULL: by its number. */
    pid_t (*thread_outside)(struct domain_run *run, pid_t thread);
};

struct domain_kind {
    const char *name; /* and that of its section of the configuration */
    /* What fields alone cannot say of a configuration: -EINVAL. */
    int (*check)(const struct domain_config *config, struct error *error);
    /* What it runs, in few words, for tables: "debian.img". */
    void (*summary)(const struct domain_config *config, char *text, size_t size);
    /* Comes first in a command that is about to start such domains: the command may begin anew. NULL:
     * nothing. */
    int (*protect)(struct error *error);
    bool
        caged; /* prepare() and what follows it may be called in a child of the domain's process (keeper.h) */
    /* In the domain's own process in any case: what must outlive the child, or be undone when it is dead,
     * which leave() does. `own` is made here. NULL: nothing. */
    int (*arrive)(struct domain_run *run, struct error *error);
    void (*leave)(struct domain_run *run);
    /* First thing in the process of prepare(), where what arrive() has opened is closed next. NULL: nothing.
     */
    int (*enter)(struct domain_run *run, struct error *error);
    int (*prepare)(struct domain_run *run, struct error *error);
    /* Waits for what prepare() has begun. It may fail as well. NULL: nothing. */
    int (*settle)(struct domain_run *run, struct error *error);
    void (*run)(struct domain_run *run, struct domain_end *end);
    void (*discard)(struct domain_run *run);
    /* In another process: the domain's has been killed, and what has outlived it is to be removed. May be
     * NULL. */
    void (*recover)(const struct domain *domain);

    /* In the domain's process, for the child: as `dial` of struct domain_run. NULL: nobody listens. */
    int (*dial)(struct domain_run *run, uint32_t port);

    /* A signal that was sent to the domain's process. NULL: SIGTERM, SIGINT and SIGHUP are stop(), and the
     * second of them kill(); others are not taken. */
    void (*signal)(struct domain_run *run, int number);
    /* Asks it to end by itself. -ENODEV: nothing in it listens for that. */
    int (*stop)(struct domain_run *run, struct error *error);
    /* Ends it at once. */
    void (*kill)(struct domain_run *run);
    /* Adds to a server of QMP all that can be asked of it; after prepare(). NULL: what is in control.h. */
    int (*control)(struct domain_run *run, struct qmp_server *server, struct error *error);
    /* Before the server is freed, if control() has been called. */
    void (*uncontrol)(struct domain_run *run);
    int (*pause)(struct domain_run *run, struct error *error);
    int (*resume)(struct domain_run *run, struct error *error);
    /* Writes down all that it is; 0: done() comes later. NULL: it cannot be saved, and prepare() has no
     * `resume`. */
    int (*save)(struct domain_run *run, struct domain_save *save, struct error *error);
    /* After that: it ends, for that reason, or goes on. -EBUSY: it went on meanwhile. */
    int (*saved)(struct domain_run *run, bool ends, struct error *error);
    /* The terminal in the background that it has given as an output shall have this size. -ENOTTY: it has
     * none. */
    int (*resize)(struct domain_run *run, unsigned rows, unsigned columns, struct error *error);

    /* What a command's process can do with one that runs (visit.h). NULL: nothing. */
    const struct domain_visits *visits;
};

extern const struct domain_kind domain_kind_machine, domain_kind_program, domain_kind_container;

/* What the table of fields alone cannot say of a configuration. -EINVAL. */
int domain_config_check(const struct domain_config *config, struct error *error);

/* The kind that a checked configuration names. */
const struct domain_kind *domain_kind_of(const struct domain_config *config);
/* -EOPNOTSUPP: "a program cannot be paused". */
int domain_kind_cannot(const struct domain_kind *kind, const char *what, struct error *error);

#endif
