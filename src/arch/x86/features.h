/* SPDX-License-Identifier: GPL-2.0-or-later */
/* features: the features of features.def by name, for x86_has(). */
#ifndef VISOR_ARCH_X86_FEATURES_H
#define VISOR_ARCH_X86_FEATURES_H

#include "arch/x86/model.h"

enum x86_feature {
#define FEATURE(word, bit, name, text, first) X86_FEATURE_##name = X86_FEATURE(X86_FEATURES_##word, bit),
#include "arch/x86/features.def"
#undef FEATURE
};

#endif
