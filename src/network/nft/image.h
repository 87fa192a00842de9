/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image: the program of main.c, as visor contains it. */
#ifndef VISOR_NETWORK_NFT_IMAGE_H
#define VISOR_NETWORK_NFT_IMAGE_H

#include <stddef.h>

extern const unsigned char nft_image[];
extern const size_t nft_image_size; /* 0: visor was built without it */

#endif
