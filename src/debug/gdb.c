/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gdb: packets in and out, and what they ask for. See gdb.h. */
#include "debug/gdb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

#define INTERRUPT        3
#define SIGNAL_INTERRUPT 2 /* gdb's numbers of signals */
#define SIGNAL_TRAP      5
#define ERROR_BAD        22 /* E16: the packet makes no sense */
#define ERROR_FAULT      14
#define READ_MAX         (GDB_PACKET_MAX / 2 - 16)
#define STATE_MAX        8192

/* -- hexadecimal ----------------------------------------------------------------------------------------- */

static const char hex_digits[] = "0123456789abcdef";

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static char *hex_print(char *out, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        *out++ = hex_digits[bytes[i] >> 4];
        *out++ = hex_digits[bytes[i] & 15];
    }
    *out = '\0';
    return out;
}

/* Exactly `size` bytes. */
bool gdb_scan_bytes(const char **text, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++, *text += 2) {
        const int high = hex_value((*text)[0]), low = high < 0 ? -1 : hex_value((*text)[1]);
        if (low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* At least one digit, at most 16, then `end` (which is skipped; 0: anything). */
bool gdb_scan_number(const char **text, uint64_t *value, char end)
{
    const char *at = *text;
    *value = 0;
    for (; hex_value(*at) >= 0; at++) {
        if (at - *text == 16)
            return false;
        *value = *value << 4 | (unsigned)hex_value(*at);
    }
    if (at == *text || (end && *at != end))
        return false;
    *text = end ? at + 1 : at;
    return true;
}

/* -- out ------------------------------------------------------------------------------------------------- */

void gdb_send(struct gdb_session *s, const char *data, size_t size)
{
    uint8_t sum = 0;
    char tail[4] = "#";
    for (size_t i = 0; i < size; i++)
        sum += (uint8_t)data[i];
    hex_print(tail + 1, &sum, 1);
    s->send(s->opaque, "$", 1);
    s->send(s->opaque, data, size);
    s->send(s->opaque, tail, 3);
}

static void reply(struct gdb_session *s, const char *text)
{
    gdb_send(s, text, strlen(text));
}

static void __attribute__((format(printf, 2, 3))) reply_format(struct gdb_session *s, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reply(s, text);
}

void gdb_send_error(struct gdb_session *s, unsigned number)
{
    reply_format(s, "E%02x", number & 0xff);
}

static void reply_code(struct gdb_session *s, int code)
{
    if (code < 0)
        gdb_send_error(s, (unsigned)-code);
    else
        reply(s, "OK");
}

static void report_stop(struct gdb_session *s)
{
    static const char *const watches[] = {
        [GDB_WATCH_WRITE] = "watch", [GDB_WATCH_READ] = "rwatch", [GDB_WATCH_ACCESS] = "awatch"};
    const struct gdb_stop *stop = &s->stop;
    const unsigned signal = stop->reason == GDB_STOP_INTERRUPT ? SIGNAL_INTERRUPT
                            : stop->reason == GDB_STOP_SIGNAL  ? gdb_signal_number(stop->signal)
                                                               : SIGNAL_TRAP;
    char why[64] = "";

    if (stop->reason == GDB_STOP_BREAKPOINT)
        snprintf(why, sizeof why, "%s:;", stop->kind == GDB_BREAK_HARDWARE ? "hwbreak" : "swbreak");
    if (stop->reason == GDB_STOP_WATCHPOINT)
        snprintf(why, sizeof why, "%s:%llx;", watches[stop->kind], (unsigned long long)stop->address);
    char *out = s->reply + sprintf(s->reply, "T%02xthread:%x;%s", signal, stop->thread, why);
    uint8_t path[4096];
    const struct gdb_process *process = s->target->process;
    ssize_t size = stop->reason == GDB_STOP_EXEC && s->settings.exec_events && process
                       ? process->executable(s->target->opaque, (char *)path, sizeof path)
                       : 0;
    if (size > 0) {
        out += sprintf(out, "exec:");
        out = hex_print(out, path, (size_t)size);
        sprintf(out, ";");
    }
    reply(s, s->reply);
}

/* -- registers ------------------------------------------------------------------------------------------- */

union any_state {
    uint8_t bytes[STATE_MAX];
    uint64_t align __attribute__((aligned(64)));
};

static bool get_state(struct gdb_session *s, union any_state *state)
{
    const struct gdb_target *target = s->target;
    return target->arch->state_size <= sizeof *state &&
           target->get_state(target->opaque, s->thread, state->bytes) == 0;
}

static void read_registers(struct gdb_session *s)
{
    const struct gdb_arch *arch = s->target->arch;
    union any_state state;
    char *out = s->reply;
    if (!get_state(s, &state)) {
        gdb_send_error(s, ERROR_FAULT);
        return;
    }
    for (unsigned i = 0; i < arch->register_count; i++) {
        const struct gdb_register *r = &arch->registers[i];
        uint8_t value[GDB_REGISTER_MAX] = {0};
        r->get(state.bytes, r->argument, value);
        out = hex_print(out, value, r->bytes);
    }
    reply(s, s->reply);
}

/* What the text leaves out stays. */
static void write_registers(struct gdb_session *s, const char *text)
{
    const struct gdb_arch *arch = s->target->arch;
    union any_state state;
    bool valid = get_state(s, &state);
    for (unsigned i = 0; i < arch->register_count && valid && *text; i++) {
        const struct gdb_register *r = &arch->registers[i];
        uint8_t value[GDB_REGISTER_MAX];
        valid = gdb_scan_bytes(&text, value, r->bytes) && r->set(state.bytes, r->argument, value);
    }
    if (!valid || *text)
        gdb_send_error(s, ERROR_BAD);
    else
        reply_code(s, s->target->set_state(s->target->opaque, s->thread, state.bytes));
}

static void read_register(struct gdb_session *s, const char *text)
{
    const struct gdb_arch *arch = s->target->arch;
    union any_state state;
    uint8_t value[GDB_REGISTER_MAX] = {0};
    uint64_t number;
    if (!gdb_scan_number(&text, &number, 0) || *text || number >= arch->register_count ||
        !get_state(s, &state)) {
        gdb_send_error(s, ERROR_BAD);
        return;
    }
    const struct gdb_register *r = &arch->registers[number];
    r->get(state.bytes, r->argument, value);
    hex_print(s->reply, value, r->bytes);
    reply(s, s->reply);
}

static void write_register(struct gdb_session *s, const char *text)
{
    const struct gdb_arch *arch = s->target->arch;
    union any_state state;
    uint8_t value[GDB_REGISTER_MAX];
    uint64_t number;
    bool valid =
        gdb_scan_number(&text, &number, '=') && number < arch->register_count && get_state(s, &state);
    if (valid) {
        const struct gdb_register *r = &arch->registers[number];
        valid = gdb_scan_bytes(&text, value, r->bytes) && !*text && r->set(state.bytes, r->argument, value);
    }
    if (!valid)
        gdb_send_error(s, ERROR_BAD);
    else
        reply_code(s, s->target->set_state(s->target->opaque, s->thread, state.bytes));
}

/* -- memory -------------------------------------------------------------------------------------------------
 */

static void read_memory(struct gdb_session *s, const char *text)
{
    uint8_t bytes[READ_MAX];
    uint64_t address, size;
    if (!gdb_scan_number(&text, &address, ',') || !gdb_scan_number(&text, &size, 0) || *text) {
        gdb_send_error(s, ERROR_BAD);
        return;
    }
    size = MIN(size, (uint64_t)sizeof bytes); /* fewer than asked for is allowed */
    if (s->target->read(s->target->opaque, s->thread, address, bytes, size) < 0) {
        gdb_send_error(s, ERROR_FAULT);
        return;
    }
    hex_print(s->reply, bytes, size);
    reply(s, s->reply);
}

static void write_bytes(struct gdb_session *s, uint64_t address, const uint8_t *bytes, uint64_t size)
{
    reply_code(s, size ? s->target->write(s->target->opaque, s->thread, address, bytes, size) : 0);
}

static void write_memory(struct gdb_session *s, const char *text)
{
    uint8_t bytes[GDB_PACKET_MAX / 2];
    uint64_t address, size;
    if (!gdb_scan_number(&text, &address, ',') || !gdb_scan_number(&text, &size, ':') ||
        size > sizeof bytes || !gdb_scan_bytes(&text, bytes, size) || *text)
        gdb_send_error(s, ERROR_BAD);
    else
        write_bytes(s, address, bytes, size);
}

/* X: bytes as they are, but for } which says that the next one was changed by 20h. `end` is the packet's. */
static void write_binary(struct gdb_session *s, const char *text, const char *end)
{
    uint8_t bytes[GDB_PACKET_MAX];
    uint64_t address, size, count = 0;
    if (!gdb_scan_number(&text, &address, ',') || !gdb_scan_number(&text, &size, ':')) {
        gdb_send_error(s, ERROR_BAD);
        return;
    }
    for (; text < end; text++) {
        bool escaped = *text == '}' && text + 1 < end;
        text += escaped;
        bytes[count++] = (uint8_t)(escaped ? *text ^ 0x20 : *text);
    }
    if (count != size)
        gdb_send_error(s, ERROR_BAD);
    else
        write_bytes(s, address, bytes, size);
}

/* -- breakpoints ----------------------------------------------------------------------------------------- */

static unsigned find_breakpoint(const struct gdb_session *s, const struct gdb_breakpoint *wanted)
{
    unsigned i = 0;
    while (i < s->breakpoint_count &&
           (s->breakpoints[i].kind != wanted->kind || s->breakpoints[i].address != wanted->address ||
            s->breakpoints[i].length != wanted->length))
        i++;
    return i;
}

static int apply_breakpoints(struct gdb_session *s)
{
    return s->target->set_breakpoints(s->target->opaque, s->breakpoints, s->breakpoint_count);
}

static void insert_breakpoint(struct gdb_session *s, const struct gdb_breakpoint *breakpoint)
{
    if (find_breakpoint(s, breakpoint) < s->breakpoint_count) {
        reply(s, "OK");
        return;
    }
    if (s->breakpoint_count == GDB_BREAKPOINTS_MAX) {
        gdb_send_error(s, ENOSPC);
        return;
    }
    s->breakpoints[s->breakpoint_count++] = *breakpoint;
    int code = apply_breakpoints(s);
    if (code < 0)
        s->breakpoint_count--;
    if (code == -ENOTSUP)
        reply(s, ""); /* as if the packet were unknown: gdb looks for another way */
    else
        reply_code(s, code);
}

static void change_breakpoint(struct gdb_session *s, const char *text, bool insert)
{
    uint64_t kind, address, length;
    if (!gdb_scan_number(&text, &kind, ',') || !gdb_scan_number(&text, &address, ',') ||
        !gdb_scan_number(&text, &length, 0) || kind > GDB_WATCH_ACCESS || length > 16) {
        gdb_send_error(s, ERROR_BAD);
        return;
    }
    const struct gdb_breakpoint breakpoint = {(enum gdb_break)kind, address, (unsigned)length};
    if (insert) {
        insert_breakpoint(s, &breakpoint);
        return;
    }
    unsigned at = find_breakpoint(s, &breakpoint);
    if (at < s->breakpoint_count)
        s->breakpoints[at] = s->breakpoints[--s->breakpoint_count];
    reply_code(s, apply_breakpoints(s));
}

/* -- threads --------------------------------------------------------------------------------------------- */

/* -1 and 0 mean all and any; 0 is kept for both. */
static bool scan_thread(struct gdb_session *s, const char *text, unsigned *thread)
{
    uint64_t number;
    if (strcmp(text, "-1") == 0) {
        *thread = 0;
        return true;
    }
    if (!gdb_scan_number(&text, &number, 0) || (*text && *text != ':') || number > UINT32_MAX)
        return false;
    if (number && s->target->next_thread(s->target->opaque, (unsigned)number - 1) != number)
        return false;
    *thread = (unsigned)number;
    return true;
}

static void choose_thread(struct gdb_session *s, const char *text)
{
    unsigned thread;
    if ((*text != 'g' && *text != 'c') || !scan_thread(s, text + 1, &thread)) {
        gdb_send_error(s, ERROR_BAD);
        return;
    }
    if (*text == 'g')
        s->thread = thread ? thread : s->stop.thread;
    else
        s->step_thread = thread;
    reply(s, "OK");
}

static void list_threads(struct gdb_session *s)
{
    unsigned next = s->target->next_thread(s->target->opaque, s->listed);
    char *out = s->reply;
    if (!next) {
        reply(s, "l");
        return;
    }
    *out++ = 'm';
    for (unsigned n = 0; next && n < 256; n++) {
        out += sprintf(out, "%s%x", n ? "," : "", next);
        s->listed = next;
        next = s->target->next_thread(s->target->opaque, next);
    }
    reply(s, s->reply);
}

static void describe_thread(struct gdb_session *s, const char *text)
{
    unsigned thread;
    char words[128] = "";
    if (!scan_thread(s, text, &thread) || !thread) {
        gdb_send_error(s, ERROR_BAD);
        return;
    }
    s->target->thread_text(s->target->opaque, thread, words, sizeof words);
    hex_print(s->reply, (const uint8_t *)words, strlen(words));
    reply(s, s->reply);
}

/* -- the target's description ------------------------------------------------------------------------------
 */

static void append(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

static void describe_register(struct buffer *out, const struct gdb_register *r)
{
    char text[160];
    snprintf(text, sizeof text, "<reg name=\"%s\" bitsize=\"%u\"", r->name, r->bytes * 8u);
    append(out, text);
    if (r->type)
        append(out, " type=\""), append(out, r->type), append(out, "\"");
    append(out, "/>");
}

static void make_description(const struct gdb_arch *arch, struct buffer *out)
{
    append(out, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target><architecture>");
    append(out, arch->name);
    append(out, "</architecture>");
    for (unsigned i = 0; i < arch->register_count; i++) {
        const struct gdb_register *r = &arch->registers[i];
        const bool first = i == 0 || r->feature != r[-1].feature;
        const bool last = i + 1 == arch->register_count || r->feature != r[1].feature;
        if (first) {
            append(out, "<feature name=\"");
            append(out, arch->features[r->feature].name);
            append(out, "\">");
            append(out, arch->features[r->feature].types);
        }
        describe_register(out, r);
        if (last)
            append(out, "</feature>");
    }
    append(out, "</target>");
}

size_t gdb_escape(char *out, size_t room, const uint8_t *bytes, size_t size, size_t *used)
{
    size_t done = 0;
    *used = 0;
    for (; done < size; done++) {
        const bool special = strchr("}#$*", bytes[done]) && bytes[done];
        if (*used + 1 + special > room)
            break;
        if (special)
            out[(*used)++] = '}';
        out[(*used)++] = (char)(special ? bytes[done] ^ 0x20 : bytes[done]);
    }
    return done;
}

void gdb_send_part(struct gdb_session *s, const void *data, size_t size, const char *range)
{
    uint64_t offset, length;
    size_t used;
    if (!gdb_scan_number(&range, &offset, ',') || !gdb_scan_number(&range, &length, 0) || *range) {
        gdb_send_error(s, ERROR_BAD);
        return;
    }
    if (offset > size) {
        gdb_send_error(s, ERROR_FAULT);
        return;
    }
    const size_t left = size - offset;
    const size_t done = gdb_escape(s->reply + 1, GDB_PACKET_MAX - 8, (const uint8_t *)data + offset,
                                   MIN(length, left), &used);
    s->reply[0] = done < left ? 'm' : 'l';
    gdb_send(s, s->reply, used + 1);
}

static void read_description(struct gdb_session *s, const char *text)
{
    if (!s->description.size)
        make_description(s->target->arch, &s->description);
    if (s->description.failed)
        gdb_send_error(s, ERROR_FAULT);
    else
        gdb_send_part(s, s->description.data, s->description.size, text);
}

/* -- running --------------------------------------------------------------------------------------------- */

static void resume(struct gdb_session *s, const struct gdb_resume *how)
{
    s->running = true;
    s->target->resume(s->target->opaque, how);
}

/* Signal 0 is none. Machines have no signals. */
static void give_signal(const struct gdb_session *s, struct gdb_resume *how, unsigned thread, uint64_t number)
{
    how->signal = s->target->process ? gdb_signal_host((unsigned)number) : 0;
    how->signal_thread = how->signal ? thread : 0;
}

/* One of ACTION[:THREAD] that begins behind its ';' and is `length` long. */
static bool scan_action(struct gdb_session *s, const char *text, size_t length, struct gdb_resume *how)
{
    char word[32];
    const char *at = word + 1;
    unsigned thread = 0;
    uint64_t signal = 0;
    if (length >= sizeof word)
        return false;
    memcpy(word, text, length);
    word[length] = '\0';
    const bool steps = word[0] == 's' || word[0] == 'S', signals = word[0] == 'C' || word[0] == 'S';
    if ((!steps && !signals && word[0] != 'c') ||
        (signals && (!gdb_scan_number(&at, &signal, 0) || signal > 0xff)))
        return false;
    if (*at && (*at != ':' || !scan_thread(s, at + 1, &thread)))
        return false;
    if (signals && !how->signal_thread)
        give_signal(s, how, thread ? thread : s->stop.thread, signal);
    if (steps && !how->step)
        how->step = thread ? thread : s->stop.thread;
    if (!steps && !thread) /* all others */
        how->alone = false;
    return true;
}

/* vCont;ACTION[:THREAD]...: of those that step, the first. Threads that are not named stand still. */
static void continue_by_actions(struct gdb_session *s, const char *text)
{
    struct gdb_resume how = {.alone = true};
    bool any = false;
    while (*text == ';') {
        const size_t length = strcspn(text + 1, ";");
        if (!scan_action(s, text + 1, length, &how))
            break;
        any = true;
        text += length + 1;
    }
    how.alone &= how.step != 0;
    if (*text || !any)
        gdb_send_error(s, ERROR_BAD);
    else
        resume(s, &how);
}

/* c, s, C, S with an optional address, which is refused: gdb does not send one. */
static void continue_plainly(struct gdb_session *s, const char *packet)
{
    const bool with_signal = packet[0] == 'C' || packet[0] == 'S';
    const bool step = packet[0] == 's' || packet[0] == 'S';
    struct gdb_resume how = {.alone = step};
    const char *text = packet + 1;
    uint64_t signal;
    if (strlen(packet) != (with_signal ? 3u : 1u) || (with_signal && !gdb_scan_number(&text, &signal, 0))) {
        gdb_send_error(s, ERROR_BAD);
        return;
    }
    if (step)
        how.step = s->step_thread ? s->step_thread : s->stop.thread;
    if (with_signal)
        give_signal(s, &how, s->stop.thread, signal);
    resume(s, &how);
}

/* QPassSignals:N;N...: those that are not worth a stop. */
static void pass_signals(struct gdb_session *s, const char *text)
{
    uint64_t number;
    memset(s->settings.passed, 0, sizeof s->settings.passed);
    while (gdb_scan_number(&text, &number, 0)) {
        if (number < 64 * ARRAY_SIZE(s->settings.passed))
            s->settings.passed[number / 64] |= 1ull << number % 64;
        text += *text == ';';
    }
    reply(s, "OK");
}

/* -- packets --------------------------------------------------------------------------------------------- */

bool gdb_skip(const char **text, const char *word)
{
    const size_t length = strlen(word);
    if (strncmp(*text, word, length) != 0)
        return false;
    *text += length;
    return true;
}

static void say_supported(struct gdb_session *s, const char *text)
{
    s->settings.exec_events = strstr(text, "exec-events+") != NULL;
    reply_format(
        s, "PacketSize=%x;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+;QStartNoAckMode+%s",
        GDB_PACKET_MAX,
        s->target->process
            ? ";QPassSignals+;qXfer:auxv:read+;qXfer:exec-file:read+;qXfer:siginfo:read+;exec-events+"
            : "");
}

static void query(struct gdb_session *s, const char *text)
{
    if (gdb_skip(&text, "Supported")) {
        say_supported(s, text);
    } else if (s->target->process && gdb_process_query(s, text)) {
        return;
    } else if (gdb_skip(&text, "Xfer:features:read:target.xml:")) {
        read_description(s, text);
    } else if (strcmp(text, "fThreadInfo") == 0) {
        s->listed = 0;
        list_threads(s);
    } else if (strcmp(text, "sThreadInfo") == 0) {
        list_threads(s);
    } else if (gdb_skip(&text, "ThreadExtraInfo,")) {
        describe_thread(s, text);
    } else if (strcmp(text, "C") == 0) {
        reply_format(s, "QC%x", s->stop.thread);
    } else if (strcmp(text, "Attached") == 0) {
        reply(s, "1");
    } else {
        reply(s, "");
    }
}

static void verbose(struct gdb_session *s, const char *text)
{
    if (strcmp(text, "Cont?") == 0) {
        reply(s, "vCont;c;C;s;S");
    } else if (gdb_skip(&text, "Cont")) {
        continue_by_actions(s, text);
    } else if (s->target->process && gdb_process_file(s, text)) {
        return;
    } else if (gdb_skip(&text, "Kill")) {
        s->ended = true;
        s->target->kill(s->target->opaque);
        reply(s, "OK");
    } else {
        reply(s, "");
    }
}

static void detach(struct gdb_session *s)
{
    reply(s, "OK");
    gdb_end(s);
}

static void thread_alive(struct gdb_session *s, const char *text)
{
    unsigned thread;
    if (scan_thread(s, text, &thread) && thread)
        reply(s, "OK");
    else
        gdb_send_error(s, ERROR_BAD);
}

static void handle_packet(struct gdb_session *s)
{
    const char *packet = s->packet;
    switch (packet[0]) {
    case '?': report_stop(s); return;
    case 'g': read_registers(s); return;
    case 'G': write_registers(s, packet + 1); return;
    case 'p': read_register(s, packet + 1); return;
    case 'P': write_register(s, packet + 1); return;
    case 'm': read_memory(s, packet + 1); return;
    case 'M': write_memory(s, packet + 1); return;
    case 'X': write_binary(s, packet + 1, packet + s->size); return;
    case 'Z': change_breakpoint(s, packet + 1, true); return;
    case 'z': change_breakpoint(s, packet + 1, false); return;
    case 'H': choose_thread(s, packet + 1); return;
    case 'T': thread_alive(s, packet + 1); return;
    case 'c':
    case 'C':
    case 's':
    case 'S': continue_plainly(s, packet); return;
    case 'q': query(s, packet + 1); return;
    case 'v': verbose(s, packet + 1); return;
    case 'D': detach(s); return;
    case 'k':
        s->ended = true;
        s->target->kill(s->target->opaque);
        return;
    case 'Q':
        if (strcmp(packet, "QStartNoAckMode") == 0) {
            s->settings.no_ack = true;
            reply(s, "OK");
            return;
        }
        if (s->target->process && gdb_skip(&packet, "QPassSignals:")) {
            pass_signals(s, packet);
            return;
        }
    }
    reply(s, "");
}

static void end_packet(struct gdb_session *s)
{
    const bool whole = s->wanted == s->sum && s->size < GDB_PACKET_MAX;
    s->at = GDB_BETWEEN;
    s->packet[s->size] = '\0';
    if (!s->settings.no_ack)
        s->send(s->opaque, whole ? "+" : "-", 1);
    if (whole && !s->running)
        handle_packet(s);
}

static void feed_byte(struct gdb_session *s, uint8_t byte)
{
    const int digit = hex_value((char)byte);
    switch (s->at) {
    case GDB_BETWEEN:
        if (byte == INTERRUPT && s->running)
            s->target->interrupt(s->target->opaque);
        if (byte != '$')
            return;
        s->at = GDB_DATA;
        s->size = 0;
        s->sum = 0;
        return;
    case GDB_DATA:
        if (byte == '#') {
            s->at = GDB_SUM1;
            return;
        }
        s->sum += byte;
        if (s->size < GDB_PACKET_MAX) /* longer ones are not acknowledged */
            s->packet[s->size++] = (char)byte;
        return;
    case GDB_SUM1:
        s->wanted = (uint8_t)((digit < 0 ? 0 : digit) << 4);
        s->at = GDB_SUM2;
        return;
    case GDB_SUM2:
        s->wanted |= (uint8_t)(digit < 0 ? 0 : digit);
        end_packet(s);
        return;
    }
}

/* -- the session ----------------------------------------------------------------------------------------- */

void gdb_begin(struct gdb_session *session, const struct gdb_target *target, const struct gdb_stop *stop,
               void (*send)(void *opaque, const void *data, size_t size), void *opaque)
{
    *session = (struct gdb_session){
        .target = target,
        .send = send,
        .opaque = opaque,
        .thread = stop->thread,
        .stop = *stop,
    };
}

void gdb_begin_again(struct gdb_session *session, const struct gdb_target *target,
                     const struct gdb_settings *settings,
                     void (*send)(void *opaque, const void *data, size_t size), void *opaque)
{
    *session = (struct gdb_session){
        .target = target, .send = send, .opaque = opaque, .running = true, .settings = *settings};
}

void gdb_end(struct gdb_session *session)
{
    const bool running = session->running, ended = session->ended;
    session->ended = true;
    buffer_free(&session->description);
    gdb_process_free(session);
    if (ended)
        return;
    if (session->breakpoint_count) {
        session->breakpoint_count = 0;
        apply_breakpoints(session);
    }
    if (!running)
        session->target->resume(session->target->opaque, &(const struct gdb_resume){0});
}

void gdb_feed(struct gdb_session *session, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size && !session->ended; i++)
        feed_byte(session, bytes[i]);
}

void gdb_stopped(struct gdb_session *session, const struct gdb_stop *stop)
{
    if (!session->running || session->ended)
        return;
    session->running = false;
    session->stop = *stop;
    session->thread = stop->thread;
    report_stop(session);
}

bool gdb_wants_signal(const struct gdb_session *session, int signal)
{
    const unsigned number = gdb_signal_number(signal);
    return number >= 64 * ARRAY_SIZE(session->settings.passed) ||
           !(session->settings.passed[number / 64] >> number % 64 & 1);
}

void gdb_exited(struct gdb_session *session, unsigned status)
{
    if (session->running && !session->ended)
        reply_format(session, "W%02x", status & 0xff);
    session->ended = true;
}

void gdb_killed(struct gdb_session *session, int signal)
{
    if (session->running && !session->ended)
        reply_format(session, "X%02x", gdb_signal_number(signal) & 0xff);
    session->ended = true;
}
