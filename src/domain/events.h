/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events: what has become of the store's domains, one line of JSON for each change, in STORE/events.
 *
 *     {"time": "2026-01-31T12:00:00.123456789Z", "event": "exit", "id": "…", "name": "web",
 *      "kind": "machine", "exit_status": 0, "reason": "off", "failed": false}
 *
 * docs/domain.md lists the events and their members. A line is appended by one write(), after what it tells
 * of has been written down; who is killed in between leaves the change without a line. When the file has
 * become too large it becomes events.1, in place of the one before.
 *
 * The file has a lock of its own (flock), the last of all and never waited for with work under way: shared by
 * who writes a line, exclusively by who puts a new file in its place. So a file that has become events.1 does
 * not change any more, and a reader that has read it to its end goes on in the new one.
 */
#ifndef VISOR_DOMAIN_EVENTS_H
#define VISOR_DOMAIN_EVENTS_H

#include "domain/store.h"

#define DOMAIN_EVENTS_FILE "events"
#define DOMAIN_EVENTS_OLD  "events.1"
#define DOMAIN_EVENTS_MAX  (1u << 20) /* bytes of one file */

/* Ends with NULL. */
extern const char *const domain_event_names[];

/*
 * Tells of something. `details`, an object of further members that is given away, may be NULL. What cannot be
 * written is told on standard error: the change itself has been made.
 */
void domain_event_put(const struct domain *domain, enum domain_event event, json_t *details);

/* Likewise, with what the state tells of it: for one that is about to be removed, or domain_write_state(). */
void domain_event_put_state(const struct domain *domain, enum domain_event event,
                            const struct domain_state *state);

/* -- reading --------------------------------------------------------------------------------------------- */

struct domain_events;

/* Reads what has been written so far, unless `only_new`, and what is written from then on. */
int domain_events_open(struct domain_events **out, const struct domain_store *store, bool only_new,
                       struct error *error);
/* The next one, which is the caller's: 1; 0: there is none yet; -errno. Its "time" is valid, "event", "id"
 * and "name" are texts; lines that have no such things are passed over. */
int domain_events_next(struct domain_events *events, json_t **event, struct error *error);
/* For poll(): readable when there may be something for domain_events_next(), which is to be called until it
 * has no more. */
int domain_events_fd(const struct domain_events *events);
void domain_events_close(struct domain_events *events); /* NULL: nothing */

#endif
