"""Rules that the tests use besides the catalogue's: one for every unusual thing that the contract allows."""

import kcompat


class SignMomentum(kcompat.UpdateRule):
    """Signum: Bernstein et al. 2018, arXiv:1802.04434."""

    learning_rate = kcompat.Hyper(1e-3)
    momentum = kcompat.Hyper(0.9)

    def init(self, xp, param):
        return {"m": xp.zeros_like(param)}

    def update(self, xp, grad, param, slots, hyper, step):
        m = hyper.momentum * slots["m"] + (1 - hyper.momentum) * grad
        return param - hyper.learning_rate * xp.sign(m), {"m": m}


class Factored(kcompat.UpdateRule):
    """Slots of other shapes than the parameter's: a row and a column, a scalar, and a copy of its start."""

    step_size = kcompat.Hyper(0.05)
    rate = kcompat.Hyper(0.9)
    power = kcompat.Hyper(2, static=True)
    pull = kcompat.Hyper(0.01)
    flavour = kcompat.Hyper("plain")

    def init(self, xp, param):
        slots = {"count": xp.zeros(()), "start": param * 1, "scale": xp.full((), 2.5)}
        if param.ndim >= 2:
            slots["row"] = xp.zeros(param.shape[:-1])
            slots["column"] = xp.ones(param.shape[-1:])
        return slots

    def update(self, xp, grad, param, slots, hyper, step):
        square = xp.abs(grad) ** self.power + 1e-8
        new = dict(slots)
        new["count"] = slots["count"] + 1
        new["scale"] = hyper.rate * slots["scale"] + 0.1 * xp.sqrt(xp.sum(square) + 1)
        move = grad
        if param.ndim >= 2:
            new["row"] = slots["row"] + (xp.mean(square, axis=-1) - slots["row"]) * (1 - hyper.rate)
            new["column"] = xp.maximum(
                slots["column"], xp.max(square, axis=tuple(range(param.ndim - 1))) if param.size else 0.0
            )
            move = move / xp.sqrt(xp.expand_dims(new["row"], axis=-1) * new["column"] + 1e-3)
        move = move / new["scale"] + hyper.pull * (param - slots["start"])
        return param - hyper.step_size * xp.tanh(move) / xp.sqrt(step), new


class LazyMomentum(kcompat.UpdateRule):
    """Momentum that only touches the rows present, with a slot of one number a row and a scalar."""

    sparse = "rows"
    learning_rate = kcompat.Hyper(0.1)
    momentum = kcompat.Hyper(0.9)

    def init(self, xp, param):
        return {"m": xp.zeros_like(param), "norm": xp.zeros(param.shape[:1])}

    def update(self, xp, grad, param, slots, hyper, step):
        m = hyper.momentum * slots["m"] + grad
        norm = slots["norm"]
        if param.ndim:
            axes = tuple(range(1, param.ndim))
            norm = norm + (xp.sum(xp.square(grad), axis=axes) if axes else xp.square(grad))
        return param - hyper.learning_rate * m, {"m": m, "norm": norm}


class Distance(kcompat.UpdateRule):
    """Sees all gradients at once, and keeps a scalar that belongs to all variables."""

    learning_rate = kcompat.Hyper(0.5)
    first = kcompat.Hyper(0.25)

    def init(self, xp, param):
        return {"s": xp.zeros_like(param)}

    def init_shared(self, xp):
        return {"d": xp.full((), self.first), "count": xp.zeros(())}

    def prepare(self, xp, grads, params, slots, shared, hyper, step):
        total = sum(xp.sum(xp.square(g)) for g in grads)
        inner = sum(xp.sum(g * p) + xp.sum(slot["s"]) for g, p, slot in zip(grads, params, slots))
        d = xp.maximum(shared["d"], 0.1 * xp.abs(inner) / xp.sqrt(total + 1e-6) / xp.sqrt(step))
        return [g / xp.sqrt(total + 1) for g in grads], {"d": d, "count": shared["count"] + 1}

    def update(self, xp, grad, param, slots, hyper, step):
        s = slots["s"] + hyper.d * grad
        return param - hyper.learning_rate * hyper.d * grad / hyper.count, {"s": s}


class ByName(kcompat.UpdateRule):
    """Treats variables differently: by name, another rule of its own."""

    learning_rate = kcompat.Hyper(0.1)

    def for_variable(self, name, shape):
        return SignMomentum(learning_rate=0.01) if len(shape) == 1 else self

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * grad, {}


class Previous(kcompat.UpdateRule):
    """Heavy ball as Polyak wrote it: the new slot is the old parameter itself, not something computed."""

    learning_rate = kcompat.Hyper(0.1)
    momentum = kcompat.Hyper(0.5)

    def init(self, xp, param):
        return {"previous": param, "before": param}

    def update(self, xp, grad, param, slots, hyper, step):
        push = hyper.momentum * (param - slots["previous"])
        return param - hyper.learning_rate * grad + push, {"previous": param, "before": slots["previous"]}
