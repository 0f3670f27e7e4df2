#!/usr/bin/python3
"""Where nothing is configured for us, nothing changes: each scenario of transcript.c is run with
the plugin and without it, and what it wrote down must be the same. And the entry points: the table,
the plugin and the installed libgssapi name the same ones."""
import ctypes
import difflib
import os
import re
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "realm"))
import harness                          # noqa: E402
from realm import Realm, plugin_path    # noqa: E402

BUILD = os.environ.get("KB_BUILDDIR", os.getcwd())
TRANSCRIPT = os.path.join(BUILD, "tests", "spi", "transcript")

# A re-entry has to acquire the acceptor's default credential itself, and that call's text names the
# keytab, where gss_accept_sec_context's own has only the code's general text.
ACCEPT_TEXT = ("Key table entry not found", "Keytab FILE:/nonexistent is nonexistent or empty")


class TestSame(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.realm.add_principal("svc/localhost", "service password")
        cls.realm.keytab("svc.keytab", "svc/localhost")

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    def setUp(self):
        for file in ("kinit", "ccache"):
            if os.path.exists(self.realm.path(file)):
                os.unlink(self.realm.path(file))

    def kinit(self, user="alice"):
        with open(self.realm.password_file(user)) as secret:
            subprocess.run(["kinit", "-f", "-c", "FILE:" + self.realm.path("kinit"), user],
                           stdin=secret, env=self.realm.env(plugin=False), check=True,
                           stdout=subprocess.DEVNULL)

    def one(self, plugin, args, extra):
        ccache = self.realm.path("ccache")
        if os.path.exists(ccache):
            os.unlink(ccache)
        if os.path.exists(self.realm.path("kinit")):
            shutil.copy(self.realm.path("kinit"), ccache)
        env = self.realm.env(plugin=plugin, KRB5_KTNAME="FILE:" + self.realm.path("service.keytab"))
        env.update(extra)
        wrapper = os.environ.get("KB_WRAPPER", "").split() if plugin else []
        done = subprocess.run([*wrapper, TRANSCRIPT, *args], env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        return done.stdout + f"exit {done.returncode}\n"

    def same(self, *args, differs=(None, None), **extra):
        alone, ours = self.one(False, args, extra), self.one(True, args, extra)
        if differs[0]:
            self.assertIn(differs[0], alone)
            ours = ours.replace(differs[1], differs[0])
        if alone != ours:
            self.fail("\n" + "".join(difflib.unified_diff(
                alone.splitlines(True), ours.splitlines(True), "platform alone", "with the plugin")))
        self.assertIn("exit 0\n", alone)
        return ours

    def test_mechs(self):
        self.same("mechs")

    def test_names(self):
        self.assertIn("userok alice: 0, root: 1", self.same("names"))

    def test_denied_userok(self):
        """The platform denies root@KERBSIDE.TEST by a .k5login; the names alone would match, and the
        mechglue compares them where an interposer passes the platform's answer on."""
        self.realm.add_principal("root", "r")
        self.kinit("root")
        self.assertIn("userok root: 1, alice: 0", self.same("export_context"))
        conf, k5login = self.realm.path("k5login.conf"), self.realm.path("k5login")
        os.makedirs(k5login)
        with open(os.path.join(k5login, "root"), "w") as allowed:
            allowed.write("somebody@KERBSIDE.TEST\n")
        with open(self.realm.krb5_conf) as old, open(conf, "w") as new:
            new.write(old.read().replace("[libdefaults]",
                                         f"[libdefaults]\n k5login_directory = {k5login}"))
        text = self.same("export_context", KRB5_CONFIG=conf)
        self.assertIn("source: root@KERBSIDE.TEST", text)
        self.assertIn("userok root: 0, alice: 0", text)
        self.assertNotIn("root: 1", self.same("names", KRB5_CONFIG=conf))

    def test_contexts(self):
        self.kinit()
        self.same("contexts")

    def test_contexts_without_ticket(self):
        self.same("contexts")

    def test_contexts_without_service_keys(self):
        self.kinit()
        self.same("contexts", KRB5_KTNAME="FILE:/nonexistent", differs=ACCEPT_TEXT)

    def test_half_open(self):
        self.kinit()
        self.same("half_open")

    def test_half_open_without_ticket(self):
        self.same("half_open")

    def test_creds(self):
        self.kinit()
        self.same("creds")

    def test_creds_without_ticket(self):
        self.same("creds")

    def test_creds_without_anything(self):
        self.same("creds", KRB5_KTNAME="FILE:/nonexistent", KRB5_CONFIG=self.realm.empty_conf)

    def test_client_keytab(self):
        self.same("creds", KRB5_CLIENT_KTNAME=self.realm.path("alice.keytab"))

    def test_broken_krb5_conf(self):
        broken = self.realm.path("broken.conf")
        with open(broken, "w") as conf:
            conf.write("[libdefaults\n")
        self.same("contexts", KRB5_CONFIG=broken)
        self.same("names", KRB5_CONFIG=broken)

    def test_add_creds(self):
        self.kinit()
        self.same("add_creds")

    def test_options(self):
        self.kinit()
        self.same("options")

    def test_password(self):
        self.same("with_password", "alice", self.realm.passwords["alice"])
        self.same("with_password", "alice", "wrong")
        self.same("with_password", "nobody", "wrong")

    def test_store(self):
        self.kinit()
        self.same("store", "FILE:" + self.realm.path("stored"))

    def test_impersonate(self):
        self.same("impersonate", "bob", KRB5_KTNAME="FILE:" + self.realm.path("svc.keytab"),
                  KRB5_CLIENT_KTNAME="FILE:" + self.realm.path("svc.keytab"))

    def test_export_context(self):
        self.kinit()
        self.same("export_context")


class TestEntryPoints(unittest.TestCase):
    def setUp(self):
        table = os.path.join(os.environ.get("KB_SRCDIR", "."), "mech", "spi", "entries.def")
        with open(table) as rows:
            self.table = sorted("gssi_" + name for name in re.findall(
                r"^KB_(?:CONTEXT_|NAME_)?ENTRY\((\w+),", rows.read(), re.M))

    def test_plugin_exports_the_table_and_nothing_else(self):
        out = subprocess.run(["nm", "-D", "--defined-only", plugin_path()], text=True, check=True,
                             stdout=subprocess.PIPE).stdout
        exported = sorted(line.split()[-1] for line in out.splitlines())
        self.assertEqual(exported, sorted(self.table + ["gss_mech_interposer"]))

    def libgssapi(self):
        out = subprocess.run(["ldd", plugin_path()], text=True, check=True,
                             stdout=subprocess.PIPE).stdout
        return re.search(r"libgssapi_krb5\S* => (\S+)", out)[1]

    def test_table_is_what_libgssapi_looks_for(self):
        with open(self.libgssapi(), "rb") as library:
            names = re.findall(rb"\0(gssi_\w+)(?=\0)", library.read())
        self.assertEqual(sorted(n.decode() for n in names), self.table)

    def test_libgssapi_has_what_is_found_late(self):
        with open(os.path.join(os.environ.get("KB_SRCDIR", "."), "mech", "spi", "late.h")) as late:
            wanted = re.findall(r"^#define (gss\w+)\(\.\.\.\)", late.read(), re.M)
        library = ctypes.CDLL(self.libgssapi())
        self.assertTrue(wanted)
        self.assertEqual([name for name in wanted if not hasattr(library, name)], [])


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", "kinit", "nm", "ldd", plugin=True)
