"""Decoupled weight decay, as a transform of any rule, and rules without it for excluded variables."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..errors import HyperparameterError, RuleError
from ..rule import Hyper, HyperValues, UpdateRule, dynamic_hypers
from .base import Transform
from .patterns import check_patterns, matches, selected


class DecoupledWeightDecay(Transform):
    """Takes weight_decay * learning_rate * param off the parameter before the rule's own step.

    Loshchilov & Hutter 2019, arXiv:1711.05101, in the form that Keras 2.11 and later give it: the decay is
    multiplied by the learning rate, and the rule's step starts from the decayed parameter. With sparse
    gradients every row decays if the rule is `sparse = "dense"`, only the rows present if it is "rows".

    Raises:
        RuleError: the rule has no learning rate.
    """

    weight_decay = Hyper(doc="fraction of the parameter taken off a step, times the learning rate", ge=0)

    def _after_init(self) -> None:
        if not any(path.rpartition(".")[2] == "learning_rate" for path in dynamic_hypers(self.inner)):
            raise RuleError(
                "weight_decay is multiplied by the learning rate, and {} has none. Leave weight_decay "
                "out.".format(type(self.inner).__name__)
            )
        super()._after_init()

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        param = param * (1 - hyper.weight_decay * hyper.learning_rate)
        return self.inner.update(xp, grad, param, slots, hyper.inner, step)


class WeightDecay(DecoupledWeightDecay):
    """Decoupled weight decay of some variables only: those of `include`, without those of `exclude`.

    The decay is that of `DecoupledWeightDecay`. Patterns are regular expressions, searched for in the
    variable's name, or dicts of "name" and "ndim": `exclude=["bias", {"ndim": [0, 1]}]`.

    Raises:
        HyperparameterError: a bad pattern.
        RuleError: the rule has no learning rate.
    """

    weight_decay = Hyper(doc="fraction of the parameter taken off a step, times the learning rate", ge=0)
    include = Hyper([], "patterns of the variables that decay; all, if there are none")
    exclude = Hyper([], "patterns of variables that do not")

    def _after_init(self) -> None:
        for name in ("include", "exclude"):
            check_patterns("WeightDecay({}=...)".format(name), self._hyper_values[name])
        super()._after_init()

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        if selected(self.include, self.exclude, name, shape):
            return super().for_variable(name, shape)
        return self.inner.for_variable(name, shape)


class NormalizedWeightDecay(Transform):
    """Normalized weight decay: Loshchilov & Hutter 2019, arXiv:1711.05101, appendix B, as in keras-adamw.

    After the rule's step the parameter loses eta_t * sqrt(1 / total_iterations_wd) * (l1 * sign(w) + l2 * w),
    w the parameter before the step; it is not multiplied by the learning rate. For keras-adamw's cosine
    annealing give `schedules.CosineAnnealing` as eta_t, and as the learning rate.

    Args:
        inner: the rule.
        weight_decays: pattern -> (l1, l2), or l2 alone; a dict or a list of pairs. The first pattern that is
            found in a variable's name decides; one that fits none does not decay. Patterns as in `Partition`.
        total_iterations: steps of a restart's cycle, which normalize the decay; 1 for no normalization.
        total_iterations_wd: the same, where it is not the length of the cycle; None: total_iterations.
        eta_t: the schedule's factor.

    Raises:
        HyperparameterError: a bad pattern or factor.
    """

    weight_decays = Hyper([], "triples [pattern, l1, l2]", static=True)
    total_iterations = Hyper(1, "steps of a cycle", static=True)
    total_iterations_wd = Hyper(None, "steps that normalize the decay, if others")
    eta_t = Hyper(1.0, "what decay is multiplied by", ge=0)

    _factors = (0.0, 0.0)

    def __init__(self, inner: Any, weight_decays: Any = (), *args: Any, **kwargs: Any) -> None:
        pairs = weight_decays.items() if isinstance(weight_decays, Mapping) else weight_decays
        triples = [_triple(pair) for pair in pairs]
        check_patterns("NormalizedWeightDecay", [pattern for pattern, _, _ in triples])
        super().__init__(inner, triples, *args, **kwargs)

    def _after_init(self) -> None:
        for name in ("total_iterations", "total_iterations_wd"):
            steps = self._hyper_values[name]
            if steps is None and name == "total_iterations_wd":
                continue
            if isinstance(steps, bool) or not isinstance(steps, (int, float)) or not steps >= 1:
                raise HyperparameterError(
                    "NormalizedWeightDecay({}={!r}): expected a number of at least 1.".format(name, steps)
                )
        super()._after_init()

    def for_variable(self, name: str, shape: Tuple[int, ...]) -> UpdateRule:
        inner = self.inner.for_variable(name, shape)
        for pattern, l1, l2 in self.weight_decays:
            if matches(pattern, name, shape):
                copy = self.around(inner)
                copy.__dict__["_factors"] = (float(l1), float(l2))
                return copy
        return inner

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        (l1, l2), steps = self._factors, self.total_iterations_wd or self.total_iterations
        moved, new = self.inner.update(xp, grad, param, slots, hyper.inner, step)
        return moved - hyper.eta_t * normalized_decay(xp, param, l1, l2, steps), new


def normalized_decay(xp: Any, param: Any, l1: float, l2: float, steps: float) -> Any:
    """What one step of normalized weight decay takes off a parameter, before it is annealed.

    Args:
        xp: the array namespace.
        param: the parameter before the step.
        l1, l2: its penalties.
        steps: what normalizes them.
    """
    return steps**-0.5 * (l1 * xp.sign(param) + l2 * param)


def _triple(pair: Any) -> Any:
    """[pattern, l1, l2] of a pair (pattern, (l1, l2)) or (pattern, l2), or of what is one already."""
    found = list(pair) if isinstance(pair, (list, tuple)) else [pair]
    if len(found) == 2:
        penalties = found[1] if isinstance(found[1], (list, tuple)) else (0.0, found[1])
        found = [found[0], *penalties]
    numbers = [each for each in found[1:] if isinstance(each, (int, float)) and each >= 0]
    if len(found) != 3 or len(numbers) != 2:
        raise HyperparameterError(
            "NormalizedWeightDecay: {!r}: expected a pattern and (l1, l2), two numbers that are not "
            "negative.".format(pair)
        )
    return found


class _NoDecay(Transform):
    """A rule that has a weight_decay of its own, with that at zero."""

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        # Muon has one for each kind of variable, and which kind this one is only the rule knows.
        names = [name for name in type(self.inner).hypers if name.endswith("weight_decay")]
        hyper = hyper.inner.replace(**{name: xp.scalar(0.0) for name in names})
        return self.inner.update(xp, grad, param, slots, hyper, step)


def without_weight_decay(rule: UpdateRule) -> UpdateRule:
    """The rule for a variable that is excluded from weight decay.

    Args:
        rule: any rule.

    Returns:
        The same rule with decoupled weight decay taken out and a `weight_decay` of its own held at zero;
        `rule` itself if it has neither. Its other hyperparameters stay shared with `rule`.
    """
    if isinstance(rule, (DecoupledWeightDecay, NormalizedWeightDecay)):
        return without_weight_decay(rule.inner)
    if isinstance(rule, Transform):
        inner = without_weight_decay(rule.inner)
        return rule if inner is rule.inner else rule.around(inner)
    if "weight_decay" in type(rule).hypers:
        return _NoDecay(rule)
    return rule
