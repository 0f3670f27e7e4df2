#!/usr/bin/python3
"""One throw-away Kerberos realm on loopback: a real KDC, its own ports, its own directory, all gone
afterwards, also after a failure or ctrl-C. Nothing outside the directory is read or written.

In a test:      with Realm() as realm: subprocess.run(["curl", ...], env=realm.env(options="..."))
On a terminal:  realm.py run [--kind heimdal] [--offset 600] -- COMMAND...
"""
import argparse
import atexit
import collections
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import template                                               # noqa: E402
from kdc import ENCTYPES, KINDS, MORE_ENCTYPES, peers, write  # noqa: E402
from process import Child, Failed, Missing, free_port         # noqa: E402

MECH_OID = "1.3.6.1.4.1.32473.88.1"

# Variables that would let the machine's own Kerberos, or the caller's, into a test.
FOREIGN = ("KRB5_CONFIG", "KRB5CCNAME", "KRB5_KTNAME", "KRB5_CLIENT_KTNAME", "KRB5_TRACE",
           "KRB5RCACHENAME", "KRB5RCACHEDIR", "KRB5_KDC_PROFILE", "GSS_MECH_CONFIG",
           "KERBSIDE_OPTIONS", "KERBSIDE_CONFIG", "GSS_USE_PROXY", "http_proxy", "ALL_PROXY")


@dataclasses.dataclass
class Principal:
    """What the KDC keeps. Without a password the keys are random: export them."""
    name: str
    password: str = None
    enctypes: tuple = ENCTYPES
    salt: str = "normal"            # or "special": one that no client can guess
    preauth: bool = True
    locked: bool = False
    expired: bool = False
    password_expired: bool = False


# What every realm starts with. alice is the one that options name; the others are for one trait each.
STANDARD = [
    Principal("alice", "correct horse battery"),
    Principal("bob", "b"),
    Principal("nopreauth", "correct horse battery", preauth=False),
    Principal("salted", "correct horse battery", salt="special"),
    Principal("locked", "correct horse battery", locked=True),
    Principal("expired", "correct horse battery", expired=True),
    Principal("pwexpired", "correct horse battery", password_expired=True),
    Principal("HTTP/localhost", preauth=False),
    Principal("host/localhost", preauth=False),
    Principal("other/localhost", preauth=False),
]


def of_enctypes(enctypes):
    """user-ETYPE and ETYPE/localhost with one key each, of that enctype."""
    return [p for e in enctypes
            for p in (Principal("user-" + e, "correct horse battery", enctypes=(e,)),
                      Principal(e + "/localhost", enctypes=(e,), preauth=False))]


STANDARD += of_enctypes(ENCTYPES)


class Realm:
    """kind: mit or heimdal. clock_offset: seconds by which the KDC's clock is ahead. udp=False: TCP
    only (MIT). ipv6=True: listens on ::1 as well. max_udp_reply: larger replies are refused over
    UDP with RESPONSE_TOO_BIG. standard=False: an empty database; else realms of one kind and name have
    the same keys (template.py). more_conf: the end of krb5.conf and of what the KDC reads.
    more_enctypes=True: also Camellia (MIT), RC4, triple DES and single DES (Heimdal), for users,
    services and session keys."""

    def __init__(self, kind="mit", name="KERBSIDE.TEST", clock_offset=0, udp=True, ipv6=False,
                 max_udp_reply=0, standard=True, more_enctypes=False, more_conf=""):
        self.name, self.udp, self.max_udp_reply = name, udp, max_udp_reply
        self.clock_offset, self.standard = clock_offset, standard
        self.more_enctypes, self.more_conf = more_enctypes, more_conf
        self.addresses = ["127.0.0.1"] + (["::1"] if ipv6 else [])
        self.families = [socket.AF_INET] + ([socket.AF_INET6] if ipv6 else [])
        self.children, self.child, self.dir = [], None, None
        self.clock = {}                 # the KDC's, as environment: stepped()
        self.passwords = {}
        self.kdc = KINDS[kind](self)
        self.kind = kind
        self.more = MORE_ENCTYPES[kind] if more_enctypes else ()

    # --- life ---

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _start(self):
        self.dir = tempfile.mkdtemp(prefix="kerbside-realm-")
        atexit.register(self.close)
        # A daemon that has put down root (Apache) must reach its keytab.
        os.chmod(self.dir, 0o711)
        self.port = free_port(self.families)
        write(self.path("empty.conf"), "", 0o644)
        write(self.path("no-mechs"), "", 0o644)
        self._write_krb5_conf()
        self.kdc.configure()
        if self.standard:
            self.passwords.update((p.name, p.password) for p in self._principals() if p.password)
            template.fill(self.dir, f"{self.kind} {self.name} {self.more}", self.kdc.programs(),
                          self._create)
        else:
            self._create()
        self.kdc_start()

    def _principals(self):
        return STANDARD + of_enctypes(self.more) if self.standard else []

    def _create(self):
        self.kdc.create()
        if self.standard:
            self.add(*self._principals())
            services = [p.name for p in self._principals() if "/" in p.name]
            self.keytab("service.keytab", *services)
            self.keytab("alice.keytab", "alice")
        if self.more_enctypes:
            self.kdc.session_enctypes(f"krbtgt/{self.name}", ENCTYPES + self.more)

    def close(self):
        atexit.unregister(self.close)
        for child in reversed(self.children):
            child.stop()
        self.children = []
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)
            self.dir = None

    def start(self, argv, log, env=None, cwd=None):
        """A daemon that lives as long as the realm."""
        child = Child(argv, self.path(log), env=env, cwd=cwd)
        self.children.append(child)
        return child

    def kdc_start(self):
        env = self.kdc.env()
        if self.clock_offset:
            env.update(faketime(self.clock_offset))
        env.update(self.clock)
        seen = len(self.log())
        self.child = self.start(self.kdc.argv(), "kdc.out", env=env)
        self.child.wait_until(lambda: self.kdc.ready(self.log()[seen:]), "its first log line")
        self.child.wait_for_tcp(self.port)

    def kdc_stop(self):
        self.child.stop()
        self.children.remove(self.child)

    # --- files ---

    def path(self, name):
        return os.path.join(self.dir, name)

    @property
    def krb5_conf(self):
        return self.path("krb5.conf")

    @property
    def empty_conf(self):
        return self.path("empty.conf")

    def _write_krb5_conf(self):
        """For the platform's own Kerberos; our plugin gets empty_conf unless a test says otherwise."""
        write(self.krb5_conf, f"""[libdefaults]
  default_realm = {self.name}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  qualify_shortname = ""
  allow_rc4 = {str(self.more_enctypes).lower()}
  allow_des3 = {str(self.more_enctypes).lower()}
[realms]
  {self.name} = {{
    kdc = 127.0.0.1:{self.port}
  }}
[domain_realm]
  localhost = {self.name}
{self.more_conf}""", 0o644)

    def mech_config(self, options=None, plugin=None, name="mech"):
        """A file for GSS_MECH_CONFIG that loads our plugin, with options in its line."""
        line = f"kerbside {MECH_OID} {plugin or plugin_path()} " \
            + (f"[{options}] " if options else "") + "<interposer>\n"
        return write(self.path(name + ".conf"), line)

    def password_file(self, principal="alice", text=None):
        return write(self.path(principal.replace("/", "_") + ".password"),
                     (text if text is not None else self.passwords[principal]) + "\n")

    def keytab(self, file, *principals):
        """A keytab with the principals' present keys."""
        path = self.path(file)
        self.kdc.export(path, principals)
        os.chmod(path, 0o600)
        return path

    # --- principals ---

    def add(self, *principals):
        self.kdc.add(*principals)
        self.passwords.update((p.name, p.password) for p in principals if p.password)

    def add_principal(self, name, password=None, **traits):
        self.add(Principal(name, password, **traits))
        return name

    # --- what programs are told ---

    @property
    def kdc_host(self):
        return f"127.0.0.1:{self.port}"

    def identity(self, secret="password", user="alice"):
        """Options that log `user` in, without any krb5.conf."""
        if secret == "password":
            which = f"Password=file:{self.password_file(user)}"
        else:
            if not os.path.exists(self.path(user + ".keytab")):
                self.keytab(user + ".keytab", user)
            which = f"KeytabFile={self.path(user + '.keytab')}"
        return f"User={user}@{self.name} {which} KDCHost={self.kdc_host}"

    def env(self, options=None, plugin=True, krb5_conf=None, **extra):
        """The environment of a program under test. options: KERBSIDE_OPTIONS; plugin=False: the
        platform alone. The default krb5.conf is empty where options are given, else the realm's."""
        env = {k: v for k, v in os.environ.items() if k not in FOREIGN}
        env["KRB5_CONFIG"] = krb5_conf or (self.empty_conf if options else self.krb5_conf)
        env["KRB5CCNAME"] = "FILE:" + self.path("ccache")
        env["KRB5RCACHENAME"] = "file2:" + self.path("rcache")
        env["GSS_MECH_CONFIG"] = self.mech_config() if plugin else self.path("no-mechs")
        if options:
            env["KERBSIDE_OPTIONS"] = options
        env.update(extra)
        return env

    def service_env(self, **extra):
        """An acceptor's: the platform alone, with the services' keys."""
        return self.env(plugin=False, KRB5_KTNAME="FILE:" + self.path("service.keytab"), **extra)

    # --- what the KDC saw ---

    def log(self):
        try:
            with open(self.path("kdc.log"), errors="replace") as log:
                return log.read()
        except OSError:
            return ""

    def counting(self):
        """with realm.counting() as seen: ...; seen.total, seen['AS'], seen['TGS-ERROR'] ..."""
        return _Count(self)


class _Count(collections.Counter):
    def __init__(self, realm):
        super().__init__()
        self.realm = realm

    def __enter__(self):
        self.mark = len(self.realm.log())
        return self

    def __exit__(self, *_):
        self.update(self.realm.kdc.requests(self.realm.log()[self.mark:]))

    @property
    def total(self):
        return sum(self.values())


def plugin_path():
    path = os.environ.get("KB_PLUGIN") \
        or os.path.join(os.environ.get("KB_BUILDDIR", os.getcwd()), "kerbside.so")
    return os.path.abspath(path)


def faketime(offset):
    """Environment in which a program's clock is `offset` seconds ahead."""
    for root in (peers() and os.path.join(peers(), "faketime"), "/"):
        for folder, _, files in os.walk(os.path.join(root, "usr/lib")) if root else ():
            if "libfaketimeMT.so.1" in files:
                return {"LD_PRELOAD": os.path.join(folder, "libfaketimeMT.so.1"),
                        "FAKETIME": f"{offset:+d}s", "DONT_FAKE_MONOTONIC": "1"}
    raise Missing("libfaketime is missing (tests/realm/peers.sh fetches it)")


def stepped(path, time_passes=True):
    """Environment in which a program's clocks are ahead by what stands in a file ("+60s") at each
    moment, the monotonic one too: whoever moves it moves time for all such programs.
    time_passes=False: the system's clock alone, which somebody sets."""
    env = faketime(0)
    more = {} if time_passes else {"DONT_FAKE_MONOTONIC": "1"}
    return {"LD_PRELOAD": env["LD_PRELOAD"], "FAKETIME_TIMESTAMP_FILE": path,
            "FAKETIME_NO_CACHE": "1", "NO_FAKE_STAT": "1", **more}


def exit_on_signals():
    """Lets `with` and atexit clean up when somebody ends us."""
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda number, _: sys.exit(128 + number))


def main():
    top = argparse.ArgumentParser(description="a throw-away Kerberos realm on loopback")
    parser = top.add_subparsers(dest="do", required=True).add_parser(
        "run", help="start a realm, run a command in it, take it down")
    parser.add_argument("--kind", choices=sorted(KINDS), default="mit")
    parser.add_argument("--offset", type=int, default=0, help="the KDC's clock, in seconds ahead")
    parser.add_argument("--no-udp", action="store_true")
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--max-udp-reply", type=int, default=0)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = top.parse_args()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        parser.error("which command is to run?")
    exit_on_signals()
    try:
        with Realm(args.kind, clock_offset=args.offset, udp=not args.no_udp, ipv6=args.ipv6,
                   max_udp_reply=args.max_udp_reply) as realm:
            env = realm.env(KB_REALM=realm.name, KB_KDC=realm.kdc_host, KB_USER="alice",
                            KB_PASSWORD_FILE=realm.password_file(), KB_REALM_DIR=realm.dir,
                            KB_KEYTAB=realm.path("alice.keytab"),
                            KB_SERVICE_KEYTAB=realm.path("service.keytab"),
                            KB_KDC_LOG=realm.path("kdc.log"))
            return subprocess.run(command, env=env).returncode
    except Failed as failure:
        print(f"realm.py: {failure}", file=sys.stderr)
        return 77 if "missing" in str(failure) else 1


if __name__ == "__main__":
    sys.exit(main())
