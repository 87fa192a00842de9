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

#include "base/buffer.h"

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

extern const struct gdb_arch gdb_arch_x86_64; /* struct x86_state */

enum gdb_break { GDB_BREAK_SOFTWARE, GDB_BREAK_HARDWARE, GDB_WATCH_WRITE, GDB_WATCH_READ, GDB_WATCH_ACCESS };

struct gdb_breakpoint {
    enum gdb_break kind;
    uint64_t address;
    unsigned length;
};

#define GDB_BREAKPOINTS_MAX 256

/* Threads are numbered from 1. Functions return 0 or a negative errno. */
struct gdb_target {
    const struct gdb_arch *arch;
    void *opaque;
    unsigned (*thread_count)(void *opaque);
    void (*thread_text)(void *opaque, unsigned thread, char *text, size_t size);
    int (*get_state)(void *opaque, unsigned thread, void *state);
    int (*set_state)(void *opaque, unsigned thread, const void *state);
    int (*read)(void *opaque, unsigned thread, uint64_t address, void *buffer, size_t size);
    int (*write)(void *opaque, unsigned thread, uint64_t address, const void *buffer, size_t size);
    /* All there are, each time. -ENOTSUP: one is of a kind that there is not. */
    int (*set_breakpoints)(void *opaque, const struct gdb_breakpoint *breakpoints, unsigned count);
    /* Lets all threads run; if `step` is not 0, only that one, and for one instruction. gdb_stopped() says
     * when that is over. */
    void (*resume)(void *opaque, unsigned step);
    void (*interrupt)(void *opaque); /* gdb_stopped() follows */
    void (*kill)(void *opaque);      /* the domain is to end */
};

enum gdb_stop_reason { GDB_STOP_TRAP, GDB_STOP_INTERRUPT, GDB_STOP_BREAKPOINT, GDB_STOP_WATCHPOINT };

struct gdb_stop {
    enum gdb_stop_reason reason;
    unsigned thread;
    uint64_t address;    /* WATCHPOINT */
    enum gdb_break kind; /* WATCHPOINT */
};

#define GDB_PACKET_MAX 16384

struct gdb_session {
    const struct gdb_target *target;
    void (*send)(void *opaque, const void *data, size_t size);
    void *opaque;
    bool running, no_ack, ended;
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
    struct buffer description; /* target.xml, once somebody has asked */
};

void gdb_begin(struct gdb_session *session, const struct gdb_target *target,
               void (*send)(void *opaque, const void *data, size_t size), void *opaque);
/* The connection is over: breakpoints go, and the target runs on. */
void gdb_end(struct gdb_session *session);
void gdb_feed(struct gdb_session *session, const void *data, size_t size);
/* What resume() began, or interrupt() asked for. */
void gdb_stopped(struct gdb_session *session, const struct gdb_stop *stop);
/* The domain has ended by itself, with an exit status. */
void gdb_exited(struct gdb_session *session, unsigned status);

#endif
