/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loads a filter, and hands its listener on. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/seccomp.h"

#define OCI_VERSION "1.1.0"

static const struct {
    uint32_t flag;
    const char *name;
} flags[] = {
    {SECCOMP_FILTER_FLAG_TSYNC, "SECCOMP_FILTER_FLAG_TSYNC"},
    {SECCOMP_FILTER_FLAG_LOG, "SECCOMP_FILTER_FLAG_LOG"},
    {SECCOMP_FILTER_FLAG_SPEC_ALLOW, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"},
    {SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"},
};

/* The kernel says EFAULT to flags that it knows, for want of a program, and EINVAL to others. */
static const char *unknown_flag(uint32_t set)
{
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (set & flags[i].flag) {
            uint32_t flag = flags[i].flag;
            if (flag == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
                flag |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
            if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flag, NULL) < 0 && errno == EINVAL)
                return flags[i].name;
        }
    return NULL;
}

int seccomp_filter_load(const struct seccomp_filter *filter, int *listener, struct error *error)
{
    struct sock_fprog program = {.len = (unsigned short)filter->count, .filter = filter->program};
    uint32_t set = filter->flags;
    *listener = -1;
    if (filter->notifies)
        set |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    else
        set &= ~(uint32_t)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV; /* there is nobody to wait for */
    if (set & SECCOMP_FILTER_FLAG_TSYNC)
        set |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH; /* so that the result is the listener, or an error */
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, set, &program);
    if (result >= 0) {
        if (filter->notifies)
            *listener = (int)result;
        return 0;
    }
    int code = -errno;
    const char *unknown = code == -EINVAL ? unknown_flag(set) : NULL;
    if (unknown)
        return error_set(error, code, "cannot load the filter of system calls: this kernel does not know %s",
                         unknown);
    error_set(error, code, "cannot load the filter of system calls: %s",
              code == -ESRCH ? "a thread has another filter" : strerror(-code));
    if (code == -EACCES)
        error_hint(error, "without CAP_SYS_ADMIN it takes noNewPrivileges");
    return code;
}

static int connect_to(const char *path, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return error_set(error, -ENAMETOOLONG, "linux.seccomp.listenerPath '%s' is too long for a socket",
                         path);
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int code = -errno;
    if (fd >= 0)
        close(fd);
    return error_set(error, code, "cannot reach the seccomp agent at '%s': %s", path, strerror(-code));
}

/* The descriptor goes with the first byte, see the specification. */
static int send_all(int fd, const char *text, size_t size, int listener)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {
        .header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &listener, sizeof listener);
    for (bool first = true; size;) {
        struct iovec part = {.iov_base = (void *)text, .iov_len = size};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (first) {
            message.msg_control = control.space;
            message.msg_controllen = sizeof control.space;
        }
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return -errno;
        if (sent <= 0)
            continue;
        first = false;
        text += sent;
        size -= (size_t)sent;
    }
    return 0;
}

int seccomp_listener_send(const char *path, const char *metadata, int listener, pid_t pid, json_t *state,
                          struct error *error)
{
    json_t *document = json_pack("{s:s, s:[s], s:I, s:O}", "ociVersion", OCI_VERSION, "fds", "seccompFd",
                                 "pid", (json_int_t)pid, "state", state);
    if (document && metadata && json_object_set_new(document, "metadata", json_string(metadata)) < 0) {
        json_decref(document);
        document = NULL;
    }
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    if (!text)
        return error_set(error, -ENOMEM, "no memory for the state that a seccomp agent is told");
    int fd = connect_to(path, error), result = fd;
    if (fd >= 0) {
        result = send_all(fd, text, strlen(text), listener);
        if (result < 0)
            error_set(error, result, "cannot send to the seccomp agent at '%s': %s", path, strerror(-result));
        close(fd);
    }
    free(text);
    return result < 0 ? result : 0;
}
