/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image: the program visor-net-user, contained in visor. Made by the build. */
#ifndef VISOR_BACKEND_NET_USER_IMAGE_H
#define VISOR_BACKEND_NET_USER_IMAGE_H

#include <stddef.h>

extern const unsigned char net_user_image[];
extern const size_t net_user_image_size; /* 0: built without libslirp */

#endif
