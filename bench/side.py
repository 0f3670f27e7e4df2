"""What the measurements share: the programs that are asked in turns, and how figures are shown."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from realm import plugin_path


def program(name):
    return os.path.join(os.environ.get("KB_BUILDDIR", os.getcwd()), "bench", name)


def needed(*programs):
    for path in [program(name) for name in programs] + [plugin_path()]:
        if not os.path.exists(path):
            sys.exit(f"bench: {path} is missing: make bench builds it")


def install(directory):
    """The plugin as an installation has it: a file written from front to end is mapped in larger
    pieces than one that a linker wrote (12 us less at load)."""
    os.environ["KB_PLUGIN"] = shutil.copy(plugin_path(), directory)


def show(value, unit):
    """unit: ns and ms are nanoseconds to be shown as us, as ms; `.` a count that may be a fraction;
    any other is appended."""
    return f"{value / 1000:.{3 if value < 10000 else 1}f} us" if unit == "ns" \
        else f"{value / 1e6:.2f} ms" if unit == "ms" \
        else f"{value:,.{1 if value < 1000 else 0}f}" if unit == "." else f"{value:,.0f}{unit}"


# --- counts: of `calls` calls and of what comes before them ---

def valgrind(tool, path, env, target, calls):
    """callgrind: instructions; memcheck: allocations."""
    with tempfile.TemporaryDirectory() as there:
        out = [f"--callgrind-out-file={there}/out"] if tool == "callgrind" else []
        said = subprocess.run(["valgrind", "--tool=" + tool, *out, path, "count", target, str(calls)],
                              env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=True).stdout
    pattern = r"Collected : (\d+)" if tool == "callgrind" else r"total heap usage: ([\d,]+) allocs"
    return int(re.search(pattern, said).group(1).replace(",", ""))


def strace(path, env, target, calls):
    said = subprocess.run(["strace", "-f", "-c", path, "count", target, str(calls)], env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True).stdout
    return int(re.search(r"(\d+)\s+(?:\d+\s+)?total$", said, re.M).group(1))


def counted_calls(count, few, many):
    """Of one call: twice with different numbers, so that start and first login fall out."""
    return (count(many) - count(few)) / (many - few)


class NotThere(Exception):
    """A side that cannot do what is to be measured; what it said is on stderr."""


class Side:
    """A program that answers requests, a line each; with `ready` it says so before the first."""

    def __init__(self, argv, env, ready=True):
        self.name = os.path.basename(argv[0])
        self.process = subprocess.Popen(argv, env=env, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        if ready:
            self.expect("ready")

    def expect(self, word):
        line = self.process.stdout.readline().strip()
        if line != word:
            raise NotThere(f"{self.name} does not start")

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            sys.exit(f"bench: {self.name} ended at {request!r}")
        return answer

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
