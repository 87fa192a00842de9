/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/state_domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int state_domain_write(struct state_writer *writer, const struct domain_run *run, json_t *more,
                       struct error *error)
{
    json_t *document =
        json_pack("{s:s, s:s, s:s, s:o}", "version", VISOR_VERSION, "id", run->domain ? run->domain->id : "",
                  "name", run->name, "config", domain_config_json(run->config));
    struct buffer bytes = {0};
    if (document && more)
        json_object_update(document, more);
    json_decref(more);
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    if (!text)
        return error_set(error, -ENOMEM, "out of memory for what is to be saved");
    buffer_append(&bytes, text, strlen(text));
    free(text);
    int code = state_write(writer, &(struct state_section){"domain", .version = 1}, &bytes, error);
    buffer_free(&bytes);
    return code;
}

int state_domain_read(struct state_reader *reader, json_t **document, struct error *error)
{
    struct buffer bytes = {0};
    json_error_t why;
    *document = NULL;
    int code = state_read(reader, "domain", 1, NULL, &bytes, error);
    if (!code && bytes.size <= DOMAIN_DOCUMENT_MAX)
        *document = json_loadb((const char *)bytes.data, bytes.size, JSON_REJECT_DUPLICATES, &why);
    buffer_free(&bytes);
    if (code || json_is_object(*document))
        return code;
    json_decref(*document);
    *document = NULL;
    return error_set(error, -EINVAL, "which domain it was cannot be so");
}

/* A text of the object, if it is one and fits. */
static void take_text(const json_t *document, const char *name, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(document, name));
    if (text && strlen(text) < size)
        strcpy(to, text);
}

int state_domain_open(struct state_domain *saved, int fd, struct error *error)
{
    struct state_reader reader;
    json_t *document = NULL;
    *saved = (struct state_domain){0};
    int code = domain_config_init(&saved->config, error);
    if (!code)
        code = state_reader_open(&reader, fd, error);
    if (!code)
        code = state_domain_read(&reader, &document, error);
    if (!code)
        code = domain_config_load(&saved->config, json_object_get(document, "config"), error);
    if (!code)
        code = domain_config_check(&saved->config, error);
    take_text(document, "id", saved->id, sizeof saved->id);
    take_text(document, "name", saved->name, sizeof saved->name);
    if (strspn(saved->id, "0123456789abcdef") != STORE_ID_DIGITS)
        saved->id[0] = '\0';
    json_decref(document);
    return code;
}

bool state_domain_same(const struct state_domain *saved, const struct domain_config *config)
{
    json_t *one = domain_config_json(&saved->config), *other = domain_config_json(config);
    const bool same = one && other && json_equal(one, other);
    json_decref(one);
    json_decref(other);
    return same;
}

void state_domain_free(struct state_domain *saved)
{
    domain_config_free(&saved->config);
}
