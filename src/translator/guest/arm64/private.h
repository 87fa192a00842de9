/* SPDX-License-Identifier: GPL-2.0-or-later */
/* private: the functions behind arm64_guest that have files of their own. */
#ifndef VISOR_TRANSLATOR_GUEST_ARM64_PRIVATE_H
#define VISOR_TRANSLATOR_GUEST_ARM64_PRIVATE_H

#include "translator/guest/arm64/arm64.h"

bool arm64_flags_dead(uint64_t pc, const uint8_t *code, size_t limit);

#endif
