/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arm64 vdso: the functions of the vDSO for AArch64. Private to this folder. */
#ifndef VISOR_PERSONALITY_LINUX_ARM64_VDSO_H
#define VISOR_PERSONALITY_LINUX_ARM64_VDSO_H

struct linux_vdso;

extern const struct linux_vdso arm64_vdso;

#endif
