"""Kerberised services of the test realm: Apache with mod_auth_gssapi, and sshd. Each runs in the
foreground on a loopback port of its own, with its own files in the realm's directory; the
machine's own configuration and services are neither read nor touched."""
import os
import pwd

from kdc import program, write
from process import Failed, free_port, run
from realm import faketime

MODULES = "/usr/lib/apache2/modules"
PAGE = "Welcome to the page behind Kerberos."


def have_apache():
    return bool(program("apache2")) and os.path.exists(MODULES + "/mod_auth_gssapi.so")


def _unprivileged():
    for name in ("www-data", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Failed("no www-data or nobody user")


class Apache:
    """http://localhost:port/ behind Negotiate. plugin_env: variables that give it our plugin.
    clock_offset: seconds by which its clock is ahead. extra: more lines for its configuration."""

    def __init__(self, realm, plugin_env=None, clock_offset=0, principal="HTTP/localhost", extra=""):
        self.realm, self.port = realm, free_port()
        self.url = f"http://localhost:{self.port}/"
        self.dir = realm.path(f"apache-{self.port}")
        os.makedirs(self.dir + "/htdocs")
        write(self.dir + "/htdocs/index.html", PAGE + "\n", 0o644)
        keytab = realm.keytab(f"apache-{self.port}/http.keytab", principal)
        runtime = self._owner()
        write(self.dir + "/httpd.conf", self._conf(keytab, runtime, extra))
        env = realm.service_env(APACHE_RUN_DIR=self.dir)
        env["KRB5RCACHENAME"] = f"file2:{self.dir}/rcache"
        env["KRB5_KTNAME"] = "FILE:" + keytab
        env.update(plugin_env or {})
        if clock_offset:
            env.update(faketime(clock_offset))
        self.child = realm.start([program("apache2"), "-D", "FOREGROUND", "-d", self.dir,
                                  "-f", self.dir + "/httpd.conf"],
                                 f"apache-{self.port}.out", env=env)
        self.child.wait_for_tcp(self.port)

    def _owner(self):
        """As root, Apache puts it down: its directory and keytab belong to whom it becomes."""
        if os.geteuid() != 0:
            return ""
        user = _unprivileged()
        for path in (self.dir, self.dir + "/http.keytab"):
            os.chown(path, user.pw_uid, user.pw_gid)
        os.chmod(self.dir + "/htdocs", 0o755)
        return f"User #{user.pw_uid}\nGroup #{user.pw_gid}\n"

    def _conf(self, keytab, runtime, extra):
        modules = "\n".join(f"LoadModule {m}_module {MODULES}/mod_{m}.so" for m in
                            ("mpm_prefork", "authn_core", "authz_core", "authz_user",
                             "auth_gssapi", "dir", "headers", "env"))
        return f"""ServerName localhost
Listen 127.0.0.1:{self.port}
PidFile {self.dir}/pid
DefaultRuntimeDir {self.dir}
Mutex fcntl:{self.dir}
ErrorLog {self.dir}/error.log
LogLevel info
{modules}
{runtime}StartServers 1
MinSpareServers 1
MaxSpareServers 2
KeepAlive On
DocumentRoot {self.dir}/htdocs
DirectoryIndex index.html
<Location />
  AuthType GSSAPI
  AuthName "Kerberos"
  GssapiCredStore keytab:{keytab}
  Require valid-user
  Header set X-Authenticated-User "expr=%{{REMOTE_USER}}"
</Location>
{extra}
"""

    def log(self):
        try:
            with open(self.dir + "/error.log", errors="replace") as log:
                return log.read()
        except OSError:
            return self.child.tail()


class Sshd:
    """An sshd in which `user` (who runs the tests) may log in as alice by Kerberos alone."""

    def __init__(self, realm, plugin_env=None, principals=("alice",)):
        self.realm, self.port = realm, free_port()
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.dir = realm.path(f"sshd-{self.port}")
        os.makedirs(self.dir + "/k5login")
        os.chmod(self.dir, 0o755)
        write(f"{self.dir}/k5login/{self.user}",
              "".join(f"{p}@{realm.name}\n" for p in principals), 0o644)
        run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", self.dir + "/key"])
        self._krb5_conf()
        # sshd as root insists on this directory; on a machine whose ssh never ran it is not there.
        self.made = os.geteuid() == 0 and not os.path.exists("/run/sshd")
        if self.made:
            os.mkdir("/run/sshd", 0o755)
        write(self.dir + "/sshd_config", f"""Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.dir}/key
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PubkeyAuthentication no
PasswordAuthentication no
KbdInteractiveAuthentication no
GSSAPIAuthentication yes
GSSAPIKeyExchange yes
GSSAPIStrictAcceptorCheck no
PrintMotd no
PrintLastLog no
LogLevel VERBOSE
""")
        env = realm.service_env(krb5_conf=self.dir + "/krb5.conf")
        env.update(plugin_env or {})
        self.child = realm.start([program("sshd"), "-D", "-e", "-f", self.dir + "/sshd_config"],
                                 f"sshd-{self.port}.out", env=env)
        self.child.wait_for_tcp(self.port)

    def _krb5_conf(self):
        """k5login files of our own: nobody's home directory is asked or written."""
        with open(self.realm.krb5_conf) as conf:
            text = conf.read()
        write(self.dir + "/krb5.conf", text.replace(
            "[libdefaults]\n", f"[libdefaults]\n  k5login_directory = {self.dir}/k5login\n"), 0o644)

    def command(self, *words, options=()):
        argv = ["ssh", "-F", "none"]
        for option in options:      # ssh keeps the first of two
            argv += ["-o", option]
        argv += ["-p", str(self.port), "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "GSSAPIAuthentication=yes",
                "-o", "PreferredAuthentications=gssapi-with-mic", "-o", "BatchMode=yes",
                "-o", "LogLevel=ERROR", f"{self.user}@localhost"]
        return argv + list(words)

    def close(self):
        self.child.stop()
        if self.made:
            os.rmdir("/run/sshd")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
