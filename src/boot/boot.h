/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot: puts a kernel into a machine's memory and its first processor at the kernel's entry, as the kernel's
 * boot protocol says. There is no firmware: what that would have told the kernel is in the protocol's tables.
 *
 * The protocols, in the order in which they are looked for:
 *     multiboot 2, multiboot 1     a header in the first 32 KiB or 8 KiB; ELF or addresses in the header
 *     Linux, 64 and 32 bits        bzImage; the protocol 2.12 or later, or 2.02 or later by the 32-bit entry
 *     PVH                          ELF with the note XEN_ELFNOTE_PHYS32_ENTRY, such as Linux's vmlinux
 */
#ifndef VISOR_BOOT_BOOT_H
#define VISOR_BOOT_BOOT_H

#include "arch/x86/state.h"
#include "base/error.h"
#include "boot/file.h"
#include "boot/layout.h"
#include "memory/memory_map.h"

enum boot_protocol {
    BOOT_LINUX64,
    BOOT_LINUX32,
    BOOT_PVH,
    BOOT_MULTIBOOT,
    BOOT_MULTIBOOT2,
};

/* What else goes with the kernel. Linux takes them all as one initial RAM disk, one after the other; PVH and
 * multiboot have modules with a command line each. */
struct boot_module {
    struct boot_file *file;
    const char *command_line; /* may be NULL */
};

struct boot_config {
    struct boot_file *kernel;
    const struct boot_module *modules;
    unsigned module_count;
    const char *command_line; /* may be NULL */
    struct ram_layout layout; /* whose RAM the map has */
    uint64_t acpi_rsdp; /* address of ACPI's root pointer; 0: the guest searches for it, or there is none */
    bool no_long_mode;  /* the processor has no 64-bit mode: kernels are entered in 32 bits */
};

/* What the kernel is; a negative errno and the reason if no protocol takes it: a file of another processor or
 * of no kernel, a truncated one. */
int boot_detect(struct boot_file *kernel, struct error *error);

/* Writes kernel, modules and tables to guest memory, and to *state, which is that after power-on, what the
 * protocol says of registers. On failure there may be parts in memory, and *state is as it was. For a
 * reboot it is called again: the tables and all else below 1 MiB but ACPI's are made anew, RAM is not
 * cleared. */
int boot_load(const struct boot_config *config, struct memory_map *memory, struct x86_state *state,
              struct error *error);

#endif
