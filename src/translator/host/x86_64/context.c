/* SPDX-License-Identifier: GPL-2.0-or-later */
/* context: generated code as a Linux signal handler finds it; what the processor must have. */
#include <errno.h>
#include <string.h>
#include <sys/platform/x86.h>
#include <ucontext.h>

#include "base/error.h"
#include "translator/host/x86_64/emit_core.h"

/* Indices of gregs[] (REG_RAX ... of <ucontext.h>, without its feature macro) by register number. */
static const uint8_t greg_of[16] = {13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7};
enum { GREG_RIP = 16, GREG_EFL = 17, GREG_ERR = 19 };

static uint64_t greg(const void *ucontext, unsigned index)
{
    return (uint64_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[index];
}

uint64_t host_context_pc(const void *ucontext)
{
    return greg(ucontext, GREG_RIP);
}

void host_context_set_pc(void *ucontext, uint64_t pc)
{
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[GREG_RIP] = (greg_t)pc;
}

uint64_t host_context_sp(const void *ucontext)
{
    return greg(ucontext, greg_of[RSP]);
}

void host_context_set_sp(void *ucontext, uint64_t sp)
{
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[greg_of[RSP]] = (greg_t)sp;
}

uint32_t host_context_fp_control(const void *ucontext)
{
    return ((const ucontext_t *)ucontext)->uc_mcontext.fpregs->mxcsr;
}

const void *host_context_x87(const void *ucontext)
{
    return ((const ucontext_t *)ucontext)->uc_mcontext.fpregs;
}

bool host_context_is_write(const void *ucontext)
{
    return greg(ucontext, GREG_ERR) & 2; /* page fault error code, Intel SDM volume 3, 4.7 */
}

/* Skips prefixes and the opcode. *rex: bits R, X, B of any kind of prefix. Intel SDM volume 2, 2.1 to 2.3. */
static const uint8_t *skip_opcode(const uint8_t *p, unsigned *rex)
{
    *rex = 0;
    while (*p == 0x66 || *p == 0x67 || *p == 0xf0 || *p == 0xf2 || *p == 0xf3)
        p++;
    if (*p == 0xc5) /* VEX of two bytes: neither X nor B */
        return p + 3;
    if (*p == 0xc4) {
        *rex = (unsigned)(~p[1] >> 5) & 7;
        return p + 4;
    }
    if ((*p & 0xf0) == 0x40)
        *rex = *p++ & 7u;
    if (*p != 0x0f)
        return p + 1;
    return p[1] == 0x38 || p[1] == 0x3a ? p + 3 : p + 2;
}

bool host_context_address(const void *ucontext, uint64_t *address)
{
    unsigned rex;
    const uint8_t *p = skip_opcode((const uint8_t *)(uintptr_t)greg(ucontext, GREG_RIP), &rex);
    const unsigned mode = *p >> 6, memory = *p & 7;
    unsigned base = memory;
    uint64_t sum = 0;
    int32_t displacement = 0;

    p++;
    if (mode == 3 || (mode == 0 && memory == 5))
        return false;
    if (memory == 4) { /* SIB */
        unsigned index = (*p >> 3 & 7) | (rex & 2) << 2;
        base = *p & 7;
        if (index != RSP)
            sum = greg(ucontext, greg_of[index]) << (*p >> 6);
        p++;
    }
    const bool absolute = memory == 4 && base == 5 && mode == 0;
    if (!absolute)
        sum += greg(ucontext, greg_of[base | (rex & 1) << 3]);
    if (mode == 2 || absolute)
        memcpy(&displacement, p, sizeof displacement);
    else if (mode == 1)
        displacement = (int8_t)*p;
    *address = sum + (uint64_t)(int64_t)displacement;
    return true;
}

/* The guest's flags from EFLAGS of a kind, see emit_flags.c. */
static uint16_t flags_from(uint64_t eflags, enum flags_kind kind)
{
    const uint16_t more = (uint16_t)(eflags << 8 & (NZCV_P | NZCV_A));
    bool carry = eflags & 1, parity = eflags & 1 << 2, zero = eflags & 1 << 6, sign = eflags & 1 << 7;
    if (kind == FLAGS_BORROW || kind == FLAGS_CARRY)
        return (uint16_t)((sign ? NZCV_N : 0) | (zero ? NZCV_Z : 0) |
                          (carry == (kind == FLAGS_BORROW) ? NZCV_B : 0) | (eflags & 1 << 11 ? NZCV_V : 0) |
                          more);
    if (parity)
        return NZCV_V;
    if (zero)
        return NZCV_Z;
    return carry == (kind == FLAGS_FCMP) ? NZCV_N | NZCV_B : 0;
}

/* At lock cmpxchg16b the guest's value of rbx is in its home, see emit_memory.c. */
static void repair_rbx(const struct guest_isa *isa, const struct translator_cpu *cpu, ucontext_t *context)
{
    const uint8_t *p = (const uint8_t *)(uintptr_t)host_context_pc(context);
    if (p[0] != 0xf0 || (p[1] & 0xf0) != 0x40 || p[2] != 0x0f || p[3] != 0xc7)
        return;
    for (unsigned i = 0; i < isa->register_count; i++) {
        const struct guest_register *g = &isa->registers[i];
        if (g->type == IR_I64 && g->rank >= 1 && g->rank <= PIN_GPR_COUNT && pin_gpr[g->rank - 1] == RBX) {
            uint64_t value;
            memcpy(&value, (const uint8_t *)cpu + g->offset, sizeof value);
            context->uc_mcontext.gregs[greg_of[RBX]] = (greg_t)value;
        }
    }
}

void host_repair_context(const struct guest_isa *isa, struct translator_cpu *cpu, void *ucontext,
                         unsigned state)
{
    repair_rbx(isa, cpu, ucontext);
    if (state) {
        uint16_t flags = flags_from(greg(ucontext, GREG_EFL), (enum flags_kind)(state - 1));
        memcpy((uint8_t *)cpu + isa->flags_offset, &flags, sizeof flags);
    }
}

void host_reset_return_stack(struct translator_cpu *cpu, const void *sentinel, void *ucontext)
{
    enum { SENTINELS = 4 }; /* as far as HOST_RETURN_MISS looks */
    const void **bottom = (const void **)(void *)(cpu->return_stack_top - SENTINELS * sizeof(void *));
    for (unsigned i = 0; i < SENTINELS; i++)
        bottom[i] = sentinel;
    cpu->return_sp = (uint64_t)(uintptr_t)bottom;
    if (ucontext) {
        uint64_t sp = host_context_sp(ucontext);
        if (sp >= (uint64_t)(uintptr_t)cpu->return_stack && sp <= (uint64_t)(uintptr_t)cpu->return_stack_top)
            host_context_set_sp(ucontext, cpu->return_sp);
    }
}

int host_probe(struct error *error)
{
    /* x86-64-v3, as the x86-64 psABI lists it, and cmpxchg16b of v2 */
    static const struct {
        unsigned feature;
        const char *name;
    } features[] = {
        {x86_cpu_SSE3, "SSE3"},     {x86_cpu_SSSE3, "SSSE3"},   {x86_cpu_FMA, "FMA"},
        {x86_cpu_SSE4_1, "SSE4.1"}, {x86_cpu_SSE4_2, "SSE4.2"}, {x86_cpu_CMPXCHG16B, "CMPXCHG16B"},
        {x86_cpu_MOVBE, "MOVBE"},   {x86_cpu_POPCNT, "POPCNT"}, {x86_cpu_OSXSAVE, "OSXSAVE"},
        {x86_cpu_AVX, "AVX"},       {x86_cpu_F16C, "F16C"},     {x86_cpu_BMI1, "BMI1"},
        {x86_cpu_AVX2, "AVX2"},     {x86_cpu_BMI2, "BMI2"},     {x86_cpu_LAHF64_SAHF64, "LAHF"},
        {x86_cpu_LZCNT, "LZCNT"},
    };
    /* As libc has found them at its start: in a virtual machine each CPUID takes its time. */
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        if (!x86_cpu_present(features[i].feature)) {
            int status = error_set(error, -ENOTSUP, "this processor lacks %s", features[i].name);
            error_hint(error, "translation needs x86-64-v3: a processor with AVX2, BMI2 and FMA");
            return status;
        }
    }
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6) != 6)
        return error_set(error, -ENOTSUP, "the operating system does not save AVX registers");
    return 0;
}
