# SPDX-License-Identifier: GPL-2.0-or-later
"""The same ways out of containers that are domains: `visor run DIRECTORY`, with visor's own filter of system calls, as root
and as an ordinary user."""
import os
import subprocess
import time
import uuid

import pytest

from jail import ATTACKS, TIMEOUT, Findings, domain, needs_root  # noqa: F401
from test_escape import host, host_devices  # noqa: F401

pytestmark = needs_root


def test_nothing_is_left_open(domain):  # noqa: F811
    directory = os.open("/", os.O_RDONLY)
    os.set_inheritable(directory, True)
    try:
        found = domain.attack("descriptors", domain.marker, pass_fds=[directory])
        assert found.open() == [] and found["end"]
        for number in range(3, 12):
            done = domain.visor("run", "--workdir", f"/proc/self/fd/{number}", domain.root, "/bin/descriptors", domain.marker,
                                pass_fds=[directory])
            assert done.returncode == 126 and "process.cwd" in done.stderr, done.stdout + done.stderr
    finally:
        os.close(directory)


def test_nothing_is_left_open_in_the_background(domain):  # noqa: F811
    assert domain.visor("run", "-d", "--name", "d", domain.root, "/bin/descriptors", domain.marker).returncode == 0
    assert domain.visor("wait", "d").returncode == 0
    found = Findings(domain.visor("logs", "d").stdout)
    assert found.open() == [] and found["end"]


@pytest.mark.parametrize("program", ["/script", "/proc/self/exe"])
def test_own_file_as_program(domain, program):  # noqa: F811, `host` looks at the file
    (domain.root / "script").write_text("#!/proc/self/exe\n")
    os.chmod(domain.root / "script", 0o755)
    assert domain.visor("run", domain.root, program).returncode != 0


def test_system_calls(domain):  # noqa: F811
    """What docs/container-limits.md says of visor's own filter."""
    found = domain.attack("calls")
    others = {"clone3": "ENOSYS", "personality": "ENOSYS", "socket vsock": "EAFNOSUPPORT"}
    assert len(found) > 40
    for name, (word, _) in found.items():
        if name != "chroot":  # its capability is given
            assert word == others.get(name, "EPERM"), name
    free = domain.attack("calls", options=["--seccomp", "unconfined"])
    assert free["io_uring_enter"][0] == "EBADF"  # without the filter the kernel gets to see it


def test_kernel_files(domain):  # noqa: F811
    found = domain.attack("kernel_files")
    assert found.open() == [] and len(found.refused("end")) > 50


def test_devices(domain):  # noqa: F811
    found = domain.attack("devices", "c:1:11", "b:7:0", *host_devices())
    assert found.open("open") == [] and found.open("widen") == [] and found.open("leave") == []


def test_limits_are_not_lifted(domain):  # noqa: F811
    found = domain.attack("release_agent", options=[] if domain.user else ["--memory", "64M", "--pids-limit", "50"])
    assert found.open() == [] and found.refused()


def test_keyrings_namespaces_and_handles(domain):  # noqa: F811
    name = f"visor-escape-{uuid.uuid4().hex[:8]}"
    if subprocess.run([ATTACKS / "keyrings", "hold", name, "true"], check=False).returncode != 77:
        assert domain.attack("keyrings", name, before=[ATTACKS / "keyrings", "hold", name]).open() == []
    assert domain.attack("namespaces", name).open() == []
    assert domain.attack("handles", domain.marker).open() == []


def test_users_are_looked_up_inside(domain):  # noqa: F811
    """--user NAME: by the container's own files, wherever their links lead."""
    (domain.root / "etc/passwd").symlink_to("../" * 12 + "etc/passwd")
    done = domain.visor("run", "--user", "root", domain.root, "/bin/privileges", "/bin/privileges")
    assert done.returncode == 126 and "root" in done.stderr
    (domain.root / "etc/passwd").unlink()
    os.mkfifo(domain.root / "etc/passwd")
    domain.own()
    done = domain.visor("run", "--user", "root", domain.root, "/bin/privileges", "/bin/privileges")
    assert done.returncode == 126


def test_exec_gives_nothing_away(domain):  # noqa: F811
    """Who looks at `visor exec` while it goes in, with the right to look into others."""
    options = ["--cap-add", "SYS_PTRACE"]
    assert domain.visor("run", "-d", "--name", "d", *options, domain.root, "/bin/joining", domain.marker, "/tmp/stop").returncode == 0
    deadline = time.monotonic() + TIMEOUT
    while "watching" not in domain.visor("logs", "d").stdout:
        assert time.monotonic() < deadline
    for _ in range(50):
        done = domain.visor("exec", "d", "/bin/privileges")
        assert done.returncode == 0, done.stderr
    (domain.root / "tmp/stop").touch()
    domain.visor("wait", "d")
    text = domain.visor("logs", "d").stdout
    assert "seen: " in text and "open" not in text, text
