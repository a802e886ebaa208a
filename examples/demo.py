"""Train one custom optimizer on real data through every optimizer API found here, and compare.

    tox run -e demo                     # sets everything up first
    python examples/demo.py             # with TensorFlow, scikit-learn, rich and matplotlib at hand

The optimizer is examples/sign_momentum.py, written once. Each API trains in a process of its own,
from the same weights on the same batches, and is compared with the rule run in NumPy. The exit
status is 1 if an API fails or disagrees.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from subprocess import PIPE
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

import demo_tasks
import numpy as np
from demo_train import DTYPES
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sign_momentum import SignMomentum

HERE = pathlib.Path(__file__).resolve().parent
AGREES = 1e-9  # in float64, where rounding is 1e-16 and a step 1e-3


class Run(NamedTuple):
    """How one training went."""

    losses: List[float]
    accuracy: float
    seconds: float
    difference: float  # the largest of any weight, to NumPy in float64


class Outcome(NamedTuple):
    """What came of one API: its runs by task and dtype, or what it failed with."""

    runs: Mapping[Any, Run]
    failure: Optional[str]


def largest_difference(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    """The largest absolute difference between two lists of weights; NaN if any weight is."""
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other))


def run_numpy(
    tasks: Sequence[demo_tasks.Task], references: Dict[str, List[np.ndarray]], advance: Any
) -> Outcome:
    """Train in NumPy, in each dtype; float64 is the reference, and goes into `references`."""
    runs = {}
    for task in tasks:
        rule = SignMomentum(learning_rate=task.learning_rate)
        for dtype in reversed(DTYPES):
            started = time.time()
            weights, losses = demo_tasks.train_in_numpy(task, rule, dtype, lambda _: advance())
            references.setdefault(task.name, weights)
            scores = demo_tasks.logits(task, weights, task.test[0])
            runs[task.name, dtype] = Run(
                losses,
                demo_tasks.accuracy(task, scores),
                time.time() - started,
                largest_difference(weights, references[task.name]),
            )
    return Outcome(runs, None)


def run_api(
    api: str, public: str, references: Mapping[str, List[np.ndarray]], advance: Any
) -> Outcome:
    """Train on one API in a process of its own; call `advance` after each epoch."""
    runs = {}
    command = [sys.executable, str(HERE / "demo_train.py"), api, public]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command + [folder], stdout=PIPE, stderr=said, universal_newlines=True
        )
        for line in process.stdout or ():
            message = json.loads(line)
            if "task" not in message:
                advance()
                continue
            name, dtype = message.pop("task"), message.pop("dtype")
            with np.load(str(pathlib.Path(folder) / message.pop("file"))) as stored:
                weights = [stored[key] for key in stored.files]
            difference = largest_difference(weights, references[name])
            runs[name, dtype] = Run(difference=difference, **message)
        if process.wait():
            said.seek(0)
            return Outcome(runs, said.read().strip() or "exit status {}".format(process.returncode))
    return Outcome(runs, None)


def detect() -> Any:
    """What `kcompat.detect()` finds, as plain data; asked elsewhere, for TensorFlow logs."""
    command = [sys.executable, "-m", "kcompat", "doctor", "--json"]
    return json.loads(subprocess.run(command, stdout=PIPE, stderr=PIPE, check=False).stdout)


def describe(api: str, found: Any) -> str:
    """Name the host class of an API, and the TensorFlow and Keras that it is of."""
    host = found["hosts"][api]
    text = "{}\n  {}\n  TensorFlow {}".format(api, host["public"], found["tensorflow"])
    package = host["class_path"].partition(".")[0]
    if package in ("keras", "tf_keras"):
        text += ", {} {}".format(package, found[package])
    return text


def print_table(
    console: Console, tasks: Sequence[demo_tasks.Task], outcomes: Mapping[str, Outcome], found: Any
) -> None:
    """Print what came of each API, a row each."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("API, its host class,\nof which release", no_wrap=True)
    for heading in [*("test\n" + task.name for task in tasks), "off\nby", "sec-\nonds"]:
        table.add_column(heading, justify="right")
    for api, (runs, failure) in outcomes.items():
        row = ["numpy\n  the rule alone" if api == "numpy" else describe(api, found)]
        if failure is not None:
            table.add_row(*row, "failed")
            continue
        row += ["{:.1%}".format(runs[task.name, "float32"].accuracy) for task in tasks]
        if api == "numpy":
            row.append("-")
        else:
            row.append("{:.1g}".format(largest({api: outcomes[api]}, "float64")))
        table.add_row(*row, "{:.1f}".format(sum(run.seconds for run in runs.values())))
    console.print(table)


def largest(outcomes: Mapping[str, Outcome], dtype: str) -> float:
    """The largest difference to the reference over these runs in one dtype."""
    runs = [pair for outcome in outcomes.values() for pair in outcome.runs.items()]
    return max((run.difference for (_, of), run in runs if of == dtype), default=0.0)


def draw(path: str, tasks: Sequence[demo_tasks.Task], outcomes: Mapping[str, Outcome]) -> None:
    """Draw the float32 loss curves of all APIs over each other, the first one widest."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(tasks), figsize=(9, 3.4), constrained_layout=True)
    for task, axis in zip(tasks, axes):
        for i, (api, outcome) in enumerate(outcomes.items()):
            if (task.name, "float32") in outcome.runs:
                losses = outcome.runs[task.name, "float32"].losses
                width = 2.2 * (len(outcomes) - i)
                axis.plot(range(1, len(losses) + 1), losses, label=api, linewidth=width)
        axis.set(title=task.title, xlabel="epoch", ylabel="training loss", ylim=(0, None))
    axes[-1].legend(frameon=False)
    figure.suptitle("One optimizer, written once: the curves lie on each other")
    figure.savefig(path, dpi=80)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Train, compare, print, draw; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="demo.png", help="the plot's file (default: demo.png)")
    parser.add_argument("--apis", nargs="*", help="only these (default: every API found here)")
    options = parser.parse_args(arguments)
    console = Console()
    with console.status("Looking for TensorFlow and Keras"):
        found = detect()
    # The oldest API, get_updates, is found too, but nothing adapts to it yet.
    apis = options.apis or [api for api in found["apis"] if api != "get_updates"]
    for api in set(apis) - set(found["hosts"]):
        console.print("{}: {}".format(api, found["absent"].get(api, "no optimizer API")))
        return 1
    if not apis:
        console.print("No optimizer API found here: {}".format(found["why"]))
        return 1
    console.print("Optimizer APIs found here: {}".format(", ".join(apis)))
    tasks = demo_tasks.tasks()
    steps = len(DTYPES) * sum(task.epochs for task in tasks)
    references: Dict[str, List[np.ndarray]] = {}
    outcomes: Dict[str, Outcome] = {}
    columns = TextColumn("{task.description:<13}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TextColumn("epochs"), TimeElapsedColumn(), console=console) as progress:
        bars = {
            name: progress.add_task(name, total=steps, start=False) for name in ["numpy", *apis]
        }

        def run(name: str) -> Outcome:
            bar = bars[name]
            progress.start_task(bar)
            try:
                if name == "numpy":
                    return run_numpy(tasks, references, lambda: progress.advance(bar))
                public = found["hosts"][name]["public"]
                return run_api(name, public, references, lambda: progress.advance(bar))
            finally:
                progress.stop_task(bar)

        outcomes["numpy"] = run("numpy")  # first, for the others are compared with it
        with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
            outcomes.update(zip(apis, pool.map(run, apis)))
    print_table(console, tasks, outcomes, found)
    trained = {name: outcome for name, outcome in outcomes.items() if name != "numpy"}
    console.print(
        "test: accuracy on data held out, after training in float32.\n"
        "off by: the largest difference of any weight to the NumPy run, both in float64.\n"
        "In float32 weights end up to {:.2g} off, as those of NumPy's own float32 run do ({:.2g}):"
        " the sign of a momentum near zero is there the sign of a rounding error, and decides on a"
        " whole step.\n".format(
            largest(trained, "float32"), largest({"numpy": outcomes["numpy"]}, "float32")
        )
    )
    draw(options.output, tasks, outcomes)
    console.print("Loss curves: {}".format(pathlib.Path(options.output).resolve()), soft_wrap=True)
    for name, outcome in trained.items():
        if outcome.failure is not None:
            console.print("\n[bold]{} failed:[/bold]".format(name))
            console.print(outcome.failure, markup=False, highlight=False)
    wrong = [
        name
        for name, outcome in trained.items()
        if outcome.failure is not None or not largest({name: outcome}, "float64") < AGREES
    ]
    if wrong:
        console.print("Not in agreement with NumPy: {}".format(", ".join(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
