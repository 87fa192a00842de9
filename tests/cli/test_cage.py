# SPDX-License-Identifier: GPL-2.0-or-later
"""The cage of a machine, seen from outside: what its process has given up, and what becomes of one that is somebody else's."""
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess

import pytest

from conftest import VISOR, guest_process
from store import TIMEOUT
from test_domain import kernel, store  # noqa: F401 (fixtures)
from test_engine_kvm import needs_kvm
from test_processors import wait_until

PARTS = {"user", "pid", "mount", "network", "ipc", "uts", "cgroup", "rights", "limits", "filter"}
SPACES = ("pid", "mnt", "net", "ipc", "uts", "cgroup")
FORBIDDEN = 159

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def inject(tmp_path_factory):
    """Has a thread make a system call."""
    program = tmp_path_factory.mktemp("inject") / "inject"
    subprocess.run(["gcc", "-O1", "-o", program, pathlib.Path(__file__).with_name("inject.c")], check=True)

    def call(thread, number, *arguments):
        subprocess.run([program, str(thread), str(number), *map(str, arguments)], check=True, timeout=TIMEOUT)

    return call


def status(task):
    text = pathlib.Path(f"/proc/{task}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def threads(process, name):
    tasks = pathlib.Path(f"/proc/{process}/task").iterdir()
    return [int(task.name) for task in tasks if (task / "comm").read_text().startswith(name)]


def caged(store, name, *options):  # noqa: F811
    store.start(name, *options)
    store.wait_for_log(name, "READY")
    state = store.state(name)
    if not all(state["cage"].values()):
        pytest.skip(f"this host gives no whole cage: {state['cage']}")
    return state


def wait_for_end(store, name):  # noqa: F811
    store.wait_for_status(name, "exited")
    return store.state(name)


def test_inspect_tells_which_parts_there_are(store):  # noqa: F811
    state = caged(store, "web")
    assert set(state["cage"]) == PARTS
    assert state["guest_pid"] != state["pid"] and guest_process(state["pid"]) == state["guest_pid"]
    store.ok("kill", "web")
    state = store.state("web")
    assert "guest_pid" not in state and "cage" not in state


@needs_root
def test_the_process_has_given_up_what_it_says(store):  # noqa: F811
    state = caged(store, "web", "--cpus", "2")
    guest = state["guest_pid"]
    for space in SPACES:
        assert os.readlink(f"/proc/{guest}/ns/{space}") != os.readlink(f"/proc/{state['pid']}/ns/{space}")
    wait_until(lambda: len(threads(guest, "vcpu")) == 2)
    for task in pathlib.Path(f"/proc/{guest}/task").iterdir():
        facts = status(task.name)
        assert set(facts["Uid"].split()) == set(facts["Gid"].split()) and "0" not in facts["Uid"].split()
        assert not facts["Groups"].split()
        assert all(int(facts[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
        assert facts["NoNewPrivs"] == "1" and facts["Seccomp"] == "2"
    wait_until(lambda: {status(task)["Seccomp_filters"] for task in threads(guest, "vcpu")} == {"2"})
    root = pathlib.Path(f"/proc/{guest}/root")
    assert not list(root.iterdir()) and os.statvfs(root).f_flag & os.ST_RDONLY
    assert pathlib.Path(f"/proc/{guest}/net/dev").read_text().count(":") == 1  # the loopback, which is down


def test_no_descriptor_leads_out(store, tmp_path):  # noqa: F811
    """No directories, nothing of the store; of files the disk, and what tells of the host's memory."""
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    state = caged(store, "web", "--disk", str(disk))
    descriptors = pathlib.Path(f"/proc/{state['guest_pid']}/fd")
    for descriptor in descriptors.iterdir():
        target = os.readlink(descriptor)
        assert not stat.S_ISDIR(os.stat(descriptor).st_mode), target
        assert not target.startswith(str(store.path)), target
        if target.startswith("/") and not target.endswith("(deleted)"):
            own = target in (str(disk), str(store.options[1]))  # the kernel is read again at a reset
            assert own or re.match("/proc/|/sys/fs/cgroup/|/dev/(null|kvm)$", target), target


@needs_root
def test_no_two_machines_are_the_same_user(store):  # noqa: F811
    users = {status(caged(store, name)["guest_pid"])["Uid"].split()[0] for name in ("one", "two")}
    assert len(users) == 2


@needs_root
@pytest.mark.parametrize("engine", ["translate", pytest.param("kvm", marks=needs_kvm)])
@pytest.mark.parametrize("thread", ["loop", "vcpu0"])
def test_a_forbidden_call_ends_this_domain_and_no_other(store, inject, engine, thread):  # noqa: F811
    other = caged(store, "other")
    guest = caged(store, "web", "--engine", engine, "--cpu", "x86-64-v1")["guest_pid"]
    wait_until(lambda: threads(guest, "vcpu0"))
    if thread == "vcpu0" and engine == "translate":
        store.ok("pause", "web")  # it waits, and is in no translated code
    inject(guest if thread == "loop" else threads(guest, thread)[0], 41, 2, 1, 0)  # socket()
    state = wait_for_end(store, "web")
    assert state["exit_status"] == FORBIDDEN and state["reason"] == "forbidden system call socket"
    assert "a system call that its cage forbids: socket (41)" in store.run("logs", "web").stderr
    assert not os.path.exists(f"/proc/{guest}")
    assert store.state("other") == other
    store.send("other", "hello")
    store.wait_for_log("other", "hello")


@needs_root
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_ends_this_domain_and_no_other(store, inject, number):  # noqa: F811
    other = caged(store, "other")
    guest = caged(store, "web")["guest_pid"]
    if number == signal.SIGKILL:
        os.kill(guest, number)
    else:
        inject(guest, "crash")
    state = wait_for_end(store, "web")
    assert state["exit_status"] == 128 + number and state["reason"] == f"signal {number.name[3:]}" and state["failed"]
    assert "the guest's process has died" in store.run("logs", "web").stderr
    assert store.state("other") == other


def test_a_crashed_guest_is_started_again_by_its_policy(store):  # noqa: F811
    first = caged(store, "web", "--restart", "on-failure")
    os.kill(first["guest_pid"], signal.SIGKILL)
    store.wait_for_log("web", "READY", count=2)
    state = store.state("web")
    assert state["restarts"] == 1 and state["pid"] == first["pid"] and state["guest_pid"] != first["guest_pid"]


def test_a_killed_keeper_takes_the_guest_with_it(store):  # noqa: F811
    state = caged(store, "web")
    os.kill(state["pid"], signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{state['guest_pid']}/fd/0"))
    assert store.state("web")["status"] == "exited"


def test_sockets_at_paths_of_the_users_are_removed(store, tmp_path):  # noqa: F811
    paths = [tmp_path / name for name in ("control", "vsock", "console")]
    caged(store, "web", "--qmp", f"unix:{paths[0]}", "--vsock", str(paths[1]), "--console", "stdio", "--console",
          f"unix:{paths[2]}")
    assert all(stat.S_ISSOCK(path.stat().st_mode) for path in paths)
    store.ok("stop", "--time", "0", "web")
    assert not any(path.exists() for path in paths)


@pytest.mark.parametrize("options", [("--no-cage",), ("--cage", "off")])
def test_without_a_cage_it_is_one_process(store, options):  # noqa: F811
    store.start("web", *options)
    store.wait_for_log("web", "READY")
    state = store.state("web")
    assert "guest_pid" not in state and "cage" not in state
    assert threads(state["pid"], "vcpu0")


def test_a_cage_is_not_required_and_refused(store):  # noqa: F811
    result = store.run("create", "--no-cage", "--cage", "required", *store.options)
    assert result.returncode != 0 and "contradict each other" in result.stderr


@needs_root
def test_a_required_cage_is_whole_or_not_at_all(store, tmp_path):  # noqa: F811
    assert all(caged(store, "web", "--cage", "required")["cage"].values())
    # In a user namespace of one user there is no id of its own to be had.
    words = ["unshare", "-Ur", VISOR, "run", "--cage", "required", *store.options]
    result = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL,
                            env={**store.environment(), "VISOR_STORE": str(tmp_path / "inside")}, check=False)
    assert result.returncode == 126
    assert "the host does not give the cage a user id of its own" in result.stderr and "--no-cage" in result.stderr


def test_what_the_host_does_not_give_is_left_out(store, tmp_path):  # noqa: F811
    """In a user namespace of one user; the machine runs with the rest."""
    words = ["unshare", "-Ur", VISOR, "run", "-d", "--name", "web", *store.options]
    environment = {**store.environment(), "VISOR_STORE": str(tmp_path / "inside")}
    subprocess.run(words, check=True, capture_output=True, timeout=TIMEOUT, env=environment)
    try:
        found = subprocess.run([VISOR, "inspect", "web"], check=True, capture_output=True, env=environment, timeout=TIMEOUT)
        cage = json.loads(found.stdout)[0]["state"]["cage"]
        assert cage["filter"] and cage["rights"] and cage["mount"] and not cage["user"]
    finally:
        subprocess.run([VISOR, "rm", "-f", "web"], check=True, capture_output=True, env=environment, timeout=TIMEOUT)


@needs_root
def test_a_machine_of_an_ordinary_user_is_caged(kernel, tmp_path):  # noqa: F811
    user = 48879
    home = tmp_path / "home"
    home.mkdir()
    for path in (*home.parents, home):
        if path.is_relative_to("/tmp") and path != pathlib.Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)
    shutil.copy(kernel, home)
    os.chown(home, user, user)
    words = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", VISOR, "run", "-d", "--name", "web",
             "--net", "none", "--memory", "16M", "--kernel", home / "kernel"]
    environment = {**os.environ, "VISOR_STORE": str(home / "store")}
    inside = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    made = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=TIMEOUT, check=False)
    assert made.returncode == 0, made.stderr
    try:
        found = subprocess.run([*inside, VISOR, "inspect", "web"], check=True, capture_output=True, env=environment,
                               timeout=TIMEOUT)
        state = json.loads(found.stdout)[0]["state"]
        assert all(state["cage"].values()), state["cage"]
        assert status(state["guest_pid"])["Uid"].split()[0] == str(user)
        maps = pathlib.Path(f"/proc/{state['guest_pid']}/uid_map").read_text().split()
        assert maps == [str(user), str(user), "1"]
        stats = subprocess.run([*inside, VISOR, "stats", "--no-stream", "web"], check=True, capture_output=True, text=True,
                               env=environment, timeout=TIMEOUT)
        assert "web" in stats.stdout
    finally:
        subprocess.run([*inside, VISOR, "rm", "-f", "web"], check=True, capture_output=True, env=environment, timeout=TIMEOUT)
