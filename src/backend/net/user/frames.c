/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/net/user/frames.h"

#include <string.h>

#include "backend/net/net.h"
#include "base/macros.h"

/* struct virtio_net_hdr of virtio 1.2, 5.1.6. */
struct header {
    uint8_t flags, gso_type;
    uint16_t header_length, gso_size, checksum_start, checksum_offset, buffers;
};
_Static_assert(sizeof(struct header) == NET_HEADER_SIZE, "as on the wire");

enum { NEEDS_CHECKSUM = 1, CHECKSUM_VALID = 2 };
enum { GSO_NONE = 0, GSO_TCP4 = 1, GSO_TCP6 = 4 };

#define IP4_PROTOCOL 9
#define TCP_HEADER   20u
#define MSS_UNKNOWN  536 /* which everybody takes */

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_PUSH = 8 };

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static uint16_t sum_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* Words of the host's order give the sum with its bytes in the host's order. */
uint16_t frames_sum(const uint8_t *data, size_t size, uint64_t sum)
{
    uint64_t wide = 0;
    uint32_t words[4];
    for (; size >= sizeof words; data += sizeof words, size -= sizeof words) {
        memcpy(words, data, sizeof words);
        wide += (uint64_t)words[0] + words[1] + words[2] + words[3];
    }
    wide = (wide & 0xffffffff) + (wide >> 32);
    for (; size >= 2; data += 2, size -= 2) {
        uint16_t word;
        memcpy(&word, data, sizeof word);
        wide += word;
    }
    if (size)
        wide += *data;
    uint16_t folded = sum_fold(wide);
    return sum_fold(sum + (uint16_t)(folded << 8 | folded >> 8));
}

/* What a TCP segment over IP, not a fragment, consists of. */
struct segment {
    bool is6;
    uint32_t ip, tcp, end; /* offsets */
    uint32_t tag;          /* of the connection */
};

static uint32_t segment_header(const struct segment *s, const uint8_t *frame)
{
    return (frame[s->tcp + 12] >> 4) * 4u;
}

static uint32_t hash(uint32_t h, const uint8_t *data, unsigned size)
{
    while (size--)
        h = (h ^ *data++) * 0x01000193;
    return h;
}

static bool segment_parse(struct segment *s, const uint8_t *frame, size_t size, bool from_guest)
{
    unsigned length, address = 4;
    if (size < FRAMES_ETHERNET + 40)
        return false;
    const uint8_t *ip = frame + FRAMES_ETHERNET, *guest, *peer;
    s->ip = FRAMES_ETHERNET;
    if (get16(frame + 12) == 0x0800 && ip[0] >> 4 == 4) {
        unsigned header = (ip[0] & 15) * 4u;
        length = get16(ip + 2);
        if (header < 20 || ip[IP4_PROTOCOL] != 6 || get16(ip + 6) & 0x3fff || length < header + TCP_HEADER)
            return false;
        s->is6 = false;
        s->tcp = s->ip + header;
        peer = ip + 12;
    } else if (get16(frame + 12) == 0x86dd && ip[0] >> 4 == 6) {
        length = get16(ip + 4) + 40u;
        if (ip[6] != 6 || length < 40 + TCP_HEADER)
            return false;
        s->is6 = true;
        s->tcp = s->ip + 40;
        peer = ip + 8;
        address = 16;
    } else {
        return false;
    }
    s->end = s->ip + length;
    if (s->end > size || segment_header(s, frame) < TCP_HEADER || segment_header(s, frame) > s->end - s->tcp)
        return false;
    const uint8_t *ports = frame + s->tcp;
    guest = from_guest ? peer : peer + address;
    peer = from_guest ? peer + address : peer;
    s->tag = hash(0x811c9dc5 + s->is6, guest, address);
    s->tag = hash(s->tag, peer, address);
    s->tag = hash(s->tag, ports + (from_guest ? 0 : 2), 2);
    s->tag = hash(s->tag, ports + (from_guest ? 2 : 0), 2);
    s->tag |= 1; /* 0 is nobody's */
    return true;
}

/* The sum over what TCP's checksum covers besides the segment. */
static uint16_t pseudo_sum(const struct segment *s, const uint8_t *frame)
{
    const uint8_t *addresses = frame + s->ip + (s->is6 ? 8 : 12);
    return frames_sum(addresses, s->is6 ? 32 : 8, 6u + (s->end - s->tcp));
}

static bool can_segment(const struct frames *frames, bool is6)
{
    const uint32_t needed = NET_OFFLOAD_CHECKSUM | (is6 ? NET_OFFLOAD_TSO6 : NET_OFFLOAD_TSO4);
    return (frames->offloads & needed) == needed;
}

/* A SYN of the guest: its MSS option is remembered, and says more. */
static void segment_open(struct frames *frames, const struct segment *s, uint8_t *frame)
{
    uint8_t *tcp = frame + s->tcp;
    uint32_t header = segment_header(s, frame);
    for (uint32_t at = TCP_HEADER; at + 1 < header && tcp[at];) {
        unsigned size = tcp[at] == 1 ? 1 : tcp[at + 1];
        if (size < 1 || at + size > header || (tcp[at] != 1 && size < 2))
            return;
        if (tcp[at] == 2 && size == 4) {
            unsigned slot = s->tag / 2 % FRAMES_CONNECTIONS;
            uint16_t mss = get16(tcp + at + 2);
            frames->connections[slot].tag = s->tag;
            frames->connections[slot].mss = MIN(mss, FRAMES_MTU - (s->is6 ? 60 : 40));
            if (!can_segment(frames, s->is6))
                return;
            put16(tcp + at + 2, MAX(mss, frames->large_mss));
            put16(tcp + 16, 0);
            put16(tcp + 16, (uint16_t)~frames_sum(tcp, s->end - s->tcp, pseudo_sum(s, frame)));
            return;
        }
        at += size;
    }
}

bool frames_from_guest(struct frames *frames, uint8_t *record, size_t size)
{
    struct header header;
    struct segment segment;
    uint8_t *frame = record + sizeof header;

    if (size < sizeof header + FRAMES_ETHERNET)
        return false;
    memcpy(&header, record, sizeof header);
    size -= sizeof header;
    if (header.flags & NEEDS_CHECKSUM) {
        uint32_t start = header.checksum_start, field = start + header.checksum_offset;
        if (start < FRAMES_ETHERNET || field + 2 > size)
            return false;
        /* The field has the sum of the pseudo-header already. UDP: 0 would mean that there is none. */
        uint16_t sum = (uint16_t)~frames_sum(frame + start, size - start, 0);
        put16(frame + field, sum ? sum : 0xffff);
    }
    if (segment_parse(&segment, frame, size, true) && frame[segment.tcp + 13] & TCP_SYN)
        segment_open(frames, &segment, frame);
    return true;
}

static uint8_t *output_begin(struct frames *frames, const struct header *header, uint32_t size)
{
    uint8_t *record = frames->output.reserve(frames->output.opaque, (uint32_t)sizeof *header + size);
    if (!record)
        return NULL;
    memcpy(record, header, sizeof *header);
    return record + sizeof *header;
}

static void output_end(struct frames *frames, uint32_t size)
{
    frames->output.commit(frames->output.opaque, (uint32_t)sizeof(struct header) + size);
}

static uint16_t segment_mss(const struct frames *frames, const struct segment *s)
{
    unsigned slot = s->tag / 2 % FRAMES_CONNECTIONS;
    uint16_t mss = frames->connections[slot].tag == s->tag ? frames->connections[slot].mss : 0;
    return mss ? mss : MSS_UNKNOWN;
}

/* One that the guest sees as if it had come in segments. */
static void send_large(struct frames *frames, const struct segment *s, const uint8_t *data, uint32_t size)
{
    struct header header = {
        .flags = NEEDS_CHECKSUM,
        .gso_type = s->is6 ? GSO_TCP6 : GSO_TCP4,
        .header_length = (uint16_t)(s->tcp + segment_header(s, data)),
        .gso_size = segment_mss(frames, s),
        .checksum_start = (uint16_t)s->tcp,
        .checksum_offset = 16,
    };
    uint8_t *frame = output_begin(frames, &header, size);
    if (!frame)
        return;
    memcpy(frame, data, size);
    put16(frame + s->tcp + 16, pseudo_sum(s, data));
    output_end(frames, size);
}

/* The segments, for a guest that takes only these. */
static void send_segments(struct frames *frames, const struct segment *s, const uint8_t *data)
{
    const struct header header = {.flags = frames->offloads & NET_OFFLOAD_CHECKSUM ? CHECKSUM_VALID : 0};
    const uint32_t headers = s->tcp + segment_header(s, data), mss = segment_mss(frames, s);
    const uint32_t sequence = (uint32_t)get16(data + s->tcp + 4) << 16 | get16(data + s->tcp + 6);

    for (uint32_t at = headers; at < s->end; at += mss) {
        struct segment part = *s;
        part.end = MIN(headers + mss, headers + s->end - at);
        uint8_t *frame = output_begin(frames, &header, part.end);
        if (!frame)
            return;
        memcpy(frame, data, headers);
        memcpy(frame + headers, data + at, part.end - headers);
        uint8_t *ip = frame + s->ip, *tcp = frame + s->tcp;
        if (s->is6) {
            put16(ip + 4, (uint16_t)(part.end - s->tcp));
        } else {
            put16(ip + 2, (uint16_t)(part.end - s->ip));
            put16(ip + 4, (uint16_t)(get16(ip + 4) + (at - headers) / mss));
            put16(ip + 10, 0);
            put16(ip + 10, (uint16_t)~frames_sum(ip, s->tcp - s->ip, 0));
        }
        put16(tcp + 4, (uint16_t)((sequence + at - headers) >> 16));
        put16(tcp + 6, (uint16_t)(sequence + at - headers));
        if (at + mss < s->end)
            tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PUSH);
        put16(tcp + 16, 0);
        put16(tcp + 16, (uint16_t)~frames_sum(tcp, part.end - s->tcp, pseudo_sum(&part, frame)));
        output_end(frames, part.end);
    }
}

/* What is too large for the guest and not TCP, in fragments (RFC 791). */
static void send_fragments(struct frames *frames, const uint8_t *data, uint32_t size)
{
    const struct header header = {0};
    const uint8_t *ip = data + FRAMES_ETHERNET;
    uint32_t ip_header = (ip[0] & 15) * 4u, total = get16(ip + 2), before = get16(ip + 6);
    if (get16(data + 12) != 0x0800 || ip[0] >> 4 != 4 || ip_header < 20 || total < ip_header ||
        total > size - FRAMES_ETHERNET)
        return;
    uint32_t most = (FRAMES_MTU - ip_header) & ~7u, left = total - ip_header, at = 0;
    while (left) {
        uint32_t part = MIN(left, most), frame_size = FRAMES_ETHERNET + ip_header + part;
        uint8_t *frame = output_begin(frames, &header, frame_size);
        if (!frame)
            return;
        memcpy(frame, data, FRAMES_ETHERNET + ip_header);
        memcpy(frame + FRAMES_ETHERNET + ip_header, ip + ip_header + at, part);
        left -= part;
        uint8_t *to = frame + FRAMES_ETHERNET;
        put16(to + 2, (uint16_t)(ip_header + part));
        put16(to + 6, (uint16_t)(((before & 0x1fff) + at / 8) | (before & 0x2000) | (left ? 0x2000 : 0)));
        put16(to + 10, 0);
        put16(to + 10, (uint16_t)~frames_sum(to, ip_header, 0));
        output_end(frames, frame_size);
        at += part;
    }
}

void frames_to_guest(struct frames *frames, const uint8_t *data, size_t size)
{
    struct segment segment;
    if (size < FRAMES_ETHERNET || size > NET_FRAME_MAX - NET_HEADER_SIZE)
        return;
    if (size > FRAMES_ETHERNET + FRAMES_MTU) {
        if (!segment_parse(&segment, data, size, false))
            send_fragments(frames, data, (uint32_t)size);
        else if (can_segment(frames, segment.is6))
            send_large(frames, &segment, data, (uint32_t)size);
        else
            send_segments(frames, &segment, data);
        return;
    }
    struct header header = {.flags = frames->offloads & NET_OFFLOAD_CHECKSUM ? CHECKSUM_VALID : 0};
    uint8_t *frame = output_begin(frames, &header, (uint32_t)size);
    if (!frame)
        return;
    memcpy(frame, data, size);
    output_end(frames, (uint32_t)size);
}
