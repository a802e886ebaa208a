"""Errors that no other test meets: each says what was given, what was expected, and what to do."""

import importlib

import _package
import pytest

import kcompat
from kcompat import errors, testing

rules = importlib.import_module(_package.NAME + ".rules")
transforms = importlib.import_module(_package.NAME + ".transforms")
schedules = importlib.import_module(_package.NAME + ".schedules")
decoupled = importlib.import_module(_package.NAME + ".rules.decoupled")
vendoring = importlib.import_module(_package.NAME + ".vendoring")


class Rows(kcompat.UpdateRule):
    """A rule of the rows that are present."""

    sparse = "rows"
    learning_rate = kcompat.Hyper(0.1)

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * grad, {}


class Rateless(kcompat.UpdateRule):
    """A rule without a learning rate."""

    def update(self, xp, grad, param, slots, hyper, step):
        return param - grad, {}


class Delegating(kcompat.UpdateRule):
    """A rule that lets another one work."""

    learning_rate = kcompat.Hyper(0.1)

    def for_variable(self, name, shape):
        return Rateless()

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * grad, {}


def assign_to_a_rule():
    object.__setattr__(rules.Adam(), "learning_rate", 0.1)


def answer_with_another_rule():
    decoupled.extended(Delegating)(0.1).for_variable("w", (2,))


WRONG = [
    (lambda: testing.check_rule(rules.SGD, only=["purety"]), "RuleError", "Did you mean 'pur"),
    (lambda: testing.check_rule(rules.SGD, reference=3), "RuleError", "reference=3"),
    (lambda: testing.check_rule(rules.SGD, apis=["tf2"]), "ApiNotAvailableError", "there is no such API"),
    (lambda: transforms.GradientAccumulation(Rows(), 2), "RuleError", "wants the rows of one step"),
    (lambda: transforms.ExponentialMovingAverage(Rows()), "RuleError", "their average moves on"),
    (lambda: transforms.LearningRateMultipliers(Rateless(), {"w": 2.0}), "RuleError", "has none"),
    (lambda: decoupled.extended(rules.SGD()), "RuleError", "expected a subclass of UpdateRule"),
    (lambda: decoupled.extended(rules.AdamW), "RuleError", "can't be given another"),
    (answer_with_another_rule, "RuleError", "would not decay"),
    (assign_to_a_rule, "RuleError", "rule.replace(learning_rate=...)"),
    (lambda: rules.AdamP(channel_axis=2), "HyperparameterError", "expected -1, for channels last"),
    (lambda: rules.ConditionalGradient(0.1, 1.0, ord="max"), "HyperparameterError", '"fro" or "nuclear"'),
    (lambda: rules.Muon(exclude_layers="head"), "HyperparameterError", "list of regular expressions"),
    (lambda: rules.SGD(nesterov="yes"), "HyperparameterError", "expected True or False"),
    (lambda: rules.SGD(nesterov=1), "HyperparameterError", "nesterov=1): expected True or False"),
    (lambda: rules.Yogi(activation="relu"), "HyperparameterError", '"sign" or "tanh"'),
    (lambda: rules.Yogi(initial_accumulator_value=-1.0), "HyperparameterError", "at least 0"),
    (lambda: rules.RectifiedAdam(total_steps=1.5), "HyperparameterError", "integer of at least 0"),
    (lambda: rules.AdEMAMix(alpha_warmup=0), "HyperparameterError", "integer of at least 1"),
    (lambda: rules.Adagrad(initial_accumulator_value=abs), "HyperparameterError", "fixed when the optimizer"),
    (lambda: rules.Muon(ns_steps=2.5), "HyperparameterError", "expected an integer"),
    (
        lambda: schedules.schedule_of_keras({"class_name": "Sawtooth", "config": {}}),
        "HyperparameterError",
        "There is no schedule 'Sawtooth'",
    ),
    (
        lambda: decoupled.extended(rules.SGD)(0.1, exclude_from_weight_decay="bias"),
        "HyperparameterError",
        'expected a list of strings, such as ["bias"]',
    ),
    (
        lambda: decoupled.extended(rules.SGD)(0.1, exclude_from_weight_decay=["("]),
        "HyperparameterError",
        "no regular expression",
    ),
]


@pytest.mark.parametrize("wrong,error,words", WRONG, ids=[words for _, _, words in WRONG])
def test_it_says_what_to_do(wrong, error, words):
    with pytest.raises(getattr(errors, error)) as caught:
        wrong()
    assert words in str(caught.value)


def test_a_copy_goes_into_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.VendoringError, match="is no folder; give the folder that is to hold"):
        vendoring.vendor(str(tmp_path / "file"))
    (tmp_path / "kcompat").write_text("")
    with pytest.raises(errors.VendoringError, match="is a link or a file, no folder; remove it first"):
        vendoring.vendor(str(tmp_path))


def test_a_dictionary_that_is_not_there_is_not_shortened():
    with pytest.raises(errors.VendoringError, match="There is no dictionary RULES to shorten"):
        vendoring._cut(b"OTHER = {}\n", "RULES", ())


def test_a_copy_of_a_copy_is_whole(tmp_path, monkeypatch):
    vendoring.vendor(str(tmp_path / "whole"))
    copy = tmp_path / "whole" / "kcompat"
    monkeypatch.setattr(vendoring, "_HERE", str(copy))
    vendoring.vendor(str(tmp_path / "again"))
    (copy / "rule.py").write_text("")
    with pytest.raises(errors.VendoringError, match=r"was changed since it was vendored \(rule.py\)"):
        vendoring.vendor(str(tmp_path / "edited"))
    monkeypatch.undo()
    vendoring.vendor(str(tmp_path / "part"), only=["sgd"])
    monkeypatch.setattr(vendoring, "_HERE", str(tmp_path / "part" / "kcompat"))
    with pytest.raises(errors.VendoringError, match="has only sgd: a copy of it would lack the rest"):
        vendoring.vendor(str(tmp_path / "rest"))
    assert not (tmp_path / "edited").exists() and not (tmp_path / "rest").exists()


def test_a_copy_carries_the_licence(tmp_path, monkeypatch):
    (tmp_path / "kcompat").mkdir()
    monkeypatch.setattr(vendoring, "_HERE", str(tmp_path / "kcompat"))
    with pytest.raises(errors.VendoringError, match="The licence of kcompat was found neither beside"):
        vendoring.vendor(str(tmp_path / "copy"))


def test_a_file_of_a_later_version(tmp_path, monkeypatch):
    state, path = kcompat.state.State("SGD", {}, 1, {}), str(tmp_path / "later.npz")
    files = importlib.import_module(_package.NAME + ".state.files")
    monkeypatch.setattr(files, "_VERSION", files._VERSION + 1)
    state.save(path)
    monkeypatch.undo()
    with pytest.raises(errors.StateError, match="is written in version 2 of the format, .* Update kcompat"):
        kcompat.state.load(path)


@pytest.mark.skipif(bool(kcompat.detect().apis), reason="there is an API here")
def test_without_a_framework():
    with pytest.raises(errors.ApiNotAvailableError, match="There is no default optimizer API here: .*pip"):
        kcompat.optimizer_class(rules.SGD)
