/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APICs, the bus between them, and the I/O APIC, as Intel's manuals describe them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "device/irq/ioapic.h"
#include "device/irq/lapic.h"
#include "fake_clock.h"

#define CPUS 4

static struct lapic lapics[CPUS];
static struct lapic *pointers[CPUS];
static struct lapic_bus bus;
static struct ioapic ioapic;
static unsigned kicks[CPUS];
static unsigned eois;

static void kick(void *opaque, unsigned vcpu)
{
    (void)opaque;
    kicks[vcpu]++;
}

static void broadcast_eoi(void *opaque, uint8_t vector)
{
    (void)opaque;
    eois++;
    ioapic_eoi(&ioapic, vector);
}

static void write_register(unsigned cpu, unsigned offset, uint32_t value)
{
    lapic_mmio_write(&lapics[cpu], offset, 4, value);
}

static uint32_t read_register(unsigned cpu, unsigned offset)
{
    return (uint32_t)lapic_mmio_read(&lapics[cpu], offset, 4);
}

static int set_up(void **state)
{
    (void)state;
    eois = 0;
    fake_clock_start(1000);
    bus = (struct lapic_bus){.lapics = pointers, .count = CPUS, .host = {kick, broadcast_eoi, NULL}};
    for (unsigned i = 0; i < CPUS; i++) {
        kicks[i] = 0;
        pointers[i] = &lapics[i];
        lapic_init(&lapics[i], &bus, i, i, 40, &timers);
        write_register(i, 0xf0, 0x1ff);
        write_register(i, 0xd0, 1u << (24 + i));
        assert_int_equal(lapic_take_events(&lapics[i]), LAPIC_SWITCHED_ON);
        kicks[i] = 0;
    }
    ioapic_init(&ioapic, (struct msi_port){.send = lapic_bus_send, .opaque = &bus});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    timers_destroy(&timers);
    return 0;
}

static void send(unsigned cpu, uint32_t destination, uint32_t command)
{
    write_register(cpu, 0x310, destination << 24);
    write_register(cpu, 0x300, command);
}

static void test_reset_state(void **state)
{
    (void)state;
    struct lapic lapic;
    uint64_t address;
    lapic_init(&lapic, &bus, 0, 7, 40, &timers);
    assert_int_equal(lapic_mmio_read(&lapic, 0x20, 4), 7 << 24);
    assert_int_equal(lapic_mmio_read(&lapic, 0x30, 4) & 0xff00ff, 0x50014);
    assert_int_equal(lapic_mmio_read(&lapic, 0xe0, 4), 0xffffffff);
    assert_int_equal(lapic_mmio_read(&lapic, 0xf0, 4), 0xff);
    for (unsigned offset = 0x320; offset <= 0x370; offset += 16)
        assert_int_equal(lapic_mmio_read(&lapic, offset, 4), 0x10000);
    assert_true(lapic_page(&lapic, &address));
    assert_int_equal(address, 0xfee00000);
    /* Bytes and words of a register can be read, writes are of all of it. */
    assert_int_equal(lapic_mmio_read(&lapic, 0xf0, 1), 0xff);
    assert_int_equal(lapic_mmio_read(&lapic, 0x23, 1), 7);
    assert_int_equal(lapic_mmio_read(&lapic, 0x24, 4), 0);
    lapic_mmio_write(&lapic, 0x80, 1, 0x30);
    assert_int_equal(lapic_mmio_read(&lapic, 0x80, 4), 0);
    /* Software-disabled: no fixed interrupts, masks stay. */
    assert_false(lapic_bus_send(&bus, 0xfee07000, 0x40));
    lapic_mmio_write(&lapic, 0x350, 4, 0x40);
    assert_int_equal(lapic_mmio_read(&lapic, 0x350, 4), 0x10040);
    timer_cancel(&lapic.timer);
}

static void test_priority(void **state)
{
    (void)state;
    struct lapic *lapic = &lapics[0];
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    assert_true(lapic_bus_send(&bus, 0xfee00000, 0x51));
    assert_true(lapic_bus_send(&bus, 0xfee00000, 0x58));
    assert_int_equal(kicks[0], 2);
    assert_int_equal(lapic_acknowledge(lapic), 0x58);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE); /* the same class */
    assert_int_equal(read_register(0, 0xa0), 0x50);
    lapic_bus_send(&bus, 0xfee00000, 0x61);
    assert_int_equal(lapic_acknowledge(lapic), 0x61);
    write_register(0, 0xb0, 0);
    assert_int_equal(read_register(0, 0x120), 1u << 24); /* 0x58 in service */
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    write_register(0, 0xb0, 0);
    write_register(0, 0x80, 0x5f);
    assert_int_equal(read_register(0, 0xa0), 0x5f);
    assert_int_equal(lapic_priority_class(lapic), 5);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    lapic_set_priority_class(lapic, 4);
    assert_int_equal(read_register(0, 0x80), 0x40);
    assert_int_equal(lapic_pending(lapic), 0x51);
    assert_int_equal(read_register(0, 0x220), 1u << 17);
    write_register(0, 0xb0, 0); /* nothing in service: ignored */
    assert_int_equal(eois, 0);
}

static void test_ipi(void **state)
{
    (void)state;
    send(0, 2, 0x4041); /* physical */
    assert_int_equal(lapic_acknowledge(&lapics[2]), 0x41);
    assert_int_equal(lapic_pending(&lapics[1]), LAPIC_NONE);
    send(0, 0xff, 0x42); /* broadcast */
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(lapic_pending(&lapics[i]) == 0x42, i != 2); /* 2 serves that class */
    write_register(2, 0xb0, 0);
    for (unsigned i = 0; i < CPUS; i++) {
        assert_int_equal(lapic_acknowledge(&lapics[i]), 0x42);
        write_register(i, 0xb0, 0);
    }
    send(1, 0, 0x40043); /* self */
    assert_int_equal(lapic_acknowledge(&lapics[1]), 0x43);
    write_register(1, 0xb0, 0);
    send(1, 0, 0xc0044); /* all but self */
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(lapic_acknowledge(&lapics[i]), i == 1 ? LAPIC_NONE : 0x44);
    send(1, 0, 0x80055); /* all */
    assert_int_equal(lapic_pending(&lapics[1]), 0x55);

    send(0, 3, 0x4500);
    assert_int_equal(lapic_take_events(&lapics[3]), LAPIC_INIT);
    send(0, 3, 0x8500); /* level de-assert */
    assert_false(lapic_has_events(&lapics[3]));
    send(0, 3, 0x4699);
    assert_int_equal(lapic_take_events(&lapics[3]), LAPIC_SIPI);
    assert_int_equal(lapics[3].sipi_vector, 0x99);
    send(0, 3, 0x4400);
    send(0, 3, 0x4200);
    assert_int_equal(lapic_take_events(&lapics[3]), LAPIC_NMI | LAPIC_SMI);
    for (unsigned i = 0; i < 3; i++)
        send(0, 3, 0x4400);
    assert_int_equal(lapic_take_events(&lapics[3]), LAPIC_NMI | LAPIC_NMI_AGAIN);
    assert_int_equal(lapic_take_events(&lapics[3]), 0);

    send(0, 1, 0x400f); /* an illegal vector is an error of the sender */
    assert_int_equal(read_register(0, 0x280), 0);
    write_register(0, 0x280, 0);
    assert_int_equal(read_register(0, 0x280), 0x20);
    write_register(0, 0x280, 0);
    assert_int_equal(read_register(0, 0x280), 0);
}

static void test_logical(void **state)
{
    (void)state;
    send(0, 0x0a, 0x4871); /* flat: 1 and 3 */
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(lapic_acknowledge(&lapics[i]), i & 1 ? 0x71 : LAPIC_NONE);
    for (unsigned i = 0; i < CPUS; i++) {
        write_register(i, 0xb0, 0);
        write_register(i, 0xe0, 0);
        write_register(i, 0xd0, ((i / 2) << 4 | 1u << i % 2) << 24);
    }
    send(0, 0x12, 0x4872); /* cluster 1, its second */
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(lapic_acknowledge(&lapics[i]), i == 3 ? 0x72 : LAPIC_NONE);
    write_register(3, 0xb0, 0);
    send(0, 0xf1, 0x4873); /* the first of every cluster */
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(lapic_acknowledge(&lapics[i]), i % 2 ? LAPIC_NONE : 0x73);
    /* Lowest priority: who has the least to do. */
    for (unsigned i = 0; i < CPUS; i++)
        write_register(i, 0x80, i == 1 ? 0x10 : 0x20);
    send(3, 0xf3, 0x4974);
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(lapic_pending(&lapics[i]), i == 1 ? 0x74 : LAPIC_NONE);
    /* A message with the redirection hint. */
    assert_true(lapic_bus_send(&bus, 0xfeef300c, 0x75));
    assert_int_equal(lapic_pending(&lapics[1]), 0x75);
    assert_false(lapic_bus_send(&bus, 0xfed00000, 0x75));
    assert_false(lapic_bus_send(&bus, 0xfee09000, 0x75)); /* nobody */
}

static void test_x2apic(void **state)
{
    (void)state;
    uint64_t value = 0, address;
    struct lapic *lapic = &lapics[1];
    assert_false(lapic_msr_read(lapic, 0x802, &value));
    assert_true(lapic_msr_read(lapic, 0x1b, &value));
    assert_int_equal(value, 0xfee00800);
    assert_false(lapic_msr_write(lapic, 0x1b, 0xfee00400)); /* x2APIC without being on */
    assert_false(lapic_msr_write(lapic, 0x1b, 0xfee00801));
    assert_false(lapic_msr_write(lapic, 0x1b, UINT64_C(0x100fee00800)));
    for (unsigned i = 0; i < CPUS; i++)
        assert_true(lapic_msr_write(&lapics[i], 0x1b, 0xfee00c00));
    assert_false(lapic_msr_write(lapic, 0x1b, 0xfee00800));
    assert_false(lapic_page(lapic, &address));
    assert_true(lapic_msr_read(lapic, 0x802, &value) && value == 1);
    assert_true(lapic_msr_read(lapic, 0x80d, &value) && value == 2);
    assert_false(lapic_msr_read(lapic, 0x80e, &value));
    assert_false(lapic_msr_read(lapic, 0x831, &value));
    assert_false(lapic_msr_read(lapic, 0x80b, &value));
    assert_false(lapic_msr_read(lapic, 0x840, &value));
    assert_false(lapic_msr_write(lapic, 0x802, 1));
    assert_false(lapic_msr_write(lapic, 0x80b, 1));
    assert_false(lapic_msr_write(lapic, 0x808, 0x100));
    assert_false(lapic_msr_write(lapic, 0x828, 1));
    assert_false(lapic_msr_write(lapic, 0x832, UINT64_C(1) << 32));
    assert_true(lapic_msr_write(lapic, 0x83f, 0x77));
    assert_int_equal(lapic_acknowledge(lapic), 0x77);
    assert_true(lapic_msr_write(lapic, 0x80b, 0));
    /* Physical, then logical: cluster 0, CPUs 0 and 2. */
    assert_true(lapic_msr_write(lapic, 0x830, UINT64_C(3) << 32 | 0x78));
    assert_int_equal(lapic_acknowledge(&lapics[3]), 0x78);
    assert_true(lapic_msr_read(lapic, 0x830, &value) && value == (UINT64_C(3) << 32 | 0x78));
    assert_true(lapic_msr_write(lapic, 0x830, UINT64_C(5) << 32 | 0x881));
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(lapic_acknowledge(&lapics[i]), i == 0 || i == 2 ? 0x81 : LAPIC_NONE);
    assert_true(lapic_msr_write(lapic, 0x830, UINT64_C(0xffffffff) << 32 | 0x91));
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(lapic_acknowledge(&lapics[i]), 0x91);
    /* Switched off, everything is as after a reset. */
    assert_true(lapic_msr_write(lapic, 0x1b, 0xfee00000));
    assert_false(lapic_msr_write(lapic, 0x1b, 0xfee00c00));
    assert_true(lapic_msr_write(lapic, 0x1b, 0xfee00800));
    assert_int_equal(read_register(1, 0xf0), 0xff);
}

static void test_timer(void **state)
{
    (void)state;
    write_register(0, 0x3e0, 3); /* over 16 */
    write_register(0, 0x320, 0x40);
    write_register(0, 0x380, 100);
    advance(160);
    assert_int_equal(read_register(0, 0x390), 90);
    advance(1439);
    assert_int_equal(lapic_pending(&lapics[0]), LAPIC_NONE);
    advance(1);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x40);
    write_register(0, 0xb0, 0);
    assert_int_equal(read_register(0, 0x390), 0);
    assert_int_equal(timers_next(&timers), TIMER_NEVER);

    /* Over is over, whatever the mode becomes. */
    write_register(0, 0x320, 0x20040);
    assert_int_equal(read_register(0, 0x380), 100);
    assert_int_equal(read_register(0, 0x390), 0);
    assert_int_equal(timers_next(&timers), TIMER_NEVER);

    write_register(0, 0x3e0, 11);      /* over 1 */
    write_register(0, 0x320, 0x20041); /* periodic */
    write_register(0, 0x380, 1000);
    for (unsigned i = 0; i < 3; i++) {
        advance(999);
        assert_int_equal(lapic_pending(&lapics[0]), LAPIC_NONE);
        advance(1);
        assert_int_equal(lapic_acknowledge(&lapics[0]), 0x41);
        write_register(0, 0xb0, 0);
    }
    /* A mode that changes while it counts changes only what happens at the end. */
    advance(400);
    write_register(0, 0x320, 0x41);
    assert_int_equal(read_register(0, 0x390), 600);
    advance(600);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x41);
    write_register(0, 0xb0, 0);
    assert_int_equal(timers_next(&timers), TIMER_NEVER);
    write_register(0, 0x320, 0x20041);
    write_register(0, 0x380, 1000);
    /* The divisor changes: half of it has passed, the other half takes twice the time. */
    advance(500);
    write_register(0, 0x3e0, 0);
    assert_int_equal(read_register(0, 0x390), 500);
    advance(999);
    assert_int_equal(lapic_pending(&lapics[0]), LAPIC_NONE);
    advance(1);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x41);
    write_register(0, 0xb0, 0);
    /* Late: once. And masked: it goes on counting. */
    now += 1000000;
    timers_run(&timers);
    assert_true(timers_next(&timers) > now);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x41);
    write_register(0, 0xb0, 0);
    write_register(0, 0x320, 0x30041);
    advance(5000);
    assert_int_equal(lapic_pending(&lapics[0]), LAPIC_NONE);
    write_register(0, 0x380, 0);
    assert_int_equal(timers_next(&timers), TIMER_NEVER);
}

static void test_tsc_deadline(void **state)
{
    (void)state;
    uint64_t value;
    struct lapic *lapic = &lapics[0];
    assert_true(lapic_msr_write(lapic, 0x6e0, 5000));
    assert_true(lapic_msr_read(lapic, 0x6e0, &value) && value == 0); /* another mode: ignored */
    write_register(0, 0x320, 0x40050);
    lapic_msr_write(lapic, 0x6e0, 5000); /* in 4000 ns */
    assert_true(lapic_msr_read(lapic, 0x6e0, &value) && value == 5000);
    write_register(0, 0x380, 7);
    assert_int_equal(read_register(0, 0x380), 0);
    advance(3999);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    advance(1);
    assert_int_equal(lapic_acknowledge(lapic), 0x50);
    write_register(0, 0xb0, 0);
    assert_true(lapic_msr_read(lapic, 0x6e0, &value) && value == 0);
    lapic_msr_write(lapic, 0x6e0, 4); /* past */
    assert_int_equal(lapic_acknowledge(lapic), 0x50);
    write_register(0, 0xb0, 0);
    lapic_msr_write(lapic, 0x6e0, 10000);
    lapic_msr_write(lapic, 0x6e0, 0);
    advance(10000);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    lapic_msr_write(lapic, 0x6e0, 1000000);
    write_register(0, 0x320, 0x50); /* a change of mode disarms */
    advance(1000000);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
}

/* The guest's counter is not the clock: it has been written, before the deadline was, or afterwards. */
static void test_tsc_offset(void **state)
{
    (void)state;
    struct lapic *lapic = &lapics[0];
    write_register(0, 0x320, 0x40050);
    lapic_set_tsc_offset(lapic, -now); /* to 0 */
    lapic_msr_write(lapic, 0x6e0, 300);
    advance(299);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    advance(1);
    assert_int_equal(lapic_acknowledge(lapic), 0x50);
    write_register(0, 0xb0, 0);
    lapic_set_tsc_offset(lapic, UINT64_MAX - 1000 - now); /* almost round */
    lapic_msr_write(lapic, 0x6e0, UINT64_MAX - 500);
    advance(499);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    advance(1);
    assert_int_equal(lapic_acknowledge(lapic), 0x50);
    write_register(0, 0xb0, 0);
    lapic_set_tsc_offset(lapic, 0);
    lapic_msr_write(lapic, 0x6e0, now + 1000);
    lapic_set_tsc_offset(lapic, 600); /* so much nearer */
    advance(399);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    advance(1);
    assert_int_equal(lapic_acknowledge(lapic), 0x50);
    write_register(0, 0xb0, 0);
    lapic_set_tsc_offset(lapic, 0); /* what is over does not come again */
    advance(10000);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    lapic_msr_write(lapic, 0x6e0, now + 1000);
    lapic_set_tsc_offset(lapic, UINT64_C(1) << 40); /* past it */
    assert_int_equal(lapic_acknowledge(lapic), 0x50);
}

static void test_lint(void **state)
{
    (void)state;
    struct lapic *lapic = &lapics[0];
    lapic_set_lint(lapic, 0, true);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    lapic_set_virtual_wire(lapic);
    assert_int_equal(lapic_pending(lapic), LAPIC_EXTINT);
    write_register(0, 0x80, 0xff); /* not a matter of priorities */
    assert_int_equal(lapic_acknowledge(lapic), LAPIC_EXTINT);
    lapic_set_lint(lapic, 0, false);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    lapic_set_lint(lapic, 1, true);
    lapic_set_lint(lapic, 1, true);
    assert_int_equal(lapic_take_events(lapic), LAPIC_NMI);
    assert_int_equal(lapic_take_events(lapic), 0);
    write_register(0, 0x80, 0);
    /* Fixed and level-triggered: again after the EOI while it is asserted. */
    write_register(0, 0x350, 0x8033);
    lapic_set_lint(lapic, 0, true);
    assert_int_equal(read_register(0, 0x350), 0xc033);
    assert_int_equal(lapic_acknowledge(lapic), 0x33);
    write_register(0, 0xb0, 0);
    assert_int_equal(lapic_acknowledge(lapic), 0x33);
    lapic_set_lint(lapic, 0, false);
    write_register(0, 0xb0, 0);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    /* Switched off, the pins are INTR and NMI. */
    lapic_msr_write(lapic, 0x1b, 0xfee00100);
    lapic_set_lint(lapic, 0, true);
    assert_int_equal(lapic_pending(lapic), LAPIC_EXTINT);
    assert_int_equal(lapic_acknowledge(lapic), LAPIC_EXTINT);
}

static void test_errors(void **state)
{
    (void)state;
    write_register(0, 0x370, 0xf1);
    read_register(0, 0x40); /* reserved */
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0xf1);
    write_register(0, 0x280, 0);
    assert_int_equal(read_register(0, 0x280), 0x80);
    write_register(0, 0xb0, 0);
    assert_false(lapic_bus_send(&bus, 0xfee00000, 0x05));
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0xf1);
    write_register(0, 0x280, 0);
    assert_int_equal(read_register(0, 0x280), 0x40);
    write_register(0, 0x370, 0x01); /* itself illegal */
    write_register(0, 0x350, 0x02);
    lapic_set_lint(&lapics[0], 0, true);
    assert_int_equal(lapics[0].errors, 0x40);
}

static void io_register(unsigned index, uint32_t value)
{
    ioapic_ops.write(&ioapic, 0, 4, index);
    ioapic_ops.write(&ioapic, 0x10, 4, value);
}

static uint32_t io_register_read(unsigned index)
{
    ioapic_ops.write(&ioapic, 0, 4, index);
    return (uint32_t)ioapic_ops.read(&ioapic, 0x10, 4);
}

static void test_ioapic(void **state)
{
    (void)state;
    assert_int_equal(io_register_read(1), 0x170020);
    io_register(0, 0xffffffff);
    assert_int_equal(io_register_read(0), 0x0f000000);
    assert_int_equal(io_register_read(0x10), 0x10000);
    io_register(0x12, 0xffffffff);
    assert_int_equal(io_register_read(0x12), 0x1afff);
    io_register(0x12, 0x10000);
    assert_int_equal(io_register_read(0x40), 0);

    /* Edge: pin 4 to CPU 1; edges while masked are lost. */
    io_register(0x19, 1 << 24);
    ioapic_set(&ioapic, 4, true);
    ioapic_set(&ioapic, 4, false);
    io_register(0x18, 0x31);
    assert_int_equal(lapic_pending(&lapics[1]), LAPIC_NONE);
    ioapic_set(&ioapic, 4, true);
    assert_int_equal(lapic_acknowledge(&lapics[1]), 0x31);
    ioapic_set(&ioapic, 4, true);
    write_register(1, 0xb0, 0);
    assert_int_equal(lapic_pending(&lapics[1]), LAPIC_NONE);
    assert_int_equal(eois, 0);

    /* Level, logical to 2 and 3 by lowest priority. */
    io_register(0x2b, 0x0c << 24);
    ioapic_set(&ioapic, 13, true);
    io_register(0x2a, 0x8942);
    assert_int_equal(io_register_read(0x2a), 0xc942); /* remote IRR */
    assert_int_equal(lapic_acknowledge(&lapics[2]), 0x42);
    assert_int_equal(read_register(2, 0x1a0), 4);
    ioapic_set(&ioapic, 13, true);
    assert_int_equal(lapic_pending(&lapics[3]), LAPIC_NONE);
    write_register(2, 0xb0, 0);
    assert_int_equal(eois, 1);
    assert_int_equal(lapic_acknowledge(&lapics[2]), 0x42); /* still asserted */
    ioapic_set(&ioapic, 13, false);
    /* Directed EOI: the broadcast is suppressed, software writes the I/O APIC's register. */
    write_register(2, 0xf0, 0x11ff);
    write_register(2, 0xb0, 0);
    assert_int_equal(io_register_read(0x2a), 0xc942);
    ioapic_ops.write(&ioapic, 0x40, 4, 0x42);
    assert_int_equal(io_register_read(0x2a), 0x8942);
    /* Masked while pending, then made edge-triggered: remote IRR goes. */
    ioapic_set(&ioapic, 13, true);
    io_register(0x2a, 0x18942);
    assert_int_equal(io_register_read(0x2a), 0x1c942);
    io_register(0x2a, 0x10942);
    assert_int_equal(io_register_read(0x2a), 0x10942);
    /* NMI. */
    io_register(0x20, 0x400);
    ioapic_set(&ioapic, 8, true);
    assert_int_equal(lapic_take_events(&lapics[0]), LAPIC_NMI);
    ioapic_set(&ioapic, 99, true);
}

struct player {
    struct lapic *lapic;
    unsigned vector, other;
    unsigned taken;
    bool bad;
};

#define PINGS 200

/* A vCPU that answers each interrupt with one to the other, and lets its timer run meanwhile. */
static void *play(void *opaque)
{
    struct player *player = opaque;
    while (player->taken < PINGS) {
        int vector = lapic_acknowledge(player->lapic);
        if (vector == LAPIC_NONE) {
            sched_yield();
            continue;
        }
        lapic_mmio_write(player->lapic, 0xb0, 4, 0);
        if (vector == 0x33) { /* the timer */
            lapic_msr_write(player->lapic, 0x6e0, 1);
            continue;
        }
        player->bad |= (unsigned)vector != player->vector;
        player->taken++;
        lapic_mmio_write(player->lapic, 0x310, 4, player->other << 24);
        lapic_mmio_write(player->lapic, 0x300, 4, player->vector ^ 0x10);
        if (player->taken % 16 == 0)
            lapic_msr_write(player->lapic, 0x6e0, 1);
    }
    return NULL;
}

static void kick_nobody(void *opaque, unsigned vcpu)
{
    (void)opaque, (void)vcpu;
}

/* Two vCPUs' threads interrupt each other, without a lock, while the loop's runs the timers: nothing is lost.
 */
static void test_threads(void **state)
{
    (void)state;
    struct player players[2] = {{&lapics[0], 0x40, 1, 0, false}, {&lapics[1], 0x50, 0, 0, false}};
    pthread_t threads[2];
    bus.host.kick = kick_nobody;
    for (unsigned i = 0; i < 2; i++)
        write_register(i, 0x320, 0x40033);
    send(2, 0, 0x4040);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, play, &players[i]), 0);
    for (unsigned i = 0; i < 10000; i++)
        timers_run(&timers);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < 2; i++)
        assert_true(players[i].taken == PINGS && !players[i].bad);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* -- lent ------------------------------------------------------------------------------------------------ */

static unsigned borrowed, pin_told;
static uint32_t pin_data_told;

static bool borrower_send(void *opaque, uint64_t address, uint32_t data)
{
    (void)opaque, (void)address, (void)data;
    borrowed++;
    return true;
}

static void borrower_pin(void *opaque, unsigned pin, uint64_t address, uint32_t data)
{
    (void)opaque, (void)address;
    pin_told = pin;
    pin_data_told = data;
}

/* Everything comes back as it was, and nothing happens meanwhile. */
static void test_lend(void **state)
{
    struct lapic *lapic = &lapics[1];
    struct lapic_image image;
    (void)state;
    write_register(1, 0x80, 0x23);
    write_register(1, 0x370, 0xfe);
    write_register(1, 0x310, 0x0a000000);
    lapic_bus_send(&bus, 0xfee01000, 0xc061);
    lapic_bus_send(&bus, 0xfee01000, 0x4072);
    assert_int_equal(lapic_acknowledge(lapic), 0x72);
    lapic_lend(lapic, &image);
    assert_int_equal(image.registers[2], 1u << 24);
    assert_int_equal(image.registers[8], 0x23);
    assert_int_equal(image.registers[0x10 + 3], 1u << 0x12);
    assert_int_equal(image.registers[0x20 + 3], 1u << 1);
    assert_int_equal(image.registers[0x18 + 3], 1u << 1);
    assert_int_equal(image.registers[0x31], 0x0a000000);
    assert_int_equal(image.base, 0xfee00800);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    image.registers[0x37] = 0xfd; /* what guest code has done */
    lapic_return(lapic, &image);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE); /* behind what is served */
    write_register(1, 0xb0, 0);
    assert_int_equal(lapic_acknowledge(lapic), 0x61);
    assert_int_equal(read_register(1, 0x80), 0x23);
    assert_int_equal(read_register(1, 0x370), 0xfd);
    assert_int_equal(read_register(1, 0x310), 0x0a000000);
    write_register(1, 0xb0, 0);
    assert_int_equal(eois, 1);
}

/* The count goes on from where it is; what was reached before has interrupted, and does not again. */
static void test_lend_timer(void **state)
{
    struct lapic *lapic = &lapics[0];
    struct lapic_image image;
    (void)state;
    write_register(0, 0x3e0, 0); /* by two */
    write_register(0, 0x320, 0x50);
    write_register(0, 0x380, 1000);
    advance(600);
    lapic_lend(lapic, &image);
    assert_int_equal(image.registers[0x38], 1000);
    assert_int_equal(image.registers[0x39], 700);
    advance(5000);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    lapic_return(lapic, &image);
    assert_int_equal(read_register(0, 0x390), 700);
    advance(1399);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    advance(1);
    assert_int_equal(lapic_acknowledge(lapic), 0x50);
    write_register(0, 0xb0, 0);
    lapic_lend(lapic, &image);
    assert_int_equal(image.registers[0x38], 0); /* it would count anew */
    lapic_return(lapic, &image);
    assert_int_equal(read_register(0, 0x380), 1000);
    assert_int_equal(read_register(0, 0x390), 0);
    advance(5000);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    write_register(0, 0x320, 0x20050);
    write_register(0, 0x380, 1000);
    advance(1200);
    lapic_lend(lapic, &image);
    assert_int_equal(image.registers[0x39], 400);
    lapic_return(lapic, &image);
    advance(800);
    assert_int_equal(lapic_acknowledge(lapic), 0x50);
    write_register(0, 0xb0, 0);
    advance(2000);
    assert_int_equal(lapic_acknowledge(lapic), 0x50);
}

static uint64_t passing_now(void *opaque)
{
    (void)opaque;
    return now++;
}

/* Whenever it is lent while time goes on: it has interrupted, or there is something to count. */
static void test_lend_while_time_passes(void **state)
{
    struct lapic *lapic = &lapics[0];
    struct lapic_image image;
    (void)state;
    timers.clock.now = passing_now;
    write_register(0, 0x3e0, 11); /* by one */
    write_register(0, 0x320, 0x50);
    for (unsigned passed = 0; passed < 20; passed++) {
        write_register(0, 0x380, 10);
        now += passed;
        lapic_lend(lapic, &image);
        const bool asks = image.registers[0x20 + 2] & 1 << 0x10;
        assert_true(asks == !image.registers[0x39]);
        assert_true(asks == !image.registers[0x38]);
        image.registers[0x20 + 2] = image.registers[0x38] = image.registers[0x39] = 0; /* taken */
        lapic_return(lapic, &image);
    }
}

static void test_lend_deadline(void **state)
{
    struct lapic *lapic = &lapics[0];
    struct lapic_image image;
    uint64_t value;
    (void)state;
    write_register(0, 0x320, 0x40050);
    lapic_msr_write(lapic, 0x6e0, now + 3000);
    lapic_lend(lapic, &image);
    assert_int_equal(image.tsc_deadline, now + 3000);
    advance(1000);
    lapic_return(lapic, &image);
    assert_true(lapic_msr_read(lapic, 0x6e0, &value) && value == image.tsc_deadline);
    advance(1999);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    advance(1);
    assert_int_equal(lapic_acknowledge(lapic), 0x50);
    write_register(0, 0xb0, 0);
    lapic_lend(lapic, &image);
    assert_int_equal(image.tsc_deadline, 0);
    image.tsc_deadline = now - 1; /* reached, and nobody has been told */
    lapic_return(lapic, &image);
    assert_int_equal(lapic_acknowledge(lapic), 0x50);
}

/* Pins that are asserted meanwhile count in the end; messages are the borrower's. */
static void test_lend_wires(void **state)
{
    struct lapic *lapic = &lapics[0];
    struct lapic_image image;
    (void)state;
    ioapic_init(&ioapic, (struct msi_port){.send = lapic_bus_send, .opaque = &bus});
    ioapic.watcher = (struct ioapic_watcher){lapic_bus_pin, &bus};
    bus.borrower = (struct lapic_borrower){.send = borrower_send, .pin = borrower_pin, .opaque = NULL};
    borrowed = 0;
    write_register(0, 0x360, 0x400); /* LINT1: NMI */
    lapic_lend(lapic, &image);
    assert_true(lapic_bus_send(&bus, 0xfee00000, 0x4061));
    assert_int_equal(borrowed, 1);
    lapic_set_lint(lapic, 1, true);
    lapic_set_lint(lapic, 1, true);
    assert_true(lapic_has_events(lapic));
    assert_true(lapic_bus_deliver(&bus, 0xfee01000, 0x4061)); /* to another, which is here */
    lapic_return(lapic, &image);
    assert_int_equal(lapic_take_events(lapic), LAPIC_NMI);
    assert_int_equal(lapic_acknowledge(&lapics[1]), 0x61);
    ioapic_ops.write(&ioapic, 0, 4, 0x10 + 2 * 5);
    ioapic_ops.write(&ioapic, 0x10, 4, 0x8041); /* level-triggered */
    assert_int_equal(pin_told, 5);
    assert_int_equal(pin_data_told, 0xc041);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reset_state),
        TEST(test_priority),
        TEST(test_ipi),
        TEST(test_logical),
        TEST(test_x2apic),
        TEST(test_timer),
        TEST(test_tsc_deadline),
        TEST(test_tsc_offset),
        TEST(test_lint),
        TEST(test_errors),
        TEST(test_ioapic),
        TEST(test_threads),
        TEST(test_lend),
        TEST(test_lend_timer),
        TEST(test_lend_deadline),
        TEST(test_lend_wires),
        TEST(test_lend_while_time_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
