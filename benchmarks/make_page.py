"""Makes docs/speed.md and its plots from the results in docs/bench: `python benchmarks/make_page.py`.

The results come from `tox run -e bench`, or from `python -m kcompat bench --output docs/bench` in any
environment. Reasons for targets that are missed are in reasons.json, beside this file. Plots want matplotlib.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from typing import Any, Dict, List, Mapping, Sequence

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kcompat.benchmarking import report  # noqa: E402

HEAD = """# Speed

Made by `python benchmarks/make_page.py` from the results in `docs/bench`; do not edit.

Each number is the time of a step of kcompat's optimizer, as a part of the time of the one that it is
compared with: below 1 is faster. Both take turns in one process, in rounds whose order is shuffled, kept to
the same cores; the number is the median of the rounds' ratios, and the spread is between their quartiles.
CPU time counts, so that what else runs on the machine counts less; it still changes what is in the caches,
so small differences mean little. `many` is 200 variables of 1,000 floats, `large` 4 of 10 million, `10M`
one of these, `rows` 4,096 rows of a table of 1,000,000 x 64. `first call` is the first step, with its
tracing. "Against memory bandwidth" compares with a loop in C that does nothing but Adam's arithmetic.
Targets that are missed are marked, with the reason as far as it is known.

`tox run -e bench` measures all of it anew, and `kcompat bench` what is installed.
"""


def reason_for(record: Mapping[str, Any], reasons: Sequence[Mapping[str, Any]]) -> str:
    """The first reason whose every condition a record meets."""
    for each in reasons:
        if all(record.get(name) == value for name, value in each["of"].items()):
            return str(each["reason"])
    return "not known"


def section(path: pathlib.Path, folder: str, reasons: Sequence[Mapping[str, Any]]) -> List[str]:
    """What the page says of one file of results; draws its plots beside it."""
    found = report.read(str(path))
    about, records = found["machine"], found["records"]
    title = report.title_of(about)
    lines = ["", "## " + title, ""]
    load = about.get("load")
    lines.append(
        "`{}`, {}, on {}, {} cores, {} of memory, {}; kept to {} core{}{}.".format(
            found["command"],
            about["date"],
            about["processor"],
            about["cores"],
            about["memory"],
            about["system"],
            about["pinned"],
            "s" if about["pinned"] > 1 else "",
            "" if load is None else "; load of the machine at the start {:.1f}".format(load),
        )
    )
    if found.get("note"):  # written into the file by hand, where there is something to know of it
        lines += ["", "Note: {}.".format(found["note"])]
    rows = report.rows(records)
    if len(rows) > 1:
        lines += ["", *report.markdown(rows)]
    missed = [each for each in records if each.get("met") is False]
    if missed:
        lines += ["", "Missed:", ""]
        for each in missed:
            cell = " ".join([each["measure"], each["api"], each["way"], each["size"], each["optimizer"]])
            values = "{} for {}".format(report.number(each["value"]), report.number(each["target"]))
            lines.append("- {}, {}: {}.".format(cell, values, reason_for(each, reasons)))
    for (kind, what), points in sorted(report.scaling_lines(records).items()):
        if len(points) > 3:
            slope = report.slope(points[len(points) // 2 :])
            lines += ["", "Time of a {} with the number of {}: slope {:.2f}.".format(what, kind, slope)]
    base = str(path)[: -len(".json")]
    for draw, ending in ((report.plot_ratios, ".png"), (report.plot_scaling, "-scaling.png")):
        if draw(base + ending, records, title) or pathlib.Path(base + ending).exists():
            lines += ["", "![{}]({}/{})".format(title, folder, pathlib.Path(base + ending).name)]
    return lines


def page(results: pathlib.Path, reasons: Sequence[Mapping[str, Any]]) -> str:
    """The page of a folder of results."""
    lines = HEAD.rstrip("\n").split("\n")
    for path in sorted(results.glob("*.json")):
        lines += section(path, results.name, reasons)
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] = ()) -> int:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "docs" / "bench")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "docs" / "speed.md")
    args = parser.parse_args(list(argv))
    reasons: Dict[str, Any] = json.loads((ROOT / "benchmarks" / "reasons.json").read_text(encoding="utf-8"))
    args.output.write_text(page(args.results, reasons["reasons"]), encoding="utf-8")
    print("written: {}".format(args.output))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
