# SPDX-License-Identifier: GPL-2.0-or-later
"""What the programs work on: made anew for each run, the same each time."""
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def make_unit(first=0, count=160):
    """A C file that gives a compiler real work and needs no headers."""
    lines = ["typedef unsigned long size; void *memcpy(void *, const void *, size); double sqrt(double);"]
    for i in range(first, first + count):
        lines.append(f"""
struct s{i} {{ int a[{4 + i % 5}]; double x; struct s{i} *next; unsigned char tag; }};
static int rank{i}(const struct s{i} *s, int k) {{
    int best = -1, sum = 0;
    for (const struct s{i} *p = s; p; p = p->next) {{
        switch ((p->tag + k) % 7) {{
        case 0: sum += p->a[0]; break; case 1: sum -= p->a[1] * {i + 3}; break;
        case 2: sum ^= p->a[2] << (k & 7); break; case 3: if (p->x > {i}.5) best = sum; break;
        case 4: for (int j = 0; j < {4 + i % 5}; j++) sum += p->a[j] % {i + 2}; break;
        default: sum = sum / {i + 1} + k;
        }}
        if (sum > best) best = sum;
    }}
    return best;
}}
double work{i}(struct s{i} *s, int n, double *out, const char *text) {{
    double total = 0; unsigned h = {i * 2654435761 % 2**32}u;
    for (int i = 0; i < n; i++) {{
        out[i] = sqrt(out[i] * s->x + i) - total / (n + {i + 1}.0); total += out[i] * out[n - i - 1];
        h = (h ^ (unsigned char)text[i]) * 16777619u; if (h & 64) total -= rank{i}(s, (int)h);
    }}
    return total + h;
}}""")
    return "\n".join(lines)


def make_units(directory):
    """The same in several files, which are smaller."""
    for part in range(8):
        (directory / f"part{part}.c").write_text(make_unit(part * 8, 8))


def make_texts(directory):
    """What takes no other program to make."""
    for source in (HERE / "workloads").iterdir():
        shutil.copy(source, directory)
    state, words = 12345, []
    vocabulary = ["".join(chr(97 + (i * 7 + j * j * 3 + i * j) % 26) for j in range(2 + i % 9)) for i in range(4000)]
    for _ in range(900000):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        words.append(vocabulary[(state >> 33) % 4000 * ((state >> 45) % 4000) // 4000])
    text = " ".join(words).encode()
    (directory / "text").write_bytes(text)
    (directory / "small").write_bytes(text[: 1 << 20])
    (directory / "big").write_bytes(text * 12)
    (directory / "unit.c").write_text(make_unit())


def make_data(directory, java):
    make_texts(directory)
    (directory / "many").write_text("i=0\nwhile [ $i -lt 200 ]; do /bin/true; i=$((i + 1)); done\n")
    subprocess.run(["openssl", "genrsa", "-out", directory / "key.pem", "2048"], check=True, capture_output=True)
    if java:
        subprocess.run(["javac", "-d", directory, directory / "Jit.java"], check=True)
