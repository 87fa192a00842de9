# SPDX-License-Identifier: GPL-2.0-or-later
"""Namespaces and processes as Debian's tools make them."""
import os
import resource

import pytest

MAY = "unshare -U true 2>/dev/null || exit 77; "


def run(in_root, script):
    result = in_root("/bin/sh", "-c", MAY + script)
    if result.returncode == 77:
        pytest.skip("this host makes no user namespaces")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_user_namespace(in_root):
    assert run(in_root, "unshare -Ur id -u") == "0\n"


def test_all_namespaces(in_root):
    script = "unshare -Urpmuinf --mount-proc sh -c 'hostname other && echo $$ $(hostname) && ls -d /proc/[0-9]*'"
    lines = run(in_root, script).split("\n")
    assert lines[0] == "1 other" and lines[1] == "/proc/1"


def test_pivot_root(in_root):
    script = """unshare -Urm sh -c '
        mount -t tmpfs none /mnt && mkdir /mnt/old /mnt/usr && mount --rbind /usr /mnt/usr &&
        ln -s usr/bin usr/lib usr/lib64 /mnt && cd /mnt && pivot_root . old && ls -d /* && /usr/bin/true'"""
    assert run(in_root, script).split() == ["/bin", "/lib", "/lib64", "/old", "/usr"]


def test_root_is_a_mount(in_root):
    """Programs look for one at "/", and the kernel makes user namespaces in no chroot()."""
    assert in_root("/bin/sh", "-c", "cut -d ' ' -f 5 /proc/self/mountinfo | grep -cx /").stdout == "1\n"


@pytest.mark.skipif(os.getuid() != 0, reason="needs to be root to become another user")
def test_ordinary_user(in_root):
    out = in_root("/bin/sh", "-c", MAY + "exec setpriv --reuid 1000 --clear-groups unshare -Ur id -u")
    assert out.returncode == 77 or out.stdout == "0\n", out.stderr


SPAWN = """
import os, subprocess, sys
for call in (lambda: os.posix_spawn('/nonexistent', ['x'], {}), lambda: subprocess.run(['/nonexistent'])):
    try:
        call()
        sys.exit('no error')
    except FileNotFoundError:
        pass
assert subprocess.run(['sh', '-c', 'exit 3']).returncode == 3
"""


def test_spawn_of_missing_file(in_root):
    result = in_root("/usr/bin/python3", "-c", SPAWN)
    assert result.returncode == 0, result.stderr


DESCRIPTORS = r"""
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Opens all that there can be: one after the other, up to the limit. */
static int fill(void)
{
    struct rlimit limit;
    int fd, last = -1, in_order = 1;
    getrlimit(RLIMIT_NOFILE, &limit);
    int first = dup(0);
    for (last = first; (fd = dup(0)) >= 0; last = fd)
        in_order &= fd == last + 1;
    int full = errno == EMFILE;
    closefrom(first);
    return !(in_order && full && last == (int)limit.rlim_cur - 1);
}

int main(int count, char **arguments)
{
    int status, failed = fill();
    if (count > 2)
        return failed;
    int child = fork();
    if (child == 0)
        _exit(fill());
    waitpid(child, &status, 0);
    child = fork();
    if (child == 0) {
        execl(arguments[0], arguments[0], "1", "2", NULL);
        _exit(99);
    }
    waitpid(child, &count, 0);
    printf("%d %d %d %d\n", failed, status, count, fill());
    return 0;
}
"""


@pytest.mark.parametrize("soft", [20, 1000, 1024, 2000])
def test_all_descriptors_below_the_limit_are_the_guests(arm64_compiler, visor, soft):
    program = arm64_compiler("descriptors", DESCRIPTORS)
    result = visor("run", program, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, 4096)))
    assert result.stdout == "0 0 0 0\n", result.stderr


def test_descriptors_where_the_hard_limit_leaves_no_room(arm64_compiler, visor):
    program = arm64_compiler("descriptors", DESCRIPTORS)
    result = visor("run", program, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    assert result.returncode == 0 and result.stderr == ""
