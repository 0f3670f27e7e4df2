#!/usr/bin/python3
"""Who handles a call (DESIGN.md): with an identity configured for all targets, for one, for none;
credentials by default, by name, with a secret of their own; and what stays the platform's."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "consumers"), os.path.join(HERE, "..", "realm")]
import harness                                                          # noqa: E402
from peer import KRB5, MUTUAL, SPNEGO, GSSFailure, Peer, establish      # noqa: E402
from realm import Realm                                                 # noqa: E402

NO_CRED = 7 << 16


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.realm.keytab("bob.keytab", "bob")
        cls.realm.keytab("two.keytab", "bob", "alice")
        cls.server = Peer(cls.realm.service_env())

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.realm.close()

    def kinit(self, user="bob"):
        """The platform's own ticket: bob's, so that it is told from alice's of ours."""
        with open(self.realm.password_file(user)) as secret:
            subprocess.run(["kinit", user], stdin=secret, env=self.realm.env(plugin=False),
                           check=True, stdout=subprocess.DEVNULL)

    def setUp(self):
        ccache = self.realm.path("ccache")
        if os.path.exists(ccache):
            os.unlink(ccache)

    def client(self, options=None, **env):
        env.setdefault("krb5_conf", self.realm.krb5_conf)
        client = Peer(self.realm.env(options=options, **env))
        self.addCleanup(client.close)
        return client

    def config(self, text, name="kerbside.conf"):
        path = self.realm.path(name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o600)
        return path

    @property
    def alice(self):
        return self.realm.identity("keytab")

    def who(self, client, target="HTTP@localhost", **options):
        """As whom the acceptor sees us."""
        name = establish(client, self.server, target, **options)[1]["name"]
        self.assertTrue(name.endswith("@" + self.realm.name))
        return name[:name.index("@")]

    def refused(self, call, *args, **options):
        with self.assertRaises(GSSFailure) as caught:
            call(*args, **options)
        self.assertNotIn("(no text)", caught.exception.text)
        return caught.exception


class TestDefault(Case):
    def test_configured_beside_the_platforms_ticket(self):
        self.kinit()
        client = self.client(self.alice)
        self.assertEqual(self.who(client), "alice")
        self.assertEqual(self.who(client, mech=SPNEGO), "alice")
        client.acquire(cred="c")
        self.assertEqual(self.who(client, cred="c"), "alice")

    def test_acquire_asks_no_kdc(self):
        client = self.client(self.alice)
        with self.realm.counting() as seen:
            got = client.acquire(cred="c", mechs=[KRB5])
            self.assertEqual(got["mechs"], [KRB5])
            self.assertIsNone(got["lifetime"])      # indefinite
            about = client.inquire_cred(cred="c")
        self.assertEqual(seen.total, 0)
        self.assertEqual(about["name"], "alice@" + self.realm.name)
        self.assertEqual(about["usage"], "initiate")
        self.assertIsNone(about["lifetime"])
        self.who(client, cred="c")
        self.assertTrue(0 < client.inquire_cred(cred="c")["lifetime"] <= 86400)

    def test_by_target(self):
        self.kinit()
        path = self.config(f"[target HTTP@*]\nUser = alice@{self.realm.name}\n"
                           f"KeytabFile = {self.realm.path('alice.keytab')}\n"
                           f"KDCHost = {self.realm.kdc_host}\n")
        client = self.client(KERBSIDE_CONFIG=path)
        client.acquire(cred="c", mechs=[KRB5])
        for cred in (None, "c"):
            self.assertEqual(self.who(client, "HTTP@localhost", cred=cred), "alice")
            self.assertEqual(self.who(client, "host@localhost", cred=cred), "bob")
        self.assertEqual(self.who(client, "HTTP@localhost", mech=SPNEGO), "alice")
        self.assertEqual(self.who(client, "host@localhost", mech=SPNEGO), "bob")

    def test_both_halves(self):
        client = self.client(self.alice, KRB5_KTNAME="FILE:" + self.realm.path("service.keytab"))
        client.acquire(cred="c", usage="both", mechs=[KRB5])
        self.assertEqual(self.who(client, cred="c"), "alice")
        self.assertEqual(client.inquire_cred(cred="c")["usage"], "both")
        mine, theirs = client.init(ctx="i", target="HTTP@localhost"), None
        theirs = client.accept(ctx="a", token=mine["token"], cred="c")
        self.assertEqual(theirs["name"], "alice@" + self.realm.name)

    def test_both_needs_both(self):
        client = self.client(self.alice, KRB5_KTNAME="FILE:/nonexistent")
        self.refused(client.acquire, cred="c", usage="both", mechs=[KRB5])

    def test_initiators_cannot_accept(self):
        client = self.client(self.alice, KRB5_KTNAME="FILE:" + self.realm.path("service.keytab"))
        client.acquire(cred="c", usage="initiate", mechs=[KRB5])
        token = client.init(ctx="i", target="HTTP@localhost")["token"]
        self.refused(client.accept, ctx="a", token=token, cred="c")
        client.accept(ctx="a", token=token)

    def test_disabled(self):
        self.kinit()
        for options in ("Enabled=False", self.alice + " Enabled=False"):
            client = self.client(options)
            with self.realm.counting() as seen:
                for call in (lambda: client.acquire(cred="c", mechs=[KRB5]),
                             lambda: client.init(ctx="c", target="HTTP@localhost")):
                    failure = self.refused(call)
                    self.assertEqual(failure.major, NO_CRED)
                    self.assertIn("Enabled=False", failure.text)
                self.refused(client.init, ctx="c", target="HTTP@localhost", mech=SPNEGO)
            self.assertEqual(seen.total, 0)

    def test_disabled_for_a_target(self):
        path = self.config("[target host@*]\nEnabled = False\n")
        client = self.client(self.alice, KERBSIDE_CONFIG=path)
        self.assertEqual(self.who(client), "alice")
        self.assertEqual(self.refused(client.init, ctx="h", target="host@localhost").major, NO_CRED)

    def test_left_to_the_platform(self):
        self.kinit()
        path = self.config("[program */python*]\nUsePlatformKerberosAPI = True\n")
        client = self.client(KERBSIDE_CONFIG=path)
        self.assertEqual(self.who(client), "bob")

    def test_handed_over_to_the_platform(self):
        for secret in ("keytab", "password"):
            client = self.client(self.realm.identity(secret) + " UsePlatformKerberosAPI=True")
            self.assertEqual(self.who(client), "alice")
            client.acquire(cred="c", mechs=[KRB5])
            self.assertEqual(self.who(client, cred="c"), "alice")
            self.assertEqual(self.who(client, mech=SPNEGO), "alice")

    def test_handed_over_beside_somebody_elses_cache(self):
        """The keytab's owner, never whose ticket lies in the default cache; and none is left there."""
        keytab = f"KeytabFile={self.realm.path('alice.keytab')} UsePlatformKerberosAPI=True"
        for user in ("", f"User=alice@{self.realm.name} "):
            for cache in (True, False):
                with self.subTest(user=user, cache=cache):
                    self.setUp()
                    if cache:
                        self.kinit()
                    client = self.client(user + keytab)
                    with self.realm.counting() as seen:
                        self.assertEqual(self.who(client), "alice")
                        self.assertEqual(self.who(client, mech=SPNEGO), "alice")
                    self.assertLessEqual(seen.total, 3, "its tickets are kept")
                    self.assertEqual(os.path.exists(self.realm.path("ccache")), cache)

    def test_broken(self):
        """It is said at init, where SPNEGO lets it through; nobody else's ticket is used."""
        self.kinit()
        for options in ("Usre=alice", f"User=alice@{self.realm.name} KDCPort=many"):
            client = self.client(options)
            client.acquire(cred="c", mechs=[KRB5])
            client.acquire(cred="named", name="alice@" + self.realm.name, mechs=[KRB5])
            for more in ({}, {"cred": "c"}, {"cred": "named"}, {"mech": SPNEGO}):
                failure = self.refused(client.init, ctx="c", target="HTTP@localhost", **more)
                self.assertIn("Usre" if "Usre" in options else "KDCPort", failure.text)
                self.assertIn("KERBSIDE_OPTIONS", failure.text)

    def test_no_secret(self):
        self.kinit()
        client = self.client(f"User=alice@{self.realm.name} KDCHost={self.realm.kdc_host}")
        client.acquire(cred="c", mechs=[KRB5])
        failure = self.refused(client.init, ctx="c", target="HTTP@localhost")
        self.assertEqual(failure.major, NO_CRED)
        self.assertIn("alice", failure.text)

    def test_spn(self):
        client = self.client(self.alice + " SPN=HTTP/localhost")
        self.assertEqual(self.who(client, "nosuch@elsewhere.test"), "alice")


class TestNamed(Case):
    def test_covered(self):
        client = self.client(self.alice)
        for name in ("alice@" + self.realm.name, "alice"):
            with self.realm.counting() as seen:
                client.acquire(cred="c", name=name, mechs=[KRB5])
                self.assertEqual(client.inquire_cred(cred="c")["name"], "alice@" + self.realm.name)
            self.assertEqual(seen.total, 0)
            self.assertEqual(self.who(client, cred="c"), "alice")

    def test_not_covered(self):
        client = self.client(self.alice)
        self.refused(client.acquire, cred="c", name="bob", mechs=[KRB5])
        self.kinit()
        client.acquire(cred="c", name="bob", mechs=[KRB5])
        self.assertEqual(self.who(client, cred="c"), "bob")
        self.assertEqual(self.who(client), "alice")

    def test_in_the_keytab(self):
        client = self.client(f"KeytabFile={self.realm.path('two.keytab')} "
                             f"KDCHost={self.realm.kdc_host}")
        self.assertEqual(self.who(client), "bob")
        client.acquire(cred="c", name="alice@" + self.realm.name, mechs=[KRB5])
        self.assertEqual(self.who(client, cred="c"), "alice")

    def test_client_section(self):
        path = self.config(f"[client bob@*]\nKeytabFile = {self.realm.path('bob.keytab')}\n")
        client = self.client(self.alice, KERBSIDE_CONFIG=path)
        client.acquire(cred="c", name="bob@" + self.realm.name, mechs=[KRB5])
        self.assertEqual(self.who(client, cred="c"), "bob")
        self.assertEqual(self.who(client), "alice")

    def test_bound_whatever_the_target(self):
        path = self.config(f"[target host@*]\nUser = bob@{self.realm.name}\n"
                           f"KeytabFile = {self.realm.path('bob.keytab')}\n")
        client = self.client(self.alice, KERBSIDE_CONFIG=path)
        client.acquire(cred="c", name="alice@" + self.realm.name, mechs=[KRB5])
        self.assertEqual(self.who(client, "host@localhost"), "bob")
        self.assertEqual(self.who(client, "host@localhost", cred="c"), "alice")

    def test_both_with_a_service_name(self):
        self.realm.keytab("http.keytab", "HTTP/localhost")
        client = self.client(f"KeytabFile={self.realm.path('http.keytab')} "
                             f"KDCHost={self.realm.kdc_host}",
                             KRB5_KTNAME="FILE:" + self.realm.path("service.keytab"))
        client.acquire(cred="c", name="HTTP@localhost", name_type="hostbased_service",
                       usage="both", mechs=[KRB5])
        self.assertEqual(self.who(client, "host@localhost", cred="c"), "HTTP/localhost")
        token = client.init(ctx="i", target="HTTP@localhost", cred="c")["token"]
        client.accept(ctx="a", token=token, cred="c")


class TestBrought(Case):
    def test_our_names_in_a_store(self):
        self.kinit()
        client = self.client()
        client.acquire(cred="c", mechs=[KRB5], store={
            "User": "alice@" + self.realm.name, "keytabfile": self.realm.path("alice.keytab"),
            "KDCHost": self.realm.kdc_host})
        self.assertEqual(client.inquire_cred(cred="c")["name"], "alice@" + self.realm.name)
        self.assertEqual(self.who(client, cred="c"), "alice")
        self.assertEqual(self.who(client), "bob")

    def test_wrong_value_in_a_store(self):
        client = self.client()
        failure = self.refused(client.acquire, cred="c", mechs=[KRB5],
                               store={"User": "alice", "KDCPort": "many"})
        self.assertIn("KDCPort", failure.text)

    def test_client_keytab(self):
        client = self.client(self.alice)
        client.acquire(cred="c", mechs=[KRB5],
                       store={"client_keytab": self.realm.path("bob.keytab")})
        self.assertEqual(self.who(client, cred="c"), "bob")

    def test_ccache(self):
        """A file is ours to read; libkrb5's memory is the platform's."""
        self.kinit()
        client = self.client(self.alice)
        client.acquire(cred="c", mechs=[KRB5],
                       store={"ccache": "FILE:" + self.realm.path("ccache")})
        self.assertEqual(self.who(client, cred="c"), "bob")
        with self.assertRaises(GSSFailure) as failed:
            client.acquire(cred="m", mechs=[KRB5], store={"ccache": "MEMORY:nobody"})
        self.assertNotIn("Kerbside", failed.exception.text)

    def test_verify_is_not_ignored(self):
        client = self.client(self.alice)
        failure = self.refused(client.acquire, cred="c", name="alice", mechs=[KRB5], store={
            "password": self.realm.passwords["alice"],
            "verify": self.realm.path("service.keytab")})
        self.assertIn("verify", failure.text)

    def test_password_in_a_store(self):
        client = self.client(self.alice)
        with self.realm.counting() as seen:
            client.acquire(cred="c", name="bob@" + self.realm.name, mechs=[KRB5],
                           store={"password": self.realm.passwords["bob"]})
        self.assertGreater(seen["AS"], 0)
        self.assertEqual(self.who(client, cred="c"), "bob")

    def test_password_that_looks_like_a_source(self):
        self.realm.add_principal("odd", "file:/etc/passwd")
        client = self.client(self.alice)
        client.acquire_with_password(cred="c", name="odd@" + self.realm.name,
                                     password="file:/etc/passwd", mechs=[KRB5])
        self.assertEqual(self.who(client, cred="c"), "odd")

    def test_one_login_for_both_mechanisms(self):
        """No mechanism named: krb5, and krb5 below SPNEGO. One login, also when it is refused."""
        client = self.client(self.alice + " BadSecretPause=0")
        name = "bob@" + self.realm.name
        with self.realm.counting() as seen:
            client.acquire(cred="c", name=name, store={"password": self.realm.passwords["bob"]})
        self.assertEqual(seen["AS"], 1, dict(seen))
        self.assertEqual(self.who(client, cred="c"), "bob")
        self.assertEqual(self.who(client, cred="c", mech=SPNEGO), "bob")
        with self.realm.counting() as seen:
            self.refused(client.acquire, cred="d", name=name, store={"password": "wrong"})
        both = seen.total
        with self.realm.counting() as seen:
            self.refused(client.acquire, cred="d", name=name, mechs=[KRB5],
                         store={"password": "wrong"})
        self.assertEqual(both, seen.total)

    def test_right_then_wrong(self):
        client = self.client(self.alice)
        name = "bob@" + self.realm.name
        for mechs in (None, [KRB5]):
            client.acquire_with_password(cred="good", name=name, mechs=mechs,
                                         password=self.realm.passwords["bob"])
            self.who(client, cred="good")
            failure = self.refused(client.acquire_with_password, cred="bad", name=name,
                                   mechs=mechs, password="wrong")
            self.assertIn("password", failure.text)
            client.release_cred(cred="good")

    def test_password_where_nothing_is_configured(self):
        client = self.client()
        client.acquire_with_password(cred="c", name="bob@" + self.realm.name, mechs=[KRB5],
                                     password=self.realm.passwords["bob"])
        self.assertEqual(self.who(client, cred="c"), "bob")


class TestContexts(Case):
    def test_outlives_its_credential(self):
        client = self.client(self.alice)
        client.acquire(cred="c", mechs=[KRB5])
        establish(client, self.server, "HTTP@localhost", cred="c")
        client.release_cred(cred="c")
        sealed = client.wrap(ctx="c", message=b"still")["message"]
        self.assertEqual(self.server.unwrap(ctx="c", message=sealed)["message"], b"still")

    def test_failure_stays(self):
        client = self.client(self.alice)
        client.init(ctx="c", target="HTTP@localhost", flags=MUTUAL)
        first = self.refused(client.init, ctx="c", target="HTTP@localhost", token=b"junk")
        second = self.refused(client.init, ctx="c", target="HTTP@localhost", token=b"junk")
        self.assertEqual((first.major, first.text), (second.major, second.text))
        client.forget(ctx="c")
        self.who(client)


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", modules=["gssapi"], plugin=True)
