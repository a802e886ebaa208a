"""Wrong rules, each with one mistake that authors make, and the property that has to tell it.

A mistake that is told when a rule is made belongs to `contract`.
`WRONG` is name -> (class, property, reference).
"""

import random

import numpy as np

import kcompat
from kcompat import Hyper, UpdateRule
from kcompat.rules import Adam

WRONG = {}


def wrong(expected, reference=None):
    def add(cls):
        assert cls.__name__ not in WRONG
        WRONG[cls.__name__] = cls, expected, reference
        return cls

    return add


class Base(UpdateRule):
    """Momentum, right as it is."""

    learning_rate = Hyper(0.01)
    momentum = Hyper(0.9)

    def init(self, xp, param):
        return {"m": xp.zeros_like(param)}

    def update(self, xp, grad, param, slots, hyper, step):
        m = hyper.momentum * slots["m"] + grad
        return param - hyper.learning_rate * m, {"m": m}


# Told when the rule is made.


@wrong("contract")
class ForgetsASlot(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return super().update(xp, grad, param, slots, hyper, step)[0], {}


@wrong("contract")
class InventsASlot(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        param, new = super().update(xp, grad, param, slots, hyper, step)
        return param, dict(new, v=grad)


@wrong("contract")
class ReadsASlotThatIsNotThere(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * slots["velocity"], slots


@wrong("contract")
class SlotOfAnotherShape(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * grad, {"m": xp.sum(grad)}


@wrong("contract")
class SlotOfAnotherDtype(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * grad, {"m": xp.astype(grad, xp.int32)}


@wrong("contract")
class Float32SlotsAlways(Base):
    def init(self, xp, param):
        return {"m": xp.zeros(param.shape, dtype=xp.float32)}


@wrong("contract")
class Float32ConstantArray(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return param - xp.asarray(0.01, dtype=xp.float32) * grad, slots


@wrong("contract")
class AssignsToAnArray(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        grad[0] = 0.0
        return super().update(xp, grad, param, slots, hyper, step)


@wrong("contract")
class AssignsASlot(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        slots["m"] = hyper.momentum * slots["m"] + grad
        return param - hyper.learning_rate * slots["m"], slots


@wrong("contract")
class StateOnSelf(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        self.last = grad
        return super().update(xp, grad, param, slots, hyper, step)


@wrong("contract")
class BranchesOnAValue(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        if xp.sum(grad * slots["m"]) < 0:
            slots = {"m": xp.zeros_like(grad)}
        return super().update(xp, grad, param, slots, hyper, step)


@wrong("contract")
class NameThatXpLacks(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * xp.clip_by_norm(grad, 1.0), slots


@wrong("contract")
class NumPyOnArrays(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * np.tanh(grad), slots


@wrong("contract")
class BakedIn(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return param - self.learning_rate * grad, slots


@wrong("contract")
class CastsTheResult(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        param, new = super().update(xp, grad, param, slots, hyper, step)
        return xp.astype(param, xp.float32), new


@wrong("contract")
class SharedScalarNotReturned(Base):
    def init_shared(self, xp):
        return {"d": xp.ones(()), "count": xp.zeros(())}

    def prepare(self, xp, grads, params, slots, shared, hyper, step):
        return grads, {"d": shared["d"] + 1}

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * grad * hyper.d / (hyper.count + 1), slots


@wrong("contract")
class WrongOnlyWithAFlag(Base):
    nesterov = Hyper(False)

    def update(self, xp, grad, param, slots, hyper, step):
        new, changed = super().update(xp, grad, param, slots, hyper, step)
        if self.nesterov:
            changed["lookahead"] = new
        return new, changed


# Told by trying it.


@wrong("vocabulary")
class LeavesXp(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        direction = np.sign(xp.unwrap(grad))
        return param - hyper.learning_rate * xp.wrap(direction), slots


@wrong("vocabulary")
class BranchesBehindXp(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        if np.sum(xp.unwrap(grad)) > 0:
            grad = grad * 0.5
        return super().update(xp, grad, param, slots, hyper, step)


@wrong("purity")
class ChangesTheGradient(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        result = super().update(xp, grad, param, slots, hyper, step)
        grad._raw[...] = 0
        return result


@wrong("purity")
class ChangesTheParameter(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        param._raw[...] -= 0.01 * grad._raw
        return param, {"m": slots["m"] * hyper.momentum}


@wrong("purity")
class ChangesASlot(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        slots["m"]._raw[...] += grad._raw
        return param - hyper.learning_rate * slots["m"], {"m": slots["m"]}


@wrong("purity")
class ChangesAListOfItsOwn(Base):
    history = Hyper([0.0])

    def update(self, xp, grad, param, slots, hyper, step):
        self.history.append(1.0)
        return super().update(xp, grad, param, slots, hyper, step)


@wrong("purity")
class StateBehindSelf(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        self.__dict__["last"] = grad
        return super().update(xp, grad, param, slots, hyper, step)


_calls = [0]


@wrong("determinism")
class StepOfItsOwn(Base):
    def prepare(self, xp, grads, params, slots, shared, hyper, step):
        _calls[0] += 1
        return [grad / _calls[0] for grad in grads], shared


_count = [0]


@wrong("determinism")
class CountsInAGlobal(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        _count[0] += 1
        return param - hyper.learning_rate * grad / _count[0], slots


@wrong("determinism")
class MutableDefault(Base):
    def update(self, xp, grad, param, slots, hyper, step, seen=[]):  # noqa: B006 - the mistake
        seen.append(1)
        return param - hyper.learning_rate * grad / len(seen), slots


@wrong("determinism")
class Random(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        noise = random.SystemRandom().random()
        return param - hyper.learning_rate * (grad + noise), slots


@wrong("determinism")
class RandomStart(Base):
    def init(self, xp, param):
        return {"m": xp.full(param.shape, random.SystemRandom().random())}


_first = {}


@wrong("agreement")
class FirstGradientInAGlobal(Base):
    """The contract check has filled it already: NumPy sees the same every time, and so do other backends."""

    def update(self, xp, grad, param, slots, hyper, step):
        first = _first.setdefault((param.shape, str(param.dtype)), grad)
        return param - hyper.learning_rate * (grad + 0.5 * first), slots


@wrong("isolation")
class OrderOfVariables(Base):
    def prepare(self, xp, grads, params, slots, shared, hyper, step):
        scale = xp.sqrt(xp.sum(xp.square(grads[0])) + 1)
        return [grad / scale for grad in grads], shared


@wrong("precision")
class CastOnTheWay(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        grad = xp.astype(xp.astype(grad, xp.float32), param.dtype)
        return super().update(xp, grad, param, slots, hyper, step)


@wrong("precision")
class ParameterCastOnTheWay(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        param = xp.astype(xp.astype(param, xp.float32), param.dtype)
        return super().update(xp, grad, param, slots, hyper, step)


@wrong("precision")
class Float32Number(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return super().update(xp, grad * np.float32(0.1), param, slots, hyper, step)


@wrong("precision")
class Float32NumberOnAHyper(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * np.float32(0.1) * grad, slots


@wrong("finite")
class StepFromZero(Adam):
    def update(self, xp, grad, param, slots, hyper, step):
        return super().update(xp, grad, param, slots, hyper, step - 1)


@wrong("finite")
class DividesByTheParameter(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        norm = xp.sqrt(xp.sum(xp.square(param)))
        return param - hyper.learning_rate * grad / norm, slots


@wrong("zero_gradients")
class DividesByTheGradient(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * grad / xp.sqrt(xp.sum(xp.square(grad))), slots


@wrong("zero_gradients")
class NoEpsilon(UpdateRule):
    learning_rate = Hyper(0.001)
    beta = Hyper(0.99)

    def init(self, xp, param):
        return {"v": xp.zeros_like(param)}

    def update(self, xp, grad, param, slots, hyper, step):
        v = slots["v"] * hyper.beta + (1 - hyper.beta) * xp.square(grad)
        return param - hyper.learning_rate * grad / xp.sqrt(v), {"v": v}


@wrong("large_gradients")
class FourthPower(Base):
    def init(self, xp, param):
        return {"v": xp.zeros_like(param)}

    def update(self, xp, grad, param, slots, hyper, step):
        v = slots["v"] + xp.square(xp.square(grad))
        return param - hyper.learning_rate * xp.square(grad) * xp.square(grad) / (v + 1e-6), {"v": v}


@wrong("large_gradients")
class Exponential(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        soft = xp.exp(xp.abs(grad)) / (1 + xp.exp(xp.abs(grad)))
        return param - hyper.learning_rate * soft * xp.sign(grad), slots


@wrong("rows")
class NormOverTheTable(Base):
    sparse = "rows"

    def update(self, xp, grad, param, slots, hyper, step):
        grad = grad / (xp.sqrt(xp.sum(xp.square(grad))) + 1e-6)
        return super().update(xp, grad, param, slots, hyper, step)


@wrong("rows")
class MeanOverTheTable(Base):
    sparse = "rows"

    def update(self, xp, grad, param, slots, hyper, step):
        if param.ndim:
            grad = grad - xp.mean(grad, axis=0, keepdims=True)
        return super().update(xp, grad, param, slots, hyper, step)


@wrong("hyperparameters")
class BakedInByItsConfiguration(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return param - self.config()["learning_rate"] * grad, slots


@wrong("hyperparameters")
class IgnoresTheSchedule(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        return param - type(self).learning_rate.default * grad, slots


@wrong("config")
class ConfigurationLeavesOut(Base):
    def config(self):
        return {"learning_rate": self.learning_rate}


@wrong("config")
class ConfigurationHasNoJson(Base):
    def config(self):
        return dict(super().config(), momentum=np.float32(0.9))


@wrong("config")
class ConfigurationIsRounded(Base):
    def config(self):
        return dict(super().config(), learning_rate=round(self.learning_rate, 2))


# Told by a reference only.


def adam(grad, param, slots, hyper, step):
    """Adam as TensorFlow has it."""
    m = hyper.beta_1 * slots["m"] + (1 - hyper.beta_1) * grad
    v = hyper.beta_2 * slots["v"] + (1 - hyper.beta_2) * grad**2
    new = {"m": m, "v": v}
    if hyper.amsgrad:
        v = new["vhat"] = np.maximum(slots["vhat"], v)
    rate = hyper.learning_rate * np.sqrt(1 - hyper.beta_2**step) / (1 - hyper.beta_1**step)
    return param - rate * m / (np.sqrt(v) + hyper.epsilon), new


def momentum(grad, param, slots, hyper, step):
    m = hyper.momentum * slots["m"] + hyper.learning_rate * grad
    return param - m, {"m": m}


def nesterov(grad, param, slots, hyper, step):
    m = hyper.momentum * slots["m"] + grad
    return param - hyper.learning_rate * (grad + hyper.momentum * m), {"m": m}


def decayed(grad, param, slots, hyper, step):
    return param * (1 - hyper.learning_rate * hyper.decay) - hyper.learning_rate * grad


class _Adam(Adam):
    """Adam, step by step, for mistakes in the middle."""

    def move(self, xp, m, v, hyper, step):
        rate = hyper.learning_rate * xp.sqrt(1 - hyper.beta_2**step) / (1 - hyper.beta_1**step)
        return rate * m / (xp.sqrt(v) + hyper.epsilon)

    def update(self, xp, grad, param, slots, hyper, step):
        m = slots["m"] + (grad - slots["m"]) * (1 - hyper.beta_1)
        v = slots["v"] + (xp.square(grad) - slots["v"]) * (1 - hyper.beta_2)
        new = {"m": m, "v": v}
        if self.amsgrad:
            v = new["vhat"] = xp.maximum(slots["vhat"], v)
        return param - self.move(xp, m, v, hyper, step), new


@wrong("reference", adam)
class EpsilonInsideTheRoot(_Adam):
    def move(self, xp, m, v, hyper, step):
        rate = hyper.learning_rate * xp.sqrt(1 - hyper.beta_2**step) / (1 - hyper.beta_1**step)
        return rate * m / xp.sqrt(v + hyper.epsilon)


@wrong("reference", adam)
class EpsilonOnTheCorrectedRoot(_Adam):
    def move(self, xp, m, v, hyper, step):
        root = xp.sqrt(v / (1 - hyper.beta_2**step))
        return hyper.learning_rate * m / (1 - hyper.beta_1**step) / (root + hyper.epsilon)


@wrong("reference", Adam)
class CorrectionLateByOne(_Adam):
    def move(self, xp, m, v, hyper, step):
        return super().move(xp, m, v, hyper, step + 1)


@wrong("reference", Adam)
class CorrectionForgotten(_Adam):
    def move(self, xp, m, v, hyper, step):
        return hyper.learning_rate * m / (xp.sqrt(v) + hyper.epsilon)


@wrong("reference", adam)
class MaximumForgotten(_Adam):
    """Wrong with amsgrad=True only."""

    def update(self, xp, grad, param, slots, hyper, step):
        new, changed = super().update(xp, grad, param, slots, hyper, step)
        return (new, dict(changed, vhat=changed["v"])) if self.amsgrad else (new, changed)


@wrong("reference", momentum)
class MomentumWithoutTheRate(Base):
    pass


@wrong("reference", nesterov)
class NesterovWithTheOldMomentum(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        m = hyper.momentum * slots["m"] + grad
        return param - hyper.learning_rate * (grad + hyper.momentum * slots["m"]), {"m": m}


@wrong("reference", decayed)
class DecayWithoutTheRate(UpdateRule):
    """Wrong where there is decay, and by default there is none."""

    learning_rate = Hyper(0.01)
    decay = Hyper(0.0)

    def update(self, xp, grad, param, slots, hyper, step):
        return param * (1 - hyper.decay) - hyper.learning_rate * grad, {}


@wrong("reference", decayed)
class DecayAddedToTheGradientTwice(UpdateRule):
    learning_rate = Hyper(0.01)
    decay = Hyper(0.0)

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * (grad + 2 * hyper.decay * param), {}


@wrong("reference", kcompat.rules.SGD(0.01, momentum=0.9))
class MomentumThatIsAnAverage(Base):
    def update(self, xp, grad, param, slots, hyper, step):
        m = hyper.momentum * slots["m"] + (1 - hyper.momentum) * grad
        return param - hyper.learning_rate * m, {"m": m}
