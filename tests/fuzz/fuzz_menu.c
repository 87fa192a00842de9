/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_menu: any text as a boot loader's configuration, which may include itself by other names: nothing, or
 * an entry whose kernel exists. The first byte chooses the parser, and whether the text is a partition table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/menu_harness.h"
#include "boot/menu.h"
#include "boot/partition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_partitions(const uint8_t *data, size_t size)
{
    struct partition partitions[PARTITIONS_MAX];
    struct error error = ERROR_INIT;
    struct boot_file *disk = boot_file_of_memory("disk", data, size);
    check(disk);
    int count = partition_scan(disk, partitions, &error);
    check(count >= 0 && count <= PARTITIONS_MAX);
    for (int i = 0; i < count; i++)
        check(partitions[i].size && partitions[i].start < size &&
              partitions[i].size <= size - partitions[i].start);
    boot_file_close(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 1 << 16)
        return 0;
    uint8_t how = *data;
    if ((how & 3) == 3) {
        check_partitions(data + 1, size - 1);
        return 0;
    }
    char *text = malloc(size);
    check(text);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    const struct fake_file files[] = {
        {0, "/boot/vmlinuz", "k"},
        {0, "/boot/grub/vmlinuz", "k"},
        {0, "/boot/grub/grubenv", text},
        {0, "/boot/grub/custom.cfg", text},
        {1, "/loader/entries/a-1.conf", text},
        {1, "/loader/entries/a+0-2.conf", "version 1\nlinux /vmlinuz\n"},
        {1, "/loader/loader.conf", text},
        {1, "/vmlinuz", "k"},
    };
    struct fake_disk disk = {files, sizeof files / sizeof files[0], {"aaaa-1", "bbbb-2", NULL}};
    struct menu_disk menus = fake_menu_disk(&disk);
    struct arena arena = {0};
    struct menu_entry entry;
    struct menu_place place = {&menus, &arena, 0, "/boot/grub"};
    int result;
    switch (how & 3) {
    case 0: result = grub_choose(&place, text, &entry); break;
    case 1: result = extlinux_choose(&place, text, &entry); break;
    default:
        place.volume = 1;
        place.directory = "";
        result = bls_choose(&place, how & 4 ? text : NULL, how & 8 ? text : NULL, &entry);
    }
    check(result == 0 || result == -ENOENT);
    if (!result)
        check(entry.title && entry.command_line && menu_entry_exists(&place, &entry) &&
              entry.initrd_count <= MENU_INITRDS);
    for (unsigned i = 0; !result && i < entry.initrd_count; i++)
        check(entry.initrds[i].path && entry.initrds[i].volume < 2);
    arena_free(&arena);
    free(text);
    return 0;
}
