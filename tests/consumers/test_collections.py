#!/usr/bin/python3
"""Collections of caches in a directory (DIR:): MIT's and Heimdal's programs see what we write there,
and the reverse; whose cache is used; the primary one; several processes that begin at once."""
import os
import stat
import subprocess
import sys
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                              # noqa: E402
from case import RealmCase                                  # noqa: E402
from kdc import peers                                       # noqa: E402
from peer import GSSFailure, Peer                           # noqa: E402


class Directory(RealmCase):
    def setUp(self):
        self.dir = self.realm.path("dir." + self.id().rsplit(".", 1)[1])
        self.cache = "DIR:" + self.dir
        self.alice, self.bob = [f"{user}@{self.realm.name}" for user in ("alice", "bob")]

    def client(self, identity="", cache=None, **env):
        """identity: a user who has a password, or options."""
        if identity in self.realm.passwords:
            identity = self.realm.identity("password", identity)
        elif self.realm.kdc_host not in identity:
            identity += " KDCHost=" + self.realm.kdc_host
        client = Peer(self.realm.env(
            options=f"{identity} CredentialsCacheFile={cache or self.cache}", **env))
        self.addCleanup(client.close)
        return client

    def tool(self, *argv, cache=None, stdin="", status=0, **env):
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True,
                              env=self.realm.env(plugin=False, KRB5CCNAME=cache or self.cache,
                                                 **env))
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout + done.stderr

    def kinit(self, user, **more):
        self.tool("kinit", user, stdin=self.realm.passwords[user] + "\n", **more)

    def collection(self):
        """klist -l: the principals, the primary one first."""
        return [line.split()[0] for line in self.tool("klist", "-l").splitlines()[2:]]

    def caches(self):
        return sorted(f for f in os.listdir(self.dir) if f.startswith("tkt"))

    def primary(self):
        with open(os.path.join(self.dir, "primary")) as file:
            return file.read()


class TestDirectory(Directory):
    def test_what_we_write(self):
        self.login(self.client("alice"), requests=3)
        self.assertEqual(stat.S_IMODE(os.stat(self.dir).st_mode), 0o700)
        self.assertEqual(self.collection(), [self.alice])
        self.assertIn("HTTP/localhost@", self.tool("klist"))
        self.assertEqual(self.primary(), self.caches()[0] + "\n")
        # Another's goes beside it, and the first stays the primary one.
        self.login(self.client("bob"), requests=3)
        self.assertEqual(self.collection(), [self.alice, self.bob])
        self.assertEqual(len(self.caches()), 2)
        self.assertNotIn("primary.", str(os.listdir(self.dir)))
        # What MIT's programs add, ours find, and the reverse.
        self.tool("kswitch", "-p", "bob")
        with self.realm.counting() as seen:
            self.tool("kvno", "other/localhost")
        self.assertEqual(dict(seen), {"TGS": 1})
        self.login(self.client("bob"), "other@localhost", requests=0)
        self.login(self.client("bob"), "host@localhost", requests=1)
        self.assertIn("host/localhost@", self.tool("klist"))
        self.assertEqual(self.tool("klist", "-A").count("Ticket cache: DIR::"), 2)
        # Nor is anybody asked by a process that begins now.
        for user in ("alice", "bob"):
            self.assertEqual(self.login(self.client(user), requests=0), f"{user}@{self.realm.name}")
        self.tool("kdestroy", "-A")
        self.assertEqual(self.caches(), [])

    def test_whose_is_used(self):
        """`User`'s, wherever it is; with nobody named the primary one, whose that may be by now."""
        self.kinit("alice")
        self.kinit("bob")
        self.assertEqual(self.collection(), [self.bob, self.alice])
        self.assertEqual(self.login(self.client("User=" + self.alice)), self.alice)
        self.assertEqual(self.login(self.client("User=" + self.bob)), self.bob)
        client = self.client()
        self.assertEqual(self.login(client), self.bob)
        self.tool("kswitch", "-p", "alice")
        self.assertEqual(self.login(client, requests=0), self.alice)
        self.tool("kdestroy", "-p", "alice")
        with self.assertRaises(GSSFailure) as failed:
            client.init(ctx="d", target="HTTP@localhost")
        self.assertIn("there is none", failed.exception.text)
        self.assertEqual(self.login(self.client("User=" + self.bob), requests=0), self.bob)

    def test_in_a_running_process(self):
        client = self.client("User=" + self.alice)
        with self.assertRaises(GSSFailure) as failed:
            client.init(ctx="c", target="HTTP@localhost")
        self.assertIn(self.cache, failed.exception.text)
        client.forget(ctx="c")
        self.kinit("bob")
        self.kinit("alice")
        self.assertEqual(self.login(client), self.alice)
        self.tool("kdestroy", "-p", "alice")
        with self.assertRaises(GSSFailure):
            client.init(ctx="d", target="HTTP@localhost")
        # The file that was alice's is bob's now.
        self.tool("kdestroy", "-A")
        self.kinit("alice")
        self.assertEqual(self.login(client), self.alice)
        path = os.path.join(self.dir, self.primary().strip())
        self.kinit("bob", cache="FILE:" + path)
        with self.assertRaises(GSSFailure):
            client.init(ctx="e", target="HTTP@localhost")

    def test_one_cache_by_name(self):
        self.kinit("bob")
        path = os.path.join(self.dir, "tktmine")
        one = "DIR::" + path
        self.login(self.client("alice", cache=one), requests=3)
        self.assertEqual(self.collection(), [self.bob, self.alice])
        self.assertIn("Ticket cache: " + one, self.tool("klist", cache=one))
        self.login(self.client("Enabled=True", cache=one), requests=0)
        with self.assertRaises(GSSFailure) as failed:
            self.client("bob", cache=one).init(ctx="c", target="HTTP@localhost")
        self.assertIn(f"{one}: it belongs to {self.alice}, not to {self.bob}",
                      failed.exception.text)

    def test_named_by_the_program(self):
        """In a cred store, where the process is ours."""
        self.kinit("alice")
        client = self.client("Enabled=True", cache="FILE:" + self.realm.path("none"))
        client.acquire(cred="a", store={"ccache": self.cache})
        self.assertEqual(self.login(client, requests=1, cred="a"), self.alice)
        self.assertIn("HTTP/localhost@", self.tool("klist"))

    def test_default_collection(self):
        """`User` alone: his in the platform's default collection, never made by us."""
        options = f"User={self.alice} KDCHost={self.realm.kdc_host}"

        def client():
            made = Peer(self.realm.env(options=options, KRB5CCNAME=self.cache))
            self.addCleanup(made.close)
            return made
        self.kinit("bob")
        with self.assertRaises(GSSFailure) as failed:
            client().init(ctx="c", target="HTTP@localhost")
        self.assertIn("no password, keytab or cache for User=" + self.alice, failed.exception.text)
        self.assertEqual(len(self.caches()), 1)
        self.kinit("alice")
        self.tool("kswitch", "-p", "bob")
        self.assertEqual(self.login(client(), requests=1), self.alice)
        self.login(client(), requests=0)

    def test_processes_at_once(self):
        """Each principal has one cache, however many begin it."""
        clients = [self.client(user) for user in ("alice", "bob") for _ in range(4)]
        failures = []

        def run(client):
            try:
                client.init(ctx="c", target="HTTP@localhost")
            except Exception as failure:        # told to the test
                failures.append(failure)
        threads = [threading.Thread(target=run, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(sorted(self.collection()), [self.alice, self.bob])

    def test_trouble(self):
        self.login(self.client("alice"), requests=3)
        before = self.caches()
        # A name in `primary` that leads out of it, and one of a cache that is not there.
        for name, says in (("../x\n", 'the file "primary" in it names no cache'),
                           ("tktnone\n", "there is none")):
            with open(os.path.join(self.dir, "primary"), "w") as file:
                file.write(name)
            with self.assertRaises(GSSFailure) as failed:
                self.client("Enabled=True").init(ctx="c", target="HTTP@localhost")
            self.assertIn(says, failed.exception.text)
        self.login(self.client("alice"), requests=0)
        # Where that is, the next one goes, as MIT's kinit does it.
        self.login(self.client("bob"), requests=3)
        self.assertEqual(self.caches(), sorted(before + ["tktnone"]))
        self.assertEqual(self.collection(), [self.bob, self.alice])
        # Not a directory; no parent: the tickets stay in memory.
        file = self.realm.path("a-file")
        with open(file, "w"):
            pass
        for cache in (file, self.realm.path("no/dir")):
            client = self.client("alice", cache="DIR:" + cache)
            self.login(client, requests=3)
            self.login(client, requests=0)


class TestHeimdal(Directory):
    @classmethod
    def setUpClass(cls):
        if not peers():
            raise unittest.SkipTest("no Heimdal (make peers)")
        super().setUpClass()

    def test_both_ways(self):
        os.mkdir(self.dir, 0o700)
        # Without -c, 7.8's crashes.
        self.heimdal("kinit.heimdal", "-c", self.cache,
                     "--password-file=" + self.realm.password_file("alice"), "alice")
        self.heimdal("kgetcred", "other/localhost")
        self.assertEqual(self.login(self.client("User=" + self.alice), "other@localhost",
                                    requests=0), self.alice)
        self.login(self.client("User=" + self.alice), "host@localhost", requests=1)
        text = self.heimdal("klist.heimdal", "klist")
        self.assertIn("host/localhost@", text)
        # One that we began.
        for name in os.listdir(self.dir):
            os.unlink(os.path.join(self.dir, name))
        self.login(self.client("bob"), requests=3)
        text = self.heimdal("klist.heimdal", "klist")
        self.assertIn("Principal: " + self.bob, text)
        self.assertIn("HTTP/localhost@", text)


if __name__ == "__main__":
    harness.main("krb5kdc", "kinit", "kvno", "klist", "kdestroy", "kswitch", modules=["gssapi"],
                 plugin=True)
