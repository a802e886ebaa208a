"""The subcommand `check`: run a rule through the conformance kit; exit status 1 when a property fails."""

from __future__ import annotations

import sys

# Not typing's own: that module alone costs an interpreter 6 to 10 ms. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Callable, ContextManager, List, Optional, Tuple

__all__ = ["add_arguments", "run"]

USAGE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument(
        "rule",
        metavar="MODULE:RULE",
        help="a class of an update rule, or an instance, such as mylib.rules:Lion",
    )
    parser.add_argument(
        "--api",
        action="append",
        metavar="NAME",
        help="check on this API only (more than once: on these); numpy: the rule alone",
    )
    parser.add_argument(
        "--reference",
        metavar="MODULE:NAME",
        help="what to compare with: another rule, or a function (grad, param, slots, hyper, step) -> param",
    )
    parser.add_argument(
        "--only", action="append", metavar="PROPERTY", help="check this property only (may be repeated)"
    )


def load(name: str) -> Any:
    """What `package.module:name` names; the directory that the command is run in is looked in first.

    Raises:
        ValueError: there is no such thing.
    """
    import importlib

    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise ValueError("{!r}: expected MODULE:NAME, such as mylib.rules:Lion".format(name))
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name + ".").startswith(error.name + "."):
            raise ValueError("there is no module {!r} in {!r}".format(error.name, name)) from error
        raise
    for part in path.split("."):
        if not hasattr(found, part):
            from ..errors import nearest

            raise ValueError("{} has no {!r}.{}".format(module_name, part, nearest(part, list(vars(found)))))
        found = getattr(found, part)
    return found


def run(args: argparse.Namespace) -> int:
    """Check and print; return 0 when all is well, 1 when something fails, 2 when it can't be checked."""
    from ..errors import KcompatError
    from ..testing.check import check_rule, plan

    try:
        rule = load(args.rule)
        reference = load(args.reference) if args.reference else None
        total = len(plan(args.api, reference is not None, args.only))
        with _progress(total) as advance:
            report = check_rule(rule, reference, args.api, only=args.only, progress=advance)
    except (ImportError, ValueError, KcompatError) as error:
        print("{}: {}".format(type(error).__name__, error), file=sys.stderr)
        return USAGE
    _print_table(report)
    print()
    print(report)
    return 0 if report.ok else 1


def cells(report: Any) -> Tuple[List[str], List[List[str]]]:
    """The columns' heads, and a row for each property: its name and how it came out on each API."""
    found = {
        (o.property, o.api): "FAILED" if o.failure else "-" if o.skipped else "ok" for o in report.outcomes
    }
    names = list(dict.fromkeys(o.property for o in report.outcomes))
    heads = list(report.apis)
    return ["property", *heads], [[n, *(found.get((n, api), "") for api in heads)] for n in names]


def _rich() -> Any:
    try:
        import rich
    except ImportError:
        return None
    return rich


def _print_table(report: Any) -> None:
    heads, rows = cells(report)
    if _rich() is None:
        widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
        for row in [heads, *rows]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for head in heads:
        table.add_column(head)
    colours = {"FAILED": "bold red", "ok": "green"}
    for row in rows:
        styled = ["[{0}]{1}[/{0}]".format(colours[cell], cell) if cell in colours else cell for cell in row]
        table.add_row(*styled)
    Console().print(table)


def _progress(total: int) -> ContextManager[Optional[Callable[[Any], None]]]:
    import contextlib

    @contextlib.contextmanager
    def bar() -> Any:
        if _rich() is None or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("checking", total=total)

            def advance(outcome: Any) -> None:
                progress.update(task, advance=1, description="{0.property} [{0.api}]".format(outcome))

            yield advance

    return bar()
