/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compare: runs random instructions on the host's processor, in the interpreter, in translated code, and in
 * translated code of system mode, and shows the shortest sequence that ends differently.
 *
 *     isa_x86 [--count INSTRUCTIONS] [--seed N] [--only CLASS] [--32|--16] [--verbose]
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/macros.h"
#include "compare.h"
#include "translator/guest/x86/x86.h"
#include "translator/translator.h"

#define STEPS_MAX  1000
#define COMPARABLE (X86_EFLAGS_USER & ~(uint64_t)X86_EFLAGS_TF)
#define REPORTS    10

enum way { WAY_INTERPRETER, WAY_HOST, WAY_SYSTEM, WAY_COUNT };
static const char *const way_names[] = {"interpreter", "host code", "system mode"};

static struct translator *translators[WAY_COUNT];
static struct x86_cpu *cpus[WAY_COUNT];
static struct x86_cpu *running; /* whose guest code may fault */
static uint8_t *const code = (uint8_t *)CODE_START;
static uint8_t *const data = (uint8_t *)DATA_START;

static struct machine native_end, guest_ends[WAY_COUNT];
static enum x86_code kind; /* of the code */
static unsigned long compared, emulated, sequences, trapped, claims;
static unsigned long class_counts[256], class_failures[256];

/* -- running ------------------------------------------------------------------------------------------- */

static void handle_signal(int signal, siginfo_t *info, void *ucontext)
{
    if (native_signal(signal, ucontext))
        return;
    if (running && translator_fault(&running->common, signal, info, ucontext))
        return;
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(signal, &action, NULL);
}

static size_t fetch(void *context, uint64_t pc, void *bytes, size_t size)
{
    (void)context;
    if (pc < CODE_START || pc >= CODE_START + CODE_SIZE)
        return 0;
    size = MIN(size, CODE_START + CODE_SIZE - pc);
    memcpy(bytes, (const void *)(uintptr_t)pc, size);
    return size;
}

/* -- system mode: memory is mapped to itself ---------------------------------------------------------------
 */

static bool is_device; /* the data are not plain memory */

static bool locate(struct translator_cpu *cpu, uint64_t pc, struct code_page *out)
{
    cpu->exit_reason = TRANSLATOR_FETCH_FAULT;
    cpu->exit_payload = pc;
    *out = (struct code_page){.physical = CODE_START, .bytes = code};
    return pc >= CODE_START && pc < CODE_START + CODE_SIZE;
}

static bool is_within(uint64_t address, uint64_t size, uint64_t start, uint64_t length)
{
    return address >= start && address - start <= length - size;
}

static bool access_memory(struct translator_cpu *cpu, struct memory_access *access)
{
    const uint64_t size = 1ull << access->size;
    const bool in_data = is_within(access->address, size, DATA_START, DATA_SIZE);
    if (!in_data && !is_within(access->address, size, CODE_START, CODE_SIZE)) {
        cpu->exit_reason = TRANSLATOR_FAULT;
        cpu->exit_payload = access->address;
        return false;
    }
    if (in_data && !is_device)
        *tlb_entry(((struct x86_system_cpu *)cpu)->tlbs, access->address) =
            (struct tlb_entry){.read = tlb_page(access->address), .write = tlb_page(access->address)};
    if (access->kind == ACCESS_STORE)
        memcpy((void *)(uintptr_t)access->address, &access->value, size);
    access->pointer = (const void *)(uintptr_t)access->address;
    return true;
}

static void prepare_system(struct x86_cpu *cpu)
{
    is_device = random_below(4) == 0;
    if (is_device || random_below(2))
        tlb_flush(((struct x86_system_cpu *)cpu)->tlbs);
}

/* -- running, continued ------------------------------------------------------------------------------------
 */

static enum ending ending_of(enum translator_exit exit, uint64_t length)
{
    switch (exit) {
    case TRANSLATOR_BREAKPOINT: return END_BREAKPOINT;
    case TRANSLATOR_FAULT:
    case TRANSLATOR_ALIGNMENT:
    case TRANSLATOR_FETCH_FAULT: return END_FAULT;
    case TRANSLATOR_DIVIDE: return END_DIVIDE;
    case TRANSLATOR_UNDEFINED: return END_UNDEFINED;
    case TRANSLATOR_EMULATE: return length ? END_EMULATE : END_FAULT; /* #GP: more than 15 bytes */
    default: return END_OTHER;
    }
}

static enum translator_exit run_cpu(enum way way)
{
    struct translator_cpu *cpu = &cpus[way]->common;
    enum translator_exit exit = TRANSLATOR_NONE;

    if (way == WAY_SYSTEM)
        prepare_system(cpus[way]);
    if (way != WAY_INTERPRETER)
        return translator_run(cpu);
    for (unsigned i = 0; i < STEPS_MAX && (exit == TRANSLATOR_NONE || exit == TRANSLATOR_LOOKUP); i++)
        exit = translator_step(cpu, 0);
    return exit;
}

static void guest_run(enum way way, const struct machine *start, struct machine *end)
{
    struct x86_cpu *cpu = cpus[way];
    struct x86_state *s = &cpu->state;

    memcpy(data, start->data, DATA_SIZE);
    memcpy(s->gpr, start->gpr, sizeof s->gpr);
    memcpy(s->xmm, start->xmm, sizeof s->xmm);
    cpu->pc = start->rip;
    x86_eflags_set(s, start->eflags);
    cpu->common.fp_control = start->mxcsr;
    running = cpu;
    const enum translator_exit exit = run_cpu(way);
    end->ending = ending_of(exit, cpu->common.exit_payload);
    running = NULL;
    memcpy(end->gpr, s->gpr, sizeof s->gpr);
    memcpy(end->xmm, s->xmm, sizeof s->xmm);
    end->rip = cpu->pc;
    end->eflags = x86_eflags_get(s);
    end->mxcsr = cpu->common.fp_control;
    memcpy(end->data, data, DATA_SIZE);
}

/* -- sequences as code --------------------------------------------------------------------------------- */

static void lay_out(struct sequence *s)
{
    uint64_t at = CODE_START + CODE_BEFORE, end = at;

    for (unsigned i = 0; i < s->count; i++)
        end += s->instructions[i].length;
    memset(code + CODE_BEFORE, 0xcc, CODE_BEHIND - CODE_BEFORE);
    for (unsigned i = 0; i < s->count; i++) {
        struct instruction *n = &s->instructions[i];
        const struct relative *r = &n->relative;
        const uint64_t distance = (r->is_data ? r->target : end + r->target) - (at + n->length);
        memcpy(n->bytes + r->at, &distance, r->size);
        memcpy((void *)(uintptr_t)at, n->bytes, n->length);
        at += n->length;
    }
    for (unsigned way = 0; way < WAY_COUNT; way++)
        translator_invalidate(translators[way], CODE_START + CODE_BEFORE, CODE_BEHIND - CODE_BEFORE);
}

/* The flags that are not comparable where the sequence ended. At a fault translated code does not keep those
 * that the code sets anyway before it reads them. */
static uint64_t undefined_at(const struct sequence *s, uint64_t rip, bool in_host_code)
{
    uint64_t at = CODE_START + CODE_BEFORE;
    for (unsigned i = 0; i < s->count; i++) {
        if (rip == at) {
            uint64_t undefined = i ? s->instructions[i - 1].undefined : 0;
            for (; i < s->count && in_host_code; i++)
                undefined |= s->instructions[i].writes;
            return undefined;
        }
        at += s->instructions[i].length;
    }
    if (rip > at && rip <= at + s->count) /* a branch led there */
        return s->instructions[rip - at - 1].undefined;
    return s->count ? s->instructions[s->count - 1].undefined : 0;
}

/* Other code than that of 64 bits has no upper halves, and the host's kernel does not keep ESP's upper half
 * for 16-bit stacks. */
static uint64_t register_mask(unsigned n)
{
    if (kind == X86_CODE_64)
        return ~0ull;
    return kind == X86_CODE_16 && n == X86_RSP ? 0xffff : 0xffffffff;
}

/* What differs first, or NULL. */
static const char *difference(const struct sequence *s, enum way way)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const struct machine *a = &native_end, *b = &guest_ends[way];

    if (a->ending != b->ending)
        return "ending";
    if (a->rip != b->rip)
        return "rip";
    for (unsigned n = 0; n < 16; n++)
        if ((a->gpr[n] ^ b->gpr[n]) & register_mask(n))
            return names[n];
    if ((a->eflags ^ b->eflags) & COMPARABLE & ~undefined_at(s, a->rip, way != WAY_INTERPRETER))
        return "flags";
    if (memcmp(a->xmm, b->xmm, sizeof a->xmm) != 0)
        return "xmm";
    if (a->mxcsr != b->mxcsr)
        return "mxcsr";
    return memcmp(a->data, b->data, DATA_SIZE) != 0 ? "memory" : NULL;
}

/* What differs, and in which way of running; NULL: nothing, or it cannot be compared. */
static const char *run_sequence(struct sequence *s, enum way *which)
{
    lay_out(s);
    memcpy(&native_end, &s->start, sizeof native_end);
    memcpy(data, s->start.data, DATA_SIZE);
    native_run(&native_end);
    for (unsigned way = 0; way < WAY_COUNT; way++) {
        guest_run((enum way)way, &s->start, &guest_ends[way]);
        if (guest_ends[way].ending == END_EMULATE) {
            emulated++;
            return NULL;
        }
        const char *what = difference(s, (enum way)way);
        if (what) {
            *which = (enum way)way;
            return what;
        }
    }
    return NULL;
}

/* If guest_isa.flags_use says that the code sets the flags before it reads any, then it ends the same with
 * other flags at its start. On the host's processor, just after run_sequence(). */
static bool flags_are_dead(const struct sequence *s)
{
    static struct machine other;
    struct guest_flags_path path = {.mode = cpus[0]->mode};
    const uint8_t *start = code + CODE_BEFORE;

    if (native_end.ending != END_BREAKPOINT ||
        x86_guest.flags_use(CODE_START + CODE_BEFORE, start, CODE_BEHIND - CODE_BEFORE, &path) !=
            GUEST_FLAGS_SET)
        return true;
    memcpy(&other, &s->start, sizeof other);
    other.eflags ^= X86_EFLAGS_CONDITIONS;
    memcpy(data, other.data, DATA_SIZE);
    native_run(&other);
    claims++;
    return other.ending == END_BREAKPOINT && other.rip == native_end.rip &&
           memcmp(other.gpr, native_end.gpr, sizeof other.gpr) == 0 &&
           ((other.eflags ^ native_end.eflags) & COMPARABLE & ~undefined_at(s, other.rip, false)) == 0 &&
           memcmp(other.data, native_end.data, DATA_SIZE) == 0;
}

/* -- reports ------------------------------------------------------------------------------------------- */

/* Takes instructions away as long as the same thing differs. */
static void shrink(struct sequence *s, const char *what)
{
    for (unsigned i = 0; i < s->count && s->count > 1;) {
        struct sequence shorter = *s;
        enum way way;
        memmove(&shorter.instructions[i], &shorter.instructions[i + 1],
                (shorter.count - i - 1) * sizeof shorter.instructions[0]);
        shorter.count--;
        const char *still = run_sequence(&shorter, &way);
        if (still && strcmp(still, what) == 0)
            *s = shorter;
        else
            i++;
    }
}

static void print_machines(const struct machine *start, const struct machine *a, const struct machine *b)
{
    static const char *const endings[] = {"int3",  "fault",   "divide", "undefined",
                                          "float", "emulate", "other"};
    printf("    ending %s / %s, rip %" PRIx64 " / %" PRIx64 "\n", endings[a->ending], endings[b->ending],
           a->rip, b->rip);
    for (unsigned n = 0; n < 16; n++)
        printf("    gpr%-2u %016" PRIx64 " -> %016" PRIx64 " / %016" PRIx64 "%s\n", n, start->gpr[n],
               a->gpr[n], b->gpr[n], a->gpr[n] == b->gpr[n] ? "" : "  <--");
    printf("    flags %08" PRIx64 " -> %08" PRIx64 " / %08" PRIx64 "\n", start->eflags & COMPARABLE,
           a->eflags & COMPARABLE, b->eflags & COMPARABLE);
    for (unsigned n = 0; n < 16; n++)
        if (memcmp(&a->xmm[n], &b->xmm[n], 16) != 0)
            printf("    xmm%-2u %016" PRIx64 "%016" PRIx64 " / %016" PRIx64 "%016" PRIx64 "\n", n,
                   a->xmm[n].d[1], a->xmm[n].d[0], b->xmm[n].d[1], b->xmm[n].d[0]);
    if (a->mxcsr != b->mxcsr)
        printf("    mxcsr %04x -> %04x / %04x\n", start->mxcsr, a->mxcsr, b->mxcsr);
    for (unsigned i = 0; i < DATA_SIZE; i++)
        if (a->data[i] != b->data[i])
            printf("    data[%#x] %02x / %02x\n", i, a->data[i], b->data[i]);
}

static void print_sequence(const struct sequence *s)
{
    uint64_t at = CODE_START + CODE_BEFORE;

    for (unsigned i = 0; i < s->count; i++) {
        char text[96];
        const uint8_t *bytes = s->instructions[i].bytes;
        x86_guest.disassemble(kind, at, bytes, text, sizeof text);
        printf("    %-16s", template_name(s->instructions[i].row));
        for (unsigned k = 0; k < s->instructions[i].length; k++)
            printf(" %02x", bytes[k]);
        printf(": %s\n", text);
        at += s->instructions[i].length;
    }
}

static void report(struct sequence *s, const char *what)
{
    enum way way = WAY_INTERPRETER;

    shrink(s, what);
    what = run_sequence(s, &way);
    printf("%s differs: host / %s\n", what ? what : "nothing", way_names[way]);
    print_sequence(s);
    print_machines(&s->start, &native_end, &guest_ends[way]);
    class_failures[s->instructions[s->count - 1].row]++;
}

/* -- the program --------------------------------------------------------------------------------------- */

static void *map_at(uint64_t address, size_t size, int protection)
{
    void *p = mmap((void *)(uintptr_t)address, size, protection,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return p == (void *)(uintptr_t)address ? p : NULL;
}

static bool prepare_memory(void)
{
    if (!map_at(CODE_START, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC) ||
        !map_at(DATA_START, DATA_SIZE, PROT_READ | PROT_WRITE)) {
        fprintf(stderr, "isa_x86: cannot map memory: %s\n", strerror(errno));
        return false;
    }
    memset(code, 0xcc, CODE_SIZE);
    if (!native_prepare(kind)) {
        fprintf(stderr, "isa_x86: cannot run such code here: %s\n", strerror(errno));
        return false;
    }
    return true;
}

static bool prepare_signals(void)
{
    static const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    static uint8_t stack_memory[64 << 10];
    stack_t stack = {.ss_sp = stack_memory, .ss_size = sizeof stack_memory};
    struct sigaction action = {.sa_sigaction = handle_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    if (sigaltstack(&stack, NULL) < 0)
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        if (sigaction(signals[i], &action, NULL) < 0)
            return false;
    return true;
}

/* 16-bit code is in segments: see native_prepare(). */
static void prepare_mode(struct x86_cpu *cpu)
{
    uint64_t *const bases = cpu->state.segment_base;

    bases[X86_GS] = DATA_START;
    cpu->mode = kind;
    if (kind == X86_CODE_16) {
        cpu->mode |= X86_MODE_STACK16 | X86_MODE_SEGMENTED;
        bases[X86_CS] = CODE_START;
        bases[X86_DS] = bases[X86_ES] = bases[X86_SS] = DATA_START;
    }
    cpu->common.mode = cpu->mode << IR_MODE_SHIFT; /* for translator_step() */
}

static bool prepare_translators(void)
{
    struct error error = ERROR_INIT;
    for (unsigned way = 0; way < WAY_COUNT; way++) {
        const struct translator_options options = {.interpret = way == WAY_INTERPRETER,
                                                   .cache_size = 32 << 20,
                                                   .system = way == WAY_SYSTEM,
                                                   .fills = true};
        const struct translator_callbacks callbacks = {.fetch = fetch, .locate = locate};
        const struct guest_isa *isa = way == WAY_SYSTEM ? &x86_system_guest : &x86_guest;
        struct translator_cpu *cpu;
        if (translator_new(&translators[way], isa, &options, &callbacks, &error) < 0 ||
            translator_cpu_new(translators[way], &cpu, &error) < 0) {
            error_report(&error);
            return false;
        }
        cpus[way] = (struct x86_cpu *)cpu;
        cpu->memory = access_memory;
        prepare_mode(cpus[way]);
    }
    return true;
}

static void summarize(unsigned long failures, bool verbose)
{
    for (unsigned i = 0; i < template_count() && verbose; i++)
        printf("%-16s %8lu, %lu different\n", template_name(i), class_counts[i], class_failures[i]);
    printf(
        "%lu instructions in %lu sequences compared, %lu of which ended in an exception and %lu were left to the "
        "owner\n%lu sequences said to set the flags first\n%lu different\n",
        compared, sequences, trapped, emulated, claims, failures);
}

int main(int argc, char **argv)
{
    unsigned long count = 200000, seed = 1, failures = 0;
    const char *only = NULL;
    bool verbose = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            verbose = true;
        else if (strcmp(argv[i], "--32") == 0)
            kind = X86_CODE_32;
        else if (strcmp(argv[i], "--16") == 0)
            kind = X86_CODE_16;
        else if (i + 1 < argc && strcmp(argv[i], "--count") == 0)
            count = strtoul(argv[++i], NULL, 0);
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            seed = strtoul(argv[++i], NULL, 0);
        else if (i + 1 < argc && strcmp(argv[i], "--only") == 0)
            only = argv[++i];
        else
            return fprintf(stderr,
                           "usage: isa_x86 [--count N] [--seed N] [--only CLASS] [--32|--16] [--verbose]\n"),
                   2;
    }
    if (!generate_choose(only, kind))
        return fprintf(stderr, "isa_x86: no instructions are called %s...\n", only), 2;
    if (!prepare_memory() || !prepare_signals() || !prepare_translators())
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    random_seed(seed);
    while (compared < count && failures < REPORTS) {
        static struct sequence s;
        enum way way;
        generate_sequence(&s);
        const char *what = run_sequence(&s, &way);
        compared += s.count;
        sequences++;
        trapped += native_end.ending != END_BREAKPOINT;
        for (unsigned i = 0; i < s.count; i++)
            class_counts[s.instructions[i].row]++;
        if (what) {
            failures++;
            report(&s, what);
        } else if (!flags_are_dead(&s)) {
            failures++;
            printf("flags_use says that these set the flags first:\n");
            print_sequence(&s);
        }
    }
    summarize(failures, verbose);
    return failures ? 1 : 0;
}
