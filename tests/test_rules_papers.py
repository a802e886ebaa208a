"""The rules of the papers, against their equations written down in plain NumPy, and on every API."""

import math

import numpy as np
import pytest
from _apis import APIS
from _modes import assert_agree, modes_of, run, starting_values, varied_gradients

import kcompat
from kcompat import namespaces, rules
from kcompat.testing import reference

STEPS = 60
SHAPES = [(4, 3), (3, 2, 2), (5,), ()]


def shrinking(shapes, steps, dtype="float64", sparse=()):
    """Gradients of varying size and sign that shrink, by a factor of 30 in all."""
    made = []
    for t, row in enumerate(varied_gradients(shapes, steps, seed=3, dtype="float64", sparse=sparse)):
        by = 30.0 ** (-t / steps)
        made.append(
            [
                ((g[0] * by).astype(dtype), g[1]) if isinstance(g, tuple) else np.asarray(g * by, dtype)
                for g in row
            ]
        )
    return made


def each(step):
    """Statement of all variables, of one that runs one variable: `step(w, gradients) -> w`."""

    def whole(params, gradients):
        return [step(np.array(w), [row[i] for row in gradients]) for i, w in enumerate(params)]

    return whole


def nadamw(lr, decay, b1, b2, eps, schedule=None):
    def step(w, gradients):
        m, v, product = np.zeros_like(w), np.zeros_like(w), 1.0
        for t, g in enumerate(gradients, 1):
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g * g
            if schedule is None:
                m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
            else:
                now, then = (b1 * (1 - 0.5 * 0.96 ** (k * schedule)) for k in (t, t + 1))
                product = product * now
                m_hat = then * m / (1 - product * then) + (1 - now) * g / (1 - product)
            w = w - lr * (m_hat / (np.sqrt(v / (1 - b2**t)) + eps) + decay * w)
        return w

    return each(step)


def lars(lr, momentum, decay, eta, eps, nesterov=False, exclude=False):
    def step(w, gradients):
        m = np.zeros_like(w)
        for g in gradients:
            if exclude and w.ndim < 2:
                move = lr * g
            else:
                norm, slope = (math.sqrt((x**2).sum()) for x in (w, g))
                trust = eta * norm / (slope + decay * norm + eps) if norm and slope else 1.0
                move = lr * trust * (g + decay * w)
            m = momentum * m + move
            w = w - (momentum * m + move if nesterov else m)
        return w

    return each(step)


def adabound(lrs, b1, b2, final, gamma, eps, decay, ams, base=None):
    def step(w, gradients):
        m, v, top = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
        first = base
        for t, g in enumerate(gradients, 1):
            lr = lrs(t - 1) if callable(lrs) else lrs
            first = first or lr
            g = g + decay * w
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g * g
            top = np.maximum(top, v)
            end = final * lr / first
            size = lr * math.sqrt(1 - b2**t) / (1 - b1**t) / (np.sqrt(top if ams else v) + eps)
            w = w - np.clip(size, end * (1 - 1 / (gamma * t + 1)), end * (1 + 1 / (gamma * t))) * m
        return w

    return each(step)


def adamp(lr, b1, b2, eps, decay, delta, ratio, nesterov=False, first_axis=False, met=None):
    def step(w, gradients):
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, g in enumerate(gradients, 1):
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g * g
            move = (b1 * m + (1 - b1) * g if nesterov else m) / (np.sqrt(v / (1 - b2**t)) + eps)
            by = 1.0
            if w.ndim > 1:
                # Channels to the front, then rows of vectors; one row if it is the whole.
                def rows(x):
                    x = x if first_axis else np.moveaxis(x, -1, 0)
                    return x.reshape(x.shape[0], -1)

                for kind, view in (("channels", rows), ("whole", lambda x: rows(x).reshape(1, -1))):
                    cosines = [
                        abs(np.dot(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b))
                        for a, b in zip(view(w), view(g))
                    ]
                    if max(cosines) < delta / math.sqrt(view(w).shape[1]):
                        out = []
                        for a, b in zip(view(w), view(move)):
                            unit = a / (np.linalg.norm(a) + eps)
                            out.append(b - unit * np.dot(unit, b))
                        back = np.array(out).reshape(rows(w).shape)
                        if first_axis:
                            move = back.reshape(w.shape)
                        else:
                            moved = np.moveaxis(w, -1, 0).shape
                            move = np.moveaxis(back.reshape(moved), 0, -1)
                        by = ratio
                        if met is not None:
                            met.add(kind)
                        break
                else:
                    if met is not None:
                        met.add("none")
            w = w * (1 - lr * decay * by) - lr / (1 - b1**t) * move
        return w

    return each(step)


def adan(lr, b1, b2, b3, eps, decay, no_prox=False):
    def step(w, gradients):
        m, v, n = (np.zeros_like(w) for _ in range(3))
        before = gradients[0]
        for t, g in enumerate(gradients, 1):
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * (g - before)
            n = b3 * n + (1 - b3) * (g + b2 * (g - before)) ** 2
            before = g
            rate = lr / (np.sqrt(n / (1 - b3**t)) + eps)
            move = rate * (m / (1 - b1**t) + b2 * v / (1 - b2**t))
            w = w * (1 - lr * decay) - move if no_prox else (w - move) / (1 + lr * decay)
        return w

    return each(step)


def ademamix(lr, b1, b2, b3, alpha, eps, decay, alpha_warmup=None, beta_warmup=None):
    def step(w, gradients):
        fast, slow, v = (np.zeros_like(w) for _ in range(3))
        for t, g in enumerate(gradients, 1):
            a, b = alpha, b3
            if alpha_warmup:
                a = min(t * alpha / alpha_warmup, alpha)
            if beta_warmup:
                low, high = math.log(b1), math.log(b3)
                part = t / beta_warmup
                b = min(math.exp(low * high / ((1 - part) * high + part * low)), b3) if part < 1 else b3
            fast = b1 * fast + (1 - b1) * g
            slow = b * slow + (1 - b) * g
            v = b2 * v + (1 - b2) * g**2
            move = (fast / (1 - b1**t) + a * slow) / (np.sqrt(v / (1 - b2**t)) + eps)
            w = w - lr * (move + decay * w)
        return w

    return each(step)


def adopt(lr, b1, b2, eps, decay, decouple=False, power=0.25):
    def step(w, gradients):
        g = gradients[0] + (0 if decouple else decay * w)
        m, v = np.zeros_like(w), g * g
        for n, g in enumerate(gradients[1:], 1):
            if decouple:
                w = w * (1 - lr * decay)
            else:
                g = g + decay * w
            u = g / np.maximum(np.sqrt(v), eps)
            if power is not None:
                u = np.clip(u, -(n**power), n**power)
            m = b1 * m + (1 - b1) * u
            w = w - lr * m
            v = b2 * v + (1 - b2) * g * g
        return w

    return each(step)


def schedule_free(lrs, momentum, decay, warmup, r, power, at_x=False):
    """The form with all three sequences, x kept: equations (3) to (5) of the paper."""

    def step(w, gradients):
        x, z, total, top = w, w, 0.0, 0.0
        for t, g in enumerate(gradients, 1):
            y = (1 - momentum) * z + momentum * x
            lr = (lrs(t - 1) if callable(lrs) else lrs) * (t / warmup if t < warmup else 1)
            top = max(top, lr)
            total += t**r * top**power
            c = t**r * top**power / total
            z = z - lr * (g + decay * y)
            x = (1 - c) * x + c * z
        return x if at_x else (1 - momentum) * z + momentum * x

    return each(step)


def sophia(lr, b1, b2, rho, decay, batch, eps, every, sampled=False):
    def step(w, gradients):
        m, h = np.zeros_like(w), np.zeros_like(w)
        period = every + 1 if sampled else every
        for t, g in enumerate(gradients):
            if t % period == 0:
                h = b2 * h + (1 - b2) * batch * g * g
                if sampled:
                    continue
            m = b1 * m + (1 - b1) * g
            w = w - lr * decay * w
            w = w - lr * np.clip(m / (rho * h + eps), -1, 1)
        return w

    return each(step)


def correction(b1, b2, t, on):
    return math.sqrt(1 - b2**t) / (1 - b1**t) if on else 1.0


def dadapt(lr, b1, b2, eps, decay, d, growth=math.inf, decouple=False, correct=False):
    def whole(params, gradients):
        w = [np.array(p) for p in params]
        m, v, s = ([np.zeros_like(p) for p in params] for _ in range(3))
        numerator, root, distance = 0.0, math.sqrt(b2), d
        for t, row in enumerate(gradients, 1):
            rate = distance * lr * correction(b1, b2, t, correct)
            grads = [g if decouple else g + decay * p for g, p in zip(row, w)]
            found = rate * sum((g * a / (np.sqrt(b) + eps)).sum() for g, a, b in zip(grads, s, v))
            m = [b1 * a + rate * (1 - b1) * g for a, g in zip(m, grads)]
            v = [b2 * a + (1 - b2) * g * g for a, g in zip(v, grads)]
            s = [root * a + (1 - root) * rate * g for a, g in zip(s, grads)]
            numerator = root * numerator + (1 - root) * found
            estimate = numerator / ((1 - root) * sum(np.abs(a).sum() for a in s))
            if decouple:
                w = [p - decay * rate * p for p in w]
            w = [p - a / (np.sqrt(b) + eps) for p, a, b in zip(w, m, v)]
            distance = max(distance, min(estimate, distance * growth))
        return w

    return whole


def prodigy(
    lr,
    b1,
    b2,
    eps,
    decay,
    d,
    b3=None,
    coef=1.0,
    growth=math.inf,
    decouple=True,
    correct=False,
    guard=False,
):
    def whole(params, gradients):
        w, start = [np.array(p) for p in params], [np.array(p) for p in params]
        m, v, s = ([np.zeros_like(p) for p in params] for _ in range(3))
        keep = math.sqrt(b2) if b3 is None else b3
        numerator, distance, top = 0.0, d, d
        for t, row in enumerate(gradients, 1):
            rate = distance * lr * correction(b1, b2, t, correct)
            grads = [g if decouple else g + decay * p for g, p in zip(row, w)]
            found = sum((g * (a - p)).sum() for g, a, p in zip(grads, start, w))
            numerator = keep * numerator + distance / d * rate * found
            m = [b1 * a + (1 - b1) * distance * g for a, g in zip(m, grads)]
            v = [b2 * a + (1 - b2) * distance**2 * g * g for a, g in zip(v, grads)]
            s = [keep * a + distance / d * (distance if guard else rate) * g for a, g in zip(s, grads)]
            estimate = coef * numerator / sum(np.abs(a).sum() for a in s)
            if distance == d:
                distance = max(distance, estimate)
            top = max(top, estimate)
            distance = min(top, distance * growth)
            if decouple:
                w = [p - decay * rate * p for p in w]
            w = [p - rate * a / (np.sqrt(b) + distance * eps) for p, a, b in zip(w, m, v)]
        return w

    return whole


def soap(
    lr, b1, b2, eps, decay, every, shampoo=None, longest=10**4, vectors=False, normalize=False, correct=True
):
    """With NumPy's own signs of eigenvectors and of QR, and rotations by matrix products."""
    shampoo = b2 if shampoo is None else shampoo

    def turn(x, bases, back=False):
        for axis, q in bases.items():
            x = np.moveaxis(np.moveaxis(x, axis, -1) @ (q.T if back else q), -1, axis)
        return x

    def products(g, axis):
        flat = np.moveaxis(g, axis, 0).reshape(g.shape[axis], -1)
        return flat @ flat.T

    def step(w, gradients):
        axes = [] if w.ndim == 1 and not vectors else [a for a, n in enumerate(w.shape) if n <= longest]
        g = gradients[0]
        stats = {a: (1 - shampoo) * products(g, a) for a in axes}
        bases = {a: np.linalg.eigh(stats[a])[1][:, ::-1] for a in axes}
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, g in enumerate(gradients[1:], 1):
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * turn(g, bases) ** 2
            move = turn(turn(m, bases) / (np.sqrt(v) + eps), bases, back=True)
            if normalize:
                move = move / math.sqrt((move**2).mean())
            w = w - lr * correction(b1, b2, t, correct) * move
            w = w - lr * decay * w
            for a in axes:
                stats[a] = shampoo * stats[a] + (1 - shampoo) * products(g, a)
                if t % every == 0:
                    values = np.diag(bases[a].T @ stats[a] @ bases[a])
                    order = np.argsort(-values)
                    v = np.take(v, order, axis=a)
                    bases[a] = np.linalg.qr((stats[a] @ bases[a])[:, order])[0]
        return w

    return each(step)


def falling(done):
    """A schedule, for rules that have to do with the change of the learning rate."""
    return 0.02 / (1 + 0.1 * done)


# Name -> (the rule, the same in NumPy). Hyperparameters are away from their defaults, and each epsilon is
# large enough to be seen.
CASES = {
    "nadamw": (rules.NadamW(0.01, 0.1, 0.8, 0.95, 1e-3), nadamw(0.01, 0.1, 0.8, 0.95, 1e-3)),
    "nadamw_schedule": (
        rules.NadamW(0.01, 0.1, 0.8, 0.95, 1e-3, momentum_decay=0.004),
        nadamw(0.01, 0.1, 0.8, 0.95, 1e-3, 0.004),
    ),
    "lars": (rules.LARS(0.5, 0.8, 0.1, 0.02, 1e-3), lars(0.5, 0.8, 0.1, 0.02, 1e-3)),
    "lars_nesterov": (
        rules.LARS(0.05, 0.8, 0.1, 0.02, 1e-3, nesterov=True, exclude_vectors=True),
        lars(0.05, 0.8, 0.1, 0.02, 1e-3, nesterov=True, exclude=True),
    ),
    "adabound": (
        rules.AdaBound(0.01, 0.8, 0.95, 0.05, 0.1, 1e-3, 0.01),
        adabound(0.01, 0.8, 0.95, 0.05, 0.1, 1e-3, 0.01, False),
    ),
    "amsbound": (
        rules.AdaBound(falling, 0.8, 0.95, 0.05, 0.1, 1e-3, amsbound=True),
        adabound(falling, 0.8, 0.95, 0.05, 0.1, 1e-3, 0.0, True),
    ),
    "adabound_base": (
        rules.AdaBound(falling, 0.8, 0.95, 0.05, 0.1, 1e-3, base_learning_rate=0.03),
        adabound(falling, 0.8, 0.95, 0.05, 0.1, 1e-3, 0.0, False, 0.03),
    ),
    "adamp": (
        rules.AdamP(0.01, 0.8, 0.95, 1e-3, 0.1, 0.5, 0.2),
        adamp(0.01, 0.8, 0.95, 1e-3, 0.1, 0.5, 0.2),
    ),
    "adamp_nesterov": (
        rules.AdamP(0.01, 0.8, 0.95, 1e-3, 0.1, 0.9, 0.2, nesterov=True, channel_axis=0),
        adamp(0.01, 0.8, 0.95, 1e-3, 0.1, 0.9, 0.2, nesterov=True, first_axis=True),
    ),
    "adan": (rules.Adan(0.01, 0.9, 0.8, 0.95, 1e-3, 0.1), adan(0.01, 0.9, 0.8, 0.95, 1e-3, 0.1)),
    "adan_no_prox": (
        rules.Adan(0.01, epsilon=1e-3, weight_decay=0.1, no_prox=True),
        adan(0.01, 0.98, 0.92, 0.99, 1e-3, 0.1, True),
    ),
    "ademamix": (
        rules.AdEMAMix(0.01, 0.8, 0.95, 0.99, 3.0, 1e-3, 0.1),
        ademamix(0.01, 0.8, 0.95, 0.99, 3.0, 1e-3, 0.1),
    ),
    "ademamix_warmup": (
        rules.AdEMAMix(0.01, 0.8, 0.95, 0.99, 3.0, 1e-3, alpha_warmup=40, beta_3_warmup=50),
        ademamix(0.01, 0.8, 0.95, 0.99, 3.0, 1e-3, 0.0, 40, 50),
    ),
    "adopt": (rules.ADOPT(0.01, 0.8, 0.95, 0.5, 0.1), adopt(0.01, 0.8, 0.95, 0.5, 0.1)),
    "adopt_decoupled": (
        rules.ADOPT(0.01, 0.8, 0.95, 0.5, 0.1, decouple=True, clip_exponent=None),
        adopt(0.01, 0.8, 0.95, 0.5, 0.1, True, None),
    ),
    "schedule_free_sgd": (rules.ScheduleFreeSGD(0.05, 0.8, 0.1), schedule_free(0.05, 0.8, 0.1, 0, 0, 2)),
    "schedule_free_sgd_weighted": (
        rules.ScheduleFreeSGD(falling, 0.8, 0.0, warmup_steps=10, r=0.5, weight_lr_power=1.5),
        schedule_free(falling, 0.8, 0.0, 10, 0.5, 1.5),
    ),
    "sophia": (
        rules.Sophia(0.01, 0.9, 0.8, 0.4, 0.1, 3.0, 0.01, hessian_every=4),
        sophia(0.01, 0.9, 0.8, 0.4, 0.1, 3.0, 0.01, 4),
    ),
    "sophia_sampled": (
        rules.Sophia(0.01, 0.9, 0.8, 0.4, 0.1, 3.0, 0.01, hessian_every=4, sampled_labels=True),
        sophia(0.01, 0.9, 0.8, 0.4, 0.1, 3.0, 0.01, 4, True),
    ),
    "dadapt_adam": (
        rules.DAdaptAdam(0.8, 0.8, 0.95, 1e-3, 0.1, d0=1e-3),
        dadapt(0.8, 0.8, 0.95, 1e-3, 0.1, 1e-3),
    ),
    "dadapt_adam_decoupled": (
        rules.DAdaptAdam(
            1.0, 0.8, 0.95, 1e-3, 0.1, d0=1e-3, growth_rate=1.05, decouple=True, use_bias_correction=True
        ),
        dadapt(1.0, 0.8, 0.95, 1e-3, 0.1, 1e-3, 1.05, True, True),
    ),
    "prodigy": (
        rules.Prodigy(0.8, 0.8, 0.95, epsilon=1e-2, weight_decay=0.1, d0=1e-3),
        prodigy(0.8, 0.8, 0.95, 1e-2, 0.1, 1e-3),
    ),
    "prodigy_options": (
        rules.Prodigy(
            0.8,
            0.8,
            0.95,
            0.9,
            1e-2,
            0.1,
            1e-3,
            d_coef=2.0,
            growth_rate=1.1,
            decouple=False,
            use_bias_correction=True,
            safeguard_warmup=True,
        ),
        prodigy(0.8, 0.8, 0.95, 1e-2, 0.1, 1e-3, 0.9, 2.0, 1.1, False, True, True),
    ),
    "soap": (rules.SOAP(0.01, 0.9, 0.8, 0.85, 1e-3, 0.1, 3), soap(0.01, 0.9, 0.8, 1e-3, 0.1, 3, 0.85)),
    "soap_options": (
        rules.SOAP(
            0.01,
            epsilon=1e-3,
            precondition_frequency=4,
            max_precondition_dim=3,
            normalize_gradient=True,
            correct_bias=False,
        ),
        soap(0.01, 0.95, 0.95, 1e-3, 0.01, 4, longest=3, normalize=True, correct=False),
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_agrees_with_the_equations(name):
    rule, stated = CASES[name]
    params, gradients = starting_values(SHAPES, dtype="float64"), shrinking(SHAPES, STEPS)
    got, _ = reference(rule, params, gradients)
    for i, (a, b, start) in enumerate(zip(got, stated(params, gradients), params)):
        assert np.abs(a - start).max() > 1e-3, "parameter {} did not move".format(i)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11, err_msg="parameter {}".format(i))


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_wrong_epsilon_is_noticed(name):
    """The comparison above would see half of epsilon, of rules that have one."""
    rule, stated = CASES[name]
    if "epsilon" not in rule.hypers:
        assert name.startswith("schedule_free")
        return
    params, gradients = starting_values(SHAPES, dtype="float64"), shrinking(SHAPES, STEPS)[:20]
    expected = stated(params, gradients)
    got, _ = reference(rule.replace(epsilon=rule.epsilon / 2), params, gradients)
    far = max(np.abs(a - b).max() for a, b in zip(got, expected))
    assert far > 1e-7, far


def test_a_vector_with_a_basis():
    rule = rules.SOAP(0.01, epsilon=1e-3, precondition_1d=True, precondition_frequency=2)
    params, gradients = starting_values([(2,)], dtype="float64"), shrinking([(2,)], STEPS)
    got, slots = reference(rule, params, gradients)
    expected = soap(0.01, 0.95, 0.95, 1e-3, 0.01, 2, vectors=True)(params, gradients)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-9)
    np.testing.assert_allclose(slots[0]["q_0"].T @ slots[0]["q_0"], np.eye(2), atol=1e-12)


def test_soap_completes_a_basis_that_the_first_gradient_leaves_open():
    params, gradients = starting_values([(6, 2)], dtype="float64"), shrinking([(6, 2)], 1)
    slots = reference(rules.SOAP(), params, gradients)[1][0]
    q, g = slots["q_0"], slots["g_0"]
    np.testing.assert_allclose(q.T @ q, np.eye(6), atol=1e-12)
    turned = q.T @ g @ q
    values = np.linalg.eigvalsh(g)[::-1]
    np.testing.assert_allclose(turned, np.diag(values), atol=1e-12 * values[0])
    assert values[1] > 1e-6 * values[0]


def test_adamp_meets_each_of_its_cases():
    """With these gradients variables count as scale-invariant by channel, as a whole, and not at all."""
    met = set()
    params, gradients = starting_values(SHAPES, dtype="float64"), shrinking(SHAPES, STEPS)
    adamp(0.01, 0.8, 0.95, 1e-3, 0.1, 0.5, 0.2, met=met)(params, gradients)
    assert met == {"channels", "whole", "none"}


@pytest.mark.parametrize("rule", [rules.DAdaptAdam(), rules.Prodigy()], ids=lambda rule: type(rule).__name__)
def test_the_distance_is_found(rule):
    """From an estimate a million times too small, on |w - target|: 20 steps at d0 are 2e-5 in all."""
    target = np.array([3.0, -2.0, 4.0, -5.0])
    w, gradients = np.zeros(4), []
    for _ in range(20):
        gradients.append([np.sign(w - target)])
        w = reference(rule, [np.zeros(4)], gradients)[0][0]
    assert 1 < np.abs(w).max() < 20, w


def test_the_switch_of_schedule_free():
    rule, _ = CASES["schedule_free_sgd"]
    params, gradients = starting_values(SHAPES, dtype="float64"), shrinking(SHAPES, STEPS)
    expected = schedule_free(0.05, 0.8, 0.1, 0, 0, 2, at_x=True)(params, gradients)
    got, slots = reference(rule, params, gradients)
    xp = namespaces.namespace("numpy", "float64")
    hyper = type("Hyper", (), {"momentum": xp.scalar(0.8)})
    assert rule.has_averages
    for y, slot, x in zip(got, slots, expected):
        wrapped = {name: xp.wrap(value) for name, value in slot.items()}
        average, kept = rule.swap(xp, xp.wrap(y), wrapped, hyper, True)
        np.testing.assert_allclose(xp.unwrap(average), x, rtol=1e-9, atol=1e-11)
        assert set(kept) == set(slot)
        back, _ = rule.swap(xp, average, kept, hyper, False)
        np.testing.assert_allclose(xp.unwrap(back), y, rtol=1e-12)


def late_and_missing(steps):
    """Gradients of which the first variable has none at first, and the second none now and then."""
    gradients = shrinking(SHAPES, steps)
    for t, row in enumerate(gradients):
        if t < 5:
            row[0] = None
        if t % 3 == 1:
            row[1] = None
    return gradients


def test_a_late_variable_begins_at_its_own_first_step():
    params, gradients = starting_values(SHAPES, dtype="float64"), late_and_missing(20)
    mine = [row[0] for row in gradients[5:]]
    for name in ("adopt", "soap"):  # nothing but the variable's own steps is counted
        rule, stated = CASES[name]
        got, _ = reference(rule, params, gradients)
        alone = stated([params[0]], [[g] for g in mine])
        np.testing.assert_allclose(got[0], alone[0], rtol=1e-9, atol=1e-11, err_msg=name)
    slots = reference(CASES["adan"][0], params, gradients[:6])[1][0]
    assert not slots["v"].any()  # the first gradient has no difference from another
    assert slots["m"].any()


def test_gradients_of_zero_leave_everything_finite():
    params = [np.zeros((3, 2)), np.zeros(3), np.zeros((0, 2))]
    for name in sorted(CASES):
        rule = CASES[name][0]
        zeros = [[np.zeros_like(p) for p in params]] * 3
        rest = [[np.ones_like(p) for p in params]] * 3
        got, slots = reference(rule, params, zeros + rest)
        assert all(np.isfinite(p).all() for p in got), name
        assert all(np.isfinite(s).all() for slot in slots for s in slot.values()), name


@pytest.mark.parametrize(
    "make,names",
    [
        (lambda: rules.AdamP(channel_axis=1), "channel_axis=1"),
        (lambda: rules.Sophia(hessian_every=0), "hessian_every=0"),
        (lambda: rules.SOAP(shampoo_beta=1.0), "shampoo_beta=1.0"),
        (lambda: rules.Prodigy(d0=0.0), "d0=0.0"),
        (lambda: rules.DAdaptAdam(growth_rate=math.inf), "growth_rate=inf"),
        (lambda: rules.AdEMAMix(alpha_warmup=2.5), "alpha_warmup=2.5"),
        (lambda: rules.ADOPT(decouple=1), "decouple=1"),
        (lambda: rules.ScheduleFreeSGD(momentum=0.0), "momentum=0.0"),
        (lambda: rules.AdaBound(base_learning_rate=-1), "base_learning_rate=-1"),
    ],
)
def test_bad_hyperparameters_are_told(make, names):
    with pytest.raises(kcompat.HyperparameterError) as caught:
        make()
    assert names in str(caught.value)
    assert "expected" in str(caught.value)


FIRST_MODES = [(api, modes_of(api)[0]) for api in APIS]
# Options are Python branches of the same rule: one configuration of each, that with the most in it.
ON_EVERY_API = (
    "nadamw_schedule",
    "lars",
    "amsbound",
    "adamp",
    "adan",
    "ademamix_warmup",
    "adopt",
    "schedule_free_sgd",
    "sophia_sampled",
    "dadapt_adam",
    "prodigy_options",
    "soap",
)


@pytest.mark.wide
@pytest.mark.parametrize("api,mode", FIRST_MODES)
@pytest.mark.parametrize("name", ON_EVERY_API)
def test_every_api_agrees_with_the_oracle(api, mode, name):
    rule = CASES[name][0]
    if callable(rule.learning_rate):
        rule = rule.replace(learning_rate=0.02)
    shapes = [(3, 2), (6, 3), (4,)]
    params, gradients = starting_values(shapes), shrinking(shapes, 8, "float32", sparse={1})
    if name.startswith("soap"):
        # A sparse gradient has rows of zeros, so less than full rank, and its eigenvectors are the host's.
        gradients = shrinking(shapes, 8, "float32")
    result = run(api, mode, rule, params, gradients)
    expected = reference(rule, params, gradients)
    if name.startswith("soap"):
        # The signs of eigenvectors are the host's, and products of gradients span six decades.
        expected[1][:] = [{n: s for n, s in slot.items() if n[0] in "mc"} for slot in expected[1]]
        assert_agree(result, expected, rtol=1e-3, atol=1e-4)
    else:
        assert_agree(result, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.wide
@pytest.mark.filterwarnings("ignore:.*no gradient for")
@pytest.mark.parametrize("api,mode", FIRST_MODES)
@pytest.mark.parametrize("name", ["adan", "prodigy"])
def test_none_gradients_and_late_variables(api, mode, name):
    rule = CASES[name][0]
    params = starting_values(SHAPES)
    gradients = late_and_missing(8)
    gradients = [[None if g is None else np.asarray(g, "float32") for g in row] for row in gradients]
    result = run(api, mode, rule, params, gradients)
    assert_agree(result, reference(rule, params, gradients), rtol=2e-5, atol=2e-6)
