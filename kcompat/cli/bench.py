"""The subcommand `bench`: measure optimizers of kcompat against those of the host, and write what was found.

Exit status: 0 all was measured, 1 something could not be, 2 wrong usage. A target that is missed changes
nothing of it: it is marked in the table and in the file.
"""

from __future__ import annotations

import os
import sys

# Not typing's own: that module alone costs an interpreter 6 to 10 ms. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Callable, ContextManager, Dict, List, Tuple

__all__ = ["add_arguments", "run"]

USAGE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument(
        "--api", action="append", metavar="NAME", help="measure this API only (more than once: these)"
    )
    parser.add_argument(
        "--cell",
        action="append",
        metavar="WAY[:SIZE]",
        help="measure these cells only, such as eager, fit:many, memory or scaling (may be repeated)",
    )
    parser.add_argument(
        "--optimizer", action="append", metavar="NAME", help="measure this optimizer only (may be repeated)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer optimizers and rounds: minutes, not an hour"
    )
    parser.add_argument("--cores", type=int, choices=(1, 2), default=1, help="cores to keep to (default 1)")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="rounds of each comparison (default 25; quick 9)"
    )
    parser.add_argument("--output", metavar="FOLDER", help="write results (JSON) and plots (PNG) there")
    parser.add_argument(
        "--resume", action="store_true", help="keep what the file in FOLDER holds, and measure the rest"
    )
    parser.add_argument("--list", action="store_true", help="print what would be measured, and stop")


def run(args: argparse.Namespace) -> int:
    """Measure, print and write."""
    from ..benchmarking import report
    from ..benchmarking.job import run as run_job

    if args.rounds is not None and args.rounds < 1:
        print("bench: --rounds {}: expected at least 1".format(args.rounds), file=sys.stderr)
        return USAGE
    try:
        jobs = _chosen(args)
    except ValueError as error:
        print("bench: {}".format(error), file=sys.stderr)
        return USAGE
    if args.resume and args.output is None:
        print("bench: --resume: give the folder of the results with --output", file=sys.stderr)
        return USAGE
    if args.list:
        for job in jobs:
            print(job)
        return 0
    if args.output is not None:
        os.makedirs(args.output, exist_ok=True)
    about, command = report.machine(args.cores), report.command()
    rounds, seconds = args.rounds or (9 if args.quick else 25), 8.0 if args.quick else 40.0
    records: List[Dict[str, Any]] = []
    failed: List[Tuple[Any, str]] = []
    path = args.output and os.path.join(args.output, report.name_of(about, jobs[0].backend) + ".json")
    if args.resume and os.path.exists(path):
        try:
            before = report.read(path)
        except ValueError as error:
            print("bench: --resume: {}".format(error), file=sys.stderr)
            return USAGE
        records += before["records"]
        command = "{}; {}".format(before["command"], command)
        jobs = [job for job in jobs if not any(job.is_of(record) for record in records)]
    with _progress(len(jobs)) as advance:
        for job in jobs:
            advance(str(job), 0)
            found, why = run_job(job, rounds, seconds, args.cores, timeout=300 if args.quick else 1200)
            records += found
            if why and "NotHere" not in why:  # a release may lack an optimizer
                failed.append((job, why))
            if path:  # after each, so that what was measured stays when it is broken off
                report.write(path, about, command, records)
            advance(str(job), 1)
    report.show(records)
    for job, why in failed:
        print("not measured: {}: {}".format(job, why), file=sys.stderr)
    if path:
        _plot(path, report.title_of(about), records)
    return 1 if failed else 0


def _chosen(args: argparse.Namespace) -> List[Any]:
    """The jobs that the options choose.

    Raises:
        ValueError: an option names something that is not there.
    """
    from ..benchmarking.cells import ADDONS, OPTIMIZERS, SIZES, WAYS, Job, jobs_of, scaling_jobs, ways_of
    from ..environment import APIS

    # Names first: it takes seconds to find out what is installed.
    _check("--api", args.api, APIS)
    _check("--cell", [cell.partition(":")[0] for cell in args.cell or ()], WAYS)
    sizes = [cell.partition(":")[2] for cell in args.cell or () if ":" in cell]
    _check("--cell: no size", sizes, SIZES)
    _check("--optimizer", args.optimizer, [*OPTIMIZERS, *ADDONS])
    apis, backend, eager, rivals = _found()
    _check("--api", args.api, apis)
    jobs: List[Job] = [Job(apis[0], backend, "import", "tiny", "Adam", "")]
    for api in args.api or apis:
        jobs += jobs_of(api, backend if api == "keras_3" else "tensorflow", eager, args.quick, rivals)
        wanted = Job(api, backend if api == "keras_3" else "tensorflow", "", "", "")
        # Sizes and optimizers that are not measured by themselves may be asked for.
        for cell in args.cell or ():
            way, _, size = cell.partition(":")
            if size and way in (*ways_of(api, wanted.backend, eager), "memory"):
                chosen = [n for n in args.optimizer or ["Adam"] if n in OPTIMIZERS]
                jobs += [wanted._replace(way=way, size=size, optimizer=name) for name in chosen]
        if any(cell == "scaling" for cell in args.cell or ()) or not (args.quick or args.cell):
            jobs += scaling_jobs(api, backend, eager)
    cells = [cell.partition(":") for cell in args.cell or ()]
    chosen_jobs = [
        job
        for job in dict.fromkeys(jobs)
        if (not cells or any(job.way == way and job.size.startswith(size) for way, _, size in cells))
        and (not args.optimizer or job.optimizer in args.optimizer)
        and (not args.api or job.api in args.api)
    ]
    if not chosen_jobs:
        raise ValueError("there is nothing to measure with these options; see `kcompat bench --list`")
    return chosen_jobs


def _check(option: str, given: Any, known: Any) -> None:
    from ..errors import nearest

    for name in given or ():
        if name not in known:
            text = "{} {!r}: expected one of {}.{}"
            raise ValueError(text.format(option, name, ", ".join(known), nearest(name, list(known))))


def _found() -> Tuple[List[str], str, bool, List[str]]:
    """The APIs that are installed here, the framework of the default's arrays, whether TensorFlow runs
    eagerly, and what else there is to compare with.
    """
    import importlib.util

    from .. import environment
    from ..testing.running import backend

    # What it runs on is trained by Keras' own `fit` only; it is measured through tf1 and optimizer_v2.
    apis = [api for api in environment.detect().apis if api != "get_updates"]
    if not apis:
        raise ValueError("there is no TensorFlow and no Keras here; see `kcompat doctor`")
    default = environment.detect().default
    apis.sort(key=lambda api: api != default)
    library = backend(apis[0])
    eager = True
    if library == "tensorflow":
        import tensorflow as tf

        eager = bool(tf.executing_eagerly())
    modules = {"addons": "tensorflow_addons", "optax": "optax", "torch.optim": "torch"}
    rivals = [rival for rival, module in modules.items() if importlib.util.find_spec(module) is not None]
    return apis, library, eager, rivals


def _plot(path: str, title: str, records: List[Dict[str, Any]]) -> None:
    """Draws what a file of results holds, beside it."""
    from ..benchmarking import report

    written, base = [path], path[: -len(".json")]
    for draw, ending in ((report.plot_ratios, ".png"), (report.plot_scaling, "-scaling.png")):
        if draw(base + ending, records, title):
            written.append(base + ending)
    print("written: {}".format(", ".join(written)))
    if len(written) == 1:
        print("no plot: nothing to draw, or no matplotlib (the extra cli has it)", file=sys.stderr)


def _progress(total: int) -> ContextManager[Callable[[str, int], None]]:
    import contextlib

    @contextlib.contextmanager
    def bar() -> Any:
        try:
            from rich.console import Console
            from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
        except ImportError:
            yield lambda text, done: None if done else print(text, file=sys.stderr)
            return
        columns = [*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn()]
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("measuring", total=total)
            yield lambda text, done: progress.update(task, advance=done, description=text)

    return bar()
