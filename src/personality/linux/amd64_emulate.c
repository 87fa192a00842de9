/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * amd64 emulate: see amd64_emulate.h. The processor is arch/x86's, at the privilege of a program: without
 * ports, MSRs, and page tables.
 */
#include "personality/linux/amd64_emulate.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/x86/emulate.h"
#include "base/macros.h"
#include "personality/linux/debug.h"
#include "personality/linux/i386.h"

#define MODEL_NAME      "x86-64-v2"
#define HWCAP2_FSGSBASE 2u

static const struct x86_model *model(void)
{
    static struct x86_model only;
    struct error error = ERROR_INIT;
    if (!only.name[0])
        x86_model_parse(&only, MODEL_NAME, &error); /* which is one of its names */
    return &only;
}

/* Counting the host's processors takes some system calls, and programs execute CPUID many times at once. */
static struct x86_topology topology(unsigned cpu)
{
    static _Atomic unsigned count;
    if (!count)
        count = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
    return (struct x86_topology){.apic_id = cpu, .vcpu_count = count};
}

/* -- one instruction ----------------------------------------------------------------------------------- */

/* Where in [address, address + size) the fault was is known by pages. */
static int page_fault(struct x86_core *core, uint64_t address, unsigned size, bool write)
{
    uint8_t byte;
    const uint64_t next = ALIGN_DOWN(address, GUEST_PAGE_SIZE) + GUEST_PAGE_SIZE;
    if (next < address + size && guest_read(&byte, address, 1) == 0)
        address = next;
    x86_raise_error(core, X86_PF, write ? 2 : 0);
    core->exception.address = address;
    return X86_RAISED;
}

/* What the processor itself accesses are descriptor tables. */
static int read_linear(struct x86_core *core, uint64_t linear, void *buffer, unsigned size, bool system)
{
    if (system)
        return i386_read_table(core, linear, buffer, size);
    linux_debug_access(core->owner, linear, size, false);
    return guest_read(buffer, linear, size) < 0 ? page_fault(core, linear, size, false) : 0;
}

static int write_linear(struct x86_core *core, uint64_t linear, const void *buffer, unsigned size,
                        bool system)
{
    if (system) /* bits that are set in all descriptors: accessed */
        return 0;
    linux_debug_access(core->owner, linear, size, true);
    return guest_write(linear, buffer, size) < 0 ? page_fault(core, linear, size, true) : 0;
}

uint64_t amd64_read_tsc(const struct x86_cpu *cpu)
{
    (void)cpu;
    __builtin_ia32_lfence(); /* nothing that comes before it in the program sees a later time */
    return __builtin_ia32_rdtsc();
}

static uint64_t read_tsc(void *opaque)
{
    (void)opaque;
    return amd64_read_tsc(NULL);
}

void amd64_to_state(struct x86_cpu *cpu)
{
    struct x86_state *s = &cpu->state;
    x86_x87_settle(cpu);
    s->rip = cpu->pc;
    s->mxcsr = cpu->common.fp_control;
}

void amd64_from_state(struct x86_cpu *cpu)
{
    cpu->pc = cpu->state.rip;
    cpu->common.fp_control = cpu->state.mxcsr;
    i386_update_mode(cpu);
}

bool amd64_emulate(struct linux_thread *thread, unsigned length, struct x86_exception *exception)
{
    static const struct x86_linear linear = {read_linear, write_linear};
    struct x86_cpu *cpu = amd64_cpu(thread->cpu);
    struct x86_core core = {.state = &cpu->state, .linear = &linear, .owner = thread};
    const struct x86_platform platform = {.model = model(), .topology = topology(0), .tsc = read_tsc};
    uint8_t code[X86_INSTRUCTION_MAX];

    *exception = (struct x86_exception){.vector = X86_GP, .has_error = true};
    if (!length || guest_read(code, cpu->pc, length) < 0)
        return false;
    amd64_to_state(cpu);
    const enum x86_emulated done = x86_emulate(&core, &platform, code, length);
    amd64_from_state(cpu);
    cpu->state.interrupt_shadow = false;
    *exception = core.exception;
    return done != X86_EMULATE_EXCEPTION;
}

/* -- what there is ------------------------------------------------------------------------------------- */

uint64_t amd64_hwcap(void)
{
    uint32_t out[4];
    const struct x86_topology first = topology(0);
    x86_cpuid(model(), &first, NULL, 1, 0, out);
    return out[3];
}

uint64_t amd64_hwcap2(void)
{
    return HWCAP2_FSGSBASE;
}

static const struct {
    const char *name;
    unsigned feature;
} features[] = {
#define FEATURE(word, bit, NAME, text, first) {text, X86_FEATURE(X86_FEATURES_##word, bit)},
#include "arch/x86/features.def"
#undef FEATURE
};

/* As the kernel prints it, one block per CPU. */
void amd64_write_cpuinfo(FILE *stream)
{
    const struct x86_model *m = model();
    const unsigned count = topology(0).vcpu_count;
    for (unsigned i = 0; i < count; i++) {
        fprintf(stream,
                "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\n"
                "stepping\t: %u\nphysical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\n"
                "apicid\t\t: %u\nfpu\t\t: yes\nfpu_exception\t: yes\nwp\t\t: yes\nflags\t\t:",
                i, m->vendor, m->family, m->model, m->brand, m->stepping, count, i, count, i);
        for (size_t f = 0; f < ARRAY_SIZE(features); f++) {
            if (x86_has(m, features[f].feature))
                fprintf(stream, " %s", features[f].name);
        }
        fprintf(stream, " lm\nclflush size\t: 64\naddress sizes\t: %u bits physical, %u bits virtual\n\n",
                m->physical_bits, m->linear_bits);
    }
}
