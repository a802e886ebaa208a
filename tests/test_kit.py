"""The conformance kit tells each mistake of a corpus by the right property, and finds none in right rules."""

import os
import sys

import numpy as np
import pytest
from _apis import APIS
from _modes import modes_of
from corpus_right import RIGHT, MatrixOnly, Switches
from corpus_wrong import WRONG, adam, decayed

import kcompat
from kcompat import rules
from kcompat.testing import ConformanceError, check, check_rule, on_apis, reference, running
from kcompat.testing.properties import properties
from kcompat.testing.report import Failure

ALONE = [each.name for each in properties() if not each.on_api]
ON_APIS = [each.name for each in properties() if each.on_api]
FIRST = APIS[:1]


# Mistakes of rules.


@pytest.mark.parametrize("before", [False, pytest.param(True, marks=pytest.mark.wide)])
@pytest.mark.parametrize("name", sorted(n for n in WRONG if WRONG[n][1] in ALONE))
def test_a_mistake_is_told_by_the_property_that_it_breaks(name, before):
    """And, with `before`, by none of those that are looked at before it."""
    rule, expected, given = WRONG[name]
    names = ALONE[: ALONE.index(expected) + 1] if before and not given else ["contract", expected]
    report = check_rule(rule, given, (), only=names)
    assert not report.ok
    assert [failure.property for failure in report.failures] == [expected], str(report)
    assert report.failures[0].message and report.failures[0].api == "numpy"


@pytest.mark.wide
@pytest.mark.parametrize("api", FIRST)
@pytest.mark.parametrize("name", sorted(n for n in WRONG if WRONG[n][1] in ON_APIS))
def test_a_mistake_that_only_an_api_tells(name, api):
    rule, expected, _ = WRONG[name]
    report = check_rule(rule, apis=(api,), only=[*ALONE[:-1], expected])
    assert [failure.property for failure in report.failures] == [expected], str(report)


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_nothing_is_found_alone_in_a_right_rule(name):
    report = check_rule(RIGHT[name], apis=())
    assert report.ok, str(report)
    assert {o.property for o in report.outcomes} == {*ALONE} - {"reference"}


# Those that differ most on an API; the others run with the catalogue.
KINDS = ("adam", "lazy_momentum")
UNSETTABLE = ("no_rate", "scheduled")


@pytest.mark.wide
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in KINDS else pytest.mark.catalogue) for n in sorted(RIGHT)]
)
@pytest.mark.parametrize("api", APIS)
def test_nothing_is_found_on_an_api_in_a_right_rule(name, api):
    report = check_rule(RIGHT[name], apis=(api,), only=ON_APIS)
    assert report.ok, str(report)
    checked = {outcome.property for outcome in report.outcomes if not outcome.skipped}
    assert checked >= {"agreement", "weights"} | ({"setting"} if name not in UNSETTABLE else set())


# Mistakes of an API, which a rule's author would meet as ours.


class _Faults:
    def __init__(self, monkeypatch, api):
        self.patch, self.cls = monkeypatch, kcompat.optimizer_class(rules.Adam, api)

    def other_rule(self):
        def make(rule, api):
            return kcompat.optimizer(rule.replace(epsilon=1e-2), api)

        self.patch.setattr(on_apis, "optimizer", make)

    agreement = traced = float64 = sparse = late_variables = extreme_gradients = other_rule

    def schedules(self):
        def make(rule, api):
            return kcompat.optimizer(rule.replace(learning_rate=0.001), api)

        self.patch.setattr(on_apis, "optimizer", make)

    def setting(self):
        self.patch.setattr(on_apis, "setattr", lambda *given: None, raising=False)

    def optimizer_config(self):
        self.patch.setattr(self.cls, "from_config", classmethod(lambda cls, config: cls(0.5)))

    def weights(self):
        self.patch.setattr(self.cls, "set_weights", lambda self, weights: None)

    def copies(self):
        self.patch.setattr(self.cls, "__deepcopy__", lambda self, memo: type(self)())

    def travel(self):
        assign = running.Training.assign

        def forgetful(training, variable, value):
            if any(variable is v for v in training.variables):
                assign(training, variable, value)

        self.patch.setattr(running.Training, "assign", forgetful)


@pytest.mark.wide
@pytest.mark.parametrize("name", ON_APIS)
@pytest.mark.parametrize("api", FIRST)
def test_each_property_of_an_api_can_fail(name, api, monkeypatch):
    report = check_rule(rules.Adam, apis=(api,), only=[name])
    if report.outcomes[0].skipped:
        assert name in ("float64", "copies", "traced"), report
        return
    assert report.ok, str(report)
    getattr(_Faults(monkeypatch, api), name)()
    report = check_rule(rules.Adam, apis=(api,), only=[name])
    assert [(f.property, f.api) for f in report.failures] == [(name, api)]
    assert report.failures[0].got is not None and report.failures[0].case
    if name in ("agreement", "traced"):  # one variable of one element, after one step
        assert report.failures[0].case.count("\n") == 1 and report.failures[0].got.size == 1


# References.


def test_references_that_agree():
    assert check_rule(rules.Adam, adam, (), only=["reference"]).ok
    assert check_rule(rules.Adam, rules.Adam, (), only=["reference"]).ok
    assert check_rule(rules.SGD(0.1), lambda g, p, s, hyper, step: p - 0.1 * g, (), only=["reference"]).ok
    # Without slots of its own, a function is given the rule's.
    seen = []

    def one_step(grad, param, slots, hyper, step):
        seen.append(sorted(slots))
        m = hyper.momentum * slots["momentum" if "momentum" in slots else sorted(slots)[0]]
        return param + m - hyper.learning_rate * grad

    rule = rules.SGD(0.1, momentum=0.9)
    _, slots = reference(rule, [np.ones(2)], [[np.ones(2)]])
    report = check_rule(rule, one_step, (), only=["reference"])
    assert seen and all(each == sorted(slots[0]) for each in seen)
    assert report.ok or "parameter" in report.failures[0].message


@pytest.mark.parametrize("epsilon", [1.001e-7, 0.999e-7])
def test_a_reference_tells_a_wrong_epsilon(epsilon):
    report = check_rule(rules.Adam(epsilon=epsilon), rules.Adam(), ())
    assert [failure.property for failure in report.failures] == ["reference"]


def test_a_class_is_compared_in_other_configurations_and_an_instance_is_not():
    class Doubled(kcompat.UpdateRule):
        learning_rate = kcompat.Hyper(0.01)
        decay = kcompat.Hyper(0.0)

        def update(self, xp, grad, param, slots, hyper, step):
            return param * (1 - hyper.decay) - hyper.learning_rate * grad, {}

    failure = check_rule(Doubled, decayed, (), only=["reference"]).failures[0]
    assert "decay=0.0625" in failure.message
    assert check_rule(Doubled(), decayed, (), only=["reference"]).ok


# The report.


def test_the_smallest_case_and_both_numbers_are_shown():
    failure = check_rule(WRONG["DividesByTheGradient"][0], apis=(), only=["zero_gradients"]).failures[0]
    assert failure.case == "parameter 0: 1.0\ngradients of step 1: 0.0"
    assert np.isnan(failure.got).all()
    report = check_rule(WRONG["EpsilonInsideTheRoot"][0], adam, (), only=["contract", "reference"])
    failure = report.failures[0]
    assert failure.got.shape == failure.want.shape and not np.allclose(failure.got, failure.want, 1e-9, 0)
    text = str(report)
    assert text.startswith("EpsilonInsideTheRoot: 1 of 2 checks failed on numpy.")
    assert (
        repr(float(failure.got.reshape(-1)[0])) in text and repr(float(failure.want.reshape(-1)[0])) in text
    )
    assert "reference [numpy]: the parameter differs" in text
    with pytest.raises(ConformanceError, match="differs from the reference's after step 1"):
        report.raise_if_failed()
    with pytest.raises(AssertionError):
        report.raise_if_failed()


def test_a_report_is_the_same_every_time():
    texts = {str(check_rule(WRONG["OrderOfVariables"][0], apis=())) for _ in range(2)}
    assert len(texts) == 1 and "isolation" in texts.pop()


def test_a_report_of_what_is_well():
    report = check_rule(MatrixOnly, apis=())
    assert report.ok and report.failures == [] and report.apis == ("numpy",)
    report.raise_if_failed()
    assert "note: it refuses variables of shape (4,)" in str(report)
    assert "note: unused = 0.25 in place of 0.5 changes nothing" in str(check_rule(Switches, apis=()))


def test_after_a_broken_contract_nothing_else_is_tried():
    report = check_rule(WRONG["ForgetsASlot"][0])
    assert [failure.property for failure in report.failures] == ["contract"]
    assert "drops slot 'm'" in report.failures[0].message
    assert {o.skipped for o in report.outcomes[1:]} == {"the rule breaks its contract"}


def test_long_arrays_are_cut():
    text = str(Failure("agreement", "tf1", "other", "case", np.arange(20.0), np.arange(20.0) + 1))
    assert "and 14 more of 20 elements" in text and text.count("\n") < 14


def test_the_rule_alone_is_checked_without_looking_for_apis(monkeypatch):
    monkeypatch.setattr(check, "detect", None)
    for apis in ((), ("numpy",)):
        report = check_rule(rules.SGD, apis=apis)
        assert report.ok and report.apis == ("numpy",) and len(report.outcomes) > 8


class DividesByZero(kcompat.UpdateRule):
    """NaN for rows that are not in the batch, in NumPy as on every API."""

    learning_rate = kcompat.Hyper(0.1)

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * grad / xp.abs(grad), {}


@pytest.mark.parametrize("api", FIRST)
def test_what_is_nan_in_numpy_is_no_failure_of_an_api(api):
    report = check_rule(DividesByZero, apis=(api,), only=["zero_gradients", "sparse"])
    assert [(f.property, f.api) for f in report.failures] == [("zero_gradients", "numpy")]


def test_progress_hears_of_each_outcome():
    heard = []
    report = check_rule(rules.SGD, apis=(), only=["contract", "finite"], progress=heard.append)
    assert heard == report.outcomes and [o.property for o in heard] == ["contract", "finite"]


# Mistakes of the caller.


class Required(kcompat.UpdateRule):
    rate = kcompat.Hyper()

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.rate * grad, {}


def test_a_class_that_needs_arguments_is_to_be_given_as_an_instance():
    failure = check_rule(Required, apis=()).failures[0]
    assert failure.property == "contract" and "Give check_rule() an instance" in failure.message
    assert check_rule(Required(0.5), apis=()).ok


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda: check_rule(3), "expected an update rule"),
        (lambda: check_rule(rules.SGD, 3), "expected an update rule, or a function"),
        (lambda: check_rule(rules.SGD, apis=(), only=["agrement"]), "Did you mean 'agreement'"),
        (lambda: check_rule(rules.SGD, apis=("keras_7",)), "no such API"),
    ],
)
def test_wrong_arguments(call, words):
    with pytest.raises(kcompat.KcompatError, match=words):
        call()


def test_without_hypothesis_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ImportError, match="pip install hypothesis"):
        check_rule(rules.SGD, apis=())


@pytest.mark.parametrize("api", [api for api in APIS if "graph" in modes_of(api)])
def test_a_training_that_can_not_begin_leaves_no_graph_behind(api):
    import tensorflow as tf

    before = tf.compat.v1.get_default_graph()
    with pytest.raises(ZeroDivisionError), running.Training(api, "graph", lambda: 1 / 0, [np.ones(2)]):
        pass
    assert tf.compat.v1.get_default_graph() is before


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not check_rule(WRONG["NoEpsilon"][0], apis=()).ok
    assert os.listdir(str(tmp_path)) == []


def test_every_mode_of_every_api_is_tried(monkeypatch):
    seen = set()
    enter = running.Training.__enter__

    def entered(training):
        seen.add((training.api, training.mode))
        return enter(training)

    monkeypatch.setattr(running.Training, "__enter__", entered)
    check_rule(rules.SGD, only=["agreement", "traced"], apis=FIRST)
    assert seen == {(api, mode) for api in FIRST for mode in modes_of(api)}
