# SPDX-License-Identifier: GPL-2.0-or-later
"""What cannot make a machine: one clear line, and what to try."""
import os
import socket
import struct

import pytest

from guest_kernel import GuestKernel


@pytest.fixture(scope="session")
def image():
    return GuestKernel().image


def assert_refused(result, status, *words):
    lines = [line for line in result.stderr.splitlines() if not line.startswith("  hint: ")]
    assert result.returncode == status, result.stderr
    assert len(lines) == 1 and lines[0].startswith("visor: "), result.stderr
    assert len(result.stderr.splitlines()) <= 2
    for word in words:
        assert word.lower() in result.stderr.lower()
    assert result.stdout == ""


@pytest.mark.parametrize("options, words", [
    (["--memory", "5"], ["--memory 5", "2 MiB", "hint"]),
    (["--memory", "100T"], ["100T"]),
    (["--memory", "lots"], ["lots"]),
    (["--memory", "-1G"], ["-1G"]),
    (["--cpus", "0"], ["--cpus 0", "1 to 255"]),
    (["--cpus", "1000"], ["--cpus 1000"]),
    (["--cpus", "two"], ["two"]),
    (["--cpu", "z80"], ["z80", "max"]),
    (["--cpu", "max,+warp"], ["warp"]),
    (["--machine", "amiga"], ["amiga", "pc"]),
    (["--net", "carrier.pigeon"], ["carrier.pigeon", "network"]),
    (["--net", "host"], ["host", "user"]),
    (["--net", "none", "--publish", "80:80"], ["publish", "user"]),
    (["--publish", "80"], ["80", "8080:80"]),
    (["--net", "user,forward=tcp:99999:22"], ["99999"]),
    (["--net", "tap,vhost=perhaps"], ["vhost=perhaps", "auto"]),
    (["--net", "back,vhost=perhaps"], ["vhost=perhaps", "auto"]),
    (["--net", "user,vhost=on"], ["user network", "vhost"]),
    (["--console", "telex"], ["telex", "stdio"]),
    (["--debug-exit", "0x10000"], ["0x10000"]),
    (["--disk", "a,colour=red"], ["colour"]),
    (["--root", "/"], ["--root", "--kernel"]),
    (["--trace", "syscall"], ["syscall", "guest"]),
])
def test_options(visor, options, words):
    assert_refused(visor("run", "--kernel", "/none", *options), 2, *words)


def test_a_network_that_is_not_there(visor):
    assert_refused(visor("run", "--kernel", "/none", "--net", "carrier-pigeon"), 126, "carrier-pigeon", "user", "visor network create")


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="a tap takes root, and /dev/net/tun")
def test_queues_that_no_kernel_serves(visor, image):
    tap = ["--net", f"tap=visor-{os.getpid() % 100000},vhost=on"]
    assert_refused(visor("run", "--kernel", image, "--engine", "translate", *tap), 126, "vhost=on", "KVM alone")
    if os.access("/dev/kvm", os.W_OK) and not os.path.exists("/dev/vhost-net"):
        assert_refused(visor("run", "--kernel", image, "--engine", "kvm", *tap), 126, "vhost=on", "/dev/vhost-net", "modprobe")


def test_nothing_to_start_from(visor):
    assert_refused(visor("run", "--memory", "64M"), 2, "nothing to start from", "--kernel")
    assert_refused(visor("run", "--cpus", "2"), 2, "name the program or the disk to run")
    assert_refused(visor("run", "--initrd", "/none", "--machine", "pc"), 2, "--initrd", "--kernel")


def test_two_images(visor):
    assert_refused(visor("run", "--memory", "1G", "a", "b"), 2, "b", "--disk")


def test_missing_files(visor, image):
    assert_refused(visor("run", "--kernel", "/none/kernel"), 126, "/none/kernel", "no such file")
    assert_refused(visor("run", "--kernel", image, "--initrd", "/none/initrd"), 126, "/none/initrd", "no such file")
    assert_refused(visor("run", "--kernel", image, "--disk", "/none/disk"), 126, "/none/disk", "not exist")
    assert_refused(visor("run", "--memory", "1G", "/none/image"), 126, "/none/image")


def test_a_kernel_is_no_disk(visor, image):
    assert_refused(visor("run", image), 2, "kernel, not a disk", f"--kernel {image}")


def test_kernel_of_another_processor(visor, tmp_path):
    arm64 = tmp_path / "Image"
    arm64.write_bytes(struct.pack("<2I6QI4s", 0, 0, 0, 1 << 20, 0, 0, 0, 0, 0, b"ARMd")[:56] + b"ARMd" + bytes(1 << 20))
    assert_refused(visor("run", "--kernel", arm64), 126, "Image", "arm64")
    elf = tmp_path / "vmlinux"
    elf.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 2, 183) + bytes(4096))
    assert_refused(visor("run", "--kernel", elf), 126, "vmlinux", "arm64")


def test_truncated_kernel(visor, image, tmp_path):
    for size in (0, 100, 600, 5000, 1 << 20):
        part = tmp_path / "vmlinuz"
        part.write_bytes(image.read_bytes()[:size])
        assert_refused(visor("run", "--kernel", part), 126, "vmlinuz")


def test_initrd_larger_than_memory(visor, image, tmp_path):
    initrd = tmp_path / "initrd"
    with open(initrd, "wb") as file:
        file.truncate(1 << 30)
    assert_refused(visor("run", "--memory", "256M", "--kernel", image, "--initrd", initrd), 126, "initrd", "256 MiB", "--memory")


def test_disk_that_boots_nothing(visor, tmp_path):
    disk = tmp_path / "empty.img"
    disk.write_bytes(bytes(510) + b"\x55\xaa" + bytes(1 << 20))
    assert_refused(visor("run", disk), 126, "empty.img")


def test_disk_is_in_use(visor, image, tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    assert_refused(visor("run", "--kernel", image, "--disk", disk, "--disk", disk), 126, "disk.img")


def test_disk_that_cannot_be_written(visor, image, tmp_path):
    directory = tmp_path / "directory"
    directory.mkdir()
    assert_refused(visor("run", "--kernel", image, "--disk", directory), 126, "directory")


def test_busy_port(visor, image):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_refused(visor("run", "--kernel", image, "--net", f"user,forward=tcp:127.0.0.1:{port}:22"), 126, str(port))
