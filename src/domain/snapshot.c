/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block/options.h"
#include "base/similar.h"
#include "domain/disk_copy.h"
#include "domain/end.h"
#include "domain/process.h"
#include "domain/save.h"
#include "domain/state_domain.h"

#define DIRECTORY "snapshots"
#define STATE     ".state"
#define FILE_SIZE (STORE_NAME_MAX + 32)

/* -- their directory ------------------------------------------------------------------------------------- */

/* Opened, and locked if it is to be changed. -ENOENT: there are none. */
static int directory_open(const struct domain *domain, bool change, bool make, struct error *error)
{
    if (make && mkdirat(domain->directory, DIRECTORY, 0700) < 0 && errno != EEXIST)
        return error_set(error, -errno, "cannot make the domain's directory of snapshots: %s",
                         strerror(errno));
    int fd = openat(domain->directory, DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    while (fd >= 0 && change && flock(fd, LOCK_EX) < 0 && errno == EINTR) {
    }
    return fd >= 0 ? fd : error_set(error, -errno, "cannot open the domain's snapshots: %s", strerror(errno));
}

static void state_file(const char *name, char file[FILE_SIZE])
{
    snprintf(file, FILE_SIZE, "%s" STATE, name);
}

static void disk_file(const char *name, unsigned disk, char file[FILE_SIZE])
{
    snprintf(file, FILE_SIZE, "%s.disk%u", name, disk);
}

static bool is_there(int directory, const char *name)
{
    char file[FILE_SIZE];
    state_file(name, file);
    return faccessat(directory, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The state first: what is left then is no snapshot. */
static void files_remove(int directory, const char *name)
{
    char file[FILE_SIZE];
    state_file(name, file);
    unlinkat(directory, file, 0);
    for (unsigned i = 0; disk_file(name, i, file), i < DOMAIN_DISKS_MAX; i++)
        unlinkat(directory, file, 0);
}

/* -- list ------------------------------------------------------------------------------------------------ */

static void snapshot_look(int directory, struct domain_snapshot *snapshot)
{
    char file[FILE_SIZE];
    struct stat status;
    state_file(snapshot->name, file);
    if (!fstatat(directory, file, &status, AT_SYMLINK_NOFOLLOW)) {
        snapshot->created = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
        snapshot->size = (uint64_t)status.st_blocks * 512;
    }
    for (unsigned i = 0; i < DOMAIN_DISKS_MAX; i++) {
        disk_file(snapshot->name, i, file);
        if (!fstatat(directory, file, &status, AT_SYMLINK_NOFOLLOW))
            snapshot->size += (uint64_t)status.st_blocks * 512;
    }
}

static int compare_age(const void *a, const void *b)
{
    const struct domain_snapshot *one = a, *other = b;
    return (one->created > other->created) - (one->created < other->created);
}

/* The name of a snapshot whose state this is; false: it is none. */
static bool name_of(const char *file, char name[STORE_NAME_MAX + 1])
{
    const size_t length = strlen(file), end = strlen(STATE);
    if (length <= end || length - end > STORE_NAME_MAX || strcmp(file + length - end, STATE) != 0)
        return false;
    snprintf(name, STORE_NAME_MAX + 1, "%.*s", (int)(length - end), file);
    return domain_store_name_check(name, NULL) == 0;
}

static int list_read(DIR *stream, struct domain_snapshot **list, unsigned *count, struct error *error)
{
    char name[STORE_NAME_MAX + 1];
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (!name_of(entry->d_name, name))
            continue;
        struct domain_snapshot *more = realloc(*list, (*count + 1) * sizeof **list);
        if (!more)
            return error_set(error, -ENOMEM, "out of memory");
        *list = more;
        more[*count] = (struct domain_snapshot){0};
        strcpy(more[*count].name, name);
        snapshot_look(dirfd(stream), &more[(*count)++]);
    }
    return 0;
}

int domain_snapshot_list(const struct domain *domain, struct domain_snapshot **list, unsigned *count,
                         struct error *error)
{
    *list = NULL;
    *count = 0;
    const int directory = directory_open(domain, false, false, error);
    if (directory < 0)
        return directory == -ENOENT ? 0 : directory;
    DIR *stream = fdopendir(directory);
    if (!stream) {
        close(directory);
        return error_set(error, -ENOMEM, "out of memory");
    }
    int code = list_read(stream, list, count, error);
    closedir(stream);
    if (code) {
        free(*list);
        *list = NULL;
        *count = 0;
        return code;
    }
    if (*count)
        qsort(*list, *count, sizeof **list, compare_age);
    return 0;
}

struct names_walk {
    const struct domain_snapshot *list;
    unsigned count, next;
};

static const char *names_next(void *opaque)
{
    struct names_walk *walk = opaque;
    return walk->next < walk->count ? walk->list[walk->next++].name : NULL;
}

static int not_found(const struct domain *domain, const char *name, struct error *error)
{
    struct domain_snapshot *list;
    struct names_walk walk = {0};
    if (!domain_snapshot_list(domain, &list, &walk.count, NULL))
        walk.list = list;
    const char *meant = similar_find(name, names_next, &walk);
    error_set(error, -ENOENT, "%s has no snapshot \"%.80s\"", domain->name, name);
    if (meant)
        error_hint(error, "did you mean %s?", meant);
    else
        error_hint(error, "\"visor snapshot ls %s\" lists them", domain->name);
    free(list);
    return -ENOENT;
}

/* -- disks ----------------------------------------------------------------------------------------------- */

/* Does something with each disk that is written in place. */
struct disk_walk {
    const struct domain_config *config;
    const char *name; /* of the snapshot */
    int directory;
    int (*one)(const struct disk_walk *walk, const struct block_options *disk, const char *file,
               struct error *error);
};

static int walk_disks(const struct disk_walk *walk, struct error *error)
{
    const struct domain_list *disks = &walk->config->machine.disks;
    int code = 0;
    for (unsigned i = 0; !code && i < disks->count; i++) {
        struct block_options disk;
        char file[FILE_SIZE];
        code = block_options_parse(&disk, disks->items[i], error);
        if (code)
            return code;
        disk_file(walk->name, i, file);
        if (!disk.read_only && !disk.snapshot && !walk->config->machine.snapshot)
            code = walk->one(walk, &disk, file, error);
        block_options_free(&disk);
    }
    return code;
}

static int disk_check(const struct disk_walk *walk, const struct block_options *disk, const char *file,
                      struct error *error)
{
    struct stat status;
    (void)walk;
    (void)file;
    if (stat(disk->path, &status) < 0)
        return error_set(error, -errno, "cannot read the disk %s: %s", disk->path, strerror(errno));
    if (S_ISREG(status.st_mode))
        return 0;
    error_set(error, -EOPNOTSUPP, "the disk %s is a device of the host, of which there are no copies",
              disk->path);
    error_hint(error, "start the machine with --snapshot, or snapshot the device by other means");
    return -EOPNOTSUPP;
}

static int disk_keep(const struct disk_walk *walk, const struct block_options *disk, const char *file,
                     struct error *error)
{
    const int from = open(disk->path, O_RDONLY | O_CLOEXEC);
    const int to = openat(walk->directory, file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int code =
        from < 0 || to < 0 ? error_set(error, -errno, "%s", strerror(errno)) : disk_copy(from, to, error);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    if (code)
        error_prefix(error, "cannot copy the disk %s: ", disk->path);
    return code;
}

/* Another machine may have it meanwhile. */
static int disk_lock(int fd, struct error *error)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (!fcntl(fd, F_OFD_SETLK, &lock) || (errno != EAGAIN && errno != EACCES))
        return 0;
    return error_set(error, -EBUSY, "it is in use by another machine");
}

static int disk_bring_back(const struct disk_walk *walk, const struct block_options *disk, const char *file,
                           struct error *error)
{
    const int from = openat(walk->directory, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    const int to = open(disk->path, O_RDWR | O_CLOEXEC);
    int code = from < 0 || to < 0 ? error_set(error, -errno, "%s", strerror(errno)) : disk_lock(to, error);
    if (!code)
        code = disk_copy(from, to, error);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    if (code)
        error_prefix(error, "cannot bring the disk %s back: ", disk->path);
    return code;
}

/* -- making one ------------------------------------------------------------------------------------------ */

/* The machine stands still. */
static int keep_disks(void *opaque, struct error *error)
{
    struct disk_walk *walk = opaque;
    walk->one = disk_keep;
    return walk_disks(walk, error);
}

int domain_snapshot_create(struct domain *domain, const char *name, struct error *error)
{
    struct domain_config config;
    char path[PATH_MAX], file[sizeof DIRECTORY + FILE_SIZE];
    int code = domain_store_name_check(name, error);
    if (code)
        return code;
    code = domain_read_config(domain, &config, error);
    struct disk_walk walk = {.config = &config, .name = name, .directory = -1, .one = disk_check};
    if (!code)
        code = walk_disks(&walk, error);
    if (!code) {
        walk.directory = directory_open(domain, true, true, error);
        code = walk.directory < 0 ? walk.directory : 0;
    }
    if (!code && is_there(walk.directory, name)) {
        code = error_set(error, -EEXIST, "%s has a snapshot \"%s\" already", domain->name, name);
        error_hint(error, "visor snapshot rm %s %s", domain->name, name);
    } else if (!code) {
        const struct domain_save_options options = {
            .keep_running = true, .still = keep_disks, .opaque = &walk};
        snprintf(file, sizeof file, DIRECTORY "/%s" STATE, name);
        domain_path(domain, file, path);
        code = domain_save(domain, path, &options, error);
        if (code)
            files_remove(walk.directory, name);
        else
            fsync(walk.directory);
    }
    if (walk.directory >= 0)
        close(walk.directory);
    domain_config_free(&config);
    return code;
}

/* -- going back ------------------------------------------------------------------------------------------ */

/* That it can be gone back to, before anything is changed. */
static int restore_check(const struct domain *domain, const struct domain_resume *resume,
                         struct domain_config *config, struct error *error)
{
    struct state_domain saved = {0};
    int code = domain_read_config(domain, config, error);
    if (!code)
        code = state_domain_open(&saved, resume->fd, error);
    if (!code && !state_domain_same(&saved, config)) {
        code = error_set(error, -EINVAL, "%s has another configuration now", domain->name);
        error_hint(error, "\"visor update\" can give it back what it was");
    }
    if (!code && config->remove) {
        code = error_set(error, -EBUSY, "%s is removed at its end, with its snapshots", domain->name);
        error_hint(error, "save it to a file instead: visor save --keep-running %s FILE", domain->name);
    }
    state_domain_free(&saved);
    return code;
}

/* Whoever starts it meanwhile is too early, or too late. */
static int restore_locked(struct domain *domain, struct disk_walk *walk, const struct domain_resume *resume,
                          struct error *error)
{
    struct domain_state state;
    int code = domain_look(domain, &state, error);
    if (!code && domain_state_lives(&state))
        code = error_set(error, -EBUSY, "somebody has started %s meanwhile", domain->name);
    walk->one = disk_bring_back;
    if (!code)
        code = walk_disks(walk, error);
    return code ? code : domain_resume(domain, resume, error);
}

int domain_snapshot_restore(struct domain *domain, const char *name, struct error *error)
{
    struct domain_config config = {0};
    struct domain_resume resume = {
        .fd = -1, .force = true, .hold = -1}; /* disks are brought back, and so written */
    char file[FILE_SIZE];
    const int directory = directory_open(domain, true, false, NULL);
    state_file(name, file);
    if (directory >= 0 && !domain_store_name_check(name, NULL))
        resume.fd = openat(directory, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int code =
        resume.fd < 0 ? not_found(domain, name, error) : restore_check(domain, &resume, &config, error);
    struct disk_walk walk = {.config = &config, .name = name, .directory = directory};
    if (!code)
        code = domain_stop(domain, 0, error);
    if (!code)
        code = domain_lock(domain, error);
    if (!code)
        code = restore_locked(domain, &walk, &resume, error);
    if (code && code != -ENOENT)
        error_prefix(error, "cannot restore %s: ", domain->name);
    domain_unlock(domain);
    if (resume.fd >= 0)
        close(resume.fd);
    if (directory >= 0)
        close(directory);
    domain_config_free(&config);
    return code;
}

int domain_snapshot_remove(const struct domain *domain, const char *name, struct error *error)
{
    const int directory = directory_open(domain, true, false, NULL);
    const bool known = directory >= 0 && !domain_store_name_check(name, NULL) && is_there(directory, name);
    if (known)
        files_remove(directory, name);
    if (directory >= 0)
        close(directory);
    return known ? 0 : not_found(domain, name, error);
}
