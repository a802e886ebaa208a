"""The oracle: an update rule run in NumPy float64, which every adapter must agree with."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from .. import namespaces
from ..contract import check_result, check_slots
from ..errors import GradientError
from ..rule import UpdateRule, dynamic_hypers, hyper_values, is_source, takes_step
from ..transforms import without_weight_decay
from ..transforms.arguments import with_base_arguments


def reference(
    rule: UpdateRule,
    params: Sequence[Any],
    gradients: Any,
    *,
    names: Optional[Sequence[str]] = None,
    set_hyper: Optional[Mapping[int, Mapping[str, Any]]] = None,
    exclude_from_weight_decay: Optional[Callable[[str], bool]] = None,
    dtype: str = "float64",
    **base_arguments: Any,
) -> Tuple[List[Any], List[Dict[str, Any]]]:
    """Runs a rule in NumPy over lists of gradients.

    Args:
        rule: the update rule. Schedules and callables as hyperparameters are called with the number of steps
            done so far (0 in the first step), or without argument if they take none.
        params: the variables' starting values, any shapes.
        gradients: a list over steps of lists over variables: an array of the variable's shape, a pair
            (values, indices) for a sparse gradient, or None for none. Or a function that is given the
            parameters before each step, and returns such a list over variables, or None after the last step.
        names: the variables' names, for rules that treat them differently; "variable_0" and so on by default.
        set_hyper: step (from 1) -> {hyperparameter: value}, set before that step.
        exclude_from_weight_decay: name -> whether that variable does not decay.
        dtype: what to compute in, "float64" or "float32".
        **base_arguments: clipnorm, clipvalue, global_clipnorm, weight_decay, as an optimizer takes them.

    Returns:
        The parameters after the last step and for each variable its slots, as NumPy arrays of `dtype`.

    Raises:
        GradientError: a gradient that does not fit its variable.
        RuleError: the rule breaks its contract.
    """
    root = with_base_arguments(rule, **base_arguments)
    xp = namespaces.namespace("numpy", dtype)
    values = [np.array(param, dtype) for param in params]
    names = list(names) if names is not None else ["variable_{}".format(i) for i in range(len(values))]
    rules = [root.for_variable(name, value.shape) for name, value in zip(names, values)]
    if exclude_from_weight_decay is not None:
        rules = [without_weight_decay(r) if exclude_from_weight_decay(n) else r for n, r in zip(names, rules)]
    slots = [
        {name: np.array(xp.unwrap(slot)) for name, slot in check_slots(r, xp, r.init(xp, xp.wrap(v))).items()}
        for r, v in zip(rules, values)
    ]
    shared: Mapping[str, Any] = check_slots(root, xp, root.init_shared(xp), "init_shared")
    sources = dynamic_hypers(root)
    current = {path: value for path, (_, _, value) in sources.items()}
    with np.errstate(all="ignore"):
        rows = _rows_of(gradients, values) if callable(gradients) else gradients
        for step, row in enumerate(rows, 1):
            for name, value in (set_hyper or {}).get(step, {}).items():
                for path in [p for p in current if p.rpartition(".")[2] == name]:
                    current[path] = value
            scalars = {
                (id(part), path.rpartition(".")[2]): xp.scalar(_number(current[path], step - 1))
                for path, (part, _, _) in sources.items()
            }
            shared = _step(root, xp, rules, values, slots, shared, scalars, row, step)
    return values, slots


def _rows_of(gradients: Callable[[List[Any]], Optional[Sequence[Any]]], values: List[Any]) -> Iterator[Any]:
    """The gradients that a function makes of the parameters, until it gives None."""
    while True:
        row = gradients([value.copy() for value in values])
        if row is None:
            return
        yield row


def _number(source: Any, done: int) -> float:
    """A hyperparameter's value after `done` steps."""
    if not is_source(source):
        return float(source)
    if callable(source):
        source = source(done) if takes_step(source) else source()
    if hasattr(source, "numpy"):
        source = source.numpy()
    return float(source)


def _step(
    root: UpdateRule,
    xp: Any,
    rules: Sequence[UpdateRule],
    values: List[Any],
    slots: List[Dict[str, Any]],
    shared: Mapping[str, Any],
    scalars: Mapping[Tuple[int, str], Any],
    row: Sequence[Any],
    step: int,
) -> Mapping[str, Any]:
    if len(row) != len(values):
        raise GradientError(
            "Step {}: {} gradients for {} variables; give None for a variable without one.".format(
                step, len(row), len(values)
            )
        )
    present = [i for i, grad in enumerate(row) if grad is not None]
    if not present:
        raise GradientError("Step {}: no variable has a gradient.".format(step))
    grads, rows = [], []
    for i in present:
        grad, index = _gradient(row[i], values[i], root.sparse, "step {}, variable {}".format(step, i))
        grads.append(xp.wrap(grad))
        rows.append(index)
    old_params = [xp.wrap(v if r is None else v[r]) for v, r in zip([values[i] for i in present], rows)]
    old_slots = [
        MappingProxyType({n: xp.wrap(_rows(s, r, values[i])) for n, s in slots[i].items()})
        for i, r in zip(present, rows)
    ]
    step_ = xp.scalar(float(step))
    if root.needs_all:
        hyper = hyper_values(root, scalars, xp, shared)
        new_grads, shared = root.prepare(xp, grads, old_params, old_slots, shared, hyper, step_)
        grads = list(new_grads)
    for i, grad, param, old, index in zip(present, grads, old_params, old_slots, rows):
        hyper = hyper_values(rules[i], scalars, xp, shared)
        result = rules[i].update(xp, grad, param, old, hyper, step_)
        new_param, new_slots = check_result(rules[i], xp, param, old, result)
        values[i] = _put(values[i], index, xp.unwrap(new_param), values[i])
        for name, slot in new_slots.items():
            slots[i][name] = _put(slots[i][name], index, xp.unwrap(slot), values[i])
    return shared


def _gradient(grad: Any, value: Any, sparse: str, where: str) -> Tuple[Any, Any]:
    """A gradient as an array and the rows it is for (None: all), duplicates summed."""
    if not isinstance(grad, tuple):
        grad = np.asarray(grad, value.dtype)
        if grad.shape != value.shape:
            raise GradientError("{}: gradient of shape {} for {}.".format(where, grad.shape, value.shape))
        return grad, None
    rows, indices = np.asarray(grad[0], value.dtype), np.asarray(grad[1], "int64")
    if value.ndim == 0 or rows.shape[1:] != value.shape[1:] or indices.shape != rows.shape[:1]:
        raise GradientError(
            "{}: sparse gradient with values {} and indices {} for {}.".format(
                where, rows.shape, indices.shape, value.shape
            )
        )
    if indices.size and (indices.min() < 0 or indices.max() >= value.shape[0]):
        raise GradientError(
            "{}: indices {}..{} for a variable of {} rows.".format(
                where, indices.min(), indices.max(), value.shape[0]
            )
        )
    if sparse == "dense":
        dense = np.zeros_like(value)
        np.add.at(dense, indices, rows)
        return dense, None
    unique, position = np.unique(indices, return_inverse=True)
    summed = np.zeros((len(unique), *value.shape[1:]), value.dtype)
    np.add.at(summed, position.reshape(-1), rows)
    return summed, unique


def _rows(slot: Any, index: Any, value: Any) -> Any:
    return slot if index is None or slot.shape[:1] != value.shape[:1] else slot[index]


def _put(old: Any, index: Any, new: Any, value: Any) -> Any:
    if index is None or old.shape[:1] != value.shape[:1]:
        return np.array(new)
    result = np.array(old)
    result[index] = new
    return result
