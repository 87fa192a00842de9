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
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"
#include "machine/machine_save.h"
#include "machine/pc.h"

#define EXIT_PORT 0xf4
#define LOAD      0x100000

/* Bytes between the members of the registers' struct. */
#define PADDING 22u

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
#define ENDS       0x300024

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

static int new_file(void)
{
    int fd = memfd_create("saved", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int save_with(struct machine *machine, int fd, bool compress, struct error *error)
{
    const struct machine_save_options options = {.compress = compress, .now = 1000000000};
    struct state_writer writer;
    int code = state_writer_begin(&writer, fd, error);
    if (!code)
        code = machine_save(machine, &writer, &options, error);
    return code ? code : state_writer_end(&writer, error);
}

static int save(struct machine *machine, int fd, struct error *error)
{
    return save_with(machine, fd, false, error);
}

static int load_with(struct machine *machine, int fd, bool eager, struct error *error)
{
    const struct machine_load_options options = {.eager = eager, .now = 1000000000};
    struct state_reader reader;
    *error = (struct error)ERROR_INIT;
    int code = state_reader_open(&reader, fd, error);
    pthread_mutex_lock(&machine->lock);
    if (!code)
        code = machine_load(machine, &reader, &options, error);
    pthread_mutex_unlock(&machine->lock);
    return code;
}

static int load(struct machine *machine, int fd, struct error *error)
{
    return load_with(machine, fd, false, error);
}

/* The file's bytes. */
static struct buffer content(int fd)
{
    struct buffer bytes = {0};
    uint8_t piece[4096];
    ssize_t size;
    for (off_t at = 0; (size = pread(fd, piece, sizeof piece, at)) > 0; at += size)
        buffer_append(&bytes, piece, (size_t)size);
    assert_false(bytes.failed);
    return bytes;
}

static void put_content(int fd, const struct buffer *bytes)
{
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, bytes->data, bytes->size, 0), (ssize_t)bytes->size);
}

static void assert_same_files(int a, int b)
{
    struct buffer first = content(a), second = content(b);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    buffer_free(&first);
    buffer_free(&second);
}

/* Of a guest that is in the middle of its work; a machine that runs is refused. */
static void save_running(int fd, unsigned ticks, bool compress)
{
    struct error error = ERROR_INIT;
    struct machine *machine = machine_make();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_thread, machine), 0);
    while (ticks_of(machine) < ticks)
        usleep(500);
    pthread_mutex_lock(&machine->lock);
    assert_int_equal(save(machine, fd, &error), -EBUSY);
    pthread_mutex_unlock(&machine->lock);
    machine_pause(machine, MACHINE_PAUSE_USER);
    while (!is_paused(machine))
        usleep(500);
    assert_in_range(ticks_of(machine), ticks, TICKS_MOST - 1);
    pthread_mutex_lock(&machine->lock);
    if (save_with(machine, fd, compress, &error))
        fail_msg("%s", error.message);
    pthread_mutex_unlock(&machine->lock);
    assert_int_equal(load(machine, fd, &error), -EBUSY);
    machine_request(machine, MACHINE_REQUEST_END);
    pthread_join(thread, NULL);
    machine_free(machine);
}

/* In another machine the guest goes on, again and again, and finds everything as it left it; whether or not
 * that machine has loaded its kernel before. */
static void test_save(void **state)
{
    struct error error;
    (void)state;
    KERNEL(count);
    config.vcpu_count = 2;
    config.memory = 8 << 20;
    for (unsigned i = 0; i < 4; i++) {
        const bool compress = i & 1, eager = i & 2;
        int saved = new_file(), again = new_file();
        config.is_loaded = false;
        save_running(saved, 20, compress);
        config.is_loaded = i == 1 || i == 2;
        struct machine *machine = machine_make();
        if (load_with(machine, saved, eager, &error))
            fail_msg("%s", error.message);
        assert_int_equal(save_with(machine, again, compress, &error), 0);
        assert_same_files(saved, again); /* what was loaded is what is saved */
        uint64_t clock = clock_now(&machine->clock);
        assert_in_range(clock, 20000000, INT64_MAX);
        assert_int_equal(machine_run(machine), MACHINE_TOLD);
        assert_int_equal(machine->status, exit_status(0x55));
        assert_in_range(clock_now(&machine->clock), clock, INT64_MAX);
        machine_free(machine);
        close(saved);
        close(again);
    }
}

/* What was saved before the board got one of its devices is loaded by a machine without it. */
static void test_save_fewer_devices(void **state)
{
    struct error error;
    struct devices few = {0};
    struct generation only = {{0}};
    struct buffer list = {0}, saved_list = {0};
    struct state_reader reader;
    int saved = new_file();
    (void)state;
    KERNEL(count);
    assert_int_equal(devices_add(&few, &generation_type, "rng", &only, &error), 0);
    devices_save(&few, &list);
    config.is_loaded = true;
    config.saved = &list;
    struct machine *machine = machine_make();
    struct pc *pc = machine->board;
    assert_non_null(pc->rng);
    assert_null(pc->balloon);
    assert_false(pc->has_generation);
    assert_int_equal(save(machine, saved, &error), 0);
    machine_free(machine);

    assert_int_equal(state_reader_open(&reader, saved, &error), 0);
    assert_int_equal(machine_load_devices(&saved_list, &reader, &error), 0);
    config.saved = NULL;
    machine = machine_make();
    assert_int_equal(load(machine, saved, &error), -EINVAL);
    assert_non_null(strstr(error.message, "has no device"));
    machine_free(machine);
    config.saved = &saved_list;
    machine = machine_make();
    assert_int_equal(load(machine, saved, &error), 0);
    machine_free(machine);
    config.saved = NULL;
    buffer_free(&list);
    buffer_free(&saved_list);
    devices_free(&few);
    close(saved);
}

/* A copy has another number in memory than what it was copied from, and the guest is notified of it; what
 * merely goes on has the same one. */
static void test_generation(void **state)
{
    const struct machine_load_options copy = {.copy = true, .now = 1000000000};
    struct error error;
    struct state_reader reader;
    uint8_t first[GENERATION_SIZE], now[GENERATION_SIZE];
    int saved = new_file();
    (void)state;
    KERNEL(count);
    struct machine *machine = machine_make();
    assert_int_equal(memory_read(&machine->memory, LAYOUT_GENERATION, first, sizeof first), 0);
    assert_memory_equal(first, ((struct pc *)machine->board)->generation.id, sizeof first);
    assert_int_equal(save(machine, saved, &error), 0);
    machine_free(machine);

    machine = machine_make();
    assert_int_equal(load(machine, saved, &error), 0);
    assert_int_equal(memory_read(&machine->memory, LAYOUT_GENERATION, now, sizeof now), 0);
    assert_memory_equal(now, first, sizeof now);
    struct pc *pc = machine->board;
    assert_int_equal(pc->pm.gpe_status, 0);
    assert_int_equal(state_reader_open(&reader, saved, &error), 0);
    assert_int_equal(machine_load(machine, &reader, &copy, &error), 0);
    assert_int_equal(memory_read(&machine->memory, LAYOUT_GENERATION, now, sizeof now), 0);
    assert_memory_equal(now, pc->generation.id, sizeof now);
    assert_memory_not_equal(now, first, sizeof now);
    assert_int_equal(pc->pm.gpe_status, 1u << ACPI_GENERATION_EVENT);
    machine_free(machine);
    close(saved);
}

/* A machine whose memory is that of a file is saved with all of it, and leaves the file as it is. */
static void test_save_mapped(void **state)
{
    struct error error;
    (void)state;
    KERNEL(count);
    config.memory = 8 << 20;
    struct machine *first = machine_make(), *second = machine_make(), *third = machine_make();
    int saved = new_file(), again = new_file(), unchanged = new_file();
    memset(first->ram->host + 0x400000, 0x5a, 0x3000);
    first->ram->host[0x600000] = 1;
    assert_int_equal(save(first, saved, &error), 0);
    struct buffer bytes = content(saved);
    put_content(unchanged, &bytes);
    buffer_free(&bytes);
    assert_int_equal(load(second, saved, &error), 0);
    second->ram->host[0x401000] = 0xa5;
    memory_discard(&second->memory, 0x402000, 0x1000);
    memory_discard(&second->memory, 0x500000, 0x200000);
    assert_int_equal(second->ram->host[0x402123], 0);
    assert_int_equal(second->ram->host[0x600000], 0);
    assert_int_equal(save(second, again, &error), 0);
    assert_int_equal(load(third, again, &error), 0);
    assert_int_equal(third->ram->host[0x400fff], 0x5a);
    assert_int_equal(third->ram->host[0x401000], 0xa5);
    assert_int_equal(third->ram->host[0x401001], 0x5a);
    assert_int_equal(third->ram->host[0x402000], 0);
    assert_int_equal(third->ram->host[0x600000], 0);
    assert_same_files(saved, unchanged);
    machine_free(first);
    machine_free(second);
    machine_free(third);
    close(saved);
    close(again);
    close(unchanged);
}

/* A KVM that is software may not be able to set the counter: its offset, of which the local APIC has a copy,
 * and the checksums of what these are in. */
#define TSC_BYTES (16 + 4 * 4)
/* And by another counter a deadline is due at another time, or already. */
#define DEADLINE_BYTES (TSC_BYTES + 8 + 9 + 4)

#define MOMENTS 4

static const struct place {
    const struct engine *engine;
    enum engine_irqchip irqchip;
} places[] = {{&engine_translate, ENGINE_IRQCHIP_AUTO},
              {&engine_kvm, ENGINE_IRQCHIP_AUTO},
              {&engine_kvm, ENGINE_IRQCHIP_USER}};

/* KVM may tell a guest of page faults: so, once more, of the end of all, who comes from there, or to it. */
static bool tells(const struct place *place)
{
    return place->engine == &engine_kvm && place->irqchip != ENGINE_IRQCHIP_USER;
}

/* Runs on what was saved, under an engine, of which all is there again; the guest must find everything as it
 * left it. */
static void go_on(int saved, const struct place *from, const struct place *place, bool by_deadline)
{
    struct error error;
    config.engine = place->engine;
    config.irqchip = place->irqchip;
    struct machine *machine = machine_make();
    int again = new_file();
    unsigned other = 0;
    const bool sets_counter = place->engine == &engine_translate;
    if (load(machine, saved, &error))
        fail_msg("%s", error.message);
    assert_int_equal(save(machine, again, &error), 0);
    struct buffer before = content(saved), now = content(again);
    assert_int_equal(before.size, now.size);
    for (size_t i = 0; i < before.size; i++)
        other += before.data[i] != now.data[i];
    assert_in_range(other, 0, sets_counter ? 0 : by_deadline ? DEADLINE_BYTES : TSC_BYTES);
    buffer_free(&before);
    buffer_free(&now);
    close(again);
    assert_int_equal(machine_run(machine), MACHINE_TOLD);
    assert_int_equal(machine->status, exit_status(0x55));
    uint32_t ends;
    memcpy(&ends, machine->ram->host + ENDS, sizeof ends);
    assert_int_equal(ends, tells(from) || tells(place) ? 2 : 1);
    machine_free(machine);
}

/* At some moments of its work: from one engine to another and to the same, wherever local APICs are: of the
 * three places each time to two. */
static void test_engines(void **state)
{
    struct error error = ERROR_INIT;
    (void)state;
    if (engine_kvm.probe(&error) < 0) {
        print_message("%s\n", error.message);
        skip();
    }
    config.memory = 4 << 20;
    for (unsigned moment = 0; moment < MOMENTS; moment++) {
        const bool by_deadline = moment % 4 == 2, synthetic = moment % 4 == 3;
        const char *model = synthetic ? "x86-64-v1,hv=on" : "x86-64-v1";
        assert_int_equal(x86_model_parse(&config.model, model, &error), 0);
        assert_int_equal(engine_kvm.fit(&config.model, &error), 0);
        if (moment % 4 == 0)
            KERNEL(count);
        else if (moment % 4 == 1)
            KERNEL(count_once);
        else if (by_deadline)
            KERNEL(count_deadline);
        else
            KERNEL(count_synthetic);
        for (unsigned from = 0; from < ARRAY_SIZE(places); from++) {
            int saved = new_file();
            config.engine = places[from].engine;
            config.irqchip = places[from].irqchip;
            save_running(saved, 15 + 200 * moment / MOMENTS, false);
            for (unsigned to = 0; to < 2; to++)
                go_on(saved, &places[from], &places[(from + moment + to) % ARRAY_SIZE(places)], by_deadline);
            close(saved);
        }
    }
}

/* It stops, though nobody knows when such a timer is due. */
static void test_stops_with_a_late_period(void **state)
{
    struct error error = ERROR_INIT;
    (void)state;
    if (engine_kvm.probe(&error) < 0) {
        print_message("%s\n", error.message);
        skip();
    }
    config.memory = 4 << 20;
    assert_int_equal(x86_model_parse(&config.model, "x86-64-v1", &error), 0);
    assert_int_equal(engine_kvm.fit(&config.model, &error), 0);
    KERNEL(late_period);
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        int saved = new_file();
        config.engine = places[i].engine;
        config.irqchip = places[i].irqchip;
        save_running(saved, 20, false);
        close(saved);
    }
}

static void refuse(int fd, const char *reason)
{
    struct error error;
    struct machine *machine = machine_make();
    assert_int_equal(load_with(machine, fd, true, &error), -EINVAL);
    if (!strstr(error.message, reason))
        fail_msg("\"%s\" is not in \"%s\"", reason, error.message);
    machine_free(machine);
}

/* What is of another machine is refused, with a reason. */
static void test_load_refusals(void **state)
{
    struct error error;
    int saved = new_file();
    (void)state;
    KERNEL(count);
    config.memory = 2 << 20;
    struct machine *machine = machine_make();
    assert_int_equal(save(machine, saved, &error), 0);
    machine_free(machine);
    config.memory = 4 << 20;
    refuse(saved, "2 MiB of memory");
    config.memory = 2 << 20;
    config.vcpu_count = 2;
    refuse(saved, "1 processors");
    config.vcpu_count = 1;
    x86_model_parse(&config.model, "x86-64-v2", &error);
    refuse(saved, "its processors are others");
    x86_model_parse(&config.model, "max", &error);
    pc_config.serial_count = 2;
    refuse(saved, "device");
    close(saved);
}

/* A byte of it that is not as it was is found, wherever it is; and an end that is missing. */
static void test_load_damage(void **state)
{
    struct error error;
    int saved = new_file(), damaged = new_file();
    (void)state;
    KERNEL(count);
    config.memory = 2 << 20;
    struct machine *machine = machine_make();
    assert_int_equal(save(machine, saved, &error), 0);
    struct buffer bytes = content(saved);
    for (size_t size = 0; size < bytes.size; size += size < 20000 ? 97 : 1009) {
        struct buffer part = {.data = bytes.data, .size = size};
        put_content(damaged, &part);
        assert_int_equal(load(machine, damaged, &error), -EINVAL);
    }
    unsigned accepted = 0;
    for (size_t at = 0; at < bytes.size; at += at < 128 ? 1 : 211) {
        bytes.data[at] ^= 0x10;
        put_content(damaged, &bytes);
        accepted += load_with(machine, damaged, true, &error) == 0; /* what lies between sections */
        bytes.data[at] ^= 0x10;
    }
    assert_in_range(accepted, 0, 4096 / 211 + 2);
    buffer_append(&bytes, "x", 1);
    put_content(damaged, &bytes);
    refuse(damaged, "too long");
    assert_int_equal(load(machine, saved, &error), 0);
    machine_free(machine);
    buffer_free(&bytes);
    close(saved);
    close(damaged);
}

/* A saved processor that has what this one has not is refused by the name of that. */
static void test_load_model(void **state)
{
    struct x86_model model;
    struct state_reader reader;
    struct error error = ERROR_INIT;
    int saved = new_file();
    (void)state;
    KERNEL(count);
    config.memory = 2 << 20;
    x86_model_parse(&config.model, "x86-64-v2", &error);
    struct machine *machine = machine_make();
    assert_int_equal(save(machine, saved, &error), 0);
    machine_free(machine);
    assert_int_equal(state_reader_open(&reader, saved, &error), 0);
    x86_model_parse(&model, "x86-64-v2,+smap", &error);
    assert_int_equal(machine_load_model(&model, &reader, &error), 0);
    assert_memory_equal(model.features, config.model.features, sizeof model.features);
    x86_model_parse(&model, "x86-64-v2,-popcnt", &error);
    assert_int_equal(machine_load_model(&model, &reader, &error), -EINVAL);
    assert_non_null(strstr(error.message, "popcnt"));
    close(saved);
}

/* What was saved before there were Hyper-V's interrupts goes on without them. */
static void test_load_older_hyperv(void **state)
{
    struct state_reader reader;
    struct error error = ERROR_INIT;
    int saved = new_file();
    (void)state;
    KERNEL(count);
    assert_int_equal(x86_model_parse(&config.model, "max,hv=on,-hv-synic", &error), 0);
    struct machine *machine = machine_make();
    assert_null(machine->parts.synics);
    assert_int_equal(save(machine, saved, &error), 0);
    machine_free(machine);
    assert_int_equal(x86_model_parse(&config.model, "max,hv=on", &error), 0);
    machine = machine_make();
    assert_non_null(machine->parts.synics);
    machine_free(machine);
    assert_int_equal(state_reader_open(&reader, saved, &error), 0);
    assert_int_equal(machine_load_model(&config.model, &reader, &error), 0);
    machine = machine_make();
    assert_null(machine->parts.synics);
    assert_int_equal(load(machine, saved, &error), 0);
    machine_free(machine);
    close(saved);
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
        TEST(test_init),
        TEST(test_save),
        TEST(test_save_fewer_devices),
        TEST(test_generation),
        TEST(test_engines),
        TEST(test_stops_with_a_late_period),
        TEST(test_save_mapped),
        TEST(test_load_refusals),
        TEST(test_load_damage),
        TEST(test_load_model),
        TEST(test_load_older_hyperv),
        TEST(test_vcpu_fields),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
