#!/usr/bin/env python3
"""seeds.py NAME SRCDIR DIR: writes the seeds of fuzz_NAME, made from the recordings, into DIR."""

import hashlib
import json
import pathlib
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


def keytab(wire, vectors):
    for path in sorted((wire / "files").glob("*.keytab")):
        yield path.read_bytes()


def token(wire, vectors):
    """Per-message tokens and framed context tokens."""
    for recording in recordings(wire, "gss"):
        for message in recording.get("context_tokens", []) + recording.get("per_message", []):
            yield bytes.fromhex(message.get("hex") or message.get("token"))


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


SEEDS = {"ap": ap, "der": der, "keytab": keytab, "token": token}


def main():
    name, srcdir, directory = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    directory.mkdir(parents=True, exist_ok=True)
    if name in SEEDS:
        for seed in SEEDS[name](srcdir / "tests/wire", srcdir / "tests/vectors"):
            (directory / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


main()
