/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a PC is asked by QMP beyond what all machines are: its disks, ports, PCI functions, memory balloon. */
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "control/qmp_table.h"
#include "machine/pc_private.h"

static struct pc *pc_of(const struct qmp_call *call)
{
    return ((struct machine *)qmp_call_opaque(call))->board;
}

/* -- disks ----------------------------------------------------------------------------------------------- */

QMP_COMMAND(query_block)
{
    QMP_UNUSED;
    const struct pc *pc = pc_of(call);
    *result = json_array();
    for (unsigned i = 0; i < pc->disk_count; i++) {
        const struct pc_disk *disk = &pc->disks[i];
        const struct block_backend *backend = disk->backend;
        json_t *image = json_pack("{s:o, s:s, s:I}", "filename", qmp_text(backend->name), "format", "raw",
                                  "virtual-size", (json_int_t)backend->size);
        json_t *inserted = json_pack("{s:o, s:b, s:s, s:b, s:o}", "file", qmp_text(backend->name), "ro",
                                     (int)backend->read_only, "drv", "raw", "encrypted", 0, "image", image);
        json_array_append_new(*result, json_pack("{s:s, s:s, s:b, s:b, s:s, s:o}", "device", disk->name,
                                                 "type", "unknown", "removable", 0, "locked", 0, "io-status",
                                                 virtio_block_is_blocked(disk->device) ? "nospace" : "ok",
                                                 "inserted", inserted));
    }
    return 0;
}

static json_t *disk_statistics(const struct virtio_block_statistics *all)
{
    static const struct {
        const char *done, *failed, *bytes;
        enum block_operation operation;
    } rows[] = {
        {"rd_operations", "failed_rd_operations", "rd_bytes", BLOCK_READ},
        {"wr_operations", "failed_wr_operations", "wr_bytes", BLOCK_WRITE},
        {"flush_operations", "failed_flush_operations", NULL, BLOCK_FLUSH},
        {"unmap_operations", "failed_unmap_operations", "unmap_bytes", BLOCK_DISCARD},
    };
    json_t *statistics = json_object();
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t done = all->of[rows[i].operation].done, failed = all->of[rows[i].operation].failed,
                 bytes = all->of[rows[i].operation].bytes;
        if (rows[i].operation == BLOCK_WRITE) { /* zeros are written, too */
            done += all->of[BLOCK_WRITE_ZEROES].done;
            failed += all->of[BLOCK_WRITE_ZEROES].failed;
            bytes += all->of[BLOCK_WRITE_ZEROES].bytes;
        }
        json_object_set_new(statistics, rows[i].done, json_integer((json_int_t)done));
        json_object_set_new(statistics, rows[i].failed, json_integer((json_int_t)failed));
        if (rows[i].bytes)
            json_object_set_new(statistics, rows[i].bytes, json_integer((json_int_t)bytes));
    }
    return statistics;
}

QMP_COMMAND(query_blockstats)
{
    QMP_UNUSED;
    const struct pc *pc = pc_of(call);
    *result = json_array();
    for (unsigned i = 0; i < pc->disk_count; i++)
        json_array_append_new(*result,
                              json_pack("{s:s, s:o}", "device", pc->disks[i].name, "stats",
                                        disk_statistics(virtio_block_statistics(pc->disks[i].device))));
    return 0;
}

/* -- cards ----------------------------------------------------------------------------------------------- */

/* Of the guest's side, as a card's driver counts them. */
QMP_COMMAND(query_netstats)
{
    QMP_UNUSED;
    const struct pc *pc = pc_of(call);
    *result = json_array();
    for (unsigned i = 0; i < pc->net_count; i++) {
        const struct virtio_net_statistics all = virtio_net_statistics(pc->nets[i].device);
        char name[16];
        snprintf(name, sizeof name, "net%u", i);
        json_array_append_new(*result, json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}", "device", name, "vhost",
                                                 virtio_net_in_kernel(pc->nets[i].device), "rx_bytes",
                                                 (json_int_t)all.received_bytes, "rx_frames",
                                                 (json_int_t)all.received_frames, "tx_bytes",
                                                 (json_int_t)all.sent_bytes, "tx_frames",
                                                 (json_int_t)all.sent_frames));
    }
    return 0;
}

/* -- ports and consoles ---------------------------------------------------------------------------------- */

static void add_port(json_t *ports, const char *label, const struct char_host *host)
{
    char text[4200];
    if (host)
        json_array_append_new(ports, json_pack("{s:s, s:o, s:b}", "label", label, "filename",
                                               qmp_text(char_host_describe(host, text, sizeof text)),
                                               "frontend-open", 1));
}

QMP_COMMAND(query_chardev)
{
    QMP_UNUSED;
    const struct pc *pc = pc_of(call);
    *result = json_array();
    for (unsigned i = 0; i < PC_SERIALS; i++) {
        char label[16];
        snprintf(label, sizeof label, "serial%u", i);
        add_port(*result, label, pc->serial_hosts[i]);
    }
    add_port(*result, "console", pc->console_host);
    return 0;
}

/* -- PCI ------------------------------------------------------------------------------------------------- */

static json_t *pci_regions(const struct pci_device *device)
{
    json_t *regions = json_array();
    for (unsigned i = 0; i < PCI_BARS; i++) {
        const struct pci_bar *bar = &device->bars[i];
        const bool io = bar->flags & PCI_BAR_IO;
        uint64_t address = pci_config_get(device, PCI_BAR0 + 4 * i, 4);
        if (!bar->size)
            continue;
        if (bar->flags & PCI_BAR_64)
            address |= (uint64_t)pci_config_get(device, PCI_BAR0 + 4 * (i + 1), 4) << 32;
        address &= io ? ~UINT64_C(3) : ~UINT64_C(15);
        json_t *region = json_pack("{s:i, s:s, s:I, s:I}", "bar", (int)i, "type", io ? "io" : "memory",
                                   "address", (json_int_t)address, "size", (json_int_t)bar->size);
        if (!io) {
            json_object_set_new(region, "prefetch", json_boolean(bar->flags & PCI_BAR_PREFETCHABLE));
            json_object_set_new(region, "mem_type_64", json_boolean(bar->flags & PCI_BAR_64));
        }
        json_array_append_new(regions, region);
    }
    return regions;
}

static json_t *pci_function(const struct pci_device *device, unsigned slot)
{
    json_t *class = json_pack("{s:i}", "class", (int)pci_config_get(device, PCI_CLASS + 1, 2));
    json_t *id = json_pack("{s:i, s:i, s:i, s:i}", "vendor", (int)pci_config_get(device, PCI_VENDOR_ID, 2),
                           "device", (int)pci_config_get(device, PCI_DEVICE_ID, 2), "subsystem",
                           (int)pci_config_get(device, PCI_SUBSYSTEM_ID, 2), "subsystem-vendor",
                           (int)pci_config_get(device, PCI_SUBSYSTEM_VENDOR_ID, 2));
    const unsigned pin = pci_config_get(device, PCI_INTERRUPT_PIN, 1);
    json_t *function = json_pack("{s:i, s:i, s:i, s:o, s:o, s:i, s:s, s:o}", "bus", 0, "slot", (int)slot,
                                 "function", 0, "class_info", class, "id", id, "irq_pin", (int)pin, "qdev_id",
                                 device->name, "regions", pci_regions(device));
    if (pin)
        json_object_set_new(function, "irq", json_integer(pci_config_get(device, PCI_INTERRUPT_LINE, 1)));
    return function;
}

QMP_COMMAND(query_pci)
{
    QMP_UNUSED;
    const struct pci_bus *bus = &pc_of(call)->pci;
    json_t *devices = json_array();
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        if (bus->slots[slot])
            json_array_append_new(devices, pci_function(bus->slots[slot], slot));
    }
    *result = json_pack("[{s:i, s:o}]", "bus", 0, "devices", devices);
    return 0;
}

/* -- memory ---------------------------------------------------------------------------------------------- */

static int check_balloon(struct qmp_call *call, struct error *error)
{
    if (pc_of(call)->balloon && virtio_balloon_is_used(pc_of(call)->balloon))
        return 0;
    qmp_call_set_class(call, QMP_DEVICE_NOT_ACTIVE);
    return error_set(error, -ENXIO, "the guest has no driver for the balloon running");
}

QMP_COMMAND(query_balloon)
{
    QMP_UNUSED;
    int code = check_balloon(call, error);
    if (!code)
        *result = json_pack("{s:I}", "actual", (json_int_t)pc_guest_memory(pc_of(call)));
    return code;
}

/* More than there is means all of it. */
QMP_COMMAND(balloon)
{
    QMP_UNUSED;
    struct pc *pc = pc_of(call);
    const uint64_t all = pc->machine->ram->size;
    const json_int_t value = json_integer_value(json_object_get(arguments, "value"));
    int code = check_balloon(call, error);
    if (code)
        return code;
    if (pc->machine->ram->pinned) {
        qmp_call_set_class(call, QMP_DEVICE_NOT_ACTIVE);
        return error_set(error, -EBUSY,
                         "a device of the host's may reach all of the guest's memory: none "
                         "can be given back");
    }
    if (value <= 0)
        return error_set(error, -EINVAL, "argument 'value' must be more than 0 bytes");
    virtio_balloon_set_target(pc->balloon, all - MIN((uint64_t)value, all));
    return 0;
}

/* What the guest has told last of its memory; it is asked to tell it again. */
QMP_COMMAND(query_guest_memory)
{
    QMP_UNUSED;
    struct virtio_balloon *balloon = pc_of(call)->balloon;
    int code = check_balloon(call, error);
    if (code)
        return code;
    const struct virtio_balloon_statistics *told = virtio_balloon_statistics(balloon);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"total", told->total_memory},
        {"free", told->free_memory},
        {"available", told->available_memory},
        {"caches", told->disk_caches},
        {"swap-in", told->swap_in},
        {"swap-out", told->swap_out},
        {"major-faults", told->major_faults},
        {"minor-faults", told->minor_faults},
        {"hugetlb-allocations", told->hugetlb_allocations},
        {"hugetlb-failures", told->hugetlb_failures},
    };
    *result = json_object();
    for (unsigned i = 0; told->time && i < ARRAY_SIZE(rows); i++) {
        if (rows[i].value <= INT64_MAX) /* else it has not told of this */
            json_object_set_new(*result, rows[i].name, json_integer((json_int_t)rows[i].value));
    }
    virtio_balloon_ask(balloon);
    return 0;
}

/* -- processors ------------------------------------------------------------------------------------------ */

/* At the input that firmware leaves for it; a guest that has masked that gets none. */
QMP_COMMAND(inject_nmi)
{
    QMP_UNUSED;
    struct pc *pc = pc_of(call);
    for (unsigned i = 0; i < pc->machine->vcpu_count; i++) {
        lapic_set_lint(&pc->lapics[i], 1, true);
        lapic_set_lint(&pc->lapics[i], 1, false);
    }
    return 0;
}

/* -- the table ------------------------------------------------------------------------------------------- */

QMP_OBJECT_OF(image_info, {"filename", &qmp_string, false}, {"format", &qmp_string, false},
              {"virtual-size", &qmp_integer, false});
QMP_OBJECT_OF(inserted_info, {"file", &qmp_string, false}, {"ro", &qmp_boolean, false},
              {"drv", &qmp_string, false}, {"encrypted", &qmp_boolean, false}, {"image", &image_info, false});
QMP_ENUM_OF(io_status, "ok", "nospace");
QMP_OBJECT_OF(block_info, {"device", &qmp_string, false}, {"type", &qmp_string, false},
              {"removable", &qmp_boolean, false}, {"locked", &qmp_boolean, false},
              {"io-status", &io_status, true}, {"inserted", &inserted_info, true});
QMP_ARRAY_OF(block_info);
QMP_OBJECT_OF(statistics_info, {"rd_bytes", &qmp_integer, false}, {"wr_bytes", &qmp_integer, false},
              {"unmap_bytes", &qmp_integer, false}, {"rd_operations", &qmp_integer, false},
              {"wr_operations", &qmp_integer, false}, {"flush_operations", &qmp_integer, false},
              {"unmap_operations", &qmp_integer, false}, {"failed_rd_operations", &qmp_integer, false},
              {"failed_wr_operations", &qmp_integer, false}, {"failed_flush_operations", &qmp_integer, false},
              {"failed_unmap_operations", &qmp_integer, false});
QMP_OBJECT_OF(blockstats_info, {"device", &qmp_string, false}, {"stats", &statistics_info, false});
QMP_ARRAY_OF(blockstats_info);
QMP_OBJECT_OF(chardev_info, {"label", &qmp_string, false}, {"filename", &qmp_string, false},
              {"frontend-open", &qmp_boolean, false});
QMP_ARRAY_OF(chardev_info);
QMP_OBJECT_OF(region_info, {"bar", &qmp_integer, false}, {"type", &qmp_string, false},
              {"address", &qmp_integer, false}, {"size", &qmp_integer, false},
              {"prefetch", &qmp_boolean, true}, {"mem_type_64", &qmp_boolean, true});
QMP_ARRAY_OF(region_info);
QMP_OBJECT_OF(pci_class_info, {"class", &qmp_integer, false});
QMP_OBJECT_OF(pci_id_info, {"vendor", &qmp_integer, false}, {"device", &qmp_integer, false},
              {"subsystem", &qmp_integer, true}, {"subsystem-vendor", &qmp_integer, true});
QMP_OBJECT_OF(pci_device_info, {"bus", &qmp_integer, false}, {"slot", &qmp_integer, false},
              {"function", &qmp_integer, false}, {"class_info", &pci_class_info, false},
              {"id", &pci_id_info, false}, {"irq", &qmp_integer, true}, {"irq_pin", &qmp_integer, false},
              {"qdev_id", &qmp_string, false}, {"regions", &region_info_array, false});
QMP_ARRAY_OF(pci_device_info);
QMP_OBJECT_OF(pci_info, {"bus", &qmp_integer, false}, {"devices", &pci_device_info_array, false});
QMP_ARRAY_OF(pci_info);
QMP_OBJECT_OF(balloon_info, {"actual", &qmp_integer, false});
QMP_OBJECT_OF(netstats_info, {"device", &qmp_string, false}, {"rx_bytes", &qmp_integer, false},
              {"rx_frames", &qmp_integer, false}, {"tx_bytes", &qmp_integer, false},
              {"tx_frames", &qmp_integer, false}, {"vhost", &qmp_boolean, false});
QMP_ARRAY_OF(netstats_info);
QMP_OBJECT_OF(guest_memory_info, {"total", &qmp_integer, true}, {"free", &qmp_integer, true},
              {"available", &qmp_integer, true}, {"caches", &qmp_integer, true},
              {"swap-in", &qmp_integer, true}, {"swap-out", &qmp_integer, true},
              {"major-faults", &qmp_integer, true}, {"minor-faults", &qmp_integer, true},
              {"hugetlb-allocations", &qmp_integer, true}, {"hugetlb-failures", &qmp_integer, true});
static const struct qmp_field balloon_arguments[] = {{"value", &qmp_integer, false}, {0}};

static const struct qmp_command commands[] = {
    {.name = "query-block", .returns = &block_info_array, .run = query_block},
    {.name = "query-blockstats", .returns = &blockstats_info_array, .run = query_blockstats},
    {.name = "query-chardev", .returns = &chardev_info_array, .run = query_chardev},
    {.name = "query-pci", .returns = &pci_info_array, .run = query_pci},
    {.name = "query-balloon", .returns = &balloon_info, .run = query_balloon},
    {.name = "balloon", .arguments = balloon_arguments, .returns = &qmp_nothing, .run = balloon},
    {.name = "x-query-netstats", .returns = &netstats_info_array, .run = query_netstats},
    {.name = "x-query-guest-memory", .returns = &guest_memory_info, .run = query_guest_memory},
    {.name = "inject-nmi", .returns = &qmp_nothing, .run = inject_nmi},
    {0},
};

const struct qmp_table pc_qmp = {.commands = commands};
