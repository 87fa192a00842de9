/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/pin.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine/machine.h"
#include "personality/container/number_list.h"

#define REST "rest"

/* -- texts ----------------------------------------------------------------------------------------------- */

struct item {
    int first, last; /* vCPUs; PIN_REST: what is none; PIN_REST to MACHINE_VCPUS_MAX: all */
    const char *cpus;
};

/* "N" or "N-M" before a colon. */
static bool parse_vcpus(const char *text, const char *colon, struct item *item)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    const unsigned long first = strtoul(text, &end, 10);
    unsigned long last = first;
    if (*end == '-' && isdigit((unsigned char)end[1]))
        last = strtoul(end + 1, &end, 10);
    item->first = (int)first;
    item->last = (int)last;
    return end == colon && first <= last && last < MACHINE_VCPUS_MAX;
}

static bool parse(const char *text, struct item *item)
{
    const char *colon = strchr(text, ':');
    struct number_list list;
    *item = (struct item){PIN_REST, MACHINE_VCPUS_MAX, colon ? colon + 1 : text};
    if (colon && (size_t)(colon - text) == strlen(REST) && memcmp(text, REST, strlen(REST)) == 0)
        item->last = PIN_REST;
    else if (colon && !parse_vcpus(text, colon, item))
        return false;
    return number_list_parse(&list, item->cpus);
}

int pin_check(const char *text, struct error *error)
{
    struct item item;
    return parse(text, &item)
               ? 0
               : error_set(error, -EINVAL, "it is not [WHO:]CPUS, such as 0:2, 0-3:4-7, rest:0,1 or 0-3");
}

int pin_check_cpus(const char *text, struct error *error)
{
    struct number_list list;
    return number_list_parse(&list, text)
               ? 0
               : error_set(error, -EINVAL, "it is no list of processors, such as 0-3,7");
}

void pin_cpus(const char *text, cpu_set_t *set)
{
    const unsigned width = 8 * sizeof(unsigned long);
    struct number_list list;
    CPU_ZERO(set);
    number_list_parse(&list, text);
    for (unsigned i = 0; i < NUMBER_LIST_MAX; i++) {
        if (list.bits[i / width] >> i % width & 1)
            CPU_SET(i, set);
    }
}

bool pin_find(const struct domain_list *pins, int vcpu, cpu_set_t *set)
{
    for (unsigned i = pins->count; i-- > 0;) {
        struct item item;
        if (!parse(pins->items[i], &item) || vcpu < item.first || vcpu > item.last)
            continue;
        pin_cpus(item.cpus, set);
        return true;
    }
    return false;
}

/* -- threads --------------------------------------------------------------------------------------------- */

static int pin_thread(pid_t thread, const cpu_set_t *set, const char *what, struct error *error)
{
    if (sched_setaffinity(thread, sizeof *set, set) == 0 || errno == ESRCH)
        return 0;
    if (errno != EINVAL)
        return error_set(error, -errno, "cannot pin %s: %s", what, strerror(errno));
    error_set(error, -EINVAL,
              "cannot pin %s: this host has none of the processors that are named, or may not use them",
              what);
    error_hint(error, "/sys/devices/system/cpu/online has those that there are");
    return -EINVAL;
}

int pin_self(const cpu_set_t *set, const char *what, struct error *error)
{
    return pin_thread(0, set, what, error);
}

static void set_all(cpu_set_t *set)
{
    memset(set, 0xff, sizeof *set);
}

/* Calls for each thread; those that are made meanwhile have what their maker has. */
static int each_thread(pid_t pid,
                       int (*one)(void *opaque, pid_t thread, const char *name, struct error *error),
                       void *opaque, struct error *error)
{
    char path[64], name[32];
    struct dirent *entry;
    int code = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *stream = opendir(path);
    if (!stream)
        return errno == ENOENT ? -ESRCH
                               : error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
    while (!code && (entry = readdir(stream))) {
        const pid_t thread = (pid_t)atoi(entry->d_name);
        snprintf(path, sizeof path, "%d/comm", (int)thread);
        int file = thread > 0 ? openat(dirfd(stream), path, O_RDONLY | O_CLOEXEC) : -1;
        if (file < 0)
            continue;
        ssize_t size = read(file, name, sizeof name - 1);
        close(file);
        name[size > 0 ? size : 0] = '\0';
        name[strcspn(name, "\n")] = '\0';
        code = one(opaque, thread, name, error);
    }
    closedir(stream);
    return code;
}

/* vCPUs' threads are called so by machine.c. */
static int pin_one(void *opaque, pid_t thread, const char *name, struct error *error)
{
    const struct domain_list *pins = opaque;
    int vcpu;
    cpu_set_t set;
    if (sscanf(name, "vcpu%d", &vcpu) != 1)
        vcpu = PIN_REST;
    if (!pin_find(pins, vcpu, &set))
        set_all(&set);
    return pin_thread(thread, &set, name, error);
}

int pin_machine(const struct domain_list *pins, pid_t pid, struct error *error)
{
    return each_thread(pid, pin_one, (void *)(uintptr_t)pins, error);
}

static int pin_to(void *opaque, pid_t thread, const char *name, struct error *error)
{
    return pin_thread(thread, opaque, name, error);
}

int pin_process(const char *cpus, pid_t pid, struct error *error)
{
    cpu_set_t set;
    set_all(&set);
    if (cpus)
        pin_cpus(cpus, &set);
    int code = each_thread(pid, pin_to, &set, error);
    return code == -ESRCH ? 0 : code;
}
