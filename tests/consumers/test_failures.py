#!/usr/bin/python3
"""What a tired administrator reads: each failure answers within its deadline, with one line that
names what failed, with whom, and what to do."""
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                          # noqa: E402
from kdc import peers, write                            # noqa: E402
from peer import KRB5, SPNEGO, GSSFailure, Peer, establish  # noqa: E402
from process import udp_and_tcp                         # noqa: E402
from realm import Realm, faketime                       # noqa: E402

NO_CRED, EXPIRED, FAILURE = 7, 11, 13


class Failing(unittest.TestCase):
    def refused(self, env, *words, target="HTTP@localhost", within=10, mech=None, major=None):
        """The login fails in time, and its text has every word. The text."""
        with Peer(env) as client:
            client.setenv(name="READY", value="yes")    # its start is not what is measured
            start = time.monotonic()
            with self.assertRaises(GSSFailure) as failed:
                client.init(ctx="c", target=target, mech=mech)
            took = time.monotonic() - start
        text = failed.exception.minor_text
        self.assertLess(took, within, text)
        for word in words:
            self.assertIn(word.lower(), text.lower())
        for empty in ("success", "unknown error", "unknown code", "(no text)"):
            self.assertNotIn(empty, text.lower())
        self.assertEqual(len(text.splitlines()), 1, text)
        if major:
            self.assertEqual(failed.exception.major >> 16, major, text)
        return text


class TestLogins(Failing):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.me = "alice@" + cls.realm.name

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def env(self, options, **more):
        return self.realm.env(options=options, **more)

    def user(self, user, more=""):
        return self.env(self.realm.identity("password", user) + " " + more)

    def test_wrong_password(self):
        wrong = self.realm.password_file("wrong", "not it")
        options = f"User={self.me} Password=file:{wrong} KDCHost={self.realm.kdc_host}"
        with self.realm.counting() as seen:
            self.refused(self.env(options), self.me, "password of KERBSIDE_OPTIONS", "file:" + wrong,
                         self.realm.kdc_host, major=NO_CRED)
        self.assertLessEqual(seen.total, 3, "at most two proofs")
        self.refused(self.env(options), self.me, "password", mech=SPNEGO)

    def test_unknown_user(self):
        options = f"User=nobody@{self.realm.name} Password=file:{self.realm.password_file()} " \
            f"KDCHost={self.realm.kdc_host}"
        self.refused(self.env(options), "nobody@" + self.realm.name, self.realm.kdc_host)

    def test_locked(self):
        self.refused(self.user("locked"), "locked@" + self.realm.name, "locked or disabled")

    def test_expired(self):
        self.refused(self.user("expired"), "expired@" + self.realm.name, "expired", major=EXPIRED)

    def test_password_expired(self):
        self.refused(self.user("pwexpired"), "pwexpired@" + self.realm.name, "password has expired",
                     major=EXPIRED)

    def test_unknown_service(self):
        for mech in (KRB5, SPNEGO):
            self.refused(self.user("alice"), "nosuch/localhost", "service", self.realm.kdc_host,
                         target="nosuch@localhost", mech=mech)

    def test_names_that_are_none(self):
        for target in ("HTTP/localhost", "@localhost", "a b/c@x"):
            self.refused(self.user("alice"), f'"{target}" cannot be', "service@host", target=target)

    def test_unknown_service_of_an_option(self):
        self.refused(self.user("alice", "SPN=nosuch/localhost"), "nosuch/localhost", "SPN")

    def test_no_common_enctype(self):
        env = self.user("user-aes256-cts-hmac-sha384-192", "EncryptionTypes=aes128-cts-hmac-sha1-96")
        self.refused(env, "encryption type")

    def test_wrong_realm(self):
        options = f"User=alice@OTHER.TEST Password=file:{self.realm.password_file()} " \
            f"KDCHost={self.realm.kdc_host}"
        self.refused(self.env(options), "OTHER.TEST", self.realm.kdc_host)

    def test_keytab_of_an_old_key(self):
        self.realm.add_principal("rekeyed", "first")
        options = self.realm.identity("keytab", "rekeyed")
        self.realm.kdc.change_password("rekeyed", "second")
        self.refused(self.env(options), "rekeyed@" + self.realm.name, "keytab", self.realm.kdc_host)

    def test_truncated_keytab(self):
        with open(self.realm.path("alice.keytab"), "rb") as whole:
            content = whole.read()
        path = self.realm.path("short.keytab")
        with open(path, "wb") as short:
            short.write(content[:25])
        options = f"User={self.me} KeytabFile={path} KDCHost={self.realm.kdc_host}"
        self.refused(self.env(options), path, "keytab")

    def test_keytab_of_somebody_else(self):
        options = f"User=bob@{self.realm.name} KeytabFile={self.realm.path('alice.keytab')} " \
            f"KDCHost={self.realm.kdc_host}"
        self.refused(self.env(options), "bob@" + self.realm.name, "alice@", "keytab")

    def test_missing_files(self):
        for option in ("KeytabFile=", "Password=file:"):
            path = self.realm.path("not-there")
            self.refused(self.env(f"User={self.me} {option}{path} KDCHost={self.realm.kdc_host}"), path)

    def test_misspelt_option(self):
        text = self.refused(self.env(self.realm.identity() + " UseTPC=True"), "UseTPC", "UseTCP",
                            "KERBSIDE_OPTIONS")
        self.assertNotIn("UseTPC=True", text.replace("UseTPC", "", 1))

    def test_bad_values(self):
        for option, word in (("Timeout=soon", "Timeout"), ("KDCPort=99999", "KDCPort"),
                             ("UseTCP=perhaps", "UseTCP"), ("EncryptionTypes=aes512", "aes512")):
            with self.subTest(option=option):
                self.refused(self.env(self.realm.identity() + " " + option), word)

    def test_misspelt_option_in_the_mech_line(self):
        path = self.realm.mech_config(self.realm.identity() + " Passwrd=x", name="misspelt")
        env = self.realm.env(plugin=False, krb5_conf=self.realm.empty_conf)
        env["GSS_MECH_CONFIG"] = path
        self.refused(env, "Passwrd", "Password", path + ":1")

    def test_password_in_a_readable_file(self):
        line = f"User={self.me} Password=inline-secret KDCHost={self.realm.kdc_host}"
        path = self.realm.mech_config(line, name="readable")
        os.chmod(path, 0o644)
        env = self.realm.env(plugin=False, krb5_conf=self.realm.empty_conf)
        env["GSS_MECH_CONFIG"] = path
        text = self.refused(env, "password", path)
        self.assertNotIn("inline-secret", text)

    def test_where_it_was_written(self):
        """File and line of what is to be corrected, also where the login itself found out."""
        good = f"User = {self.me}\nPassword = file:{self.realm.password_file()}\n" \
            f"KDCHost = {self.realm.kdc_host}\n"
        wrong = self.realm.password_file("wrong", "not it")
        for text, line, words in (
                (good + f"[target *]\nPassword = file:{wrong}\nUser = {self.me}\n", 5, [wrong]),
                (good + "[target *]\nEnabled = False\n", 5, ["Enabled=False"]),
                (good + f"[target *]\nUser = bob@{self.realm.name}\n", 5, ["bob@", "conf:2"]),
                (good + "KDCHost = 127.0.0.1:99999\n", 4, ["KDCHost", "99999"]),
                (good + "SPN = @@\n", 4, ["SPN=@@"]),
                (good + "SPN = nosuch/localhost\n", 4, ["SPN", "nosuch/localhost"]),
                (good + "KeytabFile = /nonexistent\n", 4, ["/nonexistent"]),
                (good + f"[target *]\nUser = bob@{self.realm.name}\n"
                 f"KeytabFile = {self.realm.path('alice.keytab')}\n", 6, ["bob@", "alice@"])):
            with self.subTest(text=text):
                path = write(self.realm.path("where.conf"), text)
                env = self.env(None, krb5_conf=self.realm.empty_conf, KERBSIDE_CONFIG=path)
                self.refused(env, f"{path}:{line}", *words)

    def test_password_without_user(self):
        self.refused(self.env(f"Password=file:{self.realm.password_file()}"), "User")

    def test_no_kdc_known(self):
        options = f"User={self.me} Password=file:{self.realm.password_file()}"
        self.refused(self.env(options), "KDC", self.realm.name)

    def test_a_cache_of_somebody_is_not_taken_instead(self):
        """The platform's cache is bob's and good; a broken alice must not become bob."""
        import subprocess
        cache = "FILE:" + self.realm.path("bob.ccache")
        with open(self.realm.password_file("bob")) as secret:
            subprocess.run(["kinit", "-c", cache, "bob"], stdin=secret, check=True,
                           env=self.realm.env(plugin=False), stdout=subprocess.DEVNULL)
        wrong = self.realm.password_file("wrong", "not it")
        for options in (f"User={self.me} Password=file:{wrong} KDCHost={self.realm.kdc_host}",
                        f"User={self.me} Passwort=file:{wrong}"):
            env = self.env(options, krb5_conf=self.realm.krb5_conf, KRB5CCNAME=cache)
            for mech in (KRB5, SPNEGO):
                self.refused(env, mech=mech)

    def test_service_with_another_key(self):
        """The acceptor's own error comes back in its token."""
        self.realm.add_principal("stale/localhost")
        stale = self.realm.keytab("stale.keytab", "stale/localhost")
        self.realm.kdc.delete("stale/localhost")
        self.realm.add_principal("stale/localhost")
        env = self.realm.env(plugin=False, KRB5_KTNAME="FILE:" + stale)
        with Peer(env) as server, Peer(self.user("alice")) as client:
            mine = client.init(ctx="c", target="stale@localhost")
            with self.assertRaises(GSSFailure):
                server.accept(ctx="c", token=mine["token"])


class TestKDC(Failing):
    def test_stopped(self):
        with Realm() as realm:
            options = realm.identity()
            realm.kdc_stop()
            for more in ("", " UseTCP=True"):
                self.refused(realm.env(options=options + more), realm.kdc_host, "refused")
            realm.kdc_start()
            with Peer(realm.env(options=options)) as client:
                client.init(ctx="c", target="HTTP@localhost")

    def test_stops_during_the_life_of_a_process(self):
        with Realm() as realm, Peer(realm.env(options=realm.identity())) as client:
            client.init(ctx="1", target="HTTP@localhost")
            realm.kdc_stop()
            client.init(ctx="2", target="HTTP@localhost")
            with self.assertRaises(GSSFailure) as failed:
                client.init(ctx="3", target="other@localhost")
            self.assertIn(realm.kdc_host, failed.exception.text)
            realm.kdc_start()
            client.init(ctx="4", target="other@localhost")

    def test_silent(self):
        """Nobody answers: the Timeout option rules."""
        udp, tcp = udp_and_tcp()
        with udp, tcp, Realm() as realm:
            host = "127.0.0.1:%d" % udp.getsockname()[1]
            options = realm.identity().replace(realm.kdc_host, host) + " Timeout=2"
            start = time.monotonic()
            self.refused(realm.env(options=options), host)
            self.assertGreater(time.monotonic() - start, 1.5)

    def test_first_of_two_is_down(self):
        with Realm() as realm:
            options = realm.identity().replace("KDCHost=", "KDCHost=127.0.0.1:9,")
            with Peer(realm.env(options=options)) as client, Peer(realm.service_env()) as server:
                client.setenv(name="READY", value="yes")
                server.setenv(name="READY", value="yes")
                start = time.monotonic()
                establish(client, server, "HTTP@localhost")
                self.assertLess(time.monotonic() - start, 10)

    def test_ten_minutes_ahead(self):
        """KDC and service share a clock that is not ours: it is measured, and the login succeeds. A
        service that does not share it refuses, and says why."""
        if not peers():
            self.skipTest("no libfaketime (make peers)")
        for offset in (600, -600):
            with Realm(clock_offset=offset) as realm:
                there = realm.service_env()
                there.update(faketime(offset))
                for secret in ("password", "keytab"):
                    with self.subTest(offset=offset, secret=secret), Peer(there) as server, \
                            Peer(realm.env(options=realm.identity(secret))) as client:
                        _, theirs = establish(client, server, "HTTP@localhost")
                        self.assertEqual(theirs["name"], "alice@" + realm.name)
                        establish(client, server, "other@localhost", ctx="2")


class TestAcrossPrograms(Failing):
    def test_log_file(self):
        """Many programs drop the minor status: the sentence is in the log."""
        with Realm() as realm:
            log = realm.path("kerbside.log")
            wrong = realm.password_file("wrong", "not it")
            options = realm.identity().replace(realm.path("alice.password"), wrong)
            text = self.refused(realm.env(options=options + f" LogFile={log}"), "alice@" + realm.name)
            with open(log) as lines:
                self.assertIn("alice@" + realm.name, lines.read(), text)

    def test_secrets_are_masked(self):
        with Realm() as realm:
            log, trace = realm.path("all.log"), realm.path("all.trace")
            options = realm.identity() + f" LogLevel=3 LogFile={log} TraceFile={trace}"
            with Peer(realm.env(options=options)) as client, Peer(realm.service_env()) as server:
                establish(client, server, "HTTP@localhost")
            for path in (log, trace):
                with open(path, errors="replace") as lines:
                    self.assertNotIn(realm.passwords["alice"], lines.read())

    def test_disabled(self):
        with Realm() as realm:
            with realm.counting() as seen:
                self.refused(realm.env(options=realm.identity() + " Enabled=False"))
            self.assertEqual(seen.total, 0)


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", modules=["gssapi"], plugin=True)
