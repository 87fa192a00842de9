/* SPDX-License-Identifier: GPL-2.0-or-later */
/* raw: a disk whose bytes are those of a file or block device. */
#ifndef VISOR_BACKEND_BLOCK_RAW_H
#define VISOR_BACKEND_BLOCK_RAW_H

#include "backend/block/options.h"

int raw_open(struct block_backend **out, const struct block_options *options, struct loop *loop,
             struct error *error);

/* What raw_open() has found out about its file. */
struct raw_file {
    int fd;
    uint64_t size;      /* of the file */
    uint32_t alignment; /* of offsets and lengths; 1 unless past the page cache */
    uint32_t memory_alignment;
    bool block_device;
};

/* Opens, checks and locks; errors name the disk. */
int raw_file_open(struct raw_file *file, const struct block_options *options, struct error *error);
/* A disk of a file that is open already, which becomes its. */
int raw_open_file(struct block_backend **out, const struct raw_file *file,
                  const struct block_options *options, struct loop *loop, struct error *error);

#endif
