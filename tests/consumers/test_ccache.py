#!/usr/bin/python3
"""Credentials caches: what we write MIT's programs read, and the reverse, while both write; what is
noticed of kinit and kdestroy; whose a cache is; what happens when one cannot be written."""
import os
import re
import resource
import stat
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                              # noqa: E402
from case import RealmCase                                  # noqa: E402
from kdc import ENCTYPES, peers, write                      # noqa: E402
from peer import KRB5, GSSFailure, Peer                     # noqa: E402


class Caches(RealmCase):
    def setUp(self):
        self.path = self.realm.path("cache." + self.id().rsplit(".", 1)[1])
        self.me = "alice@" + self.realm.name
        self.log = self.path + ".log"

    def client(self, identity="password", more="", **env):
        """identity: a secret of alice, or options."""
        if identity in ("password", "keytab"):
            identity = self.realm.identity(identity)
        elif self.realm.kdc_host not in identity:
            identity += " KDCHost=" + self.realm.kdc_host
        options = f"{identity} CredentialsCacheFile={self.path} LogFile={self.log} {more}"
        client = Peer(self.realm.env(options=options, **env))
        self.addCleanup(client.close)
        return client

    def refused(self, client, *says, target="HTTP@localhost", **more):
        client.forget(ctx="c")
        with self.assertRaises(GSSFailure) as failed:
            client.init(ctx="c", target=target, **more)
        for text in says:
            self.assertIn(text, failed.exception.text)
        return failed.exception.text

    def tool(self, *argv, stdin="", **env):
        """One of MIT's programs, without our plugin."""
        done = subprocess.run(argv, env=self.realm.env(plugin=False, KRB5CCNAME=self.path, **env),
                              input=stdin, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def kinit(self, user="alice", *options):
        self.tool("kinit", *options, user, stdin=self.realm.passwords[user] + "\n")

    def listed(self):
        """The services whose tickets klist sees, and the principal."""
        text = self.tool("klist")
        services = re.findall(r"^[\d/]+ [\d:]+  [\d/]+ [\d:]+  (\S+)$", text, re.M)
        return services, re.search("Default principal: (.*)", text).group(1)

    def logged(self):
        with open(self.log) as log:
            return log.read()

    def bytes(self):
        with open(self.path, "rb") as cache:
            return cache.read()


class TestSharing(Caches):
    """One realm, whose krb5.conf the platform's programs have; ours has an empty one."""

    def test_what_we_write(self):
        self.login(self.client(), requests=3)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        services, owner = self.listed()
        self.assertEqual(owner, self.me)
        tgs = f"krbtgt/{self.realm.name}@{self.realm.name}"
        self.assertEqual(services, [tgs, "HTTP/localhost@"])
        # Another process of ours asks nobody, with a secret or without.
        self.login(self.client(), requests=0)
        self.login(self.client("User=" + self.me), requests=0)
        self.assertEqual(self.login(self.client("Timeout=60"), requests=0), self.me)
        # Nor do MIT's programs; what they add is found, and theirs goes on to work.
        with self.realm.counting() as seen:
            self.tool("kvno", "other/localhost")
        self.assertEqual(dict(seen), {"TGS": 1})
        self.login(self.client(), "other@localhost", requests=0)
        self.login(self.client(), "host@localhost", requests=1)
        self.assertEqual(len(self.listed()[0]), 4)
        self.tool("klist", "-s")

    def test_mit_finds_what_we_wrote(self):
        """The platform's own GSS-API, with this cache and no domain_realm: as it files them too."""
        self.login(self.client())
        conf = self.realm.path("unmapped.conf")
        with open(self.realm.krb5_conf) as full, open(conf, "w") as file:
            file.write(full.read().split("[domain_realm]")[0])
        with Peer(self.realm.env(plugin=False, krb5_conf=conf, KRB5CCNAME=self.path)) as platform:
            self.assertEqual(self.login(platform, requests=0), self.me)

    def test_what_kinit_writes(self):
        self.kinit()
        self.tool("kvno", "HTTP/localhost", "other/localhost")
        client = self.client("Timeout=60")
        self.assertEqual(self.login(client, requests=0), self.me)
        self.login(client, "other@localhost", requests=0)
        self.login(client, "host@localhost", requests=1)
        self.assertIn("host/localhost@", self.listed()[0])
        # Its configuration entries stay, also when the cache begins anew.
        self.assertIn("config: pa_type", self.tool("klist", "-C"))
        self.login(self.client(more="MinLifetime=86399"))
        self.assertIn("config: pa_type", self.tool("klist", "-C"))

    def test_keytab(self):
        self.login(self.client("keytab"), requests=2)
        self.login(self.client("keytab"), requests=0)

    def test_acquired_credentials(self):
        self.kinit("alice", "-l", "1h")
        client = self.client("Timeout=60")
        client.acquire(cred="c", mechs=[KRB5])
        self.assertEqual(client.inquire_cred(cred="c")["name"], self.me)
        self.assertLessEqual(client.inquire_cred(cred="c")["lifetime"], 3600)
        self.assertGreater(client.inquire_cred(cred="c")["lifetime"], 3500)
        self.assertEqual(self.login(client, cred="c"), self.me)
        client.acquire(cred="n", name=self.me, mechs=[KRB5])
        self.assertEqual(self.login(client, cred="n"), self.me)


class TestHeimdal(Caches):
    """Heimdal's programs, which lock, write and file in their own way."""

    @classmethod
    def setUpClass(cls):
        if not peers():
            raise unittest.SkipTest("no Heimdal (make peers)")
        super().setUpClass()

    def test_both_ways(self):
        password = self.realm.password_file()
        self.heimdal("kinit.heimdal", "--password-file=" + password, "alice")
        self.heimdal("kgetcred", "other/localhost")
        client = self.client("Timeout=60")
        self.assertEqual(self.login(client, "other@localhost", requests=0), self.me)
        self.login(client, "host@localhost", requests=1)
        text = self.heimdal("klist.heimdal", "klist", "-v")
        self.assertIn("Principal: " + self.me, text)
        for service in ("krbtgt/" + self.realm.name, "other/localhost", "host/localhost"):
            self.assertIn("Server: " + service + "@", text)
        # One that we made, with their ticket behind it.
        os.unlink(self.path)
        self.login(self.client(), requests=3)
        with self.realm.counting() as seen:
            self.heimdal("kgetcred", "other/localhost")
        self.assertEqual(dict(seen), {"TGS": 1})
        self.login(self.client(), "other@localhost", requests=0)
        self.heimdal("kdestroy.heimdal")
        self.assertFalse(os.path.exists(self.path))


class TestChanges(Caches):
    def test_kinit_and_kdestroy_are_noticed(self):
        client = self.client("Timeout=60")
        self.refused(client, "KERBSIDE_OPTIONS", self.path, "there is none")
        self.kinit()
        self.assertEqual(self.login(client), self.me)
        self.tool("kdestroy")
        self.refused(client, "there is none")
        self.kinit("bob")
        self.assertEqual(self.login(client), "bob@" + self.realm.name)
        self.kinit()
        self.assertEqual(self.login(client), self.me)

    def test_kdestroy_with_a_secret(self):
        client = self.client()
        self.login(client, requests=3)
        self.login(client, requests=0)
        self.tool("kdestroy")
        self.login(client, requests=2)          # the salt is known by now
        self.assertEqual(len(self.listed()[0]), 2)
        # Another login of the same user: its tickets serve from then on.
        self.kinit()
        self.login(client, requests=1)
        self.assertEqual(len(self.listed()[0]), 2)

    def test_changed_password(self):
        """What is in a cache serves whoever may read it; a KDC is only asked with what is right."""
        secret = write(self.path + ".password", self.realm.passwords["alice"])
        client = self.client(f"User={self.me} Password=file:{secret}", "BadSecretPause=0")
        self.login(client, requests=3)
        write(secret, "wrong")
        self.login(client, requests=0)
        self.login(client, "other@localhost", requests=1)
        self.tool("kdestroy")
        self.refused(client, self.me, "password")
        self.assertFalse(os.path.exists(self.path))
        write(secret, self.realm.passwords["alice"])
        self.login(client)
        self.assertEqual(len(self.listed()[0]), 2)

    def test_others_tickets_do_not_cost_ours(self):
        client = self.client()
        self.login(client, requests=3)
        self.tool("kvno", "other/localhost")
        self.login(client, requests=0)
        self.login(client, "other@localhost", requests=0)

    def test_expired(self):
        self.kinit("alice", "-l", "1s")
        time.sleep(1.1)
        text = self.refused(self.client("MinLifetime=0"), self.path, "for " + self.me, "expired at",
                            "no password or keytab")
        self.assertRegex(text, r"expired at 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC")
        # With a secret it is renewed, and what has expired is not kept.
        self.login(self.client(), requests=3)
        self.assertEqual(len(self.listed()[0]), 2)

    def test_store_tickets_off(self):
        client = self.client(more="StoreTickets=False")
        self.login(client, requests=3)
        self.assertFalse(os.path.exists(self.path))
        self.kinit()
        before = self.bytes()
        self.login(client, "other@localhost", requests=1)
        self.assertEqual(self.bytes(), before)

    def test_memory(self):
        """Two credentials of one process, the first with the password."""
        self.path = "MEMORY:shared"
        client = self.client(more="Enabled=True")
        self.login(client, requests=3)
        client.acquire(cred="c", mechs=[KRB5],
                       store={"User": self.me, "CredentialsCacheFile": self.path})
        self.assertEqual(self.login(client, cred="c", requests=0), self.me)
        client.acquire(cred="d", mechs=[KRB5],
                       store={"User": "bob@" + self.realm.name,
                              "CredentialsCacheFile": self.path})
        self.refused(client, "it belongs to " + self.me, cred="d")


class TestWhose(Caches):
    def test_another_principals(self):
        self.kinit("bob")
        before = self.bytes()
        for identity in ("password", "keytab", "User=" + self.me):
            self.refused(self.client(identity), "KERBSIDE_OPTIONS", self.path,
                         f"it belongs to bob@{self.realm.name}, not to {self.me}")
        self.assertEqual(self.bytes(), before)

    def test_what_a_program_handed_over(self):
        """Neither reads a cache nor is given what another wrote; only written."""
        self.kinit()
        self.tool("kvno", "HTTP/localhost")
        client = self.client("User=bob@" + self.realm.name)
        mine = {"User": self.me, "CredentialsCacheFile": self.path, "BadSecretPause": "0"}
        client.acquire(cred="wrong", mechs=[KRB5], store=dict(mine, Password="wrong"))
        self.refused(client, self.me, cred="wrong")
        client.acquire(cred="right", mechs=[KRB5],
                       store=dict(mine, Password=self.realm.passwords["alice"]))
        before = self.bytes()
        with self.realm.counting() as seen:
            self.login(client, cred="right")
        self.assertEqual((seen["AS"], seen["TGS"]), (1, 1))
        self.assertNotEqual(self.bytes(), before)
        with self.realm.counting() as seen:
            self.login(client, "host@localhost", cred="right")
        self.assertEqual(dict(seen), {"TGS": 1})
        # One that names no cache does not write to what files configure.
        before = self.bytes()
        client.acquire_with_password(cred="p", name=self.me, mechs=[KRB5],
                                     password=self.realm.passwords["alice"])
        self.login(client, "other@localhost", cred="p")
        self.assertEqual(self.bytes(), before)

    def test_default_cache(self):
        """`User` alone: the platform's, while it is his; never made by us."""
        options = f"User={self.me} KDCHost={self.realm.kdc_host}"

        def client():
            made = Peer(self.realm.env(options=options, KRB5CCNAME="FILE:" + self.path))
            self.addCleanup(made.close)
            return made
        self.refused(client(), "no password, keytab or cache for User=" + self.me, self.path)
        self.kinit("bob")
        before = self.bytes()
        self.refused(client(), "no password, keytab or cache", "it belongs to bob@")
        self.assertEqual(self.bytes(), before)
        self.kinit()
        self.assertEqual(self.login(client(), requests=1), self.me)
        self.assertEqual(len(self.listed()[0]), 2)

    def test_ccache_key(self):
        self.kinit("bob")
        client = self.client("User=nobody@" + self.realm.name)
        client.acquire(cred="c", mechs=[KRB5], store={"ccache": "FILE:" + self.path})
        self.assertEqual(self.login(client, cred="c"), "bob@" + self.realm.name)
        self.assertEqual(len(self.listed()[0]), 2)


class TestTrouble(Caches):
    def test_no_such_directory(self):
        self.path = self.realm.path("missing/cache")
        self.log = self.realm.path("missing.log")
        client = self.client()
        self.login(client, requests=3)
        self.login(client, requests=0)
        self.assertRegex(self.logged(), "Warning: credentials cache FILE:.*missing/cache: No such "
                                        "file or directory; tickets are kept in memory only")
        self.assertEqual(self.logged().count("kept in memory only"), 1)  # of two tickets

    def limited(self, client, size):
        """As on a full disk: a write goes in up to `size`, the rest fails (EFBIG)."""
        resource.prlimit(client.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def test_no_room_for_a_cache(self):
        client = self.client(more="LogLevel=0")
        self.limited(client, 300)
        self.login(client, requests=3)
        self.login(client, requests=0)
        self.assertEqual([f for f in os.listdir(self.realm.dir)
                          if f.startswith(os.path.basename(self.path))],
                         [os.path.basename(self.path) + ".kerbside"])   # the file beside it

    def test_no_room_for_a_ticket(self):
        client = self.client()
        self.login(client, requests=3)
        before = self.bytes()
        self.limited(client, len(before) + 200)
        self.login(client, "other@localhost", requests=1)
        self.login(client, "other@localhost", requests=0)
        self.assertEqual(self.bytes(), before)
        self.tool("klist")
        # What is in it stays, also where a new TGT cannot be put in its place.
        again = self.client(more="MinLifetime=86399")
        self.limited(again, 300)
        self.login(again)
        self.assertEqual(self.bytes(), before)

    def test_not_a_cache(self):
        with open(self.path, "w") as file:
            file.write("[libdefaults]\n")
        self.refused(self.client("Timeout=60"), "this is no credentials cache")
        client = self.client()
        self.login(client, requests=3)
        self.assertIn("this is no credentials cache", self.logged())
        with open(self.path) as file:
            self.assertEqual(file.read(), "[libdefaults]\n")

    def test_altered_tgt(self):
        """The KDC does not take it: a new one where there is a secret, else its own words."""
        def alter():
            self.kinit()
            with open(self.path, "r+b") as cache:
                cache.seek(-20, os.SEEK_END)        # in the last ticket's ciphertext
                byte = cache.read(1)[0]
                cache.seek(-20, os.SEEK_END)
                cache.write(bytes([byte ^ 1]))
        alter()
        self.refused(self.client("Timeout=60"), "HTTP/localhost", "KRB_AP_ERR_BAD_INTEGRITY")
        self.login(self.client(more="Timeout=60"), requests=4)
        self.login(self.client("Timeout=60"), "other@localhost", requests=1)
        # And one that is cut in the middle is none.
        alter()
        with open(self.path, "r+b") as cache:
            cache.truncate(os.path.getsize(self.path) - 20)
        self.refused(self.client("Timeout=60"), "it holds no TGT of " + self.me)
        # The second client knows from the first, by what lies beside the cache, how to ask.
        self.login(self.client(more="Timeout=60"), requests=2)
        self.login(self.client("Timeout=60"), requests=0)

    def test_writers_at_once(self):
        """Four processes of ours and kvno, each with its own services: nothing is lost."""
        self.kinit()
        targets = [e + "@localhost" for e in ENCTYPES]
        clients = [self.client("Timeout=60") for _ in range(4)]
        failures = []

        def run(client, targets):
            try:
                for target in targets:
                    client.init(ctx=target, target=target)
            except Exception as failure:        # told to the test
                failures.append(failure)
        threads = [threading.Thread(target=run, args=(client, targets[i % len(targets):][:2]))
                   for i, client in enumerate(clients)]
        for thread in threads:
            thread.start()
        self.tool("kvno", "other/localhost", "HTTP/localhost", "host/localhost")
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        wanted = {t.replace("@", "/") for i in range(4) for t in targets[i % len(targets):][:2]}
        got = {s.split("@")[0] for s in self.listed()[0]}
        self.assertGreaterEqual(got, wanted | {"other/localhost", "HTTP/localhost",
                                               "host/localhost"})


class TestClock(Caches):
    """The KDC's clock is ten minutes ahead; the cache says so."""
    REALM = {"clock_offset": 600}

    def test_offset(self):
        self.login_ahead(self.client())
        with self.realm.counting() as seen:
            self.login_ahead(self.client("Timeout=60"), "other@localhost")
        self.assertEqual(dict(seen), {"TGS": 1})
        self.tool("kvno", "host/localhost")

    def login_ahead(self, client, target="HTTP@localhost"):
        client.init(ctx="x", target=target)


if __name__ == "__main__":
    harness.main("krb5kdc", "kinit", "kvno", "klist", "kdestroy", modules=["gssapi"], plugin=True)
