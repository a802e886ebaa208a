"""AdamP: Adam that takes the radial part out of the steps of scale-invariant weights."""

from __future__ import annotations

import math
from typing import Any, Mapping, Tuple

from ..errors import HyperparameterError
from ..rule import Hyper, UpdateRule
from ._static import check_flags


class AdamP(UpdateRule):
    """AdamP: Heo et al. 2021, arXiv:2006.08217, algorithm 2.

    A variable of two or more dimensions counts as scale-invariant where its gradient is nearly orthogonal to
    it: |cos(w, g)| < delta / sqrt(size), for every channel, or else for the whole variable. Then the part of
    Adam's step along w (of each channel, or the whole) is taken out, and the weight decay is multiplied by
    wd_ratio. Decay is decoupled, and epsilon added to the corrected root, as in the authors' code.

    The authors' channels are the first axis, PyTorch's output channels. Keras' kernels have those last, so
    `channel_axis` is -1; 0 gives the authors' numbers on weights laid out as theirs.

    Slots: m and v, like the parameter.

    Raises:
        HyperparameterError: channel_axis is neither 0 nor -1, or nesterov no bool.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-8, "added to the root of the corrected second moment, and to norms", ge=0)
    weight_decay = Hyper(0.0, "fraction of the parameter taken off a step, times the learning rate", ge=0)
    delta = Hyper(0.1, "threshold of the cosine, times the root of the size", ge=0)
    wd_ratio = Hyper(0.1, "what the decay of scale-invariant weights is multiplied by", ge=0)
    nesterov = Hyper(False, "whether to use Nesterov momentum")
    channel_axis = Hyper(-1, "axis of the output channels, 0 or -1", static=True)

    def _after_init(self) -> None:
        check_flags(self, "nesterov")
        if isinstance(self.channel_axis, bool) or self.channel_axis not in (0, -1):
            raise HyperparameterError(
                "AdamP(channel_axis={!r}): expected -1, for channels last as in Keras' kernels, or 0, for "
                "channels first.".format(self.channel_axis)
            )
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"m": xp.zeros_like(param), "v": xp.zeros_like(param)}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        m = slots["m"] + (grad - slots["m"]) * (1 - hyper.beta_1)
        v = slots["v"] + (xp.square(grad) - slots["v"]) * (1 - hyper.beta_2)
        first = m + (grad - m) * (1 - hyper.beta_1) if self.nesterov else m
        move = first / (xp.sqrt(v / (1 - hyper.beta_2**step)) + hyper.epsilon)
        decay = hyper.learning_rate * hyper.weight_decay
        if param.ndim > 1 and param.size != 0:
            move, invariant = self._project(xp, grad, param, move, hyper)
            decay = decay * xp.where(invariant, hyper.wd_ratio, 1.0)
        rate = hyper.learning_rate / (1 - hyper.beta_1**step)
        return param * (1 - decay) - rate * move, {"m": m, "v": v}

    def _project(self, xp: Any, grad: Any, param: Any, move: Any, hyper: Any) -> Tuple[Any, Any]:
        """The step without its radial part, and whether the variable is scale-invariant."""
        ndim = param.ndim
        channel = self.channel_axis % ndim
        by_channel = tuple(axis for axis in range(ndim) if axis != channel)
        size = param.size
        made, found = move, None
        for axes, count in ((by_channel, size // param.shape[channel]), (tuple(range(ndim)), size)):
            norm = xp.sqrt(xp.sum(xp.square(param), axis=axes, keepdims=True))
            slope = xp.sqrt(xp.sum(xp.square(grad), axis=axes, keepdims=True))
            inner = xp.sum(param * grad, axis=axes, keepdims=True)
            # A channel of zeros has cosine 0, with epsilon 0 too.
            below = xp.maximum(norm, hyper.epsilon) * xp.maximum(slope, hyper.epsilon)
            cosine = xp.abs(inner) / xp.where(below > 0, below, 1.0)
            invariant = xp.max(cosine) < hyper.delta / math.sqrt(count)
            radius = norm + hyper.epsilon
            unit = param / xp.where(radius > 0, radius, 1.0)
            projected = move - unit * xp.sum(unit * move, axis=axes, keepdims=True)
            if found is None:
                made, found = xp.where(invariant, projected, move), invariant
            else:
                made = xp.where(xp.logical_and(invariant, xp.logical_not(found)), projected, made)
                found = xp.logical_or(found, invariant)
        return made, found
