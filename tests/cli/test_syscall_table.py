# SPDX-License-Identifier: GPL-2.0-or-later
"""The system calls that are there: those that the host's kernel has, less the list in docs/linux.md."""
import re
import subprocess

import pytest

from conftest import TOP, run_visor

# Where one table serves all architectures.
COMMON_FROM = 424
LAST = 600
# Do not come back, or are felt beyond the process.
LEFT_OUT = {"exit", "exit_group", "rt_sigreturn", "vhangup", "sync", "clone"}

PROBE = """
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each in a process of its own, with arguments that are wrong for all of them. */
static int is_missing(long number)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(syscall(number, -1L, -1L, -1L, -1L, -1L, -1L) == -1 && errno == ENOSYS);
    }
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

int main(void)
{
    static const struct {
        long number, host_number;
    } calls[] = {%s};
    for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (is_missing(calls[i].host_number))
            printf("%%ld\\n", calls[i].number);
    return 0;
}
"""


def table():
    """Names by the guest's numbers."""
    text = (TOP / "src/personality/linux/syscalls.def").read_text()
    rows = re.findall(r"^(?:CALL|PASS|NONE)\((\d+), (\w+),", text, re.M)
    return {int(number): name for number, name in rows}


def documented():
    text = (TOP / "docs/linux.md").read_text()
    section = text.split("### Calls that answer ENOSYS", 1)[1].split("\n#", 1)[0]
    rows = re.findall(r"^\|([^|]*)\|", section, re.M)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


@pytest.fixture(scope="module")
def missing_calls(tmp_path_factory, arm64_compiler):
    names = table()
    left_out = {number for number, name in names.items() if name in LEFT_OUT}
    numbers = [n for n in range(LAST + 1) if n not in left_out]
    guest = arm64_compiler("probe", PROBE % ",".join(f"{{{n}, {n}}}" for n in numbers))
    # The host's number of the same call. Numbers that arm64 does not use are missing there.
    host_numbers = ",".join(
        f"{{{n}, {n if n >= COMMON_FROM else 'SYS_' + names[n]}}}" for n in numbers if n >= COMMON_FROM or n in names)
    directory = tmp_path_factory.mktemp("host")
    (directory / "probe.c").write_text(PROBE % host_numbers)
    subprocess.run(["cc", "-O1", "-o", directory / "probe", directory / "probe.c"], check=True)
    host = subprocess.run([directory / "probe"], capture_output=True, text=True, check=True, timeout=120)
    result = run_visor("run", guest)
    assert result.returncode == 0, result.stderr

    in_guest = {int(n) for n in result.stdout.split()}
    on_host = {int(n) for n in host.stdout.split()} | {n for n in range(COMMON_FROM) if n not in names}
    return in_guest, on_host


def test_every_call_of_the_host_is_there(missing_calls):
    in_guest, on_host = missing_calls
    names = table()
    expected = {number for number, name in names.items() if name in documented()}
    # Calls newer than the table are missing for the guest, whatever the host has.
    newer = set(range(max(names) + 1, LAST + 1))
    differs = (in_guest - on_host - newer) ^ (expected - on_host)
    assert not differs, sorted(names.get(number, number) for number in differs)


def test_no_call_is_there_that_the_host_does_not_have(missing_calls):
    in_guest, on_host = missing_calls
    extra = on_host - in_guest
    assert not extra, sorted(table().get(number, number) for number in extra)
