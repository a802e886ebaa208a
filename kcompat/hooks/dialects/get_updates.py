"""The protocol of Keras' first optimizer (`get_updates(loss, params)`), of Keras 2.2 and 2.3."""

from __future__ import annotations

import functools
import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from ...adapters.tensorflow_base import _is_variable, _operation, v1
from ...errors import GradientError, HookError, UnknownArgumentError, nearest
from .. import backend, overrides
from ..hooked import Hooked, _traced, flat_gradients

_KEYWORDS = ("clipnorm", "clipvalue", "name")
# Variables of the class that the host has itself.
_OURS = ("learning_rate", "lr", "iterations")


class _Made(NamedTuple):
    """One of the variables that get_updates() makes, in the order of its calls."""

    initial: Any
    shape: Tuple[int, ...]
    dtype: Any
    name: str
    # The variable that it is a slot of, by its place in the list, or None.
    of: Optional[int]


class GetUpdatesDialect(Hooked):
    """The base of optimizers that are written against `get_updates()`.

    Its `keras.backend` must be that of `kcompat.hooks.installed()`. A step collects what get_updates() gives
    to `K.update()` and its like, and the pairs that it returns, and writes it once everything is read.

    Args:
        **kwargs: clipnorm (of the norm of all gradients together, as in Keras 2), clipvalue, name.

    Raises:
        UnknownArgumentError: another keyword.
    """

    _kc_clips: Dict[str, Any]
    # Attributes that are variables of Keras' backend: they become the optimizer's own when it is built.
    _kc_constants: Dict[str, Any]
    # The variables that get_updates() makes, and those that it updates, in its order.
    _kc_made: List[Any]
    _kc_order: List[Any]
    # How often it counts a step; a wrapper that calls another's more than once counts more often.
    _kc_counts = 1

    def __init__(self, **kwargs: Any) -> None:
        where = type(self).__name__
        for key in kwargs:
            if key not in _KEYWORDS:
                raise UnknownArgumentError(
                    "{}() has no argument {!r}; it takes {}.{}".format(
                        where, key, ", ".join(_KEYWORDS), nearest(key, _KEYWORDS)
                    )
                )
        object.__setattr__(self, "_kc_clips", {key: kwargs.get(key) for key in ("clipnorm", "clipvalue")})
        object.__setattr__(self, "_kc_constants", {})
        object.__setattr__(self, "_kc_made", [])
        object.__setattr__(self, "_kc_order", [])
        self._set_up_hooks(kwargs.get("name") or where)
        object.__setattr__(self, "updates", [])
        # Training loops of Keras on TensorFlow 1 call a method of this name, too: their host's.
        object.__setattr__(self, "get_updates", self._get_updates)

    # What the class keeps.

    def __setattr__(self, name: str, value: Any) -> None:
        theirs = overrides.keep_theirs(self, name)
        if "_kc" in self.__dict__ and name not in _OURS and hasattr(value, backend._INITIAL):
            self._kc_constants[name] = value
            object.__setattr__(self, name, value)
        elif theirs or name == "updates":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def learning_rate(self) -> Any:
        """The learning rate: the host's variable, and in a step what the class has set it to."""
        this: Any = self
        if self._is_collecting():
            override = self.__dict__.get("_kc_rate")
            return self._current_rate() if override is None else override
        if "_kc" not in self.__dict__ or "learning_rate" not in self._kc.attributes:
            raise AttributeError("{} has no learning rate.".format(type(self).__name__))
        hyper = self._kc.attributes["learning_rate"]
        if hyper.kind == "number":
            variable = self._hyper_variable(hyper)
            return hyper.source if variable is None else variable
        return this._public_hyper(hyper)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if "_kc" not in self.__dict__ or self._is_host_asking():
            return
        if self._is_collecting():
            self.__dict__["_kc_rate"] = value
            return
        initial = getattr(value, backend._INITIAL, value)
        self._new_hyper("learning_rate", float(initial) if isinstance(initial, np.ndarray) else initial)

    lr = learning_rate

    def _current_rate(self) -> Any:
        hyper = self._kc.attributes["learning_rate"]
        this: Any = self
        if hyper.kind == "number":
            variable = self._hyper_variable(hyper)
            value = hyper.source if variable is None else variable
            return tf.cast(value, tf.float32)
        return tf.cast(this._native_value(this._hyper_value(hyper, self._step_counter())), tf.float32)

    @staticmethod
    def _is_collecting() -> bool:
        return backend.collector() is not None

    @property
    def iterations(self) -> Any:
        """The number of steps done: TensorFlow's variable (int64)."""
        if self._is_collecting():
            here: Any = backend.collector()
            return self.__dict__.get("_kc_fake_iterations", here.counter)
        return Hooked.iterations.fget(self)  # type: ignore[attr-defined]

    @iterations.setter
    def iterations(self, variable: Any) -> None:
        if self._is_collecting():
            self.__dict__["_kc_fake_iterations"] = variable
        elif not hasattr(variable, backend._INITIAL):  # else the host's counter is in its place
            Hooked.iterations.fset(self, variable)  # type: ignore[attr-defined]

    @property
    def weights(self) -> List[Any]:
        """The variables that `get_weights` reads; in a step the list that the class has made of them."""
        if self._is_collecting():
            return self.__dict__.get("_kc_weights", [])
        return Hooked.weights.fget(self)  # type: ignore[attr-defined]

    @weights.setter
    def weights(self, value: Any) -> None:
        self.__dict__["_kc_weights"] = list(value)

    def _create_state(self, variables: Sequence[Any]) -> None:
        if self._kc_order:
            raise GradientError(
                "{}: get_updates() makes its state for all variables at once, and it has been called without "
                "{}. Build the optimizer on all variables, and give each step a gradient for each of "
                "them.".format(type(self).__name__, ", ".join(repr(each.name) for each in variables))
            )
        found: List[_Made] = []

        def discovered(index: int, initial: Any, shape: Any, dtype: Any, name: Any) -> Any:
            found.append(_Made(initial, shape, dtype, re.sub(r"_?\d+$", "", name or "") or "state", None))
            return tf.zeros(shape, dtype)

        def trace() -> Any:
            del found[:]  # a function that makes variables is traced twice
            grads = [tf.zeros(variable.shape, variable.dtype.base_dtype) for variable in variables]
            here = self._collect(list(zip(grads, variables)), discovered)
            counts = sum(variable is here.counter for variable, _ in here.writes)
            object.__setattr__(self, "_kc_counts", counts)
            return tf.constant(0)

        self._own_constants(self, "")
        for place, inner in self._inner_optimizers().items():
            self._own_constants(inner, place + ".")
        _traced(trace, autograph=False).get_concrete_function()  # never run: it tells what is made
        with tf.init_scope():
            shapes = [tuple(tf.TensorShape(each.shape).as_list()) for each in variables]
            self._kc_made[:] = [self._create(made, variables) for made in _as_slots(found, shapes)]
        self._kc_order[:] = variables

    def _own_constants(self, optimizer: Any, prefix: str) -> None:
        """Makes variables of this optimizer out of those that a constructor has made."""
        for name, variable in getattr(optimizer, "_kc_constants", {}).items():
            value = variable.numpy() if tf.executing_eagerly() else getattr(variable, backend._INITIAL)
            initial = functools.partial(tf.constant, value, variable.dtype.base_dtype)
            object.__setattr__(optimizer, name, self._shared_variable(prefix + name, initial))

    def _create(self, made: _Made, variables: Sequence[Any]) -> Any:
        names = self.__dict__.setdefault("_kc_names", {})
        count = names[made.of, made.name] = names.get((made.of, made.name), -1) + 1
        name = "{}_{}".format(made.name, count) if count else made.name
        initial = functools.partial(self._initial, made.initial, made.shape, made.dtype)
        if made.of is None:
            return self._shared_variable(name, initial)
        return self._slot(variables[made.of], name, initial, made.shape, made.dtype)

    # The step.

    def get_updates(self, loss: Any, params: Sequence[Any]) -> List[Any]:
        """The updates of a step: what it gives to `K.update()`, and pairs that it returns, are written."""
        raise HookError(
            "{} does not define get_updates(loss, params). Define it; it gives the step's updates to "
            "K.update().".format(type(self).__name__)
        )

    def _get_updates(self, loss: Any, params: Sequence[Any]) -> Any:
        if self._is_collecting():
            return type(self).get_updates(self, loss, params)
        host: Any = super()
        return host.get_updates(loss, params)

    def get_gradients(self, loss: Any, params: Sequence[Any]) -> List[Any]:
        """The gradients of this step, clipped by what the constructor was given."""
        here, host = backend.collector(), super()
        if here is None and hasattr(host, "get_gradients"):
            return list(host.get_gradients(loss, params))  # a training loop of the host asks
        if here is None:
            raise HookError(
                "{}.get_gradients() is called outside of a step: here a step is given its gradients. Call it "
                "in get_updates().".format(type(self).__name__)
            )
        grads = here.gradients(params)
        norm, limit = self._kc_clips["clipnorm"], self._kc_clips["clipvalue"]
        if norm:
            total = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(grad)) for grad in grads]))
            grads = [tf.where(total >= norm, norm / total, 1.0) * grad for grad in grads]
        if limit:
            grads = [tf.clip_by_value(grad, -limit, limit) for grad in grads]
        return grads

    def _collect(self, pairs: Sequence[Tuple[Any, Any]], make: Callable[..., Any]) -> Any:
        """Calls `get_updates`. Returns what collected."""
        known = {id(variable): grad for grad, variable in pairs}

        def gradients(params: Sequence[Any]) -> List[Any]:
            unknown = [each for each in params if id(each) not in known]
            if unknown:
                raise HookError(
                    "{}.get_updates() asks for gradients of {}, which this step is not given. Ask for "
                    "those of `params`.".format(
                        type(self).__name__, ", ".join(str(getattr(each, "name", each)) for each in unknown)
                    )
                )
            return [tf.convert_to_tensor(known[id(each)]) for each in params]

        # No variable: the host counts, and nobody else.
        counter = tf.convert_to_tensor(self._step_counter()) * self._kc_counts
        here = backend.Collector(make, gradients, counter)
        for optimizer in (self, *self._inner_optimizers().values()):
            for name in ("_kc_rate", "_kc_fake_iterations", "_kc_weights"):
                optimizer.__dict__.pop(name, None)
            object.__setattr__(optimizer, "updates", [])
        try:
            with backend.collecting(here):
                returned = self.get_updates(backend.Loss(), [variable for _, variable in pairs])
        except AttributeError as error:
            raise HookError(
                "{}.get_updates() asks for what is not here: {}. (An optimizer inside a wrapper must be one "
                "of get_updates(), too; the counter of steps is no variable in a step.)".format(
                    type(self).__name__, error
                )
            ) from error
        here.writes = self._merged(here.writes, returned)
        return here

    def _merged(self, recorded: Sequence[Tuple[Any, Any]], returned: Any) -> List[Tuple[Any, Any]]:
        """What K.update() recorded, and between it the pairs that stand in the list that was returned.

        At home `K.function` makes a `tf.assign` of each tuple in that list.
        """
        if not isinstance(returned, (list, tuple)):
            raise HookError(
                "{}.get_updates() returns {!r}; expected the list of the step's updates. Return what "
                "K.update() and its like return, in a list.".format(type(self).__name__, returned)
            )
        # What K.update() returns may be one tensor for two variables: its places, in order.
        places: Dict[int, List[int]] = {}
        for place, (_, value) in enumerate(recorded):
            places.setdefault(id(value), []).append(place)
        graph = v1.get_default_graph()
        merged: List[Tuple[Any, Any]] = []
        # id of a variable -> id of what is written into it last: a list added to itself has each pair twice.
        last: Dict[int, int] = {}
        done = 0
        for entry in _flat_updates(returned):
            if id(entry) in places:
                those = places[id(entry)]
                upto = (those.pop(0) if len(those) > 1 else those[0]) + 1
                for variable, value in recorded[done:upto]:
                    merged.append((variable, value))
                    last[id(variable)] = id(value)
                done = max(done, upto)
            elif isinstance(entry, tuple):
                if len(entry) != 2 or not (_is_variable(entry[0]) or isinstance(entry[0], tf.Tensor)):
                    raise self._not_written(entry, "it is no pair of a variable and its new value")
                variable, value = entry
                if last.get(id(variable)) != id(value):
                    merged.append((variable, backend.as_read(value, variable)))
                    last[id(variable)] = id(value)
            # An operation of the step runs, with all that it writes, as in any function.
            elif getattr(_operation(entry), "graph", None) is not graph:
                raise self._not_written(entry, "it is no operation that this call has made")
        return [*merged, *recorded[done:]]

    def _not_written(self, entry: Any, reason: str) -> HookError:
        return HookError(
            "{}.get_updates() returns {!r} among the step's updates, and {}: it would silently not be "
            "written. An update is what K.update() or its like returns, or a pair (variable, new "
            "value).".format(type(self).__name__, entry, reason)
        )

    def _apply_hooks(self, pairs: Sequence[Tuple[Any, Any]], aggregate: bool) -> List[Any]:
        given = {id(variable): (grad, variable) for grad, variable in pairs}
        missing = [variable.name for variable in self._kc_order if id(variable) not in given]
        if missing:
            raise GradientError(
                "{}: no gradient for {}. get_updates() updates all variables that the optimizer was built on "
                "together.".format(type(self).__name__, ", ".join(map(repr, missing)))
            )
        pairs = [given[id(variable)] for variable in self._kc_order]  # its state is made in this order
        if not tf.executing_eagerly():
            return self._written(pairs)
        self._as_function(pairs)(*flat_gradients(pairs))
        return []

    def _as_function(self, pairs: Sequence[Tuple[Any, Any]]) -> Any:
        """The step as a function, traced once: at home get_updates() is called once, to build a graph."""
        key = tuple((id(variable), isinstance(grad, tf.IndexedSlices)) for grad, variable in pairs)
        functions: Dict[Any, Any] = self.__dict__.setdefault("_kc_functions", {})
        if key not in functions:
            functions[key] = _traced(self._step_of(pairs, self._stepped), autograph=False)
        return functions[key]

    def _written(self, pairs: Sequence[Tuple[Any, Any]]) -> List[Any]:
        def known(index: int, initial: Any, shape: Any, dtype: Any, name: Any) -> Any:
            # One more than was built on is refused below.
            return self._kc_made[index] if index < len(self._kc_made) else tf.zeros(shape, dtype)

        here = self._collect(pairs, known)
        if here.count != len(self._kc_made):
            raise HookError(
                "{}.get_updates() makes {} variables in this step, and made {} when it was built: its state "
                "would not be the same. Make all of them in every call.".format(
                    type(self).__name__, here.count, len(self._kc_made)
                )
            )
        with tf.control_dependencies([value for _, value in here.writes]):
            return [
                self._assign(variable, value)
                for variable, value in here.writes
                if variable is not here.counter  # which the host counts on
            ]

    def _assign(self, variable: Any, value: Any) -> Any:
        if not _is_variable(variable):
            raise HookError(
                "{}.get_updates() updates {!r}, which is no variable here: what it reads as its learning "
                "rate or counter is a number of the step. Set optimizer.learning_rate between steps.".format(
                    type(self).__name__, variable
                )
            )
        return variable.assign(value)

    def _apply_in_replica(
        self, pairs: Sequence[Tuple[Any, Any]], aggregate: bool
    ) -> Tuple[Sequence[Tuple[Any, Any]], Any]:
        raise HookError(
            "{}: get_updates() updates all variables in one graph, and does not run under a distribution "
            "strategy.".format(type(self).__name__)
        )

    # Configuration.

    def get_config(self) -> Dict[str, Any]:
        """How gradients are clipped, as in Keras 2."""
        self._base_config()  # which may raise
        return {name: value for name, value in self._kc_clips.items() if value is not None}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """The optimizer that `get_config` described."""
        this: Any = cls
        made = cls(**dict(config))
        this._continue_saved_model()
        return made


def _flat_updates(returned: Sequence[Any]) -> Iterator[Any]:
    """The updates in a list, some of which may stand in lists of their own, as `tf.group` takes them at home.

    There a pair in a list of its own is not written: such a list is given as it is.
    """
    for entry in returned:
        if isinstance(entry, list) and not any(isinstance(each, (list, tuple)) for each in entry):
            yield from entry
        else:
            yield entry


def _as_slots(found: Sequence[_Made], shapes: Sequence[Tuple[int, ...]]) -> List[_Made]:
    """The same, in which a run of as many as there are variables, in their shapes, is a slot of each."""
    out: List[_Made] = []
    while len(out) < len(found):
        run = found[len(out) : len(out) + len(shapes)]
        if [each.shape for each in run] == list(shapes):
            out += [each._replace(of=i) for i, each in enumerate(run)]
        else:
            out.append(found[len(out)])
    return out
