/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/misc/vmware_port.h"

#include "arch/x86/state.h"
#include "base/macros.h"

/* What is read where nothing is says as well that there is no such command. */
#define NOTHING UINT32_MAX

static uint32_t serve(const struct vmware_port *port, uint64_t *registers)
{
    if ((uint32_t)registers[X86_RAX] != VMWARE_MAGIC)
        return NOTHING;
    switch ((uint16_t)registers[X86_RCX]) {
    case VMWARE_GET_VERSION:
        registers[X86_RBX] = VMWARE_MAGIC;
        registers[X86_RCX] = VMWARE_PRODUCT_ESX;
        return VMWARE_VERSION;
    case VMWARE_GET_MEMORY: return (uint32_t)MIN(port->memory >> 20, UINT32_MAX);
    case VMWARE_GET_PROCESSORS: return port->x2apic ? VMWARE_PROCESSORS_X2APIC : 0;
    default: return NOTHING;
    }
}

static void call(void *opaque, uint64_t *registers)
{
    registers[X86_RAX] = serve(opaque, registers);
}

void vmware_port_attach(struct vmware_port *port, struct io_space *io, uint64_t memory, bool x2apic)
{
    *port = (struct vmware_port){.call = {VMWARE_PORT, call, port}, .memory = memory, .x2apic = x2apic};
    io->call = &port->call;
}
