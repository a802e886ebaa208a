"""What runs in a rule's place on PyTorch: its fused optimizers, and blocks of an elementwise rule.

Both take many variables in one call, and write in place. PyTorch's own functions are not public: each is
tried on a few numbers before its first use, and left alone if it does not give what the rule gives.
"""

from __future__ import annotations

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
    Union,
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


class Kernel:
    """A function of PyTorch's that takes a whole step of a rule.

    Attributes:
        name: the function's, without "torch.".
        slots: the names of the rule's slots.
        step: takes it: `step(variables, hyper, t)`, with the rule's hyperparameters and the step's number.
        same_dtype: whether parameters must have the dtype that the rule is computed in.
    """

    same_dtype = True

    def __init__(
        self, name: str, slots: Sequence[str], step: Callable[[Variables, Any, float], None]
    ) -> None:
        self.name = name
        self.slots = tuple(slots)
        self._step = step

    def run(self, xp: Any, variables: Variables, hyper: Any, step: Any) -> None:
        """One step of these variables.

        Args:
            xp: the namespace of the rule.
            variables: what is read and written; the gradients are only read.
            hyper: the rule's hyperparameters.
            step: the step's number, a weak scalar.
        """
        self._step(variables, hyper, float(weak_value(step)))


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


_ADAM = Kernel("_fused_adam_", ("m", "v"), _adam)
_ADAMW = Kernel("_fused_adamw_", ("m", "v"), _adamw)
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


def kernel_of(rule: UpdateRule) -> Optional[Kernel]:
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
    step = xp.scalar(3.0)
    wrapped = MappingProxyType({name: xp.wrap(value) for name, value in slots.items()})
    wanted, new = rule.update(xp, xp.wrap(grad), xp.wrap(param), wrapped, hyper, step)
    kernel.run(xp, Variables([param], [grad], {name: [value] for name, value in slots.items()}), hyper, step)
    rtol = 1e-6 if dtype == "float32" else 1e-12
    pairs = [(param, wanted)] + [(slots[name], new[name]) for name in kernel.slots]
    return all(torch.allclose(got, xp.unwrap(want), rtol=rtol, atol=0.0) for got, want in pairs)


class Blocks:
    """An elementwise rule, run on blocks of the elements of many variables.

    Attributes:
        rule: the rule.
        slots: the names of its slots.
    """

    name = "blocks"
    same_dtype = False

    def __init__(self, rule: UpdateRule, slots: Sequence[str]) -> None:
        self.rule = rule
        self.slots = tuple(slots)

    def run(self, xp: Any, variables: Variables, hyper: Any, step: Any) -> None:
        """One step of these variables; see `Kernel.run`."""
        arrays = {_PARAM: variables.params, _GRAD: variables.grads, **variables.slots}
        for block in _blocks([tensor.numel() for tensor in variables.params]):
            if isinstance(block, list):
                self._run_joined(xp, {k: [v[i] for i in block] for k, v in arrays.items()}, hyper, step)
                continue
            flat = {name: tensors[block].view(-1) for name, tensors in arrays.items()}
            for start in range(0, len(flat[_PARAM]), BLOCK):
                part = {name: tensor[start : start + BLOCK] for name, tensor in flat.items()}
                self._run_part(xp, part, hyper, step)

    def _run_joined(self, xp: Any, arrays: Mapping[str, List[Any]], hyper: Any, step: Any) -> None:
        joined = {name: _flatten_dense_tensors(tensors) for name, tensors in arrays.items()}
        for name, value in self._new(xp, joined, hyper, step).items():
            torch._foreach_copy_(arrays[name], _unflatten_dense_tensors(value, arrays[name]))

    def _run_part(self, xp: Any, arrays: Mapping[str, Any], hyper: Any, step: Any) -> None:
        values = self._new(xp, arrays, hyper, step)
        memory = [array.untyped_storage().data_ptr() for array in arrays.values()]
        # A new value may be the memory of another array, which is written before it.
        settled = {
            name: value.clone() if value.untyped_storage().data_ptr() in memory else value
            for name, value in values.items()
        }
        for name, value in settled.items():
            arrays[name].copy_(value)

    def _new(self, xp: Any, arrays: Mapping[str, Any], hyper: Any, step: Any) -> Dict[str, Any]:
        old = {name: xp.wrap(array.to(xp.compute_dtype)) for name, array in arrays.items()}
        slots = MappingProxyType({name: old[name] for name in self.slots})
        param, new = self.rule.update(xp, old[_GRAD], old[_PARAM], slots, hyper, step)
        return {_PARAM: xp.unwrap(param), **{name: xp.unwrap(new[name]) for name in self.slots}}


# What no slot can be called.
_PARAM, _GRAD = "the parameter", "the gradient"


def _blocks(sizes: Sequence[int]) -> Iterator[Union[int, List[int]]]:
    """The variables of each block of at most BLOCK elements, or one that is a block or more by itself."""
    together: List[int] = []
    free = BLOCK
    for i, size in enumerate(sizes):
        if size >= BLOCK:
            yield i
            continue
        if size > free:
            yield together
            together, free = [], BLOCK
        together.append(i)
        free -= size
    if together:
        yield together


# By identity: rules that are equal may still differ in what a transform keeps of its variable. The blocks
# hold their rule, so that no other gets its id.
_BLOCKS: MutableMapping[Any, Blocks] = weakref.WeakValueDictionary()


def blocks_of(
    rule: UpdateRule, slots: Tuple[str, ...], shared: Tuple[str, ...], dtype: str
) -> Optional[Blocks]:
    """Blocks of a rule, or None if it is not elementwise. One object for all variables of the rule.

    Args:
        rule: the rule.
        slots: the names of its slots, all of the shape of their variable.
        shared: the names of the scalars of all variables together.
        dtype: the compute dtype.
    """
    key = id(rule), slots, shared, dtype
    blocks = _BLOCKS.get(key)
    if blocks is None and is_elementwise(rule, slots, shared, dtype):
        blocks = _BLOCKS[key] = Blocks(rule, slots)
    return blocks
