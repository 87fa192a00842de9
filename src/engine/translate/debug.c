/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debug: breakpoints and watchpoints, the guest's own in DR0 to DR7 (Intel SDM volume 3, chapter 17) and the
 * debugger's.
 *
 * Neither costs anything elsewhere: code on a page with a breakpoint is fetched instruction by instruction,
 * and engine_locate() sees each; a page with a watchpoint is in no TLB, so that the memory function sees each
 * access. One that hits is refused, and its instruction executed by itself, with the trap behind it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "engine/translate/private.h"

enum { DR7_ENABLED = 0xff, DR_COUNT = 4, DR_EXECUTE = 0, DR_WRITE = 1, DR_PORT = 2, DR_ACCESS = 3 };

/* By the length field of DR7. */
static const uint8_t lengths[] = {1, 2, 8, 4};

/* Of a breakpoint: length and kind. */
static unsigned control_of(const struct x86_state *s, unsigned i)
{
    return (unsigned)(s->dr[7] >> (16 + 4 * i)) & 15;
}

static bool is_enabled(const struct x86_state *s, unsigned i)
{
    return s->dr[7] >> 2 * i & 3;
}

static bool same_page(uint64_t a, uint64_t b)
{
    return tlb_page(a) == tlb_page(b);
}

/* -- lists ----------------------------------------------------------------------------------------------- */

static void add_point(struct engine_vcpu *v, struct engine_point point)
{
    if (point.length)
        v->watches[v->watch_count++] = point;
    else
        v->breaks[v->break_count++] = point;
}

static void add_registers(struct engine_vcpu *v)
{
    const struct x86_state *s = engine_state(v);
    for (unsigned i = 0; i < DR_COUNT; i++) {
        const unsigned control = control_of(s, i), kind = control & 3;
        if (!is_enabled(s, i) || kind == DR_PORT)
            continue;
        const unsigned length = kind == DR_EXECUTE ? 0 : lengths[control >> 2];
        add_point(v, (struct engine_point){.address = length ? s->dr[i] & ~(uint64_t)(length - 1) : s->dr[i],
                                           .length = length,
                                           .writes = true,
                                           .reads = kind == DR_ACCESS,
                                           .hit = 1u << i});
    }
}

static void add_debugger(struct engine_vcpu *v)
{
    for (unsigned i = 0; i < v->debug.count; i++) {
        const struct engine_breakpoint *b = &v->debug.breakpoints[i];
        add_point(v, (struct engine_point){.address = b->address,
                                           .length = b->kind == ENGINE_BREAK_EXECUTE ? 0 : b->length,
                                           .writes = b->kind != ENGINE_BREAK_READ,
                                           .reads = b->kind != ENGINE_BREAK_WRITE,
                                           .hit = ENGINE_HIT_DEBUGGER,
                                           .debugger = b});
    }
}

static void make_lists(struct engine_vcpu *v)
{
    const struct x86_state *s = engine_state(v);
    v->break_count = v->watch_count = 0;
    memcpy(v->known_dr, s->dr, sizeof v->known_dr);
    add_registers(v);
    add_debugger(v);
    engine_tlb_flush(v);
}

void engine_debug_check(struct engine_vcpu *v)
{
    const struct x86_state *s = engine_state(v);
    if (s->dr[7] == v->known_dr[7] &&
        (!(s->dr[7] & DR7_ENABLED) || memcmp(s->dr, v->known_dr, DR_COUNT * sizeof s->dr[0]) == 0))
        return;
    make_lists(v);
}

int engine_set_debug(struct engine_vcpu *v, const struct engine_debug *debug, struct error *error)
{
    const unsigned most = debug->count + DR_COUNT;
    struct engine_breakpoint *copy = calloc(debug->count + 1, sizeof *copy);
    struct engine_point *breaks = calloc(most, sizeof *breaks), *watches = calloc(most, sizeof *watches);
    if (!copy || !breaks || !watches) {
        free(copy);
        free(breaks);
        free(watches);
        return error_set(error, -ENOMEM, "cannot set breakpoints: out of memory");
    }
    if (debug->count)
        memcpy(copy, debug->breakpoints, debug->count * sizeof *copy);
    engine_debug_free(v);
    v->breakpoints = copy;
    v->breaks = breaks;
    v->watches = watches;
    v->debug = *debug;
    v->debug.breakpoints = copy;
    v->noted = v->debug_hit = NULL;
    make_lists(v);
    return 0;
}

void engine_debug_free(struct engine_vcpu *v)
{
    free(v->breakpoints);
    free(v->breaks);
    free(v->watches);
}

/* -- looking --------------------------------------------------------------------------------------------- */

bool engine_page_has_breaks(const struct engine_vcpu *v, uint64_t linear)
{
    for (unsigned i = 0; i < v->break_count; i++)
        if (same_page(v->breaks[i].address, linear))
            return true;
    return false;
}

bool engine_page_is_watched(const struct engine_vcpu *v, uint64_t linear)
{
    for (unsigned i = 0; i < v->watch_count; i++)
        if (same_page(v->watches[i].address, linear) ||
            same_page(v->watches[i].address + v->watches[i].length - 1, linear))
            return true;
    return false;
}

static unsigned note(struct engine_vcpu *v, const struct engine_point *point)
{
    if (point->hit == ENGINE_HIT_DEBUGGER)
        v->noted = point->debugger;
    return point->hit;
}

unsigned engine_break_hits(struct engine_vcpu *v, uint64_t pc)
{
    const struct x86_state *s = engine_state(v);
    const bool resumes = s->eflags_system & X86_EFLAGS_RF || s->interrupt_shadow == X86_SHADOW_STACK;
    unsigned hits = 0;
    for (unsigned i = 0; i < v->break_count; i++)
        if (v->breaks[i].address == pc && (v->breaks[i].hit == ENGINE_HIT_DEBUGGER ? !v->resumed : !resumes))
            hits |= note(v, &v->breaks[i]);
    return hits;
}

unsigned engine_watch_hits(struct engine_vcpu *v, uint64_t linear, unsigned size, bool write)
{
    unsigned hits = 0;
    for (unsigned i = 0; i < v->watch_count; i++) {
        const struct engine_point *w = &v->watches[i];
        if ((write ? w->writes : w->reads) && linear < w->address + w->length && w->address < linear + size)
            hits |= note(v, w);
    }
    return hits;
}

unsigned engine_port_hits(const struct engine_vcpu *v, unsigned port, unsigned size)
{
    const struct x86_state *s = engine_state(v);
    unsigned hits = 0;

    if (!(s->dr[7] & DR7_ENABLED) || !(s->cr4 & X86_CR4_DE))
        return 0;
    for (unsigned i = 0; i < DR_COUNT; i++) {
        const unsigned control = control_of(s, i), length = lengths[control >> 2];
        const uint64_t first = s->dr[i] & ~(uint64_t)(length - 1);
        if (is_enabled(s, i) && (control & 3) == DR_PORT && port < first + length && first < port + size)
            hits |= 1u << i;
    }
    return hits;
}
