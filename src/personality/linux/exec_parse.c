/* SPDX-License-Identifier: GPL-2.0-or-later */
/* exec parse: the texts that decide what a process becomes: "#!" lines, and what visor's exec tells the next.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "personality/linux/start.h"

int linux_script_parse(char *head, size_t size, char **interpreter, char **argument)
{
    char *end = memchr(head, '\n', size);
    if (!end) {
        /* The line may go on, but the interpreter's name must have ended. */
        end = head + size;
        char *name = head + 2;
        while (name < end && (*name == ' ' || *name == '\t'))
            name++;
        while (name < end && *name && *name != ' ' && *name != '\t')
            name++;
        if (name == end && size == LINUX_SCRIPT_HEAD)
            return -ENOEXEC;
    }
    *end = '\0';
    while (end > head + 2 && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';

    char *name = head + 2;
    name += strspn(name, " \t");
    if (!*name)
        return -ENOEXEC;
    *interpreter = name;
    *argument = NULL;
    char *space = name + strcspn(name, " \t");
    if (*space) {
        *space++ = '\0';
        space += strspn(space, " \t");
        if (*space)
            *argument = space;
    }
    return 0;
}

/* What linux_debug_print() has written. */
static bool parse_debugger(const char *text, struct linux_debug_start *start)
{
    unsigned no_ack, exec_events;
    *start = (struct linux_debug_start){.listen_fd = -1, .fd = -1};
    if (strcmp(text, LINUX_DEBUG_NONE) == 0)
        return true;
    if (sscanf(text, "%d,%d,%u,%u,%" SCNx64 ",%" SCNx64 ",%" SCNx64, &start->listen_fd, &start->fd, &no_ack,
               &exec_events, &start->settings.passed[0], &start->settings.passed[1],
               &start->settings.passed[2]) != 7)
        return false;
    start->settings.no_ack = no_ack;
    start->settings.exec_events = exec_events;
    return true;
}

char *linux_exec_print(const struct linux_start *start, const char *debugger)
{
    char *variable;
    if (asprintf(&variable, LINUX_EXEC_VARIABLE "%d %d %d %" PRIx64 " %d %u %d %d %d %s %zu %s %s",
                 start->visor_fd, start->program_fd, start->store_fd, start->layout, start->trace_fd,
                 start->trace, start->interpret, start->translate_host, start->by_binfmt, debugger,
                 strlen(start->exec_name), start->exec_name, start->path) < 0)
        return NULL;
    return variable;
}

bool linux_exec_parse(const char *variable, struct linux_start *start, char exec_name[PATH_MAX])
{
    const size_t prefix = strlen(LINUX_EXEC_VARIABLE);
    unsigned interpret, translate_host, by_binfmt, length;
    char debugger[LINUX_DEBUG_TEXT];
    int used = 0;

    *start = (struct linux_start){0};
    if (strncmp(variable, LINUX_EXEC_VARIABLE, prefix) != 0)
        return false;
    const char *text = variable + prefix;
    if (sscanf(text, "%d %d %d %" SCNx64 " %d %u %u %u %u %127s %u%n", &start->visor_fd, &start->program_fd,
               &start->store_fd, &start->layout, &start->trace_fd, &start->trace, &interpret, &translate_host,
               &by_binfmt, debugger, &length, &used) != 11 ||
        !parse_debugger(debugger, &start->debug))
        return false;
    /* Exactly one blank: the name may begin with others. */
    if (text[used] != ' ')
        return false;
    const char *name = text + used + 1;
    if (length >= PATH_MAX || strlen(name) < length + 1ull || name[length] != ' ')
        return false;

    memcpy(exec_name, name, length);
    exec_name[length] = '\0';
    start->exec_name = exec_name;
    start->path = name + length + 1;
    start->interpret = interpret;
    start->translate_host = translate_host;
    start->by_binfmt = by_binfmt;
    return true;
}
