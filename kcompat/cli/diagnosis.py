"""Whether an optimizer class works with the models that are here; read off the class, then tried."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections import namedtuple

from ..environment import APIS, host_classes, lineage, remedy
from ..errors import ApiNotAvailableError, HookError, nearest
from .problems import match

# Not typing's own: that module alone costs an interpreter 6 to 10 ms. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Set, Tuple

__all__ = ["KERAS", "Answer", "UsageError", "diagnose", "of_text"]

#: The Keras that a model may be of.
KERAS = ("tf.keras", "keras", "tf_keras")

_HOSTS = ("tensorflow", "tensorflow_core", "keras", "tf_keras")

#: What each API's optimizers are called in words.
WORDS = {
    "tf1": "tf.compat.v1.train.Optimizer",
    "get_updates": "Keras' first optimizer (get_updates)",
    "optimizer_v2": "OptimizerV2",
    "keras_2_11": "the optimizer of Keras 2.11",
    "keras_3": "the optimizer of Keras 3",
}

# The methods that an API's optimizer has to define itself, and how many arguments the host calls each with.
_OWN = {
    "tf1": {"_resource_apply_dense": 2, "_apply_dense": 2},
    "get_updates": {"get_updates": 2},
    "optimizer_v2": {"_resource_apply_dense": 2},
    "keras_2_11": {"update_step": 2},
    "keras_3": {"update_step": 3},
}
_CALLED = {
    "tf1": {"_create_slots": 1, "_prepare": 0, "_finish": 2, "_apply_sparse": 2, "_resource_apply_sparse": 3},
    "get_updates": {"get_config": 0},
    "optimizer_v2": {"_create_slots": 1, "_resource_apply_sparse": 3, "_prepare": 1, "get_config": 0},
    "keras_2_11": {"build": 1, "get_config": 0},
    "keras_3": {"build": 1, "get_config": 0},
}

# Methods of one API's base class that rules call, and that the others' may not have.
_HELPERS = (
    *("_set_hyper", "_get_hyper", "_serialize_hyperparameter", "_decayed_lr", "add_slot", "add_weight"),
    *("_zeros_slot", "_get_or_make_slot", "_call_if_callable", "get_gradients", "_create_non_slot_variable"),
    *("_build_learning_rate", "add_variable_from_reference", "add_variable", "_var_key"),
    *("add_optimizer_variables", "_get_variable_index", "_fallback_apply_state"),
)


class UsageError(Exception):
    """What was asked for cannot be: no such module, no such class, nothing to read."""


class Answer(namedtuple("Answer", ("works", "answer", "facts", "reasons", "advice"))):
    """What the doctor found."""

    __slots__ = ()
    #: Whether it works here; None where nothing is known.
    works: Optional[bool]
    #: One sentence.
    answer: str
    #: What was read off, by name.
    facts: Dict[str, Optional[str]]
    #: Why not.
    reasons: Tuple[str, ...]
    #: What to do.
    advice: Tuple[str, ...]


# ------------------------------------------------------------ a traceback


def of_text(text: str) -> Answer:
    """Say what a traceback, a message or a log shows.

    Raises:
        UsageError: there is nothing in it.
    """
    if not text.strip():
        raise UsageError("the traceback is empty")
    found = match(text)
    if not found:
        return Answer(None, "Not known: this is none of the problems in the table.", {}, (), ())
    first = found[0]
    facts = {"problem": first.name, "where": first.releases}
    if len(found) > 1:
        facts["before it"] = ", ".join(each.name for each in found[1:])
    return Answer(False, first.cause, facts, (), (first.remedy,))


def _of_error(where: str, error: BaseException, facts: Dict[str, Optional[str]]) -> Answer:
    """Say why the user's code raised: by the table, and else by the exception alone."""
    found = _known(error)
    place = _place(error)
    reason = "{} raises {}: {}{}".format(
        where,
        type(error).__name__,
        " ".join(str(error).split())[:300],
        " ({})".format(place) if place else "",
    )
    if not found:
        return Answer(
            False, "No: {} fails, for a reason that is not in the table.".format(where), facts, (reason,), ()
        )
    if found[0].name == "keras-not-importable":
        from ..environment import detect

        problems = detect().problems  # which of the reasons it is
        if problems:
            facts = dict(facts, problem=found[0].name)
            return Answer(False, "No: {} fails.".format(where), facts, (reason, *problems), ())
    facts = dict(facts, problem=found[0].name, where=found[0].releases)
    return Answer(False, "No: {} fails.".format(where), facts, (reason, found[0].cause), (found[0].remedy,))


def _known(error: BaseException) -> List[Any]:
    import traceback

    return match("".join(traceback.format_exception(type(error), error, error.__traceback__)))


def _place(error: BaseException) -> str:
    """Return file and line of the user's code that raised, or called what did."""
    import traceback

    places = [
        "{}, line {}".format(frame[0], frame[1])
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame[0]
        and not frame[0].startswith((os.path.dirname(os.__file__), os.path.dirname(__file__), "<frozen"))
    ]
    return places[-1] if places else ""


# ------------------------------------------------------------ the class


def diagnose(name: str, model: Optional[str] = None) -> Answer:
    """Say whether the class that ``package.module:Class`` names works with models of a Keras here.

    Args:
        name: what to import; the directory that the command is run in is looked in first.
        model: the model's Keras: "tf.keras" (the default where there is TensorFlow), "keras" or "tf_keras".

    Raises:
        UsageError: there is no such module, nothing of that name in it, or it is no class.
    """
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise UsageError("{!r}: expected MODULE:CLASS, such as mylib.opt:MyOptimizer".format(name))
    found, failed = _load(module_name, path, name)
    if failed is not None:
        return _of_error("import {}".format(module_name), failed, {"class": name})
    cls = found if isinstance(found, type) else type(found)
    from ..rule import UpdateRule

    if issubclass(cls, UpdateRule):
        return _of_rule(cls, name)
    if not isinstance(found, type) and _base(cls) is None:
        raise UsageError("{} is a {}, not an optimizer's class".format(name, cls.__name__))
    return _of_class(cls, name, model)


def _load(module_name: str, path: str, name: str) -> Tuple[Any, Optional[BaseException]]:
    """Return what a name leads to, or what its module raised."""
    import contextlib
    import importlib

    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the answer, which may be JSON
            found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        missing = str(getattr(error, "name", "")) if isinstance(error, ModuleNotFoundError) else ""
        root = (module_name + ".").startswith(missing + ".") and missing.split(".")[0] not in _HOSTS
        if missing and root:
            raise UsageError("there is no module {!r} in {!r}".format(missing, name)) from None
        return None, error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            names = [each for each in dir(found) if isinstance(getattr(found, each, None), type)]
            if module_name.split(".")[0] in _HOSTS and _known(error):
                return None, error  # a name of another release: that is the answer
            raise UsageError("{} has no {!r}.{}".format(module_name, part, nearest(part, names))) from None
        except Exception as error:
            return None, error
    return found, None


def _of_rule(cls: type, name: str) -> Answer:
    from ..environment import resolve_api

    facts = {"class": name, "API": None, "package": None}
    make = "kcompat.optimizer_class({}) is an optimizer".format(cls.__name__)
    try:
        api = resolve_api()
    except ApiNotAvailableError as error:
        return Answer(
            False, "No: it is an update rule, and there is no optimizer API here.", facts, (str(error),), ()
        )
    return Answer(
        True,
        "Yes: it is an update rule; {} of the API {} here.".format(make, api),
        dict(facts, API=api),
        (),
        (),
    )


def _is_host(cls: type) -> bool:
    return cls.__module__.split(".")[0] in _HOSTS


def _base(cls: type) -> Optional[type]:
    """Return the first class of a host among a class and its bases that is an optimizer of some API."""
    return next((each for each in cls.__mro__ if _is_host(each) and lineage(each)), None)


def _root(cls: type) -> type:
    """Return the host's base class that a class derives from, by the API's hooks."""
    api = lineage(cls)
    return [each for each in cls.__mro__ if _is_host(each) and lineage(each) == api][-1]


def _package(cls: type) -> str:
    """Return the package whose class it is: TensorFlow, its private Keras, or a Keras."""
    parts = cls.__module__.split(".")
    return ".".join(parts[:3]) if parts[1:3] == ["python", "keras"] else parts[0]


def _own(cls: type) -> Dict[str, Any]:
    """Return the functions that the user's classes define, by name; the most derived one of each."""
    found: Dict[str, Any] = {}
    for each in cls.__mro__:
        if not _is_host(each) and each.__module__ != "builtins":
            for name, value in vars(each).items():
                if callable(value):
                    found.setdefault(name, value)
    return found


def _takes(function: Any, count: int, *, instance: bool = True) -> Optional[bool]:
    """Whether a method can be called with so many arguments; None if that cannot be told."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*[None] * (count + instance))
    except TypeError:
        return False
    return True


def written_for(cls: type) -> Optional[str]:
    """Return the API that the user's own methods are written for, by their names and arguments; or None."""
    own = _own(cls)
    step = own.get("update_step")
    if step is not None:
        two, three = _takes(step, 2), _takes(step, 3)
        if two == three:  # any number of arguments: both
            return None
        return "keras_3" if three else "keras_2_11"
    if "_apply_dense" in own:
        return "tf1"
    if "_resource_apply_dense" in own or "_resource_apply_sparse" in own:
        return "optimizer_v2"
    return "get_updates" if "get_updates" in own else None


def _ours(cls: type) -> bool:
    package = __name__.rpartition(".cli.")[0]
    return any(each.__module__.startswith(package + ".adapters.") for each in cls.__mro__)


def _hook_reasons(cls: type, base: type, api: str) -> List[str]:
    """Say which methods the class lacks, or defines in another form than this API calls."""
    own, reasons = _own(cls), []
    # A subclass of Adam inherits its step; a subclass of the base class has to bring one.
    abstract = not any(
        name in vars(each)
        for each in base.__mro__
        if each is not _root(base) and _is_host(each)
        for name in _OWN[api]
        if lineage(each) == api
    )
    for name, count in {**_OWN[api], **_CALLED[api]}.items():
        if name in own:
            # OptimizerV2 passes apply_state by name, to those that have it.
            count += api == "optimizer_v2" and "apply_state" in _required(own[name])
            if _takes(own[name], count) is False:
                reasons.append(_wrong(name, own[name], count, api))
        elif abstract and name in _OWN[api] and name != "_apply_dense":
            reasons.append("it does not define {}, which {} calls".format(name, WORDS[api]))
    dense = own.get("_resource_apply_dense")
    if api == "optimizer_v2" and dense is not None and "apply_state" in _required(dense):
        if not hasattr(base, "_dense_apply_args"):
            reasons.append("_resource_apply_dense asks for apply_state, which 1.14 does not give")
    abstract_methods = sorted(getattr(cls, "__abstractmethods__", ()))
    if abstract_methods:
        reasons.append("it does not define {}".format(", ".join(abstract_methods)))
    called: Set[str] = set()
    for function in own.values():
        code = getattr(inspect.unwrap(function), "__code__", None)
        called.update(code.co_names if code is not None else ())
    gone = [name for name in _HELPERS if name in called and not hasattr(cls, name)]
    if gone:
        reasons.append("it calls {}, which {} does not have".format(", ".join(gone), WORDS[api]))
    return reasons


def _required(function: Any) -> List[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [each.name for each in parameters if each.default is each.empty]


def _wrong(name: str, function: Any, count: int, api: str) -> str:
    parameters = list(inspect.signature(function).parameters)[1:]
    return "it defines {}({}), which {} calls with {} argument{}{}".format(
        name,
        ", ".join(parameters),
        WORDS[api],
        count,
        "" if count == 1 else "s",
        " (gradient, variable, learning_rate)" if (api, name) == ("keras_3", "update_step") else "",
    )


def _keras(model: Optional[str]) -> Tuple[str, Any, str]:
    """Return the name of the model's Keras, the module, and why there is none."""
    import importlib

    from .. import environment

    probe = environment._probe()
    tensorflow = probe.module("tensorflow")
    name = model or ("tf.keras" if tensorflow is not None else "keras")
    if name == "tf.keras":
        if tensorflow is None or probe.tf_keras_native() is None:
            return name, None, probe.failure("tf.keras")
        return name, tensorflow.keras, ""
    if model is None and environment.host_classes("keras_3") == () == environment.host_classes("get_updates"):
        return name, None, environment.detect().why
    try:
        module = importlib.import_module(name)
        # In 2.6 to 2.15 `keras` is tf.keras, though `keras.optimizers` may have older classes.
        if tensorflow is not None and probe.tf_keras_native() is not None:
            if module.Model is tensorflow.keras.Model:
                return name, tensorflow.keras, ""
        return name, module, ""
    except Exception as error:  # whatever a broken one raises
        return name, None, "import {} fails: {}: {}".format(name, type(error).__name__, error)


def _native(keras: Any) -> type:
    """Return the base class of a Keras' own optimizers: in `keras` of 2.5 its `Optimizer` is an older one."""
    return _root(keras.optimizers.SGD)


def _accepted(cls: type, keras: Any) -> bool:
    """Ask the Keras itself: what compile() asks about an optimizer, of an instance not set up."""
    members = dict.fromkeys(getattr(cls, "__abstractmethods__", ()))
    try:
        probe: Any = type(cls)("Probe", (cls,), members) if members else cls
        instance = probe.__new__(probe)
    except Exception:
        native = _native(keras)
        return issubclass(cls, native) or _package(_root(cls)) == _package(native)
    try:
        return keras.optimizers.get(instance) is not None
    except (TypeError, ValueError):
        return False
    except Exception:  # taken, and something was asked of it that its constructor makes
        return True


def _serving(keras_name: str, keras: Any) -> List[Tuple[str, str]]:
    """Return (API, public path) of each base class here whose optimizers a Keras takes."""
    return [
        (api, place)
        for api in reversed(APIS)
        for place, cls in host_classes(api)
        if api != "tf1" and _accepted(cls, keras)
    ]


def _of_class(cls: type, name: str, model: Optional[str]) -> Answer:
    keras_name, keras, why = _keras(model)
    facts: Dict[str, Optional[str]] = {"class": name, "API": None, "package": None}
    base = _base(cls)
    meant = written_for(cls)
    if base is None:
        return _of_no_optimizer(cls, facts, meant)
    api = str(lineage(base))
    root = _root(base)
    facts.update(API=api, package=_package(root), base="{}.{}".format(root.__module__, root.__qualname__))
    if meant is not None and meant != api:
        facts["written for"] = meant
    if keras is None:
        return Answer(
            False, "No: there is no {} here whose models could take it.".format(keras_name), facts, (why,), ()
        )
    native = _native(keras)
    facts["model"] = "{}: {} takes {}".format(keras_name, _package(native), lineage(native))
    reasons, advice = [], []
    if not _accepted(cls, keras):
        reasons.append(_refusal(api, root, native, keras_name))
    elif not _ours(cls):
        reasons += _hook_reasons(cls, base, api)
    if not reasons:
        failed = _try(cls, api, keras)
        if failed is not None:
            return _of_error(*failed, facts)
        words = "Yes: it is {} of {}, and models of {} take it.".format(
            WORDS[api], _package(root), keras_name
        )
        return Answer(True, words, facts, (), ())
    advice = _advice(meant or api, cls.__name__, keras_name, keras)
    headline = "No: models of {} do not take it.".format(keras_name)
    if _accepted(cls, keras):
        headline = "No: {} would fail on it{}.".format(
            keras_name, ", for it is written for {}".format(WORDS[meant]) if meant and meant != api else ""
        )
    return Answer(False, headline, facts, tuple(reasons), tuple(advice))


def _of_no_optimizer(cls: type, facts: Dict[str, Optional[str]], meant: Optional[str]) -> Answer:
    if any(each.__name__ == "LegacyOptimizerWarning" for each in cls.__mro__):
        found = match("LegacyOptimizerWarning")[0]
        facts.update({"problem": found.name, "where": found.releases, "written for": meant})
        return Answer(
            False,
            "No: it derives from Keras 3's placeholder for legacy optimizers.",
            facts,
            (found.cause,),
            (found.remedy, *(_adopting("keras_3", cls.__name__) if meant else ())),
        )
    bases = [each for each in cls.__mro__ if each is not cls and each is not object]
    reason = "{} is no optimizer of any API: its bases are {}".format(
        cls.__name__,
        ", ".join("{}.{}".format(each.__module__, each.__qualname__) for each in bases) or "none",
    )
    if meant is not None:
        facts["written for"] = meant
    return Answer(
        False,
        "No: it derives from no optimizer of TensorFlow or Keras.",
        facts,
        (reason,),
        ("Derive from the base class that the Keras of the model has, or write a kcompat.UpdateRule.",),
    )


def _refusal(api: str, root: type, native: type, keras_name: str) -> str:
    mine, theirs = _package(root), _package(native)
    if mine == theirs:
        return "it is {}; {} takes {} only".format(WORDS[api], keras_name, WORDS[str(lineage(native))])
    text = "it is {} of {}, and {} is {} here, which takes its own".format(
        WORDS[api], mine, keras_name, theirs
    )
    if mine.endswith(".python.keras") and theirs != mine:
        text += "; {} is a private copy that no model takes since 2.6".format(mine)
    return text


def _adopting(native: str, name: str) -> List[str]:
    """Say how the class runs here as it is, where it does."""
    try:
        importlib.import_module("..hooks.bases", __package__).check_backend(native)
    except (HookError, ImportError):  # a copy with fewer rules has no hooks
        return []
    return [
        "Or leave it as it is: kcompat.hooks.adopt({}) is the native class here; a package that does not"
        " import is imported inside `with kcompat.hooks.installed():`.".format(name)
    ]


def _advice(api: str, cls_name: str, keras_name: str, keras: Any) -> List[str]:
    """Say what to change, the nearest first: another base class, another Keras, or one rule for all."""
    serving = dict(reversed(_serving(keras_name, keras)))
    advice = []
    if api in serving:
        advice.append("Derive from {} (API {}).".format(serving[api], api))
    elif api == "tf1":
        advice.append(
            "It trains in graphs and sessions, and in eager code of your own, without a model of Keras."
        )
    elif api in ("optimizer_v2", "keras_2_11") and lineage(_native(keras)) == "keras_3":
        # Keras 3 has none of that API: tf_keras has.
        advice.append(
            "{}Set TF_USE_LEGACY_KERAS=1 before Python starts, so that tf.keras is Keras 2, and derive from"
            " tf.keras.optimizers.{}Optimizer (API {}).".format(
                ""
                if host_classes("keras_2_11")
                else "pip install tf_keras (of TensorFlow's minor version). ",
                "legacy." if api == "optimizer_v2" else "",
                api,
            )
        )
    elif not host_classes(api):
        advice.append("The API {} is not here; to get it: {}.".format(api, remedy(api)))
    native = lineage(_native(keras))
    if native != api and native in serving:
        advice.append(
            "Or write it for {}: derive from {}, and define {}.".format(
                WORDS[native], serving[native], ", ".join(sorted(_OWN[native]))
            )
        )
    advice += _adopting(str(native), cls_name)
    advice.append(
        "For every release: write the update once as a kcompat.UpdateRule; kcompat.optimizer_class(Rule) is"
        " a native optimizer here{}.".format(" (API {})".format(native) if native else "")
    )
    return advice


# ------------------------------------------------------------ trying it


def _try(cls: type, api: str, keras: Any) -> Optional[Tuple[str, BaseException]]:
    """Construct the class, where it needs no argument, and take a step in eager mode; return what failed."""
    import contextlib
    import warnings

    needed = [
        each
        for each in _parameters(cls)
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if needed:
        return None
    where = "{}()".format(cls.__name__)
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            optimizer = cls()
            if api not in ("tf1", "get_updates"):
                where = "{}().apply_gradients(...)".format(cls.__name__)
                _step(optimizer, api, keras)
        except Exception as error:
            return where, error
    return None


def _parameters(cls: type) -> List[Any]:
    try:
        return list(inspect.signature(cls).parameters.values())
    except (TypeError, ValueError):
        return []


def _step(optimizer: Any, api: str, keras: Any) -> None:
    if api == "keras_3":
        variable = keras.Variable([1.0, 2.0])
        gradient = keras.ops.convert_to_tensor([0.5, -0.25])
    else:
        import tensorflow as tf

        if not tf.executing_eagerly():
            return
        variable, gradient = tf.Variable([1.0, 2.0]), tf.constant([0.5, -0.25])
    optimizer.apply_gradients([(gradient, variable)])
