#!/usr/bin/python3
"""kerbside doctor on broken set-ups: its first line names the cause and says what to do; and on whole
ones, which it calls well. The KDC is MIT's, the server Apache with mod_auth_gssapi."""
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                              # noqa: E402
from kdc import write                       # noqa: E402
from process import Failed, free_port, udp_and_tcp      # noqa: E402
from realm import Principal, Realm, faketime  # noqa: E402
from services import Apache, have_apache    # noqa: E402

KERBSIDE = os.path.join(os.environ.get("KB_BUILDDIR", "."), "cli", "kerbside")
OK, FAILED, USAGE, CONFIG, NO_PLUGIN = 0, 1, 2, 3, 4


class Deaf:
    """A port on which somebody listens and never answers."""

    def __init__(self):
        self.udp, self.tcp = udp_and_tcp()

    def __enter__(self):
        return "127.0.0.1:%d" % self.tcp.getsockname()[1]

    def __exit__(self, *_):
        self.udp.close()
        self.tcp.close()


class Pipe:
    """Passes TCP on to the KDC, and drops all UDP."""

    def __init__(self, to):
        self.udp, self.tcp = udp_and_tcp()
        self.to = to
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.tcp.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self.to)) as kdc:
                client.settimeout(5)
                kdc.settimeout(5)
                try:
                    kdc.sendall(client.recv(65536))
                    client.sendall(kdc.recv(65536))
                except OSError:
                    pass

    def __enter__(self):
        return "127.0.0.1:%d" % self.tcp.getsockname()[1]

    def __exit__(self, *_):
        self.tcp.close()
        self.udp.close()


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.apache = None

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def doctor(self, env, *arguments):
        return subprocess.run([KERBSIDE, "doctor", *arguments], env=env, text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def verdict(self, env, code, step, *words, arguments=()):
        """The first line is about `step` and has every word. The whole output."""
        done = self.doctor(env, *arguments)
        first = done.stdout.splitlines()[0] if done.stdout else ""
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertTrue(first.startswith(step + ": "), first)
        for word in words:
            self.assertIn(word.lower(), first.lower())
        self.assertEqual(done.stderr, "")
        for secret in (p for p in self.realm.passwords.values() if len(p) > 8):
            self.assertNotIn(secret, done.stdout)
        return done.stdout

    def env(self, options, **more):
        return self.realm.env(options=options, **more)

    def me(self, more="", secret="password", user="alice"):
        return self.env(self.realm.identity(secret, user) + " " + more)

    def page(self):
        if not have_apache():
            self.skipTest("no Apache with mod_auth_gssapi")
        if not type(self).apache:
            type(self).apache = Apache(self.realm)
        return self.apache

    # --- all is well ---

    def test_well(self):
        for secret in ("password", "keytab"):
            done = self.doctor(self.me(secret=secret), "--target", "HTTP@localhost")
            self.assertEqual((done.returncode, done.stderr), (OK, ""), done.stdout)
            self.assertTrue(done.stdout.startswith("All is well"), done.stdout)
            for word in ("answers over UDP", "answers over TCP", "clock", "a ticket for HTTP/localhost"):
                self.assertIn(word, done.stdout)

    def test_well_to_the_page(self):
        done = self.doctor(self.me(), "--http", self.page().url)
        self.assertEqual((done.returncode, done.stderr), (OK, ""), done.stdout)
        self.assertIn("to the page", done.stdout.splitlines()[0])
        self.assertIn("answers 200 after the login", done.stdout)

    def test_json(self):
        done = self.doctor(self.me(), "--json", "--target", "HTTP@localhost")
        told = json.loads(done.stdout)
        self.assertTrue(told["well"])
        self.assertIn("login", [step["step"] for step in told["steps"]])
        wrong = self.realm.password_file("wrong", "not it")
        done = self.doctor(self.env(f"User=alice@{self.realm.name} Password=file:{wrong} "
                                    f"KDCHost={self.realm.kdc_host}"), "--json")
        told = json.loads(done.stdout)
        self.assertFalse(told["well"])
        self.assertEqual((told["first"]["step"], told["exit"], done.returncode), ("login", 1, 1))

    # --- the plugin ---

    def plugin(self, text, *words):
        env = self.me()
        env["GSS_MECH_CONFIG"] = write(self.realm.path("broken-mech.conf"), text)
        self.verdict(env, NO_PLUGIN, "plugin", *words)

    def test_plugin_not_named(self):
        self.plugin("# nothing\n", "broken-mech.conf", "no line", "kerbside.so")

    def test_plugin_no_file(self):
        env = self.me()
        env["GSS_MECH_CONFIG"] = "/nonexistent/mech"
        self.verdict(env, NO_PLUGIN, "plugin", "/nonexistent/mech", "cannot be read")

    def test_plugin_wrong_path(self):
        self.plugin("kerbside 1.3.6.1.4.1.32473.88.1 /nonexistent/kerbside.so <interposer>\n",
                    "broken-mech.conf:1", "/nonexistent/kerbside.so", "No such file")

    def test_plugin_wrong_type(self):
        with open(self.realm.mech_config(), encoding="ascii") as file:
            line = file.read()
        self.plugin("# ours\n" + line.replace("<interposer>", "<Interposer>"),
                    "broken-mech.conf:2", "<interposer>")

    def test_plugin_indented(self):
        with open(self.realm.mech_config(), encoding="ascii") as file:
            self.plugin(" " + file.read(), "broken-mech.conf:1", "blank")

    # --- the configuration ---

    def test_unknown_option(self):
        self.verdict(self.env("User=alice Pasword=x"), CONFIG, "configuration", "Pasword", "Password")

    def test_wrong_value(self):
        self.verdict(self.me("Timeout=soon"), CONFIG, "configuration", "Timeout", "soon")

    def test_nobody_configured(self):
        self.verdict(self.env(None), CONFIG, "configuration", "no identity", "User")

    def test_switched_off(self):
        self.verdict(self.me("Enabled=False"), CONFIG, "configuration", "Enabled=False")

    def test_password_without_user(self):
        self.verdict(self.env("Password=file:/tmp/x"), CONFIG, "configuration", "User")

    def test_no_password_file(self):
        self.verdict(self.env(f"User=alice@{self.realm.name} Password=file:/nonexistent/pw "
                              f"KDCHost={self.realm.kdc_host}"),
                     CONFIG, "secret", "/nonexistent/pw", "No such file")

    def test_no_keytab(self):
        self.verdict(self.env(f"User=alice@{self.realm.name} KeytabFile=/nonexistent/kt "
                              f"KDCHost={self.realm.kdc_host}"),
                     CONFIG, "secret", "/nonexistent/kt", "No such file")

    def test_keytab_of_another(self):
        keytab = self.realm.keytab("bob.keytab", "bob")
        self.verdict(self.env(f"User=alice@{self.realm.name} KeytabFile={keytab} "
                              f"KDCHost={self.realm.kdc_host}"),
                     CONFIG, "secret", "alice@" + self.realm.name, "bob@" + self.realm.name)

    def test_not_a_keytab(self):
        broken = write(self.realm.path("broken.keytab"), "no keytab\n")
        self.verdict(self.env(f"User=alice@{self.realm.name} KeytabFile={broken} "
                              f"KDCHost={self.realm.kdc_host}"), CONFIG, "secret", broken)

    def test_no_enctype_in_the_keytab(self):
        keytab = self.realm.keytab("aes.keytab", self.realm.add_principal(
            "carl", "carl's", enctypes=("aes128-cts-hmac-sha1-96",)))
        self.verdict(self.env(f"User=carl@{self.realm.name} KeytabFile={keytab} EncryptionTypes="
                              f"aes256-cts-hmac-sha1-96 KDCHost={self.realm.kdc_host}"),
                     CONFIG, "enctypes", "aes128", "aes256")

    # --- names and KDCs ---

    def test_no_kdc_known(self):
        self.verdict(self.env(f"User=alice@NOWHERE.TEST Password=file:{self.realm.password_file()}"),
                     CONFIG, "kdc", "NOWHERE.TEST", "KDCHost")

    def test_kdc_without_address(self):
        self.verdict(self.me(f"KDCHost=kdc.invalid"), FAILED, "kdc", "kdc.invalid")

    def test_kdc_down(self):
        port = free_port()
        self.verdict(self.me(f"KDCHost=127.0.0.1:{port}"), FAILED, "kdc", f"127.0.0.1:{port}",
                     "refused", "firewall")

    def test_kdc_silent(self):
        with Deaf() as host:
            self.verdict(self.me(f"KDCHost={host}"), FAILED, "kdc", host, "UDP", "TCP")

    def test_udp_is_dropped(self):
        with Pipe(self.realm.port) as host:
            done = self.doctor(self.me(f"KDCHost={host}"))
        self.assertEqual(done.returncode, OK, done.stdout)
        self.assertIn("warning", done.stdout)
        self.assertIn("UseTCP=True", done.stdout)

    def test_one_of_two_is_down(self):
        port = free_port()
        done = self.doctor(self.me(f"KDCHost=127.0.0.1:{port},{self.realm.kdc_host}"))
        self.assertEqual(done.returncode, OK, done.stdout)
        self.assertRegex(done.stdout, r"warning +kdc +127\.0\.0\.1:%d does not answer" % port)

    # --- what the KDC says ---

    def test_wrong_realm(self):
        self.verdict(self.env(f"User=alice@OTHER.TEST Password=file:{self.realm.password_file()} "
                              f"KDCHost={self.realm.kdc_host}"), FAILED, "user", "OTHER.TEST")

    def test_unknown_user(self):
        self.verdict(self.env(f"User=nobody@{self.realm.name} Password=file:"
                              f"{self.realm.password_file()} KDCHost={self.realm.kdc_host}"),
                     FAILED, "user", "nobody@" + self.realm.name, "spelling")

    def test_locked(self):
        self.verdict(self.me(user="locked"), FAILED, "user", "locked@", "locked or disabled")

    def test_a_password_that_ends_soon(self):
        self.realm.add_principal("ends", "a password that ends")
        self.realm.kdc.expires("ends", password=time.strftime(
            "%Y-%m-%d", time.gmtime(time.time() + 3 * 86400)))
        done = self.doctor(self.me(user="ends"))
        first = done.stdout.splitlines()[0]
        self.assertEqual(done.returncode, OK)
        self.assertRegex(first, "^All is well: .* But: The password .*of ends@.* expires on .*kpasswd")

    def kinit(self, *how):
        cache = self.realm.path("doctors-cache")
        subprocess.run(["kinit", *how, "-c", cache, "alice"], env=self.realm.env(plugin=False), text=True,
                       input=self.realm.passwords["alice"] + "\n", stdout=subprocess.DEVNULL, check=True)
        return f"CredentialsCacheFile={cache} KDCHost={self.realm.kdc_host}"

    def test_tickets_that_end_soon(self):
        """And nobody can obtain others."""
        done = self.doctor(self.env(self.kinit("-l", "20m")))
        self.assertRegex(done.stdout.splitlines()[0],
                         "^All is well: .* But: there is no password or keytab: .* minutes")
        self.assertIn("-> Fill the cache anew (kinit)", done.stdout)
        done = self.doctor(self.env(self.kinit("-l", "20m", "-r", "1d")))
        self.assertNotIn("But: ", done.stdout.splitlines()[0])
        self.assertRegex(done.stdout, "note +login +there is no password or keytab: logins work until "
                                      ".* renewed in time")
        self.verdict(self.env(self.kinit("-l", "20m") + " MinLifetime=1h"), FAILED, "login", "end at",
                     "no password or keytab")

    def test_expired(self):
        self.verdict(self.me(user="expired"), FAILED, "user", "expired@")

    def test_password_expired(self):
        self.verdict(self.me(user="pwexpired"), FAILED, "user", "password has expired", "kpasswd")

    def test_wrong_password(self):
        wrong = self.realm.password_file("wrong", "not it")
        with self.realm.counting() as seen:
            self.verdict(self.env(f"User=alice@{self.realm.name} Password=file:{wrong} "
                                  f"KDCHost={self.realm.kdc_host}"),
                         FAILED, "login", "alice@" + self.realm.name, "file:" + wrong)
        self.assertLessEqual(seen.total, 5)

    def test_old_keytab(self):
        self.realm.add_principal("dora", "dora's")
        env = self.me(secret="keytab", user="dora")
        self.realm.kdc.change_password("dora", "another of dora's")
        self.verdict(env, FAILED, "login", "dora@" + self.realm.name, "dora.keytab", "kvno 1",
                     "the KDC has", "export")

    def test_no_enctype_in_common(self):
        self.realm.add(Principal("erna", "erna's", enctypes=("aes128-cts-hmac-sha1-96",)))
        self.verdict(self.me("EncryptionTypes=aes256-cts-hmac-sha384-192", user="erna"), FAILED,
                     "enctypes", "aes128-cts-hmac-sha1-96", "EncryptionTypes")

    def test_only_an_old_key(self):
        """The KDC does not say that it has one until it is asked for it."""
        for enctype, name, option in (("arcfour-hmac", "rc4-hmac", "rc4"),
                                      ("des3-cbc-sha1", "des3-cbc-sha1", "des3-hmac-sha1")):
            user = "user-" + enctype
            self.realm.add(Principal(user, "its own", enctypes=(enctype,)))
            with self.realm.counting() as seen:
                self.verdict(self.me(user=user), FAILED, "enctypes", f"offers only {name} for this user",
                             "name it in EncryptionTypes", "AES keys")
            self.assertEqual(seen["AS"], 0)
            done = self.doctor(self.me(f'EncryptionTypes="DEFAULT {option}"', user=user))
            self.assertEqual(done.returncode, OK, done.stdout)
            self.assertRegex(done.stdout, rf"warning +enctypes +KERBSIDE_OPTIONS allows {name}, an old")
            self.assertIn(f"the KDC has keys of the user of {name}", done.stdout)

    def test_fips_refuses_an_old_one(self):
        self.verdict(self.me("UseFIPSCompliantAPI=True EncryptionTypes=aes,rc4"), CONFIG,
                     "configuration", "rc4-hmac", "UseFIPSCompliantAPI", "FIPS 140")

    def test_clock(self):
        try:
            env = {**self.me(), **faketime(3600)}
        except Failed as missing:
            self.skipTest(str(missing))
        self.verdict(env, FAILED, "clock", "behind", "300", "chrony")

    # --- the service ---

    def test_unknown_service(self):
        self.verdict(self.me("DNSCanonicalize=False"), FAILED, "service", "HTTP/nowhere",
                     arguments=("--target", "HTTP@nowhere"))

    def test_nobody_listens(self):
        port = free_port()
        self.verdict(self.me(), FAILED, "http", f"localhost:{port}",
                     arguments=("--http", f"http://localhost:{port}/"))

    def test_page_without_negotiate(self):
        class Basic(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="x"')
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Basic) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.verdict(self.me(), FAILED, "http", "Negotiate", "mod_auth_gssapi",
                         arguments=("--http", f"http://localhost:{server.server_port}/"))
            server.shutdown()

    def test_page_with_an_old_keytab(self):
        self.page()
        self.realm.add(Principal("HTTP/ip6-localhost"))
        other = Apache(self.realm, principal="HTTP/ip6-localhost")
        self.verdict(self.me(), FAILED, "http", "401", "keytab", arguments=("--http", other.url))

    # --- usage ---

    def test_usage(self):
        for arguments in (("--http", "ftp://x/"), ("--target", ""), ("--nonsense",), ("operand",)):
            done = self.doctor(self.me(), *arguments)
            self.assertEqual(done.returncode, USAGE, arguments)
            self.assertIn("kerbside", done.stderr)


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", plugin=True)
