#!/usr/bin/python3
"""A C program whose threads all log in at once, from a cold start, with small stacks. It is built as
the plugin is, so in a sanitizer build this is a whole login under the sanitizer."""
import os
import subprocess
import sys
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                  # noqa: E402
from kdc import program         # noqa: E402
from realm import Realm         # noqa: E402

MANY = os.path.join(os.environ.get("KB_BUILDDIR", os.getcwd()), "tests", "consumers", "many")
TARGETS = ["HTTP@localhost", "other@localhost", "host@localhost"]


def sanitized():
    with open(MANY, "rb") as binary:
        content = binary.read()
    return b"__asan_init" in content or b"__tsan_init" in content


class TestThreads(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def run_many(self, env, *words, wrapper=()):
        # libgssapi's own, as in valgrind.supp.
        env["LSAN_OPTIONS"] = f"suppressions={HERE}/lsan.supp:print_suppressions=0"
        return subprocess.run([*wrapper, MANY, *map(str, words)], env=env, text=True, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def test_one_exchange_for_all(self):
        for secret, first in (("password", 2), ("keytab", 1)):
            for threads in (1, 2, 16):
                with self.subTest(secret=secret, threads=threads):
                    env = self.realm.env(options=self.realm.identity(secret))
                    with self.realm.counting() as seen:
                        done = self.run_many(env, threads, 5, *TARGETS)
                    self.assertEqual((done.returncode, done.stdout), (0, ""))
                    self.assertEqual(seen.total, first + len(TARGETS), dict(seen))

    def test_a_thousand(self):
        """From a cold start, with stacks of 64 KiB: what one thread costs the KDC. How long that takes
        is printed; on an idle machine it is some 50 ms more than for one."""
        threads = 64 if sanitized() else 1000
        for secret, first in (("password", 2), ("keytab", 1)):
            env = self.realm.env(options=self.realm.identity(secret))
            for num in (1, threads):
                with self.realm.counting() as seen:
                    done = self.run_many(env, "time", num, 1, "HTTP@localhost")
                print(f"{secret}, {num}: {done.stdout.strip()}", file=sys.stderr)
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertEqual(seen.total, first + 1, dict(seen))

    def test_an_unknown_service(self):
        """Whoever asks for it again and again asks the KDC once."""
        env = self.realm.env(options=self.realm.identity("keytab"))
        with self.realm.counting() as seen:
            done = self.run_many(env, 4, 500, "nosuch@localhost", "HTTP@localhost")
        self.assertEqual(done.stdout.count("nosuch@localhost: "), 2000)
        self.assertEqual(done.stdout.count("LOOKING_UP_SERVER"), 2000)
        self.assertEqual(dict(seen), {"AS": 1, "TGS": 1, "TGS-ERROR": 1})

    def with_cache(self, name):
        return self.realm.identity() + " CredentialsCacheFile=" + self.realm.path(name)

    def test_one_exchange_for_all_with_a_cache(self):
        """And none for the next process, whose threads find all in the cache."""
        for name in ("file", "MEMORY:"):
            options = self.with_cache("cc") if name == "file" \
                else self.realm.identity() + " CredentialsCacheFile=MEMORY:cc"
            for expected in (2 + len(TARGETS), 0 if name == "file" else 2 + len(TARGETS)):
                with self.subTest(cache=name, requests=expected):
                    with self.realm.counting() as seen:
                        done = self.run_many(self.realm.env(options=options), 16, 5, *TARGETS)
                    self.assertEqual((done.returncode, done.stdout), (0, ""))
                    self.assertEqual(seen.total, expected, dict(seen))

    def test_a_rotated_keytab(self):
        self.rotate("rotated", "")

    def test_a_rotated_keytab_with_a_cache(self):
        """So that threads log in beside each other, the one with the key that the other was refused."""
        self.rotate("rotated2", " CredentialsCacheFile=" + self.realm.path("rotated2.cc"))

    def rotate(self, user, cache):
        """While all threads log in again and again, the key changes at the KDC and then in the file, in
        place and by another file. Nobody fails, and the KDC refuses each old key once."""
        name = self.realm.add_principal(user, "first")
        self.realm.kdc.limit(name, 30)
        env = self.realm.env(options=self.realm.identity("keytab", name) + " MinLifetime=40m" + cache)
        keytab, mark, rotations = self.realm.path(name + ".keytab"), len(self.realm.log()), 0
        done = []
        thread = threading.Thread(target=lambda: done.append(
            self.run_many(env, 16, 40 if sanitized() else 100, *TARGETS)))
        thread.start()
        while thread.is_alive():
            if rotations % 2:
                self.realm.kdc.rekey(keytab, name)
            else:
                self.realm.kdc.random_key(name)
                os.rename(self.realm.keytab(f"{user}.{rotations}.keytab", name), keytab)
            rotations += 1
            thread.join(0.1)
        self.assertEqual((done[0].returncode, done[0].stdout), (0, ""))
        self.assertGreater(rotations, 0)
        self.assertLessEqual(self.realm.kdc.refused_proofs(self.realm.log()[mark:]), rotations)

    def test_a_failure_wakes_all(self):
        wrong = self.realm.password_file("wrong", "not it")
        options = self.realm.identity().replace(self.realm.path("alice.password"), wrong)
        done = self.run_many(self.realm.env(options=options), 8, 1, "HTTP@localhost")
        self.assertEqual(done.returncode, 1, done.stdout)
        lines = [line for line in done.stdout.splitlines() if line.startswith("HTTP@localhost")]
        self.assertEqual(len(lines), 8, done.stdout)
        for line in lines:
            self.assertIn("alice@" + self.realm.name, line)
        self.assertNotIn("Sanitizer", done.stdout)

    def test_some_targets_fail(self):
        env = self.realm.env(options=self.realm.identity())
        done = self.run_many(env, 8, 2, "HTTP@localhost", "nosuch@localhost")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertNotIn("HTTP@localhost:", done.stdout)
        self.assertNotIn("Sanitizer", done.stdout)

    @unittest.skipUnless(program("valgrind"), "no valgrind")
    def test_under_valgrind(self):
        if sanitized():
            self.skipTest("built with a sanitizer")
        for options in (self.realm.identity("password"), self.realm.identity("keytab"),
                        self.with_cache("valgrind.cc"), self.with_cache("valgrind.cc")):
            done = self.run_many(self.realm.env(options=options), 4, 2, *TARGETS,
                                 wrapper=harness.VALGRIND)
            self.assertEqual((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", MANY, plugin=True)
