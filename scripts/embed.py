#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""embed: a file as a C array: embed.py NAME INPUT OUTPUT; without INPUT an empty one."""

import sys

name, output = sys.argv[1], sys.argv[-1]
data = open(sys.argv[2], "rb").read() if len(sys.argv) > 3 else b""
with open(output, "w") as out:
    out.write("/* Made by scripts/embed.py. */\n#include <stddef.h>\n\n")
    out.write(f"extern const unsigned char {name}[];\nextern const size_t {name}_size;\n\n")
    out.write(f"const size_t {name}_size = {len(data)};\nconst unsigned char {name}[] = {{\n")
    for at in range(0, max(len(data), 1), 24):
        out.write(",".join(map(str, data[at : at + 24] or b"\0")) + ",\n")
    out.write("};\n")
