/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debug: the debugger's breakpoints and watchpoints, by the processor's debug registers, of which there are
 * four; while there are any, the guest's own have no effect.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/macros.h"
#include "engine/kvm/private.h"

enum { REGISTERS = 4, DR6_HITS = 15, DR6_SINGLE_STEP = 1 << 14, DR7_FIXED = 0x400 };

static bool is_watch(const struct engine_breakpoint *b)
{
    return b->kind != ENGINE_BREAK_EXECUTE;
}

static int check(const struct engine_debug *debug, struct error *error)
{
    if (debug->count > REGISTERS) {
        error_set(error, -ENOSPC, "the processor has %d breakpoints, not %u", REGISTERS, debug->count);
        error_hint(error, "under --engine translate there is no limit");
        return -ENOSPC;
    }
    for (unsigned i = 0; i < debug->count; i++) {
        const struct engine_breakpoint *b = &debug->breakpoints[i];
        const bool size = b->length == 1 || b->length == 2 || b->length == 4 || b->length == 8;
        if (is_watch(b) && (!size || b->address % b->length))
            return error_set(error, -EINVAL,
                             "the processor watches 1, 2, 4 or 8 aligned bytes, not %u at %#llx", b->length,
                             (unsigned long long)b->address);
    }
    return 0;
}

static int apply(struct engine_vcpu *v, const struct kvm_guest_debug *debug)
{
    return ioctl(v->fd, KVM_SET_GUEST_DEBUG, debug) < 0 ? -errno : 0;
}

int kvm_debug_set(struct engine_vcpu *v, const struct engine_debug *debug, struct error *error)
{
    int code = check(debug, error);
    if (code)
        return code;
    struct engine_breakpoint *copy = calloc(debug->count + 1, sizeof *copy);
    if (!copy)
        return error_set(error, -ENOMEM, "cannot set breakpoints: out of memory");
    if (debug->count)
        memcpy(copy, debug->breakpoints, debug->count * sizeof *copy);
    free(v->breakpoints);
    v->breakpoints = copy;
    v->debug = *debug;
    v->debug.breakpoints = copy;
    v->debug_hit = NULL;
    if (!kvm_debug_on(v))
        code = apply(v, &(struct kvm_guest_debug){0});
    return code ? error_set(error, code, "KVM cannot debug the guest: %s", strerror(-code)) : 0;
}

void kvm_debug_free(struct engine_vcpu *v)
{
    free(v->breakpoints);
}

static uint64_t control_of(const struct engine_breakpoint *b, unsigned i)
{
    static const uint8_t kinds[] = {[ENGINE_BREAK_EXECUTE] = 0,
                                    [ENGINE_BREAK_WRITE] = 1,
                                    [ENGINE_BREAK_READ] = 3,
                                    [ENGINE_BREAK_ACCESS] = 3};
    static const uint8_t lengths[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    const unsigned length = is_watch(b) ? lengths[b->length] : 0;
    return 2ull << 2 * i | (uint64_t)(kinds[b->kind] | length << 2) << (16 + 4 * i);
}

/* The instruction of a breakpoint that was reported is executed by itself. */
void kvm_debug_arm(struct engine_vcpu *v)
{
    struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE};
    if (v->debug.step || v->resumed)
        debug.control |= KVM_GUESTDBG_SINGLESTEP;
    if (v->debug.count && !v->resumed) {
        debug.control |= KVM_GUESTDBG_USE_HW_BP;
        debug.arch.debugreg[7] = DR7_FIXED;
        for (unsigned i = 0; i < v->debug.count; i++) {
            debug.arch.debugreg[i] = v->debug.breakpoints[i].address;
            debug.arch.debugreg[7] |= control_of(&v->debug.breakpoints[i], i);
        }
    }
    if (apply(v, &debug) < 0)
        kvm_failed(v, "debug the guest");
}

bool kvm_debug_exit(struct engine_vcpu *v)
{
    const uint64_t dr6 = v->run->debug.arch.dr6;
    const bool resumed = v->resumed;
    v->resumed = false;
    for (unsigned i = 0; i < v->debug.count && !resumed; i++) {
        if (!(dr6 >> i & 1))
            continue;
        v->debug_hit = &v->debug.breakpoints[i];
        v->resumed = !is_watch(v->debug_hit);
        return true;
    }
    return v->debug.step || !resumed;
}
