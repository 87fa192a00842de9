/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keyrings: the caller's session keyring. "keyrings hold NAME PROGRAM…" makes one with a key in it and
 * executes the program there; "keyrings fill NAME PROGRAM…" with as many more keys as the user may have;
 * "keyrings NAME" looks for that key.
 */
#include <linux/keyctl.h>

#include "attack.h"

static long keyctl(int operation, long a, long b, long c, long d)
{
    return syscall(SYS_keyctl, operation, a, b, c, d);
}

/* No keyring can be made any more then. */
static void fill(void)
{
    char name[32];
    long key = 0;
    for (unsigned i = 0; i < 100000 && key >= 0; i++) {
        snprintf(name, sizeof name, "fill-%u", i);
        key = syscall(SYS_add_key, "user", name, "x", 1, KEY_SPEC_SESSION_KEYRING);
    }
}

static int hold(char **words, bool full)
{
    if (keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) < 0 ||
        syscall(SYS_add_key, "user", words[0], "secret", 6, KEY_SPEC_SESSION_KEYRING) < 0) {
        perror("keyrings");
        return 77;
    }
    if (full)
        fill();
    execvp(words[1], words + 1);
    perror(words[1]);
    return 1;
}

/* By its number, as a search through all numbers would find it. */
static void read_listed(const char *name)
{
    char line[512], text[16];
    FILE *file = fopen("/proc/keys", "re");
    if (!file) {
        tried(-1, "/proc/keys");
        return;
    }
    bool found = false;
    while (fgets(line, sizeof line, file)) {
        if (!strstr(line, name))
            continue;
        found = true;
        long number = (long)(int)strtoul(line, NULL, 16);
        tried(keyctl(KEYCTL_READ, number, (long)text, sizeof text, 0), "read listed key");
    }
    fclose(file);
    errno = ENOENT;
    tried(found ? 0 : -1, "key in /proc/keys");
}

int main(int count, char **words)
{
    if (count > 3 && (strcmp(words[1], "hold") == 0 || strcmp(words[1], "fill") == 0))
        return hold(words + 2, strcmp(words[1], "fill") == 0);
    if (count != 2)
        return 2;
    const char *name = words[1];
    static const struct {
        const char *name;
        int number;
    } rings[] = {{"thread", KEY_SPEC_THREAD_KEYRING},
                 {"process", KEY_SPEC_PROCESS_KEYRING},
                 {"session", KEY_SPEC_SESSION_KEYRING},
                 {"user session", KEY_SPEC_USER_SESSION_KEYRING}};
    for (unsigned i = 0; i < sizeof rings / sizeof rings[0]; i++)
        tried(keyctl(KEYCTL_SEARCH, rings[i].number, (long)"user", (long)name, 0), "search %s keyring",
              rings[i].name);
    tried(syscall(SYS_request_key, "user", name, NULL, 0), "request key");
    read_listed(name);
    return 0;
}
