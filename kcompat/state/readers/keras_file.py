"""Keras' newer files: `.keras`, which is a zip file, and `.weights.h5`, which is what it holds.

Variables are kept below the path to their layer, as `layers/dense/vars/0`, and the optimizer's as
`optimizer/vars/0` and on, by position. Whose slots they are follows from the order of the model's variables:
in a `.keras` file its configuration says which layers there are. No layer is made, and no code of a layer
(Lambda) is looked at.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import tempfile
import zipfile
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ...errors import StateError
from .found import Asked, Found, FoundVariable, keyed, nothing
from .hdf5 import H5, parsed
from .meaning import meant
from .model_h5 import optimizer_described
from .positions import Candidate, given, known_class, named, shapes_of, split, unnamed

_LARGEST_JSON = 1 << 28
# More than deflate can do: what claims it is no honest file.
_LARGEST_RATIO = 1100
_CHUNK = 1 << 20

# Names of a layer's own variables in their order, by its class in lower case.
_KERNEL = ("kernel", "bias")
_CELL = ("kernel", "recurrent_kernel", "bias")
_NAMES: Mapping[str, Tuple[str, ...]] = {
    **dict.fromkeys(
        "dense einsumdense conv1d conv2d conv3d conv1dtranspose conv2dtranspose conv3dtranspose "
        "depthwiseconv1d depthwiseconv2d".split(),
        _KERNEL,
    ),
    **dict.fromkeys(("lstmcell", "grucell", "simplernncell", "cell"), _CELL),
    **dict.fromkeys(("querydense", "keydense", "valuedense", "outputdense"), _KERNEL),
    "separableconv1d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "separableconv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "batchnormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layernormalization": ("gamma", "beta"),
    "groupnormalization": ("gamma", "beta"),
    "embedding": ("embeddings",),
    "prelu": ("alpha",),
}
_NOT_TRAINED = ("moving_mean", "moving_variance")
# The order of what is inside layers of Keras, where it is not that of the alphabet.
_INSIDE_ATTENTION = {
    "query_dense": "query",
    "key_dense": "key",
    "value_dense": "value",
    "output_dense": "attention_output",
}
_ORDER = (
    "layer",
    "forward_layer",
    "backward_layer",
    "query_dense",
    "key_dense",
    "value_dense",
    "output_dense",
)
# What stands beside the layers.
_NO_LAYERS = ("optimizer", "metrics", "vars", "_metrics", "loss", "_loss_tracker", "_compile_metrics")


class _Leaf(NamedTuple):
    """The variables that a layer has itself.

    Attributes:
        place: where it is in the file.
        variables: a name and array for each, and whether it is trained, None where that is not known.
        turn: the order among others, for each level (number, "") where it is known, (a stem, count) where it
            is that of layers of one class only, ("", name) where it is not.
    """

    place: str
    variables: List[Tuple[str, Any, Optional[bool]]]
    turn: Tuple[Any, ...]


def read_weights(h5: H5, asked: Asked, config: Optional[Dict[str, Any]] = None) -> Found:
    """The optimizer in a `.weights.h5` file.

    Args:
        h5: the file.
        asked: what is wanted.
        config: the configuration of the model, out of a `.keras` file.

    Raises:
        StateError: there is none, or it can't be told whose its slots are; or the file is damaged.
    """
    with h5.open() as file:
        group = _inner(h5, file) or h5.child(file, "optimizer/vars")
        described = None
        if config is not None and isinstance(config.get("compile_config"), dict):
            described = optimizer_described(config["compile_config"].get("optimizer"))
        if group is None or not h5.keys(group):
            raise _without(h5, described)
        name = group.attrs.get("name")
        numbers = sorted(int(key) for key in h5.keys(group) if key.isdigit())
        if numbers != list(range(len(numbers))):
            raise h5.damaged("the optimizer's variables are {}".format(numbers[:10]))
        arrays = [h5.lazy(h5.child(group, str(number))) for number in numbers]
        own = _own(h5, group, arrays)
        leaves = _leaves(h5, file, config)
    api = "keras_3" if _has_rate(arrays) or _is_3(h5, config, name) else "keras_2_11"
    weights = [(each, array) for leaf in leaves for each, array, _ in leaf.variables]
    if own is not None:
        found = own._replace(api=api)
    else:
        cls = known_class(asked.rule or (described[0] if described else _text(name)))
        if cls is None:
            raise _unknown(h5, None if asked.rule else described, asked.rule or name)
        own_config = described[1] if described and asked.rule is None else None
        if own_config is None and asked.hyper:
            own_config = dict(asked.hyper)
        found = _of_positions(h5, api, cls, own_config, arrays, leaves, asked)
        found = found._replace(cls=cls, config=_with_rate(dict(own_config or {}), found.config))
    if described:
        found = found._replace(cls=found.cls or described[0], config={**described[1], **found.config})
    if own is not None and described:
        found = found._replace(cls=found.config.pop("update_rule", None) or described[0])
    return found._replace(weights=keyed(weights) if asked.weights else None)


def read_zip(path: str, asked: Asked) -> Found:
    """The optimizer in a `.keras` file.

    Raises:
        StateError: there is none, or it can't be told whose its slots are; or the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = _json(path, archive, "config.json")
            if "model.weights.h5" not in archive.namelist():
                raise StateError(
                    "{} is a zip file without model.weights.h5; expected a .keras file. It holds {}.".format(
                        path, ", ".join(archive.namelist()[:8])
                    )
                )
            with _member(path, archive, "model.weights.h5") as file:
                contents = tempfile.TemporaryFile()
                for chunk in iter(lambda: file.read(_CHUNK), b""):
                    contents.write(chunk)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, StateError):
            raise
        raise StateError("{} is no .keras file, or is damaged: {}.".format(path, error)) from error
    return read_weights(H5(path, contents), asked, config)


@contextlib.contextmanager
def _member(path: str, archive: zipfile.ZipFile, name: str) -> Iterator[Any]:
    info = archive.getinfo(name)
    if info.file_size > _LARGEST_RATIO * (info.compress_size + 1):
        raise StateError(
            "{}: {} would become {} bytes out of {}, which is more than can be.".format(
                path, name, info.file_size, info.compress_size
            )
        )
    with archive.open(info) as file:
        yield file


def _json(path: str, archive: zipfile.ZipFile, name: str) -> Dict[str, Any]:
    if name not in archive.namelist():
        raise StateError("{} is a zip file without {}; expected a .keras file.".format(path, name))
    with _member(path, archive, name) as file:
        if archive.getinfo(name).file_size > _LARGEST_JSON:
            raise StateError(
                "{}: its {} has {} bytes; expected at most {}, which is more than Keras writes.".format(
                    path, name, archive.getinfo(name).file_size, _LARGEST_JSON
                )
            )
        return parsed(path, name, file.read(_LARGEST_JSON))


def _text(value: Any) -> Optional[str]:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _without(h5: H5, described: Optional[Tuple[str, Dict[str, Any], Any]]) -> StateError:
    if described is not None:
        return nothing(
            h5.path,
            "it was saved with the optimizer {}, and without its variables".format(described[0]),
            "An OptimizerV2 (tf.keras.optimizers.legacy) is always saved so; a model that was saved as .h5 "
            "before loses its optimizer in Keras 3.0 to 3.15. Save HDF5 or a tf.train.Checkpoint.",
        )
    return nothing(
        h5.path,
        "it has no optimizer/vars",
        "The model was not compiled when it was saved, had not taken a step, or its optimizer was an "
        "OptimizerV2.",
    )


def _unknown(h5: H5, described: Any, name: Any) -> StateError:
    said = (
        "the optimizer is {}".format(described[0]) if described else "it does not say which optimizer it is"
    )
    if not described and name:
        said = "the optimizer is called {!r}".format(_text(name))
    return StateError(
        "{}: {}, and its variables are kept by position. Give the class: kcompat.state.read(path, "
        "rule='Adam').".format(h5.path, said)
    )


def _inner(h5: H5, file: Any) -> Any:
    """The variables of an optimizer inside a LossScaleOptimizer."""
    for name in ("inner_optimizer", "_optimizer"):
        group = h5.child(file, "optimizer/{}/vars".format(name))
        if group is not None and h5.keys(group):
            return group
    return None


def _has_rate(arrays: Sequence[Any]) -> bool:
    """Whether the learning rate stands after the step counter, as in Keras 3."""
    return len(arrays) > 1 and arrays[1].shape == () and arrays[1].dtype.kind == "f"


def _is_3(h5: H5, config: Optional[Mapping[str, Any]], name: Any) -> bool:
    """Whether Keras 3 wrote it: it writes its optimizers' names, and its configuration has dtype policies."""
    if config is None:
        return name is not None
    described = json.dumps(config.get("compile_config") or {})
    return "loss_scale_factor" in described or "gradient_accumulation_steps" in described


def _with_rate(config: Dict[str, Any], known: Mapping[str, Any]) -> Dict[str, Any]:
    """A configuration with the learning rate that the optimizer had, unless it is a schedule."""
    if "learning_rate" in known and not isinstance(config.get("learning_rate"), dict):
        config["learning_rate"] = known["learning_rate"]
    return config


def _of_positions(
    h5: H5,
    api: str,
    cls: str,
    config: Optional[Dict[str, Any]],
    arrays: Sequence[Any],
    leaves: Sequence[_Leaf],
    asked: Asked,
) -> Found:
    ordered = all(_before(one.turn, other.turn) for one, other in zip(leaves, leaves[1:]))

    def name_them(shapes: List[Tuple[int, ...]]) -> List[str]:
        if not shapes:
            return []
        if asked.variables is not None:
            return given(h5.path, shapes, asked.variables)
        if ordered:
            return named(
                h5.path, shapes, [Candidate(n, a.shape, t) for x in leaves for n, a, t in x.variables]
            )
        return _arranged(h5.path, shapes, leaves)

    def fits(shapes: List[Tuple[int, ...]]) -> bool:
        try:
            name_them(shapes)
        except StateError:
            return False
        return True

    try:
        parts = split(h5.path, api, cls, config, arrays, fits)
    except StateError:
        # Perhaps the slots can be told apart, and only their variables can't: that is what is to be said.
        parts = split(h5.path, api, cls, config, arrays)
    shapes = shapes_of(parts.slots)
    called = name_them(shapes)
    step = None
    if parts.step is not None:
        step = int(np.asarray(parts.step))
    known = {}
    if parts.rate is not None:
        known["learning_rate"] = meant(np.asarray(parts.rate).item())
    variables = [
        FoundVariable(name, shape, str(next(iter(slots.values())).dtype), slots)
        for name, shape, slots in zip(called, shapes, parts.slots)
    ]
    return Found(
        path=h5.path,
        format="Keras file, api {}".format(api),
        api=api,
        name=None,
        cls=None,
        config=known,
        step=step,
        variables=variables,
        shared={} if parts.product is None else {"mu_product": parts.product},
        by_rule=True,
    )


def _own(h5: H5, group: Any, arrays: Sequence[Any]) -> Optional[Found]:
    """What kcompat wrote, which says itself whose its slots are; None of anybody else's."""
    layout = h5.child(group, "layout")
    if layout is None:
        return None
    described = parsed(h5.path, "layout", bytes(bytearray(np.asarray(h5.lazy(layout)).tolist())))
    rest = list(arrays[1:])
    try:
        variables = []
        for name, shape, slots in described["variables"]:
            taken = {str(slot): rest.pop(0) for slot in slots}
            dtype = str(next(iter(taken.values())).dtype) if taken else "float32"
            variables.append(FoundVariable(str(name), tuple(int(size) for size in shape), dtype, taken))
        shared = {str(name): rest.pop(0) for name in described["shared"]}
        step = int(np.asarray(arrays[0]))
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise h5.damaged("its layout is {}".format(error)) from error
    rate = h5.child(group, "learning_rate")
    config = {} if rate is None else {"learning_rate": float(np.asarray(h5.lazy(rate)))}
    return Found(
        path=h5.path,
        format="Keras file of kcompat",
        api="keras_3",
        name=_text(group.attrs.get("name")),
        cls=None,
        config=config,
        step=step,
        variables=variables,
        shared=shared,
        own=True,
    )


# The model's variables.


def _leaves(h5: H5, file: Any, config: Optional[Mapping[str, Any]]) -> List[_Leaf]:
    """The layers' own variables, in the model's order if its configuration says which that is."""
    found = list(_below(h5, file, "", (), config, "", False))
    root = h5.child(file, "vars")
    if _layers(config) is None and (root is None or "name" not in root.attrs):
        # Layers are called by their classes in such a file, counted up. One of the model's may have that very
        # name and be another, so that the names given to its variables must be none that a variable has.
        found = [
            leaf._replace(
                variables=[("{}/vars/{}".format(leaf.place, i), *v[1:]) for i, v in enumerate(leaf.variables)]
            )
            for leaf in found
        ]
    return found


def _below(
    h5: H5,
    group: Any,
    path: str,
    turn: Tuple[Any, ...],
    config: Optional[Mapping[str, Any]],
    kind: str,
    frozen: bool,
) -> Iterator[_Leaf]:
    variables = h5.child(group, "vars")
    if variables is not None and h5.keys(variables):
        yield _leaf(h5, variables, path, turn, config, kind, frozen)
    described = _layers(config)
    container = h5.child(group, "layers")
    if container is not None:
        for i, (key, layer) in enumerate(_in_order(h5.keys(container), described)):
            below = h5.child(container, key)
            name = _name(h5, below, layer, key)
            where = "{}/{}".format(path, name).lstrip("/")
            stem, number = _stem(key)
            still = frozen or _is_frozen(layer)
            place: Tuple[Any, ...] = (stem, number) if layer is None else (i, "")
            yield from _below(h5, below, where, (*turn, place), layer, stem, still)
    inside = [
        key for key in h5.keys(group) if key not in ("layers", *(_NO_LAYERS if not path else ("vars",)))
    ]
    if "layer" in inside and {"forward_layer", "backward_layer"} <= set(inside):
        inside.remove("layer")  # Bidirectional keeps what its two were made of, which has no variables
    for key in sorted(inside, key=_rank):
        below = h5.child(group, key)
        if h5.is_group(below):
            name, inner = _name(h5, below, None, key), _inside(config, kind, key)
            if name == key and inner is not None:
                name = inner
            where = "{}/{}".format(path, name).lstrip("/")
            place = (_rank(key)[0], "") if _rank(key)[0] < len(_ORDER) else ("", key)
            wrapped = _wrapped(config) if key in ("layer", "forward_layer", "backward_layer") else None
            yield from _below(h5, below, where, (*turn, place), wrapped, key, frozen)


def _leaf(
    h5: H5,
    group: Any,
    path: str,
    turn: Tuple[Any, ...],
    config: Optional[Mapping[str, Any]],
    kind: str,
    frozen: bool,
) -> _Leaf:
    numbers = sorted(int(key) for key in h5.keys(group) if key.isdigit())
    arrays = [h5.lazy(h5.child(group, str(number))) for number in numbers]
    plain = kind.replace("_", "").lower()
    names: Optional[Tuple[str, ...]] = _NAMES.get(plain)
    own = (config or {}).get("config")
    if names is not None and plain.endswith("normalization"):
        settings = own if isinstance(own, dict) else {}
        names = tuple(
            name
            for name in names
            if not (name == "gamma" and settings.get("scale") is False)
            and not (name == "beta" and settings.get("center") is False)
        )
    if names is None or len(arrays) > len(names):
        trainable: List[Optional[bool]] = [False if frozen else None] * len(arrays)
        called = ["vars/{}".format(number) for number in numbers]
    else:
        called = list(names[: len(arrays)])
        trainable = [not frozen and name not in _NOT_TRAINED for name in called]
    if kind.endswith("seed_generator"):
        trainable = [False] * len(arrays)
    return _Leaf(
        str(group.name).strip("/")[: -len("/vars")],
        [
            ("{}/{}".format(path, name).lstrip("/"), array, t)
            for name, array, t in zip(called, arrays, trainable)
        ],
        turn,
    )


def _layers(config: Optional[Mapping[str, Any]]) -> Optional[List[Mapping[str, Any]]]:
    """The layers of a model that is made of them, in order; None where they are not known."""
    inner = (config or {}).get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        return None
    return layers


def _in_order(
    keys: Sequence[str], layers: Optional[Sequence[Mapping[str, Any]]]
) -> List[Tuple[str, Optional[Mapping[str, Any]]]]:
    """The names under which a file has a model's layers, in the model's order, and what describes each."""
    if layers is None:
        return [(key, None) for key in sorted(keys, key=lambda key: _stem(key))]
    # A layer is called by its class, counted up; the first is not counted.
    counts: Dict[str, int] = {}
    found = []
    for layer in layers:
        name = _snake(str(layer.get("class_name", "")).rpartition(">")[2])
        count = counts[name] = counts.get(name, -1) + 1
        key = "{}_{}".format(name, count) if count else name
        if key in keys:
            found.append((key, layer))
    rest = sorted(set(keys) - {key for key, _ in found}, key=lambda key: _stem(key))
    return found + [(key, None) for key in rest]


def _snake(name: str) -> str:
    """A class's name as Keras writes it: "BatchNormalization" is batch_normalization, "Conv2D" conv2d."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _stem(key: str) -> Tuple[str, int]:
    match = re.match(r"(.*?)_(\d+)$", key)
    return (match.group(1), int(match.group(2))) if match else (key, 0)


def _name(h5: H5, group: Any, layer: Optional[Mapping[str, Any]], key: str) -> str:
    """What a layer is called: as its configuration says, or the file; else as the file calls its place."""
    inner = (layer or {}).get("config")
    if isinstance(inner, dict) and isinstance(inner.get("name"), str):
        return str(inner["name"])
    if key.lstrip("_") in _INSIDE_ATTENTION:
        return _INSIDE_ATTENTION[key.lstrip("_")]
    variables = h5.child(group, "vars") if h5.is_group(group) else None
    said = _text(variables.attrs.get("name")) if variables is not None else None
    return said if isinstance(said, str) and said else key


def _is_frozen(layer: Optional[Mapping[str, Any]]) -> bool:
    inner = (layer or {}).get("config")
    return isinstance(inner, dict) and inner.get("trainable") is False


def _wrapped(config: Optional[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
    """The layer inside a wrapper such as Bidirectional."""
    inner = (config or {}).get("config")
    layer = inner.get("layer") if isinstance(inner, dict) else None
    return layer if isinstance(layer, dict) and isinstance(layer.get("config"), dict) else None


def _inside(config: Optional[Mapping[str, Any]], kind: str, key: str) -> Optional[str]:
    """What Keras calls a layer's inner part, in files that have no names of layers."""
    if key == "cell":
        cls = str((config or {}).get("class_name", kind))
        return "{}_cell".format(_snake(cls.rpartition(">")[2])) if config is not None else None
    layer = _wrapped(config)
    if key in ("forward_layer", "backward_layer") and layer is not None:
        return "{}_{}".format(key.partition("_")[0], layer["config"].get("name"))
    return None


def _rank(key: str) -> Tuple[int, str]:
    plain = key.lstrip("_")
    return (_ORDER.index(plain) if plain in _ORDER else len(_ORDER), key)


# Without a configuration, the order of a model's layers is not known, only that of those of one class.


def _arranged(path: str, shapes: Sequence[Tuple[int, ...]], leaves: Sequence[_Leaf]) -> List[str]:
    """The names of the variables at an optimizer's positions, if the shapes allow one order only.

    Raises:
        StateError: they allow none, or several.
    """
    units = []
    for leaf in leaves:
        trained = [(name, array.shape) for name, array, trainable in leaf.variables if trainable is not False]
        if trained:
            units.append((leaf.turn, trained))
    ways = list(itertools.islice(_ways(list(shapes), units, [20000]), 2))
    if len(ways) != 1:
        raise unnamed(path, shapes)
    return ways[0]


def _ways(
    shapes: Sequence[Tuple[int, ...]], units: Sequence[Tuple[Any, Any]], budget: List[int]
) -> Iterator[List[str]]:
    """The orders of layers in which their variables have these shapes; two equal ones if too many."""
    if not units:
        if not shapes:
            yield []
        return
    for i, (turn, trained) in enumerate(units):
        budget[0] -= 1
        if budget[0] < 0:
            yield []
            yield []
            return
        if [shape for _, shape in trained] != list(shapes[: len(trained)]):
            continue
        if any(_before(other, turn) for j, (other, _) in enumerate(units) if j != i):
            continue
        rest = [*units[:i], *units[i + 1 :]]
        for way in _ways(shapes[len(trained) :], rest, budget):
            yield [name for name, _ in trained] + way


def _before(one: Tuple[Any, ...], other: Tuple[Any, ...]) -> bool:
    """Whether a layer is known to come before another: of one class, or in a known place of one layer."""
    for first, second in zip(one, other):
        if first == second:
            continue
        if isinstance(first[0], int) and isinstance(second[0], int):
            return bool(first[0] < second[0])
        return bool(first[0] == second[0] and first[1] < second[1] and first[0] != "")
    return len(one) < len(other)
