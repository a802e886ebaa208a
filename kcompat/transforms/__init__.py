"""Transforms: rules made out of rules, such as clipping and decoupled weight decay."""

from __future__ import annotations

from .accumulation import GradientAccumulation, UnscaleGradients
from .averaging import ExponentialMovingAverage
from .base import GradientTransform, Transform
from .clipping import ClipByGlobalNorm, ClipByNorm, ClipByValue
from .decay import DecoupledWeightDecay, without_weight_decay
from .learning_rate import InverseTimeDecay

__all__ = [
    "ClipByGlobalNorm",
    "ClipByNorm",
    "ClipByValue",
    "DecoupledWeightDecay",
    "ExponentialMovingAverage",
    "GradientAccumulation",
    "GradientTransform",
    "InverseTimeDecay",
    "Transform",
    "UnscaleGradients",
    "without_weight_decay",
]
