"""Children of the test realm: started with a free port, ended by pid, gone with their parent."""
import ctypes
import os
import random
import signal
import socket
import subprocess
import time
import unittest

PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A fixture could not be set up; the message says what to look at."""


class Missing(Failed, unittest.SkipTest):
    """It needs what this machine does not have: the test is skipped."""


def free_port(families=(socket.AF_INET,)):
    """A port that is free on loopback for TCP and UDP in every family."""
    for _ in range(200):
        # Below the ephemeral range: the kernel must not hand the port to a client's socket between
        # our look and the daemon's bind.
        port = random.randrange(15000, 32000)
        try:
            for family in families:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(family, kind) as probe:
                        probe.bind(("127.0.0.1" if family == socket.AF_INET else "::1", port))
            return port
        except OSError:
            continue
    raise Failed("no free port on loopback")


def udp_and_tcp(address="127.0.0.1"):
    """Two sockets on the same port; another program may have it for the one or the other."""
    for _ in range(50):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((address, 0))
        tcp = socket.socket()
        try:
            tcp.bind(udp.getsockname())
            tcp.listen(5)
            return udp, tcp
        except OSError:
            udp.close()
            tcp.close()
    raise Failed("no port is free over both UDP and TCP")


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One daemon in the foreground. Its output goes to a file, its end is ours to see."""

    def __init__(self, argv, log, env=None, cwd=None):
        self.log = log
        self.name = os.path.basename(argv[0])
        # A session of its own: Apache ends by a signal to its whole process group, which without
        # this is ours.
        with open(log, "ab") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env=env, cwd=cwd, preexec_fn=_die_with_parent,
                                            start_new_session=True)

    def wait_until(self, ready, what, seconds=20):
        deadline = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended with {self.process.returncode}: {self.tail()}")
            if time.monotonic() > deadline:
                self.stop()
                raise Failed(f"{self.name}: {what} not seen in {seconds} s: {self.tail()}")
            time.sleep(0.01)

    def wait_for_tcp(self, port, host="127.0.0.1"):
        def ready():
            try:
                socket.create_connection((host, port), 1).close()
                return True
            except OSError:
                return False
        self.wait_until(ready, f"port {port}")

    def tail(self):
        with open(self.log, errors="replace") as log:
            return log.read()[-2000:].strip()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def run(argv, env=None, stdin=None, what=None):
    """Runs a set-up command to its end; its output, or Failed with everything that it said."""
    done = subprocess.run(argv, env=env, input=stdin, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    if done.returncode != 0:
        raise Failed(f"{what or argv[0]}: exit {done.returncode}: {done.stdout.strip()}")
    return done.stdout
