/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI tables: what their fields say, checksums, and that iasl, if there is one, understands the DSDT. */
#include "boot_harness.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "device/misc/acpi_pm.h"
#include "machine/acpi/acpi.h"

static unsigned line_of(unsigned slot, unsigned pin)
{
    return (slot + pin) % 8;
}

static const struct acpi_config pc = {
    .cpu_count = 2,
    .lapic_base = 0xfee00000,
    .ioapic_base = 0xfec00000,
    .ioapic_id = 2,
    .hpet_base = 0xfed00000,
    .pm_ports = 0x600,
    .sci = 9,
    .reset_port_value = 6,
    .serial_ports = {0x3f8, 0x2f8, 0, 0x2e8},
    .serial_irqs = {4, 3, 4, 3},
    .keyboard = true,
    .pvpanic_port = 0x505,
    .generation = UINT64_C(0x12300fe000),
    .pci_config = 0xb0000000,
    .mmio32 = {0xc0000000, 0x3ec00000},
    .mmio64 = {UINT64_C(0x8000000000), UINT64_C(0x4000000000)},
    .pci_slots = 32,
    .pci_gsi = 16,
    .pci_isa_irq = 10,
    .pci_line = line_of,
};

static uint64_t get(struct boot_machine *m, uint64_t address, unsigned size)
{
    return machine_get(m, address, size);
}

static void assert_sum(struct boot_machine *m, uint64_t address, uint64_t size)
{
    uint8_t sum = 0;
    for (uint64_t i = 0; i < size; i++)
        sum += (uint8_t)get(m, address + i, 1);
    assert_int_equal(sum, 0);
}

/* The address of the table with this signature, after a look at all of them, by XSDT and RSDT. */
static uint64_t find_table(struct boot_machine *m, uint64_t rsdp, const char *signature)
{
    uint64_t found = 0;
    machine_has(m, rsdp, "RSD PTR ", 8);
    assert_sum(m, rsdp, 20);
    assert_sum(m, rsdp, 36);
    uint64_t xsdt = get(m, rsdp + 24, 8), rsdt = get(m, rsdp + 16, 4);
    machine_has(m, xsdt, "XSDT", 4);
    machine_has(m, rsdt, "RSDT", 4);
    uint64_t count = (get(m, xsdt + 4, 4) - 36) / 8;
    assert_int_equal((get(m, rsdt + 4, 4) - 36) / 4, count);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t table = get(m, xsdt + 36 + 8 * i, 8);
        assert_int_equal(get(m, rsdt + 36 + 4 * i, 4), table);
        assert_sum(m, table, get(m, table + 4, 4));
        if (get(m, table, 4) == bytes_get32(signature))
            found = table;
    }
    return found;
}

static uint64_t write_tables(struct boot_machine *m, const struct acpi_config *config)
{
    uint64_t rsdp = 0;
    machine_set_up(m, 32 * MIB);
    assert_int_equal(acpi_write(config, &m->map, LAYOUT_TABLES, LAYOUT_TABLES_SIZE, &rsdp, &m->error), 0);
    assert_in_range(rsdp, 0xe0000, 0xfffff);
    assert_int_equal(rsdp & 15, 0);
    return rsdp;
}

static void test_fadt(void **unused)
{
    (void)unused;
    struct boot_machine m;
    uint64_t rsdp = write_tables(&m, &pc), fadt = find_table(&m, rsdp, "FACP");
    assert_int_equal(get(&m, fadt + 4, 4), 276);
    uint64_t facs = get(&m, fadt + 36, 4), dsdt = get(&m, fadt + 40, 4);
    machine_has(&m, facs, "FACS", 4);
    assert_int_equal(facs & 63, 0);
    assert_int_equal(get(&m, facs + 4, 4), 64);
    assert_int_equal(get(&m, facs + 32, 1), 2);
    machine_has(&m, dsdt, "DSDT", 4);
    assert_sum(&m, dsdt, get(&m, dsdt + 4, 4));
    assert_int_equal(get(&m, fadt + 140, 8), dsdt);
    assert_int_equal(get(&m, fadt + 46, 2), 9);
    assert_int_equal(get(&m, fadt + 48, 4), 0);
    assert_int_equal(get(&m, fadt + 56, 4), 0x600);
    assert_int_equal(get(&m, fadt + 64, 4), 0x604);
    assert_int_equal(get(&m, fadt + 76, 4), 0x608);
    assert_int_equal(get(&m, fadt + 80, 4), 0x620);
    assert_int_equal(get(&m, fadt + 88, 8), 0x0000000404000204);
    assert_int_equal(get(&m, fadt + 109, 2), 0x17);
    assert_int_equal(get(&m, fadt + 112, 4), 0x425);
    assert_int_equal(get(&m, fadt + 116, 8), 0x00000cf901000801);
    assert_int_equal(get(&m, fadt + 128, 1), 6);
    static const struct {
        unsigned offset, port, bits;
    } blocks[] = {{148, 0x600, 32}, {172, 0x604, 16}, {208, 0x608, 32}, {220, 0x620, 32}};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(get(&m, fadt + blocks[i].offset, 2), blocks[i].bits << 8 | 1);
        assert_int_equal(get(&m, fadt + blocks[i].offset + 4, 8), blocks[i].port);
    }
    machine_tear_down(&m);
}

/* Counts the MADT's entries by type, all of them within the table. */
static void count_entries(struct boot_machine *m, uint64_t madt, unsigned counts[16])
{
    uint64_t end = madt + get(m, madt + 4, 4), at = madt + 44;
    while (at < end) {
        uint64_t type = get(m, at, 1), size = get(m, at + 1, 1);
        assert_in_range(type, 0, 15);
        assert_in_range(size, 2, end - at);
        counts[type]++;
        at += size;
    }
    assert_int_equal(at, end);
}

static void test_madt(void **unused)
{
    (void)unused;
    struct boot_machine m;
    unsigned counts[16] = {0};
    uint64_t rsdp = write_tables(&m, &pc), madt = find_table(&m, rsdp, "APIC");
    assert_int_equal(get(&m, madt + 36, 4), 0xfee00000);
    assert_int_equal(get(&m, madt + 40, 4), 1);
    count_entries(&m, madt, counts);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[2], 2);
    assert_int_equal(counts[4], 1);
    assert_int_equal(counts[9], 0);
    assert_int_equal(get(&m, madt + 52, 8), 0x0000000101010800); /* the second processor */
    assert_int_equal(get(&m, madt + 60, 4), 0x00020c01);         /* I/O APIC */
    assert_int_equal(get(&m, madt + 64, 4), 0xfec00000);
    assert_int_equal(get(&m, madt + 72, 8), 0x0000000200000a02); /* IRQ 0 to input 2 */
    assert_int_equal(get(&m, madt + 82, 8), 0x0000000909000a02); /* IRQ 9 */
    assert_int_equal(get(&m, madt + 90, 2), 0xd);
    machine_tear_down(&m);

    /* Many processors, with holes between their numbers. */
    uint32_t ids[300];
    struct acpi_config many = pc;
    for (unsigned i = 0; i < 300; i++)
        ids[i] = i * 2;
    many.cpu_count = 300;
    many.apic_ids = ids;
    rsdp = write_tables(&m, &many);
    memset(counts, 0, sizeof counts);
    count_entries(&m, find_table(&m, rsdp, "APIC"), counts);
    assert_int_equal(counts[0], 128);
    assert_int_equal(counts[9], 172);
    assert_int_equal(counts[10], 1);
    machine_tear_down(&m);
}

static void test_others(void **unused)
{
    (void)unused;
    struct boot_machine m;
    uint64_t rsdp = write_tables(&m, &pc);
    uint64_t hpet = find_table(&m, rsdp, "HPET"), mcfg = find_table(&m, rsdp, "MCFG");
    assert_int_equal(get(&m, hpet + 4, 4), 56);
    assert_int_equal(get(&m, hpet + 36, 4), 0x8086a201);
    assert_int_equal(get(&m, hpet + 44, 8), 0xfed00000);
    assert_int_equal(get(&m, mcfg + 4, 4), 60);
    assert_int_equal(get(&m, mcfg + 44, 8), 0xb0000000);
    assert_int_equal(get(&m, mcfg + 52, 4), 0xff000000);
    machine_tear_down(&m);

    struct acpi_config small = pc;
    small.hpet_base = 0;
    small.pci_config = 0;
    small.pci_slots = 0;
    rsdp = write_tables(&m, &small);
    assert_int_equal(find_table(&m, rsdp, "HPET"), 0);
    assert_int_equal(find_table(&m, rsdp, "MCFG"), 0);
    small.cpu_count = 4000;
    assert_int_equal(acpi_write(&small, &m.map, LAYOUT_TABLES, LAYOUT_TABLES_SIZE, &rsdp, &m.error), -ENOSPC);
    assert_int_equal(acpi_write(&pc, &m.map, 0xb0000000, LAYOUT_TABLES_SIZE, &rsdp, &m.error), -EFAULT);
    machine_tear_down(&m);
}

/* What the disassembler makes of the DSDT compiles, and has what is expected. */
static void test_dsdt(void **unused)
{
    (void)unused;
    if (system("command -v iasl >/dev/null 2>&1"))
        skip();
    struct boot_machine m;
    uint64_t rsdp = write_tables(&m, &pc), dsdt = get(&m, find_table(&m, rsdp, "FACP") + 40, 4);
    size_t size = get(&m, dsdt + 4, 4);
    uint8_t *bytes = malloc(size);
    char folder[] = "/tmp/visor-test-XXXXXX", path[64], command[1024];
    assert_non_null(bytes);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(memory_read(&m.map, dsdt, bytes, size), 0);
    snprintf(path, sizeof path, "%s/dsdt.aml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    snprintf(command, sizeof command,
             "cd %s && iasl -d dsdt.aml >out 2>&1 && iasl -we -oa -p again dsdt.dsl >>out 2>&1 || "
             "{ cat out; false; }",
             folder);
    assert_int_equal(system(command), 0);
    static const char *const wanted[] = {
        "Device (C001)",
        "\"ACPI0007\"",
        "EisaId (\\\"PNP0A03\\\")",
        "EisaId (\\\"PNP0501\\\")",
        "0x03F8,",
        "{4}",
        "_S5_: S5 System State",
        "_PIC: Interrupt Model",
        "0x000000BFFFFFFFFF",
        "0xC0000000,",
        "QEMU0001",
        "PNP0303",
        "\"VM_Gen_Counter\"",
        "0x300FE000,",
        "Method (_E00",
        "Notify (\\_SB.VGEN, 0x80)",
    };
    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        snprintf(command, sizeof command, "grep -qF \"%s\" %s/dsdt.dsl", wanted[i], folder);
        if (system(command))
            fail_msg("%s is not in the DSDT", wanted[i]);
    }
    snprintf(command, sizeof command, "cmp -i 36 %s/dsdt.aml %s/again.aml", folder, folder);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    free(bytes);
    machine_tear_down(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fadt),
        cmocka_unit_test(test_madt),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_dsdt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
