/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/pci/vfio_pci.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/pci/vfio_pci_private.h"

/* -- interrupts ------------------------------------------------------------------------------------------ */

static enum vfio_interrupt wanted_kind(const struct vfio_pci *v)
{
    return pci_msix_enabled(&v->pci)          ? VFIO_MSIX
           : pci_msi_enabled(&v->pci)         ? VFIO_MSI
           : v->pci.config[PCI_INTERRUPT_PIN] ? VFIO_INTX
                                              : VFIO_NONE;
}

/* All vectors at once: which of them the guest has masked is kept here. */
static void follow_interrupts(struct vfio_pci *v)
{
    const enum vfio_interrupt kind = wanted_kind(v);
    const unsigned count = kind == VFIO_MSIX ? v->pci.msix_count : kind ? 1 : 0;
    struct error error = ERROR_INIT;
    if (kind == v->kind)
        return;
    v->kind = kind;
    pci_set_intx(&v->pci, false);
    if (v->host->ops->interrupts(v->host, kind, count, &error))
        error_report(&error);
}

static void interrupted(void *opaque, enum vfio_interrupt kind, unsigned vector)
{
    struct vfio_pci *v = opaque;
    if (kind != v->kind)
        return;
    switch (kind) {
    case VFIO_INTX: pci_set_intx(&v->pci, true); break;
    case VFIO_MSI: pci_msi_send(&v->pci); break;
    case VFIO_MSIX: pci_msix_send(&v->pci, vector); break;
    case VFIO_NONE:
    case VFIO_INTERRUPTS: break;
    }
}

/* If it still asks, the host says so at once. */
static void intx_ended(void *opaque)
{
    struct vfio_pci *v = opaque;
    if (!v->pci.intx)
        return;
    pci_set_intx(&v->pci, false);
    v->host->ops->unmask(v->host);
}

static void failed(void *opaque, const char *reason)
{
    const struct vfio_pci *v = opaque;
    if (v->failed)
        v->failed(v->opaque, v->host->address, reason);
}

/* -- base address registers ------------------------------------------------------------------------------ */

static bool within(const struct vfio_part *part, unsigned bar, uint64_t offset, unsigned size)
{
    return part->size && part->bar == bar && offset >= part->offset &&
           offset - part->offset <= part->size - MIN((uint64_t)size, part->size);
}

static uint64_t bar_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct vfio_bar *bar = opaque;
    struct vfio_pci *v = bar->device;
    uint64_t value = 0;
    if (within(&v->table, bar->index, offset, size))
        return pci_msix_table_read(&v->pci, offset - v->table.offset, size);
    if (within(&v->pending, bar->index, offset, size))
        return pci_msix_pending_read(&v->pci, offset - v->pending.offset, size);
    if (offset + size > v->host->regions[bar->index].size)
        return UINT64_MAX;
    v->host->ops->read(v->host, bar->index, offset, &value, size);
    return value;
}

static void bar_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    const struct vfio_bar *bar = opaque;
    struct vfio_pci *v = bar->device;
    if (within(&v->table, bar->index, offset, size))
        pci_msix_table_write(&v->pci, offset - v->table.offset, size, value);
    else if (!within(&v->pending, bar->index, offset, size) &&
             offset + size <= v->host->regions[bar->index].size)
        v->host->ops->write(v->host, bar->index, offset, &value, size);
}

static const struct access_ops bar_ops = {bar_read, bar_write, 8};
static const struct access_ops port_ops = {bar_read, bar_write, 4};

/* What is mapped goes where its register has gone. */
static void follow_bars(struct vfio_pci *v)
{
    for (unsigned i = 0; i < v->piece_count; i++) {
        const struct vfio_piece *piece = &v->pieces[i];
        const struct memory_region *bar = v->pci.bars[piece->bar].region;
        memory_region_place(piece->region, bar->enabled ? bar->base + piece->offset : 0, bar->enabled, NULL);
    }
}

/* -- configuration space --------------------------------------------------------------------------------- */

/* Decoding stays on, since the host's mappings end with it; mastering is the guest's to allow. */
static void write_command(struct vfio_pci *v)
{
    const uint16_t command =
        PCI_COMMAND_IO | PCI_COMMAND_MEMORY | (pci_is_master(&v->pci) ? PCI_COMMAND_MASTER : 0);
    if (command == v->command)
        return;
    v->command = command;
    v->host->ops->write(v->host, VFIO_CONFIG, PCI_COMMAND, &command, sizeof command);
}

static unsigned count_passed(const struct vfio_pci *v, unsigned offset, unsigned size)
{
    unsigned count = 0;
    for (unsigned i = 0; i < size; i++)
        count += v->passed[offset + i];
    return count;
}

static void config_reading(void *opaque, unsigned offset, unsigned size)
{
    struct vfio_pci *v = opaque;
    uint8_t bytes[4];
    if (!count_passed(v, offset, size))
        return;
    v->host->ops->read(v->host, VFIO_CONFIG, offset, bytes, size);
    for (unsigned i = 0; i < size; i++)
        if (v->passed[offset + i])
            v->pci.config[offset + i] = bytes[i];
}

static void config_written(void *opaque, unsigned offset, unsigned size)
{
    struct vfio_pci *v = opaque;
    const unsigned count = count_passed(v, offset, size);
    if (count == size)
        v->host->ops->write(v->host, VFIO_CONFIG, offset, &v->pci.config[offset], size);
    for (unsigned i = offset; count < size && i < offset + size; i++)
        if (v->passed[i])
            v->host->ops->write(v->host, VFIO_CONFIG, i, &v->pci.config[i], 1);
    write_command(v);
    follow_bars(v);
    follow_interrupts(v);
}

static const struct pci_device_ops pci_ops = {
    .config_reading = config_reading,
    .config_written = config_written,
    .intx_ended = intx_ended,
};

/* -- the device ------------------------------------------------------------------------------------------ */

/* Without mastering first: from here on it writes nothing into memory any more, whether the host can reset it
 * or not. */
static void vfio_reset(void *opaque)
{
    struct vfio_pci *v = opaque;
    v->host->ops->interrupts(v->host, VFIO_NONE, 0, NULL);
    v->kind = VFIO_NONE;
    pci_device_reset(&v->pci);
    v->command = 0;
    write_command(v);
    v->host->ops->reset(v->host);
    v->command = 0;
    write_command(v);
    follow_bars(v);
    follow_interrupts(v);
}

static const struct device_type vfio_type = {
    .name = "vfio-pci",
    .version = 1,
    .unsaved = true,
    .reset = vfio_reset,
};

int vfio_pci_new(struct vfio_pci **out, const struct vfio_pci_place *place, struct error *error)
{
    struct vfio_pci *v = calloc(1, sizeof *v);
    if (!v)
        return error_set(error, -ENOMEM, "no memory for device \"%s\"", place->host->address);
    v->host = place->host;
    v->failed = place->failed;
    v->opaque = place->opaque;
    int code = vfio_pci_make(v, place->bus, &pci_ops, error);
    if (!code)
        code = vfio_pci_make_bars(v, &bar_ops, &port_ops, error);
    if (!code)
        code = devices_add(place->devices, &vfio_type, v->host->address, v, error);
    if (code) {
        vfio_pci_free(v);
        return code;
    }
    v->host->client = (struct vfio_client){interrupted, failed, v};
    *out = v;
    return 0;
}

void vfio_pci_free(struct vfio_pci *v)
{
    v->host->client = (struct vfio_client){0};
    v->host->ops->interrupts(v->host, VFIO_NONE, 0, NULL);
    if (v->pci.bus) {
        for (unsigned i = 0; i < v->piece_count; i++)
            memory_region_remove(v->pieces[i].region, NULL);
        pci_device_remove(&v->pci);
        memory_map_reclaim(v->memory);
    }
    for (unsigned i = 0; i < v->piece_count; i++) {
        memory_backing_free(v->pieces[i].backing);
        v->host->ops->unmap(v->host, v->pieces[i].host, v->pieces[i].size);
    }
    free(v);
}
