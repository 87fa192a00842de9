/* SPDX-License-Identifier: GPL-2.0-or-later */
/* binfmt persist: keeps visor's entry over reboots, by systemd-binfmt's or Debian's binfmt-support's means.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"
#include "cli/binfmt.h"

#define SYSTEMD_DIRECTORY "/etc/binfmt.d"
#define SYSTEMD_FILE      SYSTEMD_DIRECTORY "/" BINFMT_ARM64_ENTRY ".conf"
#define DEBIAN_FILE       "/var/lib/binfmts/" BINFMT_ARM64_ENTRY
#define DEBIAN_TOOL       "update-binfmts"

const char *binfmt_persistent_file(void)
{
    static const char *const files[] = {SYSTEMD_FILE, DEBIAN_FILE};
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        if (access(files[i], F_OK) == 0)
            return files[i];
    }
    return NULL;
}

static bool has_systemd(void)
{
    return access("/usr/lib/systemd/systemd-binfmt", X_OK) == 0 ||
           access("/lib/systemd/systemd-binfmt", X_OK) == 0;
}

static int write_systemd_file(const char *line, struct error *error)
{
    if (mkdir(SYSTEMD_DIRECTORY, 0755) < 0 && errno != EEXIST)
        return error_set(error, -errno, "cannot make " SYSTEMD_DIRECTORY ": %s", strerror(errno));
    FILE *file = fopen(SYSTEMD_FILE, "we");
    if (!file)
        return error_set(error, -errno, "cannot write " SYSTEMD_FILE ": %s", strerror(errno));
    fprintf(file, "# made by \"visor binfmt register --persistent\"\n%s\n", line);
    if (fclose(file) != 0)
        return error_set(error, -errno, "cannot write " SYSTEMD_FILE ": %s", strerror(errno));
    return 0;
}

static int run_debian_tool(char *const words[], struct error *error)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        execvp(words[0], words);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return error_set(error, -errno, "cannot run " DEBIAN_TOOL ": %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        error_set(error, -ENOENT, "nothing here registers interpreters at boot");
        error_hint(error, "there is neither systemd-binfmt nor " DEBIAN_TOOL " (package binfmt-support)");
        return -ENOENT;
    }
    return error_set(error, -EIO, DEBIAN_TOOL " failed");
}

int binfmt_persist(const char *interpreter, const char *line, struct error *error)
{
    if (has_systemd())
        return write_systemd_file(line, error);
    char *const words[] = {DEBIAN_TOOL,
                           "--install",
                           BINFMT_ARM64_ENTRY,
                           (char *)interpreter,
                           "--offset",
                           "0",
                           "--magic",
                           BINFMT_ARM64_MAGIC,
                           "--mask",
                           BINFMT_ARM64_MASK,
                           "--preserve",
                           "yes",
                           "--credentials",
                           "yes",
                           "--fix-binary",
                           "yes",
                           NULL};
    return run_debian_tool(words, error);
}

int binfmt_forget(struct error *error)
{
    if (unlink(SYSTEMD_FILE) < 0 && errno != ENOENT && errno != ENOTDIR)
        return error_set(error, -errno, "cannot remove " SYSTEMD_FILE ": %s", strerror(errno));
    if (access(DEBIAN_FILE, F_OK) < 0)
        return 0;
    char *const words[] = {DEBIAN_TOOL, "--package", ":", "--remove", BINFMT_ARM64_ENTRY, "", NULL};
    return run_debian_tool(words, error);
}
