#!/usr/bin/python3
"""OpenSSH: ssh with our plugin logs in at a private sshd that runs without it, and sshd (with its
privilege separation) goes on working with the plugin loaded into it."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                  # noqa: E402
from kdc import peers           # noqa: E402
from realm import Realm         # noqa: E402
from services import Sshd       # noqa: E402


class Against:
    kind = "mit"

    @classmethod
    def setUpClass(cls):
        if cls.kind == "heimdal" and not peers():
            raise unittest.SkipTest("no Heimdal (make peers)")
        cls.realm = Realm(cls.kind)
        cls.realm.__enter__()
        cls.sshd = Sshd(cls.realm)

    @classmethod
    def tearDownClass(cls):
        cls.sshd.close()
        cls.realm.close()

    def run_ssh(self, env, options=(), sshd=None, words=("echo", "let in")):
        return subprocess.run((sshd or self.sshd).command(*words, options=options), env=env,
                              text=True, timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def login(self, secret, more="", requests=None, options=(), sshd=None):
        env = self.realm.env(options=self.realm.identity(secret) + " " + more)
        with self.realm.counting() as seen:
            done = self.run_ssh(env, options, sshd)
        self.assertEqual(done.stdout, "let in\n", done.stderr + (sshd or self.sshd).child.tail())
        self.assertFalse(os.path.exists(self.realm.path("ccache")))
        if requests:
            self.assertEqual(seen.total, requests, dict(seen))

    def test_password(self):
        self.login("password", requests=3)

    def test_keytab(self):
        self.login("keytab", requests=2)

    def test_tcp(self):
        self.login("password", "UseTCP=True", 3)
        self.login("keytab", "UseTCP=True", 2)


class Delegating(Against):
    """A TGT goes along, and the session uses it."""

    def test_delegation(self):
        """ssh -K: the session over there has a TGT, and without it none."""
        env = self.realm.env(options=self.realm.identity("password"))
        done = self.run_ssh(env, ("GSSAPIDelegateCredentials=yes",), words=("klist", "-f"))
        self.assertIn("Default principal: alice@" + self.realm.name, done.stdout, done.stderr)
        self.assertRegex(done.stdout, "Flags: [A-Za-z]*f", "forwarded")
        done = self.run_ssh(env, words=("klist", "-f"))
        self.assertNotIn("Default principal", done.stdout)

    def test_the_session_goes_on_with_it(self):
        """From the first host on to the second, and to the KDC, with what ssh brought along."""
        env = self.realm.env(options=self.realm.identity("password"))
        with Sshd(self.realm) as second:
            words = ["export", f"KRB5_CONFIG={self.realm.krb5_conf};", *second.command("echo", "let in twice"),
                     "&&", "kvno", "other/localhost"]
            done = self.run_ssh(env, ("GSSAPIDelegateCredentials=yes",), words=words)
            self.assertIn("let in twice\n", done.stdout, done.stderr + second.child.tail())
            self.assertIn(f"other/localhost@{self.realm.name}: kvno =", done.stdout)
            done = self.run_ssh(env, words=words)
            self.assertNotEqual(done.returncode, 0)
            self.assertNotIn("let in", done.stdout)


class TestMIT(Delegating, unittest.TestCase):
    def test_key_exchange(self):
        """gssapi-keyex: the context also signs the key exchange."""
        self.login("password", options=("GSSAPIKeyExchange=yes",
                                        "PreferredAuthentications=gssapi-keyex"))

    def test_plugin_in_sshd_too(self):
        with Sshd(self.realm, plugin_env={"GSS_MECH_CONFIG": self.realm.mech_config()}) as sshd:
            self.login("keytab", sshd=sshd)

    def test_another_user_is_not_let_in(self):
        """bob has a ticket, but no line in k5login: authorisation is sshd's, and stays so."""
        env = self.realm.env(options=self.realm.identity("password", "bob"))
        done = self.run_ssh(env)
        self.assertNotEqual(done.returncode, 0)
        with Sshd(self.realm, plugin_env={"GSS_MECH_CONFIG": self.realm.mech_config()}) as sshd:
            self.assertNotEqual(self.run_ssh(env, sshd=sshd).returncode, 0)

    def test_wrong_password(self):
        wrong = self.realm.password_file("wrong", "not it")
        options = self.realm.identity().replace(self.realm.path("alice.password"), wrong)
        done = self.run_ssh(self.realm.env(options=options), ("LogLevel=DEBUG",))
        self.assertNotEqual(done.returncode, 0)
        said = [line for line in done.stderr.splitlines() if "alice@" + self.realm.name in line]
        self.assertTrue(any("password" in line for line in said), done.stderr)


class TestHeimdal(Delegating, unittest.TestCase):
    kind = "heimdal"


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "ssh", "sshd", "ssh-keygen", plugin=True)
