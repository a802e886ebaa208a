"""One training step over the whole list of variables, and the state it keeps, on any array library.

The order is the same everywhere: gradients are checked and their duplicate indices summed; everything is
read; the rule runs; then everything is written, and the step is counted. An adapter supplies the host's
arrays and variables: how to read, cast, gather, write, and what must wait for what.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import warnings
from types import MappingProxyType
from typing import Any, Callable, ContextManager, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from .. import namespaces
from ..contract import check_result, check_slots
from ..errors import GradientError, HyperparameterError, NotBuiltError
from ..rule import Hyper, UpdateRule, hyper_values, walk
from ..transforms.clipping import ClipByGlobalNorm, ClipByNorm, ClipByValue
from .base import Adapter, VariableState
from .plan import PLAIN, Plan, PlanLine, Way, choice, no_kernel, plain_rule
from .uninterrupted import Uninterrupted

# Variables narrower than float32 are computed with in float32, and their slots are kept in it: in bfloat16
# 0.999 is 1, and a second moment that is kept in it freezes.
_COMPUTE = {"float16": "float32", "bfloat16": "float32", "float32": "float32", "float64": "float64"}


_CLIPS = (ClipByValue, ClipByNorm, ClipByGlobalNorm)

# So many elements of variables and slots, 64 MB in float32, are worked out before the first of them is
# written. More would take memory that a large model has not.
_AHEAD = 1 << 24


class _NoStateError(NotBuiltError, KeyError):
    """Also a KeyError: a checkpoint asks `get_slot` about every variable that it holds, and expects that."""

    __str__ = Exception.__str__  # KeyError's shows the message's repr


class _Asked(Sequence[Any]):
    """A list whose items are made when they are asked for; most rules look at none of them."""

    def __init__(self, make: Callable[[int], Any], count: int) -> None:
        self._make = make
        self._made: Dict[int, Any] = {}
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        i = range(self._count)[index]
        if i not in self._made:
            self._made[i] = self._make(i)
        return self._made[i]


class Gradient:
    """A gradient as the rule is to see it.

    Attributes:
        array: an array in the compute dtype.
        rows: the rows it is for, or None for all.
        checks: in a graph, tensors and operations that fail when the gradient does not fit its variable.
            Those of all gradients are run before the first variable is written.
        values: what the rule made of it, where that was worked out ahead.
    """

    __slots__ = ("array", "checks", "rows", "values")

    def __init__(self, array: Any, rows: Any, checks: Sequence[Any] = ()) -> None:
        self.array = array
        self.rows = rows
        self.checks = checks
        self.values: Optional[List[Tuple[Any, Any]]] = None


class Overwritten(UpdateRule):
    """The rule of variables whose "gradient" is their new value, such as Keras 3's float8 scales.

    With gradient accumulation they become the largest of the values since the last update, as in Keras 3.
    """

    steps = Hyper(1, "steps that make one update", static=True)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"accumulated": xp.zeros_like(param)} if self.steps > 1 else {}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        if self.steps == 1:
            return grad, {}
        due = xp.remainder(step, float(self.steps)) == 0
        largest = xp.maximum(grad, slots["accumulated"])
        return xp.where(due, largest, param), {"accumulated": xp.where(due, 0.0, largest)}


class StepAdapter(Adapter):
    """The base of the adapters that take a step over the whole list of variables at once."""

    # The array namespace that rules run in here.
    backend = ""

    # What a concrete adapter defines: the host's optimizer.

    def _iterations_variable(self) -> Any:
        """The host's counter of steps."""
        raise NotImplementedError

    def _create_slot(self, variable: Any, name: str, initial: Callable[[], Any], like: bool) -> Any:
        """Creates and registers a slot variable as the host does.

        Args:
            variable: the variable that it belongs to.
            name: the slot's name.
            initial: gives the initial value, an array.
            like: whether the slot has the variable's own shape and dtype.
        """
        raise NotImplementedError

    def _create_shared(self, name: str, initial: Callable[[], Any]) -> Any:
        """Creates and registers a scalar variable that belongs to the optimizer as a whole."""
        raise NotImplementedError

    def _create_host_variables(self, variables: Sequence[Any]) -> None:
        """Creates the step counter and the host's hyperparameter variables, if they aren't there."""

    def _host_built(self, variables: Sequence[Any]) -> None:
        """Tells the host that it is built, on these variables (all of them, each time some were added)."""

    # What a concrete adapter defines: the host's arrays and variables.

    def _native(self, variable: Any) -> Any:
        """What holds the value of a variable of the host: itself, or the framework's variable behind it."""
        return variable

    def _constraint_of(self, variable: Any) -> Any:
        """What maps a variable's new value to one that it may have, or None."""
        return getattr(variable, "constraint", None)

    def _dtype_name(self, variable: Any) -> str:
        """A variable's dtype, such as "float32"."""
        raise NotImplementedError

    def _shape(self, variable: Any) -> Tuple[int, ...]:
        raise NotImplementedError

    def _read(self, variable: Any) -> Any:
        """A variable's value, an array."""
        raise NotImplementedError

    def _cast(self, array: Any, dtype: Any) -> Any:
        raise NotImplementedError

    def _read_rows(self, variable: Any, rows: Any) -> Any:
        """Some rows of a variable's value, an array."""
        raise NotImplementedError

    def _write(self, variable: Any, value: Any) -> Any:
        """Writes a variable, in its own dtype. Returns the operation that does it, if that is one."""
        raise NotImplementedError

    def _write_rows(self, variable: Any, rows: Any, value: Any) -> Any:
        raise NotImplementedError

    def _count(self, writes: Sequence[Any], global_step: Any) -> Any:
        """Counts the step, after everything was written. Returns the operation of the whole step, if any."""
        raise NotImplementedError

    def _steps_done(self) -> Tuple[Any, Any]:
        """The number of steps done, an integer, and of this step, a floating scalar or number."""
        raise NotImplementedError

    def _hyper_value(self, hyper: Any, done: Any) -> Any:
        """A hyperparameter's value in this step, a floating scalar or number.

        Args:
            hyper: the hyperparameter, a `HyperState`.
            done: the number of steps done.
        """
        raise NotImplementedError

    def _as_gradient(self, grad: Any, shape: Tuple[int, ...], name: str) -> Any:
        """A gradient of a variable as the host's array, or the host's form of a sparse one.

        Raises:
            GradientError: it can't be the gradient of a variable of this shape.
        """
        raise NotImplementedError

    def _gradient(self, grad: Any, known: VariableState, variable: Any) -> Gradient:
        """What `_as_gradient` gave in the compute dtype; of a sparse one, duplicate indices are summed."""
        raise NotImplementedError

    def _plan_slots(self, known: VariableState) -> Dict[str, Tuple[Callable[[], Any], bool]]:
        """Slot name -> (what gives its initial value, whether it is like the variable)."""
        raise NotImplementedError

    def _check_variable(self, variable: Any, name: str) -> None:
        """Raises GradientError for a variable that the host can't train."""

    def _new_exact(self, name: str, number: float) -> Any:
        """What holds a hyperparameter's number exactly, beside the host's float32 variable."""
        raise NotImplementedError

    def _updates(self, counter: Any) -> Any:
        """The number of updates done: the counter of steps, or with gradient accumulation what it makes."""
        raise NotImplementedError

    def _update_one(self, grad: Any, variable: Any) -> Any:
        """Updates one variable, without counting the step: what the host's own hooks do."""
        raise NotImplementedError

    def _is_sparse(self, grad: Any) -> bool:
        """Whether this is the host's form of a sparse gradient."""
        raise NotImplementedError

    def _copy(self, array: Any) -> Any:
        """An array that holds what it holds, whatever is written, and in memory of its own."""
        return array

    def _settled(self, values: List[Tuple[Any, Any]]) -> List[Tuple[Any, Any]]:
        """Pairs (variable, new value), of which writing one does not change another's value."""
        return values

    def _check_here(self, grads_and_vars: Sequence[Tuple[Any, Any]]) -> None:
        """Raises GradientError if one of these pairs has no variable that can be trained here."""

    def _runs_at_once(self) -> bool:
        """Whether what is written is written at once, and not by operations that run later."""
        return True

    def _must_order(self) -> bool:
        """Whether nothing but `_after` orders reads and writes here."""
        return False

    def _after(self, arrays: Sequence[Any]) -> ContextManager[Any]:
        """What is made inside comes after these, where it does not run at once."""
        return contextlib.ExitStack()

    # The state of variables.

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

    def _is_new_to(self, variables: Sequence[Any]) -> bool:
        """Whether the optimizer must be built on these: one is not known, or their order is not."""
        known = self._kc.variables
        return not self._kc.ordered or any(self._variable_key(each) not in known for each in variables)

    def _build(self, variables: Iterable[Any], restoring: bool = False) -> None:
        """Creates the state of variables not seen before.

        Args:
            variables: the variables.
            restoring: whether a checkpoint asks for their state, in an order of its own.
        """
        new: Dict[Any, VariableState] = {}
        keys = []
        for variable in variables:
            key = self._variable_key(variable)
            keys.append(key)
            if key not in self._kc.variables and key not in new:
                new[key] = self._new_state(variable)
        with Uninterrupted():  # the host holds the variables that are made here, whatever comes of them
            self._join(new, keys, restoring)

    def _join(self, new: Dict[Any, VariableState], keys: Sequence[Any], restoring: bool) -> None:
        """Creates the state of new variables and brings all into their order.

        Args:
            new: the new ones, by their key.
            keys: the keys of all variables that were given, new or not.
            restoring: as for `_build`.
        """
        state = self._kc
        if new:
            self._build_new(new)
        before = list(state.variables)
        if restoring:
            if new:  # an optimizer that was built before keeps its order
                state.ordered, state.restored = False, True
        else:
            state.ordered = state.ordered and not new
            self._set_order(keys)
        if new or list(state.variables) != before:
            self._host_built([known.variable for known in state.variables.values()])
        if new:
            self._restore_waiting(list(new.values()))

    def _build_new(self, new: Mapping[Any, VariableState]) -> None:
        state = self._kc
        # Every initial value is worked out before the first variable is created.
        planned = [(known, self._plan_slots(known)) for known in new.values()]
        self._create_host_variables([known.variable for known in new.values()])
        for known, slots in planned:
            for name, (initial, like) in slots.items():
                known.slots[name] = self._create_slot(known.variable, name, initial, like)
        first = not state.variables
        state.variables.update(new)
        if first and not state.shared:
            self._build_shared(planned[0][0].xp)

    def _new_state(self, variable: Any) -> VariableState:
        name = self._variable_name(variable)
        dtype = self._dtype_name(variable)
        if dtype not in _COMPUTE:
            raise GradientError(
                "The variable {!r} has dtype {}; expected {}.".format(name, dtype, ", ".join(_COMPUTE))
            )
        self._check_variable(variable, name)
        shape = self._shape(variable)
        rule = self._rule_for(variable, name, shape)
        return VariableState(variable, name, shape, rule, namespaces.namespace(self.backend, _COMPUTE[dtype]))

    def _build_shared(self, xp: Any) -> None:
        root = self._kc.root
        names = list(check_slots(root, xp, root.init_shared(xp), "init_shared"))
        for name in names:

            def initial(name: str = name) -> Any:
                return xp.unwrap(check_slots(root, xp, root.init_shared(xp), "init_shared")[name])

            self._kc.shared[name] = self._create_shared(name, initial)

    def _shared_variable(self, name: str) -> Any:
        """The host's variable of a scalar of all variables together, made now if it is not there yet."""
        if not self._kc.shared:
            self._build_shared(namespaces.namespace(self.backend, "float32"))
        return self._kc.shared[name]

    # The step.

    def _checked_pairs(self, pairs: Sequence[Tuple[Any, Any]]) -> Tuple[List[Any], List[Any]]:
        """Gradients and variables, those without a gradient left out; everything that can be told now is."""
        if not pairs:
            raise GradientError("No variables provided: the list of gradients and variables is empty.")
        self._check_here(pairs)
        grads, variables, seen, known = [], [], set(), self._kc.variables
        for grad, variable in pairs:
            if grad is None:
                continue
            key = self._variable_key(variable)
            state = known.get(key)
            name = self._variable_name(variable) if state is None else state.name
            if key in seen:
                raise GradientError(
                    "The variable {!r} is in the list twice; add its gradients up.".format(name)
                )
            seen.add(key)
            shape = self._shape(variable) if state is None else state.shape
            grads.append(self._as_gradient(grad, shape, name))
            variables.append(variable)
        if not grads:
            raise GradientError(
                "No gradients provided for any variable: {}. Is the loss a function of them, and was it "
                "computed inside the tape?".format(", ".join(self._variable_name(v) for _, v in pairs))
            )
        missing = [self._variable_name(variable) for grad, variable in pairs if grad is None]
        if missing:
            warnings.warn(
                "{}: no gradient for {}; they stay as they are. Is the loss a function of them?".format(
                    type(self).__name__, ", ".join(missing)
                ),
                stacklevel=4,
            )
        return grads, variables

    def _scalars(self, namespaces_: Iterable[Any], done: Any) -> Dict[Any, Dict[Tuple[int, str], Any]]:
        """The hyperparameters of this step for each namespace, as `hyper_values` wants them."""
        values = {
            (id(hyper.rule), hyper.name): self._hyper_value(hyper, done) for hyper in self._kc.hypers.values()
        }
        return {xp: {key: xp.scalar(value) for key, value in values.items()} for xp in set(namespaces_)}

    def _run(self, grads: Sequence[Any], variables: Sequence[Any], global_step: Any) -> Any:
        """One step with gradients from `_checked_pairs`. Returns the operation to run in a graph, if any."""
        known = [self._state_of(variable) for variable in variables]
        checks: List[Any] = []
        with Uninterrupted() if self._runs_at_once() else contextlib.ExitStack():
            writes = self._write_all(grads, variables, known, checks)
            with self._after(checks):
                return self._count(writes, global_step)

    def _write_all(
        self,
        grads: Sequence[Any],
        variables: Sequence[Any],
        known: Sequence[VariableState],
        checks: List[Any],
    ) -> List[Any]:
        """Updates variables and slots, without counting the step. Returns the operations that write.

        Args:
            grads, variables, known: one entry a variable.
            checks: the operations that fail where a gradient does not fit are added to it: a step that they
                stop is not to be counted.
        """
        ordered = self._must_order()
        # Operations run when what they are made of is there: a step that fails while the last gradient is
        # computed would have updated the variables of the first ones.
        with self._after(grads):
            done, step = self._steps_done()
            scalars = self._scalars([each.xp for each in known], done)
            gradients = [self._gradient(g, k, v) for g, k, v in zip(grads, known, variables)]
            checks += [check for gradient in gradients for check in gradient.checks]
            with self._after(checks):
                return self._update_all(gradients, known, variables, scalars, step, ordered)

    def _update_all(
        self,
        gradients: List[Gradient],
        known: Sequence[VariableState],
        variables: Sequence[Any],
        scalars: Mapping[Any, Any],
        step: Any,
        ordered: bool,
    ) -> List[Any]:
        """Runs the rule on every variable and writes the results. Returns the operations that write."""
        shared, shared_writes = self._prepare_all(gradients, known, variables, scalars, step)
        namespaces_of: Dict[Tuple[int, Any], Any] = {}
        for each in known:
            key = (id(each.rule), each.xp)
            if key not in namespaces_of:
                namespaces_of[key] = hyper_values(each.rule, scalars[each.xp], each.xp, shared(each.xp))
        todo = [
            (variable, each, gradient, namespaces_of[id(each.rule), each.xp])
            for gradient, each, variable in zip(gradients, known, variables)
        ]
        self._work_out_ahead(todo, step)
        writes: List[Any] = []
        # What `prepare` made of one gradient, or of all, may have read another variable or its slots.
        prepared = [k.xp.unwrap(g.array) for g, k in zip(gradients, known)] if self._kc.root.needs_all else []
        prepared += [value for _, value in shared_writes]
        with self._after(prepared if ordered else ()):
            try:
                writes += self._update_each(todo, step, ordered)
            except Exception as error:
                if self._runs_at_once():
                    self._warn_of_a_part(error, len(todo))
                raise
        # Every update reads the shared scalars as they were, or what was made of them.
        with self._after([*prepared, *writes] if ordered and shared_writes else ()):
            writes += [self._write(variable, value) for variable, value in shared_writes]
        return writes

    def _prepare_all(
        self,
        gradients: List[Gradient],
        known: Sequence[VariableState],
        variables: Sequence[Any],
        scalars: Mapping[Any, Any],
        step: Any,
    ) -> Tuple[Callable[[Any], Mapping[str, Any]], List[Tuple[Any, Any]]]:
        """Runs the rule's `prepare`, changing `gradients`; gives the shared scalars and their writes."""
        state = self._kc
        root = state.root
        trained = [i for i, each in enumerate(known) if not isinstance(each.rule, Overwritten)]
        if not root.needs_all or not trained:
            return lambda xp: MappingProxyType({}), []
        gradients, known = [gradients[i] for i in trained], [known[i] for i in trained]
        variables = [variables[i] for i in trained]
        # All gradients are seen in one dtype, the widest there is.
        double = any(each.xp.compute_dtype == each.xp.float64 for each in known)
        wide = namespaces.namespace(self.backend, "float64" if double else "float32")

        def widened(array: Any) -> Any:
            return wide.wrap(self._cast(array, wide.compute_dtype))

        old = {name: widened(self._read(v)) for name, v in state.shared.items()}

        def param(i: int) -> Any:
            return widened(self._rows(variables[i], gradients[i].rows, variables[i]))

        def slots(i: int) -> Mapping[str, Any]:
            rows, variable = gradients[i].rows, variables[i]
            values = {n: widened(self._rows(s, rows, variable)) for n, s in known[i].slots.items()}
            return MappingProxyType(values)

        any_scalars = scalars.get(wide) or next(iter(scalars.values()))
        hyper = hyper_values(root, any_scalars, wide, MappingProxyType(old))
        grads, new = root.prepare(
            wide,
            [widened(k.xp.unwrap(g.array)) for g, k in zip(gradients, known)],
            _Asked(param, len(variables)),
            _Asked(slots, len(variables)),
            MappingProxyType(old),
            hyper,
            wide.scalar(step),
        )
        for gradient, each, grad in zip(gradients, known, grads):
            gradient.array = each.xp.wrap(self._cast(wide.unwrap(grad), each.xp.compute_dtype))
        new_raw = {name: wide.unwrap(new[name]) for name in old}

        def shared(xp: Any) -> Mapping[str, Any]:
            return MappingProxyType(
                {name: xp.wrap(self._cast(value, xp.compute_dtype)) for name, value in new_raw.items()}
            )

        return shared, [(state.shared[name], value) for name, value in new_raw.items()]

    def _rows(self, target: Any, rows: Any, variable: Any) -> Any:
        """The value of a variable or slot, or the rows of it if it has the rows of `variable`."""
        if rows is None or self._shape(target)[:1] != self._shape(variable)[:1]:
            return self._read(target)
        return self._read_rows(target, rows)

    def _new_values(
        self, variable: Any, known: VariableState, gradient: Gradient, hyper: Any, step: Any
    ) -> List[Tuple[Any, Any]]:
        """Runs the rule on one variable: (the variable or slot, its new value), the variable first."""
        xp, rows = known.xp, gradient.rows
        param = xp.wrap(self._cast(self._rows(variable, rows, variable), xp.compute_dtype))
        slots = {
            name: xp.wrap(self._cast(self._rows(slot, rows, variable), xp.compute_dtype))
            for name, slot in known.slots.items()
        }
        result = known.rule.update(xp, gradient.array, param, MappingProxyType(slots), hyper, xp.scalar(step))
        if not known.checked:
            result = check_result(known.rule, xp, param, slots, result)
            known.checked = True
        new_param, new_slots = result
        values = [(variable, xp.unwrap(new_param))]
        return values + [(slot, xp.unwrap(new_slots[name])) for name, slot in known.slots.items()]

    def _work_out_ahead(self, todo: Sequence[Tuple[Any, VariableState, Gradient, Any]], step: Any) -> None:
        """Runs the rule before the first variable is written, so that where it fails, all is as it was.

        Not what is updated in place, nor more than memory should be taken for; but what a rule can't do with
        a variable is told by the first step with it in any case.
        """
        room = _AHEAD
        proven = set()  # a rule that goes element by element does so with every variable
        for variable, known, gradient, hyper in todo:
            way, rule = self._way_of(known), (known.rule, known.xp)
            if way.kernel is not None or way.large is not None:
                continue
            room -= functools.reduce(operator.mul, known.shape, 1 + len(known.slots))
            # Where operations are made, which run later, a rule that can't go on has written nothing.
            if room < 0 and (known.checked or rule in proven or not self._runs_at_once()):
                continue
            values = self._new_values(variable, known, gradient, hyper, step)
            if room >= 0:
                gradient.values = values
            if way.stacks:
                proven.add(rule)

    def _warn_of_a_part(self, error: BaseException, count: int) -> None:
        """Says that a part of a step may have been taken."""
        warnings.warn(
            "{}: the step was stopped by {} while it wrote its {} variables. Some of them may have taken it, "
            "and it is not counted: restore a checkpoint before going on.".format(
                type(self).__name__, type(error).__name__, count
            ),
            RuntimeWarning,
            stacklevel=2,
        )

    def _update_each(
        self, todo: Sequence[Tuple[Any, VariableState, Gradient, Any]], step: Any, ordered: bool
    ) -> List[Any]:
        """Updates variables: each given with its state, gradient and hyperparameters. Returns what writes."""
        return [write for each in todo for write in self._update(*each, step, ordered)]

    def _update(
        self, variable: Any, known: VariableState, gradient: Gradient, hyper: Any, step: Any, ordered: bool
    ) -> List[Any]:
        """Runs the rule on one variable and writes the result. Returns the operations that write."""
        rows = gradient.rows
        values, gradient.values = gradient.values, None
        if values is None:
            values = self._new_values(variable, known, gradient, hyper, step)
        values = self._settled(values)
        constraint = self._constraint_of(known.variable)
        with self._after([value for _, value in values] if ordered else ()):
            writes = []
            for target, value in values:
                if rows is not None and self._shape(target)[:1] == self._shape(variable)[:1]:
                    writes.append(self._write_rows(target, rows, value))
                    continue
                if target is variable and constraint is not None:
                    value = constraint(self._in_dtype_of(variable, value))
                writes.append(self._write(target, value))
        if rows is not None and constraint is not None:
            with self._after(writes if ordered else ()):
                writes.append(self._write(variable, constraint(self._read(variable))))
        return writes

    def _way_of(self, known: VariableState) -> Way:
        """How a variable is updated."""
        if known.way is None:
            known.way = plain_rule() if choice() == PLAIN else self._find_way(known)
        way: Way = known.way
        return way

    def _find_way(self, known: VariableState) -> Way:
        """The fastest way to update a variable."""
        return no_kernel(type(known.rule).__name__)

    def plan(self) -> Plan:
        """How each variable is updated: by a fused kernel, by XLA, or by the rule's own operations.

        The environment variable KCOMPAT_PLAN=plain, read when an optimizer meets a variable, leaves all but
        the last out.

        Returns:
            One `PlanLine` (variable, shape, dtype, path, why) for each variable that the optimizer has been
            built on; `print` shows a table.
        """
        lines = []
        for known in self._kc.variables.values():
            way = self._way_of(known)
            shape, dtype = self._shape(known.variable), self._dtype_name(known.variable)
            lines.append(PlanLine(known.name, shape, dtype, way.path, way.why))
        return Plan(lines)

    def _in_dtype_of(self, variable: Any, value: Any) -> Any:
        """A value in a variable's own dtype."""
        raise NotImplementedError

    def _check_one_at_a_time(self) -> None:
        """Raises NotImplementedError if the rule sees all gradients at once."""
        if self._kc.root.needs_all:
            raise NotImplementedError(
                "{} sees all gradients at once (such as clipping by global norm), so one variable can't be "
                "updated alone. Call apply_gradients().".format(type(self).__name__)
            )

    def _update_alone(self, grad: Any, variable: Any) -> List[Any]:
        """Updates one variable, without counting the step: the host's own hooks, which wrappers may call.

        Returns:
            The operations that write.
        """
        known = self._state_of(variable)
        grad = self._as_gradient(grad, self._shape(variable), known.name)
        ordered = self._must_order()
        with self._after([grad] if ordered else ()):
            done, step = self._steps_done()
            hyper = hyper_values(known.rule, self._scalars([known.xp], done)[known.xp], known.xp)
            gradient = self._gradient(grad, known, variable)
            with self._after(gradient.checks):
                return self._update_each([(variable, known, gradient, hyper)], step, ordered)

    # Gradients.

    def _clipped(self, grads: Sequence[Any]) -> Sequence[Any]:
        """Gradients as the step clips them, for the hosts' own hook; it has no part in the step.

        Args:
            grads: gradients; None stays. As they are, if one of them is sparse: its duplicate rows would have
                to be summed first.
        """
        clips = [part for _, part in walk(self._kc.root) if isinstance(part, _CLIPS)]
        present = [grad for grad in grads if grad is not None]
        if not clips or not present or any(self._is_sparse(grad) for grad in present):
            return grads
        xp = namespaces.namespace(self.backend, "float32")
        scalars = self._scalars([xp], self._steps_done()[0])[xp]
        arrays = [self._as_gradient(grad, tuple(grad.shape), "gradient") for grad in present]
        clipped = [xp.wrap(self._cast(array, xp.compute_dtype)) for array in arrays]
        for clip in clips:
            alone = clip.around(Overwritten())
            hyper = hyper_values(alone, scalars, xp)
            if alone.prepared:  # around a rule that sees all gradients at once, it clips there
                slots: List[Mapping[str, Any]] = [{} for _ in clipped]
                clipped = list(alone.prepare(xp, clipped, clipped, slots, {}, hyper, xp.scalar(1.0))[0])
            else:
                clipped = [alone.update(xp, grad, grad, {}, hyper, xp.scalar(1.0))[0] for grad in clipped]
        results = iter([xp.unwrap(grad) for grad in clipped])
        return [None if grad is None else next(results) for grad in grads]

    # Averages.

    @property
    def _model_variables_moving_average(self) -> List[Any]:
        # Keras' callback SwapEMAWeights looks for this name.
        if not self.use_ema or not self._kc.variables:
            raise AttributeError("there are no averages: use_ema is off, or the optimizer is not built")
        return [known.slots.get("average") for known in self._kc.variables.values()]

    @property
    def _accumulated_gradients(self) -> List[Any]:
        # As Keras 3 calls what has been summed up since the last update.
        if not self.gradient_accumulation_steps:
            raise AttributeError("there are no accumulated gradients: gradient_accumulation_steps is off")
        return [known.slots["accumulated"] for known in self._kc.variables.values()]

    def finalize_variable_values(self, var_list: Iterable[Any]) -> None:
        """Puts the variables' moving averages in their place, if `use_ema` is on. Keras calls it after `fit`.

        Args:
            var_list: the variables.

        Raises:
            NotBuiltError: the optimizer has no average of one of them.
        """
        if self.use_ema:
            averaged = [v for v in var_list if not isinstance(self._state_of(v).rule, Overwritten)]
            for variable, average in [(v, self.get_slot(v, "average")) for v in averaged]:
                self._write(variable, self._copy(self._read(average)))

    def swap_averages(self, var_list: Optional[Iterable[Any]] = None, back: bool = False) -> Any:
        """Exchanges variables with their averages to evaluate, and again, with `back`, to go on training.

        A step between the two would train the averages. A variable narrower than float32 rounds its average,
        which is kept in float32, to its own precision. With `use_ema` the way back is the same exchange.

        Args:
            var_list: the variables; all that the optimizer was built on by default (in a TensorFlow 1 graph,
                those of that graph).
            back: whether the variables hold their averages, and what trains is to come back.

        Returns:
            In a TensorFlow 1 graph the operation to run, else None.

        Raises:
            HyperparameterError: neither `use_ema` nor the rule keeps averages.
            NotBuiltError: the optimizer has no average of one of them, or of any.
        """
        name = type(self).__name__
        if not self._kc.root.has_averages:
            raise HyperparameterError(
                "{0}.swap_averages(): there are no averages. Make the optimizer with use_ema=True.".format(
                    name
                )
            )
        if var_list is None:
            var_list = [known.variable for known in self._kc.variables.values() if self._is_here(known)]
            if not var_list:
                raise NotBuiltError(
                    "{}.swap_averages(): there are no averages yet. They are made with the first step, or by "
                    "build(variables).".format(name)
                )
        return self._swap([(variable, self._state_of(variable)) for variable in var_list], not back)

    def _is_here(self, known: VariableState) -> bool:
        """Whether a variable is one of the present graph, where there are several."""
        return True

    def _swap(self, variables: Sequence[Tuple[Any, VariableState]], averaged: bool) -> Any:
        """Runs the rule's `swap` on each variable and writes the results. Returns the operation, if any."""
        scalars = self._scalars([known.xp for _, known in variables], self._steps_done()[0])
        values: List[Tuple[Any, Any]] = []
        for variable, known in variables:
            hyper = hyper_values(known.rule, scalars[known.xp], known.xp)
            values += self._settled(self._swapped(variable, known, hyper, averaged))
        with self._after([value for _, value in values] if self._must_order() else ()):
            return self._together([self._write(target, value) for target, value in values])

    def _swapped(
        self, variable: Any, known: VariableState, hyper: Any, averaged: bool
    ) -> List[Tuple[Any, Any]]:
        """Runs the rule's `swap` on one variable: (the variable or slot, its new value) where that is new."""
        xp = known.xp
        targets = {"": variable, **known.slots}
        old = {
            name: xp.wrap(self._copy(self._cast(self._read(target), xp.compute_dtype)))
            for name, target in targets.items()
        }
        slots = MappingProxyType({name: value for name, value in old.items() if name})
        param, new_slots = check_result(
            known.rule, xp, old[""], slots, known.rule.swap(xp, old[""], slots, hyper, averaged)
        )
        new = {"": param, **new_slots}
        arrays = [(target, xp.unwrap(new[name]), xp.unwrap(old[name])) for name, target in targets.items()]
        return [(target, value) for target, value, before in arrays if value is not before]

    def _together(self, writes: Sequence[Any]) -> Any:
        """One operation out of several, where writing is an operation."""
        return None
