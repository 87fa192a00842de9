# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of `visor oci` share: a bundle, a state directory, the command."""
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid

import pytest

from conftest import VISOR

BUSYBOX = pathlib.Path("/bin/busybox")

NEEDED = [
    pytest.mark.skipif(os.geteuid() != 0, reason="containers of root are made here"),
    pytest.mark.skipif(not BUSYBOX.exists(), reason="busybox-static is not installed"),
]


class Runtime:
    """A bundle with busybox in it, a state directory, and the command."""

    def __init__(self, top, user=None):
        self.top, self.user = top, user
        self.bundle = top / "bundle"
        self.rootfs = self.bundle / "rootfs"
        (self.rootfs / "bin").mkdir(parents=True)
        if user:
            os.chown(self.bundle, user, user)
        shutil.copy(BUSYBOX, self.rootfs / "bin/busybox")
        for name in ("sh", "cat", "ls", "id", "sleep", "echo", "env", "true", "mount", "stat", "hostname", "tty", "kill",
                     "touch", "readlink", "pwd", "grep", "ps", "stty", "wc", "date"):
            (self.rootfs / "bin" / name).symlink_to("busybox")
        self.id = f"test-{uuid.uuid4().hex[:12]}"
        self.run("spec", "--bundle", self.bundle, *(["--rootless"] if user else []), check=True)
        self.config = json.loads((self.bundle / "config.json").read_text())
        self.config["process"]["terminal"] = False

    def command(self, *arguments, options=()):
        return [VISOR, "oci", "--root", self.top / "state", *options, *map(str, arguments)]

    def run(self, *arguments, options=(), check=False, **keywords):
        keywords = {"stdin": subprocess.DEVNULL, "timeout": 60, **keywords}
        done = subprocess.run(self.command(*arguments, options=options), capture_output=True, text=True,
                              user=self.user, group=self.user, extra_groups=[] if self.user else None, **keywords)
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def write(self):
        (self.bundle / "config.json").write_text(json.dumps(self.config))

    def container(self, *program, options=(), **keywords):
        """Runs a program in a container; what came of it."""
        self.config["process"]["args"] = list(program)
        self.write()
        return self.run("run", "--bundle", self.bundle, *options, self.id, **keywords)

    def shell(self, script, **keywords):
        done = self.container("sh", "-c", script, **keywords)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self, *program, options=(), **keywords):
        self.config["process"]["args"] = list(program)
        self.write()
        # the container keeps the standard streams: files, which nobody waits for the end of
        with open(self.top / "output", "w+") as output:
            done = subprocess.run(self.command("create", "--bundle", self.bundle, *options, self.id),
                                  stdin=subprocess.DEVNULL, stdout=output, stderr=output, user=self.user,
                                  group=self.user, timeout=60, **keywords)
        assert done.returncode == 0, (self.top / "output").read_text()

    def state(self):
        return json.loads(self.run("state", self.id, check=True).stdout)

    def wait_for(self, status):
        """Also for a container that somebody is about to make."""
        deadline = time.monotonic() + 30
        while True:
            done = self.run("state", self.id)
            if done.returncode == 0 and json.loads(done.stdout)["status"] == status:
                return
            assert time.monotonic() < deadline, f"it is not {status}: {done.stdout}{done.stderr}"
            time.sleep(0.01)


@pytest.fixture
def runtime(tmp_path):
    instance = Runtime(tmp_path)
    yield instance
    instance.run("delete", "--force", instance.id)


@pytest.fixture
def rootless():
    """The same as an ordinary user, for whom nothing is prepared."""
    user = pwd.getpwnam("nobody").pw_uid
    top = pathlib.Path(tempfile.mkdtemp(prefix="visor-oci-"))
    (top / "bundle").mkdir()
    subprocess.run(["chown", "-R", str(user), top], check=True)
    if subprocess.run(["unshare", "--user", "true"], user=user, group=user, extra_groups=[]).returncode:
        pytest.skip("this host forbids user namespaces to ordinary users")
    instance = Runtime(top, user=user)
    subprocess.run(["chown", "-R", str(user), top], check=True)
    yield instance
    instance.run("delete", "--force", instance.id)
    shutil.rmtree(top)


def refused(done, *words):
    """One line that names the thing, and perhaps a hint."""
    assert done.returncode != 0
    lines = done.stderr.splitlines()
    assert lines[0].startswith("visor: ") and all(line.startswith("  hint: ") for line in lines[1:]), done.stderr
    for word in words:
        assert word in lines[0]
