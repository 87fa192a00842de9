/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a PC's firmware would do: tables that tell what there is, interrupt controllers in order, a kernel. */
#include "machine/pc.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "machine/pc_private.h"

/* The interrupts that ACPI and PCI have are level-triggered. */
#define ELCR       0x4d0
#define LEVEL_IRQS (1u << PC_SCI | 1u << PCI_ISA_IRQ | 2u << PCI_ISA_IRQ)

/* Items of fw_cfg. */
enum { KEY_RAM_SIZE = 3, KEY_CPUS = 5, KEY_MAX_CPUS = 15 };

/* In CMOS, where old kernels and test kernels look: kilobytes below 1 MiB, from there on, 64 KiB from 16 MiB
 * and from 4 GiB on. */
static void make_cmos(struct pc *pc)
{
    uint64_t base = LAYOUT_LOW_END >> 10, high = pc->layout.below - LAYOUT_HIGH_START;
    uint64_t extended = MIN(high >> 10, 0xffff),
             above16 = pc->layout.below > 16 << 20 ? MIN((pc->layout.below - (16 << 20)) >> 16, 0xffff) : 0;
    uint64_t above = pc->layout.above >> 16;
    const struct {
        uint8_t index;
        uint64_t value;
        unsigned bytes;
    } values[] = {
        {0x14, 0x02, 1}, /* equipment: a floating-point unit */
        {0x15, base, 2},    {0x17, extended, 2}, {0x30, extended, 2},
        {0x34, above16, 2}, {0x5b, above, 3},    {0x5f, pc->machine->vcpu_count - 1, 1},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        for (unsigned byte = 0; byte < values[i].bytes; byte++)
            rtc_set_cmos(&pc->rtc, (uint8_t)(values[i].index + byte), (uint8_t)(values[i].value >> 8 * byte));
    }
}

static int make_fw_cfg(struct pc *pc, struct error *error)
{
    struct machine *machine = pc->machine;
    uint64_t ram = htole64(machine->ram->size);
    uint16_t cpus = htole16((uint16_t)machine->vcpu_count);
    struct e820_entry entries[E820_MAX];
    struct {
        uint64_t start, size;
        uint32_t type;
    } __attribute__((packed)) file[E820_MAX];
    unsigned count = ram_layout_e820(&pc->layout, entries);
    for (unsigned i = 0; i < count; i++) {
        file[i].start = htole64(entries[i].start);
        file[i].size = htole64(entries[i].size);
        file[i].type = htole32(entries[i].type);
    }
    fw_cfg_init(&pc->fw_cfg, &machine->memory);
    int code = fw_cfg_attach(&pc->fw_cfg, &machine->io, error);
    if (!code)
        code = pc_add(pc, &fw_cfg_type, "fw_cfg", &pc->fw_cfg, error);
    if (!code)
        code = fw_cfg_add(&pc->fw_cfg, KEY_RAM_SIZE, &ram, sizeof ram, error);
    if (!code)
        code = fw_cfg_add(&pc->fw_cfg, KEY_CPUS, &cpus, sizeof cpus, error);
    if (!code)
        code = fw_cfg_add(&pc->fw_cfg, KEY_MAX_CPUS, &cpus, sizeof cpus, error);
    if (!code)
        code = fw_cfg_add_file(&pc->fw_cfg, "etc/e820", file, (uint32_t)(count * sizeof file[0]), error);
    return code;
}

static void make_acpi(struct pc *pc, const struct pc_config *config)
{
    pc->tables = (struct acpi_config){
        .cpu_count = pc->machine->vcpu_count,
        .lapic_base = PC_LAPIC_BASE,
        .ioapic_base = PC_IOAPIC_BASE,
        .ioapic_id = pc->ioapic.id,
        .hpet_base = PC_HPET_BASE,
        .pm_ports = PC_ACPI_PORTS,
        .sci = PC_SCI,
        .reset_port_value = PC_RESET_VALUE,
        .pvpanic_port = PVPANIC_PORT,
        .generation = pc->has_generation ? LAYOUT_GENERATION : 0,
    };
    pc_tell_pci(pc, &pc->tables);
    for (unsigned i = 0; i < config->serial_count; i++) {
        pc->tables.serial_ports[i] = pc_serial_ports[i];
        pc->tables.serial_irqs[i] = pc_serial_irqs[i];
    }
}

int pc_make_tables(struct pc *pc, const struct pc_config *config, struct error *error)
{
    make_cmos(pc);
    make_acpi(pc, config);
    return make_fw_cfg(pc, error);
}

int pc_open_kernel(struct pc *pc, const struct pc_config *config, struct error *error)
{
    int code = 0;
    if (config->kernel)
        code = boot_file_open(&pc->kernel, config->kernel, error);
    if (!code && config->initrd)
        code = boot_file_open(&pc->initrd, config->initrd, error);
    if (!code && config->command_line) {
        pc->command_line = strdup(config->command_line);
        if (!pc->command_line)
            code = error_set(error, -ENOMEM, "out of memory for the command line");
    }
    return code;
}

void pc_close_kernel(struct pc *pc)
{
    disk_kernel_close(&pc->disk_kernel);
    boot_file_close(pc->disk);
    boot_file_close(pc->initrd);
    boot_file_close(pc->kernel);
    free(pc->command_line);
}

/* What firmware does before it starts anything; `rsdp` is where ACPI's tables are. */
static int start_board(struct pc *pc, uint64_t *rsdp, struct error *error)
{
    struct machine *machine = pc->machine;
    lapic_set_virtual_wire(&pc->lapics[0]);
    io_write(&machine->io, ELCR, 2, LEVEL_IRQS);
    pc_write_rom(pc);
    pc_write_generation(pc);
    int code = pci_assign(&pc->pci, error);
    return code ? code
                : acpi_write(&pc->tables, &machine->memory, LAYOUT_TABLES, LAYOUT_TABLES_SIZE, rsdp, error);
}

/* What runs first, and what its protocol lets it find. */
static int load(struct pc *pc, const struct boot_config *config, struct x86_state *state, struct error *error)
{
    int protocol = boot_detect(config->kernel, error);
    if (protocol < 0)
        return protocol;
    if (protocol == BOOT_MULTIBOOT || protocol == BOOT_MULTIBOOT2)
        pc_start_timer(pc);
    return boot_load(config, &pc->machine->memory, state, error);
}

static int load_kernel(struct pc *pc, struct boot_config *config, struct x86_state *state,
                       struct error *error)
{
    const struct boot_module module = {.file = pc->initrd};
    config->kernel = pc->kernel;
    config->modules = &module;
    config->module_count = pc->initrd != NULL;
    config->command_line = pc->command_line;
    return load(pc, config, state, error);
}

static int disk_read(struct boot_file *file, uint64_t offset, void *buffer, size_t length,
                     struct error *error)
{
    int code = block_read_now(file->opaque, offset, buffer, length);
    return code ? error_set(error, code, "cannot read the disk %s: %s", file->name, strerror(-code)) : 0;
}

/* The first disk as the guest has it, which with --snapshot is not what the file has. */
static int open_disk(struct pc *pc, struct error *error)
{
    struct block_backend *backend = pc->disks[0].backend;
    pc->disk = boot_file_of_memory(backend->name, NULL, backend->size);
    if (!pc->disk)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    pc->disk->read = disk_read;
    pc->disk->opaque = backend;
    return 0;
}

/* What the guest has made of its disk since the last start counts. */
static int load_from_disk(struct pc *pc, struct boot_config *config, struct x86_state *state,
                          struct error *error)
{
    struct disk_kernel *found = &pc->disk_kernel;
    struct boot_module modules[DISK_KERNEL_INITRDS] = {0};
    char *line = NULL;
    disk_kernel_close(found);
    *found = (struct disk_kernel){0};
    int code = pc->disk ? 0 : open_disk(pc, error);
    if (!code)
        code = disk_kernel_open(found, pc->disk, error);
    if (code)
        return code;
    for (unsigned i = 0; i < found->initrd_count; i++)
        modules[i].file = found->initrds[i];
    config->kernel = found->kernel;
    config->modules = modules;
    config->module_count = found->initrd_count;
    config->command_line = found->command_line;
    if (pc->command_line) {
        if (asprintf(&line, "%s %s", found->command_line ? found->command_line : "", pc->command_line) < 0)
            return error_set(error, -ENOMEM, "out of memory for the command line");
        config->command_line = line;
    }
    code = load(pc, config, state, error);
    free(line);
    return code;
}

int pc_load(struct machine *machine, struct x86_state *state, struct error *error)
{
    struct pc *pc = machine->board;
    struct boot_config config = {.layout = pc->layout,
                                 .no_long_mode = !x86_has(&machine->model, FEATURE_LONG_MODE)};
    int code = start_board(pc, &config.acpi_rsdp, error);
    if (code || (!pc->kernel && !pc->disk_count))
        return code;
    return (pc->kernel ? load_kernel : load_from_disk)(pc, &config, state, error);
}
