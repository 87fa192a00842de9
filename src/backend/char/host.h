/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host: the host's end of a serial port or console.
 *
 * - stdio: visor's own terminal, in raw mode but for an escape key that opens a menu; or plain pipes, files;
 * - pty: a new pseudo-terminal, whose path is printed;
 * - unix:PATH: a socket that one client at a time can connect to;
 * - file:PATH: what is sent is written to a file, which is made anew;
 * - a stream socket that is connected already, from who makes the machine;
 * - none.
 *
 * A terminal gets its modes back at the end of visor, whatever that is: by char_host_close(), at exit(), and
 * if visor is killed by a small process that waits for it. Nothing here blocks; what nobody takes from a pipe
 * or terminal waits in a buffer, and then in the device; what is sent while nobody is connected is lost.
 */
#ifndef VISOR_BACKEND_CHAR_HOST_H
#define VISOR_BACKEND_CHAR_HOST_H

#include "backend/char/char.h"
#include "base/error.h"
#include "base/loop.h"

enum char_kind { CHAR_NONE, CHAR_STDIO, CHAR_PTY, CHAR_UNIX, CHAR_FILE, CHAR_SOCKET };

#define CHAR_ESCAPE_DEFAULT 0x1d /* Ctrl-] */

struct char_options {
    enum char_kind kind;
    const char *path; /* UNIX, FILE: within the text that was parsed */
    uint8_t escape;   /* STDIO: a control character; 0: none */
    int socket;       /* SOCKET: stays the caller's */
};

/* What follows --console and --serial. */
int char_options_parse(struct char_options *options, const char *text, struct error *error);

/* What the menu of stdio does. All of it under the machine's lock, from the loop. */
struct char_menu {
    void (*end)(void *opaque);
    void (*set_paused)(void *opaque, bool paused);
    bool (*is_paused)(void *opaque);
    void (*reset)(void *opaque);
    bool (*power_button)(void *opaque); /* false: nobody listens for it */
    void *opaque;
};

struct char_host;

/* `menu` may be NULL: it then offers less. Only one host can be stdio. */
int char_host_open(struct char_host **out, const struct char_options *options, struct loop *loop,
                   const struct char_menu *menu, struct error *error);
/* Sends what still can be sent, and gives the terminal back. */
void char_host_close(struct char_host *host);

/* What it is, as in an option: "pty:/dev/pts/3", "unix:PATH", "stdio". Returns `text`. */
char *char_host_describe(const struct char_host *host, char *text, size_t size);

/* For the device's initialisation. */
struct char_backend char_host_backend(struct char_host *host);
/* And the device, which from now on receives. */
void char_host_attach(struct char_host *host, struct char_client client);

#endif
