/* SPDX-License-Identifier: GPL-2.0-or-later */
/* segment: descriptors and segment registers. */
#include "arch/x86/segment.h"

#include <string.h>

enum { SELECTOR_LOCAL = 1 << 2, DESCRIPTOR_TYPE_BYTE = 5 };

uint64_t x86_descriptor_base(const struct x86_descriptor *d)
{
    return (d->low >> 16 & 0xffffff) | (d->low >> 56) << 24 | d->high << 32;
}

uint32_t x86_descriptor_limit(const struct x86_descriptor *d)
{
    uint32_t limit = (uint32_t)((d->low & 0xffff) | (d->low >> 32 & 0xf0000));
    return x86_descriptor_attributes(d) & X86_SEGMENT_GRANULAR ? limit << 12 | 0xfff : limit;
}

bool x86_segment_allows(const struct x86_state *s, enum x86_segment segment, uint64_t offset, unsigned size,
                        bool write)
{
    const struct x86_segment_register *r = &s->segment[segment];
    const unsigned attributes = r->attributes;
    const bool code = attributes & X86_SEGMENT_CODE;
    const uint64_t last = offset + size - 1;

    if (x86_has_descriptors(s)) {
        if (!(attributes & X86_SEGMENT_PRESENT))
            return false;
        if (write ? code || !(attributes & X86_SEGMENT_WRITABLE)
                  : code && !(attributes & X86_SEGMENT_READABLE))
            return false;
    }
    if (x86_segment_expands_down(r))
        return offset > r->limit && last <= (attributes & X86_SEGMENT_BIG ? 0xffffffff : 0xffff);
    return last <= r->limit;
}

int x86_descriptor_read(struct x86_core *core, uint16_t selector, bool wide, unsigned vector,
                        struct x86_descriptor *d)
{
    const struct x86_state *s = core->state;
    const bool local = selector & SELECTOR_LOCAL;
    const uint64_t base = local ? s->ldtr_base : s->gdtr.base;
    const uint32_t limit = local ? s->ldtr.limit : s->gdtr.limit;
    const uint32_t offset = selector & ~7u, size = wide ? 16 : 8;
    uint64_t words[2] = {0};

    if ((local && x86_selector_null(s->ldtr.selector)) || offset + size - 1 > limit)
        return x86_raise_error(core, vector, selector & ~3u);
    if (core->linear->read(core, base + offset, words, size, true) < 0)
        return X86_RAISED;
    *d = (struct x86_descriptor){words[0], words[1], base + offset};
    return 0;
}

int x86_descriptor_mark(struct x86_core *core, struct x86_descriptor *d, unsigned bits)
{
    const uint8_t type = (uint8_t)(d->low >> 40 | bits);
    if (type == (uint8_t)(d->low >> 40))
        return 0;
    d->low |= (uint64_t)bits << 40;
    return core->linear->write(core, d->address + DESCRIPTOR_TYPE_BYTE, &type, 1, true);
}

/* -- segment registers --------------------------------------------------------------------------------- */

void x86_segment_set(struct x86_state *s, enum x86_segment segment, uint16_t selector,
                     const struct x86_descriptor *d)
{
    s->segment[segment] = (struct x86_segment_register){selector, (uint16_t)x86_descriptor_attributes(d),
                                                        x86_descriptor_limit(d)};
    /* In 64-bit code only FS and GS have bases; those of the others come back with other code. */
    s->segment_base[segment] = x86_descriptor_base(d);
}

void x86_segment_set_real(struct x86_state *s, enum x86_segment segment, uint16_t selector)
{
    s->segment[segment].selector = selector;
    s->segment_base[segment] = (uint32_t)selector << 4;
    if (segment == X86_CS)
        s->segment[X86_CS].attributes = X86_SEGMENT_PRESENT | X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_CODE |
                                        X86_SEGMENT_READABLE | X86_SEGMENT_ACCESSED;
}

void x86_segment_set_vm86(struct x86_state *s, enum x86_segment segment, uint16_t selector)
{
    s->segment[segment] = (struct x86_segment_register){selector,
                                                        X86_SEGMENT_PRESENT | X86_SEGMENT_NOT_SYSTEM |
                                                            3 << X86_SEGMENT_DPL_SHIFT |
                                                            X86_SEGMENT_WRITABLE | X86_SEGMENT_ACCESSED,
                                                        0xffff};
    s->segment_base[segment] = (uint32_t)selector << 4;
}

void x86_segment_set_null(struct x86_state *s, enum x86_segment segment, uint16_t selector)
{
    /* SS keeps the privilege of the code that runs: 64-bit code may have a null one. */
    unsigned dpl = segment == X86_SS ? (selector & 3u) << X86_SEGMENT_DPL_SHIFT : 0;
    s->segment[segment] = (struct x86_segment_register){selector, (uint16_t)dpl, 0};
    s->segment_base[segment] = 0;
}

int x86_segment_check_stack(struct x86_core *core, uint16_t selector, unsigned cpl, unsigned vector,
                            struct x86_descriptor *d)
{
    const uint32_t error = selector & ~3u;
    if (x86_selector_null(selector))
        return x86_raise_error(core, vector, vector == X86_TS ? error : 0);
    if (x86_descriptor_read(core, selector, false, vector, d) < 0)
        return X86_RAISED;
    const unsigned attributes = x86_descriptor_attributes(d);
    if ((selector & 3u) != cpl || x86_attributes_dpl(attributes) != cpl ||
        (attributes & (X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_CODE | X86_SEGMENT_WRITABLE)) !=
            (X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_WRITABLE))
        return x86_raise_error(core, vector, error);
    if (!(attributes & X86_SEGMENT_PRESENT))
        return x86_raise_error(core, X86_SS_FAULT, error);
    return x86_descriptor_mark(core, d, X86_SEGMENT_ACCESSED);
}

static bool in_64bit_code(const struct x86_state *s)
{
    return x86_long_mode(s) && s->segment[X86_CS].attributes & X86_SEGMENT_LONG;
}

static int load_stack(struct x86_core *core, uint16_t selector)
{
    struct x86_state *s = core->state;
    const unsigned cpl = x86_cpl(s);
    struct x86_descriptor d;

    if (x86_selector_null(selector) && in_64bit_code(s) && cpl != 3 && selector == cpl) {
        x86_segment_set_null(s, X86_SS, selector);
        return 0;
    }
    if (x86_segment_check_stack(core, selector, cpl, X86_GP, &d) < 0)
        return X86_RAISED;
    x86_segment_set(s, X86_SS, selector, &d);
    return 0;
}

static int load_data(struct x86_core *core, enum x86_segment segment, uint16_t selector)
{
    struct x86_state *s = core->state;
    const uint32_t error = selector & ~3u;
    struct x86_descriptor d;

    if (x86_selector_null(selector)) {
        x86_segment_set_null(s, segment, selector);
        return 0;
    }
    if (x86_descriptor_read(core, selector, false, X86_GP, &d) < 0)
        return X86_RAISED;
    const unsigned attributes = x86_descriptor_attributes(&d), dpl = x86_attributes_dpl(attributes);
    const bool code = attributes & X86_SEGMENT_CODE;
    if (!(attributes & X86_SEGMENT_NOT_SYSTEM) || (code && !(attributes & X86_SEGMENT_READABLE)))
        return x86_raise_error(core, X86_GP, error);
    if (!(code && attributes & X86_SEGMENT_CONFORMING) && ((selector & 3u) > dpl || x86_cpl(s) > dpl))
        return x86_raise_error(core, X86_GP, error);
    if (!(attributes & X86_SEGMENT_PRESENT))
        return x86_raise_error(core, X86_NP_FAULT, error);
    if (x86_descriptor_mark(core, &d, X86_SEGMENT_ACCESSED) < 0)
        return X86_RAISED;
    x86_segment_set(s, segment, selector, &d);
    return 0;
}

int x86_segment_load(struct x86_core *core, enum x86_segment segment, uint16_t selector)
{
    struct x86_state *s = core->state;
    if (!x86_protected(s))
        x86_segment_set_real(s, segment, selector);
    else if (x86_vm86(s))
        x86_segment_set_vm86(s, segment, selector);
    else
        return segment == X86_SS ? load_stack(core, selector) : load_data(core, segment, selector);
    return 0;
}

void x86_segments_leave_inner(struct x86_state *s)
{
    static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};
    const unsigned cpl = x86_cpl(s);
    for (unsigned i = 0; i < sizeof data; i++) {
        const unsigned attributes = s->segment[data[i]].attributes;
        const bool conforming = x86_is_code(attributes) && attributes & X86_SEGMENT_CONFORMING;
        if (x86_selector_null(s->segment[data[i]].selector))
            s->segment[data[i]].selector = 0; /* FS and GS of 64-bit code have bases, though */
        else if (!conforming && x86_attributes_dpl(attributes) < cpl) /* the base stays */
            s->segment[data[i]] = (struct x86_segment_register){0};
    }
}

/* -- system segments ------------------------------------------------------------------------------------ */

static int read_system(struct x86_core *core, uint16_t selector, struct x86_descriptor *d)
{
    if (selector & SELECTOR_LOCAL)
        return x86_raise_error(core, X86_GP, selector & ~3u);
    if (x86_descriptor_read(core, selector, x86_long_mode(core->state), X86_GP, d) < 0)
        return X86_RAISED;
    if (!x86_descriptor_wide_valid(d) || !x86_canonical(x86_descriptor_base(d)))
        return x86_raise_error(core, X86_GP, selector & ~3u);
    return 0;
}

int x86_load_ldtr(struct x86_core *core, uint16_t selector)
{
    struct x86_state *s = core->state;
    struct x86_descriptor d;

    if (x86_selector_null(selector)) {
        s->ldtr = (struct x86_segment_register){.selector = selector};
        s->ldtr_base = 0;
        return 0;
    }
    if (read_system(core, selector, &d) < 0)
        return X86_RAISED;
    const unsigned attributes = x86_descriptor_attributes(&d);
    if ((attributes & (X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_TYPE)) != X86_TYPE_LDT)
        return x86_raise_error(core, X86_GP, selector & ~3u);
    if (!(attributes & X86_SEGMENT_PRESENT))
        return x86_raise_error(core, X86_NP_FAULT, selector & ~3u);
    s->ldtr = (struct x86_segment_register){selector, (uint16_t)attributes, x86_descriptor_limit(&d)};
    s->ldtr_base = x86_descriptor_base(&d);
    return 0;
}

int x86_load_tr(struct x86_core *core, uint16_t selector)
{
    struct x86_state *s = core->state;
    struct x86_descriptor d;

    if (x86_selector_null(selector))
        return x86_raise_error(core, X86_GP, 0);
    if (read_system(core, selector, &d) < 0)
        return X86_RAISED;
    unsigned attributes = x86_descriptor_attributes(&d);
    const unsigned type = attributes & (X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_TYPE);
    if (type != X86_TYPE_TSS && (type != X86_TYPE_TSS16 || x86_long_mode(s)))
        return x86_raise_error(core, X86_GP, selector & ~3u);
    if (!(attributes & X86_SEGMENT_PRESENT))
        return x86_raise_error(core, X86_NP_FAULT, selector & ~3u);
    if (x86_descriptor_mark(core, &d, X86_TYPE_TSS_BUSY & ~X86_TYPE_TSS) < 0)
        return X86_RAISED;
    attributes = x86_descriptor_attributes(&d);
    s->tr = (struct x86_segment_register){selector, (uint16_t)attributes, x86_descriptor_limit(&d)};
    s->tr_base = x86_descriptor_base(&d);
    return 0;
}
