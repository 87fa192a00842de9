# SPDX-License-Identifier: GPL-2.0-or-later
"""What domains get of the host's processors: limits, weights, and which ones."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from conftest import VISOR
from store import TIMEOUT
from test_container import root  # noqa: F401 (fixture)
from test_domain import kernel, program, store  # noqa: F401 (fixtures)

CGROUPS = pathlib.Path("/sys/fs/cgroup")


def groups(identity):
    """The directories of a domain's cgroups."""
    return [pathlib.Path(top) / name for top, names, _ in os.walk(CGROUPS) for name in names if name == identity]


def setting(identity, v1, v2):
    for directory in groups(identity):
        for name in (v1, v2):
            if (directory / name).exists():
                return (directory / name).read_text().split()
    return None


def quota(identity):
    """Microseconds in a period; None: no limit."""
    words = setting(identity, "cpu.cfs_quota_us", "cpu.max")
    return int(words[0]) if words and words[0] not in ("max", "-1") else None


def members(identity):
    return {int(word) for directory in groups(identity) for word in (directory / "cgroup.procs").read_text().split()}




limits = pytest.mark.skipif(os.geteuid() != 0 or not any((CGROUPS / name).exists() for name in ("cpu", "cgroup.controllers")),
                            reason="no limits of processor time can be made here")


def identity_of(store, name):  # noqa: F811
    return json.loads(store.ok("inspect", name))[0]["id"]


def wait_until(true):
    deadline = time.monotonic() + TIMEOUT
    while not (value := true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def stats(store, name):  # noqa: F811
    return json.loads(store.ok("stats", "--no-stream", "--json", name))[0]


@limits
def test_a_machine_is_held_back(store):  # noqa: F811
    identity = store.start("web", "--cpu-limit", "0.2", "--cpu-shares", "512")
    store.wait_for_log("web", "READY")
    assert members(identity) == {store.guest("web")}
    assert quota(identity) == 20000
    assert setting(identity, "cpu.shares", "cpu.weight") in (["512"], ["50"])
    told = wait_until(lambda: (now := stats(store, "web"))["cpu_throttled"] > 2 and now)  # its kernel never rests
    assert told["cpu_periods"] >= told["cpu_throttled"] and told["cpu_throttled_time"] > 0
    assert re.search(r"^NAME .* THROTTLED ", store.ok("stats", "--no-stream", "web"))
    assert store.ok("update", "web", "--cpu-limit", "0.5", "--cpu-shares", "2048") == "web\n"
    assert quota(identity) == 50000
    assert setting(identity, "cpu.shares", "cpu.weight") in (["2048"], ["200"])
    store.ok("update", "web", "--cpu-limit", "none", "--cpu-shares", "none")
    assert quota(identity) is None and setting(identity, "cpu.shares", "cpu.weight") in (["1024"], ["100"])
    assert not {"cpu_limit", "cpu_shares"} & set(json.loads(store.ok("inspect", "web"))[0]["config"]["machine"])
    store.ok("update", "web", "--cpu-limit", "0.5", "--cpu-shares", "2048")
    document = json.loads(store.ok("inspect", "web"))[0]["config"]
    assert (document["machine"]["cpu_limit"], document["machine"]["cpu_shares"]) == ("0.5", 2048)
    store.ok("stop", "web")
    assert not groups(identity)
    store.ok("start", "web")
    assert quota(identity) == 50000
    store.ok("rm", "--force", "web")
    assert not groups(identity)


@limits
def test_a_limit_that_comes_later(store):  # noqa: F811
    identity = store.start("web")
    store.wait_for_log("web", "READY")
    assert not groups(identity) and "cpu_throttled" not in stats(store, "web")
    store.ok("update", "web", "--cpu-limit", "0.3")
    assert quota(identity) == 30000 and members(identity) == {store.guest("web")}
    wait_until(lambda: stats(store, "web")["cpu_throttled"] > 0)
    store.send("web", "Q")
    store.wait_for_status("web", "exited")
    assert not groups(identity)


@limits
def test_in_the_foreground(store):  # noqa: F811
    with subprocess.Popen([VISOR, "run", "--name", "front", "--cpu-limit", "0.5", *store.options], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env=store.environment()) as process:
        assert b"READY" in process.stdout.readline()
        identity = identity_of(store, "front")
        assert quota(identity) == 50000
        process.stdin.write(b"Q")
        process.stdin.close()
        assert process.wait(TIMEOUT) == 0
    assert not groups(identity)


@limits
def test_nothing_is_left_of_what_was_killed(store):  # noqa: F811
    identity = store.start("web", "--cpu-limit", "0.5")
    store.wait_for_log("web", "READY")
    os.kill(store.state("web")["pid"], signal.SIGKILL)
    wait_until(lambda: not members(identity))
    assert groups(identity)  # nobody has looked yet
    store.ok("ps", "-a")
    assert not groups(identity)
    assert store.state("web")["reason"] == "killed"


@limits
def test_a_machine_that_is_started_again_keeps_its_limit(store):  # noqa: F811
    identity = store.start("web", "--cpu-limit", "0.5", "--restart", "on-failure")
    store.wait_for_log("web", "READY")
    store.send("web", "P")
    store.wait_for_log("web", "READY", 2)
    assert quota(identity) == 50000 and members(identity) == {store.guest("web")}
    store.ok("rm", "--force", "web")
    assert not groups(identity)


@limits
def test_programs_have_limits(store, program, tmp_path):  # noqa: F811
    store.ok("run", "-d", "--name", "p", "--cpus", "0.25", "--pin", "0", program, "hello", cwd=tmp_path)
    identity = identity_of(store, "p")
    wait_until(lambda: members(identity))
    assert quota(identity) == 25000 and store.state("p")["pid"] not in members(identity)
    (inside,) = members(identity)
    assert affinity(inside) == {"0"}
    store.ok("update", "p", "--cpus", "0.75", "--pin", f"0-{os.cpu_count() - 1}")
    assert quota(identity) == 75000 and affinity(inside) == {"0" if os.cpu_count() == 1 else f"0-{os.cpu_count() - 1}"}
    assert "cpu_periods" in stats(store, "p")
    os.kill(store.state("p")["pid"], signal.SIGKILL)
    wait_until(lambda: store.state("p")["status"] == "exited")
    assert not groups(identity)


def test_who_may_have_no_limits_is_told_how():
    """An ordinary user, to whom no cgroup is delegated."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root, to be somebody else")
    with tempfile.TemporaryDirectory(prefix="visor-test-", dir="/var/tmp") as home:
        shutil.copy(VISOR, f"{home}/visor")
        os.chmod(home, 0o755)
        os.mkdir(f"{home}/home")
        os.chown(f"{home}/home", 65534, 65534)
        result = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"{home}/visor", "--store",
                                 f"{home}/home/store", "run", "--cpu-limit", "1", "--net", "none", "--kernel", "/dev/null"],
                                capture_output=True, text=True, timeout=TIMEOUT)
    assert result.returncode == 126 and "no cgroup is delegated to this user" in result.stderr and "hint:" in result.stderr
    assert len(result.stderr.splitlines()) == 2, result.stderr


# -- which ones -------------------------------------------------------------------------------------------------------

def affinity(pid, name=""):
    """What the threads of a process whose name begins so may run on."""
    lists = set()
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().startswith(name):
            lists.add(re.search(r"^Cpus_allowed_list:\s+(\S+)", (task / "status").read_text(), re.MULTILINE)[1])
    return lists


needs_two = pytest.mark.skipif(not {0, 1} <= os.sched_getaffinity(0), reason="needs processors 0 and 1")


@needs_two
def test_vcpus_are_pinned(store):  # noqa: F811
    store.start("web", "--cpus", "2", "--pin", "0:0", "--pin", "1:1", "--pin", "rest:1")
    store.wait_for_log("web", "READY")
    pid = store.guest("web")
    wait_until(lambda: affinity(pid, "vcpu1") == {"1"})
    assert affinity(pid, "vcpu0") == {"0"} and affinity(pid) == {"0", "1"}
    main = pathlib.Path(f"/proc/{pid}/status").read_text()
    assert re.search(r"^Cpus_allowed_list:\s+1$", main, re.MULTILINE)
    keeper = store.state("web")["pid"]
    assert keeper != pid and affinity(keeper) == {"1"}
    store.ok("update", "web", "--pin", "0")
    assert affinity(pid) == affinity(keeper) == {"0"}
    store.ok("update", "web", "--pin", "0-1", "--pin", "1:0")
    assert affinity(keeper) == {"0-1"}
    assert affinity(pid, "vcpu0") == {"0-1"} and affinity(pid, "vcpu1") == {"0"}
    store.ok("update", "web", "--pin", "none")
    assert len(affinity(pid)) == 1 and affinity(pid) >= {re.search(r"^Cpus_allowed_list:\s+(\S+)", pathlib.Path("/proc/self/status").read_text(),
                                                                   re.MULTILINE)[1]}
    store.ok("update", "web", "--pin", "0-1", "--pin", "1:0")
    store.ok("restart", "web")
    store.wait_for_log("web", "READY", 2)
    pid = store.guest("web")
    wait_until(lambda: affinity(pid, "vcpu1") == {"0"})
    assert affinity(pid, "vcpu0") == {"0-1"}


def test_pins_that_cannot_be(store):  # noqa: F811
    for text in ("x", "0:", ":0", "9-3:0", "0:1-", "rest", "255:0", "0:0:0", "1024"):
        result = store.run("create", "--pin", text, *store.options)
        assert result.returncode != 0 and "--pin" in result.stderr and "[WHO:]CPUS" in result.stderr
    result = store.run("run", "--pin", "0:1000", *store.options)
    assert result.returncode == 126 and "cannot pin vCPU 0" in result.stderr and "hint:" in result.stderr
    store.start("web")
    store.wait_for_log("web", "READY")
    before = affinity(store.guest("web"))
    result = store.run("update", "web", "--pin", "1000")
    assert result.returncode == 1 and "cannot pin" in result.stderr
    assert affinity(store.guest("web")) == before and "pin" not in json.loads(store.ok("inspect", "web"))[0]["config"]["machine"]


@limits
def test_containers_are_pinned(store, root):  # noqa: F811
    if not any((CGROUPS / name).exists() for name in ("cpuset", "cpuset.cpus.effective")):
        pytest.skip("no processors can be chosen for cgroups here")
    store.ok("run", "-d", "--name", "box", "--pin", "0", root, "sh", "-c", "grep Cpus_allowed_list: /proc/self/status; sleep 1000")
    store.wait_for_log("box", "Cpus_allowed_list:\t0")
    store.ok("update", "box", "--pin", f"0-{os.cpu_count() - 1}")
    assert store.ok("exec", "box", "grep", "Cpus_allowed_list:", "/proc/self/status").split()[1] == \
        ("0" if os.cpu_count() == 1 else f"0-{os.cpu_count() - 1}")
