/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * system_machine: the smallest machine that the translator's system mode runs on: some pages of physical
 * memory, a table from linear pages to them, and CPUs with TLBs that keep to the rules of translator.h.
 */
#ifndef VISOR_TESTS_SYSTEM_MACHINE_H
#define VISOR_TESTS_SYSTEM_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/guest/x86/x86.h"
#include "translator/translator.h"

#define PAGE             4096ull
#define PAGES            64
#define LINEAR           0x7f0000400000ull /* the first linear page; the others follow */
#define AT(page, offset) (LINEAR + PAGE * (page) + (offset))
#define NOWHERE          0xff
#define CPUS             2

static uint8_t physical[PAGES * PAGE] __attribute__((aligned(4096)));
static uint8_t map[PAGES]; /* physical page by linear page, or NOWHERE */
static uint8_t uncached[PAGES];
static _Atomic uint8_t has_code[PAGES];
static struct translator *translator;
static struct x86_system_cpu *cpus[CPUS];
static struct {
    _Atomic bool revoke; /* pages have become code: its TLB's write entries must go */
    _Atomic bool running;
    pthread_t thread;
} vcpus[CPUS];
static unsigned code_pages; /* with code now */
static void (*on_device)(struct translator_cpu *cpu,
                         uint64_t offset); /* a store to the page that is nowhere */

static unsigned number_of(const struct translator_cpu *cpu)
{
    return cpu == &cpus[0]->x86.common ? 0 : 1;
}

static bool page_of(uint64_t linear, uint64_t *page)
{
    uint64_t index = (linear - LINEAR) / PAGE;
    if (linear < LINEAR || index >= PAGES || map[index] == NOWHERE)
        return false;
    *page = map[index];
    return true;
}

static bool locate(struct translator_cpu *cpu, uint64_t pc, struct code_page *out)
{
    static uint8_t bounce[PAGE];
    uint64_t page;
    if (!page_of(pc, &page)) {
        cpu->exit_reason = TRANSLATOR_FETCH_FAULT;
        cpu->exit_payload = pc;
        return false;
    }
    *out = (struct code_page){.physical = page * PAGE, .bytes = physical + page * PAGE};
    if (uncached[page]) {
        memcpy(bounce, out->bytes, PAGE);
        out->bytes = bounce;
        out->uncached = true;
    }
    return true;
}

/* Takes write entries for pages with code away; whether there were any for each is not looked at. */
static void revoke_writes(unsigned number)
{
    struct tlb *tlb = cpus[number]->tlbs;
    for (unsigned i = 0; i < TLB_SIZE; i++) {
        struct tlb_entry *entry = &tlb->entries[i];
        if (entry->write != TLB_NONE && has_code[entry->physical / PAGE]) {
            entry->write = TLB_NONE;
            translator_invalidate(translator, entry->physical, PAGE);
        }
    }
}

static void code_page(void *context, struct translator_cpu *cpu, uint64_t address, bool has)
{
    (void)context;
    uint8_t old = atomic_exchange(&has_code[address / PAGE], has);
    code_pages += (unsigned)has - old;
    for (unsigned i = 0; i < CPUS && has && cpus[i]; i++) {
        if (cpu == &cpus[i]->x86.common) {
            for (unsigned k = 0; k < TLB_SIZE; k++)
                if (cpus[i]->tlbs->entries[k].physical == address)
                    cpus[i]->tlbs->entries[k].write = TLB_NONE;
            continue;
        }
        atomic_store(&vcpus[i].revoke, true);
        if (atomic_load(&vcpus[i].running))
            pthread_kill(vcpus[i].thread, SIGUSR1);
    }
}

static bool store(struct translator_cpu *cpu, struct memory_access *access, uint64_t address)
{
    uint64_t size = 1ull << access->size;
    if (has_code[address / PAGE]) {
        if (!translator_writes_code(cpu, access, address, size))
            return false;
        if (access->kind == ACCESS_UPDATE) {
            access->pointer = physical + address;
            return true;
        }
        memcpy(physical + address, &access->value, size);
        translator_invalidate(translator, address, size);
        return true;
    }
    if (access->kind == ACCESS_STORE)
        memcpy(physical + address, &access->value, size);
    access->pointer = physical + address;
    return true;
}

/* No accesses on two pages. */
static bool memory_access(struct translator_cpu *cpu, struct memory_access *access)
{
    unsigned number = number_of(cpu);
    uint64_t page;

    if (atomic_load(&vcpus[number].revoke))
        revoke_writes(number); /* the flag stays until the block has been left */
    if (!page_of(access->address, &page)) {
        if (on_device && access->kind == ACCESS_FILL_STORE)
            return true;
        if (on_device && access->kind == ACCESS_STORE) {
            on_device(cpu, access->address % PAGE);
            return true;
        }
        cpu->exit_reason = TRANSLATOR_FAULT;
        cpu->exit_payload = access->address;
        return false;
    }
    struct tlb_entry *entry = tlb_entry(cpus[number]->tlbs, access->address);
    entry->read = tlb_page(access->address);
    entry->physical = page * PAGE;
    entry->addend = (uintptr_t)physical + page * PAGE - entry->read;
    entry->write = entry->read;
    atomic_thread_fence(memory_order_seq_cst);
    if (has_code[page])
        entry->write = TLB_NONE;
    if (access->kind == ACCESS_FILL_LOAD || access->kind == ACCESS_FILL_STORE)
        return true;
    if (access->kind != ACCESS_LOAD)
        return store(cpu, access, page * PAGE + access->address % PAGE);
    access->pointer = physical + page * PAGE + access->address % PAGE;
    return true;
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    for (unsigned i = 0; i < CPUS; i++)
        if (atomic_load(&vcpus[i].running) && pthread_equal(vcpus[i].thread, pthread_self()))
            translator_interrupt(&cpus[i]->x86.common, context);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    for (unsigned i = 0; i < CPUS; i++)
        if (cpus[i] && pthread_equal(vcpus[i].thread, pthread_self()) &&
            translator_fault(&cpus[i]->x86.common, signal, info, context))
            return;
    _exit(1);
}

/* Runs until something else than a revocation happens. */
static enum translator_exit run(unsigned number)
{
    struct translator_cpu *cpu = &cpus[number]->x86.common;
    vcpus[number].thread = pthread_self();
    atomic_store(&vcpus[number].running, true);
    for (;;) {
        if (atomic_exchange(&vcpus[number].revoke, false))
            revoke_writes(number);
        enum translator_exit exit = translator_run(cpu);
        if (exit == TRANSLATOR_INTERRUPTED && atomic_load(&vcpus[number].revoke))
            continue;
        atomic_store(&vcpus[number].running, false);
        return exit;
    }
}

/* The same where nothing else interrupts: the signal of a revocation may come when that has been done. */
static __attribute__((unused)) enum translator_exit run_through(unsigned number)
{
    enum translator_exit exit;
    do {
        exit = run(number);
    } while (exit == TRANSLATOR_INTERRUPTED);
    return exit;
}

static void flush(unsigned number)
{
    tlb_flush(cpus[number]->tlbs);
    translator_flush_jumps(&cpus[number]->x86.common);
}

/* Signals must not come on the return stack. */
static void set_signal_stack(void *stack, size_t size)
{
    const stack_t wanted = {.ss_sp = stack, .ss_size = size, .ss_flags = stack ? 0 : SS_DISABLE};
    assert_int_equal(sigaltstack(&wanted, NULL), 0);
}

/* The second CPU on a thread of its own; the thread's result is the exit. */
static __attribute__((unused)) void *run_second(void *unused)
{
    static uint8_t stack[65536];
    (void)unused;
    set_signal_stack(stack, sizeof stack);
    enum translator_exit exit = run_through(1);
    set_signal_stack(NULL, 0);
    return (void *)(uintptr_t)exit;
}

static void machine_begin(const struct translator_options *options, unsigned count)
{
    const struct translator_callbacks callbacks = {.locate = locate, .code_page = code_page};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    struct error error = ERROR_INIT;

    static uint8_t stack[65536];

    set_signal_stack(stack, sizeof stack);
    memset(physical, 0xcc, sizeof physical);
    memset(uncached, 0, sizeof uncached);
    memset((void *)has_code, 0, sizeof has_code);
    code_pages = 0;
    on_device = NULL;
    for (unsigned i = 0; i < PAGES; i++)
        map[i] = (uint8_t)i;
    sigaction(SIGUSR1, &action, NULL);
    action.sa_sigaction = on_fault;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    assert_int_equal(translator_new(&translator, &x86_system_guest, options, &callbacks, &error), 0);
    for (unsigned i = 0; i < count; i++) {
        struct translator_cpu *cpu;
        assert_int_equal(translator_cpu_new(translator, &cpu, &error), 0);
        cpus[i] = (struct x86_system_cpu *)cpu;
        cpu->memory = memory_access;
        cpus[i]->x86.state.df = 1;
        for (unsigned k = 0; k < X86_TLB_COUNT; k++)
            tlb_flush(&cpus[i]->tlbs[k]);
    }
}

static void machine_end(void)
{
    for (unsigned i = 0; i < CPUS; i++) {
        if (cpus[i])
            translator_cpu_free(&cpus[i]->x86.common);
        cpus[i] = NULL;
    }
    translator_free(translator);
    set_signal_stack(NULL, 0);
}

/* Code, or data, at an offset of a physical page, as a device would put it there. */
static void put(unsigned page, unsigned offset, const void *bytes, size_t size)
{
    memcpy(physical + page * PAGE + offset, bytes, size);
    translator_invalidate(translator, page * PAGE + offset, size);
}

#define PUT(page, offset, ...)                                                                               \
    put(page, offset, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

#endif
