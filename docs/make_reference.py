"""Writes docs/reference/command_line.md: what each subcommand says of itself.

    python docs/make_reference.py          # --check: only tell whether the page is up to date
"""

import argparse
import importlib
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from kcompat.cli import COMMANDS  # noqa: E402

HEAD = """# The command line

`python -m kcompat COMMAND`, also installed as `kcompat COMMAND`. Written by
`python docs/make_reference.py`; do not edit.
"""


def usage(name: str) -> str:
    """The help of one subcommand."""
    parser = argparse.ArgumentParser(prog="kcompat " + name, add_help=False)
    importlib.import_module("kcompat.cli." + name).add_arguments(parser)
    return parser.format_help().rstrip()


def page() -> str:
    """The whole page."""
    os.environ["COLUMNS"] = "96"
    parts = [HEAD]
    for name, text in sorted(COMMANDS.items()):
        sentence = text[:1].upper() + text[1:]
        parts.append("## `{}`\n\n{}.\n\n```text\n{}\n```\n".format(name, sentence, usage(name)))
    return "\n".join(parts)


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if out of date")
    target = HERE / "reference" / "command_line.md"
    if parser.parse_args().check:
        if target.read_text(encoding="utf-8") != page():
            print("{} is out of date: run python docs/make_reference.py".format(target.name), file=sys.stderr)
            return 1
        return 0
    target.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
