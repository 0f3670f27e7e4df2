"""Runs cases: each in a fresh child of tests/hostile/login, against the KDC and the service of mock.py,
and judges what came out."""
import os
import re
import subprocess
import tempfile
import time

import mock

BUILD = os.environ.get("KB_BUILDDIR", os.getcwd())
LOGIN = os.environ.get("KB_HOSTILE_LOGIN") or os.path.join(BUILD, "tests", "hostile", "login")
PLUGIN = os.path.abspath(os.environ.get("KB_PLUGIN") or os.path.join(BUILD, "kerbside.so"))
OID = "1.3.6.1.4.1.32473.1"
CPU_LIMIT = 2.0
SLOW = float(os.environ.get("KB_SLOWDOWN", "1"))       # a sanitizer's or valgrind's


class Case:
    """expect: "ok", "fail", or "any": success too, where all that is checked of one holds."""

    def __init__(self, name, *edits, expect="fail", secret="password", options="", kdcs=1, timeout=2,
                 seconds=None, mech="krb5", no_preauth=False, etype=None, check=None, proofs=2,
                 said=None, then=False, realm=mock.REALM):
        self.name, self.edits, self.expect, self.secret = name, list(edits), expect, secret
        self.options, self.kdcs, self.timeout, self.mech = options, kdcs, timeout, mech
        self.seconds = timeout * 2 + 8 if seconds is None else seconds
        self.no_preauth, self.etype, self.check, self.proofs, self.said = \
            no_preauth, etype, check, proofs, said
        self.realm = realm      # the service's
        self.then = then        # afterwards, in the same process and unbent, it must succeed


class Plain(Case):
    """Bends nothing."""

    def __init__(self, case):
        super().__init__(case.name, etype=case.etype, no_preauth=case.no_preauth, realm=case.realm)


class Outcome:
    def __init__(self):
        self.major = self.minor = None
        self.fields, self.text = [], ""
        self.status, self.cpu, self.wall, self.peak = None, 0, 0, 0
        self.tokens, self.token = 0, b""
        self.then = None        # what came of the second time: the Outcome
        self.wrong = []

    @property
    def ok(self):
        return self.major == 0


class Runner:
    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="kb-hostile-")
        at = self.dir.name
        self.kdc = mock.Kdc()
        self.sockets = mock.Sockets(self.kdc, 2)
        self.service = mock.Service(self.kdc)
        # The same KDC for all realms that it may lead to.
        others = "".join(f"  {name}.TEST = {{\n    kdc = 127.0.0.1:{self.sockets.ports[0]}\n  }}\n"
                         for name in ["B", "C", "D"] + [f"R{n}" for n in range(30)])
        for name, data in (("password", mock.PASSWORD + b"\n"), ("keytab", mock.keytab()),
                           ("krb5.conf", f"[realms]\n{others}".encode()),
                           ("leaks", b"leak:krb5int_open_plugin\n"),     # libkrb5's own
                           ("mechs", f"kerbside {OID} {PLUGIN} "
                                                         f"<interposer>\n".encode())):
            with open(os.path.join(at, name), "wb", opener=lambda p, f: os.open(p, f, 0o600)) as out:
                out.write(data)
        keep = ("PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
                "KB_HOSTILE_ONE")
        env = {k: v for k, v in os.environ.items() if k in keep}
        env.update(KRB5_CONFIG=at + "/krb5.conf", GSS_MECH_CONFIG=at + "/mechs",
                   KRB5CCNAME="FILE:" + at + "/no-cache", HOME=at)
        env.setdefault("LSAN_OPTIONS", "print_suppressions=0:suppressions=" + at + "/leaks")
        self.errors = tempfile.TemporaryFile()
        wrapper = os.environ.get("KB_WRAPPER", "").split()
        self.login = subprocess.Popen([*wrapper, LOGIN], env=env, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=self.errors)
        self.pending, self.heard = b"", 0

    def close(self):
        self.login.stdin.close()
        try:
            code = self.login.wait(60 * SLOW)
        except subprocess.TimeoutExpired:
            self.login.kill()
            code = "hangs at its end"
        said = self.complaints()
        self.dir.cleanup()
        return ([f"login ended with {code}"] if code else []) + said

    def complaints(self):
        """What sanitizers, valgrind or anybody else wrote since the last time."""
        end = os.fstat(self.errors.fileno()).st_size
        said = os.pread(self.errors.fileno(), end - self.heard, self.heard).decode(errors="replace")
        self.heard = end
        return [said] if said.strip() else []

    def options(self, case):
        at = self.dir.name
        secret = {"password": f"Password=file:{at}/password", "keytab": f"KeytabFile={at}/keytab"}
        kdcs = ",".join(f"127.0.0.1:{port}" for port in self.sockets.ports[:case.kdcs])
        # A forged refusal costs a pause (BadSecretPause, which has tests of its own); the honest login
        # after each attack would meet it.
        return (f"User=alice@{mock.REALM} {secret[case.secret]} KDCHost={kdcs} "
                f"Timeout={case.timeout} LogLevel=0 BadSecretPause=0 {case.options}")

    def run(self, case):
        out = Outcome()
        self.kdc.reset(case)
        self.service.reset()
        self.sockets.reset()
        target = "HTTP@host.hostile.test"
        self.write(f"{self.options(case)}\t{target}\t{case.mech}\t{2 if case.then else 1}\n")
        limit = time.monotonic() + case.seconds * SLOW + 20
        while out.status is None:
            if time.monotonic() > limit:
                self.login.kill()
                raise RuntimeError(f"{case.name}: hangs")
            for ready in mock.wait_for(self.sockets, [self.login.stdout], self.sockets.timeout()):
                if ready is self.login.stdout:
                    self.read(case, out)
                elif ready.fileno() >= 0:
                    self.sockets.handle(ready)
            self.sockets.tick()
        return out

    def write(self, text):
        self.login.stdin.write(text.encode())
        self.login.stdin.flush()

    def read(self, case, out):
        data = os.read(self.login.stdout.fileno(), 1 << 18)
        if not data:
            raise RuntimeError(f"{case.name}: login is gone")
        self.pending += data
        while b"\n" in self.pending:
            line, self.pending = self.pending.split(b"\n", 1)
            self.line(case, out, line.decode(errors="replace"))

    def line(self, case, out, line):
        word, _, rest = line.partition(" ")
        if word != "exit" and out.then:
            out = out.then
        if word == "token":
            out.tokens += 1
            out.token = bytes.fromhex(rest)
        elif word == "more":
            answer = self.service.answer(out.token, case.mech == "spnego") if out.tokens == 1 else b""
            self.write(answer.hex() + "\n")
        elif word == "result":
            out.major, out.minor, *out.fields = [int(f, 16) if i < 2 else f
                                                 for i, f in enumerate(rest.split(" "))]
            if out.ok:
                out.wrong = self.judge_success(case, out)
        elif word == "text":
            out.text = rest
        elif word == "again":
            out.then = Outcome()
            self.seen, self.proofs = list(self.kdc.seen), list(self.kdc.proofs)
            self.sockets.reset()
            self.kdc.case = Plain(case)
            self.write("\n")
        elif word == "exit":
            status, cpu, wall, peak = (int(f) for f in rest.split())
            out.status, out.cpu, out.wall, out.peak = status, cpu / 1e6, wall / 1e3, peak

    # --- judging ---

    def judge(self, case, out):
        """What is wrong, as sentences."""
        wrong = []
        wrong += self.complaints()
        if out.status != 0:
            wrong.append(f"the process died: wait status {out.status:#x}")
        if out.major is None:
            return wrong + ["no result"]
        if out.cpu > CPU_LIMIT * SLOW:
            wrong.append(f"{out.cpu:.2f} s of CPU")
        if out.wall > case.seconds * SLOW:
            wrong.append(f"{out.wall:.2f} s instead of at most {case.seconds}")
        if out.peak > 100 * 1024 * SLOW:
            wrong.append(f"{out.peak} KiB of memory")
        proofs = self.proofs if out.then else self.kdc.proofs
        if len(proofs) > case.proofs:
            wrong.append(f"{len(proofs)} proofs")
        if out.ok and case.expect == "fail":
            wrong.append("accepted")
        if not out.ok and case.expect == "ok":
            wrong.append("refused: " + out.text)
        wrong += out.wrong if out.ok else self.judge_text(case, out)
        if out.then:
            wrong += ["afterwards: " + w for w in out.then.wrong]
            if not out.then.ok:
                wrong.append("afterwards: refused: " + out.then.text)
        if case.check:
            said = case.check(self, out)
            wrong += [said] if said else []
        return wrong

    def judge_success(self, case, out):
        wrong = []
        client, service, life, flags, mic = (out.fields + [""] * 5)[:5]
        if client != f"alice@{mock.REALM}":
            wrong.append(f"the client is {client}")
        if service != f"HTTP/host.hostile.test@{case.realm}":
            wrong.append(f"the service is {service}")
        if not self.service.taken or self.service.client != (mock.REALM, mock.CLIENT):
            wrong.append("the service did not see alice")
        if not 0 < int(life) <= 86400:
            wrong.append(f"a life of {life} s")
        if not int(flags, 16) & 2:
            wrong.append("no mutual authentication")
        if not self.service.mic_is_right(bytes.fromhex(mic)):
            wrong.append("keys differ")
        return wrong

    @staticmethod
    def judge_text(case, out):
        major, _, minor = out.text.partition("|")
        minor = minor.strip()
        wrong = []
        if case.mech != "spnego":
            if len(minor) < 20 or re.search("Success|Unknown (code|error)|unknown error", minor):
                wrong.append(f"says only {minor!r}")
            if out.minor == 0:
                wrong.append("minor 0")
        if any(not c.isprintable() for c in out.text):
            wrong.append(f"unprintable: {out.text!r}")
        if len(out.text) > 2000:
            wrong.append("a text of %d characters" % len(out.text))
        if out.major & 0xffff:
            wrong.append(f"major {out.major:08x}")
        if case.said and not re.search(case.said, minor):
            wrong.append(f"does not say {case.said!r}: {minor!r}")
        return wrong
