/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kvm: what a machine and its vCPUs are made of. */
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

/* Where Intel's processors want four pages that no guest uses: below the local APIC. */
#define IDENTITY_MAP UINT64_C(0xfeffc000)
#define TSS_PAGES    0xfeffd000ul

/* -- what the host has ----------------------------------------------------------------------------------- */

static const struct {
    int capability;
    const char *what;
} needed[] = {
    {KVM_CAP_USER_MEMORY, "memory slots"},
    {KVM_CAP_READONLY_MEM, "read-only memory"},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exits"},
    {KVM_CAP_VCPU_EVENTS, "events of vCPUs"},
    {KVM_CAP_DEBUGREGS, "debug registers"},
    {KVM_CAP_XSAVE, "states of vector units"},
    {KVM_CAP_XCRS, "extended control registers"},
    {KVM_CAP_SREGS2, "special registers, version 2"},
    {KVM_CAP_USER_NMI, "NMIs"},
    {KVM_CAP_X86_USER_SPACE_MSR, "exits of model-specific registers"},
    {KVM_CAP_X86_MSR_FILTER, "filters of model-specific registers"},
    {KVM_CAP_VCPU_ATTRIBUTES, "attributes of vCPUs"},
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

static int open_device(int *out, struct error *error)
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
        error_hint(error, "it takes Linux 5.16 or later");
        return -ENOTSUP;
    }
    return 0;
}

static int probe(struct error *error)
{
    int fd;
    int code = open_device(&fd, error);
    if (code)
        return code;
    code = check_device(fd, error);
    close(fd);
    return code;
}

/* -- the machine ----------------------------------------------------------------------------------------- */

static void vm_free(struct engine_vm *vm)
{
    if (!vm)
        return;
    kvm_rescue_vm_free(vm);
    kvm_irqchip_free(vm);
    if (vm->listener.changed)
        kvm_slots_free(vm);
    for (unsigned i = 0; vm->places && i < vm->machine.vcpu_count; i++) {
        if (vm->places[i].run)
            munmap(vm->places[i].run, vm->run_size);
        if (vm->places[i].fd >= 0)
            close(vm->places[i].fd);
    }
    if (vm->fd >= 0)
        close(vm->fd);
    if (vm->kvm >= 0)
        close(vm->kvm);
    pthread_mutex_destroy(&vm->tsc_lock);
    pthread_mutex_destroy(&vm->lend_lock);
    free(vm->cpuid);
    free(vm->places);
    free(vm->vcpus);
    free(vm);
}

static int vm_make(struct engine_vm *vm, struct error *error)
{
    int code = open_device(&vm->kvm, error);
    if (code)
        return code;
    do {
        vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
    } while (vm->fd < 0 && errno == EINTR);
    if (vm->fd < 0)
        return error_set(error, -errno, "KVM cannot make a machine: %s", strerror(errno));
    const int size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof(struct kvm_run))
        return error_set(error, -ENOTSUP, "KVM cannot make a machine: its vCPUs share no memory");
    vm->run_size = (size_t)size;
    vm->scales_tsc = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) > 0;
    const uint64_t identity = IDENTITY_MAP;
    if (ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_IDENTITY_MAP_ADDR) > 0 &&
        ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
        return error_set(error, -errno, "KVM cannot make a machine: no identity map: %s", strerror(errno));
    if (ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_TSS_ADDR) > 0 &&
        ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_PAGES) < 0)
        return error_set(error, -errno, "KVM cannot make a machine: no task segment: %s", strerror(errno));
    code = kvm_irqchip_init(vm, error);
    if (!code)
        code = kvm_msr_filter(vm, error);
    return code ? code : kvm_slots_init(vm, error);
}

static int vm_new(struct engine_vm **out, const struct engine_machine *machine, struct error *error)
{
    struct engine_vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        return error_set(error, -ENOMEM, "cannot make a machine: out of memory");
    vm->kvm = vm->fd = -1;
    vm->machine = *machine;
    vm->model = *machine->model;
    pthread_mutex_init(&vm->tsc_lock, NULL);
    pthread_mutex_init(&vm->lend_lock, NULL);
    vm->places = calloc(machine->vcpu_count, sizeof vm->places[0]);
    vm->vcpus = calloc(machine->vcpu_count, sizeof vm->vcpus[0]);
    vm->cpuid = kvm_cpuid_new();
    for (unsigned i = 0; vm->places && i < machine->vcpu_count; i++)
        vm->places[i].fd = -1;
    int code = vm->places && vm->vcpus && vm->cpuid
                   ? vm_make(vm, error)
                   : error_set(error, -ENOMEM, "cannot make a machine: out of memory");
    if (code)
        vm_free(vm);
    else
        *out = vm;
    return code;
}

/* -- vCPUs ----------------------------------------------------------------------------------------------- */

static void vcpu_free(struct engine_vcpu *v)
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
    if (!code)
        code = kvm_debug_set(v, &(struct engine_debug){0}, error);
    if (code)
        return code;
    place->used = true;
    x86_state_reset(&v->state, &vm->model);
    v->state.activity = v->index == 0 ? X86_ACTIVE : X86_WAITS_FOR_SIPI;
    code = kvm_push(v);
    return code ? error_set(error, code, "KVM refuses the processor's state after power-on") : 0;
}

static int vcpu_new(struct engine_vcpu **out, struct engine_vm *vm, unsigned index, struct error *error)
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
    if (code) {
        vcpu_free(v);
        return code;
    }
    memory_reader_add(vm->machine.memory, &v->reader);
    memory_reader_sleep(&v->reader);
    atomic_store(&vm->vcpus[index], v);
    *out = v;
    return 0;
}

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
}

static void vcpu_set_state(struct engine_vcpu *v, const struct x86_state *state)
{
    v->state = *state;
    kvm_push(v);
    kvm_clock_apply(v);
    kvm_clock_tell(v);
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
    .vm_new = vm_new,
    .vm_free = vm_free,
    .vcpu_new = vcpu_new,
    .vcpu_free = vcpu_free,
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
