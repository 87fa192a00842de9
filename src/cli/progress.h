/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * progress: how far long work is, on standard error: a bar where that is a terminal, else a line for each
 * step.
 */
#ifndef VISOR_CLI_PROGRESS_H
#define VISOR_CLI_PROGRESS_H

#include <stdbool.h>
#include <time.h>

struct progress {
    bool terminal, shown;
    unsigned percent;
    const char *step; /* borrowed */
    struct timespec began;
};

void progress_begin(struct progress *progress);
/* `step` says what is being done; percents that go back are ignored. */
void progress_show(struct progress *progress, unsigned percent, const char *step);
/* Takes the bar away, so that something else can be printed. */
void progress_end(struct progress *progress);

#endif
