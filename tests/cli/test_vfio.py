# SPDX-License-Identifier: GPL-2.0-or-later
"""PCI devices that a machine cannot be given. What else may be wrong with them is in tests/unit/test_vfio.c."""
import pathlib

import pytest

from conftest import run_visor

DEVICES = pathlib.Path("/sys/bus/pci/devices")


def run(address):
    """The check comes before the kernel is looked at."""
    return run_visor("run", "--rm", "--kernel", "/dev/null", "--vfio", address)


@pytest.mark.parametrize("address", ["", "3", "0300.0", "0000:03:00.9", "e1000e"])
def test_no_address(address):
    result = run(address)
    assert result.returncode != 0
    assert "no address of a PCI device" in result.stderr and "such as 0000:03:00.0" in result.stderr


def test_no_such_device():
    result = run("ffff:ff:1f.7")
    assert result.returncode == 126
    assert "this host has no PCI device ffff:ff:1f.7" in result.stderr


def test_no_iommu():
    groups = pathlib.Path("/sys/kernel/iommu_groups")
    ordinary = [path.name for path in DEVICES.glob("*") if not (path / "class").read_text().startswith("0x06")]
    if not ordinary or (groups.exists() and any(groups.iterdir())):
        pytest.skip("no device, or an IOMMU")
    result = run(ordinary[0])
    assert result.returncode == 126
    assert f"PCI device {ordinary[0]} cannot be given to a machine: this host has no IOMMU" in result.stderr


@pytest.mark.parametrize("option", [("--memory-min", "64M"), ("--memory-max", "1G"), ("--ksm",)])
def test_memory_that_devices_reach_is_not_given_back(option):
    result = run_visor("run", "--rm", "--kernel", "/dev/null", "--memory", "128M", "--vfio", "03:00.0", *option)
    assert result.returncode != 0
    assert "do not go with --vfio" in result.stderr
