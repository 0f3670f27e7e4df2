#!/usr/bin/python3
"""An unmodified curl with SPNEGO against Apache's mod_auth_gssapi: password and keytab, UDP, TCP and
tickets too large for UDP, MIT's and Heimdal's KDC; no krb5.conf and no ticket cache."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                  # noqa: E402
from kdc import peers, program, write           # noqa: E402
from process import free_port                   # noqa: E402
from realm import Realm                         # noqa: E402
from services import MODULES, PAGE, Apache, have_apache  # noqa: E402


def curl(url, env, *options):
    return subprocess.run(["curl", "-s", "-i", "--negotiate", "-u", ":", *options, url], env=env,
                          text=True, timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Against:
    kind, max_udp_reply = "mit", 0

    @classmethod
    def setUpClass(cls):
        if not have_apache():
            raise unittest.SkipTest("no Apache with mod_auth_gssapi")
        if cls.kind == "heimdal" and not peers():
            raise unittest.SkipTest("no Heimdal (make peers)")
        cls.realm = Realm(cls.kind, max_udp_reply=cls.max_udp_reply)
        cls.realm.__enter__()
        cls.apache = Apache(cls.realm)

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def get(self, secret, more="", requests=None):
        options = self.realm.identity(secret) + " " + more
        with self.realm.counting() as seen:
            done = curl(self.apache.url, self.realm.env(options=options))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(PAGE, done.stdout, self.apache.log()[-1000:])
        self.assertIn("X-Authenticated-User: alice@" + self.realm.name, done.stdout)
        self.assertFalse(os.path.exists(self.realm.path("ccache")))
        if requests:
            self.assertEqual(seen.total, requests, dict(seen))

    def test_password(self):
        self.get("password", requests=self.max_udp_reply == 0 and 3)

    def test_keytab(self):
        self.get("keytab", requests=self.max_udp_reply == 0 and 2)

    def test_password_tcp(self):
        self.get("password", "UseTCP=True", 3)

    def test_keytab_tcp(self):
        self.get("keytab", "UseTCP=True", 2)


class Delegating(Against):
    """A TGT goes along, and the server uses it."""

    def delegating(self, behind=None):
        """An Apache that keeps the TGTs which come, and where. At /on a program of its own logs in
        at `behind` with the one that came for it: MIT's own libraries, no key of the user's."""
        caches = self.realm.path(f"delegated-{free_port()}")
        os.mkdir(caches)
        os.chmod(caches, 0o777)
        extra = f"<Location />\nGssapiDelegCcacheDir {caches}\n</Location>\n"
        if behind:
            script = write(caches + ".sh", f"""#!/bin/sh
printf 'Content-Type: text/plain\n\n'
exec 2>&1
curl -s -i --negotiate -u : {behind.url}
kvno other/localhost
""", 0o755)
            env = self.realm.env(plugin=False)
            extra += "".join(f"LoadModule {m}_module {MODULES}/mod_{m}.so\n" for m in ("alias", "cgi")) \
                + f"ScriptAlias /on {script}\n" \
                + "".join(f"SetEnv {name} {env[name]}\n" for name in ("KRB5_CONFIG", "GSS_MECH_CONFIG"))
        return Apache(self.realm, extra=extra), caches

    def test_delegation(self):
        """mod_auth_gssapi keeps the TGT that curl forwards where it was asked to."""
        apache, caches = self.delegating()
        env = self.realm.env(options=self.realm.identity())
        for flags, number in ((("--delegation", "none"), 0), (("--delegation", "policy"), 0),
                              (("--delegation", "always"), 1)):
            with self.subTest(flags=flags):
                self.assertIn(PAGE, curl(apache.url, env, *flags).stdout, apache.log()[-1000:])
                self.assertEqual(len(os.listdir(caches)), number)
        cache = os.path.join(caches, os.listdir(caches)[0])
        done = subprocess.run(["klist", "-f", "-c", cache], env=self.realm.env(plugin=False), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertIn("Default principal: alice@" + self.realm.name, done.stdout)
        self.assertRegex(done.stdout, "Flags: [A-Za-z]*F[^\n]*f|Flags: [A-Za-z]*f")

    def test_the_server_goes_on_with_it(self):
        """What runs behind the first server is alice at the second one and at the KDC."""
        apache, _ = self.delegating(behind=self.apache)
        env = self.realm.env(options=self.realm.identity())
        done = curl(apache.url + "on", env, "--delegation", "always")
        for word in (PAGE, "X-Authenticated-User: alice@" + self.realm.name,
                     f"other/localhost@{self.realm.name}: kvno ="):
            self.assertIn(word, done.stdout, apache.log()[-1000:])
        done = curl(apache.url + "on", env)
        self.assertIn("401 Unauthorized", done.stdout)      # the second server's
        self.assertNotIn(PAGE, done.stdout)


class TestMIT(Delegating, unittest.TestCase):
    def test_options_in_the_mech_line(self):
        env = self.realm.env(plugin=False, krb5_conf=self.realm.empty_conf)
        env["GSS_MECH_CONFIG"] = self.realm.mech_config(self.realm.identity(), name="with-options")
        self.assertIn(PAGE, curl(self.apache.url, env).stdout)

    def test_spn(self):
        """The option's service in place of the one that the URL gives."""
        options = self.realm.identity() + " SPN=HTTP/localhost"
        done = curl(self.apache.url.replace("localhost", "127.0.0.1"), self.realm.env(options=options))
        self.assertIn(PAGE, done.stdout)

    @unittest.skipUnless(program("valgrind"), "no valgrind")
    def test_under_valgrind(self):
        """curl tears OpenSSL down while we are loaded; nothing is touched after that, nothing lost."""
        for secret in ("password", "keytab"):
            env = self.realm.env(options=self.realm.identity(secret))
            done = subprocess.run([*harness.VALGRIND, "curl", "-s", "--negotiate", "-u", ":",
                                   self.apache.url], env=env, text=True, timeout=120,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(PAGE, done.stdout)

    def test_wrong_password(self):
        wrong = self.realm.password_file("wrong", "not it")
        options = self.realm.identity().replace(self.realm.path("alice.password"), wrong)
        done = curl(self.apache.url, self.realm.env(options=options), "-v")
        self.assertIn("401", done.stdout.splitlines()[0])
        said = [line for line in done.stderr.splitlines() if "gss_init_sec_context" in line]
        self.assertTrue(said, done.stderr)
        self.assertIn("alice@" + self.realm.name, said[0])
        self.assertIn("password", said[0])


class TestHeimdal(Delegating, unittest.TestCase):
    kind = "heimdal"


class TestTooLargeForUDP(Against, unittest.TestCase):
    max_udp_reply = 300


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "curl", plugin=True)
