/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_guest: a guest for network backends, of a size for tests: ARP, DHCP's first answer, and one TCP
 * connection over a medium that loses nothing.
 */
#ifndef VISOR_TESTS_NET_GUEST_H
#define VISOR_TESTS_NET_GUEST_H

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "backend/net/options.h"
#include "backend/net/user/frames.h"
#include "base/macros.h"

#define GUEST_IP    0x0a00020f
#define GATEWAY_IP  0x0a000202
#define GUEST_MSS   1460
#define GUEST_LARGE 61440 /* with offloads: a segment's data */

enum { TCP_FIN_FLAG = 1, TCP_SYN_FLAG = 2, TCP_RST_FLAG = 4, TCP_PSH_FLAG = 8, TCP_ACK_FLAG = 16 };

struct guest {
    struct net_backend *net;
    struct net_client client;
    struct loop *loop;
    unsigned offloads; /* that it uses */
    uint8_t mac[6], gateway_mac[6];
    uint32_t leased; /* by DHCP */
    bool arp_answered;

    /* TCP, host's byte order. */
    uint32_t peer;
    uint16_t port, peer_port, peer_mss;
    bool listening, established, fin_received, fin_sent, reset;
    uint32_t send_una, send_next, receive_next, window;
    uint64_t to_send, sent, received; /* bytes of the stream */
    unsigned largest;                 /* segment received */
    unsigned frames_sent, frames_received;
    bool blocked, bad; /* the data received are not the stream's, or a checksum is wrong */
    bool stalled;      /* takes no frames */
    unsigned link_changes;
    /* After each event. */
    void (*event)(struct guest *guest);
    uint8_t memory[NET_FRAME_MAX];
};

static inline uint8_t stream_byte(uint64_t at)
{
    return (uint8_t)(at * 7 + (at >> 9));
}

static inline void stream_fill(uint8_t *data, uint64_t at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        data[i] = stream_byte(at + i);
}

static inline bool stream_check(const uint8_t *data, uint64_t at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] != stream_byte(at + i))
            return false;
    return true;
}

static inline void guest_put(uint8_t *p, uint64_t value, unsigned bytes)
{
    while (bytes--)
        *p++ = (uint8_t)(value >> (8 * bytes));
}

static inline uint32_t guest_get(const uint8_t *p, unsigned bytes)
{
    uint32_t value = 0;
    while (bytes--)
        value = value << 8 | *p++;
    return value;
}

/* Frames: record[0..11] is the header, the rest the frame. */

static inline bool guest_transmit(struct guest *guest, uint8_t *record, size_t size)
{
    struct iovec iov[2] = {{record, NET_HEADER_SIZE}, {record + NET_HEADER_SIZE, size}};
    if (!guest->net->ops->send(guest->net, iov, 2, NET_HEADER_SIZE + size)) {
        guest->blocked = true;
        return false;
    }
    guest->frames_sent++;
    return true;
}

static inline void guest_flush(struct guest *guest)
{
    if (guest->net->ops->flush)
        guest->net->ops->flush(guest->net);
}

static inline uint8_t *guest_ethernet(struct guest *guest, uint8_t *record, unsigned type)
{
    uint8_t *frame = record + NET_HEADER_SIZE;
    memset(record, 0, NET_HEADER_SIZE);
    memcpy(frame, guest->gateway_mac, 6);
    memcpy(frame + 6, guest->mac, 6);
    guest_put(frame + 12, type, 2);
    return frame + 14;
}

/* `payload` bytes follow the IP header. */
static inline uint8_t *guest_ip(struct guest *guest, uint8_t *record, uint32_t to, unsigned protocol,
                                size_t payload)
{
    uint8_t *ip = guest_ethernet(guest, record, 0x0800);
    memset(ip, 0, 20);
    ip[0] = 0x45;
    guest_put(ip + 2, 20 + payload, 2);
    ip[8] = 64;
    ip[9] = (uint8_t)protocol;
    guest_put(ip + 12, to == UINT32_MAX ? 0 : GUEST_IP, 4);
    guest_put(ip + 16, to, 4);
    guest_put(ip + 10, (uint16_t)~frames_sum(ip, 20, 0), 2);
    return ip + 20;
}

static inline void guest_arp(struct guest *guest, unsigned operation, uint32_t target,
                             const uint8_t *target_mac)
{
    uint8_t record[NET_HEADER_SIZE + 42];
    uint8_t *arp = guest_ethernet(guest, record, 0x0806);
    memcpy(arp, "\0\1\x08\0\6\4", 6);
    guest_put(arp + 6, operation, 2);
    memcpy(arp + 8, guest->mac, 6);
    guest_put(arp + 14, GUEST_IP, 4);
    memcpy(arp + 18, target_mac, 6);
    guest_put(arp + 24, target, 4);
    guest_transmit(guest, record, 42);
    guest_flush(guest);
}

static inline void guest_dhcp_discover(struct guest *guest)
{
    uint8_t record[NET_HEADER_SIZE + 14 + 20 + 8 + 300];
    uint8_t *udp = guest_ip(guest, record, UINT32_MAX, 17, 308), *bootp = udp + 8;
    memset(udp, 0, 308);
    memset(record + NET_HEADER_SIZE, 0xff, 6);
    guest_put(udp, 68, 2);
    guest_put(udp + 2, 67, 2);
    guest_put(udp + 4, 308, 2);
    memcpy(bootp, "\1\1\6\0\x12\x34\x56\x78", 8);
    memcpy(bootp + 28, guest->mac, 6);
    memcpy(bootp + 236, "\x63\x82\x53\x63\x35\1\1\xff", 8);
    guest_transmit(guest, record, 14 + 20 + 308);
    guest_flush(guest);
}

/* TCP. */

static inline uint16_t guest_pseudo_sum(const uint8_t *ip, size_t size)
{
    return frames_sum(ip + 12, 8, 6 + size);
}

static inline bool guest_segment(struct guest *guest, unsigned flags, size_t size)
{
    uint8_t *record = guest->memory;
    const unsigned header = flags & TCP_SYN_FLAG ? 24 : 20;
    uint8_t *tcp = guest_ip(guest, record, guest->peer, 6, header + size);
    memset(tcp, 0, header);
    guest_put(tcp, guest->port, 2);
    guest_put(tcp + 2, guest->peer_port, 2);
    guest_put(tcp + 4, guest->send_next, 4);
    guest_put(tcp + 8, guest->receive_next, 4);
    tcp[12] = (uint8_t)(header / 4 << 4);
    tcp[13] = (uint8_t)flags;
    guest_put(tcp + 14, 65535, 2);
    if (flags & TCP_SYN_FLAG)
        guest_put(tcp + 20, 0x02040000 | GUEST_MSS, 4);
    stream_fill(tcp + header, guest->sent, size);
    if (guest->offloads & NET_OFFLOAD_CHECKSUM) {
        guest_put(tcp + 16, guest_pseudo_sum(tcp - 20, header + size), 2);
        record[0] = 1; /* little endian from here on */
        record[6] = 34;
        record[8] = 16;
        if (size > GUEST_MSS) {
            record[1] = 1;
            record[2] = 54;
            record[4] = GUEST_MSS & 0xff;
            record[5] = GUEST_MSS >> 8;
        }
    } else {
        guest_put(tcp + 16,
                  (uint16_t)~frames_sum(tcp, header + size, guest_pseudo_sum(tcp - 20, header + size)), 2);
    }
    if (!guest_transmit(guest, record, 34 + header + size))
        return false;
    guest->send_next += (uint32_t)size + !!(flags & (TCP_SYN_FLAG | TCP_FIN_FLAG));
    guest->sent += size;
    return true;
}

/* Sends what the window allows. */
static inline void guest_pump(struct guest *guest)
{
    size_t most = guest->offloads & NET_OFFLOAD_TSO4 ? GUEST_LARGE : GUEST_MSS;
    while (guest->established && !guest->blocked && guest->sent < guest->to_send) {
        uint32_t in_flight = guest->send_next - guest->send_una;
        size_t size =
            MIN(guest->to_send - guest->sent, MIN(most, guest->window - MIN(in_flight, guest->window)));
        if (!size || (size < GUEST_MSS && size < guest->to_send - guest->sent && in_flight) ||
            !guest_segment(guest, TCP_ACK_FLAG | TCP_PSH_FLAG, size))
            break;
    }
    guest_flush(guest);
}

static inline void guest_connect(struct guest *guest, uint32_t to, uint16_t peer_port)
{
    static uint16_t next_port = 40000;
    guest->peer = to;
    guest->port = next_port++;
    guest->peer_port = peer_port;
    guest->send_una = guest->send_next = 1000;
    guest->receive_next = 0;
    guest->to_send = guest->sent = guest->received = 0;
    guest->established = guest->fin_received = guest->fin_sent = guest->reset = guest->listening = false;
    guest->largest = 0;
    guest_segment(guest, TCP_SYN_FLAG, 0);
    guest_flush(guest);
}

static inline void guest_finish(struct guest *guest)
{
    guest->fin_sent = true;
    guest_segment(guest, TCP_FIN_FLAG | TCP_ACK_FLAG, 0);
    guest_flush(guest);
}

static inline void guest_receive_options(struct guest *guest, const uint8_t *tcp, unsigned header)
{
    for (unsigned at = 20; at + 1 < header && tcp[at];) {
        if (tcp[at] == 2)
            guest->peer_mss = (uint16_t)guest_get(tcp + at + 2, 2);
        at += tcp[at] == 1 ? 1 : MAX(tcp[at + 1], 2);
    }
}

static inline void guest_receive_tcp(struct guest *guest, const uint8_t *record, const uint8_t *ip,
                                     size_t size)
{
    const uint8_t *tcp = ip + 20;
    unsigned header = (tcp[12] >> 4) * 4u, flags = tcp[13];
    size_t data = size - 20 - header;
    uint16_t sum = frames_sum(tcp, size - 20, guest_pseudo_sum(ip, size - 20));
    if (record[0] & 1) { /* to be completed, which the sum of all else does */
        uint16_t field = (uint16_t)guest_get(tcp + 16, 2);
        guest->bad |= field != guest_pseudo_sum(ip, size - 20) || record[6] != 34 || record[8] != 16;
        guest->bad |= data > GUEST_MSS && (record[1] != 1 || (record[4] | record[5] << 8) != GUEST_MSS);
    } else {
        guest->bad |= sum != 0xffff || data > GUEST_MSS;
    }
    if (guest->listening && flags & TCP_SYN_FLAG && guest_get(tcp + 2, 2) == guest->port) {
        guest->listening = false;
        guest->peer = guest_get(ip + 12, 4);
        guest->peer_port = (uint16_t)guest_get(tcp, 2);
        guest->send_una = guest->send_next = 5000;
        guest->receive_next = guest_get(tcp + 4, 4) + 1;
        guest_receive_options(guest, tcp, header);
        guest->to_send = guest->sent = guest->received = 0;
        guest_segment(guest, TCP_SYN_FLAG | TCP_ACK_FLAG, 0);
        guest_flush(guest);
        return;
    }
    if (guest_get(tcp + 2, 2) != guest->port || guest_get(tcp, 2) != guest->peer_port)
        return;
    if (flags & TCP_RST_FLAG) {
        guest->reset = true;
        return;
    }
    guest->window = guest_get(tcp + 14, 2);
    if (flags & TCP_ACK_FLAG)
        guest->send_una = guest_get(tcp + 8, 4);
    if (flags & TCP_SYN_FLAG) {
        guest->receive_next = guest_get(tcp + 4, 4) + 1;
        guest_receive_options(guest, tcp, header);
    }
    bool had = guest->established;
    guest->established |= flags & TCP_ACK_FLAG;
    if (guest_get(tcp + 4, 4) == guest->receive_next && data) {
        guest->bad |= !stream_check(tcp + header, guest->received, data);
        guest->received += data;
        guest->receive_next += (uint32_t)data;
        guest->largest = MAX(guest->largest, (unsigned)data);
    }
    if (flags & TCP_FIN_FLAG && !guest->fin_received &&
        guest_get(tcp + 4, 4) + (uint32_t)data == guest->receive_next) {
        guest->fin_received = true;
        guest->receive_next++;
    }
    if (data || flags & (TCP_FIN_FLAG | TCP_SYN_FLAG) || !had)
        guest_segment(guest, TCP_ACK_FLAG, 0);
    guest_pump(guest);
}

static inline bool guest_receive(void *opaque, const struct iovec *iov, unsigned count, size_t size)
{
    struct guest *guest = opaque;
    static uint8_t record[NET_FRAME_MAX];
    if (guest->stalled)
        return false;
    size_t done = 0;
    for (unsigned i = 0; i < count; done += iov[i++].iov_len)
        memcpy(record + done, iov[i].iov_base, iov[i].iov_len);
    const uint8_t *frame = record + NET_HEADER_SIZE, *ip = frame + 14;
    size -= NET_HEADER_SIZE;
    guest->frames_received++;
    if (guest_get(frame + 12, 2) == 0x0806) {
        if (guest_get(ip + 6, 2) == 1 && guest_get(ip + 24, 4) == GUEST_IP)
            guest_arp(guest, 2, guest_get(ip + 14, 4), ip + 8);
        if (guest_get(ip + 6, 2) == 2) {
            guest->arp_answered = true;
            memcpy(guest->gateway_mac, ip + 8, 6);
        }
    } else if (guest_get(frame + 12, 2) == 0x0800) {
        size_t total = guest_get(ip + 2, 2);
        guest->bad |= total > size - 14 || frames_sum(ip, 20, 0) != 0xffff;
        if (ip[9] == 6 && total <= size - 14)
            guest_receive_tcp(guest, record, ip, total);
        else if (ip[9] == 17 && guest_get(ip + 22, 2) == 68)
            guest->leased = guest_get(ip + 28 + 16, 4);
    }
    if (guest->event)
        guest->event(guest);
    return true;
}

static inline void guest_send_ready(void *opaque)
{
    struct guest *guest = opaque;
    guest->blocked = false;
    guest_pump(guest);
}

static inline void guest_link_changed(void *opaque)
{
    struct guest *guest = opaque;
    guest->link_changes++;
    if (guest->event)
        guest->event(guest);
}

static inline void guest_attach(struct guest *guest, struct net_backend *net, struct loop *loop,
                                unsigned offloads)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56},
                         broadcast[6] = {255, 255, 255, 255, 255, 255};
    memset(guest, 0, sizeof *guest);
    guest->net = net;
    guest->loop = loop;
    guest->client = (struct net_client){guest_receive, guest_send_ready, guest_link_changed, guest};
    guest->offloads = offloads & net->offloads;
    memcpy(guest->mac, mac, 6);
    memcpy(guest->gateway_mac, broadcast, 6);
    net->client = &guest->client;
    net->ops->set_offloads(net, offloads);
    net->ops->receive_ready(net);
}

#endif
