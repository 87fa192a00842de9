/* SPDX-License-Identifier: GPL-2.0-or-later */
/* descriptors: which of them a process keeps. */
#ifndef VISOR_BASE_DESCRIPTORS_H
#define VISOR_BASE_DESCRIPTORS_H

/* Closes all but these, which are put in order and may be the same, and standard input, output and error. */
void descriptors_close_others(int *keep, unsigned count);

#endif
