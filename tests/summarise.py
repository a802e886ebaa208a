"""Add up a run of the matrix: a line an environment, then "N passed, N failed, N skipped".

    python tests/summarise.py .tox/results

reads what `tox run-parallel --result-json .tox/results/tox.json` and the tests left there. The exit
status is 1 if anything failed, or if an environment that tox.ini lists has no result.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from typing import Dict, List, NamedTuple


class Counts(NamedTuple):
    """How many tests ended in which way."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return "{} passed, {} failed, {} skipped".format(self.passed, self.failed, self.skipped)


def read_counts(path: pathlib.Path) -> Counts:
    """Count the outcomes in one JUnit file."""
    total = Counts()
    for suite in ElementTree.parse(str(path)).getroot().iter("testsuite"):
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        passed = int(suite.get("tests", 0)) - failed - skipped
        total = add(total, Counts(passed, failed, skipped, float(suite.get("time", 0))))
    return total


def add(one: Counts, other: Counts) -> Counts:
    """Add two counts."""
    return Counts(*[a + b for a, b in zip(one, other)])


def listed_environments() -> List[str]:
    """Return the environments that `tox` runs when it is given none."""
    output = subprocess.check_output([sys.executable, "-m", "tox", "list", "-q", "--no-desc", "-d"])
    lines = output.decode().split("\n")
    return [line.strip() for line in lines if line.strip() and not line.rstrip().endswith(":")]


def outcomes(path: pathlib.Path) -> Dict[str, bool]:
    """Return, for each environment that tox ran, whether all its commands succeeded."""
    if not path.exists():  # tox itself failed before it ran anything
        return {}
    environments = json.loads(path.read_text())["testenvs"]
    return {
        name: all(command["retcode"] == 0 for command in record["test"])
        for name, record in environments.items()
        if record.get("test")
    }


def main() -> int:
    """Print the summary; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=pathlib.Path, help="the folder of the results")
    results = parser.parse_args().results
    succeeded = outcomes(results / "tox.json")
    total, bad = Counts(), []
    for name in listed_environments():
        junit = results / (name + ".xml")
        counts = read_counts(junit) if junit.exists() else Counts()
        if name not in succeeded:
            verdict = "NOT RUN"
        elif succeeded[name]:
            verdict = "ok"
        else:
            verdict = "FAILED"
        if verdict != "ok":
            bad.append(name)
            counts = counts._replace(failed=max(counts.failed, 1))
        elif not junit.exists():  # a check that is no test run counts as one test
            counts = counts._replace(passed=1)
        total = add(total, counts)
        print("{:<24}{:<9}{} in {:.0f} s".format(name, verdict, counts, counts.seconds))
    if bad:
        print("not ok: {}".format(", ".join(bad)))
    print(total)
    return 1 if bad or total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
