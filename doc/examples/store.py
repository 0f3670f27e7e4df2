#!/usr/bin/python3
"""store.py - options of one credential from Python, by the cred store of python3-gssapi.

    ./store.py HTTP@www.example.com User=alice@EXAMPLE.COM Password=file:alice.pw Timeout=10

Every option may be a key of the store; its value is a text. Nothing is asked of a KDC before the
first step of a context."""
import sys

import gssapi


def main(target, *settings):
    store = dict(setting.split("=", 1) for setting in settings)
    credential = gssapi.Credentials(store=store, usage="initiate")
    name = gssapi.Name(target, gssapi.NameType.hostbased_service)
    context = gssapi.SecurityContext(name=name, creds=credential, usage="initiate")
    token = context.step()
    print(f"{credential.name}: a token of {len(token)} bytes for {name}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except gssapi.exceptions.GSSError as error:
        sys.exit(str(error))
