"""Object checkpoints of TensorFlow 2: `tf.train.Checkpoint`, `save_weights` in TensorFlow's format, and the
variables of a SavedModel.

The checkpoint holds the graph of the objects that were saved: of each, its attributes, and of an optimizer of
the first two APIs the slots. Names of variables are those that they had.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

from ...errors import StateError
from .. import slot_names
from .bundle import Bundle
from .found import Asked, Found, FoundVariable, choose, keyed, nothing
from .meaning import meant, step_from_powers
from .wire import WireError, fields, messages, one, text

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
# What wraps an optimizer: LossScaleOptimizer of all generations.
_INNER = ("_optimizer", "base_optimizer", "inner_optimizer")
_COUNTERS = ("iter", "_iterations", "iterations")
_POWERS = (("beta1_power", "beta_1", 0.9), ("beta2_power", "beta_2", 0.999))
_EXACT = "_exact"
_RATE = ("_learning_rate", "learning_rate")
# What keras_2_11 calls the variables of a list, before the name of the model's: "Adam/m/dense/kernel".
_CALLED = {
    "_accumulated_delta_vars": ("accumulated_delta_var",),
    "_accumulated_grads": ("accumulated_grad",),
    "_accumulators": ("accumulator",),
    "_average_gradients": ("average_gradient",),
    "_c": ("c", "r"),
    "_linears": ("linear",),
    "_m": ("m",),
    "_model_variables_moving_average": ("average",),
    "_momentums": ("m", "momentum"),
    "_r": ("r",),
    "_u": ("u",),
    "_v": ("v",),
    "_velocities": ("v", "velocity"),
    "_velocity_hats": ("vhat",),
    "momentums": ("m",),
}


class _Node(NamedTuple):
    """An object: its attributes that are objects, the tensor that it is, and the slots it keeps."""

    children: Dict[str, int]
    name: str
    key: Optional[str]
    slots: List[Tuple[int, str, int]]


class _Graph:
    """The objects of a checkpoint."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        try:
            found = messages(fields(bundle.string(GRAPH)), 1)
            self.nodes = [_node(message) for message in found]
        except WireError as error:
            raise StateError(
                "{}: its graph of objects is damaged: {}.".format(bundle.prefix, error)
            ) from error
        for node in self.nodes:
            numbers = [
                *node.children.values(),
                *(each for one, _, other in node.slots for each in (one, other)),
            ]
            if any(number >= len(self.nodes) for number in numbers):
                raise StateError("{}: its graph of objects is damaged.".format(bundle.prefix))
        self.paths = self._paths()

    def _paths(self) -> Dict[int, str]:
        """The shortest way to each object from the root."""
        paths = {0: ""} if self.nodes else {}
        pending = deque(paths)
        while pending:
            number = pending.popleft()
            for name, child in self.nodes[number].children.items():
                if child not in paths:
                    paths[child] = "{}/{}".format(paths[number], name).lstrip("/")
                    pending.append(child)
        return paths

    def below(self, number: int, without: Iterable[str] = ()) -> Set[int]:
        """The objects that can be reached from one, itself included, not through some of its attributes."""
        pending = [child for name, child in self.nodes[number].children.items() if name not in without]
        found = {number}
        while pending:
            each = pending.pop()
            if each not in found:
                found.add(each)
                pending += self.nodes[each].children.values()
        return found

    def is_variable(self, number: int) -> bool:
        """Whether an object is a variable whose numbers are there."""
        key = self.nodes[number].key
        return key is not None and key in self.bundle and self.bundle.is_number(key)

    def lazy(self, number: int) -> Any:
        """The value of a variable."""
        return self.bundle.lazy(str(self.nodes[number].key))

    def shape(self, number: int) -> Tuple[int, ...]:
        """The shape of a variable."""
        return self.bundle.shape(str(self.nodes[number].key))

    def dtype(self, number: int) -> str:
        """The dtype of a variable, by name."""
        return self.bundle.dtype(str(self.nodes[number].key))

    def scalar(self, number: int) -> Any:
        """The value of a scalar, a Python number."""
        key = str(self.nodes[number].key)
        if self.bundle.shape(key) != ():
            raise StateError(
                "{}: {} has shape {}; expected a scalar.".format(
                    self.bundle.prefix, key, self.bundle.shape(key)
                )
            )
        return self.bundle.read(key).item()

    def is_optimizer(self, number: int) -> bool:
        """Whether an object is an optimizer, and not one that only wraps another."""
        node = self.nodes[number]
        inside = [node.children[name] for name in _INNER if name in node.children]
        if any(self.is_optimizer(each) for each in inside if each != number):
            return False
        if node.slots or "beta1_power" in node.children:
            return True
        return any(name in node.children and self.is_variable(node.children[name]) for name in _COUNTERS)

    def variables(self, optimizers: Iterable[int]) -> List[int]:
        """The variables that are neither an optimizer's nor a metric's."""
        theirs: Set[int] = set()
        model: Set[int] = set()
        for number in optimizers:
            node = self.nodes[number]
            lists = [node.children[name] for name in ("_trainable_variables",) if name in node.children]
            model |= {each for start in lists for each in self.below(start)}
            model |= {original for original, _, _ in node.slots}
            theirs |= self.below(number, without=("_trainable_variables",)) | {
                slot for _, _, slot in node.slots
            }
        return [
            number
            for number, path in self.paths.items()
            if self.is_variable(number)
            and (number in model or number not in theirs)
            and not {"metrics", "keras_api", "save_counter"} & set(path.split("/"))
        ]


def read(path: str, bundle: Bundle, asked: Asked, described: Any = None) -> Found:
    """The optimizer in an object checkpoint.

    Args:
        path: the file, for messages.
        bundle: the checkpoint.
        asked: what is wanted.
        described: of a SavedModel, the class and configuration of its optimizer, if they are known.

    Raises:
        StateError: there is no optimizer, or several and none was named; or the file is damaged.
    """
    graph = _Graph(bundle)
    optimizers = [number for number in graph.paths if graph.is_optimizer(number)]
    if not optimizers:
        raise nothing(
            path,
            "it holds {} variables, and none of the objects in it is an optimizer".format(
                len(graph.variables([]))
            ),
            "Keras writes none with model.export(), nor where the model was not compiled.",
        )
    names = [graph.paths[number] or "(the root)" for number in optimizers]
    chosen = optimizers[choose(path, names, asked.optimizer)]
    model = graph.variables(optimizers)
    node = graph.nodes[chosen]
    found = (
        _of_slots(graph, chosen, path)
        if _is_of_slots(graph, chosen)
        else _of_lists(graph, chosen, model, path)
    )
    if described is not None:
        cls, config = described
        found = found._replace(cls=cls, config={**config, **found.config})
    if found.step is None and node.slots and found.api == "tf1":
        found = found._replace(step=_powers(graph, chosen, path, asked))
    if asked.weights:
        found = found._replace(weights=_weights(graph, model))
    for variable in found.variables:
        for array in variable.slots.values():
            array.__array__()  # the checksums are compared now
    return found


def _node(message: Dict[int, List[Any]]) -> _Node:
    children = {text(one(each, 2, b"")): one(each, 1, 0) for each in messages(message, 1)}
    name, key = "", None
    for attribute in messages(message, 2):
        if text(one(attribute, 1, b"")) == _VALUE:
            name, key = text(one(attribute, 2, b"")), text(one(attribute, 3, b""))
    slots = [(one(each, 1, 0), text(one(each, 2, b"")), one(each, 3, 0)) for each in messages(message, 3)]
    return _Node(children, name, key, slots)


def _weights(graph: _Graph, model: List[int]) -> Dict[str, Any]:
    weights = keyed((graph.nodes[each].name or graph.paths[each], graph.lazy(each)) for each in model)
    for array in weights.values():
        array.__array__()
    return weights


# The first two APIs: slots belong to a variable.


def _is_of_slots(graph: _Graph, number: int) -> bool:
    node = graph.nodes[number]
    known = {"iter", "iterations", "beta1_power"}
    return bool(node.slots or known & set(node.children)) and "_variables" not in node.children


def _of_slots(graph: _Graph, number: int, path: str) -> Found:
    node = graph.nodes[number]
    by_variable: Dict[int, Dict[str, int]] = {}
    for original, slot, slot_variable in node.slots:
        if graph.is_variable(slot_variable):
            by_variable.setdefault(original, {})[slot] = slot_variable
    variables = []
    for original, slots in by_variable.items():
        name = graph.nodes[original].name or graph.paths.get(original, "")
        like = original if graph.is_variable(original) else next(iter(slots.values()))
        variables.append(
            FoundVariable(
                name=name,
                shape=graph.shape(like),
                dtype=graph.dtype(like),
                slots={slot: graph.lazy(each) for slot, each in slots.items()},
            )
        )
    scalars = _scalars(graph, number)
    # Whatever its shape: a counter that is no scalar is an error, and not as if there were none.
    counters = {n: node.children[n] for n in ("iter", "iterations") if n in node.children}
    counters = {name: child for name, child in counters.items() if graph.is_variable(child)}
    is_v2 = "iter" in counters
    own = _is_own(node) or "iterations" in counters
    counter = counters.get("iter", counters.get("iterations"))
    step = None if counter is None else int(graph.scalar(counter))
    products = {"momentum_cache", "_m_cache", "mu_product"}
    not_config = {"iter", "iterations", "beta1_power", "beta2_power", *products}
    config = {
        name: meant(graph.scalar(child))
        for name, child in scalars.items()
        if name not in not_config and not name.endswith(_EXACT)
    }
    config.update(_exact(graph, scalars))
    if own and not is_v2:  # kcompat's shared scalars and hyperparameters are told by their dtype
        products |= {name for name in config if graph.dtype(scalars[name]) != "float64"}
    shared = {
        "mu_product" if name in ("momentum_cache", "_m_cache") else name: graph.lazy(child)
        for name, child in scalars.items()
        if name in products
    }
    return Found(
        path=path,
        format="TensorFlow object checkpoint, api {}".format("optimizer_v2" if is_v2 else "tf1"),
        api="optimizer_v2" if is_v2 else "tf1",
        name=_name_of_slots(graph, node),
        cls=None,
        config={name: value for name, value in config.items() if name not in shared},
        step=step,
        variables=variables,
        shared=shared,
        own=own,
    )


def _scalars(graph: _Graph, number: int) -> Dict[str, int]:
    """The attributes of an object that are scalars."""
    return {
        name: child
        for name, child in graph.nodes[number].children.items()
        if graph.is_variable(child) and graph.shape(child) == ()
    }


def _is_own(node: _Node) -> bool:
    """Whether it is an optimizer of kcompat, which keeps its hyperparameters in float64, too."""
    return any(name.endswith(_EXACT) for name in node.children)


def _exact(graph: _Graph, scalars: Dict[str, int]) -> Dict[str, Any]:
    """The hyperparameters of an optimizer of kcompat."""
    return {
        name[: name.index(_EXACT)]: graph.scalar(child)
        for name, child in scalars.items()
        if name.endswith(_EXACT)
    }


def _name_of_slots(graph: _Graph, node: _Node) -> Optional[str]:
    """What an optimizer is called: its slots are, "Adam/dense/kernel/m" or "dense/kernel/Adam_1"."""
    for original, slot, slot_variable in node.slots:
        whole, name = graph.nodes[slot_variable].name, graph.nodes[original].name
        if name and whole.endswith("/{}/{}".format(name, slot)):
            return whole[: -len("/{}/{}".format(name, slot))].rpartition("/")[2]
        if name and whole.startswith(name + "/"):
            return whole[len(name) + 1 :].partition("/")[0]
    return None


def _powers(graph: _Graph, number: int, path: str, asked: Asked) -> Optional[int]:
    children = graph.nodes[number].children
    powers = []
    for name, hyper, default in _POWERS:
        if name in children and graph.is_variable(children[name]):
            beta = float(asked.number(hyper, default))
            powers.append((float(graph.scalar(children[name])), beta, hyper))
    return step_from_powers(path, powers, None)


# The later APIs: an attribute is a list of a slot of all variables.


def _of_lists(graph: _Graph, number: int, model: List[int], path: str) -> Found:
    node = graph.nodes[number]
    if _is_own(node):
        return _of_own(graph, number, model, path)
    lists = {
        name: _list(graph, child)
        for name, child in node.children.items()
        if name not in ("_variables", "_trainable_variables") and _list(graph, child)
    }
    known = _list(graph, node.children.get("_trainable_variables", -1))
    _add_unlisted(graph, node, lists, known, path)
    count = max([position + 1 for each in [*lists.values(), known] for position in each] + [0])
    names = _Names(graph, lists, known, model)
    variables = []
    for position in range(count):
        slots = {name: each[position] for name, each in lists.items() if position in each}
        if not slots:
            continue
        name, original = names.of(position, slots)
        # Some slots are smaller than the variable, and none has more dimensions.
        like = original if original is not None else max(slots.values(), key=lambda n: len(graph.shape(n)))
        variables.append(
            FoundVariable(
                name=name,
                shape=graph.shape(like),
                dtype=graph.dtype(like),
                slots={slot: graph.lazy(each) for slot, each in slots.items()},
            )
        )
    counter = next(node.children[name] for name in _COUNTERS if name in node.children)
    rates = [node.children[name] for name in _RATE if name in node.children]
    config = {"learning_rate": meant(graph.scalar(rates[0]))} if rates and graph.is_variable(rates[0]) else {}
    shared = {}
    for name in slot_names.SHARED["keras_3"]["Nadam"].values():
        if name in node.children and graph.is_variable(node.children[name]):
            shared["mu_product"] = graph.lazy(node.children[name])
    listed = _list(graph, node.children.get("_variables", -1))
    is_3 = "_trainable_variables" in node.children or "/" in graph.nodes[counter].name
    return Found(
        path=path,
        format="TensorFlow object checkpoint, api {}".format("keras_3" if is_3 else "keras_2_11"),
        api="keras_3" if is_3 else "keras_2_11",
        name=names.optimizer,
        cls=None,
        config=config,
        step=int(graph.scalar(counter)),
        velocity=names.velocity,
        variables=variables,
        shared=shared,
        experimental=not is_3 and listed.get(0) != counter,
    )


def _add_unlisted(
    graph: _Graph, node: _Node, lists: Dict[str, Dict[int, int]], known: Dict[int, int], path: str
) -> None:
    """Adds the slots of Adafactor and Muon, whose lists some releases of Keras 3 leave empty.

    Raises:
        StateError: another optimizer has slots in no list.
    """
    listed = _list(graph, node.children.get("_variables", -1))
    told = {number for positions in lists.values() for number in positions.values()}
    told |= set(node.children.values())
    rest = [number for _, number in sorted(listed.items()) if number not in told]
    if not known or all(graph.shape(number) == () for number in rest):
        return
    names = [graph.nodes[number].name for number in rest]
    optimizer = _plain_name(next((name for name in names if "/" in name), "").rpartition("/")[0])
    if optimizer == "adafactor" and len(rest) == 3 * len(known):
        for i, number in enumerate(rest):
            lists.setdefault(("_r", "_c", "_v")[i % 3], {})[i // 3] = number
        return
    places = {graph.nodes[each].name.replace("/", "_"): position for position, each in known.items()}
    for number, name in zip(rest, names):
        variable, _, slot = name.rpartition("/")[2].rpartition("_")
        attribute = {"momentum": "adam_momentums", "velocity": "adam_velocities"}.get(slot)
        if optimizer != "muon" or attribute is None or variable not in places:
            raise StateError(
                "{}: the optimizer {!r} has the variable {!r}, and does not say what it is. Take the state "
                "where it was made, with kcompat.state.take(), and save that.".format(
                    path, optimizer, name
                )
            )
        lists.setdefault(attribute, {})[places[variable]] = number


def _plain_name(scopes: str) -> str:
    """An optimizer's name without what is before it and what it was counted up by: "a/adam_1" is "adam"."""
    return re.sub(r"_\d+$", "", scopes.rpartition("/")[2])


def _of_own(graph: _Graph, number: int, model: List[int], path: str) -> Found:
    """An optimizer of kcompat: its slots are in one list, and are called after what they are."""
    node = graph.nodes[number]
    counter = node.children["_iterations"]
    known = _list(graph, node.children.get("_trainable_variables", -1))
    names = {graph.nodes[each].name: each for each in (known.values() if known else model)}
    paths = {name.replace("/", "_"): name for name in names}
    variables: Dict[str, FoundVariable] = {}
    shared = {}
    optimizer = None
    for each in _list(graph, node.children.get("_variables", -1)).values():
        whole = graph.nodes[each].name
        if each in (counter, node.children.get("_learning_rate")):
            continue
        if known:  # "nadam/sequential_dense_kernel_m"
            optimizer, _, rest = whole.rpartition("/")
            fitting = [path for path in paths if rest.startswith(path + "_")]
            name = paths[max(fitting, key=len)] if fitting else ""
            slot = rest[len(name) + 1 :] if fitting else rest
        else:  # "m/dense/kernel"
            slot, _, name = whole.partition("/")
        if not name:
            shared[slot] = graph.lazy(each)
            continue
        like = names.get(name, each)
        variable = FoundVariable(name, graph.shape(like), graph.dtype(like), {})
        variables.setdefault(name, variable).slots[slot] = graph.lazy(each)
    api = "keras_3" if known else "keras_2_11"
    return Found(
        path=path,
        format="TensorFlow object checkpoint of kcompat, api {}".format(api),
        api=api,
        name=optimizer,
        cls=None,
        config=_exact(graph, _scalars(graph, number)),
        step=int(graph.scalar(counter)),
        variables=list(variables.values()),
        shared=shared,
        own=True,
    )


def _list(graph: _Graph, number: int) -> Dict[int, int]:
    """The variables in a list, by position; none if an object is no list of variables."""
    if number < 0:
        return {}
    children = graph.nodes[number].children
    if not all(name.isdigit() for name in children):
        return {}
    return {int(name): child for name, child in children.items() if graph.is_variable(child)}


class _Names:
    """Whose a slot is: of Keras 3, as its own list says; before that, as the slot is called."""

    def __init__(
        self, graph: _Graph, lists: Dict[str, Dict[int, int]], known: Dict[int, int], model: List[int]
    ) -> None:
        self.graph, self.known = graph, known
        self.by_name: Dict[str, List[int]] = {}
        for number in model:
            self.by_name.setdefault(graph.nodes[number].name, []).append(number)
        called: Set[Optional[str]] = set()
        self.velocity = None
        for attribute, positions in lists.items():
            for each in positions.values():
                scopes, said, _ = self._parts(attribute, graph.nodes[each].name)
                called.add(_plain_name(scopes[-1]) if scopes else None)
                if attribute == "_velocities" and said:
                    self.velocity = said
        self.optimizer = called.pop() if len(called) == 1 else None
        self.used: Dict[int, int] = {}

    def of(self, position: int, slots: Dict[str, int]) -> Tuple[str, Optional[int]]:
        """The name of the variable at a position, and the variable itself if it is in the checkpoint."""
        if position in self.known:
            original = self.known[position]
            return self.graph.nodes[original].name, original
        attribute, number = next(iter(slots.items()))
        whole = self.graph.nodes[number].name
        parts = whole.split("/")
        for start in range(1, len(parts)):
            name = "/".join(parts[start:])
            same = self.by_name.get(name, [])
            if same:  # several of one name come in their order
                turn = min(self.used.get(same[0], 0), len(same) - 1)
                self.used[same[0]] = turn + 1
                return name, same[turn]
        return self._parts(attribute, whole)[2] or whole, None

    def _parts(self, attribute: str, whole: str) -> Tuple[List[str], str, str]:
        """A slot's name: the scopes, of which the last is the optimizer, the slot, the model's variable."""
        parts = whole.split("/")
        if self.known:  # of Keras 3, "adam/dense_kernel_momentum"
            return parts[:-1], "", parts[-1]
        for i, part in enumerate(parts[:-1]):
            if part in _CALLED.get(attribute, ()):
                return parts[:i], part, "/".join(parts[i + 1 :])
        return parts[:1], "", "/".join(parts[2:])
