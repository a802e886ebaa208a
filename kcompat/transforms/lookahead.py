"""Slow weights and averages after TensorFlow Addons: Lookahead, MovingAverage, SWA."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Tuple

from ..errors import HyperparameterError, HyperparameterTypeError, RuleError
from ..rule import Hyper, HyperValues
from .base import Transform


class _Slow(Transform):
    """What keeps a slow copy of each parameter beside the one that trains, in the slot `copy_slot`."""

    copy_slot = "average"

    def _after_init(self) -> None:
        if self.inner.sparse == "rows":
            raise RuleError(
                '{} with {}: its sparse = "rows" leaves the rows that are not present alone, but their {} '
                "moves on.".format(type(self).__name__, type(self.inner).__name__, self.copy_slot)
            )
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        return self.slots_with(self.inner.init(xp, param), **{self.copy_slot: param * 1})

    def _stepped(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Dict[str, Any], Any]:
        """(the parameter after the rule's step, the rule's slots, the slow copy as it was)."""
        inside = {name: value for name, value in slots.items() if name != self.copy_slot}
        param, new = self.inner.update(xp, grad, param, inside, hyper.inner, step)
        return param, dict(new), slots[self.copy_slot]

    def _check_count(self, name: str, least: int) -> None:
        value = self._hyper_values[name]
        is_count = isinstance(value, int) and not isinstance(value, bool)
        if not is_count or value < least:
            error = HyperparameterError if is_count else HyperparameterTypeError
            raise error(
                "{}({}={!r}): expected an integer of at least {}.".format(
                    type(self).__name__, name, value, least
                )
            )


class Lookahead(_Slow):
    """Lookahead: Zhang et al. 2019, arXiv:1907.08610, algorithm 1.

    After every `sync_period` steps slow = slow + slow_step_size * (param - slow), and the parameter starts
    again from there. The slow weights start as the parameter was when the optimizer was built on it. The
    rule's slots go on, as in TensorFlow Addons.

    Slots: slow, like the parameter.

    Raises:
        HyperparameterError: `sync_period` is no integer of at least 1.
        RuleError: the rule is `sparse = "rows"`.
    """

    sync_period = Hyper(6, "steps between two synchronizations", static=True)
    slow_step_size = Hyper(0.5, "fraction of the way that the slow weights go", ge=0, le=1)

    copy_slot = "slow"

    def _after_init(self) -> None:
        self._check_count("sync_period", 1)
        super()._after_init()

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        param, new, slow = self._stepped(xp, grad, param, slots, hyper, step)
        due = xp.remainder(step, float(self.sync_period)) == 0
        back = slow + hyper.slow_step_size * (param - slow)
        new["slow"] = xp.where(due, back, slow)
        return xp.where(due, back, param), new


class _Averaging(_Slow):
    """An average that is exchanged with the parameter to evaluate."""

    def swap(
        self, xp: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, averaged: bool
    ) -> Tuple[Any, Mapping[str, Any]]:
        return slots[self.copy_slot], {**slots, self.copy_slot: param}


class MovingAverage(_Averaging):
    """average = decay * average + (1 - decay) * param after each step: TensorFlow Addons' MovingAverage.

    The decay is 0 in the first `start_step` steps. After them it is average_decay; with `dynamic_decay` at
    most (1 + n) / (10 + n), n the steps since; with `num_updates` at most that for n = num_updates.
    Polyak & Juditsky 1992 average all with the same weight: that is `SWA` with average_period=1.

    Slots: average, like the parameter.

    Raises:
        HyperparameterError: a count that is no integer or negative.
        RuleError: the rule is `sparse = "rows"`.
    """

    average_decay = Hyper(0.99, "fraction of the average kept in a step", ge=0, le=1)
    num_updates = Hyper(None, "bounds the decay, see above; None for no bound")
    start_step = Hyper(0, "steps before averaging starts", static=True)
    dynamic_decay = Hyper(False, "whether the decay grows from 0.1 with the steps")

    def _after_init(self) -> None:
        self._check_count("start_step", 0)
        if self.num_updates is not None:
            self._check_count("num_updates", 0)
        super()._after_init()

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        param, new, average = self._stepped(xp, grad, param, slots, hyper, step)
        decay, done = hyper.average_decay, step - 1 - self.start_step
        if self.num_updates is not None:
            decay = xp.minimum(decay, (1.0 + self.num_updates) / (10.0 + self.num_updates))
        if self.dynamic_decay:
            counted = xp.maximum(done, 0.0)
            decay = xp.minimum(decay, (1 + counted) / (10 + counted))
        decay = xp.where(done < 0, 0.0, decay)
        new["average"] = decay * average + (1 - decay) * param
        return param, new


class SWA(_Averaging):
    """Stochastic weight averaging: Izmailov et al. 2018, arXiv:1803.05407, algorithm 1.

    The mean of the parameter after step start_averaging + 1 and every `average_period` steps from then.
    Before that the average is the parameter as it was when the optimizer was built on it. As in
    TensorFlow Addons; the learning rate's cycle is the rule's own (see `schedules`), and batch
    normalization has to see the data again after the exchange.

    Slots: average, like the parameter.

    Raises:
        HyperparameterError: a count that is no integer, or too small.
        RuleError: the rule is `sparse = "rows"`.
    """

    start_averaging = Hyper(0, "steps before the first that is averaged", static=True)
    average_period = Hyper(10, "steps between two that are averaged", static=True)

    def _after_init(self) -> None:
        self._check_count("start_averaging", 0)
        self._check_count("average_period", 1)
        super()._after_init()

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: HyperValues, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        param, new, average = self._stepped(xp, grad, param, slots, hyper, step)
        since = step - 1 - self.start_averaging
        taken = xp.maximum(xp.floor(since / self.average_period), 0.0)
        due = since == taken * self.average_period
        new["average"] = xp.where(due, (average * taken + param) / (taken + 1), average)
        return param, new
