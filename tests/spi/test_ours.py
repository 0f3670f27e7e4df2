#!/usr/bin/python3
"""Contexts of our engine beside the platform's own: the same transcript, but for TRANS (a context of
ours cannot be exported) and the sentences of errors."""
import difflib
import os
import subprocess
import unittest

import beside
import harness
from kdc import ENCTYPES

PRELOAD = os.path.join(beside.BUILD, "tests", "spi", "failing_malloc.so")  # if no sanitizer


class TestBeside(beside.Beside):
    PROGRAM = "transcript"

    def test_basic(self):
        for user in ["alice"] + ["user-" + enctype for enctype in ENCTYPES]:
            with self.subTest(user=user):
                self.assertIn("flags 3e, local 1", self.beside(user, "basic"))

    def test_keys(self):
        """Pseudo-random bytes, queries, lucid contexts, with keys of each enctype."""
        for enctype, number in zip(ENCTYPES, ("14", "13", "12", "11")):
            with self.subTest(enctype=enctype):
                ours = self.beside("user-" + enctype, "keys", enctype + "@localhost",
                                   options=" EncryptionTypes=" + enctype,
                                   krb5_conf=self.krb5_conf_of(enctype))
                self.assertIn("2a 86 48 86 f7 12 01 02 02 04 " + number, ours)
                self.assertIn("the keys are one", ours)     # without an answer
                self.assertIn("the keys are two", ours)
                self.assertNotIn("not equal", ours)

    def test_copies(self):
        """gss_add_cred copies by export and import: the copy is the same identity."""
        options = self.realm.identity("keytab")
        text = self.run_program(options, "add_creds")
        self.assertNotIn("000d0000", text)
        self.assertEqual(text.count("name: alice@"), 2)
        text = self.run_program(options, "creds")
        for wanted in ("default, both", "alice, initiate"):
            part = text[text.index("--- " + wanted):]
            part = part[:part.index("release_cred")]
            self.assertRegex(part, r"export_cred: 0{8}\nimport_cred: 0{8}\ninquire_cred: 0{8}")
            self.assertNotIn("source: bob", part)

    def test_threads(self):
        program = beside.program("threads")
        env = self.realm.env(options=self.realm.identity("password"))
        with self.realm.counting() as seen:
            done = subprocess.run([*os.environ.get("KB_WRAPPER", "").split(), program,
                                   "alice@" + self.realm.name, "16", "20"], env=env,
                                  stderr=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(seen["AS"] + seen["TGS"], 2, dict(seen))

    def test_host_that_opens_libgssapi_locally(self):
        """Stacks of 64 KiB, a fork between the calls, dlclose at the end."""
        if not os.path.exists(PRELOAD):
            self.skipTest("ASan's own allocator is locked in a child of a process with threads")
        for secret in ("password", "keytab"):
            done = subprocess.run([beside.program("host"), "HTTP@localhost",
                                   "other@localhost", "nosuch@localhost"],
                                  env=self.realm.env(options=self.realm.identity(secret)),
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=60)
            lines = done.stdout.splitlines()
            self.assertEqual((done.returncode, lines[:4], len(lines)), (0, ["ok"] * 4, 6), lines)
            for line in lines[4:]:
                self.assertIn("nosuch/localhost", line)

    def test_short_memory(self):
        """Each allocation of the plugin fails once: no crash, and nobody else is logged in."""
        if not os.path.exists(PRELOAD):
            self.skipTest("not in a build with sanitizers")
        for scenario in ("half_open", "names"):
            number, reached = 0, True
            while reached:
                number += 1
                self.assertLess(number, 1000)
                env = self.realm.env(options=self.realm.identity("keytab"),
                                     krb5_conf=self.realm.krb5_conf, LD_PRELOAD=PRELOAD,
                                     KB_FAIL_MALLOC=str(number),
                                     KRB5_KTNAME="FILE:" + self.realm.path("service.keytab"))
                done = subprocess.run([beside.program("transcript"), scenario], env=env,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                      timeout=60)
                self.assertEqual(done.returncode, 0, f"allocation {number}: {done.stdout}")
                reached = "not reached" not in done.stderr
            self.assertGreater(number, 50)

    def test_more(self):
        """Lists of buffers, associated data, lucid contexts, delegation; and what a context that is not
        open says."""
        alone = beside.essence(self.run_alone("alice", "contexts"))
        ours = self.run_program(self.realm.identity("keytab") + beside.MITS_ORDER, "contexts")
        self.assertNotIn("(no text)", ours)
        changes = [line for line in difflib.ndiff(alone, beside.essence(ours)) if line[0] in "+-"]
        # MIT unwraps nothing with associated data in DCE style.
        self.assertEqual(changes, ["- unwrap_aead: 000d0000\n", "+ unwrap_aead: 00000000\n",
                                   "+   body\n"])
        self.assertNotIn("(no text)", self.run_program(self.realm.identity("keytab"), "half_open"))


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", plugin=True)
