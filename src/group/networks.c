/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "group/networks.h"

#include <errno.h>

#include "group/private.h"

int group_read_networks(struct group_reading *reading, const struct document_value *networks,
                        struct error *error)
{
    if (networks->type == DOCUMENT_MAP && !networks->count)
        return 0;
    error_set(error, -EOPNOTSUPP, "networks: this visor cannot make networks between domains yet");
    error_hint(error, "nets: [user] gives each domain a network of its own");
    return group_at(reading, networks->line, networks->column, error);
}

int group_networks_make(const struct group *group, struct error *error)
{
    (void)error;
    return group->network_count ? -EOPNOTSUPP : 0;
}

int group_networks_remove(const struct group *group, struct error *error)
{
    (void)error;
    return group->network_count ? -EOPNOTSUPP : 0;
}
