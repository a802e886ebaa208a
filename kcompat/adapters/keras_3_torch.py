"""The adapter for Keras 3's optimizer, on its PyTorch backend: in `fit` and in plain PyTorch loops."""

from __future__ import annotations

from typing import Any, Callable, List, Sequence, Tuple

import torch

from ..errors import GradientError
from .base import VariableState
from .keras_3_arrays import Keras3ArraysAdapter
from .step import Gradient


class Keras3TorchAdapter(Keras3ArraysAdapter):
    """A rule as a Keras 3 optimizer on PyTorch, for Keras variables and for plain `torch.nn.Parameter`s."""

    backend = "torch"

    # Arrays.

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

    def _gradient(self, grad: Any, known: VariableState, variable: Any) -> Gradient:
        xp = known.xp
        if grad.layout is torch.strided:
            return Gradient(xp.wrap(grad.detach().to(xp.compute_dtype)), None)
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
