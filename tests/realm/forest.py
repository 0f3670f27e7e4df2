"""Several throw-away realms that share keys, each with a KDC of its own (realm.py).

    with Forest({"A.TEST": {}, "B.TEST": {}}, keys=[("A.TEST", "B.TEST")]) as forest:
        subprocess.run(..., env=forest["A.TEST"].env(krb5_conf=forest.krb5_conf("any")))

A key (FROM, TO) is that of krbtgt/TO@FROM: users of FROM reach services of TO."""
import contextlib

from kdc import ENCTYPES, write
from realm import Principal, Realm


class Forest:
    """realms: their names, and what Realm takes beside the name."""

    def __init__(self, realms, keys):
        self.realms = {name: Realm(name=name, standard=False, **how)
                       for name, how in realms.items()}
        self.keys = keys
        # MIT's and Heimdal's KDC make different keys of AES with SHA-2 of one password here.
        mixed = len({realm.kind for realm in self.realms.values()}) > 1
        self.enctypes = ENCTYPES[2:] if mixed else ENCTYPES
        self.stack = contextlib.ExitStack()

    def __getitem__(self, name):
        return self.realms[name]

    def __enter__(self):
        try:
            for realm in self.realms.values():
                self.stack.enter_context(realm)
            for start, to in self.keys:
                self.share_key(start, to, "a key that they share")
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_):
        self.stack.close()

    def share_key(self, start, to, password, again=False):
        """again=True: there was one, and it is changed."""
        for name in (start, to):
            tgs = f"krbtgt/{to}@{start}"
            if again:
                self[name].kdc.change_password(tgs, password)
            else:
                self[name].add(Principal(tgs, password, self.enctypes, preauth=False))

    def krb5_conf(self, name, hosts=(), capaths="", libdefaults="", kdcs=None):
        """A client's: where all KDCs are. hosts: (host or .domain, realm) for [domain_realm]. kdcs:
        of some realms, what it is to take for their KDCs, as {"A.TEST": ["127.0.0.1:1", ...]}."""
        first = next(iter(self.realms.values()))
        lines = {r.name: "".join(f"    kdc = {kdc}\n" for kdc in (kdcs or {}).get(r.name, [r.kdc_host]))
                 for r in self.realms.values()}
        told = "".join(f"  {realm} = {{\n{kdc}  }}\n" for realm, kdc in lines.items())
        mapped = "".join(f"  {host} = {realm}\n" for host, realm in hosts)
        return write(first.path(f"krb5.conf.{name}"), f"""[libdefaults]
  default_realm = {first.name}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
{libdefaults}[realms]
{told}[domain_realm]
{mapped}[capaths]
{capaths}""", 0o644)

    @contextlib.contextmanager
    def counting(self):
        """What each KDC is asked meanwhile: {"A.TEST": {"AS": 2, "TGS": 1}}, without the silent."""
        seen = {}
        with contextlib.ExitStack() as stack:
            counts = {name: stack.enter_context(realm.counting())
                      for name, realm in self.realms.items()}
            yield seen
        seen.update({name: dict(count) for name, count in counts.items() if count})

    @contextlib.contextmanager
    def silent(self, name):
        """Meanwhile the KDC of this realm does not run."""
        self[name].kdc_stop()
        try:
            yield
        finally:
            self[name].kdc_start()
