#!/usr/bin/python3
"""Messages in several buffers and with associated data (gss_wrap_iov, gss_get_mic_iov, gss_wrap_aead)
between our initiator and the platform's acceptor, and what the platform makes of odd lists."""
import difflib
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "realm"))
import harness              # noqa: E402
from kdc import ENCTYPES, MORE_ENCTYPES, write    # noqa: E402
from realm import Realm     # noqa: E402
from test_ours import MITS_ORDER, PRELOAD, essence  # noqa: E402

BUILD = os.environ.get("KB_BUILDDIR", os.getcwd())
PROGRAM = os.path.join(BUILD, "tests", "spi", "iov")


class TestIov(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm(more_enctypes=True)
        cls.realm.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def run_iov(self, options, *args, krb5_conf=None, **more):
        env = self.realm.env(options=options, plugin=options is not None,
                             krb5_conf=krb5_conf or self.realm.krb5_conf,
                             KRB5_KTNAME="FILE:" + self.realm.path("service.keytab"), **more)
        wrapper = os.environ.get("KB_WRAPPER", "").split() if options and not more else []
        done = subprocess.run([*wrapper, PROGRAM, *args], env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        return done.stdout

    def test_edges(self):
        with open(self.realm.password_file("alice")) as secret:
            subprocess.run(["kinit", "alice"], stdin=secret, stdout=subprocess.DEVNULL,
                           env=self.realm.env(plugin=False), check=True)
        alone = essence(self.run_iov(None, "edges"))
        os.unlink(self.realm.path("ccache"))
        ours = self.run_iov(self.realm.identity("keytab") + MITS_ORDER, "edges")
        self.assertNotIn("(no text)", ours)
        if alone != essence(ours):
            self.fail("\n" + "".join(difflib.unified_diff(alone, essence(ours), "platform", "ours",
                                                          n=8)))

    def test_messages(self):
        for enctype in ENCTYPES + MORE_ENCTYPES[:2]:
            with self.subTest(enctype=enctype):
                conf = self.realm.path(f"only-{enctype}.conf")
                with open(self.realm.krb5_conf) as source:
                    write(conf, source.read().replace("[libdefaults]", f"""[libdefaults]
  permitted_enctypes = {enctype}"""))
                options = self.realm.identity("password", "user-" + enctype)
                text = self.run_iov(options + " EncryptionTypes=" + enctype, "messages",
                                    enctype + "@localhost", krb5_conf=conf)
                self.assertGreater(int(text.splitlines()[-1].split()[0]), 10000)

    def test_short_memory(self):
        """Each allocation fails once; and how many there are for a message."""
        if not os.path.exists(PRELOAD):
            self.skipTest("not in a build with sanitizers")
        text = self.run_iov(self.realm.identity("keytab"), "memory", "HTTP@localhost",
                            LD_PRELOAD=PRELOAD)
        for line in ("wrap_iov: 0", "wrap_iov, made: 2", "wrap_iov, long: 1", "get_mic_iov: 0",
                     "wrap_aead: 1", "unwrap_aead: 1"):
            self.assertIn(line, text.splitlines())


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", plugin=True)
