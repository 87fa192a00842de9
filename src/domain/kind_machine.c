/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kind_machine: domains that are whole machines. The machine is a child of the domain's process, in a cage;
 * with no cage it is the domain's process.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/vsock/dial.h"
#include "backend/vsock/option.h"
#include "base/macros.h"
#include "debug/gdb.h"
#include "domain/balance.h"
#include "domain/control_option.h"
#include "domain/host_limits.h"
#include "domain/host_memory.h"
#include "domain/kind.h"
#include "domain/machine_nets.h"
#include "domain/machine_state.h"
#include "domain/pin.h"
#include "domain/process.h"
#include "domain/visit_kinds.h"
#include "engine/choice.h"
#include "machine/machine_gdb.h"
#include "machine/machine_qmp.h"
#include "machine/pc.h"
#include "personality/container/cgroup.h"
#include "translator/translator.h"

/* What a kernel is told if its user says nothing: where somebody reads its messages. */
#define APPEND_DEFAULT "console=ttyS0"

struct machine_run {
    struct engine_choice engine;
    struct x86_model model;
    enum engine_irqchip irqchip;
    struct machine_config machine;
    struct pc_config pc;
    struct block_options disks[DOMAIN_DISKS_MAX];
    struct machine_nets nets; /* arrived at, and left, in the domain's process */
    struct cgroup *cgroup;    /* NULL: it needs none */
    struct vsock_dial dial;   /* the domain's process's, for a caged machine */
    bool dials;
    struct vsock_dialer dialer; /* the caged machine's */
    struct machine *running;
    struct machine_gdb *gdb;
    struct machine_observer observer;
    struct machine_qmp *qmp;
    struct balance *balance;
    cpu_set_t anywhere;   /* where it may run that nobody pins */
    char vsock[PATH_MAX]; /* if its configuration names none */
    struct machine_state state;
    bool saved;  /* that is why it ends */
    int console; /* the machine's end of it; -1: it is stdio */
};

/* -- its configuration ----------------------------------------------------------------------------------- */

static int memory_check(const struct domain_config *config, struct error *error)
{
    const uint64_t least = config->machine.memory_min, most = config->machine.memory_max;
    if (config->machine.huge_pages && (least || most || config->machine.ksm))
        return error_set(error, -EINVAL,
                         "huge pages of the host's reserve are neither given back nor merged: "
                         "--memory-min, --memory-max and --ksm do not go with --huge-pages");
    if (config->machine.vfio.count && (least || most || config->machine.ksm))
        return error_set(error, -EINVAL,
                         "memory that a device of the host's may reach is neither given back nor merged: "
                         "--memory-min, --memory-max and --ksm do not go with --vfio");
    if (least > config->machine.memory)
        error_set(error, -EINVAL, "machine.memory_min is more than machine.memory");
    else if (most && most < config->machine.memory)
        error_set(error, -EINVAL, "machine.memory_max is less than machine.memory");
    else
        return 0;
    error_hint(error, "--memory is what it begins with: --memory-min 512M --memory 1G --memory-max 2G");
    return -EINVAL;
}

static int machine_check(const struct domain_config *config, struct error *error)
{
    for (unsigned i = 0; i < config->trace.count; i++) {
        const char *trace = config->trace.items[i];
        if (strcmp(trace, "syscall") != 0 && strcmp(trace, "signal") != 0)
            continue;
        error_set(error, -EINVAL, "a machine has no traces syscall and signal");
        error_hint(error, "there are guest, ir and host");
        return -EINVAL;
    }
    if (config->machine.initrd && !config->machine.kernel)
        return error_set(error, -EINVAL, "--initrd goes with a kernel that --kernel names");
    if (config->machine.no_cage && strcmp(config->machine.cage, "required") == 0)
        return error_set(error, -EINVAL, "--no-cage and --cage required contradict each other");
    int code = memory_check(config, error);
    if (code)
        return code;
    if (config->machine.kernel || config->machine.disks.count)
        return machine_nets_check(config, error);
    error_set(error, -EINVAL, "the machine has nothing to start from");
    error_hint(error, "give it a disk's image, or --kernel FILE");
    return -EINVAL;
}

static void machine_summary(const struct domain_config *config, char *text, size_t size)
{
    const char *from = config->machine.disks.count ? config->machine.disks.items[0] : config->machine.kernel;
    char path[DOMAIN_TEXT_MAX + 1];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(from, ","), from);
    const char *slash = strrchr(path, '/');
    snprintf(text, size, "%s", slash ? slash + 1 : path);
}

static size_t write_debug_console(void *opaque, const uint8_t *data, size_t size)
{
    (void)opaque;
    fwrite(data, 1, size, stderr);
    return size;
}

static unsigned trace_bits(const struct domain_list *names)
{
    static const char *const bits[] = {"guest", "ir", "host"};
    static const unsigned values[] = {TRANSLATOR_TRACE_GUEST, TRANSLATOR_TRACE_IR, TRANSLATOR_TRACE_HOST};
    unsigned trace = 0;
    for (unsigned i = 0; i < names->count; i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(bits); j++)
            trace |= strcmp(names->items[i], bits[j]) == 0 ? values[j] : 0;
    }
    return trace;
}

/* In the background the console is a pair of sockets, of which the domain's process has the other. */
static int console_make(struct machine_run *own, struct domain_run *run, struct error *error)
{
    int pair[2];
    if (!run->background)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return error_set(error, -errno, "cannot make the console: %s", strerror(errno));
    own->console = pair[0];
    run->outputs[0] = (struct domain_output){.fd = pair[1], .name = "console"};
    run->input = pair[1];
    return 0;
}

/* What is said to be on stdio is on the domain's console, wherever that is. */
static int console_parse(const struct machine_run *own, struct char_options *options, const char *text,
                         struct error *error)
{
    int code = char_options_parse(options, text, error);
    if (!code && options->kind == CHAR_STDIO && own->console >= 0)
        *options = (struct char_options){.kind = CHAR_SOCKET, .socket = own->console};
    return code;
}

static int consoles_prepare(struct machine_run *own, struct domain_run *run, struct error *error)
{
    const struct domain_list *consoles = &run->config->machine.consoles;
    const char *virtio = run->config->machine.virtio_console;
    int code = console_make(own, run, error);
    if (!code && virtio)
        code = console_parse(own, &own->pc.console, virtio, error);
    for (unsigned i = 0; !code && i < consoles->count; i++)
        code = console_parse(own, &own->pc.serials[i], consoles->items[i], error);
    own->pc.serial_count = MAX(consoles->count, 1);
    const bool elsewhere = own->pc.console.kind == CHAR_STDIO || own->pc.console.kind == CHAR_SOCKET;
    if (!code && !consoles->count && !elsewhere)
        code = console_parse(own, &own->pc.serials[0], "stdio", error);
    return code;
}

static int disks_prepare(struct machine_run *own, const struct domain_config *config, struct error *error)
{
    int code = 0;
    for (unsigned i = 0; !code && i < config->machine.disks.count; i++) {
        code = block_options_parse(&own->disks[i], config->machine.disks.items[i], error);
        own->disks[i].snapshot |= config->machine.snapshot;
        own->pc.disk_count += !code;
    }
    own->pc.disks = own->disks;
    return code;
}

static void nets_prepare(struct machine_run *own, const struct domain_run *run)
{
    const struct domain_config *config = run->config;
    own->pc.nets = own->nets.options;
    own->pc.net_count = own->nets.count;
    own->pc.nets_optional = !config->machine.nets.count && !config->machine.publish.count;
}

/* Every machine that is in the store has one, for its agent. False: it has none. */
static bool vsock_find(struct machine_run *own, const struct domain_run *run, struct vsock_option *vsock)
{
    if (run->config->machine.vsock)
        return vsock_option_parse(vsock, run->config->machine.vsock, NULL) == 0;
    if (!run->domain)
        return false;
    domain_run_path(run->domain, DOMAIN_VSOCK_FILE, own->vsock);
    *vsock = (struct vsock_option){.path = own->vsock};
    return true;
}

static int dial_out(void *opaque, uint32_t port)
{
    struct domain_run *run = opaque;
    return run->dial(run, port);
}

static void vsock_prepare(struct machine_run *own, struct domain_run *run)
{
    own->pc.has_vsock = vsock_find(own, run, &own->pc.vsock);
    own->pc.vsock_optional = !run->config->machine.vsock;
    own->dialer = (struct vsock_dialer){dial_out, run};
    own->pc.vsock_dialer = run->dial ? &own->dialer : NULL;
}

/* In the domain's process: of a device file that its user may not open it can tell why. */
static int engine_find(struct machine_run *own, struct domain_run *run, struct error *error)
{
    const struct domain_config *config = run->config;
    const char *name = run->resume && run->resume->engine ? run->resume->engine : config->machine.engine;
    int code = x86_model_parse(&own->model, config->machine.cpu, error);
    if (!code)
        code = engine_choose(&own->engine, name, &own->model, trace_bits(&config->trace), error);
    if (!code)
        code = engine_choose_irqchip(&own->irqchip, config->machine.irqchip, own->engine.engine, error);
    run->cage_engines = CAGE_ENGINE_TRANSLATE; /* what KVM cannot execute it does (engine/kvm/rescue.c) */
    if (!code && own->engine.engine == &engine_kvm)
        run->cage_engines |= CAGE_ENGINE_KVM;
    if (config->machine.vfio.count)
        run->cage_engines |= CAGE_VFIO;
    return code;
}

/* -- where it runs --------------------------------------------------------------------------------------- */

static void vcpu_begins(void *opaque, unsigned vcpu)
{
    const struct domain_run *run = opaque;
    const struct machine_run *own = run->own;
    cpu_set_t set = own->anywhere;
    pin_find(&run->config->machine.pin, (int)vcpu, &set);
    pin_self(&set, "a vCPU", NULL); /* which has been tried */
}

/* Tries each set by itself, and stays in that of what is no vCPU. */
static int pins_prepare(struct machine_run *own, struct domain_run *run, struct error *error)
{
    const struct domain_list *pins = &run->config->machine.pin;
    cpu_set_t set;
    int code = 0;
    if (!pins->count)
        return 0;
    if (sched_getaffinity(0, sizeof own->anywhere, &own->anywhere) < 0)
        return error_set(error, -errno, "cannot tell where this process may run: %s", strerror(errno));
    for (int vcpu = 0; !code && vcpu < (int)run->config->machine.cpus; vcpu++) {
        char what[32];
        snprintf(what, sizeof what, "vCPU %d", vcpu);
        if (pin_find(pins, vcpu, &set))
            code = pin_self(&set, what, error);
    }
    set = own->anywhere;
    pin_find(pins, PIN_REST, &set);
    if (!code)
        code = pin_self(&set, "the machine's process", error);
    else
        pin_self(&own->anywhere, "the machine's process", NULL);
    return code;
}

static int parts_prepare(struct machine_run *own, struct domain_run *run, struct error *error)
{
    const struct domain_config *config = run->config;
    own->machine = (struct machine_config){
        .type = &machine_pc,
        .engine = own->engine.engine,
        .irqchip = own->irqchip,
        .model = own->model,
        .vcpu_begins = config->machine.pin.count ? vcpu_begins : NULL,
        .opaque = run,
        .vcpu_count = (unsigned)config->machine.cpus,
        .memory = ALIGN_UP(domain_config_memory_most(config), MEMORY_PAGE_SIZE),
        .huge_pages = config->machine.huge_pages,
        .merge = config->machine.ksm,
        .no_reboot = config->machine.no_reboot,
        .trace = trace_bits(&config->trace),
        .trace_stream = stderr,
        .board = &own->pc,
    };
    own->pc = (struct pc_config){
        .kernel = config->machine.kernel,
        .initrd = config->machine.initrd,
        .command_line = config->machine.append   ? config->machine.append
                        : config->machine.kernel ? APPEND_DEFAULT
                                                 : NULL,
        .vfio = config->machine.vfio.items,
        .vfio_count = config->machine.vfio.count,
        .vmport = config->machine.vmport,
        .debug_exit = (uint16_t)config->machine.debug_exit,
        .debug_console.write = config->machine.debug_console ? write_debug_console : NULL,
    };
    vsock_prepare(own, run);
    if (config->machine.ksm)
        host_merges_tell();
    int code = consoles_prepare(own, run, error);
    if (!code)
        code = disks_prepare(own, config, error);
    nets_prepare(own, run);
    return code;
}

/* -- its life -------------------------------------------------------------------------------------------- */

static void machine_discard(struct domain_run *run)
{
    struct machine_run *own = run->own;
    machine_gdb_free(own->gdb, DOMAIN_CANNOT_RUN);
    balance_free(own->balance);
    machine_state_release(&own->state);
    if (own->running)
        machine_free(own->running); /* which gives the terminal back */
    for (unsigned i = 0; i < DOMAIN_DISKS_MAX; i++)
        block_options_free(&own->disks[i]);
    if (own->console >= 0)
        close(own->console);
    if (CPU_COUNT(&own->anywhere) && !run->caged)
        pin_self(&own->anywhere, "the machine's process", NULL);
    run->loop = NULL;
}

/* -- in the domain's process ----------------------------------------------------------------------------- */

static void remove_console(const char *text)
{
    struct char_options options;
    if (char_options_parse(&options, text, NULL) == 0 && options.kind == CHAR_UNIX)
        unlink(options.path);
}

/* Who is in a cage cannot remove the sockets that he has made. Those in RUN/ID go with it. */
static void sockets_remove(const struct domain_config *config)
{
    char *control = NULL;
    if (config->machine.qmp && domain_control_option_parse(config->machine.qmp, &control, NULL) == 0)
        unlink(control);
    free(control);
    if (config->machine.vsock && !vsock_option_is_kernel(config->machine.vsock))
        unlink(config->machine.vsock);
    for (unsigned i = 0; i < config->machine.consoles.count; i++)
        remove_console(config->machine.consoles.items[i]);
    if (config->machine.virtio_console)
        remove_console(config->machine.virtio_console);
}

static void machine_leave(struct domain_run *run)
{
    struct machine_run *own = run->own;
    if (!own)
        return;
    if (run->guest)
        sockets_remove(run->config);
    machine_nets_release(&own->nets);
    cgroup_close(own->cgroup);
    if (own->dials)
        vsock_dial_close(&own->dial);
    free(own);
    run->own = NULL;
    run->guest = 0;
}

static int machine_arrive(struct domain_run *run, struct error *error)
{
    struct machine_run *own = calloc(1, sizeof *own);
    if (!own)
        return error_set(error, -ENOMEM, "out of memory");
    run->own = own;
    run->guest = 0;
    own->console = -1;
    int code = engine_find(own, run, error);
    if (!code)
        code = host_limits_make(&own->cgroup, run->domain, run->config, error);
    if (!code)
        code = machine_nets_prepare(&own->nets, run, error);
    const char *vsock = run->config->machine.vsock;
    if (own->engine.engine == &engine_kvm &&
        (machine_nets_may_use_vhost(&own->nets) || (vsock && vsock_option_is_kernel(vsock))))
        run->cage_engines |= CAGE_VHOST;
    return code;
}

static int machine_enter(struct domain_run *run, struct error *error)
{
    struct machine_run *own = run->own;
    int code = own->cgroup ? cgroup_enter_self(own->cgroup, false, error) : 0;
    cgroup_close(own->cgroup);
    own->cgroup = NULL;
    return code;
}

/* The path is there since the machine listens at it. */
static int machine_dial(struct domain_run *run, uint32_t port)
{
    struct machine_run *own = run->own;
    struct vsock_option vsock;
    if (!own->dials)
        own->dials =
            vsock_find(own, run, &vsock) && vsock.path && vsock_dial_open(&own->dial, vsock.path, NULL) == 0;
    return own->dials ? vsock_dial(&own->dial, port) : -ECONNREFUSED;
}

/* -- in the machine's ------------------------------------------------------------------------------------ */

static void machine_happened(void *opaque, const struct machine_news *news)
{
    struct domain_run *run = opaque;
    const bool paused = news->kind == MACHINE_STOPPED;
    if ((news->kind == MACHINE_BUTTON || news->kind == MACHINE_ENDS) && news->asker != MACHINE_GUEST)
        run->asked = true;
    if ((!paused && news->kind != MACHINE_WENT_ON) || paused == run->paused)
        return;
    run->paused = paused;
    if (run->paused_changed)
        run->paused_changed(run, paused);
}

/* As it was when it was saved. */
static int machine_restore(struct machine_run *own, const struct domain_run *run, struct error *error)
{
    struct state_reader reader;
    struct buffer devices = {0};
    int code = machine_state_open(&reader, run->resume, own->disks, own->pc.disk_count, &own->machine.model,
                                  &devices, error);
    own->machine.is_loaded = true;
    own->machine.saved = &devices;
    if (!code)
        code = machine_new(&own->running, &own->machine, error);
    own->machine.saved = NULL;
    buffer_free(&devices);
    return code ? code : machine_state_load(own->running, &reader, run->resume, error);
}

/* It begins with what its configuration says, even if it can have more. */
static int balance_prepare(struct machine_run *own, const struct domain_run *run, struct error *error)
{
    const struct domain_config *config = run->config;
    const struct balance_bounds bounds = {domain_config_memory_least(config),
                                          domain_config_memory_most(config)};
    const bool automatic = config->machine.memory_min || config->machine.memory_max;
    int code = balance_new(&own->balance, own->running, &bounds, automatic, error);
    if (!code && !run->resume && config->machine.memory < bounds.most)
        balance_set_size(own->balance, config->machine.memory);
    return code;
}

static int machine_prepare(struct domain_run *run, struct error *error)
{
    struct machine_run *own = run->own;
    uint16_t port = 0;
    bool wait = false;
    int code = pins_prepare(own, run, error);
    if (!code)
        code = parts_prepare(own, run, error);
    if (!code)
        code =
            run->resume ? machine_restore(own, run, error) : machine_new(&own->running, &own->machine, error);
    if (!code)
        code = balance_prepare(own, run, error);
    if (!code)
        code = machine_nets_connect(&own->nets, error);
    if (!code && run->config->gdb)
        code = gdb_port_parse(run->config->gdb, &port, &wait, error);
    if (!code && port)
        code = machine_gdb_new(&own->gdb, own->running, port, wait, error);
    if (code) {
        machine_discard(run);
        return code;
    }
    own->observer = (struct machine_observer){.happened = machine_happened, .opaque = run};
    machine_observe(own->running, &own->observer);
    machine_state_init(&own->state, run, own->running, own->disks, own->pc.disk_count);
    run->asked = run->paused = false;
    run->vsock_cid = pc_vsock_cid(own->running);
    run->loop = own->running->loop;
    run->lock = &own->running->lock;
    return 0;
}

static const struct {
    const char *reason;
    int status;
    bool failed;
} ends[] = {
    [MACHINE_OFF] = {"off", DOMAIN_OFF, false},
    [MACHINE_RESET] = {"reset", DOMAIN_RESET, false},
    [MACHINE_SHUTDOWN] = {"triple fault", DOMAIN_SHUTDOWN, true},
    [MACHINE_PANIC] = {"panic", DOMAIN_PANIC, true},
    [MACHINE_TOLD] = {"debug exit", 0, false}, /* its status is the guest's */
    [MACHINE_ENDED] = {"ended", DOMAIN_ENDED, false},
    [MACHINE_FAILED] = {"failed", DOMAIN_FAILED, true},
};

static void machine_run_until_end(struct domain_run *run, struct domain_end *end)
{
    struct machine_run *own = run->own;
    enum machine_end why = machine_run(own->running);
    *end = (struct domain_end){.status = ends[why].status, .failed = ends[why].failed, .asked = run->asked};
    snprintf(end->reason, sizeof end->reason, "%s", ends[why].reason);
    if (why == MACHINE_TOLD) {
        end->status = own->running->status;
        end->failed = end->status != 0;
    }
    if (why == MACHINE_ENDED && own->saved)
        *end = (struct domain_end){.status = DOMAIN_OFF, .reason = "saved", .asked = true};
    machine_gdb_free(own->gdb, (unsigned)end->status);
    own->gdb = NULL;
    if (why == MACHINE_SHUTDOWN)
        fprintf(stderr, "visor: the guest has crashed: triple fault\n");
    if (why == MACHINE_PANIC)
        fprintf(stderr, "visor: the guest's kernel has panicked\n");
}

static int machine_stop(struct domain_run *run, struct error *error)
{
    const struct machine_run *own = run->own;
    (void)error;
    machine_ask(own->running, MACHINE_REQUEST_POWER_BUTTON, MACHINE_SIGNAL);
    return 0;
}

static void machine_kill(struct domain_run *run)
{
    const struct machine_run *own = run->own;
    machine_ask(own->running, MACHINE_REQUEST_END, MACHINE_SIGNAL);
}

static int machine_kind_pause(struct domain_run *run, struct error *error)
{
    const struct machine_run *own = run->own;
    (void)error;
    machine_pause(own->running, MACHINE_PAUSE_USER);
    return 0;
}

static int machine_kind_resume(struct domain_run *run, struct error *error)
{
    const struct machine_run *own = run->own;
    (void)error;
    machine_resume(own->running, MACHINE_PAUSE_USER);
    return 0;
}

static pid_t thread_outside(void *opaque, pid_t thread)
{
    struct domain_run *run = opaque;
    return run->thread_outside(run, thread);
}

static int machine_control(struct domain_run *run, struct qmp_server *server, struct error *error)
{
    struct machine_run *own = run->own;
    const struct machine_qmp_options options = {
        .name = run->name[0] ? run->name : NULL,
        .thread_outside = run->thread_outside ? thread_outside : NULL,
        .opaque = run,
    };
    int code = qmp_server_add(server, &balance_qmp, own->balance, error);
    return code ? code : machine_qmp_new(&own->qmp, own->running, server, &options, error);
}

static int machine_kind_save(struct domain_run *run, struct domain_save *save, struct error *error)
{
    struct machine_run *own = run->own;
    return machine_state_save(&own->state, save, error);
}

static int machine_kind_saved(struct domain_run *run, bool over, struct error *error)
{
    struct machine_run *own = run->own;
    int code = machine_state_saved(&own->state, over, error);
    if (code || !over)
        return code;
    own->saved = true;
    machine_ask(own->running, MACHINE_REQUEST_END, MACHINE_CONTROL);
    return 0;
}

static void machine_uncontrol(struct domain_run *run)
{
    struct machine_run *own = run->own;
    machine_state_cancel(&own->state);
    machine_qmp_free(own->qmp);
    own->qmp = NULL;
}

const struct domain_kind domain_kind_machine = {
    .name = "machine",
    .check = machine_check,
    .summary = machine_summary,
    .caged = true,
    .arrive = machine_arrive,
    .leave = machine_leave,
    .enter = machine_enter,
    .dial = machine_dial,
    .prepare = machine_prepare,
    .run = machine_run_until_end,
    .discard = machine_discard,
    .stop = machine_stop,
    .kill = machine_kill,
    .control = machine_control,
    .uncontrol = machine_uncontrol,
    .pause = machine_kind_pause,
    .resume = machine_kind_resume,
    .save = machine_kind_save,
    .saved = machine_kind_saved,
    .visits = &domain_machine_visits,
};
