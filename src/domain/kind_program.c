/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kind_program: domains that are Linux programs of another CPU. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "domain/kind.h"

static int program_check(const struct domain_config *config, struct error *error)
{
    if (config->program.command.count)
        return 0;
    error_set(error, -EINVAL, "name the program or the disk to run");
    error_hint(error, "visor run [OPTION…] PROGRAM [ARG…], visor run [OPTION…] IMAGE");
    return -EINVAL;
}

static void program_summary(const struct domain_config *config, char *text, size_t size)
{
    const char *path = config->program.command.items[0], *slash = strrchr(path, '/');
    snprintf(text, size, "%s", slash ? slash + 1 : path);
}

const struct domain_kind domain_kind_program = {
    .name = "program",
    .check = program_check,
    .summary = program_summary,
};
