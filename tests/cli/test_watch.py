# SPDX-License-Identifier: GPL-2.0-or-later
"""What people see of domains from outside: their events."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import VISOR
from test_domain import TIMEOUT, assert_refused, kernel, store  # noqa: F401 (fixtures)


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
