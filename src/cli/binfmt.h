/* SPDX-License-Identifier: GPL-2.0-or-later */
/* binfmt: what the files of the command "visor binfmt" share. */
#ifndef VISOR_CLI_BINFMT_H
#define VISOR_CLI_BINFMT_H

#include <stdbool.h>

struct error;

#define BINFMT_ARM64_ENTRY "visor-aarch64"
/*
 * The start of an arm64 program: class, byte order, ELF version; type (ET_EXEC or ET_DYN) and machine. The
 * rest of the identification, which is the ABI's name and padding, is as Linux takes it: anything.
 */
#define BINFMT_ARM64_MAGIC                                                                                   \
    "\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00"
#define BINFMT_ARM64_MASK                                                                                    \
    "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xfe\\xff\\xff\\xff"
/* P: argument 0 is kept. O: visor gets the program opened. C: with the rights of its set-id bits. F: visor is
 * opened now, so that it need not be in the root where the program runs. */
#define BINFMT_FLAGS "POCF"

/* Prints a table or JSON (binfmt_status.c). Returns an exit status: 0 if arm64 programs are run by a visor.
 */
int binfmt_status(bool as_json);

/* Has the entry made at each boot (binfmt_persist.c), or no longer. 0 or a negative errno and *error. */
int binfmt_persist(const char *interpreter, const char *line, struct error *error);
int binfmt_forget(struct error *error);

/* The file that has it made at boot, NULL: none. */
const char *binfmt_persistent_file(void);

#endif
