/* SPDX-License-Identifier: GPL-2.0-or-later */
/* progress: see progress.h. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/macros.h"

#define BAR_MOST  40u
#define TEXT_SIDE 40u /* columns that are not the bar's */

static unsigned columns(void)
{
    struct winsize size = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

void progress_begin(struct progress *progress)
{
    *progress = (struct progress){.terminal = isatty(STDERR_FILENO)};
    clock_gettime(CLOCK_MONOTONIC, &progress->began);
}

static void draw(const struct progress *progress)
{
    const unsigned width = columns();
    const unsigned bar = width > TEXT_SIDE + 10 ? MIN(width - TEXT_SIDE, BAR_MOST) : 0;
    const unsigned full = bar * progress->percent / 100;
    char cells[BAR_MOST + 1];
    struct timespec now;

    memset(cells, '#', full);
    memset(cells + full, '.', bar - full);
    cells[bar] = '\0';
    clock_gettime(CLOCK_MONOTONIC, &now);
    fprintf(stderr, "\r\033[K%3u%% %s%s%s %lds  %s", progress->percent, bar ? "[" : "", cells, bar ? "]" : "",
            (long)(now.tv_sec - progress->began.tv_sec), progress->step);
    fflush(stderr);
}

void progress_show(struct progress *progress, unsigned percent, const char *step)
{
    const bool new_step = progress->step != step;
    percent = MIN(MAX(percent, progress->percent), 100u);
    if (!new_step && percent == progress->percent)
        return;
    progress->percent = percent;
    progress->step = step;
    progress->shown = true;
    if (progress->terminal)
        draw(progress);
    else if (new_step)
        fprintf(stderr, "%s\n", step);
}

void progress_end(struct progress *progress)
{
    if (progress->terminal && progress->shown)
        fprintf(stderr, "\r\033[K");
    progress->shown = false;
}
