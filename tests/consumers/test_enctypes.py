#!/usr/bin/python3
"""Encryption types beyond AES: Camellia beside it, the old ones (RC4, triple and single DES) where they
are named, against MIT's and Heimdal's KDC and the platform's acceptor; what the log says of them; and
that nothing of an old one is used where nobody names it: not a key of a keytab, not a ticket of a
cache."""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                              # noqa: E402
from case import RealmCase                                  # noqa: E402
from kdc import ENCTYPES, write                      # noqa: E402
from peer import DELEG, MUTUAL, GSSFailure, Peer, establish  # noqa: E402
from realm import Principal                          # noqa: E402
from test_python import Messages                            # noqa: E402

KERBSIDE = os.path.join(os.environ.get("KB_BUILDDIR", os.getcwd()), "cli", "kerbside")
NAMES = {"arcfour-hmac": "rc4-hmac", "arcfour-hmac-md5": "rc4-hmac"}
AES256 = "aes256-cts-hmac-sha384-192"


def name(enctype):
    """As we spell it."""
    return NAMES.get(enctype, enctype)


def is_old(enctype):
    return not enctype.startswith(("aes", "camellia"))


class Enctypes(Messages):
    @classmethod
    def prepare(cls):
        both = (ENCTYPES[2], cls.realm.more[-2])
        cls.realm.add(Principal("both", "b", enctypes=both),
                      Principal("both/localhost", enctypes=both, preauth=False))
        cls.realm.keytab("both.keytab", "both")
        cls.realm.keytab("service.keytab", "both/localhost")

    def options(self, more="", secret="password", user="alice"):
        return f"{self.realm.identity(secret, user)} {self.to_log()} {more}"

    def to_log(self):
        return f"LogLevel=1 LogFile={self.log_file()}"

    def log_file(self):
        return self.realm.path("kerbside.log")

    def logged(self):
        """The warnings since the last call."""
        try:
            with open(self.log_file()) as log:
                lines = [line.split("Warning: ", 1)[1].strip() for line in log if "Warning: " in line]
            os.unlink(self.log_file())
        except FileNotFoundError:
            return []
        return lines

    def client(self, options, **env):
        self.logged()
        client = Peer(self.realm.env(options=options, **env))
        self.addCleanup(client.close)
        return client

    def log_in(self, options, target="HTTP@localhost", **more):
        env = {k: more.pop(k) for k in ("krb5_conf",) if k in more}
        client = self.client(options, **env)
        mine, theirs = establish(client, self.server, target, **more)
        return client, mine, theirs

    def fails(self, options, target="HTTP@localhost", **env):
        client = self.client(options, **env)
        with self.assertRaises(GSSFailure) as failure:
            client.init(ctx="c", target=target)
        client.close()
        return failure.exception.minor_text

    def obtained(self, options, target="HTTP@localhost"):
        """What a login obtained."""
        done = subprocess.run([KERBSIDE, "login", "--json", target],
                              env=self.realm.env(options=options), stdout=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        return json.loads(done.stdout)

    def assertWarned(self, lines, *expected):
        """Each of (whose key, enctype) is told, and nothing else is, but what is named."""
        told = [line for line in lines if "is old and weak" in line]
        for key, enctype in expected:
            self.assertTrue(any(line.startswith(f"{key} is of {name(enctype)}, ") for line in told),
                            f"{key}: {lines}")
        self.assertEqual(len(told), len(expected), lines)

    def accepted(self):
        """Those that the platform's acceptor knows."""
        return [e for e in self.realm.more if not e.startswith("des-")]

    # --- each alone ---

    def alone(self, secret):
        for enctype in self.accepted():
            with self.subTest(enctype=enctype):
                user, service = "user-" + enctype, f"{enctype}/localhost@{self.realm.name}"
                with self.realm.counting() as seen:
                    client, _, theirs = self.log_in(
                        self.options(f"EncryptionTypes={enctype}", secret, user), enctype + "@localhost")
                self.assertEqual(theirs["name"], f"{user}@{self.realm.name}")
                self.assertEqual(seen.total, 3 if secret == "password" else 2, dict(seen))
                self.exchange(client, self.server)
                lines = self.logged()
                expected = [("The key of " + theirs["name"], enctype),
                            ("The session key of the TGT for " + self.realm.name, enctype),
                            ("The session key of the ticket for " + service, enctype),
                            ("The key of the messages with " + service, enctype)]
                self.assertWarned(lines, *(expected if is_old(enctype) else []))
                named = [line for line in lines if "allows" in line]
                self.assertEqual(len(named), int(is_old(enctype)), lines)
                client.close()

    def test_alone_by_password(self):
        self.alone("password")

    def test_alone_by_keytab(self):
        self.alone("keytab")

    def test_salted(self):
        """A salt that no client can guess."""
        for enctype in self.accepted():
            user = "salted-" + enctype
            self.realm.add(Principal(user, "b", enctypes=(enctype,), salt="special"))
            _, _, theirs = self.log_in(self.options(f'EncryptionTypes="DEFAULT {enctype}"', user=user))
            self.assertEqual(theirs["name"], f"{user}@{self.realm.name}")

    def test_beside_aes(self):
        """The user's key is old, the session keys are not."""
        for enctype in self.accepted():
            with self.subTest(enctype=enctype):
                user = "user-" + enctype
                client, _, theirs = self.log_in(
                    self.options(f'EncryptionTypes="DEFAULT {enctype}"', user=user))
                self.exchange(client, self.server)
                expected = [("The key of " + theirs["name"], enctype)]
                if self.realm.kind == "heimdal":      # it gives the TGT's session key the user's enctype
                    expected.append(("The session key of the TGT for " + self.realm.name, enctype))
                self.assertWarned(self.logged(), *(expected if is_old(enctype) else []))
                client.close()

    def test_delegation(self):
        """Heimdal's KDC has no old key for the TGT that is forwarded."""
        for enctype in self.accepted():
            types = enctype if self.realm.kind == "mit" else f"{enctype},aes"
            _, _, theirs = self.log_in(
                self.options(f"EncryptionTypes={types}", user="user-" + enctype),
                enctype + "@localhost", flags=DELEG | MUTUAL)
            self.assertTrue(theirs["delegated"], enctype)

    # --- not named ---

    def test_key_not_named(self):
        for enctype in filter(is_old, self.realm.more):
            with self.subTest(enctype=enctype), self.realm.counting() as seen:
                said = self.fails(self.options(user="user-" + enctype))
                self.assertIn("EncryptionTypes", said)
                self.assertEqual(self.logged(), [])
            self.assertLessEqual(seen.total, 1, "it made a proof")

    def test_service_not_named(self):
        for enctype in filter(is_old, self.realm.more):
            with self.subTest(enctype=enctype):
                if self.realm.kind == "mit":      # it takes every service to know AES
                    self.log_in(self.options(), enctype + "@localhost")
                    self.assertEqual(self.logged(), [])
                    continue
                said = self.fails(self.options(), enctype + "@localhost")
                self.assertIn("ETYPE_NOSUPP", said)
                self.assertIn(AES256, said)

    def test_keytab_not_named(self):
        for enctype in filter(is_old, self.realm.more):
            with self.subTest(enctype=enctype), self.realm.counting() as seen:
                said = self.fails(self.options(secret="keytab", user="user-" + enctype))
                self.assertIn(name(enctype), said)
                self.assertIn("EncryptionTypes allows " + AES256, said)
            self.assertEqual(seen.total, 0, "it asked")

    def test_keytab_with_both(self):
        """An old key beside AES ones is not used, and the KDC's are not."""
        _, _, theirs = self.log_in(self.options(secret="keytab", user="both"))
        self.assertEqual(theirs["name"], "both@" + self.realm.name)
        self.assertEqual(self.logged(), [])


class TestMIT(Enctypes, RealmCase):
    REALM = {"kind": "mit", "more_enctypes": True}

    def test_camellia_by_default(self):
        """It is in the list that is asked for where nothing is configured."""
        for enctype in ("camellia256-cts-cmac", "camellia128-cts-cmac"):
            for secret in ("password", "keytab"):
                client, _, theirs = self.log_in(self.options("", secret, "user-" + enctype),
                                                enctype + "@localhost")
                self.exchange(client, self.server)
                client.close()
            told = self.obtained(self.options("", "keytab", "user-" + enctype), enctype + "@localhost")
            self.assertEqual(told["ticket-etype-name"], enctype)
            self.assertEqual(self.logged(), [])

    def test_what_is_obtained(self):
        self.realm.add_principal("mixed/localhost", enctypes=(ENCTYPES[2],), preauth=False)
        self.realm.kdc.session_enctypes("mixed/localhost", ["arcfour-hmac"])
        told = self.obtained(self.options('EncryptionTypes="DEFAULT rc4"', "keytab"), "mixed@localhost")
        self.assertEqual(told["session-etype-name"], "rc4-hmac")
        self.assertEqual(told["ticket-etype-name"], ENCTYPES[2])

    def test_upgrade(self):
        """RFC 4537: the KDC gives an RC4 session key, the acceptor takes AES for the messages."""
        service = f"other/localhost@{self.realm.name}"
        self.realm.kdc.session_enctypes("other/localhost", ["arcfour-hmac"])
        client, _, _ = self.log_in(self.options('EncryptionTypes="DEFAULT rc4"', "keytab"), "other@localhost")
        self.exchange(client, self.server)
        self.assertEqual(client.wrap(ctx="c", message=b"x")["message"][:2], b"\5\4")
        self.assertWarned(self.logged(), ("The session key of the ticket for " + service, "rc4-hmac"))
        # Where RC4 is preferred, AES is not offered.
        options = self.options('EncryptionTypes="rc4 aes"', "keytab", "both")
        client, _, _ = self.log_in(options, "other@localhost")
        self.exchange(client, self.server)
        self.assertNotEqual(client.wrap(ctx="c", message=b"x")["message"][:2], b"\5\4")
        self.assertIn("ETYPE_NOSUPP", self.fails(self.options("", "keytab"), "other@localhost"))

    # --- caches ---

    def kinit(self, enctypes, *services):
        """The platform's own tickets; those of services with an RC4 session key."""
        path = self.realm.path("kinit.conf")
        with open(self.realm.krb5_conf) as base:
            write(path, base.read().replace("[libdefaults]\n", "[libdefaults]\n  permitted_enctypes = "
                                            + enctypes + "\n"), 0o644)
        env = self.realm.env(plugin=False, krb5_conf=path)
        subprocess.run(["kinit", "-kt", self.realm.path("both.keytab"), "both"], env=env, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for service in services:
            subprocess.run(["kvno", "-q", "-e", "arcfour-hmac", service], env=env, check=True)
        self.addCleanup(os.unlink, self.realm.path("ccache"))

    def cache(self):
        return f"CredentialsCacheFile=FILE:{self.realm.path('ccache')} KDCHost={self.realm.kdc_host}"

    def both_ways(self):
        """A service that takes session keys of both."""
        self.realm.kdc.session_enctypes("both/localhost", [ENCTYPES[2], "arcfour-hmac"])
        return "both/localhost"

    def test_cached_tgt(self):
        self.kinit("arcfour-hmac")
        said = self.fails(self.cache())
        self.assertRegex(said, "session key of its TGT is of rc4-hmac, which EncryptionTypes does not")
        self.log_in(f'{self.cache()} {self.to_log()} EncryptionTypes="DEFAULT rc4"')
        self.assertWarned(self.logged(), ("The session key of the TGT for " + self.realm.name, "rc4-hmac"))

    def test_cached_tgt_with_a_secret(self):
        """It is not used, and a new one obtained."""
        self.kinit("arcfour-hmac")
        with self.realm.counting() as seen:
            self.log_in(self.options(self.cache(), "keytab", "both"))
        self.assertEqual((seen["AS"], seen["TGS"]), (1, 1), dict(seen))
        self.assertEqual(self.logged(), [])

    def test_cached_ticket(self):
        self.kinit("aes arcfour-hmac", self.both_ways())
        for tgs in (1, 0):      # the second time there is a better one in it
            with self.realm.counting() as seen:
                client, _, _ = self.log_in(self.cache() + " " + self.to_log(), "both@localhost")
            self.assertEqual((seen["AS"], seen["TGS"]), (0, tgs), dict(seen))
            self.assertEqual(client.wrap(ctx="c", message=b"x")["message"][:2], b"\5\4")
            self.assertEqual(self.logged(), [])

    def test_cached_ticket_that_is_named(self):
        self.kinit("aes arcfour-hmac", self.both_ways())
        with self.realm.counting() as seen:
            self.log_in(f'{self.cache()} {self.to_log()} EncryptionTypes="rc4 aes"', "both@localhost")
        self.assertEqual(seen.total, 0, dict(seen))
        service = f"both/localhost@{self.realm.name}"
        self.assertWarned(self.logged(), ("The session key of the ticket for " + service, "rc4-hmac"),
                          ("The key of the messages with " + service, "rc4-hmac"))

    # --- krb5.conf ---

    def conf(self, text):
        return write(self.realm.path("ours.conf"), text, 0o644)

    def test_krb5_conf(self):
        """A system's crypto policy, by the folder that distributions include."""
        folder = self.realm.path("krb5.conf.d")
        os.makedirs(folder, exist_ok=True)
        conf = self.conf(f"includedir {folder}\n[libdefaults]\n  default_realm = {self.realm.name}\n")

        def policy(*lines):
            write(os.path.join(folder, "crypto-policies"),
                  "[libdefaults]\n" + "".join(line + "\n" for line in lines), 0o644)
        options = self.options(user="user-arcfour-hmac")
        policy("permitted_enctypes = aes256-cts-hmac-sha1-96 aes256-cts-hmac-sha384-192")
        self.assertIn("EncryptionTypes", self.fails(options, krb5_conf=conf))
        policy("permitted_enctypes = aes256-cts-hmac-sha1-96 arcfour-hmac-md5")
        self.log_in(options, krb5_conf=conf)
        lines = self.logged()
        self.assertWarned(lines, (f"The key of user-arcfour-hmac@{self.realm.name}", "rc4-hmac"))
        self.assertTrue(any(line.startswith(folder + "/crypto-policies:2 allows rc4-hmac, ")
                            for line in lines), lines)
        policy("permitted_enctypes = aes256-cts-hmac-sha1-96 arcfour-hmac-md5", "allow_rc4 = false")
        self.assertIn("EncryptionTypes", self.fails(options, krb5_conf=conf))
        policy("default_tkt_enctypes = arcfour-hmac", "permitted_enctypes = aes256-cts-hmac-sha1-96")
        self.log_in(options, krb5_conf=conf)
        self.assertWarned(self.logged(), (f"The key of user-arcfour-hmac@{self.realm.name}", "rc4-hmac"),
                          ("The session key of the TGT for " + self.realm.name, "rc4-hmac"))
        policy("permitted_enctypes = arcfour-hmac", "allow_rc4 = false")
        self.assertRegex(self.fails(options, krb5_conf=conf),
                         r"crypto-policies:2: permitted_enctypes \(arcfour-hmac\) .* allow_rc4 is false")
        self.log_in(options + ' EncryptionTypes="DEFAULT rc4"', krb5_conf=conf)


class TestHeimdal(Enctypes, RealmCase):
    REALM = {"kind": "heimdal", "more_enctypes": True}

    def test_single_des(self):
        """No acceptor of the platform knows it: the ticket is as far as it goes."""
        for enctype in ("des-cbc-md5", "des-cbc-crc"):
            for secret in ("password", "keytab"):
                for types in (enctype, f"DEFAULT {enctype}"):
                    with self.subTest(enctype=enctype, secret=secret, types=types):
                        user = "user-" + enctype
                        told = self.obtained(self.options(f'EncryptionTypes="{types}"', secret, user),
                                          enctype + "@localhost")
                        self.assertEqual(told["session-etype-name"], enctype)
                        self.assertEqual(told["ticket-etype-name"], enctype)


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", "kvno", modules=["gssapi"], plugin=True)
