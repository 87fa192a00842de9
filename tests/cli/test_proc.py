# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc tells a guest about itself, by whatever way it gets there, and not about visor."""
import os
import subprocess

import pytest

ELSEWHERE = "mkdir -p /tmp/otherproc && mount -t proc proc /tmp/otherproc && "


def shell(in_root, script, **options):
    result = in_root("/bin/bash", "-c", script, **options)
    assert result.stderr == ""
    return result.stdout.splitlines()


@pytest.mark.parametrize("directory", ["self", "thread-self", "self/task/$BASHPID", "$BASHPID"])
def test_executable_by_link_and_stat(in_root, directory):
    assert shell(in_root, f"exec readlink /proc/{directory}/exe")[0].endswith("/readlink")
    lines = shell(in_root, f"exec stat -L -c '%d %i' /proc/{directory}/exe /usr/bin/stat")
    assert lines[0] == lines[1]


def test_one_task(in_root):
    assert shell(in_root, "ls /proc/self/task | wc -l; grep Threads: /proc/self/status") == ["1", "Threads:\t1"]


def mapped_names(lines):
    return [line.split(None, 5)[5] for line in lines if len(line.split(None, 5)) == 6]


@pytest.mark.parametrize("name", ["maps", "smaps", "numa_maps"])
def test_maps_are_the_guests(in_root, name):
    text = "\n".join(shell(in_root, f"cat /proc/self/{name}"))
    assert "/bin/cat" in text and "visor" not in text and "[vvar]" not in text
    if name != "numa_maps":
        assert "[vdso]" in text and "r-xp" in text and "[stack]" in text and "[heap]" in text


def test_smaps_has_all_mappings_with_their_sizes(in_root):
    smaps = shell(in_root, "cat /proc/self/smaps")
    sizes, expected = [], []
    for line in smaps:
        first = line.split()[0]
        if "-" in first and ":" not in first:
            start, end = (int(part, 16) for part in first.split("-"))
            expected.append((end - start) // 1024)
        elif first == "Size:":
            sizes.append(int(line.split()[1]))
    assert sizes == expected and len(sizes) > 10
    assert not any("ProtectionKey" in line for line in smaps)


def test_rollup_is_the_sum(in_root):
    lines = shell(in_root, "cat /proc/self/smaps_rollup")
    assert lines[0].endswith("[rollup]")
    values = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    assert 100 < values["Rss"] < 20000 and values["Private_Dirty"] <= values["Rss"]


def other_process(script):
    """Runs the script's lines while another program, whose number is $p, waits."""
    return ("/usr/bin/sleep 60 & p=$!; while ! grep -q sleep /proc/$p/comm; do :; done; /usr/bin/sleep 0.2;"
            f"{script}; kill $p")


@pytest.mark.parametrize("directory", ["$p", "$p/task/$p"])
def test_other_programs_are_guests_too(in_root, directory):
    lines = shell(in_root, other_process(
        f"cd /proc/{directory}; readlink exe; tr '\\0' ' ' < cmdline; echo; grep VmSize status; cut -d' ' -f23 stat;"
        "wc -c < auxv; ls fd; cat maps"))
    exe, cmdline, size, stat_size, auxv = lines[:5]
    assert exe.endswith("/sleep") and cmdline == "/usr/bin/sleep 60 "
    assert int(size.split()[1]) * 1024 == int(stat_size) < 30 << 20 and int(auxv) % 16 == 0
    descriptors = [line for line in lines[5:] if "-" not in line]
    assert descriptors and all(int(fd) < 300 for fd in descriptors)
    maps = "\n".join(lines[5 + len(descriptors):])
    assert "/bin/sleep" in maps and "r-xp" in maps and "[heap]" in maps and "[vdso]" in maps
    assert "visor" not in maps and "[vvar]" not in maps


@pytest.mark.skipif(os.getuid() != 0, reason="changes its user")
def test_another_users_maps_are_not_read(in_root):
    lines = shell(in_root, other_process("python3 -c \"import os\nos.setuid(1)\n"
                                         "try: open('/proc/$p/maps')\nexcept OSError as e: print(e.strerror)\""))
    assert lines == ["Permission denied"]


def test_no_signals_are_caught_unasked(in_root):
    def sets(lines):
        return [int(line.split()[1], 16) for line in lines if line[:6] in ("SigIgn", "SigCgt")]
    # What is ignored is inherited: posix_spawn() begins that with libc's own signals.
    native = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    ignored = sets(native.splitlines())[0]
    assert sets(shell(in_root, "exec cat /proc/self/status")) == [ignored, 0]


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a file system")
def test_other_mount_of_proc(in_root):
    script = ELSEWHERE + (
        "cd /tmp/otherproc; readlink self/exe; grep -c implementer cpuinfo; grep -c visor self/maps;"
        "ls -l self/fd | grep -c visor; stat -L -c %i self/exe /usr/bin/stat; cd /; umount /tmp/otherproc")
    lines = shell(in_root, script)
    assert lines[0].endswith("/readlink") and int(lines[1]) >= 1 and lines[2:4] == ["0", "0"] and lines[4] == lines[5]


@pytest.mark.skipif(os.getuid() != 0, reason="makes a namespace")
def test_in_another_pid_namespace(in_root):
    script = ("unshare --pid --fork --mount --propagation unchanged /bin/bash -c 'mount -t proc proc /proc; readlink /proc/self/exe; readlink /proc/$$/exe;"
              "stat -L -c %i /proc/self/exe /usr/bin/stat; grep -c visor /proc/self/maps; echo $$'")
    lines = shell(in_root, script)
    assert lines[0].endswith("/readlink") and lines[1].endswith("/bash") and lines[2] == lines[3]
    assert lines[4:] == ["0", "1"]


def test_by_a_directory_descriptor(in_root):
    script = (
        "import os\n"
        "d = os.open('/proc/self', os.O_RDONLY)\n"
        "print(os.readlink('exe', dir_fd=d), os.stat('exe', dir_fd=d).st_ino == os.stat(os.readlink('/proc/self/exe')).st_ino)\n"
        "os.chdir('/proc/self'); print(b'visor' in open('maps', 'rb').read(), os.access('exe', os.X_OK))\n"
        "print(sorted(set(os.listdir(d)) & {'exe', 'maps'}), open('cmdline').read().split('\\0')[0])\n")
    result = in_root("/usr/bin/python3", "-c", script)
    name, same, *rest = result.stdout.split()
    assert result.stderr == "" and "python3" in name and same == "True"
    assert rest == ["False", "True", "['exe',", "'maps']", "/usr/bin/python3"]


@pytest.mark.parametrize("name", ["self/status", "thread-self/status", "self/task/$BASHPID/status"])
def test_sizes_in_status_are_the_guests(in_root, name):
    lines = shell(in_root, f"exec /usr/bin/cat /proc/{name}")
    values = {line.split(":")[0]: line.split(":")[1].split() for line in lines}
    assert values["Name"] == ["cat"] and "SigCgt" in values
    size, peak, data = (int(values[key][0]) for key in ("VmSize", "VmPeak", "VmData"))
    assert data < size <= peak and size < 30000 and data < 10000


def test_sizes_in_statm_are_those_of_maps(in_root):
    script = (
        "maps = open('/proc/self/maps').read().splitlines()\n"
        "statm = [int(value) for value in open('/proc/self/statm').read().split()]\n"
        "ends = [[int(end, 16) for end in line.split()[0].split('-')] for line in maps]\n"
        "print(len(statm), abs(sum(b - a for a, b in ends) // 4096 - statm[0]) < 300, statm[5] < statm[0])\n")
    assert in_root("/usr/bin/python3", "-c", script).stdout == "7 True True\n"


def test_flags_of_open_files_are_the_guests_bits(in_root):
    script = (
        "import fcntl, os\n"
        "fd = os.open('/', os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)\n"
        "text = open(f'/proc/self/fdinfo/{fd}').read()\n"
        "flags = int(next(line for line in text.splitlines() if line.startswith('flags:')).split()[1], 8)\n"
        "print(flags & ~os.O_CLOEXEC == fcntl.fcntl(fd, fcntl.F_GETFL), oct(flags), 'pos:' in text)\n"
        "d = os.open('/proc/self/fdinfo', os.O_RDONLY)\n"
        "print(os.read(os.open(str(fd), os.O_RDONLY, dir_fd=d), 999).decode() == text)\n"
        "try: os.open('/proc/self/fdinfo/77', os.O_RDONLY)\n"
        "except FileNotFoundError: print('none')\n")
    result = in_root("/usr/bin/python3", "-c", script)
    assert result.stdout == "True 0o2540000 True\nTrue\nnone\n", result.stderr


def test_identification_register_as_a_file(in_root):
    path = "/sys/devices/system/cpu/cpu0/regs/identification/midr_el1"
    text = shell(in_root, f"cat {path}; grep 'CPU part' /proc/cpuinfo | head -1")
    value = int(text[0], 16)
    assert len(text[0]) == 18 and value >> 4 & 0xfff == int(text[1].split(":")[1], 16)
    assert "No such file" in in_root("/usr/bin/cat", path.replace("cpu0", "cpu9999")).stderr
