# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that machines give back to their host: what they free, what a balloon takes, what pressure takes."""
import json
import os
import pathlib
import re
import subprocess
import threading
import time

import pytest

from conftest import VISOR, guest_process, run_visor
from guest_kernel import BALLOON, DISK
from test_machine import TIMEOUT, Machine, kernel, start  # noqa: F401 (fixtures)
from test_qmp import WAITS, commanded  # noqa: F401

MIB = 1 << 20
LOAD = f"load {' '.join(DISK + BALLOON)}; mkdir /big; mount -t tmpfs -o size=95% none /big; "
FILL = "dd if=/dev/zero of=/big/f bs=1M count=%d 2>/dev/null; echo FI''LLED\n"


def shared_out(machine):
    """Bytes of the host's memory that are the machine's: PSS."""
    with open(f"/proc/{guest_process(machine.process.pid)}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.MULTILINE)[1]) << 10


def wait_until(true):
    deadline = time.monotonic() + TIMEOUT
    while not (value := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def stats(name):
    return json.loads(run_visor("stats", "--no-stream", "--json", name).stdout)[0]


def test_memory_that_the_guest_frees_is_the_hosts_again(commanded):  # noqa: F811
    machine, _ = commanded(LOAD + WAITS, "--net", "none", "--memory", "512M")
    machine.wait_for("READY")
    for _ in range(2):
        before = shared_out(machine)
        machine.send(FILL % 300)
        machine.wait_for("FILLED")
        filled = shared_out(machine)
        assert filled > before + 200 * MIB
        machine.send("rm /big/f\n")
        wait_until(lambda: shared_out(machine) < filled - 250 * MIB)


def test_a_guest_that_poisons_free_memory_finds_its_poison(commanded):  # noqa: F811
    machine, qmp = commanded(LOAD + WAITS, "--net", "none", "--memory", "512M", append="page_poison=1")
    machine.wait_for("READY")
    machine.send(FILL % 200 + "rm /big/f; sleep 5; " + FILL % 200 + "dmesg | grep -ci corruption; echo SE''EN\n")
    assert machine.wait_for("SEEN").split()[-1] == "0"
    qmp.execute("balloon", value=256 << 20)
    wait_until(lambda: qmp.execute("query-balloon")["actual"] <= 280 << 20)
    qmp.execute("balloon", value=512 << 20)
    wait_until(lambda: qmp.execute("query-balloon")["actual"] == 512 << 20)
    machine.send("rm /big/f; " + FILL % 300 + "dmesg | grep -ci corruption; echo SE''EN\n")
    assert machine.wait_for("SEEN").split()[-1] == "0"


def test_the_balloon_gives_way_before_the_guest_kills(commanded):  # noqa: F811
    machine, qmp = commanded(LOAD + WAITS, "--net", "none", "--memory", "512M", "--name", "giving")
    machine.wait_for("READY")
    assert run_visor("update", "giving", "--memory", "200M").returncode == 0
    wait_until(lambda: qmp.execute("query-balloon")["actual"] == 200 * MIB)
    assert stats("giving")["balloon"] == 312 * MIB
    machine.send(FILL % 300)
    machine.wait_for("FILLED")
    assert qmp.execute("query-balloon")["actual"] > 300 * MIB
    machine.send("ls -l /big/f; dmesg | grep -ci 'killed process'; echo SE''EN\n")
    words = machine.wait_for("SEEN").split()
    assert words[-1] == "0" and str(300 * MIB) in words
    assert run_visor("rm", "--force", "giving").returncode == 0


def test_statistics_are_the_guests(commanded):  # noqa: F811
    machine, qmp = commanded(LOAD + WAITS, "--net", "none", "--memory", "512M", "--name", "telling")
    machine.wait_for("READY")
    wait_until(lambda: qmp.execute("x-query-guest-memory"))
    machine.send(FILL % 100 + "cat /proc/meminfo; grep -E '^pg(maj)?fault' /proc/vmstat; echo SE''EN\n")
    seen = dict(re.findall(r"^(\w+):? +(\d+)", machine.wait_for("SEEN"), re.MULTILINE))
    stats("telling")
    told = wait_until(lambda: (now := stats("telling"))["guest_caches"] >= 100 * MIB and now)
    assert told["guest_total"] == int(seen["MemTotal"]) << 10
    for name, there in (("guest_free", "MemFree"), ("guest_available", "MemAvailable"), ("guest_caches", "Cached")):
        assert abs(told[name] - (int(seen[there]) << 10)) < 32 * MIB
    assert told["guest_memory"] == told["guest_total"] - told["guest_available"]
    assert told["guest_minor_faults"] + told["guest_major_faults"] >= int(seen["pgfault"])
    assert (told["guest_swap_in"], told["guest_swap_out"], told["balloon"]) == (0, 0, 0)
    assert {"swap-in", "hugetlb-failures"} <= set(qmp.execute("x-query-guest-memory"))
    assert run_visor("rm", "--force", "telling").returncode == 0


# -- under pressure ---------------------------------------------------------------------------------------------------


class Pressure(threading.Thread):
    """A file as the kernel's of pressure, in which processes wait for memory, or do not."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.waiting, self.total, self.ended = path, False, 0, threading.Event()
        self.write()

    def write(self):
        other = self.path.with_suffix(".new")
        text = "".join(f"{kind} avg10=0.00 avg60=0.00 avg300=0.00 total={self.total:012}\n" for kind in ("some", "full"))
        if self.path.exists():
            with open(self.path, "r+", encoding="ascii") as file:
                file.write(text)
        else:
            other.write_text(text)
            other.rename(self.path)

    def run(self):
        while not self.ended.wait(0.05):
            if self.waiting:
                self.total += 30000  # of 50000 microseconds
                self.write()


@pytest.fixture
def pressure(tmp_path, monkeypatch):
    thread = Pressure(tmp_path / "pressure")
    monkeypatch.setenv("VISOR_MEMORY_PRESSURE", str(thread.path))
    thread.start()
    yield thread
    thread.ended.set()
    thread.join()


def test_a_machine_gives_way_to_pressure_and_grows_again(commanded, pressure):  # noqa: F811
    machine, qmp = commanded(LOAD + WAITS, "--net", "none", "--memory", "400M", "--memory-min", "200M", "--memory-max", "512M",
                             "--name", "giving")
    machine.wait_for("READY")
    wait_until(lambda: qmp.execute("query-balloon")["actual"] == 400 * MIB)  # what it begins with
    assert qmp.execute("query-memory-size-summary") == {"base-memory": 512 * MIB, "plugged-memory": 0}
    told = qmp.execute("x-query-balance")
    assert (told["automatic"], told["min"], told["max"], told["target"]) == (True, 200 * MIB, 512 * MIB, 400 * MIB)
    before = shared_out(machine)
    machine.send(FILL % 150 + "rm /big/f; " + FILL % 150 + "cat /big/f >/dev/null; rm /big/f\n")
    machine.wait_for("FILLED")
    machine.wait_for("FILLED")
    pressure.waiting = True
    wait_until(lambda: qmp.execute("query-balloon")["actual"] == 200 * MIB)
    assert qmp.execute("x-query-balance")["host"] in ("pressed", "grave")
    wait_until(lambda: shared_out(machine) < max(before, 200 * MIB) + 60 * MIB)
    pressure.waiting = False
    wait_until(lambda: qmp.execute("x-query-balance")["host"] == "calm")
    grown = qmp.execute("query-balloon")["actual"]
    machine.send("dd if=/dev/zero of=/big/f bs=1M count=400 2>/dev/null; ls -l /big/f; echo FI''LLED\n")
    wait_until(lambda: qmp.execute("query-balloon")["actual"] == 512 * MIB)
    assert grown < 300 * MIB
    assert str(400 * MIB) in machine.wait_for("FILLED")
    told = qmp.execute("x-query-balance")
    assert told["shrinks"] >= 1 and told["grows"] >= 1
    assert run_visor("rm", "--force", "giving").returncode == 0


def test_bounds_change_while_it_runs(commanded, pressure):  # noqa: F811
    machine, qmp = commanded(LOAD + WAITS, "--net", "none", "--memory", "512M", "--name", "bounded")
    machine.wait_for("READY")
    told = qmp.execute("x-query-balance")
    assert (told["automatic"], told["min"], told["max"]) == (False, 512 * MIB, 512 * MIB)
    result = run_visor("update", "bounded", "--memory-min", "300M", "--memory-max", "1G")
    assert (result.returncode, result.stderr) == (0, "visor: bounded: machine.memory_max changes at the next start\n")
    told = qmp.execute("x-query-balance")
    assert (told["automatic"], told["min"], told["max"]) == (True, 300 * MIB, 1024 * MIB)
    pressure.waiting = True
    wait_until(lambda: qmp.execute("query-balloon")["actual"] == 300 * MIB)
    pressure.waiting = False
    result = run_visor("update", "bounded", "--memory-min", "600M")
    assert result.returncode == 1 and "machine.memory_min is more than machine.memory" in result.stderr
    assert qmp.execute("x-query-balance")["min"] == 300 * MIB
    assert run_visor("update", "bounded", "--memory-min", "none", "--memory-max", "none").returncode == 0
    told = qmp.execute("x-query-balance")
    assert (told["automatic"], told["min"], told["target"]) == (False, 512 * MIB, 512 * MIB)
    assert run_visor("rm", "--force", "bounded").returncode == 0


def test_bounds_that_cannot_be():
    for options, wrong in ((("--memory", "1G", "--memory-min", "2G"), "memory_min is more than"),
                           (("--memory", "1G", "--memory-max", "512M"), "memory_max is less than"),
                           (("--memory-min", "512M", "--huge-pages"), "do not go with --huge-pages"),
                           (("--ksm", "--huge-pages"), "do not go with --huge-pages"),
                           (("--memory-min", "many"), "--memory-min")):
        result = run_visor("run", *options, "--kernel", "/dev/null")
        assert result.returncode != 0 and wrong in result.stderr, result


@pytest.fixture
def small_cgroup():
    """A memory cgroup with a limit and no swap: a function that makes it of a number of bytes and returns the path."""
    made = []

    def make(limit):
        for top, file in ((pathlib.Path("/sys/fs/cgroup"), "memory.max"),
                          (pathlib.Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes")):
            path = top / f"visor-test-{os.getpid()}"
            try:
                path.mkdir()
            except OSError:
                continue
            if (path / file).exists():
                (path / file).write_text(str(limit))
                made.append(path)
                return path
            path.rmdir()
        pytest.skip("no memory cgroups can be made here")
        return None

    yield make
    for path in made:
        wait_until(lambda: not (path / "cgroup.procs").read_text())  # pylint: disable=cell-var-from-loop
        path.rmdir()


@pytest.fixture
def others():
    """Machines that somebody else has started."""
    machines = []
    yield machines
    for machine in machines:
        machine.timer.cancel()
        machine.process.kill()
        machine.process.wait()


def test_two_machines_that_want_more_than_there_is(small_cgroup, others, kernel, tmp_path):  # noqa: F811
    """Each reads a file that alone would fill its memory, twice; together they would be killed."""
    cgroup = small_cgroup(800 * MIB)
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 450 * MIB)
    reads = ("i=0; while [ $i -lt 18 ]; do dd if=/dev/vda of=/dev/null bs=1M skip=$((i%9*50)) count=50 2>/dev/null; i=$((i+1)); "
             "sleep 0.5; done; ")  # no faster than the balloon of a busy host
    script = LOAD + "echo READY; read line; " + reads + "grep ^Cached: /proc/meminfo; echo REA''D; read line; poweroff -f"
    initrd = kernel.initrd(tmp_path, script)
    for _ in range(2):
        command = ["sh", "-c", 'echo $$ >"$0"/cgroup.procs; exec "$@"', str(cgroup), VISOR, "run", "--kernel", kernel.image,
                   "--initrd", initrd, "--append", "console=ttyS0 quiet", "--net", "none", "--memory", "512M", "--memory-min",
                   "160M", "--disk", f"{image},readonly"]
        others.append(Machine(command=list(map(str, command))))
    for machine in others:
        machine.wait_for("READY")
        machine.send("\n")
    for machine in others:
        machine.wait_for("READ")
        machine.send("\n")
    for machine in others:
        assert machine.end() == 0


# -- equal pages ------------------------------------------------------------------------------------------------------

KSM = pathlib.Path("/sys/kernel/mm/ksm")


@pytest.fixture
def merging():
    """The host merges pages, and fast."""
    if not os.access(KSM / "run", os.W_OK):
        pytest.skip("the host's KSM cannot be switched on")
    before = {name: (KSM / name).read_text().strip() for name in ("pages_to_scan", "sleep_millisecs", "run")}
    back = "".join(f"echo {value} >{KSM}/{name}; " for name, value in before.items())
    # as a process of its own, since it is the host's: it comes to its end with this one, however that ends
    with subprocess.Popen(["setsid", "sh", "-c", f"read line; {back}"], stdin=subprocess.PIPE) as restorer:
        for name, value in (("pages_to_scan", "20000"), ("sleep_millisecs", "10"), ("run", "1")):
            (KSM / name).write_text(value)
        yield
        restorer.stdin.close()
        restorer.wait()


def test_equal_pages_are_one(commanded, merging):  # noqa: F811
    machine, _ = commanded(LOAD + WAITS, "--net", "none", "--memory", "256M", "--name", "equal", "--ksm")
    machine.wait_for("READY")
    machine.send("yes some words | dd of=/big/f bs=1M count=100 iflag=fullblock 2>/dev/null; md5sum /big/f; echo FI''LLED\n")
    written = machine.wait_for("FILLED").split()[-2]
    wait_until(lambda: stats("equal").get("merged", 0) > 80 * MIB)
    wait_until(lambda: shared_out(machine) < stats("equal")["memory"] - 60 * MIB)
    machine.send("md5sum /big/f; echo FI''LLED\n")
    assert machine.wait_for("FILLED").split()[-2] == written
    document = json.loads(run_visor("inspect", "equal").stdout)[0]["config"]
    document["machine"]["ksm"] = False
    result = run_visor("update", "--from", "-", "equal", stdin=json.dumps(document))
    assert (result.returncode, result.stderr) == (0, "")
    wait_until(lambda: stats("equal")["merged"] == 0)
    assert run_visor("update", "equal", "--ksm").returncode == 0
    wait_until(lambda: stats("equal")["merged"] > 80 * MIB)
    assert run_visor("rm", "--force", "equal").returncode == 0


def test_a_host_that_does_not_merge_is_told_of(commanded):  # noqa: F811
    if not (KSM / "run").exists() or (KSM / "run").read_text().strip() == "1":
        pytest.skip("the host merges pages")
    machine, _ = commanded(WAITS, "--net", "none", "--memory", "256M", "--name", "equal")
    machine.wait_for("READY")
    result = run_visor("update", "equal", "--ksm")
    assert result.returncode == 0 and "until 1 is written to /sys/kernel/mm/ksm/run" in result.stderr
    assert run_visor("rm", "--force", "equal").returncode == 0
