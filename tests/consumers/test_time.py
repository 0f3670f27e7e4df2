#!/usr/bin/python3
"""Lifetimes that programs ask for, and clocks that are wrong: MIT's and Heimdal's KDC at the right
time, a client whose clock is minutes or hours off (libfaketime)."""
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                              # noqa: E402
from kdc import peers, program, write        # noqa: E402
from peer import KRB5, GSSFailure, Peer, establish  # noqa: E402
from realm import Realm, faketime, stepped   # noqa: E402

HOUR = 3600


class Case(unittest.TestCase):
    KIND = "mit"

    @classmethod
    def setUpClass(cls):
        cls.realm = Realm(cls.KIND)
        cls.realm.__enter__()
        cls.addClassCleanup(cls.realm.close)
        cls.server = Peer(cls.realm.service_env(KRB5RCACHENAME="none:"))
        cls.addClassCleanup(cls.server.close)

    @property
    def log_path(self):
        return self.realm.path(self.id().split(".")[-1] + ".log")

    def options(self, secret="keytab", user="alice", **more):
        more = {"TicketLife": "10h", "LogFile": self.log_path, **more}
        return self.realm.identity(secret, user) + "".join(f" {k}={v}" for k, v in more.items())

    def client(self, options=None, **env):
        peer = Peer(self.realm.env(options=options or self.options(), **env))
        self.addCleanup(peer.close)
        return peer

    def lives(self):
        """The minutes of the TGTs that were obtained."""
        with open(self.log_path, encoding="utf-8") as log:
            return [int(line.split("good for ")[1].split()[0]) for line in log
                    if "New TGT" in line]


    def refused(self, client, server, target, word="SKEW"):
        """The service does not take the ticket, and tells us."""
        client.forget(ctx="c")
        server.forget(ctx="c")
        mine = client.init(ctx="c", target=target)
        with self.assertRaises(GSSFailure) as theirs:
            server.accept(ctx="c", token=mine["token"])
        with self.assertRaises(GSSFailure) as ours:
            client.init(ctx="c", target=target, token=theirs.exception.token)
        self.assertIn(word, ours.exception.minor_text)


class TestAsked(Case):
    def test_a_credentials_life(self):
        client = self.client()
        # SPNEGO, above us in libgssapi, hands no lifetime down.
        got = client.acquire(cred="c", mechs=[KRB5], lifetime=HOUR)
        self.assertEqual(got["lifetime"], HOUR)
        self.assertEqual(client.inquire_cred(cred="c")["lifetime"], HOUR)
        mine, _ = establish(client, self.server, "HTTP@localhost", cred="c")
        self.assertIn(mine["lifetime"], range(HOUR - 60, HOUR + 1))
        self.assertIn(client.inquire_cred(cred="c")["lifetime"], range(HOUR - 60, HOUR + 1))
        # What others have is another matter, and what is asked for equally is one ticket.
        mine, _ = establish(client, self.server, "HTTP@localhost")
        self.assertIn(mine["lifetime"], range(10 * HOUR - 60, 10 * HOUR + 1))
        client.acquire(cred="d", mechs=[KRB5], lifetime=HOUR)
        establish(client, self.server, "HTTP@localhost", cred="d")
        self.assertEqual(self.lives(), [60, 600])

    def test_a_long_one(self):
        """The KDC has the last word."""
        client = self.client()
        client.acquire(cred="c", lifetime=7 * 24 * HOUR)
        establish(client, self.server, "HTTP@localhost", cred="c")
        self.assertIn(client.inquire_cred(cred="c")["lifetime"],
                      range(48 * HOUR - 60, 48 * HOUR + 1))

    def test_any(self):
        client = self.client()
        for lifetime in (None, 0):
            got = client.acquire(cred="c", lifetime=lifetime)
            self.assertIsNone(got["lifetime"])
        establish(client, self.server, "HTTP@localhost", cred="c")
        self.assertEqual(self.lives(), [600])

    def test_with_a_password(self):
        client = self.client()
        got = client.acquire_with_password(cred="c", name="bob@" + self.realm.name, password="b",
                                           lifetime=2 * HOUR)
        self.assertIn(got["lifetime"], range(2 * HOUR - 60, 2 * HOUR + 1))
        self.assertEqual(self.lives(), [120])

    def test_the_store_says_it(self):
        client = self.client()
        client.acquire(cred="c", lifetime=2 * HOUR, store={"TicketLife": "3h"})
        establish(client, self.server, "HTTP@localhost", cred="c")
        self.assertEqual(self.lives(), [180])

    def test_a_contexts_life(self):
        client = self.client()
        with self.realm.counting() as seen:
            for lifetime, least, most in ((600, 595, 600), (None, 10 * HOUR - 60, 10 * HOUR),
                                          (7, 5, 7), (0, 10 * HOUR - 60, 10 * HOUR),
                                          (48 * HOUR, 10 * HOUR - 60, 10 * HOUR)):
                mine, _ = establish(client, self.server, "HTTP@localhost", lifetime=lifetime)
                self.assertIn(mine["lifetime"], range(least, most + 1))
                self.assertIn(client.inquire(ctx="c")["lifetime"], range(least, most + 1))
        self.assertEqual(seen.total, 2, dict(seen))


class TestExpiry(Case):
    """What ends soon is said with every new TGT, before it bites."""

    def log_in(self, user, **end):
        self.realm.add_principal(user, "p")
        self.realm.kdc.expires(user, **end)
        self.client(self.options("password", user)).init(ctx="c", target="HTTP@localhost")
        with open(self.log_path, encoding="utf-8") as log:
            return [line.split("Warning: ")[1] for line in log if "Warning: " in line]

    def end_in(self, days):
        return time.strftime("%Y-%m-%d", time.gmtime(time.time() + days * 86400))

    def test_password(self):
        said = self.log_in("ends", password=self.end_in(3))
        self.assertEqual(len(said), 1, said)
        self.assertRegex(said[0], "^The password (or the account )?of ends@.* expires on "
                                  + self.end_in(3) + ".*kpasswd")

    def test_account(self):
        said = self.log_in("leaves", account=self.end_in(3))
        self.assertEqual(len(said), 1, said)
        self.assertRegex(said[0], "^The (password or the )?account of leaves@.* expires on "
                                  + self.end_in(3))

    def test_later(self):
        self.assertEqual(self.log_in("stays", account=self.end_in(30), password=self.end_in(20)), [])


@unittest.skipUnless(peers(), "no Heimdal: tests/realm/peers.sh fetches it")
class TestExpiryHeimdal(TestExpiry):
    KIND = "heimdal"


class TestWrongClock(Case):
    OFFSETS = ((600, "password"), (-600, "keytab"), (10 * HOUR, "keytab"), (-10 * HOUR, "password"))

    def log_in(self, client, **more):
        mine, theirs = establish(client, self.server, "HTTP@localhost", **more)
        # The KDC's time is known to a second.
        self.assertIn(mine["lifetime"], range(10 * HOUR - 90, 10 * HOUR + 2))
        return theirs["name"].split("@")[0]

    def test_log_in(self):
        for offset, secret in self.OFFSETS:
            with self.subTest(offset=offset, secret=secret):
                client = self.client(self.options(secret), **faketime(offset))
                client.acquire(cred="c")
                self.assertEqual(self.log_in(client, cred="c"), "alice")
                self.assertIn(client.inquire_cred(cred="c")["lifetime"],
                              range(10 * HOUR - 90, 10 * HOUR + 2))

    def test_who_comes_next_knows_it(self):
        """The clock is the realm's: another user's first request is right."""
        client = self.client(self.options("keytab"), **faketime(10 * HOUR))
        self.log_in(client)
        self.realm.keytab("bob.keytab", "bob")
        client.acquire(cred="bob", store={"User": "bob@" + self.realm.name,
                                          "KeytabFile": self.realm.path("bob.keytab")})
        with self.realm.counting() as seen:
            self.assertEqual(self.log_in(client, cred="bob"), "bob")
        self.assertEqual(dict(seen), {"AS": 1, "TGS": 1})

    def test_not_to_be_corrected(self):
        """krb5.conf's kdc_timesync = 0: our own clock counts, be it wrong."""
        conf = self.realm.path("timesync.conf")
        write(conf, "[libdefaults]\n kdc_timesync = 0\n")
        client = self.client(krb5_conf=conf, **faketime(600))
        for _ in range(2):
            client.forget(ctx="c")
            self.server.forget(ctx="c")
            token = client.init(ctx="c", target="HTTP@localhost")["token"]
            with self.assertRaises(GSSFailure) as failed:
                self.server.accept(ctx="c", token=token)
            self.assertIn("Clock skew", failed.exception.text)

    def test_in_a_cache(self):
        """It stands in the header, where MIT's programs look for it, and the next process too."""
        cache = self.realm.path("cc")
        env = faketime(-10 * HOUR)
        self.log_in(self.client(self.options(CredentialsCacheFile=cache), **env))
        with self.realm.counting() as seen:
            self.log_in(self.client(self.options(CredentialsCacheFile=cache), **env))
            self.log_in(self.client(f"CredentialsCacheFile={cache}", **env))
        self.assertEqual(seen.total, 0, dict(seen))
        if self.KIND == "mit":
            done = subprocess.run([program("kvno"), "-c", cache, "other/localhost"],
                                  env=self.realm.env(plugin=False, **env), text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual(done.returncode, 0, done.stdout)


class TestCalledExpired(Case):
    """A service whose clock is hours ahead calls good tickets expired."""

    def test_the_next_is_a_new_one(self):
        path = self.realm.path("clock")
        write(path, "+0s\n")
        client = self.client(self.options(TicketLife="1h"), **stepped(path))
        establish(client, self.server, "other@localhost")
        with Peer(self.realm.service_env(KRB5RCACHENAME="none:", **faketime(2 * HOUR))) as ahead:
            def say_so(tickets):
                with self.realm.counting() as seen:
                    for _ in range(3):
                        self.refused(client, ahead, "other@localhost", "TKT_EXPIRED")
                self.assertEqual(dict(seen), {"TGS": tickets} if tickets else {})
            say_so(1)
            say_so(0)       # anybody could say so: once a minute
            write(path, "+61s\n")
            say_so(1)
        with self.realm.counting() as seen:     # somebody has set its clock
            establish(client, self.server, "other@localhost")
        self.assertEqual(seen.total, 0, dict(seen))

    def test_one_process_after_another(self):
        """It is taken out of the cache: the next process does not hear the same."""
        path = self.realm.path("clock")
        options = self.options(TicketLife="1h", CredentialsCacheFile=self.realm.path("cc-expired"))
        with Peer(self.realm.service_env(KRB5RCACHENAME="none:", **faketime(2 * HOUR))) as ahead:
            for age, tickets in ((0, 0), (61, 1)):      # not within a minute
                write(path, "+0s\n")
                with self.client(options, **stepped(path)) as client:
                    establish(client, self.server, "other@localhost")
                write(path, f"+{age}s\n")
                with self.client(options, **stepped(path)) as client:
                    self.refused(client, ahead, "other@localhost", "TKT_EXPIRED")
                with self.client(options, **stepped(path)) as client, self.realm.counting() as seen:
                    establish(client, self.server, "other@localhost")
                self.assertEqual(dict(seen), {"TGS": tickets} if tickets else {}, age)


@unittest.skipUnless(peers(), "no Heimdal: tests/realm/peers.sh fetches it")
class TestCalledExpiredHeimdal(TestCalledExpired):
    KIND = "heimdal"


class TestSetWhileItRuns(Case):
    """Somebody sets a clock while a program holds tickets and knows how far the KDC's is away."""

    def set_clock(self, offset):
        write(self.realm.path("clock"), f"{offset:+d}s\n")

    def start(self, offset, **more):
        self.set_clock(offset)
        client = self.client(self.options(**more),
                             **stepped(self.realm.path("clock"), time_passes=False))
        establish(client, self.server, "HTTP@localhost")
        return client

    def log(self):
        with open(self.log_path, encoding="utf-8") as log:
            return log.read()

    def test_ours(self):
        """It shows, and the next context is right again, at the cost of a login each time."""
        client = self.start(600)
        for offset in (0, -2 * HOUR, 4 * HOUR, 0):
            self.set_clock(offset)
            with self.subTest(offset=offset):
                with self.realm.counting() as seen:
                    for _ in range(3):
                        mine, _ = establish(client, self.server, "HTTP@localhost")
                        self.assertIn(mine["lifetime"], range(9 * HOUR, 10 * HOUR + 5))
                self.assertEqual(seen["AS"], 1, (dict(seen), self.log()))
                self.assertLessEqual(seen["TGS"], 1, dict(seen))
        self.assertIn("A clock was set: the KDC's is now", self.log())

    def test_ours_is_put_right(self):
        """With a cache alone, there is no login to measure with: what is likely is assumed."""
        cache = self.realm.path("cc-alone")
        env = stepped(self.realm.path("clock"), time_passes=False)
        for offset in (-2 * HOUR, 2 * HOUR):
            with self.subTest(offset=offset):
                self.start(offset, CredentialsCacheFile=cache).close()
                with self.client(f"CredentialsCacheFile={cache} KDCHost={self.realm.kdc_host}", **env) \
                        as client, self.realm.counting() as seen:
                    establish(client, self.server, "HTTP@localhost")
                    self.set_clock(0)
                    establish(client, self.server, "HTTP@localhost")
                self.assertEqual(seen.total, 0, dict(seen))
                os.remove(cache)

    def test_who_cannot_measure_it_leaves_it_to_who_can(self):
        """In one process, one user has a cache alone, and another a keytab."""
        cache = self.realm.path("cc-beside")
        self.start(600, CredentialsCacheFile=cache).close()
        client = self.start(600)
        client.setenv(name="KERBSIDE_OPTIONS",
                      value=f"CredentialsCacheFile={cache} KDCHost={self.realm.kdc_host}")
        establish(client, self.server, "HTTP@localhost")
        with self.realm.counting() as seen:
            self.set_clock(0)
            establish(client, self.server, "HTTP@localhost")
            self.assertEqual(seen["AS"], 0, self.log())
            client.setenv(name="KERBSIDE_OPTIONS", value=self.options())
            establish(client, self.server, "HTTP@localhost")
        self.assertEqual(seen["AS"], 1, self.log())
        os.remove(cache)

    def test_ours_by_a_little(self):
        client = self.start(0)
        self.set_clock(20)
        with self.realm.counting() as seen:
            establish(client, self.server, "HTTP@localhost")
        self.assertEqual(seen.total, 0, dict(seen))

    def test_without_the_kdc(self):
        """Nothing is worse than it was, and a second is all that it costs."""
        client = self.start(0)
        self.set_clock(120)
        self.realm.kdc_stop()
        try:
            for _ in range(3):
                establish(client, self.server, "HTTP@localhost")
        finally:
            self.realm.kdc_start()
        self.assertEqual(self.log().count("could not be found out"), 1, self.log())

    def test_who_had_no_answer_waits_for_no_other(self):
        client = self.start(0)
        self.set_clock(120)
        self.realm.kdc_stop()
        try:
            with self.assertRaises(GSSFailure):
                client.init(ctx="late", target="other@localhost")
        finally:
            self.realm.kdc_start()
        self.assertNotIn("could not be found out", self.log())
        establish(client, self.server, "HTTP@localhost")
        self.assertIn("A clock was set: the KDC's is now", self.log())

    def test_between_two_processes(self):
        """What the cache says of the clock is wrong now. A service tells; the first to hear that
        logs in anew, and the next finds it right."""
        cache = self.realm.path("cc-set")
        self.start(-2 * HOUR, CredentialsCacheFile=cache).close()
        self.set_clock(0)
        env = stepped(self.realm.path("clock"), time_passes=False)
        options = self.options(CredentialsCacheFile=cache)
        with self.realm.counting() as seen, self.client(options, **env) as second:
            self.refused(second, self.server, "HTTP@localhost")
            establish(second, self.server, "HTTP@localhost")
        self.assertEqual((seen["AS"], seen["TGS"]), (1, 0), self.log())
        with self.realm.counting() as seen, self.client(options, **env) as third:
            establish(third, self.server, "HTTP@localhost")
        self.assertEqual(seen.total, 0, dict(seen))

    def test_a_service_whose_clock_is_wrong(self):
        """Its word is taken once a minute."""
        with self.realm.counting() as seen, \
                Peer(self.realm.service_env(KRB5RCACHENAME="none:", **faketime(2 * HOUR))) as wrong:
            client = self.start(0)
            for _ in range(3):
                self.refused(client, wrong, "other@localhost")
        self.assertEqual(dict(seen), {"AS": 1, "TGS": 2}, self.log())

    def test_the_kdcs(self):
        """All of the realm's clocks are set, and ours is not: its KDC says so first, then what it
        gave before is not valid yet."""
        for offset in (2 * HOUR, -2 * HOUR):
            with self.subTest(offset=offset):
                client = self.start(0)
                self.realm.kdc_stop()
                self.realm.clock_offset = offset
                self.realm.kdc_start()
                env = self.realm.service_env(KRB5RCACHENAME="none:", **faketime(offset))
                try:
                    with self.realm.counting() as seen, Peer(env) as server:
                        for target in ("other@localhost", "HTTP@localhost", "other@localhost"):
                            establish(client, server, target)
                finally:
                    self.realm.kdc_stop()
                    self.realm.clock_offset = 0
                    self.realm.kdc_start()
                self.assertEqual(seen["AS"], 1, (dict(seen), self.log()))


@unittest.skipUnless(peers(), "no Heimdal: tests/realm/peers.sh fetches it")
class TestSetWhileItRunsHeimdal(TestSetWhileItRuns):
    KIND = "heimdal"


@unittest.skipUnless(peers(), "no Heimdal: tests/realm/peers.sh fetches it")
class TestWrongClockHeimdal(TestWrongClock):
    KIND = "heimdal"


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", modules=["gssapi"], plugin=True)
