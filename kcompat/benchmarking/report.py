"""What was found, as a file, a table and plots; and on which machine."""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ..environment import installed

Record = Dict[str, Any]

_VERSIONS = (
    "kcompat tensorflow tensorflow-cpu keras tf-keras jax torch tensorflow-addons optax numpy"
).split()


def machine(cores: int) -> Dict[str, Any]:
    """The machine, what is installed on it and how busy it is, in words and numbers.

    Args:
        cores: how many cores the measurements are kept to.
    """
    found = installed()
    versions = {name: found[name].version for name in _VERSIONS if name in found}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": _line("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "pinned": cores,
        "memory": _line("/proc/meminfo", "MemTotal"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "date": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "load": load,
    }


def _line(path: str, key: str) -> str:
    try:
        with open(path) as file:
            for line in file:
                if line.startswith(key):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def name_of(about: Mapping[str, Any], backend: str) -> str:
    """What a file of results is called, without an ending: the framework and its version."""
    versions = about["versions"]
    parts = []
    for name in ("tensorflow", "jax", "torch"):
        version = versions.get(name) or versions.get(name + "-cpu")
        if version and (name == backend or not backend):
            parts.append("{}-{}".format(name, version.partition("+")[0]))
    if backend != "tensorflow" and "keras" in versions:
        parts.append("keras-" + versions["keras"])
    if "tensorflow-addons" in versions:
        parts.append("addons")
    return "-".join(parts + (["cores2"] if about["pinned"] > 1 else [])) or "results"


def write(path: str, about: Mapping[str, Any], command: str, records: Sequence[Record]) -> None:
    """Writes results; one record a line, with what is not given left out, and three digits."""
    lines = [json.dumps(_short(record)) for record in records]
    head = json.dumps({"command": command, "machine": about}, indent=1)[:-2]
    text = head + ',\n "records": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _short(record: Mapping[str, Any]) -> Record:
    return {
        name: float("{:.3g}".format(value)) if isinstance(value, float) else value
        for name, value in record.items()
        if value not in ("", None)
    }


#: The columns of the table.
HEAD = tuple("measure,api,cell,against,found,spread,target,ours ms,theirs ms,path".split(","))


def rows(records: Sequence[Mapping[str, Any]]) -> List[Tuple[str, ...]]:
    """The table: a head, then a row for each record that has a target or is a ratio."""
    table: List[Tuple[str, ...]] = [HEAD]
    for each in records:
        if each.get("measure") == "scaling":
            continue
        parts = [each["way"], each["size"], each["optimizer"], each.get("sparse") and "sparse=rows"]
        spread = "{}-{}".format(number(each["low"]), number(each["high"])) if "low" in each else ""
        most = each.get("target")
        mark = "" if most is None else number(most) + ("" if each.get("met") else "  MISSED")
        milliseconds = [number(each[name]) if name in each else "" for name in ("ours_ms", "theirs_ms")]
        found = number(each["value"]) + (" ms" if each["unit"] == "ms" else "")
        cell = " ".join(part for part in parts if part)
        row = (each["measure"], each["api"], cell, each.get("against") or "", found, spread, mark)
        table.append((*row, *milliseconds, each.get("path") or ""))
    return table


def markdown(lines: Iterable[Sequence[str]]) -> List[str]:
    """Lines of a Markdown table, of which the first is its head."""
    head, *body = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *body)]


def number(value: float) -> str:
    """A number with about three digits."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    digits = 2 - int(math.floor(math.log10(abs(value))))
    return "{:.{}f}".format(value, min(max(digits, 0), 4))


def show(records: Sequence[Mapping[str, Any]]) -> None:
    """Prints the table."""
    head, *body = rows(records)
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        widths = [max(len(row[i]) for row in (head, *body)) for i in range(len(head))]
        for row in (head, *body):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        return
    table = Table()
    for name in head:
        table.add_column(name)
    for row in body:
        table.add_row(*row, style="bold red" if row[6].endswith("MISSED") else None)
    console = Console()
    # Into a file as wide as it is: nothing is cut off.
    wide = Console(width=200) if not console.is_terminal else console
    wide.print(table)


def slope(points: Sequence[Tuple[float, float]]) -> float:
    """The slope of a straight line through points on logarithmic axes: 1 where cost is linear."""
    xs, ys = ([math.log(value) for value in values] for values in zip(*points))
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys))
    return above / sum((x - mean_x) ** 2 for x in xs)


def plot_ratios(path: str, records: Sequence[Mapping[str, Any]], title: str) -> bool:
    """Draws the ratios of steps with their targets. False without matplotlib, or anything to draw."""
    steps = [each for each in records if each["measure"] == "step"]
    plt = _matplotlib()
    if plt is None or not steps:
        return False
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.24 * len(steps)), constrained_layout=True)
    names = []
    for i, each in enumerate(reversed(steps)):
        colour = "tab:red" if each.get("met") is False else "tab:blue"
        axes.plot([each["low"], each["high"]], [i, i], color=colour, linewidth=2)
        axes.plot(each["value"], i, "o", color=colour, markersize=5)
        if each.get("target"):
            axes.plot(each["target"], i, "|", color="black", markersize=11)
        sparse = "sparse=rows" if each.get("sparse") else ""
        against = "vs " + each["against"] if each["against"] != "native" else ""
        parts = (each["api"], each["way"], each["size"], each["optimizer"], sparse, against)
        names.append(" ".join(part for part in parts if part))
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels(names, fontsize=8)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_xscale("log")
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_xlabel("time of a step, ours / theirs (dot: median, line: quartiles, tick: target)")
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", which="both", alpha=0.25)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True


def scaling_lines(records: Sequence[Mapping[str, Any]]) -> Dict[Tuple[str, str], List[Tuple[float, float]]]:
    """(variables or elements, step or first call) -> points: the size, and milliseconds."""
    lines: Dict[Tuple[str, str], List[Tuple[float, float]]] = {}
    for each in records:
        if each["measure"] == "scaling":
            kind, count = each["size"].split()
            lines.setdefault((kind, "step"), []).append((float(count), each["value"]))
            lines.setdefault((kind, "first call"), []).append((float(count), each["first_ms"]))
    return {key: sorted(points) for key, points in lines.items()}


def plot_scaling(path: str, records: Sequence[Mapping[str, Any]], title: str) -> bool:
    """Draws how cost grows. False where there is no matplotlib, or nothing to draw."""
    lines = scaling_lines(records)
    plt = _matplotlib()
    if plt is None or not lines:
        return False
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), constrained_layout=True)
    for axes, kind in zip(panels, ("variables", "elements")):
        for what, colour in (("step", "tab:blue"), ("first call", "tab:orange")):
            points = lines.get((kind, what), [])
            if points:
                label = what
                if len(points) > 3:
                    # What is fixed hides how cost grows: the slope is that of the larger half.
                    label += ", slope {:.2f}".format(slope(points[len(points) // 2 :]))
                axes.plot(*zip(*points), "o-", color=colour, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("variables of 100 elements" if kind == "variables" else "elements of one variable")
        axes.set_ylabel("milliseconds")
        axes.grid(alpha=0.25)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True


def _matplotlib() -> Optional[Any]:
    if find_spec("matplotlib") is None:
        return None
    import_module("matplotlib").use("Agg")
    return import_module("matplotlib.pyplot")


def title_of(about: Mapping[str, Any]) -> str:
    """What was measured where, in one line."""
    versions = ", ".join("{} {}".format(*pair) for pair in about["versions"].items() if pair[0] != "numpy")
    return "{}; CPython {}".format(versions, about["python"])


def read(path: str) -> Dict[str, Any]:
    """Results from a file.

    Raises:
        ValueError: it holds something else.
    """
    with open(path, encoding="utf-8") as file:
        found: Any = json.load(file)
    if not isinstance(found, dict) or not {"command", "machine", "records"} <= set(found):
        raise ValueError("{}: expected what `kcompat bench` writes".format(path))
    return found


def command() -> str:
    """The command line that this process was started with, as one would type it elsewhere."""
    words = [os.path.basename(word) if os.path.isabs(word) else word for word in sys.argv[1:]]
    return " ".join(["kcompat", *words])
