/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/misc/generation.h"

#include <errno.h>
#include <sys/random.h>

static const struct device_field generation_fields[] = {
    DEVICE_ARRAY(struct generation, id),
};

const struct device_type generation_type = {
    .name = "generation",
    .version = 1,
    .fields = generation_fields,
    .field_count = ARRAY_SIZE(generation_fields),
};

int generation_renew(struct generation *generation)
{
    const ssize_t size = getrandom(generation->id, sizeof generation->id, 0);
    return size == sizeof generation->id ? 0 : size < 0 ? -errno : -EIO;
}
