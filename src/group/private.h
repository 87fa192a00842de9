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

int group_read_networks(struct group_reading *reading, const struct document_value *networks,
                        struct error *error);
/* Gives the networks that a configuration names the names that they have outside of the file, and the domain
 * its name in the file there. The error names the field. */
int group_name_networks(const struct group *group, struct group_domain *domain, struct error *error);
/* The JSON schema of what can be said of a network. */
json_t *group_network_schema(void);

/* Whether labels, NAME=VALUE or NAME, are visor's own. */
bool group_label_is_own(const char *label);
/* The hash of a document, whatever the order of its names. -ENOMEM. */
int group_hash(const json_t *document, char hash[GROUP_HASH_SIZE], struct error *error);

/* The name of a condition in files. */
extern const char *const group_conditions[]; /* by enum group_condition; ends in NULL */

#endif
