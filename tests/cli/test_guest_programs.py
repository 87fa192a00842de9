# SPDX-License-Identifier: GPL-2.0-or-later
"""Self-checking arm64 C programs (tests/guest): each exits 0 if all of its checks hold."""
import subprocess

import pytest

from conftest import TOP, run_visor

PROGRAMS = sorted((TOP / "tests/guest").glob("*.c"))


@pytest.fixture(scope="session")
def binaries(tmp_path_factory):
    return tmp_path_factory.mktemp("guest")


@pytest.mark.parametrize("source", PROGRAMS, ids=lambda p: p.stem)
def test_guest_program(source, binaries, tmp_path):
    binary = binaries / source.stem
    subprocess.run(["aarch64-linux-gnu-gcc", "-D_GNU_SOURCE", "-O2", "-static", "-pthread", "-o", binary, source, "-lm"],
                   check=True)
    result = run_visor("run", binary, cwd=tmp_path, timeout=300)
    assert result.returncode == 0, f"status {result.returncode}\n{result.stdout}\n{result.stderr}"
