/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci_check: what the values of a configuration must be, once their types are right; and what the names in it
 * stand for. For oci_config.c. */
#ifndef VISOR_PERSONALITY_CONTAINER_OCI_CHECK_H
#define VISOR_PERSONALITY_CONTAINER_OCI_CHECK_H

#include "personality/container/oci_config.h"

/* Fills the members that are derived from others. -EINVAL. */
int oci_check_config(struct oci_config *config, struct error *error);
/* The process of `exec`, whose arguments are required. */
int oci_check_process(struct json_binding *binding, struct oci_process *process, struct error *error);

#endif
