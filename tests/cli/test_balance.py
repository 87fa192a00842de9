# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that machines give back to their host: what they free, what a balloon takes, what pressure takes."""
import json
import re
import time

from conftest import run_visor
from guest_kernel import BALLOON, DISK
from test_machine import TIMEOUT, kernel, start  # noqa: F401 (fixtures)
from test_qmp import WAITS, commanded  # noqa: F401

MIB = 1 << 20
LOAD = f"load {' '.join(DISK + BALLOON)}; mkdir /big; mount -t tmpfs -o size=95% none /big; "
FILL = "dd if=/dev/zero of=/big/f bs=1M count=%d 2>/dev/null; echo FI''LLED\n"


def shared_out(machine):
    """Bytes of the host's memory that are the machine's: PSS."""
    with open(f"/proc/{machine.process.pid}/smaps_rollup", encoding="ascii") as file:
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
