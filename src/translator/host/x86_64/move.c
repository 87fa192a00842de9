/* SPDX-License-Identifier: GPL-2.0-or-later */
/* move: code of a movable region for another address of the guest's. */
#include <string.h>

#include "translator/host/host.h"
#include "translator/tlb.h"

#define GUEST_HALF_BITS 47

/* What is in the code for an address: bytes from the start of a table, or the address itself. */
static uint64_t code_for(const struct guest_isa *isa, enum host_move_kind kind, uint64_t address)
{
    switch (kind) {
    case HOST_MOVE_JUMP: return guest_jump_index(isa, address) * sizeof(struct jump_cache_entry);
    case HOST_MOVE_TLB: return (address >> TLB_PAGE_BITS & (TLB_SIZE - 1)) * sizeof(struct tlb_entry);
    case HOST_MOVE_ADDRESS:
    case HOST_MOVE_ADDRESS_32: break;
    }
    return address;
}

/* Addresses below 4 GiB are put into code in another way than those above, and wrap around there; branches to
 * what is beyond the lower half may be something else. */
static bool move_address(uint64_t from, uint64_t distance, uint64_t *to)
{
    *to = from + distance;
    return (from > UINT32_MAX) == (*to > UINT32_MAX) &&
           !(*to >> GUEST_HALF_BITS) == !(from >> GUEST_HALF_BITS);
}

bool host_move(const struct guest_isa *isa, struct host_code *code, uint64_t distance)
{
    for (unsigned i = 0; i < code->move_count; i++) {
        const struct host_move *move = &code->moves[i];
        const size_t size = move->kind == HOST_MOVE_ADDRESS ? 8 : 4;
        uint64_t to, field = 0;
        if (!move_address(move->address, distance, &to))
            return false;
        memcpy(&field, code->bytes + move->offset, size);
        field += code_for(isa, move->kind, to) - code_for(isa, move->kind, move->address);
        memcpy(code->bytes + move->offset, &field, size);
    }
    for (unsigned i = 0; i < code->exit_count; i++)
        if (!move_address(code->exits[i].target, distance, &code->exits[i].target))
            return false;
    return true;
}
