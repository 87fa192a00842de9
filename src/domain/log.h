/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log: what a domain has said, line by line, with the time.
 *
 * The format is that of Kubernetes' container runtimes: TIME STREAM F|P TEXT, where P is a piece of a line of
 * which there is more. Streams are "console", "stdout" and "stderr". A line that does not begin so is visor's
 * own: the domain's process has the file as its standard error, so that nothing of what it says is lost when
 * it dies. When the file has become too large it becomes log.1, in place of the one before.
 */
#ifndef VISOR_DOMAIN_LOG_H
#define VISOR_DOMAIN_LOG_H

#include "base/loop.h"

#define DOMAIN_LOG_FILE "log"
#define DOMAIN_LOG_OLD  "log.1"
#define DOMAIN_LOG_LINE 8192 /* bytes: longer lines are several pieces */

struct domain_log;

/* In a domain's directory, whose descriptor stays the caller's; `most` bytes. */
int domain_log_open(struct domain_log **out, int directory, uint64_t most, struct error *error);
/* Another size at which a new file is begun. */
void domain_log_limit(struct domain_log *log, uint64_t most);
/* Makes the log the standard error and standard output of this process, also after it was begun anew. */
int domain_log_redirect(struct domain_log *log, struct error *error);
/* What was said without the end of a line is written soon, by this loop. Until then, and without it, when
 * there is more, or at the end. */
int domain_log_attach(struct domain_log *log, struct loop *loop, struct error *error);
void domain_log_detach(struct domain_log *log);
void domain_log_write(struct domain_log *log, const char *stream, const uint8_t *data, size_t size);
/* As it is: what another process of visor's has said to its standard error. */
void domain_log_write_own(struct domain_log *log, const void *data, size_t size);
void domain_log_close(struct domain_log *log);

/* -- reading --------------------------------------------------------------------------------------------- */

/* One line of a file, taken apart. Visor's own have `time` 0 and the stream "visor". */
struct domain_log_line {
    int64_t time; /* nanoseconds since 1970 */
    char stream[16];
    bool whole; /* the end of the line is its own */
    const char *text;
    size_t size; /* without the end of the line */
};

/* `line` is not the end of any: `size` bytes without '\n'. */
void domain_log_parse(struct domain_log_line *line, const char *text, size_t size);

#endif
