# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command tests share: the binary, the Debian arm64 root, a way to run."""
import atexit
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
VISOR = pathlib.Path(os.environ.get("VISOR", TOP / "build/visor"))
IMAGE = pathlib.Path(os.environ.get("VISOR_TEST_IMAGE", TOP / "build/images/test-amd64.img"))
IMAGE_KEY = pathlib.Path(f"{IMAGE}.key")
ROOT = pathlib.Path(os.environ.get("VISOR_TEST_ROOT", TOP / "build/roots/test-arm64"))

# Who was started in the background by a shell ignores them, and so would what tests run.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# What tests run is no business of the host's own store of domains.
if "VISOR_STORE" not in os.environ:
    os.environ["VISOR_STORE"] = tempfile.mkdtemp(prefix="visor-test-store-")
    atexit.register(shutil.rmtree, os.environ["VISOR_STORE"], ignore_errors=True)


def run_visor(*arguments, stdin="", timeout=120, **options):
    """Runs visor; returns the completed process with text output."""
    try:
        return subprocess.run(
            [VISOR, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=timeout, **options)
    except subprocess.TimeoutExpired as expired:  # its message does not have the end of it
        for name, output in (("stdout", expired.stdout), ("stderr", expired.stderr)):
            print(f"{name} ended in: {(output or b'').decode(errors='replace')[-2000:]}")
        raise


def guest_process(pid):
    """The process in which the guest is of a machine whose process is `pid`: a child of that, unless it is in no cage."""
    def name(process):
        return pathlib.Path(f"/proc/{process}/comm").read_text()

    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next((int(child) for child in children if name(child) == name(pid)), pid)


@pytest.fixture
def visor():
    return run_visor


@pytest.fixture
def in_root():
    """Runs a program inside the Debian arm64 root."""
    if not (ROOT / "bin/sh").exists():
        pytest.fail(f"no arm64 root at {ROOT}: scripts/debian-root makes it")

    def run(*arguments, options=(), **keywords):
        return run_visor("run", "--root", ROOT, *options, *arguments, **keywords)

    return run


@pytest.fixture(scope="session")
def arm64_compiler(tmp_path_factory):
    """Compiles C source text to an arm64 executable; returns its path."""
    directory = tmp_path_factory.mktemp("arm64")

    def compile_source(name, source, *flags):
        path = directory / name
        (directory / f"{name}.c").write_text(source)
        subprocess.run(["aarch64-linux-gnu-gcc", "-O1", "-static", "-o", path, directory / f"{name}.c", *flags],
                       check=True)
        return path

    return compile_source
