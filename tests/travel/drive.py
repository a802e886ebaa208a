"""State on its journey from every environment to every other: drives the workers, and writes the tables.

`tox run -e travel` does it with tox's own environments, which it makes where they are not there. With
`--python NAME=INTERPRETER`, once for each, it takes others, in which the package can be imported; what
they need to be set is taken from tox.ini all the same.
"""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DOCS = os.path.join(ROOT, "docs")

ENVIRONMENTS = (
    "py37-tf1.13",
    "py37-tf1.15",
    "py37-keras2.2",
    "py37-keras2.3",
    "py38-tf2.4",
    "py310-tf2.10",
    "py310-tf2.11",
    "py311-tf2.15",
    "py312-tf2.16",
    "py313-tf2.21-tf_keras",
    "py313-tf2.22",
    "py313-keras3-jax",
    "py311-keras3-torch",
)
# What is in a table's cell, by how many rules arrived.
TABLES = (
    ("full", "full", "kcompat to kcompat, with an average, a variable in float16"),
    ("native", "plain", "A native optimizer to kcompat"),
    ("plain", "native", "kcompat to a native optimizer"),
)


_PAGE = """# State on its journey

Made on {} by `tests/travel/drive.py`, which `tox run -e travel` runs. Each environment trains Adam, AdamW,
SGD with momentum, RMSprop and a rule of nobody's for 4 steps and saves its state. Each then goes on from what
every other saved, for 4 steps more, and is compared with the end of a run without a break, in NumPy and
float64: rtol 1e-5, atol 1e-6. The variables are an embedding with sparse gradients, a dense layer, one that
joins in after 2 steps, one that is frozen and, where kcompat is on both sides, one in float16 (its slots are
compared) and a moving average of each.

A cell is the number of rules that arrived (bold: of how many). Native AdamW is in `keras_2_11` from 2.11 on
and in `keras_3`. Native RMSprop is left out where its epsilon is outside of the root, which is another rule
(`keras_2_11` of 2.10), or where it has no momentum (`get_updates`). The custom rule has no native optimizer.

{} of {} journeys arrived, from {} environments to {}."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", action="append", metavar="NAME=INTERPRETER", default=[])
    parser.add_argument("--only", metavar="NAMES", help="some environments; the tables go to --work")
    parser.add_argument("--work", metavar="DIR", default=os.path.join(ROOT, ".tox", "travel-files"))
    parser.add_argument("--resume", action="store_true", help="keep what is in --work, do what is missing")
    parser.add_argument("--tables", action="store_true", help="only write the tables, of what is in --work")
    return parser.parse_args()


def settings(name):
    """What tox.ini has an environment's variables set to."""
    command = [sys.executable, "-m", "tox", "config", "-e", name, "-k", "set_env", "--colored", "no"]
    text = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode()
    lines = [line.strip().partition("=") for line in text.split("\n") if "=" in line]
    return {key.rpartition(" ")[2]: value for key, _, value in lines}


def run(name, interpreters, command, work):
    worker = [os.path.join(HERE, "worker.py"), command, work, name]
    if name in interpreters:
        environment = dict(os.environ, **settings(name))
        environment["PYTHONPATH"] = ROOT
        return subprocess.run([interpreters[name], *worker], cwd=ROOT, env=environment).returncode
    tox = [sys.executable, "-m", "tox", "exec", "-q", "--skip-pkg-install", "-e", name, "--", "python"]
    return subprocess.run([*tox, *worker], cwd=ROOT).returncode


def result(command, name, work):
    """The file that a worker writes at its end."""
    return os.path.join(work, "{}+{}.json".format(command, name))


def collected(names, work):
    """Everything that the workers have written: what is not there, and the journeys."""
    missing, journeys = [], []
    for name in names:
        for command, found in (("write", missing), ("read", journeys)):
            path = result(command, name, work)
            if os.path.exists(path):
                with open(path) as file:
                    found += [[name, *each] for each in json.load(file)]
    return missing, journeys


def short(name):
    """An environment without its Python: "tf2.10"."""
    return name.partition("-")[2] if name.startswith("py") else name


def counted(journeys):
    """From where to where, as what, how many rules arrived, and of how many."""
    cells = {}
    for target, source, api, start, target_api, end, _, wrong in journeys:
        key = source, api, start, target, target_api, end
        good, total = cells.get(key, (0, 0))
        cells[key] = good + (not wrong), total + 1
    return [[*key, *counts] for key, counts in cells.items()]


def table(journeys, kind, onward):
    """A table of Markdown: from where in the rows, to where in the columns, how many rules arrived of all."""
    cells = {
        ((source, api), (target, target_api)): (good, total)
        for source, api, start, target, target_api, end, good, total in counted(journeys)
        if (start, end) == (kind, onward)
    }
    rows = list(dict.fromkeys(row for row, _ in cells))
    columns = list(dict.fromkeys(column for _, column in cells))
    heads = ["{}<br>{}".format(short(name), api) for name, api in columns]
    lines = ["| from \\ to | {} |".format(" | ".join(heads)), "|---" * (len(heads) + 1) + "|"]
    for row in rows:
        said = []
        for column in columns:
            good, total = cells.get((row, column), (0, 0))
            said.append("" if not total else str(total) if good == total else "**{}/{}**".format(good, total))
        lines.append("| {} {} | {} |".format(short(row[0]), row[1], " | ".join(said)))
    return lines


def page(missing, journeys):
    arrived = sum(not each[-1] for each in journeys)
    starts, ends = ({each[i] for each in journeys} for i in (1, 0))
    lines = [
        _PAGE.format(datetime.date.today().isoformat(), arrived, len(journeys), len(starts), len(ends))
    ]
    for kind, onward, title in TABLES:
        lines += ["", "## " + title, "", *table(journeys, kind, onward)]
    wrong = [each for each in journeys if each[-1]]
    failed = [each for each in missing if each[-1]]
    if wrong or failed:
        lines += ["", "## What did not arrive", ""]
        lines += ["- {} {} {} {}: {}".format(*each[:5]) for each in failed]
        lines += ["- from {1} {2} ({3}) to {0} {4} ({5}), {6}: {7}".format(*each) for each in wrong]
    return "\n".join(lines) + "\n"


def main():
    asked = arguments()
    interpreters = dict(each.split("=", 1) for each in asked.python)
    names = asked.only.split(",") if asked.only else list(interpreters) or list(ENVIRONMENTS)
    if not asked.tables:
        if not asked.resume:
            shutil.rmtree(asked.work, ignore_errors=True)
        os.makedirs(asked.work, exist_ok=True)
        made = [name for name in names if name not in interpreters]
        if made:
            tox = [sys.executable, "-m", "tox", "run", "--notest", "-e", ",".join(made)]
            subprocess.run(tox, cwd=ROOT, check=True)
        for command in ("write", "read"):
            for name in names:
                if os.path.exists(result(command, name, asked.work)):
                    continue
                status = run(name, interpreters, command, asked.work)
                print("{} {}: exit status {}".format(command, name, status), flush=True)
    missing, journeys = collected(names, asked.work)
    folder = asked.work if asked.only else DOCS  # the page that is published is of all environments
    with open(os.path.join(folder, "travel.json"), "w") as file:
        wrong = [each for each in journeys if each[-1]]
        written = {"journeys": counted(journeys), "did not arrive": wrong, "not written": missing}
        json.dump(dict(written, date=datetime.date.today().isoformat()), file)
        file.write("\n")
    with open(os.path.join(folder, "travel.md"), "w") as file:
        file.write(page(missing, journeys))
    absent = [n for n in names if not os.path.exists(result("read", n, asked.work))]
    wrong = [each for each in journeys if each[-1]]
    failed = [each for each in missing if each[-1]]
    print("{} journeys, {} did not arrive".format(len(journeys), len(wrong)))
    for each in failed + wrong[:20]:
        print(each)
    for name in absent:
        print("{}: did not go through".format(name))
    return 1 if wrong or failed or absent or not journeys else 0


if __name__ == "__main__":
    sys.exit(main())
