# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine kvm: a kernel of ours finds the same machine under it as under translate, and what it cannot do it says."""
import json
import os
import pathlib
import subprocess

import pytest

from conftest import TOP, VISOR
from qmp import Qmp, QmpError
from test_machine import free_port
from test_machine_gdb import Debugger

TIMEOUT = 120  # of a host that is very busy
FLAGS = ["-m32", "-O1", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-mgeneral-regs-only", "-nostdlib", "-static",
         "-Wl,-Ttext=0x200000,--build-id=none,-z,noexecstack,-z,max-page-size=4096"]


def check():
    return json.loads(subprocess.run([VISOR, "check", "--json"], capture_output=True, text=True, check=True).stdout)["kvm"]


KVM = check()
needs_kvm = pytest.mark.skipif(KVM["verdict"] == "no", reason=KVM["detail"])


@pytest.fixture(scope="session")
def kernel(tmp_path_factory):
    path = tmp_path_factory.mktemp("kernel") / "kernel"
    directory = TOP / "tests/guest/kernel"
    sources = [directory / "start.S", *sorted(directory.glob("*.c"))]  # which begins with the Multiboot header
    subprocess.run(["gcc", *FLAGS, "-o", path, *sources], check=True)
    return path


def command(kernel, *options):
    return [VISOR, "run", "--rm", "--memory", "32M", "--net", "none", "--kernel", str(kernel), *map(str, options)]


def run(kernel, *options, prefix=()):
    return subprocess.run([*prefix, *command(kernel, *options)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=TIMEOUT)


def transcript(kernel, *options):
    result = run(kernel, "--cpu", "x86-64-v1", *options)
    assert result.returncode == 0, result.stdout[-500:] + result.stderr
    assert result.stdout.endswith("end\n")
    return result.stdout


def test_transcript_of_translate(kernel):
    """Everything that the kernel tries is there."""
    text = transcript(kernel, "--engine", "translate", "--cpus", 2)
    assert "not here" not in text and "lost" not in text and "none" not in text.replace("x87 divides by zero: none", "")
    for line in ("vector 0e error 0011 at 40003000", "by priority: 60 51 50", "counted with locks: 00000320",
                 "goes on from what was written: 00000001", "x87: 00000000", "the end of all: ffffffff", "no more: 00000001",
                 "page faults are told: 00000000", "boot: 00000002"):
        assert line in text


@needs_kvm
@pytest.mark.parametrize("irqchip", ["auto", "user"])
@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_transcripts_are_the_same(kernel, cpus, irqchip):
    """What is left out for a KVM that is software must be there on a processor. The kernel's local APICs tell of no
    errors."""
    words = ["lesser"] * (KVM["verdict"] == "partly") + ["kernel-apic"] * (irqchip == "auto")
    options = ["--cpus", cpus, "--append", " ".join(words)]
    wanted = transcript(kernel, "--engine", "translate", *options)
    for _ in range(3):
        assert transcript(kernel, "--engine", "kvm", "--irqchip", irqchip, *options) == wanted


def hyperv_transcript(kernel, engine, *options):
    result = run(kernel, "--cpu", "x86-64-v1,hv=on", "--engine", engine, "--cpus", 2, *options)
    assert result.returncode == 0, result.stdout[-500:] + result.stderr
    return result.stdout


def test_hyperv(kernel):
    """What a guest that knows Hyper-V finds."""
    text = hyperv_transcript(kernel, "translate", "--append", "hyper-v lesser")
    for line in ("40000000 40000006 7263694d 666f736f 76482074", "40000005 00000002", "hypercalls of nobody: 00a00000",
                 "hypercalls: 00a00001", "a hypercall: 00000002", "and its upper half: 00000000", "long spin: 00000000",
                 "message to nobody: 00000012", "message that is not aligned: 00000004", "message without memory: 00000003",
                 "event of nobody: 00000012", "event by memory: 00000012", "its sequence: 00000001",
                 "it says what the register does: 00000001", "write of the index: vector 0d", "write of the time: vector 0d",
                 "register that there is not: vector 0d", "messages: 00a02001", "slot: 00000000",
                 "source of an exception: vector 0d", "messages beyond memory: vector 0d", "message: 80000010",
                 "expired when it was to: 00000001", "and not before: 00000001", "another one waits: 00000118",
                 "its turn: 00000018", "periodic: 0003000a", "direct: 000015a0"):
        assert line in text
    after = text[text.index("boot: 00000001"):]
    for line in ("guest: 00000000", "hypercalls: 00000000", "messages: 00000000", "source: 00010000", "timer: 00000000"):
        assert line in after


@needs_kvm
@pytest.mark.parametrize("irqchip", ["auto", "user"])
def test_hyperv_is_the_same(kernel, irqchip):
    words = " ".join(["hyper-v"] + ["lesser"] * (KVM["verdict"] == "partly") + ["kernel-apic"] * (irqchip == "auto"))
    wanted = hyperv_transcript(kernel, "translate", "--append", words)
    for _ in range(3):
        assert hyperv_transcript(kernel, "kvm", "--irqchip", irqchip, "--append", words) == wanted


def vmware_transcript(kernel, engine, *options):
    result = run(kernel, "--cpu", "x86-64-v1", "--engine", engine, "--append", "vmware lesser kernel-apic", *options)
    assert result.returncode == 0, result.stdout[-500:] + result.stderr
    return result.stdout[result.stdout.index("vmware\n"):]


def vmware_answers(text):
    """{name: [eax, ebx, ecx, edx]}"""
    values = [line.split(": ")[1] for line in text.splitlines()[1:21]]
    return dict(zip(("version", "memory", "processors", "no command", "no call"), (values[i:i + 4] for i in range(0, 20, 4))))


def test_vmware_port(kernel):
    """Who looks for VMware finds what was asked for, and nothing in a machine where nobody did."""
    text = vmware_transcript(kernel, "translate", "--vmport")
    assert vmware_answers(text) == {
        "version": ["00000006", "564d5868", "00000002", "abcd5658"],
        "memory": ["00000020", "12345678", "ffff0014", "abcd5658"],
        "processors": ["00000008", "12345678", "00000044", "abcd5658"],
        "no command": ["ffffffff", "12345678", "00000fff", "abcd5658"],
        "no call": ["ffffffff", "12345678", "0000000a", "abcd5658"],
    }
    assert "two bytes: 564dffff" in text
    without = vmware_answers(vmware_transcript(kernel, "translate"))
    assert without["version"] == ["ffffffff", "12345678", "0000000a", "abcd5658"]


@needs_kvm
@pytest.mark.parametrize("irqchip", ["auto", "user"])
def test_vmware_port_is_the_same(kernel, irqchip):
    wanted = vmware_transcript(kernel, "translate", "--vmport")
    assert vmware_transcript(kernel, "kvm", "--irqchip", irqchip, "--vmport") == wanted


def calls_transcript(kernel, engine):
    result = run(kernel, "--engine", engine, "--append", "calls lesser kernel-apic")
    assert result.returncode == 0, result.stdout[-500:] + result.stderr
    return result.stdout[result.stdout.index("calls\n"):]


CALLS = """calls
  poll: 00000000
  poll by the other: 00000000
  none: fffffc18
  time and counter: 00000000
  the counter is this one: 00000001
  of this century: 00000001
  another time: ffffffa1
  interrupt for nobody: 00000000
"""


@pytest.mark.parametrize("engine", ["translate", pytest.param("kvm", marks=needs_kvm)])
def test_calls_of_kvm(kernel, engine):
    """A guest that finds KVM in CPUID calls it, whatever runs it."""
    if engine == "kvm" and KVM["verdict"] != "yes":
        pytest.skip("one that is software executes VMCALL for ever")
    assert calls_transcript(kernel, engine).startswith(CALLS)


@needs_kvm
@pytest.mark.parametrize("irqchip", ["auto", "user"])
def test_stops_are_not_seen(kernel, tmp_path, irqchip):
    """Stopped and continued all the time, a machine loses no interrupt, and no time passes for it that is not told."""
    path, options = tmp_path / "qmp", ["--cpu", "x86-64-v1", "--cpus", 2, "--append", "lesser kernel-apic"]
    wanted = run(kernel, "--engine", "translate", *options).stdout
    machine = subprocess.Popen(command(kernel, "--engine", "kvm", "--irqchip", irqchip, "--qmp", f"unix:{path}", *options),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    stops = 0
    try:
        while not path.exists():
            assert machine.poll() is None
        qmp = Qmp(path, TIMEOUT)
        try:
            while machine.poll() is None:
                qmp.execute("stop")
                qmp.execute("cont")
                stops += 1
        except (AssertionError, QmpError, OSError):  # hung up, or refused:
            machine.wait(TIMEOUT)  # it has come to its end
        assert machine.communicate(timeout=TIMEOUT)[0] == wanted
        assert stops and machine.returncode == 0
    finally:
        machine.kill()
        machine.wait()


def test_no_irqchip_of_its_own(kernel):
    result = run(kernel, "--engine", "translate", "--irqchip", "split")
    assert result.returncode != 0 and result.stdout == ""
    assert "--irqchip split: under --engine translate local APICs are visor's" in result.stderr


@needs_kvm
def test_processor_that_the_host_cannot_make(kernel):
    result = run(kernel, "--engine", "kvm", "--cpu", "x86-64-v1,+sha_ni,+pcid", "--append", "lesser")
    if KVM["verdict"] == "yes":
        pytest.skip("a processor may have anything")
    assert result.returncode != 0
    assert "this host's KVM cannot make a processor x86-64-v1: it lacks pcid, sha_ni" in result.stderr
    assert "--cpu max" in result.stderr and result.stdout == ""
    assert run(kernel, "--engine", "kvm", "--cpu", "max", "--append", "lesser").returncode == 0


@needs_kvm
def test_traces_are_translations(kernel):
    result = run(kernel, "--engine", "kvm", "--trace", "guest")
    assert result.returncode != 0
    assert "--trace shows what is translated" in result.stderr and "--engine translate" in result.stderr


def test_unknown_engine(kernel):
    result = run(kernel, "--engine", "hvf")
    assert result.returncode != 0
    assert "hvf" in result.stderr and "translate" in result.stderr and "kvm" in result.stderr


def hidden(script):
    """In a mount namespace of its own, where /dev is changed."""
    return ["unshare", "--mount", "sh", "-c", script + ' && exec "$@"', "sh"]


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


@needs_root
def test_host_without_kvm(kernel):
    prefix = hidden("mount -t tmpfs none /dev && : > /dev/null")
    result = run(kernel, "--engine", "kvm", prefix=prefix)
    assert result.returncode != 0
    assert "there is no KVM: No such file or directory" in result.stderr and "modprobe" in result.stderr
    result = run(kernel, "--engine", "auto", "--append", "lesser", prefix=prefix)
    assert result.returncode == 0 and result.stdout.endswith("end\n")


@needs_root
@needs_kvm
@pytest.mark.parametrize("mode,hint", [("0600", "root alone may use it"), ("0660", "join its group: adduser USER daemon")])
def test_no_permission(kernel, tmp_path, mode, hint):
    for directory in (kernel, *kernel.parents[:3]):
        directory.chmod(0o755)
    group = "daemon" if mode == "0660" else "root"  # which every Debian has
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    for directory in (tmp_path, *list(tmp_path.parents)[:2]):
        directory.chmod(0o755)
    prefix = hidden(f"mknod -m {mode} {tmp_path}/kvm c 10 232 && chgrp {group} {tmp_path}/kvm && mount --bind {tmp_path}/kvm /dev/kvm")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", f"HOME={home}", f"XDG_RUNTIME_DIR={home}",
            f"XDG_STATE_HOME={home}", f"XDG_DATA_HOME={home}"]
    result = run(kernel, "--engine", "kvm", prefix=[*prefix, *user])
    assert result.returncode != 0
    assert "/dev/kvm: permission denied" in result.stderr and hint in result.stderr


@needs_kvm
@pytest.mark.parametrize("engine", ["auto", "kvm", "translate"])
def test_which_engine_it_is(store_kernel, tmp_path, engine):
    """QMP says so. A KVM that is software is nothing for "auto"."""
    path = tmp_path / "qmp"
    machine = subprocess.Popen(command(store_kernel, "--engine", engine, "--qmp", f"unix:{path}"), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert b"READY" in machine.stdout.readline()
        qmp = Qmp(path, TIMEOUT)
        real = KVM["verdict"] == "yes"
        assert qmp.execute("query-kvm")["enabled"] == {"auto": real, "kvm": True, "translate": False}[engine]
        for _ in range(5):
            qmp.execute("stop")
            qmp.execute("cont")
        qmp.execute("system_reset")
        assert b"READY" in machine.stdout.readline()
        qmp.execute("quit")
        machine.wait(TIMEOUT)
    finally:
        machine.kill()
        machine.wait()


@pytest.fixture(scope="session")
def store_kernel(tmp_path_factory):
    """The kernel of domains; see its source."""
    path = tmp_path_factory.mktemp("store-kernel") / "kernel"
    source = pathlib.Path(__file__).with_name("domain_kernel.S")
    subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-Wl,-Ttext=0x200000,--build-id=none,-z,noexecstack,-z,max-page-size=4096",
                    "-o", path, source], check=True)
    return path


# 20000: mov ebx, 30000; inc dword [ebx]; mov eax, [ebx]; mov [ebx + 8], eax; jmp here
CODE = "bb00000300" "ff03" "8b03" "894308" "ebfe"


@pytest.fixture
def debugger(store_kernel):
    port = free_port()
    machine = subprocess.Popen(command(store_kernel, "--engine", "kvm", "--gdb", f"{port},wait"), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    debugger = None
    try:
        while not debugger:
            assert machine.poll() is None, machine.stderr.read()
            try:
                debugger = Debugger(port)
            except ConnectionRefusedError:
                continue
        yield debugger
    finally:
        machine.kill()
        machine.wait()


@needs_kvm
def test_debugger(debugger):
    """Steps, breakpoints, watchpoints, memory and registers. The code is put where the processor is."""
    assert debugger.ask("?").startswith("T05")
    assert debugger.ask(f"M20000,{len(CODE) // 2:x}:{CODE}") == "OK"
    assert debugger.ask(f"m20000,{len(CODE) // 2:x}") == CODE
    assert debugger.ask("M30000,c:" + "00" * 12) == "OK"
    assert debugger.ask(f"P10={0x20000.to_bytes(8, 'little').hex()}") == "OK"
    assert debugger.ask("s") == "T05thread:1;"
    assert debugger.rip() == 0x20005
    assert debugger.ask("Z1,20009,1") == "OK"
    assert debugger.ask("c") == "T05thread:1;swbreak:;"
    assert debugger.rip() == 0x20009
    assert debugger.ask("m30000,4") == "01000000"
    assert debugger.ask("s") == "T05thread:1;"
    assert debugger.rip() == 0x2000c
    assert debugger.ask("m30008,4") == "01000000"
    assert debugger.ask(f"P10={0x20005.to_bytes(8, 'little').hex()}") == "OK"
    assert debugger.ask("c") == "T05thread:1;swbreak:;"
    assert debugger.ask("m30000,4") == "02000000"
    if KVM["verdict"] == "yes":  # what emulates instructions does not watch data
        assert debugger.ask("Z2,30008,4") == "OK"
        assert debugger.ask("c") == "T05thread:1;watch:30008;"
        assert debugger.rip() == 0x2000c
    assert debugger.ask("D") == "OK"


def test_check_tries(kernel):
    assert KVM["verdict"] in ("yes", "partly", "no")
    if KVM["verdict"] == "partly":
        assert "it is software: an instruction takes it" in KVM["detail"]


@needs_kvm
@pytest.mark.parametrize("engine", ["kvm", "translate"])
def test_exits_are_counted(store_kernel, tmp_path, engine):
    """By reason, for each processor by QMP, of all together by visor stats; under translate nothing is."""
    path, visor = tmp_path / "qmp", [VISOR, "--store", tmp_path / "store"]
    options = ["--rm", "--name", "counted", "--memory", "32M", "--net", "none", "--cpus", "2", "--engine", engine, "--qmp", f"unix:{path}"]
    machine = subprocess.Popen([*visor, "run", *options, "--kernel", store_kernel], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert b"READY" in machine.stdout.readline()
        exits = Qmp(path, TIMEOUT).execute("x-query-exits")
        (row,) = json.loads(subprocess.run([*visor, "stats", "--no-stream", "--json", "counted"], capture_output=True, check=True).stdout)
        if engine == "translate":
            assert exits == [] and "exits" not in row
            return
        ports = {entry["cpu-index"]: entry["count"] for entry in exits if entry["reason"] == "port"}
        assert ports[0] >= len("READY") and ports[1] == 0
        assert set(row["exits"]) == {entry["reason"] for entry in exits if entry["cpu-index"] == 1}
        assert row["exits"]["port"] >= ports[0]
    finally:
        machine.kill()
        machine.wait()
