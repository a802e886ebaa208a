"""Writes docs/reference/command_line.md: what each subcommand says of itself.

    python docs/make_reference.py
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

`python -m kcompat COMMAND`, also installed as `kcompat COMMAND`. Written by `python docs/make_reference.py`; do not
edit.
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


if __name__ == "__main__":
    (HERE / "reference" / "command_line.md").write_text(page())
