/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stack: the first stack of a program: argument, environment and auxiliary vectors, as the kernel's
 * create_elf_tables() lays them out. From the top down: the name of the program file, the environment's
 * strings, the arguments' strings, the platform's name, 16 random bytes, the vectors.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/memory.h"
#include "personality/linux/start.h"

#define STACK_SIZE_DEFAULT (8ull << 20)
#define STACK_SIZE_MAX     (1ull << 30)
#define STACK_SLACK        (128ull << 10) /* for the program, beyond what the vectors take */
#define STACK_GUARD                                                                                          \
    (1ull << 20) /* the kernel's stack_guard_gap: more than any one frame of a signal takes                  \
                  */
#define AUXV_ENTRIES_MAX 32

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

struct stack {
    uint64_t low, sp;
    bool overflow;
};

static uint64_t push(struct stack *stack, const void *bytes, size_t size)
{
    if (stack->overflow || stack->sp - stack->low < size + STACK_SLACK) {
        stack->overflow = true;
        return 0;
    }
    stack->sp -= size;
    if (guest_write(stack->sp, bytes, size) < 0)
        stack->overflow = true;
    return stack->sp;
}

static uint64_t push_string(struct stack *stack, const char *string)
{
    return push(stack, string, strlen(string) + 1);
}

static size_t count_strings(char **strings)
{
    size_t n = 0;
    while (strings && strings[n])
        n++;
    return n;
}

/* The strings in ascending order, as ps and setproctitle() expect; `addresses` gets their places. */
static void push_strings(struct stack *stack, char **strings, size_t count, uint64_t *addresses)
{
    for (size_t i = count; i-- > 0;)
        addresses[i] = push_string(stack, strings[i]);
}

struct auxv {
    unsigned count;
    uint64_t entries[AUXV_ENTRIES_MAX][2];
};

static void add(struct auxv *auxv, uint64_t type, uint64_t value)
{
    auxv->entries[auxv->count][0] = type;
    auxv->entries[auxv->count++][1] = value;
}

static void fill_auxv(struct auxv *auxv, const struct linux_process *process,
                      const struct linux_layout *layout)
{
    uid_t real_user = getuid(), user = geteuid();
    gid_t real_group = getgid(), group = getegid();

    if (process->vdso)
        add(auxv, AT_SYSINFO_EHDR, process->vdso);
    add(auxv, AT_HWCAP, process->arch->hwcap());
    add(auxv, AT_PAGESZ, GUEST_PAGE_SIZE);
    add(auxv, AT_CLKTCK, (uint64_t)sysconf(_SC_CLK_TCK));
    add(auxv, AT_PHDR, layout->program_headers);
    add(auxv, AT_PHENT, layout->program_header_size);
    add(auxv, AT_PHNUM, layout->program_header_count);
    add(auxv, AT_BASE, layout->interpreter_base);
    add(auxv, AT_FLAGS, 0);
    add(auxv, AT_ENTRY, layout->entry);
    add(auxv, AT_UID, real_user);
    add(auxv, AT_EUID, user);
    add(auxv, AT_GID, real_group);
    add(auxv, AT_EGID, group);
    add(auxv, AT_SECURE, getauxval(AT_SECURE) || user != real_user || group != real_group);
    add(auxv, AT_HWCAP2, process->arch->hwcap2 ? process->arch->hwcap2() : 0);
    add(auxv, AT_MINSIGSTKSZ, process->arch->minimum_signal_stack);
}

/* Words of the guest's size. In place: each of four bytes is written where it has been read already. */
static void push_words(struct stack *stack, const struct linux_process *process, uint64_t *words,
                       size_t count)
{
    if (linux_is_32bit(process)) {
        for (size_t i = 0; i < count; i++) {
            const uint32_t half = (uint32_t)words[i];
            memcpy((char *)words + i * sizeof half, &half, sizeof half);
        }
    }
    push(stack, words, count * process->arch->word_size);
}

/* argc, argv, NULL, envp, NULL, auxv: `words` has room for all. Returns their number. */
static size_t fill_vectors(uint64_t *words, const uint64_t *strings, size_t argc, size_t envc,
                           const struct auxv *auxv)
{
    size_t n = 0;
    words[n++] = argc;
    memcpy(words + n, strings, argc * sizeof *words);
    n += argc;
    words[n++] = 0;
    memcpy(words + n, strings + argc, envc * sizeof *words);
    n += envc;
    words[n++] = 0;
    memcpy(words + n, auxv->entries, auxv->count * sizeof auxv->entries[0]);
    return n + 2 * auxv->count;
}

static int fill(struct linux_process *process, const struct linux_layout *layout, struct stack *stack,
                struct error *error)
{
    size_t argc = count_strings(layout->arguments), envc = count_strings(layout->environment);
    uint64_t *words = calloc(2 * (argc + envc) + 3 + 2 * AUXV_ENTRIES_MAX, sizeof *words);
    if (!words)
        return error_set(error, -ENOMEM, "cannot build the program's stack: out of memory");
    uint64_t *strings = words + argc + envc + 3 + 2 * AUXV_ENTRIES_MAX;
    struct auxv auxv = {0};
    uint8_t random[16];

    fill_auxv(&auxv, process, layout);
    stack->sp -= process->arch->word_size; /* the kernel leaves a word of zeros at the very top */
    add(&auxv, AT_EXECFN, push_string(stack, layout->exec_name));
    process->environment_end = stack->sp;
    push_strings(stack, layout->environment, envc, strings + argc);
    process->environment_start = process->arguments_end = stack->sp;
    push_strings(stack, layout->arguments, argc, strings);
    process->arguments_start = stack->sp;
    add(&auxv, AT_PLATFORM, push_string(stack, process->arch->machine));
    if (getrandom(random, sizeof random, GRND_NONBLOCK) != sizeof random)
        memset(random, 0x5a, sizeof random);
    stack->sp = ALIGN_DOWN(stack->sp, 16ul);
    add(&auxv, AT_RANDOM, push(stack, random, sizeof random));
    add(&auxv, AT_NULL, 0);

    size_t count = fill_vectors(words, strings, argc, envc, &auxv);
    const size_t word = process->arch->word_size;
    stack->sp -= -(count * word) & 15; /* sp is a multiple of 16 */
    push_words(stack, process, words, count);
    process->auxv_size = auxv.count * 2 * (uint32_t)word;
    process->auxv_address = stack->sp + count * word - process->auxv_size;
    free(words);
    if (stack->overflow)
        return error_set(error, -E2BIG, "the arguments and the environment are too long for the stack");
    return 0;
}

int linux_stack_new(struct linux_process *process, const struct linux_layout *layout, uint64_t *sp,
                    struct error *error)
{
    struct rlimit limit;
    uint64_t size = STACK_SIZE_DEFAULT;
    if (getrlimit(RLIMIT_STACK, &limit) == 0)
        size = ALIGN_UP(MIN((uint64_t)limit.rlim_cur, STACK_SIZE_MAX), GUEST_PAGE_SIZE);
    size = MAX(size, 4 * STACK_SLACK);

    /* Below it nothing may be for a while: neither the stack nor a frame pushed on it may overflow into
     * something. */
    int64_t at = linux_memory_map(process, 0, size + STACK_GUARD, PROT_NONE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    unsigned protection = PROT_READ | PROT_WRITE | (layout->executable_stack ? PROT_EXEC : 0);
    int64_t code = at < 0 ? at : linux_memory_protect(process, (uint64_t)at + STACK_GUARD, size, protection);
    if (code < 0)
        return error_set(error, (int)code, "cannot map a stack of %llu KiB: %s",
                         (unsigned long long)size / 1024, strerror((int)-code));
    linux_memory_disown(process, (uint64_t)at, STACK_GUARD);
    process->stack_start = (uint64_t)at + STACK_GUARD;
    process->stack_end = process->stack_start + size;

    struct stack stack = {.low = process->stack_start, .sp = process->stack_end};
    int result = fill(process, layout, &stack, error);
    *sp = stack.sp;
    return result;
}
