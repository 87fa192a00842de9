# SPDX-License-Identifier: GPL-2.0-or-later
"""An interactive shell on a terminal: job control, interrupts, window size."""
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

import pytest

from conftest import ROOT, VISOR


class Terminal:
    """bash in the arm64 root on a pseudo-terminal."""

    def __init__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "dumb"
            os.execv(VISOR, ["visor", "run", "--root", str(ROOT), "--env", "PS1=$ ", "/bin/bash", "--norc", "-i"])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
        self.text = ""

    def send(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern, seconds=30):
        """Waits for the pattern in the output after the last match; returns the match."""
        end = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.text)
            if match:
                self.text = self.text[match.end():]
                return match
            ready = select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]
            assert ready, f"no {pattern!r} in {self.text!r}"
            try:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(f"ended before {pattern!r}: {self.text!r}") from None

    def close(self):
        """Waits for the end, with the terminal open: closing it first would hang up. The exit status."""
        try:
            while os.read(self.fd, 65536):
                pass
        except OSError:  # the other side is closed
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return status


@pytest.fixture
def terminal():
    t = Terminal()
    t.expect(r"\$ ")
    return t


def test_interrupt_ends_the_foreground_job_only(terminal):
    terminal.send("sleep 1000; echo status=$?\n")
    terminal.expect("status=")  # the echoed line
    time.sleep(0.5)
    terminal.send("\x03")
    terminal.expect(r"\$ ")
    terminal.send("echo alive $((6 * 7))\n")
    terminal.expect("alive 42")
    terminal.send("exit 5\n")
    terminal.expect("exit")
    assert terminal.close() == 5


def test_stop_background_and_foreground(terminal):
    terminal.send("sleep 1000\n")
    time.sleep(0.5)
    terminal.send("\x1a")
    terminal.expect(r"Stopped +sleep 1000")
    terminal.send("bg; jobs\n")
    terminal.expect(r"Running +sleep 1000")
    terminal.send("fg\n")
    terminal.expect("sleep 1000")
    time.sleep(0.3)
    terminal.send("\x03")
    terminal.send("echo done $((1 + 1))\n")
    terminal.expect("done 2")
    terminal.send("exit\n")
    terminal.expect("exit")
    assert terminal.close() == 0


def test_window_size_and_tty(terminal):
    terminal.send("stty size; tty; test -t 1 && echo is-tty\n")
    terminal.expect(r"33 77\s+/dev/pts/\d+\s+is-tty")
    terminal.send("exit\n")
    terminal.expect("exit")
    assert terminal.close() == 0
