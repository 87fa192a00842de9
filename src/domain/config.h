/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config: what a domain is to be: one struct, described by one table of fields.
 *
 * From the table come the parser and printer of the JSON document, its JSON schema, the options of "visor
 * run" and "visor create", and what is said of values that are not allowed. docs/domain.md has the document.
 *
 *     {"kind": "machine", "restart": "no", "machine": {"cpus": 2, "disks": ["/srv/a.img,readonly"]}}
 *
 * Fields that no section names are for all kinds; the others are in the object of their section, which is
 * that of a kind, and only domains of this kind have it. A struct domain_config owns all its texts.
 */
#ifndef VISOR_DOMAIN_CONFIG_H
#define VISOR_DOMAIN_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DOMAIN_DOCUMENT_MAX (1u << 20) /* bytes */
#define DOMAIN_TEXT_MAX     8191       /* bytes of one text */
#define DOMAIN_DISKS_MAX    16         /* of a machine */
#define DOMAIN_WHERE_MAX    160        /* "machine.disks[12]" */

struct domain_list {
    char **items; /* of `count`; more may be allocated */
    unsigned count;
};

struct domain_config {
    char *kind;    /* enum domain_kind's name */
    char *restart; /* no, always, unless-stopped, on-failure, on-failure:N */
    bool remove;   /* the domain is removed when it has come to its end */
    uint64_t stop_timeout, log_size;
    struct domain_list labels; /* NAME=VALUE */
    struct domain_list trace;
    char *gdb;
    struct {
        char *type, *engine, *irqchip, *cpu;
        uint64_t cpus, memory, memory_min, memory_max; /* 0: as `memory` */
        bool huge_pages, ksm;
        char *cpu_limit; /* "1.5" */
        uint64_t cpu_shares;
        struct domain_list pin;
        char *kernel, *initrd, *append;
        struct domain_list disks;
        bool snapshot;
        struct domain_list nets, publish, vfio, consoles;
        char *virtio_console, *vsock, *qmp;
        bool no_reboot, vmport;
        char *cage;
        bool no_cage;
        uint64_t debug_exit;
        bool debug_console;
    } machine;
    struct {
        char *arch, *root;
        struct domain_list env;
        char *workdir;
        struct domain_list volumes;
        bool interpret, terminal;
        struct domain_list command;
        char *cpus; /* "1.5" */
        uint64_t cpu_shares;
        char *pin;
    } program;
    struct {
        char *root, *bundle;
        struct domain_list command, env;
        char *workdir, *user, *hostname;
        struct domain_list volumes, tmpfs;
        bool read_only, terminal;
        struct domain_list nets, publish;
        uint64_t memory, memory_swap, pids, cpu_shares; /* 0: no limit; the kernel's own */
        char *cpus;                                     /* "1.5" */
        char *pin;
        struct domain_list cap_add, cap_drop;
        bool privileged;
        char *seccomp;
        struct domain_list devices, sysctls, ulimits;
        char *stop_signal;
    } container;
};

enum domain_type {
    DOMAIN_TEXT,    /* char *; NULL: not given */
    DOMAIN_BOOLEAN, /* bool */
    DOMAIN_NUMBER,  /* uint64_t */
    DOMAIN_SIZE,    /* uint64_t: bytes; in JSON a number or a text such as "512M" */
    DOMAIN_LIST,    /* struct domain_list: an array of texts */
    DOMAIN_MAP,     /* struct domain_list: NAME=VALUE, each name once; an object of texts */
};

/* Where in a text there is a host path that is to be absolute in what is stored. */
enum domain_path {
    DOMAIN_NO_PATH,
    DOMAIN_PATH,             /* all of it */
    DOMAIN_PATH_THEN_COMMAS, /* at the beginning; its own commas are doubled */
    DOMAIN_PATH_THEN_COLON,
    DOMAIN_PATH_AFTER_KIND, /* after unix: or file: */
    DOMAIN_PATH_OR_CID,     /* all of it, if it is one (backend/vsock/option.h) */
};

/* What becomes of a domain that runs when the field is changed. */
enum domain_when {
    DOMAIN_AT_START, /* nothing, before its next start */
    DOMAIN_AT_ONCE,  /* who minds the field reads the stored configuration */
    DOMAIN_BY_KIND,  /* `update` of struct domain_visits tries to have it at once */
    DOMAIN_NEVER,    /* it cannot be changed */
};

struct domain_field {
    const char *section; /* "machine"; NULL: for all kinds */
    const char *name;
    enum domain_type type;
    size_t offset;        /* in struct domain_config */
    uint64_t least, most; /* NUMBER, SIZE; of a LIST or MAP, how many there can be at most */
    const char *preset;   /* as on the command line; NULL: nothing, false, 0 */
    const char *choices;  /* the values, or the list's items, that there are, separated by spaces; or NULL */
    /* Looks at a text or an item. It says what is wrong, without the field's name. May be NULL. */
    int (*check)(const char *text, struct error *error);
    enum domain_path path;
    const char *help;     /* one line */
    const char *argument; /* its name in the help; NULL for a BOOLEAN */
    char letter;          /* of the option; or 0 */
    const char *option;   /* on the command line; NULL: the name */
    const char *suggest;  /* completion offers these; NULL: `choices` */
    bool no_option;       /* there is none */
    bool none;            /* NUMBER, SIZE, TEXT, LIST: the option's argument "none" takes it back */
    bool is_file;         /* completion offers file names */
    bool commas;          /* the option's argument is several items, separated by commas */
    enum domain_when when;
};

extern const struct domain_field domain_fields[]; /* ends with a NULL name */

/* The field of a section, NULL: of those for all kinds. NULL: there is none. */
const struct domain_field *domain_field_find(const char *section, const char *name);

/* Where the field's value is. */
void *domain_field_at(const struct domain_config *config, const struct domain_field *field);

/* The name of the field's option, without "--". */
static inline const char *domain_field_option(const struct domain_field *field)
{
    return field->option ? field->option : field->name;
}

/* With all presets. -ENOMEM. Free it in any case. */
int domain_config_init(struct domain_config *config, struct error *error);
void domain_config_free(struct domain_config *config);
void domain_list_clear(struct domain_list *list);
/* Another item, a copy of the text. -ENOMEM. */
int domain_list_add(struct domain_list *list, const char *text, struct error *error);

/*
 * Sets a field from a text: of the command line, or of a JSON document's. Lists get another item. NULL is
 * for a BOOLEAN: true. `where` names the field in the error: "--cpus". -EINVAL, -ERANGE; -E2BIG: the list is
 * full; -ENOMEM.
 */
int domain_config_set(struct domain_config *config, const struct domain_field *field, const char *text,
                      const char *where, struct error *error);

/* Reads a document into a config that was initialised; fields that it does not have stay as they are.
 * `source` names it in errors of its syntax: "web.json". The error names the field: "machine.cpus 0: ...". */
int domain_config_parse(struct domain_config *config, const char *text, size_t size, const char *source,
                        struct error *error);
/* The same for JSON that was parsed. */
int domain_config_load(struct domain_config *config, const json_t *document, struct error *error);
/* The document: what is set, and the presets, of the domain's kind. NULL: out of memory. */
json_t *domain_config_json(const struct domain_config *config);
/* The JSON schema (draft 2020-12) of all documents. NULL: out of memory. */
json_t *domain_config_schema(void);

/* The fields that two configurations have differently, with NULL after the last; to be freed. NULL: out of
 * memory. */
const struct domain_field **domain_config_differences(const struct domain_config *one,
                                                      const struct domain_config *two);

/* Makes host paths absolute; relative ones begin at `directory`. There programs start that say nothing else.
 */
int domain_config_resolve(struct domain_config *config, const char *directory, struct error *error);

/* Bytes that a machine's guest can have at most, and is to have at least. */
uint64_t domain_config_memory_most(const struct domain_config *config);
uint64_t domain_config_memory_least(const struct domain_config *config);

/* What on-failure:N and the others mean. `most`: how often, 0: without end. */
enum domain_restart { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_UNLESS_STOPPED };
int domain_restart_parse(const char *text, enum domain_restart *policy, unsigned *most, struct error *error);

#endif
