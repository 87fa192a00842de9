/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run_control: what "visor run --qmp" says and does: a control socket beside a machine that runs in front. */
#ifndef VISOR_CLI_RUN_CONTROL_H
#define VISOR_CLI_RUN_CONTROL_H

#include "machine/machine.h"

/* unix:PATH[,server[=on]][,wait=off], as QEMU's users write it. `path`, an allocated copy that stays in the
 * process; a comma in it is written twice. -EINVAL with the reason. */
int run_control_parse(const char *text, char **path, struct error *error);

struct run_control {
    struct qmp_server *server;
    struct machine_qmp *machine;
};

/* For a machine that does not run yet. On failure nothing is left. */
int run_control_start(struct run_control *control, struct machine *machine, const char *path,
                      struct error *error);
/* The machine has ended; before it is freed. Nothing for one that was not started. */
void run_control_stop(struct run_control *control);

#endif
