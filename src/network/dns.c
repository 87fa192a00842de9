/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/dns.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER    12
#define NAME_MOST 255
#define TEXT_MOST 256 /* of a name, with the zero */
#define TTL       5   /* seconds: domains come and go */

enum { TYPE_A = 1, TYPE_PTR = 12, TYPE_AAAA = 28, TYPE_ANY = 255, CLASS_IN = 1, CLASS_ANY = 255 };
enum { FLAG_RESPONSE = 0x80, FLAG_AUTHORITATIVE = 0x04, FLAG_RECURSION_DESIRED = 0x01 }; /* third byte */
enum { FLAG_RECURSION_AVAILABLE = 0x80 };                                                /* fourth */

struct question {
    char name[TEXT_MOST]; /* in small letters, with dots; "" is the root */
    bool plain;           /* its labels have nothing that a text with dots cannot say */
    unsigned type, class;
    size_t end; /* of the question, in the query */
};

/* -- reading --------------------------------------------------------------------------------------------- */

static unsigned two_bytes(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* False: it is no name; or compressed, which the only name in a message cannot be. */
static bool read_name(const uint8_t *query, size_t size, struct question *question, size_t *at)
{
    size_t length = 0;
    question->plain = true;
    for (;;) {
        if (*at >= size || query[*at] > 63)
            return false;
        const unsigned label = query[(*at)++];
        if (!label)
            break;
        if (label > size - *at || length + label + 1 > NAME_MOST - 1)
            return false;
        if (length)
            question->name[length++] = '.';
        for (unsigned i = 0; i < label; i++) {
            const uint8_t byte = query[(*at)++];
            question->plain &= byte > ' ' && byte < 127 && byte != '.';
            question->name[length++] = (char)tolower(byte);
        }
    }
    question->name[length] = '\0';
    return true;
}

static bool read_question(const uint8_t *query, size_t size, struct question *question)
{
    size_t at = HEADER;
    if (two_bytes(query + 4) != 1 || !read_name(query, size, question, &at) || size - at < 4)
        return false;
    question->type = two_bytes(query + at);
    question->class = two_bytes(query + at + 2);
    question->end = at + 4;
    return true;
}

/* -- writing --------------------------------------------------------------------------------------------- */

struct writer {
    uint8_t *reply;
    size_t size;
    unsigned answers;
};

static void write_header(struct writer *writer, const uint8_t *query, size_t question_end, enum dns_code code,
                         bool own)
{
    uint8_t *reply = writer->reply;
    memset(reply, 0, HEADER);
    memcpy(reply, query, 2);
    reply[2] = (uint8_t)(FLAG_RESPONSE | (query[2] & (0x78 | FLAG_RECURSION_DESIRED)) |
                         (own ? FLAG_AUTHORITATIVE : 0));
    reply[3] = (uint8_t)(FLAG_RECURSION_AVAILABLE | code);
    reply[5] = question_end > HEADER;
    memcpy(reply + HEADER, query + HEADER, question_end - HEADER);
    writer->size = question_end;
}

/* An answer to the question's name. False: there is no more room. */
static bool write_answer(struct writer *writer, unsigned type, const void *data, size_t size)
{
    uint8_t *at = writer->reply + writer->size;
    if (size + 12 > DNS_REPLY_MAX - writer->size)
        return false;
    const uint8_t head[12] = {
        0xc0, HEADER, (uint8_t)(type >> 8), (uint8_t)type, 0, CLASS_IN, 0, 0,
        0,    TTL,    (uint8_t)(size >> 8), (uint8_t)size,
    };
    memcpy(at, head, sizeof head);
    memcpy(at + sizeof head, data, size);
    writer->size += sizeof head + size;
    writer->answers++;
    writer->reply[7] = (uint8_t)writer->answers;
    return true;
}

/* A text as a name. Its size, or 0: it cannot be one. */
static size_t encode_name(const char *text, uint8_t out[NAME_MOST])
{
    size_t size = 0;
    for (;;) {
        const size_t label = strcspn(text, ".");
        if (!label || label > 63 || size + label + 2 > NAME_MOST)
            return 0;
        out[size++] = (uint8_t)label;
        memcpy(out + size, text, label);
        size += label;
        text += label;
        if (!*text++)
            break;
    }
    out[size++] = 0;
    return size;
}

/* -- answers --------------------------------------------------------------------------------------------- */

static bool lease_is_called(const struct lease *lease, const char *name)
{
    if (strcasecmp(lease->name, name) == 0)
        return true;
    for (unsigned i = 0; i < lease->alias_count; i++) {
        if (strcasecmp(lease->aliases[i], name) == 0)
            return true;
    }
    return false;
}

/* Writes the addresses of all that are called so, if they are asked for. False: nobody is. */
static bool answer_name(struct writer *writer, const struct lease_list *list, const struct question *question,
                        const char *name)
{
    const bool wanted = question->type == TYPE_A || question->type == TYPE_ANY;
    bool found = false;
    for (unsigned i = 0; i < list->count; i++) {
        const struct lease *lease = &list->leases[i];
        if (!lease_is_called(lease, name))
            continue;
        found = true;
        if (!wanted || !write_answer(writer, TYPE_A, &lease->address.s_addr, 4))
            break;
    }
    return found;
}

static bool ends_in(const char *name, const char *end)
{
    const size_t size = strlen(end), length = strlen(name);
    return length > size && strcasecmp(name + length - size, end) == 0;
}

/* Cuts the network's zone off. False: it is not there. */
static bool cut_zone(char *name, const char *network)
{
    char zone[NETWORK_NAME_MAX + sizeof "." DNS_ZONE + 1];
    snprintf(zone, sizeof zone, ".%s." DNS_ZONE, network);
    if (!ends_in(name, zone))
        return false;
    name[strlen(name) - strlen(zone)] = '\0';
    return true;
}

/* The address in "4.3.2.1.in-addr.arpa". */
static bool parse_reverse(const char *name, struct in_addr *address)
{
    static const char zone[] = ".in-addr.arpa";
    const size_t length = strlen(name), size = sizeof zone - 1;
    char text[INET_ADDRSTRLEN];
    if (length <= size || length - size >= sizeof text || strcmp(name + length - size, zone) != 0)
        return false;
    snprintf(text, sizeof text, "%.*s", (int)(length - size), name);
    if (inet_pton(AF_INET, text, address) != 1)
        return false;
    address->s_addr = __builtin_bswap32(address->s_addr);
    return true;
}

static enum dns_code answer_reverse(struct writer *writer, const struct lease_list *list,
                                    const struct question *question, struct in_addr address)
{
    for (unsigned i = 0; i < list->count; i++) {
        char text[TEXT_MOST];
        uint8_t name[NAME_MOST];
        if (list->leases[i].address.s_addr != address.s_addr)
            continue;
        snprintf(text, sizeof text, "%s.%s." DNS_ZONE, list->leases[i].name, list->network);
        const size_t size = encode_name(text, name);
        if (size && (question->type == TYPE_PTR || question->type == TYPE_ANY))
            write_answer(writer, TYPE_PTR, name, size);
        return DNS_OK;
    }
    return DNS_NO_NAME;
}

/* DNS_REPLY: *code is its code, and the writer has its records. */
static enum dns_verdict answer(struct writer *writer, const struct lease_list *list,
                               struct question *question, enum dns_code *code)
{
    struct in_addr address;
    if (!question->plain || (question->class != CLASS_IN && question->class != CLASS_ANY))
        return DNS_FORWARD;
    if (answer_name(writer, list, question, question->name))
        return DNS_REPLY;
    if (parse_reverse(question->name, &address)) {
        const struct network_subnet here = {.address = address, .prefix = 32};
        if (!network_subnets_overlap(&list->subnet, &here))
            return DNS_FORWARD;
        *code = answer_reverse(writer, list, question, address);
        return DNS_REPLY;
    }
    /* A name without a dot is nobody's but ours. */
    const bool single = question->name[0] && !strchr(question->name, '.'),
               host = question->type == TYPE_A || question->type == TYPE_AAAA;
    const bool zone = cut_zone(question->name, list->network);
    if (zone && answer_name(writer, list, question, question->name))
        return DNS_REPLY;
    const bool others = !zone && ends_in(question->name, "." DNS_ZONE);
    *code = others ? DNS_REFUSED : DNS_NO_NAME;
    return zone || others || (single && host) ? DNS_REPLY : DNS_FORWARD;
}

enum dns_verdict dns_serve(const struct lease_list *list, const uint8_t *query, size_t size,
                           uint8_t reply[DNS_REPLY_MAX], size_t *reply_size)
{
    struct question question;
    struct writer writer = {.reply = reply};
    enum dns_code code = DNS_OK;
    *reply_size = 0;
    if (size < HEADER || size > DNS_QUERY_MAX || (query[2] & FLAG_RESPONSE))
        return DNS_DROP;
    if (query[2] & 0x78 || !read_question(query, size, &question)) {
        write_header(&writer, query, HEADER, query[2] & 0x78 ? DNS_NOT_DONE : DNS_FORMAT_ERROR, false);
        *reply_size = writer.size;
        return DNS_REPLY;
    }
    write_header(&writer, query, question.end, DNS_OK, true);
    enum dns_verdict verdict = answer(&writer, list, &question, &code);
    reply[3] |= (uint8_t)code;
    *reply_size = verdict == DNS_REPLY ? writer.size : 0;
    return verdict;
}

size_t dns_refuse(const uint8_t *query, size_t size, enum dns_code code, uint8_t reply[DNS_REPLY_MAX])
{
    struct question question;
    struct writer writer = {.reply = reply};
    const bool good = read_question(query, size, &question);
    write_header(&writer, query, good ? question.end : HEADER, code, false);
    return writer.size;
}

bool dns_answers(const uint8_t *answer, size_t size, const uint8_t *query, size_t query_size, uint16_t id)
{
    struct question asked, told;
    return size >= HEADER && two_bytes(answer) == id && (answer[2] & FLAG_RESPONSE) &&
           read_question(query, query_size, &asked) && read_question(answer, size, &told) &&
           asked.type == told.type && asked.class == told.class && asked.end == told.end &&
           strcmp(asked.name, told.name) == 0;
}
