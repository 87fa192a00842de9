/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spaces: the namespaces that take the kernel longest, of networks and of mounts with an empty root. A thread
 * of the keeper's makes them while the child opens what it needs, and the child enters them when it has. Only
 * for who has rights without a user namespace: in that they would have to be the child's.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "cage/private.h"

/* -- in the keeper --------------------------------------------------------------------------------------- */

/* The thread alone is in them, and they outlive it by their descriptors. */
static void *make(void *opaque)
{
    struct cage *cage = opaque;
    const int own = open("/proc/thread-self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (own < 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
        if (own >= 0)
            close(own);
        return NULL;
    }
    cage->prepared[CAGE_SPACE_NETWORK] = openat(own, "net", O_RDONLY | O_CLOEXEC);
    const int mounts = openat(own, "mnt", O_RDONLY | O_CLOEXEC);
    close(own);
    if (walls_empty_root() == 0)
        cage->prepared[CAGE_SPACE_MOUNT] = mounts;
    else if (mounts >= 0)
        close(mounts);
    return NULL;
}

void cage_prepare(struct cage *cage)
{
    if (cage->spaces >= 0)
        cage->preparing = pthread_create(&cage->thread, NULL, make, cage) == 0;
}

void cage_prepared(struct cage *cage)
{
    int *const fds = cage->prepared;
    if (cage->preparing)
        pthread_join(cage->thread, NULL);
    cage->preparing = false;
    if (cage->spaces < 0)
        return;
    const bool both = fds[CAGE_SPACE_NETWORK] >= 0 && fds[CAGE_SPACE_MOUNT] >= 0;
    descriptors_send(cage->spaces, "", 1, fds, both ? CAGE_SPACES : 0);
    for (unsigned i = 0; i < CAGE_SPACES; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
    close(cage->spaces);
    cage->spaces = -1;
}

void spaces_open(struct cage *cage, int *child)
{
    int pair[2];
    *child = -1;
    if (!cage->options.prepares || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return;
    cage->spaces = pair[0];
    *child = pair[1];
}

/* -- in the child ---------------------------------------------------------------------------------------- */

void spaces_enter(struct cage *cage)
{
    static const struct {
        int flag;
        enum cage_part part;
    } kinds[CAGE_SPACES] = {
        [CAGE_SPACE_NETWORK] = {CLONE_NEWNET, PART_NETWORK},
        [CAGE_SPACE_MOUNT] = {CLONE_NEWNS, PART_MOUNT},
    };
    int fds[CAGE_SPACES];
    unsigned count = CAGE_SPACES;
    char byte;
    if (cage->spaces < 0)
        return;
    if (descriptors_receive(cage->spaces, &byte, sizeof byte, fds, &count) <= 0)
        count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (setns(fds[i], kinds[i].flag) == 0)
            cage->parts |= kinds[i].part;
        close(fds[i]);
    }
    close(cage->spaces);
    cage->spaces = -1;
}
