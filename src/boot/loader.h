/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loader: what the boot protocols share: places in memory, files read into them, the state of the processor.
 * What the loaders themselves write, other than kernels and modules, is below 1 MiB.
 */
#ifndef VISOR_BOOT_LOADER_H
#define VISOR_BOOT_LOADER_H

#include "boot/boot.h"

/* Guest-physical addresses of the loaders' own. Kernels may be put from LOADER_LOW_KERNEL on. */
#define LOADER_GDT          UINT64_C(0x1000)
#define LOADER_BOOT_PARAMS  UINT64_C(0x2000)
#define LOADER_SETUP_DATA   UINT64_C(0x3000)
#define LOADER_PAGE_TABLES  UINT64_C(0x4000)
#define LOADER_COMMAND_LINE UINT64_C(0x20000)
#define LOADER_INFO         UINT64_C(0x30000) /* of PVH and multiboot */
#define LOADER_INFO_SIZE    0x10000
#define LOADER_LOW_KERNEL   UINT64_C(0x40000)
#define LOADER_COMMAND_MAX  0x10000 /* with the zero at its end */
#define LOADER_CLAIMS       128

struct loader {
    const struct boot_config *config;
    struct memory_map *memory;
    struct x86_state *state;
    struct error *error;
    struct {
        uint64_t start, end;
    } claims[LOADER_CLAIMS]; /* what kernel and modules occupy */
    unsigned claim_count;
};

/* "kernel NAME: " and the reason; returns -ENOEXEC. `hint` may be NULL. */
int loader_refuse(struct loader *load, const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Takes [start, start + size) for the kernel or a module; false if that is not all RAM, or taken. */
bool loader_claim(struct loader *load, uint64_t start, uint64_t size);
/* Where `size` bytes are free: the lowest place from `from` on, or the highest that ends at `limit` or
 * before; 0 if there is none. Only RAM between 1 MiB and 4 GiB is looked at; `above` looks above 4 GiB. */
uint64_t loader_find_lowest(const struct loader *load, uint64_t from, uint64_t size, uint64_t align);
uint64_t loader_find_highest(const struct loader *load, uint64_t limit, uint64_t size, uint64_t align,
                             bool above);

/* To places that were claimed, or the loaders' own. */
int loader_write(struct loader *load, uint64_t address, const void *data, size_t size);
int loader_zero(struct loader *load, uint64_t address, uint64_t size);
int loader_read_file(struct loader *load, struct boot_file *file, uint64_t offset, uint64_t address,
                     uint64_t size);
/* The command line to LOADER_COMMAND_LINE; `most` bytes without the zero are what the protocol takes. */
int loader_command_line(struct loader *load, uint64_t most);

/* How the processor starts: flat segments, no interrupts; 32 bits without paging, or 64 bits with the first
 * 4 GiB mapped at their own addresses. General registers are zero but for what the caller then sets. */
int loader_enter32(struct loader *load, uint32_t entry);
int loader_enter64(struct loader *load, uint64_t entry);

/* A loader: its protocol looks at the kernel's head (`size` bytes, at most LOADER_HEAD) and takes it or not.
 * What a file of another kind is has a name in messages. */
#define LOADER_HEAD 0x8000
bool linux_detect(const uint8_t *head, size_t size);
int linux_load(struct loader *load, const uint8_t *head, size_t size);
enum boot_protocol linux_protocol(const uint8_t *head, size_t size);

#endif
