#!/usr/bin/python3
"""keyring_inside.py CACHE FILE: Kerbside and libkrb5 in one process and thread, for caches that
nobody else sees. Kerbside logs in, and libkrb5 lists what it wrote to CACHE. Then libkrb5 copies the
TGT of FILE there, and Kerbside logs in with it."""
import ctypes
import sys

import gssapi.raw as raw

KRB5 = ctypes.CDLL("libkrb5.so.3")


class Data(ctypes.Structure):
    _fields_ = [("magic", ctypes.c_int32), ("length", ctypes.c_uint), ("data", ctypes.c_void_p)]


class Creds(ctypes.Structure):
    """krb5_creds, up to its server."""
    _fields_ = [("magic", ctypes.c_int32), ("client", ctypes.c_void_p),
                ("server", ctypes.c_void_p), ("rest", ctypes.c_char * 256)]


def check(code):
    if code != 0:
        KRB5.krb5_get_error_message.restype = ctypes.c_char_p
        sys.exit(KRB5.krb5_get_error_message(CONTEXT, code).decode())


def resolve(name):
    cache = ctypes.c_void_p()
    check(KRB5.krb5_cc_resolve(CONTEXT, name.encode(), ctypes.byref(cache)))
    return cache


def servers(cache):
    cursor, creds, text = ctypes.c_void_p(), Creds(), ctypes.c_char_p()
    check(KRB5.krb5_cc_start_seq_get(CONTEXT, cache, ctypes.byref(cursor)))
    while KRB5.krb5_cc_next_cred(CONTEXT, cache, ctypes.byref(cursor), ctypes.byref(creds)) == 0:
        check(KRB5.krb5_unparse_name(CONTEXT, ctypes.c_void_p(creds.server), ctypes.byref(text)))
        if b"X-CACHECONF:" not in text.value:
            yield text.value.decode()
    KRB5.krb5_cc_end_seq_get(CONTEXT, cache, ctypes.byref(cursor))


def login(said):
    raw.init_sec_context(raw.import_name(b"HTTP@localhost", raw.NameType.hostbased_service))
    for server in sorted(servers(resolve(sys.argv[1]))):
        print(f"{said}: {server}")


CONTEXT = ctypes.c_void_p()
check(KRB5.krb5_init_context(ctypes.byref(CONTEXT)))
login("we wrote")
source, target, principal = resolve(sys.argv[2]), resolve(sys.argv[1]), ctypes.c_void_p()
check(KRB5.krb5_cc_get_principal(CONTEXT, source, ctypes.byref(principal)))
check(KRB5.krb5_cc_initialize(CONTEXT, target, principal))
check(KRB5.krb5_cc_copy_creds(CONTEXT, source, target))
login("with libkrb5's we wrote")
