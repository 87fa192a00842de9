/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/domain_words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/macros.h"
#include "domain/kind.h"
#include "domain/nets.h"
#include "domain/program.h"

/* -- options --------------------------------------------------------------------------------------------- */

static int words_begin(struct domain_words *words, struct error *error)
{
    if (words->begun)
        return 0;
    words->begun = true;
    return domain_config_init(&words->config, error);
}

int domain_words_set(struct domain_words *words, const struct domain_field *field, const char *argument,
                     struct error *error)
{
    struct domain_option *more = realloc(words->options, (words->option_count + 1) * sizeof *words->options);
    if (!more)
        return error_set(error, -ENOMEM, "out of memory");
    words->options = more;
    words->options[words->option_count++] = (struct domain_option){field, argument};
    return 0;
}

/* The field of this option that domains of a kind have; NULL: none. */
static const struct domain_field *field_for(const struct domain_field *option, const char *kind)
{
    for (const struct domain_field *field = domain_fields; field->name; field++) {
        if (!field->no_option && strcmp(domain_field_option(field), domain_field_option(option)) == 0 &&
            (!field->section || strcmp(field->section, kind) == 0))
            return field;
    }
    return NULL;
}

/* Whether none of the options before this one is the same. */
static bool is_first(const struct domain_words *words, unsigned index)
{
    for (unsigned i = 0; i < index; i++) {
        if (strcmp(domain_field_option(words->options[i].field),
                   domain_field_option(words->options[index].field)) == 0)
            return false;
    }
    return true;
}

int domain_words_apply(const struct domain_words *words, struct domain_config *config, bool replace,
                       struct error *error)
{
    int code = 0;
    for (unsigned i = 0; !code && i < words->option_count; i++) {
        const struct domain_field *field = field_for(words->options[i].field, config->kind);
        char where[64];
        snprintf(where, sizeof where, "--%s", domain_field_option(words->options[i].field));
        if (!field)
            code = error_set(error, -EINVAL, "%s is not for a domain of kind \"%s\"", where, config->kind);
        if (field && replace && field->type == DOMAIN_LIST && is_first(words, i))
            domain_list_clear(domain_field_at(config, field));
        if (field)
            code = domain_config_set(config, field, words->options[i].argument, where, error);
    }
    return code;
}

static const char *document_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

int domain_words_read(const char *path, struct buffer *text, struct error *error)
{
    const char *name = document_name(path);
    uint8_t piece[16384];
    ssize_t size;
    int fd = name != path ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_set(error, -errno, "cannot read %s: %s", name, strerror(errno));
    while ((size = read(fd, piece, sizeof piece)) > 0 && text->size <= DOMAIN_DOCUMENT_MAX)
        buffer_append(text, piece, (size_t)size);
    int code = size < 0       ? error_set(error, -errno, "cannot read %s: %s", name, strerror(errno))
               : text->failed ? error_set(error, -ENOMEM, "cannot read %s: out of memory", name)
                              : 0;
    close(fd);
    return code;
}

int domain_words_load(struct domain_words *words, const char *path, struct error *error)
{
    struct buffer text = {0};
    int code = domain_words_read(path, &text, error);
    if (!code)
        code = words_begin(words, error);
    if (!code)
        code = domain_config_parse(&words->config, (const char *)text.data, text.size, document_name(path),
                                   error);
    words->has_kind = true;
    buffer_free(&text);
    return code;
}

/* -- what is an image ------------------------------------------------------------------------------------ */

/* What files that machines are made of have in them. */
static const struct {
    uint32_t offset;
    const char *bytes;
    uint8_t size;
} marks[] = {
    {510, "\x55\xaa", 2},   /* a boot sector: of a disk with a partition table, of Linux's bzImage */
    {512, "EFI PART", 8},   /* a partition table of another kind */
    {0x438, "\x53\xef", 2}, /* ext2, ext3, ext4 */
    {0, "XFSB", 4},         {0x10040, "_BHRfS_M", 8}, /* btrfs */
    {0x8001, "CD001", 5},                             /* a CD */
    {0, "QFI\xfb", 4},
};

static bool is_image(const char *path)
{
    struct stat status;
    char head[16] = "";
    bool found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) || (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool program = pread(fd, head, 4, 0) == 4 && (!memcmp(head, "\177ELF", 4) || !memcmp(head, "#!", 2));
    for (unsigned i = 0; !program && i < ARRAY_SIZE(marks); i++) {
        ssize_t size = pread(fd, head, marks[i].size, marks[i].offset);
        found |= size == marks[i].size && !memcmp(head, marks[i].bytes, marks[i].size);
    }
    close(fd);
    return found || S_ISBLK(status.st_mode);
}

/* Linux's bzImage, which has the mark of a boot sector too. */
static bool is_kernel(const char *path)
{
    char magic[4] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool is = fd >= 0 && pread(fd, magic, 4, 0x202) == 4 && !memcmp(magic, "HdrS", 4);
    if (fd >= 0)
        close(fd);
    return is;
}

/* -- words ----------------------------------------------------------------------------------------------- */

static const struct domain_field *field_of(const char *section, const char *name)
{
    const struct domain_field *field = domain_fields;
    while (strcmp(field->name, name) != 0 || (field->section && strcmp(field->section, section) != 0))
        field++;
    return field;
}

/* A file's name as --disk has it: commas are doubled. */
static int disk_text(const char *path, char *text, size_t size, struct error *error)
{
    size_t used = 0;
    for (; *path && used + 3 < size; path++) {
        if (*path == ',')
            text[used++] = ',';
        text[used++] = *path;
    }
    text[used] = '\0';
    return *path ? error_set(error, -ENAMETOOLONG, "the image's name is longer than %zu bytes", size) : 0;
}

/* The disk that is named without --disk is the first one, and the one to start from. */
static int add_image(struct domain_config *config, const char *path, struct error *error)
{
    struct domain_list *disks = &config->machine.disks;
    char text[DOMAIN_TEXT_MAX];
    int code = disk_text(path, text, sizeof text, error);
    if (!code)
        code = domain_config_set(config, field_of("machine", "disks"), text, "--disk", error);
    if (code)
        return code;
    char *last = disks->items[disks->count - 1];
    memmove(&disks->items[1], &disks->items[0], (disks->count - 1) * sizeof disks->items[0]);
    disks->items[0] = last;
    return 0;
}

static int finish_machine(struct domain_config *config, int count, char **arguments, struct error *error)
{
    if (count > 1) {
        error_set(error, -EINVAL, "%s: a machine has one image to start from", arguments[1]);
        error_hint(error, "options stand before it; more disks are given by --disk");
        return -EINVAL;
    }
    if (count && is_kernel(arguments[0])) {
        error_set(error, -EINVAL, "%s is a kernel, not a disk", arguments[0]);
        error_hint(error, "visor run --kernel %s", arguments[0]);
        return -EINVAL;
    }
    return count ? add_image(config, arguments[0], error) : 0;
}

static int finish_program(struct domain_config *config, int count, char **arguments, struct error *error)
{
    int code = 0;
    static char *shell[] = {"/bin/sh"};
    const struct domain_field *command = field_of("program", "command");
    if (!count && !config->program.command.count && config->program.root) {
        arguments = shell;
        count = 1;
    }
    if (count) /* in place of what a document says */
        domain_list_clear(&config->program.command);
    for (int i = 0; !code && i < count; i++)
        code = domain_config_set(config, command, arguments[i], "the command", error);
    return code;
}

/* A root tree, or a bundle of the OCI runtime specification. */
static int finish_container(struct domain_config *config, int count, char **arguments, struct error *error)
{
    char path[PATH_MAX];
    if (!count) /* a document has it all */
        return 0;
    snprintf(path, sizeof path, "%s/config.json", arguments[0]);
    const char *which = access(path, F_OK) == 0 ? "bundle" : "root";
    int code = domain_config_set(config, field_of("container", which), arguments[0], which, error);
    const int first = count > 1 && strcmp(arguments[1], "--") == 0 ? 2 : 1; /* it is no program's name */
    if (count > first)
        domain_list_clear(&config->container.command);
    for (int i = first; !code && i < count; i++)
        code =
            domain_config_set(config, field_of("container", "command"), arguments[i], "the command", error);
    return code;
}

/* -- which kind ------------------------------------------------------------------------------------------ */

static const struct {
    const char *name, *plural;
    int (*finish)(struct domain_config *config, int count, char **arguments, struct error *error);
} kinds[] = {
    {"program", "programs", finish_program},
    {"machine", "machines", finish_machine},
    {"container", "containers", finish_container},
};

enum { PROGRAM, MACHINE, CONTAINER, KINDS };

static unsigned kinds_of(const struct domain_field *option)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < KINDS; i++)
        mask |= (field_for(option, kinds[i].name) != NULL) << i;
    return mask;
}

static const char *kinds_text(unsigned mask, char text[64])
{
    text[0] = '\0';
    for (unsigned i = 0; i < KINDS; i++) {
        if (mask & 1u << i) {
            strcat(text, text[0] ? " and " : "");
            strcat(text, kinds[i].plural);
        }
    }
    return text;
}

/* Those that all options are for. -EINVAL: two of them exclude each other. */
static int kinds_allowed(const struct domain_words *words, unsigned *allowed, struct error *error)
{
    char one[64], other[64];
    *allowed = (1u << KINDS) - 1;
    for (unsigned i = 0; i < words->option_count; i++)
        *allowed &= kinds_of(words->options[i].field);
    for (unsigned i = 0; !*allowed && i < words->option_count; i++) {
        for (unsigned j = 0; j < i; j++) {
            const struct domain_field *a = words->options[j].field, *b = words->options[i].field;
            if (kinds_of(a) & kinds_of(b))
                continue;
            error_set(error, -EINVAL, "--%s is for %s, and --%s for %s", domain_field_option(a),
                      kinds_text(kinds_of(a), one), domain_field_option(b), kinds_text(kinds_of(b), other));
            error_hint(error, "give one of them");
            return -EINVAL;
        }
    }
    return *allowed ? 0 : error_set(error, -EINVAL, "no kind of domain has all these options");
}

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* What is in the file that is to be run; a program that is found in PATH comes before. */
static unsigned kind_of_word(const char *word)
{
    char path[PATH_MAX];
    if (!strchr(word, '/') && domain_program_find(word, path))
        return PROGRAM;
    return is_directory(word) ? CONTAINER : is_image(word) ? MACHINE : PROGRAM;
}

/* What is run says of what kind it is; and where it cannot, or there is nothing, options do: a disk need not
 * look like one. */
static int kind_choose(const struct domain_words *words, int count, char **arguments, unsigned *kind,
                       struct error *error)
{
    unsigned allowed;
    int code = kinds_allowed(words, &allowed, error);
    if (code)
        return code;
    *kind = count ? kind_of_word(arguments[0]) : PROGRAM;
    if (*kind == PROGRAM && !(allowed & 1u << PROGRAM))
        *kind = allowed & 1u << MACHINE ? MACHINE : CONTAINER;
    return 0;
}

int domain_words_finish(struct domain_words *words, int count, char **arguments, struct error *error)
{
    struct domain_config *config = &words->config;
    unsigned kind = PROGRAM;
    int code = words_begin(words, error);
    if (!code && !words->has_kind)
        code = kind_choose(words, count, arguments, &kind, error);
    while (!code && words->has_kind && strcmp(kinds[kind].name, config->kind) != 0)
        kind++;
    if (!code)
        code = domain_config_set(config, field_of("", "kind"), kinds[kind].name, "kind", error);
    if (!code)
        code = domain_words_apply(words, config, false, error);
    if (!code)
        code = kinds[kind].finish(config, count, arguments, error);
    free(words->options);
    words->options = NULL;
    words->option_count = 0;
    return code ? code : domain_config_check(config, error);
}

int domain_words_create(struct domain_words *words, const char *name, bool locked, struct domain_store *store,
                        struct domain *domain, struct error *error)
{
    char here[PATH_MAX];
    if (!getcwd(here, sizeof here))
        return error_set(error, -errno, "cannot tell the working directory: %s", strerror(errno));
    int code = domain_config_resolve(&words->config, here, error);
    if (!code)
        code = domain_store_open(store, true, error);
    if (code)
        return code;
    code = domain_nets_look(store, &words->config, error);
    if (!code)
        code = domain_create(domain, store, &words->config, name, locked, error);
    if (code)
        domain_store_close(store);
    return code;
}
