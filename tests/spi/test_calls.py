#!/usr/bin/python3
"""The calls of gssapi_kerbside.h: what they do for process, credential and context, beside the
acceptor of the platform; without the plugin; from many threads; with short memory. And the programs
of doc/examples, which are these calls as the manual shows them."""
import base64
import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "consumers"), os.path.join(HERE, "..", "realm")]
import harness              # noqa: E402
from peer import KRB5, GSSFailure, Peer     # noqa: E402
from process import udp_and_tcp     # noqa: E402
from realm import Realm     # noqa: E402

BUILD = os.environ.get("KB_BUILDDIR", os.getcwd())
SOURCE = os.path.join(HERE, "..", "..")
PRELOAD = os.path.join(BUILD, "tests", "spi", "failing_malloc.so")    # if no sanitizer
BAD_MECH, UNAVAILABLE = "00010000", "00100000"
HTTP = "HTTP@localhost"


def run(argv, env, timeout=120, text=""):
    wrapper = os.environ.get("KB_WRAPPER", "").split()
    env = dict(env, LSAN_OPTIONS="print_suppressions=0:suppressions=" + os.path.join(
        HERE, "..", "consumers", "lsan.supp"))
    done = subprocess.run([*wrapper, *argv], env=env, stdout=subprocess.PIPE, input=text.encode(),
                          stderr=subprocess.STDOUT, timeout=timeout)
    return done.returncode, done.stdout.decode(errors="replace")


@contextlib.contextmanager
def silent_kdc():
    """A port on which nobody answers, of an address that no other test uses."""
    udp, tcp = udp_and_tcp("127.88.0.1")
    with udp, tcp:
        yield "127.88.0.1:%d" % udp.getsockname()[1]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.realm.keytab("bob.keytab", "bob")
        cls.realm.keytab("two.keytab", "alice", "bob")

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def env(self, options=None, **more):
        return self.realm.env(options=options, krb5_conf=self.realm.krb5_conf,
                              KRB5_KTNAME="FILE:" + self.realm.path("service.keytab"), **more)

    def kinit(self, user="alice"):
        with open(self.realm.password_file(user)) as secret:
            subprocess.run(["kinit", user], stdin=secret, env=self.realm.env(plugin=False),
                           check=True, stdout=subprocess.DEVNULL)
        self.addCleanup(os.unlink, self.realm.path("ccache"))

    def principal(self, user):
        return f"{user}@{self.realm.name}"

    def calls(self, env, *words, code=0, text=""):
        """What each call said: its lines, and those of callbacks apart."""
        returned, text = run([os.path.join(BUILD, "tests", "spi", "calls"), *words], env,
                             text=text)
        self.assertEqual(returned, code, text)
        lines = text.splitlines()
        self.events = [line.strip() for line in lines if line.startswith("  ")]
        return [line for line in lines if not line.startswith("  ")]

    def said(self, lines, what):
        found = [line[len(what) + 2:] for line in lines if line.startswith(what + ": ")]
        self.assertTrue(found, f"{what} in {lines}")
        return found[-1]


EVERY = ["process", "Timeout=5", "ask", "Timeout", "reset", "callbacks", "quiet", "interrupt",
         "acquire", "cred", "Timeout=5", "cred-ask", "Timeout", "cred-reset",
         "cred-callbacks", "c", "cred-quiet", "cred-interrupt",
         "krb5", HTTP, "ctx", "LogLevel=1", "ctx-ask", "LogLevel", "token"]
OF_PROCESS = ["process Timeout=5", "ask Timeout", "reset", "callbacks", "quiet", "interrupt"]
OF_CRED = ["cred Timeout=5", "cred-ask Timeout", "cred-reset", "cred-callbacks c", "cred-quiet",
           "cred-interrupt"]
OF_CONTEXT = ["ctx LogLevel=1", "ctx-ask LogLevel", "token"]


class TestWhoAnswers(Case):
    def test_without_the_plugin(self):
        self.kinit()
        lines = self.calls(self.env(plugin=False), *EVERY)
        for call in OF_PROCESS:
            self.assertEqual(self.said(lines, call)[:8], BAD_MECH, call)
        for call in OF_CRED + OF_CONTEXT:
            self.assertEqual(self.said(lines, call)[:8], UNAVAILABLE, call)
        self.assertIn(f"krb5 {HTTP}: as alice@{self.realm.name}", lines)

    def test_with_nothing_configured(self):
        """The process may be spoken to; credential and context are the platform's."""
        self.kinit()
        lines = self.calls(self.env(), *EVERY)
        for call in OF_PROCESS:
            self.assertIn(self.said(lines, call), ("ok", "[5]"), call)
        for call in OF_CRED + OF_CONTEXT:
            self.assertEqual(self.said(lines, call)[:8], UNAVAILABLE, call)

    def test_of_ours(self):
        lines = self.calls(self.env(self.realm.identity("keytab")), *EVERY)
        for call in OF_PROCESS + OF_CRED + OF_CONTEXT[:2]:
            self.assertIn(self.said(lines, call), ("ok", "[5]", "[1]"), call)
        self.assertEqual(self.events, ["released process", "released c"])

    def test_odd_calls(self):
        lines = self.calls(self.env(self.realm.identity("keytab")), "acquire", "first", HTTP, "odd")
        for line in lines[2:]:
            self.assertNotIn(": ok", line)
        self.assertIn("its size is 8, not", self.said(lines, "query process"))
        self.assertEqual(self.said(lines, "unknown cred")[:8], UNAVAILABLE)

    def test_header(self):
        """It is a program's, in C99 and C++ with all warnings."""
        program = self.realm.path("header.c")
        with open(program, "w") as file:
            file.write("#include <gssapi/gssapi_kerbside.h>\nint main(void) { OM_uint32 m; "
                       "return kerbside_configure(&m, \"Timeout=5\") == GSS_S_FAILURE; }\n")
        for compiler, *flags in (("cc", "-std=c99", "-pedantic"), ("c++", "-x", "c++", "-std=c++11")):
            if not shutil.which(compiler):
                continue
            subprocess.run([compiler, *flags, "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                            "-I", os.path.join(SOURCE, "include"), program], check=True)


class TestProcess(Case):
    def test_options(self):
        lines = self.calls(self.env(), "process", "Timeout=7", "ask", "timeout", "ask", "KDCPort",
                           "process", "Timeot=8", "process", "Timeout=soon", "ask", "Tmeout",
                           "process", "AuthToken=x", "process", "Password", "reset", "ask", "Timeout")
        self.assertEqual(self.said(lines, "ask timeout"), "[7]")
        self.assertEqual(self.said(lines, "ask KDCPort"), "[88]")
        for call, word in (("process Timeot=8", "Timeout"), ("process Timeout=soon", "soon"),
                           ("ask Tmeout", "Timeout"), ("process AuthToken=x", "AuthToken")):
            self.assertIn(word, self.said(lines, call)[9:], call)
        self.assertEqual(self.said(lines, "ask Timeout"), "[60]")

    def test_identity(self):
        """It makes the process ours, for what is made afterwards, until Reset."""
        words = ["acquire", "process", "User=" + self.principal("bob"),
                 "process", "KeytabFile=" + self.realm.path("bob.keytab"),
                 "ask", "User", "acquire", "krb5", HTTP, "spnego", HTTP, "release",
                 "reset", "ask", "User", "acquire"]
        lines = self.calls(self.env(), *words)
        self.assertIn("00070000", lines[0])
        self.assertEqual(lines[3], f"ask User: [{self.principal('bob')}]")
        self.assertEqual(self.said(lines, "krb5 " + HTTP), "as " + self.principal("bob"))
        self.assertEqual(self.said(lines, "spnego " + HTTP), "as " + self.principal("bob"))
        self.assertEqual(self.said(lines, "ask User"), "[]")
        self.assertIn("00070000", lines[-1])

    def test_wins_over_the_environment(self):
        lines = self.calls(self.env(self.realm.identity("keytab")), "krb5", HTTP,
                           "process", "User=" + self.principal("bob"),
                           "process", "KeytabFile=" + self.realm.path("bob.keytab"),
                           "krb5", HTTP, "reset", "krb5", HTTP)
        self.assertEqual([line[len(HTTP) + 10:][:3] for line in lines if line.startswith("krb5")],
                         ["ali", "bob", "ali"])

    def test_secrets_are_not_told(self):
        lines = self.calls(self.env(self.realm.identity("keytab")),
                           "process", "User=x@Y", "process", "Password=hush hush", "ask", "Password",
                           "process", "FirewallHost=proxy", "process", "FirewallData=Proxy-Authorization: hush", "ask", "FirewallData",
                           "process", "Pasword=hush hush")
        self.assertEqual(lines[2], "ask Password: [********]")
        self.assertEqual(lines[5], "ask FirewallData: [********]")
        self.assertNotIn("hush", lines[6].split(": ", 1)[1])

    def test_facts(self):
        """What options turned out to be in the last login, until they are changed."""
        lines = self.calls(self.env(self.realm.identity("keytab")), "ask", "LocalPort", "krb5", HTTP,
                           "ask", "LocalPort", "ask", "LocalHost", "ask", "KDCHost",
                           "process", "LocalPort=0", "ask", "LocalPort")
        self.assertEqual(lines[0], "ask LocalPort: [0]")
        self.assertRegex(lines[2], r"\[[1-9]\d+\]")
        self.assertEqual(lines[3], "ask LocalHost: [127.0.0.1]")
        self.assertIn("127.0.0.1", lines[4])
        self.assertEqual(lines[6], "ask LocalPort: [0]")


class TestCredential(Case):
    def who(self, lines):
        return [line.split(": as ")[1].split("@")[0] for line in lines if ": as " in line]

    def ours(self, *words, secret="keytab"):
        return self.calls(self.env(self.realm.identity(secret)), *words)

    def test_another_user(self):
        """With krb5 and below SPNEGO; a change of the user never uses tickets of the former."""
        with self.realm.counting() as seen:
            lines = self.ours("acquire", "krb5", HTTP, "spnego", HTTP,
                              "cred", "User=" + self.principal("bob"),
                              "cred", "KeytabFile=" + self.realm.path("bob.keytab"),
                              "krb5", HTTP, "spnego", HTTP, "cred-ask", "User",
                              "cred-reset", "krb5", HTTP, "spnego", HTTP, "cred-ask", "User")
        self.assertEqual(self.who(lines), ["alice", "alice", "bob", "bob", "alice", "alice"])
        self.assertEqual([line for line in lines if line.startswith("cred-ask")],
                         [f"cred-ask User: [{self.principal(u)}]" for u in ("bob", "alice")])
        # alice's tickets are the process's; bob's are those of the two credentials.
        self.assertEqual(seen["TGS"], 3, dict(seen))

    def test_what_is_no_identity_keeps_the_tickets(self):
        with self.realm.counting() as seen:
            self.ours("acquire-krb5", "cred", "User=" + self.principal("bob"),
                      "cred", "Password=file:" + self.realm.password_file("bob"),
                      "krb5", HTTP, "cred", "Timeout=5", "krb5", HTTP,
                      "cred", "Password=file:" + self.realm.password_file("bob"), "krb5", HTTP)
        self.assertEqual(seen["TGS"], 1, dict(seen))

    def test_password_one_by_one(self):
        """In any order; in between, the first context says what is missing."""
        for words in (("User=" + self.principal("bob"), "Password=b"),
                      ("Password=b", "User=" + self.principal("bob"))):
            lines = self.ours("acquire-krb5", "cred", words[0], "krb5", HTTP, "cred", words[1],
                              "krb5", HTTP)
            self.assertIn("00070000", lines[2])
            self.assertEqual(self.who(lines), ["bob"])

    def test_a_named_one_stays_the_names(self):
        lines = self.ours("acquire-name", self.principal("alice"), "krb5", HTTP,
                          "cred", "User=" + self.principal("bob"), "krb5", HTTP,
                          "cred", "KeytabFile=" + self.realm.path("bob.keytab"), "krb5", HTTP,
                          "cred-reset", "krb5", HTTP)
        self.assertEqual(self.who(lines), ["alice", "alice"])
        self.assertIn("was acquired for alice@", lines[5])

    def test_left_without_identity(self):
        """A reset credential whose identity was its own is nobody's, never the platform's."""
        self.kinit("bob")
        lines = self.calls(self.env(f"KDCHost={self.realm.kdc_host}"), 
                           "store", "User=" + self.principal("alice"), "store",
                           "KeytabFile=" + self.realm.path("alice.keytab"), "acquire-store",
                           "krb5", HTTP,
                           "cred-reset", "krb5", HTTP, "spnego", HTTP)
        self.assertEqual(self.who(lines), ["alice"])
        self.assertIn("00070000", lines[3])
        self.assertIn("no password, keytab or cache", lines[3])

    def test_allowable_enctypes(self):
        """gss_krb5_set_allowable_enctypes: a program restricts, in its own order, what EncryptionTypes
        allows; it brings in nothing that nobody named, and tickets got before are not used."""
        session = ["krb5", HTTP, "session"]

        def sessions(options, *words):
            lines = self.calls(self.env(self.realm.identity("keytab") + " " + options), *words)
            return [line.split(": ", 1)[1] for line in lines if line.startswith("session: ")], lines
        for kind in ("acquire", "acquire-krb5"):
            got, lines = sessions("", kind, *session, "cred-enctypes", "17", *session,
                                  "cred-enctypes", "19,18", *session, "cred-enctypes", "0", *session)
            self.assertEqual(got, ["20", "17", "19", "20"], lines)
        got, lines = sessions("EncryptionTypes=aes-sha1", "acquire", "cred-enctypes", "20,23,17", *session)
        self.assertEqual(got, ["17"], lines)
        got, lines = sessions("EncryptionTypes=aes-sha1", "acquire", "cred-enctypes", "20,23", "krb5", HTTP)
        self.assertRegex(self.said(lines, "krb5 " + HTTP), "program allows .* EncryptionTypes")
        lines = self.calls(self.env(self.realm.identity("keytab")), "acquire", "cred-enctypes", "999")
        self.assertIn("no encryption type", self.said(lines, "cred-enctypes 999"))

    def test_outlives_the_process_settings(self):
        lines = self.calls(self.env(), "process", "User=" + self.principal("alice"),
                           "process", "KeytabFile=" + self.realm.path("alice.keytab"),
                           "acquire-name", self.principal("alice"), "krb5", HTTP, "reset",
                           "krb5", HTTP, "cred-reset", "krb5", HTTP)
        self.assertEqual(self.who(lines), ["alice"] * 3)

    def test_left_to_the_platform(self):
        """Options that a credential itself may switch."""
        self.kinit("bob")
        lines = self.ours("acquire", "cred", "UsePlatformKerberosAPI=True", "krb5", HTTP, "cred-reset",
                          "cred", "Enabled=False", "krb5", HTTP, "cred", "Enabled=True", "krb5", HTTP)
        self.assertEqual(self.who(lines), ["alice", "alice"])
        self.assertIn("Enabled=False", lines[5])

    def test_not_for_processes(self):
        lines = self.ours("acquire", "cred", "UseFIPSCompliantAPI=True", "cred", "BuildInfo=1",
                          "cred-ask", "BuildInfo", "cred-ask", "AuthToken", "cred", "Nonsense=1")
        self.assertIn("000d0000", lines[1])
        self.assertIn("000d0000", lines[2])
        self.assertRegex(lines[3], r"\[.+\]")
        self.assertIn("of a context", lines[4])
        self.assertIn("000d0000", lines[5])

    def test_kdc_is_resolved_at_once(self):
        port = self.realm.port
        lines = self.ours("acquire", "cred", "KDCHost=nosuch.invalid", "cred-ask", "KDCHost",
                          "cred", f"KDCHost=localhost:{port}", "cred-ask", "KDCHost", "krb5", HTTP,
                          "cred", "DelayHostResolution=True", "cred", f"KDCHost=localhost:{port}",
                          "cred-ask", "KDCHost", "krb5", HTTP, "cred-ask", "KDCHost")
        self.assertIn("nosuch.invalid", self.said(lines, "cred KDCHost=nosuch.invalid")[9:])
        asked = [line[19:-1] for line in lines if line.startswith("cred-ask")]
        self.assertEqual(asked[1], f"127.0.0.1:{port}")
        self.assertEqual(asked[2], f"localhost:{port}")
        self.assertEqual(self.who(lines), ["alice", "alice"])

    def test_callbacks(self):
        lines = self.ours("acquire", "callbacks", "cred-callbacks", "one", "cred", "LogLevel=2",
                          "first", "nosuch@localhost", "cred-callbacks", "two", "first", HTTP,
                          "release", "quiet")
        self.assertIn("LOOKING_UP_SERVER", lines[4])
        text = "\n".join(self.events)
        for who in ("process", "one"):
            self.assertRegex(text, f"log {who} 2 Verbose: AS-REQ")
            self.assertRegex(text, f"log {who} 1 Info: New TGT")
            self.assertRegex(text, f"trail {who} 0: client")
            self.assertRegex(text, f"trail {who} 1: received")
            self.assertEqual(len(re.findall(f"error {who} 952: nosuch", text)), 1)
        self.assertRegex(text, "log two 2 Verbose: TGS-REQ")
        # Once each, although there are two credentials of ours behind the program's one.
        for who in ("process", "one", "two"):
            self.assertEqual(self.events.count("released " + who), 1)
            self.assertNotIn(" " + who, text[text.index("released " + who) + 10:])

    def test_replaced_before_it_was_everywhere(self):
        """By another thread, between libgssapi's two calls for one of the program's: what is released
        is not registered again."""
        for kind in ("acquire", "acquire-krb5"):
            lines = self.ours(kind, "cred-callbacks-late", "one", "two", "cred", "LogLevel=2",
                              "first", HTTP, "release")
            self.assertEqual(self.said(lines, "cred-callbacks-late one"), "ok")
            self.assertEqual([event for event in self.events if event.startswith("released")],
                             ["released one", "released two"])
            text = "\n".join(self.events)
            self.assertNotIn(" one", text[text.index("released one") + 12:])
            self.assertRegex(text, "log two 1 Info: New TGT")

    def test_interrupt_reaches_both(self):
        """The credential for krb5 and that below SPNEGO, by one interrupt; and no other credential."""
        with silent_kdc() as kdc:
            options = self.realm.identity("keytab") + f" KDCHost={kdc}"
            begin = time.monotonic()
            lines = self.calls(self.env(options), "acquire", "cred-later", "300", "krb5", HTTP,
                               "cred-later", "300", "spnego", HTTP)
            self.assertLess(time.monotonic() - begin, 10)
            for line in (lines[2], lines[4]):
                self.assertIn("nterrupted", line)
            begin = time.monotonic()
            lines = self.calls(self.env(options + " Timeout=1"), "acquire", "cred-later", "300",
                               "acquire", "krb5", HTTP)
            self.assertNotIn("nterrupted", lines[-1])
            self.assertGreater(time.monotonic() - begin, 0.9)

    def test_what_does_nothing_is_told(self):
        self.kinit("bob")
        for env, words, told in (
                (self.env(), ["store", "Timeout=5"], "nobody who logs in"),
                (self.env(), ["store", "Timeout=5", "store", "Pasword=b"], "Password may be meant"),
                (self.env(self.realm.identity("keytab")), ["store", "Usr=bob"], "User may be meant"),
                (self.env(self.realm.identity("keytab")), ["store", "usepLatformkerberosapi=True",
                                                           "store", "Timeout=5"],
                 "KDCHost, Timeout are not handed over")):
            lines = self.calls(env, "callbacks", *words, "acquire-store", "krb5", HTTP)
            self.assertIn("acquire store: ok", lines)
            self.assertIn(told, "\n".join(self.events))
        self.calls(self.env(), "callbacks", "store", "usr=bob", "acquire-store")
        self.assertEqual(self.events, [])       # nothing there is ours

    def test_export_of_what_was_set(self):
        lines = self.ours("acquire-krb5", "export", "cred", "Timeout=5", "export")
        self.assertEqual(lines[1], "export: ok")
        self.assertIn(UNAVAILABLE, lines[3])


class TestContext(Case):
    FIXED = (("LocalPort=5000", 106), ("LocalHost=127.0.0.1", 107), ("MaxPacketSize=2000", 112),
             ("ShareLocalPort=True", 113), ("KDCHost=kdc", 114), ("KDCPort=89", 115),
             ("KDCPort=0", 116), ("UseConnection=True", 117), ("User=bob", 950))

    def test_auth_token(self):
        for mech in ("krb5", "spnego", "once", "first"):
            lines = self.calls(self.env(self.realm.identity("keytab")), mech, HTTP, "token",
                               "ctx", "EncodeAuthToken=True", "ctx-ask", "AuthToken",
                               "ctx", "EncodeAuthToken=False", "token")
            self.assertEqual(lines[1], "token: smaller, in the token that went out, tag 6e", mech)
            self.assertEqual(lines[5], lines[1])
            token = base64.b64decode(lines[3][len("ctx-ask AuthToken: ["):-1], validate=True)
            self.assertEqual(token[0], 0x6e)

    def test_encoded_from_the_start(self):
        options = self.realm.identity("keytab") + " EncodeAuthToken=True"
        lines = self.calls(self.env(options), "first", HTTP, "ctx-ask", "AuthToken")
        self.assertEqual(base64.b64decode(lines[1][len("ctx-ask AuthToken: ["):-1])[0], 0x6e)

    def test_no_context_yet(self):
        lines = self.calls(self.env(self.realm.identity("keytab")), "ctx", "LogLevel=3", "ctx-ask",
                           "LogLevel")
        self.assertIn("00080000", lines[0])

    def test_log_of_one_context(self):
        """What is set in it holds for its next leg; here the acceptor's answer."""
        trace = self.realm.path("one.trace")
        for setting in ("TraceFile=" + trace, "LogLevel=3"):
            lines = self.calls(self.env(self.realm.identity("keytab")), "first", HTTP,
                               "ctx", setting, "ctx-ask", setting.split("=")[0], "krb5", HTTP)
            self.assertEqual(lines[1:3], [f"ctx {setting}: ok", "ctx-ask {}: [{}]".format(
                *setting.split("="))])
        self.assertFalse(os.path.exists(trace))     # it was the first context's alone

    def test_too_late(self):
        words = [w for setting, _ in self.FIXED for w in ("ctx", setting)]
        lines = self.calls(self.env(self.realm.identity("keytab")), "acquire", "cred-callbacks", "c",
                           "first", HTTP, *words)
        for setting, number in self.FIXED:
            self.assertIn("000d0000", self.said(lines, "ctx " + setting))
        numbers = [int(e.split()[2][:-1]) for e in self.events if e.startswith("error c")]
        self.assertEqual(numbers, [number for _, number in self.FIXED])


class TestSecrets(Case):
    """A password that a program hands over is gone when the program takes it back, also where an
    established context is still there."""

    def search(self, *words):
        if not os.path.exists(PRELOAD):
            self.skipTest("a sanitizer's memory is terabytes wide")
        password = self.realm.passwords["alice"]
        words = [password[::-1] if word == "BACKWARDS" else word for word in words]
        return self.calls(self.env(self.realm.identity("keytab", "bob")), *words,
                          text=(password + "\n") * 2)

    def test_credential(self):
        for kind in ("krb5", "once"):
            for end in ("cred-reset", "release"):
                lines = self.search("acquire-krb5", "cred", "User=" + self.principal("alice"),
                                    "cred-password", "search", "BACKWARDS", kind, HTTP,
                                    "search", "BACKWARDS", end, "search", "BACKWARDS",
                                    "ctx-ask", "Password", "ctx", "LogLevel=2", "ctx-ask", "User",
                                    "ctx-ask", "LogLevel", "ctx-ask", "KDCHost")
                self.assertEqual([line for line in lines if line.startswith("search")],
                                 ["search: found"] * 2 + ["search: not found"], kind + end)
                self.assertEqual(self.said(lines, "ctx-ask Password"), "[********]")
                self.assertEqual(self.said(lines, "ctx-ask User"), f"[{self.principal('alice')}]")
                self.assertEqual(self.said(lines, "ctx-ask LogLevel"), "[2]")
                self.assertEqual(self.said(lines, "ctx-ask KDCHost"), f"[{self.realm.kdc_host}]")

    def test_process(self):
        lines = self.search("process", "User=" + self.principal("alice"), "process-password",
                            "krb5", HTTP, "search", "BACKWARDS", "reset", "search", "BACKWARDS",
                            "krb5", HTTP, "search", "BACKWARDS")
        self.assertEqual([line for line in lines if line.startswith("search")],
                         ["search: found", "search: not found", "search: not found"])

    def test_replaced(self):
        lines = self.search("acquire-krb5", "cred", "User=" + self.principal("alice"),
                            "cred-password", "krb5", HTTP, "cred", "Password=x",
                            "krb5", HTTP, "search", "BACKWARDS")
        self.assertEqual(lines[-1], "search: not found", lines)


class TestEveryOption(Case):
    """Each row of options.def in each place that a program can set it, and asked for there."""

    # A value that is no default, and how it is shown where it is shown otherwise.
    SAMPLES = {
        "User": "bob@EXAMPLE.COM", "Password": ("hush", "********"), "KeytabFile": "/tmp/k",
        "CredentialsCacheFile": "FILE:/tmp/c", "KDCHost": "tcp/192.0.2.1:88", "KDCPort": "750",
        "PrimaryKDC": "192.0.2.2", "SPN": "HTTP/www", "UseTCP": "True", "Timeout": "7",
        "AbsoluteTimeout": "True", "EncodeAuthToken": "True",
        "EncryptionTypes": "aes128-cts-hmac-sha1-96", "UsePlatformKerberosAPI": "True",
        "UseInternalSecurityAPI": "False", "UseFIPSCompliantAPI": "True", "Enabled": "False",
        "Canonicalize": "True", "NameType": "enterprise", "DNSCanonicalize": "False",
        "Delegate": "never", "Forwardable": "False", "Proxiable": "True", "NoAddresses": "False",
        "TicketLife": "1h30m", "RenewLife": "2d", "MinLifetime": ("120", "2m"),
        "StoreTickets": "False", "BadSecretPause": "5m", "MinIterationsSHA1": "5000",
        "MinIterationsSHA2": "40000", "MaxIterations": "50000", "LogLevel": "2",
        "LogFile": "stderr", "TraceFile": "/tmp/t", "PacketCapture": "/tmp/p",
        "LogKerberosPackets": "True", "MaskSensitive": "False", "GUIAvailable": "True",
        "LocalHost": "127.0.0.1", "LocalPort": "5000", "ShareLocalPort": "True", "UseIPv6": "False",
        "UseConnection": "True", "DontFragment": "True", "MaxPacketSize": "2000",
        "QOSDSCPValue": "46", "QOSTrafficType": "Voice", "CaptureIPPacketInfo": "True",
        "DelayHostResolution": "True", "InBufferSize": "100000", "OutBufferSize": "100000",
        "FirewallHost": "192.0.2.3", "FirewallPort": "8080",
        "FirewallData": ("Proxy-Authorization: hush", "********"), "UDPLimit": "1000",
        "ClockSkew": "100", "Config": "@config",
    }
    # What goes with no other, or not alone.
    BEFORE = {"Password": ["User=bob@EXAMPLE.COM"], "FirewallPort": ["FirewallHost=192.0.2.3"],
              "FirewallData": ["FirewallHost=192.0.2.3"], "ShareLocalPort": ["LocalPort=5000"],
              "QOSTrafficType": ["UseConnection=True"], "QOSDSCPValue": ["UseConnection=True"]}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(os.path.join(SOURCE, "mech", "options", "options.def")) as file:
            rows = re.findall(r"^KB_OPTION\((\w+),.*?(PROCESS|CREDENTIAL|CONTEXT),\s*([\w| ]+?),\s*\"",
                              file.read(), re.M)
        cls.rows = [(name, scope, "READ_ONLY" in flags) for name, scope, flags in rows]
        with open(cls.realm.path("config"), "w") as file:
            file.write("Timeout = 8\n")

    def sample(self, name):
        value = self.SAMPLES[name]
        value = value if isinstance(value, tuple) else (value, value)
        return tuple(self.realm.path("config") if v == "@config" else v for v in value)

    def settings(self, name):
        return self.BEFORE.get(name, []) + [f"{name}={self.sample(name)[0]}"]

    def test_rows(self):
        self.assertGreater(len(self.rows), 60)
        self.assertEqual({name for name, _, read_only in self.rows if not read_only},
                         set(self.SAMPLES))

    def each(self, before, call, ask, wanted):
        """One process for all: reset between them."""
        words, names = list(before), []
        for name, scope, read_only in self.rows:
            if wanted(scope) and not read_only:
                names.append(name)
                for setting in self.settings(name):
                    words += [call, setting]
                words += [ask, name, ("cred-" if call == "cred" else "") + "reset"]
        lines = self.calls(self.env(self.realm.identity("keytab")), *words)
        for name in names:
            for setting in self.settings(name):
                self.assertEqual(self.said(lines, f"{call} {setting}"), "ok", name)
            self.assertEqual(self.said(lines, f"{ask} {name}"), f"[{self.sample(name)[1]}]", name)

    def test_process(self):
        self.each((), "process", "ask", lambda scope: True)

    def test_credential(self):
        self.each(("acquire-krb5",), "cred", "cred-ask", lambda scope: scope != "PROCESS")

    def test_context(self):
        words = ["first", HTTP]
        for name, scope, read_only in self.rows:
            if not read_only:
                words += ["ctx", f"{name}={self.sample(name)[0]}", "ctx-ask", name]
        lines = self.calls(self.env(self.realm.identity("keytab")), *words)
        for name, scope, read_only in self.rows:
            if not read_only:
                said = self.said(lines, f"ctx {name}={self.sample(name)[0]}")
                if scope == "CONTEXT":
                    self.assertEqual(said, "ok", name)
                    self.assertEqual(self.said(lines, f"ctx-ask {name}"), f"[{self.sample(name)[1]}]")
                else:
                    self.assertIn(name, said[9:])

    def test_cred_store(self):
        """Keys that are options, whatever their case; the acquire tells what is wrong."""
        if not os.path.exists(PRELOAD):
            self.skipTest("Python loads no sanitizer")
        good = self.realm.identity("keytab")
        with Peer(self.env(good)) as client:
            for name, scope, read_only in self.rows:
                if name in ("Enabled", "UsePlatformKerberosAPI", "CredentialsCacheFile"):
                    continue    # they decide whose the credential is
                with self.subTest(name=name):
                    store = dict(s.split("=", 1) for s in self.settings(name)) if not read_only \
                        else {name.upper(): "x"}
                    if scope == "PROCESS" or read_only:
                        with self.assertRaises(GSSFailure) as refused:
                            client.acquire(cred="c", store=store, mechs=[KRB5])
                        self.assertIn(name, refused.exception.text)
                    else:
                        client.acquire(cred="c", store=store, mechs=[KRB5])

    def test_read_only(self):
        words = ["acquire", "first", HTTP]
        for name, _, read_only in self.rows:
            if read_only:
                words += ["process", name + "=x", "cred", name + "=x", "ctx", name + "=x",
                          "ask", name, "cred-ask", name, "ctx-ask", name]
        lines = self.calls(self.env(self.realm.identity("keytab")), *words)
        for name, _, read_only in self.rows:
            if read_only:
                for call in ("process", "cred", "ctx"):
                    self.assertEqual(self.said(lines, f"{call} {name}=x")[:8], "000d0000", name)
                    self.assertNotIn("Busy", self.said(lines, f"{call} {name}=x"))
        self.assertRegex(self.said(lines, "ask BuildInfo"), r"\[.*OpenSSL.*\]")
        self.assertRegex(self.said(lines, "cred-ask LicenseInfo"), r"\[.*MIT.*\]")
        self.assertEqual(self.said(lines, "ask DestinationAddress"), "[]")


class TestStress(Case):
    def test_threads(self):
        alice, bob = self.principal("alice"), self.principal("bob")
        lines = self.calls(self.env(self.realm.identity("keytab")), "acquire", "cred", "User=" + alice,
                           "cred", "KeytabFile=" + self.realm.path("two.keytab"),
                           "threads", "8", "15", alice, bob)
        self.assertEqual(lines[-1], "threads: 0 wrong, released as often as registered",
                         "\n".join(lines))

    def test_short_memory(self):
        """Each allocation of the plugin fails once: no crash, and nobody else is logged in."""
        if not os.path.exists(PRELOAD):
            self.skipTest("not in a build with sanitizers")
        env = self.env(self.realm.identity("keytab"), LD_PRELOAD=PRELOAD)
        scenarios = (("process", "Timeout=5", "ask", "User", "callbacks", "interrupt", "reset"),
                     ("acquire-krb5", "cred", "User=" + self.principal("bob"),
                      "cred", "KeytabFile=" + self.realm.path("bob.keytab"), "cred-callbacks", "c",
                      "cred-interrupt", "cred-ask", "Timeout", "cred-reset"),
                     ("first", HTTP, "ctx", "LogLevel=2", "ctx", "EncodeAuthToken=True", "ctx",
                      "LocalPort=1", "ctx-ask", "AuthToken"))
        for words in scenarios:
            number, reached = 0, True
            while reached:
                number += 1
                self.assertLess(number, 1500)
                done = subprocess.run([os.path.join(BUILD, "tests", "spi", "calls"), *words],
                                      env=dict(env, KB_FAIL_MALLOC=str(number)), timeout=60,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.assertEqual(done.returncode, 0, f"allocation {number}: {done.stdout}")
                reached = b"not reached" not in done.stderr
            self.assertGreater(number, 10)


class TestExamples(Case):
    """What the manual shows."""

    def example(self, name, *args, options=None, code=0, **more):
        returned, text = run([os.path.join(BUILD, "doc", "examples", name), *args],
                             self.env(options, **more))
        self.assertEqual(returned, code, text)
        return text

    def test_options(self):
        text = self.example("options", "Timeout=5", "Timeout", "User", "KDCPort",
                            options=self.realm.identity("keytab"))
        self.assertEqual(text, f"Timeout: 5\nUser: {self.principal('alice')}\nKDCPort: 88\n")
        self.assertIn("not installed", self.example("options", "User", plugin=False, code=1))
        self.assertIn("did you mean Timeout?", self.example("options", "Timeot=5", code=1))

    def test_credential(self):
        text = self.example("credential", HTTP, self.principal("alice"),
                            "file:" + self.realm.password_file("alice"), self.principal("bob"),
                            "file:" + self.realm.password_file("bob"))
        first, second = text.splitlines()
        self.assertRegex(first, rf"User {self.principal('alice')}, KDCHost 127\.0\.0\.1\S*, "
                                r"LocalHost 127\.0\.0\.1, LocalPort [1-9]\d*")
        self.assertIn("User " + self.principal("bob"), second)

    def test_events(self):
        text = self.example("events", HTTP, options=self.realm.identity("password"))
        for line in ("log 2 (Verbose): AS-REQ", "log 1 (Info): New TGT for alice",
                     "trail, client: client", "trail, server: received", "trail, info: ",
                     "no more events; "):
            self.assertIn(line, text)
        self.assertNotIn("correct horse", text)
        text = self.example("events", "nosuch@localhost", options=self.realm.identity("password"),
                            code=1)
        self.assertRegex(text, r"(?m)^error 952: nosuch/localhost.*\n")

    def test_wait(self):
        text = self.example("wait", HTTP, "100", options=self.realm.identity("keytab"))
        self.assertRegex(text, "logged in after [0-9]+ turns")
        with silent_kdc() as kdc:
            options = self.realm.identity("keytab") + f" KDCHost={kdc}"
            begin = time.monotonic()
            text = self.example("wait", HTTP, "5", options=options, code=1)
            took = time.monotonic() - begin
        self.assertIn("ended after 5 turns", text)
        self.assertIn("Cancelled by the program", text)
        self.assertLess(took, 10)

    def test_interrupt(self):
        for how in ("signal", "thread"):
            with silent_kdc() as kdc:
                options = self.realm.identity("keytab") + f" KDCHost={kdc}"
                begin = time.monotonic()
                text = self.example("interrupt", how, HTTP, options=options, code=1)
                took = time.monotonic() - begin
            self.assertIn("nterrupted", text)
            self.assertTrue(0.9 < took < 10, f"{how}: {took} s")
        text = self.example("interrupt", "thread", HTTP, options=self.realm.identity("keytab"))
        self.assertEqual(text, "logged in\n")

    def test_token(self):
        text = self.example("token", HTTP, options=self.realm.identity("keytab"))
        token, complaint = text.splitlines()
        self.assertEqual(base64.b64decode(token, validate=True)[0], 0x6e)
        self.assertIn("LocalPort", complaint)

    def test_python(self):
        if not os.path.exists(PRELOAD):
            self.skipTest("Python loads no sanitizer")
        script = os.path.join(SOURCE, "doc", "examples", "store.py")
        settings = ["User=" + self.principal("bob"),
                    "Password=file:" + self.realm.password_file("bob"), "Timeout=10"]
        code, text = run(["/usr/bin/python3", script, HTTP, *settings], self.env())
        self.assertEqual(code, 0, text)
        self.assertRegex(text, rf"^{self.principal('bob')}: a token of \d+ bytes for {HTTP}")
        for wrong, word in (("Timeout=soon", "Timeout=soon"), ("AuthToken=x", "AuthToken"),
                            ("UseFIPSCompliantAPI=True", "UseFIPSCompliantAPI")):
            code, text = run(["/usr/bin/python3", script, HTTP, *settings, wrong], self.env())
            self.assertEqual(code, 1, text)
            self.assertIn(word, text)


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", modules=["gssapi"], plugin=True)
