# SPDX-License-Identifier: GPL-2.0-or-later
"""A store of domains of a test's own."""
import json
import os
import re
import socket
import time

from conftest import run_visor

TIMEOUT = 60  # of a host that is very busy


class Store:
    def __init__(self, path, kernel):
        self.path = path
        self.options = ("--kernel", kernel, "--net", "none", "--memory", "16M")

    def environment(self):
        return {**os.environ, "VISOR_STORE": str(self.path)}

    def run(self, *words, **options):
        """Runs visor with this store."""
        return run_visor(*words, env=self.environment(), timeout=TIMEOUT, **options)

    def ok(self, *words, **options):
        result = self.run(*words, **options)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def start(self, name, *options):
        return self.ok("run", "-d", "--name", name, *options, *self.options).strip()

    def state(self, name):
        return json.loads(self.ok("inspect", name))[0]["state"]

    def guest(self, name):
        """The process in which its guest is: its own, or a child of that."""
        state = self.state(name)
        return state.get("guest_pid", state["pid"])

    def wait_for_log(self, name, text, count=1):
        deadline = time.monotonic() + TIMEOUT
        while self.run("logs", name).stdout.count(text) < count:
            assert time.monotonic() < deadline, self.run("logs", name)
            time.sleep(0.02)

    def wait_for_status(self, name, status):
        deadline = time.monotonic() + TIMEOUT
        while self.state(name)["status"] != status:
            assert time.monotonic() < deadline, self.state(name)
            time.sleep(0.02)

    def send(self, name, text):
        """Types into the console."""
        path = json.loads(self.ok("inspect", name))[0]["paths"]["console"]
        with connect(path) as console:
            console.sendall(text.encode())
            time.sleep(0.05)

    def check_whole(self):
        """Nothing half made is there, once a command has run."""
        names = set(self.ok("ps", "-a", "--format", "{{.Name}}").split())
        if not self.path.exists():
            return names
        assert {p.name for p in (self.path / "names").iterdir()} == names
        domains = [p.name for p in (self.path / "domains").iterdir()]
        assert len(domains) == len(names) and all(re.fullmatch("[0-9a-f]{16}", d) for d in domains)
        running = set(self.ok("ps", "-q", "--no-trunc").split())
        run = {p.name for p in (self.path / "run").iterdir()} - {"containers", "networks"}
        assert running <= run <= set(domains)
        containers = {p.name for p in (self.path / "run").glob("containers/*") if not p.name.startswith(".")}
        assert containers <= running
        return names


def connect(path):
    console = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    console.settimeout(TIMEOUT)
    directory = os.open(os.path.dirname(path), os.O_PATH)
    console.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    os.close(directory)
    return console
