/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/binfmt_misc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"

#define BINFMTFS_MAGIC         0x42494e4d
#define INITIAL_USER_NAMESPACE 0xeffffffdul /* inode */

/* -- the file system ------------------------------------------------------------------------------------- */

bool binfmt_misc_is_mounted(void)
{
    struct statfs status;
    return statfs(BINFMT_DIRECTORY, &status) == 0 && status.f_type == BINFMTFS_MAGIC;
}

/* The first user namespace has a fixed number. A namespace with the same user numbers is still another. */
static bool is_initial_namespace(void)
{
    struct stat status;
    return stat("/proc/self/ns/user", &status) == 0 && status.st_ino == INITIAL_USER_NAMESPACE;
}

static int refuse(int code, struct error *error)
{
    error_set(error, code, "cannot mount the kernel's table of interpreters at %s: %s", BINFMT_DIRECTORY,
              strerror(-code));
    if (code == -ENODEV)
        error_hint(error, "this kernel was built without binfmt_misc, or its module is not installed");
    else if (code == -ENOENT)
        error_hint(error, "is /proc mounted? if so, try: modprobe binfmt_misc");
    else if (is_initial_namespace())
        error_hint(error, "run it as root (sudo), or, for one command and its children alone: "
                          "visor binfmt run COMMAND");
    else
        error_hint(error, "in a user namespace this needs Linux 6.7 or newer, and a mount namespace made "
                          "together with it (unshare --user --map-root-user --mount)");
    return code;
}

/* In another than the first namespace an ancestor's table may be in sight, and for root even be writable; so
 * the own one is mounted above. EBUSY: that has been done. */
static int open_in_namespace(struct error *error)
{
    if (mount("binfmt_misc", BINFMT_DIRECTORY, "binfmt_misc", 0, NULL) < 0 && errno != EBUSY)
        return refuse(-errno, error);
    return 0;
}

int binfmt_misc_open(struct error *error)
{
    if (!is_initial_namespace())
        return open_in_namespace(error);
    if (!binfmt_misc_is_mounted() && mount("binfmt_misc", BINFMT_DIRECTORY, "binfmt_misc", 0, NULL) < 0)
        return refuse(-errno, error);
    return access(BINFMT_DIRECTORY "/register", W_OK) < 0 ? refuse(-errno, error) : 0;
}

static int read_file(const char *name, char *text, size_t size)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, BINFMT_DIRECTORY "/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    int code = length < 0 ? -errno : 0;
    text[MAX(length, 0)] = '\0';
    if (fd >= 0)
        close(fd);
    return code;
}

int binfmt_misc_write(const char *name, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, BINFMT_DIRECTORY "/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int code = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return code;
}

bool binfmt_misc_is_enabled(void)
{
    char text[32];
    return read_file("status", text, sizeof text) == 0 && strncmp(text, "enabled", 7) == 0;
}

/* -- entries --------------------------------------------------------------------------------------------- */

static unsigned parse_hex(const char *text, uint8_t bytes[BINFMT_MAGIC_MAX])
{
    unsigned n = 0;
    while (n < BINFMT_MAGIC_MAX && sscanf(text + 2 * n, "%2hhx", &bytes[n]) == 1)
        n++;
    return n;
}

void binfmt_misc_parse(const char *text, struct binfmt_entry *entry)
{
    memset(entry->mask, 0xff, sizeof entry->mask);
    for (const char *line = text; *line;) {
        int length = (int)strcspn(line, "\n");
        char word[2 * BINFMT_MAGIC_MAX + 1] = "";
        if (strncmp(line, "enabled", 7) == 0)
            entry->enabled = true;
        else if (strncmp(line, "interpreter ", 12) == 0)
            snprintf(entry->interpreter, sizeof entry->interpreter, "%.*s", length - 12, line + 12);
        else if (strncmp(line, "flags: ", 7) == 0)
            snprintf(entry->flags, sizeof entry->flags, "%.*s", length - 7, line + 7);
        else if (sscanf(line, "offset %u", &entry->offset) == 1)
            ; /* that was all */
        else if (sscanf(line, "magic %256[0-9a-f]", word) == 1)
            entry->size = parse_hex(word, entry->magic);
        else if (sscanf(line, "mask %256[0-9a-f]", word) == 1)
            parse_hex(word, entry->mask);
        line += length + (line[length] == '\n');
    }
}

bool binfmt_misc_matches(const struct binfmt_entry *entry, const uint8_t *head, size_t size)
{
    if (!entry->size || entry->offset > size || entry->size > size - entry->offset)
        return false;
    for (unsigned i = 0; i < entry->size; i++) {
        if ((head[entry->offset + i] ^ entry->magic[i]) & entry->mask[i])
            return false;
    }
    return true;
}

static int add_entry(struct binfmt_entry **entries, int count, const char *name)
{
    char text[2 * PATH_MAX];
    if (strcmp(name, "register") == 0 || strcmp(name, "status") == 0 || name[0] == '.' ||
        read_file(name, text, sizeof text) < 0)
        return count;
    struct binfmt_entry *more = reallocarray(*entries, (size_t)count + 1, sizeof *more);
    if (!more)
        return -ENOMEM;
    *entries = more;
    memset(&more[count], 0, sizeof *more);
    snprintf(more[count].name, sizeof more[count].name, "%s", name);
    binfmt_misc_parse(text, &more[count]);
    return count + 1;
}

int binfmt_misc_list(struct binfmt_entry **entries, struct error *error)
{
    *entries = NULL;
    DIR *directory = binfmt_misc_is_mounted() ? opendir(BINFMT_DIRECTORY) : NULL;
    if (!directory)
        return 0;
    int count = 0;
    for (struct dirent *d; count >= 0 && (d = readdir(directory));)
        count = add_entry(entries, count, d->d_name);
    closedir(directory);
    if (count < 0) {
        free(*entries);
        *entries = NULL;
        return error_set(error, count, "cannot list the interpreters: %s", strerror(-count));
    }
    return count;
}
