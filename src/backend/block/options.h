/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options: what follows --disk, and the disk that it describes. */
#ifndef VISOR_BACKEND_BLOCK_OPTIONS_H
#define VISOR_BACKEND_BLOCK_OPTIONS_H

#include "backend/block/block.h"
#include "base/loop.h"

#define BLOCK_SERIAL_MAX 20

enum block_io_kind { BLOCK_IO_ANY, BLOCK_IO_URING, BLOCK_IO_THREADS };

/* FILE[,readonly][,snapshot][,cache=writeback|none][,serial=S][,format=raw][,aio=io_uring|threads]; a comma
 * in the name is written twice. */
struct block_options {
    char *path;
    bool read_only;
    bool snapshot; /* what is written is thrown away in the end */
    bool direct;   /* cache=none: past the host's page cache */
    bool raw;      /* format=raw: whatever it looks like */
    enum block_io_kind io;
    char serial[BLOCK_SERIAL_MAX + 1];
};

int block_options_parse(struct block_options *options, const char *text, struct error *error);
void block_options_free(struct block_options *options);

/* Opens and locks the disk: one machine that writes, or several that read. */
int block_open(struct block_backend **out, const struct block_options *options, struct loop *loop,
               struct error *error);
/* When nothing is under way any more. */
void block_close(struct block_backend *backend);

#endif
