#!/usr/bin/python3
"""What contexts and messages of our engine take from the heap, counted by the program that measures
messages (bench/bench_messages.c). Speed is measured there; these figures are the same everywhere."""
import os
import subprocess
import unittest

import beside
import harness

PROGRAM = os.path.join(beside.BUILD, "bench", "bench_messages")     # not where sanitizers count

ETYPES = ("aes256-cts-hmac-sha1-96", "aes128-cts-hmac-sha256-128", "aes256-cts-hmac-sha384-192")

# Bytes; what libgssapi itself keeps for a context is in them (three blocks). Our keys are not: they
# lie apart (crypto/secret.h), 64 bytes each, two of them in an established context.
HALF_OPEN, ESTABLISHED, KEYS = 1536, 2048, 128


class TestCost(beside.Beside):
    def ask(self, etype, *requests):
        env = self.realm.env(options=self.realm.identity("keytab", "user-" + etype)
                             + " EncryptionTypes=" + etype, krb5_conf=self.krb5_conf_of(etype),
                             KRB5RCACHENAME="none:",
                             KRB5_KTNAME="FILE:" + self.realm.path("service.keytab"))
        done = subprocess.run([PROGRAM, etype + "@localhost"], env=env, text=True, timeout=300,
                              input="".join(line + "\n" for line in requests),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        lines = done.stdout.splitlines()
        self.assertEqual((done.returncode, lines[0], len(lines)), (0, "ready", len(requests) + 1),
                         done.stdout)
        return lines[1:]

    def test_allocations_of_messages(self):
        """The output, and nothing else; where the program gives the room, nothing."""
        most = {"wrap": 1, "unwrap": 1, "wrap-sign": 1, "unwrap-sign": 1, "get_mic": 1,
                "verify_mic": 0, "wrap_iov": 0, "unwrap_iov": 0, "wrap_iov-sign": 0,
                "unwrap_iov-sign": 0, "get_mic_iov": 0, "verify_mic_iov": 0}
        requests = [(op, size) for op in most for size in (0, 64, 65536, 1048576)]
        for etype in ETYPES:
            answers = self.ask(etype, *(f"allocations {op} {size}" for op, size in requests))
            for (op, size), answer in zip(requests, answers):
                with self.subTest(etype=etype, op=op, size=size):
                    self.assertLessEqual(int(answer), most[op])

    def test_heap_of_contexts(self):
        for etype in ETYPES:
            half_open, established = (int(n) for n in self.ask(etype, "heap")[0].split())
            print(f"{etype}: half open {half_open} bytes, established {established}", flush=True)
            with self.subTest(etype=etype):
                self.assertLessEqual(half_open + KEYS, HALF_OPEN)
                self.assertLessEqual(established + KEYS, ESTABLISHED)


if __name__ == "__main__":
    harness.main("krb5kdc", PROGRAM, plugin=True)
