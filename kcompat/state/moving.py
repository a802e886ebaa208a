"""Taking state out of an optimizer, and putting it into one of another release, API or kind."""

from __future__ import annotations

import warnings
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..adapters.matching import Match, in_order, match
from ..adapters.uninterrupted import Uninterrupted
from ..errors import StateError
from ..rule import UpdateRule
from ..rules import CATALOGUE
from ..transforms.base import Transform
from .description import LEARNING_RATE_OUTSIDE, LazyArray, State, VariableSlots, as_array
from .hosts import OwnView, Slot, View, plain, view_of

__all__ = ["put", "take"]


def take(optimizer: Any, variables: Sequence[Any], *, lazy: bool = False, weights: bool = False) -> State:
    """The state of an optimizer, as data.

    Args:
        optimizer: an optimizer of kcompat, or a native one whose rule is in the catalogue, on any API; also
            with Keras' LossScaleOptimizer or TFOptimizer around it. In a TensorFlow 1 graph, it is read in
            the default session (Keras' own, where Keras has one).
        variables: the model's variables: all that the optimizer has state for. Of a native optimizer of
            `get_updates`, the model's trainable variables in its order.
        lazy: whether slots are read when they are asked for, which must be before the next step; after it,
            that raises. For state that memory does not hold twice: `take(..., lazy=True).save(path)`.
        weights: whether the variables' own values come along, as `State.weights`.

    Returns:
        A state that does not change when the optimizer goes on. A variable that the optimizer has no slots
        for yet has none in it.

    Raises:
        StateError: an optimizer that is none of those; state of variables that were not given; or there is no
            session to read in.
    """
    what = "kcompat.state.take"
    variables = _checked(variables, what)
    view = view_of(optimizer, variables, what)
    strangers = view.strangers(variables)
    waiting = _waiting(view, variables)
    if strangers:
        raise StateError(
            "{}: {} also has state of {}, which would be lost. Give those variables, too.".format(
                what, view.where, ", ".join(strangers)
            )
        )
    step = view.step()
    reader = _Reader(view, step, lazy)
    found, values = [], {}
    for i, variable in enumerate(variables):
        slots = view.slots(variable)
        arrays: Dict[str, Any] = waiting.get(i, {})
        if slots is not None:
            arrays = {name: reader.array(slot) for name, slot in slots.items()}
        found.append(VariableSlots(view.name(variable), view.shape(variable), view.dtype(variable), arrays))
    keyed = State.keyed(found)
    if weights:
        values = {key: reader.array(Slot(variable)) for key, variable in zip(keyed, variables)}
    return State(
        rule=view.rule_name(),
        config=view.config(),
        step=step,
        variables=keyed,
        shared={name: reader.array(slot) for name, slot in view.shared().items()},
        weights=values if weights else None,
        origin=_origin(view),
    )


def put(
    optimizer: Any,
    variables: Sequence[Any],
    state: State,
    mapping: Optional[Mapping[str, Any]] = None,
    by_order: bool = False,
    *,
    partial: bool = False,
    hyperparameters: bool = True,
) -> Dict[str, str]:
    """Makes an optimizer go on from a state: its next step is the one that was next where it was taken.

    Everything is checked before the first value is assigned, and an interrupt (Ctrl-C) waits until the last
    one is.

    Args:
        optimizer: as for `take`, built or not. One that is not is built on the variables. In a TensorFlow 1
            graph the variables must be initialized, and there must be a session.
        variables: the model's variables.
        state: what `take`, `load` or `read` gave. Without a step (`state.step` is None) the optimizer's count
            stays; `state.replace(step=1000)` gives it one.
        mapping: key in the state -> variable, or its name; or None for state that is to be left out. What
            it does not name is matched by name and shape.
        by_order: whether the variables are matched by their position instead, all of them.
        partial: whether variables that nothing is saved of stay as they are, and what is saved of others is
            left out, as after a layer of the model was replaced.
        hyperparameters: whether the optimizer's numbers (learning rate, betas) become those of the state.
            What can't be set, and differs, is in a warning.

    Returns:
        Key in the state -> name of the variable that it was put to.

    Raises:
        StateError: variables or slots without a partner, or with several; shapes that differ; another rule.
            The message lists all of it, and nothing has been assigned.
    """
    what = "kcompat.state.put"
    variables = _checked(variables, what)
    view = view_of(optimizer, variables, what)
    problems = _rule_problems(state, view)
    view.check_buildable(variables)
    pairs, unmatched = _pairs(view, variables, state, mapping or {}, by_order, partial)
    problems += unmatched
    if not view.plans and not problems:
        view.build(variables)  # with the values of a first step: this assigns nothing
    moves: List[_Move] = []
    narrowed: List[str] = []
    if view.plans or not problems:
        moves, wrong = _all_moves(view, variables, pairs, state, _Rate(view, state, hyperparameters))
        problems += wrong
        narrowed, wrong = _narrowed(moves)
        problems += wrong
    if problems:
        raise StateError(
            "{}: this state does not fit {}. Nothing was assigned.\n  {}\n{}".format(
                what, view.where, "\n  ".join(problems), _ADVICE
            )
        )
    with Uninterrupted():  # all of it, or nothing
        _assign(view, variables, pairs, moves, state)
        left = _set_hyperparameters(view, state) if hyperparameters else []
    if state.step is None:
        warnings.warn(
            "{}: the state does not say how many steps were taken, and {} keeps its count. If a schedule or "
            "another optimizer depends on it, give it: state.replace(step=...).".format(what, view.where),
            stacklevel=2,
        )
    if narrowed:
        warnings.warn("{}: rounded to a narrower dtype: {}.".format(what, ", ".join(narrowed)), stacklevel=2)
    if left:
        warnings.warn(
            "{}: the state was taken with other hyperparameters, which can't be set here: {}.".format(
                what, "; ".join(left)
            ),
            stacklevel=2,
        )
    return {key: view.name(variables[i]) for key, i in pairs.items()}


_ADVICE = (
    "Say which is which with mapping={key in the state: variable}, by_order=True, or partial=True to leave "
    "out what has no partner."
)


def _checked(variables: Sequence[Any], what: str) -> List[Any]:
    if (
        isinstance(variables, (str, Mapping))
        or not hasattr(variables, "__iter__")
        or hasattr(variables, "dtype")
    ):
        raise StateError(
            "{} was given {!r:.80} as variables; expected a list, such as model.trainable_variables.".format(
                what, variables
            )
        )
    found = list(variables)
    if len({id(variable) for variable in found}) < len(found):
        raise StateError("{}: a variable is in the list twice.".format(what))
    if not found:
        raise StateError("{}: the list of variables is empty. Is the model built?".format(what))
    return found


# Taking.


class _Reader:
    """Reads slots, at once or when they are asked for."""

    def __init__(self, view: View, step: Optional[int], lazy: bool) -> None:
        self.view = view
        self.step = step
        self.lazy = lazy

    def array(self, slot: Slot) -> Any:
        if not self.lazy:
            held = self.view.adapter._held(slot.variable)
            if held is not None:
                return self._later(slot, held)
            return self._converted(slot, self.view.read(slot.variable))

        def read() -> Any:
            if self.view.step() != self.step:
                raise StateError(
                    "The state was taken from {} with lazy=True, at step {}, and the optimizer has gone on "
                    "since. Read it before the next step, or take it without lazy.".format(
                        self.view.where, self.step
                    )
                )
            return self.view.read(slot.variable)

        return self._later(slot, read)

    def _later(self, slot: Slot, read: Any) -> LazyArray:
        variable = slot.variable
        dtype = self.view.dtype(variable)
        dtype = "float32" if dtype == "bfloat16" else dtype

        def converted() -> np.ndarray:
            return self._converted(slot, plain(read()))

        return LazyArray(self.view.shape(variable), dtype, converted)

    @staticmethod
    def _converted(slot: Slot, array: np.ndarray) -> np.ndarray:
        return array if slot.taken is None else np.asarray(slot.taken(array), array.dtype)


def _waiting(view: View, variables: Sequence[Any]) -> Dict[int, Dict[str, Any]]:
    """State that a kcompat optimizer was given and that waits for its variables: index of these -> slots."""
    if not isinstance(view, OwnView):
        return {}
    held = view.optimizer._kc
    if held.waiting_weights is not None:
        raise StateError(
            "{0} was given weights that wait for its variables. Call {0}.build(variables) first.".format(
                view.where
            )
        )
    if held.waiting is None:
        return {}
    new = [i for i, variable in enumerate(variables) if view.slots(variable) is None]
    found = match(
        [(saved.name, saved.shape) for saved in held.waiting.variables],
        [(view.name(variables[i]), view.shape(variables[i])) for i in new],
        partial=True,
        repeated_in_order=True,
    )
    lost = [s.name for i, s in enumerate(held.waiting.variables) if i not in found.pairs]
    if lost:
        raise StateError(
            "{}: {} was loaded with state of {}, which waits for those variables. Give them, too.".format(
                "kcompat.state.take", view.where, ", ".join(lost)
            )
        )
    return {new[j]: held.waiting.variables[i].slots for i, j in found.pairs.items()}


def _origin(view: View) -> str:
    import importlib

    native = not isinstance(view, OwnView)
    host = type(view.optimizer) if native else type(view.optimizer)._host_class
    package = host.__module__.split(".")[0]
    # What TensorFlow 1.15 to 2.0 calls its own code, and what has no version of its own that matters.
    package = {"tensorflow_core": "tensorflow", "tensorflow_addons": "tensorflow"}.get(package, package)
    version = getattr(importlib.import_module(package), "__version__", "")
    return "{} optimizer {} of {} {}, api {}".format(
        "native" if native else "kcompat", view.where, package, version, view.adapter.api
    )


# Putting.


class _Move(NamedTuple):
    """One slot's way into the optimizer: whose it is, the array, and the dtype that it has there."""

    key: str
    slot: str
    array: Any
    dtype: str


def _rule_problems(state: State, view: View) -> List[str]:
    """Whether slots of the state's rule mean something to the optimizer's."""
    if state.rule is None or state.rule == view.rule_name():
        return []
    saved = _rule_class(state.rule)
    if saved is not None and _related(saved, type(view.rule)):
        return []
    return [
        "rule: the state is of {}, and the optimizer runs {}, whose slots mean something else (to put them "
        "all the same, give state.replace(rule=None))".format(state.rule, view.rule_name())
    ]


def _rule_class(name: str) -> Optional[type]:
    import importlib

    package = __name__.rpartition(".state.")[0]
    module, colon, path = name.partition(":")
    if not colon:
        if name not in CATALOGUE:
            return None
        module, path = package + ".rules" + CATALOGUE[name], name
    elif module.split(".")[0] == "kcompat":
        module = package + module[len("kcompat") :]
    else:
        return None  # nobody's code is imported because a file names it
    try:
        found = getattr(importlib.import_module(module), path, None)
    except ImportError:
        return None
    return found if isinstance(found, type) else None


def _related(one: type, other: type) -> bool:
    """Whether two rules have a base in common that is a rule: their slots mean the same."""
    general = {*UpdateRule.__mro__, *Transform.__mro__}
    bases = {base for base in one.__mro__ if base not in general and hasattr(base, "init")}
    return any(base in bases for base in other.__mro__)


def _pairs(
    view: View,
    variables: Sequence[Any],
    state: State,
    mapping: Mapping[str, Any],
    by_order: bool,
    partial: bool,
) -> Tuple[Dict[str, int], List[str]]:
    """Key in the state -> index of the variable that it is of; and what is wrong."""
    chosen, problems = _mapped(view, variables, state, mapping)
    keys = [key for key in state.variables if key not in mapping]
    rest = [i for i in range(len(variables)) if i not in chosen.values()]
    saved = [(state.variables[key].name, state.variables[key].shape) for key in keys]
    here = [(view.name(variables[i]), view.shape(variables[i])) for i in rest]
    found: Match = in_order(saved, here) if by_order else match(saved, here, partial=partial)
    problems += found.problems
    chosen.update((keys[i], rest[j]) for i, j in found.pairs.items())
    return chosen, problems


def _mapped(
    view: View, variables: Sequence[Any], state: State, mapping: Mapping[str, Any]
) -> Tuple[Dict[str, int], List[str]]:
    problems: List[str] = []
    chosen: Dict[str, int] = {}
    names = [view.name(variable) for variable in variables]
    for key, target in mapping.items():
        if key not in state.variables:
            problems.append("mapping: the state has no variable {!r}".format(key))
            continue
        if target is None:
            continue
        if isinstance(target, str):
            found = [i for i, name in enumerate(names) if name == target.split(":")[0]]
        else:
            found = [i for i, variable in enumerate(variables) if variable is target]
        said = target if isinstance(target, str) else view.name(target)
        if len(found) != 1:
            problems.append(
                "mapping: {} is {} of the variables given".format(said, "none" if not found else "several")
            )
        elif found[0] in chosen.values():
            problems.append("mapping: {} is named twice".format(said))
        elif view.shape(variables[found[0]]) != state.variables[key].shape:
            problems.append(
                "shape: {} has {}, and {} has {}".format(
                    key, state.variables[key].shape, said, view.shape(variables[found[0]])
                )
            )
        else:
            chosen[key] = found[0]
    return chosen, problems


class _Rate:
    """The learning rate that a velocity without one is multiplied by."""

    def __init__(self, view: View, state: State, hyperparameters: bool) -> None:
        self.view = view
        known = state.config.get("learning_rate") if hyperparameters else None
        self.known = known if isinstance(known, (int, float)) else None

    def __call__(self) -> float:
        if self.known is not None:
            return float(self.known)
        if isinstance(self.view, OwnView):
            hyper = self.view.optimizer._kc.attributes["learning_rate"]
            return float(self.view.optimizer._read_number(hyper))
        number: float = self.view.number(self.view.rule._hyper_values["learning_rate"])  # type: ignore[attr-defined]
        return number


def _all_moves(
    view: View, variables: Sequence[Any], pairs: Mapping[str, int], state: State, rate: _Rate
) -> Tuple[List[_Move], List[str]]:
    """What is to be put into all slots, and what is wrong with that."""
    moves: List[_Move] = []
    problems: List[str] = []
    for key, i in pairs.items():
        found, wrong = _moves(view, variables[i], key, state, rate)
        moves += found
        problems += wrong
    return moves, problems + _shared_problems(view, state)


def _moves(view: View, variable: Any, key: str, state: State, rate: _Rate) -> Tuple[List[_Move], List[str]]:
    """What is to be put into the slots of a variable, and what is wrong with it."""
    saved, planned = state.variables[key], view.planned(variable)
    if not saved.slots:
        if planned and not view.plans and view.step():
            return [], [
                "slots: nothing is saved of {}, and {} does not tell what its slots start with: put it into "
                "a new one".format(key, view.where)
            ]
        return [], []
    problems = []
    missing = [name for name in planned if name not in saved.slots]
    if missing:
        problems.append("slots: nothing is saved in {} of {}".format(", ".join(missing), key))
    left = [name for name in saved.slots if name not in planned]
    if left:
        problems.append(
            "slots: {} of {} is saved, and the optimizer keeps {}{}".format(
                ", ".join(left), key, ", ".join(planned) or "none", _hint(left)
            )
        )
    moves = []
    for name, shape in planned.items():
        array = saved.slots.get(name)
        if array is None:
            continue
        if tuple(array.shape) != tuple(shape):
            problems.append(
                "shape: slot {} of {} is saved with {}, and has {}".format(name, key, array.shape, shape)
            )
            continue
        array = _in_rule_terms(array, name, state, rate)
        moves.append(_Move(key, name, array, _slot_dtype(view, variable)))
    return moves, problems


def _hint(left: Sequence[str]) -> str:
    hints = {
        "average": "use_ema=True",
        "accumulated": "gradient_accumulation_steps",
        "m": "momentum",
        "momentum": "momentum",
    }
    found = [hints[name] for name in left if name in hints]
    return " (it was made without {})".format(" and ".join(found)) if found else ""


def _in_rule_terms(array: Any, name: str, state: State, rate: _Rate) -> Any:
    if state.convention.get(name) != LEARNING_RATE_OUTSIDE:
        return array
    number = -rate()
    array = as_array(array)
    if isinstance(array, LazyArray):
        return array.map(lambda values: values * values.dtype.type(number))
    return array * array.dtype.type(number)


def _slot_dtype(view: View, variable: Any) -> str:
    """The dtype in which a slot is kept: of natives the variable's, of kcompat at least float32."""
    dtype = view.dtype(variable)
    if isinstance(view, OwnView):
        return "float64" if dtype == "float64" else "float32"
    return dtype


def _shared_problems(view: View, state: State) -> List[str]:
    planned = view.planned_shared()
    problems = []
    missing = [name for name in planned if name not in state.shared]
    if missing:
        problems.append("shared: nothing is saved of {}".format(", ".join(missing)))
    left = [name for name in state.shared if name not in planned]
    if left:
        problems.append("shared: {} is saved, and the optimizer has none".format(", ".join(left)))
    return problems


_BITS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}


def _narrowed(moves: Sequence[_Move]) -> Tuple[List[str], List[str]]:
    """Slots that lose digits where they go; and those that would become infinite there."""
    said, problems = [], []
    for move in moves:
        source = str(move.array.dtype)
        if _BITS.get(source, 0) <= _BITS.get(move.dtype, 53):
            continue
        array = np.asarray(move.array)
        finite = np.isfinite(array)
        if move.dtype == "bfloat16":  # which has float32's first 16 bits
            bits = np.asarray(array, "float32")
            same = bool(np.all(bits.view("uint32") & 0xFFFF == 0)) and np.array_equal(bits, array)
        else:
            with np.errstate(over="ignore", under="ignore"):
                cast = array.astype(move.dtype)
            if not np.array_equal(np.isfinite(cast), finite):
                problems.append(
                    "range: slot {} of {} has values beyond {}".format(move.slot, move.key, move.dtype)
                )
            same = not np.any(cast.astype(array.dtype)[finite] != array[finite])
        if not same:
            said.append("{} of {} to {}".format(move.slot, move.key, move.dtype))
    return said, problems


def _assign(
    view: View, variables: Sequence[Any], pairs: Mapping[str, int], moves: Sequence[_Move], state: State
) -> None:
    view.build(variables)
    arrays: Dict[str, Dict[str, Any]] = {}
    for move in moves:
        arrays.setdefault(move.key, {})[move.slot] = move.array
    for key, i in pairs.items():
        slots = view.slots(variables[i]) or {}
        given = arrays.get(key, {})
        if not given and slots:  # nothing was taken of it yet, so that it starts afresh
            given = view.initial(variables[i])
        for name, slot in slots.items():
            view.assign(slot, np.asarray(given[name]))
    shared = view.shared()
    for name, array in state.shared.items():
        view.assign(shared[name], np.asarray(array))
    if state.step is not None:
        view.set_step(state.step)
    if isinstance(view, OwnView):
        view.replaced()


# Hyperparameters.


def _set_hyperparameters(view: View, state: State) -> List[str]:
    """Sets what differs and can be set; returns in words what differs still."""
    wanted, here = _flat(state.config), _flat(view.config())
    left = []
    for name, value in wanted.items():
        now = here.get(name)
        if _same(value, now):
            continue
        if name.startswith("loss_scale."):
            variable = view.loss_scale().get(name.partition(".")[2])
            if variable is not None:
                view.adapter._assign_values([(variable, np.asarray(value))])
                continue
        elif _is_number(value) and _is_number(now) and view.set_hyperparameter(name, value):
            continue
        left.append("{}={} (here {})".format(name, _short(value), _short(now)))
    for name, now in here.items():
        if name not in wanted and state.config and not _is_off(now) and name not in _own_names(view):
            left.append("{}: none (here {})".format(name, _short(now)))
    if state.rule is not None and state.rule != view.rule_name():
        left.append("rule {} (here {})".format(state.rule, view.rule_name()))
    return left


def _own_names(view: View) -> List[str]:
    """Hyperparameters of the rule, which a file may not hold."""
    return [*type(view.rule).hypers, "loss_scale.value", "loss_scale.good_steps"]


def _flat(config: Mapping[str, Any], path: str = "") -> Dict[str, Any]:
    """A configuration with the rules inside written as "inner.learning_rate"."""
    found: Dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and set(value) == {"module", "class", "config"}:
            found[path + name] = value["class"]
            found.update(_flat(value["config"], path + name + "."))
        elif name == "loss_scale" and isinstance(value, Mapping):
            found.update(_flat(value, path + name + "."))
        else:
            found[path + name] = value
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_off(value: Any) -> bool:
    return value is None or value is False or value == 0 or value == []


def _same(one: Any, other: Any) -> bool:
    if _is_number(one) and _is_number(other):
        # Hosts keep them in float32.
        return bool(one == other or np.float32(one) == np.float32(other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return bool(_schedule(one) == _schedule(other))
    return bool(one == other) or (_is_off(one) and _is_off(other))


def _schedule(described: Mapping[str, Any]) -> Any:
    """A schedule's description without what generations of Keras write differently."""
    if "class_name" not in described:
        return described
    config = {k: v for k, v in dict(described.get("config") or {}).items() if k != "name"}
    return described["class_name"].rpartition(">")[2], config


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
