#!/usr/bin/env python3
"""seeds.py NAME SRCDIR DIR: writes the seeds of fuzz_NAME, made from the recordings, into DIR."""

import base64
import hashlib
import json
import pathlib
import struct
import sys


def recordings(wire, *folders):
    for folder in folders:
        for path in sorted((wire / folder).glob("*.json")):
            yield json.loads(path.read_text())


def der(wire, vectors):
    """Messages, and what was decrypted from them."""
    for recording in recordings(wire, "exchanges", "errors"):
        for message in recording["messages"]:
            yield bytes.fromhex(message["hex"])
            for part in message.get("decrypted", []):
                if part.get("plain"):
                    yield bytes.fromhex(part["plain"])
    for recording in recordings(wire, "gss"):
        for part in recording.get("decrypted", []):
            if part.get("plain"):
                yield bytes.fromhex(part["plain"])
    for line in (vectors / "der-mit.txt").read_text().splitlines():
        if not line.startswith("#"):
            yield bytes.fromhex(line.split()[1])


def fnv(data):
    value = 14695981039346656037
    for byte in data:
        value = ((value ^ byte) * 1099511628211) % 2**64
    return value


def beside(wire, vectors):
    """Files beside a credentials cache, whole, in two slots and in halves; values alone."""
    def record(kind, key, value, until=0):
        return struct.pack(">BBHHq", kind, 0, len(key), len(value), until) + key + value

    def slot(sequence, *records):
        body = b"".join(records)
        head = b"kerbside" + struct.pack(">HHIQ", 1, 0, len(body), sequence)
        return head + struct.pack(">Q", fnv(head + body)) + body

    text = b"KDC 192.0.2.1 refused"
    pause = struct.pack(">QQQBiIH", 1795462400, 1795463300, 900, 0, 24, 0, len(text)) + text
    hint = struct.pack(">iH", 18, 9) + b"TESTalice" + struct.pack(">HI", 4, 4096)
    kdc = struct.pack(">Q", 1795462400) + b"tcp\nkdc any kdc 88\t1\tudp\t192.0.2.1\t1000\t500\t0\t0\n"
    records = [record(1, b"", bytes(range(64))), record(2, b"", bytes(88)),
               record(3, b"alice@TEST\0" + bytes(32), pause, 1795464200),
               record(16, b"alice@TEST", hint), record(17, b"TEST", kdc),
               record(18, b"HTTP@www", b"OTHER.TEST")]
    yield from (pause, hint, kdc)
    for number in range(len(records) + 1):
        one = slot(number + 1, *records[:number])
        yield one
        yield one.ljust(16384, b"\0") + slot(number, *records[::-1])
        yield one[:-1]


def ccache(wire, vectors):
    for path in sorted((wire / "files").glob("*.ccache")):
        yield path.read_bytes()


def kcm(wire, vectors):
    """Answers of a KCM daemon, with the number of what they answer (in fuzz_kcm.c) in front."""
    def answer(what, body, code=0):
        body = struct.pack(">l", code) + body
        return bytes([what]) + struct.pack(">LL", len(body), 0) + body

    def principal_end(data, at):
        count, realm = struct.unpack_from(">LL", data, at + 4)
        at += 12 + realm
        for _ in range(count):
            at += 4 + struct.unpack_from(">L", data, at)[0]
        return at

    yield answer(0, b"1000:mine\0")
    yield answer(1, bytes(range(64)))
    yield answer(3, b"\xff\xff\xff\xf9")
    yield answer(4, b"", -1765328188)
    for path in sorted((wire / "files").glob("*.ccache")):
        data = path.read_bytes()
        if data[:2] != b"\x05\x04":
            continue
        start = 4 + struct.unpack_from(">H", data, 2)[0]
        end = principal_end(data, start)
        yield answer(2, data[start:end] + b"\0")
        yield answer(4, data[end:])
        yield answer(5, struct.pack(">LL", 1, len(data) - end) + data[end:])


def keytab(wire, vectors):
    for path in sorted((wire / "files").glob("*.keytab")):
        yield path.read_bytes()


def token(wire, vectors):
    """Per-message tokens and framed context tokens."""
    for recording in recordings(wire, "gss"):
        for message in recording.get("context_tokens", []) + recording.get("per_message", []):
            yield bytes.fromhex(message.get("hex") or message.get("token"))


def iov(wire, vectors):
    """Lists: shape, kinds and lengths of the pieces, their bytes; then a recorded token."""
    for number, seed in enumerate(token(wire, vectors)):
        kinds = [number % 2, 0, 1][: number % 4]
        lens = [7 * number % 50, 16, 3]
        yield (bytes([number % 32, len(kinds)]) + b"".join(map(bytes, zip(kinds, lens)))
               + bytes(sum(lens[: len(kinds)])) + seed)


def token_v1(wire, vectors):
    """Those of RFC 1964, whole and behind places where a list is cut."""
    for recording in recordings(wire, "gss"):
        for message in recording.get("per_message", []):
            if message["token_id"] in ("0101", "0201"):
                seed = bytes.fromhex(message["token"])
                yield seed
                yield bytes([45, 8, 8, 8, 1]) + seed


def ap(wire, vectors):
    """Answers to an AP-REQ, and what they hold encrypted."""
    for recording in recordings(wire, "gss"):
        for message in recording.get("context_tokens", [])[1:]:
            if "krb5_message_len" in message:
                start = message["krb5_message_hex_offset"]
                yield bytes.fromhex(message["hex"])[start : start + message["krb5_message_len"]]
        for part in recording.get("decrypted", []):
            if part["what"].startswith("EncAPRepPart") and part.get("plain"):
                yield bytes.fromhex(part["plain"])


def decode(wire, vectors):
    """All of them, as bytes, in hexadecimal and in Base64, to be shown as text and as JSON."""
    for seeds in (ccache, der, keytab, token):
        for number, seed in enumerate(seeds(wire, vectors)):
            yield bytes([2 + number % 2]) + seed
            if number % 7 == 0:
                yield bytes([number % 2]) + seed.hex().encode()
                yield b"\0Authorization: Negotiate " + base64.b64encode(seed)


def tlv(tag, content):
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 128 + len(octets)]) + octets + content


def substitute(der, old, new):
    """DER in which every primitive value `old` is `new`."""
    out, at = b"", 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length > 128:
            octets = length - 128
            length, at = int.from_bytes(der[at : at + octets], "big"), at + octets
        content, at = der[at : at + length], at + length
        if tag & 0x20:
            content = substitute(content, old, new)
        out += tlv(tag, new if content == old else content)
    return out


def unsealed(message, recording):
    """A reply to fuzz_fetch's client for its service, its encrypted part in clear."""
    fields = message["fields"]
    nonce = fields.get("enc_part", {}).get("nonce", 0) & 0xFFFFFFFF
    names = [(nonce.to_bytes(4, "big"), b"\1\1\1\1")]
    names += [(recording["client_principal"].split("@")[0].encode(), b"u18")]
    names += [(recording["realm"].encode(), b"MIT.TEST")]
    sname = fields.get("ticket", {}).get("sname", "krbtgt/").split("/")
    if sname[0] != "krbtgt" and len(sname) == 2:
        names += [(sname[0].encode(), b"s18"), (sname[1].encode(), b"srv.mit.test")]

    def renamed(der):
        for old, new in names:
            der = substitute(der, old, new)
        return der

    der = bytes.fromhex(message["hex"])
    for part in message.get("decrypted", []):
        if part["what"].endswith("-REP enc-part") and part.get("plain"):
            der = substitute(der, cipher_of(der), renamed(bytes.fromhex(part["plain"])))
    return renamed(der)


def cipher_of(reply):
    """The last OCTET STRING of a KDC-REP."""
    for length in range(16, len(reply)):
        if reply.endswith(tlv(4, reply[-length:])):
            return reply[-length:]
    return reply


def fetch(wire, vectors):
    """The answers of KDCs, each behind its length in two bytes, as fuzz_fetch reads them."""
    for recording in recordings(wire, "exchanges", "errors"):
        for convert in (lambda message, _: bytes.fromhex(message["hex"]), unsealed):
            seed = b""
            for message in recording["messages"]:
                if message["sender"] == "kdc" and message["fields"].get("error_code") != 52:
                    answer = convert(message, recording)
                    seed += len(answer).to_bytes(2, "big") + answer
            yield b"\0" + seed
            yield b"\x17" + seed


def options(wire, vectors):
    """What README and manual show, and the traps; the first letter says which reader it is for."""
    oid = "1.3.6.1.4.1.32473.88.1"
    items = (
        "User=alice@EXAMPLE.ORG Password=file:/etc/kerbside/password",
        'Password="a b\\"c\\x5d" KDCHost="kdc1 tcp/kdc2:750,udp/[::1\\x5d:88" EncryptionTypes=aes,-aes128-cts',
        "KeytabFile=FILE:%{credentials}/keytab ForUser=%www-data Timeout=5 UseTCP=yes Config=~/x",
    )
    for item in items:
        yield f"mkerbside {oid} kerbside.so [{item}] <interposer>\r\n".encode()
        yield f"m#\n \nkerbside {{{oid}}} k.so - [{item}]<interposer>".encode()
        yield f"Mkerbside {oid} kerbside.so [{item}] <interposer>\r\n kerbside {oid} x".encode()
        yield b"s" + item.replace(" ", "\n").encode()
        yield b"s+" + item.replace(" ", "\n+").encode()
    yield (
        b"sUser=CORP.TEST/alice\n+CredentialsCacheFile=FILE:/c\nNameType=enterprise\nSPN=HTTP/www@R\n"
        b"FirewallHost=proxy\nFirewallData=A: b\n+UseIPv6=True\nLocalHost=fe80::1%eth0\nTicketLife=1d2h\n"
        b"PacketCapture=/x\nLogFile=stderr\nMaxIterations=4097\nQOSTrafficType=Voice\nUDPLimit=1"
    )
    for words in (b"kdc kdc:88 10.0.0.1:750 [::1]:88 ::1 tcp/k udp/[fe80::1%2]:1 unix:/run/kdc https://x/",
                  b"CORP.TEST/alice", b"alice@upn.example@R", b"a\\@b@C"):
        yield b"w" + words
    for reader in (b"c", b"C"):
        yield (
            reader + b"# options\nUser = alice@R\nPassword = \"x y\"\n[target HTTP@*.corp.example, program */curl]\n"
            b"Timeout=5\ninclude more\n[client a[b,c]?, user %wheel]\nKeytabFile = /x\n[x\nFirewallPort = 1\n"
        )
    yield (
        b"kinclude /x\nmodule y:z\n[libdefaults]*\n default_realm = A\n[realms]\n A = {\n  kdc = k1:88\n"
        b"  kdc = tcp/k2\n  primary_kdc = k3\n  x = {\n y = \"z\\n\"\n }\n }*\n[domain_realm]\n .example.org = A\n"
        b"[libdefaults]\n A = {\n  ticket_lifetime = 7-10:30:00\n }\n forwardable = nil\n"
    )


def tunnel(wire, vectors):
    """Answers of proxies to CONNECT; and, behind a NUL, header lines and the name of a KDC."""
    for line in ("200 Connection established", "200", "407 Proxy Authentication Required", "502 b\xffd"):
        for fields in ("", "Via: x\r\n", "A: 1\r\n folded\r\nContent-Length: 5\r\n"):
            yield f"HTTP/1.1 {line}\r\n{fields}\r\n".encode("latin-1")
    yield b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\nServer: x\n\n"
    for data in ("", "Proxy-Authorization: Basic YTpi", "A: 1\r\nB: 2\\r\\nC: 3\\nD:\n\n", "Host: x"):
        for host in ("kdc.example.com", "192.0.2.1", "2001:db8::1", "a b"):
            yield f"\0{data}\0{host}".encode()


def http(wire, vectors):
    """Answers of KDC proxies, behind the size of the pieces in which they come."""
    bodies = [b"", b"\x30\x09\xa0\x07\x04\x05\0\0\0\x01x", b"<html>"]
    for path in sorted((wire / "kkdcp").glob("*.json")):
        for message in json.loads(path.read_text())["messages"]:
            bodies.append(bytes.fromhex(message["kdc_proxy_message"]))
    for number, body in enumerate(bodies):
        piece, length = bytes([number % 7]), f"{len(body)}".encode()
        yield piece + b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n" + body
        yield piece + b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n" + body
        yield (piece + b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
               + f"{len(body):x};a=b\r\n".encode() + body + b"\r\n0\r\nX: y\r\n\r\n")
    yield b"\0HTTP/1.1 302 Found\r\nLocation: https://x/\r\nX: a\r\n b\r\n\r\n"


def dns(wire, vectors):
    """Answers with records of each type, with compressed and whole names, by RFC 1035 4.1."""
    def name(text):
        return b"".join(bytes([len(p)]) + p.encode() for p in text.split(".") if p) + b"\0"

    def answer(kind, *data):
        question = name("_kerberos._udp.a.test") + bytes([kind >> 8, kind & 255, 0, 1])
        records = b"".join(b"\xc0\x0c" + bytes([kind >> 8, kind & 255, 0, 1, 0, 0, 1, 44, 0, len(d)]) + d
                           for d in data)
        return b"\x12\x34\x81\x80\0\1\0" + bytes([len(data)]) + b"\0\0\0\0" + question + records

    numbers = b"\0\1\0\2\0\x58"
    yield b"\1" + answer(33, numbers + name("kdc.a.test"), numbers + b"\3two\xc0\x1b", numbers + b"\0")
    yield b"\1" + answer(33, numbers + b"\xc0\x0c", numbers + b"\xc0\x40")
    yield b"\2" + answer(256, b"\0\1\0\2krb5srv:m:udp:kdc.a.test", b"\0\1\0\0krb5srv::kkdcp:https://p/K")
    yield b"\0" + answer(16, b"\6A.TEST", b"\6A.TEST\3abc")
    yield b"\0" + answer(5, name("b.test"))


def keyring(wire, vectors):
    """Names of KEYRING: caches, and indexes of collections."""
    for anchor in ("persistent:1000", "user:a", "session:a", "process:", "thread:a", "legacy:a"):
        yield anchor.encode()
        yield anchor.encode() + b":krb_ccache_a1B2c3D"
    for name in (b"tkt", b"krb_ccache_a1B2c3D"):
        yield struct.pack(">II", 1, len(name)) + name


SEEDS = {
    "ap": ap,
    "beside": beside,
    "ccache": ccache,
    "decode": decode,
    "der": der,
    "dns": dns,
    "fetch": fetch,
    "http": http,
    "iov": iov,
    "keyring": keyring,
    "keytab": keytab,
    "options": options,
    "token": token,
    "token_v1": token_v1,
    "tunnel": tunnel,
}


def main():
    name, srcdir, directory = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    directory.mkdir(parents=True, exist_ok=True)
    if name in SEEDS:
        for seed in SEEDS[name](srcdir / "tests/wire", srcdir / "tests/vectors"):
            (directory / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


main()
