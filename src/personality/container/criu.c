/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/criu.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/channel.h"
#include "personality/container/inside.h"

#define NULL_DEVICE_KEY "visor-null"
#define LOG_TAIL        (64 << 10) /* bytes that are looked at for the reason of a failure */

static int find_program(char program[PATH_MAX], struct error *error)
{
    const char *directories = getenv("PATH");
    for (const char *d = directories ? directories : "/usr/sbin:/usr/bin:/sbin:/bin"; *d;) {
        int length = (int)strcspn(d, ":");
        int size = snprintf(program, PATH_MAX, "%.*s/criu", length ? length : 1, length ? d : ".");
        if (size < PATH_MAX && access(program, X_OK) == 0)
            return 0;
        d += length + (d[length] == ':');
    }
    error_set(error, -ENOENT, "checkpoints are made by CRIU, which this host does not have");
    error_hint(error, "install the package criu; \"criu check\" tells whether the kernel serves it");
    return -ENOENT;
}

void criu_add(struct criu *criu, const char *format, ...)
{
    va_list arguments;
    char **more = realloc(criu->words, (criu->count + 2) * sizeof *more), *word;
    if (more)
        criu->words = more;
    va_start(arguments, format);
    if (more && vasprintf(&word, format, arguments) >= 0) {
        criu->words[criu->count++] = word;
        criu->words[criu->count] = NULL;
    } else {
        criu->failed = true;
    }
    va_end(arguments);
}

static int make_directory(const char *path, struct error *error)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_set(error, -errno, "cannot make the directory %s: %s", path, strerror(errno));
    return 0;
}

/* "host:port" for pages that go elsewhere. */
static int add_page_server(struct criu *criu, const char *server, struct error *error)
{
    const char *colon = strrchr(server, ':');
    if (!colon || colon == server || !colon[1])
        return error_set(error, -EINVAL, "--page-server is ADDRESS:PORT, not \"%s\"", server);
    criu_add(criu, "--page-server");
    criu_add(criu, "--address");
    criu_add(criu, "%.*s", (int)(colon - server), server);
    criu_add(criu, "--port");
    criu_add(criu, "%s", colon + 1);
    return 0;
}

static void add_options(struct criu *criu, const struct container_checkpoint *checkpoint)
{
    const struct {
        bool given;
        const char *name;
    } flags[] = {
        {checkpoint->tcp_established, "--tcp-established"},
        {checkpoint->ext_unix_sk, "--ext-unix-sk"},
        {checkpoint->shell_job, "--shell-job"},
        {checkpoint->file_locks, "--file-locks"},
        {checkpoint->lazy_pages, "--lazy-pages"},
        {checkpoint->auto_dedup, "--auto-dedup"},
    };
    const struct {
        const char *value, *name;
    } values[] = {
        {checkpoint->parent_path, "--prev-images-dir"},
        {checkpoint->lsm_profile, "--lsm-profile"},
        {checkpoint->lsm_mount_context, "--lsm-mount-context"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        if (flags[i].given)
            criu_add(criu, "%s", flags[i].name);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        if (!values[i].value)
            continue;
        criu_add(criu, "%s", values[i].name);
        criu_add(criu, "%s", values[i].value);
    }
    if (!checkpoint->tcp_established) { /* nothing to be kept from answering; else it takes iptables */
        criu_add(criu, "--network-lock");
        criu_add(criu, "skip");
    }
    if (checkpoint->empty_network) {
        criu_add(criu, "--empty-ns");
        criu_add(criu, "net");
    }
    /* visor puts the processes into the cgroups itself, unless told otherwise */
    criu_add(criu, "--manage-cgroups=%s", checkpoint->manage_cgroups ? checkpoint->manage_cgroups : "ignore");
}

int criu_begin(struct criu *criu, const char *action, const struct container_checkpoint *checkpoint,
               struct error *error)
{
    const char *images = checkpoint->image_path, *work = checkpoint->work_path;
    *criu = (struct criu){.action = action};
    snprintf(criu->work, sizeof criu->work, "%s", work ? work : images);
    snprintf(criu->log, sizeof criu->log, "%s.log", action);
    int code = find_program(criu->program, error);
    if (code == 0 && strcmp(action, "restore") != 0)
        code = make_directory(images, error);
    else if (code == 0 && access(images, R_OK) < 0)
        code = error_set(error, -errno, "there is no checkpoint at %s: %s", images, strerror(errno));
    if (code == 0 && work)
        code = make_directory(work, error);
    if (code < 0)
        return code;
    criu_add(criu, "criu");
    criu_add(criu, "%s", action);
    criu_add(criu, "--images-dir");
    criu_add(criu, "%s", images);
    criu_add(criu, "--work-dir");
    criu_add(criu, "%s", criu->work);
    criu_add(criu, "--log-file");
    criu_add(criu, "%s", criu->log);
    criu_add(criu, "-v4");
    add_options(criu, checkpoint);
    return checkpoint->page_server ? add_page_server(criu, checkpoint->page_server, error) : 0;
}

static void add_mount(struct criu *criu, const char *inside, const char *key, const char *outside,
                      bool restore)
{
    criu_add(criu, "--external");
    if (restore)
        criu_add(criu, "mnt[%s]:%s", key, outside);
    else
        criu_add(criu, "mnt[%s]:%s", inside, key);
}

static void add_cgroups(struct criu *criu, const struct oci_mount *mount, const struct cgroup *cgroup,
                        bool restore)
{
    const struct cgroup_hierarchy *hierarchies;
    size_t count = cgroup ? cgroup_hierarchies(cgroup, &hierarchies) : 0;
    bool alone = count == 1 && cgroup_mode(cgroup) == CGROUP_V2;
    for (size_t i = 0; i < count; i++) {
        char inside[PATH_MAX], outside[PATH_MAX];
        const char *name = cgroup_hierarchy_name(&hierarchies[i]);
        snprintf(inside, sizeof inside, "%s%s%s", mount->destination, alone ? "" : "/", alone ? "" : name);
        snprintf(outside, sizeof outside, "%s%s", hierarchies[i].mount_point, hierarchies[i].directory);
        add_mount(criu, inside, inside, outside, restore);
    }
}

static bool is_cgroup(const struct oci_mount *mount)
{
    return mount->type && !mount->parsed.bind &&
           (strcmp(mount->type, "cgroup") == 0 || strcmp(mount->type, "cgroup2") == 0);
}

/* The namespace that was joined stays whoever's it is: by the name that CRIU gives to it. */
static int add_namespace(struct criu *criu, const struct oci_namespace *namespace, const char *kind,
                         bool restore, struct error *error)
{
    struct stat status;
    if (!namespace || !namespace->path)
        return 0;
    if (restore) {
        int fd = open(namespace->path, O_RDONLY); /* for the program, which is executed next */
        if (fd < 0)
            return error_set(error, -errno, "linux.namespaces: cannot open %s: %s", namespace->path,
                             strerror(errno));
        criu_add(criu, "--inherit-fd");
        criu_add(criu, "fd[%d]:visor-%s", fd, kind);
        return 0;
    }
    if (stat(namespace->path, &status) < 0)
        return error_set(error, -errno, "linux.namespaces: cannot open %s: %s", namespace->path,
                         strerror(errno));
    criu_add(criu, "--external");
    criu_add(criu, "%s[%llu]:visor-%s", kind, (unsigned long long)status.st_ino, kind);
    return 0;
}

/* Files are hidden by the host's null device. (Directories are by the container's own.) */
static void add_hidden(struct criu *criu, const struct oci_linux *platform, int root)
{
    for (unsigned i = 0; i < platform->masked_paths_count; i++) {
        struct stat status;
        int fd = inside_open(root, platform->masked_paths[i], O_PATH);
        if (fd >= 0 && fstat(fd, &status) == 0 && S_ISCHR(status.st_mode))
            add_mount(criu, platform->masked_paths[i], NULL_DEVICE_KEY, NULL, false);
        if (fd >= 0)
            close(fd);
    }
}

int criu_add_externals(struct criu *criu, const struct oci_config *config, const char *bundle,
                       const struct cgroup *cgroup, int root, struct error *error)
{
    bool restore = root < 0;
    for (unsigned i = 0; i < config->mounts_count; i++) {
        const struct oci_mount *mount = &config->mounts[i];
        char source[PATH_MAX];
        if (is_cgroup(mount))
            add_cgroups(criu, mount, cgroup, restore);
        if (!mount->parsed.bind || mount->parsed.remount || !mount->source)
            continue;
        snprintf(source, sizeof source, "%s%s%s", mount->source[0] == '/' ? "" : bundle,
                 mount->source[0] == '/' ? "" : "/", mount->source);
        add_mount(criu, mount->destination, mount->destination, source, restore);
    }
    if (restore)
        add_mount(criu, NULL, NULL_DEVICE_KEY, "/dev/null", true);
    else
        add_hidden(criu, &config->platform, root);
    int code = add_namespace(criu, oci_config_namespace(config, CLONE_NEWNET), "net", restore, error);
    return code < 0 ? code
                    : add_namespace(criu, oci_config_namespace(config, CLONE_NEWPID), "pid", restore, error);
}

/* The last error in the log, which says why. */
static int tell_failure(const struct criu *criu, int status, struct error *error)
{
    char path[PATH_MAX + 80], reason[160] = "";
    snprintf(path, sizeof path, "%s/%s", criu->work, criu->log);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = malloc(LOG_TAIL + 1);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    ssize_t got = text && fd >= 0 ? pread(fd, text, LOG_TAIL, size > LOG_TAIL ? size - LOG_TAIL : 0) : -1;
    if (fd >= 0)
        close(fd);
    if (got > 0) {
        text[got] = '\0';
        for (char *line = strtok(text, "\n"), *found; line; line = strtok(NULL, "\n")) {
            /* "(00.1) Error (criu/net.c:1): why"; those of util.c are about its helpers, and about limits */
            if (strstr(line, "FAILED."))
                break; /* what comes then is of the undoing */
            if (strstr(line, "Error (criu/util.c") || !strstr(line, "Error ("))
                continue;
            found = strstr(strstr(line, "Error ("), "): ");
            snprintf(reason, sizeof reason, "%s", found ? found + 3 : line);
        }
    }
    free(text);
    error_set(error, -EIO, "CRIU cannot %s the container: %s", criu->action,
              reason[0]             ? reason
              : WIFSIGNALED(status) ? "it was killed"
                                    : "it gives no reason");
    error_hint(error, "all that it has done is in %s", path);
    return -EIO;
}

int criu_run(struct criu *criu, int (*before)(void *opaque, struct error *error), void *opaque,
             struct error *error)
{
    int ends[2], status = 0;
    if (criu->failed)
        return error_set(error, -ENOMEM, "cannot call CRIU: out of memory");
    int code = channel_pair(ends, error);
    if (code < 0)
        return code;
    pid_t pid = fork();
    if (pid == 0) {
        code = before ? before(opaque, error) : 0;
        if (code == 0) {
            execv(criu->program, criu->words);
            error_set(error, -errno, "cannot execute %s: %s", criu->program, strerror(errno));
        }
        channel_send_error(ends[1], error);
        _exit(1);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return error_set(error, -errno, "cannot start a process: %s", strerror(errno));
    }
    struct channel_message message;
    channel_receive(ends[0], &message); /* the end: it is executed */
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (message.kind == CHANNEL_ERROR) {
        *error = message.error;
        return message.error.code < 0 ? message.error.code : -EIO;
    }
    return status == 0 ? 0 : tell_failure(criu, status, error);
}

void criu_end(struct criu *criu)
{
    for (size_t i = 0; i < criu->count; i++)
        free(criu->words[i]);
    free(criu->words);
    criu->words = NULL;
    criu->count = 0;
}
