/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_machine: the processes in a machine's guest, by its agent, which has a shell read /proc. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/visible.h"
#include "control/agent/client.h"
#include "domain/top.h"
#include "domain/visit_kinds.h"

#define SAID_MOST   (4 << 20) /* bytes that a guest may say */
#define ERRORS_MOST 4096

/* A file in memory that cannot become larger than this. */
static int file_make(const char *name, off_t most)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && (ftruncate(fd, most) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* How much has been written from the beginning. */
static size_t file_size(int fd)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    return at > 0 ? (size_t)at : 0;
}

static int script_run(const struct agent_host *host, int output, int errors, struct error *error)
{
    char *words[] = {"sh", "-c", TOP_SCRIPT, NULL};
    const struct agent_run run = {
        .exec = {.user = "", .directory = "/", .arguments = words},
        .input = -1,
        .output = output,
        .errors = errors,
        .signals = -1,
    };
    int status;
    int code = agent_run(host, &run, &status, error);
    if (code || (!status && file_size(output)))
        return code;
    char said[ERRORS_MOST] = "";
    ssize_t size = pread(errors, said, MIN(file_size(errors), sizeof said - 1), 0);
    said[size > 0 ? size : 0] = '\0';
    said[strcspn(said, "\n")] = '\0';
    visible_make(said, strlen(said));
    return error_set(error, -EIO, "the guest cannot list its processes: %s", said);
}

static int list_read(int output, struct domain_process **list, unsigned *count, struct error *error)
{
    size_t size = file_size(output);
    char *text = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, output, 0) : NULL;
    if (text == MAP_FAILED)
        return error_set(error, -errno, "cannot read what the guest says: %s", strerror(errno));
    int code = domain_top_parse(text, size, list, count, error);
    if (text)
        munmap(text, size);
    return code;
}

int domain_machine_top(struct domain_visit *visit, struct domain_process **list, unsigned *count,
                       struct error *error)
{
    struct agent_host host;
    char path[PATH_MAX];
    int output = file_make("said", SAID_MOST), errors = file_make("errors", ERRORS_MOST);
    int code =
        output < 0 || errors < 0 ? error_set(error, -errno, "cannot make a file: %s", strerror(errno)) : 0;
    domain_machine_agent(visit, path, &host);
    if (!code)
        code = domain_visit_check(visit, true, "looked into", error);
    if (!code)
        code = domain_machine_error(visit, script_run(&host, output, errors, error), error);
    if (!code)
        code = list_read(output, list, count, error);
    if (output >= 0)
        close(output);
    if (errors >= 0)
        close(errors);
    return code;
}
