"""Muon: momentum made orthogonal, for matrices; AdamW for the rest."""

from __future__ import annotations

import re
from typing import Any, Mapping, Tuple

from ..errors import HyperparameterError
from ..rule import Hyper, UpdateRule
from ._hypers import Fixed, Flag, OrNone


class Muon(UpdateRule):
    """Muon: Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982.

    A matrix keeps a momentum m = momentum * m + g, from which g + momentum * m with nesterov, else m itself.
    ns_steps of the iteration x = a x + (b x x' + c (x x')**2) x, started from that divided by its Frobenius
    norm, bring its singular values near 1, and w -= learning_rate * rms_rate * sqrt(max(rows, columns)) * x
    (without the two factors if rms_rate is None). Computed in the parameter's precision, as in Keras; the
    original uses bfloat16.

    AdamW takes every variable that has not two dimensions, whose name contains "embedding" in any case (with
    exclude_embeddings), or in whose name an expression of exclude_layers is found. Names are the host's: a
    path such as "model/dense/kernel". Output layers are yours to exclude. AdamW's step has learning_rate *
    adam_lr_ratio and epsilon as Adam here has it.

    Weight decay takes learning_rate * weight_decay (for AdamW's variables learning_rate * adam_weight_decay,
    without the ratio) of the parameter off it before the step. Either may be None, for none.

    Slots: m, like the parameter, and v for AdamW's variables.

    Raises:
        HyperparameterError: exclude_layers is no list of regular expressions.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    adam_beta_1 = Hyper(0.9, "AdamW's decay rate of the first moment", ge=0, lt=1)
    adam_beta_2 = Hyper(0.999, "AdamW's decay rate of the second moment", ge=0, lt=1)
    adam_weight_decay = OrNone(0.004, "weight decay of AdamW's variables, times the learning rate", ge=0)
    epsilon = Hyper(1e-7, "added to the root of AdamW's second moment", ge=0)
    weight_decay = OrNone(0.004, "weight decay of Muon's variables, times the learning rate", ge=0)
    exclude_layers = Hyper(None, "expressions found in the names of variables that AdamW is to take")
    exclude_embeddings = Flag(True, "whether AdamW takes variables with embedding in their name")
    muon_a = Hyper(3.4445, "the iteration's factor of x")
    muon_b = Hyper(-4.7750, "the iteration's factor of x x' x")
    muon_c = Hyper(2.0315, "the iteration's factor of (x x')**2 x")
    adam_lr_ratio = Hyper(1.0, "AdamW's learning rate by Muon's", ge=0)
    momentum = Hyper(0.95, "fraction of the momentum kept", ge=0, le=1)
    ns_steps = Fixed(5, "Newton-Schulz iterations", ge=0, whole=True)
    nesterov = Flag(True, "whether to use Nesterov momentum")
    rms_rate = Fixed(0.2, "root mean square of a step, by the learning rate; None: unscaled", optional=True)

    def _after_init(self) -> None:
        names = self.exclude_layers
        try:
            if isinstance(names, str):
                raise TypeError("it is one string")
            for expression in names or ():
                re.compile(expression)
        except (TypeError, re.error) as error:
            raise HyperparameterError(
                "Muon(exclude_layers={!r}): expected a list of regular expressions, such as "
                '["output_dense"] ({}).'.format(names, error)
            ) from error
        super()._after_init()

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        matrix = len(shape) == 2 and not (self.exclude_embeddings and "embedding" in name.lower())
        if matrix and not any(re.search(expression, name) for expression in self.exclude_layers or ()):
            return self
        part = object.__new__(_MuonAdamW)
        part.__dict__.update(self.__dict__, _origin=self.origin)
        return part

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"m": xp.zeros_like(param)}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        param = param * (1 - hyper.weight_decay * hyper.learning_rate)
        m = hyper.momentum * slots["m"] + grad
        x = grad + hyper.momentum * m if self.nesterov else m
        # The iteration multiplies by x x', which is the smaller of the two products for a wide matrix.
        tall = param.shape[0] > param.shape[1]
        if tall:
            x = xp.matrix_transpose(x)
        x = x / (xp.sqrt(xp.sum(xp.square(x))) + 1e-7)
        for _ in range(self.ns_steps):
            product = xp.matmul(x, xp.matrix_transpose(x))
            product = hyper.muon_b * product + hyper.muon_c * xp.matmul(product, product)
            x = hyper.muon_a * x + xp.matmul(product, x)
        if tall:
            x = xp.matrix_transpose(x)
        rate = hyper.learning_rate
        if self.rms_rate is not None:
            rate = rate * (max(param.shape) ** 0.5 * self.rms_rate)
        return param - rate * x, {"m": m}


class _MuonAdamW(Muon):
    """The AdamW that `Muon` gives a variable to; it shares that rule's hyperparameters."""

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        return self

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {name: xp.zeros_like(param) for name in ("m", "v")}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        param = param * (1 - hyper.adam_weight_decay * hyper.learning_rate)
        rate = hyper.learning_rate * hyper.adam_lr_ratio
        rate = rate * xp.sqrt(1 - hyper.adam_beta_2**step) / (1 - hyper.adam_beta_1**step)
        m = slots["m"] + (grad - slots["m"]) * (1 - hyper.adam_beta_1)
        v = slots["v"] + (xp.square(grad) - slots["v"]) * (1 - hyper.adam_beta_2)
        return param - rate * m / (xp.sqrt(v) + hyper.epsilon), {"m": m, "v": v}
