"""Transforms: rules made out of rules, such as clipping and decoupled weight decay."""

from __future__ import annotations

from .base import Transform
from .clipping import ClipByGlobalNorm, ClipByNorm, ClipByValue
from .decay import DecoupledWeightDecay, without_weight_decay
from .learning_rate import InverseTimeDecay

__all__ = [
    "ClipByGlobalNorm",
    "ClipByNorm",
    "ClipByValue",
    "DecoupledWeightDecay",
    "InverseTimeDecay",
    "Transform",
    "without_weight_decay",
]
