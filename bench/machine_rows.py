# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured inside of a machine: bench/guest.c is /mnt/guest there, the data is beside it."""

INIT_APPEND = "console=ttyS0 rdinit=/init"
# Debian's initial RAM disk finds the disk; what follows "--" are the first program's arguments.
RUN_APPEND = ('console=ttyS0 quiet root=/dev/vda rw fsck.mode=skip init=/bin/sh -- -c '
              '"mount -o ro /dev/vdb /mnt; exec /mnt/guest serve"')
SET_UP = """cp -r /mnt/parts /tmp; modprobe virtio_net; udevadm settle; cd /sys/class/net || exit 1; \
for name in e*; do [ -e "$name" ] || continue; \
ip link set "$name" up && ip address add 10.0.2.15/24 dev "$name" || exit 1; done"""
BUILD = "cd /tmp/parts && rm -f *.o && make -s -j2 >/tmp/out"
SERVER = "10.0.2.2 {port}"


class Row:
    """A shell command; its group has means of its own."""

    def __init__(self, name, group, command):
        self.name, self.group, self.command = name, group, command


def rows():
    lua = "lua5.4 /mnt/{}.lua"
    return [
        Row("Lua calls", "programs", lua.format("calls")),
        Row("Lua tables", "programs", lua.format("tables")),
        Row("Lua sort", "programs", lua.format("sort")),
        Row("n-body", "programs", lua.format("nbody")),
        Row("Python", "programs", "python3 -S /mnt/mixed.py"),
        Row("SHA-256", "programs", "openssl dgst -sha256 </mnt/big"),
        Row("xz", "programs", "xz -T1 -3 -c /mnt/small"),
        Row("SQLite", "programs", "sqlite3 :memory: </mnt/queries.sql"),
        Row("gcc -O2", "programs", "gcc -O2 -c -o /tmp/unit.o /mnt/parts/part0.c && sha256sum /tmp/unit.o"),
        Row("300 fork+exec", "kernel", "/mnt/guest forks 300"),
        Row("200,000 bytes", "kernel", "/mnt/guest bytes 200000"),
        Row("20 MB pipe", "kernel", "/mnt/guest pipe 20"),
        Row("disk, write", "disk", "/mnt/guest disk-sequential /dev/vdc 512 w"),
        Row("disk, read", "disk", "/mnt/guest disk-sequential /dev/vdc 512 r"),
        Row("disk, 4 KiB read", "disk", "/mnt/guest disk-random /dev/vdc 4000 1 r"),
        Row("disk, 4 KiB write", "disk", "/mnt/guest disk-random /dev/vdc 4000 1 w"),
        Row("disk, 8 at a time", "disk", "/mnt/guest disk-random /dev/vdc 16000 8 r"),
        Row("network, send", "network", f"/mnt/guest net u {SERVER} 128"),
        Row("network, receive", "network", f"/mnt/guest net d {SERVER} 128"),
        Row("network, requests", "network", f"/mnt/guest net r {SERVER} 3000"),
    ]
