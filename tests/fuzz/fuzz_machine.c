/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_machine: any bytes as a saved machine. They are refused, or the machine that was loaded is saved
 * again, and that is loaded, and saved as the same bytes. The engine keeps registers and runs nothing.
 * Before, what is read of a file when the machine is made: its processors' model, which devices it has; and
 * what a disk with `snapshot` had, for a disk that no device is connected to.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "machine/machine_save.h"
#include "machine/pc_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct engine_vm {
    const struct engine_machine *machine;
};

struct engine_vcpu {
    struct x86_state state;
};

static void check(bool good)
{
    if (!good)
        abort();
}

static int keep_vm_new(struct engine_vm **out, const struct engine_machine *machine, struct error *error)
{
    (void)error;
    *out = calloc(1, sizeof **out);
    check(*out);
    (*out)->machine = machine;
    return 0;
}

static void keep_vm_free(struct engine_vm *vm)
{
    free(vm);
}

static int keep_vcpu_new(struct engine_vcpu **out, struct engine_vm *vm, unsigned index, struct error *error)
{
    (void)index, (void)error;
    *out = calloc(1, sizeof **out);
    check(*out);
    x86_state_reset(&(*out)->state, vm->machine->model);
    return 0;
}

static void keep_vcpu_free(struct engine_vcpu *vcpu)
{
    free(vcpu);
}

static void keep_kick(struct engine_vcpu *vcpu)
{
    (void)vcpu;
}

static void keep_get_state(struct engine_vcpu *vcpu, struct x86_state *state)
{
    *state = vcpu->state;
}

static void keep_set_state(struct engine_vcpu *vcpu, const struct x86_state *state)
{
    vcpu->state = *state;
}

static const struct engine keep = {
    .name = "keep",
    .vm_new = keep_vm_new,
    .vm_free = keep_vm_free,
    .vcpu_new = keep_vcpu_new,
    .vcpu_free = keep_vcpu_free,
    .vcpu_kick = keep_kick,
    .vcpu_stop = keep_kick,
    .vcpu_get_state = keep_get_state,
    .vcpu_set_state = keep_set_state,
};

static struct machine *make_machine(void)
{
    static struct pc_config board = {.serial_count = 1};
    struct machine_config config = {
        .type = &machine_pc, .engine = &keep, .vcpu_count = 1, .memory = 2 << 20, .board = &board};
    struct error error = ERROR_INIT;
    struct machine *machine;
    check(!x86_model_parse(&config.model, "max", &error));
    /* What the host's processor has does not matter to inputs that are kept. */
    memset(config.model.features, 0xff, sizeof config.model.features);
    check(!machine_new(&machine, &config, &error));
    return machine;
}

static void save(struct machine *machine, int fd)
{
    const struct machine_save_options options = {.compress = true};
    struct state_writer writer;
    struct error error = ERROR_INIT;
    check(!state_writer_begin(&writer, fd, &error));
    check(!machine_save(machine, &writer, &options, &error));
    check(!state_writer_end(&writer, &error));
}

static int load(struct machine *machine, int fd, bool eager)
{
    const struct machine_load_options options = {.eager = eager};
    struct state_reader reader;
    struct error error = ERROR_INIT;
    int code = state_reader_open(&reader, fd, &error);
    return code ? code : machine_load(machine, &reader, &options, &error);
}

static void look_at_parts(const struct machine *machine, struct state_reader *reader)
{
    struct x86_model model = machine->model;
    struct buffer devices = {0};
    struct error error = ERROR_INIT;
    machine_load_model(&model, reader, &error);
    if (!machine_load_devices(&devices, reader, &error)) {
        devices_saved(devices.data, devices.size, "balloon");
        devices_saved(devices.data, devices.size, "nothing");
    }
    buffer_free(&devices);
}

/* All of what was kept can be read from where it was left to be. */
static void look_at_disk(struct machine *machine, struct state_reader *reader, bool eager)
{
    enum { SIZE = 64 << 10 };
    static uint8_t bytes[SIZE];
    static char path[64];
    struct pc *pc = machine->board;
    struct pc_disk disk = {.name = "disk0"};
    const struct block_options options = {
        .path = path, .snapshot = true, .raw = true, .io = BLOCK_IO_THREADS};
    struct buffer list = {0};
    struct error error = ERROR_INIT;
    const bool has = !state_read(reader, "disk0", 1, NULL, &list, &error);
    buffer_free(&list);
    if (!has)
        return;
    if (!path[0]) {
        const int fd = memfd_create("disk", MFD_CLOEXEC);
        check(fd >= 0 && !ftruncate(fd, SIZE));
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    check(!block_open(&disk.backend, &options, machine->loop, &error));
    pc->disks = &disk;
    pc->disk_count = 1;
    if (!pc_restore(machine, reader, eager, &error))
        check(!block_read_now(disk.backend, 0, bytes, SIZE));
    pc->disks = NULL;
    pc->disk_count = 0;
    block_close(disk.backend);
}

static uint32_t integer_at(const uint8_t *data, size_t at, unsigned bytes)
{
    uint32_t value = 0;
    memcpy(&value, data + at, bytes);
    return value;
}

/* Makes the checksums right, which no input would get past otherwise: of sections, of the table, of the
 * header. */
static void sign(uint8_t *data, size_t size)
{
    enum { HEADER = 64, ENTRY = 48 };
    if (size < HEADER)
        return;
    const uint32_t count = integer_at(data, 12, 4), table = integer_at(data, 24, 4);
    memset(data + 20, 0, 4);
    memset(data + 28, 0, 4);
    memcpy(data + 16, &(uint32_t){(uint32_t)size}, 4);
    if (count <= 64 && table <= size && count * ENTRY <= size - table) {
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t entry = table + i * ENTRY, offset = integer_at(data, entry + 24, 4),
                           bytes = integer_at(data, entry + 32, 4);
            if (offset <= size && bytes <= size - offset)
                memcpy(data + entry + 40, &(uint32_t){crc32c(0, data + offset, bytes)}, 4);
        }
        memcpy(data + 32, &(uint32_t){crc32c(0, data + table, count * ENTRY)}, 4);
    }
    memcpy(data + HEADER - 4, &(uint32_t){crc32c(0, data, HEADER - 4)}, 4);
}

static void put(int fd, const uint8_t *data, size_t size)
{
    check(!ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
}

static void check_same(int a, int b)
{
    static uint8_t first[8 << 20], second[8 << 20];
    ssize_t size = pread(a, first, sizeof first, 0);
    check(size > 0 && size == pread(b, second, sizeof second, 0) && !memcmp(first, second, (size_t)size));
}

static void look(struct machine *machine, int given, const uint8_t *data, size_t size)
{
    static int first = -1, second = -1;
    if (first < 0) {
        first = memfd_create("first", MFD_CLOEXEC);
        second = memfd_create("second", MFD_CLOEXEC);
    }
    const bool eager = size & 1;
    struct state_reader reader;
    struct error error = ERROR_INIT;
    put(given, data, size);
    if (!state_reader_open(&reader, given, &error)) {
        look_at_parts(machine, &reader);
        look_at_disk(machine, &reader, eager);
    }
    if (load(machine, given, eager))
        return;
    save(machine, first);
    check(!load(machine, first, true));
    save(machine, second);
    check_same(first, second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct machine *machine;
    static int given = -1;
    if (!machine) {
        machine = make_machine();
        given = memfd_create("given", MFD_CLOEXEC);
        const char *seed = getenv("FUZZ_MACHINE_SEED"); /* where to leave an input to begin with */
        int fd = seed ? open(seed, O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
        if (fd >= 0)
            save(machine, fd);
        close(fd);
    }
    uint8_t *copy = malloc(size + 1);
    check(copy && given >= 0);
    memcpy(copy, data, size);
    pthread_mutex_lock(&machine->lock);
    look(machine, given, data, size);
    sign(copy, size);
    look(machine, given, copy, size);
    pthread_mutex_unlock(&machine->lock);
    free(copy);
    return 0;
}
