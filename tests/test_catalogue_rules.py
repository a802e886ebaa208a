"""Every rule of the catalogue has every property on every API. `tox run -m catalogue` runs this and no more.

The other environments leave it out: it takes minutes on each API, and each rule agrees with the oracle there
already (test_rules_keras, test_rules_addons, test_rules_papers).
"""

import pytest
from _apis import APIS

from kcompat import rules
from kcompat.testing import check_rule

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


def example(name):
    return getattr(rules, name)(**EXAMPLES.get(name, {}))


@pytest.mark.catalogue
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", sorted(rules.CATALOGUE))
def test_has_every_property(name, api):
    report = check_rule(example(name), apis=[api])
    failed = [each for each in report.failures if each.property not in NOT_HELD.get(name, {})]
    assert not failed, "\n".join(map(str, failed))


def test_exceptions_are_of_rules_and_properties_that_exist():
    report = check_rule(rules.SGD, apis=APIS[:1])
    known = {outcome.property for outcome in report.outcomes} | {"rows"}
    for name, properties in NOT_HELD.items():
        assert name in rules.CATALOGUE
        assert not APIS or set(properties) <= known
