# SPDX-License-Identifier: GPL-2.0-or-later
"""How much memory a machine writes, by QMP."""
import contextlib
import subprocess
import time

import pytest

from qmp import Qmp, QmpError
from test_engine_kvm import TIMEOUT, command, needs_kvm, store_kernel  # noqa: F401 (fixtures)
from test_state import build_work

WRITTEN = 1024  # pages of the array that test_state's kernel writes to all the time


@contextlib.contextmanager
def commanded(kernel, tmp_path, engine):
    path = tmp_path / "qmp"
    machine = subprocess.Popen(command(kernel, "--engine", engine, "--qmp", f"unix:{path}"), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert b"READY" in machine.stdout.readline()
        yield Qmp(path, TIMEOUT)
    finally:
        machine.kill()
        machine.wait()


def measure(qmp):
    qmp.execute("calc-dirty-rate", calc_time=1, mode="dirty-bitmap")
    with pytest.raises(QmpError, match="is being measured"):
        qmp.execute("calc-dirty-rate", calc_time=1)
    deadline = time.monotonic() + TIMEOUT
    while (answer := qmp.execute("query-dirty-rate"))["status"] != "measured":
        assert answer["status"] == "measuring" and "dirty-rate" not in answer
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answer["calc-time"] == 1 and answer["mode"] == "dirty-bitmap"
    return answer


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """test_state's kernel, at work for longer than anybody looks."""
    return build_work(tmp_path_factory.mktemp("work") / "work", "-DSTEPS=4000000000u")


def test_a_machine_that_writes(work, tmp_path):
    with commanded(work, tmp_path, "translate") as qmp:
        assert qmp.execute("query-dirty-rate")["status"] == "unstarted"
        answer = measure(qmp)
        assert WRITTEN <= answer["x-dirty-pages"] <= WRITTEN + 32
        assert answer["dirty-rate"] == 4


@needs_kvm
@pytest.mark.parametrize("engine", ["translate", "kvm"])
def test_a_machine_that_waits(store_kernel, tmp_path, engine):  # noqa: F811
    with commanded(store_kernel, tmp_path, engine) as qmp:
        for _ in range(2):
            answer = measure(qmp)
            assert answer["x-dirty-pages"] < 32 and answer["dirty-rate"] == 0
        qmp.execute("calc-dirty-rate", calc_time=60)
        qmp.execute("stop")
        qmp.execute("cont")
        qmp.execute("system_reset")
        qmp.execute("quit")


@pytest.mark.parametrize("seconds", [0, -1, 61, 1 << 40])
def test_no_such_time(store_kernel, tmp_path, seconds):  # noqa: F811
    with commanded(store_kernel, tmp_path, "translate") as qmp:
        with pytest.raises(QmpError, match="1 to 60 seconds"):
            qmp.execute("calc-dirty-rate", calc_time=seconds)
