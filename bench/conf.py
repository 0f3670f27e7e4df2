#!/usr/bin/python3
"""A krb5.conf of 350 lines beside one of 7, and names in the target that are resolved: what a warm
gss_init_sec_context costs, Kerbside beside MIT's own mechanism with the same file. Counts, so that it
does not matter what else the machine does.
From a build directory: make bench/bench_init all && ../bench/conf.py"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "realm")]
from process import run                                 # noqa: E402
from realm import Realm, exit_on_signals                # noqa: E402
from kdc import write                                   # noqa: E402
from side import counted_calls, needed, program, strace, valgrind     # noqa: E402

TARGET = "HTTP@localhost"
FEW, MANY = 20, 120


def conf(realm, lines, canonicalize="false"):
    """Realms and domains of others fill it up, two of its lines include as much again."""
    text = f"""[libdefaults]
  default_realm = {realm.name}
  dns_lookup_kdc = false
  dns_canonicalize_hostname = {canonicalize}
  rdns = false
[realms]
  {realm.name} = {{ kdc = 127.0.0.1:{realm.port} }}
""".replace("{ kdc", "{\n kdc").replace(" }\n", "\n}\n")
    domains = "[domain_realm]\n"
    while text.count("\n") + domains.count("\n") < lines:
        n = text.count("\n")
        text += f" R{n}.EXAMPLE.COM = {{\n  kdc = kdc{n}.example.com\n  admin_server = a{n}.example.com\n }}\n"
        domains += f" .r{n}.example.com = R{n}.EXAMPLE.COM\n r{n}.example.com = R{n}.EXAMPLE.COM\n"
    return write(realm.path(f"krb5-{lines}-{canonicalize}.conf"), text + domains, 0o644)


def main():
    needed("bench_init")
    exit_on_signals()
    with Realm() as realm:
        cache = "FILE:" + realm.path("mit-cache")
        env = realm.env(plugin=False, KRB5CCNAME=cache)
        run(["kinit", "-kt", realm.path("alice.keytab"), "alice"], env=env)
        run(["kvno", "HTTP/localhost"], env=env)
        ours = realm.identity("keytab").replace(f"KDCHost={realm.kdc_host}", "")
        print(f"{'a call':32}{'instructions':>14}{'system calls':>14}")
        for lines, canonicalize in ((7, "false"), (350, "false"), (350, "true")):
            path = conf(realm, lines, canonicalize)
            for who, env in (("Kerbside", realm.env(options=ours, krb5_conf=path)),
                             ("MIT", realm.env(plugin=False, krb5_conf=path, KRB5CCNAME=cache))):
                what = f"{who}, {lines} lines" + (", canonical names" if canonicalize == "true" else "")
                instructions = counted_calls(
                    lambda n, e=env: valgrind("callgrind", program("bench_init"), e, TARGET, n), FEW, MANY)
                calls = counted_calls(lambda n, e=env: strace(program("bench_init"), e, TARGET, n),
                                      FEW, MANY)
                print(f"{what:32}{instructions:14,.0f}{calls:14,.1f}")


if __name__ == "__main__":
    main()
