# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits of containers on hosts that this one is not: the tests of tests/unit/test_cgroup_host.c in machines whose
kernel has cgroup version 2 only, or version 1 only."""
import pytest

from conftest import VISOR
from guest_kernel import GuestKernel

PROGRAM = VISOR.resolve().parent / "tests/test_cgroup_host"
V1 = ["cpu,cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "net_cls,net_prio", "hugetlb"]
MOUNT = {
    "v2": "mount -t cgroup2 none /sys/fs/cgroup",
    "v1": "mount -t tmpfs none /sys/fs/cgroup\n" + "\n".join(
        f"mkdir /sys/fs/cgroup/{names}; mount -t cgroup -o {names} none /sys/fs/cgroup/{names}" for names in V1),
    # where nobody mounts them
    "v1 elsewhere": "\n".join(
        f"mkdir -p /groups/{index}; mount -t cgroup -o {names} none /groups/{index}" for index, names in enumerate(V1)),
}
# What a host of that kind does not have.
SKIPPED = {
    "v2": {"test_scope"},
    "v1": {"test_scope", "test_nested", "test_device_program", "test_delegated"},
    "v1 elsewhere": {"test_scope", "test_nested", "test_device_program", "test_delegated"},
}


@pytest.fixture(scope="module")
def kernel():
    return GuestKernel()


@pytest.mark.parametrize("mode", MOUNT)
def test_limits_hold_on_every_kind_of_host(visor, kernel, tmp_path, mode):
    initrd = kernel.initrd(tmp_path, f"{MOUNT[mode]}\n{PROGRAM}\necho STATUS=$?\n"
                                     "find /sys/fs/cgroup /groups -name 'visor-test*'; poweroff -f", of_host=[PROGRAM])
    result = visor("run", "--memory", "768M", "--kernel", kernel.image, "--initrd", initrd,
                   "--append", "console=ttyS0 quiet", timeout=300)
    assert "STATUS=0" in result.stdout, result.stdout[-3000:]
    skipped = {line.split("] ")[1].strip() for line in result.stdout.splitlines() if line.startswith("[  SKIPPED ] test_")}
    assert skipped == SKIPPED[mode]
    assert "visor-test" not in result.stdout.split("STATUS=0")[1]
