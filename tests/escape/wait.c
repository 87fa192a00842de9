/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wait: does nothing for ever, for containers that are entered. */
#include <unistd.h>

int main(void)
{
    for (;;)
        pause();
}
