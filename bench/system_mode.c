/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * system_mode: what system mode costs. Runs some functions of this very program natively, as a guest in user
 * mode, and as a guest in system mode with all memory mapped to itself, interleaved, and prints the best
 * times of each and their ratios.
 *
 * Usage: bench_system_mode [ROUNDS [NAME]]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/guest/x86/x86.h"
#include "translator/translator.h"

#define GUEST __attribute__((noinline, noclone))
#define APART __attribute__((noinline, noclone, aligned(4096))) /* on a page of its own */

/* -- the guest's functions ------------------------------------------------------------------------------- */

static GUEST uint64_t fibonacci(uint64_t n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static uint64_t run_fibonacci(void)
{
    return fibonacci(30);
}

static APART uint64_t even(uint64_t n);

static APART uint64_t odd(uint64_t n)
{
    return n ? even(n - 1) + 1 : 0;
}

static APART uint64_t even(uint64_t n)
{
    return n ? odd(n - 1) + 2 : 0;
}

static uint64_t run_pages(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < 4000; i++)
        sum += odd(200 + i % 3);
    return sum;
}

static uint32_t numbers[200000];

static GUEST void sort(uint32_t *v, int64_t low, int64_t high)
{
    while (low < high) {
        uint32_t pivot = v[(low + high) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i <= j) {
                uint32_t t = v[i];
                v[i++] = v[j];
                v[j--] = t;
            }
        }
        sort(v, low, j);
        low = i;
    }
}

static uint64_t run_sort(void)
{
    uint32_t x = 1;
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++)
        numbers[i] = x = x * 1664525 + 1013904223;
    sort(numbers, 0, ARRAY_SIZE(numbers) - 1);
    return numbers[1000];
}

struct node {
    struct node *left, *right;
    uint64_t key, count, value, more;
};
static struct node nodes[20000];

static GUEST struct node *insert(struct node *root, struct node *n)
{
    while (root) {
        root->count++;
        struct node **next = n->key < root->key ? &root->left : &root->right;
        if (!*next) {
            *next = n;
            break;
        }
        root = *next;
    }
    n->left = n->right = NULL;
    n->count = 1;
    n->value = n->key ^ n->more;
    return n;
}

static uint64_t run_tree(void)
{
    uint64_t x = 7, sum = 0;
    struct node *root = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(nodes); i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        nodes[i].key = x;
        nodes[i].more = i;
        if (root)
            insert(root, &nodes[i]);
        else
            root = insert(NULL, &nodes[i]);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(nodes); i++)
        sum += nodes[i].count + nodes[i].value;
    return sum;
}

static GUEST uint64_t op_add(uint64_t *stack)
{
    return stack[0] + stack[1];
}
static GUEST uint64_t op_xor(uint64_t *stack)
{
    return stack[0] ^ stack[1];
}
static GUEST uint64_t op_mul(uint64_t *stack)
{
    return stack[0] * (stack[1] | 1);
}
static APART uint64_t op_sub(uint64_t *stack)
{
    return stack[0] - stack[1];
}

static uint64_t (*const volatile operations[4])(uint64_t *) = {op_add, op_xor, op_mul, op_sub};

static uint64_t run_indirect(void)
{
    uint64_t stack[2] = {1, 2}, x = 1;
    for (unsigned i = 0; i < 1000000; i++) {
        x = x * 1664525 + 1013904223;
        stack[i & 1] = operations[x >> 20 & 3](stack);
    }
    return stack[0];
}

static uint8_t text[65536], copy[65536];

static GUEST uint64_t hash_words(const uint8_t *p, size_t size)
{
    uint64_t sum = 0, hash = 0;
    for (size_t i = 0; i < size; i++) {
        if (p[i] == ' ') {
            sum += hash;
            hash = 0;
        } else {
            hash = hash * 31 + p[i];
        }
    }
    return sum;
}

static uint64_t run_bytes(void)
{
    uint64_t sum = 0;
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < sizeof text; i++)
            text[i] = (uint8_t)(i * 7 % 11 ? 'a' + i % 13 : ' ');
        for (unsigned i = 0; i < sizeof text; i++)
            copy[i] = text[sizeof text - 1 - i];
        sum += hash_words(text, sizeof text) + hash_words(copy, sizeof copy);
    }
    return sum;
}

static const struct {
    const char *name;
    uint64_t (*run)(void);
} workloads[] = {
    {"fibonacci", run_fibonacci}, {"pages", run_pages},       {"sort", run_sort},
    {"tree", run_tree},           {"indirect", run_indirect}, {"bytes", run_bytes},
};

/* -- running them ---------------------------------------------------------------------------------------- */

enum way { WAY_NATIVE, WAY_USER, WAY_PLAIN, WAY_FILLS, WAY_COUNT };

static uint8_t *guest_stack;
static struct x86_cpu *cpus[WAY_COUNT];
enum { STACK_SIZE = 1 << 20 };

static size_t fetch(void *context, uint64_t pc, void *bytes, size_t size)
{
    (void)context;
    memcpy(bytes, (const void *)(uintptr_t)pc, size);
    return size;
}

static bool locate(struct translator_cpu *cpu, uint64_t pc, struct code_page *out)
{
    (void)cpu;
    out->physical = pc & ~UINT64_C(4095);
    out->bytes = (const uint8_t *)(uintptr_t)out->physical;
    return true;
}

static bool memory_access(struct translator_cpu *cpu, struct memory_access *access)
{
    struct tlb_entry *entry = tlb_entry(((struct x86_system_cpu *)cpu)->tlbs, access->address);
    *entry = (struct tlb_entry){.read = tlb_page(access->address), .write = tlb_page(access->address)};
    access->pointer = (const void *)(uintptr_t)access->address;
    if (access->kind == ACCESS_STORE)
        memcpy((void *)(uintptr_t)access->address, &access->value, 1u << access->size);
    return true;
}

static void make_cpu(enum way way)
{
    const bool system = way != WAY_USER;
    const struct translator_options options = {.system = system, .fills = way == WAY_FILLS};
    const struct translator_callbacks callbacks = {.fetch = fetch, .locate = locate};
    struct translator *translator;
    struct translator_cpu *cpu;
    struct error error = ERROR_INIT;

    if (translator_new(&translator, system ? &x86_system_guest : &x86_guest, &options, &callbacks, &error) ||
        translator_cpu_new(translator, &cpu, &error)) {
        error_report(&error);
        exit(1);
    }
    cpus[way] = (struct x86_cpu *)cpu;
    cpu->memory = memory_access;
    if (system)
        for (unsigned i = 0; i < X86_TLB_COUNT; i++)
            tlb_flush(&((struct x86_system_cpu *)cpu)->tlbs[i]);
}

/* The function's result, as the guest of a CPU. */
static uint64_t run_guest(struct x86_cpu *cpu, uint64_t (*function)(void))
{
    static const uint8_t stop[] = {0xcc};
    uint64_t *stack = (uint64_t *)(void *)(guest_stack + STACK_SIZE) - 9;
    *stack = (uintptr_t)stop;
    cpu->state.gpr[X86_RSP] = (uintptr_t)stack;
    cpu->state.df = 1;
    cpu->pc = (uintptr_t)function;
    enum translator_exit exit_reason = translator_run(&cpu->common);
    if (exit_reason != TRANSLATOR_BREAKPOINT) {
        fprintf(stderr, "stopped with %d at %#" PRIx64 "\n", (int)exit_reason, cpu->pc);
        exit(1);
    }
    return cpu->state.gpr[X86_RAX];
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure(unsigned which, unsigned rounds)
{
    double best[WAY_COUNT] = {1e9, 1e9, 1e9, 1e9};
    uint64_t results[WAY_COUNT];
    for (unsigned round = 0; round < rounds; round++) {
        for (enum way way = 0; way < WAY_COUNT; way++) {
            double start = now();
            results[way] =
                way == WAY_NATIVE ? workloads[which].run() : run_guest(cpus[way], workloads[which].run);
            double time = now() - start;
            best[way] = MIN(best[way], time);
            if (results[way] != results[WAY_NATIVE]) {
                fprintf(stderr, "%s: results differ\n", workloads[which].name);
                exit(1);
            }
        }
    }
    printf(
        "%-10s native %7.2f ms; times that: user %5.2f, system %5.2f, with fills %5.2f; to user: %5.2f, %5.2f\n",
        workloads[which].name, best[WAY_NATIVE] * 1e3, best[WAY_USER] / best[WAY_NATIVE],
        best[WAY_PLAIN] / best[WAY_NATIVE], best[WAY_FILLS] / best[WAY_NATIVE],
        best[WAY_PLAIN] / best[WAY_USER], best[WAY_FILLS] / best[WAY_USER]);
}

int main(int argc, char **argv)
{
    guest_stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (enum way way = WAY_USER; way < WAY_COUNT; way++)
        make_cpu(way);
    for (unsigned i = 0; i < ARRAY_SIZE(workloads); i++)
        if (argc < 3 || !strcmp(argv[2], workloads[i].name))
            measure(i, argc > 1 ? (unsigned)atoi(argv[1]) : 10);
    return 0;
}
