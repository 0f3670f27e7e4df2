#!/usr/bin/python3
"""bash completes commands, their options, and names of options of kerbside(8), as the command that is
installed has them."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "realm")]
import harness                          # noqa: E402

BUILD = os.environ.get("KB_BUILDDIR", os.getcwd())
SOURCES = os.environ.get("KB_SRCDIR", os.path.join(HERE, "..", ".."))

# What bash's readline would do: the line's words, parted also at `=`, and our function.
SCRIPT = r"""
compopt() { :; }
. "$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_kerbside
printf '%s\n' "${COMPREPLY[@]}"
"""


class TestCompletion(unittest.TestCase):
    def complete(self, *words):
        env = {"PATH": os.path.join(BUILD, "cli") + ":" + os.environ["PATH"],
               "GSS_MECH_CONFIG": "/nonexistent", "KRB5_CONFIG": "/dev/null"}
        done = subprocess.run(["bash", "--norc", "-c", SCRIPT, "bash",
                               os.path.join(SOURCES, "cli", "completion", "kerbside"), *words],
                              env=env, cwd=HERE, text=True, timeout=60, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_commands(self):
        self.assertTrue({"token", "login", "config", "list", "forget", "decode", "--help"}
                        <= set(self.complete("kerbside", "")))
        self.assertEqual(self.complete("kerbside", "de"), ["decode"])
        self.assertEqual(self.complete("kerbside", "--json", "tok"), ["token"])

    def test_options_of_commands(self):
        self.assertEqual(self.complete("kerbside", "token", "--he"), ["--header", "--help"])
        self.assertIn("--changed", self.complete("kerbside", "config", "-"))
        self.assertNotIn("--changed", self.complete("kerbside", "token", "-"))
        self.assertEqual(self.complete("kerbside", "login", "--log", ""), ["1", "2", "3"])

    def test_names_of_options(self):
        self.assertEqual(self.complete("kerbside", "config", "KDC"), ["KDCHost", "KDCPort"])
        self.assertEqual(self.complete("kerbside", "login", "-o", "Time"), ["Timeout="])
        self.assertEqual(self.complete("kerbside", "login", "--option", "=", "Time"), ["Timeout="])

    def test_files(self):
        self.assertEqual(self.complete("kerbside", "decode", "test_compl"), ["test_completion.py"])
        self.assertEqual(self.complete("kerbside", "decode", "-k", "test_compl"),
                         ["test_completion.py"])


if __name__ == "__main__":
    harness.main("bash", plugin=True)
