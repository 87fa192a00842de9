# SPDX-License-Identifier: GPL-2.0-or-later
"""A client of the guest's agent, after docs/agent.md."""
import socket
import struct

HELLO, DONE, FAILED, STARTED, OUTPUT, ERRORS, TAKEN, EXITED, FACT, FILE = range(1, 11)
PING, FACTS, SHUTDOWN, EXEC, PUT, GET, INPUT, INPUT_END, RESIZE, SIGNAL = range(64, 74)
PORT = 1017


class AgentError(Exception):
    pass


def string(text):
    text = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<I", len(text)) + text


def strings(texts):
    return struct.pack("<I", len(texts)) + b"".join(map(string, texts))


class Session:
    def __init__(self, path, timeout):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.socket.sendall(b"CONNECT %d\n" % PORT)
        self.file = self.socket.makefile("rb")
        if not self.file.readline().startswith(b"OK "):
            raise AgentError("nobody listens")
        assert self.read() == (HELLO, struct.pack("<I", 1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def read(self):
        size, kind, zero = struct.unpack("<IHH", self.file.read(8))
        assert size <= 65536 and not zero
        data = self.file.read(size)
        if kind == FAILED:
            raise AgentError(data[8:].decode())
        return kind, data

    def write(self, kind, data=b""):
        self.socket.sendall(struct.pack("<IHH", len(data), kind, 0) + data)


class Agent:
    def __init__(self, path, timeout):
        self.path, self.timeout = path, timeout

    def session(self):
        return Session(self.path, self.timeout)

    def simple(self, kind, data=b""):
        with self.session() as session:
            session.write(kind, data)
            assert session.read() == (DONE, b"")

    def facts(self):
        """A list of the values of each name."""
        facts = {}
        with self.session() as session:
            session.write(FACTS)
            while (frame := session.read())[0] == FACT:
                size = struct.unpack("<I", frame[1][:4])[0]
                name, value = frame[1][4:4 + size].decode(), frame[1][8 + size:].decode()
                facts.setdefault(name, []).append(value)
            assert frame[0] == DONE
        return facts

    def run(self, *words, user="", directory="", variables=(), data=None, terminal=None):
        """The status, what it said, what it complained of."""
        said = {OUTPUT: b"", ERRORS: b""}
        flags = (terminal is not None) | (data is not None) << 1
        with self.session() as session:
            session.write(EXEC, struct.pack("<IHH", flags, *(terminal or (0, 0))) + string(user) + string(directory)
                          + strings(words) + strings(variables))
            assert session.read()[0] == STARTED
            if data is not None:
                session.write(INPUT, data)
                session.write(INPUT_END)
            while (frame := session.read())[0] != EXITED:
                if frame[0] in said:
                    said[frame[0]] += frame[1]
        signal, status = struct.unpack("<BI", frame[1])
        return status + 128 * signal, said[OUTPUT].decode(), said[ERRORS].decode()

    def put(self, path, data, mode=0o644):
        with self.session() as session:
            session.write(PUT, struct.pack("<I", mode) + string(path))
            for start in range(0, len(data), 32768):
                session.write(INPUT, data[start:start + 32768])
            session.write(INPUT_END)
            assert session.read() == (DONE, b"")

    def get(self, path):
        """The file's bytes and mode."""
        data = b""
        with self.session() as session:
            session.write(GET, string(path))
            kind, head = session.read()
            assert kind == FILE
            while (frame := session.read())[0] == OUTPUT:
                data += frame[1]
            assert frame[0] == DONE
        mode, size, _ = struct.unpack("<IQQ", head)
        assert size == len(data)
        return data, mode
