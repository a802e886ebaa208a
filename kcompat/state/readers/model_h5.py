"""HDF5 files of whole models, `model.save("model.h5")`, of every generation of Keras.

`model_weights` has the model's weights, `optimizer_weights` the optimizer's in a list, and the attributes
`model_config` and `training_config` are JSON. Names in the list say whose a slot is, except of Keras' first
API, where it is the place in the list.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ...errors import StateError
from .found import Asked, Found, FoundVariable, keyed, nothing
from .hdf5 import H5
from .positions import Candidate, Split, given, known_class, named, shapes_of, split

_NOT_TRAINED = re.compile(r"(moving_mean|moving_variance|seed_generator_state|count|mean|variance)$")


def read(h5: H5, asked: Asked) -> Found:
    """The optimizer in a model's file.

    Raises:
        StateError: there is none, or it can't be told whose its slots are; or the file is damaged.
    """
    with h5.open() as file:
        training = h5.json(file, "training_config")
        group = h5.child(file, "optimizer_weights")
        names = None if group is None else h5.texts(group, "weight_names")
        if training is None or not names:
            raise _without(h5, file, training)
        arrays = []
        for name in names:
            dataset = h5.child(group, name)
            if dataset is None:
                raise h5.damaged("{!r} is missing in optimizer_weights".format(name))
            arrays.append((re.sub(r":\d+$", "", name), h5.lazy(dataset)))
        model, weights = _model(h5, file)
        cls, config, described = _optimizer(h5, training)
    api = _api(arrays[0][0])
    if api == "keras_3":  # a LossScaleOptimizer's own variables come before those of the one inside
        arrays = arrays[max(i for i, (name, _) in enumerate(arrays) if name.endswith("/iteration")) :]
    own = _is_own(described)
    if own:
        found = _of_own(h5, api, arrays, model)
        cls, config = config.pop("update_rule", None) or described["class_name"], config
    elif api == "optimizer_v2":
        found = _of_v2(h5, arrays, model)
    else:
        found = _of_positions(h5, api, cls, config, arrays, model, asked)
    return found._replace(cls=cls, config=config, own=own, weights=keyed(weights) if asked.weights else None)


def _without(h5: H5, file: Any, training: Any) -> StateError:
    if training is None and (h5.texts(file, "layer_names") is not None):
        return nothing(h5.path, "it is an HDF5 file of a model's weights only", "model.save() writes both.")
    if training is None:
        return nothing(
            h5.path,
            "it is an HDF5 file without training_config",
            "The model was not compiled when it was saved, or with include_optimizer=False.",
        )
    return nothing(
        h5.path,
        "it was saved with the optimizer {}, and without its weights".format(
            _described(training).get("class_name", "of no known class")
        ),
        "tf.keras.optimizers.experimental of TensorFlow 2.9 and 2.10, TensorFlow 1's optimizers in Keras, "
        "and optimizers that had not taken a step are saved so. Save a tf.train.Checkpoint, or the model as "
        "a SavedModel.",
    )


def _described(training: Mapping[str, Any]) -> Dict[str, Any]:
    found = training.get("optimizer_config")
    return found if isinstance(found, dict) else {}


def _optimizer(h5: H5, training: Mapping[str, Any]) -> Tuple[str, Dict[str, Any], Dict[str, Any]]:
    """The optimizer's class and configuration, and how the class was written."""
    found = optimizer_described(_described(training))
    if found is None:
        raise h5.damaged("its training_config describes no optimizer")
    return found


def optimizer_described(described: Any) -> Optional[Tuple[str, Dict[str, Any], Dict[str, Any]]]:
    """An optimizer as Keras writes one down: its class, its configuration, and all of it.

    Out of a LossScaleOptimizer if there is one. None if it describes no optimizer.
    """
    while isinstance(described, dict) and isinstance(described.get("config"), dict):
        config = described["config"]
        inner = config.get("inner_optimizer", config.get("optimizer"))
        if not isinstance(inner, dict):
            registered = described.get("registered_name")
            cls = described.get("class_name")
            if not isinstance(cls, str):
                return None
            if isinstance(registered, str) and ">" in registered:
                described = {**described, "class_name": registered}
            return cls.rpartition(">")[2], dict(config), described
        described = inner
    return None


def _is_own(described: Mapping[str, Any]) -> bool:
    """Whether an optimizer of kcompat is described: registered under the package's name and the API's."""
    return bool(
        re.search(r"\.(get_updates|optimizer_v2|keras_2_11|keras_3)>", str(described.get("class_name")))
    ) or str(described.get("class_name")).startswith("kcompat.")


def _api(first: str) -> str:
    """The API, by what the first of the optimizer's variables is called."""
    last = first.rpartition("/")[2]
    if last == "iter":
        return "optimizer_v2"
    if last == "iteration":
        return "keras_3" if "/" in first else "keras_2_11"
    return "get_updates"


# The model.


def _model(h5: H5, file: Any) -> Tuple[List[Candidate], List[Tuple[str, Any]]]:
    """The model's variables in its order."""
    group = h5.child(file, "model_weights")
    if group is None:
        raise h5.damaged("it has no model_weights")
    frozen = _frozen(h5.json(file, "model_config"))
    candidates, weights = [], []
    layers = h5.texts(group, "layer_names") or []
    if "top_level_model_weights" in group and "top_level_model_weights" not in layers:
        layers = [*layers, "top_level_model_weights"]
    for layer in layers:
        there = h5.child(group, layer)
        for full in h5.texts(there, "weight_names") or []:
            dataset = h5.child(there, full)
            name = re.sub(r":\d+$", "", full)
            array = h5.lazy(dataset)
            trainable = not (layer in frozen or set(name.split("/")) & frozen or _NOT_TRAINED.search(name))
            candidates.append(Candidate(name, array.shape, trainable))
            weights.append((name, array))
    return candidates, weights


def _frozen(config: Any) -> set:
    """The names of layers that are not trained."""
    found, pending = set(), [config]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            if each.get("trainable") is False and isinstance(each.get("name"), str):
                found.add(each["name"])
            pending += [value for value in each.values() if isinstance(value, (dict, list))]
        elif isinstance(each, list):
            pending += [value for value in each if isinstance(value, (dict, list))]
    return found


# OptimizerV2: "Adam/dense/kernel/m".


def _of_v2(h5: H5, arrays: Sequence[Tuple[str, Any]], model: Sequence[Candidate]) -> Found:
    by_variable: Dict[str, Dict[str, Any]] = {}
    shared = {}
    names = [name for name, _ in arrays]
    # The counter is "Adam/iter", and before a restore "training/Adam/iter".
    prefix = next(name for name in names if name.rpartition("/")[2] == "iter").rpartition("/")[0]
    step = None
    for name, array in arrays:
        rest = name[len(prefix) + 1 :] if prefix and name.startswith(prefix + "/") else name
        variable, _, slot = rest.rpartition("/")
        if slot == "iter":
            step = _number(h5, array)
        elif not variable or array.shape == () and slot == "momentum_cache":
            shared["mu_product" if slot == "momentum_cache" else slot] = array
        else:
            by_variable.setdefault(variable, {})[slot] = array
    shapes = [next(iter(slots.values())).shape for slots in by_variable.values()]
    called = dict(zip(by_variable, _resolved(list(by_variable), shapes, model)))
    return _found(h5, "optimizer_v2", step, {called[v]: slots for v, slots in by_variable.items()}, shared)


def _resolved(
    names: Sequence[str], shapes: Sequence[Tuple[int, ...]], model: Sequence[Candidate]
) -> List[str]:
    """Names of variables as the model has them: inside slots' names, a scope may have been counted up."""
    known = {each.name: each.shape for each in model}
    by_bare: Dict[str, List[str]] = {}
    for each in model:
        by_bare.setdefault(_bare(each.name), []).append(each.name)
    taken = {name for name, shape in zip(names, shapes) if known.get(name) == shape}
    result = []
    for name, shape in zip(names, shapes):
        if known.get(name) != shape:
            fitting = [e for e in by_bare.get(_bare(name), []) if known[e] == shape and e not in taken]
            name = fitting[0] if len(fitting) == 1 else name
        result.append(name)
    return result if len(set(result)) == len(result) else list(names)


def _bare(name: str) -> str:
    return "/".join(re.sub(r"(?<=[^\d_])_\d+$", "", part) for part in name.split("/"))


def _number(h5: H5, array: Any) -> int:
    if array.shape != () or array.dtype.kind not in "iu":
        raise h5.damaged("the step counter has shape {} and dtype {}".format(array.shape, array.dtype))
    return int(array.__array__())


def _found(
    h5: H5,
    api: str,
    step: Optional[int],
    by_variable: Mapping[str, Mapping[str, Any]],
    shared: Mapping[str, Any],
) -> Found:
    variables = []
    for name, slots in by_variable.items():
        like = next(iter(slots.values()))
        variables.append(FoundVariable(name, like.shape, str(like.dtype), dict(slots)))
    return Found(
        path=h5.path,
        format="HDF5 file of a model, api {}".format(api),
        api=api,
        name=None,
        cls=None,
        config={},
        step=step,
        variables=variables,
        shared=dict(shared),
    )


# The other APIs: by position, which names confirm.


def _of_positions(
    h5: H5,
    api: str,
    cls: str,
    config: Mapping[str, Any],
    arrays: Sequence[Tuple[str, Any]],
    model: Sequence[Candidate],
    asked: Asked,
) -> Found:
    host = known_class(asked.rule or cls)
    if host is None:
        raise StateError(
            "{}: the optimizer is {}, and the catalogue has no rule for it. If it is one of the catalogue "
            "by another name, give that: kcompat.state.read(path, rule='Adam').".format(
                h5.path, asked.rule or cls
            )
        )
    names = {id(array): name for name, array in arrays}
    parts: Split = split(h5.path, api, host, config, [array for _, array in arrays])
    shapes = shapes_of(parts.slots)
    if asked.variables is not None:
        called = given(h5.path, shapes, asked.variables)
    else:
        stems = [_stem(api, names, slots, model) for slots in parts.slots]
        known = [stem for stem in stems if stem is not None]
        complete = len(known) == len(stems) and len(set(known)) == len(known)
        called = known if complete else named(h5.path, shapes, model)
    return _by_position(h5, api, parts, called)


def _by_position(h5: H5, api: str, parts: Split, called: Sequence[str]) -> Found:
    """What was told apart, with names; slots have the rule's names."""
    variables = [
        FoundVariable(
            name,
            shape,
            str(next(iter(slots.values())).dtype),
            dict(slots),
        )
        for name, shape, slots in zip(called, shapes_of(parts.slots), parts.slots)
    ]
    step = None if parts.step is None else _number(h5, parts.step)
    shared = {} if parts.product is None else {"mu_product": parts.product}
    return _found(h5, api, step, {}, shared)._replace(variables=variables, by_rule=True)


def _stem(
    api: str, names: Mapping[int, str], slots: Mapping[str, Any], model: Sequence[Candidate]
) -> Optional[str]:
    """The variable that a slot's name tells: "Adam/m/dense/kernel", or "adam/dense_kernel_momentum"."""
    array = next(iter(slots.values()))
    parts = names[id(array)].split("/")
    if api == "keras_2_11":
        known = {each.name for each in model}
        whole = ["/".join(parts[start:]) for start in range(1, len(parts))]
        return next((name for name in whole if name in known), None)
    if api == "keras_3":
        fitting = [
            each.name
            for each in model
            if each.shape == array.shape and parts[-1].startswith(each.name.replace("/", "_") + "_")
        ]
        return max(fitting, key=len) if fitting else None
    return None


# kcompat's own.


def _of_own(h5: H5, api: str, arrays: Sequence[Tuple[str, Any]], model: Sequence[Candidate]) -> Found:
    """An optimizer of kcompat: "m/dense/kernel", "dense/kernel/m" or "adam/dense_kernel_m"."""
    if api == "optimizer_v2":
        return _of_v2(h5, arrays, model)
    by_variable: Dict[str, Dict[str, Any]] = {}
    shared, step = {}, None
    paths = {each.name.replace("/", "_"): each.name for each in model}
    for name, array in arrays:
        last = name.rpartition("/")[2]
        if last in ("iteration", "iterations"):
            step = _number(h5, array)
            continue
        if last == "learning_rate":
            continue
        if api == "keras_3":
            fitting = [path for path in paths if last.startswith(path + "_")]
            variable = paths[max(fitting, key=len)] if fitting else ""
            slot = last[len(variable) + 1 :] if fitting else last
        else:
            slot, _, variable = name.partition("/")
        if variable:
            by_variable.setdefault(variable, {})[slot] = array
        else:
            shared[slot] = array
    return _found(h5, api, step, by_variable, shared)
