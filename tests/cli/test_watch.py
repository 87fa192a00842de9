# SPDX-License-Identifier: GPL-2.0-or-later
"""What people see of domains from outside: their events, what they use; and other configurations for them."""
import json
import os
import pathlib
import pty
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from conftest import VISOR
from store import TIMEOUT
from test_container import BUSYBOX, root  # noqa: F401 (fixtures)
from test_inside import start_machine
from test_machine import kernel as linux  # noqa: F401 (a fixture)
from test_domain import assert_refused, kernel, program, store  # noqa: F401 (fixtures)

containers = pytest.mark.skipif(os.geteuid() != 0 or not BUSYBOX, reason="it takes root and busybox-static")


def events(store, *options):
    return [json.loads(line) for line in store.ok("events", "--no-stream", "--json", *options).splitlines()]


def names(store, *options):
    return [event["event"] for event in events(store, *options)]


# -- events --------------------------------------------------------------------------------------------------

def test_each_change_of_a_life_is_told(store):
    assert events(store) == []
    identity = store.ok("create", "--name", "web", *store.options).strip()
    store.ok("start", "web")
    store.wait_for_log("web", "READY")
    pid = store.state("web")["pid"]
    store.ok("pause", "web")
    store.ok("resume", "web")
    store.ok("rename", "web", "www")
    store.ok("stop", "www")
    store.ok("start", "www")
    store.ok("kill", "www")
    store.ok("rm", "www")
    told = events(store)
    assert [(event["event"], event["name"]) for event in told] == [
        ("create", "web"), ("start", "web"), ("pause", "web"), ("resume", "web"), ("rename", "www"), ("exit", "www"),
        ("start", "www"), ("kill", "www"), ("exit", "www"), ("remove", "www")]
    assert {event["id"] for event in told} == {identity} and {event["kind"] for event in told} == {"machine"}
    assert [event["time"] for event in told] == sorted(event["time"] for event in told)
    assert told[1]["pid"] == pid
    assert told[4]["old_name"] == "web"
    assert (told[5]["exit_status"], told[5]["reason"], told[5]["failed"]) == (0, "off", False)
    assert told[7]["signal"] == "KILL"
    assert (told[8]["exit_status"], told[8]["reason"], told[8]["failed"]) == (137, "killed", True)


def test_restarts_of_a_policy_and_removal_at_the_end(store):
    store.start("web", "--restart", "on-failure:1")
    for count in (1, 2):
        store.wait_for_log("web", "READY", count)
        store.send("web", "P")
    store.wait_for_status("web", "exited")
    store.start("brief", "--rm")
    store.ok("stop", "brief")
    told = events(store)
    assert [(event["event"], event["name"]) for event in told] == [
        ("create", "web"), ("start", "web"), ("restart", "web"), ("start", "web"), ("exit", "web"),
        ("create", "brief"), ("start", "brief"), ("exit", "brief"), ("remove", "brief")]
    assert (told[2]["restarts"], told[2]["exit_status"], told[2]["reason"]) == (1, 5, "panic")
    assert "restarts" not in told[1] and told[3]["restarts"] == 1
    assert told[4]["reason"] == "panic"


def test_a_death_is_told_once_by_who_notices_it(store):
    store.start("web")
    os.kill(store.state("web")["pid"], signal.SIGKILL)
    store.wait_for_status("web", "exited")
    store.ok("ps")
    assert names(store) == ["create", "start", "exit"]


def test_which_events(store):
    store.ok("create", "--name", "one", *store.options)
    store.ok("rename", "one", "eins")
    between = events(store)[-1]["time"]
    store.ok("create", "--name", "two", *store.options)
    store.ok("rm", "eins")
    assert names(store, "--filter", "event=create") == ["create", "create"]
    assert names(store, "-f", "event=create", "-f", "event=remove", "-f", "name=eins") == ["remove"]
    assert names(store, "-f", "name=one") == ["create", "rename"]
    assert names(store, "-f", "kind=program") == []
    assert len(names(store, "-f", f"id={store.ok('inspect', '-f', 'id', 'two').strip()}")) == 1
    assert names(store, "--until", between) == ["create", "rename"]
    assert names(store, "--since", between) == ["rename", "create", "remove"]
    assert len(names(store, "--since", "1h")) == 4
    line = store.ok("events", "--no-stream", "-f", "event=rename")
    assert re.fullmatch(r"[0-9T:.-]+Z machine rename eins \(id=[0-9a-f]{16}, old_name=one\)\n", line)
    assert_refused(store.run("events", "-f", "event=birth"), 2, 'no event "birth"', "create")
    assert_refused(store.run("events", "-f", "colour=red"), 2, 'no filter "colour=red"')
    assert_refused(store.run("events", "--since", "yesterday"), 2, '--since "yesterday"')
    assert_refused(store.run("events", "web"), 2, "no words")


class Follower:
    def __init__(self, store, *options):
        self.process = subprocess.Popen([VISOR, "events", "--json", *options], env=store.environment(), stdout=subprocess.PIPE, text=True)
        fds = f"/proc/{self.process.pid}/fd"
        while not any(os.readlink(f"{fds}/{fd}") == "anon_inode:inotify" for fd in os.listdir(fds)):
            time.sleep(0.01)

    def next(self):
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.kill()
        self.process.communicate(timeout=TIMEOUT)


def test_followed_from_now_on_through_new_files(store):
    store.ok("create", "--name", "old", *store.options)
    follower = Follower(store)
    try:
        store.ok("create", "--name", "one", *store.options)
        assert (follower.next()["name"]) == "one"
        (store.path / "events").rename(store.path / "events.1")
        store.ok("create", "--name", "two", *store.options)
        assert (follower.next()["name"]) == "two"
        store.ok("rm", "one")
        assert (follower.next()["event"]) == "remove"
    finally:
        follower.end()
    assert names(store) == ["create", "create", "create", "remove"]


def test_following_ends_when_nobody_reads_or_at_a_time(store):
    follower = Follower(store)
    follower.process.stdout.close()
    assert follower.process.wait(TIMEOUT) == 0
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    assert store.ok("events", "--until", until) == ""


def test_many_events_begin_a_new_file(store):
    identity = store.ok("create", "--name", "web", *store.options).strip()
    with open(store.path / "events", "a") as file:
        line = json.dumps({"time": "2026-01-31T12:00:00.000000000Z", "event": "pause", "id": identity, "name": "x" * 60})
        while file.tell() < 1 << 20:
            file.write(f"{line}\n")
    store.ok("rename", "web", "www")
    assert not (store.path / "events").exists() and (store.path / "events.1").exists()
    store.ok("rename", "www", "web")
    assert (store.path / "events").stat().st_size < 1000
    told = names(store)
    assert told[0] == "create" and told[-2:] == ["rename", "rename"] and len(told) > 5000


# -- stats ---------------------------------------------------------------------------------------------------

def stats(store, *names):
    return {row["name"]: row for row in json.loads(store.ok("stats", "--no-stream", "--json", *names))}


def until(condition):
    deadline = time.monotonic() + TIMEOUT
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


BUSY = "dd if=/dev/zero of=/dev/null bs=1M & exec sleep 1000"


@containers
def test_stats_of_a_container(store, root):
    store.ok("run", "-d", "--name", "idle", "--net", "none", "--memory", "64M", "--pids-limit", "20", root, "sleep", "1000")
    store.ok("run", "-d", "--name", "busy", root, "sh", "-c", BUSY)
    rows = until(lambda: (rows := stats(store)) and rows["busy"].get("cpu_time", 0) > 0.2 and rows)
    assert list(rows) == ["busy", "idle"] and {row["kind"] for row in rows.values()} == {"container"}
    assert rows["busy"]["cpu_percent"] > rows["idle"]["cpu_percent"] >= 0
    assert rows["idle"]["cpu_time"] < 0.2
    assert (rows["idle"]["memory_limit"], rows["idle"]["processes_limit"]) == (64 << 20, 20)
    assert "memory_limit" not in rows["busy"]
    assert (rows["idle"]["processes"], rows["busy"]["processes"]) == (1, 2)
    assert 0 < rows["idle"]["memory"] < 64 << 20
    assert (rows["idle"]["net_received"], rows["idle"]["net_sent"]) == (0, 0)
    (line,) = store.ok("stats", "--no-stream", "idle").splitlines()[1:]
    assert re.match(r"idle  container  [0-9.]+% +0\.[0-9]+s +- +[0-9.]+ [KM]iB / 64 MiB  ", line) and line.endswith("  1")


@containers
def test_stats_leave_out_the_host_s_network(store, root):
    store.ok("run", "-d", "--name", "web", "--net", "host", root, "sleep", "1000")
    assert "net_received" not in stats(store, "web")["web"]


class Rootless:
    """A store and a root tree of an ordinary user's."""

    def __init__(self, root):
        self.user = pwd.getpwnam("nobody").pw_uid
        self.root = root

    def run(self, *words):
        environment = {**os.environ, "VISOR_STORE": str(self.top / "store"), "HOME": str(self.top)}
        return subprocess.run([VISOR, *map(str, words)], user=self.user, group=self.user, extra_groups=[], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)

    def __enter__(self):
        if subprocess.run(["unshare", "--user", "true"], user=self.user, group=self.user, extra_groups=[]).returncode:
            pytest.skip("this host forbids user namespaces to ordinary users")
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="visor-watch-"))
        self.tree = self.top / "tree"
        shutil.copytree(self.root, self.tree, symlinks=True)
        subprocess.run(["chown", "-R", str(self.user), self.top], check=True)
        return self

    def __exit__(self, *_):
        self.run("rm", "--force", "--all")
        shutil.rmtree(self.top)


@containers
def test_stats_of_a_rootless_container(root):
    with Rootless(root) as nobody:
        assert nobody.run("run", "-d", "--name", "web", nobody.tree, "sh", "-c", BUSY).returncode == 0
        (row,) = until(lambda: (rows := json.loads(nobody.run("stats", "--no-stream", "--json").stdout)) and
                       rows[0].get("cpu_time", 0) > 0.2 and rows)
        assert row["processes"] == 2 and row["memory"] > 0 and row["cpu_percent"] > 0


def test_stats_of_a_program(store, program):
    store.ok("run", "-d", "--name", "p", program, "x")
    store.wait_for_log("p", "said")
    row = stats(store)["p"]
    assert (row["kind"], row["processes"]) == ("program", 1)
    assert row["memory"] > 1 << 20 and row["cpu_time"] >= 0 and "memory_limit" not in row and "net_sent" not in row


def test_stats_of_a_machine(store, tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    store.start("web", "--disk", disk)
    store.wait_for_log("web", "READY")
    row = until(lambda: (row := stats(store)["web"])["cpu_time"] > 0.2 and row)  # it asks the serial port all the time
    assert row["kind"] == "machine" and row["cpu_percent"] > 0
    assert row["memory_limit"] == 16 << 20 and row["memory"] > 1 << 20
    assert (row["block_written"], row["net_sent"]) == (0, 0)  # a guest without drivers has moved nothing
    assert "guest_memory" not in row and "processes" not in row


def test_stats_of_what_does_not_run(store):
    assert stats(store) == {} and store.ok("stats", "--no-stream").splitlines()[1:] == []
    store.ok("create", "--name", "web", *store.options)
    assert stats(store) == {}
    row = stats(store, "--all")["web"]
    assert row["running"] is False and row["kind"] == "machine" and "cpu_time" not in row
    assert re.search("^web +machine +- +- ", store.ok("stats", "--no-stream", "-a"), re.MULTILINE)
    assert_refused(store.run("stats", "web"), 1, "web does not run", "visor start web")
    assert_refused(store.run("stats", "wbe"), 1, "did you mean web?")


@containers
def test_stats_again_and_again(store, root):
    """Until the domains that were named have ended, or nobody reads it."""
    store.ok("run", "-d", "--name", "web", root, "sleep", "1000")
    command = [VISOR, "stats", "--json", "web"]
    process = subprocess.Popen(command, env=store.environment(), stdout=subprocess.PIPE, text=True)
    for _ in range(2):
        assert json.loads(process.stdout.readline())[0]["name"] == "web"
    store.ok("rm", "-f", "web")
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    process = subprocess.Popen([VISOR, "stats"], env=store.environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("NAME")
    process.stdout.close()
    assert process.wait(TIMEOUT) == 0


def test_stats_on_a_terminal_stay_in_place(store):
    store.ok("create", "--name", "web", *store.options)
    master, terminal = pty.openpty()
    process = subprocess.Popen([VISOR, "stats", "--all"], env=store.environment(), stdout=terminal)
    os.close(terminal)
    text = b""
    while text.count(b"\x1b[H") < 2 or not text.endswith(b"\x1b[J"):
        text += os.read(master, 4096)
    process.kill()
    process.wait()
    os.close(master)
    assert text.count(b"\x1b[2J") == 1 and text.count(b"NAME") == 2 and b"\x1b[K\r\nweb " in text


# -- update --------------------------------------------------------------------------------------------------

def config(store, name):
    return json.loads(store.ok("inspect", name))[0]["config"]


def test_update_of_what_does_not_run(store, tmp_path):
    store.ok("create", "--name", "web", "--label", "a=1", "--label", "b=2", *store.options)
    assert store.ok("update", "--memory", "32M", "--label", "a=3", "web") == "web\n"
    assert store.ok("update", "web", "--net", "user", "--restart", "always") == "web\n"  # a list is replaced
    now = config(store, "web")
    assert (now["machine"]["memory"], now["machine"]["nets"], now["restart"]) == ("32M", ["user"], "always")
    assert now["labels"] == {"a": "3", "b": "2"}
    assert store.ok("update", "--from", "-", "web", stdin='{"labels": {}, "machine": {"disks": ["a.img"]}}', cwd=tmp_path) == "web\n"
    now = config(store, "web")
    assert "labels" not in now and now["machine"]["disks"] == [f"{tmp_path}/a.img"] and now["restart"] == "always"
    assert store.ok("update", "web", "--memory", "32M") == "web\n"  # which it has
    assert [event.get("fields") for event in events(store) if event["event"] == "update"] == [
        ["labels", "machine.memory"], ["restart", "machine.nets"], ["labels", "machine.disks"]]


def test_update_that_cannot_be(store):
    store.ok("create", "--name", "web", *store.options)
    before = config(store, "web")
    assert_refused(store.run("update", "web", "--memory", "32M", "--rm", "--restart", "always"), 1, "--rm or --restart")
    assert_refused(store.run("update", "web", "--memory", "32M", "--cpus", "0"), 1, "--cpus 0")
    assert_refused(store.run("update", "web", "--hostname", "x"), 1, "--hostname", '"machine"')
    assert_refused(store.run("update", "--from", "-", "web", stdin='{"kind": "program"}'), 1, "the kind of a domain cannot be changed")
    assert_refused(store.run("update", "--from", "-", "web", stdin='{"colour": 1}'), 1, "colour")
    assert_refused(store.run("update", "web"), 2, "say what to change")
    assert_refused(store.run("update", "--memory", "32M"), 2, "name a domain")
    assert_refused(store.run("update", "wbe", "--memory", "32M"), 1, "did you mean web?")
    assert config(store, "web") == before and names(store) == ["create"]


def test_update_of_a_machine_that_runs(store):
    """What has to wait does, and is told; how it is restarted, and whether it is removed, does not."""
    store.start("web", "--restart", "always")
    store.wait_for_log("web", "READY")
    result = store.run("update", "web", "--memory", "20M", "--cpus", "2", "--restart", "on-failure:5", "--label", "a=b")
    assert result.returncode == 0
    assert result.stderr == "visor: web: machine.memory, machine.cpus change at the next start\n"  # its guest has no drivers
    assert store.run("update", "web", "--stop-timeout", "3").stderr == ""
    store.send("web", "P")  # which is a failure
    store.wait_for_log("web", "READY", 2)
    assert stats(store)["web"]["memory_limit"] == 20 << 20
    assert store.run("update", "web", "--memory", "24M").stderr == "visor: web: machine.memory changes at the next start\n"
    store.send("web", "Q")  # and this none
    store.wait_for_status("web", "exited")
    store.ok("start", "web")
    store.ok("update", "--from", "-", "web", stdin='{"restart": "no", "remove": true}')
    store.ok("stop", "web")
    assert store.ok("ps", "-aq") == ""


def test_a_start_by_its_policy_is_a_next_start(store):
    identity = store.start("web", "--restart", "always")
    store.wait_for_log("web", "READY")
    assert store.run("update", "web", "--log-size", "4K").stderr == "visor: web: log_size changes at the next start\n"
    store.send("web", "P")
    store.wait_for_log("web", "READY", 2)
    for _ in range(40):
        store.send("web", "x" * 200 + "\r\n")
    until(lambda: (store.path / "domains" / identity / "log.1").exists())
    assert (store.path / "domains" / identity / "log").stat().st_size <= 4096


def test_a_policy_that_is_taken_back_while_it_waits(store):
    """The delay grows: before the third start it is 0.4 s."""
    store.start("web", "--restart", "always")
    for count in (1, 2, 3):
        store.wait_for_log("web", "READY", count)
        store.send("web", "P")
    store.wait_for_status("web", "restarting")
    assert store.ok("update", "web", "--restart", "no") == "web\n"
    until(lambda: store.state("web")["status"] in ("exited", "running"))
    if store.state("web")["status"] == "running":  # it had begun already
        store.send("web", "P")
    store.wait_for_status("web", "exited")


def test_updates_at_once(store):
    store.start("web")
    updates = [subprocess.Popen([VISOR, "update", "web", "--label", f"l{n}={n}"], env=store.environment(), stdout=subprocess.PIPE)
               for n in range(8)]
    store.ok("restart", "web")
    for update in updates:
        update.communicate(timeout=TIMEOUT)
        assert update.returncode == 0
    assert config(store, "web")["labels"] == {f"l{n}": str(n) for n in range(8)}


@containers
def test_update_of_a_container_that_runs(store, root):
    store.ok("run", "-d", "--name", "web", "--memory", "64M", root, "sh", "-c",
             "dd if=/dev/zero of=/dev/shm/fill bs=1M count=20 2>/dev/null; echo FULL; sleep 1000")
    store.wait_for_log("web", "FULL")
    result = store.run("update", "web", "--memory", "100M", "--pids-limit", "50", "--cpus", "0.5", "--cpu-shares", "512")
    assert (result.returncode, result.stderr) == (0, "")
    row = stats(store)["web"]
    assert (row["memory_limit"], row["processes_limit"]) == (100 << 20, 50)
    limits = json.loads(store.ok("inspect", "web"))[0]["config"]["container"]
    assert (limits["memory"], limits["pids"], limits["cpus"], limits["cpu_shares"]) == ("100M", 50, "0.5", 512)
    # All or nothing: what is in use is not taken away, and then the rest is as it was, too.
    assert_refused(store.run("update", "web", "--pids-limit", "30", "--memory", "10M"), 1, "memory")
    row = stats(store)["web"]
    assert (row["memory_limit"], row["processes_limit"]) == (100 << 20, 50)
    assert config(store, "web")["container"] == limits
    assert store.run("update", "web", "--hostname", "other").stderr == "visor: web: container.hostname changes at the next start\n"
    store.ok("stop", "-t", "0", "web")
    store.ok("start", "web")
    assert stats(store)["web"]["memory_limit"] == 100 << 20


@containers
def test_update_of_a_rootless_container(root):
    """Without cgroups there are no limits, and nothing is stored; what needs none is changed."""
    with Rootless(root) as nobody:
        assert nobody.run("run", "-d", "--name", "web", "--net", "none", nobody.tree, "sleep", "1000").returncode == 0
        assert_refused(nobody.run("update", "web", "--memory", "64M", "--label", "a=b"), 1, "no cgroups")
        assert nobody.run("update", "web", "--restart", "on-failure", "--label", "c=d").returncode == 0
        now = json.loads(nobody.run("inspect", "web").stdout)[0]["config"]
        assert now["restart"] == "on-failure" and now["labels"] == {"c": "d"} and "memory" not in now["container"]


@containers
def test_memory_and_swap_fit_each_other(store, root):
    for options in (["--memory-swap", "64M"], ["--memory", "65M", "--memory-swap", "64M"]):
        assert_refused(store.run("create", *options, root, "true"), 2, "container.memory_swap", "container.memory, which it includes")
    store.ok("run", "-d", "--name", "web", "--net", "none", "--memory", "16M", "--memory-swap", "16M", root, "sleep", "1000")
    assert_refused(store.run("update", "web", "--memory", "20M"), 1, "container.memory_swap")
    assert stats(store)["web"]["memory_limit"] == 16 << 20
    for size in (40, 20):  # both up, and down, whichever the kernel wants first
        assert store.ok("update", "web", "--memory", f"{size}M", "--memory-swap", f"{size + 10}M") == "web\n"
        assert stats(store)["web"]["memory_limit"] == size << 20


@containers
def test_limits_are_taken_back(store, root):
    store.ok("run", "-d", "--name", "free", "--net", "none", root, "sleep", "1000")
    store.ok("run", "-d", "--name", "web", "--net", "none", "--memory", "16M", "--memory-swap", "16M", "--pids-limit", "50",
             "--cpus", "0.5", "--cpu-shares", "512", root, "sleep", "1000")
    assert_refused(store.run("update", "web", "--memory", "none"), 1, "container.memory_swap")
    assert stats(store)["web"]["memory_limit"] == 16 << 20
    lifted = [word for name in ("memory", "memory-swap", "pids-limit", "cpus", "cpu-shares") for word in (f"--{name}", "none")]
    result = store.run("update", "web", *lifted)
    assert (result.returncode, result.stderr) == (0, "")
    rows = stats(store)
    for name in ("memory_limit", "processes_limit"):
        assert rows["web"].get(name) == rows["free"].get(name)
    assert not {"memory", "memory_swap", "pids", "cpus", "cpu_shares"} & set(config(store, "web")["container"])
    assert store.run("exec", "web", "sh", "-c", "dd if=/dev/zero of=/dev/shm/fill bs=1M count=30").returncode == 0
    assert_refused(store.run("update", "web", "--hostname", "none", "--memory", "some"), 1, "--memory")


@containers
def test_update_of_a_container_that_stands_still(store, root):
    store.ok("run", "-d", "--name", "web", root, "sleep", "1000")
    store.ok("pause", "web")
    assert store.ok("update", "web", "--memory", "30M") == "web\n"
    assert stats(store)["web"]["memory_limit"] == 30 << 20


# -- top -----------------------------------------------------------------------------------------------------

def top(store, name):
    return json.loads(store.ok("top", name, "--json"))


@containers
def test_top_of_a_container(store, root):
    store.ok("run", "-d", "--name", "web", "--net", "none", root, "sh", "-c", "(exec sleep 1001) & " + BUSY)
    rows = until(lambda: len(rows := top(store, "web")) == 3 and {row["command"] for row in rows} >= {"sleep 1000", "sleep 1001"} and rows)
    first = rows[0]
    assert (first["pid"], first["user"], first["command"]) == (1, "root", "sleep 1000") and "parent" not in first
    assert first["host"] == int(pathlib.Path(f"/proc/{store.state('web')['pid']}/task/{store.state('web')['pid']}/children").read_text())
    assert [row["parent"] for row in rows[1:]] == [1, 1]
    busy = next(row for row in rows if not row["command"].startswith("sleep"))
    until(lambda: next(row for row in top(store, "web") if row["pid"] == busy["pid"])["cpu_time"] > 0.1)
    lines = store.ok("top", "web").splitlines()
    assert lines[0].split() == ["PID", "HOST", "USER", "STATE", "CPU", "%", "TIME", "MEMORY", "COMMAND"]
    assert re.fullmatch(rf"1 +{first['host']} +root +S +0\.0 +0:00 +[0-9.]+ [KM]iB +sleep 1000", lines[1])
    assert [line.split() for line in store.ok("top", "web", "-o", "pid,parent").splitlines()[:2]] == [["PID", "PARENT"], ["1", "-"]]


@containers
def test_top_shows_no_commands_to_the_terminal(store, root):
    store.ok("run", "-d", "--name", "www", root, "sh", "-c", "sleep 1000; : '\033]0;title\007\u009b2J'")
    lines = until(lambda: (text := store.ok("top", "www")).count("sleep") and text)
    assert "\033" not in lines and "\007" not in lines and "\u009b" not in lines and "?]0;title?" in lines


@containers
def test_top_of_a_rootless_container(root):
    with Rootless(root) as nobody:
        assert nobody.run("run", "-d", "--name", "web", nobody.tree, "sleep", "1000").returncode == 0
        (row,) = json.loads(nobody.run("top", "--json", "web").stdout)
        assert (row["pid"], row["user"], row["command"]) == (1, "root", "sleep 1000")
        status = pathlib.Path(f"/proc/{row['host']}/status").read_text()
        assert f"Uid:\t{nobody.user}\t" in status


def test_top_of_a_program(store, program):
    store.ok("run", "-d", "--name", "p", program, "x")
    store.wait_for_log("p", "said")
    (row,) = top(store, "p")
    assert row["pid"] == row["host"] and row["user"] == ("root" if os.geteuid() == 0 else str(os.geteuid()))


def test_top_that_cannot_be(store):
    store.ok("create", "--name", "web", *store.options)
    assert_refused(store.run("top", "web"), 1, "web does not run")
    assert_refused(store.run("top", "web", "-o", "pid,colour"), 2, '"colour"', "command")
    assert_refused(store.run("top", "web", "other"), 2, '"other"')
    assert_refused(store.run("top"), 2, "name a domain")


# -- memory that has run out -----------------------------------------------------------------------------------

HOG = "dd if=/dev/zero of=/dev/shm/fill bs=1M count=100"  # whose pages are nobody's but the container's


@containers
def test_a_process_that_is_killed_for_its_memory_is_told(store, root):
    """While the container goes on, and no more than what has happened."""
    store.ok("run", "-d", "--name", "web", "--memory", "16M", "--memory-swap", "16M", root, "sh", "-c",
             f"{HOG} 2>/dev/null; rm /dev/shm/fill; echo SURVIVED; sleep 1000")
    store.wait_for_log("web", "SURVIVED")
    until(lambda: "oom" in names(store))
    (told,) = [event for event in events(store) if event["event"] == "oom"]
    assert told["name"] == "web" and told["kills"] == 1
    store.ok("rm", "-f", "web")
    assert names(store)[-3:] == ["oom", "exit", "remove"]


@containers
def test_an_end_for_want_of_memory_has_it_as_its_reason(store, root):
    result = store.run("run", "--name", "web", "--memory", "16M", "--memory-swap", "16M", root, "sh", "-c", "exec tail -c 100000000 /dev/zero")
    assert result.returncode == 137
    state = store.state("web")
    assert (state["reason"], state["exit_status"], state["failed"]) == ("out of memory", 137, True)
    assert names(store) == ["create", "start", "oom", "exit"]


# -- a machine with Linux and the agent in it ------------------------------------------------------------------

@pytest.fixture(scope="module")
def box(linux, tmp_path_factory):  # noqa: F811
    domain = start_machine(linux, tmp_path_factory.mktemp("machine"))
    yield domain
    domain.visor("rm", "--force", "--all")


def test_top_of_a_machine(box):
    box.shell("sleep 1000 </dev/null >/dev/null 2>&1 &")
    done = box.visor("top", box.name, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    (sleep,) = [row for row in rows if row["command"] == "sleep 1000"]
    assert sleep["user"] == "root" and sleep["state"] == "S" and "host" not in sleep and sleep["memory"] > 0
    assert rows[0]["pid"] == 1 and rows[0]["command"] == "/bin/visor-agent" and rows[0]["elapsed"] > sleep["elapsed"]
    assert any(row["command"] == "[kthreadd]" for row in rows)
    assert not any("cmdline" in row["command"] for row in rows)  # who asks is not shown
    lines = box.visor("top", box.name, "-o", "pid,host,command").stdout.splitlines()
    assert lines[1].split() == ["1", "-", "/bin/visor-agent"]


def test_a_machine_that_stands_still_is_not_asked(box):
    assert box.visor("pause", box.name).returncode == 0
    done = box.visor("top", box.name)
    assert done.returncode == 1 and "is paused" in done.stderr
    assert box.visor("stats", "--no-stream", box.name).returncode == 0
    assert box.visor("resume", box.name).returncode == 0
