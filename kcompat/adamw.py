"""keras-adamw's optimizers under their names and with their arguments, native on the API found here.

    from kcompat.adamw import AdamW, NadamW, SGDW
    AdamW(1e-3, model=model, use_cosine_annealing=True, total_iterations=24)

Numbers are those of keras-adamw 1.38. They are functions that make an optimizer; its class, for `isinstance`
and `from_config`, is that of `transforms.AnnealedWeightDecay`. What differs:

- eta_t is a schedule of the number of steps, which a checkpoint restores with it. Setting t_cur by hand, to
  restart, is the argument `restarts` of `schedules.CosineAnnealing`: `optimizer.eta_t = CosineAnnealing(...)`
  before the first step. In the first step, too, eta_t is the cosine's value.
- Nothing is printed; `init_verbose` logs the decays and multipliers, at the level INFO.
- With `model` and zero_penalties, keras-adamw zeroes the penalties before it reads them, and nothing decays;
  here they are read first. Its AdamW does nothing with `decay`; here it is inverse-time decay.
- A name of `weight_decays` fits with and without ":0"; on Keras 3 it is the variable's path.
- Penalties are zeroed of every layer inside a model, also of nested ones. In a TensorFlow 1 graph the
  penalties are part of the loss when the layer is called, and zeroing them would do nothing: it raises.
"""

from __future__ import annotations

import importlib
import logging
import re
import warnings
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from .errors import HyperparameterError, RuleError, UnknownArgumentError

__all__ = ["AdamW", "NadamW", "SGDW", "fill_dict_in_order", "get_weight_decays"]

_logger = logging.getLogger(__name__)

# Weight -> the layer's attribute for its regularizer. keras-adamw knows these three.
_REGULARIZERS = {
    "kernel": "kernel_regularizer",
    "recurrent_kernel": "recurrent_regularizer",
    "bias": "bias_regularizer",
}


def AdamW(
    learning_rate: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: Optional[float] = None,
    decay: float = 0.0,
    amsgrad: bool = False,
    model: Any = None,
    zero_penalties: bool = True,
    total_iterations: int = 0,
    total_iterations_wd: Optional[int] = None,
    use_cosine_annealing: bool = False,
    lr_multipliers: Optional[Mapping[str, float]] = None,
    weight_decays: Optional[Mapping[str, Any]] = None,
    autorestart: Optional[bool] = None,
    init_verbose: bool = True,
    eta_min: float = 0,
    eta_max: float = 1,
    t_cur: int = 0,
    name: str = "AdamW",
    **kwargs: Any,
) -> Any:
    """Adam with normalized decoupled weight decay and warm restarts: arXiv:1711.05101, as keras-adamw has it.

    Args:
        learning_rate, beta_1, beta_2, epsilon, amsgrad: of Adam; an epsilon of None is 1e-7.
        decay: inverse-time decay of the learning rate, per step.
        model: a model whose layers' penalties become the weight decays, in place of `weight_decays`.
        zero_penalties: whether they are then taken off the layers.
        total_iterations: steps of a cycle. Up to 1, there is neither weight decay nor annealing.
        total_iterations_wd: what normalizes the decay, if not total_iterations.
        use_cosine_annealing: whether the learning rate and the decay are annealed.
        lr_multipliers: part of a variable's name -> factor of its learning rate; the first that fits.
        weight_decays: name of a variable -> (l1, l2).
        autorestart: whether a new cycle begins by itself; None: with annealing.
        init_verbose: whether decays and multipliers are logged.
        eta_min, eta_max: bounds of the factor.
        t_cur: where in its cycle the first step is.
        name: the optimizer's name.
        **kwargs: base arguments, such as clipnorm; lr.

    Raises:
        HyperparameterError: autorestart without use_cosine_annealing, or a bad value.
        RuleError: the model's penalties are part of a graph already.
    """
    rule = _rule("adam", "Adam")(kwargs.pop("lr", learning_rate), beta_1, beta_2, epsilon or 1e-7, amsgrad)
    return _made("AdamW", rule, dict(locals()))


def NadamW(
    learning_rate: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    model: Any = None,
    zero_penalties: bool = True,
    total_iterations: int = 0,
    total_iterations_wd: Optional[int] = None,
    use_cosine_annealing: bool = False,
    lr_multipliers: Optional[Mapping[str, float]] = None,
    weight_decays: Optional[Mapping[str, Any]] = None,
    autorestart: Optional[bool] = None,
    init_verbose: bool = True,
    eta_min: float = 0,
    eta_max: float = 1,
    t_cur: int = 0,
    name: str = "NadamW",
    **kwargs: Any,
) -> Any:
    """Nadam with the same; arguments as `AdamW`, and schedule_decay.

    The momentum's schedule and epsilon are where keras-adamw has them; see `rules.older.NadamOfKerasAdamW`.
    """
    rate, slow = kwargs.pop("lr", learning_rate), kwargs.pop("schedule_decay", 0.004)
    rule = _rule("older", "NadamOfKerasAdamW")(
        learning_rate=rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon or 1e-7, schedule_decay=slow
    )
    return _made("NadamW", rule, dict(locals()))


def SGDW(
    learning_rate: Any = 0.01,
    momentum: float = 0.0,
    nesterov: bool = False,
    model: Any = None,
    zero_penalties: bool = True,
    total_iterations: int = 0,
    total_iterations_wd: Optional[int] = None,
    use_cosine_annealing: bool = False,
    lr_multipliers: Optional[Mapping[str, float]] = None,
    weight_decays: Optional[Mapping[str, Any]] = None,
    autorestart: Optional[bool] = None,
    init_verbose: bool = True,
    eta_min: float = 0,
    eta_max: float = 1,
    t_cur: int = 0,
    name: str = "SGDW",
    **kwargs: Any,
) -> Any:
    """SGD with the same; arguments as `AdamW`, and momentum and nesterov."""
    rule = _rule("sgd", "SGD")(kwargs.pop("lr", learning_rate), momentum, nesterov)
    return _made("SGDW", rule, dict(locals()))


def _rule(family: str, name: str) -> Any:
    """A rule by its name, so that a vendored copy may leave out the families that it does not use."""
    return getattr(importlib.import_module(".rules." + family, __package__), name)


def _made(where: str, rule: Any, given: Mapping[str, Any]) -> Any:
    """The optimizer around a rule, from the arguments that the three have in common."""
    from .adapters import optimizer
    from .schedules import CosineAnnealing
    from .transforms.annealed import AnnealedWeightDecay
    from .transforms.partition import LearningRateMultipliers

    base: Dict[str, Any] = dict(given["kwargs"], name=given["name"])
    if base.pop("eta_t", 1.0) != 1.0:
        raise UnknownArgumentError(
            "{}(eta_t=...): it is computed from eta_min, eta_max and t_cur here. Leave it out.".format(where)
        )
    if given.get("decay"):
        base["decay"] = given["decay"]
    annealing, steps = given["use_cosine_annealing"], given["total_iterations"]
    if given["autorestart"] and not annealing:
        raise HyperparameterError(
            "{}(autorestart=True): expected use_cosine_annealing=True with it.".format(where)
        )
    decays = dict(given["weight_decays"] or {})
    if steps > 1 and given["model"] is not None:
        if decays:
            warnings.warn("{}: the weight decays of the model replace weight_decays.".format(where))
        decays = get_weight_decays(given["model"], given["zero_penalties"])
    if steps <= 1 and (annealing or decays):
        warnings.warn(
            "{}(total_iterations={}): it must be more than 1 for weight decay and annealing; there is "
            "neither.".format(where, steps)
        )
        annealing, decays = False, {}
    multipliers = given["lr_multipliers"]
    if multipliers:
        rule = LearningRateMultipliers(rule, [[re.escape(_bare(k)), v] for k, v in multipliers.items()])
    eta_t: Any = 1.0
    if annealing:
        restart = given["autorestart"] is None or given["autorestart"]
        eta_t = CosineAnnealing(steps, given["eta_min"], given["eta_max"], given["t_cur"], restart)
    if given["init_verbose"]:
        _logger.info("%s: weight decays %s, multipliers %s", where, decays, dict(multipliers or {}))
    return optimizer(
        AnnealedWeightDecay(
            rule,
            [[r"\A{}\Z".format(re.escape(_bare(key))), value] for key, value in decays.items()],
            max(steps, 1),
            given["total_iterations_wd"] or None,
            eta_t,
        ),
        **base,
    )


def get_weight_decays(model: Any, zero_penalties: bool = False) -> Dict[str, Tuple[float, float]]:
    """The penalties of a model's layers: name of a variable -> (l1, l2), without those that are 0.

    Args:
        model: a model, built.
        zero_penalties: whether to set them to 0 on the layers.

    Raises:
        RuleError: they are to be zeroed and are part of a TensorFlow 1 graph already.
    """
    found: Dict[str, Tuple[float, float]] = {}
    regularizers: List[Any] = []
    for layer in _layers(model):
        for weight, attribute in _REGULARIZERS.items():
            regularizer, variable = getattr(layer, attribute, None), getattr(layer, weight, None)
            if regularizer is None or variable is None:
                continue
            l1, l2 = (float(getattr(regularizer, each, 0.0) or 0.0) for each in ("l1", "l2"))
            if l1 or l2:
                found[_bare(getattr(variable, "path", None) or variable.name)] = (l1, l2)
                regularizers.append(regularizer)
    if zero_penalties and regularizers:
        if any(hasattr(loss, "op") and not hasattr(loss, "numpy") for loss in model.losses):
            raise RuleError(
                "The penalties of {} are part of a TensorFlow 1 graph, and can't be zeroed there. Take "
                "get_weight_decays(model), make the model without regularizers, and give them as "
                "weight_decays.".format(getattr(model, "name", model))
            )
        for regularizer in regularizers:
            for each in ("l1", "l2"):
                value = getattr(regularizer, each, None)
                if value is not None:
                    setattr(regularizer, each, value * 0)
    return found


def fill_dict_in_order(names: Dict[str, Any], values: Any) -> Dict[str, Any]:
    """Gives the keys of a dict new values in their order, such as decays for `get_weight_decays` of a model.

    Args:
        names: the dict, which is changed and given back.
        values: one value a key.

    Raises:
        HyperparameterError: there are not as many values as keys.
    """
    if len(names) != len(values):
        raise HyperparameterError(
            "fill_dict_in_order(): {} keys and {} values; expected as many.".format(len(names), len(values))
        )
    for name, value in zip(list(names), values):
        names[name] = value
    return names


def _layers(layer: Any) -> Iterator[Any]:
    """A layer and those inside it: of models, cells and wrappers."""
    yield layer
    inside = list(getattr(layer, "layers", None) or ())
    for name in ("cell", "layer", "forward_layer", "backward_layer"):
        each = getattr(layer, name, None)
        if each is not None and not any(each is known for known in inside):
            inside.append(each)
    for each in inside:
        for found in _layers(each):
            yield found


def _bare(name: str) -> str:
    return name[: -len(":0")] if name.endswith(":0") else name
