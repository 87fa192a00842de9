/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/machine_save.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/nzcv.h"
#include "base/macros.h"
#include "machine/machine_memory.h"

#define KIND_VERSION 3 /* of the section that says what machine it is; 3: with Hyper-V's features */

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

static int load_model(struct x86_model *model, struct reader *reader)
{
    struct reader saved = {.left = reader_take_integer(reader, 4)};
    saved.data = reader_take(reader, saved.left);
    const uint8_t *vendor = saved.data ? reader_take(&saved, sizeof model->vendor) : NULL;
    if (!vendor || vendor[sizeof model->vendor - 1])
        return -EINVAL;
    memcpy(model->vendor, vendor, sizeof model->vendor);
    model->family = (unsigned)reader_take_integer(&saved, 4);
    model->model = (unsigned)reader_take_integer(&saved, 4);
    model->stepping = (unsigned)reader_take_integer(&saved, 4);
    for (unsigned i = 0; i < ARRAY_SIZE(model->features); i++)
        model->features[i] = (uint32_t)reader_take_integer(&saved, 4);
    model->physical_bits = (uint8_t)reader_take_integer(&saved, 1);
    model->linear_bits = (uint8_t)reader_take_integer(&saved, 1);
    model->last_leaf = (uint8_t)reader_take_integer(&saved, 1);
    return saved.failed || saved.left ? -EINVAL : 0;
}

struct saved_kind {
    char board[256];
    uint64_t ram, vcpus;
    struct x86_model model;
};

static int read_kind(struct saved_kind *kind, struct state_reader *reader, struct error *error)
{
    struct buffer bytes = {0};
    int code = state_read(reader, "machine", KIND_VERSION, NULL, &bytes, error);
    struct reader from = {bytes.data, bytes.size, false};
    *kind = (struct saved_kind){0};
    const size_t length = reader_take_integer(&from, 1);
    const uint8_t *name = reader_take(&from, length);
    if (name)
        memcpy(kind->board, name, length);
    kind->ram = reader_take_integer(&from, 8);
    kind->vcpus = reader_take_integer(&from, 4);
    if (!code && (load_model(&kind->model, &from) || from.failed || from.left))
        code = error_set(error, -EINVAL, "what the saved machine is cannot be so");
    buffer_free(&bytes);
    return code;
}

static bool models_agree(const struct x86_model *a, const struct x86_model *b)
{
    return !strcmp(a->vendor, b->vendor) && a->family == b->family && a->model == b->model &&
           a->stepping == b->stepping && !memcmp(a->features, b->features, sizeof a->features) &&
           a->physical_bits == b->physical_bits && a->linear_bits == b->linear_bits &&
           a->last_leaf == b->last_leaf;
}

static int check_kind(const struct machine *machine, const struct saved_kind *kind, struct error *error)
{
    if (strcmp(kind->board, machine->type->name) != 0)
        return error_set(error, -EINVAL, NOT_SUCH "its board is another");
    if (kind->ram != machine->ram->size)
        return error_set(error, -EINVAL, NOT_SUCH "it has %llu MiB of memory",
                         (unsigned long long)(kind->ram >> 20));
    if (kind->vcpus != machine->vcpu_count)
        return error_set(error, -EINVAL, NOT_SUCH "it has %llu processors", (unsigned long long)kind->vcpus);
    if (!models_agree(&kind->model, &machine->model))
        return error_set(error, -EINVAL, NOT_SUCH "its processors are others");
    return 0;
}

int machine_load_model(struct x86_model *model, struct state_reader *reader, struct error *error)
{
    struct saved_kind kind;
    int code = read_kind(&kind, reader, error);
    if (code)
        return code;
    for (unsigned i = 0; i < ARRAY_SIZE(model->features); i++) {
        const uint32_t missing = kind.model.features[i] & ~model->features[i];
        if (!missing)
            continue;
        const unsigned feature = X86_FEATURE(i, (unsigned)__builtin_ctz(missing));
        const char *name = x86_feature_text(feature);
        return error_set(error, -EINVAL,
                         "the saved machine's processors have %s, which this host cannot give",
                         name ? name : "a feature");
    }
    memcpy(model->features, kind.model.features, sizeof model->features);
    if (!models_agree(&kind.model, model))
        return error_set(error, -EINVAL, NOT_SUCH "its processors are others");
    return 0;
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

static int save_devices(struct state_writer *writer, const char *name, const struct devices *devices,
                        struct error *error)
{
    struct state_section section = {.version = 1};
    struct buffer bytes = {0};
    snprintf(section.name, sizeof section.name, "%s", name);
    devices_save(devices, &bytes);
    int code = state_write(writer, &section, &bytes, error);
    buffer_free(&bytes);
    return code;
}

static int save_vcpus(struct machine *machine, struct state_writer *writer, struct error *error)
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
        code = save_devices(writer, "vcpus", &vcpus, error);
    devices_free(&vcpus);
    free(states);
    return code;
}

/* -- the whole ------------------------------------------------------------------------------------------- */

static bool stands_still(const struct machine *machine)
{
    return !machine->running && (machine->paused || !machine->vcpus[0].has_thread);
}

static int save_kind(struct machine *machine, struct state_writer *writer, struct error *error)
{
    const char *name = machine->type->name;
    struct buffer bytes = {0};
    buffer_append_integer(&bytes, strlen(name), 1);
    buffer_append(&bytes, name, strlen(name));
    buffer_append_integer(&bytes, machine->ram->size, 8);
    buffer_append_integer(&bytes, machine->vcpu_count, 4);
    save_model(&bytes, &machine->model);
    int code =
        state_write(writer, &(struct state_section){"machine", .version = KIND_VERSION}, &bytes, error);
    buffer_free(&bytes);
    return code;
}

static int save_clock(struct machine *machine, struct state_writer *writer, int64_t now, struct error *error)
{
    struct buffer bytes = {0};
    buffer_append_integer(&bytes, clock_now(&machine->clock), 8);
    buffer_append_integer(&bytes, (uint64_t)now, 8);
    int code = state_write(writer, &(struct state_section){"clock", .version = 1}, &bytes, error);
    buffer_free(&bytes);
    return code;
}

int machine_check_saved(const struct machine *machine, struct error *error)
{
    const char *name = devices_unsaved(&machine->devices);
    return name ? error_set(error, -ENOTSUP, "device %s cannot be saved: it is the host's", name) : 0;
}

int machine_save(struct machine *machine, struct state_writer *writer,
                 const struct machine_save_options *options, struct error *error)
{
    if (!stands_still(machine))
        return error_set(error, -EBUSY, "a machine that runs cannot be saved");
    if (machine_check_saved(machine, error))
        return error->code;
    int code = save_kind(machine, writer, error);
    if (!code)
        code = save_clock(machine, writer, options->now, error);
    if (!code)
        code = save_vcpus(machine, writer, error);
    if (!code)
        code = save_devices(writer, "devices", &machine->devices, error);
    if (!code && machine->type->save)
        code = machine->type->save(machine, writer, error);
    return code ? code : machine_memory_save(machine->ram, writer, options->compress, error);
}

int machine_share(struct machine *machine, int fd, struct error *error)
{
    struct state_reader reader;
    struct machine_memory_plan plan = {0};
    if (!stands_still(machine))
        return error_set(error, -EBUSY, "a machine that runs cannot be shared");
    if (machine->ram->huge) /* of the host's reserve: they are nobody else's */
        return 0;
    int code = state_reader_open(&reader, fd, error);
    if (!code)
        code = machine_memory_plan(&plan, &reader, machine->ram->size, error);
    if (!code)
        code = machine_memory_load(machine->ram, &reader, &plan, false, error);
    machine_memory_plan_free(&plan);
    return code;
}

int machine_load_devices(struct buffer *saved, struct state_reader *reader, struct error *error)
{
    return state_read(reader, "devices", 1, NULL, saved, error);
}

/* What was read of it, before anything is changed. */
struct loader {
    struct buffer vcpus, devices;
    uint64_t clock;
    int64_t then;
    struct machine_memory_plan memory;
    struct machine_vcpu_state *states;
};

static int read_clock(struct loader *loader, struct state_reader *reader, struct error *error)
{
    struct buffer bytes = {0};
    int code = state_read(reader, "clock", 1, NULL, &bytes, error);
    struct reader from = {bytes.data, bytes.size, false};
    loader->clock = reader_take_integer(&from, 8);
    loader->then = (int64_t)reader_take_integer(&from, 8);
    if (!code && (from.failed || from.left || loader->clock >= TIMER_NEVER / 2 || loader->then < 0))
        code = error_set(error, -EINVAL, "the saved machine's clock cannot be so");
    buffer_free(&bytes);
    return code;
}

static int read_parts(struct machine *machine, struct loader *loader, struct state_reader *reader, bool eager,
                      struct error *error)
{
    struct saved_kind kind;
    int code = read_kind(&kind, reader, error);
    if (!code)
        code = check_kind(machine, &kind, error);
    if (!code)
        code = read_clock(loader, reader, error);
    if (!code)
        code = state_read(reader, "vcpus", 1, NULL, &loader->vcpus, error);
    if (!code)
        code = state_read(reader, "devices", 1, NULL, &loader->devices, error);
    if (!code)
        code = machine_memory_plan(&loader->memory, reader, machine->ram->size, error);
    if (!code && machine->type->restore)
        code = machine->type->restore(machine, reader, eager, error);
    return code ? code : state_reader_check(reader, error);
}

/* The machine's clock is what it was. */
static int load_parts(struct machine *machine, struct loader *loader, const struct state_reader *reader,
                      bool eager, struct error *error)
{
    struct devices list = {0};
    loader->states = calloc(machine->vcpu_count, sizeof *loader->states);
    if (!loader->states)
        return error_set(error, -ENOMEM, "out of memory");
    int code = make_vcpus(machine, &list, loader->states, error);
    if (!code)
        code = devices_load(&list, loader->vcpus.data, loader->vcpus.size, error);
    devices_free(&list);
    if (!code)
        code = devices_load(&machine->devices, loader->devices.data, loader->devices.size, error);
    return code ? code : machine_memory_load(machine->ram, reader, &loader->memory, eager, error);
}

int machine_load(struct machine *machine, struct state_reader *reader,
                 const struct machine_load_options *options, struct error *error)
{
    struct loader loader = {0};
    if (machine->vcpus[0].has_thread)
        return error_set(error, -EBUSY, "a machine that is on cannot become another one");
    int code = read_parts(machine, &loader, reader, options->eager, error);
    if (!code) {
        machine->frozen = loader.clock;
        code = load_parts(machine, &loader, reader, options->eager, error);
    }
    for (unsigned i = 0; !code && i < machine->vcpu_count; i++)
        machine->engine->vcpu_set_state(machine->vcpus[i].vcpu, &loader.states[i].state);
    if (!code && machine->type->loaded)
        machine->type->loaded(machine, (options->now - loader.then) / (int64_t)TIMER_SECOND, options->copy);
    machine_memory_plan_free(&loader.memory);
    free(loader.states);
    buffer_free(&loader.vcpus);
    buffer_free(&loader.devices);
    return code;
}
