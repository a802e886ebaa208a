"""An optimizer's state as arrays: weights in a fixed order, Keras' newer file formats, pickles and copies.

Nothing here knows a framework. An adapter reads and assigns its host's variables (`_read_values`,
`_assign_values`), and calls `_restore_waiting` when it has state for new variables.
"""

from __future__ import annotations

import copy
import json
import warnings
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Type

import numpy as np

from ..environment import host_classes
from ..errors import StateError
from ..rule import UpdateRule
from .matching import match

# Beside the arrays "0", "1" and so on that Keras' own optimizers store.
_LAYOUT = "layout"
_LEARNING_RATE = "learning_rate"


class SavedVariable(NamedTuple):
    """The slots of one variable: its name and shape say whose they are."""

    name: str
    shape: Tuple[int, ...]
    slots: Dict[str, np.ndarray]

    def fits(self, known: Any, shape: Tuple[int, ...]) -> bool:
        """Whether these can be the slots of a variable, whatever it is called."""
        return self.shape == shape and set(self.slots) == set(known.slots)


class SavedState(NamedTuple):
    """The state of an optimizer as arrays.

    Attributes:
        iterations: the step counter; None once it has been used.
        variables: the slots of each variable, in the optimizer's order.
        shared: the scalars of all variables together.
        learning_rate: its number, or None where it is none.
        strict: whether state that fits none of the variables is an error, or only a warning.
        before: the step counter and the learning rate that were there before it, while it waits.
    """

    iterations: Optional[int]
    variables: List[SavedVariable]
    shared: Dict[str, np.ndarray]
    learning_rate: Optional[float] = None
    strict: bool = True
    before: Tuple[Optional[int], Optional[float]] = (None, None)

    def to_store(self, store: Any) -> None:
        """Writes it as Keras stores variables, under "0", "1" and so on, and beside them what they are."""
        arrays = [np.asarray(self.iterations, "int64")]
        for saved in self.variables:
            arrays += saved.slots.values()
        arrays += self.shared.values()
        for i, array in enumerate(arrays):
            store[str(i)] = np.asarray(array)
        layout = {
            "variables": [[v.name, list(v.shape), list(v.slots)] for v in self.variables],
            "shared": list(self.shared),
        }
        store[_LAYOUT] = np.frombuffer(json.dumps(layout).encode(), "uint8")
        if self.learning_rate is not None:
            store[_LEARNING_RATE] = np.asarray(self.learning_rate, "float64")

    @classmethod
    def from_store(cls, store: Any) -> Optional[SavedState]:
        """What `to_store` wrote; None if it is something else that the store holds."""
        keys = set(store.keys())
        if _LAYOUT not in keys:
            return None
        layout = json.loads(bytes(bytearray(np.asarray(store[_LAYOUT]).tolist())).decode())
        position = 1

        def take(names: Iterable[str]) -> Dict[str, np.ndarray]:
            nonlocal position
            taken = {}
            for name in names:
                taken[name] = np.asarray(store[str(position)])
                position += 1
            return taken

        variables = [
            SavedVariable(name, tuple(shape), take(slots)) for name, shape, slots in layout["variables"]
        ]
        return cls(
            iterations=int(np.asarray(store["0"])),
            variables=variables,
            shared=take(layout["shared"]),
            learning_rate=float(np.asarray(store[_LEARNING_RATE])) if _LEARNING_RATE in keys else None,
            strict=False,
        )


class Saving:
    """What an adapter has for saving; mixed into every one of them."""

    _kc: Any
    # What the class was made with: rule, API and name.
    _made_with: Tuple[Type[UpdateRule], str, str]
    _made: type
    # The host's base class that the class was made from.
    _host_class: type

    # What an adapter defines.

    def _read_values(self, variables: Sequence[Any]) -> List[np.ndarray]:
        """The values of some of the optimizer's variables.

        Raises:
            StateError: they can't be read here.
        """
        raise NotImplementedError

    def _assign_values(self, pairs: Sequence[Tuple[Any, np.ndarray]]) -> None:
        """Assigns variables of the optimizer.

        Raises:
            StateError: they can't be assigned here; nothing was.
        """
        raise NotImplementedError

    def _make_assignable(self, variables: Sequence[Any], own: Sequence[Any]) -> None:
        """Makes variables of the optimizer ready to be assigned, where that is more than making them.

        Args:
            variables: the model's variables.
            own: variables of the host's optimizer.

        Raises:
            StateError: they can't be assigned here.
        """

    @staticmethod
    def _why_not_moved(rule: UpdateRule) -> str:
        """Why slots of the host's own optimizer, whose rule this is, can't be understood here; else ""."""
        return ""

    def _held(self, variable: Any) -> Optional[Callable[[], Any]]:
        """What gives a variable's value of now, also later, and keeps no copy; None if that can't be had."""
        return None

    def _known_here(self) -> List[Any]:
        """What the optimizer keeps for each variable; of one used in several graphs, for those of this."""
        return list(self._kc.variables.values())

    # The order of the variables.

    def _set_order(self, keys: Sequence[Any]) -> None:
        """Takes over the order of a list of variables that holds all that the optimizer has state for.

        That in which slots were created depends on what came first: a checkpoint, or a part of the model.
        """
        state = self._kc
        if set(state.variables) <= set(keys):
            state.variables = {key: state.variables[key] for key in keys if key in state.variables}
            state.ordered, state.restored = True, False

    def _state_variables(self) -> List[Any]:
        """The step counter, each variable's slots, and the scalars of all variables together."""
        counter = self._iterations_variable()  # type: ignore[attr-defined]
        found = [] if counter is None else [counter]
        for known in self._known_here():
            found += known.slots.values()
        return found + list(self._kc.shared.values())

    def _in_order(self, variables: Iterable[Any]) -> List[Any]:
        """A list of the host's variables in this order; what is not among them comes after the counter."""
        rank = {id(variable): i for i, variable in enumerate(self._state_variables())}
        return sorted(variables, key=lambda variable: rank.get(id(variable), 0))

    # Weights.

    def _ordered_weights(self) -> List[Any]:
        """The variables that `get_weights` reads.

        Raises:
            StateError: a checkpoint was restored and no step taken since, so that their order isn't known;
                or there is state that waits for the optimizer to be built.
        """
        if self._kc.waiting is not None and not self._kc.variables:
            raise StateError(
                "{0} has state that waits for its variables. Call {0}.build(variables) first.".format(
                    type(self).__name__
                )
            )
        if self._kc.restored and len(self._kc.variables) > 1:
            raise StateError(
                "{0}: its slots were created by restoring a checkpoint, in the checkpoint's order. Call "
                "{0}.build(variables) with all variables first, in the model's order.".format(
                    type(self).__name__
                )
            )
        return self._state_variables()

    def get_weights(self) -> List[np.ndarray]:
        """The step counter, the slots variable by variable, and the scalars of all variables together.

        The order is that of the variables in the last list (`apply_gradients`, `build`) that held them all,
        and of the rule's slots. In a TensorFlow 1 graph they are read in the default session.

        Raises:
            StateError: the order isn't known (a checkpoint was restored and no step taken since), or there is
                no session to read in.
        """
        variables = self._ordered_weights()
        return self._read_values(variables) if variables else [np.asarray(0, "int64")]

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Sets what `get_weights` gave, of the same rule on variables of the same shapes in the same order.

        Args:
            weights: arrays. All are checked before the first is assigned.

        Raises:
            StateError: too many, too few or of other shapes; the optimizer is not built; or there is no
                session to assign them in.
        """
        arrays = self._own_weights([np.asarray(weight) for weight in weights])
        variables = self._ordered_weights()
        where = type(self).__name__
        if len(arrays) > 1 and not self._known_here():
            raise StateError(
                "{0}.set_weights() was given {1} arrays, and {0} has no slots yet. Call {0}.build(variables) "
                "first.".format(where, len(arrays))
            )
        if len(arrays) != len(variables):
            raise StateError(
                "{}.set_weights() was given {} arrays; expected {}: the step counter, {}.".format(
                    where, len(arrays), len(variables), self._described()
                )
            )
        for i, (array, variable) in enumerate(zip(arrays, variables)):
            if tuple(array.shape) != tuple(variable.shape):
                raise StateError(
                    "{}.set_weights(): array {} has shape {}; expected {}. They are the step counter, "
                    "{}.".format(where, i, tuple(array.shape), tuple(variable.shape), self._described())
                )
        self._assign_values(list(zip(variables, arrays)))

    def _own_weights(self, arrays: List[np.ndarray]) -> List[np.ndarray]:
        """The arrays in kcompat's form, of that or of the host's."""
        return arrays

    def _described(self) -> str:
        known = [each for each in self._known_here() if each.slots]
        parts = ["{} ({})".format(each.name, ", ".join(each.slots)) for each in known]
        return ", ".join(parts + list(self._kc.shared)) or "and nothing else"

    # State as data.

    def _take_state(self) -> SavedState:
        """The state now, with what is still waiting for its variables."""
        state = self._kc
        saved = [
            SavedVariable(
                known.name,
                self._shape(known.variable),  # type: ignore[attr-defined]
                dict(zip(known.slots, self._read_values(list(known.slots.values())))),
            )
            for known in self._known_here()
        ]
        shared = dict(zip(state.shared, self._read_values(list(state.shared.values()))))
        waiting = state.waiting
        if waiting is not None:
            saved += waiting.variables
            shared = shared or waiting.shared
        counter = self._iterations_variable()  # type: ignore[attr-defined]
        if counter is None:
            done = 0 if waiting is None else int(waiting.iterations or 0)
        else:
            done = int(self._read_values([counter])[0])
        rate = state.attributes.get("learning_rate")
        number = None
        if rate is not None and rate.kind == "number":
            number = self._current_number(rate)  # type: ignore[attr-defined]
        return SavedState(done, saved, shared, number)

    def _put_state(self, saved: SavedState) -> None:
        """Continues from a state: that of variables not seen yet waits for them."""
        self._kc.waiting = saved
        counter = self._iterations_variable()  # type: ignore[attr-defined]
        if counter is not None:
            self._assign_values([(counter, np.asarray(saved.iterations))])
        if self._kc.variables:
            self._restore_waiting(self._known_here())

    def _restore_waiting(self, new: Sequence[Any]) -> None:
        """Gives variables that the optimizer has just been built on the state that waits for them.

        They are told by name and shape. Where no name is known at all, and number and shapes are the same, it
        is another copy of the model (`dense_1` for `dense`), and the order tells them.
        """
        waiting: Optional[SavedState] = self._kc.waiting
        if waiting is None:
            return
        shapes = [self._shape(known.variable) for known in new]  # type: ignore[attr-defined]
        found = match(
            [(saved.name, saved.shape) for saved in waiting.variables],
            [(known.name, shape) for known, shape in zip(new, shapes)],
            partial=True,
            repeated_in_order=True,
        )
        chosen: Dict[int, Any] = {
            i: new[j] for i, j in found.pairs.items() if waiting.variables[i].fits(new[j], shapes[j])
        }
        if not chosen and len(new) == len(waiting.variables):
            if all(saved.fits(k, s) for saved, k, s in zip(waiting.variables, new, shapes)):
                chosen = dict(enumerate(new))
        if not chosen and waiting.variables:
            if waiting.iterations is None:  # some of it has found its variables; these are others
                return
            self._kc.waiting = None
            self._give_back(waiting)
            self._misfit(waiting, new)
            return
        pairs = []
        for i, known in chosen.items():
            pairs += [(known.slots[name], array) for name, array in waiting.variables[i].slots.items()]
        shared = self._kc.shared
        pairs += [(shared[name], array) for name, array in waiting.shared.items() if name in shared]
        if waiting.iterations is not None:
            counter = self._iterations_variable()  # type: ignore[attr-defined]
            pairs.append((counter, np.asarray(waiting.iterations)))
        self._assign_values(pairs)
        # The rest is of variables that may come later (frozen ones, say), when the counter has moved on.
        left = [saved for i, saved in enumerate(waiting.variables) if i not in chosen]
        self._kc.waiting = waiting._replace(iterations=None, variables=left, shared={}) if left else None

    def _give_back(self, waiting: SavedState) -> None:
        """Gives the step counter and the learning rate the values that they had before this state."""
        done, rate = waiting.before
        if done is not None:
            counter = self._iterations_variable()  # type: ignore[attr-defined]
            self._assign_values([(counter, np.asarray(done))])
        if rate is not None:
            self._set_hyper_source("learning_rate", rate)  # type: ignore[attr-defined]

    def _misfit(self, waiting: SavedState, new: Sequence[Any]) -> None:
        saved = ["{} {} ({})".format(v.name, v.shape, ", ".join(v.slots)) for v in waiting.variables]
        found = [
            "{} {} ({})".format(
                known.name,
                self._shape(known.variable),  # type: ignore[attr-defined]
                ", ".join(known.slots),
            )
            for known in new
        ]
        error = StateError(
            "The saved state of {} fits none of the variables, and is not used. It is of {}; these are "
            "{}.".format(type(self).__name__, "; ".join(saved), "; ".join(found))
        )
        if waiting.strict:
            raise error
        warnings.warn(str(error), stacklevel=2)

    # Keras' newer file formats: `.keras` and `.weights.h5`.

    def save_own_variables(self, store: Any) -> None:
        """Writes the state into a file that Keras saves: called by Keras.

        Args:
            store: what takes arrays by name.
        """
        self._take_state().to_store(store)

    def load_own_variables(self, store: Any) -> None:
        """Reads the state from a file that Keras loads: called by Keras.

        Before the optimizer is built, the state waits for its variables. Of a file without it, or with
        another optimizer's, or whose slots fit none of the variables, nothing is taken, with a warning.

        Args:
            store: what has arrays by name.
        """
        saved = SavedState.from_store(store)
        if saved is None:
            warnings.warn(
                "The file has no state of {}{}; it starts afresh.".format(
                    type(self).__name__,
                    ", but that of another optimizer" if len(list(store.keys())) else "",
                ),
                stacklevel=2,
            )
            return
        counter = self._iterations_variable()  # type: ignore[attr-defined]
        done = None if counter is None else int(self._read_values([counter])[0])
        rate = self._kc.attributes.get("learning_rate")
        number = None
        if saved.learning_rate is not None and rate is not None and rate.kind == "number":
            number = float(self._current_number(rate))  # type: ignore[attr-defined]
            self._set_hyper_source("learning_rate", saved.learning_rate)  # type: ignore[attr-defined]
        self._put_state(saved._replace(before=(done, number)))

    # Pickles and copies.

    def __reduce_ex__(self, protocol: Any) -> Any:
        cls = type(self)
        how: Tuple[Any, ...]
        if cls is cls._made:
            made_with = (*cls._made_with, _host_name(cls._host_class, cls._made_with[1]))
            how = (made_with, self._current_rule(), self._current_base())  # type: ignore[attr-defined]
        else:  # a subclass: its own constructor, by its configuration
            how = (cls, self.get_config(), None)  # type: ignore[attr-defined]
        return _restored, (*how, self._state_to_copy())

    def _state_to_copy(self) -> Optional[SavedState]:
        if not self._kc.variables and self._kc.waiting is None:
            return None
        return self._take_state()

    def __deepcopy__(self, memo: Any) -> Any:
        make, arguments = self.__reduce_ex__(4)
        result = make(*copy.deepcopy(arguments, memo))
        memo[id(self)] = result
        return result

    def __copy__(self) -> Any:
        make, arguments = self.__reduce_ex__(4)
        return make(*arguments)


class SavedByClassName:
    """For hosts that, up to TensorFlow 2.1, save `optimizer.__class__.__name__` instead of a registered name.

    There it answers with a subclass of that name; `type(optimizer)` is what it always is.
    """

    _made: type
    _saved_as: Optional[type] = None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        cls = type(self)
        return cls._saved_as if cls._saved_as is not None and cls is cls._made else cls


def _host_name(host: type, api: str) -> Optional[str]:
    """The `host` to ask for with `optimizer_class`, or None if it is the one that is given unasked."""
    places = host_classes(api)
    found = [place for place, cls in places if cls is host]
    return None if not found or places[0][1] is host else found[0].partition(".optimizers")[0]


def _restored(made: Any, how: Any, base: Optional[Mapping[str, Any]], saved: Optional[SavedState]) -> Any:
    """The optimizer that `__reduce_ex__` took apart."""
    if base is None:
        made = made.from_config(how)
    else:
        from . import optimizer_class

        base = dict(base)
        excluded = base.pop("excluded")
        made = optimizer_class(*made).from_rule(how, **base)
        made._kc.excluded = excluded
    if saved is not None:
        made._put_state(saved)
    return made
