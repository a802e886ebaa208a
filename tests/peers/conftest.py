"""Takes down how far each rule is from its peers: docs/peers.json, with KCOMPAT_WRITE_PEERS=1.

The tests compare in a function `assert_same` and train the peer in one of those named below. Of the tests
that pass, the largest difference is kept for each rule and peer, relative to the variable's largest element.
"""

import datetime
import json
import os

import numpy as np
import pytest

from kcompat import rules

WRITE = "KCOMPAT_WRITE_PEERS"
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "peers.json")
# What runs a peer, and how to tell whose it is from the arguments.
RUNNERS = {
    "with_torch": lambda make, *_, **__: make.__module__.split(".")[0],
    "of_torch": lambda cls, *_, **__: cls.__module__.split(".")[0],
    "with_optax": lambda *_, **__: "optax",
    "of_optax": lambda *_, **__: "optax",
}
# Distributions are called otherwise than their packages.
DISTRIBUTIONS = {"pytorch_optimizer": "pytorch-optimizer", "torch_optimizer": "torch-optimizer"}

found = {}


def name_of(rule):
    """The name of a rule in the catalogue; None for one made around it."""
    name = type(rule).__name__ if not isinstance(rule, type) else rule.__name__
    return name if getattr(rules, name, None) is (rule if isinstance(rule, type) else type(rule)) else None


@pytest.fixture(autouse=True)
def taken_down(request, monkeypatch):
    """One test's differences, if it passes."""
    module, seen = request.module, {"rules": set(), "peers": set(), "worst": None}

    def noting(function, note):
        def noted(*args, **kwargs):
            note(*args, **kwargs)
            return function(*args, **kwargs)

        return noted

    def note_rule(rule, *_, **__):
        seen["rules"].add(name_of(rule))

    def note_addon(name, *_, **__):
        seen["rules"].add(name_of(getattr(module.addons, name).rule_class))
        seen["peers"].add("tensorflow-addons")

    def note_difference(got, want, *_, **__):
        size = np.abs(want).max()
        worst = float(np.abs(np.asarray(got) - want).max() / size) if size else 0.0
        seen["worst"] = max(seen["worst"] or 0.0, worst)

    def note_peer(whose):
        return lambda *args, **kwargs: seen["peers"].add(whose(*args, **kwargs))

    def comparing(function):
        def compared(*args, **kwargs):
            with monkeypatch.context() as inside:
                noted = noting(np.testing.assert_allclose, note_difference)
                inside.setattr(np.testing, "assert_allclose", noted)
                return function(*args, **kwargs)

        return compared

    for name, whose in RUNNERS.items():
        if hasattr(module, name):
            monkeypatch.setattr(module, name, noting(getattr(module, name), note_peer(whose)))
    if hasattr(module, "reference"):
        monkeypatch.setattr(module, "reference", noting(module.reference, note_rule))
    if hasattr(module, "ours"):
        monkeypatch.setattr(module, "ours", noting(module.ours, note_addon))
    if hasattr(module, "assert_same"):
        monkeypatch.setattr(module, "assert_same", comparing(module.assert_same))
    yield
    result = getattr(request.node, "passed_call", False)
    # Of several rules or peers in one test it is not known which difference is whose.
    single = len(seen["rules"]) == len(seen["peers"]) == 1 and None not in seen["rules"]
    if result and single and seen["worst"] is not None and "float32" not in request.node.name:
        (rule,), (peer,) = seen["rules"], seen["peers"]
        of_rule = found.setdefault(rule, {})
        peer = DISTRIBUTIONS.get(peer, peer)
        of_rule[peer] = max(of_rule.get(peer, 0.0), seen["worst"])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Tell the fixture whether the test passed."""
    outcome = yield
    if call.when == "call":
        item.passed_call = outcome.get_result().passed


def pytest_sessionfinish(session, exitstatus):
    """Write what was found here over what the file has; other environments have other peers."""
    if not os.environ.get(WRITE) or exitstatus:
        return
    differences = {}
    if os.path.exists(PATH):
        with open(PATH, encoding="utf-8") as file:
            differences = json.load(file)["differences"]
    for rule, peers in found.items():
        rounded = {peer: float("{:.1e}".format(worst)) for peer, worst in peers.items()}
        differences.setdefault(rule, {}).update(rounded)
    with open(PATH, "w", encoding="utf-8", newline="\n") as file:
        data = {"date": datetime.date.today().isoformat(), "differences": differences}
        json.dump(data, file, indent=2, sort_keys=True)
        file.write("\n")
