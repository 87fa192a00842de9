# SPDX-License-Identifier: GPL-2.0-or-later
"""A debugger at a machine: gdb's protocol by hand, and gdb itself where it is installed."""
import shutil
import socket
import subprocess

import pytest

from test_machine import TIMEOUT, free_port, kernel, start  # noqa: F401 (fixtures)


class Debugger:
    """The other end of gdb's remote protocol."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.stream = self.socket.makefile("rb")

    def send(self, text):
        self.socket.sendall(f"${text}#{sum(text.encode()) % 256:02x}".encode())

    def receive(self):
        while (byte := self.stream.read(1)) != b"$":
            assert byte, "the connection has ended"
        text = b""
        while (byte := self.stream.read(1)) != b"#":
            text += byte
        self.stream.read(2)
        self.socket.sendall(b"+")
        return text.decode()

    def ask(self, text):
        self.send(text)
        return self.receive()

    def rip(self):
        return int.from_bytes(bytes.fromhex(self.ask("g")[16 * 16:17 * 16]), "little")


def connect(machine, port):
    """The machine listens once it is there."""
    while machine.process.poll() is None:
        try:
            return Debugger(port)
        except ConnectionRefusedError:
            continue
    raise AssertionError(machine.process.stderr.read())


@pytest.fixture
def debugged(start):  # noqa: F811
    port = free_port()
    machine = start("echo UP; while true; do :; done", "--gdb", f"{port},wait", "--cpus", 2, "--net", "none")
    return machine, connect(machine, port)


def test_looks_steps_and_stops(debugged):
    machine, debugger = debugged
    assert debugger.ask("?").startswith("T05")
    places = [debugger.rip()]
    assert int(debugger.ask(f"m{places[0]:x},4"), 16) != 0
    for _ in range(3):
        assert debugger.ask("s").startswith("T05")
        places.append(debugger.rip())
    assert len(set(places)) == 4
    assert debugger.ask(f"P10={places[0].to_bytes(8, 'little').hex()}") == "OK"
    assert debugger.rip() == places[0]
    assert debugger.ask(f"Z1,{places[3]:x},1") == "OK"
    assert debugger.ask("c").startswith("T05")
    assert debugger.rip() == places[3]
    assert debugger.ask(f"z1,{places[3]:x},1") == "OK"
    debugger.send("c")
    machine.wait_for("UP")
    debugger.socket.sendall(b"\x03")
    assert debugger.receive().startswith("T02")
    assert debugger.ask("D") == "OK"
    machine.process.terminate()
    assert machine.end() == 6


# 20000: mov rbx, 30000; inc dword [rbx]; mov eax, [rbx]; mov [rbx + 8], eax; jmp here
CODE = "48c7c300000300" "ff03" "8b03" "894308" "ebfe"


@pytest.mark.parametrize("kind, address, place, name", [
    (2, 0x30008, 0x2000e, "watch"), (3, 0x30000, 0x20009, "rwatch"), (4, 0x30008, 0x2000e, "awatch"),
    (2, 0x30000, 0x20009, "watch"), (4, 0x30000, 0x20009, "awatch")])
def test_says_which_watchpoint(debugged, kind, address, place, name):
    """An instruction that reads and writes reads as well. The CPU is where the kernel begins, with memory as it is at its address; the code is put there."""
    machine, debugger = debugged
    assert debugger.ask(f"M20000,{len(CODE) // 2:x}:{CODE}") == "OK"
    assert debugger.ask(f"P10={0x20000.to_bytes(8, 'little').hex()}") == "OK"
    assert debugger.ask("Z2,38000,4") == "OK"
    assert debugger.ask(f"Z{kind},{address:x},4") == "OK"
    assert debugger.ask("vCont;c") == f"T05thread:1;{name}:{address:x};"
    assert debugger.rip() == place
    assert debugger.ask(f"z{kind},{address:x},4") == "OK"
    assert debugger.ask("s") == "T05thread:1;"
    assert debugger.ask("Z0,2000e,1") == "OK"
    assert debugger.ask("c") == "T05thread:1;swbreak:;"
    assert debugger.ask("D") == "OK"
    machine.process.terminate()
    assert machine.end() == 6


def test_is_told_of_the_end(debugged):
    machine, debugger = debugged
    debugger.send("c")
    machine.wait_for("UP")
    machine.process.terminate()
    assert debugger.receive() == "W06"
    assert machine.end() == 6


def test_hang_up_lets_it_go_on(debugged):
    machine, debugger = debugged
    debugger.stream.close()
    debugger.socket.close()
    machine.wait_for("UP")


def test_port_is_taken(visor, kernel):  # noqa: F811
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = visor("run", "--kernel", kernel.image, "--gdb", port, "--net", "none")
    assert result.returncode == 126
    assert f"--gdb {port}" in result.stderr and "in use" in result.stderr


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_gdb(start):  # noqa: F811
    port = free_port()
    machine = start("echo UP", "--gdb", f"{port},wait", "--cpus", 2, "--net", "none")
    script = ["set tcp connect-timeout 100", "set architecture i386:x86-64", f"target remote 127.0.0.1:{port}", "info threads", "stepi",
              "x/i $pc", "kill"]
    result = subprocess.run(["gdb", "-nx", "-batch", *(word for line in script for word in ("-ex", line))],
                            capture_output=True, text=True, timeout=TIMEOUT)
    assert "vCPU 0, running" in result.stdout and "vCPU 1, not started" in result.stdout
    assert machine.end() == 6
