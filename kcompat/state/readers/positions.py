"""Slots that a file keeps by position only: the order in which each optimizer of Keras makes them."""

from __future__ import annotations

import itertools
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ...errors import StateError
from .. import slot_names

Shape = Tuple[int, ...]
# Groups of slots: the slots of a group alternate from variable to variable, and the groups follow each other.
Layout = Tuple[Tuple[str, ...], ...]

_PAIRS: Mapping[str, Tuple[str, ...]] = {
    "Adadelta": ("accum_grad", "accum_var"),
    "Adagrad": ("accumulator",),
    "Adam": ("m", "v"),
    "AdamW": ("m", "v"),
    "Adamax": ("m", "v"),
    "Ftrl": ("accumulator", "linear"),
    "Lamb": ("m", "v"),
    "Lion": ("momentum",),
    "Nadam": ("m", "v"),
    "RMSprop": ("rms",),
    "ScheduleFreeAdamW": ("z", "v"),
    "SGD": ("m",),
}
# Groups that come after, and the hyperparameter that makes them.
_MORE: Mapping[str, Tuple[Tuple[str, str], ...]] = {
    "Adam": (("vhat", "amsgrad"),),
    "AdamW": (("vhat", "amsgrad"),),
    "RMSprop": (("momentum", "momentum"), ("mg", "centered")),
}


class Split(NamedTuple):
    """An optimizer's variables by what they are.

    Attributes:
        step, rate: the step counter and the learning rate, where there are any.
        product: Nadam's product of momenta.
        slots: for each of the model's variables, slot -> the optimizer's.
    """

    step: Any
    rate: Any
    product: Any
    slots: List[Dict[str, Any]]


def known_class(name: Optional[str]) -> Optional[str]:
    """Keras' class of a name such as "adam", "AdamW" or "RMSprop_1"; None if there is none."""
    if not name:
        return None
    head, _, number = name.rpartition("_")
    plain = (head if head and number.isdigit() else name).replace("_", "").lower()
    return {each.lower(): each for each in slot_names.KERAS}.get(plain)


def shapes_of(slots: Sequence[Mapping[str, Any]]) -> List[Shape]:
    """The shapes of the variables that slots are of."""
    return [(each["v"] if "r" in each else next(iter(each.values()))).shape for each in slots]


def split(
    path: str,
    api: str,
    cls: str,
    config: Optional[Mapping[str, Any]],
    found: Sequence[Any],
    fits: Callable[[List[Shape]], bool] = lambda shapes: True,
) -> Split:
    """Tells an optimizer's variables apart by their position and shape.

    Args:
        path: the file, for messages.
        api: "keras_2_11", "keras_3" or "get_updates".
        cls: Keras' class.
        config: its configuration; None where it is not known.
        found: the variables, in the optimizer's order; anything with a shape and a dtype.
        fits: whether variables of these shapes can be the model's.

    Raises:
        StateError: the optimizer keeps none in such an order, or another number of them; or it could be more
            than one.
    """
    if cls not in _PAIRS and not (cls == "Adafactor" and api in ("keras_2_11", "keras_3")):
        raise StateError(
            "{}: this kind of file keeps the slots of {} by position, which is not read. Save a "
            "tf.train.Checkpoint instead, or take the state there with kcompat.state.take().".format(
                path, cls
            )
        )
    if api == "get_updates":
        return _of_get_updates(path, cls, config or {}, found)
    step, rate, rest = None, None, list(found)
    if rest and rest[0].shape == () and rest[0].dtype.kind in "iu":
        step = rest.pop(0)
    scheduled = isinstance((config or {}).get("learning_rate"), dict)
    if api == "keras_3" and not scheduled and rest and rest[0].shape == ():
        rate = rest.pop(0)
    if cls == "Adafactor" and api == "keras_2_11":
        found_slots = _of_factors(rest, bool((config or {}).get("use_ema")))
        if found_slots is None:
            raise _not_kept(path, cls, config, rest)
        return Split(step, rate, None, found_slots)
    for layouts in _layouts(api, cls, config):
        fitting: Dict[Any, Split] = {}
        for (product, variables), layout in itertools.product(_products(cls, rest), layouts):
            slots = _divided(variables, layout, factored=cls == "Adafactor")
            if slots is not None and fits(shapes_of(slots)):
                key = tuple(
                    (i, slot, id(array)) for i, each in enumerate(slots) for slot, array in each.items()
                )
                fitting[frozenset(key)] = Split(step, rate, product, slots)
        if fitting:
            break
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    if fitting:
        raise StateError(
            "{}: the optimizer's {} arrays ({}) can be told apart in more than one way. Say what it was made "
            "with: kcompat.state.read(path, hyper={{{}}}).".format(
                path,
                len(rest),
                _in_words(rest),
                ", ".join("{!r}: ...".format(h) for h in [*(h for _, h in _MORE.get(cls, ())), "use_ema"]),
            )
        )
    raise _not_kept(path, cls, config, rest)


def _in_words(arrays: Sequence[Any]) -> str:
    return ", ".join(str(each.shape) for each in arrays[:8]) + (", ..." if len(arrays) > 8 else "")


def _not_kept(path: str, cls: str, config: Optional[Mapping[str, Any]], rest: Sequence[Any]) -> StateError:
    return StateError(
        "{}: {} does not keep arrays of the shapes {}{}. Is it another optimizer?".format(
            path,
            cls,
            _in_words(rest) or "none",
            "" if config is None else " with the configuration in the file",
        )
    )


def _of_factors(found: Sequence[Any], averages: bool) -> Optional[List[Dict[str, Any]]]:
    """The slots of Adafactor before Keras 3, which has rows and columns only of what has two dimensions.

    The last array is always a "v", as large as its variable, and tells whether factors stand before it.
    """
    rest = list(found)
    slots: List[Dict[str, Any]] = []
    while rest and not (averages and len(rest) == len(slots)):
        v = rest.pop()
        each = {"v": v}
        if len(v.shape) > 1:
            factors, rest = rest[-2:], rest[:-2]
            if [f.shape for f in factors] != [v.shape[:-1], v.shape[:-2] + v.shape[-1:]]:
                return None
            each = {"r": factors[0], "c": factors[1], "v": v}
        slots.insert(0, each)
    if [array.shape for array in rest] != (shapes_of(slots) if averages else []):
        return None
    return [dict(each, **({"average": rest[i]} if averages else {})) for i, each in enumerate(slots)]


def _products(cls: str, rest: List[Any]) -> List[Tuple[Any, List[Any]]]:
    """Where Nadam's product can be: before the slots in Keras 3.0, behind them in newer ones, or nowhere."""
    if cls != "Nadam":
        return [(None, rest)]
    if len(rest) % 2 == 0:
        return [(None, rest)]
    ways = [(rest[0], rest[1:])] if rest[0].shape == () else []
    if len(rest) > 1 and rest[-1].shape == ():
        ways.append((rest[-1], rest[:-1]))
    return ways


def _layouts(api: str, cls: str, config: Optional[Mapping[str, Any]]) -> List[List[Layout]]:
    """The orders in which the slots can be, as far as the configuration is known: together those with as many
    slots for each variable, the fewest first."""
    more = _MORE.get(cls, ())
    own: List[Layout] = []
    for chosen in itertools.product(*(_whether(config, hyper) for _, hyper in more)):
        groups = tuple((slot,) for (slot, _), there in zip(more, chosen) if there)
        own.append((_PAIRS.get(cls, ("r", "c", "v")), *groups))
    if cls == "SGD" and api == "keras_3":
        own = [(("m",),) if there else () for there in _whether(config, "momentum")]
    result: Dict[int, List[Layout]] = {}
    averages = _whether(config, "use_ema")
    accumulates = _whether(config, "gradient_accumulation_steps") if api == "keras_3" else [False]
    for average, accumulated in itertools.product(averages, accumulates):
        before: List[Layout] = [(("average",),) * average + (("accumulated",),) * accumulated]
        if average and accumulated:  # up to Keras 3.0, one after the other for each variable
            before.append((("average", "accumulated"),))
        for layout in (base + rest for base in before for rest in own):
            result.setdefault(sum(map(len, layout)), []).append(layout)
    return [result[width] for width in sorted(result)]


def _whether(config: Optional[Mapping[str, Any]], hyper: str) -> List[bool]:
    """Whether something is kept: what the configuration says, or both."""
    return [False, True] if config is None else [bool(config.get(hyper))]


def _divided(found: List[Any], layout: Layout, factored: bool = False) -> Optional[List[Dict[str, Any]]]:
    """The slots of each variable, if so many arrays of such shapes can be that."""
    width = sum(len(group) for group in layout)
    if width == 0:
        return [] if not found else None
    if len(found) % width:
        return None
    count = len(found) // width
    slots: List[Dict[str, Any]] = [{} for _ in range(count)]
    position = 0
    for group in layout:
        for i, slot in itertools.product(range(count), group):
            slots[i][slot] = found[position]
            position += 1
    for each in slots:
        if not factored and len({array.shape for array in each.values()}) > 1:
            return None
    return slots


def _of_get_updates(path: str, cls: str, config: Mapping[str, Any], found: Sequence[Any]) -> Split:
    """Keras' first API: all of one slot, then all of the next."""
    rest = list(found)
    step = rest.pop(0) if rest and rest[0].shape == () and rest[0].dtype.kind in "iu" else None
    slots = slot_names.GET_UPDATES[cls]
    product = rest.pop(0) if cls == "Nadam" and len(rest) % 2 and rest[0].shape == () else None
    if len(rest) % len(slots):
        raise StateError(
            "{}: {} keeps {} arrays for each variable, and there are {}. Is it another optimizer? Give it: "
            "kcompat.state.read(path, rule=...).".format(path, cls, len(slots), len(rest))
        )
    count = len(rest) // len(slots)
    by_variable = [
        {slot: rest[position * count + i] for position, slot in enumerate(slots)} for i in range(count)
    ]
    for each in by_variable:
        if "vhat" in each and not config.get("amsgrad"):
            del each["vhat"]  # a placeholder
        if len({array.shape for array in each.values()}) > 1:
            raise StateError(
                "{}: the slots of {} for one variable have the shapes {}; expected the same of each. Is it "
                "another optimizer? Give it: kcompat.state.read(path, rule=...).".format(
                    path, cls, _in_words(list(each.values()))
                )
            )
    return Split(step, None, product, by_variable)


class Candidate(NamedTuple):
    """A variable of the model that slots may be of: `trainable` None where that is not known."""

    name: str
    shape: Shape
    trainable: Optional[bool]


def named(path: str, shapes: Sequence[Shape], candidates: Sequence[Candidate]) -> List[str]:
    """The names of the variables at an optimizer's positions: of the model's, in its order, those it trains.

    Raises:
        StateError: the shapes do not tell which those are.
    """
    possible = [each for each in candidates if each.trainable is not False]
    for chosen in (possible, [each for each in possible if each.trainable]):
        if [each.shape for each in chosen] == list(shapes):
            return [each.name for each in chosen]
    found = _embedded(shapes, possible) or _embedded(shapes, candidates)
    if found is None:
        raise unnamed(path, shapes)
    return [each.name for each in found]


def _embedded(shapes: Sequence[Shape], candidates: Sequence[Candidate]) -> Optional[List[Candidate]]:
    """The candidates with these shapes in this order, if there is one way only."""
    first, last = _leftmost(shapes, candidates), _leftmost(shapes[::-1], candidates[::-1])
    if first is None or last is None or first != [len(candidates) - 1 - i for i in last[::-1]]:
        return None
    return [candidates[i] for i in first]


def _leftmost(shapes: Sequence[Shape], candidates: Sequence[Candidate]) -> Optional[List[int]]:
    chosen, start = [], 0
    for shape in shapes:
        while start < len(candidates) and candidates[start].shape != shape:
            start += 1
        if start == len(candidates):
            return None
        chosen.append(start)
        start += 1
    return chosen


def unnamed(path: str, shapes: Sequence[Shape]) -> StateError:
    """Slots whose variables are not known."""
    return StateError(
        "{} keeps its {} variables' slots by position, and does not tell whose they are. Give the variables "
        "in the order of the optimizer's, which is that of model.trainable_variables: "
        "kcompat.state.read(path, variables=...). Their shapes are {}{}.".format(
            path, len(shapes), ", ".join(map(str, shapes[:8])), ", ..." if len(shapes) > 8 else ""
        )
    )


def given(path: str, shapes: Sequence[Shape], variables: Sequence[Tuple[str, Optional[Shape]]]) -> List[str]:
    """The names of the variables that were given, if they fit.

    Raises:
        StateError: they don't.
    """
    if len(variables) != len(shapes):
        raise StateError(
            "{}: {} variables were given; the optimizer has slots of {}.".format(
                path, len(variables), len(shapes)
            )
        )
    wrong = [
        "{} has {}, and the slots at its place {}".format(name, shape, there)
        for (name, shape), there in zip(variables, shapes)
        if shape is not None and shape != there
    ]
    if wrong:
        raise StateError("{}: the variables given do not fit: {}.".format(path, "; ".join(wrong)))
    return [name for name, _ in variables]
