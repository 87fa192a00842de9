# SPDX-License-Identifier: GPL-2.0-or-later
"""`visor oci`: bundles of arm64 programs run on this host, with nothing set up for them."""
import json
import os
import shutil
import signal
import subprocess

import pytest

from conftest import ROOT, VISOR
from oci_runtime import NEEDED, refused, rootless, runtime  # noqa: F401

pytestmark = NEEDED

# Says what it is, and executes what it is told.
PROGRAM = """
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    struct utsname name;
    uname(&name);
    printf("%s %d %d %s\\n", name.machine, getpid() == 1, (int)geteuid(), arguments[0]);
    fflush(stdout);
    if (count > 2 && !strcmp(arguments[1], "exec"))
        execv(arguments[2], arguments + 2);
    if (count > 1 && !strcmp(arguments[1], "wait"))
        pause();
    return 3;
}
"""


@pytest.fixture(name="program")
def compiled(arm64_compiler):
    return arm64_compiler("foreign", PROGRAM)


def put(runtime, program):
    shutil.copy(program, runtime.rootfs / "bin/foreign")
    return "/bin/foreign"


def test_debian_of_another_cpu(runtime):
    if not (ROOT / "bin/sh").exists():
        pytest.fail(f"no arm64 root at {ROOT}: scripts/debian-root makes it")
    runtime.config["root"] = {"path": str(ROOT), "readonly": True}
    script = "uname -m; readlink /proc/1/exe; perl -e 'print qx(uname -m), $$, \"\\n\"'; ls /proc/self/fd | wc -l; " \
             "cat /proc/self/mountinfo /proc/self/environ | tr '\\0' '\\n' | grep -ci visor_; exit 5"
    done = runtime.container("sh", "-c", script)
    assert done.returncode == 5, done.stderr
    machine, exe, child, pid, descriptors, traces = done.stdout.split()
    assert (machine, child) == ("aarch64", "aarch64") and exe.endswith("sh") and 1 < int(pid) < 10
    assert int(descriptors) == 4 and traces == "0"


def test_life_and_exec(runtime, program):
    runtime.create(put(runtime, program), "wait")
    runtime.run("start", runtime.id, check=True)
    assert runtime.state()["status"] == "running"
    done = runtime.run("exec", runtime.id, "/bin/foreign", "exec", "/bin/foreign")
    assert (done.returncode, done.stdout) == (3, "aarch64 0 0 /bin/foreign\n" * 2), done.stderr
    done = runtime.run("exec", runtime.id, "/bin/foreign", "exec", "/bin/echo", "native")
    assert done.stdout == "aarch64 0 0 /bin/foreign\nnative\n"
    runtime.run("kill", runtime.id, "KILL", check=True)
    runtime.wait_for("stopped")


def test_script_of_a_foreign_program(runtime, program):
    put(runtime, program)
    script = runtime.rootfs / "script"
    script.write_text("#!/bin/foreign wait-not\n")
    script.chmod(0o755)
    done = runtime.container("/script", "argument")
    assert (done.returncode, done.stdout) == (3, "aarch64 1 0 /bin/foreign\n"), done.stderr


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_filter_and_limits(runtime, program, no_new_privileges):
    runtime.config["process"]["noNewPrivileges"] = no_new_privileges
    runtime.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    runtime.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]
    runtime.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]}
    done = runtime.container(put(runtime, program), "exec", "/bin/foreign")
    assert (done.returncode, done.stdout) == (3, "aarch64 1 1000 /bin/foreign\n" * 2), done.stderr


def test_without_proc_and_own_pids(runtime, program):
    runtime.config["mounts"] = [m for m in runtime.config["mounts"] if m["destination"] != "/proc"]
    runtime.config["linux"].update(maskedPaths=[], readonlyPaths=[])
    runtime.config["linux"]["namespaces"] = [n for n in runtime.config["linux"]["namespaces"] if n["type"] != "pid"]
    done = runtime.container(put(runtime, program), "exec", "/bin/foreign")
    assert (done.returncode, done.stdout) == (3, "aarch64 0 0 /bin/foreign\n" * 2), done.stderr


def test_rootless(rootless, program):
    done = rootless.container(put(rootless, program), "exec", "/bin/foreign")
    assert (done.returncode, done.stdout) == (3, "aarch64 1 0 /bin/foreign\n" * 2), done.stderr


def test_user_namespace_of_root(runtime, program):
    runtime.config["linux"]["namespaces"].append({"type": "user"})
    maps = [{"containerID": 0, "hostID": 200000, "size": 1000}]
    runtime.config["linux"].update(uidMappings=maps, gidMappings=maps)
    subprocess.run(["chown", "-R", "200000:200000", runtime.rootfs], check=True)
    done = runtime.container(put(runtime, program), "exec", "/bin/foreign")
    assert (done.returncode, done.stdout) == (3, "aarch64 1 0 /bin/foreign\n" * 2), done.stderr


def test_missing_loader_is_the_error_of_create(runtime):
    (runtime.top / "dynamic.c").write_text("int main(void) { return 0; }")
    subprocess.run(["aarch64-linux-gnu-gcc", "-o", runtime.rootfs / "bin/dynamic", runtime.top / "dynamic.c"], check=True)
    refused(runtime.container("/bin/dynamic"), "/bin/dynamic", "ld-linux-aarch64")
    assert not any((runtime.top / "state").glob("[!.]*"))


def test_visors_file_cannot_be_written_from_inside(runtime, program):
    """CVE-2019-5736: what the container's processes execute and have open is not the host's file."""
    before = VISOR.stat()
    put(runtime, program)
    runtime.create("/bin/foreign", "wait")
    runtime.run("start", runtime.id, check=True)
    script = "exec 3</proc/1/exe; for f in /proc/1/exe /proc/1/fd/* /proc/self/fd/3; do ls -i $(readlink $f); " \
             "(echo x >$f) 2>/dev/null && echo written $f; done; ls /proc/1/fd; true"
    output = runtime.run("exec", runtime.id, "sh", "-c", script, check=True).stdout
    written = {line.split()[1] for line in output.splitlines() if line.startswith("written")}
    assert not written - {f"/proc/1/fd/{n}" for n in (0, 1, 2)}, output  # the streams are the caller's
    pid = runtime.state()["pid"]
    with open(f"/proc/{pid}/exe", "rb") as image:
        assert os.fstat(image.fileno()).st_dev != before.st_dev
    runtime.run("kill", runtime.id, str(int(signal.SIGKILL)), check=True)
    runtime.wait_for("stopped")
    assert (VISOR.stat().st_mtime_ns, VISOR.stat().st_size) == (before.st_mtime_ns, before.st_size)


def test_damaged_program_of_another_cpu(runtime):
    header = bytearray(64)
    header[:20] = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00"
    (runtime.rootfs / "damaged").write_bytes(bytes(header))
    os.chmod(runtime.rootfs / "damaged", 0o755)
    refused(runtime.container("/damaged"), "/damaged")
    assert json.loads(runtime.run("list", "--format", "json", check=True).stdout) == []


def test_domain_of_a_root_tree(runtime, program):
    """`visor run DIRECTORY` is such a container, too."""
    command = put(runtime, program)
    done = subprocess.run([VISOR, "run", runtime.rootfs, command, "exec", command], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3 and [line.split()[0] for line in done.stdout.splitlines()] == ["aarch64"] * 2, done.stderr
