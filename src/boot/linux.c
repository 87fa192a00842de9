/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux: a bzImage by the Linux/x86 boot protocol (the kernel's documentation, "The Linux/x86 Boot
 * Protocol"), entered in 64 bits, or in 32 if it is a 32-bit kernel or older than the 64-bit entry.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/macros.h"
#include "boot/bytes.h"
#include "boot/linux_header.h"
#include "boot/linux_initrd.h"

/* The setup header's fields, from the start of the file as of the zero page. */
enum {
    SETUP_SECTS = 0x1f1,
    SYSSIZE = 0x1f4,
    VID_MODE = 0x1fa,
    BOOT_FLAG = 0x1fe,
    JUMP = 0x200, /* its second byte leads to the header's end */
    HEADER = 0x202,
    VERSION = 0x206,
    TYPE_OF_LOADER = 0x210,
    LOADFLAGS = 0x211,
    CODE32_START = 0x214,
    RAMDISK_IMAGE = 0x218,
    RAMDISK_SIZE = 0x21c,
    CMD_LINE_PTR = 0x228,
    INITRD_ADDR_MAX = 0x22c,
    KERNEL_ALIGNMENT = 0x230,
    RELOCATABLE_KERNEL = 0x234,
    XLOADFLAGS = 0x236,
    CMDLINE_SIZE = 0x238,
    PAYLOAD_OFFSET = 0x248,
    PAYLOAD_LENGTH = 0x24c,
    SETUP_DATA = 0x250,
    PREF_ADDRESS = 0x258,
    INIT_SIZE = 0x260,
    HEADER_END_MAX = 0x290, /* where the zero page has something else */
};

/* The zero page's */
enum {
    ACPI_RSDP_ADDR = 0x070,
    EXT_RAMDISK_IMAGE = 0x0c0,
    EXT_RAMDISK_SIZE = 0x0c4,
    E820_ENTRIES = 0x1e8,
    E820_TABLE = 0x2d0,
    E820_ENTRY_SIZE = 20,
    ZERO_PAGE = 0x1000,
};

enum {
    MAGIC = 0x53726448, /* "HdrS" */
    LOADED_HIGH = 1 << 0,
    KASLR_FLAG = 1 << 1,
    ENTRY_64 = 0x200,
    LOADER_UNDEFINED = 0xff,
    VIDEO_NORMAL = 0xffff,
    SECTOR = 512,
    SETUP_RNG_SEED = 9,
    SEED_SIZE = 32,
};

bool linux_detect(struct boot_file *kernel, const uint8_t *head, size_t size)
{
    (void)kernel;
    return size >= VERSION + 2 && bytes_get32(head + HEADER) == MAGIC;
}

static void read_header(struct linux_header *h, const uint8_t *head)
{
    unsigned sectors = head[SETUP_SECTS];
    *h = (struct linux_header){
        .version = bytes_get16(head + VERSION),
        .setup_size = ((sectors ? sectors : 4) + 1) * (uint64_t)SECTOR,
        .preferred = LAYOUT_HIGH_START,
        .alignment = 0x200000,
        .initrd_last = 0x37ffffff,
        .command_line_max = 255,
    };
    h->code_size = (h->version >= 0x204 ? bytes_get32(head + SYSSIZE) : bytes_get16(head + SYSSIZE)) * 16ull;
    h->init_size = h->code_size * 4; /* unpacked, with room for how it is done */
    if (h->version >= 0x203)
        h->initrd_last = bytes_get32(head + INITRD_ADDR_MAX);
    if (h->version >= 0x205) {
        h->relocatable = head[RELOCATABLE_KERNEL];
        h->alignment = bytes_get32(head + KERNEL_ALIGNMENT);
    }
    if (h->version >= 0x206)
        h->command_line_max = bytes_get32(head + CMDLINE_SIZE);
    if (h->version >= 0x208) {
        h->payload = h->setup_size + bytes_get32(head + PAYLOAD_OFFSET);
        h->payload_size = bytes_get32(head + PAYLOAD_LENGTH);
    }
    if (h->version >= 0x20a) {
        h->preferred = bytes_get64(head + PREF_ADDRESS);
        h->init_size = MAX(bytes_get32(head + INIT_SIZE), h->code_size);
    }
    if (h->version >= 0x20c)
        h->flags = bytes_get16(head + XLOADFLAGS);
}

static int check_header(struct loader *load, const struct linux_header *h, const uint8_t *head)
{
    const char *again = "copy or download it again";
    uint64_t size = load->config->kernel->size;
    if (h->version < 0x202)
        return loader_refuse(load, "Linux 2.4 or later has it",
                             "its boot protocol %u.%02u is older than 2.02", h->version >> 8,
                             h->version & 255);
    if (!(head[LOADFLAGS] & LOADED_HIGH))
        return loader_refuse(load, "build a bzImage",
                             "a zImage, which is loaded below 1 MiB, is not supported");
    if (h->setup_size + h->code_size > size)
        return loader_refuse(load, again, "the bzImage is cut off: %llu bytes of %llu",
                             (unsigned long long)size, (unsigned long long)(h->setup_size + h->code_size));
    if (h->code_size < 2 * ENTRY_64 || h->setup_size < HEADER_END_MAX)
        return loader_refuse(load, again, "the bzImage has no code in it");
    if (h->relocatable && (!h->alignment || h->alignment & (h->alignment - 1)))
        return loader_refuse(load, again, "the bzImage is damaged: alignment %llxh",
                             (unsigned long long)h->alignment);
    if (h->flags & XLF_KERNEL_64 && load->config->no_long_mode)
        return loader_refuse(load, "choose another --cpu, or a kernel for i386",
                             "it is for 64-bit processors, and the machine's has no 64-bit mode");
    return 0;
}

/* Where the kernel likes to be, else where there is room. */
static int place_kernel(struct loader *load, const struct linux_header *h, uint64_t *address)
{
    *address = h->preferred; /* in the part that is mapped at its own addresses */
    if (*address < LAYOUT_ABOVE && loader_claim(load, *address, h->init_size))
        return 0;
    if (h->relocatable) {
        *address = loader_find_lowest(load, LAYOUT_HIGH_START, h->init_size, MAX(h->alignment, 0x1000));
        if (*address && loader_claim(load, *address, h->init_size))
            return 0;
    }
    return loader_refuse(load, "give the machine more with --memory",
                         "it takes %llu MiB at %llxh, and the machine has %llu MiB of memory",
                         (unsigned long long)loader_mib(h->init_size), (unsigned long long)h->preferred,
                         (unsigned long long)load->config->layout.size >> 20);
}

static uint64_t initrd_size(const struct boot_config *config)
{
    const uint64_t most = UINT64_C(1) << 62; /* more does not fit anywhere either */
    uint64_t size = 0;
    for (unsigned i = 0; i < config->module_count; i++) {
        uint64_t one = config->modules[i].file->size;
        size = ALIGN_UP(size, 4);
        size = one > most - size ? most : size + one;
    }
    return size;
}

/* All modules, each from a multiple of four on, as one RAM disk: the kernel unpacks one archive after the
 * other. */
static int load_initrd(struct loader *load, const struct linux_header *h, uint8_t *page)
{
    const struct boot_config *config = load->config;
    uint64_t size = initrd_size(config);
    if (!size)
        return 0;
    uint64_t at = loader_find_highest(load, h->initrd_last + 1, size, 0x1000, false);
    if (!at && h->flags & XLF_KERNEL_64 && h->flags & XLF_CAN_BE_LOADED_ABOVE_4G)
        at = loader_find_highest(load, UINT64_MAX, size, 0x1000, true);
    if (!at || !loader_claim(load, at, size))
        return loader_no_room(load, size, config->modules[0].file);
    bytes_put(page + RAMDISK_IMAGE, at, 4);
    bytes_put(page + EXT_RAMDISK_IMAGE, at >> 32, 4);
    bytes_put(page + RAMDISK_SIZE, size, 4);
    bytes_put(page + EXT_RAMDISK_SIZE, size >> 32, 4);
    for (unsigned i = 0; i < config->module_count; i++) {
        struct boot_file *file = config->modules[i].file;
        uint64_t start = ALIGN_UP(at, 4);
        int result = loader_zero(load, at, start - at);
        if (!result)
            result = loader_read_file(load, file, 0, start, file->size);
        if (result)
            return result;
        at = start + file->size;
    }
    return 0;
}

static void describe_memory(struct loader *load, uint8_t *page)
{
    struct e820_entry entries[E820_MAX];
    unsigned count = ram_layout_e820(&load->config->layout, entries);
    page[E820_ENTRIES] = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *at = page + E820_TABLE + i * E820_ENTRY_SIZE;
        bytes_put(at, entries[i].start, 8);
        bytes_put(at + 8, entries[i].size, 8);
        bytes_put(at + 16, entries[i].type, 4);
    }
}

/* A seed for the kernel's random numbers, as firmware gives one. Kernels that do not know the type pass over
 * it; without one from the host there is none. */
static int write_seed(struct loader *load, const struct linux_header *h, uint8_t *page)
{
    uint8_t data[16 + SEED_SIZE] = {0};
    if (h->version < 0x209 || getrandom(data + 16, SEED_SIZE, GRND_NONBLOCK) != SEED_SIZE)
        return 0;
    bytes_put(data + 8, SETUP_RNG_SEED, 4);
    bytes_put(data + 12, SEED_SIZE, 4);
    bytes_put(page + SETUP_DATA, LOADER_SETUP_DATA, 8);
    return loader_write(load, LOADER_SETUP_DATA, data, sizeof data);
}

/* The kernel as it is, which then unpacks itself. */
static int load_packed(struct loader *load, const struct linux_header *h, struct linux_kernel *kernel)
{
    int result = place_kernel(load, h, &kernel->address);
    if (!result)
        result = loader_read_file(load, load->config->kernel, h->setup_size, kernel->address, h->code_size);
    kernel->entry = kernel->address + (h->flags & XLF_KERNEL_64 ? ENTRY_64 : 0);
    kernel->randomized = false;
    return result;
}

static int enter(struct loader *load, const struct linux_header *h, const struct linux_kernel *kernel)
{
    bool wide = h->flags & XLF_KERNEL_64;
    int result = wide ? loader_enter64(load, kernel->entry) : loader_enter32(load, (uint32_t)kernel->entry);
    load->state->gpr[X86_RSI] = LOADER_BOOT_PARAMS;
    return result;
}

static int load_linux(struct loader *load, const uint8_t *head, size_t size)
{
    uint8_t page[ZERO_PAGE] = {0};
    struct linux_header h;
    struct linux_kernel kernel;
    if (size < HEADER_END_MAX)
        return loader_refuse(load, "copy or download it again", "the bzImage is cut off: %zu bytes", size);
    read_header(&h, head);
    int result = check_header(load, &h, head);
    if (!result && !linux_unpack(load, &h, initrd_size(load->config), &kernel))
        result = load_packed(load, &h, &kernel);
    if (result)
        return result;

    size_t end = MIN((size_t)HEADER + head[JUMP + 1], HEADER_END_MAX);
    memcpy(page + SETUP_SECTS, head + SETUP_SECTS, end - SETUP_SECTS);
    page[TYPE_OF_LOADER] = LOADER_UNDEFINED;
    bytes_put(page + VID_MODE, VIDEO_NORMAL, 2);
    if (kernel.randomized)
        page[LOADFLAGS] |= KASLR_FLAG;
    bytes_put(page + CODE32_START, kernel.address, 4);
    bytes_put(page + CMD_LINE_PTR, LOADER_COMMAND_LINE, 4);
    bytes_put(page + ACPI_RSDP_ADDR, load->config->acpi_rsdp, 8);
    bytes_put(page + SETUP_DATA, 0, 8);
    describe_memory(load, page);
    result = loader_command_line(load, h.command_line_max);
    if (!result)
        result = load_initrd(load, &h, page);
    if (!result)
        result = write_seed(load, &h, page);
    if (!result)
        result = loader_write(load, LOADER_BOOT_PARAMS, page, sizeof page);
    return result ? result : enter(load, &h, &kernel);
}

int linux_load(struct loader *load, const uint8_t *head, size_t size)
{
    const struct boot_config *config = load->config;
    struct linux_initrds initrds;
    linux_initrds_open(&initrds, config);
    load->config = &initrds.config;
    int result = load_linux(load, head, size);
    load->config = config;
    linux_initrds_close(&initrds);
    return result;
}

enum boot_protocol linux_protocol(const uint8_t *head, size_t size)
{
    struct linux_header h = {0};
    if (size >= HEADER_END_MAX)
        read_header(&h, head);
    return h.flags & XLF_KERNEL_64 ? BOOT_LINUX64 : BOOT_LINUX32;
}
