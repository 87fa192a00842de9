/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attend: a command stays with a process that it has made, a child of its, until that ends: what it reads and
 * says goes through a terminal's master or pipes, so that it has none of the command's own descriptors.
 */
#ifndef VISOR_DOMAIN_ATTEND_H
#define VISOR_DOMAIN_ATTEND_H

#include <stdbool.h>
#include <sys/types.h>

struct attend {
    pid_t pid;
    int terminal; /* master of its terminal, or -1 */
    /* Pipes to its standard input and from its output and errors; -1: none, or it has the command's own. What
     * is open is closed by attend_until_end(), the terminal too. */
    int streams[3];
    int input, output, errors; /* the command's; input may be -1: nobody types */
    bool end;                  /* the end of input is typed in the terminal, which has no other (Ctrl-D) */
    int signals; /* signalfd() that does not block, of blocked signals, SIGCHLD among them or not; or -1 */
};

/* The terminal gets the size of that at `input`, if it is one. */
void attend_resize(const struct attend *attend);
/* Its exit status, as a shell has it. What others who have inherited its pipes say later is not heard. */
int attend_until_end(struct attend *attend);

#endif
