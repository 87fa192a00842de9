/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eval_moving: operations that move bits into, out of and between vectors. */
#include <string.h>

#include "translator/ir/evaluation.h"

static uint64_t get_lane(const union vector128 *v, unsigned esize, unsigned index)
{
    uint64_t x = 0;
    memcpy(&x, &v->b[index << esize & 15], (size_t)1 << esize);
    return x;
}

static void set_lane(union vector128 *v, unsigned esize, unsigned index, uint64_t x)
{
    memcpy(&v->b[index << esize & 15], &x, (size_t)1 << esize);
}

static unsigned float_esize(unsigned type)
{
    return type == IR_F32 ? 2 : 3;
}

static void get_integer(const struct evaluation *e, unsigned esize)
{
    const struct ir_insn *n = e->insn;
    uint64_t x = get_lane(e->a, esize, (unsigned)n->imm);
    unsigned unused = 64 - (8u << esize);

    if (n->aux & IR_SIGNED)
        x = (uint64_t)((int64_t)(x << unused) >> unused);
    e->r->d[0] = n->type == IR_I32 ? (uint32_t)x : x;
}

/* ZIP, UZP and TRN: lane i of the result is a lane of a or b. */
static void permute(const struct evaluation *e, unsigned esize)
{
    const unsigned lanes = 16u >> esize, op = e->insn->op;
    unsigned second = op == IR_VZIP2 || op == IR_VUZP2 || op == IR_VTRN2;

    for (unsigned i = 0; i < lanes; i++) {
        bool from_b;
        unsigned from;
        if (op == IR_VZIP1 || op == IR_VZIP2) {
            from_b = i & 1;
            from = i / 2 + second * (lanes / 2);
        } else if (op == IR_VUZP1 || op == IR_VUZP2) {
            from_b = i >= lanes / 2;
            from = 2 * (i % (lanes / 2)) + second;
        } else {
            from_b = i & 1;
            from = (i & ~1u) + second;
        }
        set_lane(e->r, esize, i, get_lane(from_b ? e->b : e->a, esize, from));
    }
}

static void extract_bytes(const struct evaluation *e)
{
    unsigned start = e->insn->imm & 15;
    memcpy(&e->r->b[0], &e->a->b[start], 16 - start);
    memcpy(&e->r->b[16 - start], &e->b->b[0], start);
}

static void reverse_lanes(const struct evaluation *e, unsigned esize)
{
    unsigned per_container = 1u << (e->insn->imm - esize);
    for (unsigned i = 0; i < 16u >> esize; i++)
        set_lane(e->r, esize, i, get_lane(e->a, esize, i ^ (per_container - 1)));
}

void ir_evaluate_moving(const struct evaluation *e)
{
    const struct ir_insn *n = e->insn;
    const unsigned esize = n->aux & 3;
    union vector128 *r = e->r;

    switch (n->op) {
    case IR_VCONST:
        r->d[0] = n->imm;
        r->d[1] = n->imm2;
        break;
    case IR_VFROM_FLOAT:
    case IR_VFROM_INT: set_lane(r, n->a_type == IR_F32 || n->a_type == IR_I32 ? 2 : 3, 0, e->a->d[0]); break;
    case IR_VGET_FLOAT: r->d[0] = get_lane(e->a, float_esize(n->type), (unsigned)n->imm); break;
    case IR_VSET_FLOAT:
        *r = *e->a;
        set_lane(r, float_esize(n->b_type), (unsigned)n->imm, e->b->d[0]);
        break;
    case IR_VFROM_PAIR:
        r->d[0] = e->a->d[0];
        r->d[1] = e->b->d[0];
        break;
    case IR_VGET: get_integer(e, esize); break;
    case IR_VSET:
        *r = *e->a;
        set_lane(r, esize, (unsigned)n->imm, e->b->d[0]);
        break;
    case IR_VDUP:
    case IR_VDUP_LANE:
        for (unsigned i = 0; i < 16u >> esize; i++)
            set_lane(r, esize, i, get_lane(e->a, esize, n->op == IR_VDUP ? 0 : (unsigned)n->imm));
        break;
    case IR_VSET_LANE:
        *r = *e->a;
        set_lane(r, esize, n->imm & 15, get_lane(e->b, esize, (unsigned)(n->imm >> 4)));
        break;
    case IR_VLOW: set_lane(r, esize, 0, e->a->d[0]); break;
    case IR_VZIP1:
    case IR_VZIP2:
    case IR_VUZP1:
    case IR_VUZP2:
    case IR_VTRN1:
    case IR_VTRN2: permute(e, esize); break;
    case IR_VEXT: extract_bytes(e); break;
    case IR_VTBL:
        for (unsigned i = 0; i < 16; i++)
            r->b[i] = e->b->b[i] < 16 ? e->a->b[e->b->b[i]] : 0;
        break;
    case IR_VREV: reverse_lanes(e, esize); break;
    default: break;
    }
}
