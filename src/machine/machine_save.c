/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/machine_save.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/nzcv.h"
#include "base/macros.h"

static const char magic[4] = "VMCH";
#define FORMAT   1
#define RUN_MOST 256u /* pages in one piece */
#define RAM_END  UINT64_MAX
#define NOT_SUCH "the saved machine is not such a one: "

/* -- what must be the same ------------------------------------------------------------------------------- */

static void save_model(struct buffer *buffer, const struct x86_model *model)
{
    size_t start = buffer->size;
    buffer_append_integer(buffer, 0, 4);
    buffer_append(buffer, model->vendor, sizeof model->vendor);
    buffer_append_integer(buffer, model->family, 4);
    buffer_append_integer(buffer, model->model, 4);
    buffer_append_integer(buffer, model->stepping, 4);
    for (unsigned i = 0; i < ARRAY_SIZE(model->features); i++)
        buffer_append_integer(buffer, model->features[i], 4);
    buffer_append_integer(buffer, model->physical_bits, 1);
    buffer_append_integer(buffer, model->linear_bits, 1);
    buffer_append_integer(buffer, model->last_leaf, 1);
    buffer_patch_integer(buffer, start, buffer->size - start - 4, 4);
}

static int load_model(const struct x86_model *model, struct reader *reader, struct error *error)
{
    struct buffer own = {0};
    save_model(&own, model);
    const uint8_t *data = reader_take(reader, own.size);
    int code = 0;
    if (own.failed)
        code = error_set(error, -ENOMEM, "out of memory");
    else if (!data || memcmp(data, own.data, own.size) != 0)
        code = error_set(error, -EINVAL, NOT_SUCH "its processors are others");
    buffer_free(&own);
    return code;
}

static int load_kind(const struct machine *machine, struct reader *reader, struct error *error)
{
    const uint8_t *head = reader_take(reader, sizeof magic);
    if (!head || memcmp(head, magic, sizeof magic) != 0)
        return error_set(error, -EINVAL, "this is no saved machine");
    unsigned format = (unsigned)reader_take_integer(reader, 4);
    if (format != FORMAT)
        return error_set(error, -EINVAL, "the machine was saved in format %u, known is %u", format, FORMAT);
    size_t length = reader_take_integer(reader, 1);
    const uint8_t *name = reader_take(reader, length);
    if (!name || length != strlen(machine->type->name) || memcmp(name, machine->type->name, length) != 0)
        return error_set(error, -EINVAL, NOT_SUCH "its board is another");
    uint64_t ram = reader_take_integer(reader, 8), vcpus = reader_take_integer(reader, 4);
    if (ram != machine->ram->size)
        return error_set(error, -EINVAL, NOT_SUCH "it has %llu MiB of memory",
                         (unsigned long long)(ram >> 20));
    if (vcpus != machine->vcpu_count)
        return error_set(error, -EINVAL, NOT_SUCH "it has %llu processors", (unsigned long long)vcpus);
    return load_model(&machine->model, reader, error);
}

/* -- vCPUs and devices ----------------------------------------------------------------------------------- */

/* The vCPUs as devices, whose registers are in `states`. */
static int make_vcpus(const struct machine *machine, struct devices *vcpus, struct machine_vcpu_state *states,
                      struct error *error)
{
    int code = 0;
    for (unsigned i = 0; !code && i < machine->vcpu_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "vcpu%u", i);
        code = devices_add(vcpus, &machine_vcpu_type, name, &states[i], error);
    }
    return code;
}

static void save_section(struct buffer *buffer, const struct devices *devices)
{
    size_t start = buffer->size;
    buffer_append_integer(buffer, 0, 8);
    devices_save(devices, buffer);
    buffer_patch_integer(buffer, start, buffer->size - start - 8, 8);
}

static int save_vcpus(struct machine *machine, struct buffer *buffer, struct error *error)
{
    struct devices vcpus = {0};
    struct machine_vcpu_state *states = calloc(machine->vcpu_count, sizeof *states);
    if (!states)
        return error_set(error, -ENOMEM, "out of memory");
    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        machine->engine->vcpu_get_state(machine->vcpus[i].vcpu, &states[i].state);
        states[i].state.flags &= NZCVPA_MASK; /* the others may be anything */
    }
    int code = make_vcpus(machine, &vcpus, states, error);
    if (!code)
        save_section(buffer, &vcpus);
    devices_free(&vcpus);
    free(states);
    return code;
}

static int take_section(struct reader *reader, struct reader *section, struct error *error)
{
    section->left = reader_take_integer(reader, 8);
    section->data = reader_take(reader, section->left);
    return section->data ? 0 : error_set(error, -EINVAL, "the saved machine is cut off");
}

/* -- memory ---------------------------------------------------------------------------------------------- */

static bool page_is_zero(const uint8_t *page)
{
    return !page[0] && !memcmp(page, page + 1, MEMORY_PAGE_SIZE - 1);
}

static void save_ram(const struct memory_backing *ram, struct buffer *buffer)
{
    const uint64_t pages = ram->size / MEMORY_PAGE_SIZE;
    for (uint64_t first = 0, end; first < pages && !buffer->failed; first = end) {
        end = first;
        while (end < pages && end - first < RUN_MOST && !page_is_zero(ram->host + end * MEMORY_PAGE_SIZE))
            end++;
        if (end == first) {
            end++;
            continue;
        }
        buffer_append_integer(buffer, first, 8);
        buffer_append_integer(buffer, end - first, 4);
        buffer_append(buffer, ram->host + first * MEMORY_PAGE_SIZE, (end - first) * MEMORY_PAGE_SIZE);
    }
    buffer_append_integer(buffer, RAM_END, 8);
}

/* To the last byte; with `store` into memory that is all zeros. */
static int load_ram(struct memory_backing *ram, struct reader reader, bool store, struct error *error)
{
    const uint64_t pages = ram->size / MEMORY_PAGE_SIZE;
    for (uint64_t next = 0;;) {
        uint64_t first = reader_take_integer(&reader, 8);
        if (!reader.failed && first == RAM_END)
            break;
        uint64_t count = reader_take_integer(&reader, 4);
        if (!reader.failed && (first < next || first >= pages || !count || count > pages - first))
            return error_set(error, -EINVAL, "the saved memory has pages that cannot be");
        const uint8_t *data = reader_take(&reader, count * MEMORY_PAGE_SIZE);
        if (!data)
            return error_set(error, -EINVAL, "the saved memory is cut off");
        if (store)
            memcpy(ram->host + first * MEMORY_PAGE_SIZE, data, count * MEMORY_PAGE_SIZE);
        next = first + count;
    }
    return reader.left ? error_set(error, -EINVAL, "the saved machine has bytes after its end") : 0;
}

static int clear_ram(struct memory_backing *ram, struct error *error)
{
    if (madvise(ram->host, ram->size, MADV_DONTNEED))
        return error_set(error, -errno, "cannot clear the machine's memory: %s", strerror(errno));
    return 0;
}

/* -- the whole ------------------------------------------------------------------------------------------- */

static bool stands_still(const struct machine *machine)
{
    return !machine->running && (machine->paused || !machine->vcpus[0].has_thread);
}

int machine_save(struct machine *machine, struct buffer *buffer, struct error *error)
{
    const char *name = machine->type->name;
    if (!stands_still(machine))
        return error_set(error, -EBUSY, "a machine that runs cannot be saved");
    buffer_append(buffer, magic, sizeof magic);
    buffer_append_integer(buffer, FORMAT, 4);
    buffer_append_integer(buffer, strlen(name), 1);
    buffer_append(buffer, name, strlen(name));
    buffer_append_integer(buffer, machine->ram->size, 8);
    buffer_append_integer(buffer, machine->vcpu_count, 4);
    save_model(buffer, &machine->model);
    buffer_append_integer(buffer, clock_now(&machine->clock), 8);
    int code = save_vcpus(machine, buffer, error);
    if (code)
        return code;
    save_section(buffer, &machine->devices);
    save_ram(machine->ram, buffer);
    return buffer->failed ? error_set(error, -ENOMEM, "out of memory to save the machine") : 0;
}

/* What the sections say, into the machine, whose clock is what it was. */
static int load_parts(struct machine *machine, struct machine_vcpu_state *states, struct reader vcpus,
                      struct reader devices, struct reader ram, struct error *error)
{
    struct devices list = {0};
    int code = make_vcpus(machine, &list, states, error);
    if (!code)
        code = devices_load(&list, vcpus.data, vcpus.left, error);
    devices_free(&list);
    if (!code)
        code = load_ram(machine->ram, ram, false, error);
    if (!code)
        code = devices_load(&machine->devices, devices.data, devices.left, error);
    if (!code)
        code = clear_ram(machine->ram, error);
    if (!code)
        code = load_ram(machine->ram, ram, true, error);
    return code;
}

int machine_load(struct machine *machine, const void *data, size_t size, struct error *error)
{
    struct reader reader = {data, size, false}, vcpus = {0}, devices = {0};
    if (machine->vcpus[0].has_thread)
        return error_set(error, -EBUSY, "a machine that is on cannot become another one");
    int code = load_kind(machine, &reader, error);
    uint64_t clock = code ? 0 : reader_take_integer(&reader, 8);
    if (!code && clock >= TIMER_NEVER / 2)
        code = error_set(error, -EINVAL, "the saved machine's clock cannot be so");
    if (!code)
        code = take_section(&reader, &vcpus, error);
    if (!code)
        code = take_section(&reader, &devices, error);
    if (code)
        return code;
    struct machine_vcpu_state *states = calloc(machine->vcpu_count, sizeof *states);
    if (!states)
        return error_set(error, -ENOMEM, "out of memory");
    machine->frozen = clock;
    code = load_parts(machine, states, vcpus, devices, reader, error);
    for (unsigned i = 0; !code && i < machine->vcpu_count; i++)
        machine->engine->vcpu_set_state(machine->vcpus[i].vcpu, &states[i].state);
    free(states);
    if (!code && machine->type->loaded)
        machine->type->loaded(machine);
    return code;
}
