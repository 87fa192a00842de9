# SPDX-License-Identifier: GPL-2.0-or-later
"""A namespace in which QEMU runs every arm64 program, so that those which start others can be measured as well."""
import os
import pathlib
import subprocess

MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"  # ET_DYN, too
QEMU = "/usr/bin/qemu-aarch64-static"
FLAGS = "F"  # opened now, and so found from within a root directory

# Two steps, since root's ids are given to the namespace from outside. What has started before that has no rights.
HOLD = """
echo made
read mapped
exec sh -c '
    if mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && echo "$1" >/proc/sys/fs/binfmt_misc/register; then
        echo registered
    else
        echo refused
    fi
    read end' sh "$1"
"""

# In mounts of its own, which end with the program: nothing that deletes a root directory later can reach through them.
ENTER = """
root=$1
shift
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$2" || exit 125
    shift 2
done
shift
for name in proc dev sys; do
    mount --rbind "/$name" "$root/$name" || exit 125
done
exec chroot "$root" "$@"
"""


class Namespace:
    """User ids, mounts and, from Linux 6.7 on, a binfmt_misc table of its own, until it is closed.

    As root all ids are mapped to themselves; for others those that /etc/subuid gives them, if any.
    """

    def __init__(self):
        self.root = os.geteuid() == 0
        mapping = [] if self.root else ["--map-root-user", "--map-auto"]
        if mapping and subprocess.run(["unshare", *mapping, "true"], capture_output=True).returncode != 0:
            mapping = ["--map-root-user"]
        entry = f":qemu-aarch64:M::{MAGIC}:{MASK}:{QEMU}:{FLAGS}"
        self.holder = subprocess.Popen(["unshare", "--user", "--mount", *mapping, "sh", "-c", HOLD, "sh", entry],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "made\n":
            raise OSError(f"no user namespace: {self.holder.stderr.read().strip()}")
        if self.root:
            for name in ("uid_map", "gid_map"):
                own = (line.split() for line in pathlib.Path("/proc/self", name).read_text().splitlines())
                lines = "".join(f"{first} {first} {count}\n" for first, _, count in own)
                pathlib.Path(f"/proc/{self.holder.pid}", name).write_text(lines)
        self.holder.stdin.write("\n")
        self.holder.stdin.flush()
        self.runs_children = self.holder.stdout.readline() == "registered\n"

    def close(self):
        self.holder.communicate()

    def command(self, *argv):
        return ["nsenter", "--target", str(self.holder.pid), "--user", "--mount", "--preserve-credentials", *argv]

    def in_root(self, root, argv, *volumes):
        """The program with that root directory. A volume: what outside, where inside."""
        mounts = [str(end) for volume in volumes for end in volume]
        return self.command("unshare", "--mount", "sh", "-c", ENTER, "sh", str(root), *mounts, "--", *argv)

    def qemu_in_root(self, root, argv, *volumes):
        """The arm64 program under QEMU, with all that it starts if runs_children."""
        if self.runs_children:
            return self.in_root(root, argv, *volumes)
        return self.in_root(root, ["/media/" + os.path.basename(QEMU), *argv], *volumes, (os.path.dirname(QEMU), "/media"))
