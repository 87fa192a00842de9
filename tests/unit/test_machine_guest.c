/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole machines with the engine `translate` and guests of a few instructions: machine_guest.S. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "machine/pc.h"

#define EXIT_PORT 0xf4
#define LOAD      0x100000

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

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_init),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
