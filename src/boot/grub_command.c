/* SPDX-License-Identifier: GPL-2.0-or-later */
/* grub_command: those of GRUB's commands that decide what is started. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/macros.h"
#include "boot/grub.h"

/* The file system that a device's name stands for: "hd0,gpt2", "hd0,msdos1", "hd0,2", "hd0". */
static int find_device(const struct grub *grub, const char *name, size_t length)
{
    const struct menu_disk *disk = grub->place->disk;
    const char *comma = memchr(name, ',', length);
    const char *number = arena_text(grub->place->arena, comma ? comma + 1 : "0",
                                    comma ? (size_t)(name + length - comma) - 1 : 1);
    if (!number || strncmp(name, "hd", 2))
        return -1;
    number += strcspn(number, "0123456789");
    return disk->search(disk->opaque, MENU_BY_PARTITION, number);
}

struct menu_path grub_path(const struct grub *grub, const char *text)
{
    const char *root = grub_get(grub, "root", 4), *end;
    struct menu_path path = {.path = text};
    if (*text == '(' && (end = strchr(text, ')'))) {
        path.volume = find_device(grub, text + 1, (size_t)(end - text) - 1);
        path.path = end + 1;
    } else {
        path.volume = find_device(grub, root, strlen(root));
    }
    if (path.volume < 0 && *text != '(')
        path.volume = grub->place->volume;
    return path;
}

static bool path_exists(const struct grub *grub, const char *text, bool *is_directory)
{
    const struct menu_disk *disk = grub->place->disk;
    struct menu_path path = grub_path(grub, text);
    return path.volume >= 0 && *path.path && disk->exists(disk->opaque, path.volume, path.path, is_directory);
}

/* -- test --------------------------------------------------------------------------------------------------
 */

static bool test_unary(const struct grub *grub, char kind, const char *operand)
{
    bool is_directory = false;
    switch (kind) {
    case 'n': return *operand != '\0';
    case 'z': return *operand == '\0';
    case 'e':
    case 's': return path_exists(grub, operand, &is_directory);
    case 'f': return path_exists(grub, operand, &is_directory) && !is_directory;
    case 'd': return path_exists(grub, operand, &is_directory) && is_directory;
    default: return false;
    }
}

static bool test_binary(const char *left, const char *operator, const char * right)
{
    static const char *const numeric[] = {"-eq", "-ne", "-lt", "-le", "-gt", "-ge"};
    int order = strcmp(left, right);
    unsigned i = 0;
    if (!strcmp(operator, "=") || !strcmp(operator, "=="))
        return order == 0;
    if (!strcmp(operator, "!="))
        return order != 0;
    while (i < ARRAY_SIZE(numeric) && strcmp(operator, numeric[i]))
        i++;
    long a = strtol(left, NULL, 10), b = strtol(right, NULL, 10);
    const bool results[] = {a == b, a != b, a<b, a <= b, a> b, a >= b, false};
    return results[i];
}

/* One condition from *at on, which is moved behind it. */
static bool test_one(const struct grub *grub, char **words, unsigned count, unsigned *at)
{
    bool negated = false, result = false;
    while (*at < count && !strcmp(words[*at], "!")) {
        negated = !negated;
        ++*at;
    }
    unsigned left = count - *at;
    char **w = words + *at;
    if (left >= 2 && w[0][0] == '-' && w[0][1] && !w[0][2] &&
        (left == 2 || (w[1][0] != '=' && w[1][0] != '!'))) {
        result = test_unary(grub, w[0][1], w[1]);
        *at += 2;
    } else if (left >= 3 && strcmp(w[1], "-a") && strcmp(w[1], "-o")) {
        result = test_binary(w[0], w[1], w[2]);
        *at += 3;
    } else if (left >= 1) {
        result = *w[0] != '\0';
        *at += 1;
    }
    return result != negated;
}

/* -a binds closer than -o. */
static bool run_test(const struct grub *grub, char **words, unsigned count)
{
    bool any = false, all = true;
    unsigned at = 0;
    while (at < count) {
        all &= test_one(grub, words, count, &at);
        if (at < count && !strcmp(words[at], "-o")) {
            any |= all;
            all = true;
        }
        at += at < count;
    }
    return count && (any || all);
}

/* -- others ------------------------------------------------------------------------------------------------
 */

static bool set_variables(struct grub *grub, char **words, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const char *equals = strchr(words[i], '=');
        if (equals)
            grub_set(grub, words[i], (size_t)(equals - words[i]), equals + 1);
    }
    return true;
}

/* search [--set=VARIABLE] --fs-uuid|--label|--file WHAT; search.fs_uuid WHAT VARIABLE */
static bool run_search(struct grub *grub, char **words, unsigned count)
{
    static const struct {
        const char *option, *command;
        enum menu_search by;
    } kinds[] = {{"--fs-uuid", "search.fs_uuid", MENU_BY_UUID},
                 {"-u", "search.fs_uuid", MENU_BY_UUID},
                 {"--label", "search.fs_label", MENU_BY_LABEL},
                 {"-l", "search.fs_label", MENU_BY_LABEL},
                 {"--fs-label", "search.fs_label", MENU_BY_LABEL},
                 {"--file", "search.file", MENU_BY_FILE},
                 {"-f", "search.file", MENU_BY_FILE}};
    const struct menu_disk *disk = grub->place->disk;
    enum menu_search by = MENU_BY_FILE;
    const char *variable = "root", *what = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        if (!strcmp(words[0], kinds[i].command))
            by = kinds[i].by;
    for (unsigned i = 1; i < count; i++) {
        for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++)
            if (!strcmp(words[i], kinds[k].option))
                by = kinds[k].by;
        if (!strncmp(words[i], "--set=", 6))
            variable = words[i] + 6;
        else if (*words[i] != '-' && (!what || words[0][6] != '.')) /* hints may come before it */
            what = words[i];
        else if (*words[i] != '-' && i == 2)
            variable = words[i];
    }
    int volume = what ? disk->search(disk->opaque, by, what) : -1;
    if (volume < 0)
        return false;
    char *device = arena_format(grub->place->arena, "hd0,%u", disk->partition(disk->opaque, volume));
    if (device)
        grub_set(grub, variable, strlen(variable), device);
    return true;
}

static char *read_file(struct grub *grub, const char *name)
{
    const struct menu_disk *disk = grub->place->disk;
    struct menu_path path = grub_path(grub, name);
    return path.volume < 0 ? NULL : disk->read_text(disk->opaque, path.volume, path.path, grub->place->arena);
}

/* The environment block. What is meant for the next start only is left out: it cannot be marked as done. */
static bool load_environment(struct grub *grub)
{
    const char *prefix = grub_get(grub, "prefix", 6);
    const char *name = arena_format(grub->place->arena, "%s/grubenv", prefix);
    const char *lines = name ? read_file(grub, name) : NULL;
    if (!lines)
        return false;
    grub->environment = lines;
    while (*lines) {
        size_t length = strcspn(lines, "\n"), key = strcspn(lines, "=\n");
        if (*lines != '#' && key < length && strncmp(lines, "next_entry=", 11)) {
            char *value = arena_text(grub->place->arena, lines + key + 1, length - key - 1);
            if (value)
                grub_set(grub, lines, key, value);
        }
        lines += length + (lines[length] == '\n');
    }
    return true;
}

static bool run_file(struct grub *grub, const char *name)
{
    struct grub_cursor cursor = {.at = read_file(grub, name)};
    return cursor.at && grub_run(grub, &cursor, GRUB_END, true);
}

/* As GRUB hands arguments on: those with blanks in them in quotes. */
static bool set_kernel(struct grub *grub, char **words, unsigned count)
{
    struct buffer line = {0};
    for (unsigned i = 2; i < count; i++) {
        const char *quote = strpbrk(words[i], " \t") ? "\"" : "";
        buffer_append(&line, " ", i > 2);
        buffer_append(&line, quote, strlen(quote));
        buffer_append(&line, words[i], strlen(words[i]));
        buffer_append(&line, quote, strlen(quote));
    }
    const char *text =
        line.size && !line.failed ? arena_text(grub->place->arena, (const char *)line.data, line.size) : "";
    buffer_free(&line);
    if (count < 2 || !grub->entry || !text)
        return false;
    grub->entry->kernel = grub_path(grub, words[1]);
    grub->entry->command_line = text;
    grub->entry->initrd_count = 0;
    return true;
}

static bool set_initrds(struct grub *grub, char **words, unsigned count)
{
    for (unsigned i = 1; i < count && grub->entry; i++)
        if (grub->entry->initrd_count < MENU_INITRDS)
            grub->entry->initrds[grub->entry->initrd_count++] = grub_path(grub, words[i]);
    return true;
}

static bool is_one_of(const char *word, const char *const *list)
{
    while (*list && strcmp(word, *list))
        list++;
    return *list != NULL;
}

bool grub_command(struct grub *grub, char **words, unsigned count)
{
    static const char *const kernels[] = {"linux", "linux16", "linuxefi", NULL};
    static const char *const initrds[] = {"initrd", "initrd16", "initrdefi", NULL};
    static const char *const files[] = {"source", ".", "configfile", NULL};
    static const char *const accepted[] = {
        "true",     "insmod", "echo",       "export", "terminal_output", "cpuid",
        "loadfont", "unset",  "load_video", "normal", "terminal_input",  NULL};
    const char *name = words[0];
    if (!strcmp(name, "set"))
        return set_variables(grub, words + 1, count - 1);
    if (count == 1 && strchr(name, '=') && isalpha((unsigned char)*name))
        return set_variables(grub, words, 1);
    if (!strcmp(name, "["))
        return run_test(grub, words + 1, count - 1 - (count > 1 && !strcmp(words[count - 1], "]")));
    if (!strcmp(name, "test"))
        return run_test(grub, words + 1, count - 1);
    if (!strncmp(name, "search", 6))
        return run_search(grub, words, count);
    if (!strcmp(name, "load_env"))
        return load_environment(grub);
    if (is_one_of(name, kernels))
        return set_kernel(grub, words, count);
    if (is_one_of(name, initrds))
        return set_initrds(grub, words, count);
    if (is_one_of(name, files))
        return count > 1 && run_file(grub, words[1]);
    if (!strcmp(name, "blscfg"))
        grub->wants_bls = true;
    return grub->wants_bls || is_one_of(name, accepted);
}
