"""The adapter for Keras 3's optimizer, on its PyTorch backend: in `fit` and in plain PyTorch loops."""

from __future__ import annotations

import importlib
from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch

from ..errors import GradientError
from ..namespaces.array import weak_value
from .base import VariableState
from .keras_3_arrays import Keras3ArraysAdapter
from .kernels import Chain, inside
from .kernels_torch import Variables, blocks_of, kernel_of
from .plan import Way, the_rule
from .step import Gradient

# A variable may stand for another value, while a function of the model's state is computed.
_in_scope: Callable[[], bool] = importlib.import_module(
    "keras.src.backend.common.stateless_scope"
).in_stateless_scope


def _tensor(variable: Any) -> Any:
    """A variable's memory: not its `value`, which is this with much around it, and rounded under autocast."""
    return variable if isinstance(variable, torch.Tensor) else variable._value


class _Group:
    """What a kernel is given in one call: tensors of many variables, and what they have in common."""

    def __init__(self, xp: Any, slots: Sequence[str], hyper: Any, step: Any) -> None:
        self.xp = xp
        self.variables = Variables([], [], {name: [] for name in slots})
        self.hyper = hyper
        self.step = step


class Keras3TorchAdapter(Keras3ArraysAdapter):
    """A rule as a Keras 3 optimizer on PyTorch, for Keras variables and for plain `torch.nn.Parameter`s."""

    backend = "torch"

    # Arrays.

    def _native(self, variable: Any) -> Any:
        return super()._native(variable) if _in_scope() else _tensor(variable)

    def _variable_name(self, variable: Any) -> str:
        if isinstance(variable, torch.Tensor):  # which has no name of its own
            names = self._kc.names
            return names.setdefault(self._variable_key(variable), "parameter_{}".format(len(names)))
        return super()._variable_name(variable)

    def _read(self, variable: Any) -> Any:
        return self._native(variable).detach()

    def _cast(self, array: Any, dtype: Any) -> Any:
        return array.to(dtype)

    def _take_rows(self, array: Any, rows: Any) -> Any:
        return array.index_select(0, rows)

    def _write(self, variable: Any, value: Any) -> Any:
        if isinstance(variable, torch.Tensor):
            variable.copy_(value)
        else:
            variable.assign(value)

    def _write_rows(self, variable: Any, rows: Any, value: Any) -> Any:
        old = self._read(variable)
        self._write(variable, old.index_copy(0, rows, value.to(old.dtype)))

    def _settled(self, values: Sequence[Tuple[Any, Any]]) -> List[Tuple[Any, Any]]:
        """Copies of values that share memory with another variable, which may be written before them."""
        memory = [self._read(target).untyped_storage().data_ptr() for target, _ in values]
        return [
            (target, value.clone() if value.untyped_storage().data_ptr() in memory else value)
            for target, value in values
        ]

    def _create_slot(self, variable: Any, name: str, initial: Callable[[], Any], like: bool) -> Any:
        # A plain parameter is no reference that Keras could make a variable from.
        return super()._create_slot(variable, name, initial, like and not isinstance(variable, torch.Tensor))

    # The step.

    def _is_variable(self, thing: Any) -> bool:
        return isinstance(thing, torch.nn.Parameter) or super()._is_variable(thing)

    @torch.no_grad()
    def _run(self, grads: Sequence[Any], variables: Sequence[Any], global_step: Any) -> Any:
        return super()._run(grads, variables, global_step)

    @torch.no_grad()
    def _update_alone(self, grad: Any, variable: Any) -> List[Any]:
        return super()._update_alone(grad, variable)

    def _copy(self, array: Any) -> Any:
        return array.clone()

    # Kernels.

    def _find_way(self, known: VariableState) -> Way:
        rule, names = inside(known.rule), tuple(known.slots)
        native = self._native(known.variable)
        if getattr(known.variable, "constraint", None) is not None:
            return the_rule("the variable has a constraint")
        if any(tuple(slot.shape) != known.shape for slot in known.slots.values()):
            return the_rule("{} keeps slots of another shape".format(type(known.rule).__name__))
        chain = None if rule is known.rule else Chain(known.rule)
        kernel = kernel_of(rule) if native.dtype == known.xp.compute_dtype else None
        # Its arithmetic has been looked at on the CPU only.
        if kernel is not None and native.device.type == "cpu" and set(kernel.slots) == set(names):
            return Way("kernel torch." + kernel.name, "it computes " + type(rule).__name__, kernel, chain)
        dtype = "float64" if known.xp.compute_dtype == torch.float64 else "float32"
        for whole, around in ((known.rule, None), (rule, chain)):
            blocks = blocks_of(whole, names, tuple(self._kc.shared), dtype)
            if blocks is not None:
                why = "{} treats each element by itself".format(type(whole).__name__)
                return Way("blocks", why, blocks, around)
        return the_rule("{} looks at a variable as a whole".format(type(rule).__name__))

    def _update_each(
        self, todo: Sequence[Tuple[Any, VariableState, Gradient, Any]], step: Any, ordered: bool
    ) -> List[Any]:
        if _in_scope():  # nothing may be written in place
            return super()._update_each(todo, step, ordered)
        rest = []
        decayed: List[Tuple[Any, Any]] = []
        groups: Dict[Any, _Group] = {}
        for each in todo:
            if not self._join(groups, decayed, step, *each):
                rest.append(each)
        for param, value in decayed:
            param.copy_(value)
        for (kernel, *_), group in groups.items():
            kernel.run(group.xp, group.variables, group.hyper, group.step)
        return super()._update_each(rest, step, ordered) if rest else []

    def _join(
        self,
        groups: Dict[Any, _Group],
        decayed: List[Tuple[Any, Any]],
        step: Any,
        variable: Any,
        known: VariableState,
        gradient: Gradient,
        hyper: Any,
    ) -> bool:
        """Joins a variable to the group that its kernel is called with; False where its rule has to run.

        Args:
            groups: the groups so far.
            decayed: parameters that transforms change before the step, with their new values; it is added to.
            step: the step's number.
            variable, known, gradient, hyper: what is to be updated.
        """
        way, xp, grad = self._way_of(known), known.xp, gradient.array
        kernel = way.kernel
        if kernel is None or gradient.rows is not None:
            return False
        param = _tensor(variable)
        slots = [_tensor(known.slots[name]) for name in kernel.slots]
        if not all(tensor.is_contiguous() for tensor in (param, *slots)):
            return False
        if way.chain is not None:
            before = xp.wrap(param)
            found = way.chain.run(xp, grad, before, hyper, xp.scalar(step))
            if found is None:
                known.way = the_rule("the transforms around it change more than what it is given")
                return False
            grad, after, hyper, step = found
            if after is not before:
                decayed.append((param, xp.unwrap(after)))
            step = weak_value(step)
        # Of one rule, hyperparameters are one object, unless a transform has made its own.
        key = kernel, id(hyper), step, param.dtype, param.device
        group = groups.get(key)
        if group is None:
            group = groups[key] = _Group(xp, kernel.slots, hyper, xp.scalar(step))
        group.variables.params.append(param)
        group.variables.grads.append(xp.unwrap(grad).contiguous())
        for tensors, slot in zip(group.variables.slots.values(), slots):
            tensors.append(slot)
        return True

    @torch.no_grad()
    def _swap(self, variables: Sequence[Tuple[Any, VariableState]], averaged: bool) -> Any:
        super()._swap(variables, averaged)

    @torch.no_grad()
    def finalize_variable_values(self, var_list: Any) -> None:
        super().finalize_variable_values(var_list)

    def _is_sparse(self, grad: Any) -> bool:
        if not isinstance(grad, torch.Tensor) or grad.layout is torch.strided:
            return False
        if grad.layout is not torch.sparse_coo or grad.sparse_dim() != 1:
            raise GradientError(
                "A sparse gradient of layout {}: expected sparse_coo with one sparse dimension, its "
                "rows.".format(grad.layout)
            )
        return True

    def _as_gradient(self, grad: Any, shape: Tuple[int, ...], name: str) -> Any:
        if isinstance(grad, torch.Tensor) and grad.layout is torch.strided:
            if grad.shape == shape and grad.is_floating_point():
                return grad
        return super()._as_gradient(grad, shape, name)

    def _gradient(self, grad: Any, known: VariableState, variable: Any) -> Gradient:
        xp = known.xp
        if grad.layout is torch.strided:
            device = _tensor(variable).device
            if grad.dtype != xp.compute_dtype or grad.device != device:
                grad = grad.to(device, xp.compute_dtype)
            return Gradient(xp.wrap(grad.detach() if grad.requires_grad else grad), None)
        rows = grad._indices()  # which PyTorch itself does not check, here or later
        if rows.numel():
            self._check_rows(int(rows.min()), int(rows.max()), self._shape(variable)[0], known.name)
        # In the compute dtype before duplicates are summed.
        summed = grad.detach().to(xp.compute_dtype).coalesce()
        if known.rule.sparse == "dense":
            return Gradient(xp.wrap(summed.to_dense()), None)
        return Gradient(xp.wrap(summed.values()), summed.indices()[0])

    def _gradients_of(self, loss: Any, variables: Sequence[Any]) -> Sequence[Any]:
        with torch.enable_grad():
            value = loss() if callable(loss) else loss
            return torch.autograd.grad(
                value, [self._native(variable) for variable in variables], allow_unused=True
            )
