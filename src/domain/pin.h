/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pin: which of the host's processors the threads of a domain may run on.
 *
 * A machine has a list of [WHO:]CPUS: "0:2" is vCPU 0 on processor 2, "0-3:4-7" four vCPUs on any of four,
 * "rest:0,1" what is no vCPU, the domain's process among it, and "0-3" all of it. The last that names a
 * thread counts; a thread that nobody names runs where it could before.
 */
#ifndef VISOR_DOMAIN_PIN_H
#define VISOR_DOMAIN_PIN_H

#include <sched.h>

#include "domain/config.h"

#define PIN_REST (-1) /* what is no vCPU */

/* -EINVAL: it is no such item; or no list of processors. */
int pin_check(const char *text, struct error *error);
int pin_check_cpus(const char *text, struct error *error);

/* Where a machine's vCPU, or PIN_REST, may run. False: nobody has said. */
bool pin_find(const struct domain_list *pins, int vcpu, cpu_set_t *set);
/* Where a list of processors is; the list has been checked. */
void pin_cpus(const char *text, cpu_set_t *set);

/* The calling thread, from now on, and those that it makes; `what` names it in the error. */
int pin_self(const cpu_set_t *set, const char *what, struct error *error);
/* All threads of a machine's process, by their names; those that nobody names may run anywhere. */
int pin_machine(const struct domain_list *pins, pid_t pid, struct error *error);
/* All threads of a process; NULL: anywhere. */
int pin_process(const char *cpus, pid_t pid, struct error *error);

#endif
