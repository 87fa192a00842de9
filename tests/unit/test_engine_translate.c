/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_engine_translate: small guests (engine_kernels.S) on a machine of RAM, one device and local APICs.
 * Each leaves what it has seen in memory and registers, and ends by an OUT to PORT_FINISH.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86/segment.h"
#include "base/macros.h"
#include "engine/engine.h"
#include "engine_kernels.h"

enum { VCPUS = 2 };

extern const uint8_t kernel_begin[], kernel_end[], kernel_stubs[], kernel_interrupt[], kernel_int80[],
    kernel_count_step[], kernel_log_debug[], kernel_trampoline[], kernel_trampoline_end[], kernel_stub32_12[],
    kernel_stub32_13[];

enum {
    PRESENT = 1,
    WRITABLE = 2,
    USER_RIGHT = 4,
    ACCESSED = 0x20,
    DIRTY = 0x40,
    LARGE = 0x80,
    GLOBAL = 0x100
};
#define NX (1ull << 63)

static struct {
    pthread_mutex_t lock;
    struct memory_map map;
    struct memory_backing *ram;
    struct io_space io;
    struct timers timers;
    struct lapic_bus bus;
    struct lapic lapic[VCPUS], *lapics[VCPUS];
    struct x86_model model;
    struct engine_vm *vm;
    struct engine_vcpu *vcpus[VCPUS];
    pthread_t threads[VCPUS];
    enum engine_exit exits[VCPUS];
    atomic_bool signal_stack_left; /* a run has changed the thread's */
    _Atomic bool ended;
    uint64_t next_table;
    uint32_t result;
    uint8_t device[64];
    unsigned device_accesses;
    uint32_t port;
} m;

/* -- the machine ----------------------------------------------------------------------------------------- */

static uint64_t now(void *opaque)
{
    struct timespec t;
    (void)opaque;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * TIMER_SECOND + (uint64_t)t.tv_nsec;
}

static void kick(void *opaque, unsigned vcpu)
{
    (void)opaque;
    if (m.vcpus[vcpu])
        engine_translate.vcpu_kick(m.vcpus[vcpu]);
}

static void eoi(void *opaque, uint8_t vector)
{
    (void)opaque, (void)vector;
}

static uint64_t device_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    (void)opaque;
    m.device_accesses++;
    memcpy(&value, m.device + offset, size);
    return value;
}

static void device_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque;
    m.device_accesses++;
    memcpy(m.device + offset, &value, size);
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return m.port + 1;
}

static void port_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque, (void)offset, (void)size;
    m.port = (uint32_t)value;
}

static void finish(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque, (void)offset, (void)size;
    m.result = (uint32_t)value;
    for (unsigned i = 0; i < VCPUS; i++)
        if (m.vcpus[i])
            engine_translate.vcpu_stop(m.vcpus[i]);
}

static uint8_t pic_acknowledge(void *opaque)
{
    (void)opaque;
    return 0xff;
}

static const struct access_ops device_ops = {device_read, device_write, 8},
                               port_ops = {port_read, port_write, 4}, finish_ops = {NULL, finish, 4};

static uint64_t *entry_at(uint64_t physical)
{
    return (uint64_t *)(m.ram->host + physical);
}

static uint32_t word(uint64_t physical)
{
    uint32_t value;
    memcpy(&value, m.ram->host + physical, sizeof value);
    return value;
}

static uint64_t kernel(const uint8_t *label)
{
    return KERNEL + (uint64_t)(label - kernel_begin);
}

/* -- tables ---------------------------------------------------------------------------------------------- */

static uint64_t *entry_of(uint64_t linear)
{
    uint64_t table = PML4;
    for (unsigned shift = 39; shift > 12; shift -= 9) {
        uint64_t *entry = entry_at(table + (linear >> shift & 511) * 8);
        if (!(*entry & PRESENT)) {
            *entry = m.next_table | PRESENT | WRITABLE | USER_RIGHT;
            m.next_table += MEMORY_PAGE_SIZE;
            assert_true(m.next_table <= TABLES_END);
        }
        table = *entry & 0xffffffffff000;
    }
    return entry_at(table + (linear >> 12 & 511) * 8);
}

static void map_page(uint64_t linear, uint64_t physical, uint64_t rights)
{
    *entry_of(linear) = physical | rights;
}

static uint64_t descriptor(uint32_t limit, unsigned attributes)
{
    return (limit & 0xffff) | (uint64_t)attributes << 40 | (uint64_t)(limit >> 16 & 15) << 48;
}

/* On the page of the user's stack. */
static uint64_t small_descriptor(uint32_t limit, unsigned attributes)
{
    const uint64_t base = USER_STACK & ~0xfffull;
    const unsigned all =
        X86_SEGMENT_PRESENT | X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_BIG | 3 << X86_SEGMENT_DPL_SHIFT;
    return descriptor(limit, all | attributes) | (base & 0xffffff) << 16 | (base >> 24) << 56;
}

static void make_segments(void)
{
    const unsigned code =
        X86_SEGMENT_PRESENT | X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_CODE | X86_SEGMENT_READABLE;
    const unsigned data = X86_SEGMENT_PRESENT | X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_WRITABLE |
                          X86_SEGMENT_BIG | X86_SEGMENT_GRANULAR;
    const unsigned code32 = code | X86_SEGMENT_BIG | X86_SEGMENT_GRANULAR, dpl3 = 3 << X86_SEGMENT_DPL_SHIFT;
    uint64_t *gdt = entry_at(GDT);

    gdt[KERNEL_CODE >> 3] = descriptor(0, code | X86_SEGMENT_LONG);
    gdt[KERNEL_DATA >> 3] = descriptor(0xfffff, data);
    gdt[USER32_CODE >> 3] = descriptor(0xfffff, code32 | dpl3);
    gdt[USER_DATA >> 3] = descriptor(0xfffff, data | dpl3);
    gdt[USER_CODE >> 3] = descriptor(0, code | X86_SEGMENT_LONG | dpl3);
    gdt[TASK >> 3] = descriptor(0x67, X86_SEGMENT_PRESENT | X86_TYPE_TSS) | (uint64_t)TSS << 16;
    gdt[BOOT_CODE32 >> 3] = descriptor(0xfffff, code32);
    gdt[SMALL_DATA >> 3] = small_descriptor(0xfff, X86_SEGMENT_WRITABLE);
    gdt[DOWN_DATA >> 3] = small_descriptor(0x7ff, X86_SEGMENT_WRITABLE | X86_SEGMENT_EXPANDS_DOWN);
    gdt[FIXED_DATA >> 3] = small_descriptor(0xfff, 0);
    memcpy(m.ram->host + BOOT_GDTR, &(uint16_t){0xff}, 2);
    memcpy(m.ram->host + BOOT_GDTR + 2, &(uint32_t){GDT}, 4);
    memcpy(m.ram->host + TSS + 4, &(uint64_t){KERNEL_STACK}, 8);
    memcpy(m.ram->host + TSS + 0x66, &(uint16_t){0x68}, 2); /* no map of ports */
}

static void gate(unsigned vector, uint64_t handler, unsigned dpl)
{
    uint64_t *entry = entry_at(IDT + 16 * vector);
    entry[0] = (handler & 0xffff) | KERNEL_CODE << 16 | (handler >> 16 & 0xffff) << 48 |
               (uint64_t)(X86_SEGMENT_PRESENT | X86_TYPE_INTERRUPT_GATE | dpl << 5) << 40;
    entry[1] = handler >> 32;
}

/* RAM is where it is, the kernel once more for users, and a page of each kind. */
static void make_tables(void)
{
    m.next_table = TABLES;
    entry_of(0);
    uint64_t *directory = entry_at(*entry_at(*entry_at(PML4) & ~0xfffull) & ~0xfffull);
    for (unsigned i = 0; i < RAM_SIZE >> 21; i++)
        directory[i] = (uint64_t)i << 21 | PRESENT | WRITABLE | LARGE;
    map_page(LAPIC, 0xfee00000, PRESENT | WRITABLE);
    map_page(DEVICE, DEVICE, PRESENT | WRITABLE);
}

static void make_pages(void)
{
    static const struct {
        uint64_t offset, rights;
    } pages[] = {
        {READONLY_PAGE, PRESENT | NX},
        {NX_PAGE, PRESENT | WRITABLE | NX},
        {RESERVED_PAGE, PRESENT | 1ull << 51},
        {READ_PAGE, PRESENT | WRITABLE},
        {WRITTEN_PAGE, PRESENT | WRITABLE},
        {USER_PAGE, PRESENT | WRITABLE | USER_RIGHT},
        {GLOBAL_PAGE, PRESENT | WRITABLE | GLOBAL},
        {OTHER_PAGE, PRESENT | WRITABLE},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
        map_page(PAGES_LINEAR + pages[i].offset, PAGES + pages[i].offset, pages[i].rights);
}

static void make_user(void)
{
    for (uint64_t at = 0; at < (uint64_t)(kernel_end - kernel_begin); at += MEMORY_PAGE_SIZE)
        map_page(USER + at, KERNEL + at, PRESENT | USER_RIGHT);
    map_page(USER_STACK & ~0xfffull, USER_STACK_PAGE, PRESENT | WRITABLE | USER_RIGHT | NX);
}

/* -- set-up ---------------------------------------------------------------------------------------------- */

static void make_memory(void)
{
    assert_int_equal(memory_map_init(&m.map, (1ull << 40) - 1, NULL), 0);
    m.ram = memory_backing_create("ram", RAM_SIZE, NULL);
    assert_non_null(m.ram);
    assert_non_null(memory_add_ram(&m.map, "ram", 0, RAM_SIZE, 0, m.ram, 0, NULL));
    assert_non_null(memory_add_mmio(&m.map, "device", DEVICE, MEMORY_PAGE_SIZE, 0, &device_ops, NULL, NULL));
    assert_int_equal(io_space_init(&m.io, NULL), 0);
    assert_non_null(io_add(&m.io, "port", 0x1f0, 4, 0, &port_ops, NULL, NULL));
    assert_non_null(io_add(&m.io, "finish", PORT_FINISH, 4, 0, &finish_ops, NULL, NULL));
}

static void make_lapics(void)
{
    timers_init(&m.timers, (struct clock){now, NULL});
    m.bus = (struct lapic_bus){m.lapics, VCPUS, {kick, eoi, NULL}, {0}};
    for (unsigned i = 0; i < VCPUS; i++) {
        m.lapics[i] = &m.lapic[i];
        lapic_init(&m.lapic[i], &m.bus, i, i, 40, &m.timers);
    }
}

static void make_model(void)
{
    memset(&m.model.features, 0xff, sizeof m.model.features);
    memcpy(m.model.vendor, "GenuineIntel", 12);
    m.model.family = 6;
    m.model.physical_bits = 40;
    m.model.linear_bits = 48;
}

static int set_up(void **state)
{
    (void)state;
    memset(&m, 0, sizeof m);
    pthread_mutex_init(&m.lock, NULL);
    make_memory();
    make_lapics();
    make_model();
    memcpy(m.ram->host + KERNEL, kernel_begin, (size_t)(kernel_end - kernel_begin));
    memcpy(m.ram->host + TRAMPOLINE, kernel_trampoline, (size_t)(kernel_trampoline_end - kernel_trampoline));
    make_segments();
    make_tables();
    make_pages();
    make_user();
    for (unsigned i = 0; i < 32; i++)
        gate(i, kernel(kernel_stubs) + 16 * i, 0);
    gate(0x40, kernel(kernel_interrupt), 0);
    gate(0x80, kernel(kernel_int80), 3);

    const struct engine_machine machine = {
        .memory = &m.map,
        .ram = m.ram,
        .io = &m.io,
        .lock = &m.lock,
        .clock = {now, NULL},
        .lapics = m.lapics,
        .vcpu_count = VCPUS,
        .model = &m.model,
        .pic_acknowledge = pic_acknowledge,
        .trace = getenv("ENGINE_TRACE") ? (unsigned)atoi(getenv("ENGINE_TRACE")) : 0,
        .trace_stream = stderr,
    };
    assert_int_equal(engine_translate.probe(NULL), 0);
    assert_int_equal(engine_translate.vm_new(&m.vm, &machine, NULL), 0);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(engine_translate.vcpu_new(&m.vcpus[i], m.vm, i, NULL), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VCPUS; i++)
        engine_translate.vcpu_free(m.vcpus[i]);
    engine_translate.vm_free(m.vm);
    io_space_destroy(&m.io);
    memory_map_destroy(&m.map);
    memory_backing_free(m.ram);
    timers_destroy(&m.timers);
    return 0;
}

/* -- running --------------------------------------------------------------------------------------------- */

static void set_segment(struct x86_state *s, enum x86_segment segment, uint16_t selector)
{
    const struct x86_descriptor d = {.low = *entry_at(GDT + (selector & ~7u)) | 1ull << 40};
    x86_segment_set(s, segment, selector, &d);
}

/* 64-bit code at privilege 0. */
static void start_long(const uint8_t *label)
{
    struct x86_state s;
    engine_translate.vcpu_get_state(m.vcpus[0], &s);
    s.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET;
    s.cr3 = PML4;
    s.cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR;
    s.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
    s.gdtr = (struct x86_table_register){GDT, 0xff};
    s.idtr = (struct x86_table_register){IDT, 0xfff};
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        set_segment(&s, i, i == X86_CS ? KERNEL_CODE : KERNEL_DATA);
    s.tr = (struct x86_segment_register){TASK, X86_SEGMENT_PRESENT | X86_TYPE_TSS_BUSY, 0x67};
    s.tr_base = TSS;
    s.rip = kernel(label);
    s.gpr[X86_RSP] = KERNEL_STACK;
    s.gpr[X86_RDI] = PAGES_LINEAR;
    engine_translate.vcpu_set_state(m.vcpus[0], &s);
}

static void *run_vcpu(void *opaque)
{
    const unsigned i = (unsigned)(uintptr_t)opaque;
    /* The thread is as it was before, whoever frees the vCPU. */
    stack_t before, after;
    sigaltstack(NULL, &before);
    m.exits[i] = engine_translate.vcpu_run(m.vcpus[i]);
    sigaltstack(NULL, &after);
    if (before.ss_sp != after.ss_sp || before.ss_flags != after.ss_flags)
        m.signal_stack_left = true;
    return NULL;
}

static void *run_timers(void *opaque)
{
    (void)opaque;
    while (!m.ended) {
        pthread_mutex_lock(&m.lock);
        timers_run(&m.timers);
        pthread_mutex_unlock(&m.lock);
        usleep(200);
    }
    return NULL;
}

/* Until the guest has ended; all vCPUs have a thread. */
static void run(void)
{
    pthread_t timers;
    m.ended = false;
    pthread_create(&timers, NULL, run_timers, NULL);
    for (unsigned i = 0; i < VCPUS; i++)
        pthread_create(&m.threads[i], NULL, run_vcpu, (void *)(uintptr_t)i);
    pthread_join(m.threads[0], NULL);
    for (unsigned i = 1; i < VCPUS; i++) {
        engine_translate.vcpu_stop(m.vcpus[i]);
        pthread_join(m.threads[i], NULL);
    }
    m.ended = true;
    pthread_join(timers, NULL);
    assert_false(m.signal_stack_left);
}

static struct x86_state registers(void)
{
    struct x86_state s;
    engine_translate.vcpu_get_state(m.vcpus[0], &s);
    return s;
}

/* -- what was logged ------------------------------------------------------------------------------------- */

struct logged {
    uint64_t vector, error, rip, cr2, cs, rflags, rsp, unused;
};

static const struct logged *logged(unsigned i)
{
    assert_true(i < word(LOG));
    return (const struct logged *)(m.ram->host + LOG + 64) + i;
}

static void check_fault(unsigned i, unsigned vector, uint64_t error, uint64_t cr2)
{
    const struct logged *l = logged(i);
    assert_int_equal(l->vector, vector);
    assert_int_equal(l->error, error);
    if (vector == X86_PF)
        assert_int_equal(l->cr2, cr2);
}

#define RUN(name)                                                                                            \
    do {                                                                                                     \
        extern const uint8_t kernel_##name[];                                                                \
        start_long(kernel_##name);                                                                           \
        run();                                                                                               \
        assert_int_equal(m.exits[0], ENGINE_STOPPED);                                                        \
    } while (0)

/* -- tests ----------------------------------------------------------------------------------------------- */

static void test_add(void **state)
{
    (void)state;
    RUN(add);
    assert_int_equal(m.result, 42);
}

static void test_faults(void **state)
{
    (void)state;
    *entry_at(PAGES + WRITTEN_PAGE + 0xff8) = 0x1122334455667788;
    RUN(faults);
    assert_int_equal(m.result, 1);
    assert_int_equal(word(LOG), 9);
    check_fault(0, X86_PF, 0, PAGES_LINEAR + ABSENT_PAGE);
    check_fault(1, X86_PF, X86_PF_WRITE, PAGES_LINEAR + ABSENT_PAGE + 8);
    check_fault(2, X86_PF, X86_PF_WRITE | X86_PF_PRESENT, PAGES_LINEAR + READONLY_PAGE);
    check_fault(3, X86_PF, X86_PF_FETCH | X86_PF_PRESENT, PAGES_LINEAR + NX_PAGE);
    assert_int_equal(logged(3)->rip, PAGES_LINEAR + NX_PAGE);
    check_fault(4, X86_PF, X86_PF_RESERVED | X86_PF_PRESENT, PAGES_LINEAR + RESERVED_PAGE);
    check_fault(5, X86_PF, X86_PF_WRITE, PAGES_LINEAR + WRITTEN_PAGE + 0x1000);
    check_fault(6, X86_PF, X86_PF_WRITE, PAGES_LINEAR + WRITTEN_PAGE + 0x1000);
    check_fault(7, X86_GP, 0, 0);
    check_fault(8, X86_SS_FAULT, 0, 0);
    /* Nothing of what went across was written. */
    assert_true(*entry_at(PAGES + WRITTEN_PAGE + 0xff8) == 0x1122334455667788);
    assert_int_equal(*entry_of(PAGES_LINEAR + READ_PAGE) & (ACCESSED | DIRTY), ACCESSED);
    assert_int_equal(*entry_of(PAGES_LINEAR + WRITTEN_PAGE) & (ACCESSED | DIRTY), ACCESSED | DIRTY);
    assert_int_equal(*entry_of(PAGES_LINEAR + READONLY_PAGE) & (ACCESSED | DIRTY), 0);
    assert_int_equal(*entry_of(PAGES_LINEAR + OTHER_PAGE) & (ACCESSED | DIRTY), 0);
}

static void test_floats(void **state)
{
    const uint64_t one = 0x3ff0000000000000, infinity = 0x7ff0000000000000;
    (void)state;
    memset(m.ram->host + SCRATCH, 0x55, 64);
    RUN(floats);
    assert_int_equal(m.result, 1);
    assert_int_equal(word(LOG), 5);
    check_fault(0, X86_XM, 0, 0);
    check_fault(1, X86_UD, 0, 0);
    for (unsigned i = 2; i < 5; i++)
        check_fault(i, X86_MF, 0, 0);
    assert_int_equal(logged(0)->rflags & X86_EFLAGS_CF, 1);
    assert_int_equal(word(SCRATCH + 4) & 255, 1);
    assert_int_equal(*entry_at(SCRATCH + 8), one); /* the destination is as it was, */
    assert_int_equal(word(SCRATCH + 16), 0x1d84);  /* and MXCSR has the flag */
    assert_int_equal(*entry_at(SCRATCH + 24), infinity);
    assert_int_equal(word(SCRATCH + 32) & 0xffff, 0xb084); /* ES, B, ZE; the divisor was not popped */
    assert_int_equal(*entry_at(SCRATCH + 40), 0x5555555555555555);
    assert_int_equal(*entry_at(SCRATCH + 48), one);
}

static void test_write_protect(void **state)
{
    (void)state;
    RUN(write_protect);
    assert_int_equal(m.result, 2);
    assert_int_equal(word(LOG), 1);
    check_fault(0, X86_PF, X86_PF_WRITE | X86_PF_PRESENT, PAGES_LINEAR + READONLY_PAGE);
    assert_int_equal(word(PAGES + READONLY_PAGE), 77);
}

static void test_smap(void **state)
{
    (void)state;
    memcpy(m.ram->host + PAGES + USER_PAGE, &(uint32_t){4711}, 4);
    RUN(smap);
    assert_int_equal(m.result, 4711);
    assert_int_equal(word(LOG), 3);
    check_fault(0, X86_PF, X86_PF_PRESENT, PAGES_LINEAR + USER_PAGE);
    check_fault(1, X86_PF, X86_PF_PRESENT | X86_PF_WRITE, PAGES_LINEAR + USER_PAGE);
    check_fault(2, X86_PF, X86_PF_PRESENT | X86_PF_FETCH, PAGES_LINEAR + USER_PAGE);
    assert_int_equal(word(PAGES + USER_PAGE + 4), 4711);
}

static void test_flush(void **state)
{
    (void)state;
    memcpy(m.ram->host + PAGES + READ_PAGE, &(uint32_t){1}, 4);
    memcpy(m.ram->host + PAGES + GLOBAL_PAGE, &(uint32_t){2}, 4);
    memcpy(m.ram->host + PAGES + OTHER_PAGE, &(uint32_t){3}, 4);
    *entry_at(PTE_OF_READ) = (uint64_t)((uint8_t *)entry_of(PAGES_LINEAR + READ_PAGE) - m.ram->host);
    *entry_at(PTE_OF_OTHER) = (uint64_t)((uint8_t *)entry_of(PAGES_LINEAR + OTHER_PAGE) - m.ram->host);
    *entry_at(PTE_OF_GLOBAL) = (uint64_t)((uint8_t *)entry_of(PAGES_LINEAR + GLOBAL_PAGE) - m.ram->host);
    RUN(flush);
    const struct x86_state s = registers();
    assert_int_equal(s.gpr[8], 1);
    assert_int_equal(s.gpr[9], 2);
    assert_int_equal(s.gpr[10], 3);
    assert_int_equal(s.gpr[11], 2);
    assert_int_equal(s.gpr[12], 3);
}

static void test_user(void **state)
{
    (void)state;
    RUN(user);
    const struct x86_state s = registers();
    assert_int_equal(m.result, 11);
    assert_int_equal(s.gpr[8] & (X86_EFLAGS_IF | X86_EFLAGS_DF), 0);
    assert_int_equal(s.gpr[10] & X86_EFLAGS_IF, X86_EFLAGS_IF);
    assert_int_equal(word(LOG), 6);
    check_fault(0, X86_PF, X86_PF_PRESENT | X86_PF_USER, LOG);
    check_fault(1, X86_GP, 0, 0);
    check_fault(2, X86_GP, 0, 0);
    check_fault(3, X86_UD, 0, 0);
    check_fault(4, X86_DE, 0, 0);
    check_fault(5, X86_GP, 0, 0);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(logged(i)->cs, USER_CODE);
        assert_in_range(logged(i)->rip, USER, USER + 0x10000);
        assert_int_equal(logged(i)->rsp, USER_STACK);
    }
}

static void test_devices(void **state)
{
    (void)state;
    RUN(devices);
    const struct x86_state s = registers();
    assert_int_equal(s.gpr[8], 0x11223344);
    assert_int_equal(s.gpr[9], 0x5566);
    assert_int_equal(s.gpr[10], 0x11223345);
    assert_int_equal(s.gpr[11], 0x55);
    assert_int_equal(m.device[9], 0x44);
    assert_int_equal(s.gpr[12], 0xcaff);
    assert_int_equal(m.port, 0xcafe);
    /* Each access has come exactly once: three stores, three loads, and two that read and write. */
    assert_int_equal(m.device_accesses, 2 + 2 + 2 + 1 + 2);
}

static void test_changes(void **state)
{
    (void)state;
    RUN(changes);
    assert_int_equal(m.result, 5050);
}

static void test_generates(void **state)
{
    (void)state;
    RUN(generates);
    assert_int_equal(m.result, 20100);
}

static void test_timer(void **state)
{
    (void)state;
    RUN(timer);
    assert_int_equal(m.result, 3);
}

static void test_deadline(void **state)
{
    struct x86_state s;
    (void)state;
    RUN(deadline);
    engine_translate.vcpu_get_state(m.vcpus[0], &s);
    assert_int_equal(s.gpr[X86_RBX], 0);
    assert_in_range(m.result, 3000000, UINT32_MAX);
}

static void test_spin(void **state)
{
    (void)state;
    RUN(spin);
    assert_in_range(m.result, 5, 6);
}

static void test_shadow(void **state)
{
    (void)state;
    RUN(shadow);
    const struct x86_state s = registers();
    assert_int_equal(s.gpr[X86_RBX], 0);
    assert_int_equal(s.gpr[X86_RCX], 1);
}

static void test_step(void **state)
{
    (void)state;
    gate(1, kernel(kernel_count_step), 0);
    RUN(step);
    assert_int_equal(m.result, 3);
    /* Behind each from the first INC to the POPF that ends it; a trap has the TF of before the instruction.
     */
    assert_int_equal(word(LOG), 6);
    const uint64_t *rip = entry_at(LOG + 64);
    assert_int_equal(rip[1] - rip[0], 2);
    const struct x86_state s = registers();
    assert_int_equal(s.dr[6] & 1 << 14, 1 << 14);
}

static void set_debug(const struct engine_breakpoint *breakpoints, unsigned count, bool step)
{
    const struct engine_debug debug = {breakpoints, count, step};
    assert_int_equal(engine_translate.vcpu_set_debug(m.vcpus[0], &debug, NULL), 0);
}

static void test_breakpoint(void **state)
{
    extern const uint8_t kernel_add[];
    const struct engine_breakpoint here = {.address = kernel(kernel_add) + 5, .kind = ENGINE_BREAK_EXECUTE};
    (void)state;
    set_debug(&here, 1, false);
    start_long(kernel_add);
    run();
    assert_int_equal(m.exits[0], ENGINE_DEBUG);
    assert_int_equal(registers().rip, here.address);
    assert_int_equal(registers().gpr[X86_RAX], 40);
    run();
    assert_int_equal(m.exits[0], ENGINE_STOPPED);
    assert_int_equal(m.result, 42);
}

/* Translated, and, on a page with a breakpoint, one by one. */
static void test_branches(void **state)
{
    extern const uint8_t kernel_branches[];
    static const uint8_t first[][2] = {{0xff, 0xe3}, {0xff, 0xd3}, {0xc3}, {0xc2, 16}, {0xff, 0x24}};
    const struct engine_breakpoint elsewhere = {.address = kernel(kernel_branches) + 1,
                                                .kind = ENGINE_BREAK_EXECUTE};
    (void)state;
    for (unsigned breaks = 0; breaks < 2; breaks++) {
        memset(m.ram->host + LOG, 0, 4);
        set_debug(&elsewhere, breaks, false);
        RUN(branches);
        assert_int_equal(m.result, 1);
        assert_int_equal(word(LOG), ARRAY_SIZE(first));
        for (unsigned i = 0; i < ARRAY_SIZE(first); i++) {
            check_fault(i, X86_GP, 0, 0);
            assert_memory_equal(m.ram->host + logged(i)->rip, first[i], first[i][1] ? 2 : 1);
            assert_int_equal(logged(i)->rsp, KERNEL_STACK - (i == 2 || i == 3 ? 8 : 0));
        }
    }
}

/* Likewise. */
static void test_segments(void **state)
{
    extern const uint8_t kernel_segments[];
    static const uint8_t vectors[] = {X86_GP,       X86_GP,       X86_GP, X86_GP, X86_GP, X86_GP, X86_GP,
                                      X86_SS_FAULT, X86_SS_FAULT, X86_GP, X86_GP, X86_GP, X86_GP, X86_GP};
    const struct engine_breakpoint elsewhere = {.address = USER + (kernel(kernel_segments) - KERNEL),
                                                .kind = ENGINE_BREAK_EXECUTE};
    (void)state;
    gate(X86_SS_FAULT, kernel(kernel_stub32_12), 0);
    gate(X86_GP, kernel(kernel_stub32_13), 0);
    for (unsigned breaks = 0; breaks < 2; breaks++) {
        memset(m.ram->host + LOG, 0, 4);
        memset(m.ram->host + USER_STACK_PAGE, 0, MEMORY_PAGE_SIZE);
        set_debug(&elsewhere, breaks, false);
        RUN(segments);
        assert_int_equal(m.result, 1);
        assert_int_equal(word(LOG), ARRAY_SIZE(vectors));
        for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++)
            check_fault(i, vectors[i], 0, 0);
        const struct x86_state s = registers();
        assert_int_equal(s.gpr[X86_RBX], 0x11223344);
        assert_int_equal(s.gpr[X86_RCX], 98);
        assert_int_equal(s.gpr[X86_RDI], 0x1000);
        assert_int_equal(word(USER_STACK_PAGE + 0xff8), SMALL_DATA);
    }
}

static void test_debugger_steps(void **state)
{
    extern const uint8_t kernel_add[];
    struct engine_breakpoint hit;
    (void)state;
    set_debug(NULL, 0, true);
    start_long(kernel_add);
    run();
    assert_int_equal(m.exits[0], ENGINE_DEBUG);
    assert_int_equal(registers().rip, kernel(kernel_add) + 5);
    assert_false(engine_translate.vcpu_debug_hit(m.vcpus[0], &hit));
    run();
    assert_int_equal(registers().rip, kernel(kernel_add) + 8);
    assert_int_equal(registers().gpr[X86_RAX], 42);
    set_debug(NULL, 0, false);
    run();
    assert_int_equal(m.exits[0], ENGINE_STOPPED);
    assert_int_equal(m.result, 42);
}

static bool is_dirty(uint64_t address)
{
    return m.ram->page_flags[address >> MEMORY_PAGE_SHIFT] & MEMORY_PAGE_DIRTY;
}

/* What was written before does not count, though the vCPU knows how to write there without asking. */
static void test_dirty(void **state)
{
    extern const uint8_t kernel_dirty[];
    (void)state;
    start_long(kernel_dirty);
    run();
    assert_false(is_dirty(SCRATCH));
    memory_backing_track_dirty(m.ram, true);
    run();
    assert_true(is_dirty(SCRATCH));
    assert_false(is_dirty(SCRATCH + 0x1000));
    assert_int_equal(m.result, 1);
    memory_backing_track_dirty(m.ram, true);
    assert_false(is_dirty(SCRATCH));
    memory_backing_track_dirty(m.ram, false);
}

static void test_watchpoint(void **state)
{
    extern const uint8_t kernel_stores[];
    struct engine_breakpoint hit;
    static const struct engine_breakpoint points[] = {
        {.address = SCRATCH + 8, .length = 4, .kind = ENGINE_BREAK_WRITE},
        {.address = SCRATCH, .length = 2, .kind = ENGINE_BREAK_ACCESS},
    };
    static const unsigned stops[] = {11, 22, 29}, hit_points[] = {1, 0, 1};
    (void)state;
    set_debug(points, ARRAY_SIZE(points), false);
    start_long(kernel_stores);
    for (unsigned i = 0; i < ARRAY_SIZE(stops); i++) {
        run();
        assert_int_equal(m.exits[0], ENGINE_DEBUG);
        assert_int_equal(registers().rip - kernel(kernel_stores), stops[i]);
        assert_true(engine_translate.vcpu_debug_hit(m.vcpus[0], &hit));
        assert_int_equal(hit.address, points[hit_points[i]].address);
        assert_int_equal(hit.kind, points[hit_points[i]].kind);
    }
    assert_int_equal(word(SCRATCH + 8), 2);
    run();
    assert_int_equal(m.exits[0], ENGINE_STOPPED);
    assert_int_equal(m.result, 3);
}

static void test_registers(void **state)
{
    const struct {
        uint64_t dr6, rip;
    } *log = (const void *)(m.ram->host + LOG + 64);
    (void)state;
    gate(1, kernel(kernel_log_debug), 0);
    RUN(registers);
    assert_int_equal(m.result, 3);
    assert_int_equal(word(LOG), 3);
    assert_int_equal(log[0].dr6 & 0xf, 2);
    assert_int_equal(log[1].dr6 & 0xf, 4);
    assert_int_equal(log[2].dr6 & 0xf, 1);
    assert_int_equal(log[1].rip, log[2].rip); /* a trap behind one, a fault of the next */
}

static void test_ports(void **state)
{
    const struct {
        uint64_t dr6, rip;
    } *log = (const void *)(m.ram->host + LOG + 64);
    (void)state;
    gate(1, kernel(kernel_log_debug), 0);
    RUN(ports);
    assert_int_equal(m.result, 1);
    assert_int_equal(word(LOG), 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(log[i].dr6 & 0x400f, 1);
    assert_int_equal(m.ram->host[log[0].rip - 1], 0xed); /* traps: behind IN, */
    assert_int_equal(m.ram->host[log[1].rip - 1], 0xee); /* OUT, */
    assert_int_equal(m.ram->host[log[2].rip + 1], 0x6c); /* and each element of INS */
    assert_int_equal(log[3].rip, log[2].rip);
    assert_int_equal(log[4].rip, log[2].rip + 2);
}

static void test_shadowed_breakpoint(void **state)
{
    const uint64_t *dr6 = (const void *)(m.ram->host + LOG + 64);
    (void)state;
    gate(1, kernel(kernel_log_debug), 0);
    RUN(shadowed_breakpoint);
    assert_int_equal(m.result, 5);
    assert_int_equal(word(LOG), 1);
    assert_int_equal(dr6[0] & 0xf, 1);
}

static void test_task_switched(void **state)
{
    (void)state;
    RUN(task_switched);
    assert_int_equal(word(LOG), 3);
    check_fault(0, X86_NM, 0, 0);
    check_fault(1, X86_NM, 0, 0);
    check_fault(2, X86_UD, 0, 0);
    assert_int_equal(word(COUNTER), 1);
    assert_int_equal(word(COUNTER + 4), 2);
}

/* As FXSAVE has it: the top of the stack and the registers that are valid. */
static void check_x87(unsigned n, unsigned top, unsigned valid)
{
    const uint8_t *area = m.ram->host + SCRATCH + 512 * n;
    assert_int_equal(area[3] >> 3 & 7, top);
    assert_int_equal(area[4], valid);
}

static void test_mmx(void **state)
{
    (void)state;
    RUN(mmx);
    assert_int_equal(m.result, 6);
    assert_int_equal(word(LOG), 4);
    check_fault(0, X86_PF, X86_PF_WRITE, PAGES_LINEAR + ABSENT_PAGE);
    check_fault(1, X86_PF, 0, PAGES_LINEAR + ABSENT_PAGE);
    check_fault(2, X86_PF, X86_PF_WRITE, PAGES_LINEAR + ABSENT_PAGE);
    check_fault(3, X86_MF, 0, 0);
    check_x87(0, 7, 0x80);
    check_x87(1, 7, 0x80);
    check_x87(2, 0, 0xff);
    check_x87(3, 0, 0);
    assert_true(*entry_at(SCRATCH + 2048) == 0x8000000000000000);
    assert_true(*entry_at(SCRATCH + 2056) == 0x1122334411223344);
    assert_true(*entry_at(SCRATCH + 2064) == 0x1122334411223344);
    assert_int_equal(m.ram->host[SCRATCH + 1024 + 32 + 2 * 16 + 8], 0xff); /* MM2's exponent */
}

/* What is at the same addresses without their upper halves, or beyond 32 bits, is something else. */
static void test_wraps(void **state)
{
    const uint64_t top = PAGES + 0xa000;
    (void)state;
    map_page(0xfffff000, top, PRESENT | WRITABLE);
    map_page(0x100000000, top + 0x1000, PRESENT | WRITABLE);
    map_page(0xfffffffffffff000, top + 0x1000, PRESENT | WRITABLE);
    memset(m.ram->host + top + 0x1000, 0xaa, MEMORY_PAGE_SIZE);
    *entry_at(top + 0xff8) = 0x0000020000000001;
    *entry_at(0x18) = 0x30000;
    RUN(wraps);
    assert_int_equal(m.result, 7);
    assert_int_equal(word(LOG), 0);
    assert_int_equal(word(COUNTER), 0x201);
    assert_int_equal(word(COUNTER + 4), 0x30001);
    assert_int_equal(word(COUNTER + 8), 0x30001);
    assert_int_equal(word(COUNTER + 12), 0x3333);
    assert_int_equal(word(COUNTER + 16), 0x2222);
    assert_int_equal(word(COUNTER + 20), 0x1111);
    assert_int_equal(word(0), 0x1111);
    assert_true(*entry_at(top + 0xff8) == 0x0000222200003333);
}

static void test_smp(void **state)
{
    (void)state;
    RUN(smp);
    assert_int_equal(m.result, 200000);
}

static void test_boot(void **state)
{
    extern const uint8_t kernel_boot[];
    struct x86_state s;
    (void)state;
    engine_translate.vcpu_get_state(m.vcpus[0], &s);
    s.segment[X86_CS].selector = KERNEL >> 4;
    s.segment_base[X86_CS] = KERNEL;
    s.rip = (uint64_t)(kernel_boot - kernel_begin);
    engine_translate.vcpu_set_state(m.vcpus[0], &s);
    run();
    uint32_t first;
    memcpy(&first, kernel_begin + 0x10, 4);
    assert_int_equal(m.result, (uint32_t)(0x12345678 + 0x55aa55aa));
    s = registers();
    assert_int_equal((uint32_t)s.gpr[X86_RDI], first);
    assert_int_equal(s.efer, X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE);
    assert_int_equal(s.segment[X86_CS].selector, KERNEL_CODE);
}

static void test_triple(void **state)
{
    extern const uint8_t kernel_triple[];
    (void)state;
    start_long(kernel_triple);
    run();
    assert_int_equal(m.exits[0], ENGINE_SHUTDOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(breakpoint),    TEST(debugger_steps),
        TEST(watchpoint),    TEST(registers),
        TEST(ports),         TEST(shadowed_breakpoint),
        TEST(add),           TEST(faults),
        TEST(floats),        TEST(branches),
        TEST(segments),      TEST(write_protect),
        TEST(smap),          TEST(flush),
        TEST(user),          TEST(devices),
        TEST(changes),       TEST(generates),
        TEST(timer),         TEST(spin),
        TEST(shadow),        TEST(step),
        TEST(task_switched), TEST(smp),
        TEST(boot),          TEST(triple),
        TEST(dirty),         TEST(deadline),
        TEST(mmx),           TEST(wraps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
