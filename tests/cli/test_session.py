# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions: which processes share translations, and that all goes on where they cannot."""
import array
import os
import pathlib
import subprocess

import pytest

from conftest import ROOT, VISOR

# The guest says its process id, waits for a line, and goes on.
PAUSE = 'sub pause { $| = 1; print "$$\\n"; <STDIN>; } '
FORK = "if (my $p = fork) { waitpid $p, 0 } else { exit } "


def has_store(pid):
    """Whether a process has anything of a store: (a mapping, a descriptor)."""
    process = pathlib.Path(f"/proc/{pid}")
    links = [link.readlink() for link in (process / "fd").iterdir()]
    return "visor-translations" in (process / "maps").read_text(), any("visor-translations" in str(x) for x in links)


def stops(script, program="perl"):
    """What each process that calls pause has of a store."""
    child = subprocess.Popen([VISOR, "run", "--root", ROOT, program, "-e", script],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    found = []
    for line in child.stdout:
        found.append(has_store(int(line)))
        child.stdin.write("\n")
        child.stdin.flush()
    child.stdin.close()
    assert child.wait(timeout=60) == 0
    return found


def test_begins_with_the_first_fork():
    assert stops(PAUSE + "pause; " + FORK + "pause") == [(False, False), (True, True)]


def test_goes_on_through_fork_and_exec():
    inner = PAUSE.replace("\\n", "\\\\n").replace("$", "\\$") + "pause"
    script = PAUSE + 'if (my $p = fork) { waitpid $p, 0 } else { pause; exec "perl", "-e", "' + \
        inner.replace('"', '\\"') + '" }'
    assert stops(script) == [(True, True), (True, True)]


@pytest.mark.parametrize("call", [
    "167, 38, 1, 0, 0, 0",  # prctl(PR_SET_NO_NEW_PRIVS)
    pytest.param("167, 4, 0, 0, 0, 0", marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root may look")),
    "151, 0",  # setfsuid
    "97, 0x10000000",  # unshare(CLONE_NEWUSER)
    "97, 0x00020000",  # unshare(CLONE_NEWNS)
])
def test_other_rights_leave(call):
    assert stops(PAUSE + FORK + f"syscall({call}); pause") == [(False, False)]


def test_dropped_capabilities_leave():
    """capset() to none; where there were none, nothing has changed."""
    script = PAUSE + FORK + 'pause; my $h = pack("LL", 0x20080522, 0); my $d = pack("L6", 0, 0, 0, 0, 0, 0); ' \
        "syscall(91, $h, $d) == 0 or die; pause"
    before, after = stops(script)
    assert before == (True, True)
    capable = "CapEff:\t0000000000000000" not in pathlib.Path("/proc/self/status").read_text()
    assert after == ((False, False) if capable else (True, True))


def test_same_rights_stay():
    assert stops(PAUSE + FORK + "$> = $>; $< = $<; syscall(167, 3, 0, 0, 0, 0); pause") == [(True, True)]


def test_begins_another():
    assert stops(PAUSE + FORK + "syscall(167, 38, 1, 0, 0, 0); pause; " + FORK + "pause") == \
        [(False, False), (True, True)]


@pytest.mark.parametrize("limit", ["-f 8", "-n 12", "-v 4000000", "-s unlimited"])
def test_under_limits(in_root, limit):
    result = in_root("/bin/sh", "-c", f"ulimit {limit}; for i in 1 2 3; do /bin/echo $i; (echo sub); done")
    assert result.stdout == "1\nsub\n2\nsub\n3\nsub\n", result.stderr


def test_descriptors_closed(in_root):
    """close_range() over everything, then fork and exec."""
    result = in_root("perl", "-e", "syscall(436, 3, 0xffffffff, 0); system('/bin/echo one'); "
                                   "for (3..2000) { require POSIX; POSIX::close($_) } system('/bin/echo two')")
    assert result.stdout == "one\ntwo\n", result.stderr


def test_traces_do_without(in_root):
    result = in_root("/bin/sh", "-c", "/bin/true; /bin/true; /bin/echo done", options=("--trace", "guest"))
    assert result.stdout == "done\n"
    assert result.stderr.count("---- region") > 100


@pytest.mark.skipif(pathlib.Path(VISOR).read_bytes()[16] != 2, reason="visor is not at a fixed address")
def test_code_that_calls_visor_is_shared():
    """Reading FPCR is such: what was translated of printf() is in the store."""
    script = PAUSE + 'if (my $p = fork) { waitpid $p, 0; pause } else { sprintf("%.30g", $$ / 3); exit }'
    child = subprocess.Popen([VISOR, "run", "--root", ROOT, "perl", "-e", script],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    directory = pathlib.Path(f"/proc/{int(child.stdout.readline())}/fd")
    store, = (link for link in directory.iterdir() if "visor-translations" in str(link.readlink()))
    with store.open("rb") as file:
        words = array.array("I", file.read(16 << 20))
    child.communicate("\n", timeout=60)
    assert any(word & ~31 == 0xd53b4400 for word in words)  # mrs x?, fpcr


ADDRESSES = "grep -E 'r-xp|stack' /proc/self/maps | cut -d- -f1"


def test_addresses_are_random_but_not_in_a_session(in_root):
    first, second = (in_root("/bin/sh", "-c", f"{ADDRESSES}; {ADDRESSES}").stdout.split() for _ in range(2))
    count = len(first) // 2
    assert count >= 4 and first[:count] == first[count:] and second[:count] == second[count:]
    assert not set(first) & set(second)


def test_addresses_are_not_random_on_demand(in_root):
    first, second = (in_root("/usr/bin/setarch", "-R", "/bin/sh", "-c", ADDRESSES).stdout.split() for _ in range(2))
    assert len(first) >= 4 and first == second
