/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Classes of service (linux.intelRdt), by a directory that looks like resctrl's file system. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "personality/container/rdt.h"

static char root[] = "/tmp/visor-rdt-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static const char *get(const char *name)
{
    static char text[512];
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static bool is_there(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return access(path, F_OK) == 0;
}

static void make(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* What the kernel puts into a new group. */
static void fill(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/tasks", name);
    put(path, "");
    snprintf(path, sizeof path, "%s/schemata", name);
    put(path, "");
    snprintf(path, sizeof path, "%s/mon_groups", name);
    make(path);
}

static void clear(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "rm -rf %s/%s", root, name);
    assert_int_equal(system(path), 0);
}

static int start(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    make("info");
    put("info/last_cmd_status", "ok\n");
    put("mounts", "proc /proc proc rw 0 0\nresctrl /where\\040ever resctrl rw,relatime 0 0\n");
    put("none", "proc /proc proc rw 0 0\n");
    make("given");
    fill("given");
    put("given/schemata", "    MB:0= 20;1=  70\n    L3:0=007f0;1=0001f\n");
    put("tasks", "");
    put("schemata", "    L3:0=7ff;1=7ff\n");
    return 0;
}

static int end(void **state)
{
    (void)state;
    clear("");
    return 0;
}

static void test_find(void **state)
{
    struct error error = ERROR_INIT;
    char found[PATH_MAX], mounts[PATH_MAX];
    (void)state;
    snprintf(mounts, sizeof mounts, "%s/mounts", root);
    assert_int_equal(rdt_find(found, mounts, &error), 0);
    assert_string_equal(found, "/where ever");
    snprintf(mounts, sizeof mounts, "%s/none", root);
    assert_int_equal(rdt_find(found, mounts, &error), -ENOTSUP);
    assert_non_null(strstr(error.message, "no resctrl file system is mounted"));
    snprintf(mounts, sizeof mounts, "%s/nowhere", root);
    assert_int_equal(rdt_find(found, mounts, &error), -ENOTSUP);
}

/* Without closID: a class of the container's id, which goes with it. */
static void test_own(void **state)
{
    static const char *lines[] = {"L2:0=f;1=f"};
    const struct oci_rdt settings = {
        .l3 = "L3:0=7f0;1=1f\nMB:0=10", .bandwidth = "MB:0=20;1=70", .schemata = lines, .schemata_count = 1};
    struct error error = ERROR_INIT;
    struct rdt rdt, again;
    (void)state;
    assert_int_equal(rdt_claim(&rdt, root, &settings, "c1", &error), 0);
    assert_true(is_there("c1"));
    fill("c1");
    assert_int_equal(rdt_apply(&rdt, &error), 0);
    assert_string_equal(get("c1/schemata"), "L3:0=7f0;1=1f\nMB:0=20;1=70\nL2:0=f;1=f\n");
    assert_int_equal(rdt_enter(&rdt, 4711, &error), 0);
    assert_string_equal(get("c1/tasks"), "4711\n");
    /* Another one of this id takes nothing over, and removes nothing. */
    assert_int_equal(rdt_claim(&again, root, &settings, "c1", &error), -EEXIST);
    assert_int_equal(rdt_remove(&again, &error), 0);
    assert_true(is_there("c1/tasks"));
    clear("c1/*");
    assert_int_equal(rdt_remove(&rdt, &error), 0);
    assert_false(is_there("c1"));
    assert_int_equal(rdt_remove(&rdt, &error), 0);
}

/* A class that is there is compared, joined and kept. */
static void test_given(void **state)
{
    static const struct {
        const char *l3, *bandwidth;
        int code;
    } cases[] = {
        {NULL, NULL, 0},
        {"L3:0=7f0;1=1f", NULL, 0},
        {"L3:1=1F", "MB:1=70", 0},
        {"L3:0=7f0;1=1e", NULL, -EINVAL},
        {"L3:2=7f0", NULL, -EINVAL},
        {NULL, "MB:0=2", -EINVAL},
        {"L2:0=f", NULL, -EINVAL},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct oci_rdt settings = {
            .class = "given", .l3 = cases[i].l3, .bandwidth = cases[i].bandwidth};
        struct error error = ERROR_INIT;
        struct rdt rdt;
        assert_int_equal(rdt_claim(&rdt, root, &settings, "c2", &error), 0);
        assert_int_equal(rdt_apply(&rdt, &error), cases[i].code);
        if (cases[i].code)
            assert_non_null(strstr(error.message, "\"given\" is there, and does not have"));
        assert_string_equal(get("given/schemata"), "    MB:0= 20;1=  70\n    L3:0=007f0;1=0001f\n");
        assert_int_equal(rdt_enter(&rdt, 12, &error), 0);
        assert_string_equal(get("given/tasks"), "12\n");
        assert_int_equal(rdt_remove(&rdt, &error), 0);
        assert_true(is_there("given"));
    }
}

static void test_default_and_missing(void **state)
{
    const struct oci_rdt usual = {.class = "/", .l3 = "L3:0=7ff"}, missing = {.class = "nowhere"},
                         new = {.class = "new", .bandwidth = "MB:0=50"};
    struct error error = ERROR_INIT;
    struct rdt rdt;
    (void)state;
    assert_int_equal(rdt_claim(&rdt, root, &usual, "c3", &error), 0);
    assert_int_equal(rdt_apply(&rdt, &error), 0);
    assert_int_equal(rdt_enter(&rdt, 7, &error), 0);
    assert_string_equal(get("tasks"), "7\n");
    assert_int_equal(rdt_claim(&rdt, root, &missing, "c3", &error), -ENOENT);
    assert_non_null(strstr(error.message, "no class of service \"nowhere\""));
    assert_int_equal(rdt_claim(&rdt, root, &new, "c3", &error), 0);
    fill("new");
    assert_int_equal(rdt_apply(&rdt, &error), 0);
    assert_string_equal(get("new/schemata"), "MB:0=50\n");
    assert_int_equal(rdt_remove(&rdt, &error), 0);
    assert_true(is_there("new"));
}

static void test_monitoring(void **state)
{
    const struct oci_rdt settings = {.class = "given", .monitoring = true};
    struct error error = ERROR_INIT;
    struct rdt rdt;
    (void)state;
    assert_int_equal(rdt_claim(&rdt, root, &settings, "c4", &error), 0);
    assert_int_equal(rdt_apply(&rdt, &error), 0);
    put("given/mon_groups/c4/tasks", "");
    assert_int_equal(rdt_enter(&rdt, 9, &error), 0);
    assert_string_equal(get("given/mon_groups/c4/tasks"), "9\n");
    clear("given/mon_groups/c4/*");
    assert_int_equal(rdt_remove(&rdt, &error), 0);
    assert_false(is_there("given/mon_groups/c4"));
    /* What the kernel says goes into the error. */
    clear("given/mon_groups");
    put("info/last_cmd_status", "Out of CLOSIDs\n");
    assert_int_equal(rdt_apply(&rdt, &error), -ENOENT);
    assert_non_null(strstr(error.message, "(\"Out of CLOSIDs\")"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),       cmocka_unit_test(test_own),
        cmocka_unit_test(test_given),      cmocka_unit_test(test_default_and_missing),
        cmocka_unit_test(test_monitoring),
    };
    return cmocka_run_group_tests(tests, start, end);
}
