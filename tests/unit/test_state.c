/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file of a saved domain: its sections, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "state/state_file.h"

#define HEADER 64

static int fd;

static int set_up(void **state)
{
    (void)state;
    fd = memfd_create("saved", MFD_CLOEXEC);
    return fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return close(fd);
}

static void write_section(struct state_writer *writer, const char *name, unsigned version, unsigned flags,
                          const char *text)
{
    struct state_section section = {.version = version, .flags = flags};
    struct buffer bytes = {0};
    struct error error = ERROR_INIT;
    strcpy(section.name, name);
    buffer_append(&bytes, text, strlen(text));
    assert_int_equal(state_write(writer, &section, &bytes, &error), 0);
    buffer_free(&bytes);
}

static void make_file(void)
{
    struct state_writer writer;
    struct error error = ERROR_INIT;
    char page[STATE_PAGE];
    memset(page, 'p', sizeof page);
    assert_int_equal(state_writer_begin(&writer, fd, &error), 0);
    write_section(&writer, "first", 1, 0, "one");
    write_section(&writer, "a-name-16-bytes!", 3, STATE_OPTIONAL, "");
    assert_int_equal(
        state_bulk_begin(&writer, &(struct state_section){"bulk", .version = 1}, 3 * STATE_PAGE, &error), 0);
    assert_int_equal(state_bulk_offset(&writer) % STATE_PAGE, 0);
    state_bulk_skip(&writer, STATE_PAGE);
    assert_int_equal(state_bulk_write(&writer, page, sizeof page, &error), 0);
    state_bulk_skip(&writer, STATE_PAGE);
    state_bulk_end(&writer);
    write_section(&writer, "last", 2, 0, "two");
    assert_int_equal(state_writer_end(&writer, &error), 0);
}

static void expect_text(struct state_reader *reader, const char *name, const char *text)
{
    struct buffer bytes = {0};
    struct error error = ERROR_INIT;
    assert_int_equal(state_read(reader, name, 9, NULL, &bytes, &error), 0);
    assert_int_equal(bytes.size, strlen(text));
    assert_true(!bytes.size || memcmp(bytes.data, text, bytes.size) == 0);
    buffer_free(&bytes);
}

static void test_round_trip(void **state)
{
    struct state_reader reader;
    const struct state_section *bulk;
    struct buffer bytes = {0};
    struct error error = ERROR_INIT;
    unsigned version;
    char page[STATE_PAGE];
    (void)state;
    make_file();
    assert_int_equal(state_reader_open(&reader, fd, &error), 0);
    assert_int_equal(reader.count, 4);
    expect_text(&reader, "first", "one");
    expect_text(&reader, "a-name-16-bytes!", "");
    assert_int_equal(state_read_bulk(&reader, "bulk", 1, &bulk, &error), 0);
    assert_int_equal(bulk->size, 3 * STATE_PAGE);
    assert_int_equal(state_read_at(&reader, bulk->offset + STATE_PAGE - 1, page, 2, &error), 0);
    assert_memory_equal(page, "\0p", 2);
    assert_int_equal(state_read(&reader, "last", 2, &version, &bytes, &error), 0);
    assert_int_equal(version, 2);
    assert_int_equal(state_read(&reader, "none", 2, NULL, &bytes, &error), -ENOENT);
    assert_int_equal(state_read(&reader, "bulk", 2, NULL, &bytes, &error), -EINVAL);
    assert_int_equal(state_read_bulk(&reader, "last", 2, &bulk, &error), -EINVAL);
    assert_int_equal(state_progress(fd), 100);
    buffer_free(&bytes);
}

/* What nobody has asked for must be optional; what is newer than who asks is refused. */
static void test_forward(void **state)
{
    struct state_reader reader;
    const struct state_section *bulk;
    struct buffer bytes = {0};
    struct error error = ERROR_INIT;
    (void)state;
    make_file();
    assert_int_equal(state_reader_open(&reader, fd, &error), 0);
    expect_text(&reader, "first", "one");
    assert_int_equal(state_read_bulk(&reader, "bulk", 1, &bulk, &error), 0);
    assert_int_equal(state_reader_check(&reader, &error), -EINVAL);
    assert_non_null(strstr(error.message, "\"last\" is not known"));
    assert_int_equal(state_read(&reader, "last", 1, NULL, &bytes, &error), -EINVAL);
    assert_non_null(strstr(error.message, "version 2, known is 1"));
    expect_text(&reader, "last", "two");
    assert_int_equal(state_reader_check(&reader, &error), 0);
}

static void refuse(const char *reason)
{
    struct state_reader reader;
    struct error error = ERROR_INIT;
    assert_int_equal(state_reader_open(&reader, fd, &error), -EINVAL);
    if (!strstr(error.message, reason))
        fail_msg("\"%s\" is not in \"%s\"", reason, error.message);
}

static void poke(off_t at, const void *bytes, size_t size)
{
    assert_int_equal(pwrite(fd, bytes, size, at), (ssize_t)size);
}

/* The header's checksum is made right again. */
static void sign(void)
{
    uint8_t header[HEADER];
    assert_int_equal(pread(fd, header, sizeof header, 0), (ssize_t)sizeof header);
    uint32_t sum = crc32c(0, header, HEADER - 4);
    poke(HEADER - 4, &sum, 4);
}

static void test_refusals(void **state)
{
    struct error error = ERROR_INIT;
    struct state_reader reader;
    struct buffer bytes = {0};
    struct state_writer writer;
    (void)state;
    refuse("no saved domain");
    poke(0, "this is a text, or whatever else somebody may take for a saved domain by mistake", 80);
    refuse("no saved domain");
    assert_false(state_file_is(fd));
    assert_int_equal(state_writer_begin(&writer, fd, &error), 0);
    write_section(&writer, "first", 1, 0, "a section that is long enough for a header to be there");
    assert_true(state_file_is(fd));
    refuse("not written to its end");
    make_file();
    poke(8, "\2", 1);
    refuse("format 2, known is 1");
    make_file();
    poke(40, "x", 1);
    refuse("header's checksum");
    make_file();
    off_t size = lseek(fd, 0, SEEK_END);
    poke(size - 1, "x", 1);
    refuse("table of sections is wrong");
    make_file();
    assert_int_equal(ftruncate(fd, size - 1), 0);
    refuse("cut off");
    make_file();
    poke(12, "\xff\xff\xff\xff", 4);
    sign();
    refuse("table of sections cannot be");
    make_file();
    poke(24, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    sign();
    refuse("table of sections cannot be");
    make_file();
    poke(HEADER, "X", 1);
    assert_int_equal(state_reader_open(&reader, fd, &error), 0);
    assert_int_equal(state_read(&reader, "first", 1, NULL, &bytes, &error), -EINVAL);
    assert_non_null(strstr(error.message, "section \"first\" is wrong"));
    buffer_free(&bytes);
}

/* While it is written, somebody else sees how far it is. */
static void test_progress(void **state)
{
    static char data[20 << 20];
    struct state_writer writer;
    struct error error = ERROR_INIT;
    (void)state;
    assert_int_equal(state_writer_begin(&writer, fd, &error), 0);
    assert_int_equal(
        state_bulk_begin(&writer, &(struct state_section){"bulk", .version = 1}, 2 * sizeof data, &error), 0);
    assert_int_equal(state_progress(fd), 0);
    assert_int_equal(state_bulk_write(&writer, data, sizeof data, &error), 0);
    assert_in_range(state_progress(fd), 45, 55);
}

/* RFC 3720, appendix B.4, and pieces of any length. */
static void test_crc32c(void **state)
{
    uint8_t bytes[64] = {0};
    (void)state;
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
    for (unsigned i = 0; i <= 32; i++)
        assert_int_equal(crc32c(crc32c(0, bytes, i), bytes + i, 32 - i), 0x46dd794e);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip), TEST(test_forward), TEST(test_refusals),
        TEST(test_progress),   TEST(test_crc32c),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
