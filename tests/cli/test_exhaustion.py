# SPDX-License-Identifier: GPL-2.0-or-later
"""What programs meet that use up mappings, descriptors, processes, memory or locked memory: the same as natively, and
then they go on, with code that has not run before. exhaustion.c says what happens, here and on the host."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

from conftest import TOP, VISOR

SOURCE = TOP / "tests/cli/exhaustion.c"
USER = 54321


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The program natively and as a guest, where every user can run it."""
    if not shutil.which("gcc"):
        pytest.skip("needs a compiler for the host")
    directory = pathlib.Path(tempfile.mkdtemp(dir="/tmp"))
    directory.chmod(0o755)
    for name, compiler in ("native", "gcc"), ("guest", "aarch64-linux-gnu-gcc"):
        subprocess.run([compiler, "-O1", "-static", "-pthread", "-o", directory / name, SOURCE], check=True)
    shutil.copy(VISOR, directory / "visor")
    yield [directory / "native"], [directory / "visor", "run", directory / "guest"]
    shutil.rmtree(directory)


def said(program, *arguments, enter=None, user=None):
    options = {"user": user, "group": user, "extra_groups": []} if user else {}
    result = subprocess.run([*program, *map(str, arguments)], capture_output=True, text=True, timeout=200, cwd="/",
                            preexec_fn=enter, check=True, **options)
    assert result.stderr == ""
    return result.stdout.splitlines()


def assert_same(programs, *arguments, **options):
    native, guest = (said(program, *arguments, **options) for program in programs)
    assert guest == native
    assert "new code: 64 of 64" in guest


@pytest.fixture
def ordinary_user():
    if os.geteuid() != 0:
        pytest.skip("needs root, to become a user who has no other processes and no rights")
    return USER


def test_mappings(programs):
    assert_same(programs, "mappings")


@pytest.mark.parametrize("soft, hard", [(3, 100), (20, 1000)])
def test_descriptors(programs, soft, hard):
    assert_same(programs, "descriptors", soft, hard)


def test_descriptors_that_cannot_be_more(programs, ordinary_user):
    """Visor needs a descriptor for execve(), the kernel none (docs/linux.md); all else is the same."""
    native, guest = (said(program, "descriptors", 20, user=ordinary_user) for program in programs)
    assert guest == [line.replace("execve: ok", "execve: EMFILE") for line in native]


def test_processes(programs, ordinary_user):
    assert_same(programs, "processes", 10, user=ordinary_user)


def test_addresses(programs):
    assert_same(programs, "addresses")


@pytest.mark.parametrize("limit", [100 << 20, 300 << 20])
def test_address_space(programs, limit):
    assert_same(programs, "address space", limit)


def test_data(programs):
    """A vfork() needs a stack of visor's (docs/linux.md)."""
    native, guest = (said(program, "data", 300 << 20) for program in programs)
    assert [line for line in guest if "vfork" not in line] == [line for line in native if "vfork" not in line]


@pytest.mark.parametrize("limit", [0, 64 << 10, 700000, 2 << 20, 8 << 20, 1 << 30])
def test_locked_memory(programs, ordinary_user, limit):
    assert_same(programs, "locks", limit, user=ordinary_user)


@pytest.fixture
def control_group():
    """A function that makes a group with a limit and returns one that enters it."""
    made = []

    def make(controller, v1_file, v2_file, value):
        top = pathlib.Path("/sys/fs/cgroup")
        parent = top / controller if (top / controller).is_dir() else top
        group = parent / f"visor-test-{os.getpid()}"
        try:
            group.mkdir()
            made.append(group)
            (group / (v1_file if parent != top else v2_file)).write_text(str(value))
        except OSError as error:
            pytest.skip(f"cannot make a control group with a limit: {error}")
        return lambda: (group / "cgroup.procs").write_text("0")

    yield make
    for group in made:
        for _ in range(100):  # until the kernel has noticed that all have ended
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.05)


def test_processes_of_a_control_group(programs, control_group):
    assert_same(programs, "processes", 0, enter=control_group("pids", "pids.max", "pids.max", 12))


def test_memory_of_a_control_group(programs, control_group):
    enter = control_group("memory", "memory.limit_in_bytes", "memory.max", 96 << 20)
    native, guest = (said(program, "memory", enter=enter) for program in programs)
    assert guest == native
    assert guest[0] == "child: Killed"
