/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uring: io_uring. The rings are memory that the kernel and the guest share, with the same layout on both
 * architectures, and most requests mean the same; those that do not are converted when the guest
 * enters the kernel (uring.h).
 *
 * Where a ring lies in guest memory is known from the guest's mmap(). A ring that visor has not seen being
 * set up, because it came through a socket, cannot be submitted to: -EOPNOTSUPP.
 *
 * A ring with a kernel thread that polls for entries would have them read before they are converted. The
 * guest gets a ring without that thread, whose flags say for ever that the thread sleeps: then the guest has
 * to call io_uring_enter() to wake it, and that submits what is there.
 */
#include "personality/linux/uring.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/linux/memory.h"
#include "personality/linux/syscalls.h"

/* Newer flags may change what is known here about rings. */
#define KNOWN_SETUP_FLAGS ((URING_SETUP_SQE_MIXED << 1) - 1)
#define POLL_SETUP_FLAGS  (IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF)
/* The last because the thread would be the single one. */
#define WITHOUT_POLLING          (POLL_SETUP_FLAGS | IORING_SETUP_SINGLE_ISSUER)
#define REGISTER_REGISTERED_RING (1u << 31) /* IORING_REGISTER_USE_REGISTERED_RING */
#define REGISTER_RESIZE_RINGS    33
#define ENTER_EXT_ARG_REG        (1u << 6)

struct ring {
    int fd;                     /* by which the guest knows it; -1: only as a registered one */
    unsigned users;             /* threads that have registered it */
    uint32_t flags;             /* of its set-up, as the guest gave them */
    uint32_t entries;           /* a power of 2 */
    uint32_t head, tail, array; /* offsets in the ring */
    uint64_t address;           /* of the ring and its entries in guest memory, 0: not mapped */
    uint64_t sqes;
    uint32_t converted; /* entries before this position have been looked at */
    struct uring_patch *patches;
};

/* Protected by the lock of guest memory, of which it is a part. */
struct linux_rings {
    size_t count;
    struct ring *rings;
};

static struct ring *find_ring(const struct linux_process *process, int fd)
{
    struct linux_rings *rings = process->rings;
    for (size_t i = 0; rings && fd >= 0 && i < rings->count; i++) {
        if (rings->rings[i].fd == fd)
            return &rings->rings[i];
    }
    return NULL;
}

static struct ring *find_registered(const struct linux_thread *thread, uint32_t index)
{
    if (index >= LINUX_REGISTERED_RINGS || !thread->registered_rings[index])
        return NULL;
    return &thread->process->rings->rings[thread->registered_rings[index] - 1];
}

static void free_patches(struct ring *ring)
{
    while (ring->patches) {
        struct uring_patch *patch = ring->patches;
        ring->patches = patch->next;
        free(patch);
    }
}

/* A place for a new ring: NULL if there is no memory. Those that the guest can no longer name are used again.
 */
static struct ring *new_ring(struct linux_process *process, int fd)
{
    struct linux_rings *rings = process->rings;
    if (!rings && !(rings = process->rings = calloc(1, sizeof *rings)))
        return NULL;

    struct ring *ring = find_ring(process, fd);
    if (ring)
        ring->fd = -1; /* was closed, the number is another ring's now */
    for (size_t i = 0; i < rings->count; i++) {
        ring = &rings->rings[i];
        if (ring->fd < 0 && !ring->users) {
            free_patches(ring);
            return ring;
        }
    }
    ring = reallocarray(rings->rings, rings->count + 1, sizeof *ring);
    if (!ring)
        return NULL;
    rings->rings = ring;
    ring += rings->count++;
    *ring = (struct ring){.fd = -1};
    return ring;
}

/* -- set-up ------------------------------------------------------------------------------------------------
 */

/* Sets the flag by which the guest knows that it has to enter the kernel. */
static int64_t set_need_wakeup(int fd, const struct io_uring_params *p)
{
    uint64_t size = p->sq_off.flags + sizeof(uint32_t);
    if (p->flags & URING_SETUP_NO_MMAP) {
        uint32_t flags = IORING_SQ_NEED_WAKEUP;
        return guest_write(p->cq_off.resv2 + p->sq_off.flags, &flags, sizeof flags);
    }
    int64_t at = linux_plain_syscall(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, (uint64_t)fd,
                                     IORING_OFF_SQ_RING);
    if (at < 0)
        return at;
    __atomic_fetch_or((uint32_t *)((uint64_t)at + p->sq_off.flags), IORING_SQ_NEED_WAKEUP, __ATOMIC_RELEASE);
    return linux_plain_syscall(SYS_munmap, (uint64_t)at, size, 0, 0, 0, 0);
}

static void forget_registered(struct linux_thread *thread, uint32_t index)
{
    struct ring *ring = find_registered(thread, index);
    if (!ring)
        return;
    ring->users--;
    thread->registered_rings[index] = 0;
}

static void note_registered(struct linux_thread *thread, uint32_t index, struct ring *ring)
{
    if (index >= LINUX_REGISTERED_RINGS)
        return;
    forget_registered(thread, index);
    ring->users++;
    thread->registered_rings[index] = (uint32_t)(ring - thread->process->rings->rings) + 1;
}

/* Takes note of the ring that the host has made: `result` is its descriptor or index. */
static int64_t note_ring(struct linux_thread *thread, const struct io_uring_params *p, int64_t result)
{
    bool registered = p->flags & URING_SETUP_FD_ONLY;
    linux_memory_lock(thread->process);
    struct ring *ring = new_ring(thread->process, registered ? -1 : (int)result);
    if (ring) {
        *ring = (struct ring){.fd = registered ? -1 : (int)result,
                              .flags = p->flags,
                              .entries = p->sq_entries,
                              .head = p->sq_off.head,
                              .tail = p->sq_off.tail,
                              .array = p->sq_off.array};
        if (p->flags & URING_SETUP_NO_MMAP) { /* the guest gave the memory */
            ring->address = p->cq_off.resv2;
            ring->sqes = p->sq_off.resv2;
        }
        if (registered)
            note_registered(thread, (uint32_t)result, ring);
    }
    linux_memory_unlock(thread->process);
    return ring ? 0 : -ENOMEM;
}

static bool is_setup_refused(const struct linux_thread *thread, const struct io_uring_params *p)
{
    const uint32_t not_polling =
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_DEFER_TASKRUN;
    if (p->flags & ~KNOWN_SETUP_FLAGS)
        return true;
    if ((p->flags & POLL_SETUP_FLAGS) == POLL_SETUP_FLAGS &&
        p->sq_thread_cpu >= (unsigned long)sysconf(_SC_NPROCESSORS_CONF))
        return true;
    if (p->flags & IORING_SETUP_ATTACH_WQ && linux_is_own_fd(thread->process, (int)p->wq_fd))
        return true;
    return p->flags & IORING_SETUP_SQPOLL && p->flags & not_polling;
}

int64_t linux_sys_io_uring_setup(struct linux_thread *thread, const uint64_t a[6])
{
    struct io_uring_params p;
    if (guest_read(&p, a[1], sizeof p) < 0)
        return -EFAULT;
    if (is_setup_refused(thread, &p))
        return -EINVAL;

    uint32_t polling = p.flags & IORING_SETUP_SQPOLL ? p.flags & WITHOUT_POLLING : 0;
    p.flags &= ~polling;
    int64_t result = linux_plain_syscall(SYS_io_uring_setup, a[0], (uint64_t)&p, 0, 0, 0, 0);
    if (result < 0)
        return result;
    p.flags |= polling;

    int64_t code = note_ring(thread, &p, result);
    if (code == 0 && polling && !(p.flags & URING_SETUP_FD_ONLY))
        code = set_need_wakeup((int)result, &p);
    if (code == 0)
        code = guest_write(a[1], &p, sizeof p);
    if (code < 0) {
        if (!(p.flags & URING_SETUP_FD_ONLY))
            linux_plain_syscall(SYS_close, (uint64_t)result, 0, 0, 0, 0, 0);
        return code;
    }
    return result;
}

void linux_uring_mapped(struct linux_process *process, int fd, uint64_t offset, uint64_t address)
{
    linux_memory_lock(process);
    struct ring *ring = find_ring(process, fd);
    if (ring && offset == IORING_OFF_SQ_RING)
        ring->address = address;
    else if (ring && offset == IORING_OFF_SQES)
        ring->sqes = address;
    linux_memory_unlock(process);
}

/* -- submission ------------------------------------------------------------------------------ */

/* The positions between which entries wait; false if the ring is not mapped. */
static bool read_positions(const struct ring *ring, uint32_t *head, uint32_t *tail)
{
    return ring->address && ring->sqes && guest_read(head, ring->address + ring->head, sizeof *head) == 0 &&
           guest_read(tail, ring->address + ring->tail, sizeof *tail) == 0 && *tail - *head <= ring->entries;
}

/* Where the entry at this position of the queue is; 0 if the guest's index is wrong. */
static uint64_t entry_address(const struct ring *ring, uint32_t position)
{
    uint32_t index = position & (ring->entries - 1);
    if (!(ring->flags & URING_SETUP_NO_SQARRAY) &&
        guest_read(&index, ring->address + ring->array + index * sizeof index, sizeof index) < 0)
        return 0;
    if (index >= ring->entries)
        return 0;
    return ring->sqes + ((uint64_t)index << (ring->flags & IORING_SETUP_SQE128 ? 7 : 6));
}

static void write_field(const struct uring_patch *patch, uint64_t value)
{
    guest_write(patch->address, &value, patch->size); /* little-endian, both */
}

/*
 * Puts back the entries that the kernel has taken. One that the guest has used anew by now is seen by its
 * other value; only a field that got by chance what the host's kernel had to find there would be missed.
 */
static void restore_entries(struct ring *ring)
{
    uint32_t head, tail;
    if (!read_positions(ring, &head, &tail))
        return;
    for (struct uring_patch **link = &ring->patches; *link;) {
        struct uring_patch *patch = *link;
        uint64_t found = 0, mask = patch->size == 8 ? UINT64_MAX : (1ull << patch->size * 8) - 1;
        if (patch->position - head < tail - head) { /* still waits */
            link = &patch->next;
            continue;
        }
        if (guest_read(&found, patch->address, patch->size) == 0 && found == (patch->after & mask))
            write_field(patch, patch->before);
        *link = patch->next;
        free(patch);
    }
}

/* True if the entry at this address is changed already, as the queue has it at an earlier position, too: then
 * it is put back after the later one. */
static bool is_converted(struct ring *ring, uint64_t address, uint32_t position)
{
    bool found = false;
    for (struct uring_patch *patch = ring->patches; patch; patch = patch->next) {
        if (patch->address - address < sizeof(struct io_uring_sqe)) {
            patch->position = position;
            found = true;
        }
    }
    return found;
}

static int convert_entry(struct linux_thread *thread, struct ring *ring, const struct io_uring_sqe *sqe,
                         uint64_t address)
{
    struct uring_patch *before = ring->patches;
    int result = uring_convert(thread, sqe, address, &ring->patches);
    if (result < 0)
        return result;
    for (struct uring_patch *patch = ring->patches; patch != before; patch = patch->next) {
        patch->position = ring->converted;
        write_field(patch, patch->after);
    }
    return 0;
}

/* Looks at all entries that wait and have not been looked at. */
static int convert_entries(struct linux_thread *thread, struct ring *ring)
{
    uint32_t head, tail;
    restore_entries(ring);
    if (!read_positions(ring, &head, &tail))
        return 0;
    if (ring->converted - head > tail - head)
        ring->converted = head;
    for (; ring->converted != tail; ring->converted++) {
        struct io_uring_sqe sqe;
        uint64_t address = entry_address(ring, ring->converted);
        if (!address || is_converted(ring, address, ring->converted) ||
            guest_read(&sqe, address, sizeof sqe) < 0)
            continue;
        int result = convert_entry(thread, ring, &sqe, address);
        if (result < 0)
            return result;
        bool is_long = sqe.opcode == URING_OP_NOP128 || sqe.opcode == URING_OP_URING_CMD128;
        if (is_long && ring->flags & URING_SETUP_SQE_MIXED && ring->converted + 1 != tail)
            ring->converted++;
    }
    return 0;
}

/* The ring that has this descriptor as well, as far as the kernel tells. */
static struct ring *find_duplicate(const struct linux_process *process, int fd)
{
    struct linux_rings *rings = process->rings;
    uint64_t pid = (uint64_t)linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
    for (size_t i = 0; rings && i < rings->count; i++) {
        if (rings->rings[i].fd >= 0 && linux_plain_syscall(SYS_kcmp, pid, pid, KCMP_FILE, (uint64_t)fd,
                                                           (uint64_t)rings->rings[i].fd, 0) == 0)
            return &rings->rings[i];
    }
    return NULL;
}

/* The ring that the arguments of io_uring_enter() or io_uring_register() name. With the lock held. */
static struct ring *named_ring(struct linux_thread *thread, uint64_t fd, bool registered)
{
    if (registered)
        return find_registered(thread, (uint32_t)fd);
    struct ring *ring = find_ring(thread->process, (int)fd);
    return ring ? ring : find_duplicate(thread->process, (int)fd);
}

enum need {
    NEEDS_NOTHING,    /* the host's call will do */
    NEEDS_RESTORING,  /* entries have been changed: they are to be put back before anything waits */
    NEEDS_SUBMISSION, /* the guest believes that a thread of the kernel submits all by itself */
};

static int64_t prepare(struct linux_thread *thread, const uint64_t a[6], uint32_t *waiting)
{
    uint32_t head, tail;
    int64_t result = NEEDS_NOTHING;
    *waiting = (uint32_t)a[1];
    linux_memory_lock(thread->process);
    struct ring *ring = named_ring(thread, a[0], a[3] & IORING_ENTER_REGISTERED_RING);
    bool polling = ring && ring->flags & IORING_SETUP_SQPOLL;
    if (ring && (a[1] || polling)) {
        result = convert_entries(thread, ring);
        if (result == 0 && ring->patches)
            result = NEEDS_RESTORING;
        if (result >= 0 && polling) {
            result = NEEDS_SUBMISSION;
            *waiting = read_positions(ring, &head, &tail) ? tail - head : 0;
        }
    } else if (!ring && a[1]) {
        result = -EOPNOTSUPP;
    }
    linux_memory_unlock(thread->process);
    return result;
}

static void restore(struct linux_thread *thread, const uint64_t a[6])
{
    linux_memory_lock(thread->process);
    struct ring *ring = named_ring(thread, a[0], a[3] & IORING_ENTER_REGISTERED_RING);
    if (ring)
        restore_entries(ring);
    linux_memory_unlock(thread->process);
}

/* Reads the signal mask that the guest gives for the time of waiting, and makes `a` the host's arguments. */
static int take_mask(struct linux_thread *thread, uint64_t a[6], struct io_uring_getevents_arg *extended,
                     uint64_t *mask)
{
    if (!(a[3] & IORING_ENTER_GETEVENTS) || !a[4] || a[3] & ENTER_EXT_ARG_REG)
        return 0;
    if (!(a[3] & IORING_ENTER_EXT_ARG)) {
        int result = linux_temporary_mask(thread, a[4], a[5], mask);
        a[4] = (uint64_t)mask;
        return result;
    }
    if (a[5] != sizeof *extended)
        return -EINVAL;
    if (guest_read(extended, a[4], sizeof *extended) < 0)
        return -EFAULT;
    a[4] = (uint64_t)extended;
    if (!extended->sigmask)
        return 0;
    int result = linux_temporary_mask(thread, extended->sigmask, extended->sigmask_sz, mask);
    extended->sigmask = (uint64_t)mask;
    return result;
}

static int64_t enter(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_io_uring_enter, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Submits, puts back what was changed, and waits then if the guest wants to wait. */
static int64_t enter_in_steps(struct linux_thread *thread, const uint64_t a[6], uint32_t waiting,
                              bool polling)
{
    const uint64_t own_flags = IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT;
    int64_t submitted = 0;
    if (waiting) {
        const uint64_t submit[6] = {a[0], waiting, 0, a[3] & IORING_ENTER_REGISTERED_RING, 0, 0};
        submitted = enter(thread, submit);
        restore(thread, submit);
        if (submitted < 0)
            return submitted;
    }
    int64_t result = polling ? (int64_t)(uint32_t)a[1] : submitted;
    if (!(a[3] & IORING_ENTER_GETEVENTS) || (!polling && submitted != waiting))
        return result;
    int64_t code = enter(thread, (const uint64_t[6]){a[0], 0, a[2], a[3] & ~own_flags, a[4], a[5]});
    return result ? result : code;
}

int64_t linux_sys_io_uring_enter(struct linux_thread *thread, const uint64_t guest[6])
{
    struct io_uring_getevents_arg extended;
    uint64_t mask;
    uint32_t waiting;
    uint64_t a[6];
    memcpy(a, guest, sizeof a);
    a[3] = (uint32_t)a[3];
    if (!(a[3] & IORING_ENTER_REGISTERED_RING) && linux_is_own_fd(thread->process, (int)a[0]))
        return -EBADF;
    int result = take_mask(thread, a, &extended, &mask);
    if (result < 0)
        return result;
    int64_t need = prepare(thread, a, &waiting);
    if (need == -EOPNOTSUPP) { /* or it is no ring, which the kernel says */
        const uint64_t nothing[6] = {a[0], 0, 0, a[3] & ~(uint64_t)IORING_ENTER_GETEVENTS, 0, 0};
        int64_t code = enter(thread, nothing);
        return code < 0 ? code : need;
    }
    if (need < 0)
        return need;
    return need == NEEDS_NOTHING ? enter(thread, a)
                                 : enter_in_steps(thread, a, waiting, need == NEEDS_SUBMISSION);
}

/* -- registration ---------------------------------------------------------------------------- */

/* Reads one structure of a registration and looks for descriptors in the array that it names. */
static bool registers_own_fd(struct linux_thread *thread, uint32_t operation, uint64_t address,
                             uint64_t count)
{
    union {
        struct io_uring_files_update files;
        struct io_uring_rsrc_register resource;
        struct io_uring_rsrc_update2 update;
    } u;
    switch (operation) {
    case IORING_REGISTER_EVENTFD:
    case IORING_REGISTER_EVENTFD_ASYNC: return uring_names_own_fd(thread, address, 1);
    case IORING_REGISTER_FILES: return uring_names_own_fd(thread, address, count);
    case IORING_REGISTER_FILES_UPDATE:
        return guest_read(&u.files, address, sizeof u.files) == 0 &&
               uring_names_own_fd(thread, u.files.fds, count);
    case IORING_REGISTER_FILES2:
        return guest_read(&u.resource, address, sizeof u.resource) == 0 &&
               uring_names_own_fd(thread, u.resource.data, u.resource.nr);
    case IORING_REGISTER_FILES_UPDATE2:
        return guest_read(&u.update, address, sizeof u.update) == 0 &&
               uring_names_own_fd(thread, u.update.data, u.update.nr);
    default: return false;
    }
}

/* The kernel has filled in `count` indexes of rings that this thread can now name by them. */
static void note_registrations(struct linux_thread *thread, uint64_t address, uint64_t count, bool added)
{
    struct io_uring_rsrc_update entry;
    for (uint64_t i = 0; i < MIN(count, (uint64_t)LINUX_REGISTERED_RINGS); i++) {
        if (guest_read(&entry, address + i * sizeof entry, sizeof entry) < 0)
            return;
        linux_memory_lock(thread->process);
        struct ring *ring = find_ring(thread->process, (int)entry.data);
        if (!added)
            forget_registered(thread, entry.offset);
        else if (ring)
            note_registered(thread, entry.offset, ring);
        linux_memory_unlock(thread->process);
    }
}

/* A probe does not find the requests that visor refuses. */
static int64_t hide_refused(uint64_t address, uint64_t count)
{
    const uint16_t none = 0;
    uint64_t entry = address + offsetof(struct io_uring_probe, ops) +
                     URING_OP_EPOLL_WAIT * sizeof(struct io_uring_probe_op);
    if (count <= URING_OP_EPOLL_WAIT)
        return 0;
    return guest_write(entry + offsetof(struct io_uring_probe_op, flags), &none, sizeof none);
}

int64_t linux_sys_io_uring_register(struct linux_thread *thread, const uint64_t a[6])
{
    bool registered = a[1] & REGISTER_REGISTERED_RING;
    uint32_t operation = (uint32_t)a[1] & ~REGISTER_REGISTERED_RING;
    if (!registered && linux_is_own_fd(thread->process, (int)a[0]))
        return -EBADF;
    if (operation == REGISTER_RESIZE_RINGS) /* as from kernels before 6.13 */
        return -EINVAL;
    if (registers_own_fd(thread, operation, a[2], (uint32_t)a[3]))
        return -EBADF;

    int64_t result = linux_host_syscall(thread, SYS_io_uring_register, a[0], a[1], a[2], a[3], 0, 0);
    if (result < 0)
        return result;
    switch (operation) {
    case IORING_REGISTER_RING_FDS: note_registrations(thread, a[2], (uint64_t)result, true); break;
    case IORING_UNREGISTER_RING_FDS: note_registrations(thread, a[2], (uint64_t)result, false); break;
    case IORING_REGISTER_PROBE: return hide_refused(a[2], (uint32_t)a[3]);
    default: break;
    }
    return result;
}
