# SPDX-License-Identifier: GPL-2.0-or-later
"""The comparison with random instructions: that it sees what it should. It is tried on the reference itself."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402
import program  # noqa: E402

QEMU = shutil.which("qemu-aarch64")
needs_qemu = pytest.mark.skipif(not QEMU, reason="qemu-aarch64 is not installed")


def run(*arguments):
    return subprocess.run([sys.executable, HERE / "run.py", "--jobs", "1", *arguments], capture_output=True, text=True)


@needs_qemu
def test_no_difference_between_equals():
    done = run("--visor", QEMU, "--command", "{visor} -cpu neoverse-n1", "--count", "3000", "--group", "base",
               "--reference", f"{QEMU} -cpu neoverse-n1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 unexplained differences" in done.stdout


@needs_qemu
def test_difference_is_found_and_can_be_repeated():
    """One CPU model has complex numbers, the other has not."""
    base = ["--visor", QEMU, "--command", "{visor} -cpu neoverse-n1", "--seed", "4", "--count", "300", "--group",
            "fcmla_v,orr_reg"]
    done = run(*base)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "got   signal0  SIGILL" in done.stdout
    first = done.stdout.splitlines()[0]
    assert first.startswith("fcmla_v: ")
    assert "differences by pattern:" in done.stdout and "(simd_complex_multiply)" in done.stdout
    assert "(logical_reg)" not in done.stdout
    repeat = next(line for line in done.stdout.splitlines() if "repeat: " in line).split(" --count 300 ")[1]
    again = run(*base, *repeat.split()[-4:])
    assert again.returncode == 1
    assert again.stdout.splitlines()[0] == first


@needs_qemu
def test_undefined_words():
    same = run("--visor", QEMU, "--command", "{visor} -cpu neoverse-n1", "--count", "1000", "--undefined")
    assert same.returncode == 0, same.stdout + same.stderr
    more = run("--visor", QEMU, "--command", "{visor} -cpu max", "--count", "3000", "--undefined")
    assert more.returncode == 1
    assert "got   signal0  -" in more.stdout


@needs_qemu
def test_emulator_that_dies_is_a_difference():
    done = run("--visor", "/bin/false", "--command", "{visor}", "--count", "40", "--group", "orr_reg")
    assert done.returncode == 1
    assert "note: visor ended with status 1" in done.stdout


def test_reference_that_is_missing_is_an_error():
    done = run("--visor", "/bin/false", "--reference", "/nonexistent/qemu", "--count", "40", "--group", "orr_reg")
    assert done.returncode == 2
    assert "cannot run '/nonexistent/qemu'" in done.stderr


def test_same_seed_makes_the_same_program():
    def make(seed):
        sequences = generate.Generator(generate.load(), "base,simd").sequences(seed, 2000)
        return [(s.address, s.words, s.overrides) for s in sequences]

    assert make("1/0") == make("1/0")
    assert make("1/0") != make("1/1")


def test_every_pattern_is_generated():
    """Each of them alone, and every word of the group it was asked for."""
    decoder = generate.load()
    for pattern in decoder.patterns:
        if generate.is_excluded(pattern) or not decoder.is_enabled(pattern):
            continue
        sequences = generate.Generator(decoder, pattern.name).sequences("1", 5)
        words = [w for s in sequences for w, name in zip(s.words, s.patterns) if name != "nop"]
        assert words, pattern.name
        assert all(generate.matches_group(decoder.decode(w), pattern.name) for w in words), pattern.name


def test_loads_and_stores_reach_the_window():
    """The first access of each sequence, but for those that are meant to fault."""
    sequences = generate.Generator(generate.load(), "ldst_*,ldadd,cas").sequences("1", 4000)
    inside = total = 0
    for sequence in sequences:
        access = generate.memory_access(sequence.words[0])
        if access is None:
            continue
        default_sp = {program.SP: program.WINDOW + program.WINDOW_SIZE // 2}
        registers = {**default_sp, **sequence.overrides}
        address = registers[access.base] + access.offset
        if access.index is not None:
            index = registers[access.index] if access.index != 31 else 0
            address += generate.extend_index(index, access.extend) << access.shift
        address &= program.MASK
        total += 1
        inside += program.WINDOW <= address <= program.WINDOW + program.WINDOW_SIZE - access.size
    assert total > 400
    assert inside > 0.95 * total
