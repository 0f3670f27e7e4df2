"""Programs of GSS-API calls, run with our engine and with the platform's mechanism alone, in one
realm: what they write must be the same, but for TRANS (a context of ours cannot be exported), texts
of errors and what else is indented by four, and what stands in brackets."""
import difflib
import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "realm"))
from kdc import write       # noqa: E402
from realm import Realm     # noqa: E402

BUILD = os.environ.get("KB_BUILDDIR", os.getcwd())

# Of enctypes, where krb5.conf says nothing.
MITS_ORDER = (" EncryptionTypes=aes256-cts-hmac-sha1-96,aes128-cts-hmac-sha1-96,"
              "aes256-cts-hmac-sha384-192,aes128-cts-hmac-sha256-128")


def program(name):
    return os.path.join(BUILD, "tests", "spi", name)


def essence(transcript):
    """Without TRANS and PROT_READY among the flags (the platform tells the latter in some answers
    only), and without texts of errors, which are indented by four, and lines in brackets."""
    lines = [line for line in transcript.splitlines(True) if not line.startswith(("    ", "("))]
    return [re.sub(r"flags ([0-9a-f]+),", lambda m: f"flags {int(m[1], 16) & ~0x180:x},", line)
            for line in lines]


class Beside(unittest.TestCase):
    PROGRAM = None
    MORE_ENCTYPES = False

    @classmethod
    def setUpClass(cls):
        cls.realm = Realm(more_enctypes=cls.MORE_ENCTYPES)
        cls.realm.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def krb5_conf_of(self, enctype):
        """One that permits tickets, subkeys and messages of this enctype alone."""
        with open(self.realm.krb5_conf) as old:
            conf = old.read().replace("[libdefaults]",
                                      f"[libdefaults]\n  permitted_enctypes = {enctype}")
        return write(self.realm.path(enctype + ".conf"), conf)

    def run_program(self, options, *args, krb5_conf=None):
        """With the plugin where there are options."""
        env = self.realm.env(options=options, plugin=options is not None,
                             krb5_conf=krb5_conf or self.realm.krb5_conf,
                             KRB5_KTNAME="FILE:" + self.realm.path("service.keytab"))
        wrapper = os.environ.get("KB_WRAPPER", "").split() if options else []
        done = subprocess.run([*wrapper, program(self.PROGRAM), *args], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def run_alone(self, user, *args, krb5_conf=None):
        with open(self.realm.password_file(user)) as secret:
            subprocess.run(["kinit", "-f", "-r", "7d", user], stdin=secret, stdout=subprocess.DEVNULL,
                           env=self.realm.env(plugin=False, krb5_conf=krb5_conf), check=True)
        alone = self.run_program(None, *args, krb5_conf=krb5_conf)
        os.unlink(self.realm.path("ccache"))
        return alone

    def assert_same(self, alone, ours):
        if alone != ours:
            self.fail("\n" + "".join(difflib.unified_diff(alone, ours, "platform", "ours")))

    def beside(self, user, *args, options=MITS_ORDER, krb5_conf=None):
        """Ours, with a password and with a keytab, beside the platform's own."""
        alone = essence(self.run_alone(user, *args, krb5_conf=krb5_conf))
        for secret in ("password", "keytab"):
            ours = self.run_program(self.realm.identity(secret, user) + options, *args,
                                    krb5_conf=krb5_conf)
            self.assertNotIn("(no text)", ours)
            self.assertNotRegex(ours, "flags 1[0-9a-f]{2}, local 1")
            self.assert_same(alone, essence(ours))
        return ours
