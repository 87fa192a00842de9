/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crc32c: the Castagnoli checksum (RFC 3720, appendix B.4), by the processor's instruction where it has it.
 */
#ifndef VISOR_BASE_CRC32C_H
#define VISOR_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of `size` bytes that follow those whose checksum is `before`; 0: there are none. */
uint32_t crc32c(uint32_t before, const void *data, size_t size);

#endif
