# SPDX-License-Identifier: GPL-2.0-or-later
"""gdb at a program: what its user sees, for each CPU that there is a compiler for."""
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import VISOR
from test_machine import free_port

TIMEOUT = 120
GDB = shutil.which("gdb-multiarch")
COMPILERS = {"arm64": "aarch64-linux-gnu-gcc", "amd64": "gcc"}
MARK = "(that was it)"

SOURCE = r"""
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct point { int x, y; };
volatile int counter, stored, got;
double half = 0.5;

#define NEVER_INLINE __attribute__((noinline))
static int NEVER_INLINE add(int a, int b)
{
    int sum = a + b;
    counter = sum;
    return sum;
}

static int NEVER_INLINE twice(const struct point *p)
{
    int once = add(p->x, p->y);
    stored = 2 * once;
    return stored;
}

static void handler(int number)
{
    got = number;
}

static void NEVER_INLINE spin(void)
{
    while (!got)
        counter++;
}

static void *worker(void *argument)
{
    (void)argument;
    while (!got)
        usleep(1000);
    return NULL;
}

static void *parent(void *argument)
{
    for (int i = 0; i < 3; i++)
        counter += system("exit 0");
    return argument;
}

static int is(int count, char **words, const char *what)
{
    return count > 1 && strcmp(words[1], what) == 0;
}

int main(int count, char **words)
{
    struct point p = {3, 4};
    setvbuf(stdout, NULL, _IONBF, 0);
    signal(SIGUSR1, handler);
    printf("%d\n", twice(&p));
    if (is(count, words, "spin"))
        spin();
    if (is(count, words, "sleep"))
        printf("slept, %d left\n", (int)sleep(3));
    if (is(count, words, "raise")) {
        raise(SIGUSR1);
        printf("got %d\n", got);
    }
    if (is(count, words, "fault"))
        *(volatile int *)8 = 1;
    if (is(count, words, "exec"))
        execl(words[0], words[0], "plain", NULL);
    if (is(count, words, "fork")) {
        int status;
        if (!fork())
            _exit(add(20, 3));
        wait(&status);
        printf("child %d\n", WEXITSTATUS(status));
    }
    if (is(count, words, "children")) {
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, parent, NULL);
        for (int i = 0; i < 50; i++)
            add(i, 1000);
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
    }
    if (is(count, words, "threads")) {
        pthread_t threads[2];
        for (int i = 0; i < 2; i++)
            pthread_create(&threads[i], NULL, worker, NULL);
        spin();
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        twice(&p);
    }
    return 7;
}
"""


class Gdb:
    """gdb at a program, one command after the other."""

    def __init__(self, arch, program, *words):
        self.port = free_port()
        self.program = subprocess.Popen([VISOR, "run", "--arch", arch, "--gdb", str(self.port), program, *words],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.gdb = subprocess.Popen([GDB, "-nx", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                    env={**os.environ, "DEBUGINFOD_URLS": ""})
        for command in ("set confirm off", "set pagination off", "set width 0", "set tcp connect-timeout 60",
                        "set sysroot target:"):
            self.say(command)
        self.begin = self.say(f"target remote 127.0.0.1:{self.port}")

    def send(self, command):
        self.gdb.stdin.write(f"{command}\necho {MARK}\\n\n")
        self.gdb.stdin.flush()

    def hear(self):
        text = ""
        while True:
            line = self.gdb.stdout.readline()
            assert line, text
            if MARK in line:
                return text
            text += line

    def say(self, command):
        self.send(command)
        return self.hear()

    def interrupt(self):
        os.kill(self.gdb.pid, signal.SIGINT)

    def end(self):
        """What the program has written, and its exit status."""
        output, _ = self.program.communicate(timeout=TIMEOUT)
        return output, self.program.returncode

    def close(self):
        for process in (self.gdb, self.program):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("gdb")
    (directory / "program.c").write_text(SOURCE)
    return directory


@pytest.fixture(params=COMPILERS)
def attach(request, programs):
    arch = request.param
    if not GDB:
        pytest.skip("gdb-multiarch is not installed")
    if not shutil.which(COMPILERS[arch]):
        pytest.skip(f"there is no compiler for {arch}")
    program = programs / arch
    if not program.exists():
        static = ["-static"] if arch != "amd64" else []
        subprocess.run([COMPILERS[arch], "-g", "-O0", "-pthread", *static, "-o", program, programs / "program.c"],
                       check=True)
    sessions = []

    def new(*words):
        sessions.append(Gdb(arch, program, *words))
        return sessions[-1]

    yield new
    for session in sessions:
        session.close()


def test_break_look_finish(attach):
    gdb = attach()
    assert "Reading symbols from target:" in gdb.begin
    gdb.say("break add")
    assert "add (a=3, b=4)" in gdb.say("continue")
    frames = gdb.say("backtrace")
    assert "#1" in frames and "twice (p=" in frames and "main (count=1" in frames
    assert "= 7" in gdb.say("print a + b")
    assert "= 0.5" in gdb.say("print half")
    assert "Value returned is" in gdb.say("finish")
    assert "stored = 2 * once" in gdb.say("next") + gdb.say("frame")
    gdb.say("next")
    assert "= 14" in gdb.say("print stored")
    assert "exited with code 07" in gdb.say("continue")
    assert gdb.end() == ("14\n", 7)


def test_changes(attach):
    """Registers, memory, and functions that the debugger calls."""
    gdb = attach()
    gdb.say("break add")
    gdb.say("continue")
    gdb.say("set variable b = 40")
    gdb.say("delete")
    assert "= 5" in gdb.say("print add(2, 3)")
    gdb.say("finish")
    gdb.say("continue")
    assert gdb.end()[0].splitlines()[-1] == "86"


def test_steps_by_instructions(attach):
    gdb = attach()
    gdb.say("break twice")
    gdb.say("continue")
    places = {gdb.say("print/x $pc").split("= ")[1]}
    for _ in range(4):
        gdb.say("stepi")
        places.add(gdb.say("print/x $pc").split("= ")[1])
    assert len(places) == 5
    assert "add (a=3, b=4)" in gdb.say("step") + gdb.say("step")


def test_watchpoints(attach):
    gdb = attach()
    gdb.say("break twice")
    gdb.say("continue")
    assert "Hardware watchpoint" in gdb.say("watch counter")
    hit = gdb.say("continue")
    assert "Old value = 0" in hit and "New value = 7" in hit and "add (" in hit
    gdb.say("delete")
    gdb.say("rwatch stored")
    hit = gdb.say("continue")
    assert "Value = 14" in hit and "twice (" in hit  # not at the store before it
    gdb.say("delete")
    gdb.say("awatch got")
    assert "exited with code 07" in gdb.say("continue")


def test_hardware_breakpoint(attach):
    gdb = attach()
    assert "Hardware assisted breakpoint" in gdb.say("hbreak add")
    assert "add (a=3, b=4)" in gdb.say("continue")


def test_interrupt_in_a_loop(attach):
    gdb = attach("spin")
    gdb.send("continue")
    assert gdb.program.stdout.readline() == "14\n"
    time.sleep(0.2)
    gdb.interrupt()
    stop = gdb.hear()
    assert "SIGINT" in stop and "spin ()" in stop
    gdb.say("set variable got = 1")
    assert "exited with code 07" in gdb.say("continue")


def test_interrupt_in_a_system_call(attach):
    """Which goes on afterwards, and does not say that it was interrupted."""
    gdb = attach("sleep")
    gdb.send("continue")
    assert gdb.program.stdout.readline() == "14\n"
    time.sleep(0.2)
    gdb.interrupt()
    assert "SIGINT" in gdb.hear()
    assert "= 5" in gdb.say("print add(2, 3)")
    assert "exited with code 07" in gdb.say("continue")
    assert gdb.end() == ("slept, 0 left\n", 7)


def test_threads(attach):
    gdb = attach("threads")
    gdb.send("continue")
    assert gdb.program.stdout.readline() == "14\n"
    time.sleep(0.5)
    gdb.interrupt()
    gdb.hear()
    threads = gdb.say("info threads")
    assert threads.count("Thread ") == 3 and threads.count("spin ()") == 1
    assert gdb.say("thread apply all backtrace 8").count("worker (") == 2
    gdb.say("break twice")
    gdb.say("thread 1")
    gdb.say("set variable got = 1")
    assert "twice (p=" in gdb.say("continue")
    assert gdb.say("info threads").count("Thread ") == 1
    gdb.say("delete")
    assert "exited with code 07" in gdb.say("continue")


def test_many_stops_beside_children(attach):
    """A breakpoint with a condition stops everybody each time, and lets them go; children that share the
    program's memory meet breakpoints which are not for them."""
    gdb = attach("children")
    gdb.say("break add if a == 49")
    gdb.say("break execve")
    assert "add (a=49, b=1000)" in gdb.say("continue")
    gdb.say("delete")
    assert "exited with code 07" in gdb.say("continue")


def test_signal(attach):
    gdb = attach("raise")
    assert "received signal SIGUSR1" in gdb.say("continue")
    assert "si_signo = 10" in gdb.say("print $_siginfo")
    gdb.say("break handler")
    assert "handler (number=10)" in gdb.say("continue")
    assert "exited with code 07" in gdb.say("continue")
    assert gdb.end() == ("14\ngot 10\n", 7)


def test_signal_is_dropped_or_passed(attach):
    gdb = attach("raise")
    gdb.say("continue")
    gdb.say("signal 0")
    assert gdb.end() == ("14\ngot 0\n", 7)
    gdb = attach("raise")
    gdb.say("handle SIGUSR1 nostop noprint pass")
    assert "exited with code 07" in gdb.say("continue")
    assert gdb.end() == ("14\ngot 10\n", 7)


def test_death(attach):
    gdb = attach("fault")
    stop = gdb.say("continue")
    assert "received signal SIGSEGV" in stop and "main (" in stop
    assert "terminated with signal SIGSEGV" in gdb.say("continue")
    assert gdb.end()[1] == -signal.SIGSEGV


def test_death_by_a_signal_from_outside(attach):
    gdb = attach("spin")
    gdb.send("continue")
    assert gdb.program.stdout.readline() == "14\n"
    gdb.program.terminate()
    assert "received signal SIGTERM" in gdb.hear()
    assert "terminated with signal SIGTERM" in gdb.say("continue")
    assert gdb.end()[1] == -signal.SIGTERM


def test_exec(attach):
    gdb = attach("exec")
    gdb.say("break twice")
    gdb.say("continue")
    again = gdb.say("continue")
    assert "is executing new program" in again and "twice (p=" in again
    assert "exited with code 07" in gdb.say("continue")


def test_fork(attach):
    """The child is not debugged, and meets no breakpoints."""
    gdb = attach("fork")
    gdb.say("break add")
    assert "add (a=3, b=4)" in gdb.say("continue")
    assert "exited with code 07" in gdb.say("continue")
    assert gdb.end() == ("14\nchild 23\n", 7)


def test_detach_and_come_again(attach):
    gdb = attach("spin")
    gdb.say("break add")
    gdb.say("continue")
    gdb.say("detach")
    assert gdb.program.stdout.readline() == "14\n"
    assert "spin ()" in gdb.say(f"target remote 127.0.0.1:{gdb.port}")
    gdb.say("set variable got = 1")
    gdb.say("detach")
    assert gdb.end() == ("", 7)


def test_kill(attach):
    gdb = attach("spin")
    gdb.say("kill")
    assert gdb.end()[1] == -signal.SIGKILL


def test_hang_up_lets_it_go_on(attach):
    gdb = attach()
    gdb.say("break add")
    gdb.gdb.kill()
    assert gdb.end() == ("14\n", 7)


def test_port_is_taken(visor):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = visor("run", "--arch", "amd64", "--gdb", port, "/bin/true")
    assert result.returncode == 126
    assert f"--gdb {port}" in result.stderr and "in use" in result.stderr


@pytest.mark.parametrize("port", ["", "0", "70000", "12x", "12,now"])
def test_port_that_is_none(visor, port):
    result = visor("run", "--gdb", port, "/bin/true")
    assert result.returncode == 2 and "is not PORT or PORT,wait" in result.stderr
