/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Groups of domains: what is read from a file, in which order it starts, and what has changed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "group/document.h"
#include "group/group.h"

static const char *const environment[] = {"HOME=/root", "EMPTY=", "NUMBER=3", "FROM=environment", NULL};

static int read_text(struct group *group, const char *text, struct error *error)
{
    static const char variables[] = "FROM=file\nFILE='a b' # comment\nexport QUOTED=\"$FILE\\n\\$HOME\"\n";
    const struct group_source source = {
        .text = text,
        .size = strlen(text),
        .path = "x.yaml",
        .directory = "/srv/lab",
        .environment = environment,
        .variables = variables,
        .variables_path = ".env",
        .variables_size = sizeof variables - 1,
    };
    *error = (struct error)ERROR_INIT;
    return group_read(group, &source, error);
}

static void assert_refused(const char *text, const char *message, const char *hint)
{
    struct group group;
    struct error error;
    assert_true(read_text(&group, text, &error) < 0);
    assert_string_equal(error.message, message);
    if (hint)
        assert_string_equal(error.hint, hint);
    group_free(&group);
}

static void assert_read(struct group *group, const char *text)
{
    struct error error;
    if (read_text(group, text, &error))
        fail_msg("%s", error.message);
}

static const char *label(const struct group_domain *domain, const char *name)
{
    const char *value = group_label(&domain->config, name);
    return value ? value : "(none)";
}

/* -- the reader ------------------------------------------------------------------------------------------ */

static void test_domains_are_configurations(void **state)
{
    struct group group;
    (void)state;
    assert_read(&group, "domains:\n"
                        "  vm: {machine: {disks: [a.img], memory: 64M, cpus: 2}, restart: no}\n"
                        "  tool:\n"
                        "    labels: {tier: 1}\n"
                        "    program:\n"
                        "      command: [./tool, 1.10, no, ~/x]\n"
                        "      env: {A: 010, B: true}\n");
    assert_string_equal(group.name, "lab");
    assert_int_equal(group.count, 2);
    const struct group_domain *vm = &group.domains[0], *tool = &group.domains[1];
    assert_string_equal(vm->full_name, "lab-vm");
    assert_string_equal(vm->config.kind, "machine");
    assert_string_equal(vm->config.machine.disks.items[0], "/srv/lab/a.img");
    assert_int_equal(vm->config.machine.memory, 64 << 20);
    assert_string_equal(vm->config.restart, "no");
    assert_string_equal(label(vm, GROUP_LABEL), "lab");
    assert_string_equal(label(vm, GROUP_LABEL_DOMAIN), "vm");
    assert_string_equal(label(vm, GROUP_LABEL_HASH), vm->hash);
    /* What is to be a text is one as it was written. */
    assert_string_equal(tool->config.program.command.items[1], "1.10");
    assert_string_equal(tool->config.program.command.items[2], "no");
    assert_string_equal(tool->config.program.env.items[0], "A=010");
    assert_string_equal(tool->config.program.env.items[1], "B=true");
    assert_string_equal(label(tool, "tier"), "1");
    assert_string_equal(tool->config.program.workdir, "/srv/lab");
    group_free(&group);
}

static void test_json_is_read(void **state)
{
    struct group group;
    (void)state;
    assert_read(&group, "{\n\t\"name\": \"j\\u0031\",\n\t\"domains\": {\"a\": {\"kind\": \"program\", "
                        "\"program\": {\"command\": [\"/bin/\\u00e9\"]}}}}");
    assert_string_equal(group.name, "j1");
    assert_string_equal(group.domains[0].config.program.command.items[0], "/bin/\u00e9");
    group_free(&group);
}

static void test_anchors_and_merge_keys(void **state)
{
    struct group group;
    (void)state;
    assert_read(&group, "x-p: &p {command: [/bin/a], env: {A: 1}}\n"
                        "x-q: &q {command: [/bin/b], arch: amd64}\n"
                        "domains:\n"
                        "  a: {program: *p}\n"
                        "  b: {program: {<<: [*q, *p], env: {B: 2}}}\n");
    assert_string_equal(group.domains[0].config.program.command.items[0], "/bin/a");
    assert_string_equal(group.domains[1].config.program.command.items[0], "/bin/b");
    assert_string_equal(group.domains[1].config.program.arch, "amd64");
    assert_int_equal(group.domains[1].config.program.env.count, 1);
    assert_string_equal(group.domains[1].config.program.env.items[0], "B=2");
    group_free(&group);
}

static void test_errors_name_their_place(void **state)
{
    (void)state;
    assert_refused("domains:\n  vm:\n    machine:\n      disks: [a, b]\n      memory: 1G\n      cpus: 300\n",
                   "x.yaml:6:13: domains.vm.machine.cpus 300 is not one of 1 to 255", "");
    assert_refused(
        "domains:\n  vm:\n    machine:\n      disks:\n      - a\n      - b,colour=red\n",
        "x.yaml:6:9: domains.vm.machine.disks[1] \"b,colour=red\": a disk has no option \"colour=red\"",
        NULL);
    assert_refused("domains:\n  vm:\n    machine: {memroy: 1G}\n",
                   "x.yaml:3:15: domains.vm.machine.memroy: there is no such field",
                   "did you mean machine.memory?");
    assert_refused("domains: {vm: {machine: {disks: [a]}, restart: often}}\n",
                   "x.yaml:1:48: domains.vm.restart \"often\": it is no, on-failure, on-failure:N, always or "
                   "unless-stopped",
                   "");
    assert_refused("domains: {a: {program: {command: [a, null]}}}\n",
                   "x.yaml:1:38: domains.a.program.command[1] null: a text is wanted", "");
    assert_refused("domains: {a: {program: {command: [a]}, remove: true, restart: always}}\n",
                   "x.yaml:1:11: domains.a: a domain that is removed at its end cannot be restarted",
                   "give --rm or --restart");
    assert_refused("domains: {a: {machine: {}, program: {}}}\n",
                   "x.yaml:1:15: domains.a: it has both program and machine, and can be one of them", "");
    assert_refused("domains:\n  a: {program: {command: [x]}, labels: {visor.group: other}}\n",
                   "x.yaml:2:32: domains.a.labels: the label visor.group is visor's own", "");
    assert_refused("domains: {-a: {program: {command: [x]}}}\n",
                   "x.yaml:1:11: domains: \"-a\" is no name for a domain", NULL);
}

static void test_words_of_compose(void **state)
{
    (void)state;
    assert_refused("services: {}\n", "x.yaml:1:1: services: there is no such part of a group",
                   "they are called domains here");
    assert_refused("domain: {}\n", "x.yaml:1:1: domain: there is no such part of a group",
                   "did you mean domains?");
    assert_refused("domains:\n  a:\n    program: {command: [x]}\n    depends_on: [b]\n",
                   "x.yaml:4:5: domains.a.depends_on: there is no such field", "it is called needs here");
    assert_refused("domains:\n  a:\n    program: {command: [x]}\n    env: {A: b}\n",
                   "x.yaml:4:5: domains.a.env: there is no such field", "did you mean program.env?");
}

static void test_yaml_that_is_none(void **state)
{
    (void)state;
    assert_refused("domains:\n  a: {program: {command: [x]}}\n  b: 1\n  a: 2\n",
                   "x.yaml:4:3: domains: \"a\" is there already, in line 2", "");
    assert_refused(
        "domains:\n  a: [1\n  b: 2\n",
        "x.yaml:3:4: no valid YAML: did not find expected ',' or ']', while parsing a flow sequence "
        "that begins in line 2",
        "");
    assert_refused("a: *b\n", "x.yaml:1:4: a: there is no anchor &b before *b", "");
    assert_refused("x-a: &a [*a]\n", "x.yaml:1:10: x-a[0]: *a would be a part of itself", "");
    assert_refused("x-a: !secret b\n", "x.yaml:1:6: x-a: the tag !secret is not known here", "");
    assert_refused("? [a]\n: b\n", "x.yaml:1:3: a name is a text", "");
    assert_refused("domains: {}\n---\ndomains: {}\n",
                   "x.yaml:2:1: a second document begins, and a file has one", "");
    assert_refused("x-a: \"a\\0b\"\n", "x.yaml:1:6: x-a: the text has a zero byte in it", "");
    assert_refused("<<: 1\n", "x.yaml:1:5: << is a map, or a list of maps", "");
    assert_refused("name: a\xff\n", "x.yaml:1:8: no valid YAML: invalid leading UTF-8 octet", "");
    assert_refused("", "x.yaml:1:1: a group is a map that has \"domains\" in it", "");
}

/* Each line has ten times the values of the one before. */
static void test_aliases_do_not_multiply(void **state)
{
    char text[2048] = "x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    struct group group;
    struct error error;
    (void)state;
    for (int i = 1; i < 12; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "x-%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s*a%d", j ? ", " : "", i - 1);
        strcat(text, "]\n");
    }
    assert_int_equal(read_text(&group, text, &error), -E2BIG);
    assert_non_null(strstr(error.message, "more than 100000 values, with the aliases"));
    group_free(&group);
}

static void test_depth_has_an_end(void **state)
{
    char text[4096];
    struct group group;
    struct error error;
    (void)state;
    memset(text, '[', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(read_text(&group, text, &error), -E2BIG);
    assert_non_null(strstr(error.message, "more than 32 deep"));
    group_free(&group);
}

/* libyaml would take seconds for a whole file of them. */
static void test_directives_have_an_end(void **state)
{
    char text[8192] = "";
    struct group group;
    struct error error;
    (void)state;
    for (int i = 0; i < 101; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%%TAG !a%d! b\n", i);
    assert_int_equal(read_text(&group, text, &error), -E2BIG);
    assert_string_equal(error.message, "x.yaml: %TAG is there more than 100 times");
    group_free(&group);
}

/* -- variables ------------------------------------------------------------------------------------------- */

static void assert_expands(const char *text, const char *to)
{
    char document[512];
    struct group group;
    snprintf(document, sizeof document, "domains: {a: {program: {command: [x, '%s']}}}", text);
    assert_read(&group, document);
    assert_string_equal(group.domains[0].config.program.command.items[1], to);
    assert_int_equal(group.warnings.count, 0);
    group_free(&group);
}

static void test_variables(void **state)
{
    (void)state;
    assert_expands("$HOME/x", "/root/x");
    assert_expands("a${HOME}b", "a/rootb");
    assert_expands("$$HOME $${HOME}", "$HOME ${HOME}");
    assert_expands("${NONE:-text}", "text");
    assert_expands("${NONE-text}", "text");
    assert_expands("${EMPTY:-text}|${EMPTY-text}", "text|");
    assert_expands("${EMPTY:+text}|${EMPTY+text}|${HOME:+text}|${NONE+text}", "|text|text|");
    assert_expands("${NONE:-${EMPTY:-$HOME}}", "/root");
    assert_expands("${HOME:?message}", "/root");
    assert_expands("$FROM ${FILE}", "environment a b");
    assert_expands("$QUOTED", "a b\n$HOME");
}

static void test_variables_that_are_missing(void **state)
{
    struct group group;
    (void)state;
    assert_refused("name: ${NONE:?say who}\n", "x.yaml:1:7: name: the variable NONE is not set: say who", "");
    assert_refused("name: ${EMPTY:?}\n", "x.yaml:1:7: name: the variable EMPTY is empty", "");
    assert_refused("name: ${1}\n", "x.yaml:1:7: name: \"${1}\" names no variable",
                   "${NAME}, ${NAME:-text}, ${NAME:?message}; $$ is a $");
    assert_refused("name: ${A\n", "x.yaml:1:7: name: \"${A\" names no variable",
                   "${NAME}, ${NAME:-text}, ${NAME:?message}; $$ is a $");
    assert_read(&group, "name: a$NONE\ndomains: {a: {program: {command: [x]}}}");
    assert_string_equal(group.name, "a");
    assert_int_equal(group.warnings.count, 1);
    assert_string_equal(group.warnings.items[0],
                        "x.yaml:1:7: the variable NONE is not set: nothing stands in its place");
    group_free(&group);
}

/* In { } a variable has to stand in quotes, and is a number all the same. */
static void test_numbers_from_variables(void **state)
{
    struct group group;
    (void)state;
    assert_read(&group,
                "domains: {a: {machine: {disks: [a], cpus: \"${NUMBER}\", snapshot: '${NONE:-true}'}}}");
    assert_int_equal(group.domains[0].config.machine.cpus, 3);
    assert_true(group.domains[0].config.machine.snapshot);
    group_free(&group);
    assert_refused("domains: {a: {machine: {cpus: \"3\"}}}",
                   "x.yaml:1:31: domains.a.machine.cpus \"3\": a number from 1 to 255 is wanted", "");
}

static void assert_file_refused(const char *text, const char *message)
{
    struct variables variables = {0};
    struct error error = ERROR_INIT;
    assert_true(variables_read(&variables, text, strlen(text), ".env", &error) < 0);
    assert_string_equal(error.message, message);
    variables_free(&variables);
}

static void test_files_of_variables(void **state)
{
    static const char text[] = "# all kinds\n\nA=1\r\n  export  B = two words  # and a comment\nC='$A \\n'\n"
                               "D=\"$A\\t\\\\$A\"\nE=a#b\nF=\nA=2\nG=$A";
    struct variables variables = {0};
    struct error error = ERROR_INIT;
    (void)state;
    assert_int_equal(variables_read(&variables, text, sizeof text - 1, ".env", &error), 0);
    assert_string_equal(variables_find(&variables, "A"), "2");
    assert_string_equal(variables_find(&variables, "B"), "two words");
    assert_string_equal(variables_find(&variables, "C"), "$A \\n");
    assert_string_equal(variables_find(&variables, "D"), "1\t\\1");
    assert_string_equal(variables_find(&variables, "E"), "a#b");
    assert_string_equal(variables_find(&variables, "F"), "");
    assert_string_equal(variables_find(&variables, "G"), "2");
    assert_null(variables_find(&variables, "H"));
    variables_free(&variables);
    assert_file_refused("A=1\nB\n", ".env:2: \"B\" is not NAME=VALUE");
    assert_file_refused("A='b\n", ".env:1: the quote ' is not closed");
    assert_file_refused("A='b' c\n", ".env:1: something follows the closing quote");
    assert_file_refused("1A=b\n", ".env:1: \"1A=b\" is not NAME=VALUE");
}

/* -- the order ------------------------------------------------------------------------------------------- */

#define PROGRAM "program: {command: [x]}"

static void test_order_and_levels(void **state)
{
    static const char *const order[] = {"c", "b", "a", "d"};
    struct group group;
    (void)state;
    assert_read(&group, "domains:\n"
                        "  a: {" PROGRAM ", needs: [b, c]}\n"
                        "  b: {" PROGRAM ", needs: {c: completed}}\n"
                        "  c: {" PROGRAM "}\n"
                        "  d: {" PROGRAM "}\n");
    for (unsigned i = 0; i < 4; i++)
        assert_string_equal(group.domains[group.order[i]].name, order[i]);
    assert_int_equal(group.domains[0].level, 2);
    assert_int_equal(group.domains[1].level, 1);
    assert_int_equal(group.domains[3].level, 0);
    assert_int_equal(group.domains[1].needs[0].condition, GROUP_COMPLETED);
    assert_int_equal(group.domains[0].needs[1].condition, GROUP_RUNNING);
    group_free(&group);
}

static void test_needs_that_cannot_be(void **state)
{
    (void)state;
    assert_refused("domains:\n  a: {" PROGRAM ", needs: [b]}\n  b: {" PROGRAM ", needs: [a]}\n",
                   "x.yaml:2:3: domains.b needs a, which needs b in turn", "");
    assert_refused("domains:\n  a: {" PROGRAM ", needs: [a]}\n",
                   "x.yaml:2:40: domains.a.needs: it would need itself", "");
    assert_refused("domains:\n  first: {" PROGRAM "}\n  a: {" PROGRAM ", needs: [frist]}\n",
                   "x.yaml:3:40: domains.a.needs: there is no domain \"frist\"", "did you mean first?");
    assert_refused(
        "domains:\n  a: {" PROGRAM "}\n  b: {" PROGRAM ", needs: {a: healthy}}\n",
        "x.yaml:3:40: domains.b.needs.a \"healthy\" is not known; there are running, completed and ready",
        "");
    assert_refused("domains:\n  a: {" PROGRAM "}\n  b: {" PROGRAM ", needs: a}\n",
                   "x.yaml:3:39: domains.b.needs: a list of names is wanted, or a map of name: condition",
                   "needs: [a]");
    assert_refused("domains:\n  a: {" PROGRAM ", remove: true}\n  b: {" PROGRAM ", needs: {a: completed}}\n",
                   "x.yaml:3:40: domains.b.needs: nobody can tell how a ended, since it is then removed", "");
    assert_refused("domains:\n  a: {" PROGRAM ", restart: always}\n  b: {" PROGRAM
                   ", needs: {a: completed}}\n",
                   "x.yaml:3:40: domains.b.needs: a is never completed, since its restart is \"always\"", "");
}

/* -- networks -------------------------------------------------------------------------------------------- */

static void test_networks_have_whole_names(void **state)
{
    struct group group;
    (void)state;
    assert_read(&group, "networks: {lan: , out: {external: true}}\n"
                        "domains:\n"
                        "  a: {machine: {disks: [d], nets: [lan, user, \"out,ip=10.0.0.7\"]}}\n"
                        "  b: {container: {root: r, nets: [none]}}\n");
    assert_int_equal(group.network_count, 2);
    assert_string_equal(group.networks[0].full_name, "lab-lan");
    assert_string_equal(group.networks[1].full_name, "out");
    assert_true(group.networks[1].external);
    const struct domain_list *nets = &group.domains[0].config.machine.nets;
    assert_string_equal(nets->items[0], "lab-lan,alias=a");
    assert_string_equal(nets->items[1], "user");
    assert_string_equal(nets->items[2], "out,ip=10.0.0.7,alias=a");
    assert_string_equal(group.domains[1].config.container.nets.items[0], "none");
    group_free(&group);
}

static void test_networks_that_cannot_be(void **state)
{
    (void)state;
    assert_refused("networks: {a.b: {}}", "x.yaml:1:12: networks: \"a.b\" is no name for a network", NULL);
    assert_refused("networks: {a: {labels: {b: [c]}}}", "x.yaml:1:16: networks.a.labels: b: a text is wanted",
                   "");
    assert_refused("networks: {a: {labels: {visor.group: b}}}",
                   "x.yaml:1:16: networks.a.labels: the label visor.group is visor's own", "");
    assert_refused("networks: {a: 1}", "x.yaml:1:15: networks.a: a map is wanted, which can be empty", "");
    assert_refused("networks: [a]", "x.yaml:1:11: networks: a map of at most 32 is wanted", "");
    assert_refused("networks: {lan: {}}\ndomains: {a: {machine: {disks: [d], nets: [lam]}}}",
                   "x.yaml:2:44: domains.a.machine.nets[0] \"lam\": the file has no such network",
                   "did you mean lan?");
}

/* -- what has changed ------------------------------------------------------------------------------------ */

static void assert_same_hash(const char *one, const char *two, bool same)
{
    struct group a, b;
    char text[512];
    snprintf(text, sizeof text, "domains: {a: %s}", one);
    assert_read(&a, text);
    snprintf(text, sizeof text, "domains: {a: %s}", two);
    assert_read(&b, text);
    assert_int_equal(strcmp(a.domains[0].hash, b.domains[0].hash) == 0, same);
    group_free(&a);
    group_free(&b);
}

static void test_hash(void **state)
{
    (void)state;
    assert_same_hash("{machine: {disks: [a], memory: 512M}}", "{machine: {memory: 536870912, disks: [a]}}",
                     true);
    assert_same_hash("{machine: {disks: [a]}}", "{machine: {disks: [/srv/lab/a], cpus: 1}, restart: no}",
                     true);
    assert_same_hash("{machine: {disks: [a]}}", "{machine: {disks: [a], cpus: 2}}", false);
    assert_same_hash("{machine: {disks: [a, b]}}", "{machine: {disks: [b, a]}}", false);
    assert_same_hash("{" PROGRAM "}", "{" PROGRAM ", labels: {a: b}}", false);
}

static void test_plan(void **state)
{
    struct group group;
    struct group_member members[4] = {{.name = "gone"}, {.name = "a"}, {.name = "b"}, {.name = "c"}};
    struct group_step steps[GROUP_DOMAINS_MAX];
    bool wanted[4] = {false, true};
    (void)state;
    assert_read(&group, "domains:\n"
                        "  a: {" PROGRAM "}\n"
                        "  b: {" PROGRAM ", needs: [c]}\n"
                        "  c: {" PROGRAM "}\n"
                        "  d: {" PROGRAM "}\n");
    for (unsigned i = 1; i < 4; i++)
        strcpy(members[i].hash, group.domains[i - 1].hash);
    members[1].state.status = DOMAIN_RUNNING;
    members[1].state.process.pid = 1;
    members[2].hash[0] ^= 1;
    group_plan(&group, members, 4, NULL, false, steps);
    assert_int_equal(steps[0].action, GROUP_NOTHING);
    assert_int_equal(steps[1].action, GROUP_RECREATE);
    assert_int_equal(steps[2].action, GROUP_START);
    assert_int_equal(steps[3].action, GROUP_CREATE);
    assert_ptr_equal(steps[2].member, &members[3]);
    assert_null(steps[3].member);
    group_plan(&group, members, 4, NULL, true, steps);
    assert_int_equal(steps[0].action, GROUP_RECREATE);
    assert_int_equal(steps[3].action, GROUP_CREATE);
    group_plan(&group, members, 4, wanted, false, steps);
    assert_false(steps[0].wanted);
    assert_true(steps[1].wanted);
    assert_true(steps[2].wanted); /* since b needs it */
    assert_int_equal(steps[3].action, GROUP_NOTHING);
    group_free(&group);
}

/* -- documents ------------------------------------------------------------------------------------------- */

static void test_document_is_read_again(void **state)
{
    struct group group, again;
    (void)state;
    assert_read(&group,
                "name: n\nnetworks: {lan: {subnet: 10.1.0.0/24, labels: {a: $$b}}}\ndomains:\n"
                "  a: {program: {command: [x, '$$HOME', '']}, needs: {b: completed}, labels: {k: v}}\n"
                "  b: {machine: {disks: [a.img], nets: [lan]}}\n");
    json_t *document = group_json(&group);
    char *text = json_dumps(document, 0);
    assert_read(&again, text);
    for (unsigned i = 0; i < 2; i++)
        assert_string_equal(group.domains[i].hash, again.domains[i].hash);
    assert_string_equal(again.domains[0].config.program.command.items[1], "$HOME");
    assert_int_equal(again.domains[0].needs[0].condition, GROUP_COMPLETED);
    json_t *same = group_json(&again);
    assert_true(json_equal(document, same));
    json_decref(document);
    json_decref(same);
    free(text);
    group_free(&group);
    group_free(&again);
}

static void test_schema(void **state)
{
    (void)state;
    json_t *schema = group_schema();
    json_t *domain =
        json_object_get(json_object_get(json_object_get(json_object_get(schema, "properties"), "domains"),
                                        "additionalProperties"),
                        "properties");
    assert_true(json_is_object(json_object_get(domain, "machine")));
    assert_true(json_is_object(json_object_get(domain, "restart")));
    assert_int_equal(json_array_size(json_object_get(json_object_get(domain, "needs"), "oneOf")), 2);
    json_decref(schema);
}

/* YAML 1.2.2, chapter 10.3.2. */
static void test_plain_texts(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"~", "null"},        {"null", "null"},   {"", "null"},           {"true", "true"},
        {"FALSE", "false"},   {"no", "\"no\""},   {"on", "\"on\""},       {"-12", "-12"},
        {"+3", "3"},          {"010", "10"},      {"0o10", "8"},          {"0x1f", "31"},
        {"0x", "\"0x\""},     {"1.5", "1.5"},     {".5", "0.5"},          {"5.", "5.0"},
        {"1e3", "1000.0"},    {"1e", "\"1e\""},   {"-", "\"-\""},         {".", "\".\""},
        {"1:30", "\"1:30\""}, {"12a", "\"12a\""}, {"1e999", "\"1e999\""},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct document_value value = {.type = DOCUMENT_TEXT, .text = (char *)cases[i].text, .plain = true};
        json_t *json = document_json(&value, false);
        char *text = json_dumps(json, JSON_ENCODE_ANY);
        assert_string_equal(text, cases[i].json);
        free(text);
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_domains_are_configurations),
        cmocka_unit_test(test_json_is_read),
        cmocka_unit_test(test_anchors_and_merge_keys),
        cmocka_unit_test(test_errors_name_their_place),
        cmocka_unit_test(test_words_of_compose),
        cmocka_unit_test(test_yaml_that_is_none),
        cmocka_unit_test(test_aliases_do_not_multiply),
        cmocka_unit_test(test_depth_has_an_end),
        cmocka_unit_test(test_directives_have_an_end),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_variables_that_are_missing),
        cmocka_unit_test(test_numbers_from_variables),
        cmocka_unit_test(test_files_of_variables),
        cmocka_unit_test(test_order_and_levels),
        cmocka_unit_test(test_needs_that_cannot_be),
        cmocka_unit_test(test_networks_have_whole_names),
        cmocka_unit_test(test_networks_that_cannot_be),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_document_is_read_again),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_plain_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
