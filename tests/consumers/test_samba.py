#!/usr/bin/python3
"""Active Directory's ways, of Samba's domain controller: its names of users and services, what it
counts of wrong passwords, another clock; and Samba's own programs beside our cache files."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                              # noqa: E402
import netns                                                # noqa: E402
import samba                                                # noqa: E402
from kdc import peers, program                              # noqa: E402
from peer import GSSFailure, Peer, establish                # noqa: E402
from realm import Principal, Realm, faketime                # noqa: E402

REALM, SERVICE = "AD.TEST", "HTTP@www.ad.test"
HOSTS = "127.0.0.1 dc1.ad.test dc1 www.ad.test\n"


def setUpModule():
    global AD
    AD = Realm("samba", REALM, standard=False)
    unittest.addModuleCleanup(AD.close)
    AD.__enter__()
    AD.add(Principal("alice", "Correct.horse.1"), Principal("carol", "Correct.horse.2"),
           Principal("www", "Service.pass.1"))
    AD.kdc.tool("spn", "add", "HTTP/www.ad.test", "www")
    AD.kdc.tool("spn", "add", "ldap/dc1.ad.test", "DC1$")
    AD.kdc.tool("domain", "passwordsettings", "set", "--account-lockout-threshold=5")
    AD.keytab("service.keytab", "HTTP/www.ad.test", "DC1$")


class Case(unittest.TestCase):
    def setUp(self):
        self.cache = AD.path("cc." + self.id().rsplit(".", 1)[1])

    def options(self, user=f"alice@{REALM}", secret=None, more=""):
        secret = secret or f"Password=file:{AD.password_file('alice')}"
        return f"User={user} {secret} KDCHost={AD.kdc_host} DNSCanonicalize=False {more}"

    def client(self, *options, clock=None, **more):
        env = AD.env(options=self.options(*options, **more), krb5_conf=AD.krb5_conf)
        client = Peer(dict(env, **(clock or {})))
        self.addCleanup(client.close)
        return client

    def service(self):
        service = Peer(AD.service_env())
        self.addCleanup(service.close)
        return service

    def log_in(self, *options, target=SERVICE, **more):
        """Whom the service sees."""
        return establish(self.client(*options, **more), self.service(), target)[1]["name"]


class TestLogins(Case):
    def test_password(self):
        self.assertEqual(self.log_in(), f"alice@{REALM}")

    def test_keytab(self):
        keytab = AD.keytab("alice.keytab", "alice")
        self.assertEqual(self.log_in(secret=f"KeytabFile={keytab}"), f"alice@{REALM}")

    def test_names_of_a_user(self):
        for user, more in ((f"alice@{samba.Samba.domain}", "Canonicalize=True"),
                           ("ALICE@ad.test", "Canonicalize=True"),
                           ("alice@ad.test", "NameType=enterprise"),
                           (f"alice@ad.test@{REALM}", "NameType=enterprise")):
            with self.subTest(user=user):
                client = self.client(user, more=more)
                theirs = establish(client, self.service(), SERVICE)[1]
                self.assertEqual(theirs["name"], f"alice@{REALM}")
                self.assertEqual(client.inquire(ctx="c")["initiator"], f"alice@{REALM}")

    def test_another_spelling(self):
        """Its own spelling comes back, asked for or not."""
        for user in (f"alice@{samba.Samba.domain}", "alice@ad.test"):
            with self.subTest(user=user), self.assertRaises(GSSFailure) as failed:
                self.client(user).init(ctx="c", target=SERVICE)
            self.assertIn("Canonicalize=True", failed.exception.text)

    def test_names_of_a_service(self):
        """HOST stands for CIFS and others, and short names are registered beside long ones."""
        for target in ("host@dc1", "host@dc1.ad.test", "cifs@dc1", "cifs@dc1.ad.test"):
            with self.subTest(target=target):
                self.assertEqual(self.log_in(target=target), f"alice@{REALM}")

    def test_unknown_ones(self):
        with self.assertRaises(GSSFailure) as failed:
            self.log_in(target="HTTP@nowhere.ad.test")
        self.assertIn("does not know this service", failed.exception.text)
        with self.assertRaises(GSSFailure) as failed:
            self.log_in(f"mallory@{REALM}")
        self.assertIn(f"mallory@{REALM}", failed.exception.text)

    def test_another_clock(self):
        if not peers():
            self.skipTest("no libfaketime (make peers)")
        for seconds in (600, -36000):
            self.assertEqual(self.log_in(clock=faketime(seconds)), f"alice@{REALM}")


class TestWrongPassword(Case):
    def counted(self):
        return int(AD.kdc.attribute("carol", "badPwdCount") or 0)

    def test_counted_once(self):
        """By the threads of a process, and by processes that share a cache."""
        wrong = f"Password=file:{AD.password_file('wrong', 'not this one')}"
        for _ in range(3):
            client = self.client(f"carol@{REALM}", wrong, f"CredentialsCacheFile={self.cache}")
            said = client.init_in_threads(target=SERVICE, threads=4)["errors"]
            self.assertEqual(len(said), 4)
            self.assertIn("refused the password", said[0])
            self.assertEqual(self.counted(), 1)
        right = f"Password=file:{AD.password_file('carol')}"
        self.assertEqual(self.log_in(f"carol@{REALM}", right), f"carol@{REALM}")
        self.assertEqual(self.counted(), 0)


class TestItsPrograms(Case):
    """Samba brings a Kerberos library of its own, a fork of Heimdal's."""

    def setUp(self):
        super().setUp()
        self.env = dict(AD.env(plugin=False), KRB5CCNAME="FILE:" + self.cache)

    def run_tool(self, *argv):
        if not program(argv[0]):
            self.skipTest("no " + argv[0])
        done = subprocess.run([*argv, "--configfile=" + AD.path("smb.conf")], env=self.env,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_it_reads_what_we_write(self):
        self.client(more=f"CredentialsCacheFile={self.cache}").init(ctx="c", target="ldap@dc1.ad.test")
        AD.child.wait_for_tcp(389)
        with AD.counting() as seen:
            found = self.run_tool("ldbsearch", "-H", "ldap://dc1.ad.test", "-s", "base", "-b",
                                  "CN=alice,CN=Users,DC=ad,DC=test", "--use-kerberos=required",
                                  "--use-krb5-ccache=FILE:" + self.cache, "sAMAccountName")
        self.assertIn("sAMAccountName: alice", found)
        self.assertNotIn("AS", seen)

    def test_we_read_what_it_writes(self):
        self.run_tool("net", "ads", "kerberos", "kinit", "-U", "alice%Correct.horse.1")
        options = f"CredentialsCacheFile={self.cache} KDCHost={AD.kdc_host} DNSCanonicalize=False"
        with AD.counting() as seen, Peer(AD.env(options=options, krb5_conf=AD.krb5_conf)) as client:
            self.assertEqual(establish(client, self.service(), SERVICE)[1]["name"], f"alice@{REALM}")
        self.assertNotIn("AS", seen)
        self.assertIn("TGS", seen)
        # And it goes on with the cache that we wrote into.
        AD.child.wait_for_tcp(389)
        self.assertIn("sAMAccountName: alice", self.run_tool(
            "ldbsearch", "-H", "ldap://dc1.ad.test", "-s", "base", "-b",
            "CN=alice,CN=Users,DC=ad,DC=test", "--use-kerberos=required",
            "--use-krb5-ccache=FILE:" + self.cache, "sAMAccountName"))


if __name__ == "__main__":
    if samba.missing():
        print("SKIPPED, missing: " + samba.missing())
        sys.exit(harness.SKIPPED)
    try:
        netns.enter(HOSTS)
    except netns.Unavailable as reason:
        print(f"SKIPPED, no network of our own: {reason}")
        sys.exit(harness.SKIPPED)
    harness.main("ip", modules=("gssapi",), plugin=True)
