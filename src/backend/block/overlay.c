/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The temporary file ("top") has what was written at the same offsets, so that a bit for each cluster is all
 * there is to know. Clusters have a page's size, which most guests write whole.
 *
 * Between top and base there may be what a saved machine had written, in pieces of its file ("saved").
 *
 * A write to clusters that are not in top yet, a "fill", brings along what is missing of its first and its
 * last one; no other write may touch these clusters meanwhile. Reads never wait: until a fill is done they
 * get what the base has, which is what the disk had when they began.
 */
#include "backend/block/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/block/raw.h"
#include "base/macros.h"

#define CLUSTER 4096u

/* A request under way. */
struct overlay_task {
    struct overlay *overlay;
    struct block_request *request;
    struct overlay_task *next, *previous; /* fills; `next`: waiting, finished */
    uint64_t first, last;                 /* clusters */
    unsigned parts;                       /* under way */
    int result;
    struct block_request *children; /* reads: of each run; fills: the two gaps, then the write */
    struct iovec *iov;
    uint8_t *gaps; /* two clusters */
};

struct overlay {
    struct block_backend block;
    struct block_backend *base, *top;
    int top_fd;                  /* the top's */
    struct block_backend *saved; /* NULL: there is none */
    struct block_piece *pieces;  /* of `saved` */
    unsigned piece_count;
    struct loop *loop;
    uint64_t *present; /* a bit for each cluster */
    struct overlay_task *fills;
    struct overlay_task *waiting, **waiting_end;
    struct overlay_task *finished, **finished_end;
    struct block_request *failed; /* there was no memory for a task */
    struct loop_call finish_call;
};

static bool cluster_present(const struct overlay *overlay, uint64_t cluster)
{
    return overlay->present[cluster / 64] >> (cluster % 64) & 1;
}

static bool clusters_present(const struct overlay *overlay, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++)
        if (!cluster_present(overlay, i))
            return false;
    return true;
}

/* The first piece that ends behind an offset; NULL: none does. */
static const struct block_piece *piece_after(const struct overlay *overlay, uint64_t offset)
{
    unsigned low = 0, high = overlay->piece_count;
    while (low < high) {
        const unsigned middle = low + (high - low) / 2;
        const struct block_piece *piece = &overlay->pieces[middle];
        if (piece->offset + piece->length > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low < overlay->piece_count ? &overlay->pieces[low] : NULL;
}

/* Where the disk's bytes are from an offset on. */
struct place {
    struct block_backend *backend;
    uint64_t offset;
};

static struct place place_of(const struct overlay *overlay, uint64_t offset)
{
    if (cluster_present(overlay, offset / CLUSTER))
        return (struct place){overlay->top, offset};
    const struct block_piece *piece = piece_after(overlay, offset);
    if (piece && piece->offset <= offset)
        return (struct place){overlay->saved, piece->at + (offset - piece->offset)};
    return (struct place){overlay->base, offset};
}

/* Requests were submitted. */
static void kick_all(const struct overlay *overlay)
{
    block_kick(overlay->base);
    if (overlay->saved)
        block_kick(overlay->saved);
    block_kick(overlay->top);
}

static void task_begin(struct overlay_task *task);

static void task_free(struct overlay_task *task)
{
    free(task->children);
    free(task->iov);
    free(task->gaps);
    free(task);
}

static bool fills_overlap(const struct overlay *overlay, const struct overlay_task *task)
{
    for (const struct overlay_task *fill = overlay->fills; fill; fill = fill->next)
        if (task->first <= fill->last && fill->first <= task->last)
            return true;
    return false;
}

static void fill_enter(struct overlay_task *task)
{
    struct overlay *overlay = task->overlay;
    task->next = overlay->fills;
    task->previous = NULL;
    if (task->next)
        task->next->previous = task;
    overlay->fills = task;
}

/* Its clusters are free again: those that wait are tried anew. */
static void fill_leave(struct overlay_task *task)
{
    struct overlay *overlay = task->overlay;
    if (task->next)
        task->next->previous = task->previous;
    if (task->previous)
        task->previous->next = task->next;
    else
        overlay->fills = task->next;
    if (!task->result)
        for (uint64_t i = task->first; i <= task->last; i++)
            overlay->present[i / 64] |= UINT64_C(1) << (i % 64);

    struct overlay_task *waiting = overlay->waiting;
    overlay->waiting = NULL;
    overlay->waiting_end = &overlay->waiting;
    for (struct overlay_task *next; waiting; waiting = next) {
        next = waiting->next;
        task_begin(waiting);
    }
    kick_all(overlay);
}

static void task_complete(struct overlay_task *task)
{
    struct block_request *request = task->request;
    int result = task->result;
    task->overlay->block.pending--;
    task_free(task);
    request->done(request, result);
}

static void task_complete_later(struct overlay_task *task, int result)
{
    struct overlay *overlay = task->overlay;
    task->result = result;
    task->next = NULL;
    *overlay->finished_end = task;
    overlay->finished_end = &task->next;
    loop_post(overlay->loop, &overlay->finish_call);
}

static void overlay_finish(void *opaque)
{
    struct overlay *overlay = opaque;
    struct overlay_task *task = overlay->finished;
    overlay->finished = NULL;
    overlay->finished_end = &overlay->finished;
    for (struct overlay_task *next; task; task = next) {
        next = task->next;
        task_complete(task);
    }
    struct block_request *failed = overlay->failed;
    overlay->failed = NULL;
    for (struct block_request *next; failed; failed = next) {
        next = failed->next;
        overlay->block.pending--;
        failed->done(failed, -ENOMEM);
    }
}

/* A part of the request's memory, in `to`; how many pieces. */
static unsigned iov_slice(struct iovec *to, const struct block_request *request, uint64_t offset,
                          uint64_t size)
{
    unsigned count = 0;
    for (unsigned i = 0; i < request->iov_count && size; i++) {
        const struct iovec *from = &request->iov[i];
        if (offset >= from->iov_len) {
            offset -= from->iov_len;
            continue;
        }
        to[count] = (struct iovec){(uint8_t *)from->iov_base + offset, MIN(from->iov_len - offset, size)};
        size -= to[count++].iov_len;
        offset = 0;
    }
    return count;
}

/* Reads: each run of bytes from where it is. */

static void part_done(struct block_request *child, int result)
{
    struct overlay_task *task = child->opaque;
    if (result < 0 && !task->result)
        task->result = result;
    if (!--task->parts)
        task_complete(task);
}

static uint64_t run_end(const struct overlay *overlay, uint64_t offset, uint64_t end)
{
    const struct place first = place_of(overlay, offset);
    const uint64_t begin = offset;
    struct place next;
    do {
        offset = ALIGN_DOWN(offset, (uint64_t)CLUSTER) + CLUSTER;
        next = offset < end ? place_of(overlay, offset) : (struct place){0};
    } while (next.backend == first.backend && next.offset - first.offset == offset - begin);
    return MIN(offset, end);
}

static void task_read(struct overlay_task *task)
{
    struct overlay *overlay = task->overlay;
    const struct block_request *request = task->request;
    const uint64_t begin = request->offset, end = begin + request->length;
    unsigned runs = 0, pieces = 0;

    for (uint64_t at = begin; at < end; at = run_end(overlay, at, end))
        runs++;
    task->children = calloc(runs ? runs : 1, sizeof *task->children);
    task->iov = calloc((size_t)request->iov_count + runs, sizeof *task->iov);
    if (!task->children || !task->iov || !runs) {
        task_complete_later(task, runs ? -ENOMEM : 0);
        return;
    }
    task->parts = runs;
    struct block_request *child = task->children;
    for (uint64_t at = begin, next; at < end; at = next, child++) {
        next = run_end(overlay, at, end);
        unsigned count = iov_slice(task->iov + pieces, request, at - begin, next - at);
        const struct place place = place_of(overlay, at);
        *child = (struct block_request){
            .operation = BLOCK_READ,
            .offset = place.offset,
            .length = next - at,
            .iov = task->iov + pieces,
            .iov_count = count,
            .done = part_done,
            .opaque = task,
        };
        pieces += count;
        block_submit(place.backend, child);
    }
}

/* Writes. */

static void fill_done(struct block_request *child, int result)
{
    struct overlay_task *task = child->opaque;
    task->result = result;
    fill_leave(task);
    task_complete(task);
}

static void plain_done(struct block_request *child, int result)
{
    struct overlay_task *task = child->opaque;
    task->result = result;
    task_complete(task);
}

/* What was missing is there: one write of all of it. */
static void fill_write(struct overlay_task *task)
{
    const struct block_request *request = task->request, *head = &task->children[0],
                               *tail = &task->children[1];
    struct block_request *write = &task->children[2];
    unsigned count = 0;

    if (head->length)
        task->iov[count++] = head->iov[0];
    count += iov_slice(task->iov + count, request, 0, request->length);
    if (tail->length)
        task->iov[count++] = tail->iov[0];
    *write = (struct block_request){
        .operation = BLOCK_WRITE,
        .offset = request->offset - head->length,
        .length = head->length + request->length + tail->length,
        .iov = task->iov,
        .iov_count = count,
        .done = fill_done,
        .opaque = task,
    };
    block_submit(task->overlay->top, write);
}

static void gap_done(struct block_request *child, int result)
{
    struct overlay_task *task = child->opaque;
    if (result < 0)
        task->result = result;
    if (--task->parts)
        return;
    if (task->result) {
        fill_leave(task);
        task_complete(task);
        return;
    }
    fill_write(task);
    block_kick(task->overlay->top);
}

static void gap_read(struct overlay_task *task, unsigned which, uint64_t offset, uint64_t length)
{
    if (!length)
        return;
    struct iovec *iov = &task->iov[task->request->iov_count + 2 + which];
    const struct place place = place_of(task->overlay, offset);
    *iov = (struct iovec){task->gaps + which * CLUSTER, length};
    task->children[which] = (struct block_request){
        .operation = BLOCK_READ,
        .offset = place.offset,
        .length = length,
        .iov = iov,
        .iov_count = 1,
        .done = gap_done,
        .opaque = task,
    };
    task->parts++;
    block_submit(place.backend, &task->children[which]);
}

static void task_fill(struct overlay_task *task)
{
    struct overlay *overlay = task->overlay;
    const struct block_request *request = task->request;
    const uint64_t begin = request->offset, end = begin + request->length;
    uint64_t head = cluster_present(overlay, task->first) ? 0 : begin % CLUSTER;
    uint64_t tail = cluster_present(overlay, task->last) ? 0 : MIN(-end % CLUSTER, overlay->block.size - end);

    task->children = calloc(3, sizeof *task->children);
    task->iov = calloc((size_t)request->iov_count + 4, sizeof *task->iov);
    task->gaps = head || tail ? malloc(2 * CLUSTER) : NULL;
    if (!task->children || !task->iov || ((head || tail) && !task->gaps)) {
        task_complete_later(task, -ENOMEM);
        return;
    }
    fill_enter(task);
    gap_read(task, 0, begin - head, head);
    gap_read(task, 1, end, tail);
    if (!task->parts)
        fill_write(task);
}

static void task_pass_on(struct overlay_task *task, uint64_t offset, uint64_t length,
                         void (*done)(struct block_request *, int))
{
    task->children = calloc(1, sizeof *task->children);
    if (!task->children) {
        task_complete_later(task, -ENOMEM);
        return;
    }
    *task->children = *task->request;
    task->children->offset = offset;
    task->children->length = length;
    task->children->unmap = true;
    task->children->done = done;
    task->children->opaque = task;
    if (done == fill_done)
        fill_enter(task);
    block_submit(task->overlay->top, task->children);
}

/* Zeros: whole clusters as a hole, and what is beside them as writes of their own. */

static const uint8_t zeros[CLUSTER];

static void task_zero_parts(struct overlay_task *task)
{
    struct overlay *overlay = task->overlay;
    const uint64_t begin = task->request->offset, end = begin + task->request->length;
    uint64_t cuts[4] = {begin, MIN(ALIGN_UP(begin, (uint64_t)CLUSTER), end),
                        ALIGN_DOWN(end, (uint64_t)CLUSTER), end};
    if (end == overlay->block.size)
        cuts[2] = end;
    cuts[2] = MAX(cuts[1], cuts[2]);

    task->children = calloc(3, sizeof *task->children);
    task->iov = calloc(3, sizeof *task->iov);
    if (!task->children || !task->iov) {
        task_complete_later(task, -ENOMEM);
        return;
    }
    for (unsigned i = 0; i < 3; i++)
        task->parts += cuts[i] < cuts[i + 1];
    for (unsigned i = 0; i < 3; i++) {
        if (cuts[i] == cuts[i + 1])
            continue;
        task->iov[i] = (struct iovec){(void *)zeros, cuts[i + 1] - cuts[i]};
        task->children[i] = (struct block_request){
            .operation = i == 1 ? BLOCK_WRITE_ZEROES : BLOCK_WRITE,
            .offset = cuts[i],
            .length = cuts[i + 1] - cuts[i],
            .iov = i == 1 ? NULL : &task->iov[i],
            .iov_count = i != 1,
            .done = part_done,
            .opaque = task,
        };
        block_submit(&overlay->block, &task->children[i]);
    }
}

static void task_zero(struct overlay_task *task)
{
    const struct block_request *request = task->request;
    const uint64_t end = request->offset + request->length;
    if (request->offset % CLUSTER || (end % CLUSTER && end != task->overlay->block.size))
        task_zero_parts(task);
    else
        task_pass_on(task, request->offset, request->length, fill_done);
}

static void task_discard(struct overlay_task *task)
{
    const struct block_request *request = task->request;
    uint64_t begin = ALIGN_UP(request->offset, (uint64_t)CLUSTER);
    uint64_t end = ALIGN_DOWN(request->offset + request->length, (uint64_t)CLUSTER);
    if (begin < end)
        task_pass_on(task, begin, end - begin, plain_done); /* what top has not got is a hole in it anyway */
    else
        task_complete_later(task, 0);
}

static void task_begin(struct overlay_task *task)
{
    struct overlay *overlay = task->overlay;
    switch (task->request->operation) {
    case BLOCK_READ: task_read(task); return;
    case BLOCK_FLUSH: task_complete_later(task, 0); return; /* nothing of it is to last */
    default: break;
    }
    if (!task->request->length) {
        task_complete_later(task, 0);
    } else if (fills_overlap(overlay, task)) {
        task->next = NULL;
        *overlay->waiting_end = task;
        overlay->waiting_end = &task->next;
    } else if (task->request->operation == BLOCK_DISCARD) {
        task_discard(task);
    } else if (task->request->operation == BLOCK_WRITE_ZEROES) {
        task_zero(task);
    } else if (clusters_present(overlay, task->first, task->last)) {
        task_pass_on(task, task->request->offset, task->request->length, plain_done);
    } else {
        task_fill(task);
    }
}

static void overlay_submit(struct block_backend *backend, struct block_request *request)
{
    struct overlay *overlay = (struct overlay *)backend;
    struct overlay_task *task = calloc(1, sizeof *task);
    backend->pending++;
    if (!task) {
        request->next = overlay->failed;
        overlay->failed = request;
        loop_post(overlay->loop, &overlay->finish_call);
        return;
    }
    task->overlay = overlay;
    task->request = request;
    task->first = request->offset / CLUSTER;
    task->last = request->length ? (request->offset + request->length - 1) / CLUSTER : task->first;
    task_begin(task);
}

static void overlay_kick(struct block_backend *backend)
{
    kick_all((struct overlay *)backend);
}

static int overlay_read_now(struct block_backend *backend, uint64_t offset, void *buffer, uint64_t length)
{
    struct overlay *overlay = (struct overlay *)backend;
    const uint64_t end = offset + length;
    uint8_t *to = buffer;
    int code = 0;
    for (uint64_t next; !code && offset < end; to += next - offset, offset = next) {
        next = run_end(overlay, offset, end);
        const struct place place = place_of(overlay, offset);
        code = block_read_now(place.backend, place.offset, to, next - offset);
    }
    return code;
}

static void overlay_close(struct block_backend *backend)
{
    struct overlay *overlay = (struct overlay *)backend;
    loop_cancel(overlay->loop, &overlay->finish_call);
    if (overlay->top)
        block_close(overlay->top);
    block_close(overlay->saved);
    block_close(overlay->base);
    free(overlay->pieces);
    free(overlay->present);
    free(backend->name);
    free(overlay);
}

static bool overlay_next_kept(struct block_backend *backend, uint64_t *offset, uint64_t *length)
{
    const struct overlay *overlay = (struct overlay *)backend;
    const uint64_t clusters = (backend->size + CLUSTER - 1) / CLUSTER;
    uint64_t cluster = (*offset + CLUSTER - 1) / CLUSTER;
    const struct block_piece *piece = piece_after(overlay, cluster * CLUSTER);
    const uint64_t saved = piece ? MAX(piece->offset / CLUSTER, cluster) : clusters;
    while (cluster < saved && !cluster_present(overlay, cluster))
        cluster += overlay->present[cluster / 64] >> cluster % 64 ? 1 : 64 - cluster % 64;
    cluster = MIN(cluster, saved);
    if (cluster >= clusters)
        return false;
    *offset = cluster * CLUSTER;
    *length = run_end(overlay, *offset, backend->size) - *offset;
    return true;
}

/* Whole clusters of the disk. */
static bool is_whole(const struct block_backend *backend, uint64_t offset, uint64_t length)
{
    const uint64_t end = offset + length;
    return offset % CLUSTER == 0 && end <= backend->size && end >= offset &&
           (end % CLUSTER == 0 || end == backend->size);
}

static int overlay_keep_file(struct block_backend *backend, int fd, const struct block_piece *pieces,
                             unsigned count, struct error *error)
{
    struct overlay *overlay = (struct overlay *)backend;
    const struct block_options options = {.path = backend->name, .read_only = true};
    struct raw_file file = {.alignment = 1, .memory_alignment = 1};
    uint64_t next = 0;
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].offset < next || pieces[i].at % 512 ||
            !is_whole(backend, pieces[i].offset, pieces[i].length))
            return error_set(error, -EINVAL, "what was written to the disk %s cannot be so", backend->name);
        next = pieces[i].offset + pieces[i].length;
        file.size = MAX(file.size, pieces[i].at + pieces[i].length);
    }
    if (!count)
        return 0;
    overlay->pieces = malloc(count * sizeof *pieces);
    if (!overlay->pieces)
        return error_set(error, -ENOMEM, "out of memory to restore a disk");
    memcpy(overlay->pieces, pieces, count * sizeof *pieces);
    file.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (file.fd < 0)
        return error_set(error, -errno, "cannot open what was saved once more: %s", strerror(errno));
    int code = raw_open_file(&overlay->saved, &file, &options, overlay->loop, error);
    if (code)
        close(file.fd);
    else
        overlay->piece_count = count;
    return code;
}

static int overlay_keep(struct block_backend *backend, uint64_t offset, const void *buffer, uint64_t length)
{
    struct overlay *overlay = (struct overlay *)backend;
    const uint64_t end = offset + length;
    if (!is_whole(backend, offset, length))
        return -EINVAL;
    for (const uint8_t *from = buffer; offset < end;) {
        ssize_t some = pwrite(overlay->top_fd, from, end - offset, (off_t)offset);
        if (some < 0 && errno == EINTR)
            continue;
        if (some <= 0)
            return some ? -errno : -EIO;
        for (uint64_t i = offset / CLUSTER; i * CLUSTER < offset + (uint64_t)some; i++)
            overlay->present[i / 64] |= UINT64_C(1) << (i % 64);
        from += some;
        offset += (uint64_t)some;
    }
    return 0;
}

static const struct block_ops overlay_ops = {
    .submit = overlay_submit,
    .kick = overlay_kick,
    .read_now = overlay_read_now,
    .next_kept = overlay_next_kept,
    .keep = overlay_keep,
    .keep_file = overlay_keep_file,
    .close = overlay_close,
};

/* The temporary file: where the user wants such files, but not, unless asked to, in memory. */
static int temporary_open(uint64_t size, struct error *error)
{
    const char *wish = getenv("TMPDIR"), *const places[] = {wish && *wish ? wish : "/var/tmp", "/tmp"};
    int fd = -1, number = 0;
    for (unsigned i = 0; fd < 0 && i < ARRAY_SIZE(places); i++) {
        fd = open(places[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0 && !i)
            number = errno;
    }
    if (fd >= 0 && !ftruncate(fd, (off_t)size))
        return fd;
    if (fd >= 0) {
        number = errno;
        close(fd);
    }
    error_set(error, -number, "cannot make a temporary file in %s: %s", places[0], strerror(number));
    error_hint(error, "set TMPDIR to a directory with room for what the machine writes");
    return -number;
}

static int overlay_open_top(struct overlay *overlay, const struct block_options *options, struct error *error)
{
    struct block_options top = {.path = options->path, .io = options->io};
    struct raw_file file = {.size = overlay->block.size, .alignment = 1, .memory_alignment = 1};
    file.fd = temporary_open(file.size, error);
    if (file.fd < 0)
        return file.fd;
    int code = raw_open_file(&overlay->top, &file, &top, overlay->loop, error);
    if (code)
        close(file.fd);
    overlay->top_fd = file.fd;
    return code;
}

int overlay_open(struct block_backend **out, struct block_backend *base, const struct block_options *options,
                 struct loop *loop, struct error *error)
{
    struct overlay *overlay = calloc(1, sizeof *overlay);
    if (!overlay)
        return error_set(error, -ENOMEM, "out of memory");
    overlay->block = (struct block_backend){
        .ops = &overlay_ops,
        .name = strdup(base->name),
        .size = base->size,
        .block_size = MAX(base->block_size, 512),
        .can_discard = true,
    };
    overlay->loop = loop;
    overlay->waiting_end = &overlay->waiting;
    overlay->finished_end = &overlay->finished;
    overlay->finish_call = (struct loop_call){.function = overlay_finish, .opaque = overlay};
    overlay->present = calloc(base->size / CLUSTER / 64 + 1, sizeof *overlay->present);
    int code = overlay->present && overlay->block.name ? overlay_open_top(overlay, options, error)
                                                       : error_set(error, -ENOMEM, "out of memory");
    if (code) {
        free(overlay->present);
        free(overlay->block.name);
        free(overlay);
        return code;
    }
    overlay->base = base;
    *out = &overlay->block;
    return 0;
}
