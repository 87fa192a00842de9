/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/container_user.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_MAX (16 << 20) /* bytes */

/* NULL: there is none that could be read. */
static FILE *open_inside(int root, const char *path)
{
    const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                                 .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    struct stat status;
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd < 0)
        return NULL;
    FILE *file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= FILE_MAX
                     ? fdopen(fd, "r")
                     : NULL;
    if (!file)
        close(fd);
    return file;
}

static bool number_parse(const char *text, unsigned *number)
{
    char *end;
    unsigned long value = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : ULONG_MAX;
    *number = (unsigned)value;
    return value < UINT32_MAX && !*end;
}

/* A user by name, or number if `name` is one. */
static bool user_find(struct container_user *user, char found[256], int root, const char *name)
{
    unsigned number = 0;
    const bool is_number = number_parse(name, &number);
    FILE *file = open_inside(root, "etc/passwd");
    const struct passwd *entry = NULL;
    while (file && (entry = fgetpwent(file)) &&
           !(is_number ? entry->pw_uid == number : strcmp(entry->pw_name, name) == 0))
        ;
    if (entry) {
        user->uid = entry->pw_uid;
        user->gid = entry->pw_gid;
        if (entry->pw_dir && entry->pw_dir[0] == '/')
            snprintf(user->home, sizeof user->home, "%s", entry->pw_dir);
        snprintf(found, 256, "%s", entry->pw_name);
    } else if (is_number) {
        user->uid = number;
    }
    if (file)
        fclose(file);
    return entry || is_number;
}

static bool group_find(gid_t *gid, int root, const char *name)
{
    unsigned number;
    if (number_parse(name, &number)) {
        *gid = number;
        return true;
    }
    FILE *file = open_inside(root, "etc/group");
    const struct group *entry = NULL;
    while (file && (entry = fgetgrent(file)) && strcmp(entry->gr_name, name) != 0)
        ;
    if (entry)
        *gid = entry->gr_gid;
    if (file)
        fclose(file);
    return entry;
}

static void groups_find(struct container_user *user, int root, const char *name)
{
    FILE *file = open_inside(root, "etc/group");
    const struct group *entry;
    while (file && user->group_count < CONTAINER_GROUPS_MAX && (entry = fgetgrent(file))) {
        bool member = false;
        for (char **at = entry->gr_mem; *at; at++)
            member |= strcmp(*at, name) == 0;
        if (member && entry->gr_gid != user->gid)
            user->groups[user->group_count++] = entry->gr_gid;
    }
    if (file)
        fclose(file);
}

int container_user_find(struct container_user *user, int root, const char *text, struct error *error)
{
    char name[256], found[256] = "";
    const char *colon = strchr(text, ':');
    *user = (struct container_user){.home = "/"};
    snprintf(name, sizeof name, "%.*s", (int)(colon ? colon - text : (long)strlen(text)), text);
    if (!*name || !user_find(user, found, root, name))
        return error_set(error, -ENOENT, "there is no user \"%s\" in the container", name);
    if (colon && !group_find(&user->gid, root, colon + 1))
        return error_set(error, -ENOENT, "there is no group \"%s\" in the container", colon + 1);
    if (!colon && *found)
        groups_find(user, root, found);
    return 0;
}
