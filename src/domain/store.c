/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store: the store as a whole. store_domain.c has what becomes of single domains. */
#include "domain/store.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tree.h"
#include "domain/store_private.h"
#include "network/network.h"

/* -- where it is ----------------------------------------------------------------------------------------- */

static int path_set(char path[PATH_MAX], const char *first, const char *rest, struct error *error)
{
    if (snprintf(path, PATH_MAX, "%s%s", first, rest) >= PATH_MAX)
        return error_set(error, -ENAMETOOLONG, "the store's path is too long: %.100s...", first);
    return 0;
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* An absolute path, since the domain's process has another working directory. */
static int own_paths(struct domain_store *store, const char *own, struct error *error)
{
    char here[PATH_MAX] = "";
    if (*own != '/' && (!getcwd(here, sizeof here - 1) || strlen(here) + 2 > sizeof here))
        return error_set(error, -ENAMETOOLONG, "cannot tell the working directory");
    if (*own != '/')
        strcat(here, "/");
    int code =
        strlen(here) + strlen(own) >= PATH_MAX ? -ENAMETOOLONG : path_set(store->path, here, own, error);
    return code ? code : path_set(store->run_path, store->path, "/run", error);
}

static int default_paths(struct domain_store *store, struct error *error)
{
    char uid[24];
    if (geteuid() == 0) {
        path_set(store->path, "/var/lib/visor", "", error);
        return path_set(store->run_path, "/run/visor", "", error);
    }
    const char *data = environment("XDG_DATA_HOME"), *home = environment("HOME"),
               *run = environment("XDG_RUNTIME_DIR");
    if (!data && !home) {
        error_set(error, -ENOENT, "nothing says where to keep domains");
        error_hint(error, "set HOME, XDG_DATA_HOME or VISOR_STORE, or give --store DIR");
        return -ENOENT;
    }
    int code = data ? path_set(store->path, data, "/visor", error)
                    : path_set(store->path, home, "/.local/share/visor", error);
    snprintf(uid, sizeof uid, "%u", (unsigned)geteuid());
    if (!code)
        code = run ? path_set(store->run_path, run, "/visor", error)
                   : path_set(store->run_path, "/tmp/visor-", uid, error);
    return code;
}

/* mkdir -p, for its user only. */
static int make_path(const char *path)
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
            return -errno;
        *slash = '/';
    }
    return mkdir(part, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int open_directory(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Nobody else may have made, or be able to change, what is in a directory that anybody can write to. */
static int check_own(int fd, const char *path, struct error *error)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || status.st_uid != geteuid() || (status.st_mode & 022)) {
        error_set(error, -EPERM, "%s is not yours alone", path);
        error_hint(error, "it is to belong to you, with mode 0700");
        return -EPERM;
    }
    return 0;
}

/* -- locks and repair ------------------------------------------------------------------------------------ */

int domain_store_lock(struct domain_store *store, struct error *error)
{
    while (flock(store->lock, LOCK_SH) < 0) {
        if (errno != EINTR)
            return error_set(error, -errno, "cannot lock %s: %s", store->path, strerror(errno));
    }
    return 0;
}

void domain_store_unlock(struct domain_store *store)
{
    flock(store->lock, LOCK_UN);
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Entries of a directory that belong to nobody, and what is to be done about them. */
static void sweep(int fd, bool (*stale)(const struct domain_store *store, const char *name),
                  void (*drop)(const struct domain_store *store, const char *name),
                  const struct domain_store *store)
{
    int other = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = other < 0 ? NULL : fdopendir(other);
    if (!directory) {
        if (other >= 0)
            close(other);
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] != '.' || entry->d_name[1] > '.') {
            if (stale(store, entry->d_name))
                drop(store, entry->d_name);
        }
    }
    closedir(directory);
}

static bool name_is_stale(const struct domain_store *store, const char *name)
{
    char id[STORE_ID_DIGITS + 1];
    struct stat status;
    return !domain_store_name_read(store, name, id) ||
           (fstatat(store->domains, id, &status, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT);
}

static void name_drop(const struct domain_store *store, const char *name)
{
    unlinkat(store->names, name, 0);
    domain_store_step(store);
}

static bool directory_is_stale(const struct domain_store *store, const char *name)
{
    (void)store;
    return has_prefix(name, NEW_PREFIX) || has_prefix(name, DEAD_PREFIX);
}

static void directory_drop(const struct domain_store *store, const char *name)
{
    tree_remove(store->domains, name);
    domain_store_step(store);
}

/* Names first: that a directory is left says that there may be a name, too. */
void domain_store_repair(struct domain_store *store, bool wait)
{
    if (flock(store->lock, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0)
        return;
    sweep(store->names, name_is_stale, name_drop, store);
    sweep(store->domains, directory_is_stale, directory_drop, store);
    domain_store_unlock(store);
}

static bool has_half_made(const struct domain_store *store)
{
    bool found = false;
    int other = openat(store->domains, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = other < 0 ? NULL : fdopendir(other);
    if (!directory && other >= 0)
        close(other);
    for (struct dirent *entry; directory && !found && (entry = readdir(directory));)
        found = directory_is_stale(store, entry->d_name);
    if (directory)
        closedir(directory);
    return found;
}

/* -- opening --------------------------------------------------------------------------------------------- */

static int failed(struct domain_store *store, const char *what, int code, struct error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", store->path); /* which domain_store_close() forgets */
    domain_store_close(store);
    error_set(error, code, "cannot %s the store %s: %s", what, path, strerror(-code));
    if (code == -EROFS || code == -EACCES)
        error_hint(error, "VISOR_STORE or --store names another directory");
    return code;
}

static int make_all(struct domain_store *store)
{
    int code = make_path(store->path);
    if (!code)
        code = make_path(store->run_path);
    int root = code ? code : open_directory(AT_FDCWD, store->path);
    if (root < 0)
        return root;
    if (mkdirat(root, "names", 0700) < 0 && errno != EEXIST)
        code = -errno;
    if (!code && mkdirat(root, "domains", 0700) < 0 && errno != EEXIST)
        code = -errno;
    int lock = code ? -1 : openat(root, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (!code && lock < 0)
        code = -errno;
    if (lock >= 0)
        close(lock);
    close(root);
    return code;
}

static int open_all(struct domain_store *store)
{
    int code = 0, root = open_directory(AT_FDCWD, store->path);
    if (root < 0)
        return root;
    store->root = root;
    store->names = open_directory(root, "names");
    store->domains = open_directory(root, "domains");
    store->lock = openat(root, "lock", O_RDONLY | O_CLOEXEC); /* flock() needs no more */
    if (store->lock < 0)
        store->lock = -errno;
    store->run = open(store->run_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (store->run < 0)
        store->run = -errno;
    const int fds[] = {store->names, store->domains, store->lock, store->run};
    for (unsigned i = 0; i < 4 && !code; i++)
        code = fds[i] < 0 ? fds[i] : 0;
    return code;
}

int domain_store_open(struct domain_store *store, bool make, struct error *error)
{
    const char *own = environment("VISOR_STORE");
    *store = (struct domain_store){.lock = -1, .root = -1, .domains = -1, .names = -1, .run = -1};
    int code = own ? own_paths(store, own, error) : default_paths(store, error);
    if (code)
        return code;
    code = open_all(store);
    if (code == -ENOENT) { /* after a host's start the directory for run time alone may be missing */
        domain_store_close(store);
        if (!make && access(store->path, F_OK) < 0)
            return 0;
        code = make_all(store);
        if (code)
            return failed(store, "make", code, error);
        code = open_all(store);
    }
    if (code)
        return failed(store, "open", code, error);
    code = check_own(store->run, store->run_path, error);
    if (code) {
        domain_store_close(store);
        return code;
    }
    if (has_half_made(store))
        domain_store_repair(store, false);
    networks_repair(store->path, store->run_path);
    return 0;
}

int domain_store_reopen(struct domain_store *store, struct error *error)
{
    domain_store_close(store);
    int code = open_all(store);
    return code ? failed(store, "open", code, error) : 0;
}

void domain_store_close(struct domain_store *store)
{
    int *const fds[] = {&store->lock, &store->root, &store->domains, &store->names, &store->run};
    for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/* -- names and ids --------------------------------------------------------------------------------------- */

bool domain_store_is_id(const char *word)
{
    return strlen(word) == STORE_ID_DIGITS && strspn(word, "0123456789abcdef") == STORE_ID_DIGITS;
}

int domain_store_name_check(const char *name, struct error *error)
{
    bool good = isalnum((unsigned char)*name) && strlen(name) <= STORE_NAME_MAX;
    for (const char *at = name; good && *at; at++)
        good = isalnum((unsigned char)*at) || strchr("_.-", *at);
    if (good)
        return 0;
    error_set(error, -EINVAL, "\"%.80s\" is no name for a domain", name);
    error_hint(error, "a name is a letter or digit, and up to 62 of those and _ . - after it");
    return -EINVAL;
}

bool domain_store_name_read(const struct domain_store *store, const char *name, char id[STORE_ID_DIGITS + 1])
{
    ssize_t size = store->names < 0 ? -1 : readlinkat(store->names, name, id, STORE_ID_DIGITS + 1);
    id[size == STORE_ID_DIGITS ? STORE_ID_DIGITS : 0] = '\0';
    return domain_store_is_id(id);
}

static int entries_add(struct domain_store_entry **entries, unsigned *count, const char *id)
{
    if (!(*count & (*count - 1)) || !*count) { /* room for a power of two */
        struct domain_store_entry *more = realloc(*entries, sizeof **entries * (*count ? 2 * *count : 1));
        if (!more)
            return -ENOMEM;
        *entries = more;
    }
    struct domain_store_entry *entry = &(*entries)[(*count)++];
    *entry = (struct domain_store_entry){0};
    strcpy(entry->id, id);
    return 0;
}

static int by_id(const void *one, const void *two)
{
    return strcmp(((const struct domain_store_entry *)one)->id, ((const struct domain_store_entry *)two)->id);
}

/* The names of ids that are there. */
static void add_names(const struct domain_store *store, struct domain_store_entry *entries, unsigned count)
{
    int other = openat(store->names, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = other < 0 ? NULL : fdopendir(other);
    if (!directory) {
        if (other >= 0)
            close(other);
        return;
    }
    for (struct dirent *name; (name = readdir(directory));) {
        struct domain_store_entry key = {0};
        if (name->d_name[0] == '.' || !domain_store_name_read(store, name->d_name, key.id))
            continue;
        struct domain_store_entry *entry = bsearch(&key, entries, count, sizeof key, by_id);
        if (entry)
            snprintf(entry->name, sizeof entry->name, "%.*s", STORE_NAME_MAX, name->d_name);
    }
    closedir(directory);
}

void domain_name_now(const struct domain *domain, char name[STORE_NAME_MAX + 1])
{
    struct domain_store_entry entry = {0};
    char id[STORE_ID_DIGITS + 1];
    memcpy(entry.id, domain->id, sizeof entry.id);
    if (domain->name[0] && domain_store_name_read(domain->store, domain->name, id) &&
        strcmp(id, domain->id) == 0)
        memcpy(entry.name, domain->name, sizeof entry.name);
    else
        add_names(domain->store, &entry, 1);
    memcpy(name, entry.name, sizeof entry.name);
}

int domain_store_list(const struct domain_store *store, struct domain_store_entry **entries, unsigned *count,
                      struct error *error)
{
    int code = 0;
    *entries = NULL;
    *count = 0;
    if (store->domains < 0)
        return 0;
    int other = openat(store->domains, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = other < 0 ? NULL : fdopendir(other);
    if (!directory) {
        code = -errno;
        if (other >= 0)
            close(other);
        return error_set(error, code, "cannot read %s/domains: %s", store->path, strerror(-code));
    }
    for (struct dirent *entry; !code && (entry = readdir(directory));) {
        if (domain_store_is_id(entry->d_name))
            code = entries_add(entries, count, entry->d_name);
    }
    closedir(directory);
    if (code) {
        free(*entries);
        return error_set(error, code, "cannot list the domains: out of memory");
    }
    if (*count) {
        qsort(*entries, *count, sizeof **entries, by_id);
        add_names(store, *entries, *count);
    }
    return 0;
}
