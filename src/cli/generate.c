/* SPDX-License-Identifier: GPL-2.0-or-later */
/* generate: what has other programs run domains: units of systemd. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/domain_each.h"
#include "domain/process.h"

/* After `visor stop` has waited as long as the domain may take, it ends it, and needs a moment for that. */
#define STOP_EXTRA 20

static const struct command_option options[] = {{0}};

/* A word of a unit's line: quoted, and with what systemd would replace doubled. */
static void print_word(const char *word)
{
    putchar('"');
    for (; *word; word++) {
        if (*word == '"' || *word == '\\')
            putchar('\\');
        else if (*word == '%' || *word == '$')
            putchar(*word);
        putchar(*word);
    }
    putchar('"');
}

static void print_command(const char *key, const char *visor, const struct domain_store *store,
                          const char *command, const char *id)
{
    printf("%s=", key);
    print_word(visor);
    if (getenv("VISOR_STORE")) {
        printf(" --store ");
        print_word(store->path);
    }
    printf(" %s %s\n", command, id);
}

/* A path in a setting that takes one as it is. */
static void print_path(const char *path)
{
    for (; *path; path++) {
        if (*path == '%')
            putchar('%');
        putchar(*path);
    }
    putchar('\n');
}

static int generate_systemd(const struct domain *domain, struct error *error)
{
    struct domain_config config;
    char visor[PATH_MAX] = "", path[PATH_MAX];
    enum domain_restart policy = RESTART_NO;
    unsigned most;
    if (readlink("/proc/self/exe", visor, sizeof visor - 1) < 0)
        return error_set(error, -errno, "cannot tell visor's own path: %s", strerror(errno));
    int code = domain_read_config(domain, &config, error);
    if (!code && config.remove) {
        code = error_set(error, -EINVAL, "the domain %s is removed at its end", domain->name);
        error_hint(error, "make it without --rm for systemd to start it again");
    }
    if (!code)
        code = domain_restart_parse(config.restart, &policy, &most, error);
    if (!code) {
        printf("# Made by visor %s: visor generate systemd %s\n", VISOR_VERSION, domain->name);
        printf("[Unit]\nDescription=Domain %s\nDocumentation=man:visor(1)\nWants=network-online.target\n"
               "After=network-online.target\n\n[Service]\nType=forking\n",
               domain->name);
        domain_run_path(domain, DOMAIN_PID_FILE, path);
        printf("PIDFile=");
        print_path(path);
        print_command("ExecStart", visor, domain->store, "start", domain->id);
        print_command("ExecStop", visor, domain->store, "stop", domain->id);
        printf("TimeoutStopSec=%u\n", (unsigned)config.stop_timeout + STOP_EXTRA);
        /* The domain's process follows the policy; what is left for systemd is that process's own death. */
        printf("Restart=%s\n\n[Install]\nWantedBy=%s\n", policy == RESTART_NO ? "no" : "on-abnormal",
               geteuid() ? "default.target" : "multi-user.target");
    }
    domain_config_free(&config);
    return code;
}

static int run_generate(void *context, int count, char **words)
{
    struct domain_store store;
    struct domain domain;
    struct error error = ERROR_INIT;
    (void)context;
    if (count != 2 || strcmp(words[0], "systemd") != 0) {
        fprintf(stderr,
                "visor: generate: say what, and for which domain\n  hint: visor generate systemd NAME\n");
        return STATUS_USAGE;
    }
    int status = domain_one_open("generate", &store, &domain, words[1]);
    if (status)
        return status;
    if (generate_systemd(&domain, &error)) {
        error_report(&error);
        status = STATUS_FAILED;
    }
    domain_close(&domain);
    domain_store_close(&store);
    return status;
}

const struct command command_generate = {
    .name = "generate",
    .arguments = "systemd NAME",
    .words = "systemd",
    .domains = true,
    .summary = "Prints a unit by which systemd starts a domain at boot",
    .details =
        "It starts and stops this domain, by its id. Where there is a restart policy, systemd starts it again\n"
        "if its process is killed; all else the domain's own process does.\n"
        "\n"
        "  visor generate systemd web >/etc/systemd/system/web.service\n"
        "  systemctl enable --now web\n"
        "\n"
        "Without root's rights: ~/.config/systemd/user, systemctl --user, loginctl enable-linger.\n",
    .options = options,
    .run = run_generate,
};
