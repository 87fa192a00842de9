/* SPDX-License-Identifier: GPL-2.0-or-later */
/* visit_kinds: between the files that visit domains of one kind each. */
#ifndef VISOR_DOMAIN_VISIT_KINDS_H
#define VISOR_DOMAIN_VISIT_KINDS_H

#include <limits.h>
#include <stdlib.h>

#include "domain/visit.h"

struct agent_host;

extern const struct domain_visits domain_machine_visits, domain_program_visits, domain_container_visits;

/* The host's processes that are the domain; none if it has just ended. Free `*pids`. */
int domain_program_processes(const struct domain_visit *visit, pid_t **pids, size_t *count,
                             struct error *error);
int domain_container_processes(const struct domain_visit *visit, pid_t **pids, size_t *count,
                               struct error *error);

/* The host's process whose threads are a machine's vCPUs, and whose memory the guest's is. */
pid_t domain_machine_process(const struct domain_visit *visit);

/* stats_*.c */
int domain_machine_stats(struct domain_visit *visit, struct domain_stats *stats, struct error *error);
int domain_program_stats(struct domain_visit *visit, struct domain_stats *stats, struct error *error);
int domain_container_stats(struct domain_visit *visit, struct domain_stats *stats, struct error *error);

/* top_*.c */
int domain_machine_top(struct domain_visit *visit, struct domain_process **list, unsigned *count,
                       struct error *error);
int domain_program_top(struct domain_visit *visit, struct domain_process **list, unsigned *count,
                       struct error *error);
int domain_container_top(struct domain_visit *visit, struct domain_process **list, unsigned *count,
                         struct error *error);

/* update_*.c */
int domain_machine_update(struct domain_visit *visit, const struct domain_config *wanted,
                          struct domain_change *changes, unsigned count, struct error *error);
int domain_program_update(struct domain_visit *visit, const struct domain_config *wanted,
                          struct domain_change *changes, unsigned count, struct error *error);
int domain_container_update(struct domain_visit *visit, const struct domain_config *wanted,
                            struct domain_change *changes, unsigned count, struct error *error);

/* The way to a machine's agent; `path` is for its use. */
void domain_machine_agent(const struct domain_visit *visit, char path[PATH_MAX], struct agent_host *host);
/* What a failure of agent/client.h means to who has named a domain: returns `code`. */
int domain_machine_error(const struct domain_visit *visit, int code, struct error *error);

/* The terminal of who executes passes on all that is typed, if the program has one, too; and back. */
int domain_exec_raw(const struct domain_exec *exec, struct error *error);
void domain_exec_cooked(const struct domain_exec *exec);

#endif
