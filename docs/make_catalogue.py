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
PROPERTIES = os.path.join(HERE, "properties.json")
COMMAND = "python docs/make_catalogue.py"
# How properties.json marks what does not hold; anything else there is why it means nothing.
FAILS = "does not hold: "
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

{properties}## Transforms

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

PROPERTIES_NOTE = """\
## What was tested of each

`tox run -m catalogue` asks every rule for every property. It last wrote this down on {date}, on a CPU, on
Linux, in {count} places:

{places}

A cell is the number of places where the property holds; those of a rule alone are tested in NumPy, once a
release. Elsewhere it means nothing: rows for a rule that moves all rows, float64 where JAX has none, travel
for a rule with scalars of all variables. A star: somewhere it does not hold, and below is why. How each is
tested: [testing](testing.md).

| Rule | {names} |
|---|{line}
{rows}

{reasons}

"""

PEERS_NOTE = """\
- *Checked against*: other people's implementations, and the largest difference from theirs after 60 steps in
  float64, relative to the parameters (`tox run -m peers`, on {date}). Where it is above 1e-9, theirs is not
  the same in full: torch's Muon computes in bfloat16, pytorch-optimizer's SOAP decomposes in float32, optax'
  Muon adds another epsilon to its norms. TensorFlow Addons rounds hyperparameters to float32, and so they are
  for ours.
  Keras' own optimizers, where they have the rule, are compared by the tests on every Keras 3.

That every rule learns real data: [convergence](convergence.md).
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


def properties_section():
    """What the catalogue's tests took down of every property, as text of the page; "" before they did."""
    if not os.path.exists(PROPERTIES):
        return ""
    with open(PROPERTIES, encoding="utf-8") as file:
        data = json.load(file)
    found = data["places"]
    names = sorted({name for of_rules in found.values() for of_rule in of_rules.values() for name in of_rule})
    rows, reasons = [], {}
    for rule in sorted(rules.CATALOGUE, key=lambda name: (name.lower(), name)):
        cells = []
        for name in names:
            given = [of_rules[rule][name] for of_rules in found.values() if name in of_rules.get(rule, {})]
            failed = sorted({text[len(FAILS) :] for text in given if text.startswith(FAILS)})
            for text in failed:
                reasons.setdefault((rule, text), []).append(name)
            cells.append("{}{}".format(given.count(""), "\\*" if failed else ""))
        rows.append(row(rule, *cells))
    return PROPERTIES_NOTE.format(
        count=len(found),
        date=data["date"],
        places="\n".join("- {}".format(place) for place in sorted(found)),
        names=" | ".join(names),
        line="---|" * len(names),
        rows="\n".join(rows),
        reasons="\n".join(
            "- {}, {}: {}.".format(rule, ", ".join(of), text) for (rule, text), of in reasons.items()
        ),
    )


def page():
    """The text of the page."""
    peers, measured = {}, ""
    if os.path.exists(PEERS):
        with open(PEERS, encoding="utf-8") as file:
            data = json.load(file)
        peers, measured = data["differences"], data["date"]
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
        properties=properties_section(),
        peers_note=PEERS_NOTE.format(date=measured) if peers else "",
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
