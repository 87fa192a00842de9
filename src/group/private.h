/* SPDX-License-Identifier: GPL-2.0-or-later */
/* private: what the files of the group's reader have in common. */
#ifndef VISOR_GROUP_PRIVATE_H
#define VISOR_GROUP_PRIVATE_H

#include "group/document.h"
#include "group/group.h"

struct group_reading {
    struct group *group;
    const struct group_source *source;
    struct document document;
};

/* Puts "FILE:LINE:COLUMN: " before an error; returns its code. */
int group_at(const struct group_reading *reading, unsigned line, unsigned column, struct error *error);

/* Makes a domain of an entry of "domains": all but its needs, for which all domains are to be known. */
int group_read_domain(struct group_reading *reading, const struct document_entry *entry,
                      struct group_domain *domain, struct error *error);

/* Reads what all domains need, and puts them into order. `domains` is the map in the file. */
int group_read_needs(struct group_reading *reading, const struct document_value *domains,
                     struct error *error);

/* The networks; and their removal from memory. */
int group_read_networks(struct group_reading *reading, const struct document_value *networks,
                        struct error *error);

/* The name of a condition in files. */
extern const char *const group_conditions[]; /* by enum group_condition; ends in NULL */

#endif
