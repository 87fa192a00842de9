# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk images that visor builds: what is in them, and what is refused."""
import os
import pathlib
import subprocess

import pytest

from conftest import IMAGE, IMAGE_KEY


def debugfs(request):
    result = subprocess.run(["/usr/sbin/debugfs", "-R", request, IMAGE], capture_output=True, text=True, check=True)
    return result.stdout


@pytest.fixture(scope="module")
def image():
    if not IMAGE.exists():
        pytest.fail(f"no image at {IMAGE}: scripts/debian-image makes it")
    return IMAGE


def uuid_of(image):
    result = subprocess.run(["/usr/sbin/blkid", "-p", "-s", "UUID", "-o", "value", image], capture_output=True,
                            text=True, check=True)
    return result.stdout.strip()


def test_image_is_a_sound_filesystem_of_the_size_asked_for(image):
    assert image.stat().st_size == 4 << 30
    assert image.stat().st_blocks * 512 < 1 << 30
    assert subprocess.run(["/usr/sbin/e2fsck", "-fn", image], capture_output=True).returncode == 0


def test_image_says_how_it_boots(image):
    config = debugfs("cat /boot/extlinux/extlinux.conf")
    assert f"root=UUID={uuid_of(image)}" in config and "console=ttyS0" in config
    assert f"UUID={uuid_of(image)} / ext4" in debugfs("cat /etc/fstab")
    for link, target in ("vmlinuz", "vmlinuz-"), ("initrd.img", "initrd.img-"):
        assert f'"boot/{target}' in debugfs(f"stat /{link}")


def test_image_has_the_packages_the_name_and_the_key(image):
    assert debugfs("cat /etc/hostname") == "tester\n"
    assert debugfs("cat /root/.ssh/authorized_keys").strip() == pathlib.Path(f"{IMAGE_KEY}.pub").read_text().strip()
    assert "gcc-12" in debugfs("stat /usr/bin/gcc")


def test_image_has_nothing_of_its_making_left(image):
    names = debugfs("ls -p /var/cache/apt/archives") + debugfs("ls -p /tmp") + debugfs("ls -p /etc/apt/apt.conf.d")
    assert ".deb/" not in names and "mmdebstrap" not in names
    assert "ssh_host" not in debugfs("ls -p /etc/ssh")
    assert debugfs("cat /etc/machine-id") == ""


def test_image_takes_the_zone_of_its_network(image):
    assert "[DHCPv4]\nUseDomains=yes\n" in debugfs("cat /etc/systemd/network/80-ethernet.network")


def test_image_leaves_the_networks_in_it_alone(image):
    """Bridges and pairs of devices are whoever made them's."""
    assert debugfs("cat /etc/systemd/network/80-ethernet.network").startswith("[Match]\nType=ether\nKind=!*\n\n")


def test_image_has_the_agent(image):
    assert "Mode:  0755" in debugfs("stat /usr/sbin/visor-agent")
    assert "visor-agent.service" in debugfs("ls -p /etc/systemd/system/multi-user.target.wants")


@pytest.mark.parametrize("words, told", [
    (["debian:bookworm"], "-o FILE"),
    (["-o", "x.img"], "name what to build"),
    (["fedora:40", "-o", "x.img"], "fedora:40"),
    (["debian:../x", "-o", "x.img"], "debian:../x"),
    (["debian", "extra", "-o", "x.img"], "too many words"),
    (["debian", "--arch", "vax", "-o", "x.img"], "vax"),
    (["debian", "--size", "5M", "-o", "x.img"], "5M is not between"),
    (["debian", "--size", "big", "-o", "x.img"], "not a size"),
])
def test_wrong_usage_is_named(visor, tmp_path, words, told):
    result = visor("image", "build", *words, cwd=tmp_path)
    assert result.returncode == 2 and told in result.stderr
    assert os.listdir(tmp_path) == []


def test_existing_output_is_kept(visor, tmp_path):
    (tmp_path / "vm.img").write_text("precious")
    result = visor("image", "build", "debian", "-o", tmp_path / "vm.img")
    assert result.returncode == 1
    assert "exists already" in result.stderr and "--replace" in result.stderr
    assert (tmp_path / "vm.img").read_text() == "precious"


def test_private_key_is_refused(visor, tmp_path):
    key = tmp_path / "key"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    result = visor("image", "build", "debian", "--ssh-key", key, "-o", tmp_path / "vm.img")
    assert result.returncode == 1
    assert "no public ssh key" in result.stderr and ".pub" in result.stderr


def test_missing_mmdebstrap_is_named(visor, tmp_path):
    result = visor("image", "build", "debian", "-o", tmp_path / "vm.img", env={"PATH": str(tmp_path)})
    assert result.returncode == 1
    assert "mmdebstrap" in result.stderr and "package" in result.stderr
    assert os.listdir(tmp_path) == []


def test_failure_tells_the_reason_and_leaves_nothing(visor, tmp_path):
    result = visor("image", "build", "debian", "--mirror", "http://127.0.0.1:9/debian", "-o", tmp_path / "vm.img")
    assert result.returncode == 1
    assert "mmdebstrap failed" in result.stderr
    assert os.listdir(tmp_path) == []
