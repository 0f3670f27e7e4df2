"""make bench BENCH=tickets: what tickets at hand, large caches and many callers at once cost, Kerbside
beside MIT's own mechanism and, where it was unpacked (tests/realm/peers.sh), Heimdal's client, on one
realm in one run. Each line has what it may be; README.md says how it is measured."""
import os
import re
import shutil
import subprocess
import tempfile
import time

from conf import conf
from process import run
from realm import Principal, peers
from side import Side, counted_calls, program, show, strace, valgrind

TARGET = "HTTP@localhost"
SIZES = (10, 100, 1000, 5000)
MANY = 5000                 # tickets that a cache is filled with
MIT_MANY = 300              # by MIT's library, for which 5,000 take minutes
THREADS, PROCESSES = 1000, 200
PATIENCE = 30               # seconds with a client that does not come to an end
COLUMNS = ("kerbside", "MIT", "Heimdal")


class Figures:
    """Prints the lines and keeps those that missed their bound."""

    def __init__(self, missed):
        self.missed = missed

    @staticmethod
    def title(text):
        print(f"\n{text}\n{'':46}" + "".join(f"{c:>13}" for c in COLUMNS) + f"{'to reach':>16}",
              flush=True)

    def line(self, what, unit, *values, bound=None, ok=None):
        """A value is a number of the unit, a text, or None; a bound is a number that ours may not
        exceed, or a text with `ok`."""
        shown = [v if isinstance(v, str) else "-" if v in (None, float("inf")) else show(v, unit)
                 for v in values]
        told = bound if isinstance(bound, str) else "" if bound is None else "<= " + show(bound, unit)
        ok = ok if ok is not None else bound is None or values[0] <= bound
        if not ok:
            self.missed.append(f"tickets: {what}")
        print(f"  {what:44}" + "".join(f"{text:>13}" for text in shown + ["-"] * (3 - len(shown)))
              + f"{told:>16}" + ("" if ok else "  MISSED"), flush=True)


def heimdals_library():
    """Of Heimdal's client; None where it is not there."""
    for root in (peers() and os.path.join(peers(), "heimdal"), "/"):
        for folder, _, files in os.walk(os.path.join(root, "usr/lib")) if root else ():
            if "libgssapi.so.3" in files:
                return os.path.join(folder, "libgssapi.so.3")
    return None


class Tickets:
    def __init__(self, realm, rounds, missed):
        self.realm, self.rounds, self.figures = realm, max(3, rounds // 2), Figures(missed)
        self.init, self.cache = program("bench_init"), program("bench_cache")
        self.library = heimdals_library()
        self.user = f"alice@{realm.name}"
        self.keytab = "FILE:" + realm.path("alice.keytab")
        env = realm.env(plugin=False, KRB5CCNAME="FILE:" + realm.path("first"))
        run(["kinit", "-kt", realm.path("alice.keytab"), "alice"], env=env)
        run(["kvno", "HTTP/localhost"], env=env)

    # --- who ---

    def ours(self, secret="keytab", cache=None):
        more = f" CredentialsCacheFile={cache}" if cache else ""
        return self.realm.env(options=self.realm.identity(secret) + more)

    def mit(self, cache="MEMORY:", **more):
        return self.realm.env(plugin=False, KRB5CCNAME=cache, **more)

    def heimdal(self, cache="MEMORY:none"):
        folder = os.path.dirname(self.library)
        return self.realm.env(plugin=False, KRB5CCNAME=cache, BENCH_GSSAPI=self.library,
                              KRB5_KTNAME=self.keytab,
                              LD_LIBRARY_PATH=os.pathsep.join([folder, folder + "/heimdal"]))

    def sides(self, ours, mit, heimdal):
        """Each: (environment, words in front of what is to be done)."""
        made = [(self.init, *ours), (self.init, *mit)]
        return made + ([(program("bench_peer"), *heimdal)] if self.library else [])

    def padded(self, num):
        """A cache with a TGT and a ticket for the target, and so many more."""
        path = self.realm.path(f"cache-{num}")
        if not os.path.exists(path):
            run([self.cache, "pad", self.realm.path("first"), path, str(num)], env=os.environ)
        return path

    def cached(self, num):
        path = self.padded(num)
        return self.sides((self.ours(cache=path), []), (self.mit("FILE:" + path), []),
                          (self.heimdal("FILE:" + path) if self.library else {}, []))

    # --- a ticket at hand ---

    def least_warm(self, sides, calls):
        """The least CPU of a call, of processes that take turns; None of a peer that fails."""
        running = [Side([path, *words, "warm", TARGET], env, ready=False) for path, env, words in sides]
        best = [float("inf")] * len(sides)
        for turn in range(self.rounds):
            for who, (side, number) in enumerate(zip(running, calls)):
                if who == 0 or (turn < 2 and best[who] is not None):
                    best[who] = self.least(side, f"{number} 1", best[who], must=who == 0)
        for side in running:
            side.close()
        return best

    @staticmethod
    def least(side, request, so_far, must):
        try:
            return min(so_far, int(side.ask(request).split()[0]))
        except (SystemExit, BrokenPipeError):
            if must:
                raise
            return None

    def warm(self):
        figures = self.figures
        figures.title("gss_init_sec_context, ticket in a FILE cache, default credential")
        sizes = {}
        for num in SIZES:
            few = max(1, 200 // num)
            sizes[num] = self.least_warm(self.cached(num), (1000, max(5, few * 5), max(2, few)))
        figures.line("CPU of a call", "ns", *sizes[10], bound=10_000)
        path = self.padded(10)
        counts = [self.counts(env) for env in (self.ours(cache=path), self.mit("FILE:" + path))]
        for which, (what, bound) in enumerate((("instructions", 60000), ("allocations", 30),
                                               ("system calls", 3))):
            if counts[0][which] is not None:
                figures.line(f"  {what} of it", ".", *[c[which] for c in counts], bound=bound)
        for num in SIZES[1:]:
            figures.line(f"CPU of a call, {num:,} tickets in the cache", "ns", *sizes[num],
                         bound="as with 10", ok=sizes[num][0] <= 1.25 * sizes[10][0] + 300)
        figures.title("gss_init_sec_context, tickets in memory, a credential that is kept")
        keep = (["-c"], ["-c"], ["-u", self.user])
        sides = self.sides((self.ours(), keep[0]),
                           (self.mit(KRB5_CLIENT_KTNAME=self.keytab), keep[1]),
                           (self.heimdal() if self.library else {}, keep[2]))
        figures.line("CPU of a call", "ns", *self.least_warm(sides, (1000, 200, 200)), bound=5000)

    def counts(self, env, few=50, many=250):
        """Instructions, allocations, system calls of a call; None where the tool is not there."""
        found = []
        for tool, count in (("valgrind", lambda n: valgrind("callgrind", self.init, env, TARGET, n)),
                            ("valgrind", lambda n: valgrind("memcheck", self.init, env, TARGET, n)),
                            ("strace", lambda n: strace(self.init, env, TARGET, n))):
            turns = 3 if tool == "strace" else 1    # where they are slow, files are looked at more often
            found.append(min(counted_calls(count, few, many) for _ in range(turns))
                         if shutil.which(tool) else None)
        return found

    # --- large caches ---

    def ask(self, *argv):
        return [int(n) for n in run([self.cache, *map(str, argv)], env=os.environ).split()]

    def large(self):
        figures = self.figures
        figures.title("FILE caches as they are read (bench_cache), first contexts from them")
        touch, find = ({num: float("inf") for num in SIZES} for _ in range(2))
        read_on = float("inf")
        for turn in range(self.rounds):
            for num in SIZES:
                touch[num] = min(touch[num], *self.ask("touch", self.padded(num)))
                find[num] = min(find[num], *self.ask("find", self.padded(num), 1000))
            growing = shutil.copy(self.padded(5000), self.realm.path("growing"))
            read_on = min(read_on, self.ask("grow", growing, 200)[1])
        figures.line("first touch of 5,000 tickets, CPU", "ms", touch[5000], bound=15_000_000)
        figures.line("a look-up, 10 tickets", "ns", find[10])
        figures.line("a look-up, 5,000 tickets", "ns", find[5000], bound="as with 10",
                     ok=find[5000] <= 2 * find[10] + 300)
        figures.line("a ticket that others appended to 5,000", "ns", read_on, bound="read on",
                     ok=read_on < touch[5000] / 10)
        for num in (10, 5000):
            sides = self.cached(num)
            best = [min(self.first_context(path, env, must=who == 0)
                        for _ in range(self.rounds if num == 10 else 3))
                    for who, (path, env, _) in enumerate(sides)]
            figures.line(f"first context of a process, {num:,} tickets, CPU", "ms", *best)

    @staticmethod
    def first_context(path, env, must):
        done = subprocess.run([path, "cold", TARGET], env=env, text=True, stdout=subprocess.PIPE,
                              check=must)
        return int(done.stdout.split()[1]) if done.returncode == 0 else float("inf")

    def fill(self):
        """As many services, one after the other in one process, each for the first time."""
        figures, realm = self.figures, self.realm
        figures.title("Filling a FILE cache with tickets from a KDC, CPU of the client")
        realm.add(*[Principal(f"service{i}/localhost", preauth=False) for i in range(MANY)])
        best = None
        for turn in range(3):
            path = realm.path(f"filled-{turn}")
            halves = self.filled(self.ours(cache=path), MANY)
            best = halves if best is None or sum(halves) < sum(best) else best
        mit = self.filled(self.mit("FILE:" + realm.path("filled-mit"),
                                   KRB5_CLIENT_KTNAME=self.keytab), MIT_MANY)
        grows = max(0.0, 2 * (mit[1] - mit[0]) / MIT_MANY ** 2)     # of n tickets: each * n + grows * n^2
        each = (mit[0] - grows * MIT_MANY ** 2 / 4) * 2 / MIT_MANY
        reckoned = each * MANY + grows * MANY ** 2
        figures.line(f"{MANY:,} tickets (MIT reckoned from {MIT_MANY})", "ms", sum(best), reckoned,
                     bound=1_000_000_000)
        figures.line("  the second half beside the first", "ns", *[f"{b / a:.2f}" for a, b in (best, mit)],
                     bound="<= 1.5: linear", ok=best[1] <= 1.5 * best[0])
        listed = run(["klist", path], env=realm.env(plugin=False))
        num = len(set(re.findall(r"service\d+/localhost@", listed)))
        figures.line("  klist finds", " tickets", num, bound=f"= {MANY:,}", ok=num == MANY)

    def filled(self, env, num):
        return [int(n) for n in run([self.init, "targets", str(num)], env=env).splitlines()[2].split()]

    # --- many at once ---

    def together(self):
        for secret in ("keytab", "password"):
            self.figures.title(f"{THREADS:,} threads at once, one target, nothing cached, {secret}")
            path = self.realm.password_file("alice") if secret == "password" else None
            words = [self.user] + ([path] if path else [])
            mit = self.mit(**({} if path else {"KRB5_CLIENT_KTNAME": self.keytab}))
            sides = self.sides((self.ours(secret), []), (mit, words if path else []),
                               (self.heimdal() if self.library else {}, words))
            self.compare_together(sides)

    def compare_together(self, sides):
        best = [[float("inf")] * 2 for _ in sides]      # until the last is there: of one, of all
        requests, failures = [None] * len(sides), ["0"] * len(sides)
        for turn in range(self.rounds):
            for who, (path, env, words) in enumerate(sides):
                for which, number in enumerate((1, THREADS) if who == 0 or turn == 0 else ()):
                    took, seen, failed = self.run_together(path, env, words, number)
                    best[who][which] = min(best[who][which], took)
                    if number > 1:
                        requests[who] = self.more(requests[who], seen)
                        failures[who] = failed if failed != "0" else failures[who]
        one_as = [f"{r['AS'] + r['AS-ERROR']:,}" for r in requests]
        tgs = [f"{r['TGS'] + r['TGS-ERROR']:,}" for r in requests]
        figures = self.figures
        figures.line("AS requests (the most of a run)", "", *one_as, bound="<= 2",
                     ok=int(one_as[0].replace(",", "")) <= 2)
        figures.line("TGS requests", "", *tgs, bound="<= 1", ok=int(tgs[0].replace(",", "")) <= 1)
        figures.line("threads that failed", "", *failures, bound="0", ok=failures[0] == "0")
        figures.line("until one alone has its token", "ms", *[b[0] for b in best])
        figures.line("until the last of all has", "ms",
                     *[b[1] if b[1] < PATIENCE * 1e9 else "-" for b in best])
        figures.line("  beyond one alone", "ms", best[0][1] - best[0][0], bound=100_000_000)

    @staticmethod
    def more(a, b):
        return b if a is None or sum(b.values()) > sum(a.values()) else a

    def run_together(self, path, env, words, number):
        """Nanoseconds, the KDC's requests, how many threads failed or what became of the program."""
        with self.realm.counting() as seen, tempfile.TemporaryFile("w+") as out:
            child = subprocess.Popen([path, "together", TARGET, str(number), *words], env=env,
                                     stdout=out, stderr=subprocess.DEVNULL)
            try:
                child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            out.seek(0)
            said = out.read().split()
        if child.returncode != 0 or len(said) != 3:
            return PATIENCE * 1e9, seen, "never ended" if child.returncode == -9 else "crashed"
        return int(said[0]), seen, said[2]

    def processes(self):
        """They begin when the last is started; the cache is not there yet."""
        self.figures.title(f"{PROCESSES} processes at once, one target, one FILE cache, keytab")
        path = self.realm.path("of-many")
        gate, starter = os.pipe()
        with self.realm.counting() as seen:
            many = [subprocess.Popen(["/bin/sh", "-c", f"read x <&{gate}; exec \"$@\"", "sh", self.init,
                                      "count", TARGET, "1"], env=self.ours(cache=path),
                                     pass_fds=[gate], stdout=subprocess.DEVNULL)
                    for _ in range(PROCESSES)]
            os.close(gate)
            start = time.monotonic()
            os.close(starter)
            failed = sum(child.wait() != 0 for child in many)
            took = time.monotonic() - start
        requests = seen["AS"] + seen["AS-ERROR"]
        self.figures.line("AS requests", "", f"{requests}", bound="<= 2", ok=requests <= 2)
        self.figures.line("TGS requests", "", f"{seen['TGS']}", bound="<= 1", ok=seen["TGS"] <= 1)
        self.figures.line("processes that failed", "", f"{failed}", bound="0", ok=failed == 0)
        self.figures.line("until the last has ended", "ms", took * 1e9)

    # --- what surrounds a call ---

    def surroundings(self):
        figures, realm = self.figures, self.realm
        figures.title("The same call with a large krb5.conf, and with names that are resolved")
        cache = "FILE:" + realm.path("first")
        options = realm.identity("keytab").replace(f"KDCHost={realm.kdc_host}", "")
        envs = {}
        for lines, canonical in ((7, "false"), (350, "false"), (350, "true")):
            path = conf(realm, lines, canonical)
            envs[lines, canonical] = [realm.env(options=options, krb5_conf=path),
                                      realm.env(plugin=False, krb5_conf=path, KRB5CCNAME=cache)]
        if shutil.which("valgrind"):
            few, large = ([counted_calls(lambda n, e=env: valgrind("callgrind", self.init, e, TARGET, n),
                                         20, 70) for env in envs[lines, "false"]] for lines in (7, 350))
            figures.line("instructions, krb5.conf of 7 lines", ".", *few)
            figures.line("instructions, krb5.conf of 350 lines", ".", *large, bound="no effect",
                         ok=large[0] <= 1.05 * few[0])
        if shutil.which("strace"):
            for canonical, what in (("false", "as given"), ("true", "canonical names")):
                calls = [min(counted_calls(lambda n, e=env: strace(self.init, e, TARGET, n), 50, 250)
                             for _ in range(3)) for env in envs[350, canonical]]
                figures.line(f"system calls, {what}", ".", *calls, bound=3)

    def run(self):
        start = time.monotonic()
        print(f"\nTickets and caches, beside MIT {self.version()}"
              f"{'' if self.library else '; without Heimdal, whose library is not there'}. "
              f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}", end="")
        for part in (self.warm, self.large, self.fill, self.processes, self.together, self.surroundings):
            part()
        print(f"\nin {time.monotonic() - start:.0f} s; load at the end {os.getloadavg()[0]:.1f}: "
              "times are the least of their rounds, counts do not depend on it")

    @staticmethod
    def version():
        said = subprocess.run(["krb5-config", "--version"], text=True, capture_output=True).stdout
        return (re.findall(r"[\d.]+", said) or ["'s library"])[-1]
