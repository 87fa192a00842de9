/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gdb's protocol against a target with two threads and 256 bytes of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/x86/state.h"
#include "base/macros.h"
#include "debug/gdb.h"

#define MEMORY_START 0x1000

static struct {
    struct x86_state states[2];
    uint8_t memory[256];
    struct gdb_breakpoint breakpoints[8];
    unsigned breakpoint_count, resumed, stepped, interrupted, killed;
    struct gdb_resume how;
} guest;

static struct gdb_session session;
static char sent[64 << 10];
static size_t sent_size;

static unsigned next_thread(void *opaque, unsigned thread)
{
    (void)opaque;
    return thread < 2 ? thread + 1 : 0;
}

static void thread_text(void *opaque, unsigned thread, char *text, size_t size)
{
    (void)opaque;
    snprintf(text, size, "vCPU %u", thread - 1);
}

static int get_state(void *opaque, unsigned thread, void *state)
{
    (void)opaque;
    *(struct x86_state *)state = guest.states[thread - 1];
    return 0;
}

static int set_state(void *opaque, unsigned thread, const void *state)
{
    (void)opaque;
    guest.states[thread - 1] = *(const struct x86_state *)state;
    return 0;
}

static bool is_inside(uint64_t address, size_t size)
{
    return address >= MEMORY_START && address - MEMORY_START <= sizeof guest.memory &&
           size <= sizeof guest.memory - (address - MEMORY_START);
}

static int read_memory(void *opaque, unsigned thread, uint64_t address, void *buffer, size_t size)
{
    (void)opaque, (void)thread;
    if (!is_inside(address, size))
        return -EFAULT;
    memcpy(buffer, guest.memory + (address - MEMORY_START), size);
    return 0;
}

static int write_memory(void *opaque, unsigned thread, uint64_t address, const void *buffer, size_t size)
{
    (void)opaque, (void)thread;
    if (!is_inside(address, size))
        return -EFAULT;
    memcpy(guest.memory + (address - MEMORY_START), buffer, size);
    return 0;
}

static int set_breakpoints(void *opaque, const struct gdb_breakpoint *breakpoints, unsigned count)
{
    (void)opaque;
    for (unsigned i = 0; i < count; i++) {
        if (breakpoints[i].kind == GDB_WATCH_READ)
            return -ENOTSUP;
        guest.breakpoints[i] = breakpoints[i];
    }
    guest.breakpoint_count = count;
    return 0;
}

static void resume(void *opaque, const struct gdb_resume *how)
{
    (void)opaque;
    guest.resumed++;
    guest.how = *how;
    guest.stepped = how->step;
}

static void interrupt(void *opaque)
{
    (void)opaque;
    guest.interrupted++;
}

static void kill_domain(void *opaque)
{
    (void)opaque;
    guest.killed++;
}

static const struct gdb_target target = {
    .arch = &gdb_arch_x86_64,
    .next_thread = next_thread,
    .thread_text = thread_text,
    .get_state = get_state,
    .set_state = set_state,
    .read = read_memory,
    .write = write_memory,
    .set_breakpoints = set_breakpoints,
    .resume = resume,
    .interrupt = interrupt,
    .kill = kill_domain,
};

/* -- a program: the same, with what only programs have -----------------------------------------------------
 */

static ssize_t auxiliary(void *opaque, void *buffer, size_t size)
{
    (void)opaque;
    assert_true(size >= 4);
    memcpy(buffer, "#}$1", 4);
    return 4;
}

static ssize_t executable(void *opaque, char *path, size_t size)
{
    (void)opaque;
    return snprintf(path, size, "/bin/true");
}

static ssize_t signal_info(void *opaque, unsigned thread, void *buffer, size_t size)
{
    (void)opaque;
    assert_true(size >= 1);
    *(char *)buffer = (char)('0' + thread);
    return 1;
}

/* The only file there is has three bytes. */
static int open_file(void *opaque, const char *path)
{
    (void)opaque;
    if (strcmp(path, "/f") != 0)
        return -ENOENT;
    const int fd = memfd_create("f", MFD_CLOEXEC);
    assert_int_equal(write(fd, "a*c", 3), 3);
    return fd;
}

static const struct gdb_process process = {auxiliary, executable, signal_info, open_file};
static struct gdb_target program;

static void collect(void *opaque, const void *data, size_t size)
{
    (void)opaque;
    assert_true(sent_size + size < sizeof sent);
    memcpy(sent + sent_size, data, size);
    sent_size += size;
    sent[sent_size] = '\0';
}

static int begin(void **state)
{
    (void)state;
    memset(&guest, 0, sizeof guest);
    sent_size = 0;
    gdb_begin(&session, &target, &(const struct gdb_stop){.thread = 1}, collect, NULL);
    session.settings.no_ack = true;
    return 0;
}

static int begin_program(void **state)
{
    begin(state);
    program = target;
    program.process = &process;
    gdb_begin(&session, &program, &(const struct gdb_stop){.thread = 1}, collect, NULL);
    session.settings.no_ack = true;
    return 0;
}

static int end(void **state)
{
    (void)state;
    gdb_end(&session);
    return 0;
}

static void feed_packet(const char *data, size_t size)
{
    uint8_t sum = 0;
    char tail[8];
    for (size_t i = 0; i < size; i++)
        sum += (uint8_t)data[i];
    snprintf(tail, sizeof tail, "#%02x", sum);
    sent_size = 0;
    sent[0] = '\0';
    gdb_feed(&session, "$", 1);
    gdb_feed(&session, data, size);
    gdb_feed(&session, tail, 3);
}

/* The answer to a packet, without its frame, whose sum is checked. */
static const char *ask(const char *packet)
{
    static char answer[sizeof sent];
    feed_packet(packet, strlen(packet));
    if (sent_size == 0)
        return "";
    unsigned sum = 0, told = 0;
    for (size_t i = 1; i < sent_size - 3; i++)
        sum += (uint8_t)sent[i];
    assert_int_equal(sent[0], '$');
    assert_int_equal(sscanf(sent + sent_size - 3, "#%02x", &told), 1);
    assert_int_equal(told, sum & 0xff);
    memcpy(answer, sent + 1, sent_size - 4);
    answer[sent_size - 4] = '\0';
    return answer;
}

static void frames_are_acknowledged_unless_agreed_otherwise(void **state)
{
    (void)state;
    session.settings.no_ack = false;
    gdb_feed(&session, "+$qC#b4", 7);
    assert_string_equal(sent, "+$QC1#c5");
    sent_size = 0;
    gdb_feed(&session, "$qC#b5", 6);
    assert_string_equal(sent, "-");
    sent_size = 0;
    gdb_feed(&session, "$QStartNoAckMode#b0", 19);
    assert_string_equal(sent, "+$OK#9a");
    assert_string_equal(ask("qC"), "QC1");
}

static void registers_are_read_and_written_in_gdbs_order(void **state)
{
    (void)state;
    guest.states[0].gpr[X86_RAX] = 0x1122334455667788;
    guest.states[0].gpr[X86_RBX] = 0xa;
    guest.states[0].rip = 0xfff0;
    assert_memory_equal(ask("g"), "88776655443322110a00000000000000", 32);
    assert_string_equal(ask("p10"), "f0ff000000000000");
    assert_string_equal(ask("P1=0102030405060708"), "OK");
    assert_int_equal(guest.states[0].gpr[X86_RBX], 0x0807060504030201);
    assert_string_equal(ask("P11=d7080000"), "OK");
    assert_int_equal(x86_eflags_get(&guest.states[0]), 0x8d7);
    assert_string_equal(ask("P1=01"), "E16");
    assert_string_equal(ask("pfff"), "E16");

    /* All at once gives what was read. */
    char text[GDB_PACKET_MAX];
    snprintf(text, sizeof text, "G%s", ask("g"));
    struct x86_state before = guest.states[0];
    assert_string_equal(ask(text), "OK");
    assert_memory_equal(&before, &guest.states[0], sizeof before);
}

static void tags_of_the_x87_say_what_is_in_a_register(void **state)
{
    (void)state;
    uint8_t *x87 = guest.states[0].x87;
    x87[3] = 6 << 3; /* top is 6: ST(0) is register 6, ST(1) register 7 */
    x87[4] = 0xc0;
    x87[32 + 7] = 0x80; /* ST(0) = 1.0 */
    x87[32 + 8] = 0xff;
    x87[32 + 9] = 0x3f;
    assert_string_equal(ask("p22"), "ff4f0000"); /* register 6 valid, 7 zero, the rest empty */
    assert_string_equal(ask("P22=ffff0000"), "OK");
    assert_int_equal(x87[4], 0);
}

static void threads_have_their_own_registers(void **state)
{
    (void)state;
    guest.states[1].gpr[X86_RAX] = 0x77;
    assert_string_equal(ask("qfThreadInfo"), "m1,2");
    assert_string_equal(ask("qsThreadInfo"), "l");
    assert_string_equal(ask("qThreadExtraInfo,2"), "764350552031");
    assert_string_equal(ask("Hg2"), "OK");
    assert_string_equal(ask("p0"), "7700000000000000");
    assert_string_equal(ask("Hg3"), "E16");
    assert_string_equal(ask("T2"), "OK");
    assert_string_equal(ask("T3"), "E16");
}

static void memory_is_read_and_written(void **state)
{
    (void)state;
    static const char binary[] = "X1000,3:}\x03}]\x01"; /* # } 01 */
    assert_string_equal(ask("M1010,4:01020304"), "OK");
    assert_string_equal(ask("m100f,6"), "000102030400");
    assert_string_equal(ask("m10ff,2"), "E0e");
    assert_string_equal(ask("M1010,4:0102"), "E16");
    assert_string_equal(ask("m10"), "E16");
    feed_packet(binary, sizeof binary - 1);
    assert_memory_equal(guest.memory, "#}\x01", 3);
    assert_string_equal(ask("M1010,fffff:00"), "E16");
}

static void breakpoints_come_and_go(void **state)
{
    (void)state;
    assert_string_equal(ask("Z0,1000,1"), "OK");
    assert_string_equal(ask("Z0,1000,1"), "OK"); /* gdb may say it twice */
    assert_string_equal(ask("Z2,1020,8"), "OK");
    assert_int_equal(guest.breakpoint_count, 2);
    assert_string_equal(ask("Z3,1020,8"), ""); /* not supported here */
    assert_int_equal(guest.breakpoint_count, 2);
    assert_string_equal(ask("z0,1000,1"), "OK");
    assert_int_equal(guest.breakpoint_count, 1);
    assert_int_equal(guest.breakpoints[0].kind, GDB_WATCH_WRITE);
    gdb_end(&session);
    assert_int_equal(guest.breakpoint_count, 0);
    assert_int_equal(guest.resumed, 1);
}

static void running_ends_with_a_reason(void **state)
{
    (void)state;
    assert_string_equal(ask("?"), "T05thread:1;");
    assert_string_equal(ask("vCont;s:2;c"), "");
    assert_int_equal(guest.stepped, 2);
    assert_string_equal(ask("g"), ""); /* only an interrupt is heard now */
    gdb_feed(&session, "\x03", 1);
    assert_int_equal(guest.interrupted, 1);
    gdb_stopped(&session, &(struct gdb_stop){.reason = GDB_STOP_INTERRUPT, .thread = 2});
    assert_non_null(strstr(sent, "$T02thread:2;#"));
    assert_string_equal(ask("vCont;c"), "");
    assert_int_equal(guest.stepped, 0);
    gdb_stopped(&session,
                &(struct gdb_stop){
                    .reason = GDB_STOP_WATCHPOINT, .thread = 1, .address = 0x1020, .kind = GDB_WATCH_WRITE});
    assert_non_null(strstr(sent, "$T05thread:1;watch:1020;#"));
    assert_string_equal(ask("s"), "");
    assert_int_equal(guest.stepped, 1);
    gdb_exited(&session, 3);
    assert_non_null(strstr(sent, "$W03#"));
}

static void actions_say_who_runs(void **state)
{
    (void)state;
    static const struct {
        const char *packet;
        struct gdb_resume how;
    } cases[] = {
        {"c", {0}},
        {"vCont;c", {0}},
        {"vCont;s:2", {.step = 2, .alone = true}},
        {"vCont;s:2;c", {.step = 2}},
        {"vCont;C0b:2;c", {.signal = SIGSEGV, .signal_thread = 2}},
        {"vCont;S1e:2", {.step = 2, .alone = true, .signal = SIGUSR1, .signal_thread = 2}},
        {"C05", {.signal = SIGTRAP, .signal_thread = 1}},
        {"S00", {.step = 1, .alone = true}},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_string_equal(ask(cases[i].packet), "");
        assert_int_equal(guest.how.step, cases[i].how.step);
        assert_int_equal(guest.how.alone, cases[i].how.alone);
        assert_int_equal(guest.how.signal, cases[i].how.signal);
        assert_int_equal(guest.how.signal_thread, cases[i].how.signal_thread);
        gdb_stopped(&session, &(struct gdb_stop){.reason = GDB_STOP_TRAP, .thread = 1});
    }
}

static void programs_stop_for_signals_and_die_of_them(void **state)
{
    (void)state;
    assert_non_null(strstr(ask("qSupported:exec-events+"), ";QPassSignals+;"));
    assert_string_equal(ask("QPassSignals:e;14;4d"), "OK");
    assert_true(gdb_wants_signal(&session, SIGUSR1));
    assert_false(gdb_wants_signal(&session, SIGALRM));
    assert_false(gdb_wants_signal(&session, SIGCHLD));
    assert_false(gdb_wants_signal(&session, 32));
    assert_string_equal(ask("QPassSignals:"), "OK");
    assert_true(gdb_wants_signal(&session, SIGALRM));
    ask("c");
    gdb_stopped(&session, &(struct gdb_stop){.reason = GDB_STOP_SIGNAL, .thread = 2, .signal = SIGBUS});
    assert_non_null(strstr(sent, "$T0athread:2;#"));
    assert_string_equal(ask("qXfer:siginfo:read::0,100"), "l2");
    ask("c");
    gdb_stopped(&session, &(struct gdb_stop){.reason = GDB_STOP_EXEC, .thread = 1});
    assert_non_null(strstr(sent, "$T05thread:1;exec:2f62696e2f74727565;#"));
    ask("c");
    gdb_killed(&session, SIGUSR2);
    assert_non_null(strstr(sent, "$X1f#"));
}

static void signals_have_gdbs_numbers(void **state)
{
    (void)state;
    for (int host = 1; host <= 64; host++) {
        const unsigned number = gdb_signal_number(host);
        assert_int_equal(gdb_signal_host(number), number == 143 ? 0 : host);
        assert_true(number != 143 || host == SIGSTKFLT);
    }
    assert_int_equal(gdb_signal_number(33), 45);
    assert_int_equal(gdb_signal_number(63), 75);
    assert_int_equal(gdb_signal_number(0), 143);
    assert_int_equal(gdb_signal_number(65), 143);
}

static void programs_have_files(void **state)
{
    (void)state;
    assert_string_equal(ask("qXfer:auxv:read::0,100"), "l}\x03}]}\x04"
                                                       "1");
    assert_string_equal(ask("qXfer:auxv:read::1,1"), "m}]");
    assert_string_equal(ask("qXfer:exec-file:read:1a:0,100"), "l/bin/true");
    assert_string_equal(ask("qXfer:exec-file:read::5,100"), "ltrue");
    assert_string_equal(ask("vFile:setfs:0"), "F0");
    assert_string_equal(ask("vFile:open:2f67,0,0"), "F-1,2");
    assert_string_equal(ask("vFile:open:2f66,1,0"), "F-1,1e"); /* to write */
    assert_string_equal(ask("vFile:open:2f6,0,0"), "F-1,16");
    assert_string_equal(ask("vFile:open:2f66,0,0"), "F0");
    assert_string_equal(ask("vFile:pread:0,100,0"), "F3;a}\x0a"
                                                    "c");
    assert_string_equal(ask("vFile:pread:0,100,3"), "F0;");
    assert_memory_equal(ask("vFile:fstat:0"), "F40;", 4);
    assert_string_equal(ask("vFile:pread:1,100,0"), "F-1,9");
    assert_string_equal(ask("vFile:close:0"), "F0");
    assert_string_equal(ask("vFile:close:0"), "F-1,9");
    assert_memory_equal(ask("vFile:readlink:2f70726f632f73656c66"), "F", 1);
    for (unsigned i = 0; i < GDB_FILES_MAX; i++)
        assert_int_equal(ask("vFile:open:2f66,0,0")[1], i < 10 ? '0' + i : 'a' + i - 10);
    assert_string_equal(ask("vFile:open:2f66,0,0"), "F-1,18");
}

static void machines_have_no_files(void **state)
{
    (void)state;
    assert_string_equal(ask("vFile:open:2f66,0,0"), "");
    assert_string_equal(ask("qXfer:auxv:read::0,100"), "");
    assert_string_equal(ask("QPassSignals:e"), "");
    assert_null(strstr(ask("qSupported"), "auxv"));
    assert_string_equal(ask("vCont;C0b:2;c"), "");
    assert_int_equal(guest.how.signal_thread, 0);
}

static void another_program_keeps_what_was_agreed(void **state)
{
    (void)state;
    ask("qSupported:exec-events+");
    ask("QPassSignals:e");
    const struct gdb_settings settings = session.settings;
    gdb_begin_again(&session, &program, &settings, collect, NULL);
    gdb_stopped(&session, &(struct gdb_stop){.reason = GDB_STOP_EXEC, .thread = 2});
    assert_non_null(strstr(sent, "$T05thread:2;exec:"));
    assert_false(gdb_wants_signal(&session, SIGALRM));
    assert_string_equal(ask("qC"), "QC2");
}

static void senseless_actions_do_not_run_anything(void **state)
{
    (void)state;
    static const char *const packets[] = {"vCont",    "vCont;", "vCont;x", "vCont;c:9",
                                          "vCont;cc", "c1000",  "S0"};
    for (unsigned i = 0; i < ARRAY_SIZE(packets); i++)
        assert_string_equal(ask(packets[i]), "E16");
    assert_int_equal(guest.resumed, 0);
}

static void description_comes_in_pieces(void **state)
{
    (void)state;
    char whole[32 << 10] = "";
    size_t size = 0;
    for (;;) {
        char packet[64];
        snprintf(packet, sizeof packet, "qXfer:features:read:target.xml:%zx,200", size);
        const char *answer = ask(packet);
        assert_true(strlen(answer) <= 0x201);
        size += (size_t)snprintf(whole + size, sizeof whole - size, "%s", answer + 1);
        if (answer[0] == 'l')
            break;
        assert_int_equal(answer[0], 'm');
    }
    assert_non_null(strstr(whole, "<architecture>i386:x86-64</architecture>"));
    assert_non_null(strstr(whole, "<reg name=\"xmm15\" bitsize=\"128\" type=\"vec128\"/>"));
    assert_non_null(strstr(whole + size - 10, "</target>"));
    assert_string_equal(ask("qXfer:features:read:target.xml:fffff,200"), "E0e");
}

static void kill_ends_the_domain(void **state)
{
    (void)state;
    assert_string_equal(ask("vKill;1"), "OK");
    assert_int_equal(guest.killed, 1);
    assert_string_equal(ask("?"), "");
}

static void overlong_packet_is_refused(void **state)
{
    (void)state;
    static char packet[GDB_PACKET_MAX + 100];
    memset(packet, '1', sizeof packet);
    session.settings.no_ack = false;
    feed_packet(packet, sizeof packet);
    assert_string_equal(sent, "-");
    session.settings.no_ack = true;
    assert_string_equal(ask("?"), "T05thread:1;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_are_acknowledged_unless_agreed_otherwise, begin, end),
        cmocka_unit_test_setup_teardown(registers_are_read_and_written_in_gdbs_order, begin, end),
        cmocka_unit_test_setup_teardown(tags_of_the_x87_say_what_is_in_a_register, begin, end),
        cmocka_unit_test_setup_teardown(threads_have_their_own_registers, begin, end),
        cmocka_unit_test_setup_teardown(memory_is_read_and_written, begin, end),
        cmocka_unit_test_setup_teardown(breakpoints_come_and_go, begin, end),
        cmocka_unit_test_setup_teardown(running_ends_with_a_reason, begin, end),
        cmocka_unit_test_setup_teardown(actions_say_who_runs, begin_program, end),
        cmocka_unit_test_setup_teardown(programs_stop_for_signals_and_die_of_them, begin_program, end),
        cmocka_unit_test_setup_teardown(programs_have_files, begin_program, end),
        cmocka_unit_test_setup_teardown(another_program_keeps_what_was_agreed, begin_program, end),
        cmocka_unit_test_setup_teardown(machines_have_no_files, begin, end),
        cmocka_unit_test(signals_have_gdbs_numbers),
        cmocka_unit_test_setup_teardown(senseless_actions_do_not_run_anything, begin, end),
        cmocka_unit_test_setup_teardown(description_comes_in_pieces, begin, end),
        cmocka_unit_test_setup_teardown(kill_ends_the_domain, begin, end),
        cmocka_unit_test_setup_teardown(overlong_packet_is_refused, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
