/* SPDX-License-Identifier: GPL-2.0-or-later */
/* caged: the child in which a domain's guest is (keeper.h). */
#ifndef VISOR_DOMAIN_CAGED_H
#define VISOR_DOMAIN_CAGED_H

#include "domain/keeper_message.h"

struct caged {
    struct domain_run *run;
    const struct domain_kind *kind;
    struct cage *cage;
    int requests, orders; /* its ends of the sockets */
    struct loop_watch *ordered;
    int errors; /* what it says to standard output and error goes there; -1: as the keeper's */
};

/* All that the child does. */
_Noreturn void caged_main(struct caged *caged);

#endif
