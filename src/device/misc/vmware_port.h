/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmware_port: the port by which guests that know VMware ask what they run on: an IN from it is a call, with
 * arguments and results in registers (VMware: open-vm-tools, backdoor_def.h, backdoor_types.h). The version,
 * the size of memory and what processors are like; other commands, messages to the host above all, answer
 * that there are none, as a VMware that has them not does. Nothing of it changes, so nothing is saved.
 */
#ifndef VISOR_DEVICE_MISC_VMWARE_PORT_H
#define VISOR_DEVICE_MISC_VMWARE_PORT_H

#include <stdbool.h>

#include "memory/io_space.h"

#define VMWARE_PORT  0x5658
#define VMWARE_MAGIC 0x564d5868u /* in EAX, or it is no call */

/* In CX. */
enum vmware_command {
    VMWARE_GET_VERSION = 10,    /* EAX: 6; EBX: the magic; ECX: the product */
    VMWARE_GET_MEMORY = 20,     /* EAX: MiB */
    VMWARE_GET_PROCESSORS = 68, /* EAX: bits */
};

enum { VMWARE_VERSION = 6, VMWARE_PRODUCT_ESX = 2 };
/* x2APIC mode needs no remapping of interrupts. */
enum { VMWARE_PROCESSORS_X2APIC = 1 << 3 };

struct vmware_port {
    struct io_call call;
    uint64_t memory; /* bytes */
    bool x2apic;
};

/* The struct stays the caller's, for as long as the I/O space lives. */
void vmware_port_attach(struct vmware_port *port, struct io_space *io, uint64_t memory, bool x2apic);

#endif
