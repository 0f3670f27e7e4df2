#!/usr/bin/python3
"""Messages in several buffers and with associated data (gss_wrap_iov, gss_get_mic_iov, gss_wrap_aead)
between our initiator and the platform's acceptor; and what comes of odd lists, beside the platform's
own answers."""
import os
import subprocess

import beside
import harness
from kdc import ENCTYPES, MORE_ENCTYPES
from test_ours import PRELOAD


class TestIov(beside.Beside):
    PROGRAM = "iov"
    MORE_ENCTYPES = True

    def test_edges(self):
        for enctype in ENCTYPES + MORE_ENCTYPES["mit"]:
            with self.subTest(enctype=enctype):
                self.beside("user-" + enctype, "edges", enctype + "@localhost",
                            options=" EncryptionTypes=" + enctype,
                            krb5_conf=self.krb5_conf_of(enctype))

    def test_messages(self):
        for enctype in ENCTYPES + MORE_ENCTYPES["mit"]:
            with self.subTest(enctype=enctype):
                options = self.realm.identity("password", "user-" + enctype)
                text = self.run_program(options + " EncryptionTypes=" + enctype, "messages",
                                        enctype + "@localhost",
                                        krb5_conf=self.krb5_conf_of(enctype))
                self.assertGreater(int(text.splitlines()[-1].split()[0]), 10000)

    def test_short_memory(self):
        """Each allocation fails once; and how many there are for a message."""
        if not os.path.exists(PRELOAD):
            self.skipTest("not in a build with sanitizers")
        env = self.realm.env(options=self.realm.identity("keytab"), krb5_conf=self.realm.krb5_conf,
                             LD_PRELOAD=PRELOAD,
                             KRB5_KTNAME="FILE:" + self.realm.path("service.keytab"))
        done = subprocess.run([beside.program("iov"), "memory", "HTTP@localhost"], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)
        for line in ("wrap_iov: 0", "wrap_iov, made: 2", "wrap_iov, long: 1", "get_mic_iov: 0",
                     "wrap_aead: 1", "unwrap_aead: 1"):
            self.assertIn(line, done.stdout.splitlines())


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", plugin=True)
