/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kvm: what the host has, and vCPUs. */
#include "engine/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "engine/kvm/private.h"

#define DEVICE "/dev/kvm"

/* -- what the host has ----------------------------------------------------------------------------------- */

static const struct {
    int capability;
    const char *what, *takes; /* takes: NULL: a Linux that has all of them */
} needed[] = {
    {KVM_CAP_USER_MEMORY, "memory slots", NULL},
    {KVM_CAP_READONLY_MEM, "read-only memory", NULL},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exits", NULL},
    {KVM_CAP_VCPU_EVENTS, "events of vCPUs", NULL},
    {KVM_CAP_DEBUGREGS, "debug registers", NULL},
    {KVM_CAP_XSAVE, "states of vector units", NULL},
    {KVM_CAP_XCRS, "extended control registers", "a processor with XSAVE"},
    {KVM_CAP_SREGS2, "special registers, version 2", NULL},
    {KVM_CAP_USER_NMI, "NMIs", NULL},
    {KVM_CAP_X86_USER_SPACE_MSR, "exits of model-specific registers", NULL},
    {KVM_CAP_X86_MSR_FILTER, "filters of model-specific registers", NULL},
    {KVM_CAP_VCPU_ATTRIBUTES, "attributes of vCPUs", NULL},
};

/* A static program has no other way to a name than the file. */
static bool group_name(gid_t id, char *name, size_t size)
{
    FILE *file = fopen("/etc/group", "re");
    const struct group *group = NULL;
    while (file && (group = fgetgrent(file)) && group->gr_gid != id)
        ;
    if (group)
        snprintf(name, size, "%s", group->gr_name);
    if (file)
        fclose(file);
    return group != NULL;
}

static int refuse_access(struct error *error)
{
    struct stat status;
    char name[64];
    error_set(error, -EACCES, DEVICE ": permission denied");
    if (stat(DEVICE, &status) == 0 && status.st_mode & S_IWGRP && status.st_gid &&
        group_name(status.st_gid, name, sizeof name))
        error_hint(error, "join its group: adduser USER %s, and log in anew", name);
    else
        error_hint(error, "root alone may use it: chgrp kvm " DEVICE "; chmod g+rw " DEVICE
                          "; and join the group kvm");
    return -EACCES;
}

int kvm_device_open(int *out, struct error *error)
{
    const int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
    const int code = -errno;
    *out = fd;
    if (fd >= 0)
        return 0;
    if (code == -EACCES || code == -EPERM)
        return refuse_access(error);
    if (code != -ENOENT && code != -ENODEV && code != -ENXIO)
        return error_set(error, code, DEVICE ": %s", strerror(-code));
    error_set(error, code, "there is no KVM: %s", strerror(-code));
    error_hint(error, "modprobe kvm_intel or kvm_amd; firmware may have disabled VT-x or AMD-V");
    return code;
}

static int check_device(int fd, struct error *error)
{
    const int version = ioctl(fd, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION)
        return error_set(error, -ENOTSUP, DEVICE " has version %d of its interface, not %d", version,
                         KVM_API_VERSION);
    for (unsigned i = 0; i < ARRAY_SIZE(needed); i++) {
        if (ioctl(fd, KVM_CHECK_EXTENSION, needed[i].capability) > 0)
            continue;
        error_set(error, -ENOTSUP, "this host's KVM has no %s", needed[i].what);
        error_hint(error, "it takes %s", needed[i].takes ? needed[i].takes : "Linux 5.16 or later");
        return -ENOTSUP;
    }
    return 0;
}

static int probe(struct error *error)
{
    int fd;
    int code = kvm_device_open(&fd, error);
    if (code)
        return code;
    code = check_device(fd, error);
    close(fd);
    return code;
}

/* -- vCPUs ----------------------------------------------------------------------------------------------- */

void kvm_vcpu_free(struct engine_vcpu *v)
{
    if (!v)
        return;
    if (atomic_load(&v->vm->vcpus[v->index]) == v) {
        atomic_store(&v->vm->vcpus[v->index], NULL);
        memory_reader_remove(v->vm->machine.memory, &v->reader);
    }
    kvm_rescue_free(v);
    kvm_debug_free(v);
    free(v);
}

static int place_make(struct engine_vm *vm, unsigned index, struct error *error)
{
    struct kvm_place *place = &vm->places[index];
    if (place->run)
        return 0;
    if (place->fd < 0)
        place->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)index);
    if (place->fd < 0)
        return error_set(error, -errno, "KVM cannot make vCPU %u: %s", index, strerror(errno));
    void *run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, place->fd, 0);
    if (run == MAP_FAILED)
        return error_set(error, -errno, "KVM cannot make vCPU %u: %s", index, strerror(errno));
    place->run = run;
    return 0;
}

/* A vCPU that there was before a reset has what it needs but for its registers. */
static int vcpu_begin(struct engine_vcpu *v, struct error *error)
{
    struct engine_vm *vm = v->vm;
    struct kvm_place *place = &vm->places[v->index];
    kvm_surround(v);
    int code = kvm_clock_init(vm, v, error);
    if (!code && !place->used)
        code = kvm_set_cpuid(v, error);
    if (!code && place->used)
        code = kvm_debug_set(v, &(struct engine_debug){0}, error);
    if (code)
        return code;
    if (place->used)
        kvm_irqchip_forget(v);
    place->used = true;
    x86_state_reset(&v->state, &vm->model);
    v->state.activity = v->index == 0 ? X86_ACTIVE : X86_WAITS_FOR_SIPI;
    code = kvm_push(v);
    return code ? error_set(error, code, "KVM refuses the processor's state after power-on") : 0;
}

int kvm_vcpu_make(struct engine_vcpu **out, struct engine_vm *vm, unsigned index, struct error *error)
{
    struct engine_vcpu *v = calloc(1, sizeof *v);
    if (!v)
        return error_set(error, -ENOMEM, "cannot make a virtual CPU: out of memory");
    v->vm = vm;
    v->index = index;
    v->lapic = vm->machine.lapics[index];
    int code = place_make(vm, index, error);
    v->fd = vm->places[index].fd;
    v->run = vm->places[index].run;
    if (!code)
        code = vcpu_begin(v, error);
    if (code)
        kvm_vcpu_free(v);
    else
        *out = v;
    return code;
}

static int vcpu_new(struct engine_vcpu **out, struct engine_vm *vm, unsigned index, struct error *error)
{
    int code = kvm_vm_finish(vm, error);
    struct engine_vcpu *v = code ? NULL : vm->places[index].made;
    if (!code && !v)
        code = kvm_vcpu_make(&v, vm, index, error);
    if (code)
        return code;
    vm->places[index].made = NULL;
    memory_reader_add(vm->machine.memory, &v->reader);
    memory_reader_sleep(&v->reader);
    atomic_store(&vm->vcpus[index], v);
    *out = v;
    return 0;
}

/* -- what they are told and asked ------------------------------------------------------------------------ */

static void vcpu_stop(struct engine_vcpu *v)
{
    kvm_vcpu_request(v, KVM_REQUEST_STOP);
}

static void vcpu_get_state(struct engine_vcpu *v, struct x86_state *state)
{
    kvm_settle(v);
    kvm_pull(v);
    kvm_clock_show(v);
    *state = v->state;
    state->pv_async_owed |= kvm_async_fault_waits(v); /* whoever has this state does not know the kernel's */
}

static void vcpu_set_state(struct engine_vcpu *v, const struct x86_state *state)
{
    v->state = *state;
    v->async_fault_lent = false;
    kvm_push(v);
    kvm_clock_apply(v);
    kvm_clock_show(v);
}

/* -- debugging ------------------------------------------------------------------------------------------- */

static bool vcpu_debug_hit(struct engine_vcpu *v, struct engine_breakpoint *out)
{
    if (v->debug_hit)
        *out = *v->debug_hit;
    return v->debug_hit != NULL;
}

/* Copies; `out` or `in`. */
static int copy(struct engine_vcpu *v, uint64_t linear, uint8_t *out, const uint8_t *in, size_t size)
{
    const struct engine_machine *m = &v->vm->machine;
    pthread_mutex_lock(m->lock);
    kvm_pull(v);
    const int code = kvm_linear_copy(v, linear, out, in, size);
    pthread_mutex_unlock(m->lock);
    return code;
}

static int vcpu_read(struct engine_vcpu *v, uint64_t linear, void *buffer, size_t size)
{
    return copy(v, linear, buffer, NULL, size);
}

static int vcpu_write(struct engine_vcpu *v, uint64_t linear, const void *buffer, size_t size)
{
    return copy(v, linear, NULL, buffer, size);
}

const struct engine engine_kvm = {
    .name = "kvm",
    .signals = true,
    .probe = probe,
    .fit = kvm_fit,
    .vm_begin = kvm_vm_begin,
    .vm_new = kvm_vm_new,
    .vm_free = kvm_vm_free,
    .vcpu_new = vcpu_new,
    .vcpu_free = kvm_vcpu_free,
    .vcpu_run = kvm_vcpu_run,
    .vcpu_kick = kvm_vcpu_kick,
    .vcpu_stop = vcpu_stop,
    .vcpu_get_state = vcpu_get_state,
    .vcpu_set_state = vcpu_set_state,
    .vcpu_set_debug = kvm_debug_set,
    .vcpu_debug_hit = vcpu_debug_hit,
    .vcpu_read = vcpu_read,
    .vcpu_write = vcpu_write,
    .vcpu_exits = kvm_exits_list,
};
