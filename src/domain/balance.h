/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balance: gives a machine's memory back to its host when that is short of it, and takes it again, by the
 * guest's balloon and within bounds; in the machine's own process, without anybody outside. How much is
 * balance_policy.h's to say, what the host has host_memory.h's.
 */
#ifndef VISOR_DOMAIN_BALANCE_H
#define VISOR_DOMAIN_BALANCE_H

#include "control/qmp.h"
#include "domain/balance_policy.h"
#include "machine/machine.h"

struct balance;

/* Before the machine runs: opens all that it will need. Not automatic: bounds are kept, and nothing is done.
 */
int balance_new(struct balance **out, struct machine *machine, const struct balance_bounds *bounds,
                bool automatic, struct error *error);
void balance_free(struct balance *balance); /* may be NULL */
/* So many bytes the guest is to have now. */
void balance_set_size(struct balance *balance, uint64_t size);
/* x-query-balance and x-set-balance; what is asked is the struct balance. */
extern const struct qmp_table balance_qmp;

#endif
