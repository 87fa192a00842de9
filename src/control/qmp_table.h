/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qmp_table: short forms for files that are mostly tables of commands and their types. */
#ifndef VISOR_CONTROL_QMP_TABLE_H
#define VISOR_CONTROL_QMP_TABLE_H

#include "control/qmp.h"

/* A command's function, and what stands first in one that does not use all that it is given. */
#define QMP_COMMAND(name)                                                                                    \
    static int name(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
#define QMP_UNUSED (void)call, (void)arguments, (void)result, (void)error

/* Types `name`, of these strings or fields; `name`_array is an array of them. */
#define QMP_ENUM_OF(name, ...)                                                                               \
    static const char *const name##_values[] = {__VA_ARGS__, NULL};                                          \
    static const struct qmp_type name = {.kind = QMP_ENUM, .values = name##_values}
#define QMP_OBJECT_OF(name, ...)                                                                             \
    static const struct qmp_field name##_fields[] = {__VA_ARGS__, {0}};                                      \
    static const struct qmp_type name = {.kind = QMP_OBJECT, .fields = name##_fields}
#define QMP_ARRAY_OF(name) static const struct qmp_type name##_array = {.kind = QMP_ARRAY, .element = &name}

#endif
