/* SPDX-License-Identifier: GPL-2.0-or-later */
/* binfmt: makes visor the system's interpreter for programs of another CPU. */
#include "cli/binfmt.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"
#include "cli/binfmt_misc.h"
#include "cli/binfmt_probe.h"
#include "cli/command.h"
#include "domain/user_namespace.h"

#define LINE_MAX_SIZE 1920 /* the kernel's limit */

enum option { PERSISTENT, REPLACE, JSON };

static const struct command_option options[] = {
    [PERSISTENT] = {.name = "persistent", .help = "register: at each boot as well"},
    [REPLACE] = {.name = "replace",
                 .help = "register: disable other interpreters; unregister: enable them again"},
    [JSON] = {.name = "json", .help = "status: print JSON"},
    {0},
};

static const char details[] =
    "register      has the kernel start arm64 programs by visor (binfmt_misc), everywhere: from shells,\n"
    "              in chroots and in containers, which need no visor inside. Needs root.\n"
    "status        tells who runs arm64 programs; exit status 0 if it is visor\n"
    "unregister    undoes it\n"
    "run COMMAND   runs a command of this machine and its children in a user namespace in which visor is\n"
    "              registered; needs no rights, and changes nothing outside (Linux 6.7)\n"
    "\n"
    "Examples:\n"
    "  sudo visor binfmt register --persistent\n"
    "  visor binfmt run mmdebstrap --mode=root --architectures=arm64 bookworm ./root\n"
    "  podman unshare visor binfmt register      # for rootless podman, until it stops\n";

struct binfmt_state {
    bool persistent, replace, json;
};

static struct binfmt_state binfmt_state;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct binfmt_state *state = context;
    (void)argument;
    switch ((enum option)index) {
    case PERSISTENT: state->persistent = true; return 0;
    case REPLACE: state->replace = true; return 0;
    case JSON: state->json = true; return 0;
    }
    return error_set(error, -EINVAL, "unknown option");
}

/* -- other interpreters ---------------------------------------------------------------------------------- */

/* Is it another's entry for arm64 programs? */
static bool is_rival(const struct binfmt_entry *entry)
{
    size_t size;
    const uint8_t *head = binfmt_probe_program(&size);
    return strcmp(entry->name, BINFMT_ARM64_ENTRY) != 0 && binfmt_misc_matches(entry, head, size);
}

static int refuse_rival(const struct binfmt_entry *rival, struct error *error)
{
    error_set(error, -EEXIST, "there is an interpreter for arm64 programs already: %s (%s)", rival->name,
              rival->interpreter);
    error_hint(error, "--replace disables it; \"visor binfmt unregister --replace\" enables it again");
    return -EEXIST;
}

/* Disables the others, or enables them again. */
static int switch_rivals(bool enable, bool may, struct error *error)
{
    struct binfmt_entry *entries;
    int count = binfmt_misc_list(&entries, error), code = MIN(count, 0);
    for (int i = 0; i < count && code == 0; i++) {
        const struct binfmt_entry *e = &entries[i];
        if (!is_rival(e) || e->enabled == enable)
            continue;
        if (!may) {
            code = refuse_rival(e, error);
            break;
        }
        code = binfmt_misc_write(e->name, enable ? "1" : "0");
        if (code < 0)
            error_set(error, code, "cannot %s %s: %s", enable ? "enable" : "disable", e->name,
                      strerror(-code));
        else if (enable)
            printf("enabled %s (%s)\n", e->name, e->interpreter);
        else
            printf("disabled %s (%s); to enable it again: echo 1 > " BINFMT_DIRECTORY "/%s\n", e->name,
                   e->interpreter, e->name);
    }
    free(entries);
    return code;
}

/* -- register -------------------------------------------------------------------------------------------- */

static int find_own_file(char path[PATH_MAX], struct error *error)
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (length < 0)
        return error_set(error, -errno, "cannot find visor's own file: /proc/self/exe: %s", strerror(errno));
    path[length] = '\0';
    if (access(path, X_OK) < 0)
        return error_set(error, -errno, "cannot find visor's own file: %s: %s", path, strerror(errno));
    return 0;
}

/* What is written to the kernel's "register". Its fields are separated by what the first character is. */
static int make_line(char line[LINE_MAX_SIZE], const char *interpreter, struct error *error)
{
    char separator = strchr(interpreter, ':') ? '|' : ':';
    if (strchr(interpreter, separator) || strchr(interpreter, '\n'))
        return error_set(error, -EINVAL, "visor's own path cannot be registered: %s", interpreter);
    int length = snprintf(line, LINE_MAX_SIZE, "%c%s%cM%c0%c%s%c%s%c%s%c%s", separator, BINFMT_ARM64_ENTRY,
                          separator, separator, separator, BINFMT_ARM64_MAGIC, separator, BINFMT_ARM64_MASK,
                          separator, interpreter, separator, BINFMT_FLAGS);
    if (length >= LINE_MAX_SIZE)
        return error_set(error, -ENAMETOOLONG, "visor's own path is too long to be registered: %s",
                         interpreter);
    return 0;
}

/* An older entry of visor's own gives way: the kernel keeps the file that was opened for it. */
static int add_entry(const char *line, struct error *error)
{
    int code = binfmt_misc_write(BINFMT_ARM64_ENTRY, "-1");
    if (code == 0 || code == -ENOENT)
        code = binfmt_misc_write("register", line);
    if (code == 0 && !binfmt_misc_is_enabled())
        code = binfmt_misc_write("status", "1");
    if (code < 0)
        return error_set(error, code, "the kernel refuses to register visor: %s", strerror(-code));
    return 0;
}

static int register_visor(const struct binfmt_state *state, struct error *error)
{
    char path[PATH_MAX], line[LINE_MAX_SIZE];
    int code = find_own_file(path, error);
    if (code == 0)
        code = make_line(line, path, error);
    if (code == 0)
        code = binfmt_misc_open(error);
    if (code == 0)
        code = switch_rivals(false, state->replace, error);
    if (code == 0)
        code = add_entry(line, error);
    if (code == 0 && state->persistent)
        code = binfmt_persist(path, line, error);
    return code;
}

static int run_register(const struct binfmt_state *state, struct error *error)
{
    int code = register_visor(state, error);
    if (code < 0)
        return code;
    const char *file = binfmt_persistent_file();
    printf("arm64 programs are now run by %s %s%s%s%s\n", "visor", VISOR_VERSION,
           file ? ", and after each boot (" : "", file ? file : "", file ? ")" : "");
    return 0;
}

/* -- the others ------------------------------------------------------------------------------------------ */

static int run_unregister(const struct binfmt_state *state, struct error *error)
{
    int code = binfmt_forget(error);
    if (code < 0)
        return code;
    code = binfmt_misc_open(error);
    if (code < 0)
        return code;
    code = binfmt_misc_write(BINFMT_ARM64_ENTRY, "-1");
    if (code < 0 && code != -ENOENT)
        return error_set(error, code, "cannot unregister visor: %s", strerror(-code));
    puts(code == 0 ? "visor is no longer the interpreter of arm64 programs" : "visor was not registered");
    return state->replace ? switch_rivals(true, true, error) : 0;
}

/* Does not return if it succeeds. */
static int run_command(char **words, struct error *error)
{
    const struct binfmt_state alone = {.replace = true};
    int code = user_namespace_enter(error);
    if (code < 0)
        return code;
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return error_set(error, -errno, "cannot make mounts private: %s", strerror(errno));
    code = register_visor(&alone, error);
    if (code < 0)
        return code == -ENOENT ? -EINVAL : code;
    execvp(words[0], words);
    return error_set(error, -errno, "cannot run %s: %s", words[0], strerror(errno));
}

static int refuse_words(const char *problem, const char *word)
{
    fprintf(stderr, "visor: binfmt: %s%s\n  hint: visor binfmt register|status|unregister|run COMMAND\n",
            problem, word);
    return STATUS_USAGE;
}

static int run_binfmt(void *context, int count, char **words)
{
    struct binfmt_state *state = context;
    struct error error = ERROR_INIT;
    if (count == 0)
        return refuse_words("say what to do", "");

    const char *action = words[0];
    int status = command_parse_options(&command_binfmt, count, words); /* they may come here as well */
    if (status >= 0)
        return status;
    count -= optind;
    words += optind;
    if (strcmp(action, "run") == 0) {
        if (count == 0)
            return refuse_words("run: name the command to run", "");
        int code = run_command(words, &error);
        error_report(&error);
        return code == -ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
    }
    if (count > 0)
        return refuse_words("unexpected word: ", words[0]);
    if (strcmp(action, "status") == 0)
        return binfmt_status(state->json);
    if (strcmp(action, "register") == 0)
        run_register(state, &error);
    else if (strcmp(action, "unregister") == 0)
        run_unregister(state, &error);
    else
        return refuse_words("there is no action ", action);
    if (error.code == 0)
        return STATUS_OK;
    error_report(&error);
    return STATUS_FAILED;
}

const struct command command_binfmt = {
    .name = "binfmt",
    .arguments = "register|status|unregister|run COMMAND",
    .words = "register status unregister run",
    .summary = "Makes visor the system's interpreter of foreign programs",
    .details = details,
    .options = options,
    .option = set_option,
    .run = run_binfmt,
    .state = &binfmt_state,
};
