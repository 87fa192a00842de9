/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run: the loop of a vCPU: what comes from outside, then guest code, then what that needs. */
#include <string.h>

#include "arch/x86/decode.h"
#include "arch/x86/segment.h"
#include "arch/x86/transfer.h"
#include "base/macros.h"
#include "engine/translate/private.h"

enum { DR6_HITS = 15, DR6_SINGLE_STEP = 1 << 14, SYSCALL_LENGTH = 2 };

/* What becomes of the vCPU after an exit of generated code. */
enum outcome {
    GO_ON,
    COMPLETED, /* an instruction by itself */
    STOP,      /* for the debugger */
    SHUT_DOWN,
    FAILED,
};

/* -- registers ------------------------------------------------------------------------------------------- */

/* Before and after arch/x86 has its way with the registers. */
void engine_to_state(struct engine_vcpu *v)
{
    engine_to_rip(v);
    x86_x87_settle(&v->cpu->x86);
    engine_state(v)->mxcsr = v->cpu->x86.common.fp_control;
}

static void from_state(struct engine_vcpu *v)
{
    v->cpu->x86.common.fp_control = engine_state(v)->mxcsr;
    engine_from_rip(v);
    engine_paging_check(v);
    engine_update_mode(v);
    engine_debug_check(v);
}

/* The local APIC's timer follows the counter. */
static void tell_tsc(struct engine_vcpu *v)
{
    const uint64_t offset = engine_state(v)->tsc_offset;
    if (v->lapic->tsc_offset != offset)
        lapic_set_tsc_offset(v->lapic, offset);
}

void engine_state_changed(struct engine_vcpu *v)
{
    from_state(v);
    tell_tsc(v);
    engine_paging_flush(v, X86_FLUSH_ALL, 0);
}

/* -- events ---------------------------------------------------------------------------------------------- */

/* With state.rip right, before and after. */
static enum outcome deliver(struct engine_vcpu *v, struct x86_event event)
{
    struct x86_state *s = engine_state(v);
    s->activity = X86_ACTIVE;
    s->interrupt_shadow = X86_SHADOW_NONE;
    /* Watchpoints that a MOV to SS has hit: INT n is an instruction behind which they are told of. */
    const bool software = event.kind == X86_EVENT_SOFTWARE;
    if (!software)
        v->hits = 0;
    v->stepping = false;
    const enum x86_delivery delivery = x86_deliver(&v->core, event);
    from_state(v);
    return delivery == X86_SHUTDOWN ? SHUT_DOWN : software ? COMPLETED : GO_ON;
}

/* An exception of the instruction at pc. */
static enum outcome raise_exception(struct engine_vcpu *v, struct x86_exception exception)
{
    engine_to_state(v);
    v->core.exception = exception;
    return deliver(v, x86_exception_event(&v->core));
}

/* With an error code of 0, if it has one. */
static enum outcome raise_plain(struct engine_vcpu *v, unsigned vector)
{
    const bool has_error = vector == X86_GP || vector == X86_SS_FAULT || vector == X86_AC;
    return raise_exception(v, (struct x86_exception){.vector = (uint8_t)vector, .has_error = has_error});
}

/* INT3 at pc. */
static enum outcome breakpoint(struct engine_vcpu *v)
{
    v->cpu->x86.pc++;
    engine_to_state(v);
    return deliver(v, (struct x86_event){.kind = X86_EVENT_SOFTWARE, .vector = X86_BP, .length = 1});
}

/* What hit is told anew; the rest stays until software clears it. */
static void set_dr6(struct engine_vcpu *v, unsigned bits)
{
    struct x86_state *s = engine_state(v);
    s->dr[6] = (s->dr[6] & ~(uint64_t)DR6_HITS) | bits;
}

/* Behind an instruction: the traps of TF, which was set when it began, and of watchpoints. */
static enum outcome trap(struct engine_vcpu *v)
{
    const unsigned hits = v->hits;
    if (v->blocked)
        return GO_ON;
    v->hits = 0;
    if (hits & ENGINE_HIT_DEBUGGER) {
        v->debug_hit = v->noted;
        return STOP;
    }
    if (!hits && !v->stepping)
        return GO_ON;
    set_dr6(v, hits | (v->stepping ? DR6_SINGLE_STEP : 0));
    return raise_plain(v, X86_DB);
}

/* A breakpoint at pc. */
static enum outcome stop_before(struct engine_vcpu *v)
{
    const unsigned hits = v->hits;
    v->hits = 0;
    if (hits & ENGINE_HIT_DEBUGGER) {
        v->resumed = true;
        v->debug_hit = v->noted;
        return STOP;
    }
    set_dr6(v, hits);
    return raise_plain(v, X86_DB);
}

static enum outcome handle(struct engine_vcpu *v, enum translator_exit exit);

/* -- instructions that are emulated ---------------------------------------------------------------------- */

static bool fetch_bytes(struct engine_vcpu *v, uint64_t pc, uint8_t *bytes, unsigned length)
{
    while (length) {
        const unsigned here = MIN(length, (unsigned)(MEMORY_PAGE_SIZE - pc % MEMORY_PAGE_SIZE));
        const struct engine_fetch *fetch = engine_fetch(v, pc);
        if (!fetch)
            return false;
        memcpy(bytes, fetch->host + pc % MEMORY_PAGE_SIZE, here);
        bytes += here, pc += here, length -= here;
        if (!v->wide)
            pc = (uint32_t)pc;
    }
    return true;
}

static bool is_prefix(const struct engine_vcpu *v, uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64 ... 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3: return true;
    default: return v->wide && byte >> 4 == 4;
    }
}

/* What an instruction that was done means besides. */
static void note_instruction(struct engine_vcpu *v, const uint8_t *code, unsigned length)
{
    struct x86_state *s = engine_state(v);
    unsigned i = 0;
    while (i + 1 < length && is_prefix(v, code[i]))
        i++;
    switch (code[i]) {
    case 0xcf: /* IRET: RF matters where there are breakpoints */
        if (!v->break_count)
            s->eflags_system &= ~(uint64_t)X86_EFLAGS_RF;
        break;
    case 0x0f: /* after SYSCALL and SYSRET, TF is looked at as it is now */
        if (i + 1 < length && (code[i + 1] == 0x05 || code[i + 1] == 0x07))
            v->stepping = s->eflags_system & X86_EFLAGS_TF;
        break;
    default: break;
    }
}

/* The instruction at pc, which was executed: the number of bytes. */
static unsigned fetch_known(struct engine_vcpu *v, uint8_t code[X86_INSTRUCTION_MAX])
{
    const struct x86_exception fault = v->fault;
    unsigned length = X86_INSTRUCTION_MAX;

    while (length && !fetch_bytes(v, v->cpu->x86.pc, code, length))
        length--; /* the next page need not be there */
    v->fault = fault;
    return length;
}

/* A near branch to an address that is not canonical is itself at fault. */
static enum outcome bad_target(struct engine_vcpu *v)
{
    uint8_t code[X86_INSTRUCTION_MAX];
    x86_undo_branch(&v->cpu->x86, code, fetch_known(v, code));
    return raise_plain(v, X86_GP);
}

/* An address that is not canonical is #SS if the stack is there: which of the two, the instruction says. */
static void name_stack_fault(struct engine_vcpu *v)
{
    uint8_t code[X86_INSTRUCTION_MAX];
    struct x86_insn insn;

    if (v->fault.vector != X86_GP)
        return;
    const unsigned length = fetch_known(v, code);
    if (x86_decode(&insn, &x86_lift_opcodes, X86_CODE_64, code, length) == X86_DECODED &&
        x86_accesses_stack(&insn))
        v->fault.vector = X86_SS_FAULT;
}

static enum x86_float_unit float_unit(const struct engine_vcpu *v, const uint8_t *code, unsigned length)
{
    const enum x86_code kind = (enum x86_code)(v->cpu->x86.mode & X86_MODE_CODE);
    struct x86_insn insn;
    return x86_decode(&insn, &x86_lift_opcodes, kind, code, length) == X86_DECODED ? x86_float_unit(&insn)
                                                                                   : X86_UNIT_NONE;
}

/* x87, MMX and SSE while CR0 and CR4 forbid some of them: SDM volume 3, tables 2-2 and 13-3. True: raised. */
static bool float_forbidden(struct engine_vcpu *v, enum x86_float_unit unit)
{
    const struct x86_state *s = engine_state(v);
    const bool emulated = s->cr0 & X86_CR0_EM;
    if (unit == X86_UNIT_SSE && !(s->cr4 & X86_CR4_OSFXSR))
        return x86_raise_plain(&v->core, X86_UD);
    if (emulated)
        return x86_raise_plain(&v->core, unit == X86_UNIT_X87 ? X86_NM : X86_UD);
    return s->cr0 & X86_CR0_TS && x86_raise_plain(&v->core, X86_NM);
}

/* x87, MMX and SSE in a mode in which generated code leaves them alone. TRANSLATOR_EMULATE: it may, but is to
 * be emulated. */
static enum translator_exit step_float(struct engine_vcpu *v, enum x86_float_unit unit)
{
    if (float_forbidden(v, unit)) {
        v->fault = v->core.exception;
        return TRANSLATOR_FAULT;
    }
    v->cpu->x86.mode &= ~(unsigned)X86_MODE_NO_FPU;
    const enum translator_exit exit = translator_step(&v->cpu->x86.common, 0);
    engine_update_mode(v);
    return exit;
}

/* An access that a segment's reach does not cover: what the descriptor says counts. */
static enum translator_exit step_segment(struct engine_vcpu *v)
{
    v->cpu->x86.mode |= X86_MODE_BY_DESCRIPTOR;
    const enum translator_exit exit = translator_step(&v->cpu->x86.common, 0);
    engine_update_mode(v);
    return exit;
}

static enum outcome emulate(struct engine_vcpu *v, unsigned length)
{
    struct x86_state *s = engine_state(v);
    uint8_t code[X86_INSTRUCTION_MAX];

    if (length == 0) /* it is too long */
        return raise_plain(v, X86_GP);
    if (!fetch_bytes(v, v->cpu->x86.pc, code, length))
        return raise_exception(v, v->fault);
    if (v->cpu->x86.mode & X86_MODE_NO_FPU) {
        const enum x86_float_unit unit = float_unit(v, code, length);
        const enum translator_exit exit = unit ? step_float(v, unit) : TRANSLATOR_EMULATE;
        if (exit != TRANSLATOR_EMULATE)
            return handle(v, exit);
    }
    engine_to_state(v);
    switch (x86_emulate(&v->core, &v->platform, code, length)) {
    case X86_EMULATE_EXCEPTION: return deliver(v, x86_exception_event(&v->core));
    case X86_EMULATE_AGAIN: from_state(v); return COMPLETED;
    case X86_EMULATE_HALT: s->activity = X86_HALTED; break;
    case X86_EMULATED: break;
    }
    note_instruction(v, code, length);
    if (v->lapic->tsc_offset != s->tsc_offset) {
        tell_tsc(v);
        engine_publish_clock(v, false);
    }
    v->blocked = s->interrupt_shadow == X86_SHADOW_STACK;
    from_state(v);
    return COMPLETED;
}

/* -- guest code ------------------------------------------------------------------------------------------ */

/* SYSCALL at CPL 3: pc is behind it already. */
static enum outcome system_call(struct engine_vcpu *v)
{
    engine_to_state(v);
    if (x86_syscall(&v->core) < 0) {
        engine_state(v)->rip -= SYSCALL_LENGTH;
        return deliver(v, x86_exception_event(&v->core));
    }
    v->stepping = engine_state(v)->eflags_system & X86_EFLAGS_TF;
    from_state(v);
    return COMPLETED;
}

/* An access that hits a watchpoint. */
static enum translator_exit step_watch(struct engine_vcpu *v)
{
    v->watching = true;
    const enum translator_exit exit = translator_step(&v->cpu->x86.common, 0);
    v->watching = false;
    return exit;
}

static enum outcome emulate_payload(struct engine_vcpu *v, uint64_t payload)
{
    switch (payload) {
    case ENGINE_PAYLOAD_UPDATE: return handle(v, engine_step_update(v));
    case ENGINE_PAYLOAD_WATCH: return handle(v, step_watch(v));
    case ENGINE_PAYLOAD_BREAK: return stop_before(v);
    default: return emulate(v, (unsigned)payload);
    }
}

static enum outcome handle(struct engine_vcpu *v, enum translator_exit exit)
{
    const struct translator_cpu *cpu = &v->cpu->x86.common;
    switch (exit) {
    case TRANSLATOR_INTERRUPTED: return GO_ON;
    case TRANSLATOR_NONE: /* of translator_step() */
    case TRANSLATOR_LOOKUP:
    case TRANSLATOR_STEPPED: return COMPLETED;
    case TRANSLATOR_SYSCALL: return system_call(v);
    case TRANSLATOR_EMULATE: return emulate_payload(v, cpu->exit_payload);
    case TRANSLATOR_UNDEFINED: return raise_plain(v, X86_UD);
    case TRANSLATOR_DIVIDE: return raise_plain(v, X86_DE);
    case TRANSLATOR_FLOAT: return raise_plain(v, engine_state(v)->cr4 & X86_CR4_OSXMMEXCPT ? X86_XM : X86_UD);
    case TRANSLATOR_BREAKPOINT: return breakpoint(v);
    case TRANSLATOR_ALIGNMENT: return raise_plain(v, X86_GP);
    case TRANSLATOR_EXCEPTION: return raise_plain(v, (unsigned)cpu->exit_payload);
    case TRANSLATOR_TARGET: return bad_target(v);
    case TRANSLATOR_SEGMENT: return handle(v, step_segment(v));
    case TRANSLATOR_FAULT: name_stack_fault(v); return raise_exception(v, v->fault);
    case TRANSLATOR_FETCH_FAULT: return raise_exception(v, v->fault);
    default: return FAILED;
    }
}

/* Whether the next instruction is executed by itself. */
static bool runs_alone(const struct engine_vcpu *v)
{
    const struct x86_state *s = engine_state(v);
    /* An interrupt that comes meanwhile finds pc where it was, and waits as well. */
    const bool shadow = s->interrupt_shadow && (v->cpu->x86.waiting || s->nmi_pending);
    return v->stepping || shadow || v->debug.step || v->resumed || v->hits ||
           (v->break_count && (s->eflags_system & X86_EFLAGS_RF || s->interrupt_shadow == X86_SHADOW_STACK));
}

static enum outcome run_code(struct engine_vcpu *v)
{
    struct x86_state *s = engine_state(v);
    struct translator_cpu *cpu = &v->cpu->x86.common;
    const uint64_t pc = v->cpu->x86.pc;

    engine_look_waiting(v);
    v->stepping = s->eflags_system & X86_EFLAGS_TF;
    v->blocked = false;
    cpu->single_step = runs_alone(v);
    if (!doorbell_go_inside(&v->bell))
        return GO_ON;
    const enum translator_exit exit = translator_run(cpu);
    doorbell_go_outside(&v->bell);
    if (exit == TRANSLATOR_INTERRUPTED && pc == v->cpu->x86.pc)
        return GO_ON;
    s->interrupt_shadow = X86_SHADOW_NONE; /* the emulator may set it now */
    if (cpu->single_step && !(exit == TRANSLATOR_EMULATE && cpu->exit_payload == ENGINE_PAYLOAD_BREAK)) {
        v->resumed = false;
        s->eflags_system &= ~(uint64_t)X86_EFLAGS_RF; /* what a fault pushes has it set nevertheless */
    }
    enum outcome outcome = handle(v, exit);
    if (outcome == COMPLETED)
        outcome = trap(v);
    return outcome == GO_ON && v->debug.step ? STOP : outcome;
}

/* -- the loop -------------------------------------------------------------------------------------------- */

/* True: vcpu_run() ends. */
static bool serve_requests(struct engine_vcpu *v)
{
    const uint32_t requests = atomic_exchange(&v->requests, 0);
    if (requests & ENGINE_REQUEST_FLUSH)
        engine_tlb_flush(v);
    if (requests & ENGINE_REQUEST_CODE)
        engine_code_flush(v, false);
    return requests & ENGINE_REQUEST_STOP;
}

static enum outcome one_round(struct engine_vcpu *v)
{
    const struct x86_state *s = engine_state(v);
    struct x86_event event;

    if (UNLIKELY(lapic_has_events(v->lapic)))
        engine_take_events(v);
    if (!s->interrupt_shadow && engine_next_event(v, &event)) {
        engine_to_state(v);
        return deliver(v, event);
    }
    if (s->activity == X86_ACTIVE)
        return run_code(v);
    engine_sleep(v);
    return GO_ON;
}

/* Nothing of the memory map is held here but what is looked up anew once that has changed. */
static void pass(struct engine_vcpu *v)
{
    struct memory_map *map = v->vm->machine.memory;
    if (LIKELY(atomic_load(&v->reader.seen) == atomic_load(&map->generation)))
        return;
    v->range = NULL;
    memory_reader_pass(map, &v->reader);
}

enum engine_exit engine_run(struct engine_vcpu *v)
{
    if (!engine_attach(v))
        return ENGINE_FAILED;
    memory_reader_wake(v->vm->machine.memory, &v->reader);
    enum engine_exit exit;
    v->debug_hit = NULL;
    engine_publish_clock(v, true);
    engine_tell_async_fault(v);
    for (;;) {
        doorbell_listen(&v->bell);
        if (UNLIKELY(atomic_load(&v->requests)) && serve_requests(v)) {
            exit = ENGINE_STOPPED;
            break;
        }
        const enum outcome outcome = one_round(v);
        pass(v);
        if (LIKELY(outcome == GO_ON))
            continue;
        exit = outcome == SHUT_DOWN ? ENGINE_SHUTDOWN : outcome == STOP ? ENGINE_DEBUG : ENGINE_FAILED;
        break;
    }
    v->range = NULL;
    x86_x87_settle(&v->cpu->x86); /* other threads look at the registers of a vCPU that does not run */
    memory_reader_sleep(&v->reader);
    engine_detach(v);
    return exit;
}
