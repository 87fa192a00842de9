/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emulate_control: control and debug registers, what is about the processor as a whole. Intel SDM volume 3,
 * chapter 2, 9.8 and 17.2.
 */
#include <string.h>

#include "arch/x86/emulation.h"
#include "arch/x86/features.h"

static void flush(struct x86_emulation *e, enum x86_flush what, uint64_t linear)
{
    if (e->platform->flush)
        e->platform->flush(e->platform->opaque, what, linear);
}

/* -- paging modes ---------------------------------------------------------------------------------------- */

/* What decides how linear addresses are translated: new values of it are checked together. */
struct controls {
    uint64_t cr0, cr3, cr4, efer;
};

static struct controls current(const struct x86_emulation *e)
{
    const struct x86_state *s = e->state;
    return (struct controls){s->cr0, s->cr3, s->cr4, s->efer};
}

static bool pae_paging(const struct controls *c)
{
    return c->cr0 & X86_CR0_PG && c->cr4 & X86_CR4_PAE && !(c->efer & X86_EFER_LMA);
}

static void read_pdptes(const struct x86_platform *p, uint64_t cr3, uint64_t entries[4])
{
    for (unsigned i = 0; i < 4; i++) {
        entries[i] = 0;
        if (p->physical_read && !p->physical_read(p->opaque, (cr3 & 0xffffffe0) + 8 * i, 8, &entries[i]))
            entries[i] = 0;
    }
}

/* 4.4.1: the four entries that PAE paging begins with are read when CR3 is loaded. */
static int load_pdptes(struct x86_emulation *e, const struct controls *new)
{
    const struct x86_paging paging = {.cr0 = new->cr0,
                                      .cr3 = new->cr3,
                                      .cr4 = new->cr4,
                                      .efer = new->efer,
                                      .physical_bits = e->platform->model->physical_bits};
    uint64_t entries[4];

    read_pdptes(e->platform, new->cr3, entries);
    for (unsigned i = 0; i < 4; i++)
        if (entries[i] & 1 && !x86_paging_pdpte_valid(&paging, entries[i]))
            return x86_protection(e);
    memcpy(e->state->pdpte, entries, sizeof entries);
    return 0;
}

/* They take effect together with the PDPTEs, which are read anew if `reload`, or not at all. */
static int set_controls(struct x86_emulation *e, const struct controls *new, bool reload)
{
    if (reload && pae_paging(new) && load_pdptes(e, new) < 0)
        return X86_RAISED;
    e->state->cr0 = new->cr0, e->state->cr3 = new->cr3;
    e->state->cr4 = new->cr4, e->state->efer = new->efer;
    return 0;
}

void x86_task_switched(struct x86_core *core, const struct x86_platform *platform)
{
    struct x86_state *s = core->state;
    read_pdptes(platform, s->cr3, s->pdpte);
    if (platform->flush)
        platform->flush(platform->opaque, X86_FLUSH_NOT_GLOBAL, 0);
}

/* -- CR0 ------------------------------------------------------------------------------------------------- */

#define CR0_DEFINED                                                                                          \
    (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | \
     (uint64_t)X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)

static bool cr0_allowed(const struct x86_emulation *e, uint64_t value)
{
    const struct x86_state *s = e->state;
    const bool enables = value & X86_CR0_PG && !(s->cr0 & X86_CR0_PG);
    const bool disables = !(value & X86_CR0_PG) && s->cr0 & X86_CR0_PG;

    if (value >> 32 || (value & X86_CR0_PG && !(value & X86_CR0_PE)) ||
        (value & X86_CR0_NW && !(value & X86_CR0_CD)))
        return false;
    if (enables && s->efer & X86_EFER_LME) {
        const bool long_code = s->segment[X86_CS].attributes & X86_SEGMENT_LONG;
        const unsigned type = s->tr.attributes & X86_SEGMENT_TYPE;
        if (!(s->cr4 & X86_CR4_PAE) || long_code || type == X86_TYPE_TSS16_BUSY)
            return false;
    }
    return !(disables && (x86_code64(e) || s->cr4 & X86_CR4_PCIDE));
}

int x86_control_set0(struct x86_emulation *e, uint64_t value)
{
    struct x86_state *s = e->state;
    const uint64_t paging = X86_CR0_PG | X86_CR0_CD | (uint64_t)X86_CR0_NW;

    if (!cr0_allowed(e, value))
        return x86_protection(e);
    value = (value & CR0_DEFINED) | X86_CR0_ET;
    const uint64_t changed = s->cr0 ^ value;
    struct controls new = current(e);
    new.cr0 = value;
    new.efer &= ~(uint64_t)X86_EFER_LMA;
    if (value & X86_CR0_PG && new.efer &X86_EFER_LME)
        new.efer |= X86_EFER_LMA;
    if (set_controls(e, &new, changed & paging) < 0)
        return X86_RAISED;
    if (changed & (X86_CR0_PG | X86_CR0_WP | X86_CR0_PE))
        flush(e, X86_FLUSH_ALL, 0);
    return X86_EMULATED;
}

int x86_emulate_clts(struct x86_emulation *e)
{
    if (e->cpl != 0)
        return x86_protection(e);
    e->state->cr0 &= ~(uint64_t)X86_CR0_TS;
    return X86_EMULATED;
}

/* -- CR3, CR4, CR8 --------------------------------------------------------------------------------------- */

#define CR3_KEEP (1ull << 63) /* with CR4.PCIDE: what is cached of the new PCID stays */

static int set_cr3(struct x86_emulation *e, uint64_t value)
{
    struct x86_state *s = e->state;
    const bool keep = s->cr4 & X86_CR4_PCIDE && value & CR3_KEEP;

    if (keep)
        value &= ~CR3_KEEP;
    if (x86_code64(e) && value >> e->platform->model->physical_bits)
        return x86_protection(e);
    struct controls new = current(e);
    new.cr3 = value;
    if (set_controls(e, &new, true) < 0)
        return X86_RAISED;
    flush(e, X86_FLUSH_NOT_GLOBAL, keep);
    return X86_EMULATED;
}

/* The bits of CR4 that the model has. */
static uint64_t cr4_mask(const struct x86_emulation *e)
{
    static const struct {
        uint16_t feature;
        uint32_t bits;
    } table[] = {

        {X86_FEATURE_TSC, X86_CR4_TSD},           {X86_FEATURE_DE, X86_CR4_DE},
        {X86_FEATURE_PSE, X86_CR4_PSE},           {X86_FEATURE_PAE, X86_CR4_PAE},
        {X86_FEATURE_MCE, X86_CR4_MCE},           {X86_FEATURE_PGE, X86_CR4_PGE},
        {X86_FEATURE_MMX, X86_CR4_PCE},           {X86_FEATURE_FXSR, X86_CR4_OSFXSR},
        {X86_FEATURE_SSE, X86_CR4_OSXMMEXCPT},    {X86_FEATURE_UMIP, X86_CR4_UMIP},
        {X86_FEATURE_FSGSBASE, X86_CR4_FSGSBASE}, {X86_FEATURE_PCID, X86_CR4_PCIDE},
        {X86_FEATURE_XSAVE, X86_CR4_OSXSAVE},     {X86_FEATURE_SMEP, X86_CR4_SMEP},
        {X86_FEATURE_SMAP, X86_CR4_SMAP},
    };
    uint64_t mask = 0;
    for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++)
        mask |= x86_emulation_has(e, table[i].feature) ? table[i].bits : 0;
    return mask;
}

static int set_cr4(struct x86_emulation *e, uint64_t value)
{
    struct x86_state *s = e->state;
    const uint64_t changed = s->cr4 ^ value;
    const uint64_t walks = X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP;

    if (value & ~cr4_mask(e) || (changed & X86_CR4_PAE && x86_long_mode(s)))
        return x86_protection(e);
    if (changed & value & X86_CR4_PCIDE && (!x86_long_mode(s) || s->cr3 & 0xfff))
        return x86_protection(e);
    struct controls new = current(e);
    new.cr4 = value;
    if (set_controls(e, &new, changed & walks) < 0)
        return X86_RAISED;
    if (changed & (walks | X86_CR4_PCIDE | X86_CR4_SMAP))
        flush(e, X86_FLUSH_ALL, 0);
    return X86_EMULATED;
}

static uint64_t get_cr8(const struct x86_emulation *e)
{
    const struct x86_platform *p = e->platform;
    return p->cr8_read ? p->cr8_read(p->opaque) : e->state->cr8;
}

static int set_cr8(struct x86_emulation *e, uint64_t value)
{
    const struct x86_platform *p = e->platform;
    if (value > 15)
        return x86_protection(e);
    e->state->cr8 = value;
    if (p->cr8_write)
        p->cr8_write(p->opaque, value);
    return X86_EMULATED;
}

/* The operand of all of these is as wide as registers are. */
static unsigned width(const struct x86_emulation *e)
{
    return x86_code64(e) ? 8 : 4;
}

static bool control_exists(const struct x86_emulation *e)
{
    const unsigned n = e->insn.reg;
    return n == 0 || n == 2 || n == 3 || n == 4 || (n == 8 && x86_code64(e));
}

int x86_emulate_mov_from_control(struct x86_emulation *e)
{
    const struct x86_state *s = e->state;
    const unsigned n = e->insn.reg;

    if (!control_exists(e))
        return x86_undefined(e);
    if (e->cpl != 0)
        return x86_protection(e);
    x86_register_set(e, e->insn.rm, width(e),
                     n == 0   ? s->cr0
                     : n == 2 ? s->cr2
                     : n == 3 ? s->cr3
                     : n == 4 ? s->cr4
                              : get_cr8(e));
    return X86_EMULATED;
}

int x86_emulate_mov_to_control(struct x86_emulation *e)
{
    const uint64_t value = x86_register_get(e, e->insn.rm, width(e));

    if (!control_exists(e))
        return x86_undefined(e);
    if (e->cpl != 0)
        return x86_protection(e);
    switch (e->insn.reg) {
    case 0: return x86_control_set0(e, value);
    case 2: e->state->cr2 = value; return X86_EMULATED;
    case 3: return set_cr3(e, value);
    case 4: return set_cr4(e, value);
    default: return set_cr8(e, value);
    }
}

/* -- debug registers ------------------------------------------------------------------------------------- */

enum {
    DR6_ONES = 0xffff0ff0,
    DR6_BITS = 0xe00f,
    DR6_BD = 1 << 13,
    DR7_ONES = 0x400,
    DR7_GD = 1 << 13,
};
#define DR7_BITS 0xffff23ffu

/* Raises what forbids the access; else the number of the register, of which 4 and 5 are others' names. */
static int check_debug(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    unsigned n = e->insn.reg;

    if (n >= 8 || ((n == 4 || n == 5) && s->cr4 & X86_CR4_DE))
        return x86_undefined(e);
    if (e->cpl != 0)
        return x86_protection(e);
    if (s->dr[7] & DR7_GD) {
        s->dr[6] |= DR6_BD;
        s->dr[7] &= ~(uint64_t)DR7_GD;
        return x86_raise_plain(e->core, X86_DB);
    }
    return (int)(n == 4 || n == 5 ? n + 2 : n);
}

int x86_emulate_mov_from_debug(struct x86_emulation *e)
{
    const int n = check_debug(e);
    if (n < 0)
        return X86_RAISED;
    uint64_t value = e->state->dr[n];
    if (n == 6)
        value = (value & DR6_BITS) | DR6_ONES;
    else if (n == 7)
        value |= DR7_ONES;
    x86_register_set(e, e->insn.rm, width(e), value);
    return X86_EMULATED;
}

int x86_emulate_mov_to_debug(struct x86_emulation *e)
{
    uint64_t value = x86_register_get(e, e->insn.rm, width(e));
    const int n = check_debug(e);
    if (n < 0)
        return X86_RAISED;
    if (n >= 6 && value >> 32)
        return x86_protection(e);
    if (n == 6)
        value = (value & DR6_BITS) | DR6_ONES;
    else if (n == 7)
        value = (value & DR7_BITS) | DR7_ONES;
    e->state->dr[n] = value;
    return X86_EMULATED;
}

/* -- caches and translations ----------------------------------------------------------------------------- */

/* INVD, WBINVD: there is nothing to write back. */
int x86_emulate_cache(struct x86_emulation *e)
{
    return e->cpl != 0 ? x86_protection(e) : X86_EMULATED;
}

int x86_emulate_invlpg(struct x86_emulation *e)
{
    const struct x86_state *s = e->state;
    const unsigned segment = e->insn.segment;

    if (e->cpl != 0)
        return x86_protection(e);
    uint64_t linear = x86_operand_offset(e);
    if (!x86_code64(e))
        linear = (uint32_t)(linear + s->segment_base[segment]);
    else if (segment >= X86_FS)
        linear += s->segment_base[segment];
    flush(e, X86_FLUSH_PAGE, linear);
    return X86_EMULATED;
}

int x86_emulate_invpcid(struct x86_emulation *e)
{
    const struct x86_state *s = e->state;
    const uint64_t type = x86_register_get(e, e->insn.reg, width(e));
    uint64_t descriptor[2];

    if (e->cpl != 0 || type > 3)
        return x86_protection(e);
    if (x86_operand_read(e, 0, descriptor, sizeof descriptor) < 0)
        return X86_RAISED;
    const uint64_t pcid = descriptor[0];
    if (pcid >> 12 || (type < 2 && pcid && !(s->cr4 & X86_CR4_PCIDE)) ||
        (type == 0 && !x86_canonical(descriptor[1])))
        return x86_protection(e);
    if (type == 0 && pcid == (s->cr4 & X86_CR4_PCIDE ? s->cr3 & 0xfff : 0))
        flush(e, X86_FLUSH_PAGE, descriptor[1]);
    else if (type < 2)
        flush(e, X86_FLUSH_PCID, pcid);
    else
        flush(e, X86_FLUSH_ALL, 0); /* with 3 the global ones might stay */
    return X86_EMULATED;
}

/* -- those of group 7 without an operand ----------------------------------------------------------------- */

static int xgetbv(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    if (!(s->cr4 & X86_CR4_OSXSAVE))
        return x86_undefined(e);
    if ((uint32_t)s->gpr[X86_RCX] != 0)
        return x86_protection(e);
    x86_register_set_pair(s, x86_xcr0(s));
    return X86_EMULATED;
}

static int xsetbv(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    const uint64_t value = x86_register_pair(s);
    if (!(s->cr4 & X86_CR4_OSXSAVE))
        return x86_undefined(e);
    if (e->cpl != 0 || (uint32_t)s->gpr[X86_RCX] != 0 || !(value & X86_XCR0_X87) ||
        value & ~(uint64_t)X86_XCR0_ALL)
        return x86_protection(e);
    s->xcr0 = value;
    return X86_EMULATED;
}

static int set_alignment_flag(struct x86_emulation *e, bool set)
{
    struct x86_state *s = e->state;
    if (e->cpl != 0)
        return x86_undefined(e);
    s->eflags_system = (s->eflags_system & ~(uint64_t)X86_EFLAGS_AC) | (set ? X86_EFLAGS_AC : 0);
    return X86_EMULATED;
}

static int swapgs(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    if (!x86_code64(e))
        return x86_undefined(e);
    if (e->cpl != 0)
        return x86_protection(e);
    const uint64_t base = s->segment_base[X86_GS];
    s->segment_base[X86_GS] = s->kernel_gs_base;
    s->kernel_gs_base = base;
    return X86_EMULATED;
}

/* VMCALL and VMMCALL: which of them a guest takes goes by what it thinks of the processor's vendor, and KVM
 * accepts both. Outside of 64-bit code the registers have 32 bits. */
static int hypercall(struct x86_emulation *e)
{
    enum { NOT_PERMITTED = -1 };
    static const uint8_t registers[4] = {X86_RBX, X86_RCX, X86_RDX, X86_RSI};
    const unsigned size = x86_code64(e) ? 8 : 4;
    uint64_t arguments[4], result = (uint64_t)NOT_PERMITTED;

    if (!e->platform->hypercall || !x86_shows_kvm(e->platform->model))
        return x86_undefined(e);
    for (unsigned i = 0; i < 4; i++)
        arguments[i] = x86_register_get(e, registers[i], size);
    if (e->cpl == 0)
        result = e->platform->hypercall(e->platform->opaque, x86_register_get(e, X86_RAX, size), arguments);
    x86_register_set(e, X86_RAX, size, result);
    return X86_EMULATED;
}

int x86_emulate_group7_register(struct x86_emulation *e)
{
    const unsigned opcode = (e->insn.reg & 7u) << 3 | (e->insn.rm & 7u);
    if (e->insn.prefix != X86_NP && opcode < 030)
        return x86_undefined(e);
    switch (opcode) {
    case 001:
    case 031: return hypercall(e);
    case 012: return set_alignment_flag(e, false); /* CLAC */
    case 013: return set_alignment_flag(e, true);  /* STAC */
    case 020: return xgetbv(e);
    case 021: return xsetbv(e);
    case 070: return swapgs(e);
    case 071: return x86_emulate_rdtscp(e);
    default: return x86_undefined(e);
    }
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE */
int x86_emulate_fsgsbase(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    const unsigned reg = e->insn.reg & 7, size = 1u << e->insn.size;

    if (!(s->cr4 & X86_CR4_FSGSBASE) || reg > 3)
        return x86_undefined(e);
    uint64_t *base = &s->segment_base[X86_FS + (reg & 1)];
    if (reg < 2) {
        x86_register_set(e, e->insn.rm, size, *base);
        return X86_EMULATED;
    }
    const uint64_t value = x86_register_get(e, e->insn.rm, size);
    if (!x86_canonical(value))
        return x86_protection(e);
    *base = value;
    return X86_EMULATED;
}
