# SPDX-License-Identifier: GPL-2.0-or-later
"""How machines start: tiny kernels for each boot protocol, from files and out of a disk, and what cannot start.

The kernels print their command line to the first serial port and switch the machine off by ACPI's registers."""
import os
import struct
import subprocess

import pytest

SWITCH_OFF = bytes.fromhex("66ba0406 66b80034 66ef f4 ebfd")  # OUT 604h, soft-off; HLT
PRINT32 = bytes.fromhex("8a03 84c0 7408 66baf803 ee 43 ebf2") + SWITCH_OFF  # from EBX on
PRINT64 = bytes.fromhex("8a03 84c0 740a 66baf803 ee 48ffc3 ebf0") + SWITCH_OFF
LINKED = 0x100000


def bzimage(kernel64=True):
    """A bzImage whose code is at its beginning, and, for 64 bits, 200h after it: mov ebx, [esi + 228h]."""
    load = bytes.fromhex("8b9e28020000")
    code = load + PRINT32
    code = code.ljust(0x200, b"\0") + load + PRINT64 if kernel64 else code
    image = bytearray(0x400) + code.ljust(0x1000, b"\0")
    image[0x1f1] = 1
    struct.pack_into("<I", image, 0x1f4, 0x100)
    image[0x1fe:0x206] = b"\x55\xaa\xeb\x6aHdrS"
    struct.pack_into("<H", image, 0x206, 0x20f)
    image[0x211] = 1
    struct.pack_into("<IIBBHI", image, 0x22c, 0x7fffffff, 0x200000, 1, 0, 1 if kernel64 else 0, 2047)
    struct.pack_into("<QI", image, 0x258, 0x1000000, 0x100000)
    return bytes(image)


def elf(code, note=b"", header=b""):
    """An i386 ELF file with `code` at 1 MiB, a segment of notes, and a multiboot header at 100h."""
    image = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 3, 1, LINKED, 52, 0, 0, 52, 32, 2, 0, 0, 0)
    image += struct.pack("<IIIIIIII", 1, 0x200, LINKED, LINKED, len(code), 0x1000, 5, 4)
    image += struct.pack("<IIIIIIII", 4, 0x180, 0, 0, len(note), len(note), 4, 4)
    return (image.ljust(0x100, b"\0") + header).ljust(0x180, b"\0").ljust(0x180, b"\0") + note.ljust(0x80, b"\0") + code


KERNELS = {
    "linux64": bzimage(),
    "linux32": bzimage(kernel64=False),
    "pvh": elf(bytes.fromhex("8b5b18") + PRINT32, note=struct.pack("<III4sI", 4, 4, 18, b"Xen\0", LINKED)),
    "multiboot": elf(bytes.fromhex("8b5b10") + PRINT32, header=struct.pack("<III", 0x1badb002, 0, 0xe4524ffe)),
    "multiboot2": elf(bytes.fromhex("8d5b10") + PRINT32,
                      header=struct.pack("<IIIIHHI", 0xe85250d6, 0, 24, 0x17adaf12, 0, 0, 8)),
}


@pytest.mark.parametrize("protocol", KERNELS)
def test_each_protocol_starts_a_kernel_with_its_command_line(visor, tmp_path, protocol):
    kernel = tmp_path / "kernel"
    kernel.write_bytes(KERNELS[protocol])
    result = visor("run", "--memory", "64M", "--kernel", kernel, "--append", "one two=3")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (f"{kernel} one two=3" if protocol == "multiboot" else "one two=3")


GRUB = """
if [ -s $prefix/grubenv ]; then load_env; fi
set default="${saved_entry}"
menuentry 'First' --id first { linux /boot/kernel first }
submenu 'More' --id more {
    menuentry 'Second' --id second {
        search --no-floppy --fs-uuid --set=root 01234567-89ab-cdef-0123-456789abcdef
        linux /boot/kernel second quiet
    }
}
"""


def make_disk(tmp_path, files):
    """An ext4 in the second partition of an MBR."""
    root, disk = tmp_path / "root", tmp_path / "disk.img"
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-U", "01234567-89ab-cdef-0123-456789abcdef", "-d", root, "-E",
                    "offset=1048576", disk, "16M"], check=True, capture_output=True,
                   env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})
    with open(disk, "r+b") as image:
        image.seek(446 + 16)
        image.write(struct.pack("<BBBBBBBBII", 0, 0, 0, 0, 0x83, 0, 0, 0, 2048, 32768))
        image.seek(510)
        image.write(b"\x55\xaa")
        image.truncate(18 << 20)
    return disk


@pytest.mark.parametrize("files, line", [
    ({"boot/grub/grub.cfg": GRUB}, "first"),
    ({"boot/grub/grub.cfg": GRUB, "boot/grub/grubenv": "# GRUB Environment Block\nsaved_entry=more>second\n"},
     "second quiet"),
    ({"boot/extlinux/extlinux.conf": "default b\nlabel a\nkernel /boot/kernel\nappend a\n"
      "label b\nkernel /boot/kernel\nappend b c\n"}, "b c"),
    ({"boot/loader/entries/x-1.conf": "version 1\nlinux /boot/kernel\noptions old\n",
      "boot/loader/entries/x-2.conf": "version 2\nlinux /boot/kernel\noptions new\n"}, "new"),
    ({"vmlinuz": KERNELS["linux64"]}, "root=UUID=01234567-89ab-cdef-0123-456789abcdef ro"),
])
def test_disk_starts_what_its_configuration_says(visor, tmp_path, files, line):
    disk = make_disk(tmp_path, {"boot/kernel": KERNELS["linux64"], **files})
    result = visor("run", "--memory", "64M", disk)
    assert (result.returncode, result.stdout, result.stderr) == (0, line, "")


@pytest.mark.parametrize("content, told", [
    (KERNELS["linux64"][:0x800], "the bzImage is cut off: 2048 bytes of 5120"),
    (b"", "the file is empty"),
    (b"MZ".ljust(0x38, b"\0") + b"ARM\x64" + bytes(1024), "it is a kernel for arm64 processors"),
    (b"\x7fELF\2\1\1".ljust(18, b"\0") + b"\xf3\0" + bytes(1024), "it is a kernel for RISC-V processors"),
    (b"QFI\xfb" + bytes(1024), "it is a disk image"),
    (KERNELS["linux64"].replace(struct.pack("<QI", 0x1000000, 0x100000), struct.pack("<QI", 0x1000000, 0x7fffffff)),
     "it takes 2048 MiB at 1000000h, and the machine has 64 MiB of memory"),
])
def test_kernel_that_cannot_start_is_refused_in_one_line(visor, tmp_path, content, told):
    kernel = tmp_path / "kernel"
    kernel.write_bytes(content)
    result = visor("run", "--memory", "64M", "--kernel", kernel)
    lines = result.stderr.splitlines()
    assert result.returncode == 126
    assert lines[0] == f"visor: kernel {kernel}: {told}" or lines[0].startswith(f"visor: kernel {kernel}: {told}")
    assert len(lines) == 1 or len(lines) == 2 and lines[1].startswith("  hint: ")


def test_initrd_larger_than_memory_and_absurd_command_line(visor, tmp_path):
    kernel, initrd = tmp_path / "kernel", tmp_path / "initrd"
    kernel.write_bytes(KERNELS["linux64"])
    initrd.touch()
    os.truncate(initrd, 1 << 40)
    result = visor("run", "--memory", "64M", "--kernel", kernel, "--initrd", initrd)
    assert result.returncode == 126
    assert f"initrd {initrd}: its 1048576 MiB do not fit beside the kernel into 64 MiB of memory" in result.stderr
    result = visor("run", "--kernel", kernel, "--append", "x" * 5000)
    assert result.returncode == 126 and "the command line has 5000 bytes, the kernel takes 2047" in result.stderr


def test_disk_with_nothing_to_start_says_what_was_looked_for(visor, tmp_path):
    disk = make_disk(tmp_path, {"etc/hostname": "x\n"})
    result = visor("run", disk)
    assert result.returncode == 126
    assert f"disk {disk}: no kernel in its 1 file systems: no extlinux.conf, syslinux.cfg, grub.cfg" in result.stderr
