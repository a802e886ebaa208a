"""The base arguments of every optimizer (clipping, weight decay) as transforms around its rule."""

from __future__ import annotations

from typing import Any, Dict, Optional

from ..errors import HyperparameterError
from ..rule import UpdateRule, is_source
from .accumulation import GradientAccumulation, UnscaleGradients
from .averaging import ExponentialMovingAverage
from .clipping import ClipByGlobalNorm, ClipByNorm, ClipByValue
from .decay import DecoupledWeightDecay
from .learning_rate import InverseTimeDecay

_CLIPS = {"clipvalue": ClipByValue, "clipnorm": ClipByNorm, "global_clipnorm": ClipByGlobalNorm}


def with_base_arguments(
    rule: UpdateRule,
    *,
    weight_decay: Optional[float] = None,
    clipnorm: Optional[float] = None,
    clipvalue: Optional[float] = None,
    global_clipnorm: Optional[float] = None,
    decay: Optional[float] = None,
    use_ema: bool = False,
    ema_momentum: float = 0.99,
    ema_overwrite_frequency: Optional[int] = None,
    loss_scale_factor: Optional[float] = None,
    gradient_accumulation_steps: Optional[int] = None,
) -> UpdateRule:
    """The rule with what an optimizer's base arguments ask for around it.

    Args:
        rule: the update rule.
        weight_decay: decoupled weight decay, times the learning rate; None or 0 for none.
        clipnorm, clipvalue, global_clipnorm: at most one of them; None for no clipping.
        decay: inverse-time decay of the learning rate, per step; None or 0 for none.
        use_ema, ema_momentum, ema_overwrite_frequency: an exponential moving average of the parameters.
        loss_scale_factor: what gradients are divided by, because the loss was multiplied by it.
        gradient_accumulation_steps: steps that make one update; None for an update in each step.

    Returns:
        unscaling(average(learning-rate decay(accumulation(clipping(weight decay(rule)))))), or what of that
        is asked for: the order in which Keras 3 does these.

    Raises:
        HyperparameterError: more than one kind of clipping, or a value that is no number or negative.
    """
    given: Dict[str, Any] = {
        name: value
        for name, value in (
            ("clipnorm", clipnorm),
            ("clipvalue", clipvalue),
            ("global_clipnorm", global_clipnorm),
        )
        if value is not None
    }
    if len(given) > 1:
        raise HyperparameterError(
            "{}: expected at most one kind of clipping.".format(
                ", ".join("{}={!r}".format(*item) for item in given.items())
            )
        )
    if _asked(weight_decay):
        rule = DecoupledWeightDecay(rule, weight_decay=weight_decay)
    for name, value in given.items():
        rule = _CLIPS[name](rule, **{name: value})
    steps = gradient_accumulation_steps
    if _asked(steps):
        rule = GradientAccumulation(rule, gradient_accumulation_steps=steps)
    if _asked(decay):
        rule = InverseTimeDecay(rule, decay=decay)
    if not isinstance(use_ema, (bool, int)):
        raise HyperparameterError("use_ema={!r}: expected True or False.".format(use_ema))
    if use_ema:
        rule = ExponentialMovingAverage(
            rule,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            accumulation=steps if _asked(steps) else 1,
        )
    if loss_scale_factor is not None:
        rule = UnscaleGradients(rule, loss_scale_factor=loss_scale_factor)
    return rule


def _asked(value: Any) -> bool:
    """Whether a base argument asks for anything: None, 0 and False do not, a variable always does."""
    return value is not None and (is_source(value) or not (isinstance(value, (int, float)) and value == 0))
