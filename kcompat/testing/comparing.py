"""A rule against a reference: another rule, or one step written down in plain NumPy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict, List, Optional

import numpy as np

from ..rule import UpdateRule, is_source
from .alone import Alone, Case
from .properties import Broken, Subject, configurations, differ

RTOL, ATOL = 1e-10, 1e-13


def gradients_for(shape: Any) -> List[Any]:
    """Gradients that change in size and sign, begin below any epsilon, grow, and shrink to there again.

    A second moment that was large once hides an epsilon for thousands of steps, so the small ones come first.
    """
    random = np.random.RandomState(7)
    sizes = (1e-8, -3e-7, 1e-4, 0.03, -1.0, 2.0, 1e-5, 3e-8, -0.5)
    return [random.uniform(0.3, 1.0, shape) * random.choice([-1, 1], shape) * size for size in sizes]


def compare(subject: Subject) -> None:
    """Raises Broken where the rule and its reference differ, in any configuration that is tried."""
    given = subject.reference
    a_class = isinstance(given, type) and issubclass(given, UpdateRule)
    for changes in configurations(subject.given):
        rule = subject.rule.replace(**changes)
        other = given
        if a_class:
            own = rule._hyper_values
            other = given(**{name: own[name] for name in given.hypers if name in own})
        elif isinstance(given, UpdateRule):
            if changes:
                continue  # an instance is what it is
        for shape in subject.few_shapes():
            _compare(rule, other, shape, changes)


def _compare(rule: UpdateRule, other: Any, shape: Any, changes: Dict[str, Any]) -> None:
    broken = _difference(rule, other, shape)
    if broken is not None:
        words = "".join(" with {}={!r}".format(name, value) for name, value in changes.items())
        broken.message += "{}.{}".format(words, _hint(rule, other, shape, changes))
        raise broken


def _hint(rule: UpdateRule, other: Any, shape: Any, changes: Dict[str, Any]) -> str:
    """Names the hyperparameters without which both are the same, if any: the mistake is with one of them."""
    found = []
    for name, declared in type(rule).hypers.items():
        value = rule._hyper_values[name]
        if declared.static or is_source(value) or not value or name in ("learning_rate", *changes):
            continue
        try:
            without = rule.replace(**{name: 0.0})
            another = other
            if isinstance(other, UpdateRule):
                if name not in type(other).hypers:
                    continue
                another = other.replace(**{name: 0.0})
            same = _difference(without, another, shape) is None
        except Exception:  # it can't be 0, or one of the two can't do without it
            continue
        if same:
            found.append("{}=0".format(name))
    return " With {} they agree: look at what it does.".format(" or ".join(found)) if found else ""


def _difference(rule: UpdateRule, other: Any, shape: Any) -> Optional[Broken]:
    """The first step in which the two differ."""
    start = np.random.RandomState(8).uniform(-2, 2, shape)
    grads = gradients_for(shape)
    alone = Alone(rule, [shape])
    states = alone.run([start], [[g] for g in grads])
    if isinstance(other, UpdateRule):
        wanted = [state.params[0] for state in Alone(other, [shape]).run([start], [[g] for g in grads])[1:]]
        tables: List[Any] = [None] * len(grads)
    else:
        wanted, tables = _run_function(rule, other, start, grads, states)
    for i, (want, table) in enumerate(zip(wanted, tables)):
        state = states[i + 1]
        got = {"the parameter": state.params[0]}
        expected = {"the parameter": np.asarray(want, "float64")}
        for name in set(table or ()) & set(state.slots[0]):
            got["slot " + name] = state.slots[0][name]
            expected["slot " + name] = np.asarray(table[name], "float64")
        found = differ(got, expected, RTOL, ATOL)
        if found:
            return Broken(
                "{} differs from the reference's after step {}".format(found[0], i + 1),
                Case([start], [[g] for g in grads[: i + 1]]),
                *found[1:],
            )
    return None


def _run_function(rule: Any, function: Any, start: Any, grads: Any, states: Any) -> Any:
    values = {
        name: value if declared.static or is_source(value) else float(value)
        for (name, value), declared in zip(rule._hyper_values.items(), type(rule).hypers.values())
    }
    param = np.array(start)
    slots = {name: np.array(value) for name, value in states[0].slots[0].items()}
    wanted: List[Any] = []
    tables: List[Any] = []
    for step, grad in enumerate(grads, 1):
        result = function(np.array(grad), param, slots, SimpleNamespace(**values), step)
        if isinstance(result, tuple):
            param, slots = result
            slots = dict(slots)
            tables.append(slots)
        else:  # it keeps no state of its own: each step is taken from where the rule is
            tables.append(None)
        wanted.append(result[0] if isinstance(result, tuple) else result)
        if not isinstance(result, tuple):
            param = np.array(states[step].params[0])
            slots = {name: np.array(value) for name, value in states[step].slots[0].items()}
    return wanted, tables
