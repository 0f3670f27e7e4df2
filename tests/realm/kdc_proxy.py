#!/usr/bin/python3
"""KDC proxies over HTTPS ([MS-KKDCP]) for tests.

As a program: kdcproxy (the one that FreeIPA has) under wsgiref:  kdc_proxy.py PORT CERT KEY
As a module: start() starts that; Proxy, in this process, asks a real KDC and answers as a test wants."""
import os
import socket
import ssl
import sys
import threading


def start(realm, certificate):
    """The program in front of the realm's KDC: its port. Raises ImportError where there is no
    kdcproxy."""
    import kdcproxy     # noqa: F401

    from kdc import write
    from process import free_port
    port = free_port()
    config = write(realm.path("kdcproxy.conf"), f"[global]\nuse_dns = false\n[{realm.name}]\n"
                   f"kerberos = kerberos+tcp://{realm.kdc_host}\n")
    child = realm.start([sys.executable, os.path.abspath(__file__), str(port), *certificate],
                        "kdcproxy.out", env=dict(os.environ, KDCPROXY_CONFIG=config))
    child.wait_for_tcp(port)
    return port


def _read_exactly(stream, count):
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def unwrap(body):
    """The framed message and the rest of a KDC-PROXY-MESSAGE, by hand: no code of ours."""
    def take(data, tag):
        assert data[0] == tag, data[:8].hex()
        length, at = data[1], 2
        if length & 0x80:
            at += length & 0x7f
            length = int.from_bytes(data[2:at], "big")
        return data[at:at + length], data[at + length:]
    inner, behind = take(body, 0x30)
    assert not behind
    message, rest = take(inner, 0xa0)
    return take(message, 0x04)[0], rest


def wrap(framed):
    def put(tag, data):
        size = len(data).to_bytes((len(data).bit_length() + 7) // 8, "big")
        length = size if len(data) < 128 else bytes([0x80 | len(size)]) + size
        return bytes([tag]) + length + data
    return put(0x30, put(0xa0, put(0x04, framed)))


def good(body):
    return (b"HTTP/1.1 200 OK\r\nContent-Type: application/kerberos\r\nContent-Length: "
            + str(len(body)).encode() + b"\r\n\r\n" + body)


class Proxy:
    """Asks the KDC at `kdc_port`. answer(body) makes what is sent of a KDC-PROXY-MESSAGE; keep=False
    closes each connection after one answer. heads: of the requests; connections: their number."""

    def __init__(self, kdc_port, certificate, answer=good, keep=True, raw=None, **context):
        self.kdc_port, self.answer, self.keep, self.raw = kdc_port, answer, keep, raw
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        for name, value in context.items():
            setattr(self.context, name, value)
        self.heads, self.realms, self.names, self.connections = [], [], [], 0
        self.context.sni_callback = lambda _, name, __: self.names.append(name)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            with client:
                if self.raw is not None:    # no TLS at all
                    client.recv(4096)
                    client.sendall(self.raw)
                    if self.raw:
                        client.recv(4096)
                    return
                with self.context.wrap_socket(client, server_side=True) as stream:
                    while self.one(stream) and self.keep:
                        pass
        except (OSError, EOFError):
            pass

    def one(self, stream):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += _read_exactly(stream, 1)
        self.heads.append(head.decode())
        length = int(head.lower().split(b"content-length:")[1].split()[0])
        framed, rest = unwrap(_read_exactly(stream, length))
        self.realms.append(rest)
        with socket.create_connection(("127.0.0.1", self.kdc_port)) as kdc:
            kdc.sendall(framed)
            prefix = _read_exactly(kdc, 4)
            reply = prefix + _read_exactly(kdc, int.from_bytes(prefix, "big"))
        answer = self.answer(wrap(reply))
        for piece in [answer] if isinstance(answer, bytes) else answer:
            stream.sendall(piece)
        return True


def main(port, certificate, key):
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIServer, make_server

    import kdcproxy

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    server = make_server("127.0.0.1", port, kdcproxy.Application(), Server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:4])
