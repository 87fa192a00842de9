/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy_plan: what a copy will be called, and where, by the two paths and what is there: as docker cp has it.
 *
 * A directory that is there gets the source in it, by the source's name, or, if that ends with "/.", what is
 * in the source. Otherwise the target's last part is the new name.
 */
#ifndef VISOR_DOMAIN_COPY_PLAN_H
#define VISOR_DOMAIN_COPY_PLAN_H

#include <limits.h>

#include "domain/visit.h"

struct copy_end {
    const char *path;
    enum domain_file_type type; /* of the target with links followed */
};

struct copy_plan {
    char source[PATH_MAX];    /* the source's path without what only says how it is meant */
    bool follow;              /* the source's path says that a link at its end is to be followed */
    char directory[PATH_MAX]; /* that it goes into */
    char name[NAME_MAX + 1];  /* "": only what is in it */
};

/* Whether the path says by its end that it is a directory's: then a link there is followed. */
bool copy_path_is_directory(const char *path);

/* -ENOENT, -ENOTDIR, -EISDIR: these do not go together. */
int copy_plan_make(struct copy_plan *plan, const struct copy_end *source, const struct copy_end *target,
                   struct error *error);

#endif
