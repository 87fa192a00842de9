/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kind_container: domains that are containers. The domain's process makes it by container.h, as an OCI
 * container of the domain's id, and is the parent of its first process, which ends with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/idle_pages.h"
#include "domain/child.h"
#include "domain/container_document.h"
#include "domain/container_nets.h"
#include "domain/container_place.h"
#include "domain/kind.h"
#include "domain/oom.h"
#include "domain/relay.h"
#include "domain/store.h"
#include "domain/visit_kinds.h"
#include "personality/container/container.h"
#include "personality/container/oci_names.h"
#include "personality/container/self_exe.h"

#define CONFIG_FILE "config.json" /* in the domain's directory for run time */

struct container_run {
    pthread_mutex_t lock;
    struct domain_run *run;
    char state_root[PATH_MAX];
    struct container_nets *nets;
    struct container_new made; /* its terminal: the relay's */
    int master;                /* the same, of the console's; -1: none */
    int process;               /* its first process's pidfd */
    struct loop_watch *watch;
    struct relay *relay;
    struct oom *oom;
    int stdio[3]; /* the program's ends, until it has them; -1: those of this process */
    bool lives;   /* there is a container */
};

/* What the kernel would say only once there is a container. */
static int swap_check(const struct domain_config *config, struct error *error)
{
    const uint64_t memory = config->container.memory, both = config->container.memory_swap;
    if (!both || (memory && memory <= both) || (!memory && config->container.bundle))
        return 0;
    if (memory)
        error_set(error, -EINVAL, "container.memory_swap is less than container.memory, which it includes");
    else
        error_set(error, -EINVAL, "container.memory_swap goes with container.memory, which it includes");
    error_hint(error, "--memory 1G --memory-swap 1G is no swap");
    return -EINVAL;
}

static int container_check(const struct domain_config *config, struct error *error)
{
    if (config->container.root && config->container.bundle)
        return error_set(error, -EINVAL, "container: it has a root or a bundle, and not both");
    if (config->container.root || config->container.bundle) {
        int code = swap_check(config, error);
        return code ? code : container_nets_check(config, error);
    }
    error_set(error, -EINVAL, "name the container's root directory, or a bundle");
    error_hint(error, "visor run [OPTION…] DIRECTORY [PROGRAM [ARG…]]");
    return -EINVAL;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void container_summary(const struct domain_config *config, char *text, size_t size)
{
    const char *directory = config->container.root ? config->container.root : config->container.bundle;
    const struct domain_list *command = &config->container.command;
    snprintf(text, size, "%s%s%s", last_part(directory), command->count ? " " : "",
             command->count ? last_part(command->items[0]) : "");
}

void domain_container_root(const struct domain_store *store, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%.*s/containers", PATH_MAX - 16, store->run_path);
}

/* -- what it is connected to ----------------------------------------------------------------------------- */

static bool has_terminal(const struct domain_run *run)
{
    return run->background ? run->config->container.terminal : relay_is_possible();
}

/* In the foreground it has what visor has; a terminal of its own if that is one. */
static int stdio_make(struct container_run *own, struct error *error)
{
    if (!own->run->background || has_terminal(own->run))
        return 0;
    return child_streams_make(own->run, own->stdio, error);
}

static int terminal_connect(struct container_run *own, struct error *error)
{
    if (own->made.terminal < 0)
        return 0;
    if (!own->run->background)
        return relay_new(&own->relay, own->run->loop, own->made.terminal, error);
    own->run->outputs[0] = (struct domain_output){.fd = own->made.terminal, .name = "console"};
    own->run->input = own->master = own->made.terminal;
    own->made.terminal = -1;
    return 0;
}

static void container_recover(const struct domain *domain)
{
    char state_root[PATH_MAX];
    struct error error = ERROR_INIT;
    domain_container_root(domain->store, state_root);
    if (container_delete(state_root, domain->id, true, &error))
        error_report(&error);
}

/* -- making it ------------------------------------------------------------------------------------------- */

static int write_config(const json_t *document, const char *path, struct error *error)
{
    char *text = json_dumps(document, JSON_INDENT(2));
    int fd = text ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    size_t size = text ? strlen(text) : 0;
    int code = !text                                              ? -ENOMEM
               : fd < 0 || write(fd, text, size) != (ssize_t)size ? -(errno ? errno : EIO)
                                                                  : 0;
    if (fd >= 0)
        close(fd);
    free(text);
    return code ? error_set(error, code, "cannot write %s: %s", path, strerror(-code)) : 0;
}

static int container_make(struct container_run *own, struct error *error)
{
    struct domain_run *run = own->run;
    const struct domain_config *config = run->config;
    char file[PATH_MAX], directory[PATH_MAX];
    const struct container_document what = {.config = config,
                                            .name = run->name,
                                            .id = run->domain->id,
                                            .terminal = has_terminal(run),
                                            .has_network = !container_nets_are_hosts(config)};
    domain_run_path(run->domain, CONFIG_FILE, file);
    domain_run_path(run->domain, "", directory);
    const struct container_options options = {
        .state_root = own->state_root,
        .id = run->domain->id,
        .bundle = config->container.bundle ? config->container.bundle : directory,
        .config = file,
        .stdio = own->stdio[0] >= 0 ? own->stdio : NULL,
        .foreground = true,
        .resident = true,
        .keep_namespaces = true,
        .default_filter = !config->container.seccomp && !config->container.privileged,
    };
    container_recover(run->domain); /* a process that was killed at its start may have left one */
    json_t *document = container_document_make(&what, error);
    int code = document ? container_nets_document(own->nets, document, error) : error->code;
    if (!code)
        code = write_config(document, file, error);
    json_decref(document);
    if (!code)
        code = container_create(&options, &own->made, error);
    child_streams_close(own->stdio);
    if (code)
        return code;
    own->lives = true;
    code = container_nets_connect(own->nets, own->made.users, own->made.network, error);
    if (own->made.users >= 0)
        close(own->made.users);
    if (own->made.network >= 0)
        close(own->made.network);
    if (!code)
        code = container_go(&options, &own->made, error);
    if (!code) {
        own->process = pidfd_open(own->made.pid, 0);
        code = own->process < 0 ? error_set(error, -errno, "cannot watch the container: %s", strerror(errno))
                                : 0;
    }
    return code;
}

/* -- its life -------------------------------------------------------------------------------------------- */

static void container_ended(void *opaque, unsigned events)
{
    struct container_run *own = opaque;
    (void)events;
    loop_stop(own->run->loop);
}

static int container_signal(const struct container_run *own, int number, struct error *error)
{
    if (own->made.pid <= 0) /* it has just ended: this would be a signal to ourselves */
        return error_set(error, -ESRCH, "the container has ended");
    return kill(own->made.pid, number) < 0
               ? error_set(error, -errno, "cannot send the container a signal: %s", strerror(errno))
               : 0;
}

/* What is frozen does not die of it before it goes on. */
static void container_end(struct domain_run *run)
{
    const struct container_run *own = run->own;
    struct error error = ERROR_INIT;
    container_signal(own, SIGKILL, NULL);
    if (run->paused && container_freeze(own->state_root, run->domain->id, false, &error))
        error_report(&error);
}

static void container_discard(struct domain_run *run)
{
    struct container_run *own = run->own;
    struct error error = ERROR_INIT;
    if (!own)
        return;
    relay_free(own->relay);
    oom_free(own->oom);
    if (own->lives && own->made.pid > 0) {
        container_end(run);
        while (waitpid(own->made.pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (own->lives && container_delete(own->state_root, run->domain->id, true, &error))
        error_report(&error);
    child_streams_close(own->stdio);
    if (own->made.terminal >= 0)
        close(own->made.terminal);
    if (own->watch)
        loop_watch_remove(own->watch);
    container_nets_free(own->nets);
    if (own->process >= 0)
        close(own->process);
    if (run->loop)
        loop_free(run->loop);
    run->loop = NULL;
    pthread_mutex_destroy(&own->lock);
    free(own);
    run->own = NULL;
}

static int memory_watch(struct container_run *own, struct error *error)
{
    struct cgroup *cgroup;
    int code = container_cgroup(own->state_root, own->run->domain->id, &cgroup, error);
    return code ? code : oom_new(&own->oom, own->run->domain, own->run->loop, cgroup, error);
}

/* It waits, for a long time. */
static void memory_return(void)
{
    heap_return();
    idle_pages_return();
}

static int container_prepare(struct domain_run *run, struct error *error)
{
    if (!run->domain)
        return error_set(error, -EINVAL, "a container has to be listed");
    struct container_run *own = calloc(1, sizeof *own);
    if (!own)
        return error_set(error, -ENOMEM, "out of memory");
    *own = (struct container_run){.run = run,
                                  .process = -1,
                                  .master = -1,
                                  .stdio = {-1, -1, -1},
                                  .made = {.channel = -1, .terminal = -1}};
    pthread_mutex_init(&own->lock, NULL);
    domain_container_root(run->domain->store, own->state_root);
    run->own = own;
    run->lock = &own->lock;
    run->loop = NULL;
    run->asked = run->paused = false;
    int code = stdio_make(own, error);
    if (!code)
        code = loop_new(&run->loop, run->lock, NULL, error);
    if (!code)
        code = container_nets_prepare(&own->nets, run, error);
    if (!code)
        code = container_make(own, error);
    if (!code) {
        own->watch = loop_watch_add(run->loop, own->process, LOOP_READ, container_ended, own, error);
        code = own->watch ? 0 : -ENOMEM;
    }
    if (!code)
        code = terminal_connect(own, error);
    if (!code)
        code = memory_watch(own, error);
    if (!code)
        code = loop_settle(run->loop, memory_return, error);
    if (code)
        container_discard(run);
    return code;
}

static void container_run_until_end(struct domain_run *run, struct domain_end *end)
{
    struct container_run *own = run->own;
    loop_run(run->loop);
    child_wait(own->made.pid, run, end);
    own->made.pid = 0;
    if (end->status == 128 + SIGKILL && !end->asked && oom_kills(own->oom))
        snprintf(end->reason, sizeof end->reason, "out of memory");
}

static int container_stop(struct domain_run *run, struct error *error)
{
    const char *name = run->config->container.stop_signal;
    const char *usual = container_document_is_system(run->config) ? "RTMIN+3" : "TERM"; /* systemd(1) */
    return container_signal(run->own, oci_signal_number(name ? name : usual), error);
}

/* In the background the end is asked for, and by a second signal comes at once; others, and all in the
 * foreground, are the program's. */
static void container_take_signal(struct domain_run *run, int number)
{
    struct container_run *own = run->own;
    const bool end = number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT;
    const bool again = run->asked;
    if (number == SIGWINCH) {
        if (own->relay)
            relay_resize(own->relay);
        return;
    }
    run->asked |= end;
    if (!end || !run->background)
        container_signal(own, number, NULL);
    else if (again)
        container_end(run);
    else
        container_stop(run, NULL);
}

static int set_paused(struct domain_run *run, bool paused, struct error *error)
{
    const struct container_run *own = run->own;
    if (run->paused == paused)
        return 0;
    int code = container_freeze(own->state_root, run->domain->id, paused, error);
    if (code)
        return code;
    run->paused = paused;
    run->paused_changed(run, paused);
    return 0;
}

static int container_pause(struct domain_run *run, struct error *error)
{
    return set_paused(run, true, error);
}

static int container_resume(struct domain_run *run, struct error *error)
{
    return set_paused(run, false, error);
}

static int container_resize(struct domain_run *run, unsigned rows, unsigned columns, struct error *error)
{
    const struct container_run *own = run->own;
    return child_resize(own->master, rows, columns, error);
}

const struct domain_kind domain_kind_container = {
    .name = "container",
    .check = container_check,
    .summary = container_summary,
    .protect = self_exe_protect,
    .prepare = container_prepare,
    .run = container_run_until_end,
    .discard = container_discard,
    .recover = container_recover,
    .signal = container_take_signal,
    .stop = container_stop,
    .kill = container_end,
    .pause = container_pause,
    .resume = container_resume,
    .resize = container_resize,
    .visits = &domain_container_visits,
};
