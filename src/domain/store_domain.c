/* SPDX-License-Identifier: GPL-2.0-or-later */
/* store_domain: single domains in the store: made, found, looked at, renamed, removed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_file.h"
#include "base/macros.h"
#include "base/similar.h"
#include "base/tree.h"
#include "domain/events.h"
#include "domain/host_limits.h"
#include "domain/store_private.h"

#define FILE_MOST (2 * DOMAIN_DOCUMENT_MAX)

/* -- paths ----------------------------------------------------------------------------------------------- */

/* Longer paths than a path may be are cut; nothing is there then. */
void domain_path(const struct domain *domain, const char *file, char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/domains/%s/%s", domain->store->path, domain->id, file) >= PATH_MAX)
        path[0] = '\0';
}

void domain_run_path(const struct domain *domain, const char *file, char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/%s/%s", domain->store->run_path, domain->id, file) >= PATH_MAX)
        path[0] = '\0';
}

int domain_make_run(const struct domain *domain, struct error *error)
{
    tree_remove(domain->store->run, domain->id);
    int fd = -1;
    if (mkdirat(domain->store->run, domain->id, 0700) == 0)
        fd = openat(domain->store->run, domain->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "cannot make %s/%s: %s", domain->store->run_path, domain->id,
                         strerror(errno));
    return fd;
}

void domain_remove_run(const struct domain *domain)
{
    host_limits_remove(domain);
    tree_remove(domain->store->run, domain->id);
}

/* -- making ---------------------------------------------------------------------------------------------- */

/* A name that tells nothing, and that people can say. */
static void name_invent(char name[STORE_NAME_MAX + 1])
{
    static const char *const firsts[] = {
        "amber", "bold",  "brisk", "calm",  "clear", "crisp", "deep",  "early", "fair",  "fresh", "glad",
        "green", "keen",  "late",  "light", "loud",  "mild",  "neat",  "plain", "quick", "quiet", "red",
        "round", "sharp", "slow",  "small", "soft",  "still", "swift", "tall",  "warm",  "young"};
    static const char *const seconds[] = {
        "ash",   "bay",   "birch", "brook", "cedar", "cliff", "cloud", "creek", "dune", "elm",  "fern",
        "field", "fjord", "grove", "hill",  "isle",  "lake",  "marsh", "moon",  "oak",  "peak", "pine",
        "pond",  "reef",  "ridge", "river", "rock",  "sand",  "shore", "star",  "vale", "wood"};
    uint32_t number = 0;
    if (getrandom(&number, sizeof number, 0) < 0)
        number = (uint32_t)state_time_now();
    snprintf(name, STORE_NAME_MAX + 1, "%s-%s-%u", firsts[number % 32], seconds[number / 32 % 32],
             number / 1024 % 1000);
}

static int id_invent(char id[STORE_ID_DIGITS + 1], struct error *error)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return error_set(error, -errno, "the kernel gives no random numbers: %s", strerror(errno));
    snprintf(id, STORE_ID_DIGITS + 1, "%016" PRIx64, number);
    return 0;
}

static bool domain_exists(const struct domain_store *store, const char *id)
{
    struct stat status;
    return fstatat(store->domains, id, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Gives the id a name. -EAGAIN: a dead command has left the name, which is nobody's then. */
static int name_take(struct domain_store *store, const char *name, const char *id, struct error *error)
{
    char other[STORE_ID_DIGITS + 1];
    if (symlinkat(id, store->names, name) == 0)
        return 0;
    if (errno != EEXIST)
        return error_set(error, -errno, "cannot write %s/names/%s: %s", store->path, name, strerror(errno));
    error_set(error, -EEXIST, "there is a domain \"%s\" already", name);
    error_hint(error, "choose another --name, or remove that one: visor rm %s", name);
    return domain_store_name_read(store, name, other) && domain_exists(store, other) ? -EEXIST : -EAGAIN;
}

/* The wanted one, or one that is free. */
static int name_find(struct domain *domain, const char *wanted, struct error *error)
{
    struct domain_store *store = domain->store;
    int code;
    do {
        if (wanted)
            snprintf(domain->name, sizeof domain->name, "%s", wanted);
        else if (store->invent)
            store->invent(domain->name);
        else
            name_invent(domain->name);
        code = name_take(store, domain->name, domain->id, error);
    } while (code == -EEXIST && !wanted);
    return code;
}

/* Who is to run it: whoever comes; the caller, who has it locked; he, and it is not wanted without. */
enum creation { CREATE_FREE, CREATE_LOCKED, CREATE_SOON };

static int files_write(struct domain *domain, const struct domain_config *config, enum creation creation,
                       struct error *error)
{
    struct domain_state state = {
        .status = DOMAIN_CREATED, .created = state_time_now(), .provisional = creation == CREATE_SOON};
    const bool sync = !domain->brief;
    int code = creation == CREATE_FREE ? 0 : process_id_self(&state.process, error);
    if (code)
        return code;
    json_t *document = domain_config_json(config);
    code = json_file_write(domain->directory, "config.json", document, sync, error);
    json_decref(document);
    domain_store_step(domain->store);
    if (code)
        return code;
    document = domain_state_json(&state);
    code = json_file_write(domain->directory, "state.json", document, sync, error);
    json_decref(document);
    domain_store_step(domain->store);
    if (code)
        return code;
    domain->lock = openat(domain->directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (domain->lock < 0 || flock(domain->lock, LOCK_EX) < 0)
        return error_set(error, -errno, "cannot make the domain's lock: %s", strerror(errno));
    return 0;
}

/* From here on it is under `.new-ID`; the store's lock is held. */
static int create_in(struct domain *domain, const struct domain_config *config, const char *wanted,
                     const char *temporary, enum creation creation, struct error *error)
{
    struct domain_store *store = domain->store;
    domain->directory = openat(store->domains, temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (domain->directory < 0)
        return error_set(error, -errno, "cannot open %s/domains/%s: %s", store->path, temporary,
                         strerror(errno));
    int code = files_write(domain, config, creation, error);
    if (!code)
        code = name_find(domain, wanted, error);
    domain_store_step(store);
    if (code)
        return code;
    if (renameat(store->domains, temporary, store->domains, domain->id) < 0) {
        code = error_set(error, -errno, "cannot write to %s/domains: %s", store->path, strerror(errno));
        unlinkat(store->names, domain->name, 0);
        return code;
    }
    if (!domain->brief) {
        fsync(domain->directory);
        fsync(store->names);
        fsync(store->domains);
    }
    domain_store_step(store);
    domain_event_put(domain, DOMAIN_EVENT_CREATE, NULL);
    return 0;
}

static int create_once(struct domain *domain, const struct domain_config *config, const char *name,
                       enum creation creation, struct error *error)
{
    struct domain_store *store = domain->store;
    char temporary[STORE_ENTRY_SIZE];
    int code = id_invent(domain->id, error);
    if (!code)
        code = domain_store_lock(store, error);
    if (code)
        return code;
    snprintf(temporary, sizeof temporary, NEW_PREFIX "%s", domain->id);
    if (mkdirat(store->domains, temporary, 0700) < 0) {
        code = error_set(error, -errno, "cannot write to %s/domains: %s", store->path, strerror(errno));
    } else {
        domain_store_step(store);
        code = create_in(domain, config, name, temporary, creation, error);
        if (code)
            tree_remove(store->domains, temporary);
    }
    domain_store_unlock(store);
    if (code)
        domain_close(domain);
    return code;
}

/* A name that a dead command has left is freed with the store's lock released and nothing under way: the
 * repair does not tell what is half made from what was. */
static int create(struct domain *domain, struct domain_store *store, const struct domain_config *config,
                  const char *name, enum creation creation, struct error *error)
{
    *domain = (struct domain){
        .store = store, .directory = -1, .lock = -1, .brief = config->remove || creation == CREATE_SOON};
    snprintf(domain->kind, sizeof domain->kind, "%s", config->kind);
    int code = name ? domain_store_name_check(name, error) : 0;
    if (!code)
        code = create_once(domain, config, name, creation, error);
    for (unsigned tries = 0; code == -EAGAIN && tries < 3; tries++) {
        domain_store_repair(store, true);
        code = create_once(domain, config, name, creation, error);
    }
    if (!code && creation == CREATE_FREE)
        domain_unlock(domain);
    return code == -EAGAIN ? -EEXIST : code;
}

/* What is removed in the end need not survive the host. */
int domain_create(struct domain *domain, struct domain_store *store, const struct domain_config *config,
                  const char *name, bool locked, struct error *error)
{
    return create(domain, store, config, name, locked ? CREATE_LOCKED : CREATE_FREE, error);
}

int domain_create_soon(struct domain *domain, struct domain_store *store, const struct domain_config *config,
                       const char *name, struct error *error)
{
    return create(domain, store, config, name, CREATE_SOON, error);
}

static void file_settle(int directory, const char *name)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

void domain_settle(const struct domain *domain)
{
    file_settle(domain->directory, "config.json");
    file_settle(domain->directory, "state.json");
    fsync(domain->directory);
}

void domain_store_settle(const struct domain_store *store)
{
    fsync(store->names);
    fsync(store->domains);
}

/* -- finding --------------------------------------------------------------------------------------------- */

int domain_open(struct domain *domain, struct domain_store *store, const char *id, struct error *error)
{
    domain->store = store;
    domain->lock = -1;
    memmove(domain->id, id, STORE_ID_DIGITS);
    domain->id[STORE_ID_DIGITS] = '\0';
    domain->directory =
        store->domains < 0 ? -1 : openat(store->domains, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (domain->directory >= 0)
        return 0;
    int code = store->domains < 0 ? -ENOENT : -errno;
    return error_set(error, code, "cannot open the domain %s: %s", id, strerror(-code));
}

struct names_walk {
    const struct domain_store_entry *entries;
    unsigned count, next;
};

static const char *names_next(void *opaque)
{
    struct names_walk *walk = opaque;
    return walk->next < walk->count ? walk->entries[walk->next++].name : NULL;
}

int domain_reopen(struct domain *domain, struct error *error)
{
    int lock = domain->lock;
    int code = domain_open(domain, domain->store, domain->id, error);
    domain->lock = lock;
    return code;
}

void domain_forget_descriptors(struct domain *domain)
{
    struct domain_store *store = domain->store;
    domain->directory = domain->lock = -1;
    store->lock = store->root = store->domains = store->names = store->run = -1;
}

static int not_found(const char *word, const struct domain_store_entry *entries, unsigned count,
                     struct error *error)
{
    struct names_walk walk = {.entries = entries, .count = count};
    const char *meant = similar_find(word, names_next, &walk);
    error_set(error, -ENOENT, "there is no domain \"%.80s\"", word);
    if (meant)
        error_hint(error, "did you mean %s?", meant);
    else
        error_hint(error, "\"visor ps -a\" lists all domains");
    return -ENOENT;
}

static int ambiguous(const char *word, const struct domain_store_entry *entries, unsigned count,
                     struct error *error)
{
    char list[256];
    size_t used = 0, length = strlen(word);
    for (unsigned i = 0; i < count && used < sizeof list - 40; i++) {
        if (strncmp(entries[i].id, word, length) != 0)
            continue;
        int more = snprintf(list + used, sizeof list - used, "%s%s (%s)", used ? ", " : "", entries[i].id,
                            entries[i].name);
        used = MIN(used + (size_t)more, sizeof list - 1);
    }
    return error_set(error, -EEXIST, "\"%s\" is ambiguous: %s", word, list);
}

int domain_find(struct domain *domain, struct domain_store *store, const char *word, struct error *error)
{
    struct domain_store_entry *entries, *found = NULL;
    unsigned count, matches = 0;
    *domain = (struct domain){.store = store, .directory = -1, .lock = -1};
    if (domain_store_name_check(word, NULL) == 0 && domain_store_name_read(store, word, domain->id) &&
        domain_open(domain, store, domain->id, NULL) == 0) {
        snprintf(domain->name, sizeof domain->name, "%s", word);
        return 0;
    }
    int code = domain_store_list(store, &entries, &count, error);
    if (code)
        return code;
    for (unsigned i = 0; i < count; i++) {
        if (*word && strncmp(entries[i].id, word, strlen(word)) == 0) {
            found = &entries[i];
            matches++;
        }
    }
    if (!matches)
        code = not_found(word, entries, count, error);
    else if (matches > 1)
        code = ambiguous(word, entries, count, error);
    else
        code = domain_open(domain, store, found->id, error);
    if (!code)
        snprintf(domain->name, sizeof domain->name, "%s", found->name);
    free(entries);
    return code;
}

void domain_close(struct domain *domain)
{
    domain_unlock(domain);
    if (domain->directory >= 0)
        close(domain->directory);
    domain->directory = -1;
}

/* -- its lock and files ---------------------------------------------------------------------------------- */

int domain_lock(struct domain *domain, struct error *error)
{
    struct stat here, there;
    if (domain->lock >= 0)
        return 0;
    int fd = openat(domain->directory, "lock", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX) < 0 && errno == EINTR) {
    }
    if (fd < 0 || fstat(domain->directory, &here) < 0 ||
        fstatat(domain->store->domains, domain->id, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
        here.st_ino != there.st_ino) {
        if (fd >= 0)
            close(fd);
        return error_set(error, -ENOENT, "the domain %s has been removed meanwhile",
                         domain->name[0] ? domain->name : domain->id);
    }
    domain->lock = fd;
    return 0;
}

/* Closing it is not enough where a child has a copy of the descriptor. */
void domain_unlock(struct domain *domain)
{
    if (domain->lock < 0)
        return;
    flock(domain->lock, LOCK_UN);
    close(domain->lock);
    domain->lock = -1;
}

static int damaged(const struct domain *domain, int code, struct error *error)
{
    error_prefix(error, "domain %s: ", domain->name[0] ? domain->name : domain->id);
    return code;
}

int domain_read_config(const struct domain *domain, struct domain_config *config, struct error *error)
{
    json_t *document = json_file_read(domain->directory, "config.json", FILE_MOST, error);
    int code = domain_config_init(config, error);
    if (!document)
        return damaged(domain, error->code, error);
    if (!code)
        code = domain_config_load(config, document, error);
    if (!code)
        code = domain_config_check(config, error);
    json_decref(document);
    return code ? damaged(domain, code, error) : 0;
}

int domain_write_config(const struct domain *domain, const struct domain_config *config, json_t *fields,
                        struct error *error)
{
    json_t *document = domain_config_json(config);
    int code = json_file_write(domain->directory, "config.json", document, !domain->brief, error);
    json_decref(document);
    domain_store_step(domain->store);
    json_t *details = json_pack("{s:o}", "fields", fields);
    if (code) {
        json_decref(details);
        return damaged(domain, code, error);
    }
    domain_event_put(domain, DOMAIN_EVENT_UPDATE, details);
    return 0;
}

int domain_read_state(const struct domain *domain, struct domain_state *state, struct error *error)
{
    json_t *document = json_file_read(domain->directory, "state.json", FILE_MOST, error);
    int code = document ? domain_state_load(state, document, error) : error->code;
    json_decref(document);
    return code ? damaged(domain, code, error) : 0;
}

static int state_write(const struct domain *domain, const struct domain_state *state, struct error *error)
{
    json_t *document = domain_state_json(state);
    int code = json_file_write(domain->directory, "state.json", document, !domain->brief, error);
    json_decref(document);
    domain_store_step(domain->store);
    return code ? damaged(domain, code, error) : 0;
}

int domain_write_state(const struct domain *domain, const struct domain_state *state, enum domain_event event,
                       struct error *error)
{
    int code = state_write(domain, state, error);
    if (!code)
        domain_event_put_state(domain, event, state);
    return code;
}

/* -- how it is ------------------------------------------------------------------------------------------- */

#define DEATH_MS 5000 /* that a guest's process may take to be gone when its keeper is */

/* Its process has died without a word. The lock is held. */
static int note_death(struct domain *domain, struct domain_state *state, struct error *error)
{
    struct domain_config config;
    const bool known = domain_read_config(domain, &config, NULL) == 0;
    const bool unborn = state->status == DOMAIN_CREATED && state->provisional;
    const bool remove = unborn || (known && config.remove);
    if (known && domain_kind_of(&config)->recover)
        domain_kind_of(&config)->recover(domain);
    domain_config_free(&config);
    process_id_wait(&state->guest, DEATH_MS); /* its disks are free then */
    state->process = state->guest = (struct process_id){0};
    if (state->status != DOMAIN_CREATED) {
        state->status = DOMAIN_EXITED;
        state->finished = state_time_now();
        state->end = (struct domain_end){.status = 128 + 9, .reason = "killed", .failed = true};
    }
    domain_remove_run(domain);
    domain_store_step(domain->store);
    int code = state->status == DOMAIN_CREATED ? state_write(domain, state, error)
                                               : domain_write_state(domain, state, DOMAIN_EVENT_EXIT, error);
    if (!code && remove) {
        error_set(error, -ENOENT, "the domain %s has come to its end and was removed", domain->name);
        code = domain_remove(domain, NULL) ? 0 : -ENOENT;
    }
    return code;
}

int domain_look(struct domain *domain, struct domain_state *state, struct error *error)
{
    int code = domain_read_state(domain, state, error);
    if (code || !state->process.pid || process_id_lives(&state->process))
        return code;
    const bool held = domain->lock >= 0;
    code = held ? 0 : domain_lock(domain, error);
    if (!code)
        code = domain_read_state(domain, state, error);
    if (!code && state->process.pid && !process_id_lives(&state->process))
        code = note_death(domain, state, error);
    if (!held)
        domain_unlock(domain);
    return code;
}

/* -- changing -------------------------------------------------------------------------------------------- */

int domain_rename(struct domain *domain, const char *name, struct error *error)
{
    struct domain_store *store = domain->store;
    char other[STORE_ID_DIGITS + 1];
    int code = domain_store_name_check(name, error);
    if (code || strcmp(name, domain->name) == 0)
        return code;
    if (domain_store_name_read(store, name, other) && !domain_exists(store, other))
        domain_store_repair(store, true);
    code = domain_store_lock(store, error);
    if (code)
        return code;
    if (domain->name[0])
        code = renameat2(store->names, domain->name, store->names, name, RENAME_NOREPLACE) < 0 ? -errno : 0;
    else
        code = symlinkat(domain->id, store->names, name) < 0 ? -errno : 0;
    domain_store_unlock(store);
    if (code == -EEXIST)
        return error_set(error, code, "there is a domain \"%s\" already", name);
    if (code)
        return error_set(error, code, "cannot rename %s: %s", domain->name, strerror(-code));
    fsync(store->names);
    json_t *details = json_pack("{s:s}", "old_name", domain->name);
    snprintf(domain->name, sizeof domain->name, "%s", name);
    domain_store_step(store);
    domain_event_put(domain, DOMAIN_EVENT_RENAME, details);
    return 0;
}

int domain_remove(struct domain *domain, struct error *error)
{
    struct domain_store *store = domain->store;
    char dead[STORE_ENTRY_SIZE], name[STORE_NAME_MAX + 1];
    snprintf(dead, sizeof dead, DEAD_PREFIX "%s", domain->id);
    domain_remove_run(domain);
    domain_store_step(store);
    int code = domain_store_lock(store, error);
    if (code)
        return code;
    if (renameat(store->domains, domain->id, store->domains, dead) < 0) {
        code = error_set(error, -errno, "cannot remove %s: %s", domain->name, strerror(errno));
        domain_store_unlock(store);
        return code;
    }
    domain_store_step(store);
    domain_event_put(domain, DOMAIN_EVENT_REMOVE, NULL);
    domain_name_now(domain, name);
    if (name[0])
        unlinkat(store->names, name, 0);
    domain_store_step(store);
    tree_remove(store->domains, dead); /* what cannot be removed now is half made */
    domain_store_step(store);
    domain_store_unlock(store);
    domain_close(domain);
    return 0;
}
