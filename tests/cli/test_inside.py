# SPDX-License-Identifier: GPL-2.0-or-later
"""`visor exec` and `visor cp`: programs in domains that run, files to and from them, whatever the kind."""
import contextlib
import fcntl
import io
import os
import pathlib
import pty
import pwd
import select
import shutil
import signal
import struct
import subprocess
import tarfile
import tempfile
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


def test_two_dashes_end_options_before_and_after_the_name(domain):
    for words in (["--", "box", "echo", "--"], ["box", "--", "echo", "--"], ["--", "box", "--", "echo", "--"],
                  ["box", "-e", "A=b", "--", "echo", "--"]):
        done = domain.visor("exec", *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "--\n", "")
    done = domain.visor("exec", "box", "--", "-x")
    assert done.returncode == 127 and "-x" in done.stderr
    assert domain.visor("exec", "box", "--frobnicate", "true").returncode == 2
    assert domain.visor("exec", "box", "--").returncode == 2


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


def test_end_of_input_at_a_terminal(domain):
    done = domain.exec("cat", options=["-it"], stdin="said\n")
    assert done.returncode == 0 and done.stdout.splitlines() == ["said", "said"]  # the echo, too


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


def test_null_device_of_the_host_is_not_handed_in(container):
    """Who has it open can change its mode, for all of the host."""
    before = os.stat("/dev/null")
    try:
        for fd in range(3):
            container.exec("sh", "-c", f"chmod 664 /proc/self/fd/{fd}; touch -d 2000-01-01 /proc/self/fd/{fd}")
            container.exec("sh", "-c", f"chmod 664 /proc/self/fd/{fd}; touch /tmp/done{fd}", options=["-d"])
            container.exec("sh", "-c", f"chmod 664 /proc/1/fd/{fd}")
            container.wait_until(f"rm /tmp/done{fd}")
        after = os.stat("/dev/null")
        assert (after.st_mode, after.st_mtime) == (before.st_mode, before.st_mtime)
    finally:
        if os.geteuid() == 0:
            os.chmod("/dev/null", before.st_mode & 0o7777)
    assert container.exec("cat").stdout == ""
    container.exec("sh", "-c", "echo nobody hears it && touch /tmp/said", options=["-d"])
    container.wait_until("rm /tmp/said")


def test_exec_is_as_confined_as_the_container(container):
    seccomp = container.shell("grep -E '^(Seccomp|CapBnd|NoNewPrivs):' /proc/1/status")
    assert container.shell("grep -E '^(Seccomp|CapBnd|NoNewPrivs):' /proc/self/status") == seccomp and "Seccomp:\t2" in seccomp
    assert container.shell("readlink /proc/self/ns/pid") == container.shell("readlink /proc/1/ns/pid")
    assert container.shell("cat /proc/self/cgroup") == container.shell("cat /proc/1/cgroup")


def test_home_is_the_users(container):
    assert container.shell("echo $HOME", options=["-u", "someone"]) == "/tmp\n"
    assert container.shell("echo $HOME", options=["-u", "someone", "-e", "HOME=/mine"]) == "/mine\n"


def test_end_of_the_domain(kernel, tmp_path):  # noqa: F811
    for directory, start, status in ((tmp_path / "c", start_container, 128 + 9), (tmp_path / "m", lambda d: start_machine(kernel, d), 125)):
        directory.mkdir()
        domain = start(directory)
        process = domain.popen("exec", "box", "sh", "-c", "echo READY; sleep 1000", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "READY\n"
        assert domain.visor("kill", "box").returncode == 0
        _, said = process.communicate(timeout=TIMEOUT)
        assert process.returncode == status and said.count("\n") == (status == 125), said
        domain.visor("rm", "--force", "box")


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
    done = domain.visor("cp", "/etc/passwd", "mute:/")
    assert done.returncode == 1
    assert "no agent answers in the guest of mute" in done.stderr and "visor image build" in done.stderr
    domain.visor("rm", "--force", "mute")


# -- cp ------------------------------------------------------------------------------------------------------

def cp(domain, *words, **options):
    return domain.visor("cp", *words, **options)


def ok(done):
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.fixture
def tree(tmp_path):
    """A directory with a bit of everything."""
    top = tmp_path / "tree"
    (top / "sub/empty").mkdir(parents=True)
    (top / "file").write_bytes(os.urandom(300000))
    (top / "sub/run").write_text("#!/bin/sh\necho runs\n")
    (top / "sub/run").chmod(0o755)
    (top / "sub/link").symlink_to("../file")
    (top / "sub/away").symlink_to("/etc/passwd")
    (top / "sub/dangling").symlink_to("nowhere")
    (top / "zwölf").write_text("umlaut")
    (top / ("n" * 150)).mkdir()
    (top / ("n" * 150) / ("m" * 150)).write_text("long")
    os.utime(top / "file", (1e9, 1e9))
    return top


@pytest.fixture
def there(domain):
    """An empty directory in the domain."""
    domain.shell("rm -rf /tmp/there; mkdir /tmp/there")
    return f"{domain.name}:/tmp/there"


def same(one, two):
    return subprocess.run(["diff", "-r", "--no-dereference", one, two], capture_output=True).returncode == 0


def test_cp_tree_there_and_back(domain, there, tree, tmp_path):
    ok(cp(domain, tree, there))
    assert domain.shell("/tmp/there/tree/sub/run; stat -c '%a %u %g %Y' /tmp/there/tree/file; readlink /tmp/there/tree/sub/away") == \
        "runs\n644 0 0 1000000000\n/etc/passwd\n"
    ok(cp(domain, f"{there}/tree", tmp_path / "back"))
    assert same(tree, tmp_path / "back")
    assert (tmp_path / "back/sub/run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "back/file").stat().st_mtime == 1e9


def test_cp_names_as_docker_does(domain, there, tree, tmp_path):
    # a file: into a directory, by another name, over a file, not over a directory that is not there
    ok(cp(domain, tree / "sub/run", there))
    ok(cp(domain, tree / "sub/run", f"{there}/other"))
    ok(cp(domain, tree / "file", f"{there}/other"))
    assert domain.shell("cd /tmp/there; ls; wc -c <other").split() == ["other", "run", "300000"]
    done = cp(domain, tree / "file", f"{there}/missing/")
    assert done.returncode == 1 and "there is no directory /tmp/there/missing/" in done.stderr
    done = cp(domain, tree / "file", f"{there}/missing/file")
    assert done.returncode == 1 and "/tmp/there/missing" in done.stderr
    done = cp(domain, tree / "nothing", there)
    assert done.returncode == 1 and "there is no" in done.stderr and "nothing" in done.stderr
    # a directory: made, put into one that is there, joined with it, not over a file
    ok(cp(domain, tree, f"{there}/new"))
    ok(cp(domain, tree, f"{there}/new"))
    assert domain.shell("cd /tmp/there/new; test -f file; test -f tree/file && echo both") == "both\n"
    ok(cp(domain, f"{tree}/.", f"{there}/joined"))
    ok(cp(domain, f"{tree}/sub/.", f"{there}/joined"))
    assert domain.shell("cd /tmp/there/joined; test -f file && test -f run && test ! -e tree && echo joined") == "joined\n"
    done = cp(domain, tree, f"{there}/other")
    assert done.returncode == 1 and "is no directory" in done.stderr
    # and the other way round
    ok(cp(domain, f"{there}/run", tmp_path / "run"))
    ok(cp(domain, f"{there}/run", tmp_path))
    assert (tmp_path / "run").read_text().endswith("runs\n")
    (tmp_path / "into").mkdir()
    ok(cp(domain, f"{there}/new/.", tmp_path / "into"))
    ok(cp(domain, f"{there}/new/sub", tmp_path / "into"))
    assert (tmp_path / "into/file").exists() and same(tree / "sub", tmp_path / "into/sub")
    ok(cp(domain, f"{there}/new/sub/.", tmp_path / "made"))
    assert same(tree / "sub", tmp_path / "made")
    done = cp(domain, f"{there}/nothing", tmp_path)
    assert done.returncode == 1 and "there is no /tmp/there/nothing" in done.stderr
    done = cp(domain, f"{there}/new", tmp_path / "run")
    assert done.returncode == 1 and "is no directory" in done.stderr
    done = cp(domain, f"{there}/run/.", tmp_path)
    assert done.returncode == 1 and "there is no /tmp/there/run/." in done.stderr
    done = cp(domain, f"{there}/run", f"{tmp_path}/missing/")
    assert done.returncode == 1 and "there is no directory" in done.stderr


def test_cp_links(domain, there, tree, tmp_path):
    domain.shell("cd /tmp/there; mkdir real; echo inside >real/file; ln -s real to; ln -s real/file short")
    ok(cp(domain, f"{there}/short", tmp_path / "short"))
    assert os.readlink(tmp_path / "short") == "real/file"
    ok(cp(domain, "-L", f"{there}/short", tmp_path / "long"))
    assert (tmp_path / "long").read_text() == "inside\n" and not (tmp_path / "long").is_symlink()
    ok(cp(domain, f"{there}/to/", tmp_path / "directory"))
    assert (tmp_path / "directory/file").read_text() == "inside\n"
    ok(cp(domain, tree / "sub/run", f"{there}/to"))  # a link to a directory is one
    assert domain.shell("ls /tmp/there/real").split() == ["file", "run"]
    (tmp_path / "named").symlink_to(tree / "sub/run")
    ok(cp(domain, "--follow-link", tmp_path / "named", there))
    assert domain.shell("/tmp/there/named") == "runs\n"


def test_cp_archives(domain, there, tree, tmp_path):
    packed = subprocess.run(["tar", "-c", "-C", tree, "."], capture_output=True, check=True).stdout
    done = subprocess.run([VISOR, "cp", "-", there], input=packed, capture_output=True, env=domain.environment, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    out = subprocess.run([VISOR, "cp", f"{there}/sub", "-"], capture_output=True, env=domain.environment, timeout=TIMEOUT)
    assert out.returncode == 0, out.stderr
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-x", "-C", tmp_path / "out"], input=out.stdout, check=True)
    assert same(tree / "sub", tmp_path / "out/sub")
    for wrong, text in ((b"no archive" * 100, "no tar archive"), (packed[:100000], "not all of one")):
        done = subprocess.run([VISOR, "cp", "-", there], input=wrong, capture_output=True, env=domain.environment, text=False,
                              timeout=TIMEOUT)
        assert done.returncode == 1 and text in done.stderr.decode() and done.stderr.count(b"\n") == 1
    done = subprocess.run([VISOR, "cp", "-", f"{there}/missing"], input=packed, capture_output=True, env=domain.environment,
                          timeout=TIMEOUT)
    assert done.returncode == 1 and b"goes into a directory" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="files of others are made here")
def test_cp_owners(domain, there, tree, tmp_path):
    os.chown(tree / "file", 1000, 33)
    (tree / "file").chmod(0o6755)
    ok(cp(domain, "-a", tree / "file", f"{there}/kept"))
    ok(cp(domain, tree / "file", f"{there}/roots"))
    assert domain.shell("cd /tmp/there; stat -c '%u:%g %a' kept roots") == "1000:33 6755\n0:0 6755\n"
    ok(cp(domain, f"{there}/kept", tmp_path / "mine"))
    ok(cp(domain, "-a", f"{there}/kept", tmp_path / "his"))
    mine, his = (tmp_path / "mine").stat(), (tmp_path / "his").stat()
    assert (mine.st_uid, mine.st_gid, mine.st_mode & 0o7777) == (0, 0, 0o755)
    assert (his.st_uid, his.st_gid, his.st_mode & 0o7777) == (1000, 33, 0o6755)


def test_cp_usage(domain, tmp_path):
    for words in ((), ("a",), ("a", "b"), ("x:a", "y:b"), ("x:", "b"), ("./x:a", "b"), ("x:a", "b", "c")):
        assert cp(domain, *words).returncode == 2, words
    done = cp(domain, "nobody:/etc", tmp_path)
    assert done.returncode == 1 and "nobody" in done.stderr
    assert domain.visor("create", "--name", "rest", "--kernel", "/dev/null").returncode == 0
    done = cp(domain, "rest:/etc", tmp_path)
    assert done.returncode == 1 and "rest does not run" in done.stderr


def test_cp_what_fails_halfway(domain, there, tmp_path):
    """The reason is told, not that the other side has gone."""
    big = tmp_path / "big"
    with open(big, "wb") as stream:
        stream.truncate(8 << 20)
    domain.shell("mkdir /tmp/there/big")
    done = cp(domain, big, f"{there}/big/big/x")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "Broken pipe" not in done.stderr
    domain.shell("head -c 8000000 /dev/zero >/tmp/there/zeros")
    (tmp_path / "full").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path / "full"], check=True)
    try:
        done = cp(domain, f"{there}/zeros", tmp_path / "full")
        assert done.returncode == 1 and "No space left" in done.stderr and done.stderr.count("\n") == 1
        assert list((tmp_path / "full").iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path / "full"], check=True)


def test_cp_sees_the_mounts_of_the_container(container, tmp_path):
    """A volume and a file system in memory, of another container."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "file").write_text("content\n")
    done = container.visor("run", "-d", "--name", "mounts", "--net", "none", "--volume", f"{tmp_path}/volume:/volume", "--tmpfs", "/memory",
                           "--read-only", container.root, "sleep", "100000")
    assert done.returncode == 0, done.stderr
    try:
        ok(cp(container, tmp_path / "file", "mounts:/volume/file"))
        ok(cp(container, tmp_path / "file", "mounts:/memory"))
        assert (tmp_path / "volume/file").read_text() == "content\n"
        assert container.visor("exec", "mounts", "cat", "/memory/file").stdout == "content\n"
        ok(cp(container, "mounts:/memory/file", tmp_path / "back"))
        assert (tmp_path / "back").read_text() == "content\n"
        done = cp(container, tmp_path / "file", "mounts:/file")
        assert done.returncode == 1 and "Read-only file system" in done.stderr
    finally:
        container.visor("rm", "--force", "mounts")


# -- hostile containers and guests ---------------------------------------------------------------------------

def run_in_background(domain, script):
    return domain.popen("exec", domain.name, "sh", "-c", script, stdout=subprocess.DEVNULL)


@pytest.fixture
def host(tmp_path):
    """What a container would like to have: a file that only the host has, and a place to write to."""
    top = tmp_path / "host"
    top.mkdir()
    (top / "secret").write_text("HOST-SECRET\n")
    return top


def test_cp_follows_no_link_to_the_host(domain, there, host, tmp_path):
    """Absolute and relative links end in the domain's root, for reading and for writing."""
    domain.shell(f"cd /tmp/there; ln -s {host}/secret absolute; ln -s ../../../../../../../../../..{host}/secret relative; "
                 f"ln -s {host} directory; ln -s /proc/1/root{host} magic; ln -s /proc/self/root{host} magic2")
    for name in ("absolute", "relative"):
        done = cp(domain, "-L", f"{there}/{name}", tmp_path / name)
        assert done.returncode == 1 and not (tmp_path / name).exists()
    for name in ("directory", "magic", "magic2"):
        done = cp(domain, f"{there}/{name}/secret", tmp_path / name)
        assert done.returncode == 1 and not (tmp_path / name).exists()
        done = cp(domain, host / "secret", f"{there}/{name}/written")
        assert done.returncode == 1 and not (host / "written").exists()
    ok(cp(domain, f"{there}/.", tmp_path / "all"))  # the links themselves
    assert os.readlink(tmp_path / "all/absolute") == f"{host}/secret"
    assert [path.name for path in host.iterdir()] == ["secret"]


def test_cp_out_against_exchange(container, there, host, tmp_path):
    """CVE-2018-15664: a directory and a link change places while it is copied."""
    container.shell(f"mkdir -p /tmp/there/top/d {host}; echo CONTAINER >/tmp/there/top/d/secret; echo CONTAINER >{host}/secret;"
                    f"ln -s {host} /tmp/there/link")
    race = run_in_background(container, "cd /tmp/there; while :; do mv -T top/d d2; mv -T link top/d; mv -T top/d link; mv -T d2 top/d; done")
    try:
        for i in range(60):
            cp(container, f"{there}/top/d/secret", tmp_path / f"file{i}")
            cp(container, f"{there}/top", tmp_path / f"tree{i}")
    finally:
        race.kill()
        race.wait()
        container.exec("killall", "-9", "sh")
    found = [path.read_text() for path in tmp_path.glob("**/secret") if host not in path.parents and not path.is_symlink()
             and path.is_file() and not any(parent.is_symlink() for parent in path.parents)]
    found += [path.read_text() for path in tmp_path.glob("file*") if path.is_file() and not path.is_symlink()]
    assert found and set(found) == {"CONTAINER\n"}


def test_cp_in_against_exchange(container, there, host, tmp_path):
    container.shell(f"mkdir -p /tmp/there/top/d {host}; ln -s {host} /tmp/there/link")
    (tmp_path / "tree/d").mkdir(parents=True)
    (tmp_path / "tree/d/written").write_text("x")
    race = run_in_background(container, "cd /tmp/there; while :; do mv -T top/d d2; mv -T link top/d; mv -T top/d link; mv -T d2 top/d; done")
    try:
        for _ in range(60):
            cp(container, tmp_path / "tree/d/written", f"{there}/top/d/")
            cp(container, f"{tmp_path}/tree/.", f"{there}/top")
    finally:
        race.kill()
        race.wait()
        container.exec("killall", "-9", "sh")
    assert [path.name for path in host.iterdir()] == ["secret"]


def test_cp_loads_nothing_of_the_container(container, there, tmp_path):
    """CVE-2019-14271: no library, no program, no table of character sets of the container's."""
    ok(cp(container, BUSYBOX, f"{container.name}:/tmp/there/busybox"))
    opened = tmp_path / "opened"
    if not shutil.which("strace"):
        pytest.skip("no strace")
    packed = tmp_path / "packed.tar"
    (tmp_path / "zwölf").write_text("x" * 100)
    subprocess.run(["tar", "--format=pax", "-cf", packed, "-C", tmp_path, "zwölf"], check=True)
    with open(packed) as stream:
        done = subprocess.run(["strace", "-f", "-o", opened, "-e", "trace=open,openat,openat2,chroot,execve,mmap", VISOR, "cp", "-", there],
                              stdin=stream, env=container.environment, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    inside = {}
    for line in opened.read_text().splitlines():
        pid, _, call = line.partition(" ")
        if "chroot(" in call:
            inside[pid] = []
        elif pid in inside:
            inside[pid].append(call.strip())
    calls = [call for calls in inside.values() for call in calls]
    assert calls and not [call for call in calls if "PROT_EXEC" in call or call.startswith(("execve", "open(")) or
                          "gconv" in call or "locale" in call or ".so" in call], calls
    assert container.shell("cat /tmp/there/zwölf") == "x" * 100


def test_who_goes_into_a_container_can_do_little(container, there):
    """The process on its side: while it waits for an archive."""
    process = container.popen("cp", "-", there, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        process.stdin.write(hostile_tar(("file", tarfile.REGTYPE, ""))[:512])
        process.stdin.flush()
        deadline = time.monotonic() + TIMEOUT
        while True:
            assert time.monotonic() < deadline
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            if not children:
                continue
            child = pathlib.Path(f"/proc/{children[-1]}")
            try:
                status = dict(line.split(":\t", 1) for line in (child / "status").read_text().splitlines() if ":\t" in line)
                if status["Seccomp"] != "2":
                    continue
                root, namespace = os.stat(child / "root").st_ino, os.readlink(child / "ns/mnt")
                links = [os.readlink(path) for path in (child / "fd").iterdir() if int(path.name) > 2]
                break
            except (FileNotFoundError, ProcessLookupError):  # a child before, which has only looked what the path is, or
                # a descriptor of this one
                pass
        assert status["CapEff"] == "000000000000001b" and status["NoNewPrivs"] == "1"
        assert root == container.root.stat().st_ino and namespace != os.readlink("/proc/self/ns/mnt")
        assert len(links) <= 4 and not any(link.startswith("socket:") or str(container.environment["VISOR_STORE"]) in link
                                           for link in links), links
    finally:
        process.kill()
        process.communicate()


def test_cp_opens_no_device(container, there, tmp_path):
    container.shell("cd /tmp/there; mkfifo fifo; mknod null c 1 3; echo x >file")
    done = cp(container, f"{there}/.", tmp_path / "out")
    assert done.returncode == 0 and "left out: out/null: a device" in done.stderr
    assert (tmp_path / "out/fifo").is_fifo() and (tmp_path / "out/file").read_text() == "x\n"
    assert not (tmp_path / "out/null").exists()


def test_cp_of_names_that_command_terminals(container, there, tmp_path):
    container.shell("cd /tmp/there; mknod \"$(printf 'a\\033]0;evil\\007b')\" c 1 3")
    done = cp(container, f"{there}/.", tmp_path / "out")
    assert "\x1b" not in done.stderr and "a?]0;evil?b" in done.stderr


def hostile_tar(*members):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, link, 0o777
            member.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(b"evil"))
    return data.getvalue()


@contextlib.contextmanager
def hostile_tar_in_guest(domain, script):
    """Its shell does this in place of tar."""
    text = f'#!/bin/busybox sh\ncase "$2" in *"exec tar -c"*) {script};; esac\nexec /bin/busybox sh "$@"\n'
    domain.shell("cat >/tmp/sh; chmod +x /tmp/sh; rm /bin/sh; mv /tmp/sh /bin/sh", options=["-i"], stdin=text)
    try:
        yield
    finally:
        assert domain.exec("ln", "-sf", "busybox", "/bin/sh").returncode == 0


@pytest.mark.parametrize("members", [
    [("x/../../../evil", tarfile.REGTYPE, "")],
    [("/HOST/evil", tarfile.REGTYPE, "")],
    [("x", tarfile.SYMTYPE, "HOST"), ("x/evil", tarfile.REGTYPE, "")],
    [("x/l", tarfile.SYMTYPE, "HOST"), ("x/l/evil", tarfile.REGTYPE, "")],
    [("x/l", tarfile.SYMTYPE, "../host"), ("x/l/evil", tarfile.REGTYPE, "")],
    [("x/l", tarfile.LNKTYPE, "../host/secret"), ("x/l", tarfile.REGTYPE, "")],
    [("x/l", tarfile.LNKTYPE, "HOST/secret")],
    [("x/l", tarfile.SYMTYPE, "HOST"), ("x/l", tarfile.DIRTYPE, ""), ("x/l/evil", tarfile.REGTYPE, "")],
])
def test_cp_from_a_hostile_guest(domain, there, host, tmp_path, members):
    """Its tar says whatever it likes."""
    if domain.kind != "machine":
        pytest.skip("a guest's tar is its own")
    data = hostile_tar(*[(name.replace("HOST", str(host).lstrip("/")) if name[0] == "/" else name, kind,
                          link.replace("HOST", str(host))) for name, kind, link in members])
    done = subprocess.run([VISOR, "exec", "-i", "box", "sh", "-c", "cat >/tmp/evil"], input=data, env=domain.environment)
    assert done.returncode == 0
    domain.shell("mkdir /tmp/there/x")
    with hostile_tar_in_guest(domain, "exec cat /tmp/evil"):
        done = cp(domain, f"{there}/x", tmp_path / "out")
        again = cp(domain, f"{there}/x/.", tmp_path / "host")
    assert done.returncode == 1 and again.returncode == 1, (done, again)
    assert (host / "secret").read_text() == "HOST-SECRET\n" and not (tmp_path / "evil").exists()
    for path in tmp_path.glob("**/evil"):
        assert path.parent in (tmp_path / "host/x", tmp_path / "out") and not path.parent.is_symlink(), path
    assert done.stderr.count("\n") == 1 and again.stderr.count("\n") == 1


def test_guest_does_not_command_the_terminal(domain, there, tmp_path):
    if domain.kind != "machine":
        pytest.skip("a guest's tar is its own")
    with hostile_tar_in_guest(domain, "printf '\\033]0;evil\\007 wrong' >&2; exit 3"):
        done = cp(domain, there, tmp_path / "out")
    assert done.returncode == 1 and "\x1b" not in done.stderr and "wrong (status 3)" in done.stderr


# -- an ordinary user ----------------------------------------------------------------------------------------

@pytest.mark.skipif(os.geteuid() != 0, reason="it is another user's")
def test_rootless():
    user = pwd.getpwnam("nobody").pw_uid
    if subprocess.run(["unshare", "--user", "true"], user=user, group=user, extra_groups=[]).returncode:
        pytest.skip("this host forbids user namespaces to ordinary users")
    top = pathlib.Path(tempfile.mkdtemp(prefix="visor-inside-"))
    root = make_root(top / "root")
    (top / "tree/sub").mkdir(parents=True)
    (top / "tree/sub/private").write_text("mine\n")
    (top / "tree/sub/private").chmod(0o600)
    (top / "of-root").write_text("not mine\n")
    subprocess.run(["chown", "-R", str(user), top], check=True)
    os.chown(top / "of-root", 0, 0)
    (top / "of-root").chmod(0o600)

    def run(*words, **options):
        environment = {**os.environ, "VISOR_STORE": str(top / "store"), "HOME": str(top)}
        return subprocess.run([VISOR, *map(str, words)], user=user, group=user, extra_groups=[], env=environment,
                              capture_output=True, text=True, timeout=TIMEOUT, **options)

    try:
        assert run("run", "-d", "--name", "box", "--net", "none", root, "sleep", "1000").returncode == 0
        done = run("exec", "-i", "box", "sh", "-c", "id -u; cat", input="hello\n")
        assert done.stdout == "0\nhello\n", done
        assert run("cp", top / "tree", "box:/tmp").returncode == 0
        assert run("exec", "box", "cat", "/tmp/tree/sub/private").stdout == "mine\n"
        assert (root / "tmp/tree/sub/private").stat().st_uid == user
        assert run("cp", "box:/tmp/tree", top / "back").returncode == 0
        assert (top / "back/sub/private").read_text() == "mine\n"
        done = run("cp", top / "of-root", "box:/tmp")
        assert done.returncode == 1 and "of-root: Permission denied" in done.stderr and not (root / "tmp/of-root").exists()
    finally:
        run("rm", "--force", "--all")
        shutil.rmtree(top)
