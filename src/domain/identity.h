/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * identity: copies of a machine, which go on from where it was, become machines of their own: the agent in
 * each guest is told of a machine id, a host name, the addresses of its network cards, random numbers and the
 * time (docs/agent.md).
 */
#ifndef VISOR_DOMAIN_IDENTITY_H
#define VISOR_DOMAIN_IDENTITY_H

#include "domain/store.h"

/* Whether copies of a running machine can be told: an agent answers in it. One that stands still may have
 * one: true. */
bool domain_has_agent(struct domain *machine);

/* Tells them, one after the other, in a process of its own that outlives this one: a guest takes its time.
 * What cannot be is said in the copy's log. */
void domain_identify(struct domain *const *copies, unsigned count);

#endif
