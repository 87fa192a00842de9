# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input: one clear line, the exit status that a shell would give, never a crash."""
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

import pytest

from conftest import VISOR


def elf(machine=183, kind=2, bits=2, endian=1, phoff=64, phnum=0, size=64):
    header = struct.pack("<4sBBBBB7sHHIQQQIHHHHHH", b"\x7fELF", bits, endian, 1, 0, 0, bytes(7), kind, machine, 1,
                         0x400000, phoff, 0, 0, 64, 56, phnum, 0, 0, 0)
    return header[:size]


def assert_refused(result, status, *words):
    assert result.returncode == status, result.stderr
    message = result.stderr.splitlines()[0]
    assert message.startswith("visor: ")
    for word in words:
        assert word.lower() in result.stderr.lower(), result.stderr
    assert result.stdout == ""


def write(tmp_path, content, mode=0o755):
    path = tmp_path / "program"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_missing_file(visor, tmp_path):
    assert_refused(visor("run", tmp_path / "none"), 127, "none", "no such file")


def test_name_not_in_path(visor):
    assert_refused(visor("run", "no-such-program-anywhere"), 127, "no-such-program-anywhere", "PATH")


def test_directory(visor, tmp_path):
    assert_refused(visor("run", tmp_path), 126, "directory")


def test_empty_file(visor, tmp_path):
    assert_refused(visor("run", write(tmp_path, b"")), 126, "program")


@pytest.mark.parametrize("size", [5, 20, 63])
def test_truncated_header(visor, tmp_path, size):
    assert_refused(visor("run", write(tmp_path, elf(size=size))), 126, "program")


def test_program_headers_beyond_the_file(visor, tmp_path):
    assert_refused(visor("run", write(tmp_path, elf(phoff=1 << 40, phnum=4))), 126, "program")


def test_no_loadable_segment(visor, tmp_path):
    assert_refused(visor("run", write(tmp_path, elf())), 126, "program")


@pytest.mark.parametrize("machine, name", [(243, "RISC-V"), (40, "Arm"), (22, "s390x"), (21, "PowerPC"), (8, "MIPS")])
def test_other_cpu_is_named(visor, tmp_path, machine, name):
    assert_refused(visor("run", write(tmp_path, elf(machine=machine))), 126, name)


def test_program_of_the_host_is_refused_if_another_cpu_is_asked_for(visor):
    assert visor("run", "/bin/true").returncode == 0
    assert_refused(visor("run", "--arch", "arm64", "/bin/true"), 126, "/bin/true", "cpu asked for")


def test_no_permission(visor, tmp_path):
    assert_refused(visor("run", write(tmp_path, elf(), mode=0o644)), 126, "permission denied")


def test_missing_loader_is_named_with_a_hint(visor, arm64_compiler):
    if os.path.exists("/lib/ld-linux-aarch64.so.1"):
        pytest.skip("this host has the arm64 loader installed")
    path = arm64_compiler("nothing", "int main(void) { return 0; }")
    subprocess.run(["aarch64-linux-gnu-gcc", "-o", path, f"{path}.c"], check=True)
    assert_refused(visor("run", path), 127, "/lib/ld-linux-aarch64.so.1", "--root")


def test_missing_root(visor, tmp_path):
    assert_refused(visor("run", "--root", tmp_path / "none", "/bin/true"), 126, "root", "no such file")


def test_root_is_a_file(visor, tmp_path):
    assert_refused(visor("run", "--root", write(tmp_path, b"x"), "/bin/true"), 126, "not a directory")


def test_missing_volume(visor, tmp_path):
    result = visor("run", "--volume", f"{tmp_path}/none:/mnt", "/bin/true")
    assert_refused(result, 126, "volume", "none")


def test_missing_workdir(visor, arm64_compiler):
    path = arm64_compiler("nothing", "int main(void) { return 0; }")
    assert_refused(visor("run", "--workdir", "/none", path), 126, "/none")


def test_forbidden_user_namespaces_give_a_hint(tmp_path):
    """An ordinary user on a host whose limit for user namespaces is zero."""
    limit = pathlib.Path("/proc/sys/user/max_user_namespaces")
    if os.geteuid() != 0 or not shutil.which("setpriv") or not os.access(limit, os.W_OK):
        pytest.skip("needs root, to become an ordinary user and to set the limit")
    visor_copy = pathlib.Path(tempfile.mkdtemp(dir="/tmp")) / "visor"
    shutil.copy(VISOR, visor_copy)
    visor_copy.parent.chmod(0o755)
    old = limit.read_text()
    try:
        limit.write_text("0")
        result = subprocess.run(["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", visor_copy, "run",
                                 "--root", "/usr", "/bin/true"], capture_output=True, text=True)
    finally:
        limit.write_text(old)
        shutil.rmtree(visor_copy.parent)
    assert_refused(result, 126, "user namespace", "hint", "max_user_namespaces")


def test_program_whose_name_begins_with_blanks(in_root):
    script = ("import os, tempfile; os.chdir(tempfile.mkdtemp()); os.symlink('/bin/cat', '  x y');"
              "os.execv('  x y', ['z', '/proc/self/comm'])")
    result = in_root("/usr/bin/python3", "-c", script)
    assert (result.stdout, result.stderr) == ("  x y\n", "")
