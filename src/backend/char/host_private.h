/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host_private: what the kinds of hosts have in common: two descriptors, a buffer for each direction. */
#ifndef VISOR_BACKEND_CHAR_HOST_PRIVATE_H
#define VISOR_BACKEND_CHAR_HOST_PRIVATE_H

#include "backend/char/host.h"
#include "backend/char/terminal.h"

#define CHAR_OUT_SIZE 65536
#define CHAR_IN_SIZE  4096

/* One direction's descriptor. */
struct char_end {
    int fd;            /* -1: none */
    bool owned;        /* is closed with the host */
    bool always;       /* a file, which is always ready and cannot be waited for */
    bool was_blocking; /* and gets that back */
    struct loop_watch *watch;
};

struct char_host {
    struct loop *loop;
    struct char_client client;
    struct char_options options;
    struct char_menu menu;
    bool attached, connected, feeding, terminal, menu_open;
    struct char_end in, out;
    bool write_refused;
    struct loop_call flush_call, input_call;
    uint8_t input[CHAR_IN_SIZE];
    size_t input_size;
    uint8_t output[CHAR_OUT_SIZE]; /* a ring */
    size_t output_head, output_size;

    /* Of single kinds. */
    int listen_fd; /* UNIX; PTY: inotify */
    struct loop_watch *listen_watch;
    char *path; /* UNIX: to be removed; PTY: of the slave */
};

/* Gives an end its descriptor, and the loop's watch. */
int char_end_open(struct char_host *host, struct char_end *end, int fd, bool owned,
                  void (*ready)(void *opaque, unsigned events), struct error *error);
void char_end_close(struct char_end *end);

void char_host_input_ready(void *opaque, unsigned events);
void char_host_output_ready(void *opaque, unsigned events);
/* What came in, for the device. */
void char_host_input(struct char_host *host, const uint8_t *data, size_t size);
void char_host_connect(struct char_host *host, bool connected);
/* The other side has gone. */
void char_host_hang_up(struct char_host *host);

int char_stdio_open(struct char_host *host, struct error *error);
/* Characters typed at a terminal, among which may be the escape key. */
void char_stdio_input(struct char_host *host, const uint8_t *data, size_t size);
int char_pty_open(struct char_host *host, struct error *error);
void char_pty_hang_up(struct char_host *host);
int char_unix_open(struct char_host *host, struct error *error);
void char_unix_hang_up(struct char_host *host);

#endif
