#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""run: compares visor with qemu-aarch64 on random arm64 instructions.

    tests/isa/run.py --visor build/visor --count 100000 --seed 1 [--group 'fadd*,simd']

Makes programs of random instruction sequences (generate.py, program.py), runs each under both, and compares
registers, flags, FPCR and FPSR, vectors, memory and signals after each sequence. For a difference it finds the
first instruction of the sequence after which the states differ, and prints that instruction with its inputs,
what is wanted (the reference) and what visor got, and the command that repeats it. Differences that are known
and explained (KNOWN) are counted but do not fail.

With --undefined, words that no pattern matches are run instead: both must raise SIGILL.
Exit status: 0 no unexplained difference, 1 differences, 2 the comparison could not be made.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import os
import random
import shlex
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import generate  # noqa: E402
import program  # noqa: E402
from program import MASK, Program, Record, Sequence  # noqa: E402

# Two CPU models. The first has all of our features, but others that change what our instructions do; the second
# lacks some, and is also the one for undefined words.
MAX_REFERENCE = "qemu-aarch64 -cpu max"
MAX_WITHOUT = "dc_zva,mrs_dczid,hint,ldst_pair"  # other block size, pointer authentication, STGP
N1_REFERENCE = "qemu-aarch64 -cpu neoverse-n1"
N1_WITHOUT = "asimdfhm,fcma,jscvt,sha3,sha512,ilrcpc"
DEFAULT_COMMAND = "{visor} run"
N1_EVERY = 3  # batches: one of them is for the second model
QUIET_EVERY = 4  # batches: one of them never looks at FPSR
QUIET_WITHOUT = "mrs_fpsr,msr_fpsr"
BATCH = 20000  # instructions a program
STATES = 2  # inputs for each sequence
DETAILED_MAX = 400  # differing entries of a program that are looked at one by one
CRASH_MAX = 5  # entries of a program that kill an emulator before the rest is given up
SIGNAL_NAMES = {4: "SIGILL", 5: "SIGTRAP", 7: "SIGBUS", 8: "SIGFPE", 11: "SIGSEGV"}


class Failure(Exception):
    """The comparison itself cannot be made."""


# -- known differences ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Difference:
    """One instruction after which the states differ."""

    pattern: str
    word: int
    address: int
    entry: int
    batch: int
    before: dict[str, int | str]
    want: dict[str, int | str]
    got: dict[str, int | str] | None  # None: visor died or hung
    note: str = ""

    def changed(self) -> list[str]:
        if self.got is None:
            return []
        return [k for k in {**self.want, **self.got} if self.want.get(k) != self.got.get(k)]


@dataclasses.dataclass(frozen=True)
class Known:
    name: str
    reason: str
    explains: Callable[[Difference], bool]


def is_flushed_script_integer(d: Difference) -> bool:
    """The operand is a denormal number that counts as zero, and the reference says that it was that."""
    operand, fpcr = d.before.get(f"v{d.word >> 5 & 31}"), d.before.get("fpcr")
    if d.got is None or d.pattern != "fjcvtzs" or d.changed() != ["nzcv"]:
        return False
    if not isinstance(operand, int) or not isinstance(fpcr, int) or not fpcr >> 24 & 1:
        return False
    return operand & MASK >> 1 != 0 and operand >> 52 & 0x7FF == 0 and (d.want["nzcv"], d.got["nzcv"]) == (4, 0)


KNOWN = [
    Known("FJCVTZS of a flushed denormal number",
          "QEMU 7.2 sets Z; Arm's FPToFixedJS() does not if value == 0 and the fraction of the operand is not",
          is_flushed_script_integer),
]


def explanation(difference: Difference) -> Known | None:
    return next((k for k in KNOWN if k.explains(difference)), None)


# -- running ----------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Output:
    data: bytes
    status: int | None  # None: timed out
    errors: str

    @property
    def is_good(self) -> bool:
        return self.status == 0

    def fate(self) -> str:
        last = self.errors.strip().splitlines()[-1:] or [""]
        how = "hung" if self.status is None else f"ended with status {self.status}"
        return f"{how}: {last[0]}" if last[0] else how


class Emulator:
    def __init__(self, command: str, folder: Path):
        self.command = shlex.split(command)
        self.folder = folder

    def run(self, image: bytes, timeout: float) -> Output:
        path = self.folder / f"program-{os.getpid()}"
        path.unlink(missing_ok=True)  # never written over while something may still run it
        path.write_bytes(image)
        path.chmod(0o755)
        try:
            done = subprocess.run([*self.command, str(path)], stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=timeout)
        except subprocess.TimeoutExpired as error:
            return Output(error.stdout or b"", None, "")
        except OSError as error:
            raise Failure(f"cannot run '{self.command[0]}': {error.strerror}") from error
        return Output(done.stdout, done.returncode, done.stderr.decode(errors="replace"))


def find_deadly_entry(emulator: Emulator, built: Program, entries: list[int], timeout: float) -> int:
    """The position in `entries` of the first one that the emulator does not survive."""
    low, high = 0, len(entries)  # entries[:low] is survived, entries[:high] is not
    while high - low > 1:
        middle = (low + high) // 2
        # What came before may matter, so a prefix is run, not a slice.
        if emulator.run(built.image(entries[:middle]), timeout).is_good:
            low = middle
        else:
            high = middle
    return low


# -- one batch --------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Task:
    """What a batch needs, for worker processes."""

    batch: int
    seed: int
    count: int
    group: str | None
    without: str | None
    status: bool
    undefined: bool
    visor: str
    reference: str
    folder: Path
    timeout: float
    only: int | None = None  # entry


@dataclasses.dataclass
class Result:
    instructions: int = 0
    entries: int = 0
    signals: int = 0
    patterns: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    differences: list[Difference] = dataclasses.field(default_factory=list)
    skipped: int = 0  # differing entries that were not looked at


def build(task: Task) -> Program:
    decoder = generate.load()
    seed = f"{task.seed}/{task.batch}"
    if task.undefined:
        sequences = generate.UndefinedGenerator(decoder).sequences(seed, task.count)
    else:
        sequences = generate.Generator(decoder, task.group, task.without).sequences(seed, task.count)
    return Program(sequences, 1 if task.undefined else STATES, random.Random(f"{seed}/inputs"), task.status)


def run_batch(task: Task) -> Result:
    built = build(task)
    reference, visor = Emulator(task.reference, task.folder), Emulator(task.visor, task.folder)
    result = Result(sum(len(s.words) for s in built.sequences), built.entry_count)
    for sequence in built.sequences:
        result.patterns.update(sequence.patterns)
    entries = list(range(built.entry_count)) if task.only is None else [task.only]
    differing: list[int] = []
    for _ in range(CRASH_MAX + 1):
        want = reference.run(built.image(entries), task.timeout)
        if not want.is_good:
            at = find_deadly_entry(reference, built, entries, task.timeout)
            raise Failure(f"{task.reference} {want.fate()}, at entry {entries[at]} of batch {task.batch}: "
                          f"{listing(built.sequence_of(entries[at]))}")
        got = visor.run(built.image(entries), task.timeout)
        if got.is_good:
            break
        at = find_deadly_entry(visor, built, entries, min(task.timeout, 10))
        result.differences.append(examine_death(task, built, visor, reference, entries[at], got.fate()))
        dead = built.sequence_of(entries[at])
        entries = [e for e in entries if built.sequence_of(e) is not dead]
        if not entries:
            return result
    else:
        result.skipped += len(entries)
        return result
    if want.data != got.data:
        words_want = struct.unpack(f"<{len(want.data) // 8}Q", want.data)
        words_got = struct.unpack(f"<{len(got.data) // 8}Q", got.data)
        if len(words_want) != len(entries) or len(words_got) != len(entries):
            raise Failure(f"batch {task.batch}: {len(entries)} entries gave {len(words_want)} results in the "
                          f"reference, {len(words_got)} in visor")
        differing = [e for e, w, g in zip(entries, words_want, words_got) if w != g]
        result.skipped += max(0, len(differing) - DETAILED_MAX)
        result.differences += examine(task, built, reference, visor, differing[:DETAILED_MAX])
    return result


def records(emulator: Emulator, built: Program, entries: list[int], cut: int, timeout: float) -> list[Record]:
    """States after `cut` instructions. An entry that the emulator does not survive has a fate instead."""
    output = emulator.run(built.image(entries, full=True, cut=cut), timeout)
    found = Record.read_all(output.data)
    if output.is_good and len(found) == len(entries):
        return found
    if len(entries) == 1:
        return [Record((), output.fate())]
    return [records(emulator, built, [entry], cut, min(timeout, 10))[0] for entry in entries]


def reference_records(emulator: Emulator, built: Program, entries: list[int], cut: int,
                      timeout: float) -> list[Record]:
    found = records(emulator, built, entries, cut, timeout)
    for record in found:
        if record.fate:
            raise Failure(f"{' '.join(emulator.command)} {record.fate} when asked for details")
    return found


def examine(task: Task, built: Program, reference: Emulator, visor: Emulator, entries: list[int]) -> list[Difference]:
    """The first instruction that differs, for each entry: by running ever longer beginnings of the sequences."""
    differences: list[Difference] = []
    left = list(entries)
    before: dict[int, Record] = {}
    for cut in range(max(generate.LENGTHS) + 1):
        if not left:
            break
        want = reference_records(reference, built, left, cut, task.timeout)
        got = records(visor, built, left, cut, task.timeout)
        for entry, w, g in zip(list(left), want, got):
            sequence = built.sequence_of(entry)
            if w != g:
                left.remove(entry)
                differences.append(make_difference(task, sequence, entry, cut, before.get(entry), w, g))
            elif cut >= len(sequence.words):
                left.remove(entry)
                note = "the difference went away when only this sequence and other differing ones were run"
                differences.append(make_difference(task, sequence, entry, cut, before.get(entry), w, g, note))
            before[entry] = w
    return differences


def make_difference(task: Task, sequence: Sequence, entry: int, cut: int, before: Record | None, want: Record,
                    got: Record, note: str = "") -> Difference:
    index = max(cut - 1, 0)
    if got.fate:
        note = f"visor {got.fate}"
    if cut == 0 and not note:
        note = "the inputs differ already"
    return Difference(sequence.patterns[index], sequence.words[index], sequence.address + 4 * index, entry,
                      task.batch, before.items() if before else {}, want.items(),
                      None if got.fate else got.items(), note)


def examine_death(task: Task, built: Program, visor: Emulator, reference: Emulator, entry: int,
                  fate: str) -> Difference:
    sequence = built.sequence_of(entry)
    before = None
    for cut in range(len(sequence.words) + 1):
        want = reference_records(reference, built, [entry], cut, task.timeout)[0]
        got = records(visor, built, [entry], cut, 10)[0]
        if got.fate:
            return make_difference(task, sequence, entry, cut, before, want, got)
        before = want
    assert before is not None
    return make_difference(task, sequence, entry, len(sequence.words), None, before,
                           Record((), f"{fate}, but only after the sequences before it"))


# -- reporting --------------------------------------------------------------------------------------------


def disassemble(word: int, address: int) -> str:
    try:
        import capstone
    except ImportError:
        return f".inst {word:#010x}"
    engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    for instruction in engine.disasm(struct.pack("<I", word), address):
        return f"{instruction.mnemonic} {instruction.op_str}".strip()
    return f".inst {word:#010x}"


def listing(sequence: Sequence) -> str:
    return "; ".join(disassemble(w, sequence.address + 4 * i) for i, w in enumerate(sequence.words))


def show(name: str, value: int | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        signal, _, rest = value.partition(" ")
        return f"{SIGNAL_NAMES.get(int(signal), signal)} {rest}" if name.startswith("signal") else value
    if name.startswith("v"):
        return f"{value >> 64:016x}'{value & program.MASK:016x}"
    if name == "nzcv":
        return "".join(c if value >> 3 - i & 1 else c.lower() for i, c in enumerate("NZCV"))
    return f"{value:#x}"


def operands(word: int, before: dict[str, int | str]) -> list[str]:
    """Names of registers that the encoding's register fields can mean."""
    fields = {word & 31, word >> 5 & 31, word >> 10 & 31, word >> 16 & 31}
    if word & 0x0E000000 == 0x0E000000:
        names = [f"v{r}" for r in sorted(fields)] + [f"x{word >> 5 & 31}"]
    elif word & 0x0A000000 == 0x08000000:
        names = [f"x{r}" for r in sorted(fields)] + ["sp"]
        if word >> 26 & 1:
            names += [f"v{word & 31}"]
    else:
        names = [f"x{r}" for r in sorted(fields)]
    return [n for n in [*names, "nzcv", "fpcr", "fpsr"] if n in before]


def repeat_options(options: argparse.Namespace) -> str:
    """The part of the command line that chooses what is generated and how it is run."""
    words = [f"--visor {shlex.quote(options.visor)}", f"--seed {options.seed}", f"--count {options.count}"]
    for name, default in (("command", DEFAULT_COMMAND), ("reference", None), ("group", None)):
        value = getattr(options, name)
        if value != default:
            words.append(f"--{name} {shlex.quote(value)}")
    return " ".join(words + ["--undefined"] * options.undefined)


def report(difference: Difference, options: str) -> str:
    d = difference
    lines = [f"{d.pattern}: {d.word:08x}  {disassemble(d.word, d.address)}   at {d.address:#x}"]
    if d.note:
        lines.append(f"    note: {d.note}")
    for name in operands(d.word, d.before):
        lines.append(f"    in    {name:8} {show(name, d.before[name])}")
    for name in d.changed()[:8]:
        lines.append(f"    want  {name:8} {show(name, d.want.get(name))}")
        assert d.got is not None
        lines.append(f"    got   {name:8} {show(name, d.got.get(name))}")
        if name not in operands(d.word, d.before):
            lines.append(f"    (was) {name:8} {show(name, d.before.get(name))}")
    lines.append(f"    repeat: tests/isa/run.py {options} --batch {d.batch} --entry {d.entry}")
    return "\n".join(lines)


def summarize(differences: list[Difference]) -> list[str]:
    lifter = {p.name: f"{p.lifter}" for p in generate.load().patterns}
    counts = collections.Counter(d.pattern for d in differences)
    return [f"    {count:6}  {name}  ({lifter.get(name, '-')})" for name, count in counts.most_common()]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compares visor with qemu-aarch64 on random arm64 instructions.")
    parser.add_argument("--visor", default="build/visor", help="the visor binary (default: %(default)s)")
    parser.add_argument("--command", default=DEFAULT_COMMAND, help="how it is called (default: %(default)s)")
    parser.add_argument("--reference", help="default: qemu-aarch64 with suitable CPU models")
    parser.add_argument("--count", type=int, default=100000, help="instructions (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--group", help="only these: wildcards for pattern, lifter, feature or file names, with commas")
    parser.add_argument("--undefined", action="store_true", help="words that are no instruction, instead")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--reports", type=int, default=10, help="differences to print in full (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one program (default: %(default)s)")
    parser.add_argument("--batch", type=int, help="only this batch (to repeat a difference)")
    parser.add_argument("--entry", type=int, help="only this entry of the batch")
    parser.add_argument("--keep", type=Path, help="write the batch's program there and do not run it")
    parser.add_argument("--coverage", action="store_true", help="print how often each pattern was run")
    return parser.parse_args()


def make_task(options: argparse.Namespace, folder: Path, batch: int) -> Task:
    """With --group, the first model that has all of the group."""
    visor = options.command.replace("{visor}", shlex.quote(options.visor))
    status = options.undefined or options.group is not None or batch % QUIET_EVERY != QUIET_EVERY - 1
    if options.group:
        is_n1 = any(generate.matches_group(p, options.group) and generate.matches_group(p, MAX_WITHOUT)
                    for p in generate.load().patterns)
    else:
        is_n1 = options.undefined or batch % N1_EVERY == 0
    reference, without = (N1_REFERENCE, N1_WITHOUT) if is_n1 else (MAX_REFERENCE, MAX_WITHOUT)
    if not status:
        without = f"{without},{QUIET_WITHOUT}"
    return Task(batch, options.seed, min(options.count, BATCH), options.group, without, status, options.undefined,
                visor, options.reference or reference, folder, options.timeout, options.entry)


def make_tasks(options: argparse.Namespace, folder: Path) -> list[Task]:
    batches = range(-(-options.count // BATCH)) if options.batch is None else [options.batch]
    return [make_task(options, folder, batch) for batch in batches]


def main() -> int:
    options = parse_arguments()
    if options.entry is not None and options.batch is None:
        options.batch = 0
    start = time.monotonic()
    total = Result()
    with tempfile.TemporaryDirectory(prefix="visor-isa-") as name:
        tasks = make_tasks(options, Path(name))
        if options.keep:
            built = build(tasks[0])
            entries = None if options.entry is None else [options.entry]
            options.keep.write_bytes(built.image(entries, full=options.entry is not None))
            options.keep.chmod(0o755)
            return 0
        try:
            with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
                for result in pool.map(run_batch, tasks):
                    total.instructions += result.instructions
                    total.entries += result.entries
                    total.patterns += result.patterns
                    total.differences += result.differences
                    total.skipped += result.skipped
        except (Failure, ValueError) as failure:
            print(f"isa: {failure}", file=sys.stderr)
            return 2
    explained = collections.Counter(k.name for d in total.differences if (k := explanation(d)))
    unexplained = [d for d in total.differences if not explanation(d)]
    seen: collections.Counter[str] = collections.Counter()
    for difference in sorted(unexplained, key=lambda d: (d.batch, d.entry)):
        seen[difference.pattern] += 1
        if seen[difference.pattern] <= 2 and sum(min(n, 2) for n in seen.values()) <= options.reports:
            print(report(difference, repeat_options(options)))
    if unexplained:
        print("differences by pattern:", *summarize(unexplained), sep="\n")
    if options.coverage:
        print("runs by pattern:", *(f"    {n:6}  {p}" for p, n in sorted(total.patterns.items())), sep="\n")
    for name, count in explained.items():
        print(f"known difference '{name}': {count}")
    skipped = f", {total.skipped} more not looked at" if total.skipped else ""
    print(f"isa: {total.instructions} instructions of {len(total.patterns)} patterns in {total.entries} runs, "
          f"{len(unexplained)} unexplained differences{skipped}, {time.monotonic() - start:.1f} s")
    return 1 if unexplained or total.skipped else 0


if __name__ == "__main__":
    sys.exit(main())
