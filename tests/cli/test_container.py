# SPDX-License-Identifier: GPL-2.0-or-later
"""Containers as domains: made of a root tree or a bundle, with what their configuration says, and the life of
any domain."""
import fcntl
import json
import os
import pathlib
import pty
import pwd
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

import pytest

from conftest import VISOR
from store import TIMEOUT, Store

BUSYBOX = shutil.which("busybox")
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="it takes root, which runs some as an ordinary user"),
    pytest.mark.skipif(not BUSYBOX, reason="it takes busybox-static"),
]


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """A root tree that has but a shell and what belongs to it."""
    root = tmp_path_factory.mktemp("container") / "tree"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "srv"):
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for name in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nweb:x:34:\nextra:x:77:root,web\n")
    return root


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store", None)
    yield store
    store.run("rm", "--force", "--all")
    assert not [p for p in pathlib.Path("/proc/mounts").read_text().splitlines() if str(tmp_path) in p]


def container_process(store, name):
    """Its first process, as the host numbers it: the domain's child that is not its network's."""
    parent = store.state(name)["pid"]
    children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    first, = (int(c) for c in children if pathlib.Path(f"/proc/{c}/comm").read_text() != "visor-net-user\n")
    return first


def lives(process):
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")")[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# -- the thin path -------------------------------------------------------------------------------------------

def test_foreground_runs_and_leaves_nothing(store, root):
    result = store.run("run", root, "/bin/sh", "-c", "echo $$ $(hostname | wc -c); cat; exit 7", stdin="typed\n")
    assert (result.returncode, result.stderr) == (7, "")
    assert result.stdout.split()[0] == "1" and result.stdout.endswith("typed\n")
    assert store.check_whole() == set()


def test_two_dashes_may_stand_between_root_and_program(store, root):
    result = store.run("run", root, "--", "echo", "--", "said")
    assert (result.returncode, result.stdout, result.stderr) == (0, "-- said\n", "")


def test_life_in_the_background(store, root):
    store.ok("run", "-d", "--name", "web", root, "sh", "-c", "echo err >&2; echo out; sleep 1000")
    store.wait_for_log("web", "out")
    logs = store.run("logs", "web")
    assert (logs.stdout, logs.stderr) == ("out\n", "err\n")
    assert "container" in store.ok("ps") and "tree sh" in store.ok("ps")
    process = container_process(store, "web")
    store.ok("pause", "web")
    assert "(paused)" in store.ok("ps")
    store.ok("resume", "web")
    store.ok("kill", "web")
    assert store.state("web")["status"] == "exited" and not lives(process)
    store.ok("start", "web")
    store.ok("start", "web")  # left alone
    assert container_process(store, "web") != process
    store.ok("stop", "-t", "0", "web")
    store.ok("rm", "web")
    assert store.check_whole() == set()


def test_a_killed_paused_one_ends(store, root):
    store.ok("run", "-d", "--name", "web", root, "sleep", "1000")
    process = container_process(store, "web")
    store.ok("pause", "web")
    store.ok("rm", "-f", "web")
    assert not lives(process)
    assert store.check_whole() == set()


def test_stop_sends_the_signal_that_was_chosen(store, root):
    script = "trap 'echo one; exit 5' USR1; echo ready; while :; do sleep 0.05; done"
    store.ok("run", "-d", "--name", "web", "--stop-signal", "USR1", root, "sh", "-c", script)
    store.wait_for_log("web", "ready")
    store.ok("stop", "web")
    state = store.state("web")
    assert (state["exit_status"], "one" in store.ok("logs", "web")) == (5, True)


def test_a_systems_first_process(store, root):
    """systemd cannot be had here; what it needs can be looked at."""
    init = root / "bin/init"
    init.unlink(missing_ok=True)
    init.write_text("#!/bin/sh\ntrap 'exit 4' 37\nmount\nmkdir /sys/fs/cgroup/own && echo made\n"
                    "while :; do sleep 0.05; done\n")
    init.chmod(0o755)
    store.ok("run", "-d", "--name", "sys", root, "/bin/init")
    store.wait_for_log("sys", "made")
    mounts = dict(line.split()[2:5:2] for line in store.ok("logs", "sys").splitlines() if " on " in line)
    assert mounts["/sys/fs/cgroup"] == "cgroup2"
    assert all(mounts[where] == "tmpfs" for where in ("/run", "/run/lock", "/tmp", "/var/log/journal"))
    store.ok("stop", "sys")
    assert store.state("sys")["exit_status"] == 4


def test_restart_policy(store, root):
    store.ok("run", "-d", "--name", "web", "--restart", "on-failure:2", root, "sh", "-c", "echo turn; exit 3")
    store.wait_for_log("web", "turn", 3)
    store.wait_for_status("web", "exited")
    assert store.ok("logs", "web").count("turn") == 3 and store.state("web")["restarts"] == 2


def test_inspected_configuration_makes_the_same(store, root):
    store.ok("create", "--name", "one", "--memory", "64M", "--cpus", "1.5", "--env", "A=b c", "--user", "web",
             "--volume", "/usr:/mnt:ro", "--ulimit", "nofile=99", root, "env")
    config = store.ok("inspect", "-f", "config", "one")
    store.run("create", "--name", "two", "--from", "-", stdin=config)
    assert json.loads(store.ok("inspect", "-f", "config", "two")) == json.loads(config)
    assert json.loads(config)["container"]["memory"] == "64M"


# -- what the configuration says -----------------------------------------------------------------------------

def inside(store, root, *words, options=()):
    result = store.run("run", *options, root, "sh", "-c", *words)
    assert result.returncode == 0, result
    return result.stdout


def test_environment_directory_and_user(store, root):
    said = inside(store, root, "id -u; id -g; id -G; pwd; echo $HOME; echo $A; echo $PATH; echo $container",
                  options=["--user", "web", "--workdir", "/srv", "--env", "A=b", "--env", "PATH=/bin"]).split()
    assert said == ["33", "34", "34", "77", "/srv", "/srv", "b", "/bin", "visor"]
    assert inside(store, root, "id -u; id -g", options=["--user", "5:6"]).split() == ["5", "6"]
    for user, what in (("nobody", "user"), ("web:nogroup", "group")):
        result = store.run("run", "--user", user, root, "id")
        assert result.returncode == 126 and f'there is no {what} "{user.split(":")[-1]}"' in result.stderr
    assert store.check_whole() == set()


def test_passwd_is_not_followed_out_of_the_root(store, root, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(root, other, symlinks=True)
    (tmp_path / "passwd").write_text("evil:x:44:44::/:\n")
    (other / "etc/passwd").unlink()
    (other / "etc/passwd").symlink_to("../../passwd")
    result = store.run("run", "--user", "evil", other, "id")
    assert result.returncode == 126 and 'no user "evil"' in result.stderr


def test_volumes_tmpfs_and_read_only_root(store, root, tmp_path):
    (tmp_path / "file").write_text("there")
    said = inside(store, root, "cat /mnt/file; touch /mnt/x /x /tmp/x; ls /tmp; df -k /tmp | tail -1; touch /rw/y",
                  options=["--volume", f"{tmp_path}:/mnt:ro", "--volume", f"{tmp_path}:/rw", "--tmpfs",
                           "/tmp:size=1m", "--read-only"])
    assert said.startswith("therex") and " 1024 " in said
    assert (tmp_path / "y").exists() and not (tmp_path / "x").exists() and not (root / "x").exists()
    result = store.run("run", "--volume", "/nowhere:/mnt", root, "true")
    assert result.returncode == 126 and "/nowhere" in result.stderr


def test_rights(store, root):
    script = "grep Cap /proc/self/status; grep Seccomp: /proc/self/status; grep NoNewPrivs /proc/self/status"

    def facts(*options):
        return dict(line.split() for line in inside(store, root, script, options=options).splitlines())

    usual = facts()
    assert usual["CapEff:"] == usual["CapBnd:"] == "00000000a80425fb" and usual["Seccomp:"] == "2"
    none = facts("--cap-drop", "ALL", "--cap-add", "net_admin", "--seccomp", "unconfined")
    assert int(none["CapEff:"], 16) == 1 << 12 and none["Seccomp:"] == "0"
    full = facts("--privileged")
    assert int(full["CapEff:"], 16) == int(full["CapBnd:"], 16) >= (1 << 40) - 1 and full["Seccomp:"] == "0"


def test_devices_sysctls_limits(store, root):
    said = inside(store, root, "ls -l /dev/kmsg2 | cut -c1-10; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ulimit -n",
                  options=["--device", "/dev/null:/dev/kmsg2:r", "--sysctl", "net.ipv4.ip_unprivileged_port_start=7",
                           "--ulimit", "nofile=123:456"])
    assert said.split() == ["crw-rw-rw-", "7", "123"]


def test_processes_and_memory_are_limited(store, root):
    result = store.run("run", "--pids-limit", "8", root, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 9 & done")
    assert "can't fork" in result.stderr
    result = store.run("run", "--memory", "16M", "--memory-swap", "16M", root, "sh", "-c",
                       "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done")
    assert result.returncode in (137, 2), result


def test_network(store, root):
    assert inside(store, root, "ls /sys/class/net", options=["--net", "none"]).split() == ["lo"]
    assert set(os.listdir("/sys/class/net")) == set(inside(store, root, "ls /sys/class/net", options=["--net", "host"]).split())


def test_files_of_one_that_does_not_run(store, root, tmp_path):
    """Of its tree, from which no link leads away; created, and ended."""
    tree = tmp_path / "own"
    shutil.copytree(root, tree, symlinks=True)
    (tree / "srv/away").symlink_to("/")
    (tree / "srv/up").symlink_to("../../../..")
    (tmp_path / "file").write_text("content\n")
    assert store.run("create", "--name", "rest", "--volume", f"{tmp_path}:/tmp", tree, "cat", "/srv/new").returncode == 0
    for status in ("created", "exited"):
        assert store.state("rest")["status"] == status
        for where in ("/srv/new", "/srv/away/srv/new", "/srv/up/srv/new"):
            done = store.run("cp", tmp_path / "file", f"rest:{where}")
            assert done.returncode == 0 and not done.stderr, done.stderr
            assert (tree / "srv/new").read_text() == "content\n"
            if where != "/srv/new":
                (tree / "srv/new").unlink()
                assert store.run("cp", tmp_path / "file", "rest:/srv/new").returncode == 0
        assert store.run("cp", "rest:/srv/away/etc/group", tmp_path / "group").returncode == 0
        assert (tmp_path / "group").read_text() == (root / "etc/group").read_text()
        assert store.run("cp", "rest:/srv", "-").stdout
        done = store.run("cp", "rest:/nowhere", tmp_path)
        assert done.returncode == 1 and "nowhere" in done.stderr
        assert store.run("start", "--attach", "rest").returncode == 0
    assert not (tmp_path / "new").exists()
    assert store.run("logs", "rest").stdout == "content\ncontent\n"
    assert store.run("create", "--name", "fixed", "--read-only", tree).returncode == 0
    done = store.run("cp", tmp_path / "file", "fixed:/srv/other")
    assert done.returncode == 1 and "read-only" in done.stderr and not (tree / "srv/other").exists()
    assert store.run("cp", "fixed:/srv/new", tmp_path / "from").returncode == 0
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    subprocess.run([VISOR, "oci", "spec", "--bundle", bundle], check=True)
    shutil.copytree(root, bundle / "rootfs", symlinks=True)
    assert store.run("create", "--name", "bundled", bundle).returncode == 0
    assert store.run("cp", tmp_path / "file", "bundled:/etc/made").returncode == 0
    assert (bundle / "rootfs/etc/made").read_text() == "content\n"


def share(pid):
    """KiB of memory that are the process's: those of pages that several have are divided among them (PSS)."""
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def test_memory_beside_a_container(store, root):
    """Of the domain's process and the user network's, when nothing has happened for a while: under a megabyte."""
    if b"libasan" in pathlib.Path(VISOR).read_bytes():
        pytest.skip("sanitizers take memory of their own")
    assert store.run("run", "--detach", "--name", "small", root, "sleep", "1000").returncode == 0
    parent = store.state("small")["pid"]
    children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    network, = (int(c) for c in children if pathlib.Path(f"/proc/{c}/comm").read_text() == "visor-net-user\n")
    deadline = time.monotonic() + TIMEOUT
    while share(parent) + share(network) >= 1024:
        assert time.monotonic() < deadline, (share(parent), share(network))
        time.sleep(0.1)
    # And it works as before.
    assert store.run("exec", "small", "echo", "there").stdout == "there\n"


def test_bundle(store, root, tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "rootfs").symlink_to(root)
    subprocess.run([VISOR, "oci", "spec", "--bundle", bundle], check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"].update(args=["sh", "-c", "echo $A; hostname; id -u"], terminal=False, env=["A=1", "PATH=/bin"])
    (bundle / "config.json").write_text(json.dumps(config))
    assert store.ok("run", bundle).split() == ["1", "visor", "0"]
    assert store.ok("run", "--env", "A=2", "--hostname", "h", "--user", "web", bundle).split() == ["2", "h", "33"]
    assert store.ok("run", bundle, "echo", "else") == "else\n"
    (bundle / "config.json").write_text("{")
    result = store.run("run", bundle)
    assert result.returncode == 126 and "config.json" in result.stderr and len(result.stderr.splitlines()) == 1


# -- terminals -----------------------------------------------------------------------------------------------

def talk(master, text, until):
    os.write(master, text)
    said, deadline = b"", time.monotonic() + TIMEOUT
    while until not in said:
        assert time.monotonic() < deadline, said
        if select.select([master], [], [], 1)[0]:
            said += os.read(master, 4096)
    return said


def test_on_a_terminal_it_has_one_of_its_own(store, root):
    process, master = pty.fork()
    if process == 0:
        os.execve(VISOR, ["visor", "run", str(root), "sh"], store.environment())
    talk(master, b"", b"# ")
    assert b"/dev/pts/0" in talk(master, b"tty\n", b"# ")
    os.write(master, b"sleep 1000\n")
    time.sleep(0.2)
    talk(master, b"\x03", b"# ")  # Ctrl-C is the container's
    os.write(master, b"exit 9\n")
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
    os.close(master)
    assert store.check_whole() == set()


def test_terminal_in_the_background(store, root):
    store.ok("run", "-d", "-t", "--name", "web", root, "sh")
    store.send("web", "echo $((40 + 2)) $(tty)\n")
    store.wait_for_log("web", "42 /dev/pts/0")


def test_attached_terminal_has_the_size_of_the_window(store, root):
    store.ok("run", "-d", "-t", "--name", "web", root, "sh")
    process, master = pty.fork()
    if process == 0:
        os.execve(VISOR, ["visor", "attach", "web"], store.environment())
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    talk(master, b"\n", b"# ")
    deadline = time.monotonic() + TIMEOUT
    while b"33 77" not in talk(master, b"stty size; echo do''ne\n", b"done"):
        assert time.monotonic() < deadline
    os.write(master, b"exit 6\n")
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 6
    os.close(master)


# -- faults --------------------------------------------------------------------------------------------------

def test_it_ends_with_the_process_of_its_domain(store, root):
    store.ok("run", "-d", "--name", "web", root, "sh", "-c", "sleep 1000 & sleep 1000")
    process = container_process(store, "web")
    os.kill(store.state("web")["pid"], signal.SIGKILL)
    deadline = time.monotonic() + TIMEOUT
    while lives(process):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert store.state("web")["reason"] == "killed"
    store.check_whole()
    assert not [p for p in pathlib.Path("/sys/fs/cgroup").glob("**/*" + store.ok("ps", "-aq", "--no-trunc").strip() + "*")]
    store.ok("start", "web")
    assert store.state("web")["status"] == "running"


@pytest.mark.parametrize("words, said", [
    (["/nowhere/at/all/"], "/nowhere/at/all/"),
    (["{root}", "nothing-like-this"], 'exec: "nothing-like-this"'),
    (["--cap-add", "CAP_NONE", "{root}"], "there is no such capability"),
    (["--cpus", "many", "{root}"], '--cpus "many"'),
    (["--net", "somewhere", "{root}"], 'no network "somewhere"'),
    (["--workdir", "srv", "{root}"], "no absolute path"),
    (["--kernel", "/boot/x", "{root}"], '--kernel is not for a domain of kind "container"'),
    (["--root", "/", "--hostname", "h", "{root}"], "--root is for programs, and --hostname for containers"),
    (["--stop-signal", "LOUD", "{root}"], "there is no such signal"),
    (["--device", "/etc/passwd", "{root}"], "is no device"),
    (["--ulimit", "nofile=lots", "{root}"], "is not NAME=SOFT[:HARD]"),
    (["--sysctl", "kernel.panic=1", "{root}"], "kernel.panic"),
])
def test_bad_input_is_one_clear_line(store, root, words, said):
    result = store.run("run", *(word.format(root=root) for word in words))
    assert result.returncode in (2, 126, 127) and said in result.stderr, result
    assert len(re.sub("\n  hint: .*", "", result.stderr).splitlines()) == 1
    assert store.check_whole() == set()


def test_removed_root(store, root, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(root, other, symlinks=True)
    store.ok("create", "--name", "web", other, "true")
    shutil.rmtree(other)
    result = store.run("start", "web")
    assert result.returncode == 1 and str(other) in result.stderr and len(result.stderr.splitlines()) == 1
    assert store.state("web")["status"] == "created"


# -- an ordinary user ----------------------------------------------------------------------------------------

def test_rootless_life(root):
    user = pwd.getpwnam("nobody").pw_uid
    if subprocess.run(["unshare", "--user", "true"], user=user, group=user, extra_groups=[]).returncode:
        pytest.skip("this host forbids user namespaces to ordinary users")
    top = pathlib.Path(tempfile.mkdtemp(prefix="visor-container-"))
    shutil.copytree(root, top / "tree", symlinks=True)
    subprocess.run(["chown", "-R", str(user), top], check=True)

    def run(*words):
        environment = {**os.environ, "VISOR_STORE": str(top / "store"), "HOME": str(top)}
        return subprocess.run([VISOR, *map(str, words)], user=user, group=user, extra_groups=[], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)

    done = run("run", top / "tree", "sh", "-c", "id -u; cat /proc/self/uid_map; touch /made; ls /sys/class/net")
    assert done.stdout.split() == ["0", "0", str(user), "1", "lo"], done
    assert (top / "tree/made").stat().st_uid == user
    assert run("run", "-d", "--name", "web", top / "tree", "sleep", "1000").returncode == 0
    process = json.loads(run("inspect", "web").stdout)[0]["state"]["pid"]
    assert run("stop", "-t", "0", "web").returncode == 0 and not lives(process)
    assert run("rm", "web").returncode == 0
    refused = run("run", "--memory", "64M", top / "tree", "true")
    assert refused.returncode == 126 and "cgroup" in refused.stderr and "hint: " in refused.stderr
    assert run("ps", "-aq").stdout == ""
    shutil.rmtree(top)
