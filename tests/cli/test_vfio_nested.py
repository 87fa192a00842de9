# SPDX-License-Identifier: GPL-2.0-or-later
"""PCI devices given to a machine for good: QEMU makes a PC with an IOMMU, a network card and a disk controller, in it a
Debian kernel has visor give both to a machine of its own, and that one's drivers use them. Emulation in emulation takes
minutes, see nested.py."""
import hashlib
import random
import re

import pytest

import nested

CONTENT = random.Random(1).randbytes(1 << 20)

pytestmark = nested.MARKS

# The card's driver with messages by vector, and with the pin; the controller's has one message. QEMU's card fails the
# driver's test of its one message without visor, too.
# In between, with both at work, the machine is reset; a mark on the disk says so.
USE_DEVICES = """
LOAD(ahci sd_mod)
for i in $(seq 100); do [ -e /dev/sda ] && break; sleep 0.2; done
echo "DISK-HAS $(sha256sum </dev/sda)"
grep ahci /proc/interrupts
mode=2
[ "$(tail -c 5 /dev/sda)" = AGAIN ] && mode=0
insmod MODULE(e1000e) IntMode=$mode
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
for i in $(seq 100); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && break; sleep 0.2; done
ping -c 3 -W 10 10.0.2.2 >/dev/null && echo "CARD-WORKS $mode $(grep -c eth0 /proc/interrupts)"
if [ $mode = 2 ]; then
  printf AGAIN | dd of=/dev/sda bs=1 seek=$((1048576 - 5)) conv=notrunc,fsync 2>/dev/null
  reboot -f
fi
dd if=/dev/sda of=/dev/sda bs=64k count=1 seek=8 conv=fsync 2>/dev/null && echo DISK-WRITTEN
poweroff -f
"""

GIVE_DEVICES = """
LOAD(vfio_iommu_type1 vfio-pci)
for device in /sys/bus/pci/devices/*; do
  [ "$(cat $device/vendor):$(cat $device/device)" = 0x8086:0x10d3 ] && card=${device##*/}
done
disk=0000:00:05.0
cat >/run-visor <<END
#!/bin/sh
exec /visor run --rm --engine translate --net none --kernel /kernel --initrd /initrd --append "console=ttyS0 quiet" \\
  --memory 96M "\\$@" </dev/null
END
chmod 755 /run-visor
echo PART-UNBOUND; /run-visor --vfio $card
for address in $card $disk; do
  echo vfio-pci >/sys/bus/pci/devices/$address/driver_override
  echo $address >/sys/bus/pci/drivers_probe
done
group=/dev/vfio/$(basename $(readlink /sys/bus/pci/devices/$card/iommu_group))
echo PART-DENIED; su user -c "HOME=/tmp /run-visor --vfio $card"
chown user $group
echo PART-UNLOCKED; su user -c "HOME=/tmp /run-visor --vfio $card"
echo PART-GIVEN; /run-visor --vfio $card --vfio $disk
echo PART-ENDED $?
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """All that was written in the machine that QEMU makes, and what was on the disk then."""
    directory = tmp_path_factory.mktemp("nested")
    disk = directory / "disk"
    disk.write_bytes(CONTENT)
    options = ["-machine", "q35,kernel-irqchip=split,accel=tcg", "-cpu", "max", "-m", "768", "-device",
               "intel-iommu,intremap=on", "-device", "pcie-root-port,id=above,slot=1", "-netdev", "user,id=net",
               "-device", "e1000e,netdev=net,bus=above", "-device", "ahci,id=ahci,addr=5",
               "-drive", f"if=none,id=disk,format=raw,file={disk}", "-device", "ide-hd,drive=disk,bus=ahci.0"]
    said = nested.Nested(directory).run(GIVE_DEVICES, USE_DEVICES, options, "intel_iommu=on")
    return said, disk.read_bytes()


def part(said, name):
    return nested.part(said[0], name)


def test_a_card_without_vfio_pci_is_refused(said):
    assert re.search(r"PCI device [0-9a-f:.]+ is not bound to vfio-pci", part(said, "UNBOUND"))


def test_who_may_not_is_told_how(said):
    assert re.search(r"/dev/vfio/(\d+): permission denied\s+hint: as root: chown USER /dev/vfio/\1",
                     part(said, "DENIED"))


def test_memory_that_may_not_be_locked_is_told_of(said):
    assert re.search(r"cannot lock \d+ MiB of the guest's memory.*hint: as root: ulimit -l", part(said, "UNLOCKED"),
                     re.DOTALL)


@pytest.mark.parametrize("mode, lines", [(2, 3), (0, 1)])
def test_the_card_works(said, mode, lines):
    """With MSI-X the driver has interrupts for receiving, sending, and all else; with the pin after a reset."""
    assert f"CARD-WORKS {mode} {lines}" in part(said, "GIVEN")


def test_the_disk_works(said):
    assert f"DISK-HAS {hashlib.sha256(CONTENT).hexdigest()}" in part(said, "GIVEN")
    assert re.search(r"PCI-MSI .*ahci", part(said, "GIVEN"))
    assert "DISK-WRITTEN" in part(said, "GIVEN")
    assert said[1] == CONTENT[:1 << 19] + CONTENT[:1 << 16] + CONTENT[(1 << 19) + (1 << 16):-5] + b"AGAIN"


def test_the_machine_ends_as_ever(said):
    assert "0" in part(said, "ENDED").split()
