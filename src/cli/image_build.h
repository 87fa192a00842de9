/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image build: makes a disk that a machine boots, of a distribution's packages.
 *
 * mmdebstrap installs the packages, as root or in a user namespace, and mke2fs writes them to the image: no
 * loop device, no mount on the host. The image is one ext4 filesystem without a partition table; the kernel
 * is read out of it by visor.
 */
#ifndef VISOR_CLI_IMAGE_BUILD_H
#define VISOR_CLI_IMAGE_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct image_build {
    const char *suite;    /* of Debian: bookworm */
    const char *arch;     /* amd64, i386 */
    const char *kernel;   /* package; NULL: what suits the architecture */
    const char *packages; /* more, comma-separated; NULL: none */
    const char *mirror;   /* NULL: Debian's */
    const char *hostname;
    const char *password; /* root's; NULL: none, and the console asks for no password */
    const char *ssh_key;  /* file with public keys that log in as root; NULL: no ssh */
    const char *output;
    uint64_t size;
    bool replace; /* an output that exists */
};

/* Shows its progress on standard error. 0, or a negative errno with error, and nothing is left behind. */
int image_build(const struct image_build *build, struct error *error);

/* The suite that an image's name means: debian, debian:12, debian:bookworm. NULL: none. */
const char *image_suite(const char *name);

#endif
