# SPDX-License-Identifier: GPL-2.0-or-later
"""Core dumps: they are of the guest, without what visor has reserved or shares with other processes."""
import pathlib
import re
import resource
import signal
import subprocess

import pytest

from conftest import VISOR

# With an argument it is a child that dumps core, or waits: that has a translation store and a copy of the code.
PROGRAM = r"""
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    int status = 0;
    if (argc > 2 && fork() > 0)
        return wait(&status) < 0 || !WIFSIGNALED(status) ? 1 : WTERMSIG(status);
    if (strcmp(argv[1], "abort") == 0)
        abort();
    write(1, "\n", 1);
    pause();
}
"""


@pytest.fixture(scope="module")
def program(arm64_compiler):
    return arm64_compiler("core", PROGRAM)


@pytest.mark.parametrize("fork", [[], ["fork"]], ids=["first process", "child"])
def test_size_of_a_core_dump(program, tmp_path, fork):
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if not re.fullmatch(r"core(\.?%[pP])?", pattern):
        pytest.skip(f"core dumps go elsewhere: {pattern}")
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard != resource.RLIM_INFINITY:
        pytest.skip("core dumps are limited")
    result = subprocess.run([VISOR, "run", program, "abort", *fork], cwd=tmp_path, timeout=120, capture_output=True,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)))
    assert result.returncode == (signal.SIGABRT if fork else -signal.SIGABRT)
    core, = tmp_path.glob("core*")
    assert core.stat().st_size < 40 << 20  # with a stack of 8 MiB at its full size
    assert core.stat().st_blocks * 512 < 10 << 20


@pytest.mark.parametrize("fork", [[], ["fork"]], ids=["first process", "child"])
def test_what_is_shared_or_reserved_is_not_dumped(program, fork):
    with subprocess.Popen([VISOR, "run", program, "wait", *fork], stdout=subprocess.PIPE) as process:
        assert process.stdout.read(1) == b"\n"
        tasks = [process.pid]
        tasks += map(int, pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        sizes = {}
        for pid in tasks:
            text = pathlib.Path(f"/proc/{pid}/smaps").read_text()
            for mapping in re.split(r"\n(?=[0-9a-f]+-)", text):
                size = int(re.search(r"^Size: *(\d+)", mapping, re.M)[1])
                flags = re.search(r"^VmFlags:.*", mapping, re.M)[0]
                if size > 16 << 10 and " ---p " not in mapping and " dd" not in flags:
                    sizes[mapping.splitlines()[0]] = size
        for pid in reversed(tasks):
            subprocess.run(["kill", "-KILL", str(pid)], check=False)
    assert len(tasks) == 1 + len(fork)
    assert not sizes
