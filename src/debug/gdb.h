/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gdb: gdb's remote serial protocol (the GDB manual, appendix E): one debugger looks into a running domain.
 *
 * A session is a pure function of the bytes that come in: whoever owns the connection calls gdb_feed() with
 * them and sends what `send` is given. What is debugged is a gdb_target: its threads (a machine's vCPUs),
 * registers, memory, breakpoints. A session begins with the target stopped; while it runs only an interrupt,
 * or the end of the connection, is listened to.
 */
#ifndef VISOR_DEBUG_GDB_H
#define VISOR_DEBUG_GDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"

/* A register as the debugger numbers them, by its place in the table. */
struct gdb_register {
    const char *name;
    uint8_t bytes;    /* 1 .. GDB_REGISTER_MAX */
    uint8_t feature;  /* index in gdb_arch.features */
    const char *type; /* of the target description; NULL: an integer */
    /* Little endian, from and to the architecture's state; set returns false for a value it cannot take. */
    void (*get)(const void *state, unsigned argument, uint8_t *value);
    bool (*set)(void *state, unsigned argument, const uint8_t *value);
    unsigned argument;
};

#define GDB_REGISTER_MAX 16

struct gdb_feature {
    const char *name;
    const char *types; /* definitions of types that its registers have, XML; or "" */
};

struct gdb_arch {
    const char *name;  /* as gdb calls it: i386:x86-64 */
    size_t state_size; /* of the struct that the registers are in */
    const struct gdb_feature *features;
    const struct gdb_register *registers;
    unsigned register_count;
};

extern const struct gdb_arch gdb_arch_x86_64;       /* struct x86_state: of a machine */
extern const struct gdb_arch gdb_arch_x86_64_linux; /* the same, of a program */
extern const struct gdb_arch gdb_arch_arm64;        /* struct arm64_state, FPCR and FPSR complete */

enum gdb_break { GDB_BREAK_SOFTWARE, GDB_BREAK_HARDWARE, GDB_WATCH_WRITE, GDB_WATCH_READ, GDB_WATCH_ACCESS };

struct gdb_breakpoint {
    enum gdb_break kind;
    uint64_t address;
    unsigned length;
};

#define GDB_BREAKPOINTS_MAX 256

/* How a stopped target goes on. */
struct gdb_resume {
    unsigned step;          /* this thread executes one instruction; 0: none does */
    bool alone;             /* and the others stand still meanwhile */
    unsigned signal_thread; /* gets `signal`, the host's number; 0: none does */
    int signal;
};

/* What only a program has: see struct gdb_target. */
struct gdb_process {
    /* These return the size, or a negative errno. */
    ssize_t (*auxiliary)(void *opaque, void *buffer, size_t size);
    ssize_t (*executable)(void *opaque, char *path, size_t size);
    ssize_t (*signal)(void *opaque, unsigned thread, void *buffer, size_t size); /* siginfo_t, the last */
    int (*open)(void *opaque,
                const char *path); /* a file for reading, as the program sees it: a descriptor */
};

/* Threads have numbers from 1 on. Functions return 0 or a negative errno. */
struct gdb_target {
    const struct gdb_arch *arch;
    const struct gdb_process *process; /* NULL: it is a machine, which has no signals either */
    void *opaque;
    unsigned (*next_thread)(void *opaque, unsigned thread); /* the next number; 0: there is none */
    void (*thread_text)(void *opaque, unsigned thread, char *text, size_t size);
    int (*get_state)(void *opaque, unsigned thread, void *state);
    int (*set_state)(void *opaque, unsigned thread, const void *state);
    int (*read)(void *opaque, unsigned thread, uint64_t address, void *buffer, size_t size);
    int (*write)(void *opaque, unsigned thread, uint64_t address, const void *buffer, size_t size);
    /* All there are, each time. -ENOTSUP: one is of a kind that there is not. */
    int (*set_breakpoints)(void *opaque, const struct gdb_breakpoint *breakpoints, unsigned count);
    void (*resume)(void *opaque, const struct gdb_resume *resume); /* gdb_stopped() says when that is over */
    void (*interrupt)(void *opaque);                               /* gdb_stopped() follows */
    void (*kill)(void *opaque);                                    /* the domain is to end */
};

enum gdb_stop_reason {
    GDB_STOP_TRAP,
    GDB_STOP_INTERRUPT,
    GDB_STOP_BREAKPOINT,
    GDB_STOP_WATCHPOINT,
    GDB_STOP_SIGNAL, /* has come; resume() says whether the thread gets it */
    GDB_STOP_EXEC,   /* at the first instruction of another program */
};

struct gdb_stop {
    enum gdb_stop_reason reason;
    unsigned thread;
    uint64_t address;    /* WATCHPOINT */
    enum gdb_break kind; /* WATCHPOINT, BREAKPOINT */
    int signal;          /* SIGNAL: the host's number */
};

/* What the debugger has said for good: it counts for a program that is executed, too. */
struct gdb_settings {
    bool no_ack, exec_events;
    uint64_t passed[3]; /* bits, by gdb's numbers: signals that it does not want to hear of */
};

#define GDB_PACKET_MAX 16384
#define GDB_FILES_MAX  16

struct gdb_session {
    const struct gdb_target *target;
    void (*send)(void *opaque, const void *data, size_t size);
    void *opaque;
    bool running, ended;
    struct gdb_settings settings;
    struct gdb_stop stop; /* the last */
    unsigned thread;      /* of registers and memory: Hg */
    unsigned step_thread; /* Hc */
    unsigned listed;      /* qsThreadInfo goes on behind it */
    struct gdb_breakpoint breakpoints[GDB_BREAKPOINTS_MAX];
    unsigned breakpoint_count;
    /* the packet that is coming in */
    enum { GDB_BETWEEN, GDB_DATA, GDB_SUM1, GDB_SUM2 } at;
    uint8_t sum, wanted;
    size_t size;
    char packet[GDB_PACKET_MAX + 1];
    char reply[2 * GDB_PACKET_MAX + 8];
    struct buffer description;  /* target.xml, once somebody has asked */
    char *files[GDB_FILES_MAX]; /* paths that the debugger has open; owned */
};

/* `stop`: why the target stands still. */
void gdb_begin(struct gdb_session *session, const struct gdb_target *target, const struct gdb_stop *stop,
               void (*send)(void *opaque, const void *data, size_t size), void *opaque);
/* The same in the program that a debugged one has executed: it counts as running until gdb_stopped(). */
void gdb_begin_again(struct gdb_session *session, const struct gdb_target *target,
                     const struct gdb_settings *settings,
                     void (*send)(void *opaque, const void *data, size_t size), void *opaque);
/* The connection is over: breakpoints go, and the target runs on. */
void gdb_end(struct gdb_session *session);
void gdb_feed(struct gdb_session *session, const void *data, size_t size);
/* What resume() began, or interrupt() asked for. */
void gdb_stopped(struct gdb_session *session, const struct gdb_stop *stop);
/* The debugger wants to hear of this signal, of the host's number. */
bool gdb_wants_signal(const struct gdb_session *session, int signal);
/* The domain has ended by itself, with an exit status, or by a signal of the host's number. */
void gdb_exited(struct gdb_session *session, unsigned status);
void gdb_killed(struct gdb_session *session, int signal);

/* -- what gdb.c and gdb_process.c share -------------------------------------------------------------------
 */

/* What a packet asks of a program: true if it was one of these, and has its answer. */
bool gdb_process_query(struct gdb_session *session, const char *text);
bool gdb_process_file(struct gdb_session *session, const char *text);
void gdb_process_free(struct gdb_session *session);

void gdb_send(struct gdb_session *session, const char *data, size_t size);
void gdb_send_error(struct gdb_session *session, unsigned number);
/* "l" or "m" and the part of `data` that "OFFSET,LENGTH" asks for. */
void gdb_send_part(struct gdb_session *session, const void *data, size_t size, const char *range);
/* As bytes in a packet: what means something else there is changed. Returns how many of `size` fit. */
size_t gdb_escape(char *out, size_t room, const uint8_t *bytes, size_t size, size_t *used);
bool gdb_scan_number(const char **text, uint64_t *value, char end);
bool gdb_scan_bytes(const char **text, uint8_t *bytes, size_t size);
bool gdb_skip(const char **text, const char *word);

/* -- numbers of signals (gdb_signal.c) --------------------------------------------------------------------
 */

unsigned gdb_signal_number(int host); /* 143: gdb knows no such one */
int gdb_signal_host(unsigned number); /* 0: there is none */

/* -- its port (gdb_listen.c) ------------------------------------------------------------------------------
 */

/* PORT or PORT,wait. */
int gdb_port_parse(const char *text, uint16_t *port, bool *wait, struct error *error);
/* A descriptor that listens at 127.0.0.1, close-on-exec, or a negative errno. */
int gdb_listen(uint16_t port, struct error *error);

#endif
