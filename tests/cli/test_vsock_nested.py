# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine whose vsock is the host's kernel's, in a host of QEMU's, see nested.py: programs of both talk by AF_VSOCK."""
import hashlib
import pathlib
import re
import subprocess

import pytest

import nested
from conftest import VISOR

pytestmark = nested.MARKS

# The guest keeps the checksum of what comes at port 5000, sends back what comes at 5001, and sends its own to the
# host's port 6000.
TALK = """
LOAD(virtio_pci vmw_vsock_virtio_transport)
mkdir -p /etc; echo root:x:0:0::/:/bin/sh >/etc/passwd
mkfifo /tmp/back
(while :; do /talk take 5000 </dev/null | md5sum >/tmp/part; mv /tmp/part /tmp/sum; done) &
(while :; do cat /tmp/back | /talk take 5001 >/tmp/back; done) &
(while :; do head -c 3000000 /data | /talk send 2 6000 >/tmp/answer; echo "GUEST-GOT $(md5sum </tmp/answer)"; sleep 1; done) &
echo READY
exec /visor-agent
"""

SERVE = """
LOAD(kvm_amd vsock)
append="console=ttyS0 quiet no_timer_check noxsave"
new() { /visor run -d --kernel /kernel --initrd /initrd --memory 128M --append "$append" "$@"; }
agent() { for i in $(seq 120); do /visor exec $1 true 2>/tmp/why && return; sleep 1; done; cat /tmp/why; }
cid() { /visor inspect -f state.vsock_cid $1; }
sum() { /visor exec $1 sh -c 'until [ -e /tmp/sum ]; do sleep 0.2; done; cat /tmp/sum; rm /tmp/sum' 2>&1; }
take() { head -c 1500000 /data | /talk take 6000 >/tmp/taken; echo "HOST-GOT $(md5sum </tmp/taken)"; }

echo PART-MISSING; new --name none --engine kvm --vsock cid=auto
LOAD(vhost_vsock)
echo PART-TRANSLATED; new --name none --engine translate --vsock cid=auto
echo PART-KVM; new --name one --engine kvm --vsock cid=7
echo "CID $(cid one)"
echo PART-TAKEN; new --name none --engine kvm --vsock cid=7
echo PART-AGENT; agent one; /visor exec one sh -c 'echo "AGENT $(cat /proc/uptime | wc -w)"'
/visor cp /data one:/tmp/copied; echo "COPIED $(/visor exec one md5sum /tmp/copied)"
su user -s /bin/sh -c '/talk send 7 1017 </dev/null | wc -c' 2>&1
echo PART-TO; head -c 2000000 /data | /talk send 7 5000; echo "SUM $(sum one)"
echo PART-FROM; take
echo PART-PAUSE; mkfifo /tmp/lines; /talk hold 7 5001 </tmp/lines & exec 8>/tmp/lines
echo 1 >&8; sleep 1; /visor pause one; echo 2 >&8; sleep 2; /visor resume one; echo 3 >&8; sleep 2
echo PART-FORK; /visor fork one two; echo "CIDS $(cid one) $(cid two)"
echo 4 >&8; sleep 2
agent two; /visor exec two sh -c 'echo "TWO $(hostname)"'
head -c 1000000 /data | /talk send $(cid two) 5000; echo "SUM $(sum two)"
/visor rm -f two
echo PART-SAVE; /visor save one /tmp/state; echo 5 >&8; sleep 1
exec 8>&-
echo PART-AGAIN; /visor restore /tmp/state; agent one; echo "CID $(cid one)"
head -c 2000001 /data | /talk send 7 5000; echo "SUM $(sum one)"
take
echo PART-RESET; /visor exec one sh -c 'echo b >/proc/sysrq-trigger' & sleep 3; agent one
head -c 2000002 /data | /talk send 7 5000; echo "SUM $(sum one)"
echo PART-LOG; /visor logs one; /visor rm -f one
"""

DATA = bytes(range(251)) * 16000
AGENT = VISOR.parent / "agent/visor-agent"


def checksum(size):
    return hashlib.md5(DATA[:size]).hexdigest()


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    directory = tmp_path_factory.mktemp("nested")
    talk = directory / "talk"
    subprocess.run(["cc", "-static", "-O1", "-o", talk, pathlib.Path(__file__).parent / "vsock_talk.c"], check=True)
    both = {"talk": talk.read_bytes(), "data": DATA}
    options = ["-machine", "q35,accel=tcg", "-cpu", "max,+svm", "-m", "1024"]
    return nested.Nested(directory).run(SERVE, TALK, options, timeout=1500, files=both,
                                        inner_files={**both, "visor-agent": AGENT.read_bytes()})


def test_without_the_module_it_is_said_how_to_get_it(said):
    assert re.search(r"vsock: cannot open /dev/vhost-vsock: .*\s+hint: as root: modprobe vhost_vsock",
                     nested.part(said, "MISSING"))


def test_an_engine_that_has_no_signals_is_refused(said):
    assert "vsock: the kernel serves queues of machines under KVM alone" in nested.part(said, "TRANSLATED")


def test_what_is_taken_is_refused_and_what_is_had_is_told(said):
    assert "CID 7" in nested.part(said, "KVM")
    assert re.search(r"vsock: the vsock context \(CID\) 7 is somebody else's\s+hint: .*cid=auto", nested.part(said, "TAKEN"))


def test_the_agent_is_asked_by_context(said):
    assert "AGENT 2" in nested.part(said, "AGENT")
    assert f"COPIED {checksum(len(DATA))}" in nested.part(said, "AGENT")


def test_the_agent_hears_no_program_from_a_port_that_all_may_have(said):
    """It would say hello."""
    assert re.search(r"^0$", nested.part(said, "AGENT"), re.MULTILINE)


def test_bytes_of_the_host_reach_the_guest(said):
    assert f"SUM {checksum(2000000)}" in nested.part(said, "TO")


def test_bytes_go_both_ways_when_the_guest_connects(said):
    assert f"HOST-GOT {checksum(3000000)}" in nested.part(said, "FROM")
    assert f"GUEST-GOT {checksum(1500000)}" in nested.part(said, "LOG")


def test_connections_outlive_a_pause_and_a_copy(said):
    lines = re.findall(r"HOLD-HAS (\d)", said)
    assert lines == ["1", "2", "3", "4"]


def test_a_copy_has_a_context_of_its_own_and_its_guest_knows(said):
    part = nested.part(said, "FORK")
    assert re.search(r"CIDS 7 3\b", part)
    assert "TWO two" in part and f"SUM {checksum(1000000)}" in part


def test_saved_its_connections_are_gone_and_there_are_new_ones(said):
    assert "HOLD-LOST" in nested.part(said, "SAVE")
    part = nested.part(said, "AGAIN")
    assert "CID 7" in part and f"SUM {checksum(2000001)}" in part and f"HOST-GOT {checksum(3000000)}" in part


def test_a_machine_that_is_reset_has_its_vsock_anew(said):
    assert f"SUM {checksum(2000002)}" in nested.part(said, "RESET")
