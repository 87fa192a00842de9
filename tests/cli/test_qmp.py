# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines that are commanded at their control socket. What is answered is checked against the schema by qmp.py."""
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess

import pytest

from conftest import guest_process, run_visor
from guest_kernel import BALLOON, BUTTON, DISK, NET, PANIC
from qmp import Qmp, QmpError
from test_machine import TIMEOUT, kernel, start  # noqa: F401 (fixtures)

GO_PATH = pathlib.Path("/usr/share/gocode")  # where Debian has Go libraries

WAITS = "echo READY; while read line; do eval $line; done"


@pytest.fixture
def commanded(start, tmp_path):  # noqa: F811
    """A machine and a client of its control socket."""
    clients = []

    def start_commanded(script, *options, **more):
        path = tmp_path / "control"
        machine = start(script, "--qmp", f"unix:{path},server=on,wait=off", *options, **more)
        clients.append(Qmp(path, TIMEOUT))
        return machine, clients[-1]

    yield start_commanded
    for client in clients:
        client.close()


def test_what_a_machine_says_of_itself(commanded, tmp_path):
    disk = tmp_path / "disk, with a comma.img"
    disk.write_bytes(bytes(1 << 20))
    machine, qmp = commanded(f"load {' '.join(DISK)}; {WAITS}", "--cpus", 2, "--memory", "256M", "--net", "none",
                             "--disk", str(disk).replace(",", ",,"), "--virtio-console", f"file:{tmp_path}/hvc")
    machine.wait_for("READY")
    assert qmp.greeting["QMP"]["version"]["package"].startswith("visor ")
    assert qmp.execute("query-version") == qmp.greeting["QMP"]["version"]
    assert qmp.execute("query-status") == {"status": "running", "running": True}
    assert set(qmp.execute("query-name")) == {"name"}
    assert qmp.execute("query-uuid") == {"UUID": "00000000-0000-0000-0000-000000000000"}
    cpus = qmp.execute("query-cpus-fast")
    tasks = pathlib.Path(f"/proc/{guest_process(machine.process.pid)}/task")
    threads = {int(task.name): (task / "comm").read_text().strip() for task in tasks.iterdir()}
    assert [cpu["cpu-index"] for cpu in cpus] == [0, 1]
    assert [threads[cpu["thread-id"]] for cpu in cpus] == ["vcpu0", "vcpu1"]
    assert qmp.execute("query-kvm") == {"enabled": False, "present": False}
    assert qmp.execute("query-target") == {"arch": "x86_64"}
    assert [entry["name"] for entry in qmp.execute("query-machines")] == ["pc"]
    assert qmp.execute("query-memory-size-summary") == {"base-memory": 256 << 20, "plugged-memory": 0}
    ports = {port["label"]: port["filename"] for port in qmp.execute("query-chardev")}
    assert ports == {"serial0": "stdio", "console": f"file:{tmp_path}/hvc"}
    (block,) = qmp.execute("query-block")
    assert block["device"] == "disk0" and block["io-status"] == "ok"
    assert block["inserted"]["file"] == str(disk) and not block["inserted"]["ro"]
    assert block["inserted"]["image"]["virtual-size"] == 1 << 20
    names = {entry["name"] for entry in qmp.execute("query-commands")}
    assert names == set(qmp.schema.commands)
    assert {entry["name"] for entry in qmp.execute("query-events")} == set(qmp.schema.events)


def test_pci_is_what_the_guest_sees(commanded):
    machine, qmp = commanded(f"for d in /sys/bus/pci/devices/*; do echo $(basename $d) $(cat $d/vendor $d/device $d/class);"
                             f"head -n 6 $d/resource; done; {WAITS}", "--net", "none")
    text = machine.wait_for("READY")
    (bus,) = qmp.execute("query-pci")
    assert bus["bus"] == 0 and len(bus["devices"]) >= 3
    lines = [line.split() for line in text[text.index("0000:"):].splitlines() if line]
    for device in bus["devices"]:
        index = next(i for i, line in enumerate(lines) if line[0] == f"0000:00:{device['slot']:02x}.0")
        vendor, product, kind = (int(word, 16) for word in lines[index][1:])
        assert (vendor, product) == (device["id"]["vendor"], device["id"]["device"])
        assert kind >> 8 == device["class_info"]["class"]
        for region in device["regions"]:
            begin, end, _ = (int(word, 16) for word in lines[index + 1 + region["bar"]])
            assert (begin, end - begin + 1) == (region["address"], region["size"])
    assert {"rng", "balloon"} <= {device["qdev_id"] for device in bus["devices"]}


def test_disks_count(commanded, tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(4 << 20))
    machine, qmp = commanded(f"load {' '.join(DISK)}; {WAITS}", "--net", "none", "--disk", disk)
    machine.wait_for("READY")
    before = qmp.execute("query-blockstats")[0]["stats"]
    machine.send("dd if=/dev/zero of=/dev/vda bs=64k count=16 conv=fsync; dd if=/dev/vda of=/dev/null iflag=direct"
                 " bs=64k count=8; echo DO''NE\n")
    machine.wait_for("DONE")
    after = qmp.execute("query-blockstats")[0]["stats"]
    assert after["wr_bytes"] - before["wr_bytes"] == 1 << 20
    assert after["rd_bytes"] - before["rd_bytes"] >= 512 << 10
    assert after["wr_operations"] > before["wr_operations"]
    assert after["flush_operations"] > before["flush_operations"]
    assert not any(count for name, count in after.items() if name.startswith("failed"))


def test_cards_count(commanded):
    machine, qmp = commanded(f"load {' '.join(DISK[:-1] + NET)}; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; {WAITS}")
    machine.wait_for("READY")
    before = qmp.execute("x-query-netstats")
    assert [(card["device"], card["vhost"]) for card in before] == [("net0", False)]
    machine.send("ping -c 3 -s 1000 -W 10 10.0.2.2 | tail -n 3; echo DO''NE\n")
    assert "3 packets received" in machine.wait_for("DONE")
    (after,) = qmp.execute("x-query-netstats")
    for what, least in (("rx_bytes", 3042), ("rx_frames", 3), ("tx_bytes", 3042), ("tx_frames", 3)):
        assert after[what] - before[0][what] >= least


def test_stop_and_cont(commanded, tmp_path):
    machine, qmp = commanded("i=0; while :; do i=$((i+1)); echo ticks $i; done", "--net", "none", "--console",
                             f"file:{tmp_path}/console")
    other = Qmp(tmp_path / "control", TIMEOUT)
    console = tmp_path / "console"
    while b"ticks" not in console.read_bytes():
        pass
    qmp.execute("stop")
    assert [event["event"] for event in qmp.events] == ["STOP"]  # it was told before the answer
    size = console.stat().st_size
    assert qmp.execute("query-status") == {"status": "paused", "running": False}
    qmp.execute("stop")  # once more is no event
    assert other.execute("query-status")["status"] == "paused"
    assert console.stat().st_size <= size + 65536  # what was on its way
    qmp.execute("cont")
    assert [event["event"] for event in qmp.events] == ["STOP", "RESUME"]
    assert qmp.execute("query-status")["running"]
    assert [event["event"] for event in other.events] == ["STOP"] or other.wait("RESUME") == {}
    size = console.stat().st_size
    while console.stat().st_size < size + 200000:  # it runs
        pass
    other.close()


def test_quit(commanded, tmp_path):
    machine, qmp = commanded(WAITS, "--net", "none")
    assert stat.S_IMODE((tmp_path / "control").stat().st_mode) == 0o600
    assert qmp.execute("quit") == {}
    assert qmp.wait("SHUTDOWN") == {"guest": False, "reason": "host-qmp-quit"}
    assert qmp.ended() == []
    assert machine.end() == 6
    assert not (tmp_path / "control").exists()


def test_quit_while_it_stands_still(commanded):
    machine, qmp = commanded(WAITS, "--net", "none")
    qmp.execute("stop")
    qmp.execute("quit")
    assert qmp.ended() == ["STOP", "SHUTDOWN"]
    assert machine.end() == 6


def test_power_button(commanded):
    machine, qmp = commanded(f"load {' '.join(BUTTON)}; exec 3</dev/input/event0; (head -c 1 <&3 >/dev/null; poweroff -f) & {WAITS}",
                             "--net", "none")
    machine.wait_for("READY")
    assert qmp.execute("system_powerdown") == {}
    assert qmp.wait("POWERDOWN") == {}
    assert qmp.wait("SHUTDOWN") == {"guest": True, "reason": "guest-shutdown"}
    assert machine.end() == 0


def test_power_button_without_ear(commanded):
    machine, qmp = commanded(WAITS, "--net", "none")
    machine.wait_for("READY")
    qmp.execute("system_powerdown")
    qmp.wait("POWERDOWN")
    assert qmp.wait("SHUTDOWN")["guest"] is False
    assert machine.end() == 6


def test_resets(commanded):
    machine, qmp = commanded(WAITS, "--net", "none")
    machine.wait_for("READY")
    qmp.execute("system_reset")
    assert qmp.wait("RESET") == {"guest": False, "reason": "host-qmp-system-reset"}
    machine.wait_for("READY")
    machine.send("reboot -f\n")
    assert qmp.wait("RESET") == {"guest": True, "reason": "guest-reset"}
    machine.wait_for("READY")
    machine.process.send_signal(signal.SIGTERM)
    assert qmp.wait("SHUTDOWN") == {"guest": False, "reason": "host-signal"}


def test_reset_that_is_the_end(commanded):
    machine, qmp = commanded(WAITS, "--net", "none", "--no-reboot")
    machine.wait_for("READY")
    machine.send("reboot -f\n")
    assert qmp.wait("SHUTDOWN") == {"guest": True, "reason": "guest-reset"}
    assert machine.end() == 3


def test_panic(commanded):
    machine, qmp = commanded(f"load {' '.join(PANIC)}; {WAITS}", "--net", "none")
    machine.wait_for("READY")
    machine.send("echo c >/proc/sysrq-trigger\n")
    assert qmp.wait("GUEST_PANICKED") == {"action": "poweroff"}
    assert qmp.wait("SHUTDOWN") == {"guest": True, "reason": "guest-panic"}
    assert machine.end() == 5


def test_balloon(commanded):
    machine, qmp = commanded(WAITS, "--net", "none", "--memory", "512M")
    machine.wait_for("READY")
    for command, arguments in (("query-balloon", {}), ("balloon", {"value": 300 << 20}), ("x-query-guest-memory", {})):
        with pytest.raises(QmpError) as refused:
            qmp.execute(command, **arguments)
        assert refused.value.kind == "DeviceNotActive"
    machine.send(f"load {' '.join(DISK + BALLOON)}; echo LOA''DED\n")
    machine.wait_for("LOADED")
    assert qmp.execute("query-balloon") == {"actual": 512 << 20}
    while not (memory := qmp.execute("x-query-guest-memory")):
        pass
    assert max(memory["free"], memory["available"]) < memory["total"] <= 512 << 20 and memory["total"] > 256 << 20
    for value in (0, -1):
        with pytest.raises(QmpError):
            qmp.execute("balloon", value=value)
    qmp.execute("balloon", value=300 << 20)
    while qmp.wait("BALLOON_CHANGE")["actual"] != 300 << 20:
        pass
    assert qmp.execute("query-balloon") == {"actual": 300 << 20}
    qmp.execute("balloon", value=1 << 40)
    while qmp.wait("BALLOON_CHANGE")["actual"] != 512 << 20:
        pass


def test_visor_update_asks_the_balloon(commanded):
    machine, qmp = commanded(f"load {' '.join(DISK + BALLOON)}; {WAITS}", "--net", "none", "--memory", "512M", "--name", "balloon")
    machine.wait_for("READY")
    result = run_visor("update", "balloon", "--memory", "300M")
    assert (result.returncode, result.stderr) == (0, "")
    while qmp.execute("query-balloon") != {"actual": 300 << 20}:
        pass
    result = run_visor("update", "balloon", "--memory", "1G")  # as much as there is, and the rest later
    assert (result.returncode, result.stderr) == (0, "visor: balloon: machine.memory changes at the next start\n")
    while qmp.execute("query-balloon") != {"actual": 512 << 20}:
        pass
    memory = json.loads(run_visor("stats", "--no-stream", "--json", "balloon").stdout)[0]
    assert 0 < memory["guest_memory"] < memory["guest_total"] <= 512 << 20
    assert run_visor("rm", "--force", "balloon").returncode == 0


def test_nmi(commanded):
    machine, qmp = commanded(f"grep -i nmi: /proc/interrupts; {WAITS}", "--net", "none", "--cpus", 2)
    machine.wait_for("READY")
    qmp.execute("inject-nmi")
    machine.send("dmesg | grep -i 'NMI received'; grep NMI: /proc/interrupts; echo SE''EN\n")
    text = machine.wait_for("SEEN\r\n")
    assert "NMI received" in text or sum(int(word) for word in text.split("NMI:")[1].split()[:2]) >= 1


def test_a_full_disk_is_told(commanded, tmp_path):
    """A disk on a file system that has no room: the guest stands still until there is."""
    if os.geteuid():
        pytest.skip("needs a file system of its own")
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=2m none {small}"):
        pytest.skip("this host does not let us mount")
    try:
        with open(small / "disk.img", "wb") as disk:
            disk.truncate(8 << 20)
        machine, qmp = commanded(f"load {' '.join(DISK)}; {WAITS}", "--net", "none", "--disk", small / "disk.img")
        machine.wait_for("READY")
        machine.send("dd if=/dev/urandom of=/dev/vda bs=64k count=64 conv=fsync; echo WRIT''TEN\n")
        assert qmp.wait("BLOCK_IO_ERROR") == {"device": "disk0", "operation": "write", "action": "stop",
                                              "nospace": True, "reason": os.strerror(28)}
        qmp.wait("STOP")
        assert qmp.execute("query-status") == {"status": "io-error", "running": False}
        assert qmp.execute("query-block")[0]["io-status"] == "nospace"
        with pytest.raises(QmpError) as refused:
            qmp.execute("cont")
        assert "no room" in refused.value.text
        assert os.system(f"mount -o remount,size=20m {small}") == 0
        qmp.wait("RESUME")
        machine.wait_for("WRITTEN")
        assert qmp.execute("query-block")[0]["io-status"] == "ok"
        qmp.execute("quit")
        machine.end()
    finally:
        os.system(f"umount -l {small}")


def test_what_is_refused(commanded, tmp_path):
    machine, qmp = commanded(WAITS, "--net", "none")
    with pytest.raises(QmpError) as refused:
        qmp.execute("human-monitor-command", command_line="info status")
    assert refused.value.kind == "GenericError" and "query-commands" in refused.value.text
    with pytest.raises(QmpError) as refused:
        qmp.execute("device_add", driver="e1000")
    assert refused.value.kind == "CommandNotFound"
    with pytest.raises(QmpError) as refused:
        qmp.execute("stop", now=True)
    assert "'now'" in refused.value.text
    qmp.socket.sendall(b"{'execute': 'query-status'")  # and never ends
    another = Qmp(tmp_path / "control", TIMEOUT)
    assert another.execute("query-status")["running"]
    another.close()


@pytest.mark.parametrize("option, words", [
    ("tcp:localhost:4444", "unix:PATH"),
    ("/tmp/socket", "unix:PATH"),
    ("unix:", "path is missing"),
    ("unix:,server=on", "path is missing"),
    ("unix:/tmp/x,server=off", "server=off"),
    ("unix:/tmp/x,wait=on", "wait=off"),
    ("unix:/tmp/x,colour=red", "colour=red"),
])
def test_options_that_cannot_be(visor, option, words):
    result = visor("run", "--kernel", "/dev/null", "--qmp", option)
    assert result.returncode == 2
    assert words in result.stderr and len(result.stderr.splitlines()) <= 2


def test_a_socket_that_is_taken(visor, kernel, tmp_path):  # noqa: F811
    path = tmp_path / "taken"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()
        result = visor("run", "--kernel", kernel.image, "--net", "none", "--qmp", f"unix:{path}")
    assert result.returncode == 126 and str(path) in result.stderr
    assert path.exists()
    result = visor("run", "--kernel", kernel.image, "--net", "none", "--qmp", f"unix:{tmp_path}/no/where")
    assert result.returncode == 126 and "no/where" in result.stderr


@pytest.mark.skipif(not shutil.which("go") or not (GO_PATH / "src/github.com/digitalocean/go-qemu").exists(),
                    reason="golang-go and golang-github-digitalocean-go-qemu-dev are not installed")
def test_an_existing_client(start, tmp_path):  # noqa: F811
    """go-qemu, whose types were made of QEMU's schema."""
    peer, path, disk = tmp_path / "peer", tmp_path / "control", tmp_path / "disk.img"
    subprocess.run(["go", "build", "-o", peer, pathlib.Path(__file__).parent / "qmp_peer.go"], check=True,
                   env=os.environ | {"GO111MODULE": "off", "GOPATH": str(GO_PATH), "GOCACHE": str(tmp_path / "cache")})
    disk.write_bytes(bytes(1 << 20))
    machine = start(WAITS, "--qmp", f"unix:{path}", "--net", "none", "--memory", "256M", "--disk", disk)
    machine.wait_for("READY")
    result = subprocess.run([peer, path], capture_output=True, text=True, timeout=TIMEOUT)
    answers = [tuple(line.split(" ", 1)) for line in result.stdout.splitlines()]
    assert result.returncode == 0, answers
    said = dict(answers)
    assert said["memory"] == str(256 << 20) and said["disks"] == "disk0" and said["ports"] == "serial0"
    assert said["status"] == "paused" and said["domain-status"] == "StatusRunning" and said["domain-functions"] == "true"
    assert all(said[name] == "true" for name in ("commands", "events", "schema", "balloon-refused"))
    assert [what for name, what in answers if name == "event"] == ["STOP", "RESUME", "SHUTDOWN"]
    assert machine.end() == 6
