# SPDX-License-Identifier: GPL-2.0-or-later
"""The known ways out of containers, tried from inside (the C programs of this folder), and looked at from outside. What
each is and what stops it: docs/isolation.md, by the names of these tests."""
import fcntl
import json
import os
import pathlib
import pty
import select
import shutil
import socket
import stat
import subprocess
import termios
import time
import uuid

import pytest

from jail import ATTACKS, SHIFT, TIMEOUT, USUAL, VISOR, Findings, all_capabilities, jail, make_jail, needs_root  # noqa: F401

pytestmark = needs_root


def identity(path):
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode


def mounts():
    """The host's mounts but for their numbers, which change with others'."""
    return sorted(line.split(" - ")[0].split(None, 3)[3] for line in open("/proc/self/mountinfo"))


@pytest.fixture(autouse=True)
def host():
    """Whatever a test does: visor's file, the host's settings and mounts are as they were."""
    settings = [pathlib.Path("/proc/sys/kernel/core_pattern"), pathlib.Path("/proc/sys/kernel/modprobe"),
                pathlib.Path("/sys/kernel/uevent_helper"), *pathlib.Path("/sys/fs/cgroup").glob("*/release_agent")]

    def look():
        return identity(VISOR), [path.read_text() for path in settings if path.exists()]

    before, names = look(), os.uname().nodename
    yield
    assert look() == before and os.uname().nodename == names
    assert not [line for line in mounts() if "visor-escape-" in line or "/volume/" in line]


def give_weapons(jail):  # noqa: F811
    """busybox where a test wants a shell inside."""
    shutil.copy("/bin/busybox", jail.rootfs / "bin/busybox")
    (jail.rootfs / "bin/sh").symlink_to("busybox")
    jail.own()


# -- visor's own file: CVE-2019-5736 ----------------------------------------------------------------------------

@pytest.mark.parametrize("way", ["run", "exec"])
@pytest.mark.parametrize("program", ["/script", "/proc/self/exe", "/interpreted"])
def test_own_file_as_program(jail, way, program):  # noqa: F811
    """/proc/self/exe as the program, as a script's interpreter and as an executable's (as a library would be loaded)."""
    before = identity(VISOR)
    jail.writable()
    (jail.rootfs / "script").write_text("#!/proc/self/exe\n")
    os.chmod(jail.rootfs / "script", 0o755)
    # an executable whose interpreter is as long a name as /proc/self/exe
    image = bytearray(pathlib.Path("/bin/true").read_bytes())
    at = image.find(b"/lib64/ld-linux-x86-64.so.2\0")
    if program == "/interpreted" and at < 0:
        pytest.skip("/bin/true is no dynamic program of this processor")
    image[at:at + 28] = b"/proc/self/exe\0".ljust(28, b"\0")
    (jail.rootfs / "interpreted").write_bytes(image)
    os.chmod(jail.rootfs / "interpreted", 0o755)
    if way == "run":
        jail.write(program)
        done = jail.run("run", "--bundle", jail.bundle, jail.id)
    else:
        jail.start("wait")
        jail.wait_for("running")
        done = jail.run("exec", jail.id, program)
    assert done.returncode != 0
    assert identity(VISOR) == before


@pytest.mark.parametrize("more", [[], ["CAP_SYS_PTRACE"]])
def test_joining_process_gives_nothing_away(jail, more):  # noqa: F811
    """Who looks at `exec` while it joins has neither its root, directory, descriptors, environment nor rights, nor visor's
    file to write to."""
    if more and jail.kind == "usual":
        jail.give(USUAL + more)
    elif more:
        pytest.skip("the other kinds have no or all rights")
    if jail.user:
        os.chmod(jail.top, 0o755)
    process = jail.start("joining", jail.marker, "/tmp/stop")
    assert process.stdout.readline() == "watching\n"
    for _ in range(50):
        done = jail.run("exec", jail.id, "/bin/privileges")
        assert done.returncode == 0, done.stderr
    (jail.rootfs / "tmp/stop").touch()
    text = process.stdout.read()
    assert int(text.rpartition("seen: ")[2]) > 0
    assert "open" not in text, text


@pytest.mark.parametrize("kind", ["usual", "user", "rootless"])
def test_pod_gives_nothing_away(make_jail, kind):  # noqa: F811
    """The same of a container that is made in another one's namespaces of users and processes, as in pods."""
    jail = make_jail(kind)  # noqa: F811
    process = jail.start("joining", jail.marker, "/tmp/stop")
    assert process.stdout.readline() == "watching\n"
    pid = jail.wait_for("running")["pid"]
    shared = {"pid": "pid", "user": "user"}
    for namespace in jail.config["linux"]["namespaces"]:
        if namespace["type"] in shared:
            namespace["path"] = f"/proc/{pid}/ns/{shared[namespace['type']]}"
    jail.config["linux"].pop("uidMappings", None)
    jail.config["linux"].pop("gidMappings", None)
    jail.write("/bin/privileges")
    for number in range(50):
        done = jail.run("run", "--bundle", jail.bundle, f"{jail.id}-{number}")
        assert done.returncode == 0, done.stderr
    (jail.rootfs / "tmp/stop").touch()
    text = process.stdout.read()
    assert int(text.rpartition("seen: ")[2]) > 0
    assert "open" not in text, text


def test_waiting_container_gives_nothing_away(make_jail):  # noqa: F811
    """Between `create` and `start` the first process is still visor: with the right to look into others, who is let in by
    `exec` does not get its file."""
    jail = make_jail("usual").give(USUAL + ["CAP_SYS_PTRACE"])  # noqa: F811
    give_weapons(jail)
    jail.write("/bin/sh", "-c", "true")
    with open(jail.top / "output", "w+") as output:
        subprocess.run(jail.command("create", "--bundle", jail.bundle, jail.id), stdin=subprocess.DEVNULL, stdout=output,
                       stderr=output, check=True)
    done = jail.run("exec", jail.id, "/bin/busybox", "stat", "-Lc", "%D %i", "/proc/1/exe")
    status = os.stat(VISOR)
    assert f"{status.st_dev:x} {status.st_ino}" not in done.stdout, "the host's file of visor is within reach"


# -- what is given to a program: CVE-2024-21626 -----------------------------------------------------------------

@pytest.mark.parametrize("way", ["run", "exec"])
def test_nothing_is_left_open(jail, way):  # noqa: F811
    directory = os.open("/", os.O_RDONLY)
    os.set_inheritable(directory, True)
    try:
        if way == "run":
            found = jail.attack("descriptors", jail.marker, pass_fds=[directory])
        else:
            jail.start("wait")
            jail.wait_for("running")
            done = jail.run("exec", jail.id, "/bin/descriptors", jail.marker, pass_fds=[directory])
            assert done.returncode == 0, done.stderr
            found = Findings(done.stdout)
    finally:
        os.close(directory)
    assert found.open() == [] and found["end"]


def test_nothing_is_left_open_in_hooks(make_jail):  # noqa: F811
    """Hooks have their input and standard streams; those that run inside lead nowhere else."""
    jail = make_jail("usual")  # noqa: F811
    give_weapons(jail)
    (jail.rootfs / "bin/ls").symlink_to("busybox")
    kinds = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    (jail.top / "hooks").mkdir()
    jail.config["mounts"].append({"destination": str(jail.top / "hooks"), "source": str(jail.top / "hooks"), "options": ["bind", "rw"]})
    jail.config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"ls /proc/self/fd >{jail.top}/hooks/{kind}"]}]
                            for kind in kinds}
    directory = os.open("/", os.O_RDONLY)
    jail.write("/bin/privileges")
    jail.run("run", "--bundle", jail.bundle, jail.id, check=True, pass_fds=[directory])
    os.close(directory)
    for kind in kinds:  # 3: the directory that ls reads
        assert (jail.top / "hooks" / kind).read_text().split() == ["0", "1", "2", "3"], kind


@pytest.mark.parametrize("way", ["run", "exec"])
def test_listener_is_not_the_programs(make_jail, way):  # noqa: F811
    """Who answers for the filter's notifications is outside: the program has no descriptor of it."""
    jail = make_jail("usual")  # noqa: F811
    path = jail.top / "listener"
    filter_ = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(path),
               "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_NOTIFY"}]}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(TIMEOUT)
        if way == "exec":
            jail.start("wait")
            jail.wait_for("running")
            record = jail.state_root / jail.id / "record"  # two lines, and the configuration
            head = record.read_bytes().split(b"\n", 2)[:2]
            changed = {**jail.config, "linux": {**jail.config["linux"], "seccomp": filter_}}
            record.write_bytes(b"\n".join([*head, json.dumps(changed).encode()]))
            found = Findings(jail.run("exec", jail.id, "/bin/descriptors", jail.marker, check=True).stdout)
        else:
            jail.config["linux"]["seccomp"] = filter_
            found = jail.attack("descriptors", jail.marker)
        connection, _ = listener.accept()
        with connection:
            message, descriptors, _, _ = socket.recv_fds(connection, 65536, 4)
    for descriptor in descriptors:
        os.close(descriptor)
    assert len(descriptors) == 1 and json.loads(message)["pid"] > 1
    assert found.open() == [] and found["end"]


@pytest.mark.parametrize("way", ["run", "exec"])
def test_working_directory_stays_inside(jail, way):  # noqa: F811
    """CVE-2024-21626: process.cwd and --cwd by a descriptor that leads out."""
    directory = os.open("/", os.O_RDONLY)
    os.set_inheritable(directory, True)
    if way == "exec":
        jail.start("wait")
        jail.wait_for("running")
    for number in range(3, 16):
        for name in (f"/proc/self/fd/{number}", f"/proc/1/fd/{number}/etc"):
            if way == "run":
                jail.config["process"]["cwd"] = name
                jail.write("/bin/descriptors", jail.marker)
                done = jail.run("run", "--bundle", jail.bundle, jail.id, pass_fds=[directory])
            else:
                done = jail.run("exec", "--cwd", name, jail.id, "/bin/descriptors", jail.marker, pass_fds=[directory])
            assert done.returncode != 0 and "process.cwd" in done.stderr, done.stdout
    os.close(directory)


# -- the kernel's files -----------------------------------------------------------------------------------------

def test_kernel_files(jail):  # noqa: F811
    """sysrq-trigger, core_pattern, modprobe, uevent_helper, kcore, mem …: as they are, by other names, and after all that
    can be done with mounts, in own and in new namespaces."""
    found = jail.attack("kernel_files")
    assert found.open("end") == [] and found.open("masked") == []
    assert len(found.refused("end")) > 50
    if jail.kind in ("root", "usual"):  # without rights over its mounts not even the first steps
        assert found.open("means") in ([], ["means new user namespace (0)"])


def test_masked_paths_are_not_undone_by_exec(jail):  # noqa: F811
    jail.start("wait")
    jail.wait_for("running")
    found = Findings(jail.run("exec", jail.id, "/bin/kernel_files", check=True).stdout)
    assert found.open("end") == [] and found.open("masked") == [] and found.refused("end")


def test_attacks_bite(make_jail):  # noqa: F811
    """Where nothing protects, the same attacks succeed: so the tests here test."""
    jail = make_jail("usual").give(all_capabilities()).without("pid").without("network")  # noqa: F811
    jail.config["linux"].update(maskedPaths=[], readonlyPaths=[])
    assert jail.attack("kernel_files").open("end plain /proc/sys/kernel/core_pattern")
    name = f"visor-escape-{uuid.uuid4().hex[:8]}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen()
        found = jail.attack("namespaces", name)
    assert found.open("abstract socket") and found.open("mnt of the parent")
    directory = os.open("/", os.O_RDONLY)
    jail.write("/bin/descriptors", jail.marker)
    command = jail.command("run", "--preserve-fds", "1", "--bundle", jail.bundle, jail.id)
    done = subprocess.run(["bash", "-c", f'exec "$@" 3<&{directory}', "bash", *command], pass_fds=[directory], capture_output=True,
                          text=True, env=jail.environment(), check=True)
    os.close(directory)
    assert Findings(done.stdout).open("descriptor 3") and Findings(done.stdout).open("descriptor leads")


# -- mounts made for a container whose image or volumes an attacker has -----------------------------------------

def test_proc_is_not_put_elsewhere(jail):  # noqa: F811
    """CVE-2019-19921: /proc of the image is a link into a volume, which shows another proc, to be masked and written to."""
    fake = jail.top / "volume/proc"
    for name in ("self/attr", "sys/kernel", "sys/net"):
        (fake / name).mkdir(parents=True)
    (jail.rootfs / "proc").rmdir()
    (jail.rootfs / "proc").symlink_to("volume/proc")
    jail.own()
    jail.writable().with_volume()
    jail.write("/bin/kernel_files")
    done = jail.run("run", "--bundle", jail.bundle, jail.id)
    found = Findings(done.stdout)
    assert found.open("end") == [] and found.open("masked") == []
    assert done.returncode != 0 and "/proc" in done.stderr  # said, and not just mounted somewhere
    assert sorted(path.name for path in fake.iterdir()) == ["self", "sys"]


def test_masked_paths_in_a_volume(make_jail):  # noqa: F811
    """The mount that a masked path lies in is the one that was made, also where its name leads elsewhere by then."""
    jail = make_jail("usual").with_volume()  # noqa: F811
    (jail.top / "volume/sys").mkdir()
    jail.config["mounts"] = [mount for mount in jail.config["mounts"] if not mount["destination"].startswith("/sys")]
    (jail.rootfs / "sys").rmdir()
    (jail.rootfs / "sys").symlink_to("volume/sys")
    jail.config["mounts"].append({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]})
    jail.write("/bin/kernel_files")
    done = jail.run("run", "--bundle", jail.bundle, jail.id)
    assert done.returncode != 0 and "/sys" in done.stderr


def test_devices_are_made_in_no_volume(make_jail):  # noqa: F811
    """/dev of the image is a link into a volume: the device nodes of the container would be files of the host's."""
    jail = make_jail("usual").with_volume()  # noqa: F811
    (jail.rootfs / "dev").rmdir()
    (jail.rootfs / "dev").symlink_to("volume/dev")
    (jail.top / "volume/dev").mkdir()
    jail.config["linux"]["devices"] = [{"type": "b", "path": "/dev/disk", "major": 7, "minor": 0, "fileMode": 0o666}]
    jail.write("/bin/privileges")
    done = jail.run("run", "--bundle", jail.bundle, jail.id)
    assert done.returncode == 1 and "/dev" in done.stderr
    assert not list((jail.top / "volume/dev").iterdir())


def test_null_device_of_the_image(jail):  # noqa: F811
    """CVE-2025-31133: what is put over masked files is not what the image has as /dev/null."""
    outside = jail.top / "outside"
    outside.write_text("the host's")
    jail.config["mounts"] = [mount for mount in jail.config["mounts"] if not mount["destination"].startswith("/dev")]
    (jail.rootfs / "dev/null").symlink_to("/proc/sysrq-trigger")
    (jail.rootfs / "secret").write_text("secret")
    jail.own()
    jail.config["linux"]["maskedPaths"].append("/secret")
    jail.writable()
    jail.write("/bin/kernel_files")
    done = jail.run("run", "--bundle", jail.bundle, jail.id)
    found = Findings(done.stdout)
    assert found.open("end") == [] and found.open("masked") == []
    assert done.returncode == 0 or "/dev/null" in done.stderr, done.stderr


@pytest.mark.parametrize("target", ["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/../../../../etc/hostname"])
def test_console_of_the_image(jail, target):  # noqa: F811
    """CVE-2025-52565: the terminal is not put over, nor taken for, what the image's /dev/console leads to."""
    jail.config["mounts"] = [mount for mount in jail.config["mounts"] if mount["destination"] not in ("/dev", "/dev/shm", "/dev/mqueue")]
    (jail.rootfs / "dev/console").symlink_to(target)
    jail.own()
    jail.writable().config["process"]["terminal"] = True
    jail.write("/bin/kernel_files")
    done = jail.run("run", "--bundle", jail.bundle, jail.id)
    found = Findings(done.stdout.replace("\r", ""))
    assert done.returncode != 0 or found.refused("end")
    assert found.open("end") == [] and found.open("masked") == []


def test_settings_go_to_the_real_proc(make_jail):  # noqa: F811
    """CVE-2025-52881: sysctls and labels are not written to what the image has as /proc."""
    jail = make_jail("usual")  # noqa: F811
    fake = jail.rootfs / "proc/sys/net/ipv4"
    fake.mkdir(parents=True)
    (fake / "ip_forward").symlink_to("/proc/sysrq-trigger")
    (jail.rootfs / "proc/self").symlink_to("/")
    give_weapons(jail)
    jail.config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    jail.config["process"]["oomScoreAdj"] = 500
    jail.write("/bin/busybox", "cat", "/proc/sys/net/ipv4/ip_forward", "/proc/self/oom_score_adj")
    done = jail.run("run", "--bundle", jail.bundle, jail.id, check=True)
    assert done.stdout.split() == ["1", "500"]


@pytest.mark.parametrize("kind", ["usual", "user", "rootless"])
def test_races_in_mounts(make_jail, kind):  # noqa: F811
    """CVE-2021-30465, CVE-2023-27561: a container exchanges a directory and a link in a volume, while mounts of another one
    are made there."""
    attacker = make_jail(kind).with_volume()
    outside = attacker.top / "outside"
    (outside / "made").mkdir(parents=True)
    volume = attacker.top / "volume"
    (volume / "a").mkdir()
    (volume / "b").symlink_to("../" * 12 + str(outside)[1:])
    for path in (outside, outside / "made"):
        os.chmod(path, 0o777)
    if kind == "user":
        subprocess.run(["chown", "-hR", f"{SHIFT}:{SHIFT}", volume], check=True)
    attacker.own()
    attacker.start("swap", "/volume/a", "/volume/b", "/volume/stop")
    attacker.wait_for("running")
    attacker.config["mounts"] += [
        {"destination": "/volume/a/made/deep", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/volume/b/file", "source": str(attacker.marker), "options": ["bind", "ro"]},
    ]
    attacker.config["linux"]["maskedPaths"].append("/volume/a/made/masked")
    attacker.config["linux"]["readonlyPaths"].append("/volume/a/made")
    attacker.write("/bin/kernel_files")
    for number in range(20):
        done = attacker.run("run", "--bundle", attacker.bundle, f"{attacker.id}-{number}")
        found = Findings(done.stdout)
        assert found.open("end") == [] and found.open("masked") == [], done.stdout
        assert [str(path.relative_to(outside)) for path in outside.rglob("*")] == ["made"]
    (volume / "stop").touch()
    assert str(outside) not in pathlib.Path("/proc/self/mountinfo").read_text()


def test_races_in_shared_roots(make_jail):  # noqa: F811
    """CVE-2023-27561: a container has another one's root as a volume, and exchanges its /proc with a directory while that
    one is made. What is masked is proc, under whatever name it is by then."""
    jail = make_jail("root").writable()  # noqa: F811
    (jail.rootfs / "fake").mkdir()
    shutil.copytree(jail.rootfs, jail.bundle / "attacker")
    jail.config["root"]["path"] = "attacker"
    jail.config["mounts"].append({"destination": "/volume", "source": str(jail.rootfs), "options": ["bind", "rw"]})
    jail.start("swap", "/volume/proc", "/volume/fake", "/volume/tmp/stop")
    jail.wait_for("running")
    jail.config["root"]["path"] = "rootfs"
    jail.config["mounts"].pop()
    jail.write("/bin/kernel_files")
    for number in range(30):
        done = jail.run("run", "--bundle", jail.bundle, f"{jail.id}-{number}")
        found = Findings(done.stdout)
        assert found.open("end") == [] and found.open("masked") == [], done.stdout
    (jail.rootfs / "tmp/stop").touch()


# -- keyrings ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("way", ["run", "exec"])
def test_keyring_of_the_caller(jail, way):  # noqa: F811
    name = f"visor-escape-{uuid.uuid4().hex[:8]}"
    holder = [ATTACKS / "keyrings", "hold", name]
    if subprocess.run([*holder, "true"], check=False).returncode == 77:
        pytest.skip("this kernel has no keyrings")
    inside = subprocess.run([*holder, ATTACKS / "keyrings", name], capture_output=True, text=True, check=True)
    assert Findings(inside.stdout).open("search session")  # the attack works where nothing protects
    if way == "run":
        found = jail.attack("keyrings", name, before=holder)
    else:
        jail.start("wait")
        jail.wait_for("running")
        found = Findings(jail.run("exec", jail.id, "/bin/keyrings", name, before=holder, check=True).stdout)
    assert found.open() == [] and found.refused("search session")


def wait_for_key_collection():
    """Keys of processes that have ended make room a little later."""
    deadline, seen, since = time.monotonic() + 30, None, 0
    while time.monotonic() < deadline:
        now = pathlib.Path("/proc/key-users").read_text()
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > 0.5:
            return
        time.sleep(0.02)


def test_keyring_that_cannot_be_made(make_jail):  # noqa: F811
    """Who may have no more keys is told so, and not left with his caller's."""
    jail = make_jail("rootless")  # noqa: F811
    name = f"visor-escape-{uuid.uuid4().hex[:8]}"
    if subprocess.run([ATTACKS / "keyrings", "hold", name, "true"], check=False).returncode == 77:
        pytest.skip("this kernel has no keyrings")
    jail.write("/bin/keyrings", name)
    wait_for_key_collection()
    done = jail.run("run", "--bundle", jail.bundle, jail.id, before=[ATTACKS / "keyrings", "fill", name])
    assert done.returncode == 1 and "session keyring" in done.stderr, done.stdout


# -- devices ----------------------------------------------------------------------------------------------------

def host_devices():
    wanted = ["/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/loop-control", "/dev/tty0", "/dev/console"]
    words = []
    disks = sorted(pathlib.Path("/dev").glob("[hsv]d[a-z]"))[:2]
    for path in [pathlib.Path(name) for name in [*wanted, "/dev/loop0"]] + disks:
        if path.exists():
            number = path.stat().st_rdev
            words.append(f"{'b' if stat.S_ISBLK(path.stat().st_mode) else 'c'}:{os.major(number)}:{os.minor(number)}")
    return words


def test_devices(jail):  # noqa: F811
    """Nodes of the host's devices: not to be made without the right to, and not to be opened with it; nor is the filter
    of devices to be widened or left."""
    jail.with_volume()
    found = jail.attack("devices", "c:1:11", "b:7:0", *host_devices())
    assert found.open("open") == [] and found.open("widen") == [] and found.open("leave") == []
    assert found["own null device"] == ("works", "")
    assert found.refused("mknod") if jail.kind != "usual" else found.refused("open")
    assert not list((jail.top / "volume").iterdir())


def test_device_attack_bites(make_jail):  # noqa: F811
    """Where nothing protects, the same attack succeeds: so the test above tests."""
    jail = make_jail("usual")  # noqa: F811
    jail.config["linux"]["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
    assert jail.attack("devices", "b:7:0").open("open b:7:0 read")


# -- cgroups ----------------------------------------------------------------------------------------------------

def test_release_agent(jail):  # noqa: F811
    """CVE-2022-0492: no hierarchy of cgroups, seen or mounted, lets a container name a program for the host to run."""
    if not jail.user:
        jail.config["linux"]["resources"].update(pids={"limit": 50}, memory={"limit": 1 << 26})
    found = jail.attack("release_agent")
    assert found.open("agent") == [] and found.refused()
    assert found.open("limit shown") == []
    if jail.kind in ("user", "rootless"):  # the host's root needs a filter for that: docs/isolation.md
        assert found.open("limit") == []


# -- users ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["user", "rootless", "ranges"])
def test_unmapped_ids(make_jail, kind):  # noqa: F811
    """Files and numbers of users that the container's map does not have: no right over them, whatever its capabilities."""
    jail = make_jail(kind).with_volume()  # noqa: F811
    foreign = jail.top / "volume/foreign"
    foreign.write_text("the host's")
    os.chown(foreign, 0, 0)
    os.chmod(foreign, 0o600)
    before = identity(foreign)
    found = jail.attack("ids", "/volume/foreign", "70000")
    assert found.open() == [] and len(found.refused()) > 8
    assert identity(foreign) == before and foreign.read_text() == "the host's"


def test_files_made_inside_are_the_mapped_users(make_jail):  # noqa: F811
    """A program of "root" with the user bit, left in a volume, is no program of the host's root."""
    jail = make_jail("user").with_volume()  # noqa: F811
    give_weapons(jail)
    subprocess.run(["chown", "-hR", f"{SHIFT}:{SHIFT}", jail.rootfs], check=True)
    jail.write("/bin/sh", "-c", "cp /bin/busybox /volume/left; chmod 4755 /volume/left")
    jail.run("run", "--bundle", jail.bundle, jail.id, check=True)
    status = (jail.top / "volume/left").stat()
    assert status.st_uid == SHIFT and status.st_mode & stat.S_ISUID


def statuses(text):
    first, then = {}, {}
    for line in text.splitlines():
        into, line = (then, line[5:]) if line.startswith("then ") else (first, line)
        name, _, value = line.partition(":")
        into[name] = value.split()
    return first, then


@pytest.mark.parametrize("way", ["run", "exec"])
def test_no_new_privileges(make_jail, way):  # noqa: F811
    """A user without rights gains none by a file of root's with the user bit."""
    jail = make_jail("root")  # noqa: F811
    shutil.copy(ATTACKS / "privileges", jail.rootfs / "bin/raised")
    os.chmod(jail.rootfs / "bin/raised", 0o4755)
    jail.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    jail.config["process"]["capabilities"] = {"bounding": USUAL}
    for refuse in (True, False):
        jail.config["process"]["noNewPrivileges"] = refuse
        if way == "run":
            jail.write("/bin/privileges", "/bin/raised")
            text = jail.run("run", "--bundle", jail.bundle, jail.id, check=True).stdout
        else:
            jail.start("wait")
            jail.wait_for("running")
            text = jail.run("exec", jail.id, "/bin/privileges", "/bin/raised", check=True).stdout
            jail.run("delete", "--force", jail.id, check=True)
        first, then = statuses(text)
        assert first["Uid"] == ["1000"] * 4 and int(first["CapPrm"][0], 16) == 0
        if refuse:
            assert then["Uid"] == ["1000"] * 4 and int(then["CapPrm"][0], 16) == 0 and then["NoNewPrivs"] == ["1"]
        else:  # the attack works where nothing protects, but not beyond the bounding set
            assert then["Uid"][1] == "0" and then["CapPrm"] == first["CapBnd"]


@pytest.mark.parametrize("way", ["run", "exec"])
def test_capabilities_are_what_the_bundle_says(jail, way):  # noqa: F811
    if way == "run":
        jail.write("/bin/privileges", "/bin/privileges")
        text = jail.run("run", "--bundle", jail.bundle, jail.id, check=True).stdout
    else:
        jail.start("wait")
        jail.wait_for("running")
        text = jail.run("exec", jail.id, "/bin/privileges", "/bin/privileges", check=True).stdout
    wanted = jail.config["process"]["capabilities"]["bounding"]
    for found in statuses(text):
        for name in ("CapPrm", "CapEff", "CapBnd"):
            assert int(found[name][0], 16).bit_count() <= len(wanted)
        assert int(found["CapAmb"][0], 16) == 0


def test_state_of_another_user(make_jail):  # noqa: F811
    """What another user says that there is of containers, as who has made the directory in /tmp first may, is not believed."""
    jail = make_jail("rootless")  # noqa: F811
    record = {"ociVersion": "1.1.0", "id": "false", "bundle": "/", "rootfs": "/", "created": "", "pid": os.getpid(),
              "startTime": 1}
    (jail.state_root / "false").mkdir(parents=True)
    (jail.state_root / "false/record").write_text(json.dumps(record))
    for path in (jail.state_root, jail.state_root / "false", jail.state_root / "false/record"):
        os.chown(path, 1234, 1234)
        os.chmod(path, 0o777)
    for words in (["state", "false"], ["kill", "false"], ["delete", "--force", "false"], ["run", "--bundle", jail.bundle, "new"]):
        jail.write("/bin/privileges")
        done = jail.run(*words)
        assert done.returncode == 1 and "another user's" in done.stderr, (words, done.stderr)
    assert [path.name for path in jail.state_root.iterdir()] == ["false"]
    shutil.rmtree(jail.state_root)


# -- terminals --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("way", ["run", "exec"])
@pytest.mark.parametrize("own", [False, True])
def test_typing_into_the_callers_terminal(jail, way, own):  # noqa: F811
    """Nothing that the container does comes out as the caller's typing, with his terminal as its standard streams, and with
    one of its own."""
    ours, theirs = pty.openpty()
    settings = termios.tcgetattr(theirs)
    settings[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(theirs, termios.TCSANOW, settings)

    def session():
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "preexec_fn": session}
    words = ["/bin/terminal"] + (["own"] if own else [])
    if way == "run":
        jail.config["process"]["terminal"] = own
        jail.write(*words)
        command = jail.command("run", "--bundle", jail.bundle, jail.id)
    else:
        jail.start("wait")
        jail.wait_for("running")
        command = jail.command("exec", *(["--tty"] if own else []), jail.id, *words)
    process = subprocess.Popen(command, **jail.identity(), **streams)
    jail.processes.append(process)
    text = b""
    deadline = time.monotonic() + TIMEOUT
    while b"end: refused" not in text:
        if select.select([ours], [], [], 0.1)[0]:
            text += os.read(ours, 4096)
        else:
            assert process.poll() is None and time.monotonic() < deadline, text
    assert process.wait(timeout=TIMEOUT) == 0, text
    found = Findings(text.decode().replace("\r", ""))
    assert found.open() == (["own /dev/tty (3)"] if own else []), text
    waiting = fcntl.ioctl(theirs, termios.FIONREAD, b"\0\0\0\0")
    os.close(ours)
    os.close(theirs)
    assert waiting == b"\0\0\0\0"


def test_names_of_processes_do_not_command_terminals(jail):  # noqa: F811
    """What lists a container's processes prints no control characters of theirs."""
    process = jail.start("terminal", "title", "\x1b]0;X\x07", "\u009b2J\x7f")
    assert process.stdout.readline() == "named\n"
    output = subprocess.run(jail.command("ps", jail.id), capture_output=True, check=True, **jail.identity()).stdout
    assert output.count(b"\n") in (2, 3) and b"title" in output
    text = output.decode(errors="replace")
    assert not [letter for letter in text if (ord(letter) < 32 and letter != "\n") or 0x7f <= ord(letter) < 0xa0], output


# -- namespaces and file handles --------------------------------------------------------------------------------

def test_namespaces_of_the_host(jail):  # noqa: F811
    """setns() to the host's by processes, relatives and handles; abstract sockets of its network."""
    name = f"visor-escape-{uuid.uuid4().hex[:8]}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen()
        found = jail.attack("namespaces", name)
    if jail.kind == "rootless":  # `spec --rootless` shares the host's network, as docs/isolation.md says
        assert found.open() == ["abstract socket (0)"]
    else:
        assert found.open() == []
    assert len(found.refused()) > 10


def test_file_handles(jail):  # noqa: F811
    """open_by_handle_at() ("shocker") does not reach what the container has no path to."""
    found = jail.attack("handles", jail.marker)
    assert found.open() == [] and found.refused()


def test_file_handle_attack_bites(make_jail):  # noqa: F811
    if subprocess.run(["stat", "-fc", "%T", "/"], capture_output=True, text=True, check=True).stdout.strip() != "ext2/ext3":
        pytest.skip("the guesses are for ext4")
    jail = make_jail("usual")  # noqa: F811
    if os.stat(jail.top).st_dev != os.stat("/").st_dev:
        pytest.skip("the bundle is not on the root's file system")
    jail.give(all_capabilities())
    assert jail.attack("handles", jail.marker).open("handle")
