/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The serial ports, and who is at their other ends. */
#include "machine/pc_private.h"

const uint16_t pc_serial_ports[PC_SERIALS] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
const uint8_t pc_serial_irqs[PC_SERIALS] = {4, 3, 4, 3};

static size_t serial_room(void *opaque)
{
    return serial16550_room(opaque);
}

static void serial_receive(void *opaque, const uint8_t *data, size_t size)
{
    serial16550_receive(opaque, data, size);
}

static void serial_receive_break(void *opaque)
{
    serial16550_receive_break(opaque);
}

static void serial_writable(void *opaque)
{
    serial16550_writable(opaque);
}

static void serial_set_connected(void *opaque, bool connected)
{
    serial16550_set_connected(opaque, connected);
}

static void menu_end(void *opaque)
{
    machine_ask(opaque, MACHINE_REQUEST_END, MACHINE_TERMINAL);
}

static void menu_set_paused(void *opaque, bool paused)
{
    (paused ? machine_pause : machine_resume)(opaque, MACHINE_PAUSE_USER);
}

static bool menu_is_paused(void *opaque)
{
    const struct machine *machine = opaque;
    return machine->pauses & MACHINE_PAUSE_USER;
}

static void menu_reset(void *opaque)
{
    machine_ask(opaque, MACHINE_REQUEST_RESET, MACHINE_TERMINAL);
}

static bool menu_power_button(void *opaque)
{
    return machine_press_button(opaque, MACHINE_TERMINAL);
}

struct char_menu pc_menu(struct pc *pc)
{
    return (struct char_menu){menu_end,   menu_set_paused,   menu_is_paused,
                              menu_reset, menu_power_button, pc->machine};
}

static int make_serial(struct pc *pc, unsigned index, const struct char_options *options, struct error *error)
{
    struct machine *machine = pc->machine;
    struct serial16550 *serial = &pc->serials[index];
    const struct char_menu menu = pc_menu(pc);
    struct char_backend backend = {0};
    if (options->kind != CHAR_NONE) {
        int code = char_host_open(&pc->serial_hosts[index], options, machine->loop, &menu, error);
        if (code)
            return code;
        backend = char_host_backend(pc->serial_hosts[index]);
    }
    /* COM1 and COM3 share an interrupt, as COM2 and COM4. */
    serial16550_init(serial, &machine->timers, pc_isa_line(pc, pc_serial_irqs[index], index / 2), backend);
    int code = serial16550_attach(serial, &machine->io, pc_serial_ports[index], error);
    if (code)
        return code;
    if (pc->serial_hosts[index])
        char_host_attach(pc->serial_hosts[index],
                         (struct char_client){serial_room, serial_receive, serial_receive_break,
                                              serial_writable, serial_set_connected, serial});
    char name[32];
    snprintf(name, sizeof name, "serial%u", index);
    return pc_add(pc, &serial16550_type, name, serial, error);
}

int pc_make_serials(struct pc *pc, const struct pc_config *config, struct error *error)
{
    int code = 0;
    for (unsigned i = 0; !code && i < config->serial_count; i++)
        code = make_serial(pc, i, &config->serials[i], error);
    return code;
}

void pc_close_serials(struct pc *pc)
{
    for (unsigned i = 0; i < PC_SERIALS; i++)
        char_host_close(pc->serial_hosts[i]);
}
