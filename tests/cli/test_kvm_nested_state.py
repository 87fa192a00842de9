# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that go between `translate` and the engine kvm where KVM is no software: on the AMD processor of a PC that QEMU
makes, see test_kvm_nested.py. What is exact there has been saved from a processor's registers, and loaded into them."""
import re

import pytest

import nested
from conftest import VISOR
from store import Store
from test_kvm_nested import SUITE
from test_state import MOMENTS, build_work, checksums, wait_for_end

pytestmark = nested.MARKS

UNIT_TESTS = VISOR.parent / "tests"
PROGRAMS = ["machine_guest", "async_fault", "engine_memory"]

SCRIPT = """
LOAD(kvm_amd)
dmesg -n 1
echo PART-check; /visor check | grep dev/kvm
for program in PROGRAMS; do
  echo PART-$program
  timeout -s KILL 400 UNIT_TESTS/test_$program 2>&1
  echo STATUS $?
done
go_from_engine_to_engine() {  # until the worker comes to its end
  engine=$1
  /visor run -d --name worker --memory 16M --net none --cpu x86-64-v1 --irqchip $irqchip --engine $engine --kernel /work \\
    >/dev/null || return
  while usleep $((RANDOM * 10 + 1)); do
    if ! /visor save worker /state 2>/tmp/refused; then
      grep -q "does not run\\|end" /tmp/refused || cat /tmp/refused
      break
    fi
    echo SAVED $engine
    case $engine in kvm) engine=translate ;; *) engine=kvm ;; esac
    /visor restore --engine $engine /state >/dev/null || break
  done
  timeout -s KILL 60 /visor wait worker
  /visor logs worker
  /visor rm --force worker >/dev/null
}
for irqchip in auto user; do
  echo PART-turns-$irqchip
  saved=0 engine=kvm idle=0
  while [ $saved -lt MOMENTS ] && [ $idle -lt 5 ]; do
    go_from_engine_to_engine $engine >/tmp/round
    cat /tmp/round
    more=$(grep -c SAVED /tmp/round)
    [ $more -gt 0 ] && idle=0 || idle=$((idle + 1))  # it came to its end before the first moment
    saved=$((saved + more))
    case $engine in kvm) engine=translate ;; *) engine=kvm ;; esac
  done
done
echo PART-end
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return build_work(tmp_path_factory.mktemp("work") / "work", "-DSTEPS=12000000u")


@pytest.fixture(scope="module")
def said(tmp_path_factory, work):
    programs = [UNIT_TESTS / f"test_{name}" for name in PROGRAMS]
    script = SCRIPT
    for word, value in (("PROGRAMS", " ".join(PROGRAMS)), ("UNIT_TESTS", str(UNIT_TESTS)), ("MOMENTS", str(MOMENTS))):
        script = script.replace(word, value)
    options = ["-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-m", "1024", "-smp", "2"]
    machine = nested.Nested(tmp_path_factory.mktemp("nested"), SUITE)
    said = machine.run(script, "", options, "mitigations=off", 900 + 20 * MOMENTS,
                       {"work": work.read_bytes()}, of_host=programs)
    return said.replace("\r", "")


def test_kvm_is_a_processor(said):
    assert re.search(r"/dev/kvm +\S*yes", nested.part(said, "check"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_unit_tests_pass(said, program):
    text = nested.part(said, program)
    assert "STATUS 0\n" in text and "PASSED" in text and "SKIPPED" not in text, text


@pytest.mark.parametrize("irqchip", ["auto", "user"])
def test_engines_take_turns_at_random_moments(said, tmp_path, work, irqchip):
    """The results are those of a guest that nobody has disturbed."""
    store = Store(tmp_path / "store", work)
    store.start("undisturbed", "--engine", "translate")
    wait_for_end(store, "undisturbed")
    result, = checksums(store, "undisturbed")
    text = nested.part(said, f"turns-{irqchip}")
    moments = {engine: text.count(f"SAVED {engine}\n") for engine in ("kvm", "translate")}
    results = re.findall("SUM ([0-9a-f]{16})\n", text)
    print(f"{moments} in {len(results)} rounds")
    assert sum(moments.values()) >= MOMENTS and min(moments.values()) > 0
    assert set(results) == {result}
    assert text.count("READY") == len(results)  # each came to its end, and was begun once
