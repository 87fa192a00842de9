/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json_file: documents in files that are replaced as a whole: who reads one while it is written, or after its
 * writer was killed, has the one before.
 */
#ifndef VISOR_BASE_JSON_FILE_H
#define VISOR_BASE_JSON_FILE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

/* Replaces a file by a document: it is there as a whole, or the one before. `sync`: after
 * a crash of the host, too. */
int json_file_write(int directory, const char *name, const json_t *document, bool sync, struct error *error);
/* A file of little more than `most` bytes at most. NULL with error: -ENOENT. */
json_t *json_file_read(int directory, const char *name, size_t most, struct error *error);

#endif
