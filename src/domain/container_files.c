/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/container_files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"

/* -- what they say --------------------------------------------------------------------------------------- */

static void copy_file(FILE *out, const char *path)
{
    char piece[4096];
    FILE *in = fopen(path, "re");
    for (size_t size; in && (size = fread(piece, 1, sizeof piece, in)) > 0;)
        fwrite(piece, 1, size, out);
    if (in)
        fclose(in);
}

static void write_hosts(FILE *out, const struct container_files *files)
{
    char text[INET_ADDRSTRLEN];
    if (files->host) {
        copy_file(out, "/etc/hosts");
        return;
    }
    fputs("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n", out);
    if (!files->address_count)
        fprintf(out, "127.0.1.1\t%s\n", files->name);
    for (unsigned i = 0; i < files->address_count; i++)
        fprintf(out, "%s\t%s\n", inet_ntop(AF_INET, &files->addresses[i], text, sizeof text), files->name);
}

static void write_hostname(FILE *out, const struct container_files *files)
{
    fprintf(out, "%s\n", files->name);
}

static void write_resolvers(FILE *out, const struct container_files *files)
{
    char text[INET_ADDRSTRLEN];
    if (files->host) {
        copy_file(out, "/etc/resolv.conf");
        return;
    }
    for (unsigned i = 0; i < files->search_count; i++)
        fprintf(out, "%s%s%s", i ? " " : "search ", files->search[i],
                i + 1 == files->search_count ? "\n" : "");
    for (unsigned i = 0; i < files->resolver_count; i++)
        fprintf(out, "nameserver %s\n", inet_ntop(AF_INET, &files->resolvers[i], text, sizeof text));
}

static const struct {
    const char *name, *inside;
    void (*write)(FILE *out, const struct container_files *files);
} all[] = {
    {"hosts", "/etc/hosts", write_hosts},
    {"hostname", "/etc/hostname", write_hostname},
    {"resolv.conf", "/etc/resolv.conf", write_resolvers},
};

/* -- where they are shown -------------------------------------------------------------------------------- */

static bool is_mounted(const json_t *mounts, const char *path)
{
    size_t i;
    json_t *mount;
    json_array_foreach(mounts, i, mount)
    {
        const char *there = json_string_value(json_object_get(mount, "destination"));
        if (there && strcmp(there, path) == 0)
            return true;
    }
    return false;
}

static int open_inside(int root, const char *path, int flags)
{
    const struct open_how how = {.flags = (uint64_t)(flags | O_PATH | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT};
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* It exists, or can be made, as what it is mounted on is made where it is missing. */
static bool has_place(int root, const char *path)
{
    int fd = open_inside(root, path, 0);
    bool found = fd >= 0;
    if (fd < 0) {
        fd = open_inside(root, "/etc", O_DIRECTORY);
        found = fd >= 0 && faccessat(fd, ".", W_OK, AT_EACCESS) == 0;
    }
    if (fd >= 0)
        close(fd);
    return found;
}

static int open_root(const json_t *document, const struct domain_config *config)
{
    const char *path = json_string_value(json_object_get(json_object_get(document, "root"), "path"));
    char joined[PATH_MAX];
    if (!path)
        return -1;
    if (*path == '/' || !config->container.bundle)
        snprintf(joined, sizeof joined, "%s", path);
    else
        snprintf(joined, sizeof joined, "%s/%s", config->container.bundle, path);
    return open(joined, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int write_file(const char *path, void (*write)(FILE *out, const struct container_files *files),
                      const struct container_files *files, struct error *error)
{
    FILE *out = fopen(path, "we");
    int code = out ? 0 : -errno;
    if (out) {
        write(out, files);
        code = ferror(out) ? -EIO : 0;
        if (fchmod(fileno(out), 0644) < 0 && !code)
            code = -errno;
        if (fclose(out) && !code)
            code = -errno;
    }
    return code ? error_set(error, code, "cannot write %s: %s", path, strerror(-code)) : 0;
}

int container_files_show(const struct container_files *files, const struct domain *domain,
                         const struct domain_config *config, json_t *document, struct error *error)
{
    json_t *mounts = json_object_get(document, "mounts");
    int root = open_root(document, config), code = 0;
    for (unsigned i = 0; root >= 0 && !code && i < ARRAY_SIZE(all); i++) {
        char path[PATH_MAX];
        const bool resolvers = all[i].write == write_resolvers;
        if (is_mounted(mounts, all[i].inside) || !has_place(root, all[i].inside) ||
            (resolvers && !files->host && !files->resolver_count))
            continue;
        domain_run_path(domain, all[i].name, path);
        code = write_file(path, all[i].write, files, error);
        if (!code &&
            json_array_append_new(mounts, json_pack("{s:s, s:s, s:s, s:[s, s, s, s, s]}", "source", path,
                                                    "destination", all[i].inside, "type", "bind", "options",
                                                    "bind", "rprivate", "nosuid", "nodev", "noexec")))
            code = error_set(error, -ENOMEM, "out of memory");
    }
    if (root >= 0)
        close(root);
    return code;
}
