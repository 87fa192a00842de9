# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks of domains: made and removed; containers and machines that reach each other by name, and the outside;
published ports; nothing left behind."""
import functools
import http.server
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import threading
import time

import pytest

from conftest import VISOR
from guest_kernel import DISK, NET, GuestKernel
from store import TIMEOUT, Store
from test_container import container_process, lives, root  # noqa: F401 (a fixture)

# Addresses of this run's own, since others may run on the host.
OWN = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
OWN_MAC = "0a:56:" + ":".join(f"{int(n):02x}" for n in OWN.split("."))
BUSYBOX = shutil.which("busybox")
NFT = shutil.which("nft") or (os.path.exists("/usr/sbin/nft") and "/usr/sbin/nft")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="it takes root")
with_busybox = pytest.mark.skipif(not BUSYBOX, reason="it takes busybox-static")


@functools.cache
def networks_are_possible():
    """Bridges and translation of addresses, where this runs."""
    if os.geteuid() != 0 or not NFT:
        return False
    made = subprocess.run(["ip", "link", "add", "vtestbr0", "type", "bridge"], capture_output=True).returncode == 0
    subprocess.run(["ip", "link", "del", "vtestbr0"], capture_output=True)
    rules = "add table inet vtest; add chain inet vtest c { type nat hook output priority -100; }; delete table inet vtest"
    return made and subprocess.run([NFT, rules], capture_output=True).returncode == 0


needs_network = pytest.mark.skipif(not networks_are_possible(), reason="it takes root, bridges, and nft with nat")


def links():
    return set(os.listdir("/sys/class/net"))


def tables():
    if not NFT:
        return set()
    return set(re.findall(r"table inet (visor-\S+)", subprocess.run([NFT, "list", "tables"], capture_output=True, text=True).stdout))


def servers(path):
    """The processes of the store's networks."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0] == b"visor-network" and words[2].startswith(os.fsencode(path)):
                found.append(int(entry.name))
    return found


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store", None)
    yield store
    networks = json.loads(store.ok("network", "ls", "--json"))
    own = {n["bridge"] for n in networks} | {d["interface"] for n in networks for d in n["domains"]}
    store.run("rm", "--force", "--all")
    assert not own & links() and not own & tables()
    assert wait_until(lambda: servers(store.path) == [])


def inspect(store, name):
    return json.loads(store.ok("network", "inspect", name))[0]


def attached(store, name):
    return {domain["name"]: domain for domain in inspect(store, name)["domains"]}


def assert_refused(result, status, *words):
    assert result.returncode == status, result
    assert all(word in result.stderr for word in words), result.stderr
    assert len(re.sub("\n  hint: .*", "", result.stderr).splitlines()) == 1, result.stderr


# -- definitions ---------------------------------------------------------------------------------------------

def test_definitions(store):
    assert store.ok("network", "create", "front", "--subnet", "10.201.4.0/22", "--internal", "--label", "team=a=b") == "front\n"
    store.ok("network", "create", "back")
    assert store.ok("network", "ls", "--quiet").split() == ["back", "front"]
    table = [line.split() for line in store.ok("network", "ls").splitlines()]
    assert table[0] == ["NAME", "SUBNET", "DOMAINS", "INTERNAL"] and table[2] == ["front", "10.201.4.0/22", "0", "yes"]
    front = inspect(store, "front")
    assert (front["gateway"], front["labels"], front["up"], front["domains"]) == ("10.201.4.1", {"team": "a=b"}, False, [])
    assert [n["name"] for n in json.loads(store.ok("network", "ls", "--json"))] == ["back", "front"]
    assert store.ok("network", "rm", "front", "back").split() == ["front", "back"]
    assert store.ok("network", "ls", "-q") == ""


def test_names_are_completed(store):
    for name in ("wide", "west", "east"):
        store.ok("network", "create", name)
    script = f'source <("{VISOR}" completion bash); COMP_WORDS=("{VISOR}" network rm we); COMP_CWORD=3; _visor; echo "${{COMPREPLY[*]}}"'
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=store.environment(), check=True)
    assert result.stdout == "west\n"


def test_found_subnets_do_not_overlap(store):
    for i in range(4):
        store.ok("network", "create", f"n{i}")
    subnets = [n["subnet"] for n in json.loads(store.ok("network", "ls", "--json"))]
    assert len(set(subnets)) == 4
    assert_refused(store.run("network", "create", "other", "--subnet", subnets[0].replace(".0/24", ".64/27")), 1, "n0")


def test_a_subnet_of_the_host_is_refused(store):
    routes = [line.split() for line in pathlib.Path("/proc/net/route").read_text().splitlines()[1:]]
    own = next((route for route in routes if route[7] != "00000000"), None)
    if not own:
        pytest.skip("the host has no route of its own")
    address = ".".join(str(b) for b in reversed(bytes.fromhex(own[1])))
    bits = min(max(bin(int(own[7], 16)).count("1"), 8), 29)
    assert_refused(store.run("network", "create", "own", "--subnet", f"{address}/{bits}"), 1, "host has a route")


@pytest.mark.parametrize("words, status, said", [
    (["create"], 2, "name the network"),
    (["create", "a", "b"], 2, "too many words"),
    (["create", "a.b"], 2, "no name for a network"),
    (["create", "user"], 2, "kind of network"),
    (["create", "a", "--subnet", "10.1.2.3/24"], 2, "bits beyond"),
    (["create", "a", "--subnet", "10.1.2.0/31"], 2, "8 to 29"),
    (["create", "a", "--subnet", "127.0.0.0/24"], 2, "not for hosts"),
    (["create", "a", "--subnet", "here"], 2, "no subnet"),
    (["create", "a", "--label", "x"], 2, "NAME=VALUE"),
    (["rm", "none-such"], 1, 'no network "none-such"'),
    (["inspect", "none-such"], 1, 'no network "none-such"'),
    (["ls", "--internal"], 2, "for create"),
    (["inspect", "--json", "a"], 2, "for ls"),
    (["alter"], 2, "create, ls, inspect and rm"),
    ([], 2, "create, ls, inspect or rm"),
])
def test_bad_input(store, words, status, said):
    assert_refused(store.run("network", *words), status, said)


@needs_network
@with_busybox
def test_stores_do_not_take_each_others_subnets(store, root, tmp_path):
    other = Store(tmp_path / "other", None)
    for each in (store, other):
        each.ok("network", "create", "back", "--subnet", f"{OWN}.0/24")
    store.ok("run", "-d", "--name", "web", "--net", "back", root, "sleep", "1000")
    assert_refused(other.run("run", "--net", "back", root, "true"), 126, "host has a route")
    assert not inspect(other, "back")["up"]
    store.ok("rm", "-f", "web")
    other.ok("run", "--net", "back", root, "true")


def test_one_of_a_name(store):
    store.ok("network", "create", "a")
    assert_refused(store.run("network", "create", "a"), 1, "already")
    commands = [subprocess.Popen([VISOR, "network", "create", "b"], env=store.environment(), stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE) for _ in range(8)]
    assert sorted(command.wait() for command in commands) == [0] + 7 * [1]


@with_busybox
@pytest.mark.parametrize("options, status, said", [
    (["--net", "back"], 126, 'no network "back"'),
    (["--net", "back,colour=red"], 2, "colour"),
    (["--net", "back,ip=1.2.3"], 2, "1.2.3"),
    (["--net", "back,vhost=on"], 2, "a container has none"),
    (["--net", "host", "--net", "user"], 2, "goes with no other"),
    (["--net", "none", "-p", "80:80"], 2, "no ports"),
    (["--net", "tap"], 2, "tap"),
    (["-p", "80"], 2, "8080:80"),
    (["-p", "1.2.3.4.5:80:80"], 2, "1.2.3.4.5"),
    (["-p", "80:99999"], 2, "99999"),
])
def test_bad_networks_of_domains(store, root, options, status, said):
    assert_refused(store.run("run", *options, root, "true"), status, said)
    assert store.check_whole() == set()


# -- the user network ----------------------------------------------------------------------------------------

@pytest.fixture
def web_server():
    """Serves "from the host" at 127.0.0.1."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from the host")

        def log_message(self, *arguments):
            pass

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def free_port():
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return probe.getsockname()[1]


def fetch(port, address="127.0.0.1", path="/"):
    """What a server at a port of the host says, as soon as it does."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            with socket.create_connection((address, port), timeout=TIMEOUT) as connection:
                connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                text = b""
                while piece := connection.recv(65536):
                    text += piece
                if text:
                    return text.split(b"\r\n\r\n", 1)[1].decode()
        except OSError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


# Asks a server until it is there, and once.
GET = "get() { for i in $(seq 300); do wget -qO- http://$1/ 2>/dev/null && return; sleep 0.1; done; }; "
ONCE = "timeout 2 wget -qO- http://%s/; exit $?"  # by a shell, since a first process has no default actions
SERVE = "mkdir /dev/shm/www; echo hello from $(hostname) >/dev/shm/www/index.html; httpd -f -p 80 -h /dev/shm/www"


@as_root
@with_busybox
def test_user_network(store, root, web_server):
    said = store.ok("run", root, "sh", "-c", f"ip addr show eth0; ip route; cat /etc/resolv.conf /etc/hosts; wget -qO- http://10.0.2.2:{web_server}/")
    assert "inet 10.0.2.15/24" in said and "default via 10.0.2.2" in said and "nameserver 10.0.2.3" in said
    assert re.search(r"10.0.2.15\t[a-z]+-[a-z]+", said) and said.endswith("from the host")


@as_root
@with_busybox
def test_user_network_has_ipv6(store, root):
    """At once: nobody waits for a router's word, or whether another has the address."""
    with socket.socket(socket.AF_INET6) as listener:
        try:
            listener.bind(("::1", 0))
        except OSError:
            pytest.skip("this host has no IPv6")
        listener.listen()
        listener.settimeout(TIMEOUT)
        port = listener.getsockname()[1]
        store.ok("run", "-d", "--name", "six", root, "sh", "-c", f"ip -6 addr show eth0; ip -6 route; echo word | nc -w 30 fec0::2 {port}")
        with listener.accept()[0] as connection:
            connection.settimeout(TIMEOUT)
            assert connection.makefile().readline() == "word\n"
    said = store.ok("logs", "six")
    assert "inet6 fec0::f/64" in said and "default via fec0::2" in said


@as_root
@with_busybox
def test_user_network_takes_and_gives_much(store, root):
    """More than any buffer on the way holds, both ways at once, through segments of all sizes."""
    port = free_port()
    store.ok("run", "-d", "--name", "echo", "-p", f"127.0.0.1:{port}:7", root, "nc", "-ll", "-p", "7", "-e", "cat")
    data = random.Random(1).randbytes(8 << 20)
    deadline = time.monotonic() + TIMEOUT
    while True:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
            try:
                connection.sendall(b"x")
                if connection.recv(1):
                    break
            except ConnectionError:
                pass
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        def send():
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        back = b""
        while piece := connection.recv(1 << 16):
            back += piece
        sender.join()
    assert back == data


@as_root
@with_busybox
def test_user_network_publishes(store, root):
    port = free_port()
    store.ok("run", "-d", "--name", "web", "-p", f"{port}:80", root, "sh", "-c", SERVE)
    assert fetch(port) == "hello from web\n"
    assert_refused(store.run("run", "-p", f"{port}:80", root, "true"), 126, str(port), "use")
    store.ok("rm", "-f", "web")
    assert_refused(store.run("run", "--rm", "-p", f"127.0.0.1:{port}:80", "--net", "user,restrict,colour=red", root, "true"), 2, "colour")


@as_root
@with_busybox
def test_files_that_are_not_overlaid(store, root, tmp_path):
    own = tmp_path / "own"
    own.write_text("mine\n")
    assert store.ok("run", "--volume", f"{own}:/etc/hosts", root, "cat", "/etc/hosts") == "mine\n"
    assert store.ok("run", "--net", "host", root, "cat", "/etc/resolv.conf") == pathlib.Path("/etc/resolv.conf").read_text()
    assert store.ok("run", "--net", "none", "--hostname", "lonely", root, "sh", "-c", "cat /etc/hostname; hostname; ls /sys/class/net") == "lonely\nlonely\nlo\n"


@as_root
@with_busybox
def test_a_bundle_keeps_its_network(store, root, tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    subprocess.run([VISOR, "oci", "spec"], cwd=bundle, check=True)
    document = json.loads((bundle / "config.json").read_text())
    document["root"]["path"] = str(root)
    document["process"]["terminal"] = False
    document["process"]["args"] = ["ls", "/sys/class/net"]
    (bundle / "config.json").write_text(json.dumps(document))
    assert store.ok("run", bundle).split() == ["lo"]
    assert store.ok("run", "--net", "user", bundle).split() == ["eth0", "lo"]
    assert "eth0" not in store.ok("run", "--net", "none", bundle).split()


@as_root
@with_busybox
def test_user_network_of_an_ordinary_user(store, root, tmp_path, web_server):
    """Who may not open the host's tap device is told so, and has none."""
    user = pwd.getpwnam("nobody")
    place = pathlib.Path("/tmp") / f"visor-test-{os.getpid()}"
    shutil.copytree(root, place / "tree", symlinks=True)
    for path in [place, *place.rglob("*")]:
        os.lchown(path, user.pw_uid, user.pw_gid)
    environment = {"PATH": os.environ["PATH"], "HOME": str(place), "VISOR_STORE": str(place / "store")}
    mode = os.stat("/dev/net/tun").st_mode
    try:
        for allowed in (False, True):
            os.chmod("/dev/net/tun", 0o666 if allowed else 0o600)
            result = subprocess.run([VISOR, "run", place / "tree", "sh", "-c",
                                     f"ls /sys/class/net; timeout 5 wget -qO- http://10.0.2.2:{web_server}/"],
                                    env=environment, user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/",
                                    capture_output=True, text=True, timeout=TIMEOUT)
            if "may not make user namespaces" in result.stderr:
                pytest.skip("users may make no namespaces here")
            if allowed:
                assert (result.stdout, result.stderr) == ("eth0\nlo\nfrom the host", "")
            else:
                assert result.stdout == "lo\n" and "the container has no network: " in result.stderr
        named = subprocess.run([VISOR, "network", "create", "mine"], env=environment, user=user.pw_uid, capture_output=True, text=True)
        assert named.stdout == "mine\n"
        result = subprocess.run([VISOR, "run", "--net", "mine", place / "tree", "true"], env=environment, user=user.pw_uid,
                                group=user.pw_gid, extra_groups=[], cwd="/", capture_output=True, text=True)
        assert_refused(result, 126, "need root", "--net user")
    finally:
        os.chmod("/dev/net/tun", mode & 0o777)
        shutil.rmtree(place)


# -- named networks: containers ------------------------------------------------------------------------------

@needs_network
@with_busybox
def test_two_containers_reach_each_other(store, root):
    store.ok("network", "create", "back", "--subnet", f"{OWN}.0/24")
    store.ok("run", "-d", "--name", "db", "--net", f"back,alias=sql,ip={OWN}.77", root, "sh", "-c", SERVE)
    assert attached(store, "back")["db"]["address"] == f"{OWN}.77" and inspect(store, "back")["up"]
    assert store.ok("inspect", "-f", "networks.back.address", "db") == f"{OWN}.77\n"
    said = store.ok("run", "--name", "web", "--net", "back", root, "sh", "-c",
                    GET + "ip addr show eth0; ip route; cat /etc/resolv.conf /etc/hosts; for n in db sql DB.back.visor.internal; do"
                    f" ping -c 1 -W 5 $n >/dev/null && get $n; done; nslookup {OWN}.77; nslookup nobody; true")
    assert f"inet {OWN}.2/24" in said and f"link/ether {OWN_MAC}:02" in said and f"default via {OWN}.1" in said
    assert f"search back.visor.internal\nnameserver {OWN}.1\n" in said and f"{OWN}.2\tweb\n" in said
    assert said.count("hello from db\n") == 3
    assert "name = db.back.visor.internal" in said and "NXDOMAIN" in said
    assert_refused(store.run("network", "rm", "back"), 1, "db is attached")
    assert_refused(store.run("run", "--net", f"back,ip={OWN}.77", root, "true"), 126, "the address of db")
    assert_refused(store.run("run", "--net", f"back,ip={OWN}.1", root, "true"), 126, f"{OWN}.1")
    assert_refused(store.run("run", "--net", f"back,mac={OWN_MAC}:4d", root, "true"), 126, "db has that")
    assert "link/ether 02:00:00:00:00:09" in store.ok("run", "--net", "back,mac=02:00:00:00:00:09", root, "ip", "link")
    store.ok("rm", "-f", "db")
    assert not inspect(store, "back")["up"] and servers(store.path) == []
    store.ok("network", "rm", "back")


# Asks a server at argv[1] for the addresses of argv[2] by TCP, and prints the answer's code and how many there are.
ASK = """
import socket, struct, sys, time
name = b"".join(bytes([len(label)]) + label.encode() for label in sys.argv[2].split("."))
query = struct.pack(">6H", 0x1234, 0x100, 1, 0, 0, 0) + name + b"\\0" + struct.pack(">2H", int(sys.argv[3]), 1)
with socket.create_connection((sys.argv[1], 53), timeout=60) as s:
    framed = struct.pack(">H", len(query)) + query
    for byte in framed[:5]:
        s.sendall(bytes([byte]))
        time.sleep(0.01)
    s.sendall(framed[5:])
    answer = b""
    while piece := s.recv(65536):
        answer += piece
        if len(answer) > 2 and len(answer) >= 2 + struct.unpack(">H", answer[:2])[0]:
            break
print(len(answer) == 2 + struct.unpack(">H", answer[:2])[0], answer[2:4].hex(), answer[5] & 15, struct.unpack(">H", answer[8:10])[0])
"""


@needs_network
@with_busybox
def test_names_by_tcp(store, root):
    """The network's own, and what a resolver of the host's says, which is the test's."""
    store.ok("network", "create", "back")
    store.ok("run", "-d", "--name", "web", "--net", "back", root, "sleep", "1000")
    gateway = inspect(store, "back")["gateway"]
    enter = ["nsenter", "-t", str(container_process(store, "web")), "-n", "python3", "-c", ASK, gateway]

    def ask(name, kind=1):
        return subprocess.run([*enter, name, str(kind)], capture_output=True, text=True, timeout=TIMEOUT, check=True).stdout.split()

    assert ask("web") == ["True", "1234", "0", "1"]
    assert ask("nobody") == ["True", "1234", "3", "0"]
    with socket.create_server(("127.0.0.77", 53)) as resolver:
        leases = store.path / "run/networks/back/leases.json"
        document = json.loads(leases.read_text())
        document["resolvers"] = ["127.0.0.77"]
        leases.with_name("x").write_text(json.dumps(document))
        leases.with_name("x").rename(leases)

        def serve():
            connection, _ = resolver.accept()
            with connection:
                size = int.from_bytes(connection.recv(2, socket.MSG_WAITALL), "big")
                query = connection.recv(size, socket.MSG_WAITALL)
                record = b"\xc0\x0c\0\x10\0\1\0\0\0\5\0\xfb\xfa" + 250 * b"t"
                said = query[:2] + b"\x81\x80\0\1" + (200).to_bytes(2, "big") + 4 * b"\0" + query[12:] + 200 * record
                connection.sendall(len(said).to_bytes(2, "big") + said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert ask("big.example.org", 16) == ["True", "1234", "0", "200"]
        thread.join()
    assert ask("big.example.org", 16) == ["True", "1234", "2", "0"]  # nobody listens any more
    flood = "import socket, sys; held = [socket.create_connection((sys.argv[1], 53)) for _ in range(40)]; held[0].settimeout(60); held[0].recv(1)"
    subprocess.run([*enter[:5], "-c", flood, gateway], check=True, timeout=TIMEOUT)
    assert ask("web") == ["True", "1234", "0", "1"]


@needs_network
@with_busybox
def test_names_come_and_go(store, root):
    store.ok("network", "create", "back")
    look = "for i in $(seq 600); do nslookup late >/dev/null 2>&1 && break; sleep 0.1; done; echo FOUND; " \
           "for i in $(seq 600); do nslookup late >/dev/null 2>&1 || break; sleep 0.1; done; echo LOST; sleep 1000"
    store.ok("run", "-d", "--name", "web", "--net", "back", root, "sh", "-c", look)
    store.ok("run", "-d", "--name", "late", "--net", "back", root, "sleep", "1000")
    store.wait_for_log("web", "FOUND")
    store.ok("kill", "late")
    store.wait_for_log("web", "LOST")
    store.ok("start", "late")
    assert set(attached(store, "back")) == {"web", "late"}


@needs_network
@with_busybox
def test_published_ports(store, root):
    """From the host by all of its addresses, and from neighbours; taken ones are refused."""
    port, other = free_port(), free_port()
    own = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    store.ok("network", "create", "back")
    store.ok("run", "-d", "--name", "web", "--net", "back", "-p", f"{port}:80", "-p", f"127.0.0.1:{other}:80", root, "sh", "-c", SERVE)
    addresses = ["127.0.0.1", *(a for a in own if ":" not in a)]
    for address in addresses:
        assert fetch(port, address) == "hello from web\n"
    assert fetch(other) == "hello from web\n"
    gateway = inspect(store, "back")["gateway"]
    store.ok("network", "create", "front")
    for network in ("back", "front"):
        assert store.ok("run", "--net", network, root, "timeout", "5", "wget", "-qO-", f"http://{gateway}:{port}/") == "hello from web\n"
    assert store.run("run", "--net", "back", root, "sh", "-c", ONCE % f"{gateway}:{other}").returncode != 0
    for network in ("back", "front", "user"):
        assert_refused(store.run("run", "--net", network, "-p", f"{port}:80", root, "true"), 126, str(port))
    with socket.socket() as mine:
        mine.bind(("0.0.0.0", 0))
        mine.listen()
        assert_refused(store.run("run", "--net", "back", "-p", f"{mine.getsockname()[1]}:80", root, "true"), 126, "another program")
    assert attached(store, "back")["web"]["ports"] == [f"0.0.0.0:{port}:80/tcp", f"127.0.0.1:{other}:80/tcp"]


ECHO = """
#include <netinet/in.h>
#include <sys/socket.h>
int main(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7)}, from;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    char data[2000];
    bind(fd, (struct sockaddr *)&at, sizeof at);
    for (;;) {
        socklen_t length = sizeof from;
        ssize_t size = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &length);
        sendto(fd, data, size, 0, (struct sockaddr *)&from, length);
    }
}
"""


@needs_network
@with_busybox
@pytest.mark.parametrize("network", ["back", "user"])
def test_published_udp(store, root, tmp_path, network):
    (tmp_path / "echo.c").write_text(ECHO)
    subprocess.run(["gcc", "-static", "-o", tmp_path / "echo", tmp_path / "echo.c"], check=True)
    port = free_port()
    store.ok("network", "create", "back")
    store.ok("run", "-d", "--name", "echo", "--net", network, "-p", f"{port}:7/udp", "--volume", f"{tmp_path}:/srv", root, "/srv/echo")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        for _ in range(2 * TIMEOUT):
            try:
                client.sendto(b"there and back", ("127.0.0.1", port))
                assert client.recv(100) == b"there and back"
                break
            except (TimeoutError, ConnectionRefusedError):
                pass
        else:
            pytest.fail("no answer")



@needs_network
@with_busybox
def test_networks_are_apart(store, root):
    """Domains of two networks do not reach each other, those of an internal one nothing outside."""
    for name, options in (("one", []), ("two", []), ("closed", ["--internal"])):
        store.ok("network", "create", name, *options)
        store.ok("run", "-d", "--name", f"in-{name}", "--net", name, root, "sh", "-c", SERVE)
    addresses = {name: attached(store, name)[f"in-{name}"]["address"] for name in ("one", "two", "closed")}
    for name, address in addresses.items():
        store.ok("run", "--net", name, root, "sh", "-c", GET + f"get {address}")
    for name, address in addresses.items():
        for other in addresses:
            result = store.run("run", "--net", other, root, "sh", "-c", ONCE % address)
            assert (result.returncode == 0) == (name == other), (name, other, result)
    assert "default" not in store.ok("run", "--net", "closed", root, "ip", "route")
    assert "NXDOMAIN" in store.run("run", "--net", "closed", root, "nslookup", "example.com").stdout
    both = store.ok("run", "--net", "closed", "--net", "two", root, "sh", "-c",
                    GET + f"ip route; get {addresses['closed']}; get {addresses['two']}")
    names = store.ok("run", "--net", "closed", "--net", "two", "--net", "user,mac=02:00:00:00:00:07", root, "sh", "-c",
                     GET + "get in-two; get in-closed; ip link show eth2; cat /etc/resolv.conf")
    assert "hello from in-two\nhello from in-closed\n" in names and "02:00:00:00:00:07" in names
    assert "search closed.visor.internal two.visor.internal\n" in names
    assert "dev eth1" in re.search("default .*", both)[0] and "hello from in-closed\nhello from in-two\n" in both


@needs_network
@with_busybox
def test_the_way_outside(store, root, tmp_path):
    """A namespace that is connected to the host stands for the world: it sees the host's address."""
    def ip(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True)

    name = f"vt{os.getpid()}"
    ip("netns", "add", name)
    server = None
    try:
        ip("link", "add", f"{name}h", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", f"{OWN}.1/30", "dev", f"{name}h")
        ip("link", "set", f"{name}h", "up")
        ip("-n", name, "addr", "add", f"{OWN}.2/30", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        code = (f"import socket; s=socket.create_server(('{OWN}.2', 80)); print('up', flush=True)\n"
                "while True:\n c,a=s.accept(); c.sendall(a[0].encode()); c.close()")
        server = subprocess.Popen(["ip", "netns", "exec", name, "python3", "-c", code], stdout=subprocess.PIPE)
        server.stdout.readline()
        store.ok("network", "create", "back")
        store.ok("network", "create", "closed", "--internal")
        assert store.ok("run", "--net", "back", root, "nc", "-w", "5", f"{OWN}.2", "80") == f"{OWN}.1"
        assert store.run("run", "--net", "closed", root, "nc", "-w", "2", f"{OWN}.2", "80").stdout == ""
        store.ok("run", "-d", "--name", "web", "--net", "back", root, "sh", "-c", SERVE)
        address = attached(store, "back")["web"]["address"]
        ip("-n", name, "route", "add", "default", "via", f"{OWN}.1")
        reach = f"import socket; socket.create_connection(('{address}', 80), timeout=2)"
        assert subprocess.run(["ip", "netns", "exec", name, "python3", "-c", reach], capture_output=True).returncode != 0
    finally:
        if server:
            server.kill()
            server.wait()
        subprocess.run(["ip", "netns", "del", name])


@needs_network
@with_busybox
def test_a_domain_cannot_send_in_anothers_name(store, root):
    store.ok("network", "create", "back")
    store.ok("run", "-d", "--name", "web", "--net", "back", root, "sleep", "1000")
    enter = ["nsenter", "-t", str(container_process(store, "web")), "-n"]
    own, gateway = attached(store, "back")["web"]["address"], inspect(store, "back")["gateway"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
        host.bind((gateway, 0))
        host.settimeout(TIMEOUT)
        for address in (f"{OWN}.99", "127.0.0.1", own):
            subprocess.run([*enter, "ip", "addr", "add", f"{address}/32", "dev", "lo"], capture_output=True)
            send = ("import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
                    f"s.bind(('{address}', 0)); s.sendto(b'x', ('{gateway}', {host.getsockname()[1]}))")
            subprocess.run([*enter, "python3", "-c", send], capture_output=True)
        assert host.recvfrom(10)[1][0] == own  # and none before


# -- named networks: machines --------------------------------------------------------------------------------

@needs_network
@with_busybox
def test_a_machine_and_two_containers(store, root, tmp_path):
    kernel = GuestKernel()
    dhcp = "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip addr add $ip/$mask dev eth0\nip route add default via $router\n" \
           "echo search $domain >/etc/resolv.conf\necho nameserver $dns >>/etc/resolv.conf\nhostname $hostname\n"
    script = (f"load {' '.join(DISK[:-1] + NET)}; mkdir -p /etc; cat >/tmp/dhcp <<'END'\n{dhcp}END\nchmod +x /tmp/dhcp; "
              "ip link set lo up; ip link set eth0 up; udhcpc -i eth0 -s /tmp/dhcp -n -q; hostname; wget -qO- http://web/; ping -c 1 db; "
              "echo MACHINE-ASKED; mkdir /www; echo hello from the machine >/www/index.html; httpd -f -p 80 -h /www")
    initrd = kernel.initrd(tmp_path, script)
    port = free_port()
    store.ok("network", "create", "back")
    store.ok("run", "-d", "--name", "web", "--net", "back", root, "sh", "-c", SERVE)
    store.ok("run", "-d", "--name", "db", "--net", "back", root, "sleep", "1000")
    store.ok("run", "--net", "back", root, "sh", "-c", GET + "get web")
    store.ok("run", "-d", "--name", "old", "--net", "back",
             "-p", f"{port}:80", "--memory", "256M", "--kernel", kernel.image, "--initrd", initrd, "--append", "console=ttyS0 quiet")
    store.wait_for_log("old", "MACHINE-ASKED")
    log = store.ok("logs", "old")
    assert "hello from web" in log and "1 packets received" in log and "\nold" in log.replace("\r", "")
    said = store.ok("run", "--net", "back", root, "sh", "-c", GET + "get old; ping -c 1 -W 5 old | grep received")
    assert "hello from the machine" in said and "1 packets received" in said
    assert fetch(port) == "hello from the machine\n"
    assert set(attached(store, "back")) == {"web", "db", "old"}
    store.ok("kill", "old")
    assert set(attached(store, "back")) == {"web", "db"}


# -- faults --------------------------------------------------------------------------------------------------

def kill_domain(store, name):
    process = store.state(name)["pid"]
    os.kill(process, signal.SIGKILL)
    assert wait_until(lambda: not lives(process))


def bridges(store):
    return [n["bridge"] for n in json.loads(store.ok("network", "ls", "--json"))]


@needs_network
@with_busybox
def test_what_is_killed_leaves_nothing(store, root):
    store.ok("network", "create", "back")
    bridge, = bridges(store)
    port = free_port()
    for name in ("one", "two"):
        store.ok("run", "-d", "--name", name, "--net", "back", *(["-p", f"{port}:80"] if name == "one" else []), root, "sh", "-c", SERVE)
    kill_domain(store, "one")
    store.ok("ps")
    assert set(attached(store, "back")) == {"two"} and bridge in tables() and len(servers(store.path)) == 1
    ports = subprocess.run([NFT, "list", "table", "inet", bridge], capture_output=True, text=True).stdout
    assert f"dport {port}" not in ports
    kill_domain(store, "two")
    store.ok("ps")
    assert bridge not in links() and bridge not in tables() and not (store.path / "run/networks/back").exists()
    assert wait_until(lambda: servers(store.path) == [])


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@needs_network
@with_busybox
@pytest.mark.parametrize("content", ["", "{", '{"network": 5}'])
def test_a_damaged_list_of_leases(store, root, content):
    store.ok("network", "create", "back")
    store.ok("run", "-d", "--name", "one", "--net", "back", root, "sleep", "1000")
    kill_domain(store, "one")
    (store.path / "run/networks/back/leases.json").write_text(content)
    store.ok("ps")
    assert not set(bridges(store)) & links() and not set(bridges(store)) & tables()
    store.ok("run", "--net", "back", root, "true")
    store.ok("network", "rm", "back")


@needs_network
@with_busybox
def test_the_networks_process_is_started_again(store, root):
    store.ok("network", "create", "back")
    store.ok("run", "-d", "--name", "db", "--net", "back", root, "sleep", "1000")
    server, = servers(store.path)
    status = pathlib.Path(f"/proc/{server}/status").read_text()
    assert "CapBnd:\t0000000000000000" in status and "CapEff:\t0000000000000000" in status and "Seccomp:\t2" in status
    os.kill(server, signal.SIGKILL)
    assert wait_until(lambda: servers(store.path) == [])
    store.ok("ps")
    assert store.ok("run", "--net", "back", root, "ping", "-c", "1", "-W", "5", "db")
    assert len(servers(store.path)) == 1


@needs_network
@with_busybox
def test_random_kills(store, root):
    """Commands and domains are killed at random moments; the next command sets all right."""
    choose = random.Random(5)
    store.ok("network", "create", "back")
    for turn in range(int(os.environ.get("VISOR_FAULTS", "30"))):
        command = subprocess.Popen([VISOR, "run", "-d", "--name", f"d{turn}", "--net", "back", "-p", f"{free_port()}:80", root, "sleep", "1000"],
                                   env=store.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(choose.random() * 0.08)
        children = re.findall(r"\d+", subprocess.run(["pgrep", "-f", f"^{VISOR} run -d --name d{turn} "], capture_output=True, text=True).stdout)
        for process in choose.sample(children, len(children)):
            try:
                os.kill(int(process), signal.SIGKILL)
            except ProcessLookupError:
                pass
        command.communicate()
        store.ok("ps")
        running = store.ok("ps", "--format", "{{.Name}}").split()
        assert set(attached(store, "back")) <= set(running)
        if turn % 25 == 24:
            store.run("rm", "--force", "--all")
    store.run("rm", "--force", "--all")
    bridge, = bridges(store)
    assert bridge not in links() and bridge not in tables()
    assert wait_until(lambda: servers(store.path) == [])


@needs_network
@with_busybox
def test_many_at_once(store, root):
    store.ok("network", "create", "back")
    commands = [subprocess.Popen([VISOR, "run", "-d", "--name", f"d{i}", "--net", "back", root, "sleep", "1000"],
                                 env=store.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for i in range(20)]
    results = [(command.communicate()[1], command.returncode) for command in commands]
    assert [r for r in results if r != ("", 0)] == []
    domains = attached(store, "back").values()
    assert len({d["address"] for d in domains}) == len({d["mac"] for d in domains}) == 20
    said = store.ok("run", "--net", "back", root, "sh", "-c", "for i in $(seq 0 19); do ping -c 1 -W 5 d$i >/dev/null || echo lost d$i; done")
    assert said == ""


@needs_network
@with_busybox
def test_a_restarted_domain_is_attached_anew(store, root):
    store.ok("network", "create", "back")
    store.ok("run", "-d", "--name", "web", "--net", "back", "--restart", "on-failure:1", root, "sh", "-c", "nslookup web | grep -c web.back.visor.internal; exit 3")
    store.wait_for_status("web", "exited")
    assert store.ok("logs", "web").split() == ["1", "1"] and not inspect(store, "back")["up"]
