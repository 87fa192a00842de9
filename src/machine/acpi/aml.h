/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aml: writes ACPI's machine language (ACPI specification, "ACPI Machine Language (AML) Specification"), as
 * far as tables that describe hardware need it.
 *
 * What has a length (scopes, devices, methods, packages, resources) is begun and ended; what comes in between
 * is its content. Memory that ran out is found out once, by the buffer's `failed`.
 */
#ifndef VISOR_MACHINE_ACPI_AML_H
#define VISOR_MACHINE_ACPI_AML_H

#include "base/buffer.h"

#define AML_DEPTH 8

struct aml {
    struct buffer *out;
    size_t open[AML_DEPTH]; /* where the contents begin */
    unsigned depth;
    struct buffer resources; /* of the list that is being written */
};

void aml_begin_scope(struct aml *aml, const char *path);
void aml_begin_device(struct aml *aml, const char *name);
void aml_begin_method(struct aml *aml, const char *name, unsigned arguments);
void aml_begin_package(struct aml *aml, unsigned elements);
/* If (variable) {...}; its else belongs to who writes it. */
void aml_begin_if(struct aml *aml, const char *variable);
void aml_end(struct aml *aml);

/* Name (NAME, ...): the object comes next. */
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
/* "PNP0501" as a number. */
void aml_eisa_id(struct aml *aml, const char *id);
/* What a name stands for, in a method. */
void aml_return_name(struct aml *aml, const char *name);
/* Notify (NAME, value), in a method. */
void aml_notify(struct aml *aml, const char *name, unsigned value);
/* NAME = Arg0 */
void aml_store_argument(struct aml *aml, const char *name);

/* Name (_CRS, ResourceTemplate () {...}) */
void aml_begin_resources(struct aml *aml);
void aml_end_resources(struct aml *aml);
void aml_io(struct aml *aml, uint16_t first, uint8_t count);
void aml_irq(struct aml *aml, unsigned irq); /* edge, active high */
void aml_memory32(struct aml *aml, uint32_t start, uint32_t size);
/* What a bridge passes on. */
void aml_bus_window(struct aml *aml, unsigned first, unsigned count);
void aml_io_window(struct aml *aml, unsigned first, unsigned count);
void aml_memory_window(struct aml *aml, uint64_t start, uint64_t size);

#endif
