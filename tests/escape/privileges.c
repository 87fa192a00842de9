/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * privileges [PROGRAM]: says what rights it has, as the kernel tells them; then executes PROGRAM, such as a
 * file of root's with the set-user-id bit or with capabilities, which says the same of itself.
 */
#include "attack.h"

int main(int count, char **words)
{
    static const char *const wanted[] = {
        "Uid:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:"};
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file)) {
        for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
            if (strncmp(line, wanted[i], strlen(wanted[i])) == 0)
                printf("%s%s", count > 1 ? "" : "then ", line);
        }
    }
    if (file)
        fclose(file);
    fflush(stdout);
    if (count > 1) {
        execv(words[1], (char *[]){words[1], NULL});
        perror(words[1]);
        return 1;
    }
    return 0;
}
