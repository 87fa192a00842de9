# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine kvm on a KVM that is no software: QEMU makes a PC with an AMD processor that has SVM and nested paging, in it
Debian's kvm_amd offers /dev/kvm, and visor runs machines by that. Emulation in emulation takes minutes, see nested.py."""
import re

import pytest

import nested
from test_engine_kvm import CALLS, hyperv_transcript, kernel, transcript  # noqa: F401 (a fixture)
from test_state import build_work

pytestmark = nested.MARKS

SUITE = "trixie"
SPLIT = "kernel-apic no-cr8"  # with it QEMU would abort now and then; the other irqchip's exits keep it from that
# QEMU's processor knows no exceptions of SSE, does not say of an entry with a reserved bit that it is there, and version 10
# writes CR2 at a general protection fault.
OF_QEMU = [r"(?<=SSE divides by zero: ).*", r"(?<=reserved bit: vector 0e error ).*", r"(?<=    error: 0000000)[89]",
           r"(?<=fault: 0000000d\n    error: 00000000\n    CR2: ).*"]

# Signals, processes, and much memory.
DEBIAN = """
trap 'echo SIGNAL' USR1
for i in 1 2 3; do (kill -USR1 $$); done
seq 50000 | md5sum
dd if=/dev/zero of=/tmp/zeros bs=1M count=8 2>/dev/null; md5sum </tmp/zeros
echo INNER-ENDS
poweroff -f
"""

SCRIPT = """
LOAD(kvm_amd)
dmesg -n 1
machine="--memory 32M --net none --cpu x86-64-v1"
limited() { timeout -s KILL 120 /visor "$@" </dev/null; }
echo PART-check; /visor check | grep dev/kvm
for irqchip in split user; do
  words=; [ $irqchip = split ] && words="WORDS"
  for cpus in 1 2; do
    echo PART-$irqchip-$cpus
    limited run --rm $machine --engine kvm --irqchip $irqchip --cpus $cpus --kernel /test --append "$words"
  done
  echo PART-hyperv-$irqchip
  limited run --rm --memory 32M --net none --cpu x86-64-v1,hv=on --engine kvm --irqchip $irqchip --cpus 2 --kernel /test \\
    --append "hyper-v $words"
  echo PART-stops-$irqchip
  /visor run -d --name stopped-$irqchip $machine --engine kvm --irqchip $irqchip --cpus 2 --kernel /test \\
    --append "$words" >/dev/null
  stops=0
  until [ $stops = 2000 ]; do
    /visor pause stopped-$irqchip && /visor resume stopped-$irqchip || break
    stops=$((stops + 1))
  done >/dev/null 2>&1
  limited wait stopped-$irqchip >/dev/null || /visor kill stopped-$irqchip
  /visor logs stopped-$irqchip
  echo PART-count-$irqchip; echo $stops
done
echo PART-calls
limited run --rm $machine --engine kvm --kernel /test --append "calls WORDS"
echo PART-auto
/visor run -d --name worker $machine --kernel /work >/dev/null
/visor stats --no-stream --json worker
/visor rm --force worker >/dev/null
echo PART-debian
limited run --rm --engine kvm --cpu x86-64-v1 --memory 160M --net none --kernel /kernel --initrd /initrd \\
  --append "console=ttyS0 quiet tsc=reliable no_timer_check panic=-1"
echo STATUS $?
echo PART-end
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory, kernel):  # noqa: F811
    directory = tmp_path_factory.mktemp("nested")
    files = {"test": kernel.read_bytes(), "work": build_work(directory / "work", "-DSTEPS=12000000u").read_bytes()}
    # By one thread: else a processor of QEMU's may execute what the other, of the same kernel, has just patched away.
    options = ["-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-m", "1024", "-smp", "2"]
    said = nested.Nested(directory, SUITE).run(SCRIPT.replace("WORDS", SPLIT), DEBIAN, options, "mitigations=off", files=files)
    return said.replace("\r", "")


def text_of(said, name):
    return nested.part(said, name).lstrip("\n")


def but_of_qemu(text):
    for pattern in OF_QEMU:
        text, count = re.subn(pattern, "?", text)
        assert count, text
    return text


def test_kvm_is_found_to_be_a_processor(said):
    assert re.search(r"/dev/kvm +\S*yes", text_of(said, "check"))


def test_auto_is_kvm(said):
    assert '"exits":' in text_of(said, "auto")


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("irqchip", ["split", "user"])
def test_transcripts_are_the_same(said, kernel, irqchip, cpus):  # noqa: F811
    """Nothing is left out as for a KVM that is software."""
    words = SPLIT if irqchip == "split" else ""
    wanted = transcript(kernel, "--engine", "translate", "--cpus", cpus, "--append", words)
    assert but_of_qemu(text_of(said, f"{irqchip}-{cpus}")) == but_of_qemu(wanted)


@pytest.mark.parametrize("irqchip", ["split", "user"])
def test_hyperv_is_the_same(said, kernel, irqchip):  # noqa: F811
    words = f"hyper-v {SPLIT}" if irqchip == "split" else "hyper-v"
    wanted = hyperv_transcript(kernel, "translate", "--append", words)
    assert but_of_qemu(text_of(said, f"hyperv-{irqchip}")) == but_of_qemu(wanted)


@pytest.mark.parametrize("irqchip", ["split", "user"])
def test_stops_are_not_seen(said, kernel, irqchip):  # noqa: F811
    words = SPLIT if irqchip == "split" else ""
    wanted = transcript(kernel, "--engine", "translate", "--cpus", 2, "--append", words)
    assert but_of_qemu(text_of(said, f"stops-{irqchip}")) == but_of_qemu(wanted)
    assert int(text_of(said, f"count-{irqchip}")) > 0


def test_calls_of_kvm(said):
    text = text_of(said, "calls")
    assert text[text.index("calls\n"):].startswith(CALLS)


def test_debian_boots(said):
    text = text_of(said, "debian")
    assert text.count("SIGNAL\n") == 3
    assert "c1d4ba52c72ac7bcc71ff2d6c083e684" in text and "96995b58d4cbf6aaa9041b4f00c7f6ae" in text
    assert "INNER-ENDS" in text and "STATUS 0" in text
