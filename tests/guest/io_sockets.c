/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets: pairs, Internet and Unix addresses, messages with descriptors and credentials, options. */
#include "io_check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static void test_pair(void)
{
    int s[2];
    char text[16];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0 && fcntl(s[0], F_GETFD) == FD_CLOEXEC);
    CHECK(send(s[0], "abcdef", 6, 0) == 6 && recv(s[1], text, 3, MSG_PEEK) == 3);
    int waiting = 0;
    CHECK(ioctl(s[1], FIONREAD, &waiting) == 0 && waiting == 6);
    CHECK(recv(s[1], text, sizeof text, 0) == 6 && memcmp(text, "abcdef", 6) == 0);
    CHECK_ERROR(recv(s[1], text, 1, MSG_DONTWAIT), EAGAIN);
    CHECK(shutdown(s[0], SHUT_WR) == 0 && recv(s[1], text, 1, 0) == 0);
    CHECK_ERROR(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_ERROR(getpeername(0, NULL, NULL), ENOTSOCK);
    close(s[0]);
    close(s[1]);
    CHECK_ERROR(socket(AF_INET, 77, 0), EINVAL);
    CHECK_ERROR(socket(12345, SOCK_STREAM, 0), EAFNOSUPPORT);
}

static void test_descriptors_in_messages(void)
{
    int s[2], p[2], one = 1;
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0 && pipe(p) == 0);
    CHECK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one) == 0);
    char text[8] = "";
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    } control = {0};
    struct iovec out = {"desc", 4}, in = {text, sizeof text};
    struct msghdr message = {
        .msg_iov = &out, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &p[1], sizeof(int));
    CHECK(sendmsg(s[0], &message, 0) == 4);

    memset(&control, 0, sizeof control);
    message = (struct msghdr){
        .msg_iov = &in, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    CHECK(recvmsg(s[1], &message, MSG_CMSG_CLOEXEC) == 4 && memcmp(text, "desc", 4) == 0);
    int received = -1;
    struct ucred credentials = {0};
    for (header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_type == SCM_RIGHTS)
            memcpy(&received, CMSG_DATA(header), sizeof received);
        if (header->cmsg_type == SCM_CREDENTIALS)
            memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
    }
    CHECK(credentials.pid == getpid() && credentials.uid == getuid());
    CHECK(received > p[1] && fcntl(received, F_GETFD) == FD_CLOEXEC && write(received, "y", 1) == 1);
    CHECK(read(p[0], text, 1) == 1 && text[0] == 'y');
    close(received);

    struct mmsghdr many[3] = {0}, back[4] = {0};
    struct iovec vectors[4];
    char buffers[4][8];
    for (int i = 0; i < 3; i++)
        many[i].msg_hdr = (struct msghdr){.msg_iov = &out, .msg_iovlen = 1};
    for (int i = 0; i < 4; i++) {
        vectors[i] = (struct iovec){buffers[i], 8};
        back[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    CHECK(sendmmsg(s[0], many, 3, 0) == 3 && many[2].msg_len == 4);
    CHECK(recvmmsg(s[1], back, 4, MSG_DONTWAIT, NULL) == 3 && back[0].msg_len == 4);
    for (int i = 0; i < 2; i++) {
        close(s[i]);
        close(p[i]);
    }
}

static void test_tcp(void)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, peer,
                       other;
    socklen_t length = sizeof address;
    if (!AVAILABLE(bind(listener, (struct sockaddr *)&address, sizeof address)))
        return;
    CHECK(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0 && length == sizeof address);
    CHECK(address.sin_port && listen(listener, 5) == 0);
    pid_t child = fork();
    if (child == 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        char text[64];
        if (connect(fd, (struct sockaddr *)&address, sizeof address) || send(fd, "request", 7, 0) != 7)
            _exit(1);
        _exit(recv(fd, text, sizeof text, MSG_WAITALL) == 64 ? 5 : 2);
    }
    length = sizeof peer;
    int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(length == sizeof peer && peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(getpeername(fd, (struct sockaddr *)&other, &length) == 0 && other.sin_port == peer.sin_port);
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
    char text[64] = "";
    CHECK(recv(fd, text, 7, MSG_WAITALL) == 7 && memcmp(text, "request", 7) == 0);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
    int type = 0, error = -1;
    length = sizeof type;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0);
    struct timeval limit = {3, 500000}, got;
    length = sizeof got;
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &length) == 0 && got.tv_sec == 3);
    CHECK(send(fd, text, sizeof text, 0) == sizeof text);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5);
    close(fd);
    close(listener);
}

static void test_datagrams(void)
{
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
    socklen_t length = sizeof address;
    if (!AVAILABLE(bind(a, (struct sockaddr *)&address, sizeof address)))
        return;
    CHECK(getsockname(a, (struct sockaddr *)&address, &length) == 0);
    char text[32];
    CHECK(sendto(b, "datagram", 8, 0, (struct sockaddr *)&address, sizeof address) == 8);
    CHECK(recvfrom(a, text, sizeof text, 0, (struct sockaddr *)&from, &length) == 8 && length == sizeof from);
    CHECK(from.sin_port && sendto(a, "reply", 5, 0, (struct sockaddr *)&from, length) == 5);
    CHECK(recv(b, text, sizeof text, 0) == 5 && memcmp(text, "reply", 5) == 0);
    CHECK_ERROR(sendto(b, "x", 1, 0, (struct sockaddr *)bad_pointer, sizeof address), EFAULT);
    close(a);
    close(b);
}

static void test_unix_names(void)
{
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX}, got;
    snprintf(address.sun_path, sizeof address.sun_path, "io_sockets.%d", (int)getpid());
    socklen_t length = sizeof got;
    CHECK_ERROR(connect(fd, (struct sockaddr *)&address, sizeof address), ENOENT);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(getpeername(fd, (struct sockaddr *)&got, &length) == 0 &&
          strcmp(got.sun_path, address.sun_path) == 0);
    CHECK(length == offsetof(struct sockaddr_un, sun_path) + strlen(address.sun_path) + 1);
    int accepted = accept(listener, NULL, NULL);
    struct ucred credentials;
    length = sizeof credentials;
    CHECK(getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0);
    CHECK(credentials.pid == getpid() && length == sizeof credentials);
    CHECK(write(accepted, "hi", 2) == 2 && close(accepted) == 0);
    char text[4];
    CHECK(read(fd, text, 4) == 2 && read(fd, text, 4) == 0);
    CHECK(unlink(address.sun_path) == 0);
    close(fd);
    close(listener);
}

int main(void)
{
    test_pair();
    test_descriptors_in_messages();
    test_tcp();
    test_datagrams();
    test_unix_names();
    return check_done("io_sockets");
}
