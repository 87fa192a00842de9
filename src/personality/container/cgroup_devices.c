/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of devices: as a program for version 2, and as the list that version 1 keeps. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "personality/container/cgroup_private.h"

#define ACCESS_ALL (RESOURCE_DEVICE_READ | RESOURCE_DEVICE_WRITE | RESOURCE_DEVICE_MKNOD)

/*
 * The program: registers 2 to 5 hold the device's type, what of the access is not decided yet, major and
 * minor. Rules are tried from the last to the first, so that one that decides all of the access ends the
 * program.
 */
enum { REGISTER_TYPE = 2, REGISTER_ACCESS, REGISTER_MAJOR, REGISTER_MINOR };

static struct bpf_insn instruction(uint8_t code, unsigned destination, unsigned source, int16_t offset,
                                   int32_t value)
{
    return (struct bpf_insn){
        .code = code, .dst_reg = destination & 15, .src_reg = source & 15, .off = offset, .imm = value};
}

static unsigned program_access(unsigned access)
{
    return (access & RESOURCE_DEVICE_READ ? BPF_DEVCG_ACC_READ : 0) |
           (access & RESOURCE_DEVICE_WRITE ? BPF_DEVCG_ACC_WRITE : 0) |
           (access & RESOURCE_DEVICE_MKNOD ? BPF_DEVCG_ACC_MKNOD : 0);
}

static bool is_for_all(const struct resource_device_rule *rule)
{
    return rule->type == 'a' && rule->major < 0 && rule->minor < 0 && rule->access == ACCESS_ALL;
}

/* Skips the rule, of `total` instructions, if the register is not `value`. */
static void put_condition(struct bpf_insn *program, size_t *used, size_t total, unsigned number,
                          int64_t value)
{
    program[*used] =
        instruction(BPF_JMP32 | BPF_JNE | BPF_K, number, 0, (int16_t)(total - *used - 1), (int32_t)value);
    ++*used;
}

/* Room for a rule's six instructions is the caller's to see to. */
static size_t put_rule(const struct resource_device_rule *rule, struct bpf_insn *program)
{
    unsigned access = program_access(rule->access);
    bool typed = rule->type != 'a';
    size_t total = typed + (rule->major >= 0) + (rule->minor >= 0) + (rule->allow ? 3 : 1), used = 0;
    if (typed)
        put_condition(program, &used, total, REGISTER_TYPE,
                      rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    if (rule->major >= 0)
        put_condition(program, &used, total, REGISTER_MAJOR, rule->major);
    if (rule->minor >= 0)
        put_condition(program, &used, total, REGISTER_MINOR, rule->minor);
    if (rule->allow) { /* what it allows needs no other rule; with nothing left, register 0 has the result: 1
                        */
        program[used++] =
            instruction(BPF_ALU | BPF_AND | BPF_K, REGISTER_ACCESS, 0, 0, (int32_t)(7 & ~access));
        program[used++] = instruction(BPF_JMP32 | BPF_JNE | BPF_K, REGISTER_ACCESS, 0, 1, 0);
        program[used++] = instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    } else { /* to the end, which is not known yet */
        program[used++] = instruction(BPF_JMP | BPF_JSET | BPF_K, REGISTER_ACCESS, 0, 0, (int32_t)access);
    }
    return used;
}

size_t cgroup_device_program(const struct resource_device_rule *rules, size_t count, struct bpf_insn *program,
                             size_t capacity)
{
    size_t used = 0;
    if (capacity < CGROUP_DEVICE_INSTRUCTIONS(count))
        return 0;
    program[used++] =
        instruction(BPF_LDX | BPF_MEM | BPF_W, REGISTER_TYPE, 1, 0, 0); /* access << 16 | type */
    program[used++] = instruction(BPF_LDX | BPF_MEM | BPF_W, REGISTER_MAJOR, 1, 4, 0);
    program[used++] = instruction(BPF_LDX | BPF_MEM | BPF_W, REGISTER_MINOR, 1, 8, 0);
    program[used++] = instruction(BPF_ALU | BPF_MOV | BPF_X, REGISTER_ACCESS, REGISTER_TYPE, 0, 0);
    program[used++] = instruction(BPF_ALU | BPF_AND | BPF_K, REGISTER_TYPE, 0, 0, 0xffff);
    program[used++] = instruction(BPF_ALU | BPF_RSH | BPF_K, REGISTER_ACCESS, 0, 0, 16);
    program[used++] = instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
    for (size_t i = count; i-- > 0;) {
        const struct resource_device_rule *rule = &rules[i];
        if (is_for_all(rule)) { /* no earlier rule can matter */
            if (!rule->allow)
                program[used++] = instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
            break;
        }
        used += put_rule(rule, program + used);
    }
    program[used++] = instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    size_t denied = used;
    bool denies = false;
    for (size_t i = 0; i < used; i++)
        if (program[i].code == (BPF_JMP | BPF_JSET | BPF_K)) {
            program[i].off = (int16_t)(denied - i - 1);
            denies = true;
        }
    if (denies) {
        program[used++] = instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
        program[used++] = instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    }
    return used;
}

static bool same_device(const struct resource_device_rule *a, const struct resource_device_rule *b)
{
    return a->type == b->type && a->major == b->major && a->minor == b->minor;
}

/* All devices of `b` are among those of `a`; both are of one type. */
static bool covers(const struct resource_device_rule *a, const struct resource_device_rule *b)
{
    return a->type == b->type && (a->major < 0 || a->major == b->major) &&
           (a->minor < 0 || a->minor == b->minor);
}

static bool overlap(const struct resource_device_rule *a, const struct resource_device_rule *b)
{
    return a->type == b->type && (a->major < 0 || b->major < 0 || a->major == b->major) &&
           (a->minor < 0 || b->minor < 0 || a->minor == b->minor);
}

static int add_exception(struct cgroup_device_list *list, const struct resource_device_rule *rule,
                         struct error *error)
{
    for (size_t i = 0; i < list->count; i++)
        if (same_device(&list->exceptions[i], rule)) {
            list->exceptions[i].access |= rule->access;
            return 0;
        }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct resource_device_rule *more = realloc(list->exceptions, capacity * sizeof *more);
        if (!more)
            return error_set(error, -ENOMEM, "no memory for rules of devices");
        list->exceptions = more;
        list->capacity = capacity;
    }
    list->exceptions[list->count++] = *rule;
    return 0;
}

/* A rule like the default takes back exceptions. */
static int take_back(struct cgroup_device_list *list, const struct resource_device_rule *rule,
                     struct error *error)
{
    for (size_t i = 0; i < list->count;) {
        struct resource_device_rule *exception = &list->exceptions[i];
        if (!(exception->access & rule->access) || !overlap(exception, rule)) {
            i++;
            continue;
        }
        if (!covers(rule, exception)) {
            char text[2][CGROUP_DEVICE_TEXT];
            return error_set(
                error, -EINVAL,
                "linux.resources.devices: '%s' is %s as a part of '%s', which cgroup version 1 cannot do",
                cgroup_device_text(rule, text[0]), rule->allow ? "allowed" : "denied",
                cgroup_device_text(exception, text[1]));
        }
        exception->access &= ~rule->access;
        if (exception->access)
            i++;
        else
            *exception = list->exceptions[--list->count];
    }
    return 0;
}

int cgroup_device_list_make(struct cgroup_device_list *list, const struct resource_device_rule *rules,
                            size_t count, struct error *error)
{
    int result = 0;
    *list = (struct cgroup_device_list){.allow = true};
    for (size_t i = 0; result == 0 && i < count; i++) {
        if (is_for_all(&rules[i])) {
            list->allow = rules[i].allow;
            list->count = 0;
            continue;
        }
        for (const char *type = rules[i].type == 'a' ? "bc" : (char[]){rules[i].type, 0};
             result == 0 && *type; type++) {
            struct resource_device_rule rule = rules[i];
            rule.type = *type;
            result =
                rule.allow == list->allow ? take_back(list, &rule, error) : add_exception(list, &rule, error);
        }
    }
    if (result < 0)
        cgroup_device_list_free(list);
    return result;
}

static int64_t parse_number(const char *text)
{
    return *text == '*' ? -1 : strtoll(text, NULL, 10);
}

int cgroup_device_list_parse(struct cgroup_device_list *list, const char *text, struct error *error)
{
    int result = 0;
    *list = (struct cgroup_device_list){0};
    for (; result == 0 && *text; text += strcspn(text, "\n"), text += *text == '\n') {
        char type, major[16], minor[16], access[8];
        if (sscanf(text, "%c %15[0-9*]:%15[0-9*] %7[rwm]", &type, major, minor, access) != 4)
            continue;
        struct resource_device_rule rule = {
            .allow = true, .type = type, .major = parse_number(major), .minor = parse_number(minor)};
        for (const char *c = access; *c; c++)
            rule.access |= *c == 'r'   ? RESOURCE_DEVICE_READ
                           : *c == 'w' ? RESOURCE_DEVICE_WRITE
                                       : RESOURCE_DEVICE_MKNOD;
        if (type == 'a') /* exceptions from that are not shown */
            list->allow = true;
        else if (type == 'b' || type == 'c')
            result = add_exception(list, &rule, error);
    }
    if (result < 0)
        cgroup_device_list_free(list);
    return result;
}

void cgroup_device_list_free(struct cgroup_device_list *list)
{
    free(list->exceptions);
    *list = (struct cgroup_device_list){0};
}

static char *number_text(int64_t number, char text[24])
{
    if (number < 0)
        strcpy(text, "*");
    else
        snprintf(text, 24, "%" PRId64, number);
    return text;
}

char *cgroup_device_text(const struct resource_device_rule *rule, char text[CGROUP_DEVICE_TEXT])
{
    char major[24], minor[24];
    snprintf(text, CGROUP_DEVICE_TEXT, "%c %.20s:%.20s %s%s%s", rule->type, number_text(rule->major, major),
             number_text(rule->minor, minor), rule->access & RESOURCE_DEVICE_READ ? "r" : "",
             rule->access & RESOURCE_DEVICE_WRITE ? "w" : "",
             rule->access & RESOURCE_DEVICE_MKNOD ? "m" : "");
    return text;
}
