/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/container_document.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/macros.h"
#include "domain/user_namespace.h"
#include "personality/container/container_user.h"
#include "personality/container/oci_names.h"
#include "personality/container/oci_template.h"

/* What usual programs need, and what they can do with it ends at the container's border. */
static const char *const usual_capabilities[] = {
    "CAP_AUDIT_WRITE", "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FOWNER",           "CAP_FSETID",
    "CAP_KILL",        "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",
    "CAP_SETGID",      "CAP_SETPCAP", "CAP_SETUID",       "CAP_SYS_CHROOT",
};

struct making {
    const struct container_document *what;
    json_t *document, *process, *platform;
    bool failed; /* out of memory */
};

/* -- JSON ------------------------------------------------------------------------------------------------ */

static json_t *object_in(struct making *making, json_t *object, const char *name)
{
    json_t *found = json_object_get(object, name);
    if (!json_is_object(found)) {
        making->failed |= json_object_set_new(object, name, json_object()) != 0;
        found = json_object_get(object, name);
    }
    return found;
}

static json_t *array_in(struct making *making, json_t *object, const char *name)
{
    json_t *found = json_object_get(object, name);
    if (!json_is_array(found)) {
        making->failed |= json_object_set_new(object, name, json_array()) != 0;
        found = json_object_get(object, name);
    }
    return found;
}

static void set(struct making *making, json_t *object, const char *name, json_t *value)
{
    making->failed |= json_object_set_new(object, name, value) != 0;
}

static void append(struct making *making, json_t *array, json_t *value)
{
    making->failed |= json_array_append_new(array, value) != 0;
}

static json_t *texts(struct making *making, const struct domain_list *list)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < list->count; i++)
        append(making, array, json_string(list->items[i]));
    return array;
}

/* -- the process ----------------------------------------------------------------------------------------- */

/* NAME=VALUE, in place of what there was of this name; with `keep`, only if there was none. */
static void set_variable(struct making *making, const char *text, bool keep)
{
    json_t *environment = array_in(making, making->process, "env");
    size_t length = strcspn(text, "=") + 1;
    for (size_t i = json_array_size(environment); i-- > 0;) {
        const char *there = json_string_value(json_array_get(environment, i));
        if (!there || strncmp(there, text, length) != 0)
            continue;
        if (keep)
            return;
        json_array_remove(environment, i);
    }
    append(making, environment, json_string(text));
}

static __attribute__((format(printf, 2, 3))) void offer_variable(struct making *making, const char *format,
                                                                 ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    set_variable(making, text, true);
}

static int open_root(const struct making *making, struct error *error)
{
    const struct domain_config *config = making->what->config;
    const char *root =
        config->container.root
            ? config->container.root
            : json_string_value(json_object_get(json_object_get(making->document, "root"), "path"));
    int bundle = AT_FDCWD;
    if (config->container.bundle)
        bundle = open(config->container.bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = root ? openat(bundle, root, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    int code = fd < 0 ? -errno : 0;
    if (bundle >= 0)
        close(bundle);
    if (code)
        error_set(error, code, "container.root: cannot open %s: %s", root ? root : "(none)", strerror(-code));
    return code ? code : fd;
}

static int set_user(struct making *making, struct error *error)
{
    const char *text = making->what->config->container.user;
    struct container_user user;
    int root = open_root(making, error);
    if (root < 0)
        return root;
    int code = container_user_find(&user, root, text ? text : "0", error);
    close(root);
    if (code) {
        error_prefix(error, "container.user: ");
        return code;
    }
    if (text) {
        json_t *groups = json_array();
        for (unsigned i = 0; i < user.group_count; i++)
            append(making, groups, json_integer(user.groups[i]));
        set(making, making->process, "user",
            json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)user.uid, "gid", (json_int_t)user.gid,
                      "additionalGids", groups));
    }
    offer_variable(making, "HOME=%s", user.home);
    return 0;
}

static int set_process(struct making *making, struct error *error)
{
    const struct domain_config *config = making->what->config;
    set(making, making->process, "terminal", json_boolean(making->what->terminal));
    if (config->container.command.count)
        set(making, making->process, "args", texts(making, &config->container.command));
    else if (!config->container.bundle)
        set(making, making->process, "args", json_pack("[s]", "/bin/sh"));
    if (config->container.workdir)
        set(making, making->process, "cwd", json_string(config->container.workdir));
    for (unsigned i = 0; i < config->container.env.count; i++)
        set_variable(making, config->container.env.items[i], false);
    if (making->what->terminal)
        offer_variable(making, "TERM=xterm");
    offer_variable(making, "container=visor");
    return set_user(making, error);
}

/* -- rights ---------------------------------------------------------------------------------------------- */

static bool in_list(const struct domain_list *list, const char *capability)
{
    for (unsigned i = 0; i < list->count; i++) {
        const char *item = list->items[i];
        const char *name = strncasecmp(item, "CAP_", 4) == 0 ? item + 4 : item;
        if (strcasecmp(name, capability + 4) == 0 || strcasecmp(item, "ALL") == 0)
            return true;
    }
    return false;
}

static bool is_usual(const char *capability)
{
    for (unsigned i = 0; i < ARRAY_SIZE(usual_capabilities); i++) {
        if (strcmp(usual_capabilities[i], capability) == 0)
            return true;
    }
    return false;
}

/* A bundle says itself what it wants, unless the configuration does. */
static void set_capabilities(struct making *making)
{
    const struct domain_config *config = making->what->config;
    const bool said =
        config->container.cap_add.count || config->container.cap_drop.count || config->container.privileged;
    if (config->container.bundle && !said)
        return;
    json_t *names = json_array();
    for (const struct oci_name *n = oci_capability_names; n->name; n++) {
        bool has = config->container.privileged || in_list(&config->container.cap_add, n->name) ||
                   (is_usual(n->name) && !in_list(&config->container.cap_drop, n->name));
        if (has)
            append(making, names, json_string(n->name));
    }
    json_t *sets = json_object();
    set(making, sets, "bounding", json_incref(names));
    set(making, sets, "permitted", json_incref(names));
    set(making, sets, "effective", names);
    set(making, making->process, "capabilities", sets);
    set(making, making->process, "noNewPrivileges", json_false());
    if (!config->container.bundle)
        json_object_del(making->process, "rlimits"); /* the host's */
}

static void allow_device(struct making *making, const char *type, json_int_t major, json_int_t minor,
                         const char *access)
{
    json_t *rules = array_in(making, object_in(making, making->platform, "resources"), "devices");
    json_t *rule = json_pack("{s:b, s:s, s:s}", "allow", 1, "type", type, "access", access);
    if (major >= 0) {
        set(making, rule, "major", json_integer(major));
        set(making, rule, "minor", json_integer(minor));
    }
    append(making, rules, rule);
}

/* DEV[:DST[:rwm]] */
static int add_device(struct making *making, const char *text, struct error *error)
{
    char source[PATH_MAX], target[PATH_MAX];
    struct stat status;
    const char *colon = strchr(text, ':'), *second = colon ? strchr(colon + 1, ':') : NULL;
    const char *access = second ? second + 1 : "rwm";
    snprintf(source, sizeof source, "%.*s", (int)(colon ? colon - text : (long)strlen(text)), text);
    snprintf(target, sizeof target, "%.*s", (int)(second ? second - colon - 1 : PATH_MAX - 1),
             colon ? colon + 1 : source);
    if (stat(source, &status) < 0)
        return error_set(error, -errno, "container.devices: cannot find %s: %s", source, strerror(errno));
    if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode))
        return error_set(error, -ENODEV, "container.devices: %s is no device", source);
    const char *type = S_ISCHR(status.st_mode) ? "c" : "b";
    json_int_t major = major(status.st_rdev), minor = minor(status.st_rdev);
    append(making, array_in(making, making->platform, "devices"),
           json_pack("{s:s, s:s, s:I, s:I, s:i}", "path", target, "type", type, "major", major, "minor",
                     minor, "fileMode", (int)(status.st_mode & 07777)));
    if (geteuid() == 0)
        allow_device(making, type, major, minor, access);
    return 0;
}

static void remove_option(json_t *mount, const char *option)
{
    json_t *options = json_object_get(mount, "options");
    for (size_t i = json_array_size(options); i-- > 0;) {
        const char *text = json_string_value(json_array_get(options, i));
        if (text && strcmp(text, option) == 0)
            json_array_remove(options, i);
    }
}

static void set_privileged(struct making *making)
{
    json_t *mounts = json_object_get(making->document, "mounts");
    json_object_del(making->platform, "maskedPaths");
    json_object_del(making->platform, "readonlyPaths");
    json_object_del(making->platform, "seccomp");
    for (size_t i = 0; i < json_array_size(mounts); i++)
        remove_option(json_array_get(mounts, i), "ro");
    if (geteuid() == 0)
        allow_device(making, "a", -1, -1, "rwm");
}

/* NAME=SOFT[:HARD] */
static int add_limit(struct making *making, const char *text, struct error *error)
{
    char name[32] = "RLIMIT_";
    const char *sign = strchr(text, '=');
    unsigned long long soft, hard;
    uint64_t number;
    for (size_t i = 0; text + i < sign && i < sizeof name - 8; i++)
        name[7 + i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 'a' + 'A' : text[i]);
    char *end;
    soft = hard = strtoull(sign + 1, &end, 10);
    if (*end == ':')
        hard = strtoull(end + 1, &end, 10);
    if (end == sign + 1 || *end || !oci_name_find(oci_rlimit_names, name, &number))
        return error_set(error, -EINVAL, "container.ulimits: \"%s\" is not NAME=SOFT[:HARD]", text);
    json_t *limits = array_in(making, making->process, "rlimits");
    for (size_t i = json_array_size(limits); i-- > 0;) {
        const char *there = json_string_value(json_object_get(json_array_get(limits, i), "type"));
        if (there && strcmp(there, name) == 0)
            json_array_remove(limits, i);
    }
    append(making, limits,
           json_pack("{s:s, s:I, s:I}", "type", name, "soft", (json_int_t)soft, "hard", (json_int_t)hard));
    return 0;
}

/* -- the root -------------------------------------------------------------------------------------------- */

/* SRC:DST[:ro|rw] */
static void add_volume(struct making *making, const char *text)
{
    const char *colon = strchr(text, ':'), *second = strchr(colon + 1, ':');
    json_t *mount =
        json_pack("{s:s%, s:s%, s:s, s:[s, s]}", "source", text, (size_t)(colon - text), "destination",
                  colon + 1, second ? (size_t)(second - colon - 1) : strlen(colon + 1), "type", "bind",
                  "options", "rbind", "rprivate");
    if (second && strcmp(second, ":ro") == 0)
        append(making, json_object_get(mount, "options"), json_string("rro"));
    append(making, array_in(making, making->document, "mounts"), mount);
}

/* DIR[:OPTION[,OPTION]...] */
static void add_tmpfs(struct making *making, const char *text)
{
    const char *colon = strchr(text, ':');
    json_t *mount = json_pack("{s:s, s:s%, s:s, s:[s, s]}", "source", "tmpfs", "destination", text,
                              colon ? (size_t)(colon - text) : strlen(text), "type", "tmpfs", "options",
                              "nosuid", "nodev");
    for (const char *at = colon ? colon + 1 : ""; *at;) {
        size_t length = strcspn(at, ",");
        append(making, json_object_get(mount, "options"), json_stringn(at, length));
        at += length + (at[length] == ',');
    }
    append(making, array_in(making, making->document, "mounts"), mount);
}

static bool has_mount(const json_t *mounts, const char *destination)
{
    for (size_t i = 0; i < json_array_size(mounts); i++) {
        const char *there = json_string_value(json_object_get(json_array_get(mounts, i), "destination"));
        if (there && strcmp(there, destination) == 0)
            return true;
    }
    return false;
}

/* systemd as the first process wants to find these mounted, since it may not mount them, and its cgroup to
 * itself: in version 2, where what limits it is above. */
static void set_system(struct making *making)
{
    static const char *const directories[] = {"/run", "/run/lock", "/tmp", "/var/log/journal"};
    json_t *mounts = array_in(making, making->document, "mounts");
    for (size_t i = 0; i < json_array_size(mounts); i++) {
        json_t *mount = json_array_get(mounts, i);
        const char *type = json_string_value(json_object_get(mount, "type"));
        if (!type || strcmp(type, "cgroup") != 0)
            continue;
        set(making, mount, "type", json_string("cgroup2"));
        remove_option(mount, "ro");
    }
    for (unsigned i = 0; i < ARRAY_SIZE(directories); i++) {
        if (!has_mount(mounts, directories[i]))
            add_tmpfs(making, directories[i]);
    }
}

bool container_document_is_system(const struct domain_config *config)
{
    const char *program = config->container.command.count ? config->container.command.items[0] : "";
    const char *slash = strrchr(program, '/');
    return slash && (strcmp(slash, "/init") == 0 || strcmp(slash, "/systemd") == 0);
}

static void set_root(struct making *making)
{
    const struct domain_config *config = making->what->config;
    json_t *root = object_in(making, making->document, "root");
    if (config->container.root) {
        set(making, root, "path", json_string(config->container.root));
        set(making, root, "readonly", json_boolean(config->container.read_only));
    } else if (config->container.read_only) {
        set(making, root, "readonly", json_true());
    }
    for (unsigned i = 0; i < config->container.tmpfs.count; i++)
        add_tmpfs(making, config->container.tmpfs.items[i]);
    for (unsigned i = 0; i < config->container.volumes.count; i++)
        add_volume(making, config->container.volumes.items[i]);
    if (container_document_is_system(config))
        set_system(making);
    if (config->container.hostname)
        set(making, making->document, "hostname", json_string(config->container.hostname));
    else if (!config->container.bundle)
        set(making, making->document, "hostname", json_string(making->what->name));
}

/* -- limits ---------------------------------------------------------------------------------------------- */

int64_t container_cpu_quota(const char *cpus)
{
    return cpus ? (int64_t)(atof(cpus) * CONTAINER_CPU_PERIOD) : 0;
}

static void set_limits(struct making *making)
{
    const struct domain_config *config = making->what->config;
    uint64_t pids = config->container.pids;
    if (geteuid() == 0 && !json_object_get(making->platform, "cgroupsPath")) {
        char path[64]; /* whose cgroups are said is counted in all of them, so that there are statistics */
        snprintf(path, sizeof path, "/visor/%s", making->what->id);
        set(making, making->platform, "cgroupsPath", json_string(path));
    }
    if (!pids && !config->container.bundle && geteuid() == 0)
        pids = CONTAINER_PROCESSES_MOST;
    if (!pids && !config->container.memory && !config->container.memory_swap && !config->container.cpus &&
        !config->container.cpu_shares && !config->container.pin)
        return;
    json_t *resources = object_in(making, making->platform, "resources");
    json_t *memory = object_in(making, resources, "memory"), *cpu = object_in(making, resources, "cpu");
    if (pids)
        set(making, resources, "pids", json_pack("{s:I}", "limit", (json_int_t)pids));
    if (config->container.memory)
        set(making, memory, "limit", json_integer((json_int_t)config->container.memory));
    if (config->container.memory_swap)
        set(making, memory, "swap", json_integer((json_int_t)config->container.memory_swap));
    if (config->container.pin)
        set(making, cpu, "cpus", json_string(config->container.pin));
    if (config->container.cpu_shares)
        set(making, cpu, "shares", json_integer((json_int_t)config->container.cpu_shares));
    if (config->container.cpus) {
        set(making, cpu, "quota", json_integer(container_cpu_quota(config->container.cpus)));
        set(making, cpu, "period", json_integer(CONTAINER_CPU_PERIOD));
    }
}

/* -- all of it ------------------------------------------------------------------------------------------- */

static json_t *read_bundle(const char *bundle, struct error *error)
{
    char path[PATH_MAX];
    json_error_t wrong;
    snprintf(path, sizeof path, "%s/config.json", bundle);
    json_t *document = json_load_file(path, JSON_REJECT_DUPLICATES, &wrong);
    if (!document && wrong.line > 0)
        error_set(error, -EINVAL, "%s:%d: %s", path, wrong.line, wrong.text);
    else if (!document)
        error_set(error, -ENOENT, "cannot read %s: %s", path, wrong.text);
    else if (!json_is_object(document))
        error_set(error, -EINVAL, "%s: not an object", path);
    if (document && !json_is_object(document)) {
        json_decref(document);
        document = NULL;
    }
    return document;
}

static json_t *begin(const struct container_document *what)
{
    struct oci_template template = {.rootless = geteuid() != 0, .host_network = !what->has_network};
    struct user_ranges ranges;
    if (template.rootless && user_namespace_ranges(&ranges)) {
        template.uids_first = ranges.uids_first;
        template.uids_count = ranges.uids_count;
        template.gids_first = ranges.gids_first;
        template.gids_count = ranges.gids_count;
    }
    return oci_template_make(&template);
}

static int change(struct making *making, struct error *error)
{
    const struct domain_config *config = making->what->config;
    int code = 0;
    making->process = object_in(making, making->document, "process");
    making->platform = object_in(making, making->document, "linux");
    if (making->failed)
        return 0;
    set_root(making);
    set_capabilities(making);
    set_limits(making);
    if (config->container.seccomp)
        json_object_del(making->platform, "seccomp");
    for (unsigned i = 0; !code && i < config->container.devices.count; i++)
        code = add_device(making, config->container.devices.items[i], error);
    for (unsigned i = 0; !code && i < config->container.ulimits.count; i++)
        code = add_limit(making, config->container.ulimits.items[i], error);
    for (unsigned i = 0; i < config->container.sysctls.count; i++) {
        const char *text = config->container.sysctls.items[i], *sign = strchr(text, '=');
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)(sign - text), text);
        set(making, object_in(making, making->platform, "sysctl"), name, json_string(sign + 1));
    }
    if (config->container.privileged)
        set_privileged(making);
    return code ? code : set_process(making, error);
}

json_t *container_document_make(const struct container_document *what, struct error *error)
{
    const char *bundle = what->config->container.bundle;
    struct making making = {.what = what};
    making.document = bundle ? read_bundle(bundle, error) : begin(what);
    if (!making.document) {
        if (!bundle)
            error_set(error, -ENOMEM, "out of memory");
        return NULL;
    }
    int code = change(&making, error);
    if (!code && making.failed)
        code = error_set(error, -ENOMEM, "out of memory");
    if (code) {
        json_decref(making.document);
        return NULL;
    }
    return making.document;
}
