# SPDX-License-Identifier: GPL-2.0-or-later
"""What a Debian guest does while it is saved and restored: round by round it sends through connections that stay open,
writes to disks and reads back what it wrote rounds ago, past its cache, and has a checksum of all that comes back.

    python3 state_debian_work.py DIRECTORY DEVICE

writes a line for each round to DIRECTORY/rounds, until there is DIRECTORY/stop. The host computes the same with nothing
between what goes out and what comes back (`checksums`)."""
import hashlib
import itertools
import os
import socket
import sys

CONNECTIONS = 4
PIECE = 32 << 10
SLOTS = 64  # of a disk
ENDS = "END\n"


def expand(seed, size):
    return hashlib.shake_128(seed).digest(size)


def answer(data):
    """What the other end of a connection makes of what it is sent."""
    return data.translate(bytes(range(255, -1, -1)))


def steps(exchange, write, read):
    """The checksums of the rounds, without end. exchange(connection, data) is its answer, write(disk, slot, data) and
    read(disk, slot) are of slots that were written."""
    checksum, written = hashlib.sha256(b"begin").digest(), [{}, {}]
    while True:
        total = hashlib.sha256(checksum)
        for connection in range(CONNECTIONS):
            total.update(exchange(connection, expand(checksum + bytes([connection]), PIECE)))
        for disk in range(2):
            slot = checksum[disk] % SLOTS
            write(disk, slot, expand(checksum + bytes([16 + disk]), PIECE))
            written[disk][slot] = True
            slots = sorted(written[disk])
            total.update(read(disk, slots[checksum[2 + disk] % len(slots)]))
        checksum = total.digest()
        yield checksum.hex()


def checksums(count):
    disks = [{}, {}]
    return list(itertools.islice(steps(lambda connection, data: answer(data),
                                       lambda disk, slot, data: disks[disk].__setitem__(slot, data),
                                       lambda disk, slot: disks[disk][slot]), count))


def receive(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        assert piece, "the connection has ended"
        data += piece
    return data


def serve(listener):
    """One process for each connection."""
    for _ in range(CONNECTIONS):
        connection, _ = listener.accept()
        if os.fork() == 0:
            while True:
                connection.sendall(answer(receive(connection, PIECE)))


def main(directory, device):
    listener = socket.create_server(("127.0.0.1", 0))
    if os.fork() == 0:
        serve(listener)
        os._exit(0)
    connections = [socket.create_connection(listener.getsockname()) for _ in range(CONNECTIONS)]
    disks = [os.open(f"{directory}/file", os.O_RDWR | os.O_CREAT, 0o600), os.open(device, os.O_RDWR)]

    def exchange(number, data):
        connections[number].sendall(data)
        return receive(connections[number], PIECE)

    def write(disk, slot, data):
        assert os.pwrite(disks[disk], data, slot * PIECE) == PIECE
        os.fdatasync(disks[disk])
        os.posix_fadvise(disks[disk], 0, 0, os.POSIX_FADV_DONTNEED)

    def read(disk, slot):
        return os.pread(disks[disk], PIECE, slot * PIECE)

    with open(f"{directory}/rounds", "w", buffering=1) as rounds:
        for checksum in steps(exchange, write, read):
            rounds.write(f"{checksum}\n")
            if os.path.exists(f"{directory}/stop"):
                break
        rounds.write(ENDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
