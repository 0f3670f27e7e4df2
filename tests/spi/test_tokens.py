#!/usr/bin/python3
"""Per-message tokens that an initiator meets (tokens.c), in contexts of each kind and enctype: our
engine's majors are those of the platform's mechanism, it writes nothing into what it was given, and
both understand messages of every length."""
import unittest

import beside
import harness
from kdc import ENCTYPES

PLAIN, SAFE, DCE = "0", "2e", "1002"


class TestTokens(beside.Beside):
    PROGRAM = "tokens"

    def check(self, scenario, *flags, look=lambda flags, ours: None):
        for enctype in ENCTYPES:
            for f in flags:
                with self.subTest(enctype=enctype, flags=f):
                    look(f, self.one(enctype, f, scenario))

    def one(self, enctype, flags, scenario):
        conf, user = self.krb5_conf_of(enctype), "user-" + enctype
        args = (enctype + "@localhost", flags, scenario)
        ours = self.run_program(self.realm.identity("keytab", user) + " EncryptionTypes=" + enctype,
                                *args, krb5_conf=conf)
        self.assertNotIn("input altered", ours)
        self.assert_same(beside.essence(self.run_alone(user, *args, krb5_conf=conf)),
                         beside.essence(ours))
        return ours

    def test_altered(self):
        def look(_, ours):
            self.assertIn("bits flipped", ours)
            self.assertNotIn("another message", ours)

        self.check("altered", PLAIN, SAFE, DCE, look=look)

    def test_foreign(self):
        self.check("foreign", SAFE,
                   look=lambda _, ours: self.assertIn("after all of that: 00000000", ours))

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
                   look=lambda _, ours: self.assertEqual(ours.count("  0-8195 00000000\n"), 3))

    def test_order(self):
        self.check("order", PLAIN, "6", "a", SAFE)


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", plugin=True)
