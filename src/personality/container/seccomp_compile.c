/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a profile to the kernel's program, by libseccomp. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/seccomp_private.h"

#define ARGUMENTS_MOST 6
#define GUARD_SIZE     8
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW_HALF 0
#else
#define LOW_HALF 4
#endif

static int add(scmp_filter_ctx context, const struct seccomp_rule *rule, const char *name,
               const struct seccomp_argument *arguments, size_t count, struct error *error)
{
    struct scmp_arg_cmp compare[ARGUMENTS_MOST];
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR)
        return 0; /* of another kernel */
    for (size_t i = 0; i < count; i++)
        compare[i] = (struct scmp_arg_cmp){.arg = arguments[i].index,
                                           .op = (enum scmp_compare)arguments[i].operation,
                                           .datum_a = arguments[i].value,
                                           .datum_b = arguments[i].value_two};
    int result = seccomp_rule_add_array(context, rule->action, number, (unsigned)count, compare);
    if (result < 0 && result != -EEXIST)
        return error_set(error, result, "the filter of system calls cannot have a rule for %s: %s", name,
                         strerror(-result));
    return 0;
}

static bool repeats_argument(const struct seccomp_rule *rule)
{
    unsigned seen = 0;
    for (size_t i = 0; i < rule->argument_count; i++) {
        if (seen & 1u << rule->arguments[i].index)
            return true;
        seen |= 1u << rule->arguments[i].index;
    }
    return false;
}

/* Conditions are met together; if two are for one argument, each is a rule of its own, as other runtimes have
 * it. */
static int add_rule(scmp_filter_ctx context, const struct seccomp_rule *rule, struct error *error)
{
    bool each = repeats_argument(rule);
    int result = 0;
    for (size_t i = 0; result == 0 && i < rule->name_count; i++) {
        if (!each)
            result = add(context, rule, rule->names[i], rule->arguments, rule->argument_count, error);
        for (size_t k = 0; each && result == 0 && k < rule->argument_count; k++)
            result = add(context, rule, rule->names[i], &rule->arguments[k], 1, error);
    }
    return result;
}

static int export(scmp_filter_ctx context, struct seccomp_filter *filter, struct error *error)
{
    int fd = memfd_create("seccomp", MFD_CLOEXEC);
    int result = fd < 0 ? -errno : seccomp_export_bpf(context, fd);
    struct stat status;
    if (result == 0 && fstat(fd, &status) < 0)
        result = -errno;
    if (result == 0) {
        size_t size = (size_t)status.st_size;
        filter->count = size / sizeof(struct sock_filter);
        filter->program = malloc(size ? size : 1);
        if (!filter->program)
            result = -ENOMEM;
        else if (pread(fd, filter->program, size, 0) != (ssize_t)size)
            result = -EIO;
    }
    if (fd >= 0)
        close(fd);
    if (result == 0 && (filter->count == 0 || filter->count > BPF_MAXINSNS))
        result = -E2BIG;
    if (result < 0)
        return error_set(error, result, "cannot make the filter of system calls: %s",
                         result == -E2BIG ? "it has too many rules for the kernel" : strerror(-result));
    return 0;
}

#define FIELD(member) (uint32_t) offsetof(struct seccomp_data, member)

/* The program for one architecture's ioctl(): what is not about it goes on behind the last instruction. */
static void put_guard(uint32_t architecture, int ioctl_number, struct sock_filter guard[GUARD_SIZE])
{
    const struct sock_filter program[GUARD_SIZE] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 0, 6),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)ioctl_number, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(args[1]) + LOW_HALF), /* the kernel ignores the other half */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCSTI, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCLINUX, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    memcpy(guard, program, sizeof program);
}

/*
 * Before the program: libseccomp compares whole arguments or masked ones with equality, of which "all but
 * these two" would take dozens.
 */
static int guard_terminal(struct seccomp_filter *filter, const struct seccomp_profile *profile,
                          struct error *error)
{
    size_t most = (profile->architecture_count + 1) * GUARD_SIZE, used = 0;
    struct sock_filter *program = calloc(filter->count + most, sizeof *program);
    if (!program)
        return error_set(error, -ENOMEM, "no memory for a filter of system calls");
    for (size_t i = 0; i <= profile->architecture_count; i++) {
        uint32_t token = i ? profile->architectures[i - 1] : seccomp_arch_native(), machine = token;
        int number = seccomp_syscall_resolve_name_arch(token, "ioctl");
        if (token == SCMP_ARCH_X32) /* libseccomp's own mark: the kernel's is in the call's number */
            machine = SCMP_ARCH_X86_64;
        if (number < 0)
            continue;
        put_guard(machine, number, program + used);
        used += GUARD_SIZE;
    }
    memcpy(program + used, filter->program, filter->count * sizeof *program);
    free(filter->program);
    filter->program = program;
    filter->count += used;
    if (filter->count > BPF_MAXINSNS)
        return error_set(error, -E2BIG,
                         "cannot make the filter of system calls: it has too many rules for the kernel");
    return 0;
}

static int generate(struct seccomp_filter *filter, const struct seccomp_profile *profile, struct error *error)
{
    scmp_filter_ctx context = seccomp_init(profile->default_action);
    int result = 0;
    if (!context)
        return error_set(error, -EINVAL, "the default action of the filter of system calls cannot be %#x",
                         profile->default_action);
    for (size_t i = 0; result == 0 && i < profile->architecture_count; i++) {
        result = seccomp_arch_add(context, profile->architectures[i]);
        if (result == -EEXIST || result == -EDOM) /* EDOM: of the other byte order, which cannot run here */
            result = 0;
        if (result < 0)
            error_set(error, result, "linux.seccomp.architectures[%zu]: libseccomp does not have it: %s", i,
                      strerror(-result));
    }
    if (result == 0)
        seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree; older ones make a list */
    for (size_t i = 0; result == 0 && i < profile->rule_count; i++)
        if (profile->rules[i].action != profile->default_action)
            result = add_rule(context, &profile->rules[i], error);
    if (result == 0)
        result = export(context, filter, error);
    if (result == 0 && profile->guards_terminal)
        result = guard_terminal(filter, profile, error);
    seccomp_release(context);
    return result;
}

/* What a child says: this, then the program. */
struct generated {
    int result;
    struct error error;
    uint32_t count;
};

static void say_generated(int pipe, const struct seccomp_profile *profile)
{
    struct seccomp_filter filter = {0};
    struct generated generated = {.error = ERROR_INIT};
    generated.result = generate(&filter, profile, &generated.error);
    generated.count = generated.result == 0 ? (uint32_t)filter.count : 0;
    const struct iovec parts[] = {{&generated, sizeof generated},
                                  {filter.program, generated.count * sizeof(struct sock_filter)}};
    const ssize_t size = (ssize_t)(parts[0].iov_len + parts[1].iov_len);
    _exit(writev(pipe, parts, ARRAY_SIZE(parts)) == size ? 0 : 1);
}

static bool read_all(int fd, void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t part = read(fd, (uint8_t *)data + done, size - done);
        if (part <= 0 && errno != EINTR)
            return false;
        done += part > 0 ? (size_t)part : 0;
    }
    return true;
}

static int hear_generated(int pipe, struct seccomp_filter *filter, struct error *error)
{
    struct generated generated;
    if (!read_all(pipe, &generated, sizeof generated) || generated.count > BPF_MAXINSNS)
        return error_set(error, -ECHILD, "the process that makes the filter of system calls has died");
    if (generated.result < 0) {
        if (error)
            *error = generated.error;
        return generated.result;
    }
    filter->program = malloc(generated.count * sizeof(struct sock_filter));
    filter->count = generated.count;
    if (!filter->program)
        return error_set(error, -ENOMEM, "cannot make the filter of system calls: out of memory");
    return read_all(pipe, filter->program, generated.count * sizeof(struct sock_filter))
               ? 0
               : error_set(error, -ECHILD, "the process that makes the filter of system calls has died");
}

/* By a child: libseccomp takes more than a megabyte in small pieces, which who stays beside his container
 * would keep. */
static int generate_apart(struct seccomp_filter *filter, const struct seccomp_profile *profile,
                          struct error *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0)
        say_generated(ends[1], profile);
    int result = child < 0 ? error_set(error, -errno, "cannot make a process: %s", strerror(errno)) : 0;
    close(ends[1]);
    if (result == 0)
        result = hear_generated(ends[0], filter, error);
    close(ends[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    return result;
}

static bool notifies(const struct seccomp_profile *profile)
{
    for (size_t i = 0; i < profile->rule_count; i++)
        if (profile->rules[i].action == SCMP_ACT_NOTIFY)
            return true;
    return profile->default_action == SCMP_ACT_NOTIFY;
}

int seccomp_filter_compile(struct seccomp_filter *filter, const struct seccomp_profile *profile,
                           const char *cache, struct error *error)
{
    struct buffer key = {0};
    int result = 0;
    *filter = (struct seccomp_filter){.flags = profile->flags, .notifies = notifies(profile)};
    if (cache)
        seccomp_cache_key(&key, profile);
    bool keyed = cache && !key.failed;
    if (!keyed || !seccomp_cache_get(cache, &key, filter)) {
        result = generate_apart(filter, profile, error);
        if (result == 0 && keyed)
            seccomp_cache_put(cache, &key, filter);
    }
    buffer_free(&key);
    if (result < 0)
        seccomp_filter_free(filter);
    return result;
}

void seccomp_filter_free(struct seccomp_filter *filter)
{
    free(filter->program);
    *filter = (struct seccomp_filter){0};
}
