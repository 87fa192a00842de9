/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stdio: standard input and output, and the menu behind the escape key. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/char/host_private.h"
#include "base/macros.h"

/* Terminals and pipes are opened anew: that they do not block is to be true for visor only, and not for the
 * shell which has the same open file. */
static int stdio_descriptor(int fd, int mode, bool *owned)
{
    struct stat status;
    char path[32];
    *owned = false;
    if (fstat(fd, &status) < 0 || (!S_ISFIFO(status.st_mode) && !isatty(fd)))
        return fd;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    *owned = own >= 0;
    return own >= 0 ? own : fd;
}

static int stdio_end(struct char_host *host, struct char_end *end, int fd, int mode,
                     void (*ready)(void *, unsigned), struct error *error)
{
    bool owned;
    if (fcntl(fd, F_GETFD) < 0) /* closed */
        return 0;
    int own = stdio_descriptor(fd, mode, &owned);
    int code = char_end_open(host, end, own, owned, ready, error);
    if (code && owned)
        close(own);
    return code;
}

int char_stdio_open(struct char_host *host, struct error *error)
{
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away is not the machine's end */
    host->connected = true;
    bool is_terminal = isatty(STDIN_FILENO),
         foreground = is_terminal && char_terminal_is_ours(STDIN_FILENO, getpgrp());
    if (foreground) {
        int code = char_terminal_take(STDIN_FILENO, error);
        if (code)
            return code;
        host->terminal = true;
    }
    int code = stdio_end(host, &host->out, STDOUT_FILENO, O_WRONLY, char_host_output_ready, error);
    if (!code && foreground == is_terminal)
        code = stdio_end(host, &host->in, STDIN_FILENO, O_RDONLY, char_host_input_ready, error);
    return code;
}

/* The menu. */

static void menu_print(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return; /* there is nobody to tell */
}

static void menu_show(struct char_host *host, bool all)
{
    const struct char_menu *menu = &host->menu;
    bool paused = menu->is_paused && menu->is_paused(menu->opaque);
    char text[400];
    int size;

    if (all)
        size = snprintf(
            text, sizeof text,
            "\r\n%s%s%s%s%s  ^%c  send ^%c to the machine\r\n  ?  this help; any other key: back\r\n",
            menu->end ? "  q  end the machine at once\r\n" : "",
            !menu->set_paused ? ""
            : paused          ? "  p  go on\r\n"
                              : "  p  pause\r\n",
            menu->reset ? "  r  reset\r\n" : "",
            menu->power_button ? "  s  press the power button: the guest switches itself off\r\n" : "",
            host->client.receive_break ? "  b  send a break\r\n" : "", host->options.escape + '@',
            host->options.escape + '@');
    else
        size = snprintf(text, sizeof text, "\r\n[visor%s: %s%s%s%s%s^%c ? for help] ",
                        paused ? ", paused" : "", menu->end ? "q end, " : "",
                        !menu->set_paused ? ""
                        : paused          ? "p go on, "
                                          : "p pause, ",
                        menu->reset ? "r reset, " : "", menu->power_button ? "s switch off, " : "",
                        host->client.receive_break ? "b break, " : "", host->options.escape + '@');
    if (size > 0)
        menu_print(text);
}

static void menu_key(struct char_host *host, uint8_t key)
{
    const struct char_menu *menu = &host->menu;
    void *opaque = menu->opaque;

    host->menu_open = false;
    if (key == '?') {
        menu_show(host, true);
        menu_show(host, false);
        host->menu_open = true;
        return;
    }
    menu_print("\r\n");
    if (key == host->options.escape)
        char_host_input(host, &key, 1);
    else if ((key == 'q' || key == 'Q') && menu->end)
        menu->end(opaque);
    else if ((key == 'p' || key == 'P') && menu->set_paused)
        menu->set_paused(opaque, !(menu->is_paused && menu->is_paused(opaque)));
    else if ((key == 'r' || key == 'R') && menu->reset)
        menu->reset(opaque);
    else if ((key == 's' || key == 'S') && menu->power_button && !menu->power_button(opaque))
        menu_print("[visor: nobody in the guest listens for the power button]\r\n");
    else if ((key == 'b' || key == 'B') && host->client.receive_break)
        host->client.receive_break(host->client.opaque);
}

void char_stdio_input(struct char_host *host, const uint8_t *data, size_t size)
{
    const uint8_t escape = host->options.escape;
    while (size) {
        if (host->menu_open) {
            menu_key(host, *data);
            data++, size--;
            continue;
        }
        const uint8_t *found = escape ? memchr(data, escape, size) : NULL;
        size_t plain = found ? (size_t)(found - data) : size;
        char_host_input(host, data, plain);
        data += plain, size -= plain;
        if (size) {
            host->menu_open = true;
            menu_show(host, false);
            data++, size--;
        }
    }
}
