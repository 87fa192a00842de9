# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that are measured."""
import pathlib


def family(pid):
    """A process and all that it has made."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]
