"""Writes docs/support.md: which releases, APIs and features the tests passed on, from what a run of tox left.

    tox run-parallel -p 2 --result-json .tox/results/tox.json
    python docs/make_support.py .tox/results
"""

import argparse
import collections
import datetime
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from kcompat.environment import APIS  # noqa: E402
from kcompat.releases import RELEASES  # noqa: E402

# Column -> the test modules behind it.
FEATURES = {
    "numbers": ("test_agreement", "test_rules_keras", "test_rules_addons", "test_rules_papers"),
    "surface": ("test_behaviour", "test_names", "test_training", "test_get_updates", "test_keras_3_arrays"),
    "errors": ("test_bad_input", "test_other_keras"),
    "saving": ("test_saving", "test_state", "test_state_readers"),
    "callbacks": ("test_callbacks",),
    "mixed precision": ("test_mixed_precision",),
    "schedules, transforms": ("test_schedules", "test_transforms_more", "test_averages"),
    "traps": ("test_traps", "test_subclassing"),
}
HEAD = """# Support

Written by `python docs/make_support.py .tox/results` on {date}, from the results of a run of the tests; do
not edit. The tests ran on a CPU, on Linux. `tox list` names all environments; those that are not here were
not in that run.

A cell is the number of tests that passed; "–" means that there is nothing to test: the release does not
have that API, or the wide suites are left to a neighbouring release. A failure would be written as one.

## Releases and APIs

How many tests ran on each optimizer API.

"""


CURVES = """
## One training, everywhere

A small network is trained with AdamW on each release and API (`tests/test_curve.py`); the thickest line is
drawn first.

![The training curves of all environments lie on each other](curves.png)
"""

APART = """
## How far from the oracle

The largest absolute difference of any parameter from the rule in NumPy float64, in float32 / in float64, over
all rules of `tests/test_agreement.py` and all modes, after 50 steps of gradients that vary in size and sign,
dense and sparse.

"""


TRAPS = """
## Traps

In how many of these environments the tests of each [trap](traps.md) ran, on which APIs.

"""


class Result(NamedTuple):
    """One test in one environment."""

    test: str
    module: str
    apis: Set[str]
    ok: bool
    double: bool
    difference: Optional[float]
    curve: Optional[List[float]]


def apis_of(environment: str) -> Set[str]:
    """The APIs that an environment is there to test."""
    name = environment.partition("-")[2]
    found = [release for release in RELEASES if (name + "-").startswith(release.name + "-")]
    found = found or [release for release in RELEASES if release.name.startswith(name + "-")]
    return set(max(found, key=lambda release: len(release.name)).apis) if found else set()


def read(path: pathlib.Path) -> List[Result]:
    """The tests of one JUnit file, without those skipped."""
    results, here = [], apis_of(path.stem)
    for case in ElementTree.parse(str(path)).getroot().iter("testcase"):
        if case.find("skipped") is not None:
            continue
        ok = case.find("failure") is None and case.find("error") is None
        words = set(re.split(r"[\[\]\-]", case.get("name", "")))
        recorded = {p.get("name"): json.loads(p.get("value", "")) for p in case.iter("property")}
        name = case.get("name", "")
        module, double = case.get("classname", "").rpartition(".")[2], "float64" in name
        apart, curve = recorded.get("difference"), recorded.get("curve")
        results.append(Result(name.partition("[")[0], module, words & here, ok, double, apart, curve))
    return results


def cell(results: List[Result]) -> str:
    """What a cell says of some tests."""
    failed = sum(not result.ok for result in results)
    if failed:
        return "{} failed".format(failed)
    return str(len(results)) if results else "–"


def largest(results: List[Result], double: bool) -> str:
    """The largest difference from NumPy of some tests."""
    found = [r.difference for r in results if r.difference is not None and r.double is double]
    return "{:.0e}".format(max(found)) if found else "–"


def order(name: str) -> List[object]:
    """Environments by release, not by spelling."""
    numbers = [int(number) for number in re.findall(r"\d+", name.partition("-")[2])]
    return [name.partition("-")[2].lstrip("0123456789.").split("-")[0].rstrip("0123456789."), numbers, name]


def table(head: List[str], rows: List[List[str]]) -> str:
    """A table in Markdown."""
    lines = ["| {} |".format(" | ".join(head)), "|" + "---|" * len(head)]
    return "\n".join(lines + ["| {} |".format(" | ".join(row)) for row in rows]) + "\n"


def traps() -> List[Tuple[str, Set[str]]]:
    """Each row of docs/traps.md: what it is called, and the tests that it names."""
    rows = []
    for line in (HERE / "traps.md").read_text(encoding="utf-8").splitlines():
        cells = line.strip("| ").split(" | ")
        tests = set(re.findall(r"`(test_\w+)`", cells[-1]))
        if line.startswith("|") and tests:
            rows.append((cells[0], tests))
    return rows


def of_traps(found: Dict[str, List[Result]]) -> List[List[str]]:
    """A row for each trap."""
    rows = []
    for trap, tests in traps():
        seen = {name: [r for r in results if r.test in tests] for name, results in found.items()}
        every = [result for results in seen.values() for result in results]
        apis = [api for api in APIS if any(api in result.apis for result in every)]
        failed = sum(not result.ok for result in every)
        count = sum(bool(results) for results in seen.values())
        said = "{} failed".format(failed) if failed else str(count or "–")
        rows.append([trap, said, ", ".join("`{}`".format(api) for api in apis) or "–"])
    return rows


def page(found: Dict[str, List[Result]]) -> str:
    """The whole page."""
    by_api, by_feature, apart = [], [], []
    for name in sorted(found, key=order):
        results = found[name]
        of_api = collections.OrderedDict((api, [r for r in results if api in r.apis]) for api in APIS)
        by_api.append(["`{}`".format(name)] + [cell(each) for each in of_api.values()])
        both = [(largest(each, False), largest(each, True)) for each in of_api.values()]
        apart.append(
            ["`{}`".format(name)] + ["–" if set(p) == {"–"} else "{} / {}".format(*p) for p in both]
        )
        cells = [cell([r for r in results if r.module in modules]) for modules in FEATURES.values()]
        by_feature.append(["`{}`".format(name), *cells, cell(results)])
    parts = [
        HEAD.format(date=datetime.date.today().isoformat()),
        table(["Environment", *["`{}`".format(api) for api in APIS]], by_api),
        CURVES,
        APART,
        table(["Environment", *["`{}`".format(api) for api in APIS]], apart),
        "\n## Releases and features\n\n",
        table(["Environment", *FEATURES, "all"], by_feature),
        TRAPS,
        table(["Trap", "Environments", "APIs"], of_traps(found)),
    ]
    return "".join(parts)


def draw(found: Dict[str, List[Result]], target: pathlib.Path) -> None:
    """The training curves of all environments and APIs, over each other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    every = [result for results in found.values() for result in results if result.curve]
    curves = [(api, result.curve) for result in every for api in result.apis]
    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    count = collections.Counter(api for api, _ in curves)
    for i, api in enumerate(each for each in APIS if count[each]):
        for j, curve in enumerate(curve for name, curve in curves if name == api):
            label = "{} ({} environments)".format(api, count[api]) if j == 0 else None
            steps = range(1, len(curve) + 1)
            axes.plot(steps, curve, "C{}".format(i), lw=9 - 2 * i, label=label)
    axes.set(yscale="log", xlabel="step", ylabel="training loss")
    axes.set_title("{} trainings with AdamW, written once: the curves lie on each other".format(len(curves)))
    axes.legend()
    figure.savefig(target, dpi=120)


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=pathlib.Path, help="the folder of the results")
    files = sorted(parser.parse_args().results.glob("py*.xml"))
    found = {path.stem: read(path) for path in files}
    (HERE / "support.md").write_text(page(found), encoding="utf-8")
    draw(found, HERE / "curves.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
