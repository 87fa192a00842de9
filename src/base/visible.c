/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/visible.h"

#include <stdbool.h>

/* The length of the character of UTF-8 at `text`, of which there are `size` bytes; 0: there is none. */
static size_t length_of(const unsigned char *text, size_t size)
{
    size_t length = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (text[0] > 0xf4 || length > size)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

static bool is_control(const unsigned char *text, size_t length)
{
    return length == 1 ? text[0] < ' ' || text[0] == 0x7f : length == 2 && text[0] == 0xc2 && text[1] < 0xa0;
}

void visible_make(char *text, size_t size)
{
    unsigned char *bytes = (unsigned char *)text;
    for (size_t i = 0; i < size;) {
        size_t length = length_of(bytes + i, size - i);
        if (length && !is_control(bytes + i, length)) {
            i += length;
            continue;
        }
        for (size_t end = i + (length ? length : 1); i < end; i++)
            text[i] = '?';
    }
}
