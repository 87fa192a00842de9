/* SPDX-License-Identifier: GPL-2.0-or-later */
/* syscalls: the table of system calls by the guest's number, made from syscalls.def. */
#include "personality/linux/syscalls.h"

#include "base/macros.h"

static const struct linux_syscall table[] = {
#define CALL(number, name, format) [number] = {#name, linux_sys_##name, format},
#define PASS(number, name, format) [number] = {#name, linux_pass_##name, format},
#define NONE(number, name, format) [number] = {#name, NULL, format},
#include "personality/linux/syscalls.def"
#undef CALL
#undef PASS
#undef NONE
};

const struct linux_syscall *linux_syscall_by_number(uint64_t number)
{
    if (number >= ARRAY_SIZE(table) || !table[number].name)
        return NULL;
    return &table[number];
}
