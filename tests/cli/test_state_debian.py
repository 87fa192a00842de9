# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian machine that works while it is saved and restored at random moments, VISOR_TEST_MOMENTS of them: all that it
sends, writes and computes is in the end what it is undisturbed."""
import os
import pathlib
import random
import time

import pytest

import state_debian_work as work
from store import Store
from test_image import image  # noqa: F401 (a fixture)

MOMENTS = int(os.environ.get("VISOR_TEST_MOMENTS", "8")) // 2  # for each number of processors
TIMEOUT = 120


@pytest.fixture
def machines(tmp_path):
    store = Store(tmp_path / "store", None)
    yield store
    store.run("rm", "--force", "--all")


def wait_until_said(store, words, said):
    deadline = time.monotonic() + TIMEOUT
    while said not in (result := store.run("exec", "debian", *words)).stdout:
        assert time.monotonic() < deadline, result
        time.sleep(0.1)


@pytest.mark.parametrize("cpus", [1, 2])
def test_random_moments(machines, image, tmp_path, cpus):  # noqa: F811
    data, rng = tmp_path / "data.img", random.Random(cpus)
    data.write_bytes(bytes(work.SLOTS * work.PIECE))
    machines.ok("run", "-d", "--name", "debian", "--engine", "translate", "--memory", "512M", "--cpus", cpus, "--disk",
                f"{image},snapshot", "--disk", data)
    wait_until_said(machines, ["echo", "it is up"], "it is up")
    machines.ok("cp", pathlib.Path(work.__file__), "debian:/root/work.py")
    machines.ok("exec", "--detach", "debian", "python3", "/root/work.py", "/root", "/dev/vdb")
    wait_until_said(machines, ["sh", "-c", "wc -l </root/rounds"], "3")
    for moment in range(MOMENTS):
        time.sleep(rng.uniform(0, 0.5))
        file = tmp_path / f"state-{moment % 2}"
        machines.ok("save", *rng.sample(["--compress"], rng.randrange(10) == 0), "debian", file)
        machines.ok("restore", *rng.sample(["--verify"], rng.randrange(10) == 0), file)
    machines.ok("exec", "debian", "touch", "/root/stop")
    wait_until_said(machines, ["tail", "-n", "1", "/root/rounds"], work.ENDS)
    rounds = machines.ok("exec", "debian", "cat", "/root/rounds").splitlines()[:-1]
    assert rounds == work.checksums(len(rounds))
    print(f"{MOMENTS} moments in {len(rounds)} rounds")
