/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event loop: watches that change and go inside callbacks and by other threads, calls from threads,
 * timers on the real and on a standing clock, the end from a signal handler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/macros.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct loop *loop;

static struct loop *make_loop(struct timers *timers)
{
    struct error error = ERROR_INIT;
    assert_int_equal(loop_new(&loop, &lock, timers, &error), 0);
    return loop;
}

static bool lock_is_held(void)
{
    if (pthread_mutex_trylock(&lock))
        return true;
    pthread_mutex_unlock(&lock);
    return false;
}

/* Watches. */

struct end {
    int fd;
    struct loop_watch *watch;
    struct end *other; /* removed and closed by the first that is called */
    unsigned called, events;
};

static void read_byte(void *opaque, unsigned events)
{
    struct end *end = opaque;
    char byte;
    assert_true(lock_is_held());
    end->called++;
    end->events = events;
    if (read(end->fd, &byte, 1) == 1 && byte == 'q')
        loop_stop(loop);
}

static void test_read(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    make_loop(NULL);
    struct end end = {.fd = pair[0]};
    end.watch = loop_watch_add(loop, pair[0], LOOP_READ, read_byte, &end, NULL);
    assert_non_null(end.watch);
    assert_int_equal(write(pair[1], "abcq", 4), 4);
    loop_run(loop);
    assert_int_equal(end.called, 4);
    assert_int_equal(end.events, LOOP_READ);
    assert_false(lock_is_held());
    loop_free(loop); /* the watch goes with it */
    close(pair[0]);
    close(pair[1]);
}

static void take_urgent(void *opaque, unsigned events)
{
    struct end *end = opaque;
    char byte;
    end->called++;
    end->events = events;
    assert_int_equal(recv(end->fd, &byte, 1, MSG_OOB), 1);
    loop_stop(loop);
}

/* What is only urgent is told to who waits for that, and what is not is not. */
static void test_urgent(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct error error = ERROR_INIT;
    struct end end = {0};
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(connect(one, (struct sockaddr *)&address, size), 0);
    end.fd = accept(listener, NULL, NULL);
    assert_true(end.fd >= 0);
    make_loop(NULL);
    end.watch = loop_watch_add(loop, end.fd, LOOP_URGENT, take_urgent, &end, &error);
    assert_non_null(end.watch);
    assert_int_equal(send(one, "a", 1, 0), 1);
    assert_int_equal(send(one, "b", 1, MSG_OOB), 1);
    loop_run(loop);
    assert_int_equal(end.called, 1);
    assert_int_equal(end.events, LOOP_URGENT);
    loop_watch_remove(end.watch);
    loop_free(loop);
    close(end.fd);
    close(one);
    close(listener);
}

static void test_refused(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    make_loop(NULL);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_null(loop_watch_add(loop, file, LOOP_READ, read_byte, NULL, &error));
    assert_int_equal(error.code, -EPERM);
    close(file);
    assert_null(loop_watch_add(loop, file, LOOP_READ, read_byte, NULL, &error));
    assert_int_equal(error.code, -EBADF);
    loop_free(loop);
}

static void remove_other(void *opaque, unsigned events)
{
    struct end *end = opaque;
    (void)events;
    end->called++;
    if (end->other->watch) { /* whose event is pending */
        loop_watch_remove(end->other->watch);
        close(end->other->fd);
        end->other->watch = NULL;
    }
    loop_watch_remove(end->watch);
    end->watch = NULL;
    loop_stop(loop);
}

static void test_remove_inside(void **state)
{
    (void)state;
    int a[2], b[2];
    assert_int_equal(pipe2(a, O_CLOEXEC) | pipe2(b, O_CLOEXEC), 0);
    make_loop(NULL);
    struct end one = {.fd = a[0]}, two = {.fd = b[0], .other = &one};
    one.other = &two;
    one.watch = loop_watch_add(loop, a[0], LOOP_READ, remove_other, &one, NULL);
    two.watch = loop_watch_add(loop, b[0], LOOP_READ, remove_other, &two, NULL);
    assert_int_equal(write(a[1], "x", 1) + write(b[1], "x", 1), 2);
    loop_run(loop);
    assert_int_equal(one.called + two.called, 1);
    assert_true(!one.watch && !two.watch);
    close(one.called ? a[0] : b[0]);
    close(a[1]);
    close(b[1]);
    loop_free(loop);
}

static void change_inside(void *opaque, unsigned events)
{
    struct end *end = opaque;
    end->called++;
    end->events |= events;
    if (events == LOOP_WRITE)
        loop_watch_change(end->watch, LOOP_READ);
    else if (events & LOOP_READ)
        loop_watch_change(end->watch, LOOP_HANGUP);
    else
        loop_stop(loop);
    if (events & LOOP_HANGUP)
        loop_watch_change(end->watch, 0);
    if (events & LOOP_READ)
        shutdown(end->other->fd, SHUT_RDWR);
}

static void test_change_inside(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    make_loop(NULL);
    struct end other = {.fd = pair[1]}, end = {.fd = pair[0], .other = &other};
    end.watch = loop_watch_add(loop, pair[0], LOOP_WRITE, change_inside, &end, NULL);
    assert_int_equal(write(pair[1], "x", 1), 1);
    loop_run(loop);
    assert_int_equal(end.called, 3);
    assert_int_equal(end.events, LOOP_READ | LOOP_WRITE | LOOP_HANGUP);
    loop_watch_remove(end.watch);
    close(pair[0]);
    close(pair[1]);
    loop_free(loop);
}

/* The read end of a pipe is closed: POLLERR, after which the watch must still work. */
static unsigned hangups;

static void broken_pipe(void *opaque, unsigned events)
{
    struct end *end = opaque;
    assert_true(events & LOOP_WRITE);
    if (++hangups < 3)
        return; /* level-triggered: again */
    loop_watch_remove(end->watch);
    loop_stop(loop);
}

static void test_error(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    close(pair[0]);
    make_loop(NULL);
    struct end end = {.fd = pair[1]};
    end.watch = loop_watch_add(loop, pair[1], LOOP_WRITE, broken_pipe, &end, NULL);
    loop_run(loop);
    assert_int_equal(hangups, 3);
    loop_free(loop);
    close(pair[1]);
}

/* Other threads add, change and remove watches under the lock, and close and reuse the descriptors at once.
 */

static atomic_uint echoed;

static void echo(void *opaque, unsigned events)
{
    struct end *end = opaque;
    char bytes[16];
    (void)events;
    ssize_t size = read(end->fd, bytes, sizeof bytes);
    if (size > 0)
        atomic_fetch_add(&echoed, (unsigned)size);
    end->called++;
}

static void *watch_thread(void *argument)
{
    (void)argument;
    for (unsigned round = 0; round < 500; round++) {
        int pair[2];
        struct end end = {0};
        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        end.fd = pair[0];
        pthread_mutex_lock(&lock);
        end.watch = loop_watch_add(loop, pair[0], round % 2 ? LOOP_READ : 0, echo, &end, NULL);
        assert_non_null(end.watch);
        pthread_mutex_unlock(&lock);
        assert_int_equal(write(pair[1], "x", 1), 1);
        pthread_mutex_lock(&lock);
        loop_watch_change(end.watch, LOOP_READ);
        pthread_mutex_unlock(&lock);
        if (round % 4) {
            for (unsigned called = 0; !called; sched_yield()) {
                pthread_mutex_lock(&lock);
                called = end.called;
                pthread_mutex_unlock(&lock);
            }
        }
        pthread_mutex_lock(&lock);
        loop_watch_remove(end.watch);
        if (round % 8 == 0) { /* the same descriptor again */
            end.watch = loop_watch_add(loop, pair[0], LOOP_READ, echo, &end, NULL);
            assert_non_null(end.watch);
            loop_watch_remove(end.watch);
        }
        close(pair[0]);
        pthread_mutex_unlock(&lock);
        close(pair[1]);
    }
    return NULL;
}

static void *run_thread(void *argument)
{
    loop_run(argument);
    return NULL;
}

static void test_watch_threads(void **state)
{
    (void)state;
    pthread_t runner, threads[3];
    make_loop(NULL);
    pthread_create(&runner, NULL, run_thread, loop);
    for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_create(&threads[i], NULL, watch_thread, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    loop_stop(loop);
    pthread_join(runner, NULL);
    assert_true(atomic_load(&echoed) >= 3 * 375);
    loop_free(loop);
}

/* Calls. */

struct poster {
    struct loop_call call;
    atomic_uint sent;
    unsigned seen; /* of `sent`, by the last call */
    unsigned calls;
};

static void posted(void *opaque)
{
    struct poster *poster = opaque;
    assert_true(lock_is_held());
    poster->seen = atomic_load(&poster->sent);
    poster->calls++;
}

static void *post_thread(void *argument)
{
    struct poster *poster = argument;
    for (unsigned i = 0; i < 20000; i++) {
        atomic_fetch_add(&poster->sent, 1);
        loop_post(loop, &poster->call);
    }
    return NULL;
}

static void stop_now(void *opaque)
{
    (void)opaque;
    loop_stop(loop);
}

static void test_post(void **state)
{
    (void)state;
    struct poster posters[3] = {0};
    pthread_t runner, threads[3];
    make_loop(NULL);
    pthread_create(&runner, NULL, run_thread, loop);
    for (unsigned i = 0; i < 3; i++) {
        posters[i].call = (struct loop_call){.function = posted, .opaque = &posters[i]};
        pthread_create(&threads[i], NULL, post_thread, &posters[i]);
    }
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    struct loop_call last = {.function = stop_now};
    loop_post(loop, &last);
    pthread_join(runner, NULL);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(posters[i].seen, 20000);
        assert_true(posters[i].calls > 0 && posters[i].calls <= 20000);
    }
    loop_free(loop);
}

static unsigned repeated;

static void repeat(void *opaque)
{
    if (++repeated == 5)
        loop_stop(loop);
    else
        loop_post(loop, opaque);
}

static void never(void *opaque)
{
    (void)opaque;
    fail();
}

static void test_post_inside(void **state)
{
    (void)state;
    make_loop(NULL);
    struct loop_call call = {.function = repeat}, cancelled = {.function = never};
    call.opaque = &call;
    loop_post(loop, &cancelled);
    loop_post(loop, &call);
    loop_post(loop, &call); /* is once */
    loop_cancel(loop, &cancelled);
    loop_run(loop);
    assert_int_equal(repeated, 5);
    loop_free(loop);
}

/* Timers. */

static uint64_t real_now(void *opaque)
{
    struct timespec time;
    (void)opaque;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * TIMER_SECOND + (uint64_t)time.tv_nsec;
}

static struct timers timers;
static unsigned ticks;

static void tick(void *opaque)
{
    struct timer *timer = opaque;
    assert_true(lock_is_held());
    assert_true(clock_now(&timers.clock) >= timer->deadline);
    if (++ticks == 50)
        loop_stop(loop);
    else
        timer_set(timer, clock_now(&timers.clock) + 200000);
}

static void *set_thread(void *argument)
{
    /* The loop sleeps for a deadline that is far off. */
    timer_set(argument, real_now(NULL) + 1000000);
    return NULL;
}

static void test_timers_real(void **state)
{
    (void)state;
    struct timer timer, far;
    pthread_t thread;
    timers_init(&timers, (struct clock){real_now, NULL});
    make_loop(&timers);
    timer_init(&timer, &timers, tick, &timer);
    timer_init(&far, &timers, never, NULL);
    uint64_t begin = real_now(NULL);
    timer_set(&far, begin + 1000 * TIMER_SECOND);
    pthread_create(&thread, NULL, set_thread, &timer);
    loop_run(loop);
    pthread_join(thread, NULL);
    assert_int_equal(ticks, 50);
    assert_true(real_now(NULL) - begin >= 1000000 + 49 * 200000);
    loop_free(loop);
    timers_destroy(&timers);
}

static atomic_ullong fake_time;

static uint64_t fake_now(void *opaque)
{
    (void)opaque;
    return atomic_load(&fake_time);
}

static void stop_timer(void *opaque)
{
    (void)opaque;
    assert_true(atomic_load(&fake_time) >= 100);
    loop_stop(loop);
}

/* A clock that stands still for long, and then jumps. */
static void test_timers_still(void **state)
{
    (void)state;
    struct timer timer;
    pthread_t runner;
    struct timespec cpu[2];
    clockid_t clock;
    timers_init(&timers, (struct clock){fake_now, NULL});
    make_loop(&timers);
    timer_init(&timer, &timers, stop_timer, NULL);
    timers_stand_still(&timers, true);
    timer_set(&timer, 100);
    pthread_create(&runner, NULL, run_thread, loop);
    assert_int_equal(pthread_getcpuclockid(runner, &clock), 0);
    clock_gettime(clock, &cpu[0]);
    usleep(300000);
    clock_gettime(clock, &cpu[1]);
    /* It has slept, not spun: a third of the time would be far too much already. */
    assert_true((cpu[1].tv_sec - cpu[0].tv_sec) * 1000000000 + cpu[1].tv_nsec - cpu[0].tv_nsec < 100000000);
    atomic_store(&fake_time, 100);
    timers_stand_still(&timers, false);
    pthread_join(runner, NULL);
    loop_free(loop);
    timers_destroy(&timers);
}

/* The end. */

static unsigned settled;

static void settle(void)
{
    settled++;
    if (settled == 2)
        loop_stop(loop);
}

static int settle_pipe[2];

/* The first comes without an event; then something happens. */
static void settle_write(void *opaque)
{
    (void)opaque;
    assert_int_equal(write(settle_pipe[1], "x", 1), 1);
}

static void settle_read(void *opaque, unsigned events)
{
    char byte;
    (void)opaque, (void)events;
    assert_int_equal(settled, 1);
    assert_int_equal(read(settle_pipe[0], &byte, 1), 1);
}

static void *settle_thread(void *unused)
{
    static struct loop_call call = {.function = settle_write};
    while (!__atomic_load_n(&settled, __ATOMIC_RELAXED))
        usleep(1000);
    loop_post(loop, &call);
    return unused;
}

/* Called after the start, and after what happens, and not without that. */
static void test_settle(void **state)
{
    pthread_t thread;
    (void)state;
    assert_int_equal(pipe(settle_pipe), 0);
    loop = make_loop(NULL);
    assert_int_equal(loop_settle(loop, settle, NULL), 0);
    struct loop_watch *watch = loop_watch_add(loop, settle_pipe[0], LOOP_READ, settle_read, NULL, NULL);
    assert_non_null(watch);
    assert_int_equal(pthread_create(&thread, NULL, settle_thread, NULL), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    assert_int_equal(settled, 2);
    pthread_mutex_lock(&lock);
    loop_watch_remove(watch);
    pthread_mutex_unlock(&lock);
    loop_free(loop);
    close(settle_pipe[0]);
    close(settle_pipe[1]);
}

static void stop_handler(int number)
{
    (void)number;
    loop_stop(loop);
}

static void raise_it(void *opaque)
{
    (void)opaque;
    raise(SIGUSR1);
}

static void test_stop_signal(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = stop_handler}, old;
    make_loop(NULL);
    sigaction(SIGUSR1, &action, &old);
    for (unsigned round = 0; round < 3; round++) { /* it can be run again */
        struct loop_call call = {.function = raise_it};
        if (round)
            loop_post(loop, &call);
        else
            raise(SIGUSR1); /* before it runs */
        loop_run(loop);
    }
    sigaction(SIGUSR1, &old, NULL);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),          cmocka_unit_test(test_refused),
        cmocka_unit_test(test_remove_inside), cmocka_unit_test(test_change_inside),
        cmocka_unit_test(test_urgent),        cmocka_unit_test(test_error),
        cmocka_unit_test(test_watch_threads), cmocka_unit_test(test_post),
        cmocka_unit_test(test_post_inside),   cmocka_unit_test(test_timers_real),
        cmocka_unit_test(test_timers_still),  cmocka_unit_test(test_stop_signal),
        cmocka_unit_test(test_settle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
