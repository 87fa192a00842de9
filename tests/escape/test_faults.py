# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults: commands killed at any moment, and containers that take all they can get. The next command finds all in order, the
host and its other containers live on, and nothing is left when the container is deleted.

VISOR_FAULTS: how many commands are killed (40)."""
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import time
import uuid

import pytest

from jail import TIMEOUT, VISOR, domain, make_jail, needs_root  # noqa: F401

pytestmark = needs_root

KILLS = int(os.environ.get("VISOR_FAULTS", "40"))
MEGABYTE = 1 << 20


def processes_with(text):
    """Those of the host whose command line names this, and their states."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes()
            if text.encode() in line and int(path.name) != os.getpid():
                found[int(path.name)] = line
        except OSError:
            continue  # ended meanwhile
    return found


def cgroups_of(name):
    # others' may go meanwhile, which os.walk() does not mind
    return [f"{top}/{found}" for top, below, _ in os.walk("/sys/fs/cgroup") for found in below if found.startswith(name)]


def wait_until(true, what):
    deadline = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


def nothing_is_left(jail):  # noqa: F811
    """No process, cgroup, mount or file, of any container of this jail."""
    wait_until(lambda: not processes_with(jail.id) and not processes_with(str(jail.top)),
               lambda: {**processes_with(jail.id), **processes_with(str(jail.top))})
    assert cgroups_of(jail.id) == []
    assert str(jail.top) not in pathlib.Path("/proc/self/mountinfo").read_text()
    if jail.state_root.exists():
        assert [path.name for path in jail.state_root.iterdir() if path.name != ".seccomp"] == []


def whole(jail, ids):  # noqa: F811
    """Each container is there or not, and every command says so without waiting for a lock that nobody holds."""
    done = jail.run("list", "--format", "json")
    assert done.returncode == 0, done.stderr
    for row in json.loads(done.stdout):
        assert row["id"] in ids and row["status"] in ("creating", "created", "running", "paused", "stopped"), row
    for name in ids:
        done = jail.run("state", name)
        assert done.returncode == 0 or "does not exist" in done.stderr or "not made yet" in done.stderr, done.stderr


@pytest.mark.parametrize("kind", ["root", "user", "rootless"])
def test_commands_killed_at_any_moment(make_jail, kind):  # noqa: F811
    jail = make_jail(kind)  # noqa: F811
    if kind != "rootless":
        jail.config["linux"]["resources"].update(memory={"limit": 64 * MEGABYTE}, pids={"limit": 50})
    jail.write("/bin/wait", jail.id)
    ids = [f"{jail.id}-{letter}" for letter in "abc"]
    limits = [] if kind == "rootless" else [["update", "--pids-limit", "40", "{}"], ["pause", "{}"], ["resume", "{}"]]
    commands = [["create", "--bundle", jail.bundle, "{}"], ["start", "{}"], ["run", "--bundle", jail.bundle, "{}"],
                ["run", "--detach", "--bundle", jail.bundle, "{}"], ["exec", "{}", "/bin/privileges"],
                ["exec", "--detach", "{}", "/bin/wait", jail.id], ["kill", "{}", "KILL"], ["kill", "--all", "{}", "TERM"],
                ["delete", "{}"], ["delete", "--force", "{}"], ["ps", "{}"], *limits]
    choose = random.Random(6)
    moment = random.Random()
    for _ in range(KILLS):
        name = choose.choice(ids)
        if choose.random() < 0.3:  # something to work on, in half of the cases
            jail.detach(name)
        words = [str(word).format(name) for word in choose.choice(commands)]
        process = subprocess.Popen(jail.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env=jail.environment(), **jail.identity())
        time.sleep(moment.random() ** 2 * 0.02)
        process.kill()
        process.wait()
        whole(jail, ids)
    for name in ids:
        done = jail.run("delete", "--force", name)
        assert done.returncode == 0, done.stderr
    nothing_is_left(jail)
    # and all names serve again
    for name in ids:
        assert jail.detach(name) == 0
        jail.run("delete", "--force", name, check=True)
    nothing_is_left(jail)


def test_domains_killed_at_any_moment(domain):  # noqa: F811
    """The same of containers that are domains, and their own processes killed as well."""
    program = ["/bin/wait", f"escape-{uuid.uuid4().hex[:12]}"]
    made = ["--pids-limit", "50", "--memory", "64M"] if not domain.user else []
    commands = [["create", "--name", "{}", *made, domain.root, *program], ["start", "{}"], ["stop", "-t", "1", "{}"],
                ["run", "-d", "--name", "{}", *made, domain.root, *program], ["kill", "{}"], ["rm", "-f", "{}"], ["restart", "{}"],
                ["run", "-d", "--rm", "--name", "{}", *made, domain.root, *program], ["run", domain.root, *program],
                ["pause", "{}"], ["resume", "{}"], ["rename", "{}", "{}x"], ["ps", "-a"], ["exec", "{}", "/bin/privileges"],
                ["exec", "{}", *program], ["update", "--pids-limit", "40", "{}"]]
    choose = random.Random(7)
    moment = random.Random()
    ids = set()
    for _ in range(KILLS):
        name = choose.choice("ab")
        if choose.random() < 0.4:
            domain.visor("run", "-d", "--name", name, *made, domain.root, *program)
        words = [str(word).format(name) for word in choose.choice(commands)]
        process = subprocess.Popen([VISOR, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env=domain.environment(), **domain.identity())
        time.sleep(moment.random() ** 2 * 0.03)
        process.kill()
        process.wait()
        if choose.random() < 0.3:
            for pid in domain.visor("ps", "--format", "{{.Pid}}").stdout.split():
                with contextlib.suppress(ProcessLookupError):  # its end may have been on its way
                    os.kill(int(pid), signal.SIGKILL)
        listed = domain.visor("ps", "-a", "-q", "--no-trunc")
        assert listed.returncode == 0, listed.stderr
        ids.update(listed.stdout.split())
    done = domain.visor("rm", "--force", "--all")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: not processes_with(program[1]) and not processes_with(str(domain.top)),
               lambda: {**processes_with(program[1]), **processes_with(str(domain.top))})
    assert domain.visor("ps", "-a", "-q").stdout == ""
    left = [path.relative_to(domain.top / "store") for path in (domain.top / "store").glob("*/*")]
    assert {str(path) for path in left} <= {"run/containers"}, left
    assert not list((domain.top / "store/run/containers").glob("[!.]*"))
    assert [path for name in ids for path in cgroups_of(name)] == []
    assert str(domain.top) not in pathlib.Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize("kind", ["root", "rootless"])
def test_commands_at_once(make_jail, kind):  # noqa: F811
    """Many commands on few containers: each succeeds or says why not, none waits for ever, and nothing is left."""
    jail = make_jail(kind)  # noqa: F811
    jail.write("/bin/wait", jail.id)
    ids = [f"{jail.id}-{letter}" for letter in "ab"]
    commands = [["create", "--bundle", jail.bundle, "{}"], ["start", "{}"], ["run", "--detach", "--bundle", jail.bundle, "{}"],
                ["exec", "{}", "/bin/privileges"], ["exec", "--detach", "{}", "/bin/wait", jail.id], ["kill", "{}", "KILL"],
                ["delete", "{}"], ["delete", "--force", "{}"], ["ps", "{}"], ["state", "{}"], ["list"]]
    commands += [] if kind == "rootless" else [["pause", "{}"], ["resume", "{}"]]
    choose = random.Random(8)
    for _ in range(2):
        with open(jail.top / "output", "w+") as output:
            running = []
            for _ in range(40):
                words = [str(word).format(choose.choice(ids)) for word in choose.choice(commands)]
                running.append(subprocess.Popen(jail.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                                stderr=output, env=jail.environment(), **jail.identity()))
                jail.processes.append(running[-1])
                time.sleep(choose.random() * 0.004)
            deadline = time.monotonic() + TIMEOUT
            while any(process.poll() is None for process in running):
                assert time.monotonic() < deadline, [process.args for process in running if process.poll() is None]
                for name in ids:  # what has gone in when it was paused waits for that
                    jail.run("resume", name)
            assert {process.returncode for process in running} <= {0, 1, 128 + signal.SIGKILL, 255}
            output.seek(0)
            assert all(line.startswith(("visor: ", "  hint: ")) for line in output.read().splitlines())
        whole(jail, ids)
    for name in ids:
        assert jail.run("delete", "--force", name).returncode == 0
    nothing_is_left(jail)


def test_two_make_the_same_container(make_jail):  # noqa: F811
    jail = make_jail("root")  # noqa: F811
    jail.write("/bin/wait", jail.id)
    for _ in range(5):
        with open(jail.top / "output", "w+") as output:
            makers = [subprocess.Popen(jail.command("create", "--bundle", jail.bundle, jail.id), stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=output) for _ in range(8)]
            statuses = sorted(maker.wait(timeout=TIMEOUT) for maker in makers)
            output.seek(0)
            text = output.read()
        assert statuses == [0] + [1] * 7, text
        assert text.count("already exists") == 7
        jail.run("start", jail.id, check=True)
        jail.run("delete", "--force", jail.id, check=True)
        nothing_is_left(jail)


# -- what takes all ---------------------------------------------------------------------------------------------

@pytest.fixture
def neighbour(tmp_path_factory, request):
    """Another container, which must not notice."""
    from jail import make
    instance = make("root", tmp_path_factory.mktemp("neighbour"))
    instance.write("/bin/wait", instance.id)
    assert instance.detach(instance.id) == 0
    yield instance
    assert json.loads(instance.run("state", instance.id, check=True).stdout)["status"] == "running"
    assert instance.run("exec", instance.id, "/bin/privileges").returncode == 0
    instance.end()


def limited(make_jail, kind, **resources):  # noqa: F811
    jail = make_jail(kind)  # noqa: F811
    jail.config["linux"]["resources"].update(resources)
    return jail


@pytest.mark.parametrize("kind", ["root", "user"])
def test_fork_bomb(make_jail, neighbour, kind):  # noqa: F811
    jail = limited(make_jail, kind, pids={"limit": 40})  # noqa: F811
    process = jail.start("hog", "processes", jail.id)
    assert process.stdout.readline().startswith("processes: refused EAGAIN after ")
    for _ in range(5):
        pids = json.loads(jail.run("ps", "--format", "json", jail.id, check=True).stdout)
        assert 30 < len(pids) <= 40
        time.sleep(0.05)
    assert jail.run("update", "--pids-limit", "60", jail.id).returncode == 0
    wait_until(lambda: len(json.loads(jail.run("ps", "--format", "json", jail.id).stdout)) > 45, lambda: "the limit does not rise")
    jail.run("delete", "--force", jail.id, check=True)
    nothing_is_left(jail)


@pytest.mark.parametrize("kind", ["root", "user"])
def test_memory_hog(make_jail, neighbour, kind):  # noqa: F811
    jail = limited(make_jail, kind, memory={"limit": 32 * MEGABYTE, "swap": 32 * MEGABYTE})  # noqa: F811
    jail.write("/bin/hog", "memory", jail.id)
    done = jail.run("run", "--bundle", jail.bundle, jail.id)
    assert done.returncode == 137, done.stderr + done.stdout  # killed by the kernel, and nobody else
    nothing_is_left(jail)


@pytest.mark.parametrize("kind", ["root", "user", "rootless"])
def test_disk_filler(make_jail, neighbour, kind):  # noqa: F811
    """A tmpfs has its size; the root is read-only, or what the directory's file system lets it have."""
    jail = make_jail(kind)  # noqa: F811
    process = jail.start("hog", "disk", "/dev/shm/full")
    what, _, size = process.stdout.readline().rpartition(" after ")
    assert what == "disk: refused ENOSPC" and int(size) <= 64 * MEGABYTE
    jail.run("delete", "--force", jail.id, check=True)
    nothing_is_left(jail)
    jail.config["root"]["readonly"] = True
    process = jail.start("hog", "disk", "/full")
    assert process.stdout.readline() == "disk: refused EROFS after 0\n"
    jail.run("delete", "--force", jail.id, check=True)
