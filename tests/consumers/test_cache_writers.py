#!/usr/bin/python3
"""A cache's file that many write at once, ours beside MIT's and Heimdal's programs: nothing is lost;
and one that cannot be written: a full disk, a read-only one."""
import ctypes
import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                              # noqa: E402
import netns                                                # noqa: E402
from kdc import heimdal_program, peers                      # noqa: E402
from peer import Peer, establish                            # noqa: E402
from realm import Principal, Realm                          # noqa: E402

MANY = os.path.join(os.environ.get("KB_BUILDDIR", os.getcwd()), "tests", "consumers", "many")
PROCESSES, SERVICES = 200, 40
MS_RDONLY, MS_REMOUNT = 1, 32


class Cache(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.realm.add(*[Principal(f"s{i}/localhost", preauth=False) for i in range(SERVICES)])

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def tool(self, path, *argv, stdin="", **env):
        done = subprocess.run(argv, env=self.realm.env(plugin=False, KRB5CCNAME=path, **env),
                              input=stdin, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def services(self, path):
        return re.findall(r"^[\d/]+ [\d:]+  [\d/]+ [\d:]+  (\S+)@", self.tool(path, "klist"), re.M)

    def options(self, path, identity=""):
        return f"{identity} KDCHost={self.realm.kdc_host} CredentialsCacheFile={path} " \
               f"LogFile={path}.log"


class TestAtOnce(Cache):
    def others(self, path):
        """kvno and Heimdal's kgetcred, each with services of its own."""
        started = []
        for i in range(0, SERVICES, 2):
            started.append((["kvno", f"s{i}/localhost"], {}))
        if peers():
            kgetcred, env = heimdal_program("kgetcred")
            for i in range(1, SERVICES, 2):
                started.append(([kgetcred, f"s{i}/localhost"], env))
        return started

    def test_nothing_is_lost(self):
        path = self.realm.path("shared")
        self.tool(path, "kinit", "alice", stdin=self.realm.passwords["alice"] + "\n")
        ours = self.realm.env(options=self.options(path, "User=alice@" + self.realm.name))
        targets = ["HTTP", "host", "other"]
        running = [subprocess.Popen([MANY, "1", "1", f"{targets[i % 3]}@localhost",
                                     f"s{i % SERVICES}@localhost"], env=ours)
                   for i in range(PROCESSES)]
        wanted = [t + "/localhost" for t in targets]
        for argv, env in self.others(path):
            running.append(subprocess.Popen(
                argv, env=self.realm.env(plugin=False, KRB5CCNAME=path, **env),
                stdout=subprocess.DEVNULL))
            wanted.append(argv[-1])
        self.assertEqual([p.wait() for p in running], [0] * len(running))
        got = self.services(path)
        self.assertEqual(sorted(set(wanted) - set(got)), [])
        with open(path + ".log") if os.path.exists(path + ".log") else open(os.devnull) as log:
            self.assertNotIn("Warning", log.read())
        # Nothing stands between the tickets, and the next asks nobody.
        with self.realm.counting() as seen:
            done = subprocess.run([MANY, "1", "1"] + [s.replace("/", "@") for s in wanted], env=ours)
        self.assertEqual((done.returncode, seen.total), (0, 0))


class TestNoRoom(Cache):
    """A file system of 32 KiB, in a mount namespace of our own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.disk = cls.realm.path("disk")
        os.mkdir(cls.disk)
        libc = ctypes.CDLL(None, use_errno=True)

        def mount(flags):
            if libc.mount(b"tmpfs", cls.disk.encode(), b"tmpfs", flags, b"size=32k") != 0:
                raise netns.Unavailable("mount: " + os.strerror(ctypes.get_errno()))
        cls.mount = staticmethod(mount)
        try:
            netns.enter()
            mount(0)
        except netns.Unavailable as why:
            cls.tearDownClass()
            raise unittest.SkipTest(str(why))
        # The KDC stayed outside with its network.
        cls.realm.kdc_stop()
        cls.realm.kdc_start()
        cls.server = Peer(cls.realm.service_env())
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.path = os.path.join(self.disk, self.id().rsplit(".", 1)[1])
        self.log = self.realm.path("log")
        if os.path.exists(self.log):
            os.unlink(self.log)

    def client(self, more=""):
        options = f"{self.realm.identity('keytab')} CredentialsCacheFile={self.path} " \
                  f"LogFile={self.log} {more}"
        client = Peer(self.realm.env(options=options))
        self.addCleanup(client.close)
        return client

    def bytes(self):
        with open(self.path, "rb") as cache:
            return cache.read()

    def logged(self):
        with open(self.log) as log:
            return log.read()

    def login(self, client, target):
        establish(client, self.server, target)

    def test_full_disk(self):
        client = self.client()
        self.login(client, "HTTP@localhost")
        with open(os.path.join(self.disk, "filler"), "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(1024)):
                    pass
            except OSError:
                pass
            # What fits into the cache's last page still does; one does not, in part or at all.
            for i in range(SERVICES):
                before = self.bytes()
                client.init(ctx=f"s{i}", target=f"s{i}@localhost")
                if os.path.exists(self.log) and "No space left" in self.logged():
                    break
            self.assertIn(f"Warning: credentials cache FILE:{self.path}: No space left on device; "
                          "tickets are kept in memory only", self.logged())
            self.assertEqual(self.bytes(), before)
            self.assertEqual(self.services(self.path)[-1], f"s{i - 1}/localhost")
            # It is there for this process; and a new TGT is not put in the old one's place.
            with self.realm.counting() as seen:
                client.init(ctx="again", target=f"s{i}@localhost")
            self.assertEqual(seen.total, 0)
            self.login(self.client("MinLifetime=86399"), "host@localhost")
            self.assertEqual(self.bytes(), before)
            name = os.path.basename(self.path)
            self.assertLessEqual({*os.listdir(self.disk)}, {"filler", name, name + ".kerbside"})
            filler.truncate(0)
        client.init(ctx="then", target="other@localhost")
        self.assertEqual(self.services(self.path)[-1], "other/localhost")

    def test_read_only(self):
        client = self.client()
        self.login(client, "HTTP@localhost")
        before = self.bytes()
        self.mount(MS_REMOUNT | MS_RDONLY)
        try:
            self.login(client, "host@localhost")
            self.login(self.client(), "HTTP@localhost")     # it is read
            self.login(self.client("MinLifetime=86399"), "host@localhost")
            self.assertEqual(self.bytes(), before)
            self.assertRegex(self.logged(), "Warning: .*Read-only file system; tickets are kept in "
                                            "memory only")
        finally:
            self.mount(MS_REMOUNT)
        client.init(ctx="then", target="other@localhost")
        self.assertEqual(self.services(self.path)[-1], "other/localhost")


if __name__ == "__main__":
    harness.main("krb5kdc", "kinit", "kvno", "klist", MANY, modules=["gssapi"], plugin=True)
