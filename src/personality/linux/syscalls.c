/* SPDX-License-Identifier: GPL-2.0-or-later */
/* syscalls: the tables of system calls by the guests' numbers, made from syscalls.def,
 * syscalls_amd64.def and syscalls_i386.def. */
#include "personality/linux/syscalls.h"

#include "base/macros.h"

static const struct linux_syscall arm64[] = {
#define CALL(number, name, format) [number] = {#name, linux_sys_##name, format},
#define PASS(number, name, format) [number] = {#name, linux_pass_##name, format},
#define NONE(number, name, format) [number] = {#name, NULL, format},
#include "personality/linux/syscalls.def"
#undef CALL
#undef PASS
#undef NONE
};

/* The host's own numbers. */
static const struct linux_syscall amd64[] = {
#define CALL(number, name, format) [SYS_##name] = {#name, linux_sys_##name, format},
#define PASS(number, name, format) [SYS_##name] = {#name, linux_pass_##name, format},
#define NONE(number, name, format) [SYS_##name] = {#name, NULL, format},
#include "personality/linux/syscalls.def"
#include "personality/linux/syscalls_amd64.def"
#undef CALL
#undef PASS
#undef NONE
};

static const struct linux_syscall i386[] = {
#define PASS(number, name, format)     [number] = {#name, linux_i386_pass_##name, format},
#define CALL(number, name, format)     [number] = {#name, linux_sys_##name, format},
#define SAME(number, name, as, format) [number] = {#name, linux_sys_##as, format},
#define WIDE(number, name, as, format) [number] = {#name, linux_pass_##as, format},
#define OWN(number, name, format)      [number] = {#name, linux_i386_##name, format},
#define NONE(number, name, format)     [number] = {#name, NULL, format},
#include "personality/linux/syscalls_i386.def"
};

const struct linux_syscall_table linux_arm64_calls = {arm64, ARRAY_SIZE(arm64)};
const struct linux_syscall_table linux_amd64_calls = {amd64, ARRAY_SIZE(amd64)};
const struct linux_syscall_table linux_i386_calls = {i386, ARRAY_SIZE(i386)};

const struct linux_syscall *linux_syscall_by_number(const struct linux_syscall_table *table, uint64_t number)
{
    if (number >= table->count || !table->calls[number].name)
        return NULL;
    return &table->calls[number];
}
