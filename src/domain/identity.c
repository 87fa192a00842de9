/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "control/agent/client.h"
#include "domain/log.h"
#include "domain/nets.h"
#include "domain/visit_kinds.h"

#define LOOK_MS       500 /* for the answer of one that is there */
#define ENTROPY_BYTES 64

bool domain_has_agent(struct domain *machine)
{
    struct domain_visit visit = {.domain = machine};
    struct agent_host host;
    struct error error = ERROR_INIT;
    char path[PATH_MAX];
    if (!domain_look(machine, &visit.state, NULL) && visit.state.status == DOMAIN_PAUSED)
        return true;
    int code = domain_read_config(machine, &visit.config, &error);
    if (!code) {
        domain_machine_agent(&visit, path, &host);
        host.timeout_ms = LOOK_MS;
        code = agent_ping(&host, &error);
    }
    domain_config_free(&visit.config);
    return !code;
}

/* A domain's name as hosts' names may be. */
static void name_make(char host_name[AGENT_NAME_MAX + 1], const char *name)
{
    snprintf(host_name, AGENT_NAME_MAX + 1, "%s", name);
    for (char *at = host_name; (at = strchr(at, '_'));)
        *at = '-';
}

static int identity_make(struct agent_identity *identity, const struct domain_visit *visit,
                         struct error *error)
{
    uint64_t id[2];
    *identity = (struct agent_identity){.entropy_size = ENTROPY_BYTES};
    if (getrandom(id, sizeof id, 0) != sizeof id ||
        getrandom(identity->entropy, ENTROPY_BYTES, 0) != ENTROPY_BYTES)
        return error_set(error, -EIO, "the kernel gives no random numbers");
    snprintf(identity->machine_id, sizeof identity->machine_id, "%016" PRIx64 "%016" PRIx64, id[0], id[1]);
    name_make(identity->host_name, visit->domain->name);
    identity->card_count = domain_nets_addresses(visit->domain, &visit->config, identity->cards);
    return 0;
}

static int tell(struct domain_visit *visit, struct error *error)
{
    struct agent_identity identity;
    struct agent_host host;
    char path[PATH_MAX];
    int code = domain_look(visit->domain, &visit->state, error);
    if (!code)
        code = domain_read_config(visit->domain, &visit->config, error);
    if (!code)
        code = identity_make(&identity, visit, error);
    if (!code) {
        domain_machine_agent(visit, path, &host);
        identity.time = (uint64_t)state_time_now();
        code = domain_machine_error(visit, agent_identify(&host, &identity, error), error);
    }
    domain_config_free(&visit->config);
    return code;
}

/* Lines that do not begin as others do are visor's own. */
static void complain(const struct domain *copy, struct error *error)
{
    const int log =
        openat(copy->directory, DOMAIN_LOG_FILE, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (log < 0)
        return;
    dup2(log, STDERR_FILENO);
    close(log);
    error_prefix(error, "the guest is not told that it is a copy: ");
    error_report(error);
}

static void tell_all(struct domain *const *copies, unsigned count)
{
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    for (unsigned i = 0; i < count; i++) {
        struct domain_visit visit = {.domain = copies[i]};
        struct error error = ERROR_INIT;
        if (tell(&visit, &error))
            complain(copies[i], &error);
    }
}

void domain_identify(struct domain *const *copies, unsigned count)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0)
            tell_all(copies, count);
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
}
