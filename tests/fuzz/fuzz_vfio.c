/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_vfio: a PCI device of the host's whose configuration space, sizes, areas and counts are anything,
 * under a guest that does anything to it, while it interrupts at any time; and answers of VFIO's, with chains
 * of capabilities that lead anywhere. Nothing crashes; nothing of the device is reached, or mapped, beyond
 * what it has; MSI-X's table is never mapped. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/vfio/vfio_private.h"
#include "base/macros.h"
#include "device/pci/vfio_pci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SLOT       1
#define REGION_MAX 0x10000
#define MMCONFIG   UINT64_C(0xb0000000)

static const uint8_t *input, *input_end;
static uint8_t *pages; /* what can be mapped */
static struct vfio_device host;
static unsigned maps;

static uint64_t take(unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size && input < input_end; i++)
        value |= (uint64_t)*input++ << (8 * i);
    return value;
}

static void check(bool holds)
{
    if (!holds)
        abort();
}

static uint8_t *place_of(unsigned region, uint64_t offset, unsigned size)
{
    static uint8_t config[256];
    check(region <= VFIO_CONFIG && offset <= host.regions[region].size &&
          size <= host.regions[region].size - offset);
    return region == VFIO_CONFIG ? &config[offset] : &pages[offset % (REGION_MAX - 8)];
}

static bool host_read(struct vfio_device *device, unsigned region, uint64_t offset, void *buffer,
                      unsigned size)
{
    (void)device;
    memcpy(buffer, place_of(region, offset, size), size);
    return true;
}

static bool host_write(struct vfio_device *device, unsigned region, uint64_t offset, const void *buffer,
                       unsigned size)
{
    (void)device;
    memcpy(place_of(region, offset, size), buffer, size);
    return true;
}

static int host_interrupts(struct vfio_device *device, enum vfio_interrupt kind, unsigned count,
                           struct error *error)
{
    (void)error;
    check(!kind || (count && count <= device->vectors[kind]));
    return 0;
}

static void host_unmask(struct vfio_device *device)
{
    (void)device;
}

static int host_reset(struct vfio_device *device)
{
    (void)device;
    return 0;
}

static int host_map(struct vfio_device *device, unsigned region, uint64_t offset, uint64_t size, uint8_t **at)
{
    check(region < VFIO_BARS && offset + size <= device->regions[region].size && offset % 4096 == 0 && size);
    if (offset + size > REGION_MAX)
        return -ENOMEM;
    *at = pages + offset;
    maps++;
    return 0;
}

static void host_unmap(struct vfio_device *device, uint8_t *at, uint64_t size)
{
    (void)device, (void)at, (void)size;
    maps--;
}

static const struct vfio_device_ops ops = {
    .read = host_read,
    .write = host_write,
    .interrupts = host_interrupts,
    .unmask = host_unmask,
    .reset = host_reset,
    .map = host_map,
    .unmap = host_unmap,
};

/* -- devices --------------------------------------------------------------------------------------------- */

static void make_host(void)
{
    host = (struct vfio_device){.ops = &ops, .address = "0000:00:01.0"};
    for (unsigned i = 0; i < VFIO_BARS; i++) {
        struct vfio_region *region = &host.regions[i];
        const unsigned shift = (unsigned)take(1);
        region->size = shift < 64 ? take(2) << (shift & 63) : 0;
        region->area_count = (unsigned)take(1) % 3;
        for (unsigned j = 0; j < region->area_count; j++) { /* as vfio_device.c lets them be */
            const uint64_t offset = take(1) << 12, size = (take(1) + 1) << 12;
            region->areas[j] = offset <= region->size && size <= region->size - offset
                                   ? (struct vfio_area){offset, size}
                                   : (struct vfio_area){0, 0};
        }
    }
    host.regions[VFIO_CONFIG].size = 256;
    for (enum vfio_interrupt kind = VFIO_INTX; kind < VFIO_INTERRUPTS; kind++)
        host.vectors[kind] = (unsigned)take(1) % (VFIO_VECTORS_MAX + 1);
    for (unsigned i = 0; i < 256; i++)
        *place_of(VFIO_CONFIG, i, 1) = (uint8_t)take(1);
}

static void act(struct memory_map *map, struct io_space *io, struct pci_bus *bus, struct devices *devices)
{
    static const unsigned sizes[] = {1, 2, 4, 8};
    const unsigned what = (unsigned)take(1), size = sizes[take(1) % 4];
    const uint64_t where = take(4);
    const struct memory_region *bar = bus->slots[SLOT]->bars[what / 16 % PCI_BARS].region;
    uint64_t value = take(8);
    switch (what % 8) {
    case 0: memory_mmio_write(map, MMCONFIG + (SLOT << 15) + where % 256, MIN(size, 4u), value); break;
    case 1: memory_mmio_read(map, MMCONFIG + (SLOT << 15) + where % 256, MIN(size, 4u), &value); break;
    case 2:
        if (bar && bar->enabled && bar->map == map)
            memory_mmio_write(map, bar->base + where % bar->size, size, value);
        break;
    case 3:
        if (bar && bar->enabled && bar->map == map)
            memory_mmio_read(map, bar->base + where % bar->size, size, &value);
        break;
    case 4: io_write(io, (uint16_t)where, MIN(size, 4u), (uint32_t)value); break;
    case 5:
        host.client.interrupt(host.client.opaque, (enum vfio_interrupt)(where % VFIO_INTERRUPTS),
                              (unsigned)(value % VFIO_VECTORS_MAX));
        break;
    case 6: pci_intx_ended(bus, (unsigned)where % PCI_INTX_LINES); break;
    default:
        if (value % 16 == 0)
            devices_reset(devices);
        pci_assign(bus, &(struct error){0});
    }
}

static void run_device(void)
{
    struct error error = ERROR_INIT;
    struct memory_map map;
    struct io_space io;
    struct devices devices = {0};
    static struct pci_bus bus;
    struct vfio_pci *device = NULL;
    check(!memory_map_init(&map, UINT64_C(0xffffffffffff), &error) && !io_space_init(&io, &error));
    const struct pci_wiring wiring = {
        .memory = &map,
        .io = &io,
        .mmconfig = MMCONFIG,
        .windows = {0xc0000000, 0x20000000, UINT64_C(0x100000000), UINT64_C(1) << 36, 0xc000, 0x3000},
    };
    check(!pci_bus_init(&bus, &wiring, &error) && !devices_add(&devices, &pci_bus_type, "pci", &bus, &error));
    make_host();
    const struct vfio_pci_place place = {.bus = &bus, .devices = &devices, .host = &host};
    if (!vfio_pci_new(&device, &place, &error)) {
        devices_reset(&devices);
        pci_assign(&bus, &error);
        for (unsigned i = 0; i < 200 && input < input_end; i++)
            act(&map, &io, &bus, &devices);
        vfio_pci_free(device);
    }
    check(!maps);
    devices_free(&devices);
    memory_map_destroy(&map);
    io_space_destroy(&io);
}

/* -- answers --------------------------------------------------------------------------------------------- */

static void run_answer(void)
{
    static union vfio_answer answer;
    struct vfio_region_sparse_mmap_area areas[VFIO_AREAS];
    const uint32_t first = (uint32_t)take(2);
    const unsigned id = (unsigned)take(1), most = (unsigned)take(1) % (VFIO_AREAS + 1);
    memset(&answer, 0, sizeof answer);
    for (size_t i = 0; i < sizeof answer.bytes && input < input_end; i++)
        answer.bytes[i] = *input++;
    const int count = vfio_take_capability(
        &answer, first, id, sizeof(struct vfio_region_info_cap_sparse_mmap), areas, sizeof areas[0], most);
    check(count <= (int)most);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!pages)
        pages = mmap(NULL, REGION_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    input = data;
    input_end = data + size;
    if (take(1) & 1)
        run_answer();
    else
        run_device();
    return 0;
}
