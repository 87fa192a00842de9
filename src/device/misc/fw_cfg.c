/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Firmware configuration. All numbers of the interface itself are big endian, except the selector at its
 * port. */
#include "device/misc/fw_cfg.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIGNATURE  0x00
#define KEY_FEATURES   0x01
#define KEY_DIRECTORY  0x19
#define KEY_FIRST_FILE 0x20

#define FEATURES      3 /* ports, and DMA */
#define DMA_SIGNATURE UINT64_C(0x51454d5520434647)

#define DMA_ERROR  1u
#define DMA_READ   2u
#define DMA_SKIP   4u
#define DMA_SELECT 8u
#define DMA_WRITE  16u

static const struct device_field fw_cfg_fields[] = {
    DEVICE_FIELD(struct fw_cfg, selected),
    DEVICE_FIELD(struct fw_cfg, offset),
    DEVICE_FIELD(struct fw_cfg, dma_address),
};

/* The directory of files, as the guest reads it. */
struct file_entry {
    uint32_t size;
    uint16_t key, reserved;
    char name[FW_CFG_NAME_SIZE];
};

static const struct fw_cfg_item *item_find(const struct fw_cfg *fw_cfg, uint16_t key)
{
    for (unsigned i = 0; i < fw_cfg->item_count; i++)
        if (fw_cfg->items[i].key == key)
            return &fw_cfg->items[i];
    return NULL;
}

static int item_add(struct fw_cfg *fw_cfg, uint16_t key, const char *name, const void *data, uint32_t size,
                    struct error *error)
{
    if (fw_cfg->item_count == ARRAY_SIZE(fw_cfg->items) || item_find(fw_cfg, key))
        return error_set(error, -EEXIST, "fw_cfg: there is no room for item %u", key);
    struct fw_cfg_item *item = &fw_cfg->items[fw_cfg->item_count];
    *item = (struct fw_cfg_item){.key = key, .size = size, .data = malloc(MAX(size, 1))};
    if (!item->data)
        return error_set(error, -ENOMEM, "fw_cfg: no memory for %u bytes", size);
    memcpy(item->data, data, size);
    strcpy(item->name, name);
    fw_cfg->item_count++;
    return 0;
}

int fw_cfg_add(struct fw_cfg *fw_cfg, uint16_t key, const void *data, uint32_t size, struct error *error)
{
    return item_add(fw_cfg, key, "", data, size, error);
}

int fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *data, uint32_t size,
                    struct error *error)
{
    if (strlen(name) >= FW_CFG_NAME_SIZE || fw_cfg->file_count == FW_CFG_FILES_MAX)
        return error_set(error, -ENOSPC, "fw_cfg: there is no room for file %s", name);
    for (unsigned i = 0; i < fw_cfg->item_count; i++)
        if (!strcmp(fw_cfg->items[i].name, name))
            return error_set(error, -EEXIST, "fw_cfg: there is a file %s already", name);
    int code = item_add(fw_cfg, (uint16_t)(KEY_FIRST_FILE + fw_cfg->file_count), name, data, size, error);
    if (!code)
        fw_cfg->file_count++;
    return code;
}

/* Up to `size` bytes of the directory from an offset, made as they are read. */
static void directory_read(const struct fw_cfg *fw_cfg, uint64_t offset, uint8_t *buffer, size_t size)
{
    struct {
        uint32_t count;
        struct file_entry files[FW_CFG_FILES_MAX];
    } directory = {.count = htobe32(fw_cfg->file_count)};
    unsigned count = 0;
    for (unsigned i = 0; i < fw_cfg->item_count; i++) {
        const struct fw_cfg_item *item = &fw_cfg->items[i];
        if (!item->name[0])
            continue;
        struct file_entry *file = &directory.files[count++];
        file->size = htobe32(item->size);
        file->key = htobe16(item->key);
        memcpy(file->name, item->name, sizeof file->name);
    }
    uint64_t total = sizeof directory.count + count * sizeof directory.files[0];
    if (offset < total)
        memcpy(buffer, (uint8_t *)&directory + offset, MIN(size, total - offset));
}

/* The next bytes of the selected item; zeroes after its end. */
static void fw_cfg_take(struct fw_cfg *fw_cfg, uint8_t *buffer, size_t size)
{
    const struct fw_cfg_item *item = item_find(fw_cfg, fw_cfg->selected);
    memset(buffer, 0, size);
    if (fw_cfg->selected == KEY_DIRECTORY)
        directory_read(fw_cfg, fw_cfg->offset, buffer, size);
    else if (item && fw_cfg->offset < item->size)
        memcpy(buffer, item->data + fw_cfg->offset, MIN(size, item->size - fw_cfg->offset));
    fw_cfg->offset += (uint32_t)MIN(size, UINT32_MAX - fw_cfg->offset);
}

static void fw_cfg_select(struct fw_cfg *fw_cfg, uint16_t key)
{
    fw_cfg->selected = key;
    fw_cfg->offset = 0;
}

/* To RAM only, a page at a time: whether it was there. */
static bool dma_read(struct fw_cfg *fw_cfg, uint64_t address, uint32_t length)
{
    while (length) {
        uint32_t piece = (uint32_t)(MEMORY_PAGE_SIZE - address % MEMORY_PAGE_SIZE);
        piece = MIN(piece, length);
        uint8_t *host = memory_pointer(fw_cfg->memory, address, piece, true);
        if (!host)
            return false;
        fw_cfg_take(fw_cfg, host, piece);
        memory_written(fw_cfg->memory, address, piece);
        address += piece;
        length -= piece;
    }
    return true;
}

/* The descriptor is control, length and address. The answer is written over control. */
static void dma_run(struct fw_cfg *fw_cfg, uint64_t descriptor)
{
    struct {
        uint32_t control, length;
        uint64_t address;
    } request;
    uint8_t *host = memory_pointer(fw_cfg->memory, descriptor, sizeof request, true);
    if (!host)
        return;
    memcpy(&request, host, sizeof request);
    uint32_t control = be32toh(request.control), length = be32toh(request.length), answer = 0;
    if (control & DMA_SELECT)
        fw_cfg_select(fw_cfg, (uint16_t)(control >> 16));
    if (control & DMA_READ)
        answer = dma_read(fw_cfg, be64toh(request.address), length) ? 0 : DMA_ERROR;
    else if (control & DMA_WRITE)
        answer = DMA_ERROR;
    else if (control & DMA_SKIP)
        fw_cfg->offset += MIN(length, UINT32_MAX - fw_cfg->offset);
    answer = htobe32(answer);
    memory_write(fw_cfg->memory, descriptor, &answer, sizeof answer);
}

static uint64_t fw_cfg_read(void *opaque, uint64_t offset, unsigned size)
{
    struct fw_cfg *fw_cfg = opaque;
    uint8_t byte;
    (void)size;
    if (offset != 1)
        return UINT64_MAX; /* the selector cannot be read */
    fw_cfg_take(fw_cfg, &byte, 1);
    return byte;
}

static void fw_cfg_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset == 0 && size == 2)
        fw_cfg_select(opaque, (uint16_t)value);
}

static uint64_t dma_register_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    (void)opaque;
    for (unsigned i = 0; i < size; i++) /* big endian: the first byte is the highest */
        value |= (DMA_SIGNATURE >> (56 - 8 * (offset + i)) & 0xff) << (8 * i);
    return value;
}

static void dma_register_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct fw_cfg *fw_cfg = opaque;
    if (size != 4)
        return;
    uint32_t half = be32toh((uint32_t)value);
    if (offset == 0) {
        fw_cfg->dma_address = (uint64_t)half << 32;
        return;
    }
    uint64_t descriptor = fw_cfg->dma_address | half;
    fw_cfg->dma_address = 0;
    dma_run(fw_cfg, descriptor);
}

static const struct access_ops fw_cfg_ops = {fw_cfg_read, fw_cfg_write, 2};
static const struct access_ops dma_ops = {dma_register_read, dma_register_write, 4};

static void fw_cfg_reset(void *opaque)
{
    struct fw_cfg *fw_cfg = opaque;
    fw_cfg->selected = 0;
    fw_cfg->offset = 0;
    fw_cfg->dma_address = 0;
}

const struct device_type fw_cfg_type = {
    .name = "fw_cfg",
    .version = 1,
    .fields = fw_cfg_fields,
    .field_count = ARRAY_SIZE(fw_cfg_fields),
    .reset = fw_cfg_reset,
};

void fw_cfg_init(struct fw_cfg *fw_cfg, struct memory_map *memory)
{
    *fw_cfg = (struct fw_cfg){.memory = memory};
}

void fw_cfg_destroy(struct fw_cfg *fw_cfg)
{
    for (unsigned i = 0; i < fw_cfg->item_count; i++)
        free(fw_cfg->items[i].data);
    fw_cfg->item_count = fw_cfg->file_count = 0;
}

int fw_cfg_attach(struct fw_cfg *fw_cfg, struct io_space *io, struct error *error)
{
    uint32_t features = htole32(FEATURES);
    int code = fw_cfg_add(fw_cfg, KEY_SIGNATURE, "QEMU", 4, error);
    if (!code)
        code = fw_cfg_add(fw_cfg, KEY_FEATURES, &features, sizeof features, error);
    if (code)
        return code;
    bool all = io_add(io, "fw_cfg", 0x510, 2, 0, &fw_cfg_ops, fw_cfg, error) &&
               io_add(io, "fw_cfg dma", 0x514, 8, 0, &dma_ops, fw_cfg, error);
    return all ? 0 : error->code;
}
