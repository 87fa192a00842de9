/* SPDX-License-Identifier: GPL-2.0-or-later */
/* private: the functions behind arm64_guest that have files of their own. */
#ifndef VISOR_TRANSLATOR_GUEST_ARM64_PRIVATE_H
#define VISOR_TRANSLATOR_GUEST_ARM64_PRIVATE_H

#include "translator/guest/arm64/arm64.h"

enum guest_flags_use arm64_flags_use(uint64_t pc, const uint8_t *code, size_t limit,
                                     struct guest_flags_path *path);

#endif
