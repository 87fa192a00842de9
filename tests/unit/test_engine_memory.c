/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_engine_memory: what each engine does with the memory map beside accesses: writes that become signals,
 * pages that were written, and what devices of the host's write and have; and eventfds that become messages.
 * The guests are a few instructions without paging, which end by an OUT.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

#include "arch/x86/segment.h"
#include "base/macros.h"
#include "engine/engine.h"

enum {
    RAM_SIZE = 16 << 20,
    CODE = 0x1000,
    DEVICE = 0x40000000,
    ELSEWHERE = 0x40100000,
    SIGNAL = 4, /* offsets in the device's region */
    PLAIN = 8,
    TIMES = 10,
    FINISH = 0xf4,
};

static struct {
    const struct engine *engine;
    pthread_mutex_t lock;
    struct memory_map map;
    struct memory_backing *ram;
    struct memory_region *device;
    struct io_space io;
    struct timers timers;
    struct lapic_bus bus;
    struct lapic lapic, *lapics[1];
    struct x86_model model;
    struct engine_vm *vm;
    struct engine_vcpu *vcpu;
    unsigned writes; /* to the device, by its callback */
    int bell;        /* rung when the guest finishes, while it runs; 0: none */
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
    (void)opaque, (void)vcpu;
    m.engine->vcpu_kick(m.vcpu);
}

static void eoi(void *opaque, uint8_t vector)
{
    (void)opaque, (void)vector;
}

static uint8_t pic_acknowledge(void *opaque)
{
    (void)opaque;
    return 0xff;
}

static void device_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)value;
    m.writes++;
}

static void finish(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)value;
    if (m.bell)
        eventfd_write(m.bell, 1);
    m.engine->vcpu_stop(m.vcpu);
}

static const struct access_ops device_ops = {NULL, device_write, 4}, finish_ops = {NULL, finish, 4};

static int set_up_pinned(const struct engine *engine, bool pinned)
{
    struct error error = ERROR_INIT;
    memset(&m, 0, sizeof m);
    m.engine = engine;
    if (engine->probe(&error))
        return 1;
    pthread_mutex_init(&m.lock, NULL);
    assert_int_equal(memory_map_init(&m.map, (1ull << 36) - 1, &error), 0);
    m.ram = memory_backing_create("ram", RAM_SIZE, &error);
    assert_non_null(memory_add_ram(&m.map, "ram", 0, RAM_SIZE, 0, m.ram, 0, &error));
    if (pinned)
        assert_int_equal(memory_backing_pin(m.ram, &error), 0);
    m.device = memory_add_mmio(&m.map, "device", DEVICE, MEMORY_PAGE_SIZE, 0, &device_ops, NULL, &error);
    assert_int_equal(io_space_init(&m.io, &error), 0);
    assert_non_null(io_add(&m.io, "finish", FINISH, 4, 0, &finish_ops, NULL, &error));
    timers_init(&m.timers, (struct clock){now, NULL});
    m.lapics[0] = &m.lapic;
    m.bus = (struct lapic_bus){.lapics = m.lapics, .count = 1, .host = {kick, eoi, NULL}};
    lapic_init(&m.lapic, &m.bus, 0, 0, 36, &m.timers);
    assert_int_equal(x86_model_parse(&m.model, "max", &error), 0);
    if (engine->fit && engine->fit(&m.model, &error))
        fail_msg("%s", error.message);
    const struct engine_machine machine = {
        .memory = &m.map,
        .ram = m.ram,
        .io = &m.io,
        .lock = &m.lock,
        .clock = {now, NULL},
        .lapics = m.lapics,
        .vcpu_count = 1,
        .model = &m.model,
        .pic_acknowledge = pic_acknowledge,
    };
    if (engine->vm_new(&m.vm, &machine, &error) || engine->vcpu_new(&m.vcpu, m.vm, 0, &error))
        fail_msg("%s", error.message);
    return 0;
}

static int set_up(const struct engine *engine)
{
    return set_up_pinned(engine, false);
}

static void tear_down(void)
{
    m.engine->vcpu_free(m.vcpu);
    m.engine->vm_free(m.vm);
    io_space_destroy(&m.io);
    memory_map_destroy(&m.map);
    memory_backing_free(m.ram);
    timers_destroy(&m.timers);
    pthread_mutex_destroy(&m.lock);
}

/* -- guests ---------------------------------------------------------------------------------------------- */

static uint8_t *put(uint8_t *to, const char *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return to + size;
}

static uint8_t *put32(uint8_t *to, uint32_t value)
{
    return put(to, (const char *)&value, sizeof value);
}

/* mov %ax, address */
static uint8_t *put_store(uint8_t *to, uint32_t address)
{
    return put32(put(to, "\x66\xa3", 2), address);
}

/* Runs what was put from CODE on, with 32 bits and no paging. */
static void go(void)
{
    const uint16_t data = X86_SEGMENT_PRESENT | X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_WRITABLE |
                          X86_SEGMENT_ACCESSED | X86_SEGMENT_BIG | X86_SEGMENT_GRANULAR;
    struct x86_state s;
    m.engine->vcpu_get_state(m.vcpu, &s);
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        s.segment_base[i] = 0;
        s.segment[i] = (struct x86_segment_register){0x10, data, UINT32_MAX};
    }
    s.segment[X86_CS] = (struct x86_segment_register){
        8, (data & ~X86_SEGMENT_WRITABLE) | X86_SEGMENT_CODE | X86_SEGMENT_READABLE, UINT32_MAX};
    s.cr0 = X86_CR0_PE | X86_CR0_ET;
    s.rip = CODE;
    s.activity = X86_ACTIVE;
    m.engine->vcpu_set_state(m.vcpu, &s);
    assert_int_equal(m.engine->vcpu_run(m.vcpu), ENGINE_STOPPED);
}

static void end_code(uint8_t *at)
{
    put(at, "\xe6\xf4\xf4\xeb\xfd", 5); /* out %al, $FINISH; 1: hlt; jmp 1b */
    memory_backing_written(m.ram, CODE, MEMORY_PAGE_SIZE);
}

/* Writes to both places of the device, several times. */
static void ring(uint32_t device)
{
    uint8_t *at = put32(put(m.ram->host + CODE, "\xb9", 1), TIMES); /* mov $TIMES, %ecx */
    at = put_store(put_store(at, device + SIGNAL), device + PLAIN);
    end_code(put(at, "\xe2\xf2", 2)); /* loop */
    go();
}

/* -- signals --------------------------------------------------------------------------------------------- */

static uint64_t take(int fd)
{
    uint64_t count = 0;
    return read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

static void check_signals(const struct memory_signal *signal, uint32_t device, bool signals)
{
    m.writes = 0;
    ring(device);
    assert_int_equal(take(signal->fd), signals ? TIMES : 0);
    assert_int_equal(m.writes, signals ? TIMES : 2 * TIMES);
}

static void test_signals(const struct engine *engine)
{
    struct error error = ERROR_INIT;
    if (set_up(engine))
        skip();
    struct memory_signal signal = {
        .region = m.device, .offset = SIGNAL, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    check_signals(&signal, DEVICE, false);
    memory_signal_add(&m.map, &signal);
    check_signals(&signal, DEVICE, engine->signals);
    assert_int_equal(memory_region_place(m.device, ELSEWHERE, true, &error), 0);
    check_signals(&signal, ELSEWHERE, engine->signals);
    m.writes = 0;
    ring(DEVICE); /* where nothing is any more */
    assert_int_equal(take(signal.fd) + m.writes, 0);
    assert_int_equal(memory_region_place(m.device, ELSEWHERE, false, &error), 0);
    ring(ELSEWHERE);
    assert_int_equal(take(signal.fd) + m.writes, 0);
    assert_int_equal(memory_region_place(m.device, DEVICE, true, &error), 0);
    check_signals(&signal, DEVICE, engine->signals);
    memory_signal_remove(&m.map, &signal);
    check_signals(&signal, DEVICE, false);
    close(signal.fd);
    tear_down();
}

static void test_signals_translate(void **state)
{
    (void)state;
    assert_false(engine_translate.signals);
    test_signals(&engine_translate);
}

static void test_signals_kvm(void **state)
{
    (void)state;
    assert_true(engine_kvm.signals);
    test_signals(&engine_kvm);
}

/* -- messages -------------------------------------------------------------------------------------------- */

/* The vectors that wait in the local APIC, from 40h on, as bits; they are taken. */
static uint32_t take_vectors(void)
{
    return atomic_exchange(&m.lapic.irr[2], 0);
}

static void connect_bell(int fd, uint32_t data)
{
    assert_true(lapic_bus_connect(&m.bus, fd, 0xfee00000, data));
}

static void test_messages_kvm(void **state)
{
    (void)state;
    if (set_up(&engine_kvm))
        skip();
    const int first = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), second = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const bool can = m.bus.borrower.connect;
    lapic_set_virtual_wire(&m.lapic);
    end_code(m.ram->host + CODE);
    if (can) {
        connect_bell(first, 0x51);
        connect_bell(second, 0x52);
        assert_false(lapic_bus_connect(&m.bus, 99, 0xfee00000, 0xc053)); /* whose end is to be told */
        eventfd_write(first, 1);                                         /* before it runs */
        m.bell = second;                                                 /* and while it does */
        go();
        assert_int_equal(take_vectors(), 1u << 0x11 | 1u << 0x12);
        assert_int_equal(take(first) + take(second), 0);
        lapic_bus_disconnect(&m.bus, first);
        eventfd_write(first, 1);
        go();
        assert_int_equal(take_vectors(), 1u << 0x12);
        assert_int_equal(take(first), 1);
        lapic_bus_disconnect(&m.bus, second);
        connect_bell(second, 0x50);
        go();
        assert_int_equal(take_vectors(), 1u << 0x10);
    }
    tear_down();
    close(first);
    close(second);
    if (!can)
        skip();
}

/* Where no engine takes them, nobody says that one does. */
static void test_messages_translate(void **state)
{
    (void)state;
    assert_int_equal(set_up(&engine_translate), 0);
    assert_false(lapic_bus_connect(&m.bus, 0, 0xfee00000, 0x51));
    tear_down();
}

/* -- written pages --------------------------------------------------------------------------------------- */

enum { PAGE_COUNT = RAM_SIZE >> MEMORY_PAGE_SHIFT };

/* The guest writes to these; the third write is on two pages. */
static const uint32_t targets[] = {0x200000, 0x203ffe, 0x27ffff, 0x9ff123, 0xfff000};
static const unsigned written[] = {0x200, 0x203, 0x27f, 0x280, 0x9ff, 0xfff};

/* Nested paging maps what is fetched from as writable, and KVM then tells it as written: more than was. */
static bool may_be_told(unsigned page)
{
    return m.engine == &engine_kvm && page == CODE / MEMORY_PAGE_SIZE;
}

static void check_pages(const unsigned *pages, unsigned count)
{
    uint64_t taken[PAGE_COUNT / 64];
    unsigned found = 0;
    memset(taken, 0xff, sizeof taken);
    assert_int_equal(memory_backing_take_dirty(m.ram, taken), 0);
    for (unsigned page = 0; page < PAGE_COUNT; page++) {
        if (!(taken[page / 64] >> page % 64 & 1))
            continue;
        if (found < count && page == pages[found])
            found++;
        else
            assert_true(may_be_told(page));
    }
    assert_int_equal(found, count);
}

static void check_written(void)
{
    go();
    check_pages(written, ARRAY_SIZE(written));
    check_pages(NULL, 0);
}

static void test_dirty(const struct engine *engine)
{
    static const unsigned by_device[] = {0x300, 0x301};
    struct error error = ERROR_INIT;
    if (set_up(engine))
        skip();
    uint8_t *at = m.ram->host + CODE;
    for (unsigned i = 0; i < ARRAY_SIZE(targets); i++)
        at = put_store(at, targets[i]);
    end_code(at);
    go();
    assert_int_equal(memory_backing_take_dirty(m.ram, NULL), -EINVAL);
    assert_int_equal(memory_backing_track_dirty(m.ram, true), 0);
    check_pages(NULL, 0);
    check_written();
    check_written();
    assert_int_equal(memory_write(&m.map, 0x300ffc, "device", 6), 0);
    check_pages(by_device, 2);
    /* The memory that was written is in another place before anybody asks. */
    go();
    struct memory_region *hole =
        memory_add_mmio(&m.map, "hole", 0x250000, 0x4000, 1, &device_ops, NULL, &error);
    assert_non_null(hole);
    check_pages(written, ARRAY_SIZE(written));
    check_written();
    assert_int_equal(memory_region_remove(hole, &error), 0);
    check_written();
    /* Begun anew. */
    go();
    assert_int_equal(memory_backing_track_dirty(m.ram, true), 0);
    check_pages(NULL, 0);
    check_written();
    assert_int_equal(memory_backing_track_dirty(m.ram, false), 0);
    go();
    assert_int_equal(memory_backing_take_dirty(m.ram, NULL), -EINVAL);
    assert_int_equal(memory_backing_track_dirty(m.ram, true), 0);
    check_pages(NULL, 0);
    tear_down();
}

static void test_dirty_translate(void **state)
{
    (void)state;
    test_dirty(&engine_translate);
}

static void test_dirty_kvm(void **state)
{
    (void)state;
    test_dirty(&engine_kvm);
}

/* Many pages, one after another. */
static void test_many(const struct engine *engine)
{
    enum { FIRST = 0x100, LAST = 0xeff };
    unsigned pages[LAST - FIRST + 1];
    if (set_up(engine))
        skip();
    uint8_t *at = put32(put(m.ram->host + CODE, "\xbb", 1), FIRST << MEMORY_PAGE_SHIFT); /* mov $..., %ebx */
    at = put(at, "\xff\x03", 2);                                                         /* 1: incl (%ebx) */
    at = put32(put(at, "\x81\xc3", 2), MEMORY_PAGE_SIZE);                                /* add $4096, %ebx */
    at = put32(put(at, "\x81\xfb", 2), (LAST + 1) << MEMORY_PAGE_SHIFT);                 /* cmp $..., %ebx */
    end_code(put(at, "\x72\xf0", 2));                                                    /* jb 1b */
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
        pages[i] = FIRST + i;
    assert_int_equal(memory_backing_track_dirty(m.ram, true), 0);
    for (unsigned i = 0; i < 3; i++) {
        go();
        check_pages(pages, ARRAY_SIZE(pages));
        check_pages(NULL, 0);
        assert_int_equal(m.ram->host[LAST << MEMORY_PAGE_SHIFT], i + 1);
    }
    tear_down();
}

static void test_many_translate(void **state)
{
    (void)state;
    test_many(&engine_translate);
}

static void test_many_kvm(void **state)
{
    (void)state;
    test_many(&engine_kvm);
}

/* -- devices of the host's ------------------------------------------------------------------------------- */

/* Code that such a device has put into the place of other code, without a word. */
static void test_overwritten(const struct engine *engine)
{
    enum { OTHER = 0x3000, RESULT = 0x200000 };
    if (set_up_pinned(engine, true))
        skip();
    uint8_t *at = m.ram->host + OTHER;
    at = put32(put32(put(at, "\xc7\x05", 2), RESULT), 1); /* movl $1, RESULT */
    end_code(at);
    put32(put(m.ram->host + CODE, "\xe9", 1), OTHER - CODE - 5); /* jmp OTHER */
    for (uint8_t i = 1; i < 5; i++) {
        m.ram->host[OTHER + 6] = i;
        go();
        assert_int_equal(m.ram->host[RESULT], i);
    }
    tear_down();
}

static void test_overwritten_translate(void **state)
{
    (void)state;
    test_overwritten(&engine_translate);
}

static void test_overwritten_kvm(void **state)
{
    (void)state;
    test_overwritten(&engine_kvm);
}

/* Registers that the host has mapped: the guest reaches them where they are put, and they are no RAM. */
static void test_mapped(const struct engine *engine)
{
    struct error error = ERROR_INIT;
    static uint8_t registers[2 * MEMORY_PAGE_SIZE] __attribute__((aligned(MEMORY_PAGE_SIZE)));
    if (set_up(engine))
        skip();
    memset(registers, 0, sizeof registers);
    struct memory_backing *backing = memory_backing_wrap("registers", registers, sizeof registers, &error);
    struct memory_region *region =
        memory_add_ram(&m.map, "registers", ELSEWHERE, sizeof registers, 0, backing, 0, &error);
    assert_non_null(region);
    assert_int_equal(memory_backing_track_dirty(m.ram, true), 0);
    uint8_t *at = put(m.ram->host + CODE, "\x66\xb8\x34\x12", 4); /* mov $0x1234, %ax */
    end_code(put_store(at, ELSEWHERE + 0x1008));
    check_pages((unsigned[]){CODE >> MEMORY_PAGE_SHIFT}, 1);
    go();
    assert_int_equal(registers[0x1008] | registers[0x1009] << 8, 0x1234);
    check_pages(NULL, 0);
    memory_discard(&m.map, ELSEWHERE, sizeof registers); /* as a guest's balloon may */
    assert_int_equal(registers[0x1009], 0x12);
    assert_int_equal(memory_region_place(region, ELSEWHERE + 0x10000, true, &error), 0);
    registers[0x1009] = 0;
    go(); /* where nothing is any more */
    assert_int_equal(registers[0x1009], 0);
    assert_int_equal(memory_region_remove(region, &error), 0);
    tear_down();
    memory_backing_free(backing);
    assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0); /* nothing else was closed with it */
}

static void test_mapped_translate(void **state)
{
    (void)state;
    test_mapped(&engine_translate);
}

static void test_mapped_kvm(void **state)
{
    (void)state;
    test_mapped(&engine_kvm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals_translate),     cmocka_unit_test(test_signals_kvm),
        cmocka_unit_test(test_messages_translate),    cmocka_unit_test(test_messages_kvm),
        cmocka_unit_test(test_dirty_translate),       cmocka_unit_test(test_dirty_kvm),
        cmocka_unit_test(test_many_translate),        cmocka_unit_test(test_many_kvm),
        cmocka_unit_test(test_overwritten_translate), cmocka_unit_test(test_overwritten_kvm),
        cmocka_unit_test(test_mapped_translate),      cmocka_unit_test(test_mapped_kvm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
