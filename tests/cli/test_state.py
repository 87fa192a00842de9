# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines that are saved to a file and go on from it, as if nothing had been."""
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import socketserver
import subprocess
import threading
import time

import pytest

from conftest import VISOR
from guest_kernel import BALLOON, DISK, NET, GuestKernel
from qmp import Qmp
from store import TIMEOUT, Store
from test_domain import kernel, store  # noqa: F401 (fixtures)
from test_engine_kvm import KVM, needs_kvm

MOMENTS = int(os.environ.get("VISOR_TEST_MOMENTS", "40"))
RUN_MOMENTS = 10  # of one run


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    """A kernel that computes a checksum for some seconds; see its source."""
    return build_work(tmp_path_factory.mktemp("work") / "work")


def build_work(path, *flags):
    """With 32 bits, unless the flags say otherwise."""
    sources = [pathlib.Path(__file__).with_name(name) for name in ("state_kernel_start.S", "state_kernel.c")]
    subprocess.run(["gcc", *(["-m32", "-march=pentium3", "-mfpmath=387"] if "-m64" not in flags else []), *flags,
                    "-O2", "-ffreestanding", "-fno-pie", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
                    "-fcf-protection=none", "-nostdlib", "-static",
                    "-Wl,-Ttext=0x200000,-e,entry,--build-id=none,-z,noexecstack,-z,max-page-size=4096",
                    "-o", path, *sources], check=True)
    return path


@pytest.fixture
def workers(tmp_path, work):
    store = Store(tmp_path / "workers", work)  # noqa: F811
    yield store
    store.run("rm", "--force", "--all")


def checksums(store, name):  # noqa: F811
    return re.findall("SUM ([0-9a-f]{16})\r?\n", store.ok("logs", name))


def wait_for_end(store, name):  # noqa: F811
    assert store.ok("wait", name) == "0\n"
    assert store.state(name)["reason"] == "off"


@pytest.fixture(scope="session")
def expected(work, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("expected") / "store", work)  # noqa: F811
    began = time.monotonic()
    store.start("undisturbed")
    wait_for_end(store, "undisturbed")
    took = time.monotonic() - began
    sums = checksums(store, "undisturbed")
    store.ok("rm", "undisturbed")
    assert len(sums) == 1
    return sums[0], took


@pytest.mark.parametrize("run", range((MOMENTS + RUN_MOMENTS - 1) // RUN_MOMENTS))
def test_random_moments(workers, expected, tmp_path, run):
    """Saved again and again, in all ways, the guest has the same result in the end; and so has each copy of it that
    goes on from one of the files."""
    result, took = expected
    rng = random.Random(run)
    workers.start("worker", "--cpus", str(1 + run % 2))
    files = []
    for moment in range(RUN_MOMENTS):
        time.sleep(rng.uniform(0, took / RUN_MOMENTS))
        if workers.state("worker")["status"] != "running":
            break
        path = tmp_path / f"state-{moment % 3}"
        keep = rng.random() < 0.3
        saved = workers.run("save", *rng.sample(["--compress"], rng.randrange(2)),
                            *(["--keep-running"] if keep else []), "worker", path)
        if saved.returncode:
            assert "does not run" in saved.stderr or "end" in saved.stderr, saved.stderr
            break
        files.append(path)
        if not keep:
            state = workers.state("worker")
            assert (state["status"], state["exit_status"], state["reason"]) == ("exited", 0, "saved")
            workers.ok("restore", *rng.sample(["--verify"], rng.randrange(2)), path)
    wait_for_end(workers, "worker")
    assert checksums(workers, "worker") == [result]
    assert files
    for number, path in enumerate(set(files)):
        workers.ok("restore", "--name", f"copy{number}", path)
    for number in range(len(set(files))):
        wait_for_end(workers, f"copy{number}")
        assert checksums(workers, f"copy{number}") == [result]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]  # nothing half written


def test_the_domain_itself_goes_on(store, tmp_path):  # noqa: F811
    identity = store.start("web")
    store.wait_for_log("web", "READY")
    file = tmp_path / "web.state"
    assert store.ok("save", "web", file) == "web\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_blocks * 512 < 1 << 20  # of 16 MiB
    assert "Exited (0, saved)" in store.ok("ps", "-a")
    assert store.ok("restore", file) == f"{identity}\n"
    store.send("web", "abc")
    store.wait_for_log("web", "abc")
    assert store.ok("logs", "web").count("READY") == 1  # it was not started anew
    store.ok("rename", "web", "shop")
    store.ok("save", "shop", file)
    store.ok("restore", file)
    assert store.state("shop")["status"] == "running"
    store.ok("stop", "shop")
    assert store.state("shop")["reason"] == "off"
    store.ok("start", "shop")  # and this is a start like any other
    store.wait_for_log("shop", "READY", 2)


def test_another_domain_goes_on(store, tmp_path):  # noqa: F811
    identity = store.start("web", "--label", "a=b")
    store.wait_for_log("web", "READY")
    file = tmp_path / "web.state"
    store.ok("save", "--keep-running", "web", file)
    assert store.state("web")["status"] == "running"
    refused = store.run("restore", file)
    assert refused.returncode == 126 and "web runs" in refused.stderr and "--name" in refused.stderr
    other = store.ok("restore", "--name", "copy", file).strip()
    assert other != identity
    assert json.loads(store.ok("inspect", "copy"))[0]["config"] == json.loads(store.ok("inspect", "web"))[0]["config"]
    store.send("copy", "x")
    store.wait_for_log("copy", "x")
    store.ok("rm", "--force", "web", "copy")
    store.ok("restore", file)  # nobody has the name
    assert store.ok("ps", "--format", "{{.Name}}") == "web\n"
    store.ok("rm", "--force", "web")
    store.start("web")
    refused = store.run("restore", file)
    assert refused.returncode == 126 and 'a domain "web" already' in refused.stderr
    assert store.check_whole() == {"web"}


def test_what_was_paused_stays_so(store, tmp_path):  # noqa: F811
    store.start("web")
    store.wait_for_log("web", "READY")
    store.ok("pause", "web")
    store.ok("save", "--keep-running", "web", tmp_path / "state")
    assert store.state("web")["status"] == "paused"
    store.ok("resume", "web")
    store.ok("save", "--keep-running", "web", tmp_path / "state")
    assert store.state("web")["status"] == "running"


def test_removed_after_its_end(store, tmp_path):  # noqa: F811
    store.start("brief", "--rm")
    store.wait_for_log("brief", "READY")
    store.ok("save", "brief", tmp_path / "state")
    assert store.check_whole() == set()
    store.ok("restore", tmp_path / "state")
    assert store.check_whole() == {"brief"}
    store.ok("stop", "brief")
    assert store.check_whole() == set()


def test_a_restart_policy_begins_anew(store, tmp_path):  # noqa: F811
    store.start("web", "--restart", "always")
    store.wait_for_log("web", "READY")
    store.ok("save", "web", tmp_path / "state")
    assert store.state("web")["status"] == "exited"
    store.ok("restore", tmp_path / "state")
    store.send("web", "Q")
    store.wait_for_log("web", "READY", 2)
    store.ok("stop", "web")


@needs_kvm
def test_engines_take_turns(store, tmp_path):  # noqa: F811
    """Saved under one engine, the machine goes on under the other, until it is started anew."""
    file = tmp_path / "state"
    store.start("web", "--cpu", "x86-64-v1", "--engine", "translate")
    store.wait_for_log("web", "READY")
    for turn, engine in enumerate(("kvm", "translate", "kvm", "kvm")):
        store.ok("save", "web", file)
        store.ok("restore", "--engine", engine, file)
        store.send("web", f"turn {turn} by {engine}.")
        store.wait_for_log("web", f"turn {turn} by {engine}.")
        kvm = [link for link in pathlib.Path(f"/proc/{store.guest('web')}/fd").iterdir()
               if "kvm-vcpu" in os.readlink(link)]
        assert bool(kvm) == (engine == "kvm")
    assert store.ok("logs", "web").count("READY") == 1
    assert json.loads(store.ok("inspect", "web"))[0]["config"]["machine"]["engine"] == "translate"


@pytest.fixture(scope="session")
def long_mode_work(tmp_path_factory):
    """In long mode, in which a KVM that is software can do paging."""
    return build_work(tmp_path_factory.mktemp("work") / "work", "-m64", "-mno-red-zone", "-ffixed-xmm6",
                     "-ffixed-xmm7")


@needs_kvm
@pytest.mark.parametrize("irqchip", ["auto", "user"])
def test_engines_take_turns_at_random_moments(tmp_path, long_mode_work, irqchip):
    """The guest, which goes from engine to engine all the time, has the result that it has undisturbed; and so has each
    copy of it that goes on from a file of either."""
    store = Store(tmp_path / "store", long_mode_work)  # noqa: F811
    options = ["--cpu", "x86-64-v1", "--engine", "translate", "--irqchip", irqchip]
    store.start("undisturbed", *options)
    wait_for_end(store, "undisturbed")
    result, = checksums(store, "undisturbed")
    rng = random.Random(irqchip)
    moments, rounds = {"translate": 0, "kvm": 0}, 0
    while min(moments.values()) < MOMENTS // 2:
        rounds += 1
        begun = dict(moments)
        store.start("worker", *options)
        copies = go_from_engine_to_engine(store, rng, tmp_path, moments)
        assert moments != begun  # else it is always at its end before
        wait_for_end(store, "worker")
        assert checksums(store, "worker") == [result]
        for name, file in copies.items():
            store.ok("restore", "--name", name, "--engine", "translate", file)
            wait_for_end(store, name)
            assert checksums(store, name) == [result]
            store.ok("rm", name)
        store.ok("rm", "worker")
    print(f"{moments} in {rounds} rounds")


def go_from_engine_to_engine(store, rng, path, moments):  # noqa: F811
    """Until the worker comes to its end, which is under translate, as long as KVM is software. Some of the files."""
    engine, copies = "translate", {}
    while True:
        file = path / f"state-{engine}"
        time.sleep(rng.uniform(0, 0.015 if engine == "translate" else 0.2))
        saved = store.run("save", "worker", file)
        if saved.returncode:
            assert "does not run" in saved.stderr or "end" in saved.stderr, saved.stderr
            assert engine == "translate" or KVM["verdict"] == "yes"
            return copies
        moments[engine] += 1
        if rng.random() < 0.2:
            copies[f"of-{engine}"] = shutil.copy(file, path / f"copy-{engine}")
        engine = "kvm" if engine == "translate" else "translate"
        store.ok("restore", "--engine", engine, file)


@needs_kvm
def test_features_that_an_engine_has_not(store, tmp_path):  # noqa: F811
    store.start("web", "--cpu", "max", "--engine", "translate")
    store.wait_for_log("web", "READY")
    store.ok("save", "web", tmp_path / "state")
    result = store.run("restore", "--engine", "kvm", tmp_path / "state")
    if result.returncode == 0:
        pytest.skip("this host's KVM has all that the translator has")
    assert "processor" in one_line(result)
    assert store.state("web")["reason"] == "saved"
    store.ok("restore", tmp_path / "state")


def test_an_engine_that_there_is_not(store, tmp_path):  # noqa: F811
    result = store.run("restore", "--engine", "steam", tmp_path / "state")
    assert result.returncode == 2 and "there are auto, translate and kvm" in result.stderr


# -- disks ---------------------------------------------------------------------------------------------------

def test_disks_must_be_what_they_were(store, tmp_path):  # noqa: F811
    disk, file = tmp_path / "disk.img", tmp_path / "state"
    disk.write_bytes(bytes(1 << 20))
    store.start("web", "--disk", disk)
    store.wait_for_log("web", "READY")
    store.ok("save", "web", file)
    kept = disk.stat()
    store.ok("restore", file)
    store.ok("save", "web", file)

    disk.write_bytes(b"x" * (1 << 20))
    refused = store.run("restore", file)
    assert refused.returncode == 126
    assert f"the disk {disk} has been written since" in refused.stderr and "--force" in refused.stderr
    assert store.state("web")["status"] == "exited"
    refused = store.run("restore", "--name", "copy", file)
    assert refused.returncode == 126 and store.check_whole() == {"web"}
    store.ok("restore", "--force", file)
    store.ok("kill", "web")
    os.utime(disk, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    store.ok("restore", file)
    store.ok("kill", "web")

    disk.write_bytes(bytes(2 << 20))
    refused = store.run("restore", "--force", file)
    assert refused.returncode == 126 and "had 1048576 bytes and has 2097152 now" in refused.stderr
    disk.unlink()
    refused = store.run("restore", file)
    assert refused.returncode == 126 and f"the disk {disk} does not exist" in refused.stderr


BLOCK, ROUND, ROUNDS = 4096, 74 * 4096, 80


def test_linux_and_its_disks(store, tmp_path):  # noqa: F811
    """Linux writes two disks and reads them again, past its cache, while it is saved and restored; of one the
    writes are thrown away in the end, and until then they are in the file."""
    content = {name: bytearray(8 << 20) for name in ("vda", "vdb")}
    disks = {name: tmp_path / name for name in content}
    for name, path in disks.items():
        path.write_bytes(content[name])
        for number in range(1, ROUNDS + 1):
            line = f"{number} {name}\n".encode()
            at = number * 3 * BLOCK
            content[name][at:at + ROUND] = (line * (ROUND // len(line) + 1))[:ROUND]
    guest = GuestKernel()
    initrd = guest.initrd(tmp_path, f"""load {' '.join(DISK)}
        for i in $(seq 1 {ROUNDS}); do
            for d in vda vdb; do
                yes "$i $d" | head -c {ROUND} >/tmp/piece
                dd if=/tmp/piece of=/dev/$d bs={BLOCK} seek=$((i * 3)) conv=notrunc,fsync 2>/dev/null
                echo 3 >/proc/sys/vm/drop_caches
                dd if=/dev/$d bs={BLOCK} skip=$((i * 3)) count=74 2>/dev/null | cmp - /tmp/piece || echo BROKEN
            done
            echo ROUND-$i
        done
        md5sum /dev/vda /dev/vdb
        poweroff -f""")
    store.ok("run", "-d", "--name", "linux", "--kernel", guest.image, "--initrd", initrd, "--memory", "256M",
             "--cpus", "2", "--disk", disks["vda"], "--disk", f"{disks['vdb']},snapshot")
    store.wait_for_log("linux", "ROUND-1\n")
    saved = 0
    for moment in range(8):
        time.sleep(random.uniform(0, 0.5))
        path = tmp_path / f"state-{moment % 2}"
        if store.run("save", *(["--compress"] if moment % 4 == 3 else []), "linux", path).returncode:
            break
        store.ok("restore", path)
        saved += 1
    assert saved >= 2
    wait_for_end(store, "linux")
    log = store.ok("logs", "linux")
    assert "BROKEN" not in log
    for name, path in disks.items():
        assert f"{hashlib.md5(content[name]).hexdigest()}  /dev/{name}" in log
    assert disks["vda"].read_bytes() == content["vda"]
    assert disks["vdb"].read_bytes() == bytes(8 << 20)


def test_linux_and_its_network(store, tmp_path):  # noqa: F811
    """What was under way ends with the old process; new connections work, by the same card. Who waits for an answer that was
    under way is told of nothing, as when a host goes: so nc, which ends at no time by itself, is ended."""
    class Answer(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"answer to " + self.rfile.readline())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    guest = GuestKernel()
    initrd = guest.initrd(tmp_path, f"""load {' '.join(DISK + NET + BALLOON)}
        ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up
        for i in $(seq 1 120); do
            until echo $i | timeout 3 nc -w 1 10.0.2.2 {server.server_address[1]} >/tmp/answer && [ -s /tmp/answer ]; do :; done
            echo "ROUND-$(cat /tmp/answer)"
        done
        poweroff -f""")
    store.ok("run", "-d", "--name", "linux", "--kernel", guest.image, "--initrd", initrd, "--memory", "256M")
    store.wait_for_log("linux", "ROUND-answer to 1\n")
    for _ in range(4):
        time.sleep(random.uniform(0, 0.3))
        if store.run("save", "linux", tmp_path / "state").returncode:
            break
        store.ok("restore", tmp_path / "state")
    wait_for_end(store, "linux")
    server.shutdown()
    log = store.ok("logs", "linux")
    for number in range(1, 121):
        assert f"ROUND-answer to {number}\n" in log


# -- what is refused -----------------------------------------------------------------------------------------

def one_line(result):
    """The reason, in one line and perhaps a hint."""
    lines = result.stderr.splitlines()
    assert result.returncode == 126 and lines[0].startswith("visor: ") and len(lines) <= 2, result.stderr
    assert len(lines) == 1 or lines[1].startswith("  hint: ")
    return result.stderr


def test_files_that_are_no_saved_machine(store, tmp_path, kernel):  # noqa: F811
    store.start("web")
    store.wait_for_log("web", "READY")
    good = tmp_path / "good"
    store.ok("save", "web", good)
    data = good.read_bytes()
    bad = tmp_path / "bad"

    def refused(content):
        bad.write_bytes(content)
        result = store.run("restore", "--verify", bad)
        assert store.state("web")["status"] == "exited"
        return one_line(result)

    assert "no saved domain" in refused(b"")
    assert "no saved domain" in refused(kernel.read_bytes())
    assert "cut off" in refused(data[:-1])
    assert "cut off" in refused(data[:4096])
    assert "cut off" in refused(data + b"x")
    assert "format 2, known is 1" in refused(data[:8] + b"\2" + data[9:])
    assert "not written to its end" in refused(data[:7] + b"?" + data[8:])
    for at in range(64, len(data), len(data) // 50):
        if data[at]:
            assert "damaged" in refused(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
    assert "No such file" in one_line(store.run("restore", tmp_path / "nothing"))
    assert "no saved domain" in one_line(store.run("restore", tmp_path))
    store.ok("restore", "--verify", good)


def test_saving_that_fails_changes_nothing(store, tmp_path):  # noqa: F811
    store.start("web")
    store.wait_for_log("web", "READY")
    precious = tmp_path / "disk.img"
    precious.write_bytes(b"what somebody needs")
    for words, reason in [(("web", precious), "no saved domain"), (("web", tmp_path), "no file"),
                          (("web", tmp_path / "no" / "where"), "No such file"), (("nobody", precious), "no domain")]:
        result = store.run("save", *words)
        assert result.returncode == 1 and reason in result.stderr
    assert precious.read_bytes() == b"what somebody needs"
    assert store.state("web")["status"] == "running"
    store.ok("save", "--force", "--keep-running", "web", precious)
    store.ok("save", "web", precious)  # which is one now
    result = store.run("save", "web", precious)
    assert result.returncode == 1 and "does not run" in result.stderr
    result = store.run("save", "web")
    assert result.returncode == 2 and "hint" in result.stderr
    assert store.run("restore").returncode == 2


def test_a_full_disk(workers, tmp_path, expected):
    """The machine goes on as if nobody had tried."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], capture_output=True).returncode:
        pytest.skip("no file system can be mounted")
    try:
        workers.start("worker")
        workers.wait_for_log("worker", "READY")
        result = workers.run("save", "worker", small / "state")
        assert result.returncode == 1 and "No space left" in result.stderr, result
        assert list(small.iterdir()) == []
        assert workers.state("worker")["status"] == "running"
        wait_for_end(workers, "worker")
        assert checksums(workers, "worker") == [expected[0]]
    finally:
        subprocess.run(["umount", small], check=True)


def test_the_command_dies(workers, tmp_path, expected):
    """Whenever it does there is a machine that goes on, or the file."""
    workers.start("worker")
    for _ in range(10):
        command = subprocess.Popen([VISOR, "save", "worker", tmp_path / "state"], env=workers.environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 0.02))
        command.kill()
        command.wait()
        deadline = time.monotonic() + TIMEOUT
        while (state := workers.state("worker"))["status"] not in ("running", "exited"):
            assert time.monotonic() < deadline
        if state["status"] == "exited":
            assert state["reason"] in ("saved", "off")
            if state["reason"] == "off":
                break
            workers.ok("restore", tmp_path / "state")
    wait_for_end(workers, "worker")
    assert checksums(workers, "worker") == [expected[0]]


def test_who_asks_leaves_without_a_word(workers, tmp_path, expected):
    """The machine, which stands still until it is told what becomes of it, goes on; the paused one stays so."""
    workers.start("worker")
    workers.wait_for_log("worker", "READY")
    control = workers.ok("inspect", "-f", "paths.control", "worker").strip()
    for paused in (True, False):
        if paused:
            workers.ok("pause", "worker")
        client, other = Qmp(control, TIMEOUT), Qmp(control, TIMEOUT)
        with open(tmp_path / "state", "wb+") as file:
            client.execute("save", pass_fd=file.fileno())
        assert other.execute("query-status")["running"] is False
        other.events.clear()
        client.close()
        if paused:
            other.execute("query-name")  # the other has gone by then
            assert other.execute("query-status")["running"] is False
            workers.ok("resume", "worker")
        else:
            other.wait("RESUME")
        other.close()
    wait_for_end(workers, "worker")
    assert checksums(workers, "worker") == [expected[0]]


def test_kinds_that_cannot(store, tmp_path):  # noqa: F811
    store.ok("run", "-d", "--name", "program", shutil.which("sleep"), "100")
    result = store.run("save", "program", tmp_path / "state")
    assert result.returncode == 1 and "a program cannot be saved" in result.stderr
    assert not (tmp_path / "state").exists()
