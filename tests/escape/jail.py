# SPDX-License-Identifier: GPL-2.0-or-later
"""Containers to be broken out of: bundles with the attack programs of this folder, as root and as an ordinary user."""
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

TOP = pathlib.Path(__file__).resolve().parents[2]
VISOR = pathlib.Path(os.environ.get("VISOR", TOP / "build/visor"))
ATTACKS = VISOR.resolve().parent / "tests/escape"
TIMEOUT = 60  # of a host that is very busy
SHIFT = 300000  # root of the containers with a user namespace

# What podman and docker give to containers that nobody says more of.
USUAL = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW",
         "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT", "CAP_AUDIT_WRITE"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="containers of root, and of others by it, are made here")


def all_capabilities():
    """Those that the kernel has, by visor's own list."""
    done = subprocess.run([VISOR, "oci", "features"], capture_output=True, check=True, timeout=TIMEOUT)
    return json.loads(done.stdout)["linux"]["capabilities"]


class Findings(dict):
    """What an attack program says: {what it has tried: (came of it, detail)}."""

    def __init__(self, text):
        super().__init__()
        self.text = text
        for line in text.splitlines():
            name, colon, rest = line.rpartition(": ")
            word, _, detail = rest.partition(" ")
            if colon:
                if name in self and self[name][0] == "open":
                    continue  # once is enough
                self[name] = (word, detail)

    def open(self, prefix=""):
        return sorted(f"{name} ({detail})" for name, (word, detail) in self.items() if word == "open" and name.startswith(prefix))

    def refused(self, prefix=""):
        return [name for name, (word, _) in self.items() if word == "refused" and name.startswith(prefix)]


class Jail:
    """A bundle, a state directory, and `visor oci` on them."""

    def __init__(self, top, user=None):
        self.top, self.user = top, user
        self.bundle = top / "bundle"
        self.rootfs = self.bundle / "rootfs"
        self.state_root = top / "state"
        self.id = f"escape-{uuid.uuid4().hex[:12]}"
        for name in ("bin", "tmp", "volume", "etc", "dev", "proc", "sys"):
            (self.rootfs / name).mkdir(parents=True)
        for program in ATTACKS.iterdir():
            if program.is_file() and os.access(program, os.X_OK):
                shutil.copy(program, self.rootfs / "bin")
        (self.top / "volume").mkdir(mode=0o777)
        self.marker = self.top / "marker"  # only the host has it
        self.marker.write_text("the host's")
        self.own()
        self.run("spec", "--bundle", self.bundle, *(["--rootless"] if user else []), check=True)
        self.config = json.loads((self.bundle / "config.json").read_text())
        self.config["process"]["terminal"] = False
        self.processes = []

    def own(self):
        if self.user:
            subprocess.run(["chown", "-hR", f"{self.user}:{self.user}", self.top], check=True)

    # -- what kind of container ------------------------------------------------------------------------------

    def give(self, capabilities, no_new_privileges=False):
        sets = ("bounding", "effective", "permitted", "inheritable")
        self.config["process"]["capabilities"] = {name: list(capabilities) for name in sets}
        self.config["process"]["noNewPrivileges"] = no_new_privileges
        return self

    def writable(self):
        self.config["root"]["readonly"] = False
        return self

    def with_users(self):
        """A user namespace made by root."""
        self.config["linux"]["namespaces"].append({"type": "user"})
        maps = [{"containerID": 0, "hostID": SHIFT, "size": 65536}]
        self.config["linux"].update(uidMappings=maps, gidMappings=maps)
        subprocess.run(["chown", "-hR", f"{SHIFT}:{SHIFT}", self.rootfs, self.top / "volume"], check=True)
        os.chmod(self.top, 0o755)
        return self

    def with_volume(self, **extra):
        self.config["mounts"].append({"destination": "/volume", "source": str(self.top / "volume"), "options": ["rbind", "rw"], **extra})
        return self

    def without(self, namespace):
        self.config["linux"]["namespaces"] = [n for n in self.config["linux"]["namespaces"] if n["type"] != namespace]
        return self

    # -- the command -----------------------------------------------------------------------------------------

    def command(self, *words):
        return [VISOR, "oci", "--root", self.state_root, *map(str, words)]

    def identity(self):
        return {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}

    def environment(self):
        return {**os.environ, "VISOR_ESCAPE_SECRET": "of the caller"}

    def run(self, *words, check=False, before=(), **keywords):
        keywords = {"stdin": subprocess.DEVNULL, "timeout": TIMEOUT, "env": self.environment(), **keywords}
        done = subprocess.run([*map(str, before), *self.command(*words)], capture_output=True, text=True, errors="backslashreplace",
                              **self.identity(), **keywords)
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def write(self, *program):
        self.config["process"]["args"] = [str(word) for word in program]
        (self.bundle / "config.json").write_text(json.dumps(self.config))

    def attack(self, *program, **keywords):
        """Runs an attack program in a container of its own; what it has found."""
        self.write(f"/bin/{program[0]}", *program[1:])
        done = self.run("run", "--bundle", self.bundle, self.id, **keywords)
        assert done.returncode == 0, done.stderr + done.stdout
        return Findings(done.stdout)

    def start(self, *program):
        """The same in the background; its standard output."""
        self.write(f"/bin/{program[0]}", *program[1:])
        process = subprocess.Popen(self.command("run", "--bundle", self.bundle, self.id), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, text=True, env=self.environment(), **self.identity())
        self.processes.append(process)
        return process

    def detach(self, name):
        """Runs the bundle as a container of this name, which has none of our streams; its status."""
        return subprocess.run(self.command("run", "--detach", "--bundle", self.bundle, name), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TIMEOUT, check=False,
                              env=self.environment(), **self.identity()).returncode

    def wait_for(self, status):
        deadline = time.monotonic() + TIMEOUT
        while True:
            done = self.run("state", self.id)
            if done.returncode == 0 and json.loads(done.stdout)["status"] == status:
                return json.loads(done.stdout)
            assert time.monotonic() < deadline, done.stderr + done.stdout
            time.sleep(0.01)

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
        if self.state_root.exists():
            for container in self.state_root.glob("[!.]*"):
                self.run("delete", "--force", container.name)


def need_attacks():
    if not (ATTACKS / "hog").exists():
        pytest.skip(f"the attack programs are not in {ATTACKS}: a build with sanitizers has none")


def ordinary_user():
    user = pwd.getpwnam("nobody").pw_uid
    if subprocess.run(["unshare", "--user", "true"], user=user, group=user, extra_groups=[], check=False).returncode:
        pytest.skip("this host forbids user namespaces to ordinary users")
    return user


def user_with_ranges():
    """An ordinary user, and the first of the ids that /etc/subuid and /etc/subgid give him besides his own."""
    for line in pathlib.Path("/etc/subuid").read_text().splitlines() if pathlib.Path("/etc/subuid").exists() else []:
        name, first, count = line.split(":")
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        if user.pw_uid == user.pw_gid and int(count) >= 65536 and line in pathlib.Path("/etc/subgid").read_text().splitlines():
            return user.pw_uid, int(first)
    return pytest.skip("no ordinary user has ranges in /etc/subuid and /etc/subgid")


def make_user_jail(user):
    """A jail of an ordinary user, for whom nothing is prepared; not below pytest's directories, which he cannot enter."""
    top = pathlib.Path(tempfile.mkdtemp(prefix="visor-escape-"))
    os.chmod(top, 0o755)
    return Jail(top, user=user)


def make(kind, tmp_path):
    """root: as `visor oci spec` has it; usual: with podman's rights; user: all rights in a user namespace; rootless: of an
    ordinary user, all rights in his namespace; ranges: the same with the ids of /etc/subuid."""
    need_attacks()
    if kind == "rootless":
        return make_user_jail(ordinary_user()).give(all_capabilities()).writable()
    if kind == "ranges":
        user, first = user_with_ranges()
        jail = make_user_jail(user).give(all_capabilities()).writable()
        maps = [{"containerID": 0, "hostID": user, "size": 1}, {"containerID": 1, "hostID": first, "size": 65535}]
        jail.config["linux"].update(uidMappings=maps, gidMappings=maps)
        return jail
    jail = Jail(tmp_path)
    if kind == "usual":
        jail.give(USUAL).writable()
    elif kind == "user":
        jail.give(all_capabilities()).writable().with_users()
    return jail


KINDS = ("root", "usual", "user", "rootless")


@pytest.fixture(params=KINDS)
def jail(request, tmp_path):
    """The same attack in every kind of container that keeps its program in."""
    instance = make(request.param, tmp_path)
    instance.kind = request.param
    yield instance
    instance.end()
    if instance.user:
        shutil.rmtree(instance.top)


@pytest.fixture
def make_jail(tmp_path):
    made = []

    def make_one(kind):
        instance = make(kind, tmp_path)
        instance.kind = kind
        made.append(instance)
        return instance

    yield make_one
    for instance in made:
        instance.end()
        if instance.user:
            shutil.rmtree(instance.top)


class DomainJail:
    """Containers that are domains: a root tree with the attack programs, and a store."""

    def __init__(self, user=None):
        self.user = user
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="visor-escape-"))
        os.chmod(self.top, 0o755)
        self.root = self.top / "root"
        for name in ("bin", "tmp", "volume", "etc", "dev", "proc", "sys"):
            (self.root / name).mkdir(parents=True)
        for program in ATTACKS.iterdir():
            if program.is_file() and os.access(program, os.X_OK):
                shutil.copy(program, self.root / "bin")
        self.marker = self.top / "marker"
        self.marker.write_text("the host's")
        self.own()

    def own(self):
        if self.user:
            subprocess.run(["chown", "-hR", f"{self.user}:{self.user}", self.top], check=True)

    def identity(self):
        return {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}

    def environment(self):
        return {**os.environ, "VISOR_STORE": str(self.top / "store"), "VISOR_ESCAPE_SECRET": "of the caller"}

    def visor(self, *words, before=(), **keywords):
        keywords = {"stdin": subprocess.DEVNULL, "timeout": TIMEOUT, **keywords}
        return subprocess.run([*map(str, before), VISOR, *map(str, words)], capture_output=True, text=True,
                              errors="backslashreplace", env=self.environment(), check=False, **self.identity(), **keywords)

    def attack(self, *words, options=(), **keywords):
        done = self.visor("run", *options, self.root, f"/bin/{words[0]}", *words[1:], **keywords)
        assert done.returncode == 0, done.stderr + done.stdout
        return Findings(done.stdout)


@pytest.fixture(params=["root", "rootless"])
def domain(request):
    need_attacks()
    jail = DomainJail(ordinary_user() if request.param == "rootless" else None)
    yield jail
    jail.visor("rm", "--force", "--all")
    shutil.rmtree(jail.top)
