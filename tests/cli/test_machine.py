# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole machines: Debian's kernel boots, sees what it was given, and ends in all the ways there are."""
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from conftest import VISOR
from guest_kernel import BUTTON, DISK, NET, PANIC, GuestKernel

TIMEOUT = 300  # of a host that is very busy


@pytest.fixture(scope="session")
def kernel():
    return GuestKernel()


class Machine:
    """A machine that runs; its console is our pipe."""

    def __init__(self, *options, command=None):
        self.process = subprocess.Popen(command or [VISOR, "run", *map(str, options)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.text = b""
        self.timer = threading.Timer(TIMEOUT, self.process.kill)
        self.timer.start()

    def wait_for(self, wanted):
        """Reads the console up to these words; returns what it has read of late."""
        while wanted.encode() not in self.text:
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"the machine has ended without {wanted!r}: {self.text[-2000:]!r}"
            self.text += data
        before, self.text = self.text.split(wanted.encode(), 1)
        return before.decode(errors="replace")

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def end(self):
        """Waits for its end; returns the exit status."""
        self.text += self.process.stdout.read()
        self.errors = self.process.stderr.read().decode()
        status = self.process.wait()
        self.timer.cancel()
        return status


@pytest.fixture
def start(kernel, tmp_path):
    machines = []

    def start_machine(script, *options, append=""):
        initrd = kernel.initrd(tmp_path, script)
        machine = Machine("--kernel", kernel.image, "--initrd", initrd, "--append", f"console=ttyS0 quiet {append}", *options)
        machines.append(machine)
        return machine

    yield start_machine
    for machine in machines:
        machine.timer.cancel()
        machine.process.kill()
        machine.process.wait()


def test_guest_sees_its_machine_and_switches_it_off(start):
    machine = start("grep MemTotal /proc/meminfo; nproc; date +%s; echo SEEN; poweroff -f",
                    "--cpus", 2, "--memory", "384M", "--net", "none")
    machine.wait_for("GUEST-BEGINS")
    seen = machine.wait_for("SEEN").split()
    memory, cpus, date = int(seen[seen.index("MemTotal:") + 1]), int(seen[-2]), int(seen[-1])
    assert 300 << 10 < memory <= 384 << 10
    assert cpus == 2
    assert abs(date - int(subprocess.check_output(["date", "+%s"]))) < TIMEOUT
    assert machine.end() == 0


def test_linux_is_told_that_no_page_fault_is_left(start):
    """Each processor asks to be told of the host's, and is told at once that all are over: no more, as there are none."""
    machine = start("dmesg | grep -o 'setup async PF.*'; grep HYP: /proc/interrupts; echo SEEN; poweroff -f", "--cpus", 2,
                    append='dyndbg="file arch/x86/kernel/kvm.c +p"')
    machine.wait_for("GUEST-BEGINS")
    seen = machine.wait_for("SEEN")
    assert "setup async PF for cpu 1" in seen
    assert seen.split("HYP:")[1].split()[:2] == ["1", "1"]
    assert machine.end() == 0


def test_four_processors_run_at_once(start):
    machine = start("for i in 1 2 3 4; do (md5sum /bin/busybox >/tmp$i) & done; wait; cat /tmp? | sort -u | wc -l; nproc;"
                    "echo SEEN; poweroff -f", "--cpus", 4)
    machine.wait_for("GUEST-BEGINS")
    assert machine.wait_for("SEEN").split()[-2:] == ["1", "4"]
    assert machine.end() == 0


def test_linux_goes_by_hyperv(start):
    """Without KVM's interface, which it prefers: its clock, its timers, and no register that it misses."""
    machine = start("mount -t sysfs none /sys; cd /sys/devices/system; cat clockevents/clockevent*/current_device"
                    " clocksource/clocksource0/current_clocksource; sleep 0.3; grep HVS /proc/interrupts;"
                    "dmesg | grep -c unchecked; echo SEEN; poweroff -f",
                    "--cpus", 2, "--net", "none", "--cpu", "max,hv=on,kvm=off")
    machine.wait_for("GUEST-BEGINS")
    seen = machine.wait_for("SEEN").splitlines()
    assert [line for line in seen if "clockevent" in line] == 2 * ["Hyper-V clockevent"]
    assert "hyperv_clocksource_tsc_page" in seen
    counts = next(line for line in seen if "HVS:" in line).split()
    assert int(counts[1]) > 0 and int(counts[2]) > 0
    assert seen[-1] == "0"
    assert machine.end() == 0


def test_characters_go_both_ways(start):
    machine = start("echo READY; read line; echo GOT $line; poweroff -f", "--net", "none")
    machine.wait_for("READY")
    machine.send("some words\n")
    machine.wait_for("GOT some words")
    assert machine.end() == 0


def test_reset_starts_again(start):
    machine = start("reboot -f", "--net", "none")
    machine.wait_for("GUEST-BEGINS")
    machine.wait_for("GUEST-BEGINS")
    machine.process.send_signal(signal.SIGTERM)  # nobody listens for the power button
    assert machine.end() == 6


@pytest.mark.parametrize("how", ["acpi", "kbd", "pci"])
def test_reset_can_be_the_end(start, how):
    assert start("reboot -f", "--no-reboot", append=f"reboot={how}").end() == 3


def test_triple_fault(start):
    machine = start("reboot -f", "--no-reboot", append="reboot=triple")
    assert machine.end() == 4
    assert "triple fault" in machine.errors


@pytest.mark.parametrize("after", [0, -1])
def test_panic_is_told(start, after):
    machine = start(f"load {' '.join(PANIC)}; echo c >/proc/sysrq-trigger", append=f"panic={after}")
    assert machine.end() == 5
    assert "panic" in machine.errors


def test_panic_that_nobody_tells_resets(start):
    assert start("echo c >/proc/sysrq-trigger", "--no-reboot", append="panic=-1").end() == 3


def test_signal_presses_the_power_button(start):
    machine = start(f"load {' '.join(BUTTON)}; exec 3</dev/input/event0; echo LISTENS; head -c 1 <&3 >/dev/null; poweroff -f")
    machine.wait_for("LISTENS")
    machine.process.send_signal(signal.SIGTERM)
    assert machine.end() == 0
    assert "asked to switch off" in machine.errors


def test_second_signal_ends_it(start):
    machine = start(f"load {' '.join(BUTTON)}; echo LISTENS; sleep 1000000")
    machine.wait_for("LISTENS")
    machine.process.send_signal(signal.SIGINT)
    machine.process.stderr.readline()
    machine.process.send_signal(signal.SIGINT)
    assert machine.end() == 6


def test_disks(start, tmp_path):
    """Written to one, thrown away of another, refused by a third."""
    images = [tmp_path / name for name in ("a.img", "b.img", "c.img")]
    for index, image in enumerate(images):
        image.write_bytes(bytes([0x41 + index]) * 512 + bytes((1 << 20) - 512))
    machine = start(f"load {' '.join(DISK)}; for d in a b c; do head -c 1 /dev/vd$d; "
                    "printf new | dd of=/dev/vd$d conv=fsync 2>/dev/null; done; cat /sys/block/vdb/serial; "
                    "head -c 3 /dev/vdb; echo SEEN; poweroff -f",
                    "--disk", images[0], "--disk", f"{images[1]},snapshot,serial=second", "--disk", f"{images[2]},readonly")
    machine.wait_for("GUEST-BEGINS")
    seen = machine.wait_for("SEEN")
    assert machine.end() == 0
    assert "ABC" in seen
    assert "secondnew" in seen
    assert [image.read_bytes()[:3] for image in images] == [b"new", b"BBB", b"CCC"]


def bootable_disk(kernel, tmp_path, script):
    """A disk with a file system from which the guest's kernel starts; `step=one` is in its command line."""
    root = tmp_path / "root"
    (root / "extlinux").mkdir(parents=True)
    shutil.copy(kernel.image, root / "vmlinuz")
    kernel.initrd(root, script)
    (root / "extlinux/extlinux.conf").write_text("label a\nkernel /vmlinuz\ninitrd /initrd\n"
                                                 "append console=ttyS0 quiet step=one\n")
    image = tmp_path / "disk.img"
    subprocess.run(["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-d", root, image, "96M"], check=True)
    return image


# A new file takes the old one's place; what makes that last is a commit of the journal alone.
CHANGE = (f"load {' '.join(DISK)}; cat /proc/cmdline; if grep -q step=one /proc/cmdline; then "
          "mount -t ext4 /dev/vda /mnt; cd /mnt/extlinux; sed s/step=one/step=two/ extlinux.conf | "
          "dd of=new conv=fsync 2>/dev/null; mv new extlinux.conf; echo | dd of=other conv=fsync 2>/dev/null; "
          "echo CHANGED; %s; else echo SEEN; poweroff -f; fi")


def test_killed_guest_starts_with_what_its_journal_has(kernel, tmp_path):
    image = bootable_disk(kernel, tmp_path, CHANGE % "sleep 1000000")
    first = Machine("--net", "none", image)
    first.wait_for("CHANGED")
    first.process.kill()
    first.end()
    features = subprocess.run(["/usr/sbin/dumpe2fs", "-h", image], capture_output=True, text=True, check=True).stdout
    assert "needs_recovery" in features
    second = Machine("--net", "none", "--snapshot", image)
    assert "step=two" in second.wait_for("SEEN")
    assert second.end() == 0


@pytest.mark.parametrize("options", [[], ["--snapshot"]])
def test_reboot_starts_with_what_the_guest_has_written(kernel, tmp_path, options):
    image = bootable_disk(kernel, tmp_path, CHANGE % "cd /; umount /mnt; reboot -f")
    machine = Machine("--net", "none", *options, image)
    machine.wait_for("CHANGED")
    assert "step=two" in machine.wait_for("SEEN")
    assert machine.end() == 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("options", [["--net", "user,forward=tcp:127.0.0.1:{port}:22"], ["--publish", "{port}:22"]])
def test_forwarded_port(start, options):
    port = free_port()
    machine = start(f"load {' '.join(DISK[:-1] + NET)}; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; "
                    "ip route add default via 10.0.2.2; echo LISTENS; echo hello from the guest | nc -l -p 22; "
                    "echo SERVED; poweroff -f", *(option.format(port=port) for option in options))
    machine.wait_for("LISTENS")
    text = b""
    while b"guest" not in text:  # until nc listens, connections are reset
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
            try:
                text = connection.recv(100)
            except ConnectionResetError:
                text = b""
    assert text == b"hello from the guest\n"
    machine.wait_for("SERVED")
    assert machine.end() == 0


def test_console_in_a_file(start, tmp_path):
    machine = start("poweroff -f", "--console", f"file:{tmp_path}/log", "--net", "none")
    assert machine.end() == 0
    assert machine.text == b""
    assert b"GUEST-BEGINS" in (tmp_path / "log").read_bytes()


def test_full_host_disk(kernel, tmp_path):
    """The guest is paused while its disk's file cannot grow, goes on when it can, and nothing is lost."""
    script = (f"load {' '.join(DISK)}; head -c 3145728 /dev/urandom >/tmp/data; dd if=/tmp/data of=/dev/vda bs=1M "
              "conv=fsync 2>/dev/null; echo SUM $(md5sum </tmp/data) WRITTEN; read line; poweroff -f")
    initrd = kernel.initrd(tmp_path, script)
    host = tmp_path / "host"
    host.mkdir()
    small = (f"mount -t tmpfs -o size=4m none {host} && truncate -s 8M {host}/disk && head -c 2M /dev/zero >{host}/filler && "
             f"exec {VISOR} run --kernel {kernel.image} --initrd {initrd} --append 'console=ttyS0 quiet' --net none "
             f"--disk {host}/disk")
    machine = Machine(command=["unshare", "-Urm", "sh", "-c", small])
    line = machine.process.stderr.readline().decode()
    assert "disk" in line and "paused until there is room" in line
    inside = pathlib.Path(f"/proc/{machine.process.pid}/root{host}")
    (inside / "filler").unlink()
    assert "goes on" in machine.process.stderr.readline().decode()
    total = machine.wait_for("WRITTEN").split("SUM")[-1].split()[0]
    assert hashlib.md5((inside / "disk").read_bytes()[:3145728]).hexdigest() == total
    machine.send("end\n")
    assert machine.end() == 0


def test_one_machine_writes_to_a_disk(start, visor, kernel, tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    machine = start("echo UP; sleep 1000000", "--disk", disk, "--net", "none")
    machine.wait_for("UP")
    result = visor("run", "--kernel", kernel.image, "--disk", disk)
    assert result.returncode == 126
    assert "disk.img" in result.stderr and "use" in result.stderr
