#!/usr/bin/python3
"""python3-gssapi through our plugin against the platform's acceptor: password and keytab, UDP and
TCP, MIT's and Heimdal's KDC, each AES enctype alone, always with an empty krb5.conf; and how many
requests the KDC sees for it."""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                              # noqa: E402
from case import RealmCase                                  # noqa: E402
from kdc import ENCTYPES                             # noqa: E402
from peer import (CONF, INTEG, KRB5, MUTUAL, REPLAY, SEQUENCE, SPNEGO,  # noqa: E402
                  GSSFailure, Peer, establish)
from realm import Realm                                     # noqa: E402


class Messages:
    """wrap, unwrap and mic in both directions, with and without confidentiality."""

    def exchange(self, client, server, ctx="c"):
        for sender, receiver in ((client, server), (server, client)):
            for conf in (True, False):
                for size in (0, 1, 15, 16, 17, 4096):
                    message = bytes(i % 251 for i in range(size))
                    sealed = sender.wrap(ctx=ctx, message=message, conf=conf)
                    self.assertEqual(sealed["conf"], conf)
                    opened = receiver.unwrap(ctx=ctx, message=sealed["message"])
                    self.assertEqual((opened["message"], opened["conf"]), (message, conf))
            mic = sender.get_mic(ctx=ctx, message=b"signed")["mic"]
            receiver.verify_mic(ctx=ctx, message=b"signed", mic=mic)
            with self.assertRaises(GSSFailure):
                receiver.verify_mic(ctx=ctx, message=b"altered", mic=mic)
        for conf in (True, False):
            size = client.size_limit(ctx=ctx, size=1000, conf=conf)["size"]
            sealed = client.wrap(ctx=ctx, message=b"x" * size, conf=conf)["message"]
            self.assertLessEqual(len(sealed), 1000)
            server.unwrap(ctx=ctx, message=sealed)


class Against(Messages):
    def client(self, secret="password", user="alice", more=""):
        client = Peer(self.realm.env(options=self.realm.identity(secret, user) + " " + more))
        self.addCleanup(client.close)
        return client

    def matrix(self, secret, tcp):
        for enctype in ENCTYPES:
            with self.subTest(enctype=enctype):
                client = self.client(secret, "user-" + enctype, f"UseTCP={tcp}")
                with self.realm.counting() as seen:
                    mine, theirs = establish(client, self.server, enctype + "@localhost")
                self.assertFalse(theirs["more"])
                self.assertEqual(theirs["name"], f"user-{enctype}@{self.realm.name}")
                self.assertEqual(seen.total, 3 if secret == "password" else 2, dict(seen))
                self.exchange(client, self.server)
                self.assertFalse(os.path.exists(self.realm.path("ccache")))
                client.close()

    def test_password_udp(self):
        self.matrix("password", False)

    def test_password_tcp(self):
        self.matrix("password", True)

    def test_keytab_udp(self):
        self.matrix("keytab", False)

    def test_keytab_tcp(self):
        self.matrix("keytab", True)

    def test_spnego(self):
        client = self.client()
        mine, theirs = establish(client, self.server, "HTTP@localhost", mech=SPNEGO)
        self.assertEqual(theirs["name"], "alice@" + self.realm.name)
        self.exchange(client, self.server)

    def test_without_mutual_authentication(self):
        client = self.client()
        mine, theirs = establish(client, self.server, "HTTP@localhost", flags=REPLAY | SEQUENCE)
        self.assertFalse(mine["flags"] & MUTUAL)
        self.assertFalse(theirs["token"])
        self.exchange(client, self.server)

    def test_requests(self):
        """A first login, the same target again, another target."""
        for secret, first in (("password", 3), ("keytab", 2)):
            with self.subTest(secret=secret):
                client = self.client(secret)
                for ctx, target, expected in (("1", "HTTP@localhost", first),
                                              ("2", "HTTP@localhost", 0),
                                              ("3", "other@localhost", 1),
                                              ("4", "other@localhost", 0)):
                    with self.realm.counting() as seen:
                        establish(client, self.server, target, ctx=ctx)
                    self.assertEqual(seen.total, expected, f"{target} ({ctx}): {dict(seen)}")

    def test_traits(self):
        for user in ("nopreauth", "salted"):
            for secret in ("password", "keytab"):
                with self.subTest(user=user, secret=secret):
                    # Heimdal's KDC does not say the rounds of an aes-sha2 key when it asks for no
                    # pre-authentication, and has others than RFC 8009's: no client gets in then.
                    more = "EncryptionTypes=aes256-cts-hmac-sha1-96"
                    client = self.client(secret, user, more if self.realm.kind == "heimdal" else "")
                    _, theirs = establish(client, self.server, "HTTP@localhost")
                    self.assertEqual(theirs["name"], f"{user}@{self.realm.name}")
                    client.close()

    def test_flags_and_inquiry(self):
        client = self.client()
        wanted = MUTUAL | REPLAY | SEQUENCE | CONF | INTEG
        mine, theirs = establish(client, self.server, "HTTP@localhost", flags=wanted)
        self.assertEqual(mine["flags"] & wanted, wanted)
        self.assertEqual(theirs["flags"] & wanted, wanted)
        about = client.inquire(ctx="c")
        self.assertEqual(about["initiator"], "alice@" + self.realm.name)
        self.assertEqual(about["target"], "HTTP/localhost@" + self.realm.name)
        self.assertEqual((about["mech"], about["mine"], about["complete"]), (KRB5, True, True))
        self.assertTrue(3600 < about["lifetime"] <= 2 * 86400, about["lifetime"])

    def test_names(self):
        """Targets as programs name them."""
        for target, kind in (("HTTP@localhost", "hostbased_service"),
                             ("HTTP/localhost@" + self.realm.name, "kerberos_principal"),
                             ("HTTP/localhost", "kerberos_principal")):
            with self.subTest(target=target, kind=kind):
                client = self.client("keytab")
                _, theirs = establish(client, self.server, target, target_type=kind)
                self.assertEqual(theirs["name"], "alice@" + self.realm.name)
                client.close()

    def test_replay_and_order(self):
        client = self.client()
        establish(client, self.server, "HTTP@localhost")
        first, second = (self.server.wrap(ctx="c", message=m)["message"] for m in (b"1", b"2"))
        client.unwrap(ctx="c", message=first)
        client.unwrap(ctx="c", message=second)
        with self.assertRaises(GSSFailure) as again:
            client.unwrap(ctx="c", message=first)
        self.assertTrue(again.exception.major & 0x1f, "duplicate or old token")

    def test_altered_messages(self):
        client = self.client()
        establish(client, self.server, "HTTP@localhost")
        for conf in (True, False):
            sealed = self.server.wrap(ctx="c", message=b"message", conf=conf)["message"]
            altered = sealed[:-1] + bytes([sealed[-1] ^ 1])
            with self.assertRaises(GSSFailure):
                client.unwrap(ctx="c", message=altered)

    def test_threads_share_one_exchange(self):
        client = self.client()
        with self.realm.counting() as seen:
            self.assertEqual(client.init_in_threads(target="HTTP@localhost", threads=16)["errors"], [])
        self.assertEqual(seen.total, 3, dict(seen))

    def test_small_stacks(self):
        for secret in ("password", "keytab"):
            client = self.client(secret)
            said = client.init_in_threads(target="HTTP@localhost", threads=4, stack=65536)
            self.assertEqual(said["errors"], [])

    def test_descriptors(self):
        client = self.client()
        client.acquire(cred="c")
        before = client.descriptors()["open"]
        for ctx, target in (("1", "HTTP@localhost"), ("2", "other@localhost")):
            establish(client, self.server, target, ctx=ctx)
        with self.assertRaises(GSSFailure):
            client.init(ctx="3", target="nosuch@localhost")
        self.assertEqual(client.descriptors()["open"], before)

    def test_fork(self):
        client = self.client()
        establish(client, self.server, "HTTP@localhost")
        for target in ("HTTP@localhost", "other@localhost"):
            self.assertEqual(client.fork_and_init(target=target), {"status": 0, "text": ""})
        establish(client, self.server, "other@localhost", ctx="after")

    def test_two_passwords(self):
        """A right password must not make a wrong one succeed, whatever tickets there are."""
        client = self.client()
        name = "alice@" + self.realm.name
        for ctx in ("1", "2"):
            client.acquire_with_password(cred="good", name=name, password="correct horse battery",
                                         mechs=[KRB5])
            establish(client, self.server, "HTTP@localhost", ctx=ctx, cred="good")
            with self.assertRaises(GSSFailure) as refused:
                client.acquire_with_password(cred="bad", name=name, password="wrong", mechs=[KRB5])
            self.assertIn("password", refused.exception.text)
            client.release_cred(cred="good")


class TestMIT(Against, RealmCase):
    REALM = {"kind": "mit"}


class TestHeimdal(Against, RealmCase):
    REALM = {"kind": "heimdal"}


class TestTooLargeForUDP(Messages, unittest.TestCase):
    def test_response_too_big(self):
        with Realm(max_udp_reply=300) as realm, Peer(realm.service_env()) as server:
            for secret in ("password", "keytab"):
                with Peer(realm.env(options=realm.identity(secret))) as client:
                    establish(client, server, "HTTP@localhost")
                    self.exchange(client, server)
                    establish(client, server, "other@localhost", ctx="o")

    def test_no_udp_at_all(self):
        with Realm(udp=False) as realm, Peer(realm.service_env()) as server:
            for more in ("UseTCP=True", f"KDCHost=tcp/{realm.kdc_host}"):
                with Peer(realm.env(options=realm.identity() + " " + more)) as client:
                    establish(client, server, "HTTP@localhost")

    def test_large_requests_go_over_tcp(self):
        with Realm() as realm, Peer(realm.service_env()) as server:
            with Peer(realm.env(options=realm.identity() + " UDPLimit=0")) as client:
                establish(client, server, "HTTP@localhost")

    def test_ipv6(self):
        with Realm(ipv6=True) as realm, Peer(realm.service_env()) as server:
            for prefix in ("", "tcp/"):
                options = realm.identity().replace("KDCHost=", "KDCHost=" + prefix)
                options = options.replace("127.0.0.1", "[::1]")
                with Peer(realm.env(options=options)) as client:
                    establish(client, server, "HTTP@localhost")


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", modules=["gssapi"], plugin=True)
