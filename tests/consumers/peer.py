#!/usr/bin/python3
"""One side of a GSS-API conversation, in a process of its own with an environment of its own.

Run as a program it serves commands on stdin, one JSON object a line, answers on stdout. Imported, it
is the other end: Peer(env) has a method per command; a GSS-API error comes out as GSSFailure with
the lines that gss_display_status gave."""
import base64
import json
import os
import subprocess
import sys
import threading
import time

INTEG, CONF, MUTUAL, REPLAY, SEQUENCE, DELEG, DELEG_POLICY = 32, 16, 2, 4, 8, 1, 32768
KRB5, SPNEGO = "1.2.840.113554.1.2.2", "1.3.6.1.5.5.2"


class GSSFailure(Exception):
    def __init__(self, error):
        super().__init__(error["text"])
        self.major, self.minor, self.text = error["major"], error["minor"], error["text"]
        self.minor_text = error["minor_text"]
        self.token = base64.b64decode(error["token"])   # for the other side; empty: none


class Peer:
    def __init__(self, env, through=()):
        """through: a command line that runs another one."""
        self.process = subprocess.Popen([*through, sys.executable, "-B", os.path.abspath(__file__)],
                                        env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def call(self, do, **arguments):
        for key, value in arguments.items():
            if isinstance(value, bytes):
                arguments[key] = {"bytes": base64.b64encode(value).decode()}
        self.process.stdin.write(json.dumps(dict(arguments, do=do)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"{do}: the peer died with {self.process.wait(10)}")
        answer = json.loads(line)
        if "error" in answer:
            raise GSSFailure(answer["error"])
        if "mistake" in answer:
            raise AssertionError(f"{do}: {answer['mistake']}")
        return {k: base64.b64decode(v["bytes"]) if isinstance(v, dict) and "bytes" in v else v
                for k, v in answer.items()}

    def __getattr__(self, do):
        return lambda **arguments: self.call(do, **arguments)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def establish(initiator, acceptor, target, ctx="c", **options):
    """Runs both sides to the end. What the last step on each side said."""
    initiator.forget(ctx=ctx)
    acceptor.forget(ctx=ctx)
    mine = initiator.init(ctx=ctx, target=target, **options)
    theirs = {"more": True}
    while True:
        if mine.get("token"):
            theirs = acceptor.accept(ctx=ctx, token=mine["token"])
        if not mine["more"]:
            return mine, theirs
        mine = initiator.init(ctx=ctx, target=target, token=theirs["token"], **options)


class Server:
    """The commands. Contexts and credentials are kept under the names that the test gives."""

    def __init__(self):
        import gssapi.raw as raw
        self.raw = raw
        self.contexts, self.creds = {}, {}

    def _name(self, text, kind="hostbased_service"):
        return self.raw.import_name(text.encode(), getattr(self.raw.NameType, kind))

    def _mech(self, oid):
        import gssapi
        return gssapi.raw.OID.from_int_seq(oid) if oid else None

    def acquire(self, cred, name=None, name_type="user", usage="initiate", store=None, mechs=None,
                lifetime=None):
        desired = self._name(name, name_type) if name else None
        mechs = [self._mech(m) for m in mechs] if mechs else None
        if store:
            store = {k.encode(): v.encode() for k, v in store.items()}
            got = self.raw.acquire_cred_from(store, desired, lifetime, mechs, usage)
        else:
            got = self.raw.acquire_cred(desired, lifetime, mechs, usage)
        self.creds[cred] = got.creds
        return {"lifetime": got.lifetime, "mechs": sorted(m.dotted_form for m in got.mechs)}

    def acquire_with_password(self, cred, name, password, mechs=None, lifetime=None):
        mechs = [self._mech(m) for m in mechs] if mechs else None
        got = self.raw.acquire_cred_with_password(self._name(name, "user"), password.encode(),
                                                  lifetime, mechs)
        self.creds[cred] = got.creds
        return {"lifetime": got.lifetime}

    def inquire_cred(self, cred=None):
        got = self.raw.inquire_cred(self.creds[cred] if cred else self.raw.Creds())
        return {"name": got.name and self.raw.display_name(got.name).name.decode(),
                "lifetime": got.lifetime, "usage": got.usage}

    def release_cred(self, cred):
        self.raw.release_cred(self.creds.pop(cred))
        return {}

    def init(self, ctx, target, token=None, mech=None, flags=MUTUAL | REPLAY | SEQUENCE,
             cred=None, target_type="hostbased_service", lifetime=None):
        start = time.thread_time()
        got = self.raw.init_sec_context(self._name(target, target_type),
                                        self.creds[cred] if cred else None,
                                        self.contexts.get(ctx), self._mech(mech), flags,
                                        lifetime, None, token)
        self.contexts[ctx] = got.context
        return {"token": got.token, "more": got.more_steps, "flags": int(got.flags),
                "lifetime": got.lifetime, "cpu": time.thread_time() - start}

    def accept(self, ctx, token, cred=None, bindings=None):
        if bindings:
            bindings = self.raw.ChannelBindings(application_data=bindings)
        got = self.raw.accept_sec_context(token, self.creds[cred] if cred else None,
                                          self.contexts.get(ctx), bindings)
        self.contexts[ctx] = got.context
        if got.delegated_creds is not None:
            self.creds["delegated"] = got.delegated_creds
        name = got.initiator_name and self.raw.display_name(got.initiator_name).name.decode()
        return {"token": got.token, "more": got.more_steps, "flags": int(got.flags), "name": name,
                "delegated": got.delegated_creds is not None}

    def inquire(self, ctx):
        got = self.raw.inquire_context(self.contexts[ctx])

        def shown(name):
            return name and self.raw.display_name(name).name.decode()
        return {"initiator": shown(got.initiator_name), "target": shown(got.target_name),
                "lifetime": got.lifetime, "flags": int(got.flags), "complete": got.complete,
                "mine": got.locally_init, "mech": got.mech and got.mech.dotted_form}

    def forget(self, ctx):
        if ctx in self.contexts:
            self.raw.delete_sec_context(self.contexts.pop(ctx))
        return {}

    def wrap(self, ctx, message, conf=True):
        got = self.raw.wrap(self.contexts[ctx], message, conf, None)
        return {"message": got.message, "conf": got.encrypted}

    def unwrap(self, ctx, message):
        got = self.raw.unwrap(self.contexts[ctx], message)
        return {"message": got.message, "conf": got.encrypted}

    def get_mic(self, ctx, message):
        return {"mic": self.raw.get_mic(self.contexts[ctx], message, None)}

    def verify_mic(self, ctx, message, mic):
        self.raw.verify_mic(self.contexts[ctx], message, mic)
        return {}

    def size_limit(self, ctx, size, conf=True):
        return {"size": self.raw.wrap_size_limit(self.contexts[ctx], size, conf, None)}

    def setenv(self, name, value):
        os.environ[name] = value
        return {}

    def loaded(self, library):
        with open("/proc/self/maps") as maps:
            return {"yes": any(library in line for line in maps)}

    def descriptors(self):
        return {"open": sorted(os.listdir("/proc/self/fd"))}

    def init_in_threads(self, target, threads, stack=0):
        """Fresh contexts to one target from many threads at once."""
        threading.stack_size(stack)
        errors, ready = [], threading.Barrier(threads)

        def one():
            ready.wait()
            try:
                self.raw.init_sec_context(self._name(target), None, None, None, MUTUAL)
            except Exception as error:      # each is reported to the test
                errors.append(str(error))
        running = [threading.Thread(target=one) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return {"errors": errors}

    def fork_and_init(self, target):
        """The same call in a child of this process; what its error says, or nothing."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            text = b""
            try:
                self.raw.init_sec_context(self._name(target), None, None, None, MUTUAL)
            except Exception as error:      # goes through the pipe
                text = str(error).encode()
            os.write(write, text)
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as said:
            text = said.read().decode()
        return {"status": os.waitpid(pid, 0)[1], "text": text}


def failure(raw, error):
    from gssapi.raw.misc import _display_status

    def lines(code, major):
        said, context = [], 0
        try:
            while True:
                text, context, more = _display_status(code, major, None, context)
                said.append(text.decode(errors="replace"))
                if not more:
                    return said
        except raw.GSSError:
            return said + ["(no text)"]
    minor = lines(error.min_code, False)
    return {"major": error.maj_code, "minor": error.min_code, "minor_text": "; ".join(minor),
            "text": "; ".join(lines(error.maj_code, True) + minor),
            "token": base64.b64encode(getattr(error, "token", None) or b"").decode()}


def serve():
    import gssapi.raw as raw
    server = Server()
    for line in sys.stdin:
        command = json.loads(line)
        command = {k: base64.b64decode(v["bytes"]) if isinstance(v, dict) and "bytes" in v else v
                   for k, v in command.items()}
        try:
            answer = getattr(server, command.pop("do"))(**command)
        except raw.GSSError as error:
            answer = {"error": failure(raw, error)}
        except Exception as error:      # a mistake in the test: told there
            answer = {"mistake": repr(error)}
        answer = {k: {"bytes": base64.b64encode(v).decode()} if isinstance(v, bytes) else v
                  for k, v in answer.items()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
