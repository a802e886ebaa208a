"""keras-adamw's optimizers under their names and with their arguments, native on the API found here.

    from kcompat.adamw import AdamW, NadamW, SGDW
    AdamW(1e-3, model=model, use_cosine_annealing=True, total_iterations=24)

Numbers are those of keras-adamw 1.38, and so is what happens in a step: `optimizer.t_cur` and
`optimizer.eta_t` are variables, which may be read (`K_eval`, `K.get_value`) and set between steps
(`K.set_value(optimizer.t_cur, -1)`, or `optimizer.t_cur = -1`). They are the optimizer classes of
`transforms.WarmRestarts`, made on first access; `from_config` takes keras-adamw's configurations, too.

What differs:

- t_cur and eta_t count updates, also where a variable has no gradient or there are several replicas.
- On the API tf1, t_cur and eta_t are variables from the first step on.
- The configuration holds total_iterations_wd and lr_multipliers, too, so that a model that is loaded goes on
  with them.
- Nothing is printed; `init_verbose` and `verbose` log, at the level INFO.
- With `model` and zero_penalties, keras-adamw zeroes the penalties before it reads them, and nothing decays;
  here they are read first. Its AdamW does nothing with `decay`; here it is inverse-time decay.
- A name of `weight_decays` fits with and without ":0"; on Keras 3 it is the variable's path.
- Penalties are zeroed of every layer inside a model, also of nested ones. In Keras 2.2 and 2.3 they are part
  of the graph once the layer is built, and zeroing them would do nothing: it raises.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import random
import sys
import warnings
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from .errors import HyperparameterError, RuleError

NAMES = ("AdamW", "NadamW", "SGDW")

__all__ = [*NAMES, "K_eval", "fill_dict_in_order", "get_weight_decays", "reset_seeds"]  # noqa: PLE0604

_logger = logging.getLogger(__name__)

# Weight -> the layer's attribute for its regularizer. keras-adamw knows these three.
_REGULARIZERS = {
    "kernel": "kernel_regularizer",
    "recurrent_kernel": "recurrent_regularizer",
    "bias": "bias_regularizer",
}


def _adamw(
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
) -> Tuple[Any, Dict[str, Any]]:
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
    return _arguments("AdamW", rule, dict(locals()))


def _nadamw(
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
) -> Tuple[Any, Dict[str, Any]]:
    """Nadam with the same; arguments as `AdamW`, and schedule_decay.

    The momentum's schedule and epsilon are where keras-adamw has them; see `rules.older.NadamOfKerasAdamW`.
    """
    rate, slow = kwargs.pop("lr", learning_rate), kwargs.pop("schedule_decay", 0.004)
    rule = _rule("older", "NadamOfKerasAdamW")(
        learning_rate=rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon or 1e-7, schedule_decay=slow
    )
    return _arguments("NadamW", rule, dict(locals()))


def _sgdw(
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
) -> Tuple[Any, Dict[str, Any]]:
    """SGD with the same; arguments as `AdamW`, and momentum and nesterov."""
    rule = _rule("sgd", "SGD")(kwargs.pop("lr", learning_rate), momentum, nesterov)
    return _arguments("SGDW", rule, dict(locals()))


def _rule(family: str, name: str) -> Any:
    """A rule by its name, so that a vendored copy may leave out the families that it does not use."""
    return getattr(importlib.import_module(".rules." + family, __package__), name)


def _arguments(where: str, rule: Any, given: Mapping[str, Any]) -> Tuple[Any, Dict[str, Any]]:
    """The whole rule and the base arguments, from the arguments that the three have in common."""
    from .transforms.annealed import WarmRestarts

    base: Dict[str, Any] = dict(given["kwargs"], name=given["name"])
    eta_t = base.pop("eta_t", 1.0)
    if given.get("decay"):
        base["decay"] = given["decay"]
    annealing, steps = bool(given["use_cosine_annealing"]), given["total_iterations"]
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
    multipliers = dict(given["lr_multipliers"] or {})
    if given["init_verbose"]:
        _logger.info("%s: weight decays %s, multipliers %s", where, decays, multipliers)
    restarting = WarmRestarts(
        rule,
        weight_decays=decays,
        lr_multipliers=multipliers,
        total_iterations=steps,
        total_iterations_wd=given["total_iterations_wd"] or None,
        use_cosine_annealing=annealing,
        autorestart=annealing if given["autorestart"] is None else annealing and bool(given["autorestart"]),
        eta_min=given["eta_min"],
        eta_max=given["eta_max"],
        t_cur=given["t_cur"],
        eta_t=eta_t,
    )
    return restarting, base


# Name -> what makes a rule and base arguments of keras-adamw's arguments; its signature is the class's.
_RECIPES: Dict[str, Callable[..., Any]] = {"AdamW": _adamw, "NadamW": _nadamw, "SGDW": _sgdw}


def __getattr__(name: str) -> Any:
    if name not in _RECIPES:
        raise AttributeError(
            "module {!r} has no attribute {!r}; it has {}".format(__name__, name, ", ".join(__all__))
        )
    from .adapters import optimizer_class
    from .transforms.annealed import WarmRestarts

    # Not stored here: KCOMPAT_API may change, and classes are cached where they are made.
    made = optimizer_class(WarmRestarts, name=name)
    if made.recipe is None:
        recipe = _RECIPES[name]
        made.recipe = staticmethod(recipe)
        made.__doc__, made.__signature__ = recipe.__doc__, inspect.signature(recipe)
    return made


def __dir__() -> List[str]:
    return sorted({*globals(), *NAMES})


def get_weight_decays(model: Any, zero_penalties: bool = False) -> Dict[str, Tuple[float, float]]:
    """The penalties of a model's layers: name of a variable -> (l1, l2), without those that are 0.

    Args:
        model: a model, built.
        zero_penalties: whether to set them to 0 on the layers.

    Raises:
        RuleError: they are to be zeroed and are part of a graph already (Keras 2.2 and 2.3).
    """
    found: Dict[str, Tuple[float, float]] = {}
    regularizers: List[Any] = []
    fixed = False
    for layer in _layers(model):
        for weight, attribute in _REGULARIZERS.items():
            regularizer, variable = getattr(layer, attribute, None), getattr(layer, weight, None)
            if regularizer is None or variable is None:
                continue
            l1, l2 = (float(getattr(regularizer, each, 0.0) or 0.0) for each in ("l1", "l2"))
            if l1 or l2:
                found[_bare(getattr(variable, "path", None) or variable.name)] = (l1, l2)
                regularizers.append(regularizer)
                fixed = fixed or _has_tensors(layer)
    if zero_penalties and regularizers:
        if fixed:
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


def _has_tensors(layer: Any) -> bool:
    """Whether a layer's penalties are tensors of a graph, made when it was built, as in Keras 2.2 and 2.3.

    tf.keras makes them anew each time that it is asked, and then of the regularizer as it is.
    """
    before, after = (list(getattr(layer, "losses", ())) for _ in range(2))
    return any(hasattr(loss, "op") and any(loss is each for each in after) for loss in before)


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


def reset_seeds(reset_graph_with_backend: Any = None, verbose: int = 1) -> None:
    """Seeds NumPy with 1, Python with 2, and TensorFlow and PyTorch, if they are imported, with 3.

    Args:
        reset_graph_with_backend: a Keras backend module, whose session and graph are cleared first; or None.
        verbose: whether that is logged.
    """
    import numpy as np

    tensorflow: Any = sys.modules.get("tensorflow")
    torch: Any = sys.modules.get("torch")
    if reset_graph_with_backend is not None:
        reset_graph_with_backend.clear_session()
        if tensorflow is not None:
            tensorflow.compat.v1.reset_default_graph()
    np.random.seed(1)
    random.seed(2)
    if tensorflow is not None:
        tensorflow.compat.v1.set_random_seed(3)
    if torch is not None:
        torch.manual_seed(3)
    if verbose:
        _logger.info("Random seeds reset%s", "" if reset_graph_with_backend is None else ", and the graph")


def K_eval(x: Any, backend: Any = None) -> Any:
    """The value of a variable or tensor, in eager mode, in Keras' graph and on every backend of Keras 3.

    Args:
        x: a variable, such as `optimizer.eta_t`, or a tensor.
        backend: the Keras backend module, in whose session a graph is run; None: that of tf.keras.
    """
    import numpy as np

    inside = getattr(x, "value", None)
    if inside is not None and not callable(inside):  # a variable of Keras 3
        x = inside
    if hasattr(x, "detach"):  # of PyTorch
        x = x.detach().cpu()
    if not hasattr(x, "graph"):
        try:
            return x.numpy() if hasattr(x, "numpy") else np.asarray(x)[()]
        except (AttributeError, NotImplementedError):  # a variable of TensorFlow 1
            pass
    if backend is None:
        backend = importlib.import_module("tensorflow").keras.backend
    return backend.get_value(x) if hasattr(x, "assign") else backend.eval(x)


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
