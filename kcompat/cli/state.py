"""The subcommand `state`: show what is in a file of optimizer state, convert it, or compare two."""

from __future__ import annotations

import sys

# Not typing's own: that module alone costs an interpreter 6 to 10 ms. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Callable, ContextManager, Optional

__all__ = ["add_arguments", "run"]

DIFFERENT, USAGE = 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.epilog = (
        "FILE is one that kcompat.state.save() wrote, or whatever kcompat.state.read() reads: checkpoints of "
        "TensorFlow, HDF5 files, .keras files."
    )
    commands = parser.add_subparsers(dest="what", metavar="WHAT")
    show = commands.add_parser("show", help="the rule, its hyperparameters, and each variable's slots")
    show.add_argument("file", metavar="FILE")
    show.add_argument("--values", action="store_true", help="with each slot's mean, norm and range")
    convert = commands.add_parser("convert", help="write the state as .safetensors or .npz")
    convert.add_argument("file", metavar="FILE")
    convert.add_argument("to", metavar="TO", help="a name that ends with .safetensors or .npz")
    convert.add_argument("--weights", action="store_true", help="read the model's weights, too")
    diff = commands.add_parser("diff", help="what is different in two files; exit status 1 if anything is")
    diff.add_argument("file", metavar="FILE")
    diff.add_argument("other", metavar="OTHER")
    diff.add_argument("--rtol", type=float, default=0.0, help="relative tolerance of values (default: 0)")
    diff.add_argument("--atol", type=float, default=0.0, help="absolute tolerance of values (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Do as asked; return 0, 1 where two files differ, or 2 where something can't be read or written."""
    from ..errors import KcompatError

    if args.what is None:
        print("state: expected show, convert or diff; see state --help", file=sys.stderr)
        return USAGE
    try:
        if args.what == "show":
            _show(_load(args.file), args.values)
        elif args.what == "convert":
            _convert(args.file, args.to, args.weights)
        else:
            found = _load(args.file).diff(_load(args.other), args.rtol, args.atol)
            print("\n".join(found) if found else "no difference")
            return DIFFERENT if found else 0
    except (KcompatError, OSError) as error:
        print("state: {}".format(error), file=sys.stderr)
        return USAGE
    return 0


def _load(path: str, weights: bool = False) -> Any:
    """The state in a file: ours by `load`, any other by the reader of its format."""
    from .. import state

    if path.endswith((".safetensors", ".npz")):
        with _progress("reading " + path) as progress:
            return state.load(path, progress)
    return state.read(path, weights=weights)


def _convert(source: str, target: str, weights: bool) -> None:
    found = _load(source, weights)
    with _progress("writing " + target) as progress:
        found.save(target, progress)
    print("{}: {!r}".format(target, found))


def _show(state: Any, values: bool) -> None:
    rich = _rich()
    if rich is None or not sys.stdout.isatty():
        print(state)
        if values:
            print()
            for name, cells in _values(state):
                print("{}  {}".format(name, "  ".join(cells)))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print("\n".join(state.summary()), markup=False, highlight=False)
    table = Table("variable", "shape", "dtype", "slots")
    for key, variable in state.variables.items():
        table.add_row(key, str(variable.shape), variable.dtype, ", ".join(variable.slots) or "none")
    console.print(table)
    if values:
        table = Table("slot", "mean", "norm", "least", "most")
        for name, cells in _values(state):
            table.add_row(name, *cells)
        console.print(table)


def _values(state: Any) -> Any:
    """For each array its name, and its mean, norm, least and largest value."""
    import numpy as np

    for (_, key, name), lazy in state.arrays():
        array = np.asarray(lazy, "float64")
        found = (
            (array.mean(), np.sqrt(np.square(array).sum()), array.min(), array.max()) if array.size else ()
        )
        yield "{} {}".format(key, name).strip(), ["{:.6g}".format(value) for value in found]


def _rich() -> Any:
    try:
        import rich
    except ImportError:
        return None
    return rich


def _progress(what: str) -> ContextManager[Optional[Callable[[int, int], None]]]:
    """A progress bar on the terminal, where there is one and rich is installed."""
    import contextlib

    @contextlib.contextmanager
    def bar() -> Any:
        if _rich() is None or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(what, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    return bar()
