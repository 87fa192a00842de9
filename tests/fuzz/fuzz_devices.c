/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_devices: a PC's devices, wired as on a board, under any accesses, interrupts, characters and steps of
 * time. Nothing crashes, hangs or grows; and a machine that was loaded from what another one saved, at any
 * moment, from then on reads, interrupts and saves the same as that one. Saved bytes that somebody has
 * changed are refused, or loaded by both alike. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "device/char/serial16550.h"
#include "device/irq/ioapic.h"
#include "device/irq/lapic.h"
#include "device/irq/pic8259.h"
#include "device/irq/synic.h"
#include "device/misc/acpi_pm.h"
#include "device/misc/fw_cfg.h"
#include "device/misc/i8042.h"
#include "device/misc/pvpanic.h"
#include "device/misc/system_control.h"
#include "device/timer/hpet.h"
#include "device/timer/pit8254.h"
#include "device/timer/rtc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CPUS     2
#define RAM_SIZE 0x8000
#define TIME_END (UINT64_C(1) << 60)

struct machine {
    struct timers timers;
    struct io_space io;
    struct memory_map map;
    struct memory_backing *ram;
    struct devices devices;
    struct pic8259 pic;
    struct ioapic ioapic;
    struct lapic lapics[CPUS], *pointers[CPUS];
    struct lapic_bus bus;
    struct synic synics[CPUS];
    struct pit8254 pit;
    struct rtc rtc;
    struct hpet hpet;
    struct serial16550 serial;
    struct i8042 i8042;
    struct system_control control;
    struct fw_cfg fw_cfg;
    struct acpi_pm pm;
    uint64_t outside; /* what the world has seen of it */
};

static struct machine machines[2];
static uint64_t now;
static unsigned takes; /* characters that the backends take */

static uint64_t clock_read(void *opaque)
{
    (void)opaque;
    return now;
}

static void see(struct machine *machine, uint64_t value)
{
    machine->outside = (machine->outside ^ value) * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static void isa_set(struct machine *machine, unsigned irq, bool level)
{
    pic8259_set(&machine->pic, irq, level);
    ioapic_set(&machine->ioapic, irq ? irq : 2, level);
}

/* 8254 and RTC, which are disconnected while the HPET replaces them. */
static void legacy_timer_set(void *opaque, unsigned irq, bool level)
{
    struct machine *machine = opaque;
    if (!hpet_is_legacy(&machine->hpet))
        isa_set(machine, irq, level);
}

static void device_set(void *opaque, unsigned irq, bool level)
{
    isa_set(opaque, irq, level);
}

static void intr_set(void *opaque, unsigned number, bool level)
{
    struct machine *machine = opaque;
    (void)number;
    lapic_set_lint(&machine->lapics[0], 0, level);
}

static void pin_set(void *opaque, unsigned number, bool level)
{
    struct machine *machine = opaque;
    ioapic_set(&machine->ioapic, number, level);
}

static void wire_set(void *opaque, unsigned number, bool level)
{
    see(opaque, number * 2 + level);
}

static void kick(void *opaque, unsigned vcpu)
{
    see(opaque, vcpu);
}

static void end_of_interrupt(void *opaque, uint8_t vector)
{
    struct machine *machine = opaque;
    ioapic_eoi(&machine->ioapic, vector);
}

static size_t send_characters(void *opaque, const uint8_t *data, size_t size)
{
    size_t taken = MIN(size, takes);
    for (size_t i = 0; i < taken; i++)
        see(opaque, data[i]);
    return taken;
}

static void readable(void *opaque)
{
    see(opaque, 11);
}

static void send_break(void *opaque, bool on)
{
    see(opaque, 12 + on);
}

static void asked_reset(void *opaque)
{
    see(opaque, 14);
}

static void asked_power_off(void *opaque)
{
    see(opaque, 15);
}

static void asked_sleep(void *opaque, unsigned type)
{
    see(opaque, 18 + type);
}

static void asked_panic(void *opaque)
{
    see(opaque, 17);
}

static void check(bool good)
{
    if (!good)
        abort();
}

static void machine_make_devices(struct machine *machine)
{
    struct irq_line line = {device_set, machine, 0};
    struct irq_line timer_line = {legacy_timer_set, machine, 0}, wire = {wire_set, machine, 30};
    struct msi_port messages = {.send = lapic_bus_send, .opaque = &machine->bus};
    struct board board = {asked_reset, asked_power_off, asked_sleep, asked_panic, machine};
    const struct irq_line legacy[2] = {{device_set, machine, 0}, {device_set, machine, 8}};
    machine->bus = (struct lapic_bus){
        .lapics = machine->pointers, .count = CPUS, .host = {kick, end_of_interrupt, machine}};
    for (unsigned i = 0; i < CPUS; i++) {
        machine->pointers[i] = &machine->lapics[i];
        lapic_init(&machine->lapics[i], &machine->bus, i, i, 40, &machine->timers);
        synic_init(&machine->synics[i], &machine->lapics[i], &machine->map, &machine->timers);
    }
    pic8259_init(&machine->pic, (struct irq_line){intr_set, machine, 0});
    ioapic_init(&machine->ioapic, messages);
    pit8254_init(&machine->pit, &machine->timers, timer_line);
    timer_line.number = 8;
    rtc_init(&machine->rtc, &machine->timers, timer_line);
    hpet_init(&machine->hpet, &machine->timers, (struct irq_line){pin_set, machine, 0}, legacy, wire,
              messages);
    line.number = 4;
    serial16550_init(&machine->serial, &machine->timers, line,
                     (struct char_backend){send_characters, readable, send_break, machine});
    line.number = 1;
    i8042_init(&machine->i8042, line, wire, board);
    system_control_init(&machine->control, wire, board);
    fw_cfg_type.reset(&machine->fw_cfg);
    line.number = 9;
    acpi_pm_init(&machine->pm, &machine->timers, line, board);
}

/* Once: where devices are. */
static void machine_wire(struct machine *machine)
{
    struct error error = ERROR_INIT;
    machine->ram = memory_backing_create("ram", RAM_SIZE, &error);
    check(machine->ram && !memory_map_init(&machine->map, UINT64_C(0xffffffffff), &error) &&
          !io_space_init(&machine->io, &error));
    fw_cfg_init(&machine->fw_cfg, &machine->map);
    check(
        memory_add_ram(&machine->map, "ram", 0, RAM_SIZE, 0, machine->ram, 0, &error) &&
        memory_add_mmio(&machine->map, "ioapic", 0xfec00000, IOAPIC_SIZE, 0, &ioapic_ops, &machine->ioapic,
                        &error) &&
        memory_add_mmio(&machine->map, "hpet", 0xfed00000, HPET_SIZE, 0, &hpet_ops, &machine->hpet, &error));
    check(!pic8259_attach(&machine->pic, &machine->io, &error) &&
          !pit8254_attach(&machine->pit, &machine->io, &error) &&
          !rtc_attach(&machine->rtc, &machine->io, &error) &&
          !serial16550_attach(&machine->serial, &machine->io, 0x3f8, &error) &&
          !i8042_attach(&machine->i8042, &machine->io, &error) &&
          !system_control_attach(&machine->control, &machine->io, &error) &&
          !system_control_attach_reset(&machine->control, &machine->io, &error) &&
          !fw_cfg_attach(&machine->fw_cfg, &machine->io, &error) &&
          !acpi_pm_attach(&machine->pm, &machine->io, 0x600, &error));
    check(!fw_cfg_add_file(&machine->fw_cfg, "file", "content", 7, &error));
    struct devices *devices = &machine->devices;
    check(!devices_add(devices, &lapic_type, "lapic0", &machine->lapics[0], &error) &&
          !devices_add(devices, &lapic_type, "lapic1", &machine->lapics[1], &error) &&
          !devices_add(devices, &synic_type, "synic0", &machine->synics[0], &error) &&
          !devices_add(devices, &synic_type, "synic1", &machine->synics[1], &error) &&
          !devices_add(devices, &pic8259_type, "pic", &machine->pic, &error) &&
          !devices_add(devices, &ioapic_type, "ioapic", &machine->ioapic, &error) &&
          !devices_add(devices, &pit8254_type, "pit", &machine->pit, &error) &&
          !devices_add(devices, &rtc_type, "rtc", &machine->rtc, &error) &&
          !devices_add(devices, &hpet_type, "hpet", &machine->hpet, &error) &&
          !devices_add(devices, &serial16550_type, "serial0", &machine->serial, &error) &&
          !devices_add(devices, &i8042_type, "i8042", &machine->i8042, &error) &&
          !devices_add(devices, &system_control_type, "control", &machine->control, &error) &&
          !devices_add(devices, &fw_cfg_type, "fw_cfg", &machine->fw_cfg, &error) &&
          !devices_add(devices, &acpi_pm_type, "acpi", &machine->pm, &error));
}

/* A machine as new, in the place of the one before. */
static void machine_make(struct machine *machine)
{
    if (!machine->ram)
        machine_wire(machine);
    memset(machine->ram->host, 0, RAM_SIZE);
    timers_init(&machine->timers, (struct clock){clock_read, NULL});
    machine_make_devices(machine);
    machine->outside = 0;
}

static struct buffer machine_save(struct machine *machine)
{
    struct buffer buffer = {0};
    devices_save(&machine->devices, &buffer);
    check(!buffer.failed);
    return buffer;
}

/* Makes the second machine from what the first one saves, both alike. */
static void machines_split(void)
{
    struct buffer saved = machine_save(&machines[0]);
    struct error error = ERROR_INIT;
    machine_make(&machines[1]);
    memcpy(machines[1].ram->host, machines[0].ram->host, RAM_SIZE);
    if (devices_load(&machines[1].devices, saved.data, saved.size, &error)) {
        error_report(&error);
        abort();
    }
    machines[1].outside = machines[0].outside;
    buffer_free(&saved);
}

/* Loads bytes of which some have been changed. */
static void machines_load_changed(bool twin, uint32_t where, uint8_t change)
{
    struct buffer saved = machine_save(&machines[0]);
    struct error error = ERROR_INIT;
    saved.data[where % saved.size] ^= change;
    int code = devices_load(&machines[0].devices, saved.data, saved.size, &error);
    check(!code || error.message[0]);
    if (twin)
        check(devices_load(&machines[1].devices, saved.data, saved.size, &error) == code);
    buffer_free(&saved);
}

static uint16_t pick_port(uint8_t choice)
{
    static const struct {
        uint16_t first;
        uint8_t count;
    } ranges[] = {{0x20, 2},   {0xa0, 2},  {0x4d0, 2}, {0x40, 4},  {0x61, 1},  {0x70, 4},
                  {0x3f8, 8},  {0x60, 5},  {0x92, 1},  {0xcf9, 1}, {0x510, 2}, {0x514, 8},
                  {0x600, 64}, {0xcf8, 8}, {0x40, 4},  {0xfffe, 2}};
    unsigned range = choice & 15;
    return (uint16_t)(ranges[range].first + (choice >> 4) % ranges[range].count * (range == 12 ? 2 : 1));
}

static void operate_synic(struct machine *machine, uint8_t what, uint8_t number, uint32_t value)
{
    struct synic *synic = &machine->synics[what >> 3 & 1];
    const uint32_t msr = 0x40000080 + number % 0x40u;
    const uint64_t time = now / 100;
    uint64_t wide = value;
    if (!synic_has_msr(msr))
        return;
    if (what & 4 && synic_is_timer_msr(msr)) /* a time that is near */
        wide += time;
    see(machine, what & 1 ? synic_msr_write(synic, msr, wide, time) : synic_msr_read(synic, msr, &wide));
    see(machine, wide);
}

static void operate_lapic(struct machine *machine, uint8_t what, uint8_t number, uint32_t value)
{
    struct lapic *lapic = &machine->lapics[what >> 3 & 1];
    uint64_t wide = 0;
    switch (what & 7) {
    case 0: see(machine, lapic_mmio_read(lapic, (uint64_t)number * 16 % 0x410, 4)); break;
    case 1: lapic_mmio_write(lapic, (uint64_t)number * 16 % 0x410, 4, value); break;
    case 2:
    case 3: {
        static const uint32_t msrs[2] = {0x1b, 0x6e0};
        uint32_t msr = number < 2 ? msrs[number] : 0x800 + number % 0x48u;
        wide = value | (uint64_t)(value & 0xff) << 32;
        see(machine, what & 1 ? lapic_msr_write(lapic, msr, wide) : lapic_msr_read(lapic, msr, &wide));
        see(machine, wide);
        break;
    }
    case 4: {
        int vector = lapic_acknowledge(lapic);
        see(machine, (uint64_t)vector);
        check(vector >= LAPIC_NONE && vector <= LAPIC_EXTINT && lapic_pending(lapic) >= LAPIC_NONE);
        if (vector == LAPIC_EXTINT)
            see(machine, pic8259_acknowledge(&machine->pic));
        break;
    }
    case 5:
        see(machine, lapic_has_events(lapic));
        if (lapic_take_events(lapic) & LAPIC_INIT)
            lapic_init_processor(lapic);
        break;
    case 6: lapic_set_priority_class(lapic, number); break;
    case 7:
        see(machine,
            lapic_bus_send(&machine->bus, 0xfee00000 | (uint64_t)number << 12 | (value >> 16 & 15), value));
    }
}

static void operate_outside(struct machine *machine, uint8_t what, uint32_t value)
{
    switch (what & 7) {
    case 0: serial16550_receive(&machine->serial, (const uint8_t *)&value, 1 + (what >> 3) % 4u); break;
    case 1: serial16550_receive_break(&machine->serial); break;
    case 2: serial16550_writable(&machine->serial); break;
    case 3: serial16550_set_connected(&machine->serial, what & 8); break;
    case 4: acpi_pm_power_button(&machine->pm); break;
    case 5: acpi_pm_set_gpe(&machine->pm, value, what & 8); break;
    case 6: devices_reset(&machine->devices); break;
    case 7: see(machine, serial16550_room(&machine->serial)); break;
    }
}

static void operate(struct machine *machine, uint8_t kind, uint8_t what, uint8_t number, uint32_t value)
{
    unsigned size = 1u << (what & 3) % 3;
    uint64_t wide = 0;
    switch (kind) {
    case 0: see(machine, io_read(&machine->io, pick_port(number), what & 0x40 ? size : 1)); break;
    case 1: io_write(&machine->io, pick_port(number), what & 0x40 ? size : 1, value); break;
    case 2:
        memory_mmio_read(&machine->map, (what & 4 ? 0xfed00000 : 0xfec00000) + number * 4u % 0x180, size,
                         &wide);
        see(machine, wide);
        break;
    case 3:
        memory_mmio_write(&machine->map, 0xfed00000 + number * 4u % 0x180, what & 8 ? 8 : 4, value);
        break;
    case 4: /* I/O APIC */
        memory_mmio_write(&machine->map, 0xfec00000, 4, number % 0x44u);
        memory_mmio_write(&machine->map, 0xfec00000 + (what & 4 ? 0x40 : 0x10), 4, value);
        break;
    case 5: operate_lapic(machine, what, number, value); break;
    case 6: ioapic_set(&machine->ioapic, number % 28, what & 1); break;
    case 7: device_set(machine, number % 18, what & 1); break;
    case 8: operate_outside(machine, what, value); break;
    case 9: /* a DMA descriptor or data in memory */
        memory_write(&machine->map, number * 4u, &value, 4);
        break;
    case 10:
        if (what & 0x40)
            operate_synic(machine, what, number, value);
        else
            see(machine, pic8259_acknowledge(&machine->pic));
        break;
    default: timers_run(&machine->timers); break;
    }
    see(machine, timers_next(&machine->timers));
    see(machine, (uint64_t)lapic_pending(&machine->lapics[0]));
    see(machine, machine->pic.output);
}

static void pass_time(uint8_t kind, uint8_t what, uint32_t value)
{
    uint64_t next = timers_next(&machines[0].timers);
    if (kind == 11)
        now += (uint64_t)value << what % 24;
    else if (next != TIMER_NEVER && next > now)
        now = next;
    if (now > TIME_END)
        now = TIME_END;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = {data, size, false};
    bool twin = false;
    unsigned splits = 0;
    now = 1000;
    machine_make(&machines[0]);
    for (unsigned step = 0; step < 2048 && reader.left; step++) {
        uint8_t kind = reader_take_integer(&reader, 1) & 15;
        uint8_t what = (uint8_t)reader_take_integer(&reader, 1),
                number = (uint8_t)reader_take_integer(&reader, 1);
        uint32_t value = (uint32_t)reader_take_integer(&reader, what & 0x80 ? 4 : 1);
        takes = what & 0x20 ? 0 : 16;
        if (kind >= 14 && ++splits > 16) /* they take much longer than the rest */
            continue;
        if (kind == 14) {
            machines_split();
            twin = true;
            continue;
        }
        if (kind == 15) {
            machines_load_changed(twin, value | (uint32_t)number << 8, (uint8_t)(what | 1));
            continue;
        }
        if (kind >= 11)
            pass_time(kind, what, value);
        operate(&machines[0], kind, what, number, value);
        if (twin) {
            operate(&machines[1], kind, what, number, value);
            check(machines[0].outside == machines[1].outside);
        }
    }
    if (twin) {
        struct buffer a = machine_save(&machines[0]), b = machine_save(&machines[1]);
        check(a.size == b.size && !memcmp(a.data, b.data, a.size));
        buffer_free(&a);
        buffer_free(&b);
    }
    return 0;
}
