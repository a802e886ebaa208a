"""The page of the catalogue is what the catalogue says of itself."""

from __future__ import annotations

import importlib.util
import json
import os

import _package  # noqa: F401  stands in for the package where a vendored copy is tested
import numpy as np
import pytest

from kcompat import Hyper, UpdateRule, rules, schedules, transforms

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def load():
    """The module docs/make_catalogue.py."""
    path = os.path.join(ROOT, "docs", "make_catalogue.py")
    spec = importlib.util.spec_from_file_location("make_catalogue", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = load()


@pytest.fixture(scope="module")
def text():
    with open(MAKER.PAGE, encoding="utf-8") as file:
        return file.read()


@pytest.mark.wide
def test_the_page_is_up_to_date(text):
    assert text == MAKER.page(), "docs/catalogue.md is old: " + MAKER.COMMAND


def test_everything_is_on_the_page(text):
    first = {line.split(" | ")[0][2:] for line in text.splitlines() if line.startswith("| ")}
    assert first >= set(rules.CATALOGUE)
    bases = {"GradientTransform", "SelectiveGradientTransform", "Transform", "without_weight_decay"}
    assert first >= set(transforms.__all__) - bases
    assert first >= set(schedules.__all__) - {"Schedule", "describe_schedule", "schedule_from"}
    widths = {}  # every table has as many cells in each of its rows
    for line in text.splitlines():
        if line.startswith("|"):
            cells = line.replace("\\|", "").count("|")
            assert widths.setdefault("now", cells) == cells, line
        else:
            widths = {}


@pytest.mark.wide
def test_the_readme_counts_the_rules():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        assert "{} optimizers, transforms and schedules".format(len(rules.CATALOGUE)) in file.read()


class Various(UpdateRule):
    """A rule with * and | and <.

    Slots: of several sizes.
    """

    learning_rate = Hyper(0.1)
    needed = Hyper(doc="required", gt=0)

    def init(self, xp, param):
        return {"row": xp.zeros_like(param)[:1], "all": xp.zeros_like(param), "count": xp.zeros(())}

    def init_shared(self, xp):
        return {"d": xp.ones(())}

    def prepare(self, xp, grads, params, slots, shared, hyper, step):
        return grads, shared

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * hyper.needed * grad, slots


def test_what_is_said_of_a_rule():
    rows, columns = MAKER.SHAPE
    each = 1 + 1 / rows + 1 / (rows * columns)
    assert MAKER.state(MAKER.made(Various)) == ("all, count, row", "{:.3g} + 1".format(each))
    assert MAKER.arguments(Various) == "`learning_rate=0.1, needed`"
    assert MAKER.row(MAKER.summary(Various)) == "| A rule with \\* and \\| and &lt; |"
    assert MAKER.state(rules.SGD()) == ("none", "0")
    assert MAKER.state(rules.Adafactor())[1] == "{:.3g}".format(1 / rows + 1 / columns)
    # A matrix in a hidden layer is Muon's own; others are Adam's, with two slots.
    assert MAKER.state(rules.Muon())[1] == "1"
    assert MAKER.state(rules.SOAP())[0].split(", ")[-1] == "v"


def test_differences_from_peers_are_those_of_rules():
    with open(MAKER.PEERS, encoding="utf-8") as file:
        peers = json.load(file)["differences"]
    assert set(peers) <= set(rules.CATALOGUE)
    worst = [value for each in peers.values() for value in each.values()]
    assert len(worst) > 30 and np.median(worst) < 1e-9 and max(worst) < 0.05
    made_up = {"Adam": {"torch": 2.34e-12, "optax": 1e-9}}
    assert MAKER.checked_against("Adam", made_up) == "optax 1e-09, torch 2e-12"
    assert MAKER.checked_against("SGD", made_up) == ""
