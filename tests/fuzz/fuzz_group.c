/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_group: any bytes as a group's file, and what follows a zero byte as its variables: an error that says
 * something, or a group in whose order each domain comes after those it needs, and whose document gives the
 * same document again.
 */
#include <stdlib.h>
#include <string.h>

#include "group/group.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_order(const struct group *group)
{
    unsigned place[GROUP_DOMAINS_MAX];
    for (unsigned i = 0; i < group->count; i++)
        place[group->order[i]] = i;
    for (unsigned i = 0; i < group->count; i++) {
        for (unsigned j = 0; j < group->domains[i].need_count; j++)
            check(place[group->domains[i].needs[j].domain] < place[i]);
    }
}

static char *document_of(const struct group *group)
{
    json_t *document = group_json(group);
    check(document);
    char *text = json_dumps(document, 0);
    check(text);
    json_decref(document);
    return text;
}

static int read_text(struct group *group, const char *text, size_t size, const char *variables, size_t rest)
{
    static const char *const environment[] = {"HOME=/root", "EMPTY=", NULL};
    struct error error = ERROR_INIT;
    const struct group_source source = {
        .text = text,
        .size = size,
        .path = "fuzz",
        .directory = "/srv/lab",
        .environment = environment,
        .variables = variables,
        .variables_path = ".env",
        .variables_size = rest,
    };
    int code = group_read(group, &source, &error);
    check(!code == !error.code && !code == !error.message[0]);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *zero = size ? memchr(data, 0, size) : NULL;
    const size_t length = zero ? (size_t)(zero - text) : size;
    struct group group, again;
    int code = read_text(&group, text, length, zero ? zero + 1 : NULL, zero ? size - length - 1 : 0);
    if (!code) {
        check_order(&group);
        char *one = document_of(&group);
        if (strlen(one) <= DOMAIN_DOCUMENT_MAX) {
            check(!read_text(&again, one, strlen(one), NULL, 0));
            char *two = document_of(&again);
            check(strcmp(one, two) == 0);
            free(two);
            group_free(&again);
        }
        free(one);
    }
    group_free(&group);
    return 0;
}
