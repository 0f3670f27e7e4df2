#!/usr/bin/python3
"""UseInternalSecurityAPI and UseFIPSCompliantAPI in logins of a real program against MIT's KDC.

Where the system has no FIPS provider, tests/support/fips.c stands in: what is shown is that it is
used and nothing else, and what is said where it is missing."""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                              # noqa: E402
from peer import GSSFailure, Peer, establish  # noqa: E402
from realm import Realm                     # noqa: E402

MODULES = os.path.join(os.environ.get("KB_BUILDDIR", "."), "tests", "support")


@unittest.skipUnless(os.path.exists(os.path.join(MODULES, "fips.so")), "built without fips.so")
class Security(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def env(self, more, secret="password", **variables):
        return self.realm.env(options=self.realm.identity(secret) + " " + more, **variables)

    def log_in(self, env):
        with Peer(env) as client, Peer(self.realm.service_env()) as server:
            establish(client, server, "HTTP@localhost")

    def refused(self, env):
        with Peer(env) as client:
            with self.assertRaises(GSSFailure) as failed:
                client.init(ctx="c", target="HTTP@localhost")
        return failed.exception.minor_text

    def test_the_systems(self):
        self.log_in(self.env("UseInternalSecurityAPI=False"))
        self.log_in(self.env("UseInternalSecurityAPI=False", "keytab"))

    def test_fips(self):
        self.log_in(self.env("UseFIPSCompliantAPI=True", OPENSSL_MODULES=MODULES))
        self.log_in(self.env("UseFIPSCompliantAPI=True", "keytab", OPENSSL_MODULES=MODULES))

    def test_no_fips(self):
        with self.realm.counting() as seen:
            text = self.refused(self.env("UseFIPSCompliantAPI=True", OPENSSL_MODULES="/nonexistent"))
        self.assertIn("UseFIPSCompliantAPI", text)
        self.assertIn("FIPS provider", text)
        self.assertEqual(seen.total, 0, "said before anything was sent, and nothing used instead")

    def test_fips_lacks_something(self):
        text = self.refused(self.env("UseFIPSCompliantAPI=True", OPENSSL_MODULES=MODULES,
                                     FIPS_LACKS="KDF"))
        self.assertIn("PBKDF2", text)

    def test_a_broken_configuration(self):
        broken = self.realm.path("broken.cnf")
        with open(broken, "w", encoding="ascii") as out:
            out.write("[this is no configuration\n")
        text = self.refused(self.env("UseInternalSecurityAPI=False", OPENSSL_CONF=broken))
        self.assertIn("openssl.cnf", text)
        self.log_in(self.env("", OPENSSL_CONF=broken))      # the built-in kind does not read it


if __name__ == "__main__":
    harness.main("krb5kdc", plugin=True)
