"""LAMB with TensorFlow Addons' hyperparameters."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, List, Mapping, Optional, Tuple

from ..rule import Hyper, UpdateRule
from .decoupled import matches


class LAMB(UpdateRule):
    """LAMB: You et al. 2020, arXiv:1904.00962, algorithm 2, as TensorFlow Addons has it.

    Adam's corrected step m / (sqrt(v) + epsilon), with weight_decay * w added to it, is multiplied by
    ||w|| / ||step|| of the variable (1 where either norm is 0; the paper's phi is the identity). Both lists
    hold regular expressions that are searched for in a variable's name, with or without ":0". A variable in
    exclude_from_weight_decay does not decay. One in exclude_from_layer_adaptation is not scaled; where that
    list is None or empty, exclude_from_weight_decay stands for it.

    Slots: m and v, like the parameter.

    Raises:
        HyperparameterError: a list of patterns that is no list of strings.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-6, "added to the root of the corrected second moment", ge=0)
    weight_decay = Hyper(0.0, "fraction of the parameter added to the step", ge=0)
    exclude_from_weight_decay = Hyper(None, "patterns of the names of variables that do not decay")
    exclude_from_layer_adaptation = Hyper(None, "patterns of the names of variables that are not scaled")

    old_names = MappingProxyType({"weight_decay_rate": "weight_decay"})

    _decays = True
    _adapts = True

    def _after_init(self) -> None:
        for patterns in (self.exclude_from_weight_decay, self.exclude_from_layer_adaptation):
            matches("LAMB", patterns, "")
        super()._after_init()

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        fixed: Optional[List[str]] = self.exclude_from_weight_decay
        decays = not matches("LAMB", fixed, name)
        adapts = not matches("LAMB", self.exclude_from_layer_adaptation or fixed, name)
        if decays and adapts:
            return self
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, _origin=self.origin, _decays=decays, _adapts=adapts)
        return copy

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"m": xp.zeros_like(param), "v": xp.zeros_like(param)}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        m = hyper.beta_1 * slots["m"] + (1 - hyper.beta_1) * grad
        v = hyper.beta_2 * slots["v"] + (1 - hyper.beta_2) * xp.square(grad)
        root = xp.sqrt(v / (1 - hyper.beta_2**step))
        move = m / (1 - hyper.beta_1**step) / (root + hyper.epsilon)
        if self._decays:
            move = move + hyper.weight_decay * param
        if self._adapts:
            size, length = xp.linalg.vector_norm(param), xp.linalg.vector_norm(move)
            both = xp.logical_and(size > 0, length > 0)
            move = move * xp.where(both, size / xp.where(both, length, 1.0), 1.0)
        return param - hyper.learning_rate * move, {"m": m, "v": v}
