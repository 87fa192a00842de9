# SPDX-License-Identifier: GPL-2.0-or-later
"""The root directories that the programs are in, and the programs' output directories."""
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
ROOT = TOP / "build/roots/bench-arm64"
PACKAGES = ["lua5.4", "python3", "perl", "sqlite3", "gzip", "xz-utils", "zstd", "openssl", "p7zip-full", "gcc"]
WIDE_ROOT = TOP / "build/roots/bench-wide-arm64"
WIDE_PACKAGES = ["nodejs", "default-jdk-headless", "ruby", "luajit", "g++", "golang-go", "make", "libc6-dev"]
SECOND_STAGE = TOP / "bench/workloads/second-stage"


def make_narrow_root(visor):
    subprocess.run([TOP / "scripts/debian-root", visor, ROOT, *PACKAGES], check=True)


def make_wide_root(visor):
    subprocess.run([TOP / "scripts/debian-root", visor, WIDE_ROOT, *WIDE_PACKAGES], check=True)


def remove(directory, namespace):
    """In the namespace, as all that follows: there an ordinary user, too, may handle files of all the owners."""
    subprocess.run(namespace.command("rm", "-rf", "--one-file-system", directory), check=True)


def first_stage(arch, namespace):
    """What debootstrap's first stage leaves behind, in a directory that is kept."""
    directory = TOP / f"build/roots/bench-first-stage-{arch}"
    if directory.exists():
        return directory
    print(f"bench: fetching and unpacking what debootstrap installs for {arch}", flush=True)
    unfinished = directory.with_name(directory.name + ".unfinished")
    remove(unfinished, namespace)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    debootstrap = ["debootstrap", "--foreign", "--variant=minbase", f"--arch={arch}", "bookworm", unfinished]
    with open(f"{directory}.log", "w", encoding="utf-8") as log:
        done = subprocess.run(namespace.command("env", "container=lxc", *debootstrap), stdout=log, stderr=log)
    if done.returncode != 0:
        sys.exit(f"bench: debootstrap failed: see {directory}.log")
    unfinished.rename(directory)
    return directory


def make_output(workload, variant, directory, namespace):
    """An empty directory; with a root directory in it if the workload takes a fresh one."""
    remove(directory, namespace)
    directory.mkdir()
    if workload.fresh:
        source = first_stage("amd64" if variant == "native" else "arm64", namespace)
        subprocess.run(namespace.command("cp", "-a", source, directory / "root"), check=True)
        subprocess.run(namespace.command("cp", SECOND_STAGE, directory / "root"), check=True)
