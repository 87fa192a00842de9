/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/disk_kernel.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/macros.h"
#include "boot/menu.h"
#include "boot/volume.h"

#define VOLUMES_MAX 32
#define TEXT_MAX    (1u << 20) /* of a configuration */
#define TEXTS_MAX   (4u << 20) /* of all that are read in one search */

struct volumes {
    struct volume volume[VOLUMES_MAX];
    unsigned count;
    const char *foreign; /* another kind of file system that was seen */
    size_t read;
};

/* -- the disk as menus see it ------------------------------------------------------------------------------
 */

static char *disk_read_text(void *opaque, int volume, const char *path, struct arena *arena)
{
    struct volumes *volumes = opaque;
    struct boot_file *file;
    if (volume_open_file(&volumes->volume[volume], path, &file, NULL))
        return NULL;
    char *text = NULL;
    if (file->size <= TEXT_MAX && file->size <= TEXTS_MAX - volumes->read)
        text = arena_take(arena, file->size + 1);
    if (text && boot_file_read(file, 0, text, file->size, NULL))
        text = NULL;
    volumes->read += text ? file->size : 0;
    boot_file_close(file);
    return text;
}

static bool disk_exists(void *opaque, int volume, const char *path, bool *is_directory)
{
    struct volumes *volumes = opaque;
    return volume_has(&volumes->volume[volume], path, is_directory);
}

static void disk_list(void *opaque, int volume, const char *path, void (*found)(void *list, const char *name),
                      void *list)
{
    struct volumes *volumes = opaque;
    volume_list(&volumes->volume[volume], path, found, list);
}

static unsigned disk_partition(void *opaque, int volume)
{
    const struct volumes *volumes = opaque;
    return volumes->volume[volume].partition;
}

static int disk_search(void *opaque, enum menu_search by, const char *what)
{
    struct volumes *volumes = opaque;
    for (unsigned i = 0; i < volumes->count; i++) {
        struct volume *volume = &volumes->volume[i];
        bool is_directory, is = false;
        switch (by) {
        case MENU_BY_UUID: is = !strcasecmp(volume->uuid, what); break;
        case MENU_BY_LABEL: is = !strcmp(volume->label, what); break;
        case MENU_BY_FILE: is = volume_has(volume, what, &is_directory); break;
        case MENU_BY_PARTITION: is = volume->partition == strtoul(what, NULL, 10); break;
        }
        if (is)
            return (int)i;
    }
    return -1;
}

/* -- where configurations are ------------------------------------------------------------------------------
 */

/* The links that Debian keeps to its newest kernel. */
static int choose_links(const struct menu_place *place, struct menu_entry *out)
{
    bool is_directory;
    *out = (struct menu_entry){
        .title = "its newest kernel",
        .kernel = {place->volume, menu_join(place, place->directory, "vmlinuz")},
        .command_line = NULL,
    };
    if (!menu_entry_exists(place, out))
        return -ENOENT;
    const char *initrd = menu_join(place, place->directory, "initrd.img");
    if (place->disk->exists(place->disk->opaque, place->volume, initrd, &is_directory) && !is_directory)
        menu_add_initrds(place, out, initrd, "");
    return 0;
}

static int choose_bls(const struct menu_place *place, struct menu_entry *out)
{
    return bls_choose(place, NULL, NULL, out);
}

struct way {
    const char *directory, *file; /* of the configuration; no file: a folder or links */
    int (*parse)(const struct menu_place *place, const char *text, struct menu_entry *out);
    int (*look)(const struct menu_place *place, struct menu_entry *out);
};

/* In the order in which they count. */
static const struct way ways[] = {
    {"/boot/extlinux", "extlinux.conf", extlinux_choose, NULL},
    {"/extlinux", "extlinux.conf", extlinux_choose, NULL},
    {"/boot/syslinux", "syslinux.cfg", extlinux_choose, NULL},
    {"/syslinux", "syslinux.cfg", extlinux_choose, NULL},
    {"/boot/grub", "grub.cfg", grub_choose, NULL},
    {"/grub", "grub.cfg", grub_choose, NULL},
    {"/boot/grub2", "grub.cfg", grub_choose, NULL},
    {"/grub2", "grub.cfg", grub_choose, NULL},
    {"/boot", NULL, NULL, choose_bls},
    {"", NULL, NULL, choose_bls},
    {"", NULL, NULL, choose_links},
    {"/boot", NULL, NULL, choose_links},
};

static bool try_way(const struct way *way, struct menu_place *place, struct menu_entry *entry)
{
    place->directory = way->directory;
    if (!way->file)
        return !way->look(place, entry);
    const char *path = menu_join(place, way->directory, way->file);
    const char *text = place->disk->read_text(place->disk->opaque, place->volume, path, place->arena);
    return text && !way->parse(place, text, entry);
}

/* -- the whole ---------------------------------------------------------------------------------------------
 */

static int open_volumes(struct volumes *volumes, struct boot_file *disk, struct error *error)
{
    struct partition partitions[PARTITIONS_MAX + 1];
    struct error damaged = ERROR_INIT;
    int count = partition_scan(disk, partitions, error);
    if (count < 0)
        return count;
    partitions[count++] = (struct partition){0, disk->size, 0};
    for (int i = 0; i < count && volumes->count < VOLUMES_MAX; i++) {
        if (partitions[i].number == 0 && volumes->count)
            break;
        if (!volume_open(&volumes->volume[volumes->count], disk, &partitions[i], &damaged)) {
            volumes->count++;
            continue;
        }
        const char *foreign = volume_foreign_kind(disk, &partitions[i]);
        if (foreign)
            volumes->foreign = foreign;
    }
    if (volumes->count)
        return 0;
    if (damaged.code && error)
        *error = damaged;
    if (damaged.code)
        return damaged.code;
    int result = error_set(
        error, -ENOENT, "disk %s: no ext2, ext3 or ext4 file system to read a kernel from%s%s%s", disk->name,
        volumes->foreign ? ", but "
        : count == 1     ? ", and no partitions"
                         : "",
        volumes->foreign ? volumes->foreign : "", "");
    error_hint(error, "give the kernel with --kernel and --initrd");
    return result;
}

/* Without a configuration, the root is where the kernel is. */
static char *make_command_line(const struct menu_entry *entry, const struct volume *volume)
{
    char *line = NULL;
    int length = entry->command_line ? asprintf(&line, "%s", entry->command_line)
                                     : asprintf(&line, "root=UUID=%s ro", volume->uuid);
    return length < 0 ? NULL : line;
}

static int open_entry(struct disk_kernel *out, struct volumes *volumes, const struct menu_entry *entry,
                      struct error *error)
{
    struct volume *volume = &volumes->volume[entry->kernel.volume];
    int result = volume_open_file(volume, entry->kernel.path, &out->kernel, error);
    for (unsigned i = 0; i < entry->initrd_count && !result; i++) {
        const struct menu_path *path = &entry->initrds[i];
        if (path->volume < 0)
            result = error_set(error, -ENOENT, "cannot open %s: its partition does not exist", path->path);
        else
            result = volume_open_file(&volumes->volume[path->volume], path->path, &out->initrds[i], error);
        out->initrd_count += !result;
    }
    if (result)
        return result;
    out->command_line = make_command_line(entry, volume);
    return out->command_line ? 0 : error_set(error, -ENOMEM, "out of memory");
}

static int set_source(struct disk_kernel *out, const struct volume *volume, const struct way *way,
                      const char *disk, const char *title)
{
    char *place = NULL;
    int length = volume->partition ? asprintf(&place, "partition %u: ", volume->partition)
                                   : asprintf(&place, "%s", "");
    if (length >= 0)
        length = asprintf(&out->source, "%s: %s%s%s%s: %s", disk, place, way->directory, way->file ? "/" : "",
                          way->file                 ? way->file
                          : way->look == choose_bls ? "/loader/entries"
                                                    : "/vmlinuz",
                          title);
    free(length < 0 ? NULL : place);
    return length < 0 ? -ENOMEM : 0;
}

static int choose(struct disk_kernel *out, struct volumes *volumes, struct boot_file *disk,
                  struct error *error)
{
    const struct menu_disk menus = {
        volumes, disk_read_text, disk_exists, disk_list, disk_search, disk_partition,
    };
    for (unsigned i = 0; i < volumes->count; i++) {
        for (unsigned k = 0; k < ARRAY_SIZE(ways); k++) {
            struct arena arena = {0};
            struct menu_place place = {&menus, &arena, (int)i, NULL};
            struct menu_entry entry;
            volumes->read = 0;
            bool found = try_way(&ways[k], &place, &entry);
            int result = 0;
            if (found) {
                result = open_entry(out, volumes, &entry, error);
                if (result)
                    error_prefix(error, "disk %s, %s: ", disk->name, entry.title);
                else if (set_source(out, &volumes->volume[i], &ways[k], disk->name, entry.title))
                    result = error_set(error, -ENOMEM, "out of memory");
            }
            arena_free(&arena);
            if (found)
                return result;
        }
    }
    int result =
        error_set(error, -ENOENT,
                  "disk %s: no kernel in its %u file systems: no extlinux.conf, syslinux.cfg, grub.cfg or "
                  "loader/entries that names one, no vmlinuz, neither in /boot nor in /",
                  disk->name, volumes->count);
    error_hint(error, "give the kernel with --kernel and --initrd");
    return result;
}

int disk_kernel_open(struct disk_kernel *out, struct boot_file *disk, struct error *error)
{
    struct volumes *volumes = calloc(1, sizeof *volumes);
    *out = (struct disk_kernel){.file_systems = volumes};
    if (!volumes)
        return error_set(error, -ENOMEM, "disk %s: out of memory", disk->name);
    int result = open_volumes(volumes, disk, error);
    if (!result)
        result = choose(out, volumes, disk, error);
    if (result)
        disk_kernel_close(out);
    return result;
}

void disk_kernel_close(struct disk_kernel *kernel)
{
    struct volumes *volumes = kernel->file_systems;
    boot_file_close(kernel->kernel);
    for (unsigned i = 0; i < kernel->initrd_count; i++)
        boot_file_close(kernel->initrds[i]);
    for (unsigned i = 0; volumes && i < volumes->count; i++)
        volume_close(&volumes->volume[i]);
    free(kernel->command_line);
    free(kernel->source);
    free(volumes);
    *kernel = (struct disk_kernel){0};
}
