# SPDX-License-Identifier: GPL-2.0-or-later
"""`visor oci checkpoint` and `restore`: how CRIU is called, by a stand-in; and all of it where CRIU works."""
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from oci_runtime import NEEDED, refused, rootless, runtime  # noqa: F401

pytestmark = NEEDED

# Writes down what it is told. A restore gives a process; one whose checkpoint is "bad" fails as CRIU does.
STAND_IN = """#!/bin/sh
printf '%s\\n' "$@" >{top}/words
while [ $# -gt 0 ]; do
    case $1 in
    --images-dir) images=$2 ;;
    --work-dir) work=$2 ;;
    --log-file) log=$2 ;;
    --pidfile) pid_file=$2 ;;
    esac
    shift
done
case $images in
*bad)
    echo '(00.1) Error (criu/util.c:1): exited, status=1' >>$work/$log
    echo '(00.2) Error (criu/net.c:2): net: no way to do it' >>$work/$log
    echo '(00.3) Error (criu/cr.c:3): Dumping FAILED.' >>$work/$log
    exit 1 ;;
esac
if [ "$pid_file" ]; then
    cat /proc/self/cgroup >{top}/cgroup
    setsid sleep 1000 </dev/null >/dev/null 2>&1 &
    echo $! >$pid_file
fi
"""


def has_criu():
    return shutil.which("criu") and subprocess.run(["criu", "check"], capture_output=True, check=False).returncode == 0


needs_criu = pytest.mark.skipif(not has_criu(), reason="this host has no CRIU that serves its kernel (criu check)")


@pytest.fixture
def stand_in(runtime, monkeypatch):
    programs = runtime.top / "programs"
    programs.mkdir()
    (programs / "criu").write_text(STAND_IN.format(top=runtime.top))
    (programs / "criu").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return lambda: (runtime.top / "words").read_text().splitlines()


def start(runtime, *program):
    runtime.create(*(program or ("sleep", "1000")))
    runtime.run("start", runtime.id, check=True)


def pairs(words, name):
    return [words[i + 1] for i, word in enumerate(words) if word == name]


def test_without_criu(runtime, monkeypatch):
    start(runtime)
    monkeypatch.setenv("PATH", str(runtime.top))
    done = runtime.run("checkpoint", "--image-path", runtime.top / "images", runtime.id)
    refused(done, "CRIU, which this host does not have")
    assert "install the package criu" in done.stderr
    assert runtime.state()["status"] == "running" and not (runtime.top / "images").exists()
    refused(runtime.run("restore", "--bundle", runtime.bundle, "other"), "CRIU")
    assert not (runtime.top / "state/other").exists()


def test_how_a_checkpoint_is_asked_for(runtime, stand_in):
    (runtime.top / "data").mkdir()
    runtime.config["mounts"].append({"destination": "/data", "source": str(runtime.top / "data"), "options": ["bind"]})
    start(runtime)
    pid = runtime.state()["pid"]
    images = runtime.top / "images"
    runtime.run("checkpoint", "--image-path", images, "--leave-running", "--tcp-established", "--file-locks",
                "--page-server", "host:10", "--work-path", runtime.top / "work", runtime.id, check=True)
    words = stand_in()
    assert words[0] == "dump" and pairs(words, "--tree") == [str(pid)] and pairs(words, "--images-dir") == [str(images)]
    assert {"--leave-running", "--tcp-established", "--file-locks"} <= set(words) and "--network-lock" not in words
    assert pairs(words, "--address") == ["host"] and pairs(words, "--port") == ["10"]
    external = pairs(words, "--external")
    assert "mnt[/data]:/data" in external and "mnt[/proc/keys]:visor-null" in external
    assert not any(word.startswith("mnt[/sys/firmware]") for word in external)  # that is the container's own
    # of the streams two are the host's, and the null device is the container's own
    assert len([word for word in external if word.startswith("file[")]) == 2
    assert json.loads((images / "descriptors.json").read_text())[0] == ""
    assert runtime.state()["status"] == "running"

    runtime.run("checkpoint", "--image-path", images, "--pre-dump", runtime.id, check=True)
    assert stand_in()[0] == "pre-dump" and "--track-mem" in stand_in()
    runtime.run("checkpoint", "--image-path", images, "--parent-path", "../images", runtime.id, check=True)
    assert pairs(stand_in(), "--prev-images-dir") == ["../images"] and "--leave-running" not in stand_in()
    refused(runtime.run("state", runtime.id), "does not exist")  # as its processes have ended


def test_what_criu_says_is_the_error(runtime, stand_in):
    start(runtime)
    done = runtime.run("checkpoint", "--image-path", runtime.top / "bad", runtime.id)
    refused(done, "CRIU cannot dump the container: net: no way to do it")
    assert str(runtime.top / "bad/dump.log") in done.stderr and runtime.state()["status"] == "running"
    (runtime.top / "bad/descriptors.json").write_text('["", "", ""]')
    refused(runtime.run("restore", "--image-path", runtime.top / "bad", "--bundle", runtime.bundle, "other"), "no way to do it")
    (runtime.top / "bad/descriptors.json").write_text("{}")
    refused(runtime.run("restore", "--image-path", runtime.top / "bad", "--bundle", runtime.bundle, "other"),
            "descriptors.json")
    assert not (runtime.top / "state/other").exists()
    refused(runtime.run("restore", "--image-path", runtime.top / "none", "--bundle", runtime.bundle, "other"),
            str(runtime.top / "none"))


def test_what_cannot_be(runtime, stand_in):
    runtime.create("sleep", "1000")
    refused(runtime.run("checkpoint", runtime.id), "created")
    refused(runtime.run("checkpoint", "nobody"), "does not exist")
    assert runtime.run("checkpoint", "--page-server", "host", runtime.id).returncode == 1
    assert runtime.run("checkpoint").returncode == 2
    assert runtime.run("restore", "--console-socket", "/x", "other").returncode != 0


def test_how_a_restore_is_asked_for(runtime, stand_in):
    runtime.config["process"]["args"] = ["sleep", "1000"]
    runtime.config["linux"]["resources"] = {"memory": {"limit": 64 << 20}}
    runtime.write()
    images = runtime.top / "images"
    images.mkdir()
    (images / "descriptors.json").write_text('["", "pipe:[77]", "file[1:2]"]')
    runtime.run("restore", "--detach", "--image-path", images, "--bundle", runtime.bundle, "--pid-file",
                runtime.top / "pid", runtime.id, check=True)
    words = stand_in()
    assert words[0] == "restore" and pairs(words, "--root") == [str(runtime.rootfs)]
    assert pairs(words, "--inherit-fd") == ["fd[1]:pipe:[77]", "fd[2]:file[1:2]"]
    assert "mnt[visor-null]:/dev/null" in pairs(words, "--external")
    assert runtime.state()["status"] == "running" and runtime.state()["pid"] == int((runtime.top / "pid").read_text())
    assert runtime.id in (runtime.top / "cgroup").read_text() or ":/\n" in (runtime.top / "cgroup").read_text()
    runtime.run("kill", runtime.id, "KILL", check=True)
    runtime.wait_for("stopped")
    runtime.run("delete", runtime.id, check=True)


@needs_criu
def test_comes_back(runtime):
    """Its memory, its files, its limits and namespaces, and the streams of who restores it."""
    runtime.config["root"]["readonly"] = False
    runtime.config["linux"]["resources"] = {"memory": {"limit": 64 << 20}}
    (runtime.top / "data").mkdir()
    runtime.config["mounts"].append({"destination": "/data", "source": str(runtime.top / "data"), "options": ["bind"]})
    runtime.config["process"]["args"] = ["sh", "-c", "i=0; while [ ! -e /data/stop ]; do i=$((i+1)); echo $i; "
                                         "echo $i >/data/count; sleep 0.1; done"]
    runtime.write()
    reader, writer = os.pipe()
    subprocess.run(runtime.command("run", "--detach", "--bundle", runtime.bundle, runtime.id), stdin=subprocess.DEVNULL,
                   stdout=writer, stderr=writer, timeout=60, check=True)
    os.close(writer)
    count = runtime.top / "data/count"

    def wait_beyond(number):
        deadline = time.monotonic() + 30
        while not count.exists() or int(count.read_text() or 0) <= number:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    wait_beyond(3)
    images = runtime.top / "images"
    runtime.run("checkpoint", "--image-path", runtime.top / "first", "--leave-running", runtime.id, check=True)
    wait_beyond(int(count.read_text()))
    runtime.run("checkpoint", "--image-path", images, runtime.id, check=True)
    refused(runtime.run("state", runtime.id), "does not exist")
    before = int(count.read_text())
    time.sleep(0.3)
    assert int(count.read_text()) == before

    os.close(reader)
    with subprocess.Popen(runtime.command("restore", "--image-path", images, "--bundle", runtime.bundle, runtime.id),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as restored:
        wait_beyond(before + 3)
        pid = runtime.state()["pid"]
        assert runtime.state()["status"] == "running"
        limits = list(pathlib.Path("/sys/fs/cgroup").glob(f"**/{runtime.id}/memory.limit_in_bytes")) or \
            list(pathlib.Path("/sys/fs/cgroup").glob(f"**/{runtime.id}/memory.max"))
        assert [int(limit.read_text()) for limit in limits] == [64 << 20]
        done = runtime.run("exec", runtime.id, "sh", "-c", "cat /proc/self/cgroup; hostname")
        assert done.returncode == 0 and runtime.id not in done.stdout, done.stderr
        for namespace in ("pid", "net", "ipc", "uts", "mnt", "cgroup"):
            assert os.readlink(f"/proc/{pid}/ns/{namespace}") != os.readlink(f"/proc/self/ns/{namespace}")
        (runtime.top / "data/stop").touch()
        output = restored.communicate(timeout=60)[0]
    assert restored.returncode == 0 and str(before + 2) in output.split(), output
    assert not any((runtime.top / "state").glob("[!.]*"))
