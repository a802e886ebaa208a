"""Writes docs/catalogue.md: every rule, transform and schedule, from what they say of themselves.

`python docs/make_catalogue.py` writes the page; `--check` says whether it is up to date. It needs no
framework. What the rules were compared with is docs/peers.json, which the tests in tests/peers write.
"""

from __future__ import annotations

import inspect
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "catalogue.md")
PEERS = os.path.join(HERE, "peers.json")
COMMAND = "python docs/make_catalogue.py"
SHAPE = (64, 32)

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(HERE))

from kcompat import namespaces, rules, schedules, transforms  # noqa: E402
from kcompat.rule import REQUIRED  # noqa: E402

TOP = """# The catalogue

Written by `{command}`; do not edit. Every rule is `kcompat.rules.NAME`, and a native
optimizer as `kcompat.optimizers.NAME`; `kcompat.addons` has the names and arguments of TensorFlow Addons. The
docstring of a rule says where well-known implementations depart from the paper, and which is followed.

## Rules

- *Slots* are those of a matrix in a hidden layer, with the default arguments. *State* is how many numbers
  they hold for each one of a matrix of {rows} x {columns}, and how many the whole model has besides.
- *Sparse*: what a sparse gradient moves, such as an embedding's. "all rows": as if it were dense. "its rows":
  only the rows that it has.
{peers_note}
| Rule | Paper | Slots | State | Sparse |{peers_title}
|---|---|---|---|---|{peers_line}
{rules}

### Their arguments

| Rule | Arguments |
|---|---|
{arguments}

## Transforms

A transform is a rule around another one, its first argument: `ClipByNorm(Adam(), 1.0)`. They are in
`kcompat.transforms`.

| Transform | What it does | Arguments |
|---|---|---|
{transforms}

## Schedules

A schedule is given in place of a hyperparameter's number: `Adam(CosineDecay(1e-3, 10000))`. They are in
`kcompat.schedules`.

| Schedule | Value | Arguments |
|---|---|---|
{schedules}
"""

PEERS_NOTE = """\
- *Checked against*: other people's implementations, and the largest difference from theirs after 60 steps in
  float64, relative to the parameters (`tox run -m peers`). Where it is above 1e-9, theirs is not the same in
  full: torch's Muon computes in bfloat16, pytorch-optimizer's SOAP decomposes in float32, optax' Muon adds
  another epsilon to its norms. TensorFlow Addons rounds hyperparameters to float32, and so they are for ours.
  Keras' own optimizers, where they have the rule, are compared by the tests on every Keras 3.
"""


def row(*cells):
    """One line of a table."""
    return "| {} |".format(" | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells))


def summary(value):
    """The first sentence or line of a docstring, as text for a table."""
    text = inspect.cleandoc(value.__doc__).split("\n\n")[0].replace("\n", " ")
    return text.replace("*", "\\*").replace("<", "&lt;").rstrip(".")


def arguments(value):
    """The arguments of a constructor with their defaults, as code."""
    parts = []
    for name, parameter in inspect.signature(value).parameters.items():
        has_default = parameter.default is not parameter.empty
        parts.append("{}={!r}".format(name, parameter.default) if has_default else name)
    return "`{}`".format(", ".join(parts)) if parts else ""


def made(cls):
    """A rule with its default arguments, and 0.1 for those that it must be given."""
    required = [name for name, hyper in cls.hypers.items() if hyper.default is REQUIRED]
    return cls(**dict.fromkeys(required, 0.1))


def state(rule):
    """The slots of a matrix by name, and how much they hold, in words."""
    xp = namespaces.namespace("numpy", "float64")
    param = xp.zeros(SHAPE)
    # The name and shape of a hidden layer's kernel: some rules treat others differently.
    slots = rule.for_variable("dense/kernel", SHAPE).init(xp, param)
    total = 0
    for value in slots.values():
        size = 1
        for length in value.shape:
            size *= length
        total += size
    each = "{:.3g}".format(total / (SHAPE[0] * SHAPE[1]))
    shared = len(rule.init_shared(xp))
    return ", ".join(sorted(slots)) or "none", each + (" + {}".format(shared) if shared else "")


def checked_against(name, peers):
    """The peers of a rule with the largest differences, in words."""
    return ", ".join("{} {:.0e}".format(peer, worst) for peer, worst in sorted(peers.get(name, {}).items()))


def page():
    """The text of the page."""
    peers = {}
    if os.path.exists(PEERS):
        with open(PEERS, encoding="utf-8") as file:
            peers = json.load(file)
    by_name = sorted(rules.CATALOGUE, key=lambda name: (name.lower(), name))
    lines = []
    for name in by_name:
        cls = getattr(rules, name)
        sparse = {"dense": "all rows", "rows": "its rows"}[cls.sparse]
        cells = [name, summary(cls), *state(made(cls)), sparse]
        lines.append(row(*cells, *([checked_against(name, peers)] if peers else [])))
    bases = {"GradientTransform", "SelectiveGradientTransform", "Transform", "Schedule"}
    tables = {
        kind: [
            row(name, summary(getattr(module, name)), arguments(getattr(module, name)))
            for name in sorted(module.__all__, key=str.lower)
            if inspect.isclass(getattr(module, name)) and name not in bases
        ]
        for kind, module in (("transforms", transforms), ("schedules", schedules))
    }
    return TOP.format(
        command=COMMAND,
        rows=SHAPE[0],
        columns=SHAPE[1],
        rules="\n".join(lines),
        arguments="\n".join(row(name, arguments(getattr(rules, name))) for name in by_name),
        peers_note=PEERS_NOTE if peers else "",
        peers_title=" Checked against |" if peers else "",
        peers_line="---|" if peers else "",
        **{kind: "\n".join(rows) for kind, rows in tables.items()}
    )


def main(given):
    """Write the page, or say whether it is up to date."""
    text = page()
    if given == ["--check"]:
        with open(PAGE, encoding="utf-8") as file:
            same = file.read() == text
        print("docs/catalogue.md is {}.".format("up to date" if same else "old: " + COMMAND))
        return int(not same)
    with open(PAGE, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
