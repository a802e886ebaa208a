"""Learning-rate schedules as pure functions of the number of steps done.

A schedule is given in place of a number, for the learning rate or any other dynamic hyperparameter, on every
API and in every mode: `Adam(CosineDecay(1e-3, 10000))`. It may also be called: with a Python number it gives
a float and needs no framework; with a tensor, array or variable of TensorFlow, JAX or PyTorch a scalar of
that.

Names, arguments and numbers are those of Keras and of TensorFlow Addons where these have the schedule; `name`
is theirs, and means nothing here. The step is 0 in the first step of training, as there. Everything is
computed in float64.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import numbers
from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Type, TypeVar, Union

from . import namespaces
from .errors import HyperparameterError, RuleError

ScheduleT = TypeVar("ScheduleT", bound="Schedule")
ScaleFunction = Callable[[Any], Any]

# The package that an array's class comes from -> the namespace that computes with it.
_BACKENDS = {
    "tensorflow": "tensorflow",
    "tensorflow_core": "tensorflow",
    "jax": "jax",
    "jaxlib": "jax",
    "torch": "torch",
}


class Schedule:
    """The base of all schedules: a subclass defines `value`, and a constructor for its arguments.

    The constructor hands its arguments, by name, to `Schedule.__init__`, which keeps them as attributes and
    as the configuration. A schedule is immutable: a traced training step would not see a change.
    """

    _arguments: Mapping[str, Any]

    def __init__(self, **arguments: Any) -> None:
        kept = {name: _kept(value) for name, value in arguments.items()}
        object.__setattr__(self, "_arguments", MappingProxyType(kept))

    def value(self, xp: Any, step: Any) -> Any:
        """The value in one step: pure, in the vocabulary of `xp`, no Python branch on `step`.

        Args:
            xp: the array namespace.
            step: the number of steps done, a weak scalar.

        Returns:
            A scalar.
        """
        raise NotImplementedError("{} does not define value()".format(type(self).__name__))

    def __call__(self, step: Any) -> Any:
        """The value after `step` steps.

        Args:
            step: a Python or NumPy number, or a scalar of TensorFlow, JAX, PyTorch, Keras or `xp`.

        Returns:
            A float for a number, else a float32 scalar of the same framework.

        Raises:
            HyperparameterError: `step` is nothing of that.
        """
        if type(step).__module__.startswith("numpy") and getattr(step, "shape", None) == ():
            step = step.item()
        if isinstance(step, numbers.Real):
            return float(self._at(float(step)))
        if isinstance(step, namespaces.Array):
            return self.value(step._ns, step)
        xp, raw = _namespace_of(step)
        if xp is None:
            raise HyperparameterError(
                "{}({!r:.60}): expected the number of steps done, a number or a scalar of TensorFlow, JAX "
                "or PyTorch.".format(type(self).__name__, step)
            )
        return xp.unwrap(self.value(xp, xp.scalar(raw)))

    def _at(self, step: float) -> Any:
        xp = namespaces.namespace("numpy", "float64")
        return xp.unwrap(self.value(xp, xp.scalar(step)))

    def get_config(self) -> Dict[str, Any]:
        """The arguments as JSON; `from_config` gives the schedule back.

        Raises:
            HyperparameterError: an argument is a function, which has no JSON form.
        """
        return {name: _plain(type(self).__name__, name, value) for name, value in self._arguments.items()}

    @classmethod
    def from_config(cls: Type[ScheduleT], config: Mapping[str, Any]) -> ScheduleT:
        """The schedule that `get_config` described.

        Args:
            config: what it gave: the constructor's arguments by name.

        Raises:
            TypeError: one that the constructor does not have.
        """
        return cls(**config)

    def __getattr__(self, name: str) -> Any:
        # Only called for what is no attribute of the class. A copy or a pickle asks before there is anything.
        arguments = self.__dict__.get("_arguments", {})
        if name in arguments:
            return arguments[name]
        raise AttributeError("{!r} object has no attribute {!r}".format(type(self).__name__, name))

    def __setattr__(self, name: str, value: Any) -> None:
        raise RuleError(
            "{}.{} was assigned, but a schedule is immutable: a traced training step would not see it. Make "
            "another and set it on the optimizer.".format(type(self).__name__, name)
        )

    def __reduce__(self) -> Any:
        return functools.partial(type(self), **self._arguments), ()

    def __deepcopy__(self: ScheduleT, memo: Any) -> ScheduleT:
        return self

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, Schedule):
            return NotImplemented
        return dict(self._arguments) == dict(other._arguments)

    def __hash__(self) -> int:
        return hash((type(self), tuple(self._arguments)))

    def __repr__(self) -> str:
        given = ", ".join("{}={!r}".format(*item) for item in self._arguments.items())
        return "{}({})".format(type(self).__name__, given)


def describe_schedule(schedule: Schedule) -> Dict[str, Any]:
    """A schedule as JSON: the module and name of its class, and its configuration."""
    cls = type(schedule)
    return {"module": cls.__module__, "class": cls.__qualname__, "config": schedule.get_config()}


def is_description(value: Any) -> bool:
    """Whether this has the form that `describe_schedule` gives."""
    return isinstance(value, Mapping) and set(value) == {"module", "class", "config"}


def schedule_from(description: Mapping[str, Any]) -> Schedule:
    """The schedule that `describe_schedule` described.

    Args:
        description: what it gave: "module", "class" and "config".

    Raises:
        ImportError: the module is not there.
        HyperparameterError: the module and name lead to something that is no schedule.
    """
    found: Any = importlib.import_module(description["module"])
    for part in description["class"].split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Schedule)):
        raise HyperparameterError(
            "{}:{} is {!r}; expected a Schedule class.".format(
                description["module"], description["class"], found
            )
        )
    return found.from_config(description["config"])


def schedule_of_keras(description: Mapping[str, Any]) -> Schedule:
    """The schedule of this module that Keras' own of the same name describes.

    Args:
        description: a dict of "class_name" and "config".

    Raises:
        HyperparameterError: there is none of that name.
    """
    name = str(description["class_name"]).rpartition(">")[2]
    found = globals().get(name)
    if not (isinstance(found, type) and issubclass(found, Schedule)):
        raise HyperparameterError("There is no schedule {!r} here.".format(description["class_name"]))
    return found.from_config(description["config"])


class Constant(Schedule):
    """One value throughout, with a linear warm-up.

    In the first `warmup_steps` steps the value rises from `warmup_start` in equal parts, and reaches
    learning_rate at step `warmup_steps`.

    Args:
        learning_rate: the value after the warm-up.
        warmup_steps: the warm-up's length; 0 for none.
        warmup_start: the value at step 0, with a warm-up.
    """

    def __init__(self, learning_rate: float, warmup_steps: float = 0, warmup_start: float = 0.0) -> None:
        _at_least(self, "warmup_steps", warmup_steps, 0)
        super().__init__(learning_rate=learning_rate, warmup_steps=warmup_steps, warmup_start=warmup_start)

    def value(self, xp: Any, step: Any) -> Any:
        return _warmed(xp, step, self.warmup_start, self.learning_rate, self.warmup_steps, lambda _: None)


class LinearDecay(Schedule):
    """Falls linearly to end_learning_rate within `decay_steps`, after a linear warm-up from 0.

    The schedule of BERT's and most transformers' fine-tuning, where the warm-up is counted in the whole:
    `decay_steps` there is the number of all steps less that of the warm-up.

    Args:
        initial_learning_rate: the value after the warm-up.
        decay_steps: steps of the decay.
        end_learning_rate: the value after that.
        warmup_steps: the warm-up's length; 0 for none.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0,
        warmup_steps: float = 0,
    ) -> None:
        _more_than(self, "decay_steps", decay_steps, 0)
        _at_least(self, "warmup_steps", warmup_steps, 0)
        super().__init__(
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            end_learning_rate=end_learning_rate,
            warmup_steps=warmup_steps,
        )

    def value(self, xp: Any, step: Any) -> Any:
        start, end = self.initial_learning_rate, self.end_learning_rate

        def decayed(step: Any) -> Any:
            return start + (end - start) * xp.minimum(step / self.decay_steps, 1.0)

        return _warmed(xp, step, 0.0, start, self.warmup_steps, decayed)


class CosineDecay(Schedule):
    """Half a cosine's period: Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts.

    value = initial * ((1 - alpha) * (1 + cos(pi * t)) / 2 + alpha), t = min(step / decay_steps, 1). With a
    `warmup_target` the value first rises from initial_learning_rate to it in `warmup_steps`, and decays from
    there; without, `warmup_steps` means nothing, as in Keras.

    Args:
        initial_learning_rate: the value at step 0.
        decay_steps: steps of the decay.
        alpha: the fraction that is left.
        warmup_target: the value after the warm-up; None for no warm-up.
        warmup_steps: the warm-up's length.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: Optional[str] = None,
        warmup_target: Optional[float] = None,
        warmup_steps: float = 0,
    ) -> None:
        _more_than(self, "decay_steps", decay_steps, 0)
        _at_least(self, "warmup_steps", warmup_steps, 0)
        super().__init__(
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            alpha=alpha,
            warmup_target=warmup_target,
            warmup_steps=warmup_steps,
            name=name,
        )

    def value(self, xp: Any, step: Any) -> Any:
        target = self.initial_learning_rate if self.warmup_target is None else self.warmup_target

        def decayed(step: Any) -> Any:
            done = xp.minimum(step / self.decay_steps, 1.0)
            return target * ((1 - self.alpha) * 0.5 * (1 + xp.cos(math.pi * done)) + self.alpha)

        steps = 0 if self.warmup_target is None else self.warmup_steps
        return _warmed(xp, step, self.initial_learning_rate, target, steps, decayed)


class CosineDecayRestarts(Schedule):
    """Cosine decay with warm restarts, SGDR: Loshchilov & Hutter 2017, arXiv:1608.03983.

    The first period has `first_decay_steps` steps; each is `t_mul` times as long as the one before and starts
    at `m_mul` times its height. Where a period ends is worked out exactly; Keras, in float32, may be a
    step late.

    Args:
        initial_learning_rate: the value at step 0.
        first_decay_steps: length of the first period.
        t_mul: each period's length by that of the one before, at least 1.
        m_mul: each period's height by that of the one before.
        alpha: the fraction that is left at a period's end.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: Optional[str] = None,
    ) -> None:
        _more_than(self, "first_decay_steps", first_decay_steps, 0)
        _at_least(self, "t_mul", t_mul, 1)
        super().__init__(
            initial_learning_rate=initial_learning_rate,
            first_decay_steps=first_decay_steps,
            t_mul=t_mul,
            m_mul=m_mul,
            alpha=alpha,
            name=name,
        )

    def value(self, xp: Any, step: Any) -> Any:
        t_mul = float(self.t_mul)
        done = step / self.first_decay_steps
        if t_mul == 1:
            period = xp.floor(done)
            done = done - period
        else:

            def start(period: Any) -> Any:
                return (t_mul**period - 1) / (t_mul - 1)

            period = xp.floor(xp.log(1 + done * (t_mul - 1)) / math.log(t_mul))
            # A logarithm is not exact, and its floor may be one off where a period begins.
            period = xp.where(start(period) > done, period - 1, period)
            period = xp.where(start(period + 1) <= done, period + 1, period)
            done = (done - start(period)) / t_mul**period
        height = float(self.m_mul) ** period * 0.5 * (1 + xp.cos(math.pi * done))
        return self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha)


class CosineAnnealing(Schedule):
    """keras-adamw's `eta_t`: a factor that falls as half a cosine in each of its cycles, times learning_rate.

    value = learning_rate * (eta_min + (eta_max - eta_min) * (1 + cos(pi * t)) / 2) with
    t = t_cur / (total_iterations - 1); t_cur counts the steps of a cycle from 0. With `autorestart` a
    cycle is `total_iterations` steps; without, t_cur goes on, and so the cosine rises again. Setting
    keras-adamw's t_cur by hand, to restart, is here a list of the steps with which a new cycle begins.

    keras-adamw takes its constructor's eta_t in the first step, whatever t_cur and eta_max say; here the
    formula holds there, too.

    Args:
        total_iterations: steps of a cycle, at least 2.
        eta_min, eta_max: the factor's bounds.
        t_cur: where in its cycle the first step is.
        autorestart: whether a new cycle begins by itself.
        restarts: further steps with which a new cycle begins.
        learning_rate: what is multiplied.
    """

    def __init__(
        self,
        total_iterations: int,
        eta_min: float = 0.0,
        eta_max: float = 1.0,
        t_cur: int = 0,
        autorestart: bool = True,
        restarts: Sequence[int] = (),
        learning_rate: float = 1.0,
    ) -> None:
        _at_least(self, "total_iterations", total_iterations, 2)
        _at_least(self, "t_cur", t_cur, 0)
        _ascending(self, "restarts", restarts)
        super().__init__(
            total_iterations=total_iterations,
            eta_min=eta_min,
            eta_max=eta_max,
            t_cur=t_cur,
            autorestart=autorestart,
            restarts=restarts,
            learning_rate=learning_rate,
        )

    def value(self, xp: Any, step: Any) -> Any:
        done = step + self.t_cur
        for restart in self.restarts:
            done = xp.where(step >= restart, step - restart, done)
        if self.autorestart:
            done = xp.remainder(done, float(self.total_iterations))
        half = 0.5 * (1 + xp.cos(math.pi * done / (self.total_iterations - 1)))
        return self.learning_rate * (self.eta_min + (self.eta_max - self.eta_min) * half)


class CyclicalLearningRate(Schedule):
    """Rises and falls linearly between two values: Smith 2017, arXiv:1506.01186.

    value = initial + (maximal - initial) * max(0, 1 - |step / step_size - 2 * cycle + 1|) * scale_fn(x), with
    cycle = floor(1 + step / (2 * step_size)), as TensorFlow Addons has it.

    Args:
        initial_learning_rate: the lower value.
        maximal_learning_rate: the upper value.
        step_size: half the length of a cycle.
        scale_fn: of a scalar x, which has the operators of an array; called in `value`, so it takes part in
            every mode. A schedule with one has no JSON form; subclass in its place and define `scale`.
        scale_mode: "cycle": x is the cycle's number, from 1; else it is the step.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        maximal_learning_rate: float,
        step_size: float,
        scale_fn: ScaleFunction,
        scale_mode: str = "cycle",
        name: Optional[str] = None,
    ) -> None:
        _more_than(self, "step_size", step_size, 0)
        if not callable(scale_fn):
            raise HyperparameterError(
                "{}(scale_fn={!r}): expected a function of one scalar.".format(type(self).__name__, scale_fn)
            )
        super().__init__(
            initial_learning_rate=initial_learning_rate,
            maximal_learning_rate=maximal_learning_rate,
            step_size=step_size,
            scale_fn=scale_fn,
            scale_mode=scale_mode,
            name=name,
        )

    def scale(self, xp: Any, x: Any) -> Any:
        """What the height of a cycle is multiplied by, a scalar.

        Args:
            xp: the array namespace.
            x: the number of the cycle, from 1, or the step, as `scale_mode` has it; a floating scalar.
        """
        return self.scale_fn(x)

    def value(self, xp: Any, step: Any) -> Any:
        cycle = xp.floor(1 + step / (2 * self.step_size))
        distance = xp.abs(step / self.step_size - 2 * cycle + 1)
        height = (self.maximal_learning_rate - self.initial_learning_rate) * xp.maximum(0.0, 1 - distance)
        return self.initial_learning_rate + height * self.scale(
            xp, cycle if self.scale_mode == "cycle" else step
        )


class TriangularCyclicalLearningRate(CyclicalLearningRate):
    """A cyclical learning rate whose cycles are all of one height: "triangular" in arXiv:1506.01186.

    Args:
        initial_learning_rate, maximal_learning_rate, step_size, scale_mode: of `CyclicalLearningRate`.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        maximal_learning_rate: float,
        step_size: float,
        scale_mode: str = "cycle",
        name: Optional[str] = None,
    ) -> None:
        _more_than(self, "step_size", step_size, 0)
        Schedule.__init__(
            self,
            initial_learning_rate=initial_learning_rate,
            maximal_learning_rate=maximal_learning_rate,
            step_size=step_size,
            scale_mode=scale_mode,
            name=name,
        )

    def scale(self, xp: Any, x: Any) -> Any:
        return 1.0


class Triangular2CyclicalLearningRate(TriangularCyclicalLearningRate):
    """A cyclical learning rate whose height halves with each cycle: "triangular2" in arXiv:1506.01186.

    Args:
        initial_learning_rate, maximal_learning_rate, step_size, scale_mode: of `CyclicalLearningRate`.
    """

    def scale(self, xp: Any, x: Any) -> Any:
        return 0.5 ** (x - 1)


class ExponentialCyclicalLearningRate(CyclicalLearningRate):
    """A cyclical learning rate whose height is multiplied by gamma**x: "exp_range" in arXiv:1506.01186.

    As in the paper, x is the step unless scale_mode="cycle".

    Args:
        initial_learning_rate, maximal_learning_rate, step_size, scale_mode: of `CyclicalLearningRate`.
        gamma: the factor.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        maximal_learning_rate: float,
        step_size: float,
        scale_mode: str = "iterations",
        gamma: float = 1.0,
        name: Optional[str] = None,
    ) -> None:
        _more_than(self, "step_size", step_size, 0)
        Schedule.__init__(
            self,
            initial_learning_rate=initial_learning_rate,
            maximal_learning_rate=maximal_learning_rate,
            step_size=step_size,
            scale_mode=scale_mode,
            gamma=gamma,
            name=name,
        )

    def scale(self, xp: Any, x: Any) -> Any:
        return float(self.gamma) ** x


class OneCycle(Schedule):
    """Up to max_lr and down to almost nothing, once: Smith & Topin 2018, arXiv:1708.07120.

    Starts at max_lr / div_factor, is at max_lr after `pct_start` of the steps, and ends at
    max_lr / (div_factor * final_div_factor) with the last of `total_steps`, where it stays. With
    `three_phase` the way down first leads to the starting value, in as many steps as the way up. Arguments
    and numbers are those of PyTorch's `OneCycleLR`.

    Args:
        max_lr: the highest value.
        total_steps: steps of the whole.
        pct_start: the fraction of them on the way up.
        anneal_strategy: "cos" or "linear": the form of each phase.
        div_factor, final_div_factor, three_phase: see above.
    """

    def __init__(
        self,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise HyperparameterError(
                'OneCycle(anneal_strategy={!r}): expected "cos" or "linear".'.format(anneal_strategy)
            )
        _more_than(self, "div_factor", div_factor, 0)
        _more_than(self, "final_div_factor", final_div_factor, 0)
        super().__init__(
            max_lr=max_lr,
            total_steps=total_steps,
            pct_start=pct_start,
            anneal_strategy=anneal_strategy,
            div_factor=div_factor,
            final_div_factor=final_div_factor,
            three_phase=three_phase,
        )
        ends = [end for end, _, _ in self._phases()]
        if any(after <= before for before, after in zip([0.0, *ends], ends)):
            raise HyperparameterError(
                "OneCycle(total_steps={!r}, pct_start={!r}): its phases end with the steps {}; expected each "
                "after the one before. Give more steps, or another pct_start.".format(
                    total_steps, pct_start, ", ".join("{:g}".format(end) for end in ends)
                )
            )

    def _phases(self) -> List[Any]:
        """(its last step, the value before, the value then) of each phase."""
        top, last = float(self.max_lr), float(self.total_steps) - 1
        start = top / self.div_factor
        end = start / self.final_div_factor
        up = float(self.pct_start) * self.total_steps - 1
        if self.three_phase:
            return [(up, start, top), (2 * up, top, start), (last, start, end)]
        return [(up, start, top), (last, top, end)]

    def value(self, xp: Any, step: Any) -> Any:
        begin, result = 0.0, None
        for last, before, after in self._phases():
            done = xp.clip((step - begin) / (last - begin), 0.0, 1.0)
            if self.anneal_strategy == "cos":
                phase = after + (before - after) * 0.5 * (1 + xp.cos(math.pi * done))
            else:
                phase = before + (after - before) * done
            result = phase if result is None else xp.where(step > begin, phase, result)
            begin = last
        return result


class PolynomialDecay(Schedule):
    """value = (initial - end) * (1 - step / decay_steps)**power + end, and `end` after that.

    Args:
        initial_learning_rate: the value at step 0.
        decay_steps: steps of the decay.
        end_learning_rate: the value at its end.
        power: 1 for a line.
        cycle: whether, past its end, `decay_steps` is doubled, tripled and so on, as often as is needed.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: Optional[str] = None,
    ) -> None:
        _more_than(self, "decay_steps", decay_steps, 0)
        super().__init__(
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            end_learning_rate=end_learning_rate,
            power=power,
            cycle=cycle,
            name=name,
        )

    def value(self, xp: Any, step: Any) -> Any:
        if self.cycle:
            left = 1 - step / (self.decay_steps * xp.maximum(1.0, xp.ceil(step / self.decay_steps)))
        else:
            left = 1 - xp.minimum(step / self.decay_steps, 1.0)
        start, end = self.initial_learning_rate, self.end_learning_rate
        return (start - end) * left ** float(self.power) + end


class ExponentialDecay(Schedule):
    """value = initial * decay_rate**(step / decay_steps).

    Args:
        initial_learning_rate: the value at step 0.
        decay_steps: steps in which the value is multiplied by decay_rate once.
        decay_rate: the factor.
        staircase: whether the exponent is rounded down.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: Optional[str] = None,
    ) -> None:
        _more_than(self, "decay_steps", decay_steps, 0)
        super().__init__(
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            decay_rate=decay_rate,
            staircase=staircase,
            name=name,
        )

    def value(self, xp: Any, step: Any) -> Any:
        done = step / self.decay_steps
        return self.initial_learning_rate * float(self.decay_rate) ** (
            xp.floor(done) if self.staircase else done
        )


class InverseTimeDecay(Schedule):
    """value = initial / (1 + decay_rate * step / decay_steps).

    Args:
        initial_learning_rate: the value at step 0.
        decay_steps: how often the decay is applied.
        decay_rate: how fast the value falls.
        staircase: whether step / decay_steps is rounded down.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: Optional[str] = None,
    ) -> None:
        _more_than(self, "decay_steps", decay_steps, 0)
        super().__init__(
            initial_learning_rate=initial_learning_rate,
            decay_steps=decay_steps,
            decay_rate=decay_rate,
            staircase=staircase,
            name=name,
        )

    def value(self, xp: Any, step: Any) -> Any:
        done = step / self.decay_steps
        return self.initial_learning_rate / (
            1 + self.decay_rate * (xp.floor(done) if self.staircase else done)
        )


class PiecewiseConstantDecay(Schedule):
    """values[i] up to and including the step boundaries[i], and the last value after the last boundary.

    Args:
        boundaries: steps, ascending.
        values: one more than there are boundaries.
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: Optional[str] = None
    ) -> None:
        if len(boundaries) != len(values) - 1:
            raise HyperparameterError(
                "PiecewiseConstantDecay: {} boundaries and {} values; expected one value more than there are "
                "boundaries.".format(len(boundaries), len(values))
            )
        _ascending(self, "boundaries", boundaries)
        super().__init__(boundaries=boundaries, values=values, name=name)

    def value(self, xp: Any, step: Any) -> Any:
        result = xp.scalar(self.values[0])
        for boundary, value in zip(self.boundaries, self.values[1:]):
            result = xp.where(step > boundary, float(value), result)
        return result


class Noam(Schedule):
    """scale * d_model**-0.5 * min(n**-0.5, n * warmup_steps**-1.5): Vaswani et al. 2017, arXiv:1706.03762.

    The paper's n counts from 1, so it is the number of steps done plus 1.

    Args:
        d_model: the model's width.
        warmup_steps: steps in which the value rises.
        scale: what is multiplied.
    """

    def __init__(self, d_model: int, warmup_steps: int = 4000, scale: float = 1.0) -> None:
        _more_than(self, "d_model", d_model, 0)
        _more_than(self, "warmup_steps", warmup_steps, 0)
        super().__init__(d_model=d_model, warmup_steps=warmup_steps, scale=scale)

    def value(self, xp: Any, step: Any) -> Any:
        n = step + 1
        least = xp.minimum(1 / xp.sqrt(n), n * float(self.warmup_steps) ** -1.5)
        return self.scale * float(self.d_model) ** -0.5 * least


class WarmUp(Schedule):
    """Warms another schedule up: initial * (step / warmup_steps)**power, then that schedule from its step 0.

    Args:
        initial_learning_rate: the value that the warm-up leads to.
        schedule: what follows, a schedule of this module or a subclass of `Schedule`.
        warmup_steps: the warm-up's length.
        power: 1 for a line.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        schedule: Union[Schedule, Mapping[str, Any]],
        warmup_steps: float,
        power: float = 1.0,
    ) -> None:
        if is_description(schedule) and isinstance(schedule, Mapping):
            schedule = schedule_from(schedule)
        if not isinstance(schedule, Schedule):
            raise HyperparameterError(
                "WarmUp(schedule={!r}): expected a schedule of kcompat.schedules.".format(schedule)
            )
        _more_than(self, "warmup_steps", warmup_steps, 0)
        super().__init__(
            initial_learning_rate=initial_learning_rate,
            schedule=schedule,
            warmup_steps=warmup_steps,
            power=power,
        )

    def value(self, xp: Any, step: Any) -> Any:
        done = xp.minimum(step / self.warmup_steps, 1.0)
        after = self.schedule.value(xp, xp.maximum(step - self.warmup_steps, 0.0))
        warming = self.initial_learning_rate * done ** float(self.power)
        return xp.where(step < self.warmup_steps, warming, after)


def _warmed(
    xp: Any, step: Any, start: float, target: float, steps: float, after: Callable[[Any], Any]
) -> Any:
    """Linearly from `start` to `target` in `steps` steps, then `after` of the steps since (None: target)."""
    rest = after(xp.maximum(step - steps, 0.0))
    if rest is None:
        rest = xp.scalar(target)
    if not steps:
        return rest
    return xp.where(step < steps, start + (target - start) * (step / steps), rest)


def _namespace_of(step: Any) -> Any:
    """The namespace that computes with an array, and the array itself; (None, None) for anything else."""
    inside = getattr(step, "value", None)
    if inside is not None and not callable(inside):  # a variable of Keras 3
        step = inside
    for cls in type(step).__mro__:
        backend = _BACKENDS.get(cls.__module__.split(".")[0])
        if backend is not None:
            return namespaces.namespace(backend, "float32"), step
    return None, None


def _kept(value: Any) -> Any:
    """An argument in its plain Python form; lists as tuples, which can't be changed."""
    if type(value).__module__.startswith("numpy") and hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(_kept(item) for item in value) if isinstance(value, (list, tuple)) else value


def _plain(where: str, name: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Schedule):
        return describe_schedule(value)
    if callable(value):
        raise HyperparameterError(
            "{}({}={!r}) has no JSON form. Subclass it, and define what the function does as a "
            "method.".format(where, name, value)
        )
    return value


def _check(schedule: Schedule, name: str, value: Any, ok: bool, expected: str) -> None:
    if not ok:
        raise HyperparameterError(
            "{}({}={!r}): expected {}.".format(type(schedule).__name__, name, value, expected)
        )


def _more_than(schedule: Schedule, name: str, value: Any, least: float) -> None:
    number = isinstance(_kept(value), numbers.Real) and not isinstance(value, bool)
    _check(schedule, name, value, number and value > least, "a number greater than {}".format(least))


def _at_least(schedule: Schedule, name: str, value: Any, least: float) -> None:
    number = isinstance(_kept(value), numbers.Real) and not isinstance(value, bool)
    _check(schedule, name, value, number and value >= least, "a number of at least {}".format(least))


def _ascending(schedule: Schedule, name: str, values: Any) -> None:
    ok = all(a < b for a, b in zip(values, values[1:]))
    _check(schedule, name, values, ok, "steps in ascending order")


__all__ = [
    name for name, each in list(vars().items()) if inspect.isclass(each) and issubclass(each, Schedule)
] + ["describe_schedule", "schedule_from"]
