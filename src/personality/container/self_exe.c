/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/self_exe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

/* The program of launch.S; of size 0 where there is none. */
extern const unsigned char launch_image[];
extern const size_t launch_image_size;

#define SELF        "/proc/self/exe"
#define FORKED_ONLY 0x40      /* PF_FORKNOEXEC of the kernel's task_struct.flags */
#define WORDS_MAX   (4 << 20) /* bytes of the command line; above what the kernel takes */

/* A copy in memory has no name anywhere; on an overlay nobody can write. */
static bool leads_to_file(const char *path)
{
    struct stat status;
    return access(path, W_OK) == 0 && stat(path, &status) == 0 && status.st_nlink > 0;
}

/* An overlay takes two layers at least; the second one, which has no file of this name that counts, is
 * "/dev". */
static int make_overlay(const char *directory)
{
    char layers[PATH_MAX + 16];
    int context = fsopen("overlay", FSOPEN_CLOEXEC);
    if (context < 0)
        return -1;
    snprintf(layers, sizeof layers, "%s:/dev", directory);
    int mount = -1;
    if (fsconfig(context, FSCONFIG_SET_STRING, "lowerdir", layers, 0) == 0 &&
        fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        mount = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    close(context);
    return mount;
}

/* The file by an overlay of its directory; -1: that cannot be. */
static int open_by_overlay(void)
{
    char path[PATH_MAX];
    struct stat own, found;
    ssize_t size = readlink(SELF, path, sizeof path - 1);
    if (size <= 0)
        return -1;
    path[size] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash || slash == path || strpbrk(path, ":\\,"))
        return -1; /* they mean something to the overlay's options */
    *slash = '\0';
    int mount = make_overlay(path);
    if (mount < 0)
        return -1;
    int fd = openat(mount, slash + 1, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    close(mount);
    if (fd >= 0 && (stat(SELF, &own) < 0 || fstat(fd, &found) < 0 || own.st_ino != found.st_ino ||
                    own.st_size != found.st_size)) {
        close(fd); /* another file of this name by now */
        fd = -1;
    }
    return fd;
}

static int make_copy(void)
{
    struct stat status;
    int source = open(SELF, O_RDONLY | O_CLOEXEC);
    int copy = memfd_create("visor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool whole = source >= 0 && copy >= 0 && fstat(source, &status) == 0;
    for (off_t left = whole ? status.st_size : 0; left > 0 && whole;) {
        ssize_t sent = sendfile(copy, source, NULL, (size_t)left);
        whole = sent > 0;
        left -= sent;
    }
    whole = whole && fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0;
    if (source >= 0)
        close(source);
    if (!whole && copy >= 0)
        close(copy);
    return whole ? copy : -1;
}

/* The words of this process's command line, one after the other; of malloc(). */
static char **read_words(void)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    char *text = fd < 0 ? NULL : malloc(WORDS_MAX);
    size_t size = 0, count = 0;
    for (ssize_t got = 1; text && got > 0 && size<WORDS_MAX; size += got> 0 ? (size_t)got : 0)
        got = read(fd, text + size, WORDS_MAX - size);
    if (fd >= 0)
        close(fd);
    for (size_t i = 0; i < size; i++)
        count += text[i] == '\0';
    char **words = size && size < WORDS_MAX ? calloc(count + 1, sizeof *words) : NULL;
    size_t start = 0;
    for (size_t i = 0, word = 0; words && i < size; i++) {
        if (text[i] != '\0')
            continue;
        words[word++] = text + start;
        start = i + 1;
    }
    return words;
}

bool self_exe_is_exposed(void)
{
    return leads_to_file(SELF);
}

/* Whether a process was made by fork() and has executed nothing since (PF_FORKNOEXEC): the ninth of the
 * fields of proc(5)'s stat, of which the second may have anything in it, but for the last bracket. */
static bool has_executed_nothing(pid_t pid)
{
    char path[32], text[512];
    unsigned flags = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    const char *end = strrchr(text, ')');
    return end && sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && flags & FORKED_ONLY;
}

bool self_exe_is_exposed_by(pid_t pid)
{
    char path[32];
    struct stat own, other;
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    /* What CRIU has brought back has executed nothing either; a copy of visor's file has another number. */
    return has_executed_nothing(pid) && leads_to_file(path) && stat(SELF, &own) == 0 &&
           stat(path, &other) == 0 && own.st_size == other.st_size;
}

int self_exe_open(struct error *error)
{
    int fd = self_exe_is_exposed() ? open_by_overlay() : open(SELF, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fd = make_copy();
    return fd < 0 ? error_set(error, -errno,
                              "cannot make a copy of visor's own file that containers cannot write to: %s",
                              strerror(errno))
                  : fd;
}

int self_exe_protect(struct error *error)
{
    if (!self_exe_is_exposed())
        return 0;
    char **words = read_words();
    if (!words)
        return error_set(error, -EIO, "cannot read /proc/self/cmdline");
    int fd = self_exe_open(error);
    if (fd < 0)
        return fd;
    execveat(fd, "", words, environ, AT_EMPTY_PATH);
    return error_set(error, -errno, "cannot execute a copy of visor's own file: %s", strerror(errno));
}

int self_exe_open_launch(void)
{
    if (!launch_image_size)
        return -1; /* not for this processor */
    int fd = memfd_create("launch", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = memfd_create("launch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && (write(fd, launch_image, launch_image_size) != (ssize_t)launch_image_size ||
                    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int self_exe_launch(int launch, int channel, const char *path, const char *const *arguments,
                    const char *const *environment)
{
    static char *const nothing[] = {NULL};
    char number[16];
    size_t count = 0;
    while (arguments[count])
        count++;
    const char **words = calloc(count + 3, sizeof *words);
    if (!words)
        return -ENOMEM;
    snprintf(number, sizeof number, "%d", channel);
    words[0] = number;
    words[1] = path;
    memcpy(words + 2, arguments, count * sizeof *words);
    fcntl(channel, F_SETFD, 0);
    execveat(launch, "", (char **)words, environment ? (char **)environment : nothing, AT_EMPTY_PATH);
    int code = -errno;
    free(words);
    return code;
}
