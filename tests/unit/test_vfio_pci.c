/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A PCI device of a host that is made up, on the machine's bus: what of it the guest finds, reaches and is
 * told, and what becomes of memory that it reaches. */
#include "virtio_machine.h"

#include <stdio.h>
#include <sys/mman.h>

#include "device/pci/vfio_memory.h"
#include "device/pci/vfio_pci.h"

#define SLOT     1
#define BAR      UINT64_C(0xc0000000)
#define BAR_SIZE 0x8000 /* of BAR 0: registers, at 4000h MSI-X's table, at 5000h its pending bits */
#define TABLE    0x4000
#define PENDING  0x5000
#define VECTORS  3

/* Capabilities. */
enum { POWER = 0x40, MSI = 0x50, MSIX = 0x68, EXPRESS = 0x74, VENDOR = 0xb0, UNKNOWN = 0xc0, OWN = 0xe0 };

struct mapping {
    uint64_t address, size;
    void *memory;
};

static struct vfio_device host;
static struct vfio_space space;
static struct vfio_pci *device;
static uint8_t *bar0; /* memory that can be mapped */
static uint8_t shown[256];
static char accesses[512]; /* what was asked of the host, in order */
static enum vfio_interrupt kind;
static unsigned vectors, unmasks, maps, failures;
static struct mapping mappings[8];
static unsigned mapping_count;
static int map_code;
static bool has_table;

/* -- the host -------------------------------------------------------------------------------------------- */

static void note(const char *format, unsigned a, unsigned b)
{
    const size_t used = strlen(accesses);
    snprintf(accesses + used, sizeof accesses - used, format, a, b);
}

static uint8_t *place_of(unsigned region, uint64_t offset)
{
    return region == VFIO_CONFIG ? &shown[offset] : &bar0[offset];
}

static bool host_read(struct vfio_device *which, unsigned region, uint64_t offset, void *buffer,
                      unsigned size)
{
    (void)which;
    memcpy(buffer, place_of(region, offset), size);
    return true;
}

static bool host_write(struct vfio_device *which, unsigned region, uint64_t offset, const void *buffer,
                       unsigned size)
{
    uint32_t value = 0;
    (void)which;
    memcpy(&value, buffer, MIN(size, 4u));
    note(region == VFIO_CONFIG ? "config %x=%x " : "bar %x=%x ", (unsigned)offset, value);
    memcpy(place_of(region, offset), buffer, size);
    return true;
}

static int host_interrupts(struct vfio_device *which, enum vfio_interrupt what, unsigned count,
                           struct error *error)
{
    (void)which, (void)error;
    assert_true(count <= which->vectors[what] || !what);
    kind = what;
    vectors = count;
    return 0;
}

static void host_unmask(struct vfio_device *which)
{
    (void)which;
    unmasks++;
}

static int host_reset(struct vfio_device *which)
{
    (void)which;
    note("reset ", 0, 0);
    return 0;
}

static int host_map(struct vfio_device *which, unsigned region, uint64_t offset, uint64_t size, uint8_t **at)
{
    (void)which;
    assert_int_equal(region, 0);
    assert_true(offset % 4096 == 0 && size % 4096 == 0 && offset + size <= BAR_SIZE);
    if (has_table) /* what visor answers is nobody else's */
        assert_true(offset + size <= TABLE || offset >= PENDING + 4096);
    maps++;
    *at = bar0 + offset;
    return 0;
}

static void host_unmap(struct vfio_device *which, uint8_t *at, uint64_t size)
{
    (void)which, (void)at, (void)size;
    maps--;
}

static const struct vfio_device_ops host_ops = {
    .read = host_read,
    .write = host_write,
    .interrupts = host_interrupts,
    .unmask = host_unmask,
    .reset = host_reset,
    .map = host_map,
    .unmap = host_unmap,
};

static int space_map(struct vfio_space *which, uint64_t address, void *memory, uint64_t size,
                     struct error *error)
{
    (void)which;
    if (map_code)
        return error_set(error, map_code, "no");
    mappings[mapping_count++] = (struct mapping){address, size, memory};
    return 0;
}

static void space_unmap(struct vfio_space *which, uint64_t address, uint64_t size)
{
    (void)which;
    for (unsigned i = 0; i < mapping_count; i++) {
        if (mappings[i].address != address || mappings[i].size != size)
            continue;
        mappings[i] = mappings[--mapping_count];
        return;
    }
    fail_msg("%#llx was not mapped so", (unsigned long long)address);
}

static const struct vfio_space_ops space_ops = {space_map, space_unmap};

static void note_failed(void *opaque, const char *address, const char *reason)
{
    (void)opaque;
    assert_string_equal(address, host.address);
    assert_string_equal(reason, "has gone");
    failures++;
}

static void show(unsigned offset, unsigned size, uint32_t value)
{
    memcpy(&shown[offset], &value, size);
}

static void show_all(void)
{
    memset(shown, 0, sizeof shown);
    show(PCI_VENDOR_ID, 4, 0x56781234);
    show(PCI_STATUS, 2, PCI_STATUS_CAPABILITIES);
    show(PCI_REVISION, 4, 0x02000003);
    show(PCI_HEADER_TYPE, 1, 0x80); /* several functions */
    show(PCI_BAR0, 4, 0xfeb00004);  /* where the host has it: 64 bits */
    show(PCI_BAR0 + 12, 4, 0xe001); /* ports */
    show(PCI_SUBSYSTEM_VENDOR_ID, 4, 0x22221111);
    show(PCI_CAPABILITIES, 1, POWER);
    show(PCI_INTERRUPT_LINE, 4, 0x0304020b); /* pin B */
    show(POWER, 4, 0xc8030001 | MSI << 8);
    show(POWER + 4, 2, 0x0008);
    show(MSI, 4, 0x01880005 | MSIX << 8); /* 64 bits, with masks, 16 messages */
    show(MSIX, 4, 0x0011 | EXPRESS << 8 | (VECTORS - 1) << 16);
    show(MSIX + 4, 4, TABLE);
    show(MSIX + 8, 4, PENDING);
    show(EXPRESS, 4, 0x00020010 | VENDOR << 8);
    show(EXPRESS + 0x0c, 4, 0x00436c11);
    show(VENDOR, 4, 0x00080009 | UNKNOWN << 8 | 0x5a000000);
    show(UNKNOWN, 2, 0x000c);
    show(OWN, 4, 0x11223344);
}

static void make(void)
{
    struct error error = ERROR_INIT;
    const struct vfio_pci_place where = {
        .bus = &bus, .devices = &devices, .host = &host, .failed = note_failed};
    assert_int_equal(vfio_pci_new(&device, &where, &error), 0);
    machine_power_on();
    accesses[0] = '\0';
}

static int set_up(void **state)
{
    (void)state;
    machine_set_up();
    bar0 = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bar0 == MAP_FAILED)
        return -1;
    host = (struct vfio_device){.ops = &host_ops, .address = "0000:03:00.1", .resets = true};
    host.regions[0] = (struct vfio_region){.size = BAR_SIZE, .area_count = 1, .areas = {{0, BAR_SIZE}}};
    host.regions[3] = (struct vfio_region){.size = 32};
    host.regions[VFIO_CONFIG] = (struct vfio_region){.size = 256};
    host.vectors[VFIO_INTX] = host.vectors[VFIO_MSI] = 1;
    host.vectors[VFIO_MSIX] = VECTORS;
    space.ops = &space_ops;
    device = NULL;
    accesses[0] = '\0';
    unmasks = maps = failures = mapping_count = 0;
    map_code = 0;
    has_table = true;
    show_all();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (device)
        vfio_pci_free(device);
    assert_int_equal(maps, 0);
    machine_tear_down();
    return munmap(bar0, BAR_SIZE);
}

/* -- configuration space --------------------------------------------------------------------------------- */

static void test_what_it_is(void **state)
{
    (void)state;
    make();
    assert_int_equal(config_get(SLOT, PCI_VENDOR_ID, 4), 0x56781234);
    assert_int_equal(config_get(SLOT, PCI_REVISION, 4), 0x02000003);
    assert_int_equal(config_get(SLOT, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x22221111);
    assert_int_equal(config_get(SLOT, PCI_HEADER_TYPE, 1), 0); /* one function here */
    assert_int_equal(config_get(SLOT, PCI_INTERRUPT_PIN, 1), 1);
    assert_int_equal(config_get(SLOT, PCI_INTERRUPT_PIN + 1, 2), 0x0304);
    /* Its addresses are the machine's, and neither these nor the host's are known to the other side. */
    assert_int_equal(config_get(SLOT, PCI_BAR0, 4), BAR | 4);
    config_set(SLOT, PCI_BAR0, 4, UINT32_MAX);
    assert_int_equal(config_get(SLOT, PCI_BAR0, 4), (uint32_t)-BAR_SIZE | 4);
    assert_int_equal(config_get(SLOT, PCI_BAR0 + 12, 4) & 0xf001, 0xc001);
    assert_int_equal(config_get(SLOT, 0x30, 4), 0); /* no ROM */
    assert_null(strstr(accesses, "config 1"));
}

static void test_capabilities_that_are_found(void **state)
{
    (void)state;
    static const uint8_t expected[] = {POWER, MSI, MSIX, EXPRESS, VENDOR};
    unsigned count = 0;
    make();
    for (unsigned at = config_get(SLOT, PCI_CAPABILITIES, 1); at; at = config_get(SLOT, at + 1, 1))
        assert_int_equal(at, expected[count++]);
    assert_int_equal(count, sizeof expected);
    assert_int_equal(config_get(SLOT, EXPRESS + 2, 2), 0x92); /* an endpoint of the root complex */
    assert_int_equal(config_get(SLOT, EXPRESS + 0x0c, 4), 0); /* has no link */
    assert_int_equal(config_get(SLOT, MSI + 2, 2), 0x0180);   /* one message */
    assert_int_equal(config_get(SLOT, POWER + 2, 2), 0x0003); /* raises no events */
}

static void test_what_is_its_own(void **state)
{
    (void)state;
    make();
    assert_int_equal(config_get(SLOT, OWN, 4), 0x11223344);
    show(OWN, 4, 0x55667788); /* by itself */
    assert_int_equal(config_get(SLOT, OWN, 4), 0x55667788);
    config_set(SLOT, OWN + 2, 2, 0xabcd);
    config_set(SLOT, EXPRESS + 8, 2, 0x8010); /* its reset, too, is its own */
    assert_string_equal(accesses, "config e2=abcd config 7c=8010 ");
    accesses[0] = '\0';
    config_set(SLOT, VENDOR, 4, UINT32_MAX); /* of which two bytes are the capability's */
    assert_string_equal(accesses, "config b2=ff config b3=ff ");
    assert_int_equal(config_get(SLOT, VENDOR, 2), 0x0009);
}

static void test_the_command_register_passes_mastering_only(void **state)
{
    (void)state;
    make();
    config_set(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    config_set(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
    config_set(SLOT, PCI_COMMAND, 2, 0);
    assert_string_equal(accesses, "config 4=7 config 4=3 ");
}

static void test_the_power_state_is_not_the_hosts(void **state)
{
    (void)state;
    make();
    show(POWER + 4, 2, 0x8000);
    config_set(SLOT, POWER + 4, 2, 3);
    assert_int_equal(config_get(SLOT, POWER + 4, 2), 0x000b);
    assert_string_equal(accesses, "");
}

/* Everything in it is the device's to say. */
static void test_a_device_that_lies(void **state)
{
    (void)state;
    show(MSIX + 4, 4, 0x7ffffff8 | 5); /* in a register that is not there */
    show(POWER + 1, 1, MSI);
    show(MSI + 1, 1, 0xf9);             /* no room for anything; not aligned */
    show(0xf8, 2, 0x0010 | POWER << 8); /* and round */
    has_table = false;
    make();
    assert_int_equal(config_get(SLOT, PCI_CAPABILITIES, 1), POWER);
    assert_int_equal(config_get(SLOT, POWER + 1, 1), MSI);
    assert_int_equal(config_get(SLOT, MSI + 1, 1), 0);
}

static void test_capabilities_share_no_bytes(void **state)
{
    (void)state;
    show(MSI + 1, 1, MSI + 8); /* within it */
    show(MSI + 8, 4, 0x00100009);
    has_table = false;
    make();
    assert_int_equal(config_get(SLOT, MSI + 1, 1), 0);
    assert_int_equal(config_get(SLOT, MSI + 8, 4), 0); /* the address's upper half */
}

static void refused(int code, const char *text)
{
    struct error error = ERROR_INIT;
    const struct vfio_pci_place where = {.bus = &bus, .devices = &devices, .host = &host};
    assert_int_equal(vfio_pci_new(&device, &where, &error), code);
    if (!strstr(error.message, text))
        fail_msg("%s", error.message);
    assert_null(bus.slots[SLOT]);
}

static void test_what_no_machine_can_have(void **state)
{
    (void)state;
    show(PCI_HEADER_TYPE, 1, 1);
    refused(-ENOTSUP, "0000:03:00.1 is a bridge");
    show(PCI_HEADER_TYPE, 1, 0);
    host.regions[0].size = UINT64_C(1) << 60;
    refused(-ENOTSUP, "base address register of ");
    host.regions[0].size = BAR_SIZE;
    show(PCI_VENDOR_ID, 4, UINT32_MAX);
    refused(-EIO, "does not answer");
}

/* -- regions --------------------------------------------------------------------------------------------- */

static void test_registers_are_reached_by_mapping(void **state)
{
    (void)state;
    make();
    set(BAR + 0x10, 4, 0x12345678);
    assert_string_equal(accesses, ""); /* nobody was asked */
    assert_memory_equal(bar0 + 0x10, "\x78\x56\x34\x12", 4);
    bar0[0x6004] = 9;
    assert_int_equal(get(BAR + 0x6004, 1), 9);
    config_set(SLOT, PCI_BAR0, 4, 0xd0000000); /* it goes along */
    assert_int_equal(get(UINT64_C(0xd0000010), 4), 0x12345678);
    assert_null(memory_find(&map, BAR + 0x10));
    config_set(SLOT, PCI_COMMAND, 2, 0);
    assert_null(memory_find(&map, UINT64_C(0xd0000010)));
}

static void test_pages_beside_the_table_are_reached_by_access(void **state)
{
    (void)state;
    make();
    set(BAR + TABLE + 0x800, 4, 0x77);
    assert_string_equal(accesses, "bar 4800=77 ");
    assert_int_equal(get(BAR + TABLE + 0x800, 4), 0x77);
    io_write(&io, (uint16_t)(config_get(SLOT, PCI_BAR0 + 12, 4) & 0xfffc), 4, 0x55); /* ports always */
    assert_non_null(strstr(accesses, "bar 0=55"));
}

static void test_a_device_without_mappings(void **state)
{
    (void)state;
    host.regions[0].area_count = 0;
    make();
    set(BAR + 0x10, 4, 0x77);
    assert_string_equal(accesses, "bar 10=77 ");
}

/* -- interrupts ------------------------------------------------------------------------------------------ */

static void interrupt(enum vfio_interrupt what, unsigned vector)
{
    host.client.interrupt(host.client.opaque, what, vector);
}

static void test_the_pin(void **state)
{
    (void)state;
    const unsigned line = 16 + pci_intx_line(SLOT, 0);
    make();
    assert_int_equal(kind, VFIO_INTX);
    interrupt(VFIO_INTX, 0);
    assert_true(lines[line]);
    pci_intx_ended(&bus, (pci_intx_line(SLOT, 0) + 1) % PCI_INTX_LINES); /* another's */
    assert_int_equal(unmasks, 0);
    pci_intx_ended(&bus, pci_intx_line(SLOT, 0));
    assert_false(lines[line]);
    assert_int_equal(unmasks, 1);
    pci_intx_ended(&bus, pci_intx_line(SLOT, 0)); /* of who shares the line */
    assert_int_equal(unmasks, 1);
    interrupt(VFIO_INTX, 0);
    pci_isa_ended(&bus, pci_intx_line(SLOT, 0) % 2); /* by the 8259s */
    assert_false(lines[line]);
    assert_int_equal(unmasks, 2);
}

static void test_one_message(void **state)
{
    (void)state;
    make();
    interrupt(VFIO_INTX, 0);
    config_set(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    config_set(SLOT, MSI + 4, 4, 0xfee01000);
    config_set(SLOT, MSI + 12, 2, 0x31);
    config_set(SLOT, MSI + 2, 2, 1);
    assert_int_equal(kind, VFIO_MSI);
    assert_int_equal(vectors, 1);
    assert_false(lines[16 + pci_intx_line(SLOT, 0)]);
    interrupt(VFIO_INTX, 0); /* too late */
    assert_int_equal(messages, 0);
    interrupt(VFIO_MSI, 0);
    assert_int_equal(message_address, 0xfee01000);
    assert_int_equal(message_data, 0x31);
    config_set(SLOT, MSI + 16, 4, 1); /* masked */
    interrupt(VFIO_MSI, 0);
    assert_int_equal(messages, 1);
    config_set(SLOT, MSI + 16, 4, 0);
    assert_int_equal(messages, 2);
    assert_null(strstr(accesses, "config 5")); /* of which the host hears nothing */
}

/* Without the upper half of the address, and masks, what follows is elsewhere. */
static void test_one_message_of_32_bits(void **state)
{
    (void)state;
    show(MSI + 2, 2, 0);
    make();
    config_set(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    config_set(SLOT, MSI + 4, 4, 0xfee02000);
    config_set(SLOT, MSI + 8, 2, 0x41);
    config_set(SLOT, MSI + 2, 2, 1);
    interrupt(VFIO_MSI, 0);
    assert_int_equal(message_address, 0xfee02000);
    assert_int_equal(message_data, 0x41);
    config_set(SLOT, MSI + 12, 4, UINT32_MAX); /* the device's own, which masks nothing */
    interrupt(VFIO_MSI, 0);
    assert_int_equal(messages, 2);
}

static void test_messages_by_vector(void **state)
{
    (void)state;
    make();
    config_set(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    for (unsigned i = 0; i < VECTORS; i++) {
        set(BAR + TABLE + 16 * i, 4, 0xfee00000);
        set(BAR + TABLE + 16 * i + 8, 4, 0x20 + i);
        set(BAR + TABLE + 16 * i + 12, 4, i == 1);
    }
    config_set(SLOT, MSIX + 2, 2, 0x8000);
    assert_int_equal(kind, VFIO_MSIX);
    assert_int_equal(vectors, VECTORS);
    interrupt(VFIO_MSIX, 2);
    assert_int_equal(message_data, 0x22);
    interrupt(VFIO_MSIX, 1);
    assert_int_equal(messages, 1);
    assert_int_equal(get(BAR + PENDING, 8), 2);
    set(BAR + TABLE + 16 + 12, 4, 0);
    assert_int_equal(message_data, 0x21);
    interrupt(VFIO_MSIX, VECTORS); /* which there is not */
    assert_int_equal(messages, 2);
    config_set(SLOT, MSIX + 2, 2, 0);
    assert_int_equal(kind, VFIO_INTX);
    assert_null(strstr(accesses, "bar 4"));
}

/* -- its life -------------------------------------------------------------------------------------------- */

static void test_reset(void **state)
{
    (void)state;
    make();
    config_set(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    config_set(SLOT, MSI + 2, 2, 1);
    accesses[0] = '\0';
    devices_reset(&devices);
    /* It masters the bus no more, then it is reset; that has the host forget what decodes. */
    assert_string_equal(accesses, "config 4=3 reset config 4=3 ");
    assert_int_equal(kind, VFIO_INTX);
    assert_null(memory_find(&map, BAR + 0x10));
}

static void test_it_cannot_be_saved(void **state)
{
    (void)state;
    assert_null(devices_unsaved(&devices));
    make();
    assert_string_equal(devices_unsaved(&devices), "0000:03:00.1");
}

static void test_a_failure_is_told(void **state)
{
    (void)state;
    make();
    host.client.failed(host.client.opaque, "has gone");
    assert_int_equal(failures, 1);
}

/* -- what it reaches ------------------------------------------------------------------------------------- */

static void test_ram_is_reached_and_nothing_else(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct vfio_memory *memory;
    make();
    assert_int_equal(vfio_memory_new(&memory, &map, ram[0], &space, &error), 0);
    assert_int_equal(mapping_count, 1);
    assert_int_equal(mappings[0].address, 0);
    assert_int_equal(mappings[0].size, HALF);
    assert_ptr_equal(mappings[0].memory, ram[0]->host);
    /* Something answers in the midst of it. */
    struct memory_region *hole =
        memory_add_mmio(&map, "hole", 0x3000, 0x800, 1, &(struct access_ops){0}, NULL, &error);
    assert_non_null(hole);
    assert_int_equal(mapping_count, 2);
    uint64_t sum = 0;
    for (unsigned i = 0; i < 2; i++) {
        assert_ptr_equal(mappings[i].memory, ram[0]->host + mappings[i].address);
        sum += mappings[i].size;
    }
    assert_int_equal(sum, HALF - 0x1000); /* the rest of its page is no whole one */
    assert_int_equal(memory_region_remove(hole, &error), 0);
    assert_int_equal(mapping_count, 1);
    assert_int_equal(mappings[0].size, HALF);
    vfio_memory_free(memory);
    assert_int_equal(mapping_count, 0);
}

static void test_memory_that_is_reached_stays_where_it_is(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct vfio_memory *memory;
    assert_int_equal(vfio_memory_new(&memory, &map, ram[0], &space, &error), 0);
    assert_true(ram[0]->pinned);
    set(0x2000, 4, 7);
    unsigned char there[1];
    memory_discard(&map, 0x2000, 0x1000); /* as a balloon does */
    assert_int_equal(get(0x2000, 4), 7);
    memory_backing_discard(ram[0], 0x2000, 0x1000);
    assert_int_equal(mincore(ram[0]->host + 0x2000, 4096, there), 0);
    assert_int_equal(there[0] & 1, 1); /* the same page, of zeros */
    assert_int_equal(get(0x2000, 4), 0);
    assert_int_equal(memory_backing_merge(ram[0], true, &error), -EBUSY);
    assert_int_equal(memory_backing_map_file(ram[0], 0, 4096, -1, 0), -ENOTSUP);
    vfio_memory_free(memory);
}

static void test_memory_that_cannot_be_locked(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct vfio_memory *memory;
    map_code = -ENOMEM;
    assert_int_equal(vfio_memory_new(&memory, &map, ram[0], &space, &error), -ENOMEM);
    assert_null(map.listeners);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_it_is),
        TEST(test_capabilities_that_are_found),
        TEST(test_what_is_its_own),
        TEST(test_the_command_register_passes_mastering_only),
        TEST(test_the_power_state_is_not_the_hosts),
        TEST(test_a_device_that_lies),
        TEST(test_capabilities_share_no_bytes),
        TEST(test_what_no_machine_can_have),
        TEST(test_registers_are_reached_by_mapping),
        TEST(test_pages_beside_the_table_are_reached_by_access),
        TEST(test_a_device_without_mappings),
        TEST(test_the_pin),
        TEST(test_one_message),
        TEST(test_one_message_of_32_bits),
        TEST(test_messages_by_vector),
        TEST(test_reset),
        TEST(test_it_cannot_be_saved),
        TEST(test_a_failure_is_told),
        TEST(test_ram_is_reached_and_nothing_else),
        TEST(test_memory_that_is_reached_stays_where_it_is),
        TEST(test_memory_that_cannot_be_locked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
