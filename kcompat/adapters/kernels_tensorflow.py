"""TensorFlow's fused kernels: one operation that takes a whole step of a rule, in place.

A kernel is used where it has exactly the rule's semantics, and where nothing but the gradient, the
hyperparameters and the parameter before the step is changed by the transforms around the rule. XLA, which may
compile any tf.function, has each of them. A rule without a kernel is never wrong, only slower.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

import tensorflow as tf

from ..namespaces.array import weak_value
from ..namespaces.tensorflow import BACKEND
from ..rule import UpdateRule
from .kernels import catalogue_name


def _operations() -> Callable[[str], Any]:
    raw = getattr(tf, "raw_ops", None)
    if raw is not None:
        return lambda name: getattr(raw, name, None)
    # TensorFlow 1.13 has them under private names only.
    from tensorflow.python.training import gen_training_ops

    def find(name: str) -> Any:
        words = re.findall("[A-Z]+(?![a-z])[0-9]*|[A-Z][a-z]+", name)  # RMSProp is rms_prop
        return getattr(gen_training_ops, "_".join(words).lower(), None)

    return find


_operation = _operations()


class Kernel:
    """One fused operation.

    Attributes:
        name: what TensorFlow calls it, without "ResourceApply".
        slots: the operation's argument -> the rule's slot.
        scalars: gives the operation's scalar arguments out of `xp`, the rule's `hyper` and `step`: numbers,
            or float64 tensors.
        attributes: further arguments.
        instead: the kernel for reference variables, where they have none of this name.
        decays: whether the parameter loses weight_decay * learning_rate of itself first.
    """

    def __init__(
        self,
        name: str,
        slots: Mapping[str, str],
        scalars: Callable[[Any, Any, Any], Dict[str, Any]],
        gradient: str = "grad",
        attributes: Optional[Mapping[str, Any]] = None,
        instead: Optional[Kernel] = None,
        decays: bool = False,
    ) -> None:
        self.name = name
        self.slots = dict(slots)
        self.scalars = scalars
        self.gradient = gradient
        self.attributes = dict(attributes or {})
        self.instead = instead
        self.decays = decays
        self.resource = _operation("ResourceApply" + name)
        self.reference = _operation("Apply" + name)  # None for some

    def of(self, native: Any) -> Any:
        """The operation for a variable, or None if there is none."""
        return self.resource if hasattr(native, "handle") else self.reference

    def call(self, native: Any, slots: Mapping[str, Any]) -> Tuple[Any, Dict[str, Any]]:
        """The operation for a variable, and its arguments but for gradient and scalars.

        Args:
            native: TensorFlow's variable.
            slots: TensorFlow's variables of its slots, by the rule's names.
        """
        targets = dict({name: slots[slot] for name, slot in self.slots.items()}, var=native)
        if hasattr(native, "handle"):
            targets = {name: target.handle for name, target in targets.items()}
        else:
            targets = {name: target._ref() for name, target in targets.items()}
        return self.of(native), dict(targets, **self.attributes)

    def numbers(self, xp: Any, hyper: Any, step: Any) -> Tuple[Dict[str, Any], Any]:
        """The scalar arguments as tensors, and the part of the parameter that weight decay leaves.

        That part is None where it is all of it.

        Args:
            xp: the namespace.
            hyper, step: as the rule is given them.
        """
        values = self.scalars(xp, hyper, step)
        tensors = {name: _as_tensor(value, xp.compute_dtype) for name, value in values.items()}
        if self.decays:
            part = weak_value(1 - hyper.weight_decay * hyper.learning_rate)
            if not (isinstance(part, float) and part == 1.0):
                return tensors, _as_tensor(part, xp.compute_dtype)
        return tensors, None


def assign_part(native: Any, part: Any) -> Any:
    """Assigns a resource variable a part of its value. Returns the operation; None if that can't be done so.

    Raw operations: called eagerly, they take half the time of the variable's own methods.
    """
    raw = getattr(tf, "raw_ops", None)
    if raw is None or not hasattr(native, "handle"):
        return None
    handle = native.handle
    value = raw.ReadVariableOp(resource=handle, dtype=native.dtype.base_dtype)
    written = raw.AssignVariableOp(resource=handle, value=raw.Mul(x=value, y=part))
    return written if written is not None else part


def write_part(native: Any, part: Any) -> Any:
    """Assigns a variable a part of what was put together, as `read_part` reads one. Returns the operation."""
    raw = getattr(tf, "raw_ops", None)
    if raw is None or not hasattr(native, "handle"):
        return native.assign(part, read_value=False)
    return raw.AssignVariableOp(resource=native.handle, value=part)


def read_part(native: Any) -> Any:
    """The value of a variable, to be put together with others: read by one operation where that can be."""
    raw = getattr(tf, "raw_ops", None)
    if raw is None or not hasattr(native, "handle"):
        return native.read_value()
    return raw.ReadVariableOp(resource=native.handle, dtype=native.dtype.base_dtype)


def _as_tensor(value: Any, dtype: Any) -> Any:
    """A number or a float64 scalar as a tensor of a dtype."""
    return BACKEND.constant(value, dtype) if isinstance(value, float) else tf.cast(value, dtype)


def _rounded(value: Any, dtype: Any) -> Any:
    """A number as it is in a dtype, in float64."""
    if isinstance(value, float):
        return float(dtype.as_numpy_dtype(value))
    return tf.cast(tf.cast(value, dtype), tf.float64)


def _no_momentum(xp: Any, hyper: Any, step: Any) -> Dict[str, Any]:
    return {"alpha": weak_value(hyper.learning_rate)}


def _momentum(xp: Any, hyper: Any, step: Any) -> Dict[str, Any]:
    return {"lr": weak_value(hyper.learning_rate), "momentum": weak_value(hyper.momentum)}


def _off_zero(number: Any, least: float) -> Any:
    """A number, or instead of one that is nearer to 0 than another, that."""
    if isinstance(number, float):
        return number if abs(number) > least else least
    return tf.where(abs(number) > least, number, tf.constant(least, number.dtype))


def _in_place(nesterov: bool, xp: Any, hyper: Any, step: Any) -> Dict[str, Any]:
    rate, momentum = weak_value(hyper.learning_rate), _off_zero(weak_value(hyper.momentum), 1e-15)
    # (m - alpha * g) / (1 + l2 * alpha) is momentum * m - rate * g. Neither may be 0: l2 would be infinite.
    alpha = _off_zero(rate / momentum, 1e-20)
    scalars = {"alpha": alpha, "l1": 0.0, "l2": (1 / momentum - 1) / alpha}
    return dict(scalars, kept=-momentum, rate=rate) if nesterov else dict(scalars, kept=-1.0)


class _InPlace(Kernel):
    """SGD's velocity on reference variables, in operations of which none makes an array.

    Their operation called Momentum keeps the learning rate out of the velocity, and would have to be given
    gradients multiplied by it: four times the time, where variables are large.
    """

    def __init__(self, nesterov: bool) -> None:
        scalars = functools.partial(_in_place, nesterov)
        super().__init__("ProximalGradientDescent", {"accum": "m"}, scalars)
        descend = _operation("ApplyGradientDescent")
        shrink = self.reference

        def step(
            var: Any, accum: Any, grad: Any, alpha: Any, l1: Any, l2: Any, kept: Any, rate: Any = None
        ) -> Any:
            velocity = shrink(var=accum, alpha=alpha, l1=l1, l2=l2, delta=grad)
            moved = descend(var=var, alpha=kept, delta=velocity)
            return moved if rate is None else descend(var=moved, alpha=rate, delta=grad)

        self.reference = step


def _adam(xp: Any, hyper: Any, step: Any) -> Dict[str, Any]:
    # The kernel takes 1 - beta in the variable's dtype, where 1 - 0.999 is off by 1e-5: the bias corrections
    # are those of the same rounded betas, so that the error is in the second moment only, not in the
    # parameter. The kernel's own corrections, in that dtype too, are switched off by powers of 0.
    beta_1 = _rounded(weak_value(hyper.beta_1), xp.compute_dtype)
    beta_2 = _rounded(weak_value(hyper.beta_2), xp.compute_dtype)
    t = weak_value(step)
    rate = weak_value(hyper.learning_rate) * (1 - beta_2**t) ** 0.5 / (1 - beta_1**t)
    return {
        "beta1_power": 0.0,
        "beta2_power": 0.0,
        "lr": rate,
        "beta1": beta_1,
        "beta2": beta_2,
        "epsilon": weak_value(hyper.epsilon),
    }


def _adadelta(xp: Any, hyper: Any, step: Any) -> Dict[str, Any]:
    names = {"lr": "learning_rate", "rho": "rho", "epsilon": "epsilon"}
    return {argument: weak_value(getattr(hyper, name)) for argument, name in names.items()}


def _rmsprop(xp: Any, hyper: Any, step: Any) -> Dict[str, Any]:
    return dict(_adadelta(xp, hyper, step), momentum=weak_value(hyper.momentum))


@functools.lru_cache(maxsize=None)  # asked for by each variable
def _of_velocity(nesterov: bool) -> Kernel:
    attributes, instead = {"use_nesterov": nesterov}, _InPlace(nesterov)
    return Kernel("KerasMomentum", {"accum": "m"}, _momentum, attributes=attributes, instead=instead)


def _for_sgd(rule: Any) -> Optional[Kernel]:
    if not rule.has_velocity:
        return Kernel("GradientDescent", {}, _no_momentum, gradient="delta")
    return _of_velocity(bool(rule.nesterov))


def _for_rmsprop(rule: Any) -> Optional[Kernel]:
    # The kernel for a centered one does not keep the variance from falling below 0 by rounding, and both
    # keep a velocity.
    if rule.centered or not rule.has_velocity:
        return None
    return Kernel("RMSProp", {"ms": "rms", "mom": "momentum"}, _rmsprop)


def _for_adam(rule: Any) -> Optional[Kernel]:
    if rule.amsgrad:
        # AdamWithAmsgrad, as AdaMax, takes the larger of a NaN and a number to be the number.
        return None
    return Kernel("Adam", {"m": "m", "v": "v"}, _adam, decays="weight_decay" in type(rule).hypers)


@functools.lru_cache(maxsize=None)
def ftrl_is_of_two_minds() -> bool:
    """Whether the host's kernel for dense gradients keeps Ftrl's linear slot times the learning rate.

    TensorFlow 2.3 to 2.5 do, with l2_shrinkage only, and their kernel for sparse gradients does not.
    """
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        parts = [v1.Variable([value], use_resource=True) for value in (1.0, 1.0, 0.0)]
        handles = dict(zip(("var", "accum", "linear"), [part.handle for part in parts]))
        rates = {"lr": 0.25, "l1": 0.0, "l2": 0.0, "lr_power": -0.5, "l2_shrinkage": 0.0}
        step = _operation("ResourceApplyFtrlV2")(grad=[1.0], **handles, **rates)
        session.run(v1.variables_initializer(parts))
        session.run(step)
        linear: float = session.run(parts[2])[0]
    return abs(linear + 0.6568542) > 0.01  # 1 - (sqrt(2) - 1) / 0.25


_MADE: Dict[Any, Kernel] = {}
_KERNELS: Dict[str, Callable[[Any], Optional[Kernel]]] = {
    "SGD": _for_sgd,
    "Adam": _for_adam,
    "AdamW": _for_adam,
    "Adadelta": lambda rule: Kernel(
        "Adadelta", {"accum": "accum_grad", "accum_update": "accum_var"}, _adadelta
    ),
    "RMSprop": _for_rmsprop,
}


def kernel_of(rule: UpdateRule) -> Optional[Kernel]:
    """The kernel that takes the same step as a rule, or None."""
    name = catalogue_name(rule)
    if name not in _KERNELS:
        return None
    kernel = _KERNELS[name](rule)
    if kernel is None:
        return None
    # One object for all rules that it computes: its scalars are worked out once for them.
    return _MADE.setdefault((kernel.name, kernel.decays, tuple(kernel.attributes.items())), kernel)
