/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frames: offloads for a network that has none.
 *
 * libslirp takes and gives frames whose checksums are complete. It takes segments of 64 KiB as they are, so
 * that a guest's large ones need only their checksum. Those it gives are as large as its own MTU is said to
 * be, and the MSS in the guest's SYN, which is therefore changed to say more. The true one is remembered: the
 * frame goes to the guest as one to be segmented, or in segments if the guest does not take that.
 */
#ifndef VISOR_BACKEND_NET_USER_FRAMES_H
#define VISOR_BACKEND_NET_USER_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAMES_CONNECTIONS 4096
#define FRAMES_MTU         1500u /* the guest's */
#define FRAMES_ETHERNET    14u

/* Where frames for the guest are put. */
struct frames_output {
    /* Room for a virtio_net_hdr and a frame of `size` bytes in all, or NULL: it is lost. */
    uint8_t *(*reserve)(void *opaque, uint32_t size);
    void (*commit)(void *opaque, uint32_t size);
    void *opaque;
};

struct frames {
    uint32_t offloads;  /* enum net_offload: what the guest can receive */
    uint16_t large_mss; /* what it is made to say */
    struct frames_output output;
    struct {
        uint32_t tag;
        uint16_t mss;
    } connections[FRAMES_CONNECTIONS];
};

/* From the guest: `record` is a header and a frame, and is changed. False: it is to be dropped. */
bool frames_from_guest(struct frames *frames, uint8_t *record, size_t size);
/* To the guest: a frame without header, of any size. */
void frames_to_guest(struct frames *frames, const uint8_t *frame, size_t size);

/* The sum of RFC 1071, not inverted. */
uint16_t frames_sum(const uint8_t *data, size_t size, uint64_t sum);

#endif
