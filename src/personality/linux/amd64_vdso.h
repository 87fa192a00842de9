/* SPDX-License-Identifier: GPL-2.0-or-later */
/* amd64 vdso: see amd64_vdso.c. */
#ifndef VISOR_PERSONALITY_LINUX_AMD64_VDSO_H
#define VISOR_PERSONALITY_LINUX_AMD64_VDSO_H

struct linux_vdso;
extern const struct linux_vdso amd64_vdso;

#endif
