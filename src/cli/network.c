/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network: makes, lists, shows and removes networks of domains. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "cli/command.h"
#include "cli/table.h"
#include "domain/state.h"
#include "domain/store.h"
#include "network/network.h"

#define WORDS_MAX 256

enum { SUBNET, INTERNAL, LABEL, JSON, QUIET };

static const struct command_option options[] = {
    [SUBNET] = {.name = "subnet",
                .argument = "CIDR",
                .help = "create: its addresses, such as 10.1.2.0/24; else free ones are found"},
    [INTERNAL] = {.name = "internal", .help = "create: its domains reach only each other"},
    [LABEL] = {.name = "label",
               .argument = "K=V",
               .letter = 'l',
               .help = "create: something to know it by (may be repeated)"},
    [JSON] = {.name = "json", .help = "ls: print JSON"},
    [QUIET] = {.name = "quiet", .letter = 'q', .help = "ls: only the names"},
    {0},
};

static const char details[] =
    "create [--subnet CIDR] [--internal] [--label K=V] NAME   makes a network\n"
    "ls [--json|-q]                                           lists them\n"
    "inspect NAME…                                            shows them, and who is attached, as JSON\n"
    "rm NAME…                                                 removes them; nobody is attached\n"
    "\n"
    "Domains with --net NAME[,ip=ADDRESS][,mac=MAC][,alias=NAME] reach each other by their names, and the\n"
    "outside by the host's address. That takes root; making a network takes no rights.\n"
    "\n"
    "Examples:\n"
    "  visor network create back\n"
    "  visor run -d --name db --net back /srv/db-root /usr/bin/db\n"
    "  visor run --net back /srv/web-root ping db\n";

static struct network_state {
    bool has_subnet, internal, json, quiet;
    struct network_subnet subnet;
    json_t *labels;
} network_state;

/* -- options --------------------------------------------------------------------------------------------- */

static int add_label(struct network_state *state, const char *text, struct error *error)
{
    const char *equals = strchr(text, '=');
    char name[128];
    if (!equals || equals == text || equals - text >= (ptrdiff_t)sizeof name)
        return error_set(error, -EINVAL, "--label \"%.80s\" is not NAME=VALUE", text);
    snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
    if (!state->labels)
        state->labels = json_object();
    if (json_object_set_new(state->labels, name, json_string(equals + 1)))
        return error_set(error, -EINVAL, "--label \"%.80s\" is not UTF-8", text);
    return 0;
}

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct network_state *state = context;
    switch (index) {
    case SUBNET: state->has_subnet = true; return network_subnet_parse(&state->subnet, argument, error);
    case INTERNAL: state->internal = true; return 0;
    case LABEL: return add_label(state, argument, error);
    case JSON: state->json = true; return 0;
    default: state->quiet = true; return 0;
    }
}

/* -- what is shown --------------------------------------------------------------------------------------- */

static const char *address_text(struct in_addr address, char text[INET_ADDRSTRLEN])
{
    return inet_ntop(AF_INET, &address, text, INET_ADDRSTRLEN);
}

static const char *subnet_text(const struct network_subnet *subnet, char text[INET_ADDRSTRLEN + 4])
{
    address_text(subnet->address, text);
    snprintf(text + strlen(text), 4, "/%u", subnet->prefix % 100);
    return text;
}

static json_t *network_json(const struct network *network, const struct lease_list *list)
{
    char subnet[INET_ADDRSTRLEN + 4], gateway[INET_ADDRSTRLEN], created[STATE_TIME_SIZE];
    json_t *domains = json_array();
    for (unsigned i = 0; i < list->count; i++)
        json_array_append_new(domains, lease_describe(&list->leases[i]));
    return json_pack("{s:s, s:s, s:s, s:b, s:O, s:s, s:s, s:b, s:o}", "name", network->name, "subnet",
                     subnet_text(&network->subnet, subnet), "gateway",
                     address_text(network->subnet.gateway, gateway), "internal", (int)network->internal,
                     "labels", network->labels, "created", state_time_print(network->created, created),
                     "bridge", network->bridge, "up", (int)(list->count > 0), "domains", domains);
}

static int json_print(json_t *document)
{
    int failed = !document || json_dumpf(document, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(document);
    return failed ? STATUS_FAILED : STATUS_OK;
}

/* -- commands -------------------------------------------------------------------------------------------- */

static int create(struct networks *networks, const struct network_state *state, const char *name,
                  struct error *error)
{
    struct network network = {.subnet = state->subnet, .internal = state->internal};
    int code = network_name_check(name, error);
    if (code)
        return code;
    strcpy(network.name, name);
    network.labels = state->labels ? json_incref(state->labels) : json_object();
    code = network_create(networks, &network, error);
    network_release(&network);
    if (!code)
        printf("%s\n", name);
    return code;
}

static void free_names(char **names)
{
    for (unsigned i = 0; names[i]; i++)
        free(names[i]);
    free(names);
}

static int list_one(struct networks *networks, const char *name, const struct network_state *state,
                    struct table *table, json_t *array, struct error *error)
{
    struct network network;
    struct lease_list list = {0};
    char text[INET_ADDRSTRLEN + 4];
    int code = network_read(networks, name, &network, error);
    if (!code)
        code = network_leases(networks, name, &list, error);
    if (!code && state->json) {
        code = json_array_append_new(array, network_json(&network, &list)) ? -ENOMEM : 0;
    } else if (!code) {
        table_add(table, name);
        table_add(table, subnet_text(&network.subnet, text));
        snprintf(text, sizeof text, "%u", list.count);
        table_add(table, text);
        table_add(table, network.internal ? "yes" : "no");
    }
    lease_list_free(&list);
    network_release(&network);
    return code;
}

static int list(struct networks *networks, const struct network_state *state, struct error *error)
{
    struct table table = {.columns = 4};
    char **names;
    json_t *array = json_array();
    int code = networks_list(networks, &names, error), status = STATUS_OK;
    static const char *const heads[] = {"NAME", "SUBNET", "DOMAINS", "INTERNAL"};
    const bool tabular = !state->json && !state->quiet;
    for (unsigned i = 0; !code && tabular && i < ARRAY_SIZE(heads); i++)
        table_add(&table, heads[i]);
    for (unsigned i = 0; !code && names[i]; i++) {
        struct error one = ERROR_INIT;
        if (state->quiet)
            printf("%s\n", names[i]);
        else if (list_one(networks, names[i], state, &table, array, &one) && one.code != -ENOENT) {
            error_report(&one);
            status = STATUS_FAILED;
        }
    }
    if (!code)
        free_names(names);
    if (!code && state->json)
        status = json_print(json_incref(array)) ? STATUS_FAILED : status;
    else if (!code && tabular)
        table_print(&table);
    json_decref(array);
    return code ? code : status;
}

static int inspect(struct networks *networks, const char *const *names, int count)
{
    json_t *array = json_array();
    int status = STATUS_OK;
    for (int i = 0; i < count; i++) {
        struct error error = ERROR_INIT;
        struct network network;
        struct lease_list list = {0};
        int code = network_read(networks, names[i], &network, &error);
        if (!code)
            code = network_leases(networks, names[i], &list, &error);
        if (!code)
            json_array_append_new(array, network_json(&network, &list));
        else {
            error_report(&error);
            status = STATUS_FAILED;
        }
        lease_list_free(&list);
        network_release(&network);
    }
    return json_print(array) ? STATUS_FAILED : status;
}

static int remove_all(struct networks *networks, const char *const *names, int count)
{
    int status = STATUS_OK;
    for (int i = 0; i < count; i++) {
        struct error error = ERROR_INIT;
        if (network_remove(networks, names[i], &error)) {
            error_report(&error);
            status = STATUS_FAILED;
        } else {
            printf("%s\n", names[i]);
        }
    }
    return status;
}

/* -- words ----------------------------------------------------------------------------------------------- */

static int usage_error(const char *message)
{
    fprintf(stderr, "visor: network: %s\n  hint: \"visor help network\" shows how\n", message);
    return STATUS_USAGE;
}

enum action { CREATE, LIST, INSPECT, REMOVE, ACTIONS };

static const struct {
    const char *word;
    int least, most; /* names */
} actions[ACTIONS] = {
    [CREATE] = {"create", 1, 1},
    [LIST] = {"ls", 0, 0},
    [INSPECT] = {"inspect", 1, WORDS_MAX},
    [REMOVE] = {"rm", 1, WORDS_MAX},
};

static int act(enum action action, struct network_state *state, const char *const *names, int count)
{
    struct domain_store store;
    struct networks networks;
    struct error error = ERROR_INIT;
    const bool make = action == CREATE;
    int code = domain_store_open(&store, make, &error), status = STATUS_OK;
    if (!code) {
        code = networks_open(&networks, store.path, store.run_path, make, &error);
        if (!code) {
            switch (action) {
            case CREATE: code = create(&networks, state, names[0], &error); break;
            case LIST: status = list(&networks, state, &error); break;
            case INSPECT: status = inspect(&networks, names, count); break;
            default: status = remove_all(&networks, names, count); break;
            }
            networks_close(&networks);
        }
        domain_store_close(&store);
    }
    code = status < 0 ? status : code;
    if (!code)
        return status;
    error_report(&error);
    return code == -EINVAL ? STATUS_USAGE : STATUS_FAILED;
}

static int run_network(void *context, int count, char **words)
{
    struct network_state *state = context;
    const char *names[WORDS_MAX];
    unsigned action = 0;
    int number;
    while (count && action < ACTIONS && strcmp(words[0], actions[action].word) != 0)
        action++;
    if (!count || action == ACTIONS)
        return usage_error(count ? "there are only create, ls, inspect and rm"
                                 : "say what to do: create, ls, inspect or rm");
    int status = command_parse_words(&command_network, count, words, names, actions[action].most, &number);
    if (status >= 0)
        return status;
    if (number < actions[action].least)
        return usage_error("name the network");
    if (action != CREATE && (state->has_subnet || state->internal || state->labels))
        return usage_error("--subnet, --internal and --label are for create");
    if (action != LIST && (state->json || state->quiet))
        return usage_error("--json and --quiet are for ls");
    status = act((enum action)action, state, names, number);
    json_decref(state->labels);
    return status;
}

const struct command command_network = {
    .name = "network",
    .arguments = "create|ls|inspect|rm [NAME…]",
    .words = "create ls inspect rm",
    .lists = "network ls --quiet",
    .summary = "Makes, lists and removes networks of domains",
    .details = details,
    .options = options,
    .option = set_option,
    .run = run_network,
    .state = &network_state,
};
