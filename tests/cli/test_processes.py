# SPDX-License-Identifier: GPL-2.0-or-later
"""Namespaces and processes as Debian's tools make them."""
import os

import pytest

MAY = "unshare -U true 2>/dev/null || exit 77; "


def run(in_root, script):
    result = in_root("/bin/sh", "-c", MAY + script)
    if result.returncode == 77:
        pytest.skip("this host makes no user namespaces")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_user_namespace(in_root):
    assert run(in_root, "unshare -Ur id -u") == "0\n"


def test_all_namespaces(in_root):
    script = "unshare -Urpmuinf --mount-proc sh -c 'hostname other && echo $$ $(hostname) && ls -d /proc/[0-9]*'"
    lines = run(in_root, script).split("\n")
    assert lines[0] == "1 other" and lines[1] == "/proc/1"


def test_pivot_root(in_root):
    script = """unshare -Urm sh -c '
        mount -t tmpfs none /mnt && mkdir /mnt/old /mnt/usr && mount --rbind /usr /mnt/usr &&
        ln -s usr/bin usr/lib usr/lib64 /mnt && cd /mnt && pivot_root . old && ls -d /* && /usr/bin/true'"""
    assert run(in_root, script).split() == ["/bin", "/lib", "/lib64", "/old", "/usr"]


def test_root_is_a_mount(in_root):
    """Programs look for one at "/", and the kernel makes user namespaces in no chroot()."""
    assert in_root("/bin/sh", "-c", "cut -d ' ' -f 5 /proc/self/mountinfo | grep -cx /").stdout == "1\n"


@pytest.mark.skipif(os.getuid() != 0, reason="needs to be root to become another user")
def test_ordinary_user(in_root):
    out = in_root("/bin/sh", "-c", MAY + "exec setpriv --reuid 1000 --clear-groups unshare -Ur id -u")
    assert out.returncode == 77 or out.stdout == "0\n", out.stderr


SPAWN = """
import os, subprocess, sys
for call in (lambda: os.posix_spawn('/nonexistent', ['x'], {}), lambda: subprocess.run(['/nonexistent'])):
    try:
        call()
        sys.exit('no error')
    except FileNotFoundError:
        pass
assert subprocess.run(['sh', '-c', 'exit 3']).returncode == 3
"""


def test_spawn_of_missing_file(in_root):
    result = in_root("/usr/bin/python3", "-c", SPAWN)
    assert result.returncode == 0, result.stderr
