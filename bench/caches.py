#!/usr/bin/python3
"""FILE caches with 10 to 5,000 tickets, Kerbside beside MIT's own mechanism: the first touch, a
look-up, a warm gss_init_sec_context with the default credential, and how long it takes to fill one.
From a build directory: make bench/bench_cache bench/bench_init all && ../bench/caches.py"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "realm")]
from process import run                                     # noqa: E402
from realm import Principal, Realm, exit_on_signals         # noqa: E402
from side import Side, counted_calls, install, needed, program, show, strace, valgrind  # noqa: E402

TARGET = "HTTP@localhost"
SIZES = (10, 100, 1000, 5000)


def ask(*argv):
    return [int(n) for n in subprocess.run([program("bench_cache"), *argv], text=True, check=True,
                                           stdout=subprocess.PIPE).stdout.split()]


def environments(realm, cache):
    """With the cache alone; with a keytab as well; `User` and the platform's default cache; MIT's."""
    name = "FILE:" + cache
    mine = f"CredentialsCacheFile={cache} KDCHost={realm.kdc_host}"
    return {
        "cache alone": realm.env(options=mine),
        "keytab and cache": realm.env(options=f"{realm.identity('keytab')} "
                                              f"CredentialsCacheFile={cache}"),
        "default cache": realm.env(options=f"User=alice@{realm.name} KDCHost={realm.kdc_host}",
                                   KRB5CCNAME=name),
        "MIT": realm.env(plugin=False, KRB5CCNAME=name),
    }


def make(realm, num):
    """A cache with a TGT and a ticket for the target, and so many more."""
    path = realm.path(f"cache-{num}")
    if not os.path.exists(realm.path("first")):
        env = realm.env(plugin=False, KRB5CCNAME="FILE:" + realm.path("first"))
        run(["kinit", "-kt", realm.path("alice.keytab"), "alice"], env=env)
        run(["kvno", "HTTP/localhost"], env=env)
    run([program("bench_cache"), "pad", realm.path("first"), path, str(num)], env=os.environ)
    return path


def store(realm):
    print(f"{'tickets':>9}{'first touch':>14}{'look-up':>12}{'read on, each':>16}{'added, each':>14}")
    for num in SIZES:
        path = make(realm, num)
        touch, = ask("touch", path)
        find, = ask("find", path, "1000")
        _, read_on = ask("grow", path, "200")
        added, = ask("fill", path, "200")
        print(f"{num:>9}{show(touch, 'ms'):>14}{show(find, 'ns'):>12}{show(read_on, 'ns'):>16}"
              f"{show(added, 'ns'):>14}", flush=True)


def warm(realm, rounds):
    names = list(environments(realm, ""))
    print(f"\n{'warm, CPU':>9}" + "".join(f"{name:>20}" for name in names))
    for num in SIZES:
        best = []
        for name, env in environments(realm, make(realm, num)).items():
            side = Side([program("bench_init"), "warm", TARGET], env, ready=False)
            calls = "1000 1" if name != "MIT" else "25 1" if num > 100 else "100 1"
            best.append(min(int(side.ask(calls).split()[0])
                            for _ in range(rounds if name != "MIT" else 2)))
            side.close()
        print(f"{num:>9}" + "".join(f"{show(n, 'ns'):>20}" for n in best), flush=True)


def counts(realm, num):
    few, many = 200, 1200
    init = program("bench_init")
    print(f"\n{'of a call with ' + str(num) + ' tickets':32}{'instructions':>14}{'allocations':>13}"
          f"{'system calls':>14}")
    for name, env in environments(realm, make(realm, num)).items():
        if name != "MIT":
            per_call = [counted_calls(lambda n, t=tool: valgrind(t, init, env, TARGET, n), few, many)
                        for tool in ("callgrind", "memcheck")]
            per_call.append(counted_calls(lambda n: strace(init, env, TARGET, n), few, many))
            print(f"{name:32}{per_call[0]:>14,.0f}{per_call[1]:>13.1f}{per_call[2]:>14.2f}", flush=True)


def fill(realm, num):
    """As many services, one after the other in one process, each for the first time: what their
    tickets cost, from the KDC into the cache."""
    realm.add(*[Principal(f"service{i}/localhost", preauth=False) for i in range(num)])
    path = realm.path("filled")
    sides = {"into a cache": realm.env(options=f"{realm.identity('keytab')} "
                                               f"CredentialsCacheFile={path}"),
             "in memory": realm.env(options=realm.identity("keytab"))}
    print(f"\n{'filling with ' + str(num) + ' tickets':32}{'CPU in all':>14}{'of a ticket':>14}")
    for name, env in sides.items():
        said = subprocess.run([program("bench_init"), "targets", str(num)], env=env, text=True,
                              stdout=subprocess.PIPE, check=True).stdout
        cpu = int(said.split()[1])
        print(f"{name:32}{show(cpu * num, 'ms'):>14}{show(cpu, 'ns'):>14}", flush=True)
    print(f"{'klist reads them in':32}", end="", flush=True)
    start = time.monotonic()
    listed = subprocess.run(["klist", path], env=realm.env(plugin=False), text=True,
                            stdout=subprocess.PIPE, check=True).stdout
    found = len(re.findall(r"^[\d/]+ .* service\d+/localhost@", listed, re.M))
    print(f"{(time.monotonic() - start) * 1000:>11.0f} ms{found:>8} of them")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--fill", type=int, default=5000, help="tickets to fill a cache with")
    parser.add_argument("part", nargs="*", choices=[[], "store", "warm", "counts", "fill"])
    args = parser.parse_args()
    parts = args.part or ["store", "warm", "counts", "fill"]
    exit_on_signals()
    needed("bench_cache", "bench_init")
    with tempfile.TemporaryDirectory() as directory, Realm() as realm:
        install(directory)
        if "store" in parts:
            store(realm)
        if "warm" in parts:
            warm(realm, args.rounds)
        if "counts" in parts and shutil.which("valgrind") and shutil.which("strace"):
            counts(realm, 1000)
        if "fill" in parts:
            fill(realm, args.fill)
    return 0


if __name__ == "__main__":
    sys.exit(main())
