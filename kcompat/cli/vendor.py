"""The subcommand `vendor`: copy this package into another one, update the copy, or check it."""

from __future__ import annotations

import sys

from .. import vendoring
from ..errors import VendoringError

# Not typing's own: that module alone costs an interpreter 6 to 10 ms. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument("dest", metavar="DEST", help="the folder for the copy, such as src/mylib/_vendor")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--check", action="store_true", help="compare the copy with its stamp; 1 if edited")
    way.add_argument("--update", action="store_true", help="replace the copy there, with the same rules")
    parser.add_argument("--only", metavar="RULES", help="keep only these rules or families: adam,lamb")
    parser.add_argument("--force", action="store_true", help="replace a copy that was edited, too")


def run(args: argparse.Namespace) -> int:
    """Do as asked and say what was done; return 0, or 1 when it was refused or the check failed."""
    only = None
    if args.only is not None:
        only = [name.strip() for name in args.only.split(",") if name.strip()]
    try:
        if args.check:
            return _check(args.dest)
        done = vendoring.vendor(args.dest, only, update=args.update, force=args.force)
    except (VendoringError, OSError) as error:
        print("vendor: {}".format(error), file=sys.stderr)
        return 1
    text = "{}: {}, {} files, {:,} bytes"
    print(text.format(done.path, done.action, done.files, done.size))
    if done.left_out:
        print("left out: {}".format(", ".join(done.left_out)))
    for note in done.notes:
        print("note: {}".format(note))
    return 0


def _check(dest: str) -> int:
    found = vendoring.check(dest)
    if found.problem:
        print("{}: {}".format(found.path, found.problem))
    for word, paths in (("edited", found.edited), ("missing", found.missing), ("extra", found.extra)):
        for path in paths:
            print("{}: {}".format(word, path))
    for note in found.notes:
        print("note: {}".format(note))
    if found.ok:
        print("{}: kcompat {}, as it was vendored".format(found.path, found.version))
    return 0 if found.ok else 1
