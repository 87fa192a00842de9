# SPDX-License-Identifier: GPL-2.0-or-later
"""`visor oci`: containers of bundles, as an OCI runtime's callers and people at a terminal use it."""
import array
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import VISOR
from oci_runtime import NEEDED, refused, rootless, runtime  # noqa: F401

pytestmark = NEEDED


def test_life_cycle(runtime):
    runtime.create("sleep", "1000", options=["--pid-file", runtime.top / "pid"])
    state = runtime.state()
    assert state["status"] == "created" and state["id"] == runtime.id
    assert state["bundle"] == str(runtime.bundle) and state["ociVersion"].startswith("1.")
    assert int((runtime.top / "pid").read_text()) == state["pid"]
    assert pathlib.Path(f"/proc/{state['pid']}").exists()
    refused(runtime.run("delete", runtime.id), runtime.id, "created")

    runtime.run("start", runtime.id, check=True)
    assert runtime.state()["status"] == "running"
    assert pathlib.Path(f"/proc/{state['pid']}/cmdline").read_bytes() == b"sleep\x001000\x00"
    refused(runtime.run("start", runtime.id), runtime.id, "running")
    refused(runtime.run("delete", runtime.id), runtime.id, "running")

    runtime.run("kill", runtime.id, "KILL", check=True)
    runtime.wait_for("stopped")
    refused(runtime.run("kill", runtime.id, "KILL"), "not running")
    refused(runtime.run("start", runtime.id), "stopped")
    runtime.run("delete", runtime.id, check=True)
    refused(runtime.run("state", runtime.id), "does not exist")
    assert not (runtime.top / "state" / runtime.id).exists()


def test_run_passes_streams_and_status(runtime):
    done = runtime.container("sh", "-c", "cat; echo err >&2; exit 7", stdin=None, input="hello")
    assert (done.returncode, done.stdout, done.stderr) == (7, "hello", "err\n")
    assert runtime.container("sh", "-c", "kill -9 $$").returncode in (0, 137)  # init cannot kill itself
    assert not any((runtime.top / "state").iterdir())


def test_ids(runtime):
    runtime.create("true")
    runtime.write()
    refused(runtime.run("create", "--bundle", runtime.bundle, runtime.id), runtime.id, "already exists")
    assert runtime.state()["status"] == "created"
    for bad in ("", "..", "a/b", "a b", "x" * 300):
        refused(runtime.run("create", "--bundle", runtime.bundle, bad), "not the name of a container")
    refused(runtime.run("state", "nobody"), "nobody", "does not exist")
    assert runtime.run("delete", "--force", "nobody").returncode == 0


def test_bad_bundles_leave_nothing(runtime):
    rows = [
        (lambda c: c["process"].pop("args"), "process.args: missing"),
        (lambda c: c["process"].update(cwd="relative"), "process.cwd"),
        (lambda c: c["process"].update(cwd="/nowhere"), "process.cwd: cannot change to /nowhere"),
        (lambda c: c["process"].update(args=["nothing-there"]), "executable file not found in $PATH"),
        (lambda c: c["process"].update(args=["/bin"]), 'exec: "/bin"'),
        (lambda c: c["root"].update(path="elsewhere"), "root.path"),
        (lambda c: c["mounts"].append({"destination": "/a", "type": "nofs", "source": "x"}), "nofs"),
        (lambda c: c["mounts"].append({"destination": "/a", "source": "/not/there", "options": ["bind"]}), "/not/there"),
        (lambda c: c["mounts"].append({"destination": "/a", "type": "tmpfs", "options": ["bogus=1"]}), "bogus=1"),
        (lambda c: c["linux"]["namespaces"].append({"type": "ipc", "path": "/x"}), "ipc is there twice"),
        (lambda c: c["linux"]["namespaces"].__setitem__(1, {"type": "network", "path": "/proc/self/ns/pid"}),
         "not a network namespace"),
        (lambda c: c["linux"].update(sysctl={"kernel.panic": "1"}), "kernel.panic"),
        (lambda c: c["process"].update(apparmorProfile="none-such"), "process.apparmorProfile"),
        (lambda c: c.update(hooks={"createRuntime": [{"path": "/bin/false"}]}), "hooks.createRuntime[0]: /bin/false"),
    ]
    (runtime.bundle / "config.json").unlink()
    refused(runtime.run("run", "--bundle", runtime.bundle, runtime.id), "config.json")
    for change, message in rows:
        original = json.loads(json.dumps(runtime.config))
        runtime.config["process"]["args"] = ["true"]
        change(runtime.config)
        runtime.write()
        refused(runtime.run("run", "--bundle", runtime.bundle, runtime.id), message)
        assert not any((runtime.top / "state").glob("*")), message
        runtime.config = original


def test_log_for_callers(runtime):
    log = runtime.top / "log"
    done = runtime.run("start", "nobody", options=["--log", log, "--log-format", "json"])
    assert done.returncode == 1
    line = json.loads(log.read_text())
    assert line["level"] == "error" and "nobody" in line["msg"] and done.stderr.startswith(f"visor: {line['msg']}")


def test_what_the_program_finds(runtime):
    process = runtime.config["process"]
    process["env"].append("FOO=bar")
    process["user"] = {"uid": 12, "gid": 34, "additionalGids": [56, 78], "umask": 0o27}
    process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]
    process["oomScoreAdj"] = 123
    runtime.config["hostname"] = "inside"
    runtime.config["domainname"] = "example"
    runtime.config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9999"}
    (runtime.rootfs / "work").mkdir()
    process["cwd"] = "/work"
    output = runtime.shell("id; pwd; echo $FOO; hostname; cat /proc/sys/kernel/domainname; umask; ulimit -n; ulimit -Hn; "
                           "cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; echo $$")
    assert output.splitlines() == ["uid=12 gid=34 groups=56,78", "/work", "bar", "inside", "example", "0027", "77", "88",
                                   "123", "1", "9999", "1"]


def capabilities(output):
    return {line.split(":")[0]: int(line.split()[1], 16) for line in output.splitlines() if line.startswith("Cap")}


def test_capabilities(runtime):
    kill, chown = 1 << 5, 1 << 0
    process = runtime.config["process"]
    process["user"] = {"uid": 1, "gid": 1}
    process["capabilities"] = {"bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL", "CAP_CHOWN"],
                               "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]}
    # what execve() leaves of them: only ambient ones pass to a program that has none of its own
    found = capabilities(runtime.shell("cat /proc/self/status"))
    assert found == {"CapInh": kill, "CapPrm": kill, "CapEff": kill, "CapBnd": kill | chown, "CapAmb": kill}
    process["user"] = {"uid": 0, "gid": 0}
    del process["capabilities"]
    assert set(capabilities(runtime.shell("cat /proc/self/status")).values()) == {0}
    assert "NoNewPrivs:\t1" in runtime.shell("cat /proc/self/status")


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_seccomp(runtime, no_new_privileges):
    runtime.config["process"]["noNewPrivileges"] = no_new_privileges
    runtime.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["getcwd", "sethostname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]}
    output = runtime.shell("cat /proc/self/status; pwd -P 2>&1 || true")
    assert "Seccomp:\t2" in output and "Seccomp_filters:\t1" in output
    runtime.create("sleep", "1000")
    runtime.run("start", runtime.id, check=True)
    assert "Seccomp:\t2" in runtime.run("exec", runtime.id, "cat", "/proc/self/status", check=True).stdout
    runtime.config["linux"]["seccomp"]["syscalls"][0]["action"] = "SCMP_ACT_DANCE"
    runtime.write()
    refused(runtime.run("create", "--bundle", runtime.bundle, "other"), "linux.seccomp.syscalls[0].action")


def test_limits(runtime):
    runtime.config["linux"]["resources"]["pids"] = {"limit": 7}
    runtime.config["linux"]["resources"]["memory"] = {"limit": 64 << 20}
    if not any(pathlib.Path(f"/sys/fs/cgroup{where}").exists() for where in ("/pids", "/cgroup.controllers")):
        pytest.skip("this host has no cgroup controllers")
    done = runtime.container("sh", "-c", "for f in pids/pids.max pids.max memory/memory.limit_in_bytes memory.max; do cat "
                             "/sys/fs/cgroup/$f 2>/dev/null; done; echo x >/dev/null && echo written; "
                             "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done")
    assert done.stdout.split() == ["7", str(64 << 20), "written"] and "can't fork" in done.stderr
    assert not list(pathlib.Path("/sys/fs/cgroup").rglob(runtime.id))


def test_what_is_counted_for_who_names_the_cgroup(runtime):
    """podman and containerd look there for memory, processes and processor time, with no limits as well."""
    runtime.config["linux"]["cgroupsPath"] = f"/visor-test/{runtime.id}"
    runtime.create("sleep", "1000")
    found = [line.split(":")[1:] for line in
             pathlib.Path(f"/proc/{runtime.state()['pid']}/cgroup").read_text().splitlines()]
    for names, path in found:
        if set(names.split(",")) & {"", "memory", "pids", "cpuacct", "blkio"}:
            assert path == f"/visor-test/{runtime.id}", names
    runtime.run("delete", "--force", runtime.id, check=True)


def test_update(runtime):
    runtime.config["linux"]["resources"]["pids"] = {"limit": 50}
    runtime.create("sleep", "1000")
    runtime.run("start", runtime.id, check=True)

    def limit():
        command = "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max"
        return runtime.run("exec", runtime.id, "sh", "-c", command, check=True).stdout.strip()

    assert limit() == "50"
    runtime.run("update", "--pids-limit", "60", runtime.id, check=True)
    assert limit() == "60"
    runtime.run("update", "--resources", "-", runtime.id, check=True, stdin=None, input='{"pids": {"limit": -1}}')
    assert limit() == "max"
    refused(runtime.run("update", "--resources", "-", runtime.id, stdin=None, input='{"pids": {"limit": "x"}}'),
            "linux.resources.pids.limit")
    assert runtime.run("update", "--memory", "much", runtime.id).returncode == 2
    runtime.run("kill", runtime.id, "KILL", check=True)
    runtime.wait_for("stopped")
    refused(runtime.run("update", "--pids-limit", "60", runtime.id), "stopped")


def test_namespaces_are_own_or_joined(runtime):
    kinds = ("pid", "net", "ipc", "uts", "mnt", "cgroup")
    own = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in (*kinds, "user", "time")}
    lines = runtime.shell("for n in pid net ipc uts mnt cgroup user time; do readlink /proc/self/ns/$n; done").split()
    assert all(line != own[kind] for line, kind in zip(lines, kinds))
    assert lines[6] == own["user"] and lines[7] == own["time"]

    with subprocess.Popen(["unshare", "--net", "--ipc", "--fork", "--pid", "sleep", "1000"]) as other:
        try:
            child = None
            while not child:
                child = pathlib.Path(f"/proc/{other.pid}/task/{other.pid}/children").read_text().strip()
            joined = {"network": f"/proc/{child}/ns/net", "ipc": f"/proc/{child}/ns/ipc", "pid": f"/proc/{child}/ns/pid"}
            for namespace in runtime.config["linux"]["namespaces"]:
                if namespace["type"] in joined:
                    namespace["path"] = joined[namespace["type"]]
            expected = [os.readlink(path) for path in joined.values()]
            lines = runtime.shell("for n in net ipc pid; do readlink /proc/self/ns/$n; done").split()
            assert lines == expected
        finally:
            subprocess.run(["kill", "-9", child, str(other.pid)], check=False)


def test_time_namespace(runtime):
    runtime.config["linux"]["namespaces"].append({"type": "time"})
    runtime.config["linux"]["timeOffsets"] = {"boottime": {"secs": 1000000}}
    up = float(runtime.shell("cat /proc/uptime").split()[0])
    assert up > 1000000


def test_loopback_is_up(runtime):
    assert "00000000000000000000000000000001" in runtime.shell("cat /proc/net/if_inet6")


def test_mounts(runtime):
    source = runtime.top / "source"
    (source / "below").mkdir(parents=True)
    (source / "file").write_text("content")
    subprocess.run(["mount", "-t", "tmpfs", "none", source / "below"], check=True)
    try:
        runtime.config["root"]["readonly"] = False
        runtime.config["mounts"] += [
            {"destination": "/new/a", "source": str(source), "options": ["rbind", "rro"]},
            {"destination": "/new/b", "source": str(source), "options": ["bind", "nosuid", "noexec"]},
            {"destination": "/new/file", "source": str(source / "file"), "options": ["bind", "ro"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "noatime", "mode=1700"]},
        ]
        mounts = {line.split()[1]: line.split()[2:4] for line in runtime.shell("cat /proc/mounts").splitlines()}
        assert "ro" in mounts["/new/a"][1].split(",") and "ro" in mounts["/new/a/below"][1].split(",")
        assert {"rw", "nosuid", "noexec"} <= set(mounts["/new/b"][1].split(","))
        assert "/new/b/below" not in mounts
        assert "ro" in mounts["/new/file"][1].split(",")
        assert mounts["/tmp"][0] == "tmpfs" and {"noatime", "size=1024k", "mode=1700"} <= set(mounts["/tmp"][1].split(","))
        assert runtime.shell("cat /new/file; stat -c %a /tmp") == "content1700\n"
    finally:
        subprocess.run(["umount", source / "below"], check=True)


def test_tmpfs_takes_what_was_there(runtime):
    (runtime.rootfs / "etc/deep").mkdir(parents=True)
    (runtime.rootfs / "etc/deep/file").write_text("old")
    (runtime.rootfs / "etc/link").symlink_to("deep/file")
    os.chmod(runtime.rootfs / "etc", 0o750)
    os.chown(runtime.rootfs / "etc/deep/file", 5, 6)
    os.chmod(runtime.rootfs / "etc/deep/file", 0o666)
    runtime.config["mounts"].append({"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]})
    assert runtime.shell("cat /etc/link; stat -c ' %u %g' /etc/deep/file; stat -c %a /etc; echo new >/etc/link"
                         ).splitlines() == ["old 5 6", "750"]
    assert (runtime.rootfs / "etc/deep/file").read_text() == "old"


def test_idmapped_mount(runtime):
    source = runtime.top / "source"
    source.mkdir()
    (source / "file").touch()
    os.chown(source / "file", 7, 8)
    maps = [{"containerID": 7, "hostID": 1007, "size": 10}]
    runtime.config["mounts"].append({"destination": "/mapped", "source": str(source), "options": ["bind", "idmap"],
                                     "uidMappings": maps, "gidMappings": maps})
    runtime.config["root"]["readonly"] = False
    done = runtime.container("stat", "-c", "%u %g", "/mapped/file")
    if "cannot do that" in done.stderr:
        pytest.skip("the file system of the test's directory cannot map ids")
    assert done.stdout == "1007 1008\n"


def test_devices(runtime):
    runtime.config["linux"]["devices"] = [
        {"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 3, "gid": 4},
        {"type": "p", "path": "/dev/sub/pipe"}]
    output = runtime.shell("for d in null zero full random urandom tty fuse sub/pipe; do stat -c '%n %F %t %T %a %u %g' "
                           "/dev/$d; done; for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done; echo x >/dev/null")
    lines = output.splitlines()
    assert lines[0] == "/dev/null character special file 1 3 666 0 0"
    assert lines[5] == "/dev/tty character special file 5 0 666 0 0"
    assert lines[6] == "/dev/fuse character special file a e5 640 3 4"
    assert lines[7].startswith("/dev/sub/pipe fifo")
    assert lines[8:] == ["/proc/self/fd", *(f"/proc/self/fd/{i}" for i in range(3)), "pts/ptmx"]


def test_hidden_and_protected(runtime):
    (runtime.rootfs / "secret").write_text("secret")
    (runtime.rootfs / "private").mkdir()
    (runtime.rootfs / "private/file").write_text("secret")
    (runtime.rootfs / "fixed").mkdir()
    runtime.config["root"]["readonly"] = False
    runtime.config["linux"]["maskedPaths"] += ["/secret", "/private", "/not/there"]
    runtime.config["linux"]["readonlyPaths"] += ["/fixed", "/not/there"]
    output = runtime.shell("cat /secret; ls -A /private; touch /private/x 2>&1; touch /fixed/x 2>&1; touch /ok; "
                           "echo 1 2>&1 >/proc/sys/net/ipv4/ip_forward; echo end")
    assert "secret" not in output.replace("/secret", "") and output.count("Read-only file system") == 3 and output.endswith("end\n")
    runtime.config["root"]["readonly"] = True
    assert "Read-only" in runtime.shell("touch /more 2>&1 || true")


def test_symbolic_links_do_not_lead_out(runtime):
    """Destinations, masked paths and devices are what the container would see, whatever the image's links say."""
    outside = runtime.top / "outside"
    outside.mkdir()
    (outside / "file").write_text("host")
    (runtime.rootfs / "up").symlink_to("../" * 20 + str(outside)[1:])
    (runtime.rootfs / "absolute").symlink_to(outside)
    runtime.config["root"]["readonly"] = False
    runtime.config["mounts"] += [
        {"destination": "/up/mount", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/absolute/mount", "type": "tmpfs", "source": "tmpfs"},
    ]
    runtime.config["linux"]["maskedPaths"] += ["/up/file", "/absolute/file"]
    runtime.config["linux"]["devices"] = [{"type": "c", "path": "/absolute/null", "major": 1, "minor": 3}]
    runtime.shell("true")
    assert os.listdir(outside) == ["file"]
    assert (runtime.rootfs / str(outside)[1:] / "mount").is_dir()


def test_link_of_proc_is_refused_as_destination(runtime):
    (runtime.rootfs / "trap").symlink_to("/proc/self/root/etc")
    runtime.config["mounts"].append({"destination": "/trap/x", "type": "tmpfs", "source": "tmpfs"})
    refused(runtime.container("true"), "/trap/x")


def test_nothing_of_the_host_is_open(runtime):
    """No descriptor, and no way out by the working directory (CVE-2024-21626)."""
    directory = os.open("/", os.O_RDONLY)
    output = runtime.shell("ls /proc/self/fd; ls -l /proc/1/fd", pass_fds=[directory])
    os.close(directory)
    assert output.split()[:4] == ["0", "1", "2", "3"]  # 3: the directory that ls reads
    assert "->" in output and str(runtime.top / "state") not in output
    for number in range(3, 20):
        runtime.config["process"]["cwd"] = f"/proc/self/fd/{number}"
        refused(runtime.container("true"), "process.cwd")


def test_null_device_is_the_containers_own(runtime):
    runtime.config["process"]["args"] = ["sleep", "1000"]
    runtime.write()
    subprocess.run(runtime.command("run", "--detach", "--bundle", runtime.bundle, runtime.id), stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=True)
    pid = runtime.state()["pid"]
    inside = os.stat(f"/proc/{pid}/root/dev/null")
    for stream in range(3):
        status = os.stat(f"/proc/{pid}/fd/{stream}")
        assert (status.st_dev, status.st_ino) == (inside.st_dev, inside.st_ino) != (os.stat("/dev/null").st_dev, inside.st_ino)


def test_visors_own_file_cannot_be_written(runtime):
    """CVE-2019-5736: what waits as visor where others may look at it does not lead to the host's file."""
    before = VISOR.stat()
    runtime.config["hooks"] = {"startContainer": [{"path": "/bin/true"}]}
    runtime.create("sleep", "1000")
    exe = f"/proc/{runtime.state()['pid']}/exe"
    with pytest.raises(OSError):
        os.close(os.open(exe, os.O_WRONLY))
    with open(exe, "rb") as image:
        assert image.read(4) == b"\x7fELF" and os.fstat(image.fileno()).st_dev != before.st_dev
    descriptor = os.open(exe, os.O_PATH)
    runtime.run("delete", "--force", runtime.id, check=True)
    with pytest.raises(OSError):  # nor when nobody executes it any more
        os.close(os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY))
    os.close(descriptor)


@pytest.mark.parametrize("namespaces", ["pid", ""])
def test_visor_cannot_be_called_from_inside(runtime, namespaces):
    """CVE-2019-5736: a program or interpreter /proc/self/exe is not visor on the host's disk."""
    (runtime.rootfs / "script").write_text("#!/proc/self/exe\n")
    os.chmod(runtime.rootfs / "script", 0o755)
    before = VISOR.stat()
    if not namespaces:  # then visor protects itself in another way
        runtime.config["linux"]["namespaces"] = [n for n in runtime.config["linux"]["namespaces"] if n["type"] != "pid"]
    for program in ("/script", "/proc/self/exe"):
        done = runtime.container(program)
        assert done.returncode != 0
        if namespaces:
            assert "command" not in done.stderr + done.stdout  # as visor says where it is called without one
    assert (VISOR.stat().st_mtime_ns, VISOR.stat().st_size) == (before.st_mtime_ns, before.st_size)


def test_error_of_execve_reaches_the_start(runtime):
    (runtime.rootfs / "damaged").write_bytes(b"\x7fELF and nothing more")
    os.chmod(runtime.rootfs / "damaged", 0o755)
    refused(runtime.container("/damaged"), 'exec: "/damaged": Exec format error')
    runtime.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}  # then visor executes it itself
    refused(runtime.container("/damaged"), 'exec: "/damaged": Exec format error')
    del runtime.config["linux"]["seccomp"]
    runtime.create("/damaged")
    refused(runtime.run("start", runtime.id), 'exec: "/damaged": Exec format error')
    runtime.wait_for("stopped")


def test_preserved_descriptors(runtime):
    reader, writer = os.pipe()
    runtime.config["process"]["args"] = ["sh", "-c", "echo passed >&3; echo lost >&4"]
    runtime.write()
    command = runtime.command("run", "--bundle", runtime.bundle, "--preserve-fds", "1", runtime.id)
    done = subprocess.run(["bash", "-c", f'exec "$@" 3>&{writer} 4>&{writer}', "bash", *command], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, pass_fds=[writer], timeout=60)
    os.close(writer)
    assert os.read(reader, 100) == b"passed\n" and "bad file descriptor" in done.stderr.lower()
    os.close(reader)


def test_hooks(runtime):
    record = runtime.top / "record"
    record.mkdir()
    (runtime.rootfs / "hook").write_text("#!/bin/sh\ncat >/record/startContainer\nreadlink /proc/self/ns/mnt "
                                         ">/record/startContainer.mnt\n")
    os.chmod(runtime.rootfs / "hook", 0o755)
    runtime.config["mounts"].append({"destination": "/record", "source": str(record), "options": ["bind"]})
    runtime.config["annotations"] = {"com.example": "yes"}

    def hook(kind):
        script = f"cat >{record}/{kind}; readlink /proc/self/ns/mnt >{record}/{kind}.mnt; echo $VALUE >{record}/{kind}.env"
        return [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin", f"VALUE={kind}"]}]

    kinds = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    runtime.config["hooks"] = {kind: hook(kind) for kind in kinds}
    runtime.config["hooks"]["startContainer"] = [{"path": "/hook"}]
    runtime.create("sleep", "1000")
    assert sorted(p.name for p in record.glob("*[a-zA-Z]") if "." not in p.name) == [
        "createContainer", "createRuntime", "prestart"]
    pid = runtime.state()["pid"]
    runtime.run("start", runtime.id, check=True)
    mounts = os.readlink(f"/proc/{pid}/ns/mnt")
    runtime.run("delete", "--force", runtime.id, check=True)
    own = os.readlink("/proc/self/ns/mnt")
    statuses = {"prestart": "created", "createRuntime": "created", "createContainer": "created",
                "startContainer": "created", "poststart": "running", "poststop": "stopped"}
    for kind, status in statuses.items():
        state = json.loads((record / kind).read_text())
        assert (state["id"], state["status"], state["bundle"]) == (runtime.id, status, str(runtime.bundle)), kind
        assert state["annotations"] == {"com.example": "yes"}
        inside = kind in ("createContainer", "startContainer")
        assert (record / f"{kind}.mnt").read_text().strip() == (mounts if inside else own), kind
        if kind != "poststop":
            assert state["pid"] == (1 if inside else pid)
        if kind != "startContainer":
            assert (record / f"{kind}.env").read_text().strip() == kind


def test_hooks_that_fail(runtime):
    runtime.config["hooks"] = {"prestart": [{"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}]}
    refused(runtime.container("true"), "hooks.prestart[0]: /bin/sleep", "after 1 seconds")
    runtime.config["hooks"] = {"poststart": [{"path": "/bin/false"}]}
    refused(runtime.container("sleep", "1000"), "hooks.poststart[0]: /bin/false", "exit status is 1")
    runtime.config["hooks"] = {"poststop": [{"path": "/bin/false"}, {"path": "/bin/touch", "args": ["touch",
                               str(runtime.top / "reached")]}]}
    done = runtime.container("true")
    assert done.returncode == 0 and "hooks.poststop[0]" in done.stderr and (runtime.top / "reached").exists()


def receive_terminal(listener):
    connection, _ = listener.accept()
    with connection:
        _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
    numbers = array.array("i")
    numbers.frombytes(ancillary[0][2][:4])
    return numbers[0]


def read_until(terminal, wanted):
    text = ""
    while wanted not in text:
        assert select.select([terminal], [], [], 30)[0], f"only came: {text}"
        try:
            data = os.read(terminal, 4096)
        except OSError:  # the other side has ended
            data = b""
        assert data, f"only came: {text}"
        text += data.decode()
    return text


def test_terminal_goes_to_the_console_socket(runtime, monkeypatch):
    directory = runtime.top / ("long" * 30)  # an address of a socket has room for 107 characters
    directory.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(directory)
        listener.bind("console")
        listener.listen()
        runtime.config["process"].update(terminal=True, consoleSize={"height": 33, "width": 77})
        runtime.create("sh", "-c", "tty; stty size; echo on the console >/dev/console; read line; echo got $line",
                       options=["--console-socket", directory / "console"])
        terminal = receive_terminal(listener)
    runtime.run("start", runtime.id, check=True)
    text = read_until(terminal, "on the console")
    assert "/dev/pts/0" in text and "33 77" in text
    os.write(terminal, b"word\n")
    read_until(terminal, "got word")
    os.close(terminal)
    refused(runtime.run("create", "--bundle", runtime.bundle, "other"), "--console-socket")
    runtime.config["process"]["terminal"] = False
    runtime.write()
    refused(runtime.run("create", "--bundle", runtime.bundle, "--console-socket", "/x", "other"), "--console-socket")


def test_exec(runtime):
    runtime.create("sleep", "1000")
    runtime.run("start", runtime.id, check=True)
    done = runtime.run("exec", "--user", "5:6", "--additional-gids", "7", "--env", "A=b", "--cwd", "/dev", runtime.id, "sh",
                       "-c", "id; echo $A; pwd; readlink /proc/1/ns/mnt; readlink /proc/self/ns/mnt; exit 9")
    lines = done.stdout.splitlines()
    assert done.returncode == 9 and lines[:3] == ["uid=5 gid=6 groups=7", "b", "/dev"], done.stderr
    done = runtime.run("exec", runtime.id, "sh", "-c", "for n in pid net ipc uts mnt cgroup; do readlink /proc/1/ns/$n; "
                       "readlink /proc/self/ns/$n; done; cat /proc/self/cgroup", check=True)
    links = done.stdout.splitlines()[:12]
    assert links[::2] == links[1::2]
    refused(runtime.run("exec", runtime.id, "nothing-there"), "executable file not found in $PATH")
    assert runtime.run("exec", runtime.id, "sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM

    process = runtime.top / "process.json"
    process.write_text(json.dumps({"cwd": "/", "args": ["sh", "-c", "echo $X; cat /proc/self/status"], "env": ["X=y"],
                                   "capabilities": {"bounding": ["CAP_KILL"]}}))
    output = runtime.run("exec", "--process", process, runtime.id, check=True).stdout
    assert output.startswith("y\n") and capabilities(output)["CapBnd"] == 1 << 5

    pid_file = runtime.top / "exec.pid"
    # it keeps the standard streams: none that anybody waits for
    subprocess.run(runtime.command("exec", "--detach", "--pid-file", pid_file, runtime.id, "sleep", "1000"),
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=60)
    pid = pid_file.read_text()
    assert pathlib.Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    assert pid in runtime.run("ps", runtime.id, check=True).stdout
    assert sorted(json.loads(runtime.run("ps", "--format", "json", runtime.id).stdout)) == sorted(
        [int(pid), runtime.state()["pid"]])

    runtime.run("kill", "--all", runtime.id, "KILL", check=True)
    runtime.wait_for("stopped")
    refused(runtime.run("exec", runtime.id, "true"), "stopped")


def test_memory_policy(runtime):
    if not pathlib.Path("/proc/self/numa_maps").exists():
        pytest.skip("this kernel knows no memory nodes")
    runtime.config["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}
    assert "bind=static:0" in runtime.shell("cat /proc/self/numa_maps")
    runtime.create("sleep", "1000")
    runtime.run("start", runtime.id, check=True)
    assert "bind=static:0" in runtime.run("exec", runtime.id, "cat", "/proc/self/numa_maps", check=True).stdout
    runtime.run("delete", "--force", runtime.id, check=True)
    for policy, message in (({"mode": "MPOL_BIND", "nodes": "1000"}, "linux.memoryPolicy"),
                            ({"mode": "MPOL_ANY"}, "linux.memoryPolicy.mode"), ({"nodes": "0"}, "linux.memoryPolicy.mode"),
                            ({"mode": "MPOL_BIND", "nodes": "0-"}, "linux.memoryPolicy.nodes"),
                            ({"mode": "MPOL_BIND", "flags": ["MPOL_F_X"]}, "linux.memoryPolicy.flags")):
        runtime.config["linux"]["memoryPolicy"] = policy
        refused(runtime.container("true"), message)


def test_processors_of_exec(runtime):
    runtime.create("sleep", "1000")
    runtime.run("start", runtime.id, check=True)
    own = sorted(os.sched_getaffinity(0))
    process = runtime.top / "process.json"
    for affinity, expected in (({}, None), ({"initial": str(own[-1])}, own[-1]),
                               ({"initial": str(own[0]), "final": f"{own[-1]}"}, own[-1])):
        process.write_text(json.dumps({"cwd": "/", "args": ["/bin/cat", "/proc/self/status"], "execCPUAffinity": affinity}))
        output = runtime.run("exec", "--process", process, runtime.id, check=True).stdout
        allowed = next(line.split()[1] for line in output.splitlines() if line.startswith("Cpus_allowed_list"))
        assert expected is None or allowed == str(expected)
    process.write_text(json.dumps({"cwd": "/", "args": ["/bin/true"], "execCPUAffinity": {"final": "x"}}))
    refused(runtime.run("exec", "--process", process, runtime.id), "process.execCPUAffinity.final")
    process.write_text(json.dumps({"cwd": "/", "args": ["/bin/true"], "execCPUAffinity": {"final": "1023"}}))
    refused(runtime.run("exec", "--process", process, runtime.id), "process.execCPUAffinity.final: the kernel refuses")


@pytest.mark.parametrize("value, said", [
    ({"closID": "../x"}, "linux.intelRdt.closID"), ({"memBwSchema": "L3:0=1"}, "linux.intelRdt.memBwSchema"),
    ({"schemata": ["L3:0=1", "L2:0=1\nL3:0=f"]}, "linux.intelRdt.schemata[1]"),
    ({"l3CacheSchema": 7}, "linux.intelRdt.l3CacheSchema")])
def test_classes_of_service_that_are_none(runtime, value, said):
    runtime.config["linux"]["intelRdt"] = value
    refused(runtime.container("true"), said)


@pytest.mark.skipif(" resctrl " in pathlib.Path("/proc/self/mounts").read_text(), reason="this host has resctrl")
def test_classes_of_service_without_their_file_system(runtime):
    runtime.config["linux"]["intelRdt"] = {"closID": "x"}
    refused(runtime.container("true"), "linux.intelRdt: no resctrl file system is mounted")


@pytest.fixture
def devices():
    """A new pair of network devices of the host, whose addresses are nobody's."""
    names = [f"v{os.getpid()}{c}" for c in "ab"]
    made = subprocess.run(["ip", "link", "add", names[0], "type", "veth", "peer", "name", names[1]], capture_output=True)
    if made.returncode:
        pytest.skip("this host's kernel has no pairs of network devices")
    subprocess.run(["ip", "address", "add", "192.0.2.7/24", "dev", names[0]], check=True)
    subprocess.run(["ip", "address", "add", "2001:db8::7/64", "dev", names[0]], check=True)
    subprocess.run(["ip", "link", "set", names[0], "up"], check=True)
    yield names
    subprocess.run(["ip", "link", "del", names[0]], capture_output=True, check=False)


def shown(name):
    return subprocess.run(["ip", "-o", "address", "show", "dev", name], capture_output=True, text=True, check=False).stdout


@pytest.mark.skipif(not shutil.which("ip"), reason="it takes iproute2")
def test_network_devices(runtime, devices):
    (runtime.rootfs / "bin/ip").symlink_to("busybox")
    runtime.config["linux"]["netDevices"] = {devices[0]: {"name": "nic%d"}, devices[1]: {}}
    result = runtime.container("ip", "address")
    assert result.returncode == 0, result.stderr
    assert re.search(r"nic0: .*\bUP\b", result.stdout) and re.search(rf"{devices[1]}: .*\bUP\b", result.stdout)
    assert "192.0.2.7/24 scope global nic0" in result.stdout and "2001:db8::7/64 scope global" in result.stdout
    assert not shown(devices[0]) and not shown(devices[1])


@pytest.mark.skipif(not shutil.which("ip"), reason="it takes iproute2")
def test_network_devices_come_back(runtime, devices):
    """With their names and addresses, if there is no container in the end."""
    for name, value, said in (("nowhere7", {}, "linux.netDevices.nowhere7: "), (devices[1], {"name": "lo"}, "has a device lo"),
                              (devices[1], {"name": "a/b"}, "not the name of a network device"),
                              (devices[1], 3, "an object is wanted")):
        runtime.config["linux"]["netDevices"] = {devices[0]: {"name": "eth0"}, name: value}
        refused(runtime.container("true"), said)
        assert "192.0.2.7/24" in shown(devices[0]) and "2001:db8::7/64" in shown(devices[0])
    runtime.config["linux"]["netDevices"] = {devices[0]: {}}
    refused(runtime.container("no-such-program"), "no-such-program")
    assert "192.0.2.7/24" in shown(devices[0])
    runtime.config["linux"]["namespaces"] = [n for n in runtime.config["linux"]["namespaces"] if n["type"] != "network"]
    refused(runtime.container("true"), "no network namespace")


def test_pause_and_resume(runtime):
    runtime.create("sleep", "1000")
    runtime.run("start", runtime.id, check=True)
    runtime.run("pause", runtime.id, check=True)
    assert runtime.state()["status"] == "paused"
    refused(runtime.run("exec", runtime.id, "true"), "paused")
    runtime.run("resume", runtime.id, check=True)
    assert runtime.state()["status"] == "running"
    runtime.run("exec", runtime.id, "true", check=True)


def test_list(runtime):
    assert runtime.run("list", "--quiet", check=True).stdout == ""
    runtime.create("sleep", "1000")
    rows = json.loads(runtime.run("list", "--format", "json", check=True).stdout)
    assert [(row["id"], row["status"], row["owner"]) for row in rows] == [(runtime.id, "created", 0)]
    assert runtime.id in runtime.run("list", check=True).stdout
    assert runtime.run("list", "--quiet", check=True).stdout == f"{runtime.id}\n"


def test_creator_killed_leaves_nothing_running(runtime):
    """A `create` that is killed in its middle: the half-made container is gone with the next command of that name."""
    runtime.config["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "1000"]}]}
    runtime.config["process"]["args"] = ["true"]
    runtime.write()
    with subprocess.Popen(runtime.command("create", "--bundle", runtime.bundle, runtime.id), stdin=subprocess.DEVNULL,
                          start_new_session=True) as creator:
        first, deadline = 0, time.monotonic() + 30
        while not first:
            done = runtime.run("state", runtime.id)
            first = json.loads(done.stdout)["pid"] if done.returncode == 0 else 0
            assert time.monotonic() < deadline
        assert json.loads(done.stdout)["status"] == "creating"
        creator.kill()
        creator.wait()
    subprocess.run(["pkill", "-9", "-s", str(creator.pid)], check=False)  # the hook, which is not ours to end
    deadline = time.monotonic() + 30
    while pathlib.Path(f"/proc/{first}").exists() and "\nState:\tZ" not in pathlib.Path(f"/proc/{first}/status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert runtime.state()["status"] == "stopped"
    runtime.run("delete", "--force", runtime.id, check=True)
    assert not any((runtime.top / "state").iterdir())


def test_a_container_of_visor_itself_is_entered(runtime):
    """Its program is visor's own file, which it was given: that it is made and started is known by something else."""
    runtime.config["mounts"].append({"destination": "/visor", "source": str(VISOR), "options": ["bind"]})
    runtime.config["process"].update(args=["/visor", "events"], env=["PATH=/bin", "VISOR_STORE=/dev/shm/store"])
    runtime.write()
    with subprocess.Popen(runtime.command("run", "--bundle", runtime.bundle, runtime.id), stdin=subprocess.DEVNULL):
        try:
            runtime.wait_for("running")
            done = runtime.run("exec", runtime.id, "echo", "entered")
        finally:
            runtime.run("delete", "--force", runtime.id)
    assert (done.stdout, done.stderr) == ("entered\n", "")


def test_run_is_not_entered_while_it_is_made(runtime):
    """Its first process has the host's root then."""
    runtime.config["hooks"] = {"createContainer": [{"path": "/bin/sleep", "args": ["sleep", "1"]}]}
    runtime.config["process"]["args"] = ["sleep", "1000"]
    runtime.write()
    with subprocess.Popen(runtime.command("run", "--bundle", runtime.bundle, runtime.id), stdin=subprocess.DEVNULL) as creator:
        try:
            deadline = time.monotonic() + 30
            done = runtime.run("state", runtime.id)
            while done.returncode or not json.loads(done.stdout)["pid"]:
                assert time.monotonic() < deadline
                done = runtime.run("state", runtime.id)
            assert runtime.state()["status"] == "creating"
            refused(runtime.run("exec", runtime.id, "true"), "creating")
            runtime.wait_for("running")
            assert runtime.run("exec", runtime.id, "true").returncode == 0
        finally:
            runtime.run("delete", "--force", runtime.id)


def test_start_survives_the_creator_and_races(runtime):
    runtime.create("sleep", "1000")
    starters = [subprocess.Popen(runtime.command("start", runtime.id), stderr=subprocess.DEVNULL) for _ in range(4)]
    assert sorted(starter.wait() for starter in starters) == [0, 1, 1, 1]
    assert runtime.state()["status"] == "running"


def test_rootless_life(rootless):
    rootless.config["root"]["readonly"] = False
    output = rootless.shell("id -u; cat /proc/self/uid_map; touch /made; echo x >/dev/null; hostname; ls /dev/pts")
    assert output.split()[:4] == ["0", "0", str(rootless.user), "1"] and "visor" in output
    assert (rootless.rootfs / "made").stat().st_uid == rootless.user
    rootless.create("sleep", "1000")
    rootless.run("start", rootless.id, check=True)
    output = rootless.run("exec", rootless.id, "sh", "-c", "for n in user pid mnt; do readlink /proc/self/ns/$n; readlink "
                          "/proc/1/ns/$n; done; id -u", check=True).stdout.split()
    assert output[0] == output[1] and output[2] == output[3] and output[4] == output[5] and output[6] == "0"
    assert str(rootless.state()["pid"]) in rootless.run("ps", rootless.id, check=True).stdout
    rootless.run("kill", "--all", rootless.id, "KILL", check=True)
    rootless.wait_for("stopped")
    rootless.run("delete", rootless.id, check=True)


def test_rootless_groups(rootless):
    """The process's own group again, as podman has it at a build, is nothing that takes rights."""
    rootless.config["process"]["user"]["additionalGids"] = [0]
    assert rootless.shell("id -g") == "0\n"
    rootless.config["process"]["user"]["additionalGids"] = [0, 5]
    refused(rootless.container("true"), "process.user.additionalGids")


def test_default_state_directory_of_a_user(rootless):
    """Also as root of a user namespace, as podman calls its runtime for ordinary users."""
    rootless.config["process"]["args"] = ["true"]
    rootless.write()
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(rootless.top)}
    for inside in ([], ["unshare", "--user", "--map-root-user"]):
        done = subprocess.run([*inside, VISOR, "oci", "list"], user=rootless.user, group=rootless.user, extra_groups=[],
                              env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if not inside:
            subprocess.run([VISOR, "oci", "run", "--bundle", rootless.bundle, rootless.id], user=rootless.user,
                           group=rootless.user, extra_groups=[], env=environment, stdin=subprocess.DEVNULL, check=True)
            assert (rootless.top / "visor/oci").is_dir()


def test_rootless_cannot_have_what_takes_rights(rootless):
    rootless.config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 0, "size": 10}]
    refused(rootless.container("true"), "map")
    rootless.config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": rootless.user, "size": 1}]
    rootless.config["linux"]["namespaces"] = [n for n in rootless.config["linux"]["namespaces"] if n["type"] != "user"]
    del rootless.config["linux"]["uidMappings"], rootless.config["linux"]["gidMappings"]
    refused(rootless.container("true"), "namespaces")
    assert not any((rootless.top / "state").glob("*"))


def test_user_namespace_of_root(runtime):
    """Sources that the container's root could not reach by their paths are bound all the same."""
    runtime.config["linux"]["namespaces"].append({"type": "user"})
    maps = [{"containerID": 0, "hostID": 200000, "size": 1000}]
    runtime.config["linux"].update(uidMappings=maps, gidMappings=maps)
    secret = runtime.top / "secret"
    (secret / "data").mkdir(parents=True)
    (secret / "data/file").write_text("content")
    os.chmod(secret, 0o700)
    subprocess.run(["chown", "-R", "200000:200000", runtime.rootfs], check=True)
    runtime.config["mounts"].append({"destination": "/data", "source": str(secret / "data"), "options": ["bind", "ro"]})
    runtime.config["root"]["readonly"] = False
    assert runtime.shell("cat /data/file; touch /made; id -u; echo x >/dev/null") == "content0\n"
    assert (runtime.rootfs / "made").stat().st_uid == 200000


def test_many_at_once(runtime):
    runtime.config["process"]["args"] = ["true"]
    runtime.write()
    running = [subprocess.Popen(runtime.command("run", "--bundle", runtime.bundle, f"{runtime.id}-{i}"),
                                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for i in range(200)]
    failures = [(process.wait(), process.stderr.read()) for process in running]
    for process in running:
        process.stderr.close()
    assert failures == [(0, "")] * 200
    assert not list((runtime.top / "state").glob("[!.]*"))


def test_names_of_the_command(runtime, tmp_path):
    link = tmp_path / "visor-oci"
    link.symlink_to(VISOR)
    output = subprocess.run([link, "--version"], capture_output=True, text=True, check=True).stdout
    assert output.startswith("visor version ") and "spec: 1." in output
    assert json.loads(subprocess.run([link, "features"], capture_output=True, check=True).stdout)["ociVersionMin"] == "1.0.0"
    assert runtime.run("frobnicate").returncode == 2
    assert runtime.run("state").returncode == 2
