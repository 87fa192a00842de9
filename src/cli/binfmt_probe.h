/* SPDX-License-Identifier: GPL-2.0-or-later */
/* binfmt probe: who runs the programs of another CPU here, found out by running one. */
#ifndef VISOR_CLI_BINFMT_PROBE_H
#define VISOR_CLI_BINFMT_PROBE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

struct binfmt_probe {
    bool runs;           /* the kernel started it, and it worked */
    bool visor;          /* the interpreter is a visor */
    bool current;        /* it is this very file */
    char path[PATH_MAX]; /* of the interpreter, as far as the kernel knows one; "" if not */
    char version[64];    /* of a visor */
};

/* The first bytes of an arm64 program: what the kernel's table is matched against. */
const uint8_t *binfmt_probe_program(size_t *size);

/* Errors: -ENOMEM and the like; that no interpreter is there is none. */
int binfmt_probe(struct binfmt_probe *probe, struct error *error);

#endif
