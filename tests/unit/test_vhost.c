/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel's vhost is told, in order, of a kernel that is made up; and what of it is believed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/vhost/vhost.h"
#include "base/macros.h"

#define FEATURES (UINT64_C(1) << 32 | UINT64_C(1) << 15)

static char said[2048]; /* what it was told */
static uint64_t offered;
static int open_code;
static unsigned long refused; /* a request, */
static unsigned refusals;     /* the n-th of them */
static unsigned bases[VHOST_QUEUES];

static void note(const char *format, int a, int b)
{
    const size_t used = strlen(said);
    snprintf(said + used, sizeof said - used, format, a, b);
}

static int fake_open(const char *path)
{
    note("open ", 0, 0);
    assert_string_equal(path, "/dev/vhost-net");
    return open_code ? open_code : open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void note_table(const struct vhost_memory *table)
{
    note("memory", 0, 0);
    for (unsigned i = 0; i < table->nregions; i++)
        note(" %x+%x", (int)table->regions[i].guest_phys_addr, (int)table->regions[i].memory_size);
    note(" ", 0, 0);
}

static int fake_control(int fd, unsigned long request, void *argument)
{
    struct vhost_vring_state *state = argument;
    const struct vhost_vring_file *file = argument;
    const struct vhost_vring_addr *addresses = argument;
    assert_true(fd >= 0);
    if (request == refused && !--refusals)
        return -EBADFD;
    switch (request) {
    case VHOST_GET_FEATURES: *(uint64_t *)argument = offered; break;
    case VHOST_SET_FEATURES:
        assert_int_equal(*(uint64_t *)argument & ~offered, 0);
        note("features %x:%x ", (int)(*(uint64_t *)argument >> 32), (int)*(uint64_t *)argument);
        break;
    case VHOST_SET_OWNER: note("owner ", 0, 0); break;
    case VHOST_SET_MEM_TABLE: note_table(argument); break;
    case VHOST_SET_VRING_NUM: note("size%d=%d ", (int)state->index, (int)state->num); break;
    case VHOST_SET_VRING_BASE: note("base%d=%d ", (int)state->index, (int)state->num); break;
    case VHOST_GET_VRING_BASE: state->num = bases[state->index]; break;
    case VHOST_SET_VRING_ADDR:
        note("at%d=%x ", (int)addresses->index, (int)addresses->avail_user_addr);
        break;
    case VHOST_SET_VRING_ERR: note("error%d=%d ", (int)file->index, file->fd); break;
    case VHOST_SET_VRING_CALL: note("call%d=%d ", (int)file->index, file->fd); break;
    case VHOST_SET_VRING_KICK: note("kick%d=%d ", (int)file->index, file->fd); break;
    case VHOST_NET_SET_BACKEND: note("tap%d=%d ", (int)file->index, file->fd); break;
    default: fail_msg("request %lx", request);
    }
    return 0;
}

static const struct vhost_host host = {fake_open, fake_control};

static struct vhost *vhost;
static struct vhost_queue queues[VHOST_QUEUES];
static struct memory_piece items[] = {{0, 0xa0000, NULL}, {0x100000, 0x7f00000, NULL}};
static const struct memory_pieces pieces = {items, ARRAY_SIZE(items)};

static int set_up(void **state)
{
    (void)state;
    said[0] = '\0';
    offered = FEATURES | UINT64_C(1) << 29;
    open_code = 0;
    refused = refusals = 0;
    for (unsigned i = 0; i < VHOST_QUEUES; i++)
        queues[i] = (struct vhost_queue){.size = 256,
                                         .available = (uint16_t)(10 + i),
                                         .driver = (const uint8_t *)(uintptr_t)(0x1000 + i),
                                         .kick = (int)(20 + i),
                                         .call = (int)(30 + i)};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vhost_close(vhost);
    vhost = NULL;
    return 0;
}

static void open_it(void)
{
    assert_int_equal(vhost_net_open(&vhost, &host, FEATURES, NULL), 0);
    assert_string_equal(said, "open ");
    said[0] = '\0';
}

static int start(void)
{
    return vhost->ops->start(vhost, FEATURES | 1, &pieces, queues, 40, 50);
}

#define MEMORY_AND_QUEUES                                                                                    \
    "features 1:8000 memory 0+a0000 100000+7f00000 size0=256 base0=10 at0=1000 error0=40 call0=30 kick0=20 " \
    "size1=256 base1=11 at1=1001 error1=40 call1=31 kick1=21 "

static void test_start_tells_all_before_the_tap(void **state)
{
    (void)state;
    open_it();
    assert_int_equal(start(), 0);
    assert_string_equal(said, "owner " MEMORY_AND_QUEUES "tap0=50 tap1=50 ");
}

static void test_stop_takes_the_tap_first_and_the_indices_back(void **state)
{
    (void)state;
    open_it();
    assert_int_equal(start(), 0);
    said[0] = '\0';
    bases[0] = 77;
    bases[1] = 65535;
    vhost->ops->stop(vhost, queues);
    assert_string_equal(said, "tap0=-1 tap1=-1 kick0=-1 kick1=-1 ");
    assert_int_equal(queues[0].available, 77);
    assert_int_equal(queues[1].available, 65535);
}

/* The kernel has one owner for good. */
static void test_second_start_goes_on_from_there_with_the_same_owner(void **state)
{
    (void)state;
    open_it();
    assert_int_equal(start(), 0);
    bases[0] = 10;
    bases[1] = 11;
    vhost->ops->stop(vhost, queues);
    said[0] = '\0';
    assert_int_equal(start(), 0);
    assert_string_equal(said, MEMORY_AND_QUEUES "tap0=50 tap1=50 ");
}

static void test_refused_memory_leaves_nothing_that_listens(void **state)
{
    (void)state;
    open_it();
    refused = VHOST_SET_MEM_TABLE;
    refusals = 1;
    bases[0] = 99;
    assert_int_equal(start(), -EBADFD);
    assert_string_equal(said, "owner features 1:8000 kick0=-1 kick1=-1 ");
    assert_int_equal(queues[0].available, 10);
    said[0] = '\0';
    assert_int_equal(start(), 0); /* which it owns already */
    assert_string_equal(said, MEMORY_AND_QUEUES "tap0=50 tap1=50 ");
}

/* The first queue may have been served by then. */
static void test_refused_tap_takes_back_what_has_begun(void **state)
{
    (void)state;
    open_it();
    refused = VHOST_NET_SET_BACKEND;
    refusals = 2;
    bases[0] = 12;
    bases[1] = 11;
    assert_int_equal(start(), -EBADFD);
    assert_non_null(strstr(said, "tap0=50 tap0=-1 tap1=-1 kick0=-1 kick1=-1 "));
    assert_int_equal(queues[0].available, 12);
}

static void test_owned_before_it_is_not_owned_again(void **state)
{
    (void)state;
    open_it();
    assert_int_equal(vhost->ops->own(vhost), 0);
    assert_int_equal(start(), 0);
    assert_string_equal(said, "owner " MEMORY_AND_QUEUES "tap0=50 tap1=50 ");
}

static void test_refused_owner_is_tried_again(void **state)
{
    (void)state;
    open_it();
    refused = VHOST_SET_OWNER;
    refusals = 1;
    assert_int_equal(start(), -EBADFD);
    said[0] = '\0';
    assert_int_equal(start(), 0);
    assert_non_null(strstr(said, "owner "));
}

static void test_without_the_module_a_hint_names_it(void **state)
{
    struct error error = ERROR_INIT;
    (void)state;
    open_code = -ENOENT;
    assert_int_equal(vhost_net_open(&vhost, &host, FEATURES, &error), -ENOENT);
    assert_non_null(strstr(error.message, "cannot open /dev/vhost-net"));
    assert_non_null(strstr(error.hint, "modprobe vhost_net"));
    open_code = -EACCES;
    error = (struct error){0};
    assert_int_equal(vhost_net_open(&vhost, &host, FEATURES, &error), -EACCES);
    assert_non_null(strstr(error.hint, "group"));
}

/* The guest is to find the same device whoever serves it. */
static void test_a_kernel_that_lacks_a_feature_is_not_used(void **state)
{
    struct error error = ERROR_INIT;
    (void)state;
    offered = FEATURES & ~(UINT64_C(1) << 15);
    assert_int_equal(vhost_net_open(&vhost, &host, FEATURES, &error), -ENOTSUP);
    assert_null(vhost);
}

static void test_wishes(void **state)
{
    enum vhost_wish wish;
    struct error error = ERROR_INIT;
    (void)state;
    assert_int_equal(vhost_wish_parse(&wish, "on", &error), 0);
    assert_int_equal(wish, VHOST_ON);
    assert_int_equal(vhost_wish_parse(&wish, "off", &error), 0);
    assert_int_equal(wish, VHOST_OFF);
    assert_int_equal(vhost_wish_parse(&wish, "auto", &error), 0);
    assert_int_equal(wish, VHOST_AUTO);
    assert_int_equal(vhost_wish_parse(&wish, "yes", &error), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_start_tells_all_before_the_tap),
        TEST(test_stop_takes_the_tap_first_and_the_indices_back),
        TEST(test_second_start_goes_on_from_there_with_the_same_owner),
        TEST(test_refused_memory_leaves_nothing_that_listens),
        TEST(test_refused_tap_takes_back_what_has_begun),
        TEST(test_owned_before_it_is_not_owned_again),
        TEST(test_refused_owner_is_tried_again),
        TEST(test_without_the_module_a_hint_names_it),
        TEST(test_a_kernel_that_lacks_a_feature_is_not_used),
        TEST(test_wishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
