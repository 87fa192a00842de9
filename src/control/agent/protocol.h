/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * agent/protocol: what a guest's agent (agent/) and the host (agent/client.h) say to each other;
 * docs/agent.md has it in full. A connection is a stream of frames: four bytes of size, two of type, two of
 * zero, then so many bytes. Numbers are little endian, a string is four bytes of length and its bytes,
 * without a NUL among them.
 *
 * The agent begins with HELLO; then the host asks for one thing, and the connection ends with the answer.
 */
#ifndef VISOR_CONTROL_AGENT_PROTOCOL_H
#define VISOR_CONTROL_AGENT_PROTOCOL_H

#include <stdint.h>

#include "base/buffer.h"

#define AGENT_PORT    1017 /* of vsock; below 1024, so that only root of the guest can listen there */
#define AGENT_VERSION 1

#define AGENT_HEADER    8
#define AGENT_FRAME_MAX (64u * 1024)  /* bytes after the header */
#define AGENT_WINDOW    (128u * 1024) /* bytes of input that may be on the way to a program */
#define AGENT_WORDS_MAX 4096          /* arguments, and variables, of a program */

enum agent_type {
    /* The agent's. */
    AGENT_HELLO = 1, /* u32 version */
    AGENT_DONE,      /* what was asked for is done */
    AGENT_FAILED,    /* u32 errno, string reason */
    AGENT_STARTED,   /* u32 process */
    AGENT_OUTPUT,    /* bytes: of a program, or a file */
    AGENT_ERRORS,    /* bytes: of a program's standard error */
    AGENT_TAKEN,     /* u32 bytes of input that the program has been given */
    AGENT_EXITED,    /* u8 by a signal, u32 status or signal */
    AGENT_FACT,      /* string name, string value */
    AGENT_FILE,      /* u32 mode, u64 size, u64 time of change in seconds */

    /* The host's: what it asks for, and then what goes with it. */
    AGENT_PING = 64, /* DONE */
    AGENT_FACTS,     /* FACT..., DONE */
    AGENT_SHUTDOWN,  /* u8 enum agent_shutdown; DONE */
    AGENT_EXEC,      /* see struct agent_exec; STARTED, OUTPUT, ERRORS, TAKEN, EXITED */
    AGENT_PUT,       /* u32 mode, string path; INPUT..., INPUT_END; DONE */
    AGENT_GET,       /* string path; FILE, OUTPUT..., DONE */
    AGENT_INPUT,     /* bytes */
    AGENT_INPUT_END, /* there will be no more */
    AGENT_RESIZE,    /* u16 rows, u16 columns: of the program's terminal */
    AGENT_SIGNAL,    /* u32: to the program's process group */
    AGENT_IDENTITY,  /* see struct agent_identity; DONE */
};

enum agent_shutdown { AGENT_OFF, AGENT_REBOOT };

enum { AGENT_TTY = 1, AGENT_STDIN = 2 };

/* u32 flags, u16 rows, u16 columns, string user, string directory, u32 count and so many strings: the
 * arguments, the same: variables, NAME=VALUE. */
struct agent_exec {
    unsigned flags;
    uint16_t rows, columns;   /* of the terminal */
    const char *user;         /* NAME, UID, or either with :GROUP; "": root */
    const char *directory;    /* "": the user's home, or / */
    char *const *arguments;   /* ends in NULL; the first is looked up in the guest's PATH */
    char *const *environment; /* ends in NULL; added to what the user's login has; may be NULL */
};

/* Who a copy of a machine is from now on: u64 time, string host name, string machine id, u32 size and so many
 * bytes of entropy, u32 cards and six bytes for each. */
#define AGENT_ENTROPY_MAX 512
#define AGENT_CARDS_MAX   32
#define AGENT_NAME_MAX    64
#define AGENT_ID_DIGITS   32
struct agent_identity {
    uint64_t time;                        /* nanoseconds since 1970; 0: as it is */
    char host_name[AGENT_NAME_MAX + 1];   /* letters, digits, - and . ; "": as it is */
    char machine_id[AGENT_ID_DIGITS + 1]; /* hexadecimal digits in lower case; "": as it is */
    unsigned entropy_size, card_count;
    uint8_t entropy[AGENT_ENTROPY_MAX];
    uint8_t cards[AGENT_CARDS_MAX][6]; /* addresses, in the order of places on the bus; zeros: as it is */
};

/* -- writing --------------------------------------------------------------------------------------------- */

/* A frame's header, to be completed by agent_frame_end() when its content has been appended. */
size_t agent_frame_begin(struct buffer *buffer, enum agent_type type);
void agent_frame_end(struct buffer *buffer, size_t begin);
void agent_put_string(struct buffer *buffer, const char *text);
/* A frame that is nothing but bytes. */
void agent_put_bytes(struct buffer *buffer, enum agent_type type, const void *data, size_t size);
void agent_put_exec(struct buffer *buffer, const struct agent_exec *exec);
void agent_put_identity(struct buffer *buffer, const struct agent_identity *identity);
void agent_put_failure(struct buffer *buffer, int error, const char *reason);

/* -- reading --------------------------------------------------------------------------------------------- */

struct agent_frame {
    enum agent_type type;
    struct reader content; /* in the buffer that it was found in */
};

/* The first frame in bytes: how many bytes it takes, 0: it is not complete yet, -EPROTO: it can be none. */
int agent_frame_find(const uint8_t *data, size_t size, struct agent_frame *frame);

/* A string, allocated; NULL: there is none, it has a NUL, or no memory: reader->failed. */
char *agent_take_string(struct reader *reader);

/* What EXEC says; all of it is allocated. -EPROTO; -ENOMEM. */
struct agent_exec_words {
    struct agent_exec exec;
    char *user, *directory, **arguments, **environment;
};
int agent_take_exec(struct reader *reader, struct agent_exec_words *words);
void agent_exec_free(struct agent_exec_words *words);

/* What IDENTITY says, all of it in itself. -EPROTO: it cannot be so. */
int agent_take_identity(struct reader *reader, struct agent_identity *identity);

#endif
