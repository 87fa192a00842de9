/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/balance.h"

#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"
#include "control/qmp_table.h"
#include "device/virtio/balloon.h"
#include "domain/host_memory.h"

#define MILLISECOND (TIMER_SECOND / 1000)
#define FRESH       (3 * TIMER_SECOND) /* what a guest has told is not believed for longer */
#define LEAST_WAIT  (50 * MILLISECOND) /* between two looks, however often the kernel tells of pressure */

struct balance {
    struct machine *machine;
    struct virtio_balloon *balloon;
    struct balance_bounds bounds;
    bool automatic;
    bool watches; /* the kernel tells of pressure; when nothing is automatic any more, in vain */
    struct host_memory *memory;
    struct timer timer;
    uint64_t looked;  /* on the machine's clock */
    uint64_t swap_in; /* bytes, as the guest told at the last look */
    struct balance_host host;
    struct balance_decision decision;
    uint64_t shrinks, grows; /* how often the target was changed */
};

static uint64_t clock_time(const struct balance *balance)
{
    return clock_now(&balance->machine->timers.clock);
}

/* -- the guest ------------------------------------------------------------------------------------------- */

static struct balance_guest sizes(const struct balance *balance)
{
    const uint64_t all = balance->machine->ram->size;
    return (struct balance_guest){
        .size = all - MIN(virtio_balloon_size(balance->balloon), all),
        .target = all - MIN(virtio_balloon_target(balance->balloon), all),
    };
}

static void look_at_guest(struct balance *balance, struct balance_guest *guest)
{
    const uint64_t all = balance->machine->ram->size;
    const struct virtio_balloon_statistics *told = virtio_balloon_statistics(balance->balloon);
    *guest = sizes(balance);
    const uint64_t available =
        told->available_memory != UINT64_MAX ? told->available_memory : told->free_memory;
    guest->has_told = told->time && clock_time(balance) - told->time < FRESH && available <= all &&
                      told->total_memory <= all;
    if (!guest->has_told)
        return;
    guest->available = available;
    guest->total = told->total_memory;
    guest->strained = told->swap_in != UINT64_MAX && told->swap_in > balance->swap_in;
    balance->swap_in = told->swap_in != UINT64_MAX ? told->swap_in : 0;
}

/* -- looking --------------------------------------------------------------------------------------------- */

/* A guest that has all it may, on a host at ease, is left alone. */
static void look(struct balance *balance)
{
    struct balance_guest guest;
    host_memory_look(balance->memory, &balance->host);
    look_at_guest(balance, &guest);
    balance->looked = clock_time(balance);
    balance->decision = balance_decide(&balance->bounds, &balance->host, &guest);
    const uint64_t target = balance->decision.target;
    if (virtio_balloon_is_used(balance->balloon) && target != guest.target) {
        *(target < guest.target ? &balance->shrinks : &balance->grows) += 1;
        balance_set_size(balance, target);
    }
    if (balance->decision.mood != BALANCE_CALM || target < balance->bounds.most)
        virtio_balloon_ask(balance->balloon);
}

static void due(void *opaque)
{
    struct balance *balance = opaque;
    look(balance);
    timer_set(&balance->timer, clock_time(balance) + balance->decision.wait * MILLISECOND);
}

static void pressed(void *opaque)
{
    struct balance *balance = opaque;
    if (balance->automatic)
        timer_set(&balance->timer, MAX(balance->looked + LEAST_WAIT, clock_time(balance)));
}

/* -- its life -------------------------------------------------------------------------------------------- */

/* It begins, or goes on, or stands still. */
static void automatic_set(struct balance *balance, bool automatic)
{
    if (automatic && !balance->watches)
        host_memory_watch(balance->memory, balance->machine->loop, pressed, balance);
    balance->watches |= automatic;
    balance->automatic = automatic;
    timer_set(&balance->timer, automatic ? clock_time(balance) + TIMER_SECOND : TIMER_NEVER);
}

int balance_new(struct balance **out, struct machine *machine, const struct balance_bounds *bounds,
                bool automatic, struct error *error)
{
    struct virtio_balloon *balloon = machine->type->balloon ? machine->type->balloon(machine) : NULL;
    struct balance *balance = calloc(1, sizeof *balance);
    *out = NULL;
    int code = balance ? 0 : error_set(error, -ENOMEM, "out of memory");
    if (!code && !balloon)
        code = error_set(error, -ENODEV, "a machine of type %s has no balloon", machine->type->name);
    if (!code) {
        *balance = (struct balance){.machine = machine, .balloon = balloon, .bounds = *bounds};
        timer_init(&balance->timer, &machine->timers, due, balance);
        code = host_memory_new(&balance->memory, error);
    }
    if (code) {
        free(balance);
        return code;
    }
    automatic_set(balance, automatic);
    *out = balance;
    return 0;
}

void balance_free(struct balance *balance)
{
    if (!balance)
        return;
    timer_cancel(&balance->timer);
    host_memory_free(balance->memory);
    free(balance);
}

void balance_set_size(struct balance *balance, uint64_t size)
{
    const uint64_t all = balance->machine->ram->size;
    virtio_balloon_set_target(balance->balloon, all - MIN(size, all));
}

/* -- by QMP ---------------------------------------------------------------------------------------------- */

QMP_COMMAND(query_balance)
{
    QMP_UNUSED;
    const struct balance *balance = qmp_call_opaque(call);
    struct balance_guest guest = sizes(balance);
    *result = json_pack("{s:b, s:I, s:I, s:I, s:I, s:s, s:i, s:i, s:I, s:I}", "automatic", balance->automatic,
                        "min", (json_int_t)balance->bounds.least, "max", (json_int_t)balance->bounds.most,
                        "target", (json_int_t)guest.target, "actual", (json_int_t)guest.size, "host",
                        balance_mood_name(balance->decision.mood), "left", (int)balance->host.left, "stalled",
                        (int)balance->host.stalled, "shrinks", (json_int_t)balance->shrinks, "grows",
                        (json_int_t)balance->grows);
    return *result ? 0 : error_set(error, -ENOMEM, "out of memory");
}

QMP_COMMAND(set_balance)
{
    struct balance *balance = qmp_call_opaque(call);
    const json_int_t least = json_integer_value(json_object_get(arguments, "min"));
    const json_int_t most = json_integer_value(json_object_get(arguments, "max"));
    (void)result;
    if (least < 0 || most < MAX(least, 1))
        return error_set(error, -EINVAL, "argument 'max' must be more than 0 bytes, and not less than 'min'");
    if (balance->machine->ram->pinned && json_is_true(json_object_get(arguments, "automatic")))
        return error_set(error, -EBUSY,
                         "a device of the host's may reach all of the guest's memory: none "
                         "can be given back");
    automatic_set(balance, json_is_true(json_object_get(arguments, "automatic")));
    const uint64_t target = sizes(balance).target;
    balance->bounds = (struct balance_bounds){(uint64_t)least, (uint64_t)most};
    if (target < balance->bounds.least || target > balance->bounds.most)
        balance_set_size(balance, MAX(balance->bounds.least, MIN(target, balance->bounds.most)));
    return 0;
}

QMP_ENUM_OF(mood, "calm", "wary", "pressed", "grave");
QMP_OBJECT_OF(balance_information, {"automatic", &qmp_boolean, false}, {"min", &qmp_integer, false},
              {"max", &qmp_integer, false}, {"target", &qmp_integer, false}, {"actual", &qmp_integer, false},
              {"host", &mood, false}, {"left", &qmp_integer, false}, {"stalled", &qmp_integer, false},
              {"shrinks", &qmp_integer, false}, {"grows", &qmp_integer, false});
static const struct qmp_field set_arguments[] = {
    {"automatic", &qmp_boolean, false}, {"min", &qmp_integer, false}, {"max", &qmp_integer, false}, {0}};

static const struct qmp_command commands[] = {
    {.name = "x-query-balance", .returns = &balance_information, .run = query_balance},
    {.name = "x-set-balance", .arguments = set_arguments, .returns = &qmp_nothing, .run = set_balance},
    {0},
};

const struct qmp_table balance_qmp = {.commands = commands};
