/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files to and from tar archives, of friends and of others. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/tar_read.h"
#include "archive/tar_write.h"
#include "archive/tree.h"

static char top[64]; /* with from/ and to/ in it */
static struct tree_options options;
static struct error error;

static char *path_of(const char *format, ...)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    va_list arguments;
    int size = snprintf(path, PATH_MAX, "%s/", top);
    va_start(arguments, format);
    vsnprintf(path + size, PATH_MAX - (size_t)size, format, arguments);
    va_end(arguments);
    return path;
}

static void shell(const char *script)
{
    char line[2048];
    snprintf(line, sizeof line, "cd %s && %s", top, script);
    assert_int_equal(system(line), 0);
}

static int begin(void **state)
{
    (void)state;
    strcpy(top, "/tmp/visor-archive-XXXXXX");
    if (!mkdtemp(top))
        return -1;
    error = (struct error)ERROR_INIT;
    options = (struct tree_options){.self = tree_open_self(&error)};
    return mkdir(path_of("from"), 0755) || mkdir(path_of("to"), 0755);
}

static int end(void **state)
{
    char line[200];
    (void)state;
    close(options.self);
    snprintf(line, sizeof line, "chmod -R u+rwx %s; rm -rf %s", top, top);
    return system(line);
}

static int open_it(const char *path)
{
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int archive_new(void)
{
    int fd = memfd_create("archive", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int pack(const char *path, const char *as, int archive)
{
    int object = open_it(path);
    int code = tree_pack(object, as, archive, &options, &error);
    close(object);
    lseek(archive, 0, SEEK_SET);
    return code;
}

static int unpack(int archive, const char *as)
{
    struct tree_unpack where = {.directory = open_it(path_of("to")), .as = as};
    lseek(archive, 0, SEEK_SET);
    int code = tree_unpack(&where, archive, &options, &error);
    close(where.directory);
    return code;
}

/* -- there and back -------------------------------------------------------------------------------------- */

static void test_tree(void **state)
{
    (void)state;
    int archive = archive_new();
    shell(
        "cd from && mkdir -p a/b/empty && echo hello >a/file && ln a/file a/b/second && ln -s ../file a/b/link && "
        "ln -s /etc/passwd a/outside && mkfifo a/fifo && head -c 300000 /dev/urandom >a/random && chmod 640 a/file && "
        "chmod 750 a/b && mkdir a/closed && echo x >a/closed/x && chmod 500 a/closed && touch -d @1000000000 a/file a/b && "
        "n=$(printf %0180d 7) && mkdir -p a/$n/$n && echo long >a/$n/$n/$n && ln -s $n/$n/$n/$n a/longlink && "
        "printf 'bytes' >\"a/$(printf '\\377\\303\\244')\"");
    assert_int_equal(pack(path_of("from/a"), "a", archive), 0);
    assert_int_equal(unpack(archive, NULL), 0);
    shell(
        "cd from && find . ! -type p ! -type s | sort >../list && (cd ../to && find . ! -type p | sort) | diff ../list - && "
        "diff -r --no-dereference a/b ../to/a/b && cmp a/random ../to/a/random && test -p ../to/a/fifo && "
        "test ../to/a/file -ef ../to/a/b/second && test $(readlink ../to/a/outside) = /etc/passwd && "
        "(cd a && find . -printf '%p %m %s %Ts %l\\n' | sort) >../list && "
        "(cd ../to/a && find . -printf '%p %m %s %Ts %l\\n' | sort) | diff ../list -");
    close(archive);
}

/* Other programs read what is written here. */
static void test_others_read_it(void **state)
{
    (void)state;
    int archive = archive_new();
    shell(
        "cd from && mkdir -p a/b && echo hello >a/file && ln a/file a/b/second && n=$(printf %0180d 7) && mkdir a/$n && "
        "echo long >a/$n/$n && ln -s $n/$n a/link");
    assert_int_equal(pack(path_of("from/a"), "other", archive), 0);
    char script[256];
    for (int i = 0; i < 2; i++) {
        snprintf(script, sizeof script,
                 "rm -rf to/* && %s -x -f /proc/%d/fd/%d -C to && diff -r --no-dereference from/a to/other",
                 i ? "busybox tar" : "tar", (int)getpid(), archive);
        shell(script);
    }
    close(archive);
}

static void test_we_read_others(void **state)
{
    (void)state;
    static const char *const programs[] = {"busybox tar",     "tar --format=gnu",   "tar --format=pax",
                                           "tar --format=v7", "tar --format=ustar", "tar -S --format=pax"};
    shell("cd from && mkdir -p a/b && echo hello >a/file && ln a/file a/b/second && ln -s file a/link && "
          "truncate -s 1M a/sparse && echo end >>a/sparse && mkdir \"a/$(printf '\\303\\244')\"");
    for (unsigned i = 0; i < 6; i++) {
        char script[256];
        snprintf(script, sizeof script, "rm -rf to/* && %s -cf archive -C from ./a", programs[i]);
        shell(script);
        int archive = open(path_of("archive"), O_RDONLY | O_CLOEXEC);
        assert_int_equal(unpack(archive, "new name"), 0);
        shell(
            "diff -r --no-dereference from/a 'to/new name' && test 'to/new name/file' -ef 'to/new name/b/second'");
        close(archive);
    }
}

static void test_one_file(void **state)
{
    (void)state;
    int archive = archive_new();
    shell("echo hello >from/file && echo before >to/renamed && ln to/renamed to/kept");
    assert_int_equal(pack(path_of("from/file"), "file", archive), 0);
    assert_int_equal(unpack(archive, "renamed"), 0);
    shell("test $(cat to/renamed) = hello && test $(cat to/kept) = before && test $(ls to | wc -l) = 2");
    close(archive);
}

static void test_contents(void **state)
{
    (void)state;
    int archive = archive_new();
    shell("mkdir from/a to/a && echo 1 >from/a/one && echo 2 >to/a/two && chmod 711 to/a");
    assert_int_equal(pack(path_of("from"), "", archive), 0);
    assert_int_equal(unpack(archive, NULL), 0);
    shell("test $(stat -c %a to/a) = 711 && test $(cat to/a/one) = 1 && test $(cat to/a/two) = 2");
    close(archive);
}

static char seen[256];

static void note_left_out(void *opaque, const char *path, const char *why)
{
    (void)opaque;
    snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s: %s\n", path, why);
}

static void test_modes(void **state)
{
    (void)state;
    int archive = archive_new();
    shell("echo x >from/set && chmod 6755 from/set");
    assert_int_equal(pack(path_of("from"), "", archive), 0);
    assert_int_equal(unpack(archive, NULL), 0);
    shell("test $(stat -c %a to/set) = 755");
    close(archive);
    archive = archive_new();
    options.special = true;
    assert_int_equal(pack(path_of("from"), "", archive), 0);
    assert_int_equal(unpack(archive, NULL), 0);
    shell("test $(stat -c %a to/set) = 6755");
    close(archive);
}

static void test_owners(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    int archive = archive_new();
    shell("echo x >from/his && chown 77:88 from/his && ln -s x from/link && chown -h 79:80 from/link");
    options.owner = true;
    assert_int_equal(pack(path_of("from"), "", archive), 0);
    assert_int_equal(unpack(archive, NULL), 0);
    shell("test $(stat -c %u:%g to/his) = 77:88 && test $(stat -c %u:%g to/link) = 79:80");
    options.owner = false;
    assert_int_equal(unpack(archive, NULL), 0);
    shell("test $(stat -c %u:%g to/his) = 0:0");
    close(archive);
}

static void test_devices_are_left_out(void **state)
{
    (void)state;
    int archive = archive_new();
    options.left_out = note_left_out;
    seen[0] = '\0';
    if (geteuid() != 0)
        skip();
    assert_int_equal(mknod(path_of("from/null"), S_IFCHR | 0666, makedev(1, 3)), 0);
    assert_int_equal(pack(path_of("from"), "", archive), 0);
    assert_string_equal(seen, "null: a device\n");
    close(archive);
    shell("tar -cf archive -C from .");
    archive = open(path_of("archive"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(unpack(archive, NULL), 0);
    assert_non_null(strstr(seen + 10, "null: "));
    shell("test ! -e to/null");
    close(archive);
}

/* -- of others ------------------------------------------------------------------------------------------- */

static struct tar_writer writer;

static int made_archive(const struct tar_entry *entries, unsigned count)
{
    int archive = archive_new();
    tar_write_begin(&writer, archive);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(tar_write_entry(&writer, &entries[i], &error), 0);
        if (entries[i].type == TAR_FILE) {
            assert_int_equal(tar_write_data(&writer, "evil", 4, &error), 0);
            assert_int_equal(tar_write_file_end(&writer, &error), 0);
        }
    }
    assert_int_equal(tar_write_end(&writer, &error), 0);
    return archive;
}

static int unpack_made(const struct tar_entry *entries, unsigned count, const char *as)
{
    int archive = made_archive(entries, count);
    int code = unpack(archive, as);
    close(archive);
    shell("test ! -e evil && test ! -e from/evil && test -z \"$(find to -name evil ! -type l)\"");
    return code;
}

#define FILE_AT(name)                                                                                        \
    {                                                                                                        \
        .type = TAR_FILE, .path = name, .mode = 0644, .size = 4                                              \
    }
#define LINK_TO(name, to)                                                                                    \
    {                                                                                                        \
        .type = TAR_SYMBOLIC_LINK, .path = name, .link = to, .mode = 0777                                    \
    }
#define HARD_TO(name, to)                                                                                    \
    {                                                                                                        \
        .type = TAR_HARD_LINK, .path = name, .link = to, .mode = 0644                                        \
    }
#define UNPACK(as, ...)                                                                                      \
    unpack_made((const struct tar_entry[]){__VA_ARGS__},                                                     \
                sizeof((const struct tar_entry[]){__VA_ARGS__}) / sizeof(struct tar_entry), as)

static void test_names_that_lead_out(void **state)
{
    (void)state;
    char absolute[128];
    snprintf(absolute, sizeof absolute, "%s/evil", top);
    assert_int_equal(UNPACK(NULL, FILE_AT("../evil")), -EPERM);
    assert_int_equal(UNPACK(NULL, FILE_AT("a/../../evil")), -EPERM);
    assert_int_equal(UNPACK("a", FILE_AT("../evil")), -EPERM);
    assert_int_equal(UNPACK("a", FILE_AT("..")), -EPERM);
    assert_int_equal(UNPACK(NULL, FILE_AT(absolute)), -EPERM);
    assert_int_equal(UNPACK(NULL, HARD_TO("x", "../from/file")), -EPERM);
    assert_non_null(strstr(error.message, "leads out"));
}

static void test_links_are_not_followed(void **state)
{
    (void)state;
    assert_int_equal(UNPACK(NULL, LINK_TO("a", ".."), FILE_AT("a/evil")), -ELOOP);
    assert_non_null(strstr(error.message, "symbolic link"));
    assert_int_equal(UNPACK(NULL, LINK_TO("b", "/tmp"), FILE_AT("b/c/evil")), -ELOOP);
    assert_int_equal(UNPACK("new", LINK_TO("x", "../.."), FILE_AT("y/evil")), -ELOOP);
    /* a directory's entry does not make one of a link, nor does what comes at its end reach through it */
    assert_int_equal(
        UNPACK(NULL, LINK_TO("d", "../from"), {.type = TAR_DIRECTORY, .path = "d", .mode = 0777}), -ENOTDIR);
    /* a file in the place of a link replaces that */
    shell("echo kept >from/file");
    assert_int_equal(UNPACK(NULL, LINK_TO("l", "../from/file"), FILE_AT("l")), 0);
    shell("test $(cat from/file) = kept && test $(cat to/l) = evil && test ! -L to/l");
    /* one that was there before, too */
    shell("ln -s ../from to/there");
    assert_int_equal(UNPACK(NULL, FILE_AT("there/evil")), -ELOOP);
}

static void test_hard_links_are_its_own(void **state)
{
    (void)state;
    shell("echo mine >to/mine");
    assert_int_equal(UNPACK(NULL, HARD_TO("x", "mine")), -EPERM);
    shell("test ! -e to/x");
    assert_int_equal(UNPACK(NULL, LINK_TO("d", "../from"), HARD_TO("x", "d/file")), -ELOOP);
    shell("echo secret >from/file && rm -f to/d");
    /* a link to a symbolic link is that, and no file of the archive's */
    assert_int_equal(UNPACK(NULL, LINK_TO("s", "../from/file"), HARD_TO("x", "s")), -EPERM);
    shell("test ! -e to/x");
    assert_int_equal(UNPACK(NULL, FILE_AT("one"), HARD_TO("two", "one"), HARD_TO("one", "one")), 0);
    shell("test to/one -ef to/two");
}

static void test_kinds_do_not_replace_each_other(void **state)
{
    (void)state;
    shell("mkdir to/d && echo f >to/f");
    assert_int_equal(UNPACK(NULL, FILE_AT("d")), -EISDIR);
    assert_int_equal(UNPACK(NULL, {.type = TAR_DIRECTORY, .path = "f", .mode = 0755}), -ENOTDIR);
    assert_int_equal(UNPACK(NULL, FILE_AT("f/evil")), -ENOTDIR);
    shell("test $(cat to/f) = f && test -d to/d");
}

static void test_no_archive(void **state)
{
    (void)state;
    int archive = archive_new();
    assert_int_equal(unpack(archive, NULL), -EPROTO); /* an empty one */
    assert_int_equal(write(archive, "this is no archive, and nobody has said so", 40), 40);
    assert_int_equal(unpack(archive, NULL), -EPROTO);
    close(archive);
    shell("mkdir from/a && head -c 100000 /dev/urandom >from/a/half");
    archive = archive_new();
    assert_int_equal(pack(path_of("from/a"), "a", archive), 0);
    assert_int_equal(ftruncate(archive, 50000), 0);
    assert_int_equal(unpack(archive, NULL), -EPROTO);
    shell("test -d to/a && test -z \"$(ls -A to/a)\""); /* no half of a file stays */
    shell("echo before >to/a/half");
    assert_int_equal(unpack(archive, NULL), -EPROTO);
    shell("test \"$(ls -A to/a)\" = half && test $(cat to/a/half) = before");
    close(archive);
}

/* Who is killed in the middle leaves nothing of the file that was under way. */
static void test_killed(void **state)
{
    (void)state;
    int ends[2], archive = archive_new();
    static char half[50000];
    shell("head -c 100000 /dev/urandom >from/half && echo before >to/half");
    assert_int_equal(pack(path_of("from"), "", archive), 0);
    assert_int_equal(read(archive, half, sizeof half), (ssize_t)sizeof half);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (!pid) {
        const struct tree_unpack where = {.directory = open(path_of("to"), O_PATH | O_DIRECTORY)};
        close(ends[1]);
        _exit(tree_unpack(&where, ends[0], &options, &error) != 0);
    }
    close(ends[0]);
    assert_int_equal(write(ends[1], half, sizeof half), (ssize_t)sizeof half);
    usleep(50000); /* it may be anywhere: nothing depends on that */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ends[1]);
    shell("test \"$(ls -A to)\" = half && test $(cat to/half) = before");
    close(archive);
}

static void test_repack(void **state)
{
    (void)state;
    shell(
        "mkdir -p from/a && echo hello >from/a/file && ln from/a/file from/a/second && chmod 4711 from/a/file && "
        "truncate -s 1M from/a/sparse && echo end >>from/a/sparse && tar -S --format=pax --owner=77 -cf archive -C from a");
    int from = open(path_of("archive"), O_RDONLY | O_CLOEXEC), archive = archive_new();
    assert_int_equal(tree_repack(from, archive, &options, &error), 0);
    assert_int_equal(unpack(archive, NULL), 0);
    shell("diff -r from/a to/a && test to/a/file -ef to/a/second && test $(stat -c %a to/a/file) = 711");
    close(archive);
    close(from);
    const struct tar_entry bad[] = {FILE_AT("ok"), FILE_AT("../evil")};
    from = made_archive(bad, 2);
    lseek(from, 0, SEEK_SET);
    archive = archive_new();
    assert_int_equal(tree_repack(from, archive, &options, &error), -EPERM);
    close(archive);
    close(from);
}

/* -- races ----------------------------------------------------------------------------------------------- */

static atomic_bool racing;

/* A directory and a link that leads out take each other's place. */
static void *exchange(void *opaque)
{
    const char *const *names = opaque;
    while (racing)
        renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE);
    return NULL;
}

static void test_pack_against_exchange(void **state)
{
    (void)state;
    char first[PATH_MAX], second[PATH_MAX];
    const char *names[] = {first, second};
    pthread_t thread;
    shell(
        "mkdir -p from/a/d secret && echo SECRET-TEXT >secret/file && echo plain >from/a/d/file && ln -s ../../secret from/link");
    snprintf(first, sizeof first, "%s", path_of("from/a/d"));
    snprintf(second, sizeof second, "%s", path_of("from/link"));
    racing = true;
    assert_int_equal(pthread_create(&thread, NULL, exchange, names), 0);
    for (unsigned i = 0; i < 400; i++) {
        static char content[1 << 20];
        int archive = archive_new();
        pack(path_of("from/a"), "a", archive);
        ssize_t size = read(archive, content, sizeof content);
        assert_true(size >= 0 && !memmem(content, (size_t)size, "SECRET-TEXT", 11));
        close(archive);
    }
    racing = false;
    pthread_join(thread, NULL);
}

static void test_unpack_against_exchange(void **state)
{
    (void)state;
    char first[PATH_MAX], second[PATH_MAX];
    const char *names[] = {first, second};
    pthread_t thread;
    shell("mkdir -p to/d secret && ln -s ../secret to/link");
    snprintf(first, sizeof first, "%s", path_of("to/d"));
    snprintf(second, sizeof second, "%s", path_of("to/link"));
    const struct tar_entry entries[] = {
        {.type = TAR_DIRECTORY, .path = "d/new", .mode = 0755}, FILE_AT("d/new/evil"), FILE_AT("d/evil")};
    int archive = made_archive(entries, 3);
    racing = true;
    assert_int_equal(pthread_create(&thread, NULL, exchange, names), 0);
    for (unsigned i = 0; i < 400; i++)
        unpack(archive, NULL);
    racing = false;
    pthread_join(thread, NULL);
    shell("test -z \"$(ls secret)\"");
    close(archive);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tree),
        TEST(test_others_read_it),
        TEST(test_we_read_others),
        TEST(test_one_file),
        TEST(test_contents),
        TEST(test_modes),
        TEST(test_owners),
        TEST(test_devices_are_left_out),
        TEST(test_names_that_lead_out),
        TEST(test_links_are_not_followed),
        TEST(test_hard_links_are_its_own),
        TEST(test_kinds_do_not_replace_each_other),
        TEST(test_no_archive),
        TEST(test_killed),
        TEST(test_repack),
        TEST(test_pack_against_exchange),
        TEST(test_unpack_against_exchange),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
