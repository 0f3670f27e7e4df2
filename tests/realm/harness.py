"""What the Python tests share: exit code 77 where a program is missing, all skips told."""
import os
import sys
import unittest

from kdc import program
from realm import exit_on_signals, plugin_path

SKIPPED = 77

SUPPRESSIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "consumers",
                            "valgrind.supp")
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
            "--errors-for-leak-kinds=definite", "--suppressions=" + SUPPRESSIONS]


def main(*programs, modules=(), plugin=False):
    """Runs the calling file's tests, or skips them all when something that they need is not there."""
    missing = [p for p in programs if not program(p)]
    for module in modules:
        try:
            __import__(module)
        except ImportError:
            missing.append("python3's " + module)
    if plugin and not os.path.exists(plugin_path()):
        missing.append(plugin_path())
    if missing:
        print("SKIPPED, missing: " + ", ".join(missing))
        sys.exit(SKIPPED)
    exit_on_signals()
    result = unittest.main(verbosity=2, exit=False, argv=sys.argv).result
    ran = result.testsRun - len(result.skipped)
    sys.exit(1 if not result.wasSuccessful() else 0 if ran > 0 else SKIPPED)
