/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine_save: a whole machine as bytes: processors, devices, memory, the clock. What is at the other end of
 * its disks, networks and terminals is not in them.
 *
 * The saved form (all numbers little endian):
 *
 * - "VMCH", u32 format (1)
 * - what must be the same: u8 length and name of the board, u64 bytes of RAM, u32 vCPUs, u32 length and the
 *   processor's model (13 bytes vendor, u32 family, model, stepping, u32 features[], u8 physical bits, linear
 *   bits, last leaf)
 * - u64 the clock: nanoseconds since power-on
 * - u64 length and the vCPUs' registers, as devices "vcpu0" and so on: see device.h
 * - u64 length and the devices
 * - RAM: runs of pages that are not zero, in order: u64 first page, u32 pages, the bytes; after the last
 *   u64 FFFFFFFFFFFFFFFFh
 */
#ifndef VISOR_MACHINE_MACHINE_SAVE_H
#define VISOR_MACHINE_MACHINE_SAVE_H

#include "base/buffer.h"
#include "machine/machine.h"

/* Of a machine that is paused, or not on yet; under its lock. -EBUSY: it runs. */
int machine_save(struct machine *machine, struct buffer *buffer, struct error *error);
/* Into a machine of the same configuration that is not on yet, under its lock; when it is switched on, it
 * goes on where the other one was. After an error it is as it was, or only fit to be freed: -EINVAL, what was
 * saved does not fit, or is damaged. */
int machine_load(struct machine *machine, const void *data, size_t size, struct error *error);

/* The registers of a vCPU among devices. */
struct machine_vcpu_state {
    struct x86_state state;
};
extern const struct device_type machine_vcpu_type;

#endif
