#!/usr/bin/python3
"""The plugin is installed and nothing is configured: every program does what it does without it.
Each scenario runs twice, with the platform alone and with the plugin, and must come out the same:
exit codes, output, error texts, names, lifetimes."""
import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                          # noqa: E402
from kdc import write                                   # noqa: E402
from peer import KRB5, SPNEGO, GSSFailure, Peer, establish  # noqa: E402
from realm import Realm                                 # noqa: E402
from services import PAGE, Apache, Sshd, have_apache    # noqa: E402


def known_difference(text):
    """An acceptor without credential and keytab: the platform overwrites its own good text with a
    general one, where only the keytab's name is lost. Through a plugin the good one survives."""
    return re.sub(r"Keytab \S+ is nonexistent or empty", "Key table entry not found", text)


def outcome(call, **arguments):
    """What a call gave, or its error; without what no two runs share."""
    try:
        answer = call(**arguments)
    except GSSFailure as failed:
        # The mech glue numbers minor codes as they come up, so the texts are compared.
        return {"major": failed.major, "text": known_difference(failed.text)}
    for volatile in ("token", "cpu"):
        if answer.get(volatile):
            answer[volatile] = "present"
    if isinstance(answer.get("lifetime"), int) and 60 < answer["lifetime"] < 1 << 31:
        answer["lifetime"] = "hours" if answer["lifetime"] > 3600 else "minutes"
    return answer


class Same(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.cache = "FILE:" + cls.realm.path("alice.ccache")
        with open(cls.realm.password_file()) as secret:
            subprocess.run(["kinit", "-c", cls.cache, "alice"], stdin=secret, check=True,
                           stdout=subprocess.DEVNULL, env=cls.realm.env(plugin=False))

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def environments(self, **more):
        """(without, with). The second also has the plugin's empty options."""
        return self.realm.env(plugin=False, **more), self.realm.env(plugin=True, **more)

    def run_both(self, scenario, **more):
        without, with_plugin = (scenario(env) for env in self.environments(**more))
        self.assertEqual(without, with_plugin)
        return without

    def conf(self, name, *lines):
        """The realm's krb5.conf with more lines in [libdefaults]."""
        with open(self.realm.krb5_conf) as conf:
            text = conf.read().replace("[libdefaults]\n", "[libdefaults]\n"
                                       + "".join(f"  {line}\n" for line in lines))
        return write(self.realm.path(name), text, 0o644)


class TestInitiators(Same):
    def initiate(self, env):
        """Acquire, inquire and initiate in the ways that programs do, good and bad."""
        said = []
        with Peer(env) as client, Peer(self.realm.service_env()) as server:
            for mechs in (None, [KRB5], [SPNEGO]):
                said.append(outcome(client.acquire, cred="c", mechs=mechs))
            said.append(outcome(client.inquire_cred))
            said.append(outcome(client.acquire, cred="n", name="alice@" + self.realm.name))
            said.append(outcome(client.acquire, cred="o", name="bob@" + self.realm.name))
            said.append(outcome(client.acquire, cred="s", store={"ccache": self.cache}))
            said.append(outcome(client.acquire_with_password, cred="p", mechs=[KRB5],
                                name="alice@" + self.realm.name, password="correct horse battery"))
            said.append(outcome(client.acquire_with_password, cred="w", mechs=[KRB5],
                                name="alice@" + self.realm.name, password="wrong"))
            for mech in (None, KRB5, SPNEGO):
                for target in ("HTTP@localhost", "nosuch@localhost", "HTTP@no.such.host.invalid"):
                    said.append(outcome(client.init, ctx=f"{mech}{target}", target=target, mech=mech))
            for target, kind in (("HTTP/localhost@" + self.realm.name, "kerberos_principal"),
                                 ("HTTP@localhost", None), ("a@b@c@d", "kerberos_principal")):
                said.append(outcome(client.init, ctx=target, target=target,
                                    target_type=kind or "hostbased_service"))
            for cred in ("n", "s", "p"):
                try:
                    mine, theirs = establish(client, server, "HTTP@localhost", cred=cred, ctx=cred)
                except (GSSFailure, KeyError, AssertionError) as failed:
                    said.append(str(failed))
                    break
                said += [theirs["name"], theirs["flags"], mine["flags"],
                         outcome(client.inquire, ctx=cred)]
        return said

    def test_without_a_ticket(self):
        self.run_both(self.initiate)

    def test_after_kinit(self):
        said = self.run_both(self.initiate, KRB5CCNAME=self.cache)
        self.assertIn("alice@" + self.realm.name, said)

    def test_default_cache_of_krb5_conf(self):
        conf = self.conf("cache.conf", f"default_ccache_name = {self.cache}")

        def scenario(env):
            env.pop("KRB5CCNAME")
            return self.initiate(env)
        self.assertIn("alice@" + self.realm.name, self.run_both(scenario, krb5_conf=conf))

    def test_client_keytab_of_krb5_conf(self):
        conf = self.conf("keytab.conf",
                         f"default_client_keytab_name = FILE:{self.realm.path('alice.keytab')}")

        def scenario(env):
            env["KRB5CCNAME"] = "FILE:" + self.realm.path("from-keytab.ccache")
            if os.path.exists(env["KRB5CCNAME"][5:]):
                os.unlink(env["KRB5CCNAME"][5:])
            said = self.initiate(env)
            return said + [os.path.exists(env["KRB5CCNAME"][5:])]
        self.assertIn("alice@" + self.realm.name, self.run_both(scenario, krb5_conf=conf))

    def test_client_keytab_of_the_environment(self):
        def scenario(env):
            env["KRB5CCNAME"] = "MEMORY:"
            return self.initiate(env)
        self.run_both(scenario, KRB5_CLIENT_KTNAME="FILE:" + self.realm.path("alice.keytab"))

    def test_broken_krb5_conf(self):
        broken = write(self.realm.path("broken.conf"), "[libdefaults\n  nonsense\n", 0o644)
        self.run_both(self.initiate, krb5_conf=broken, KRB5CCNAME=self.cache)
        self.run_both(self.initiate, krb5_conf=self.realm.empty_conf, KRB5CCNAME=self.cache)

    def test_an_unrelated_option_configures_nobody(self):
        without = self.initiate(self.realm.env(plugin=False, KRB5CCNAME=self.cache))
        env = self.realm.env(plugin=True, KRB5CCNAME=self.cache,
                             KERBSIDE_OPTIONS="LogLevel=3 UseTCP=True LogFile="
                             + self.realm.path("unrelated.log"))
        self.assertEqual(without, self.initiate(env))

    def test_messages(self):
        def scenario(env):
            with Peer(env) as client, Peer(self.realm.service_env()) as server:
                establish(client, server, "HTTP@localhost")
                opened = server.unwrap(ctx="c", message=client.wrap(ctx="c", message=b"a")["message"])
                back = client.unwrap(ctx="c", message=server.wrap(ctx="c", message=b"b")["message"])
                bad = outcome(client.unwrap, ctx="c", message=b"nonsense")
                limit = client.size_limit(ctx="c", size=1000)
                return [opened, back, bad, limit]
        self.run_both(scenario, KRB5CCNAME=self.cache)


    def test_a_light_guest(self):
        """OpenSSL is loaded by who logs in through us, and only when it does."""
        configured = self.realm.env(options=self.realm.identity())
        for env in (self.realm.env(KRB5CCNAME=self.cache), configured):
            with Peer(env) as client:
                client.acquire(cred="c")
                if env is not configured:
                    client.init(ctx="c", target="HTTP@localhost")
                self.assertTrue(client.loaded(library="kerbside.so")["yes"])
                self.assertFalse(client.loaded(library="libcrypto")["yes"])


class TestAcceptors(Same):
    def accept(self, env):
        said = []
        with Peer(self.realm.env(plugin=False, KRB5CCNAME=self.cache)) as client, Peer(env) as server:
            said.append(outcome(server.acquire, cred="c", usage="accept"))
            said.append(outcome(server.acquire, cred="n", usage="accept", name="HTTP@localhost",
                                name_type="hostbased_service"))
            for mech in (KRB5, SPNEGO):
                token = client.init(ctx="c" + mech, target="HTTP@localhost", mech=mech)["token"]
                said.append(outcome(server.accept, ctx="a" + mech, token=token))
                said.append(outcome(server.accept, ctx="r" + mech, token=token))
                said.append(outcome(server.accept, ctx="d" + mech, token=token[:40]))
            said.append(outcome(server.accept, ctx="x", token=b"nonsense"))
            try:
                establish(client, server, "HTTP@localhost")
                said.append(outcome(server.inquire, ctx="c"))
                sealed = server.wrap(ctx="c", message=b"message")["message"]
                said.append(client.unwrap(ctx="c", message=sealed))
            except GSSFailure as failed:
                said.append(known_difference(str(failed)))
        return said

    def test_with_the_keytab(self):
        keytab = "FILE:" + self.realm.path("service.keytab")
        said = self.run_both(self.accept, KRB5_KTNAME=keytab, KRB5RCACHENAME="none:")
        self.assertIn("alice@" + self.realm.name, [s.get("name") for s in said if isinstance(s, dict)])

    def test_without_a_keytab(self):
        self.run_both(self.accept, KRB5_KTNAME="FILE:" + self.realm.path("no.keytab"))

    def test_with_another_keytab(self):
        self.run_both(self.accept, KRB5_KTNAME="FILE:" + self.realm.path("alice.keytab"))

    def test_acceptor_of_a_process_with_an_identity(self):
        """With our options in its environment as well, what it accepts is the platform's."""
        keytab = "FILE:" + self.realm.path("service.keytab")
        without = self.accept(self.realm.env(plugin=False, KRB5_KTNAME=keytab, KRB5RCACHENAME="none:"))
        ours = self.realm.env(options=self.realm.identity(), krb5_conf=self.realm.krb5_conf,
                              KRB5_KTNAME=keytab, KRB5RCACHENAME="none:")
        self.assertEqual(without, self.accept(ours))


class TestPrograms(Same):
    def program(self, argv):
        def scenario(env):
            done = subprocess.run(argv, env=env, text=True, timeout=60, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
            clean = re.sub(r"(Date: |Negotiate )\S.*|:\d{2}:\d{2}|port \d+|0x[0-9a-f]+|\b\d+ bytes",
                           r"\1", done.stdout + done.stderr)
            return [done.returncode, clean]
        return scenario

    @unittest.skipUnless(have_apache(), "no Apache with mod_auth_gssapi")
    def test_curl(self):
        apache = Apache(self.realm)
        argv = ["curl", "-si", "--negotiate", "-u", ":", apache.url]
        self.assertIn("401", self.run_both(self.program(argv))[1])
        self.assertIn(PAGE, self.run_both(self.program(argv), KRB5CCNAME=self.cache)[1])

    @unittest.skipUnless(have_apache(), "no Apache with mod_auth_gssapi")
    def test_apache_with_the_plugin(self):
        argv = ["curl", "-si", "--negotiate", "-u", ":"]
        env = self.realm.env(plugin=False, KRB5CCNAME=self.cache)
        plugin = {"GSS_MECH_CONFIG": self.realm.mech_config()}
        os.chmod(plugin["GSS_MECH_CONFIG"], 0o644)
        without, ours = (Apache(self.realm, plugin_env=e) for e in ({}, plugin))
        for cache in (self.cache, "FILE:" + self.realm.path("none")):
            env["KRB5CCNAME"] = cache
            pages = [re.sub(r"localhost:\d+|ETag.*", "", self.program(argv + [a.url])(env)[1])
                     for a in (without, ours)]
            self.assertEqual(*pages)

    def test_ssh(self):
        try:
            sshd = Sshd(self.realm)
        except Exception as failed:     # no sshd here, or not as this user
            self.skipTest(str(failed))
        with sshd:
            argv = sshd.command("echo", "let in")
            self.assertNotEqual(self.run_both(self.program(argv))[0], 0)
            self.assertEqual(self.run_both(self.program(argv), KRB5CCNAME=self.cache)[0], 0)

    def test_files_that_nobody_asked_for(self):
        """No file is opened for writing, no log written."""
        before = sorted(os.listdir(self.realm.dir))
        self.program(["curl", "-s", "--negotiate", "-u", ":", "http://localhost:1/"])(
            self.environments()[1])
        # env() itself rewrites mech.conf, which is there already.
        self.assertEqual(before, sorted(os.listdir(self.realm.dir)))


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", "curl", modules=["gssapi"], plugin=True)
