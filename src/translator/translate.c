/* SPDX-License-Identifier: GPL-2.0-or-later */
/* translate: from guest bytes to a block in the code cache. */
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/runtime.h"

/* -- the guest's bytes --------------------------------------------------------------------------------- */

/* Those of [at, at + size) that are on the source's pages. */
static size_t copy_from_pages(const struct code_source *source, uint64_t at, uint8_t *bytes, size_t size)
{
    uint64_t base = source->pc & -GUEST_PAGE;
    size_t done = 0;
    for (unsigned i = 0; i < source->count; i++, base += GUEST_PAGE) {
        uint64_t offset = at + done - base;
        if (offset >= GUEST_PAGE)
            continue;
        size_t part = MIN(size - done, (size_t)(GUEST_PAGE - offset));
        memcpy(bytes + done, source->pages[i].bytes + offset, part);
        done += part;
    }
    return done;
}

/* At most `size` bytes; returns how many there are. */
static size_t fetch_code(const struct translator *t, const struct code_source *source, uint64_t at,
                         void *bytes, size_t size)
{
    if (source->count)
        return copy_from_pages(source, at, bytes, size);
    return t->callbacks.fetch(t->callbacks.context, at, bytes, size);
}

/* -- looking ahead ------------------------------------------------------------------------------------ */

/* The code around a region that is looked at for dead flags: it becomes part of what the block depends on,
 * and a block may depend on two pages at most. Exits to elsewhere are left to code_cache_link(). */
#define LOOK_BEHIND 512
#define LOOK_AHEAD  1024
/* How many places behind an exit are looked at, and how many bytes at each. */
#define LOOK_PLACES 8
#define LOOK_BYTES  64

struct look_ahead {
    const struct translator *translator;
    const struct code_source *source;
    unsigned mode;       /* region->mode */
    uint64_t start, end; /* the guest bytes that the block depends on so far */
    uint64_t window;     /* address of what `bytes` holds */
    size_t size;         /* of it; 0: nothing yet */
    uint8_t bytes[LOOK_BEHIND + LOOK_AHEAD];
};

static bool look_around(struct look_ahead *look)
{
    const struct translator *t = look->translator;
    if (look->size)
        return true;
    look->window = MAX(look->start - MIN(look->start, LOOK_BEHIND), ALIGN_DOWN(look->start, GUEST_PAGE));
    size_t size = look->start + LOOK_AHEAD - look->window;
    look->size = fetch_code(t, look->source, look->window, look->bytes, size);
    return look->size > 0;
}

/* Follows the code from pc on, on both sides of branches that do not read flags. */
static bool flags_dead_from(const struct look_ahead *look, uint64_t pc, uint64_t *start, uint64_t *end)
{
    uint64_t places[LOOK_PLACES] = {pc};
    unsigned known = 1;

    for (unsigned i = 0; i < known; i++) {
        struct guest_flags_path path = {.mode = look->mode};
        uint64_t offset = places[i] - look->window;
        if (offset >= look->size)
            return false;
        size_t limit = MIN(look->size - offset, (size_t)LOOK_BYTES);
        enum guest_flags_use use =
            look->translator->isa->flags_use(places[i], look->bytes + offset, limit, &path);
        if (use == GUEST_FLAGS_READ)
            return false;
        *start = MIN(*start, places[i]);
        *end = MAX(*end, places[i] + path.looked);
        for (unsigned k = 0; use == GUEST_FLAGS_PASS && k < path.count; k++) {
            bool seen = false; /* a loop that never reads them */
            for (unsigned p = 0; p < known; p++)
                seen |= places[p] == path.next[k];
            if (!seen && known == LOOK_PLACES)
                return false;
            if (!seen)
                places[known++] = path.next[k];
        }
    }
    return true;
}

/* Flags need not be stored for an exit to code that sets them before it reads them. */
static bool exit_flags_dead(void *context, uint64_t pc)
{
    struct look_ahead *look = context;
    uint64_t start = look->start, end = look->end;
    if (!look_around(look) || !flags_dead_from(look, pc, &start, &end))
        return false;
    look->start = start;
    look->end = end;
    return true;
}

/* -- translating --------------------------------------------------------------------------------------- */

/* Kernels stay where they are. */
static bool is_kernel(uint64_t pc)
{
    return pc >> 63 != 0;
}

/* Whether the code may be wanted elsewhere, too. */
static bool may_move(const struct translator *t, const struct code_source *source)
{
    return t->archive && source->count == 1 && !source->careful && !is_kernel(source->pc);
}

bool lift_region(struct translator_cpu *cpu, const struct code_source *source, unsigned max)
{
    struct translator *t = cpu->translator;
    const uint64_t pc = source->pc;
    uint8_t bytes[IR_REGION_GUEST_MAX * GUEST_INSTRUCTION_MAX];
    size_t limit = fetch_code(t, source, pc, bytes, max * t->isa->instruction_bytes);
    if (limit == 0)
        return false;
    do {
        ir_region_reset(cpu->region, pc);
        cpu->region->fp_mode = cpu->mode & IR_MODE_FP;
        cpu->region->mode = cpu->mode >> IR_MODE_SHIFT;
        cpu->region->model = t->options.model;
        cpu->region->reaches = t->options.fills && !source->careful;
        cpu->region->guarded = source->count == 2 && !source->careful;
        cpu->region->movable = may_move(t, source);
        t->isa->lift(cpu->region, pc, bytes, limit, max);
        max /= 2;
    } while (cpu->region->overflow && max > 0);
    return true;
}

static void trace_guest(const struct translator *t, const struct code_source *source,
                        const struct ir_region *region)
{
    FILE *stream = t->options.trace_stream;
    fprintf(stream, "---- region 0x%llx\n", (unsigned long long)region->guest_start);
    for (unsigned i = 0; i < region->count; i++) {
        if (region->insns[i].op != IR_INSN)
            continue;
        char text[96];
        uint8_t bytes[GUEST_INSTRUCTION_MAX] = {0};
        uint64_t pc = region->insns[i].imm;
        fetch_code(t, source, pc, bytes, sizeof bytes);
        t->isa->disassemble(region->mode, pc, bytes, text, sizeof text);
        fprintf(stream, "0x%llx:  %s\n", (unsigned long long)pc, text);
    }
}

static void trace_region(const struct translator *t, const struct code_source *source,
                         const struct ir_region *region)
{
    if (t->options.trace & TRANSLATOR_TRACE_GUEST)
        trace_guest(t, source, region);
    if (t->options.trace & TRANSLATOR_TRACE_IR)
        ir_print(t->options.trace_stream, region, t->isa->register_name);
}

/* Lifts and emits, with shorter regions while the code does not fit its workspace. */
static bool make_code(struct translator_cpu *cpu, const struct code_source *source, struct look_ahead *look)
{
    struct translator *t = cpu->translator;
    struct host_code *code = cpu->workspace;
    unsigned max = source->count == 2 ? 1 : t->options.region_max;

    look->translator = t;
    look->source = source;
    for (; max > 0; max /= 2) {
        if (!lift_region(cpu, source, max))
            return false;
        if (cpu->region->cut && source->count)
            break;
        look->mode = cpu->region->mode;
        look->start = source->pc;
        look->end = cpu->region->guest_end;
        look->size = 0;
        host_emit(t->isa, cpu->region, exit_flags_dead, look, code);
        if (!code->overflow)
            break;
    }
    return true;
}

/* -- what processes share ------------------------------------------------------------------------------- */

/* The guest's bytes in [start, end) copied. False: they are too many, or not there. */
static bool fetch_range(const struct translator *t, uint64_t start, uint64_t end, uint8_t bytes[GUEST_PAGE])
{
    size_t size = end - start;
    return size <= GUEST_PAGE && t->callbacks.fetch(t->callbacks.context, start, bytes, size) == size;
}

/* Those of unusual floating point are not worth it. */
static bool is_storable(unsigned mode)
{
    return !(mode & IR_MODE_FP);
}

/* A translation of another process that was made from what is at pc now. */
static bool find_stored(const struct translator *t, uint64_t pc, unsigned mode, struct stored_code *found)
{
    uint8_t bytes[GUEST_PAGE];
    unsigned cursor = 0;
    while (code_store_in_use(t->store) && code_store_find(t->store, pc, &cursor, found)) {
        if (found->mode == mode && (found->start ^ pc) >> GUEST_PAGE_BITS == 0 &&
            fetch_range(t, found->start, found->end, bytes) &&
            memcmp(bytes, found->guest, found->end - found->start) == 0)
            return true;
    }
    return false;
}

static struct code_parts parts_of(const struct host_code *code)
{
    return (struct code_parts){code->size,
                               code->exit_count,
                               code->restart_count,
                               code->reloc_count,
                               code->insn_count,
                               code->exits,
                               code->restarts,
                               code->relocs,
                               code->insns,
                               code->bytes,
                               code->flags_dead,
                               code->entry,
                               false};
}

/* Translates into the CPU's workspace. If the result is worth storing, `bytes` and made->guest become what it
 * was made from. */
static bool make_new(struct translator_cpu *cpu, const struct code_source *source, struct stored_code *made,
                     uint8_t bytes[GUEST_PAGE])
{
    struct translator *t = cpu->translator;
    const struct host_code *code = cpu->workspace;
    struct look_ahead look;
    if (!make_code(cpu, source, &look))
        return false;
    if (cpu->region->cut && source->count) { /* no code was made */
        *made = (struct stored_code){0};
        return true;
    }
    *made = (struct stored_code){
        .mode = cpu->mode,
        .start = look.start,
        .end = look.end,
        .code = parts_of(code),
    };
    if (bytes && code_store_in_use(t->store) && is_storable(cpu->mode) && !code->own_addresses &&
        t->callbacks.lasting && t->callbacks.lasting(t->callbacks.context, made->start, made->end) &&
        fetch_range(t, made->start, made->end, bytes))
        made->guest = bytes;
    return true;
}

static void trace_block(const struct translator_cpu *cpu, const struct code_source *source, uint32_t block)
{
    const struct translator *t = cpu->translator;
    const struct host_code *code = cpu->workspace;
    trace_region(t, source, cpu->region);
    if (t->options.trace & TRANSLATOR_TRACE_HOST)
        host_disassemble(t->options.trace_stream, t->cache->executable + t->cache->blocks[block].code,
                         code->size, (uintptr_t)t->cache->executable + t->cache->blocks[block].code);
}

/* [start, end) as what is in its first page, and in the second. */
static void split_range(uint64_t start, uint64_t end, struct code_range ranges[2])
{
    const uint64_t border = (start | (GUEST_PAGE - 1)) + 1;
    ranges[0] = (struct code_range){start, (uint32_t)(MIN(end, border) - start)};
    ranges[1] = (struct code_range){border, end > border ? (uint32_t)(end - border) : 0};
}

uint32_t translate(struct translator_cpu *cpu, uint64_t pc, enum translator_exit *exit)
{
    struct translator *t = cpu->translator;
    const struct code_source source = {.pc = pc};
    const struct block_key key = {pc, pc, NO_PAGE, cpu->mode, false};
    struct code_range ranges[2];
    struct stored_code made;
    uint8_t bytes[GUEST_PAGE];
    uint64_t seen = atomic_load(&t->invalidations);

    lock_release(&t->lock);
    bool found = is_storable(cpu->mode) && find_stored(t, pc, cpu->mode, &made);
    bool done = found || make_new(cpu, &source, &made, bytes);
    lock_take(&t->lock);

    if (!done) {
        *exit = TRANSLATOR_FETCH_FAULT;
        return NO_BLOCK;
    }
    *exit = TRANSLATOR_NONE;
    if (seen != atomic_load(&t->invalidations))
        return NO_BLOCK; /* the bytes may have changed while they were read */

    uint32_t block = code_cache_find(t->cache, &key);
    if (block != NO_BLOCK)
        return block; /* another thread was faster */

    split_range(made.start, made.end, ranges);
    block = code_cache_add(t->cache, &key, ranges, &made.code);
    if (block == NO_BLOCK) {
        *exit = TRANSLATOR_NO_MEMORY;
        return NO_BLOCK;
    }
    if (!found && made.guest)
        code_store_add(t->store, pc, &made);
    if (t->options.trace)
        trace_block(cpu, &source, block);
    return block;
}

/* -- system mode --------------------------------------------------------------------------------------- */

/* Whoever writes to these pages says so from now on. `changes`: as of now. */
static bool watch_pages(struct translator_cpu *cpu, const struct code_source *source, uint64_t changes[2])
{
    struct translator *t = cpu->translator;
    for (unsigned i = 0; i < source->count; i++) {
        const uint64_t page = source->pages[i].physical;
        struct page_entry *entry = code_cache_watch(t->cache, page);
        if (!entry)
            return false;
        changes[i] = entry->changes;
        if (!entry->live && t->callbacks.code_page)
            t->callbacks.code_page(t->callbacks.context, cpu, page, true);
    }
    return true;
}

static bool pages_unchanged(const struct code_cache *cache, const struct code_source *source,
                            const uint64_t changes[2])
{
    for (unsigned i = 0; i < source->count; i++)
        if (code_cache_changes(cache, source->pages[i].physical) != changes[i])
            return false;
    return true;
}

/* The ranges of linear addresses as physical ones. */
static void to_physical(const struct code_source *source, struct code_range ranges[2])
{
    for (unsigned i = 0; i < 2; i++)
        ranges[i].start = source->pages[i].physical | (ranges[i].start & (GUEST_PAGE - 1));
}

/* Where programs are that are at other addresses in each process: what is below is of those that are not. */
static bool is_random(uint64_t pc)
{
    return pc > UINT32_MAX && !is_kernel(pc);
}

/* Adds what has just been made. */
static uint32_t add_physical(struct translator_cpu *cpu, const struct code_source *source,
                             struct stored_code *made)
{
    struct translator *t = cpu->translator;
    const struct host_code *code = cpu->workspace;
    const uint64_t pc = source->pc;
    const bool crosses = (cpu->region->guest_end - 1) >> GUEST_PAGE_BITS != pc >> GUEST_PAGE_BITS;
    const struct block_key key = {
        .pc = pc,
        .physical = source->pages[0].physical | (pc & (GUEST_PAGE - 1)),
        .second = crosses ? source->pages[1].physical : NO_PAGE,
        .mode = cpu->mode,
        .careful = source->careful,
    };
    uint32_t block = code_cache_find(t->cache, &key);
    if (block != NO_BLOCK)
        return block; /* another thread was faster */

    struct code_range ranges[2];
    split_range(made->start, made->end, ranges);
    to_physical(source, ranges);
    made->code.passes = code->movable || is_random(pc);
    block = code_cache_add(t->cache, &key, ranges, &made->code);
    if (block != NO_BLOCK && code->movable)
        code_archive_add(t->archive, &key, ranges[0], code);
    if (block != NO_BLOCK && t->options.trace)
        trace_block(cpu, source, block);
    return block;
}

/* Adds what was translated when the page was at another address. False: it was not. */
static bool add_moved(struct translator_cpu *cpu, const struct code_source *source, uint32_t *block)
{
    struct translator *t = cpu->translator;
    struct code_range ranges[2] = {{0}};
    if (!may_move(t, source))
        return false;
    const struct block_key key = {
        .pc = source->pc,
        .physical = source->pages[0].physical | (source->pc & (GUEST_PAGE - 1)),
        .second = NO_PAGE,
        .mode = cpu->mode,
    };
    uint64_t *last;
    if (!code_archive_find(t->archive, t->isa, &key, &ranges[0], cpu->workspace, &last))
        return false;
    struct code_parts parts = parts_of(cpu->workspace);
    parts.passes = *last != source->pc; /* else it is of a process that stays */
    *block = code_cache_add(t->cache, &key, ranges, &parts);
    if (*block != NO_BLOCK)
        *last = source->pc;
    return true;
}

uint32_t translate_pages(struct translator_cpu *cpu, const struct code_source *source, bool locked,
                         enum translator_exit *exit)
{
    struct translator *t = cpu->translator;
    const uint64_t epoch = t->cache->epoch;
    struct stored_code made;
    uint64_t changes[2];

    *exit = TRANSLATOR_NO_MEMORY;
    if (!watch_pages(cpu, source, changes))
        return NO_BLOCK;
    uint32_t block;
    if (add_moved(cpu, source, &block)) {
        if (block != NO_BLOCK)
            *exit = TRANSLATOR_NONE;
        return block;
    }
    if (!locked)
        lock_release(&t->lock);
    make_new(cpu, source, &made, NULL);
    if (!locked)
        lock_take(&t->lock);

    *exit = cpu->region->cut ? TRANSLATOR_FETCH_FAULT : TRANSLATOR_NONE;
    if (cpu->region->cut || epoch != t->cache->epoch || !pages_unchanged(t->cache, source, changes))
        return NO_BLOCK;
    block = add_physical(cpu, source, &made);
    if (block == NO_BLOCK)
        *exit = TRANSLATOR_NO_MEMORY;
    return block;
}
