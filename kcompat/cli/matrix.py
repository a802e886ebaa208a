"""The subcommand `matrix`: write a library's tox.ini or GitHub workflow over releases of TensorFlow."""

from __future__ import annotations

import json
import os
import sys

from ..errors import UnknownReleaseError
from ..releases import DEFAULT, RELEASES, select

# Not typing's own: that module alone costs an interpreter 6 to 10 ms. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Dict, List, Sequence

    from ..releases import Release

__all__ = ["add_arguments", "run"]

# Quiet frameworks that take no GPU: what differs there is not what such a matrix is about.
_VARIABLES = (("CUDA_VISIBLE_DEVICES", "-1"), ("TF_CPP_MIN_LOG_LEVEL", "3"))
# Later ones put a pip into environments that CPython 3.7 can't read: tox runs, and installs nothing.
_FOR_37 = "virtualenv<20.27"
_TORCH = "https://download.pytorch.org/whl/cpu"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument(
        "--releases",
        metavar="NAMES",
        default=",".join(DEFAULT),
        help="such as 1.15,2.4,newest, or all (default: %(default)s)",
    )
    parser.add_argument("--github", action="store_true", help="a workflow for GitHub Actions, not a tox.ini")
    parser.add_argument("--package", metavar="NAME", default="", help="the library's name, for the comments")
    parser.add_argument(
        "--also",
        action="append",
        metavar="NEED",
        default=[],
        help="what the tests need besides pytest, such as hypothesis (may be repeated)",
    )
    parser.add_argument("--output", metavar="FILE", help="a new file to write (default: print it)")
    parser.add_argument("--list", action="store_true", help="only print the releases and their APIs")


def run(args: argparse.Namespace) -> int:
    """Write what was asked for; return 0, or 1 for an unknown release or a file that is there."""
    if args.list:
        for each in RELEASES:
            print("{:<16} Python {:<5} {}".format(each.short, each.python, ", ".join(each.apis)))
        return 0
    try:
        releases = select([name.strip() for name in args.releases.split(",") if name.strip()])
    except UnknownReleaseError as error:
        print("matrix: {}".format(error), file=sys.stderr)
        return 1
    text = (_workflow if args.github else _tox)(releases, args.package, args.also)
    if args.output is None:
        print(text, end="")
        return 0
    try:
        os.makedirs(os.path.dirname(os.path.abspath(args.output)), exist_ok=True)
        with open(args.output, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        message = "matrix: {} exists, and may have changes of yours; remove it, or print without --output"
        print(message.format(args.output), file=sys.stderr)
        return 1
    except OSError as error:
        print("matrix: {}".format(error), file=sys.stderr)
        return 1
    print("{}: {} releases".format(args.output, len(releases)))
    return 0


def _is_37(release: Release) -> bool:
    return release.python == "3.7"


def _tox(releases: Sequence[Release], package: str, also: Sequence[str]) -> str:
    """A tox.ini. Each release is one factor, for conditions of several would hold for its neighbours too."""
    factors = {each.name: each.name.replace("-", "_") for each in releases}
    lines = [
        "# The tests of {} on each release; `tox run -e {}` runs one.".format(package or "the library", "{}")
    ]
    first = "py{}-{}".format(releases[0].python.replace(".", ""), factors[releases[0].name])
    lines = [lines[0].format(first), "[tox]"]
    if any(map(_is_37, releases)):
        lines.append("# Later ones put a pip into environments that CPython 3.7 can't read.")
        lines += ["requires =", "    " + _FOR_37]
    lines += ["skip_missing_interpreters = true", "env_list ="]
    for each in releases:
        lines.append("    py{}-{}".format(each.python.replace(".", ""), factors[each.name]))
    lines += ["", "[testenv]", "deps =", "    pytest"]
    lines += ["    " + need for need in also]
    for each in releases:
        lines += ["    {}: {}".format(factors[each.name], need) for need in each.requirements]
    lines.append("set_env =")
    lines += ["    {} = {}".format(*pair) for pair in _VARIABLES]
    for each in releases:
        lines += ["    {}: {} = {}".format(factors[each.name], *pair) for pair in each.variables]
    if any("torch" in need for each in releases for need in each.requirements):
        # Elsewhere a version without "+cpu" comes with several GB for GPUs.
        lines.append("    PIP_EXTRA_INDEX_URL = {}".format(_TORCH))
    afterwards = [each for each in releases if each.afterwards]
    if afterwards:
        lines += [
            "# Against the pins of what is installed, which run with it all the same.",
            "commands_pre =",
        ]
        for each in afterwards:
            lines.append(
                "    {}: python -m pip install {}".format(factors[each.name], " ".join(each.afterwards))
            )
    lines += ["commands =", "    python -m pytest {posargs}"]
    return "\n".join(lines) + "\n"


def _quoted(needs: Sequence[str]) -> str:
    return " ".join("'{}'".format(need) for need in needs)


def _row(release: Release) -> Dict[str, str]:
    return {
        "name": release.name,
        "python": release.python,
        "os": "ubuntu-22.04" if _is_37(release) else "ubuntu-latest",  # later ones have no Python 3.7
        "requirements": _quoted(release.requirements),
        "afterwards": _quoted(release.afterwards),
        "variables": " ".join("{}={}".format(*pair) for pair in release.variables),
    }


def _workflow(releases: Sequence[Release], package: str, also: Sequence[str]) -> str:
    """A workflow. Its rows are JSON, which is YAML, too: no version is taken for a number."""
    torch = any("torch" in need for each in releases for need in each.requirements)
    lines: List[str] = [
        "name: matrix",
        "on: [push, pull_request]",
        "jobs:",
        "  test:",
        "    # The tests of {} on each release.".format(package or "the library"),
        "    name: ${{ matrix.name }}",
        "    runs-on: ${{ matrix.os }}",
        "    strategy:",
        "      fail-fast: false",
        "      matrix:",
        "        include:",
    ]
    lines += ["          - " + json.dumps(_row(each)) for each in releases]
    lines.append("    env:")
    variables = _VARIABLES + ((("PIP_EXTRA_INDEX_URL", _TORCH),) if torch else ())
    lines += ["      {}: {}".format(name, json.dumps(value)) for name, value in variables]
    lines += [
        "    steps:",
        "      - uses: actions/checkout@v4",
        "      - uses: actions/setup-python@v5",
        "        with:",
        "          python-version: ${{ matrix.python }}",
        "      - run: python -m pip install {} . ${{{{ matrix.requirements }}}}".format(
            " ".join(["pytest", *([_quoted(also)] if also else [])])
        ),
        "      - if: matrix.afterwards",
        "        run: python -m pip install ${{ matrix.afterwards }}",
        "      - if: matrix.variables",
        '        run: echo "${{ matrix.variables }}" >> "$GITHUB_ENV"',
        "      - run: python -m pytest",
    ]
    return "\n".join(lines) + "\n"
