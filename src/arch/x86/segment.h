/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * segment: descriptors and segment registers. Intel SDM volume 3, chapters 3.4, 3.5, 5.
 */
#ifndef VISOR_ARCH_X86_SEGMENT_H
#define VISOR_ARCH_X86_SEGMENT_H

#include "arch/x86/core.h"

/* x86_segment_register.attributes and the same bits of a descriptor. */
enum {
    X86_SEGMENT_ACCESSED = 1 << 0,
    X86_SEGMENT_WRITABLE = 1 << 1,     /* data */
    X86_SEGMENT_READABLE = 1 << 1,     /* code */
    X86_SEGMENT_EXPANDS_DOWN = 1 << 2, /* data */
    X86_SEGMENT_CONFORMING = 1 << 2,   /* code */
    X86_SEGMENT_CODE = 1 << 3,
    X86_SEGMENT_TYPE = 15,
    X86_SEGMENT_NOT_SYSTEM = 1 << 4,
    X86_SEGMENT_DPL_SHIFT = 5,
    X86_SEGMENT_PRESENT = 1 << 7,
    X86_SEGMENT_LONG = 1 << 13,
    X86_SEGMENT_BIG = 1 << 14, /* D or B */
    X86_SEGMENT_GRANULAR = 1 << 15,
};

/* Types of system descriptors: table 3-2. */
enum {
    X86_TYPE_TSS16 = 1,
    X86_TYPE_LDT = 2,
    X86_TYPE_TSS16_BUSY = 3,
    X86_TYPE_CALL_GATE16 = 4,
    X86_TYPE_TASK_GATE = 5,
    X86_TYPE_INTERRUPT_GATE16 = 6,
    X86_TYPE_TRAP_GATE16 = 7,
    X86_TYPE_TSS = 9,
    X86_TYPE_TSS_BUSY = 11,
    X86_TYPE_CALL_GATE = 12,
    X86_TYPE_INTERRUPT_GATE = 14,
    X86_TYPE_TRAP_GATE = 15,
};

struct x86_descriptor {
    uint64_t low;     /* the eight bytes that all have */
    uint64_t high;    /* of those of 16 bytes: the base's or offset's upper part, and zeros */
    uint64_t address; /* linear, of the descriptor */
};

static inline unsigned x86_descriptor_attributes(const struct x86_descriptor *d)
{
    return d->low >> 40 & 0xf0ff;
}

static inline unsigned x86_attributes_dpl(unsigned attributes)
{
    return attributes >> X86_SEGMENT_DPL_SHIFT & 3;
}

static inline bool x86_is_code(unsigned attributes)
{
    return (attributes & (X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_CODE)) ==
           (X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_CODE);
}

/* No segment: 0 to 3. */
static inline bool x86_selector_null(uint16_t selector)
{
    return (selector & ~3u) == 0;
}

/* One of 16 bytes whose second half is not the first of another. */
static inline bool x86_descriptor_wide_valid(const struct x86_descriptor *d)
{
    return (d->high >> 40 & 0x1f) == 0;
}

/* Limits of such a data segment are the lower ends of what it has. */
static inline bool x86_segment_expands_down(const struct x86_segment_register *r)
{
    return !(r->attributes & X86_SEGMENT_CODE) && r->attributes & X86_SEGMENT_EXPANDS_DOWN;
}

/* Whether `size` bytes may be accessed by a segment: volume 3, 5.3, 5.4. Not of 64-bit code. */
bool x86_segment_allows(const struct x86_state *s, enum x86_segment segment, uint64_t offset, unsigned size,
                        bool write);

uint64_t x86_descriptor_base(const struct x86_descriptor *d);
uint32_t x86_descriptor_limit(const struct x86_descriptor *d);

/* The descriptor of a selector that is not null; exception `vector` with the selector as error code if its
 * table ends before. `wide`: a system descriptor of 16 bytes. */
int x86_descriptor_read(struct x86_core *core, uint16_t selector, bool wide, unsigned vector,
                        struct x86_descriptor *d);
/* Sets bits of the byte with the type in memory: accessed, busy; and in *d. */
int x86_descriptor_mark(struct x86_core *core, struct x86_descriptor *d, unsigned bits);

/* Puts a checked descriptor into a segment register. */
void x86_segment_set(struct x86_state *s, enum x86_segment segment, uint16_t selector,
                     const struct x86_descriptor *d);
/* As real-address mode does; limit and attributes stay but those that it gives CS. */
void x86_segment_set_real(struct x86_state *s, enum x86_segment segment, uint16_t selector);
/* As virtual-8086 mode does. */
void x86_segment_set_vm86(struct x86_state *s, enum x86_segment segment, uint16_t selector);
/* A selector that names nothing. */
void x86_segment_set_null(struct x86_state *s, enum x86_segment segment, uint16_t selector);

/* MOV, POP, LES and the like, to all but CS. */
int x86_segment_load(struct x86_core *core, enum x86_segment segment, uint16_t selector);
/* The checks of a stack segment for privilege `cpl`; `vector` is raised for what SS rejects but absence,
 * which is #SS: #GP, or #TS when it comes from a TSS. *d has been marked. */
int x86_segment_check_stack(struct x86_core *core, uint16_t selector, unsigned cpl, unsigned vector,
                            struct x86_descriptor *d);

int x86_load_ldtr(struct x86_core *core, uint16_t selector);
int x86_load_tr(struct x86_core *core, uint16_t selector);

/* After a return to an outer privilege: data segments that are not its any more become null. */
void x86_segments_leave_inner(struct x86_state *s);

#endif
