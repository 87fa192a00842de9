/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "personality/container/cgroup.h"

#define RECORD       "record"
#define PROCESS_LINE 64 /* bytes */

static const struct json_field record_fields[] = {
    {.name = "ociVersion",
     .kind = JSON_TEXT,
     .required = true,
     .offset = offsetof(struct store_record, version)},
    {.name = "id", .kind = JSON_TEXT, .required = true, .offset = offsetof(struct store_record, id)},
    {.name = "bundle", .kind = JSON_TEXT, .required = true, .offset = offsetof(struct store_record, bundle)},
    {.name = "rootfs", .kind = JSON_TEXT, .required = true, .offset = offsetof(struct store_record, root)},
    {.name = "created",
     .kind = JSON_TEXT,
     .required = true,
     .offset = offsetof(struct store_record, created)},
    JSON_BIND_TEXT(struct store_record, "cgroupPath", cgroup_path),
    JSON_BIND_TEXT(struct store_record, "cgroupScope", cgroup_scope),
    JSON_BIND_MAP(struct store_record, "annotations", annotations),
    JSON_BIND_NUMBER(struct store_record, "owner", owner, 0, UINT32_MAX),
    JSON_BIND_FLAG(struct store_record, "poststart", poststart),
    JSON_BIND_FLAG(struct store_record, "poststop", poststop),
    JSON_BIND_FLAG(struct store_record, "defaultFilter", default_filter),
    JSON_BIND_FLAG(struct store_record, "intelRdt", rdt),
    {0},
};

char *store_default_root(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char path[PATH_MAX];
    if (cgroup_host_root())
        return strdup("/run/visor/oci");
    if (runtime && runtime[0])
        snprintf(path, sizeof path, "%s/visor/oci", runtime);
    else if (geteuid() == 0)
        return strdup("/run/visor/oci");
    else
        snprintf(path, sizeof path, "/tmp/visor-%u/oci", (unsigned)geteuid());
    return strdup(path);
}

static int check_id(const char *id, struct error *error)
{
    size_t good = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.");
    if (!id[0] || id[good] || id[0] == '.' || good > NAME_MAX) {
        error_set(error, -EINVAL, "\"%.80s\" is not the name of a container", id);
        error_hint(error, "letters, digits and _ + - . may be in one, and a dot not at its beginning");
        return -EINVAL;
    }
    return 0;
}

/* Who could change what is remembered of containers would have them, and whom they name, killed by others. */
static int check_owner(int fd, const char *path, struct error *error)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    if (status.st_uid == geteuid() || status.st_uid == 0)
        return 0;
    error_set(error, -EPERM, "the state directory %s is another user's", path);
    error_hint(error, "give --root a directory of your own, or set XDG_RUNTIME_DIR");
    return error->code;
}

/* The state root, made with its parents if it is missing. */
static int open_root(const char *root, bool make, struct error *error)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && make) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s", root);
        for (char *c = path + 1; *c; c++) {
            if (*c != '/')
                continue;
            *c = '\0';
            mkdir(path, 0711);
            *c = '/';
        }
        mkdir(path, 0700);
        fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        return error_set(error, -errno, "cannot open the state directory %s: %s", root, strerror(errno));
    int code = check_owner(fd, root, error);
    if (code < 0)
        close(fd);
    return code < 0 ? code : fd;
}

/* Whoever has the lock of a directory without a record is its creator: so it is for one that is new, and for
 * one that a killed `create` has left. */
static int take(int parent, const char *id, struct error *error)
{
    struct stat status;
    int directory = openat(parent, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory >= 0 && flock(directory, LOCK_EX | LOCK_NB) == 0 && fstat(directory, &status) == 0 &&
        status.st_nlink && faccessat(directory, RECORD, F_OK, 0) < 0 && errno == ENOENT) {
        unlinkat(directory, "start", 0);
        return directory;
    }
    if (directory >= 0)
        close(directory);
    return error_set(error, -EEXIST,
                     "there is a container \"%s\" already: container with given ID already exists", id);
}

int store_create(const char *root, const char *id, struct error *error)
{
    int code = check_id(id, error);
    if (code < 0)
        return code;
    int parent = open_root(root, true, error);
    if (parent < 0)
        return parent;
    int directory = mkdirat(parent, id, 0700) < 0 && errno != EEXIST
                        ? error_set(error, -errno, "cannot make %s/%s: %s", root, id, strerror(errno))
                        : take(parent, id, error);
    close(parent);
    return directory;
}

static int no_container(const char *id, struct error *error)
{
    return error_set(error, -ENOENT, "there is no container \"%s\": container does not exist", id);
}

int store_open(const char *root, const char *id, bool lock, struct error *error)
{
    char path[PATH_MAX];
    int code = check_id(id, error);
    if (code < 0)
        return code;
    snprintf(path, sizeof path, "%s/%s", root, id);
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0 && errno == ENOENT)
        return no_container(id, error);
    if (directory < 0)
        return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    struct stat status;
    code = check_owner(directory, path, error);
    if (code < 0) {
        close(directory);
        return code;
    }
    while (lock && (code = flock(directory, LOCK_EX) < 0 ? -errno : 0) == -EINTR)
        ;
    if (lock && code == 0 && fstat(directory, &status) == 0 && !status.st_nlink)
        code = -ENOENT; /* deleted by who had the lock */
    if (code == 0)
        return directory;
    close(directory);
    return code == -ENOENT ? no_container(id, error)
                           : error_set(error, code, "cannot lock %s: %s", path, strerror(-code));
}

int store_remove(const char *root, const char *id, int directory, struct error *error)
{
    static const char *const files[] = {"start", RECORD ".new", "restored", RECORD, NULL};
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", root, id);
    for (unsigned i = 0; files[i]; i++) {
        if (unlinkat(directory, files[i], 0) < 0 && errno != ENOENT)
            return error_set(error, -errno, "cannot remove %s/%s: %s", path, files[i], strerror(errno));
    }
    if (rmdir(path) < 0 && errno != ENOENT)
        return error_set(error, -errno, "cannot remove %s: %s", path, strerror(errno));
    return 0;
}

static json_t *record_document(const struct store_record *record)
{
    json_t *annotations = json_object();
    for (unsigned i = 0; i < record->annotations_count; i++)
        json_object_set_new(annotations, record->annotations[i].name,
                            json_string(record->annotations[i].value));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:I, s:b, s:b, s:b, s:b, s:o}", "ociVersion",
                     record->version, "id", record->id, "bundle", record->bundle, "rootfs", record->root,
                     "created", record->created, "cgroupPath", record->cgroup_path, "cgroupScope",
                     record->cgroup_scope, "owner", (json_int_t)record->owner, "poststart", record->poststart,
                     "poststop", record->poststop, "defaultFilter", record->default_filter, "intelRdt",
                     record->rdt, "annotations", annotations);
}

/* FNV-1a, of 32 bits. */
static uint32_t checksum(const char *text, size_t size)
{
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (unsigned char)text[i]) * 16777619u;
    return sum;
}

/* "PID START made CHECKSUM", with blanks up to the end of the line. */
static void print_process(const struct store_record *record, char line[PROCESS_LINE + 1])
{
    char text[PROCESS_LINE];
    int size =
        snprintf(text, sizeof text, "%d %" PRIu64 " %d", record->pid, record->start_time, record->made);
    size += snprintf(text + size, sizeof text - (size_t)size, " %08" PRIx32, checksum(text, (size_t)size));
    memset(line, ' ', PROCESS_LINE);
    memcpy(line, text, (size_t)size);
    line[PROCESS_LINE - 1] = '\n';
    line[PROCESS_LINE] = '\0';
}

/* A line whose checksum is wrong is being written, for the first time: there is no process yet. */
static void read_process(struct store_record *record, const char line[PROCESS_LINE])
{
    char text[PROCESS_LINE + 1];
    int pid = 0, made = 0, size = 0;
    uint64_t start = 0;
    uint32_t sum = 0;
    memcpy(text, line, PROCESS_LINE);
    text[PROCESS_LINE] = '\0';
    if (sscanf(text, "%d %" SCNu64 " %d%n %" SCNx32, &pid, &start, &made, &size, &sum) != 4 ||
        checksum(text, (size_t)size) != sum || pid < 0)
        return;
    record->pid = pid;
    record->start_time = start;
    record->made = made;
}

static int copy_config(int copy, int from, const char *name)
{
    struct stat status;
    int source = openat(from, name, O_RDONLY | O_CLOEXEC);
    int code = source < 0 || fstat(source, &status) < 0 ? -errno : 0;
    for (off_t left = code == 0 ? status.st_size : 0; left > 0 && code == 0;) {
        ssize_t sent = sendfile(copy, source, NULL, (size_t)left);
        code = sent < 0 ? -errno : sent == 0 ? -EIO : 0;
        left -= sent;
    }
    if (source >= 0)
        close(source);
    return code;
}

int store_write(int directory, const struct store_record *record, int from, const char *config,
                struct error *error)
{
    char line[PROCESS_LINE + 1], *all = NULL;
    json_t *document = record_document(record);
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    print_process(record, line);
    int size = text ? asprintf(&all, "%s%s\n", line, text) : -1;
    json_decref(document);
    free(text);
    if (size < 0)
        return error_set(error, -ENOMEM, "cannot write the container's record: out of memory");
    int fd = openat(directory, RECORD ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int code = fd < 0 || write(fd, all, (size_t)size) != size ? -(errno ? errno : EIO) : 0;
    free(all);
    if (code == 0)
        code = copy_config(fd, from, config);
    if (fd >= 0)
        close(fd);
    if (code == 0 && renameat(directory, RECORD ".new", directory, RECORD) < 0)
        code = -errno;
    return code < 0 ? error_set(error, code, "cannot write the container's record: %s", strerror(-code)) : 0;
}

int store_note(int directory, const struct store_record *record, struct error *error)
{
    char line[PROCESS_LINE + 1];
    int fd = openat(directory, RECORD, O_WRONLY | O_CLOEXEC);
    print_process(record, line);
    int code = fd < 0 || pwrite(fd, line, PROCESS_LINE, 0) != PROCESS_LINE ? -(errno ? errno : EIO) : 0;
    if (fd >= 0)
        close(fd);
    return code < 0 ? error_set(error, code, "cannot write the container's record: %s", strerror(-code)) : 0;
}

/* The record's document, and where the configuration is in the text. */
static int parse(struct store_entry *entry, size_t size, struct error *error)
{
    const char *document = entry->text + PROCESS_LINE;
    const char *end = size > PROCESS_LINE ? memchr(document, '\n', size - PROCESS_LINE) : NULL;
    if (!end)
        return error_set(error, -EINVAL, "it is cut off");
    entry->config = end + 1;
    entry->config_size = size - (size_t)(entry->config - entry->text);
    int code = json_binding_parse(&entry->binding, document, (size_t)(end - document), error);
    if (code == 0)
        code = json_bind(&entry->binding, entry->binding.document, record_fields, &entry->record, error);
    if (code == 0)
        read_process(&entry->record, entry->text);
    return code;
}

int store_read(int directory, struct store_entry **out, struct error *error)
{
    size_t size;
    struct store_entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return error_set(error, -ENOMEM, "cannot read the container's record: out of memory");
    int code = json_read_text(directory, RECORD, &entry->text, &size, error);
    if (code == -ENOENT)
        error_set(error, code, "the container is not made yet");
    if (code == 0) {
        code = parse(entry, size, error);
        if (code < 0)
            error_prefix(error, "the container's record is damaged: ");
    }
    if (code < 0)
        store_entry_free(entry);
    else
        *out = entry;
    return code;
}

int store_config(const struct store_entry *entry, struct oci_config **out, struct error *error)
{
    return oci_config_parse(out, entry->config, entry->config_size, error);
}

void store_entry_free(struct store_entry *entry)
{
    if (!entry)
        return;
    json_binding_free(&entry->binding);
    free(entry->text);
    free(entry);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int store_list(const char *root, char ***ids, struct error *error)
{
    size_t count = 0, room = 16;
    char **names = calloc(room, sizeof *names);
    DIR *directory = opendir(root);
    const struct dirent *entry;
    if (!directory && errno != ENOENT) {
        free(names);
        return error_set(error, -errno, "cannot open the state directory %s: %s", root, strerror(errno));
    }
    while (names && directory && (entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        if (count + 1 == room) {
            char **more = realloc(names, (room *= 2) * sizeof *names);
            if (!more)
                break;
            names = more;
        }
        names[count] = strdup(entry->d_name);
        if (!names[count])
            break;
        names[++count] = NULL;
    }
    if (directory)
        closedir(directory);
    if (!names)
        return error_set(error, -ENOMEM, "cannot list the containers: out of memory");
    qsort(names, count, sizeof *names, compare_names);
    *ids = names;
    return 0;
}

void store_list_free(char **ids)
{
    for (char **id = ids; id && *id; id++)
        free(*id);
    free(ids);
}
