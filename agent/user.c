/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Users and groups as /etc/passwd and /etc/group have them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"

#define FIELDS 7

/* A line's fields, between colons. False: there are fewer than `least`. */
static bool split(char *line, char *fields[FIELDS], unsigned least)
{
    unsigned count = 0;
    line[strcspn(line, "\n")] = '\0';
    while (line && count < FIELDS)
        fields[count++] = strsep(&line, ":");
    while (count > least && !fields[count - 1])
        count--;
    return count >= least;
}

/* Whether a text is a number that ids can be. */
static bool is_number(const char *text, unsigned *number)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *number = (unsigned)value;
    return *text >= '0' && *text <= '9' && !*end && value < UINT32_MAX;
}

/* The first line of a file whose first field is the name, or its third the number. */
static bool look_up(const char *path, const char *text, unsigned least, char *line, size_t size,
                    char *fields[FIELDS])
{
    unsigned number, id;
    const bool numeric = is_number(text, &number);
    FILE *file = fopen(path, "re");
    bool found = false;
    while (file && !found && fgets(line, (int)size, file)) {
        if (split(line, fields, least))
            found = !strcmp(fields[0], text) || (numeric && is_number(fields[2], &id) && id == number);
    }
    if (file)
        fclose(file);
    return found;
}

/* All groups that have the user among their members. */
static void find_groups(struct agent_user *user)
{
    char line[4096], *fields[FIELDS];
    FILE *file = fopen("/etc/group", "re");
    user->groups[user->group_count++] = user->gid;
    while (file && fgets(line, sizeof line, file) && user->group_count < 64) {
        unsigned gid;
        if (!split(line, fields, 4) || !is_number(fields[2], &gid))
            continue;
        for (char *members = fields[3], *one; (one = strsep(&members, ","));) {
            if (*user->name && !strcmp(one, user->name)) {
                user->groups[user->group_count++] = gid;
                break;
            }
        }
    }
    if (file)
        fclose(file);
}

static int find_user(const char *text, struct agent_user *user)
{
    char line[4096], *fields[FIELDS];
    unsigned uid, gid;
    if (look_up("/etc/passwd", text, FIELDS, line, sizeof line, fields) && is_number(fields[2], &uid) &&
        is_number(fields[3], &gid)) {
        user->uid = uid;
        user->gid = gid;
        snprintf(user->name, sizeof user->name, "%s", fields[0]);
        snprintf(user->home, sizeof user->home, "%s", fields[5]);
        snprintf(user->shell, sizeof user->shell, "%s", fields[6]);
        return 0;
    }
    if (!is_number(text, &uid)) /* one that nobody has given a name is a user as well */
        return -ENOENT;
    user->uid = uid;
    user->gid = 0;
    return 0;
}

int user_find(const char *text, struct agent_user *user)
{
    char name[128], line[4096], *fields[FIELDS];
    *user = (struct agent_user){0};
    if (strlen(text) >= sizeof name)
        return -ENOENT;
    strcpy(name, *text ? text : "0");
    char *group = strchr(name, ':');
    if (group)
        *group++ = '\0';
    int code = find_user(*name ? name : "0", user);
    if (code)
        return code;
    unsigned gid;
    if (group && look_up("/etc/group", group, 3, line, sizeof line, fields) && is_number(fields[2], &gid))
        user->gid = gid;
    else if (group && is_number(group, &gid))
        user->gid = gid;
    else if (group)
        return -ENOENT;
    find_groups(user);
    return 0;
}
