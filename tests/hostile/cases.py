"""The attacks, by what they bend. What must come out is what RFC 4120 demands of a client (section in
the comments), never what the plugin happens to do."""
import os
import random
import struct
import time

import krb
import mock
from krb import (Seq, bits, date, integer, octets, pa_data, principal_name, raw_date, sequence, split,
                 string, tlv)
from mock import CLIENT, REALM, SALT, SERVICE, krb_error
from runner import Case, Plain

TCP = "UseTCP=True"


def setting(name, encoded):
    def edit(seq):
        seq[name] = encoded() if callable(encoded) else encoded
    return edit


def adding(name, tag, encoded):
    return lambda seq: seq.add(name, tag, encoded() if callable(encoded) else encoded)


def attribute(name, what):
    def edit(thing):
        setattr(thing, name, what(thing) if callable(what) else what)
    return edit


def now(offset=0):
    return lambda: date(time.time() + offset)


# --- the form of every field ------------------------------------------------------------------------

def _nested(depth):
    data = b""
    for _ in range(depth):
        data = tlv(0x30, data)
    return data


GARBAGE = {
    "null": tlv(0x05), "boolean": tlv(0x01, b"\xff"), "empty-octets": octets(b""), "nothing": b"",
    "empty-integer": tlv(0x02), "long-integer": tlv(0x02, b"\x7f" + bytes(8)),
    "padded-integer": tlv(0x02, b"\0\0\5"), "deep": _nested(2000), "empty-sequence": sequence(),
    "indefinite": b"\x30\x80\0\0", "cut-length": b"\x04\x85\xff", "huge-length": b"\x04\x84\xff\xff\xff\xff",
    "long-tag": b"\x1f\xff\xff\xff\xff\x7f\0",
}


def _long_length(encoded):
    tag, inner, _ = split(encoded)
    return bytes([tag, 0x84]) + struct.pack(">I", len(inner)) + inner


def _indefinite(encoded):
    tag, inner, _ = split(encoded)
    return bytes([tag, 0x80]) + inner + b"\0\0"


def _row_edits(name):
    """Bends the row `name` of a Seq, each in another way."""
    def at(act):
        def edit(seq):
            if name in seq:
                act(seq, seq.index(name))
        return edit
    yield "drop", at(lambda seq, i: seq.rows.pop(i))
    yield "twice", at(lambda seq, i: seq.rows.insert(i, list(seq.rows[i])))
    yield "tag+1", at(lambda seq, i: seq.rows[i].__setitem__(1, seq.rows[i][1] + 1))
    yield "tag30", at(lambda seq, i: seq.rows[i].__setitem__(1, 30))
    yield "last", at(lambda seq, i: seq.rows.append(seq.rows.pop(i)))
    yield "trailing", at(lambda seq, i: seq.rows[i].__setitem__(2, seq.rows[i][2] + b"\5\0"))
    yield "long-length", at(lambda seq, i: seq.rows[i].__setitem__(2, _long_length(seq.rows[i][2])))
    yield "ber-length", at(lambda seq, i: seq.rows[i].__setitem__(2, _indefinite(seq.rows[i][2])))
    for kind, data in GARBAGE.items():
        yield kind, at(lambda seq, i, data=data: seq.rows[i].__setitem__(2, data))


STAGES = {
    "as-rep": "pvno msg-type padata crealm cname ticket enc-part",
    "as-enc": "key last-req nonce flags authtime starttime endtime srealm sname",
    "as-ticket": "tkt-vno realm sname enc-part",
    "tgs-rep": "pvno msg-type crealm cname ticket enc-part",
    "tgs-enc": "key last-req nonce flags authtime starttime endtime srealm sname",
    "tgs-ticket": "tkt-vno realm sname enc-part",
    "preauth": "pvno msg-type stime susec error-code crealm cname realm sname e-data",
    "ap-rep": "pvno msg-type enc-part",
    "ap-enc": "ctime cusec subkey seq-number",
}
# What a client may do without, or need not look into (a ticket's encryption is the service's), and
# what is not protected anyway (a KRB-ERROR).
LENIENT = {("as-rep", "padata"), ("as-ticket", "enc-part"), ("tgs-ticket", "enc-part"),
           ("as-enc", "last-req"), ("tgs-enc", "last-req"), ("as-enc", "starttime"), ("tgs-enc", "starttime"), ("ap-enc", "subkey"),
           ("ap-enc", "seq-number")}


def form():
    for stage, names in STAGES.items():
        for name in names.split():
            for kind, edit in _row_edits(name):
                loose = (stage, name) in LENIENT or stage == "preauth" or kind == "last"
                # a last field put last is where it was
                yield Case(f"form {stage} {name} {kind}", (stage, edit), expect="any" if loose else "fail",
                           options=TCP, secret="password" if stage == "preauth" else "keytab")
        for kind, edit in (("tail", attribute("tail", b"\5\0")), ("set", attribute("tag", 0x31)),
                           ("no-app", attribute("app", None)), ("app0", attribute("app", 0)),
                           ("app30", attribute("app", 29))):
            yield Case(f"form {stage} {kind}", (stage, edit), options=TCP,
                       expect="any" if stage == "preauth" else "fail",
                       secret="password" if stage == "preauth" else "keytab")


# --- the values -------------------------------------------------------------------------------------

def _key(etype, data):
    return Seq(("keytype", 0, integer(etype)), ("keyvalue", 1, octets(data))).encode()


DATES = ["20260230000000Z", "20261301000000Z", "20260101000060Z", "20260101250000Z", "2026010100000Z",
         "20260101000000", "20260101000000.5Z", "20260101000000+0100", "", "Z", "99999999999999Z",
         "00000000000000Z", "2026-01-01T00:00Z", "20260101000000Z\0", "2026010100000\u0660"]

NAMES = [("bob", principal_name(1, "bob")), ("admin", principal_name(1, "alice", "admin")),
         ("none", principal_name(1)), ("empty", principal_name(1, "")), ("upper", principal_name(1, "ALICE")),
         ("nul", principal_name(1, b"alice\0")), ("slash", principal_name(1, "alice/")),
         ("many", principal_name(1, *["a"] * 20000)), ("long", principal_name(1, b"a" * 60000)),
         ("krbtgt", principal_name(2, "krbtgt", REALM)), ("twice", principal_name(1, "alice", "alice"))]
REALMS = [("other", string("OTHER.TEST")), ("lower", string(REALM.lower())), ("empty", string("")),
          ("nul", string(REALM.encode() + b"\0")), ("cut", string(REALM[:-1])),
          ("long", string(b"R" * 60000)), ("control", string("HOSTILE.TEST\n\x1b[2J"))]
SERVERS = [("other", principal_name(2, "HTTP", "evil.hostile.test")), ("empty", principal_name(2)),
           ("krbtgt-other", principal_name(2, "krbtgt", "OTHER.TEST")),
           ("three", principal_name(2, *SERVICE, "x")), ("one", principal_name(2, "HTTP")),
           ("client", principal_name(1, *CLIENT)), ("case", principal_name(2, "http", SERVICE[1]))]


def values():
    def case(stage, name, what, edit, expect="fail", **more):
        more.setdefault("options", TCP)
        more.setdefault("secret", "keytab")
        return Case(f"value {stage} {name} {what}", (stage, edit), expect=expect, **more)

    for rep, msg in (("as", 11), ("tgs", 13)):
        outer, enc, ticket, how = rep + "-rep", rep + "-enc", rep + "-ticket", rep + "-how"
        for n in (4, 6, -1, 0, 1 << 31, -5, 261):
            yield case(outer, "pvno", n, setting("pvno", integer(n)))
        for n in (10, 11, 12, 13, 14, 15, 30, 0, 267):
            if n != msg:
                yield case(outer, "msg-type", n, setting("msg-type", integer(n)))
        for what, encoded in NAMES:
            yield case(outer, "cname", what, setting("cname", encoded))
        for what, encoded in REALMS:
            yield case(outer, "crealm", what, setting("crealm", encoded))
            yield case(enc, "srealm", what, setting("srealm", encoded))
            yield case(ticket, "realm", what, setting("realm", encoded))
            # both the same, but not the realm that was asked
            yield Case(f"value {rep} realm-both {what}", (enc, setting("srealm", encoded)),
                       (ticket, setting("realm", encoded)), options=TCP, secret="keytab")
        for what, encoded in SERVERS + NAMES[:-2]:
            yield case(enc, "sname", what, setting("sname", encoded))
            yield case(ticket, "sname", what, setting("sname", encoded))
        for n in (4, 6, 0, -1):
            yield case(ticket, "tkt-vno", n, setting("tkt-vno", integer(n)))
        # the nonce is modulo 2^32 (Heimdal's may be negative); nothing else may differ
        for what, change, expect in (
                ("+1", lambda n: n + 1, "fail"), ("zero", lambda n: 0, "fail"),
                ("negated", lambda n: -n, "fail"), ("-2^32", lambda n: n - (1 << 32), "any"),
                ("+2^32", lambda n: n + (1 << 32), "fail"), ("flip", lambda n: n ^ 0x40000000, "fail"),
                ("sign", lambda n: n ^ 0x80000000, "fail"), ("+2^64", lambda n: n + (1 << 64), "fail")):
            yield case(enc, "nonce", what,
                       lambda seq, change=change: seq.add("nonce", 2, integer(change(krb.number(seq["nonce"])))),
                       expect)
        for what, key in (("rc4", _key(23, bytes(16))), ("des", _key(1, bytes(8))), ("null", _key(0, b"")),
                          ("short", _key(18, bytes(16))), ("long", _key(17, bytes(32))),
                          ("empty", _key(18, b"")), ("big", _key(18, bytes(50000))),
                          ("negative", _key(-18, bytes(32))), ("max", _key((1 << 31) - 1, bytes(32))),
                          ("over", _key((1 << 32) + 18, bytes(32))), ("other", _key(16, bytes(24)))):
            yield case(enc, "key", what, setting("key", key))
        for what, flag in (("invalid", 0x01000000), ("postdated", 0x02000000)):
            yield case(enc, "flags", what, setting("flags", bits(0x40e00000 | flag)))
        for what, encoded, expect in (
                ("short", tlv(3, b"\0\x40"), "any"), ("long", tlv(3, b"\0" + b"\x40" + bytes(9)), "any"),
                ("empty", tlv(3, b""), "fail"), ("unused", tlv(3, b"\x09\x40"), "fail"),
                ("bare", tlv(3, b"\0"), "any"), ("huge", tlv(3, b"\0" + bytes(60000)), "any")):
            yield case(enc, "flags", what, setting("flags", encoded), expect)
        # RFC 4120 3.1.5: a ticket that has ended, ends later than asked, or is not valid yet
        for what, name, when, expect in (
                ("past", "endtime", -1000, "fail"), ("tomorrow", "endtime", 90000 + 86400, "fail"),
                ("year", "endtime", 365 * 86400, "fail"), ("before-start", "endtime", -1, "fail"),
                ("future", "starttime", 1800, "fail"), ("soon", "starttime", 310, "fail"),
                ("skewed", "starttime", 60, "any"), ("long-ago", "starttime", -86400, "any")):
            yield case(enc, name, what, setting(name, now(when)), expect)
        for what, text in (("1970", "19700101000000Z"), ("9999", "99991231235959Z"), ("1900", "19000101000000Z"),
                           ("0", "00010101000000Z"), ("2038", "20380119031408Z"), ("2106", "21060207062816Z")):
            yield case(enc, "endtime", what, setting("endtime", raw_date(text)))
            yield case(enc, "authtime", what, setting("authtime", raw_date(text)), "any")
            yield case(enc, "renew-till", what, adding("renew-till", 8, raw_date(text)), "any")
            for both in ("starttime", "endtime"):
                yield Case(f"value {enc} authtime+{both} {what}", (enc, setting("authtime", raw_date(text))),
                           (enc, setting(both, raw_date(text))), options=TCP, secret="keytab",
                           expect="any" if both == "starttime" else "fail")
            yield case(enc, "all-times", what, lambda seq, text=text: [
                seq.add(n, t, raw_date(text)) for n, t in (("authtime", 5), ("starttime", 6), ("endtime", 7))] and None)
        for text in DATES:
            for name in ("authtime", "endtime", "starttime"):
                yield case(enc, name, repr(text), setting(name, raw_date(text)))
        yield case(enc, "caddr", "bound", adding("caddr", 11, sequence(
            Seq(("addr-type", 0, integer(2)), ("address", 1, octets(b"\1\2\3\4"))).encode())), "any")
        yield case(enc, "extra", "tag 13", adding("extra", 13, octets(b"x")), "any")

        # EncASRepPart or EncTGSRepPart, either, but nothing else
        for app in (25, 26):
            yield case(enc, "app", app, attribute("app", app), "ok")
        for app in (0, 1, 3, 11, 13, 24, 27, 28):
            yield case(enc, "app", app, attribute("app", app))
        for usage in (0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 22, 24, 1024):
            right = usage == (3 if rep == "as" else 9)
            yield case(how, "usage", usage, attribute("usage", usage), "ok" if right else "fail")
        yield case(how, "key", "zero", attribute("key", bytes(32)))
        yield case(how, "key", "flipped",
                   attribute("key", lambda h: bytes([h.key[0] ^ 1]) + h.key[1:]))
        for n in (17, 19, 20, 23, 16, 1, 0, -1, 24, 1 << 31, (1 << 31) - 1):
            yield case(how, "says", n, attribute("said", n))
        for n in (0, 2, -1, 65537, (1 << 32) - 1, -(1 << 31)):          # kvno is no reason to refuse
            yield case(how, "kvno", n, attribute("kvno", n), "any" if n < 0 else "ok")
        yield case(how, "kvno", "2^40", attribute("kvno", 1 << 40))
        yield case(rep + "-plain", "plain", "empty", lambda data: b"")
        yield case(rep + "-plain", "plain", "ticket-part", lambda data: tlv(0x63, b"\x30\0"))
        yield case(rep + "-plain", "plain", "zeros", lambda data: bytes(len(data)))
        for n in (1, 8, 15, 16, 17, 1000):      # what enctypes with padding leave behind (RFC 3961 5.3)
            yield case(rep + "-plain", "padded", n, lambda data, n=n: data + bytes(n), "any")
            yield case(rep + "-plain", "cut", n, lambda data, n=n: data[:-n])
        for n in (0, 1, 15, 16, 27, 28, 29, 44):
            yield case(outer, "cipher", n,
                       setting("enc-part", krb.encrypted_data(18, bytes(n))))

    # A ticket that was altered on the way, which no client can see: the KDC or the service does, and then
    # it must not be kept.
    def altered(bend):
        def edit(seq):
            sealed = krb.fields(seq["enc-part"])
            data = bytearray(krb.value(sealed[2]))
            data[40] ^= 1
            seq["enc-part"] = bend(bytes(data))
        return edit
    for rep in ("as", "tgs"):
        for what, bend in (("a bit", lambda d: krb.encrypted_data(18, d, 1)),
                           ("kvno", lambda d: krb.encrypted_data(18, d, 7)),
                           ("enctype", lambda d: krb.encrypted_data(17, d, 1)),
                           ("cut", lambda d: krb.encrypted_data(18, d[:20], 1)),
                           ("empty", lambda d: krb.encrypted_data(18, b"", 1))):
            yield Case(f"value {rep}-rep ticket altered: {what}", (rep + "-rep", alter_ticket(altered(bend))),
                       options=TCP, secret="keytab", then=True)

    # TGS: an acceptor's key, an AS's key, the session key under its own usage (which is right)
    yield case("tgs-how", "session", "usage 8", session_key(8), "ok")
    for usage in (3, 9, 7, 11):
        yield case("tgs-how", "session", f"usage {usage}", session_key(usage))
    yield case("tgs-how", "client", "usage 3",
               lambda how: (setattr(how, "key", mock.client_key()), setattr(how, "usage", 3)) and None)
    # the answer to the other exchange, whole
    yield Case("value tgs answered by an AS-REP", ("tgs-rep", attribute("app", 11)),
               ("tgs-rep", setting("msg-type", integer(11))), options=TCP, secret="keytab")
    yield Case("value as answered by a TGS-REP", ("as-rep", attribute("app", 13)),
               ("as-rep", setting("msg-type", integer(13))), options=TCP, secret="keytab")
    # An alias: both names agree, under encryption. The service asked for is not proved by the name, but
    # by its key; which the mock has under any name.
    for what, encoded in SERVERS[:1] + SERVERS[3:]:
        yield Case(f"value as sname-both {what}", ("as-enc", setting("sname", encoded)),
                   ("as-ticket", setting("sname", encoded)), options=TCP, secret="keytab")
    for what, encoded in SERVERS[1:2] + NAMES[2:3]:
        yield Case(f"value tgs sname-both {what}", ("tgs-enc", setting("sname", encoded)),
                   ("tgs-ticket", setting("sname", encoded)), options=TCP, secret="keytab")


def alter_ticket(edit):
    def edit_reply(seq):
        f = krb.fields(split(seq["ticket"])[1])
        ticket = Seq(("tkt-vno", 0, f[0]), ("realm", 1, f[1]), ("sname", 2, f[2]), ("enc-part", 3, f[3]), app=1)
        edit(ticket)
        seq["ticket"] = ticket.encode()
    return edit_reply


def session_key(usage):
    def edit(how, box=[]):
        how.key, how.usage, how.etype = CURRENT[0].session, usage, 18
    return edit


CURRENT = [None]        # the Kdc of this worker


# --- checksums over the request, RFC 6806 11 --------------------------------------------------------

def request_checksum():
    def enc_pa(make, flag=True):
        def edit(seq):
            kdc = CURRENT[0]
            if flag:
                seq["flags"] = bits(0x40e10000)
            made = make(kdc.request)
            if made is not None:
                seq.add("encrypted-pa-data", 12, sequence(*made))
        return edit

    def good(request, etype=18, usage=56, key=None):
        sums = krb.checksum(etype, key or mock.client_key(), usage, request)
        return pa_data(149, Seq(("cksumtype", 0, integer(krb.CHECKSUMS[etype])),
                                ("checksum", 1, octets(sums))).encode())

    empty = pa_data(149, b"")
    for what, make, expect in (
            ("right", lambda r: [good(r)], "ok"), ("none", lambda r: None, "fail"),
            ("no padata", lambda r: [], "fail"), ("empty", lambda r: [empty], "fail"),
            ("other request", lambda r: [good(r[:-1] + b"x")], "fail"),
            ("usage", lambda r: [good(r, usage=55)], "fail"),
            ("wrong first", lambda r: [good(b"x"), good(r)], "fail"),
            ("flipped", lambda r: [good(r)[:-1] + bytes([good(r)[-1] ^ 1])], "fail"),
            ("cut", lambda r: [pa_data(149, Seq(("cksumtype", 0, integer(16)), ("checksum", 1, octets(b""))).encode())], "fail"),
            ("md5", lambda r: [pa_data(149, Seq(("cksumtype", 0, integer(7)), ("checksum", 1, octets(bytes(16)))).encode())], "fail"),
            ("crc", lambda r: [pa_data(149, Seq(("cksumtype", 0, integer(1)), ("checksum", 1, octets(bytes(4)))).encode())], "fail")):
        yield Case(f"enc-pa-rep {what}", ("as-enc", enc_pa(make)), expect=expect, options=TCP, secret="keytab")


# --- pre-authentication data ------------------------------------------------------------------------

def rounds(n):
    return struct.pack(">I", n)


OUT_OF_BOUNDS = ("rounds 0", "rounds 1", "rounds 4095", "rounds 2^32-1", "rounds 1000001", "salt huge")


def preauth():
    info2 = lambda *entries: [pa_data(19, sequence(*entries)), pa_data(2, b"")]
    entry = krb.info2_entry
    good = entry(18, SALT)
    rows = [
        ("rounds 0", info2(entry(18, SALT, rounds(0))), "fail"),            # RFC 3962 4: 2^32
        ("rounds 1", info2(entry(18, SALT, rounds(1))), "fail"),
        ("rounds 4095", info2(entry(18, SALT, rounds(4095))), "fail"),
        ("rounds 2^32-1", info2(entry(18, SALT, rounds(0xffffffff))), "fail"),
        ("rounds 1000000", info2(entry(18, SALT, rounds(1000000))), "fail"),    # a wrong key
        ("rounds 1000001", info2(entry(18, SALT, rounds(1000001))), "fail"),
        ("sha2 rounds 1000000", info2(entry(20, SALT, rounds(1000000))), "fail"),
        ("sha2 rounds 32767", info2(entry(20, SALT, rounds(32767))), "fail"),
        ("params short", info2(entry(18, SALT, b"\0\x10\0")), "any"),
        ("params long", info2(entry(18, SALT, b"\0\0\x10\0\0")), "any"),
        ("params empty", info2(entry(18, SALT, b"")), "any"),
        ("params huge", info2(entry(18, SALT, bytes(60000))), "any"),
        ("salt huge", info2(entry(18, b"s" * 60000)), "fail"),
        ("salt empty", info2(entry(18, b"")), "fail"),
        ("salt other", info2(entry(18, b"other")), "fail"),
        ("salt nul", info2(entry(18, SALT + b"\0")), "fail"),
        ("salt none", info2(entry(18)), "ok"),
        ("twice", info2(good, good), "ok"),
        ("20000 entries", info2(*[entry(18, b"%d" % n) for n in range(3000)]), "any"),
        ("20000 same", info2(*[good] * 2000), "any"),
        ("weak", info2(entry(1, SALT)), "fail"), ("rc4", info2(entry(23)), "fail"),
        ("des3", info2(entry(16, SALT)), "fail"), ("unknown", info2(entry(12345, SALT)), "fail"),
        ("negative", info2(entry(-133, SALT)), "fail"), ("zero", info2(entry(0, SALT)), "fail"),
        ("weak first", info2(entry(1, b"x"), entry(23, b"x"), good), "ok"),
        ("weak only, rounds", info2(entry(3, SALT, rounds(1))), "fail"),
        ("empty list", [pa_data(19, sequence()), pa_data(2, b"")], "any"),
        ("empty value", [pa_data(19, b""), pa_data(2, b"")], "ok"),
        ("garbage", [pa_data(19, b"\xff" * 100), pa_data(2, b"")], "any"),
        ("deep", [pa_data(19, _nested(4000)), pa_data(2, b"")], "any"),
        ("two infos", [pa_data(19, sequence(entry(18, b"x"))), pa_data(19, sequence(good)), pa_data(2, b"")], "any"),
        ("info1 beside", [pa_data(11, sequence(entry(18, b"x"))), pa_data(19, sequence(good)), pa_data(2, b"")], "ok"),
        ("pw-salt beside", [pa_data(3, b"x"), pa_data(19, sequence(good)), pa_data(2, b"")], "ok"),
        ("pw-salt alone", [pa_data(3, SALT), pa_data(2, b"")], "ok"),
        ("pw-salt 12 bytes", [pa_data(3, b"STATUS_12345"), pa_data(2, b"")], "fail"),
        ("no timestamp", [pa_data(19, sequence(good))], "fail"),
        ("pkinit only", [pa_data(16, b""), pa_data(17, b""), pa_data(136, b"")], "fail"),
        ("nothing", [], "fail"),
        ("100000 padata", [pa_data(2, b"")] * 100000, "any"),
        ("100000 unknown", [pa_data(n % 500 + 200, b"") for n in range(100000)], "fail"),
        ("nested", [pa_data(2, b""), pa_data(136, sequence(*[pa_data(19, sequence(good))] * 50))], "any"),
        ("cookie 900K", [*info2(good), pa_data(133, bytes(900000))], "any"),
        ("cookie 60K", [*info2(good), pa_data(133, bytes(60000))], "any"),
        ("cookie empty", [*info2(good), pa_data(133, b"")], "ok"),
        ("types", [pa_data(n, b"x") for n in range(-200, 400) if n != 19] + info2(good), "any"),
        ("type 2^31", [pa_data((1 << 31) - 1, b""), *info2(good)], "ok"),
        ("type 2^40", [pa_data(1 << 40, b""), *info2(good)], "any"),
    ]
    for what, pas, expect in rows:
        for secret in ("password", "keytab"):
            edits = [("preauth-list", lambda old, pas=pas: pas)]
            if secret == "keytab":      # it proves at once: the KDC wants more
                edits.append(("answer-proof", lambda _: CURRENT[0].preauth_required()
                              if CURRENT[0].nth == 1 else None))
                expect = "any"
            yield Case(f"preauth {what} ({secret})", *edits, expect=expect, secret=secret, options=TCP)
        # the same, as padata of the AS-REP of a KDC that wants no proof
        yield Case(f"preauth {what} (in AS-REP)", ("as-rep", adding("padata", 2, sequence(*pas))),
                   expect="any", no_preauth=True, options=TCP,
                   said="out of bounds" if what in OUT_OF_BOUNDS else None)
        yield Case(f"preauth {what} (in refusal)",
                   ("answer-proof", lambda _, pas=pas: krb_error(24, e_data=sequence(*pas)).encode()),
                   secret="keytab", options=TCP)
    # rounds that change from answer to answer: one login's CPU is bounded over all of them
    def dearer(_):
        kdc = CURRENT[0]
        n = len(kdc.seen)
        return krb_error(25 if n == 1 else (24 if n % 2 else 37), e_data=sequence(
            *info2(entry(18, b"%d" % n, rounds(900000 + n))))).encode()
    for stage in ("as", "proof"):
        yield Case(f"preauth dear salts from {stage}", ("answer-as", dearer), ("answer-proof", dearer), options=TCP)
    # forged AS-REPs over UDP, each with another salt: none may cost a string-to-key of its own
    def storm(_):
        return [("send", forged_as_rep(b"salt %d" % n)) for n in range(90)]
    yield Case("preauth forged salts over UDP", ("answer-as", storm), timeout=1)
    yield Case("preauth forged salts to a proof", ("answer-proof", storm), timeout=1)
    def same_storm(_):
        return [("send", forged_as_rep(b"x" * 1000, rounds(999000 + n))) for n in range(90)]
    yield Case("preauth forged rounds over UDP", ("answer-as", same_storm), timeout=1)


def forged_as_rep(salt, params=None):
    return Seq(("pvno", 0, integer(5)), ("msg-type", 1, integer(11)),
               ("padata", 2, sequence(pa_data(19, sequence(krb.info2_entry(18, salt, params))))),
               ("crealm", 3, string(REALM)), ("cname", 4, principal_name(1, *CLIENT)),
               ("ticket", 5, Seq(("tkt-vno", 0, integer(5)), ("realm", 1, string(REALM)),
                                 ("sname", 2, principal_name(2, "krbtgt", REALM)),
                                 ("enc-part", 3, krb.encrypted_data(18, bytes(100))), app=1).encode()),
               ("enc-part", 6, krb.encrypted_data(18, os.urandom(200))), app=11).encode()


# --- KRB-ERRORs -------------------------------------------------------------------------------------

def ntstatus(status):
    return struct.pack("<III", status, 0, 1)


E_DATA = {
    "none": None,
    "method-data": lambda: sequence(pa_data(19, sequence(krb.info2_entry(18, SALT))), pa_data(2, b"")),
    "other-salt": lambda: sequence(pa_data(19, sequence(krb.info2_entry(18, b"other salt"))), pa_data(2, b"")),
    "typed-data": lambda: sequence(Seq(("type", 0, integer(19)), ("value", 1, octets(
        sequence(krb.info2_entry(18, b"typed"))))).encode()),
    "ntstatus": lambda: sequence(pa_data(3, ntstatus(0xc0000234))),
    "ntstatus-bare": lambda: pa_data(3, ntstatus(0xc000006a)),
    "ntstatus-typed": lambda: sequence(Seq(("type", 0, integer(3)), ("value", 1, octets(ntstatus(0xdeadbeef)))).encode()),
    "garbage": lambda: b"\xde\xad\xbe\xef" * 20,
    "deep": lambda: _nested(5000),
    "empty": lambda: b"",
}
TEXTS = {"plain": "no way", "empty": "", "long": "x" * 60000, "control": "\x1b[31mred\n\r\0%s%n%p\x7f",
         "utf8": "käse \u202e gnp".encode(), "latin": b"\xe4\xf6\xfc\xff\xfe", "dots": "." * 300}


def _goes_on(code, stage):
    """PREAUTH_REQUIRED is no failure of a request without a proof."""
    return "any" if code == 25 and stage == "as" else "fail"


def errors():
    for stage in ("as", "proof", "tgs"):
        for code in list(range(101)) + [-1, 127, 128, 255, 256, (1 << 31) - 1, -(1 << 31)]:
            kind = list(E_DATA)[code % len(E_DATA)]
            e_data = E_DATA[kind]
            yield Case(f"error {code} to {stage}, {kind}",
                       ("answer-" + stage, lambda _, code=code, e_data=e_data: krb_error(
                           code, e_data=e_data and e_data(), e_text="text").encode()),
                       options=TCP, secret="keytab" if code % 2 and stage != "as" else "password", timeout=1,
                       expect=_goes_on(code, stage))
        for kind, e_data in E_DATA.items():
            for code in (6, 14, 18, 23, 24, 25, 31, 32, 34, 37, 60):
                yield Case(f"error {code} with {kind} to {stage}",
                           ("answer-" + stage, lambda _, code=code, e_data=e_data: krb_error(
                               code, e_data=e_data and e_data()).encode()),
                           options=TCP, secret="password", expect=_goes_on(code, stage))
        for kind, text in TEXTS.items():
            for code in (6, 7, 60, 24):
                yield Case(f"error {code} to {stage}, text {kind}",
                           ("answer-" + stage, lambda _, code=code, text=text: krb_error(
                               code, e_text=text).encode()), options=TCP)
        for what, more in (("1970", {"stime": 0}), ("2100", {"stime": 4102444800}), ("susec", {"susec": -1}),
                           ("susec 10^9", {"susec": 10 ** 9}), ("susec 2^40", {"susec": 1 << 40}),
                           ("ahead", {"stime": time.time() + 86400}), ("no client", {"client": False}),
                           ("realm", {"realm": "\n\0evil"}), ("realm empty", {"realm": ""}),
                           ("sname", {"sname": ()}), ("sname long", {"sname": ["x" * 1000] * 50})):
            for code in (37, 11, 25, 34, 24, 32):
                yield Case(f"error {code} to {stage}, {what}",
                           ("answer-" + stage, lambda _, code=code, more=more: krb_error(
                               code, e_data=E_DATA["method-data"](), **more).encode()), options=TCP,
                           expect=_goes_on(code, stage))
    for code in list(range(101)) + [-1, (1 << 31) - 1]:
        kind = list(E_DATA)[code % len(E_DATA)]
        yield Case(f"error {code} from the service, {kind}",
                   ("ap-token", lambda _, code=code, e_data=E_DATA[kind]: mock.framed(b"\3\0", krb_error(
                       code, e_data=e_data and e_data(), e_text="text", sname=SERVICE).encode())),
                   options=TCP, secret="keytab")
    for kind, text in TEXTS.items():
        yield Case(f"error 60 from the service, text {kind}",
                   ("ap-token", lambda _, text=text: mock.framed(b"\3\0", krb_error(60, e_text=text).encode())),
                   options=TCP, secret="keytab")


def one_kdc(runner, out):
    """A proof that was refused is not carried to another KDC."""
    if not out.then and len(set(runner.kdc.proofs)) > 1:
        return f"proofs at KDCs {runner.kdc.proofs}"
    return None


def before(make, stage):
    """What an attacker sends before the right answer comes."""
    def edit(_):
        kdc = CURRENT[0]
        kdc.case, case = None, kdc.case          # the right answer, unbent
        kdc.case = Plain(case)
        answer = kdc.as_answer() if stage != "tgs" else kdc.tgs_answer()
        kdc.case = case
        return make(answer)
    return edit


def proofs():
    """Never more than two password proofs in one login, whatever is answered."""
    codes = (0, 6, 12, 14, 16, 18, 23, 24, 25, 31, 34, 37, 52, 60)

    def answering(*what):
        def edit(_):
            kdc = CURRENT[0]
            kinds = what[min(kdc.nth, len(what)) - 1]
            if kinds is None:
                return None
            code, kind = kinds
            return krb_error(code, e_data=E_DATA[kind] and E_DATA[kind]()).encode()
        return edit

    for secret in ("password", "keytab"):
        for first in codes:
            for second in codes:
                for kind in ("none", "other-salt"):
                    if kind == "none" or first in (24, 25, 37):
                        yield Case(f"proofs {first} {kind}, then {second} ({secret})",
                                   ("answer-proof", answering((first, kind), (second, "method-data"))),
                                   secret=secret, kdcs=2, check=one_kdc,
                                   options=TCP if (first in (34, 52) or second in (34, 52)) else "UseTCP=True")
        # datagrams, and two KDCs: a refusal is the first KDC's and stays there
        for first in (6, 14, 18, 23, 24, 25, 31, 37, 60):
            for kind in ("none", "method-data", "other-salt", "ntstatus"):
                yield Case(f"proofs over UDP {first} {kind} ({secret})",
                           ("answer-proof", answering((first, kind), (first, kind))), secret=secret, kdcs=2,
                           check=one_kdc, expect="fail")
                # the refusal is forged, and the right answer comes behind it
                yield Case(f"proofs over UDP {first} {kind} before the answer ({secret})",
                           ("answer-proof", before(lambda a, c=first, k=kind: [
                               ("send", krb_error(c, e_data=E_DATA[k] and E_DATA[k]()).encode()), ("send", a)],
                               "proof")), secret=secret, kdcs=2, check=one_kdc, expect="any")
        # every KDC says no to the unproved request first, or nothing at all
        for code in (29, 52, 6, 7):
            yield Case(f"proofs at a second KDC, {code} from the first ({secret})",
                       ("answer-as", lambda _, c=code: krb_error(c).encode() if CURRENT[0].index == 0 else None),
                       secret=secret, kdcs=2, expect="any" if code in (29, 52) else "any", timeout=2, seconds=12)
        # a TGT that is no good to the TGS: the login begins again, and what it counts does not
        for tgs_code in (32, 20, 31, 44, 45, 33, 37):
            for code in (37, 24, 34):
                yield Case(f"proofs {code}, a TGT, then {tgs_code} ({secret})",
                           ("answer-proof", answering((code, "none"), None, (code, "other-salt"), None,
                                                      (code, "none"), None)),
                           ("answer-tgs", lambda _, c=tgs_code: krb_error(c).encode()),
                           secret=secret, options=TCP)
                yield Case(f"proofs a TGT, then {tgs_code}, {code} ({secret})",
                           ("answer-proof", answering(None, (code, "other-salt"), (code, "none"))),
                           ("answer-tgs", lambda _, c=tgs_code: krb_error(c).encode()),
                           secret=secret, options=TCP)
    # a TGT that is too short to be kept, and one more to be forwarded; the KDC differs about the time
    # before each; and it takes none of them
    short = ("as-enc", setting("endtime", now(40)))
    for code in (37, 34, 24):
        for tgs_code in (None, 37, 33, 32):
            yield Case(f"proofs {code} before each short TGT, then {tgs_code}, to be forwarded", short,
                       ("answer-proof", answering(*[(code, "none"), None] * 4)),
                       ("answer-tgs", lambda _, c=tgs_code: c and krb_error(c).encode()),
                       options=TCP, mech="krb5+deleg",
                       expect="ok" if tgs_code is None and code != 24 else "fail")
    # the KDC gives the service's ticket, then takes the TGT no more; or the other way round
    for code in (37, 34):
        for tgs_code in (37, 33, 32, 31):
            for order in ((None, tgs_code), (tgs_code, None), (tgs_code, tgs_code, None)):
                yield Case(f"proofs {code}, then {order} to a TGT that is to be forwarded",
                           ("answer-proof", answering(*[(code, "none"), None] * 4)),
                           ("answer-tgs", lambda _, order=order: krb_error(
                               order[min(CURRENT[0].nth, len(order)) - 1]).encode()
                               if order[min(CURRENT[0].nth, len(order)) - 1] else None),
                           options=TCP, mech="krb5+deleg", expect="any")
        # what the service says right after a login tells nothing new of the clock
        for ap_code in (37, 33, 32, 31):
            yield Case(f"proofs {code}, then {ap_code} from the service",
                       ("answer-proof", answering(*[(code, "none"), None] * 4)),
                       ("ap-token", lambda _, c=ap_code: mock.framed(
                           b"\3\0", krb_error(c, sname=SERVICE).encode())), options=TCP)
    # silence, resets and "not now" after a proof
    for what, action in (("silence", []), ("close", [("close",)]), ("reset", [("reset",)]),
                         ("garbage", [("send", b"garbage")]), ("cut", [("raw", b"\0\0\1\0x"), ("close",)]),
                         ("29", [("send", krb_error(29).encode())])):
        for secret in ("password", "keytab"):
            for kdcs in (1, 2):
                yield Case(f"proofs answered with {what} ({secret}, {kdcs} KDCs)",
                           ("answer-proof", lambda _, a=action: a), secret=secret, kdcs=kdcs, options=TCP,
                           timeout=4, seconds=20, proofs=99 if what == "29" else 2)


# --- referrals --------------------------------------------------------------------------------------

def referrals():
    def refer(*realms, forever=False):
        def edit_part(seq):
            kdc = CURRENT[0]
            n = kdc.seen.count("tgs") - 1
            realm = realms[n % len(realms)] if forever or n < len(realms) else None
            kdc.refer = realm
            if realm is not None:
                seq["sname"] = principal_name(2, "krbtgt", realm)
            if n > 0 and len(realms) > 1:
                before = realms[(n - 1) % len(realms)]
                seq["srealm"] = string(before)

        def edit_ticket(seq):
            kdc = CURRENT[0]
            n = kdc.seen.count("tgs") - 1
            if kdc.refer is not None:
                seq["sname"] = principal_name(2, "krbtgt", kdc.refer)
            if n > 0 and len(realms) > 1:
                seq["realm"] = string(realms[(n - 1) % len(realms)])
        return [("tgs-enc", edit_part), ("tgs-ticket", edit_ticket)]

    def few(runner, out):
        n = (runner.seen if out.then else runner.kdc.seen).count("tgs")
        return f"{n} TGS-REQs" if n > 12 else None

    conf = TCP
    for what, edits in (
            ("to itself", refer(REALM, forever=True)), ("to itself once", refer(REALM)),
            ("loop", refer("B.TEST", REALM, forever=True)),
            ("loop of two", refer("B.TEST", "C.TEST", forever=True)),
            ("chain", refer(*[f"R{n}.TEST" for n in range(30)])),
            ("to an empty realm", refer("", forever=True)),
            ("to a long realm", refer("X" * 50000, forever=True)),
            ("to control characters", refer("A\n\x1b[2J", forever=True)),
            ("to lower case", refer(REALM.lower(), forever=True))):
        yield Case(f"referral {what}", *edits, options=conf, secret="keytab", check=few,
                   expect="any" if what == "to itself once" else "fail", timeout=1, seconds=10)
    # krbtgt in place of the service, without and with three components
    for what, name in (("one component", principal_name(2, "krbtgt")),
                       ("three", principal_name(2, "krbtgt", REALM, "x"))):
        yield Case(f"referral krbtgt of {what}", ("tgs-enc", setting("sname", name)),
                   ("tgs-ticket", setting("sname", name)), options=conf, secret="keytab")


def user_referrals():
    """WRONG_REALM (RFC 6806 7) to where nothing comes of it: no proof is made for anybody."""
    def refer(*realms):
        def answer(_):
            kdc = CURRENT[0]
            error = krb_error(68)
            error["crealm"] = string(realms[(len(kdc.seen) - 1) % len(realms)])
            return error.encode()
        return [("answer-as", answer), ("answer-proof", answer)]

    def few(runner, out):
        n = (runner.seen if out.then else runner.kdc.seen).count("as")
        return f"{n} AS-REQs" if n > 6 else None

    for what, said, realms in (
            ("to itself", "leads to no end", [REALM]), ("loop", "leads to no end", ["B.TEST", REALM]),
            ("loop of two", "leads to no end", ["B.TEST", "C.TEST"]),
            ("chain", "leads to no end", [f"R{n}.TEST" for n in range(30)]),
            ("to no realm", "another realm", [""]), ("to a long realm", "", ["X" * 50000]),
            ("to who is not there", "No KDC is known", ["E.TEST"]),
            ("to control characters", "No KDC is known", ["A\n\x1b[2J"])):
        yield Case(f"user referral {what}", *refer(*realms), options=TCP + " Canonicalize=True",
                   said=said, check=few, proofs=0, timeout=1, seconds=10)
    yield Case("user referral that nobody asked for", *refer("B.TEST"), options=TCP, proofs=0,
               said="the KDC sends us to another realm")


def ways():
    """The service is in D.TEST, to which HOSTILE.TEST and those after it are asked the way."""
    def answers(*said):
        """(realm or None for the one that was asked, name or None) for each TGS-REQ, the last for
        all further ones."""
        def bend(seq, realm_of):
            kdc = CURRENT[0]
            realm, name = said[min(kdc.seen.count("tgs"), len(said)) - 1]
            seq[realm_of] = string(mock.value(kdc.body[2]) if realm is None else realm)
            if name is not None:
                seq["sname"] = name
        return [("tgs-enc", lambda seq: bend(seq, "srealm")),
                ("tgs-ticket", lambda seq: bend(seq, "realm"))]

    def few(runner, out):
        n = (runner.seen if out.then else runner.kdc.seen).count("tgs")
        return f"{n} TGS-REQs" if n > 12 else None

    def to(realm):
        return None, principal_name(2, "krbtgt", realm)
    other = None, principal_name(2, "HTTP", "other.hostile.test")
    asked = None, None
    for what, said, edits in (
            ("to a realm that says it is another", "another realm", answers(asked, (REALM, None))),
            ("by a realm that says it is another", "another realm", answers(("B.TEST", None))),
            ("that leads back", "sent us there", answers(to("C.TEST"), to(REALM))),
            ("in a circle", "sent us there", answers(to("C.TEST"), to("B.TEST"), to("C.TEST"))),
            ("without an end", "the tenth", answers(*[to(f"R{n}.TEST") for n in range(30)])),
            ("to itself", "another service", answers(to(REALM))),
            ("in itself", "another service", answers(to("C.TEST"))),
            ("to no realm", "without a name", answers(to(""))),
            ("to a long realm", "beyond all bounds", answers(to("X" * 50000))),
            ("to a service", "no ticket-granting", answers(other)),
            ("of three parts", "no ticket-granting",
             answers((None, principal_name(2, "krbtgt", "D.TEST", "x")))),
            ("and a TGT for the service", "another service", answers(asked, to("D.TEST"))),
            ("and no service", "no service", answers(asked, (None, principal_name(2, "krbtgt")))),
            ("to who is not there", "No KDC is known for the realm E.TEST", answers(to("E.TEST")))):
        yield Case(f"way {what}", *edits, options=TCP + " SPN=HTTP/host.hostile.test@D.TEST", said=said,
                   secret="keytab", realm="D.TEST", check=few, timeout=1, seconds=10)


# --- datagrams and streams --------------------------------------------------------------------------

def network():

    def forged_error(code):
        return krb_error(code, e_text="forged").encode()

    junk = [b"\x6b", b"\x7e\0", b"\x6d\x80", b"x" * 60000, bytes(100), b"", b"\x7e\x82\xff\xff", b"\x6b" * 1000]
    storms = {
        "stray error": (lambda a: [("stray", forged_error(6)), ("send", a)], "ok"),
        "stray junk": (lambda a: [("stray", j) for j in junk] + [("send", a)], "ok"),
        "stray right": (lambda a: [("stray", a)], "fail"),
        "junk": (lambda a: [("send", j) for j in junk] + [("send", a)], "ok"),
        "50 cut": (lambda a: [("send", a[:n]) for n in range(0, 50)] + [("send", a)], "ok"),
        "two answers": (lambda a: [("send", a), ("send", a)], "ok"),
        "late": (lambda a: [("wait", 0.5), ("send", a)], "ok"),
        "20000 stray": (lambda a: [("stray", b"x" * 100)] * 3000 + [("wait", 0.2), ("send", a)], "ok"),
        "flood": (lambda a: [("send", b"\x6b" + b"x" * 1000)] * 2000 + [("send", a)], "any"),
        "garbled error first": (lambda a: [("send", b"\x7e\x03abc"), ("send", a)], "ok"),
        "not now first": (lambda a: [("send", forged_error(29)), ("send", a)], "ok"),
        "too big, then right": (lambda a: [("send", forged_error(52)), ("send", a)], "any"),
        "bad reply first": (lambda a: [("send", forged_as_rep(SALT)), ("send", a)], "ok"),
        "ten bad replies first": (lambda a: [("send", forged_as_rep(SALT)) for _ in range(10)] + [("send", a)], "ok"),
        "empty only": (lambda a: [("send", b"")] * 5, "fail"),
        "silence": (lambda a: [], "fail"),
        "junk only": (lambda a: [("send", b"junk")] * 5, "fail"),
    }
    for stage in ("as", "proof", "tgs"):
        for what, (make, expect) in storms.items():
            if what.endswith("first") and "bad repl" in what and stage != "proof":
                expect = "any"
            yield Case(f"udp {what} ({stage})", ("answer-" + stage, before(make, stage)), expect=expect,
                       timeout=1, seconds=10)
    # always too big: over UDP and TCP
    for stage in ("as", "proof", "tgs"):
        yield Case(f"udp too big for ever ({stage})", ("answer-" + stage, lambda _: forged_error(52)), timeout=1,
                   seconds=10)
        for what, actions in {
                "4 GiB": [("raw", b"\xff\xff\xff\xff")], "2 GiB": [("raw", b"\x80\0\0\0xxx")],
                "endless": [("raw", b"\x7f\xff\xff\xff"), ("endless", b"x" * 65536, 0)],
                "mebibyte": [("raw", b"\0\x10\0\0"), ("endless", b"\x6b" * 65536, 0)],
                "endless empty": [("endless", bytes(4) * 16384, 0)],
                "endless small": [("endless", (b"\0\0\0\4" + b"\x6b\2\5\0") * 4096, 0)],
                "a byte at a time": [("raw", b"\0\0\1\0"), ("endless", b"x", 0.2)],
                "half a length": [("raw", b"\0\0")], "closed": [("close",)], "reset": [("reset",)],
                "zero": [("raw", bytes(4))], "zero then closed": [("raw", bytes(4)), ("close",)],
                "cut": [("raw", b"\0\0\1\0abc"), ("close",)], "silence": [],
                "junk": [("send", b"junk" * 100)]}.items():
            yield Case(f"tcp {what} ({stage})", ("answer-" + stage, lambda _, a=actions: a), options=TCP,
                       timeout=1, seconds=12)
        yield Case(f"tcp after too big, a byte at a time ({stage})",
                   ("answer-" + stage, lambda _: [("raw", b"\0\0\1\0"), ("endless", b"x", 0.2)]
                    if CURRENT[0].tcp else forged_error(52)), timeout=1, seconds=12)
        # a byte at a time, but the right ones: bytes extend the deadline by one Timeout in all
        yield Case(f"tcp the right answer, slowly ({stage})",
                   ("answer-" + stage, before(lambda a: [("raw", struct.pack(">I", len(a)))] + sum(
                       ([("wait", 0.02), ("raw", a[n:n + 16])] for n in range(0, len(a), 16)), []), stage)),
                   expect="ok", options=TCP, timeout=1, seconds=10)
        yield Case(f"tcp the right answer in one-byte writes ({stage})",
                   ("answer-" + stage, before(lambda a: [("raw", struct.pack(">I", len(a))[:2]), ("wait", 0.05),
                                                         ("raw", struct.pack(">I", len(a))[2:])] +
                                              [("raw", a[n:n + 1]) for n in range(len(a))], stage)),
                   expect="ok", options=TCP)
        yield Case(f"tcp two answers in one write ({stage})",
                   ("answer-" + stage, before(lambda a: [("raw", (struct.pack(">I", len(a)) + a) * 2)], stage)),
                   expect="ok", options=TCP)
    yield Case("tcp closed at once", ("accept", lambda _: [("close",)]), options=TCP, timeout=1)
    yield Case("tcp speaks first", ("accept", lambda _: [("raw", b"\0\0\0\4junk")]), options=TCP, timeout=1,
               expect="any")
    yield Case("tcp speaks first, for ever", ("accept", lambda _: [("endless", b"SSH-2.0-x\r\n" * 4096, 0)]),
               options=TCP, timeout=1)


# --- the service ------------------------------------------------------------------------------------

def service():
    def ap(what, stage, edit, expect="fail", **more):
        return Case(f"ap {what}", (stage, edit), expect=expect, secret="keytab", options=TCP, **more)

    yield ap("ctime +1", "ap-enc", setting("ctime", now(1000)))
    yield ap("ctime 1970", "ap-enc", setting("ctime", date(0)))
    for n in (-1, 1000000, 1 << 31, 0):
        yield ap(f"cusec {n}", "ap-enc", setting("cusec", integer(n)), "any" if n == 0 else "fail")
    yield ap("cusec +1", "ap-enc", lambda seq: seq.add("cusec", 1, integer((krb.number(seq["cusec"]) + 1) % 1000000)))
    for n, expect in ((-1, "ok"), (0, "ok"), ((1 << 32) - 1, "ok"), (-(1 << 31), "ok"), (1 << 32, "fail"),
                      (-(1 << 31) - 1, "fail"), (1 << 63, "fail")):
        yield ap(f"seq {n}", "ap-enc", setting("seq-number", integer(n)), expect)
    for what, key, expect in (
            ("aes128", _key(17, bytes(16)), "ok"), ("sha2", _key(20, bytes(32)), "ok"),
            ("rc4", _key(23, bytes(16)), "fail"), ("des", _key(3, bytes(8)), "fail"),
            ("des3", _key(16, bytes(24)), "fail"), ("null", _key(0, b""), "fail"),
            ("short", _key(18, bytes(31)), "fail"), ("long", _key(18, bytes(33)), "fail"),
            ("empty", _key(18, b""), "fail"), ("negative", _key(-1, bytes(32)), "fail"),
            ("over", _key((1 << 32) + 18, bytes(32)), "fail")):
        yield ap(f"subkey {what}", "ap-enc", setting("subkey", key), expect)
    yield ap("no subkey", "ap-enc", lambda seq: seq.rows.pop(seq.index("subkey")) and None, "ok")
    yield ap("nothing but the time", "ap-enc", lambda seq: setattr(seq, "rows", seq.rows[:2]), "ok")
    for usage in (0, 1, 2, 3, 7, 8, 9, 11, 13, 22, 24, 25):
        yield ap(f"usage {usage}", "ap-how", attribute("usage", usage))
    yield ap("zero key", "ap-how", attribute("key", bytes(32)))
    yield ap("the service's key", "ap-how", attribute("key", mock.SERVICE_KEY))
    for n in (17, 19, 20, 23, 0, -1, 1 << 31):
        yield ap(f"says etype {n}", "ap-how", attribute("said", n))
    for app in (14, 13, 11, 0, 30, 20):
        yield ap(f"app {app}", "ap-rep", attribute("app", app))
    for app in (26, 25, 2, 0, 28):
        yield ap(f"part app {app}", "ap-enc", attribute("app", app))
    for n in (0, 4, 6, -1):
        yield ap(f"pvno {n}", "ap-rep", setting("pvno", integer(n)))
    for n in (14, 0, 30, 11):
        yield ap(f"msg-type {n}", "ap-rep", setting("msg-type", integer(n)))
    for what, make in (("empty", lambda t: b""), ("one byte", lambda t: b"\x60"), ("frame only", lambda t: t[:13]),
                       ("garbage", lambda t: b"garbage" * 1000), ("zeros", lambda t: bytes(1000)),
                       ("unframed", lambda t: t[-100:]), ("error id", lambda t: t.replace(b"\2\0\x6f", b"\3\0\x6f")),
                       ("req id", lambda t: t.replace(b"\2\0\x6f", b"\1\0\x6f")),
                       ("mic id", lambda t: t.replace(b"\2\0\x6f", b"\4\4\x6f")),
                       ("trailing", lambda t: t + b"\0"), ("long", lambda t: t + bytes(60000)),
                       ("nested frames", lambda t: _frames(t, 500)), ("spnego", lambda t: mock.spnego_close(t)),
                       ("twice", lambda t: t + t)):
        yield ap(f"token {what}", "ap-token", make)
    yield ap("other oid", "ap-token", lambda t: t.replace(mock.KRB5_OID, bytes.fromhex("06092a864886f712010203")))
    yield ap("our own request", "ap-token", lambda t: CURRENT[0].reflect)
    # what SPNEGO carries; libgssapi's own negotiation stands between
    for what, stage, make, expect in (
            ("garbage", "ap-outer", lambda t: b"\xa1\x03abc", "fail"), ("cut", "ap-outer", lambda t: t[:-10], "any"),
            ("rejected", "ap-outer", lambda t: mock.spnego_close(None, 2), "fail"),
            ("no token", "ap-outer", lambda t: mock.spnego_close(None, 0), "any"),
            ("bare", "ap-outer", lambda t: t[-150:], "any"),
            ("ctime", "ap-enc", setting("ctime", now(1000)), "fail"),
            ("zero key", "ap-how", attribute("key", bytes(32)), "fail"),
            ("usage", "ap-how", attribute("usage", 11), "fail"),
            ("token empty", "ap-token", lambda t: b"", "fail"),
            ("token garbage", "ap-token", lambda t: b"garbage", "fail"),
            ("error 31", "ap-token", lambda t: mock.framed(b"\3\0", krb_error(31).encode()), "fail"),
            ("incomplete", "ap-outer", lambda t: t.replace(b"\x0a\1\0", b"\x0a\1\1"), "any")):
        yield ap(f"spnego {what}", stage, make, expect, mech="spnego")


def _frames(token, depth):
    for _ in range(depth):
        token = mock.framed(b"\2\0", token)
    return token


# --- chance -----------------------------------------------------------------------------------------

WHOLE = ("preauth-bytes", "as-bytes", "tgs-bytes", "ap-bytes", "ap-token", "as-plain", "tgs-plain", "ap-plain")


def chance(count, seed):
    """Bits flipped, bytes changed, cut, doubled and moved in answers and in what is encrypted in them.
    What is accepted must still be alice at the service that was asked for, with working keys."""
    rng = random.Random(seed)

    def bend(data, rng):
        data = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            kind, at = rng.randrange(8), rng.randrange(max(1, len(data)))
            if not data or kind == 0:
                return bytes(data[:at])
            if kind < 4:
                data[at] ^= 1 << rng.randrange(8)
            elif kind == 4:
                data[at] = rng.choice((0, 0x7f, 0x80, 0xff, 0x30, 0x84))
            elif kind == 5:
                end = at + rng.randrange(1, 40)
                data[at:at] = data[at:end]
            elif kind == 6:
                del data[at:at + rng.randrange(1, 40)]
            else:
                other = rng.randrange(len(data))
                data[at], data[other] = data[other], data[at]
        return bytes(data)

    for n in range(count):
        stage = WHOLE[n % len(WHOLE)]
        own = rng.randrange(1 << 60)
        # Datagrams that cannot be read are ignored until the deadline, so most go over TCP.
        udp = n % 40 == 0
        yield Case(f"chance {seed}:{n} {stage}", (stage, lambda data, own=own: bend(data, random.Random(own))),
                   expect="any", secret="password" if stage == "preauth-bytes" else ("keytab", "password")[n % 2],
                   options="" if udp else TCP, timeout=1, seconds=8)


def all_cases(count, seed=20120):
    """Of each family one case in so many is followed by an honest login in the same process: what
    was forged costs that login, and nothing that comes later."""
    families = [(form(), 10), (values(), 10), (request_checksum(), 1), (preauth(), 1), (errors(), 1),
                (proofs(), 5), (referrals(), 1), (user_referrals(), 1), (ways(), 1),
                (network(), 1), (service(), 1), (chance(count, seed), 5)]
    for family, each in families:
        for n, case in enumerate(family):
            # A service that is not known is remembered for some seconds: DESIGN, net.
            case.then = (case.then or n % each == 0) and not case.name.startswith("error 7 to tgs")
            yield case
