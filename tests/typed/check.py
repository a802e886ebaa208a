"""Runs mypy and pyright as a user would: on the installed package, from outside this checkout.

`tox run -e typed`, or `python tests/typed/check.py` where the package, mypy and basedpyright are installed.
(basedpyright is pyright with Node.js in a wheel; its own rules are off.) Both must find nothing in
library.py, and in mistakes.py an error in each line that says "refused", and in no other.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = ("library.py", "mistakes.py")
SETTINGS = {"include": list(FILES), "typeCheckingMode": "strict", "pythonVersion": "3.10"}


def run(folder, *command):
    """What a checker prints, run in `folder` and without this checkout on its path."""
    hidden = ("PYTHONPATH", "MYPYPATH")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=env, stdout=subprocess.PIPE, universal_newlines=True
    ).stdout


def mypy(folder):
    """(file, line) -> what mypy --strict says."""
    printed = run(folder, "mypy", "--strict", "--no-error-summary", "--cache-dir", os.devnull, *FILES)
    said = {}
    for line in printed.splitlines():
        found = re.match(r"(\S+):(\d+): error: (.*)", line)
        if found:
            said.setdefault((found.group(1), int(found.group(2))), []).append(found.group(3))
        elif not re.match(r"\S+:\d+: note: ", line):
            raise SystemExit("mypy: " + printed)
    return said


def pyright(folder):
    """(file, line) -> what pyright says in its strict mode."""
    with open(os.path.join(folder, "pyrightconfig.json"), "w", encoding="utf-8") as file:
        json.dump(SETTINGS, file)
    printed = run(folder, "basedpyright", "--outputjson", "--pythonpath", sys.executable, "--project", folder)
    said = {}
    for each in json.loads(printed)["generalDiagnostics"]:
        if each["severity"] == "error":
            place = os.path.basename(each["file"]), each["range"]["start"]["line"] + 1
            said.setdefault(place, []).append(each["message"].splitlines()[0])
    return said


def expected():
    """The lines of mistakes.py that must be refused."""
    with open(os.path.join(HERE, FILES[1]), encoding="utf-8") as file:
        return {(FILES[1], number) for number, line in enumerate(file, 1) if "  # refused: " in line}


def main():
    """Print what is wrong, and return the exit status."""
    wanted, wrong = expected(), []
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        for name in FILES:
            shutil.copy(os.path.join(HERE, name), folder)
        for checker in (mypy, pyright):
            said = checker(folder)
            for place in sorted(set(said) - wanted):
                wrong.append("{}: {}:{}: {}".format(checker.__name__, *place, "; ".join(said[place])))
            for place in sorted(wanted - set(said)):
                wrong.append("{}: {}:{}: must be refused, and is not".format(checker.__name__, *place))
    for line in wrong:
        print(line)
    print("{} mistakes, {} wrong answers of two type checkers".format(len(wanted), len(wrong)))
    return bool(wrong) or not wanted


if __name__ == "__main__":
    sys.exit(main())
