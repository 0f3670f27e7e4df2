#!/usr/bin/python3
"""One process, one user, a right secret and then a wrong one: whichever way it changes, the wrong one
is refused at once, whatever tickets are there, and the right one works again."""
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                                  # noqa: E402
from kdc import write                                           # noqa: E402
from peer import KRB5, SPNEGO, GSSFailure, Peer, establish      # noqa: E402
from realm import Realm                                         # noqa: E402
from tap import Request, Tap                                    # noqa: E402

TARGET = "HTTP@localhost"


class TestChanges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.me = "alice@" + cls.realm.name
        cls.right = cls.realm.passwords["alice"]
        cls.wrong = cls.right[:-1] + "!"        # of the same length

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def client(self, options=None, **env):
        client = Peer(self.realm.env(options=options, krb5_conf=self.realm.empty_conf, **env))
        self.addCleanup(client.close)
        return client

    def options(self, password):
        return f"User={self.me} Password={password} KDCHost={self.realm.kdc_host}"

    def refused(self, call, *args, **options):
        with self.assertRaises(GSSFailure) as failed:
            call(*args, **options)
        self.assertIn(self.me, failed.exception.text)

    def right_and_wrong(self, client, change):
        """change(secret) makes `secret` the one that is configured."""
        client.acquire(cred="default", mechs=[KRB5])
        client.acquire(cred="named", name=self.me, mechs=[KRB5])
        ways = [{}, {"mech": SPNEGO}, {"cred": "default"}, {"cred": "named"}]
        for more in ways:
            with self.subTest(**more):
                client.init(ctx="c", target=TARGET, **more)
                client.forget(ctx="c")
                change(self.wrong)
                self.refused(client.init, ctx="c", target=TARGET, **more)
                change(self.right)
                client.init(ctx="c", target=TARGET, **more)
                client.forget(ctx="c")

    def test_password_file(self):
        path = write(self.realm.path("changing"), self.right)
        self.right_and_wrong(self.client(self.options("file:" + path)),
                             lambda secret: write(path, secret))

    def test_variable(self):
        client = self.client(self.options("env:SECRET"), SECRET=self.right)
        self.right_and_wrong(client, lambda secret: client.setenv(name="SECRET", value=secret))

    def test_options(self):
        client = self.client(self.options('"%s"' % self.right))

        def change(secret):
            client.setenv(name="KERBSIDE_OPTIONS", value=self.options('"%s"' % secret))
        client.init(ctx="c", target=TARGET)
        for mech in (KRB5, SPNEGO):
            change(self.wrong)
            self.refused(client.init, ctx="d", target=TARGET, mech=mech)
            change(self.right)
            client.init(ctx="d", target=TARGET, mech=mech)
            client.forget(ctx="d")

    def test_passwords_of_the_program(self):
        for options in (self.realm.identity(), self.realm.identity("keytab")):
            client = self.client(options)
            client.init(ctx="c", target=TARGET)     # so that tickets are there
            for mechs in (None, [KRB5], [SPNEGO]):
                with self.subTest(options=options, mechs=mechs):
                    client.acquire_with_password(cred="c", name=self.me, password=self.right,
                                                 mechs=mechs)
                    self.refused(client.acquire_with_password, cred="d", name=self.me,
                                 password=self.wrong, mechs=mechs)
                    # Not checked before it is used: our own name for it, as in a file.
                    client.acquire(cred="d", name=self.me, mechs=mechs, store={"Password": self.wrong})
                    self.refused(client.init, ctx="d", target=TARGET, cred="d",
                                 mech=SPNEGO if mechs == [SPNEGO] else KRB5)

    def test_password_that_was_changed_at_the_kdc(self):
        """What a program hands over is checked at the KDC each time: servers check passwords so, and
        a ticket of the last login must not make the old one succeed."""
        self.realm.add_principal("moved", "first")
        name = f"moved@{self.realm.name}"
        client = self.client(self.realm.identity())
        client.acquire_with_password(cred="c", name=name, password="first", mechs=[KRB5])
        client.init(ctx="c", target=TARGET, cred="c")
        self.realm.kdc.change_password("moved", "second")
        time.sleep(1.2)     # within a second libgssapi's two acquires are one login
        with self.assertRaises(GSSFailure) as failed:
            client.acquire_with_password(cred="d", name=name, password="first", mechs=[KRB5])
        self.assertIn(name, failed.exception.text)
        client.acquire_with_password(cred="d", name=name, password="second", mechs=[KRB5])

    def test_password_that_changes_during_a_login(self):
        """At the KDC and in its file, after that was read: the new one is the second proof, and the
        call knows nothing of it. One that is refused too is the last."""
        self.realm.add_principal("racer", "first")
        path, todo = write(self.realm.path("racing"), "first"), []

        def change(kdc, file):
            self.realm.kdc.change_password("racer", kdc)
            write(path, file)
        with Tap(self.realm.port, before=lambda message: todo and Request(message).proof
                 and todo.pop()()) as tap:
            def proofs():
                return sum(r.proof for r in tap.requests)
            for use in ("first use", "next use"):
                client = self.client(f"User=racer@{self.realm.name} Password=file:{path} "
                                     f"KDCHost={tap.kdc_host}")
                before = proofs()
                todo.append(lambda use=use: change(use, use))
                client.init(ctx="c", target=TARGET)
                self.assertEqual(proofs() - before, 2)
                client.init(ctx="d", target="host@localhost")
                self.assertEqual(proofs() - before, 2)
            client = self.client(f"User=racer@{self.realm.name} Password=file:{path} "
                                 f"KDCHost={tap.kdc_host}")
            before = proofs()
            todo.append(lambda: change("third", "another"))
            for ctx in "abc":
                with self.assertRaises(GSSFailure) as failed:
                    client.init(ctx=ctx, target=TARGET)
                self.assertIn("changed during the login" if ctx == "a" else "BadSecretPause",
                              failed.exception.text)
            self.assertEqual(proofs() - before, 2)

    def test_keytab(self):
        good, stale = self.realm.path("good.keytab"), self.realm.path("stale.keytab")
        self.realm.add_principal("rekeyed", "first")
        self.realm.keytab("stale.keytab", "rekeyed")
        self.realm.kdc.change_password("rekeyed", "second")
        self.realm.keytab("good.keytab", "rekeyed")
        path = self.realm.path("changing.keytab")

        def change(to):
            with open(to, "rb") as keytab, open(path, "wb") as out:
                out.write(keytab.read())
        change(good)
        client = self.client(f"User=rekeyed@{self.realm.name} KeytabFile={path} "
                             f"KDCHost={self.realm.kdc_host}")
        client.init(ctx="c", target=TARGET)
        change(stale)
        with self.assertRaises(GSSFailure) as failed:
            client.init(ctx="d", target=TARGET)
        self.assertIn(path, failed.exception.text)
        os.unlink(path)
        with self.assertRaises(GSSFailure) as failed:
            client.init(ctx="d", target=TARGET)
        self.assertIn(path, failed.exception.text)
        change(good)
        with Peer(self.realm.service_env()) as server:
            establish(client, server, TARGET, ctx="e")


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", modules=["gssapi"], plugin=True)
