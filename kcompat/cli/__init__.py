"""The command line: one file a subcommand, imported only when that subcommand is chosen."""

from __future__ import annotations

# Not typing's own: that module alone costs an interpreter 6 to 10 ms. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Optional, Sequence

__all__ = ["COMMANDS", "main"]

#: Subcommand -> one line of help. Each is the module of that name here, which has
#: ``add_arguments(parser)`` and ``run(args) -> int``, the exit status.
COMMANDS: Dict[str, str] = {
    "bench": "measure how fast optimizers are here, against those of the host",
    "check": "try an update rule on every optimizer API that is installed, and tell what fails",
    "doctor": "what is installed here, which optimizer APIs work, and why an optimizer or an error does not",
    "matrix": "write a tox.ini or a GitHub workflow over releases of TensorFlow and Keras",
    "state": "show what is in a file of optimizer state, convert it, or compare two",
    "vendor": "copy this package into another one, update the copy, or check it",
}


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command line `argv` (that of this process when None); return its exit status."""
    import argparse
    import os
    import sys
    from importlib import import_module

    # TensorFlow's log of what the machine could do would stand between the lines of an answer.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Only the command that is named gets its module imported, and its options defined.
    chosen = next((each for each in arguments if not each.startswith("-")), None)
    package = __name__.rpartition(".")[0]
    parser = argparse.ArgumentParser(
        prog=package,
        description="An optimizer's update rule, native on every TensorFlow and Keras.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in COMMANDS.items():
        sentence = text[:1].upper() + text[1:] + "."
        command = commands.add_parser(name, help=text, description=sentence)
        if name == chosen:
            module = import_module("." + name, __name__)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    if chosen is not None and chosen not in COMMANDS and _is_vendored():
        parser.error(
            "this copy of kcompat has no {!r}, only {}; use the installed one: python -m kcompat {}".format(
                chosen, ", ".join(COMMANDS), chosen
            )
        )
    args = parser.parse_args(arguments)
    if args.version:
        print(import_module("..", __name__).__version__)
        return 0
    if args.command is None:
        parser.print_help()
        return 2
    return int(args.run(args))


def _is_vendored() -> bool:
    """Whether this is a copy in another package, of which parts may have been left out."""
    import os

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.path.exists(os.path.join(package, "VENDORED.json"))
