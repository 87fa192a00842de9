/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log_reader: a domain's log, line by line, also while it is written and begun anew. */
#ifndef VISOR_CLI_LOG_READER_H
#define VISOR_CLI_LOG_READER_H

#include <sys/types.h>

#include "base/buffer.h"
#include "domain/log.h"
#include "domain/store.h"

struct log_reader {
    const struct domain *domain; /* stays open meanwhile */
    int fd;                      /* of the file that is the log; -1: there is none yet */
    struct buffer text;          /* what was read, of a line whose end has not come yet */
};

/* A place in a log: its end, when it was asked for. */
struct log_place {
    ino_t file; /* 0: there was none */
    off_t offset;
};
void log_place_end(struct log_place *place, const struct domain *domain);

/* Opens the log; what is in it since `from`, or all of it if that is NULL, is not read yet. Close it in any
 * case. */
void log_reader_open(struct log_reader *reader, const struct domain *domain, const struct log_place *from);
/* Reads what has been added to the log, and if it has been begun anew, what is in that. -errno. */
int log_reader_more(struct log_reader *reader);
/* The next line of what was read. False: there is no whole one. It is valid until log_reader_more(). */
bool log_reader_next(struct log_reader *reader, size_t *at, struct domain_log_line *line);
/* Forgets what was read before `at`, the place that log_reader_next() has come to. */
void log_reader_drop(struct log_reader *reader, size_t at);
void log_reader_close(struct log_reader *reader);

/* A descriptor that becomes readable when something of the log has changed; to be read by
 * log_watch_clear(). -errno. */
int log_watch_open(struct error *error);
int log_watch_add(int watch, const struct domain *domain, struct error *error);
void log_watch_clear(int watch);

#endif
