"""A certification authority of a test's own, made with openssl(1): keys and certificates as files."""
import os
import subprocess

from kdc import write

CONFIG = """[ca]
default_ca = own
[own]
database = {dir}/index.txt
new_certs_dir = {dir}
serial = {dir}/serial
certificate = {dir}/ca.pem
private_key = {dir}/ca.key
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = none
[none]
"""


def _openssl(*args):
    done = subprocess.run(("openssl", *args), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {args}: {done.stderr}")


class Authority:
    """directory: made, and not removed. ca.pem: what its certificates are checked against."""

    def __init__(self, directory, name="Kerbside Test CA"):
        self.dir = directory
        os.mkdir(directory)
        write(self.path("index.txt"), "")
        write(self.path("serial"), "01\n")
        write(self.path("openssl.cnf"), CONFIG.format(dir=directory))
        self.file = self.path("ca.pem")
        self.self_signed("ca", name, "basicConstraints=critical,CA:TRUE")

    def path(self, name):
        return os.path.join(self.dir, name)

    def _request(self, name, subject, extension, *more):
        _openssl("req", "-config", self.path("openssl.cnf"), "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={subject}", "-addext", extension,
                 "-keyout", self.path(name + ".key"), *more)

    def self_signed(self, name, subject, extension):
        """NAME.pem and NAME.key."""
        self._request(name, subject, extension, "-x509", "-days", "2", "-out",
                      self.path(name + ".pem"))
        return self.path(name + ".pem"), self.path(name + ".key")

    def issue(self, name, hosts, start=None, end=None):
        """The same, signed by us, for hosts ("DNS:a.test", "IP:127.0.0.1"). start, end:
        YYYYMMDDHHMMSSZ."""
        self._request(name, name, "subjectAltName=" + ",".join(hosts), "-out",
                      self.path(name + ".csr"))
        dates = (["-startdate", start] if start else []) + (["-enddate", end] if end else
                                                            ["-days", "2"])
        _openssl("ca", "-batch", "-notext", "-config", self.path("openssl.cnf"), "-in",
                 self.path(name + ".csr"), "-out", self.path(name + ".pem"), *dates)
        return self.path(name + ".pem"), self.path(name + ".key")
