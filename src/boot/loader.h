/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loader: what the boot protocols share: places in memory, files read into them, the state of the processor.
 * What the loaders themselves write, other than kernels and modules, is below 1 MiB.
 */
#ifndef VISOR_BOOT_LOADER_H
#define VISOR_BOOT_LOADER_H

#include "base/buffer.h"
#include "boot/boot.h"

/* Guest-physical addresses of the loaders' own. A protocol needs some of them: the rest below 640 KiB is free
 * for its kernels. */
#define LOADER_GDT          UINT64_C(0x1000)
#define LOADER_BOOT_PARAMS  UINT64_C(0x2000)
#define LOADER_SETUP_DATA   UINT64_C(0x3000)
#define LOADER_PAGE_TABLES  UINT64_C(0x4000)
#define LOADER_COMMAND_LINE UINT64_C(0x20000)
#define LOADER_INFO         UINT64_C(0x30000) /* of PVH and multiboot */
#define LOADER_INFO_SIZE    0x10000
#define LOADER_OWN_END      UINT64_C(0x40000)
#define LOADER_COMMAND_MAX  0x10000 /* with the zero at its end */
#define LOADER_CLAIMS       128

struct loader {
    const struct boot_config *config;
    struct memory_map *memory;
    struct x86_state *state;
    struct error *error;
    struct {
        uint64_t start, end;
    } claims[LOADER_CLAIMS]; /* what kernel, modules and the loader's own occupy */
    unsigned claim_count;
};

/* "kernel NAME: " and the reason; returns -ENOEXEC. `hint` may be NULL. */
int loader_refuse(struct loader *load, const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The initial RAM disk or module, of this size, fits nowhere; returns -ENOMEM. */
int loader_no_room(struct loader *load, uint64_t size, const struct boot_file *file);
uint64_t loader_mib(uint64_t size); /* rounded up */

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

/* Modules in places of their own, at page boundaries: from the kernel's end on, or as high as possible, below
 * 4 GiB. */
#define LOADER_MODULES 64
struct loader_module {
    uint64_t start, end;
};
int loader_load_modules(struct loader *load, bool low, struct loader_module modules[LOADER_MODULES]);
/* The module's command line with its zero. */
size_t loader_module_text_size(const struct loader *load, unsigned index);

/* What a protocol tells the kernel, gathered for LOADER_INFO. */
struct loader_info {
    struct loader *load;
    struct buffer bytes;
};
void info_put(struct loader_info *info, uint64_t value, unsigned size);
void info_put_text(struct loader_info *info, const char *text); /* with its zero */
void info_put_module_text(struct loader_info *info, unsigned index);
uint64_t info_address(const struct loader_info *info); /* of what comes next */
int info_write(struct loader_info *info);              /* and frees it */

/* The loaders: each looks at the kernel's head (`size` bytes, at most LOADER_HEAD) and, if need be, further,
 * and takes it or not. */
#define LOADER_HEAD 0x8000
bool linux_detect(struct boot_file *kernel, const uint8_t *head, size_t size);
int linux_load(struct loader *load, const uint8_t *head, size_t size);
enum boot_protocol linux_protocol(const uint8_t *head, size_t size);
bool pvh_detect(struct boot_file *kernel, const uint8_t *head, size_t size);
int pvh_load(struct loader *load, const uint8_t *head, size_t size);
enum boot_protocol pvh_protocol(const uint8_t *head, size_t size);
bool multiboot_detect(struct boot_file *kernel, const uint8_t *head, size_t size);
int multiboot_load(struct loader *load, const uint8_t *head, size_t size);
enum boot_protocol multiboot_protocol(const uint8_t *head, size_t size);
bool multiboot2_detect(struct boot_file *kernel, const uint8_t *head, size_t size);
int multiboot2_load(struct loader *load, const uint8_t *head, size_t size);
enum boot_protocol multiboot2_protocol(const uint8_t *head, size_t size);

/* What the two multiboots share: a kernel that says itself where it goes, in place of ELF headers. Zero for
 * `load_end`: all of the file; for `bss_end`: nothing more. */
struct raw_image {
    uint32_t header, load, load_end, bss_end; /* addresses */
};
/* `offset`: of the header in the file. *end: of what was loaded. */
int multiboot_load_raw(struct loader *load, const struct raw_image *raw, uint64_t offset, uint64_t *end);

#endif
