/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "debug/gdb.h"
#include "domain/root.h"
#include "personality/linux/linux.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

bool domain_program_find(const char *name, char path[PATH_MAX])
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

static unsigned trace_bits(const struct domain_list *names)
{
    static const struct {
        const char *name;
        unsigned bit;
    } traces[] = {
        {"syscall", LINUX_TRACE_SYSCALL}, {"signal", LINUX_TRACE_SIGNAL}, {"guest", LINUX_TRACE_GUEST},
        {"ir", LINUX_TRACE_IR},           {"host", LINUX_TRACE_HOST},
    };
    unsigned bits = 0;
    for (unsigned i = 0; i < names->count; i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(traces); j++)
            bits |= strcmp(names->items[i], traces[j].name) == 0 ? traces[j].bit : 0;
    }
    return bits;
}

/* The table of fields has let no other name through. */
static void set_arch(struct linux_program *program, const char *name)
{
    static const struct {
        const char *name;
        int machine;
    } names[] = {{"arm64", EM_AARCH64}, {"aarch64", EM_AARCH64}, {"amd64", EM_X86_64},
                 {"x86_64", EM_X86_64}, {"i386", EM_386},        {"i686", EM_386}};

    for (unsigned i = 0; name && i < ARRAY_SIZE(names); i++) {
        if (strcmp(name, names[i].name) != 0)
            continue;
        program->machine = names[i].machine;
        program->translate_host = names[i].machine != EM_AARCH64;
    }
}

/* Inside another root the host user's PATH and HOME mean nothing. The configuration's own wins. */
static int set_environment(const struct domain_config *config, struct error *error)
{
    int code = config->program.root ? setenv("PATH", DEFAULT_PATH, 1) | setenv("HOME", "/root", 1) : 0;
    for (unsigned i = 0; i < config->program.env.count; i++)
        code |= putenv(config->program.env.items[i]);
    return code ? error_set(error, -ENOMEM, "cannot set the environment: out of memory") : 0;
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

/* SRC:DST[:ro], which was checked. The texts live as long as the process. */
static int enter_root(const struct domain_config *config, struct error *error)
{
    struct root root = {.directory = config->program.root};
    for (unsigned i = 0; i < config->program.volumes.count; i++) {
        char *source = strdup(config->program.volumes.items[i]);
        if (!source)
            return error_set(error, -ENOMEM, "out of memory");
        char *destination = strchr(source, ':');
        *destination++ = '\0';
        char *suffix = strchr(destination, ':');
        if (suffix)
            *suffix++ = '\0';
        root.volumes[root.volume_count++] = (struct root_volume){
            .source = source,
            .destination = destination,
            .read_only = suffix && strcmp(suffix, "ro") == 0,
        };
    }
    int code = root_enter(&root, error);
    return code == -ENOENT ? -EINVAL : code; /* the root is missing, not the program */
}

static int enter_workdir(const char *directory, struct error *error)
{
    if (!directory || chdir(directory) == 0)
        return 0;
    int saved = errno;
    return error_set(error, saved == ENOENT ? -EINVAL : -saved, "cannot change to directory %s: %s",
                     directory, strerror(saved));
}

int domain_program_become(const struct domain_config *config, int started, struct error *error)
{
    struct linux_program program = {.trace = trace_bits(&config->trace),
                                    .interpret = config->program.interpret,
                                    .started_fd = started > 0 ? started : 0};
    uint16_t port = 0;
    bool wait;
    char path[PATH_MAX];

    set_arch(&program, config->program.arch);
    if (config->program.root)
        program.visor_fd = open_visor();
    int code = config->gdb ? gdb_port_parse(config->gdb, &port, &wait, error) : 0;
    if (!code && port && (program.debug_fd = gdb_listen(port, error)) < 0)
        code = program.debug_fd;
    if (!code)
        code = enter_root(config, error);
    if (!code)
        code = set_environment(config, error);
    if (!code)
        code = enter_workdir(config->program.workdir, error);
    if (code)
        return code;
    const char *name = config->program.command.items[0];
    if (!domain_program_find(name, path)) {
        error_set(error, -ENOENT, "%s: no such file here, and no such program in PATH", name);
        error_hint(error, "PATH is %s", getenv("PATH") ? getenv("PATH") : DEFAULT_PATH);
        return -ENOENT;
    }
    program.path = path;
    program.arguments = config->program.command.items;
    program.environment = environ;
    return linux_run(&program, error);
}
