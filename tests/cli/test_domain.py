# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of domains: made, started, listed, stopped, removed; logged, attached to; restarted; in good order
whatever is killed."""
import json
import os
import pathlib
import pty
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import VISOR
from qmp import Qmp
from store import TIMEOUT, Store, connect


@pytest.fixture(scope="session")
def kernel(tmp_path_factory):
    """A kernel that boots in no time; see its source."""
    path = tmp_path_factory.mktemp("kernel") / "kernel"
    source = pathlib.Path(__file__).with_name("domain_kernel.S")
    subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-Wl,-Ttext=0x200000,--build-id=none,-z,noexecstack,-z,max-page-size=4096",
                    "-o", path, source], check=True)
    return path


@pytest.fixture
def store(tmp_path, kernel):
    store = Store(tmp_path / "store", kernel)
    yield store
    store.run("rm", "--force", "--all")


# -- the thin path -------------------------------------------------------------------------------------------

def test_create_start_stop_remove(store):
    identity = store.ok("create", "--name", "web", *store.options).strip()
    assert re.fullmatch("[0-9a-f]{16}", identity)
    assert store.ok("ps", "-q") == ""
    assert store.ok("ps", "-a", "--format", "{{.Name}} {{.State}} {{.Kind}} {{.Image}}") == "web created machine kernel\n"
    assert store.ok("start", "web") == "web\n"
    assert store.ok("ps", "-q").strip() == identity[:12]
    store.wait_for_log("web", "READY")
    assert store.ok("stop", identity[:8]) == f"{identity[:8]}\n"
    state = store.state("web")
    assert (state["status"], state["exit_status"], state["reason"]) == ("exited", 0, "off")
    assert store.ok("logs", "web").split() == ["READY", "BYE"]
    assert "Exited (0, off)" in store.ok("ps", "-a")
    assert store.ok("rm", "web") == "web\n"
    assert store.ok("ps", "-aq") == ""
    assert store.check_whole() == set()


def test_starting_twice_is_starting_once(store):
    store.start("web")
    pid = store.state("web")["pid"]
    assert store.ok("start", "web") == "web\n"
    assert store.state("web")["pid"] == pid
    store.ok("stop", "web")
    assert store.ok("stop", "web") == "web\n"


def test_stop_ends_what_does_not_listen(store):
    store.start("deaf")
    store.send("deaf", "N")
    store.wait_for_log("deaf", "DEAF")
    store.ok("stop", "--time", "1", "deaf")
    state = store.state("deaf")
    assert (state["exit_status"], state["reason"]) == (6, "ended")


def test_kill_and_the_end_without_a_word(store):
    store.start("web")
    store.wait_for_log("web", "READY")
    assert store.ok("kill", "web") == "web\n"
    state = store.state("web")
    assert (state["status"], state["exit_status"], state["reason"]) == ("exited", 137, "killed")
    store.ok("start", "web")
    store.wait_for_log("web", "READY", 2)
    pid = store.state("web")["pid"]
    os.kill(pid, signal.SIGKILL)
    while os.path.exists(f"/proc/{pid}/fd/0"):
        time.sleep(0.01)
    assert "Exited (137, killed)" in store.ok("ps", "-a")
    assert list((store.path / "run").iterdir()) == []
    store.ok("start", "web")
    store.wait_for_log("web", "READY", 3)
    store.ok("kill", "-s", "TERM", "web")
    assert store.ok("wait", "web") == "0\n"


def test_pause_and_resume(store):
    store.start("web")
    store.wait_for_log("web", "READY")
    store.ok("pause", "web")
    assert store.state("web")["status"] == "paused"
    assert "(paused)" in store.ok("ps")
    store.send("web", "abc")
    assert "abc" not in store.ok("logs", "web")
    store.ok("resume", "web")
    assert store.state("web")["status"] == "running"
    store.wait_for_log("web", "abc")
    store.ok("pause", "web")
    store.ok("stop", "web")  # which has it go on for that
    assert store.state("web")["exit_status"] == 0
    assert "does not run" in store.run("pause", "web").stderr


def test_restart(store):
    store.start("web")
    first = store.state("web")["pid"]
    assert store.ok("restart", "web") == "web\n"
    state = store.state("web")
    assert state["status"] == "running" and state["pid"] != first
    store.wait_for_log("web", "READY", 2)


def test_wait_tells_the_exit_status(store):
    store.start("web")
    store.start("brief", "--rm")
    waiters = [subprocess.Popen([VISOR, "wait", name], env=store.environment(), stdout=subprocess.PIPE, text=True)
               for name in ("web", "brief")]
    for name, waiter in zip(("web", "brief"), waiters):
        while not any(os.readlink(f).startswith("anon_inode:[pidfd]") for f in pathlib.Path(f"/proc/{waiter.pid}/fd").iterdir()):
            time.sleep(0.01)
        store.wait_for_log(name, "READY")
        store.send(name, "P")
        assert waiter.communicate(timeout=TIMEOUT)[0] == "5\n"
    assert store.ok("wait", "web") == "5\n"
    assert store.state("web")["reason"] == "panic"
    store.ok("create", "--name", "never", *store.options)
    assert "never run" in store.run("wait", "never").stderr


def test_removed_at_its_end(store):
    store.start("web", "--rm")
    store.ok("stop", "web")
    assert store.ok("ps", "-aq") == ""
    store.start("web", "--rm")
    os.kill(store.state("web")["pid"], signal.SIGKILL)
    deadline = time.monotonic() + TIMEOUT
    while store.ok("ps", "-aq"):
        assert time.monotonic() < deadline
    assert store.check_whole() == set()


def test_remove_wants_force_for_what_runs(store):
    store.start("web")
    result = store.run("rm", "web")
    assert result.returncode == 1 and "runs" in result.stderr and "--force" in result.stderr
    assert store.ok("rm", "-f", "web") == "web\n"
    assert store.check_whole() == set()


def test_several_names(store):
    for name in ("a", "b"):
        store.ok("create", "--name", name, *store.options)
    assert store.ok("start", "a", "b") == "a\nb\n"
    result = store.run("stop", "a", "none", "b")
    assert result.returncode == 1 and result.stdout == "a\nb\n"
    assert 'there is no domain "none"' in result.stderr
    assert store.run("stop").returncode == 2
    assert sorted(store.ok("start", "--all").split()) == ["a", "b"]
    assert sorted(store.ok("stop", "--all").split()) == ["a", "b"]
    assert sorted(store.ok("rm", "--all").split()) == ["a", "b"]


def test_rename(store):
    store.start("old")
    store.ok("create", "--name", "other", *store.options)
    assert 'a domain "other" already' in store.run("rename", "old", "other").stderr
    store.ok("rename", "old", "new")
    assert 'there is no domain "old"' in store.run("stop", "old").stderr
    store.ok("stop", "new")
    assert store.check_whole() == {"new", "other"}


# -- errors --------------------------------------------------------------------------------------------------

def assert_refused(result, status, *words):
    lines = [line for line in result.stderr.splitlines() if not line.startswith("  hint: ")]
    assert result.returncode == status, result
    assert len(lines) == 1 and lines[0].startswith("visor: "), result.stderr
    for word in words:
        assert word in result.stderr


def test_names_that_are_none_or_taken(store):
    store.ok("create", "--name", "web", *store.options)
    assert_refused(store.run("create", "--name", "web", *store.options), 126, 'a domain "web" already')
    assert_refused(store.run("run", "-d", "--name", "a/b", *store.options), 126, '"a/b" is no name')
    assert_refused(store.run("stop", "wbe"), 1, "did you mean web?")
    assert store.check_whole() == {"web"}


def test_start_that_fails_leaves_what_was(store, kernel, tmp_path):
    mine = tmp_path / "kernel"
    mine.write_bytes(kernel.read_bytes())
    store.ok("create", "--name", "web", "--kernel", mine)
    mine.unlink()
    assert_refused(store.run("start", "web"), 1, str(mine), "No such file")
    assert store.state("web")["status"] == "created"
    assert_refused(store.run("run", "-d", "--name", "new", "--kernel", mine), 126, str(mine))
    assert_refused(store.run("run", "--kernel", mine), 126, str(mine))
    assert store.check_whole() == {"web"}
    assert list((store.path / "run").iterdir()) == []


def test_store_that_cannot_be_written(store, tmp_path):
    blocked = Store(tmp_path / "file", store.options[1])
    blocked.path.write_text("no directory")
    assert_refused(blocked.run("create", *store.options), 126, "cannot open the store", str(blocked.path))
    result = blocked.run("run", *store.options, stdin="Q")  # nobody has asked for it to be stored
    assert result.returncode == 0 and "READY" in result.stdout and "is not listed" in result.stderr


def test_damaged_files(store):
    """One domain that cannot be read does not stand in the way of others, and can be removed."""
    identity = store.ok("create", "--name", "bad", *store.options).strip()
    store.ok("create", "--name", "good", *store.options)
    state = store.path / "domains" / identity / "state.json"
    for text in ("", "{", "[]", '{"status": "flying"}'):
        state.write_text(text)
        result = store.run("ps", "-a", "--format", "{{.Name}}")
        assert result.returncode == 0 and result.stdout == "good\n" and "domain bad: " in result.stderr
        assert_refused(store.run("start", "bad"), 1, "domain bad: ")
    assert_refused(store.run("rm", "bad"), 1, "domain bad: ")
    store.ok("rm", "-f", "bad")
    (store.path / "domains" / store.ok("inspect", "-f", "id", "good").strip() / "config.json").write_text("{}")
    assert "good" in store.run("ps", "-a").stdout
    assert_refused(store.run("start", "good"), 1, "domain good: ", "nothing to start from")
    store.ok("rm", "good")
    assert store.check_whole() == set()


def test_full_store(store, tmp_path):
    """No room: an error that says so, and nothing half made."""
    script = ('mount -t tmpfs -o size=64k none "$1" && export VISOR_STORE="$1" && "$0" ps && "$0" create --name a --kernel /k && '
              'dd if=/dev/zero of="$1/fill" bs=4k status=none; "$0" create --name b --kernel /k; echo "status $?"; "$0" ps -aq | wc -l;'
              'find "$1" -name ".new*"')
    result = subprocess.run(["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", script, VISOR,
                             tmp_path], capture_output=True, text=True, timeout=TIMEOUT)
    assert "cannot write" in result.stderr and "No space left on device" in result.stderr
    assert result.stdout.splitlines()[-2:] == ["status 126", "1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="makes what another user has made")
def test_directory_of_somebody_else(tmp_path, kernel):
    """Without XDG_RUNTIME_DIR sockets are in a directory that anybody could have made."""
    run = pathlib.Path("/tmp/visor-65531")
    tmp_path.chmod(0o777)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    try:
        run.mkdir(0o777)
        result = subprocess.run([VISOR, "create", "--kernel", "/k"], env=environment, user=65531, capture_output=True, text=True)
        assert_refused(result, 126, str(run), "not yours alone")
        run.rmdir()
        (tmp_path / "elsewhere").mkdir()
        run.symlink_to(tmp_path / "elsewhere")
        assert subprocess.run([VISOR, "create", "--kernel", "/k"], env=environment, user=65531).returncode == 126
        run.unlink()
        assert subprocess.run([VISOR, "create", "--kernel", "/k"], env=environment, user=65531, stdout=subprocess.DEVNULL).returncode == 0
        assert run.stat().st_mode & 0o777 == 0o700
    finally:
        subprocess.run(["rm", "-rf", run])


def test_bad_configurations(store, tmp_path):
    def create(text):
        path = tmp_path / "config.json"
        path.write_text(text)
        return store.run("create", "--from", path)

    assert_refused(create('{"machine": {"cpus": 300}}'), 2, "machine.cpus 300 is not one of 1 to 255")
    assert_refused(create('{"machine": {"kernle": "/k"}}'), 2, "machine.kernle", "did you mean machine.kernel?")
    assert_refused(create('{"machine": {}}'), 2, "nothing to start from")
    assert_refused(create('{'), 2, "config.json:1:1: no valid JSON")
    assert_refused(store.run("create", "--from", "/none"), 2, "/none")
    assert_refused(store.run("create", "--rm", "--restart", "always", *store.options), 2, "--restart")
    assert_refused(store.run("create", "--restart", "sometimes", *store.options), 2, "on-failure")
    assert not (store.path / "domains").exists() or store.check_whole() == set()


# -- what is shown -------------------------------------------------------------------------------------------

def test_configuration_goes_round(store, tmp_path):
    store.ok("create", "--name", "a", "--cpus", 3, "--label", "x=y", "--console", "stdio", "--restart", "on-failure:2",
             *store.options)
    config = store.ok("inspect", "-f", "config", "a")
    store.ok("create", "--from", "-", "--name", "b", stdin=config)
    assert store.ok("inspect", "-f", "config", "b") == config
    store.ok("create", "--from", "-", "--name", "c", "--cpus", 4, stdin=config)
    assert store.ok("inspect", "-f", "config.machine.cpus", "c") == "4\n"
    assert store.ok("inspect", "-f", "config.machine.nets[0]", "c") == "none\n"
    store.ok("create", "--name", "p", "--env", "A=B=C", "/bin/prog", "one", "two")
    config = json.loads(store.ok("inspect", "-f", "config", "p"))
    assert config["program"]["command"] == ["/bin/prog", "one", "two"] and config["program"]["env"] == {"A": "B=C"}
    store.ok("create", "--from", "-", "--name", "q", "--env", "D=E", "/bin/other", stdin=json.dumps(config))
    config = json.loads(store.ok("inspect", "-f", "config", "q"))
    assert config["program"]["command"] == ["/bin/other"] and config["program"]["env"] == {"A": "B=C", "D": "E"}
    assert "config.colour" in store.run("inspect", "-f", "config.colour", "c").stderr


def test_paths_are_of_the_working_directory(store, kernel):
    store.ok("create", "--name", "a", "--kernel", kernel.name, cwd=kernel.parent)
    assert store.ok("inspect", "-f", "config.machine.kernel", "a").strip() == str(kernel)


def test_schema_has_what_inspect_shows(store):
    schema = json.loads(store.ok("create", "--schema"))
    store.ok("create", "--name", "a", *store.options)
    config = json.loads(store.ok("inspect", "-f", "config", "a"))
    assert set(config) <= set(schema["properties"])
    assert set(config["machine"]) <= set(schema["properties"]["machine"]["properties"])
    assert schema["properties"]["machine"]["properties"]["cpus"]["maximum"] == 255


def test_ps_filters_and_formats(store):
    store.ok("create", "--name", "one", "--label", "tier=web", *store.options)
    store.start("two", "--label", "tier=data")
    assert store.ok("ps", "-a", "--filter", "name=on", "--format", "{{.Name}}") == "one\n"
    assert store.ok("ps", "--filter", "status=created", "--format", "{{.Name}}") == "one\n"
    assert store.ok("ps", "-a", "--filter", "label=tier=data", "--format", "{{.Name}}") == "two\n"
    assert sorted(store.ok("ps", "-a", "--filter", "label=tier", "--format", "{{.Name}}").split()) == ["one", "two"]
    assert [d["name"] for d in json.loads(store.ok("ps", "--json"))] == ["two"]
    assert_refused(store.run("ps", "--format", "{{.Colour}}"), 2, ".Name")
    assert_refused(store.run("ps", "--filter", "colour=red"), 2, "colour")


def test_foreground_machine_is_listed_while_it_runs(store):
    process = subprocess.Popen([VISOR, "run", *store.options], env=store.environment(), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"READY\r\n"
    name = store.ok("ps", "--format", "{{.Name}}").strip()
    assert "terminal" in store.run("attach", name).stderr
    assert store.ok("stop", name) == f"{name}\n"
    assert process.wait(TIMEOUT) == 0
    assert store.check_whole() == set()
    process = subprocess.run([VISOR, "run", "--name", "kept", *store.options], env=store.environment(), input=b"P",
                             stdout=subprocess.PIPE, timeout=TIMEOUT)
    assert process.returncode == 5
    assert store.state("kept")["exit_status"] == 5


# -- logs and consoles ---------------------------------------------------------------------------------------

def test_logs_of_the_end_and_of_a_time(store):
    store.start("web")
    store.wait_for_log("web", "READY")
    store.send("web", "one\ntwo\nhalf")
    store.wait_for_log("web", "half")
    assert store.ok("logs", "-n", "1", "web") == "half\n"
    assert store.ok("logs", "--tail", "2", "web") == "two\nhalf\n"
    assert store.ok("logs", "--since", "1h", "web").startswith("READY")
    assert store.ok("logs", "--since", "2100-01-01T00:00:00Z", "web") == ""
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z READY", store.ok("logs", "-t", "web"))
    assert_refused(store.run("logs", "--since", "noon", "web"), 2, "noon")


def test_logs_are_followed_to_the_end(store):
    store.start("web")
    follower = subprocess.Popen([VISOR, "logs", "-f", "web"], env=store.environment(), stdout=subprocess.PIPE)
    assert follower.stdout.readline() == b"READY\r\n"
    store.send("web", "hello\n")
    assert follower.stdout.readline() == b"hello\n"
    store.ok("stop", "web")
    assert follower.communicate(timeout=TIMEOUT)[0] == b"BYE\r\n"


def test_log_begins_anew_at_its_size(store):
    store.start("web", "--log-size", "100000")
    follower = subprocess.Popen([VISOR, "logs", "-f", "web"], env=store.environment(), stdout=subprocess.PIPE)
    store.send("web", "F\nend\n")
    store.wait_for_log("web", "end")
    directory = next((store.path / "domains").iterdir())
    assert (directory / "log").stat().st_size <= 100000 and (directory / "log.1").stat().st_size <= 100000
    store.ok("stop", "web")
    assert follower.communicate(timeout=TIMEOUT)[0].count(b"0123456789012345678901234567890123456789\r\n") == 2000


def test_console_has_several_readers(store):
    store.start("web")
    store.wait_for_log("web", "READY")
    path = json.loads(store.ok("inspect", "web"))[0]["paths"]["console"]
    readers = [connect(path) for _ in range(3)]
    readers[0].sendall(b"x")
    for reader in readers:
        assert reader.recv(1) == b"x"
    readers[1].close()
    readers[2].sendall(b"Q")
    for reader in (readers[0], readers[2]):
        text = b""
        while data := reader.recv(100):
            text += data
        assert text == b"BYE\r\n"
        reader.close()


def test_attach_takes_the_exit_status(store):
    store.start("web")
    result = store.run("attach", "web", stdin="aP")
    assert result.returncode == 5 and "a" in result.stdout
    assert_refused(store.run("attach", "web"), 1, "does not run")
    result = store.run("start", "--attach", "web", stdin="abcP")
    assert result.returncode == 5 and "abc" in result.stdout


def test_escape_leaves_the_console(store):
    store.start("web")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(VISOR, [VISOR, "console", "web"], store.environment())
    text = b""
    while b"leaves it" not in text:
        text += os.read(terminal, 1000)
    os.write(terminal, b"z")
    while b"z" not in text.split(b"leaves it")[1]:
        text += os.read(terminal, 1000)
    os.write(terminal, b"\x1d")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert store.state("web")["status"] == "running"


def test_control_socket_speaks_qmp(store, program, tmp_path):
    store.start("web", "--qmp", f"unix:{tmp_path}/other")
    for path in (store.ok("inspect", "-f", "paths.control", "web").strip(), tmp_path / "other"):
        client = Qmp(path, TIMEOUT)
        assert client.execute("query-name") == {"name": "web"}
        assert client.execute("query-status") == {"status": "running", "running": True}
        client.close()
    store.ok("run", "-d", "--name", "p", program, "x")
    store.wait_for_log("p", "said")
    client = Qmp(store.ok("inspect", "-f", "paths.control", "p").strip(), TIMEOUT)
    client.execute("stop")
    client.wait("STOP")
    assert client.execute("query-status") == {"status": "paused", "running": False}
    client.execute("cont")
    client.execute("system_powerdown")
    assert client.wait("SHUTDOWN") == {"guest": False, "reason": "exited"}
    client.close()
    assert store.ok("wait", "p") == "9\n"


# -- restart policies ----------------------------------------------------------------------------------------

def test_restart_on_failure_so_often(store):
    store.start("web", "--restart", "on-failure:2")
    for count in range(1, 4):
        store.wait_for_log("web", "READY", count)
        store.send("web", "P")
    store.wait_for_status("web", "exited")
    assert store.state("web")["restarts"] == 2 and store.state("web")["exit_status"] == 5


def test_restart_always_but_not_after_stop(store):
    store.start("web", "--restart", "always")
    store.wait_for_log("web", "READY")
    store.send("web", "Q")
    store.wait_for_log("web", "READY", 2)
    store.ok("stop", "web")
    assert store.state("web")["status"] == "exited"
    assert store.state("web")["stopped"]
    store.start("well", "--restart", "on-failure")
    store.wait_for_log("well", "READY")
    store.send("well", "Q")
    store.wait_for_status("well", "exited")
    assert store.state("well")["restarts"] == 0


def test_unit_of_systemd(store, tmp_path):
    """Its commands start and stop the domain, and its PID file tells the process."""
    identity = store.ok("create", "--name", "web", "--restart", "always", "--stop-timeout", "7", *store.options).strip()
    text = store.ok("generate", "systemd", "web")
    unit = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    assert (unit["Type"], unit["Restart"], unit["TimeoutStopSec"]) == ("forking", "on-abnormal", "27")
    assert unit["ExecStart"].endswith(f" start {identity}")
    subprocess.run(shlex.split(unit["ExecStart"]), check=True, timeout=TIMEOUT)
    assert int(pathlib.Path(unit["PIDFile"]).read_text()) == store.state("web")["pid"]
    subprocess.run(shlex.split(unit["ExecStop"]), check=True, timeout=TIMEOUT)
    assert store.state("web")["status"] == "exited" and not pathlib.Path(unit["PIDFile"]).exists()
    if shutil.which("systemd-analyze"):
        (tmp_path / "web.service").write_text(text)
        verified = subprocess.run(["systemd-analyze", "--man=no", "verify", tmp_path / "web.service"], capture_output=True, text=True)
        assert "web.service" not in verified.stderr
    store.ok("create", "--name", "brief", "--rm", *store.options)
    assert_refused(store.run("generate", "systemd", "brief"), 1, "is removed at its end")


def test_stop_while_it_waits_to_be_restarted(store):
    store.start("web", "--restart", "always")
    for count in range(1, 4):  # the delay doubles
        store.wait_for_log("web", "READY", count)
        store.send("web", "Q")
    store.wait_for_status("web", "restarting")
    store.ok("stop", "web")
    assert store.state("web")["status"] == "exited"


# -- programs ------------------------------------------------------------------------------------------------

TALKATIVE = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void came(int number) { printf("signal %d\\n", number); fflush(stdout); if (number == SIGTERM) _exit(9); }
int main(int count, char **words)
{
    char line[100];
    printf("said %s in %s\\n", words[1], getcwd(line, sizeof line));
    fprintf(stderr, "complained\\n");
    if (count > 2)
        return atoi(words[2]);
    fflush(stdout);
    signal(SIGTERM, came);
    signal(SIGUSR1, came);
    while (isatty(0) && fgets(line, sizeof line, stdin))
        if (!strcmp(line, "end\\n"))
            return 4;
    for (;;)
        pause();
}
"""


@pytest.fixture(scope="session")
def program(arm64_compiler):
    return arm64_compiler("talkative", TALKATIVE)


def test_program_in_the_background(store, program, tmp_path):
    store.ok("run", "-d", "--name", "p", program, "hello", "3", cwd=tmp_path)
    assert store.ok("wait", "p") == "3\n"
    result = store.run("logs", "p")
    assert result.stdout == f"said hello in {tmp_path}\n" and result.stderr == "complained\n"
    state = store.state("p")
    assert (state["exit_status"], state["reason"]) == (3, "exited")
    assert store.ok("ps", "-a", "--format", "{{.Kind}} {{.Image}}") == "program talkative\n"
    assert store.ok("inspect", "-f", "config.program.command[1]", "p") == "hello\n"
    store.ok("start", "p")
    store.ok("wait", "p")
    assert store.run("logs", "p").stdout.count("said hello") == 2


def test_program_gets_signals_and_stops(store, program):
    store.ok("run", "-d", "--name", "p", program, "x")
    store.wait_for_log("p", "said")
    store.ok("kill", "-s", "USR1", "p")
    store.wait_for_log("p", f"signal {signal.SIGUSR1.value}")
    assert store.ok("stop", "p") == "p\n"
    assert store.state("p")["exit_status"] == 9 and store.state("p")["stopped"]
    store.ok("start", "p")
    pid = store.state("p")["pid"]
    child = int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)  # the domain's process: its program does not outlive it
    store.wait_for_status("p", "exited")
    deadline = time.monotonic() + TIMEOUT
    while pathlib.Path(f"/proc/{child}").exists() and " Z " not in pathlib.Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() < deadline


def test_program_stands_still(store, program):
    store.ok("run", "-d", "--name", "p", program, "x")
    store.wait_for_log("p", "said")
    pid = store.state("p")["pid"]
    child = int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    store.ok("pause", "p")
    assert " T " in pathlib.Path(f"/proc/{child}/stat").read_text() and store.state("p")["status"] == "paused"
    store.ok("stop", "p")
    assert store.state("p")["exit_status"] == 9


def test_program_with_a_terminal(store, program):
    store.ok("run", "-d", "-t", "--name", "p", program, "x")
    store.wait_for_log("p", "complained")
    result = store.run("attach", "p", stdin="end\n")
    assert result.returncode == 4 and "end" in result.stdout


def test_program_that_cannot_start(store, tmp_path, arm64_compiler):
    assert_refused(store.run("run", "-d", "--name", "p", "/none"), 126, "/none")
    shared = tmp_path / "shared"
    subprocess.run(["aarch64-linux-gnu-gcc", "-o", shared, "-xc", "-"], input="int main(void) {}", text=True, check=True)
    assert_refused(store.run("run", "-d", shared), 126, "loader")  # which is in a root of its own
    assert store.check_whole() == set()


def test_program_in_the_foreground_with_a_name(store, program):
    result = store.run("run", "--name", "p", program, "x", "7")
    assert result.returncode == 7 and "said x" in result.stdout
    assert store.state("p")["exit_status"] == 7


def test_program_is_restarted(store, program):
    store.ok("run", "-d", "--name", "p", "--restart", "on-failure:2", program, "x", "1")
    store.wait_for_status("p", "exited")
    assert store.state("p")["restarts"] == 2 and store.run("logs", "p").stdout.count("said x") == 3


# -- faults --------------------------------------------------------------------------------------------------

def test_commands_killed_at_any_moment(store):
    """kill -9 of commands and domains at random moments: the next command finds a whole store."""
    random.seed(4)
    commands = [["create", "--name", "{}", *store.options], ["run", "-d", "--name", "{}", *store.options], ["start", "{}"],
                ["stop", "-t", "1", "{}"], ["rename", "{}", "{}x"], ["rm", "-f", "{}"], ["kill", "{}"], ["restart", "{}"],
                ["run", "-d", "--rm", "--name", "{}", *store.options], ["ps", "-a"], ["pause", "{}"]]
    for _ in range(60):
        name = random.choice("ab")
        command = random.choice(commands)
        process = subprocess.Popen([VISOR, *[str(word).format(name) for word in command]], env=store.environment(),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.random() * 0.02)
        process.kill()
        process.wait()
        if random.random() < 0.3:
            for pid in store.ok("ps", "--format", "{{.Pid}}").split():
                os.kill(int(pid), signal.SIGKILL)
    store.check_whole()
    store.ok("rm", "--force", "--all")
    assert store.check_whole() == set()
    assert list((store.path / "run").iterdir()) == []


def test_commands_at_once(store):
    """Many commands on one domain: each succeeds or says why not, and the store stays whole."""
    random.seed(5)
    store.ok("create", "--name", "a", *store.options)
    commands = [["start", "a"], ["stop", "a"], ["restart", "a"], ["kill", "a"], ["pause", "a"], ["resume", "a"], ["ps", "-a"],
                ["logs", "a"], ["inspect", "a"]]
    processes = [subprocess.Popen([VISOR, *random.choice(commands)], env=store.environment(), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(40)]
    for process in processes:
        error = process.communicate(timeout=TIMEOUT)[1]
        assert process.returncode in (0, 1), error
        assert process.returncode == 0 or error.startswith("visor: ")
    assert store.check_whole() == {"a"}
    store.ok("stop", "a")


def test_two_make_the_same_name(store):
    processes = [subprocess.Popen([VISOR, "create", "--name", "a", *map(str, store.options)], env=store.environment(),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)]
    statuses = [process.communicate(timeout=TIMEOUT) and process.returncode for process in processes]
    assert sorted(statuses) == [0] + [126] * 7
    assert store.check_whole() == {"a"}
