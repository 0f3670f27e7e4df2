"""The two KDCs of the test realm. Each kind knows its files, its admin tool and its log.

A kind is made with the Realm (whose directory, name and options it reads) and offers
    configure()     write its files
    create()        an empty database
    programs()      those that make the database
    argv(), env()   the daemon in the foreground
    admin(...)      principals and keytabs
    requests(text)  what a piece of its log says: a list of 'AS', 'AS-ERROR', 'TGS', 'TGS-ERROR'
    refused_proofs(text)  how many failed pre-authentications it says
"""
import os
import re
import shutil

from process import Failed, run

# Debian keeps daemons where a user's PATH does not look.
SBIN = ":/usr/sbin:/sbin:/usr/local/sbin"

ENCTYPES = ("aes256-cts-hmac-sha384-192", "aes128-cts-hmac-sha256-128",
            "aes256-cts-hmac-sha1-96", "aes128-cts-hmac-sha1-96")
# Those that a realm has when it is asked to (more_enctypes). MIT's KDC knows no single DES since 1.18,
# Heimdal's no Camellia.
MORE_ENCTYPES = {
    "mit": ("camellia256-cts-cmac", "camellia128-cts-cmac", "arcfour-hmac", "des3-cbc-sha1"),
    "heimdal": ("arcfour-hmac-md5", "des3-cbc-sha1", "des-cbc-md5", "des-cbc-crc"),
}
PAST = "2020-01-01"


def program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + SBIN)


def write(path, text, mode=0o600):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as out:
        out.write(text)
    os.chmod(path, mode)
    return path


class MIT:
    name = "MIT krb5kdc"

    def __init__(self, realm):
        self.realm = realm
        self.krb5kdc, self.kadmin = program("krb5kdc"), program("kadmin.local")
        if not self.krb5kdc or not self.kadmin:
            raise Failed("krb5kdc or kadmin.local is missing (Debian: krb5-kdc, krb5-admin-server)")

    def configure(self):
        r = self.realm
        listen = " ".join(f"{'[%s]' % a if ':' in a else a}:{r.port}" for a in r.addresses)
        udp_reply = f"  kdc_max_dgram_reply_size = {r.max_udp_reply}\n" if r.max_udp_reply else ""
        # An empty kdc_listen is "no UDP".
        write(r.path("kdc.conf"), f"""[kdcdefaults]
  kdc_listen = {listen if r.udp else '""'}
  kdc_tcp_listen = {listen}
{udp_reply}[realms]
  {r.name} = {{
    database_name = {r.path('principal')}
    key_stash_file = {r.path('stash')}
    acl_file = {r.path('kadm5.acl')}
    master_key_type = aes256-cts-hmac-sha1-96
    supported_enctypes = {' '.join(e + ':normal' for e in ENCTYPES)}
    max_life = 2d
    max_renewable_life = 14d
  }}
[logging]
  kdc = FILE:{r.path('kdc.log')}
  admin_server = FILE:{r.path('kadmin.log')}
  default = FILE:{r.path('kadmin.log')}
""")

    def create(self):
        r = self.realm
        run([program("kdb5_util"), "create", "-s", "-W", "-P", "master", "-r", r.name],
            env=self.env(), what="kdb5_util create")

    def programs(self):
        return self.krb5kdc, self.kadmin

    def env(self):
        env = dict(os.environ, KRB5_CONFIG=self.realm.krb5_conf,
                   KRB5_KDC_PROFILE=self.realm.path("kdc.conf"))
        env.pop("GSS_MECH_CONFIG", None)
        return env

    def argv(self):
        return [self.krb5kdc, "-n", "-r", self.realm.name, "-P", self.realm.path("kdc.pid")]

    def ready(self, log):
        return "commencing operation" in log

    def _admin(self, *lines):
        """kadmin.local reads its commands from stdin: one process for many principals."""
        out = run([self.kadmin, "-r", self.realm.name], env=self.env(),
                  stdin="\n".join(lines) + "\n", what="kadmin.local")
        for line in out.splitlines():
            if re.match(r"(\S+: )?.* while |.*usage: ", line):
                raise Failed(f"kadmin.local: {line}")

    def add(self, *principals):
        lines = []
        for p in principals:
            keys = " ".join(f"{e}:{p.salt}" for e in p.enctypes)
            secret = f"-pw {quote(p.password)}" if p.password else "-randkey"
            flags = (["+requires_preauth"] if p.preauth else []) \
                + (["-allow_tix"] if p.locked else []) \
                + ([f"-expire {PAST}"] if p.expired else []) \
                + ([f"-pwexpire {PAST}"] if p.password_expired else [])
            lines.append(f"addprinc {' '.join(flags)} -e {quote(keys)} {secret} {quote(p.name)}")
        self._admin(*lines)

    def change_password(self, name, password):
        self._admin(f"cpw -pw {quote(password)} {quote(name)}")

    def modify(self, name, *words):
        """kadmin's modprinc: -maxlife, -expire, ..."""
        self._admin(" ".join(["modprinc", *map(quote, words), quote(name)]))

    def expires(self, name, password=None, account=None):
        """When (YYYY-MM-DD) the password ends, and the account."""
        self.modify(name, *(["-pwexpire", password] if password else []),
                    *(["-expire", account] if account else []))

    def limit(self, name, minutes):
        """The longest life of its tickets."""
        self.modify(name, "-maxlife", f"{minutes} minutes")

    def session_enctypes(self, name, enctypes):
        """The enctypes of session keys that this service takes, whatever its own keys are."""
        self._admin(f"setstr {quote(name)} session_enctypes {quote(','.join(enctypes))}")

    def delete(self, *names):
        self._admin(*(f"delprinc -force {quote(n)}" for n in names))

    def export(self, keytab, names):
        """Adds the keys as they are: a keytab made here does not change a password."""
        self._admin(*(f"ktadd -q -k {keytab} -norandkey {quote(n)}" for n in names))

    def rekey(self, keytab, name, *words):
        """A new random key, added to the keytab. words: kadmin's ktadd (-keepold, -e ENCTYPES)."""
        self._admin(" ".join(["ktadd", "-q", "-k", keytab, *map(quote, words), quote(name)]))

    def random_key(self, name):
        self._admin(f"cpw -randkey {quote(name)}")

    @staticmethod
    def refused_proofs(log):
        """How many encrypted timestamps it has refused: what it counts against the account."""
        return log.count(": PREAUTH_FAILED: ")

    @staticmethod
    def requests(log):
        out = []
        for kind, what in re.findall(r"\b(AS|TGS)_REQ .*?: ([A-Z_ -]+)(?::|,)", log):
            out.append(kind if what == "ISSUE" else kind + "-ERROR")
        return out


class Heimdal:
    """Heimdal's KDC from a folder of its own (peers.sh): its package conflicts with MIT's."""
    name = "Heimdal kdc"

    def __init__(self, realm):
        self.realm = realm
        self.root = peers() and os.path.join(peers(), "heimdal")
        if not self.root or not os.path.exists(self._bin("lib/heimdal-servers/kdc")):
            raise Failed("Heimdal's KDC is missing (tests/realm/peers.sh fetches it)")

    def _bin(self, name):
        return os.path.join(self.root, "usr", name)

    def _conf(self, default_keys):
        r = self.realm
        weak = "  allow_weak_crypto = true\n" if r.more_enctypes else ""
        return write(r.path("heimdal.conf"), f"""[libdefaults]
  default_realm = {r.name}
{weak}[realms]
  {r.name} = {{
    kdc = 127.0.0.1:{r.port}
  }}
[kdc]
  database = {{
    dbname = {r.path('heimdal')}
    realm = {r.name}
    mkey_file = {r.path('m-key')}
    acl_file = {r.path('kadm5.acl')}
    log_file = {r.path('heimdal.iprop')}
  }}
  enable-kerberos4 = false
  enable-http = false
  require-preauth = false
  {f'max-kdc-datagram-reply-length = {r.max_udp_reply}' if r.max_udp_reply else ''}
[kadmin]
  default_keys = {default_keys}
[logging]
  kdc = 0-/FILE:{r.path('kdc.log')}
  kadmin = 0-/FILE:{r.path('kadmin.log')}
{r.more_conf}""")

    def configure(self):
        if not self.realm.udp:
            raise Failed("Heimdal's KDC cannot be told to listen on TCP alone")
        self._conf(" ".join(e + ":pw-salt" for e in ENCTYPES))

    def create(self):
        run([self._bin("sbin/kstash"), "--random-key", "-k", self.realm.path("m-key")],
            env=self.env(), what="kstash")
        self._admin("init --realm-max-ticket-life=2d --realm-max-renewable-life=14d "
                    + self.realm.name)

    def programs(self):
        return self._bin("lib/heimdal-servers/kdc"), self._bin("bin/kadmin.heimdal")

    def env(self):
        libs = next(d for d, _, files in os.walk(self._bin("lib"))
                    if any(f.startswith("libkdc.so") for f in files))
        env = dict(os.environ, KRB5_CONFIG=self.realm.path("heimdal.conf"), LD_LIBRARY_PATH=libs)
        env.pop("GSS_MECH_CONFIG", None)
        return env

    def argv(self):
        return [self._bin("lib/heimdal-servers/kdc"), "-c", self.realm.path("heimdal.conf"),
                f"--ports={self.realm.port}", f"--addresses={','.join(self.realm.addresses)}"]

    def ready(self, log):
        return "KDC started" in log or "listening on" in log.lower()

    def _admin(self, *lines):
        for line in lines:
            out = run([self._bin("bin/kadmin.heimdal"), "-l", "-c", self.realm.path("heimdal.conf"),
                       "-r", self.realm.name], env=self.env(), stdin=line + "\n", what="kadmin")
            if re.search(r"kadmin: |unrecognized|error", out):
                raise Failed(f"kadmin (Heimdal) {line}: {out.strip()}")

    def add(self, *principals):
        for p in principals:
            salt = "pw-salt" if p.salt == "normal" else "pw-salt:a-salt-of-its-own"
            self._conf(" ".join(f"{e}:{salt}" for e in p.enctypes))
            attributes = (["requires-pre-auth"] if p.preauth else []) \
                + (["disallow-all-tix"] if p.locked else [])
            secret = f"--password={quote(p.password)}" if p.password else "--random-key"
            attributes = f"--attributes={','.join(attributes)} " if attributes else ""
            self._admin(
                f"add --use-defaults {secret} {attributes}"
                f"--expiration-time={PAST if p.expired else 'never'} "
                f"--pw-expiration-time={PAST if p.password_expired else 'never'} "
                f"--max-ticket-life=2d --max-renewable-life=14d {quote(p.name)}")

    def expires(self, name, password=None, account=None):
        self._admin(f"modify {f'--pw-expiration-time={password} ' if password else ''}"
                    f"{f'--expiration-time={account} ' if account else ''}{quote(name)}")

    def limit(self, name, minutes):
        self._admin(f"modify --max-ticket-life={minutes}m {quote(name)}")

    def session_enctypes(self, name, enctypes):
        """Heimdal's KDC gives the first that was asked for and that the service has a key of."""

    def change_password(self, name, password):
        self._admin(f"passwd --password={quote(password)} {quote(name)}")

    def delete(self, *names):
        self._admin(*(f"delete {quote(n)}" for n in names))

    def export(self, keytab, names):
        self._admin(*(f"ext_keytab -k {keytab} {quote(n)}" for n in names))

    def rekey(self, keytab, name):
        """A new random key, added to the keytab."""
        self.random_key(name)
        self.export(keytab, [name])

    def random_key(self, name):
        self._admin(f"cpw --random-key {quote(name)}")

    def alias(self, name, alias):
        """Another name for a principal, for who asks for canonical ones."""
        self._admin(f"modify --alias={quote(f'{alias}@{self.realm.name}')} {quote(name)}")

    def ktutil(self, keytab, *words):
        """Heimdal's ktutil: remove, purge, copy, ..."""
        run([self._bin("bin/ktutil.heimdal"), "-k", keytab, *words], env=self.env(), what="ktutil")

    @staticmethod
    def refused_proofs(log):
        return log.count("Failed to decrypt PA-DATA")

    @staticmethod
    def requests(log):
        # A request is logged when it comes; "-REQ authtime" follows where a ticket is given out.
        out = []
        for kind, what in re.findall(r"\b(AS|TGS)-REQ (authtime|\S+ from)", log):
            if what != "authtime":
                out.append(kind + "-ERROR")
            elif out:
                out[-1] = kind
        return out


def peers():
    """The folder that peers.sh filled."""
    for folder in (os.environ.get("KB_PEERS"),
                   os.environ.get("KB_BUILDDIR") and os.environ["KB_BUILDDIR"] + "/peers"):
        if folder and os.path.isdir(folder):
            return folder
    return None


def heimdal_program(name):
    """(path, what its environment has beside) of one of Heimdal's programs for users."""
    root = os.path.join(peers(), "heimdal", "usr")
    libs = ":".join(folder for folder, _, names in os.walk(os.path.join(root, "lib"))
                    if any(name.startswith("lib") for name in names))
    return os.path.join(root, "bin", name), {"LD_LIBRARY_PATH": libs}


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


KINDS = {"mit": MIT, "heimdal": Heimdal}
