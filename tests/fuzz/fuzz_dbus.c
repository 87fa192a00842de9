/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_dbus: any bytes as a message of systemd's; what is taken from one stays in it, and comes to an end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "personality/container/dbus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dbus_message message;
    uint8_t *exact = malloc(size ? size : 1); /* of its exact size, for the sanitizer */
    size_t position = 0, before;
    uint32_t number;
    if (!exact)
        return 0;
    if (size)
        memcpy(exact, data, size);
    if (dbus_parse(&message, exact, size) == 0) {
        if (message.body < exact || message.body + message.body_size != exact + size)
            abort();
        const char *text;
        do {
            before = position;
            text = dbus_take_text(&message, &position);
            if (text && (position <= before || strlen(text) >= message.body_size))
                abort();
        } while (text);
        position = 0;
        while (dbus_take_integer(&message, &position, &number))
            if (position > message.body_size)
                abort();
    }
    free(exact);
    return 0;
}
