/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dirty: the kernel's log of written pages, as what the memory's backing knows (memory_dirty_source).
 *
 * A log is read first, and then cleared for just the pages that it had, which are write-protected anew: a
 * page that is written in between is in both this log and the next.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/macros.h"
#include "engine/kvm/private.h"

/* Pages in one call, for which the kernel holds a lock that vCPUs wait for. */
#define CLEAR_PAGES (UINT64_C(1) << 15)

static bool has_any(const uint64_t *words, uint64_t pages)
{
    for (uint64_t i = 0; i < (pages + 63) / 64; i++)
        if (words[i])
            return true;
    return false;
}

static int clear_log(const struct engine_vm *vm, unsigned number, uint64_t *log, uint64_t pages)
{
    for (uint64_t first = 0; first < pages; first += CLEAR_PAGES) {
        struct kvm_clear_dirty_log request = {.slot = number,
                                              .first_page = first,
                                              .num_pages = (uint32_t)MIN(pages - first, CLEAR_PAGES),
                                              .dirty_bitmap = log + first / 64};
        if (has_any(log + first / 64, request.num_pages) && ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &request) < 0)
            return -errno;
    }
    return 0;
}

static void mark(struct memory_backing *ram, uint64_t first, const uint64_t *log, uint64_t pages)
{
    for (uint64_t i = 0; i < (pages + 63) / 64; i++)
        for (uint64_t bits = log[i]; bits; bits &= bits - 1)
            memory_backing_mark_dirty(ram, first + 64 * i + (unsigned)__builtin_ctzll(bits));
}

int kvm_dirty_collect(struct engine_vm *vm, unsigned number)
{
    struct memory_backing *ram = vm->machine.ram;
    const struct kvm_slot *slot = &vm->slots[number];
    const uint64_t pages = slot->size >> MEMORY_PAGE_SHIFT;
    if (!pages || slot->read_only || slot->host < ram->host || slot->host >= ram->host + ram->size)
        return 0;
    uint64_t *log = calloc((pages + 63) / 64, sizeof *log);
    if (!log)
        return -ENOMEM;
    const struct kvm_dirty_log request = {.slot = number, .dirty_bitmap = log};
    int code = ioctl(vm->fd, KVM_GET_DIRTY_LOG, &request) < 0 ? -errno : 0;
    if (!code)
        mark(ram, (uint64_t)(slot->host - ram->host) >> MEMORY_PAGE_SHIFT, log, pages);
    if (!code && vm->clears_dirty)
        code = clear_log(vm, number, log, pages);
    free(log);
    return code;
}

static int collect(void *opaque)
{
    struct engine_vm *vm = opaque;
    int code = 0;
    for (unsigned i = 0; !code && i < vm->slot_count; i++)
        code = kvm_dirty_collect(vm, i);
    return code;
}

static int track(void *opaque, bool on)
{
    struct engine_vm *vm = opaque;
    const int code = kvm_slots_log(vm, on);
    if (code && on)
        kvm_slots_log(vm, false);
    return on ? code : 0;
}

/* Without a call of its own to clear it, a log is cleared when it is read. */
void kvm_dirty_init(struct engine_vm *vm)
{
    const struct kvm_enable_cap manual = {.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
                                          .args = {KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE}};
    vm->clears_dirty = ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) > 0 &&
                       ioctl(vm->fd, KVM_ENABLE_CAP, &manual) == 0;
}

void kvm_dirty_attach(struct engine_vm *vm)
{
    vm->dirty_source = (struct memory_dirty_source){track, collect, vm};
    vm->machine.ram->dirty_source = &vm->dirty_source;
}
