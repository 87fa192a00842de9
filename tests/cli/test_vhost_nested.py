# SPDX-License-Identifier: GPL-2.0-or-later
"""Queues that the host's kernel serves: QEMU makes a PC whose processor has AMD-V, in it Debian's kernel has KVM and
vhost, and visor's machine there talks to it by both. Emulation in emulation takes minutes, see nested.py."""
import json
import re

import pytest

import nested

pytestmark = nested.MARKS

# It takes what comes by TCP until the end, and then sends as much. A fifo is an input that does not end, at which nc
# would. QEMU's SVM lets the state of the guest's vector registers be lost.
TALK = """
LOAD(virtio_pci virtio_net)
ip addr add 10.9.0.2/24 dev eth0
ip link set eth0 up
mkfifo /tmp/hold; exec 9<>/tmp/hold
ping -c 3 -W 30 10.9.0.1 >/dev/null && echo PINGED-HOST
while :; do
  nc -l -p 5000 <&9 >/tmp/got
  size=$(wc -c </tmp/got)
  echo "GUEST-GOT $size"
  until head -c $size /dev/zero | nc 10.9.0.1 6000; do sleep 1; done
  [ $size = 17 ] && reboot -f
done
"""

SERVE = """
LOAD(kvm_amd tun)
mkfifo /tmp/hold; exec 9<>/tmp/hold
append="console=ttyS0 quiet no_timer_check noxsave"
new() { /visor run -d --kernel /kernel --initrd /initrd --memory 128M --append "$append" "$@"; }
host_up() { ip addr add 10.9.0.1/24 dev t0; ip link set t0 up; }
wait_for() { for i in $(seq 300); do [ $(/visor logs $1 | grep -c PINGED-HOST) = $2 ] && break; sleep 1; done; }
talk() {
  nc -l -p 6000 <&9 >/tmp/received & listener=$!
  until head -c $1 /dev/zero | nc 10.9.0.2 5000; do sleep 1; done
  wait $listener
  echo "HOST-GOT $(wc -c </tmp/received)"
  # the kernel's thread that serves, and whether it has taken time
  awk '/[(]vhost-/ {print "VHOST", ($15 > 0)}' /proc/[0-9]*/stat
}

echo PART-MISSING; new --name none --engine kvm --net tap=t0,vhost=on
LOAD(vhost_net)
echo PART-TRANSLATED; new --name none --engine translate --net tap=t0,vhost=on
echo PART-KVM; new --name one --engine kvm --net tap=t0 && host_up
wait_for one 1
talk 700001
/visor stats --no-stream --json one
echo PART-SAVE; /visor save one /tmp/state
echo PART-TRANSLATE; /visor restore --engine translate /tmp/state && host_up
talk 700002
/visor save one /tmp/state
echo PART-AGAIN; /visor restore --engine kvm /tmp/state && host_up
talk 700003
echo PART-LOG; /visor logs one; /visor rm -f one
echo PART-LOOP; new --name two --engine kvm --irqchip user --net tap=t0,vhost=on && host_up
wait_for two 1
(while [ ! -e /tmp/enough ]; do /visor pause two; /visor resume two; echo PAUSED; sleep 0.5; done) & pauses=$!
talk 5000001
touch /tmp/enough; wait $pauses
echo PART-RESET; talk 17
wait_for two 2
talk 700004; /visor rm -f two
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    options = ["-machine", "q35,accel=tcg", "-cpu", "max,+svm", "-m", "1024"]
    return nested.Nested(tmp_path_factory.mktemp("nested")).run(SERVE, TALK, options, timeout=1500)


def test_without_the_module_it_is_said_how_to_get_it(said):
    assert re.search(r"vhost=on: cannot open /dev/vhost-net: .*\s+hint: as root: modprobe vhost_net",
                     nested.part(said, "MISSING"))


def test_an_engine_that_has_no_signals_is_refused(said):
    assert "vhost=on: the kernel serves queues of machines under KVM alone" in nested.part(said, "TRANSLATED")


def test_a_card_is_served_by_the_kernel_without_a_word(said):
    assert "PINGED-HOST" in nested.part(said, "LOG")
    assert "HOST-GOT 700001" in nested.part(said, "KVM")
    assert "VHOST 1" in nested.part(said, "KVM")


def test_frames_that_the_kernel_carries_are_counted(said):
    text = re.search(r"^\[\s*\{.*?^\]", nested.part(said, "KVM"), re.DOTALL | re.MULTILINE).group()
    (counts,) = json.loads(text)
    assert counts["net_received"] > 700001 and counts["net_sent"] > 700001


def test_pauses_lose_nothing_and_the_loop_interrupts_as_well(said):
    """The local APICs are visor's: nothing goes past it. Each pause takes the queues from the kernel."""
    assert "HOST-GOT 5000001" in nested.part(said, "LOOP")
    assert nested.part(said, "LOOP").count("PAUSED") >= 3


def test_a_machine_that_is_reset_has_its_queues_anew(said):
    assert re.search("HOST-GOT 17\\b.*HOST-GOT 700004\\b.*VHOST 1", nested.part(said, "RESET"), re.DOTALL)


@pytest.mark.parametrize("name, size, vhost", [("TRANSLATE", 700002, False), ("AGAIN", 700003, True)])
def test_saved_it_goes_on_under_either_engine(said, name, size, vhost):
    """Its connections are new ones, but its queues are not."""
    assert f"HOST-GOT {size}" in nested.part(said, name)
    assert f"GUEST-GOT {size}" in nested.part(said, "LOG")
    assert ("VHOST 1" in nested.part(said, name)) == vhost
