"""What the adapters for Keras 3 on JAX and PyTorch share: arrays without a graph around them."""

from __future__ import annotations

import functools
import numbers
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import keras
import numpy as np

from .. import namespaces
from ..contract import check_slots
from ..errors import GradientError
from ..schedules import Schedule
from .base import HyperState, VariableState, as_pairs, in_words
from .keras_3_base import Keras3Base, KerasVariable


class Keras3ArraysAdapter(Keras3Base):
    """A rule as a Keras 3 optimizer where an optimizer's step is plain array code.

    Hyperparameters are Python numbers, beside Keras' own variable for the learning rate.
    """

    # What JAX and PyTorch do differently.

    def _known(self, value: Any) -> bool:
        """Whether an array's value is known now; while `jax.jit` traces the step it is not."""
        return True

    def _later(self, function: Callable[[], float]) -> Any:
        """A float64 scalar: the function's result, asked for whenever the traced step runs."""
        raise NotImplementedError

    def _next(self, done: Any) -> Any:
        """1 more than an integer scalar that is not known now, as a floating scalar."""
        raise NotImplementedError

    # Variables.

    def _variable_key(self, variable: Any) -> Any:
        return id(variable)  # the state holds the variable, so no other can get its id

    def _dtype_name(self, variable: Any) -> str:
        return str(keras.backend.standardize_dtype(variable.dtype))

    def _shape(self, variable: Any) -> Tuple[int, ...]:
        return tuple(variable.shape)

    def _read(self, variable: Any) -> Any:
        return self._native(variable)

    def _write(self, variable: Any, value: Any) -> Any:
        variable.assign(value)  # which casts, and knows of a StatelessScope

    def _in_dtype_of(self, variable: Any, value: Any) -> Any:
        return keras.ops.cast(value, self._dtype_name(variable))

    def _plan_slots(self, known: VariableState) -> Dict[str, Tuple[Callable[[], Any], bool]]:
        variable, xp, rule = known.variable, known.xp, known.rule
        param = xp.wrap(self._cast(self._read(variable), xp.compute_dtype))
        found = check_slots(rule, xp, rule.init(xp, param))
        slots = self._apart(xp.unwrap(param), {name: xp.unwrap(value) for name, value in found.items()})
        same_dtype = self._dtype_name(variable) == keras.backend.standardize_dtype(xp.compute_dtype)
        return {
            name: (
                functools.partial(slots.__getitem__, name),
                same_dtype and tuple(value.shape) == self._shape(variable),
            )
            for name, value in slots.items()
        }

    def _apart(self, param: Any, slots: Mapping[str, Any]) -> Dict[str, Any]:
        """The initial values of a variable's slots, each in memory of its own.

        A slot may start as the parameter itself, and two variables must not hold one array.
        """
        return {name: self._copy(value) for name, value in slots.items()}

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the optimizer's variables for these variables; those it knows already are passed over."""
        self._build(list(variables))

    def _updates(self, counter: Any) -> Any:
        steps = self.gradient_accumulation_steps
        return counter if not steps else keras.ops.floor_divide(counter, steps)

    def _read_values(self, variables: Sequence[Any]) -> List[np.ndarray]:
        # Copies: what PyTorch gives may be the variable's own memory.
        return [np.array(keras.ops.convert_to_numpy(self._native(variable))) for variable in variables]

    def _assign_values(self, pairs: Sequence[Tuple[Any, np.ndarray]]) -> None:
        for variable, array in pairs:
            variable.assign(np.asarray(array, self._dtype_name(variable)))

    # Hyperparameters.

    def _new_exact(self, name: str, number: float) -> Any:
        return number

    def _has_variable(self, hyper: HyperState) -> bool:
        return hyper.kind == "number"

    def _assign_number(self, hyper: HyperState, number: float) -> None:
        if hyper.variable is not None:
            hyper.variable.assign(number)
        hyper.exact = number

    def _number(self, value: Any) -> Any:
        """A scalar whose value is known as a Python number, any other as it is."""
        if isinstance(value, numbers.Real):
            return float(value)
        value = self._native(value)
        return float(keras.ops.convert_to_numpy(value)) if self._known(value) else value

    def _hyper_value(self, hyper: HyperState, done: Any) -> Any:
        source = hyper.source
        if hyper.kind == "number":
            return self._number_now(hyper)
        if isinstance(source, Schedule):
            if self._known(done):
                return source(int(done))
            xp = namespaces.namespace(self.backend, "float32")
            return source.value(xp, xp.scalar(done))
        if hyper.kind == "schedule":
            return self._number(self._scheduled(hyper, done))
        if hyper.kind == "tensor":
            value = self._native(source)
            if self._known(done) or not self._known(value):
                return self._number(value)
            # Traced now, a variable that is not part of the traced state would be frozen at its value.
            return self._later(lambda: self._number(source))
        value = source()
        if self._known(done) or not self._known(self._native(value)):
            return self._number(value)
        return self._later(lambda: self._number(source()))

    @staticmethod
    def _scheduled(hyper: HyperState, done: Any) -> Any:
        takes_object = hasattr(hyper.source, "get_config")
        return hyper.source(done if takes_object else keras.ops.cast(done, "float32"))

    def _number_now(self, hyper: HyperState) -> Any:
        if hyper.variable is None:
            return hyper.exact
        value = hyper.variable.value
        if not self._known(value):
            return value
        # Keras' float32 variable decides, since callbacks and checkpoints write to it; but while it holds the
        # rounded form of the number that was given, that number itself is used.
        rounded = float(np.asarray(hyper.exact, hyper.variable.dtype))
        number = self._number(value)
        return hyper.exact if number == rounded else number

    def _read_number(self, hyper: HyperState) -> float:
        if hyper.kind == "number":
            return hyper.source if self._number_now(hyper) == float(hyper.source) else self._number_now(hyper)
        return float(self._number(self._public_hyper(hyper)))

    def _public_hyper(self, hyper: HyperState) -> Any:
        if hyper.kind == "number":
            return hyper.exact if hyper.variable is None else hyper.variable
        if hyper.kind == "callable":
            return hyper.source()
        if hyper.kind == "schedule":
            return self._scheduled(hyper, self._iterations.value)
        return hyper.source

    def _steps_done(self) -> Tuple[Any, Any]:
        done = self._iterations.value
        if not self._known(done):
            self._kc.traced = True
            return done, self._next(done)
        return int(done), float(int(done) + 1)

    # The step.

    def apply_gradients(
        self,
        grads_and_vars: Any,
        name: Optional[str] = None,
        skip_gradients_aggregation: bool = False,
        experimental_aggregate_gradients: bool = True,
        global_step: Any = None,
    ) -> Any:
        """One step: updates every variable from its gradient.

        Args:
            grads_and_vars: pairs (gradient, variable); a gradient is an array, a sparse one with rows (JAX:
                BCOO, PyTorch: sparse COO), or None.
            name, skip_gradients_aggregation, experimental_aggregate_gradients: of other hosts; they mean
                nothing here.
            global_step: a Keras variable to add 1 to, after the step.

        Returns:
            The step counter.

        Raises:
            GradientError: no gradient, or one that does not fit its variable.
            NotBuiltError: under `jax.jit`, and the optimizer is not built on one of the variables.
        """
        if not self._by_apply(grads_and_vars, global_step=global_step):
            self._apply(grads_and_vars, global_step)
        return self._iterations

    def _apply(self, grads_and_vars: Iterable[Any], global_step: Any) -> None:
        pairs = as_pairs(type(self).__name__, grads_and_vars)
        grads, variables = self._checked_pairs(pairs)
        to_build = [variable for _, variable in pairs]
        if self._is_new_to(to_build):
            self._build(to_build)
        self._run(grads, variables, global_step)

    def _check_here(self, grads_and_vars: Sequence[Tuple[Any, Any]]) -> None:
        for _, variable in grads_and_vars:
            if not self._is_variable(variable):
                raise GradientError(
                    "{}.apply_gradients() was given {} as a variable; expected a keras.Variable. A pair is "
                    "(gradient, variable), not the other way round.".format(
                        type(self).__name__, in_words(variable)
                    )
                )

    def _is_variable(self, thing: Any) -> bool:
        return isinstance(thing, KerasVariable)

    def _as_gradient(self, grad: Any, shape: Tuple[int, ...], name: str) -> Any:
        sparse = self._is_sparse(grad)
        if not sparse:
            try:
                grad = keras.ops.convert_to_tensor(grad)
            except (TypeError, ValueError, RuntimeError) as error:
                raise GradientError(
                    "The gradient of {!r} is {}; expected an array or None.".format(name, in_words(grad))
                ) from error
        dtype = keras.backend.standardize_dtype(grad.dtype)
        if "float" not in dtype:
            raise GradientError(
                "The gradient of {!r} has dtype {}; expected a floating one.".format(name, dtype)
            )
        if tuple(grad.shape) != shape:
            raise GradientError(
                "The {}gradient of {!r} has shape {}; expected {}.".format(
                    "sparse " if sparse else "", name, tuple(grad.shape), shape
                )
            )
        return grad

    @staticmethod
    def _check_rows(low: int, high: int, count: int, name: str) -> None:
        """Raises GradientError if a sparse gradient has rows that its variable has not."""
        if low < 0 or high >= count:
            raise GradientError(
                "The sparse gradient of {!r} has indices from {} to {}; the variable has {} rows.".format(
                    name, low, high, count
                )
            )

    def _update_one(self, grad: Any, variable: Any) -> Any:
        self._check_one_at_a_time()
        self._build([variable])
        self._update_alone(grad, variable)

    def _count(self, writes: Sequence[Any], global_step: Any) -> Any:
        self._iterations.assign_add(1)
        if global_step is not None:
            global_step.assign_add(1)

    # Gradients.

    def minimize(
        self, loss: Any, var_list: Any = None, name: Optional[str] = None, global_step: Any = None
    ) -> Any:
        """Computes the gradients of a loss and takes one step.

        Args:
            loss: a callable that computes it, or (PyTorch) the loss.
            var_list: the variables; those that the optimizer is built on by default.
            name: of other hosts; it means nothing here.
            global_step: a Keras variable to add 1 to.

        Returns:
            The step counter.

        Raises:
            GradientError: as `compute_gradients` and `apply_gradients`.
        """
        return self.apply_gradients(self.compute_gradients(loss, var_list), global_step=global_step)

    def compute_gradients(self, loss: Any, var_list: Any = None) -> List[Tuple[Any, Any]]:
        """Pairs (gradient, variable) of a loss; a gradient that there is not is None.

        Args:
            loss: a callable that computes it, or (PyTorch) the loss.
            var_list: the variables, or a callable that gives them; those that the optimizer is built on by
                default.

        Raises:
            GradientError: no variables; or a loss that no gradient can be computed of.
        """
        if callable(var_list):
            var_list = var_list()
        if var_list is None:
            var_list = [known.variable for known in self._kc.variables.values()]
            if not var_list:
                raise GradientError(
                    "{}.minimize(loss): var_list was not given and the optimizer is not built on any "
                    "variable. Give var_list.".format(type(self).__name__)
                )
        variables = list(var_list)
        return list(zip(self._gradients_of(loss, variables), variables))

    def _gradients_of(self, loss: Any, variables: Sequence[Any]) -> Sequence[Any]:
        raise NotImplementedError
