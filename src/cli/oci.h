/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * oci: what the commands of `visor oci` share: the options that stand before the command, and how errors are
 * told.
 */
#ifndef VISOR_CLI_OCI_H
#define VISOR_CLI_OCI_H

#include <stdbool.h>

#include "cli/command.h"

struct error;
struct container_new;

struct oci_options {
    const char *state_root;
    const char *log; /* errors go there, too; or NULL */
    bool log_json, debug, systemd_cgroup;
};
extern struct oci_options oci_options;

/* Tells the error on standard error, and in the log if there is one. STATUS_FAILED. */
int oci_fail(const struct error *error);
/* The words after the options must be this many at least and at most; else reported, false. */
bool oci_check_words(const struct command *command, int count, int least, int most);
/* An option's number; -EINVAL. */
int oci_parse_number(const char *text, const char *option, unsigned *number, struct error *error);

/* Stays with a process that was made: its terminal is ours, our signals are its. Its exit status, as shells
 * have it. */
int oci_foreground(struct container_new *made);
/* Before the process is made: signals wait until oci_foreground(). */
void oci_hold_signals(void);

extern const struct command oci_checkpoint, oci_create, oci_delete, oci_exec, oci_features, oci_kill,
    oci_list, oci_pause, oci_ps, oci_restore, oci_resume, oci_run, oci_spec, oci_start, oci_state, oci_update;
extern const struct command *const oci_commands[]; /* ends with NULL */

#endif
