/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The board's wiring. What it does beyond that is in pc_*.c. */
#include "machine/pc.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arch/x86/features.h"
#include "base/macros.h"
#include "machine/pc_private.h"

#define WITH_HOLES (2 << 20) /* what would be the first huge page: below 1 MiB are devices and ROM */

/* -- wires ----------------------------------------------------------------------------------------------- */

static const struct device_field wire_fields[] = {
    DEVICE_FIELD(struct irq_or, drivers),
};

static const struct device_field wires_fields[] = {
    DEVICE_STRUCTS(struct pc_wires, pic, wire_fields),
    DEVICE_STRUCTS(struct pc_wires, ioapic, wire_fields),
};

static const struct device_type wires_type = {
    .name = "interrupt-wires",
    .version = 1,
    .fields = wires_fields,
    .field_count = ARRAY_SIZE(wires_fields),
};

/* Number: the interrupt, and from bit 4 on the driver's. */
static void isa_set(void *opaque, unsigned number, bool level)
{
    struct pc *pc = opaque;
    unsigned irq = number % PC_IRQS, driver = number / PC_IRQS;
    irq_or_set(&pc->wires.pic[irq], driver, level);
    irq_or_set(&pc->wires.ioapic[irq ? irq : 2], driver, level);
}

/* 8254 and RTC, which are cut off while the HPET replaces them. */
static void legacy_timer_set(void *opaque, unsigned irq, bool level)
{
    struct pc *pc = opaque;
    if (!hpet_is_legacy(&pc->hpet))
        isa_set(pc, irq, level);
}

struct irq_line pc_isa_line(struct pc *pc, unsigned irq, unsigned driver)
{
    return (struct irq_line){isa_set, pc, irq + driver * PC_IRQS};
}

static void hpet_set(void *opaque, unsigned pin, bool level)
{
    struct pc *pc = opaque;
    irq_or_set(&pc->wires.ioapic[pin], PC_DRIVER_HPET, level);
}

/* What is told to slots by the inputs that they share. */
static void ioapic_ended(void *opaque, unsigned pin)
{
    struct pc *pc = opaque;
    if (pin >= PC_PCI_INPUT)
        pci_intx_ended(&pc->pci, pin - PC_PCI_INPUT);
}

static void pic_ended(void *opaque, unsigned irq)
{
    struct pc *pc = opaque;
    if (irq == PCI_ISA_IRQ || irq == PCI_ISA_IRQ + 1)
        pci_isa_ended(&pc->pci, irq - PCI_ISA_IRQ);
}

static void intr_set(void *opaque, unsigned number, bool level)
{
    struct pc *pc = opaque;
    (void)number;
    lapic_set_lint(&pc->lapics[0], 0, level);
}

static uint8_t pic_acknowledge(void *opaque)
{
    struct pc *pc = opaque;
    return pic8259_acknowledge(&pc->pic);
}

static void end_of_interrupt(void *opaque, uint8_t vector)
{
    struct machine *machine = opaque;
    struct pc *pc = machine->board;
    pthread_mutex_lock(&machine->lock);
    ioapic_eoi(&pc->ioapic, vector);
    pthread_mutex_unlock(&machine->lock);
}

/* -- what devices ask of the board ----------------------------------------------------------------------- */

static void asked_reset(void *opaque)
{
    machine_request(opaque, MACHINE_REQUEST_RESET);
}

static void asked_power_off(void *opaque)
{
    machine_request(opaque, MACHINE_REQUEST_OFF);
}

static void told_panic(void *opaque)
{
    machine_request(opaque, MACHINE_REQUEST_PANIC);
}

/* Test kernels expect what is written in the upper bits, and never success. */
static void told_exit(void *opaque, uint32_t value)
{
    machine_tell(opaque, (int)((value << 1 | 1) & 0xff));
}

/* A guest without ACPI, or in whose kernel the driver has not begun yet, has not enabled it. */
static bool pc_power_button(struct machine *machine)
{
    struct pc *pc = machine->board;
    return acpi_pm_power_button(&pc->pm);
}

/* -- making it ------------------------------------------------------------------------------------------- */

int pc_add(struct pc *pc, const struct device_type *type, const char *name, void *state, struct error *error)
{
    return devices_add(&pc->machine->devices, type, name, state, error);
}

bool pc_wants(const struct pc *pc, const char *name)
{
    return !pc->saved || devices_saved(pc->saved->data, pc->saved->size, name);
}

static int make_memory(struct pc *pc, const struct pc_config *config, struct error *error)
{
    (void)config;
    struct machine *machine = pc->machine;
    struct ram_piece pieces[RAM_PIECES_MAX];
    memory_backing_keep_plain(machine->ram, WITH_HOLES);
    int code = ram_layout_init(&pc->layout, machine->ram->size, error);
    unsigned count = code ? 0 : ram_layout_pieces(&pc->layout, pieces);
    for (unsigned i = 0; !code && i < count; i++) {
        if (!memory_add_ram(&machine->memory, "ram", pieces[i].base, pieces[i].size, 0, machine->ram,
                            pieces[i].backing_offset, error))
            code = error->code;
    }
    return code;
}

static int make_lapics(struct pc *pc, const struct pc_config *config, struct error *error)
{
    (void)config;
    struct machine *machine = pc->machine;
    unsigned count = machine->vcpu_count;
    pc->lapics = calloc(count, sizeof *pc->lapics);
    pc->lapic_pointers = calloc(count, sizeof *pc->lapic_pointers);
    if (!pc->lapics || !pc->lapic_pointers)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    pc->bus = (struct lapic_bus){
        .lapics = pc->lapic_pointers, .count = count, .host = {machine_kick, end_of_interrupt, machine}};
    int code = 0;
    for (unsigned i = 0; !code && i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "lapic%u", i);
        pc->lapic_pointers[i] = &pc->lapics[i];
        lapic_init(&pc->lapics[i], &pc->bus, i, i, machine->model.physical_bits, &machine->timers);
        code = pc_add(pc, &lapic_type, name, &pc->lapics[i], error);
    }
    machine->parts.lapics = pc->lapic_pointers;
    machine->parts.pic_acknowledge = pic_acknowledge;
    machine->parts.opaque = pc;
    return code;
}

static int make_synics(struct pc *pc, const struct pc_config *config, struct error *error)
{
    (void)config;
    struct machine *machine = pc->machine;
    unsigned count = machine->vcpu_count;
    if (!x86_has(&machine->model, X86_FEATURE_HYPERV) || !x86_has(&machine->model, X86_FEATURE_HYPERV_SYNIC))
        return 0;
    pc->synics = calloc(count, sizeof *pc->synics);
    pc->synic_pointers = calloc(count, sizeof *pc->synic_pointers);
    if (!pc->synics || !pc->synic_pointers)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    int code = 0;
    for (unsigned i = 0; !code && i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "synic%u", i);
        pc->synic_pointers[i] = &pc->synics[i];
        synic_init(&pc->synics[i], &pc->lapics[i], &machine->memory, &machine->timers);
        code = pc_add(pc, &synic_type, name, &pc->synics[i], error);
    }
    machine->parts.synics = pc->synic_pointers;
    return code;
}

static int make_controllers(struct pc *pc, const struct pc_config *config, struct error *error)
{
    (void)config;
    struct machine *machine = pc->machine;
    for (unsigned i = 0; i < PC_IRQS; i++)
        pc->wires.pic[i].output = (struct irq_line){pic8259_set, &pc->pic, i};
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        pc->wires.ioapic[i].output = (struct irq_line){ioapic_set, &pc->ioapic, i};
    int code = pc_add(pc, &wires_type, "wires", &pc->wires, error);
    pic8259_init(&pc->pic, (struct irq_line){intr_set, pc, 0});
    pc->pic.ended = (struct irq_watcher){pic_ended, pc};
    if (!code)
        code = pic8259_attach(&pc->pic, &machine->io, error);
    if (!code)
        code = pc_add(pc, &pic8259_type, "pic", &pc->pic, error);
    ioapic_init(&pc->ioapic, (struct msi_port){.send = lapic_bus_send, .opaque = &pc->bus});
    pc->ioapic.watcher = (struct ioapic_watcher){lapic_bus_pin, &pc->bus};
    pc->ioapic.ended = (struct irq_watcher){ioapic_ended, pc};
    if (!code && !memory_add_mmio(&machine->memory, "ioapic", PC_IOAPIC_BASE, IOAPIC_SIZE, 0, &ioapic_ops,
                                  &pc->ioapic, error))
        code = error->code;
    return code ? code : pc_add(pc, &ioapic_type, "ioapic", &pc->ioapic, error);
}

static int make_timers(struct pc *pc, const struct pc_config *config, struct error *error)
{
    (void)config;
    struct machine *machine = pc->machine;
    pit8254_init(&pc->pit, &machine->timers, (struct irq_line){legacy_timer_set, pc, 0});
    int code = pit8254_attach(&pc->pit, &machine->io, error);
    if (!code)
        code = pc_add(pc, &pit8254_type, "pit", &pc->pit, error);
    rtc_init(&pc->rtc, &machine->timers, (struct irq_line){legacy_timer_set, pc, 8});
    rtc_set_time(&pc->rtc, time(NULL));
    if (!code)
        code = rtc_attach(&pc->rtc, &machine->io, error);
    if (!code)
        code = pc_add(pc, &rtc_type, "rtc", &pc->rtc, error);
    const struct irq_line legacy[2] = {pc_isa_line(pc, 0, 0), pc_isa_line(pc, 8, 0)};
    hpet_init(&pc->hpet, &machine->timers, (struct irq_line){hpet_set, pc, 0}, legacy, (struct irq_line){0},
              (struct msi_port){.send = lapic_bus_send, .opaque = &pc->bus});
    if (!code &&
        !memory_add_mmio(&machine->memory, "hpet", PC_HPET_BASE, HPET_SIZE, 0, &hpet_ops, &pc->hpet, error))
        code = error->code;
    return code ? code : pc_add(pc, &hpet_type, "hpet", &pc->hpet, error);
}

static int make_hyperv_test(struct pc *pc, struct error *error)
{
    struct machine *machine = pc->machine;
    pc->hyperv_test = malloc(sizeof *pc->hyperv_test);
    if (!pc->hyperv_test)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    hyperv_test_init(pc->hyperv_test, pc->synic_pointers, machine->vcpu_count);
    machine->parts.connections = hyperv_test_connections(pc->hyperv_test);
    const int code = hyperv_test_attach(pc->hyperv_test, &machine->io, error);
    return code ? code : pc_add(pc, &hyperv_test_type, "hyperv-test", pc->hyperv_test, error);
}

/* For kernels that test the machine. */
static int make_test_device(struct pc *pc, const struct pc_config *config, struct error *error)
{
    enum { DRIVER = 7 };
    struct machine *machine = pc->machine;
    struct irq_line lines[TEST_DEVICE_LINE_COUNT];
    for (unsigned i = 0; i < TEST_DEVICE_LINE_COUNT; i++)
        lines[i] = pc_isa_line(pc, i, DRIVER);
    test_device_init(&pc->test_device, lines);
    int code = debug_exit_attach(&pc->debug_exit, &machine->io, config->debug_exit, error);
    if (!code)
        code = test_device_attach(&pc->test_device, &machine->io, &machine->memory, error);
    if (!code && pc->synics)
        code = make_hyperv_test(pc, error);
    return code ? code : pc_add(pc, &test_device_type, "test", &pc->test_device, error);
}

static int make_vmport(struct pc *pc, const struct pc_config *config, struct error *error)
{
    struct machine *machine = pc->machine;
    (void)error;
    if (config->vmport)
        vmware_port_attach(&pc->vmport, &machine->io, machine->ram->size,
                           x86_has(&machine->model, X86_FEATURE_X2APIC));
    return 0;
}

/* Line A20 is always open, as on PCs of today: nothing here is connected to the votes on it. Port CF9h is
 * reached through the PCI host bridge. */
static int make_control(struct pc *pc, const struct pc_config *config, struct error *error)
{
    struct machine *machine = pc->machine;
    struct board board = {
        .reset = asked_reset, .power_off = asked_power_off, .panic = told_panic, .opaque = machine};
    i8042_init(&pc->i8042, pc_isa_line(pc, 1, 0), (struct irq_line){0}, board);
    system_control_init(&pc->control, (struct irq_line){0}, board);
    acpi_pm_init(&pc->pm, &machine->timers, pc_isa_line(pc, PC_SCI, 0), board);
    pvpanic_init(&pc->pvpanic, board);
    pc->debug_exit = (struct debug_exit){told_exit, machine};
    pc->debug_console = config->debug_console;
    int code = i8042_attach(&pc->i8042, &machine->io, error);
    if (!code)
        code = pc_add(pc, &i8042_type, "i8042", &pc->i8042, error);
    if (!code)
        code = system_control_attach(&pc->control, &machine->io, error);
    if (!code)
        code = pc_add(pc, &system_control_type, "control", &pc->control, error);
    if (!code)
        code = acpi_pm_attach(&pc->pm, &machine->io, PC_ACPI_PORTS, error);
    if (!code)
        code = pc_add(pc, &acpi_pm_type, "acpi", &pc->pm, error);
    if (!code)
        code = pvpanic_attach(&pc->pvpanic, &machine->io, error);
    if (!code)
        code = pc_add(pc, &pvpanic_type, "pvpanic", &pc->pvpanic, error);
    if (!code && config->debug_exit)
        code = make_test_device(pc, config, error);
    if (!code && config->debug_console.write)
        code = debug_console_attach(&pc->debug_console, &machine->io, error);
    return code;
}

static int (*const steps[])(struct pc *pc, const struct pc_config *config, struct error *error) = {
    make_memory,    pc_make_rom,    make_lapics,        make_synics,     make_controllers, make_timers,
    make_control,   make_vmport,    pc_make_generation, pc_make_pci,     pc_open_vfio,     pc_make_tables,
    pc_open_kernel, pc_make_virtio, pc_make_vfio,       pc_make_serials,
};

static void pc_destroy(struct machine *machine)
{
    struct pc *pc = machine->board;
    pc_close_serials(pc);
    pc_close_kernel(pc); /* which reads from a disk */
    pc_free_vfio(pc);
    pc_free_virtio(pc);
    fw_cfg_destroy(&pc->fw_cfg);
    free(pc->lapic_pointers);
    free(pc->lapics);
    free(pc->synic_pointers);
    free(pc->synics);
    free(pc->hyperv_test);
    if (pc->rom)
        memory_backing_free(pc->rom);
    free(pc);
    machine->board = NULL;
}

static int pc_create(struct machine *machine, const struct machine_config *config, struct error *error)
{
    struct pc *pc = calloc(1, sizeof *pc);
    if (!pc)
        return error_set(error, -ENOMEM, "out of memory for the machine");
    pc->machine = machine;
    pc->saved = config->saved;
    machine->board = pc;
    int code = 0;
    for (unsigned i = 0; !code && i < ARRAY_SIZE(steps); i++)
        code = steps[i](pc, config->board, error);
    pc->saved = NULL;
    if (code)
        pc_destroy(machine);
    return code;
}

const struct machine_type machine_pc = {
    .name = "pc",
    .create = pc_create,
    .destroy = pc_destroy,
    .load = pc_load,
    .power_button = pc_power_button,
    .pending = pc_pending,
    .save = pc_save,
    .restore = pc_restore,
    .loaded = pc_loaded,
    .stand = pc_stand,
    .balloon = pc_balloon,
    .qmp = &pc_qmp,
};
