# SPDX-License-Identifier: GPL-2.0-or-later
"""Groups: domains of any kind that one file describes, brought up and taken down together."""
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import VISOR
from guest_kernel import DISK, NET, GuestKernel
from store import TIMEOUT, Store
from test_container import BUSYBOX, root  # noqa: F401
from test_domain import kernel  # noqa: F401
from test_network import SERVE, links, needs_network, servers, tables

SERVER = """#!/bin/sh
echo "$NAME begins with $*"
trap 'echo "$NAME ends"; echo "$NAME" >>ended; exit 0' TERM
while :; do sleep 0.05; done
"""


class Group(Store):
    """A store, and a directory with a file that describes a group."""

    def __init__(self, path, kernel):
        super().__init__(path / "store", kernel)
        self.directory = path / "lab"
        self.directory.mkdir()
        self.variables = {}
        server = self.directory / "server"
        server.write_text(SERVER)
        server.chmod(0o755)

    def environment(self):
        return {**super().environment(), **self.variables}

    def run(self, *words, **options):
        return super().run(*words, cwd=self.directory, **options)

    def write(self, text, name="visor.yaml"):
        (self.directory / name).write_text(text)

    def names(self, *options):
        return sorted(self.ok("ps", *options, "--format", "{{.Name}}").split())

    def ids(self):
        return dict(line.split() for line in self.ok("ps", "-a", "--no-trunc", "--format", "{{.Name}} {{.ID}}").splitlines())

    def popen(self, *words, **options):
        return subprocess.Popen([VISOR, *words], env=self.environment(), cwd=self.directory, text=True, **options)


@pytest.fixture
def group(tmp_path, kernel):  # noqa: F811
    group = Group(tmp_path, kernel)
    yield group
    group.run("rm", "--force", "--all")
    assert servers(group.path) == []


def server(name, more=""):
    return f"  {name}: {{program: {{command: [./server, {name}], env: {{NAME: {name}}}}}{more}}}\n"


THREE = "domains:\n" + server("web", ", needs: [app]") + server("app", ", needs: [db]") + server("db")


# -- up and down ---------------------------------------------------------------------------------------------

def test_up_and_down(group):
    group.write(THREE)
    assert group.ok("up", "-d").splitlines() == [f"lab-{name} {what}" for what in ("created", "started")
                                                for name in ("db", "app", "web")]
    assert group.names() == ["lab-app", "lab-db", "lab-web"]
    labels = json.loads(group.ok("inspect", "lab-web"))[0]["config"]["labels"]
    assert labels["visor.group"] == "lab" and labels["visor.group.domain"] == "web"
    group.wait_for_log("lab-web", "web begins with web")
    group.wait_for_log("lab-db", "db begins with db")
    before = group.ids()
    assert group.ok("up", "-d") == ""
    assert group.ids() == before
    group.wait_for_log("lab-app", "app begins")
    lines = group.ok("down").splitlines()
    assert lines[:3] == ["lab-web stopped", "lab-app stopped", "lab-db stopped"]
    assert sorted(lines[3:]) == ["lab-app removed", "lab-db removed", "lab-web removed"]
    assert (group.directory / "ended").read_text().split() == ["web", "app", "db"]
    assert group.check_whole() == set()
    assert group.ok("down") == ""


def test_a_machine_and_a_program(group, kernel):  # noqa: F811
    group.write(f"name: two\ndomains:\n"
                f"  vm: {{machine: {{kernel: ../kernel, nets: [none], memory: 16M}}, needs: {{tool: running}}}}\n"
                + server("tool"))
    os.symlink(kernel, group.directory.parent / "kernel")
    group.ok("up", "-d")
    assert group.names() == ["two-tool", "two-vm"]
    group.wait_for_log("two-vm", "READY")
    group.ok("down")
    assert group.check_whole() == set()


@pytest.mark.skipif(os.geteuid() != 0 or not BUSYBOX, reason="it takes root and busybox-static")
def test_all_kinds(group, kernel, root):  # noqa: F811
    """A container that is waited for, one that shares files with it, a machine and a program."""
    os.symlink(root, group.directory / "root")
    os.symlink(kernel, group.directory / "kernel")
    (group.directory / "data").mkdir()
    group.write("name: all\n"
                "x-box: &box {root: ./root, volumes: [./data:/srv], nets: [none], env: {LEVEL: 010}}\n"
                "domains:\n"
                "  vm: {machine: {kernel: kernel, nets: [none], memory: 16M}, needs: [db, tool]}\n"
                "  db: {container: {<<: *box, command: [/bin/sh, -c, 'cat /srv/made; exec sleep 1000']}, needs: {init: completed}, stop_timeout: 0}\n"
                "  init: {container: {<<: *box, command: [/bin/sh, -c, 'echo made $$LEVEL >/srv/made']}}\n"
                + server("tool"))
    group.ok("up", "-d")
    assert group.names() == ["all-db", "all-tool", "all-vm"]
    assert group.ok("ps", "-f", "visor.yaml", "--filter", "kind=container", "--format", "{{.Name}}") == "all-db\n"
    group.wait_for_log("all-db", "made 010")
    group.wait_for_log("all-vm", "READY")
    before = group.ids()
    group.ok("update", "--memory", "64M", "all-db")
    assert "all-db" not in group.ok("up", "-d")  # the file says the same as before
    assert group.ids() == before
    lines = group.ok("down").splitlines()
    assert lines.index("all-vm stopped") < lines.index("all-db stopped")
    assert group.check_whole() == set()


@pytest.mark.skipif(os.geteuid() != 0 or not BUSYBOX, reason="it takes root and busybox-static")
def test_containers_in_the_foreground(group, root):  # noqa: F811
    group.write(f"domains:\n"
                f"  a: {{container: {{root: {root}, command: [/bin/sh, -c, 'echo one; exec sleep 1000'], nets: [none]}}, stop_timeout: 0}}\n"
                f"  b: {{container: {{root: {root}, command: [/bin/echo, two], nets: [none]}}, needs: [a]}}\n")
    command = group.popen("up", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert {command.stdout.readline() for _ in range(2)} == {"a | one\n", "b | two\n"}
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=TIMEOUT)
    assert command.returncode == 0
    assert group.names() == []
    text = "domains: {a: {container: {root: %s, command: [/bin/echo, $NONE, out], nets: [none]}}}" % root
    result = group.run("up", "-f", "-", stdin=text)
    assert result.returncode == 0 and result.stdout == "a |  out\n"
    assert result.stderr.count("NONE is not set") == 1
    ours, its = os.pipe()
    os.write(its, text.encode())
    os.close(its)
    assert group.ok("up", "-f", f"/dev/fd/{ours}", "--group", "lab", pass_fds=[ours]) == "a |  out\n"
    os.close(ours)


def test_what_has_changed_is_made_anew(group):
    group.write(THREE)
    group.ok("up", "-d")
    before = group.ids()
    group.write(THREE.replace("server, app", "server, other"))
    assert group.ok("up", "-d").splitlines() == ["lab-app stopped", "lab-app removed", "lab-app created", "lab-app started"]
    after = group.ids()
    assert after["lab-db"] == before["lab-db"] and after["lab-web"] == before["lab-web"]
    assert after["lab-app"] != before["lab-app"]
    group.wait_for_log("lab-app", "begins with other")
    group.ok("up", "-d", "--recreate", "db")
    assert group.ids()["lab-db"] != after["lab-db"] and group.ids()["lab-app"] == after["lab-app"]


def test_what_has_ended_is_started(group):
    group.write(THREE)
    group.ok("up", "-d")
    before = group.ids()
    group.ok("kill", "lab-app")
    assert group.ok("up", "-d") == "lab-app started\n"
    assert group.ids() == before


def test_names_and_what_they_need(group):
    group.write(THREE)
    group.ok("up", "-d", "app")
    assert group.names() == ["lab-app", "lab-db"]
    result = group.run("up", "-d", "wep")
    assert result.returncode == 2
    assert result.stderr == 'visor: the group lab has no domain "wep"\n  hint: did you mean web?\n'


def test_no_start(group):
    group.write(THREE)
    group.ok("up", "--no-start")
    assert group.names() == [] and len(group.names("-a")) == 3
    group.ok("up", "-d")
    assert len(group.names()) == 3


def test_domains_that_the_file_does_not_have_any_more(group):
    group.write(THREE)
    group.ok("up", "-d")
    group.write("domains:\n" + server("db"))
    result = group.run("up", "-d")
    assert result.returncode == 0
    assert sorted(result.stdout.splitlines()) == ["lab-app is not in the file any more", "lab-web is not in the file any more"]
    assert "--remove-orphans" in result.stderr
    assert len(group.names()) == 3
    group.ok("up", "-d", "--remove-orphans")
    assert group.names() == ["lab-db"]
    group.write("domains:\n" + server("other"))
    group.ok("down")
    assert group.check_whole() == set()


def test_stop_has_its_time(group):
    group.write("domains:\n  deaf: {program: {command: [/bin/sh, -c, \"trap '' TERM; echo deaf; while :; do sleep 0.1; done\"]}}\n")
    group.ok("up", "-d")
    group.wait_for_log("lab-deaf", "deaf")
    assert group.ok("down", "-t", "0") == "lab-deaf stopped\nlab-deaf removed\n"


def test_groups_are_not_each_others(group):
    group.write("name: one\ndomains:\n" + server("a"), "one.yaml")
    group.write("name: two\ndomains:\n" + server("a"), "two.yaml")
    group.ok("run", "-d", "--name", "apart", "sleep", "1000")
    group.ok("up", "-d", "-f", "one.yaml")
    group.ok("up", "-d", "-f", "two.yaml")
    group.ok("up", "-d", "-f", "two.yaml", "--group", "three")
    assert group.names() == ["apart", "one-a", "three-a", "two-a"]
    assert group.names("-f", "one.yaml") == group.names("--file", "one.yaml") == group.names("--group", "one") == ["one-a"]
    assert group.names("-f", "two.yaml", "--group", "three") == ["three-a"]
    group.ok("down", "-f", "one.yaml")
    assert group.names() == ["apart", "three-a", "two-a"]


# -- networks ------------------------------------------------------------------------------------------------

def networks(group):
    return {n["name"]: n for n in json.loads(group.ok("network", "ls", "--json"))}


def test_networks_come_and_go(group):
    machine = "{machine: {kernel: k, nets: [%s]}}"
    group.write("networks: {lan: , back: {subnet: 10.211.7.0/24, internal: true, labels: {team: a}}}\n"
                "domains: {a: " + machine % '"back,ip=10.211.7.9", lan' + "}\n")
    assert group.ok("up", "--no-start").splitlines() == ["network lab-lan created", "network lab-back created", "lab-a created"]
    back = networks(group)["lab-back"]
    assert (back["subnet"], back["internal"], back["labels"]["team"], back["labels"]["visor.group"]) == ("10.211.7.0/24", True, "a", "lab")
    config = json.loads(group.ok("inspect", "lab-a"))[0]["config"]["machine"]
    assert config["nets"] == ["lab-back,ip=10.211.7.9,alias=a", "lab-lan,alias=a"]
    document = json.loads(group.ok("up", "--check"))
    assert document["domains"]["a"]["machine"]["nets"] == ["back,ip=10.211.7.9", "lan"]
    assert document["networks"] == {"lan": {}, "back": {"subnet": "10.211.7.0/24", "internal": True, "labels": {"team": "a"}}}
    assert group.ok("up", "--no-start") == ""
    group.ok("network", "create", "apart")
    group.write("networks: {back: {subnet: 10.211.8.0/24}}\ndomains: {a: " + machine % "back" + "}\n")
    group.ok("up", "--no-start")
    assert networks(group)["lab-back"]["subnet"] == "10.211.8.0/24"
    lines = group.ok("down").splitlines()
    assert lines[0] == "lab-a removed" and sorted(lines[1:]) == ["network lab-back removed", "network lab-lan removed"]
    assert set(networks(group)) == {"apart"}


def test_networks_of_others(group):
    group.ok("network", "create", "front")
    group.ok("network", "create", "lab-lan")
    group.write("networks: {front: {external: true}}\ndomains: {a: {machine: {kernel: k, nets: [front, none]}}}\n")
    assert group.ok("up", "--no-start") == "lab-a created\n"
    assert json.loads(group.ok("inspect", "lab-a"))[0]["config"]["machine"]["nets"] == ["front,alias=a", "none"]
    assert group.ok("down") == "lab-a removed\n"
    group.write("networks: {new: {}, lan: {}}\ndomains: {a: {machine: {kernel: k, nets: [lan]}}}\n")
    result = group.run("up", "-d")
    assert result.returncode == 1
    assert result.stderr == 'visor: network lan: there is a network "lab-lan" already, which is not the group\'s\n'
    group.write("networks: {none-such: {external: true}}\ndomains: {a: {machine: {kernel: k, nets: [none-such]}}}\n")
    assert 'network none-such: there is no network "none-such"' in group.run("up", "-d").stderr
    assert set(networks(group)) == {"front", "lab-lan"} and group.names("-a") == []


def test_nothing_of_networks_is_left_if_a_name_is_taken(group):
    group.ok("create", "--name", "lab-a", "/bin/true")
    group.write("networks: {lan: {}}\ndomains: {a: {machine: {kernel: k, nets: [lan]}}}\n")
    assert group.run("up", "-d").returncode == 1
    assert networks(group) == {}


@needs_network
@pytest.mark.skipif(not BUSYBOX, reason="it takes busybox-static")
def test_a_machine_and_two_containers_by_name(group, root, tmp_path):  # noqa: F811
    guest = GuestKernel()
    dhcp = "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip addr add $ip/$mask dev eth0\nip route add default via $router\n" \
           "echo nameserver $dns >/etc/resolv.conf\n"
    script = (f"load {' '.join(DISK[:-1] + NET)}; mkdir -p /etc; cat >/tmp/dhcp <<'END'\n{dhcp}END\nchmod +x /tmp/dhcp; "
              "ip link set lo up; ip link set eth0 up; udhcpc -i eth0 -s /tmp/dhcp -n -q; timeout 20 wget -qO- http://web/; ping -c 1 db; "
              "echo MACHINE-ASKED; mkdir /www; echo hello from the machine >/www/index.html; httpd -f -p 80 -h /www")
    guest.initrd(tmp_path, script).rename(group.directory / "initrd")
    ask = "for i in $$(seq 1000); do timeout 5 wget -qO- http://vm/ && break; sleep 0.1; done; ping -c 1 lab-web; exec sleep 1000"
    group.write("networks: {lan: {}}\n"
                "domains:\n"
                f"  db: {{container: {{root: {root}, command: [sh, -c, '{ask}'], nets: [lan]}}, needs: [web], stop_timeout: 0}}\n"
                f"  web: {{container: {{root: {root}, command: [sh, -c, {json.dumps(SERVE.replace('$', '$$'))}], nets: [lan]}}, stop_timeout: 0}}\n"
                f"  vm: {{machine: {{kernel: {guest.image}, initrd: initrd, append: console=ttyS0 quiet, memory: 256M, nets: [lan]}},\n"
                "       needs: [db], stop_timeout: 0}\n")
    group.ok("up", "-d")
    group.wait_for_log("lab-vm", "MACHINE-ASKED")
    log = group.ok("logs", "lab-vm")
    assert "hello from lab-web" in log and "1 packets received" in log
    group.wait_for_log("lab-db", "1 packets received")
    assert "hello from the machine" in group.ok("logs", "lab-db")
    assert len(networks(group)["lab-lan"]["domains"]) == 3
    group.write((group.directory / "visor.yaml").read_text().replace("lan: {}", "lan: {internal: true}"))
    result = group.run("up", "-d")
    assert result.returncode == 1 and "attached to the network lab-lan" in result.stderr and "visor down" in result.stderr
    bridge = networks(group)["lab-lan"]["bridge"]
    assert bridge in links() and bridge in tables()
    group.ok("down")
    assert networks(group) == {} and group.check_whole() == set()
    assert bridge not in links() and bridge not in tables()


# -- needs ---------------------------------------------------------------------------------------------------

def test_completed(group):
    group.write("domains:\n"
                "  init: {program: {command: [/bin/sh, -c, 'sleep 0.3; echo done >>steps; exit ${CODE:-0}']}}\n"
                "  use: {program: {command: [/bin/sh, -c, 'cat steps; exec sleep 1000']}, needs: {init: completed}, stop_timeout: 0}\n"
                "  more: {program: {command: [sleep, 1000]}, needs: [use]}\n"
                "  apart: {program: {command: [sleep, 1000]}}\n")
    group.ok("up", "-d")
    group.wait_for_log("lab-use", "done")
    group.ok("down")
    group.variables["CODE"] = "3"
    result = group.run("up", "-d")
    assert result.returncode == 1
    assert result.stderr == ("visor: lab-use: it is not started, since init has ended with status 3\n"
                             "visor: lab-more: it is not started, since it needs use\n")
    assert group.names() == ["lab-apart"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("busybox"), reason="it takes root and busybox-static")
def test_ready(group, tmp_path):
    """A program in the domain says so; if that has ended, or cannot be, what needs it is not started."""
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    for name in ("dev", "proc", "sys", "tmp"):
        (tree / name).mkdir()
    shutil.copy(shutil.which("busybox"), tree / "bin/busybox")
    for name in ("sh", "sleep", "test", "touch"):
        (tree / "bin" / name).symlink_to("busybox")
    group.write("domains:\n"
                f"  db: {{container: {{root: {tree}, command: [/bin/sh, -c, '${{FIRST:-sleep 1}}; touch /dev/shm/up; exec sleep 1000'], nets: [none]}},\n"
                "       ready: [test, -e, /dev/shm/up], stop_timeout: 0}\n"
                "  use: {program: {command: [/bin/sh, -c, 'exec sleep 1000']}, needs: {db: ready}, stop_timeout: 0}\n")
    group.ok("up", "-d")
    use, db = (json.loads(group.ok("inspect", f"lab-{name}"))[0]["state"]["started"] for name in ("use", "db"))
    assert use > db and group.run("exec", "lab-db", "test", "-e", "/dev/shm/up").returncode == 0
    group.ok("up", "-d")  # it is asked once more
    group.ok("down")
    group.variables["FIRST"] = "exit 3"
    result = group.run("up", "-d")
    assert result.returncode == 1
    assert result.stderr == "visor: lab-use: it is not started, since db has ended before it was ready\n"
    group.ok("down")
    for text, said in (("a: {program: {command: [x]}, ready: [true]}", "no program can be run in a program"),
                       (f"a: {{container: {{root: {tree}}}, ready: sh}}", "as a list"),
                       (f"a: {{container: {{root: {tree}}}}}\n  b: {{program: {{command: [x]}}, needs: {{a: ready}}}}", "known to be ready")):
        group.write(f"domains:\n  {text}\n")
        result = group.run("up", "-d")
        assert result.returncode != 0 and said in result.stderr, result.stderr


def test_what_cannot_be_started(group):
    group.write("domains:\n" + server("good") + "  bad: {program: {command: [./none]}}\n" + server("last", ", needs: [bad]"))
    result = group.run("up", "-d")
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert lines[0].startswith("visor: lab-bad: ") and "none" in lines[0]
    assert "visor: lab-last: it is not started, since it needs bad" in lines
    assert group.names() == ["lab-good"]
    group.ok("down")
    assert group.run("up").returncode == 1  # in the foreground it is all or nothing
    assert group.names() == [] and len(group.names("-a")) == 3


def test_nothing_is_made_if_a_name_is_taken(group):
    group.write(THREE)
    group.ok("create", "--name", "lab-web", "/bin/true")
    result = group.run("up", "-d")
    assert result.returncode == 1
    assert 'visor: lab-web: there is a domain "lab-web" already\n' in result.stderr
    assert group.check_whole() == {"lab-web"}


# -- in the foreground ---------------------------------------------------------------------------------------

def until(stream, text):
    seen = ""
    while text not in seen:
        line = stream.readline()
        assert line, seen
        seen += line
    return seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_foreground_prints_and_stops(group, number):
    group.write(THREE)
    command = group.popen("up", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seen = until(command.stdout, "web begins")
    while "db begins" not in seen or "app begins" not in seen:
        seen += command.stdout.readline()
    assert {"web | web begins with web", "app | app begins with app", "db  | db begins with db"} <= set(seen.splitlines())
    command.send_signal(number)
    out, errors = command.communicate(timeout=TIMEOUT)
    assert command.returncode == 0
    assert out.splitlines() == ["web | web ends", "app | app ends", "db  | db ends"]
    assert "lab-web ended (0, exited)" in errors
    assert group.names() == [] and len(group.names("-a")) == 3
    # What was said before is not said again.
    command = group.popen("up", "db", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert command.stdout.readline() == "db | db begins with db\n"
    command.send_signal(number)
    assert command.communicate(timeout=TIMEOUT)[0] == "db | db ends\n"


def test_a_second_signal_ends_at_once(group):
    group.write("domains:\n  deaf: {program: {command: [/bin/sh, -c, \"trap '' TERM; echo deaf; while :; do sleep 0.1; done\"]}, "
                "stop_timeout: 80000}\n")
    command = group.popen("up", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(command.stdout, "deaf")
    command.send_signal(signal.SIGINT)
    until(command.stderr, "stopping all")
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=TIMEOUT)
    assert group.state("lab-deaf")["status"] == "exited"


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(process):
    return pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


def test_a_signal_while_one_is_waited_for(group):
    group.write("domains:\n" + server("use", ", needs: {init: completed}") + server("init"))
    command = group.popen("up", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    group.wait_for_log("lab-init", "init begins")
    wait_until(lambda: children(command))
    command.send_signal(signal.SIGINT)
    errors = command.communicate(timeout=TIMEOUT)[1]
    assert command.returncode == 1 and "lab-use: the wait for init was ended" in errors
    assert group.state("lab-init")["status"] == "exited" and group.state("lab-use")["status"] == "created"
    # One that is killed takes its child with it.
    command = group.popen("up", "-d", stdout=subprocess.DEVNULL)
    group.wait_for_log("lab-init", "init begins", 2)
    wait_until(lambda: children(command))
    child, = children(command)
    command.kill()
    command.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{child}/fd/0"))
    assert group.names() == ["lab-init"]


def test_a_signal_while_another_command_is_waited_for(group):
    group.write("domains:\n" + server("use", ", needs: {init: completed}") + server("init"))
    first = group.popen("up", "-d", stdout=subprocess.DEVNULL)
    group.wait_for_log("lab-init", "init begins")
    second = group.popen("up", stderr=subprocess.PIPE)
    until(second.stderr, "another command changes the group lab")
    second.send_signal(signal.SIGINT)
    assert second.wait(TIMEOUT) == 1
    group.ok("stop", "lab-init")
    assert first.wait(TIMEOUT) == 0
    assert group.names() == ["lab-use"]


def test_the_foreground_ends_with_the_last(group):
    group.write("domains:\n  a: {program: {command: [/bin/sh, -c, 'echo one; printf two; exit ${CODE:-0}']}}\n"
                "  long-name: {program: {command: [/bin/echo, three]}}\n")
    result = group.run("up")
    assert result.returncode == 0
    assert sorted(result.stdout.splitlines()) == ["a         | one", "a         | two", "long-name | three"]
    group.variables["CODE"] = "4"
    result = group.run("up", "a")
    assert result.returncode == 1 and "lab-a ended (4, exited)" in result.stderr


def test_names_have_colours_on_a_terminal(group):
    group.write("domains:\n  a: {program: {command: [/bin/echo, one]}}\n")
    for variables, wanted in (({}, "\033[36ma |\033[0m one"), ({"NO_COLOR": "1"}, "a | one")):
        group.variables = variables
        ours, its = pty.openpty()
        command = group.popen("up", stdout=its, stderr=subprocess.DEVNULL)
        assert command.wait(TIMEOUT) == 0
        os.close(its)
        assert os.read(ours, 1000).decode().splitlines() == [wanted]
        os.close(ours)


# -- several at once, and killed ones ------------------------------------------------------------------------

def test_several_at_once(group):
    group.write(THREE)
    commands = [group.popen("up", "-d", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    outputs = [command.communicate(timeout=TIMEOUT) for command in commands]
    assert [command.returncode for command in commands] == [0] * 4, outputs
    assert sorted(line for out, _ in outputs for line in out.splitlines()) == sorted(
        f"lab-{name} {what}" for what in ("created", "started") for name in ("app", "db", "web"))
    assert group.check_whole() == {"lab-app", "lab-db", "lab-web"}
    commands = [group.popen(word, *more, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                for word, *more in (["down"], ["up", "-d"], ["down"], ["up", "-d"])]
    for command in commands:
        command.communicate(timeout=TIMEOUT)
    assert [command.returncode for command in commands] == [0] * 4
    assert group.names() in ([], ["lab-app", "lab-db", "lab-web"])


def test_killed_commands(group):
    """Whatever moment one is killed at, the next one does the rest."""
    group.write(THREE)
    for i in range(int(os.environ.get("VISOR_FAULTS", "12"))):
        command = group.popen("up", "-d", stdout=subprocess.DEVNULL)
        time.sleep(0.006 * (i % 12))
        command.kill()
        command.wait()
        if i % 3 == 2:
            command = group.popen("down", stdout=subprocess.DEVNULL)
            time.sleep(0.01 * (i % 12))
            command.kill()
            command.wait()
    deadline = time.monotonic() + TIMEOUT
    group.ok("up", "-d")
    while group.names() != ["lab-app", "lab-db", "lab-web"]:  # one was asked to end before, and does so now
        assert time.monotonic() < deadline
        group.ok("up", "-d")
    assert group.check_whole() == {"lab-app", "lab-db", "lab-web"}
    group.ok("down")
    assert group.check_whole() == set()


# -- files ---------------------------------------------------------------------------------------------------

def test_which_file(group):
    result = group.run("up", "-d")
    assert result.returncode == 2
    assert result.stderr == "visor: there is neither visor.yaml nor visor.yml here\n  hint: give the file: -f FILE\n"
    assert "cannot read none.yaml: No such file" in group.run("down", "-f", "none.yaml").stderr
    group.write("name: yml\ndomains:\n" + server("a"), "visor.yml")
    assert json.loads(group.ok("up", "--check"))["name"] == "yml"
    group.write("name: yaml\ndomains:\n" + server("a"))
    assert json.loads(group.ok("up", "--check"))["name"] == "yaml"
    text = (group.directory / "visor.yml").read_text()
    assert json.loads(group.ok("up", "--check", "-f", "-", stdin=text))["name"] == "yml"


def test_paths_begin_at_the_file(group):
    group.write("domains: {a: {program: {command: [./server, a], volumes: ['data:/data']}}, "
                "b: {machine: {disks: [b.img], kernel: ../k}}}")
    result = subprocess.run([VISOR, "up", "--check", "-f", group.directory / "visor.yaml"], cwd="/", text=True,
                            capture_output=True, env=group.environment())
    domains = json.loads(result.stdout)["domains"]
    assert domains["a"]["program"]["workdir"] == str(group.directory)
    assert domains["a"]["program"]["volumes"] == [f"{group.directory}/data:/data"]
    assert domains["b"]["machine"]["disks"] == [f"{group.directory}/b.img"]


def test_variables(group):
    (group.directory / ".env").write_text("TAG=file\nOTHER='a b'\n")
    group.write("domains: {a: {program: {command: [x, $TAG, \"${OTHER}\", \"${NONE:-none}\"]}}}")
    command = json.loads(group.ok("up", "--check"))["domains"]["a"]["program"]["command"]
    assert command == ["x", "file", "a b", "none"]
    group.variables["TAG"] = "shell"
    assert json.loads(group.ok("up", "--check"))["domains"]["a"]["program"]["command"][1] == "shell"
    group.write("domains: {a: {program: {command: [x, $NONE]}}}")
    result = group.run("up", "--check")
    assert result.returncode == 0
    assert result.stderr == "visor: visor.yaml:1:38: the variable NONE is not set: nothing stands in its place\n"
    group.write("domains: {a: {program: {command: [x, \"${NONE:?say it}\"]}}}")
    result = group.run("up", "--check")
    assert result.returncode == 2 and "visor.yaml:1:38: " in result.stderr and "NONE is not set: say it" in result.stderr
    (group.directory / ".env").write_text("TAG\n")
    assert re.search(r"/\.env:1: \"TAG\" is not NAME=VALUE", group.run("up", "--check").stderr)


@pytest.mark.parametrize("text, place, message, hint", [
    ("domains: [", "2:1", "no valid YAML", None),
    ("domains:\n  a:\n    program: {comand: [x]}\n", "3:15", "domains.a.program.comand: there is no such field", "program.command"),
    ("domains:\n  a:\n    machine:\n      cpus: many\n", "4:13", 'domains.a.machine.cpus "many": a number', None),
    ("services:\n  a: {}\n", "1:1", "services", "domains"),
    ("domains:\n  a: {}\n", "2:3", "domains.a: it says nothing of what it is", "machine"),
    ("networks: {user: {}}\ndomains: {a: {program: {command: [x]}}}\n", "1:12", 'networks: "user" is a kind', None),
    ("networks: {lan: {subnets: x}}\ndomains: {a: {program: {command: [x]}}}\n", "1:18", "networks.lan.subnets: there is no", "subnet?"),
    ("networks: {lan: {subnet: 10.0.0.0}}\ndomains: {a: {program: {command: [x]}}}\n", "1:18", "networks.lan.subnet: ", None),
    ("networks: {lan: {internal: perhaps}}\ndomains: {a: {program: {command: [x]}}}\n", "1:18", "true or false is wanted", None),
    ("networks: {lan: {external: true, internal: true}}\ndomains: {a: {program: {command: [x]}}}\n", "1:12", "internal cannot be said", None),
    ("networks: {lan: {}}\ndomains:\n  a: {machine: {kernel: k, nets: [user, lam]}}\n", "3:41",
     'domains.a.machine.nets[1] "lam": the file has no such network', "lan?"),
    ("domains:\n  a: {machine: {kernel: k, nets: [lan]}}\n", "2:35", "the file has no such network", "networks: {lan: {}}"),
    ("name: -lab\ndomains: {a: {program: {command: [x]}}}\n", "1:7", "name:", None),
])
def test_files_that_are_not_valid(group, text, place, message, hint):
    group.write(text)
    for words in (["up", "-d"], ["down"], ["ps", "-f", "visor.yaml"], ["up", "--check"]):
        result = group.run(*words)
        lines = result.stderr.splitlines()
        assert result.returncode == 2 and result.stdout == ""
        assert lines[0].startswith(f"visor: visor.yaml:{place}: ") and message in lines[0]
        assert len(lines) == 1 or lines[1].startswith("  hint: ")
        assert not hint or hint in lines[1]
    assert group.check_whole() == set()


def test_check_can_be_read_again(group):
    group.write(THREE + "  odd: {program: {command: [x, '$$HOME']}, labels: {k: v}}\n")
    document = group.ok("up", "--check")
    assert json.loads(document)["domains"]["odd"]["program"]["command"] == ["x", "$$HOME"]
    assert group.ok("up", "--check", "-f", "-", stdin=document) == document
    assert group.names("-a") == []


def test_the_example_of_the_documentation(group):
    page = (pathlib.Path(__file__).parents[2] / "docs/group.md").read_text()
    group.write(re.search("```yaml\n(.*?)```", page, re.S)[1])
    assert "PASSWORD is not set: set it in .env" in group.run("up", "--check").stderr
    (group.directory / ".env").write_text("PASSWORD=secret\n")
    domains = json.loads(group.ok("up", "--check"))["domains"]
    assert domains["db"]["container"]["env"] == {"LEVEL": "info", "PASSWORD": "secret"}
    assert (domains["vm"]["machine"]["cpus"], domains["web"]["needs"]) == (2, {"db": "running"})


def test_schema(group):
    schema = json.loads(group.ok("up", "--schema"))
    domain = schema["properties"]["domains"]["additionalProperties"]
    assert set(json.loads(group.ok("create", "--schema"))["properties"]) | {"needs", "ready"} == set(domain["properties"])
    machine, container = (domain["properties"][kind]["properties"] for kind in ("machine", "container"))
    assert container["command"]["items"]["type"] == ["string", "number", "boolean"]  # command: [sleep, 100]
    assert (machine["cpus"]["type"], machine["cpus"]["pattern"]) == (["integer", "string"], "\\$")  # cpus: "${CPUS}"
    assert machine["type"]["enum"] == ["pc"]
    assert set(schema["properties"]["networks"]["additionalProperties"]["properties"]) == {"subnet", "internal", "labels", "external"}
    assert domain["additionalProperties"] is False and schema["additionalProperties"] is False
    assert domain["properties"]["needs"]["oneOf"][1]["additionalProperties"]["enum"] == ["running", "completed", "ready"]


def test_words_that_are_too_many(group):
    group.write(THREE)
    assert group.run("down", "web").returncode == 2
    assert group.run("up", "-t", "soon").returncode == 2
    result = group.run("ps", "-f", "nothing")
    assert result.returncode == 2 and "no filter" in result.stderr
