/* SPDX-License-Identifier: GPL-2.0-or-later */
/* idle_pages: memory that a process which mostly waits has needed only for its start. */
#ifndef VISOR_BASE_IDLE_PAGES_H
#define VISOR_BASE_IDLE_PAGES_H

/*
 * Takes the pages of the program's file and its libraries that nobody can have written (code and constants)
 * out of this process's page tables. They stay in the host's page cache, which may give them up now; what is
 * needed again is mapped again at its next use, sixteen pages at a time, mostly without reading the file. It
 * takes some microseconds; nothing else changes.
 */
void idle_pages_return(void);

#endif
