"""The properties that `check_rule` looks at on an optimizer API, in the modes that it has here."""

from __future__ import annotations

import copy
import functools
import json
import pickle
import warnings
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..adapters import optimizer
from ..environment import detect
from ..rule import UpdateRule, dynamic_hypers, is_source
from .alone import Case, cases, smallest
from .oracle import reference
from .properties import Broken, Skip, Subject, _importable, differ
from .running import Training, has_float64, modes_of, starting_values, varied_gradients

# What float32 leaves of five steps, with operations in another order.
RTOL, ATOL = 1e-4, 1e-6


def _names(params: Sequence[Any], slots: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    found = {"parameter {}".format(i): p for i, p in enumerate(params)}
    for i, each in enumerate(slots):
        found.update(("slot {} of parameter {}".format(name, i), value) for name, value in each.items())
    return found


def _oracle(rule: UpdateRule, case: Case, dtype: str = "float64", **more: Any) -> Dict[str, Any]:
    return _names(*reference(rule, case.params, case.gradients, dtype=dtype, **more))


def _state(training: Training) -> Dict[str, Any]:
    return _names(training.values(), training.slots())


def _train(api: str, mode: str, rule: UpdateRule, case: Case) -> Dict[str, Any]:
    with Training(api, mode, lambda: optimizer(rule, api), case.params) as training:
        for row in case.gradients:
            training.step(row)
        found = _state(training)
        if training.iterations() != len(case.gradients):
            raise Broken(
                "iterations counts {} after {} steps.".format(training.iterations(), len(case.gradients)),
                case,
            )
        return found


def _compare(got: Mapping[str, Any], rule: UpdateRule, case: Case, words: str, **more: Any) -> None:
    """Raises Broken where a run in float32 is not the oracle's.

    Near a jump of the rule (a sign, a threshold) rounding alone decides which side it is on. There float32 in
    NumPy is far from float64, and as far may the API be.
    """
    want, narrow = _oracle(rule, case, **more), _oracle(rule, case, "float32", **more)
    missing = [name for name in want if name not in got]
    if missing:
        raise Broken("{}: there is no {}.".format(words, ", ".join(missing)), case)
    for name, right in want.items():
        left = np.asarray(got[name], "float64")
        right = np.asarray(right, "float64")
        if left.shape != right.shape:
            raise Broken("{}: {} has another shape.".format(words, name), case, left, right)
        with np.errstate(all="ignore"):
            slack = ATOL + RTOL * np.abs(right) + 4 * np.abs(np.asarray(narrow[name], "float64") - right)
            # What is NaN in NumPy is the rule's doing, which the properties of a rule alone tell.
            same = (left == right) | (np.isnan(left) & np.isnan(right))
            if not (same | (np.abs(left - right) <= slack)).all():
                raise Broken("{}: {} is not what NumPy gives.".format(words, name), case, left, right)


def _case(shapes: Sequence[Tuple[int, ...]], steps: int = 4, sparse: Any = (), seed: int = 0) -> Case:
    return Case(starting_values(shapes), varied_gradients(shapes, steps, seed=seed, sparse=sparse))


def _agree(subject: Subject, api: str, mode: str, case: Case) -> None:
    """Raises Broken where a run is not the oracle's, with the smallest case in which it is not."""
    found = _disagreement(subject, api, mode, case)
    if found is None:
        return
    grads = case.gradients
    if any(isinstance(grad, tuple) for row in grads for grad in row):
        shorter = (Case(case.params, grads[:count]) for count in range(1, len(grads)))
        raise next(filter(None, (_disagreement(subject, api, mode, each) for each in shorter)), found)

    def look(drawn: Case) -> Optional[Broken]:
        narrow = [np.asarray(param, "float32") for param in drawn.params]
        rows = [[np.asarray(grad, "float32") for grad in row] for row in drawn.gradients]
        return _disagreement(subject, api, mode, Case(narrow, rows))

    raise smallest(cases(subject.shapes), look, 10) or found


def _disagreement(subject: Subject, api: str, mode: str, case: Case) -> Optional[Broken]:
    try:
        _compare(_train(api, mode, subject.rule, case), subject.rule, case, mode)
    except Broken as broken:
        return broken
    return None


def agreement(subject: Subject, api: str) -> None:
    """Parameters and slots are those of NumPy in float64, for every shape that the rule takes."""
    _agree(subject, api, modes_of(api)[0], _case(subject.shapes))


def traced(subject: Subject, api: str) -> None:
    """So they are in `tf.function`, in graphs and sessions, and under `jax.jit`."""
    modes = modes_of(api)[1:]
    if not modes:
        raise Skip("there is one mode")
    case = _case(subject.few_shapes())
    for mode in modes:
        _agree(subject, api, mode, case)


def float64(subject: Subject, api: str) -> None:
    """Float64 variables agree to 1e-9."""
    if not has_float64(api):
        raise Skip("there is no float64 here")
    if any(is_source(value) for _, _, value in dynamic_hypers(subject.rule).values()):
        raise Skip("what a callable gives is float32 there")
    shapes = subject.few_shapes()
    case = Case(starting_values(shapes, dtype="float64"), varied_gradients(shapes, 3, dtype="float64"))
    found = differ(
        _train(api, modes_of(api)[0], subject.rule, case), _oracle(subject.rule, case), 1e-9, 1e-11
    )
    if found:
        raise Broken("{} is not what NumPy gives, in float64.".format(found[0]), case, *found[1:])


def sparse(subject: Subject, api: str) -> None:
    """Sparse gradients mean what the rule says, with rows twice, absent, and coming back."""
    table = subject.table()
    shapes = [table, subject.few_shapes()[0]]
    _agree(subject, api, modes_of(api)[0], _case(shapes, 4, sparse={0}, seed=3))


def late_variables(subject: Subject, api: str) -> None:
    """A variable without a gradient stays as it is, slots too; one that comes late joins in."""
    shapes = [*subject.few_shapes(), subject.few_shapes()[0]][:3]
    case = _case(shapes, 4)
    for step, row in enumerate(case.gradients):
        if step < 2:
            row[-1] = None
    mode = modes_of(api)[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*no gradient for")  # which is what this is about
        got = _train(api, mode, subject.rule, case)
    _compare(got, subject.rule, case, mode)


def extreme_gradients(subject: Subject, api: str) -> None:
    """Gradients of zero, 1e30, 1e-30 and NaN do what they do in NumPy in float32, to their variable only."""
    shape = subject.few_shapes()[0]
    rule = subject.rule
    mode = modes_of(api)[0]
    kinds = (0.0, 1e30, 1e-30, np.nan)
    # A rule that sees all gradients at once may let each spoil the others: then one at a time.
    groups = [(kind,) for kind in kinds] if rule.needs_all else [kinds]
    for group in groups:
        case = _case([shape] * (len(group) + 1), 3, seed=4)
        for row in case.gradients[1:2]:
            for i, kind in enumerate(group):
                row[i] = np.full(shape, kind, "float32") * np.sign(row[i])
        got, want = _train(api, mode, rule, case), _oracle(rule, case, "float32")
        found = differ(got, want, 1e-3, 1e-6)
        if found:
            raise Broken("{} is not what NumPy gives in float32.".format(found[0]), case, *found[1:])


def schedules(subject: Subject, api: str) -> None:
    """A hyperparameter may be a function of the number of steps done."""
    scheduled = subject.settable()
    if not scheduled:
        raise Skip("no hyperparameter can be one")
    name, a, b = scheduled[0]

    def schedule(done: Any) -> Any:
        return a + (b - a) * (done / (done + 1.0))

    rule = subject.rule.replace(**{name: schedule})
    case = _case(subject.few_shapes())
    mode = modes_of(api)[0]
    got = _train(api, mode, rule, case)
    _compare(got, rule, case, "{} as a schedule, {}".format(name, mode))


def setting(subject: Subject, api: str) -> None:
    """A hyperparameter that is set between steps takes effect at the next one."""
    changes = {2: {name: other for name, _, other in subject.settable()}}
    if not changes[2]:
        raise Skip("no hyperparameter can be set")
    case = _case(subject.few_shapes())
    modes = modes_of(api)
    mode = "function" if "function" in modes else modes[0]
    with Training(api, mode, lambda: optimizer(subject.rule, api), case.params) as training:
        for step, row in enumerate(case.gradients, 1):
            for name, value in changes.get(step, {}).items():
                setattr(training.optimizer, name, value)
            training.step(row)
        got = _state(training)
    _compare(got, subject.rule, case, "{} set before step 2".format(changes[2]), set_hyper=changes)


def optimizer_config(subject: Subject, api: str) -> None:
    """`from_config(get_config())`, by way of JSON, makes an optimizer that does the same."""
    if any(is_source(value) for _, _, value in dynamic_hypers(subject.rule).values()):
        raise Skip("a hyperparameter is a callable, which has no JSON form")
    case = _case(subject.few_shapes(), 2)
    mode = modes_of(api)[0]

    def train(make: Any) -> Tuple[Dict[str, Any], Dict[str, Any], Any]:
        with Training(api, mode, make, case.params) as training:
            for row in case.gradients:
                training.step(row)
            return _state(training), training.optimizer.get_config(), type(training.optimizer)

    first, given, cls = train(lambda: optimizer(subject.rule, api))
    given = json.loads(json.dumps(given))
    again, _, _ = train(lambda: cls.from_config(copy.deepcopy(given)))
    found = differ(again, first, 1e-6, 1e-9)
    if found:
        raise Broken("{} is another with from_config(get_config()).".format(found[0]), case, *found[1:])


def _carried(
    subject: Subject, api: str, carry: Any, words: str, source: Optional[str] = None, exact: bool = True
) -> None:
    """Two steps, then one of another optimizer that `carry` has moved the state to: as without the move."""
    shapes = subject.few_shapes()
    case = _case(shapes, 3)
    source = source or api
    modes = modes_of(source)[0], modes_of(api)[0]
    with Training(source, modes[0], lambda: optimizer(subject.rule, source), case.params) as first:
        for row in case.gradients[:2]:
            first.step(row)
        values = first.values()
        taken = carry(first, None)
        first.step(case.gradients[2])
        want = _state(first)
    with Training(api, modes[1], lambda: optimizer(subject.rule, api), case.params) as second:
        # It has been used, so that what is not put back shows.
        second.step(case.gradients[2])
        for variable, value in zip(second.variables, values):
            second.assign(variable, value)
        carry(second, taken)
        second.step(case.gradients[2])
        got, count = _state(second), second.iterations()
    found = differ(got, want, 1e-6 if exact else RTOL, 1e-7 if exact else ATOL)
    if found or count != 3:
        what = found or ("iterations", count, 3)
        raise Broken("{} is another after {}.".format(what[0], words), case, *what[1:])


def weights(subject: Subject, api: str) -> None:
    """`set_weights(get_weights())` in a new optimizer goes on exactly."""

    def carry(training: Training, taken: Any) -> Any:
        if taken is None:
            return training.optimizer.get_weights()
        return training.optimizer.set_weights(taken)

    _carried(subject, api, carry, "set_weights(get_weights())")


def copies(subject: Subject, api: str) -> None:
    """Pickles and copies of an optimizer go on exactly."""
    if modes_of(api)[0] != "eager":
        raise Skip("in a graph its state is in the session")
    ways: List[Tuple[str, Callable[[Any], Any]]] = [("copy.deepcopy", copy.deepcopy)]
    if _importable(type(subject.rule)):
        ways.append(("a pickle", lambda each: pickle.loads(pickle.dumps(each))))
    sources = any(is_source(value) for _, _, value in dynamic_hypers(subject.rule).values())
    case = _case(subject.few_shapes(), 3)
    with Training(api, "eager", lambda: optimizer(subject.rule, api), case.params) as first:
        for row in case.gradients[:2]:
            first.step(row)
        copied = [(words, way(first.optimizer)) for words, way in ([] if sources else ways)]
        values = first.values()
        first.step(case.gradients[2])
        want = _state(first)
    for words, each in copied:
        with Training(api, "eager", functools.partial(_as_it_is, each), values) as second:
            second.step(case.gradients[2])
            found = differ(_state(second), want, 1e-6, 1e-7)
        if found:
            raise Broken("{} is another after {}.".format(found[0], words), case, *found[1:])


def _as_it_is(made: Any) -> Any:
    return made


def travel(subject: Subject, api: str) -> None:
    """Slots by name and the step count, moved to an optimizer of another API, go on the same there."""
    from .alone import Alone

    shapes = subject.few_shapes()
    if Alone(subject.rule, shapes).start([np.ones(shape) for shape in shapes]).shared:
        raise Skip("the rule has scalars of all variables, which are in no slot")
    others = [each for each in detect().apis if each != api] or [api]

    def carry(training: Training, taken: Any) -> Any:
        if taken is None:
            return training.slots(), training.iterations()
        slots, count = taken
        for variable, named in zip(training.variables, slots):
            for name, value in named.items():
                slot = training.optimizer.get_slot(variable, name)
                training.assign(slot, np.asarray(value))
        counter = training.optimizer.iterations
        training.assign(counter, np.asarray(count, "int64"))
        return None

    for source in others[:1]:
        _carried(subject, api, carry, "moving the slots from {}".format(source), source, exact=False)


CHECKS = (
    agreement,
    traced,
    float64,
    sparse,
    late_variables,
    extreme_gradients,
    schedules,
    setting,
    optimizer_config,
    weights,
    copies,
    travel,
)
