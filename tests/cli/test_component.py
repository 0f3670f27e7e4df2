#!/usr/bin/python3
"""Each property and setting of the component whose behaviour Kerbside delivers, through each of the
three places in which it can be set and asked: files and environment, the calls of a program, and the
command. What each does is shown elsewhere: doc/component.md says where.

The names are the component's, in the order of its manual."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness              # noqa: E402
from kdc import write       # noqa: E402
from realm import Realm     # noqa: E402

BUILD = os.environ.get("KB_BUILDDIR", os.getcwd())
KERBSIDE = os.path.join(BUILD, "cli", "kerbside")
OPTIONS = os.path.join(BUILD, "doc", "examples", "options")

# Name, a value, and how it is told if not as it was written. {dir}: the realm's directory.
ROWS = [
    ("KDCHost", "127.0.0.1:{port}"),
    ("KDCPort", "750"),
    ("KeytabFile", "{dir}/alice.keytab"),
    ("Password", "file:{dir}/alice.password"),
    ("SPN", "HTTP/localhost"),
    ("Timeout", "7"),
    ("User", "alice@KERBSIDE.TEST"),
    ("UseTCP", "True"),
    ("CredentialsCacheFile", "FILE:{dir}/tickets"),
    ("EncodeAuthToken", "True"),
    ("EncryptionTypes", "aes128-cts-hmac-sha1-96"),
    ("LogKerberosPackets", "True"),
    ("LogLevel", "3"),
    ("UsePlatformKerberosAPI", "True"),
    ("CaptureIPPacketInfo", "True"),
    ("DelayHostResolution", "True"),
    ("DontFragment", "True"),
    ("LocalHost", "127.0.0.1"),
    ("LocalPort", "40123"),
    ("MaxPacketSize", "4096"),
    ("QOSDSCPValue", "46"),
    ("QOSTrafficType", "Voice"),
    ("QOSTrafficType", "3", "AudioVideo"),
    ("ShareLocalPort", "True"),
    ("UseConnection", "True"),
    ("UseIPv6", "True"),
    ("AbsoluteTimeout", "True"),
    ("FirewallHost", "proxy.example"),
    ("FirewallPort", "8080"),
    ("FirewallData", "X-Name: value", "********"),
    ("InBufferSize", "65536"),
    ("OutBufferSize", "65536"),
    ("GUIAvailable", "True"),
    ("MaskSensitive", "False"),
    ("UseFIPSCompliantAPI", "True"),
    ("UseInternalSecurityAPI", "False"),
]
READ_ONLY = ["AuthToken", "DestinationAddress", "BuildInfo", "LicenseInfo"]
BOOLEANS = {"True": "True", "yes": "True", "1": "True", "False": "False", "NO": "False", "0": "False"}

# What an option needs beside it to be a whole configuration.
WITH = {
    "Password": "User=alice@KERBSIDE.TEST",
    "FirewallPort": "FirewallHost=proxy.example",
    "FirewallData": "FirewallHost=proxy.example",
    "MaskSensitive": "",
}
DEFAULTS = {
    "KDCHost": "", "KDCPort": "88", "KeytabFile": "", "Password": "", "SPN": "", "Timeout": "60",
    "User": "", "UseTCP": "False", "CredentialsCacheFile": "", "EncodeAuthToken": "False",
    "LogKerberosPackets": "False", "LogLevel": "1", "UsePlatformKerberosAPI": "False",
    "CaptureIPPacketInfo": "False", "DelayHostResolution": "False", "DontFragment": "False",
    "LocalPort": "0", "MaxPacketSize": "65535", "QOSDSCPValue": "0", "QOSTrafficType": "BestEffort",
    "ShareLocalPort": "False", "UseConnection": "False", "AbsoluteTimeout": "False",
    "GUIAvailable": "False", "MaskSensitive": "True", "UseFIPSCompliantAPI": "False",
    "UseInternalSecurityAPI": "True",
}


def quoted(value):
    """As a line of options has it."""
    return f'"{value}"' if " " in value else value


class Component(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.realm.password_file()

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def run_ok(self, argv, env):
        done = subprocess.run(argv, env=env, text=True, timeout=30, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, f"{argv}: {done.stdout}{done.stderr}")
        return done.stdout

    def rows(self):
        for name, value, *told in ROWS:
            value = value.format(dir=self.realm.dir, port=self.realm.port)
            yield name, value, told[0] if told else value

    def config(self, name, env, *options):
        return self.run_ok([KERBSIDE, "config", *options, name], env).rstrip("\n")

    def environment(self, name, value):
        return " ".join(filter(None, [f"{name}={quoted(value)}", WITH.get(name, "")]))

    def test_environment(self):
        for name, value, told in self.rows():
            with self.subTest(name):
                self.assertEqual(self.config(name, self.realm.env(
                    options=self.environment(name, value))), told)

    def test_file(self):
        for name, value, told in self.rows():
            with self.subTest(name):
                more = WITH.get(name, "").replace("=", " = ")
                path = write(self.realm.path("options.conf"),
                             f"# a comment\n[program *]\n{more}\n{name} = {value}\n"
                             if name not in ("UseFIPSCompliantAPI", "UseInternalSecurityAPI")
                             else f"{name} = {value}\n")
                self.assertEqual(self.config(name, self.realm.env(
                    options=None, KERBSIDE_CONFIG=path, KRB5_CONFIG=self.realm.empty_conf)), told)

    def test_line(self):
        for name, value, told in self.rows():
            with self.subTest(name):
                env = self.realm.env(options=None)
                env["KRB5_CONFIG"] = self.realm.empty_conf
                env["GSS_MECH_CONFIG"] = self.realm.mech_config(self.environment(name, value),
                                                                name="line")
                self.assertEqual(self.config(name, env), told)

    def test_calls(self):
        for name, value, told in self.rows():
            with self.subTest(name):
                more = [WITH[name]] if WITH.get(name) else []
                out = self.run_ok([OPTIONS, *more, f"{name}={value}", name],
                                  self.realm.env(options="Enabled=True"))
                self.assertEqual(out, f"{name}: {told}\n")

    def test_command(self):
        for name, value, told in self.rows():
            with self.subTest(name):
                more = ["-o", WITH[name]] if WITH.get(name) else []
                self.assertEqual(self.config(name, self.realm.env(options="Enabled=True"), *more,
                                             "-o", f"{name}={value}"), told)

    def test_defaults(self):
        env = self.realm.env(options="Enabled=True")
        for name, value in DEFAULTS.items():
            with self.subTest(name):
                self.assertEqual(self.config(name, env), value)

    def test_booleans_and_case(self):
        for word, told in BOOLEANS.items():
            self.assertEqual(self.config("usetcp", self.realm.env(options=f"USETCP={word}")), told)

    def test_read_only(self):
        env = self.realm.env(options="Enabled=True")
        for name in READ_ONLY:
            with self.subTest(name):
                done = subprocess.run([OPTIONS, f"{name}=x"], env=env, text=True, timeout=30,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("asked for, not set", done.stdout + done.stderr)
        for name in ("BuildInfo", "LicenseInfo"):
            told = self.config(name, env)
            self.assertEqual(self.run_ok([OPTIONS, name], env), f"{name}: {told}\n")
            self.assertIn("kerbside" if name == "BuildInfo" else "MIT", told)


if __name__ == "__main__":
    harness.main("krb5kdc", OPTIONS, KERBSIDE, plugin=True)
