/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/partition.h"

#include <stdbool.h>
#include <string.h>

#include "base/macros.h"
#include "boot/bytes.h"

enum { SECTOR = 512, MBR_TABLE = 446, MBR_ENTRY = 16, MBR_ENTRIES = 4, LOGICAL_FIRST = 5, LOGICAL_MAX = 60 };
enum { GPT_HEADER = 92, GPT_ENTRY = 128, GPT_ENTRY_MAX = 4096 };
enum { TYPE_NONE = 0, TYPE_EXTENDED = 0x05, TYPE_EXTENDED_LBA = 0x0f, TYPE_GPT = 0xee };

struct scan {
    struct boot_file *disk;
    struct partition *out;
    unsigned count;
    struct error *error;
};

static void add(struct scan *scan, uint64_t first, uint64_t sectors, uint64_t sector_size, unsigned number)
{
    uint64_t most = scan->disk->size / sector_size;
    if (scan->count == PARTITIONS_MAX || !sectors || first >= most || sectors > most - first)
        return;
    scan->out[scan->count++] = (struct partition){first * sector_size, sectors * sector_size, number};
}

static bool is_extended(unsigned type)
{
    return type == TYPE_EXTENDED || type == TYPE_EXTENDED_LBA;
}

static bool has_signature(const uint8_t *sector)
{
    return bytes_get16(sector + 510) == 0xaa55;
}

/* Each link has a partition, relative to itself, and the next link, relative to the first. */
static int scan_logical(struct scan *scan, uint64_t extended)
{
    uint64_t link = extended;
    uint8_t sector[SECTOR];
    for (unsigned i = 0; i < LOGICAL_MAX; i++) {
        if (link >= scan->disk->size / SECTOR)
            return 0;
        int result = boot_file_read(scan->disk, link * SECTOR, sector, SECTOR, scan->error);
        if (result || !has_signature(sector))
            return result;
        const uint8_t *entry = sector + MBR_TABLE, *next = entry + MBR_ENTRY;
        if (entry[4] != TYPE_NONE)
            add(scan, link + bytes_get32(entry + 8), bytes_get32(entry + 12), SECTOR, LOGICAL_FIRST + i);
        if (!is_extended(next[4]) || !bytes_get32(next + 8))
            return 0;
        link = extended + bytes_get32(next + 8);
    }
    return 0;
}

static int scan_mbr(struct scan *scan, const uint8_t *sector)
{
    int result = 0;
    for (unsigned i = 0; i < MBR_ENTRIES && !result; i++) {
        const uint8_t *entry = sector + MBR_TABLE + i * MBR_ENTRY;
        uint32_t first = bytes_get32(entry + 8);
        if (entry[0] & 0x7f || entry[4] == TYPE_NONE || !first) /* a boot sector's code rather */
            continue;
        if (is_extended(entry[4]))
            result = scan_logical(scan, first);
        else
            add(scan, first, bytes_get32(entry + 12), SECTOR, i + 1);
    }
    return result;
}

/* A header in this sector, and its entries; 1 if there is none. */
static int scan_gpt(struct scan *scan, uint64_t at, uint64_t sector_size)
{
    uint8_t header[GPT_HEADER], entry[GPT_ENTRY];
    const uint8_t unused[16] = {0};
    if (at > scan->disk->size || scan->disk->size - at < GPT_HEADER)
        return 1;
    int result = boot_file_read(scan->disk, at, header, GPT_HEADER, scan->error);
    if (result)
        return result;
    uint64_t table = bytes_get64(header + 72), count = bytes_get32(header + 80),
             size = bytes_get32(header + 84);
    if (memcmp(header, "EFI PART", 8) || size < GPT_ENTRY || size > GPT_ENTRY_MAX ||
        table > scan->disk->size / sector_size)
        return 1;
    table *= sector_size;
    for (uint64_t i = 0; i < MIN(count, PARTITIONS_MAX); i++) {
        if (scan->disk->size - table < (i + 1) * size)
            break;
        result = boot_file_read(scan->disk, table + i * size, entry, GPT_ENTRY, scan->error);
        if (result)
            return result;
        uint64_t first = bytes_get64(entry + 32), last = bytes_get64(entry + 40);
        if (memcmp(entry, unused, sizeof unused) && last >= first)
            add(scan, first, last - first + 1, sector_size, (unsigned)i + 1);
    }
    return 0;
}

int partition_scan(struct boot_file *disk, struct partition out[PARTITIONS_MAX], struct error *error)
{
    const uint64_t large = 4096; /* sectors of some disks */
    struct scan scan = {.disk = disk, .out = out, .error = error};
    uint8_t sector[SECTOR];
    if (disk->size < 2 * SECTOR)
        return 0;
    int result = boot_file_read(disk, 0, sector, SECTOR, error);
    if (result)
        return result;
    result = scan_gpt(&scan, SECTOR, SECTOR);
    if (result == 1)
        result = scan_gpt(&scan, large, large);
    if (result == 1)
        result = scan_gpt(&scan, (disk->size / SECTOR - 1) * SECTOR, SECTOR); /* the copy at the end */
    if (result == 1)
        result = has_signature(sector) ? scan_mbr(&scan, sector) : 0;
    return result ? result : (int)scan.count;
}
