/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/vhost/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/vsock/option.h"
#include "base/macros.h"

#define NOTHING (-1) /* for a descriptor: what was there is taken away */

static int open_file(const char *path)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int control(int fd, unsigned long request, void *argument)
{
    const int result = ioctl(fd, request, argument);
    return result < 0 ? -errno : result;
}

const struct vhost_host vhost_host = {open_file, control};

struct kernel_vhost {
    struct vhost vhost;
    const struct vhost_host *host;
    int fd;
    bool owned; /* it works for this process */
};

int vhost_wish_parse(enum vhost_wish *wish, const char *text, struct error *error)
{
    static const char *const words[] = {[VHOST_AUTO] = "auto", [VHOST_ON] = "on", [VHOST_OFF] = "off"};
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(text, words[i]) != 0)
            continue;
        *wish = (enum vhost_wish)i;
        return 0;
    }
    return error_set(error, -EINVAL, "vhost=%s: it is on, off or auto", text);
}

/* -- what the kernel is told ----------------------------------------------------------------------------- */

static int tell(const struct kernel_vhost *k, unsigned long request, void *argument)
{
    return k->host->control(k->fd, request, argument);
}

static int set_state(const struct kernel_vhost *k, unsigned long request, unsigned queue, unsigned value)
{
    struct vhost_vring_state state = {.index = queue, .num = value};
    return tell(k, request, &state);
}

static int set_file(const struct kernel_vhost *k, unsigned long request, unsigned queue, int fd)
{
    struct vhost_vring_file file = {.index = queue, .fd = fd};
    return tell(k, request, &file);
}

static int set_memory(const struct kernel_vhost *k, const struct memory_pieces *pieces)
{
    struct vhost_memory *table = calloc(1, sizeof *table + pieces->count * sizeof table->regions[0]);
    if (!table)
        return -ENOMEM;
    table->nregions = pieces->count;
    for (unsigned i = 0; i < pieces->count; i++)
        table->regions[i] = (struct vhost_memory_region){.guest_phys_addr = pieces->items[i].start,
                                                         .memory_size = pieces->items[i].size,
                                                         .userspace_addr = (uintptr_t)pieces->items[i].host};
    const int code = tell(k, VHOST_SET_MEM_TABLE, table);
    free(table);
    return code;
}

static int set_queue(const struct kernel_vhost *k, unsigned number, const struct vhost_queue *queue,
                     int errors)
{
    struct vhost_vring_addr addresses = {.index = number,
                                         .desc_user_addr = (uintptr_t)queue->descriptors,
                                         .avail_user_addr = (uintptr_t)queue->driver,
                                         .used_user_addr = (uintptr_t)queue->device};
    int code = set_state(k, VHOST_SET_VRING_NUM, number, queue->size);
    if (!code)
        code = set_state(k, VHOST_SET_VRING_BASE, number, queue->available);
    if (!code)
        code = tell(k, VHOST_SET_VRING_ADDR, &addresses);
    if (!code)
        code = set_file(k, VHOST_SET_VRING_ERR, number, errors);
    if (!code)
        code = set_file(k, VHOST_SET_VRING_CALL, number, queue->call);
    return code ? code : set_file(k, VHOST_SET_VRING_KICK, number, queue->kick);
}

static int own(struct vhost *vhost)
{
    struct kernel_vhost *k = (struct kernel_vhost *)vhost;
    const int code = k->owned ? 0 : tell(k, VHOST_SET_OWNER, NULL);
    k->owned = !code;
    return code;
}

/* All but that it begins. */
static int prepare(struct kernel_vhost *k, uint64_t features, const struct memory_pieces *pieces,
                   const struct vhost_queue queues[VHOST_QUEUES], int errors)
{
    uint64_t agreed = features & k->vhost.features;
    int code = own(&k->vhost);
    if (!code)
        code = tell(k, VHOST_SET_FEATURES, &agreed);
    if (!code)
        code = set_memory(k, pieces);
    for (unsigned i = 0; !code && i < VHOST_QUEUES; i++)
        code = set_queue(k, i, &queues[i], errors);
    return code;
}

/* It does not listen any more. */
static void leave(const struct kernel_vhost *k)
{
    for (unsigned i = 0; i < VHOST_QUEUES; i++)
        set_file(k, VHOST_SET_VRING_KICK, i, NOTHING);
}

static void take_back(const struct kernel_vhost *k, struct vhost_queue queues[VHOST_QUEUES])
{
    leave(k);
    for (unsigned i = 0; i < VHOST_QUEUES; i++) {
        struct vhost_vring_state state = {.index = i};
        if (tell(k, VHOST_GET_VRING_BASE, &state) == 0)
            queues[i].available = (uint16_t)state.num;
    }
}

/* -- network cards --------------------------------------------------------------------------------------- */

static void net_stop(struct vhost *vhost, struct vhost_queue queues[VHOST_QUEUES])
{
    const struct kernel_vhost *k = (struct kernel_vhost *)vhost;
    for (unsigned i = 0; i < VHOST_QUEUES; i++)
        set_file(k, VHOST_NET_SET_BACKEND, i, NOTHING);
    take_back(k, queues);
}

static int net_start(struct vhost *vhost, uint64_t features, const struct memory_pieces *pieces,
                     struct vhost_queue queues[VHOST_QUEUES], int errors, int tap)
{
    struct kernel_vhost *k = (struct kernel_vhost *)vhost;
    int code = prepare(k, features, pieces, queues, errors);
    if (code) {
        leave(k);
        return code;
    }
    for (unsigned i = 0; !code && i < VHOST_QUEUES; i++)
        code = set_file(k, VHOST_NET_SET_BACKEND, i, tap);
    if (code)
        net_stop(vhost, queues);
    return code;
}

/* -- vsocks ---------------------------------------------------------------------------------------------- */

static int set_running(const struct kernel_vhost *k, int on)
{
    return tell(k, VHOST_VSOCK_SET_RUNNING, &on);
}

/* What programs of the host send meanwhile, the kernel keeps. */
static void vsock_stop(struct vhost *vhost, struct vhost_queue queues[VHOST_QUEUES])
{
    const struct kernel_vhost *k = (struct kernel_vhost *)vhost;
    set_running(k, 0);
    take_back(k, queues);
}

static int vsock_start(struct vhost *vhost, uint64_t features, const struct memory_pieces *pieces,
                       struct vhost_queue queues[VHOST_QUEUES], int errors, int target)
{
    struct kernel_vhost *k = (struct kernel_vhost *)vhost;
    (void)target;
    int code = prepare(k, features, pieces, queues, errors);
    if (!code)
        code = set_running(k, 1);
    if (code)
        leave(k);
    return code;
}

static int set_cid(const struct kernel_vhost *k, uint32_t cid)
{
    uint64_t value = cid;
    return tell(k, VHOST_VSOCK_SET_GUEST_CID, &value);
}

/* Others may look for one at the same time: it is had, or it is not. */
static int take_cid(const struct kernel_vhost *k, uint32_t *cid, struct error *error)
{
    uint32_t wanted = *cid ? *cid : VSOCK_CID_FIRST;
    int code = set_cid(k, wanted);
    while (code == -EADDRINUSE && !*cid && wanted < VSOCK_CID_LAST)
        code = set_cid(k, ++wanted);
    if (code == -EADDRINUSE) {
        error_set(error, code, "the vsock context (CID) %u is somebody else's", wanted);
        error_hint(error,
                   "another machine of this host has it, of visor's or not; cid=auto takes one that is free");
    } else if (code) {
        error_set(error, code, "the guest cannot have the vsock context (CID) %u: %s", wanted,
                  strerror(-code));
    } else {
        *cid = wanted;
    }
    return code;
}

/* -- opening --------------------------------------------------------------------------------------------- */

static void kernel_close(struct vhost *vhost)
{
    struct kernel_vhost *k = (struct kernel_vhost *)vhost;
    close(k->fd);
    free(k);
}

static const struct vhost_ops net_ops = {own, net_start, net_stop, kernel_close};
static const struct vhost_ops vsock_ops = {own, vsock_start, vsock_stop, kernel_close};

static int open_failed(const char *path, const char *module, int code, struct error *error)
{
    error_set(error, code, "cannot open %s: %s", path, strerror(-code));
    if (code == -ENOENT || code == -ENODEV || code == -ENXIO)
        error_hint(error, "as root: modprobe %s", module);
    else if (code == -EACCES || code == -EPERM)
        error_hint(error, "who may open it says its group: ls -l %s; adduser USER GROUP, and log in anew",
                   path);
    return code;
}

static int kernel_open(struct vhost **out, const struct vhost_host *host, const struct vhost_ops *ops,
                       const char *path, const char *module, uint64_t features, uint64_t wished,
                       struct error *error)
{
    const int fd = host->open(path);
    if (fd < 0)
        return open_failed(path, module, fd, error);
    struct kernel_vhost *k = malloc(sizeof *k);
    int code = k ? 0 : error_set(error, -ENOMEM, "out of memory");
    if (!code) {
        *k = (struct kernel_vhost){.vhost.ops = ops, .host = host, .fd = fd};
        code = tell(k, VHOST_GET_FEATURES, &k->vhost.features);
        if (!code && features & ~k->vhost.features)
            code = -ENOTSUP;
        if (code)
            error_set(error, code, "%s cannot serve virtio queues as the guest finds them: %s", path,
                      strerror(-code));
    }
    if (code) {
        free(k);
        close(fd);
        return code;
    }
    k->vhost.features &= features | wished;
    *out = &k->vhost;
    return 0;
}

int vhost_net_open(struct vhost **out, const struct vhost_host *host, uint64_t features, struct error *error)
{
    return kernel_open(out, host, &net_ops, "/dev/vhost-net", "vhost_net", features, 0, error);
}

int vhost_vsock_open(struct vhost **out, const struct vhost_host *host, uint64_t features, uint64_t wished,
                     uint32_t *cid, struct error *error)
{
    int code = kernel_open(out, host, &vsock_ops, "/dev/vhost-vsock", "vhost_vsock", features, wished, error);
    if (code)
        return code;
    code = take_cid((struct kernel_vhost *)*out, cid, error);
    if (code) {
        vhost_close(*out);
        *out = NULL;
    }
    return code;
}

void vhost_close(struct vhost *vhost)
{
    if (vhost)
        vhost->ops->close(vhost);
}
