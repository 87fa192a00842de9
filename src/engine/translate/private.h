/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * private: what the files of the engine `translate` share.
 *
 * A vCPU's registers are in `cpu->x86.state` whenever generated code does not run; `x86.pc`, the linear
 * address that generated code counts in, is right whenever it is about to, and state.rip whenever arch/x86
 * is: see engine_to_rip() and engine_from_rip().
 */
#ifndef VISOR_ENGINE_TRANSLATE_PRIVATE_H
#define VISOR_ENGINE_TRANSLATE_PRIVATE_H

#include <signal.h>

#include "arch/x86/emulate.h"
#include "arch/x86/interrupt.h"
#include "engine/doorbell.h"
#include "engine/engine.h"
#include "translator/guest/x86/x86.h"
#include "translator/tlb.h"
#include "translator/translator.h"

/* A pending flush of what a vCPU has cached of the memory map, asked for by others. */
enum engine_request {
    ENGINE_REQUEST_STOP = 1 << 0,
    ENGINE_REQUEST_FLUSH = 1 << 1, /* the memory map has changed */
    ENGINE_REQUEST_CODE = 1 << 2,  /* pages have become code */
};

/* What the translator takes for the physical address of code, and tlb_entry.physical: in the machine's RAM
 * the offset in its backing, so that writers by whatever way can tell it; elsewhere the physical address with
 * OTHER. */
#define ENGINE_KEY_OTHER (1ull << 62)
#define ENGINE_KEY_ALL   UINT64_MAX /* no page */

/* Bits of engine_machine.trace: those of enum translator_trace, and for tests the interpreter instead of host
 * code. */
enum {
    ENGINE_TRACE_TRANSLATOR = TRANSLATOR_TRACE_GUEST | TRANSLATOR_TRACE_IR | TRANSLATOR_TRACE_HOST,
    ENGINE_INTERPRET = 1 << 8,
};

/* Beyond the lengths of instructions in the payload of TRANSLATOR_EMULATE: see engine_step_update(). */
#define ENGINE_PAYLOAD_UPDATE 0x100
#define ENGINE_PAYLOAD_WATCH  0x101 /* it hits a watchpoint */
#define ENGINE_PAYLOAD_BREAK  0x102 /* it has a breakpoint: v->hits */

enum { FETCH_BITS = 6, FETCH_SIZE = 1 << FETCH_BITS, FILLED_MOST = 256 };
#define LARGE_SIZE (UINT64_C(2) << 20)

/* A page that code may be fetched from. */
struct engine_fetch {
    uint64_t page; /* linear, or TLB_NONE */
    uint64_t key;
    const uint8_t *host;
    bool global;
};

/* In tlb_entry.physical, of which the low bits are free. */
#define ENGINE_ENTRY_GLOBAL 1u

/* Where entries of a TLB that are not global may be: to take them out nobody need look elsewhere. */
struct engine_filled {
    unsigned count; /* beyond FILLED_MOST: anywhere */
    uint16_t index[FILLED_MOST];
};

/* Entries of a space that is not current. */
struct engine_saved {
    unsigned count;
    uint16_t index[FILLED_MOST];
    struct tlb_entry entries[FILLED_MOST];
};

enum { ENGINE_SPACES = 8 };

struct engine_space {
    uint64_t used; /* when it became current last; 0: it is nobody's */
    uint16_t pcid;
    struct engine_saved saved[X86_TLB_COUNT];
};

/* Where a linear address leads. */
struct engine_target {
    uint64_t physical, key;
    uint8_t *host;                  /* NULL: a device's, or nothing's */
    struct memory_backing *backing; /* of memory */
    uint64_t backing_offset;
    bool writable; /* memory that can be written */
    bool whole;    /* all of the page is */
    bool lapic;    /* the vCPU's own local APIC */
};

static inline _Atomic uint8_t *engine_page_flags(const struct engine_target *target)
{
    return &target->backing->page_flags[target->backing_offset >> MEMORY_PAGE_SHIFT];
}

/* A breakpoint or watchpoint. */
struct engine_point {
    uint64_t address;
    unsigned length; /* 0: of code */
    bool writes, reads;
    unsigned hit;                             /* DR6's bit, or: */
    const struct engine_breakpoint *debugger; /* the debugger's, with ENGINE_HIT_DEBUGGER */
};
#define ENGINE_HIT_DEBUGGER (1u << 31)

struct engine_vm {
    struct engine_machine machine; /* a copy */
    struct translator *translator;
    struct memory_listener listener;
    struct engine_vcpu *_Atomic *vcpus; /* owned; by index, NULL: none yet */
    bool counters_moved;                /* by the guest, one of them; under the machine's lock */
    /* Owned: of each page of pinned RAM the checksum when code was last fetched from it, 0: never. NULL: the
     * RAM is not pinned. */
    _Atomic uint32_t *fetched;
};

struct engine_vcpu {
    struct engine_vm *vm;
    unsigned index;
    struct x86_system_cpu *cpu;
    struct lapic *lapic;
    struct x86_core core;
    struct x86_platform platform;
    struct memory_reader reader;

    /* What of the registers decides how addresses are translated, as of the last flush. */
    struct x86_paging paging;
    bool stepping;                            /* EFLAGS.TF was set when the instruction began */
    bool wide;                                /* 64-bit code: addresses must be canonical */
    struct x86_exception fault;               /* what the memory function and fetches have run into */
    struct engine_fetch fetch[2][FETCH_SIZE]; /* of supervisor and user */
    struct engine_filled filled[X86_TLB_COUNT];
    struct engine_space spaces[ENGINE_SPACES];
    unsigned space; /* the current one */
    uint64_t space_clock;
    /* Hashed: where entries come from pages of 2 MiB, and of other sizes. INVLPG forgets all of such a page.
     */
    uint64_t large[32], huge;
    const struct memory_range *range; /* where something was found last; until the reader passes */

    /* An UPDATE that generated code cannot do is done again by the interpreter, on this copy if the memory is
     * a device's or on two pages. */
    bool updating;
    union vector128 update;
    uint64_t update_address; /* linear */
    uint8_t update_size;     /* bytes; 0: there was none */

    unsigned pauses; /* how many PAUSEs it has executed */

    _Atomic uint32_t requests;
    struct doorbell bell;
    void *signal_stack;          /* owned */
    stack_t signal_stack_before; /* of the thread, while it runs this vCPU */

    struct engine_debug debug;
    struct engine_breakpoint *breakpoints; /* owned: debug.breakpoints */
    struct engine_point *breaks, *watches; /* owned: the debugger's and those of the debug registers, */
    unsigned break_count, watch_count;
    uint64_t known_dr[8]; /* as they were when the lists were made */
    bool resumed;         /* the debugger's breakpoint at pc was reported; the instruction is executed now */
    bool watching;        /* an instruction is executed by itself: watchpoints are noted in hits */
    bool blocked;         /* it was MOV to SS or the like: traps wait */
    unsigned hits;        /* of struct engine_point; become a trap when the instruction is done */
    const struct engine_breakpoint *noted;     /* the last of the debugger's among them */
    const struct engine_breakpoint *debug_hit; /* that ENGINE_DEBUG is for; NULL: a step */
};

static inline struct x86_state *engine_state(const struct engine_vcpu *v)
{
    return &v->cpu->x86.state;
}

/* -- mmu.c ----------------------------------------------------------------------------------------------- */

/* The TLBs. */
enum engine_tlb {
    ENGINE_TLB_USER = X86_TLB_USER,
    ENGINE_TLB_SYSTEM = X86_TLB_SYSTEM,     /* user pages are out of reach if CR4.SMAP says so */
    ENGINE_TLB_EXPLICIT = X86_TLB_EXPLICIT, /* EFLAGS.AC lets the program reach them */
};

/* Takes over CR0, CR3, CR4 and EFER, and forgets translations accordingly. */
void engine_paging_flush(struct engine_vcpu *v, enum x86_flush what, uint64_t linear);
/* After the registers changed in an unknown way: flushes if it matters. */
void engine_paging_check(struct engine_vcpu *v);
/* Forgets whatever comes of the memory map. */
void engine_tlb_flush(struct engine_vcpu *v);

/* Translates, with the page's rights checked and its bits set, and fills the TLB. False: v->fault. */
bool engine_reach(struct engine_vcpu *v, enum engine_tlb tlb, uint64_t linear, bool write,
                  struct engine_target *target);
/* The page of code at a linear address, at the CPU's privilege. NULL: v->fault. */
const struct engine_fetch *engine_fetch(struct engine_vcpu *v, uint64_t linear);
/* The translator's callbacks. */
bool engine_locate(struct translator_cpu *cpu, uint64_t pc, struct code_page *out);
void engine_code_page(void *context, struct translator_cpu *cpu, uint64_t key, bool has_code);
/* Serves ENGINE_REQUEST_CODE. `in_block`: the block that is running may go on to store by what it has looked
 * up: the TLB's entries stay, so that this is done again behind it. */
void engine_code_flush(struct engine_vcpu *v, bool in_block);
/* For the debugger: no bits are set, nothing is filled. */
bool engine_reach_silently(struct engine_vcpu *v, uint64_t linear, uint64_t *physical);

/* Of the program that runs. */
static inline enum engine_tlb engine_tlb_of(const struct engine_vcpu *v)
{
    return (enum engine_tlb)x86_mode_tlb((unsigned)v->cpu->x86.mode);
}

/* -- spaces.c -------------------------------------------------------------------------------------------- */

/* The space of a PCID is current from now on; `keep`: with what it had when it was last. */
void engine_space_enter(struct engine_vcpu *v, unsigned pcid, bool keep);
/* What is not global is forgotten: of the current space, of a PCID, of all but the current one, which is that
 * PCID's from now on. */
void engine_space_flush(struct engine_vcpu *v);
void engine_space_forget(struct engine_vcpu *v, unsigned pcid);
void engine_spaces_forget(struct engine_vcpu *v, unsigned pcid);

/* -- access.c -------------------------------------------------------------------------------------------- */

bool engine_memory(struct translator_cpu *cpu, struct memory_access *access);
extern const struct x86_linear engine_linear;
/* An instruction whose UPDATE generated code cannot do. */
enum translator_exit engine_step_update(struct engine_vcpu *v);

/* -- mode.c ---------------------------------------------------------------------------------------------- */

/* The CPU's mode and everything else that follows from its registers, before it goes on. */
void engine_update_mode(struct engine_vcpu *v);
void engine_to_rip(struct engine_vcpu *v);
void engine_from_rip(struct engine_vcpu *v);

/* -- debug.c --------------------------------------------------------------------------------------------- */

int engine_set_debug(struct engine_vcpu *v, const struct engine_debug *debug, struct error *error);
void engine_debug_free(struct engine_vcpu *v);
/* The debug registers may be new. */
void engine_debug_check(struct engine_vcpu *v);
bool engine_page_has_breaks(const struct engine_vcpu *v, uint64_t linear);
bool engine_page_is_watched(const struct engine_vcpu *v, uint64_t linear);
/* What stops the instruction at pc; what an access hits, of memory and of ports. */
unsigned engine_break_hits(struct engine_vcpu *v, uint64_t pc);
unsigned engine_watch_hits(struct engine_vcpu *v, uint64_t linear, unsigned size, bool write);
unsigned engine_port_hits(const struct engine_vcpu *v, unsigned port, unsigned size);

/* -- events.c -------------------------------------------------------------------------------------------- */

/* For a guest that goes by KVM's clock; stopped: after the machine has stood still. */
void engine_publish_clock(struct engine_vcpu *v, bool stopped);
/* What a guest may wait for that KVM has told of its page faults. */
void engine_tell_async_fault(struct engine_vcpu *v);
/* Makes this thread the vCPU's, and installs the process's signal handlers. False: the host has no memory. */
bool engine_attach(struct engine_vcpu *v);
/* The thread has its own signal stack again. */
void engine_detach(struct engine_vcpu *v);
void engine_free_signals(struct engine_vcpu *v);

/* From any thread: the vCPU looks again, and does that, before it runs more code. */
void engine_kick(struct engine_vcpu *v);
void engine_request(struct engine_vcpu *v, enum engine_request request);

void engine_look_waiting(struct engine_vcpu *v);
/* For PAUSE in generated code: what the vCPU waits for is another vCPU's to do, whose thread may be waiting
 * for this one's processor. */
void engine_pause(struct x86_cpu *cpu);
/* Until somebody kicks. */
void engine_sleep(struct engine_vcpu *v);

/* INIT, SIPI and NMI that the local APIC has. */
void engine_take_events(struct engine_vcpu *v);
/* What comes first between two instructions, if anything; taken from where it waited. */
bool engine_next_event(struct engine_vcpu *v, struct x86_event *event);

/* -- run.c ----------------------------------------------------------------------------------------------- */

enum engine_exit engine_run(struct engine_vcpu *v);
/* For RDTSC in generated code. */
uint64_t engine_tsc(const struct x86_cpu *cpu);
/* Makes `state` complete, for others to look at. */
void engine_to_state(struct engine_vcpu *v);
/* The registers are new: all that follows from them is made anew. */
void engine_state_changed(struct engine_vcpu *v);

#endif
