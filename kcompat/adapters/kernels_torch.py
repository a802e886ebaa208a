"""What runs in a rule's place on PyTorch: its fused optimizers, and blocks of an elementwise rule.

Both take many variables in one call, and write in place. PyTorch's own functions are not public: each is
tried on a few numbers before its first use, and left alone if it does not give what the rule gives.
"""

from __future__ import annotations

import math
import weakref
from types import MappingProxyType
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    MutableMapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import torch
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from .. import namespaces
from ..contract import trial_scalars
from ..elementwise import is_elementwise
from ..namespaces.array import weak_value
from ..rule import UpdateRule, hyper_values
from .kernels import catalogue_name

# So many elements of each array fit into a core's cache, and their temporaries are memory used before: fewer
# cost more calls, and those of a whole large variable are pages that the system has to give each time.
BLOCK = 2**16

# The counter that PyTorch computes its own bias corrections with: both are 1 there, as are those of a rule
# that has its own. A beta to this power is 0.
_FAR = float("inf")


class Variables(NamedTuple):
    """Tensors of some variables, of one dtype each and on one device."""

    params: List[Any]
    grads: List[Any]
    slots: Dict[str, List[Any]]

    def some(self, indices: Sequence[int]) -> Variables:
        """Some of them."""
        slots = {name: [tensors[i] for i in indices] for name, tensors in self.slots.items()}
        return Variables([self.params[i] for i in indices], [self.grads[i] for i in indices], slots)


class Blocks:
    """An elementwise rule, run on blocks of the elements of many variables.

    Attributes:
        rule: the rule.
        slots: the names of its slots.
    """

    name = "blocks"

    def __init__(self, rule: UpdateRule, slots: Sequence[str]) -> None:
        self.rule = rule
        self.slots = tuple(slots)

    def run(self, xp: Any, variables: Variables, hyper: Any, step: Any) -> None:
        """One step of these variables.

        Args:
            xp: the namespace of the rule.
            variables: what is read and written; the gradients are only read.
            hyper: the rule's hyperparameters.
            step: the step's number, a weak scalar.
        """
        arrays = {_PARAM: variables.params, _GRAD: variables.grads, **variables.slots}
        for block in _blocks([tensor.numel() for tensor in variables.params]):
            if len(block) > 1:
                self._run_block(xp, {k: [v[i] for i in block] for k, v in arrays.items()}, hyper, step)
                continue
            parts = {name: v[block[0]].view(-1).split(BLOCK) for name, v in arrays.items()}
            for i in range(len(parts[_PARAM])):
                self._run_block(xp, {name: [each[i]] for name, each in parts.items()}, hyper, step)

    def _run_block(self, xp: Any, arrays: Mapping[str, List[Any]], hyper: Any, step: Any) -> None:
        """One step of whole variables, or of a part of one."""
        old = {name: xp.wrap(_joined(tensors).to(xp.compute_dtype)) for name, tensors in arrays.items()}
        slots = MappingProxyType({name: old[name] for name in self.slots})
        param, new = self.rule.update(xp, old[_GRAD], old[_PARAM], slots, hyper, step)
        values = {_PARAM: xp.unwrap(param), **{name: xp.unwrap(new[name]) for name in self.slots}}
        if len(arrays[_PARAM]) > 1:
            for name, value in values.items():
                torch._foreach_copy_(arrays[name], _unflatten_dense_tensors(value, arrays[name]))
            return
        # A new value may be the memory of another array, which is written before it.
        memory = [tensor.untyped_storage().data_ptr() for (tensor,) in arrays.values()]
        settled = {
            name: value.clone() if value.untyped_storage().data_ptr() in memory else value
            for name, value in values.items()
        }
        for name, value in settled.items():
            arrays[name][0].copy_(value)


# What no slot can be called.
_PARAM, _GRAD = "the parameter", "the gradient"


def _joined(tensors: Sequence[Any]) -> Any:
    if len(tensors) == 1:
        return tensors[0]
    # Where there are no dimensions to take away, this is quicker.
    return torch.cat(tensors) if all(t.dim() == 1 for t in tensors) else _flatten_dense_tensors(tensors)


def _blocks(sizes: Sequence[int]) -> Iterator[List[int]]:
    """The variables of each block of at most BLOCK elements; one that is larger is by itself."""
    together: List[int] = []
    free = BLOCK
    for i, size in enumerate(sizes):
        if size > free and together:
            yield together
            together, free = [], BLOCK
        together.append(i)
        free -= size
    if together:
        yield together


class Kernel(NamedTuple):
    """A function of PyTorch's that takes a whole step of a rule.

    Attributes:
        name: the function's, without "torch.".
        slots: the names of the rule's slots.
        step: takes it: `step(variables, hyper, t)`, with the rule's hyperparameters and the step's number.
        finite: a slot that must be finite, as the function does something else than the rule where it is not.
    """

    name: str
    slots: Tuple[str, ...]
    step: Callable[[Variables, Any, float], None]
    finite: str = ""


class Fused(Blocks):
    """A rule of which a kernel takes the step."""

    def __init__(self, rule: UpdateRule, kernel: Kernel) -> None:
        super().__init__(rule, kernel.slots)
        self.kernel = kernel
        self.name = "kernel torch." + kernel.name

    def run(self, xp: Any, variables: Variables, hyper: Any, step: Any) -> None:
        """One step of these variables; see `Blocks.run`."""
        others = _not_finite(variables.slots[self.kernel.finite]) if self.kernel.finite else []
        if others:
            super().run(xp, variables.some(others), hyper, step)
            variables = variables.some(sorted(set(range(len(variables.params))) - set(others)))
        if variables.params:
            self.kernel.step(variables, hyper, float(weak_value(step)))


def _not_finite(tensors: Sequence[Any]) -> List[int]:
    """Which tensors are not finite; some that are may be among them."""
    return [
        i
        for block in _blocks([tensor.numel() for tensor in tensors])
        if not math.isfinite(torch.sum(_joined([tensors[i] for i in block])))
        for i in block
    ]


def _adam_by(function: Any, variables: Variables, hyper: Any, t: float, decay: float = 0.0) -> None:
    """One of PyTorch's kernels for Adam, with `decay` as the part of the parameter that is lost first."""
    beta_1, beta_2 = weak_value(hyper.beta_1), weak_value(hyper.beta_2)
    rate = weak_value(hyper.learning_rate) * (1 - beta_2**t) ** 0.5 / (1 - beta_1**t)
    function(
        variables.params,
        variables.grads,
        variables.slots["m"],
        variables.slots["v"],
        [],
        [torch.tensor(_FAR)] * len(variables.params),
        lr=float(rate),
        beta1=float(beta_1),
        beta2=float(beta_2),
        # PyTorch takes off this times the rate that it is given.
        weight_decay=float(decay / rate) if decay else 0.0,
        eps=float(weak_value(hyper.epsilon)),
        amsgrad=False,
        maximize=False,
    )


def _adam(variables: Variables, hyper: Any, t: float) -> None:
    _adam_by(torch._fused_adam_, variables, hyper, t)


def _adamw(variables: Variables, hyper: Any, t: float) -> None:
    decay = weak_value(hyper.weight_decay * hyper.learning_rate)
    _adam_by(torch._fused_adamw_, variables, hyper, t, decay)


def _fused_sgd(variables: Variables, velocities: Sequence[Any], **arguments: Any) -> None:
    torch._fused_sgd_(
        variables.params,
        variables.grads,
        velocities,
        weight_decay=0.0,
        nesterov=False,
        maximize=False,
        is_first_step=False,
        **arguments,
    )


def _no_momentum(variables: Variables, hyper: Any, t: float) -> None:
    rate = float(weak_value(hyper.learning_rate))
    _fused_sgd(variables, [], momentum=0.0, lr=rate, dampening=0.0)


def _momentum(variables: Variables, hyper: Any, t: float) -> None:
    _by_velocity(variables, hyper, 1.0)


def _nesterov(variables: Variables, hyper: Any, t: float) -> None:
    _by_velocity(variables, hyper, float(weak_value(hyper.momentum)))
    _no_momentum(variables, hyper, t)


def _by_velocity(variables: Variables, hyper: Any, times: float) -> None:
    """The velocities' step; then the parameters move by so many times their velocity."""
    rate, momentum = float(weak_value(hyper.learning_rate)), float(weak_value(hyper.momentum))
    velocities = variables.slots["m"]
    dampening = 1 + rate
    # A velocity is momentum * velocity + (1 - dampening) * gradient there, if nothing is lost in that.
    if variables.params[0].dtype == torch.float32 and abs(1 - dampening + rate) <= 1e-9 * rate:
        _fused_sgd(variables, velocities, momentum=momentum, lr=-times, dampening=dampening)
        return
    torch._foreach_mul_(velocities, momentum)
    torch._foreach_add_(velocities, variables.grads, alpha=-rate)
    torch._foreach_add_(variables.params, velocities, alpha=times)


# A second moment that has overflowed stays infinite there; in the rule it is a NaN from the next step on.
_ADAM = Kernel("_fused_adam_", ("m", "v"), _adam, finite="v")
_ADAMW = Kernel("_fused_adamw_", ("m", "v"), _adamw, finite="v")
_SGD = Kernel("_fused_sgd_", (), _no_momentum)
_MOMENTUM = Kernel("_fused_sgd_", ("m",), _momentum)
_NESTEROV = Kernel("_fused_sgd_", ("m",), _nesterov)


def _for_sgd(rule: Any) -> Kernel:
    if not rule.has_velocity:
        return _SGD
    return _NESTEROV if rule.nesterov else _MOMENTUM


_KERNELS: Dict[str, Callable[[Any], Optional[Kernel]]] = {
    "SGD": _for_sgd,
    # That of AMSGrad takes the larger of a NaN and a number to be the number.
    "Adam": lambda rule: None if rule.amsgrad else _ADAM,
    "AdamW": lambda rule: None if rule.amsgrad else _ADAMW,
}


def _kernel_of(rule: UpdateRule) -> Optional[Kernel]:
    """The kernel that takes the same step as a rule, or None."""
    name = catalogue_name(rule)
    kernel = _KERNELS[name](rule) if name in _KERNELS else None
    return kernel if kernel is not None and _works(kernel, rule) else None


_TRIED: Dict[Kernel, bool] = {}


def _works(kernel: Kernel, rule: UpdateRule) -> bool:
    """Whether a kernel gives what its rule gives here: found out once, on a few numbers."""
    if kernel not in _TRIED:
        try:
            _TRIED[kernel] = all(_agrees(kernel, rule, dtype) for dtype in ("float32", "float64"))
        except Exception:  # a function that PyTorch has no more, or that takes other arguments
            _TRIED[kernel] = False
    return _TRIED[kernel]


@torch.no_grad()
def _agrees(kernel: Kernel, rule: UpdateRule, dtype: str) -> bool:
    xp = namespaces.namespace("torch", dtype)
    # More elements than fit into the vector registers, and not a multiple of those.
    grad, param, *old = (torch.linspace(0.5 + i, 1.5 + i, 37, dtype=xp.compute_dtype) for i in range(4))
    slots = dict(zip(kernel.slots, old))
    hyper = hyper_values(rule, trial_scalars(xp, rule), xp)
    wrapped = MappingProxyType({name: xp.wrap(value) for name, value in slots.items()})
    wanted, new = rule.update(xp, xp.wrap(grad), xp.wrap(param), wrapped, hyper, xp.scalar(3.0))
    kernel.step(Variables([param], [grad], {name: [value] for name, value in slots.items()}), hyper, 3.0)
    rtol = 1e-6 if dtype == "float32" else 1e-12
    pairs = [(param, wanted)] + [(slots[name], new[name]) for name in kernel.slots]
    return all(torch.allclose(got, xp.unwrap(want), rtol=rtol, atol=0.0) for got, want in pairs)


# By identity: rules that are equal may still differ in what a transform keeps of its variable. What is found
# holds its rule, so that no other gets the id.
_FOUND: MutableMapping[Any, Blocks] = weakref.WeakValueDictionary()


def fused_of(rule: UpdateRule) -> Optional[Blocks]:
    """What takes a rule's step by a kernel, or None. One object for all variables of the rule."""
    found = _FOUND.get(id(rule))
    kernel = None if found is not None else _kernel_of(rule)
    if kernel is not None:
        found = _FOUND[id(rule)] = Fused(rule, kernel)
    return found


def blocks_of(
    rule: UpdateRule, slots: Tuple[str, ...], shared: Tuple[str, ...], dtype: str
) -> Optional[Blocks]:
    """What takes a rule's step in blocks, or None if it is not elementwise. One object for all variables.

    Args:
        rule: the rule.
        slots: the names of its slots, all of the shape of their variable.
        shared: the names of the scalars of all variables together.
        dtype: the compute dtype.
    """
    key = id(rule), slots, shared, dtype
    found = _FOUND.get(key)
    if found is None and is_elementwise(rule, slots, shared, dtype):
        found = _FOUND[key] = Blocks(rule, slots)
    return found
