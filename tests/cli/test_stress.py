# SPDX-License-Identifier: GPL-2.0-or-later
"""visor under limits that its user has set, and Debian's programs under those that they set themselves."""
import resource
import signal

import pytest

HELLO = r"""
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(7);
    waitpid(child, &status, 0);
    printf("hello %d\n", WEXITSTATUS(status));
    return 0;
}
"""


@pytest.fixture(scope="module")
def hello(arm64_compiler):
    return arm64_compiler("hello_limits", HELLO)


@pytest.mark.parametrize("kind, value", [
    (resource.RLIMIT_AS, 200 << 20),
    (resource.RLIMIT_DATA, 64 << 20),
    (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_STACK, 128 << 10),
    (resource.RLIMIT_NOFILE, 8),
], ids=["address space", "data", "file size", "stack", "open files"])
def test_runs_within_limits_from_outside(visor, hello, kind, value):
    result = visor("run", hello, preexec_fn=lambda: resource.setrlimit(kind, (value, value)))
    assert (result.returncode, result.stdout, result.stderr) == (0, "hello 7\n", "")


def test_shell_that_limits_its_children(in_root):
    script = r"""
        for limit in "-v 400000" "-d 50000" "-f 100" "-s 128" "-n 12"; do
            (ulimit $limit && test "$(ulimit ${limit% *})" = "${limit#* }" && echo $(seq 3 | tr 1-3 a-c | sort -r))
        done
    """
    result = in_root("/bin/bash", "-c", script)
    assert (result.stdout, result.stderr) == ("c b a\n" * 5, "")


def test_python_meets_its_own_limit_of_memory(in_root):
    script = (
        "import resource, os\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "print(resource.getrlimit(resource.RLIMIT_AS) == (1 << 30, 1 << 30))\n"
        "try:\n    bytearray(8 << 30)\nexcept MemoryError:\n    print('refused')\n"
        "print(os.system('true'))\n")
    assert in_root("/usr/bin/python3", "-c", script).stdout == "True\nrefused\n0\n"


def test_program_that_gives_up_its_rights_in_threads(in_root):
    script = (
        "import os, threading\n"
        "end = threading.Event()\n"
        "threads = [threading.Thread(target=end.wait) for _ in range(3)]\n"
        "[t.start() for t in threads]\n"
        "[os.setresgid(-1, os.getegid(), -1) for _ in range(50)]\n"
        "end.set(); [t.join() for t in threads]\n"
        "print('still here')\n")
    assert in_root("/usr/bin/python3", "-c", script).stdout == "still here\n"


OVERFLOW = r"""
#include <signal.h>
#include <unistd.h>
static void caught(int signal) { _exit(signal); }
static __attribute__((noinline)) int overflow(int depth)
{
    volatile char room[1000];
    room[0] = (char)depth;
    return overflow(depth + 1) + room[0];
}
int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = caught};
    if (argc > 1)
        sigaction(SIGSEGV, &action, 0);
    return overflow(0);
}
"""


@pytest.mark.parametrize("arguments", [[], ["caught"]], ids=["default action", "handler without a stack"])
def test_stack_overflow_is_a_segmentation_fault_and_no_more(visor, arm64_compiler, arguments):
    program = arm64_compiler("overflow", OVERFLOW)
    for _ in range(5):
        result = visor("run", program, *arguments)
        assert (result.returncode, result.stdout, result.stderr) == (-signal.SIGSEGV, "", "")
