/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arch: the guests' processors that there are. See arch.h. */
#include "personality/linux/arch.h"

#include <elf.h>

const struct linux_arch *linux_arch_for(int elf_machine, bool translate_host)
{
    if (elf_machine == EM_AARCH64)
        return &linux_arm64;
    if (elf_machine == EM_X86_64 && translate_host)
        return &linux_amd64;
    return elf_machine == EM_386 && translate_host ? &linux_i386 : NULL;
}
