/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/hyperv.h"

#include "arch/x86/features.h"

enum {
    MSR_GUEST_OS = 0x40000000,
    MSR_HYPERCALL = 0x40000001,
    MSR_VP_INDEX = 0x40000002,
    MSR_TIME = 0x40000020,
    MSR_TIME_PAGE = 0x40000021,
    MSR_TSC_FREQUENCY = 0x40000022,
    MSR_APIC_FREQUENCY = 0x40000023,
    MSR_CALL = 0x400001ff, /* visor's own */
};

#define ENABLED UINT64_C(1)
#define LOCKED  UINT64_C(2) /* of the page for hypercalls: until a reset */

#define APIC_HZ UINT64_C(1000000000) /* local APICs' timers count nanoseconds */
#define UNIT    100                  /* nanoseconds: what time is counted in */

/* What the guest reads. Sequence 0: ask the register. */
struct time_page {
    uint32_t sequence, reserved;
    uint64_t scale; /* over 2^64 */
    uint64_t offset;
};

/*
 * The code of the page that guests call with a hypercall, in 32-bit and 64-bit code: see hyperv_call.c. What
 * is INC EBP in the former is a prefix in the latter, so EBP tells the two apart.
 */
static const uint8_t call_code[] = {
    0x55,                         /* push %rbp */
    0x31, 0xed,                   /* xor %ebp, %ebp */
    0x45, 0x0f, 0x1f, 0xc0,       /* nop; or inc %ebp, nop */
    0x85, 0xed,                   /* test %ebp, %ebp */
    0x75, 0x18,                   /* jnz 1f */
    0x52,                         /* push %rdx */
    0x48, 0x89, 0xcd,             /* mov %rcx, %rbp */
    0xb9, 0xff, 0x01, 0x00, 0x40, /* mov $MSR_CALL, %ecx */
    0x0f, 0x32,                   /* rdmsr */
    0x48, 0xc1, 0xe2, 0x20,       /* shl $32, %rdx */
    0x48, 0x09, 0xd0,             /* or %rdx, %rax */
    0x48, 0x89, 0xe9,             /* mov %rbp, %rcx */
    0x5a, 0x5d, 0xc3,             /* pop %rdx; pop %rbp; ret */
    0x89, 0xcd,                   /* 1: mov %ecx, %ebp */
    0xb9, 0xff, 0x01, 0x00, 0x40, /* mov $MSR_CALL, %ecx */
    0x0f, 0x32,                   /* rdmsr */
    0x89, 0xe9,                   /* mov %ebp, %ecx */
    0x5d, 0xc3,                   /* pop %ebp; ret */
};

bool hyperv_has_msr(const struct x86_model *model, uint32_t msr)
{
    if (!x86_has(model, X86_FEATURE_HYPERV))
        return false;
    return (msr >= MSR_GUEST_OS && msr <= MSR_VP_INDEX) || (msr >= MSR_TIME && msr <= MSR_APIC_FREQUENCY) ||
           msr == MSR_CALL || (x86_has(model, X86_FEATURE_HYPERV_SYNIC) && synic_has_msr(msr));
}

bool hyperv_needs_registers(uint32_t msr)
{
    return msr == MSR_CALL;
}

static uint64_t page_of(uint64_t value)
{
    return value & ~(MEMORY_PAGE_SIZE - 1);
}

/* 10,000,000 units a second, of tsc_khz * 1000 ticks. */
static uint64_t scale_of(const struct pvclock *clock)
{
    return (uint64_t)(((unsigned __int128)10000 << 64) / clock->model->tsc_khz);
}

static uint64_t scaled(uint64_t tsc, uint64_t scale)
{
    return (uint64_t)(((unsigned __int128)tsc * scale) >> 64);
}

static uint64_t offset_of(const struct pvclock *clock)
{
    return clock->base.time / UNIT - scaled(clock->base.tsc, scale_of(clock));
}

void hyperv_publish(const struct hyperv *hyperv)
{
    const struct pvclock *clock = hyperv->clock;
    const uint64_t place = hyperv->machine->hv_time_page, address = page_of(place);
    const uint32_t none = 0;
    uint32_t before = 0;
    if (!(place & ENABLED) || !x86_has(clock->model, X86_FEATURE_HYPERV) ||
        !memory_pointer(clock->memory, address, sizeof(struct time_page), true) ||
        memory_read(clock->memory, address, &before, sizeof before) < 0)
        return;
    struct time_page page = {.sequence = before + 1, .scale = scale_of(clock), .offset = offset_of(clock)};
    if (!page.sequence || page.sequence == UINT32_MAX) /* which has been a sign of its own */
        page.sequence = 1;
    memory_write(clock->memory, address, &none, sizeof none);
    memory_write(clock->memory, address + sizeof none, (const char *)&page + sizeof none,
                 sizeof page - sizeof none);
    if (!hyperv->moved)
        memory_write(clock->memory, address, &page.sequence, sizeof page.sequence);
}

/* As the page has it. */
static uint64_t time_now(const struct hyperv *hyperv)
{
    const struct pvclock *clock = hyperv->clock;
    return scaled(hyperv->tsc(hyperv->vcpu), scale_of(clock)) + offset_of(clock);
}

bool hyperv_msr_read(const struct hyperv *hyperv, uint32_t msr, uint64_t *value)
{
    const struct x86_state *machine = hyperv->machine;
    const struct pvclock *clock = hyperv->clock;
    switch (msr) {
    case MSR_GUEST_OS: *value = machine->hv_guest_os; return true;
    case MSR_HYPERCALL: *value = machine->hv_hypercall; return true;
    case MSR_VP_INDEX: *value = hyperv->index; return true;
    case MSR_TIME: *value = time_now(hyperv); return true;
    case MSR_TIME_PAGE: *value = machine->hv_time_page; return true;
    case MSR_TSC_FREQUENCY: *value = clock->model->tsc_khz * UINT64_C(1000); return true;
    case MSR_APIC_FREQUENCY: *value = APIC_HZ; return true;
    case MSR_CALL:
        if (!(machine->hv_hypercall & ENABLED))
            return false;
        *value = hyperv_call(hyperv);
        return true;
    }
    return hyperv->synic && synic_has_msr(msr) && synic_msr_read(hyperv->synic, msr, value);
}

/* Before the guest has said who it is there are no hypercalls. */
static bool set_hypercall(const struct hyperv *hyperv, uint64_t value)
{
    struct x86_state *machine = hyperv->machine;
    const uint64_t address = page_of(value);
    if (machine->hv_hypercall & LOCKED)
        return true;
    if (!machine->hv_guest_os)
        value &= ~ENABLED;
    if (value & ENABLED) {
        if (!memory_pointer(hyperv->clock->memory, address, MEMORY_PAGE_SIZE, true))
            return false;
        memory_write(hyperv->clock->memory, address, call_code, sizeof call_code);
    }
    machine->hv_hypercall = value;
    return true;
}

bool hyperv_msr_write(const struct hyperv *hyperv, uint32_t msr, uint64_t value)
{
    struct x86_state *machine = hyperv->machine;
    switch (msr) {
    case MSR_GUEST_OS:
        machine->hv_guest_os = value;
        if (!value)
            machine->hv_hypercall &= ~ENABLED;
        return true;
    case MSR_HYPERCALL: return set_hypercall(hyperv, value);
    case MSR_TIME_PAGE:
        machine->hv_time_page = value;
        hyperv_publish(hyperv);
        return true;
    }
    if (!hyperv->synic || !synic_has_msr(msr))
        return false;
    return synic_msr_write(hyperv->synic, msr, value, synic_is_timer_msr(msr) ? time_now(hyperv) : 0);
}
