/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config.json of OCI bundles: what is read, and which property an error names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/macros.h"
#include "personality/container/oci_config.h"
#include "personality/container/oci_names.h"

#define START   "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"}"
#define PROCESS START ",\"process\":{\"cwd\":\"/\",\"args\":[\"sh\"]"
#define LINUX   START ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"pid\"}]"

static struct oci_config *parsed(const char *text)
{
    struct oci_config *config = NULL;
    struct error error = ERROR_INIT;
    if (oci_config_parse(&config, text, strlen(text), &error) < 0)
        fail_msg("%s", error.message);
    return config;
}

static void configuration_becomes_structs(void **state)
{
    (void)state;
    struct oci_config *config = parsed(
        PROCESS ",\"terminal\":true,\"consoleSize\":{\"height\":25,\"width\":80},\"env\":[\"A=1\"],"
                "\"user\":{\"uid\":1,\"gid\":2,\"umask\":63,\"additionalGids\":[5,6]},"
                "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":5,\"hard\":18446744073709551615}],"
                "\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_MOON\"],\"ambient\":[\"CAP_CHOWN\"]},"
                "\"oomScoreAdj\":-5},"
                "\"mounts\":[{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"ro\",\"size=1k\"]}],"
                "\"hooks\":{\"poststop\":[{\"path\":\"/bin/x\",\"args\":[\"x\",\"y\"],\"timeout\":3}]},"
                "\"annotations\":{\"a\":\"b\"},\"unheard\":{\"of\":1}}");
    const struct oci_process *process = &config->process;
    assert_true(config->has_process && process->terminal && process->has_console_size);
    assert_int_equal(process->console_size.height, 25);
    assert_string_equal(process->environment[0], "A=1");
    assert_null(process->environment[1]);
    assert_int_equal(process->user.additional_gids_count, 2);
    assert_int_equal(process->user.additional_gids[1], 6);
    assert_true(process->user.has_umask && process->user.umask == 077);
    assert_int_equal(process->rlimits[0].resource, RLIMIT_NOFILE);
    assert_true(process->rlimits[0].hard == RLIM_INFINITY);
    assert_true(process->capabilities.sets[OCI_CAPABILITY_BOUNDING] == UINT64_C(1) << CAP_KILL);
    assert_true(process->capabilities.sets[OCI_CAPABILITY_AMBIENT] == UINT64_C(1) << CAP_CHOWN);
    assert_string_equal(process->capabilities.unknown, "CAP_MOON");
    assert_true(process->has_oom_score_adj && process->oom_score_adj == -5);
    assert_true(config->mounts[0].parsed.set == MOUNT_ATTR_RDONLY);
    assert_string_equal(config->mounts[0].parsed.data[0], "size=1k");
    assert_int_equal(config->hooks[OCI_HOOK_POSTSTOP].hooks_count, 1);
    assert_int_equal(config->hooks[OCI_HOOK_POSTSTOP].hooks[0].timeout, 3);
    assert_string_equal(config->annotations[0].value, "b");
    oci_config_free(config);
}

static void numbers_may_need_all_64_bits(void **state)
{
    (void)state;
    struct oci_config *config = parsed(
        PROCESS
        ",\"rlimits\":[{\"type\":\"RLIMIT_AS\",\"soft\":9223372036854771712,"
        "\"hard\":18446744073709551615}],\"env\":[\"N=18446744073709551615\",\"Q=\\\"18446744073709551615\"]}}");
    assert_true(config->process.rlimits[0].soft == 9223372036854771712u);
    assert_true(config->process.rlimits[0].hard == UINT64_MAX);
    assert_string_equal(config->process.environment[0], "N=18446744073709551615");
    assert_string_equal(config->process.environment[1], "Q=\"18446744073709551615");
    oci_config_free(config);
}

static void namespaces_are_new_or_joined(void **state)
{
    (void)state;
    struct oci_config *config = parsed(
        START
        ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"network\",\"path\":\"/proc/1/ns/net\"},"
        "{\"type\":\"user\"}],\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":1}],"
        "\"gidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":1}],\"rootfsPropagation\":\"rslave\"}}");
    assert_true(config->platform.new_namespaces == (CLONE_NEWNS | CLONE_NEWUSER));
    assert_true(config->platform.joined_namespaces == CLONE_NEWNET);
    assert_true(config->platform.propagation == (MS_SLAVE | MS_REC));
    assert_int_equal(config->platform.uid_maps[0].host, 1000);
    assert_string_equal(oci_config_namespace(config, CLONE_NEWNET)->path, "/proc/1/ns/net");
    assert_null(oci_config_namespace(config, CLONE_NEWIPC));
    oci_config_free(config);
}

static void errors_name_the_property(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"{", "not a JSON document"},
        {"[]", "an object is wanted, not an array"},
        {"{}", "ociVersion: missing"},
        {"{\"ociVersion\":\"2.0.0\",\"root\":{\"path\":\"r\"}}", "ociVersion: 2.0.0 is not served"},
        {"{\"ociVersion\":\"new\",\"root\":{\"path\":\"r\"}}", "ociVersion: \"new\" is not a version"},
        {"{\"ociVersion\":\"1.0.0\"}", "root: missing"},
        {"{\"ociVersion\":\"1.0.0\",\"root\":{}}", "root.path: missing"},
        {START ",\"windows\":{}}", "windows: a container of this platform cannot run on Linux"},
        {START ",\"process\":{\"cwd\":\"/\"}}", "process.args: missing"},
        {START ",\"process\":{\"cwd\":\"/\",\"args\":[]}}", "process.args: at least one is wanted"},
        {START ",\"process\":{\"cwd\":\"/\",\"args\":[\"a\",7]}}",
         "process.args[1]: text is wanted, not a number"},
        {START ",\"process\":{\"args\":[\"a\"]}}", "process.cwd: missing"},
        {START ",\"process\":{\"args\":[\"a\"],\"cwd\":\"tmp\"}}",
         "process.cwd: \"tmp\" is not an absolute path"},
        {PROCESS ",\"terminal\":\"yes\"}}", "process.terminal: true or false is wanted, not text"},
        {PROCESS ",\"user\":{\"uid\":-1}}}", "process.user.uid: -1 is not in the range"},
        {PROCESS ",\"user\":{\"additionalGids\":[1,\"x\"]}}}", "process.user.additionalGids[1]: "},
        {PROCESS ",\"oomScoreAdj\":1.5}}", "process.oomScoreAdj: a whole number is wanted"},
        {PROCESS ",\"rlimits\":[{\"type\":\"RLIMIT_FUN\",\"soft\":1,\"hard\":1}]}}",
         "process.rlimits[0].type: there is no resource \"RLIMIT_FUN\""},
        {PROCESS ",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"hard\":1}]}}", "process.rlimits[0].soft: missing"},
        {PROCESS ",\"rlimits\":[{\"type\":\"RLIMIT_AS\",\"soft\":1,\"hard\":1},"
                 "{\"type\":\"RLIMIT_AS\",\"soft\":1,\"hard\":1}]}}",
         "process.rlimits[1].type: RLIMIT_AS is there twice"},
        {PROCESS ",\"scheduler\":{\"policy\":\"SCHED_LUCK\"}}}", "process.scheduler.policy: "},
        {START ",\"mounts\":[{\"type\":\"tmpfs\"}]}", "mounts[0].destination: missing"},
        {START ",\"mounts\":[{\"destination\":\"/a\"}]}", "mounts[0].type: missing"},
        {START ",\"mounts\":[{\"destination\":\"/a\",\"options\":[\"bind\"]}]}", "mounts[0].source: missing"},
        {START ",\"mounts\":[{\"destination\":\"/a\",\"source\":\"/a\",\"options\":[\"rbind\",\"idmap\"]}]}",
         "mounts[0].options: idmap, but there are neither"},
        {START ",\"hooks\":{\"prestart\":[{\"path\":\"x\"}]}}",
         "hooks.prestart[0].path: \"x\" is not an absolute"},
        {START ",\"hooks\":{\"poststart\":[{\"path\":\"/x\",\"timeout\":0}]}}",
         "hooks.poststart[0].timeout: 0 is not"},
        {START ",\"hostname\":\"x\"}", "hostname: there is no uts namespace"},
        {START ",\"annotations\":{\"a\":1}}", "annotations.a: text is wanted, not a number"},
        {START ",\"linux\":{\"namespaces\":[{\"type\":\"space\"}]}}",
         "linux.namespaces[0]: there is no kind of namespace \"space\""},
        {START ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}}",
         "linux.namespaces[1]: pid is there twice"},
        {LINUX ",\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":1}]}}",
         "linux.uidMappings: there is no user namespace"},
        {START ",\"linux\":{\"namespaces\":[{\"type\":\"user\"}]}}", "linux.uidMappings: missing"},
        {LINUX ",\"devices\":[{\"type\":\"x\",\"path\":\"/dev/x\"}]}}",
         "linux.devices[0]: there is no type of device"},
        {LINUX ",\"devices\":[{\"type\":\"c\",\"path\":\"/dev/x\",\"major\":1}]}}",
         "linux.devices[0].minor: missing"},
        {LINUX ",\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}}}",
         "linux.sysctl: net.ipv4.ip_forward would change"},
        {LINUX ",\"sysctl\":{\"kernel.panic\":\"1\"}}}",
         "linux.sysctl: kernel.panic belongs to no namespace"},
        {LINUX ",\"rootfsPropagation\":\"up\"}}", "linux.rootfsPropagation: there is no propagation \"up\""},
        {LINUX ",\"maskedPaths\":[\"proc\"]}}", "linux.maskedPaths[0]: \"proc\" is not an absolute path"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct oci_config *config = NULL;
        struct error error = ERROR_INIT;
        assert_int_equal(oci_config_parse(&config, rows[i].text, strlen(rows[i].text), &error), -EINVAL);
        if (strncmp(error.message, rows[i].message, strlen(rows[i].message)) != 0)
            fail_msg("row %u: \"%s\" is not \"%s…\"", i, error.message, rows[i].message);
    }
}

static void mount_options_are_sorted(void **state)
{
    (void)state;
    static const char *const options[] = {"rbind",    "nosuid", "rro", "noatime", "rshared",
                                          "mode=755", "sync",   "rw",  "xyz",     "suid"};
    const char *data[ARRAY_SIZE(options)];
    struct mount_options parsed_options;
    struct error error = ERROR_INIT;
    assert_int_equal(mount_options_parse(&parsed_options, options, ARRAY_SIZE(options), data, &error), 0);
    assert_true(parsed_options.bind && parsed_options.recursive_bind && !parsed_options.idmap);
    assert_true(parsed_options.recursive_set == MOUNT_ATTR_RDONLY);
    assert_true(parsed_options.set == MOUNT_ATTR_NOATIME); /* the later suid took nosuid away */
    assert_true(parsed_options.clear == (MOUNT_ATTR__ATIME | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID));
    assert_true(parsed_options.propagation == MS_SHARED && parsed_options.propagation_recursive);
    assert_true(parsed_options.super_set == MS_SYNCHRONOUS);
    assert_int_equal(parsed_options.data_count, 2);
    assert_string_equal(data[0], "mode=755");
    assert_string_equal(data[1], "xyz");
}

static void signals_have_names_and_numbers(void **state)
{
    (void)state;
    assert_int_equal(oci_signal_number("KILL"), SIGKILL);
    assert_int_equal(oci_signal_number("sigterm"), SIGTERM);
    assert_int_equal(oci_signal_number("9"), 9);
    assert_int_equal(oci_signal_number("RTMIN+3"), SIGRTMIN + 3);
    assert_int_equal(oci_signal_number("SIGRTMAX-1"), SIGRTMAX - 1);
    assert_true(oci_signal_number("") < 0);
    assert_true(oci_signal_number("KILLER") < 0);
    assert_true(oci_signal_number("9x") < 0);
    assert_true(oci_signal_number("RTMAX+1") < 0);
    assert_true(oci_signal_number("999") < 0);
}

static void lists_of_numbers_are_strict(void **state)
{
    static const char *const bad[] = {"",
                                      "a",
                                      "1,",
                                      ",1",
                                      "1-",
                                      "-1",
                                      "3-1",
                                      "1 ",
                                      " 1",
                                      "1024",
                                      "0-1024",
                                      "1,,2",
                                      "99999999999999999999",
                                      "1-2-3"};
    struct number_list list;
    (void)state;
    assert_true(number_list_parse(&list, "0-3,7,64-65,1023"));
    assert_int_equal(list.bits[0], 0x8f);
    assert_int_equal(list.bits[1], 3);
    assert_int_equal(list.bits[15], 1ul << 63);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(number_list_parse(&list, bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration_becomes_structs),  cmocka_unit_test(namespaces_are_new_or_joined),
        cmocka_unit_test(numbers_may_need_all_64_bits),   cmocka_unit_test(errors_name_the_property),
        cmocka_unit_test(lists_of_numbers_are_strict),    cmocka_unit_test(mount_options_are_sorted),
        cmocka_unit_test(signals_have_names_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
