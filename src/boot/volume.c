/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ext2fs/ext2fs.h>

#include "base/macros.h"
#include "boot/journal.h"

/* Where a channel of libext2fs reads from. */
struct source {
    struct boot_file *disk;
    uint64_t start, size;
    const struct journal *journal; /* NULL: none */
    uint32_t block_size;           /* its blocks' */
};

struct file_system {
    ext2_filsys fs;
    ext2_filsys raw; /* as it is without its journal, which is read from there; NULL: it has none to read */
    struct journal *journal;
};

/* libext2fs passes nothing to a manager's open() but a name, so what is being opened is left here. */
static _Thread_local const struct source *opening;
static struct struct_io_manager manager;

/* Within the volume. */
static int source_read(const struct source *source, uint64_t offset, void *buffer, uint64_t length)
{
    if (!source->journal)
        return boot_file_read(source->disk, source->start + offset, buffer, length, NULL);
    int code = 0;
    for (uint64_t run; !code && length; length -= run) {
        uint64_t block = offset / source->block_size, next = journal_next(source->journal, block);
        uint32_t within = (uint32_t)(offset % source->block_size);
        if (next == block) {
            run = MIN(length, source->block_size - within);
            code = journal_read(source->journal, block, within, buffer, (uint32_t)run);
        } else {
            run = next - block > length / source->block_size + 1
                      ? length
                      : MIN(length, (next - block) * source->block_size - within);
            code = boot_file_read(source->disk, source->start + offset, buffer, run, NULL);
        }
        offset += run;
        buffer = (uint8_t *)buffer + run;
    }
    return code;
}

static errcode_t channel_open(const char *name, int flags, io_channel *out)
{
    io_channel channel = calloc(1, sizeof *channel);
    struct source *source = malloc(sizeof *source);
    char *copy = strdup(name);
    (void)flags;
    if (!channel || !source || !copy) {
        free(channel);
        free(source);
        free(copy);
        return EXT2_ET_NO_MEMORY;
    }
    *source = *opening;
    channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
    channel->manager = &manager;
    channel->name = copy;
    channel->block_size = 1024;
    channel->refcount = 1;
    channel->private_data = source;
    *out = channel;
    return 0;
}

static errcode_t channel_close(io_channel channel)
{
    if (--channel->refcount > 0)
        return 0;
    free(channel->private_data);
    free(channel->name);
    free(channel);
    return 0;
}

static errcode_t channel_set_block_size(io_channel channel, int size)
{
    if (size <= 0)
        return EXT2_ET_INVALID_ARGUMENT;
    channel->block_size = size;
    return 0;
}

/* `count` is in blocks, or, negative, in bytes. */
static errcode_t channel_read(io_channel channel, unsigned long long block, int count, void *data)
{
    const struct source *source = channel->private_data;
    uint64_t size = (uint64_t)channel->block_size,
             length = count < 0 ? (uint64_t) - (int64_t)count : (uint64_t)count * size;
    if (block > source->size / size || length > source->size - block * size)
        return EXT2_ET_SHORT_READ;
    return source_read(source, block * size, data, length) ? EIO : 0;
}

static errcode_t channel_read32(io_channel channel, unsigned long block, int count, void *data)
{
    return channel_read(channel, block, count, data);
}

static errcode_t channel_write(io_channel channel, unsigned long long block, int count, const void *data)
{
    (void)channel, (void)block, (void)count, (void)data;
    return EXT2_ET_RO_FILSYS;
}

static errcode_t channel_write32(io_channel channel, unsigned long block, int count, const void *data)
{
    return channel_write(channel, block, count, data);
}

static errcode_t channel_flush(io_channel channel)
{
    (void)channel;
    return 0;
}

static struct struct_io_manager manager = {
    .magic = EXT2_ET_MAGIC_IO_MANAGER,
    .name = "visor disk",
    .open = channel_open,
    .close = channel_close,
    .set_blksize = channel_set_block_size,
    .read_blk = channel_read32,
    .write_blk = channel_write32,
    .flush = channel_flush,
    .read_blk64 = channel_read,
    .write_blk64 = channel_write,
};

static void format_uuid(char out[37], const uint8_t *id)
{
    for (unsigned i = 0; i < 16; i++) {
        out += sprintf(out, "%02x", id[i]);
        if (i == 3 || i == 5 || i == 7 || i == 9)
            *out++ = '-';
    }
    *out = '\0';
}

static bool has_magic(const struct source *source)
{
    uint8_t magic[2];
    const uint64_t superblock_magic = 1024 + 56;
    return source->size >= 2048 &&
           !boot_file_read(source->disk, source->start + superblock_magic, magic, 2, NULL) &&
           magic[0] == 0x53 && magic[1] == 0xef;
}

/* By libext2fs, block by block: what is no plain extent. */
static errcode_t read_blocks(ext2_file_t handle, uint64_t offset, uint8_t *buffer, uint64_t length)
{
    const unsigned most = 1 << 30;
    errcode_t code = ext2fs_file_llseek(handle, offset, EXT2_SEEK_SET, NULL);
    for (uint64_t done = 0; !code && done < length;) {
        unsigned got = 0;
        code = ext2fs_file_read(handle, buffer + done, (unsigned)MIN(length - done, most), &got);
        if (!code && !got)
            code = EXT2_ET_SHORT_READ;
        done += got;
    }
    return code;
}

/* The bytes from `offset` on, at most `length`, that are in one piece on the disk; 0: libext2fs is to see to
 * a block. */
static uint64_t find_run(ext2_extent_handle_t extents, unsigned block_size, uint64_t offset, uint64_t length,
                         uint64_t *place)
{
    struct ext2fs_extent extent;
    uint64_t block = offset / block_size, within = offset % block_size;
    if (!extents || ext2fs_extent_goto(extents, block) ||
        ext2fs_extent_get(extents, EXT2_EXTENT_CURRENT, &extent) ||
        extent.e_flags & EXT2_EXTENT_FLAGS_UNINIT || block < extent.e_lblk ||
        block - extent.e_lblk >= extent.e_len)
        return 0;
    uint64_t skipped = block - extent.e_lblk;
    *place = (extent.e_pblk + skipped) * block_size + within;
    return MIN(length, (extent.e_len - skipped) * block_size - within);
}

static errcode_t read_runs(ext2_file_t handle, uint64_t offset, uint8_t *buffer, uint64_t length)
{
    ext2_filsys fs = ext2fs_file_get_fs(handle);
    const struct source *source = fs->io->private_data;
    struct ext2_inode *inode = ext2fs_file_get_inode(handle);
    ext2_extent_handle_t extents = NULL;
    errcode_t code = 0;
    if (inode->i_flags & EXT4_EXTENTS_FL)
        code = ext2fs_extent_open2(fs, ext2fs_file_get_inode_num(handle), inode, &extents);
    while (!code && length) {
        uint64_t place, run = find_run(extents, fs->blocksize, offset, length, &place);
        if (!run) {
            run = MIN(length, extents ? fs->blocksize - offset % fs->blocksize : length);
            code = read_blocks(handle, offset, buffer, run);
        } else if (place > source->size || run > source->size - place) {
            code = EXT2_ET_SHORT_READ;
        } else if (source_read(source, place, buffer, run)) {
            code = EIO;
        }
        offset += run;
        buffer += run;
        length -= run;
    }
    if (extents)
        ext2fs_extent_free(extents);
    return code;
}

static int read_file(struct boot_file *file, uint64_t offset, void *buffer, size_t length,
                     struct error *error)
{
    errcode_t code = read_runs(file->opaque, offset, buffer, length);
    return code ? error_set(error, -EIO, "cannot read %s: %s", file->name, error_message(code)) : 0;
}

static void close_file(struct boot_file *file)
{
    ext2fs_file_close(file->opaque);
}

static int open_inode(ext2_filsys fs, ext2_ino_t number, const char *name, struct boot_file **out,
                      struct error *error)
{
    struct ext2_inode inode;
    ext2_file_t handle = NULL;
    errcode_t code = ext2fs_read_inode(fs, number, &inode);
    if (!code)
        code = ext2fs_file_open2(fs, number, &inode, 0, &handle);
    if (code)
        return error_set(error, -EIO, "cannot open %s: %s", name, error_message(code));
    struct boot_file *file = boot_file_of_memory(name, NULL, 0);
    if (!file) {
        ext2fs_file_close(handle);
        return error_set(error, -ENOMEM, "cannot open %s: out of memory", name);
    }
    file->size = EXT2_I_SIZE(&inode);
    file->read = read_file;
    file->close = close_file;
    file->opaque = handle;
    *out = file;
    return 0;
}

static errcode_t open_source(const struct source *source, ext2_filsys *fs)
{
    /* What a journal has may be missing: then checksums can be wrong. */
    const int flags = EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP | EXT2_FLAG_IGNORE_CSUM_ERRORS;
    opening = source;
    errcode_t code = ext2fs_open2("disk", NULL, flags, 0, 0, &manager, fs);
    opening = NULL;
    return code;
}

/* After the sudden end of a guest, what it wrote last is only in the journal. One that cannot be read, or is
 * elsewhere, is left alone. */
static void open_journal(struct file_system *system, const struct source *source)
{
    const struct ext2_super_block *super = system->fs->super;
    struct boot_file *log;
    struct source with = *source;
    ext2_filsys fs = NULL;
    if (!ext2fs_has_feature_journal_needs_recovery(system->fs->super) || !super->s_journal_inum ||
        open_inode(system->fs, super->s_journal_inum, "journal", &log, NULL))
        return;
    if (journal_open(&system->journal, log, system->fs->blocksize)) {
        boot_file_close(log);
        return;
    }
    with.journal = system->journal;
    with.block_size = system->fs->blocksize;
    if (open_source(&with, &fs)) {
        journal_close(system->journal);
        system->journal = NULL;
        return;
    }
    system->raw = system->fs;
    system->fs = fs;
}

int volume_open(struct volume *volume, struct boot_file *disk, const struct partition *partition,
                struct error *error)
{
    const struct source source = {.disk = disk, .start = partition->start, .size = partition->size};
    if (!has_magic(&source))
        return -EINVAL;
    struct file_system *system = calloc(1, sizeof *system);
    if (!system)
        return error_set(error, -ENOMEM, "disk %s: out of memory", disk->name);
    initialize_ext2_error_table();
    errcode_t code = open_source(&source, &system->fs);
    if (code) {
        free(system);
        return error_set(error, -EINVAL, "disk %s: the ext file system of partition %u cannot be read: %s",
                         disk->name, partition->number, error_message(code));
    }
    open_journal(system, &source);
    *volume = (struct volume){.partition = partition->number, .file_system = system};
    format_uuid(volume->uuid, system->fs->super->s_uuid);
    memcpy(volume->label, system->fs->super->s_volume_name, sizeof volume->label - 1);
    return 0;
}

/* Not ext2fs_close(), which would write. */
void volume_close(struct volume *volume)
{
    struct file_system *system = volume->file_system;
    if (!system)
        return;
    ext2fs_free(system->fs);
    journal_close(system->journal);
    if (system->raw)
        ext2fs_free(system->raw);
    free(system);
    volume->file_system = NULL;
}

const char *volume_foreign_kind(struct boot_file *disk, const struct partition *partition)
{
    static const struct {
        uint64_t offset;
        const char *magic, *name;
    } kinds[] = {
        {0, "XFSB", "XFS"},
        {0x10040, "_BHRfS_M", "btrfs"},
        {54, "FAT", "FAT"},
        {82, "FAT32", "FAT"},
        {3, "NTFS", "NTFS"},
        {0, "LUKS\xba\xbe", "an encrypted volume"},
        {512, "LABELONE", "LVM"},
        {0, "hsqs", "squashfs"},
        {0x400, "\x10\x20\xf5\xf2", "F2FS"},
        {0x8001, "CD001", "ISO 9660"},
    };
    char found[8];
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        size_t length = strlen(kinds[i].magic);
        if (partition->size >= kinds[i].offset + length &&
            !boot_file_read(disk, partition->start + kinds[i].offset, found, length, NULL) &&
            !memcmp(found, kinds[i].magic, length))
            return kinds[i].name;
    }
    return NULL;
}

static int lookup(struct volume *volume, const char *path, ext2_ino_t *number, struct ext2_inode *inode)
{
    ext2_filsys fs = ((struct file_system *)volume->file_system)->fs;
    errcode_t code = ext2fs_namei_follow(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, number);
    if (!code)
        code = ext2fs_read_inode(fs, *number, inode);
    return !code ? 0 : code == EXT2_ET_FILE_NOT_FOUND || code == EXT2_ET_NO_DIRECTORY ? -ENOENT : -EIO;
}

int volume_open_file(struct volume *volume, const char *path, struct boot_file **out, struct error *error)
{
    ext2_ino_t number;
    struct ext2_inode inode;
    int result = lookup(volume, path, &number, &inode);
    if (!result && !LINUX_S_ISREG(inode.i_mode))
        result = -EISDIR;
    if (result)
        return error_set(error, result, "cannot open %s: %s", path,
                         result == -ENOENT   ? "it does not exist"
                         : result == -EISDIR ? "not a regular file"
                                             : "the file system is damaged");
    return open_inode(((struct file_system *)volume->file_system)->fs, number, path, out, error);
}

bool volume_has(struct volume *volume, const char *path, bool *is_directory)
{
    ext2_ino_t number;
    struct ext2_inode inode;
    if (lookup(volume, path, &number, &inode))
        return false;
    *is_directory = LINUX_S_ISDIR(inode.i_mode);
    return true;
}

struct listing {
    void (*found)(void *opaque, const char *name);
    void *opaque;
};

static int list_entry(struct ext2_dir_entry *entry, int offset, int block_size, char *buffer, void *opaque)
{
    const struct listing *listing = opaque;
    char name[EXT2_NAME_LEN + 1];
    int length = ext2fs_dirent_name_len(entry);
    (void)offset, (void)block_size, (void)buffer;
    memcpy(name, entry->name, (size_t)length);
    name[length] = '\0';
    listing->found(listing->opaque, name);
    return 0;
}

int volume_list(struct volume *volume, const char *path, void (*found)(void *opaque, const char *name),
                void *opaque)
{
    ext2_ino_t number;
    struct ext2_inode inode;
    struct listing listing = {found, opaque};
    int result = lookup(volume, path, &number, &inode);
    if (!result && !LINUX_S_ISDIR(inode.i_mode))
        result = -ENOTDIR;
    if (!result && ext2fs_dir_iterate(((struct file_system *)volume->file_system)->fs, number, 0, NULL,
                                      list_entry, &listing))
        result = -EIO;
    return result;
}
