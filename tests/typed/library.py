"""A small author's library, as type checkers see it: nothing here may be refused."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Type

import kcompat
from kcompat import Hyper, UpdateRule, rules, schedules, transforms
from kcompat.errors import KcompatError, nearest
from kcompat.optimizers import AdamW
from kcompat.testing import reference


class SignMomentum(UpdateRule):
    """A rule with a slot, a static hyperparameter and what else a rule may define."""

    learning_rate = Hyper(1e-3, "step size", ge=0)
    momentum = Hyper(0.9, ge=0, lt=1)
    nesterov = Hyper(False)
    exponent = Hyper(doc="required", static=True)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return {"m": xp.zeros_like(param)}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        m = hyper.momentum * slots["m"] + (1 - hyper.momentum) * grad
        if self.nesterov:
            grad = m + grad
        return param - hyper.learning_rate * xp.sign(m), {"m": m}

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        return self.replace(momentum=0.0) if len(shape) < 2 else self


class Halved(transforms.GradientTransform):
    """A transform of the author's own."""

    def change(self, xp: Any, grad: Any, hyper: Any) -> Any:
        return grad / 2


class HalfCosine(schedules.Schedule):
    """A schedule of the author's own."""

    def __init__(self, rate: float, steps: int) -> None:
        super().__init__(rate=rate, steps=steps)

    def value(self, xp: Any, step: Any) -> Any:
        return self.rate * xp.cos(step / self.steps)


Optimizer: Any = kcompat.optimizer_class(SignMomentum)
OfTF1: Any = kcompat.optimizer_class(SignMomentum, api="tf1", name="Sign", host="tf.keras")


def make(rate: Optional[float] = None) -> Any:
    """An optimizer, from a rule with transforms and a schedule inside."""
    schedule = schedules.CosineDecay(rate or 1e-3, 1000, warmup_steps=10)
    rule = transforms.ClipByGlobalNorm(SignMomentum(schedule, exponent=2), 1.0)
    inner: UpdateRule = rule.inner
    changed: transforms.ClipByGlobalNorm = rule.replace(global_clipnorm=2.0)
    parts = transforms.Partition(rules.Adam(), [("embedding", rules.SGD(0.1)), (r"bias$", inner)])
    configuration: Dict[str, Any] = changed.config()
    assert configuration and isinstance(parts.children(), Mapping)
    return kcompat.optimizer(changed, api="keras_3", clipnorm=1.0)


def hyperparameters(rule: Type[UpdateRule]) -> List[Tuple[str, Any, str]]:
    """The hyperparameters of a rule: of the class each is a `Hyper`, of an instance its value."""
    declared: Hyper = SignMomentum.learning_rate
    found: Mapping[str, Hyper] = rule.hypers
    value: float = SignMomentum(exponent=2).learning_rate
    return [(each.name, each.default, each.doc) for each in (*found.values(), declared) if value]


def run(rule: UpdateRule, start: Sequence[Any], gradients: Sequence[Sequence[Any]]) -> float:
    """What the author's tests do."""
    params, slots = reference(rule, start, gradients, names=["kernel"], dtype="float32", clipnorm=1.0)
    first: Dict[str, Any] = slots[0]
    return float(params[0].sum() + first["m"].sum())


def rate_after(steps: int) -> float:
    """Schedules are called with a number, and kept as their configuration."""
    schedule: schedules.Schedule = schedules.WarmUp(0.1, schedules.ExponentialDecay(0.1, 100, 0.9), 10)
    again = schedules.CosineDecay.from_config(schedules.CosineDecay(0.1, 10).get_config())
    described: Dict[str, Any] = schedules.describe_schedule(again)
    function: Callable[[Any], Any] = HalfCosine(0.1, 100)
    value: float = schedule(steps) + schedules.schedule_from(described)(steps) + function(steps)
    return value


def explain() -> str:
    """What is found here, in words; errors are caught by their root."""
    try:
        found = kcompat.detect()
        apis: Tuple[str, ...] = found.apis
        default: Optional[str] = found.default
        host: type = kcompat.environment.host_class(kcompat.environment.resolve_api(default))
        return "{} {} {} {}".format(apis, host, found.why, kcompat.__version__)
    except (kcompat.ApiNotAvailableError, KcompatError) as error:
        return str(error) + nearest("adma", rules.CATALOGUE)


def train(model: Any) -> None:
    """Classes of optimizers are the host's: whatever it takes, they are."""
    native: AdamW = AdamW(learning_rate=schedules.Noam(512), weight_decay=0.01, clipnorm=1, name="adamw")
    native.exclude_from_weight_decay(var_names=["bias"])
    native.learning_rate = 1e-4
    model.compile(optimizer=native, loss="mse")
    again: AdamW = AdamW.from_config(native.get_config())
    model.compile(optimizer=again, loss="mse")
    model.compile(optimizer=kcompat.optimizers.tf1.SGD(0.1), loss="mse")
    model.compile(optimizer=kcompat.optimizers.Muon(1e-3), loss="mse")
    model.compile(optimizer=kcompat.addons.LAMB(1e-3), loss="mse")


class OwnSGD(kcompat.optimizers.SGD):
    """Optimizer classes may be subclassed, as the host's own."""

    def apply_gradients(self, grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
        return super().apply_gradients(grads_and_vars, *args, **kwargs)


class Decaying(kcompat.addons.DecoupledWeightDecayExtension, kcompat.optimizers.SGD):
    """Weight decay in front of another optimizer."""


decaying = Decaying(1e-4, learning_rate=0.1)
Extended = kcompat.addons.extend_with_decoupled_weight_decay(kcompat.optimizers.SGD)
extended: Any = Extended(1e-4, None, 0.1)
