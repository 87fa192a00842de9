# SPDX-License-Identifier: GPL-2.0-or-later
"""The test kernel's drivers of virtio: disk, network and console are the same under both engines."""
import socket
import struct
import subprocess
import time

import pytest

from store import Store
from test_engine_kvm import KVM, TIMEOUT, command, kernel, needs_kvm  # noqa: F401 (a fixture)

SECTOR = 512
SECTORS = 128
LINE = "a line that is longer than a buffer\n"


def words(first, count):
    return struct.pack(f"<{count}I", *range(first, first + count))


def connect(path, machine):
    """To the console, as soon as it is there."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        peer = socket.socket(socket.AF_UNIX)
        try:
            peer.connect(str(path))
            return peer
        except (FileNotFoundError, ConnectionRefusedError):
            peer.close()
            assert machine.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)


def parts(engine, disk, console):
    less = " ".join(["lesser"] * (KVM["verdict"] == "partly") + ["kernel-apic"])
    return ["--engine", engine, "--cpu", "x86-64-v1", "--disk", disk, "--net", "user", "--virtio-console", f"unix:{console}",
            "--append", less]


def transcript(kernel, directory, engine, *options):
    """What the kernel writes, and what its console and its disk have got."""
    directory.mkdir()
    disk, console = directory / "disk", directory / "console"
    disk.write_bytes(words(0, SECTORS * SECTOR // 4))
    machine = subprocess.Popen(command(kernel, *parts(engine, disk, console), *options),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with connect(console, machine) as peer:
            peer.settimeout(TIMEOUT)
            stream = peer.makefile("rw", newline="\n")
            heard = stream.readline()
            stream.write(LINE)
            stream.flush()
            heard += stream.readline()
            out, err = machine.communicate(timeout=TIMEOUT)
    finally:
        machine.kill()
        machine.wait()
    assert machine.returncode == 0, out[-500:] + err
    return out, heard, disk.read_bytes()


@pytest.fixture(scope="module")
def wanted(kernel, tmp_path_factory):
    return transcript(kernel, tmp_path_factory.mktemp("virtio") / "translate", "translate")


def test_of_translate(wanted):
    """All three are there, and do what they are to do."""
    text, heard, disk = wanted
    assert text.endswith("end\n")
    by_messages, by_wire = (text.split(f"virtio: disk, by {how}\n")[1].split("virtio:")[0] for how in ("messages", "the wire"))
    for part in (by_messages, by_wire):
        for line in ("beyond the end: 00000001", "unknown: 00000002", "there: 5ec701fc", "verdicts: 00000000",
                     "interrupted: 00000001"):
            assert f"  {line}\n" in part
        assert f"two sectors by one notification: {sum(range(1280, 1536)):08x}" in part
    assert text.count("bytes: 00000258\n  checksum: 00000000\n") == 10
    assert "echo: 0000000a" in text and "by what was received: 00000001" in text
    assert heard == "say something\nheard: a line that is longer than a buffer\n"
    assert "  heard: a line that is longer than a buffer\n" in text
    sector = b"".join(struct.pack("<I", 0x5ec70000 + i) for i in range(0, SECTOR, 4))
    before = words(0, 3 * SECTOR // 4)
    assert disk == before + sector + words(4 * SECTOR // 4, (SECTORS - 4) * SECTOR // 4)


@needs_kvm
def test_is_the_same(kernel, wanted, tmp_path):
    for number in range(3):
        assert transcript(kernel, tmp_path / str(number), "kvm") == wanted


@needs_kvm
def test_is_the_same_with_more_processors(kernel, tmp_path):
    """The disk has a queue for each of them, which its configuration shows."""
    assert (transcript(kernel, tmp_path / "kvm", "kvm", "--cpus", 2)
            == transcript(kernel, tmp_path / "translate", "translate", "--cpus", 2))


class Running:
    """What connect() wants to know of a machine in the background."""
    def poll(self):
        return None


@needs_kvm
@pytest.mark.parametrize("first,second", [("kvm", "translate"), ("translate", "kvm"), ("kvm", "kvm")])
def test_goes_on_under_another_engine(kernel, wanted, tmp_path, first, second):
    """Saved while the driver waits for the console, whose queues are notified in the other engine's way afterwards."""
    disk, console = tmp_path / "disk", tmp_path / "console"
    disk.write_bytes(words(0, SECTORS * SECTOR // 4))
    store = Store(tmp_path / "store", kernel)
    store.ok("run", "-d", "--name", "one", "--memory", "32M", "--kernel", kernel, *parts(first, disk, console))
    try:
        with connect(console, Running()) as peer:
            peer.settimeout(TIMEOUT)
            assert peer.makefile("r").readline() == "say something\n"
            store.ok("save", "one", tmp_path / "state")
        store.ok("restore", "--engine", second, tmp_path / "state")
        with connect(console, Running()) as peer:
            peer.settimeout(TIMEOUT)
            peer.sendall(LINE.encode())
            assert peer.makefile("r").readline() == f"heard: {LINE}"
            store.wait_for_status("one", "exited")
        assert store.ok("logs", "one").replace("\r", "") == wanted[0]
        assert disk.read_bytes() == wanted[2]
    finally:
        store.run("rm", "-f", "one")
