#!/usr/bin/python3
"""Per-message tokens that an initiator meets (tokens.c), in contexts of each kind and enctype: our
engine's majors are those of the platform's mechanism, it writes nothing into what it was given, and
both understand messages of many lengths. With KB_TEST_WHOLE in the environment (make torture), of every
length, every enctype of RFC 4121's tokens, not every other one, and every number in forged headers."""
import os
import unittest

import beside
import harness
from kdc import ENCTYPES

PLAIN, SAFE, DCE = "0", "2e", "1002"
OLD = ("arcfour-hmac", "des3-cbc-sha1")                              # of RFC 1964 and RFC 4757
NEW = ENCTYPES + ("camellia256-cts-cmac", "camellia128-cts-cmac")    # with tokens of RFC 4121
WHOLE = "KB_TEST_WHOLE" in os.environ
CHECKED = NEW if WHOLE else NEW[::2]
LENGTHS = 4098 if WHOLE else 678     # two messages each


class TestTokens(beside.Beside):
    PROGRAM = "tokens"
    MORE_ENCTYPES = True

    def run_ours(self, enctype, *args):
        return self.run_program(
            self.realm.identity("keytab", "user-" + enctype) + " EncryptionTypes=" + enctype,
            enctype + "@localhost", *args, krb5_conf=self.krb5_conf_of(enctype))

    def one(self, enctype, *args):
        """Beside the platform's mechanism."""
        alone = self.run_alone("user-" + enctype, enctype + "@localhost", *args,
                               krb5_conf=self.krb5_conf_of(enctype))
        ours = self.run_ours(enctype, *args)
        self.assertNotIn("input altered", ours)
        self.assert_same(beside.essence(alone), beside.essence(ours))
        return ours

    def check(self, scenario, *flags, enctypes=CHECKED, look=lambda flags, ours: None):
        for enctype in enctypes:
            for f in flags:
                with self.subTest(enctype=enctype, flags=f):
                    look(f, self.one(enctype, f, scenario, "flat"))

    def alike(self, enctype, flags, scenario, *vias):
        """By lists of buffers nothing is taken that gss_unwrap refuses, nor the reverse. (The platform
        ends in an assertion at some of these.)"""
        flat = self.run_ours(enctype, flags, scenario, "coarse")
        for via in vias:
            with self.subTest(enctype=enctype, flags=flags, scenario=scenario, via=via):
                self.assert_same(beside.essence(flat), beside.essence(
                    self.run_ours(enctype, flags, scenario, via)))

    def test_lists_of_buffers(self):
        self.alike(NEW[0], SAFE, "lengths", "stream", "allocated", "parts")
        for scenario in ("altered", "foreign", "order"):
            self.alike(NEW[0], SAFE, scenario, "stream", "allocated", "parts")
            self.alike(NEW[1], DCE, scenario, "stream", "allocated")
        self.alike(NEW[2], SAFE, "forged", "stream", "allocated")
        self.alike(NEW[3], DCE, "forged", "stream", "allocated")
        for enctype in CHECKED[1:]:
            self.alike(enctype, SAFE, "altered", "stream")

    def test_altered(self):
        def look(_, ours):
            self.assertIn("bits flipped", ours)
            self.assertNotIn("another message", ours)

        self.check("altered", PLAIN, SAFE, DCE, look=look)

    def test_old(self):
        """Altered only where numbers are not looked at: RFC 4757 2's are outside the checksum, so an
        altered one is another number in each run."""
        def look(_, ours):
            self.assertNotIn("another message", ours)

        self.check("altered", PLAIN, DCE, enctypes=OLD, look=look)
        self.check("lengths", SAFE, DCE, enctypes=OLD, look=look)
        self.check("order", PLAIN, "6", "a", SAFE, enctypes=OLD, look=look)

    def test_foreign(self):
        self.check("foreign", SAFE,
                   look=lambda _, ours: self.assertIn("after all of that:\n  0-0 00000000", ours))

    def test_forged(self):
        def look(flags, ours):
            self.assertIn("MIC, sealed: 00060000", ours)
            if flags != PLAIN:
                for kind in ("sealed", "signed", "MIC"):
                    self.assertIn(kind + ", the initiator's key: 00060000", ours)
            if flags == DCE:
                self.assertIn("rotated by EC too: 00000000", ours)

        self.check("forged", PLAIN, SAFE, DCE, look=look)

    def test_lengths(self):
        self.check("lengths", SAFE, DCE,
                   look=lambda _, ours: self.assertEqual(
                       ours.count(f"  0-{2 * LENGTHS - 1} 00000000\n"), 3))

    def test_order(self):
        self.check("order", PLAIN, "6", "a", SAFE)


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", plugin=True)
