/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host shows of a device, and what becomes of it on the machine's bus. Nothing that is read here is
 * believed: a device may say anything. Sections are those of PCI 3.0, but where another specification is
 * named. */
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "device/pci/vfio_pci_private.h"

#define FIRST_CAPABILITY 0x40
#define HEADER_LATENCY   0x0d
#define HEADER_GRANT     0x3e /* and the next: how often it wants the bus */
#define BAR_SIZE_MOST    (UINT64_C(1) << 45)
#define BAR_PRIORITY     (-9) /* above what base address registers have, below all else */
#define POWER_SIZE       8
#define MSIX_SIZE        12

/* What a device is, as it is read. */
struct shown {
    uint8_t bytes[PCI_CONFIG_SIZE];
    bool taken[PCI_CONFIG_SIZE]; /* by a capability that has been seen */
};

static uint32_t get(const struct shown *shown, unsigned offset, unsigned size)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)shown->bytes[offset + i] << (8 * i);
    return value;
}

static void pass(struct vfio_pci *v, unsigned offset, unsigned size)
{
    for (unsigned i = offset; i < offset + size; i++) {
        v->passed[i] = true;
        pci_config_set(&v->pci, i, 1, 0, 0xff);
    }
}

/* As it is, for good. */
static void keep(struct vfio_pci *v, const struct shown *shown, unsigned offset, unsigned size)
{
    for (unsigned i = offset; i < offset + size; i++) {
        v->passed[i] = false;
        pci_config_set(&v->pci, i, 1, shown->bytes[i], 0);
    }
}

static void blank(struct vfio_pci *v, unsigned offset, unsigned size)
{
    for (unsigned i = offset; i < offset + size; i++) {
        v->passed[i] = false;
        pci_config_set(&v->pci, i, 1, 0, 0);
    }
}

/* -- capabilities ---------------------------------------------------------------------------------------- */

/* PCI power management 1.2, section 3.2. The guest sets a power state that the device never has, since what
 * is mapped of it would be gone in others; so it forgets nothing on the way back, and it raises no events. */
static bool make_power(struct vfio_pci *v, const struct shown *shown, unsigned at)
{
    enum { ABILITIES = 2, CONTROL = 4, EVENTS = 0xf800, STATE = 3, NO_SOFT_RESET = 8 };
    blank(v, at + 2, POWER_SIZE - 2);
    pci_config_set(&v->pci, at + ABILITIES, 2, get(shown, at + ABILITIES, 2) & ~(uint32_t)EVENTS, 0);
    pci_config_set(&v->pci, at + CONTROL, 2, NO_SOFT_RESET, STATE);
    return true;
}

static unsigned msi_size(const struct shown *shown, unsigned at)
{
    const uint32_t control = at + 4 <= PCI_CONFIG_SIZE ? get(shown, at + 2, 2) : 0;
    return 10u + (control & PCI_MSI_64 ? 4 : 0) + (control & PCI_MSI_MASKING ? 10 : 0);
}

static bool make_msi(struct vfio_pci *v, const struct shown *shown, unsigned at)
{
    if (!v->host->vectors[VFIO_MSI] || v->pci.msi_capability)
        return false;
    blank(v, at + 2, msi_size(shown, at) - 2);
    pci_msi_place(&v->pci, at, (uint16_t)get(shown, at + 2, 2));
    return true;
}

/* Whether a base address register has it. */
static bool part_is_there(const struct vfio_pci *v, const struct vfio_part *part)
{
    return part->bar < VFIO_BARS && part->size <= v->host->regions[part->bar].size &&
           part->offset <= v->host->regions[part->bar].size - part->size;
}

static bool make_msix(struct vfio_pci *v, const struct shown *shown, unsigned at)
{
    const unsigned all = (get(shown, at + 2, 2) & 0x7ff) + 1,
                   count = MIN(MIN(all, v->host->vectors[VFIO_MSIX]), (unsigned)PCI_MSIX_MAX);
    const uint32_t table_word = get(shown, at + 4, 4), pending_word = get(shown, at + 8, 4);
    const struct vfio_part table = {table_word & 7, table_word & ~7u, count * UINT64_C(16)},
                           pending = {pending_word & 7, pending_word & ~7u, 8};
    if (!count || v->pci.msix_capability || !part_is_there(v, &table) || !part_is_there(v, &pending))
        return false;
    v->table = table;
    v->pending = pending;
    v->table_size = all * UINT64_C(16);
    blank(v, at + 2, MSIX_SIZE - 2);
    pci_msix_place(&v->pci, at, count, table_word, pending_word);
    return true;
}

static unsigned vendor_size(const struct shown *shown, unsigned at)
{
    return shown->bytes[at + 2];
}

/* PCI Express 3.0, section 7.8. There is no port above the device, so it says that it is a part of the root
 * complex, which has no link. */
static unsigned express_size(const struct shown *shown, unsigned at)
{
    return (shown->bytes[at + 2] & 15) >= 2 ? 0x3c : 0x14;
}

static bool make_express(struct vfio_pci *v, const struct shown *shown, unsigned at)
{
    enum { TYPE = 0xf0, LINK = 0x0c, LINK_SIZE = 8, LINK_2 = 0x2c };
    const unsigned type = shown->bytes[at + 2] & TYPE;
    if (type > 0x10 && type != 0x90) /* neither an endpoint, a legacy endpoint, nor one such already */
        return false;
    keep(v, shown, at + 2, 2);
    pci_config_set(&v->pci, at + 2, 1, (shown->bytes[at + 2] & ~(unsigned)TYPE) | 0x90, 0);
    blank(v, at + LINK, LINK_SIZE);
    if (express_size(shown, at) > LINK_2)
        blank(v, at + LINK_2, LINK_SIZE);
    return true;
}

/* The others, which are about the bus or of buses of the past, a guest does not find. */
static const struct {
    uint8_t id, size;                                            /* bytes, with the header; 0: */
    unsigned (*measure)(const struct shown *shown, unsigned at); /* says so */
    /* NULL: what is behind the header is the device's own. False: the guest does not find it after all. */
    bool (*make)(struct vfio_pci *v, const struct shown *shown, unsigned at);
} kinds[] = {
    {PCI_CAPABILITY_POWER, POWER_SIZE, NULL, make_power},
    {PCI_CAPABILITY_VPD, 8, NULL, NULL},
    {PCI_CAPABILITY_MSI, 0, msi_size, make_msi},
    {PCI_CAPABILITY_VENDOR, 0, vendor_size, NULL},
    {PCI_CAPABILITY_EXPRESS, 0, express_size, make_express},
    {PCI_CAPABILITY_MSIX, MSIX_SIZE, NULL, make_msix},
    {PCI_CAPABILITY_SATA, 8, NULL, NULL},
    {PCI_CAPABILITY_FEATURES, 6, NULL, NULL},
};

/* Those that share bytes with an earlier one cannot be. */
static bool take(struct shown *shown, unsigned at, unsigned size)
{
    if (size < 3 || at + size > PCI_CONFIG_SIZE)
        return false;
    for (unsigned i = at; i < at + size; i++)
        if (shown->taken[i])
            return false;
    memset(&shown->taken[at], true, size);
    return true;
}

static void make_capability(struct vfio_pci *v, struct shown *shown, unsigned at)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i].id != shown->bytes[at])
            continue;
        const unsigned size = kinds[i].measure ? kinds[i].measure(shown, at) : kinds[i].size;
        if (!take(shown, at, size) || (kinds[i].make && !kinds[i].make(v, shown, at)))
            return;
        blank(v, at, 2);
        pci_capability_place(&v->pci, at, kinds[i].id);
    }
}

static void make_capabilities(struct vfio_pci *v, struct shown *shown)
{
    bool seen[PCI_CONFIG_SIZE] = {false};
    if (!(get(shown, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES))
        return;
    for (unsigned at = shown->bytes[PCI_CAPABILITIES] & ~3u; at >= FIRST_CAPABILITY && !seen[at];
         at = shown->bytes[at + 1] & ~3u) {
        seen[at] = true;
        make_capability(v, shown, at);
    }
}

/* -- the header ------------------------------------------------------------------------------------------ */

int vfio_pci_make(struct vfio_pci *v, struct pci_bus *bus, const struct pci_device_ops *ops,
                  struct error *error)
{
    struct shown shown = {0};
    const char *address = v->host->address;
    if (!v->host->ops->read(v->host, VFIO_CONFIG, 0, shown.bytes, PCI_CONFIG_SIZE) ||
        get(&shown, PCI_VENDOR_ID, 2) == 0xffff)
        return error_set(error, -EIO, "PCI device %s does not answer", address);
    if (shown.bytes[PCI_HEADER_TYPE] & 0x7f)
        return error_set(error, -ENOTSUP, "PCI device %s is a bridge, which no machine can be given",
                         address);
    const struct pci_identity identity = {
        .vendor = (uint16_t)get(&shown, PCI_VENDOR_ID, 2),
        .device = (uint16_t)get(&shown, PCI_DEVICE_ID, 2),
        .subsystem_vendor = (uint16_t)get(&shown, PCI_SUBSYSTEM_VENDOR_ID, 2),
        .subsystem = (uint16_t)get(&shown, PCI_SUBSYSTEM_ID, 2),
        .revision = shown.bytes[PCI_REVISION],
        .class = get(&shown, PCI_CLASS, 3),
        .interrupt = v->host->vectors[VFIO_INTX],
    };
    const int code = pci_device_add(bus, PCI_SLOT_ANY, &v->pci, address, &identity, ops, v, error);
    if (code)
        return code;
    v->memory = bus->wiring.memory;
    pci_config_set(&v->pci, HEADER_LATENCY, 1, 0, 0xff);
    keep(v, &shown, HEADER_GRANT, 2);
    pass(v, FIRST_CAPABILITY, PCI_CONFIG_SIZE - FIRST_CAPABILITY);
    make_capabilities(v, &shown);
    pass(v, PCI_STATUS + 1, 1); /* errors that were seen, cleared by ones */
    return 0;
}

/* -- base address registers ------------------------------------------------------------------------------ */

static int add_piece(struct vfio_pci *v, unsigned bar, uint64_t start, uint64_t end, struct error *error)
{
    struct vfio_piece *piece = &v->pieces[v->piece_count];
    *piece = (struct vfio_piece){.bar = bar, .offset = start, .size = end - start};
    if (start >= end || v->piece_count == VFIO_PIECES ||
        v->host->ops->map(v->host, bar, start, end - start, &piece->host))
        return 0; /* by way of visor, then */
    piece->backing = memory_backing_wrap(v->host->address, piece->host, piece->size, error);
    if (piece->backing)
        piece->region = memory_add_ram(v->memory, v->host->address, 0, piece->size, BAR_PRIORITY,
                                       piece->backing, 0, error);
    if (piece->region) {
        v->piece_count++;
        return memory_region_place(piece->region, 0, false, error);
    }
    if (piece->backing)
        memory_backing_free(piece->backing);
    v->host->ops->unmap(v->host, piece->host, piece->size);
    return error->code;
}

/* Of an area that can be mapped, what is beside MSI-X's pages. */
static int add_pieces(struct vfio_pci *v, unsigned bar, const struct vfio_area *area, struct error *error)
{
    const struct vfio_part own[2] = {{v->table.bar, v->table.offset, v->table.size ? v->table_size : 0},
                                     v->pending};
    uint64_t start = area->offset, end = area->offset + area->size;
    int code = 0;
    while (!code && start < end) {
        uint64_t hole = end, behind = end;
        for (unsigned i = 0; i < 2; i++) {
            const uint64_t from = ALIGN_DOWN(own[i].offset, MEMORY_PAGE_SIZE),
                           to = ALIGN_UP(own[i].offset + own[i].size, MEMORY_PAGE_SIZE);
            if (own[i].size && own[i].bar == bar && to > start && from < hole) {
                hole = from;
                behind = to;
            }
        }
        code = add_piece(v, bar, start, MAX(hole, start), error);
        start = behind;
    }
    return code;
}

static int make_bar(struct vfio_pci *v, unsigned index, uint32_t value, const struct access_ops *ops,
                    struct error *error)
{
    const struct vfio_region *region = &v->host->regions[index];
    const bool io = value & PCI_BAR_IO;
    const unsigned flags = io ? PCI_BAR_IO : value & (PCI_BAR_64 | PCI_BAR_PREFETCHABLE);
    if (region->size > (io ? 0x10000 : BAR_SIZE_MOST))
        return error_set(error, -ENOTSUP, "PCI device %s has a base address register of %#llx bytes",
                         v->host->address, (unsigned long long)region->size);
    v->bars[index] = (struct vfio_bar){v, index};
    int code = pci_bar_add(&v->pci, index, flags, region->size, ops, &v->bars[index], error);
    for (unsigned i = 0; !code && !io && i < region->area_count; i++)
        code = add_pieces(v, index, &region->areas[i], error);
    return code;
}

int vfio_pci_make_bars(struct vfio_pci *v, const struct access_ops *memory, const struct access_ops *ports,
                       struct error *error)
{
    int code = 0;
    for (unsigned i = 0; !code && i < VFIO_BARS; i++) {
        uint32_t value = 0;
        if (!v->host->regions[i].size)
            continue;
        if (!v->host->ops->read(v->host, VFIO_CONFIG, PCI_BAR0 + 4 * i, &value, sizeof value))
            return error_set(error, -EIO, "PCI device %s does not answer", v->host->address);
        const bool wide = !(value & PCI_BAR_IO) && (value & PCI_BAR_64) && i + 1 < VFIO_BARS;
        if (!wide && !(value & PCI_BAR_IO))
            value &= ~(uint32_t)PCI_BAR_64;
        code = make_bar(v, i, value, value & PCI_BAR_IO ? ports : memory, error);
        i += wide;
    }
    return code;
}
