/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PCI bus: both ways into configuration space, sizes and places of BARs, wires, messages, what a firmware
 * would have set up. */
#include "virtio_machine.h"

static struct pci_device card, other;
static uint64_t written;
static unsigned resets;

static uint64_t card_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return *(const uint8_t *)opaque + offset;
}

static void card_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque, (void)size;
    written = offset << 32 | value;
}

static uint64_t table_read(void *opaque, uint64_t offset, unsigned size)
{
    return offset < 0x800 ? pci_msix_table_read(opaque, offset, size)
                          : pci_msix_pending_read(opaque, offset - 0x800, size);
}

static void table_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset < 0x800)
        pci_msix_table_write(opaque, offset, size, value);
}

static uint64_t reset_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0x5a;
}

static void reset_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque, (void)offset, (void)size;
    resets += value == 6;
}

static void card_reset(void *opaque)
{
    pci_device_reset(opaque);
}

static int card_loaded(void *opaque, struct error *error)
{
    return pci_device_loaded(opaque, error);
}

static const struct access_ops card_ops = {card_read, card_write, 8};
static const struct access_ops table_ops = {table_read, table_write, 8};
static const struct access_ops reset_ops = {reset_read, reset_write, 1};
static const struct device_type card_type = {.name = "card",
                                             .version = 1,
                                             .fields = pci_device_fields,
                                             .field_count = PCI_DEVICE_FIELDS,
                                             .reset = card_reset,
                                             .loaded = card_loaded};

static const struct pci_identity identity = {
    .vendor = 0x1234,
    .device = 0x5678,
    .subsystem_vendor = 0x9abc,
    .subsystem = 0xdef0,
    .revision = 3,
    .class = 0x020001,
    .interrupt = true,
};

static uint8_t marks[4] = {10, 20, 30, 40};

static int set_up(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    machine_set_up();
    written = resets = 0;
    card = other = (struct pci_device){0};
    bus.wiring.reset_control = &reset_ops;
    assert_int_equal(pci_device_add(&bus, 3, &card, "card", &identity, NULL, NULL, &error), 0);
    assert_int_equal(pci_bar_add(&card, 0, PCI_BAR_64, 0x3000, &card_ops, &marks[0], &error), 0);
    assert_int_equal(pci_bar_add(&card, 2, PCI_BAR_IO, 20, &card_ops, &marks[1], &error), 0);
    assert_int_equal(pci_bar_add(&card, 3, 0, 0x1000, &table_ops, &card, &error), 0);
    assert_int_equal(pci_bar_add(&card, 4, PCI_BAR_64 | PCI_BAR_PREFETCHABLE, UINT64_C(1) << 32, &card_ops,
                                 &marks[2], &error),
                     0);
    assert_int_equal(pci_msix_add(&card, 3, 3, 0, 0x800, &error), 0);
    assert_int_equal(pci_device_add(&bus, PCI_SLOT_ANY, &other, "other", &identity, NULL, NULL, &error), 0);
    assert_int_equal(other.slot, 1);
    assert_int_equal(pci_msi_add(&other, &error), 0);
    assert_int_equal(devices_add(&devices, &card_type, "card", &card, &error), 0);
    assert_int_equal(devices_add(&devices, &card_type, "other", &other, &error), 0);
    machine_power_on();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    machine_tear_down();
    return 0;
}

static void test_configuration_mechanism(void **state)
{
    (void)state;
    /* As Linux probes for it. */
    io_write(&io, 0xcfb, 1, 1);
    uint32_t before = io_read(&io, 0xcf8, 4);
    io_write(&io, 0xcf8, 4, 0x80000000);
    assert_int_equal(io_read(&io, 0xcf8, 4), 0x80000000);
    assert_int_equal(io_read(&io, 0xcfc + 2, 2), 0x0008);
    io_write(&io, 0xcf8, 4, 0x80000008);
    assert_int_equal(io_read(&io, 0xcfc + 2, 2), 0x0600);
    io_write(&io, 0xcf8, 4, before);
    assert_int_equal(io_read(&io, 0xcfc, 4), 0xffffffff); /* not enabled */
    assert_int_equal(io_read(&io, 0xcf8, 1), 0xff);
    /* The reset control register lies under it. */
    assert_int_equal(io_read(&io, 0xcf9, 1), 0x5a);
    io_write(&io, 0xcf9, 1, 6);
    assert_int_equal(resets, 1);
    assert_int_equal(io_read(&io, 0xcf8, 4), before);

    assert_int_equal(config_get(3, 0, 4), 0x56781234);
    assert_int_equal(config_get(3, 8, 4), 0x02000103);
    assert_int_equal(config_get(3, 0x2c, 4), 0xdef09abc);
    assert_int_equal(config_get(3, 0x0e, 1), 0);
    assert_int_equal(config_get(2, 0, 4), 0xffffffff);
    io_write(&io, 0xcf8, 4, 0x80000000 | 3 << 11 | 1 << 8); /* function 1 */
    assert_int_equal(io_read(&io, 0xcfc, 4), 0xffffffff);
    io_write(&io, 0xcf8, 4, 0x80010000 | 3 << 11); /* bus 1 */
    assert_int_equal(io_read(&io, 0xcfc, 4), 0xffffffff);
    config_set(3, 0, 4, 0); /* read-only */
    assert_int_equal(config_get(3, 0, 4), 0x56781234);
}

static void test_memory_mapped_configuration(void **state)
{
    (void)state;
    uint64_t base = 0xb0000000 + (3 << 15);
    assert_int_equal(get(base, 4), 0x56781234);
    assert_int_equal(get(base + 2, 2), 0x5678);
    assert_int_equal(get(base, 8) >> 32 & 0xffff, 3);
    set(base + 0x3c, 1, 7);
    assert_int_equal(config_get(3, 0x3c, 4) & 0xff, 7);
    assert_int_equal(get(base + 0x100, 4), 0xffffffff); /* no extended space */
    assert_int_equal(get(base + (1 << 12), 4), 0xffffffff);
    assert_int_equal(get(base + (1 << 20), 4), 0xffffffff);
    assert_int_equal(get(0xb0000000 + PCI_MMCONFIG_SIZE - 4, 4), 0xffffffff);
}

static void test_bars(void **state)
{
    (void)state;
    assert_int_equal(config_get(3, PCI_COMMAND, 2), 3);
    /* Sizes. */
    config_set(3, PCI_COMMAND, 2, 0);
    uint32_t was[6];
    static const uint32_t masks[6] = {0xffffc004, 0xffffffff, 0xffffffe1, 0xfffff000, 0x0000000c, 0xffffffff};
    for (unsigned i = 0; i < 6; i++) {
        was[i] = config_get(3, 0x10 + 4 * i, 4);
        config_set(3, 0x10 + 4 * i, 4, 0xffffffff);
        assert_int_equal(config_get(3, 0x10 + 4 * i, 4), masks[i]);
        config_set(3, 0x10 + 4 * i, 4, was[i]);
    }
    /* Where they were put: in the windows, aligned, apart. */
    assert_int_equal(was[0] & 0x3fff, 4);
    assert_true(was[0] >= WINDOW && was[0] < WINDOW + 0x20000000);
    assert_int_equal(was[1], 0);
    assert_true(was[2] >= 0xc000 && was[2] <= 0xefe1 && (was[2] & 31) == 1);
    assert_true(was[3] >= WINDOW && (was[3] & ~0xfffu) != (was[0] & ~0xfffu));
    assert_int_equal(was[4], 0xc);
    assert_true(was[5] >= 1 && was[5] < 17); /* above 4 GiB */
    uint64_t bar = was[0] & ~15u, value;
    assert_int_equal(memory_mmio_read(&map, bar, 4, &value), -EFAULT); /* not decoded */
    config_set(3, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_int_equal(get(bar + 5, 1), 15);
    set(bar + 0x20, 4, 0x1234);
    assert_int_equal(written, UINT64_C(0x2000001234));
    assert_int_equal(get((uint64_t)was[5] << 32, 1), 30);
    assert_int_equal(io_read(&io, (uint16_t)(was[2] & ~3u), 1), 0xff);
    config_set(3, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
    assert_int_equal(io_read(&io, (uint16_t)(was[2] & ~3u), 1), 20);
    /* Moved, with decoding on; over memory it hides nothing. */
    config_set(3, 0x10, 4, 0xd0000000);
    assert_int_equal(get(0xd0000002, 1), 12);
    assert_int_equal(memory_mmio_read(&map, bar, 4, &value), -EFAULT);
    set(0x4000, 4, 0xabcd);
    config_set(3, 0x10, 4, 0x4000);
    assert_int_equal(get(0x4000, 4), 0xabcd);
    config_set(3, 0x10, 4, 0xfffffff0);
    config_set(3, 0x14, 4, 0xffffffff); /* beyond the end of the address space */
    config_set(3, 0x14, 4, 0);
    config_set(3, 0x10, 4, 0);
    assert_int_equal(get(0, 1), 0);
}

static void test_wires(void **state)
{
    (void)state;
    unsigned line = 16 + pci_intx_line(3, 0);
    assert_int_equal(line, 19);
    assert_int_equal(config_get(3, PCI_INTERRUPT_PIN, 1), 1);
    assert_int_equal(config_get(3, PCI_INTERRUPT_LINE, 1), 11);
    assert_int_equal(config_get(0, PCI_INTERRUPT_PIN, 1), 0);
    pci_set_intx(&card, true);
    assert_true(lines[line] && lines[11] && !lines[10]);
    assert_int_equal(config_get(3, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
    assert_int_equal(config_get(3, PCI_COMMAND, 4) >> 16 & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
    /* Two of the 8259s' for eight of the I/O APIC's. */
    pci_set_intx(&other, true);
    assert_true(lines[17] && lines[11]);
    pci_set_intx(&card, false);
    assert_true(!lines[line] && lines[17] && lines[11]);
    config_set(1, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
    assert_true(!lines[17] && !lines[11]);
    config_set(1, PCI_COMMAND, 2, 0);
    assert_true(lines[17]);
    machine_power_on();
    assert_false(lines[17]);
}

static uint64_t table(unsigned vector, unsigned word)
{
    return (config_get(3, 0x1c, 4) & ~15u) + vector * 16 + word * 4;
}

static void test_msix(void **state)
{
    (void)state;
    unsigned at = card.msix_capability;
    assert_int_equal(config_get(3, PCI_CAPABILITIES, 1), at);
    assert_int_equal(config_get(3, at, 4), 0x00020011);
    assert_int_equal(config_get(3, at + 4, 4), 3);
    assert_int_equal(config_get(3, at + 8, 4), 0x803);
    assert_int_equal(get(table(2, 3), 4), 1);
    set(table(1, 0), 4, 0xfee01003);
    set(table(1, 2), 8, UINT64_C(0x4021)); /* data, and unmasked */
    assert_int_equal(get(table(1, 0), 8), 0xfee01000);
    config_set(3, PCI_COMMAND, 2, 7);
    pci_set_intx(&card, true);
    pci_msix_send(&card, 1);
    assert_int_equal(messages, 0); /* not enabled */
    config_set(3, at + 2, 2, 0xc000);
    assert_false(lines[19]); /* the wire is not used any more */
    pci_msix_send(&card, 1);
    pci_msix_send(&card, 2);
    pci_msix_send(&card, 3);
    assert_int_equal(messages, 0);
    assert_int_equal(get(table(0, 0) + 0x800, 8), 6);
    config_set(3, at + 2, 2, 0x8000);
    assert_int_equal(messages, 1);
    assert_int_equal(message_address, 0xfee01000);
    assert_int_equal(message_data, 0x4021);
    assert_int_equal(get(table(0, 0) + 0x800, 4), 4);
    set(table(2, 2), 4, 0x55);
    set(table(2, 3), 4, 0);
    assert_int_equal(messages, 2);
    assert_int_equal(message_data, 0x55);
    assert_int_equal(get(table(0, 0) + 0x800, 8), 0);
    /* Who may not access memory sends no messages. */
    config_set(3, PCI_COMMAND, 2, 3);
    pci_msix_send(&card, 1);
    assert_int_equal(messages, 2);
    config_set(3, PCI_COMMAND, 2, 7);
    assert_int_equal(messages, 3);
    set(table(3, 0), 4, 1); /* there is no fourth */
    assert_int_equal(get(table(3, 0), 4), 0);
}

static void test_msi(void **state)
{
    (void)state;
    unsigned at = other.msi_capability;
    assert_int_equal(config_get(1, at, 4), 0x01800005);
    config_set(1, PCI_COMMAND, 2, 7);
    config_set(1, at + 4, 4, 0xfee00000);
    config_set(1, at + 12, 2, 0x31);
    pci_msi_send(&other);
    assert_int_equal(messages, 0);
    config_set(1, at + 2, 2, 1);
    pci_msi_send(&other);
    assert_int_equal(messages, 1);
    assert_int_equal(message_data, 0x31);
    config_set(1, at + 16, 4, 1);
    pci_msi_send(&other);
    assert_int_equal(messages, 1);
    config_set(1, at + 16, 4, 0);
    assert_int_equal(messages, 2);
}

static void test_save(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct buffer saved = {0};
    config_set(3, PCI_COMMAND, 2, 7);
    config_set(3, 0x10, 4, 0xd0000000);
    set(table(1, 2), 8, UINT64_C(0x21));
    config_set(3, card.msix_capability + 2, 2, 0xc000);
    pci_msix_send(&card, 1);
    devices_save(&devices, &saved);
    machine_power_on();
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    assert_int_equal(get(0xd0000002, 1), 12);
    assert_int_equal(io_read(&io, 0xcf8, 4), 0x80000000 | 3 << 11 | card.msix_capability);
    config_set(3, card.msix_capability + 2, 2, 0x8000);
    assert_int_equal(message_data, 0x21);
    /* A device that is another one. */
    other.config[0]++;
    saved.size = 0;
    devices_save(&devices, &saved);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), -EINVAL);
    assert_non_null(strstr(error.message, "other"));
    buffer_free(&saved);
}

static void test_no_room(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct pci_device big = {0};
    assert_int_equal(pci_device_add(&bus, 3, &big, "big", &identity, NULL, NULL, &error), -EBUSY);
    assert_int_equal(pci_device_add(&bus, 32, &big, "big", &identity, NULL, NULL, &error), -EBUSY);
    assert_int_equal(pci_device_add(&bus, 31, &big, "big", &identity, NULL, NULL, &error), 0);
    assert_int_equal(pci_bar_add(&big, 0, 0, 0x40000000, &card_ops, &marks[3], &error), 0);
    assert_int_equal(pci_assign(&bus, &error), -ENOSPC);
    assert_non_null(strstr(error.message, "big"));
    pci_device_remove(&big);
    assert_int_equal(config_get(31, 0, 4), 0xffffffff);
    assert_int_equal(pci_assign(&bus, &error), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_configuration_mechanism),
        TEST(test_memory_mapped_configuration),
        TEST(test_bars),
        TEST(test_wires),
        TEST(test_msix),
        TEST(test_msi),
        TEST(test_save),
        TEST(test_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
