/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_domain_config: any bytes as a domain's configuration: an error that says something, or a configuration
 * whose document gives the same document again.
 */
#include <stdlib.h>
#include <string.h>

#include "domain/kind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static char *document_of(const struct domain_config *config)
{
    json_t *document = domain_config_json(config);
    check(document);
    char *text = json_dumps(document, JSON_SORT_KEYS);
    check(text);
    json_decref(document);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct domain_config config, again;
    struct error error = ERROR_INIT;
    check(!domain_config_init(&config, &error) && !domain_config_init(&again, &error));
    if (domain_config_parse(&config, (const char *)data, size, "fuzz", &error)) {
        check(error.code < 0 && error.message[0]);
    } else {
        char *one = document_of(&config);
        check(!domain_config_parse(&again, one, strlen(one), "again", &error));
        char *two = document_of(&again);
        check(strcmp(one, two) == 0);
        free(one);
        free(two);
        if (domain_config_check(&config, &error) == 0) {
            char text[64];
            domain_kind_of(&config)->summary(&config, text, sizeof text);
        }
    }
    domain_config_free(&config);
    domain_config_free(&again);
    return 0;
}
