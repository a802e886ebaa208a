"""The plan of a step: fused kernels where they compute the rule, which is never wrong without them."""

import numpy as np
import pytest
from _apis import APIS as ALL
from _arrays import on_tensorflow
from _modes import api_modes, assert_agree, make_variable, modes_of, run, starting_values, varied_gradients
from _rules import SignMomentum
from _steps import steps

import kcompat
from kcompat import rules
from kcompat.testing import reference

APIS = on_tensorflow(ALL)
SHAPES = [(3, 2), (6, 3), ()]

# Rule, base arguments, and the kernel that is to run.
PLANNED = {
    "sgd": (rules.SGD(0.05), {}, "GradientDescent"),
    "momentum": (rules.SGD(0.05, momentum=0.9), {}, "KerasMomentum"),
    "nesterov": (rules.SGD(0.05, momentum=0.9, nesterov=True), {}, "KerasMomentum"),
    "adam": (rules.Adam(0.05, epsilon=1e-3), {}, "Adam"),
    "amsgrad": (rules.Adam(0.05, beta_2=0.9, amsgrad=True), {}, None),
    "adamw": (rules.AdamW(0.05, weight_decay=0.3), {}, "Adam"),
    "adamax": (rules.Adamax(0.05, epsilon=1e-3), {}, None),
    "adadelta": (rules.Adadelta(0.5, epsilon=1e-3), {}, "Adadelta"),
    "rmsprop": (rules.RMSprop(0.05, momentum=0.5, epsilon=1e-3), {}, "RMSProp"),
    "rmsprop_alone": (rules.RMSprop(0.05), {}, None),
    "decayed_twice": (rules.AdamW(0.05, weight_decay=0.3), {"decay": 0.1, "clipvalue": 0.5}, "Adam"),
    "clipped": (rules.Adam(0.05), {"clipnorm": 0.7}, "Adam"),
    "clipped_globally": (rules.Adam(0.05), {"global_clipnorm": 0.7}, "Adam"),
    "decayed": (rules.SGD(0.05, momentum=0.9), {"weight_decay": 0.3, "decay": 0.1}, "KerasMomentum"),
    "averaged": (rules.Adam(0.05), {"use_ema": True, "ema_momentum": 0.5}, None),
    "accumulated": (rules.Adam(0.05), {"gradient_accumulation_steps": 2}, None),
}

CASES = [
    pytest.param(*(api, mode, name), marks=() if mode == modes_of(api)[0] else pytest.mark.wide)
    for api, mode in api_modes(APIS)
    for name in sorted(PLANNED)
]
first = pytest.mark.parametrize("api,mode", [(api, modes_of(api)[0]) for api in APIS])


def paths(optimizer):
    return [line.path for line in optimizer.plan()]


@pytest.mark.filterwarnings("ignore:The argument decay")
@pytest.mark.parametrize("api,mode,name", CASES)
def test_kernels_compute_the_rule(api, mode, name):
    rule, base, kernel = PLANNED[name]
    params, gradients = starting_values(SHAPES), varied_gradients(SHAPES, 20, sparse={1})
    made = []

    def make():
        made.append(kcompat.optimizer(rule, api, **base))
        return made[-1]

    result = run(api, mode, rule, params, gradients, make=make, **base)
    assert_agree(result, reference(rule, params, gradients, **base))
    found = paths(made[-1])
    if kernel is None:
        assert found == ["rule"] * 3
    elif "ref" not in mode:
        assert found == ["kernel ResourceApply" + kernel] * 3
    else:  # get_updates may make resource variables for slots
        assert set(found) <= {"kernel Apply" + kernel, "rule"}


@first
@pytest.mark.parametrize(
    "name", sorted(name for name in PLANNED if PLANNED[name][2] or name in ("amsgrad", "adamax"))
)
@pytest.mark.filterwarnings("ignore:The argument decay")
def test_nan_and_inf_go_through_as_through_the_rule(api, mode, name):
    """The kernels for AMSGrad and Adamax would drop a NaN."""
    rule, base, _ = PLANNED[name]
    params, gradients = starting_values([(4,)]), varied_gradients([(4,)], 4)
    gradients[1] = [np.array([np.nan, np.inf, -np.inf, 1e30], "float32")]
    result = run(api, mode, rule, params, gradients, **base)
    with np.errstate(all="ignore"):
        expected = reference(rule, params, gradients, dtype="float32", **base)
    assert np.isnan(expected[0][0][0])
    assert_agree(result, expected)


@first
def test_switched_off(api, mode, monkeypatch):
    monkeypatch.setenv("KCOMPAT_PLAN", "plain")
    with steps(api, mode, lambda: kcompat.optimizer(rules.Adam(0.1), api), np.ones((2, 2))) as training:
        training.step()
        (line,) = training.optimizer.plan()
        assert (line.path, line.why) == ("rule", "KCOMPAT_PLAN=plain")
        assert (line.shape, line.dtype) == ((2, 2), "float32")


@first
def test_a_wrong_choice_is_told(api, mode, monkeypatch):
    monkeypatch.setenv("KCOMPAT_PLAN", "fast")
    with steps(api, mode, lambda: kcompat.optimizer(rules.Adam(0.1), api), np.ones(2)) as training:
        with pytest.raises(ValueError, match="KCOMPAT_PLAN='fast': expected 'plain' or 'auto'"):
            training.step()


@first
def test_the_plan_in_words(api, mode):
    def make():
        return kcompat.optimizer(rules.Adam(0.1), api)

    with steps(api, mode, make, np.ones((2, 2)), np.ones(3)) as training:
        assert "No variables yet" in str(training.optimizer.plan())
        training.step()
        text = str(training.optimizer.plan()).splitlines()
        assert len(text) == 3
        assert text[0].split() == ["variable", "shape", "dtype", "path", "why"]
        assert "(2, 2)" in text[1]
        assert text[2].endswith("it computes Adam")


class Slower(rules.Adam):
    """A subclass may change anything, so that it is not what the kernel computes."""

    def update(self, xp, grad, param, slots, hyper, step):
        return super().update(xp, grad * 0.5, param, slots, hyper, step)


@first
@pytest.mark.parametrize("rule", [Slower(0.1), SignMomentum(0.1)], ids=lambda rule: type(rule).__name__)
def test_a_rule_of_ones_own_has_no_kernel(api, mode, rule):
    with steps(api, mode, lambda: kcompat.optimizer(rule, api), np.ones(2)) as training:
        training.step()
        assert training.optimizer.plan()[0].why == "no kernel computes {}".format(type(rule).__name__)


@first
def test_narrow_variables_are_left_to_the_rule(api, mode):
    with steps(api, mode, lambda: kcompat.optimizer(rules.Adam(0.1), api)) as training:
        narrow = make_variable(api, np.ones(2, "float16"), "narrow", mode)
        training.optimizer.build([narrow])
        (line,) = training.optimizer.plan()
        assert line.path == "rule"
        assert "narrower" in line.why
