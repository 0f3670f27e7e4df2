#!/usr/bin/python3
"""Keytabs that MIT's and Heimdal's tools write, change and replace while a program runs: whom they log
in, with which key, how often a KDC has to refuse one, and what is said then."""
import os
import shutil
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                          # noqa: E402
from peer import KRB5, GSSFailure, Peer, establish      # noqa: E402
from process import Failed, run                         # noqa: E402
from realm import Realm                                 # noqa: E402
from tap import Request, Tap                            # noqa: E402

TARGET = "HTTP@localhost"
EACH_TIME = "MinLifetime=40m"   # the KDC gives 30 minutes, so every call logs in
AES128_SHA1 = 17
REFUSED = 24                    # KDC_ERR_PREAUTH_FAILED


def records(content):
    """Those of a keytab of version 2, each with its length; holes are left out."""
    at = 2
    while at < len(content):
        size = int.from_bytes(content[at:at + 4], "big", signed=True)
        if size > 0:
            yield content[at:at + 4 + size]
        at += 4 + abs(size)


def etype_of(record):
    at = 6
    for _ in range(1 + int.from_bytes(record[4:6], "big")):     # the realm, and the name's parts
        at += 2 + int.from_bytes(record[at:at + 2], "big")
    return int.from_bytes(record[at + 9:at + 11], "big")


class WithRealm(unittest.TestCase):
    kind = "mit"

    @classmethod
    def setUpClass(cls):
        try:
            cls.realm = Realm(cls.kind)
        except Failed as failure:
            raise unittest.SkipTest(str(failure))
        cls.realm.__enter__()
        cls.server = Peer(cls.realm.service_env())
        cls.number = 0

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.realm.close()

    def setUp(self):
        type(self).number += 1
        self.user = self.realm.add_principal(f"user{self.number}", "first")
        self.me = f"{self.user}@{self.realm.name}"
        self.realm.kdc.limit(self.user, 30)
        self.keytab = self.realm.keytab(self.user + ".keytab", self.user)
        self.mark = len(self.realm.log())
        self.meanwhile = None   # what is done before the next proof comes to the KDC
        self.tap = Tap(self.realm.port, before=self.before)
        self.addCleanup(self.tap.close)

    def before(self, message):
        if self.meanwhile and Request(message).proof:
            todo, self.meanwhile = self.meanwhile, None
            todo()

    def options(self, more="", user=True, keytab=None):
        return (f"User={self.me} " if user else "") + \
            f"KeytabFile={keytab or self.keytab} KDCHost={self.tap.kdc_host} {more}"

    def client(self, options=None, **kw):
        client = Peer(self.realm.env(options=options or self.options(), **kw))
        self.addCleanup(client.close)
        return client

    def login(self, client, **kw):
        return establish(client, self.server, TARGET, **kw)[1]["name"]

    def refused(self, client, *words, ctx="c", **kw):
        with self.assertRaises(GSSFailure) as failed:
            client.init(ctx=ctx, target=TARGET, **kw)
        for word in words:
            self.assertIn(word, failed.exception.minor_text)
        return failed.exception.minor_text

    def proofs(self):
        return sum(r.proof for r in self.tap.requests)

    def refusals(self):
        """As the KDC has counted them in this test."""
        return self.realm.kdc.refused_proofs(self.realm.log()[self.mark:])

    def last_asked_for(self):
        return [r.etypes for r in self.tap.requests if r.kind == "AS"][-1]

    def asked(self):
        return [r.kind for r in self.tap.requests]

    def rekey(self):
        self.realm.kdc.rekey(self.keytab, self.user)

    def new_file(self):
        """The user's present keys in a file of their own."""
        path = self.keytab + ".new"
        if os.path.exists(path):
            os.unlink(path)
        self.realm.kdc.export(path, [self.user])
        return path

    # --- ways to bring a new key ---

    def added(self):
        self.rekey()

    def renamed(self):
        self.realm.kdc.random_key(self.user)
        os.rename(self.new_file(), self.keytab)

    def copied(self):
        self.realm.kdc.random_key(self.user)
        shutil.copyfile(self.new_file(), self.keytab)

    def made_anew(self):
        os.unlink(self.keytab)
        self.rekey()


class Keytabs:
    """What holds with every KDC."""

    def test_rotated_while_a_program_runs(self):
        """Its logins follow each other closely, and none fails."""
        client = self.client(self.options(EACH_TIME))
        failures, ways, over = [], [self.added, self.renamed, self.copied, self.made_anew], False

        def rotate():
            try:
                for way in ways:
                    way()
                    time.sleep(0.1)
            except Exception as failure:    # told by the test
                failures.append(failure)
        thread = threading.Thread(target=rotate)
        thread.start()
        logins = 0
        while not over:
            over = not thread.is_alive()    # and one login more
            self.assertEqual(self.login(client), self.me)
            logins += 1
        thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(logins, len(ways))
        # Each key is refused once, at most.
        self.assertLessEqual(self.refusals(), len(ways))
        self.assertEqual(self.proofs(), logins + self.refusals())

    def test_a_new_key_between_reading_and_use(self):
        client = self.client()
        self.meanwhile = self.rekey
        self.assertEqual(self.login(client), self.me)
        self.assertEqual((self.proofs(), self.refusals()), (2, 1))
        asked = len(self.tap.messages)
        self.assertEqual(self.login(client), self.me)
        self.assertEqual(self.asked()[asked:], [])

    def test_the_file_comes_after_the_kdc(self):
        """Who changes a key changes it at the KDC first."""
        client = self.client()

        def rotate():
            self.realm.kdc.random_key(self.user)
            path = self.new_file()
            threading.Timer(0.2, lambda: os.rename(path, self.keytab)).start()
        self.meanwhile = rotate
        self.assertEqual(self.login(client), self.me)
        self.assertEqual(self.proofs(), 2)

    def test_a_new_key_that_is_refused_too(self):
        client = self.client()

        def rotate():
            self.rekey()
            self.realm.kdc.random_key(self.user)
        self.meanwhile = rotate
        self.refused(client, self.me, self.keytab, "refuses the new one too", "kvno 2")
        self.assertEqual(self.proofs(), 2)
        for i in range(5):
            self.refused(client, self.me, "BadSecretPause", ctx=str(i))
        self.assertEqual((self.proofs(), self.refusals()), (2, 2))
        os.rename(self.new_file(), self.keytab)
        self.assertEqual(self.login(client), self.me)
        self.assertEqual(self.proofs(), 3)

    def test_older_than_the_kdc(self):
        """Both sides are shown, one proof is all that it costs, and a new keytab ends the pause."""
        self.realm.kdc.random_key(self.user)
        client = self.client()
        text = self.refused(client, self.me, "keytab " + self.keytab, self.tap.kdc_host[4:],
                            f"({REFUSED})", "the keytab has kvno 1 (" + time.strftime("%Y-%m-", time.gmtime()),
                            "aes128-cts-hmac-sha256-128", "the KDC has aes256-cts-hmac-sha384-192",
                            "looked at again, and has no other key", "export it again")
        self.assertNotIn("BadSecretPause", text)
        self.assertEqual(self.proofs(), 1)
        for i in range(5):
            self.refused(client, self.me, "BadSecretPause", "another key", ctx=str(i))
        self.assertEqual((self.proofs(), self.refusals()), (1, 1))
        os.rename(self.new_file(), self.keytab)
        self.assertEqual(self.login(client), self.me)
        self.assertEqual(self.proofs(), 2)

    def test_no_preauthentication(self):
        """No proof is made: the reply is what does not fit the keytab, and tells its kvno."""
        name = self.realm.add_principal(f"easy{self.number}", "first", preauth=False)
        keytab = self.realm.keytab(name + ".keytab", name)
        self.realm.kdc.random_key(name)
        # Of several KDCs none is known to be alive: it is asked without a proof first.
        client = self.client(f"KeytabFile={keytab} KDCHost={self.tap.kdc_host},{self.realm.kdc_host}")
        self.refused(client, name + "@", "does not decrypt", "the keytab has kvno 1", "looked at again")
        self.realm.kdc.rekey(keytab, name)
        self.assertEqual(self.login(client), f"{name}@{self.realm.name}")

    def test_of_a_credential(self):
        """client_keytab of a credential that the program keeps."""
        client = self.client(self.realm.identity(user="alice"))
        client.acquire(cred="mine", name=self.me, mechs=[KRB5], store={
            "client_keytab": self.keytab, "KDCHost": self.tap.kdc_host, "MinLifetime": "40m"})
        for way in (self.added, self.renamed, self.copied, self.made_anew):
            with self.subTest(way=way.__name__):
                before = self.proofs()
                self.assertEqual(self.login(client, cred="mine"), self.me)
                self.assertEqual(self.proofs() - before, 1)
                way()
        before = self.proofs()
        self.assertEqual(self.login(client, cred="mine"), self.me)
        self.assertEqual(self.proofs() - before, 1)

    def test_unknown_to_the_kdc(self):
        """Who else is in the keytab may be meant: computers' keytabs begin with services' names."""
        self.realm.kdc.export(self.keytab, ["bob", "alice"])
        self.realm.kdc.delete(self.user)
        self.refused(self.client(self.options(user=False)), self.me, "bob@" + self.realm.name,
                     "alice@" + self.realm.name, "User chooses")


class TestMIT(Keytabs, WithRealm):
    # With one KDC, since it is not its business.

    def test_threads(self):
        """Many that log in at once do not fail, and cost the KDC one refused proof."""
        client = self.client()
        self.meanwhile = self.rekey
        self.assertEqual(client.init_in_threads(target=TARGET, threads=16)["errors"], [])
        # Who comes when the file is there, but its first login is not over, logs in with it himself.
        self.assertIn(self.proofs(), (2, 3))
        self.assertEqual(self.refusals(), 1)
        before = self.proofs()
        self.realm.kdc.random_key(self.user)
        client = self.client()
        errors = client.init_in_threads(target=TARGET, threads=16)["errors"]
        self.assertEqual(len(errors), 16)
        self.assertIn("the keytab has kvno 2", errors[0])
        self.assertEqual((self.proofs() - before, self.refusals()), (1, 2))

    def test_caches(self):
        """What the new key brought is in the cache for the next process, whether the old one began that
        or not."""
        place = self.realm.path(f"run{self.number}")
        os.mkdir(place, 0o700)
        for number, cache in enumerate((f"FILE:{self.keytab}.cc", "auto")):
            with self.subTest(cache=cache):
                options = self.options("CredentialsCacheFile=" + cache)
                if number == 1:
                    self.assertEqual(self.login(self.client(options, XDG_RUNTIME_DIR=place)), self.me)
                    self.realm.kdc.random_key(self.user)
                    os.rename(self.new_file(), self.keytab)     # the cache is another secret's now
                self.meanwhile = self.rekey
                before = self.proofs()
                self.assertEqual(self.login(self.client(options, XDG_RUNTIME_DIR=place)), self.me)
                self.assertEqual(self.proofs() - before, 2)
                asked = len(self.tap.messages)
                self.assertEqual(self.login(self.client(options, XDG_RUNTIME_DIR=place)), self.me)
                self.assertEqual(len(self.tap.messages), asked)

    def test_written_again(self):
        """The same keys in another file, and somebody else's beside them: no reason to log in."""
        client = self.client()
        self.assertEqual(self.login(client), self.me)
        asked = len(self.tap.messages)
        self.realm.kdc.export(self.keytab, ["bob"])
        self.assertEqual(self.login(client), self.me)
        shutil.copyfile(self.keytab, self.keytab + ".same")
        os.rename(self.keytab + ".same", self.keytab)
        self.assertEqual(self.login(client), self.me)
        self.assertEqual(len(self.tap.messages), asked)

    def test_half_written(self):
        """What is wrong with a file that was written just now may be right in a moment."""
        with open(self.keytab, "rb") as whole:
            content = whole.read()
        for half in (b"", content[:1], content[:2], content[:len(content) - 3]):
            with self.subTest(half=len(half)):
                client = self.client()
                with open(self.keytab, "wb") as out:
                    out.write(half)

                def finish():
                    with open(self.keytab, "wb") as out:
                        out.write(content)
                timer = threading.Timer(0.2, finish)
                timer.start()
                self.assertEqual(self.login(client), self.me)
                timer.join()

    def test_stays_half_written(self):
        with open(self.keytab, "rb+") as out:
            out.truncate(25)
        start = time.monotonic()
        self.refused(self.client(), self.keytab, "cut short")
        self.assertLess(time.monotonic() - start, 10)

    def test_first_entry(self):
        """Without User, the first; and who else the program names."""
        self.realm.kdc.export(self.keytab, ["bob"])
        client = self.client(self.options(user=False))
        self.assertEqual(self.login(client), self.me)
        client.acquire(cred="bob", name="bob@" + self.realm.name, mechs=[KRB5])
        self.assertEqual(self.login(client, cred="bob"), "bob@" + self.realm.name)

    def test_types_of_names(self):
        self.assertEqual(self.login(self.client(self.options(keytab="WRFILE:" + self.keytab))), self.me)
        self.assertEqual(self.login(self.client(self.options(keytab="FILE:" + self.keytab))), self.me)
        self.refused(self.client(self.options(keytab="MEMORY:x")), "MEMORY:", "libkrb5")
        self.refused(self.client(self.options(keytab="ANY:FILE:" + self.keytab)), "ANY:", "FILE:")

    # With its tools.

    def test_old_keys_are_kept(self):
        """The KDC goes on with the old ones beside the new one."""
        client = self.client(self.options(EACH_TIME))
        self.assertEqual(self.login(client), self.me)
        self.realm.kdc.rekey(self.keytab, self.user, "-keepold")
        self.assertEqual(self.login(client), self.me)
        self.realm.kdc._admin(f"ktrem -q -k {self.keytab} {self.user} old")
        self.assertEqual(self.login(client), self.me)
        self.assertEqual(self.proofs(), 3)

    def test_fewer_enctypes(self):
        """Of a new key with fewer enctypes the keytab still has the others', which are old."""
        client = self.client(self.options(EACH_TIME))
        self.assertEqual(self.login(client), self.me)
        self.realm.kdc.rekey(self.keytab, self.user, "-e", "aes128-cts-hmac-sha1-96:normal")
        self.assertEqual(self.login(client), self.me)
        # And of one that the KDC has all enctypes of, the keytab got some alone.
        self.realm.kdc.random_key(self.user)
        with open(self.new_file(), "rb") as new, open(self.keytab, "ab") as out:
            out.write(b"".join(r for r in records(new.read()) if etype_of(r) == AES128_SHA1))
        self.assertEqual(self.login(client), self.me)
        self.assertEqual(self.proofs(), 3)
        # Asked for is what the keytab has, and best what is new.
        self.assertEqual(self.last_asked_for()[0], AES128_SHA1)
        self.assertEqual(sorted(self.last_asked_for()), [17, 18, 19, 20])
        self.realm.kdc._admin(f"ktrem -q -k {self.keytab} {self.user} old")
        self.assertEqual(self.login(client), self.me)
        self.assertEqual(self.last_asked_for(), [AES128_SHA1])

    def kinit(self, cache, life):
        run(["kinit", "-k", "-t", self.keytab, "-l", life, "-c", cache, self.user],
            env=self.realm.env(plugin=False), what="kinit")

    def test_no_enctype_in_common(self):
        """Both sides are shown, and nothing is proved; a keytab that has one then is looked for."""
        self.realm.kdc._admin(f"cpw -e aes128-cts-hmac-sha1-96:normal -randkey {self.user}")
        with open(self.keytab, "rb+") as out:
            content = out.read()
            out.truncate(2)
            out.seek(2)
            out.write(b"".join(r for r in records(content) if etype_of(r) != AES128_SHA1))
        client = self.client()
        self.refused(client, self.me, "no key of an encryption type that the keytab has",
                     "the keytab has kvno 1", "aes256-cts-hmac-sha1-96")
        path = self.new_file()
        self.tap.edit = lambda reply: os.path.exists(path) and os.rename(path, self.keytab) or reply
        self.assertEqual(self.login(client), self.me)

    def client_keytab(self, more="", **kw):
        return self.client(f"User={self.me} KDCHost={self.tap.kdc_host} {more}", **kw)

    def test_the_platforms(self):
        """User alone: the client keytab of the environment or of krb5.conf, if it has his key."""
        variable = {"KRB5_CLIENT_KTNAME": "FILE:" + self.keytab, "KRB5CCNAME": "/nonexistent/x"}
        client = self.client_keytab(**variable)
        self.assertEqual(self.login(client), self.me)
        self.rekey()
        self.assertEqual(self.login(client, ctx="d"), self.me)
        conf = self.realm.path("client_keytab.conf")
        with open(conf, "w") as out:
            out.write("[libdefaults]\n default_client_keytab_name = "
                      + self.keytab.replace(self.user, self.user[:-1] + "%{uid}") + "\n")
        shutil.copyfile(self.keytab, self.keytab.replace(self.user, f"{self.user[:-1]}{os.getuid()}"))
        client = self.client_keytab(krb5_conf=conf, KRB5CCNAME="/nonexistent/x")
        self.assertEqual(self.login(client), self.me)
        self.refused(self.client(f"User=bob@{self.realm.name} KDCHost={self.tap.kdc_host}", **variable),
                     "no password, keytab or cache", "bob@")
        variable["KRB5_CLIENT_KTNAME"] = conf
        self.refused(self.client_keytab(**variable), "no password, keytab or cache", self.me,
                     "client keytab: keytab " + conf, "no keytab file")
        variable["KRB5_CLIENT_KTNAME"] = "MEMORY:x"
        self.refused(self.client_keytab(**variable), "no password, keytab or cache")

    def test_the_platforms_cache_comes_first(self):
        """While it is his and has tickets that last."""
        cache = self.realm.path(self.user + ".cc")
        variable = {"KRB5_CLIENT_KTNAME": self.keytab, "KRB5CCNAME": "FILE:" + cache}
        self.kinit(cache, "1h")
        client = self.client_keytab(**variable)
        self.assertEqual(self.login(client), self.me)
        self.assertEqual(self.asked(), ["TGS"])
        self.kinit(cache, "1s")
        time.sleep(1.1)
        self.assertEqual(self.login(client, ctx="d"), self.me)
        self.assertIn("AS", self.asked())


class TestHeimdal(Keytabs, WithRealm):
    kind = "heimdal"

    def test_holes(self):
        """Heimdal's ktutil leaves holes where it removes keys, and fills them."""
        client = self.client(self.options(EACH_TIME))
        self.rekey()
        for words in (("remove", "-p", self.me, "-V", "1"), ("purge", "--age=0")):
            self.realm.kdc.ktutil(self.keytab, *words)
            self.assertEqual(self.login(client), self.me)
            self.rekey()
            self.assertEqual(self.login(client), self.me)
        self.assertEqual(self.proofs(), 4)


    def test_an_alias(self):
        """The keytab's entry may be by another name that the KDC has for the user, who is then known by
        the KDC's; and a keytab that has that one alone is not the alias's."""
        self.realm.kdc.alias(self.user, f"nick{self.number}")
        nick = f"nick{self.number}@{self.realm.name}"
        theirs = self.keytab + ".theirs"
        shutil.copyfile(self.keytab, theirs)
        self.realm.kdc.ktutil(self.keytab, "rename", self.me, nick)
        for user in ("", f"User={nick} "):
            client = self.client(f"{user}{self.options('Canonicalize=True', user=False)}")
            self.assertEqual(self.login(client), self.me)
        self.refused(self.client(self.options(user=False)), nick, "does not know")
        self.refused(self.client(f"User={nick} Canonicalize=True "
                                 + self.options(user=False, keytab=theirs)),
                     theirs, "no key of " + nick, "it holds " + self.me)


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", modules=["gssapi"], plugin=True)
