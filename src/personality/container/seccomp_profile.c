/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parser of linux.seccomp. */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "personality/container/json_bind.h"
#include "personality/container/resources.h"
#include "personality/container/seccomp.h"

#define ERRNO_MOST 4095 /* the kernel's MAX_ERRNO */

struct word {
    const char *name;
    uint32_t value;
};

#define WORD(name)                                                                                           \
    {                                                                                                        \
#name, name                                                                                          \
    }
static const struct word architectures[] = {
    WORD(SCMP_ARCH_X86),         WORD(SCMP_ARCH_X86_64),      WORD(SCMP_ARCH_X32),
    WORD(SCMP_ARCH_ARM),         WORD(SCMP_ARCH_AARCH64),     WORD(SCMP_ARCH_MIPS),
    WORD(SCMP_ARCH_MIPS64),      WORD(SCMP_ARCH_MIPS64N32),   WORD(SCMP_ARCH_MIPSEL),
    WORD(SCMP_ARCH_MIPSEL64),    WORD(SCMP_ARCH_MIPSEL64N32), WORD(SCMP_ARCH_PPC),
    WORD(SCMP_ARCH_PPC64),       WORD(SCMP_ARCH_PPC64LE),     WORD(SCMP_ARCH_S390),
    WORD(SCMP_ARCH_S390X),       WORD(SCMP_ARCH_PARISC),      WORD(SCMP_ARCH_PARISC64),
    WORD(SCMP_ARCH_RISCV64),
#ifdef SCMP_ARCH_LOONGARCH64
    WORD(SCMP_ARCH_LOONGARCH64),
#endif
};
static const struct word operators[] = {
    WORD(SCMP_CMP_NE), WORD(SCMP_CMP_LT), WORD(SCMP_CMP_LE),        WORD(SCMP_CMP_EQ),
    WORD(SCMP_CMP_GE), WORD(SCMP_CMP_GT), WORD(SCMP_CMP_MASKED_EQ),
};
static const struct word flags[] = {
    WORD(SECCOMP_FILTER_FLAG_TSYNC),
    WORD(SECCOMP_FILTER_FLAG_LOG),
    WORD(SECCOMP_FILTER_FLAG_SPEC_ALLOW),
    WORD(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV),
};
#undef WORD

static const struct action {
    const char *name;
    uint32_t value;
    bool has_errno;
} actions[] = {
    {"SCMP_ACT_KILL", SCMP_ACT_KILL, false},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, false},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, false},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP, false},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), true},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), true},
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, false},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG, false},
    {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY, false},
};

static const struct word *find_word(const struct word *words, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(words[i].name, name))
            return &words[i];
    return NULL;
}

static int no_memory(struct error *error)
{
    return error_set(error, -ENOMEM, "no memory for a filter of system calls");
}

/* The member `name`, an action, with its error number from the member `errno_name`. */
static int read_action(const json_t *object, const char *name, const char *errno_name, const char *prefix,
                       uint32_t *out, struct error *error)
{
    struct {
        const char *text;
        struct resource_number number;
    } read = {0};
    const struct json_field fields[] = {
        JSON_BIND_TEXT(__typeof__(read), name, text),
        JSON_BIND_GIVEN(__typeof__(read), JSON_NUMBER, errno_name, number, 0, ERRNO_MOST),
        {0},
    };
    int result = json_bind_at(prefix, object, fields, &read, error);
    if (result < 0)
        return result;
    const char *text = read.text;
    struct resource_number number = read.number;
    if (!text)
        return error_set(error, -EINVAL, "%s.%s is missing", prefix, name);
    for (const struct action *action = actions; action < actions + ARRAY_SIZE(actions); action++) {
        if (strcmp(action->name, text) != 0)
            continue;
        if (number.set && !action->has_errno)
            return error_set(error, -EINVAL, "%s.%s is set, but %s has no error number", prefix, errno_name,
                             text);
        *out = action->value;
        if (action->has_errno)
            *out |= number.set ? (uint32_t)number.value : EPERM;
        return 0;
    }
    return error_set(error, -EINVAL, "%s.%s is '%s', which is no action", prefix, name, text);
}

/* An array of words of a table. */
static int read_words(const json_t *object, const char *name, const struct word *words, size_t count,
                      const char *prefix, uint32_t **out, size_t *out_count, struct error *error)
{
    const json_t *array;
    int result = json_member(object, name, JSON_ARRAY, prefix, &array, error);
    *out = NULL;
    *out_count = 0;
    if (result < 0 || !array || json_array_size(array) == 0)
        return result;
    uint32_t *values = calloc(json_array_size(array), sizeof *values);
    if (!values)
        return no_memory(error);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *text = json_string_value(json_array_get(array, i));
        const struct word *word = text ? find_word(words, count, text) : NULL;
        if (!word) {
            free(values);
            return error_set(error, -EINVAL, "%s.%s[%zu] is '%s', which this visor does not know", prefix,
                             name, i, text ? text : "no string");
        }
        values[i] = word->value;
    }
    *out = values;
    *out_count = json_array_size(array);
    return 0;
}

/* What is read of an argument before it is put in its place. */
struct argument_fields {
    struct resource_number index, value, value_two;
    const char *operator;
};
static const struct json_field argument_fields[] = {
    JSON_BIND_GIVEN(struct argument_fields, JSON_NUMBER, "index", index, 0, 5),
    JSON_BIND_GIVEN(struct argument_fields, JSON_NUMBER, "value", value, INT64_MIN, UINT64_MAX),
    JSON_BIND_GIVEN(struct argument_fields, JSON_NUMBER, "valueTwo", value_two, INT64_MIN, UINT64_MAX),
    JSON_BIND_TEXT(struct argument_fields, "op", operator),
    {0},
};

static int read_argument(const json_t *object, const char *prefix, struct seccomp_argument *argument,
                         struct error *error)
{
    struct argument_fields fields = {0};
    if (!json_is_object(object))
        return error_set(error, -EINVAL, "%s must be an object", prefix);
    int result = json_bind_at(prefix, object, argument_fields, &fields, error);
    if (result < 0)
        return result;
    if (!fields.index.set || !fields.value.set || !fields.operator)
        return error_set(error, -EINVAL, "%s.%s is missing", prefix,
                         !fields.index.set   ? "index"
                         : !fields.value.set ? "value"
                                             : "op");
    const struct word *word = find_word(operators, ARRAY_SIZE(operators), fields.operator);
    if (!word)
        return error_set(error, -EINVAL, "%s.op is '%s', which is no operator", prefix, fields.operator);
    *argument = (struct seccomp_argument){.index = (unsigned)fields.index.value,
                                          .operation = word->value,
                                          .value = (uint64_t)fields.value.value,
                                          .value_two = (uint64_t)fields.value_two.value};
    return 0;
}

static int read_arguments(struct seccomp_rule *rule, const json_t *object, const char *prefix,
                          struct error *error)
{
    const json_t *array;
    int result = json_member(object, "args", JSON_ARRAY, prefix, &array, error);
    if (result < 0 || !array || json_array_size(array) == 0)
        return result;
    if (!(rule->arguments = calloc(json_array_size(array), sizeof *rule->arguments)))
        return no_memory(error);
    for (size_t i = 0; result == 0 && i < json_array_size(array); i++) {
        char name[160];
        snprintf(name, sizeof name, "%.100s.args[%zu]", prefix, i);
        result =
            read_argument(json_array_get(array, i), name, &rule->arguments[rule->argument_count++], error);
    }
    return result;
}

static int read_names(struct seccomp_rule *rule, const json_t *object, const char *prefix,
                      struct error *error)
{
    const json_t *array;
    int result = json_member(object, "names", JSON_ARRAY, prefix, &array, error);
    if (result < 0)
        return result;
    if (!array || json_array_size(array) == 0)
        return error_set(error, -EINVAL, "%s.names has no name", prefix);
    if (!(rule->names = calloc(json_array_size(array), sizeof *rule->names)))
        return no_memory(error);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *name = json_string_value(json_array_get(array, i));
        if (!name)
            return error_set(error, -EINVAL, "%s.names[%zu] must be a string", prefix, i);
        rule->names[rule->name_count++] = name;
    }
    return 0;
}

static int read_rules(struct seccomp_profile *profile, const json_t *object, const char *prefix,
                      struct error *error)
{
    const json_t *array;
    int result = json_member(object, "syscalls", JSON_ARRAY, prefix, &array, error);
    if (result < 0 || !array || json_array_size(array) == 0)
        return result;
    if (!(profile->rules = calloc(json_array_size(array), sizeof *profile->rules)))
        return no_memory(error);
    for (size_t i = 0; result == 0 && i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        struct seccomp_rule *rule = &profile->rules[profile->rule_count++];
        char name[128];
        snprintf(name, sizeof name, "%.80s.syscalls[%zu]", prefix, i);
        if (!json_is_object(item))
            return error_set(error, -EINVAL, "%s must be an object", name);
        result = read_names(rule, item, name, error);
        if (result == 0)
            result = read_action(item, "action", "errnoRet", name, &rule->action, error);
        if (result == 0)
            result = read_arguments(rule, item, name, error);
    }
    return result;
}

static const struct json_field listener_fields[] = {
    JSON_BIND_TEXT(struct seccomp_profile, "listenerPath", listener_path),
    JSON_BIND_TEXT(struct seccomp_profile, "listenerMetadata", listener_metadata),
    {0},
};

static int read_all(struct seccomp_profile *profile, const json_t *object, const char *prefix,
                    struct error *error)
{
    uint32_t *bits;
    size_t count;
    int result =
        read_action(object, "defaultAction", "defaultErrnoRet", prefix, &profile->default_action, error);
    if (result == 0)
        result = read_words(object, "architectures", architectures, ARRAY_SIZE(architectures), prefix,
                            &profile->architectures, &profile->architecture_count, error);
    if (result == 0)
        result = read_words(object, "flags", flags, ARRAY_SIZE(flags), prefix, &bits, &count, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < count; i++)
        profile->flags |= bits[i];
    free(bits);
    result = json_bind_at(prefix, object, listener_fields, profile, error);
    if (result == 0 && profile->listener_metadata && !profile->listener_path)
        return error_set(error, -EINVAL, "%s.listenerMetadata is set without listenerPath", prefix);
    return result == 0 ? read_rules(profile, object, prefix, error) : result;
}

int seccomp_profile_parse(struct seccomp_profile *profile, const json_t *object, const char *prefix,
                          struct error *error)
{
    *profile = (struct seccomp_profile){0};
    if (!json_is_object(object))
        return error_set(error, -EINVAL, "%s must be an object", prefix);
    int result = read_all(profile, object, prefix, error);
    if (result < 0)
        seccomp_profile_free(profile);
    return result;
}

void seccomp_profile_free(struct seccomp_profile *profile)
{
    for (size_t i = 0; i < profile->rule_count; i++) {
        free(profile->rules[i].names);
        free(profile->rules[i].arguments);
    }
    free(profile->rules);
    free(profile->architectures);
    *profile = (struct seccomp_profile){0};
}
