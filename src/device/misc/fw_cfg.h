/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg: how a PC's firmware and kernels are handed data by the virtual machine monitor: numbered items and
 * named files, at ports 510h (selector) and 511h (data), and by DMA at 514h. The interface is the one that
 * QEMU defined and that firmware and Linux know; items are read-only.
 */
#ifndef VISOR_DEVICE_MISC_FW_CFG_H
#define VISOR_DEVICE_MISC_FW_CFG_H

#include "device/device.h"
#include "memory/io_space.h"

#define FW_CFG_FILES_MAX 64
#define FW_CFG_NAME_SIZE 56

struct fw_cfg_item {
    uint16_t key;
    uint8_t *data;
    uint32_t size;
    char name[FW_CFG_NAME_SIZE]; /* of a file, else empty */
};

struct fw_cfg {
    uint16_t selected;
    uint32_t offset; /* into the selected item */
    uint64_t dma_address;
    struct fw_cfg_item items[FW_CFG_FILES_MAX + 16]; /* the machine's; not saved */
    unsigned item_count, file_count;
    struct memory_map *memory;
};

extern const struct device_type fw_cfg_type;

void fw_cfg_init(struct fw_cfg *fw_cfg, struct memory_map *memory);
void fw_cfg_destroy(struct fw_cfg *fw_cfg);
int fw_cfg_attach(struct fw_cfg *fw_cfg, struct io_space *io, struct error *error);
/* Copies the data. Keys and names are used once. */
int fw_cfg_add(struct fw_cfg *fw_cfg, uint16_t key, const void *data, uint32_t size, struct error *error);
int fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *data, uint32_t size,
                    struct error *error);

#endif
