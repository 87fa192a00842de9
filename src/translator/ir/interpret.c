/* SPDX-License-Identifier: GPL-2.0-or-later */
/* interpret: runs a region one instruction at a time. The oracle for everything that has memory or control
 * flow. */
#include <immintrin.h>
#include <string.h>

#include "base/macros.h"
#include "translator/ir/eval.h"
#include "translator/ir/host_float.h"

struct interpreter {
    const struct guest_isa *isa;
    struct translator_cpu *cpu;
    const struct ir_region *region;
    const struct ir_insn *insn;
    uint64_t insn_pc; /* of the guest instruction */
    uint32_t host_fp_control;
    union vector128 values[IR_REGION_MAX];
};

/* What a step says: go on, or leave with this exit. */
enum { GO_ON = -1 };

static uint8_t *state_at(const struct interpreter *i, unsigned offset)
{
    return (uint8_t *)i->cpu + offset;
}

static void set_pc(struct interpreter *i, uint64_t pc)
{
    memcpy(state_at(i, i->isa->pc_offset), &pc, sizeof pc);
}

static int leave(struct interpreter *i, enum translator_exit exit, uint64_t payload, uint64_t pc)
{
    set_pc(i, pc);
    i->cpu->exit_reason = exit;
    i->cpu->exit_payload = payload;
    return (int)exit;
}

static int go_to(struct interpreter *i, uint64_t pc)
{
    set_pc(i, pc);
    return TRANSLATOR_NONE;
}

/* -- guest state -------------------------------------------------------------------------------------- */

static int step_state(struct interpreter *i, union vector128 *r)
{
    const struct ir_insn *n = i->insn;
    const struct guest_register *guest = &i->isa->registers[n->aux];
    uint16_t flags;

    switch (n->op) {
    case IR_INSN:
        i->insn_pc = n->imm;
        set_pc(i, n->imm);
        break;
    case IR_GET: memcpy(r, state_at(i, guest->offset), ir_type_bytes(n->type)); break;
    case IR_SET: memcpy(state_at(i, guest->offset), &i->values[n->a], ir_type_bytes(n->a_type)); break;
    case IR_GET_FLAGS:
        memcpy(&flags, state_at(i, i->isa->flags_offset), sizeof flags);
        r->h[0] = flags & guest_flags_mask(i->isa);
        break;
    case IR_SET_FLAGS: memcpy(state_at(i, i->isa->flags_offset), &i->values[n->a].h[0], sizeof flags); break;
    default: break;
    }
    return GO_ON;
}

static void step_flags_of(struct interpreter *i, union vector128 *r)
{
    const struct ir_insn *from = &i->region->insns[i->insn->a];
    r->h[0] = ir_eval_flags_of(from, i->insn->aux, i->values[from->a].d[0], i->values[from->b].d[0],
                               i->values[from->c].h[0]);
}

static int step_divide(struct interpreter *i, union vector128 *r)
{
    const struct ir_insn *n = i->insn;
    if (ir_eval_divide(n, i->values[n->a].d[0], i->values[n->b].d[0], i->values[n->c].d[0], &r->d[0]))
        return GO_ON;
    return leave(i, TRANSLATOR_DIVIDE, 0, i->insn_pc);
}

/* A helper sees the CPU as it is between blocks, and runs with visor's own floating-point control. */
static void step_call(struct interpreter *i, union vector128 *r)
{
    const struct ir_insn *n = i->insn;
    ir_helper helper = (ir_helper)(uintptr_t)n->imm;

    i->cpu->fp_control = host_control();
    host_set_control(i->host_fp_control);
    r->d[0] = helper(i->cpu, i->values[n->a].d[0], i->values[n->b].d[0]);
    host_set_control(i->cpu->fp_control);
}

/* -- memory ------------------------------------------------------------------------------------------- */

static void extend(const struct ir_insn *n, unsigned size, union vector128 *r)
{
    if (!(n->aux & IR_MEM_SIGNED) || size >= 3)
        return;
    unsigned unused = 64 - (8u << size);
    r->sd[0] = (int64_t)(r->d[0] << unused) >> unused;
    if (n->type == IR_I32)
        r->d[0] = r->w[0];
}

/* An aligned access of up to 8 bytes is one host access, as the compiler makes of a constant-size copy. */
static void load(uint64_t address, unsigned size, union vector128 *r)
{
    const void *p = (const void *)(uintptr_t)address;
    switch (size) {
    case 0: __builtin_memcpy(r, p, 1); break;
    case 1: __builtin_memcpy(r, p, 2); break;
    case 2: __builtin_memcpy(r, p, 4); break;
    case 3: __builtin_memcpy(r, p, 8); break;
    default: _mm_store_si128((__m128i *)r, _mm_loadu_si128(p)); break;
    }
    __asm__ volatile("" ::: "memory");
}

static void store(uint64_t address, unsigned size, const union vector128 *v)
{
    void *p = (void *)(uintptr_t)address;
    __asm__ volatile("" ::: "memory");
    switch (size) {
    case 0: __builtin_memcpy(p, v, 1); break;
    case 1: __builtin_memcpy(p, v, 2); break;
    case 2: __builtin_memcpy(p, v, 4); break;
    case 3: __builtin_memcpy(p, v, 8); break;
    default: _mm_storeu_si128(p, _mm_load_si128((const __m128i *)v)); break;
    }
    __asm__ volatile("" ::: "memory");
}

/* If [address] == *expected then [address] = *desired; *expected becomes the old value. 2^size bytes. */
static bool compare_and_swap(uint64_t address, unsigned size, union vector128 *expected,
                             const union vector128 *desired)
{
    void *p = (void *)(uintptr_t)address;
    bool equal;

    switch (size) {
    case 0:
        return __atomic_compare_exchange_n((uint8_t *)p, &expected->b[0], desired->b[0], false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    case 1:
        return __atomic_compare_exchange_n((uint16_t *)p, &expected->h[0], desired->h[0], false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    case 2:
        return __atomic_compare_exchange_n((uint32_t *)p, &expected->w[0], desired->w[0], false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    case 3:
        return __atomic_compare_exchange_n((uint64_t *)p, &expected->d[0], desired->d[0], false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    default:
        __asm__ volatile("lock cmpxchg16b %1"
                         : "=@ccz"(equal), "+m"(*(union vector128 *)p), "+a"(expected->d[0]),
                           "+d"(expected->d[1])
                         : "b"(desired->d[0]), "c"(desired->d[1])
                         : "memory");
        return equal;
    }
}

static uint64_t apply_atomic(enum ir_atomic operation, unsigned size, uint64_t old, uint64_t operand)
{
    const unsigned unused = 64 - (8u << size);
    /* Both at the top of 64 bits, where they compare as they would in their own size. */
    const uint64_t x = old << unused, y = operand << unused;

    switch (operation) {
    case IR_ATOMIC_ADD: return old + operand;
    case IR_ATOMIC_AND: return old & operand;
    case IR_ATOMIC_OR: return old | operand;
    case IR_ATOMIC_XOR: return old ^ operand;
    case IR_ATOMIC_SMAX: return (int64_t)x > (int64_t)y ? old : operand;
    case IR_ATOMIC_SMIN: return (int64_t)x < (int64_t)y ? old : operand;
    case IR_ATOMIC_UMAX: return x > y ? old : operand;
    case IR_ATOMIC_UMIN: return x < y ? old : operand;
    case IR_ATOMIC_SWAP: break;
    }
    return operand;
}

static void step_atomic(struct interpreter *i, uint64_t address, unsigned size, union vector128 *r)
{
    union vector128 desired = {{0}};

    load(address, size, r);
    do {
        desired.d[0] = apply_atomic((enum ir_atomic)i->insn->imm, size, r->d[0], i->values[i->insn->b].d[0]);
    } while (!compare_and_swap(address, size, r, &desired));
}

static void step_cas(struct interpreter *i, uint64_t address, unsigned size, union vector128 *r)
{
    memcpy(r, &i->values[i->insn->b], (size_t)1 << size);
    compare_and_swap(address, size, r, &i->values[i->insn->c]);
}

/* Behind a TLB: makes `at` the host address. False: the CPU's memory function refused. A store is done. */
static bool reach(struct interpreter *i, uint64_t address, unsigned size, enum access_kind kind, uint64_t *at)
{
    struct memory_access access = {
        .address = address, .size = (uint8_t)size, .kind = kind, .tlb = (uint8_t)i->region->tlb};
    if (kind == ACCESS_STORE)
        access.value = i->values[i->insn->c];
    if (!i->cpu->memory(i->cpu, &access))
        return false;
    *at = (uintptr_t)access.pointer;
    return true;
}

/* Where an access is made. Addresses of the upper half, which have the bit below the ignored ones, keep
 * theirs. */
static uint64_t place(const struct interpreter *i, uint64_t address)
{
    const uint64_t ignored = i->cpu->ignored_address_bits;
    return address & (ignored & -ignored) >> 1 ? address : address & ~ignored;
}

/* `address` is what is remembered, `at` where the bytes are. */
static void step_load_exclusive(struct interpreter *i, uint64_t address, uint64_t at, unsigned size,
                                union vector128 *r)
{
    load(at, size, r);
    i->cpu->exclusive_address = address;
    i->cpu->exclusive_size = size;
    i->cpu->exclusive_value[0] = r->d[0];
    i->cpu->exclusive_value[1] = r->d[1];
}

static void step_store_exclusive(struct interpreter *i, uint64_t address, uint64_t at, unsigned size,
                                 union vector128 *r)
{
    struct translator_cpu *cpu = i->cpu;
    union vector128 expected = {.d = {cpu->exclusive_value[0], cpu->exclusive_value[1]}};
    bool stored = cpu->exclusive_address == address && cpu->exclusive_size == size &&
                  compare_and_swap(at, size, &expected, &i->values[i->insn->b]);
    cpu->exclusive_address = ~0ull;
    r->w[0] = !stored;
}

/* The access itself is to the address without the bits that are to be ignored; exclusives remember all of it.
 */
static int step_memory(struct interpreter *i, union vector128 *r)
{
    const struct ir_insn *n = i->insn;
    const unsigned size = n->aux & IR_MEM_SIZE;
    uint64_t address = i->values[n->a].d[0];

    if (n->op == IR_LOAD || n->op == IR_STORE)
        address += (i->values[n->b].d[0] << ((n->aux & IR_MEM_SCALE) >> IR_MEM_SCALE_SHIFT)) + n->imm;
    if (n->aux & IR_MEM_WRAPS)
        address = (uint32_t)address;
    if (n->aux & IR_MEM_ALIGNED && address & ((1u << size) - 1))
        return leave(i, TRANSLATOR_ALIGNMENT, address, i->insn_pc);
    uint64_t at = i->cpu->access_address = place(i, address);
    if (UNLIKELY(i->cpu->watch != NULL) && n->op != IR_STORE)
        i->cpu->watch(i->cpu, at, 1u << size, false);
    if (UNLIKELY(i->cpu->watch != NULL) && n->op != IR_LOAD && n->op != IR_LOAD_EXCL)
        i->cpu->watch(i->cpu, at, 1u << size, true);
    if (i->isa->tlb_offset) {
        enum access_kind kind = n->op == IR_LOAD    ? ACCESS_LOAD
                                : n->op == IR_STORE ? ACCESS_STORE
                                                    : ACCESS_UPDATE;
        if (!reach(i, address, size, kind, &at))
            return leave(i, (enum translator_exit)i->cpu->exit_reason, i->cpu->exit_payload, i->insn_pc);
        if (kind == ACCESS_STORE)
            return GO_ON;
        address = at; /* exclusives remember the host's */
    }

    switch (n->op) {
    case IR_LOAD:
        load(at, size, r);
        extend(n, size, r);
        break;
    case IR_STORE:
        store(at, size, &i->values[n->c]);
        if (n->aux & IR_MEM_SEQ_CST)
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
        break;
    case IR_ATOMIC: step_atomic(i, at, size, r); break;
    case IR_CAS: step_cas(i, at, size, r); break;
    case IR_LOAD_EXCL:
        step_load_exclusive(i, address, at, size, r);
        extend(n, size, r);
        break;
    case IR_STORE_EXCL: step_store_exclusive(i, address, at, size, r); break;
    default: break;
    }
    return GO_ON;
}

/* -- leaving ------------------------------------------------------------------------------------------- */

static int step_exit(struct interpreter *i)
{
    const struct ir_insn *n = i->insn;

    switch (n->op) {
    case IR_EXIT_IF: return i->values[n->a].b[0] ? go_to(i, n->imm) : GO_ON;
    case IR_RAISE_IF:
        return i->values[n->a].b[0] ? leave(i, (enum translator_exit)n->aux, n->imm, n->imm2) : GO_ON;
    case IR_GOTO:
    case IR_CALL_GUEST: return go_to(i, n->imm);
    case IR_GOTO_REG:
    case IR_CALL_REG:
    case IR_RETURN:
        if (i->region->tells_branches)
            i->cpu->branch_pc = i->insn_pc;
        return go_to(i, i->values[n->a].d[0]);
    default: return leave(i, (enum translator_exit)n->aux, n->imm, n->imm2);
    }
}

static int step(struct interpreter *i, union vector128 *r)
{
    const struct ir_insn *n = i->insn;
    union vector128 arguments[3];

    switch (n->op) {
    case IR_NOP: return GO_ON;
    case IR_INSN:
    case IR_GET:
    case IR_SET:
    case IR_GET_FLAGS:
    case IR_SET_FLAGS: return step_state(i, r);
    case IR_FLAGS_OF: step_flags_of(i, r); return GO_ON;
    case IR_REACH:
        r->d[0] =
            i->values[n->a].d[0] + (i->values[n->b].d[0] << ((n->aux & IR_MEM_SCALE) >> IR_MEM_SCALE_SHIFT));
        return GO_ON;
    case IR_LOAD:
    case IR_STORE:
    case IR_ATOMIC:
    case IR_CAS:
    case IR_LOAD_EXCL:
    case IR_STORE_EXCL: return step_memory(i, r);
    case IR_CLEAR_EXCL: i->cpu->exclusive_address = ~0ull; return GO_ON;
    case IR_FENCE: __atomic_thread_fence(__ATOMIC_SEQ_CST); return GO_ON;
    case IR_CALL: step_call(i, r); return GO_ON;
    case IR_UDIV_WIDE:
    case IR_UREM_WIDE:
    case IR_SDIV_WIDE:
    case IR_SREM_WIDE: return step_divide(i, r);
    case IR_EXIT_IF:
    case IR_RAISE_IF:
    case IR_GOTO:
    case IR_GOTO_REG:
    case IR_CALL_GUEST:
    case IR_CALL_REG:
    case IR_RETURN:
    case IR_RAISE: return step_exit(i);
    default: break;
    }
    arguments[0] = i->values[n->a];
    arguments[1] = i->values[n->b];
    arguments[2] = i->values[n->c];
    ir_eval_op(i->isa, i->cpu, n, arguments, r);
    return GO_ON;
}

enum translator_exit ir_interpret(const struct guest_isa *isa, struct translator_cpu *cpu,
                                  const struct ir_region *region)
{
    struct interpreter i;
    int exit = GO_ON;

    i.isa = isa;
    i.cpu = cpu;
    i.region = region;
    i.insn_pc = region->guest_start;
    i.host_fp_control = host_control();
    i.values[0] = (union vector128){{0}};
    cpu->branch_pc = ~(uint64_t)0;
    host_set_control(cpu->fp_control);
    for (unsigned index = 1; index < region->count && exit == GO_ON; index++) {
        i.insn = &region->insns[index];
        i.values[index] = (union vector128){{0}};
        exit = step(&i, &i.values[index]);
    }
    cpu->fp_control = host_control();
    host_set_control(i.host_fp_control);
    return exit == GO_ON ? TRANSLATOR_NONE : (enum translator_exit)exit;
}
