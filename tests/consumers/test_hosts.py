#!/usr/bin/python3
"""Larger hosts: psql with GSS encryption against PostgreSQL, Java's native JGSS (which opens libgssapi
RTLD_LOCAL and runs us on threads of its own), git over HTTP."""
import glob
import os
import pwd
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "realm")]
import harness                                      # noqa: E402
from kdc import program, write                      # noqa: E402
from process import free_port                       # noqa: E402
from realm import Realm                             # noqa: E402
from services import Apache, have_apache            # noqa: E402


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.me = "alice@" + cls.realm.name

    @classmethod
    def tearDownClass(cls):
        cls.realm.close()

    @property
    def wrong(self):
        path = self.realm.password_file("wrong", "not it")
        return self.realm.identity().replace(self.realm.path("alice.password"), path)

    def run_it(self, argv, options, **more):
        return subprocess.run(argv, env=self.realm.env(options=options, **more), text=True,
                              timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def postgres():
    """The folder of the server's programs."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
    return os.path.dirname(found[-1]) if found else None


@unittest.skipUnless(postgres() and program("psql"), "no PostgreSQL")
class TestPostgreSQL(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port = free_port()
        cls.dir = cls.realm.path("postgres")
        os.makedirs(cls.dir, 0o700)
        cls.realm.add_principal("postgres/localhost")
        cls.realm.keytab("postgres/keytab", "postgres/localhost")
        as_user = cls._own()
        subprocess.run([*as_user, postgres() + "/initdb", "-D", cls.dir + "/data", "-A", "trust",
                        "-U", "owner"], check=True, stdout=subprocess.DEVNULL, cwd="/")
        write(cls.dir + "/data/pg_hba.conf",
              "local all all trust\nhost all all 127.0.0.1/32 gss include_realm=0\n", 0o644)
        cls.server = cls.realm.start(
            [*as_user, postgres() + "/postgres", "-D", cls.dir + "/data", "-p", str(cls.port),
             "-k", cls.dir, "-c", "krb_server_keyfile=" + cls.dir + "/keytab",
             "-c", "listen_addresses=127.0.0.1"], "postgres.out", env=cls.realm.service_env(
                 KRB5RCACHENAME="none:"), cwd="/")
        cls.server.wait_for_tcp(cls.port)
        subprocess.run(["psql", "-qh", cls.dir, "-p", str(cls.port), "-U", "owner", "postgres",
                        "-c", "create role alice login"], check=True)

    @classmethod
    def _own(cls):
        """PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return []
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            raise unittest.SkipTest("root, and no user postgres") from None
        for path in (cls.dir, cls.dir + "/keytab"):
            os.chown(path, user.pw_uid, user.pw_gid)
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]

    def ask(self, options, mode, *queries):
        words = [word for query in queries for word in ("-c", query)]
        return self.run_it(["psql", "-XAt", f"host=localhost hostaddr=127.0.0.1 port={self.port} "
                            f"user=alice dbname=postgres gssencmode={mode}", *words], options)

    def test_log_in(self):
        for secret in ("password", "keytab"):
            for mode, encrypted in (("require", "t"), ("prefer", "t"), ("disable", "f")):
                with self.subTest(secret=secret, mode=mode):
                    done = self.ask(self.realm.identity(secret), mode,
                                    "select encrypted, principal from pg_stat_gssapi "
                                    "where pid = pg_backend_pid()", "select repeat('x', 3000000)")
                    self.assertEqual(done.returncode, 0, done.stderr)
                    first, second = done.stdout.splitlines()
                    self.assertEqual(first, f"{encrypted}|{self.me}")
                    self.assertEqual(second, "x" * 3000000)

    def test_wrong_password(self):
        for mode in ("require", "disable"):
            done = self.ask(self.wrong, mode, "select 1")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(self.me + ": the KDC refused the password", done.stderr)

    def test_switched_off(self):
        """libpq tries GSS-API whenever credentials exist; this is how it is told not to."""
        done = self.ask(self.realm.identity() + " Enabled=False", "require", "select 1")
        self.assertIn("GSSAPI encryption required but was impossible", done.stderr)


@unittest.skipUnless(program("java") and program("javac"), "no JDK")
class TestJava(Case):
    SOURCE = r"""
import org.ietf.jgss.*;

public class Login {
    static String login(String mechanism, boolean withCredential) throws Exception {
        GSSManager manager = GSSManager.getInstance();
        GSSName service = manager.createName("host@localhost", GSSName.NT_HOSTBASED_SERVICE);
        GSSCredential credential =
            withCredential ? manager.createCredential(GSSCredential.INITIATE_ONLY) : null;
        GSSContext mine = manager.createContext(service, new Oid(mechanism), credential, 0);
        GSSContext theirs = manager.createContext((GSSCredential) null);
        mine.requestMutualAuth(true);
        mine.requestConf(true);
        byte[] token = new byte[0];
        do {
            token = mine.initSecContext(token, 0, token.length);
            if (token != null && !theirs.isEstablished())
                token = theirs.acceptSecContext(token, 0, token.length);
        } while (!mine.isEstablished());
        byte[] sealed = mine.wrap("hello".getBytes(), 0, 5, new MessageProp(0, true));
        byte[] open = theirs.unwrap(sealed, 0, sealed.length, new MessageProp(0, true));
        byte[] mic = theirs.getMIC(open, 0, 5, new MessageProp(0, true));
        mine.verifyMIC(mic, 0, mic.length, open, 0, 5, new MessageProp(0, true));
        String who = (withCredential ? credential.getName() + " " : "") + theirs.getSrcName();
        mine.dispose();
        theirs.dispose();
        return who + " " + new String(open);
    }

    public static void main(String[] mechanisms) throws Exception {
        for (String mechanism : mechanisms)
            for (boolean withCredential : new boolean[] {false, true})
                try {
                    System.out.println(login(mechanism, withCredential));
                } catch (GSSException e) {
                    System.out.println(e.getMessage());
                }
        Thread[] threads = new Thread[4];
        for (int i = 0; i < threads.length; i++) {
            threads[i] = new Thread(null, () -> {
                try {
                    for (int j = 0; j < 10; j++)
                        login(mechanisms[0], false);
                } catch (Exception e) {
                    System.out.println(e.getMessage());
                }
            }, "small", 65536);
            threads[i].start();
        }
        for (Thread thread : threads)
            thread.join();
    }
}
"""
    KRB5, SPNEGO = "1.2.840.113554.1.2.2", "1.3.6.1.5.5.2"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        source = write(cls.realm.path("Login.java"), cls.SOURCE)
        subprocess.run(["javac", "-d", cls.realm.dir, source], check=True)

    def java(self, options):
        keytab = "FILE:" + self.realm.path("service.keytab")
        done = self.run_it(["java", "-Dsun.security.jgss.native=true",
                            "-Dsun.security.jgss.lib=libgssapi_krb5.so.2", "-cp", self.realm.dir,
                            "Login", self.KRB5, self.SPNEGO], options,
                           krb5_conf=self.realm.krb5_conf, KRB5_KTNAME=keytab,
                           KRB5RCACHENAME="none:")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def test_log_in(self):
        for secret in ("password", "keytab"):
            self.assertEqual(self.java(self.realm.identity(secret)),
                             [f"{self.me} hello", f"{self.me} {self.me} hello"] * 2)

    def test_wrong_password(self):
        said = self.java(self.wrong)
        self.assertEqual(len(said), 8)
        for line in said:
            self.assertIn(self.me + ": the KDC refused the password", line)


@unittest.skipUnless(have_apache() and program("git"), "no git, or no Apache with mod_auth_gssapi")
class TestGit(Case):
    def test_ls_remote(self):
        apache = Apache(self.realm)
        repository = apache.dir + "/htdocs/r.git"
        clean = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0"}
        for argv in (["init", "-q", "--bare", repository],
                     ["-C", repository, "update-server-info"]):
            subprocess.run(["git", *argv], check=True, env=dict(os.environ, **clean))
        argv = ["git", "-c", "http.emptyAuth=true", "ls-remote", apache.url + "r.git"]
        for secret in ("password", "keytab"):
            done = self.run_it(argv, self.realm.identity(secret), **clean)
            self.assertEqual(done.returncode, 0, done.stderr)
        with self.realm.counting() as seen:
            self.assertNotEqual(self.run_it(argv, self.wrong, **clean).returncode, 0)
        # It makes two contexts: one asks how to prove, proves, and is refused; the other is told.
        self.assertEqual(dict(seen), {"AS-ERROR": 2})


if __name__ == "__main__":
    harness.main("krb5kdc", "kadmin.local", plugin=True)
