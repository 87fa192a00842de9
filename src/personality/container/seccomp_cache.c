/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder of programs, since libseccomp takes milliseconds to make one of a usual profile. A file has the
 * whole of what its program was made from, which is compared: its name, a hash, only finds it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "personality/container/seccomp_private.h"

#define MAGIC        UINT64_C(0x3130706d63637376) /* "vsccmp01" */
#define ENTRIES_MOST 256                          /* then all go: nobody has so many profiles at work */
#define NAME_SIZE    32

static void put_text(struct buffer *key, const char *text)
{
    buffer_append(key, text, strlen(text) + 1);
}

void seccomp_cache_key(struct buffer *key, const struct seccomp_profile *profile)
{
    const struct scmp_version *version = seccomp_version();
    const uint32_t numbers[] = {version->major,        version->minor,          version->micro,
                                seccomp_arch_native(), profile->default_action, profile->guards_terminal};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        buffer_append_integer(key, numbers[i], 4);
    put_text(key, VISOR_VERSION);
    buffer_append_integer(key, profile->architecture_count, 4);
    for (size_t i = 0; i < profile->architecture_count; i++)
        buffer_append_integer(key, profile->architectures[i], 4);
    buffer_append_integer(key, profile->rule_count, 4);
    for (size_t i = 0; i < profile->rule_count; i++) {
        const struct seccomp_rule *rule = &profile->rules[i];
        buffer_append_integer(key, rule->action, 4);
        buffer_append_integer(key, rule->argument_count, 4);
        for (size_t k = 0; k < rule->argument_count; k++) {
            const struct seccomp_argument *argument = &rule->arguments[k];
            buffer_append_integer(key, argument->index, 4);
            buffer_append_integer(key, argument->operation, 4);
            buffer_append_integer(key, argument->value, 8);
            buffer_append_integer(key, argument->value_two, 8);
        }
        buffer_append_integer(key, rule->name_count, 4);
        for (size_t k = 0; k < rule->name_count; k++)
            put_text(key, rule->names[k]);
    }
}

static bool is_private(int fd, mode_t type)
{
    struct stat status;
    return fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == type && status.st_uid == geteuid() &&
           !(status.st_mode & (S_IWGRP | S_IWOTH));
}

static int open_folder(const char *folder, bool make)
{
    if (make)
        mkdir(folder, 0700); /* if it cannot be, opening says so */
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && !is_private(fd, S_IFDIR)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static char *entry_name(const struct buffer *key, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "%016" PRIx64, hash_bytes(key->data, key->size));
    return name;
}

/* A file: magic, checksum of the rest, size of the key, number of instructions, key, instructions. */
static bool parse(const uint8_t *data, size_t size, const struct buffer *key, struct seccomp_filter *filter)
{
    struct reader reader = {.data = data, .left = size};
    uint64_t magic = reader_take_integer(&reader, 8), sum = reader_take_integer(&reader, 8);
    const uint8_t *rest = reader.data;
    if (reader.failed || magic != MAGIC || hash_bytes(rest, reader.left) != sum)
        return false;
    size_t key_size = reader_take_integer(&reader, 4), count = reader_take_integer(&reader, 4);
    if (key_size != key->size || count == 0 || count > BPF_MAXINSNS)
        return false;
    const uint8_t *found = reader_take(&reader, key_size);
    const uint8_t *program = reader_take(&reader, count * sizeof(struct sock_filter));
    if (!found || !program || reader.left || memcmp(found, key->data, key_size) != 0)
        return false;
    if (!(filter->program = malloc(count * sizeof(struct sock_filter))))
        return false;
    memcpy(filter->program, program, count * sizeof(struct sock_filter));
    filter->count = count;
    return true;
}

bool seccomp_cache_get(const char *folder, const struct buffer *key, struct seccomp_filter *filter)
{
    char name[NAME_SIZE];
    bool found = false;
    int directory = open_folder(folder, false);
    if (directory < 0)
        return false;
    int fd = openat(directory, entry_name(key, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    close(directory);
    if (fd < 0)
        return false;
    size_t capacity = 24 + key->size + (BPF_MAXINSNS + 1) * sizeof(struct sock_filter);
    uint8_t *data = is_private(fd, S_IFREG) ? malloc(capacity) : NULL;
    ssize_t size = data ? read(fd, data, capacity) : -1;
    if (size > 0)
        found = parse(data, (size_t)size, key, filter);
    free(data);
    close(fd);
    return found;
}

static void clear_if_full(int directory)
{
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    struct dirent *entry;
    unsigned count = 0;
    if (!stream) {
        if (copy >= 0)
            close(copy);
        return;
    }
    while (readdir(stream))
        count++;
    rewinddir(stream);
    while (count > ENTRIES_MOST && (entry = readdir(stream)))
        if (entry->d_name[0] != '.')
            unlinkat(directory, entry->d_name, 0);
    closedir(stream);
}

void seccomp_cache_put(const char *folder, const struct buffer *key, const struct seccomp_filter *filter)
{
    char name[NAME_SIZE], temporary[NAME_SIZE + 16];
    struct buffer file = {0};
    int directory = open_folder(folder, true);
    if (directory < 0)
        return;
    clear_if_full(directory);
    buffer_append_integer(&file, MAGIC, 8);
    buffer_append_integer(&file, 0, 8);
    buffer_append_integer(&file, key->size, 4);
    buffer_append_integer(&file, filter->count, 4);
    buffer_append(&file, key->data, key->size);
    buffer_append(&file, filter->program, filter->count * sizeof(struct sock_filter));
    if (!file.failed)
        buffer_patch_integer(&file, 8, hash_bytes(file.data + 16, file.size - 16), 8);
    snprintf(temporary, sizeof temporary, "%s.%d", entry_name(key, name), getpid());
    int fd = file.failed
                 ? -1
                 : openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        bool whole = write(fd, file.data, file.size) == (ssize_t)file.size;
        close(fd);
        if (!whole || renameat(directory, temporary, directory, name) < 0)
            unlinkat(directory, temporary, 0);
    }
    buffer_free(&file);
    close(directory);
}
