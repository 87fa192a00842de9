/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_async_fault: a guest that is told of page faults of the host's, and of their ends, wherever the local
 * APICs are, and that goes on elsewhere while it waits. The fault is real: a page of the guest's memory comes
 * by userfaultfd, when the test says so.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86/segment.h"
#include "base/macros.h"
#include "engine/async_fault.h"
#include "engine/engine.h"

enum {
    RAM_SIZE = 16 << 20,
    GUEST = 0x1000, /* to SLOW: as async_fault_guest.S has it */
    RESULTS = 0x2000,
    AREA = 0x3000,
    SLOW = 0x400000,
    VECTOR = 0xe0,
    TELL = 0xf4,
    TSS = 0x6000,
    STACK = 0x7000,
    GDT = 0x7000,
    IDT = 0x8000,
    TABLES = 0x9000, /* of pages: three levels, with pages of 2 MiB */
    MSR_SVR = 0x80f,
};
#define ALL UINT32_MAX

extern const uint8_t async_guest_begin[], async_guest_end[], async_guest_fault[], async_guest_ready[];

struct results {
    uint32_t faults, fault, ends, end, woken, value;
};

static const struct place {
    const struct engine *engine;
    enum engine_irqchip irqchip;
} translate = {&engine_translate, ENGINE_IRQCHIP_AUTO}, split = {&engine_kvm, ENGINE_IRQCHIP_SPLIT},
  user = {&engine_kvm, ENGINE_IRQCHIP_USER};

static struct {
    const struct engine *engine;
    pthread_mutex_t lock;
    struct memory_map map;
    struct memory_backing *ram;
    struct io_space io;
    struct timers timers;
    struct lapic_bus bus;
    struct lapic lapic, *lapics[1];
    struct x86_model model;
    struct engine_vm *vm;
    struct engine_vcpu *vcpu;
    volatile struct results *results; /* in the guest's memory */
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
    if (m.vcpu)
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

static void tell(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)value;
    m.engine->vcpu_stop(m.vcpu);
}

static const struct access_ops tell_ops = {NULL, tell, 4};

static void put64(uint32_t address, uint64_t value)
{
    memcpy(m.ram->host + address, &value, sizeof value);
}

static void put_gate(unsigned vector, const uint8_t *handler)
{
    const uint64_t address = GUEST + (uint64_t)(handler - async_guest_begin);
    put64(IDT + 16 * vector, address | 8 << 16 | UINT64_C(0x8e00) << 32);
}

static void put_guest(void)
{
    memcpy(m.ram->host + GUEST, async_guest_begin, (size_t)(async_guest_end - async_guest_begin));
    put64(GDT + 8, UINT64_C(0xaf9b000000ffff));
    put64(GDT + 16, UINT64_C(0xcf93000000ffff));
    put64(GDT + 24, UINT64_C(0xcff3000000ffff));
    put64(GDT + 32, UINT64_C(0xaffb000000ffff));
    put64(TSS + 4, STACK);
    put_gate(X86_PF, async_guest_fault);
    put_gate(VECTOR, async_guest_ready);
    put64(TABLES, (TABLES + 0x1000) | 7);
    put64(TABLES + 0x1000, (TABLES + 0x2000) | 7);
    for (uint32_t i = 0; i < RAM_SIZE >> 21; i++)
        put64(TABLES + 0x2000 + 8 * i, i << 21 | 0x87);
}

static void put_registers(struct x86_state *s)
{
    const uint16_t data = X86_SEGMENT_PRESENT | X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_WRITABLE |
                          X86_SEGMENT_ACCESSED | X86_SEGMENT_BIG | X86_SEGMENT_GRANULAR;
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        s->segment_base[i] = 0;
        s->segment[i] = (struct x86_segment_register){0x10, data, UINT32_MAX};
    }
    s->segment[X86_CS] =
        (struct x86_segment_register){8,
                                      (data & ~(X86_SEGMENT_WRITABLE | X86_SEGMENT_BIG)) | X86_SEGMENT_CODE |
                                          X86_SEGMENT_READABLE | X86_SEGMENT_LONG,
                                      UINT32_MAX};
    s->gdtr = (struct x86_table_register){GDT, 5 * 8 - 1};
    s->idtr = (struct x86_table_register){IDT, 0xfff};
    s->tr = (struct x86_segment_register){0x28, X86_SEGMENT_PRESENT | X86_TYPE_TSS_BUSY, 0x67};
    s->tr_base = TSS;
    s->cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_ET;
    s->cr3 = TABLES;
    s->cr4 = X86_CR4_PAE;
    s->efer = X86_EFER_LME | X86_EFER_LMA;
    s->gpr[X86_RSP] = STACK;
    s->rip = GUEST;
    s->activity = X86_ACTIVE;
}

/* Under this engine from now on. */
static void enter(const struct place *place)
{
    struct error error = ERROR_INIT;
    const struct engine_machine machine = {
        .memory = &m.map,
        .ram = m.ram,
        .io = &m.io,
        .lock = &m.lock,
        .clock = {now, NULL},
        .lapics = m.lapics,
        .vcpu_count = 1,
        .model = &m.model,
        .irqchip = place->irqchip,
        .pic_acknowledge = pic_acknowledge,
    };
    m.engine = place->engine;
    if (m.engine->vm_new(&m.vm, &machine, &error) || m.engine->vcpu_new(&m.vcpu, m.vm, 0, &error))
        fail_msg("%s", error.message);
}

static void leave(void)
{
    m.engine->vcpu_free(m.vcpu);
    m.engine->vm_free(m.vm);
    m.vm = NULL;
    m.vcpu = NULL;
}

static bool set_up(const struct place *place)
{
    struct error error = ERROR_INIT;
    struct x86_state s;
    memset(&m, 0, sizeof m);
    if (engine_kvm.probe(&error) && place->engine == &engine_kvm)
        return false;
    pthread_mutex_init(&m.lock, NULL);
    assert_int_equal(memory_map_init(&m.map, (1ull << 36) - 1, &error), 0);
    m.ram = memory_backing_create("ram", RAM_SIZE, &error);
    assert_non_null(memory_add_ram(&m.map, "ram", 0, RAM_SIZE, 0, m.ram, 0, &error));
    assert_int_equal(io_space_init(&m.io, &error), 0);
    assert_non_null(io_add(&m.io, "tell", TELL, 4, 0, &tell_ops, NULL, &error));
    timers_init(&m.timers, (struct clock){now, NULL});
    m.lapics[0] = &m.lapic;
    m.bus = (struct lapic_bus){.lapics = m.lapics, .count = 1, .host = {kick, eoi, NULL}};
    lapic_init(&m.lapic, &m.bus, 0, 0, 36, &m.timers);
    m.lapic.base |= LAPIC_BASE_X2APIC;
    assert_true(lapic_msr_write(&m.lapic, MSR_SVR, 0x1ff));
    assert_int_equal(x86_model_parse(&m.model, "x86-64-v1", &error), 0);
    if (place->engine->fit && place->engine->fit(&m.model, &error))
        fail_msg("%s", error.message);
    m.results = (volatile struct results *)(m.ram->host + RESULTS);
    put_guest();
    enter(place);
    m.engine->vcpu_get_state(m.vcpu, &s);
    put_registers(&s);
    m.engine->vcpu_set_state(m.vcpu, &s);
    return true;
}

static void tear_down(void)
{
    leave();
    io_space_destroy(&m.io);
    memory_map_destroy(&m.map);
    memory_backing_free(m.ram);
    timers_destroy(&m.timers);
    pthread_mutex_destroy(&m.lock);
}

static void go(void)
{
    assert_int_equal(m.engine->vcpu_run(m.vcpu), ENGINE_STOPPED);
}

static void go_on_under(const struct place *place)
{
    struct x86_state s;
    m.engine->vcpu_get_state(m.vcpu, &s);
    leave();
    enter(place);
    m.engine->vcpu_set_state(m.vcpu, &s);
}

/* -- a page that comes when it is told to ---------------------------------------------------------------- */

#define PATIENCE 300 /* times 10 ms, after which a host that does not tell is helped out of its wait */
#define LIFETIME 60  /* seconds, after which the page is there in any case */

/* A process of its own has the page: one that waits in KVM for the page cannot be killed before that comes.
 */
static struct {
    pid_t pid;
    int orders, news; /* pipes: closed, the page is to come; somebody waits for it */
    pthread_t thread;
    bool watched; /* the thread is there */
    bool stops;   /* the vCPU, as soon as somebody waits */
    _Atomic bool come, unsaid;
} page;

/* Until it is ordered, or nobody is there any more who would. */
static void serve(int fd, uint64_t address, int orders, int news)
{
    uint8_t bytes[MEMORY_PAGE_SIZE] = {0x34, 0x12}, byte = 0;
    struct uffdio_copy copy = {.dst = address, .src = (uintptr_t)bytes, .len = sizeof bytes};
    struct uffd_msg message;
    struct pollfd polled[] = {{.fd = fd, .events = POLLIN}, {.fd = orders, .events = POLLIN}};
    alarm(LIFETIME);
    while (poll(polled, 2, -1) > 0) {
        if (polled[0].revents && read(fd, &message, sizeof message) == sizeof message &&
            write(news, &byte, 1) != 1)
            break;
        if (polled[1].revents)
            break;
    }
    ioctl(fd, UFFDIO_COPY, &copy);
}

static void page_come(void)
{
    if (atomic_exchange(&page.come, true))
        return;
    close(page.orders);
    waitpid(page.pid, NULL, 0);
}

static void wait_10_ms(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* Somebody waits for the page: the kernel, and the guest is told, or the vCPU's own thread. */
static void *watch(void *opaque)
{
    uint8_t byte;
    (void)opaque;
    if (read(page.news, &byte, 1) != 1)
        return NULL;
    if (page.stops)
        m.engine->vcpu_stop(m.vcpu);
    for (unsigned i = 0; i < PATIENCE && !m.results->faults && !page.stops; i++)
        wait_10_ms();
    page.unsaid = !m.results->faults && !page.stops;
    if (page.unsaid)
        page_come();
    return NULL;
}

/* Makes the page slow, if this process may. */
static bool page_make(bool stops)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register area = {.range = {(uintptr_t)m.ram->host + SLOW, MEMORY_PAGE_SIZE},
                                   .mode = UFFDIO_REGISTER_MODE_MISSING};
    int orders[2], news[2];
    const int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &area) < 0) {
        close(fd);
        return false;
    }
    assert_int_equal(pipe(orders) | pipe(news), 0);
    page.pid = fork();
    if (page.pid == 0) {
        setsid();
        close(orders[1]);
        close(news[0]);
        serve(fd, area.range.start, orders[0], news[1]);
        _exit(0);
    }
    close(fd);
    close(orders[0]);
    close(news[1]);
    page.orders = orders[1];
    page.news = news[0];
    page.come = page.unsaid = false;
    page.stops = stops;
    assert_int_equal(pthread_create(&page.thread, NULL, watch, NULL), 0);
    page.watched = true;
    return true;
}

/* Waits until somebody has waited for it, or nobody can any more. */
static void page_noticed(void)
{
    if (page.watched)
        pthread_join(page.thread, NULL);
    page.watched = false;
}

static void page_free(void)
{
    page_come();
    page_noticed();
    close(page.news);
}

/* -- registers ------------------------------------------------------------------------------------------- */

static bool msr_write(uint32_t msr, uint64_t value)
{
    struct x86_state s = {0};
    const struct async_fault fault = {&m.model, &m.map, &m.lapic, &s};
    return async_fault_msr_write(&fault, msr, value) &&
           async_fault_msr_read(&s, msr) == (msr == ASYNC_FAULT_ACKNOWLEDGE ? 0 : value);
}

static void test_msr_values(void **state)
{
    (void)state;
    assert_true(set_up(&translate));
    assert_true(msr_write(ASYNC_FAULT_ENABLE, AREA | 0xb));
    assert_true(msr_write(ASYNC_FAULT_ENABLE, 0));
    assert_true(msr_write(ASYNC_FAULT_ENABLE, RAM_SIZE | 2)); /* not enabled */
    assert_false(msr_write(ASYNC_FAULT_ENABLE, RAM_SIZE | 9));
    assert_false(msr_write(ASYNC_FAULT_ENABLE, AREA | 0xd));
    assert_false(msr_write(ASYNC_FAULT_ENABLE, AREA | 0x19));
    assert_false(msr_write(ASYNC_FAULT_ENABLE, AREA | 0x29));
    assert_true(msr_write(ASYNC_FAULT_VECTOR, 0xff));
    assert_false(msr_write(ASYNC_FAULT_VECTOR, 0x100));
    assert_true(msr_write(ASYNC_FAULT_ACKNOWLEDGE, 1));
    assert_true(async_fault_has_msr(&m.model, ASYNC_FAULT_ENABLE));
    assert_false(async_fault_has_msr(&m.model, ASYNC_FAULT_ENABLE + 1));
    struct error error = ERROR_INIT;
    assert_int_equal(x86_model_parse(&m.model, "max,-kvm-asyncpf", &error), 0);
    assert_false(async_fault_has_msr(&m.model, ASYNC_FAULT_ENABLE));
    tear_down();
}

/* The end of all is told as soon as it can be, and no second time. */
static void test_told_when_it_can_be(void **state)
{
    struct x86_state s = {0};
    const struct async_fault fault = {&m.model, &m.map, &m.lapic, &s};
    uint32_t token = 7;
    (void)state;
    assert_true(set_up(&translate));
    volatile uint32_t *const place = (volatile uint32_t *)(m.ram->host + AREA + 4);
    *place = token;
    assert_true(async_fault_msr_write(&fault, ASYNC_FAULT_VECTOR, VECTOR));
    assert_true(async_fault_msr_write(&fault, ASYNC_FAULT_ENABLE, AREA | 9));
    assert_int_equal(*place, token);
    assert_int_equal(lapic_pending(&m.lapic), LAPIC_NONE);
    *place = 0;
    assert_true(lapic_msr_write(&m.lapic, MSR_SVR, 0xff));
    lapic_take_events(&m.lapic);
    assert_true(async_fault_msr_write(&fault, ASYNC_FAULT_ACKNOWLEDGE, 1));
    assert_int_equal(*place, 0);
    assert_true(lapic_msr_write(&m.lapic, MSR_SVR, 0x1ff));
    assert_true(lapic_has_events(&m.lapic)); /* whereupon the engine asks again */
    async_fault_tell(&fault);
    assert_int_equal(*place, ALL);
    assert_int_equal(lapic_acknowledge(&m.lapic), VECTOR);
    *place = 0;
    assert_true(async_fault_msr_write(&fault, ASYNC_FAULT_ACKNOWLEDGE, 1));
    async_fault_tell(&fault);
    assert_int_equal(*place, 0);
    x86_state_init(&s, &m.model);
    assert_int_equal(async_fault_msr_read(&s, ASYNC_FAULT_ENABLE), 0);
    assert_int_equal(async_fault_msr_read(&s, ASYNC_FAULT_VECTOR), 0);
    tear_down();
}

/* -- guests ---------------------------------------------------------------------------------------------- */

static void assert_results(uint32_t faults, uint32_t ends, uint32_t end)
{
    assert_int_equal(m.results->faults, faults);
    assert_int_equal(m.results->ends, ends);
    assert_int_equal(m.results->end, end);
}

/* Who enables it is told of one end of all, and goes on with that where nobody is to be told of another. */
static void enable(const struct place *place)
{
    if (!set_up(place))
        skip();
    go();
    assert_results(0, 1, ALL);
    m.ram->host[SLOW] = 1;
    go();
    assert_int_equal(m.results->value, 1);
    assert_results(0, 1, ALL);
    tear_down();
}

static void test_enable_translate(void **state)
{
    (void)state;
    enable(&translate);
}

static void test_enable_split(void **state)
{
    (void)state;
    enable(&split);
}

static void test_enable_user(void **state)
{
    (void)state;
    enable(&user);
}

/* A guest that was told of a fault. False: none here can be. */
static bool make_told(void)
{
    if (!set_up(&split))
        return false;
    go();
    assert_results(0, 1, ALL);
    if (!page_make(false)) {
        tear_down();
        return false;
    }
    go();
    if (!page.unsaid)
        return true;
    page_free();
    tear_down();
    return false;
}

static void tell_end(uint32_t end)
{
    go();
    assert_int_equal(m.results->value, 0x1234);
    assert_results(1, 2, end);
    page_free();
    tear_down();
}

/* The kernel keeps what it has told of while the machine stands still, and nothing else is told. */
static void test_stop(void **state)
{
    (void)state;
    if (!make_told())
        skip();
    const uint32_t fault = m.results->fault;
    assert_int_not_equal(fault, ALL);
    for (unsigned i = 0; i < 3; i++) {
        m.engine->vcpu_stop(m.vcpu);
        go();
    }
    assert_results(1, 1, ALL);
    page_come();
    tell_end(fault);
}

/* Where nobody knows of the fault. */
static void go_on_told(const struct place *place)
{
    if (!make_told())
        skip();
    page_come();
    go_on_under(place);
    tell_end(ALL);
}

static void test_go_on_translate(void **state)
{
    (void)state;
    go_on_told(&translate);
}

static void test_go_on_user(void **state)
{
    (void)state;
    go_on_told(&user);
}

static void test_go_on_split(void **state)
{
    (void)state;
    go_on_told(&split);
}

/* Stopped when the kernel has begun to tell: what is on its way is not lost. */
static void test_stop_while_telling(void **state)
{
    (void)state;
    if (!set_up(&split))
        skip();
    go();
    if (!page_make(true)) {
        tear_down();
        skip();
    }
    go();
    page_noticed();
    page_come();
    go_on_under(&translate);
    while (!m.results->value)
        go();
    assert_int_equal(m.results->value, 0x1234);
    assert_results(1, 2, ALL);
    page_free();
    tear_down();
}

static void *stop_later(void *opaque)
{
    (void)opaque;
    for (unsigned i = 0; i < 20; i++)
        wait_10_ms();
    m.engine->vcpu_stop(m.vcpu);
    return NULL;
}

/* A guest that does not wait has the kernel halt its processor; a reset ends that. */
static void test_reset(void **state)
{
    struct error error = ERROR_INIT;
    struct x86_state s;
    pthread_t thread;
    (void)state;
    if (!make_told())
        skip();
    m.results->woken = 1;
    assert_int_equal(pthread_create(&thread, NULL, stop_later, NULL), 0);
    go();
    pthread_join(thread, NULL);
    assert_int_equal(m.results->value, 0);
    page_come();
    m.engine->vcpu_free(m.vcpu);
    m.vcpu = NULL;
    if (m.engine->vcpu_new(&m.vcpu, m.vm, 0, &error))
        fail_msg("%s", error.message);
    memset((void *)m.results, 0, sizeof *m.results);
    m.engine->vcpu_get_state(m.vcpu, &s);
    put_registers(&s);
    m.engine->vcpu_set_state(m.vcpu, &s);
    go();
    assert_results(0, 1, ALL);
    page_free();
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_msr_values),
        cmocka_unit_test(test_told_when_it_can_be),
        cmocka_unit_test(test_enable_translate),
        cmocka_unit_test(test_enable_split),
        cmocka_unit_test(test_enable_user),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_go_on_translate),
        cmocka_unit_test(test_go_on_user),
        cmocka_unit_test(test_go_on_split),
        cmocka_unit_test(test_stop_while_telling),
        cmocka_unit_test(test_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
