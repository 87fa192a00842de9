/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * oci_names: the names of the OCI specification and the kernel's numbers they stand for, as tables.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_OCI_NAMES_H
#define VISOR_PERSONALITY_CONTAINER_OCI_NAMES_H

#include <stdbool.h>
#include <stdint.h>

struct oci_name {
    const char *name;
    uint64_t value;
};

/* Each ends with a row without name. */
extern const struct oci_name oci_namespace_names[];     /* "mount": CLONE_NEWNS */
extern const struct oci_name oci_rlimit_names[];        /* RLIMIT_* */
extern const struct oci_name oci_propagation_names[];   /* "rslave": MS_SLAVE | MS_REC */
extern const struct oci_name oci_scheduler_names[];     /* SCHED_* */
extern const struct oci_name oci_scheduler_flags[];     /* SCHED_FLAG_* */
extern const struct oci_name oci_io_class_names[];      /* IOPRIO_CLASS_* */
extern const struct oci_name oci_capability_names[];    /* CAP_* */
extern const struct oci_name oci_signal_names[];        /* without "SIG" */
extern const struct oci_name oci_personality_names[];   /* PER_* of personality(2) */
extern const struct oci_name oci_memory_policy_names[]; /* MPOL_* of set_mempolicy(2) */
extern const struct oci_name oci_memory_policy_flags[];

/* False: the table does not have it. */
bool oci_name_find(const struct oci_name *table, const char *name, uint64_t *value);

/* The name of one kind of namespace in /proc/PID/ns: CLONE_NEWNS is "mnt". */
const char *oci_namespace_file(uint64_t flag);

/* "KILL", "SIGKILL", "9", "SIGRTMIN+3". Negative: none. */
int oci_signal_number(const char *name);

#endif
