/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trace_structs: prints what arguments of system calls point to. See trace.c for the letters. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/convert.h"
#include "personality/linux/trace.h"

/* Arrays are shown as far as this. */
#define ITEMS_MAX 8

/* Prints one structure at `address`; false if it cannot be read. */
typedef bool (*print_fn)(struct trace_line *line, uint64_t address);

static bool print_timespec(struct trace_line *line, uint64_t address)
{
    struct timespec t;
    if (guest_read(&t, address, sizeof t) < 0)
        return false;
    trace_printf(line, "{tv_sec=%ld, tv_nsec=%ld}", (long)t.tv_sec, t.tv_nsec);
    return true;
}

static bool print_itimerspec(struct trace_line *line, uint64_t address)
{
    struct itimerspec t;
    if (guest_read(&t, address, sizeof t) < 0)
        return false;
    trace_printf(line, "{it_interval={tv_sec=%ld, tv_nsec=%ld}, it_value={tv_sec=%ld, tv_nsec=%ld}}",
                 (long)t.it_interval.tv_sec, t.it_interval.tv_nsec, (long)t.it_value.tv_sec,
                 t.it_value.tv_nsec);
    return true;
}

static bool print_stat(struct trace_line *line, uint64_t address)
{
    static const char *const types[16] = {
        [1] = "S_IFIFO", [2] = "S_IFCHR",  [4] = "S_IFDIR",  [6] = "S_IFBLK",
        [8] = "S_IFREG", [10] = "S_IFLNK", [12] = "S_IFSOCK"};
    struct stat host;
    struct arm64_stat s;
    if (line->host_abi ? guest_read(&host, address, sizeof host) < 0 : guest_read(&s, address, sizeof s) < 0)
        return false;
    if (line->host_abi)
        linux_stat_from_host(&s, &host);
    const char *type = types[s.mode >> 12 & 15];
    trace_printf(line, "{st_mode=%s|0%o, st_size=%" PRId64 ", ...}", type ? type : "0", s.mode & 07777,
                 s.size);
    return true;
}

static bool print_int_pair(struct trace_line *line, uint64_t address)
{
    int pair[2];
    if (guest_read(pair, address, sizeof pair) < 0)
        return false;
    trace_printf(line, "[%d, %d]", pair[0], pair[1]);
    return true;
}

static bool print_wait_status(struct trace_line *line, uint64_t address)
{
    int status;
    if (guest_read(&status, address, sizeof status) < 0)
        return false;
    if (WIFEXITED(status))
        trace_printf(line, "[{WIFEXITED(s) && WEXITSTATUS(s) == %d}]", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        trace_printf(line, "[{WIFSIGNALED(s) && WTERMSIG(s) == SIG%s%s}]", sigabbrev_np(WTERMSIG(status)),
                     WCOREDUMP(status) ? " && WCOREDUMP(s)" : "");
    else if (WIFSTOPPED(status))
        trace_printf(line, "[{WIFSTOPPED(s) && WSTOPSIG(s) == %d}]", WSTOPSIG(status));
    else
        trace_printf(line, "[%#x]", (unsigned)status);
    return true;
}

static void print_limit_value(struct trace_line *line, const char *name, rlim_t value)
{
    if (value == RLIM_INFINITY)
        trace_printf(line, "%s=RLIM64_INFINITY", name);
    else
        trace_printf(line, "%s=%" PRIu64, name, (uint64_t)value);
}

static bool print_limit(struct trace_line *line, uint64_t address)
{
    struct rlimit limit;
    if (guest_read(&limit, address, sizeof limit) < 0)
        return false;
    trace_printf(line, "{");
    print_limit_value(line, "rlim_cur", limit.rlim_cur);
    trace_printf(line, ", ");
    print_limit_value(line, "rlim_max", limit.rlim_max);
    trace_printf(line, "}");
    return true;
}

/* As strace does, a set with most signals in it is shown as what is missing. */
static bool print_signal_set(struct trace_line *line, uint64_t address)
{
    uint64_t set;
    if (guest_read(&set, address, sizeof set) < 0)
        return false;
    bool inverted = __builtin_popcountll(set) > 42;
    trace_printf(line, inverted ? "~[" : "[");
    const char *separator = "";
    for (int signal = 1; signal <= 64; signal++) {
        if ((set >> (signal - 1) & 1) == inverted)
            continue;
        if (signal >= 32)
            trace_printf(line, "%sRT_%d", separator, signal - 32);
        else
            trace_printf(line, "%s%s", separator, sigabbrev_np(signal));
        separator = " ";
    }
    trace_printf(line, "]");
    return true;
}

static bool print_epoll_event(struct trace_line *line, uint64_t address)
{
    struct arm64_epoll_event event;
    struct epoll_event host;
    if (line->host_abi ? guest_read(&host, address, sizeof host) < 0
                       : guest_read(&event, address, sizeof event) < 0)
        return false;
    if (line->host_abi)
        linux_epoll_event_from_host(&event, &host);
    trace_printf(line, "{events=%#x, data=%#" PRIx64 "}", event.events, event.data);
    return true;
}

static bool print_open_how(struct trace_line *line, uint64_t address)
{
    struct open_how how;
    if (guest_read(&how, address, sizeof how) < 0)
        return false;
    trace_printf(line, "{flags=");
    trace_name(line, 'o', how.flags);
    trace_printf(line, ", mode=0%o, resolve=%#llx}", (unsigned)how.mode, how.resolve);
    return true;
}

static bool print_uring_params(struct trace_line *line, uint64_t address)
{
    struct io_uring_params p;
    if (guest_read(&p, address, sizeof p) < 0)
        return false;
    trace_printf(line, "{flags=%#x, sq_entries=%u, cq_entries=%u, features=%#x, ...}", p.flags, p.sq_entries,
                 p.cq_entries, p.features);
    return true;
}

static bool print_perf_event(struct trace_line *line, uint64_t address)
{
    static const char *const types[] = {"PERF_TYPE_HARDWARE", "PERF_TYPE_SOFTWARE", "PERF_TYPE_TRACEPOINT",
                                        "PERF_TYPE_HW_CACHE", "PERF_TYPE_RAW",      "PERF_TYPE_BREAKPOINT"};
    struct perf_event_attr event = {0};
    if (guest_read(&event, address, PERF_ATTR_SIZE_VER0) < 0)
        return false;
    if (event.type < ARRAY_SIZE(types))
        trace_printf(line, "{type=%s, ", types[event.type]);
    else
        trace_printf(line, "{type=%u, ", event.type);
    trace_printf(line, "config=%#llx, sample_period=%llu, sample_type=%#llx, ...}", event.config,
                 event.sample_period, event.sample_type);
    return true;
}

/* -- those whose length is the next argument -------------------------------------------- */

/* A name that is no path begins with a zero byte, and has as many bytes as the address says. */
static void print_socket_name(struct trace_line *line, const char *name, size_t room)
{
    bool abstract = room && !name[0];
    const uint8_t *shown = (const uint8_t *)name + abstract;
    trace_printf(line, "{sa_family=AF_UNIX, sun_path=%s", abstract ? "@" : "");
    trace_quoted(line, shown, abstract ? room - 1 : strnlen(name, room));
    trace_printf(line, "}");
}

static bool print_address(struct trace_line *line, uint64_t address, uint64_t length)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } u = {0};
    char text[INET6_ADDRSTRLEN] = "";
    size_t size = MIN(length, (uint64_t)sizeof u);
    if (size < sizeof u.any.sa_family || guest_read(&u, address, size) < 0)
        return false;
    switch (u.any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &u.in.sin_addr, text, sizeof text);
        trace_printf(line, "{sa_family=AF_INET, sin_port=htons(%u), sin_addr=inet_addr(\"%s\")}",
                     ntohs(u.in.sin_port), text);
        return true;
    case AF_INET6:
        inet_ntop(AF_INET6, &u.in6.sin6_addr, text, sizeof text);
        trace_printf(line, "{sa_family=AF_INET6, sin6_port=htons(%u), sin6_addr=\"%s\"}",
                     ntohs(u.in6.sin6_port), text);
        return true;
    case AF_UNIX:
        print_socket_name(line, u.un.sun_path, MIN(size - sizeof u.any.sa_family, sizeof u.un.sun_path));
        return true;
    default: trace_printf(line, "{sa_family=%d, ...}", u.any.sa_family); return true;
    }
}

static bool print_iovecs(struct trace_line *line, uint64_t address, uint64_t count, int64_t bytes)
{
    trace_printf(line, "[");
    for (uint64_t i = 0; i < count && i < ITEMS_MAX; i++) {
        const uint64_t word = line->process->arch->word_size;
        uint64_t base, length;
        if (linux_read_word(line->process, address + 2 * i * word, &base) < 0 ||
            linux_read_word(line->process, address + (2 * i + 1) * word, &length) < 0)
            break;
        trace_printf(line, "%s{iov_base=", i ? ", " : "");
        uint64_t shown = MIN(length, (uint64_t)MAX(bytes, 0));
        trace_bytes(line, base, shown);
        bytes -= (int64_t)shown;
        trace_printf(line, ", iov_len=%" PRIu64 "}", length);
    }
    trace_printf(line, count > ITEMS_MAX ? ", ...]" : "]");
    return true;
}

static bool print_pollfds(struct trace_line *line, uint64_t address, uint64_t count)
{
    trace_printf(line, "[");
    for (uint64_t i = 0; i < count && i < ITEMS_MAX; i++) {
        struct pollfd entry;
        if (guest_read(&entry, address + i * sizeof entry, sizeof entry) < 0)
            break;
        trace_printf(line, "%s{fd=%d, events=%#x, revents=%#x}", i ? ", " : "", entry.fd,
                     (unsigned)entry.events, (unsigned)entry.revents);
    }
    trace_printf(line, count > ITEMS_MAX ? ", ...]" : "]");
    return true;
}

/* False, as above, only if the structure cannot be read or nothing is to be shown. */
static bool print_counted(struct trace_line *line, char letter, uint64_t value, uint64_t next, int64_t result)
{
    switch (letter) {
    case 'K': return print_address(line, value, next);
    case 'l': return print_pollfds(line, value, next);
    case 'v': return print_iovecs(line, value, next, INT64_MAX);
    case 'y': return result >= 0 && print_iovecs(line, value, next, result);
    default: return false;
    }
}

bool trace_struct(struct trace_line *line, char letter, uint64_t value, uint64_t next, int64_t result)
{
    static const struct {
        char letter;
        bool out;
        print_fn print; /* NULL: see print_counted() */
    } kinds[] = {
        {'t', false, print_timespec},
        {'O', true, print_timespec},
        {'B', false, print_itimerspec},
        {'D', true, print_stat},
        {'I', true, print_int_pair},
        {'H', true, print_wait_status},
        {'Y', false, print_limit},
        {'L', true, print_limit},
        {'G', false, print_signal_set},
        {'Z', true, print_signal_set},
        {'e', false, print_epoll_event},
        {'b', false, print_open_how},
        {'V', false, print_uring_params},
        {'3', false, print_perf_event},
        {'K', false, NULL},
        {'l', false, NULL},
        {'v', false, NULL},
        {'y', false, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i].letter != letter)
            continue;
        bool shown =
            value && !(kinds[i].out && result < 0) &&
            (kinds[i].print ? kinds[i].print(line, value) : print_counted(line, letter, value, next, result));
        if (!shown)
            trace_pointer(line, value);
        return true;
    }
    return false;
}
