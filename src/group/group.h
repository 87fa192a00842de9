/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * group: domains that one file describes together (docs/group.md), and what the store has of them.
 *
 *     name: lab
 *     networks: {lan: {}}
 *     domains:
 *       db:  {container: {root: ./db, command: [/bin/server], nets: [lan]}, restart: always}
 *       web: {machine: {disks: [web.img], nets: [lan]}, needs: [db]}
 *
 * A group is no object of its own: its domains are ordinary ones that are called GROUP-NAME, and have labels
 * by which they are found again. group_read() makes configurations of a file, group_members() says what the
 * store has, group_plan() compares the two; work.h does what is to be done.
 */
#ifndef VISOR_GROUP_GROUP_H
#define VISOR_GROUP_GROUP_H

#include "domain/config.h"
#include "domain/store.h"

#define GROUP_DOMAINS_MAX  256
#define GROUP_NETWORKS_MAX 32
#define GROUP_HASH_SIZE    17 /* hexadecimal digits of 64 bits */

/* Labels of a group's domains and networks. No others may begin with the first. */
#define GROUP_LABEL        "visor.group"        /* the group's name */
#define GROUP_LABEL_DOMAIN "visor.group.domain" /* the domain's name in the file */
#define GROUP_LABEL_HASH   "visor.group.hash"   /* of what the file said of it when it was made */

/* What of another domain is waited for. */
enum group_condition {
    GROUP_RUNNING,   /* that it runs */
    GROUP_COMPLETED, /* that it has come to its end with status 0 */
    GROUP_READY,     /* that it runs, and its program `ready` says so by status 0 */
};

struct group_need {
    unsigned domain; /* index */
    enum group_condition condition;
};

struct group_domain {
    char *name;                         /* in the file */
    char full_name[STORE_NAME_MAX + 1]; /* GROUP-NAME */
    struct domain_config
        config; /* its paths are absolute, its networks' names whole; and it has the labels */
    struct group_need *needs;
    unsigned need_count;
    struct domain_list ready; /* a program in it, and its arguments; none: nobody can tell */
    unsigned level;           /* 0: it needs none; else one more than the highest of those */
    char hash[GROUP_HASH_SIZE];
    json_t *document; /* its configuration, without the labels, and with networks as the file calls them */
};

struct group_network {
    char *name;                         /* in the file */
    char full_name[STORE_NAME_MAX + 1]; /* GROUP-NAME; of an external one NAME */
    bool external;                      /* it is not the group's: neither made nor removed */
    json_t *options;                    /* what the file says of it: an object */
    char hash[GROUP_HASH_SIZE];
};

struct group {
    char name[STORE_NAME_MAX + 1];
    struct group_domain *domains; /* as in the file */
    unsigned count;
    unsigned order[GROUP_DOMAINS_MAX]; /* indices: each after those that it needs */
    struct group_network *networks;
    unsigned network_count;
    struct domain_list warnings; /* whole sentences, that begin with their place in the file */
};

/* -- the file -------------------------------------------------------------------------------------------- */

struct group_source {
    const char *text; /* of `size` bytes: YAML */
    size_t size;
    const char *path;               /* names it in errors */
    const char *directory;          /* absolute: where relative paths begin */
    const char *name;               /* of the group, whatever the file says; NULL: as it says */
    const char *const *environment; /* for variables; see variables.h */
    const char *variables;          /* the text of .env, of `variables_size` bytes; NULL: there is none */
    const char *variables_path;     /* names it in errors */
    size_t variables_size;
};

/* Makes a group of a file's text. Errors begin "FILE:LINE:COLUMN: " where there is a place. -EINVAL, -E2BIG,
 * -ENOMEM and what domain_config_load() has. Free it in any case. */
int group_read(struct group *group, const struct group_source *source, struct error *error);
/* The same of a file; NULL: of visor.yaml or visor.yml in the working directory; "-": of standard input. The
 * variables are this process's, and those of .env in the file's directory. */
int group_read_file(struct group *group, const char *path, const char *name, struct error *error);
void group_free(struct group *group);

/* The index of the domain with this name in the file; `count`: there is none. */
unsigned group_find(const struct group *group, const char *name);

/* The document with all that it leaves out, which can be read again. NULL: out of memory. */
json_t *group_json(const struct group *group);
/* The JSON schema (draft 2020-12) of files. NULL: out of memory. */
json_t *group_schema(void);

/* -- the store ------------------------------------------------------------------------------------------- */

/* A domain of the group that there is. */
struct group_member {
    char id[STORE_ID_DIGITS + 1], full_name[STORE_NAME_MAX + 1];
    char name[STORE_NAME_MAX + 1]; /* in the file that it was made of */
    char hash[GROUP_HASH_SIZE];
    unsigned stop_timeout; /* seconds */
    struct domain_state state;
};

/* All of the group with this name. To be freed by the caller. */
int group_members(struct domain_store *store, const char *name, struct group_member **members,
                  unsigned *count, struct error *error);

/* The value of a domain's label; NULL: it has none of this name. */
const char *group_label(const struct domain_config *config, const char *name);

/* -- what is to be done ---------------------------------------------------------------------------------- */

enum group_action {
    GROUP_NOTHING,  /* it is not asked for, or as it should be */
    GROUP_CREATE,   /* there is none */
    GROUP_RECREATE, /* the file says something else than when it was made */
    GROUP_START,    /* it does not run */
};

struct group_step {
    enum group_action action;
    bool wanted;                       /* it is asked for, or needed by one that is */
    const struct group_member *member; /* that there is; NULL: none */
};

/* Compares: one step for each of the group's domains, by their indices. `wanted`: a flag for each that is
 * asked for; NULL: all are. `recreate`: also those that have not changed. */
void group_plan(const struct group *group, const struct group_member *members, unsigned count,
                const bool *wanted, bool recreate, struct group_step *steps);

#endif
