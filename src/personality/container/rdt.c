/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/rdt.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"

#define SCHEMATA_MAX (64 << 10) /* bytes of what the kernel shows */

int rdt_find(char root[PATH_MAX], const char *mounts, struct error *error)
{
    FILE *table = setmntent(mounts, "re");
    const struct mntent *entry;
    bool found = false;
    while (table && !found && (entry = getmntent(table)))
        found = strcmp(entry->mnt_type, "resctrl") == 0 &&
                snprintf(root, PATH_MAX, "%s", entry->mnt_dir) < PATH_MAX;
    if (table)
        endmntent(table);
    if (found)
        return 0;
    error_set(error, -ENOTSUP, "linux.intelRdt: no resctrl file system is mounted");
    error_hint(error, "mount -t resctrl resctrl /sys/fs/resctrl, on a processor that has RDT (see "
                      "/sys/fs/resctrl/info)");
    return -ENOTSUP;
}

/* -- places ---------------------------------------------------------------------------------------------- */

static bool is_default(const struct rdt *rdt)
{
    return rdt->settings->class && strcmp(rdt->settings->class, "/") == 0;
}

static bool monitors(const struct rdt *rdt)
{
    return rdt->settings->monitoring || rdt->settings->cache_monitoring ||
           rdt->settings->bandwidth_monitoring;
}

static bool has_schemata(const struct rdt *rdt)
{
    return rdt->settings->l3 || rdt->settings->bandwidth || rdt->settings->schemata_count;
}

/* A file of the class, or itself with "". */
static int class_path(const struct rdt *rdt, const char *name, char path[PATH_MAX], struct error *error)
{
    const char *class = is_default(rdt) ? "." : rdt->settings->class ? rdt->settings->class : rdt->id;
    return snprintf(path, PATH_MAX, "%s/%s%s%s", rdt->root, class, name[0] ? "/" : "", name) < PATH_MAX
               ? 0
               : error_set(error, -ENAMETOOLONG, "linux.intelRdt: the name of its directory is too long");
}

static int group_path(const struct rdt *rdt, const char *name, char path[PATH_MAX], struct error *error)
{
    char inner[PATH_MAX];
    snprintf(inner, sizeof inner, "mon_groups/%s%s%s", rdt->id, name[0] ? "/" : "", name);
    return class_path(rdt, inner, path, error);
}

/* What the kernel says of the last thing that it has refused; "" if it says nothing. */
static const char *kernel_reason(const struct rdt *rdt, char text[256])
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/info/last_cmd_status", rdt->root);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text + 3, 200) : -1;
    if (fd >= 0)
        close(fd);
    text[3 + (size > 0 ? size : 0)] = '\0';
    text[3 + strcspn(text + 3, "\n")] = '\0';
    if (!text[3] || strcmp(text + 3, "ok") == 0)
        return "";
    memcpy(text, " (\"", 3);
    strcat(text, "\")");
    return text;
}

static int refused(const struct rdt *rdt, int code, const char *what, const char *path, struct error *error)
{
    char reason[256];
    error_set(error, code, "linux.intelRdt: cannot %s %s: %s%s", what, path, strerror(-code),
              kernel_reason(rdt, reason));
    if (code == -ENOSPC)
        error_hint(error, "the processor has no class of service or monitor left: see %s/info", rdt->root);
    return code;
}

/* -- making it ------------------------------------------------------------------------------------------- */

void rdt_open(struct rdt *rdt, const struct oci_linux *platform, const char *id)
{
    struct error ignored = ERROR_INIT;
    *rdt = (struct rdt){.id = id};
    if (platform->has_rdt && rdt_find(rdt->root, RDT_MOUNTS, &ignored) == 0)
        rdt->settings = &platform->rdt;
}

int rdt_claim(struct rdt *rdt, const char *root, const struct oci_rdt *settings, const char *id,
              struct error *error)
{
    struct stat status;
    char path[PATH_MAX];
    *rdt = (struct rdt){.settings = settings, .id = id};
    snprintf(rdt->root, sizeof rdt->root, "%s", root);
    int code = class_path(rdt, "", path, error);
    if (code == 0 && settings->class) {
        rdt->existed = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
        if (!rdt->existed && !has_schemata(rdt))
            code = error_set(error, -ENOENT,
                             "linux.intelRdt.closID: there is no class of service \"%s\" in %s, and no "
                             "schemata to make it with",
                             settings->class, root);
    }
    if (code == 0 && !rdt->existed && mkdir(path, 0755) < 0) {
        code = refused(rdt, -errno, "make", path, error);
        rdt->settings = NULL; /* so that nobody removes what is not the container's */
    }
    return code;
}

/* A line of schemata: its resource, and the value of each of its domains (numbers by 16 or, of bandwidth, 10;
 * without blanks and zeros in front they are the same in both). */
static const char *next_value(const char *at, const char **domain, size_t *domain_size, const char **value,
                              size_t *value_size)
{
    at += strspn(at, " \t;0");
    *domain = at;
    *domain_size = strcspn(at, "=;\n ");
    at += *domain_size;
    at += strspn(at, " \t");
    if (*at != '=')
        return NULL;
    at++;
    at += strspn(at, " \t0");
    *value = at;
    *value_size = strcspn(at, ";\n ");
    return at + *value_size;
}

static bool line_has(const char *line, const char *domain, size_t domain_size, const char *value,
                     size_t value_size)
{
    const char *at = strchr(line, ':'), *its_domain, *its_value;
    size_t its_domain_size, its_value_size;
    for (at = at ? at + 1 : NULL;
         at && *at != '\n' &&
         (at = next_value(at, &its_domain, &its_domain_size, &its_value, &its_value_size));)
        if (its_domain_size == domain_size && strncmp(its_domain, domain, domain_size) == 0)
            return its_value_size == value_size && strncasecmp(its_value, value, value_size) == 0;
    return false;
}

/* Whether all that a line asks for is so in the text of a file `schemata`. */
static bool schemata_have(const char *text, const char *wanted)
{
    const char *domain, *value, *at;
    size_t domain_size, value_size;
    wanted += strspn(wanted, " \t");
    const size_t name = strcspn(wanted, ":");
    const char *line = text;
    while (line) {
        const char *start = line + strspn(line, " \t");
        if (strncmp(start, wanted, name) == 0 && start[name] == ':')
            break;
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    if (!line || !wanted[name])
        return false;
    for (at = wanted + name + 1; *at && *at != '\n';) {
        if (!(at = next_value(at, &domain, &domain_size, &value, &value_size)))
            return false;
        if (!line_has(line, domain, domain_size, value, value_size))
            return false;
        at += strspn(at, " \t;");
    }
    return true;
}

/* Calls back for each line in the order in which they are written: of l3CacheSchema those of the cache, where
 * memBwSchema has the bandwidth's. */
static int each_line(const struct rdt *rdt, int (*function)(void *opaque, const char *line, struct error *),
                     void *opaque, struct error *error)
{
    const struct oci_rdt *settings = rdt->settings;
    int code = 0;
    for (const char *at = settings->l3; code == 0 && at && *at;) {
        const size_t size = strcspn(at, "\n");
        char *line = strndup(at, size);
        if (!line)
            return error_set(error, -ENOMEM, "out of memory");
        if (size && !(settings->bandwidth && strncmp(line, "MB:", 3) == 0))
            code = function(opaque, line, error);
        free(line);
        at += size + (at[size] == '\n');
    }
    if (code == 0 && settings->bandwidth)
        code = function(opaque, settings->bandwidth, error);
    for (unsigned i = 0; code == 0 && i < settings->schemata_count; i++)
        code = function(opaque, settings->schemata[i], error);
    return code;
}

struct schemata {
    const struct rdt *rdt;
    const char *path;
    char *text; /* of the file, if it is compared */
    int fd;     /* of the file, if it is written */
};

static int line_compare(void *opaque, const char *line, struct error *error)
{
    const struct schemata *schemata = opaque;
    return schemata_have(schemata->text, line)
               ? 0
               : error_set(error, -EINVAL,
                           "linux.intelRdt: the class of service \"%s\" is there, and does not have \"%s\": "
                           "see %s",
                           schemata->rdt->settings->class, line, schemata->path);
}

static int line_write(void *opaque, const char *line, struct error *error)
{
    const struct schemata *schemata = opaque;
    char what[160], *text;
    int size = asprintf(&text, "%s\n", line);
    if (size < 0)
        return error_set(error, -ENOMEM, "out of memory");
    int code = write(schemata->fd, text, (size_t)size) == size ? 0 : -(errno ? errno : EIO);
    free(text);
    snprintf(what, sizeof what, "write \"%.128s\" to", line);
    return code ? refused(schemata->rdt, code, what, schemata->path, error) : 0;
}

static int apply_schemata(const struct rdt *rdt, struct error *error)
{
    char path[PATH_MAX];
    int code = class_path(rdt, "schemata", path, error);
    if (code < 0)
        return code;
    struct schemata schemata = {.rdt = rdt, .path = path};
    schemata.fd = open(path, (rdt->existed ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
    if (schemata.fd < 0)
        return refused(rdt, -errno, "open", path, error);
    if (rdt->existed) {
        schemata.text = calloc(1, SCHEMATA_MAX + 1);
        if (!schemata.text)
            code = error_set(error, -ENOMEM, "out of memory");
        else if (read(schemata.fd, schemata.text, SCHEMATA_MAX) < 0)
            code = refused(rdt, -errno, "read", path, error);
    }
    if (code == 0)
        code = each_line(rdt, rdt->existed ? line_compare : line_write, &schemata, error);
    free(schemata.text);
    close(schemata.fd);
    return code;
}

int rdt_apply(const struct rdt *rdt, struct error *error)
{
    char path[PATH_MAX];
    if (!rdt->settings)
        return 0;
    int code = has_schemata(rdt) ? apply_schemata(rdt, error) : 0;
    if (code == 0 && monitors(rdt))
        code = group_path(rdt, "", path, error);
    if (code == 0 && monitors(rdt) && mkdir(path, 0755) < 0)
        code = refused(rdt, -errno, "make", path, error);
    return code;
}

static int write_pid(const struct rdt *rdt, const char *path, pid_t pid, struct error *error)
{
    char text[16];
    const int size = snprintf(text, sizeof text, "%d\n", (int)pid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int code = fd < 0 || write(fd, text, (size_t)size) != size ? -(errno ? errno : EIO) : 0;
    if (fd >= 0)
        close(fd);
    return code ? refused(rdt, code, "put the process into", path, error) : 0;
}

int rdt_enter(const struct rdt *rdt, pid_t pid, struct error *error)
{
    char path[PATH_MAX];
    if (!rdt->settings)
        return 0;
    int code = class_path(rdt, "tasks", path, error);
    if (code == 0)
        code = write_pid(rdt, path, pid, error);
    if (code == 0 && monitors(rdt))
        code = group_path(rdt, "tasks", path, error);
    return code || !monitors(rdt) ? code : write_pid(rdt, path, pid, error);
}

int rdt_remove(const struct rdt *rdt, struct error *error)
{
    char path[PATH_MAX];
    if (!rdt->settings)
        return 0;
    int code = group_path(rdt, "", path, error);
    if (code == 0 && monitors(rdt) && rmdir(path) < 0 && errno != ENOENT)
        code = refused(rdt, -errno, "remove", path, error);
    if (code == 0 && !rdt->settings->class) {
        code = class_path(rdt, "", path, error);
        if (code == 0 && rmdir(path) < 0 && errno != ENOENT)
            code = refused(rdt, -errno, "remove", path, error);
    }
    return code;
}
