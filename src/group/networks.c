/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "group/networks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network/network.h"

static int open_all(const struct group_work *work, bool make, struct networks *networks, struct error *error)
{
    return networks_open(networks, work->store->path, work->store->run_path, make, error);
}

static void tell(const struct group_work *work, const char *name, const char *what)
{
    char text[NETWORK_NAME_MAX + 16];
    snprintf(text, sizeof text, "network %s", name);
    work->told(text, what);
}

static const char *label_of(const struct network *network, const char *name)
{
    const char *value = json_string_value(json_object_get(network->labels, name));
    return value ? value : "";
}

/* -- making ---------------------------------------------------------------------------------------------- */

static int create(const struct group_work *work, struct networks *networks, const struct group_network *own,
                  struct error *error)
{
    const char *subnet = json_string_value(json_object_get(own->options, "subnet"));
    const json_t *labels = json_object_get(own->options, "labels");
    struct network network = {.internal = json_is_true(json_object_get(own->options, "internal")),
                              .labels = labels ? json_deep_copy(labels) : json_object()};
    snprintf(network.name, sizeof network.name, "%s", own->full_name);
    int code = subnet ? network_subnet_parse(&network.subnet, subnet, error) : 0;
    if (!code && (json_object_set_new(network.labels, GROUP_LABEL, json_string(work->group->name)) ||
                  json_object_set_new(network.labels, GROUP_LABEL_HASH, json_string(own->hash))))
        code = error_set(error, -ENOMEM, "out of memory");
    if (!code)
        code = network_create(networks, &network, error);
    network_release(&network);
    if (!code)
        tell(work, own->full_name, "created");
    return code;
}

/* One that is there: 0, it is as the file says; -ENOENT, it is no more, since the file says something else.
 */
static int look_at(const struct group_work *work, struct networks *networks, const struct group_network *own,
                   const struct network *network, struct error *error)
{
    if (strcmp(label_of(network, GROUP_LABEL), work->group->name) != 0)
        return error_set(error, -EEXIST, "there is a network \"%s\" already, which is not the group's",
                         own->full_name);
    if (strcmp(label_of(network, GROUP_LABEL_HASH), own->hash) == 0)
        return 0;
    int code = network_remove(networks, own->full_name, error);
    if (code == -EBUSY) {
        error_prefix(error, "the file says something else of the network than when it was made: ");
        error_hint(error, "visor down, and visor up again");
    }
    if (!code)
        tell(work, own->full_name, "removed");
    return code ? code : -ENOENT;
}

static int make_one(const struct group_work *work, struct networks *networks, const struct group_network *own,
                    bool *made, struct error *error)
{
    struct network network;
    int code = network_read(networks, own->full_name, &network, error);
    if (!own->external) {
        if (!code)
            code = look_at(work, networks, own, &network, error);
        if (code == -ENOENT) {
            *error = (struct error)ERROR_INIT;
            code = create(work, networks, own, error);
            *made = !code;
        }
    }
    network_release(&network);
    if (code)
        error_prefix(error, "network %s: ", own->name);
    return code;
}

int group_networks_make(const struct group_work *work, bool made[GROUP_NETWORKS_MAX], struct error *error)
{
    const struct group *group = work->group;
    struct networks networks;
    memset(made, 0, GROUP_NETWORKS_MAX * sizeof *made);
    if (!group->network_count)
        return 0;
    int code = open_all(work, true, &networks, error);
    for (unsigned i = 0; !code && i < group->network_count; i++)
        code = make_one(work, &networks, &group->networks[i], &made[i], error);
    networks_close(&networks);
    return code;
}

/* -- removing -------------------------------------------------------------------------------------------- */

static int remove_one(const struct group_work *work, struct networks *networks, const char *name,
                      struct error *error)
{
    int code = network_remove(networks, name, error);
    if (!code)
        tell(work, name, "removed");
    return code == -ENOENT ? 0 : code;
}

void group_networks_unmake(const struct group_work *work, const bool made[GROUP_NETWORKS_MAX])
{
    struct networks networks;
    int code = open_all(work, false, &networks, NULL);
    for (unsigned i = 0; !code && i < work->group->network_count; i++) {
        if (made[i])
            remove_one(work, &networks, work->group->networks[i].full_name, NULL);
    }
    networks_close(&networks);
}

int group_networks_remove(const struct group_work *work, struct error *error)
{
    struct networks networks;
    char **names = NULL;
    int code = open_all(work, false, &networks, error);
    if (!code)
        code = networks_list(&networks, &names, error);
    for (unsigned i = 0; names && names[i]; i++) {
        struct network network;
        if (!code && !network_read(&networks, names[i], &network, NULL)) {
            if (strcmp(label_of(&network, GROUP_LABEL), work->group->name) == 0)
                code = remove_one(work, &networks, names[i], error);
            network_release(&network);
        }
        free(names[i]);
    }
    free(names);
    networks_close(&networks);
    return code;
}
