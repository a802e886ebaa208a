"""What every dialect shares: an adapter whose step is the hooks of a class, and not a rule.

A dialect's base class is `Dialect`, `Hooked`, an API's adapter and the host's base class, in this order. The
adapter keeps what it does for rules: it makes the host's variables, tracks, saves and restores them, checks
what a step is given, and counts it. In place of a rule's functions the dialect's hooks are called, on
TensorFlow's own variables.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
import weakref
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np
import tensorflow as tf

from ..adapters.base import HyperState
from ..adapters.saving import SavedState, SavedVariable
from ..adapters.step import Overwritten
from ..adapters.tensorflow_base import _is_variable, _no_autograph, _operation, v1
from ..errors import GradientError, HookError, HyperparameterError, RuleError
from ..rule import Hyper, UpdateRule
from . import overrides

_ANY_NUMBER = Hyper(0.0)

# TensorFlow 1.13 has it under a private name only.
_traced: Any = getattr(tf, "function", None)
if _traced is None:
    _traced = importlib.import_module("tensorflow.python.eager.function").defun

# id of a TensorFlow variable -> Keras 3's variable around it, by which it has a full name.
_owners: Any = weakref.WeakValueDictionary()

_descriptors: Any = weakref.WeakKeyDictionary()

# Whether hooks run in this thread: those of an optimizer, and of the ones inside it.
_running = threading.local()


def is_in_step() -> bool:
    """Whether hooks run here, which calculate with what at other times is read and set."""
    return getattr(_running, "step", False)


class HooksRule(UpdateRule):
    """Stands where an adapter has its rule. It keeps no slots: the hooks make them."""

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        """No slots."""
        return {}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        """The parameter as it is."""
        return param, {}


_RULE = HooksRule()

# Attributes of classes that Keras 3's optimizers have, too.
_SHARED_NAMES = ("_exclude_from_weight_decay",)


class Hooked:
    """Mixed into an adapter in front of it."""

    registered = False

    # OptimizerV2's own, which a class that is adopted may bring along, goes to its hyperparameters.
    __getattribute__ = object.__getattribute__

    _kc: Any
    api: str
    _kc_dialect: str
    # Names that kcompat and the host have for themselves, and methods by which a class computes gradients.
    _kc_taken: FrozenSet[str] = frozenset()
    _kc_computing: Tuple[str, ...] = ()
    # Whether the gradients of the next step are summed over the replicas.
    _kc_aggregate = True
    # Under which a wrapper's state has the step counter of the optimizer inside: no variable has such a name.
    _kc_steps = "steps:0"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "_kc_dialect"):  # what is made here at first is the base class
            made: Any = cls
            overrides.check_overrides(made, made._kc_dialect, made._host_class)
            overrides.separate_names(made, made._kc_dialect)

    # What a dialect defines.

    def _create_state(self, variables: Sequence[Any]) -> None:
        """Creates what the optimizer keeps for new variables, which are TensorFlow's."""
        raise NotImplementedError

    def _apply_hooks(self, pairs: Sequence[Tuple[Any, Any]], aggregate: bool) -> List[Any]:
        """Updates all variables of a step, outside of a strategy. Returns the operations that write."""
        raise NotImplementedError

    def _apply_in_replica(self, pairs: Sequence[Tuple[Any, Any]], aggregate: bool) -> Any:
        """What a replica does before all update their variables: (pairs, what `_apply_hook` gets)."""
        raise NotImplementedError

    def _apply_hook(self, grad: Any, variable: Any, prepared: Any) -> Any:
        """Updates one variable. Returns the operation."""
        raise NotImplementedError

    # Construction.

    def _set_up_hooks(self, name: Optional[str]) -> None:
        this: Any = self
        early = {key: value for key, value in overrides.own_attributes(self) if not key.startswith("_kc")}
        for key in early:
            object.__delattr__(self, key)
        this._set_up(_RULE, {} if name is None else {"name": name})
        if "_name" not in vars(self):  # Keras 3 calls it `name`
            object.__setattr__(self, "_name", this._config_name())
        for key, value in early.items():
            setattr(self, key, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if overrides.keep_theirs(self, name):
            object.__setattr__(self, name, value)
        elif "_kc" not in self.__dict__ or name in _own_descriptors(type(self)):
            # Keras 3 refuses attributes before its constructor has run; they are set again then.
            object.__setattr__(self, name, value)
        else:
            if name == "_iterations" and not self._is_host_asking():
                self.__dict__["_kc_borrows_counter"] = True
            super().__setattr__(name, value)

    # Hyperparameters.

    def _new_hyper(self, name: str, value: Any) -> None:
        """Sets a hyperparameter; at first this is what makes it one."""
        this: Any = self
        state = this._kc
        if name in state.attributes:
            this._set_hyper_source(name, value)
            return
        if value is None:
            raise HyperparameterError(
                "{}: the hyperparameter {!r} is None; expected a number, a schedule, a callable or a "
                "variable.".format(type(self).__name__, name)
            )
        value = _ANY_NUMBER.check(value, type(self).__name__)
        hyper = HyperState(name, state.rule, _ANY_NUMBER, value)
        state.hypers[name] = state.attributes[name] = hyper
        this._source_changed(hyper)

    def _hyper_variable(self, hyper: HyperState) -> Any:
        """The TensorFlow variable that holds a hyperparameter's number, or None where there is none yet."""
        this: Any = self
        if self.api == "tf1":
            return this._number_variable(hyper)
        if self.api == "optimizer_v2" and hyper.variable is None:
            with tf.init_scope():
                this._create_hypers()
        variable = hyper.exact if hyper.variable is None else hyper.variable
        return this._native(variable)

    # What the adapter makes by methods of its host that a dialect has, too.

    @contextlib.contextmanager
    def _by_host(self) -> Iterator[None]:
        before = self.__dict__.get("_kc_by_host", False)
        self.__dict__["_kc_by_host"] = True
        try:
            yield
        finally:
            self.__dict__["_kc_by_host"] = before

    def _is_host_asking(self) -> bool:
        """Whether it is the host, or the adapter, that calls a method: it means the host's."""
        return bool(self.__dict__.get("_kc_by_host") or not self._kc.ready)

    def _create_slot(self, variable: Any, name: str, initial: Callable[[], Any], like: bool) -> Any:
        with self._by_host():
            return super()._create_slot(variable, name, initial, like)  # type: ignore[misc]

    def _create_shared(self, name: str, initial: Callable[[], Any]) -> Any:
        with self._by_host():
            return super()._create_shared(name, initial)  # type: ignore[misc]

    def _create_host_variables(self, variables: Sequence[Any]) -> None:
        with self._by_host():
            super()._create_host_variables(variables)  # type: ignore[misc]

    def _host_built(self, variables: Sequence[Any]) -> None:
        # Keras 3 has a list of this name itself, and looks into it.
        own = {name: self.__dict__.pop(name) for name in _SHARED_NAMES if name in self.__dict__}
        try:
            with self._by_host():
                super()._host_built(variables)  # type: ignore[misc]
        finally:
            self.__dict__.update(own)

    def _source_changed(self, hyper: HyperState) -> None:
        with self._by_host():
            super()._source_changed(hyper)  # type: ignore[misc]

    def _variable_key(self, variable: Any) -> Any:
        copies = self.__dict__.get("_kc_copies")
        if copies:
            variable = copies.get(id(variable), variable)
        return super()._variable_key(variable)  # type: ignore[misc]

    def _check_variable(self, variable: Any, name: str) -> None:
        if tf.as_dtype(variable.dtype).name.endswith("_ref"):
            raise GradientError(
                "The variable {!r} is a reference variable of a TensorFlow 1 graph, which has no handle for "
                "the operations that {} calls. Make it with use_resource=True, or call "
                "tf.compat.v1.enable_resource_variables() first.".format(name, type(self).__name__)
            )
        super()._check_variable(variable, name)  # type: ignore[misc]

    # State.

    def _step_counter(self) -> Any:
        """The variable that counts steps, as TensorFlow's, or None while there is none."""
        this: Any = self
        counter = this._iterations_variable()
        return None if counter is None else this._native(counter)

    @property
    def iterations(self) -> Any:
        """The number of steps done: TensorFlow's variable (int64)."""
        this: Any = self
        if is_in_step():
            return self._step_counter()
        if self.api == "tf1" and self._iterations_variable() is None:
            with tf.init_scope():
                # The host wants a variable to put this one beside. None is known yet, so it is one for that.
                beside = v1.Variable(0.0, name="beside", trainable=False, use_resource=True, collections=[])
                this._non_slot(np.int64(0), "iterations", beside)
        with self._by_host():  # an OptimizerV2 makes it when it is first asked for
            return this._native(super().iterations)  # type: ignore[misc]

    @iterations.setter
    def iterations(self, variable: Any) -> None:
        if "_kc" in self.__dict__ and self._kc.ready:
            self._iterations = variable
        else:  # the host's own constructor
            setter = next(
                vars(cls)["iterations"]
                for cls in type(self).__mro__[type(self).__mro__.index(Hooked) + 1 :]
                if "iterations" in vars(cls)
            )
            setter.__set__(self, variable)

    def _iterations_variable(self) -> Any:
        given = self.__dict__.get("_iterations")  # a wrapper's inner optimizer counts with the wrapper
        if given is not None:
            return given
        with self._by_host():
            return super()._iterations_variable()  # type: ignore[misc]

    def _build_new(self, new: Mapping[Any, Any]) -> None:
        this: Any = self
        variables = [known.variable for known in new.values()]
        this._create_host_variables(variables)
        for inner in self._inner_optimizers().values():
            inner._create_host_variables(variables)
        natives = [this._native(variable) for variable in variables]
        _owners.update((id(n), v) for n, v in zip(natives, variables) if n is not v)
        this._kc.variables.update(new)
        try:
            with self._around_foreign():
                self._create_state(natives)
        except Exception:
            for key in new:
                this._kc.variables.pop(key, None)
            raise

    def _build_missing(self, variables: Sequence[Any]) -> None:
        super()._build_missing(variables)  # type: ignore[misc]
        unbuilt = self.__dict__.pop("_kc_unbuilt", None)
        if unbuilt:  # a wrapper has made its slots, and it takes a step itself
            with tf.init_scope():
                self._host_built([known.variable for known in self._kc.variables.values()])
                self._restore_waiting(unbuilt)

    def _slot(
        self, variable: Any, name: str, initial: Callable[[], Any], shape: Optional[Sequence[int]], dtype: Any
    ) -> Any:
        """The TensorFlow variable of a slot, created as the host does if it is not there.

        Args:
            variable: the variable that it is for.
            name: the slot's name.
            initial: gives its initial value, a tensor.
            shape: its shape; the variable's by default.
            dtype: its dtype; the variable's by default.
        """
        this: Any = self
        key = this._variable_key(variable)
        known = this._kc.variables.get(key)
        if known is None:  # of an optimizer inside another, which alone is built
            known = this._kc.variables[key] = this._new_state(_owners.get(id(variable), variable))
            self.__dict__.setdefault("_kc_unbuilt", []).append(known)
        if name not in known.slots:
            like = shape is None or tuple(tf.TensorShape(shape).as_list()) == known.shape
            like = like and (dtype is None or tf.as_dtype(dtype) == variable.dtype.base_dtype)
            with tf.init_scope():
                known.slots[name] = this._create_slot(known.variable, name, initial, like)
        return this._native(known.slots[name])

    def _initial(self, initializer: Any, shape: Any, dtype: Any) -> Any:
        """An initial value, a tensor.

        Args:
            initializer: the name of an initializer of Keras, one, a function of a shape and a dtype, or an
                array, a tensor or a variable.
            shape, dtype: what a function is given; an array is cast.
        """
        this: Any = self
        if isinstance(initializer, str) and initializer == "zeros":
            return tf.zeros(shape, dtype)
        if isinstance(initializer, str):
            initializer = tf.keras.initializers.get(initializer)
        initializer = this._native_value(initializer)
        if _is_variable(initializer):
            return tf.cast(this._initial_param(initializer), dtype)
        if callable(initializer):
            initializer = initializer(tuple(tf.TensorShape(shape).as_list()), dtype=dtype)
        return tf.cast(tf.convert_to_tensor(initializer), dtype)

    def _shared_variable(self, name: str, initial: Callable[[], Any]) -> Any:
        """The TensorFlow variable `name` of the optimizer as a whole, created if it is not there."""
        this: Any = self
        shared = this._kc.shared
        if name not in shared:
            late = self.__dict__.get("_kc_late", {})
            if name in late:
                initial = functools.partial(tf.constant, late.pop(name))
            with tf.init_scope():
                shared[name] = this._create_shared(name, initial)
        return this._native(shared[name])

    def _inner_optimizers(self) -> Dict[str, Any]:
        """The optimizers of a dialect that this one has in its attributes: it is a wrapper around them."""
        found: Dict[str, Any] = {}
        for name, value in list(vars(self).items()):
            if not name.startswith("_kc") and not name.startswith("_self_"):
                _find_optimizers(name, value, found)
        return {name: each for name, each in found.items() if each is not self}

    @contextlib.contextmanager
    def _around_foreign(self) -> Iterator[None]:
        """Says what is wrong where a wrapper asks what it wraps for hooks that this has not."""
        try:
            yield
        except AttributeError as error:
            foreign = {name: each for name, each in vars(self).items() if _is_foreign(name, each)}
            if not foreign:
                raise
            name, inside = next(iter(foreign.items()))
            raise HookError(
                "{0} is a wrapper whose attribute {1} is {2!r}: {3}. What it wraps must be written against "
                "the same hooks: make it with {4}.adopt(Class), and give {0} that optimizer.".format(
                    type(self).__name__, name, inside, error, __package__
                )
            ) from error

    # The step.

    def scale_loss(self, loss: Any) -> Any:
        """What Keras 3's `fit` calls, which then computes the gradients itself.

        Raises:
            HookError: the class computes them in another way.
        """
        for name in self._kc_computing:
            if overrides.overrides(type(self), name):
                raise self._not_in_fit(name)
        if overrides.overrides(type(self), "minimize") and not overrides.overrides(
            type(self), "apply_gradients"
        ):
            raise self._not_in_fit("minimize")
        host: Any = super()
        return host.scale_loss(loss) if hasattr(host, "scale_loss") else loss

    def _not_in_fit(self, name: str) -> HookError:
        return HookError(
            "{0} overrides {1}(), and fit() of this Keras computes the gradients itself: it would silently "
            "do nothing. Call {0}.minimize(loss, variables), with a callable as loss, in a training loop of "
            "your own.".format(type(self).__name__, name)
        )

    @_no_autograph
    def _run(self, grads: Sequence[Any], variables: Sequence[Any], global_step: Any) -> Any:
        this: Any = self
        ordered = this._must_order()
        # A gradient that fails is to find nothing written.
        with this._after(grads):
            pairs, writes = self._as_pairs(grads, variables)
            writes += self._called(pairs) if ordered else self._stepped(pairs)
            with this._after(writes if ordered else ()):
                writes += self._constrain(variables) + self._count_theirs()
            return this._count([write for write in writes if write is not None], global_step)

    def _stepped(self, pairs: Sequence[Tuple[Any, Any]]) -> List[Any]:
        """Calls the hooks. Returns the operations that they return, if they are any."""
        before, _running.step = is_in_step(), True
        try:
            with self._around_foreign():
                done = self._apply_hooks(pairs, self._kc_aggregate)
        finally:
            _running.step = before
        return (
            [] if tf.executing_eagerly() else [each for each in done if hasattr(_operation(each), "inputs")]
        )

    def _called(self, pairs: Sequence[Tuple[Any, Any]], take: Any = None) -> List[Any]:
        """Calls the hooks, or what takes such pairs, in a function. Returns the operation that calls it.

        In a TensorFlow 1 graph nothing orders what one hook reads and another writes, and nothing runs what a
        hook assigns and does not return. In a function all of it runs, in the order of the code.
        """
        step = self._step_of(pairs, self._stepped if take is None else take)
        return [_traced(step, autograph=False)(*flat_gradients(pairs))]

    def _step_of(
        self, pairs: Sequence[Tuple[Any, Any]], take: Callable[[Any], List[Any]]
    ) -> Callable[..., Any]:
        """What takes a step on these variables, as a function of `flat_gradients`."""

        def step(*tensors: Any) -> Any:
            rest = list(tensors)
            again = []
            for grad, variable in pairs:
                if isinstance(grad, tf.IndexedSlices):
                    shape = tf.constant(tf.TensorShape(variable.shape).as_list(), rest[1].dtype)
                    again.append((tf.IndexedSlices(rest.pop(0), rest.pop(0), shape), variable))
                else:
                    again.append((rest.pop(0), variable))
            with tf.control_dependencies(take(again)):
                return tf.constant(0)

        return step

    def _as_pairs(
        self, grads: Sequence[Any], variables: Sequence[Any]
    ) -> Tuple[List[Tuple[Any, Any]], List[Any]]:
        """Pairs of a gradient in the variable's dtype and TensorFlow's variable; and what wrote some."""
        this: Any = self
        pairs: List[Tuple[Any, Any]] = []
        writes = []
        for grad, variable in zip(grads, variables):
            native = this._native(variable)
            if isinstance(this._state_of(variable).rule, Overwritten):
                writes.append(this._write(variable, grad))
                continue
            dtype = native.dtype.base_dtype
            if grad.dtype != dtype:
                grad = (
                    tf.IndexedSlices(tf.cast(grad.values, dtype), grad.indices, grad.dense_shape)
                    if isinstance(grad, tf.IndexedSlices)
                    else tf.cast(grad, dtype)
                )
            pairs.append((grad, native))
        return pairs, writes

    def _count_theirs(self) -> List[Any]:
        """Counts the step on the counter that the class has in place of the host's, as its base class did."""
        counts = self._kc_dialect in ("optimizer_v2", "keras")  # the others' base classes have none
        if not counts or not overrides.overrides(type(self), "iterations"):
            return []
        this: Any = self
        theirs = this._native(self.iterations)
        return [] if theirs is self._step_counter() else [theirs.assign_add(1)]

    def _constrain(self, variables: Sequence[Any]) -> List[Any]:
        this: Any = self
        constrained = [v for v in variables if getattr(v, "constraint", None) is not None]
        return [this._write(v, v.constraint(this._read(v))) for v in constrained]

    # Several replicas.

    def _apply_distributed(
        self,
        grads: Sequence[Any],
        variables: Sequence[Any],
        to_build: Sequence[Any],
        aggregate: bool,
        global_step: Any,
    ) -> Any:
        context = tf.distribute.get_replica_context()
        if context is None:
            raise RuntimeError(
                "{}.apply_gradients() was called in a cross-replica context, where each replica's gradients "
                "are not known. Call it inside strategy.run(...).".format(type(self).__name__)
            )
        this: Any = self
        this._build_missing(to_build)
        pairs, _ = self._as_pairs(grads, variables)
        pairs, prepared = self._apply_in_replica(pairs, aggregate)
        grads, natives = [grad for grad, _ in pairs], [native for _, native in pairs]
        # What is an argument would become one of all replicas; the first one's function is called.
        update = functools.partial(self._update_replicas, prepared)
        return context.merge_call(update, args=(grads, natives, global_step))

    def _update_replicas(
        self, prepared: Any, strategy: Any, grads: Sequence[Any], variables: Sequence[Any], global_step: Any
    ) -> Any:
        this: Any = self

        def update(variable: Any) -> Any:
            copies[id(variable)] = current[0]
            # Called for each device in turn; with one copy of the variable, for the first alone.
            written = self._apply_hook(parts.pop(0), variable, prepared)
            constraint = getattr(variable, "constraint", None)
            if constraint is None:
                return written
            with this._after([written] if this._must_order() else ()):
                return this._write(variable, constraint(variable.read_value()))

        writes: List[Any] = []
        current: List[Any] = []
        # What each device has of a gradient. Not an argument of update(): up to TensorFlow 2.4 that refuses
        # what is the same on all replicas and does not say so.
        parts: List[Any] = []
        # A device's copy of a variable -> the variable, by which the slots are known.
        copies: Dict[int, Any] = {}
        self.__dict__["_kc_copies"] = copies
        each_grad = [strategy.experimental_local_results(grad) for grad in grads]
        with this._after([part for grad in each_grad for part in grad]):
            for grad, variable in zip(each_grad, variables):
                current[:], parts[:] = [variable], grad
                writes += strategy.extended.update(variable, update, group=False)
        self.__dict__["_kc_copies"] = None
        with this._after(writes):
            counted = [self._step_counter().assign_add(1)]
            if global_step is not None:
                counted.append(strategy.extended.update(global_step, v1.assign_add, args=(1,)))
        if tf.executing_eagerly():
            return None
        return tf.group(*[_operation(each) for each in counted])

    # Configuration.

    def _base_config(self) -> Dict[str, Any]:
        """The host's part of the configuration; raises where the host would write one and lose the state."""
        config: Dict[str, Any] = super().get_config()  # type: ignore[misc]
        return {"name": config["name"]}

    def _current_rule(self, rule: Any = None) -> Any:
        # What asks is a wrapper of update rules, or another API that would train with the same rule.
        raise RuleError(
            "{} is written against an API's hooks, and has no update rule that could be wrapped or run "
            "elsewhere. Adopt a wrapper that is written against the same hooks: {}.adopt(Wrapper).".format(
                type(self).__name__, __package__
            )
        )

    def __reduce_ex__(self, protocol: Any) -> Any:
        this: Any = self
        inside = [_how(type(inner)) for inner in self._inner_optimizers().values()]
        return _restored, (_how(type(self)), this.get_config(), this._state_to_copy(), inside)

    # State, with that of the optimizers inside a wrapper.

    def _state_variables(self) -> List[Any]:
        host: Any = super()
        found = [each for each in host._state_variables() if not self._is_borrowed(each)]
        for inner in self._inner_optimizers().values():
            counter = None if self._counts_for_itself(inner) else inner._iterations_variable()
            found += [each for each in inner._state_variables() if each is not counter]
        return found

    def _counts_for_itself(self, inner: Any) -> bool:
        """Whether an optimizer inside this one has a step counter of its own."""
        if inner.__dict__.get("_kc_borrows_counter"):
            return False
        # What hands its own to it in each step has not done so yet.
        return not overrides.stores(type(self), ("_iterations", "iterations"))

    def _take_state(self) -> SavedState:
        saved: SavedState = super()._take_state()  # type: ignore[misc]
        saved.shared.update(self.__dict__.get("_kc_late", {}))
        for name, inner in self._inner_optimizers().items():
            state = inner._take_state()
            for each in state.variables:
                slots = {"{}.{}".format(name, slot): array for slot, array in each.slots.items()}
                saved.variables.append(SavedVariable(each.name, each.shape, slots))
            saved.shared.update(("{}.{}".format(name, key), array) for key, array in state.shared.items())
            if self._counts_for_itself(inner):
                saved.shared["{}.{}".format(name, self._kc_steps)] = np.asarray(state.iterations, "int64")
        return saved

    def _put_state(self, saved: SavedState) -> None:
        for name, inner in self._inner_optimizers().items():
            prefix = name + "."
            mine = [each for each in saved.variables if not _is_inside(each, prefix)]
            theirs = [
                each._replace(slots={slot[len(prefix) :]: array for slot, array in each.slots.items()})
                for each in saved.variables
                if _is_inside(each, prefix)
            ]
            shared = {key: array for key, array in saved.shared.items() if key.startswith(prefix)}
            rest = {key: array for key, array in saved.shared.items() if key not in shared}
            inside = {key[len(prefix) :]: array for key, array in shared.items()}
            done = saved.iterations
            if self._counts_for_itself(inner):
                done = int(inside.pop(self._kc_steps, 0))
            inner._put_state(SavedState(done, theirs, inside, None, saved.strict))
            saved = saved._replace(variables=mine, shared=rest)
        host: Any = super()
        self.__dict__["_kc_is_counter_put"] = self._iterations_variable() is not None
        host._put_state(saved)
        if self._kc.waiting is saved and not saved.variables and not saved.shared:
            self._kc.waiting = None  # a wrapper that has nothing itself is never built

    def _restore_waiting(self, new: Sequence[Any]) -> None:
        this: Any = self
        waiting: Optional[SavedState] = self._kc.waiting
        if waiting is not None:
            if waiting.iterations is not None and self.__dict__.pop("_kc_is_counter_put", False):
                # It has its value, and a wrapper may have counted on before it was built.
                (done,) = this._read_values([self._iterations_variable()])
                self._kc.waiting = waiting._replace(iterations=int(done))
            # Of variables that a hook makes in the first step.
            late = {name: array for name, array in waiting.shared.items() if name not in self._kc.shared}
            self.__dict__.setdefault("_kc_late", {}).update(late)
        super()._restore_waiting(new)  # type: ignore[misc]
        for inner in self._inner_optimizers().values():
            if inner._kc.variables:  # else it is built later
                inner._restore_waiting(list(inner._kc.variables.values()))

    # What is on every API.

    @property
    def variables(self) -> Any:
        """The host's list of the optimizer's variables; to be called, too, as where it is a method."""
        host: Any = super()
        found = host.variables
        return _Variables(found() if callable(found) else found)

    @property
    def weights(self) -> List[Any]:
        """The variables that `get_weights` reads, as TensorFlow's."""
        this: Any = self
        return [this._native(each) for each in this._ordered_weights()]

    def _own_weights_only(self) -> List[Any]:
        """The same without those of the optimizers inside, which a wrapper adds itself."""
        this: Any = self
        host: Any = super()
        return [this._native(each) for each in host._state_variables() if not self._is_borrowed(each)]

    def _is_borrowed(self, variable: Any) -> bool:
        """Whether a variable is the counter of the wrapper that this optimizer is in."""
        return bool(self.__dict__.get("_kc_borrows_counter")) and variable is self.__dict__.get("_iterations")


class _Variables(List[Any]):
    """A list that gives itself when it is called, and is compared without asking TensorFlow's variables.

    TensorFlow 2.0 compares what is called with modules' attributes, some of which are lists.
    """

    def __eq__(self, other: Any) -> bool:
        """Whether the other is a list of the same variables."""
        same = isinstance(other, list) and len(self) == len(other)
        return same and all(one is another for one, another in zip(self, other))

    def __ne__(self, other: Any) -> bool:
        """Whether it is not."""
        return not self == other

    def __call__(self) -> Any:
        """The list."""
        return self


def on_values(function: Callable[[Any], Any], grad: Any) -> Any:
    """A function of a gradient, or of the rows of a sparse one."""
    if isinstance(grad, tf.IndexedSlices):
        return tf.IndexedSlices(function(grad.values), grad.indices, grad.dense_shape)
    return function(grad)


def flat_gradients(pairs: Sequence[Tuple[Any, Any]]) -> List[Any]:
    """The tensors that the gradients of a step are made of."""
    flat: List[Any] = []
    for grad, _ in pairs:
        flat += [grad.values, grad.indices] if isinstance(grad, tf.IndexedSlices) else [grad]
    return flat


def summed(grad: Any) -> Any:
    """A gradient, in which a sparse one has rows of the same index summed."""
    if not isinstance(grad, tf.IndexedSlices):
        return grad
    unique, positions = tf.unique(grad.indices)
    values = tf.math.unsorted_segment_sum(grad.values, positions, tf.shape(unique)[0])
    return tf.IndexedSlices(values, unique, grad.dense_shape)


def _is_inside(saved: SavedVariable, prefix: str) -> bool:
    return any(slot.startswith(prefix) for slot in saved.slots)


def _is_foreign(name: str, value: Any) -> bool:
    """Whether an attribute is an optimizer that is not of a dialect, or the name of one."""
    if name.startswith(("_kc", "__")) or isinstance(value, Hooked):
        return False
    if isinstance(value, str):
        return "opt" in name.lower()
    return hasattr(value, "apply_gradients")


def _find_optimizers(name: str, value: Any, found: Dict[str, Any]) -> None:
    if isinstance(value, Hooked):
        if all(value is not each for each in found.values()):
            found[name] = value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            _find_optimizers("{}.{}".format(name, key), each, found)
    elif isinstance(value, (list, tuple)):
        for i, each in enumerate(value):
            _find_optimizers("{}.{}".format(name, i), each, found)


def _how(cls: Any) -> Any:
    """What finds a class again in another process: itself, or what it was adopted from."""
    adopted = vars(cls).get("_adopted_from")
    return cls if adopted is None else adopted


def _class_of(how: Any) -> Any:
    if not isinstance(how, tuple):
        return how
    from .adopting import adopt

    return adopt(how[0], how[1])


def _restored(how: Any, config: Mapping[str, Any], saved: Any, inside: Sequence[Any] = ()) -> Any:
    # A wrapper's configuration names the classes of the optimizers inside, which need not be registered.
    classes = {cls.__name__: cls for cls in map(_class_of, inside)}
    with tf.keras.utils.CustomObjectScope(classes):
        made = _class_of(how).from_config(dict(config))
    if saved is not None:
        made._put_state(saved)
    return made


def _own_descriptors(cls: type) -> Set[str]:
    """The names of the properties that can be set, of a class and its bases up to `Hooked`."""
    if cls not in _descriptors:
        names: Set[str] = set()
        for base in cls.__mro__[: cls.__mro__.index(Hooked)]:
            names |= {name for name, value in vars(base).items() if hasattr(type(value), "__set__")}
        _descriptors[cls] = names
    found: Set[str] = _descriptors[cls]
    return found
