"""A KDC and a service on loopback that answer one client rightly, except for what a case bends: its
`edit` functions get the fields of a message before it is encoded or encrypted, its `wire` functions
what is about to be sent. What the client really was told under encryption is kept for the judge."""
import calendar
import os
import select
import socket
import struct
import time

import krb
from krb import (Seq, bits, date, decrypt, encrypt, encrypted_data, fields, integer, number, octets,
                 pa_data, principal_name, read_name, sequence, split, string, tlv, value)

REALM = "HOSTILE.TEST"
CLIENT = ("alice",)
SERVICE = ("HTTP", "host.hostile.test")
PASSWORD = b"correct horse"
SALT = (REALM + "alice").encode()
ROUNDS = 4096
ETYPE = 18
_keys = {}


def client_key(etype=ETYPE, salt=SALT, rounds=None):
    rounds = rounds or (ROUNDS if etype in (17, 18) else 32768)
    key = (etype, salt, rounds)
    if key not in _keys:
        _keys[key] = krb.string_to_key(etype, PASSWORD, salt, rounds)
    return _keys[key]


TGS_KEY = bytes(range(32))
SERVICE_KEY = bytes(range(100, 132))


def keytab():
    """Version 2, one entry for each of the four enctypes."""
    out = b"\5\2"
    for etype in krb.SIZES:
        key = client_key(etype)
        parts = [REALM.encode()] + [c.encode() for c in CLIENT]
        entry = struct.pack(">H", len(CLIENT)) + b"".join(struct.pack(">H", len(p)) + p for p in parts)
        entry += struct.pack(">IIBHH", 1, 1, 1, etype, len(key)) + key
        out += struct.pack(">i", len(entry)) + entry
    return out


def krb_error(code, stage="as", e_data=None, e_text=None, stime=None, susec=1, realm=REALM,
              sname=("krbtgt", REALM), client=True):
    return Seq(("pvno", 0, integer(5)), ("msg-type", 1, integer(30)),
               ("stime", 4, date(time.time() if stime is None else stime)), ("susec", 5, integer(susec)),
               ("error-code", 6, integer(code)),
               ("crealm", 7, string(REALM) if client else None),
               ("cname", 8, principal_name(1, *CLIENT) if client else None),
               ("realm", 9, string(realm)), ("sname", 10, principal_name(2, *sname)),
               ("e-text", 11, None if e_text is None else string(e_text)),
               ("e-data", 12, None if e_data is None else octets(e_data)), app=30)


class How:
    """How a part is encrypted."""
    def __init__(self, etype, key, usage, kvno=None):
        self.etype, self.key, self.usage, self.kvno = etype, key, usage, kvno
        self.said = None            # the etype that the message names

    def seal(self, plain):
        return encrypted_data(self.etype if self.said is None else self.said,
                              encrypt(self.etype, self.key, self.usage, plain), self.kvno)


class Kdc:
    """One per worker; `case` changes from run to run."""

    def __init__(self):
        self.case = None
        self.reset(None)

    def reset(self, case):
        self.case = case
        self.seen = []              # "as", "proof", "tgs" in the order they came
        self.proofs = []            # (index of the KDC, outcome)
        self.told = {}              # what the encrypted parts said
        self.tickets = {}           # ticket bytes -> session key, as made by us
        self.start = time.monotonic()
        self.sent = 0

    # --- bending ---

    def edit(self, stage, thing):
        for when, how in (self.case.edits if self.case else ()):
            if when == stage:
                new = how(thing)
                thing = thing if new is None else new
        return thing

    # --- messages ---

    def answer(self, request, index=0, tcp=False):
        tag = request[0]
        f = fields(split(request)[1])
        body = fields(f[4])
        stage = {0x6a: "as", 0x6c: "tgs"}[tag]
        padata = {}
        for _, entry in elements_of(f.get(3)):
            e = fields(tlv(0x30, entry))
            padata[number(e[1])] = value(e[2])
        self.index, self.tcp, self.request = index, tcp, request
        self.body, self.padata = body, padata
        if stage == "as":
            stage = "proof" if 2 in padata else "as"
        self.seen.append(stage)
        self.nth = self.seen.count(stage)
        if stage == "proof":
            self.proofs.append(index)
        whole = self.edit("answer-" + stage, None)
        if whole is not None:
            return whole
        return self.as_answer() if stage != "tgs" else self.tgs_answer()

    def preauth_required(self):
        pas = [pa_data(19, sequence(krb.info2_entry(ETYPE, SALT))), pa_data(2, b""),
               pa_data(133, b"cookie")]
        pas = self.edit("preauth-list", pas)
        error = krb_error(25, e_data=sequence(*pas))
        return self.edit("preauth-bytes", self.edit("preauth", error).encode())

    def key_for(self):
        """The client's strongest enctype that we have; ETYPE unless the case says otherwise."""
        return self.case.etype or ETYPE if self.case else ETYPE

    def as_answer(self):
        if 2 not in self.padata and not (self.case and self.case.no_preauth):
            return self.preauth_required()
        if 2 in self.padata:
            f = fields(self.padata[2])
            try:
                stamp = decrypt(number(f[0]), client_key(number(f[0])), 1, value(f[2]))
                assert fields(stamp)
            except (ValueError, KeyError):
                self.told["bad proof"] = True
                return krb_error(24, e_data=sequence(pa_data(19, sequence(
                    krb.info2_entry(ETYPE, SALT))))).encode()
        etype = self.key_for()
        return self.reply("as", How(etype, client_key(etype), 3, 1), ("krbtgt", REALM), 25, TGS_KEY)

    def tgs_answer(self):
        req = fields(split(self.padata[1])[1])
        try:                    # what was bent on the way is no ticket of ours
            session, until = self.tickets[req[3]]
            auth = fields(split(decrypt_field(req[4], session, 7))[1])
        except (KeyError, ValueError):
            return krb_error(31).encode()
        usage, key = 8, session
        etype = ETYPE
        if 6 in auth:
            sub = fields(auth[6])
            usage, etype, key = 9, number(sub[0]), value(sub[1])
        self.session = session
        self.subkey = key
        sname = read_name(self.body[3])
        where = TGS_KEY if sname[0] == "krbtgt" else SERVICE_KEY
        return self.reply("tgs", How(etype, key, usage), sname, 26, where, until)

    def reply(self, stage, how, sname, app, server_key, until=None):
        now = int(time.time())
        until = until or now + 3600
        asked = calendar.timegm(time.strptime(value(self.body[5]).decode(), "%Y%m%d%H%M%SZ"))
        until = min(until, asked) if asked > now else until
        nonce = number(self.body[7])
        session = os.urandom(32)
        ticket_part = Seq(("flags", 0, bits(0x40e00000)),
                          ("key", 1, Seq(("keytype", 0, integer(18)),
                                         ("keyvalue", 1, octets(session))).encode()),
                          ("crealm", 2, string(REALM)), ("cname", 3, principal_name(1, *CLIENT)),
                          ("transited", 4, Seq(("tr-type", 0, integer(1)),
                                               ("contents", 1, octets(b""))).encode()),
                          ("authtime", 5, date(now)), ("endtime", 7, date(until)), app=3)
        seal = How(18, server_key, 2, 1)
        realm = value(self.body[2])
        ticket = Seq(("tkt-vno", 0, integer(5)), ("realm", 1, string(realm)),
                     ("sname", 2, principal_name(2, *sname)),
                     ("enc-part", 3, seal.seal(ticket_part.encode())), app=1)
        part = Seq(("key", 0, Seq(("keytype", 0, integer(18)),
                                  ("keyvalue", 1, octets(session))).encode()),
                   ("last-req", 1, sequence(Seq(("lr-type", 0, integer(0)),
                                                ("lr-value", 1, date(now))).encode())),
                   ("nonce", 2, integer(nonce)), ("key-expiration", 3, None),
                   ("flags", 4, bits(0x40e00000 if stage == "as" else 0x40a00000)),
                   ("authtime", 5, date(now)), ("starttime", 6, date(now)),
                   ("endtime", 7, date(until)),
                   ("renew-till", 8, None),
                   ("srealm", 9, string(realm)), ("sname", 10, principal_name(2, *sname)), app=app)
        part = self.edit(stage + "-enc", part)
        how = self.edit(stage + "-how", how)
        ticket = self.edit(stage + "-ticket", ticket).encode()
        self.tickets[ticket] = session, until
        plain = self.edit(stage + "-plain", part.encode())
        padata = None
        if stage == "as":
            padata = sequence(pa_data(19, sequence(krb.info2_entry(how.etype, SALT))))
        rep = Seq(("pvno", 0, integer(5)), ("msg-type", 1, integer(11 if stage == "as" else 13)),
                  ("padata", 2, padata), ("crealm", 3, string(REALM)),
                  ("cname", 4, principal_name(1, *CLIENT)), ("ticket", 5, ticket),
                  ("enc-part", 6, how.seal(plain)), app=11 if stage == "as" else 13)
        return self.edit(stage + "-bytes", self.edit(stage + "-rep", rep).encode())


def elements_of(encoded):
    return krb.elements(value(encoded)) if encoded else []


def decrypt_field(encoded, key, usage):
    f = fields(encoded)
    return decrypt(number(f[0]), key, usage, value(f[2]))


# --- the service ------------------------------------------------------------------------------------

KRB5_OID = bytes.fromhex("06092a864886f712010202")
SPNEGO_OID = bytes.fromhex("06062b0601050502")


def framed(token_id, message, oid=KRB5_OID):
    return tlv(0x60, oid + token_id + message)


def spnego_open(token):
    """The mechanism token in a NegTokenInit."""
    tag, inner, _ = split(token)
    assert tag == 0x60 and inner.startswith(SPNEGO_OID)
    init = fields(split(inner[len(SPNEGO_OID):])[1])
    return value(init[2])


def spnego_close(token, state=0):
    rows = [("negState", 0, tlv(0x0a, bytes([state]))), ("supportedMech", 1, KRB5_OID),
            ("responseToken", 2, None if token is None else octets(token))]
    return tlv(0xa1, Seq(*rows).encode())


class Refused(Exception):
    """The service does not take it: the KRB-ERROR's code."""


class Service:
    def __init__(self, kdc):
        self.kdc = kdc
        self.reset()

    def reset(self):
        self.told = {}
        self.taken = False

    def read(self, token):
        """What the AP-REQ proves: RFC 4120 3.2.3."""
        tag, inner, _ = split(token)
        assert tag == 0x60 and inner.startswith(KRB5_OID)
        inner = inner[len(KRB5_OID):]
        assert inner[:2] == b"\1\0"
        req = fields(split(inner[2:])[1])
        try:
            ticket = fields(split(req[3])[1])
            part = fields(split(decrypt_field(ticket[3], SERVICE_KEY, 2))[1])
            session = value(fields(part[1])[1])
            auth = fields(split(decrypt_field(req[4], session, 11))[1])
        except Exception:
            raise Refused(31)
        self.session = session
        self.client = (value(auth[1]).decode("latin-1"), read_name(auth[2]))
        if self.client != (value(part[2]).decode("latin-1"), read_name(part[3])):
            raise Refused(36)
        self.ctime, self.cusec = value(auth[5]), number(auth[4])
        self.auth = auth
        sub = fields(auth[6]) if 6 in auth else None
        self.mic_key = (number(sub[0]), value(sub[1])) if sub else (18, session)
        self.acceptor_subkey = False

    def answer(self, token, spnego):
        edit = self.kdc.edit
        self.kdc.reflect = token
        try:
            self.read(spnego_open(token) if spnego else token)
            self.taken = True
        except Refused as no:
            out = framed(b"\3\0", krb_error(no.args[0], sname=SERVICE).encode())
            return spnego_close(out, 2) if spnego else out
        subkey = os.urandom(32)
        part = Seq(("ctime", 0, tlv(0x18, self.ctime)), ("cusec", 1, integer(self.cusec)),
                   ("subkey", 2, Seq(("keytype", 0, integer(18)),
                                     ("keyvalue", 1, octets(subkey))).encode()),
                   ("seq-number", 3, integer(0x12345678)), app=27)
        self.initiator_key = self.mic_key
        plain = edit("ap-plain", edit("ap-enc", part).encode())
        try:                    # the context's key is what the client can read there
            sub = fields(fields(split(plain)[1])[2])
            self.mic_key = (number(sub[0]), value(sub[1]))
            self.acceptor_subkey = True
        except Exception:                                       # noqa: BLE001
            pass
        how = edit("ap-how", How(18, self.session, 12))
        rep = Seq(("pvno", 0, integer(5)), ("msg-type", 1, integer(15)),
                  ("enc-part", 2, how.seal(plain)), app=15)
        message = edit("ap-bytes", edit("ap-rep", rep).encode())
        out = edit("ap-token", framed(b"\2\0", message))
        return edit("ap-outer", spnego_close(out) if spnego else out)

    def mic_is_right(self, mic):
        """RFC 4121 4.2.6.1: signed by the initiator with the context's key."""
        etype, key = self.mic_key
        header = mic[:16]
        flags = 4 if self.acceptor_subkey else 0
        if header[:3] != b"\4\4" + bytes([flags]) or header[3:8] != b"\xff" * 5:
            return False
        return mic[16:] == krb.checksum(etype, key, 25, b"hello" + header)


# --- sockets ----------------------------------------------------------------------------------------


class Sockets:
    """UDP and TCP on one loopback port per KDC; every message goes to kdc.answer, whose value is sent:
    bytes, None, or a list of ("send", b), ("stray", b), ("raw", b), ("wait", s), ("close",), ..."""

    def __init__(self, kdc, num=1):
        self.kdc, self.udp, self.tcp, self.ports, self.conns = kdc, [], [], [], {}
        self.later = []                                 # (when, function)
        while len(self.ports) < num:
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            udp.bind(("127.0.0.1", 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            tcp.listen(16)
            self.udp.append(udp)
            self.tcp.append(tcp)
            self.ports.append(udp.getsockname()[1])
        self.stray = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.stray.bind(("127.0.0.1", 0))

    def files(self):
        return self.udp + self.tcp + list(self.conns)

    def reset(self):
        self.later.clear()
        for conn in list(self.conns):
            self.drop(conn)
        for udp in self.udp:
            try:
                while udp.recv(65536, socket.MSG_DONTWAIT):
                    pass
            except BlockingIOError:
                pass

    def drop(self, conn):
        self.conns.pop(conn, None)
        conn.close()

    def timeout(self):
        if not self.later:
            return 0.5
        return max(0, min(when for when, _ in self.later) - time.monotonic())

    def tick(self):
        now = time.monotonic()
        due = [act for when, act in self.later if when <= now]
        self.later = [entry for entry in self.later if entry[0] > now]
        for act in due:
            act()

    def handle(self, sock):
        if sock in self.udp:
            try:
                data, peer = sock.recvfrom(65536)
            except OSError:
                return
            index = self.udp.index(sock)
            self.send(self.kdc.answer(data, index, False), lambda b: self._udp(sock, b, peer), peer, None)
        elif sock in self.tcp:
            conn, _ = sock.accept()
            self.conns[conn] = [self.tcp.index(sock), b""]
            whole = self.kdc.edit("accept", None)
            if whole is not None:
                self.send(whole, lambda b: self._tcp(conn, b), None, conn)
        else:
            self.receive(sock)

    def receive(self, conn):
        try:
            data = conn.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.drop(conn)
            return
        entry = self.conns[conn]
        entry[1] += data
        while len(entry[1]) >= 4:
            size = struct.unpack(">I", entry[1][:4])[0]
            if len(entry[1]) < 4 + size:
                break
            message, entry[1] = entry[1][4:4 + size], entry[1][4 + size:]
            self.send(self.kdc.answer(message, entry[0], True), lambda b: self._tcp(conn, b), None, conn)

    @staticmethod
    def _udp(sock, data, peer):
        try:
            sock.sendto(data, peer)
        except OSError:
            pass

    def _tcp(self, conn, data):
        self._raw(conn, struct.pack(">I", len(data)) + data)

    def _raw(self, conn, data):
        if conn not in self.conns:
            return
        conn.setblocking(False)
        try:
            conn.sendall(data)
        except OSError:
            self.drop(conn)

    def endless(self, conn, piece, pause):
        """The piece again and again, until the other side has had enough."""
        def more():
            if conn in self.conns:
                try:
                    conn.setblocking(False)
                    self.kdc.sent += conn.send(piece)
                except BlockingIOError:
                    pass
                except OSError:
                    self.drop(conn)
                    return
                self.later.append((time.monotonic() + pause, more))
        more()

    def send(self, actions, put, peer, conn):
        if actions is None:
            return
        if isinstance(actions, bytes):
            actions = [("send", actions)]
        delay = 0.0
        for action in actions:
            act = self._act(action, put, peer, conn)
            if action[0] == "wait":
                delay += action[1]
            elif delay:
                self.later.append((time.monotonic() + delay, act))
            else:
                act()

    def _act(self, action, put, peer, conn):
        kind = action[0]
        data = action[1] if len(action) > 1 else None
        if kind == "send":
            return lambda: put(data)
        if kind == "stray":                 # from another port
            return lambda: peer and self._udp(self.stray, data, peer)
        if kind == "raw":
            return lambda: conn and self._raw(conn, data)
        if kind == "endless":
            return lambda: conn and self.endless(conn, data, action[2])
        if kind == "close":
            return lambda: conn and self.drop(conn)
        if kind == "reset":
            def reset():
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.drop(conn)
            return lambda: conn and reset()
        return lambda: None


def wait_for(sockets, extra, timeout):
    ready, _, _ = select.select(sockets.files() + extra, [], [], timeout)
    return ready
