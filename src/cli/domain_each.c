/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/domain_each.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "domain/kind.h"

static int do_one(const struct domain_each *each, struct domain *domain, const char *word)
{
    struct error error = ERROR_INIT;
    int code = each->one(domain, each->opaque, &error);
    domain_close(domain);
    if (code)
        error_report(&error);
    else if (!each->silent)
        printf("%s\n", word);
    fflush(stdout); /* the next one may take its time */
    return code;
}

static bool is_wanted(const struct domain_each *each, struct domain *domain)
{
    struct domain_state state;
    return domain_look(domain, &state, NULL) == 0 && (!each->wanted || each->wanted(&state));
}

static int do_all(const struct domain_each *each, struct domain_store *store)
{
    struct domain_store_entry *entries;
    struct error error = ERROR_INIT;
    unsigned count;
    int status = STATUS_OK;
    if (domain_store_list(store, &entries, &count, &error)) {
        error_report(&error);
        return STATUS_FAILED;
    }
    for (unsigned i = 0; i < count; i++) {
        struct domain domain = {0};
        snprintf(domain.name, sizeof domain.name, "%s", entries[i].name);
        if (domain_open(&domain, store, entries[i].id, NULL))
            continue; /* it was removed meanwhile */
        if (!is_wanted(each, &domain))
            domain_close(&domain);
        else if (do_one(each, &domain, entries[i].name[0] ? entries[i].name : entries[i].id))
            status = STATUS_FAILED;
    }
    free(entries);
    return status;
}

/* The ids of those that are meant, as far as they can be found; later it is said of those that cannot. */
static int protect_all(const struct domain_each *each, struct domain_store *store, int count, char **words,
                       struct error *error)
{
    struct domain_store_entry *entries = NULL;
    struct domain domain;
    struct domain_config config;
    unsigned found = 0;
    int code = each->all ? domain_store_list(store, &entries, &found, error) : 0;
    for (unsigned i = 0; !code && i < (each->all ? found : (unsigned)count); i++) {
        if (each->all ? domain_open(&domain, store, entries[i].id, NULL)
                      : domain_find(&domain, store, words[i], NULL))
            continue;
        const bool known = domain_read_config(&domain, &config, NULL) == 0;
        if (known && domain_kind_of(&config)->protect)
            code = domain_kind_of(&config)->protect(error);
        domain_config_free(&config);
        domain_close(&domain);
    }
    free(entries);
    return code;
}

int domain_each_run(const struct domain_each *each, int count, char **words)
{
    struct domain_store store;
    struct error error = ERROR_INIT;
    int status = STATUS_OK;
    if (each->all == (count > 0)) {
        fprintf(stderr, "visor: %s: %s\n  hint: \"visor help %s\" has its options\n", each->command,
                each->all ? "--all stands for names" : "name a domain", each->command);
        return STATUS_USAGE;
    }
    int code = domain_store_open(&store, false, &error);
    if (!code && each->starts) {
        code = protect_all(each, &store, count, words, &error);
        if (code)
            domain_store_close(&store);
    }
    if (code) {
        error_report(&error);
        return STATUS_FAILED;
    }
    if (each->all)
        status = do_all(each, &store);
    for (int i = 0; i < count; i++) {
        struct domain domain;
        error = (struct error)ERROR_INIT;
        if (domain_find(&domain, &store, words[i], &error)) {
            error_report(&error);
            status = STATUS_FAILED;
        } else if (do_one(each, &domain, words[i])) {
            status = STATUS_FAILED;
        }
    }
    domain_store_close(&store);
    return status;
}

int domain_one_open(const char *command, struct domain_store *store, struct domain *domain, const char *word)
{
    struct error error = ERROR_INIT;
    if (!word) {
        fprintf(stderr, "visor: %s: name a domain\n  hint: \"visor ps -a\" lists them\n", command);
        return STATUS_USAGE;
    }
    if (domain_store_open(store, false, &error)) {
        error_report(&error);
        return STATUS_FAILED;
    }
    if (domain_find(domain, store, word, &error) == 0)
        return STATUS_OK;
    error_report(&error);
    domain_store_close(store);
    return STATUS_FAILED;
}

int seconds_parse(const char *text, const char *where, unsigned *seconds, struct error *error)
{
    char *end = NULL;
    unsigned long value = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
    if (!end || *end || value > 86400)
        return error_set(error, -EINVAL, "%s \"%s\" is no number of seconds from 0 to 86400", where, text);
    *seconds = (unsigned)value;
    return 0;
}
