/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/domain_view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "domain/control.h"
#include "domain/log.h"
#include "domain/nets.h"
#include "domain/process.h"

int domain_view_read(struct domain_view *view, struct domain *domain, struct error *error)
{
    *view = (struct domain_view){0};
    int code = domain_look(domain, &view->state, error);
    if (code)
        return code;
    memcpy(view->id, domain->id, sizeof view->id);
    memcpy(view->name, domain->name, sizeof view->name);
    code = domain_read_config(domain, &view->config, error);
    view->damaged = code != 0;
    return code == -ENOENT ? code : 0;
}

void domain_view_free(struct domain_view *view)
{
    domain_config_free(&view->config);
}

/* -- for people ------------------------------------------------------------------------------------------ */

/* A time that has passed, in its largest unit. */
static void duration_print(int64_t nanoseconds, char *text, size_t size)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{604800, "week"}, {86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    int64_t seconds = MAX(nanoseconds / 1000000000, 0);
    unsigned i = 0;
    while (i < ARRAY_SIZE(units) - 1 && seconds < 2 * units[i].seconds)
        i++;
    int64_t count = seconds / units[i].seconds;
    snprintf(text, size, "%lld %s%s", (long long)count, units[i].name, count == 1 ? "" : "s");
}

static void status_print(const struct domain_view *view, char *text, size_t size)
{
    const struct domain_state *state = &view->state;
    char since[48];
    duration_print(state_time_now() - (state->status == DOMAIN_EXITED ? state->finished : state->started),
                   since, sizeof since);
    switch (state->status) {
    case DOMAIN_CREATED: snprintf(text, size, "Created"); break;
    case DOMAIN_RUNNING: snprintf(text, size, "Up %s", since); break;
    case DOMAIN_PAUSED: snprintf(text, size, "Up %s (paused)", since); break;
    case DOMAIN_RESTARTING: snprintf(text, size, "Restarting (%u)", state->restarts); break;
    case DOMAIN_EXITED:
        snprintf(text, size, "Exited (%d, %s) %s ago", state->end.status, state->end.reason, since);
    }
}

const char *const domain_view_fields[] = {"ID",    "Name",   "Kind", "Image",    "Created",
                                          "State", "Status", "Pid",  "Restarts", NULL};

const char *domain_view_text(const struct domain_view *view, const char *field, char *text, size_t size)
{
    text[0] = '\0';
    if (!strcmp(field, "ID")) {
        snprintf(text, size, "%s", view->id);
    } else if (!strcmp(field, "Name")) {
        snprintf(text, size, "%s", view->name[0] ? view->name : view->id);
    } else if (!strcmp(field, "Kind")) {
        snprintf(text, size, "%s", view->damaged ? "?" : view->config.kind);
    } else if (!strcmp(field, "Image")) {
        if (!view->damaged)
            domain_kind_of(&view->config)->summary(&view->config, text, size);
    } else if (!strcmp(field, "Created")) {
        duration_print(state_time_now() - view->state.created, text, size);
        strncat(text, " ago", size - strlen(text) - 1);
    } else if (!strcmp(field, "State")) {
        snprintf(text, size, "%s", domain_phase_text(view->state.status));
    } else if (!strcmp(field, "Status")) {
        status_print(view, text, size);
    } else if (!strcmp(field, "Pid")) {
        snprintf(text, size, "%d", domain_state_lives(&view->state) ? (int)view->state.process.pid : 0);
    } else if (!strcmp(field, "Restarts")) {
        snprintf(text, size, "%u", view->state.restarts);
    } else {
        return NULL;
    }
    return text;
}

/* -- for programs ---------------------------------------------------------------------------------------- */

static int set_path(json_t *to, const char *name, const char *path)
{
    return json_object_set_new(to, name, json_string(path));
}

json_t *domain_view_json(const struct domain_view *view, const struct domain *domain)
{
    json_t *object = json_pack("{s:s, s:s}", "id", view->id, "name", view->name);
    int failed = !object || json_object_set_new(object, "state", domain_state_json(&view->state));
    if (!failed && !view->damaged)
        failed |= json_object_set_new(object, "config", domain_config_json(&view->config));
    if (!failed && domain) {
        char path[PATH_MAX];
        json_t *paths = json_object();
        domain_path(domain, DOMAIN_LOG_FILE, path);
        failed |= set_path(paths, "log", path);
        domain_run_path(domain, DOMAIN_CONTROL_FILE, path);
        failed |= set_path(paths, "control", path);
        domain_run_path(domain, DOMAIN_CONSOLE_FILE, path);
        failed |= set_path(paths, "console", path);
        domain_run_path(domain, DOMAIN_PID_FILE, path);
        failed |= set_path(paths, "pid", path);
        failed |= json_object_set_new(object, "paths", paths);
        if (!view->damaged)
            failed |= json_object_set_new(object, "networks", domain_nets_json(domain, &view->config));
    }
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}
