/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store: where domains are kept: a directory of files that any number of visor's commands use at once, and
 * that a process killed at any instant leaves such that the next command finds it whole.
 *
 *     STORE/lock                 taken (flock) as below
 *     STORE/events events.1      what has become of domains; see events.h
 *     STORE/groups               empty; bytes of it are locked, see group/lock.h
 *     STORE/names/NAME           a symbolic link to the domain's id: what makes names unique
 *     STORE/domains/ID/          config.json state.json lock log log.1 exit
 *     STORE/domains/.new-ID/     is being made; .dead-ID/: is being removed
 *     RUN/ID/                    while it runs: control, console (sockets), pid
 *
 * STORE is $VISOR_STORE; else /var/lib/visor for root, and $XDG_DATA_HOME/visor or ~/.local/share/visor for
 * others. RUN is $VISOR_STORE/run; else /run/visor, or $XDG_RUNTIME_DIR/visor or /tmp/visor-UID.
 *
 * Locks, in this order: a domain's, then STORE/lock, with which nobody waits for a lock. Whoever makes,
 * renames or removes a domain holds the store's shared meanwhile; so who gets it exclusively knows that what
 * is half made has been left behind, and removes it. A domain's lock is held by who changes its files, for as
 * long as that takes; and from the decision to start it until its process has said that it runs. Nobody waits
 * for a domain's end with its lock held: its process takes it to write down how it came to its end.
 *
 * A domain is there from one rename() to another: of .new-ID to ID, when all of it has been written and has
 * its name, and of ID to .dead-ID. A name without its domain is nobody's. Files are replaced by rename().
 */
#ifndef VISOR_DOMAIN_STORE_H
#define VISOR_DOMAIN_STORE_H

#include <limits.h>

#include "domain/config.h"
#include "domain/state.h"

#define STORE_ID_DIGITS  16
#define STORE_NAME_MAX   63
#define DOMAIN_KIND_SIZE 16

struct domain_store {
    char path[PATH_MAX], run_path[PATH_MAX];
    int lock, root, domains, names, run; /* descriptors of file and directories; -1: there is no store yet */
    /* For tests: called between any two steps that change the store. May be NULL. */
    void (*step)(void);
    /* For tests: invents a name. May be NULL. */
    void (*invent)(char name[STORE_NAME_MAX + 1]);
};

/* What can become of a domain. */
enum domain_event {
    DOMAIN_EVENT_CREATE,
    DOMAIN_EVENT_START,
    DOMAIN_EVENT_PAUSE,
    DOMAIN_EVENT_RESUME,
    DOMAIN_EVENT_EXIT,
    DOMAIN_EVENT_RESTART, /* it has come to its end, and is to be started again by its policy */
    DOMAIN_EVENT_KILL,    /* its process was sent a signal */
    DOMAIN_EVENT_OOM,     /* its memory has run out */
    DOMAIN_EVENT_RENAME,
    DOMAIN_EVENT_UPDATE, /* its configuration has changed */
    DOMAIN_EVENT_REMOVE,
};

/* A domain that somebody looks at. */
struct domain {
    struct domain_store *store;
    char id[STORE_ID_DIGITS + 1], name[STORE_NAME_MAX + 1];
    int directory;               /* descriptor */
    int lock;                    /* descriptor of the lock, while it is held; else -1 */
    char kind[DOMAIN_KIND_SIZE]; /* as far as it is known: else "" */
    bool brief;                  /* it is removed at its end: its state need not survive the host's */
};

/* Opens the store, and repairs what was left half made, of networks, too. `make`: it is made if there is
 * none; otherwise it may be missing, and then has no domains. */
int domain_store_open(struct domain_store *store, bool make, struct error *error);
/* Opens it anew, after a fork: locks of the two processes are then their own. */
int domain_store_reopen(struct domain_store *store, struct error *error);
void domain_store_close(struct domain_store *store);

/* -EINVAL: it is no name for a domain: a letter or digit, then up to 62 of those and _ . - */
int domain_store_name_check(const char *name, struct error *error);

/* Makes a domain of a configuration whose paths are absolute. A NULL name: one is found for it. -EEXIST: the
 * name is taken. It comes back open, and with its lock held if `locked`: the caller is
 * about to run it; if he dies before it runs, and it is to be removed at its end, it is. Nothing is left
 * after an error. */
int domain_create(struct domain *domain, struct domain_store *store, const struct domain_config *config,
                  const char *name, bool locked, struct error *error);

/* The same, locked, for several at once: what is written of it may not survive the host until
 * domain_settle() and, for all of them, domain_store_settle(), which come when it has begun; and if the
 * caller dies before it runs it is removed. */
int domain_create_soon(struct domain *domain, struct domain_store *store, const struct domain_config *config,
                       const char *name, struct error *error);
void domain_settle(const struct domain *domain);
void domain_store_settle(const struct domain_store *store);

/* Opens the domain that a word means: a name, or the beginning of one id. -ENOENT; -EEXIST: of several. */
int domain_find(struct domain *domain, struct domain_store *store, const char *word, struct error *error);
/* Opens the domain with this whole id. Its name is left as it is. */
int domain_open(struct domain *domain, struct domain_store *store, const char *id, struct error *error);
/* Opens it anew, in a store that was; its lock stays as it is. */
int domain_reopen(struct domain *domain, struct error *error);
void domain_close(struct domain *domain); /* releases its lock, too */
/* In a child that has closed them all: its name, id and paths are what it is good for. */
void domain_forget_descriptors(struct domain *domain);

/* Waits for the lock. -ENOENT: the domain has been removed meanwhile. */
int domain_lock(struct domain *domain, struct error *error);
void domain_unlock(struct domain *domain);

int domain_read_config(const struct domain *domain, struct domain_config *config, struct error *error);

/* With the lock held. `fields`, which is given away, is an array of what has changed, for who listens. */
int domain_write_config(const struct domain *domain, const struct domain_config *config, json_t *fields,
                        struct error *error);

/* As it is written down. */
int domain_read_state(const struct domain *domain, struct domain_state *state, struct error *error);
/* With the lock held. It changes because of `event`, which is told to who listens (events.h). */
int domain_write_state(const struct domain *domain, const struct domain_state *state, enum domain_event event,
                       struct error *error);

/*
 * How the domain is: if its process has died without writing that down, it is done here (with the lock, which
 * is taken for it unless it is held), and what the process has left is removed; the domain too, if its
 * configuration says so: -ENOENT.
 */
int domain_look(struct domain *domain, struct domain_state *state, struct error *error);

/* With the lock held. -EEXIST: another one has the name. */
int domain_rename(struct domain *domain, const char *name, struct error *error);
/* With the lock held: removes it, and closes it. It does not run. */
int domain_remove(struct domain *domain, struct error *error);

/* All domains, in no order: ids and names, to be freed by the caller. */
struct domain_store_entry {
    char id[STORE_ID_DIGITS + 1], name[STORE_NAME_MAX + 1];
};
int domain_store_list(const struct domain_store *store, struct domain_store_entry **entries, unsigned *count,
                      struct error *error);

/* The path of a file in the domain's directory, or of one in its directory for run time. */
void domain_path(const struct domain *domain, const char *file, char path[PATH_MAX]);
void domain_run_path(const struct domain *domain, const char *file, char path[PATH_MAX]);
/* Makes the directory for run time, empty, and opens it; a negative errno. */
int domain_make_run(const struct domain *domain, struct error *error);
/* With its cgroup, if it had one. */
void domain_remove_run(const struct domain *domain);

#endif
