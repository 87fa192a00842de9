# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine on a terminal: the menu behind the escape key, and the terminal's modes in every end there is."""
import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import threading

import pytest

from conftest import VISOR
from guest_kernel import BUTTON, PANIC
from test_machine import TIMEOUT, kernel  # noqa: F401 (kernel: a fixture)

LISTENS = f"load {' '.join(BUTTON)}; exec 3</dev/input/event0; echo LISTENS; head -c 1 <&3 >/dev/null; poweroff -f"


def read_until(fd, wanted):
    text = b""
    while wanted not in text:
        text += os.read(fd, 65536)
    return text


class Terminal:
    """A machine in the foreground of a terminal of its own."""

    def __init__(self, *options):
        self.ours, self.theirs = pty.openpty()
        self.before = termios.tcgetattr(self.ours)
        self.process = subprocess.Popen([VISOR, "run", *map(str, options)], stdin=self.theirs, stdout=self.theirs,
                                        stderr=self.theirs, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.timer = threading.Timer(TIMEOUT, self.process.kill)
        self.timer.start()

    def read_until(self, words):
        return read_until(self.ours, words)

    def type(self, keys):
        os.write(self.ours, keys)

    def is_raw(self):
        return not termios.tcgetattr(self.ours)[3] & (termios.ICANON | termios.ISIG)

    def end(self):
        """Its exit status. What it still says is read."""
        while self.process.poll() is None:
            if select.select([self.ours], [], [], 1)[0]:
                os.read(self.ours, 65536)
        return self.process.returncode

    def is_restored(self):
        return termios.tcgetattr(self.ours) == self.before

    def close(self):
        self.timer.cancel()
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def start(kernel, tmp_path):  # noqa: F811
    terminals = []

    def start_machine(script, *options, append=""):
        initrd = kernel.initrd(tmp_path, script)
        terminals.append(Terminal("--kernel", kernel.image, "--initrd", initrd, "--net", "none", "--append",
                                  f"console=ttyS0 quiet {append}", *options))
        return terminals[-1]

    yield start_machine
    for terminal in terminals:
        terminal.close()


def test_menu(start):
    """Pause, go on, reset, end; the terminal is as it was before."""
    machine = start("stty -echo; echo READY; while read line; do echo GOT $line; done")
    machine.read_until(b"READY")
    assert machine.is_raw()
    machine.type(b"\x1d")
    machine.read_until(b"[visor: q end, p pause")
    machine.type(b"p")
    machine.type(b"\x1d")
    machine.read_until(b"[visor, paused: ")
    machine.type(b"p")
    machine.type(b"hello\n")
    machine.read_until(b"GOT hello")
    machine.type(b"\x1d?")
    machine.read_until(b"s  press the power button")
    machine.type(b"zagain\n")
    machine.read_until(b"GOT again")
    machine.type(b"\x1dr")
    machine.read_until(b"READY")
    machine.type(b"\x1dq")
    assert machine.end() == 6
    assert machine.is_restored()


def test_power_button(start):
    machine = start(LISTENS)
    machine.read_until(b"LISTENS")
    machine.type(b"\x1ds")
    assert machine.end() == 0
    assert machine.is_restored()


def test_power_button_that_nobody_listens_for(start):
    machine = start("stty -echo; echo READY; read line; echo GOT $line; poweroff -f", append="acpi=off")
    machine.read_until(b"READY")
    machine.type(b"\x1ds")
    machine.read_until(b"nobody in the guest listens for the power button")
    machine.type(b"\x1dq")
    assert machine.end() == 6


def test_break(start):
    """Linux takes the key behind it as a command."""
    machine = start("echo 1 >/proc/sys/kernel/sysrq; stty -echo; echo READY; read line; poweroff -f")
    machine.read_until(b"READY")
    machine.type(b"\x1dbh")
    machine.read_until(b"sysrq: HELP")
    machine.type(b"\n")
    assert machine.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_restores(start, number):
    machine = start(LISTENS)
    machine.read_until(b"LISTENS")
    machine.process.send_signal(number)
    assert machine.end() == 0
    assert machine.is_restored()


def test_second_signal_restores(start):
    machine = start(f"load {' '.join(BUTTON)}; stty -echo; echo READY; sleep 1000000")
    machine.read_until(b"READY")
    machine.process.send_signal(signal.SIGTERM)
    machine.read_until(b"asked to switch off")
    machine.process.send_signal(signal.SIGTERM)
    assert machine.end() == 6
    assert machine.is_restored()


def test_panic_restores(start):
    machine = start(f"load {' '.join(PANIC)}; echo c >/proc/sysrq-trigger")
    assert machine.end() == 5
    assert machine.is_restored()


def test_triple_fault_restores(start):
    machine = start("reboot -f", "--no-reboot", append="reboot=triple")
    assert machine.end() == 4
    assert machine.is_restored()


def test_kill_restores(start):
    """By the process that waits for visor's end."""
    machine = start("stty -echo; echo READY; read line")
    machine.read_until(b"READY")
    machine.process.kill()
    machine.process.wait()
    while not machine.is_restored():
        assert machine.timer.is_alive()


def test_error_at_the_start_restores(kernel):  # noqa: F811
    """The console is there before the disk that is missing, or the kernel that is none."""
    for options in (["--kernel", kernel.image, "--disk", "/nonexistent"], ["--kernel", "/etc/passwd"],
                    ["--kernel", kernel.image, "--console", "stdio", "--console", "unix:/nonexistent/socket"]):
        machine = Terminal("--net", "none", *options)
        assert machine.end() == 126
        assert machine.is_restored()
        machine.close()
