# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs that are measured."""
import subprocess

from roots import ROOT, WIDE_ROOT

JIT = "JITs"
PROCESSES = "many processes"


class Workload:
    """One program: its command line, with {d} for the data directory; `repeat` runs it so many times.

    A group's rows have a mean of their own.
    """

    wide = False  # of --all only
    fresh = False  # in a root directory of its own

    def __init__(self, name, command, native=None, stdin=None, repeat=1, group=None):
        self.name, self.command, self.stdin, self.repeat, self.group = name, command, stdin, repeat, group
        self.native = native or command
        self.root = WIDE_ROOT if self.wide else ROOT


class WideWorkload(Workload):
    """{o} is an empty output directory, each variant's own. PROCESSES start other programs."""

    wide = True


class FreshWorkload(WideWorkload):
    """Its root directory is what debootstrap's first stage leaves, a new copy each time."""

    fresh = True


def gcc_version(root):
    return sorted(p.name for p in (root / "usr/lib/gcc/aarch64-linux-gnu").iterdir() if p.name.isdigit())[-1]


def workloads():
    cc1 = f"/usr/lib/gcc/aarch64-linux-gnu/{gcc_version(ROOT)}/cc1"
    native_cc1 = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True, text=True, check=True).stdout
    seven = "/usr/lib/p7zip/7z"
    return [
        Workload("Lua calls", "/usr/bin/lua5.4 {d}/calls.lua"),
        Workload("Lua tables", "/usr/bin/lua5.4 {d}/tables.lua"),
        Workload("Lua sort", "/usr/bin/lua5.4 {d}/sort.lua"),
        Workload("Lua n-body", "/usr/bin/lua5.4 {d}/nbody.lua"),
        Workload("Python", "/usr/bin/python3 -S {d}/mixed.py"),
        Workload("Perl regex", "/usr/bin/perl {d}/regex.pl"),
        Workload("SQLite", "/usr/bin/sqlite3 :memory:", stdin="queries.sql"),
        Workload("gzip", "/usr/bin/gzip -6 -n -c {d}/text"),
        Workload("xz", "/usr/bin/xz -T1 -3 -c {d}/small"),
        Workload("zstd", "/usr/bin/zstd -q -9 --single-thread -c {d}/text"),
        Workload("OpenSSL SHA-256", "/usr/bin/openssl dgst -sha256", stdin="big"),
        Workload("OpenSSL SHA-512", "/usr/bin/openssl dgst -sha512", stdin="big"),
        Workload("OpenSSL MD5", "/usr/bin/openssl dgst -md5", stdin="big"),
        Workload("OpenSSL RSA check", "/usr/bin/openssl rsa -in {d}/key.pem -check -noout"),
        Workload("cc1 -O2", f"{cc1} -quiet -O2 {{d}}/unit.c -o /dev/null",
                 native=f"{native_cc1.strip()} -quiet -O2 {{d}}/unit.c -o /dev/null"),
        Workload("7-Zip", f"{seven} a -mx=3 -mmt=1 -so -an -txz -si -bd", stdin="small"),
        Workload("/bin/true", "/bin/true", repeat=20),
    ]


def wide_workloads():
    cpp = "-quiet -std=c++17 -O2 -D_GNU_SOURCE -imultiarch {triplet} {{d}}/templates.cc -o /dev/null"
    native_cpp = subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True).stdout.strip()
    java, native_java = (f"/usr/lib/jvm/java-17-openjdk-{cpu}/bin/java" for cpu in ("arm64", "amd64"))
    go = "/usr/bin/env GO111MODULE=off GOFLAGS=-p=1 HOME={o} /usr/bin/go build -o {o}/hello {d}/hello.go"
    return [
        WideWorkload("Node.js", "/usr/bin/node {d}/jit.js", group=JIT),
        WideWorkload("Java", f"{java} -cp {{d}} Jit", f"{native_java} -cp {{d}} Jit", group=JIT),
        WideWorkload("javac", f"{java}c -d {{o}} {{d}}/Jit.java", f"{native_java}c -d {{o}} {{d}}/Jit.java", group=JIT),
        WideWorkload("LuaJIT", "/usr/bin/luajit {d}/jit.lua", group=JIT),
        WideWorkload("Ruby", "/usr/bin/ruby {d}/mixed.rb"),
        WideWorkload("g++ -O2", "/usr/lib/gcc/aarch64-linux-gnu/12/cc1plus " + cpp.format(triplet="aarch64-linux-gnu"),
                     f"{native_cpp} " + cpp.format(triplet="x86_64-linux-gnu")),
        WideWorkload("go build", go, group=PROCESSES),
        WideWorkload("configure, make", "/bin/sh {d}/configure {o}/project", group=PROCESSES),
        WideWorkload("200 x /bin/true", "/bin/sh {d}/many", group=PROCESSES),
        FreshWorkload("debootstrap, stage 2", "/bin/sh /second-stage", group=PROCESSES),
    ]
