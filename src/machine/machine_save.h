/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine_save: a whole machine as sections of a saved state (state/state_file.h): processors, devices,
 * memory, the clock. What is at the other end of its disks, networks and terminals is not in them. It belongs
 * to the guest's architecture and the board, not to the engine: another engine loads it as well.
 *
 * The sections, all numbers little endian; docs/state.md says more:
 *
 * - "machine": what must be the same: u8 length and name of the board, u64 bytes of RAM, u32 vCPUs, u32
 *   length and the processor's model (13 bytes vendor, u32 family, model, stepping, u32 features[],
 *   u8 physical bits, linear bits, last leaf)
 * - "clock": u64 nanoseconds since power-on, u64 nanoseconds since 1970 of the host's clock then
 * - "vcpus": their registers, as devices "vcpu0" and so on: see device.h
 * - "devices": likewise
 * - "memory": where in the file the pages are that are not zero: machine_memory.h
 */
#ifndef VISOR_MACHINE_MACHINE_SAVE_H
#define VISOR_MACHINE_MACHINE_SAVE_H

#include "machine/machine.h"
#include "state/state_file.h"

struct machine_save_options {
    bool compress; /* the memory: smaller, and slower both ways */
    int64_t now;   /* nanoseconds since 1970 */
};

/* Whether a machine like this can be saved at all. -ENOTSUP: it has a device that cannot. */
int machine_check_saved(const struct machine *machine, struct error *error);
/* Of a machine that is paused, or not on yet; under its lock. -EBUSY: it runs. */
int machine_save(struct machine *machine, struct state_writer *writer,
                 const struct machine_save_options *options, struct error *error);

/* The machine was saved plainly to this file, and nothing has changed since: its memory is mapped from there,
 * and shared with all that do so. The file stays as it is from then on. After an error the machine can only
 * be freed. */
int machine_share(struct machine *machine, int fd, struct error *error);

struct machine_load_options {
    bool copy;   /* not the only one that goes on from there: it gets a generation of its own */
    bool eager;  /* all of the memory is read, and its checksums looked at, before it runs */
    int64_t now; /* nanoseconds since 1970: the guest's real-time clock goes on by what has passed */
};

/* Into a machine of the same configuration that is not on yet, under its lock; when it is switched on, it
 * goes on where the other one was. Unless `eager` is set the memory is mapped from the file, which must then
 * stay as it is. All sections that the file has must have been read by somebody. After an error it is as it
 * was, or only fit to be freed: -EINVAL, what was saved does not fit, or is damaged. */
int machine_load(struct machine *machine, struct state_reader *reader,
                 const struct machine_load_options *options, struct error *error);

/* The processors' model is to be that of the saved machine, of which `model`, what this host would give it,
 * must have all features. -EINVAL: it has not. */
int machine_load_model(struct x86_model *model, struct state_reader *reader, struct error *error);

/* What the devices of a machine like the saved one are to be: `saved` of struct machine_config. */
int machine_load_devices(struct buffer *saved, struct state_reader *reader, struct error *error);

/* The registers of a vCPU among devices. */
struct machine_vcpu_state {
    struct x86_state state;
};
extern const struct device_type machine_vcpu_type;

#endif
