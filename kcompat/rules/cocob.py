"""COCOB: training without a learning rate."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from ..rule import Hyper, UpdateRule


class COCOB(UpdateRule):
    """COCOB-Backprop: Orabona & Tommasi 2017, arXiv:1705.07795, algorithm 2.

    Each parameter bets a fraction of what it has won on its next gradient. It has no learning rate. Slots,
    all like the parameter, with the paper's names and TensorFlow Addons': lr (L, the largest |g|, from 1e-8
    as in Addons; the paper has 0), grad_norm_sum (G, the sum of |g|), gradients_sum (theta, with the other
    sign), tilde_w (w - w_1), reward.

    w = w_1 - gradients_sum / (L * max(G + L, alpha * L)) * (L + reward)

    The form of TensorFlow Addons: w_1 is not kept, but is w - tilde_w. A sparse gradient is a dense one with
    zeros; Addons refuses those.
    """

    alpha = Hyper(100.0, "first steps are at most 1 / alpha", ge=1)
    use_locking = Hyper(False, "accepted and ignored, as in TensorFlow Addons")

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        names = ("grad_norm_sum", "gradients_sum", "tilde_w", "reward")
        return {"lr": xp.full_like(param, 1e-8), **{name: xp.zeros_like(param) for name in names}}

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        size = xp.abs(grad)
        largest = xp.maximum(slots["lr"], size)
        gradients = slots["gradients_sum"] + grad
        sizes = slots["grad_norm_sum"] + size
        reward = xp.maximum(slots["reward"] - grad * slots["tilde_w"], 0)
        bound = xp.maximum(sizes + largest, hyper.alpha * largest)
        moved = -gradients / (largest * bound) * (reward + largest)
        return param - slots["tilde_w"] + moved, {
            "lr": largest,
            "grad_norm_sum": sizes,
            "gradients_sum": gradients,
            "tilde_w": moved,
            "reward": reward,
        }
