/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * binfmt: a program that the kernel gave to visor because visor is registered with binfmt_misc.
 *
 * The entry has the flags P, O, C and F (cli/binfmt.c). The kernel then starts visor with
 *
 *     argv      VISOR PATH ARGV[0] ARGV[1] …     (without P: VISOR PATH ARGV[1] …)
 *     AT_EXECFD the program, opened by the kernel: it may be unreadable to the user, its path unreachable
 *     AT_EXECFN what was given to execve(), as the program is to see it
 *     AT_FLAGS  bit 0: ARGV[0] is there
 *
 * and with the rights that the program's set-id bits give. So nothing but these is looked at here: neither
 * the environment nor any other descriptor.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "personality/linux/start.h"

#define FLAG_PRESERVE_ARGV0 1ul /* in AT_FLAGS */

/* Kernels before 5.12 keep ARGV[0] as well, but do not say so; visor always registers with P. */
static bool has_first_argument(void)
{
    struct utsname name;
    unsigned major, minor;
    if (getauxval(AT_FLAGS) & FLAG_PRESERVE_ARGV0)
        return true;
    return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
           (major < 5 || (major == 5 && minor < 12));
}

void linux_continue_binfmt(char **arguments, char **environment)
{
    struct error error = ERROR_INIT;

    errno = 0;
    int program_fd = (int)getauxval(AT_EXECFD);
    if (errno == ENOENT || !arguments[0] || !arguments[1])
        return;

    const char *exec_name = (const char *)getauxval(AT_EXECFN);
    struct linux_start start = {
        .arguments = arguments + (has_first_argument() ? 2 : 1),
        .environment = environment,
        .trace_fd = -1,
        .store_fd = -1,
        .debug = {.listen_fd = -1, .fd = -1},
        .visor_fd = linux_open_own_file(true),
        .program_fd = linux_hide_fd(program_fd, true),
        .by_binfmt = true,
        .path = arguments[1],
        .exec_name = exec_name ? exec_name : arguments[1],
    };
    int code = linux_start(&start, &error);
    error_report(&error);
    _exit(code == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE);
}
