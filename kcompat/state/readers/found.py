"""What a file holds of an optimizer, before it is said in a rule's terms: the form that all readers share."""

from __future__ import annotations

import numbers
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from ...errors import HyperparameterTypeError, StateError


class FoundVariable(NamedTuple):
    """The slots of one variable.

    Attributes:
        name: the variable's name, as the file has it.
        shape, dtype: the variable's; the dtype by name.
        slots: what the host or file calls a slot -> an array.
    """

    name: str
    shape: Tuple[int, ...]
    dtype: str
    slots: Dict[str, Any]


class Found(NamedTuple):
    """The state of one optimizer, as a file has it.

    Attributes:
        path: the file, for messages.
        format: what kind of file it is, in words.
        api: the API that the optimizer is of.
        name: what the file calls the optimizer, by default after its class; None if nothing.
        cls: the optimizer's class, where the file has its configuration.
        config: that configuration, or the hyperparameters that are known.
        step: steps done; None where the file does not say.
        variables: the slots.
        shared: what belongs to all variables together.
        own: whether it is an optimizer of kcompat, whose slots have the rule's names.
        by_rule: whether the slots have the rule's names already, of a native optimizer.
        experimental: whether it is one of `tf.keras.optimizers.experimental` in TensorFlow 2.9 or 2.10.
        velocity: what the variables of the list `_velocities` are called, "v" or "velocity", of keras_2_11.
        weights: the model's weights by name, if they were asked for.
    """

    path: str
    format: str
    api: str
    name: Optional[str]
    cls: Optional[str]
    config: Dict[str, Any]
    step: Optional[int]
    variables: List[FoundVariable]
    shared: Dict[str, Any]
    own: bool = False
    by_rule: bool = False
    experimental: bool = False
    velocity: Optional[str] = None
    weights: Optional[Dict[str, Any]] = None


class Asked(NamedTuple):
    """What `read` was asked for beside the file.

    Attributes:
        weights: whether the model's weights come along.
        rule: the rule, where the file does not say or is not believed.
        hyper: hyperparameters that the file does not hold.
        optimizer: which of several optimizers.
        variables: names and shapes of the optimizer's variables in its order, for files that keep slots by
            position only; None if they were not given.
    """

    weights: bool
    rule: Optional[str]
    hyper: Dict[str, Any]
    optimizer: Optional[str]
    variables: Optional[List[Tuple[str, Optional[Tuple[int, ...]]]]]

    def number(self, name: str, default: Any) -> Any:
        """A hyperparameter that reading needs as a number.

        Raises:
            HyperparameterTypeError: it was given, and is none.
        """
        value = self.hyper.get(name, default)
        if value is not None and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
            raise HyperparameterTypeError(
                "kcompat.state.read(hyper={{{!r}: {!r}}}): expected a number.".format(name, value)
            )
        return value


def nothing(path: str, what: str, advice: str = "") -> StateError:
    """A file is whole, and holds no state of an optimizer."""
    return StateError("{} holds no optimizer state: {}.{}".format(path, what, " " + advice if advice else ""))


def choose(path: str, names: List[str], optimizer: Optional[str]) -> int:
    """Which of the optimizers in a file is meant.

    Raises:
        StateError: there are several and none was named, or one that is not there.
    """
    if optimizer is None:
        if len(names) == 1:
            return 0
        raise StateError(
            "{} holds {} optimizers: {}. Say which: kcompat.state.read(path, optimizer={!r}).".format(
                path, len(names), ", ".join(names), names[0]
            )
        )
    found = [i for i, name in enumerate(names) if name == optimizer]
    found = found or [i for i, name in enumerate(names) if name.rpartition("/")[2] == optimizer]
    if len(found) != 1:
        raise StateError(
            "{} was to be read for its optimizer {!r}; it has {}.".format(path, optimizer, ", ".join(names))
        )
    return found[0]


def keyed(pairs: Iterable[Tuple[str, Any]]) -> Dict[str, Any]:
    """Arrays by unique names: of several of one name, the later ones have "#2", "#3" appended."""
    found: Dict[str, Any] = {}
    for name, array in pairs:
        key, count = name, 1
        while key in found:
            count += 1
            key = "{}#{}".format(name, count)
        found[key] = array
    return found
