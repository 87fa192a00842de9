/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Networks of domains: options, subnets, leases and their document, rules, names (DNS), addresses (DHCP). */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "network/dhcp.h"
#include "network/dns.h"
#include "network/filter.h"

static struct in_addr ip(const char *text)
{
    struct in_addr address;
    assert_int_equal(inet_pton(AF_INET, text, &address), 1);
    return address;
}

static void add(struct lease_list *list, const char *name, const char *address)
{
    struct lease lease = {.address = ip(address), .process = {.pid = 1, .start = 2, .boot = "boot"}};
    snprintf(lease.domain, sizeof lease.domain, "id-%s", name);
    snprintf(lease.name, sizeof lease.name, "%s", name);
    snprintf(lease.interface, sizeof lease.interface, "vport-1");
    lease_mac(lease.address, lease.mac);
    assert_int_equal(lease_add(list, &lease), 0);
}

static void begin(struct lease_list *list, const char *subnet)
{
    *list = (struct lease_list){.network = "back", .bridge = "visor-00000001"};
    assert_int_equal(network_subnet_parse(&list->subnet, subnet, NULL), 0);
}

/* -- options --------------------------------------------------------------------------------------------- */

static void test_options(void **state)
{
    struct network_option option;
    struct error error = ERROR_INIT;
    (void)state;
    assert_int_equal(
        network_option_parse(&option, "back,ip=10.1.2.3,mac=02:00:00:00:00:01,alias=a,alias=b.c", &error), 0);
    assert_string_equal(option.name, "back");
    assert_int_equal(option.address.s_addr, ip("10.1.2.3").s_addr);
    assert_true(option.has_mac && option.mac[5] == 1);
    assert_int_equal(option.alias_count, 2);
    assert_string_equal(option.aliases[1], "b.c");
    static const char many[] = "a,alias=1,alias=2,alias=3,alias=4,alias=5,alias=6,alias=7,alias=8,alias=9";
    const char *const wrong[] = {
        "",          "-a",         "a.b",         "none",
        "a,ip=10.1", "a,ip",       "a,mac=1:2:3", "a,mac=01:00:00:00:00:01",
        "a,alias=",  "a,alias=-x", "a,alias=x y", "a,colour=red",
        "a,vhost=1", "a,",         many,
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_true(network_option_parse(&option, wrong[i], &error) < 0);
}

static void test_ports(void **state)
{
    struct network_port port;
    struct error error = ERROR_INIT;
    (void)state;
    assert_int_equal(network_port_parse(&port, "127.0.0.1:8080:80/udp", &error), 0);
    assert_true(port.udp && port.host.s_addr == ip("127.0.0.1").s_addr && port.host_port == 8080 &&
                port.port == 80);
    assert_int_equal(network_port_parse(&port, "1:65535/tcp", &error), 0);
    assert_true(!port.udp && !port.host.s_addr && port.port == 65535);
    static const char *const wrong[] = {"",         "80",         "0:80",         "80:0",
                                        "80:65536", "a:80",       ":80:80",       "1.2.3.4:5:6:7",
                                        "80:80/",   "80:80/sctp", "80:80/udp/tcp"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(network_port_parse(&port, wrong[i], &error), -EINVAL);
}

static void test_subnets(void **state)
{
    struct network_subnet one, two;
    (void)state;
    assert_int_equal(network_subnet_parse(&one, "10.1.0.0/16", NULL), 0);
    assert_int_equal(one.gateway.s_addr, ip("10.1.0.1").s_addr);
    assert_int_equal(network_subnet_parse(&two, "10.1.255.248/29", NULL), 0);
    assert_true(network_subnets_overlap(&one, &two) && network_subnets_overlap(&two, &one));
    assert_int_equal(network_subnet_parse(&two, "10.2.0.0/29", NULL), 0);
    assert_false(network_subnets_overlap(&one, &two));
    assert_true(network_subnet_has(&two, ip("10.2.0.2")) && network_subnet_has(&two, ip("10.2.0.6")));
    static const char *const others[] = {"10.2.0.0", "10.2.0.1", "10.2.0.7", "10.2.0.8", "10.1.255.255"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(network_subnet_has(&two, ip(others[i])));
    static const char *const wrong[] = {"10.1.0.0",  "10.1.0.0/7", "10.1.0.0/30", "10.1.0.1/24", "/24",
                                        "10.1.0.0/", "10.1.0.0/x", "127.0.0.0/8", "224.0.0.0/8", "0.0.0.0/8"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(network_subnet_parse(&one, wrong[i], NULL), -EINVAL);
}

/* -- leases ---------------------------------------------------------------------------------------------- */

static void test_addresses_are_chosen(void **state)
{
    struct lease_list list;
    struct in_addr address;
    struct error error = ERROR_INIT;
    (void)state;
    begin(&list, "10.9.0.0/29");
    add(&list, "d", "10.9.0.5");
    add(&list, "a", "10.9.0.2");
    add(&list, "b", "10.9.0.3");
    assert_string_equal(list.leases[0].name, "a"); /* in order */
    assert_int_equal(lease_choose(&list, (struct in_addr){0}, &address, &error), 0);
    assert_int_equal(address.s_addr, ip("10.9.0.4").s_addr);
    assert_int_equal(lease_choose(&list, ip("10.9.0.6"), &address, &error), 0);
    assert_int_equal(lease_choose(&list, ip("10.9.0.5"), &address, &error), -EADDRINUSE);
    assert_int_equal(lease_choose(&list, ip("10.9.0.1"), &address, &error), -EINVAL);
    assert_int_equal(lease_choose(&list, ip("10.9.0.7"), &address, &error), -EINVAL);
    add(&list, "c", "10.9.0.4");
    add(&list, "e", "10.9.0.6");
    assert_int_equal(lease_choose(&list, (struct in_addr){0}, &address, &error), -ENOSPC);
    lease_drop(&list, 0);
    assert_int_equal(lease_choose(&list, (struct in_addr){0}, &address, &error), 0);
    assert_int_equal(address.s_addr, ip("10.9.0.2").s_addr);
    assert_string_equal(lease_find(&list, "id-c")->name, "c");
    assert_null(lease_find(&list, "id-a"));
    lease_list_free(&list);
}

static void test_dead_leases_are_dropped(void **state)
{
    struct lease_list list;
    (void)state;
    begin(&list, "10.9.0.0/24");
    add(&list, "dead", "10.9.0.2"); /* number 1 is somebody's, but not since then */
    add(&list, "alive", "10.9.0.3");
    assert_int_equal(process_id_self(&list.leases[1].process, NULL), 0);
    assert_true(lease_drop_dead(&list));
    assert_int_equal(list.count, 1);
    assert_string_equal(list.leases[0].name, "alive");
    assert_false(lease_drop_dead(&list));
    lease_list_free(&list);
}

static void give_ports(struct lease *lease, const char *one, const char *other)
{
    lease->ports = calloc(2, sizeof *lease->ports);
    assert_non_null(lease->ports);
    lease->port_count = 2;
    assert_int_equal(network_port_parse(&lease->ports[0], one, NULL), 0);
    assert_int_equal(network_port_parse(&lease->ports[1], other, NULL), 0);
}

static void test_ports_are_one_domains(void **state)
{
    struct lease_list list;
    struct network_port port;
    struct error error = ERROR_INIT;
    static const struct {
        const char *text;
        int code;
    } all[] = {
        {"80:1", -EADDRINUSE}, {"127.0.0.1:80:1", -EADDRINUSE}, {"80:1/udp", 0},
        {"81:1", -EADDRINUSE}, {"127.0.0.2:81:1", 0},           {"127.0.0.1:81:2", -EADDRINUSE},
    };
    (void)state;
    begin(&list, "10.9.0.0/24");
    add(&list, "a", "10.9.0.2");
    give_ports(&list.leases[0], "80:80", "127.0.0.1:81:80");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(network_port_parse(&port, all[i].text, NULL), 0);
        assert_int_equal(lease_check_ports(&list, &port, 1, &error), all[i].code);
    }
    lease_list_free(&list);
}

static void test_document(void **state)
{
    struct lease_list list, again = {0};
    struct error error = ERROR_INIT;
    (void)state;
    begin(&list, "10.9.0.0/24");
    list.internal = list.settled = true;
    list.resolvers[list.resolver_count++] = ip("9.9.9.9");
    list.server = (struct process_id){.pid = 7, .start = 8, .boot = "b"};
    add(&list, "a", "10.9.0.2");
    add(&list, "b", "10.9.0.3");
    give_ports(&list.leases[0], "80:80", "127.0.0.1:81:82/udp");
    list.leases[1].alias_count = 1;
    strcpy(list.leases[1].aliases[0], "bee");
    json_t *one = lease_list_json(&list);
    assert_non_null(one);
    assert_int_equal(lease_list_load(&again, one, &error), 0);
    json_t *other = lease_list_json(&again);
    assert_true(json_equal(one, other));
    assert_true(again.leases[0].ports[1].udp && again.leases[0].ports[1].port == 82);
    assert_string_equal(again.leases[1].aliases[0], "bee");
    assert_int_equal(again.subnet.gateway.s_addr, ip("10.9.0.1").s_addr);
    lease_list_free(&again);
    /* Whatever is missing or wrong makes it none. */
    const char *key;
    json_t *value;
    json_object_foreach(one, key, value)
    {
        json_t *copy = json_deep_copy(one);
        json_object_set_new(copy, key, json_pack("{s:i}", "x", 1));
        const bool flag = strcmp(key, "internal") == 0 || strcmp(key, "settled") == 0;
        const bool list_of = strcmp(key, "resolvers") == 0;
        assert_int_equal(lease_list_load(&again, copy, &error), flag || list_of ? 0 : -EINVAL);
        lease_list_free(&again);
        json_decref(copy);
    }
    json_object_foreach(json_array_get(json_object_get(one, "leases"), 0), key, value)
    {
        json_t *copy = json_deep_copy(one);
        json_object_set_new(json_array_get(json_object_get(copy, "leases"), 0), key, json_integer(1));
        const bool list_of = strcmp(key, "aliases") == 0 || strcmp(key, "ports") == 0;
        assert_int_equal(lease_list_load(&again, copy, &error), list_of ? 0 : -EINVAL);
        lease_list_free(&again);
        json_decref(copy);
    }
    json_decref(one);
    json_decref(other);
    lease_list_free(&list);
}

static void test_rules(void **state)
{
    struct lease_list list;
    char *text;
    size_t size;
    (void)state;
    begin(&list, "10.9.0.0/24");
    add(&list, "a", "10.9.0.2");
    give_ports(&list.leases[0], "80:8080", "192.0.2.1:53:5353/udp");
    FILE *out = open_memstream(&text, &size);
    filter_write(out, &list);
    fclose(out);
    assert_non_null(strstr(text, "fib daddr type local tcp dport 80 dnat ip to 10.9.0.2:8080\n"));
    assert_non_null(strstr(text, "ip daddr 192.0.2.1 udp dport 53 dnat ip to 10.9.0.2:5353\n"));
    assert_non_null(strstr(text, "ip saddr != { 10.9.0.0/24, 0.0.0.0 } drop\n"));
    assert_non_null(strstr(text, "maxseg size set rt mtu"));
    assert_non_null(strstr(text, "ip saddr 10.9.0.0/24 oifname != \"visor-00000001\" masquerade"));
    free(text);
    list.internal = true;
    out = open_memstream(&text, &size);
    filter_write(out, &list);
    fclose(out);
    assert_null(strstr(text, "oifname != "));
    assert_non_null(strstr(text, "iifname \"visor-00000001\" drop"));
    free(text);
    lease_list_free(&list);
}

/* -- names ----------------------------------------------------------------------------------------------- */

static size_t make_query(uint8_t query[DNS_QUERY_MAX], const char *name, unsigned type)
{
    static const uint8_t head[12] = {0x12, 0x34, 1, 0, 0, 1};
    size_t size = sizeof head;
    memcpy(query, head, size);
    for (const char *at = name; *at;) {
        const size_t length = strcspn(at, ".");
        query[size++] = (uint8_t)length;
        memcpy(query + size, at, length);
        size += length;
        at += length + (at[length] == '.');
    }
    const uint8_t end[5] = {0, (uint8_t)(type >> 8), (uint8_t)type, 0, 1};
    memcpy(query + size, end, sizeof end);
    return size + sizeof end;
}

static void names_begin(struct lease_list *list)
{
    begin(list, "10.9.0.0/24");
    add(list, "web", "10.9.0.2");
    add(list, "a.dotted", "10.9.0.3");
    add(list, "db", "10.9.0.4");
    for (unsigned i = 0; i < 2; i++) {
        list->leases[2 * i].alias_count = 1;
        strcpy(list->leases[2 * i].aliases[0], "all");
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        unsigned type;
        enum dns_verdict verdict;
        unsigned code, answers;
        const char *address; /* the last */
    } all[] = {
        {"web", 1, DNS_REPLY, 0, 1, "10.9.0.2"},
        {"WeB", 1, DNS_REPLY, 0, 1, "10.9.0.2"},
        {"web.back.visor.internal", 1, DNS_REPLY, 0, 1, "10.9.0.2"},
        {"a.dotted", 1, DNS_REPLY, 0, 1, "10.9.0.3"},
        {"a.dotted.back.visor.internal", 1, DNS_REPLY, 0, 1, "10.9.0.3"},
        {"all", 1, DNS_REPLY, 0, 2, "10.9.0.4"},
        {"web", 255, DNS_REPLY, 0, 1, "10.9.0.2"},
        {"web", 28, DNS_REPLY, 0, 0, NULL},
        {"web", 15, DNS_REPLY, 0, 0, NULL},
        {"nobody", 1, DNS_REPLY, DNS_NO_NAME, 0, NULL},
        {"nobody.back.visor.internal", 28, DNS_REPLY, DNS_NO_NAME, 0, NULL},
        {"org", 2, DNS_FORWARD, 0, 0, NULL},
        {"web.other.visor.internal", 1, DNS_REPLY, DNS_REFUSED, 0, NULL},
        {"vm.zone.internal", 1, DNS_FORWARD, 0, 0, NULL},
        {"www.debian.org", 1, DNS_FORWARD, 0, 0, NULL},
        {"", 2, DNS_FORWARD, 0, 0, NULL},
        {"4.0.9.10.in-addr.arpa", 12, DNS_REPLY, 0, 1, NULL},
        {"5.0.9.10.in-addr.arpa", 12, DNS_REPLY, DNS_NO_NAME, 0, NULL},
        {"5.1.9.10.in-addr.arpa", 12, DNS_FORWARD, 0, 0, NULL},
        {"x.0.9.10.in-addr.arpa", 12, DNS_FORWARD, 0, 0, NULL},
    };
    struct lease_list list;
    (void)state;
    names_begin(&list);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        uint8_t query[DNS_QUERY_MAX], reply[DNS_REPLY_MAX];
        size_t size = make_query(query, all[i].name, all[i].type), reply_size;
        assert_int_equal(dns_serve(&list, query, size, reply, &reply_size), all[i].verdict);
        if (all[i].verdict != DNS_REPLY)
            continue;
        assert_true(reply_size >= size && reply[0] == 0x12 && reply[1] == 0x34 && (reply[2] & 0x80));
        assert_int_equal(reply[3] & 15, all[i].code);
        assert_int_equal(reply[7], all[i].answers);
        assert_true(dns_answers(reply, reply_size, query, size, 0x1234));
        if (all[i].address) {
            const struct in_addr address = ip(all[i].address);
            assert_memory_equal(reply + reply_size - 4, &address, 4);
        }
    }
    lease_list_free(&list);
}

static void test_an_address_has_a_name(void **state)
{
    static const char name[] = "\2db\4back\5visor\10internal";
    struct lease_list list;
    uint8_t query[DNS_QUERY_MAX], reply[DNS_REPLY_MAX];
    size_t size = make_query(query, "4.0.9.10.in-addr.arpa", 12), reply_size;
    (void)state;
    names_begin(&list);
    assert_int_equal(dns_serve(&list, query, size, reply, &reply_size), DNS_REPLY);
    assert_int_equal(reply_size, size + 12 + sizeof name);
    assert_memory_equal(reply + size + 12, name, sizeof name);
    lease_list_free(&list);
}

/* As many as have room are told of. */
static void test_many_of_one_name(void **state)
{
    struct lease_list list;
    uint8_t query[DNS_QUERY_MAX], reply[DNS_REPLY_MAX];
    size_t size = make_query(query, "web", 1), reply_size;
    (void)state;
    begin(&list, "10.9.0.0/24");
    for (unsigned i = 2; i < 250; i++) {
        char address[INET_ADDRSTRLEN];
        snprintf(address, sizeof address, "10.9.0.%u", i);
        add(&list, "web", address);
    }
    assert_int_equal(dns_serve(&list, query, size, reply, &reply_size), DNS_REPLY);
    assert_int_equal(reply[7], (DNS_REPLY_MAX - size) / 16);
    assert_int_equal(reply_size, size + reply[7] * 16u);
    lease_list_free(&list);
}

static void test_queries_that_are_none(void **state)
{
    struct lease_list list;
    uint8_t query[DNS_QUERY_MAX], reply[DNS_REPLY_MAX];
    const size_t size = make_query(query, "web", 1);
    size_t reply_size;
    (void)state;
    names_begin(&list);
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(dns_serve(&list, query, cut, reply, &reply_size), cut < 12 ? DNS_DROP : DNS_REPLY);
        assert_true(cut < 12 || (reply_size == 12 && (reply[3] & 15) == DNS_FORMAT_ERROR));
    }
    query[2] |= 0x80; /* an answer */
    assert_int_equal(dns_serve(&list, query, size, reply, &reply_size), DNS_DROP);
    query[2] = 0x28; /* an update */
    assert_int_equal(dns_serve(&list, query, size, reply, &reply_size), DNS_REPLY);
    assert_int_equal(reply[3] & 15, DNS_NOT_DONE);
    query[2] = 1;
    query[5] = 2; /* two questions */
    assert_int_equal(dns_serve(&list, query, size, reply, &reply_size), DNS_REPLY);
    assert_int_equal(reply[3] & 15, DNS_FORMAT_ERROR);
    query[5] = 1;
    query[12] = 0xc0; /* a name that leads to itself */
    query[13] = 12;
    assert_int_equal(dns_serve(&list, query, size, reply, &reply_size), DNS_REPLY);
    assert_int_equal(reply[3] & 15, DNS_FORMAT_ERROR);
    lease_list_free(&list);
}

static void test_answers_of_others(void **state)
{
    uint8_t query[DNS_QUERY_MAX], answer[DNS_QUERY_MAX];
    size_t size = make_query(query, "www.debian.org", 1);
    (void)state;
    memcpy(answer, query, size);
    answer[0] = 0x55;
    answer[1] = 0xaa;
    answer[2] |= 0x80;
    assert_true(dns_answers(answer, size, query, size, 0x55aa));
    assert_false(dns_answers(answer, size, query, size, 0x55ab));
    assert_false(dns_answers(answer, size - 1, query, size, 0x55aa));
    answer[13] = 'x'; /* to another question */
    assert_false(dns_answers(answer, size, query, size, 0x55aa));
    answer[13] = 'w';
    answer[2] &= 0x7f;
    assert_false(dns_answers(answer, size, query, size, 0x55aa));
    uint8_t reply[DNS_REPLY_MAX];
    assert_int_equal(dns_refuse(query, size, DNS_FAILURE, reply), size);
    assert_true(dns_answers(reply, size, query, size, 0x1234) && (reply[3] & 15) == DNS_FAILURE);
}

/* -- addresses ------------------------------------------------------------------------------------------- */

static size_t make_request(uint8_t message[300], uint8_t kind, const uint8_t *mac, const char *options,
                           size_t size)
{
    memset(message, 0, 300);
    memcpy(message, "\1\1\6\0abcd", 8);
    memcpy(message + 28, mac, 6);
    memcpy(message + 236, "\x63\x82\x53\x63\x35\x01", 6);
    message[242] = kind;
    memcpy(message + 243, options, size);
    message[243 + size] = 255;
    return 300;
}

/* The value of an option in a reply; NULL: it does not have it. */
static const uint8_t *option_of(const uint8_t *reply, size_t size, uint8_t option, unsigned length)
{
    for (size_t at = 240; at + 1 < size && reply[at] != 255; at += 2u + reply[at + 1]) {
        if (reply[at] == option)
            return reply[at + 1] == length ? reply + at + 2 : NULL;
    }
    return NULL;
}

static void test_a_machine_gets_its_address(void **state)
{
    struct lease_list list;
    struct in_addr to;
    uint8_t message[300], reply[DHCP_REPLY_MAX];
    const struct in_addr own = ip("10.9.0.3"), gateway = ip("10.9.0.1"), mask = ip("255.255.255.0");
    (void)state;
    begin(&list, "10.9.0.0/24");
    add(&list, "web", "10.9.0.2");
    add(&list, "old", "10.9.0.3");
    const uint8_t *mac = list.leases[1].mac;
    size_t size = dhcp_serve(&list, message, make_request(message, 1, mac, "", 0), reply, &to);
    assert_true(size >= 300 && to.s_addr == INADDR_BROADCAST);
    assert_memory_equal(reply, "\2\1\6\0abcd", 8);
    assert_memory_equal(reply + 16, &own, 4);
    assert_memory_equal(reply + 28, mac, 6);
    assert_int_equal(*option_of(reply, size, 53, 1), 2); /* an offer */
    assert_memory_equal(option_of(reply, size, 1, 4), &mask, 4);
    assert_memory_equal(option_of(reply, size, 3, 4), &gateway, 4);
    assert_memory_equal(option_of(reply, size, 6, 4), &gateway, 4);
    assert_memory_equal(option_of(reply, size, 54, 4), &gateway, 4);
    assert_memory_equal(option_of(reply, size, 12, 3), "old", 3);
    assert_memory_equal(option_of(reply, size, 15, 19), "back.visor.internal", 19);
    /* It takes it; wants another one; takes somebody else's offer; renews it. */
    size = dhcp_serve(&list, message,
                      make_request(message, 3, mac, "\x32\4\x0a\x09\0\3\x36\4\x0a\x09\0\1", 12), reply, &to);
    assert_int_equal(*option_of(reply, size, 53, 1), 5);
    size = dhcp_serve(&list, message, make_request(message, 3, mac, "\x32\4\x0a\x09\0\4", 6), reply, &to);
    assert_int_equal(*option_of(reply, size, 53, 1), 6);
    assert_true(to.s_addr == INADDR_BROADCAST && !option_of(reply, size, 1, 4));
    size =
        dhcp_serve(&list, message,
                   make_request(message, 3, mac, "\x32\4\x0a\x09\0\3\x36\4\x0a\x09\0\x63", 12), reply, &to);
    assert_int_equal(size, 0);
    make_request(message, 3, mac, "", 0);
    memcpy(message + 12, &own, 4);
    size = dhcp_serve(&list, message, sizeof message, reply, &to);
    assert_true(*option_of(reply, size, 53, 1) == 5 && to.s_addr == own.s_addr);
    list.internal = true;
    size = dhcp_serve(&list, message, make_request(message, 1, mac, "", 0), reply, &to);
    assert_null(option_of(reply, size, 3, 4)); /* no way outside */
    lease_list_free(&list);
}

static void test_requests_that_are_not_answered(void **state)
{
    struct lease_list list;
    struct in_addr to;
    uint8_t message[300], reply[DHCP_REPLY_MAX];
    static const uint8_t other[6] = {2, 0, 0, 0, 0, 1};
    static const struct {
        size_t offset;
        uint8_t value;
    } wrong[] = {{0, 2}, {1, 6}, {2, 16}, {24, 1}, {236, 0}, {242, 4}, {242, 7}, {242, 0}};
    (void)state;
    begin(&list, "10.9.0.0/24");
    add(&list, "old", "10.9.0.3");
    const uint8_t *mac = list.leases[0].mac;
    make_request(message, 1, mac, "", 0);
    for (size_t cut = 0; cut < 243; cut++)
        assert_int_equal(dhcp_serve(&list, message, cut, reply, &to), 0);
    assert_int_equal(dhcp_serve(&list, message, make_request(message, 1, other, "", 0), reply, &to), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        make_request(message, 1, mac, "", 0);
        message[wrong[i].offset] = wrong[i].value;
        assert_int_equal(dhcp_serve(&list, message, sizeof message, reply, &to), 0);
    }
    /* An address outside the network is not answered to. */
    make_request(message, 8, mac, "", 0);
    memcpy(message + 12, "\x08\x08\x08\x08", 4);
    assert_true(dhcp_serve(&list, message, sizeof message, reply, &to) && to.s_addr == INADDR_BROADCAST);
    lease_list_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_subnets),
        cmocka_unit_test(test_addresses_are_chosen),
        cmocka_unit_test(test_dead_leases_are_dropped),
        cmocka_unit_test(test_ports_are_one_domains),
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_an_address_has_a_name),
        cmocka_unit_test(test_many_of_one_name),
        cmocka_unit_test(test_queries_that_are_none),
        cmocka_unit_test(test_answers_of_others),
        cmocka_unit_test(test_a_machine_gets_its_address),
        cmocka_unit_test(test_requests_that_are_not_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
