# SPDX-License-Identifier: GPL-2.0-or-later
"""podman's everyday commands with visor as its OCI runtime, without any network: an image is made of busybox."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

import pytest

from conftest import VISOR
from oci_runtime import BUSYBOX, NEEDED

pytestmark = [*NEEDED, pytest.mark.skipif(not shutil.which("podman"), reason="podman is not installed")]

CONFIGURATION = """
[containers]
default_ulimits = [{limits}]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "visor-oci"
runtime_supports_nocgroups = ["visor-oci"]
[engine.runtimes]
visor-oci = ["{top}/visor-oci"]
"""


class Podman:
    """With an image `box`, and all that it keeps in a directory of its own."""

    def __init__(self, top, user=None):
        self.top, self.user = top, user
        programs = top / "tree/bin"
        for directory in (programs, top / "tree/tmp", top / "tree/etc", top / "home", top / "run"):
            directory.mkdir(parents=True)
        shutil.copy(BUSYBOX, programs / "busybox")
        for name in ("sh", "cat", "id", "sleep", "echo", "true", "hostname"):
            (programs / name).symlink_to("busybox")
        (top / "tree/etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
        subprocess.run(["tar", "-C", top / "tree", "-cf", top / "tree.tar", "."], check=True)
        (top / "visor-oci").symlink_to(VISOR)
        (top / "containers.conf").write_text(CONFIGURATION.format(
            top=top, limits='"nofile=1024:1024"' + (', "nproc=1000:1000"' if user is None else "")))
        if user is not None:
            subprocess.run(["chown", "-R", f"{user}:{user}", top], check=True)
        self("import", "tree.tar", "box")

    def __call__(self, *arguments, status=0):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.top / "home"), "XDG_RUNTIME_DIR": str(self.top / "run"),
                       "CONTAINERS_CONF": str(self.top / "containers.conf")}
        identity = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        done = subprocess.run(["podman", "--storage-driver", "vfs", "--root", self.top / "storage", "--runroot",
                               self.top / "runroot", "--tmpdir", self.top / "tmp", *arguments], cwd=self.top,
                              env=environment, capture_output=True, text=True, timeout=120, check=False, **identity,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == status, done.stderr
        return done.stdout

    def close(self):
        self("pod", "rm", "--all", "--force")
        self("rm", "--all", "--force", "--time", "0")
        self("rmi", "--all", "--force")


def start(user=None):
    top = pathlib.Path(tempfile.mkdtemp(prefix="visor-podman-"))  # podman wants a short path
    os.chmod(top, 0o755)
    instance = Podman(top, user)
    yield instance
    instance.close()
    subprocess.run(["rm", "-rf", top], check=True)


@pytest.fixture
def podman():
    yield from start()


@pytest.fixture
def rootless_podman():
    user = pwd.getpwnam("nobody").pw_uid
    if subprocess.run(["unshare", "--user", "true"], user=user, group=user, extra_groups=[], check=False).returncode:
        pytest.skip("this host forbids user namespaces to ordinary users")
    yield from start(user)


def everyday(podman):
    """What needs no rights."""
    assert podman("run", "--rm", "--network", "none", "box", "echo", "hello") == "hello\n"
    podman("run", "--network", "none", "--name", "ends", "box", "sh", "-c", "echo out; exit 3", status=3)
    assert podman("logs", "ends") == "out\n"
    podman("run", "--detach", "--network", "none", "--name", "stays", "--hostname", "box", "box", "sleep", "1000")
    assert podman("exec", "stays", "hostname") == "box\n"
    podman("exec", "stays", "sh", "-c", "exit 7", status=7)
    podman("cp", "containers.conf", "stays:/tmp/copied")
    assert "k8s-file" in podman("exec", "stays", "cat", "/tmp/copied")
    assert "sleep 1000" in podman("top", "stays", "args")
    assert podman("inspect", "stays", "--format", "{{.State.Status}} {{.OCIRuntime}}") == "running visor-oci\n"
    podman("kill", "stays")
    assert podman("wait", "stays") == "137\n"

    (podman.top / "Containerfile").write_text("FROM box\nRUN echo built > /file\nCMD cat /file\n")
    podman("build", "--isolation", "oci", "--network", "none", "--tag", "made", "--file", "Containerfile", ".")
    assert podman("run", "--rm", "--network", "none", "made") == "built\n"

    podman("pod", "create", "--name", "group", "--network", "none", "--infra-image", "box", "--infra-command",
           "/bin/sleep 1000")
    podman("run", "--detach", "--pod", "group", "--name", "member", "box", "sleep", "1000")
    infra = podman("pod", "inspect", "group", "--format", "{{.InfraContainerID}}").strip()
    namespaces = [podman("exec", c, "busybox", "readlink", "/proc/self/ns/net") for c in (infra, "member")]
    assert namespaces[0] == namespaces[1]
    podman("pod", "stop", "--time", "0", "group")


def test_as_root(podman):
    everyday(podman)
    podman("run", "--detach", "--network", "none", "--memory", "64m", "--pids-limit", "50", "--name", "limited", "box",
           "sleep", "1000")
    fields = podman("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}", "limited").split()
    assert fields[:2] == ["limited", "1"] and "67.11MB" in fields[-1] and not fields[2].startswith("0B")
    podman("pause", "limited")
    assert podman("inspect", "limited", "--format", "{{.State.Status}}") == "paused\n"
    podman("unpause", "limited")
    podman("run", "--detach", "--network", "none", "--name", "unlimited", "box", "sleep", "1000")
    used = podman("stats", "--no-stream", "--format", "{{.MemUsage}}", "unlimited")
    assert not used.startswith("0B"), "memory is counted without a limit as well"


def test_rootless(rootless_podman):
    everyday(rootless_podman)
