# SPDX-License-Identifier: GPL-2.0-or-later
"""What bench/machine's machines are made of: Debian's disk, its kernel, and a disk with what is measured."""
import pathlib
import re
import shutil
import subprocess
import sys

from data import make_texts, make_units
from roots import TOP

IMAGE = TOP / "build/images/bench-amd64.img"
PACKAGES = "lua5.4,python3,sqlite3,xz-utils,gcc,make,openssl,libc6-dev"
MAKEFILE = "all: $(patsubst %.c,%.o,$(wildcard part*.c))\n\tar rc all.a $^\n%.o: %.c\n\t$(CC) -O2 -c -o $@ $<\n"
SCRATCH = 512 << 20


def run(*command):
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def archive(directory, names, output):
    """A cpio archive, as initial RAM disks are, of these files."""
    with open(output, "wb") as file:
        for inode, name in enumerate([*names, "TRAILER!!!"], 1):
            data = (directory / name).read_bytes() if name != "TRAILER!!!" else b""
            fields = [inode, 0o100755 if data else 0, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
            head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
            file.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))


class Disks:
    """Below one directory: the image is kept for the next run, the rest is made anew."""

    def __init__(self, directory, visor):
        subprocess.run([TOP / "scripts/debian-image", visor, IMAGE, "--size", "4G", "--packages", PACKAGES], check=True)
        self.image, self.directory = IMAGE, pathlib.Path(directory)
        self.kernel, self.initrd = self.from_image("vmlinuz"), self.from_image("initrd.img")
        self.guest = self.directory / "init"
        run("gcc", "-O2", "-static", "-o", self.guest, TOP / "bench/guest.c")
        self.small_initrd = self.directory / "small.cpio"
        archive(self.directory, ["init"], self.small_initrd)
        self.tools = self.make_tools()

    def from_image(self, name):
        """What a link in the image's root directory leads to."""
        output = self.directory / name
        told = subprocess.run(["debugfs", "-R", f"stat /{name}", self.image], check=True, capture_output=True, text=True)
        link = re.search(r'Fast link dest: "(.*)"', told.stdout)
        run("debugfs", "-R", f"dump /{link[1] if link else name} {output}", self.image)
        if not output.exists():
            sys.exit(f"bench: {self.image} has no /{name}")
        return output

    def make_tools(self):
        """The files that both emulators' guests work with, at /mnt."""
        content, disk = self.directory / "content", self.directory / "tools.img"
        (content / "parts").mkdir(parents=True)
        shutil.copy(self.guest, content / "guest")
        make_texts(content)
        (content / "parts/Makefile").write_text(MAKEFILE)
        make_units(content / "parts")
        run("mke2fs", "-q", "-t", "ext4", "-d", content, disk, "256M")
        return disk

    def scratch(self, name):
        """An empty disk that has its room already."""
        path = self.directory / name
        with open(path, "wb") as file:
            for _ in range(SCRATCH >> 20):
                file.write(b"\xa5" * (1 << 20))
        return path
