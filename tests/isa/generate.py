# SPDX-License-Identifier: GPL-2.0-or-later
"""generate: random instruction sequences from the decoder's pattern files.

Register and immediate fields are random with a liking for reuse and corner values. What an instruction needs to
do something sensible is arranged by the encoding, as the Arm ARM (DDI 0487, C4.1) classifies it: loads and
stores get base registers that put the access into the window, branches go forward within the sequence.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import random
import sys
from collections.abc import Callable, Sequence as Many
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from decodegen import Decoder, Pattern, read_features, read_patterns  # noqa: E402

import program  # noqa: E402
from program import MASK, Sequence  # noqa: E402

GUEST = ROOT / "src/translator/guest/arm64"
FEATURES = ROOT / "src/arch/arm64/features.h"

# Never generated, with the reason. Names of patterns, shell wildcards.
EXCLUDED = {
    "svc": "a random system call may do anything",
    "mrs_ctr": "the cache type register differs between CPU models",
    "mrs_cnt*": "the time differs between two runs",
    "mrs_id": "ID registers differ between CPU models",
    "dc_*va*": "cache maintenance by address: whether it faults at EL0 is not the same everywhere",
    "ic_ivau": "as above",
}
EXCEPTIONS_TO_EXCLUDED = {"dc_zva"}

FPCR_BITS = 0x07C80000  # AHP, DN, FZ, RMode, FZ16
FPSR_BITS = 0x0800009F
LENGTHS = (1, 1, 1, 2, 2, 3, 4, 5, 6, 8, 8, 12, 24)
WILD = 0.01  # share of loads, stores and indirect branches that are to fault
# Nothing is there. The top byte is zero: others are tags, for which tests/guest/core_tags.c is.
NOWHERE = (0, 1, 8, 0x1000, 0x7FFF8, 0x123450, 0x1000000001, 0x10000000000, 0x60000000)
SP = 31


def load(features: bool = True) -> Decoder:
    """The decoder of the arm64 guest."""
    patterns = read_patterns(sorted(GUEST.glob("*.pattern")))
    return Decoder(patterns, read_features(FEATURES) if features else None)


def matches_group(pattern: Pattern, group: str) -> bool:
    """`group`: comma-separated wildcards for a pattern's name, lifter, feature or file (base, simd)."""
    stem = Path(pattern.place.rpartition(":")[0]).stem
    names = [pattern.name, pattern.lifter, pattern.feature or "", stem]
    return any(fnmatch.fnmatchcase(name, part) for part in group.split(",") for name in names)


def is_excluded(pattern: Pattern) -> bool:
    return pattern.name not in EXCEPTIONS_TO_EXCLUDED and any(fnmatch.fnmatchcase(pattern.name, e) for e in EXCLUDED)


# -- what the encoding says about memory --------------------------------------------------------------------


@dataclasses.dataclass
class Access:
    """A load's or store's operand."""

    base: int
    size: int  # bytes from the address on
    offset: int = 0  # added to the base for this access
    step: int = 0  # added to the base afterwards or before: what the base register gets
    index: int | None = None  # register
    extend: int = 3  # option field: 2 UXTW, 3 LSL, 6 SXTW, 7 SXTX
    shift: int = 0
    step_register: int | None = None  # post-index by a register (structures)
    aligned: bool = False  # faults otherwise
    lenient: bool = False  # but not in QEMU 7.2, so that it is always aligned: LDAPR, LDAPUR, STLUR
    exclusive: str = ""  # "load" or "store"
    outputs: tuple[int, ...] = ()  # general registers written, the base not counted


def sign(value: int, width: int) -> int:
    return value - (1 << width) if value >> (width - 1) & 1 else value


def memory_access(word: int) -> Access | None:
    """The operand of a load or store; None for others, PC-relative loads, and what has no access."""
    if word & 0x0A000000 != 0x08000000:
        return None
    top = word >> 24 & 0x3F
    if top == 0x08:
        return exclusive_access(word)
    if top == 0x19 and not word >> 21 & 1:
        outputs = (word & 31,) if word >> 22 & 3 else ()
        return Access(word >> 5 & 31, 1 << (word >> 30), offset=sign(word >> 12 & 0x1FF, 9), aligned=True,
                      lenient=True, outputs=outputs)
    if top & 0x3B == 0x18:
        return None  # literal
    if top & 0x3A == 0x28:
        return pair_access(word)
    if top & 0x3A == 0x38:
        return register_access(word)
    if top in (0x0C, 0x0D):
        return structure_access(word)
    return None


def exclusive_access(word: int) -> Access:
    size, rs, rt2, rn, rt = word >> 30, word >> 16 & 31, word >> 10 & 31, word >> 5 & 31, word & 31
    o2, load, o1 = word >> 23 & 1, word >> 22 & 1, word >> 21 & 1
    if o1 and not (o2 or size >> 1):  # CASP
        return Access(rn, 8 << (size & 1), aligned=True, outputs=(rs, rs | 1))
    if o2 and o1:  # CAS
        return Access(rn, 1 << size, aligned=True, outputs=(rs,))
    if o2:  # LDAR, STLR
        return Access(rn, 1 << size, aligned=True, outputs=(rt,) if load else ())
    pair = o1 << 1 | 1 if o1 else 0
    length = 8 << (size & 1) if pair else 1 << size
    outputs = (rt, rt2) if pair and load else (rt,) if load else (rs,)
    return Access(rn, length, aligned=True, exclusive="load" if load else "store", outputs=outputs)


def pair_access(word: int) -> Access:
    opc, v, mode, load = word >> 30, word >> 26 & 1, word >> 23 & 3, word >> 22 & 1
    size = 4 << opc if v else (8 if opc >> 1 else 4)
    offset = sign(word >> 15 & 0x7F, 7) * size
    access = Access(word >> 5 & 31, 2 * size, offset=0 if mode == 1 else offset, step=offset if mode & 1 else 0)
    if load and not v:
        access.outputs = (word & 31, word >> 10 & 31)
    return access


def register_access(word: int) -> Access | None:
    size, v, opc = word >> 30, word >> 26 & 1, word >> 22 & 3
    scale = size | (opc >> 1) << 2 if v else size
    if not word >> 24 & 1 and word >> 21 & 1 and not word >> 10 & 3:
        lenient = word >> 12 & 15 == 12  # LDAPR; the others are atomics
        return Access(word >> 5 & 31, 1 << size, aligned=True, lenient=lenient, outputs=(word & 31,))
    if scale > 4 or (size == 3 and opc == 2 and not v):  # reserved, prefetch
        return None
    access = Access(word >> 5 & 31, 1 << scale)
    if not v and opc:
        access.outputs = (word & 31,)
    if word >> 24 & 1:
        access.offset = (word >> 10 & 0xFFF) << scale
    elif not word >> 21 & 1:
        mode, offset = word >> 10 & 3, sign(word >> 12 & 0x1FF, 9)
        access.offset = 0 if mode == 1 else offset
        access.step = offset if mode & 1 else 0
    else:
        access.index, access.extend, access.shift = word >> 16 & 31, word >> 13 & 7, scale if word >> 12 & 1 else 0
    return access


def structure_access(word: int) -> Access:
    access = Access(word >> 5 & 31, 64)
    if word >> 23 & 1:
        access.step_register = word >> 16 & 31
    return access


def extend_index(value: int, option: int) -> int:
    if option & 3 == 3:
        return value
    width = 8 << (option & 3)
    value &= (1 << width) - 1
    return (sign(value, width) if option & 4 else value) & MASK


# -- one pattern's random words -----------------------------------------------------------------------------


class Maker:
    """Makes random words of a pattern."""

    def __init__(self, pattern: Pattern):
        self.pattern = pattern
        self.registers: list[int] = []
        self.immediates: list[tuple[int, int]] = []
        self.small = 0
        for field in pattern.fields:
            if field.width == 5 and field.name[:1] == "r" and field.shift in (0, 5, 10, 16):
                self.registers.append(field.shift)
            elif field.width > 3:
                self.immediates.append((field.shift, field.width))
        special = 0
        for shift, width in [(s, 5) for s in self.registers] + self.immediates:
            special |= ((1 << width) - 1) << shift
        self.uniform = ~pattern.mask & ~special & 0xFFFFFFFF
        operations = sum(min(f.width, 6) for f in pattern.fields if f.width <= 3)
        self.weight = 1.0 + 0.5 * min(operations, 8)

    def make(self, rng: random.Random, pool: Many[int]) -> int:
        for _ in range(2000):
            word = self.pattern.value | rng.getrandbits(32) & self.uniform
            for shift in self.registers:
                choice = rng.random()
                register = (pool[int(choice * 8) % len(pool)] if choice < 0.75
                            else 31 if choice < 0.8 else rng.getrandbits(5))
                word |= register << shift
            for shift, width in self.immediates:
                word |= immediate(rng, width) << shift
            if not self.pattern.conditions or self.pattern.matches(word):
                return word
        raise ValueError(f"{self.pattern.place}: no word of '{self.pattern.name}' was found")


def immediate(rng: random.Random, width: int) -> int:
    choice = rng.random()
    if choice < 0.6:
        return rng.getrandbits(width)
    if choice < 0.7:
        return 0
    if choice < 0.8:
        return (1 << width) - 1
    if choice < 0.9:
        return 1 << rng.randrange(width)
    return rng.getrandbits(3) & (1 << width) - 1


# -- sequences ----------------------------------------------------------------------------------------------


class Builder:
    """Builds one sequence; knows which registers are still what the overrides made them."""

    def __init__(self, rng: random.Random, address: int, length: int):
        self.rng = rng
        self.address = address
        self.length = length
        self.pool = [rng.randrange(31) for _ in range(4)]
        self.words: list[int] = []
        self.patterns: list[str] = []
        self.overrides: dict[int, int] = {}
        self.known: dict[int, int] = {}  # present values of registers
        self.dirty: set[int] = set()  # written, value unknown
        self.monitor: tuple[int, int] | None = None  # address and size of an exclusive load
        self.index_value = 0  # what the index register of the present access adds

    def add(self, pattern: Pattern, word: int) -> bool:
        """Adjusts and appends a word; False if it cannot be made sensible here."""
        adjusted = self._adjust(pattern, word)
        if adjusted is None or not pattern.matches(adjusted):
            return False
        self.words.append(adjusted)
        self.patterns.append(pattern.name)
        return True

    def _write(self, *registers: int) -> None:
        for register in registers:
            self.known.pop(register, None)
            self.dirty.add(register)

    def _set(self, register: int, value: int) -> bool:
        """Makes a register have a value at this place of the sequence."""
        value &= MASK
        if register in self.known:
            return self.known[register] == value
        if register in self.dirty or (register == SP and value & 15):
            return False
        self.known[register] = self.overrides[register] = value
        return True

    def _clean(self, avoid: Many[int], sp: bool = False) -> int | None:
        """A register that can still be given a value."""
        choices = [r for r in range(32 if sp else 31)
                   if r not in self.dirty and r not in self.known and r not in avoid]
        return self.rng.choice(choices) if choices else None

    def _adjust(self, pattern: Pattern, word: int) -> int | None:
        if word & 0x1C000000 == 0x14000000:
            return self._adjust_system(pattern, word)
        if word & 0x3B000000 == 0x18000000:
            return self._adjust_literal(word)
        access = memory_access(word)
        if access is None:
            self._write(word & 31)
            return word
        return self._adjust_access(word, access)

    # -- branches and system ------------------------------------------------------------------------------

    def _forward(self) -> int:
        """Instructions to jump over, at least to the next one."""
        return self.rng.randint(1, self.length - len(self.words))

    def _adjust_system(self, pattern: Pattern, word: int) -> int | None:
        def with_field(shift: int, width: int) -> int:
            mask = ((1 << width) - 1) << shift
            return word & ~mask | self._forward() << shift & mask

        if word & 0x7C000000 == 0x14000000:  # B, BL
            if word >> 31:
                self._write(30)
            return with_field(0, 26)
        if word & 0xFE000000 == 0x54000000 or word & 0x7E000000 == 0x34000000:  # B.cond, CBZ
            return with_field(5, 19)
        if word & 0x7E000000 == 0x36000000:  # TBZ
            return with_field(5, 14)
        if word & 0xFE000000 == 0xD6000000:  # BR, BLR, RET
            return self._adjust_indirect(word)
        if word & 0xFFC00000 == 0xD5000000:
            return self._adjust_register_move(word)
        return word

    def _adjust_indirect(self, word: int) -> int | None:
        target = self.address + 4 * (len(self.words) + self._forward())
        if self.rng.random() < WILD:
            target = self.rng.choice([*(a for a in NOWHERE if not a & 3), target + 2, target + 1])
        register = word >> 5 & 31
        if not self._set(register, target) or register == 31:
            register = self._clean(())
            if register is None or not self._set(register, target):
                return None
        if word >> 21 & 3 == 1:
            self._write(30)
        return word & ~0x3E0 | register << 5

    def _adjust_register_move(self, word: int) -> int | None:
        """MSR and MRS, hints, DC ZVA."""
        register = word & 31
        if word >> 21 & 1:  # MRS
            self._write(register)
            return word
        name = word & 0x1FFFE0
        masks = {0x1B4400: FPCR_BITS, 0x1B4420: FPSR_BITS}
        if name in masks:
            bits = self.rng.getrandbits(32) & masks[name]
            if register == 31 or register in self.known and self.known[register] == bits:
                return word
            fresh = self._clean(())
            if fresh is None or not self._set(fresh, bits):
                return None
            return word & ~31 | fresh
        if name == 0x0B7420:  # DC ZVA
            fresh = self._clean(())
            if fresh is None or not self._set(fresh, program.WINDOW + 64 + self.rng.randrange(program.WINDOW_SIZE - 128)):
                return None
            return word & ~31 | fresh
        return word

    # -- loads and stores ---------------------------------------------------------------------------------

    def _adjust_literal(self, word: int) -> int | None:
        """Reads the code of this sequence and what stands before it."""
        low = max(-1000, (program.CODE - self.address) // 4) + len(self.words)
        offset = self.rng.randint(low, 2)
        if not word >> 26 & 1:
            self._write(word & 31)
        return word & ~(0x7FFFF << 5) | (offset & 0x7FFFF) << 5

    def _target(self, access: Access) -> int:
        """An address in the window."""
        rng = self.rng
        room = program.WINDOW_SIZE - access.size
        at = rng.randrange(room + 1)
        if rng.random() < 0.3:  # across the page boundary or near it
            at = min(max(program.WINDOW_SIZE // 2 - access.size + rng.randrange(2 * access.size), 0), room)
        # A misaligned store-exclusive that must fail anyway may fault or not.
        choice = rng.random() if access.exclusive != "store" and not access.lenient else 0
        if choice < (0.97 if access.aligned else 0.6):
            at &= -min(access.size, 16)
        elif choice < 0.8:
            at &= -4
        return program.WINDOW + at

    def _adjust_access(self, word: int, access: Access) -> int | None:
        rng = self.rng
        data = (word & 31, word >> 10 & 31) if word >> 27 & 7 == 5 else (word & 31,)
        is_wild = rng.random() < WILD and access.index is None and access.exclusive != "store"
        is_wild &= not access.lenient
        target = rng.choice(NOWHERE) if is_wild else self._target(access)
        if access.exclusive == "store" and self.monitor:
            address, size = self.monitor
            if size == access.size and not address & size - 1 and rng.random() < 0.8:
                target = address
            elif abs(target - address) < 128:
                return None  # an unpredictable mixture
        self.index_value = 0
        if access.index is not None:
            word_with_index = self._adjust_index(word, access)
            if word_with_index is None:
                return None
            word = word_with_index
        base = target - access.offset - self.index_value & MASK
        register = access.base
        if register == SP:
            base &= ~15
        avoid = {access.index, access.step_register, *data, *access.outputs}
        if not is_wild and not self._fits(access, register, base) or (access.step or access.step_register is not None) and \
                register in avoid:
            register = self._clean(tuple(r for r in avoid if r is not None))
            if register is None:
                return None
        if (is_wild or register not in self.known) and not self._set(register, base):
            return None
        word = word & ~0x3E0 | register << 5
        access.base = register
        return self._finish_access(word, access, data)

    def _fits(self, access: Access, register: int, base: int) -> bool:
        """Whether the register can be the base: it is free, or what it has reaches the window."""
        if register not in self.known:
            return register not in self.dirty and (register != SP or not base & 15)
        if access.index is not None or access.exclusive or access.lenient or access.aligned and self.rng.random() < 0.5:
            return self.known[register] == base
        address = self.known[register] + access.offset & MASK
        return program.WINDOW <= address <= program.WINDOW + program.WINDOW_SIZE - access.size

    def _adjust_index(self, word: int, access: Access) -> int | None:
        """Gives the index register a value; leaves what it adds in index_value."""
        rng, index = self.rng, access.index
        assert index is not None
        if index == access.base or (index in self.dirty and index != 31):
            fresh = self._clean((access.base, word & 31))
            if fresh is None:
                return None
            index = access.index = fresh
            word = word & ~0x1F0000 | index << 16
        if index == 31:
            value = 0
        elif index in self.known:
            value = self.known[index]
        else:
            value = rng.choice([0, 1, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, MASK, MASK - 63, 1 << 63, 1 << 32,
                                rng.getrandbits(64), rng.getrandbits(64), rng.getrandbits(6), -rng.getrandbits(6)])
            if not self._set(index, value):
                return None
            value &= MASK
        self.index_value = extend_index(value, access.extend) << access.shift & MASK
        return word

    def _finish_access(self, word: int, access: Access, data: Many[int]) -> int | None:
        address = self.known[access.base] + access.offset & MASK
        adjusted = self._without_unpredictable(word, access, data)
        if adjusted is None:
            return None
        if access.exclusive == "load":
            self.monitor = (address, access.size)
        elif access.exclusive == "store":
            self.monitor = None
        before = self.known[access.base]
        self._write(*access.outputs)
        if access.step_register is not None:
            self._write(access.base)
        if access.step and access.base not in access.outputs:
            self.known[access.base] = before + access.step & MASK
        return adjusted

    @staticmethod
    def _without_unpredictable(word: int, access: Access, data: Many[int]) -> int | None:
        """None for register choices that the architecture leaves unpredictable."""
        vector = word >> 26 & 1
        is_pair, is_imm9 = word >> 27 & 7 == 5, word >> 27 & 7 == 7 and not word & 1 << 24 | word & 1 << 21
        writes_base = is_pair and word >> 23 & 1 or is_imm9 and word >> 10 & 1
        if writes_base and not vector and access.base != 31 and access.base in data:
            return None
        if is_pair and word >> 22 & 1 and data[0] == data[1]:
            return None
        if access.exclusive:
            rs, rt2, rn, rt = word >> 16 & 31, word >> 10 & 31, word >> 5 & 31, word & 31
            pair = word >> 21 & 1
            if access.exclusive == "store" and (rs in (rt, rn) or pair and rs == rt2):
                return None
            if access.exclusive == "load" and pair and rt == rt2:
                return None
        return word


class Generator:
    """Sequences of a seed. The same seed and group always give the same."""

    def __init__(self, decoder: Decoder, group: str | None = None, without: str | None = None):
        """Of the patterns that match `group` and do not match `without`."""
        patterns = [p for p in decoder.patterns if decoder.is_enabled(p) and not is_excluded(p)]
        patterns = [p for p in patterns if not (group and not matches_group(p, group))
                    and not (without and matches_group(p, without))]
        if not patterns:
            raise ValueError(f"no pattern matches the group '{group}'")
        self.decoder = decoder
        self.makers = [Maker(p) for p in patterns]
        self.weights = [0.0]
        for maker in self.makers:
            self.weights.append(self.weights[-1] + maker.weight)
        del self.weights[0]

    def sequence(self, rng: random.Random, address: int) -> Sequence:
        builder = Builder(rng, address, rng.choice(LENGTHS))
        tries = 0
        while len(builder.words) < builder.length:
            maker = rng.choices(self.makers, cum_weights=self.weights)[0]
            word = maker.make(rng, builder.pool)
            # A more specific pattern may own the word: it is none of this group, or excluded.
            if self.decoder.decode(word) is maker.pattern and not is_miscomputed(word):
                builder.add(maker.pattern, word)
            tries += 1
            if tries > 400:
                if not builder.words:
                    raise ValueError(f"no instruction of '{maker.pattern.name}' could be made")
                break
        # Branches of a sequence that ended early may go beyond its end.
        while len(builder.words) < builder.length:
            builder.words.append(0xD503201F)
            builder.patterns.append("nop")
        return Sequence(builder.words, builder.overrides, builder.patterns, address)

    def sequences(self, seed: str, count: int) -> list[Sequence]:
        """At least `count` instructions."""
        return layout(seed, count, lambda rng, address: self.sequence(rng, address))


def is_misread(word: int) -> bool:
    """QEMU 7.2 aborts at some unallocated words of half precision, takes size 01 of FMAXV and its like for
    00, and op of FMOV (vector, immediate) for anything."""
    return (word & 0x8F7E0C00 == 0x0E780800 or word & 0xAF7FCC00 == 0x0E70C800 or
            word & 0xBFF8FC00 == 0x2F00FC00)


def is_miscomputed(word: int) -> bool:
    """FCVTZS Hd, Hn, #fbits: QEMU 7.2 leaves the sign of a negative result in bits 16 to 31 of Vd, where Arm's
    V[d, 16] = result writes zeroes. test_arm64_simd.c has it."""
    return word & 0xFFF0FC00 == 0x5F10FC00


class UndefinedGenerator:
    """Single words that no pattern matches: both sides must find them undefined."""

    def __init__(self, decoder: Decoder):
        self.decoder = decoder

    def word(self, rng: random.Random) -> int:
        while True:
            if rng.random() < 0.5:
                word = rng.getrandbits(32)
            else:  # near an instruction
                pattern = rng.choice(self.decoder.patterns)
                word = pattern.value | rng.getrandbits(32) & ~pattern.mask
                fixed = [i for i in range(32) if pattern.mask >> i & 1]
                word ^= 1 << rng.choice(fixed)
            if self.decoder.decode(word) is None and not is_misread(word):
                return word

    def sequences(self, seed: str, count: int) -> list[Sequence]:
        return layout(seed, count, lambda rng, address: Sequence([self.word(rng)], {}, ["undefined"], address))


def layout(seed: str, count: int, make: Callable[[random.Random, int], Sequence]) -> list[Sequence]:
    sequences: list[Sequence] = []
    at, made = program.SEQUENCES, 0
    rng = random.Random(seed)
    while made < count:
        sequence = make(rng, at + 4 * len(program.PRELUDE))
        sequences.append(sequence)
        at += sequence.size
        made += len(sequence.words)
    return sequences
