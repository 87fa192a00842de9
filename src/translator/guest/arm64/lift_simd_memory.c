/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_simd_memory: structure loads and stores, Arm ARM C4.1 "Advanced SIMD load/store multiple
 * structures", "... single structure" and their post-indexed forms.
 *
 * Memory is accessed in chunks of a vector; de-interleaving happens in registers. All accesses come
 * before the first write of a register, so that a fault finds the state as it was.
 */
#include "arm64_decode.h"
#include "translator/guest/arm64/lift_simd.h"

#define REGISTERS_MAX 4

static unsigned memory_register(unsigned first, unsigned i)
{
    return (first + i) % 32;
}

/* Rm = 31 stands for the number of bytes transferred. */
static void memory_post_index(struct lift *l, unsigned rn, unsigned rm, ir_value base, unsigned bytes)
{
    ir_value offset = rm == 31 ? ir_const(l->ir, IR_I64, bytes) : lift_read(l, 1, rm);
    lift_write_sp(l, rn, ir_binary(l->ir, IR_ADD, base, offset));
}

/* 16 bytes, or 8 with the high half zero. */
static ir_value memory_load(struct lift *l, ir_value base, unsigned offset, unsigned bytes)
{
    if (bytes == 16)
        return ir_load(l->ir, IR_V128, 4, base, offset);
    ir_value low = ir_load(l->ir, IR_F64, 3, base, offset);
    return ir_emit(l->ir, IR_VFROM_FLOAT, IR_V128, 0, low, IR_NONE, IR_NONE, 0, 0);
}

static void memory_store(struct lift *l, ir_value base, unsigned offset, unsigned bytes, ir_value v)
{
    if (bytes == 16)
        ir_store(l->ir, 4, base, offset, v);
    else
        ir_store(l->ir, 3, base, offset, simd_float_lane(l, 1, v, 0));
}

/* -- multiple structures --------------------------------------------------------------------------------- */

/* LD1, ST1 of one to four registers. */
bool lift_simd_consecutive(struct lift *l, const struct arm64_simd_consecutive *f)
{
    unsigned bytes = f->q ? 16 : 8;
    ir_value base = lift_read_sp(l, 1, f->rn);
    ir_value v[REGISTERS_MAX];
    for (unsigned i = 0; i < f->count; i++) {
        if (f->load)
            v[i] = memory_load(l, base, i * bytes, bytes);
        else
            memory_store(l, base, i * bytes, bytes, lift_read_v(l, memory_register(f->rt, i)));
    }
    for (unsigned i = 0; f->load && i < f->count; i++)
        lift_write_v(l, memory_register(f->rt, i), v[i]);
    if (f->post)
        memory_post_index(l, f->rn, f->rm, base, f->count * bytes);
    return true;
}

/*
 * Structures of three: byte j of register r comes from (or goes to) byte ((j / size) * 3 + r) * size +
 * j % size of memory. Each destination gathers from three sources with one table lookup each; an
 * index of 0xff gives zero. `sources` and `destinations` are the chunks and the registers or vice versa.
 */
static ir_value three_gather(struct lift *l, const ir_value sources[3], const union vector128 index[3])
{
    ir_value v = IR_NONE;
    for (unsigned s = 0; s < 3; s++) {
        if ((index[s].d[0] & index[s].d[1]) == ~UINT64_C(0))
            continue;
        ir_value part =
            ir_vec2(l->ir, IR_VTBL, 0, sources[s], simd_const(l, index[s].d[0], index[s].d[1]), 0);
        v = v == IR_NONE ? part : ir_vec2(l->ir, IR_VOR, 0, v, part, 0);
    }
    return v;
}

static void three_deinterleave(struct lift *l, unsigned esize, unsigned bytes, const ir_value chunks[3],
                               ir_value out[3])
{
    for (unsigned r = 0; r < 3; r++) {
        union vector128 index[3];
        for (unsigned i = 0; i < 6; i++)
            index[i / 2].d[i % 2] = ~UINT64_C(0);
        for (unsigned j = 0; j < bytes; j++) {
            unsigned place = ((j >> esize) * 3 + r) << esize | (j & ((1u << esize) - 1));
            index[place / 16].b[j] = place % 16;
        }
        out[r] = three_gather(l, chunks, index);
    }
}

static void three_interleave(struct lift *l, unsigned esize, unsigned bytes, const ir_value registers[3],
                             ir_value out[3])
{
    for (unsigned chunk = 0; chunk * 16 < 3 * bytes; chunk++) {
        union vector128 index[3];
        for (unsigned i = 0; i < 6; i++)
            index[i / 2].d[i % 2] = ~UINT64_C(0);
        for (unsigned j = 0; j < 16 && chunk * 16 + j < 3 * bytes; j++) {
            unsigned element = (chunk * 16 + j) >> esize;
            index[element % 3].b[j] = (uint8_t)((element / 3) << esize | (j & ((1u << esize) - 1)));
        }
        out[chunk] = three_gather(l, registers, index);
    }
}

/* Even and odd elements of the sequence `in` of `count` full vectors, count even. */
static void split_even_odd(struct lift *l, unsigned esize, const ir_value *in, unsigned count, ir_value *even,
                           ir_value *odd)
{
    for (unsigned i = 0; i < count; i += 2) {
        even[i / 2] = ir_vec2(l->ir, IR_VUZP1, esize, in[i], in[i + 1], 0);
        odd[i / 2] = ir_vec2(l->ir, IR_VUZP2, esize, in[i], in[i + 1], 0);
    }
}

/* Structures of two and four. 64-bit registers fill only half as many chunks. */
static void even_deinterleave(struct lift *l, unsigned esize, unsigned count, unsigned q,
                              const ir_value *chunks, ir_value *out)
{
    ir_value in[REGISTERS_MAX], even[2], odd[2];
    unsigned chunk_count = q ? count : count / 2;
    for (unsigned i = 0; i < chunk_count; i++)
        in[i] = chunks[i];
    if (chunk_count == 1)
        in[chunk_count++] = in[0]; /* the doubled elements land in the high half */
    split_even_odd(l, esize, in, chunk_count, even, odd);
    if (count == 2) {
        out[0] = even[0];
        out[1] = odd[0];
    } else {
        unsigned last = q ? 1 : 0;
        for (unsigned i = 0; i < 2; i++) {
            const ir_value *half = i ? odd : even;
            out[i] = ir_vec2(l->ir, IR_VUZP1, esize, half[0], half[last], 0);
            out[i + 2] = ir_vec2(l->ir, IR_VUZP2, esize, half[0], half[last], 0);
        }
    }
    for (unsigned i = 0; i < count; i++)
        out[i] = simd_low(l, out[i], q ? SIMD_FULL : 3);
}

static void even_interleave(struct lift *l, unsigned esize, unsigned count, unsigned q,
                            const ir_value *registers, ir_value *out)
{
    if (count == 2) {
        out[0] = ir_vec2(l->ir, IR_VZIP1, esize, registers[0], registers[1], 0);
        if (q)
            out[1] = ir_vec2(l->ir, IR_VZIP2, esize, registers[0], registers[1], 0);
        return;
    }
    for (unsigned half = 0; half <= q; half++) {
        enum ir_op op = half ? IR_VZIP2 : IR_VZIP1;
        ir_value even = ir_vec2(l->ir, op, esize, registers[0], registers[2], 0);
        ir_value odd = ir_vec2(l->ir, op, esize, registers[1], registers[3], 0);
        out[2 * half] = ir_vec2(l->ir, IR_VZIP1, esize, even, odd, 0);
        out[2 * half + 1] = ir_vec2(l->ir, IR_VZIP2, esize, even, odd, 0);
    }
}

static void interleaved_load(struct lift *l, const struct arm64_simd_interleaved *f, ir_value base)
{
    unsigned bytes = f->q ? 16 : 8, total = f->count * bytes;
    ir_value chunks[REGISTERS_MAX] = {0}, out[REGISTERS_MAX];
    for (unsigned at = 0; at < total; at += 16)
        chunks[at / 16] = memory_load(l, base, at, total - at >= 16 ? 16 : 8);
    if (f->count == 3)
        three_deinterleave(l, f->size, bytes, chunks, out);
    else
        even_deinterleave(l, f->size, f->count, f->q, chunks, out);
    for (unsigned i = 0; i < f->count; i++)
        lift_write_v(l, memory_register(f->rt, i), out[i]);
}

static void interleaved_store(struct lift *l, const struct arm64_simd_interleaved *f, ir_value base)
{
    unsigned bytes = f->q ? 16 : 8, total = f->count * bytes;
    ir_value registers[REGISTERS_MAX] = {0}, out[REGISTERS_MAX];
    for (unsigned i = 0; i < f->count; i++)
        registers[i] = lift_read_v(l, memory_register(f->rt, i));
    if (f->count == 3)
        three_interleave(l, f->size, bytes, registers, out);
    else
        even_interleave(l, f->size, f->count, f->q, registers, out);
    for (unsigned at = 0; at < total; at += 16)
        memory_store(l, base, at, total - at >= 16 ? 16 : 8, out[at / 16]);
}

/* LD2, LD3, LD4 and the stores. */
bool lift_simd_interleaved(struct lift *l, const struct arm64_simd_interleaved *f)
{
    if (simd_is_reserved_1d(f->q, 0, f->size))
        return false;
    ir_value base = lift_read_sp(l, 1, f->rn);
    if (f->load)
        interleaved_load(l, f, base);
    else
        interleaved_store(l, f, base);
    if (f->post)
        memory_post_index(l, f->rn, f->rm, base, f->count * (f->q ? 16 : 8));
    return true;
}

/* -- single structures ----------------------------------------------------------------------------------- */

/* The lane is Q:S:size without the bits that the element's size takes away; registers: opcode<0>:R + 1. */
bool lift_simd_lane(struct lift *l, const struct arm64_simd_lane *f)
{
    unsigned esize = f->scale, bytes = 1u << esize;
    unsigned lane = (f->q << 3 | f->s << 2 | f->size) >> esize;
    unsigned count = (f->more << 1 | f->r) + 1;
    enum ir_type type = simd_int_type(esize == 3);
    ir_value base = lift_read_sp(l, 1, f->rn);
    ir_value v[REGISTERS_MAX];
    for (unsigned i = 0; i < count; i++) {
        if (f->load)
            v[i] = ir_load(l->ir, type, esize, base, i * bytes);
        else
            ir_store(l->ir, esize, base, i * bytes,
                     simd_get_lane(l, type, esize, 0, lift_read_v(l, memory_register(f->rt, i)), lane));
    }
    for (unsigned i = 0; f->load && i < count; i++) {
        unsigned rt = memory_register(f->rt, i);
        lift_write_v(l, rt, simd_set_lane(l, esize, lift_read_v(l, rt), lane, v[i]));
    }
    if (f->post)
        memory_post_index(l, f->rn, f->rm, base, count * bytes);
    return true;
}

/* LD1R .. LD4R */
bool lift_simd_replicate(struct lift *l, const struct arm64_simd_replicate *f)
{
    unsigned bytes = 1u << f->size;
    unsigned count = (f->more << 1 | f->r) + 1;
    ir_value base = lift_read_sp(l, 1, f->rn);
    ir_value v[REGISTERS_MAX];
    for (unsigned i = 0; i < count; i++)
        v[i] = ir_load(l->ir, simd_int_type(f->size == 3), f->size, base, i * bytes);
    for (unsigned i = 0; i < count; i++)
        simd_write(l, simd_width(f->q, 0, 0), memory_register(f->rt, i), simd_dup(l, f->size, v[i]));
    if (f->post)
        memory_post_index(l, f->rn, f->rm, base, count * bytes);
    return true;
}
