"""Transforms: rules made out of rules, such as clipping and decoupled weight decay."""

from __future__ import annotations

from .accumulation import GradientAccumulation, UnscaleGradients
from .annealed import AnnealedWeightDecay, WarmRestarts
from .averaging import ExponentialMovingAverage
from .base import GradientTransform, Transform
from .clipping import ClipByGlobalNorm, ClipByNorm, ClipByValue
from .decay import DecoupledWeightDecay, NormalizedWeightDecay, WeightDecay, without_weight_decay
from .finite import SkipNonFinite
from .learning_rate import InverseTimeDecay
from .lookahead import SWA, Lookahead, MovingAverage
from .multi import ByPath, InTurn, MultiOptimizer
from .partition import LearningRateMultipliers, Partition
from .selective import (
    AdaptiveGradientClipping,
    GradientCentralization,
    Regularization,
    SelectiveGradientTransform,
)

__all__ = [
    "SWA",
    "AdaptiveGradientClipping",
    "AnnealedWeightDecay",
    "ByPath",
    "ClipByGlobalNorm",
    "ClipByNorm",
    "ClipByValue",
    "DecoupledWeightDecay",
    "ExponentialMovingAverage",
    "GradientAccumulation",
    "GradientCentralization",
    "GradientTransform",
    "InTurn",
    "InverseTimeDecay",
    "LearningRateMultipliers",
    "Lookahead",
    "MovingAverage",
    "MultiOptimizer",
    "NormalizedWeightDecay",
    "Partition",
    "Regularization",
    "SelectiveGradientTransform",
    "SkipNonFinite",
    "Transform",
    "UnscaleGradients",
    "WarmRestarts",
    "WeightDecay",
    "without_weight_decay",
]
