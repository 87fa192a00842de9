# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own arm64 programs at real work. Expected results are known beforehand or those of the same program run natively."""
import hashlib
import math
import os
import shutil
import subprocess
import sys

import pytest

from conftest import run_visor

AGAIN = r"""
#include <stdio.h>
#include <unistd.h>
int main(int count, char **arguments)
{
    return count == 1 ? puts("again") < 0 : execl(arguments[0], arguments[0], NULL);
}
"""


def native(*command, stdin=""):
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed natively")
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout


def output(result):
    assert result.returncode == 0, f"status {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def test_bash_pipes_loops_arrays_and_arithmetic(in_root):
    script = r'''
        set -o pipefail
        for i in 1 2 3; do echo "line $i"; done | while read -r a b; do echo "$b $a"; done | sort -r
        declare -A m=([x]=1 [y]=2); for k in x y; do echo "$k=${m[$k]}"; done
        echo $((7 * 6)) $(( (1 << 40) % 1000 )) "${#BASH_VERSION}" | cut -d' ' -f1,2
        cat <<< "here" | tr a-z A-Z
        false | true; echo "status $?"
        printf '%05d %x %s\n' 42 255 "$(echo sub)"
        [[ abc =~ ^a(.)c$ ]] && echo "${BASH_REMATCH[1]}"
    '''
    assert output(in_root("/bin/bash", "-c", script)) == (
        "3 line\n2 line\n1 line\nx=1\ny=2\n42 776\nHERE\nstatus 1\n00042 ff sub\nb\n")


def test_bash_jobs_traps_and_signals(in_root):
    script = r'''
        trap 'echo usr1' USR1
        trap 'echo bye' EXIT
        kill -USR1 $$
        sleep 30 & child=$!; sleep 0.3 # until it is sleep: before, it is a bash with an EXIT trap
        kill -TERM $child; wait $child; echo "child $?"
        (exit 7) & wait $!; echo "job $?"
        ( trap 'echo term; exit 3' TERM; echo ready > /tmp/ready.$$; while :; do sleep 0.05; done ) & child=$!
        while [ ! -e /tmp/ready.$$ ]; do sleep 0.02; done; rm /tmp/ready.$$
        kill -TERM $child; wait $child; echo "trapped $?"
        timeout 0.2 sleep 10; echo "timeout $?"
    '''
    assert output(in_root("/bin/bash", "-c", script)) == (
        "usr1\nchild 143\njob 7\nterm\ntrapped 3\ntimeout 124\nbye\n")


def test_coreutils_findutils_sed_awk_tar(in_root):
    script = r'''
        d=$(mktemp -d); cd $d
        seq 1 1000 > n; sha256sum n | cut -c1-16; wc -l < n; tail -n 3 n | paste -sd,
        mkdir -p a/b c; echo one > a/1; echo two > a/b/2; ln -s ../a/1 c/l; chmod 640 a/1
        find . -type f | sort; find . -type l -printf '%p -> %l\n'; stat -c '%a %s' a/1
        tar cf t.tar a c; mkdir out; tar xf t.tar -C out; diff -r a out/a && readlink out/c/l
        sed -n '5,7s/\([0-9]\)/<\1>/p' n; awk '{s += $1} END {print s, NR}' n
        sort -rn n | head -2; comm -12 <(seq 1 5) <(seq 4 9); join <(printf '1 a\n2 b\n') <(printf '1 x\n2 y\n')
        touch -d '2020-02-29 12:00 UTC' f; TZ=UTC date -r f +%F; printf 'b\na\nb\n' | sort | uniq -c | tr -s ' '
        dd if=/dev/zero bs=1k count=3 2>/dev/null | od -An -tx1 | tail -1; df / > /dev/null && du -s . > /dev/null
        ls -la > /dev/null; cp -a a a2; mv a2 a3; rm -r a3; basename $PWD > /dev/null; expr 6 \* 7
        rm -r $d
    '''
    assert output(in_root("/bin/bash", "-c", script)) == (
        hashlib.sha256("".join(f"{i}\n" for i in range(1, 1001)).encode()).hexdigest()[:16] +
        "\n1000\n998,999,1000\n./a/1\n./a/b/2\n./n\n./c/l -> ../a/1\n640 4\n../a/1\n<5>\n<6>\n<7>\n500500 1000\n"
        "1000\n999\n4\n5\n1 a x\n2 b y\n2020-02-29\n 1 a\n 2 b\n*\n42\n")


def test_exit_status_and_death_by_signal_are_the_programs_own(in_root):
    assert in_root("/bin/sh", "-c", "exit 42").returncode == 42
    assert in_root("/bin/sh", "-c", "kill -TERM $$").returncode == -15
    assert in_root("/bin/sh", "-c", "kill -SEGV $$").returncode == -11


def test_uname_and_cpuinfo_tell_the_guests_cpu(in_root):
    assert output(in_root("/bin/uname", "-m")) == "aarch64\n"
    text = output(in_root("/bin/cat", "/proc/cpuinfo"))
    assert "CPU implementer" in text and "asimd" in text and "GenuineIntel" not in text
    assert output(in_root("/bin/sh", "-c", "readlink /proc/self/exe")).strip() == "/usr/bin/readlink"


PYTHON_THREADS = r'''
import hashlib, queue, subprocess, sys, threading, socket, os, signal
work, done = queue.Queue(), []
lock = threading.Lock()
def worker():
    while (item := work.get()) is not None:
        digest = hashlib.sha1(str(item).encode() * 1000).hexdigest()
        with lock:
            done.append(digest[:4])
threads = [threading.Thread(target=worker) for _ in range(4)]
[t.start() for t in threads]
[work.put(i) for i in range(200)]
[work.put(None) for _ in threads]
[t.join() for t in threads]
print(len(done), hashlib.md5("".join(sorted(done)).encode()).hexdigest())
print(subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True).stdout.strip())
server = socket.create_server(("127.0.0.1", 0))
def serve():
    c, _ = server.accept()
    with c:
        while data := c.recv(4096):
            c.sendall(data.upper())
threading.Thread(target=serve).start()
with socket.create_connection(server.getsockname()) as s:
    s.sendall(b"hello" * 1000); s.shutdown(socket.SHUT_WR)
    got = b"".join(iter(lambda: s.recv(4096), b""))
print(len(got), got[:5])
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(w, b"child"); os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), os.read(r, 9))
hits = []
signal.signal(signal.SIGALRM, lambda *a: hits.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
x = 0
while len(hits) < 20:
    x += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(len(hits) >= 20)
print(0.1 + 0.2, 2 ** 0.5, 1e308 * 10, float("nan"), -7 // 2, 10 ** 30 % 97, int("9" * 40) ** 3 % 1000007)
'''


def test_python_threads_subprocess_sockets_and_signals(in_root):
    expected = subprocess.run([sys.executable, "-c", PYTHON_THREADS], capture_output=True, text=True, check=True).stdout
    assert output(in_root("/usr/bin/python3", "-c", PYTHON_THREADS)) == expected


PERL = r'''
my %h; $h{$_ % 7} .= chr(97 + $_ % 26) for 1..200; print join(",", map { "$_=$h{$_}" } sort keys %h), "\n";
my $t = "The year 1999 and 2024"; (my $u = $t) =~ s/(\d+)/$1 + 1/ge; print "$u\n";
printf "%.10f %e %s\n", atan2(1, 1) * 4, 1/3, 2**53; print join(" ", sort { $b <=> $a } map { $_ ** 2 % 31 } 1..20), "\n";
local $SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; select(undef, undef, undef, 5) }; print $@;
open my $p, "-|", "echo from a pipe" or die; print <$p>;
print pack("NnC", 1, 2, 3) eq "\0\0\0\1\0\2\3" ? "packed\n" : "wrong\n";
'''


def test_perl(in_root):
    assert output(in_root("/usr/bin/perl", "-e", PERL)) == native("perl", "-e", PERL)


def test_lua(in_root):
    script = r'''
        local function f(n) return n < 2 and n or f(n-1) + f(n-2) end
        print(f(22), ("x"):rep(3, "-"), math.pi, 7 // 2, 7.0 / 2, 3 | 8, string.format("%.17g %a", 0.1, 1.5))
        local ok, e = pcall(error, {code = 5}); print(ok, e.code)
        local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end); print(co(), co(), co())
        print(#arg, select("#", table.unpack({1, 2, nil, 4}, 1, 4)), math.tointeger(2^53), 1e15, -0.0)
    '''
    assert output(in_root("/usr/bin/lua5.4", "-", stdin=script)).splitlines() == [
        "17711\tx-x-x\t3.1415926535898\t3\t3.5\t11\t0.10000000000000001 0x1.8p+0", "false\t5", "1\t4\t9",
        "0\t4\t9007199254740992\t1e+15\t-0.0"]


SQL = """
CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 5000) INSERT INTO t SELECT i, 'v' || (i*7919%1009), i/7.0 FROM n;
CREATE INDEX tb ON t(b);
SELECT count(*), sum(a), round(avg(c), 6), min(b), max(b) FROM t;
SELECT b, count(*) n FROM t GROUP BY b ORDER BY n DESC, b LIMIT 3;
SELECT x.a, y.a FROM t x JOIN t y ON x.b = y.b AND x.a < y.a WHERE x.a < 5 ORDER BY 1, 2;
BEGIN; DELETE FROM t WHERE a % 2; ROLLBACK; SELECT count(*) FROM t;
SELECT json_extract('{"a": [1, {"b": 2.5}]}', '$.a[1].b'), length(hex(randomblob(3))), 9223372036854775807 + 0, 1e300 * 1e10;
PRAGMA integrity_check;
"""


def test_sqlite(in_root):
    assert output(in_root("/usr/bin/sqlite3", ":memory:", stdin=SQL)) == native("sqlite3", ":memory:", stdin=SQL)


def test_git_init_commit_clone_gc(in_root):
    script = r'''
        set -e
        d=$(mktemp -d); cd $d; export HOME=$d GIT_AUTHOR_DATE="2020-01-01T00:00:00Z" GIT_COMMITTER_DATE="2020-01-01T00:00:00Z"
        git config --global user.name A; git config --global user.email a@b.c; git config --global init.defaultBranch main
        git init -q r; cd r
        for i in 1 2 3 4 5; do seq 1 $((i * 200)) > f$i; git add f$i; git commit -qm "commit $i"; done
        git checkout -qb side HEAD~2; echo side > s; git add s; git commit -qm side; git checkout -q main
        git merge -q -m merge side; git gc -q; git fsck 2>&1; git log --oneline | wc -l
        cd ..; git clone -q r c; cd c; git rev-parse HEAD; git status --short | wc -l; git diff --stat HEAD~1 | tail -1
        rm -rf $d
    '''
    result = output(in_root("/bin/bash", "-c", script))
    if shutil.which("git"):
        expected = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
        assert result == expected
    assert result.splitlines()[0] == "7"


def test_gcc_builds_and_runs_a_project_with_parallel_make(in_root):
    script = r'''
        set -e
        d=$(mktemp -d); cd $d
        for i in 1 2 3 4; do
            printf '#include "all.h"\n#include <math.h>\ndouble part%d(int n) { double s = 0; for (int i = 1; i <= n; i++) s += sin(i * %d.0) / i; return s; }\n' $i $i > p$i.c
            echo "double part$i(int n);" >> all.h
        done
        cat > main.c <<'END'
#include <stdio.h>
#include <string.h>
#include "all.h"
int main(void) { printf("%.12f\n", part1(1000) + part2(1000) + part3(1000) + part4(1000)); return 0; }
END
        printf 'CFLAGS = -O2 -Wall -Werror\nprog: main.o p1.o p2.o p3.o p4.o\n\t$(CC) -o $@ $^ -lm\n%%.o: %%.c all.h\n\t$(CC) $(CFLAGS) -c -o $@ $<\n' > Makefile
        make -s -j2; ./prog; gcc -O3 -flto -o prog2 main.c p?.c -lm; ./prog2
        rm -r $d
    '''
    total = sum(math.sin(i * k) / i for k in (1, 2, 3, 4) for i in range(1, 1001))
    lines = output(in_root("/bin/bash", "-c", script)).split()
    assert lines[0] == lines[1]
    assert abs(float(lines[0]) - total) < 1e-11


def test_openssl_digests_ciphers_and_signatures(in_root):
    script = r'''
        set -e
        d=$(mktemp -d); cd $d; seq 1 200000 > data
        for a in md5 sha1 sha256 sha512 sha3-256 blake2b512; do openssl dgst -r -$a data | cut -d' ' -f1; done
        for c in aes-128-cbc aes-256-ctr chacha20 camellia-256-cbc; do
            openssl enc -$c -K 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -iv 00112233445566778899aabbccddeeff -in data 2>/dev/null | md5sum
        done
        openssl genrsa -out k 2048 2>/dev/null; openssl rsa -in k -pubout -out p 2>/dev/null
        openssl dgst -sha256 -sign k -out s data; openssl dgst -sha256 -verify p -signature s data
        openssl ecparam -genkey -name prime256v1 -out e; openssl ec -in e -pubout -out ep 2>/dev/null
        openssl dgst -sha256 -sign e -out es data; openssl dgst -sha256 -verify ep -signature es data
        rm -r $d
    '''
    result = output(in_root("/bin/bash", "-c", script))
    assert result.splitlines()[-2:] == ["Verified OK", "Verified OK"]
    data = "".join(f"{i}\n" for i in range(1, 200001)).encode()
    assert result.splitlines()[:6] == [
        hashlib.new(a, data).hexdigest() for a in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b")]
    if shutil.which("openssl"):
        assert result == subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout


def test_compressors_with_several_threads_round_trip(in_root):
    script = r'''
        set -e
        d=$(mktemp -d); cd $d; seq 1 300000 > data; sha1sum < data
        gzip -9 -n -k data; xz -T2 -3 -k data; zstd -q -T2 -5 -k data; 7z a -bso0 -bsp0 -mmt=2 -mx=3 data.7z data
        mkdir x; cd x
        gzip -dc ../data.gz | sha1sum; xz -T2 -dc ../data.xz | sha1sum; zstd -qdc ../data.zst | sha1sum; 7z x -bso0 -bsp0 ../data.7z; sha1sum < data
        rm -r $d
    '''
    lines = output(in_root("/bin/bash", "-c", script)).split("\n")
    digest = hashlib.sha1("".join(f"{i}\n" for i in range(1, 300001)).encode()).hexdigest() + "  -"
    assert lines[0] == digest and lines[1:5] == [digest] * 4


def test_volume_workdir_and_environment(in_root, tmp_path):
    (tmp_path / "note").write_text("from the host\n")
    options = ("--volume", f"{tmp_path}:/mnt/host", "--workdir", "/mnt/host", "--env", "GREETING=hi there")
    script = 'cat note; pwd; echo "$GREETING"; echo back > answer'
    assert output(in_root("/bin/sh", "-c", script, options=options)) == "from the host\n/mnt/host\nhi there\n"
    assert (tmp_path / "answer").read_text() == "back\n"
    options = ("--volume", f"{tmp_path}:/mnt/host:ro")
    assert in_root("/bin/sh", "-c", "echo no > /mnt/host/answer", options=options).returncode != 0


def test_trace_names_system_calls(in_root):
    result = in_root("/bin/cat", "/etc/hostname", "/none", options=("--trace", "syscall"))
    assert 'openat(AT_FDCWD, "/none"' in result.stderr
    assert "ENOENT (No such file or directory)" in result.stderr
    assert "exit_group(1)" in result.stderr


def test_root_whose_proc_leads_nowhere(arm64_compiler, tmp_path):
    """As the first stage of debootstrap leaves it in a container: /proc is a symbolic link to /proc."""
    shutil.copy(arm64_compiler("again", AGAIN), tmp_path / "again")
    (tmp_path / "proc").symlink_to("/proc")
    result = run_visor("run", "--root", tmp_path, "/again", "x")
    assert (result.returncode, result.stdout) == (0, "again\n"), result.stderr


def test_ordinary_user_gets_a_root_without_privileges(in_root):
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("runs as root, to become an ordinary user")
    from conftest import ROOT, VISOR
    result = subprocess.run(["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", VISOR, "run", "--root",
                             ROOT, "/bin/sh", "-c", "id -u; touch /tmp/x.$$ && rm /tmp/x.$$; uname -m"],
                            capture_output=True, text=True)
    if "cannot make a user namespace" in result.stderr or "Permission denied" in result.stderr:
        pytest.skip(result.stderr)
    assert result.stdout.split() == ["0", "aarch64"], result.stderr
