# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines that become several: copies that go on from where one is, and share its memory."""
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import VISOR
from guest_kernel import DISK, NET, VSOCK, GuestKernel
from store import TIMEOUT
from test_domain import kernel, store  # noqa: F811 (fixtures)
from test_network import needs_network
from test_state import checksums, expected, wait_for_end, work, workers  # noqa: F811 (fixtures)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def shared_memory(store, name):  # noqa: F811
    """The file in memory from which the machine has its own, by its number."""
    with open(f"/proc/{store.guest(name)}/maps") as maps:
        return set(re.findall(r"([0-9]+) +/memfd:visor-fork", maps.read()))


AGENT = VISOR.parent / "agent/visor-agent"
ID = "0123456789abcdef0123456789abcdef"


def start_with_agent(store, path, *options):  # noqa: F811
    """Linux with the agent, a machine id and a host name, and a clock that is years behind."""
    guest = GuestKernel()
    initrd = guest.initrd(path, f"""load {' '.join(DISK + NET + VSOCK)}
        mkdir -p /etc /var/lib/dbus
        echo root:x:0:0::/:/bin/sh >/etc/passwd
        echo {ID} >/etc/machine-id; ln -s /etc/machine-id /var/lib/dbus/machine-id
        echo first >/etc/hostname; hostname first
        ip link set eth0 up
        date -s 2020-01-01
        echo READY
        exec /bin/visor-agent""", {"bin/visor-agent": AGENT.read_bytes()})
    store.ok("run", "-d", "--name", "first", "--kernel", guest.image, "--initrd", initrd, "--memory", "256M", *options)
    store.wait_for_log("first", "READY")
    wait_for_guest(store, "first", "hostname", "first")  # it says READY before it listens


def wait_for_guest(store, name, command, said):  # noqa: F811
    deadline = time.monotonic() + TIMEOUT
    while (result := store.run("exec", name, "sh", "-c", command)).stdout.strip() != said:
        assert time.monotonic() < deadline, result


def one_line(result):
    lines = result.stderr.splitlines()
    assert result.returncode == 1 and lines[0].startswith("visor: ") and len(lines) <= 2, result.stderr
    assert len(lines) == 1 or lines[1].startswith("  hint: ")
    return result.stderr


def test_copies_go_on(store):  # noqa: F811
    first = store.start("web")
    store.wait_for_log("web", "READY")
    ids = store.ok("fork", "web", "a", "b", "c").split()
    assert len(set(ids)) == 3 and first not in ids
    for name, identity in zip("abc", ids):
        assert json.loads(store.ok("inspect", name))[0]["id"] == identity
        store.send(name, f"this is {name}")
        store.wait_for_log(name, f"this is {name}")
        assert "READY" not in store.ok("logs", name)  # it was not started anew
    store.send("web", "still here")
    store.wait_for_log("web", "still here")
    assert "this is" not in store.ok("logs", "web")
    files = [shared_memory(store, name) for name in ("web", "a", "b", "c")]
    assert len(files[0]) == 1 and all(file == files[0] for file in files)

    store.ok("fork", "a", "d")  # and so on
    store.send("d", "this is d")
    store.wait_for_log("d", "this is d")
    assert shared_memory(store, "a") == shared_memory(store, "d") != files[0]
    store.ok("stop", "b")
    store.ok("start", "b")
    store.wait_for_log("b", "READY")  # a start like any other
    assert store.check_whole() == {"web", "a", "b", "c", "d"}


def test_all_come_to_the_same(workers, expected):  # noqa: F811
    result, took = expected
    workers.start("worker", "--cpus", "2")
    names = []
    for number in range(4):
        time.sleep(random.uniform(0, took / 5))
        new = [f"copy{number}-{i}" for i in range(2)]
        forked = workers.run("fork", random.choice(names + ["worker"]), *new)
        if forked.returncode:
            assert "does not run" in forked.stderr or "end" in forked.stderr, forked.stderr
            continue
        names += new
    assert names
    for name in ["worker"] + names:
        wait_for_end(workers, name)
        assert checksums(workers, name) == [result]


def test_guests_become_machines_of_their_own(store, tmp_path):  # noqa: F811
    start_with_agent(store, tmp_path)
    forked = store.run("fork", "first", "other_1", "other_2")
    assert forked.returncode == 0 and forked.stderr == ""
    ids = {ID}
    for name in ("other_1", "other_2"):
        wait_for_guest(store, name, "hostname; cat /etc/hostname; date +%Y | grep -v 2020 >/dev/null && echo now",
                       "\n".join([name.replace("_", "-")] * 2 + ["now"]))
        ids.add(store.ok("exec", name, "cat", "/etc/machine-id").strip())
        assert store.ok("exec", name, "cat", "/var/lib/dbus/machine-id").strip() in ids
        assert "not told" not in store.run("logs", name).stderr
    assert len(ids) == 3 and all(re.fullmatch("[0-9a-f]{32}", identity) for identity in ids)
    assert store.ok("exec", "first", "sh", "-c", "hostname; cat /etc/machine-id").split() == ["first", ID]
    store.ok("save", "first", tmp_path / "state")
    store.ok("restore", tmp_path / "state")  # which is no copy
    store.ok("restore", "--name", "other-3", tmp_path / "state")
    wait_for_guest(store, "other-3", "hostname", "other-3")
    assert store.ok("exec", "first", "sh", "-c", "hostname; cat /etc/machine-id").split() == ["first", ID]
    store.ok("pause", "first")
    store.ok("fork", "first", "other-4")  # nobody can ask a machine that stands still
    wait_for_guest(store, "other-4", "hostname", "other-4")


def test_guests_that_cannot_be_told(store):  # noqa: F811
    store.start("web")
    store.wait_for_log("web", "READY")
    forked = store.run("fork", "web", "a", "b")
    assert forked.returncode == 0 and len(forked.stdout.split()) == 2
    assert forked.stderr.count("\n") == 1 and "no agent answers in the guest of web: its copies keep" in forked.stderr
    store.ok("save", "web", store.path / "state")
    store.ok("restore", "--name", "c", store.path / "state")
    deadline = time.monotonic() + TIMEOUT
    while "not told that it is a copy: no agent answers in the guest of c" not in store.run("logs", "c").stderr:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_paused(store):  # noqa: F811
    store.start("web")
    store.wait_for_log("web", "READY")
    store.ok("pause", "web")
    store.ok("fork", "web", "copy")
    assert store.state("web")["status"] == "paused"
    assert store.state("copy")["status"] == "running"
    store.ok("resume", "web")
    for name in ("web", "copy"):
        store.send(name, "go on")
        store.wait_for_log(name, "go on")


def test_removed_after_their_end(store):  # noqa: F811
    store.start("web")
    store.wait_for_log("web", "READY")
    store.ok("fork", "--rm", "web", "copy")
    store.ok("fork", "web", "kept")
    store.ok("stop", "copy", "kept")
    assert store.check_whole() == {"web", "kept"}


def test_disks(store, tmp_path):  # noqa: F811
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    store.start("writes", "--disk", disk)
    store.wait_for_log("writes", "READY")
    refused = one_line(store.run("fork", "writes", "copy"))
    assert f"disk {disk} is written in place" in refused and "--snapshot" in refused
    store.ok("kill", "writes")
    store.start("reads", "--disk", f"{disk},readonly", "--disk", f"{disk},snapshot")
    store.wait_for_log("reads", "READY")
    store.ok("fork", "reads", "copy")
    store.ok("kill", "reads")
    store.start("snapshot", "--snapshot", "--disk", disk)
    store.wait_for_log("snapshot", "READY")
    store.ok("fork", "snapshot", "other")
    assert store.check_whole() == {"writes", "reads", "copy", "snapshot", "other"}


def test_what_there_is_only_once(store, tmp_path):  # noqa: F811
    store.start("console", "--console", f"unix:{tmp_path}/socket")
    assert "only one console" in one_line(store.run("fork", "console", "copy"))
    store.ok("run", "-d", "--name", "web", "--label", "a=b", "--label", "visor.group=shop", "--publish", f"{free_port()}:80",
             *[word for word in store.options if word not in ("--net", "none")])
    store.wait_for_log("web", "READY")
    store.ok("fork", "web", "copy")
    config = json.loads(store.ok("inspect", "copy"))[0]["config"]
    assert config["labels"] == {"a": "b"} and not config["machine"].get("publish")


def test_refused(store):  # noqa: F811
    store.start("web")
    store.start("taken")
    store.wait_for_log("web", "READY")
    assert 'a domain "taken" already' in one_line(store.run("fork", "web", "new", "taken"))
    assert 'a domain "new" already' in one_line(store.run("fork", "web", "new", "new"))
    assert store.check_whole() == {"web", "taken"}
    assert "a/b" in one_line(store.run("fork", "web", "new", "a/b"))
    assert 'no domain "nobody"' in one_line(store.run("fork", "nobody", "new"))
    store.ok("kill", "taken")
    assert "does not run" in one_line(store.run("fork", "taken", "new"))
    assert store.run("fork", "web").returncode == 2
    store.ok("run", "-d", "--name", "program", shutil.which("sleep"), "100")
    assert "program cannot be" in one_line(store.run("fork", "program", "new"))
    assert store.check_whole() == {"web", "taken", "program"}
    assert store.state("web")["status"] == "running"


@pytest.mark.parametrize("options", [[], ["--rm"]])
def test_the_command_dies(store, options):  # noqa: F811
    """The machine goes on, and nothing is half made: of the copies there are those that run."""
    store.start("web")
    store.wait_for_log("web", "READY")
    for number in range(10):
        command = subprocess.Popen([VISOR, "fork", *options, "web", *[f"c{number}-{i}" for i in range(3)]],
                                   env=store.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 0.03))
        command.send_signal(signal.SIGKILL)
        command.wait()
    store.wait_for_status("web", "running")
    store.send("web", "still here")
    store.wait_for_log("web", "still here")
    names = store.check_whole()
    assert "web" in names
    for name in names - {"web"}:
        assert store.state(name)["status"] == "running"


@needs_network
def test_a_shared_network(store, tmp_path):  # noqa: F811
    """The copy has another address there, and no link before its guest uses it."""
    guest = GuestKernel()
    initrd = guest.initrd(tmp_path, f"""load {' '.join(DISK + NET)}
        ip link set eth0 up
        echo WAITS
        while read address; do
            [ -n "$address" ] && ip link set eth0 address $address
            sleep 1
            echo "LINK $(cat /sys/class/net/eth0/carrier) $(cat /sys/class/net/eth0/address)."
        done""")
    network = f"lan{os.getpid()}"
    store.ok("network", "create", network)
    try:
        store.ok("run", "-d", "--name", "first", "--kernel", guest.image, "--initrd", initrd, "--memory", "256M",
                 "--net", network)
        store.wait_for_log("first", "WAITS")
        store.ok("fork", "first", "copy")
        macs = {name: json.loads(store.ok("inspect", name))[0]["networks"][network]["mac"]
                for name in ("first", "copy")}
        assert macs["first"] != macs["copy"]
        for name, carrier in (("first", 1), ("copy", 0)):
            store.send(name, "\n")
            store.wait_for_log(name, f"LINK {carrier} {macs['first']}.")
        store.send("copy", f"{macs['copy']}\n")
        store.wait_for_log("copy", f"LINK 1 {macs['copy']}.")
        store.ok("rm", "--force", "first", "copy")
    finally:
        store.run("rm", "--force", "--all")
        store.ok("network", "rm", network)


@needs_network
def test_a_shared_network_and_the_agent(store, tmp_path):  # noqa: F811
    """The guest takes the copy's address by itself."""
    network = f"lan{os.getpid()}"
    store.ok("network", "create", network)
    try:
        start_with_agent(store, tmp_path, "--net", "user", "--net", network)
        wait_for_guest(store, "first", "ip link set eth1 up; cat /sys/class/net/eth1/carrier", "1")
        store.ok("fork", "first", "copy")
        macs = {name: json.loads(store.ok("inspect", name))[0]["networks"][network]["mac"]
                for name in ("first", "copy")}
        assert macs["first"] != macs["copy"]
        look = "cat /sys/class/net/eth1/carrier /sys/class/net/eth1/address"
        for name in ("copy", "first"):
            wait_for_guest(store, name, look, f"1\n{macs[name]}")
        addresses = {store.ok("exec", name, "cat", "/sys/class/net/eth0/address") for name in ("first", "copy")}
        assert len(addresses) == 1  # each is alone there
    finally:
        store.run("rm", "--force", "--all")
        store.ok("network", "rm", network)
