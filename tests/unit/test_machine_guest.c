/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole machines with the engine `translate` and guests of a few instructions: machine_guest.S. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "machine/machine_save.h"
#include "machine/pc.h"

#define EXIT_PORT 0xf4
#define LOAD      0x100000

/* Bytes between the members of the registers' struct. */
#define PADDING 24u

extern const uint8_t guest_begin[], guest_end[];

static struct pc_config pc_config;
static struct machine_config config;
static char kernel[] = "/tmp/visor-guest-XXXXXX";

/* A multiboot kernel that begins at this label. */
static void make_kernel(const uint8_t *label)
{
    const uint32_t magic = 0x1badb002, flags = 0x10000, code = LOAD + 32,
                   entry = code + (uint32_t)(label - guest_begin);
    const uint32_t header[] = {magic, flags, -(magic + flags), LOAD, LOAD, 0, 0, entry};
    FILE *file = fopen(kernel, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(header, sizeof header, 1, file), 1);
    assert_int_equal(fwrite(guest_begin, (size_t)(guest_end - guest_begin), 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    struct error error = ERROR_INIT;
    (void)state;
    pc_config = (struct pc_config){.debug_exit = EXIT_PORT, .kernel = kernel, .serial_count = 1};
    config = (struct machine_config){.type = &machine_pc,
                                     .engine = &engine_translate,
                                     .vcpu_count = 1,
                                     .memory = 16 << 20,
                                     .board = &pc_config,
                                     .no_reboot = true};
    return x86_model_parse(&config.model, "max", &error);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(kernel);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(kernel);
}

static struct machine *machine_make(void)
{
    struct error error = ERROR_INIT;
    struct machine *machine = NULL;
    if (machine_new(&machine, &config, &error))
        fail_msg("%s", error.message);
    return machine;
}

static enum machine_end run(int *status)
{
    struct machine *machine = machine_make();
    enum machine_end end = machine_run(machine);
    *status = machine->status;
    machine_free(machine);
    return end;
}

/* What the guest tells by the debug exit port. */
static int exit_status(unsigned value)
{
    return (int)(value << 1 | 1) & 0xff;
}

#define KERNEL(name)                                                                                         \
    do {                                                                                                     \
        extern const uint8_t guest_##name[];                                                                 \
        make_kernel(guest_##name);                                                                           \
    } while (0)

/* -- reset -------------------------------------------------------------------------------------------------
 */

/* The first processor gets INIT: it goes on where firmware was told to, or starts the machine anew. */
static void test_init(void **state)
{
    int status;
    (void)state;
    KERNEL(init_jump);
    assert_int_equal(run(&status), MACHINE_TOLD);
    assert_int_equal(status, exit_status(0x21));
    KERNEL(init_eoi);
    assert_int_equal(run(&status), MACHINE_TOLD);
    assert_int_equal(status, exit_status(0x21));
    KERNEL(init_reset);
    assert_int_equal(run(&status), MACHINE_RESET);
}

/* -- save and load -----------------------------------------------------------------------------------------
 */

#define TICKS      0x300000
#define TICKS_MOST 300

static void *run_thread(void *opaque)
{
    return (void *)(uintptr_t)machine_run(opaque);
}

static uint32_t ticks_of(const struct machine *machine)
{
    return *(const volatile uint32_t *)(machine->ram->host + TICKS);
}

static bool is_paused(struct machine *machine)
{
    pthread_mutex_lock(&machine->lock);
    bool paused = machine->paused;
    pthread_mutex_unlock(&machine->lock);
    return paused;
}

static int load(struct machine *machine, const struct buffer *saved, size_t size, struct error *error)
{
    *error = (struct error)ERROR_INIT;
    pthread_mutex_lock(&machine->lock);
    int code = machine_load(machine, saved->data, size, error);
    pthread_mutex_unlock(&machine->lock);
    return code;
}

/* Of a guest that is in the middle of its work; a machine that runs is refused. */
static void save_running(struct buffer *saved, unsigned ticks)
{
    struct error error = ERROR_INIT;
    struct machine *machine = machine_make();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_thread, machine), 0);
    while (ticks_of(machine) < ticks)
        usleep(500);
    pthread_mutex_lock(&machine->lock);
    assert_int_equal(machine_save(machine, saved, &error), -EBUSY);
    pthread_mutex_unlock(&machine->lock);
    assert_int_equal(load(machine, saved, 0, &error), -EBUSY);
    machine_pause(machine, MACHINE_PAUSE_USER);
    while (!is_paused(machine))
        usleep(500);
    assert_in_range(ticks_of(machine), ticks, TICKS_MOST - 1);
    pthread_mutex_lock(&machine->lock);
    assert_int_equal(machine_save(machine, saved, &error), 0);
    pthread_mutex_unlock(&machine->lock);
    machine_request(machine, MACHINE_REQUEST_END);
    pthread_join(thread, NULL);
    machine_free(machine);
}

/* In another machine the guest goes on, again and again, and finds everything as it left it. */
static void test_save(void **state)
{
    struct buffer saved = {0}, again = {0};
    struct error error;
    (void)state;
    KERNEL(count);
    config.vcpu_count = 2;
    config.memory = 8 << 20;
    save_running(&saved, 20);
    for (unsigned i = 0; i < 2; i++) {
        struct machine *machine = machine_make();
        if (load(machine, &saved, saved.size, &error))
            fail_msg("%s", error.message);
        if (!i) { /* what was loaded is what is saved */
            assert_int_equal(machine_save(machine, &again, &error), 0);
            assert_int_equal(saved.size, again.size);
            assert_memory_equal(saved.data, again.data, saved.size);
        }
        uint64_t clock = clock_now(&machine->clock);
        assert_in_range(clock, 20000000, INT64_MAX);
        assert_int_equal(machine_run(machine), MACHINE_TOLD);
        assert_int_equal(machine->status, exit_status(0x55));
        assert_in_range(clock_now(&machine->clock), clock, INT64_MAX);
        machine_free(machine);
    }
    buffer_free(&saved);
    buffer_free(&again);
}

/* A KVM that is software may not be able to set the counter: its offset, of which the local APIC has a copy.
 */
#define TSC_BYTES 16

/* Runs on what was saved, under an engine, of which all is there again; the guest must find everything as it
 * left it. */
static void go_on(const struct buffer *saved, const struct engine *engine)
{
    struct error error;
    config.engine = engine;
    struct machine *machine = machine_make();
    struct buffer again = {0};
    if (load(machine, saved, saved->size, &error))
        fail_msg("%s", error.message);
    assert_int_equal(machine_save(machine, &again, &error), 0);
    assert_int_equal(saved->size, again.size);
    unsigned other = 0;
    for (size_t i = 0; i < saved->size; i++)
        other += saved->data[i] != again.data[i];
    assert_in_range(other, 0, TSC_BYTES);
    buffer_free(&again);
    assert_int_equal(machine_run(machine), MACHINE_TOLD);
    assert_int_equal(machine->status, exit_status(0x55));
    machine_free(machine);
}

/* At some moments of its work: from one engine to another and to the same. */
static void test_engines(void **state)
{
    static const struct engine *const engines[] = {&engine_translate, &engine_kvm};
    struct error error = ERROR_INIT;
    (void)state;
    if (engine_kvm.probe(&error) < 0) {
        print_message("%s\n", error.message);
        skip();
    }
    assert_int_equal(x86_model_parse(&config.model, "x86-64-v1", &error), 0);
    assert_int_equal(engine_kvm.fit(&config.model, &error), 0);
    KERNEL(count);
    config.memory = 4 << 20;
    for (unsigned moment = 0; moment < 4; moment++) {
        for (unsigned from = 0; from < 2; from++) {
            struct buffer saved = {0};
            config.engine = engines[from];
            save_running(&saved, 15 + 60 * moment);
            go_on(&saved, engines[!from]);
            go_on(&saved, engines[from]);
            buffer_free(&saved);
        }
    }
}

static void refuse(const struct buffer *saved, const char *reason)
{
    struct error error;
    struct machine *machine = machine_make();
    assert_int_equal(load(machine, saved, saved->size, &error), -EINVAL);
    if (!strstr(error.message, reason))
        fail_msg("\"%s\" is not in \"%s\"", reason, error.message);
    machine_free(machine);
}

/* What is cut off, damaged or of another machine is refused, with a reason. */
static void test_load_refusals(void **state)
{
    struct buffer saved = {0};
    struct error error;
    (void)state;
    KERNEL(count);
    config.memory = 2 << 20;
    struct machine *machine = machine_make();
    assert_int_equal(machine_save(machine, &saved, &error), 0);
    for (size_t size = 0; size < saved.size; size += size < 20000 ? 1 : 1009)
        assert_int_equal(load(machine, &saved, size, &error), -EINVAL);
    assert_int_equal(load(machine, &saved, saved.size, &error), 0);
    machine_free(machine);
    config.memory = 4 << 20;
    refuse(&saved, "2 MiB of memory");
    config.memory = 2 << 20;
    config.vcpu_count = 2;
    refuse(&saved, "1 processors");
    config.vcpu_count = 1;
    x86_model_parse(&config.model, "x86-64-v2", &error);
    refuse(&saved, "its processors are others");
    x86_model_parse(&config.model, "max", &error);
    pc_config.serial_count = 2;
    refuse(&saved, "device");
    pc_config.serial_count = 1;
    buffer_append(&saved, "x", 1);
    refuse(&saved, "bytes after its end");
    saved.data[4] = 2;
    refuse(&saved, "format 2");
    saved.data[0] = 'X';
    refuse(&saved, "no saved machine");
    buffer_free(&saved);
}

/* Every register has its place: what was not saved would be zero. */
static void test_vcpu_fields(void **state)
{
    struct machine_vcpu_state from, to = {0};
    struct devices devices = {0};
    struct buffer saved = {0};
    struct error error = ERROR_INIT;
    (void)state;
    memset(&from, 1, sizeof from);
    from.state.flags = 1; /* V */
    from.state.mxcsr = 0x101;
    from.state.df = 1;
    from.state.eflags_system = X86_EFLAGS_TF;
    from.state.cr0 = 0x01010101;
    from.state.cr4 = 0x101;
    from.state.cr8 = from.state.xcr0 = 1;
    from.state.efer = 0x101;
    assert_int_equal(devices_add(&devices, &machine_vcpu_type, "vcpu", &from, &error), 0);
    devices_save(&devices, &saved);
    devices.first->state = &to;
    if (devices_load(&devices, saved.data, saved.size, &error))
        fail_msg("%s", error.message);
    from.state.reserved = 0;
    unsigned lost = 0;
    for (size_t i = 0; i < sizeof from; i++)
        lost += ((uint8_t *)&from)[i] != ((uint8_t *)&to)[i];
    assert_int_equal(lost, PADDING);
    devices_free(&devices);
    buffer_free(&saved);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_init),          TEST(test_save),        TEST(test_engines),
        TEST(test_load_refusals), TEST(test_vcpu_fields),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
