/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * make: a machine, by a thread of its own. The kernel takes its time for it: above all it waits, for each
 * change of what vCPUs go by, until none can see what was before, even if there are no vCPUs. Meanwhile the
 * machine makes its board and loads its kernel.
 *
 * The thread lives from vm_begin() until the first vCPU is asked for. It touches nothing of the machine's,
 * and what it is given of memory is a plan.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/kvm/private.h"

/* Where Intel's processors want four pages that no guest uses: below the local APIC. */
#define IDENTITY_MAP UINT64_C(0xfeffc000)
#define TSS_PAGES    0xfeffd000ul

/* -- before there is a board ----------------------------------------------------------------------------- */

static int make_first(struct engine_vm *vm, struct error *error)
{
    int code = kvm_device_open(&vm->kvm, error);
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
    return code;
}

/* -- and after ------------------------------------------------------------------------------------------- */

static int make_rest(struct engine_vm *vm, struct error *error)
{
    int code = kvm_slots_tell(vm, error);
    for (unsigned i = 0; !code && i < vm->machine.vcpu_count; i++)
        code = kvm_vcpu_make(&vm->places[i].made, vm, i, error);
    return code;
}

static void *make(void *opaque)
{
    struct engine_vm *vm = opaque;
    const int code = make_first(vm, &vm->failure);
    while (sem_wait(&vm->board) < 0)
        ;
    if (!code && !vm->abandoned)
        make_rest(vm, &vm->failure);
    return NULL;
}

static void end(struct engine_vm *vm)
{
    if (vm->making)
        pthread_join(vm->maker, NULL);
    vm->making = false;
}

/* -- for the machine ------------------------------------------------------------------------------------- */

struct engine_vm *kvm_vm_begin(const struct engine_machine *machine)
{
    struct engine_vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        return NULL;
    vm->kvm = vm->fd = -1;
    vm->machine = *machine;
    vm->model = *machine->model;
    pthread_mutex_init(&vm->tsc_lock, NULL);
    pthread_mutex_init(&vm->lend_lock, NULL);
    pthread_mutex_init(&vm->clear_lock, NULL);
    pthread_cond_init(&vm->clear_changed, NULL);
    sem_init(&vm->board, 0, 0);
    vm->places = calloc(machine->vcpu_count, sizeof vm->places[0]);
    vm->vcpus = calloc(machine->vcpu_count, sizeof vm->vcpus[0]);
    vm->cpuid = kvm_cpuid_new();
    for (unsigned i = 0; vm->places && i < machine->vcpu_count; i++)
        vm->places[i].fd = -1;
    if (!vm->places || !vm->vcpus || !vm->cpuid) {
        kvm_vm_free(vm);
        return NULL;
    }
    vm->making = pthread_create(&vm->maker, NULL, make, vm) == 0;
    if (!vm->making)
        make_first(vm, &vm->failure);
    return vm;
}

int kvm_vm_new(struct engine_vm **out, const struct engine_machine *machine, struct error *error)
{
    struct engine_vm *vm = *out ? *out : kvm_vm_begin(machine);
    if (!vm)
        return error_set(error, -ENOMEM, "cannot make a machine: out of memory");
    *out = vm;
    vm->machine.lapics = machine->lapics;
    vm->machine.synics = machine->synics;
    vm->machine.connections = machine->connections;
    vm->machine.pic_acknowledge = machine->pic_acknowledge;
    vm->machine.opaque = machine->opaque;
    const int code = kvm_slots_plan(vm, error);
    if (code)
        return code;
    sem_post(&vm->board);
    if (!vm->making && !vm->failure.code)
        make_rest(vm, &vm->failure);
    return 0;
}

/* From now on it hears what happens to the machine. */
int kvm_vm_finish(struct engine_vm *vm, struct error *error)
{
    end(vm);
    if (vm->failure.code) {
        *error = vm->failure;
        return error->code;
    }
    if (vm->listener.changed)
        return 0;
    kvm_irqchip_attach(vm);
    return kvm_slots_attach(vm, error);
}

void kvm_vm_free(struct engine_vm *vm)
{
    if (!vm)
        return;
    vm->abandoned = true;
    sem_post(&vm->board);
    end(vm);
    kvm_rescue_vm_free(vm);
    kvm_irqchip_free(vm);
    kvm_slots_free(vm);
    for (unsigned i = 0; vm->places && i < vm->machine.vcpu_count; i++) {
        kvm_vcpu_free(vm->places[i].made);
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
    pthread_mutex_destroy(&vm->clear_lock);
    pthread_cond_destroy(&vm->clear_changed);
    sem_destroy(&vm->board);
    free(vm->cpuid);
    free(vm->places);
    free(vm->vcpus);
    free(vm);
}
