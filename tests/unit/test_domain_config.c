/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration of domains: what the table of fields makes of documents and texts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/similar.h"
#include "domain/kind.h"

static int parse(struct domain_config *config, const char *text, struct error *error)
{
    *error = (struct error)ERROR_INIT;
    assert_int_equal(domain_config_init(config, error), 0);
    return domain_config_parse(config, text, strlen(text), "x", error);
}

static void assert_refused(const char *text, const char *message, const char *hint)
{
    struct domain_config config;
    struct error error;
    assert_true(parse(&config, text, &error) < 0);
    assert_string_equal(error.message, message);
    if (hint)
        assert_string_equal(error.hint, hint);
    domain_config_free(&config);
}

static void test_presets(void **state)
{
    struct domain_config config;
    struct error error;
    (void)state;
    assert_int_equal(parse(&config, "{}", &error), 0);
    assert_string_equal(config.kind, "machine");
    assert_int_equal(config.machine.memory, UINT64_C(1) << 30);
    assert_int_equal(config.machine.cpus, 1);
    assert_null(config.machine.kernel);
    domain_config_free(&config);
}

static void test_errors_name_field_value_and_range(void **state)
{
    (void)state;
    assert_refused("{\"machine\": {\"cpus\": 300}}", "x: machine.cpus 300 is not one of 1 to 255", NULL);
    assert_refused("{\"machine\": {\"cpus\": -1}}", "x: machine.cpus -1 is not one of 1 to 255", NULL);
    assert_refused("{\"machine\": {\"cpus\": \"two\"}}",
                   "x: machine.cpus \"two\": a number from 1 to 255 is wanted", NULL);
    assert_refused("{\"machine\": {\"cpus\": 1.5}}", "x: machine.cpus 1.5: a number from 1 to 255 is wanted",
                   NULL);
    assert_refused("{\"machine\": {\"memory\": 5}}",
                   "x: machine.memory 5 is not one of 2097152 to 549755813888", NULL);
    assert_refused("{\"machine\": {\"disks\": [\"a\", 7]}}", "x: machine.disks[1] 7: a text is wanted", NULL);
    assert_refused("{\"machine\": {\"disks\": [\"a\", \"b,colour=red\"]}}",
                   "x: machine.disks[1] \"b,colour=red\": a disk has no option \"colour=red\"", NULL);
    assert_refused("{\"machine\": {\"snapshot\": 1}}", "x: machine.snapshot 1: true or false is wanted",
                   NULL);
    assert_refused("{\"machine\": []}", "x: machine []: an object is wanted", NULL);
    assert_refused("{\"kind\": \"vm\"}",
                   "x: kind \"vm\" is not known; there are machine, program and container", NULL);
    assert_refused(
        "{\"restart\": \"on-failure:0\"}",
        "x: restart \"on-failure:0\": it is no, on-failure, on-failure:N, always or unless-stopped", NULL);
    assert_refused("{\"machine\": {\"kernel\": \"a\\u0000b\"}}",
                   "x: machine.kernel: the text has a zero byte in it", NULL);
    assert_refused("[]", "x: a configuration is a JSON object", NULL);
    assert_refused("{\"kind\": \"program\", \"machine\": {}}",
                   "x: machine: a domain of kind \"program\" has no such part", NULL);
}

static void test_unknown_fields_are_errors(void **state)
{
    (void)state;
    assert_refused("{\"machine\": {\"memroy\": 1}}", "x: machine.memroy: there is no such field",
                   "did you mean machine.memory?");
    assert_refused("{\"machin\": {}}", "x: machin: there is no such field", "did you mean machine?");
    assert_refused("{\"colour\": 1}", "x: colour: there is no such field",
                   "\"visor create --schema\" lists the fields");
}

static void test_no_json(void **state)
{
    struct domain_config config;
    struct error error;
    (void)state;
    static const char *const texts[] = {"", "{", "{\"a\": 1, \"a\": 2}", "{} {}", "\xff"};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(parse(&config, texts[i], &error), -EINVAL);
        assert_non_null(strstr(error.message, "no valid JSON"));
        assert_memory_equal(error.message, "x:1:", 3);
        domain_config_free(&config);
    }
}

/* Whatever can be set is in the document, and the document gives the same again. */
static void test_round_trip(void **state)
{
    static const char text[] =
        "{\"kind\": \"machine\", \"restart\": \"on-failure:3\", \"remove\": false, \"stop_timeout\": 7,"
        " \"log_size\": \"1M\", \"labels\": {\"a\": \"b=c\", \"d\": \"\"}, \"trace\": [\"guest\"],"
        " \"gdb\": \"1234\", \"machine\": {\"type\": \"pc\", \"engine\": \"kvm\", \"irqchip\": \"split\", \"cpu\": \"486\", \"cpus\": 2,"
        " \"memory\": \"96M\", \"memory_min\": \"64M\", \"memory_max\": \"128M\", \"huge_pages\": true, \"ksm\": true,"
        " \"cpu_limit\": \"1.5\", \"cpu_shares\": 512, \"pin\": [\"0:1\", \"rest:0,2-3\"],"
        " \"kernel\": \"/k\", \"initrd\": \"/i\", \"append\": \"x y\", \"disks\": [\"/d,readonly\", \"/e\"],"
        " \"snapshot\": true, \"nets\": [\"none\"], \"consoles\": [\"stdio\"], \"virtio_console\": \"none\","
        " \"vsock\": \"/v\", \"qmp\": \"unix:/q\", \"no_reboot\": true, \"vmport\": true, \"cage\": \"required\", \"no_cage\": true,"
        " \"debug_exit\": 501, \"debug_console\": true}}";
    struct domain_config config;
    struct error error;
    (void)state;
    assert_int_equal(parse(&config, text, &error), 0);
    json_t *wanted = json_loads(text, 0, NULL), *got = domain_config_json(&config);
    char *a = json_dumps(wanted, JSON_SORT_KEYS), *b = json_dumps(got, JSON_SORT_KEYS);
    assert_string_equal(a, b);
    free(a);
    free(b);
    json_decref(wanted);
    json_decref(got);
    domain_config_free(&config);
}

static void test_paths_become_absolute(void **state)
{
    struct domain_config config;
    struct error error;
    (void)state;
    assert_int_equal(
        parse(&config,
              "{\"machine\": {\"kernel\": \"k\", \"initrd\": \"/i\", \"disks\": [\"a,,b,readonly\"],"
              " \"consoles\": [\"unix:s\", \"stdio\"]}}",
              &error),
        0);
    assert_int_equal(domain_config_resolve(&config, "/x,y", &error), 0);
    assert_string_equal(config.machine.kernel, "/x,y/k");
    assert_string_equal(config.machine.initrd, "/i");
    assert_string_equal(config.machine.disks.items[0], "/x,,y/a,,b,readonly");
    assert_string_equal(config.machine.consoles.items[0], "unix:/x,y/s");
    assert_string_equal(config.machine.consoles.items[1], "stdio");
    assert_null(config.program.workdir);
    domain_config_free(&config);
}

static void test_programs_start_where_paths_begin(void **state)
{
    static const struct {
        const char *text, *workdir;
    } cases[] = {{"{\"kind\": \"program\"}", "/x"},
                 {"{\"kind\": \"program\", \"program\": {\"workdir\": \"/y\"}}", "/y"},
                 {"{\"kind\": \"program\", \"program\": {\"root\": \"r\"}}", NULL}};
    struct domain_config config;
    struct error error;
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(parse(&config, cases[i].text, &error), 0);
        assert_int_equal(domain_config_resolve(&config, "/x", &error), 0);
        if (cases[i].workdir)
            assert_string_equal(config.program.workdir, cases[i].workdir);
        else
            assert_null(config.program.workdir);
        domain_config_free(&config);
    }
}

/* Each field is in the schema, with its range. */
static void test_differences(void **state)
{
    struct domain_config one, two;
    struct error error;
    (void)state;
    assert_int_equal(parse(&one, "{\"labels\": {\"a\": \"b\"}, \"machine\": {\"kernel\": \"/k\"}}", &error),
                     0);
    assert_int_equal(
        parse(&two, "{\"remove\": true, \"machine\": {\"kernel\": \"/k\", \"cpus\": 2}}", &error), 0);
    const struct domain_field **fields = domain_config_differences(&one, &one);
    assert_non_null(fields);
    assert_null(fields[0]);
    free(fields);
    fields = domain_config_differences(&one, &two);
    assert_string_equal(fields[0]->name, "remove");
    assert_string_equal(fields[1]->name, "labels");
    assert_string_equal(fields[2]->name, "cpus");
    assert_null(fields[3]);
    free(fields);
    domain_config_free(&one);
    domain_config_free(&two);
}

static void test_schema(void **state)
{
    json_t *schema = domain_config_schema(), *top = json_object_get(schema, "properties");
    (void)state;
    assert_non_null(top);
    for (const struct domain_field *field = domain_fields; field->name; field++) {
        json_t *in =
            field->section ? json_object_get(json_object_get(top, field->section), "properties") : top;
        json_t *one = json_object_get(in, field->name);
        assert_non_null(one);
        assert_string_equal(json_string_value(json_object_get(one, "description")), field->help);
        if (field->type == DOMAIN_NUMBER)
            assert_int_equal(json_integer_value(json_object_get(one, "maximum")), field->most);
    }
    assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
    json_decref(schema);
}

static void test_similar(void **state)
{
    (void)state;
    assert_int_equal(similar_distance("memroy", "memory", 5), 1);
    assert_int_equal(similar_distance("", "abc", 5), 3);
    assert_int_equal(similar_distance("abc", "abc", 5), 0);
    assert_int_equal(similar_distance("kitten", "sitting", 5), 3);
    assert_int_equal(similar_distance("kitten", "sitting", 2), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_errors_name_field_value_and_range),
        cmocka_unit_test(test_unknown_fields_are_errors),
        cmocka_unit_test(test_no_json),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_paths_become_absolute),
        cmocka_unit_test(test_programs_start_where_paths_begin),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_similar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
