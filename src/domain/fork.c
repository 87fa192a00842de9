/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/block/options.h"
#include "backend/char/host.h"
#include "backend/net/options.h"
#include "backend/vsock/option.h"
#include "base/macros.h"
#include "domain/nets.h"
#include "domain/process.h"
#include "domain/save.h"

/* Labels that visor's own parts have put there: a copy is in no group. */
#define OWN_LABELS "visor."

struct forker {
    struct domain *machine;
    struct domain_config config; /* of the copies */
    struct domain_fork *forks;
    struct domain_starting *starting;
    unsigned count, made;
    int fd;
    int hold[2]; /* a pipe: as long as the second one is open the copies stand still */
};

/* -- what there can be more than once -------------------------------------------------------------------- */

static int check_disk(const struct domain_config *config, const char *text, struct error *error)
{
    struct block_options disk;
    int code = block_options_parse(&disk, text, error);
    if (code)
        return code;
    if (!disk.read_only && !disk.snapshot && !config->machine.snapshot) {
        code = error_set(error, -EBUSY, "its disk %s is written in place, and cannot be two machines'",
                         disk.path);
        error_hint(error,
                   "start it with --snapshot, which keeps what it writes to itself, or with readonly disks");
    }
    block_options_free(&disk);
    return code;
}

static int check_net(const char *text, struct error *error)
{
    struct net_options net;
    if (domain_net_is_named(text))
        return 0;
    int code = net_options_parse(&net, text, error);
    if (!code && (net.forward_count || net.interface[0])) {
        code = error_set(error, -EBUSY, "there can be only one network \"%s\"", text);
        error_hint(error, "ports that --publish names stay the machine's, and are no hindrance");
    }
    return code;
}

static int check_console(const char *text, struct error *error)
{
    struct char_options console;
    int code = char_options_parse(&console, text, error);
    if (!code && (console.kind == CHAR_UNIX || console.kind == CHAR_FILE)) {
        code = error_set(error, -EBUSY, "there can be only one console \"%s\"", text);
        error_hint(error, "consoles on stdio or pty can be any number of machines'");
    }
    return code;
}

static int config_check(const struct domain_config *config, struct error *error)
{
    int code = 0;
    if (config->machine.vfio.count)
        code = error_set(error, -EBUSY, "there can be only one PCI device %s", config->machine.vfio.items[0]);
    for (unsigned i = 0; !code && i < config->machine.disks.count; i++)
        code = check_disk(config, config->machine.disks.items[i], error);
    for (unsigned i = 0; !code && i < config->machine.nets.count; i++)
        code = check_net(config->machine.nets.items[i], error);
    for (unsigned i = 0; !code && i < config->machine.consoles.count; i++)
        code = check_console(config->machine.consoles.items[i], error);
    if (!code && config->machine.virtio_console)
        code = check_console(config->machine.virtio_console, error);
    return code;
}

static void text_clear(char **text)
{
    free(*text);
    *text = NULL;
}

static void labels_clear(struct domain_list *labels)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < labels->count; i++) {
        if (strncmp(labels->items[i], OWN_LABELS, strlen(OWN_LABELS)) == 0)
            free(labels->items[i]);
        else
            labels->items[kept++] = labels->items[i];
    }
    labels->count = kept;
}

/* A path stays the machine's; contexts of the host's kernel there are more of. */
static int vsock_renew(struct domain_config *config, struct error *error)
{
    const bool kernel = config->machine.vsock && vsock_option_is_kernel(config->machine.vsock);
    text_clear(&config->machine.vsock);
    if (kernel)
        config->machine.vsock = strdup(VSOCK_OPTION_AUTO);
    return !kernel || config->machine.vsock ? 0 : error_set(error, -ENOMEM, "out of memory");
}

/* What the copies are. */
static int config_make(struct forker *forker, const struct domain_fork_options *options, struct error *error)
{
    struct domain_config *config = &forker->config;
    int code = domain_read_config(forker->machine, config, error);
    if (!code)
        code = config_check(config, error);
    if (code)
        return code;
    domain_list_clear(&config->machine.publish);
    labels_clear(&config->labels);
    text_clear(&config->gdb);
    code = vsock_renew(config, error);
    if (code)
        return code;
    text_clear(&config->machine.qmp);
    config->remove |= options->remove;
    return 0;
}

/* -- making them ----------------------------------------------------------------------------------------- */

static void unmake(struct domain *domain)
{
    if (domain_remove(domain, NULL)) {
        domain_unlock(domain);
        domain_close(domain);
    }
}

static int make_all(struct forker *forker, struct error *error)
{
    int code = 0;
    for (; !code && forker->made < forker->count; forker->made += !code) {
        struct domain_fork *fork = &forker->forks[forker->made];
        code = domain_create_soon(&fork->domain, forker->machine->store, &forker->config, fork->name, error);
    }
    return code;
}

/* A file that nobody changes any more once it is whole. */
static int save(struct forker *forker, struct error *error)
{
    forker->fd = memfd_create("visor-fork", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (forker->fd < 0)
        return error_set(error, -errno, "cannot make a file in memory: %s", strerror(errno));
    int code = domain_save_copy(forker->machine, forker->fd, true, error);
    if (!code && fcntl(forker->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        code = error_set(error, -errno, "cannot seal the file in memory: %s", strerror(errno));
    return code;
}

/* So that they survive the host. While they stand still: the disk is waited for, with processors that are
 * free. */
static void settle_all(const struct forker *forker)
{
    for (unsigned i = 0; i < forker->count; i++) {
        if (!forker->forks[i].code)
            domain_settle(&forker->forks[i].domain);
    }
    domain_store_settle(forker->machine->store);
}

static void start_all(struct forker *forker)
{
    const struct domain_resume resume = {.fd = forker->fd, .hold = forker->hold[0]};
    for (unsigned i = 0; i < forker->count; i++) {
        struct domain_fork *fork = &forker->forks[i];
        fork->code = domain_resume_begin(&forker->starting[i], &fork->domain, &resume, &fork->error);
    }
    for (unsigned i = 0; i < forker->count; i++) {
        struct domain_fork *fork = &forker->forks[i];
        if (!fork->code)
            fork->code = domain_resume_end(&forker->starting[i], &fork->error);
        if (fork->code)
            unmake(&fork->domain);
    }
    if (!forker->config.remove)
        settle_all(forker);
    close(forker->hold[1]);
    forker->hold[1] = -1;
}

int domain_fork(struct domain *machine, const struct domain_fork_options *options, struct domain_fork *forks,
                unsigned count, struct error *error)
{
    struct forker forker = {.machine = machine, .forks = forks, .count = count, .fd = -1, .hold = {-1, -1}};
    int code = config_make(&forker, options, error);
    forker.starting = calloc(count, sizeof *forker.starting);
    if (!code && !forker.starting)
        code = error_set(error, -ENOMEM, "out of memory");
    if (!code && pipe2(forker.hold, O_CLOEXEC) < 0)
        code = error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
    if (!code)
        code = make_all(&forker, error);
    if (!code)
        code = save(&forker, error);
    if (!code)
        start_all(&forker);
    while (code && forker.made)
        unmake(&forks[--forker.made].domain);
    if (code)
        error_prefix(error, "cannot fork %s: ", machine->name);
    const int left[] = {forker.fd, forker.hold[0], forker.hold[1]};
    for (unsigned i = 0; i < ARRAY_SIZE(left); i++) {
        if (left[i] >= 0)
            close(left[i]);
    }
    free(forker.starting);
    domain_config_free(&forker.config);
    return code;
}
