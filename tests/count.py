#!/usr/bin/python3
"""count.py FOLDER CODE - the single cases in the logs of a `make check`: "passed failed skipped".

CMocka's and unittest's own lines are counted; a program that reports no cases counts as one, and
one that failed without saying which case counts as a failure. CODE is make's exit code: where it
is not 0 although nothing failed, that is a failure too."""
import os
import re
import sys

CASE = {
    "passed": re.compile(r"^\[       OK \] .*|^.*\.\.\. ok$", re.M),
    "failed": re.compile(r"^\[  FAILED  \] (?!\d+ test|tests:).*|^(?:FAIL|ERROR): .* \(.*$", re.M),
    "skipped": re.compile(r"^\[  SKIPPED \] (?!\d+ test).*|^.*\.\.\. skipped .*", re.M),
}


def cases(log):
    """A set, as CMocka names what failed or was skipped once more in its summary."""
    return {what: len(set(pattern.findall(log))) for what, pattern in CASE.items()}


def main(folder, code):
    total = dict.fromkeys(CASE, 0)
    for directory, _, files in os.walk(folder):
        for name in sorted(files):
            if not name.endswith(".trs"):
                continue
            path = os.path.join(directory, name)
            with open(path) as trs:
                result = re.search(r"^:test-result: (\S+)", trs.read(), re.M).group(1)
            with open(path[:-4] + ".log", errors="replace") as log:
                found = cases(log.read())
            kind = {"PASS": "passed", "SKIP": "skipped"}.get(result, "failed")
            if kind != "failed":
                found["failed"] = 0
            if found[kind] == 0:
                found[kind] = 1
            for what, number in found.items():
                total[what] += number
    if code != 0 and total["failed"] == 0:
        total["failed"] = 1
    print(total["passed"], total["failed"], total["skipped"])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
