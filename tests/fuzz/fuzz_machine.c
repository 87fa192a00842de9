/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_machine: any bytes as a saved machine. They are refused, or the machine that was loaded is saved
 * again, and that is loaded, and saved as the same bytes. The engine keeps registers and runs nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "machine/machine_save.h"
#include "machine/pc.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct machine *machine;
    struct error error = ERROR_INIT;
    struct buffer first = {0}, second = {0};
    if (!machine)
        machine = make_machine();
    const char *seed = getenv("FUZZ_MACHINE_SEED"); /* where to leave an input to begin with */
    if (seed) {
        FILE *file = fopen(seed, "w");
        check(file && !machine_save(machine, &first, &error) && fwrite(first.data, first.size, 1, file) == 1);
        fclose(file);
        unsetenv("FUZZ_MACHINE_SEED");
        first.size = 0;
    }
    pthread_mutex_lock(&machine->lock);
    if (!machine_load(machine, data, size, &error)) {
        check(!machine_save(machine, &first, &error));
        check(!machine_load(machine, first.data, first.size, &error));
        check(!machine_save(machine, &second, &error));
        check(first.size == second.size && !memcmp(first.data, second.data, first.size));
    }
    pthread_mutex_unlock(&machine->lock);
    buffer_free(&first);
    buffer_free(&second);
    return 0;
}
