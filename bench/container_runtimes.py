# SPDX-License-Identifier: GPL-2.0-or-later
"""What bench/containers measures: a bundle, the runtimes' commands, and their processes."""
import ctypes
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

BUSYBOX = "/bin/busybox"
PR_SET_CHILD_SUBREAPER = 36
NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup")
CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
MOUNTS = [
    ("/proc", "proc", "proc", []),
    ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
    ("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"]),
]
MASKED = ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def become_reaper():
    """Containers' processes become children of this one, so that their time counts and their end is seen."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Bundle:
    """What `runc spec` writes, without a terminal: the same for every runtime."""

    def __init__(self, top, name, arguments, resources=None, seccomp=None):
        self.top, self.path = top, top / name
        programs = self.path / "rootfs/bin"
        programs.mkdir(parents=True)
        shutil.copy(BUSYBOX, programs / "busybox")
        for program in ("sh", "true", "sleep"):
            (programs / program).symlink_to("busybox")
        rules = {"devices": [{"allow": False, "access": "rwm"}]}
        linux = {"resources": {**rules, **(resources or {})}, "namespaces": [{"type": n} for n in NAMESPACES],
                 "maskedPaths": MASKED, "readonlyPaths": READ_ONLY}
        if seccomp:
            linux["seccomp"] = seccomp
        process = {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": arguments, "cwd": "/",
                   "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
                   "capabilities": {k: CAPABILITIES for k in ("bounding", "effective", "permitted")},
                   "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}], "noNewPrivileges": True}
        mounts = [{"destination": d, "type": t, "source": s, "options": o} for d, t, s, o in MOUNTS]
        (self.path / "config.json").write_text(json.dumps(
            {"ociVersion": "1.0.2", "process": process, "root": {"path": "rootfs", "readonly": True},
             "hostname": "bench", "mounts": mounts, "linux": linux}))


class Runtime:
    """A command line as runc has it, with a state directory of its own."""

    def __init__(self, name, command, top):
        self.name, self.program = name, os.path.realpath(command[0])
        self.command = [*command, "--root", str(top / f"state-{name}")]
        self.output = top / f"output-{name}"
        self.complaint = ""

    def begin(self, *arguments):
        return self.begin_words([*self.command, *map(str, arguments)])

    def begin_words(self, words):
        output = (os.POSIX_SPAWN_OPEN, 2, str(self.output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1)]
        return os.posix_spawn(words[0], words, os.environ, file_actions=[*null, output])

    def call(self, *arguments):
        self.spawn([*self.command, *map(str, arguments)])

    def spawn(self, words):
        status = os.waitstatus_to_exitcode(os.waitpid(self.begin_words(words), 0)[1])
        if status != 0:
            sys.exit(f"bench: {' '.join(words)}: {self.output.read_text()}")

    def works(self, bundle):
        status = os.waitstatus_to_exitcode(os.waitpid(self.begin("run", "--bundle", bundle.path, "try"), 0)[1])
        self.complaint = self.output.read_text().strip().splitlines()[-1:] if status else ""
        shutil.rmtree(bundle.path)
        return status == 0

    def wait_until_runs(self, name):
        while True:
            done = subprocess.run([*self.command, "state", name], capture_output=True, text=True, check=False)
            if done.returncode == 0 and json.loads(done.stdout)["status"] == "running":
                return
            time.sleep(0.01)

    def measure(self, work, bundle, name):
        """Seconds: of the clock, and of processors."""
        def spent():
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            return usage.ru_utime + usage.ru_stime
        begin, used = time.monotonic(), spent()
        work(self, bundle, name)
        return time.monotonic() - begin, spent() - used


class Processes:
    """Of the host, by /proc."""

    @staticmethod
    def reap():
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            pass

    @staticmethod
    def all():
        return {entry.name for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()}

    @staticmethod
    def of_program(program, containers, before):
        """Those that execute it and were not there before, by container: how many, and KiB that are theirs alone (USS)
        and their share (PSS). An overlay or a copy of the program has only its name, and so have its helpers."""
        found = {"processes": 0, "uss": 0, "pss": 0}
        name = os.path.basename(program)
        for entry in (pathlib.Path("/proc") / number for number in Processes.all() - before):
            try:
                exe = os.readlink(entry / "exe")
                if exe not in (program, f"/{name}") and not exe.startswith(f"/memfd:{name}"):
                    continue
                text = (entry / "smaps_rollup").read_text()
            except OSError:
                continue  # it has ended, or is the kernel's own
            lines = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
            found["processes"] += 1
            found["pss"] += lines["Pss"]
            found["uss"] += lines["Private_Clean"] + lines["Private_Dirty"]
        return {name: value / containers for name, value in found.items()}
