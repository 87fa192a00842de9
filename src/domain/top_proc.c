/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_proc: what a guest says of its processes. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/visible.h"
#include "domain/process_facts.h"
#include "domain/top.h"

#define LINE_MOST  4096
#define COUNT_MOST 100000 /* processes that are believed */

struct text {
    const char *at;
    size_t left;
};

/* One of /proc's files: "==> 12/stat <==", a line of its own, and what is after that, up to the next such
 * line. */
struct part {
    char content[LINE_MOST]; /* cut if it is longer; it may have zeros in it */
    size_t size;
    pid_t pid;
    char file[16]; /* "stat" */
};

/* The rest of the line, or what there is of it. */
static bool text_line(struct text *text, char line[LINE_MOST])
{
    if (!text->left)
        return false;
    const char *end = memchr(text->at, '\n', text->left);
    size_t length = end ? (size_t)(end - text->at) : text->left, taken = MIN(length, LINE_MOST - 1);
    memcpy(line, text->at, taken);
    line[taken] = '\0';
    text->at += length + (end != NULL);
    text->left -= length + (end != NULL);
    return true;
}

static bool part_next(struct text *text, struct part *part)
{
    char line[LINE_MOST];
    int pid = 0;
    do {
        if (!text_line(text, line))
            return false;
    } while (sscanf(line, "==> %9d/%15s <==", &pid, part->file) != 2 || pid <= 0);
    const char *end = memmem(text->at, text->left, "\n==> ", 5);
    size_t length = end ? (size_t)(end - text->at) : text->left;
    if (text->left >= 4 && memcmp(text->at, "==> ", 4) == 0)
        length = 0; /* an empty file */
    part->pid = pid;
    part->size = MIN(length, sizeof part->content - 1);
    memcpy(part->content, text->at, part->size);
    part->content[part->size] = '\0';
    text->at += length;
    text->left -= length;
    return true;
}

static int by_pid(const void *one, const void *two)
{
    const struct domain_process *a = one, *b = two;
    return a->pid < b->pid ? -1 : a->pid > b->pid;
}

/* "#.##" seconds. */
static uint64_t uptime_parse(const char *text)
{
    unsigned long seconds = 0, hundredths = 0;
    return sscanf(text, "%9lu.%2lu", &seconds, &hundredths) == 2
               ? seconds * 1000000000 + hundredths * 10000000
               : 0;
}

static bool process_parse(const struct part *part, uint64_t uptime, struct domain_process *process)
{
    struct process_facts facts = {0};
    if (strcmp(part->file, "stat") != 0 || !process_facts_parse(part->content, &facts) ||
        facts.state <= ' ' || facts.state >= 0x7f || facts.parent < 0)
        return false;
    *process = (struct domain_process){
        .pid = part->pid,
        .parent = facts.parent,
        .state = facts.state,
        .cpu = facts.cpu,
        .elapsed = uptime > facts.start ? uptime - facts.start : 0,
        .memory = facts.memory,
        .user = "?",
    };
    const char *name = strchr(part->content, '('), *end = strrchr(part->content, ')');
    if (name && name < end)
        snprintf(process->command, sizeof process->command, "[%.*s]", (int)MIN(end - name - 1, 64), name + 1);
    visible_make(process->command, strlen(process->command));
    return true;
}

/* `script` and its children are left out; and of what is told twice all but one. */
static unsigned tidy(struct domain_process *list, unsigned count, pid_t script)
{
    unsigned kept = 0;
    if (count)
        qsort(list, count, sizeof *list, by_pid);
    for (unsigned i = 0; i < count; i++) {
        const bool twice = kept && list[kept - 1].pid == list[i].pid;
        if (!twice && list[i].pid != script && list[i].parent != script)
            list[kept++] = list[i];
    }
    return kept;
}

static int processes_read(struct text text, uint64_t uptime, struct domain_process **list, unsigned *count,
                          struct error *error)
{
    struct part part;
    unsigned room = 0;
    while (*count < COUNT_MOST && part_next(&text, &part)) {
        if (*count == room) {
            struct domain_process *more = realloc(*list, (room = 2 * room + 16) * sizeof *more);
            if (!more)
                return error_set(error, -ENOMEM, "out of memory");
            *list = more;
        }
        *count += process_parse(&part, uptime, &(*list)[*count]);
    }
    return 0;
}

/* Threads of the kernel's have none. */
static void command_set(struct domain_process *process, const struct part *part)
{
    size_t size = MIN(part->size, sizeof process->command - 1);
    while (size && (!part->content[size - 1] || part->content[size - 1] == '\n'))
        size--;
    if (!size)
        return;
    for (size_t i = 0; i < size; i++)
        process->command[i] = part->content[i] ? part->content[i] : ' ';
    process->command[size] = '\0';
    visible_make(process->command, size);
}

/* Arguments, and whose it is. */
static void more_read(struct text text, struct domain_process *list, unsigned count)
{
    struct part part;
    while (count && part_next(&text, &part)) {
        struct domain_process key = {.pid = part.pid};
        struct domain_process *process = bsearch(&key, list, count, sizeof *list, by_pid);
        const char *at = process && strcmp(part.file, "status") == 0 ? strstr(part.content, "\nUid:") : NULL;
        unsigned user;
        if (at && sscanf(at, " Uid: %9u", &user) == 1)
            snprintf(process->user, sizeof process->user, user ? "%u" : "root", user);
        if (process && strcmp(part.file, "cmdline") == 0)
            command_set(process, &part);
    }
}

int domain_top_parse(const char *bytes, size_t size, struct domain_process **list, unsigned *count,
                     struct error *error)
{
    struct text text = {.at = bytes, .left = size};
    char line[LINE_MOST];
    *list = NULL;
    *count = 0;
    pid_t script = text_line(&text, line) ? atoi(line) : 0;
    uint64_t uptime = text_line(&text, line) ? uptime_parse(line) : 0;
    int code = processes_read(text, uptime, list, count, error);
    if (code) {
        free(*list);
        *list = NULL;
        *count = 0;
        return code;
    }
    *count = tidy(*list, *count, script > 0 ? script : -1);
    more_read(text, *list, *count);
    return 0;
}
