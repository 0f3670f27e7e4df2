"""A DNS server of a test's own: bind9 with zones that the test writes, in a network namespace (netns),
whose /etc/resolv.conf leads there."""
import os
import signal
import socket
import time

import netns
from kdc import program, write
from process import Child

NAMED = "/usr/sbin/named"
ADDRESS = "127.0.0.53"


def available():
    return program("named") or os.access(NAMED, os.X_OK)


class Named:
    """with Named(directory, {"a.test": "kdc IN A 127.0.0.1\\n..."}) as dns: dns.zone(...)"""

    def __init__(self, folder, zones, address=ADDRESS, ttl=3600):
        self.dir, self.address, self.ttl, self.serial = folder, address, ttl, 0
        self.zones = {}
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o755)
        for name, text in zones.items():
            self._write(name, text)

    def _write(self, name, text):
        self.serial += 1
        self.zones[name] = text
        write(os.path.join(self.dir, name), f"$ORIGIN {name}.\n$TTL {self.ttl}\n"
              f"@ IN SOA ns hostmaster {self.serial} 600 600 600 2\n@ IN NS ns\n"
              f"ns IN A {self.address}\n{text}", 0o644)

    def __enter__(self):
        # It listens at addresses of an interface only.
        netns.ip("address", "replace", self.address + "/32", "dev", "lo")
        zones = "".join(f'zone "{name}" {{ type master; file "{name}"; }};\n' for name in self.zones)
        write(os.path.join(self.dir, "named.conf"), f"""options {{
  directory "{self.dir}"; pid-file none; session-keyfile none; lock-file none;
  listen-on port 53 {{ {self.address}; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; notify no; minimal-responses yes;
  allow-query {{ any; }}; managed-keys-directory "{self.dir}";
}};
controls {{ }};
{zones}""", 0o644)
        self.child = Child([program("named") or NAMED, "-g", "-n", "1", "-c",
                            os.path.join(self.dir, "named.conf")], os.path.join(self.dir, "log"))
        self.child.wait_until(lambda: " running\n" in self.log(), "its last line of a start")
        self.child.wait_for_tcp(53, self.address)
        netns.resolver(self.address)
        return self

    def log(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as file:
            return file.read()

    def zone(self, name, text):
        """Another zone in the place of that one, from now on."""
        self._write(name, text)
        self.child.process.send_signal(signal.SIGHUP)
        self.child.wait_until(lambda: f"serial {self.serial}" in self.log(), "the new zone")

    def __exit__(self, *_):
        self.child.stop()


class Silent:
    """A DNS server that never answers; `seen` counts questions."""

    def __init__(self, address="127.0.0.54"):
        self.address = address

    def __enter__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.address, 53))
        netns.resolver(self.address)
        return self

    @property
    def seen(self):
        self.socket.setblocking(False)
        num = 0
        while True:
            try:
                self.socket.recv(2000)
            except BlockingIOError:
                return num
            num += 1

    def __exit__(self, *_):
        self.socket.close()


def questions(wire):
    """(name, type) of each question in what a netns.Sniffer saw, by UDP, in their order."""
    found = []
    for packet in wire.packets:
        if packet.dport == 53 and packet.proto == "udp" and len(packet.payload) > 12:
            data, at, labels = packet.payload, 12, []
            while at < len(data) and data[at]:
                labels.append(data[at + 1:at + 1 + data[at]].decode())
                at += 1 + data[at]
            kind = int.from_bytes(data[at + 1:at + 3], "big")
            found.append((".".join(labels),
                          {1: "A", 16: "TXT", 28: "AAAA", 33: "SRV", 256: "URI"}.get(kind, kind)))
    return found


def let_a_second_pass():
    """What is remembered is compared with the files once a second."""
    time.sleep(1.1)
