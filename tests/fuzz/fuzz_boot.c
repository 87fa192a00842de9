/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_boot: any bytes as a kernel, for every boot protocol, in a small machine: either an error with a
 * reason, or an entry in RAM. The first byte chooses the machine, the rest is the file; one way to read it
 * fails now and then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "boot/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM 0x800000u

static void check(bool good)
{
    if (!good)
        abort();
}

static struct memory_backing *backing;
static struct memory_map map;
static struct ram_layout layout;

static void set_up(void)
{
    struct error error = ERROR_INIT;
    struct ram_piece pieces[RAM_PIECES_MAX];
    check(!ram_layout_init(&layout, RAM, &error));
    backing = memory_backing_create("fuzz", RAM, &error);
    check(backing && !memory_map_init(&map, (UINT64_C(1) << 40) - 1, &error));
    unsigned count = ram_layout_pieces(&layout, pieces);
    for (unsigned i = 0; i < count; i++)
        check(memory_add_ram(&map, "ram", pieces[i].base, pieces[i].size, 0, backing,
                             pieces[i].backing_offset, &error));
}

static struct boot_file file_of(const uint8_t *data, size_t size, struct boot_file *memory)
{
    struct boot_file file = *memory;
    file.opaque = (void *)(uintptr_t)data;
    file.size = size;
    return file;
}

/* As an initial RAM disk. */
static void check_unpack(const uint8_t *data, size_t size)
{
    const size_t most = 1 << 20;
    size_t unpacked = 0;
    uint8_t *out = unpack_any(data, size, most, &unpacked);
    check(!out || unpacked <= most);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct boot_file *memory;
    if (!backing)
        set_up();
    if (!memory)
        memory = boot_file_of_memory("fuzz", "", 0);
    check(memory);
    if (!size)
        return 0;
    struct error error = ERROR_INIT;
    uint8_t how = *data;
    struct boot_file kernel = file_of(data + 1, size - 1, memory);
    struct boot_file small = file_of(data, size < 64 ? size : 64, memory);
    const struct boot_module modules[] = {{&small, NULL}, {&small, "module"}, {&kernel, ""}};
    const struct boot_config config = {
        .kernel = &kernel,
        .modules = modules,
        .module_count = how & 3,
        .command_line = how & 4 ? "console=ttyS0" : NULL,
        .layout = layout,
        .acpi_rsdp = how & 8 ? 0xe0000 : 0,
        .no_long_mode = how & 16,
    };
    struct x86_state state, before;
    check_unpack(data + 1, size - 1);
    memset(&state, how, sizeof state);
    before = state;
    int protocol = boot_detect(&kernel, &error);
    int result = boot_load(&config, &map, &state, &error);
    if (protocol < 0)
        check(protocol == -ENOEXEC && result < 0);
    if (result < 0)
        check(error.message[0] && !memcmp(&state, &before, sizeof state));
    else
        check(result == 0 && state.rip < RAM && state.segment_base[X86_CS] == 0 && state.gdtr.base < RAM);
    return 0;
}
