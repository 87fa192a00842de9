/* SPDX-License-Identifier: GPL-2.0-or-later */
/* binfmt status: prints who runs arm64 programs here, and what the kernel's table says. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/binfmt.h"
#include "cli/binfmt_misc.h"
#include "cli/binfmt_probe.h"
#include "cli/command.h"

struct report {
    bool mounted, enabled;
    struct binfmt_entry *entries; /* of arm64 only */
    int count;
    struct binfmt_probe probe;
    const char *persistent;
};

static int gather(struct report *report, struct error *error)
{
    size_t size;
    const uint8_t *head = binfmt_probe_program(&size);

    report->mounted = binfmt_misc_is_mounted();
    report->enabled = report->mounted && binfmt_misc_is_enabled();
    report->persistent = binfmt_persistent_file();
    int all = binfmt_misc_list(&report->entries, error);
    for (int i = 0; i < all; i++) {
        if (binfmt_misc_matches(&report->entries[i], head, size))
            report->entries[report->count++] = report->entries[i];
    }
    return all < 0 ? all : binfmt_probe(&report->probe, error);
}

static void print_json(const struct report *report)
{
    const struct binfmt_probe *p = &report->probe;
    json_t *entries = json_array();
    for (int i = 0; i < report->count; i++) {
        const struct binfmt_entry *e = &report->entries[i];
        json_array_append_new(entries, json_pack("{s:s, s:b, s:s, s:s, s:b}", "name", e->name, "enabled",
                                                 e->enabled, "flags", e->flags, "interpreter", e->interpreter,
                                                 "own", strcmp(e->name, BINFMT_ARM64_ENTRY) == 0));
    }
    json_t *guest =
        json_pack("{s:b, s:b, s:b, s:s?, s:s?, s:s?, s:o}", "runs", p->runs, "visor", p->visor, "current",
                  p->current, "interpreter", p->path[0] ? p->path : NULL, "version",
                  p->visor ? p->version : NULL, "persistent", report->persistent, "entries", entries);
    json_t *object = json_pack("{s:b, s:b, s:{s:o}}", "mounted", report->mounted, "enabled", report->enabled,
                               "guests", "arm64", guest);
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
}

static void print_verdict(const struct report *report)
{
    const struct binfmt_probe *p = &report->probe;
    if (!p->runs)
        printf("arm64 programs are not run by this system%s\n",
               report->count && !report->enabled ? " (all of binfmt_misc is disabled)" : "");
    else if (p->current)
        printf("arm64 programs are run by this visor, %s\n", p->version);
    else if (p->visor)
        printf("arm64 programs are run by another visor: %s, version %s\n"
               "  hint: \"visor binfmt register\" registers this one in its place\n",
               p->path, p->version);
    else
        printf("arm64 programs are run by %s, not by visor\n"
               "  hint: \"visor binfmt register --replace\" puts visor in its place\n",
               p->path[0] ? p->path : "an interpreter");
    if (report->persistent)
        printf("at boot visor is registered by %s\n", report->persistent);
}

static void print_table(const struct report *report)
{
    if (!report->mounted)
        printf("%s is not mounted here: no interpreters to be seen\n", BINFMT_DIRECTORY);
    if (report->count)
        printf("%-7s %-20s %-9s %-6s %s\n", "GUEST", "ENTRY", "STATE", "FLAGS", "INTERPRETER");
    for (int i = 0; i < report->count; i++) {
        const struct binfmt_entry *e = &report->entries[i];
        printf("%-7s %-20s %-9s %-6s %s\n", "arm64", e->name, e->enabled ? "enabled" : "disabled",
               e->flags[0] ? e->flags : "-", e->interpreter);
    }
    print_verdict(report);
}

int binfmt_status(bool as_json)
{
    struct report report = {0};
    struct error error = ERROR_INIT;
    if (gather(&report, &error) < 0) {
        free(report.entries);
        error_report(&error);
        return STATUS_FAILED;
    }
    if (as_json)
        print_json(&report);
    else
        print_table(&report);
    bool visor = report.probe.runs && report.probe.visor;
    free(report.entries);
    return visor ? STATUS_OK : STATUS_FAILED;
}
