/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper: a domain's process whose guest is in another one: a child in a cage (cage/cage.h), with nothing of
 * the host's but the descriptors that it needs.
 *
 *     the keeper: store, log, console, signals, restarts  <-- requests --  the caged: what kind->prepare()
 * and kind->arrive() ... kind->leave()                      -- orders -->  kind->run() do; its control
 * sockets
 *
 * To the life cycle (process.h) the keeper is a kind like others, in place of that which is in the child.
 * What the child cannot do any more it asks the keeper for: to have written down that it stands still, to
 * connect it to what listens for its guest, and by which numbers the host knows its threads. It asks for
 * nothing else, and gets no more (keeper_message.h).
 */
#ifndef VISOR_DOMAIN_KEEPER_H
#define VISOR_DOMAIN_KEEPER_H

#include "domain/kind.h"

/* Whether such a domain's guest is to be in a cage. */
bool keeper_is_wanted(const struct domain_config *config);

/* Runs the kind of the run's configuration in a child. */
extern const struct domain_kind domain_kind_keeper;

#endif
