/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tree: a directory with all that is in it. */
#ifndef VISOR_BASE_TREE_H
#define VISOR_BASE_TREE_H

/* Removes it, and follows no links. 0 if there is none; -errno of the first failure. */
int tree_remove(int parent, const char *name);

#endif
