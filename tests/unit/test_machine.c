/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a machine, on the board of a PC, with an engine whose vCPUs play scripts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "machine/pc.h"
#include "machine/pc_private.h"

/* -- the engine ------------------------------------------------------------------------------------------ */

#define VCPUS 4
#define BOOTS 4

enum act {
    OUT,   /* value to port */
    WAIT,  /* until bits of value are set in what the port reads */
    HALT,  /* until a kick */
    SPIN,  /* until a stop */
    LEAVE, /* with the exit `value` */
    RING,  /* value to port, and all signals that there are at once */
    MARK   /* says that it is there */
};

struct step {
    enum act act;
    uint16_t port;
    unsigned size;
    uint32_t value;
};

struct engine_vm {
    const struct engine_machine *machine;
};

struct engine_vcpu {
    struct engine_vm *vm;
    unsigned index;
    const struct step *step;
    _Atomic bool stop, kick;
    struct x86_state state;
};

static const struct step off[] = {{OUT, 0x604, 2, 0x3400}, {.act = SPIN}};
static const struct step spin[] = {{.act = MARK}, {.act = SPIN}};
static const struct step halt[] = {{.act = HALT}, {.act = SPIN}};

static const struct step *scripts[BOOTS][VCPUS]; /* by boot; NULL: spins */
static unsigned boots, fail_at;                  /* vCPUs made before one fails */
static _Atomic unsigned made, alive, inside, there;
static struct x86_state started;

static int fake_vm_new(struct engine_vm **out, const struct engine_machine *machine, struct error *error)
{
    struct engine_vm *vm = calloc(1, sizeof *vm);
    (void)error;
    vm->machine = machine;
    *out = vm;
    return 0;
}

static void fake_vm_free(struct engine_vm *vm)
{
    assert_int_equal(alive, 0);
    free(vm);
}

static int fake_vcpu_new(struct engine_vcpu **out, struct engine_vm *vm, unsigned index, struct error *error)
{
    if (made == fail_at)
        return error_set(error, -EMFILE, "no more vCPUs");
    struct engine_vcpu *vcpu = calloc(1, sizeof *vcpu);
    vcpu->vm = vm;
    vcpu->index = index;
    vcpu->step = scripts[boots][index] ? scripts[boots][index] : spin;
    vcpu->state.rip = 0xfff0;
    boots += index == vm->machine->vcpu_count - 1;
    made++;
    alive++;
    *out = vcpu;
    return 0;
}

static void fake_vcpu_free(struct engine_vcpu *vcpu)
{
    alive--;
    free(vcpu);
}

static void step_sleep(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

/* One step; ENGINE_STOPPED: go on. */
static enum engine_exit fake_step(struct engine_vcpu *vcpu)
{
    const struct engine_machine *machine = vcpu->vm->machine;
    const struct step *step = vcpu->step;
    uint32_t value = 0;
    switch (step->act) {
    case OUT:
    case WAIT:
        pthread_mutex_lock(machine->lock);
        if (step->act == OUT)
            io_write(machine->io, step->port, step->size, step->value);
        else
            value = io_read(machine->io, step->port, step->size);
        pthread_mutex_unlock(machine->lock);
        vcpu->step += step->act == OUT || (value & step->value);
        break;
    case HALT: vcpu->step += atomic_exchange(&vcpu->kick, false); break;
    case LEAVE: vcpu->step++; return (enum engine_exit)step->value;
    case MARK:
        there++;
        vcpu->step++;
        break;
    case RING:
        pthread_mutex_lock(machine->lock);
        io_write(machine->io, step->port, step->size, step->value);
        for (const struct memory_signal *s = machine->memory->signals; s; s = s->next)
            assert_int_equal(write(s->fd, &(uint64_t){1}, 8), 8);
        pthread_mutex_unlock(machine->lock);
        vcpu->step++;
        break;
    case SPIN: break;
    }
    return ENGINE_STOPPED;
}

static enum engine_exit fake_vcpu_run(struct engine_vcpu *vcpu)
{
    enum engine_exit reason = ENGINE_STOPPED;
    inside++;
    while (reason == ENGINE_STOPPED && !atomic_exchange(&vcpu->stop, false)) {
        const struct step *before = vcpu->step;
        reason = fake_step(vcpu);
        if (vcpu->step == before)
            step_sleep();
    }
    inside--;
    return reason;
}

static void fake_vcpu_kick(struct engine_vcpu *vcpu)
{
    vcpu->kick = true;
}

static void fake_vcpu_stop(struct engine_vcpu *vcpu)
{
    vcpu->stop = true;
}

static void fake_get_state(struct engine_vcpu *vcpu, struct x86_state *state)
{
    *state = vcpu->state;
}

static void fake_set_state(struct engine_vcpu *vcpu, const struct x86_state *state)
{
    vcpu->state = started = *state;
}

static const struct engine fake_engine = {
    .name = "fake",
    .vm_new = fake_vm_new,
    .vm_free = fake_vm_free,
    .vcpu_new = fake_vcpu_new,
    .vcpu_free = fake_vcpu_free,
    .vcpu_run = fake_vcpu_run,
    .vcpu_kick = fake_vcpu_kick,
    .vcpu_stop = fake_vcpu_stop,
    .vcpu_get_state = fake_get_state,
    .vcpu_set_state = fake_set_state,
};

/* -- making machines ------------------------------------------------------------------------------------- */

static struct pc_config pc_config;
static struct machine_config config;

static int set_up(void **state)
{
    (void)state;
    memset(scripts, 0, sizeof scripts);
    boots = 0;
    made = there = 0;
    fail_at = UINT32_MAX;
    pc_config = (struct pc_config){.debug_exit = 0xf4, .serial_count = PC_SERIALS};
    config = (struct machine_config){.type = &machine_pc,
                                     .engine = &fake_engine,
                                     .model = {.physical_bits = 40},
                                     .vcpu_count = 1,
                                     .memory = 16 << 20,
                                     .board = &pc_config};
    return 0;
}

static struct machine *machine_make(void)
{
    struct error error = ERROR_INIT;
    struct machine *machine = NULL;
    int code = machine_new(&machine, &config, &error);
    if (code)
        error_report(&error);
    assert_int_equal(code, 0);
    return machine;
}

static enum machine_end run(void)
{
    struct machine *machine = machine_make();
    enum machine_end end = machine_run(machine);
    assert_int_equal(inside, 0);
    machine_free(machine);
    return end;
}

static void *run_thread(void *opaque)
{
    return (void *)(uintptr_t)machine_run(opaque);
}

static pthread_t start(struct machine *machine)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_thread, machine), 0);
    return thread;
}

static enum machine_end join(pthread_t thread)
{
    void *end;
    pthread_join(thread, &end);
    return (enum machine_end)(uintptr_t)end;
}

/* -- ends ------------------------------------------------------------------------------------------------ */

static void test_power_off(void **state)
{
    (void)state;
    config.vcpu_count = VCPUS;
    scripts[0][0] = off;
    scripts[0][1] = halt;
    assert_int_equal(run(), MACHINE_OFF);
    assert_int_equal(made, VCPUS);
    assert_int_equal(alive, 0);
}

static struct machine *ringing;
static struct signal *bells[3];
static unsigned rung[ARRAY_SIZE(bells)];

static void bell_rung(void *device, unsigned number)
{
    assert_ptr_equal(device, bells);
    rung[number]++;
    if (number != 1)
        return;
    ringing->signal_host.close(ringing, bells[1]);
    bells[1] = NULL;
}

static void bells_ended(void *opaque, const struct machine_news *news)
{
    unsigned *missing = opaque;
    for (unsigned k = 0; news->kind == MACHINE_ENDS && k < ARRAY_SIZE(bells); k++)
        *missing += rung[k] != 1;
}

/* What the guest has asked for by a signal is done before the machine stands still, or ends. */
static void test_signals(void **state)
{
    static const struct step ring[] = {{RING, 0x604, 2, 0x3400}, {.act = SPIN}};
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        boots = 0;
        scripts[0][0] = ring;
        memset(rung, 0, sizeof rung);
        unsigned missing = 0;
        struct machine_observer observer = {.happened = bells_ended, .opaque = &missing};
        ringing = machine_make();
        machine_observe(ringing, &observer);
        for (unsigned k = 0; k < ARRAY_SIZE(bells); k++)
            bells[k] = ringing->signal_host.open(ringing->signal_host.opaque, ringing->memory.regions, 16 * k,
                                                 bell_rung, bells, k);
        assert_int_equal(machine_run(ringing), MACHINE_OFF);
        assert_int_equal(missing, 0);
        machine_free(ringing);
    }
}

/* Where the guest sees a huge page, the host can have one: below 4 GiB and above. */
static void test_huge_pages_agree(void **state)
{
    (void)state;
    const uint64_t huge = UINT64_C(2) << 20;
    bool above = false;
    config.memory = UINT64_C(5) << 30;
    struct machine *machine = machine_make();
    const struct memory_view *view = machine->memory.view;
    for (unsigned i = 0; i < view->count; i++) {
        if (view->ranges[i].region->kind != MEMORY_RAM)
            continue;
        assert_int_equal((view->ranges[i].start - (uintptr_t)view->ranges[i].host) % huge, 0);
        above |= view->ranges[i].start >> 32;
    }
    assert_true(above);
    machine_free(machine);
}

static void test_resets(void **state)
{
    (void)state;
    /* By the reset control register, port 92h and the keyboard controller; then off. */
    static const struct step cf9[] = {
        {OUT, 0x21, 1, 0xa5}, {OUT, 0xcf9, 1, 2}, {OUT, 0xcf9, 1, 6}, {.act = SPIN}};
    static const struct step port92[] = {{OUT, 0x92, 1, 1}, {.act = SPIN}};
    static const struct step i8042[] = {{OUT, 0x64, 1, 0xfe}, {.act = SPIN}};
    scripts[0][0] = cf9;
    scripts[1][0] = port92;
    scripts[2][0] = i8042;
    scripts[3][0] = off;
    config.vcpu_count = 2;
    struct machine *machine = machine_make();
    struct pc *pc = machine->board;
    assert_int_equal(machine_run(machine), MACHINE_OFF);
    assert_int_equal(boots, 4);
    assert_int_equal(made, 8);
    assert_int_equal(pc->pic.chips[0].imr, 0); /* reset with the rest */
    machine_free(machine);

    set_up(NULL);
    scripts[0][0] = cf9;
    config.no_reboot = true;
    assert_int_equal(run(), MACHINE_RESET);
    assert_int_equal(boots, 1);
}

static void test_triple_fault(void **state)
{
    (void)state;
    static const struct step fault[] = {{.act = LEAVE, .value = ENGINE_SHUTDOWN}, {.act = SPIN}};
    scripts[0][0] = fault;
    scripts[1][0] = off;
    assert_int_equal(run(), MACHINE_OFF);
    assert_int_equal(boots, 2);
    set_up(NULL);
    scripts[0][0] = fault;
    config.no_reboot = true;
    assert_int_equal(run(), MACHINE_SHUTDOWN);
}

static void test_told(void **state)
{
    (void)state;
    static const struct step panic[] = {{OUT, 0x505, 1, 1}, {.act = SPIN}};
    static const struct step crash_kernel[] = {{OUT, 0x505, 1, 2}, {OUT, 0xf4, 4, 0x21}, {.act = SPIN}};
    static const struct step failed[] = {{.act = LEAVE, .value = ENGINE_FAILED}, {.act = SPIN}};
    scripts[0][0] = panic;
    assert_int_equal(run(), MACHINE_PANIC);
    set_up(NULL);
    scripts[0][0] = crash_kernel;
    struct machine *machine = machine_make();
    assert_int_equal(machine_run(machine), MACHINE_TOLD);
    assert_int_equal(machine->status, 0x43);
    machine_free(machine);
    set_up(NULL);
    config.vcpu_count = 2;
    scripts[0][1] = failed;
    assert_int_equal(run(), MACHINE_FAILED);
}

/* The guest is asked, and does so. */
static void test_power_button(void **state)
{
    (void)state;
    static const struct step obeys[] = {{OUT, 0x602, 2, 0x100},
                                        {.act = MARK},
                                        {WAIT, 0x600, 2, 0x100},
                                        {OUT, 0x604, 2, 0x3400},
                                        {.act = SPIN}};
    scripts[0][0] = obeys;
    struct machine *machine = machine_make();
    pthread_t thread = start(machine);
    while (!there)
        step_sleep();
    machine_request(machine, MACHINE_REQUEST_POWER_BUTTON);
    assert_int_equal(join(thread), MACHINE_OFF);
    machine_free(machine);
}

/* One that has not asked to be told is ended. */
static void test_deaf(void **state)
{
    (void)state;
    struct machine *machine = machine_make();
    pthread_t thread = start(machine);
    while (!there)
        step_sleep();
    machine_request(machine, MACHINE_REQUEST_POWER_BUTTON);
    assert_int_equal(join(thread), MACHINE_ENDED);
    machine_free(machine);
}

static void test_end_from_outside(void **state)
{
    (void)state;
    config.vcpu_count = VCPUS;
    scripts[0][2] = halt;
    struct machine *machine = machine_make();
    pthread_t thread = start(machine);
    while (there < VCPUS - 1)
        step_sleep();
    machine_request(machine, MACHINE_REQUEST_END);
    assert_int_equal(join(thread), MACHINE_ENDED);
    assert_int_equal(inside, 0);
    machine_free(machine);

    /* Asked for before it runs; of two ends the later in the list. */
    machine = machine_make();
    machine_request(machine, MACHINE_REQUEST_END);
    machine_request(machine, MACHINE_REQUEST_OFF);
    assert_int_equal(machine_run(machine), MACHINE_ENDED);
    machine_free(machine);
}

/* -- observers ------------------------------------------------------------------------------------------- */

static char story[256]; /* what an observer was told, a letter each: kind, end and asker where they count */

static void happened(void *opaque, const struct machine_news *news)
{
    static const char kinds[] = "SGBRE", askers[] = "gstc";
    const struct machine *machine = opaque;
    size_t size = strlen(story);
    assert_int_equal(pthread_mutex_trylock((pthread_mutex_t *)(uintptr_t)&machine->lock), EBUSY);
    snprintf(story + size, sizeof story - size, "%c", kinds[news->kind]);
    if (news->kind == MACHINE_RESTARTS || news->kind == MACHINE_ENDS)
        snprintf(story + size + 1, sizeof story - size - 1, "%d%c", news->end, askers[news->asker]);
}

static void wait_story(struct machine *machine, const char *wanted)
{
    for (bool there_yet = false; !there_yet; step_sleep()) {
        pthread_mutex_lock(&machine->lock);
        there_yet = !strcmp(story, wanted);
        pthread_mutex_unlock(&machine->lock);
    }
}

static struct machine *observed(struct machine_observer *observer)
{
    struct machine *machine = machine_make();
    *observer = (struct machine_observer){.happened = happened, .opaque = machine};
    story[0] = '\0';
    machine_observe(machine, observer);
    return machine;
}

/* All that happens, once, in order, and who has wanted it. */
static void test_news(void **state)
{
    (void)state;
    struct machine_observer observer;
    struct machine *machine = observed(&observer);
    pthread_t thread = start(machine);
    machine_pause(machine, MACHINE_PAUSE_USER);
    wait_story(machine, "S");
    machine_pause(machine, MACHINE_PAUSE_SPACE); /* stands still already */
    machine_resume(machine, MACHINE_PAUSE_USER);
    machine_resume(machine, MACHINE_PAUSE_SPACE);
    wait_story(machine, "SG");
    machine_ask(machine, MACHINE_REQUEST_RESET, MACHINE_CONTROL);
    wait_story(machine, "SGR1c");
    machine_request(machine, MACHINE_REQUEST_RESET); /* as the guest's devices do */
    wait_story(machine, "SGR1cR1g");
    machine_ask(machine, MACHINE_REQUEST_POWER_BUTTON, MACHINE_SIGNAL); /* it has no ear for that */
    assert_int_equal(join(thread), MACHINE_ENDED);
    assert_string_equal(story, "SGR1cR1gBE5s");
    machine_forget(machine, &observer);
    machine_forget(machine, &observer);
    assert_null(machine->observers);
    machine_free(machine);

    set_up(NULL);
    config.no_reboot = true;
    machine = observed(&observer);
    machine_ask(machine, MACHINE_REQUEST_RESET, MACHINE_TERMINAL);
    assert_int_equal(machine_run(machine), MACHINE_RESET);
    assert_string_equal(story, "E1t");
    machine_free(machine);

    set_up(NULL);
    scripts[0][0] = off;
    machine = observed(&observer);
    assert_int_equal(machine_run(machine), MACHINE_OFF);
    assert_string_equal(story, "E0g");
    machine_free(machine);
}

/* -- pauses ---------------------------------------------------------------------------------------------- */

static void *wait_paused(struct machine *machine, bool paused)
{
    bool is = !paused;
    while (is != paused) {
        step_sleep();
        pthread_mutex_lock(&machine->lock);
        is = machine->paused;
        pthread_mutex_unlock(&machine->lock);
    }
    return NULL;
}

static _Atomic unsigned due;

static void timer_due(void *opaque)
{
    (void)opaque;
    due++;
}

static void test_pause(void **state)
{
    (void)state;
    config.vcpu_count = VCPUS;
    struct machine *machine = machine_make();
    struct timer timer;
    assert_int_equal(clock_now(&machine->clock), 0);
    timer_init(&timer, &machine->timers, timer_due, NULL);
    pthread_t thread = start(machine);
    while (there < VCPUS)
        step_sleep();
    machine_pause(machine, MACHINE_PAUSE_USER);
    machine_pause(machine, MACHINE_PAUSE_SPACE);
    wait_paused(machine, true);
    assert_int_equal(inside, 0);
    uint64_t now = clock_now(&machine->clock);
    assert_true(now > 0);
    due = 0;
    timer_set(&timer, now + 1);
    /* One of two reasons goes; the machine stays as it is. */
    machine_resume(machine, MACHINE_PAUSE_USER);
    for (unsigned i = 0; i < 200; i++)
        step_sleep();
    assert_int_equal(inside, 0);
    assert_int_equal(due, 0);
    assert_true(clock_now(&machine->clock) == now);
    machine_resume(machine, MACHINE_PAUSE_SPACE);
    wait_paused(machine, false);
    while (inside < VCPUS || !due)
        step_sleep();
    assert_true(clock_now(&machine->clock) > now);
    machine_request(machine, MACHINE_REQUEST_END);
    assert_int_equal(join(thread), MACHINE_ENDED);
    machine_free(machine);
}

/* A paused machine can be reset and ended, and stays paused over a reset. */
static void test_reset_while_paused(void **state)
{
    (void)state;
    struct machine *machine = machine_make();
    pthread_t thread = start(machine);
    machine_pause(machine, MACHINE_PAUSE_USER);
    wait_paused(machine, true);
    there = 0;
    machine_request(machine, MACHINE_REQUEST_RESET);
    while (made < 2)
        step_sleep();
    for (unsigned i = 0; i < 100; i++)
        step_sleep();
    assert_int_equal(there, 0);
    machine_request(machine, MACHINE_REQUEST_END);
    assert_int_equal(join(thread), MACHINE_ENDED);
    machine_free(machine);
}

/* Requests of all kinds from several threads, while vCPUs keep the lock busy. */
static void *request_thread(void *opaque)
{
    struct machine *machine = opaque;
    for (unsigned i = 0; i < 300; i++) {
        machine_pause(machine, i & 1 ? MACHINE_PAUSE_USER : MACHINE_PAUSE_SPACE);
        if (i % 3 == 0)
            step_sleep();
        machine_resume(machine, i & 1 ? MACHINE_PAUSE_USER : MACHINE_PAUSE_SPACE);
        if (i % 7 == 0 && boots < BOOTS - 1)
            machine_request(machine, MACHINE_REQUEST_RESET);
    }
    return NULL;
}

static void test_many_requests(void **state)
{
    (void)state;
    static const struct step never[] = {{WAIT, 0x80, 1, 0x100}};
    config.vcpu_count = 2;
    for (unsigned i = 0; i < BOOTS; i++)
        scripts[i][0] = scripts[i][1] = never;
    struct machine *machine = machine_make();
    pthread_t thread = start(machine), threads[2];
    for (unsigned i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, request_thread, machine);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    wait_paused(machine, false);
    machine_request(machine, MACHINE_REQUEST_END);
    assert_int_equal(join(thread), MACHINE_ENDED);
    machine_free(machine);
}

/* -- what cannot be made --------------------------------------------------------------------------------- */

static void test_failures(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct machine *machine = NULL;
    config.vcpu_count = VCPUS;
    fail_at = 2;
    assert_int_equal(machine_new(&machine, &config, &error), -EMFILE);
    assert_int_equal(alive, 0);
    set_up(NULL);
    pc_config.kernel = "/nonexistent/kernel";
    assert_int_equal(machine_new(&machine, &config, &error), -ENOENT);
    assert_non_null(strstr(error.message, "/nonexistent/kernel"));
    pc_config.kernel = "/proc/self/exe"; /* an ELF file, but no kernel */
    assert_true(machine_new(&machine, &config, &error) < 0);
    assert_int_equal(alive, 0);
    assert_null(machine);
}

/* A reset that finds no vCPUs any more ends the machine. */
static void test_reset_fails(void **state)
{
    (void)state;
    static const struct step reset[] = {{OUT, 0x92, 1, 1}, {.act = SPIN}};
    config.vcpu_count = 2;
    scripts[0][1] = reset;
    fail_at = 3;
    assert_int_equal(run(), MACHINE_FAILED);
}

/* -- kernels of the disk --------------------------------------------------------------------------------- */

static bool shell(const char *format, const char *folder)
{
    char command[1200], text[1024];
    snprintf(text, sizeof text, format, folder);
    snprintf(command, sizeof command, "export PATH=\"$PATH:/usr/sbin:/sbin\"; %s", text);
    return system(command) == 0;
}

/* A disk with a kernel and a boot configuration. */
static void make_disk(const char *folder)
{
    const uint32_t magic = 0x1badb002, flags = 0x10000, at = 0x100000;
    const uint32_t header[] = {magic, flags, -(magic + flags), at, at, 0, 0, at};
    char path[128];
    snprintf(path, sizeof path, "%s/kernel", folder);
    FILE *kernel = fopen(path, "w");
    assert_non_null(kernel);
    assert_int_equal(fwrite(header, sizeof header, 1, kernel), 1);
    assert_int_equal(fclose(kernel), 0);
    assert_true(shell("cd %s && mkdir -p root/extlinux && mv kernel root/vmlinuz && "
                      "printf 'label a\nkernel /vmlinuz\nappend state=one\n' >root/extlinux/extlinux.conf && "
                      "mke2fs -q -t ext4 -b 1024 -d root disk 8M",
                      folder));
}

static _Atomic bool written;

static void write_done(struct block_request *request, int result)
{
    (void)request;
    assert_int_equal(result, 0);
    written = true;
}

/* As a guest does that changes its boot configuration. */
static void write_disk(struct machine *machine, const char *old, const char *new)
{
    struct block_backend *disk = ((struct pc *)machine->board)->disks[0].backend;
    static uint8_t bytes[8 << 20];
    struct iovec iov;
    struct block_request request = {
        .operation = BLOCK_WRITE, .length = 512, .iov = &iov, .iov_count = 1, .done = write_done};
    assert_int_equal(block_read_now(disk, 0, bytes, sizeof bytes), 0);
    uint8_t *place = memmem(bytes, sizeof bytes, old, strlen(old));
    assert_non_null(place);
    memcpy(place, new, strlen(new));
    request.offset = (uint64_t)(place - bytes) & ~UINT64_C(511);
    iov = (struct iovec){bytes + request.offset, 512};
    written = false;
    pthread_mutex_lock(&machine->lock);
    block_submit(disk, &request);
    block_kick(disk);
    pthread_mutex_unlock(&machine->lock);
    while (!written)
        step_sleep();
}

/* After a reset it is the disk as the guest left it that is started from, be it in the overlay of a snapshot.
 */
static void test_reset_from_disk(void **state)
{
    (void)state;
    char folder[] = "/tmp/visor-machine-XXXXXX", path[128];
    if (!shell("command -v mke2fs >/dev/null%s", ""))
        skip();
    assert_non_null(mkdtemp(folder));
    make_disk(folder);
    snprintf(path, sizeof path, "%s/disk", folder);
    for (int snapshot = 1; snapshot >= 0; snapshot--) {
        struct block_options disk = {.path = path, .snapshot = snapshot};
        set_up(NULL);
        pc_config.disks = &disk;
        pc_config.disk_count = 1;
        struct machine *machine = machine_make();
        const struct pc *pc = machine->board;
        assert_string_equal(pc->disk_kernel.command_line, "state=one");
        /* A multiboot kernel finds the timer of a PC's firmware. */
        uint32_t vector;
        assert_int_equal(pc->pic.chips[0].imr, 0xfa);
        assert_int_equal(memory_read(&machine->memory, 8 * 4, &vector, sizeof vector), 0);
        assert_in_range(vector, 0xf000ff00, 0xf000ffef);
        timers_stand_still(&machine->timers, false);
        assert_in_range(timers_next(&machine->timers), 1, TIMER_SECOND / 18);
        timers_stand_still(&machine->timers, true);
        pthread_t thread = start(machine);
        while (!there)
            step_sleep();
        write_disk(machine, "state=one", "state=two");
        machine_request(machine, MACHINE_REQUEST_RESET);
        while (there < 2)
            step_sleep();
        assert_string_equal(pc->disk_kernel.command_line, "state=two");
        machine_request(machine, MACHINE_REQUEST_END);
        assert_int_equal(join(thread), MACHINE_ENDED);
        machine_free(machine);
    }
    assert_true(shell("rm -r %s", folder));
}

/* -- wires ----------------------------------------------------------------------------------------------- */

static void io_set(struct machine *machine, uint16_t port, uint8_t value)
{
    io_write(&machine->io, port, 1, value);
}

/* An ISA interrupt reaches the first processor through the 8259s, and through the I/O APIC. */
static void test_interrupt_wires(void **state)
{
    (void)state;
    struct machine *machine = machine_make();
    struct pc *pc = machine->board;
    struct lapic *lapic = machine->parts.lapics[0];
    static const uint8_t pic[][2] = {{0x20, 0x11}, {0x21, 0x30}, {0x21, 4}, {0x21, 1}, {0x21, 0xe7}};
    for (unsigned i = 0; i < ARRAY_SIZE(pic); i++)
        io_set(machine, pic[i][0], pic[i][1]);
    lapic_set_virtual_wire(lapic);
    assert_int_equal(lapic_pending(lapic), LAPIC_NONE);
    io_set(machine, 0x3fc, 8); /* OUT2 lets interrupts out */
    io_set(machine, 0x3ec, 8);
    io_set(machine, 0x3f9, 2); /* transmitter empty: the first port, which shares its interrupt */
    assert_int_equal(lapic_pending(lapic), LAPIC_EXTINT);
    assert_int_equal(lapic_acknowledge(lapic), LAPIC_EXTINT);
    assert_int_equal(machine->parts.pic_acknowledge(machine->parts.opaque), 0x34);
    io_set(machine, 0x20, 0x20);
    io_set(machine, 0x3e9, 2); /* and the third */
    assert_int_equal(pc->wires.pic[4].drivers, 3);
    io_set(machine, 0x3f9, 0);
    assert_int_equal(pc->wires.pic[4].drivers, 2);
    assert_int_equal(pc->ioapic.lines & 1 << 4, 1 << 4);
    io_set(machine, 0x3e9, 0);
    assert_int_equal(pc->ioapic.lines & 1 << 4, 0);
    /* 8254: input 2 of the I/O APIC; the HPET cuts it off. */
    io_set(machine, 0x43, 0x30);
    assert_int_equal(pc->ioapic.lines, 0);
    io_set(machine, 0x40, 1);
    io_set(machine, 0x40, 0);
    machine->frozen += TIMER_SECOND;
    timers_stand_still(&machine->timers, false);
    timers_run(&machine->timers);
    assert_int_equal(pc->ioapic.lines, 1 << 2);
    io_set(machine, 0x43, 0x30);
    assert_int_equal(pc->ioapic.lines, 0);
    memory_mmio_write(&machine->memory, PC_HPET_BASE + 0x10, 4, 3);
    io_set(machine, 0x40, 1);
    io_set(machine, 0x40, 0);
    machine->frozen += TIMER_SECOND;
    timers_run(&machine->timers);
    assert_int_equal(pc->ioapic.lines, 0);
    machine_free(machine);
}

/* Inputs 20 to 23 of the I/O APIC are driven by PCI functions and the HPET, inputs 10 and 11 of the 8259s by
 * PCI functions and ISA cards: who lets go does not silence the other. */
static void test_shared_wires(void **state)
{
    (void)state;
    struct machine *machine = machine_make();
    struct pc *pc = machine->board;
    const struct irq_line *pci = &pc->pci.wiring.intx, *pci_isa = &pc->pci.wiring.isa, *hpet = &pc->hpet.irq;
    const struct irq_line card = pc_isa_line(pc, 10, 0);
    for (unsigned pin = 20; pin < 24; pin++) {
        const uint32_t bit = 1u << pin;
        pci->set(pci->opaque, pin, true);
        hpet->set(hpet->opaque, pin, true);
        assert_int_equal(pc->ioapic.lines & bit, bit);
        pci->set(pci->opaque, pin, false);
        assert_int_equal(pc->ioapic.lines & bit, bit);
        pci->set(pci->opaque, pin, true);
        hpet->set(hpet->opaque, pin, false);
        assert_int_equal(pc->ioapic.lines & bit, bit);
        pci->set(pci->opaque, pin, false);
        assert_int_equal(pc->ioapic.lines & bit, 0);
    }
    const uint8_t input = 1 << 2; /* of the second 8259 */
    pci_isa->set(pci_isa->opaque, 10, true);
    irq_set(&card, true);
    pci_isa->set(pci_isa->opaque, 10, false);
    assert_int_equal(pc->pic.chips[1].lines & input, input);
    assert_int_equal(pc->ioapic.lines & 1 << 10, 1 << 10); /* which PCI functions do not drive */
    pci_isa->set(pci_isa->opaque, 10, true);
    irq_set(&card, false);
    assert_int_equal(pc->pic.chips[1].lines & input, input);
    assert_int_equal(pc->ioapic.lines & 1 << 10, 0);
    pci_isa->set(pci_isa->opaque, 10, false);
    assert_int_equal(pc->pic.chips[1].lines & input, 0);
    machine_free(machine);
}

/* Where a processor begins, and the old way to start a machine anew. */
static void test_rom(void **state)
{
    (void)state;
    uint8_t code[16], low[16];
    struct machine *machine = machine_make();
    assert_int_equal(memory_read(&machine->memory, 0xfffffff0, code, sizeof code), 0);
    assert_int_equal(code[0], 0xe9); /* jumps near */
    assert_int_equal(memory_read(&machine->memory, 0xffff0, low, sizeof low), 0);
    assert_memory_equal(low, "\xea\x00\xff\x00\xf0", 5);
    memory_write(&machine->memory, 0xfffffff0, low, sizeof low);
    memory_read(&machine->memory, 0xfffffff0, low, sizeof low);
    assert_memory_equal(low, code, sizeof code);
    machine_free(machine);
}

/* What firmware would have left: sizes of memory, the date. */
static void test_cmos(void **state)
{
    (void)state;
    config.memory = UINT64_C(0xb0000000) + (64 << 20);
    struct machine *machine = machine_make();
    struct pc *pc = machine->board;
    assert_int_equal(pc->rtc.cmos[0x15] | pc->rtc.cmos[0x16] << 8, 640);
    assert_int_equal(pc->rtc.cmos[0x17] | pc->rtc.cmos[0x18] << 8, 0xffff);
    assert_int_equal(pc->rtc.cmos[0x34] | pc->rtc.cmos[0x35] << 8, (0xb0000000 - (16 << 20)) >> 16);
    assert_int_equal(pc->rtc.cmos[0x5b] | pc->rtc.cmos[0x5c] << 8, (64 << 20) >> 16);
    assert_in_range((uint64_t)rtc_time(&pc->rtc), (uint64_t)time(NULL) - 60, (uint64_t)time(NULL));
    uint8_t *low = memory_pointer(&machine->memory, 0, 0xa0000, true),
            *above = memory_pointer(&machine->memory, UINT64_C(1) << 32, 64 << 20, true);
    assert_non_null(low);
    assert_non_null(above);
    assert_null(memory_find(&machine->memory, 0xa0000));
    assert_ptr_equal(above, machine->ram->host + 0xb0000000);
    machine_free(machine);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_power_off),
        TEST(test_signals),
        TEST(test_huge_pages_agree),
        TEST(test_resets),
        TEST(test_triple_fault),
        TEST(test_told),
        TEST(test_power_button),
        TEST(test_deaf),
        TEST(test_end_from_outside),
        TEST(test_news),
        TEST(test_pause),
        TEST(test_reset_while_paused),
        TEST(test_many_requests),
        TEST(test_failures),
        TEST(test_reset_fails),
        TEST(test_reset_from_disk),
        TEST(test_interrupt_wires),
        TEST(test_shared_wires),
        TEST(test_cmos),
        TEST(test_rom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
