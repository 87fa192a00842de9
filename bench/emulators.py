# SPDX-License-Identifier: GPL-2.0-or-later
"""The same machine under QEMU and under visor: its command line, its console, what it costs the host."""
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

EMULATORS = ("qemu", "visor")
DONE = re.compile(rb"@DONE (\d+)\r?\n")
GIB = 1 << 30
SILENCE = 300  # seconds; of a host that is very busy


class Hardware:
    """What a machine consists of. Disks: a path, and whether what is written is thrown away in the end."""

    def __init__(self, kernel, initrd, append, disks=(), cpus=1, net=False):
        self.kernel, self.initrd, self.append, self.disks = kernel, initrd, append, disks
        self.cpus, self.net = cpus, net


def qemu_command(program, model, hardware):
    """Without the devices of a PC that visor's does not have either."""
    command = [program, "-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
               "-cpu", model, "-m", "1G", "-smp", str(hardware.cpus),
               "-kernel", hardware.kernel, "-initrd", hardware.initrd, "-append", hardware.append]
    for path, throw_away in hardware.disks:
        command += ["-drive", f"if=virtio,format=raw,cache=writeback,aio=io_uring,file={path},file.locking=off"
                    + (",snapshot=on" if throw_away else "")]
    if hardware.net:
        command += ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]
    return command


def visor_command(program, model, hardware):
    command = [program, "run", "--machine", "pc", "--cpu", model, "--memory", "1G", "--cpus", str(hardware.cpus),
               "--no-reboot", "--kernel", hardware.kernel, "--initrd", hardware.initrd, "--append", hardware.append]
    for path, throw_away in hardware.disks:
        command += ["--disk", f"{path}" + (",snapshot" if throw_away else "")]
    return command + ["--net", "user" if hardware.net else "none"]


def processes_of(pid):
    """The process and all its descendants."""
    found = [pid]
    for one in found:
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


class Machine:
    """A machine that runs. Its console carries commands to bench/guest.c, and what that answers."""

    def __init__(self, emulator, command):
        self.emulator = emulator
        self.text, self.all = b"", b""
        self.errors = tempfile.TemporaryFile()
        self.begin = time.monotonic()
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors)

    def wait_for(self, pattern):
        """Reads the console up to this; returns the match."""
        while not (match := re.search(pattern, self.text)):
            if not select.select([self.process.stdout], [], [], SILENCE)[0]:
                self.fail(f"says nothing for {SILENCE} seconds")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                self.fail("has ended")
            self.text += data
            self.all += data
        self.text = self.text[match.end():]
        return match

    def fail(self, what):
        self.errors.seek(0)
        sys.exit(f"bench: the machine under {self.emulator} {what}: {self.errors.read().decode()}"
                 f"{self.all[-3000:].decode(errors='replace')}")

    def cpu_seconds(self):
        """Of its processes until now, to the nanosecond: the processes' own clocks."""
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in processes_of(self.process.pid))

    def run(self, line):
        """A shell command in the guest. Returns seconds of the clock and of the host's processors."""
        cpu, begin = self.cpu_seconds(), time.monotonic()
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        status = int(self.wait_for(DONE)[1])
        wall = time.monotonic() - begin
        cpu = self.cpu_seconds() - cpu
        if status != 0:
            self.fail(f"ran {line!r} with status {status}")
        return wall, cpu

    def ask(self, line):
        """What a shell command in the guest prints, one word."""
        self.process.stdin.write(f'echo "@SAYS $({line})"\n'.encode())
        self.process.stdin.flush()
        said = self.wait_for(rb"@SAYS (\S*).*\n")[1].decode()
        self.wait_for(DONE)
        return said

    def memory_over_guest(self):
        """Bytes that its processes take beyond the guest's RAM, which is the largest mapping."""
        total = 0
        for pid in processes_of(self.process.pid):
            size = 0
            for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
                if line.startswith("Size:"):
                    size = int(line.split()[1]) << 10
                if line.startswith("Pss:") and size < GIB // 2:
                    total += int(line.split()[1]) << 10
        return total

    def end(self):
        """Waits until it has switched itself off. Returns seconds of the clock and of the host's processors."""
        while data := os.read(self.process.stdout.fileno(), 65536):
            self.all += data
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - self.begin
        self.process.stdin.close()
        self.process.stdout.close()
        if self.process.returncode != 0:
            self.fail(f"ended with status {self.process.returncode}")
        return wall, usage.ru_utime + usage.ru_stime

    def stop(self):
        """In whatever state it is."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


class Emulators:
    """Both of them."""

    def __init__(self, options):
        qemu = shutil.which(options.qemu)
        if not qemu:
            sys.exit(f"bench: {options.qemu} is not installed")
        self.programs = {"qemu": (qemu_command, qemu, options.qemu_cpu), "visor": (visor_command, options.visor, options.cpu)}
        self.running = []

    def start(self, emulator, hardware):
        command, program, model = self.programs[emulator]
        machine = Machine(emulator, command(program, model, hardware))
        self.running.append(machine)
        return machine

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for machine in self.running:
            machine.stop()
