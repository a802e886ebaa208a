"""Optimizer state as plain data: the rule, its step, and each variable's slots under the rule's own names.

Every reader and every adapter speaks this one form. Slots are those of kcompat's rules: where a host means
something else by a slot, whoever takes or reads it converts it, or says so in `State.convention`.
"""

from __future__ import annotations

import copy
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..errors import StateError

__all__ = ["LEARNING_RATE_OUTSIDE", "LazyArray", "State", "VariableSlots", "as_array"]

# What `State.convention` may say of a slot. A velocity that does not hold the learning rate, as that of
# TensorFlow 1's MomentumOptimizer: -learning_rate times it is the rule's. Only of a file that does not say
# what the learning rate was; `put` then takes that of the optimizer.
LEARNING_RATE_OUTSIDE = "learning_rate_outside"

_CONVENTIONS = (LEARNING_RATE_OUTSIDE,)


class LazyArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that is read when it is asked for, each time, and not kept. NumPy's functions take it for one.

    Args:
        shape: its shape.
        dtype: its dtype, or a dtype's name.
        read: gives the array; called at each `np.asarray` of this.
    """

    __slots__ = ("_read", "dtype", "shape")

    def __init__(self, shape: Sequence[int], dtype: Any, read: Callable[[], Any]) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype)
        self._read = read

    @property
    def size(self) -> int:
        """How many elements."""
        return int(np.prod(self.shape, dtype="int64"))

    @property
    def nbytes(self) -> int:
        """How many bytes."""
        return self.size * self.dtype.itemsize

    @property
    def ndim(self) -> int:
        """How many dimensions."""
        return len(self.shape)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        array = np.asarray(self._read())
        if array.shape != self.shape or array.dtype != self.dtype:
            raise StateError(
                "An array of shape {} and dtype {} was announced; what was read has shape {} and dtype "
                "{}.".format(self.shape, self.dtype, array.shape, array.dtype)
            )
        return array if dtype is None else array.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        arrays = [np.asarray(each) if isinstance(each, LazyArray) else each for each in inputs]
        return getattr(ufunc, method)(*arrays, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return np.asarray(self)[key]

    def __len__(self) -> int:
        return len(np.asarray(self))

    def map(self, change: Callable[[np.ndarray], Any], dtype: Any = None) -> LazyArray:
        """This array after a change that keeps its shape; its dtype too, unless one is given."""
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        return LazyArray(self.shape, dtype, lambda: np.asarray(change(np.asarray(self)), dtype))

    def __repr__(self) -> str:
        return "LazyArray(shape={}, dtype={})".format(self.shape, self.dtype)


class VariableSlots:
    """What an optimizer keeps for one variable.

    Attributes:
        name: the variable's name, as its host or its file has it.
        shape: the variable's shape.
        dtype: the variable's own dtype, such as "float32" or "bfloat16"; slots may have another.
        slots: the rule's name of each slot -> a NumPy array or a `LazyArray`. Slots in bfloat16, which NumPy
            does not have, are float32, which holds them exactly.
    """

    __slots__ = ("dtype", "name", "shape", "slots")

    def __init__(self, name: str, shape: Sequence[int], dtype: str, slots: Mapping[str, Any]) -> None:
        self.name = name
        self.shape = tuple(int(size) for size in shape)
        self.dtype = str(dtype)
        self.slots = {slot: as_array(array) for slot, array in slots.items()}

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return sum(int(array.nbytes) for array in self.slots.values())

    def __repr__(self) -> str:
        return "VariableSlots({!r}, {}, {!r}, [{}])".format(
            self.name, self.shape, self.dtype, ", ".join(self.slots)
        )


class State:
    """The state of an optimizer, independent of any framework. Not to be changed: `replace` makes another.

    Args:
        rule: the rule's name in the catalogue ("Adam"), or "module:Class" of another; None where a file does
            not say.
        config: the rule's hyperparameters that are known, and base arguments (clipping, use_ema) that are not
            their defaults; JSON.
        step: steps done; None where a file does not say.
        variables: a key, unique -> `VariableSlots`. The key is the variable's name, or, of several of one
            name, the name with "#2", "#3" appended.
        shared: the values of all variables together, such as Nadam's product of momenta.
        weights: the model's weights by name, if they were asked for.
        origin: where it was taken or read from, in words.
        convention: slot -> what its values mean, where that is not what the rule means by it; see
            `LEARNING_RATE_OUTSIDE`.

    Raises:
        StateError: an unknown convention.
    """

    __slots__ = ("config", "convention", "origin", "rule", "shared", "step", "variables", "weights")

    # Declared for type checkers; they are set in one place, past __setattr__.
    rule: Optional[str]
    config: Dict[str, Any]
    step: Optional[int]
    variables: Dict[str, VariableSlots]
    shared: Dict[str, Any]
    weights: Optional[Dict[str, Any]]
    origin: str
    convention: Dict[str, str]

    def __init__(
        self,
        rule: Optional[str] = None,
        config: Optional[Mapping[str, Any]] = None,
        step: Optional[int] = None,
        variables: Optional[Mapping[str, VariableSlots]] = None,
        shared: Optional[Mapping[str, Any]] = None,
        weights: Optional[Mapping[str, Any]] = None,
        origin: str = "",
        convention: Optional[Mapping[str, str]] = None,
    ) -> None:
        for slot, meaning in (convention or {}).items():
            if meaning not in _CONVENTIONS:
                raise StateError(
                    "State(convention={{{!r}: {!r}}}): expected one of {}.".format(
                        slot, meaning, ", ".join(_CONVENTIONS)
                    )
                )
        values = {
            "rule": rule,
            "config": dict(config or {}),
            "step": None if step is None else int(step),
            "variables": dict(variables or {}),
            "shared": {name: as_array(array) for name, array in (shared or {}).items()},
            "weights": None if weights is None else {name: as_array(a) for name, a in weights.items()},
            "origin": origin,
            "convention": dict(convention or {}),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @staticmethod
    def keyed(variables: Sequence[VariableSlots]) -> Dict[str, VariableSlots]:
        """Variables by unique keys, in this order: their names, with "#2", "#3" for several of one name.

        Args:
            variables: what a `State` has of each variable.
        """
        keyed: Dict[str, VariableSlots] = {}
        taken = {variable.name for variable in variables}
        for variable in variables:
            key, count = variable.name, 1
            while key in keyed or (count > 1 and key in taken):
                count += 1
                key = "{}#{}".format(variable.name, count)
            keyed[key] = variable
        return keyed

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("A State can't be changed; state.replace({}=...) makes another.".format(name))

    def __delattr__(self, name: str) -> None:
        raise AttributeError("A State can't be changed.")

    def replace(self, **changes: Any) -> State:
        """Another state, with some of the constructor's arguments changed."""
        return State(**{**{name: getattr(self, name) for name in self.__slots__}, **changes})

    def __reduce__(self) -> Any:
        names = ("rule", "config", "step", "variables", "shared", "weights", "origin", "convention")
        return State, tuple(getattr(self, name) for name in names)

    def __deepcopy__(self, memo: Any) -> State:
        return State(*copy.deepcopy(self.__reduce__()[1], memo))

    # Reading it.

    def arrays(self) -> Iterator[Tuple[Tuple[str, str, str], Any]]:
        """Each array with where it is: ("slot", variable's key, slot), ("shared", "", name) or
        ("weight", "", name)."""
        for key, variable in self.variables.items():
            for slot, array in variable.slots.items():
                yield ("slot", key, slot), array
        for name, array in self.shared.items():
            yield ("shared", "", name), array
        for name, array in (self.weights or {}).items():
            yield ("weight", "", name), array

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(int(array.nbytes) for _, array in self.arrays())

    @property
    def slot_names(self) -> List[str]:
        """The slots that any variable has, in the order in which they are met."""
        return list(dict.fromkeys(slot for v in self.variables.values() for slot in v.slots))

    def loaded(self) -> State:
        """The same state with every lazy array read into memory."""
        variables = {
            key: VariableSlots(v.name, v.shape, v.dtype, {s: np.asarray(a) for s, a in v.slots.items()})
            for key, v in self.variables.items()
        }
        return self.replace(
            variables=variables,
            shared={name: np.asarray(array) for name, array in self.shared.items()},
            weights=self.weights and {name: np.asarray(array) for name, array in self.weights.items()},
        )

    def save(self, path: Any, progress: Optional[Callable[[int, int], None]] = None) -> None:
        """Writes it to a file; path, progress and errors are those of `kcompat.state.save`."""
        from .files import save

        save(self, path, progress)

    # Comparing it.

    def diff(self, other: State, rtol: float = 0.0, atol: float = 0.0) -> List[str]:
        """What is different in another state, a sentence each; none where they are equal.

        Args:
            other: the other state.
            rtol, atol: how far two values may be apart, as in `numpy.isclose`; the origin does not count.
        """
        found = []
        for name in ("rule", "step", "convention"):
            mine, others = getattr(self, name), getattr(other, name)
            if mine != others:
                found.append("{}: {!r}, other {!r}".format(name, mine, others))
        for name in dict.fromkeys([*self.config, *other.config]):
            mine, others = self.config.get(name), other.config.get(name)
            if mine != others:
                found.append("{}: {!r}, other {!r}".format(name, mine, others))
        for key in dict.fromkeys([*self.variables, *other.variables]):
            here, there = self.variables.get(key), other.variables.get(key)
            if here is None or there is None:
                found.append("{}: only in {}".format(key, "the other" if here is None else "this"))
            elif (here.name, here.shape, here.dtype) != (there.name, there.shape, there.dtype):
                found.append("{}: {!r}, other {!r}".format(key, here, there))
        mine, others = dict(self.arrays()), dict(other.arrays())
        for where in dict.fromkeys([*mine, *others]):
            kind, key, name = where
            if kind == "slot" and not (key in self.variables and key in other.variables):
                continue  # said above
            said = "{}: {}".format(key, name) if kind == "slot" else "{} {}".format(kind, name)
            if where not in mine or where not in others:
                found.append("{}: only in {}".format(said, "this" if where in mine else "the other"))
            else:
                found += [
                    "{}: {}".format(said, words)
                    for words in _compared(mine[where], others[where], rtol, atol)
                ]
        return found

    def __eq__(self, other: Any) -> Any:
        return not self.diff(other) if isinstance(other, State) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "State({}, step {}, {} variables, slots {}, {})".format(
            self.rule or "unknown rule",
            "unknown" if self.step is None else self.step,
            len(self.variables),
            ", ".join(self.slot_names) or "none",
            in_bytes(self.nbytes),
        )

    def summary(self) -> List[str]:
        """What is true of all of it, in lines: the rule, its hyperparameters, how many variables."""
        lines = [
            "rule    {}".format(self.rule or "not known"),
            "step    {}".format("not known" if self.step is None else self.step),
            "from    {}".format(self.origin or "not known"),
            "size    {} in {} variables".format(in_bytes(self.nbytes), len(self.variables)),
        ]
        if self.config:
            lines.append("config  " + ", ".join("{}={!r}".format(*item) for item in self.config.items()))
        for slot, meaning in self.convention.items():
            lines.append("note    {} is kept as {}".format(slot, meaning))
        for name, array in self.shared.items():
            lines.append("shared  {} {} {}".format(name, array.shape, array.dtype))
        if self.weights is not None:
            lines.append("with {} of the model's weights".format(len(self.weights)))
        return lines

    def __str__(self) -> str:
        """A page about it: `summary`, and a line for each variable."""
        lines = self.summary()
        width = max([len(key) for key in self.variables] + [0])
        for key, variable in self.variables.items():
            slots = []
            for name, array in variable.slots.items():
                shape = "" if array.shape == variable.shape else " {}".format(array.shape)
                dtype = "" if str(array.dtype) == variable.dtype else " {}".format(array.dtype)
                slots.append(name + shape + dtype)
            said = "{}  {} {}: {}".format(
                key.ljust(width), variable.shape, variable.dtype, ", ".join(slots) or "no slots"
            )
            lines.append(said)
        return "\n".join(lines)


def as_array(value: Any) -> Any:
    """A value as something with a shape and a dtype: itself if it is a `LazyArray` or array, or an array."""
    if isinstance(value, LazyArray):
        return value
    array = np.asarray(value)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def in_bytes(count: float) -> str:
    """A number of bytes in words, such as "1.5 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return "{:.0f} {}".format(count, unit) if unit == "B" else "{:.1f} {}".format(count, unit)
        count /= 1000
    raise AssertionError


def _compared(mine: Any, others: Any, rtol: float, atol: float) -> List[str]:
    if mine.shape != others.shape:
        return ["shape {}, other {}".format(mine.shape, others.shape)]
    a, b = np.asarray(mine), np.asarray(others)
    if a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
        same = a == b
    else:
        same = np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True)
    found = []
    if a.dtype != b.dtype:
        found.append("dtype {}, other {}".format(a.dtype, b.dtype))
    if not same.all():
        apart = np.abs(a.astype("float64") - b.astype("float64"))
        found.append(
            "{} of {} values differ, at most by {:.3g}".format(
                int((~same).sum()), same.size, np.nanmax(apart)
            )
        )
    return found
