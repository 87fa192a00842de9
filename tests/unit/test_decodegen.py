# SPDX-License-Identifier: GPL-2.0-or-later
"""The decoder generator: what it accepts, what it refuses and with which words, and that the C it makes decodes
as the reference in Python does."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import decodegen  # noqa: E402

PATTERN_FOLDER = ROOT / "src/translator/guest/arm64"
FEATURES = ROOT / "src/arch/arm64/features.h"


def parse(tmp_path, text):
    path = tmp_path / "t.pattern"
    path.write_text(text)
    return decodegen.read_patterns([path])


def sample(decoder, pattern, rng, tries=4000):
    """A word that decodes to `pattern`, or None if none was found."""
    for attempt in range(tries):
        word = pattern.value | (rng.getrandbits(32) & ~pattern.mask if attempt else 0)
        if decoder.decode(word) is pattern:
            return word
    return None


def build(tmp_path, patterns, driver, features=None):
    """Compiles the generated decoder with lifters that print what they are given; returns the program."""
    lift = tmp_path / "lift.h"
    lift.write_text("#include <stdbool.h>\n#include <stdint.h>\n#include <stddef.h>\n"
                    "struct lift { uint32_t word; };\n")
    (tmp_path / "t_decode.h").write_text(decodegen.generate_header(patterns, "t", str(lift)))
    (tmp_path / "t_decode.c").write_text(decodegen.generate_source(patterns, features, "t"))
    lines = ["#include <stdio.h>", "#include <stdlib.h>", '#include "t_decode.h"']
    for lifter, members in decodegen.lifter_members(patterns).items():
        lines += [f"bool lift_{lifter}(struct lift *l, const struct t_{lifter} *f)", "{", "    (void)f;",
                  f'    printf("%08x {lifter}", l->word);']
        lines += [f'    printf(" {m}=%lld", (long long)f->{m});' for m in members]
        lines += ['    printf("\\n");', "    return true;", "}"]
    (tmp_path / "driver.c").write_text("\n".join(lines) + "\n" + driver)
    program = tmp_path / "driver"
    subprocess.run([*os.environ.get("CC", "cc").split(), "-std=gnu17", "-O1", "-Wall", "-Wextra", "-Wshadow",
                    "-Wstrict-prototypes", "-Wno-missing-prototypes", "-Werror", "-o", program,
                    tmp_path / "driver.c", tmp_path / "t_decode.c"], check=True)
    return program


WORDS_FROM_INPUT = """
int main(void)
{
    struct lift l;
    while (scanf("%x", &l.word) == 1)
        if (!t_decode_lift(&l))
            printf("%08x undefined\\n", l.word);
    return 0;
}
"""


def expected_line(patterns, decoder, word):
    pattern = decoder.decode(word)
    if pattern is None:
        return f"{word:08x} undefined"
    members = decodegen.lifter_members(patterns)[pattern.lifter]
    arguments = pattern.arguments(word)
    return " ".join([f"{word:08x} {pattern.lifter}"] + [f"{m}={arguments.get(m, 0)}" for m in members])


# -- good files -------------------------------------------------------------------------------------------


def test_fields_and_constants(tmp_path):
    patterns = parse(tmp_path, """
        # a comment
        ldr  size:2 111 0 00 01 0 imm:s9 01 rn:5 rt:5  -> ldst post=1 wide=0x10 back=-3   # another
        any  1.0 ................ x:13                 -> other
    """)
    ldr, other = patterns
    assert (ldr.mask, ldr.value) == (0x3FE00C00, 0x38400400)
    assert ldr.arguments(0x38500400 | 3 << 5 | 7) == {
        "size": 0, "imm": -256, "rn": 3, "rt": 7, "post": 1, "wide": 16, "back": -3}
    assert (other.mask, other.value) == (0xA0000000, 0x80000000)
    assert decodegen.lifter_members(patterns) == {
        "ldst": {"size": False, "imm": True, "rn": False, "rt": False, "post": False, "wide": False, "back": True},
        "other": {"x": False}}


def test_specific_pattern_comes_first_in_any_order(tmp_path):
    general = "hint 11010101000000110010 crm:4 op:3 11111 -> hint\n"
    special = "nop 11010101000000110010 0000 000 11111 -> nop\n"
    for text in general + special, special + general:
        decoder = decodegen.Decoder(parse(tmp_path, text))
        assert decoder.decode(0xD503201F).name == "nop"
        assert decoder.decode(0xD503203F).name == "hint"
        assert decoder.decode(0xD503203E) is None


def test_failed_condition_falls_to_the_next_pattern(tmp_path):
    decoder = decodegen.Decoder(parse(tmp_path, """
        narrow  0000 a:4 b:s4 00000000000000000000 -> x if a != 0 and b in (-1, 2) and a not in (3, 4)
        broad   0000 a:4 b:s4 0000000000.......... -> y if b != 1
        rest    0000 a:8      .................... -> z
    """))
    assert decoder.decode(0x01F00000).name == "narrow"
    assert decoder.decode(0x00F00000).name == "broad"
    assert decoder.decode(0x03F00000).name == "broad"
    assert decoder.decode(0x01100000).name == "rest"
    assert decoder.decode(0x01F00400).name == "rest"


def test_conditions_may_make_patterns_disjoint(tmp_path):
    decoder = decodegen.Decoder(parse(tmp_path, """
        one  0000 a:4 000000000000000000000000 -> x if a in (1, 2)
        two  0000 a:4 000000000000000000000000 -> x if a not in (1, 2, 5)
        six  .... 1111 b:4 00000000000000000000 -> y if b == 1
        odd  0001 .... c:4 00000000000000000000 -> y if c != 1
    """))
    assert [p and p.name for p in map(decoder.decode, (1 << 24, 3 << 24, 5 << 24))] == ["one", "two", None]


def test_lacking_feature_is_undefined(tmp_path):
    patterns = parse(tmp_path, """
        cas   1111 a:4 000000000000000000000000 -> cas [atomics]
        sve   1111 a:4 000000000000000000000001 -> sve [sve]
        any   1111 a:28                         -> any
    """)
    features = decodegen.read_features(FEATURES)
    assert "atomics" in features and "fp" in features and "sve" not in features
    decoder = decodegen.Decoder(patterns, features)
    assert decoder.decode(0xF1000000).name == "cas"
    assert decoder.decode(0xF1000001) is None
    assert decoder.decode(0xF1000002).name == "any"
    program = build(tmp_path, patterns, WORDS_FROM_INPUT, features)
    out = subprocess.run([program], input="f1000000 f1000001 f1000002", capture_output=True, text=True, check=True)
    assert out.stdout == "f1000000 cas a=1\nf1000001 undefined\nf1000002 any a=16777218\n"


# -- bad files --------------------------------------------------------------------------------------------

ZEROS = "0" * 31

BAD = [
    ("x 0101", "'->' and the lifter's name are missing"),
    ("-> x", "the pattern has no name"),
    ("9x " + "0" * 32 + " -> x", "'9x' is not a pattern name"),
    ("x " + ZEROS + " -> x", "the pattern has 31 bits instead of 32"),
    ("x " + ZEROS + " a:2 -> x", "the pattern has 33 bits instead of 32"),
    ("x " + ZEROS + " 2 -> x", "'2' is neither bits (0, 1, .) nor a field (name:width)"),
    ("x " + ZEROS + "0 a:0 -> x", "field 'a' cannot be 0 bits wide"),
    ("x " + "0" * 30 + " a:1 a:1 -> x", "field 'a' is there twice"),
    ("x " + ZEROS + " int:1 -> x", "field name 'int' is a word of C"),
    ("x " + ZEROS + " a:1 ->", "the lifter's name is missing after '->'"),
    ("x " + ZEROS + " a:1 -> x y", "'y' is not a constant (name=value)"),
    ("x " + ZEROS + " a:1 -> x y=z", "'z' is not a number"),
    ("x " + ZEROS + " a:1 -> x y=1 y=2", "constant 'y' has a value already"),
    ("x " + ZEROS + " a:1 -> x a=2", "constant 'a' has a value already"),
    ("x " + ZEROS + " a:1 -> x y=0x100000000", "constant 'y' does not fit 32 bits"),
    ("x " + ZEROS + "0 -> x y=-1\nz " + ZEROS + "1 -> x y=0xffffffff", "constant 'y' does not fit a signed member"),
    ("x " + ZEROS + " a:1 -> x [a b]", "'[a b]' is not a feature name"),
    ("x " + ZEROS + " a:1 -> x [a] [b]", "more than one feature"),
    ("x " + ZEROS + " a:1 -> x if b == 1", "the condition's 'b' is not a field of this pattern"),
    ("x " + ZEROS + " a:1 -> x if a > 1", "condition 'a > 1' is not FIELD"),
    ("x " + ZEROS + " a:1 -> x if a == 2", "field 'a' can never be 2"),
    ("x " + ZEROS + " a:1 -> x if a == -1", "field 'a' can never be -1"),
    ("x " + ZEROS + " a:1 -> x if a in 1", "'in' wants values in parentheses"),
    ("x " + ZEROS + " a:1 -> x if a in ()", "the list of values of 'a' is empty"),
    ("x " + ZEROS + " a:1 -> x if a == 1 if a == 1", "'if' may stand only once"),
    ("x " + ZEROS + " a:1 -> x\nx 1" + ZEROS + " -> x", "the name 'x' is taken by"),
    # Neither fixes all that the other does.
    ("x 0 a:1 " + "0" * 30 + " -> x\ny b:1 0 " + "0" * 30 + " -> x", "'y' overlaps 'x' of"),
    ("x 0 a:1 " + "0" * 30 + " -> x\ny 0 b:1 " + "0" * 30 + " -> x", "neither is more specific"),
    # Conditions that do not exclude each other.
    ("x a:4 " + "0" * 28 + " -> x if a != 1\ny a:4 " + "0" * 28 + " -> x if a != 2", "'y' overlaps 'x' of"),
]


@pytest.mark.parametrize("text,message", BAD, ids=[message for _, message in BAD])
def test_bad_file(tmp_path, text, message, capsys):
    path = tmp_path / "bad.pattern"
    path.write_text("# first line\n" + text + "\n")
    assert decodegen.main(["--output", str(tmp_path / "out"), str(path)]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert re.match(rf"decodegen: {re.escape(str(path))}:{text.count(chr(10)) + 2}: ", said), said
    assert not (tmp_path / "out").exists()


def test_overlap_names_both_lines(tmp_path):
    with pytest.raises(decodegen.PatternError) as caught:
        parse(tmp_path, "x 0 a:1 " + "0" * 30 + " -> x\n\ny b:1 0 " + "0" * 30 + " -> x\n")
    assert "t.pattern:3" in str(caught.value) and "t.pattern:1" in str(caught.value)


def test_empty_and_missing_files(tmp_path, capsys):
    path = tmp_path / "empty.pattern"
    path.write_text("# nothing\n")
    assert decodegen.main(["--output", str(tmp_path), str(path)]) == 1
    assert "there is no pattern" in capsys.readouterr().err
    assert decodegen.main(["--output", str(tmp_path), str(tmp_path / "none.pattern")]) == 1
    assert "none.pattern" in capsys.readouterr().err


# -- the C that it makes ----------------------------------------------------------------------------------


def random_patterns(rng, free):
    """A file of patterns that tell apart only the low `free` bits, made by splitting the space at random."""
    lines = []

    def pattern(name, bits):
        tokens, i = ["0" * (32 - free)], 0
        while i < free:
            j = i
            while j < free and bits[j] == bits[i] and bits[j] == "f":
                j += 1
            if j > i:
                sign = rng.choice(["", "s"])
                tokens.append(f"{name}{i}:{sign}{j - i}")
                i = j
            else:
                tokens.append(bits[i])
                i += 1
        fields = [t.split(":") for t in tokens if ":" in t]
        line = f"{name} {' '.join(tokens)} -> lifter{rng.randrange(4)} number={rng.randrange(-9, 9)}"
        if fields and rng.random() < 0.4:
            field, width = rng.choice(fields)
            low, high = (-(1 << int(width[1:]) - 1), (1 << int(width[1:]) - 1) - 1) if width[0] == "s" \
                else (0, (1 << int(width)) - 1)
            values = ", ".join(str(rng.randint(low, high)) for _ in range(rng.randint(1, 3)))
            line += f" if {field} {rng.choice(['in', 'not in'])} ({values})"
        lines.append(line)

    def divide(bits, depth):
        undecided = [i for i in range(free) if bits[i] == "f"]
        is_leaf = not undecided or depth > 7 or rng.random() < 0.06 * depth
        if is_leaf or depth and rng.random() < 0.25:
            pattern(f"p{len(lines)}_", bits)
        if is_leaf:
            return
        bit = rng.choice(undecided)  # both halves are more specific than a pattern made above
        for value in "01":
            if rng.random() < 0.85:
                divide([value if i == bit else b for i, b in enumerate(bits)], depth + 1)

    divide(["f"] * free, 0)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("seed", range(4))
def test_generated_code_agrees_everywhere(tmp_path, seed):
    """Every word of a 12-bit space, against the reference."""
    rng = random.Random(seed)
    while True:
        try:
            patterns = parse(tmp_path, random_patterns(rng, 12))
        except decodegen.PatternError:
            continue
        if len(patterns) >= 30:
            break
    decoder = decodegen.Decoder(patterns)
    program = build(tmp_path, patterns, """
int main(void)
{
    for (uint32_t i = 0; i < 8192; i++) {
        struct lift l = {i};
        if (!t_decode_lift(&l))
            printf("%08x undefined\\n", i);
    }
    return 0;
}
""")
    out = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    want = [expected_line(patterns, decoder, word) for word in range(8192)]
    assert [(w, o) for w, o in zip(want, out) if w != o] == []
    assert len(out) == len(want)
    assert sum("undefined" not in line for line in want) > 1000


def arm64_patterns():
    files = sorted(PATTERN_FOLDER.glob("*.pattern"))
    if not files:
        pytest.skip("there are no pattern files")
    return decodegen.read_patterns(files)


def test_every_arm64_pattern_decodes_to_itself():
    patterns = arm64_patterns()
    decoder, rng = decodegen.Decoder(patterns), random.Random(1)
    assert [f"{p.place}: {p.name}" for p in patterns if sample(decoder, p, rng) is None] == []


def test_generated_arm64_decoder_agrees(tmp_path):
    """Words of every pattern, their neighbours one bit away, and random ones."""
    patterns = arm64_patterns()
    features = decodegen.read_features(FEATURES)
    decoder, rng = decodegen.Decoder(patterns, features), random.Random(2)
    words = [rng.getrandbits(32) for _ in range(4000)]
    for pattern in patterns:
        for _ in range(8):
            word = pattern.value | rng.getrandbits(32) & ~pattern.mask
            words += [word, word ^ 1 << rng.randrange(32)]
    program = build(tmp_path, patterns, WORDS_FROM_INPUT, features)
    out = subprocess.run([program], input=" ".join(f"{w:x}" for w in words), capture_output=True, text=True,
                         check=True).stdout.splitlines()
    want = [expected_line(patterns, decoder, word) for word in words]
    assert [(w, o) for w, o in zip(want, out) if w != o] == []
    assert len(out) == len(want)
