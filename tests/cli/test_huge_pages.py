# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines whose memory is huge pages that the host has set aside."""
import os
import pathlib
import re
import subprocess

import pytest

from conftest import VISOR, guest_process
from store import Store
from test_engine_kvm import TIMEOUT, command, kernel, store_kernel  # noqa: F401 (fixtures)

COUNT = pathlib.Path("/proc/sys/vm/nr_hugepages")
MIB_2 = 2 << 20
PAGES = 16


@pytest.fixture
def pages():
    """So many are free."""
    if os.geteuid() != 0:
        pytest.skip("takes root")
    before = int(COUNT.read_text())
    COUNT.write_text(str(before + PAGES))
    if int(COUNT.read_text()) < before + PAGES:
        COUNT.write_text(str(before))
        pytest.skip("the host has no memory to set aside")
    yield
    COUNT.write_text(str(before))


def hugetlb(pid):
    return int(re.search(r"^Private_Hugetlb: +(\d+) kB", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))


def mapped_huge(pid):
    """Bytes of mappings of such pages."""
    text = pathlib.Path(f"/proc/{pid}/smaps").read_text()
    return sum(int(size) * 1024 for size, page in
               re.findall(r"^Size: +(\d+) kB\nKernelPageSize: +(\d+) kB", text, re.M) if int(page) * 1024 == MIB_2)


@pytest.mark.parametrize("engine", ["translate", "kvm"])
def test_memory_is_huge_pages(store_kernel, pages, engine, tmp_path):
    if engine == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no KVM")
    machine = subprocess.Popen(command(store_kernel, "--engine", engine, "--huge-pages"), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert b"READY" in machine.stdout.readline()
        assert mapped_huge(guest_process(machine.pid)) == PAGES * MIB_2
        assert 0 < hugetlb(guest_process(machine.pid)) <= PAGES * 2048
    finally:
        machine.kill()
        machine.wait()


def test_too_few(kernel):
    missing = int(re.search(r"HugePages_Total: +(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) + 1
    result = subprocess.run(command(kernel, "--huge-pages", "--memory", f"{2 * missing}M" if missing > 16 else "32M"),
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
    assert result.returncode == 126
    assert "huge pages of 2 MiB are needed, and the host has" in result.stderr
    assert "nr_hugepages" in result.stderr


def test_size_is_not_whole(kernel):
    result = subprocess.run([VISOR, "run", "--rm", "--memory", "33M", "--huge-pages", "--kernel", kernel],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
    assert result.returncode == 126
    assert "no whole number of huge pages" in result.stderr


def test_saved_and_restored(store_kernel, pages, tmp_path):
    """What cannot be mapped from the file is read."""
    store = Store(tmp_path / "store", store_kernel)
    store.start("one", "--engine", "translate", "--huge-pages")
    try:
        store.wait_for_log("one", "READY")
        store.ok("save", "one", tmp_path / "state")
        store.ok("restore", tmp_path / "state")
        assert mapped_huge(store.guest("one")) == 16 << 20
        assert hugetlb(store.guest("one")) > 0
    finally:
        store.run("rm", "-f", "one")
