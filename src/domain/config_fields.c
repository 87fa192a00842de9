/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_fields: the one table of what can be configured. The order is that of the help. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/model.h"
#include "backend/block/options.h"
#include "backend/char/host.h"
#include "backend/vfio/vfio.h"
#include "backend/vsock/option.h"
#include "boot/layout.h"
#include "debug/gdb.h"
#include "domain/config.h"
#include "domain/control_option.h"
#include "domain/kind.h"
#include "domain/nets.h"
#include "domain/pin.h"
#include "engine/choice.h"
#include "machine/pc.h"
#include "personality/container/oci_names.h"

/* -- what looks at texts --------------------------------------------------------------------------------- */

static int check_cpu(const char *text, struct error *error)
{
    struct x86_model model;
    return x86_model_parse(&model, text, error);
}

static int check_disk(const char *text, struct error *error)
{
    struct block_options options;
    int code = block_options_parse(&options, text, error);
    if (!code)
        block_options_free(&options);
    return code;
}

static int check_card(const char *text, struct error *error)
{
    if (strcmp(text, "host") != 0)
        return domain_net_check(text, error);
    return error_set(error, -EINVAL, "a machine cannot share the host's network; there are user, tap, none");
}

static int check_container_net(const char *text, struct error *error)
{
    if (strcmp(text, "host") == 0)
        return 0;
    if (strncmp(text, "tap", 3) == 0 && !domain_net_is_named(text))
        return error_set(error, -EINVAL,
                         "a container has no tap device of the host's; there are user, host, none");
    struct network_option option;
    int code = domain_net_check(text, error);
    if (!code && domain_net_is_named(text) && !network_option_parse(&option, text, error) &&
        option.vhost != VHOST_AUTO)
        code = error_set(error, -EINVAL, "vhost= is for a machine's card; a container has none");
    return code;
}

static int check_publish(const char *text, struct error *error)
{
    struct network_port port;
    return network_port_parse(&port, text, error);
}

static int check_vfio(const char *text, struct error *error)
{
    char address[VFIO_ADDRESS_SIZE];
    return vfio_address_parse(address, text, error);
}

static int check_console(const char *text, struct error *error)
{
    struct char_options options;
    return char_options_parse(&options, text, error);
}

static int check_vsock(const char *text, struct error *error)
{
    struct vsock_option option;
    return vsock_option_parse(&option, text, error);
}

static int check_gdb(const char *text, struct error *error)
{
    uint16_t port;
    bool wait;
    return gdb_port_parse(text, &port, &wait, error);
}

static int check_qmp(const char *text, struct error *error)
{
    char *path;
    int code = domain_control_option_parse(text, &path, error);
    if (!code)
        free(path);
    return code;
}

static int check_restart(const char *text, struct error *error)
{
    enum domain_restart policy;
    unsigned most;
    return domain_restart_parse(text, &policy, &most, error);
}

static int check_volume(const char *text, struct error *error)
{
    const char *destination = strchr(text, ':');
    if (!destination || destination == text || destination[1] != '/')
        return error_set(error, -EINVAL, "\"%s\" is not SRC:DST with an absolute DST", text);
    const char *suffix = strchr(destination + 1, ':');
    if (suffix && strcmp(suffix, ":ro") != 0 && strcmp(suffix, ":rw") != 0)
        return error_set(error, -EINVAL, "\"%s\" ends neither in :ro nor :rw", text);
    return 0;
}

static int check_inside(const char *text, struct error *error)
{
    return *text == '/' ? 0 : error_set(error, -EINVAL, "it is no absolute path");
}

static int check_cpu_time(const char *text, struct error *error)
{
    char *end;
    double value = isdigit((unsigned char)*text) ? strtod(text, &end) : 0;
    return value >= 0.01 && value <= 8192 && !*end
               ? 0
               : error_set(error, -EINVAL, "it is no number of processors, such as 2 or 0.5");
}

static int check_hostname(const char *text, struct error *error)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");
    return length && !text[length] && length <= 64 ? 0 : error_set(error, -EINVAL, "it is no host name");
}

static int check_capability(const char *text, struct error *error)
{
    char name[40] = "CAP_";
    uint64_t number;
    size_t used = strncasecmp(text, "CAP_", 4) == 0 ? 0 : 4;
    for (; *text && used < sizeof name - 1; text++)
        name[used++] = (char)toupper((unsigned char)*text);
    name[used] = '\0';
    return strcmp(name, "CAP_ALL") == 0 || oci_name_find(oci_capability_names, name, &number)
               ? 0
               : error_set(error, -EINVAL, "there is no such capability");
}

static int check_device(const char *text, struct error *error)
{
    const char *colon = strchr(text, ':'), *second = colon ? strchr(colon + 1, ':') : NULL;
    if (*text == '/' && (!colon || colon[1] == '/') &&
        (!second || (second[1] && strspn(second + 1, "rwm") == strlen(second + 1))))
        return 0;
    return error_set(error, -EINVAL, "it is not /DEV[:/DST[:rwm]]");
}

static int check_signal(const char *text, struct error *error)
{
    return oci_signal_number(text) > 0 ? 0 : error_set(error, -EINVAL, "there is no such signal");
}

int domain_restart_parse(const char *text, enum domain_restart *policy, unsigned *most, struct error *error)
{
    static const char *const names[] = {
        [RESTART_NO] = "no",
        [RESTART_ON_FAILURE] = "on-failure",
        [RESTART_ALWAYS] = "always",
        [RESTART_UNLESS_STOPPED] = "unless-stopped",
    };
    *most = 0;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        *policy = (enum domain_restart)i;
        if (strcmp(text, names[i]) == 0)
            return 0;
    }
    *policy = RESTART_ON_FAILURE;
    const char *number = strncmp(text, "on-failure:", 11) == 0 ? text + 11 : "";
    char *end;
    unsigned long value = isdigit((unsigned char)*number) ? strtoul(number, &end, 10) : 0;
    if (!value || *end || value > 1000000)
        return error_set(error, -EINVAL, "it is no, on-failure, on-failure:N, always or unless-stopped");
    *most = (unsigned)value;
    return 0;
}

/* -- the table ------------------------------------------------------------------------------------------- */

#define AT(member) .offset = offsetof(struct domain_config, member)

const struct domain_field domain_fields[] = {
    {.name = "kind",
     .type = DOMAIN_TEXT,
     .when = DOMAIN_NEVER,
     AT(kind),
     .preset = "machine",
     .choices = DOMAIN_KIND_NAMES,
     .no_option = true,
     .help = "What runs the domain"},
    {.name = "restart",
     .type = DOMAIN_TEXT,
     .when = DOMAIN_AT_ONCE,
     AT(restart),
     .preset = "no",
     .check = check_restart,
     .argument = "POLICY",
     .suggest = "no on-failure on-failure: always unless-stopped",
     .help = "When it has come to its end: no on-failure[:N] always unless-stopped"},
    {.name = "remove",
     .type = DOMAIN_BOOLEAN,
     .when = DOMAIN_AT_ONCE,
     AT(remove),
     .option = "rm",
     .help = "Remove the domain when it has come to its end"},
    {.name = "stop_timeout",
     .type = DOMAIN_NUMBER,
     .when = DOMAIN_AT_ONCE,
     AT(stop_timeout),
     .most = 86400,
     .preset = "10",
     .option = "stop-timeout",
     .argument = "SECONDS",
     .help = "How long \"visor stop\" lets it end by itself; 10"},
    {.name = "log_size",
     .type = DOMAIN_SIZE,
     AT(log_size),
     .least = 4096,
     .most = UINT64_C(1) << 40,
     .preset = "10M",
     .option = "log-size",
     .argument = "SIZE",
     .help = "Begin a new log at this size, and keep the one before; 10M"},
    {.name = "labels",
     .type = DOMAIN_MAP,
     .when = DOMAIN_AT_ONCE,
     AT(labels),
     .most = 256,
     .option = "label",
     .argument = "K=V",
     .help = "What you want to remember about it, and filter by (may be repeated)"},
    {.name = "trace",
     .type = DOMAIN_LIST,
     AT(trace),
     .most = 8,
     .choices = "syscall signal guest ir host",
     .commas = true,
     .argument = "T,…",
     .help = "Trace to standard error: syscall signal guest ir host"},
    {.name = "gdb",
     .type = DOMAIN_TEXT,
     AT(gdb),
     .check = check_gdb,
     .argument = "PORT[,wait]",
     .help = "Let gdb look into it at this TCP port; programs, and with wait machines, wait for it"},

    {.section = "program",
     .name = "arch",
     .type = DOMAIN_TEXT,
     AT(program.arch),
     .choices = "arm64 aarch64 amd64 x86_64 i386 i686",
     .suggest = "arm64 amd64 i386",
     .argument = "ARCH",
     .help = "Refuse programs of another CPU: arm64; amd64 or i386 (which then are translated, too)"},
    {.section = "program",
     .name = "root",
     .type = DOMAIN_TEXT,
     AT(program.root),
     .path = DOMAIN_PATH,
     .is_file = true,
     .argument = "DIR",
     .help = "Run inside this root directory; no rights needed"},
    {.section = "program",
     .name = "env",
     .letter = 'e',
     .type = DOMAIN_MAP,
     AT(program.env),
     .most = 256,
     .argument = "K=V",
     .help = "Set an environment variable (may be repeated)"},
    {.section = "program",
     .name = "workdir",
     .letter = 'w',
     .type = DOMAIN_TEXT,
     AT(program.workdir),
     .is_file = true,
     .argument = "DIR",
     .help = "Start in this directory of the root"},
    {.section = "program",
     .name = "volumes",
     .letter = 'v',
     .type = DOMAIN_LIST,
     AT(program.volumes),
     .most = 64,
     .check = check_volume,
     .path = DOMAIN_PATH_THEN_COLON,
     .is_file = true,
     .option = "volume",
     .argument = "SRC:DST",
     .help = "Show host path SRC as DST inside (:ro to protect it)"},
    {.section = "program",
     .name = "interpret",
     .type = DOMAIN_BOOLEAN,
     AT(program.interpret),
     .help = "Use the slow IR interpreter: to find faults of the translator"},
    {.section = "program",
     .name = "terminal",
     .type = DOMAIN_BOOLEAN,
     AT(program.terminal),
     .option = "tty",
     .letter = 't',
     .help = "In the background: give it a terminal, to which \"visor attach\" leads"},
    {.section = "program",
     .name = "cpus",
     .type = DOMAIN_TEXT,
     .when = DOMAIN_BY_KIND,
     AT(program.cpus),
     .none = true,
     .check = check_cpu_time,
     .argument = "N",
     .help = "It has no more time than so many processors: 1.5"},
    {.section = "program",
     .name = "cpu_shares",
     .type = DOMAIN_NUMBER,
     .when = DOMAIN_BY_KIND,
     AT(program.cpu_shares),
     .none = true,
     .least = 2,
     .most = 262144,
     .option = "cpu-shares",
     .argument = "N",
     .help = "Its weight where processors are scarce; others have 1024"},
    {.section = "program",
     .name = "pin",
     .type = DOMAIN_TEXT,
     .when = DOMAIN_BY_KIND,
     AT(program.pin),
     .none = true,
     .check = pin_check_cpus,
     .argument = "CPUS",
     .help = "Run on these processors of the host: 0-3,7"},
    {.section = "program",
     .name = "command",
     .type = DOMAIN_LIST,
     AT(program.command),
     .most = 4096,
     .no_option = true,
     .help = "The program and its arguments"},

    {.section = "machine",
     .name = "type",
     .type = DOMAIN_TEXT,
     AT(machine.type),
     .preset = "pc",
     .choices = "pc",
     .option = "machine",
     .argument = "TYPE",
     .help = "A machine, of this type: pc (what follows is for machines)"},
    {.section = "machine",
     .name = "engine",
     .type = DOMAIN_TEXT,
     AT(machine.engine),
     .preset = "auto",
     .choices = ENGINE_NAMES,
     .argument = "ENGINE",
     .help = "What runs it: kvm, the processor; translate; or auto: kvm if it is no software"},
    {.section = "machine",
     .name = "irqchip",
     .type = DOMAIN_TEXT,
     AT(machine.irqchip),
     .preset = "auto",
     .choices = ENGINE_IRQCHIPS,
     .argument = "WHERE",
     .help = "Where kvm has the local APICs: split, in the kernel; user, in visor; or auto: split if it can"},
    {.section = "machine",
     .name = "cpu",
     .type = DOMAIN_TEXT,
     AT(machine.cpu),
     .preset = "max",
     .check = check_cpu,
     .suggest = "486 pentium3 x86-64-v1 x86-64-v2 max",
     .argument = "MODEL",
     .help = "Its processor: 486 pentium3 x86-64-v1 x86-64-v2 max, and ,+FEATURE ,-FEATURE"},
    {.section = "machine",
     .name = "cpus",
     .type = DOMAIN_NUMBER,
     AT(machine.cpus),
     .least = 1,
     .most = MACHINE_VCPUS_MAX,
     .preset = "1",
     .argument = "N",
     .help = "How many processors; 1"},
    {.section = "machine",
     .name = "memory",
     .letter = 'm',
     .type = DOMAIN_SIZE,
     .when = DOMAIN_BY_KIND,
     AT(machine.memory),
     .least = LAYOUT_RAM_MIN,
     .most = LAYOUT_RAM_MAX,
     .preset = "1G",
     .argument = "SIZE",
     .help = "How much memory; 1G"},
    {.section = "machine",
     .name = "huge_pages",
     .type = DOMAIN_BOOLEAN,
     AT(machine.huge_pages),
     .option = "huge-pages",
     .help = "All of it huge pages that the host has set aside"},
    {.section = "machine",
     .name = "memory_min",
     .type = DOMAIN_SIZE,
     .when = DOMAIN_BY_KIND,
     AT(machine.memory_min),
     .none = true,
     .least = LAYOUT_RAM_MIN,
     .most = LAYOUT_RAM_MAX,
     .option = "memory-min",
     .argument = "SIZE",
     .help = "Give memory back down to this while the host is short of it"},
    {.section = "machine",
     .name = "memory_max",
     .type = DOMAIN_SIZE,
     .when = DOMAIN_BY_KIND,
     AT(machine.memory_max),
     .none = true,
     .least = LAYOUT_RAM_MIN,
     .most = LAYOUT_RAM_MAX,
     .option = "memory-max",
     .argument = "SIZE",
     .help = "Let the guest have up to this if it needs it and the host has it"},
    {.section = "machine",
     .name = "cpu_limit",
     .type = DOMAIN_TEXT,
     .when = DOMAIN_BY_KIND,
     AT(machine.cpu_limit),
     .none = true,
     .check = check_cpu_time,
     .option = "cpu-limit",
     .argument = "N",
     .help = "It has no more time than so many processors of the host: 1.5"},
    {.section = "machine",
     .name = "cpu_shares",
     .type = DOMAIN_NUMBER,
     .when = DOMAIN_BY_KIND,
     AT(machine.cpu_shares),
     .none = true,
     .least = 2,
     .most = 262144,
     .option = "cpu-shares",
     .argument = "N",
     .help = "Its weight where processors are scarce; others have 1024"},
    {.section = "machine",
     .name = "pin",
     .type = DOMAIN_LIST,
     .when = DOMAIN_BY_KIND,
     AT(machine.pin),
     .none = true,
     .most = MACHINE_VCPUS_MAX + 1,
     .check = pin_check,
     .argument = "[WHO:]CPUS",
     .help =
         "Run vCPU WHO, or the rest, or all on these processors of the host: 0:2 rest:0,1 (may be repeated)"},
    {.section = "machine",
     .name = "ksm",
     .type = DOMAIN_BOOLEAN,
     .when = DOMAIN_BY_KIND,
     AT(machine.ksm),
     .help = "Let the host keep equal pages of its memory and others' once (KSM)"},
    {.section = "machine",
     .name = "kernel",
     .type = DOMAIN_TEXT,
     AT(machine.kernel),
     .path = DOMAIN_PATH,
     .is_file = true,
     .argument = "FILE",
     .help = "Start this kernel: Linux, PVH, multiboot"},
    {.section = "machine",
     .name = "initrd",
     .type = DOMAIN_TEXT,
     AT(machine.initrd),
     .path = DOMAIN_PATH,
     .is_file = true,
     .argument = "FILE",
     .help = "With this initial RAM disk"},
    {.section = "machine",
     .name = "append",
     .type = DOMAIN_TEXT,
     AT(machine.append),
     .argument = "LINE",
     .help = "And this command line; console=ttyS0"},
    {.section = "machine",
     .name = "disks",
     .type = DOMAIN_LIST,
     AT(machine.disks),
     .most = DOMAIN_DISKS_MAX,
     .check = check_disk,
     .path = DOMAIN_PATH_THEN_COMMAS,
     .is_file = true,
     .option = "disk",
     .argument = "FILE[,…]",
     .help = "A disk (may be repeated): readonly snapshot cache=none serial=S format=raw"},
    {.section = "machine",
     .name = "snapshot",
     .type = DOMAIN_BOOLEAN,
     AT(machine.snapshot),
     .help = "Throw away in the end what is written to disks"},
    {.section = "machine",
     .name = "nets",
     .type = DOMAIN_LIST,
     AT(machine.nets),
     .most = 8,
     .check = check_card,
     .suggest = "user user,forward=tcp: tap tap,vhost=on none",
     .option = "net",
     .argument = "KIND[,…]",
     .help = "A network (may be repeated): user tap[=NAME] host none, or NAME[,ip=A][,mac=M][,alias=N]; "
             "[,vhost=on|off|auto]"},
    {.section = "machine",
     .name = "publish",
     .type = DOMAIN_LIST,
     AT(machine.publish),
     .most = DOMAIN_PORTS_MAX,
     .check = check_publish,
     .letter = 'p',
     .argument = "PORT:PORT",
     .help = "A port of the host leads to one of the domain: [IP:]8080:80[/udp] (may be repeated)"},
    {.section = "machine",
     .name = "vfio",
     .type = DOMAIN_LIST,
     AT(machine.vfio),
     .most = 16,
     .check = check_vfio,
     .argument = "PCIADDR",
     .help = "Give it this PCI device of the host's, which vfio-pci has (may be repeated)"},
    {.section = "machine",
     .name = "consoles",
     .type = DOMAIN_LIST,
     AT(machine.consoles),
     .most = PC_SERIALS,
     .check = check_console,
     .path = DOMAIN_PATH_AFTER_KIND,
     .suggest = "stdio pty unix: file: none",
     .option = "console",
     .argument = "WHERE",
     .help = "Serial port: stdio pty unix:PATH file:PATH none (may be repeated)"},
    {.section = "machine",
     .name = "virtio_console",
     .type = DOMAIN_TEXT,
     AT(machine.virtio_console),
     .check = check_console,
     .path = DOMAIN_PATH_AFTER_KIND,
     .suggest = "stdio pty unix: file: none",
     .option = "virtio-console",
     .argument = "WHERE",
     .help = "Another console, hvc0, likewise"},
    {.section = "machine",
     .name = "vsock",
     .type = DOMAIN_TEXT,
     AT(machine.vsock),
     .check = check_vsock,
     .path = DOMAIN_PATH_OR_CID,
     .suggest = "cid=auto cid=",
     .is_file = true,
     .argument = "PATH|cid=N|cid=auto",
     .help = "Connections between guest and host, by Unix sockets at PATH, or by AF_VSOCK as context N"},
    {.section = "machine",
     .name = "qmp",
     .type = DOMAIN_TEXT,
     AT(machine.qmp),
     .check = check_qmp,
     .path = DOMAIN_PATH_AFTER_KIND,
     .argument = "unix:PATH",
     .suggest = "unix:",
     .help = "Be commanded by QMP at this Unix socket, too (,server=on,wait=off may follow)"},
    {.section = "machine",
     .name = "no_reboot",
     .type = DOMAIN_BOOLEAN,
     AT(machine.no_reboot),
     .option = "no-reboot",
     .help = "End when the guest resets the machine"},
    {.section = "machine",
     .name = "vmport",
     .type = DOMAIN_BOOLEAN,
     AT(machine.vmport),
     .option = "vmport",
     .help = "Answer guests that look for VMware, at its port"},
    {.section = "machine",
     .name = "cage",
     .type = DOMAIN_TEXT,
     AT(machine.cage),
     .preset = "on",
     .choices = "on required off",
     .argument = "MODE",
     .help = "Keep it from the host: on, as far as the host lets; required: wholly or not at all; off"},
    {.section = "machine",
     .name = "no_cage",
     .type = DOMAIN_BOOLEAN,
     AT(machine.no_cage),
     .option = "no-cage",
     .help = "The same as --cage off, for debugging"},
    {.section = "machine",
     .name = "debug_exit",
     .type = DOMAIN_NUMBER,
     AT(machine.debug_exit),
     .least = 1,
     .most = 0xfffc,
     .option = "debug-exit",
     .argument = "PORT",
     .help = "End with status 2*N+1 when N is written to this port"},
    {.section = "machine",
     .name = "debug_console",
     .type = DOMAIN_BOOLEAN,
     AT(machine.debug_console),
     .option = "debug-console",
     .help = "Print what is written to port 0xe9 to standard error"},
    {.section = "container",
     .name = "root",
     .type = DOMAIN_TEXT,
     AT(container.root),
     .path = DOMAIN_PATH,
     .no_option = true,
     .help = "The directory that is its root"},
    {.section = "container",
     .name = "bundle",
     .type = DOMAIN_TEXT,
     AT(container.bundle),
     .path = DOMAIN_PATH,
     .no_option = true,
     .help = "An OCI bundle, from whose config.json comes what no other field says"},
    {.section = "container",
     .name = "command",
     .type = DOMAIN_LIST,
     AT(container.command),
     .most = 4096,
     .no_option = true,
     .help = "The program and its arguments; /bin/sh"},
    {.section = "container",
     .name = "env",
     .letter = 'e',
     .type = DOMAIN_MAP,
     AT(container.env),
     .most = 256,
     .argument = "K=V",
     .help = "Set an environment variable (may be repeated)"},
    {.section = "container",
     .name = "workdir",
     .letter = 'w',
     .type = DOMAIN_TEXT,
     AT(container.workdir),
     .check = check_inside,
     .argument = "DIR",
     .help = "Start in this directory of the root"},
    {.section = "container",
     .name = "volumes",
     .letter = 'v',
     .type = DOMAIN_LIST,
     AT(container.volumes),
     .most = 64,
     .check = check_volume,
     .path = DOMAIN_PATH_THEN_COLON,
     .is_file = true,
     .option = "volume",
     .argument = "SRC:DST",
     .help = "Show host path SRC as DST inside (:ro to protect it)"},
    {.section = "container",
     .name = "terminal",
     .type = DOMAIN_BOOLEAN,
     AT(container.terminal),
     .option = "tty",
     .letter = 't',
     .help = "In the background: give it a terminal, to which \"visor attach\" leads"},
    {.section = "container",
     .name = "memory",
     .letter = 'm',
     .type = DOMAIN_SIZE,
     .when = DOMAIN_BY_KIND,
     AT(container.memory),
     .none = true,
     .least = UINT64_C(1) << 19,
     .most = UINT64_C(1) << 50,
     .argument = "SIZE",
     .help = "It has no more memory than this"},
    {.section = "container",
     .name = "cpus",
     .type = DOMAIN_TEXT,
     .when = DOMAIN_BY_KIND,
     AT(container.cpus),
     .none = true,
     .check = check_cpu_time,
     .argument = "N",
     .help = "It has no more time than so many processors: 1.5"},
    {.section = "container",
     .name = "nets",
     .type = DOMAIN_LIST,
     AT(container.nets),
     .most = 8,
     .check = check_container_net,
     .suggest = "user host none",
     .option = "net",
     .argument = "KIND[,…]",
     .help = "A network (may be repeated): user host none, or NAME[,ip=A][,mac=M][,alias=N]"},
    {.section = "container",
     .name = "publish",
     .type = DOMAIN_LIST,
     AT(container.publish),
     .most = DOMAIN_PORTS_MAX,
     .check = check_publish,
     .letter = 'p',
     .argument = "PORT:PORT",
     .help = "A port of the host leads to one of the domain: [IP:]8080:80[/udp] (may be repeated)"},
    {.section = "container",
     .name = "user",
     .type = DOMAIN_TEXT,
     AT(container.user),
     .letter = 'u',
     .argument = "USER[:GROUP]",
     .help = "A container: run the program as this user, by name or number"},
    {.section = "container",
     .name = "hostname",
     .type = DOMAIN_TEXT,
     AT(container.hostname),
     .check = check_hostname,
     .argument = "NAME",
     .help = "A container's host name; the domain's name"},
    {.section = "container",
     .name = "tmpfs",
     .type = DOMAIN_LIST,
     AT(container.tmpfs),
     .most = 64,
     .check = check_inside,
     .argument = "DIR[:OPTS]",
     .help = "An empty file system in memory there: /tmp:size=64m (may be repeated)"},
    {.section = "container",
     .name = "read_only",
     .type = DOMAIN_BOOLEAN,
     AT(container.read_only),
     .option = "read-only",
     .help = "Its root cannot be written to"},
    {.section = "container",
     .name = "memory_swap",
     .type = DOMAIN_SIZE,
     .when = DOMAIN_BY_KIND,
     AT(container.memory_swap),
     .none = true,
     .least = UINT64_C(1) << 19,
     .most = UINT64_C(1) << 50,
     .option = "memory-swap",
     .argument = "SIZE",
     .help = "It has no more memory and swap together than this"},
    {.section = "container",
     .name = "pids",
     .type = DOMAIN_NUMBER,
     .when = DOMAIN_BY_KIND,
     AT(container.pids),
     .none = true,
     .least = 1,
     .most = 1u << 22,
     .option = "pids-limit",
     .argument = "N",
     .help = "How many processes and threads there can be in it; 4096"},
    {.section = "container",
     .name = "cpu_shares",
     .type = DOMAIN_NUMBER,
     .when = DOMAIN_BY_KIND,
     AT(container.cpu_shares),
     .none = true,
     .least = 2,
     .most = 262144,
     .option = "cpu-shares",
     .argument = "N",
     .help = "Its weight where processors are scarce; others have 1024"},
    {.section = "container",
     .name = "pin",
     .type = DOMAIN_TEXT,
     .when = DOMAIN_BY_KIND,
     AT(container.pin),
     .check = pin_check_cpus,
     .argument = "CPUS",
     .help = "Run on these processors of the host: 0-3,7"},
    {.section = "container",
     .name = "cap_add",
     .type = DOMAIN_LIST,
     AT(container.cap_add),
     .most = 64,
     .check = check_capability,
     .option = "cap-add",
     .argument = "CAP",
     .help = "Let it have this capability, or ALL (may be repeated)"},
    {.section = "container",
     .name = "cap_drop",
     .type = DOMAIN_LIST,
     AT(container.cap_drop),
     .most = 64,
     .check = check_capability,
     .option = "cap-drop",
     .argument = "CAP",
     .help = "Take this capability from it, or ALL (may be repeated)"},
    {.section = "container",
     .name = "privileged",
     .type = DOMAIN_BOOLEAN,
     AT(container.privileged),
     .help = "All capabilities and devices, nothing hidden: it can take over the host"},
    {.section = "container",
     .name = "seccomp",
     .type = DOMAIN_TEXT,
     AT(container.seccomp),
     .choices = "unconfined",
     .argument = "unconfined",
     .help = "Let it make any system call"},
    {.section = "container",
     .name = "devices",
     .type = DOMAIN_LIST,
     AT(container.devices),
     .most = 64,
     .check = check_device,
     .is_file = true,
     .option = "device",
     .argument = "DEV[:DST[:rwm]]",
     .help = "Let it have this device of the host's (may be repeated)"},
    {.section = "container",
     .name = "sysctls",
     .type = DOMAIN_MAP,
     AT(container.sysctls),
     .most = 64,
     .option = "sysctl",
     .argument = "K=V",
     .help = "Set a setting of the kernel's that it has for itself (may be repeated)"},
    {.section = "container",
     .name = "ulimits",
     .type = DOMAIN_MAP,
     AT(container.ulimits),
     .most = 16,
     .option = "ulimit",
     .argument = "NAME=SOFT[:HARD]",
     .help = "A limit of each of its processes: nofile=1024:4096 (may be repeated)"},
    {.section = "container",
     .name = "stop_signal",
     .type = DOMAIN_TEXT,
     AT(container.stop_signal),
     .check = check_signal,
     .option = "stop-signal",
     .argument = "SIGNAL",
     .help = "What \"visor stop\" sends to its first process; TERM"},
    {0},
};
