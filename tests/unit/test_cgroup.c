/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control groups, as far as no host is needed: mounts, paths, linux.resources, plans of writes, rules of
 * devices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../random.h"
#include "base/macros.h"
#include "personality/container/cgroup_private.h"

#define V1_ALL (CONTROLLER_BIT(CONTROLLERS) - 1)
#define V2_ALL                                                                                               \
    (CONTROLLER_BIT(CONTROLLER_CPU) | CONTROLLER_BIT(CONTROLLER_CPUSET) |                                    \
     CONTROLLER_BIT(CONTROLLER_MEMORY) | CONTROLLER_BIT(CONTROLLER_BLOCK_IO) |                               \
     CONTROLLER_BIT(CONTROLLER_PIDS) | CONTROLLER_BIT(CONTROLLER_HUGETLB) |                                  \
     CONTROLLER_BIT(CONTROLLER_RDMA) | CONTROLLER_BIT(CONTROLLER_MISC))

static void mounts_are_found(void **state)
{
    (void)state;
    static const char text[] =
        "22 1 0:20 / /proc rw - proc proc rw\n"
        "30 1 0:26 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw,mode=755\n"
        "32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
        "31 30 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
        "33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 master:2 - cgroup cgroup rw,cpu,cpuacct\n"
        "34 30 0:30 /docker/1 /sys/fs/cgroup/my\\040memory rw - cgroup cgroup rw,memory\n"
        "35 30 0:30 / /elsewhere rw - cgroup cgroup rw,memory\n"
        "36 30 0:31 / /broken\n"
        "37 30 0:31 / /strange rw - cgroup cgroup rw,clone_children\n"
        "38 30 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids";
    struct cgroup_mounts mounts;
    assert_int_equal(cgroup_mounts_parse(&mounts, text, sizeof text - 1, NULL), 0);
    assert_int_equal(mounts.count, 5);
    assert_int_equal(cgroup_mounts_mode(&mounts), CGROUP_HYBRID);
    assert_string_equal(cgroup_mounts_v2(&mounts)->point, "/sys/fs/cgroup/unified");
    assert_string_equal(mounts.items[1].names, "name=systemd");
    assert_int_equal(mounts.items[1].controllers, 0);
    assert_string_equal(mounts.items[2].names, "cpu,cpuacct");
    assert_int_equal(mounts.items[2].controllers,
                     CONTROLLER_BIT(CONTROLLER_CPU) | CONTROLLER_BIT(CONTROLLER_CPUACCT));
    assert_string_equal(mounts.items[3].point, "/sys/fs/cgroup/my memory");
    assert_int_equal(cgroup_mounts_controllers(&mounts, 1),
                     CONTROLLER_BIT(CONTROLLER_CPU) | CONTROLLER_BIT(CONTROLLER_CPUACCT) |
                         CONTROLLER_BIT(CONTROLLER_MEMORY) | CONTROLLER_BIT(CONTROLLER_PIDS));

    static const char own[] = "4:cpu,cpuacct:/a b/c\n2:memory:/\n0::/user.slice/x:y\n";
    char *path = cgroup_own_path(own, &mounts.items[2]);
    assert_string_equal(path, "/a b/c");
    free(path);
    path = cgroup_own_path(own, cgroup_mounts_v2(&mounts));
    assert_string_equal(path, "/user.slice/x:y");
    free(path);
    assert_null(cgroup_own_path(own, &mounts.items[4]));
    cgroup_mounts_free(&mounts);

    assert_int_equal(cgroup_mounts_parse(&mounts, "1 2 3:4 / /c rw - cgroup2 none rw\n", 34, NULL), 0);
    assert_int_equal(cgroup_mounts_mode(&mounts), CGROUP_V2);
    cgroup_mounts_free(&mounts);
    assert_int_equal(cgroup_mounts_parse(&mounts, "", 0, NULL), 0);
    assert_int_equal(cgroup_mounts_mode(&mounts), CGROUP_NONE);
    cgroup_mounts_free(&mounts);
}

static void paths_are_kept_inside(void **state)
{
    (void)state;
    static const struct {
        const char *path, *base, *result;
    } good[] = {
        {"/a/b", "/visor", "/a/b"},   {"a/b", "/visor", "/visor/a/b"},
        {"//a///b/", "", "/a/b"},     {"a", "/user.slice/", "/user.slice/a"},
        {"/..a/b..", "", "/..a/b.."},
    };
    static const char *const bad[] = {"/a/../b", "..", "/", "", "./a", "/a/./b", "/a\nb"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        char *path;
        assert_int_equal(cgroup_path_resolve(good[i].path, good[i].base, &path, NULL), 0);
        assert_string_equal(path, good[i].result);
        free(path);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *path;
        struct error error = ERROR_INIT;
        assert_int_equal(cgroup_path_resolve(bad[i], "", &path, &error), -EINVAL);
        assert_null(path);
        assert_non_null(strstr(error.message, "linux.cgroupsPath"));
    }
    char name[400], *path;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(cgroup_path_resolve(name, "", &path, NULL), -EINVAL);
}

static void paths_of_systemd_are_scopes(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool user;
        const char *slice, *scope;
    } good[] = {
        {"machine.slice:libpod:1234", false, "machine.slice", "libpod-1234.scope"},
        {":docker:abc", false, "system.slice", "docker-abc.scope"},
        {":docker:abc", true, "user.slice", "docker-abc.scope"},
        {"a-b.slice::x", false, "a-b.slice", "x.scope"},
        {"a.slice::deep.slice", false, "a.slice", "deep.slice"},
        {NULL, false, "system.slice", "visor-id.scope"},
    };
    static const char *const bad[] = {"/a/b",       "a.slice:b",     "a:b:c",         "a.slice:b:c:d",
                                      "a.slice:b:", "a/b.slice:c:d", "a.slice:b:../c"};
    char *slice, *scope;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(cgroup_path_systemd(good[i].path, "id", good[i].user, &slice, &scope, NULL), 0);
        assert_string_equal(slice, good[i].slice);
        assert_string_equal(scope, good[i].scope);
        free(slice);
        free(scope);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(cgroup_path_systemd(bad[i], "id", false, &slice, &scope, NULL), -EINVAL);
}

/* Parses a document, which must be good. */
static json_t *parse(struct resources *resources, const char *text)
{
    struct error error = ERROR_INIT;
    json_t *document = json_loads(text, 0, NULL);
    assert_non_null(document);
    if (resources_parse(resources, document, "linux.resources", &error) < 0)
        fail_msg("%s", error.message);
    return document;
}

/* The plan as lines "FILE=VALUE". */
static char *plan_text(const char *document_text, unsigned v1, unsigned v2, int expected, struct error *error)
{
    static char text[2048];
    struct cgroup_plan plan;
    struct resources resources;
    json_t *document = parse(&resources, document_text);
    assert_int_equal(cgroup_plan_make(&plan, &resources, v1, v2, v2 != 0, error), expected);
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < plan.count; i++) {
        const struct cgroup_setting *setting = &plan.settings[i];
        used += (size_t)snprintf(text + used, sizeof text - used, "%s=%s\n", setting->file,
                                 setting->text ? setting->text : setting->value);
        if (setting->other_file[0])
            used += (size_t)snprintf(text + used, sizeof text - used, "|%s=%s\n", setting->other_file,
                                     setting->other_value);
        assert_true(used < sizeof text);
    }
    cgroup_plan_free(&plan);
    resources_free(&resources);
    json_decref(document);
    return text;
}

static void limits_become_files_of_their_version(void **state)
{
    (void)state;
    static const struct {
        const char *document, *v1, *v2;
    } cases[] = {
        {"{}", "", ""},
        {"{\"memory\":{\"limit\":1000,\"reservation\":500,\"swap\":3000}}",
         "memory.limit_in_bytes=1000\nmemory.memsw.limit_in_bytes=3000\nmemory.soft_limit_in_bytes=500\n",
         "memory.max=1000\nmemory.swap.max=2000\nmemory.low=500\n"},
        {"{\"memory\":{\"limit\":-1}}", "memory.limit_in_bytes=-1\nmemory.memsw.limit_in_bytes=-1\n",
         "memory.max=max\nmemory.swap.max=max\n"},
        {"{\"memory\":{\"limit\":5,\"swap\":-1}}",
         "memory.limit_in_bytes=5\nmemory.memsw.limit_in_bytes=-1\n", "memory.max=5\nmemory.swap.max=max\n"},
        {"{\"memory\":{\"limit\":0,\"swap\":0,\"disableOOMKiller\":false}}", "memory.oom_control=0\n", ""},
        {"{\"cpu\":{\"shares\":1024}}", "cpu.shares=1024\n", "cpu.weight=100\n"},
        {"{\"cpu\":{\"shares\":2}}", "cpu.shares=2\n", "cpu.weight=1\n"},
        {"{\"cpu\":{\"shares\":262144}}", "cpu.shares=262144\n", "cpu.weight=10000\n"},
        {"{\"cpu\":{\"shares\":512}}", "cpu.shares=512\n", "cpu.weight=50\n"},
        {"{\"cpu\":{\"shares\":0}}", "", ""},
        {"{\"cpu\":{\"quota\":5000,\"period\":10000}}", "cpu.cfs_period_us=10000\ncpu.cfs_quota_us=5000\n",
         "cpu.max=5000 10000\n"},
        {"{\"cpu\":{\"quota\":-1}}", "cpu.cfs_quota_us=-1\n", "cpu.max=max\n"},
        {"{\"cpu\":{\"quota\":0}}", "cpu.cfs_quota_us=-1\n", "cpu.max=max\n"},
        {"{\"cpu\":{\"period\":20000}}", "cpu.cfs_period_us=20000\n", "cpu.max= 20000\n"},
        {"{\"cpu\":{\"burst\":7,\"idle\":1}}", "cpu.idle=1\ncpu.cfs_burst_us=7\n",
         "cpu.idle=1\ncpu.max.burst=7\n"},
        {"{\"cpu\":{\"cpus\":\"0-1,3\",\"mems\":\"0\"}}", "cpuset.cpus=0-1,3\ncpuset.mems=0\n",
         "cpuset.cpus=0-1,3\ncpuset.mems=0\n"},
        {"{\"pids\":{\"limit\":10}}", "pids.max=10\n", "pids.max=10\n"},
        {"{\"pids\":{\"limit\":-1}}", "pids.max=max\n", "pids.max=max\n"},
        {"{\"blockIO\":{\"weight\":500}}", "blkio.weight=500\n|blkio.bfq.weight=500\n",
         "io.bfq.weight=500\n|io.weight=default 100\n"},
        {"{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":1,\"weight\":10}]}}",
         "blkio.weight_device=8:1 10\n|blkio.bfq.weight_device=8:1 10\n",
         "io.bfq.weight=8:1 10\n|io.weight=8:1 2\n"},
        {"{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":600}],"
         "\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":16,\"rate\":0}]}}",
         "blkio.throttle.read_bps_device=8:0 600\nblkio.throttle.write_iops_device=8:16 0\n",
         "io.max=8:0 rbps=600\nio.max=8:16 wiops=max\n"},
        {"{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4}]}",
         "hugetlb.2MB.limit_in_bytes=4\nhugetlb.2MB.rsvd.limit_in_bytes=4\n",
         "hugetlb.2MB.max=4\nhugetlb.2MB.rsvd.max=4\n"},
        {"{\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":10}}}",
         "rdma.max=mlx5_1 hca_handle=3 hca_object=10\n", "rdma.max=mlx5_1 hca_handle=3 hca_object=10\n"},
        {"{\"memory\":{\"kernel\":5,\"kernelTCP\":-1,\"useHierarchy\":true}}",
         "memory.use_hierarchy=1\nmemory.kmem.limit_in_bytes=5\nmemory.kmem.tcp.limit_in_bytes=-1\n", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_string_equal(plan_text(cases[i].document, V1_ALL, 0, 0, NULL), cases[i].v1);
        assert_string_equal(plan_text(cases[i].document, 0, V2_ALL, 0, NULL), cases[i].v2);
    }
    assert_string_equal(
        plan_text("{\"network\":{\"classID\":65537,\"priorities\":[{\"name\":\"eth0\",\"priority\":5}]}}",
                  V1_ALL, 0, 0, NULL),
        "net_cls.classid=65537\nnet_prio.ifpriomap=eth0 5\n");
    assert_string_equal(
        plan_text("{\"unified\":{\"memory.high\":\"5\",\"cgroup.max.depth\":\"1\"}}", 0, V2_ALL, 0, NULL),
        "memory.high=5\ncgroup.max.depth=1\n");
    /* hybrid: what is in version 1 is set there, what is not in version 2 */
    assert_string_equal(
        plan_text("{\"pids\":{\"limit\":1},\"hugepageLimits\":[{\"pageSize\":\"1GB\",\"limit\":0}]}",
                  CONTROLLER_BIT(CONTROLLER_PIDS), CONTROLLER_BIT(CONTROLLER_HUGETLB), 0, NULL),
        "pids.max=1\nhugetlb.1GB.max=0\nhugetlb.1GB.rsvd.max=0\n");
}

static void what_cannot_be_set_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *document;
        unsigned v1, v2;
        int code;
        const char *part;
    } cases[] = {
        {"{\"memory\":{\"limit\":5}}", CONTROLLER_BIT(CONTROLLER_PIDS), 0, -ENOTSUP,
         "linux.resources.memory.limit needs the cgroup controller 'memory'"},
        {"{\"blockIO\":{\"weight\":50}}", 0, CONTROLLER_BIT(CONTROLLER_PIDS), -ENOTSUP, "controller 'io'"},
        {"{\"network\":{\"classID\":5}}", 0, V2_ALL, -ENOTSUP, "controller 'net_cls'"},
        {"{\"memory\":{\"swappiness\":5}}", 0, V2_ALL, -ENOTSUP,
         "memory.swappiness is a setting of cgroup version 1"},
        {"{\"memory\":{\"disableOOMKiller\":true}}", 0, V2_ALL, -ENOTSUP, "memory.disableOOMKiller"},
        {"{\"cpu\":{\"realtimeRuntime\":5}}", 0, V2_ALL, -ENOTSUP, "cpu.realtimeRuntime"},
        {"{\"memory\":{\"swap\":5}}", 0, V2_ALL, -EINVAL, "needs memory.limit"},
        {"{\"memory\":{\"limit\":6,\"swap\":5}}", V1_ALL, 0, -EINVAL, "less than memory.limit"},
        {"{\"cpu\":{\"quota\":6,\"burst\":7}}", V1_ALL, 0, -EINVAL, "more than cpu.quota"},
        {"{\"cpu\":{\"cpus\":\"0;1\"}}", V1_ALL, 0, -EINVAL, "linux.resources.cpu.cpus is '0;1'"},
        {"{\"unified\":{\"memory.high\":\"5\"}}", V1_ALL, CONTROLLER_BIT(CONTROLLER_PIDS), -ENOTSUP,
         "the controller 'memory' is not in cgroup version 2 on this host, but in version 1"},
        {"{\"unified\":{\"memory.high\":\"5\"}}", V1_ALL, 0, -ENOTSUP, "needs cgroup version 2"},
        {"{\"unified\":{\"nonsense.high\":\"5\"}}", 0, V2_ALL, -ENOTSUP, "'nonsense'"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error error = ERROR_INIT;
        plan_text(cases[i].document, cases[i].v1, cases[i].v2, cases[i].code, &error);
        if (!strstr(error.message, cases[i].part))
            fail_msg("'%s' does not say '%s'", error.message, cases[i].part);
    }
}

static void bad_resources_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *document, *part;
    } cases[] = {
        {"[]", "linux.resources must be an object"},
        {"{\"memory\":[]}", "linux.resources.memory: an object is wanted, not an array"},
        {"{\"memory\":{\"limit\":\"5M\"}}",
         "linux.resources.memory.limit: a whole number is wanted, not text"},
        {"{\"memory\":{\"limit\":1.5}}",
         "linux.resources.memory.limit: a whole number is wanted, not a number with a fraction"},
        {"{\"memory\":{\"limit\":-2}}", "linux.resources.memory.limit: -2 is not in the range"},
        {"{\"memory\":{\"swappiness\":101}}",
         "linux.resources.memory.swappiness: 101 is not in the range 0 to 100"},
        {"{\"memory\":{\"disableOOMKiller\":1}}",
         "linux.resources.memory.disableOOMKiller: true or false is wanted, not a number"},
        {"{\"cpu\":{\"cpus\":3}}", "linux.resources.cpu.cpus: text is wanted, not a number"},
        {"{\"devices\":{}}", "linux.resources.devices: an array is wanted, not an object"},
        {"{\"devices\":[{\"type\":\"c\"}]}", "linux.resources.devices[0].allow is missing"},
        {"{\"devices\":[{\"allow\":true,\"type\":\"x\"}]}", "linux.resources.devices[0].type is 'x'"},
        {"{\"devices\":[{\"allow\":true},{\"allow\":true,\"access\":\"rx\"}]}",
         "linux.resources.devices[1].access is 'rx'"},
        {"{\"blockIO\":{\"weightDevice\":[{\"major\":1,\"minor\":2}]}}", "neither weight nor leafWeight"},
        {"{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":1,\"rate\":2}]}}",
         "linux.resources.blockIO.throttleReadBpsDevice[0].minor is missing"},
        {"{\"hugepageLimits\":[{\"pageSize\":\"../x\",\"limit\":2}]}",
         "linux.resources.hugepageLimits[0].pageSize"},
        {"{\"rdma\":{\"a\":{}}}", "neither hcaHandles nor hcaObjects"},
        {"{\"unified\":{\"a/b.c\":\"\"}}", "'a/b.c' is not the name of a cgroup file"},
        {"{\"unified\":{\"memory.max\":5}}", "linux.resources.unified.memory.max must be a string"},
        {"{\"network\":{\"priorities\":[{\"name\":\"e 0\",\"priority\":1}]}}", "names no interface"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error error = ERROR_INIT;
        struct resources resources;
        json_t *document = json_loads(cases[i].document, 0, NULL);
        assert_non_null(document);
        assert_int_equal(resources_parse(&resources, document, "linux.resources", &error), -EINVAL);
        if (!strstr(error.message, cases[i].part))
            fail_msg("'%s' does not say '%s'", error.message, cases[i].part);
        json_decref(document);
    }
    struct resources resources; /* unknown members are no error: "Extensibility" */
    json_t *document =
        parse(&resources, "{\"new\":1,\"memory\":{\"other\":2},\"devices\":[{\"allow\":false}]}");
    assert_int_equal(resources.devices[0].access, 7);
    assert_int_equal(resources.devices[0].type, 'a');
    assert_true(resources.devices_set);
    resources_free(&resources);
    json_decref(document);
}

/* What a program does, by the manual of BPF; only what the generator uses. */
static int interpret(const struct bpf_insn *program, size_t count, unsigned type, unsigned access,
                     unsigned major, unsigned minor)
{
    uint64_t registers[11] = {0};
    const uint32_t context[3] = {access << 16 | type, major, minor};
    for (size_t i = 0; i < count; i++) {
        const struct bpf_insn *at = &program[i];
        uint64_t *to = &registers[at->dst_reg];
        bool jump = false;
        switch (at->code) {
        case BPF_LDX | BPF_MEM | BPF_W:
            assert_int_equal(at->src_reg, 1);
            assert_true(at->off >= 0 && at->off <= 8);
            *to = context[at->off / 4];
            break;
        case BPF_ALU | BPF_MOV | BPF_X: *to = (uint32_t)registers[at->src_reg]; break;
        case BPF_ALU64 | BPF_MOV | BPF_K: *to = (uint64_t)(int64_t)at->imm; break;
        case BPF_ALU | BPF_AND | BPF_K: *to = (uint32_t)*to & (uint32_t)at->imm; break;
        case BPF_ALU | BPF_RSH | BPF_K: *to = (uint32_t)*to >> at->imm; break;
        case BPF_JMP32 | BPF_JNE | BPF_K: jump = (uint32_t)*to != (uint32_t)at->imm; break;
        case BPF_JMP | BPF_JSET | BPF_K: jump = *to & (uint32_t)at->imm; break;
        case BPF_JMP | BPF_EXIT: return (int)registers[0];
        default: fail_msg("instruction %zu has code %#x", i, at->code);
        }
        if (jump) {
            assert_true(at->off >= 0); /* what the kernel wants of a program: it ends */
            i += (size_t)at->off;
        }
    }
    fail_msg("the program has no end");
    return -1;
}

/* The specification, bit for bit: the last rule that matches decides. */
static bool allowed(const struct resource_device_rule *rules, size_t count, char type, unsigned access,
                    int64_t major, int64_t minor)
{
    for (unsigned bit = 1; bit <= 4; bit *= 2) {
        bool allow = true;
        for (size_t i = 0; i < count; i++)
            if ((rules[i].type == 'a' || rules[i].type == type) &&
                (rules[i].major < 0 || rules[i].major == major) &&
                (rules[i].minor < 0 || rules[i].minor == minor) && rules[i].access & bit)
                allow = rules[i].allow;
        if (access & bit && !allow)
            return false;
    }
    return true;
}

static unsigned kernel_access(unsigned access)
{
    return (access & RESOURCE_DEVICE_READ ? BPF_DEVCG_ACC_READ : 0u) |
           (access & RESOURCE_DEVICE_WRITE ? BPF_DEVCG_ACC_WRITE : 0u) |
           (access & RESOURCE_DEVICE_MKNOD ? BPF_DEVCG_ACC_MKNOD : 0u);
}

/* A small space of devices, in which all is tried. */
static void compare_program(const struct resource_device_rule *rules, size_t count)
{
    struct bpf_insn program[CGROUP_DEVICE_INSTRUCTIONS(12)];
    size_t used = cgroup_device_program(rules, count, program, ARRAY_SIZE(program));
    assert_true(used > 0 && used <= CGROUP_DEVICE_INSTRUCTIONS(count));
    for (unsigned type = 0; type < 2; type++)
        for (unsigned access = 1; access < 8; access++)
            for (unsigned number = 0; number < 9; number++)
                assert_int_equal(interpret(program, used, type ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK,
                                           kernel_access(access), number / 3, number % 3),
                                 allowed(rules, count, type ? 'c' : 'b', access, number / 3, number % 3));
}

/* What version 1 does with the list: devices.list is a default and exceptions, of any of which all must
 * match. */
static void compare_list(const struct resource_device_rule *rules, size_t count)
{
    struct cgroup_device_list list;
    if (cgroup_device_list_make(&list, rules, count, NULL) < 0)
        return; /* it cannot be said in version 1 */
    for (unsigned type = 0; type < 2; type++)
        for (unsigned bit = 1; bit < 8; bit *= 2)
            for (unsigned number = 0; number < 9; number++) {
                bool result = list.allow;
                for (size_t i = 0; i < list.count; i++) {
                    const struct resource_device_rule *rule = &list.exceptions[i];
                    if (rule->type == (type ? 'c' : 'b') && (rule->major < 0 || rule->major == number / 3) &&
                        (rule->minor < 0 || rule->minor == number % 3) && rule->access & bit)
                        result = !list.allow;
                }
                assert_int_equal(result,
                                 allowed(rules, count, type ? 'c' : 'b', bit, number / 3, number % 3));
            }
    cgroup_device_list_free(&list);
}

static void device_rules_become_programs_and_lists(void **state)
{
    (void)state;
    static const struct resource_device_rule usual[] = {
        {false, 'a', -1, -1, 7}, {true, 'c', 1, -1, 1}, {true, 'c', 1, 2, 7},
        {true, 'b', -1, 2, 6},   {false, 'c', 1, 2, 2}, {true, 'c', -1, -1, 4},
    };
    for (size_t count = 0; count <= ARRAY_SIZE(usual); count++)
        compare_program(usual, count);
    for (unsigned round = 0; round < 3000; round++) {
        struct resource_device_rule rules[12];
        size_t count = round % 12;
        for (size_t i = 0; i < count; i++) {
            if (random_below(8) == 0)
                rules[i] = (struct resource_device_rule){random_below(2), 'a', -1, -1, 7};
            else
                rules[i] = (struct resource_device_rule){.allow = random_below(2),
                                                         .type = "abc"[random_below(3)],
                                                         .major = (int)random_below(4) - 1,
                                                         .minor = (int)random_below(4) - 1,
                                                         .access = random_below(7) + 1};
        }
        compare_program(rules, count);
        compare_list(rules, count);
    }
    struct bpf_insn few[4];
    assert_int_equal(cgroup_device_program(usual, 6, few, ARRAY_SIZE(few)), 0);
}

static void lists_of_version_1_are_read(void **state)
{
    (void)state;
    struct cgroup_device_list list;
    char text[CGROUP_DEVICE_TEXT];
    assert_int_equal(cgroup_device_list_parse(&list, "c 1:3 rwm\nb *:* m\nc 136:* rw\nnonsense\n", NULL), 0);
    assert_false(list.allow);
    assert_int_equal(list.count, 3);
    assert_string_equal(cgroup_device_text(&list.exceptions[0], text), "c 1:3 rwm");
    assert_string_equal(cgroup_device_text(&list.exceptions[1], text), "b *:* m");
    assert_string_equal(cgroup_device_text(&list.exceptions[2], text), "c 136:* rw");
    cgroup_device_list_free(&list);
    assert_int_equal(cgroup_device_list_parse(&list, "a *:* rwm\n", NULL), 0);
    assert_true(list.allow);
    assert_int_equal(list.count, 0);
    cgroup_device_list_free(&list);

    static const struct resource_device_rule part[] = {
        {false, 'a', -1, -1, 7}, {true, 'c', 1, -1, 7}, {false, 'c', 1, 3, 2}};
    struct error error = ERROR_INIT;
    assert_int_equal(cgroup_device_list_make(&list, part, 3, &error), -EINVAL);
    assert_non_null(strstr(error.message, "'c 1:3 w' is denied as a part of 'c 1:* rwm'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mounts_are_found),
        cmocka_unit_test(paths_are_kept_inside),
        cmocka_unit_test(paths_of_systemd_are_scopes),
        cmocka_unit_test(limits_become_files_of_their_version),
        cmocka_unit_test(what_cannot_be_set_is_named),
        cmocka_unit_test(bad_resources_are_named),
        cmocka_unit_test(device_rules_become_programs_and_lists),
        cmocka_unit_test(lists_of_version_1_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
