"""Kerberos for the attacker, written from the RFCs and sharing nothing with the plugin: DER, RFC 4120's
messages as lists of fields that can be bent before they are encoded, RFC 3962 and RFC 8009 encryption
(AES out of libcrypto by ctypes, everything else out of hashlib)."""
import ctypes
import ctypes.util
import hashlib
import hmac
import os
import struct
import time

# --- DER, X.690 -------------------------------------------------------------------------------------


def length(n):
    if n < 0x80:
        return bytes([n])
    octets = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def tlv(tag, content=b""):
    return bytes([tag]) + length(len(content)) + content


def integer(n, tag=0x02):
    return tlv(tag, n.to_bytes((n if n >= 0 else ~n).bit_length() // 8 + 1, "big", signed=True))


def octets(b):
    return tlv(0x04, b)


def string(s):
    return tlv(0x1b, s if isinstance(s, bytes) else s.encode())


def bits(flags):
    return tlv(0x03, b"\0" + struct.pack(">I", flags))


def date(t):
    return tlv(0x18, time.strftime("%Y%m%d%H%M%SZ", time.gmtime(t)).encode())


def raw_date(text):
    return tlv(0x18, text.encode())


def sequence(*parts):
    return tlv(0x30, b"".join(parts))


def split(data):
    """One element off the front: tag, content, rest."""
    tag, first = data[0], data[1]
    if first < 0x80:
        size, at = first, 2
    else:
        at = 2 + (first & 0x7f)
        size = int.from_bytes(data[2:at], "big")
    assert len(data) >= at + size, "cut short"
    return tag, data[at:at + size], data[at + size:]


def elements(content):
    found = []
    while content:
        tag, inner, content = split(content)
        found.append((tag, inner))
    return found


def fields(content):
    """A SEQUENCE of context tags: number -> the encoded value."""
    tag, inner, _ = split(content)
    assert tag == 0x30, hex(tag)
    return {t - 0xa0: value for t, value in elements(inner)}


def value(encoded):
    return split(encoded)[1]


def number(encoded):
    return int.from_bytes(value(encoded), "big", signed=True)


class Seq:
    """A SEQUENCE before it is encoded: [name, context tag, encoded value], to be bent at will."""

    def __init__(self, *rows, app=None):
        self.rows = [list(row) for row in rows if row[2] is not None]
        self.app = app              # the [APPLICATION n] around it
        self.tag = 0x30
        self.tail = b""             # inside the sequence, after the fields

    def __getitem__(self, name):
        return next(row[2] for row in self.rows if row[0] == name)

    def __setitem__(self, name, encoded):
        next(row for row in self.rows if row[0] == name)[2] = encoded

    def __contains__(self, name):
        return any(row[0] == name for row in self.rows)

    def names(self):
        return [row[0] for row in self.rows]

    def index(self, name):
        return self.names().index(name)

    def add(self, name, tag, encoded):
        """In the order of tags; an old one goes."""
        self.rows = [row for row in self.rows if row[0] != name]
        at = sum(1 for row in self.rows if row[1] < tag)
        self.rows.insert(at, [name, tag, encoded])

    def encode(self):
        inner = tlv(self.tag, b"".join(tlv(0xa0 | tag, v) for _, tag, v in self.rows) + self.tail)
        return inner if self.app is None else tlv(0x60 | self.app, inner)


def principal_name(kind, *parts):
    return Seq(("name-type", 0, integer(kind)),
               ("name-string", 1, sequence(*[string(p) for p in parts]))).encode()


def read_name(encoded):
    f = fields(encoded)
    return tuple(v.decode("latin-1") for _, v in elements(value(f[1])))


def pa_data(kind, content):
    return Seq(("type", 1, integer(kind)), ("value", 2, octets(content))).encode()


def info2_entry(etype, salt=None, params=None):
    return Seq(("etype", 0, integer(etype)), ("salt", 1, None if salt is None else string(salt)),
               ("s2kparams", 2, None if params is None else octets(params))).encode()


# --- AES, RFC 3961/3962, RFC 8009 -------------------------------------------------------------------

_lib = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_cbc", "EVP_aes_256_cbc"):
    getattr(_lib, _name).restype = ctypes.c_void_p


def _cbc(key, iv, data, encrypt):
    cipher = _lib.EVP_aes_128_cbc() if len(key) == 16 else _lib.EVP_aes_256_cbc()
    ctx = ctypes.c_void_p(_lib.EVP_CIPHER_CTX_new())
    out, size = ctypes.create_string_buffer(len(data) + 32), ctypes.c_int(0)
    _lib.EVP_CipherInit_ex(ctx, ctypes.c_void_p(cipher), None, key, iv, int(encrypt))
    _lib.EVP_CIPHER_CTX_set_padding(ctx, 0)
    _lib.EVP_CipherUpdate(ctx, out, ctypes.byref(size), data, len(data))
    _lib.EVP_CIPHER_CTX_free(ctx)
    return out.raw[:size.value]


def cts_encrypt(key, plain):
    if len(plain) == 16:
        return _cbc(key, bytes(16), plain, True)
    out = _cbc(key, bytes(16), plain + bytes(-len(plain) % 16), True)
    last = len(plain) % 16 or 16
    return out[:-32] + out[-16:] + out[-32:-16][:last]


def cts_decrypt(key, cipher):
    if len(cipher) == 16:
        return _cbc(key, bytes(16), cipher, False)
    last = len(cipher) % 16 or 16
    head, whole, part = cipher[:-16 - last], cipher[-16 - last:-last], cipher[-last:]
    middle = _cbc(key, bytes(16), whole, False)
    stolen = part + middle[last:]
    out = _cbc(key, bytes(16), head + stolen, False)
    return out + bytes(a ^ b for a, b in zip(middle[:last], part))


def nfold(data, size):
    """RFC 3961 5.1."""
    total = len(data) * 8
    n = int.from_bytes(data, "big")
    def lcm(a, b):
        import math
        return a * b // math.gcd(a, b)
    whole = b""
    for i in range(lcm(len(data), size) // len(data)):
        turn = 13 * i % total
        whole += ((n >> turn | n << (total - turn)) & ((1 << total) - 1)).to_bytes(len(data), "big")
    folded = sum(int.from_bytes(whole[i:i + size], "big") for i in range(0, len(whole), size))
    ones = (1 << size * 8) - 1
    while folded > ones:
        folded = (folded & ones) + (folded >> size * 8)
    return folded.to_bytes(size, "big")


SIZES = {17: 16, 18: 32, 19: 16, 20: 32}
MACS = {17: 12, 18: 12, 19: 16, 20: 24}
HASHES = {17: "sha1", 18: "sha1", 19: "sha256", 20: "sha384"}
CHECKSUMS = {17: 15, 18: 16, 19: 19, 20: 20}
NAMES = {19: b"aes128-cts-hmac-sha256-128", 20: b"aes256-cts-hmac-sha384-192"}
_derived = {}


def derive(etype, key, constant, size=None):
    known = _derived.get((etype, key, constant, size))
    if known:
        return known
    if etype in (17, 18):
        block, out = nfold(constant, 16), b""
        while len(out) < SIZES[etype]:
            block = _cbc(key, bytes(16), block, True)
            out += block
        out = out[:SIZES[etype]]
    else:                                           # RFC 8009 3: KDF-HMAC-SHA2
        size = size or (MACS[etype] if constant[-1] != 0xaa else SIZES[etype])
        out = hmac.new(key, b"\0\0\0\1" + constant + b"\0" + struct.pack(">I", size * 8),
                       HASHES[etype]).digest()[:size]
    _derived[(etype, key, constant, size)] = out
    return out


def _usage(usage, kind):
    return struct.pack(">IB", usage, kind)


def encrypt(etype, key, usage, plain):
    ke, ki = derive(etype, key, _usage(usage, 0xaa)), derive(etype, key, _usage(usage, 0x55))
    data = os.urandom(16) + plain
    cipher = cts_encrypt(ke, data)
    covered = data if etype in (17, 18) else bytes(16) + cipher
    return cipher + hmac.new(ki, covered, HASHES[etype]).digest()[:MACS[etype]]


def decrypt(etype, key, usage, cipher):
    ke, ki = derive(etype, key, _usage(usage, 0xaa)), derive(etype, key, _usage(usage, 0x55))
    body, mac = cipher[:-MACS[etype]], cipher[-MACS[etype]:]
    data = cts_decrypt(ke, body)
    covered = data if etype in (17, 18) else bytes(16) + body
    if hmac.new(ki, covered, HASHES[etype]).digest()[:MACS[etype]] != mac:
        raise ValueError("integrity")
    return data[16:]


def checksum(etype, key, usage, data):
    kc = derive(etype, key, _usage(usage, 0x99))
    return hmac.new(kc, data, HASHES[etype]).digest()[:MACS[etype]]


def string_to_key(etype, password, salt, rounds):
    if etype in (17, 18):
        key = hashlib.pbkdf2_hmac("sha1", password, salt, rounds, SIZES[etype])
        return derive(etype, key, b"kerberos")
    key = hashlib.pbkdf2_hmac(HASHES[etype], password, NAMES[etype] + b"\0" + salt, rounds, SIZES[etype])
    return derive(etype, key, b"kerberos", SIZES[etype])


def encrypted_data(etype, cipher, kvno=None):
    return Seq(("etype", 0, integer(etype)), ("kvno", 1, None if kvno is None else integer(kvno)),
               ("cipher", 2, octets(cipher))).encode()


def self_test():
    """RFC 3961 A.1, RFC 3962 B, RFC 8009 A."""
    assert nfold(b"012345", 8).hex() == "be072631276b1955"
    assert nfold(b"Rough Consensus, and Running Code", 8).hex() == "bb6ed30870b7f0e0"
    assert string_to_key(17, b"password", b"ATHENA.MIT.EDUraeburn", 1200).hex() == \
        "4c01cd46d632d01e6dbe230a01ed642a"
    assert string_to_key(18, b"password", b"ATHENA.MIT.EDUraeburn", 2).hex() == \
        "a2e16d16b36069c135d5e9d2e25f896102685618b95914b467c67622225824ff"
    salt = bytes.fromhex("10df9dd783e5bc8acea1730e74355f61") + b"ATHENA.MIT.EDUraeburn"
    assert string_to_key(19, b"password", salt, 32768).hex() == "089bca48b105ea6ea77ca5d2f39dc5e7"
    assert string_to_key(20, b"password", salt, 32768).hex() == \
        "45bd806dbf6a833a9cffc1c94589a222367a79bc21c413718906e9f578a78467"
    assert cts_encrypt(b"chicken teriyaki", b"I would like the").hex() != ""
    assert cts_encrypt(b"chicken teriyaki", b"I would like the ").hex() == \
        "c6353568f2bf8cb4d8a580362da7ff7f97"
    assert cts_decrypt(b"chicken teriyaki", cts_encrypt(b"chicken teriyaki", b"x" * 47)) == b"x" * 47
    key = bytes.fromhex("3705D96080C17728A0E800EAB6E0D23C")
    assert derive(19, key, b"\0\0\0\2\x99").hex() == "b31a018a48f54776f403e9a396325dc3"
    for etype in SIZES:
        key = os.urandom(SIZES[etype])
        for size in (0, 1, 16, 31, 32, 100):
            assert decrypt(etype, key, 3, encrypt(etype, key, 3, bytes(size))) == bytes(size)


if __name__ == "__main__":
    self_test()
