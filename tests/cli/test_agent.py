# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's agent, in a machine, over vsock."""
import os
import time

import pytest

from agent import PING, SHUTDOWN, Agent, AgentError
from conftest import VISOR
from guest_kernel import DISK, NET, VSOCK
from test_machine import TIMEOUT, Machine, kernel  # noqa: F401 (kernel: a fixture)

AGENT = VISOR.parent / "agent/visor-agent"
SCRIPT = (f"load {' '.join(DISK + NET + VSOCK)}; mkdir -p /dev/pts /etc; mount -t devpts none /dev/pts; hostname guest;"
          "echo root:x:0:0::/:/bin/sh >/etc/passwd; echo someone:x:1000:1000::/tmp:/bin/sh >>/etc/passwd;"
          "ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; echo READY; exec /bin/visor-agent")


@pytest.fixture(scope="module")
def machine(kernel, tmp_path_factory):  # noqa: F811
    directory = tmp_path_factory.mktemp("agent")
    initrd = kernel.initrd(directory, SCRIPT, {"bin/visor-agent": AGENT.read_bytes()})
    machine = Machine("--kernel", kernel.image, "--initrd", initrd, "--append", "console=ttyS0 quiet", "--memory", "256M",
                      "--vsock", directory / "vsock", "--no-reboot")
    machine.wait_for("READY")
    machine.agent = Agent(directory / "vsock", TIMEOUT)
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            machine.agent.simple(PING)
            break
        except (AgentError, ConnectionError):  # it says READY before it listens
            assert time.monotonic() < end
            time.sleep(0.05)
    yield machine
    machine.timer.cancel()
    machine.process.kill()
    machine.process.wait()


def test_facts(machine):
    facts = machine.agent.facts()
    assert facts["hostname"] == ["guest"] and facts["architecture"] == ["x86_64"]
    assert "eth0 10.0.2.15/24" in facts["address"]
    assert int(facts["uptime"][0]) < TIMEOUT


def test_programs(machine):
    run = machine.agent.run
    assert run("sh", "-c", "hostname; echo wrong >&2; exit 3") == (3, "guest\n", "wrong\n")
    assert run("sh", "-c", "id -u; pwd; echo $COLOUR", user="someone", variables=["COLOUR=red"]) == (0, "1000\n/tmp\nred\n", "")
    assert run("sh", "-c", "kill -15 $$")[0] == 128 + 15
    assert run("stty", "size", terminal=(33, 77)) == (0, "33 77\r\n", "")
    data = os.urandom(50000)
    status, said, _ = run("sh", "-c", "md5sum; cat /proc/uptime", data=data)
    assert status == 0 and len(said.split()) == 4
    with pytest.raises(AgentError, match="cannot start nothing"):
        run("nothing")


def test_files(machine):
    data = os.urandom(1 << 20)
    machine.agent.put("/tmp/file", data, 0o751)
    assert machine.agent.run("stat", "-c", "%a %s", "/tmp/file")[1] == f"751 {1 << 20}\n"
    assert machine.agent.get("/tmp/file") == (data, 0o751)
    with pytest.raises(AgentError, match="/tmp/none"):
        machine.agent.get("/tmp/none")


def test_shutdown(machine):
    machine.agent.simple(SHUTDOWN, b"\0")
    assert machine.end() == 0
