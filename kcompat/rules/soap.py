"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from ..rule import Hyper, UpdateRule
from ._static import check_count, check_flags, check_number


class SOAP(UpdateRule):
    """SOAP: Vyas et al. 2024, arXiv:2409.11321, algorithm 3, for any number of axes, as the authors' code.

    For every axis G averages the products of the gradient with itself over the other axes, and Q holds G's
    eigenvectors: of the variable's first gradient by an eigendecomposition, and every
    `precondition_frequency` steps by one power iteration and a QR decomposition, in the order of the
    estimated eigenvalues. Adam's second moment is that of the gradient rotated by Q, and its step is rotated
    back. A variable's first step only sets G and Q, so that no gradient is used in its own basis; weight
    decay comes after the step, as in the code. The first moment is kept unrotated, as in the paper; the
    code's later rotated one gives the same steps.

    Vectors have no Q unless `precondition_1d`, and neither has an axis longer than `max_precondition_dim`:
    such a variable's second moment is in its own coordinates along that axis, and without any Q the rule is
    AdamW. The authors' merge_dims is left out.

    An eigenvector's sign does not matter, here or in QR; its largest entry is made positive. The first
    gradient of an m by n matrix has at most min(m, n) eigenvectors to give; a QR decomposition of those
    gives the rest, on every backend the same. If its rank is lower still (rows of zeros, for instance),
    eigenvectors of equal eigenvalues are the host's choice, and hosts may differ; so they may while the sum
    of products so far has not full rank.

    Costs: in most steps the products and rotations, which are of the size of the gradient times its axes. A
    decomposition is only computed in the steps that need one. With axes of more than some hundred entries
    that step is long: set `max_precondition_dim`.

    Slots: m and v, like the parameter; g_0, q_0, g_1, q_1, … square matrices, one pair for each axis that has
    them; count, a scalar, the variable's own steps.

    Raises:
        HyperparameterError: a static hyperparameter is out of bounds.
    """

    learning_rate = Hyper(0.003, "step size", ge=0)
    beta_1 = Hyper(0.95, "decay rate of the first moment", ge=0, lt=1)
    beta_2 = Hyper(0.95, "decay rate of the second moment", ge=0, lt=1)
    shampoo_beta = Hyper(None, "decay rate of the averaged products; None for that of beta_2")
    epsilon = Hyper(1e-8, "added to the root of the uncorrected second moment", ge=0)
    weight_decay = Hyper(0.01, "fraction of the parameter taken off a step, times the learning rate", ge=0)
    precondition_frequency = Hyper(10, "steps between two updates of the bases", static=True)
    max_precondition_dim = Hyper(10000, "longest axis that is given a basis", static=True)
    precondition_1d = Hyper(False, "whether vectors are given a basis")
    normalize_gradient = Hyper(False, "whether to divide the step by its root mean square")
    correct_bias = Hyper(True, "whether to correct the moments' bias")

    def _after_init(self) -> None:
        check_number(self, "shampoo_beta", least=0, below=1)
        check_count(self, "precondition_frequency")
        check_count(self, "max_precondition_dim")
        check_flags(self, "precondition_1d", "normalize_gradient", "correct_bias")
        super()._after_init()

    def init(self, xp: Any, param: Any) -> Mapping[str, Any]:
        slots = {"m": xp.zeros_like(param), "v": xp.zeros_like(param), "count": xp.zeros(())}
        for axis in self._axes(param):
            size = param.shape[axis]
            slots["g_{}".format(axis)] = xp.zeros((size, size))
            slots["q_{}".format(axis)] = xp.eye(size)
        return slots

    def _axes(self, param: Any) -> List[int]:
        """The axes that have a basis."""
        if param.size == 0 or (param.ndim == 1 and not self.precondition_1d):
            return []
        return [axis for axis, size in enumerate(param.shape) if size <= self.max_precondition_dim]

    def update(
        self, xp: Any, grad: Any, param: Any, slots: Mapping[str, Any], hyper: Any, step: Any
    ) -> Tuple[Any, Mapping[str, Any]]:
        axes = self._axes(param)
        done = slots["count"]  # steps before this one, the first of which does not count for Adam
        first = done == 0
        bases = {axis: slots["q_{}".format(axis)] for axis in axes}
        m = slots["m"] + (grad - slots["m"]) * (1 - hyper.beta_1)
        v = slots["v"] + (xp.square(_rotated(xp, grad, bases, 0)) - slots["v"]) * (1 - hyper.beta_2)
        m, v = xp.where(first, slots["m"], m), xp.where(first, slots["v"], v)
        # In the first step nothing is done, and both roots are 0.
        below = xp.where(first, 1.0, xp.sqrt(v) + hyper.epsilon)
        move = _rotated(xp, _rotated(xp, m, bases, 0) / below, bases, 1)
        if self.normalize_gradient:
            move = move / (1e-30 + xp.sqrt(xp.sum(xp.square(move)) / max(param.size, 1)))
        rate = hyper.learning_rate
        if self.correct_bias:
            count = xp.maximum(done, 1.0)
            rate = rate * xp.sqrt(1 - hyper.beta_2**count) / (1 - hyper.beta_1**count)
        moved = (param - rate * move) * (1 - hyper.learning_rate * hyper.weight_decay)
        new_param = xp.where(first, param, moved)
        new: Dict[str, Any] = {"m": m, "v": v, "count": done + 1}
        beta = hyper.beta_2 if self.shampoo_beta is None else self.shampoo_beta
        due = xp.logical_and(done > 0, xp.remainder(done, float(self.precondition_frequency)) == 0)
        for axis in axes:
            new["v"] = self._turned(xp, grad, slots, new, axis, beta, first, due)
        return new_param, new

    def _turned(
        self,
        xp: Any,
        grad: Any,
        slots: Mapping[str, Any],
        new: Dict[str, Any],
        axis: int,
        beta: Any,
        first: Any,
        due: Any,
    ) -> Any:
        """Adds an axis' new G and Q to `new`; gives the second moment in the order of Q's columns."""
        others = [a for a in range(grad.ndim) if a != axis]
        product = xp.tensordot(grad, grad, axes=(others, others))
        g_name, q_name = "g_{}".format(axis), "q_{}".format(axis)
        g = slots[g_name] + (product - slots[g_name]) * (1 - beta)
        q, v = slots[q_name], new["v"]
        rank = min(grad.shape[axis], grad.size // grad.shape[axis])

        def iterated() -> Tuple[Any, Any]:
            turned = xp.matmul(g, q)
            order = xp.argsort(xp.sum(q * turned, axis=0), descending=True)
            return xp.linalg.qr(xp.take(turned, order, axis=1)).Q, xp.take(v, order, axis=axis)

        def kept() -> Any:
            return xp.cond(due, iterated, lambda: (q, v))

        new[g_name] = g
        new[q_name], v = xp.cond(first, lambda: (_basis(xp, g, rank), v), kept)
        return v


def _basis(xp: Any, matrix: Any, rank: int) -> Any:
    """Orthonormal eigenvectors of a symmetric matrix, of the greatest eigenvalue first.

    Only the first `rank` of them are taken from the decomposition, which is free to choose those of the
    eigenvalue 0.
    """
    vectors = xp.flip(xp.linalg.eigh(matrix).eigenvectors, axis=1)
    # Hosts give either sign; taken is the one with which the largest entry is positive.
    vectors = xp.where(xp.max(vectors, axis=0) < xp.max(-vectors, axis=0), -vectors, vectors)
    if rank == matrix.shape[0]:
        return vectors
    return xp.linalg.qr(vectors[:, :rank], mode="complete").Q


def _rotated(xp: Any, array: Any, bases: Mapping[int, Any], side: int) -> Any:
    """An array in the bases of its axes (side 0), or from there back (side 1)."""
    for axis, basis in bases.items():
        # The summed axis goes last, and the new one is put in its place.
        array = xp.moveaxis(xp.tensordot(array, basis, axes=([axis], [side])), -1, axis)
    return array
