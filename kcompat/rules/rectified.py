"""Adam with a rectified step size: RectifiedAdam, and the two parts that AdaBelief shares with it."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..errors import HyperparameterError
from ..rule import Hyper, UpdateRule


class Rectified(UpdateRule):
    """The base of the rules that rectify: warm-up of the learning rate and the rectification term.

    It is no rule by itself.
    """

    total_steps = Hyper(0, "steps of warm-up and decay together; 0 for neither", static=True)

    def _after_init(self) -> None:
        steps = self.total_steps
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
            raise HyperparameterError(
                "{}(total_steps={!r}): expected an integer of at least 0.".format(type(self).__name__, steps)
            )
        super()._after_init()

    def rate(self, xp: Any, hyper: Any, step: Any) -> Any:
        """The learning rate of a step, warmed up and decayed if `total_steps` is not 0.

        It rises from 0 to learning_rate over the first warmup_proportion of the steps, then falls to min_lr
        at the last, both linearly, and stays there.
        """
        rate = hyper.learning_rate
        if not self.total_steps:
            return rate
        warm = self.total_steps * hyper.warmup_proportion
        falling = xp.maximum(self.total_steps - warm, 1)
        fall = (hyper.min_lr - rate) / falling
        # A step in the warm-up is at least 1, and so is then `warm`: the maximum changes nothing used.
        return xp.where(
            step <= warm,
            rate * step / xp.maximum(warm, 1),
            rate + fall * xp.minimum(step - warm, falling),
        )

    def rectification(self, xp: Any, hyper: Any, step: Any) -> Tuple[Any, Any]:
        """Whether to adapt in this step, and then by what to multiply it.

        Liu et al., algorithm 2: the length of the moving average that the second moment stands for, rho_t,
        and r_t = sqrt((rho_t - 4)(rho_t - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho_t)).
        """
        power = hyper.beta_2**step
        longest = 2 / (1 - hyper.beta_2) - 1
        length = longest - 2 * step * power / (1 - power)
        adapts = length >= hyper.sma_threshold
        length = xp.where(adapts, length, longest)  # no root of a negative number where it is not used
        squared = (length - 4) / (longest - 4) * (length - 2) / (longest - 2) * longest / length
        return adapts, xp.sqrt(squared)


class RectifiedAdam(Rectified):
    """RAdam: Liu et al. 2020, arXiv:1908.03265, algorithm 2, as TensorFlow Addons has it.

    While the second moment is an average of too few gradients to be trusted (rho_t below sma_threshold), the
    step is the corrected first moment alone, not divided. The paper's threshold is rho_t > 4; Addons' is
    rho_t >= 5, which is followed. Weight decay is added to the step and so multiplied by the learning rate,
    warm-up included. amsgrad takes the maximum of the uncorrected second moment.

    A sparse gradient is a dense one with zeros. (In TensorFlow Addons the moments of all rows decay, and only
    the rows present move.)

    Slots: m, v, and vhat with amsgrad, all like the parameter.

    Raises:
        HyperparameterError: total_steps is no integer or negative.
    """

    learning_rate = Hyper(0.001, "step size", ge=0)
    beta_1 = Hyper(0.9, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.999, "decay rate of the second moment", ge=0, lt=1)
    epsilon = Hyper(1e-7, "added to the root of the corrected second moment", ge=0)
    weight_decay = Hyper(0.0, "fraction of the parameter added to the step", ge=0)
    amsgrad = Hyper(False, "whether to divide by the largest second moment so far")
    sma_threshold = Hyper(5.0, "length of the moving average from which the step is adaptive")
    total_steps = Hyper(0, "steps of warm-up and decay together; 0 for neither", static=True)
    warmup_proportion = Hyper(0.1, "fraction of total_steps in which the learning rate rises", ge=0, le=1)
    min_lr = Hyper(0.0, "learning rate after total_steps", ge=0)

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        names = ("m", "v", "vhat") if self.amsgrad else ("m", "v")
        return {name: xp.zeros_like(param) for name in names}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        m = hyper.beta_1 * slots["m"] + (1 - hyper.beta_1) * grad
        v = hyper.beta_2 * slots["v"] + (1 - hyper.beta_2) * xp.square(grad)
        new = {"m": m, "v": v}
        if self.amsgrad:
            v = new["vhat"] = xp.maximum(slots["vhat"], v)
        adapts, factor = self.rectification(xp, hyper, step)
        mean = m / (1 - hyper.beta_1**step)
        root = xp.sqrt(v / (1 - hyper.beta_2**step))
        move = xp.where(adapts, factor * mean / (root + hyper.epsilon), mean)
        return param - self.rate(xp, hyper, step) * (move + hyper.weight_decay * param), new
