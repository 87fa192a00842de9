/* SPDX-License-Identifier: GPL-2.0-or-later */
/* model: models, and features on and off by name. */
#include "arch/x86/model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86/features.h"
#include "base/macros.h"

enum { TSC_KHZ = 1000000 };

enum model {
#define MODEL(name, ...) MODEL_##name,
#include "arch/x86/models.def"
#undef MODEL
    MODEL_ASKED, /* later than all */
};

static const struct {
    const char *name;
    uint8_t family, model, stepping, physical_bits, linear_bits, last_leaf;
    const char *brand;
} models[] = {
#define MODEL(name, ...) {__VA_ARGS__},
#include "arch/x86/models.def"
#undef MODEL
};

static const struct {
    uint16_t feature;
    uint8_t first;
    const char *name;
} features[] = {
#define FEATURE(word, bit, name, text, first) {X86_FEATURE_##name, MODEL_##first, text},
#include "arch/x86/features.def"
#undef FEATURE
};

const char *x86_model_name(unsigned index)
{
    return index < ARRAY_SIZE(models) ? models[index].name : NULL;
}

const char *x86_feature_name(unsigned index)
{
    return index < ARRAY_SIZE(features) ? features[index].name : NULL;
}

unsigned x86_feature_at(unsigned index)
{
    return features[index].feature;
}

const char *x86_feature_text(unsigned feature)
{
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        if (features[i].feature == feature)
            return features[i].name;
    }
    return NULL;
}

/* -- what the host must have for it ---------------------------------------------------------------------- */

/* Some instructions are executed by the host's own. */
static bool host_has(unsigned feature)
{
#ifdef __x86_64__
    unsigned a, b = 0, c = 0, d;
    switch (feature) {
    case X86_FEATURE_AES:
    case X86_FEATURE_PCLMULQDQ:
        __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
        return c >> (feature & 31) & 1;
    case X86_FEATURE_SHA:
        __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
        return b >> (feature & 31) & 1;
    default: return true;
    }
#else
    return feature != X86_FEATURE_AES && feature != X86_FEATURE_PCLMULQDQ && feature != X86_FEATURE_SHA;
#endif
}

/* -- by name --------------------------------------------------------------------------------------------- */

static void set_bit(uint32_t *words, unsigned feature, bool on)
{
    uint32_t *word = &words[feature >> 5];
    const uint32_t bit = 1u << (feature & 31);
    *word = on ? *word | bit : *word & ~bit;
}

static void set_feature(struct x86_model *model, unsigned feature, bool on)
{
    set_bit(model->features, feature, on);
    set_bit(model->required, feature, on);
}

/* A model's name promises its features, but for "max": that is what there is. */
static void set_own_feature(struct x86_model *model, unsigned feature, bool promised)
{
    set_bit(model->features, feature, true);
    set_bit(model->required, feature, promised);
}

static void set_model(struct x86_model *model, unsigned index)
{
    memset(model, 0, sizeof *model);
    snprintf(model->name, sizeof model->name, "%s", models[index].name);
    snprintf(model->vendor, sizeof model->vendor, "GenuineIntel");
    snprintf(model->brand, sizeof model->brand, "%s", models[index].brand);
    model->family = models[index].family;
    model->model = models[index].model;
    model->stepping = models[index].stepping;
    model->physical_bits = models[index].physical_bits;
    model->linear_bits = models[index].linear_bits;
    model->last_leaf = models[index].last_leaf;
    model->tsc_khz = TSC_KHZ;
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        if (features[i].first <= index && host_has(features[i].feature))
            set_own_feature(model, features[i].feature, index != MODEL_MAX);
}

/* All names as a hint, as far as they fit. */
static void hint_names(struct error *error, const char *(*name)(unsigned))
{
    char text[200];
    size_t length = 0;

    for (unsigned i = 0; name(i) && length < sizeof text; i++) {
        const size_t left = sizeof text - length;
        const int written = snprintf(text + length, left, "%s%s", i ? ", " : "", name(i));
        if ((size_t)written >= left) {
            text[length] = '\0';
            error_hint(error, "there are %s, ...", text);
            return;
        }
        length += (size_t)written;
    }
    error_hint(error, "there are %s", text);
}

static bool is_name(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

static int find_feature(const char *text, size_t length, unsigned *feature, struct error *error)
{
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        if (is_name(features[i].name, text, length)) {
            *feature = features[i].feature;
            return 0;
        }
    error_set(error, -EINVAL, "no feature of a CPU is named '%.*s'", (int)length, text);
    hint_names(error, x86_feature_name);
    return -EINVAL;
}

/* All that KVM offers; without any of it no guest finds KVM. */
static void set_kvm(struct x86_model *model, bool on)
{
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        if (features[i].feature >> 5 == X86_FEATURES_KVM_EAX)
            set_feature(model, features[i].feature, on);
}

/* "+NAME", "-NAME", "NAME=on", "NAME=off" */
static int parse_feature(struct x86_model *model, const char *text, size_t length, struct error *error)
{
    const char *value = memchr(text, '=', length);
    unsigned feature;
    bool on;

    if (length && (*text == '+' || *text == '-')) {
        on = *text == '+';
        text++, length--;
    } else if (value && is_name("=on", value, length - (size_t)(value - text))) {
        on = true;
        length = (size_t)(value - text);
    } else if (value && is_name("=off", value, length - (size_t)(value - text))) {
        on = false;
        length = (size_t)(value - text);
    } else {
        return error_set(error, -EINVAL, "'%.*s' is neither +FEATURE nor -FEATURE nor FEATURE=on or off",
                         (int)length, text);
    }
    if (is_name("kvm", text, length)) {
        set_kvm(model, on);
        return 0;
    }
    if (find_feature(text, length, &feature, error) < 0)
        return -EINVAL;
    if (on && !host_has(feature))
        return error_set(error, -EINVAL, "this host's processor does not have %.*s", (int)length, text);
    set_feature(model, feature, on);
    if (feature == X86_FEATURE_HYPERV)
        set_feature(model, X86_FEATURE_HYPERV_SYNIC, on);
    return 0;
}

int x86_model_parse(struct x86_model *model, const char *text, struct error *error)
{
    size_t length = strcspn(text, ",");
    unsigned index = 0;

    while (index < ARRAY_SIZE(models) && !is_name(models[index].name, text, length))
        index++;
    if (index == ARRAY_SIZE(models)) {
        error_set(error, -EINVAL, "no model of a CPU is named '%.*s'", (int)length, text);
        hint_names(error, x86_model_name);
        return -EINVAL;
    }
    set_model(model, index);
    while (text[length]) {
        text += length + 1;
        length = strcspn(text, ",");
        if (parse_feature(model, text, length, error) < 0)
            return -EINVAL;
    }
    return 0;
}
