"""What the adapters on TensorFlow share: one training step over the whole list of variables.

The order is the same everywhere: gradients are checked, aggregated over replicas and their duplicate
indices summed; everything is read; the rule runs; then everything is written, and the step is counted. In a
TensorFlow 1 graph, where nothing else would order them, control dependencies hold writes back until what
they overwrite has been read.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import numbers
import os
from types import MappingProxyType
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from .. import namespaces
from ..contract import check_result, check_slots, init_reads_param
from ..elementwise import is_elementwise
from ..errors import GradientError, HyperparameterError, NotBuiltError, StateError
from ..namespaces.array import weak_value
from ..namespaces.tensorflow import keeping_nan
from ..rule import UpdateRule, hyper_values
from ..schedules import Schedule, schedule_of_keras
from .base import HyperState, VariableState, as_pairs, in_words
from .callers import calling_code
from .compiled_tensorflow import (
    FEW,
    LARGE,
    XLA_IS_SLOW,
    Compiled,
    Packing,
    TracedStep,
    why_no_xla,
    why_not_fused,
)
from .distribution_tensorflow import DistributedStepAdapter
from .hosts_saving import loading_saved_model
from .kernels import Chain, inside
from .kernels_tensorflow import (
    Kernel,
    assign_part,
    ftrl_is_of_two_minds,
    kernel_of,
    read_part,
    write_part,
)
from .naming_tensorflow import renamed_when_made
from .plan import Way, no_kernel, the_rule
from .repeat_tensorflow import Repeat, is_plain, kernels_again
from .step import Gradient, StepAdapter
from .uninterrupted import Uninterrupted

v1 = tf.compat.v1
_is_tensor = getattr(tf, "is_tensor", lambda value: isinstance(value, tf.Tensor))  # none in TensorFlow 1.13


_NOTHING = contextlib.ExitStack()  # a context that does nothing; it may be entered again
_DTYPES = frozenset([tf.float32, tf.float64, tf.float16, tf.bfloat16])


class _NoVariableError(GradientError, AttributeError):
    """Also an AttributeError: a checkpoint asks `get_slot` about every object in it, variable or not."""


def _no_autograph(function: Any) -> Any:
    """Keeps AutoGraph from rewriting a function that is called in a user's tf.function.

    There is nothing to rewrite: it would only make tracing slow, and it fails on some Python syntax.
    """
    exempt = getattr(tf.autograph.experimental, "do_not_convert", None)
    if exempt is None:  # TensorFlow 1.13
        return function
    if "func" in inspect.signature(exempt).parameters:
        return exempt(function)
    return exempt()(function)  # TensorFlow 1.14 makes the decorator first


class TensorFlowAdapter(DistributedStepAdapter):
    """The shared base of the adapters `tf1`, `get_updates`, `optimizer_v2`, `keras_2_11`, and of `keras_3` on
    TensorFlow.
    """

    backend = "tensorflow"

    # Whether the host takes TensorFlow 1's reference variables.
    takes_reference_variables = False

    # Variables.

    def _variable_key(self, variable: Any) -> Any:
        # An adapter that `kcompat.state` looks at a native optimizer through is not constructed.
        state = self.__dict__.get("_kc")
        found = None if state is None else state.keys.get(id(variable))
        if found is not None and found[0] is variable:
            return found[1]
        variable = self._native(variable)
        if hasattr(variable, "_distributed_container"):
            container = variable._distributed_container()
            variable = variable if container is None else container
        unique = getattr(variable, "_unique_id", None)
        # In a TensorFlow 1 graph the id is the name, which another graph may have too, and a reference
        # variable has none.
        if unique is None or getattr(variable, "_in_graph_mode", False):
            if not hasattr(variable, "op"):
                raise _no_variable(type(self).__name__, variable)
            # Not its operation, which under a distribution strategy is another one in each replica.
            return variable.graph, variable.name
        return unique

    @_no_autograph
    def build(self, var_list: Sequence[Any]) -> None:
        """Creates the optimizer's variables for these variables; those it knows already are passed over.

        Args:
            var_list: the variables, float16, bfloat16, float32 or float64.

        Raises:
            GradientError: one of another dtype, or one that can't be trained here.
        """
        with tf.init_scope():
            self._build(list(var_list))

    def _build_missing(self, variables: Sequence[Any]) -> None:
        if self._is_new_to(variables):
            with tf.init_scope():
                self._build(variables)

    _build = _no_autograph(StepAdapter._build)

    def _build_new(self, new: Mapping[Any, VariableState]) -> None:
        try:
            with renamed_when_made():
                super()._build_new(new)
        finally:
            self._kc.initial.clear()
        for key, known in new.items():
            self._kc.keys[id(known.variable)] = known.variable, key

    def _check_variable(self, variable: Any, name: str) -> None:
        if tf.as_dtype(variable.dtype).name.endswith("_ref") and not self.takes_reference_variables:
            raise GradientError(
                "The variable {!r} is a reference variable of a TensorFlow 1 graph, which Keras' optimizers "
                'do not take. Make it with use_resource=True, or use the api "tf1".'.format(name)
            )
        if not self._is_made_here(self._native(variable)):
            strategy = type(tf.distribute.get_strategy()).__name__
            named = strategy if self._has_strategy() else "no strategy"
            raise GradientError(
                "The variable {!r} was made in the scope of another distribution strategy than that in which "
                "the optimizer is built; expected one of {}. Make both, and take the steps, in one "
                "strategy.scope().".format(name, named)
            )

    # Arrays.

    def _dtype_name(self, variable: Any) -> str:
        return str(tf.as_dtype(variable.dtype).base_dtype.name)

    def _read(self, variable: Any) -> Any:
        return self._native(variable).read_value()

    def _cast(self, array: Any, dtype: Any) -> Any:
        return tf.cast(array, dtype)

    def _read_rows(self, variable: Any, rows: Any) -> Any:
        # Once rows of a resource variable have been written, TensorFlow copies all of it where it is read.
        return tf.gather(self._read(variable) if self._has_strategy() else self._native(variable), rows)

    def _in_dtype_of(self, variable: Any, value: Any) -> Any:
        return tf.cast(value, self._native(variable).dtype.base_dtype)

    def _write(self, variable: Any, value: Any) -> Any:
        native = self._native(variable)
        return native.assign(tf.cast(value, native.dtype.base_dtype), read_value=False)

    def _write_rows(self, variable: Any, rows: Any, value: Any) -> Any:
        native = self._native(variable)
        return v1.scatter_update(native, rows, tf.cast(value, native.dtype.base_dtype))

    def _is_sparse(self, grad: Any) -> bool:
        return isinstance(grad, tf.IndexedSlices)

    def _must_order(self) -> bool:
        return not tf.executing_eagerly() and not _in_function()

    @contextlib.contextmanager
    def _after(self, arrays: Sequence[Any]) -> Iterator[None]:
        """Operations made inside run after these, through one barrier (not one edge for each pair)."""
        if self._runs_at_once():
            yield
            return
        here, operations = v1.get_default_graph(), []
        for array in arrays:
            parts = (array.values, array.indices) if isinstance(array, tf.IndexedSlices) else (array,)
            operations += [_operation(part) for part in parts]
        # Not None, nor what a function or a branch was given, which is there already.
        operations = [each for each in operations if getattr(each, "graph", None) is here]
        if not operations:
            yield
            return
        with v1.control_dependencies([tf.group(*operations)]):
            yield

    @staticmethod
    def _shape(variable: Any) -> Tuple[int, ...]:
        return tuple(tf.TensorShape(variable.shape).as_list())

    def _plan_slots(self, known: VariableState) -> Dict[str, Tuple[Callable[[], Any], bool]]:
        variable, xp, rule = known.variable, known.xp, known.rule
        shape = self._shape(variable)
        reads = init_reads_param(rule)
        if reads and tf.executing_eagerly() and not self._has_value(variable):
            # Made in the tf.function that is being traced, as Keras 3 makes the variables of a model that is
            # first called there: it has no value before that runs.
            known.unset = tf.Variable(True, trainable=False, dtype=tf.bool)
            self._kc.unset = True
            reads = False

        def slots() -> Dict[str, Any]:
            if reads:
                param = tf.cast(self._initial_param(variable), xp.compute_dtype)
            else:
                param = self._zeros(shape, xp.compute_dtype)
            return check_slots(rule, xp, rule.init(xp, xp.wrap(param)))

        same_dtype = tf.as_dtype(variable.dtype).base_dtype == xp.compute_dtype
        found: Mapping[str, Any] = {}
        if tf.executing_eagerly():
            found = slots() if reads else _once(self._kc.initial, (rule, xp, shape), slots)
            shapes = {name: tuple(value.shape) for name, value in found.items()}
        else:
            shapes = self._slot_shapes(known)

        if tf.executing_eagerly() and not self._has_strategy():
            values = {name: xp.unwrap(value) for name, value in found.items()}
            initial: Callable[[str], Any] = values.__getitem__
        else:
            made: Dict[Any, Mapping[str, Any]] = {}

            def initial(name: str) -> Any:
                if tf.executing_eagerly():
                    return xp.unwrap(slots()[name])
                # Once for all slots, in a graph that is not to become larger than need be.
                return xp.unwrap(_once(made, v1.get_default_graph(), slots)[name])

        return {
            name: (functools.partial(initial, name), same_dtype and shapes[name] == shape) for name in shapes
        }

    def _slot_shapes(self, known: VariableState) -> Dict[str, Tuple[int, ...]]:
        """The names and shapes of a variable's slots, found out in a graph that is thrown away."""
        xp, rule = known.xp, known.rule
        key = rule, xp, known.shape
        if key not in self._kc.slot_shapes:
            with tf.Graph().as_default():
                found = check_slots(rule, xp, rule.init(xp, xp.wrap(tf.zeros(known.shape, xp.compute_dtype))))
                self._kc.slot_shapes[key] = {name: tuple(value.shape) for name, value in found.items()}
        return self._kc.slot_shapes[key]

    def _zeros(self, shape: Tuple[int, ...], dtype: Any) -> Any:
        """Zeros in the place of a parameter; in a graph one tensor for all variables of this shape."""
        if tf.executing_eagerly():
            return tf.zeros(shape, dtype)
        key = v1.get_default_graph(), shape, dtype
        return _once(self._kc.zeros, key, lambda: tf.zeros(shape, dtype))

    def _has_value(self, variable: Any) -> bool:
        """In eager mode, whether a variable has been given a value."""
        native = self._one_copy(variable)
        return not hasattr(native, "handle") or bool(v1.is_variable_initialized(native).numpy())

    def _write_all(
        self,
        grads: Sequence[Any],
        variables: Sequence[Any],
        known: Sequence[VariableState],
        checks: List[Any],
    ) -> List[Any]:
        if self._kc.unset:
            for each in known:
                if each.unset is not None:
                    self._set_slots(each)
        if not tf.executing_eagerly() or self._has_strategy():
            return super()._write_all(grads, variables, known, checks)
        slow = self._is_worth_a_trace(known, grads)
        traced = self._traced_step(grads, variables, known) if slow else None
        if traced is None:
            super()._write_all(grads, variables, known, checks)
        else:
            self._take(traced, self._numbers(*self._steps_done()), grads)
        if traced is not None or not slow:
            self._remember(grads, variables, known, traced)
        return []

    def _numbers(self, done: Any, step: Any) -> List[Any]:
        """What a traced step is given: the step's number and the hyperparameters in their order."""
        return [step, *[self._hyper_value(hyper, done) for hyper in self._kc.hypers.values()]]

    def _traced_step(
        self, grads: Sequence[Any], variables: Sequence[Any], known: Sequence[VariableState]
    ) -> Optional[TracedStep]:
        """In eager mode, the step as one traced function; None where it is not to be traced."""
        hypers = list(self._kc.hypers.values())

        def body(numbers: Any, grads: Sequence[Any]) -> None:
            step, *values = tf.unstack(numbers)
            scalars = {
                xp: {(id(h.rule), h.name): xp.scalar(v) for h, v in zip(hypers, values)}
                for xp in {each.xp for each in known}
            }
            gradients = [self._gradient(g, k, v) for g, k, v in zip(grads, known, variables)]
            with self._after([check for gradient in gradients for check in gradient.checks]):
                self._update_all(gradients, known, variables, scalars, step, ordered=False)

        def make() -> TracedStep:
            return TracedStep(body, Packing(grads, [each.shape for each in known]), 1 + len(hypers))

        key = [
            (id(each), grad.values.dtype, grad.indices.dtype)
            if isinstance(grad, tf.IndexedSlices)
            else (id(each), grad.dtype)
            for each, grad in zip(known, grads)
        ]
        return self._compiled().traced_step(tuple(key), make)

    def _remember(
        self,
        grads: Sequence[Any],
        variables: Sequence[Any],
        known: Sequence[VariableState],
        traced: Optional[TracedStep],
    ) -> None:
        """Keeps what takes an eager step again, if nothing in it is to be decided anew each time."""
        if not all(map(is_plain, grads)):
            return
        take: Any
        scalars: Any
        if traced is not None:
            take, scalars = traced, self._numbers

        elif self._kc.root.needs_all or not all(_is_direct(each, g) for each, g in zip(known, grads)):
            return
        else:
            natives = [[self._native(each) for each in (k.variable, *k.slots.values())] for k in known]
            take = kernels_again(known, natives)

            def scalars(done: Any, step: Any) -> Any:
                return self._scalars({each.xp for each in known}, done), step

        memory = self._memory(variables, known)
        self._compiled().remember(Repeat(variables, known, grads, memory, take, scalars, traced is not None))

    @staticmethod
    def _memory(variables: Sequence[Any], known: Sequence[VariableState]) -> List[Tuple[Any, Any]]:
        """The host's variables, of these and their slots, that hold their values in another object, each with
        that: it may be replaced.
        """
        return []

    def _taken_again(self, pairs: Sequence[Tuple[Any, Any]]) -> bool:
        """Takes an eager step that is like one before; False, with nothing done, if it is not."""
        compiled = self._kc.compiled
        if compiled is None or self._kc.unset or not self._is_here_and_now():
            return False
        repeat = compiled.repeat([variable for _, variable in pairs])
        grads = [grad for grad, _ in pairs]
        if repeat is None or not repeat.fits(grads):
            return False
        with Uninterrupted():
            self._take(repeat.take, repeat.scalars(*self._steps_done()), grads)
            self._count([], None)
        return True

    def _take(self, step: Callable[[Any, Sequence[Any]], None], scalars: Any, grads: Sequence[Any]) -> None:
        """Takes a whole eager step; a warning says so where memory has ended in the middle of it."""
        try:
            step(scalars, grads)
        except tf.errors.ResourceExhaustedError as error:
            self._warn_of_a_part(error, len(grads))
            raise

    def _is_here_and_now(self) -> bool:
        """Whether variables are written at once, and no strategy, or scope of the host's, has others."""
        return bool(tf.executing_eagerly()) and not self._has_strategy()

    def _is_worth_a_trace(self, known: Sequence[VariableState], grads: Sequence[Any]) -> bool:
        """Whether an eager step has many variables that take more than a kernel or a compiled step."""
        slow = 0
        for each, grad in zip(known, grads):
            way = self._way_of(each)
            if way.plain:
                return False
            by_rows = each.rule.sparse == "rows" and isinstance(grad, tf.IndexedSlices)
            at_once = way.kernel is not None and way.chain is None and not way.kernel.decays
            slow += by_rows or not (at_once or way.large is not None)
        return slow > FEW

    def _compiled(self) -> Compiled:
        if self._kc.compiled is None:
            self._kc.compiled = Compiled()
        compiled: Compiled = self._kc.compiled
        return compiled

    def _set_slots(self, known: VariableState) -> None:
        """Gives slots that start from the parameter their initial values, once that has one."""
        with tf.init_scope():
            if not known.unset.numpy():
                known.unset = None
                return
        xp, unset = known.xp, known.unset.read_value()
        param = tf.cast(self._read(known.variable), xp.compute_dtype)
        values = check_slots(known.rule, xp, known.rule.init(xp, xp.wrap(param)))
        for name, slot in known.slots.items():
            self._write(slot, tf.where(unset, xp.unwrap(values[name]), self._read(slot)))
        known.unset.assign(False)

    def _initial_param(self, variable: Any) -> Any:
        """A variable's value, for initial values made of it: in a graph, also before it is initialized."""
        if tf.executing_eagerly():
            return self._native(variable).read_value()
        variable = self._one_copy(variable)
        if not hasattr(tf, "raw_ops"):  # TensorFlow 1.13
            return variable.initialized_value()
        # What initialized_value() was until 2.14, out of the operations that cond() had in TensorFlow 1: the
        # cond() of TensorFlow 2 reads a reference variable on both branches, and so before it has a value.
        ready = v1.is_variable_initialized(variable)
        initial, _ = tf.raw_ops.Switch(data=variable.initial_value, pred=ready)
        if hasattr(variable, "handle"):
            _, handle = tf.raw_ops.Switch(data=variable.handle, pred=ready)
            value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=variable.dtype.base_dtype)
        else:
            _, ref = tf.raw_ops.RefSwitch(data=variable._ref(), pred=ready)
            value = tf.identity(ref)
        merged, _ = tf.raw_ops.Merge(inputs=[initial, value])
        merged.set_shape(variable.shape)
        return merged

    # Hyperparameters.

    def _new_exact(self, name: str, number: float) -> Any:
        """A float64 variable for a hyperparameter; checkpoints hold it beside the host's own in float32."""
        with tf.init_scope():
            variable = tf.Variable(np.float64(number), name=name, trainable=False, dtype=tf.float64)
        if hasattr(self, "_track_trackable"):  # Keras 3.0's optimizers are nothing that TensorFlow can save
            self._track_trackable(variable, name + "_exact", overwrite=True)
        return variable

    def _hyper_value(self, hyper: HyperState, done: Any) -> Any:
        """A hyperparameter's value in this step: a float64 scalar, or in eager mode a float.

        Args:
            hyper: the hyperparameter.
            done: the number of steps done, an int64 scalar.
        """
        kind, source = hyper.kind, hyper.source
        if kind == "number":
            return self._number_tensor(hyper)
        if isinstance(source, Schedule):
            xp = namespaces.namespace("tensorflow", "float64")
            return xp.unwrap(source.value(xp, xp.scalar(done))) if _is_tensor(done) else source(done)
        where = "{}.{}: the {}".format(type(self).__name__, hyper.name, kind)
        if kind == "callable":
            source = self._call(source, where)
        elif kind == "schedule":
            # An array: of numbers TensorFlow keeps tensors, and this is another one in each step.
            done = done if _is_tensor(done) else tf.constant(np.asarray(done, "int64"))
            source = source(done if hasattr(source, "get_config") else tf.cast(done, tf.float32))
        source = self._native_value(source)
        _check_scalar(source, where)
        if isinstance(source, (numbers.Real, np.ndarray)):  # TensorFlow would take it for float32
            return tf.constant(np.asarray(source, "float64"))
        return tf.cast(tf.convert_to_tensor(source), tf.float64)

    def _native_value(self, value: Any) -> Any:
        return value

    def _number_tensor(self, hyper: HyperState) -> Any:
        # The host's float32 variable decides, since callbacks and checkpoints write to it; but while it holds
        # the rounded form of the number that was given, that number itself is used.
        exact, host = hyper.exact.read_value(), None
        if hyper.variable is not None:
            host = self._native(hyper.variable).read_value()
        if tf.executing_eagerly():
            # Known here, so that what a rule computes of hyperparameters alone costs no operations.
            number = float(exact.numpy())
            if host is not None and host.numpy() != host.dtype.as_numpy_dtype(number):
                number = float(host.numpy())
            return number
        if host is None:
            return exact
        xp = namespaces.namespace("tensorflow", "float64")
        rounded = xp.wrap(tf.equal(tf.cast(exact, host.dtype), host))
        return xp.unwrap(xp.where(rounded, xp.wrap(exact), xp.wrap(tf.cast(host, tf.float64))))

    @staticmethod
    def _call(function: Callable[[], Any], where: str) -> Any:
        """Calls a function of nothing, at every step, also where the step has been traced."""
        value = function()
        if tf.executing_eagerly() or _is_tensor(value) or isinstance(value, tf.Variable):
            return value
        _check_scalar(value, where)
        # A Python number in a traced step would be frozen at its first value.
        (value,) = v1.py_func(lambda: np.float64(function()), [], [tf.float64])
        value.set_shape(())
        return value

    def _assign_number(self, hyper: HyperState, number: float) -> None:
        for variable in (hyper.exact, hyper.variable):
            if variable is not None:
                self._set_value(variable, number)

    def _get_hyper(self, name: str, dtype: Any = None) -> Any:
        """A hyperparameter's value now, cast if `dtype` is given: what code written for OptimizerV2 asks."""
        # What Addons' Yogi calls beta1 in its constructor is beta_1 here.
        name = name if name in self._kc.attributes else name.replace("_", "")
        value = self._get_attribute(name)
        return value if dtype is None else tf.cast(value, dtype)

    def _shared_variable(self, name: str) -> Any:
        with tf.init_scope():
            return super()._shared_variable(name)

    def _set_value(self, variable: Any, number: float) -> None:
        native = self._native(variable)
        if tf.executing_eagerly() or not _in_v1_graph(native):
            with tf.init_scope():
                native.assign(np.asarray(number, native.dtype.base_dtype.as_numpy_dtype))
            return
        session = self._session_of(native)
        if session is None:
            raise HyperparameterError(
                "Setting {}.{} in a TensorFlow 1 graph needs a session: set it inside `with "
                "session.as_default():`, or run optimizer.{}.assign(...) in your session, or give a "
                "variable, a tensor or a callable as the hyperparameter.".format(
                    type(self).__name__, variable.op.name, variable.op.name.rpartition("/")[2]
                )
            )
        try:
            session.run(native)
        except tf.errors.FailedPreconditionError as error:
            raise HyperparameterError(
                "Setting {}.{}: it has not been initialized in this session, and initializing it would undo "
                "what is set now. Initialize the variables first.".format(type(self).__name__, native.op.name)
            ) from error
        native.load(number, session)

    def _session_of(self, variable: Any) -> Any:
        """The session that can assign a variable of a TensorFlow 1 graph, or None."""
        session = v1.get_default_session()
        return session if session is not None and session.graph is variable.graph else None

    def _evaluate(self, tensor: Any) -> Any:
        """The value of a tensor of a TensorFlow 1 graph.

        Raises:
            ValueError: there is no session.
        """
        session = self._session_of(tensor)
        if session is None:
            raise ValueError("there is no session of the graph")
        return session.run(tensor)

    def _read_number(self, hyper: HyperState) -> float:
        if hyper.kind != "number":
            value = self._public_hyper(hyper)
            native = self._native_value(value)
            if isinstance(native, (numbers.Real, np.ndarray)):
                return float(native)
            if hasattr(native, "numpy"):
                return float(native.numpy())
            return float(self._evaluate(native))
        source = float(hyper.source)
        variable = hyper.variable if hyper.variable is not None else hyper.exact
        if variable is None:
            return hyper.source
        native = self._native(variable)
        try:
            with tf.init_scope():
                value = native.read_value().numpy() if tf.executing_eagerly() else self._evaluate(native)
        except _UNREADABLE:
            return hyper.source
        dtype = native.dtype.base_dtype.as_numpy_dtype
        return hyper.source if dtype(source) == dtype(value) else float(value)

    def _has_variable(self, hyper: HyperState) -> bool:
        return hyper.variable is not None or hyper.exact is not None

    def _public_hyper(self, hyper: HyperState) -> Any:
        if hyper.kind == "number":
            if hyper.variable is not None:
                return hyper.variable
            return hyper.exact if hyper.exact is not None else hyper.source
        if hyper.kind == "callable":
            return hyper.source()
        if hyper.kind == "schedule":
            code = calling_code(".callbacks")
            if code is not None and code.co_name == "_collect_learning_rate":
                return hyper.source  # TensorBoard logs the rate of a schedule, and of nothing else
            done = self._iterations_variable()
            done = 0 if done is None else self._native(done)
            takes_object = hasattr(hyper.source, "get_config")
            return hyper.source(tf.convert_to_tensor(done) if takes_object else tf.cast(done, tf.float32))
        return hyper.source

    def _steps_done(self) -> Tuple[Any, Any]:
        """The number of steps done (int64) and of this step (float64); in eager mode an int and a float."""
        counter = self._native(self._iterations_variable())
        if tf.executing_eagerly() and not self._has_strategy():
            done = int(counter.numpy())
            return done, float(done + 1)
        tensor = tf.convert_to_tensor(counter.read_value())
        return tensor, tf.cast(tensor + 1, tf.float64)

    # The step.

    def _as_gradient(self, grad: Any, shape: Tuple[int, ...], name: str) -> Any:
        if type(grad).__name__ == "EagerTensor" and tf.executing_eagerly():
            # What nearly every gradient is, told in a tenth of the time that the checks take.
            if grad.dtype in _DTYPES and grad._shape_tuple() == shape:
                return grad
        if not isinstance(grad, tf.IndexedSlices):
            grad = _as_tensor(grad, name)
        _check_gradient(grad, shape, name)
        return grad

    def _check_here(self, grads_and_vars: Sequence[Tuple[Any, Any]]) -> None:
        graph = self._outer_graph()
        for grad, variable in grads_and_vars:
            self._check_pair(grad, variable, graph)

    @staticmethod
    def _outer_graph() -> Any:
        """The TensorFlow 1 graph that the step belongs to, or None in eager mode and in functions there."""
        if tf.executing_eagerly():
            return None
        with tf.init_scope():
            return None if tf.executing_eagerly() else v1.get_default_graph()

    def _check_pair(self, grad: Any, variable: Any, graph: Any) -> None:
        """Raises GradientError if this is no variable that can be trained here.

        Args:
            grad: what stands before it in the pair.
            variable: what stands in the variable's place.
            graph: `_outer_graph()`.
        """
        where = type(self).__name__
        native = self._native(variable)
        if not _is_variable(native):
            if isinstance(getattr(variable, "value", None), tf.Variable):
                raise _no_variable(where, variable)
            raise GradientError(
                "{}.apply_gradients() was given {} as a variable; expected a {}.{}".format(
                    where,
                    in_words(variable),
                    "keras.Variable or tf.Variable" if self.api == "keras_3" else "tf.Variable",
                    " A pair is (gradient, variable), not the other way round."
                    if _is_variable(self._native(grad))
                    else "",
                )
            )
        owner = native.graph if _in_v1_graph(native) else None
        if owner is not graph:
            raise GradientError(
                "The variable {!r} belongs to {}, and the step is taken in {}.".format(
                    self._variable_name(variable),
                    "eager mode" if owner is None else "a TensorFlow 1 graph",
                    "eager mode" if graph is None else "a TensorFlow 1 graph" if owner is None else "another",
                )
            )

    @_no_autograph
    def _apply(
        self,
        grads_and_vars: Iterable[Any],
        *,
        global_step: Any = None,
        name: Optional[str] = None,
        aggregate: bool = True,
        build_all: bool = False,
    ) -> Any:
        """One step. Returns the operation to run in a graph, else None."""
        pairs = as_pairs(type(self).__name__, grads_and_vars)
        if global_step is None and self._taken_again(pairs):
            return None
        grads, variables = self._checked_pairs(pairs)
        if global_step is not None and not _is_variable(global_step):
            raise GradientError(
                "{}.apply_gradients(global_step=...) was given {}; expected a variable.".format(
                    type(self).__name__, in_words(global_step)
                )
            )
        self._check_distribution(variables[0], aggregate)
        if not tf.executing_eagerly():
            self._kc.traced = True
        to_build = [v for _, v in pairs] if build_all else variables
        if self._has_strategy():
            return self._apply_distributed(grads, variables, to_build, aggregate, global_step)
        self._build_missing(to_build)
        with self._scope_of_step(name):
            return self._run(grads, variables, global_step)

    def _scope_of_step(self, name: Optional[str]) -> Any:
        """The scope of the names of a step's operations."""
        return tf.name_scope(_scope(name or type(self).__name__))

    def _runs_at_once(self) -> bool:
        return bool(tf.executing_eagerly())

    def _gradient(self, grad: Any, known: VariableState, variable: Any) -> Gradient:
        """A gradient as an array; of a sparse one, duplicate indices are summed."""
        xp, shape = known.xp, known.shape
        if not isinstance(grad, tf.IndexedSlices):
            checked = grad if tf.executing_eagerly() else _with_shape(grad, shape)
            same = checked.dtype == xp.compute_dtype
            array = xp.wrap(checked if same else tf.cast(checked, xp.compute_dtype))
            return Gradient(array, None, () if checked is grad else (checked,))
        values = tf.cast(_with_shape(grad.values, (None, *shape[1:])), xp.compute_dtype)
        indices = _with_shape(grad.indices, (None,))
        checks = [] if tf.executing_eagerly() else [_assert_rows(indices, shape[0], known.name)]
        if known.rule.sparse == "dense":
            # scatter_nd adds duplicates up.
            with self._after(checks):
                column = tf.expand_dims(indices, -1)
                dense = tf.scatter_nd(column, values, tf.constant(shape, indices.dtype))
            dense.set_shape(shape)
            return Gradient(xp.wrap(dense), None, [*checks, dense])
        rows, position = tf.unique(indices)
        # Not tf.size(rows): XLA can't tell that this is the same number, and refuses the update.
        summed = v1.unsorted_segment_sum(values, position, tf.shape(rows)[0])
        summed.set_shape((None, *shape[1:]))
        return Gradient(xp.wrap(summed), rows, [*checks, summed])

    # Kernels, and what is compiled.

    def _find_way(self, known: VariableState) -> Way:
        way = self._find_kernel(known)
        if self._strategy_of(known) is not None:
            return way
        kernel = way.kernel
        is_best = kernel is not None and (XLA_IS_SLOW or not kernel.decays and way.chain is None)
        if int(np.prod(known.shape)) < LARGE or is_best:
            return self._find_stack(known, way) if kernel is None else way
        why = self._why_not_compiled(known)
        if why is not None:
            return way if kernel is not None else the_rule("{}, and {}".format(way.why, why))
        natives = [self._native(each) for each in (known.variable, *known.slots.values())]
        large = self._compiled().large_step(known.rule, known.xp, list(known.slots), natives)
        why = "it is large, and {}".format(way.why if kernel is None else "XLA does it all in one pass")
        return way._replace(path="XLA", why=why, large=large)

    def _why_not_compiled(self, known: VariableState) -> Optional[str]:
        """Why XLA is not to take a large variable's step, in words, or None."""
        if self._constraint_of(known.variable) is not None:
            return "the variable has a constraint"
        if _in_v1_graph(self._native(known.variable)):
            return "sessions run no compiled step"
        why = why_no_xla()
        if why is not None:
            return why
        shapes = {name: self._shape(slot) for name, slot in known.slots.items()}
        graph = self._traced_rule(known, known.shape, shapes)
        if graph is None:
            return "its rule fails"
        return why_not_fused({operation.type for operation in graph.get_operations()})

    def _traced_rule(
        self, known: VariableState, shape: Tuple[int, ...], slots: Mapping[str, Tuple[int, ...]]
    ) -> Any:
        """A graph, to look at, of a variable's rule, for a variable and slots of these shapes.

        Returns:
            None if the rule can't be run on them.
        """
        xp, rule = known.xp, known.rule

        def given(shape: Tuple[int, ...]) -> Any:
            return xp.wrap(v1.placeholder(xp.compute_dtype, shape))

        def scalar() -> Any:
            return xp.scalar(v1.placeholder(tf.float64, ()))

        graph = tf.Graph()
        with graph.as_default(), keeping_nan():
            scalars = {(id(hyper.rule), hyper.name): scalar() for hyper in self._kc.hypers.values()}
            hyper = hyper_values(rule, scalars, xp, {name: given(()) for name in self._kc.shared})
            before = {name: given(shape) for name, shape in slots.items()}
            try:
                rule.update(xp, given(shape), given(shape), MappingProxyType(before), hyper, scalar())
            except Exception:  # whatever a rule raises; where it fails on its own variable, the step says so
                return None
        return graph

    def _find_stack(self, known: VariableState, way: Way) -> Way:
        """The way of a small variable: its rule, on several of them end to end where that is the same."""
        native = self._native(known.variable)
        if (
            not known.shape
            or known.xp.compute_dtype != native.dtype.base_dtype
            or self._constraint_of(known.variable) is not None
            or any(self._shape(slot) != known.shape for slot in known.slots.values())
        ):
            return way
        stacks, xp = self._compiled().stacks, known.xp
        key = known.rule, xp
        if key not in stacks:
            dtype = xp.compute_dtype.name
            stacks[key] = is_elementwise(known.rule, known.slots, self._kc.shared, dtype)
        if not stacks[key]:
            return way
        return way._replace(why=way.why + "; in a graph, on several variables at once", stacks=True)

    def _find_kernel(self, known: VariableState) -> Way:
        """How a variable would be updated if it were small."""
        rule = inside(known.rule)
        kernel = kernel_of(rule)
        if kernel is None:
            return no_kernel(type(rule).__name__)
        strategy = self._strategy_of(known)
        if strategy is not None:
            return the_rule("the variable was made under {}, where kernels are not used".format(strategy))
        native = self._native(known.variable)
        if kernel.instead is not None and kernel.of(native) is None:
            kernel = kernel.instead
        if known.xp.compute_dtype != native.dtype.base_dtype:
            return the_rule("the variable is narrower than what its rule is computed in")
        if getattr(known.variable, "constraint", None) is not None:
            return the_rule("the variable has a constraint")
        if set(known.slots) != set(kernel.slots.values()):
            return the_rule("the transforms around it keep state")
        if any(
            hasattr(self._native(slot), "handle") != hasattr(native, "handle")
            for slot in known.slots.values()
        ):
            return the_rule("of the variable and its slots, some are reference variables and others are not")
        if kernel.of(native) is None:
            return the_rule("TensorFlow has no kernel {} for reference variables".format(kernel.name))
        kind = "ResourceApply" if hasattr(native, "handle") else "Apply"
        why = "it computes {}".format(type(rule).__name__)
        chain = None if rule is known.rule else Chain(known.rule)
        return Way("kernel " + kind + kernel.name, why, kernel, chain)

    @contextlib.contextmanager
    def _with_kernels(self) -> Iterator[None]:
        """What is updated inside may be updated by kernels: nowhere under a distribution strategy."""
        self._kc.kernel_scalars = None if self._has_strategy() else {}
        try:
            yield
        finally:
            self._kc.kernel_scalars = None

    def _update_all(self, *args: Any, **kwargs: Any) -> List[Any]:
        with self._with_kernels():
            return super()._update_all(*args, **kwargs)

    def _update_alone(self, grad: Any, variable: Any) -> List[Any]:
        with self._with_kernels():
            return super()._update_alone(grad, variable)

    def _stacks(
        self, todo: Sequence[Tuple[Any, VariableState, Gradient, Any]]
    ) -> Tuple[List[Any], List[List[Any]]]:
        """The variables whose rules run by themselves, and those whose rules run end to end, as lists."""
        if self._kc.kernel_scalars is None:
            return list(todo), []
        stacks: Dict[Any, List[Tuple[Any, VariableState, Gradient, Any]]] = {}
        for each in todo:
            _, known, gradient, hyper = each
            stacked = self._way_of(known).stacks and gradient.rows is None
            key = (id(hyper), known.shape[1:]) if stacked else id(known)
            stacks.setdefault(key, []).append(each)
        alone = [each for stack in stacks.values() if len(stack) < FEW for each in stack]
        return alone, [stack for stack in stacks.values() if len(stack) >= FEW]

    def _work_out_ahead(self, todo: Sequence[Tuple[Any, VariableState, Gradient, Any]], step: Any) -> None:
        super()._work_out_ahead(self._stacks(todo)[0], step)

    def _update_each(
        self, todo: Sequence[Tuple[Any, VariableState, Gradient, Any]], step: Any, ordered: bool
    ) -> List[Any]:
        alone, stacks = self._stacks(todo)
        stacked = [self._stacked_values(stack, step) for stack in stacks]  # before anything is written
        ahead: List[Any] = []
        if not self._runs_at_once():
            ahead += [value for _, _, gradient, _ in alone for _, value in gradient.values or ()]
            for stack, values in zip(stacks, stacked):
                ahead += [value for _, value in values[:: len(stack)]]  # one variable's, and of each slot one
        with self._after(ahead):
            writes = super()._update_each(alone, step, ordered)
            for values in stacked:
                writes += [write_part(self._native(target), value) for target, value in values]
        return writes

    def _stacked_values(
        self, stack: Sequence[Tuple[Any, VariableState, Gradient, Any]], step: Any
    ) -> List[Tuple[Any, Any]]:
        """Runs a rule once on several variables, end to end along their first axis.

        Returns:
            Each variable and slot with its new value; all of these are parts of what one run has made.
        """
        _, first, _, hyper = stack[0]
        xp, rule = first.xp, first.rule
        targets = [[variable for variable, _, _, _ in stack]]
        targets += [[known.slots[name] for _, known, _, _ in stack] for name in first.slots]

        def stacked(arrays: Sequence[Any]) -> Any:
            return xp.wrap(tf.concat(arrays, 0))

        grad = stacked([xp.unwrap(gradient.array) for _, _, gradient, _ in stack])
        param, *slots = [stacked([read_part(self._native(each)) for each in group]) for group in targets]
        before = dict(zip(first.slots, slots))
        result = rule.update(xp, grad, param, MappingProxyType(before), hyper, xp.scalar(step))
        new_param, new = check_result(rule, xp, param, before, result)
        lengths = [known.shape[0] for _, known, _, _ in stack]
        parts = [
            tf.split(xp.unwrap(array), lengths) for array in (new_param, *[new[name] for name in first.slots])
        ]
        return [
            (target, value) for group, values in zip(targets, parts) for target, value in zip(group, values)
        ]

    def _update(
        self, variable: Any, known: VariableState, gradient: Gradient, hyper: Any, step: Any, ordered: bool
    ) -> List[Any]:
        if gradient.rows is None and self._kc.kernel_scalars is not None:
            kernel, large = self._way_of(known).kernel, self._way_of(known).large
            if large is not None:
                natives = [self._native(each) for each in (variable, *known.slots.values())]
                large(natives, known.xp.unwrap(gradient.array), hyper, known.xp.scalar(step))
                return []
            if kernel is not None:
                done = self._run_kernel(kernel, variable, known, gradient.array, hyper, step, ordered)
                if done is not None:
                    return done
        return super()._update(variable, known, gradient, hyper, step, ordered)

    def _run_kernel(
        self,
        kernel: Kernel,
        variable: Any,
        known: VariableState,
        grad: Any,
        hyper: Any,
        step: Any,
        ordered: bool,
    ) -> Optional[List[Any]]:
        """Updates one variable by a kernel. Returns what writes, or None if a transform does not allow it."""
        xp, param, step = known.xp, None, known.xp.scalar(step)
        if known.way.chain is not None:
            before = xp.wrap(self._read(variable))
            found = known.way.chain.run(xp, grad, before, hyper, step)
            if found is None:
                known.way = the_rule("the transforms around it change more than what it is given")
                return None
            grad, after, hyper, step = found
            param = None if after is before else after
            # A value that is still held makes the kernel copy the variable.
            del before, after, found
        scalars, rest = self._kernel_scalars(kernel, xp, hyper, step)
        writes = []
        if rest is not None and param is None:
            written = assign_part(self._native(variable), rest)
            if written is None:
                param = xp.wrap(self._read(variable) * rest)
            else:
                writes.append(written)
        elif rest is not None:
            param = xp.wrap(xp.unwrap(param) * rest)
        if param is not None:
            writes.append(self._write(variable, xp.unwrap(param)))
            del param
        slots = {name: self._native(slot) for name, slot in known.slots.items()}
        operation, arguments = kernel.call(self._native(variable), slots)
        arguments.update(scalars)
        arguments[kernel.gradient] = xp.unwrap(grad)
        # Nothing needs a barrier where nothing was written.
        with self._after(writes) if ordered and writes else _NOTHING:
            writes.append(operation(**arguments))
        return writes

    def _kernel_scalars(self, kernel: Kernel, xp: Any, hyper: Any, step: Any) -> Tuple[Dict[str, Any], Any]:
        """The scalar arguments of a kernel as tensors, worked out once for all variables of a rule; and the
        part of the parameter that weight decay leaves, or None for all of it.
        """
        t = weak_value(step)
        key = id(hyper), id(kernel), t if isinstance(t, float) else id(t)
        made = self._kc.kernel_scalars
        assert made is not None
        if key not in made:
            # The first kept, so that the ids stay theirs.
            made[key] = (hyper, t), kernel.numbers(xp, hyper, step)
        found: Tuple[Dict[str, Any], Any] = made[key][1]
        return found

    def _count(self, writes: Sequence[Any], global_step: Any) -> Any:
        """Counts the step, after everything was written."""
        with self._after(writes):
            counted = [v1.assign_add(self._native(self._iterations_variable()), np.int64(1))]
            if global_step is not None:
                counted.append(v1.assign_add(global_step, tf.ones((), global_step.dtype.base_dtype)))
        if tf.executing_eagerly():
            return None
        self._keep_updates()
        return tf.group(*[_operation(each) for each in [*writes, *counted] if each is not None])

    # One variable at a time: the host's own hooks, for wrappers that call them directly.

    @_no_autograph
    def _update_one(self, grad: Any, variable: Any) -> Any:
        """Updates one variable, without counting the step. Returns the operation in a graph, else None."""
        self._check_one_at_a_time()
        with tf.init_scope():
            self._build([variable])
        writes = self._update_alone(grad, variable)
        if tf.executing_eagerly():
            return None
        return tf.group(*[_operation(write) for write in writes])

    # Gradients.

    def _gradients(self, loss: Any, var_list: Any, tape: Any, grad_loss: Any) -> List[Tuple[Any, Any]]:
        """Gradients of a loss: a callable, a tensor with its tape, or a tensor of a graph.

        Neither this nor what calls it is kept from AutoGraph: a loss and the layers that it calls may have a
        Python `if` on a tensor, which AutoGraph rewrites only if it has not been switched off around them.
        """
        if callable(loss):
            with tf.GradientTape() as tape:
                if not callable(var_list) and var_list is not None:
                    tape.watch([self._native(v) for v in _flat(var_list)])
                loss = loss()
            var_list = var_list() if callable(var_list) else var_list
            var_list = list(tape.watched_variables()) if var_list is None else _flat(var_list)
            grads = tape.gradient(loss, [self._native(v) for v in var_list], grad_loss)
            return list(zip(grads, var_list))
        var_list = var_list() if callable(var_list) else var_list
        if tape is not None:
            var_list = list(tape.watched_variables()) if var_list is None else _flat(var_list)
            grads = tape.gradient(loss, [self._native(v) for v in var_list], grad_loss)
            return list(zip(grads, var_list))
        if tf.executing_eagerly():
            raise GradientError(
                "{}.minimize(loss): in eager mode expected a callable that computes the loss, or the loss "
                "with the tape that recorded it (tape=).".format(type(self).__name__)
            )
        var_list = v1.trainable_variables() if var_list is None else _flat(var_list)
        return list(zip(v1.gradients(loss, var_list, grad_loss), var_list))

    def _graph_gradients(self, loss: Any, params: Sequence[Any]) -> List[Any]:
        """The gradients of a loss in a graph, for the hooks that Keras calls.

        Raises:
            ValueError: a variable has none.
        """
        grads = v1.gradients(loss, list(params))
        missing = [self._variable_name(param) for grad, param in zip(grads, params) if grad is None]
        if missing:
            raise ValueError(
                "The loss has no gradient for the variables {}; is it a differentiable function of "
                "them?".format(", ".join(map(repr, missing)))
            )
        return grads

    # Values of the optimizer's own variables.

    def _read_values(self, variables: Sequence[Any]) -> List[np.ndarray]:
        natives = [self._native(variable) for variable in variables]
        if not any(_in_v1_graph(native) for native in natives):
            with tf.init_scope():
                return [np.asarray(native.read_value().numpy()) for native in natives]
        session = self._session_of(natives[0])
        if session is None:
            raise StateError(
                "Reading the state of {} in a TensorFlow 1 graph needs a session: do it inside `with "
                "session.as_default():`.".format(type(self).__name__)
            )
        return [np.asarray(value) for value in session.run(natives)]

    def _assign_values(self, pairs: Sequence[Tuple[Any, np.ndarray]]) -> None:
        natives = [(self._native(variable), array) for variable, array in pairs]
        in_graph = [native for native, _ in natives if _in_v1_graph(native)]
        if in_graph:
            self._check_assignable(in_graph)
        for native, array in natives:
            value = np.asarray(array, native.dtype.base_dtype.as_numpy_dtype)
            if in_graph:
                native.load(value, self._session_of(native))
            else:
                with tf.init_scope():
                    native.assign(value)

    def _check_assignable(self, variables: Sequence[Any]) -> None:
        """Raises StateError if a session can't assign these variables of a TensorFlow 1 graph."""
        session = self._session_of(variables[0])
        if session is None:
            raise StateError(
                "Setting the state of {} in a TensorFlow 1 graph needs a session: do it inside `with "
                "session.as_default():`.".format(type(self).__name__)
            )
        try:
            session.run(list(variables))
        except tf.errors.FailedPreconditionError as error:
            raise StateError(
                "Setting the state of {}: its variables have not been initialized in this session, and "
                "initializing them would undo it. Initialize them first; a Saver does both.".format(
                    type(self).__name__
                )
            ) from error

    @staticmethod
    def _why_not_moved(rule: UpdateRule) -> str:
        if getattr(rule, "l2_shrinkage_regularization_strength", 0) == 0 or not ftrl_is_of_two_minds():
            return ""
        return (
            "with l2_shrinkage_regularization_strength, the Ftrl of this TensorFlow (2.3 to 2.5) keeps its "
            "slot `linear` times the learning rate where gradients are dense, and not where they are sparse, "
            "so that its values can't be told apart"
        )

    def _make_assignable(self, variables: Sequence[Any], own: Sequence[Any]) -> None:
        in_graph = [native for native in map(self._native, own) if _in_v1_graph(native)]
        if not in_graph:
            return
        session = self._session_of(in_graph[0])
        if session is None:
            raise StateError(
                "Setting the state of an optimizer in a TensorFlow 1 graph needs a session: do it inside "
                "`with session.as_default():`."
            )
        for variable in variables:
            if not _is_initialized(self._native(variable), session):
                raise StateError(
                    "The variable {!r} has not been initialized in this session, and initializing it may "
                    "undo what is put into the optimizer now. Initialize the model's variables (or restore "
                    "them) first.".format(self._variable_name(variable))
                )
        for native in in_graph:
            if not _is_initialized(native, session):
                session.run(native.initializer)

    def _held(self, variable: Any) -> Optional[Callable[[], Any]]:
        native = self._native(variable)
        # A tensor that is held keeps its value: what writes the variable then writes it elsewhere. On a GPU
        # that would hold its memory too.
        if not tf.executing_eagerly() or not hasattr(native, "handle") or hasattr(native, "values"):
            return None
        tensor = native.read_value()
        return tensor.numpy if "CPU" in tensor.device else None

    # Averages and counts.

    def _updates(self, counter: Any) -> Any:
        """The number of updates done: the counter, or with gradient accumulation what it makes."""
        code = calling_code(".loss_scale_optimizer")
        if code is not None and code.co_name.endswith("do_not_apply_fn"):
            # Keras' LossScaleOptimizer, from 2.3 to 2.15, counts a step that it leaves out.
            return _Uncounted()
        steps = self.gradient_accumulation_steps
        if not steps:
            return counter
        native = self._native(counter)
        if _in_v1_graph(native) and native.graph.finalized and native.graph in self._kc.updates:
            return self._kc.updates[native.graph]
        updates = tf.convert_to_tensor(native) // steps
        updates.read_value = lambda: updates  # Keras' TensorBoard takes `iterations` for a variable
        return updates

    def _keep_updates(self) -> None:
        """Makes `iterations` readable in a graph that a MonitoredTrainingSession is going to finalize."""
        counter = self._native(self._iterations_variable())
        if self.gradient_accumulation_steps and _in_v1_graph(counter):
            with tf.init_scope():  # a loss scale takes the step inside a branch
                self._kc.updates[counter.graph] = self._updates(counter)

    def finalize_variable_values(self, var_list: Iterable[Any]) -> None:
        """Puts the variables' moving averages in their place, if `use_ema` is on. Keras calls it after `fit`.

        Args:
            var_list: the variables.

        Raises:
            NotBuiltError: the optimizer has no average of one of them, or there is no session in which to
                assign the variables of a TensorFlow 1 graph.
        """
        var_list = list(var_list)
        if not self.use_ema or not any(_in_v1_graph(self._native(variable)) for variable in var_list):
            super().finalize_variable_values(var_list)
            return
        for variable, average in [(v, self._native(self.get_slot(v, "average"))) for v in var_list]:
            native = self._native(variable)
            session = self._session_of(native)
            if session is None:
                raise NotBuiltError(
                    "{}.finalize_variable_values() in a TensorFlow 1 graph needs a session: call it "
                    "inside `with session.as_default():`.".format(type(self).__name__)
                )
            native.load(session.run(average).astype(native.dtype.base_dtype.as_numpy_dtype), session)

    swap_averages = _no_autograph(StepAdapter.swap_averages)

    def _together(self, writes: Sequence[Any]) -> Any:
        if tf.executing_eagerly():
            return None
        return tf.group(*[_operation(write) for write in writes])

    def _settled(self, values: List[Tuple[Any, Any]]) -> List[Tuple[Any, Any]]:
        # What is read of a reference variable is that variable, not a copy: a rule that keeps the old
        # parameter in a slot would find the new one there.
        if not self._must_order() or not self.takes_reference_variables:
            return values
        return [(target, _copied(value) if _is_reference(value) else value) for target, value in values]

    def _is_here(self, known: VariableState) -> bool:
        """Whether a variable is one of the present graph, or of eager mode where that is on."""
        return self._belongs_here(known.variable)

    def _belongs_here(self, variable: Any) -> bool:
        variable = self._native(variable)
        with tf.init_scope():
            if tf.executing_eagerly():
                return not _in_v1_graph(variable)
            return _in_v1_graph(variable) and variable.graph is v1.get_default_graph()

    def minimize(
        self,
        loss: Any,
        var_list: Any = None,
        grad_loss: Any = None,
        name: Optional[str] = None,
        tape: Any = None,
        global_step: Any = None,
    ) -> Any:
        """Computes the gradients of a loss and takes one step.

        Args:
            loss: a callable that computes it, a tensor with the `tape` that recorded it, or a tensor of a
                TensorFlow 1 graph.
            var_list: the variables, or a callable that gives them; those that were watched by default (in a
                graph, all trainable ones).
            grad_loss: the gradient of what is computed from the loss.
            name: a name for the operations.
            tape: the tape that recorded the loss.
            global_step: a variable to add 1 to.

        Returns:
            In a graph, the operation to run.

        Raises:
            GradientError: in eager mode a tensor without its tape; or as `apply_gradients`.
        """
        pairs = self._to_minimize(loss, var_list, tape, grad_loss)
        return self.apply_gradients(pairs, name=name, global_step=global_step)

    def _to_minimize(self, loss: Any, var_list: Any, tape: Any, grad_loss: Any) -> Any:
        """The pairs of `minimize`, by the method of the host's that a subclass may override.

        Horovod's classes, and those of differential privacy, change gradients there.
        """
        if grad_loss is not None:  # the host's method has no such argument
            return self._gradients(loss, var_list, tape, grad_loss)
        this: Any = self
        given = {} if tape is None else {"tape": tape}
        return this.compute_gradients(loss, var_list, **given)

    def apply_gradients(self, grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @classmethod
    def _continue_saved_model(cls) -> None:
        """Makes a model that Keras is loading from a SavedModel take over the optimizer's state in it.

        Keras' loader compiles the model with a new optimizer, and leaves its state in the file. Restored
        before that, it waits for the optimizer, as that of every part of a model that is not there yet.
        """
        loading = loading_saved_model()
        if loading is not None:
            prefix = os.path.join(loading["path"], "variables", "variables")
            # What stands for the optimizer in the file is there already, and would be restored in its place.
            _untrack(loading["model"], "optimizer")
            status = loading["model"].load_weights(prefix)
            if status is not None:
                status.expect_partial()

    @classmethod
    def _schedule_from_config(cls, config: Mapping[str, Any], custom_objects: Any) -> Any:
        host = getattr(tf.keras.optimizers, "schedules", None)
        if host is None:  # TensorFlow 1.13
            return schedule_of_keras(config)
        return host.deserialize(dict(config), custom_objects=custom_objects)

    def _schedule_to_config(self, schedule: Any) -> Any:
        return tf.keras.optimizers.schedules.serialize(schedule)


def _is_direct(known: VariableState, grad: Any) -> bool:
    """Whether a variable's step is one call of a kernel, or of what is compiled, on its gradient as it is."""
    way, same = known.way, grad.dtype == known.xp.compute_dtype
    return same and (way.large is not None or (way.kernel is not None and way.chain is None))


def _no_variable(optimizer: str, given: Any) -> _NoVariableError:
    """What is wrong with something that is no TensorFlow variable."""
    cls, name = type(given), getattr(given, "path", None)
    hint = ""
    if isinstance(getattr(given, "value", None), tf.Variable):
        hint = (
            " It is a variable of Keras 3, whose optimizers are those of the API keras_3. For this one, take "
            "the TensorFlow variable inside it: its attribute `value`."
        )
    return _NoVariableError(
        "{}: expected TensorFlow variables, got {!r} of type {}.{}.{}".format(
            optimizer, given if name is None else name, cls.__module__, cls.__qualname__, hint
        )
    )


class _Uncounted:
    """Stands for the step counter where a step is not to be counted."""

    @staticmethod
    def assign_add(delta: Any, use_locking: Any = None, name: Any = None, read_value: bool = True) -> Any:
        return tf.no_op()


def _untrack(trackable: Any, name: str) -> None:
    """Makes a checkpoint know nothing of a dependency of this name."""
    if hasattr(trackable, "_delete_tracking"):
        trackable._delete_tracking(name)
    elif name in trackable._unconditional_dependency_names:  # up to TensorFlow 2.1
        del trackable._unconditional_dependency_names[name]
        kept = [each for each in trackable._unconditional_checkpoint_dependencies if each.name != name]
        trackable._unconditional_checkpoint_dependencies[:] = kept


# What reading a variable raises where there is no session, or it has no value yet.
_UNREADABLE = (ValueError, RuntimeError, tf.errors.OpError)


def _in_v1_graph(variable: Any) -> bool:
    """Whether a variable belongs to a TensorFlow 1 graph, so that only a session can assign it."""
    return bool(getattr(variable, "_in_graph_mode", not hasattr(variable, "_unique_id")))


def _is_initialized(variable: Any, session: Any) -> bool:
    """Whether a variable of a TensorFlow 1 graph has a value in a session, which need not make operations."""
    try:
        session.run(variable)
    except tf.errors.FailedPreconditionError:
        return False
    return True


def _in_function() -> bool:
    """Whether a tf.function is being traced, which orders reads and writes of variables by itself.

    Not by `building_function`: the graph that Keras builds its training step in, in eager mode up to
    TensorFlow 2.1, is a function's too, and nothing orders what is in it.
    """
    return bool(getattr(v1.get_default_graph(), "_add_control_dependencies", False))


def _once(made: Dict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
    """What is made of a key, and kept."""
    if key not in made:
        made[key] = make()
    return made[key]


def _operation(tensor: Any) -> Any:
    return getattr(tensor, "op", tensor)


def _scope(name: str) -> str:
    """A name that a name scope may have."""
    return "".join(c if c.isalnum() or c in "_.-/" else "_" for c in name)


def _flat(var_list: Any) -> List[Any]:
    return list(tf.nest.flatten(var_list)) if hasattr(tf, "nest") else list(var_list)


def _check_scalar(value: Any, where: str) -> None:
    """Raises HyperparameterError if this, which a callable or schedule gave, is no number."""
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        good = isinstance(value, numbers.Real) and not isinstance(value, bool)
    else:
        dtype, shape = tf.as_dtype(dtype), tf.TensorShape(value.shape)
        good = (dtype.is_floating or dtype.is_integer) and shape.ndims in (0, None)
    if not good:
        raise HyperparameterError("{} gave {}; expected a number.".format(where, in_words(value)))


def _is_variable(value: Any) -> bool:
    """Whether this is a TensorFlow variable, of whatever kind. (Keras 3's own has no read_value.)"""
    return hasattr(value, "assign") and hasattr(value, "read_value")


def _as_tensor(grad: Any, name: str) -> Any:
    """A dense gradient as a tensor.

    Raises:
        GradientError: it can't be one.
    """
    try:
        return tf.convert_to_tensor(grad)
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise GradientError(
            "The gradient of {!r} is {}; expected a tensor, IndexedSlices or None.".format(
                name, in_words(grad)
            )
        ) from error


def _with_shape(tensor: Any, shape: Sequence[Optional[int]]) -> Any:
    """The tensor, or where its shape is not known before run time, one that fails if it is another then.

    A gradient of shape (1,) must not be broadcast.
    """
    sizes = [None] * len(shape) if tensor.shape.ndims is None else tensor.shape.as_list()
    known = all(expected is None or size is not None for size, expected in zip(sizes, shape))
    return tensor if known and tensor.shape.ndims is not None else tf.ensure_shape(tensor, shape)


def _assert_rows(indices: Any, count: int, name: str) -> Any:
    """In a graph, an operation that fails if a sparse gradient has a row that its variable has not.

    The message is in the operation's name, and its numbers are the smallest index, the largest one and the
    count of rows: up to TensorFlow 2.4, XLA refuses an assertion that holds a string. What XLA compiles does
    not assert at all.
    """
    zero, end = tf.zeros((), indices.dtype), tf.constant(count, indices.dtype)
    limits = tf.reduce_min(indices), tf.reduce_max(indices), end
    inside = tf.reduce_all(tf.logical_and(indices >= zero, indices < end))
    return v1.Assert(
        inside,
        [tf.cast(limit, tf.int32) for limit in limits],
        name=_scope("row_out_of_range_in_the_sparse_gradient_of_{}_min_max_rows".format(name)),
    )


# Operations whose result may be their input's memory.
_SAME_MEMORY = (
    "Identity",
    "StopGradient",
    "Reshape",
    "Squeeze",
    "ExpandDims",
    "Cast",
    "EnsureShape",
    "Snapshot",
)


def _is_reference(tensor: Any) -> bool:
    """Whether a tensor of a graph is the memory of a reference variable."""
    operation = tensor.op
    while operation.type in _SAME_MEMORY:
        tensor = operation.inputs[0]
        operation = tensor.op
    return str(tensor.dtype.name).endswith("_ref")


def _copied(tensor: Any) -> Any:
    """The tensor in memory of its own. Graph optimizers see through anything simpler."""
    return tf.unstack(tf.reverse(tf.stack([tensor, tensor]), [0]))[0]


def _check_gradient(grad: Any, shape: Tuple[int, ...], name: str) -> None:
    """Raises GradientError if a gradient can't be that of a variable of this shape."""
    sparse = isinstance(grad, tf.IndexedSlices)
    which = "The {}gradient of {!r}".format("sparse " if sparse else "", name)
    values = grad.values if sparse else grad
    _check_graph(values, which)  # first: on TensorFlow 2.13 a lost tensor has not even a dtype
    if sparse:
        _check_graph(grad.indices, which)
    if not values.dtype.is_floating:
        raise GradientError("{} has dtype {}; expected a floating one.".format(which, values.dtype.name))
    expected = tf.TensorShape((None, *shape[1:]) if sparse else shape)
    if (sparse and not shape) or not values.shape.is_compatible_with(expected):
        raise GradientError(
            "{} has shape {}; expected {}.".format(
                which, values.shape, expected if shape or not sparse else "a variable with rows"
            )
        )
    if sparse:
        _check_indices(grad, shape[0], which)


def _check_indices(grad: Any, count: int, which: str) -> None:
    """Raises GradientError if the indices of a sparse gradient can't be those of its values and variable.

    In a graph, what is not known yet is told by operations, before anything is written.
    """
    indices = grad.indices
    if indices.dtype not in (tf.int32, tf.int64):
        raise GradientError(
            "{} has indices of dtype {}; expected int32 or int64.".format(which, indices.dtype.name)
        )
    if not indices.shape.is_compatible_with(tf.TensorShape(grad.values.shape[:1])):
        raise GradientError(
            "{} has values of shape {} and indices of shape {}; expected one index for each row of the "
            "values.".format(which, grad.values.shape, indices.shape)
        )
    if not tf.executing_eagerly():
        return
    rows = indices.numpy()
    if rows.size and (rows.min() < 0 or rows.max() >= count):
        raise GradientError(
            "{} has indices from {} to {}; the variable has {} rows.".format(
                which, rows.min(), rows.max(), count
            )
        )


def _check_graph(tensor: Any, which: str) -> None:
    """Raises GradientError if a gradient is a tensor that can't be used here."""
    if tf.executing_eagerly():
        if not hasattr(tensor, "numpy"):  # nothing else can be asked: its function's graph may be gone
            raise GradientError(
                "{} is a tensor of a graph or tf.function, which has no value in eager mode. Call "
                "apply_gradients() where the gradient is computed.".format(which)
            )
        return
    here, graph = v1.get_default_graph(), getattr(tensor, "graph", None)  # an eager tensor has none
    # A tf.function may take a tensor from around it.
    if graph is not None and graph is not here and not hasattr(here, "outer_graph"):
        raise GradientError("{} is the tensor {!r} of another graph.".format(which, tensor.name))
