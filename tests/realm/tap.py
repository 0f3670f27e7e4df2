"""A KDC's address that passes every datagram on to the real KDC, and keeps what went by: what a test
says of a request is what was on the wire. UDP on loopback."""
import calendar
import os
import select
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "hostile"))
from krb import elements, fields, number, read_name, split, tlv, value  # noqa: E402

FORWARDABLE, FORWARDED, PROXIABLE = 0x40000000, 0x20000000, 0x10000000
RENEWABLE, CANONICALIZE = 0x00800000, 0x00010000


def _flags(encoded):
    return int.from_bytes(value(encoded)[1:5], "big")


def _time(encoded):
    return calendar.timegm(time.strptime(value(encoded).decode(), "%Y%m%d%H%M%SZ"))


class Request:
    """One KDC-REQ. kind: "AS" or "TGS"; the rest as RFC 4120 5.4.1 names it, None where absent."""

    def __init__(self, message):
        tag, inner, _ = split(message)
        whole = fields(inner)
        body = fields(whole[4])
        self.kind = {0x6a: "AS", 0x6c: "TGS"}[tag]
        self.padata = [number(fields(tlv(0x30, e))[1]) for _, e in elements(value(whole[3]))]
        self.options = _flags(body[0])
        self.cname = read_name(body[1]) if 1 in body else None
        self.cname_type = number(fields(body[1])[0]) if 1 in body else None
        self.realm = value(body[2]).decode()
        self.sname = read_name(body[3])
        self.etypes = [number(tlv(tag, e)) for tag, e in elements(value(body[8]))]
        self.till = _time(body[5])
        self.rtime = _time(body[6]) if 6 in body else None
        self.addresses = [(number(f[0]), value(f[1])) for f in
                          (fields(tlv(0x30, e)) for _, e in elements(value(body[9])))] \
            if 9 in body else None

    @property
    def proof(self):
        return 2 in self.padata


class Tap:
    """with Tap(port) as tap: ... KDCHost={tap.kdc_host} ...; tap.requests. before, if given, is called
    with each request before it goes on. edit, if given, gets each reply and returns the one to send,
    or None for silence."""

    def __init__(self, port, edit=None, address="127.0.0.1", before=None):
        self.to, self.edit, self.before, self.messages = (address, port), edit, before, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.kdc_host = f"udp/{address}:{self.socket.getsockname()[1]}"
        self.over, self.end = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        clients = {}    # our socket to the KDC -> who asked
        while True:
            ready, _, _ = select.select([self.socket, self.over, *clients], [], [])
            for s in ready:
                if s == self.over:
                    for c in clients:
                        c.close()
                    return
                if s == self.socket:
                    message, client = s.recvfrom(65536)
                    self.messages.append(message)
                    if self.before:
                        self.before(message)
                    onward = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    clients[onward] = client
                    onward.sendto(message, self.to)
                else:
                    reply = s.recv(65536)
                    reply = self.edit(reply) if self.edit else reply
                    if reply is not None:
                        self.socket.sendto(reply, clients[s])

    @property
    def requests(self):
        return [Request(m) for m in self.messages]

    def close(self):
        os.write(self.end, b"x")
        self.thread.join()
        self.socket.close()
        os.close(self.over)
        os.close(self.end)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
