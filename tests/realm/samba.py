"""Samba's domain controller as a third kind of KDC for Realm: Active Directory's ways with names,
passwords and refusals. Import it, then Realm("samba", "AD.TEST", standard=False), as root and in a
network of the test's own (netns.py), since LDAP is at its usual port.

Its KDC and its LDAP server alone run; no file outside the realm's directory is read or written."""
import os

from kdc import KINDS, Heimdal, program, write
from process import Failed, run

ADMINISTRATOR = "Pass.word.of.the.administrator.1"


def missing():
    """What a test of it lacks, or None."""
    if os.geteuid() != 0:
        return "root"
    for name in ("samba", "samba-tool"):
        if not program(name):
            return f"{name} (Debian: samba, samba-ad-provision)"
    return None


class Samba:
    name = "Samba's KDC"
    domain, host = "ADTEST", "dc1"      # the realm's short name, and the controller's

    def __init__(self, realm):
        self.realm = realm
        lacks = missing()
        if lacks:
            raise Failed(f"{lacks} is missing")

    def programs(self):
        return program("samba"), program("samba-tool")

    def configure(self):
        """Its own smb.conf comes after the one of the provision, which has shares of the machine."""

    def _smb_conf(self):
        r = self.realm
        return write(r.path("smb.conf"), f"""[global]
  netbios name = {self.host.upper()}
  realm = {r.name}
  workgroup = {self.domain}
  server role = active directory domain controller
  server services = kdc, ldap
  interfaces = 127.0.0.1/8
  bind interfaces only = yes
  krb5 port = {r.port}
  private dir = {r.path('private')}
  state directory = {r.path('state')}
  lock directory = {r.dir}
  cache directory = {r.path('cache')}
  pid directory = {r.path('run')}
  ncalrpc dir = {r.path('run/ncalrpc')}
  winbindd socket directory = {r.path('run/winbindd')}
  ntp signd socket directory = {r.path('run/ntp')}
  log file = {r.path('kdc.log')}
  log level = 1 kerberos:3
""")

    def create(self):
        r = self.realm
        run([program("samba-tool"), "domain", "provision", "--targetdir=" + r.dir, "--realm=" + r.name,
             "--domain=" + self.domain, "--host-name=" + self.host, "--host-ip=127.0.0.1",
             "--server-role=dc", "--dns-backend=NONE", "--adminpass=" + ADMINISTRATOR,
             "--option=log file=" + r.path("provision.log"),
             "--option=posix:eadb=" + r.path("eadb.tdb"),
             "--option=vfs objects=dfs_samba4 acl_xattr xattr_tdb"],
            env=self.env(), what="samba-tool domain provision")
        for name in ("cache", "run"):
            os.makedirs(r.path(name), exist_ok=True)
        self._smb_conf()

    def env(self):
        env = dict(os.environ, KRB5_CONFIG=self.realm.krb5_conf)
        env.pop("GSS_MECH_CONFIG", None)
        return env

    def argv(self):
        return [program("samba"), "-F", "--no-process-group", "-M", "single", "-s",
                self.realm.path("smb.conf")]

    def ready(self, log):
        return True         # its port tells

    # --- principals ---

    def tool(self, *words):
        """samba-tool, with the controller's own database."""
        database = [] if words[0] == "domain" and words[1] == "exportkeytab" \
            else ["-H", self.realm.path("private/sam.ldb")]
        return run([program("samba-tool"), *words, "-s", self.realm.path("smb.conf"), *database],
                   env=self.env(), what="samba-tool " + " ".join(words[:2]))

    def add(self, *principals):
        """Users; their passwords must be hard enough for a domain."""
        for p in principals:
            self.tool("user", "create", p.name, p.password)

    def attribute(self, user, name):
        """Of a user, as text; None where there is none."""
        for line in self.tool("user", "show", user, "--attributes=" + name).splitlines():
            key, _, value = line.partition(": ")
            if key == name:
                return value
        return None

    def export(self, keytab, names):
        for name in names:
            self.tool("domain", "exportkeytab", keytab, f"--principal={name}@{self.realm.name}")

    requests = staticmethod(Heimdal.requests)


KINDS["samba"] = Samba
