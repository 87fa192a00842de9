/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/vsock/option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool vsock_option_is_kernel(const char *text)
{
    return strncmp(text, VSOCK_OPTION_KERNEL, strlen(VSOCK_OPTION_KERNEL)) == 0;
}

int vsock_option_parse(struct vsock_option *option, const char *text, struct error *error)
{
    *option = (struct vsock_option){0};
    if (!*text)
        return error_set(error, -EINVAL, "the path is empty");
    if (!vsock_option_is_kernel(text)) {
        option->path = text;
        return 0;
    }
    if (strcmp(text, VSOCK_OPTION_AUTO) == 0)
        return 0;
    const char *number = text + strlen(VSOCK_OPTION_KERNEL);
    char *end;
    const unsigned long long value = *number >= '0' && *number <= '9' ? strtoull(number, &end, 10) : 0;
    if (value >= VSOCK_CID_FIRST && value <= VSOCK_CID_LAST && !*end) {
        option->cid = (uint32_t)value;
        return 0;
    }
    error_set(error, -EINVAL, "a guest's context (CID) is %u to %u, or auto", VSOCK_CID_FIRST,
              VSOCK_CID_LAST);
    error_hint(error, "a path that begins with %s is written ./%s...", VSOCK_OPTION_KERNEL,
               VSOCK_OPTION_KERNEL);
    return -EINVAL;
}
