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
from types import MappingProxyType
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from .. import namespaces
from ..contract import check_result, check_slots, init_reads_param
from ..errors import GradientError, HyperparameterError, NotBuiltError
from ..rule import hyper_values
from .base import Adapter, HyperState, VariableState

v1 = tf.compat.v1
_is_tensor = getattr(tf, "is_tensor", lambda value: isinstance(value, tf.Tensor))  # none in TensorFlow 1.13


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


# Variables narrower than float32 are computed with in float32, and their slots are kept in it: in bfloat16
# 0.999 is 1, and a second moment that is kept in it freezes.
_COMPUTE = {"float16": "float32", "bfloat16": "float32", "float32": "float32", "float64": "float64"}


class _NoStateError(NotBuiltError, KeyError):
    """Also a KeyError: a checkpoint asks `get_slot` about every variable that it holds, and expects that."""

    __str__ = Exception.__str__  # KeyError's shows the message's repr


class _Gradient:
    """A gradient as the rule is to see it: an array in the compute dtype, and the rows it is for."""

    __slots__ = ("array", "rows")

    def __init__(self, array: Any, rows: Any) -> None:
        self.array = array
        self.rows = rows


class TensorFlowAdapter(Adapter):
    """The shared base of the adapters `tf1`, `optimizer_v2`, `keras_2_11`, and `keras_3` on TensorFlow."""

    # Whether the host takes TensorFlow 1's reference variables.
    takes_reference_variables = False

    # What a concrete adapter defines.

    def _iterations_variable(self) -> Any:
        """The host's counter of steps."""
        raise NotImplementedError

    def _create_slot(self, variable: Any, name: str, initial: Callable[[], Any], like: bool) -> Any:
        """Creates and registers a slot variable as the host does.

        Args:
            variable: the variable that it belongs to.
            name: the slot's name.
            initial: gives the initial value, a tensor.
            like: whether the slot has the variable's own shape and dtype.
        """
        raise NotImplementedError

    def _create_shared(self, name: str, initial: Callable[[], Any]) -> Any:
        """Creates and registers a scalar variable that belongs to the optimizer as a whole."""
        raise NotImplementedError

    def _create_host_variables(self, variables: Sequence[Any]) -> None:
        """Creates the step counter and the host's hyperparameter variables, if they aren't there."""
        raise NotImplementedError

    def _host_built(self, variables: Sequence[Any]) -> None:
        """Tells the host that it is built, on these variables (all of them, each time some were added)."""

    # Variables.

    def _native(self, variable: Any) -> Any:
        """The TensorFlow variable behind a variable of the host."""
        return variable

    def _variable_key(self, variable: Any) -> Any:
        variable = self._native(variable)
        if hasattr(variable, "_distributed_container"):
            container = variable._distributed_container()
            variable = variable if container is None else container
        unique = getattr(variable, "_unique_id", None)
        # In a TensorFlow 1 graph the id is the name, which another graph may have too, and a reference
        # variable has none.
        if unique is None or getattr(variable, "_in_graph_mode", False):
            return variable.op.graph, variable.op.name
        return unique

    def _variable_name(self, variable: Any) -> str:
        return str(getattr(variable, "path", None) or variable.name.split(":")[0])

    def _state_of(self, variable: Any) -> VariableState:
        key = self._variable_key(variable)
        if key not in self._kc.variables:
            raise _NoStateError(
                "{} has no state for the variable {!r}: it has not been built on it. It knows {}.".format(
                    type(self).__name__,
                    self._variable_name(variable),
                    ", ".join(repr(known.name) for known in self._kc.variables.values()) or "no variable yet",
                )
            )
        return self._kc.variables[key]

    def get_slot(self, var: Any, slot_name: str) -> Any:
        """The host's variable that holds a slot.

        Args:
            var: a variable that the optimizer has been built on.
            slot_name: the rule's name of the slot.

        Raises:
            NotBuiltError: the optimizer has no state for this variable.
            KeyError: the rule has no such slot.
        """
        slots = self._state_of(var).slots
        if slot_name not in slots:
            raise KeyError(
                "{} has no slot {!r}; it has {}.".format(
                    type(self).__name__, slot_name, ", ".join(slots) or "none"
                )
            )
        return slots[slot_name]

    def get_slot_names(self) -> List[str]:
        """The names of all slots, sorted."""
        return sorted({name for state in self._kc.variables.values() for name in state.slots})

    def build(self, var_list: Sequence[Any]) -> None:
        """Creates the optimizer's variables for these variables; those it knows already are passed over."""
        with tf.init_scope():
            self._build(list(var_list))

    @_no_autograph
    def _build(self, variables: Iterable[Any]) -> None:
        """Creates the state of variables not seen before. To be called in an init_scope."""
        state = self._kc
        new: Dict[Any, VariableState] = {}
        for variable in variables:
            key = self._variable_key(variable)
            if key not in state.variables and key not in new:
                new[key] = self._new_state(variable)
        if not new:
            return
        # Every initial value is worked out before the first variable is created.
        planned = [(known, self._plan_slots(known)) for known in new.values()]
        self._create_host_variables([known.variable for known in new.values()])
        for known, slots in planned:
            for name, (initial, like) in slots.items():
                known.slots[name] = self._create_slot(known.variable, name, initial, like)
        first = not state.variables
        state.variables.update(new)
        if first:
            self._build_shared(planned[0][0].xp)
        self._host_built([known.variable for known in state.variables.values()])

    def _new_state(self, variable: Any) -> VariableState:
        name = self._variable_name(variable)
        dtype = tf.as_dtype(variable.dtype).base_dtype.name
        if dtype not in _COMPUTE:
            raise GradientError(
                "The variable {!r} has dtype {}; expected {}.".format(name, dtype, ", ".join(_COMPUTE))
            )
        if tf.as_dtype(variable.dtype).name.endswith("_ref") and not self.takes_reference_variables:
            raise GradientError(
                "The variable {!r} is a reference variable of a TensorFlow 1 graph, which Keras' optimizers "
                'do not take. Make it with use_resource=True, or use the api "tf1".'.format(name)
            )
        shape = self._shape(variable)
        rule = self._rule_for(variable, name, shape)
        return VariableState(variable, name, rule, namespaces.namespace("tensorflow", _COMPUTE[dtype]))

    @staticmethod
    def _shape(variable: Any) -> Tuple[int, ...]:
        return tuple(tf.TensorShape(variable.shape).as_list())

    def _plan_slots(self, known: VariableState) -> Dict[str, Tuple[Callable[[], Any], bool]]:
        variable, xp, rule = known.variable, known.xp, known.rule
        shape = self._shape(variable)
        reads = init_reads_param(rule)

        def slots() -> Dict[str, Any]:
            if reads:
                param = tf.cast(self._initial_param(variable), xp.compute_dtype)
            else:
                param = tf.zeros(shape, xp.compute_dtype)
            return check_slots(rule, xp, rule.init(xp, xp.wrap(param)))

        same_dtype = tf.as_dtype(variable.dtype).base_dtype == xp.compute_dtype
        # Thrown away in a graph: only names and shapes are wanted here.
        with contextlib.ExitStack() as stack:
            if not tf.executing_eagerly():
                stack.enter_context(tf.Graph().as_default())
                param = tf.zeros(shape, xp.compute_dtype)
                found = check_slots(rule, xp, rule.init(xp, xp.wrap(param)))
            else:
                found = slots()
            shapes = {name: tuple(value.shape) for name, value in found.items()}

        if tf.executing_eagerly() and not self._has_strategy():
            values = {name: xp.unwrap(value) for name, value in found.items()}
            initial: Callable[[str], Any] = values.__getitem__
        else:

            def initial(name: str) -> Any:
                return xp.unwrap(slots()[name])

        return {
            name: (functools.partial(initial, name), same_dtype and shapes[name] == shape)
            for name in shapes
        }

    def _initial_param(self, variable: Any) -> Any:
        """A variable's value, for initial values made of it: in a graph, also before it is initialized."""
        variable = self._native(variable)
        if tf.executing_eagerly():
            return variable.read_value()
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

    def _build_shared(self, xp: Any) -> None:
        names = list(check_slots(self._kc.root, xp, self._kc.root.init_shared(xp), "init_shared"))
        for name in names:

            def initial(name: str = name) -> Any:
                root = self._kc.root
                return xp.unwrap(check_slots(root, xp, root.init_shared(xp), "init_shared")[name])

            self._kc.shared[name] = self._create_shared(name, initial)

    # Hyperparameters.

    def _new_exact(self, name: str, number: float) -> Any:
        """A float64 variable for a hyperparameter, which no checkpoint sees."""
        with tf.init_scope():
            return tf.Variable(np.float64(number), name=name, trainable=False, dtype=tf.float64)

    def _hyper_tensor(self, hyper: HyperState, done: Any) -> Any:
        """A hyperparameter's value in this step: a float64 scalar, or in eager mode a float.

        Args:
            hyper: the hyperparameter.
            done: the number of steps done, an int64 scalar.
        """
        kind, source = hyper.kind, hyper.source
        if kind == "number":
            return self._number_tensor(hyper)
        if kind == "callable":
            source = self._call(source)
        elif kind == "schedule":
            done = tf.convert_to_tensor(done, tf.int64)
            source = source(done if hasattr(source, "get_config") else tf.cast(done, tf.float32))
        source = self._native_value(source)
        if isinstance(source, (numbers.Real, np.ndarray)):  # TensorFlow would take it for float32
            return tf.constant(np.float64(source))
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
    def _call(function: Callable[[], Any]) -> Any:
        """Calls a function of nothing, at every step, also where the step has been traced."""
        value = function()
        if tf.executing_eagerly() or _is_tensor(value) or isinstance(value, tf.Variable):
            return value
        # A Python number in a traced step would be frozen at its first value.
        (value,) = v1.py_func(lambda: np.float64(function()), [], [tf.float64])
        value.set_shape(())
        return value

    def _assign_number(self, hyper: HyperState, number: float) -> None:
        for variable in (hyper.exact, hyper.variable):
            if variable is not None:
                self._set_value(variable, number)

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
                "what is set now. Initialize the variables first.".format(
                    type(self).__name__, native.op.name
                )
            ) from error
        native.load(number, session)

    def _session_of(self, variable: Any) -> Any:
        """The session that can assign a variable of a TensorFlow 1 graph, or None."""
        session = v1.get_default_session()
        return session if session is not None and session.graph is variable.graph else None

    def _read_number(self, hyper: HyperState) -> float:
        if hyper.kind != "number":
            value = self._public_hyper(hyper)
            native = self._native_value(value)
            if isinstance(native, (numbers.Real, np.ndarray)):
                return float(native)
            if hasattr(native, "numpy"):
                return float(native.numpy())
            return float(_evaluate(native))
        source = float(hyper.source)
        variable = hyper.variable if hyper.variable is not None else hyper.exact
        if variable is None:
            return hyper.source
        native = self._native(variable)
        try:
            with tf.init_scope():
                value = native.read_value().numpy() if tf.executing_eagerly() else _evaluate(native)
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
            done = self._iterations_variable()
            done = 0 if done is None else self._native(done)
            takes_object = hasattr(hyper.source, "get_config")
            return hyper.source(tf.convert_to_tensor(done) if takes_object else tf.cast(done, tf.float32))
        return hyper.source

    def _scalars(self, namespaces_: Iterable[Any], done: Any) -> Dict[Any, Dict[Tuple[int, str], Any]]:
        """The hyperparameters of this step for each namespace, as `hyper_values` wants them."""
        values = {
            (id(hyper.rule), hyper.name): self._hyper_tensor(hyper, done)
            for hyper in self._kc.hypers.values()
        }
        return {xp: {key: xp.scalar(value) for key, value in values.items()} for xp in set(namespaces_)}

    def _steps_done(self) -> Tuple[Any, Any]:
        """The number of steps done (int64) and of this step (float64); in eager mode an int and a float."""
        counter = self._native(self._iterations_variable())
        if tf.executing_eagerly() and not self._has_strategy():
            done = int(counter.numpy())
            return done, float(done + 1)
        tensor = tf.convert_to_tensor(counter.read_value())
        return tensor, tf.cast(tensor + 1, tf.float64)

    # The step.

    def _checked_pairs(self, grads_and_vars: Iterable[Any]) -> Tuple[List[Any], List[Any]]:
        """Gradients and variables, those without a gradient left out; everything that can be told now is."""
        pairs = [tuple(pair) for pair in grads_and_vars]
        if not pairs:
            raise GradientError("No variables provided: the list of gradients and variables is empty.")
        grads, variables, seen = [], [], set()
        for grad, variable in pairs:
            if grad is None:
                continue
            name = self._variable_name(variable)
            key = self._variable_key(variable)
            if key in seen:
                raise GradientError(
                    "The variable {!r} is in the list twice; add its gradients up.".format(name)
                )
            seen.add(key)
            if not isinstance(grad, tf.IndexedSlices):
                grad = tf.convert_to_tensor(grad)
            _check_gradient(grad, self._shape(variable), name)
            grads.append(grad)
            variables.append(variable)
        if not grads:
            raise GradientError(
                "No gradients provided for any variable: {}. Is the loss a function of them, and was it "
                "computed inside the tape?".format(", ".join(self._variable_name(v) for _, v in pairs))
            )
        return grads, variables

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
        grads_and_vars = list(grads_and_vars)
        grads, variables = self._checked_pairs(grads_and_vars)
        if not tf.executing_eagerly():
            self._kc.traced = True
        to_build = [v for _, v in grads_and_vars] if build_all else variables
        if any(self._variable_key(variable) not in self._kc.variables for variable in to_build):
            with tf.init_scope():
                self._build(to_build)
        if self._has_strategy():
            return self._apply_distributed(grads, variables, aggregate, global_step)
        with tf.name_scope(_scope(name or type(self).__name__)):
            return self._run(grads, variables, global_step)

    def _run(self, grads: Sequence[Any], variables: Sequence[Any], global_step: Any) -> Any:
        ordered = not tf.executing_eagerly() and not _in_function()
        known = [self._state_of(variable) for variable in variables]
        with _after(grads if ordered else ()):
            done, step = self._steps_done()
            scalars = self._scalars([each.xp for each in known], done)
            gradients = [self._gradient(g, k, v) for g, k, v in zip(grads, known, variables)]
            shared, shared_writes = self._prepare_all(gradients, known, variables, scalars, step)
            namespaces_of: Dict[Tuple[int, Any], Any] = {}
            writes: List[Any] = []
            for gradient, each, variable in zip(gradients, known, variables):
                key = (id(each.rule), each.xp)
                if key not in namespaces_of:
                    namespaces_of[key] = hyper_values(each.rule, scalars[each.xp], each.xp, shared(each.xp))
                writes += self._update(variable, each, gradient, namespaces_of[key], step, ordered)
            for variable, value in shared_writes:
                with _after([value] if ordered else ()):
                    writes.append(self._write(variable, value))
        return self._count(writes, global_step, ordered)

    def _gradient(self, grad: Any, known: VariableState, variable: Any) -> _Gradient:
        """A gradient as an array; of a sparse one, duplicate indices are summed."""
        xp = known.xp
        if not isinstance(grad, tf.IndexedSlices):
            return _Gradient(xp.wrap(tf.cast(grad, xp.compute_dtype)), None)
        values = tf.cast(grad.values, xp.compute_dtype)
        shape = self._shape(variable)
        if tf.executing_eagerly():
            _check_rows(grad.indices.numpy(), shape[0], known.name)
        if known.rule.sparse == "dense":
            # scatter_nd adds duplicates up, and refuses indices out of range before anything is assigned.
            indices = tf.expand_dims(grad.indices, -1)
            dense = tf.scatter_nd(indices, values, tf.constant(shape, indices.dtype))
            dense.set_shape(shape)
            return _Gradient(xp.wrap(dense), None)
        rows, position = tf.unique(grad.indices)
        # Not tf.size(rows): XLA can't tell that this is the same number, and refuses the update.
        summed = v1.unsorted_segment_sum(values, position, tf.shape(rows)[0])
        summed.set_shape((None, *shape[1:]))
        return _Gradient(xp.wrap(summed), rows)

    def _prepare_all(
        self,
        gradients: List[_Gradient],
        known: Sequence[VariableState],
        variables: Sequence[Any],
        scalars: Mapping[Any, Any],
        step: Any,
    ) -> Tuple[Callable[[Any], Mapping[str, Any]], List[Tuple[Any, Any]]]:
        """Runs the rule's `prepare`, changing `gradients`; gives the shared scalars and their writes."""
        state = self._kc
        root = state.root
        if not root.needs_all:
            return lambda xp: MappingProxyType({}), []
        # All gradients are seen in one dtype, the widest there is.
        wide = namespaces.namespace(
            "tensorflow", "float64" if any(k.xp.compute_dtype == tf.float64 for k in known) else "float32"
        )

        def widened(array: Any) -> Any:
            return wide.wrap(tf.cast(array, wide.compute_dtype))

        old = {name: widened(self._native(v).read_value()) for name, v in state.shared.items()}
        params = [
            widened(self._rows(self._native(v), g.rows, v)) for v, g in zip(variables, gradients)
        ]
        slots = [
            MappingProxyType(
                {name: widened(self._rows(self._native(s), g.rows, v)) for name, s in k.slots.items()}
            )
            for k, g, v in zip(known, gradients, variables)
        ]
        any_scalars = scalars.get(wide) or next(iter(scalars.values()))
        hyper = hyper_values(root, any_scalars, wide, MappingProxyType(old))
        grads, new = root.prepare(
            wide,
            [widened(k.xp.unwrap(g.array)) for g, k in zip(gradients, known)],
            params,
            slots,
            MappingProxyType(old),
            hyper,
            wide.scalar(step),
        )
        for gradient, each, grad in zip(gradients, known, grads):
            gradient.array = each.xp.wrap(tf.cast(wide.unwrap(grad), each.xp.compute_dtype))
        new_raw = {name: wide.unwrap(new[name]) for name in old}

        def shared(xp: Any) -> Mapping[str, Any]:
            return MappingProxyType(
                {name: xp.wrap(tf.cast(value, xp.compute_dtype)) for name, value in new_raw.items()}
            )

        return shared, [(state.shared[name], value) for name, value in new_raw.items()]

    def _rows(self, native: Any, rows: Any, variable: Any) -> Any:
        """A variable's value, or the rows of it if it has the rows of `variable`."""
        value = native.read_value()
        if rows is None or self._shape(native)[:1] != self._shape(variable)[:1]:
            return value
        return tf.gather(value, rows)

    def _update(
        self, variable: Any, known: VariableState, gradient: _Gradient, hyper: Any, step: Any, ordered: bool
    ) -> List[Any]:
        """Runs the rule on one variable and writes the result. Returns the operations that write."""
        xp, rows = known.xp, gradient.rows
        native = self._native(variable)
        param = xp.wrap(tf.cast(self._rows(native, rows, variable), xp.compute_dtype))
        slots = {
            name: xp.wrap(tf.cast(self._rows(self._native(slot), rows, variable), xp.compute_dtype))
            for name, slot in known.slots.items()
        }
        result = known.rule.update(xp, gradient.array, param, MappingProxyType(slots), hyper, xp.scalar(step))
        if not known.checked:
            result = check_result(known.rule, xp, param, slots, result)
            known.checked = True
        new_param, new_slots = result
        values = [(variable, xp.unwrap(new_param))]
        values += [(slot, xp.unwrap(new_slots[name])) for name, slot in known.slots.items()]
        constraint = getattr(variable, "constraint", None)
        with _after([value for _, value in values] if ordered else ()):
            writes = []
            for target, value in values:
                if rows is not None and self._shape(target)[:1] == self._shape(variable)[:1]:
                    writes.append(self._write_rows(target, rows, value))
                    continue
                if target is variable and constraint is not None:
                    value = constraint(tf.cast(value, self._native(target).dtype.base_dtype))
                writes.append(self._write(target, value))
        if rows is not None and constraint is not None:
            with _after(writes if ordered else ()):
                writes.append(self._write(variable, constraint(native.read_value())))
        return writes

    def _write(self, variable: Any, value: Any) -> Any:
        native = self._native(variable)
        return native.assign(tf.cast(value, native.dtype.base_dtype), read_value=False)

    def _write_rows(self, variable: Any, rows: Any, value: Any) -> Any:
        native = self._native(variable)
        return v1.scatter_update(native, rows, tf.cast(value, native.dtype.base_dtype))

    def _count(self, writes: Sequence[Any], global_step: Any, ordered: bool) -> Any:
        """Counts the step, after everything was written."""
        with _after(writes if ordered else ()):
            counted = [v1.assign_add(self._native(self._iterations_variable()), np.int64(1))]
            if global_step is not None:
                counted.append(v1.assign_add(global_step, tf.ones((), global_step.dtype.base_dtype)))
        if tf.executing_eagerly():
            return None
        return tf.group(*[_operation(each) for each in [*writes, *counted] if each is not None])

    # Several replicas.

    @staticmethod
    def _has_strategy() -> bool:
        has = getattr(tf.distribute, "has_strategy", None)  # not in TensorFlow 1.13's public API
        return bool(has is not None and has())

    def _apply_distributed(
        self, grads: Sequence[Any], variables: Sequence[Any], aggregate: bool, global_step: Any
    ) -> Any:
        context = tf.distribute.get_replica_context()
        if context is None:
            raise RuntimeError(
                "{}.apply_gradients() was called in a cross-replica context, where each replica's gradients "
                "are not known. Call it inside strategy.run(...).".format(type(self).__name__)
            )
        if aggregate:
            grads = [context.all_reduce(tf.distribute.ReduceOp.SUM, grad) for grad in grads]
        known = [self._state_of(variable) for variable in variables]
        done, step = self._steps_done()
        gradients = [self._gradient(g, k, v) for g, k, v in zip(grads, known, variables)]
        if self._kc.root.needs_all:
            scalars = self._scalars([each.xp for each in known], done)
            shared, shared_writes = self._prepare_all(gradients, known, variables, scalars, step)
            if shared_writes:
                raise NotImplementedError(
                    "{}: rules with scalars shared by all variables do not run under a distribution "
                    "strategy yet.".format(type(self).__name__)
                )
        arrays = [k.xp.unwrap(g.array) for g, k in zip(gradients, known)]
        rows = [g.rows for g in gradients]
        return context.merge_call(self._update_replicas, args=(arrays, rows, variables, global_step))

    def _update_replicas(
        self,
        strategy: Any,
        arrays: Sequence[Any],
        rows: Sequence[Any],
        variables: Sequence[Any],
        global_step: Any,
    ) -> Any:
        """In the cross-replica context: updates each variable's copies where they are."""
        writes: List[Any] = []
        for array, row, variable in zip(arrays, rows, variables):
            known = self._state_of(variable)

            def update(local: Any, array: Any, row: Any, *slots: Any, known: VariableState = known) -> Any:
                xp = known.xp
                done, step = self._steps_done()
                replica = VariableState(local, known.name, known.rule, xp)
                replica.slots = dict(zip(known.slots, slots))
                hyper = hyper_values(known.rule, self._scalars([xp], done)[xp], xp)
                ordered = not tf.executing_eagerly() and not _in_function()
                written = self._update(local, replica, _Gradient(xp.wrap(array), row), hyper, step, ordered)
                if tf.executing_eagerly():
                    return tf.zeros(())
                return tf.group(*[_operation(each) for each in written])

            slots = [self._native(slot) for slot in known.slots.values()]
            writes += strategy.extended.update(
                self._native(variable), update, args=(array, row, *slots), group=False
            )
        with _after([write for write in writes if not tf.executing_eagerly()]):
            counted = [self._native(self._iterations_variable()).assign_add(1)]
            if global_step is not None:
                counted.append(strategy.extended.update(global_step, v1.assign_add, args=(1,)))
        if tf.executing_eagerly():
            return None
        return tf.group(*[_operation(each) for each in counted])

    # One variable at a time: the host's own hooks, for wrappers that call them directly.

    @_no_autograph
    def _update_one(self, grad: Any, variable: Any) -> Any:
        """Updates one variable, without counting the step. Returns the operation in a graph, else None."""
        if self._kc.root.needs_all:
            raise NotImplementedError(
                "{} sees all gradients at once (such as clipping by global norm), so one variable can't be "
                "updated alone. Call apply_gradients().".format(type(self).__name__)
            )
        with tf.init_scope():
            self._build([variable])
        _check_gradient(grad, self._shape(variable), self._variable_name(variable))
        ordered = not tf.executing_eagerly() and not _in_function()
        known = self._state_of(variable)
        with _after([grad] if ordered else ()):
            done, step = self._steps_done()
            hyper = hyper_values(known.rule, self._scalars([known.xp], done)[known.xp], known.xp)
            gradient = self._gradient(grad, known, variable)
            writes = self._update(variable, known, gradient, hyper, step, ordered)
        if tf.executing_eagerly():
            return None
        return tf.group(*[_operation(write) for write in writes])

    # Gradients.

    @_no_autograph
    def _gradients(self, loss: Any, var_list: Any, tape: Any, grad_loss: Any) -> List[Tuple[Any, Any]]:
        """Gradients of a loss: a callable, a tensor with its tape, or a tensor of a graph."""
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

    # Averages and counts.

    def _updates(self, counter: Any) -> Any:
        """The number of updates done: the counter, or with gradient accumulation what it makes."""
        steps = self.gradient_accumulation_steps
        return counter if not steps else tf.convert_to_tensor(self._native(counter)) // steps

    @property
    def _model_variables_moving_average(self) -> List[Any]:
        # Keras' callback SwapEMAWeights looks for this name.
        if not self.use_ema or not self._kc.variables:
            raise AttributeError("there are no averages: use_ema is off, or the optimizer is not built")
        return [known.slots["average"] for known in self._kc.variables.values()]

    def finalize_variable_values(self, var_list: Iterable[Any]) -> None:
        """Puts the variables' moving averages in their place, if `use_ema` is on. Keras calls it after `fit`.

        Args:
            var_list: the variables.

        Raises:
            NotBuiltError: the optimizer has no average of one of them.
        """
        if self.use_ema:
            pairs = [(variable, self.get_slot(variable, "average")) for variable in var_list]
            for variable, average in pairs:
                self._write(variable, self._native(average).read_value())

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
        """
        pairs = self._gradients(loss, var_list, tape, grad_loss)
        return self.apply_gradients(pairs, name=name, global_step=global_step)

    def apply_gradients(self, grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @classmethod
    def _schedule_from_config(cls, config: Mapping[str, Any], custom_objects: Any) -> Any:
        return tf.keras.optimizers.schedules.deserialize(dict(config), custom_objects=custom_objects)

    def _schedule_to_config(self, schedule: Any) -> Any:
        return tf.keras.optimizers.schedules.serialize(schedule)


# What reading a variable raises where there is no session, or it has no value yet.
_UNREADABLE = (ValueError, RuntimeError, tf.errors.OpError)


def _evaluate(tensor: Any) -> Any:
    """The value of a tensor of a TensorFlow 1 graph, in the default session.

    Raises:
        ValueError: there is no default session.
    """
    session = v1.get_default_session()
    if session is None:
        raise ValueError("there is no default session")
    return session.run(tensor)


def _in_v1_graph(variable: Any) -> bool:
    """Whether a variable belongs to a TensorFlow 1 graph, so that only a session can assign it."""
    return bool(getattr(variable, "_in_graph_mode", not hasattr(variable, "_unique_id")))


def _in_function() -> bool:
    """Whether a tf.function is being traced, which orders reads and writes of variables by itself.

    Not by `building_function`: the graph that Keras builds its training step in, in eager mode up to
    TensorFlow 2.1, is a function's too, and nothing orders what is in it.
    """
    return bool(getattr(v1.get_default_graph(), "_add_control_dependencies", False))


@contextlib.contextmanager
def _after(tensors: Sequence[Any]) -> Iterator[None]:
    """Operations made inside run after these, through one barrier (not one edge for each pair)."""
    operations = [_operation(tensor) for tensor in tensors if tensor is not None]
    if not operations:
        yield
        return
    with v1.control_dependencies([tf.group(*operations)]):
        yield


def _operation(tensor: Any) -> Any:
    if isinstance(tensor, tf.IndexedSlices):
        return tf.group(tensor.values.op, tensor.indices.op)
    return getattr(tensor, "op", tensor)


def _scope(name: str) -> str:
    """A name that a name scope may have."""
    return "".join(c if c.isalnum() or c in "_.-/" else "_" for c in name)


def _flat(var_list: Any) -> List[Any]:
    return list(tf.nest.flatten(var_list)) if hasattr(tf, "nest") else list(var_list)


def _check_rows(indices: Any, count: int, name: str) -> None:
    """Raises GradientError if a sparse gradient has a row that its variable has not.

    Only eager code can tell before anything is assigned. In a graph the operations tell, on the CPU; on a GPU
    TensorFlow leaves such rows out without a word.
    """
    if indices.size and (indices.min() < 0 or indices.max() >= count):
        raise GradientError(
            "The sparse gradient of {!r} has indices from {} to {}; the variable has {} rows.".format(
                name, indices.min(), indices.max(), count
            )
        )


def _check_gradient(grad: Any, shape: Tuple[int, ...], name: str) -> None:
    """Raises GradientError if a gradient can't be that of a variable of this shape."""
    sparse = isinstance(grad, tf.IndexedSlices)
    if not grad.dtype.is_floating:
        raise GradientError(
            "The gradient of {!r} has dtype {}; expected a floating one.".format(name, grad.dtype.name)
        )
    given = (grad.values if sparse else grad).shape
    expected = tf.TensorShape((None, *shape[1:]) if sparse else shape)
    if (sparse and not shape) or not given.is_compatible_with(expected):
        raise GradientError(
            "The {}gradient of {!r} has shape {}; expected {}.".format(
                "sparse " if sparse else "",
                name,
                given,
                expected if shape or not sparse else "a variable with rows",
            )
        )
