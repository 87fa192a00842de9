/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/acpi/acpi.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/macros.h"
#include "device/misc/acpi_pm.h"
#include "machine/acpi/tables.h"

enum {
    RSDP_SIZE = 36,
    RSDP_SUM_SIZE = 20, /* of the first checksum: ACPI 1.0's */
    HEADER_SIZE = 36,
    HEADER_LENGTH = 4,
    HEADER_SUM = 9,
    FACS_SIZE = 64,
    FADT_SIZE = 276,
    REVISION = 1, /* of what is the maker's own */
};
#define ID      "VISOR "
#define TABLE   "VISORPC "
#define CREATOR "VISR"

struct tables {
    struct buffer bytes;
    uint64_t address; /* where they will be in guest memory */
    const struct acpi_config *config;
};

static void put(struct tables *t, uint64_t value, unsigned bytes)
{
    buffer_append_integer(&t->bytes, value, bytes);
}

static void put_zeros(struct tables *t, size_t count)
{
    while (count-- > 0)
        put(t, 0, 1);
}

static void align(struct tables *t, size_t to)
{
    put_zeros(t, ALIGN_UP(t->bytes.size, to) - t->bytes.size);
}

static void set_sum(struct tables *t, size_t start, size_t size, size_t at)
{
    uint8_t sum = 0;
    if (t->bytes.failed)
        return;
    for (size_t i = 0; i < size; i++)
        sum += t->bytes.data[start + i];
    t->bytes.data[at] = (uint8_t)-sum;
}

/* The header, whose length and checksum come with end_table(). */
static size_t begin_table(struct tables *t, const char *signature, unsigned revision)
{
    align(t, 16);
    size_t start = t->bytes.size;
    buffer_append(&t->bytes, signature, 4);
    put(t, 0, 4);
    put(t, revision, 1);
    put(t, 0, 1);
    buffer_append(&t->bytes, ID, 6);
    buffer_append(&t->bytes, TABLE, 8);
    put(t, REVISION, 4);
    buffer_append(&t->bytes, CREATOR, 4);
    put(t, REVISION, 4);
    return start;
}

static uint64_t end_table(struct tables *t, size_t start)
{
    size_t size = t->bytes.size - start;
    buffer_patch_integer(&t->bytes, start + HEADER_LENGTH, size, 4);
    set_sum(t, start, size, start + HEADER_SUM);
    return t->address + start;
}

static uint64_t add_facs(struct tables *t)
{
    align(t, 64);
    size_t start = t->bytes.size;
    buffer_append(&t->bytes, "FACS", 4);
    put(t, FACS_SIZE, 4);
    put_zeros(t, 24);
    put(t, 2, 1); /* version */
    put_zeros(t, FACS_SIZE - 33);
    return t->address + start;
}

static uint64_t add_dsdt(struct tables *t)
{
    size_t start = begin_table(t, "DSDT", 2); /* integers have 64 bits */
    dsdt_append(t->config, &t->bytes);
    return end_table(t, start);
}

/* A generic address of I/O ports; port 0: there is none. */
static void put_ports(struct tables *t, uint16_t port, unsigned bytes)
{
    const unsigned io = 1;
    put(t, port ? io : 0, 1);
    put(t, port ? bytes * 8 : 0, 1);
    put(t, 0, 1);
    put(t, port ? (bytes == 1 ? 1 : bytes == 2 ? 2 : 3) : 0, 1);
    put(t, port, 8);
}

/* 5.2.9, the part that ACPI 1.0 had. */
static void put_fadt_start(struct tables *t, uint64_t facs, uint64_t dsdt)
{
    enum { LEGACY_DEVICES = 1 << 0, HAS_8042 = 1 << 1, NO_VGA = 1 << 2, NO_ASPM = 1 << 4 };
    enum { WBINVD = 1 << 0, PROC_C1 = 1 << 2, NO_SLEEP_BUTTON = 1 << 5, RESET_REGISTER = 1 << 10 };
    const struct acpi_config *config = t->config;
    put(t, facs, 4);
    put(t, dsdt, 4);
    put(t, 0, 2); /* reserved, preferred profile */
    put(t, config->sci, 2);
    put(t, 0, 8); /* no SMI command port: ACPI is always on */
    put(t, config->pm_ports + ACPI_PM_EVENTS, 4);
    put(t, 0, 4);
    put(t, config->pm_ports + ACPI_PM_CONTROL, 4);
    put(t, 0, 8);
    put(t, config->pm_ports + ACPI_PM_TIMER, 4);
    put(t, config->pm_ports + ACPI_PM_GPE, 4);
    put(t, 0, 4);
    put(t, 4, 1); /* lengths: PM1 events, control, PM2, timer, GPE0, GPE1 */
    put(t, 2, 1);
    put(t, 0, 1);
    put(t, 4, 1);
    put(t, 4, 1);
    put(t, 0, 3);
    put(t, 0xffff, 2); /* no C2, no C3 */
    put(t, 0xffff, 2);
    put_zeros(t, 9); /* caches to flush, duty cycle, alarms and century in CMOS */
    put(t, LEGACY_DEVICES | (config->keyboard ? HAS_8042 : 0) | NO_VGA | NO_ASPM, 2);
    put(t, 0, 1);
    put(t, WBINVD | PROC_C1 | NO_SLEEP_BUTTON | (config->reset_port_value ? RESET_REGISTER : 0), 4);
}

static uint64_t add_fadt(struct tables *t, uint64_t facs, uint64_t dsdt)
{
    const struct acpi_config *config = t->config;
    const uint16_t reset_port = 0xcf9, base = config->pm_ports;
    size_t start = begin_table(t, "FACP", 6);
    put_fadt_start(t, facs, dsdt);
    put_ports(t, config->reset_port_value ? reset_port : 0, 1);
    put(t, config->reset_port_value, 1);
    put(t, 0, 2); /* of ARM */
    put(t, 0, 1); /* minor version */
    put(t, 0, 8); /* the FACS is named above */
    put(t, dsdt, 8);
    put_ports(t, (uint16_t)(base + ACPI_PM_EVENTS), 4);
    put_ports(t, 0, 0);
    put_ports(t, (uint16_t)(base + ACPI_PM_CONTROL), 2);
    put_ports(t, 0, 0);
    put_ports(t, 0, 0);
    put_ports(t, (uint16_t)(base + ACPI_PM_TIMER), 4);
    put_ports(t, (uint16_t)(base + ACPI_PM_GPE), 4);
    put_zeros(t, start + FADT_SIZE - t->bytes.size);
    return end_table(t, start);
}

static void put_processors(struct tables *t)
{
    enum { LOCAL_APIC = 0, LOCAL_X2APIC = 9, ENABLED = 1, IDS = 255 };
    for (unsigned i = 0; i < t->config->cpu_count; i++) {
        uint32_t id = t->config->apic_ids ? t->config->apic_ids[i] : i;
        if (id < IDS && i < IDS) {
            put(t, LOCAL_APIC | 8 << 8, 2);
            put(t, i, 1);
            put(t, id, 1);
            put(t, ENABLED, 4);
        } else {
            put(t, LOCAL_X2APIC | 16 << 8, 2);
            put(t, 0, 2);
            put(t, id, 4);
            put(t, ENABLED, 4);
            put(t, i, 4);
        }
    }
}

static void put_override(struct tables *t, unsigned irq, unsigned input, unsigned flags)
{
    enum { OVERRIDE = 2 };
    put(t, OVERRIDE | 10 << 8, 2);
    put(t, 0, 1); /* ISA */
    put(t, irq, 1);
    put(t, input, 4);
    put(t, flags, 2);
}

static uint64_t add_madt(struct tables *t)
{
    enum { IO_APIC = 1, LOCAL_NMI = 4, X2APIC_NMI = 10, HIGH_LEVEL = 0xd, HAS_8259 = 1 };
    const struct acpi_config *config = t->config;
    size_t start = begin_table(t, "APIC", 4);
    put(t, config->lapic_base, 4);
    put(t, HAS_8259, 4);
    put_processors(t);
    put(t, IO_APIC | 12 << 8, 2);
    put(t, config->ioapic_id, 2);
    put(t, config->ioapic_base, 4);
    put(t, 0, 4);
    put_override(t, 0, 2, 0);
    put_override(t, config->sci, config->sci, HIGH_LEVEL);
    put(t, LOCAL_NMI | 6 << 8, 2); /* of all processors, LINT1 */
    put(t, 0xff, 1);
    put(t, 0, 2);
    put(t, 1, 1);
    put(t, X2APIC_NMI | 12 << 8, 2);
    put(t, 0, 2);
    put(t, UINT32_MAX, 4);
    put(t, 1, 4);
    return end_table(t, start);
}

static uint64_t add_hpet(struct tables *t)
{
    /* As its capabilities register says: Intel's, legacy replacement, 64 bits, three timers, revision 1. */
    const uint32_t identity = 0x8086u << 16 | 1 << 15 | 1 << 13 | 2 << 8 | 1;
    size_t start = begin_table(t, "HPET", 1);
    put(t, identity, 4);
    put(t, 64 << 8, 4); /* memory, 64 bits */
    put(t, t->config->hpet_base, 8);
    put(t, 0, 1);
    put(t, 0x80, 2); /* smallest period in periodic mode */
    put(t, 0, 1);
    return end_table(t, start);
}

static uint64_t add_mcfg(struct tables *t)
{
    size_t start = begin_table(t, "MCFG", 1);
    put(t, 0, 8);
    put(t, t->config->pci_config, 8);
    put(t, 0, 2);            /* segment */
    put(t, 0 | 255 << 8, 2); /* buses */
    put(t, 0, 4);
    return end_table(t, start);
}

static uint64_t add_xsdt(struct tables *t, const uint64_t *addresses, unsigned count)
{
    size_t start = begin_table(t, "XSDT", 1);
    for (unsigned i = 0; i < count; i++)
        put(t, addresses[i], 8);
    return end_table(t, start);
}

/* The same for who knows ACPI 1.0 only. */
static uint64_t add_rsdt(struct tables *t, const uint64_t *addresses, unsigned count)
{
    size_t start = begin_table(t, "RSDT", 1);
    for (unsigned i = 0; i < count; i++)
        put(t, addresses[i], 4);
    return end_table(t, start);
}

static void set_rsdp(struct tables *t, uint64_t rsdt, uint64_t xsdt)
{
    struct buffer *out = &t->bytes;
    if (out->failed)
        return;
    memcpy(out->data, "RSD PTR ", 8);
    memcpy(out->data + 9, ID, 6);
    out->data[15] = 2; /* ACPI 2.0 and later */
    buffer_patch_integer(out, 16, rsdt, 4);
    buffer_patch_integer(out, 20, RSDP_SIZE, 4);
    buffer_patch_integer(out, 24, xsdt, 8);
    set_sum(t, 0, RSDP_SUM_SIZE, 8);
    set_sum(t, 0, RSDP_SIZE, 32);
}

int acpi_write(const struct acpi_config *config, struct memory_map *memory, uint64_t address, uint64_t size,
               uint64_t *rsdp, struct error *error)
{
    struct tables t = {.address = address, .config = config};
    uint64_t tables[4];
    unsigned count = 0;
    put_zeros(&t, RSDP_SIZE);
    uint64_t facs = add_facs(&t), dsdt = add_dsdt(&t);
    tables[count++] = add_fadt(&t, facs, dsdt);
    tables[count++] = add_madt(&t);
    if (config->hpet_base)
        tables[count++] = add_hpet(&t);
    if (config->pci_config)
        tables[count++] = add_mcfg(&t);
    uint64_t xsdt = add_xsdt(&t, tables, count), rsdt = add_rsdt(&t, tables, count);
    set_rsdp(&t, rsdt, xsdt);

    int result = 0;
    if (t.bytes.failed)
        result = error_set(error, -ENOMEM, "out of memory for the ACPI tables");
    else if (t.bytes.size > size)
        result = error_set(error, -ENOSPC,
                           "the ACPI tables of %u processors take %zu bytes, there is room for %llu",
                           config->cpu_count, t.bytes.size, (unsigned long long)size);
    else if (memory_write(memory, address, t.bytes.data, t.bytes.size))
        result =
            error_set(error, -EFAULT, "no memory for the ACPI tables at %llxh", (unsigned long long)address);
    buffer_free(&t.bytes);
    if (!result)
        *rsdp = address;
    return result;
}
