/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/net/join.h"

#include <stdlib.h>

struct end {
    struct net_client client;
    struct net_backend *backend, *other;
};

struct net_join {
    struct end ends[2];
};

static bool end_receive(void *opaque, const struct iovec *iov, unsigned count, size_t size)
{
    struct net_backend *other = ((struct end *)opaque)->other;
    const bool taken = other->ops->send(other, iov, count, size);
    if (other->ops->flush)
        other->ops->flush(other);
    return taken;
}

static void end_send_ready(void *opaque)
{
    struct net_backend *other = ((struct end *)opaque)->other;
    other->ops->receive_ready(other);
}

struct net_join *net_join_new(struct net_backend *one, struct net_backend *other)
{
    struct net_join *join = calloc(1, sizeof *join);
    if (!join)
        return NULL;
    join->ends[0] = (struct end){.backend = one, .other = other};
    join->ends[1] = (struct end){.backend = other, .other = one};
    for (unsigned i = 0; i < 2; i++) {
        struct end *end = &join->ends[i];
        end->client =
            (struct net_client){.receive = end_receive, .send_ready = end_send_ready, .opaque = end};
        end->backend->client = &end->client;
        end->backend->ops->set_offloads(end->backend, end->other->offloads);
    }
    one->ops->receive_ready(one); /* what came when there was nobody */
    other->ops->receive_ready(other);
    return join;
}

void net_join_free(struct net_join *join)
{
    if (!join)
        return;
    for (unsigned i = 0; i < 2; i++)
        join->ends[i].backend->ops->close(join->ends[i].backend);
    free(join);
}
