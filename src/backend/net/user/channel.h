/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * channel: what visor and the process of the user network share: the options, and a ring of frames each way.
 *
 * A ring is a megabyte, mapped twice in a row so that a record is never in two pieces. A record is its
 * size (four bytes), a virtio_net_hdr of twelve bytes and the frame, padded to eight bytes. `head` and `tail`
 * count bytes and wrap. Who finds nothing to do says so in a flag, looks again, and sleeps until its eventfd
 * is written by the other, who takes the flag away.
 *
 * Neither side believes what the other writes: sizes are read once and checked.
 */
#ifndef VISOR_BACKEND_NET_USER_CHANNEL_H
#define VISOR_BACKEND_NET_USER_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/net/options.h"

#define CHANNEL_RING   (1u << 20)
#define CHANNEL_RECORD 4u /* before a frame */

/* Where the process finds what it shares. */
enum { CHANNEL_CONTROL_FD = 3, CHANNEL_MEMORY_FD, CHANNEL_WAKE_FD, CHANNEL_WAKE_VISOR_FD, CHANNEL_FD_END };

struct channel_ring {
    _Alignas(64) _Atomic uint32_t head; /* the producer's */
    _Atomic uint32_t consumer_waits;    /* to be woken by more */
    _Alignas(64) _Atomic uint32_t tail; /* the consumer's */
    _Atomic uint32_t producer_waits;    /* to be woken by room */
};

/* The first pages of the memory; the rings' bytes follow at CHANNEL_TO_USER and CHANNEL_TO_VISOR. */
struct channel_shared {
    struct net_options options;
    _Atomic uint32_t guest_offloads; /* enum net_offload: what the guest can receive */
    struct channel_ring to_user, to_visor;
};

#define CHANNEL_TO_USER  8192u
#define CHANNEL_TO_VISOR (CHANNEL_TO_USER + CHANNEL_RING)
#define CHANNEL_SIZE     (CHANNEL_TO_VISOR + CHANNEL_RING)

/* The process's only message: how its start went; with code 0, what is less than it should be. */
struct channel_started {
    int32_t code; /* 0 or a negative errno */
    char message[256], hint[128];
};

/* One side's view of a ring. */
struct channel_end {
    struct channel_ring *ring;
    uint8_t *data;     /* 2 * CHANNEL_RING */
    uint32_t position; /* own copy of head or tail */
    uint32_t told;     /* a producer's position when it last looked whether the consumer must be woken */
};

/* Maps a ring's bytes twice. NULL: no memory. */
uint8_t *channel_map(int fd, uint32_t offset);

/* Producer: room for a record with `size` bytes, header included, or NULL; then its end. False from
 * channel_usable(): the other side has written nonsense. */
bool channel_usable(const struct channel_end *producer);
uint8_t *channel_reserve(struct channel_end *producer, uint32_t size);
void channel_commit(struct channel_end *producer, uint32_t size);
/* Asks to be woken when there is room. True: there is already, for that size. */
bool channel_wait_room(struct channel_end *producer, uint32_t size);
/* Whether the consumer must be woken, for what has been committed since this was asked last. */
bool channel_must_wake(struct channel_end *producer);

enum channel_take { CHANNEL_EMPTY, CHANNEL_FRAME, CHANNEL_BROKEN };

/* Consumer: the next record, which stays until it is released. */
enum channel_take channel_peek(const struct channel_end *consumer, uint8_t **frame, uint32_t *size);
void channel_release(struct channel_end *consumer, uint32_t size);
/* Asks to be woken. True: something has come already. */
bool channel_wait(struct channel_end *consumer);
/* Whether the producer waits for the room that there is now. */
bool channel_must_wake_producer(struct channel_end *consumer);

#endif
