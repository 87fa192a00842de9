/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state_file: the file of a saved domain: sections with names, versions and checksums. docs/state.md has the
 * format, and what is in which section; here nothing is known of that.
 *
 * A writer appends sections, and bulk data (memory) in between at places of which a section tells:
 *
 *     state_writer_begin(&writer, fd, &error);
 *     state_write(&writer, &(struct state_section){"clock", .version = 1}, &buffer, &error);
 *     state_writer_end(&writer, &error);
 *
 * The header is written last: a file that was not finished is none. While it is being written its header says
 * how far it is, for who has the same file open: state_progress().
 *
 * A reader trusts nothing. Sections that nobody has asked for are an error (state_reader_check()) unless they
 * are marked as optional, so that what an older visor would have to lose is not lost silently.
 */
#ifndef VISOR_STATE_STATE_FILE_H
#define VISOR_STATE_STATE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define STATE_FORMAT       1
#define STATE_NAME_MAX     16 /* bytes of a section's name */
#define STATE_SECTIONS_MAX 64
#define STATE_SECTION_SIZE (256u << 20) /* bytes that a section that is read as a whole has at most */
#define STATE_PAGE         4096u

enum state_flag {
    STATE_OPTIONAL = 1, /* who does not know it leaves it */
    STATE_BULK = 2,     /* has no checksum of its own: who writes it has others */
};

struct state_section {
    char name[STATE_NAME_MAX + 1];
    uint32_t version, flags; /* `version` grows with the meaning of its bytes */
    uint64_t offset, size;
    uint32_t checksum;
    bool taken; /* by a reader */
};

struct state_writer {
    int fd;       /* borrowed */
    uint64_t end; /* of what has been written */
    struct state_section sections[STATE_SECTIONS_MAX];
    unsigned count;
    uint64_t total, told; /* of state_bulk_write(): expected, and what was said last */
};

/* The file is emptied. */
int state_writer_begin(struct state_writer *writer, int fd, struct error *error);
/* A section with these bytes; of `section` name, version and flags count. Fails if the buffer has. */
int state_write(struct state_writer *writer, const struct state_section *section, const struct buffer *bytes,
                struct error *error);

/* Bulk data: a section that begins at a multiple of STATE_PAGE and has all that is written until the end.
 * `total` is what is expected, in bytes. */
int state_bulk_begin(struct state_writer *writer, const struct state_section *section, uint64_t total,
                     struct error *error);
/* Where the next bytes go, in the file. */
static inline uint64_t state_bulk_offset(const struct state_writer *writer)
{
    return writer->end;
}
int state_bulk_write(struct state_writer *writer, const void *data, uint64_t size, struct error *error);
/* Zeros, which take no room. */
void state_bulk_skip(struct state_writer *writer, uint64_t size);
void state_bulk_end(struct state_writer *writer);

int state_writer_end(struct state_writer *writer, struct error *error);

/* Percents of what is being written to a file. */
unsigned state_progress(int fd);

struct state_reader {
    int fd; /* borrowed */
    uint64_t size;
    struct state_section sections[STATE_SECTIONS_MAX];
    unsigned count;
};

/* -EINVAL: it is no saved state, damaged, or of a newer visor; errors do not name the file. */
int state_reader_open(struct state_reader *reader, int fd, struct error *error);
/* The bytes of a section of at most this version, whose checksum is right; *version, which may be NULL, says
 * which. -ENOENT: there is none. */
int state_read(struct state_reader *reader, const char *name, unsigned most, unsigned *version,
               struct buffer *bytes, struct error *error);
/* A section of bulk data, of which it tells only where it is. */
int state_read_bulk(struct state_reader *reader, const char *name, unsigned most,
                    const struct state_section **section, struct error *error);
/* Bytes of such a section. */
int state_read_at(const struct state_reader *reader, uint64_t offset, void *data, uint64_t size,
                  struct error *error);
/* That nothing has been left that must not be. */
int state_reader_check(const struct state_reader *reader, struct error *error);

/* Whether the file looks like a saved state, whole or not. */
bool state_file_is(int fd);

#endif
