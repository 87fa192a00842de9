/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/save.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/qmp_client.h"
#include "domain/control.h"
#include "domain/kind.h"
#include "state/state_file.h"

#define OLD_MS      1000
#define ANSWER_MS   5000
#define PROGRESS_MS 10

struct saver {
    const struct domain_save_options *options;
    struct qmp_client *client;
    const char *path; /* NULL: `fd` is somebody else's */
    bool share;
    char beside[PATH_MAX];
    int fd;
    int process; /* of the domain: readable when it has ended */
};

/* A file that somebody may have meant something else by is left. */
static int check_old(const char *path, bool force, struct error *error)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : error_set(error, -errno, "cannot write %s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, -EEXIST, "%s is there already, and no file", path);
    const int fd = force || !status.st_size ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    const bool known = force || !status.st_size || (fd >= 0 && state_file_is(fd));
    if (fd >= 0)
        close(fd);
    if (known)
        return 0;
    error_set(error, -EEXIST, "%s is there already, and no saved domain", path);
    error_hint(error, "give another name; --force replaces it");
    return -EEXIST;
}

static int open_beside(struct saver *saver, struct error *error)
{
    const char *path = saver->path, *slash = strrchr(path, '/');
    const int directory = slash ? (int)(slash - path + 1) : 0;
    if (snprintf(saver->beside, sizeof saver->beside, "%.*s.%s.XXXXXX", directory, path, path + directory) >=
        (int)sizeof saver->beside)
        return error_set(error, -ENAMETOOLONG, "cannot write %s: %s", path, strerror(ENAMETOOLONG));
    saver->fd = mkostemp(saver->beside, O_CLOEXEC);
    if (saver->fd >= 0)
        return 0;
    saver->beside[0] = '\0';
    return error_set(error, -errno, "cannot write %s: %s", path, strerror(errno));
}

static void idle(void *opaque)
{
    const struct saver *saver = opaque;
    if (saver->path) /* the host's disk begins while the machine still writes */
        sync_file_range(saver->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    if (saver->options->progress)
        saver->options->progress(saver->options->opaque, state_progress(saver->fd));
}

static int ask(struct saver *saver, struct error *error)
{
    json_t *arguments = json_pack("{s:b}", "compress", saver->options->compress);
    if (saver->share)
        json_object_set_new(arguments, "share", json_true());
    qmp_client_set_idle(saver->client, PROGRESS_MS, idle, saver);
    qmp_client_set_timeout(saver->client, -1); /* all its memory is written */
    qmp_client_pass(saver->client, saver->fd);
    int code = qmp_client_execute(saver->client, "save", arguments, NULL, error);
    if (code == -EREMOTEIO && qmp_client_class(saver->client) == QMP_COMMAND_NOT_FOUND)
        error_set(error, -EOPNOTSUPP, "it is of a kind, or of a visor, that cannot be saved");
    qmp_client_set_timeout(saver->client, ANSWER_MS);
    return code;
}

static int tell(struct saver *saver, bool keep, struct error *error)
{
    return qmp_client_execute(saver->client, "save-end", json_pack("{s:b}", "keep-running", keep), NULL,
                              error);
}

static bool runs(struct saver *saver)
{
    json_t *status = NULL;
    int code = qmp_client_execute(saver->client, "query-status", NULL, &status, NULL);
    const bool running = !code && json_is_true(json_object_get(status, "running"));
    json_decref(status);
    return running;
}

/* It has been told to end. */
static void wait_for_end(const struct saver *saver)
{
    struct pollfd wait = {.fd = saver->process, .events = POLLIN};
    while (poll(&wait, 1, ANSWER_MS) < 0 && errno == EINTR) {
    }
}

/* The host takes its time to give back the blocks of a large file: a process of its own keeps the one that is
 * replaced for a second, when this one has ended, so that nobody waits for that. Without it somebody does. */
static void leave_old(const char *path)
{
    const int old = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    pid_t child = old < 0 ? -1 : fork();
    if (child == 0) {
        if (dup2(old, 0) < 0 || fork() != 0)
            _exit(0);
        close_range(1, ~0u, 0);
        setsid();
        poll(NULL, 0, OLD_MS);
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    if (old >= 0)
        close(old);
}

/* On the disk, and under its name. */
static int settle(struct saver *saver, struct error *error)
{
    int code = fsync(saver->fd) < 0 ? -errno : 0;
    if (!code)
        leave_old(saver->path);
    if (!code && rename(saver->beside, saver->path) < 0)
        code = -errno;
    if (code)
        return error_set(error, code, "cannot write %s: %s", saver->path, strerror(-code));
    saver->beside[0] = '\0';
    return 0;
}

static int save(struct saver *saver, struct error *error)
{
    const bool keep = saver->options->keep_running, ran = runs(saver);
    int code = ask(saver, error);
    bool waits = !code; /* to be told what is to become of it */
    if (!code && saver->options->still)
        code = saver->options->still(saver->options->opaque, error);
    if (!code && keep) { /* it need not wait for the host's disk */
        code = tell(saver, true, error);
        waits = false;
    }
    if (!code && saver->path)
        code = settle(saver, error);
    if (waits) {
        int told = tell(saver, code != 0, code ? NULL : error);
        code = code ? code : told;
    }
    if (!code && !keep)
        wait_for_end(saver);
    else if (ran) /* which it does already; but the answer comes when it does */
        qmp_client_execute(saver->client, "cont", NULL, NULL, NULL);
    return code;
}

/* That it runs, and can be saved. */
static int look(struct saver *saver, struct domain *domain, struct error *error)
{
    struct domain_state state;
    struct domain_config config;
    int code = domain_look(domain, &state, error);
    if (code)
        return code;
    saver->process = domain_state_lives(&state) ? process_id_open(&state.process) : -ESRCH;
    if (saver->process < 0)
        return error_set(error, -ESRCH, "it does not run");
    code = domain_read_config(domain, &config, error);
    if (!code && !domain_kind_of(&config)->save)
        code = domain_kind_cannot(domain_kind_of(&config), "saved", error);
    domain_config_free(&config);
    return code;
}

/* The domain was looked at, and the file is open. */
static int connect_and_save(struct saver *saver, struct domain *domain, struct error *error)
{
    char control[PATH_MAX];
    domain_run_path(domain, DOMAIN_CONTROL_FILE, control);
    int code = qmp_client_connect(&saver->client, control, ANSWER_MS, error);
    if (!code)
        code = save(saver, error);
    if (code == -ENOENT || code == -ECONNREFUSED || code == -ECONNRESET) /* the socket is no more */
        code = error_set(error, -ESRCH, "it has come to its end");
    if (saver->process >= 0)
        close(saver->process);
    qmp_client_close(saver->client);
    return code;
}

int domain_save(struct domain *domain, const char *path, const struct domain_save_options *options,
                struct error *error)
{
    struct saver saver = {.options = options, .path = path, .fd = -1, .process = -1};
    int code = look(&saver, domain, error);
    if (!code)
        code = check_old(path, options->force, error);
    if (!code)
        code = open_beside(&saver, error);
    if (!code)
        code = connect_and_save(&saver, domain, error);
    else if (saver.process >= 0)
        close(saver.process);
    if (code)
        error_prefix(error, "cannot save %s: ", domain->name);
    if (saver.beside[0])
        unlink(saver.beside);
    if (saver.fd >= 0)
        close(saver.fd);
    return code;
}

int domain_save_copy(struct domain *domain, int fd, bool share, struct error *error)
{
    const struct domain_save_options options = {.keep_running = true};
    struct saver saver = {.options = &options, .share = share, .fd = fd, .process = -1};
    int code = look(&saver, domain, error);
    return code ? code : connect_and_save(&saver, domain, error);
}
