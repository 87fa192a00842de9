# SPDX-License-Identifier: GPL-2.0-or-later
"""A QMP client of our own, after the protocol's specification, which believes nothing: all that a server says must
be what its own schema tells."""
import json
import socket
import time


class QmpError(Exception):
    def __init__(self, error):
        super().__init__(f"{error['class']}: {error['desc']}")
        self.kind, self.text = error["class"], error["desc"]


class Schema:
    """What query-qmp-schema returns, to check values with."""

    KINDS = {"string": str, "int": int, "number": (int, float), "boolean": bool, "value": object}

    def __init__(self, entries):
        self.types = {entry["name"]: entry for entry in entries if entry["meta-type"] not in ("command", "event")}
        self.commands = {entry["name"]: entry for entry in entries if entry["meta-type"] == "command"}
        self.events = {entry["name"]: entry for entry in entries if entry["meta-type"] == "event"}

    def check(self, value, name, where):
        entry = self.types[name]
        kind = entry["meta-type"]
        if kind == "builtin":
            assert isinstance(value, self.KINDS[entry["json-type"]]), f"{where}: {value!r} is no {name}"
            assert entry["json-type"] in ("boolean", "value") or not isinstance(value, bool), where
        elif kind == "enum":
            assert value in entry["values"], f"{where}: {value!r} is not one of {entry['values']}"
        elif kind == "array":
            assert isinstance(value, list), where
            for index, element in enumerate(value):
                self.check(element, entry["element-type"], f"{where}[{index}]")
        else:
            assert isinstance(value, dict), where
            members = {member["name"]: member for member in entry["members"]}
            assert set(value) <= set(members), f"{where}: {set(value) - set(members)}"
            for member in members.values():
                assert member["name"] in value or "default" in member, f"{where} lacks {member['name']}"
                if member["name"] in value:
                    self.check(value[member["name"]], member["type"], f"{where}.{member['name']}")


class Qmp:
    """A connection that has negotiated."""

    def __init__(self, path, timeout):
        self.timeout = timeout
        end = time.monotonic() + timeout
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            try:
                self.socket.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):  # not yet
                self.socket.close()
                assert time.monotonic() < end, f"nobody listens at {path}"
                time.sleep(0.02)
        self.file = self.socket.makefile("r", newline="\r\n")
        self.events = []
        self.number = 0
        self.schema = None
        self.greeting = self.message()
        self.execute("qmp_capabilities")
        self.schema = Schema(self.execute("query-qmp-schema"))

    def close(self):
        self.file.close()
        self.socket.close()

    def message(self):
        """The next one, or None: the server has hung up."""
        line = self.file.readline()
        if not line:
            return None
        assert line.isascii()
        message = json.loads(line)
        if "event" in message:
            assert set(message) <= {"event", "timestamp", "data"}
            assert set(message["timestamp"]) == {"seconds", "microseconds"}
            if self.schema:
                self.schema.check(message.get("data", {}), self.schema.events[message["event"]]["arg-type"],
                                  message["event"])
        return message

    def execute(self, command, pass_fd=None, **arguments):
        self.number += 1
        request = {"execute": command, "id": self.number}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        socket.send_fds(self.socket, [json.dumps(request).encode()], [] if pass_fd is None else [pass_fd])
        while True:
            message = self.message()
            assert message is not None, f"{command}: the server has hung up"
            if "event" not in message:
                break
            self.events.append(message)
        assert message.pop("id") == self.number
        if "error" in message:
            assert set(message) == {"error"} and set(message["error"]) == {"class", "desc"}
            raise QmpError(message["error"])
        assert set(message) == {"return"}
        if self.schema:
            self.schema.check(message["return"], self.schema.commands[command]["ret-type"], command)
        return message["return"]

    def wait(self, name):
        """The data of the next event of that name; those before it are forgotten."""
        while True:
            event = self.events.pop(0) if self.events else self.message()
            assert event is not None, f"the server has hung up before {name}"
            if event["event"] == name:
                return event.get("data", {})

    def ended(self):
        """Reads to the end; the names of the events."""
        names = [event["event"] for event in self.events]
        while (message := self.message()) is not None:
            names.append(message["event"])
        return names
