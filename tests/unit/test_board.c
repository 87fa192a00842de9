/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The small devices of a PC's board: keyboard controller, ports 92h and CF9h, fw_cfg, ACPI power management.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "arch/x86/state.h"
#include "device/misc/acpi_pm.h"
#include "device/misc/debug_port.h"
#include "device/misc/fw_cfg.h"
#include "device/misc/i8042.h"
#include "device/misc/pvpanic.h"
#include "device/misc/system_control.h"
#include "device/misc/test_device.h"
#include "device/misc/vmware_port.h"
#include "fake_clock.h"

static struct io_space io;
static struct memory_map map;
static struct memory_backing *ram;
static struct i8042 i8042;
static struct system_control control;
static struct fw_cfg fw_cfg;
static struct acpi_pm pm;
static bool lines[16], a20[2];
static struct pvpanic pvpanic;
static struct debug_exit debug_exit;
static struct test_device test_device;
static struct char_backend debug_console;
static unsigned resets, power_offs, sleep_type, panics;
static uint32_t told;

static void set_line(void *opaque, unsigned number, bool level)
{
    (void)opaque;
    lines[number] = level;
}

static void set_a20(void *opaque, unsigned number, bool level)
{
    (void)opaque;
    a20[number] = level;
}

static void reset(void *opaque)
{
    (void)opaque;
    resets++;
}

static void power_off(void *opaque)
{
    (void)opaque;
    power_offs++;
}

static void sleep_now(void *opaque, unsigned type)
{
    (void)opaque;
    sleep_type = type;
}

static void panic(void *opaque)
{
    (void)opaque;
    panics++;
}

static void debug_exit_told(void *opaque, uint32_t value)
{
    (void)opaque;
    told = value;
}

static size_t debug_console_told(void *opaque, const uint8_t *data, size_t size)
{
    (void)opaque;
    told = data[0];
    return size;
}

static int set_up(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    const struct board board = {reset, power_off, sleep_now, panic, NULL};
    memset(lines, 0, sizeof lines);
    resets = power_offs = sleep_type = panics = 0;
    fake_clock_start(0);
    ram = memory_backing_create("ram", 0x10000, &error);
    if (!ram || memory_map_init(&map, 0xffffffff, &error) || io_space_init(&io, &error) ||
        !memory_add_ram(&map, "ram", 0x10000, 0x10000, 0, ram, 0, &error))
        return -1;
    i8042_init(&i8042, (struct irq_line){set_line, NULL, 1}, (struct irq_line){set_a20, NULL, 0}, board);
    system_control_init(&control, (struct irq_line){set_a20, NULL, 1}, board);
    fw_cfg_init(&fw_cfg, &map);
    acpi_pm_init(&pm, &timers, (struct irq_line){set_line, NULL, 9}, board);
    pvpanic_init(&pvpanic, board);
    debug_exit.exit = debug_exit_told;
    debug_console.write = debug_console_told;
    return pvpanic_attach(&pvpanic, &io, &error) || debug_exit_attach(&debug_exit, &io, 0xf4, &error) ||
           debug_console_attach(&debug_console, &io, &error) || i8042_attach(&i8042, &io, &error) ||
           system_control_attach(&control, &io, &error) ||
           system_control_attach_reset(&control, &io, &error) || fw_cfg_attach(&fw_cfg, &io, &error) ||
           acpi_pm_attach(&pm, &io, 0x600, &error);
}

static int tear_down(void **state)
{
    (void)state;
    fw_cfg_destroy(&fw_cfg);
    io_space_destroy(&io);
    memory_map_destroy(&map);
    memory_backing_free(ram);
    timers_destroy(&timers);
    return 0;
}

static uint32_t get(uint16_t port, unsigned size)
{
    return io_read(&io, port, size);
}

static void set(uint16_t port, unsigned size, uint32_t value)
{
    io_write(&io, port, size, value);
}

static void test_keyboard_controller(void **state)
{
    (void)state;
    assert_int_equal(get(0x64, 1), 0x10);
    set(0x64, 1, 0xaa);
    assert_int_equal(get(0x64, 1), 0x1d);
    assert_int_equal(get(0x60, 1), 0x55);
    assert_int_equal(get(0x64, 1), 0x1c);
    set(0x64, 1, 0xab);
    assert_int_equal(get(0x60, 1), 0);
    set(0x64, 1, 0x60);
    set(0x60, 1, 0x45);
    set(0x64, 1, 0x20);
    assert_true(lines[1]);
    assert_int_equal(get(0x60, 1), 0x45);
    assert_false(lines[1]);
    /* There is no keyboard: what is sent to one times out. */
    set(0x60, 1, 0xff);
    assert_int_equal(get(0x64, 1) & 0x41, 0x41);
    assert_true(lines[1]);
    assert_int_equal(get(0x60, 1), 0xfe);
    assert_int_equal(get(0x64, 1) & 0x41, 0);
    set(0x64, 1, 0xa9);
    assert_int_equal(get(0x60, 1), 1);
    set(0x64, 1, 0xd2);
    set(0x60, 1, 0x77);
    assert_int_equal(get(0x60, 1), 0x77);
    /* Output port: A20, and the reset line, which is low. */
    assert_true(a20[0]);
    set(0x64, 1, 0xd1);
    set(0x60, 1, 0x01);
    assert_false(a20[0]);
    set(0x64, 1, 0xdf);
    assert_true(a20[0]);
    set(0x64, 1, 0xd0);
    assert_int_equal(get(0x60, 1) & 3, 3);
    assert_int_equal(resets, 0);
    set(0x64, 1, 0xd1);
    set(0x60, 1, 0x02);
    assert_int_equal(resets, 1);
    set(0x64, 1, 0xff); /* pulses nothing */
    assert_int_equal(resets, 1);
    set(0x64, 1, 0xfe);
    assert_int_equal(resets, 2);
}

static void test_resets(void **state)
{
    (void)state;
    assert_int_equal(get(0x92, 1), 2);
    set(0x92, 1, 0);
    assert_false(a20[1]);
    set(0x92, 1, 3);
    assert_true(a20[1]);
    assert_int_equal(resets, 1);
    set(0x92, 1, 3); /* only its rise */
    assert_int_equal(resets, 1);
    set(0xcf9, 1, 0x02);
    assert_int_equal(resets, 1);
    assert_int_equal(get(0xcf9, 1), 2);
    set(0xcf9, 1, 0x06);
    assert_int_equal(resets, 2);
    set(0xcf9, 1, 0x0e);
    assert_int_equal(resets, 2);
}

static void dma(uint32_t operation, uint32_t length, uint64_t address)
{
    uint32_t descriptor[4] = {htobe32(operation), htobe32(length), htobe32((uint32_t)(address >> 32)),
                              htobe32((uint32_t)address)};
    assert_int_equal(memory_write(&map, 0x10100, descriptor, sizeof descriptor), 0);
    set(0x514, 4, 0);
    set(0x518, 4, htobe32(0x10100));
}

static uint32_t answer(void)
{
    uint32_t value;
    assert_int_equal(memory_read(&map, 0x10100, &value, sizeof value), 0);
    return be32toh(value);
}

static void test_fw_cfg(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    assert_int_equal(fw_cfg_add(&fw_cfg, 5, "\1\2\3\4\5", 5, &error), 0);
    assert_int_equal(fw_cfg_add(&fw_cfg, 5, "\1", 1, &error), -EEXIST);
    assert_int_equal(fw_cfg_add_file(&fw_cfg, "opt/hello", "Hello", 5, &error), 0);
    assert_int_equal(fw_cfg_add_file(&fw_cfg, "etc/two", "22", 2, &error), 0);
    assert_int_equal(fw_cfg_add_file(&fw_cfg, "etc/two", "22", 2, &error), -EEXIST);

    set(0x510, 2, 0);
    for (const char *c = "QEMU"; *c; c++)
        assert_int_equal(get(0x511, 1), *c);
    assert_int_equal(get(0x511, 1), 0);
    set(0x510, 2, 1);
    assert_int_equal(get(0x511, 1), 3);
    set(0x510, 2, 0x19);
    uint8_t directory[4 + 2 * 64];
    for (unsigned i = 0; i < sizeof directory; i++)
        directory[i] = (uint8_t)get(0x511, 1);
    assert_memory_equal(directory, "\0\0\0\2\0\0\0\5\0\x20\0\0opt/hello", 22);
    assert_memory_equal(directory + 68, "\0\0\0\2\0\x21\0\0etc/two", 16);
    set(0x510, 2, 0x7777);
    assert_int_equal(get(0x511, 1), 0);

    assert_int_equal(get(0x514, 4), 0x554d4551);
    assert_int_equal(get(0x518, 4), 0x47464320);
    dma(0x20 << 16 | 8 | 2, 8, 0x10200);
    assert_int_equal(answer(), 0);
    assert_memory_equal(ram->host + 0x200, "Hello\0\0\0", 8);
    dma(5 << 16 | 8, 0, 0);
    dma(4, 3, 0);
    dma(2, 1, 0x10300);
    assert_int_equal(ram->host[0x300], 4);
    dma(16, 1, 0x10300);
    assert_int_equal(answer(), 1); /* read-only */
    dma(2, 1, 0x30000);
    assert_int_equal(answer(), 1);
    dma(2, 0xffffffff, 0x1f000); /* over the end of memory */
    assert_int_equal(answer(), 1);
    set(0x514, 4, 0xffffffff);
    set(0x518, 4, 0xffffffff);
}

static void test_acpi_timer(void **state)
{
    (void)state;
    assert_int_equal(get(0x608, 4), 0);
    now = TIMER_SECOND;
    assert_int_equal(get(0x608, 4), 3579545);
    now = TIMER_SECOND * 4;
    assert_int_equal(get(0x608, 4), 3579545 * 4);
    assert_int_equal(get(0x600, 2) & 1, 1); /* the highest of 24 bits has changed */
    set(0x600, 2, 1);
    set(0x602, 2, 1);
    assert_false(lines[9]);
    now = timers_next(&timers);
    timers_run(&timers);
    assert_true(lines[9]);
    assert_int_equal(get(0x608, 4), 0);
    set(0x600, 2, 1);
    assert_false(lines[9]);
    set(0x602, 2, 0);
    assert_int_equal(timers_next(&timers), TIMER_NEVER);
}

static void test_acpi_events(void **state)
{
    (void)state;
    assert_int_equal(get(0x604, 2), 1);
    acpi_pm_power_button(&pm);
    assert_false(lines[9]);
    set(0x602, 2, 0x100);
    assert_true(lines[9]);
    set(0x601, 1, 1);
    assert_false(lines[9]);
    assert_int_equal(get(0x600, 2), 0);
    acpi_pm_set_gpe(&pm, 3, true);
    set(0x622, 1, 8);
    assert_true(lines[9]);
    set(0x620, 1, 8);
    assert_true(lines[9]); /* still asserted */
    acpi_pm_set_gpe(&pm, 3, false);
    assert_true(lines[9]);
    set(0x620, 2, 0xffff);
    assert_false(lines[9]);
    set(0x604, 2, 5 << 10);
    assert_int_equal(power_offs, 0);
    set(0x604, 2, 5 << 10 | 0x2000);
    assert_int_equal(power_offs, 1);
    assert_int_equal(get(0x604, 2), 5 << 10 | 1); /* SLP_EN reads as zero */
    set(0x604, 2, 1 << 10 | 0x2000);
    assert_int_equal(power_offs, 1);
    assert_int_equal(sleep_type, 1);
}

static void test_pvpanic(void **state)
{
    (void)state;
    assert_int_equal(get(0x505, 1), 3);
    set(0x505, 1, PVPANIC_CRASH_LOADED); /* the guest helps itself */
    assert_int_equal(panics, 0);
    set(0x505, 1, PVPANIC_PANICKED);
    assert_int_equal(panics, 1);
    assert_int_equal(pvpanic.events, 3);
    set(0x505, 1, 0xfc);
    assert_int_equal(panics, 1);
    assert_int_equal(pvpanic.events, 3);
    pvpanic_type.reset(&pvpanic);
    assert_int_equal(pvpanic.events, 0);
}

static void test_debug_ports(void **state)
{
    (void)state;
    assert_int_equal(get(0xf4, 1), 0);
    set(0xf4, 1, 0x1ff);
    assert_int_equal(told, 0xff);
    set(0xf4, 2, 0x12345);
    assert_int_equal(told, 0x2345);
    set(0xf4, 4, 0x89abcdef);
    assert_int_equal(told, 0x89abcdef);
    assert_int_equal(get(0xe9, 1), 0xe9);
    set(0xe9, 1, 'x');
    assert_int_equal(told, 'x');
}

static void test_test_device(void **state)
{
    struct error error = ERROR_INIT;
    struct irq_line wires[TEST_DEVICE_LINE_COUNT];
    uint64_t value;
    (void)state;
    for (unsigned i = 0; i < TEST_DEVICE_LINE_COUNT; i++)
        wires[i] = (struct irq_line){set_line, NULL, i};
    test_device_init(&test_device, wires);
    assert_int_equal(test_device_attach(&test_device, &io, &map, &error), 0);
    set(0xe0, 4, 0x12345678);
    set(0xe1, 1, 0xab);
    assert_int_equal(get(0xe0, 4), 0x1234ab78);
    assert_int_equal(get(0xe2, 2), 0x1234);
    set(0x200b, 4, 1); /* wider than the port */
    assert_true(lines[11]);
    assert_false(lines[10]);
    set(0x200b, 1, 0);
    assert_false(lines[11]);
    value = 0x1122334455667788;
    assert_int_equal(memory_write(&map, 0xff00fff8, &value, 8), 0);
    value = 0;
    assert_int_equal(memory_read(&map, 0xff00fffc, &value, 4), 0);
    assert_int_equal(value, 0x11223344);
    set(0x2003, 1, 1);
    test_device_type.reset(&test_device);
    assert_false(lines[3]);
    assert_int_equal(get(0xe0, 4), 0);
}

static uint32_t vmware_call(uint32_t command, uint64_t registers[X86_GPR_COUNT])
{
    memset(registers, 0x77, sizeof(uint64_t[X86_GPR_COUNT]));
    registers[X86_RAX] = VMWARE_MAGIC;
    registers[X86_RCX] = command;
    registers[X86_RDX] = VMWARE_PORT;
    return io_read_by(&io, VMWARE_PORT, 4, registers);
}

/* What stands in registers says what is wanted, and what is not told stays. */
static void test_vmware_port(void **state)
{
    uint64_t registers[X86_GPR_COUNT], others[X86_GPR_COUNT];
    struct vmware_port port;
    (void)state;
    vmware_port_attach(&port, &io, UINT64_C(5) << 30, true);
    assert_int_equal(vmware_call(0xabcd000a, registers), 6);
    assert_int_equal(registers[X86_RBX], VMWARE_MAGIC);
    assert_int_equal(registers[X86_RCX], 2);
    assert_int_equal(registers[X86_RDX], VMWARE_PORT);
    assert_int_equal(registers[X86_RSI], 0x7777777777777777);
    assert_int_equal(vmware_call(20, registers), 5120);
    assert_int_equal(vmware_call(68, registers), 8);
    port.x2apic = false;
    assert_int_equal(vmware_call(68, registers), 0);
    memcpy(others, registers, sizeof others);
    assert_int_equal(vmware_call(0xfff, registers), UINT32_MAX);
    others[X86_RCX] = 0xfff;
    others[X86_RAX] = UINT32_MAX;
    assert_memory_equal(registers, others, sizeof others);
    registers[X86_RCX] = 10;
    registers[X86_RAX] = VMWARE_MAGIC + 1;
    assert_int_equal(io_read_by(&io, VMWARE_PORT, 4, registers), UINT32_MAX);
    assert_int_equal(registers[X86_RCX], 10);
}

/* An IN that is no call finds nothing there, and other ports are what they are. */
static void test_vmware_port_by_others(void **state)
{
    uint64_t registers[X86_GPR_COUNT] = {VMWARE_MAGIC, 10};
    struct vmware_port port;
    (void)state;
    vmware_port_attach(&port, &io, 1 << 30, true);
    assert_int_equal(io_read_by(&io, VMWARE_PORT, 2, registers), 0xffff);
    assert_int_equal(io_read_by(&io, VMWARE_PORT + 4, 4, registers), UINT32_MAX);
    assert_int_equal(io_read_by(&io, DEBUG_CONSOLE_PORT, 1, registers), DEBUG_CONSOLE_PORT);
    assert_int_equal(registers[X86_RCX], 10);
    assert_int_equal(io_read(&io, VMWARE_PORT, 4), UINT32_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_keyboard_controller),
        TEST(test_resets),
        TEST(test_fw_cfg),
        TEST(test_acpi_timer),
        TEST(test_acpi_events),
        TEST(test_pvpanic),
        TEST(test_debug_ports),
        TEST(test_test_device),
        TEST(test_vmware_port),
        TEST(test_vmware_port_by_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
