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

/* The same for a process that can open nothing any more when it does it: with what it has opened before, or
 * -1, which leaves constants with addresses in them alone. It is closed. */
int idle_pages_open(void);
void idle_pages_return_by(int pages);

#endif
