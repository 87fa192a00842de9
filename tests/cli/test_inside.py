# SPDX-License-Identifier: GPL-2.0-or-later
"""`visor exec` and `visor cp`: programs in domains that run, files to and from them, whatever the kind."""
import fcntl
import os
import pathlib
import pty
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest

from conftest import VISOR, run_visor
from guest_kernel import DISK, NET, VSOCK
from test_machine import kernel  # noqa: F401 (a fixture)

TIMEOUT = 300  # of a host that is very busy

BUSYBOX = pathlib.Path("/bin/busybox")
AGENT = VISOR.parent / "agent/visor-agent"
GUEST = (f"load {' '.join(DISK + NET + VSOCK)}; mkdir -p /dev/pts /etc; mount -t devpts none /dev/pts; hostname guest;"
         "echo root:x:0:0::/:/bin/sh >/etc/passwd; echo someone:x:1000:1000::/tmp:/bin/sh >>/etc/passwd;"
         "printf '#!/no/interpreter\\n' >/tmp/broken; echo READY; ")


class Domain:
    """One that runs."""

    def __init__(self, name, kind, store):
        self.name, self.kind, self.environment = name, kind, {**os.environ, "VISOR_STORE": str(store)}

    def visor(self, *words, **options):
        return run_visor(*words, env=self.environment, **{"timeout": TIMEOUT, **options})

    def exec(self, *words, options=(), **keywords):
        return self.visor("exec", *options, self.name, *words, **keywords)

    def shell(self, script, **keywords):
        done = self.exec("sh", "-c", script, **keywords)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def popen(self, *words, **keywords):
        return subprocess.Popen([VISOR, *map(str, words)], env=self.environment, **keywords)

    def wait_until(self, script):
        """Until the shell says so."""
        deadline = time.monotonic() + TIMEOUT
        while self.exec("sh", "-c", script).returncode:
            assert time.monotonic() < deadline, script
            time.sleep(0.05)


def start_machine(kernel, directory):  # noqa: F811
    initrd = kernel.initrd(directory, GUEST + "exec /bin/visor-agent", {"bin/visor-agent": AGENT.read_bytes()})
    domain = Domain("box", "machine", directory / "store")
    done = domain.visor("run", "-d", "--name", "box", "--kernel", kernel.image, "--initrd", initrd, "--append",
                        "console=ttyS0 quiet", "--memory", "256M", "--net", "none")
    assert done.returncode == 0, done.stderr
    domain.wait_until("true")
    return domain


def make_root(directory):
    """A root tree of busybox."""
    for name in ("bin", "etc", "tmp", "dev", "proc", "sys"):
        (directory / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, directory / "bin/busybox")
    for name in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if not (directory / "bin" / name).exists():
            (directory / "bin" / name).symlink_to("busybox")
    (directory / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nsomeone:x:1000:1000::/tmp:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:\nsomeone:x:1000:\n")
    return directory


def start_container(directory, *options):
    root = make_root(directory / "root")
    domain = Domain("box", "container", directory / "store")
    done = domain.visor("run", "-d", "--name", "box", "--net", "none", *options, root, "sleep", "100000")
    assert done.returncode == 0, done.stderr
    domain.root = root
    return domain


@pytest.fixture(scope="module", params=["container", "machine"])
def domain(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "machine":
        domain = start_machine(request.getfixturevalue("kernel"), directory)
    else:
        domain = start_container(directory)
    yield domain
    domain.visor("rm", "--force", "--all")


# -- exec ----------------------------------------------------------------------------------------------------

def test_status(domain):
    done = domain.exec("sh", "-c", "echo out; echo wrong >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "wrong\n")
    assert domain.exec("true").returncode == 0
    assert domain.exec("sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_what_cannot_be_executed(domain):
    done = domain.exec("/no/such/program")
    assert done.returncode == 127 and "/no/such/program" in done.stderr and done.stderr.count("\n") == 1
    done = domain.exec("no-such-program")
    assert done.returncode == 127 and "no-such-program" in done.stderr
    done = domain.exec("/etc/passwd")
    assert done.returncode == 126 and "/etc/passwd" in done.stderr


def test_input_is_passed_on_only_if_wanted(domain):
    data = os.urandom(3 << 20)
    done = subprocess.run([VISOR, "exec", "-i", domain.name, "cat"], input=data, capture_output=True, timeout=TIMEOUT,
                          env=domain.environment)
    assert done.returncode == 0 and done.stdout == data
    assert domain.exec("cat", stdin="not wanted").stdout == ""
    # one that reads nothing does not stand in the way of its end
    assert domain.exec("true", options=["-i"], stdin="x" * (1 << 20)).returncode == 0


def test_environment_user_directory(domain):
    done = domain.exec("sh", "-c", "id -u; id -g; pwd; echo $COLOUR $VISOR_STORE",
                       options=["-u", "someone", "-w", "/bin", "-e", "COLOUR=red", "--env", "VISOR_STORE"])
    assert done.stdout.split() == ["1000", "1000", "/bin", "red", domain.environment["VISOR_STORE"]]
    assert domain.shell("id -u; id -g", options=["--user", "33:44"]).split() == ["33", "44"]
    assert domain.shell("id -u").strip() == "0"
    done = domain.exec("true", options=["-u", "nobody-knows"])
    assert done.returncode in (125, 126) and "nobody-knows" in done.stderr


def test_what_is_left_behind_is_not_waited_for(domain):
    assert domain.shell("sleep 1000 & echo there") == "there\n"
    domain.shell("pkill sleep || killall sleep")


def test_detached(domain):
    assert domain.exec("sh", "-c", "echo heard; sleep 0.2; echo done >/tmp/detached", options=["-d"]).stdout == ""
    domain.wait_until("grep done /tmp/detached")
    assert domain.exec("no-such-program", options=["-d"]).returncode == 127
    assert domain.exec("cat", options=["-d", "-i"]).returncode == 2


def test_signals_reach_the_program(domain):
    process = domain.popen("exec", domain.name, "sh", "-c", "trap 'echo got; exit 3' TERM; echo READY; while :; do sleep 0.05; done",
                           stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "READY\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "got\n" and process.wait(TIMEOUT) == 3


class Terminal:
    """A terminal of which a command's is the other end."""

    def __init__(self, domain, *words, rows=30, columns=100):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = domain.popen("exec", *words, stdin=slave, stdout=slave, stderr=slave,
                                    preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), start_new_session=True)
        self.text = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, wanted):
        deadline = time.monotonic() + TIMEOUT
        while wanted not in self.text:
            assert time.monotonic() < deadline, self.text
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 65536).decode()

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self):
        status = self.process.wait(TIMEOUT)
        assert termios.tcgetattr(self.slave) == self.before
        os.close(self.slave)
        os.close(self.master)
        return status


def test_terminal(domain):
    terminal = Terminal(domain, "-it", domain.name, "sh", rows=31, columns=97)
    terminal.type("stty size; tty; echo TERM=$TERM; echo RE''ADY\n")
    terminal.wait_for("READY")
    assert "31 97" in terminal.text and "/dev/pts/" in terminal.text and f"TERM={os.environ.get('TERM', '')}" in terminal.text
    terminal.resize(40, 120)
    deadline = time.monotonic() + TIMEOUT
    while "40 120" not in terminal.text:  # nothing says when it has come
        assert time.monotonic() < deadline
        terminal.type("stty size; echo ONE''MORE\n")
        terminal.text = ""
        terminal.wait_for("ONEMORE")
    terminal.type("sleep 1000\n")
    time.sleep(0.3)
    terminal.type("\x03")  # Ctrl-C is the program's, and not the command's
    terminal.type("echo status $?; echo AL''IVE\n")
    terminal.wait_for("ALIVE")
    assert "status 130" in terminal.text
    terminal.type("exit 5\n")
    assert terminal.end() == 5


def test_terminal_comes_back_when_the_command_is_killed(domain):
    terminal = Terminal(domain, "-it", domain.name, "sh", "-c", "echo READY; sleep 1000")
    terminal.wait_for("READY")
    assert termios.tcgetattr(terminal.slave) != terminal.before
    terminal.process.kill()
    terminal.process.wait(TIMEOUT)
    deadline = time.monotonic() + TIMEOUT
    while termios.tcgetattr(terminal.slave) != terminal.before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    domain.exec("sh", "-c", "pkill sleep || killall sleep")


@pytest.fixture
def container(domain):
    if domain.kind != "container":
        pytest.skip("of containers")
    return domain


def test_nothing_of_the_host_is_handed_in(container, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the host\n")
    with open(secret) as stream, open(secret, "r+") as other:
        done = subprocess.run([VISOR, "exec", "-i", "box", "sh", "-c",
                               "for fd in /proc/self/fd/*; do readlink $fd; done; cat; echo changed 2>&1 >/proc/self/fd/0; pwd"],
                              stdin=stream, capture_output=True, text=True, env=container.environment, timeout=TIMEOUT,
                              pass_fds=[other.fileno()])
    assert done.returncode == 0 and "of the host" in done.stdout
    assert secret.read_text() == "of the host\n" and str(tmp_path) not in done.stdout
    links = [line for line in done.stdout.splitlines() if line.startswith(("/", "pipe:", "socket:"))]
    assert all(link.startswith(("pipe:", "/proc/")) or link == "/" for link in links), links


def test_exec_is_as_confined_as_the_container(container):
    seccomp = container.shell("grep -E '^(Seccomp|CapBnd|NoNewPrivs):' /proc/1/status")
    assert container.shell("grep -E '^(Seccomp|CapBnd|NoNewPrivs):' /proc/self/status") == seccomp and "Seccomp:\t2" in seccomp
    assert container.shell("readlink /proc/self/ns/pid") == container.shell("readlink /proc/1/ns/pid")
    assert container.shell("cat /proc/self/cgroup") == container.shell("cat /proc/1/cgroup")


def test_home_is_the_users(container):
    assert container.shell("echo $HOME", options=["-u", "someone"]) == "/tmp\n"
    assert container.shell("echo $HOME", options=["-u", "someone", "-e", "HOME=/mine"]) == "/mine\n"


# -- what cannot be entered ----------------------------------------------------------------------------------

def test_nothing_to_enter(domain, tmp_path):
    done = domain.visor("exec", "nobody", "true")
    assert done.returncode == 125 and "nobody" in done.stderr
    assert domain.visor("exec", domain.name).returncode == 2
    assert domain.visor("create", "--name", "still", "--kernel", "/dev/null").returncode == 0
    done = domain.visor("exec", "still", "true")
    assert done.returncode == 125 and "still does not run" in done.stderr and "visor start still" in done.stderr


def test_paused(domain):
    assert domain.visor("pause", domain.name).returncode == 0
    done = domain.exec("true")
    assert domain.visor("resume", domain.name).returncode == 0
    assert done.returncode == 125 and "is paused" in done.stderr and "visor resume" in done.stderr
    assert domain.exec("true").returncode == 0


def test_program_is_no_place_to_go(domain):
    program = "/bin/busybox"
    assert domain.visor("run", "-d", "--name", "alone", "--arch", "amd64", program, "sleep", "1000").returncode == 0
    done = domain.visor("exec", "alone", "true")
    assert done.returncode == 125 and "a program cannot be entered" in done.stderr
    domain.visor("rm", "--force", "alone")


def test_guest_without_agent(kernel, tmp_path):  # noqa: F811
    initrd = kernel.initrd(tmp_path, f"load {' '.join(DISK + VSOCK)}; echo READY; exec sleep 1000", {})
    domain = Domain("mute", "machine", tmp_path / ("long-" * 20) / "store")
    done = domain.visor("run", "-d", "--name", "mute", "--kernel", kernel.image, "--initrd", initrd, "--append",
                        "console=ttyS0 quiet", "--memory", "256M", "--net", "none")
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + TIMEOUT
    while "READY" not in domain.visor("logs", "mute").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done = domain.exec("true")
    assert done.returncode == 125
    assert "no agent answers in the guest of mute" in done.stderr and "visor image build" in done.stderr
    domain.visor("rm", "--force", "mute")
