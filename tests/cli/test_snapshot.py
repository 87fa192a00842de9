# SPDX-License-Identifier: GPL-2.0-or-later
"""States of a machine, with its memory, that are kept with it, and to which it goes back."""
import json
import random
import shutil
import subprocess
import time

import pytest

from conftest import VISOR
from guest_kernel import DISK, GuestKernel
from test_domain import kernel, store  # noqa: F811 (fixtures)


def one_line(result):
    lines = result.stderr.splitlines()
    assert result.returncode == 1 and lines[0].startswith("visor: ") and len(lines) <= 2, result.stderr
    assert len(lines) == 1 or lines[1].startswith("  hint: ")
    return result.stderr


def test_there_and_back(store):  # noqa: F811
    identity = store.start("web")
    store.wait_for_log("web", "READY")
    assert store.ok("snapshot", "create", "web", "first") == "first\n"
    assert store.state("web")["status"] == "running"
    invented = store.ok("snapshot", "create", "web").strip()
    assert store.ok("snapshot", "ls", "-q", "web").split() == ["first", invented]
    listed = json.loads(store.ok("snapshot", "ls", "--json", "web"))
    assert [one["name"] for one in listed] == ["first", invented]
    assert all(0 < one["size"] < 1 << 20 for one in listed)  # of 16 MiB
    assert store.ok("snapshot", "ls", "web").splitlines()[0].split() == ["NAME", "CREATED", "SIZE"]

    for name in ("first", invented, "first"):  # while it runs
        assert store.ok("snapshot", "restore", "web", name) == f"{name}\n"
        store.send("web", f"after {name}")
        store.wait_for_log("web", f"after {name}")
    store.ok("stop", "web")
    store.ok("snapshot", "restore", "web", "first")  # and while it does not
    store.send("web", "once more")
    store.wait_for_log("web", "once more")
    assert store.ok("logs", "web").count("READY") == 1
    assert json.loads(store.ok("inspect", "web"))[0]["id"] == identity

    assert store.ok("snapshot", "rm", "web", "first") == "first\n"  # from which it runs
    store.send("web", "still here")
    store.wait_for_log("web", "still here")
    assert store.ok("snapshot", "ls", "-q", "web").split() == [invented]
    store.ok("rm", "--force", "web")
    assert store.check_whole() == set()


def test_disks_go_back_as_well(store, tmp_path):  # noqa: F811
    """Linux writes to two disks; what it sees of them, and what the one has that is written in place, is from then."""
    disks = {name: tmp_path / name for name in ("vda", "vdb")}
    for path in disks.values():
        path.write_bytes(bytes(4 << 20))
    guest = GuestKernel()
    initrd = guest.initrd(tmp_path, f"""load {' '.join(DISK)}
        number=0
        echo WAITS
        while read word; do
            number=$((number + 1))
            for d in vda vdb; do
                echo 3 >/proc/sys/vm/drop_caches
                echo "was $d $(dd if=/dev/$d bs=512 count=1 2>/dev/null | tr -d '\\000')"
                echo "$word$number" | dd of=/dev/$d bs=512 conv=sync,notrunc,fsync 2>/dev/null
            done
            echo "DONE-$word$number"
        done""")
    store.ok("run", "-d", "--name", "linux", "--kernel", guest.image, "--initrd", initrd, "--memory", "256M",
             "--disk", disks["vda"], "--disk", f"{disks['vdb']},snapshot")

    def write(word, number):
        store.send("linux", f"{word}\n")
        store.wait_for_log("linux", f"DONE-{word}{number}")

    store.wait_for_log("linux", "WAITS")
    write("one", 1)
    store.ok("snapshot", "create", "linux", "first")
    write("two", 2)
    store.ok("snapshot", "create", "linux", "second")
    write("three", 3)
    store.ok("snapshot", "restore", "linux", "first")
    assert disks["vda"].read_bytes()[:5] == b"one1\n"
    write("again", 2)
    store.ok("snapshot", "restore", "linux", "second")
    write("last", 3)
    seen = [line.strip() for line in store.ok("logs", "linux").splitlines() if line.startswith("was ")]
    words = ["", "one1", "two2", "one1", "two2"]
    assert seen == [f"was {disk} {word}".strip() for word in words for disk in ("vda", "vdb")]
    assert disks["vdb"].read_bytes() == bytes(4 << 20)


def test_refused(store, tmp_path):  # noqa: F811
    store.start("web")
    store.wait_for_log("web", "READY")
    store.ok("snapshot", "create", "web", "first")
    assert "already" in one_line(store.run("snapshot", "create", "web", "first"))
    assert 'no snapshot "frist"' in (refused := one_line(store.run("snapshot", "restore", "web", "frist")))
    assert "did you mean first" in refused
    assert 'no snapshot "../first"' in one_line(store.run("snapshot", "rm", "web", "../first"))
    assert one_line(store.run("snapshot", "create", "web", "a/b"))
    assert store.state("web")["status"] == "running"
    store.ok("stop", "web")
    assert "does not run" in one_line(store.run("snapshot", "create", "web", "late"))
    store.ok("update", "--memory", "32M", "web")
    assert "another configuration" in one_line(store.run("snapshot", "restore", "web", "first"))
    store.ok("update", "--memory", "16M", "web")
    file = next(store.path.glob("domains/*/snapshots/first.state"))
    good = file.read_bytes()
    file.write_bytes(good[:-1])
    store.ok("start", "web")
    assert "cut off" in one_line(store.run("snapshot", "restore", "web", "first"))
    assert store.state("web")["status"] == "running"  # it was looked at before
    file.write_bytes(good)
    store.ok("snapshot", "restore", "web", "first")

    store.start("brief", "--rm")
    store.wait_for_log("brief", "READY")
    store.ok("snapshot", "create", "brief", "first")
    assert "removed at its end" in one_line(store.run("snapshot", "restore", "brief", "first"))
    assert store.state("brief")["status"] == "running"
    store.ok("run", "-d", "--name", "program", shutil.which("sleep"), "100")
    assert "cannot be saved" in one_line(store.run("snapshot", "create", "program", "first"))
    for words in ((), ("make",), ("create",), ("restore", "web"), ("ls", "web", "x"), ("create", "--json", "web")):
        assert store.run("snapshot", *words).returncode == 2


def test_a_device_has_no_copy(store, tmp_path):  # noqa: F811
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    loop = subprocess.run(["losetup", "-f", "--show", disk], capture_output=True, text=True)
    if loop.returncode:
        pytest.skip("no loop devices")
    try:
        store.start("web", "--disk", loop.stdout.strip())
        store.wait_for_log("web", "READY")
        refused = one_line(store.run("snapshot", "create", "web", "first"))
        assert "is a device of the host" in refused and "--snapshot" in refused
        assert store.ok("snapshot", "ls", "-q", "web") == ""
        store.ok("kill", "web")
    finally:
        subprocess.run(["losetup", "-d", loop.stdout.strip()], check=True)


def test_the_command_dies(store, tmp_path):  # noqa: F811
    """The machine goes on; what is listed is whole."""
    disk = tmp_path / "disk.img"
    disk.write_bytes(random.randbytes(8 << 20))
    store.start("web", "--disk", disk)
    store.wait_for_log("web", "READY")
    for number in range(12):
        command = subprocess.Popen([VISOR, "snapshot", "create", "web", f"n{number}"], env=store.environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 0.03))
        command.kill()
        command.wait()
    store.wait_for_status("web", "running")
    store.ok("snapshot", "create", "web", "last")
    for name in store.ok("snapshot", "ls", "-q", "web").split():
        store.ok("snapshot", "restore", "web", name)
        store.send("web", f"after {name}")
        store.wait_for_log("web", f"after {name}")
    assert disk.stat().st_size == 8 << 20
