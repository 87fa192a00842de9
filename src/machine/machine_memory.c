/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/machine_memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/crc32c.h"
#include "base/macros.h"

#define PIECE_PAGES   512u   /* 2 MiB: what hosts have as one huge page is mapped from the file, or private */
#define LEVEL         1      /* of zstd */
#define MAPS_MOST     16384u /* of a process's mappings, for which hosts have a limit of 65530 */
#define HEAD_SIZE     16
#define READERS_MAX   8u
#define READER_PIECES 4u /* that a thread is worth */
#define ENTRY_SIZE    32

enum { FORM_PLAIN, FORM_ZSTD };

/* -- saving ---------------------------------------------------------------------------------------------- */

struct memory_saver {
    const struct memory_backing *ram;
    struct state_writer *writer;
    struct buffer list;
    uint32_t count;
    ZSTD_CCtx *zstd; /* NULL: it is not compressed */
    uint8_t *packed;
    size_t packed_size;
    bool *touched;    /* of all pages; and then, which are not zeros */
    const bool *used; /* of the piece */
};

static const uint8_t zero_page[MEMORY_PAGE_SIZE];

static bool page_is_zero(const uint8_t *page)
{
    return !page[0] && !memcmp(page, page + 1, MEMORY_PAGE_SIZE - 1);
}

static const uint8_t *page_at(const struct memory_saver *saver, uint64_t page)
{
    return saver->ram->host + page * MEMORY_PAGE_SIZE;
}

/* Runs of pages that are alike: in `used`, from `at` on. */
static unsigned run_end(const struct memory_saver *saver, unsigned at, unsigned end)
{
    const bool used = saver->used[at];
    while (at < end && saver->used[at] == used)
        at++;
    return at;
}

/* What is not touched stays so. */
static uint32_t piece_checksum(const struct memory_saver *saver, uint64_t base, unsigned first, unsigned end)
{
    uint32_t sum = 0;
    for (unsigned at = first, next; at < end; at = next) {
        next = run_end(saver, at, end);
        if (saver->used[at])
            sum = crc32c(sum, page_at(saver, base + at), (next - at) * MEMORY_PAGE_SIZE);
        for (unsigned i = at; !saver->used[at] && i < next; i++)
            sum = crc32c(sum, zero_page, sizeof zero_page);
    }
    return sum;
}

static int save_plain(struct memory_saver *saver, uint64_t base, unsigned first, unsigned end,
                      struct error *error)
{
    int code = 0;
    for (unsigned at = first, next; !code && at < end; at = next) {
        next = run_end(saver, at, end);
        const uint64_t size = (next - at) * MEMORY_PAGE_SIZE;
        if (saver->used[at])
            code = state_bulk_write(saver->writer, page_at(saver, base + at), size, error);
        else
            state_bulk_skip(saver->writer, size);
    }
    return code;
}

/* What does not become smaller is left as it is, but not where it could be mapped. */
static int save_packed(struct memory_saver *saver, uint64_t base, unsigned first, unsigned end,
                       uint32_t *stored, struct error *error)
{
    const size_t size = (end - first) * MEMORY_PAGE_SIZE;
    size_t packed = ZSTD_compressCCtx(saver->zstd, saver->packed, saver->packed_size,
                                      page_at(saver, base + first), size, LEVEL);
    if (ZSTD_isError(packed))
        return error_set(error, -EIO, "cannot compress the guest's memory: %s", ZSTD_getErrorName(packed));
    *stored = (uint32_t)packed;
    return state_bulk_write(saver->writer, saver->packed, packed, error);
}

static int save_piece(struct memory_saver *saver, uint64_t base, unsigned count, struct error *error)
{
    bool *used = saver->touched + base;
    unsigned first = count, end = 0;
    saver->used = used;
    for (unsigned i = 0; i < count; i++) {
        used[i] = used[i] && !page_is_zero(page_at(saver, base + i));
        if (!used[i])
            continue;
        first = MIN(first, i);
        end = i + 1;
    }
    if (first >= end)
        return 0;
    const uint64_t offset = state_bulk_offset(saver->writer);
    const uint32_t sum = piece_checksum(saver, base, first, end);
    uint32_t stored = (uint32_t)((end - first) * MEMORY_PAGE_SIZE);
    int code = saver->zstd ? save_packed(saver, base, first, end, &stored, error)
                           : save_plain(saver, base, first, end, error);
    buffer_append_integer(&saver->list, base + first, 8);
    buffer_append_integer(&saver->list, end - first, 4);
    buffer_append_integer(&saver->list, sum, 4);
    buffer_append_integer(&saver->list, offset, 8);
    buffer_append_integer(&saver->list, stored, 4);
    buffer_append_integer(&saver->list, saver->zstd ? FORM_ZSTD : FORM_PLAIN, 4);
    saver->count++;
    return code;
}

/* Bytes that are about to be written, at most. To ask for all pages at once saves the host's looking twice.
 */
static int look_touched(struct memory_saver *saver, uint64_t *size, struct error *error)
{
    const uint64_t pages = saver->ram->size / MEMORY_PAGE_SIZE;
    saver->touched = malloc(pages);
    if (!saver->touched)
        return error_set(error, -ENOMEM, "out of memory to save the guest's");
    memory_backing_touched(saver->ram, 0, pages, saver->touched);
    *size = 0;
    for (uint64_t i = 0; i < pages; i++)
        *size += saver->touched[i] ? MEMORY_PAGE_SIZE : 0;
    return 0;
}

static int saver_begin(struct memory_saver *saver, bool compress, struct error *error)
{
    buffer_append_integer(&saver->list, saver->ram->size, 8);
    buffer_append_integer(&saver->list, 0, 8);
    if (compress) {
        saver->zstd = ZSTD_createCCtx();
        saver->packed_size = ZSTD_compressBound(PIECE_PAGES * MEMORY_PAGE_SIZE);
        saver->packed = malloc(saver->packed_size);
        if (!saver->zstd || !saver->packed)
            return error_set(error, -ENOMEM, "out of memory to compress the guest's");
    }
    uint64_t size = 0;
    int code = look_touched(saver, &size, error);
    return code ? code
                : state_bulk_begin(saver->writer, &(struct state_section){"memory-data", .version = 1}, size,
                                   error);
}

int machine_memory_save(const struct memory_backing *ram, struct state_writer *writer, bool compress,
                        struct error *error)
{
    struct memory_saver saver = {.ram = ram, .writer = writer};
    const uint64_t pages = ram->size / MEMORY_PAGE_SIZE;
    int code = saver_begin(&saver, compress, error);
    for (uint64_t base = 0; !code && base < pages; base += PIECE_PAGES)
        code = save_piece(&saver, base, (unsigned)MIN(pages - base, PIECE_PAGES), error);
    if (!code) {
        state_bulk_end(writer);
        if (!saver.list.failed)
            buffer_patch_integer(&saver.list, 8, saver.count, 4);
        code = state_write(writer, &(struct state_section){"memory", .version = 1}, &saver.list, error);
    }
    ZSTD_freeCCtx(saver.zstd);
    free(saver.touched);
    free(saver.packed);
    buffer_free(&saver.list);
    return code;
}

/* -- loading --------------------------------------------------------------------------------------------- */

static bool piece_is_good(const struct machine_memory_piece *piece, uint64_t next, uint64_t pages,
                          const struct state_section *data)
{
    const uint64_t size = piece->pages * MEMORY_PAGE_SIZE;
    if (!piece->pages || piece->pages > PIECE_PAGES || piece->first < next || piece->first >= pages ||
        piece->pages > pages - piece->first)
        return false;
    if (piece->offset < data->offset || piece->offset - data->offset > data->size ||
        piece->stored > data->size - (piece->offset - data->offset))
        return false;
    return piece->form == FORM_ZSTD ||
           (piece->form == FORM_PLAIN && piece->stored == size && !(piece->offset % MEMORY_PAGE_SIZE));
}

static int plan_parse(struct machine_memory_plan *plan, const struct buffer *list, uint64_t size,
                      const struct state_section *data, struct error *error)
{
    struct reader reader = {list->data, list->size, false};
    const uint64_t saved = reader_take_integer(&reader, 8);
    const uint32_t count = (uint32_t)reader_take_integer(&reader, 4);
    reader_take_integer(&reader, 4);
    if (reader.failed || saved != size || reader.left != (uint64_t)count * ENTRY_SIZE)
        return error_set(error, -EINVAL, "the saved memory's list cannot be so");
    plan->pieces = calloc(count + 1, sizeof *plan->pieces);
    if (!plan->pieces)
        return error_set(error, -ENOMEM, "out of memory to load the machine");
    for (uint64_t next = 0; plan->count < count; plan->count++) {
        struct machine_memory_piece *piece = &plan->pieces[plan->count];
        piece->first = reader_take_integer(&reader, 8);
        piece->pages = (uint32_t)reader_take_integer(&reader, 4);
        piece->checksum = (uint32_t)reader_take_integer(&reader, 4);
        piece->offset = reader_take_integer(&reader, 8);
        piece->stored = (uint32_t)reader_take_integer(&reader, 4);
        piece->form = (uint32_t)reader_take_integer(&reader, 4);
        if (!piece_is_good(piece, next, size / MEMORY_PAGE_SIZE, data))
            return error_set(error, -EINVAL, "the saved memory has pages that cannot be");
        next = piece->first + piece->pages;
    }
    return 0;
}

int machine_memory_plan(struct machine_memory_plan *plan, struct state_reader *reader, uint64_t size,
                        struct error *error)
{
    const struct state_section *data;
    struct buffer list = {0};
    *plan = (struct machine_memory_plan){0};
    int code = state_read(reader, "memory", 1, NULL, &list, error);
    if (!code)
        code = state_read_bulk(reader, "memory-data", 1, &data, error);
    if (!code)
        code = plan_parse(plan, &list, size, data, error);
    buffer_free(&list);
    return code;
}

void machine_memory_plan_free(struct machine_memory_plan *plan)
{
    free(plan->pieces);
    *plan = (struct machine_memory_plan){0};
}

static int unpack(uint8_t *to, const struct state_reader *reader, const struct machine_memory_piece *piece,
                  struct error *error)
{
    const size_t size = piece->pages * MEMORY_PAGE_SIZE;
    uint8_t *packed = malloc(piece->stored + 1);
    if (!packed)
        return error_set(error, -ENOMEM, "out of memory to load the machine");
    int code = state_read_at(reader, piece->offset, packed, piece->stored, error);
    if (!code && ZSTD_decompress(to, size, packed, piece->stored) != size)
        code = error_set(error, -EINVAL, "it is damaged: memory at page %#llx cannot be unpacked",
                         (unsigned long long)piece->first);
    free(packed);
    return code;
}

static int load_piece(struct memory_backing *ram, const struct state_reader *reader,
                      const struct machine_memory_piece *piece, struct error *error)
{
    uint8_t *to = ram->host + piece->first * MEMORY_PAGE_SIZE;
    const size_t size = piece->pages * MEMORY_PAGE_SIZE;
    int code = piece->form == FORM_ZSTD ? unpack(to, reader, piece, error)
                                        : state_read_at(reader, piece->offset, to, size, error);
    if (!code && crc32c(0, to, size) != piece->checksum)
        code = error_set(error, -EINVAL, "it is damaged: the checksum of memory at page %#llx is wrong",
                         (unsigned long long)piece->first);
    return code;
}

/* Those that follow one another in memory and in the file are one mapping. */
static uint32_t pieces_end(const struct machine_memory_plan *plan, uint32_t at)
{
    const struct machine_memory_piece *last = &plan->pieces[at++];
    for (; at < plan->count; last = &plan->pieces[at++]) {
        const struct machine_memory_piece *next = &plan->pieces[at];
        if (next->form != FORM_PLAIN || next->first != last->first + last->pages ||
            next->offset != last->offset + last->stored)
            break;
    }
    return at;
}

static bool map_pieces(struct memory_backing *ram, const struct state_reader *reader,
                       const struct machine_memory_piece *first, const struct machine_memory_piece *last)
{
    if (first->form != FORM_PLAIN || ram->piece_count >= MAPS_MOST)
        return false;
    const uint64_t end = last->first + last->pages;
    return memory_backing_map_file(ram, first->first * MEMORY_PAGE_SIZE,
                                   (end - first->first) * MEMORY_PAGE_SIZE, reader->fd, first->offset) == 0;
}

/* What is read, by as many threads as the host has processors for: each takes the next piece. */
struct memory_readers {
    struct memory_backing *ram;
    const struct state_reader *reader;
    const struct machine_memory_piece *pieces;
    uint32_t count;
    _Atomic uint32_t next;
    pthread_mutex_t lock; /* of what follows */
    int code;             /* the first failure */
    struct error error;
};

static void *read_pieces(void *opaque)
{
    struct memory_readers *readers = opaque;
    for (uint32_t at; (at = atomic_fetch_add(&readers->next, 1)) < readers->count;) {
        struct error error = ERROR_INIT;
        const struct machine_memory_piece *piece = &readers->pieces[at];
        int code = load_piece(readers->ram, readers->reader, piece, &error);
        if (!code)
            continue;
        atomic_store(&readers->next, readers->count);
        pthread_mutex_lock(&readers->lock);
        if (!readers->code) {
            readers->code = code;
            readers->error = error;
        }
        pthread_mutex_unlock(&readers->lock);
    }
    return NULL;
}

/* They take no signals. Without them this thread does all of it. */
static int read_all(struct memory_readers *readers, struct error *error)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t threads[READERS_MAX - 1];
    unsigned count = 0, most = (unsigned)MIN(MAX(processors, 1), READERS_MAX) - 1;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (count < MIN(most, readers->count / READER_PIECES) &&
           !pthread_create(&threads[count], NULL, read_pieces, readers))
        count++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    read_pieces(readers);
    while (count)
        pthread_join(threads[--count], NULL);
    if (readers->code && error)
        *error = readers->error;
    return readers->code;
}

/* Those that cannot be mapped come to the front of `pieces`, which has room for all. */
static int read_rest(struct memory_backing *ram, const struct state_reader *reader,
                     const struct machine_memory_plan *plan, bool eager, struct machine_memory_piece *pieces,
                     struct error *error)
{
    struct memory_readers readers = {.ram = ram, .reader = reader, .pieces = pieces};
    for (uint32_t at = 0, next; at < plan->count; at = next) {
        next = pieces_end(plan, at);
        if (!eager && map_pieces(ram, reader, &plan->pieces[at], &plan->pieces[next - 1]))
            continue;
        for (; at < next; at++)
            pieces[readers.count++] = plan->pieces[at];
    }
    pthread_mutex_init(&readers.lock, NULL);
    int code = readers.count ? read_all(&readers, error) : 0;
    pthread_mutex_destroy(&readers.lock);
    return code;
}

int machine_memory_load(struct memory_backing *ram, const struct state_reader *reader,
                        const struct machine_memory_plan *plan, bool eager, struct error *error)
{
    struct machine_memory_piece *pieces = calloc(plan->count + 1, sizeof *pieces);
    int code = pieces ? memory_backing_clear(ram, error)
                      : error_set(error, -ENOMEM, "out of memory to load the machine");
    if (!code)
        code = read_rest(ram, reader, plan, eager, pieces, error);
    free(pieces);
    return code;
}
