/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper_message: what a domain's process, the keeper, and its caged child say to each other.
 *
 * Two socket pairs of whole messages. By the first the child asks, and waits for the answer: one request,
 * one reply. By the second the keeper orders, a byte each, whenever it likes. The child runs no guest
 * code until CAGED is answered; from then on its requests are a stranger's.
 */
#ifndef VISOR_DOMAIN_KEEPER_MESSAGE_H
#define VISOR_DOMAIN_KEEPER_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/descriptors.h"
#include "cage/cage.h"
#include "domain/kind.h"

#define KEEPER_NAME_SIZE 16

enum keeper_ask {
    KEEPER_PREPARED = 1, /* or not; no reply. Its outputs' descriptors go along */
    KEEPER_CAGED,        /* or not. The reply comes when the guest is to run */
    KEEPER_NEWS,         /* the reply comes when that is written down */
    KEEPER_DIAL,         /* the reply brings a descriptor, or a negative errno (backend/vsock/dial.h) */
    KEEPER_THREAD,       /* the reply's code is what the host knows a thread of the child's by; -ESRCH */
    KEEPER_ENDED,        /* no reply: the child ends */
};

struct keeper_prepared {
    struct error error; /* its code is 0: it is */
    uint32_t vsock_cid;
    struct {
        char name[KEEPER_NAME_SIZE]; /* "": there is none; else its descriptor is the next that came */
        uint32_t is_input;
    } outputs[DOMAIN_OUTPUTS];
};

struct keeper_news {
    uint32_t paused, asked; /* 0 or 1 */
};

struct keeper_request {
    uint32_t ask; /* enum keeper_ask */
    union {
        struct keeper_prepared prepared;
        struct error caged; /* likewise */
        struct keeper_news news;
        uint32_t port;
        int32_t thread;
        struct domain_end end;
    };
};

struct keeper_reply {
    int32_t code;
};

enum keeper_order { KEEPER_STOP = 's', KEEPER_KILL = 'k' };

/* How many bytes a request of this kind has; 0: there is none. */
size_t keeper_request_size(uint32_t ask);
/* Takes what a stranger has sent: false: it is no request that may come while the guest runs. Texts in it end
 * and have no control characters. */
bool keeper_request_check(struct keeper_request *request, size_t size);

#endif
