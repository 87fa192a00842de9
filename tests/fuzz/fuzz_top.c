/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest says when it is asked for its processes. */
#include <stdlib.h>
#include <string.h>

#include "base/visible.h"
#include "domain/top.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct domain_process *list;
    struct error error = ERROR_INIT;
    unsigned count;
    if (domain_top_parse((const char *)data, size, &list, &count, &error))
        return 0;
    for (unsigned i = 0; i < count; i++) { /* nothing in it commands a terminal */
        struct domain_process again = list[i];
        visible_make(again.command, strlen(again.command));
        visible_make(again.user, strlen(again.user));
        if (strcmp(again.command, list[i].command) != 0 || strcmp(again.user, list[i].user) != 0 ||
            list[i].pid <= 0)
            abort();
    }
    free(list);
    return 0;
}
