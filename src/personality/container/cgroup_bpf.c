/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attaches the program of device rules to a directory of version 2. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/cgroup_private.h"

#define PROGRAM_NAME "visor_devices" /* by which visor knows its own among others (systemd's) */
#define RULES_MAX    4000            /* a jump reaches 32767 instructions */

static int call_bpf(int command, union bpf_attr *attributes)
{
    long result;
    do
        result = syscall(SYS_bpf, command, attributes, sizeof *attributes);
    while (result < 0 && errno == EAGAIN);
    return result < 0 ? -errno : (int)result;
}

static int load(const struct bpf_insn *program, size_t count)
{
    union bpf_attr attributes = {
        .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
        .insns = (uintptr_t)program,
        .insn_cnt = (uint32_t)count,
        .license = (uintptr_t) "GPL",
        .prog_name = PROGRAM_NAME,
    };
    return call_bpf(BPF_PROG_LOAD, &attributes);
}

static bool is_own(int program)
{
    struct bpf_prog_info info = {0};
    union bpf_attr attributes = {
        .info = {.bpf_fd = (uint32_t)program, .info_len = sizeof info, .info = (uintptr_t)&info}};
    return call_bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes) == 0 && !strcmp(info.name, PROGRAM_NAME);
}

/* The descriptor of the program that visor has attached before, or -1. */
static int find_own(int directory)
{
    uint32_t ids[64];
    union bpf_attr query = {.query = {.target_fd = (uint32_t)directory,
                                      .attach_type = BPF_CGROUP_DEVICE,
                                      .prog_ids = (uintptr_t)ids,
                                      .prog_cnt = ARRAY_SIZE(ids)}};
    if (call_bpf(BPF_PROG_QUERY, &query) < 0)
        return -1;
    for (uint32_t i = 0; i < query.query.prog_cnt && i < ARRAY_SIZE(ids); i++) {
        union bpf_attr attributes = {.prog_id = ids[i]};
        int program = call_bpf(BPF_PROG_GET_FD_BY_ID, &attributes);
        if (program >= 0 && is_own(program))
            return program;
        if (program >= 0)
            close(program);
    }
    return -1;
}

static int attach(int directory, int program)
{
    int old = find_own(directory);
    union bpf_attr attributes = {.target_fd = (uint32_t)directory,
                                 .attach_bpf_fd = (uint32_t)program,
                                 .attach_type = BPF_CGROUP_DEVICE,
                                 .attach_flags = BPF_F_ALLOW_MULTI | (old >= 0 ? BPF_F_REPLACE : 0),
                                 .replace_bpf_fd = old >= 0 ? (uint32_t)old : 0};
    int result = call_bpf(BPF_PROG_ATTACH, &attributes);
    if (old >= 0)
        close(old);
    return result;
}

void cgroup_bpf_detach(int directory)
{
    int program = find_own(directory);
    union bpf_attr attributes = {.target_fd = (uint32_t)directory,
                                 .attach_bpf_fd = (uint32_t)program,
                                 .attach_type = BPF_CGROUP_DEVICE};
    if (program < 0)
        return;
    call_bpf(BPF_PROG_DETACH, &attributes);
    close(program);
}

int cgroup_bpf_attach(int directory, const struct resource_device_rule *rules, size_t count,
                      struct error *error)
{
    size_t capacity = CGROUP_DEVICE_INSTRUCTIONS(count);
    if (count > RULES_MAX)
        return error_set(error, -E2BIG, "linux.resources.devices has %zu rules; %d are possible", count,
                         RULES_MAX);
    struct bpf_insn *program = calloc(capacity, sizeof *program);
    if (!program)
        return error_set(error, -ENOMEM, "no memory for %zu rules of devices", count);
    size_t used = cgroup_device_program(rules, count, program, capacity);
    int loaded = load(program, used), result = loaded;
    free(program);
    if (loaded >= 0) {
        result = attach(directory, loaded);
        close(loaded);
    }
    if (result >= 0)
        return 0;
    error_set(error, result, "linux.resources.devices: cannot %s the program for %zu rules: %s",
              loaded < 0 ? "load" : "attach", count, strerror(-result));
    if (result == -EPERM || result == -EACCES)
        error_hint(error, "rules of devices in cgroup version 2 take CAP_BPF, or CAP_SYS_ADMIN, on the host");
    return result;
}
