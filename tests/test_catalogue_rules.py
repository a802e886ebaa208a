"""Every rule of the catalogue has every property on every API. `tox run -m catalogue` runs this and no more.

The other environments leave it out: it takes minutes on each API, and each rule agrees with the oracle there
already (test_rules_keras, test_rules_addons, test_rules_papers). With KCOMPAT_WRITE_PROPERTIES=1 it writes
docs/properties.json, of which `python docs/make_catalogue.py` makes a table.
"""

import datetime
import json
import os

import pytest
from _apis import APIS

import kcompat
from kcompat import rules
from kcompat.testing import check_rule
from kcompat.testing.properties import properties

# Where a rule has hyperparameters without a default, or its defaults do nothing that could be seen.
EXAMPLES = {
    "ConditionalGradient": {"learning_rate": 0.9, "lambda_": 10.0},
    "SGDW": {"weight_decay": 0.01, "learning_rate": 0.05, "momentum": 0.9},
    "SGD": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
    "RMSprop": {"momentum": 0.5, "centered": True},
}

# Rule -> (property -> why it does not hold).
OF_ALL_ROWS = {"rows": "it takes the norm of a variable's whole gradient, of which absent rows are 0"}
NOT_HELD = {
    "ConditionalGradient": OF_ALL_ROWS,
    "NovoGrad": OF_ALL_ROWS,
    "SOAP": dict.fromkeys(
        (
            *("agreement", "traced", "float64", "sparse", "late_variables", "schedules", "setting", "travel"),
            *("extreme_gradients",),
        ),
        "an eigenvector may have either sign, and hosts refuse to decompose NaN; see test_rules_papers",
    ),
}

ON_API = [each.name for each in properties() if each.on_api]
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs", "properties.json")


def example(name):
    return getattr(rules, name)(**EXAMPLES.get(name, {}))


def where(api):
    """An API with the release that has it, as the table of the docs names it."""
    found = kcompat.detect()
    if found.tensorflow is None:
        return "{} on {}, Keras {}".format(api, found.keras_backend, found.keras)
    keras = "" if api != "get_updates" or found.keras is None else ", Keras " + found.keras
    return "{} on TensorFlow {}{}".format(api, found.tensorflow, keras)


@pytest.fixture(scope="module")
def table():
    """Place -> rule -> property -> "" or why it was not checked or does not hold; written where asked for."""
    found = {}
    yield found
    if os.environ.get("KCOMPAT_WRITE_PROPERTIES"):
        places = {}
        if os.path.exists(PATH):
            with open(PATH, encoding="utf-8") as file:
                places = json.load(file)["places"]
        for place, of_rules in found.items():
            places.setdefault(place, {}).update(of_rules)
        with open(PATH, "w", encoding="utf-8", newline="\n") as file:
            data = {"date": datetime.date.today().isoformat(), "places": places}
            json.dump(data, file, indent=1, sort_keys=True)
            file.write("\n")


@pytest.mark.catalogue
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", sorted(rules.CATALOGUE))
def test_has_every_property(name, api, table):
    # What a rule alone has is the same beside every API.
    report = check_rule(example(name), apis=[api], only=None if api == APIS[0] else ON_API)
    failed = [each for each in report.failures if each.property not in NOT_HELD.get(name, {})]
    assert not failed, "\n".join(map(str, failed))
    row = table.setdefault(where(api), {}).setdefault(name, {})
    for outcome in report.outcomes:
        row[outcome.property] = outcome.skipped
        if outcome.failure:
            row[outcome.property] = "does not hold: " + NOT_HELD[name][outcome.property]


def test_exceptions_are_of_rules_and_properties_that_exist():
    known = {each.name for each in properties()}
    for name, not_held in NOT_HELD.items():
        assert name in rules.CATALOGUE
        assert set(not_held) <= known
