/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run: runs one program of another CPU, in a root of its own if asked; or, by run_machine.c, a machine. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"
#include "cli/command.h"
#include "cli/root.h"
#include "cli/run_machine.h"
#include "debug/gdb.h"
#include "personality/linux/linux.h"
#include "translator/translator.h"

#define VARIABLES_MAX 256
#define DEFAULT_PATH  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Those of programs, and of both; those of machines follow. */
enum option { ARCH, ROOT, ENV, WORKDIR, VOLUME, INTERPRET, TRACE, GDB, MACHINE };

static const struct command_option options[] = {
    [ARCH] = {.name = "arch",
              .argument = "ARCH",
              .help = "Refuse programs of another CPU: arm64; amd64 or i386 (which then are translated, too)",
              .choices = "arm64 amd64 i386"},
    [ROOT] = {.name = "root",
              .argument = "DIR",
              .help = "Run inside this root directory; no rights needed",
              .is_file = true},
    [ENV] = {.name = "env", .argument = "K=V", .help = "Set an environment variable (may be repeated)"},
    [WORKDIR] = {.name = "workdir",
                 .argument = "DIR",
                 .help = "Start in this directory of the root",
                 .is_file = true},
    [VOLUME] = {.name = "volume",
                .argument = "SRC:DST",
                .help = "Show host path SRC as DST inside (:ro to protect it)",
                .is_file = true},
    [INTERPRET] = {.name = "interpret",
                   .help = "Use the slow IR interpreter: to find faults of the translator"},
    [TRACE] = {.name = "trace",
               .argument = "T,…",
               .help = "Trace to standard error: syscall signal guest ir host",
               .choices = "syscall signal guest ir host"},
    [GDB] = {.name = "gdb",
             .argument = "PORT[,wait]",
             .help = "Let gdb look into it at this TCP port; programs, and with wait machines, wait for it"},
    [MACHINE + RUN_MACHINE] = {.name = "machine",
                               .argument = "TYPE",
                               .help = "A machine, of this type: pc (what follows is for machines)",
                               .choices = "pc"},
    [MACHINE +
        RUN_CPU] = {.name = "cpu",
                    .argument = "MODEL",
                    .help = "Its processor: 486 pentium3 x86-64-v1 x86-64-v2 max, and ,+FEATURE ,-FEATURE",
                    .choices = "486 pentium3 x86-64-v1 x86-64-v2 max"},
    [MACHINE + RUN_CPUS] = {.name = "cpus", .argument = "N", .help = "How many processors; 1"},
    [MACHINE + RUN_MEMORY] = {.name = "memory", .argument = "SIZE", .help = "How much memory; 1G"},
    [MACHINE + RUN_KERNEL] = {.name = "kernel",
                              .argument = "FILE",
                              .help = "Start this kernel: Linux, PVH, multiboot",
                              .is_file = true},
    [MACHINE + RUN_INITRD] = {.name = "initrd",
                              .argument = "FILE",
                              .help = "With this initial RAM disk",
                              .is_file = true},
    [MACHINE +
        RUN_APPEND] = {.name = "append", .argument = "LINE", .help = "And this command line; console=ttyS0"},
    [MACHINE +
        RUN_DISK] = {.name = "disk",
                     .argument = "FILE[,…]",
                     .help = "A disk (may be repeated): readonly snapshot cache=none serial=S format=raw",
                     .is_file = true},
    [MACHINE + RUN_SNAPSHOT] = {.name = "snapshot", .help = "Throw away in the end what is written to disks"},
    [MACHINE +
        RUN_NET] = {.name = "net",
                    .argument = "KIND[,…]",
                    .help = "A network card (may be repeated): user[,forward=tcp:2222:22] tap[=NAME] none",
                    .choices = "user user,forward=tcp: tap none"},
    [MACHINE + RUN_CONSOLE] = {.name = "console",
                               .argument = "WHERE",
                               .help = "Serial port: stdio pty unix:PATH file:PATH none (may be repeated)",
                               .choices = "stdio pty unix: file: none"},
    [MACHINE + RUN_VIRTIO_CONSOLE] = {.name = "virtio-console",
                                      .argument = "WHERE",
                                      .help = "Another console, hvc0, likewise",
                                      .choices = "stdio pty unix: file: none"},
    [MACHINE + RUN_VSOCK] = {.name = "vsock",
                             .argument = "PATH",
                             .help = "Connections between guest and host, by Unix sockets at PATH",
                             .is_file = true},
    [MACHINE + RUN_QMP] = {.name = "qmp",
                           .argument = "unix:PATH",
                           .help = "Be commanded by QMP at this Unix socket (,server=on,wait=off may follow)",
                           .choices = "unix:"},
    [MACHINE + RUN_NO_REBOOT] = {.name = "no-reboot", .help = "End when the guest resets the machine"},
    [MACHINE + RUN_DEBUG_EXIT] = {.name = "debug-exit",
                                  .argument = "PORT",
                                  .help = "End with status 2*N+1 when N is written to this port"},
    [MACHINE + RUN_DEBUG_CONSOLE] = {.name = "debug-console",
                                     .help = "Print what is written to port 0xe9 to standard error"},
    {0},
};

static const char details[] =
    "PROGRAM is looked up in PATH unless it has a slash. With --root it is a path inside DIR,\n"
    "PATH and HOME are set for root, and without PROGRAM a shell is run. Exit status and death by\n"
    "a signal are the program's own; 126 means it could not be run, 127 that it was not found.\n"
    "\n"
    "A machine is made of a disk IMAGE, or of any option from --machine on. The console is the first\n"
    "serial port, by default on this terminal, where Ctrl-] opens a menu. Exit status: 0 switched\n"
    "off, 3 reset and 4 triple fault (with --no-reboot), 5 kernel panic, 6 ended from outside,\n"
    "1 the host could not go on, 126 it could not be started. SIGTERM presses the power button,\n"
    "a second one ends it.\n"
    "\n"
    "Examples:\n"
    "  visor run ./hello-arm64\n"
    "  visor run --root ~/debian-arm64 apt-get update\n"
    "  visor run --trace syscall --root ~/debian-arm64 ls /\n"
    "  visor run --cpus 2 --kernel vmlinuz --initrd initrd.img --append 'console=ttyS0 quiet'\n";

struct run_state {
    struct root root;
    struct linux_program program;
    uint16_t gdb_port; /* 0: no debugger */
    bool gdb_wait;
    const char *workdir;
    const char *program_option, *machine_option; /* given, of those that mean nothing to the other kind */
    char *variables[VARIABLES_MAX];              /* NAME=VALUE, of --env; borrowed from the command line */
    unsigned variable_count;
};

static struct run_state run_state;

static int set_trace(struct run_state *state, const char *names, struct error *error)
{
    static const struct {
        const char *name;
        unsigned bit;
    } traces[] = {
        {"syscall", LINUX_TRACE_SYSCALL}, {"signal", LINUX_TRACE_SIGNAL}, {"guest", LINUX_TRACE_GUEST},
        {"ir", LINUX_TRACE_IR},           {"host", LINUX_TRACE_HOST},
    };

    while (*names) {
        size_t length = strcspn(names, ",");
        unsigned bit = 0;
        for (unsigned i = 0; i < ARRAY_SIZE(traces); i++) {
            if (strlen(traces[i].name) == length && strncmp(traces[i].name, names, length) == 0)
                bit = traces[i].bit;
        }
        if (!bit)
            return error_set(error, -EINVAL,
                             "there is no trace \"%.*s\"; there are syscall, signal, guest, ir and host",
                             (int)length, names);
        state->program.trace |= bit;
        names += length + (names[length] == ',');
    }
    return 0;
}

static int add_volume(struct root *root, const char *text, struct error *error)
{
    if (root->volume_count == ROOT_VOLUMES_MAX)
        return error_set(error, -E2BIG, "more than %d volumes", ROOT_VOLUMES_MAX);

    char *copy = strdup(text); /* lives as long as the process */
    char *destination = copy ? strchr(copy, ':') : NULL;
    if (!destination || destination == copy || destination[1] != '/') {
        free(copy);
        return error_set(error, -EINVAL, "volume \"%s\" is not SRC:DST with an absolute DST", text);
    }
    *destination++ = '\0';
    struct root_volume volume = {.source = copy, .destination = destination};
    char *suffix = strchr(destination, ':');
    if (suffix) {
        volume.read_only = strcmp(suffix, ":ro") == 0;
        if (!volume.read_only && strcmp(suffix, ":rw") != 0)
            return error_set(error, -EINVAL, "volume \"%s\" ends neither in :ro nor :rw", text);
        *suffix = '\0';
    }
    root->volumes[root->volume_count++] = volume;
    return 0;
}

static int set_arch(struct linux_program *program, const char *name, struct error *error)
{
    static const struct {
        const char *name;
        int machine;
    } names[] = {{"arm64", EM_AARCH64}, {"aarch64", EM_AARCH64}, {"amd64", EM_X86_64},
                 {"x86_64", EM_X86_64}, {"i386", EM_386},        {"i686", EM_386}};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(name, names[i].name) != 0)
            continue;
        program->machine = names[i].machine;
        program->translate_host = names[i].machine != EM_AARCH64;
        return 0;
    }
    return error_set(error, -EINVAL, "no translator for \"%s\"; there are arm64, amd64 and i386", name);
}

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct run_state *state = context;
    if (index >= MACHINE) {
        state->machine_option = options[index].name;
        return run_machine_option((enum run_machine_option)(index - MACHINE), argument, error);
    }
    if (index != TRACE && index != GDB)
        state->program_option = options[index].name;
    switch ((enum option)index) {
    case ARCH: return set_arch(&state->program, argument, error);
    case ROOT: state->root.directory = argument; return 0;
    case ENV:
        if (argument[0] == '=' || !strchr(argument, '='))
            return error_set(error, -EINVAL, "--env \"%s\" is not NAME=VALUE", argument);
        if (state->variable_count == VARIABLES_MAX)
            return error_set(error, -E2BIG, "--env given more than %d times", VARIABLES_MAX);
        state->variables[state->variable_count++] = (char *)argument;
        return 0;
    case WORKDIR: state->workdir = argument; return 0;
    case VOLUME: return add_volume(&state->root, argument, error);
    case TRACE: return set_trace(state, argument, error);
    case INTERPRET: state->program.interpret = true; return 0;
    case GDB: return gdb_port_parse(argument, &state->gdb_port, &state->gdb_wait, error);
    case MACHINE: break;
    }
    return error_set(error, -EINVAL, "unknown option");
}

/* The program's path: as given, or the first executable file of that name in PATH. False: there is none. */
static bool find_program(const char *name, char *path)
{
    if (strchr(name, '/')) {
        snprintf(path, PATH_MAX, "%s", name);
        return true;
    }
    const char *directories = getenv("PATH");
    bool found = false; /* something that may not be executed: better to report than "not found" */
    for (const char *d = directories ? directories : DEFAULT_PATH; *d;) {
        size_t length = strcspn(d, ":");
        char candidate[PATH_MAX];
        struct stat status;
        snprintf(candidate, sizeof candidate, "%.*s/%s", length ? (int)length : 1, length ? d : ".", name);
        if (stat(candidate, &status) == 0 && S_ISREG(status.st_mode)) {
            bool executable = access(candidate, X_OK) == 0;
            if (executable || !found)
                memcpy(path, candidate, sizeof candidate);
            found = true;
            if (executable)
                return true;
        }
        d += length + (d[length] == ':');
    }
    return found;
}

/* Inside another root the host user's PATH and HOME mean nothing. --env wins. */
static int set_environment(const struct run_state *state, struct error *error)
{
    if (state->root.directory && (setenv("PATH", DEFAULT_PATH, 1) < 0 || setenv("HOME", "/root", 1) < 0))
        return error_set(error, -ENOMEM, "cannot set the environment: out of memory");
    for (unsigned i = 0; i < state->variable_count; i++) {
        if (putenv(state->variables[i]) != 0)
            return error_set(error, -ENOMEM, "cannot set the environment: out of memory");
    }
    return 0;
}

/* Visor's own file, for the guest's children: what is in the root at /proc, if anything, does not lead there.
 */
static int open_visor(void)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd >= 0)
        close(fd);
    return high < 0 ? 0 : high;
}

static int start(struct run_state *state, char **arguments, struct error *error)
{
    if (state->root.directory)
        state->program.visor_fd = open_visor();
    if (state->gdb_port && (state->program.debug_fd = gdb_listen(state->gdb_port, error)) < 0)
        return state->program.debug_fd;
    int code = root_enter(&state->root, error);
    if (code < 0)
        return code == -ENOENT ? -EINVAL : code; /* the root is missing, not the program */
    code = set_environment(state, error);
    if (code < 0)
        return code;
    if (state->workdir && chdir(state->workdir) < 0) {
        int saved = errno;
        return error_set(error, saved == ENOENT ? -EINVAL : -saved, "cannot change to directory %s: %s",
                         state->workdir, strerror(saved));
    }
    char path[PATH_MAX];
    if (!find_program(arguments[0], path)) {
        error_set(error, -ENOENT, "%s: no such file here, and no such program in PATH", arguments[0]);
        error_hint(error, "PATH is %s", getenv("PATH") ? getenv("PATH") : DEFAULT_PATH);
        return -ENOENT;
    }
    state->program.path = path;
    state->program.arguments = arguments;
    state->program.environment = environ;
    return linux_run(&state->program, error);
}

/* A machine's options, or an image that is no program, which would be found in PATH, make a machine. */
static bool is_machine(const struct run_state *state, int count, char **words)
{
    char path[PATH_MAX];
    if (state->machine_option)
        return true;
    if (state->program_option || !count || (!strchr(words[0], '/') && find_program(words[0], path)))
        return false;
    return run_machine_is_image(words[0]);
}

static int run_run_machine(const struct run_state *state, int count, char **words)
{
    if (state->program_option) {
        fprintf(stderr, "visor: run: --%s is for programs, and --%s for machines\n  hint: give one of them\n",
                state->program_option, state->machine_option);
        return STATUS_USAGE;
    }
    struct run_machine_common common = {.gdb_port = state->gdb_port, .gdb_wait = state->gdb_wait};
    common.trace = (state->program.trace & LINUX_TRACE_GUEST ? TRANSLATOR_TRACE_GUEST : 0) |
                   (state->program.trace & LINUX_TRACE_IR ? TRANSLATOR_TRACE_IR : 0) |
                   (state->program.trace & LINUX_TRACE_HOST ? TRANSLATOR_TRACE_HOST : 0);
    if (state->program.trace & (LINUX_TRACE_SYSCALL | LINUX_TRACE_SIGNAL)) {
        fprintf(stderr, "visor: run: a machine has no traces syscall and signal\n"
                        "  hint: there are guest, ir and host\n");
        return STATUS_USAGE;
    }
    return run_machine(&common, count, words);
}

static int run_run(void *context, int count, char **words)
{
    struct run_state *state = context;
    static char *shell[] = {"/bin/sh", NULL};
    if (is_machine(state, count, words))
        return run_run_machine(state, count, words);
    if (count == 0) {
        if (!state->root.directory) {
            fprintf(stderr, "visor: run: name the program or the disk to run\n"
                            "  hint: visor run [OPTION…] PROGRAM [ARG…], visor run [OPTION…] IMAGE\n");
            return STATUS_USAGE;
        }
        words = shell;
    }
    struct error error = ERROR_INIT;
    int code = start(state, words, &error);
    error_report(&error);
    return code == -ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

const struct command command_run_domain = {
    .name = "run",
    .arguments = "PROGRAM [ARG…] | IMAGE",
    .summary = "Runs a program of another CPU, or a whole machine",
    .details = details,
    .options = options,
    .option = set_option,
    .run = run_run,
    .state = &run_state,
};
