/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/oci_template.h"

#include <string.h>
#include <unistd.h>

#include "personality/container/oci_config.h"

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

/* An ordinary user may have no group 5 to give terminals to; and /sys can only be shown where the network is
 * not one's own. */
static void change_mounts(json_t *mounts, const struct oci_template *what)
{
    for (size_t i = json_array_size(mounts); i-- > 0;) {
        json_t *mount = json_array_get(mounts, i);
        const char *type = json_string_value(json_object_get(mount, "type"));
        if (strcmp(type, "devpts") == 0 && what->gids_count < 5)
            json_array_remove(json_object_get(mount, "options"), 5);
        else if (strcmp(type, "cgroup") == 0)
            json_array_remove(mounts, i);
        else if (strcmp(type, "sysfs") == 0 && what->host_network)
            json_array_set_new(mounts, i,
                               json_pack("{s:s, s:s, s:s, s:[s, s, s, s, s]}", "destination", "/sys", "type",
                                         "none", "source", "/sys", "options", "rbind", "nosuid", "noexec",
                                         "nodev", "rro"));
    }
}

static json_t *id_map(unsigned own, unsigned first, unsigned count)
{
    json_t *maps = json_pack("[{s:i, s:I, s:i}]", "containerID", 0, "hostID", (json_int_t)own, "size", 1);
    if (count)
        json_array_append_new(maps, json_pack("{s:i, s:I, s:I}", "containerID", 1, "hostID",
                                              (json_int_t)first, "size", (json_int_t)count));
    return maps;
}

static void change_for_user(json_t *document, const struct oci_template *what)
{
    json_t *platform = json_object_get(document, "linux");
    json_array_append_new(json_object_get(platform, "namespaces"), json_pack("{s:s}", "type", "user"));
    json_object_set_new(platform, "uidMappings", id_map(geteuid(), what->uids_first, what->uids_count));
    json_object_set_new(platform, "gidMappings", id_map(getegid(), what->gids_first, what->gids_count));
    json_object_del(platform, "resources");
    change_mounts(json_object_get(document, "mounts"), what);
}

json_t *oci_template_make(const struct oci_template *what)
{
    json_t *document = json_loads(template, 0, NULL);
    if (document && what->host_network)
        json_array_remove(json_object_get(json_object_get(document, "linux"), "namespaces"), 1);
    if (document && what->rootless)
        change_for_user(document, what);
    return document;
}
