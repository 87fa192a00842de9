# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian kernel for machines to boot, and initial RAM disks of a busybox and one script."""
import gzip
import os
import pathlib
import stat
import subprocess

from conftest import TOP

CACHE = pathlib.Path(os.environ.get("VISOR_TEST_KERNELS", TOP / "build/kernels"))

DISK = ["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"]
NET = ["failover", "net_failover", "virtio_net"]
PANIC = ["pvpanic", "pvpanic-mmio"]
BUTTON = ["button", "evdev"]
BALLOON = ["virtio_balloon"]
VSOCK = ["vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport"]
MODULES = DISK + NET + PANIC + BUTTON + BALLOON + VSOCK

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /mnt /tmp
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
exec </dev/console >/dev/console 2>&1
load() { for module; do insmod /modules/$module.ko; done; }
echo GUEST-BEGINS
"""


def apt(suite=None):
    """Options by which apt's tools know a suite of Debian's that may not be the host's; none: what the host knows."""
    if not suite:
        return []
    directory = CACHE / f"apt-{suite}"
    options = [word for key, name in (("Etc::sourcelist", "sources.list"), ("Etc::sourceparts", "none"),
                                      ("State::lists", "lists"), ("Cache", "cache"))
               for word in ("-o", f"Dir::{key}={directory / name}")]
    if not (directory / "complete").exists():
        for name in ("lists/partial", "cache/archives/partial"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
        (directory / "sources.list").write_text(
            f"deb [signed-by={keyring}] http://deb.debian.org/debian {suite} main\n")
        subprocess.run(["apt-get", *options, "update"], check=True, stdout=subprocess.DEVNULL)
        (directory / "complete").touch()
    return options


def download(package, suite=None):
    """Unpacks a package of Debian's under CACHE; returns the directory."""
    directory = CACHE / package
    if not (directory / "complete").exists():
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", *apt(suite), "download", package], cwd=directory, check=True,
                       stdout=subprocess.DEVNULL)
        for deb in directory.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", deb, directory], check=True)
            deb.unlink()
        (directory / "complete").touch()
    return directory


def kernel_package(flavour="cloud-amd64", suite=None):
    """The name of the package that linux-image-FLAVOUR depends on."""
    text = subprocess.run(["apt-cache", *apt(suite), "depends", f"linux-image-{flavour}"], capture_output=True,
                          text=True, check=True).stdout
    return next(word for word in text.split() if word.startswith("linux-image-") and word[12].isdigit())


def entry(name, mode, data=b"", device=(0, 0)):
    """A file in the archive format of initial RAM disks, "newc"."""
    name = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0]
    out = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    out += bytes(-len(out) % 4) + data
    return out + bytes(-len(out) % 4)


def libraries(program):
    """What a program of the host is linked with, the dynamic loader included."""
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return {pathlib.Path(word) for word in text.split() if word.startswith("/")}


def make_initrd(path, script, modules, programs=None, of_host=()):
    """An initial RAM disk whose /init is INIT and then the script. Programs by name; those of the host, with their
    libraries, are where they are there."""
    busybox = next(download("busybox-static").glob("bin/busybox")).read_bytes()
    out = b"".join(entry(name, stat.S_IFDIR | 0o755) for name in ("bin", "dev", "modules"))
    out += entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    out += entry("bin/busybox", stat.S_IFREG | 0o755, busybox)
    out += entry("init", stat.S_IFREG | 0o755, (INIT + script + "\n").encode())
    for name, data in modules.items():
        out += entry(f"modules/{name}.ko", stat.S_IFREG | 0o644, data)
    for name, data in (programs or {}).items():
        out += entry(name, stat.S_IFREG | 0o755, data)
    files = {path for program in of_host for path in libraries(program)} | set(of_host)
    for name in sorted({str(parent) for file in files for parent in file.parents if parent != parent.parent}, key=len):
        out += entry(name[1:], stat.S_IFDIR | 0o755)
    for file in sorted(files):
        out += entry(str(file)[1:], stat.S_IFREG | 0o755, file.read_bytes())
    out += entry("TRAILER!!!", 0)
    path.write_bytes(gzip.compress(out, 1))
    return path


class GuestKernel:
    """A kernel with the modules of MODULES."""

    def __init__(self, flavour="cloud-amd64"):
        root = download(kernel_package(flavour))
        self.image = next(root.glob("boot/vmlinuz-*"))
        self.modules = {module: next(root.glob(f"lib/modules/*/kernel/**/{module}.ko")).read_bytes()
                        for module in MODULES}

    def initrd(self, directory, script, programs=None, of_host=()):
        return make_initrd(directory / "initrd", script, self.modules, programs, of_host)
