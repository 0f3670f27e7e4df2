#!/usr/bin/python3
"""A guest in somebody else's program: stacks of 64 KiB, thousands of descriptors and none, closed
standard ones, forks, daemons, logins while the process ends, a changed root or user, signals; and
what a set-uid program may not believe."""
import os
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                      # noqa: E402
from kdc import program, write      # noqa: E402
from realm import Realm, plugin_path, MECH_OID  # noqa: E402

GUEST = os.path.join(os.environ.get("KB_BUILDDIR", os.getcwd()), "tests", "consumers", "guest")
ROOT = os.geteuid() == 0


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()


class TestGuest(Case):
    def said(self, *words, secrets=("password", "keytab"), **more):
        """What the program said, the same with a password as with a keytab."""
        for secret in secrets:
            done = subprocess.run([GUEST, *words], text=True, timeout=60, stdout=subprocess.PIPE,
                                  env=self.realm.env(options=self.realm.identity(secret), **more))
            self.assertEqual(done.returncode, 0, done)
            yield done.stdout.splitlines()

    def all_ok(self, word, *names, **more):
        for said in self.said(word, **more):
            self.assertEqual(said, [name + ": ok" for name in names])

    def test_small_stacks(self):
        self.all_ok("threads", *["thread"] * 4)

    def test_many_descriptors(self):
        self.all_ok("descriptors", "descriptors")

    def test_closed_descriptors(self):
        self.all_ok("closed", "closed")

    def test_no_descriptor_left(self):
        for said in self.said("exhausted"):
            self.assertEqual(said[0], "before: ok")
            self.assertIn("Too many open files", said[-1])
            # A second after the login before, on a busy machine, the secret is read again first.
            self.assertRegex(said[-1], f"{self.realm.kdc_host}|Password=file:|KeytabFile=")

    def test_fork(self):
        self.all_ok("fork", "before", "child, same", "child, new", "after")
        self.all_ok("forkfirst", "child")

    def test_the_end(self):
        self.all_ok("exit", "exit", "at exit")
        self.all_ok("destructor", "destructor", "destructor")

    def test_daemon(self):
        self.all_ok("daemon", "before", "daemon")

    def test_signals(self):
        self.all_ok("alarms", "alarms", "alarms")
        self.all_ok("untouched", "untouched")

    def test_bound_at_once(self):
        self.all_ok("plain", "plain", LD_BIND_NOW="1")
        self.all_ok("plain", "plain", LANG="de_DE.UTF-8", LC_ALL="C.UTF-8")

    @unittest.skipUnless(ROOT, "only root can do that")
    def test_chroot(self):
        empty = self.realm.path("empty")
        os.makedirs(empty, exist_ok=True)
        for said in self.said("chroot", empty):
            self.assertEqual(said[0], "before: ok")
            for line in said[1:]:       # with what it has, or with a reason
                self.assertTrue(line.endswith(": ok") or "alice" in line, line)

    @unittest.skipUnless(ROOT, "only root can do that")
    def test_another_user(self):
        """Root's password file is not read with what root has read before."""
        for said in self.said("euid", secrets=["password"]):
            self.assertEqual((said[0], said[2]), ("root: ok", "root again: ok"))
            self.assertIn("Permission denied", said[1])


@unittest.skipUnless(ROOT and program("unshare") and program("setpriv"), "needs root and unshare")
class TestSetUid(Case):
    """libgssapi takes GSS_MECH_CONFIG from no set-uid program: /etc/gss is one of ours, in a mount
    namespace of its own."""

    def setUp(self):
        self.dir = self.realm.path("setuid")
        os.makedirs(self.dir + "/gss/mech.d")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)
        self.guest = shutil.copy(GUEST, self.dir + "/guest")
        os.chmod(self.guest, 0o4755)
        self.plugin = shutil.copy(plugin_path(), self.dir + "/kerbside.so")

    def run_it(self, line, **env):
        write(self.dir + "/gss/mech.d/kerbside.conf",
              f"kerbside {MECH_OID} {self.plugin} [{line}] <interposer>\n", 0o644)
        script = 'mount --bind "$1" /etc/gss && exec setpriv --reuid=65534 --clear-groups "$2" plain'
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", self.dir + "/gss",
                               self.guest], text=True, timeout=60, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=self.realm.env(plugin=False, **env))
        if not done.stdout:
            self.skipTest("no mount namespaces, or no set-uid programs: " + done.stderr)
        return done.stdout.strip()

    @property
    def good(self):
        return self.realm.identity()

    def config(self, text, uid=0, mode=0o644):
        path = write(self.dir + "/kerbside.conf", text, mode)
        os.chown(path, uid, -1)
        return path

    def test_the_line(self):
        self.assertEqual(self.run_it(self.good), "plain: ok")

    def test_the_environment_is_not_believed(self):
        path = self.config(self.good.replace(" ", "\n") + "\n")
        for env in ({"KERBSIDE_OPTIONS": self.good}, {"KERBSIDE_CONFIG": path}):
            said = self.run_it("LogLevel=1", **env)
            self.assertNotEqual(said, "plain: ok")
            self.assertNotIn("alice", said)
        said = self.run_it(self.good, KERBSIDE_OPTIONS="Enabled=False", KRB5_CONFIG="/nonexistent")
        self.assertEqual(said, "plain: ok")
        said = self.run_it(f"User=alice@{self.realm.name} Password=env:SECRET "
                           f"KDCHost={self.realm.kdc_host}", SECRET=self.realm.passwords["alice"])
        self.assertIn("Password=env:SECRET", said)

    def test_only_files_of_root(self):
        text = self.good.replace(" ", "\n") + "\n"
        for uid, mode, good in ((0, 0o644, True), (65534, 0o644, False), (0, 0o666, False),
                                (0, 0o664, False)):
            with self.subTest(uid=uid, mode=oct(mode)):
                path = self.config(text, uid, mode)
                said = self.run_it("Config=" + path)
                if good:
                    self.assertEqual(said, "plain: ok")
                else:
                    self.assertIn(path, said)
                    self.assertIn("root", said)


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", plugin=True)
