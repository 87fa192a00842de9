# SPDX-License-Identifier: GPL-2.0-or-later
"""program: the arm64 program around random instruction sequences, as a static ELF file without libc.

The program goes through a table of entries {sequence, seed of the inputs, overrides of registers}. For each it
fills all registers and a window of memory from the seed, runs the sequence, and stores the whole state. Then it
appends to its output, written to standard output, a hash of the state (normal form) or the state itself (full
form, `record`). Signals are noted with their code and place, and the instruction is skipped.

Memory:
    CODE     the harness, then the sequences
    STATE    the register block (words below), then the control block
    WINDOW   in the middle of two pages, between unmapped ones: what loads and stores of the sequences reach
    DATA     entries, overrides, constants;  LOG  output buffer
"""

from __future__ import annotations

import dataclasses
import random
import struct
from collections.abc import Sequence as Many

MASK = (1 << 64) - 1

CODE = 0x400000
SEQUENCES = 0x410000
STATE = 0x20000000  # its low 16 bits are zero: one MOVZ makes it
DATA = 0x40000000
WINDOW_PAGES = 0x3B5D6000  # no round distance from the others: corner values get added to addresses
WINDOW_SIZE = 512
WINDOW = WINDOW_PAGES + 0x1000 - WINDOW_SIZE // 2
LOG = 0x50000000
LOG_SIZE = 1 << 20
STACK = 0x296E7000  # for signals
STACK_SIZE = 0x10000

# Words of the register block: X0..X30, SP, NZCV, FPCR, FPSR, unused, V0..V31 two words each.
SP, NZCV, FPCR, FPSR, UNUSED, V = 31, 32, 33, 34, 35, 36
STATE_WORDS = V + 64
CONTROL = 0x800
NEXT, END, OUT, FULL, START, FINISH, SIGNALS, SIGNAL_LOG = (CONTROL + 8 * i for i in range(8))
SIGNAL_MAX, SIGNAL_WORDS = 32, 4  # {signal | code << 32, place, address, 0}
RECORD_WORDS = STATE_WORDS + WINDOW_SIZE // 8 + 1 + SIGNAL_MAX * SIGNAL_WORDS

ENTRY = struct.Struct("<QQQQQ")  # start, end, seed, overrides, their number
CONSTANTS = 256  # corner values that half of the inputs are drawn from
FPCRS = 16
HASH = 0x9E3779B97F4A7C15
RANDOM = 0x2545F4914F6CDD1D

SYS_WRITE, SYS_EXIT, SYS_SIGALTSTACK, SYS_SIGACTION, SYS_SIGRETURN = 64, 93, 132, 134, 139
SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV = 4, 5, 7, 8, 11
CAUGHT = (SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV)
EXIT_TOO_MANY_SIGNALS = 99


class Assembler:
    """The few instructions that the harness is made of. Registers are numbers; 31 is XZR or SP by instruction."""

    def __init__(self, origin: int):
        self.origin = origin
        self.words: list[int] = []
        self.labels: dict[str, int] = {}
        self.fixups: list[tuple[int, str, int, int]] = []

    def emit(self, word: int) -> None:
        self.words.append(word & 0xFFFFFFFF)

    def label(self, name: str) -> None:
        self.labels[name] = len(self.words)

    def _branch(self, word: int, target: str, shift: int, width: int) -> None:
        self.fixups.append((len(self.words), target, shift, width))
        self.emit(word)

    def b(self, target: str) -> None:
        self._branch(0x14000000, target, 0, 26)

    def b_cond(self, condition: int, target: str) -> None:
        self._branch(0x54000000 | condition, target, 5, 19)

    def cbz(self, rt: int, target: str) -> None:
        self._branch(0xB4000000 | rt, target, 5, 19)

    def cbnz(self, rt: int, target: str) -> None:
        self._branch(0xB5000000 | rt, target, 5, 19)

    def br(self, rn: int) -> None:
        self.emit(0xD61F0000 | rn << 5)

    def mov_imm(self, rd: int, value: int) -> None:
        parts = [(i, value >> 16 * i & 0xFFFF) for i in range(4) if value >> 16 * i & 0xFFFF] or [(0, 0)]
        for n, (i, part) in enumerate(parts):
            self.emit((0xF2800000 if n else 0xD2800000) | i << 21 | part << 5 | rd)

    def add_imm(self, rd: int, rn: int, value: int) -> None:  # 31 = SP
        assert 0 <= value < 4096
        self.emit(0x91000000 | value << 10 | rn << 5 | rd)

    def sub_imm(self, rd: int, rn: int, value: int) -> None:
        assert 0 <= value < 4096
        self.emit(0xD1000000 | value << 10 | rn << 5 | rd)

    def add(self, rd: int, rn: int, rm: int, lsl: int = 0) -> None:
        self.emit(0x8B000000 | rm << 16 | lsl << 10 | rn << 5 | rd)

    def sub(self, rd: int, rn: int, rm: int) -> None:
        self.emit(0xCB000000 | rm << 16 | rn << 5 | rd)

    def cmp(self, rn: int, rm: int) -> None:
        self.emit(0xEB00001F | rm << 16 | rn << 5)

    def cmp_imm(self, rn: int, value: int) -> None:
        self.emit(0xF100001F | value << 10 | rn << 5)

    def csel(self, rd: int, rn: int, rm: int, condition: int) -> None:
        self.emit(0x9A800000 | rm << 16 | condition << 12 | rn << 5 | rd)

    def orr(self, rd: int, rn: int, rm: int, lsl: int = 0) -> None:
        self.emit(0xAA000000 | rm << 16 | lsl << 10 | rn << 5 | rd)

    def and_(self, rd: int, rn: int, rm: int) -> None:
        self.emit(0x8A000000 | rm << 16 | rn << 5 | rd)

    def eor(self, rd: int, rn: int, rm: int, lsl: int = 0, lsr: int = 0) -> None:
        self.emit(0xCA000000 | (1 << 22 if lsr else 0) | rm << 16 | (lsl or lsr) << 10 | rn << 5 | rd)

    def mul(self, rd: int, rn: int, rm: int) -> None:
        self.emit(0x9B007C00 | rm << 16 | rn << 5 | rd)

    def ubfx(self, rd: int, rn: int, lsb: int, width: int) -> None:
        self.emit(0xD3400000 | lsb << 16 | (lsb + width - 1) << 10 | rn << 5 | rd)

    def ldr(self, rt: int, rn: int, offset: int = 0) -> None:
        assert offset % 8 == 0 and 0 <= offset < 32768
        self.emit(0xF9400000 | offset // 8 << 10 | rn << 5 | rt)

    def ldr_w(self, rt: int, rn: int, offset: int = 0) -> None:
        self.emit(0xB9400000 | offset // 4 << 10 | rn << 5 | rt)

    def str(self, rt: int, rn: int, offset: int = 0) -> None:
        assert offset % 8 == 0 and 0 <= offset < 32768
        self.emit(0xF9000000 | offset // 8 << 10 | rn << 5 | rt)

    def ldr_post(self, rt: int, rn: int, step: int) -> None:
        self.emit(0xF8400400 | (step & 0x1FF) << 12 | rn << 5 | rt)

    def str_post(self, rt: int, rn: int, step: int) -> None:
        self.emit(0xF8000400 | (step & 0x1FF) << 12 | rn << 5 | rt)

    def ldr_index(self, rt: int, rn: int, rm: int) -> None:  # [rn, rm, lsl #3]
        self.emit(0xF8607800 | rm << 16 | rn << 5 | rt)

    def str_index(self, rt: int, rn: int, rm: int) -> None:
        self.emit(0xF8207800 | rm << 16 | rn << 5 | rt)

    def ldp(self, rt: int, rt2: int, rn: int, offset: int) -> None:
        self.emit(0xA9400000 | (offset // 8 & 0x7F) << 15 | rt2 << 10 | rn << 5 | rt)

    def stp(self, rt: int, rt2: int, rn: int, offset: int) -> None:
        self.emit(0xA9000000 | (offset // 8 & 0x7F) << 15 | rt2 << 10 | rn << 5 | rt)

    def ldp_q(self, rt: int, rt2: int, rn: int, offset: int) -> None:
        self.emit(0xAD400000 | (offset // 16 & 0x7F) << 15 | rt2 << 10 | rn << 5 | rt)

    def stp_q(self, rt: int, rt2: int, rn: int, offset: int) -> None:
        self.emit(0xAD000000 | (offset // 16 & 0x7F) << 15 | rt2 << 10 | rn << 5 | rt)

    def svc(self, number: int) -> None:
        self.mov_imm(8, number)
        self.emit(0xD4000001)

    # System registers: the bits op0..op2 of the encoding.
    REGISTERS = {"nzcv": 0x1B4200, "fpcr": 0x1B4400, "fpsr": 0x1B4420, "tpidr_el0": 0x1BD040}

    def mrs(self, rt: int, name: str) -> None:
        self.emit(0xD5200000 | self.REGISTERS[name] | rt)

    def msr(self, name: str, rt: int) -> None:
        self.emit(0xD5000000 | self.REGISTERS[name] | rt)

    def clrex(self) -> None:
        self.emit(0xD5033F5F)

    def finish(self) -> bytes:
        for index, target, shift, width in self.fixups:
            distance = self.labels[target] - index
            self.words[index] |= (distance & ((1 << width) - 1)) << shift
        return struct.pack(f"<{len(self.words)}I", *self.words)


EQ, NE, HS, LO = 0, 1, 2, 3

# What stands before and after each sequence: X30 carries its address there, and is saved in TPIDR_EL0.
PRELUDE = (0xD2A00000 | STATE >> 16 << 5 | 30, 0xF9400000 | 30 << 10 | 30 << 5 | 30)
EPILOGUE_WORDS = 2


def epilogue(address: int, dump: int) -> tuple[int, int]:
    """The two instructions that end a sequence; `address` is that of the first."""
    return 0xD51BD05E, 0x94000000 | ((dump - address - 4) // 4 & 0x3FFFFFF)


@dataclasses.dataclass
class Sequence:
    """Random instructions; `overrides` gives words of the register block that inputs must have."""

    words: list[int]
    overrides: dict[int, int]
    patterns: list[str]  # names, one for each instruction
    address: int = 0  # of words[0]

    @property
    def size(self) -> int:
        """In memory, in bytes."""
        return 4 * (len(PRELUDE) + len(self.words) + EPILOGUE_WORDS)


def corner_values(rng: random.Random) -> list[int]:
    """64-bit values of which about half of the inputs are made: integers, doubles, lanes of each width."""
    def integer(width: int) -> int:
        top = 1 << width - 1
        kind = rng.randrange(6)
        if kind == 0:
            return rng.choice([0, 1, 2, top - 1, top, top + 1, 2 * top - 1, 2 * top - 2])
        if kind == 1:
            return 1 << rng.randrange(width)
        if kind == 2:
            return (1 << rng.randrange(1, width + 1)) - 1
        if kind == 3:
            return -(1 << rng.randrange(width)) & 2 * top - 1
        if kind == 4:
            return rng.randrange(64) & 2 * top - 1
        return rng.getrandbits(width)

    def floating(exponent_bits: int, fraction_bits: int) -> int:
        top = (1 << exponent_bits) - 1
        bias = top >> 1
        kind = rng.randrange(12)
        if kind < 3:
            exponent = rng.choice([0, 0, 1, top, top, top - 1])
        elif kind < 5:  # products are near the smallest and the largest numbers, so are narrower numbers
            middle = [bias // 2, bias + bias // 2] + [bias - b for b in (14, 126) if b < bias - 4]
            exponent = rng.choice(middle) + rng.randint(-3, 3)
        elif kind < 10:  # near 1, where additions cancel and conversions to integers happen
            exponent = min(max(bias + rng.randint(-4, min(66, bias - 1)), 0), top - 1)
        else:
            exponent = rng.randrange(top + 1)
        ones = (1 << fraction_bits) - 1
        fraction = rng.choice([0, 0, 1, ones, ones - 1, 1 << fraction_bits - 1, (1 << fraction_bits - 1) - 1,
                               (1 << fraction_bits - 1) + 1, rng.getrandbits(fraction_bits),
                               rng.getrandbits(fraction_bits) & -1 << rng.randrange(fraction_bits) & ones])
        return rng.getrandbits(1) << exponent_bits + fraction_bits | exponent << fraction_bits | fraction

    values = []
    for _ in range(CONSTANTS):
        kind = rng.randrange(10)
        if kind < 2:
            value = integer(64)
        elif kind < 5:
            value = floating(11, 52)
        elif kind < 7:
            value = floating(8, 23) | (rng.choice([0, floating(8, 23)])) << 32
        elif kind < 8:
            value = integer(32) | integer(32) << 32
        else:
            width = rng.choice([8, 16])
            make = (lambda: floating(5, 10)) if width == 16 and rng.random() < 0.4 else (lambda: integer(width))
            value = sum(make() << i for i in range(0, 64, width))
        values.append(value & MASK)
    return values


def fpcr_values(rng: random.Random) -> list[int]:
    """A third of them 0, the others with AHP, DN, FZ, FZ16 and rounding modes."""
    def value() -> int:
        bits = rng.getrandbits(2) << 22
        for bit in (19, 24, 25, 26):
            if rng.random() < 0.35:
                bits |= 1 << bit
        return bits
    return [value() if i % 3 else 0 for i in range(FPCRS)]


Segment = tuple[int, bytes, int, int]  # address, content, size if it is larger than the content, flags


class Program:
    """An ELF file with sequences. After building, `entries` can be chosen anew with image()."""

    def __init__(self, sequences: Many[Sequence], states: int, rng: random.Random, status: bool = True):
        """`states`: how often each sequence is run, each time with other inputs. Without `status` FPSR is neither
        set nor compared: an emulator may compute flags otherwise for a program that never looks at them."""
        self.status = status
        self.sequences = sequences
        self.states = states
        self.constants = corner_values(rng)
        self.fpcrs = fpcr_values(rng)
        self.seeds = [[rng.getrandbits(64) | 1 for _ in range(states)] for _ in sequences]
        self.harness = self._harness()
        self.overrides = bytearray()
        self.override_place: list[int] = []
        self._constants_at = DATA
        self._fpcrs_at = self._constants_at + 8 * CONSTANTS
        overrides_at = self._fpcrs_at + 8 * FPCRS
        for sequence in sequences:
            self.override_place.append(overrides_at + len(self.overrides))
            for word, value in sequence.overrides.items():
                self.overrides += struct.pack("<QQ", word, value & MASK)
        self.entries_at = overrides_at + len(self.overrides)

    @property
    def entry_count(self) -> int:
        return len(self.sequences) * self.states

    def sequence_of(self, entry: int) -> Sequence:
        return self.sequences[entry // self.states]

    # -- the harness --------------------------------------------------------------------------------------

    def _harness(self) -> Assembler:
        a = Assembler(CODE)
        self._emit_start(a)
        self._emit_loop(a)
        self._emit_enter(a)
        self._emit_dump(a)
        self._emit_output(a)
        self._emit_handler(a)
        code = a.finish()
        assert CODE + len(code) <= SEQUENCES
        return a

    def address_of(self, label: str) -> int:
        return CODE + 4 * self.harness.labels[label]

    @staticmethod
    def _emit_start(a: Assembler) -> None:
        """Registers signal handlers, on their own stack: the sequences use SP for anything."""
        a.mov_imm(20, STATE)
        a.mov_imm(1, STACK)
        a.str(1, 20, 0)  # the register block serves as scratch memory here
        a.str(31, 20, 8)
        a.mov_imm(1, STACK_SIZE)
        a.str(1, 20, 16)
        a.orr(0, 31, 20)
        a.mov_imm(1, 0)
        a.svc(SYS_SIGALTSTACK)
        # struct sigaction of the kernel: handler, flags, restorer, mask
        a.mov_imm(1, CODE)
        a.labels["handler_address"] = len(a.words)
        a.emit(0)  # ADD X1, X1, #handler, put in by _emit_handler
        a.str(1, 20, 0)
        a.mov_imm(1, 0x08000004)  # SA_ONSTACK | SA_SIGINFO
        a.str(1, 20, 8)
        a.str(31, 20, 16)
        a.str(31, 20, 24)
        for signal in CAUGHT:
            a.mov_imm(0, signal)
            a.orr(1, 31, 20)
            a.mov_imm(2, 0)
            a.mov_imm(3, 8)
            a.svc(SYS_SIGACTION)

    @staticmethod
    def _emit_random(a: Assembler) -> None:
        """x2: state of the generator; x7: constants; makes x8, clobbers x9."""
        a.eor(2, 2, 2, lsl=13)
        a.eor(2, 2, 2, lsr=7)
        a.eor(2, 2, 2, lsl=17)
        a.mul(8, 2, 10)
        a.ubfx(9, 8, 48, 8)
        a.ldr_index(9, 7, 9)
        a.ubfx(11, 8, 62, 2)
        a.cmp_imm(11, 1)
        a.csel(8, 9, 8, HS)  # three of four are constants

    def _emit_loop(self, a: Assembler) -> None:
        a.label("loop")
        a.mov_imm(20, STATE)
        a.ldr(21, 20, NEXT)
        a.ldr(22, 20, END)
        a.cmp(21, 22)
        a.b_cond(HS, "finish")
        a.ldr(0, 21, 0)
        a.ldr(1, 21, 8)
        a.ldr(2, 21, 16)
        a.ldr(3, 21, 24)
        a.ldr(4, 21, 32)
        a.add_imm(21, 21, ENTRY.size)
        a.str(21, 20, NEXT)
        a.str(0, 20, START)
        a.str(1, 20, FINISH)
        a.str(31, 20, SIGNALS)
        a.mov_imm(7, DATA)
        a.mov_imm(10, RANDOM)
        for name, start, words in (("fill_state", STATE, STATE_WORDS), ("fill_window", WINDOW, WINDOW_SIZE // 8)):
            a.mov_imm(5, start)
            a.mov_imm(6, words)
            a.label(name)
            self._emit_random(a)
            a.str_post(8, 5, 8)
            a.sub_imm(6, 6, 1)
            a.cbnz(6, name)
        # SP, the flags and the control registers have values of their own.
        a.mov_imm(8, WINDOW + WINDOW_SIZE // 2)
        a.str(8, 20, 8 * SP)
        self._emit_random(a)
        a.ubfx(9, 8, 0, 4)
        a.orr(9, 31, 9, lsl=28)
        a.str(9, 20, 8 * NZCV)
        a.ubfx(9, 2, 20, 4)
        a.add_imm(7, 7, 8 * CONSTANTS)
        a.ldr_index(9, 7, 9)
        a.str(9, 20, 8 * FPCR)
        a.str(31, 20, 8 * FPSR)
        a.str(31, 20, 8 * UNUSED)
        a.cbz(4, "enter")
        a.label("override")
        a.ldr_post(5, 3, 8)
        a.ldr_post(6, 3, 8)
        a.str_index(6, 20, 5)
        a.sub_imm(4, 4, 1)
        a.cbnz(4, "override")

    def _registers(self) -> list[tuple[int, str]]:
        return [(NZCV, "nzcv"), (FPCR, "fpcr"), *([(FPSR, "fpsr")] if self.status else [])]

    def _emit_enter(self, a: Assembler) -> None:
        a.label("enter")
        a.clrex()
        a.mov_imm(30, STATE)
        for word, register in self._registers():
            a.ldr(0, 30, 8 * word)
            a.msr(register, 0)
        a.msr("tpidr_el0", 30)
        a.ldr(0, 30, 8 * SP)
        a.add_imm(31, 0, 0)
        for i in range(0, 32, 2):
            a.ldp_q(i, i + 1, 30, 8 * V + 16 * i)
        for i in range(0, 30, 2):
            a.ldp(i, i + 1, 30, 8 * i)
        a.ldr(30, 30, START)
        a.br(30)

    def _emit_dump(self, a: Assembler) -> None:
        """A sequence's end comes here by BL; X30's value is in TPIDR_EL0."""
        a.label("dump")
        a.mov_imm(30, STATE)
        for i in range(0, 30, 2):
            a.stp(i, i + 1, 30, 8 * i)
        a.mrs(0, "tpidr_el0")
        a.str(0, 30, 8 * 30)
        a.add_imm(0, 31, 0)
        a.str(0, 30, 8 * SP)
        for word, register in self._registers():
            a.mrs(0, register)
            a.str(0, 30, 8 * word)
        for i in range(0, 32, 2):
            a.stp_q(i, i + 1, 30, 8 * V + 16 * i)

    def _emit_output(self, a: Assembler) -> None:
        """Appends a hash or the full record; writes the log when it is nearly full."""
        parts = ((STATE, STATE_WORDS), (WINDOW, WINDOW_SIZE // 8))
        a.mov_imm(20, STATE)
        a.ldr(21, 20, OUT)
        a.ldr(22, 20, FULL)
        # Signals of this sequence only: clear the rest.
        a.ldr(6, 20, SIGNALS)
        a.add_imm(5, 20, SIGNAL_LOG)
        a.add(5, 5, 6, lsl=5)
        a.add_imm(9, 20, SIGNAL_LOG + 8 * SIGNAL_MAX * SIGNAL_WORDS)
        a.label("clear")
        a.cmp(5, 9)
        a.b_cond(HS, "cleared")
        a.str_post(31, 5, 8)
        a.b("clear")
        a.label("cleared")
        a.cbnz(22, "full")
        a.mov_imm(10, HASH)
        a.mov_imm(0, 1)
        for i, (start, words) in enumerate(parts):
            a.mov_imm(5, start)
            a.mov_imm(6, words)
            self._emit_hash_loop(a, f"hash{i}")
        a.add_imm(5, 20, SIGNALS)
        a.ldr(6, 5)
        a.add(6, 31, 6, lsl=2)
        a.add_imm(6, 6, 1)
        self._emit_hash_loop(a, "hash_signals")
        a.str_post(0, 21, 8)
        a.b("appended")
        a.label("full")
        for i, (start, words) in enumerate((*parts, (STATE + SIGNALS, 1 + SIGNAL_MAX * SIGNAL_WORDS))):
            a.mov_imm(5, start)
            a.mov_imm(6, words)
            a.label(f"copy{i}")
            a.ldr_post(8, 5, 8)
            a.str_post(8, 21, 8)
            a.sub_imm(6, 6, 1)
            a.cbnz(6, f"copy{i}")
        a.label("appended")
        a.str(21, 20, OUT)
        a.mov_imm(9, LOG + LOG_SIZE - 8 * RECORD_WORDS)
        a.cmp(21, 9)
        a.b_cond(LO, "loop")
        self._emit_write(a)

    @staticmethod
    def _emit_write(a: Assembler) -> None:
        a.label("finish")  # also comes here at the end, with x20 = STATE
        a.ldr(23, 20, OUT)
        a.mov_imm(1, LOG)
        a.label("write")
        a.sub(2, 23, 1)
        a.cbz(2, "written")
        a.mov_imm(0, 1)
        a.orr(21, 31, 1)
        a.svc(SYS_WRITE)
        a.cmp_imm(0, 0)
        a.b_cond(13, "failed")  # LE
        a.add(1, 21, 0)
        a.b("write")
        a.label("written")
        a.mov_imm(9, LOG)
        a.str(9, 20, OUT)
        a.ldr(21, 20, NEXT)
        a.ldr(22, 20, END)
        a.cmp(21, 22)
        a.b_cond(LO, "loop")
        a.mov_imm(0, 0)
        a.svc(SYS_EXIT)
        a.label("failed")
        a.mov_imm(0, 1)
        a.svc(SYS_EXIT)

    @staticmethod
    def _emit_hash_loop(a: Assembler, name: str) -> None:
        a.label(name)
        a.ldr_post(8, 5, 8)
        a.eor(0, 0, 8)
        a.mul(0, 0, 10)
        a.eor(0, 0, 0, lsr=29)
        a.sub_imm(6, 6, 1)
        a.cbnz(6, name)

    @staticmethod
    def _emit_handler(a: Assembler) -> None:
        """x0 signal, x1 siginfo, x2 ucontext, whose PC is at 440. Resumes after the instruction."""
        pc = 440
        a.label("handler")
        a.words[a.labels["handler_address"]] = 0x91000000 | 4 * len(a.words) << 10 | 1 << 5 | 1
        assert 4 * len(a.words) < 4096
        a.mov_imm(20, STATE)
        a.ldr(4, 20, SIGNALS)
        a.cmp_imm(4, SIGNAL_MAX)
        a.b_cond(HS, "too_many")
        a.add_imm(5, 20, SIGNAL_LOG)
        a.add(5, 5, 4, lsl=5)
        a.add_imm(4, 4, 1)
        a.str(4, 20, SIGNALS)
        # Linux gives ILL_ILLOPC for an undefined instruction, the reference ILL_ILLOPN: not compared.
        a.ldr_w(6, 1, 8)
        a.cmp_imm(0, SIGILL)
        a.csel(6, 31, 6, EQ)
        a.orr(6, 0, 6, lsl=32)
        a.str(6, 5, 0)
        a.ldr(7, 2, pc)
        a.str(7, 5, 8)
        a.ldr(6, 1, 16)
        a.str(6, 5, 16)
        a.str(31, 5, 24)
        # Outside the sequence, after a wild jump, goes to the sequence's end.
        a.ldr(8, 20, START)
        a.ldr(9, 20, FINISH)
        a.sub(10, 7, 8)
        a.sub(11, 9, 8)
        a.add_imm(7, 7, 4)
        a.cmp(10, 11)
        a.csel(7, 7, 9, LO)
        a.str(7, 2, pc)
        a.svc(SYS_SIGRETURN)
        a.label("too_many")
        a.mov_imm(0, EXIT_TOO_MANY_SIGNALS)
        a.svc(SYS_EXIT)

    # -- the file -----------------------------------------------------------------------------------------

    def _code(self, cut: int | None) -> bytes:
        """Harness and sequences; with `cut`, each sequence leaves before its instruction of that number."""
        dump = self.address_of("dump")
        harness = struct.pack(f"<{len(self.harness.words)}I", *self.harness.words)
        parts = [harness.ljust(SEQUENCES - CODE, b"\0")]
        at = SEQUENCES
        for sequence in self.sequences:
            assert sequence.address == at + 4 * len(PRELUDE)
            words = list(sequence.words)
            for i in range(len(words) if cut is None else cut, len(words)):
                words[i] = 0x14000000 | len(words) - i
            end = sequence.address + 4 * len(words)
            parts.append(struct.pack(f"<{len(words) + 4}I", *PRELUDE, *words, *epilogue(end, dump)))
            at += sequence.size
        return b"".join(parts)

    def _data(self, entries: Many[int]) -> bytes:
        out = bytearray(struct.pack(f"<{CONSTANTS + FPCRS}Q", *self.constants, *self.fpcrs))
        out += self.overrides
        for entry in entries:
            index, state = divmod(entry, self.states)
            sequence = self.sequences[index]
            out += ENTRY.pack(sequence.address - 4 * len(PRELUDE), sequence.address + 4 * len(sequence.words),
                              self.seeds[index][state], self.override_place[index], len(sequence.overrides))
        return bytes(out)

    @staticmethod
    def _without_holes(segments: list[Segment]) -> list[Segment]:
        """With inaccessible segments between the given ones: whether a hole is unmapped is not for us to test."""
        filled: list[Segment] = []
        for segment in sorted(segments):
            if filled:
                last = filled[-1]
                end = (last[0] + max(len(last[1]), last[2]) + 0xFFF) & ~0xFFF
                if end < segment[0]:
                    filled.append((end, b"", segment[0] - end, 0))
            filled.append(segment)
        return filled

    def image(self, entries: Many[int] | None = None, full: bool = False, cut: int | None = None) -> bytes:
        """The ELF file that runs the given entries (all of them by default)."""
        if entries is None:
            entries = range(self.entry_count)
        control = bytearray(CONTROL + 8 * 8 + 8 * SIGNAL_MAX * SIGNAL_WORDS)
        end = self.entries_at + ENTRY.size * len(entries)
        for place, value in ((NEXT, self.entries_at), (END, end), (OUT, LOG), (FULL, int(full))):
            struct.pack_into("<Q", control, place, value)
        read, write, execute = 4, 2, 1
        segments: list[Segment] = [
            (CODE, self._code(cut), 0, read | execute),
            (STATE, bytes(control), 0x2000, read | write),
            (STACK, b"", STACK_SIZE, read | write),
            (WINDOW_PAGES, b"", 0x2000, read | write),
            (DATA, self._data(entries), 0, read),
            (LOG, b"", LOG_SIZE, read | write),
        ]
        headers, body = bytearray(), bytearray()
        segments = self._without_holes(segments)
        header_size = 64 + 56 * len(segments)
        at = (header_size + 0xFFF) & ~0xFFF
        for address, content, size, flags in segments:
            headers += struct.pack("<IIQQQQQQ", 1, flags, at + len(body), address, address, len(content),
                                   max(size, len(content)), 0x1000)
            body += content.ljust((len(content) + 0xFFF) & ~0xFFF, b"\0")
        ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
        header = ident + struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, CODE, 64, 0, 0, 64, 56, len(segments), 64, 0, 0)
        return (header + bytes(headers)).ljust(at, b"\0") + bytes(body)


@dataclasses.dataclass
class Record:
    """The full form of an entry's output."""

    words: tuple[int, ...]
    fate: str = ""  # how the emulator ended instead of giving one

    @classmethod
    def read_all(cls, data: bytes) -> list[Record]:
        size = 8 * RECORD_WORDS
        return [cls(struct.unpack_from(f"<{RECORD_WORDS}Q", data, i)) for i in range(0, len(data) - size + 1, size)]

    def x(self, n: int) -> int:
        return self.words[n]

    def v(self, n: int) -> int:
        return self.words[V + 2 * n] | self.words[V + 2 * n + 1] << 64

    def window(self) -> bytes:
        return struct.pack(f"<{WINDOW_SIZE // 8}Q", *self.words[STATE_WORDS : STATE_WORDS + WINDOW_SIZE // 8])

    def signals(self) -> list[tuple[int, int, int, int]]:
        """(signal, si_code or 0 for SIGILL, pc, address) in the order in which they came."""
        at = STATE_WORDS + WINDOW_SIZE // 8
        out = []
        for i in range(self.words[at]):
            first, pc, address, _ = self.words[at + 1 + SIGNAL_WORDS * i : at + 5 + SIGNAL_WORDS * i]
            code = first >> 32
            out.append((first & 0xFFFFFFFF, code - (1 << 32) if code >> 31 else code, pc, address))
        return out

    def items(self) -> dict[str, int | str]:
        """Everything by name, for comparing and printing."""
        out: dict[str, int | str] = {f"x{i}": self.x(i) for i in range(31)}
        out |= {"sp": self.words[SP], "nzcv": self.words[NZCV] >> 28, "fpcr": self.words[FPCR],
                "fpsr": self.words[FPSR]}
        out |= {f"v{i}": self.v(i) for i in range(32)}
        window = self.window()
        out |= {f"mem{i:+d}": window[i : i + 16].hex(" ") for i in range(0, WINDOW_SIZE, 16)}
        for i, (signal, code, pc, address) in enumerate(self.signals()):
            out[f"signal{i}"] = f"{signal} code {code} pc {pc:#x} address {address:#x}"
        return out
