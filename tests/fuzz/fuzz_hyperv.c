/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_hyperv: a guest of Hyper-V reads and writes all of its registers, whose pages it has anywhere, fills
 * its memory, calls hypercalls with any registers, and makes connections for them. A processor that serves
 * none of its interrupts gets each vector once. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/features.h"
#include "base/buffer.h"
#include "device/misc/hyperv_test.h"
#include "engine/hyperv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAM_SIZE = 0x4000, CPUS = 2, CALL = 0x400001ff };

static struct memory_backing *ram;
static struct memory_map map;
static struct io_space io;
static struct x86_model model;
static struct timers timers;
static struct lapic lapics[CPUS], *lapic_pointers[CPUS] = {&lapics[0], &lapics[1]};
static struct lapic_bus bus;
static struct synic synics[CPUS], *synic_pointers[CPUS] = {&synics[0], &synics[1]};
static struct hyperv_test test;
static struct x86_state state, registers;
static uint64_t now;

static void check(bool good)
{
    if (!good)
        abort();
}

static uint64_t read_clock(void *opaque)
{
    (void)opaque;
    return now;
}

static uint64_t read_tsc(void *vcpu)
{
    (void)vcpu;
    return now;
}

static void kick(void *opaque, unsigned vcpu)
{
    check(!opaque && vcpu < CPUS);
}

/* Once: what stays. */
static void wire(void)
{
    struct error error = ERROR_INIT;
    ram = memory_backing_create("ram", RAM_SIZE, &error);
    check(ram && !memory_map_init(&map, UINT64_C(0xffffffffff), &error) && !io_space_init(&io, &error) &&
          memory_add_ram(&map, "ram", 0, RAM_SIZE, 0, ram, 0, &error) &&
          !x86_model_parse(&model, "max,hv=on", &error) && !hyperv_test_attach(&test, &io, &error));
}

static void begin(void)
{
    memset(ram->host, 0, RAM_SIZE);
    now = 1000000;
    timers_init(&timers, (struct clock){read_clock, NULL});
    bus = (struct lapic_bus){.lapics = lapic_pointers, .count = CPUS, .host = {kick, NULL, NULL}};
    for (unsigned i = 0; i < CPUS; i++) {
        lapic_init(&lapics[i], &bus, i, i, 40, &timers);
        lapic_mmio_write(&lapics[i], 0xf0, 4, 0x1ff);
        synic_init(&synics[i], &lapics[i], &map, &timers);
    }
    hyperv_test_init(&test, synic_pointers, CPUS);
    x86_state_reset(&state, &model);
    x86_state_reset(&registers, &model);
}

static void hypercall(struct hyperv *hyperv, uint8_t what, uint16_t number, uint64_t value)
{
    uint64_t status;
    registers.gpr[X86_RBP] = registers.gpr[X86_RAX] = what & 0x80 ? value : number;
    registers.gpr[X86_RDX] = what & 0x80 ? number : 0;
    registers.gpr[X86_RBX] = 0;
    if (what & 0x40)
        registers.gpr[X86_RBP] = value;
    if (hyperv_msr_read(hyperv, CALL, &status))
        check(status < 0x20);
}

static void access_msr(struct hyperv *hyperv, uint8_t what, uint16_t number, uint64_t value)
{
    const uint32_t msr = 0x40000000 + number % 0x100;
    uint64_t read;
    if (!hyperv_has_msr(&model, msr))
        return;
    if (what & 0x80)
        hyperv_msr_write(hyperv, msr, value);
    else if (hyperv_msr_read(hyperv, msr, &read) && hyperv_msr_write(hyperv, msr, read))
        hyperv_msr_read(hyperv, msr, &read);
}

static void interrupt(struct lapic *lapic)
{
    const int vector = lapic_acknowledge(lapic);
    check(vector == LAPIC_NONE || (vector >= 16 && vector < 256));
    if (vector != LAPIC_NONE)
        lapic_mmio_write(lapic, 0xb0, 4, 0);
}

static void step(uint8_t what, uint16_t number, uint64_t value)
{
    const unsigned vcpu = what >> 3 & 1;
    const struct pvclock clock = {.model = &model, .memory = &map, .clock = &timers.clock};
    const struct synic_connections connections = hyperv_test_connections(&test);
    struct hyperv hyperv = {
        .clock = &clock,
        .machine = &state,
        .index = vcpu,
        .synic = &synics[vcpu],
        .connections = &connections,
        .registers = &registers,
        .tsc = read_tsc,
    };
    switch (what & 7) {
    case 0:
    case 1: access_msr(&hyperv, what, number, value); break;
    case 2: hypercall(&hyperv, what, number, value); break;
    case 3: io_write(&io, HYPERV_TEST_PORT, 4, (uint32_t)value); break;
    case 4: memory_write(&map, number % RAM_SIZE, &value, sizeof value); break;
    case 5: interrupt(&lapics[vcpu]); break;
    case 6:
        registers.segment[X86_CS].attributes ^= number;
        registers.efer ^= value;
        break;
    case 7:
        now += what & 0x80 ? value >> 24 : number;
        now = now < TIMER_NEVER / 2 ? now : TIMER_NEVER / 2;
        timers_run(&timers);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = {data, size, false};
    if (!ram)
        wire();
    begin();
    for (unsigned i = 0; i < 1024 && reader.left; i++) {
        const uint8_t what = (uint8_t)reader_take_integer(&reader, 1);
        const uint16_t number = (uint16_t)reader_take_integer(&reader, 2);
        step(what, number, reader_take_integer(&reader, what & 0x20 ? 8 : 3));
    }
    timers_destroy(&timers);
    return 0;
}
