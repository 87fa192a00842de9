/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/machine_signal.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct machine_signal {
    struct memory_signal memory;
    struct loop_watch *watch;
    bool lent;
    void (*rung)(void *device, unsigned number);
    void *device;
    unsigned number;
    struct machine_signal *next;
};

static void serve(struct machine_signal *signal)
{
    uint64_t count;
    if (read(signal->memory.fd, &count, sizeof count) == sizeof count)
        signal->rung(signal->device, signal->number);
}

static void signal_ready(void *opaque, unsigned events)
{
    (void)events;
    serve(opaque);
}

static void signal_free(struct machine_signal *signal)
{
    if (signal->watch)
        loop_watch_remove(signal->watch);
    if (signal->memory.fd >= 0)
        close(signal->memory.fd);
    free(signal);
}

static struct signal *signal_open(void *opaque, struct memory_region *region, uint64_t offset,
                                  void (*rung)(void *device, unsigned number), void *device, unsigned number)
{
    struct machine *machine = opaque;
    struct error error = ERROR_INIT;
    struct machine_signal *signal = malloc(sizeof *signal);
    if (!signal)
        return NULL;
    *signal = (struct machine_signal){
        .memory = {.region = region, .offset = offset, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)},
        .rung = rung,
        .device = device,
        .number = number,
    };
    if (signal->memory.fd >= 0)
        signal->watch =
            loop_watch_add(machine->loop, signal->memory.fd, LOOP_READ, signal_ready, signal, &error);
    if (!signal->watch) {
        signal_free(signal);
        return NULL;
    }
    signal->next = machine->signals;
    machine->signals = signal;
    if (region)
        memory_signal_add(&machine->memory, &signal->memory);
    return (struct signal *)signal;
}

static void signal_close(void *opaque, struct signal *which)
{
    struct machine *machine = opaque;
    struct machine_signal *signal = (struct machine_signal *)which, **link = &machine->signals;
    while (*link != signal)
        link = &(*link)->next;
    *link = signal->next;
    if (signal->memory.region)
        memory_signal_remove(&machine->memory, &signal->memory);
    signal_free(signal);
}

static int signal_descriptor(void *opaque, struct signal *which)
{
    (void)opaque;
    return ((struct machine_signal *)which)->memory.fd;
}

static void signal_lend(void *opaque, struct signal *which, bool lent)
{
    struct machine_signal *signal = (struct machine_signal *)which;
    (void)opaque;
    signal->lent = lent;
    loop_watch_change(signal->watch, lent ? 0 : LOOP_READ);
}

void machine_signals_init(struct machine *machine)
{
    machine->signal_host =
        (struct signal_host){signal_open, signal_close, signal_descriptor, signal_lend, machine};
}

void machine_signals_free(struct machine *machine)
{
    while (machine->signals)
        signal_close(machine, (struct signal *)machine->signals);
}

/* What is called may close its own signal, and others. */
void machine_signals_serve(struct machine *machine)
{
    for (struct machine_signal *signal = machine->signals; signal;) {
        struct pollfd ready = {.fd = signal->memory.fd, .events = POLLIN};
        if (signal->lent || poll(&ready, 1, 0) <= 0) {
            signal = signal->next;
            continue;
        }
        serve(signal);
        signal = machine->signals;
    }
}
