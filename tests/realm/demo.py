#!/usr/bin/python3
"""What demo.sh shows: curl logs in where nobody ran kinit, what it says when it cannot, and what the
command kerbside shows of it."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from process import Failed                                # noqa: E402
from realm import Realm, exit_on_signals, plugin_path     # noqa: E402
from services import PAGE, Apache                         # noqa: E402

KERBSIDE = os.path.join(os.environ.get("KB_BUILDDIR", os.getcwd()), "cli", "kerbside")


def show(title):
    print(f"\n== {title}", flush=True)


class Demo:
    def __init__(self, realm):
        self.realm = realm
        self.apache = Apache(realm)
        self.good = True

    def expect(self, condition, text):
        print(("   yes: " if condition else "   NO:  ") + text)
        self.good = self.good and condition

    def curl(self, mech_config, *options):
        """The programs' view: an empty krb5.conf, no cache, and the plugin's line."""
        env = self.realm.env(plugin=False, krb5_conf=self.realm.empty_conf)
        env["GSS_MECH_CONFIG"] = mech_config
        print("   $ curl --negotiate -u : " + self.apache.url)
        return subprocess.run(["curl", "--silent", "--negotiate", "-u", ":", *options,
                               self.apache.url], env=env, text=True, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def line(self, name, password_file):
        realm = self.realm
        path = realm.mech_config(f"User=alice@{realm.name} Password=file:{password_file} "
                                 f"KDCHost={realm.kdc_host}", name=name)
        with open(path) as config:
            print("   the mech.d line:\n      " + config.read().strip())
        return path

    def no_cache(self):
        path = self.realm.path("ccache")
        self.expect(not os.path.exists(path), "no ticket cache exists")

    def without(self):
        show("Without Kerbside")
        done = self.curl(self.realm.path("no-mechs"), "-o", "/dev/null", "-w", "%{http_code}")
        print("   HTTP " + done.stdout)
        self.expect(done.stdout == "401", "Apache refuses: nobody ran kinit")
        self.no_cache()

    def login(self):
        show("With one line, and the password in a file that only its owner can read")
        config = self.line("demo", self.realm.password_file("alice"))
        with self.realm.counting() as seen:
            done = self.curl(config, "-i")
        for text in done.stdout.splitlines():
            if text.startswith(("HTTP/", "X-Authenticated-User")) or text.strip() == PAGE:
                print("   " + text.strip())
        self.expect(PAGE in done.stdout, "curl has the page")
        self.expect(f"X-Authenticated-User: alice@{self.realm.name}" in done.stdout,
                    f"Apache knows who asks: alice@{self.realm.name}")
        print(f"   the KDC saw {seen.total} requests: which salt (AS), the proof (AS), "
              "the ticket for Apache (TGS)")
        self.no_cache()

    def command(self):
        """The same login by the command, and its token in the hands of a curl without Kerberos."""
        show("The command kerbside, with the same line")
        env = self.realm.env(plugin=False, krb5_conf=self.realm.empty_conf)
        env["GSS_MECH_CONFIG"] = self.realm.path("demo.conf")
        print("   $ kerbside login HTTP@localhost")
        done = subprocess.run([KERBSIDE, "login", "HTTP@localhost"], env=env, text=True, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for text in done.stdout.splitlines():
            print("   " + text)
        self.expect(done.returncode == 0 and f"client: alice@{self.realm.name}" in done.stdout,
                    "it shows the ticket that programs get")
        print('   $ curl -H "$(kerbside token --header HTTP@localhost)" ' + self.apache.url)
        header = subprocess.run([KERBSIDE, "token", "--header", "HTTP@localhost"], env=env, text=True,
                                timeout=120, stdout=subprocess.PIPE).stdout.strip()
        page = subprocess.run(["curl", "--silent", "-H", header, self.apache.url], text=True,
                              timeout=120, stdout=subprocess.PIPE).stdout
        self.expect(PAGE in page, "curl has the page by that header alone")

    def wrong_password(self):
        show("The same with a wrong password")
        wrong = self.realm.password_file("wrong", "not the password")
        done = self.curl(self.line("demo-wrong", wrong), "-v", "-o", "/dev/null",
                         "-w", "%{http_code}")
        print("   HTTP " + done.stdout)
        said = [line for line in done.stderr.splitlines() if "gss_init_sec_context" in line]
        print("   curl -v says: " + (said[0].lstrip("* ") if said else "(nothing)"))
        self.expect(done.stdout == "401", "Apache refuses")
        self.expect(bool(said) and "alice" in said[0] and "password" in said[0].lower(),
                    "the line says whose password is wrong")
        self.no_cache()


def main():
    exit_on_signals()
    if not os.path.exists(plugin_path()):
        print(f"demo: {plugin_path()} is missing: build it first", file=sys.stderr)
        return 1
    try:
        with Realm() as realm:
            show("A throw-away realm")
            print(f"   {realm.kdc.name} for {realm.name} on {realm.kdc_host}, user alice")
            demo = Demo(realm)
            print(f"   Apache with mod_auth_gssapi on {demo.apache.url}")
            print(f"   krb5.conf is empty; all files are in {realm.dir}")
            demo.without()
            demo.login()
            demo.wrong_password()
            demo.command()
    except Failed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    print("\nAll of it is gone again. " + ("It works." if demo.good else "Something does NOT work."))
    return 0 if demo.good else 1


if __name__ == "__main__":
    sys.exit(main())
