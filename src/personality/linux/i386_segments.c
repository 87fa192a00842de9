/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i386 segments: descriptors of 32-bit x86 programs. The global table has the kernel's segments for programs
 * and three that each thread sets for itself, of which C libraries use one for thread-local storage; the
 * local table is one of the address space. Neither is in the guest's memory: the processor's accesses to
 * them, at linear addresses that only it uses, end here.
 */
#include <asm/ldt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/segment.h"
#include "base/macros.h"
#include "personality/linux/i386.h"
#include "personality/linux/memory.h"
#include "personality/linux/syscalls.h"

/* Where the tables are to the processor. */
enum { GLOBAL_TABLE = 0, GLOBAL_ENTRIES = 16, LOCAL_TABLE = 0x10000 };

enum { FIRST_THREAD_ENTRY = 12, ENTRY_CS32 = 4, ENTRY_DS = 5, ENTRY_CS64 = 6 };
_Static_assert(ARRAY_SIZE(((struct linux_thread *)0)->descriptors) == 3, "as the kernel has them");

struct linux_local_table {
    _Atomic uint64_t entries[LDT_ENTRIES];
};

/* -- the processor's view ------------------------------------------------------------------------------ */

static uint64_t global_entry(const struct linux_thread *thread, uint64_t index)
{
    switch (index) {
    case ENTRY_CS32: return 0x00cffb000000ffff;
    case ENTRY_DS: return 0x00cff3000000ffff;
    case ENTRY_CS64: return 0x00affb000000ffff;
    default:
        return index - FIRST_THREAD_ENTRY < ARRAY_SIZE(thread->descriptors)
                   ? thread->descriptors[index - FIRST_THREAD_ENTRY]
                   : 0;
    }
}

int i386_read_table(struct x86_core *core, uint64_t linear, void *buffer, unsigned size)
{
    const struct linux_thread *thread = core->owner;
    const struct linux_local_table *local = thread->process->space->local_table;
    uint64_t entry = 0;

    if (linear < GLOBAL_TABLE + GLOBAL_ENTRIES * sizeof entry)
        entry = global_entry(thread, linear / sizeof entry);
    else if (local && linear - LOCAL_TABLE < sizeof local->entries)
        entry = local->entries[(linear - LOCAL_TABLE) / sizeof entry];
    memset(buffer, 0, size);
    memcpy(buffer, (const uint8_t *)&entry + linear % sizeof entry,
           MIN(size, (unsigned)(sizeof entry - linear % sizeof entry)));
    return 0;
}

void i386_set_tables(struct x86_state *state)
{
    state->gdtr = (struct x86_table_register){GLOBAL_TABLE, GLOBAL_ENTRIES * 8 - 1};
    state->ldtr = (struct x86_segment_register){
        .selector = 0x48, .attributes = X86_SEGMENT_PRESENT | X86_TYPE_LDT, .limit = LDT_ENTRIES * 8 - 1};
    state->ldtr_base = LOCAL_TABLE;
}

void i386_update_mode(struct x86_cpu *cpu)
{
    const struct x86_state *s = &cpu->state;
    const uint64_t bases =
        s->segment_base[X86_CS] | s->segment_base[X86_SS] | s->segment_base[X86_DS] | s->segment_base[X86_ES];
    cpu->mode = x86_code_of(s);
    if (cpu->mode != X86_CODE_64 && !(s->segment[X86_SS].attributes & X86_SEGMENT_BIG))
        cpu->mode |= X86_MODE_STACK16;
    if (cpu->mode != X86_CODE_64 && bases)
        cpu->mode |= X86_MODE_SEGMENTED;
    x86_update_exact_mode(cpu);
}

/* -- loads that the kernel makes ----------------------------------------------------------------------- */

static int read_system(struct x86_core *core, uint64_t linear, void *buffer, unsigned size, bool system)
{
    (void)system;
    return i386_read_table(core, linear, buffer, size);
}

static int write_system(struct x86_core *core, uint64_t linear, const void *buffer, unsigned size,
                        bool system)
{
    (void)core, (void)linear, (void)buffer, (void)size, (void)system;
    return 0;
}

static bool load_code(struct x86_core *core, uint16_t selector)
{
    struct x86_descriptor d;
    if (x86_descriptor_read(core, selector, false, X86_GP, &d) < 0)
        return false;
    const unsigned attributes = x86_descriptor_attributes(&d);
    if (!x86_is_code(attributes) || !(attributes & X86_SEGMENT_PRESENT) ||
        x86_attributes_dpl(attributes) != 3)
        return false;
    x86_segment_set(core->state, X86_CS, selector, &d);
    return true;
}

bool i386_load_segment(struct linux_thread *thread, enum x86_segment segment, uint16_t selector)
{
    static const struct x86_linear linear = {read_system, write_system};
    struct x86_cpu *cpu = amd64_cpu(thread->cpu);
    struct x86_core core = {.state = &cpu->state, .linear = &linear, .owner = thread};
    bool done;

    if (segment == X86_CS)
        done = !x86_selector_null(selector) && load_code(&core, selector);
    else
        done = x86_segment_load(&core, segment, selector) == 0;
    if (!done && segment != X86_CS && segment != X86_SS)
        x86_segment_set_null(&cpu->state, segment, 0);
    i386_update_mode(cpu);
    return done;
}

/* A descriptor has changed: the registers with its selector have it at once, as after the kernel's return. */
static void reload(struct linux_thread *thread, uint16_t selector)
{
    static const enum x86_segment data[] = {X86_DS, X86_ES, X86_FS, X86_GS};
    const struct x86_state *state = &amd64_cpu(thread->cpu)->state;
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        if (state->segment[data[i]].selector == selector)
            i386_load_segment(thread, data[i], selector);
    }
}

/* -- struct user_desc ---------------------------------------------------------------------------------- */

static bool is_empty(const struct user_desc *desc)
{
    const bool by_flags = !desc->base_addr && !desc->limit && !desc->contents && desc->read_exec_only &&
                          !desc->seg_32bit && !desc->limit_in_pages && desc->seg_not_present &&
                          !desc->useable;
    const bool all_zero = !desc->base_addr && !desc->limit && !desc->contents && !desc->read_exec_only &&
                          !desc->seg_32bit && !desc->limit_in_pages && !desc->seg_not_present &&
                          !desc->useable;
    return by_flags || all_zero;
}

static uint64_t descriptor_of(const struct user_desc *desc)
{
    const uint64_t type = (desc->read_exec_only ? 0u : 2u) | desc->contents << 2 | X86_SEGMENT_ACCESSED;
    const uint64_t attributes = type | X86_SEGMENT_NOT_SYSTEM | 3u << X86_SEGMENT_DPL_SHIFT |
                                (desc->seg_not_present ? 0u : X86_SEGMENT_PRESENT) |
                                (desc->useable ? 1u << 12 : 0u) | (desc->seg_32bit ? X86_SEGMENT_BIG : 0u) |
                                (desc->limit_in_pages ? X86_SEGMENT_GRANULAR : 0u);
    const uint64_t base = desc->base_addr, limit = desc->limit;
    return (limit & 0xffff) | (base & 0xffffff) << 16 | attributes << 40 | (limit >> 16 & 15) << 48 |
           base >> 24 << 56;
}

static void user_desc_of(uint64_t descriptor, struct user_desc *desc)
{
    const struct x86_descriptor d = {.low = descriptor};
    const unsigned attributes = x86_descriptor_attributes(&d);
    desc->base_addr = (unsigned)x86_descriptor_base(&d);
    desc->limit = (unsigned)((descriptor & 0xffff) | (descriptor >> 48 & 15) << 16);
    desc->seg_32bit = !!(attributes & X86_SEGMENT_BIG);
    desc->contents = attributes >> 2 & 3;
    desc->read_exec_only = !(attributes & X86_SEGMENT_WRITABLE);
    desc->limit_in_pages = !!(attributes & X86_SEGMENT_GRANULAR);
    desc->seg_not_present = !(attributes & X86_SEGMENT_PRESENT);
    desc->useable = !!(attributes & 1u << 12);
}

/* For a thread's own entries: nothing of 16 bits, no code. */
static bool is_allowed(const struct user_desc *desc)
{
    return is_empty(desc) || (desc->seg_32bit && desc->contents <= 1 && !desc->seg_not_present);
}

static int check_desc(const struct user_desc *desc)
{
    const unsigned index = desc->entry_number - FIRST_THREAD_ENTRY;
    return is_allowed(desc) && index < ARRAY_SIZE(((struct linux_thread *)0)->descriptors) ? 0 : -EINVAL;
}

static void set_entry(struct linux_thread *thread, const struct user_desc *desc)
{
    thread->descriptors[desc->entry_number - FIRST_THREAD_ENTRY] = is_empty(desc) ? 0 : descriptor_of(desc);
    reload(thread, (uint16_t)(desc->entry_number << 3 | 3));
}

int i386_check_thread_pointer(uint64_t value)
{
    struct user_desc desc;
    return guest_read(&desc, value, sizeof desc) < 0 ? -EFAULT : check_desc(&desc);
}

/* What has been checked may have changed. */
void i386_set_thread_pointer(struct translator_cpu *cpu, uint64_t value)
{
    struct user_desc desc;
    if (guest_read(&desc, value, sizeof desc) == 0 && check_desc(&desc) == 0)
        set_entry(cpu->owner, &desc);
}

/* -- the calls ----------------------------------------------------------------------------------------- */

int64_t linux_i386_set_thread_area(struct linux_thread *thread, const uint64_t a[6])
{
    struct user_desc desc;
    if (guest_read(&desc, a[0], sizeof desc) < 0)
        return -EFAULT;
    if (!is_allowed(&desc))
        return -EINVAL;
    if (desc.entry_number == (unsigned)-1) {
        unsigned index = 0;
        while (index < ARRAY_SIZE(thread->descriptors) && thread->descriptors[index])
            index++;
        if (index == ARRAY_SIZE(thread->descriptors))
            return -ESRCH;
        desc.entry_number = FIRST_THREAD_ENTRY + index;
        if (guest_write(a[0], &desc.entry_number, sizeof desc.entry_number) < 0)
            return -EFAULT;
    }
    const int code = check_desc(&desc);
    if (code == 0)
        set_entry(thread, &desc);
    return code;
}

int64_t linux_i386_get_thread_area(struct linux_thread *thread, const uint64_t a[6])
{
    struct user_desc desc = {0};
    unsigned number;
    if (guest_read(&number, a[0], sizeof number) < 0)
        return -EFAULT;
    if (number - FIRST_THREAD_ENTRY >= ARRAY_SIZE(thread->descriptors))
        return -EINVAL;
    desc.entry_number = number;
    user_desc_of(thread->descriptors[number - FIRST_THREAD_ENTRY], &desc);
    return guest_write(a[0], &desc, sizeof desc);
}

static int64_t read_local_table(const struct linux_process *space, uint64_t address, uint64_t size)
{
    size = MIN(size, (uint64_t)LDT_ENTRIES * LDT_ENTRY_SIZE);
    if (!space->local_table)
        return 0;
    for (uint64_t at = 0; at < size; at += LDT_ENTRY_SIZE) {
        const uint64_t entry = space->local_table->entries[at / LDT_ENTRY_SIZE];
        if (guest_write(address + at, &entry, MIN((size_t)(size - at), sizeof entry)) < 0)
            return -EFAULT;
    }
    return (int64_t)size;
}

static int make_local_table(struct linux_process *space)
{
    int code = 0;
    linux_memory_lock(space);
    if (!space->local_table && !(space->local_table = calloc(1, sizeof *space->local_table)))
        code = -ENOMEM;
    linux_memory_unlock(space);
    return code;
}

/* Other threads see the change when they load the selector the next time. */
static int64_t write_local_table(struct linux_thread *thread, uint64_t address, uint64_t size, bool old)
{
    struct linux_process *space = thread->process->space;
    struct user_desc desc;

    if (size != sizeof desc)
        return -EINVAL;
    if (guest_read(&desc, address, sizeof desc) < 0)
        return -EFAULT;
    if (desc.entry_number >= LDT_ENTRIES ||
        (desc.contents == MODIFY_LDT_CONTENTS_CODE + 1 && (old || !desc.seg_not_present)))
        return -EINVAL;
    if (make_local_table(space) < 0)
        return -ENOMEM;
    const bool clears = (old && !desc.base_addr && !desc.limit) || is_empty(&desc);
    if (old)
        desc.useable = 0;
    space->local_table->entries[desc.entry_number] = clears ? 0 : descriptor_of(&desc);
    reload(thread, (uint16_t)(desc.entry_number << 3 | 7));
    return 0;
}

int64_t linux_i386_modify_ldt(struct linux_thread *thread, const uint64_t a[6])
{
    switch ((int)a[0]) {
    case 0: return read_local_table(thread->process->space, a[1], a[2]);
    case 1: return write_local_table(thread, a[1], a[2], true);
    case 0x11: return write_local_table(thread, a[1], a[2], false);
    default: return -ENOSYS;
    }
}
