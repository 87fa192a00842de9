/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hypercalls of guests of Hyper-V (Hypervisor Top-Level Functional Specification, chapters "Hypercall
 * Interface" and "Inter-Partition Communication").
 *
 * The page that guests call reads a register of visor's own, whose value is the answer, and has the caller's
 * registers as they were, but for what is in RBP: it is RCX. An access to a register leaves the guest under
 * every engine, and needs nothing of them but to read; VMCALL would be the kernel's matter where that has a
 * Hyper-V of its own, and what becomes of it under a KVM that is software nobody knows.
 */
#include <errno.h>
#include <string.h>

#include "arch/x86/features.h"
#include "arch/x86/segment.h"
#include "engine/hyperv.h"

enum { CALL_LONG_SPIN = 0x08, CALL_POST_MESSAGE = 0x5c, CALL_SIGNAL_EVENT = 0x5d };

enum {
    STATUS_SUCCESS = 0,
    STATUS_INVALID_CODE = 2,
    STATUS_INVALID_INPUT = 3,
    STATUS_INVALID_ALIGNMENT = 4,
    STATUS_INVALID_PARAMETER = 5,
    STATUS_INVALID_CONNECTION = 0x12,
    STATUS_INSUFFICIENT_BUFFERS = 0x13,
};

#define CONTROL_CODE UINT64_C(0xffff)
#define CONTROL_FAST (UINT64_C(1) << 16) /* the input is not the address of one */
#define CONNECTION   0xffffffu           /* the other bits of a number are reserved */
#define FROM_GUEST   0x80000000          /* a message's type without this bit */

struct call {
    uint64_t control, input;
};

struct post_message {
    uint32_t connection, reserved, type, size;
    uint8_t payload[SYNIC_PAYLOAD];
};

static struct call call_of(const struct x86_state *s)
{
    const uint64_t *gpr = s->gpr;
    if (x86_code_of(s) == X86_CODE_64)
        return (struct call){gpr[X86_RBP], gpr[X86_RDX]};
    return (struct call){gpr[X86_RDX] << 32 | (uint32_t)gpr[X86_RAX],
                         gpr[X86_RBX] << 32 | (uint32_t)gpr[X86_RBP]};
}

/* It must not cross a page. */
static unsigned read_input(const struct hyperv *hyperv, uint64_t address, void *input, size_t size)
{
    if (address % 8)
        return STATUS_INVALID_ALIGNMENT;
    if (address % MEMORY_PAGE_SIZE + size > MEMORY_PAGE_SIZE ||
        !memory_pointer(hyperv->clock->memory, address, size, false) ||
        memory_read(hyperv->clock->memory, address, input, size) < 0)
        return STATUS_INVALID_INPUT;
    return STATUS_SUCCESS;
}

static unsigned status_of(int code)
{
    return !code ? STATUS_SUCCESS : code == -EAGAIN ? STATUS_INSUFFICIENT_BUFFERS : STATUS_INVALID_CONNECTION;
}

static unsigned post_message(const struct hyperv *hyperv, const struct call *call)
{
    const struct synic_connections *connections = hyperv->connections;
    struct post_message input;
    if (call->control & CONTROL_FAST)
        return STATUS_INVALID_INPUT;
    const unsigned status = read_input(hyperv, call->input, &input, sizeof input);
    if (status)
        return status;
    if (input.size > SYNIC_PAYLOAD || !input.type || input.type & FROM_GUEST)
        return STATUS_INVALID_PARAMETER;
    if (input.connection & ~CONNECTION || !connections || !connections->post)
        return STATUS_INVALID_CONNECTION;
    struct synic_message message = {.type = input.type, .size = (uint8_t)input.size};
    memcpy(message.payload, input.payload, input.size);
    return status_of(connections->post(connections->opaque, input.connection, &message));
}

/* The connection, and from bit 32 on which of its flags. */
static unsigned signal_event(const struct hyperv *hyperv, const struct call *call)
{
    const struct synic_connections *connections = hyperv->connections;
    uint64_t input = call->input;
    const unsigned status =
        call->control & CONTROL_FAST ? STATUS_SUCCESS : read_input(hyperv, call->input, &input, sizeof input);
    if (status)
        return status;
    if (input >> 48 || input >> 32 >= SYNIC_FLAGS)
        return STATUS_INVALID_PARAMETER;
    if ((uint32_t)input & ~CONNECTION || !connections || !connections->signal)
        return STATUS_INVALID_CONNECTION;
    return status_of(connections->signal(connections->opaque, (uint32_t)input, (unsigned)(input >> 32)));
}

uint64_t hyperv_call(const struct hyperv *hyperv)
{
    const struct call call = call_of(hyperv->registers);
    const bool has_synic = x86_has(hyperv->clock->model, X86_FEATURE_HYPERV_SYNIC);
    const unsigned code = call.control & CONTROL_CODE;
    if (code != CALL_LONG_SPIN && (!has_synic || (code != CALL_POST_MESSAGE && code != CALL_SIGNAL_EVENT)))
        return STATUS_INVALID_CODE;
    if (call.control & ~(CONTROL_CODE | CONTROL_FAST)) /* none of them is done again and again */
        return STATUS_INVALID_INPUT;
    return code == CALL_POST_MESSAGE   ? post_message(hyperv, &call)
           : code == CALL_SIGNAL_EVENT ? signal_event(hyperv, &call)
                                       : STATUS_SUCCESS;
}
