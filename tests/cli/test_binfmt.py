# SPDX-License-Identifier: GPL-2.0-or-later
"""visor as the kernel's interpreter of arm64 programs: always in a user namespace, the machine stays as it is."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from conftest import VISOR, run_visor

KERNEL = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
TABLE = "/proc/sys/fs/binfmt_misc"
RIVAL = r":rival:M:18:\xb7\x00::/bin/false:"

SHOW = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static void show(const char *what, const char *value)
{
    printf("%s=%s\n", what, value ? value : "-");
}

int main(int count, char **arguments)
{
    char exe[4096] = "";
    if (readlink("/proc/self/exe", exe, sizeof exe - 1) < 0)
        strcpy(exe, "-");
    for (int i = 0; i < count; i++)
        show("argument", arguments[i]);
    show("execfn", (const char *)getauxval(AT_EXECFN));
    show("exe", exe);
    show("own", getenv("VISOR_INTERNAL"));
    printf("ids=%d %d %d %d\n", getuid(), geteuid(), getgid(), getegid());
    printf("secure=%lu flags=%lu\n", getauxval(AT_SECURE), getauxval(AT_FLAGS));
    printf("next descriptor=%d\n", dup(0));
    fflush(stdout);
    if (count > 2 && strcmp(arguments[1], "then") == 0)
        execv(arguments[2], arguments + 3);
    return 7;
}
"""

# Says whether a child that was forked and executed maps the translations that the parent has.
LOOK = r"""
#include <stdio.h>
#include <string.h>

int main(int count, char **arguments)
{
    char path[64], line[4096];
    int found = 0;
    snprintf(path, sizeof path, "/proc/%.16s/maps", arguments[1]);
    FILE *maps = fopen(path, "r");
    while (maps && fgets(line, sizeof line, maps))
        found |= strstr(line, "visor-translations") != NULL;
    printf("shared=%s\n", !maps ? "?" : found ? "yes" : "no");
    return 0;
}
"""
FAMILY = r"""
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* By a program for the host's CPU, to which visor's mappings are not hidden. */
static void look_at(int process)
{
    char number[16];
    snprintf(number, sizeof number, "%d", process);
    int looker = fork();
    if (looker == 0) {
        execl("/look", "look", number, NULL);
        _exit(1);
    }
    waitpid(looker, NULL, 0);
}

int main(int count, char **arguments)
{
    int ready[2];
    char byte;
    if (strcmp(arguments[1], "child") == 0) {
        if (write(1, "x", 1) == 1)
            pause();
        return 1;
    }
    mkdir("/proc", 0755);
    if (strcmp(arguments[1], "mounts-first") == 0 && mount("proc", "/proc", "proc", 0, NULL) < 0)
        perror("mount");
    if (pipe(ready) < 0)
        return 1;
    int child = fork();
    if (child == 0) {
        dup2(ready[1], 1);
        execl(arguments[0], arguments[0], "child", NULL);
        return 1;
    }
    if (read(ready[0], &byte, 1) != 1)
        return 1;
    if (strcmp(arguments[1], "mounts-later") == 0 && mount("proc", "/proc", "proc", 0, NULL) < 0)
        perror("mount");
    look_at(child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}
"""

pytestmark = pytest.mark.skipif(KERNEL < (6, 7), reason="a user namespace has no binfmt_misc of its own before 6.7")


@pytest.fixture
def place():
    """A directory that any user can reach."""
    directory = pathlib.Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def show(arm64_compiler, place):
    """A program that shows how it was started; in a place of its own, as the tests change its mode."""
    path = place / "show"
    shutil.copy(arm64_compiler("show", SHOW), path)
    path.chmod(0o755)
    return path


def alone(script, *words, **options):
    """Runs a shell script where visor is the interpreter."""
    return run_visor("binfmt", "run", "sh", "-c", script, "sh", *words, **options)


def lines(result, key):
    return [line.split("=", 1)[1] for line in result.stdout.splitlines() if line.startswith(key + "=")]


def as_user(uid):
    return f"setpriv --reuid {uid} --regid {uid} --clear-groups"


@pytest.fixture
def users():
    if alone(f"{as_user(1)} true").returncode != 0:
        pytest.skip("only one user in the namespace: no subordinate ids")


def test_program_sees_exactly_what_it_was_given(show):
    result = alone('cd "$1" && VISOR_INTERNAL="3 3 -1 0 -1 0 0 0 0 - 1 x y" exec ./show "" "a b" --help', show.parent)
    assert result.returncode == 7, result.stderr
    assert lines(result, "argument") == ["./show", "", "a b", "--help"]
    assert lines(result, "execfn") == ["./show"]
    assert lines(result, "exe") == [str(show)]
    assert lines(result, "own") == ["3 3 -1 0 -1 0 0 0 0 - 1 x y"]
    assert lines(result, "secure") == ["0 flags=0"]
    assert lines(result, "next descriptor") == ["3"]


def test_argument_zero_is_kept(show):
    result = run_visor("binfmt", "run", "bash", "-c", 'exec -a another "$1" x', "bash", show)
    assert lines(result, "argument") == ["another", "x"]
    assert lines(result, "execfn") == [str(show)]


def test_script_with_a_foreign_interpreter(show):
    script = show.parent / "script"
    script.write_text(f"#!{show} one\n")
    script.chmod(0o755)
    result = alone('exec "$1" two', script)
    assert lines(result, "argument") == [str(show), "one", str(script), "two"]
    assert lines(result, "execfn") == [str(script)]
    assert lines(result, "exe") == [str(show)]


def test_closed_standard_descriptors_stay_closed(show):
    result = alone('exec "$1" <&-', show)
    assert lines(result, "next descriptor") == ["-1"]


def test_children_in_a_root_without_proc_and_without_visor(show):
    result = alone('exec chroot "$1" /show then /show renamed', show.parent)
    assert result.returncode == 7, result.stderr
    assert lines(result, "argument") == ["/show", "then", "/show", "renamed", "renamed"]
    assert lines(result, "exe") == ["-", "-"] or lines(result, "exe") == ["/show", "/show"]


@pytest.mark.parametrize("when", ["mounts-first", "mounts-later"])
def test_family_in_a_root_without_proc_shares_translations(arm64_compiler, place, when):
    shutil.copy(arm64_compiler("family", FAMILY), place / "family")
    (place / "look.c").write_text(LOOK)
    subprocess.run(["cc", "-static", "-o", place / "look", place / "look.c"], check=True)
    result = run_visor("binfmt", "run", "unshare", "--fork", "--pid", "--mount", "--mount-proc",
                       "chroot", place, "/family", when)
    assert result.returncode == 0, result.stderr
    assert lines(result, "shared") == ["yes"], result.stderr


def test_executable_but_unreadable_program(show, users):
    show.chmod(0o711)
    result = alone(f'exec {as_user(1)} "$1" then "$1" child', show)
    assert result.returncode == 7, result.stderr
    assert lines(result, "argument")[-1] == "child"


def test_set_id_programs_get_their_rights(show, users):
    helper = show.parent / "helper"
    shutil.copy(show, helper)
    result = alone(f'''chown 1:3 "$2" && chmod 6755 "$2" && {as_user(2)} "$2"
                       {as_user(2)} "$1" then "$2" child''', show, helper)
    assert lines(result, "ids") == ["2 1 2 3", "2 2 2 2", "2 1 2 3"], result.stderr
    assert [line[0] for line in lines(result, "secure")] == ["1", "0", "1"]


def test_missing_loader_is_named(arm64_compiler, place):
    source = place / "dynamic.c"
    source.write_text("int main(void) { return 0; }\n")
    program = place / "dynamic"
    subprocess.run(["aarch64-linux-gnu-gcc", "-o", program, source, "-Wl,--dynamic-linker=/nowhere/ld.so"], check=True)
    result = alone('exec "$1"', program)
    assert result.returncode == 127
    assert "/nowhere/ld.so" in result.stderr


def test_status_follows_registration():
    result = alone(f'{VISOR} binfmt status --json; {VISOR} binfmt status; echo "status=$?"; '
                   f'{VISOR} binfmt unregister; {VISOR} binfmt status; echo "status=$?"')
    report, end = json.JSONDecoder().raw_decode(result.stdout)
    guest = report["guests"]["arm64"]
    assert (guest["runs"], guest["visor"], guest["current"]) == (True, True, True)
    assert guest["version"] == run_visor("version").stdout.split()[1]
    assert [(e["name"], e["enabled"], e["own"]) for e in guest["entries"]] == [("visor-aarch64", True, True)]
    assert set(guest["entries"][0]["flags"]) == set("POCF")
    assert guest["entries"][0]["interpreter"] == str(VISOR.resolve())
    assert lines(result, "status") == ["0", "1"]
    assert "run by this visor" in result.stdout[end:]
    assert "not run by this system" in result.stdout[end:]


def test_status_knows_another_visor(place):
    other = place / "visor-of-yesterday"
    shutil.copy(VISOR, other)
    result = alone(f'"$1" binfmt register && rm "$1" && {VISOR} binfmt status --json', other)
    guest = json.loads(result.stdout[result.stdout.index("{"):])["guests"]["arm64"]
    assert (guest["runs"], guest["visor"], guest["current"]) == (True, True, False)
    assert guest["version"] == run_visor("version").stdout.split()[1]


def test_registering_again_takes_this_file(place):
    other = place / "visor"
    shutil.copy(VISOR, other)
    result = alone(f'"$1" binfmt register && {VISOR} binfmt register && {VISOR} binfmt status --json', other)
    assert json.loads(result.stdout[result.stdout.index("{"):])["guests"]["arm64"]["current"]


def test_other_interpreter_is_named_and_replaced_on_request(show):
    result = alone(f'''{VISOR} binfmt unregister
        printf '%s' '{RIVAL}' > {TABLE}/register
        {VISOR} binfmt register; echo "status=$?"
        {VISOR} binfmt status; echo "status=$?"
        {VISOR} binfmt register --replace; echo "status=$?"
        head -n 1 {TABLE}/rival; "$1"; echo "status=$?"
        {VISOR} binfmt unregister --replace
        head -n 1 {TABLE}/rival''', show)
    assert lines(result, "status") == ["1", "1", "0", "7"]
    assert "rival (/bin/false)" in result.stderr and "--replace" in result.stderr
    assert f"echo 1 > {TABLE}/rival" in result.stdout
    assert [line for line in result.stdout.splitlines() if line in ("enabled", "disabled")] == ["disabled", "enabled"]


def test_persistent_entry_is_what_the_kernel_takes(show):
    if not any(pathlib.Path(lib, "systemd/systemd-binfmt").exists() for lib in ("/usr/lib", "/lib")):
        pytest.skip("no systemd-binfmt here")
    result = alone(f'''mount -t tmpfs none /etc || exit
        {VISOR} binfmt register --persistent && {VISOR} binfmt status
        echo -1 > {TABLE}/visor-aarch64
        grep -v '^#' /etc/binfmt.d/visor-aarch64.conf | tr -d '\\n' > {TABLE}/register
        "$1"; echo "status=$?"
        {VISOR} binfmt unregister && ls /etc/binfmt.d''', show)
    assert lines(result, "status") == ["7"], result.stderr
    assert "at boot visor is registered by /etc/binfmt.d/visor-aarch64.conf" in result.stdout
    assert result.stdout.splitlines()[-1] == "visor is no longer the interpreter of arm64 programs"


@pytest.mark.skipif(os.getuid() == 0 and not shutil.which("setpriv"), reason="no setpriv to drop root with")
def test_registration_without_rights_is_refused_with_a_hint():
    drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.getuid() == 0 else []
    for action in ("register", "unregister"):
        result = subprocess.run([*drop, VISOR, "binfmt", action], capture_output=True, text=True)
        assert result.returncode == 1
        assert TABLE in result.stderr and "sudo" in result.stderr


def test_command_is_found_and_its_status_kept():
    assert run_visor("binfmt", "run", "sh", "-c", "exit 9").returncode == 9
    result = run_visor("binfmt", "run", "/nowhere/program")
    assert result.returncode == 127 and "/nowhere/program" in result.stderr


def test_wrong_words_are_named():
    for words, named in ((["frobnicate"], "frobnicate"), (["status", "extra"], "extra"), ([], "say what"),
                         (["run"], "name the command"), (["status", "--frobnicate"], "--frobnicate")):
        result = run_visor("binfmt", *words)
        assert result.returncode == 2
        assert named in result.stderr and "hint:" in result.stderr


def test_variable_of_a_stranger_is_not_believed():
    """The variable by which visor passes on a program counts only when visor executed visor, by that descriptor."""
    descriptor = os.open(VISOR, os.O_RDONLY)
    variable = {"VISOR_INTERNAL": f"{descriptor} {descriptor} -1 0 -1 0 0 0 0 - 1 x y"}

    def execute(program):
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.dup2(1, 2)
            os.set_inheritable(descriptor, True)
            os.execve(program, ["visor", "version"], variable)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert execute(str(VISOR)) == 0
    assert execute(descriptor) == 126  # believed: visor itself is no arm64 program
    os.close(descriptor)
