#!/usr/bin/python3
"""Tickets are replaced before they end. A service, its KDC and its client live on one clock that the
test moves (libfaketime): hours pass in milliseconds, and what the KDC was asked is counted."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                           # noqa: E402
from kdc import program, write           # noqa: E402
from process import Failed               # noqa: E402
from realm import Realm, faketime, stepped   # noqa: E402

STEPS = os.path.join(os.environ.get("KB_BUILDDIR", os.getcwd()), "tests", "consumers", "steps")
HOUR = 3600
DAY = 24 * HOUR


class Clock:
    """A program that makes contexts while time passes."""

    def __init__(self, realm, options, **extra):
        self.path = realm.path("clock")
        env = realm.env(options=options, KRB5_KTNAME="FILE:" + realm.path("service.keytab"), **extra)
        env["KRB5RCACHENAME"] = "none:"
        env.update(stepped(self.path), STEPS_CLOCK=self.path)
        self.child = subprocess.Popen([STEPS], env=env, text=True, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)

    def pass_by(self, seconds, every=300, target="HTTP@localhost"):
        """Contexts for so long, one every so many seconds. (failures, least, longest)"""
        self.child.stdin.write(f"{target} {seconds // every} {every}\n")
        self.child.stdin.flush()
        said = []
        for line in self.child.stdout:
            if line.startswith("done"):
                failures, least, longest = map(int, line.split()[1:])
                return "".join(said), failures, least, longest
            said.append(line)
        raise AssertionError(f"steps ended: {''.join(said)}")

    def close(self):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.wait(timeout=20)


class TestRefresh(unittest.TestCase):
    def setUp(self):
        self.realm = Realm()
        self.realm.clock = {}
        self.realm.__enter__()
        self.addCleanup(self.realm.close)
        self.move_kdc()

    def move_kdc(self):
        """From now on the KDC is on the test's clock."""
        write(self.realm.path("clock"), "+0s\n")
        self.realm.clock = stepped(self.realm.path("clock"))
        self.realm.kdc_stop()
        self.realm.kdc_start()

    def start(self, options, **extra):
        clock = Clock(self.realm, options, **extra)
        self.addCleanup(clock.close)
        return clock

    def log_options(self, name="log"):
        return f" LogFile={self.realm.path(name)}"

    def log(self, name="log"):
        try:
            with open(self.realm.path(name), encoding="utf-8") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def test_nothing_ever_ends(self):
        clock = self.start(self.realm.identity("keytab") + " TicketLife=10h RenewLife=0")
        with self.realm.counting() as seen:
            said, failures, least, _ = clock.pass_by(10 * DAY)
        print(said, failures, least, dict(seen))


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", STEPS, plugin=True)
