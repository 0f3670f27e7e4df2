#!/usr/bin/python3
"""The command kerbside: every subcommand, as text and as JSON, each exit code, and what it says where
the command line, the configuration, the plugin or the KDC are not what they should be."""
import base64
import datetime
import json
import os
import pty
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "realm")]
import harness                          # noqa: E402
from kdc import write                   # noqa: E402
from realm import MECH_OID, Realm, plugin_path     # noqa: E402

BUILD = os.environ.get("KB_BUILDDIR", os.getcwd())
SOURCES = os.environ.get("KB_SRCDIR", os.path.join(HERE, "..", ".."))
KERBSIDE = os.path.join(BUILD, "cli", "kerbside")
OK, FAILED, USAGE, CONFIG, NO_PLUGIN, SYSTEM = range(6)
COMMANDS = ("token", "login", "config", "list", "forget", "decode", "doctor")

ACCEPT = """
import base64, gssapi, sys
context = gssapi.SecurityContext(usage="accept")
context.step(base64.b64decode(sys.argv[1]))
print(context.initiator_name)
"""


class Result:
    def __init__(self, argv, done):
        self.argv, self.code = argv, done.returncode
        self.raw, self.err = done.stdout, done.stderr.decode()

    @property
    def out(self):
        return self.raw.decode()

    @property
    def json(self):
        return json.loads(self.raw)

    def __str__(self):
        return f"{' '.join(self.argv)} -> {self.code}\n{self.raw[:2000]!r}\n{self.err}"


class CommandTest(unittest.TestCase):
    env = None

    def run_kerbside(self, *args, env=None, stdin=b"", code=OK):
        """Runs it; the exit code must be `code`, and complaints begin with the command's name."""
        wrapper = os.environ.get("KB_WRAPPER", "").split()
        done = subprocess.run([*wrapper, KERBSIDE, *args], env=env or self.env, input=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        result = Result(args, done)
        self.assertEqual(result.code, code, result)
        for line in result.err.splitlines():
            self.assertRegex(line, r"^(kerbside: |Try \")", result)
        if code != OK:
            self.assertTrue(result.err.startswith("kerbside: "), result)
        return result

    def servers(self, env):
        return [t["server"].split("/")[0] for t in self.run_kerbside("list", "--json", env=env).json["tickets"]]

    def complains(self, *args, words=(), **more):
        result = self.run_kerbside(*args, **more)
        for word in words:
            self.assertIn(word, result.err, result)
        return result


class TestUsage(CommandTest):
    env = {"PATH": os.environ["PATH"], "GSS_MECH_CONFIG": "/nonexistent", "KRB5_CONFIG": "/dev/null"}

    def test_help(self):
        text = self.run_kerbside("--help").out
        for command in COMMANDS:
            self.assertIn(f"  {command} ", text)
            own = self.run_kerbside(command, "--help").out
            self.assertTrue(own.startswith(f"Usage: kerbside {command} [OPTION]... "), own)
            self.assertIn("--json", own)
            self.assertEqual(own, self.run_kerbside(command, "-h").out)
            self.assertLessEqual(max(map(len, own.splitlines())), 100)

    def test_version(self):
        self.assertRegex(self.run_kerbside("--version").out, r"^kerbside \d+\.\d+")
        self.assertRegex(self.run_kerbside("-V").out, r"^kerbside \d+\.\d+")

    def test_wrong(self):
        for args, words in (
                ((), ["which command?"]),
                (("tokn", "x"), ['"tokn"', 'did you mean "token"?']),
                (("frobnicate",), ['no command "frobnicate"']),
                (("--frob",), ["unrecognized option '--frob'"]),
                (("token",), ["token needs SPN"]),
                (("token", ""), ["empty"]),
                (("token", "a", "b"), ['takes no "b"']),
                (("token", "--frob", "x"), ["unrecognized option '--frob'"]),
                (("token", "-o"), ["requires an argument"]),
                (("token", "--raw", "--base64", "x"), ["--raw"]),
                (("login", "a", "b"), ['takes no "b"']),
                (("login", "--log", "9"), ["--log takes 1, 2 or 3"]),
                (("config", "Usr"), ['no option "Usr"', "did you mean User?"]),
                (("config", "frobnicate"), ['no option "frobnicate"']),
                (("config", "User=alice"), ["not set here"]),
                (("config", "-o", "Timeout=ten"), ["kerbside: -o: Timeout=ten"]),
                (("config", "-o", "Timeot=10"), ["Timeot", "Timeout"]),
                (("list", "x"), ['takes no "x"']),
                (("decode", "a", "b"), ['takes no "b"'])):
            with self.subTest(args=args):
                self.complains(*args, words=words, code=USAGE)

    def test_habits_of_getopt(self):
        self.assertEqual(self.run_kerbside("--json", "config", "--", "Timeout").json["value"], "60")
        self.assertEqual(self.run_kerbside("config", "Timeout", "--js").json["value"], "60")
        self.assertEqual(self.run_kerbside("config", "-oTimeout=5", "Timeout").out, "5\n")
        self.assertEqual(self.run_kerbside("config", "--option=Timeout=5", "timeout").out, "5\n")
        self.complains("decode", "--", "--json", words=["--json: No such file"], code=SYSTEM)

    def test_output_that_fails(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([KERBSIDE, "config"], env=self.env, stdout=full,
                                  stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, SYSTEM)
        self.assertIn(b"kerbside: standard output: No space left on device", done.stderr)
        done = subprocess.run(f"{KERBSIDE} config >&-", shell=True, env=self.env,
                              stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, SYSTEM)

    def test_errors_as_json(self):
        for args, code in ((["--json", "frob"], USAGE), (["config", "--json", "frob"], USAGE),
                           (["decode", "--json", "/nonexistent"], SYSTEM)):
            told = self.run_kerbside(*args, code=code).json
            self.assertEqual(told["exit"], code)
            self.assertTrue(told["error"])

    def test_no_control_characters(self):
        self.assertNotIn("\x1b", self.run_kerbside("config", "\x1b[31mred", code=USAGE).err)

    def test_other_locale(self):
        env = dict(self.env, LC_ALL="tr_TR.UTF-8", LANG="de_DE.UTF-8", TZ="Asia/Tokyo")
        self.assertEqual(self.run_kerbside("config", "TIMEOUT", env=env).out, "60\n")


def shared_realm(made=[]):
    """One for all: it is gone when this process ends."""
    if not made:
        made.append(Realm().__enter__())
    return made[0]


class InRealm(CommandTest):
    @classmethod
    def setUpClass(cls):
        cls.realm = shared_realm()
        cls.me = "alice@" + cls.realm.name
        cls.web = "HTTP/localhost@" + cls.realm.name
        cls.env = cls.realm.env(options=cls.realm.identity() + " LogFile=" + cls.realm.path("log"))

    def password(self):
        return self.realm.passwords["alice"]

    def accept(self, token):
        """Who an acceptor of the platform's says that the token is from."""
        done = subprocess.run(["/usr/bin/python3", "-c", ACCEPT, base64.b64encode(token)],
                              env=self.realm.service_env(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode().strip()


def framed(ap_req):
    """RFC 4121 4.1."""
    body = bytes.fromhex("06092a864886f7120102020100") + ap_req
    return b"\x60\x82" + len(body).to_bytes(2, "big") + body


class TestToken(InRealm):
    def test_ap_req(self):
        for args, env in (([], None), (["--base64"], None), (["-b"], None),
                          (["-o", "EncodeAuthToken=True"], None),
                          (["-o", "EncodeAuthToken=True", "--raw"], None)):
            with self.subTest(args=args):
                out = self.run_kerbside("token", *args, "HTTP@localhost").raw
                encoded = args and args[-1] != "--raw"
                token = base64.b64decode(out, validate=False) if encoded else out
                if encoded:
                    self.assertRegex(out, rb"^[A-Za-z0-9+/]+=*\n$")
                self.assertEqual(token[0], 0x6e)
                self.assertEqual(self.accept(framed(token)), self.me)

    def test_frames(self):
        token = self.run_kerbside("token", "--gss", self.web).raw
        self.assertEqual(self.accept(token), self.me)
        text = self.run_kerbside("token", "--spnego", "HTTP/localhost").out
        self.assertEqual(self.accept(base64.b64decode(text)), self.me)
        raw = self.run_kerbside("token", "--spnego", "--raw", "HTTP@localhost").raw
        self.assertEqual(self.accept(raw), self.me)
        header = self.run_kerbside("token", "--header", "HTTP@localhost").out
        self.assertTrue(header.startswith("Authorization: Negotiate YI"), header)
        self.assertEqual(self.accept(base64.b64decode(header.split()[2])), self.me)

    def test_flags(self):
        for args, flags in (([], {"conf", "integ"}), (["-m"], {"mutual"}), (["-d"], {"deleg"})):
            token = self.run_kerbside("token", *args, "host@localhost").raw
            keytab = self.realm.path("service.keytab")
            shown = self.run_kerbside("decode", "--json", "-k", keytab, stdin=token).json
            checksum = shown["AP-REQ"]["Authenticator"]["cksum"]["checksum-8003"]
            self.assertTrue(flags <= set(checksum["flags-names"]), checksum)

    def test_json(self):
        told = self.run_kerbside("token", "--json", "HTTP@localhost").json
        self.assertEqual((told["form"], told["by"]), ("ap-req", "kerbside"))
        self.assertEqual((told["client"], told["server"]), (self.me, self.web))
        self.assertEqual(self.accept(framed(base64.b64decode(told["token"]))), self.me)

    def test_terminal(self):
        """A terminal gets no bytes, but Base64."""
        for args, code in (([], USAGE), (["--gss"], USAGE), (["--base64"], OK), (["--spnego"], OK)):
            master, slave = pty.openpty()
            done = subprocess.run([KERBSIDE, "token", *args, "HTTP@localhost"], env=self.env,
                                  stdout=slave, stderr=subprocess.PIPE)
            os.close(slave)
            self.assertEqual(done.returncode, code, done.stderr)
            if code == USAGE:
                self.assertIn(b"--base64", done.stderr)
            else:
                self.assertRegex(os.read(master, 100), rb"^[A-Za-z0-9+/]{60}")
            os.close(master)

    def test_curl(self):
        """What the manual shows: the header goes to curl."""
        self.assertIn('curl -H "$(kerbside token --header', self.run_kerbside("token", "-h").out)

    def test_options(self):
        wrong = self.realm.password_file("wrong", "not it")
        self.complains("token", "-o", "User=" + self.me, "-o", "Password=file:" + wrong,
                       "HTTP@localhost", words=[self.me, "password", self.realm.kdc_host], code=FAILED)
        bob = self.realm.password_file("bob")
        told = self.run_kerbside("token", "--json", "-o", f"User=bob@{self.realm.name}", "-o",
                                 "Password=file:" + bob, "HTTP@localhost").json
        self.assertEqual(told["client"], "bob@" + self.realm.name)
        self.complains("token", "-o", "Frobnicate=1", "HTTP@localhost", words=["Frobnicate"],
                       code=USAGE)


class TestLogin(InRealm):
    def test_text(self):
        text = self.run_kerbside("login", "HTTP@localhost").out
        lines = dict(line.split(": ", 1) for line in text.splitlines())
        self.assertEqual(lines["by"], "kerbside")
        self.assertEqual(lines["client"], self.me)
        self.assertEqual(lines["server"], self.web)
        self.assertIn("forwardable", lines["flags"])
        self.assertIn(self.realm.kdc_host, lines["kdc"])
        self.assertRegex(lines["endtime"], r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC$")

    def test_json(self):
        told = self.run_kerbside("login", "--json", "HTTP@localhost").json
        self.assertEqual((told["client"], told["server"]), (self.me, self.web))
        self.assertEqual(told["ticket-etype-name"], "aes256-cts-hmac-sha384-192")
        ends = datetime.datetime.fromisoformat(told["endtime"].replace("Z", "+00:00"))
        left = ends - datetime.datetime.now(datetime.timezone.utc)
        self.assertAlmostEqual(left.total_seconds(), 86400, delta=120)

    def test_tgt(self):
        env = dict(self.env)
        env["KERBSIDE_OPTIONS"] += " CredentialsCacheFile=" + self.realm.path("tgt-alone")
        with self.realm.counting() as seen:
            told = self.run_kerbside("login", "--json", env=env).json
        self.assertEqual(told["server"], "krbtgt/{0}@{0}".format(self.realm.name))
        self.assertEqual(seen["TGS"], 0, dict(seen))
        self.assertEqual(self.servers(env), ["krbtgt"])

    def test_trail_and_log(self):
        text = self.run_kerbside("login", "--trail", "HTTP@localhost").out
        for wanted in ("AS-REQ:\n", "AS-REP:\n", "TGS-REP:\n", "received from " + self.realm.kdc_host):
            self.assertIn(wanted, text)
        events = self.run_kerbside("login", "--trail", "--log=2", "--json", "HTTP@localhost").json["events"]
        self.assertEqual({e["kind"] for e in events}, {"log", "trail"})
        self.assertTrue({"client", "server", "info"} <= {e.get("direction") for e in events})
        self.assertIn("verbose", {e.get("level") for e in events})
        self.assertNotIn(self.password(), json.dumps(events))

    def test_wrong_password(self):
        wrong = self.realm.password_file("wrong", "not it either")
        env = dict(self.env, KERBSIDE_OPTIONS=f"User={self.me} Password=file:{wrong} "
                   f"KDCHost={self.realm.kdc_host} LogFile={self.realm.path('log')}")
        result = self.complains("login", "--json", "HTTP@localhost", env=env, code=FAILED,
                                words=[self.me, "file:" + wrong, self.realm.kdc_host])
        self.assertEqual(result.json["exit"], FAILED)
        self.assertIn("password", result.json["error"])
        result = self.complains("login", "--trail", "HTTP@localhost", env=env, code=FAILED)
        self.assertIn("KRB-ERROR:", result.out)

    def test_kdc_down(self):
        env = dict(self.env, KERBSIDE_OPTIONS=f"User={self.me} Password=file:"
                   f"{self.realm.password_file()} KDCHost=127.0.0.1:9 Timeout=3")
        self.complains("login", "HTTP@localhost", env=env, code=FAILED, words=["127.0.0.1:9"])

    def test_unknown_service(self):
        self.complains("login", "nothing@localhost", words=["nothing/localhost"], code=FAILED)

    def test_broken_configuration(self):
        for options, words in (("User=alice@X Pasword=x", ["Pasword", "did you mean Password?"]),
                               ("Timeout=ten", ["Timeout=ten"]),
                               ("Password=file:/x", ["Password"]),
                               (f"User={self.me} Password=file:/nonexistent", ["/nonexistent"]),
                               (f"User={self.me} KeytabFile=/nonexistent", ["/nonexistent"])):
            with self.subTest(options=options):
                env = dict(self.env, KERBSIDE_OPTIONS=options)
                self.complains("login", "HTTP@localhost", env=env, words=words, code=CONFIG)
        self.complains("login", "-o", "Enabled=False", "HTTP@localhost", words=["Enabled=False"],
                       code=CONFIG)

    def test_plugin_absent(self):
        interposer = self.realm.mech_config(name="plain").replace("plain.conf", "plain2.conf")
        write(interposer, f"kerbside {MECH_OID} /nonexistent/kerbside.so <interposer>\n")
        for config in ("/dev/null", "/nonexistent", interposer):
            env = dict(self.env, GSS_MECH_CONFIG=config)
            for command in ("login", "token"):
                self.complains(command, "HTTP@localhost", env=env, code=NO_PLUGIN,
                               words=["does not load kerbside.so", "/etc/gss/mech.d", "kerbside(8)"])
        # What reads the configuration itself goes on.
        self.assertEqual(self.run_kerbside("config", "User", env=env).out, self.me + "\n")

    def test_no_identity(self):
        env = self.realm.env(krb5_conf=self.realm.krb5_conf)
        self.complains("login", "HTTP@localhost", env=env, code=CONFIG,
                       words=["no identity is configured", "KERBSIDE_OPTIONS"])
        # With a ticket of the platform's it says whose that is.
        with open(self.realm.password_file()) as secret:
            subprocess.run(["kinit", "alice"], stdin=secret, stdout=subprocess.DEVNULL, check=True,
                           env=self.realm.env(plugin=False))
        result = self.complains("login", "--json", "HTTP@localhost", env=env,
                                words=["the platform's own", self.me])
        self.assertEqual(result.json["by"], "platform")
        os.unlink(self.realm.path("ccache"))

    def test_left_to_the_platform(self):
        env = dict(self.env, KERBSIDE_OPTIONS=self.env["KERBSIDE_OPTIONS"]
                   + " UsePlatformKerberosAPI=True", KRB5_CONFIG=self.realm.krb5_conf)
        told = self.run_kerbside("login", "--json", "HTTP@localhost", env=env).json
        self.assertEqual((told["by"], told["client"]), ("platform", self.me))


class TestConfig(InRealm):
    def config_file(self, text):
        return write(self.realm.path("options.conf"), text)

    def test_value(self):
        self.assertEqual(self.run_kerbside("config", "user").out, self.me + "\n")
        self.assertEqual(self.run_kerbside("config", "Timeout").out, "60\n")
        self.assertEqual(self.run_kerbside("config", "SPN").out, "")
        self.assertEqual(self.run_kerbside("config", "Password").out,
                         f"file:{self.realm.password_file()}\n")

    def test_list(self):
        told = self.run_kerbside("config", "--json").json
        rows = {row["name"]: row for row in told["options"]}
        text = self.run_kerbside("config").out
        self.assertEqual([line.split()[0] for line in text.splitlines()], list(rows))
        self.assertTrue(told["identity"])
        self.assertEqual(rows["User"]["layer"], "environment")
        self.assertEqual(rows["Timeout"], dict(rows["Timeout"], value="60", default=True,
                                               layer="default"))
        changed = self.run_kerbside("config", "--changed").out
        self.assertRegex(changed, r"(?m)^User +alice@\S+ +KERBSIDE_OPTIONS$")
        self.assertNotIn("Timeout", changed)
        self.assertIn("Timeout", self.run_kerbside("config", "--changed", "--all").out)

    def test_origin_and_sections(self):
        path = self.config_file("Timeout = 7\nUser = alice@A\nPassword = env:PW\n"
                                "[target HTTP@*]\nUser = bob@B\nPassword = env:PW\n"
                                "[client alice@A]\nKDCHost = kdc.svc\n"
                                "[program */python3*]\nTimeout = 8\n")
        env = dict(self.env, KERBSIDE_OPTIONS=f"Config={path}", PW="x")
        row = self.run_kerbside("config", "--json", "Timeout", env=env).json
        self.assertEqual((row["value"], row["file"], row["line"]), ("7", path, 1))
        self.assertIn(f"{path}:1", self.run_kerbside("config", env=env).out)
        self.assertEqual(self.run_kerbside("config", "User", env=env).out, "alice@A\n")
        for args in (["--target", "HTTP@www"], ["-t", "HTTP/www"], ["--target=HTTP@www"]):
            self.assertEqual(self.run_kerbside("config", *args, "User", env=env).out, "bob@B\n")
        for args, timeout in (((), "7\n"), (("-p", sys.executable), "8\n"),
                              (("--program=python3",), "8\n"), (("-p", "/x/y"), "7\n")):
            self.assertEqual(self.run_kerbside("config", *args, "Timeout", env=env).out, timeout)
        self.assertEqual(self.run_kerbside("config", "-c", "alice@A", "KDCHost", env=env).out,
                         "kdc.svc\n")

    def test_secrets_are_masked(self):
        env = dict(self.env, KERBSIDE_OPTIONS='User=alice@A Password="s3cret word" '
                   'FirewallHost=proxy FirewallData="Proxy-Authorization: Basic c2VjcmV0"')
        for args in (["config"], ["config", "--json"], ["config", "Password"],
                     ["config", "FirewallData"]):
            out = self.run_kerbside(*args, env=env).out
            self.assertNotIn("s3cret", out)
            self.assertNotIn("c2VjcmV0", out)
            self.assertIn("********", out)

    def test_broken(self):
        path = self.config_file("Timeout = 7\nTimout = 8\n")
        env = dict(self.env, KERBSIDE_CONFIG=path)
        result = self.complains("config", "--json", env=env, code=CONFIG,
                                words=[path + ":2", "Timout", "Timeout"])
        self.assertIn("Timout", result.json["error"])


    def test_check(self):
        path = self.config_file("Timeout = 7\nTimout = 8\n[target HTTP@*]\nKDCPort = 99999\n")
        result = self.run_check("--check", path)
        self.assertEqual([line.split(": ")[0] for line in result.out.splitlines()],
                         [path + ":2", path + ":4"])
        self.assertIn("Timout", result.out)
        told = self.run_check("--json", "--check=" + path).json
        self.assertEqual([(p["line"], p["warning"]) for p in told["problems"]],
                         [(2, False), (4, False)])
        good = self.config_file("Timeout = 7\n")
        self.assertEqual(self.run_kerbside("config", "--check", good).out, "")
        line = write(self.realm.path("line.conf"), f"kerbside {MECH_OID} {plugin_path()} "
                     "[Usr=alice@A Password=file:/nonexistent] <interposer>\n")
        self.assertIn(line + ":1: ", self.run_check("--check", line).out)
        self.complains("config", "--check", "/nonexistent", code=SYSTEM, words=["/nonexistent"])

    def run_check(self, *args):
        """Problems are what was asked for, so they are not on the standard error."""
        done = subprocess.run([KERBSIDE, "config", *args], env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (CONFIG, b""))
        return Result(args, done)


class TestTickets(InRealm):
    def test_without_cache(self):
        self.assertIn("tickets live in each process", self.run_kerbside("list").out)
        told = self.run_kerbside("list", "--json").json
        self.assertEqual(told, {"cache": None, "tickets": []})
        self.assertEqual(self.run_kerbside("forget", "--json").json["forgotten"], 0)

    def test_memory(self):
        self.assertIn("each process's own",
                      self.run_kerbside("list", "-o", "CredentialsCacheFile=MEMORY:x").out)

    def test_no_identity(self):
        self.complains("list", env=self.realm.env(), code=CONFIG, words=["no identity"])

    def cache(self, user="alice", *how):
        """A cache as kinit and kvno make it."""
        env = self.realm.env(plugin=False, krb5_conf=self.realm.krb5_conf)
        with open(self.realm.password_file(user)) as secret:
            subprocess.run(["kinit", *how, user], stdin=secret, stdout=subprocess.DEVNULL, env=env, check=True)
        subprocess.run(["kvno", "-q", "HTTP/localhost", "host/localhost"], env=env, check=True)
        return dict(self.env, KERBSIDE_OPTIONS=f"User={self.me} CredentialsCacheFile="
                    + env["KRB5CCNAME"])

    def test_list_and_forget(self):
        env = self.cache()
        told = self.run_kerbside("list", "--json", env=env).json
        self.assertEqual(told["principal"], self.me)
        self.assertEqual(told["cache"], "FILE:" + self.realm.path("ccache"))
        self.assertFalse(any(t["expired"] for t in told["tickets"]))
        self.assertEqual(self.servers(env), ["krbtgt", "HTTP", "host"])
        self.assertIn("server: " + self.web, self.run_kerbside("list", env=env).out)
        self.assertEqual(self.run_kerbside("forget", "HTTP@localhost", env=env).out.splitlines()[-1],
                         "forgotten: 1")
        self.assertEqual(self.servers(env), ["krbtgt", "host"])
        self.assertEqual(self.run_kerbside("forget", "--json", env=env).json["forgotten"], 2)
        self.assertFalse(os.path.exists(self.realm.path("ccache")))
        self.assertEqual(self.servers(env), [])

    def test_the_end(self):
        """A cache alone: when logins end stands in front."""
        for how, words in (((), []), (("-l", "20m"), ["The TGT ends in ", "no password or keytab"]),
                           (("-l", "20m", "-r", "2h"), [])):
            env = self.cache("alice", *how)
            told = self.run_kerbside("list", env=env).out
            self.assertEqual(told.startswith("cache: "), not words, told)
            for word in words:
                self.assertIn(word, told.splitlines()[0])
        env = self.cache("alice", "-l", "20m")
        left = [t["seconds-left"] for t in self.run_kerbside("list", "--json", env=env).json["tickets"]]
        self.assertTrue(all(1000 < seconds <= 1200 for seconds in left), left)
        env["KERBSIDE_OPTIONS"] += f" Password=file:{self.realm.password_file()}"
        self.assertTrue(self.run_kerbside("list", env=env).out.startswith("cache: "))
        self.run_kerbside("forget", "krbtgt/" + self.realm.name, env=env)
        env = dict(self.env, KERBSIDE_OPTIONS=env["KERBSIDE_OPTIONS"].partition(" Password")[0])
        self.assertIn("has expired or is not there", self.run_kerbside("list", env=env).out.splitlines()[0])

    def test_somebody_elses(self):
        env = self.cache("bob")
        self.complains("forget", env=env, code=CONFIG, words=["bob@"])
        self.assertTrue(os.path.exists(self.realm.path("ccache")))
        os.unlink(self.realm.path("ccache"))


class TestDecode(InRealm):
    def test_forms(self):
        token = self.run_kerbside("token", "--spnego", "--raw", "HTTP@localhost").raw
        path = write(self.realm.path("token"), "")
        with open(path, "wb") as out:
            out.write(token)
        wanted = self.run_kerbside("decode", path).out
        self.assertIn("NegTokenInit:", wanted)
        self.assertIn("AP-REQ:", wanted)
        for stdin in (token, token.hex().encode(), base64.b64encode(token),
                      b"Authorization: Negotiate " + base64.b64encode(token)):
            self.assertEqual(self.run_kerbside("decode", stdin=stdin).out, wanted)
            self.assertEqual(self.run_kerbside("decode", "-", stdin=stdin).out, wanted)
        self.run_kerbside("decode", "--hex", stdin=token.hex().encode())
        self.complains("decode", "--hex", stdin=base64.b64encode(token), code=FAILED,
                       words=["not hexadecimal"])
        self.complains("decode", "--base64", stdin=token, code=FAILED, words=["not Base64"])
        self.complains("decode", "--raw", stdin=token.hex().encode(), code=FAILED,
                       words=["looks like text"])

    def test_keytab_opens(self):
        token = self.run_kerbside("token", "HTTP@localhost").raw
        self.assertNotIn("EncTicketPart", self.run_kerbside("decode", stdin=token).out)
        args = ["decode", "--json", "--keytab", self.realm.path("service.keytab")]
        shown = self.run_kerbside(*args, stdin=token).json
        self.assertEqual(shown["kind"], "AP-REQ")
        ticket = shown["AP-REQ"]["ticket"]
        self.assertEqual(ticket["EncTicketPart"]["cname"]["name-string"], ["alice"])
        self.assertEqual(ticket["EncTicketPart"]["key"], {
            "keytype": 20, "keytype-name": "aes256-cts-hmac-sha384-192", "keyvalue-length": 32})
        self.assertIn("HTTP/localhost", ticket["opened-with"])
        # Another's key opens nothing, and says nothing wrong.
        args[-1] = self.realm.path("alice.keytab")
        self.assertNotIn("EncTicketPart", self.run_kerbside(*args, stdin=token).json["AP-REQ"]["ticket"])
        self.complains("decode", "-k", "/nonexistent", stdin=token, code=SYSTEM,
                       words=["/nonexistent"])

    def test_files(self):
        told = self.run_kerbside("decode", "--json", self.realm.path("alice.keytab")).json
        self.assertEqual(told["kind"], "keytab")
        self.assertEqual(told["keytab"][0]["principal"], self.me)
        with open(self.realm.path("alice.keytab"), "rb") as keytab:
            key = keytab.read()[-32:].hex()
        self.assertNotIn(key, json.dumps(told))

    def test_unknown(self):
        self.complains("decode", "/dev/zero", words=["longer than 16 MiB"], code=SYSTEM)
        for stdin, words in ((b"", ["nothing at all"]), (b"hello\n", ["text", "68 65 6c"]),
                             (b"\x0a\x0d\x0d\x0a\x88\0\0\0", ["pcapng"]), (b"\x01\x02\x03", ["01 02 03"]),
                             (b"\x6e\x03\x02\x01\x05", ["AP-REQ"]), (b"\x60\x05\x06", ["GSS token"])):
            result = self.complains("decode", "--json", stdin=stdin, words=words, code=FAILED)
            self.assertTrue(result.json["error"])


class TestManual(CommandTest):
    """kerbside(1) has every command, option, and exit code."""
    env = TestUsage.env

    def test_complete(self):
        with open(os.path.join(SOURCES, "doc", "kerbside.1")) as page:
            text = page.read().replace("\\-", "-").replace("\\", "")
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)^\.SS {command}\b")
            usage = self.run_kerbside(command, "--help").out
            section = re.search(rf"(?ms)^\.SS {command}\b(.*?)(^\.S[HS]|\Z)", text)[1]
            for option in re.findall(r"(--[a-z]+)", usage.split("\nOptions:\n")[1]):
                if option not in ("--help", "--json", "--option"):
                    self.assertIn(option, section, command)
        for option in ("--help", "--json", "--option", "--version"):
            self.assertIn(option, text)
        for code in range(6):
            self.assertRegex(text, rf"(?m)^\.(B|IP|TP) ?{code}\b", code)


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", "kvno", plugin=True, modules=["gssapi"])
