"""A realm, and in it a service that takes what clients bring: what many tests begin with."""
import unittest

from kdc import heimdal_program, peers
from peer import Peer, establish
from realm import Realm


class RealmCase(unittest.TestCase):
    """self.realm and self.server are the class's. tool(), where a test has one, runs a program of the
    platform's, without our plugin."""
    REALM = {}      # what Realm takes

    @classmethod
    def setUpClass(cls):
        if (cls.REALM.get("kind") == "heimdal" or "clock_offset" in cls.REALM) and not peers():
            raise unittest.SkipTest("no Heimdal and no libfaketime (make peers)")
        cls.realm = Realm(**cls.REALM)
        cls.realm.__enter__()
        cls.prepare()
        cls.server = Peer(cls.realm.service_env())

    @classmethod
    def prepare(cls):
        """What the realm has, beside what all have."""

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.realm.close()

    def login(self, client, target="HTTP@localhost", requests=None, **more):
        """Whom the service sees. requests: so many must have reached the KDC for it."""
        with self.realm.counting() as seen:
            _, theirs = establish(client, self.server, target, **more)
        if requests is not None:
            self.assertEqual(seen.total, requests, dict(seen))
        return theirs["name"]

    def heimdal(self, name, *argv, **more):
        """One of Heimdal's programs, by tool()."""
        path, env = heimdal_program(name)
        return self.tool(path, *argv, **env, **more)
