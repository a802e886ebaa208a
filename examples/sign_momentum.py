"""A custom optimizer, written once: the rule that the demo trains with on every optimizer API."""

import kcompat


class SignMomentum(kcompat.UpdateRule):
    """Signum: Bernstein et al. 2018, arXiv:1802.04434. Steps of one length, by the momentum's sign.

    Args:
        learning_rate: the length of the step, the same for every element.
        momentum: how much of the running mean of the gradient is kept at each step.
    """

    learning_rate = kcompat.Hyper(1e-3)
    momentum = kcompat.Hyper(0.9)

    def init(self, xp, param):
        return {"m": xp.zeros_like(param)}

    def update(self, xp, grad, param, slots, hyper, step):
        m = hyper.momentum * slots["m"] + (1 - hyper.momentum) * grad
        return param - hyper.learning_rate * xp.sign(m), {"m": m}
