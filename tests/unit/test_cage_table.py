# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of docs/security.md is that of src/cage/calls.def."""

import runpy
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]

cage_table = SimpleNamespace(**runpy.run_path(str(ROOT / "scripts/cage-table"), run_name="cage_table"))


def test_the_page_has_the_table_of_the_code():
    page = cage_table.PAGE.read_text()
    assert cage_table.replace(page, cage_table.table(cage_table.SOURCE.read_text())) == page, "scripts/cage-table --write"


def test_every_row_is_in_the_table():
    text = cage_table.SOURCE.read_text()
    rules = sum(len(rules) for _, rows in cage_table.read(text) for *_, rules in rows)
    assert rules == sum(line.startswith("CALL(") for line in text.splitlines())


def test_rules_are_told_in_words():
    text = ('GROUP("Memory")\n'
            'CALL(ALL, EITHER, mmap, WITHOUT(2, PROT_EXEC), "memory")\n'
            'CALL(LOOP | VCPU, KVM, ioctl, IS(1, KVM_RUN), "guest code")\n'
            'CALL(LOOP | VCPU, KVM, ioctl, ONE_OF(1, KVM_NMI, KVM_INTERRUPT), "guest code")\n'
            'CALL(LOOP, TRANSLATE, prlimit64, ONLY_BITS(2, 0), "limits")\n')
    assert cage_table.table(text).splitlines()[2:] == [
        "| **Memory** | | | | | | |",
        "| `mmap` | third without `PROT_EXEC` | × | × | × | | memory |",
        "| `ioctl` | second is `KVM_RUN`; second is `KVM_NMI` or `KVM_INTERRUPT` | × | × | | KVM | guest code |",
        "| `prlimit64` | third is `0` | × | | | translator | limits |",
    ]
