/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reach: accesses behind a TLB whose addresses differ by constants are looked up once, for their union.
 *
 * ir_reach() finds the REACH that an access may go by, or makes one, and widens it. What is only read by the
 * first instructions is looked up for reading, and once more when something is to be written: a page that may
 * not be written must not be asked for it by code that only reads.
 */
#include <string.h>

#include "translator/ir/ir.h"

enum {
    WIDTH_MOST = 1024, /* bytes of a union: the more, the more often it lies on two pages */
    CHAIN_MOST = 32,
};

/* If it is its first operand and a constant: the constant. */
static bool adds_constant(const struct ir_region *r, const struct ir_insn *n, int64_t *k)
{
    const bool whole = n->aux == (n->type == IR_I64 ? 3 : 2);
    const bool adds = n->op == IR_ADD || (n->op == IR_PART_ADD && whole);
    const bool subtracts = n->op == IR_SUB || (n->op == IR_PART_SUB && whole);

    if ((!adds && !subtracts) || !n->b || r->insns[n->b].op != IR_CONST)
        return false;
    *k = subtracts ? (int64_t)-r->insns[n->b].imm : (int64_t)r->insns[n->b].imm;
    return true;
}

/* Whether its low 32 bits are its operand's. */
static bool keeps_low_half(const struct ir_insn *n)
{
    return n->op == IR_ZEXT || n->op == IR_TRUNC || (n->op == IR_UBFX && n->aux == 32 << 8);
}

/* A value without the constants that were added to it; they are added to *offset. `wraps`: only the low 32
 * bits count. */
static ir_value root_of(const struct ir_region *r, ir_value v, bool wraps, int64_t *offset)
{
    ir_value root = v;
    uint64_t sum = (uint64_t)*offset;
    int64_t k;

    for (unsigned i = 0; i < CHAIN_MOST; i++) {
        const struct ir_insn *n = &r->insns[v];
        if (n->type != IR_I64 && !wraps)
            break;
        if (adds_constant(r, n, &k))
            sum += (uint64_t)k;
        else if (!wraps || !keeps_low_half(n))
            break;
        v = n->a;
        if (r->insns[v].type == IR_I64)
            root = v, *offset = wraps ? (int32_t)sum : (int64_t)sum;
    }
    return root;
}

/* Known at translation, but for whole pages by which it may move. */
static bool is_fixed(const struct ir_insn *n)
{
    return n->op == IR_CONST || n->op == IR_ADDRESS;
}

/* Whether the access is relative to the same as the REACH; *offset becomes what it is from there. */
static bool same_root(const struct ir_region *r, const struct ir_insn *reach, const struct ir_insn *access,
                      int64_t *offset)
{
    if ((reach->aux ^ access->aux) & IR_MEM_WRAPS)
        return false;
    if (reach->a == access->a)
        return reach->b == access->b &&
               (!reach->b || (reach->aux & IR_MEM_SCALE) == (access->aux & IR_MEM_SCALE));
    const struct ir_insn *to = &r->insns[reach->a], *from = &r->insns[access->a];
    if (!is_fixed(to) || to->op != from->op || reach->b || access->b)
        return false;
    *offset = (int64_t)((uint64_t)*offset + from->imm - to->imm);
    return true;
}

/* Widens it, if it does not become too wide, nor goes beyond a page for sure. */
static bool widen(const struct ir_region *r, struct ir_insn *reach, int64_t low, int64_t high)
{
    const bool is_const = is_fixed(&r->insns[reach->a]) && !reach->b; /* a page's border moves with it */
    const uint64_t base = r->insns[reach->a].imm;
    int64_t old_low = (int32_t)reach->imm2, old_high = (int32_t)(reach->imm2 >> 32);
    low = low < old_low ? low : old_low;
    high = high > old_high ? high : old_high;
    if (is_const && (base + (uint64_t)low) >> 12 != (base + (uint64_t)high - 1) >> 12)
        return false;
    if (high - low > WIDTH_MOST || low != (int32_t)low || high != (int32_t)high)
        return false;
    reach->imm2 = (uint32_t)low | (uint64_t)(uint32_t)high << 32;
    return true;
}

static ir_value begun_at(const struct ir_region *r)
{
    unsigned i = r->count - 1;
    while (i && r->insns[i].op != IR_INSN)
        i--;
    return (ir_value)i;
}

/* A REACH that does for the access, or that can be made to. */
static ir_value find_reach(struct ir_region *r, const struct ir_insn *access, int64_t *offset)
{
    const unsigned size = 1u << (access->aux & IR_MEM_SIZE);
    const bool write = access->aux & IR_REACH_WRITE;
    for (unsigned i = r->reach_count; i-- > 0;) {
        struct ir_insn *reach = &r->insns[r->reach[i]];
        int64_t at = *offset;
        if (!same_root(r, reach, access, &at) || at != (int32_t)at)
            continue;
        /* An instruction that reads and writes may be refused at once. */
        bool upgrade = write && !(reach->aux & IR_REACH_WRITE) && r->reach[i] > begun_at(r);
        if ((write && !upgrade && !(reach->aux & IR_REACH_WRITE)) || !widen(r, reach, at, at + size))
            continue;
        if (upgrade)
            reach->aux |= IR_REACH_WRITE;
        *offset = at;
        return r->reach[i];
    }
    return IR_NONE;
}

static void remember(struct ir_region *r, ir_value reach)
{
    if (r->reach_count == IR_REACH_MAX) {
        memmove(r->reach, r->reach + 1, sizeof r->reach - sizeof r->reach[0]);
        r->reach_count--;
    }
    r->reach[r->reach_count++] = reach;
}

ir_value ir_reach(struct ir_region *r, unsigned mem, bool write, ir_value base, ir_value index,
                  uint64_t *disp)
{
    const bool wraps = mem & IR_MEM_WRAPS;
    int64_t offset = wraps ? (int32_t)*disp : (int64_t)*disp;
    if (!r->reaches || r->overflow || mem & (IR_MEM_ALIGNED | IR_MEM_SEQ_CST | IR_MEM_SINGLE_COPY))
        return IR_NONE;
    const struct ir_insn access = {
        .a = root_of(r, base, wraps, &offset),
        .b = index,
        .aux = (uint16_t)((mem & (IR_MEM_SIZE | IR_MEM_SCALE | IR_MEM_WRAPS)) | (write ? IR_REACH_WRITE : 0)),
    };
    /* The host adds it, and takes it away. */
    if (offset != (int32_t)offset || offset == INT32_MIN || offset + 16 != (int32_t)(offset + 16))
        return IR_NONE;
    ir_value reach = find_reach(r, &access, &offset);
    if (!reach) {
        const uint64_t high = (uint32_t)(offset + (1 << (mem & IR_MEM_SIZE)));
        reach = ir_emit(r, IR_REACH, IR_I64, access.aux, access.a, index, IR_NONE, (uint64_t)offset,
                        (uint32_t)offset | high << 32);
        if (!reach)
            return IR_NONE;
        remember(r, reach);
    }
    *disp = (uint64_t)offset;
    return reach;
}

void ir_finish_reaches(struct ir_region *r)
{
    enum { SHARED = UINT16_MAX };
    uint16_t user[IR_REGION_MAX]; /* by REACH: its only user, or SHARED */

    if (!r->reach_count)
        return;
    memset(user, 0, r->count * sizeof user[0]);
    for (unsigned i = 1; i < r->count; i++) {
        const struct ir_insn *n = &r->insns[i];
        if ((n->op == IR_LOAD || n->op == IR_STORE) && n->aux & IR_MEM_REACHED)
            user[n->a] = user[n->a] ? SHARED : (uint16_t)i;
    }
    for (unsigned i = 1; i < r->count; i++) {
        struct ir_insn *reach = &r->insns[i];
        if (reach->op != IR_REACH || user[i] == SHARED)
            continue;
        if (user[i]) {
            struct ir_insn *n = &r->insns[user[i]];
            n->a = reach->a;
            n->b = reach->b;
            n->a_type = n->b_type = IR_I64;
            n->aux = (uint16_t)((n->aux & ~IR_MEM_REACHED) | (reach->aux & IR_MEM_SCALE));
        }
        *reach = (struct ir_insn){.op = IR_CONST, .type = IR_I64};
    }
    r->reach_count = 0;
}
