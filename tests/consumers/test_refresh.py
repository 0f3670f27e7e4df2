#!/usr/bin/python3
"""Tickets are replaced before they end. A service, its KDC and its client live on one clock that the
test moves (libfaketime): hours pass in milliseconds, and what the KDC was asked is counted."""
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                           # noqa: E402
from forest import Forest                # noqa: E402
from kdc import program, write           # noqa: E402
from realm import Principal, Realm, stepped  # noqa: E402
from tap import Tap                      # noqa: E402

STEPS = os.path.join(os.environ.get("KB_BUILDDIR", os.getcwd()), "tests", "consumers", "steps")
HOUR = 3600
DAY = 24 * HOUR


class Clock:
    """A program that makes contexts while time passes."""

    def __init__(self, realm, options, keytab=None, krb5_conf=None, **more):
        self.path = realm.path("clock")
        env = realm.env(options=options, krb5_conf=krb5_conf,
                        KRB5_KTNAME="FILE:" + (keytab or realm.path("service.keytab")))
        env["KRB5RCACHENAME"] = "none:"
        env.update(stepped(self.path), STEPS_CLOCK=self.path, **more)
        self.child = subprocess.Popen([STEPS], env=env, text=True, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)

    def pass_by(self, seconds, every=300, target="HTTP@localhost"):
        """Contexts for so long, one every so many seconds. (failures, least, longest)"""
        self.child.stdin.write(f"{target} {seconds // every if every else 1} {every}\n")
        self.child.stdin.flush()
        said = []
        for line in self.child.stdout:
            if line.startswith("done"):
                failures, least, longest = map(int, line.split()[1:])
                return "".join(said), failures, least, longest
            said.append(line)
        raise AssertionError(f"steps ended: {''.join(said)}")

    def meanwhile(self):
        """A context now."""
        return self.pass_by(0, every=0)

    def close(self):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.wait(timeout=20)


class Refreshed(unittest.TestCase):
    @classmethod
    def put_on_the_clock(cls, *realms):
        """From now on their KDCs are on the test's clock, which nothing turns back."""
        path = realms[0].path("clock")
        write(path, "+0s\n")
        for realm in realms:
            realm.clock = stepped(path)
            realm.kdc_stop()
            realm.kdc_start()

    def start(self, options, **more):
        """With a login, at once."""
        clock = Clock(self.realm, options, **more)
        self.addCleanup(clock.close)
        self.no_failure(clock, 1, every=1)
        return clock

    @property
    def log_path(self):
        return self.realm.path(self.id().split(".")[-1] + ".log")

    def options(self, secret="keytab", user="alice", **more):
        more = {"TicketLife": "10h", "RenewLife": "0", "LogFile": self.log_path, **more}
        return self.realm.identity(secret, user) + "".join(f" {k}={v}" for k, v in more.items())

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def no_failure(self, clock, seconds, every=900, **more):
        said, failures, least, longest = clock.pass_by(seconds, every, **more)
        self.assertEqual((said, failures), ("", 0), self.log())
        return least, longest

    @contextlib.contextmanager
    def kdc_away(self, realm=None):
        realm = realm or self.realm
        realm.kdc_stop()
        try:
            yield
        finally:
            realm.kdc_start()


class TestRefresh(Refreshed):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.addClassCleanup(cls.realm.close)
        cls.put_on_the_clock(cls.realm)

    def retries(self):
        """The seconds until the next try that each failed refresh of the TGT announced."""
        return [int(s) for s in re.findall(r"for krbtgt/.* next try comes in (\d+) s", self.log())]

    # --- obtained anew ---

    def test_nothing_ever_ends(self):
        """Five days with tickets of ten hours: a login every eight, no context with a poor ticket."""
        with self.realm.counting() as seen:
            clock = self.start(self.options())
            least, _ = self.no_failure(clock, 5 * DAY)
        self.assertGreater(least, 10 * HOUR * 0.15 - 900)
        self.assertLess(least, 10 * HOUR * 0.25)
        self.assertIn(seen["AS"], range(14, 18), dict(seen))
        self.assertEqual(seen.total, 2 * seen["AS"], dict(seen))

    def test_a_service_whose_tickets_are_short(self):
        """They are refreshed with the TGT that is there."""
        self.realm.kdc.modify("other/localhost", "-maxlife", "1h")
        clock = self.start(self.options())
        with self.realm.counting() as seen:
            self.no_failure(clock, 7 * HOUR, every=120, target="other@localhost")
        self.assertEqual(seen["AS"], 0, dict(seen))
        self.assertIn(seen["TGS"], range(8, 12), dict(seen))

    def test_forwarded_tgts(self):
        """A service that is handed one gets one that lasts, and a new one once for each TGT."""
        with self.realm.counting() as seen:
            clock = self.start(self.options(), STEPS_DELEGATE="1")
            least, _ = self.no_failure(clock, 3 * DAY)
        self.assertGreater(least, 10 * HOUR * 0.15 - 900)
        self.assertIn(seen["AS"], range(8, 12), dict(seen))
        # When each is due is drawn: the last ones may be yet to come.
        self.assertIn(seen["TGS"], range(2 * seen["AS"] - 2, 2 * seen["AS"] + 1), dict(seen))

    def test_processes_with_one_cache(self):
        """What one of them has refreshed, the others take from there."""
        options = self.options(CredentialsCacheFile=self.realm.path("cc-of-many"))
        with self.realm.counting() as seen:
            first = self.start(options)
            others = [self.start(options) for _ in range(3)]
            for _ in range(3 * 24):
                self.no_failure(first, HOUR, every=HOUR)
                for other in others:
                    said, failures, least, _ = other.meanwhile()
                    self.assertEqual((said, failures), ("", 0), self.log())
                    self.assertGreater(least, HOUR // 2)
        self.assertIn(seen["AS"], range(9, 12), dict(seen))
        self.assertEqual(seen.total, 2 * seen["AS"], dict(seen))

    # --- renewed ---

    def test_renewable_tickets_are_renewed(self):
        """While that gives ten hours more; then there is a login."""
        with self.realm.counting() as seen:
            clock = self.start(self.options(RenewLife="2d"))
            self.no_failure(clock, 4 * DAY)
        self.assertIn(seen["AS"], (2, 3), dict(seen))
        renewals = self.log().count("renewed by 127.0.0.1")
        self.assertIn(renewals, range(7, 12), self.log())
        self.assertIn(seen["TGS"], range(2 * renewals, 2 * renewals + 6), dict(seen))

    def kinit(self, cache, *words):
        env = self.realm.env(plugin=False, **stepped(self.realm.path("clock")))
        subprocess.run([program("kinit"), "-c", cache, *words, "alice"], env=env, check=True,
                       input="correct horse battery\n", text=True, stdout=subprocess.DEVNULL)

    def tickets(self, cache):
        env = self.realm.env(plugin=False, LC_ALL="C", TZ="UTC",
                             **stepped(self.realm.path("clock")))
        return subprocess.run([program("klist"), "-c", cache], env=env, check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    def test_a_cache_keeps_itself_alive(self):
        """Without any secret, for as long as its TGT may be renewed."""
        cache = self.realm.path("cc")
        self.kinit(cache, "-l", "10h", "-r", "30h")
        before = self.tickets(cache)
        options = f"CredentialsCacheFile={cache} KDCHost={self.realm.kdc_host} " \
                  f"LogFile={self.log_path}"
        clock = self.start(options)
        with self.realm.counting() as seen:
            self.no_failure(clock, 29 * HOUR + HOUR // 2)
        self.assertEqual(seen["AS"], 0, dict(seen))
        after = self.tickets(cache)
        self.assertNotEqual(before, after)
        self.assertIn("renew until", after)
        self.assertIn("HTTP/localhost", after)
        said, failures, _, _ = clock.pass_by(3 * HOUR, 900)
        self.assertGreater(failures, 0)
        self.assertIn("no password or keytab to renew them", said)
        # By then a login, as a person does it, helps.
        self.kinit(cache, "-l", "10h")
        self.no_failure(clock, HOUR)

    def test_a_refused_renewal_is_a_login(self):
        clock = self.start(self.options(RenewLife="2d"))
        self.realm.kdc.modify(f"krbtgt/{self.realm.name}", "-allow_renewable")
        try:
            with self.realm.counting() as seen:
                self.no_failure(clock, 10 * HOUR)
        finally:
            self.realm.kdc.modify(f"krbtgt/{self.realm.name}", "+allow_renewable")
        self.assertEqual((seen["AS"], seen["TGS-ERROR"]), (1, 1), (dict(seen), self.log()))
        self.assertNotIn("could not be refreshed", self.log())

    # --- in vain ---

    def test_an_outage(self):
        """The old ticket serves while the KDC is away; it is asked again after 30 s, 60 s, ..."""
        clock = self.start(self.options())
        self.no_failure(clock, 7 * HOUR)
        with self.kdc_away():
            self.no_failure(clock, 2 * HOUR + HOUR // 2, every=30)
        tries = self.retries()
        self.assertEqual(tries[:6], [30, 60, 120, 240, 480, 600], self.log())
        self.assertEqual(set(tries[6:]), {600})
        self.assertIn("could not be refreshed", self.log())
        with self.realm.counting() as seen:
            self.no_failure(clock, 11 * 60, every=60)
        self.assertEqual((seen["AS"], seen["TGS"]), (1, 1), dict(seen))

    def test_an_outage_to_the_end(self):
        """Then contexts fail, and go on when the KDC is back."""
        clock = self.start(self.options())
        self.no_failure(clock, 7 * HOUR)
        with self.kdc_away():
            self.no_failure(clock, 3 * HOUR - 120, every=120)
            said, failures, _, _ = clock.pass_by(300, 60)
        self.assertIn(failures, (4, 5), said)
        self.no_failure(clock, HOUR)

    def test_a_silent_kdc(self):
        """Who notices waits for a second, and nobody else does."""
        clock = self.start(self.options())
        self.no_failure(clock, 7 * HOUR)
        os.kill(self.realm.child.process.pid, signal.SIGSTOP)
        try:
            _, longest = self.no_failure(clock, HOUR + 45 * 60, every=900)
        finally:
            os.kill(self.realm.child.process.pid, signal.SIGCONT)
        self.assertIn(longest, range(900, 2500))
        self.no_failure(clock, HOUR)

    def test_a_kdc_that_is_far_away(self):
        """A second would not do for the two round trips that a refresh takes."""
        def late(reply):
            time.sleep(0.55)
            return reply
        with Tap(self.realm.port, edit=late) as tap:
            options = self.options().replace(self.realm.kdc_host, tap.kdc_host)
            clock = self.start(options)
            with self.realm.counting() as seen:
                self.no_failure(clock, 9 * HOUR)
        self.assertEqual((seen["AS"], seen["TGS"]), (1, 1), (dict(seen), self.log()))
        self.assertNotIn("could not be refreshed", self.log())

    def test_a_refused_password(self):
        """It was changed. That is said once; the tickets serve to their end."""
        clock = self.start(self.options("password", "bob"))
        self.no_failure(clock, 7 * HOUR)
        self.realm.kdc.change_password("bob", "another one")
        with self.realm.counting() as seen:
            self.no_failure(clock, 3 * HOUR - 120, every=120)
        # One proof, and what a pause of 15 minutes lets through.
        self.assertIn(seen["AS-ERROR"], range(1, 2 + 2 * 60 // 15 + 1), dict(seen))
        said, failures, _, _ = clock.pass_by(300, 60)
        self.assertGreater(failures, 0)
        self.assertIn("password", said)

    # --- for a long time ---

    def test_months(self):
        """Two months in the life of a service, a context every half hour, the KDC away now and then
        for less than a fifth of a ticket's life."""
        clock = self.start(self.options())
        with self.realm.counting() as seen:
            for day in range(60):
                self.no_failure(clock, 20 * HOUR + day % 5 * HOUR // 2, every=1800)
                if day % 3 == 0:
                    with self.kdc_away():
                        self.no_failure(clock, HOUR + HOUR // 2, every=1800)
                self.no_failure(clock, 2 * HOUR, every=1800)
        self.assertLess(seen["AS"], 60 * 24 // 8 + 20, dict(seen))


class TestAnotherRealm(Refreshed):
    """A service of a realm to which another leads."""

    @classmethod
    def setUpClass(cls):
        home, hub, there = "A.TEST", "TEST", "B.TEST"
        cls.forest = Forest({home: {}, hub: {}, there: {}}, [(home, hub), (hub, there)])
        cls.addClassCleanup(cls.forest.__exit__)
        cls.forest.__enter__()
        cls.realm, cls.there = cls.forest[home], cls.forest[there]
        cls.realm.add(Principal("alice", "correct horse battery"))
        cls.there.add(*(Principal(f"{name}/localhost") for name in ("HTTP", "other", "third")))
        cls.put_on_the_clock(*cls.forest.realms.values())
        cls.more = {
            "keytab": cls.there.keytab("service.keytab", "HTTP/localhost", "other/localhost",
                                       "third/localhost"),
            "krb5_conf": cls.forest.krb5_conf("clock", [("localhost", there)])}

    def test_months(self):
        """A context every two hours for two months: none fails, and none has a poor ticket."""
        clock = self.start(self.options(), **self.more)
        with self.forest.counting() as seen:
            least, longest = self.no_failure(clock, 60 * DAY, every=2 * HOUR)
        self.assertGreater(least, 0)
        self.assertLess(longest, 5000)
        for realm in self.forest.realms:
            self.assertIn(seen[realm]["TGS"], range(150, 400), seen)

    def test_the_way_is_refreshed(self):
        """By who comes that way shortly before it ends. Then the realms on it may be away."""
        clock = self.start(self.options(), **self.more)
        clock.pass_by(8 * HOUR + 45 * 60, 8 * HOUR + 45 * 60, target="other@localhost")
        with contextlib.ExitStack() as away:
            for realm in self.realm, self.forest["TEST"]:
                away.enter_context(self.kdc_away(realm))
            self.no_failure(clock, 5 * HOUR, every=5 * HOUR, target="third@localhost")


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", STEPS, plugin=True)
