"""What TensorFlow compiles: the step of a large variable by XLA, and eager steps as one traced function."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import logging
from types import MappingProxyType
from typing import Any, Callable, ContextManager, Dict, List, Optional, Sequence, Set, Tuple

import numpy as np
import tensorflow as tf

from ..contract import check_result
from ..environment import parse_version
from ..namespaces.array import Array, weak_value
from ..namespaces.tensorflow import BACKEND, keeping_nan
from ..rule import HyperValues, UpdateRule
from .repeat_tensorflow import Repeat
from .step_scalars import arrays_of, replaced

# From this number of elements on, a variable is large: what its operations write no longer stays in a cache,
# and to compile them, once a shape, pays off within a few steps.
LARGE = 1 << 18

# What XLA of TensorFlow 2.18 to 2.20 compiles for a CPU takes twice as long as that of 2.17 and 2.21 (AdamW
# on 20 million floats 67 ms for 30): a kernel is faster, though decay passes over the variable again (33 ms).
XLA_IS_SLOW = (2, 18) <= parse_version(tf.__version__).release[:2] <= (2, 20)

# Up to this number of variables whose rule runs operation by operation, an eager step is not worth a trace.
FEW = 4

# An eager step on more sets of variables than these (some had no gradient) is not traced.
_MOST_TRACES = 8

_logger = logging.getLogger(__name__)

# Operations that XLA fuses into one pass over memory, or into one more for each reduction. A rule that has
# others, such as products and factorizations of matrices, gains nothing by it, or can't be compiled at all.
_FUSED = frozenset(
    "Abs Add AddN AddV2 All Any BroadcastTo Cast Ceil Const Cos Div Equal Exp ExpandDims Expm1 Fill Floor "
    "FloorMod Greater GreaterEqual Identity IsFinite IsInf IsNan Less LessEqual Log Log1p LogicalAnd "
    "LogicalNot LogicalOr Max Maximum Mean Min Minimum Mul Neg NotEqual OnesLike Placeholder Pow Prod "
    "RealDiv Reciprocal Reshape Round Rsqrt Select SelectV2 Sigmoid Sign Sin Sqrt Square "
    "SquaredDifference Squeeze Sub Sum Tanh ZerosLike".split()
)

_functions: Any = getattr(tf, "function", None)  # TensorFlow 1.13 has none


def _keyword() -> Optional[str]:
    """What tells tf.function to compile by XLA; None where nothing does."""
    parameters = inspect.signature(_functions).parameters if _functions else ()
    return next((name for name in ("jit_compile", "experimental_compile") if name in parameters), None)


def _xla(function: Callable[..., Any], signature: Sequence[Any]) -> Any:
    return _functions(function, autograph=False, input_signature=list(signature), **{str(_keyword()): True})


@functools.lru_cache(maxsize=None)
def why_no_xla() -> Optional[str]:
    """Why nothing can be compiled by XLA here, in words, or None if it can: a small step is tried, once."""
    if _keyword() is None:
        return "this TensorFlow compiles no tf.function"
    with tf.init_scope():
        try:
            variable = tf.Variable(tf.fill([9], 2.0), trainable=False)

            def step(number: Any, handle: Any) -> None:
                value = _read(handle, tf.float32, (9,))
                new = value * tf.cast(number, tf.float32) + tf.reduce_sum(value)
                tf.raw_ops.AssignVariableOp(resource=handle, value=new)

            signature = [tf.TensorSpec([], tf.float64), tf.TensorSpec([], tf.resource)]
            _xla(step, signature)(tf.constant(3.0, tf.float64), variable.handle)
            right = bool((variable.numpy() == 24.0).all())
        except Exception as error:  # whatever a release or a platform raises
            _logger.info("XLA does not work here: %s", error)
            return "XLA does not work here ({})".format(type(error).__name__)
    return None if right else "XLA does not compute right here"


def _read(handle: Any, dtype: Any, shape: Tuple[int, ...]) -> Any:
    value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
    value.set_shape(shape)
    return value


def why_not_fused(operations: Set[str]) -> Optional[str]:
    """Why XLA is not to compile a rule of these operations, in words, or None."""
    others = sorted(operations - _FUSED)
    return "XLA does not fuse {}".format(", ".join(others)) if others else None


class LargeStep:
    """One step of a rule on variables of one shape, compiled by XLA. It reads and writes them in place.

    Args:
        rule: the rule.
        xp: its array namespace.
        names: the names of its slots.
        kinds: dtype and shape of the variable and of each slot.

    Attributes:
        traces: how often it has been traced.
    """

    def __init__(
        self, rule: UpdateRule, xp: Any, names: Sequence[str], kinds: Sequence[Tuple[Any, Tuple[int, ...]]]
    ) -> None:
        self._rule = rule
        self._xp = xp
        self._names = list(names)
        self._kinds = list(kinds)
        self._function: Any = None
        self.traces = 0

    def __call__(self, natives: Sequence[Any], grad: Any, hyper: HyperValues, step: Any) -> None:
        """Takes the step.

        Args:
            natives: the variable and its slots, as TensorFlow's resource variables.
            grad: the gradient, in the compute dtype.
            hyper, step: as the rule is given them.
        """
        arrays = arrays_of(hyper, step)
        if self._function is None:
            self._function = self._compiled(hyper, step, arrays)
        scalars = [
            BACKEND.constant(value, tf.float64) if isinstance(value, float) else value
            for value in map(weak_value, arrays)
        ]
        self._function(grad, *scalars, *[native.handle for native in natives])

    def _compiled(self, hyper: HyperValues, step: Any, arrays: Sequence[Array]) -> Any:
        xp, count = self._xp, len(arrays)
        weak = [array._dtype is None for array in arrays]

        def body(grad: Any, *given: Any) -> None:
            scalars = iter([xp.scalar(g) if w else xp.wrap(g) for w, g in zip(weak, given[:count])])
            self._run(grad, given[count:], *replaced(hyper, step, lambda _: next(scalars)))

        signature = [tf.TensorSpec(self._kinds[0][1], xp.compute_dtype)]
        signature += [tf.TensorSpec([], tf.float64 if w else a.dtype) for w, a in zip(weak, arrays)]
        signature += [tf.TensorSpec([], tf.resource)] * len(self._kinds)
        return _xla(body, signature)

    def _run(self, grad: Any, handles: Sequence[Any], hyper: HyperValues, step: Any) -> None:
        xp = self._xp
        self.traces += 1
        values = [_read(handle, *kind) for handle, kind in zip(handles, self._kinds)]
        param, *slots = [xp.wrap(tf.cast(value, xp.compute_dtype)) for value in values]
        before = dict(zip(self._names, slots))
        with keeping_nan():
            result = self._rule.update(xp, xp.wrap(grad), param, MappingProxyType(before), hyper, step)
        new_param, new = check_result(self._rule, xp, param, before, result)
        for handle, (dtype, _), array in zip(
            handles, self._kinds, [new_param, *[new[name] for name in self._names]]
        ):
            tf.raw_ops.AssignVariableOp(resource=handle, value=tf.cast(xp.unwrap(array), dtype))


# Eager steps.


def _switch() -> Callable[[], Any]:
    """What tells whether the program has switched traced functions off, to debug."""
    config = getattr(tf, "config", None)
    for name in ("functions_run_eagerly", "experimental_functions_run_eagerly"):
        if hasattr(config, name):
            found: Callable[[], Any] = getattr(config, name)
            return found
    return lambda: _functions is None


_run_eagerly = _switch()


def _find_not_recorded() -> Callable[[], ContextManager[Any]]:
    for name in ("record", "tape"):  # where it is from TensorFlow 2.12 on, and where it was
        try:
            return importlib.import_module("tensorflow.python.eager." + name).stop_recording
        except (ImportError, AttributeError):
            continue
    return contextlib.ExitStack


# Nothing inside is recorded by a gradient tape, which would make a function of the whole step's gradient.
_not_recorded = _find_not_recorded()


class Packing:
    """How gradients are given to a traced function: small ones, of a dtype and with rows alike, end to end.

    Each argument of a function costs as much as an operation.

    Args:
        grads: the gradients, tensors or IndexedSlices.
        shapes: the shapes of their variables.

    Attributes:
        specs: the shapes and dtypes of the arguments, a `tf.TensorSpec` each.
    """

    def __init__(self, grads: Sequence[Any], shapes: Sequence[Tuple[int, ...]]) -> None:
        self._sparse = [isinstance(grad, tf.IndexedSlices) for grad in grads]
        packs: Dict[Any, List[int]] = {}
        for i, (grad, shape, sparse) in enumerate(zip(grads, shapes, self._sparse)):
            small = not sparse and shape and int(np.prod(shape)) < LARGE
            packs.setdefault((grad.dtype, shape[1:]) if small else i, []).append(i)
        self._packs = list(packs.values())
        self._lengths = [[shapes[i][0] for i in pack] if len(pack) > 1 else [] for pack in self._packs]
        self.specs: List[Any] = []
        for pack, lengths in zip(self._packs, self._lengths):
            grad, shape = grads[pack[0]], shapes[pack[0]]
            if self._sparse[pack[0]]:
                self.specs.append(tf.TensorSpec((None, *shape[1:]), grad.values.dtype))
                self.specs.append(tf.TensorSpec((None,), grad.indices.dtype))
            else:
                self.specs.append(
                    tf.TensorSpec((sum(lengths), *shape[1:]) if lengths else shape, grad.dtype)
                )

    def pack(self, grads: Sequence[Any]) -> List[Any]:
        """The function's arguments."""
        tensors = []
        for pack in self._packs:
            first = grads[pack[0]]
            if len(pack) > 1:
                tensors.append(tf.concat([grads[i] for i in pack], 0))
            else:
                tensors += [first.values, first.indices] if self._sparse[pack[0]] else [first]
        return tensors

    def unpack(self, tensors: Sequence[Any]) -> List[Any]:
        """The gradients, of the function's arguments."""
        rest = iter(tensors)
        grads: Dict[int, Any] = {}
        for pack, lengths in zip(self._packs, self._lengths):
            tensor = next(rest)
            if self._sparse[pack[0]]:
                tensor = tf.IndexedSlices(tensor, next(rest))
            grads.update(zip(pack, tf.split(tensor, lengths) if lengths else [tensor]))
        return [grads[i] for i in range(len(grads))]


class TracedStep:
    """An eager step as one traced function of some scalars and of gradients.

    Args:
        body: the step: given the scalars, a float64 vector, and the gradients.
        packing: how the gradients are given.
        count: the number of scalars.
    """

    def __init__(
        self, body: Callable[[Any, Sequence[Any]], None], packing: Packing, count: int
    ) -> None:
        def unpacked(numbers: Any, *tensors: Any) -> None:
            body(numbers, packing.unpack(tensors))

        self._packing = packing
        specs = [tf.TensorSpec((count,), tf.float64), *packing.specs]
        self._kept = _functions(unpacked, autograph=False, input_signature=specs)
        # Called as it is, it looks at each argument anew, which takes longer than the step.
        self._function = self._kept.get_concrete_function()

    def __call__(self, numbers: Sequence[float], grads: Sequence[Any]) -> None:
        """Takes the step."""
        with _not_recorded():
            self._function(tf.convert_to_tensor(numbers, tf.float64), *self._packing.pack(grads))


class Compiled:
    """What is compiled of one optimizer's step, and what takes eager steps again.

    Attributes:
        stacks: whether a rule goes element by element, by the rule and its namespace.
    """

    def __init__(self) -> None:
        self.stacks: Dict[Any, bool] = {}
        self._repeats: Dict[Tuple[int, ...], Repeat] = {}
        self._traced: Dict[Any, TracedStep] = {}
        self._met: Dict[Any, None] = {}
        self._large: Dict[Any, LargeStep] = {}

    def large_step(
        self, rule: UpdateRule, xp: Any, names: Sequence[str], natives: Sequence[Any]
    ) -> LargeStep:
        """The compiled step of a rule for variables of this shape.

        Args:
            rule, xp, names: as for `LargeStep`.
            natives: the variable and its slots.
        """
        kinds = tuple((native.dtype.base_dtype, tuple(native.shape.as_list())) for native in natives)
        key = rule, xp, kinds
        if key not in self._large:
            self._large[key] = LargeStep(rule, xp, names, kinds)
        return self._large[key]

    def traced_step(self, key: Any, make: Callable[[], TracedStep]) -> Optional[TracedStep]:
        """The traced function for the eager steps on a set of variables: one set, one trace, at its second
        step. What is done once is done before it would be traced.

        Args:
            key: what tells the sets apart.
            make: makes the function.

        Returns:
            None at the first step, if there are too many sets, or if traced functions are switched off.
        """
        if _run_eagerly():
            return None
        if key not in self._traced:
            if key not in self._met or len(self._traced) >= _MOST_TRACES:
                self._met[key] = None
                if len(self._met) > _MOST_TRACES:
                    del self._met[next(iter(self._met))]
                return None
            del self._met[key]
            self._traced[key] = make()
        return self._traced[key]

    def remember(self, repeat: Repeat) -> None:
        """Keeps what takes a step again; that of the lists of variables met last."""
        if len(self._repeats) >= _MOST_TRACES:
            del self._repeats[next(iter(self._repeats))]
        self._repeats[_ids(repeat.variables)] = repeat

    def repeat(self, variables: Sequence[Any]) -> Optional[Repeat]:
        """What takes a step on a list of variables again, if there is such a thing."""
        if not self._repeats:
            return None
        found = self._repeats.get(_ids(variables))
        return None if found is None or (found.traced and _run_eagerly()) else found


def _ids(variables: Sequence[Any]) -> Tuple[int, ...]:
    return tuple([id(variable) for variable in variables])
