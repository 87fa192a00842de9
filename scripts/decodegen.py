#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""decodegen: makes an instruction decoder in C from pattern files.

    decodegen.py --features src/arch/arm64/features.h --output BUILD_DIR base.pattern simd.pattern

writes BUILD_DIR/arm64_decode.h and BUILD_DIR/arm64_decode.c.

A pattern file has one instruction pattern a line; `#` starts a comment:

    # name    32 bits, most significant first                  lifter and its constants
    add_imm   sf:1 0 0 100010 sh:1 imm:12 rn:5 rd:5         -> addsub_imm sub=0 setflags=0
    ldr_post  size:2 111 0 00 01 0 imm:s9 01 rn:5 rt:5      -> ldst_imm post=1
    cas       size:2 0010001 L:1 1 rs:5 o0:1 11111 rn:5 rt:5 -> cas [atomics]
    dup       0 Q:1 001110000 imm:5 0 00001 rn:5 rd:5       -> dup if imm != 0 and imm != 16

 - Bits are 0, 1, or `.` (any value, ignored); `name:WIDTH` is an unsigned field, `name:sWIDTH` a signed one.
 - All patterns of one lifter share one struct, the union of their fields and constants; what a pattern
   lacks is 0. The struct is declared by the header, with the lifter's prototype.
 - `[feature]` is a name in the features table; an instruction of a feature that is not there is undefined.
 - `if` conditions, joined by `and`, compare fields: `==`, `!=`, `in (a, b)`, `not in (a, b)`. Where they do not
   hold, the pattern does not match and the next one that fits is taken.
 - Two patterns may overlap only if one is more specific: it fixes all bits that the other fixes, and more,
   or the same bits and has conditions where the other has none. The specific one is taken. Conditions that
   exclude each other are not an overlap.

The module is also imported by tests, which use Decoder as the reference.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

WIDTH = 32
ALL = (1 << WIDTH) - 1

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
FIELD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*):(s?)([0-9]+)\Z")
NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)\Z")
CONDITION = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*(==|!=|not\s+in\b|in\b)\s*(.+)\Z", re.S)
RESERVED = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    bool true false asm typeof""".split()
)
# Pairs of patterns are told apart by their conditions only if these look at no more bits than this together.
MAX_CONDITION_BITS = 18
# Switches look at this many neighbouring bits at most.
MAX_SWITCH_BITS = 7
# So few patterns are tested one after the other.
LEAF_PATTERNS = 2


class PatternError(Exception):
    """What is wrong with a pattern file, with its place."""


@dataclasses.dataclass(frozen=True)
class Field:
    name: str
    shift: int
    width: int
    signed: bool

    @property
    def mask(self) -> int:
        return ((1 << self.width) - 1) << self.shift

    def extract(self, word: int) -> int:
        value = (word & self.mask) >> self.shift
        if self.signed and value >> (self.width - 1):
            value -= 1 << self.width
        return value

    def c_expression(self) -> str:
        if self.signed:
            left = WIDTH - self.shift - self.width
            word = f"(int32_t)(w << {left})" if left else "(int32_t)w"
            return f"{word} >> {WIDTH - self.width}" if self.width < WIDTH else word
        word = f"w >> {self.shift}" if self.shift else "w"
        if self.shift + self.width == WIDTH:
            return word
        return f"({word}) & {(1 << self.width) - 1:#x}" if self.shift else f"w & {(1 << self.width) - 1:#x}"


@dataclasses.dataclass(frozen=True)
class Condition:
    """The field's value is among `values`, or is not if `negated`."""

    field: Field
    values: tuple[int, ...]
    negated: bool

    def holds(self, word: int) -> bool:
        return (self.field.extract(word) in self.values) != self.negated

    def c_expression(self) -> str:
        operator, joint = ("!=", " && ") if self.negated else ("==", " || ")
        tests = [f"({self.field.c_expression()}) {operator} {value}" for value in self.values]
        return tests[0] if len(tests) == 1 else "(" + joint.join(tests) + ")"


@dataclasses.dataclass
class Pattern:
    name: str
    place: str  # file:line
    source: str  # the line
    mask: int
    value: int
    fields: tuple[Field, ...]
    lifter: str
    constants: dict[str, int]
    feature: str | None
    conditions: tuple[Condition, ...]
    index: int = -1

    def matches(self, word: int) -> bool:
        return word & self.mask == self.value and all(c.holds(word) for c in self.conditions)

    def arguments(self, word: int) -> dict[str, int]:
        """What the lifter is given for `word`."""
        return {**{f.name: f.extract(word) for f in self.fields}, **self.constants}

    @property
    def condition_mask(self) -> int:
        mask = 0
        for condition in self.conditions:
            mask |= condition.field.mask
        return mask


# -- reading ----------------------------------------------------------------------------------------------


def parse_number(text: str, place: str) -> int:
    if not NUMBER.match(text):
        raise PatternError(f"{place}: '{text}' is not a number")
    return int(text, 0) if not re.match(r"-?0[0-9]", text) else int(text, 10)


def check_identifier(name: str, what: str, place: str) -> None:
    if not IDENTIFIER.match(name):
        raise PatternError(f"{place}: '{name}' is not a {what} name")
    if name in RESERVED:
        raise PatternError(f"{place}: {what} name '{name}' is a word of C")


def parse_bits(tokens: Sequence[str], place: str) -> tuple[int, int, tuple[Field, ...]]:
    mask = value = 0
    left = WIDTH
    fields: list[Field] = []
    for token in tokens:
        if set(token) <= set("01."):
            for bit in token:
                mask = mask << 1 | (bit != ".")
                value = value << 1 | (bit == "1")
            left -= len(token)
            continue
        match = FIELD.match(token)
        if not match:
            raise PatternError(f"{place}: '{token}' is neither bits (0, 1, .) nor a field (name:width)")
        name, signed, width = match[1], bool(match[2]), int(match[3])
        check_identifier(name, "field", place)
        if not 1 <= width <= WIDTH:
            raise PatternError(f"{place}: field '{name}' cannot be {width} bits wide")
        if any(f.name == name for f in fields):
            raise PatternError(f"{place}: field '{name}' is there twice")
        left -= width
        mask <<= width
        value <<= width
        fields.append(Field(name, left, width, signed))
    if left:
        raise PatternError(f"{place}: the pattern has {WIDTH - left} bits instead of {WIDTH}")
    return mask, value, tuple(fields)


def parse_condition(text: str, fields: Sequence[Field], place: str) -> Condition:
    match = CONDITION.match(text.strip())
    if not match:
        raise PatternError(f"{place}: condition '{text.strip()}' is not FIELD ==, !=, in or not in VALUES")
    name, operator, right = match[1], match[2], match[3].strip()
    field = next((f for f in fields if f.name == name), None)
    if field is None:
        raise PatternError(f"{place}: the condition's '{name}' is not a field of this pattern")
    if operator.endswith("in"):
        if not (right.startswith("(") and right.endswith(")")):
            raise PatternError(f"{place}: '{operator}' wants values in parentheses, not '{right}'")
        values = tuple(parse_number(v.strip(), place) for v in right[1:-1].split(",") if v.strip())
        if not values:
            raise PatternError(f"{place}: the list of values of '{name}' is empty")
    else:
        values = (parse_number(right, place),)
    low = -(1 << field.width - 1) if field.signed else 0
    for value in values:
        if not low <= value < low + (1 << field.width):
            raise PatternError(f"{place}: field '{name}' can never be {value}")
    return Condition(field, values, operator in ("!=",) or operator.startswith("not"))


def parse_line(line: str, place: str) -> Pattern:
    head, arrow, tail = line.partition("->")
    if not arrow:
        raise PatternError(f"{place}: '->' and the lifter's name are missing")
    tokens = head.split()
    if not tokens:
        raise PatternError(f"{place}: the pattern has no name")
    check_identifier(tokens[0], "pattern", place)
    mask, value, fields = parse_bits(tokens[1:], place)

    feature = None
    match = re.search(r"\[([^\]]*)\]", tail)
    if match:
        feature = match[1].strip()
        if not re.match(r"[A-Za-z0-9_]+\Z", feature):
            raise PatternError(f"{place}: '[{match[1]}]' is not a feature name")
        tail = tail[: match.start()] + " " + tail[match.end() :]
    if "[" in tail or "]" in tail:
        raise PatternError(f"{place}: more than one feature, or a bracket without its partner")

    target, *rest = re.split(r"\bif\b", tail)
    if len(rest) > 1:
        raise PatternError(f"{place}: 'if' may stand only once; join conditions by 'and'")
    conditions = tuple(parse_condition(t, fields, place) for t in re.split(r"\band\b", rest[0])) if rest else ()

    words = target.split()
    if not words:
        raise PatternError(f"{place}: the lifter's name is missing after '->'")
    check_identifier(words[0], "lifter", place)
    constants: dict[str, int] = {}
    for word in words[1:]:
        name, equals, number = word.partition("=")
        if not equals:
            raise PatternError(f"{place}: '{word}' is not a constant (name=value)")
        check_identifier(name, "constant", place)
        if name in constants or any(f.name == name for f in fields):
            raise PatternError(f"{place}: constant '{name}' has a value already")
        constants[name] = parse_number(number, place)
        if not -(1 << 31) <= constants[name] < 1 << 32:
            raise PatternError(f"{place}: constant '{name}' does not fit 32 bits")
    return Pattern(tokens[0], place, " ".join(line.split()), mask, value, fields, words[0], constants, feature,
                   conditions)


def read_patterns(paths: Iterable[Path | str]) -> list[Pattern]:
    """All patterns of the files, in their order, checked one by one and against each other."""
    patterns: list[Pattern] = []
    names: dict[str, str] = {}
    for path in paths:
        for number, text in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            line = text.partition("#")[0].strip()
            if not line:
                continue
            place = f"{path}:{number}"
            pattern = parse_line(line, place)
            if pattern.name in names:
                raise PatternError(f"{place}: the name '{pattern.name}' is taken by {names[pattern.name]}")
            names[pattern.name] = place
            pattern.index = len(patterns)
            patterns.append(pattern)
    check_types(patterns)
    check_overlaps(patterns)
    return patterns


def read_features(path: Path | str) -> frozenset[str]:
    """The names of the features table: strings that open an initialiser's brace."""
    return frozenset(re.findall(r'\{\s*"([A-Za-z0-9_]+)"\s*,', Path(path).read_text(encoding="utf-8")))


# -- checking ---------------------------------------------------------------------------------------------


def check_types(patterns: Iterable[Pattern]) -> None:
    """A member that is negative somewhere is int32_t; it must then not be 2^31 or more elsewhere."""
    for lifter, members in lifter_members(patterns).items():
        for pattern in patterns:
            if pattern.lifter != lifter:
                continue
            for name, value in pattern.constants.items():
                if members[name] and value >= 1 << 31:
                    raise PatternError(f"{pattern.place}: constant '{name}' does not fit a signed member of "
                                       f"'{lifter}'")


def lifter_members(patterns: Iterable[Pattern]) -> dict[str, dict[str, bool]]:
    """For each lifter its struct's members in order of appearance, and whether they are signed."""
    lifters: dict[str, dict[str, bool]] = {}
    for pattern in patterns:
        members = lifters.setdefault(pattern.lifter, {})
        for field in pattern.fields:
            members[field.name] = members.get(field.name, False) or field.signed
        for name, value in pattern.constants.items():
            members[name] = members.get(name, False) or value < 0
    return lifters


def is_more_specific(a: Pattern, b: Pattern) -> bool:
    """Of two patterns that overlap: whether a is to be tried before b."""
    if a.mask & b.mask != b.mask:
        return False
    return a.mask != b.mask or bool(a.conditions and not b.conditions)


def are_disjoint(a: Pattern, b: Pattern) -> bool:
    if (a.value ^ b.value) & a.mask & b.mask:
        return True
    if not a.conditions and not b.conditions:
        return False
    word = a.value | b.value
    undecided = (a.condition_mask | b.condition_mask) & ~(a.mask | b.mask)
    free = [i for i in range(WIDTH) if undecided >> i & 1]
    if len(free) > MAX_CONDITION_BITS:
        return False
    conditions = a.conditions + b.conditions
    for bits in itertools.product((0, 1), repeat=len(free)):
        candidate = word
        for shift, bit in zip(free, bits):
            candidate |= bit << shift
        if all(c.holds(candidate) for c in conditions):
            return False
    return True


def check_overlaps(patterns: Sequence[Pattern]) -> None:
    for i, a in enumerate(patterns):
        for b in patterns[:i]:
            if (a.value ^ b.value) & a.mask & b.mask:
                continue
            if is_more_specific(a, b) or is_more_specific(b, a) or are_disjoint(a, b):
                continue
            raise PatternError(f"{a.place}: '{a.name}' overlaps '{b.name}' of {b.place} and neither is more "
                               f"specific (both match {a.value | b.value:#010x} but for their conditions)")


# -- the reference decoder --------------------------------------------------------------------------------


def by_specificity(patterns: Iterable[Pattern]) -> list[Pattern]:
    """An order in which a more specific pattern always comes first."""
    return sorted(patterns, key=lambda p: (-p.mask.bit_count(), not p.conditions, p.index))


class Decoder:
    """Decodes as the generated code does, slowly."""

    def __init__(self, patterns: Sequence[Pattern], features: frozenset[str] | None = None):
        self.patterns = list(patterns)
        self.ordered = by_specificity(patterns)
        self.features = features
        self._by_top: dict[int, list[Pattern]] = {}

    def decode(self, word: int) -> Pattern | None:
        top = word >> 21
        if top not in self._by_top:
            high = 0x7FF << 21
            self._by_top[top] = [p for p in self.ordered if not (word ^ p.value) & p.mask & high]
        for pattern in self._by_top[top]:
            if pattern.matches(word):
                return pattern if self.is_enabled(pattern) else None
        return None

    def is_enabled(self, pattern: Pattern) -> bool:
        return pattern.feature is None or self.features is None or pattern.feature in self.features


# -- the decision tree ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Known:
    """The bits of the word that the tree has looked at on the way to a node."""

    mask: int = 0
    value: int = 0


def remove_hidden(patterns: Sequence[Pattern], known: Known) -> list[Pattern]:
    """Drops what comes after a pattern that matches for sure."""
    kept = []
    for pattern in patterns:
        kept.append(pattern)
        if not pattern.mask & ~known.mask and not pattern.conditions:
            break
    return kept


def expand(fixed: int, value: int, width: int) -> Iterator[int]:
    """All numbers of `width` bits that agree with `value` on the bits `fixed`."""
    free = ((1 << width) - 1) & ~fixed
    subset = free
    while True:
        yield value & fixed | subset
        if not subset:
            return
        subset = (subset - 1) & free


def split(patterns: Sequence[Pattern], known: Known, shift: int, width: int) -> dict[int, list[Pattern]] | None:
    """The patterns for each value of the bits, or None if these tell too little apart."""
    field = (1 << width) - 1
    known_fixed, known_value = known.mask >> shift & field, known.value >> shift & field
    cases: dict[int, list[Pattern]] = {}
    budget = 4 * len(patterns) + 8
    for pattern in patterns:
        fixed = pattern.mask >> shift & field
        budget -= 1 << (width - (fixed | known_fixed).bit_count())
        if budget < 0:
            return None
        for case in expand(fixed | known_fixed, pattern.value >> shift & fixed | known_value, width):
            cases.setdefault(case, []).append(pattern)
    return cases


def choose_bits(patterns: Sequence[Pattern], known: Known) -> tuple[int, int] | None:
    """The (shift, width) whose switch leaves the fewest patterns to a case, copies taken into account."""
    best, best_score = None, float(len(patterns))
    for width in range(1, MAX_SWITCH_BITS + 1):
        for shift in range(WIDTH - width + 1):
            bits = ((1 << width) - 1) << shift
            if not bits & ~known.mask:
                continue
            # The outer bits of the range must tell something; else a narrower range does the same.
            edges = (1 << shift) | (1 << shift + width - 1)
            if edges & known.mask or any(not any(p.mask & e for p in patterns)
                                         for e in (1 << shift, 1 << shift + width - 1)):
                continue
            cases = split(patterns, known, shift, width)
            if cases is None:
                continue
            total = sum(len(c) for c in cases.values())
            score = sum(len(c) ** 2 for c in cases.values()) / total * (total / len(patterns)) + 0.02 * width
            if score < best_score - 1e-9:
                best, best_score = (shift, width), score
    return best


class Emitter:
    """Writes the body of the decoding function."""

    def __init__(self, decoder: Decoder):
        self.decoder = decoder
        self.lines: list[str] = []

    def line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def emit(self, depth: int, patterns: Sequence[Pattern], known: Known) -> None:
        """Statements that return for every word that agrees with `known`."""
        patterns = remove_hidden(patterns, known)
        chosen = choose_bits(patterns, known) if len(patterns) > LEAF_PATTERNS else None
        if chosen is None:
            self.emit_leaf(depth, patterns, known)
            return
        shift, width = chosen
        field = (1 << width) - 1
        cases = split(patterns, known, shift, width)
        assert cases is not None
        groups: dict[tuple[int, ...], list[int]] = {}
        for case, members in sorted(cases.items()):
            groups.setdefault(tuple(p.index for p in members), []).append(case)
        self.line(depth, f"switch ({f'w >> {shift}' if shift else 'w'} & {field:#x}) {{")
        for values in groups.values():
            for i in range(0, len(values), 8):
                self.line(depth, " ".join(f"case {v:#x}:" for v in values[i : i + 8]))
            same = field
            for v in values:
                same &= ~(v ^ values[0])
            learnt = Known(known.mask | same << shift, known.value | (values[0] & same) << shift)
            self.emit(depth + 1, cases[values[0]], learnt)
        self.line(depth, "}")
        self.line(depth, "return -1;")

    def emit_leaf(self, depth: int, patterns: Sequence[Pattern], known: Known) -> None:
        for pattern in patterns:
            tests = []
            rest = pattern.mask & ~known.mask
            if rest:
                tests.append(f"(w & {rest:#010x}) == {pattern.value & rest:#010x}")
            tests += [c.c_expression() for c in pattern.conditions]
            enabled = self.decoder.is_enabled(pattern)
            # A lacking feature's pattern still hides less specific ones.
            result = f"return {pattern.index if enabled else -1}; /* {pattern.name}" \
                     f"{'' if enabled else f': no {pattern.feature}'} */"
            if not tests:
                self.line(depth, result)
                return
            self.line(depth, f"if ({' && '.join(tests)})")
            self.line(depth + 1, result)
        self.line(depth, "return -1;")


# -- output -----------------------------------------------------------------------------------------------


def generate_header(patterns: Sequence[Pattern], prefix: str, include: str) -> str:
    out = [
        "/* Generated by decodegen.py; do not edit. */",
        f"#ifndef VISOR_{prefix.upper()}_DECODE_H",
        f"#define VISOR_{prefix.upper()}_DECODE_H",
        "",
        f'#include "{include}"',
        "",
        f"struct {prefix}_pattern {{",
        "    const char *name;",
        "    uint32_t mask, value; /* the bits that it fixes */",
        "    const char *feature;  /* NULL: always there */",
        "    const char *lifter;",
        "};",
        "",
        f"extern const struct {prefix}_pattern {prefix}_patterns[];",
        f"extern const unsigned {prefix}_pattern_count;",
        "",
        "/* The index of the pattern that a word matches, -1 if there is none or its feature is lacking. */",
        f"int {prefix}_decode(uint32_t word);",
        "",
        "/* Decodes l->word and calls its lifting function. False: undefined. */",
        f"bool {prefix}_decode_lift(struct lift *l);",
    ]
    for lifter, members in lifter_members(patterns).items():
        out += ["", f"struct {prefix}_{lifter} {{"]
        out += [f"    {'int32_t' if signed else 'uint32_t'} {name};" for name, signed in members.items()]
        if not members:
            out.append("    uint32_t unused; /* it has no fields */")
        out += ["};", f"bool lift_{lifter}(struct lift *l, const struct {prefix}_{lifter} *f);"]
    return "\n".join(out + ["", "#endif", ""])


def generate_source(patterns: Sequence[Pattern], features: frozenset[str] | None, prefix: str) -> str:
    decoder = Decoder(patterns, features)
    emitter = Emitter(decoder)
    emitter.emit(1, decoder.ordered, Known())

    out = [
        "/* Generated by decodegen.py; do not edit. */",
        f'#include "{prefix}_decode.h"',
        "",
        f"const struct {prefix}_pattern {prefix}_patterns[] = {{",
    ]
    for p in patterns:
        feature = f'"{p.feature}"' if p.feature else "NULL"
        out.append(f'    {{"{p.name}", {p.mask:#010x}, {p.value:#010x}, {feature}, "{p.lifter}"}},')
    out += ["};", f"const unsigned {prefix}_pattern_count = {len(patterns)};"]

    for p in patterns:
        if not decoder.is_enabled(p):
            continue
        source = p.source.replace("*/", "* /")
        out += ["", f"/* {Path(p.place).name}: {source} */", f"static bool lift_pattern_{p.index}(struct lift *l)",
                "{"]
        initialisers = [f"        .{f.name} = {f.c_expression()}," for f in p.fields]
        initialisers += [f"        .{name} = {c_number(value)}," for name, value in p.constants.items()]
        if p.fields:
            out.append("    uint32_t w = l->word;")
        if initialisers:
            out += [f"    const struct {prefix}_{p.lifter} f = {{", *initialisers, "    };"]
        else:
            out.append(f"    const struct {prefix}_{p.lifter} f = {{0}};")
        out += [f"    return lift_{p.lifter}(l, &f);", "}"]

    out += ["", "static bool (*const lift_pattern[])(struct lift *l) = {"]
    out += [f"    {f'lift_pattern_{p.index}' if decoder.is_enabled(p) else 'NULL'}," for p in patterns]
    out += ["};", "", f"int {prefix}_decode(uint32_t w)", "{", *emitter.lines, "}", ""]
    out += [f"bool {prefix}_decode_lift(struct lift *l)", "{", f"    int index = {prefix}_decode(l->word);",
            "    return index >= 0 && lift_pattern[index](l);", "}", ""]
    return "\n".join(out)


def c_number(value: int) -> str:
    if value == -(1 << 31):
        return "INT32_MIN"
    return f"{value:#x}u" if value >= 1 << 31 else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Makes an instruction decoder in C from pattern files.")
    parser.add_argument("patterns", nargs="+", type=Path, metavar="FILE.pattern")
    parser.add_argument("--output", required=True, type=Path, help="directory for PREFIX_decode.h and .c")
    parser.add_argument("--features", type=Path, help="C header with the table of features; without it all are there")
    parser.add_argument("--prefix", default="arm64", help="of names in C (default: %(default)s)")
    parser.add_argument("--include", help="header that declares struct lift "
                                          "(default: translator/guest/PREFIX/lift.h)")
    options = parser.parse_args(arguments)
    try:
        patterns = read_patterns(options.patterns)
        if not patterns:
            raise PatternError(f"{options.patterns[0]}: there is no pattern")
        features = read_features(options.features) if options.features else None
        include = options.include or f"translator/guest/{options.prefix}/lift.h"
        header = generate_header(patterns, options.prefix, include)
        source = generate_source(patterns, features, options.prefix)
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / f"{options.prefix}_decode.h").write_text(header, encoding="utf-8")
        (options.output / f"{options.prefix}_decode.c").write_text(source, encoding="utf-8")
    except (PatternError, OSError) as error:
        print(f"decodegen: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
