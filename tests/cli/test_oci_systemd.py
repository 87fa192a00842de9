# SPDX-License-Identifier: GPL-2.0-or-later
"""`visor oci`, and containers as domains, on another host: Debian with systemd, cgroup version 2 alone and AppArmor, which
is a machine of visor's own."""
import json
import shutil
import subprocess
import time

import pytest

from conftest import IMAGE, VISOR
from oci_runtime import BUSYBOX, refused
from store import TIMEOUT, Store

pytestmark = pytest.mark.skipif(not BUSYBOX.exists(), reason="busybox-static is not installed")
BOOT_TIMEOUT = 300  # of a host that is very busy
LIMITS = {"memory": {"limit": 64 << 20, "swap": 64 << 20}, "pids": {"limit": 50}, "cpu": {"shares": 512, "quota": 50000, "period": 100000}}
FILES = {"memory.max": "67108864", "memory.swap.max": "0", "pids.max": "50", "cpu.weight": "50", "cpu.max": "50000 100000"}


class Host:
    """The machine, in which visor is, and bundles of one tree."""

    def __init__(self, top):
        self.store, self.top = Store(top / "store", None), top

    def boot(self):
        self.store.ok("run", "--detach", "--name", "host", "--memory", "1G", "--net", "none",
                      "--disk", f"{IMAGE},snapshot")
        deadline = time.monotonic() + BOOT_TIMEOUT
        while self.run("systemctl", "is-active", "--quiet", "multi-user.target").returncode:
            assert time.monotonic() < deadline, self.store.run("logs", "host").stdout[-2000:]
            time.sleep(0.2)
        tree = self.top / "tree"
        (tree / "bin").mkdir(parents=True)
        for directory in ("proc", "sys", "dev", "tmp"):
            (tree / directory).mkdir()
        shutil.copy(BUSYBOX, tree / "bin/busybox")
        for name in ("sh", "cat", "sleep", "true"):
            (tree / "bin" / name).symlink_to("busybox")
        self.store.ok("cp", VISOR, "host:/usr/local/bin/visor")
        self.store.ok("cp", tree, "host:/srv/tree")

    def run(self, *words):
        return self.store.run("exec", "host", *words)

    def ok(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def bundle(self, *program, **platform):
        """Of the tree, with that in `linux` and `process`; where it is."""
        bundle = self.top / "bundle"
        shutil.rmtree(bundle, ignore_errors=True)
        bundle.mkdir()
        subprocess.run([VISOR, "oci", "spec", "--bundle", bundle], check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["root"]["path"] = "/srv/tree"
        config["process"].update(terminal=False, args=list(program), **platform.pop("process", {}))
        config["linux"].update(platform)
        (bundle / "config.json").write_text(json.dumps(config))
        self.store.ok("cp", bundle, "host:/srv/")
        return "/srv/bundle"

    def files(self, directory, names):
        words = self.ok("sh", "-c", f"cd {directory} && grep -H '' {' '.join(names)}").splitlines()
        return dict(line.split(":", 1) for line in words)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    if not IMAGE.exists():
        pytest.fail(f"no image at {IMAGE}: scripts/debian-image makes it")
    made = Host(tmp_path_factory.mktemp("host"))
    try:
        made.boot()
        yield made
    finally:
        made.store.run("rm", "--force", "host")


def test_it_is_such_a_host(host):
    assert host.ok("sh", "-c", "grep cgroup /proc/mounts").split()[2] == "cgroup2"
    assert "apparmor" in host.ok("cat", "/sys/kernel/security/lsm")
    assert host.ok("cat", "/proc/1/comm") == "systemd\n"


def test_limits_are_in_version_2(host):
    """Where visor chooses, where the bundle says, and as the container sees them."""
    show = "cd /sys/fs/cgroup && grep -H '' " + " ".join(FILES) + "; cat /proc/self/cgroup"
    for place in ({}, {"cgroupsPath": "/mine/one"}):
        bundle = host.bundle("sh", "-c", show.replace("grep", "busybox grep"), resources=LIMITS, **place)
        lines = host.ok("visor", "oci", "run", "--bundle", bundle, "limits").splitlines()
        assert lines.pop() == "0::/"
        assert dict(line.split(":", 1) for line in lines) == FILES
    assert host.ok("sh", "-c", "ls -d /sys/fs/cgroup/mine/*/ /sys/fs/cgroup/visor/*/ 2>/dev/null || true") == ""


def test_a_scope_of_systemds(host):
    bundle = host.bundle("sleep", "1000", resources=LIMITS, cgroupsPath="mine.slice:visor:two")
    host.ok("visor", "oci", "--systemd-cgroup", "run", "--detach", "--bundle", bundle, "two")
    scope = "/sys/fs/cgroup/mine.slice/visor-two.scope"
    pid = json.loads(host.ok("visor", "oci", "state", "two"))["pid"]
    assert host.ok("cat", f"/proc/{pid}/cgroup") == f"0::{scope.removeprefix('/sys/fs/cgroup')}/container\n"
    host.ok("systemctl", "daemon-reload")
    assert host.files(f"{scope}/container", FILES) == FILES
    host.ok("visor", "oci", "update", "--pids-limit", "77", "two")
    host.ok("visor", "oci", "pause", "two")
    assert host.files(f"{scope}/container", ["pids.max", "cgroup.freeze"]) == {"pids.max": "77", "cgroup.freeze": "1"}
    host.ok("visor", "oci", "resume", "two")
    assert host.ok("visor", "oci", "exec", "two", "cat", "/sys/fs/cgroup/pids.max") == "77\n"
    assert host.ok("systemctl", "is-active", "visor-two.scope") == "active\n"
    host.ok("visor", "oci", "delete", "--force", "two")
    deadline = time.monotonic() + TIMEOUT
    while host.run("test", "-d", scope).returncode == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_profiles_and_labels(host):
    """AppArmor's are taken as the kernel takes them; SELinux is not there."""
    show = "cat", "/proc/self/attr/current"
    bundle = host.bundle(*show, process={"apparmorProfile": "unconfined"})
    assert host.ok("visor", "oci", "run", "--bundle", bundle, "a") == "unconfined\n"
    bundle = host.bundle(*show, process={"apparmorProfile": "no-such-profile"})
    refused(host.run("visor", "oci", "run", "--bundle", bundle, "a"), "process.apparmorProfile", '"no-such-profile"')
    bundle = host.bundle(*show, process={"selinuxLabel": "system_u:system_r:container_t:s0"})
    refused(host.run("visor", "oci", "run", "--bundle", bundle, "a"), "process.selinuxLabel", "does not run SELinux")
    bundle = host.bundle(*show, mountLabel="system_u:object_r:container_file_t:s0")
    refused(host.run("visor", "oci", "run", "--bundle", bundle, "a"), "linux.mountLabel", "does not run SELinux")
    assert host.ok("visor", "oci", "list").count("\n") == 1


def test_a_container_as_a_domain(host):
    host.ok("visor", "run", "--detach", "--name", "web", "--net", "none", "--memory", "64M", "--pids-limit", "20", "/srv/tree", "sleep", "1000")
    row = json.loads(host.ok("visor", "stats", "--no-stream", "--json", "web"))[0]
    assert (row["memory_limit"], row["processes_limit"]) == (64 << 20, 20)
    host.ok("visor", "update", "--memory", "none", "web")
    assert host.ok("visor", "exec", "web", "cat", "/sys/fs/cgroup/memory.max") == "max\n"
    host.ok("visor", "rm", "--force", "web")
