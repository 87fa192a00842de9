/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is short is continued. A file's last sector may be incomplete: what is missing reads as zeros, and
 * comes into being when it is written.
 *
 * Past the page cache (cache=none) requests that the host cannot do as they are go through a buffer. One that
 * writes parts of the host's blocks reads them first, and must be alone with them: it waits for all
 * writes before it, and those after it wait for it.
 */
#include "backend/block/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/block/io.h"
#include "base/macros.h"

#define ZEROS_SIZE (64u << 10)
#define ZEROS_IOV  256u

static const uint8_t zeros[ZEROS_SIZE] __attribute__((aligned(4096)));

struct raw_task {
    struct io_task io;
    struct raw *raw;
    struct block_request *request;
    uint64_t offset, length, done; /* of what the host does, in bytes */
    struct iovec *iov;             /* own, if the request's do not serve */
    unsigned iov_left;             /* from io.iov on, which takes not all at once */
    uint8_t *bounce;               /* instead of the request's memory */
    bool partial;                  /* writes parts of the host's blocks */
    bool filling;                  /* and reads them now */
    struct raw_task *next;
};

struct raw_list {
    struct raw_task *first, **end;
};

struct raw {
    struct block_backend block;
    struct raw_file file;
    struct loop *loop;
    struct io *io;
    int sync_error; /* a failed fsync() has lost data, of which no later one knows */
    bool no_punch, no_zero_range;
    unsigned writing; /* requests under way that change the disk */
    bool alone;       /* it is one that must be */
    struct raw_list held, finished;
    struct block_request *failed; /* there was no memory for a task */
    struct loop_call finish_call;
};

static void list_append(struct raw_list *list, struct raw_task *task)
{
    task->next = NULL;
    *list->end = task;
    list->end = &task->next;
}

static struct raw_task *list_take(struct raw_list *list)
{
    struct raw_task *task = list->first;
    if (task) {
        list->first = task->next;
        if (!list->first)
            list->end = &list->first;
    }
    return task;
}

static bool request_changes(const struct block_request *request)
{
    return request->operation != BLOCK_READ && request->operation != BLOCK_FLUSH;
}

/* Memory. */

/* Copies between the request's memory and a buffer. */
static void request_copy(const struct block_request *request, uint8_t *buffer, bool to_buffer)
{
    for (unsigned i = 0; i < request->iov_count; i++) {
        const struct iovec *iov = &request->iov[i];
        if (to_buffer)
            memcpy(buffer, iov->iov_base, iov->iov_len);
        else
            memcpy(iov->iov_base, buffer, iov->iov_len);
        buffer += iov->iov_len;
    }
}

static void request_clear_from(const struct block_request *request, uint64_t offset)
{
    for (unsigned i = 0; i < request->iov_count; i++) {
        const struct iovec *iov = &request->iov[i];
        if (offset < iov->iov_len)
            memset((uint8_t *)iov->iov_base + offset, 0, iov->iov_len - offset);
        offset -= MIN(offset, iov->iov_len);
    }
}

static bool request_is_aligned(const struct raw *raw, const struct block_request *request)
{
    if ((request->offset | request->length) & (raw->file.alignment - 1))
        return false;
    for (unsigned i = 0; i < request->iov_count; i++) {
        const struct iovec *iov = &request->iov[i];
        if (((uintptr_t)iov->iov_base & (raw->file.memory_alignment - 1)) ||
            (iov->iov_len & (raw->file.alignment - 1)))
            return false;
    }
    return true;
}

/* The end of requests. */

static void task_start(struct raw_task *task);

static void raw_start_held(struct raw *raw)
{
    struct raw_task *task;
    while ((task = raw->held.first) && !raw->alone && !(task->partial && raw->writing))
        task_start(list_take(&raw->held));
    io_kick(raw->io);
}

static void task_complete(struct raw_task *task, int result)
{
    struct raw *raw = task->raw;
    struct block_request *request = task->request;
    if (task->bounce && request->operation == BLOCK_READ && !result)
        request_copy(request, task->bounce + (request->offset - task->offset), false);
    free(task->bounce);
    free(task->iov);
    free(task);
    raw->block.pending--;
    if (request_changes(request)) {
        raw->writing--;
        raw->alone = false;
        if (raw->held.first)
            raw_start_held(raw);
    }
    request->done(request, result);
}

static void task_complete_later(struct raw_task *task, int result)
{
    task->io.result = result;
    list_append(&task->raw->finished, task);
    loop_post(task->raw->loop, &task->raw->finish_call);
}

static void raw_finish(void *opaque)
{
    struct raw *raw = opaque;
    struct raw_task *task = raw->finished.first;
    struct block_request *failed = raw->failed;
    raw->finished = (struct raw_list){.end = &raw->finished.first};
    raw->failed = NULL;
    for (struct raw_task *next; task; task = next) {
        next = task->next;
        task_complete(task, (int)task->io.result);
    }
    for (struct block_request *next; failed; failed = next) {
        next = failed->next;
        raw->block.pending--;
        failed->done(failed, -ENOMEM);
    }
}

/* What the host does for a request. */

static bool task_submit(struct raw_task *task)
{
    task->io.offset = task->offset + task->done;
    task->io.length = task->length - task->done;
    io_submit(task->raw->io, &task->io);
    return true;
}

/* Leaves out what was done, in an array of its own. */
static bool task_advance(struct raw_task *task, uint64_t size)
{
    if (!task->iov) {
        const struct block_request *request = task->request;
        task->iov = malloc(sizeof(struct iovec) * request->iov_count);
        if (!task->iov)
            return false;
        memcpy(task->iov, request->iov, sizeof(struct iovec) * request->iov_count);
        task->io.iov = task->iov;
        task->iov_left = request->iov_count;
    }
    struct iovec *iov = (struct iovec *)task->io.iov;
    while (task->iov_left && size >= iov->iov_len) {
        size -= iov->iov_len;
        iov++;
        task->iov_left--;
    }
    if (task->iov_left) {
        iov->iov_base = (uint8_t *)iov->iov_base + size;
        iov->iov_len -= size;
    }
    task->io.iov = iov;
    task->io.iov_count = MIN(task->iov_left, IO_IOV_MAX);
    return true;
}

/* Zeros by writing them: as many as fit into the array, again and again. */
static void task_aim_zeros(struct raw_task *task)
{
    uint64_t left = task->length - task->done;
    unsigned count = 0;
    for (; left && count < ZEROS_IOV; count++) {
        size_t size = (size_t)MIN(left, ZEROS_SIZE);
        task->iov[count] = (struct iovec){(void *)zeros, size};
        left -= size;
    }
    task->io.iov = task->iov;
    task->io.iov_count = count;
}

/* The file system cannot: true if the task goes on in another way. */
static bool task_fall_back(struct raw_task *task)
{
    struct raw *raw = task->raw;
    if (task->request->operation == BLOCK_DISCARD) {
        raw->no_punch = true;
        task_complete(task, 0); /* it was advice */
        return true;
    }
    if (task->io.mode & FALLOC_FL_PUNCH_HOLE)
        raw->no_punch = true;
    else
        raw->no_zero_range = true;
    task->iov = malloc(sizeof(struct iovec) * ZEROS_IOV);
    if (!task->iov)
        return false;
    task->io.operation = IO_WRITE;
    task_aim_zeros(task);
    return task_submit(task);
}

/* The end of the file was reached: the rest is zeros. */
static void task_read_end(struct raw_task *task)
{
    if (task->bounce)
        memset(task->bounce + task->done, 0, task->length - task->done);
    else
        request_clear_from(task->request, task->done);
    task->done = task->length;
}

/* True if there is more to do, and that is under way. */
static bool task_go_on(struct raw_task *task, int64_t result)
{
    task->done += (uint64_t)result;
    if (task->io.operation == IO_READ && (!result || (task->done & (task->raw->file.alignment - 1))))
        task_read_end(task); /* past the page cache only the file's end is not aligned */
    if (task->done < task->length) {
        if (task->request->operation == BLOCK_WRITE_ZEROES)
            task_aim_zeros(task);
        else if (!task_advance(task, (uint64_t)result))
            return false;
        return task_submit(task);
    }
    if (!task->filling)
        return false;
    /* The blocks have been read: what is new goes into them. */
    task->filling = false;
    task->done = 0;
    request_copy(task->request, task->bounce + (task->request->offset - task->offset), true);
    *task->iov = (struct iovec){task->bounce, task->length};
    task->io.iov = task->iov;
    task->io.iov_count = task->iov_left = 1;
    task->io.operation = IO_WRITE;
    return task_submit(task);
}

static void task_io_done(struct io_task *io, int64_t result)
{
    struct raw_task *task = (struct raw_task *)io;
    struct raw *raw = task->raw;

    /* CANCELED: the thread that had begun it has ended. */
    if ((result == -EINTR || result == -EAGAIN || result == -ECANCELED) && task_submit(task)) {
        io_kick(raw->io);
        return;
    }
    if (result == -EOPNOTSUPP && io->operation == IO_ALLOCATE && task_fall_back(task)) {
        io_kick(raw->io);
        return;
    }
    if (io->operation == IO_SYNC && result < 0)
        raw->sync_error = (int)result;
    if (io->operation == IO_READ || io->operation == IO_WRITE) {
        bool write_stuck = io->operation == IO_WRITE && !result;
        if (result >= 0 && !write_stuck && task_go_on(task, result)) {
            io_kick(raw->io);
            return;
        }
        if (write_stuck || (result >= 0 && task->done < task->length))
            result = write_stuck ? -EIO : -ENOMEM;
    }
    task_complete(task, result < 0 ? (int)result : 0);
}

/* Past the page cache the host does only whole blocks, in aligned memory. */
static bool task_bounce(struct raw_task *task)
{
    const struct raw_file *file = &task->raw->file;
    const struct block_request *request = task->request;
    void *bounce;

    task->offset = ALIGN_DOWN(request->offset, (uint64_t)file->alignment);
    task->length = ALIGN_UP(request->offset + request->length, (uint64_t)file->alignment) - task->offset;
    if (posix_memalign(&bounce, MAX(file->memory_alignment, sizeof(void *)), task->length))
        return false;
    task->bounce = bounce;
    task->iov = malloc(sizeof *task->iov);
    if (!task->iov)
        return false;
    *task->iov = (struct iovec){bounce, task->length};
    task->io.iov = task->iov;
    task->io.iov_count = task->iov_left = 1;
    task->filling = task->partial;
    if (task->filling)
        task->io.operation = IO_READ;
    else if (request->operation == BLOCK_WRITE)
        request_copy(request, bounce, true);
    return true;
}

static void task_start_transfer(struct raw_task *task)
{
    const struct block_request *request = task->request;
    task->io.operation = request->operation == BLOCK_READ ? IO_READ : IO_WRITE;
    task->io.iov = request->iov;
    task->io.iov_count = MIN(request->iov_count, IO_IOV_MAX);
    if (task->raw->file.alignment > 1 && !request_is_aligned(task->raw, request) && !task_bounce(task)) {
        task_complete_later(task, -ENOMEM);
        return;
    }
    task_submit(task);
}

static void task_start_allocate(struct raw_task *task)
{
    const struct raw *raw = task->raw;
    const struct block_request *request = task->request;
    bool punch = request->operation == BLOCK_DISCARD || request->unmap;

    task->io.operation = IO_ALLOCATE;
    task->io.mode = FALLOC_FL_KEEP_SIZE | (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
    if (!request->length)
        task_complete_later(task, 0);
    else if (punch ? !raw->no_punch : !raw->no_zero_range)
        task_submit(task);
    else if (request->operation == BLOCK_DISCARD)
        task_complete_later(task, 0);
    else if (!task_fall_back(task))
        task_complete_later(task, -ENOMEM);
}

static void task_start(struct raw_task *task)
{
    struct raw *raw = task->raw;
    const struct block_request *request = task->request;

    if (request_changes(request)) {
        raw->writing++;
        raw->alone = task->partial;
    }
    if (request_changes(request) && raw->block.read_only) {
        task_complete_later(task, -EROFS);
        return;
    }
    switch (request->operation) {
    case BLOCK_READ:
    case BLOCK_WRITE: task_start_transfer(task); break;
    case BLOCK_DISCARD:
    case BLOCK_WRITE_ZEROES: task_start_allocate(task); break;
    case BLOCK_FLUSH:
        task->io.operation = IO_SYNC;
        if (raw->sync_error || raw->block.read_only)
            task_complete_later(task, raw->sync_error);
        else
            task_submit(task);
    }
}

static void raw_submit(struct block_backend *backend, struct block_request *request)
{
    struct raw *raw = (struct raw *)backend;
    struct raw_task *task = calloc(1, sizeof *task);

    backend->pending++;
    if (!task) {
        request->next = raw->failed;
        raw->failed = request;
        loop_post(raw->loop, &raw->finish_call);
        return;
    }
    task->io.fd = raw->file.fd;
    task->io.done = task_io_done;
    task->raw = raw;
    task->request = request;
    task->offset = request->offset;
    task->length = request->length;
    task->partial =
        request->operation == BLOCK_WRITE && (request->offset | request->length) & (raw->file.alignment - 1);
    if (request_changes(request) && (raw->held.first || raw->alone || (task->partial && raw->writing)))
        list_append(&raw->held, task);
    else
        task_start(task);
}

static void raw_kick(struct block_backend *backend)
{
    io_kick(((struct raw *)backend)->io);
}

/* At once. */

/* Bytes of a range that the host can read as it is; beyond the file's end are zeros. */
static int raw_read_range(const struct raw *raw, uint64_t offset, uint8_t *buffer, uint64_t length)
{
    while (length) {
        ssize_t got = pread(raw->file.fd, buffer, length, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        bool at_end = !got || (size_t)got % raw->file.alignment;
        if (at_end)
            memset(buffer + got, 0, length - (size_t)got);
        uint64_t done = at_end ? length : (uint64_t)got;
        buffer += done;
        offset += done;
        length -= done;
    }
    return 0;
}

static int raw_read_now(struct block_backend *backend, uint64_t offset, void *buffer, uint64_t length)
{
    const uint64_t most = 1u << 20;
    const struct raw *raw = (struct raw *)backend;
    const struct raw_file *file = &raw->file;
    void *bounce;
    if (file->alignment <= 1)
        return raw_read_range(raw, offset, buffer, length);
    if (posix_memalign(&bounce, MAX(file->memory_alignment, sizeof(void *)), most))
        return -ENOMEM;
    int code = 0;
    for (uint8_t *to = buffer; !code && length;) {
        uint64_t start = ALIGN_DOWN(offset, (uint64_t)file->alignment), skip = offset - start,
                 size = MIN(length, most - skip);
        code = raw_read_range(raw, start, bounce, ALIGN_UP(skip + size, (uint64_t)file->alignment));
        if (!code)
            memcpy(to, (uint8_t *)bounce + skip, size);
        to += size;
        offset += size;
        length -= size;
    }
    free(bounce);
    return code;
}

/* The whole. */

static void raw_close(struct block_backend *backend)
{
    struct raw *raw = (struct raw *)backend;
    loop_cancel(raw->loop, &raw->finish_call);
    io_close(raw->io);
    close(raw->file.fd);
    free(backend->name);
    free(raw);
}

static const struct block_ops raw_ops = {
    .submit = raw_submit, .kick = raw_kick, .read_now = raw_read_now, .close = raw_close};

int raw_open_file(struct block_backend **out, const struct raw_file *file,
                  const struct block_options *options, struct loop *loop, struct error *error)
{
    struct raw *raw = calloc(1, sizeof *raw);
    if (!raw)
        return error_set(error, -ENOMEM, "out of memory");
    raw->block = (struct block_backend){
        .ops = &raw_ops,
        .name = strdup(options->path),
        .size = ALIGN_UP(file->size, 512ul),
        .block_size = MAX(file->alignment, 512),
        .read_only = options->read_only,
        .can_discard = !options->read_only,
    };
    raw->loop = loop;
    raw->held.end = &raw->held.first;
    raw->finished.end = &raw->finished.first;
    raw->finish_call = (struct loop_call){.function = raw_finish, .opaque = raw};
    int code = raw->block.name ? io_open(&raw->io, options->io, loop, error)
                               : error_set(error, -ENOMEM, "out of memory");
    if (code) {
        free(raw->block.name);
        free(raw);
        return code;
    }
    raw->file = *file;
    *out = &raw->block;
    return 0;
}

int raw_open(struct block_backend **out, const struct block_options *options, struct loop *loop,
             struct error *error)
{
    struct raw_file file;
    int code = raw_file_open(&file, options, error);
    if (code)
        return code;
    code = raw_open_file(out, &file, options, loop, error);
    if (code)
        close(file.fd);
    return code;
}
