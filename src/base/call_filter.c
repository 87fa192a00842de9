/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * call_filter: see call_filter.h. The program is a search tree over the calls' numbers: the kernel goes
 * through it for each of its calls when it is loaded, to remember those that are always allowed.
 */
#include "base/call_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "the number of this architecture is not known here"
#endif

enum {
    NUMBERS = 1024,    /* no call has a higher one; x32's have */
    ROW_MOST = 6,      /* instructions */
    CALL_MOST = 5,     /* of each call besides */
    PROGRAM_MOST = 12, /* of the whole besides */
    VALUES_MOST = 64,  /* rows with one answer, so that it is in reach */
    LEAF_MOST = 6,     /* calls that are not searched any further */
};

struct building {
    const struct call_filter *filter;
    uint16_t calls[CALL_FILTER_MOST]; /* those of the table but the first, ascending */
    unsigned call_count;
    uint16_t first[NUMBERS], next[CALL_FILTER_MOST]; /* rows of a call, in order: their indexes + 1 */
    struct sock_filter *program;
    unsigned count;
    uint32_t loaded; /* the offset that the accumulator is known to be of */
};

/* -- instructions ---------------------------------------------------------------------------------------- */

static void put(struct building *b, uint16_t code, uint32_t k, uint8_t then, uint8_t otherwise)
{
    b->program[b->count++] = (struct sock_filter)BPF_JUMP(code, k, then, otherwise);
}

static void put_return(struct building *b, uint32_t value)
{
    put(b, BPF_RET | BPF_K, value, 0, 0);
}

static void put_load(struct building *b, size_t offset)
{
    if (b->loaded != offset)
        put(b, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
    b->loaded = (uint32_t)offset;
}

static void put_load_argument(struct building *b, unsigned n, bool high)
{
    const bool second = high == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    put_load(b, offsetof(struct seccomp_data, args) + n * sizeof(uint64_t) + (second ? 4 : 0));
}

static uint32_t refusal(const struct building *b)
{
    return b->filter->refusal == CALL_TRAPS ? SECCOMP_RET_TRAP : SECCOMP_RET_ERRNO | EPERM;
}

/* -- rows ------------------------------------------------------------------------------------------------ */

/* How many rows from `i` on are of the same argument's values: they have one answer. */
static unsigned count_values(const struct building *b, unsigned i)
{
    const struct call_allowed *rows = b->filter->table;
    const unsigned argument = rows[i - 1].argument;
    unsigned count = 0;
    for (; i && count < VALUES_MOST && rows[i - 1].rule == CALL_EITHER && rows[i - 1].argument == argument;
         i = b->next[i - 1])
        count++;
    return count;
}

/* Returns the row behind them. */
static unsigned put_values(struct building *b, unsigned i, unsigned count)
{
    put_load_argument(b, b->filter->table[i - 1].argument, false);
    for (unsigned left = 2 * count; left; i = b->next[i - 1], left -= 2) {
        const struct call_allowed *row = &b->filter->table[i - 1];
        put(b, BPF_JMP | BPF_JEQ | BPF_K, row->a, (uint8_t)(left - 1), 0);
        put(b, BPF_JMP | BPF_JEQ | BPF_K, row->b, (uint8_t)(left - 2), left == 2);
    }
    put_return(b, SECCOMP_RET_ALLOW);
    return i;
}

/* An answer if it holds, else past it. */
static void put_row(struct building *b, const struct call_allowed *row)
{
    switch ((enum call_rule)row->rule) {
    case CALL_EITHER:
    case CALL_ANY: break;
    case CALL_ABSENT: put_return(b, SECCOMP_RET_ERRNO | ENOSYS); return;
    case CALL_WITHOUT:
        put_load_argument(b, row->argument, false);
        put(b, BPF_JMP | BPF_JSET | BPF_K, row->a, 1, 0);
        break;
    case CALL_WITHIN:
        put_load_argument(b, row->argument, true);
        put(b, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
        put_load_argument(b, row->argument, false);
        put(b, BPF_JMP | BPF_JSET | BPF_K, ~row->a, 1, 0);
        break;
    case CALL_BETWEEN:
        put_load_argument(b, row->argument, false);
        put(b, BPF_JMP | BPF_JGE | BPF_K, row->a, 0, 2);
        put(b, BPF_JMP | BPF_JGT | BPF_K, row->b, 1, 0);
        break;
    case CALL_OWN:
        put_load_argument(b, row->argument, false);
        put(b, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 0, 1);
        break;
    }
    put_return(b, SECCOMP_RET_ALLOW);
    if (row->rule == CALL_WITHIN)
        b->loaded = UINT32_MAX; /* one of two */
}

/* All rows of a call, and what becomes of it if none holds. */
static void put_rows(struct building *b, unsigned call)
{
    b->loaded = UINT32_MAX;
    for (unsigned i = b->first[call]; i;) {
        const struct call_allowed *row = &b->filter->table[i - 1];
        const unsigned values = count_values(b, i);
        if (values) {
            i = put_values(b, i, values);
            continue;
        }
        put_row(b, row);
        if (row->rule == CALL_ANY || row->rule == CALL_ABSENT)
            return;
        i = b->next[i - 1];
    }
    put_return(b, refusal(b));
}

/* -- the search ------------------------------------------------------------------------------------------ */

static bool is_any(const struct building *b, unsigned call)
{
    return b->filter->table[b->first[call] - 1].rule == CALL_ANY;
}

/* A few that are allowed whatever their arguments are. */
static bool is_leaf(const struct building *b, unsigned from, unsigned end)
{
    bool any = end - from <= LEAF_MOST;
    for (unsigned i = from; any && i < end; i++)
        any = is_any(b, b->calls[i]);
    return any;
}

/* With the number in the accumulator: calls[from] to calls[end - 1]. */
static void put_search(struct building *b, unsigned from, unsigned end)
{
    if (is_leaf(b, from, end)) {
        for (unsigned i = from; i < end; i++)
            put(b, BPF_JMP | BPF_JEQ | BPF_K, b->calls[i], (uint8_t)(end - i), 0);
        put_return(b, refusal(b));
        put_return(b, SECCOMP_RET_ALLOW);
        return;
    }
    if (end - from == 1) {
        put(b, BPF_JMP | BPF_JEQ | BPF_K, b->calls[from], 1, 0);
        put_return(b, refusal(b));
        put_rows(b, b->calls[from]);
        return;
    }
    const unsigned middle = from + (end - from) / 2, at = b->count;
    put(b, BPF_JMP | BPF_JGE | BPF_K, b->calls[middle], 0, 0);
    put_search(b, from, middle);
    const unsigned distance = b->count - at - 1;
    if (distance <= UINT8_MAX) {
        b->program[at].jt = (uint8_t)distance;
    } else { /* a condition does not jump that far */
        memmove(&b->program[at + 2], &b->program[at + 1], distance * sizeof b->program[0]);
        b->count++;
        b->program[at].jf = 1;
        b->program[at + 1] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, distance);
    }
    put_search(b, middle, end);
}

/* Recursion is as deep as the tree: calls are few. */
static void put_program(struct building *b)
{
    put(b, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
    put(b, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    put_return(b, SECCOMP_RET_KILL_PROCESS);
    put(b, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    const int first = b->filter->first;
    if (first >= 0 && b->first[first]) {
        put(b, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)first, 1, 0);
        const unsigned jump = b->count;
        put(b, BPF_JMP | BPF_JA, 0, 0, 0);
        put_rows(b, (unsigned)first);
        b->program[jump].k = b->count - jump - 1;
    }
    put(b, BPF_JMP | BPF_JGE | BPF_K, NUMBERS, 0, 1); /* x32's numbers are of this architecture, too */
    put_return(b, SECCOMP_RET_KILL_PROCESS);
    if (b->call_count)
        put_search(b, 0, b->call_count);
    else
        put_return(b, refusal(b));
}

static bool sort_rows(struct building *b)
{
    uint16_t last[NUMBERS] = {0};
    for (unsigned i = 0; i < b->filter->count; i++) {
        const unsigned call = b->filter->table[i].call;
        if (call >= NUMBERS)
            return false;
        if (last[call])
            b->next[last[call] - 1] = (uint16_t)(i + 1);
        else
            b->first[call] = (uint16_t)(i + 1);
        last[call] = (uint16_t)(i + 1);
    }
    for (unsigned call = 0; call < NUMBERS; call++)
        if (b->first[call] && (int)call != b->filter->first)
            b->calls[b->call_count++] = (uint16_t)call;
    return true;
}

bool call_filter_load(const struct call_filter *filter)
{
    struct sock_filter room[CALL_FILTER_MOST * (ROW_MOST + CALL_MOST) + PROGRAM_MOST];
    struct building b = {.filter = filter, .program = room};
    if (filter->count > CALL_FILTER_MOST || filter->first >= NUMBERS || !sort_rows(&b)) {
        errno = E2BIG;
        return false;
    }
    put_program(&b);
    const struct sock_fprog program = {.len = (unsigned short)b.count, .filter = room};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

bool call_filter_enter(const struct call_allowed *table, unsigned count)
{
    return call_filter_load(&(struct call_filter){table, count, -1, CALL_FAILS});
}
