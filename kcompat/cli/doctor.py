"""The subcommand `doctor`: print what `detect()` finds; exit status 1 when no API works."""

from __future__ import annotations

import json

from .. import environment

# Not typing's own: that module alone costs an interpreter 6 to 10 ms. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument("--json", action="store_true", help="print the record as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the record; return 0 when some API works here, 1 when none does."""
    found = environment.detect()
    print(json.dumps(found.as_dict(), indent=2) if args.json else found)
    return 0 if found.apis else 1
