#!/usr/bin/python3
"""Caches in the kernel's keyrings (KEYRING:): MIT's programs see what we write there, and the
reverse, for each anchor; whose cache is used; the primary one; what is old; what is refused."""
import errno
import os
import re
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                              # noqa: E402
import keyrings                                             # noqa: E402
from peer import GSSFailure, Peer, establish                # noqa: E402
from realm import Realm                                     # noqa: E402

KERBSIDE = os.path.join(os.environ.get("KB_BUILDDIR", "."), "cli", "kerbside")
OWN_USERS = False           # keyrings of users and persistent ones are ours alone
REALM = SERVER = None


class Keyring(unittest.TestCase):
    anchor = "session"

    @classmethod
    def setUpClass(cls):
        if cls.anchor in ("user", "persistent") and not OWN_USERS:
            raise unittest.SkipTest("no user namespace: the user's own keyrings are left alone")
        cls.realm, cls.server = REALM, SERVER

    def setUp(self):
        self.cache = f"KEYRING:{self.anchor}:{self.collection_name()}"
        self.alice, self.bob = [f"{user}@{self.realm.name}" for user in ("alice", "bob")]
        # The keys of a user who is not root are few: each test begins with none.
        keyrings.keyctl(keyrings.JOIN_SESSION, None)
        if self.anchor in ("user", "persistent"):
            self.addCleanup(self.tool, "kdestroy", "-A")

    def collection_name(self):
        return str(os.geteuid()) if self.anchor == "persistent" else self.id().split(".", 1)[1]

    def client(self, identity="", cache=None, through=(), **env):
        """identity: a user who has a password, or options."""
        client = Peer(self.env(identity, cache, **env), through)
        self.addCleanup(client.close)
        return client

    def env(self, identity="", cache=None, **env):
        if identity in self.realm.passwords:
            identity = self.realm.identity("password", identity)
        elif self.realm.kdc_host not in identity:
            identity += " KDCHost=" + self.realm.kdc_host
        return self.realm.env(options=f"{identity} CredentialsCacheFile={cache or self.cache}",
                              **env)

    def login(self, client, target="HTTP@localhost", requests=None, **more):
        with self.realm.counting() as seen:
            mine, theirs = establish(client, self.server, target, **more)
        if requests is not None:
            self.assertEqual(seen.total, requests, dict(seen))
        return theirs["name"]

    def tool(self, *argv, cache=None, stdin="", status=0, through=(), **env):
        done = subprocess.run([*through, *argv], input=stdin, capture_output=True, text=True,
                              env=self.realm.env(plugin=False, KRB5CCNAME=cache or self.cache,
                                                 **env))
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout + done.stderr

    def kinit(self, user, **more):
        self.tool("kinit", user, stdin=self.realm.passwords[user] + "\n", **more)

    def kerbside(self, *argv, status=0, through=(), **more):
        done = subprocess.run([*through, KERBSIDE, *argv], capture_output=True, text=True,
                              env=self.env(**more))
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def collection(self):
        """klist -l: the principals, the primary one first."""
        done = subprocess.run(["klist", "-l"], capture_output=True, text=True,
                              env=self.realm.env(plugin=False, KRB5CCNAME=self.cache))
        return [line.split()[0] for line in done.stdout.splitlines()[2:]]

    def fails(self, client, *says, ctx="failing"):
        client.forget(ctx=ctx)
        with self.assertRaises(GSSFailure) as failed:
            client.init(ctx=ctx, target="HTTP@localhost")
        for text in says:
            self.assertIn(text, failed.exception.text)


class Anchor:
    """For each of them."""

    def test_what_we_write(self):
        self.login(self.client("alice"), requests=3)
        self.assertEqual(self.collection(), [self.alice])
        self.assertIn("HTTP/localhost@", self.tool("klist"))
        # Another's goes beside it, and the first stays the primary one.
        self.login(self.client("bob"), requests=3)
        self.assertEqual(self.collection(), [self.alice, self.bob])
        # What MIT's programs add, ours find, and the reverse.
        self.tool("kswitch", "-p", "bob")
        with self.realm.counting() as seen:
            self.tool("kvno", "other/localhost")
        self.assertEqual(dict(seen), {"TGS": 1})
        self.login(self.client("bob"), "other@localhost", requests=0)
        self.login(self.client("bob"), "host@localhost", requests=1)
        self.assertIn("host/localhost@", self.tool("klist"))
        with self.realm.counting() as seen:
            self.tool("kvno", "host/localhost@")
        self.assertEqual(dict(seen), {})
        self.assertEqual(self.tool("klist", "-A").count("Ticket cache: " + self.cache), 2)
        # Nor is anybody asked by a process that begins now.
        for user in ("alice", "bob"):
            self.assertEqual(self.login(self.client(user), requests=0), f"{user}@{self.realm.name}")
        self.tool("kdestroy", "-A")
        self.assertEqual(self.collection(), [])

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
        self.fails(client, "there is none")
        self.assertEqual(self.login(self.client("User=" + self.bob), requests=0), self.bob)


class Collection(Anchor):
    """For some."""

    def test_in_a_running_process(self):
        client = self.client("User=" + self.alice)
        self.fails(client, self.cache)
        self.kinit("bob")
        self.kinit("alice")
        self.assertEqual(self.login(client), self.alice)
        self.tool("kdestroy", "-p", "alice")
        self.fails(client, self.cache)
        # The cache that was alice's is bob's now.
        self.kinit("alice")
        self.assertEqual(self.login(client), self.alice)
        one = self.tool("klist").splitlines()[0].removeprefix("Ticket cache: ")
        self.tool("kinit", "-c", one, "bob", stdin=self.realm.passwords["bob"] + "\n")
        self.fails(client)

    def test_one_cache_by_name(self):
        self.kinit("bob")
        one = self.cache + ":mine"
        self.login(self.client("alice", cache=one), requests=3)
        self.assertEqual(self.collection(), [self.bob, self.alice])
        self.assertIn("Ticket cache: " + one, self.tool("klist", cache=one))
        self.login(self.client("Enabled=True", cache=one), requests=0)
        self.fails(self.client("bob", cache=one),
                   f"{one}: it belongs to {self.alice}, not to {self.bob}")

    def test_default_collection(self):
        """`User` alone: his in the platform's default collection, never made by us."""
        options = f"User={self.alice} KDCHost={self.realm.kdc_host}"

        def client():
            made = Peer(self.realm.env(options=options, KRB5CCNAME=self.cache))
            self.addCleanup(made.close)
            return made
        self.kinit("bob")
        self.fails(client(), "no password, keytab or cache for User=" + self.alice)
        self.assertEqual(self.collection(), [self.bob])
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
        self.assertEqual(set(self.collection()), {self.alice, self.bob})
        for user in ("alice", "bob"):
            self.login(self.client(f"User={user}@{self.realm.name}"), requests=0)


class TestSession(Collection, Keyring):
    def place(self):
        """The serials of the collection and of the only cache in it."""
        collection = keyrings.search(keyrings.SESSION, "keyring", "_krb_" + self.collection_name())
        rings = [key for key in keyrings.serials(collection)
                 if keyrings.describe(key)[0] == "keyring"]
        self.assertEqual(len(rings), 1)
        return collection, rings[0]

    def events(self, *argv, through=(), **env):
        """What a login of alice's says in the log; it succeeds, and the second asks nobody."""
        log = self.realm.path(self.id().rsplit(".", 1)[1] + ".log")
        identity = self.realm.identity("password", "alice") + " LogFile=" + log
        client = self.client(identity, through=through, **env)
        self.login(client, requests=3)
        self.login(client, requests=0)
        with open(log) as file:
            return file.read()

    def test_list_and_forget(self):
        self.login(self.client("alice"), requests=3)
        identity = self.realm.identity("password", "alice")
        text = self.kerbside("list", identity=identity)
        self.assertIn(self.cache, text)
        self.assertIn("server: HTTP/localhost", text)
        self.assertIn("forgotten: 1", self.kerbside("forget", "HTTP@localhost", identity=identity))
        self.assertNotIn("HTTP/localhost@", self.tool("klist"))
        self.login(self.client("alice"), requests=1)
        self.assertIn("forgotten: 2", self.kerbside("forget", identity=identity))
        self.assertEqual(self.collection(), [])
        self.login(self.client("alice"), requests=3)
        self.assertEqual(self.collection(), [self.alice])

    def test_layout(self):
        """Keys, who may do what with them, and when they end, are as MIT makes them."""
        self.login(self.client("alice"), requests=3)
        ours = self.layout()
        self.tool("kdestroy", "-A")
        self.kinit("alice")
        self.tool("kvno", "HTTP/localhost@")
        theirs = self.layout()
        self.assertEqual({name: kind for name, kind, _ in ours},
                         {name: kind for name, kind, _ in theirs
                          if not name.startswith("krb5_ccache_conf_data/")} |
                         {"__krb5_time_offsets__": ("user", "3f010000")})
        for name, _, left in ours:
            self.assertEqual(left is None, name.startswith("__krb5"), name)
        self.assertIsNotNone(keyrings.timeout(self.place()[1]))

    def layout(self):
        collection, ring = self.place()
        for keyring in collection, ring:
            self.assertEqual(keyrings.permissions(keyring), "3f010000")
        return [(keyrings.describe(key)[1], (keyrings.describe(key)[0], keyrings.permissions(key)),
                 keyrings.timeout(key)) for key in keyrings.serials(ring)]

    def test_the_clock(self):
        """What kinit found out about the KDC's clock is used, and the reverse."""
        with Realm(clock_offset=7200) as far:
            near, type(self).realm = self.realm, far
            self.addCleanup(setattr, type(self), "realm", near)
            self.kinit("alice", FAKETIME="")
            offsets = keyrings.search(self.place()[1], "user", "__krb5_time_offsets__")
            self.assertAlmostEqual(int.from_bytes(keyrings.read(offsets)[:4], "big"), 7200, delta=5)
            self.client(f"User=alice@{far.name}").init(ctx="c", target="HTTP@localhost")
            self.tool("kdestroy", "-A")
            self.client("alice").init(ctx="c", target="HTTP@localhost")
            offsets = keyrings.search(self.place()[1], "user", "__krb5_time_offsets__")
            self.assertAlmostEqual(int.from_bytes(keyrings.read(offsets)[:4], "big"), 7200, delta=5)
            self.tool("kvno", "other/localhost@")

    def test_both_write(self):
        """kvno and we, at once: nothing is lost."""
        self.kinit("alice")
        enctypes = ["aes256-cts-hmac-sha1-96", "aes128-cts-hmac-sha1-96"]
        services = [e + "/localhost" for e in enctypes] + ["HTTP/localhost", "host/localhost"]
        failed = []

        def run(work, *arguments):
            try:
                work(*arguments)
            except Exception as failure:        # told to the test
                failed.append(failure)

        def ours(service):
            self.client("User=" + self.alice).init(
                ctx="c", target=service.replace("/", "@"))
        for _ in range(3):
            threads = [threading.Thread(target=run, args=(ours, s)) for s in services[:2]]
            threads += [threading.Thread(target=run, args=(self.tool, "kvno", s + "@"))
                        for s in services[2:]]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(failed, [])
            text = self.tool("klist")
            for service in services:
                self.assertIn(service, text)
            self.kinit("alice")

    def test_begun_anew(self):
        """Logins beside a kinit that begins the cache anew over and over: each succeeds."""
        self.kinit("alice")
        client = self.client("alice")
        stop, failed = threading.Event(), []

        def again():
            while not stop.is_set() and not failed:
                try:
                    client.init(ctx="c", target="HTTP@localhost")
                    client.forget(ctx="c")
                except Exception as failure:    # told to the test
                    failed.append(failure)
        thread = threading.Thread(target=again)
        thread.start()
        for _ in range(10):
            self.kinit("alice")
        stop.set()
        thread.join()
        self.assertEqual(failed, [])
        self.assertIn(self.alice, self.tool("klist"))

    def test_expired(self):
        """A cache that has ended is begun anew in its place."""
        self.login(self.client("alice"), requests=3)
        _, ring = self.place()
        keyrings.keyctl(keyrings.SET_TIMEOUT, ring, 1)
        client = self.client("alice")
        self.wait_until(lambda: keyrings.timeout_is_over(ring))
        self.login(client, requests=3)
        self.assertEqual(self.collection(), [self.alice])
        self.login(self.client("alice"), requests=0)

    def test_one_ticket_expired(self):
        self.login(self.client("alice"), requests=3)
        _, ring = self.place()
        key = next(k for k in keyrings.serials(ring) if "HTTP" in keyrings.describe(k)[1])
        keyrings.keyctl(keyrings.SET_TIMEOUT, key, 1)
        self.wait_until(lambda: keyrings.timeout_is_over(key))
        self.login(self.client("alice"), requests=1)
        self.assertIn("HTTP/localhost@", self.tool("klist"))

    def wait_until(self, holds):
        for _ in range(100):
            if holds():
                return
            time.sleep(0.1)
        self.fail("it does not come to pass")

    def test_revoked(self):
        """The session has ended under a process that goes on."""
        log = self.realm.path("revoked.log")
        client = self.client(self.realm.identity("password", "alice") + " LogFile=" + log,
                             through=[sys.executable, "-B", keyrings.__file__, "session", "--"])
        self.login(client, requests=3)
        self.assertEqual(self.collection(), [])
        session = next(key for key, line in keyrings.all_keys() if "apart-from-us" in line)
        keyrings.keyctl(keyrings.REVOKE, session)
        self.login(client, requests=0)
        self.login(client, "host@localhost", requests=1)
        with open(log) as file:
            self.assertIn("was revoked", file.read())

    def test_refused(self):
        """Where keyrings cannot be had: a warning that says why and what to do, and the tickets
        stay in memory."""
        for code, what, says in (
                (errno.ENOSYS, ("add_key", "keyctl"), "this kernel has no keyrings"),
                (errno.EPERM, ("add_key", "keyctl"), "the system refuses keyrings"),
                (errno.EDQUOT, ("add_key",), "quota of keys is used up"),
                (errno.EACCES, ("add_key",), "no permission"),
                (errno.ENOMEM, ("add_key",), "emory")):
            with self.subTest(errno.errorcode[code]):
                text = self.events(through=keyrings.refusing(code, *what))
                self.assertIn(says, text)
                self.assertIn("kept in memory only", text)
                os.unlink(self.realm.path("test_refused.log"))
        self.assertEqual(self.collection(), [])
        text = self.kerbside("doctor", identity=self.realm.identity("password", "alice"),
                             through=keyrings.refusing(errno.EPERM, "add_key", "keyctl"))
        self.assertIn("All is well", text)
        told = re.findall(r"(?m)^ +warning +login +credentials cache \S+: the system refuses", text)
        self.assertEqual(len(told), 1, text)
        # Without a secret there is nothing to go on with.
        self.kinit("alice")
        self.fails(self.client("User=" + self.alice,
                               through=keyrings.refusing(errno.EPERM, "keyctl")),
                   "the system refuses keyrings", "CredentialsCacheFile=auto")

    def test_named_by_the_program(self):
        """In a cred store, where the process is ours."""
        self.kinit("alice")
        client = self.client("Enabled=True", cache="FILE:" + self.realm.path("none"))
        client.acquire(cred="a", store={"ccache": self.cache})
        self.assertEqual(self.login(client, requests=1, cred="a"), self.alice)
        self.assertIn("HTTP/localhost@", self.tool("klist"))

    def test_handed_over(self):
        self.kinit("alice")
        client = Peer(self.realm.env(options=f"CredentialsCacheFile={self.cache} "
                                             "UsePlatformKerberosAPI=True",
                                     krb5_conf=self.realm.krb5_conf))
        self.addCleanup(client.close)
        self.assertEqual(self.login(client), self.alice)

    def test_old_kernel(self):
        """Without KEYCTL_MOVE (before Linux 5.3)."""
        self.events(through=keyrings.refusing(errno.EOPNOTSUPP, f"keyctl:{keyrings.MOVE}"))
        self.assertEqual(self.collection(), [self.alice])


class TestUser(Anchor, Keyring):
    anchor = "user"


class TestPersistent(Collection, Keyring):
    anchor = "persistent"

    def test_kernel_without(self):
        """The user's own keyring stands in for it, with MIT's programs too."""
        without = keyrings.refusing(errno.EOPNOTSUPP, f"keyctl:{keyrings.GET_PERSISTENT}")
        self.login(self.client("alice", through=without), requests=3)
        self.assertEqual(self.collection(), [])
        self.assertIn("_krb", keyrings.names(keyrings.USER))
        self.assertIn("HTTP/localhost@", self.tool("klist", through=without))
        self.tool("kvno", "other/localhost@", through=without)
        self.login(self.client("User=" + self.alice, through=without), "other@localhost",
                   requests=0)
        self.tool("kdestroy", "-A", through=without)

    def test_child(self):
        """It has no link to the keyring from its parent, and makes its own."""
        client = self.client("alice")
        self.login(client, requests=3)
        with self.realm.counting() as seen:
            for target in ("HTTP@localhost", "host@localhost"):
                self.assertEqual(client.fork_and_init(target=target), {"status": 0, "text": ""})
            self.login(client, "host@localhost")
        self.assertEqual(dict(seen), {"TGS": 1})

    def test_threads(self):
        """Nor have threads that were there before."""
        client = self.client("alice")
        self.login(client, requests=3)
        with self.realm.counting() as seen:
            self.assertEqual(client.init_in_threads(target="HTTP@localhost", threads=20),
                             {"errors": []})
            self.assertEqual(client.init_in_threads(target="other@localhost", threads=20),
                             {"errors": []})
        self.assertEqual(dict(seen), {"TGS": 1})
        self.assertIn("other/localhost@", self.tool("klist"))

    def test_somebody_elses(self):
        client = self.client("User=" + self.alice, cache="KEYRING:persistent:4294967294")
        self.fails(client, "the persistent keyring of user id 4294967294 cannot be used by a "
                           f"process of user id {os.geteuid()}")

    def test_default_name(self):
        """As Red Hat's krb5.conf has it."""
        conf = self.realm.path("persistent.conf")
        with open(self.realm.krb5_conf) as old, open(conf, "w") as new:
            new.write(old.read().replace(
                "[libdefaults]", "[libdefaults]\ndefault_ccache_name = KEYRING:persistent:%{uid}"))
        self.kinit("alice")
        client = Peer(self.realm.env(options="User=" + self.alice, krb5_conf=conf,
                                     KRB5CCNAME=""))
        self.addCleanup(client.close)
        self.assertEqual(self.login(client, requests=1), self.alice)


class TestLegacy(Anchor, Keyring):
    anchor = "legacy"

    def test_name_without_anchor(self):
        self.login(self.client("alice", cache="KEYRING:plain"), requests=3)
        self.assertIn("HTTP/localhost@", self.tool("klist", cache="KEYRING:plain"))
        self.assertIn("HTTP/localhost@", self.tool("klist", cache="KEYRING:legacy:plain:plain"))
        self.login(self.client("alice", cache="KEYRING:"), requests=3)
        self.assertIn("Ticket cache: KEYRING:legacy::tkt", self.tool("klist", cache="KEYRING:"))

    def test_programs_without_collections(self):
        """MIT before 1.12: the cache hangs in the session keyring, and has no offsets."""
        name = self.collection_name()
        self.login(self.client("alice"), requests=3)
        ring = keyrings.search(keyrings.SESSION, "keyring", name)
        self.assertEqual(len([k for k in keyrings.serials(keyrings.SESSION) if k == ring]), 1)
        self.assertNotIn("__krb5_time_offsets__", keyrings.names(ring))
        self.assertEqual({keyrings.describe(k)[0] for k in keyrings.serials(ring)}, {"user"})
        # As those programs leave it.
        collection = keyrings.search(keyrings.SESSION, "keyring", "_krb_" + name)
        keyrings.keyctl(keyrings.UNLINK, collection, keyrings.SESSION)
        self.assertEqual(self.login(self.client("User=" + self.alice), requests=0), self.alice)
        self.login(self.client("User=" + self.alice), "host@localhost", requests=1)
        self.assertIn("host/localhost@", keyrings.names(ring))
        # Another's makes the collection, and takes the old one into it.
        self.login(self.client("bob"), requests=3)
        self.assertEqual(self.collection(), [self.alice, self.bob])


class TestInside(Keyring):
    """Process and thread keyrings are seen by nobody else: libkrb5 and we in one process."""

    def run_inside(self, anchor):
        self.kinit("alice", cache="FILE:" + self.realm.path("from"))
        cache = f"KEYRING:{anchor}:inside"
        done = subprocess.run(
            [sys.executable, "-B", os.path.join(HERE, "keyring_inside.py"), cache,
             "FILE:" + self.realm.path("from")], capture_output=True, text=True,
            env=self.env("alice", cache=cache))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def test_process(self):
        with self.realm.counting() as seen:
            self.assertEqual(self.run_inside("process"), self.expected())
        self.assertEqual(dict(seen), self.asked())

    def test_thread(self):
        with self.realm.counting() as seen:
            self.assertEqual(self.run_inside("thread"), self.expected())
        self.assertEqual(dict(seen), self.asked())

    def test_list(self):
        text = self.kerbside("list", identity=self.realm.identity("password", "alice"),
                             cache="KEYRING:process:x")
        self.assertIn("KEYRING:process:x is each process's own", text)

    def expected(self):
        return ["we wrote: HTTP/localhost@",
                f"we wrote: krbtgt/{self.realm.name}@{self.realm.name}",
                "with libkrb5's we wrote: HTTP/localhost@",
                f"with libkrb5's we wrote: krbtgt/{self.realm.name}@{self.realm.name}"]

    def asked(self):
        """kinit, our login, and a ticket with libkrb5's TGT."""
        return {"AS-ERROR": 2, "AS": 2, "TGS": 2}


def setUpModule():
    global REALM, SERVER
    REALM = Realm()
    unittest.addModuleCleanup(REALM.close)
    REALM.__enter__()
    SERVER = Peer(REALM.service_env())
    unittest.addModuleCleanup(SERVER.close)


def start():
    global OWN_USERS
    try:
        OWN_USERS = keyrings.apart()
    except OSError as failed:
        print("SKIPPED, no keyrings:", failed)
        sys.exit(harness.SKIPPED)


if __name__ == "__main__":
    start()
    harness.main("krb5kdc", "kinit", "kvno", "klist", "kdestroy", "kswitch", modules=["gssapi"],
                 plugin=True)
