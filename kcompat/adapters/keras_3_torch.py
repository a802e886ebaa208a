"""The adapter for Keras 3's optimizer, on its PyTorch backend: in `fit` and in plain PyTorch loops."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, Mapping, Sequence, Tuple

import torch

from ..errors import GradientError
from .base import VariableState, as_pairs
from .groups_torch import Groups, Repeat, tensor
from .keras_3_arrays import Keras3ArraysAdapter
from .keras_3_base import in_stateless_scope
from .kernels import Chain, inside
from .kernels_torch import blocks_of, fused_of
from .plan import Way, the_rule
from .step import Gradient
from .uninterrupted import Uninterrupted


class Keras3TorchAdapter(Keras3ArraysAdapter):
    """A rule as a Keras 3 optimizer on PyTorch, for Keras variables and for plain `torch.nn.Parameter`s."""

    backend = "torch"

    # Arrays.

    def _native(self, variable: Any) -> Any:
        return super()._native(variable) if in_stateless_scope() else tensor(variable)

    def _variable_name(self, variable: Any) -> str:
        if isinstance(variable, torch.Tensor):  # which has no name of its own
            names = self._kc.names
            return names.setdefault(self._variable_key(variable), "parameter_{}".format(len(names)))
        return super()._variable_name(variable)

    def _read(self, variable: Any) -> Any:
        return self._native(variable).detach()

    def _cast(self, array: Any, dtype: Any) -> Any:
        return array.to(dtype)

    def _read_rows(self, variable: Any, rows: Any) -> Any:
        return self._read(variable).index_select(0, rows)

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

    def _apart(self, param: Any, slots: Mapping[str, Any]) -> Dict[str, Any]:
        # Copied only where it must be: of large variables two slots more would be in memory for a moment.
        taken, apart = {param.untyped_storage().data_ptr()}, {}
        for name, value in slots.items():
            storage = value.untyped_storage()
            whole = storage.nbytes() == value.numel() * value.element_size()
            if storage.data_ptr() in taken or not (whole and value.is_contiguous()):
                value = self._copy(value)
            taken.add(value.untyped_storage().data_ptr())
            apart[name] = value
        return apart

    # Kernels.

    def _find_way(self, known: VariableState) -> Way:
        rule, names = inside(known.rule), tuple(known.slots)
        native = self._native(known.variable)
        if getattr(known.variable, "constraint", None) is not None:
            return the_rule("the variable has a constraint")
        if any(tuple(slot.shape) != known.shape for slot in known.slots.values()):
            return the_rule("{} keeps slots of another shape".format(type(known.rule).__name__))
        chain = None if rule is known.rule else Chain(known.rule)
        # Their arithmetic has been looked at on the CPU only.
        fused = fused_of(rule) if native.device.type == "cpu" else None
        if fused is not None and native.dtype == known.xp.compute_dtype and set(fused.slots) == set(names):
            return Way(fused.name, "it computes " + type(rule).__name__, fused, chain)
        dtype = "float64" if known.xp.compute_dtype == torch.float64 else "float32"
        for whole, around in ((known.rule, None), (rule, chain)):
            blocks = blocks_of(whole, names, tuple(self._kc.shared), dtype)
            if blocks is not None:
                why = "{} treats each element by itself".format(type(whole).__name__)
                return Way(blocks.name, why, blocks, around)
        return the_rule("{} looks at a variable as a whole".format(type(rule).__name__))

    def _update_each(
        self, todo: Sequence[Tuple[Any, VariableState, Gradient, Any]], step: Any, ordered: bool
    ) -> List[Any]:
        self._kc.repeat = None
        if in_stateless_scope():  # nothing may be written in place
            return super()._update_each(todo, step, ordered)
        groups, rest = Groups(step), []
        for i, (variable, known, gradient, hyper) in enumerate(todo):
            kernel = self._way_of(known).kernel if gradient.rows is None else None
            if kernel is None or not groups.add(i, known, variable, gradient.array, hyper):
                rest.append(todo[i])
        done = groups.run()
        if rest:
            return super()._update_each(rest, step, ordered)
        if groups.uniform and not self._kc.root.needs_all:
            self._kc.repeat = Repeat([(variable, known.slots.values()) for variable, known, *_ in todo], done)
        return []

    def _apply(self, grads_and_vars: Iterable[Any], global_step: Any) -> None:
        pairs = as_pairs(type(self).__name__, grads_and_vars)
        repeat = self._kc.repeat
        again = repeat is not None and not in_stateless_scope() and repeat.fits(pairs)
        if not again or not self._again(repeat, pairs, global_step):
            super()._apply(pairs, global_step)

    @torch.no_grad()
    def _again(self, repeat: Repeat, pairs: Sequence[Tuple[Any, Any]], global_step: Any) -> bool:
        """Takes a step that is like the one before; False, with nothing done, if it is not."""
        done, step = self._steps_done()
        scalars = self._scalars(repeat.namespaces(), done)
        with Uninterrupted():
            try:
                taken = repeat.run([grad for grad, _ in pairs], scalars, step)
            except Exception as error:
                self._warn_of_a_part(error, len(pairs))
                raise
            if taken:
                self._count([], global_step)
            return taken

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
            device = tensor(variable).device
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
