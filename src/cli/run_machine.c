/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/size.h"
#include "cli/command.h"
#include "cli/run_control.h"
#include "machine/machine_gdb.h"
#include "machine/pc.h"

#define MEMORY_DEFAULT (UINT64_C(1) << 30)
#define CPU_DEFAULT    "max"
#define DISKS_MAX      16
#define NETS_MAX       8

/* What a kernel is told if its user says nothing: where somebody reads its messages. */
#define APPEND_DEFAULT "console=ttyS0"

static struct {
    struct machine_config machine;
    struct pc_config pc;
    unsigned consoles; /* serial ports that were said something of */
    bool cpu;          /* was said: its model is in `machine` */
    const char *append;
    struct machine *running;
    struct block_options disks[DISKS_MAX];
    bool snapshot;
    struct net_options nets[NETS_MAX];
    uint16_t gdb_port; /* 0: no debugger */
    bool gdb_wait;
    char *qmp;  /* path of the control socket; NULL: there is none */
    bool asked; /* the guest has been asked to switch off */
} state = {
    .machine = {.vcpu_count = 1, .memory = MEMORY_DEFAULT},
};

/* -- options --------------------------------------------------------------------------------------------- */

static size_t write_debug_console(void *opaque, const uint8_t *data, size_t size)
{
    (void)opaque;
    fwrite(data, 1, size, stderr);
    return size;
}

static int set_count(const char *text, unsigned most, unsigned *count, struct error *error)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end || text[0] == '-')
        return error_set(error, -EINVAL, "--cpus \"%s\" is no number", text);
    if (errno || value < 1 || value > most)
        return error_set(error, -ERANGE, "--cpus %s: a machine has 1 to %u", text, most);
    *count = (unsigned)value;
    return 0;
}

static int set_memory(const char *text, struct error *error)
{
    int code = size_parse(text, "--memory", LAYOUT_RAM_MIN, LAYOUT_RAM_MAX, &state.machine.memory, error);
    if (code == -ERANGE)
        error_hint(error, "a number is followed by K, M, G or T: --memory 512M");
    state.machine.memory = ALIGN_UP(state.machine.memory, MEMORY_PAGE_SIZE);
    return code;
}

static int set_port(const char *text, uint16_t *port, struct error *error)
{
    char *end;
    unsigned long value = strtoul(text, &end, 0);
    if (end == text || *end || !value || value > 0xfffc)
        return error_set(error, -EINVAL, "--debug-exit \"%s\" is no port: 1 to 0xfffc", text);
    *port = (uint16_t)value;
    return 0;
}

/* The first one is COM1. */
static int add_console(const char *text, struct error *error)
{
    if (state.consoles == PC_SERIALS)
        return error_set(error, -E2BIG, "--console given more than %d times: a PC has no more serial ports",
                         PC_SERIALS);
    int code = char_options_parse(&state.pc.serials[state.consoles], text, error);
    if (code)
        error_prefix(error, "--console ");
    state.consoles++;
    return code;
}

static int add_disk(const char *text, struct error *error)
{
    if (state.pc.disk_count == DISKS_MAX)
        return error_set(error, -E2BIG, "more than %d disks", DISKS_MAX);
    int code = block_options_parse(&state.disks[state.pc.disk_count], text, error);
    if (code)
        error_prefix(error, "--disk ");
    else
        state.pc.disk_count++;
    return code;
}

static int add_net(const char *text, struct error *error)
{
    if (state.pc.net_count == NETS_MAX)
        return error_set(error, -E2BIG, "more than %d network cards", NETS_MAX);
    int code = net_options_parse(&state.nets[state.pc.net_count], text, error);
    if (code)
        error_prefix(error, "--net ");
    else
        state.pc.net_count++;
    return code;
}

static int set_virtio_console(const char *text, struct error *error)
{
    int code = char_options_parse(&state.pc.console, text, error);
    if (code)
        error_prefix(error, "--virtio-console ");
    return code;
}

/* The disk that is named without --disk is the first one, and the one to start from. */
static int add_image(const char *path, struct error *error)
{
    if (state.pc.disk_count == DISKS_MAX)
        return error_set(error, -E2BIG, "more than %d disks", DISKS_MAX);
    memmove(&state.disks[1], &state.disks[0], state.pc.disk_count * sizeof state.disks[0]);
    state.disks[0] = (struct block_options){.path = strdup(path)};
    if (!state.disks[0].path)
        return error_set(error, -ENOMEM, "out of memory");
    state.pc.disk_count++;
    return 0;
}

int run_machine_option(enum run_machine_option option, const char *argument, struct error *error)
{
    switch (option) {
    case RUN_MACHINE:
        if (strcmp(argument, machine_pc.name) != 0)
            return error_set(error, -EINVAL, "there is no machine \"%s\"; there is pc", argument);
        return 0;
    case RUN_CPU: state.cpu = true; return x86_model_parse(&state.machine.model, argument, error);
    case RUN_CPUS: return set_count(argument, MACHINE_VCPUS_MAX, &state.machine.vcpu_count, error);
    case RUN_MEMORY: return set_memory(argument, error);
    case RUN_KERNEL: state.pc.kernel = argument; return 0;
    case RUN_INITRD: state.pc.initrd = argument; return 0;
    case RUN_APPEND: state.append = argument; return 0;
    case RUN_DISK: return add_disk(argument, error);
    case RUN_SNAPSHOT: state.snapshot = true; return 0;
    case RUN_NET: return add_net(argument, error);
    case RUN_VIRTIO_CONSOLE: return set_virtio_console(argument, error);
    case RUN_VSOCK: state.pc.vsock = argument; return 0;
    case RUN_QMP:
        if (state.qmp)
            return error_set(error, -EINVAL, "--qmp given twice: a machine has one control socket");
        return run_control_parse(argument, &state.qmp, error);
    case RUN_CONSOLE: return add_console(argument, error);
    case RUN_NO_REBOOT: state.machine.no_reboot = true; return 0;
    case RUN_DEBUG_EXIT: return set_port(argument, &state.pc.debug_exit, error);
    case RUN_DEBUG_CONSOLE: state.pc.debug_console.write = write_debug_console; return 0;
    }
    return error_set(error, -EINVAL, "unknown option");
}

/* -- what is an image ------------------------------------------------------------------------------------ */

/* What files that machines are made of have in them. */
static const struct {
    uint32_t offset;
    const char *bytes;
    uint8_t size;
} marks[] = {
    {510, "\x55\xaa", 2},   /* a boot sector: of a disk with a partition table, of Linux's bzImage */
    {512, "EFI PART", 8},   /* a partition table of another kind */
    {0x438, "\x53\xef", 2}, /* ext2, ext3, ext4 */
    {0, "XFSB", 4},         {0x10040, "_BHRfS_M", 8}, /* btrfs */
    {0x8001, "CD001", 5},                             /* a CD */
    {0, "QFI\xfb", 4},
};

bool run_machine_is_image(const char *path)
{
    struct stat status;
    char head[16] = "";
    bool found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) || (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool program = pread(fd, head, 4, 0) == 4 && (!memcmp(head, "\177ELF", 4) || !memcmp(head, "#!", 2));
    for (unsigned i = 0; !program && i < ARRAY_SIZE(marks); i++) {
        ssize_t size = pread(fd, head, marks[i].size, marks[i].offset);
        found |= size == marks[i].size && !memcmp(head, marks[i].bytes, marks[i].size);
    }
    close(fd);
    return found || S_ISBLK(status.st_mode);
}

/* Linux's bzImage, which has the mark of a boot sector too. */
static bool is_kernel(const char *path)
{
    char magic[4] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool is = fd >= 0 && pread(fd, magic, 4, 0x202) == 4 && !memcmp(magic, "HdrS", 4);
    if (fd >= 0)
        close(fd);
    return is;
}

/* -- signals --------------------------------------------------------------------------------------------- */

/* The first signal asks the guest to switch off, the second one ends the machine. */
static void signal_came(void *opaque, unsigned events)
{
    struct signalfd_siginfo info;
    (void)events;
    if (read(*(int *)opaque, &info, sizeof info) != sizeof info)
        return;
    if (state.asked) {
        machine_ask(state.running, MACHINE_REQUEST_END, MACHINE_SIGNAL);
        return;
    }
    state.asked = true;
    fprintf(stderr, "visor: %s: the guest is asked to switch off; the next signal ends it at once\n",
            strsignal((int)info.ssi_signo));
    machine_ask(state.running, MACHINE_REQUEST_POWER_BUTTON, MACHINE_SIGNAL);
}

static void signals_block(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* -- running --------------------------------------------------------------------------------------------- */

static int status_number(enum machine_end end, int told)
{
    switch (end) {
    case MACHINE_OFF: return STATUS_OK;
    case MACHINE_RESET: return STATUS_MACHINE_RESET;
    case MACHINE_SHUTDOWN: return STATUS_MACHINE_SHUTDOWN;
    case MACHINE_PANIC: return STATUS_MACHINE_PANIC;
    case MACHINE_TOLD: return told;
    case MACHINE_ENDED: return STATUS_MACHINE_ENDED;
    case MACHINE_FAILED: break;
    }
    return STATUS_FAILED;
}

/* The exit status, and what else there is to say. */
static int status_report(enum machine_end end, int told)
{
    if (end == MACHINE_SHUTDOWN)
        fprintf(stderr, "visor: the guest has crashed: triple fault\n");
    if (end == MACHINE_PANIC)
        fprintf(stderr, "visor: the guest's kernel has panicked\n");
    return status_number(end, told);
}

/* The machine is there, and not yet on. */
static int machine_run_until_end(struct machine *machine, const sigset_t *signals)
{
    struct error error = ERROR_INIT;
    struct loop_watch *watch = NULL;
    struct machine_gdb *gdb = NULL;
    struct run_control control = {0};
    int code = 0, fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        code = error_set(&error, -errno, "cannot wait for signals: %s", strerror(errno));
    if (!code && state.gdb_port)
        code = machine_gdb_new(&gdb, machine, state.gdb_port, state.gdb_wait, &error);
    if (!code && state.qmp)
        code = run_control_start(&control, machine, state.qmp, &error);
    if (!code)
        watch = loop_watch_add(machine->loop, fd, LOOP_READ, signal_came, &fd, &error);
    if (!watch) {
        run_control_stop(&control);
        machine_gdb_free(gdb, STATUS_CANNOT_RUN);
        machine_free(machine);
        error_report(&error);
        return STATUS_CANNOT_RUN;
    }
    state.running = machine;
    enum machine_end end = machine_run(machine);
    int told = machine->status;
    loop_watch_remove(watch);
    close(fd);
    run_control_stop(&control);
    machine_gdb_free(gdb, (unsigned)status_number(end, told));
    machine_free(machine); /* which gives the terminal back */
    return status_report(end, told);
}

/* Whether the options and the words after them say what to start. */
static int take_words(int count, char **words, struct error *error)
{
    if (count > 1) {
        error_set(error, -EINVAL, "%s: a machine has one image to start from", words[1]);
        error_hint(error, "options stand before it; more disks are given by --disk");
        return -EINVAL;
    }
    if (count && is_kernel(words[0])) {
        error_set(error, -EINVAL, "%s is a kernel, not a disk", words[0]);
        error_hint(error, "visor run --kernel %s", words[0]);
        return -EINVAL;
    }
    int code = count ? add_image(words[0], error) : 0;
    if (!code && state.pc.initrd && !state.pc.kernel)
        return error_set(error, -EINVAL, "--initrd goes with a kernel that --kernel names");
    if (code || state.pc.kernel || state.pc.disk_count)
        return code;
    error_set(error, -EINVAL, "the machine has nothing to start from");
    error_hint(error, "give it a disk's image, or --kernel FILE");
    return -EINVAL;
}

static void complete_options(const struct run_machine_common *common)
{
    state.machine.type = &machine_pc;
    state.machine.engine = &engine_translate;
    state.machine.board = &state.pc;
    state.gdb_port = common->gdb_port;
    state.gdb_wait = common->gdb_wait;
    state.machine.trace = common->trace;
    state.machine.trace_stream = stderr;
    if (!state.consoles++ && state.pc.console.kind != CHAR_STDIO)
        state.pc.serials[0] = (struct char_options){.kind = CHAR_STDIO, .escape = CHAR_ESCAPE_DEFAULT};
    state.pc.serial_count = state.consoles;
    state.pc.disks = state.disks;
    state.pc.nets = state.nets;
    if (!state.pc.net_count && !net_options_parse(&state.nets[0], "user", NULL))
        state.pc.net_count = state.pc.nets_optional = 1;
    for (unsigned i = 0; i < state.pc.disk_count; i++)
        state.disks[i].snapshot |= state.snapshot;
    state.pc.command_line = state.append ? state.append : state.pc.kernel ? APPEND_DEFAULT : NULL;
}

int run_machine(const struct run_machine_common *common, int count, char **words)
{
    struct error error = ERROR_INIT;
    struct machine *machine = NULL;
    sigset_t signals;
    int code = take_words(count, words, &error);
    if (code) {
        error_report(&error);
        return STATUS_USAGE;
    }
    complete_options(common);
    if (!state.cpu)
        code = x86_model_parse(&state.machine.model, CPU_DEFAULT, &error);
    if (!code)
        code = state.machine.engine->probe(&error);
    signals_block(&signals);
    if (!code)
        code = machine_new(&machine, &state.machine, &error);
    if (!code)
        return machine_run_until_end(machine, &signals);
    error_report(&error);
    return STATUS_CANNOT_RUN;
}
