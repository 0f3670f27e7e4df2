#!/usr/bin/python3
"""Many processes with one credentials cache: how often they ask the KDC, in all; who goes on when one
of them is killed or stopped; that a refused secret is refused to all; what `auto` keeps, for whom."""
import os
import re
import signal
import stat
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                              # noqa: E402
from kdc import heimdal_program, peers                      # noqa: E402
from peer import KRB5, GSSFailure, Peer                     # noqa: E402
from realm import Realm                                     # noqa: E402

BUILD = os.environ.get("KB_BUILDDIR", os.getcwd())
MANY = os.path.join(BUILD, "tests", "consumers", "many")
KERBSIDE = os.path.join(BUILD, "cli", "kerbside")
TARGETS = ["HTTP@localhost", "other@localhost", "host@localhost"]

# A slow machine's KDC is asked once more by the other transport; and one that is slow for seconds is
# taken for one that stands still. Neither is what is counted here.
STEADY = "UseTCP=True Timeout=600"


class Processes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm(ipv6=True)
        cls.realm.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def setUp(self):
        name = self.id().rsplit(".", 1)[1]
        self.dir = self.realm.path(name)
        os.mkdir(self.dir, 0o700)
        self.cache = os.path.join(self.dir, "cc")
        self.log = self.realm.path(name + ".log")

    def env(self, identity="keytab", cache=None, more="", **env):
        if identity in ("password", "keytab"):
            identity = self.realm.identity(identity)
        options = f"{identity} CredentialsCacheFile={cache or self.cache} LogFile={self.log} {more}"
        return self.realm.env(options=options, **env)

    def wrong(self, text="not it"):
        """alice with another password, from a file of this test's own."""
        path = self.realm.password_file(self.id().rsplit(".", 1)[1], text)
        return self.realm.identity().replace(self.realm.path("alice.password"), path), path

    def at_once(self, number, env, target="HTTP@localhost", threads=1):
        """Starts processes that all begin when the last is there; gives them back."""
        gate, starter = os.pipe()
        many = [subprocess.Popen(["/bin/sh", "-c", f"read x <&{gate}; exec \"$@\"", "sh", MANY,
                                  str(threads), "1", target if isinstance(target, str)
                                  else target[i % len(target)]],
                                 env=env, pass_fds=[gate], text=True, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE) for i in range(number)]
        for child in many:
            self.addCleanup(self.reap, child)
        os.close(gate)
        os.close(starter)
        return many

    @staticmethod
    def reap(child):
        if child.poll() is None:
            child.kill()
        child.communicate()

    def said(self, many):
        """What they said, one text for each that failed."""
        texts = [child.communicate(timeout=120)[1] for child in many]
        for child, text in zip(many, texts):
            self.assertEqual(child.returncode != 0, bool(text), text)
        return [text for text in texts if text]

    def once(self, env, requests=None, target="HTTP@localhost"):
        with self.realm.counting() as seen:
            said = self.said(self.at_once(1, env, target))
        if requests is not None:
            self.assertEqual(seen.total, requests, (dict(seen), said))
        return said[0] if said else ""

    def logged(self):
        try:
            with open(self.log) as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def kerbside(self, env, *words):
        return subprocess.run([KERBSIDE, *words], env=env, text=True, capture_output=True,
                              check=True).stdout

    def locked(self):
        """Whether somebody holds a lock on the file beside the cache."""
        try:
            inode = os.stat(self.cache + ".kerbside").st_ino
        except FileNotFoundError:
            return False
        with open("/proc/locks") as locks:
            return any(f":{inode} " in line for line in locks)

    def until(self, what, seconds=20):
        end = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)


class TestTogether(Processes):
    def test_two_hundred_at_once(self):
        for secret, number, requests in (("keytab", 200, 2), ("password", 50, 3)):
            with self.subTest(secret=secret):
                self.cache = os.path.join(self.dir, secret)
                env = self.env(secret, more=STEADY)
                with self.realm.counting() as seen:
                    said = self.said(self.at_once(number, env))
                self.assertEqual(said, [])
                self.assertEqual((seen.total, seen["TGS"]), (requests, 1),
                                 (dict(seen), self.logged()))

    def test_each_target_once(self):
        with self.realm.counting() as seen:
            said = self.said(self.at_once(30, self.env(more=STEADY), TARGETS))
        self.assertEqual(said, [])
        self.assertEqual(seen.total, 1 + len(TARGETS), dict(seen))
        self.assertEqual(seen["TGS"], len(TARGETS), dict(seen))

    def test_with_threads_too(self):
        with self.realm.counting() as seen:
            said = self.said(self.at_once(10, self.env("password", more=STEADY), threads=8))
        self.assertEqual(said, [])
        self.assertEqual(seen.total, 3, dict(seen))

    def test_in_a_collection(self):
        """Whose directory is not there yet; MIT's klist takes the file in it for no cache."""
        collection = os.path.join(self.dir, "collection")
        env = self.env(cache="DIR:" + collection, more=STEADY)
        with self.realm.counting() as seen:
            said = self.said(self.at_once(20, env))
        self.assertEqual((said, seen.total), ([], 2), (dict(seen), self.logged()))
        self.assertIn("kerbside", os.listdir(collection))
        listed = subprocess.run(["klist", "-l"], capture_output=True, text=True, check=True,
                                env=self.realm.env(plugin=False, KRB5CCNAME="DIR:" + collection))
        self.assertEqual(listed.stdout.count("DIR:"), 1, listed.stdout)

    def test_what_the_cache_holds_takes_no_turn(self):
        """Whoever finds his ticket there asks nobody: the file beside it is not even opened."""
        self.once(self.env(), requests=2)
        os.unlink(self.cache + ".kerbside")
        self.once(self.env(), requests=0)
        self.assertFalse(os.path.exists(self.cache + ".kerbside"))
        self.once(self.env(), requests=1, target="other@localhost")
        self.assertTrue(os.path.exists(self.cache + ".kerbside"))

    def test_the_file_is_private(self):
        self.once(self.env())
        mode = os.stat(self.cache + ".kerbside")
        self.assertEqual(stat.S_IMODE(mode.st_mode), 0o600)
        self.assertLessEqual(mode.st_size, 32768 + 4096)
        with open(self.cache + ".kerbside", "rb") as file:
            content = file.read()
        self.assertIn(b"kerbside", content)
        self.assertNotIn(self.realm.passwords["alice"].encode(), content)

    def stop_kdc(self):
        os.kill(self.realm.child.process.pid, signal.SIGSTOP)
        self.addCleanup(self.continue_kdc)

    def continue_kdc(self):
        os.kill(self.realm.child.process.pid, signal.SIGCONT)

    def test_the_leader_is_killed(self):
        """Fifty wait for one that a silent KDC keeps waiting; they go on the moment that it is gone."""
        env = self.env(more=STEADY)
        self.stop_kdc()
        leader, = self.at_once(1, env)
        self.until(self.locked)
        many = self.at_once(50, env)
        time.sleep(0.5)
        with self.realm.counting() as seen:
            leader.kill()
            leader.wait()
            self.continue_kdc()
            said = self.said(many)
        self.assertEqual(said, [])
        self.assertNotIn("stands still", self.logged())
        self.assertEqual(seen["TGS"], 1, dict(seen))
        self.assertLessEqual(seen.total, 1 + 2 + 1, dict(seen))    # the dead one's may still be there

    def test_the_leader_stands_still(self):
        """It is passed by, by one; the others wait for that one."""
        env = self.env(more="UseTCP=True Timeout=32")
        self.stop_kdc()
        leader, = self.at_once(1, env)
        self.until(self.locked)
        os.kill(leader.pid, signal.SIGSTOP)
        self.continue_kdc()
        with self.realm.counting() as seen:
            said = self.said(self.at_once(10, env))
        self.assertEqual(said, [])
        self.assertIn("stands still", self.logged())
        self.assertEqual(seen["TGS"], 1, dict(seen))
        self.assertLessEqual(seen.total, 4, dict(seen))

    def test_it_may_be_removed_at_any_time(self):
        env = self.env()
        for _ in range(5):
            many = self.at_once(10, env)
            for name in ("cc", "cc.kerbside"):
                try:
                    os.unlink(os.path.join(self.dir, name))
                except FileNotFoundError:
                    pass
            self.assertEqual(self.said(many), [])

    def test_a_place_that_cannot_be_had(self):
        """A warning, and tickets stay in memory."""
        for cache, says in (("/proc/cc", "No such file or directory"),
                            (os.path.join(self.dir, "no", "cc"), "No such file or directory")):
            with self.subTest(cache=cache):
                self.assertEqual(self.once(self.env(cache=cache), requests=2), "")
                log = self.logged()
                self.assertIn(f"Warning: {cache}.kerbside: {says}", log)
                self.assertIn("tickets are kept in memory only", log)

    def test_no_space(self):
        mounted = os.path.join(self.dir, "full")
        os.mkdir(mounted)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", mounted],
                          capture_output=True).returncode != 0:
            self.skipTest("nothing can be mounted here")
        try:
            with open(os.path.join(mounted, "fill"), "wb") as fill:
                fill.write(b"x" * 4096)
            env = self.env(cache=os.path.join(mounted, "cc"))
            self.assertEqual(self.once(env, requests=2), "")
            self.assertIn("No space left on device", self.logged())
            self.assertIn("tickets are kept in memory only", self.logged())
        finally:
            subprocess.run(["umount", mounted])


class TestRefused(Processes):
    """MIT's KDC logs each failed pre-authentication, which is what locks accounts."""

    def setUp(self):
        super().setUp()
        self.mark = len(self.realm.log())

    def failures(self):
        return len(re.findall(r"AS_REQ .*PREAUTH_FAILED:", self.realm.log()[self.mark:]))

    def test_one_failure_in_all(self):
        """Over threads, processes, KDCs and time."""
        port = self.realm.port
        identity, _ = self.wrong()
        identity = identity.replace(self.realm.kdc_host, f'"127.0.0.1:{port} [::1]:{port}"')
        env = self.env(identity)
        said = self.said(self.at_once(10, env, TARGETS, threads=4))
        self.assertEqual(len(said), 10)
        self.assertEqual(self.failures(), 1)
        for _ in range(3):
            self.assertIn("BadSecretPause", self.once(env, requests=0))
        self.assertEqual(self.failures(), 1)

    def test_the_primary_is_asked_once(self):
        port = self.realm.port
        identity, _ = self.wrong()
        env = self.env(identity, more=f"PrimaryKDC=[::1]:{port}")
        said = self.said(self.at_once(10, env, TARGETS, threads=4))
        self.assertEqual(len(said), 10)
        self.assertEqual(self.failures(), 2)

    def test_a_changed_password_is_tried(self):
        identity, path = self.wrong()
        env = self.env(identity)
        self.assertIn("BadSecretPause", self.once(env) + self.once(env))
        with open(path, "w") as file:
            file.write(self.realm.passwords["alice"] + "\n")
        self.assertEqual(self.once(env), "")
        self.assertEqual(self.failures(), 1)
        with open(path, "w") as file:
            file.write("not it\n")
        os.unlink(self.cache)
        self.assertIn("BadSecretPause", self.once(env, requests=0))

    def test_forget_ends_it(self):
        identity, _ = self.wrong()
        env = self.env(identity)
        self.once(env)
        self.assertIn("BadSecretPause", self.once(env, requests=0))
        self.assertIn("pauses-ended: 1", self.kerbside(env, "forget"))
        self.assertNotIn("BadSecretPause", self.once(env))
        self.assertEqual(self.failures(), 2)

    def test_a_locked_account_is_left_alone_for_a_while(self):
        env = self.env(self.realm.identity(user="locked"))
        self.assertNotIn("BadSecretPause", self.once(env))
        self.assertIn("BadSecretPause", self.once(env, requests=0))

    def test_a_refused_key_too(self):
        self.realm.add_principal("dora", "first")
        keytab = self.realm.keytab("dora.keytab", "dora")
        env = self.env(f"KeytabFile={keytab} KDCHost={self.realm.kdc_host}")
        self.realm.kdc.change_password("dora", "second")
        for _ in range(3):
            self.assertIn("dora", self.once(env))
        self.assertEqual(self.failures(), 1)


class TestFirstTryRight(Processes):
    def test_the_second_run_asks_less(self):
        """A cron job whose tickets have expired: the enctype, salt and KDC are known by then."""
        for secret, first in (("keytab", 2), ("password", 3)):
            with self.subTest(secret=secret):
                self.cache = os.path.join(self.dir, secret)
                env = self.env(secret)
                self.assertEqual(self.once(env, requests=first), "")
                self.assertEqual(self.once(env, requests=0), "")
                os.unlink(self.cache)
                self.assertEqual(self.once(env, requests=2), "")

    def test_several_kdcs(self):
        """With one that is not known to live, a first request goes without a proof."""
        port = self.realm.port
        identity = self.realm.identity().replace(self.realm.kdc_host,
                                                 f'"127.0.0.1:{port} [::1]:{port}"')
        env = self.env(identity)
        self.assertEqual(self.once(env, requests=3), "")
        os.unlink(self.cache)
        self.assertEqual(self.once(env, requests=2), "")
        os.unlink(self.cache + ".kerbside")
        os.unlink(self.cache)
        self.assertEqual(self.once(env, requests=3), "")

    def test_rubbish_is_survived(self):
        env = self.env("password")
        for rubbish in (b"", b"kerbside", os.urandom(40000), b"kerbside" + bytes(32760) * 2):
            with open(self.cache + ".kerbside", "wb") as file:
                file.write(rubbish)
            os.chmod(self.cache + ".kerbside", 0o600)
            self.assertEqual(self.once(env, requests=3), "")
            os.unlink(self.cache)
            self.assertEqual(self.once(env, requests=2), "")
            os.unlink(self.cache)


class TestAuto(Processes):
    def setUp(self):
        super().setUp()
        self.runtime = {"XDG_RUNTIME_DIR": self.dir}

    def auto(self, identity="keytab", more="", **env):
        return self.env(identity, "auto", more, **{**self.runtime, **env})

    def files(self, place=None):
        place = place or os.path.join(self.dir, "kerbside")
        return sorted(os.listdir(place)) if os.path.isdir(place) else []

    def test_the_kdc_is_asked_once(self):
        for secret, first in (("keytab", 2), ("password", 3)):
            with self.subTest(secret=secret):
                env = self.auto(secret)
                self.assertEqual(self.once(env, requests=first), "")
                for _ in range(3):
                    self.assertEqual(self.once(env, requests=0), "")
        names = self.files()
        self.assertEqual(len(names), 4, names)
        for name in names:
            self.assertTrue(name.startswith("alice@" + self.realm.name), name)
            mode = os.lstat(os.path.join(self.dir, "kerbside", name)).st_mode
            self.assertEqual((stat.S_ISREG(mode), stat.S_IMODE(mode)), (True, 0o600))
        mode = os.lstat(os.path.join(self.dir, "kerbside")).st_mode
        self.assertEqual((stat.S_ISDIR(mode), stat.S_IMODE(mode)), (True, 0o700))

    def test_many_at_once(self):
        with self.realm.counting() as seen:
            said = self.said(self.at_once(50, self.auto("password", more=STEADY)))
        self.assertEqual(said, [])
        self.assertEqual(seen.total, 3, dict(seen))

    @unittest.skipUnless(peers(), "no Heimdal (make peers)")
    def test_heimdals_programs_use_it(self):
        """And we what they add."""
        env = self.auto()
        self.once(env)
        cache = os.path.join(self.dir, "kerbside", self.files()[0])

        def heimdal(name, *argv):
            path, more = heimdal_program(name)
            return subprocess.run([path, *argv], capture_output=True, text=True, check=True,
                                  env=self.realm.env(plugin=False, KRB5CCNAME=cache, **more)).stdout
        listed = heimdal("klist.heimdal", "klist")
        self.assertIn("Principal: alice@" + self.realm.name, listed)
        self.assertIn("HTTP/localhost@", listed)
        with self.realm.counting() as seen:
            heimdal("kgetcred", "other/localhost")
        self.assertEqual(dict(seen), {"TGS": 1})
        with self.realm.counting() as seen, Peer(env) as client:
            client.init(ctx="c", target="other@localhost")
        self.assertEqual(dict(seen), {})

    def test_klist_and_kerbside_see_it(self):
        env = self.auto()
        self.once(env)
        listed = self.kerbside(env, "list")
        self.assertIn(os.path.join(self.dir, "kerbside", "alice@"), listed)
        self.assertIn("HTTP/localhost", listed)
        cache = os.path.join(self.dir, "kerbside", self.files()[0])
        listed = subprocess.run(["klist"], env=self.realm.env(plugin=False, KRB5CCNAME=cache),
                                capture_output=True, text=True, check=True).stdout
        self.assertIn("HTTP/localhost", listed)
        self.assertIn("forgotten: 2", self.kerbside(env, "forget"))
        self.assertEqual(self.files(), [])
        self.assertEqual(self.once(env, requests=2), "")

    def test_a_wrong_password_never_finds_a_ticket(self):
        good = self.realm.passwords["alice"]
        identity, path = self.wrong(good)
        env = self.auto(identity)
        self.assertEqual(self.once(env, requests=3), "")
        with open(path, "w") as file:
            file.write("not it\n")
        self.assertIn("password", self.once(env))
        self.assertIn("BadSecretPause", self.once(env, requests=0))
        # The right one comes back: what it had is still there.
        with open(path, "w") as file:
            file.write(good + "\n")
        self.assertEqual(self.once(env, requests=0), "")
        # Another right one: it is begun anew.
        self.realm.kdc.change_password("alice", "another")
        self.addCleanup(self.realm.kdc.change_password, "alice", good)
        with open(path, "w") as file:
            file.write("another\n")
        with self.realm.counting() as seen:
            self.assertEqual(self.once(env), "")
        self.assertGreaterEqual(seen.total, 2, dict(seen))
        self.assertEqual(self.once(env, requests=0), "")
        with open(path, "w") as file:
            file.write(good + "\n")
        self.assertNotEqual(self.once(env), "")

    def test_a_password_without_a_file(self):
        """Nothing tells that it is the same but what string-to-key makes of it."""
        identity = f"User=bob@{self.realm.name} Password=env:SECRET KDCHost={self.realm.kdc_host}"
        self.assertEqual(self.once(self.auto(identity, SECRET="b"), requests=3), "")
        self.assertEqual(self.once(self.auto(identity, SECRET="b"), requests=0), "")
        self.assertNotEqual(self.once(self.auto(identity, SECRET="a")), "")
        self.assertEqual(self.once(self.auto(identity, SECRET="b"), requests=0), "")

    def test_other_identities_have_others(self):
        self.once(self.auto())
        self.once(self.auto(more="TicketLife=1h"))
        self.once(self.auto(self.realm.identity("keytab", "bob")))
        self.assertEqual(len(self.files()), 6, self.files())

    def test_a_directory_that_is_not_private(self):
        place = os.path.join(self.dir, "kerbside")
        temporary = os.path.join(self.dir, "tmp")
        os.mkdir(temporary)
        os.chmod(temporary, 0o1777)
        self.runtime = {"XDG_RUNTIME_DIR": self.dir + "/none", "TMPDIR": temporary}
        own = os.path.join(temporary, f"kerbside-{os.geteuid()}")

        self.assertEqual(self.once(self.auto(), requests=2), "")
        self.assertEqual(len(self.files(own)), 2)
        os.chmod(own, 0o755)
        self.assertEqual(self.once(self.auto(), requests=2), "")
        self.assertIn(f"CredentialsCacheFile=auto: the directory {own} is not of mode 0700; tickets "
                      "stay in memory", self.logged())
        self.assertIn("is not of mode 0700", self.kerbside(self.auto(), "list"))
        os.chmod(own, 0o700)
        os.rename(own, place)
        os.symlink(place, own)
        self.assertEqual(self.once(self.auto(), requests=2), "")
        self.assertIn(f"the directory {own}: Not a directory", self.logged())
        os.unlink(own)
        if os.geteuid() == 0:
            os.mkdir(own, 0o700)
            os.chown(own, 1, 1)
            self.assertEqual(self.once(self.auto(), requests=2), "")
            self.assertIn("belongs to another user", self.logged())
            os.rmdir(own)
        os.chmod(temporary, 0o777)
        self.assertEqual(self.once(self.auto(), requests=2), "")
        self.assertIn(f"the directory {temporary} can be changed by others", self.logged())

    def test_not_for_a_secret_of_the_program(self):
        with Peer(self.auto()) as client:
            client.acquire_with_password(name="alice@" + self.realm.name, cred="p",
                                         password=self.realm.passwords["alice"], mechs=[KRB5])
        with self.assertRaises(GSSFailure), Peer(self.auto()) as client:
            client.acquire_with_password(name="alice@" + self.realm.name, cred="p",
                                         password="not it", mechs=[KRB5])
        self.assertEqual(self.files(), [])

    def test_it_is_no_identity(self):
        env = self.env(f"User=nobody@{self.realm.name} KDCHost={self.realm.kdc_host}", "auto",
                       **self.runtime)
        self.assertIn("no password, keytab or cache", self.once(env, requests=0))


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", MANY, KERBSIDE, plugin=True)
