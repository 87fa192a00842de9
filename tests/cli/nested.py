# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines of visor's in a machine of QEMU's, for what this host need not have: in it Debian's kernel, with whatever
modules and devices are asked for, runs a script that has visor, a kernel and an initial RAM disk. Emulation in emulation
takes minutes: only with VISOR_NESTED=1, where there is a qemu-system-x86_64, or where VISOR_NESTED_QEMU is the command of
another."""
import lzma
import os
import re
import shlex
import shutil
import subprocess

import pytest

import guest_kernel
from conftest import VISOR

QEMU = shlex.split(os.environ.get("VISOR_NESTED_QEMU", "qemu-system-x86_64"))

MARKS = [
    pytest.mark.skipif(not os.environ.get("VISOR_NESTED"), reason="takes minutes: VISOR_NESTED=1"),
    pytest.mark.skipif(not shutil.which(QEMU[0]), reason="no qemu-system-x86_64"),
]

BEGIN = """
ip link set lo up
mkdir -p /root /run /var/tmp /tmp /etc
echo "user:x:1000:1000::/tmp:/bin/sh" >/etc/passwd
chmod 1777 /tmp /var/tmp
export HOME=/root
load() { for module; do [ -e /sys/module/$module ] || insmod /modules/$module.ko; done; }
"""


class Modules:
    """Of a kernel, with what they need, in the order in which they are loaded."""

    def __init__(self, root):
        self.files = {self.name(path): path for path in root.glob("**/lib/modules/*/kernel/**/*.ko*")}

    @staticmethod
    def name(path):
        return path.name.partition(".ko")[0].replace("-", "_")

    def all_of(self, names, found=None):
        found = {} if found is None else found
        for name in names:
            path = self.files.get(name.replace("-", "_"))
            if not path or self.name(path) in found:  # without a file it is a part of the kernel
                continue
            data = path.read_bytes()
            data = lzma.decompress(data) if path.suffix == ".xz" else data
            needs = re.search(rb"\0depends=([^\0]*)", data).group(1).decode()
            self.all_of(filter(None, needs.split(",")), found)
            found[self.name(path)] = data
        return found


class Nested:
    """The two kernels are one. In scripts LOAD(a b) loads these modules, and what they need; MODULE(a) is the
    file of one."""

    def __init__(self, directory, suite=None):
        """`suite`: of Debian, whose kernel it is to be; the host's if there is none."""
        self.directory = directory
        root = guest_kernel.download(guest_kernel.kernel_package("amd64", suite), suite)
        self.kernel = next(root.glob("boot/vmlinuz-*"))
        self.modules = Modules(root)

    def _initrd(self, name, script, programs=None, of_host=()):
        needed = {}

        def load(match):
            modules = self.modules.all_of(match.group(1).split())
            needed.update(modules)
            return "load " + " ".join(modules)

        def path(match):
            self.modules.all_of([match.group(1)], needed)
            return f"/modules/{match.group(1).replace('-', '_')}.ko"

        script = re.sub(r"\bLOAD\(([^)]*)\)", load, script)
        script = re.sub(r"\bMODULE\(([^)]*)\)", path, script)
        return guest_kernel.make_initrd(self.directory / name, script, needed, programs, of_host)

    def run(self, outer, inner, options, append="", timeout=900, files=None, inner_files=None, of_host=()):
        """What was written to the console of the machine that QEMU makes, whose script has /visor, /kernel, /initrd
        with the inner script and `inner_files`, `files` by their names, and programs of the host with their
        libraries."""
        stripped = self.directory / "visor"
        subprocess.run(["strip", "-o", stripped, VISOR], check=True)
        programs = {"visor": stripped.read_bytes(), "kernel": self.kernel.read_bytes(),
                    "initrd": self._initrd("inner", inner, inner_files).read_bytes(), **(files or {})}
        outer = self._initrd("outer", BEGIN + outer + "\npoweroff -f\n", programs, of_host)
        command = [*QEMU, "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", *options, "-kernel",
                   self.kernel, "-initrd", outer, "-append", f"console=ttyS0 no_timer_check quiet panic=-1 {append}"]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                                timeout=timeout)
        print(result.stdout, result.stderr)
        return result.stdout


def part(said, name):
    """What was written between this mark, a line PART-NAME, and the next."""
    return re.search(f"PART-{name}\\b(.*?)(PART-|$)", said, re.DOTALL).group(1)
