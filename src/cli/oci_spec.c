/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci spec: a config.json to begin with. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/oci.h"
#include "personality/container/oci_config.h"

enum option { BUNDLE, ROOTLESS };

static const struct command_option options[] = {
    [BUNDLE] = {.name = "bundle",
                .argument = "DIR",
                .help = "Write it there, not into the current directory",
                .is_file = true,
                .letter = 'b'},
    [ROOTLESS] = {.name = "rootless", .help = "For an ordinary user: with a user namespace, and no limits"},
    {0},
};

#define CAPABILITIES "[\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"]"

static const char template[] =
    "{\"ociVersion\": \"" OCI_VERSION "\","
    "\"process\": {\"terminal\": true, \"user\": {\"uid\": 0, \"gid\": 0}, \"args\": [\"sh\"],"
    "  \"env\": [\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\", \"TERM=xterm\"],"
    "  \"cwd\": \"/\","
    "  \"capabilities\": {\"bounding\": " CAPABILITIES ", \"effective\": " CAPABILITIES
    ", \"permitted\": " CAPABILITIES "},"
    "  \"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", \"hard\": 1024, \"soft\": 1024}],"
    "  \"noNewPrivileges\": true},"
    "\"root\": {\"path\": \"rootfs\", \"readonly\": true},"
    "\"hostname\": \"visor\","
    "\"mounts\": ["
    "  {\"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\", \"options\": [\"nosuid\", \"noexec\", \"nodev\"]},"
    "  {\"destination\": \"/dev\", \"type\": \"tmpfs\", \"source\": \"tmpfs\","
    "   \"options\": [\"nosuid\", \"strictatime\", \"mode=755\", \"size=65536k\"]},"
    "  {\"destination\": \"/dev/pts\", \"type\": \"devpts\", \"source\": \"devpts\","
    "   \"options\": [\"nosuid\", \"noexec\", \"newinstance\", \"ptmxmode=0666\", \"mode=0620\", \"gid=5\"]},"
    "  {\"destination\": \"/dev/shm\", \"type\": \"tmpfs\", \"source\": \"shm\","
    "   \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"mode=1777\", \"size=65536k\"]},"
    "  {\"destination\": \"/dev/mqueue\", \"type\": \"mqueue\", \"source\": \"mqueue\","
    "   \"options\": [\"nosuid\", \"noexec\", \"nodev\"]},"
    "  {\"destination\": \"/sys\", \"type\": \"sysfs\", \"source\": \"sysfs\","
    "   \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"ro\"]},"
    "  {\"destination\": \"/sys/fs/cgroup\", \"type\": \"cgroup\", \"source\": \"cgroup\","
    "   \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"relatime\", \"ro\"]}],"
    "\"linux\": {\"resources\": {\"devices\": [{\"allow\": false, \"access\": \"rwm\"}]},"
    "  \"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\": \"ipc\"}, {\"type\": \"uts\"},"
    "    {\"type\": \"mount\"}, {\"type\": \"cgroup\"}],"
    "  \"maskedPaths\": [\"/proc/acpi\", \"/proc/asound\", \"/proc/kcore\", \"/proc/keys\", \"/proc/latency_stats\","
    "    \"/proc/timer_list\", \"/proc/timer_stats\", \"/proc/sched_debug\", \"/proc/scsi\", \"/sys/firmware\"],"
    "  \"readonlyPaths\": [\"/proc/bus\", \"/proc/fs\", \"/proc/irq\", \"/proc/sys\", \"/proc/sysrq-trigger\"]}}";

static struct spec_state {
    const char *bundle;
    bool rootless;
} spec_state = {.bundle = "."};

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct spec_state *state = context;
    (void)error;
    if (index == BUNDLE)
        state->bundle = argument;
    else
        state->rootless = true;
    return 0;
}

/* An ordinary user has no group 5 to give terminals to, and the host's network, whose /sys can only be shown.
 */
static void change_mounts(json_t *mounts)
{
    for (size_t i = json_array_size(mounts); i-- > 0;) {
        json_t *mount = json_array_get(mounts, i);
        const char *type = json_string_value(json_object_get(mount, "type"));
        if (strcmp(type, "devpts") == 0)
            json_array_remove(json_object_get(mount, "options"), 5);
        else if (strcmp(type, "cgroup") == 0)
            json_array_remove(mounts, i);
        else if (strcmp(type, "sysfs") == 0)
            json_array_set_new(mounts, i,
                               json_pack("{s:s, s:s, s:s, s:[s, s, s, s, s]}", "destination", "/sys", "type",
                                         "none", "source", "/sys", "options", "rbind", "nosuid", "noexec",
                                         "nodev", "rro"));
    }
}

static void change_for_user(json_t *document)
{
    json_t *platform = json_object_get(document, "linux");
    json_t *namespaces = json_object_get(platform, "namespaces");
    json_array_remove(namespaces, 1); /* network */
    json_array_append_new(namespaces, json_pack("{s:s}", "type", "user"));
    json_object_set_new(
        platform, "uidMappings",
        json_pack("[{s:i, s:I, s:i}]", "containerID", 0, "hostID", (json_int_t)geteuid(), "size", 1));
    json_object_set_new(
        platform, "gidMappings",
        json_pack("[{s:i, s:I, s:i}]", "containerID", 0, "hostID", (json_int_t)getegid(), "size", 1));
    json_object_del(platform, "resources");
    change_mounts(json_object_get(document, "mounts"));
}

static int write_document(const char *path, const json_t *document, struct error *error)
{
    char *text = json_dumps(document, JSON_INDENT(4));
    int fd = text ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    int code = fd < 0 || dprintf(fd, "%s\n", text) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    free(text);
    if (code == -EEXIST)
        return error_set(error, code, "%s exists already: remove it first", path);
    return code < 0 ? error_set(error, code, "cannot write %s: %s", path, strerror(-code)) : 0;
}

static int run_spec(void *context, int count, char **words)
{
    const struct spec_state *state = context;
    struct error error = ERROR_INIT;
    char path[PATH_MAX];
    (void)words;
    if (!oci_check_words(&oci_spec, count, 0, 0))
        return STATUS_USAGE;
    json_t *document = json_loads(template, 0, NULL);
    if (state->rootless)
        change_for_user(document);
    snprintf(path, sizeof path, "%s/config.json", state->bundle);
    int code = write_document(path, document, &error);
    json_decref(document);
    return code < 0 ? oci_fail(&error) : STATUS_OK;
}

const struct command oci_spec = {
    .name = "oci spec",
    .arguments = "",
    .summary = "Writes a config.json to begin with",
    .options = options,
    .option = set_option,
    .run = run_spec,
    .state = &spec_state,
};
