/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unpack: the compressed forms that kernels come in: gzip, xz, zstd, and lz4's old frames. */
#ifndef VISOR_BOOT_UNPACK_H
#define VISOR_BOOT_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills exactly `out_size` bytes, and no more; false: it is another format, damaged, or of another size. */
bool unpack(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size);

/* Memory that the caller frees, at most `most` bytes, of gzip, xz or zstd of which nothing but zeros is left
 * over; else NULL. */
uint8_t *unpack_any(const uint8_t *in, size_t in_size, size_t most, size_t *out_size);

#endif
