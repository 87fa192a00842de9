/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "boot/bytes.h"
#include "boot/loader.h"

struct protocol {
    bool (*detect)(struct boot_file *kernel, const uint8_t *head, size_t size);
    enum boot_protocol (*variant)(const uint8_t *head, size_t size);
    int (*load)(struct loader *load, const uint8_t *head, size_t size);
    struct {
        uint64_t start, end;
    } own[2]; /* what no kernel can have: interrupt vectors, and what its loader writes */
};

/* clang-format off */
#define OWN_ALL       {{0, LOADER_OWN_END}}
#define OWN_MULTIBOOT {{0, LOADER_GDT + 0x1000}, {LOADER_INFO, LOADER_INFO + LOADER_INFO_SIZE}}
/* clang-format on */

/* In the order in which they are tried. */
static const struct protocol protocols[] = {
    {multiboot2_detect, multiboot2_protocol, multiboot2_load, OWN_MULTIBOOT},
    {multiboot_detect, multiboot_protocol, multiboot_load, OWN_MULTIBOOT},
    {linux_detect, linux_protocol, linux_load, OWN_ALL},
    {pvh_detect, pvh_protocol, pvh_load, OWN_ALL},
};

/* What a file is that nothing here can start. */
struct foreign {
    const char *what, *hint;
};

static struct foreign describe_machine(unsigned elf, unsigned pe)
{
    const char *other = "a kernel for x86 is needed";
    if (elf == 183 || pe == 0xaa64)
        return (struct foreign){"it is a kernel for arm64 processors", other};
    if (elf == 40 || pe == 0x1c0 || pe == 0x1c2)
        return (struct foreign){"it is a kernel for 32-bit ARM processors", other};
    if (elf == 243 || pe == 0x5064 || pe == 0x5032)
        return (struct foreign){"it is a kernel for RISC-V processors", other};
    if (elf == 3 || elf == 62)
        return (struct foreign){"it is an ELF file with neither a multiboot header nor a PVH entry",
                                "take the bzImage (vmlinuz), or a kernel with CONFIG_PVH"};
    if (elf)
        return (struct foreign){"it is an ELF file for another kind of processor", other};
    if (pe == 0x8664 || pe == 0x14c)
        return (struct foreign){"it is an EFI program or a Windows program, and no Linux kernel",
                                "take the bzImage (vmlinuz) itself"};
    return (struct foreign){"it is a program for another kind of processor", other};
}

static bool has(const uint8_t *head, size_t size, size_t offset, const char *magic, size_t length)
{
    return size >= offset + length && !memcmp(head + offset, magic, length);
}

static struct foreign describe_foreign(const uint8_t *head, size_t size)
{
    const char *image = "give a disk image as IMAGE or by --disk, without --kernel";
    if (size < 512)
        return (struct foreign){size ? "it is too short to be a kernel" : "the file is empty", NULL};
    if (has(head, size, 0x38, "ARM\x64", 4))
        return describe_machine(183, 0);
    if (has(head, size, 0x24, "\x18\x28\x6f\x01", 4))
        return describe_machine(40, 0);
    if (has(head, size, 0x38, "RSC\x05", 4))
        return describe_machine(243, 0);
    if (has(head, size, 0, "\177ELF", 4))
        return describe_machine(head[5] == 2 ? (unsigned)head[18] << 8 | head[19] : bytes_get16(head + 18),
                                0);
    if (has(head, size, 0, "MZ", 2)) {
        size_t pe = bytes_get32(head + 0x3c);
        return describe_machine(
            0, has(head, size, pe, "PE\0\0", 4) && size >= pe + 6 ? bytes_get16(head + pe + 4) : 0x14c);
    }
    if (has(head, size, 0, "\x1f\x8b", 2) || has(head, size, 0, "\x28\xb5\x2f\xfd", 4) ||
        has(head, size, 0, "\3757zXZ", 5))
        return (struct foreign){"it is a compressed file", "unpack it first; a bzImage needs no unpacking"};
    if (has(head, size, 0, "QFI\xfb", 4) || has(head, size, 0x200, "EFI PART", 8))
        return (struct foreign){"it is a disk image", image};
    if (has(head, size, 0x1fe, "\x55\xaa", 2))
        return (struct foreign){"it is a boot sector or a disk image", image};
    return (struct foreign){"it is no kernel that can be started: not bzImage, multiboot or PVH", NULL};
}

static const struct protocol *find_protocol(struct boot_file *kernel, const uint8_t *head, size_t size)
{
    for (unsigned i = 0; i < ARRAY_SIZE(protocols); i++)
        if (protocols[i].detect(kernel, head, size))
            return &protocols[i];
    return NULL;
}

/* The first LOADER_HEAD bytes, or what there is, in memory of exactly that size. */
static int read_head(struct boot_file *kernel, uint8_t **head, size_t *size, struct error *error)
{
    *size = MIN(kernel->size, LOADER_HEAD);
    *head = malloc(*size + !*size);
    if (!*head)
        return error_set(error, -ENOMEM, "kernel %s: out of memory", kernel->name);
    int result = boot_file_read(kernel, 0, *head, *size, error);
    if (result)
        free(*head);
    return result;
}

static int refuse_foreign(struct boot_file *kernel, const uint8_t *head, size_t size, struct error *error)
{
    struct foreign foreign = describe_foreign(head, size);
    int result = error_set(error, -ENOEXEC, "kernel %s: %s", kernel->name, foreign.what);
    if (foreign.hint)
        error_hint(error, "%s", foreign.hint);
    return result;
}

int boot_detect(struct boot_file *kernel, struct error *error)
{
    uint8_t *head;
    size_t size;
    int result = read_head(kernel, &head, &size, error);
    if (result)
        return result;
    const struct protocol *protocol = find_protocol(kernel, head, size);
    result = protocol ? (int)protocol->variant(head, size) : refuse_foreign(kernel, head, size, error);
    free(head);
    return result;
}

int boot_load(const struct boot_config *config, struct memory_map *memory, struct x86_state *state,
              struct error *error)
{
    struct x86_state entered = *state;
    struct loader load = {.config = config, .memory = memory, .state = &entered, .error = error};
    uint8_t *head;
    size_t size;
    int result = read_head(config->kernel, &head, &size, error);
    if (result)
        return result;
    const struct protocol *protocol = find_protocol(config->kernel, head, size);
    for (unsigned i = 0; protocol && i < ARRAY_SIZE(protocol->own); i++)
        if (protocol->own[i].end)
            loader_claim(&load, protocol->own[i].start, protocol->own[i].end - protocol->own[i].start);
    result = protocol ? protocol->load(&load, head, size) : refuse_foreign(config->kernel, head, size, error);
    free(head);
    if (!result)
        *state = entered;
    return result;
}
