"""`adopt`: the native class of this host out of an unmodified class that was written for another.

Nothing of the class is changed. What is made is a subclass of it and of the dialect's base class here; in the
order in which Python looks methods up, the dialect's base comes before the one that the class was written
against, so that `super()` in the class's own code finds the dialect.
"""

from __future__ import annotations

import abc
import importlib
import inspect
from types import ModuleType
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from ..environment import host_class, lineage, resolve_api
from ..errors import HookError
from .bases import DIALECTS, base_over, is_home
from .overrides import is_of_a_host
from .reading import codes_of, functions_of, names_in

# What only code of one dialect says: methods that it defines or calls, and arguments.
_SIGNS = {
    "keras": {"def update_step", "add_variable_from_reference", "add_optimizer_variables"},
    "tf1": {
        "_apply_dense",
        "_apply_sparse",
        "_finish",
        "_zeros_slot",
        "_get_or_make_slot",
        "_get_or_make_slot_with_initializer",
        "_create_non_slot_variable",
        "_get_non_slot_variable",
        "_call_if_callable",
    },
    "optimizer_v2": {
        "_set_hyper",
        "_get_hyper",
        "add_slot",
        "apply_state",
        "_prepare_local",
        "_fallback_apply_state",
        "_serialize_hyperparameter",
        "_decayed_lr",
        "_create_hypers",
        "_resource_scatter_add",
        "_resource_scatter_update",
    },
}

_adopted: Dict[Tuple[type, str, type, str], Any] = {}


def adopt(
    cls: Any, api: Optional[str] = None, host: Optional[str] = None, dialect: Optional[str] = None
) -> Any:
    """The native class of an API out of a class that was written for another one.

    Args:
        cls: the class, as its package has it.
        api, host: as for `kcompat.optimizer_class`.
        dialect: "tf1", "optimizer_v2", "keras" or "get_updates"; read off the class's code by default.

    Returns:
        A subclass of `cls` that is an optimizer of the API; or `cls` itself, if it is one already. The same
        arguments give the same class.

    Raises:
        HookError: the class is no optimizer of a known dialect, or builds on an optimizer that is not here.
        ApiNotAvailableError: the API is not offered by what is installed.
    """
    if not isinstance(cls, type):
        raise HookError(
            "adopt({!r}): expected a class; call what it returns to make an optimizer.".format(cls)
        )
    api = resolve_api(api)
    return adopt_over(cls, api, host_class(api, host), _known(cls, dialect))


def adopt_over(cls: Any, api: str, over: type, dialect: str) -> Any:
    """The same over this very class of a host, of a dialect that is known."""
    if is_native(cls, dialect, api, over):
        return cls
    key = cls, api, over, dialect
    if key not in _adopted:
        _adopted[key] = _made(cls, api, over, dialect)
    return _adopted[key]


class _End:
    """Ends what the host's classes do by `super()`: what comes after it is there for `isinstance` alone."""

    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__
    __dir__ = object.__dir__
    __reduce_ex__ = object.__reduce_ex__

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        raise AttributeError("{!r} object has no attribute {!r}".format(type(self).__name__, name))


class _Adopted(abc.ABCMeta):
    """The class of adopted classes: it puts the dialect's base in the place of the class's own."""

    def mro(cls) -> List[type]:
        """The order in which methods are looked up."""
        own = vars(cls)
        if "_kc_base" not in own:
            return super().mro()
        written, base = cls.__bases__
        order = base.__mro__[:-1]
        foundation = own["_kc_foundation"]
        replaced = (_End,) if foundation is None else (*foundation.__mro__, _End)
        found: List[type] = [cls]
        for each in (*written.__mro__[:-1], base):
            if each not in replaced and each not in order:
                found.append(each)
            elif order[0] not in found:
                found += order
        rest = [each for each in replaced if each not in found and each not in (_End, object)]
        return [*found, _End, *rest, object]


def _made(cls: Any, api: str, over: type, dialect: str) -> Any:
    base = base_over(dialect, api, over)
    if dialect == "get_updates":
        check_backend_of(cls.__name__, [vars(each) for each in cls.__mro__ if not is_of_a_host(each)])
    foundation = _foundation(cls)
    if foundation is not None:
        _check_between(cls, foundation, dialect)
    namespace = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "_kc_foundation": foundation,
        "_kc_base": base,
    }
    metaclasses = [each for each in (type(cls), type(base)) if not issubclass(_Adopted, each)]
    metaclass: Any = type("_Adopted", (_Adopted, *metaclasses), {}) if metaclasses else _Adopted
    made: Any = metaclass(cls.__name__, (cls, base), namespace)
    made._adopted_from = (cls, api, dialect)
    return made


def is_native(cls: Any, dialect: str, api: str, over: type) -> bool:
    """Whether a class is an optimizer of the API as it is."""
    if not issubclass(cls, over):
        return False
    if getattr(cls, "_kc_dialect", None) == dialect:
        return bool(cls.api == api)
    if dialect == "keras":
        return _update_arguments(cls) == {"keras_2_11": 2, "keras_3": 3}.get(api)
    return is_home(dialect, api, over)


def _update_arguments(cls: Any) -> int:
    """The number of arguments of `update_step`, besides `self`."""
    return len(inspect.signature(cls.update_step).parameters) - 1


def _known(cls: Any, dialect: Optional[str]) -> str:
    if dialect is not None:
        if dialect not in DIALECTS:
            raise HookError("adopt(dialect={!r}): expected one of {}.".format(dialect, ", ".join(DIALECTS)))
        return dialect
    found = dialect_of(cls)
    if found is None:
        signs = sorted(min(each).split()[-1] for each in _SIGNS.values())
        raise HookError(
            "adopt({}): it has no hook of an optimizer of TensorFlow or Keras ({}). If it has, say which "
            "with dialect=.".format(_path(cls), ", ".join(signs))
        )
    return found


def dialect_of(cls: Any) -> Optional[str]:
    """The dialect that a class is written in, or None."""
    own = [base for base in cls.__mro__ if not is_of_a_host(base)]
    known = getattr(cls, "_kc_dialect", None)
    if known is not None:
        return str(known)
    names: Set[str] = set()
    for base in own:
        names |= names_in(vars(base))
    return dialect_in(names) or _inherited(cls)


def dialect_in(names: Set[str]) -> Optional[str]:
    """The dialect that these names, of a class's body, are of."""
    counts = {dialect: len(names & signs) for dialect, signs in _SIGNS.items()}
    best = max(counts, key=lambda dialect: counts[dialect])
    if counts[best]:
        return best
    if names & {"_resource_apply_dense", "_resource_apply_sparse"}:
        return "optimizer_v2"
    if "def get_updates" in names:
        return "get_updates"
    # A wrapper that has no other hook: Keras 2.11 and 3 have no such method.
    return "optimizer_v2" if {"def apply_gradients", "def get_gradients"} <= names else None


def _inherited(cls: Any) -> Optional[str]:
    """The dialect of the base class, for a class that defines no hook of its own."""
    api = lineage(cls)
    return {"keras_2_11": "keras", "keras_3": "keras"}.get(str(api), api)


def check_backend_of(name: str, bodies: Sequence[Any]) -> None:
    """Raises HookError if a class of get_updates() calls functions of another `keras.backend` than ours."""
    from . import backend

    for function in (each for body in bodies for value in body.values() for each in functions_of(value)):
        names = {called for code in codes_of(function.__code__) for called in code.co_names}
        for called in sorted(names & set(function.__globals__)):
            value = function.__globals__[called]
            through = isinstance(value, ModuleType) and "backend" in names and hasattr(value, "backend")
            if through or (
                isinstance(value, ModuleType)
                and value.__name__.endswith("backend")
                and value is not backend.module()
            ):
                raise HookError(
                    "{0}.{1}() reaches Keras' backend as {2}{3}, whose update() writes at once. Import the "
                    "class inside `with kcompat.hooks.installed():`, and have it say `from keras import "
                    "backend as K`.".format(name, function.__name__, called, ".backend" if through else "")
                )


def _foundation(cls: Any) -> Optional[type]:
    """The base class that a class was written against: a host's, or what stands for one that is gone."""
    found = [base for base in cls.__mro__ if is_of_a_host(base) and base is not object]
    for base in found:
        if base.__name__ in ("OptimizerV2", "Optimizer", "LegacyOptimizerWarning"):
            return base
    return None


def _check_between(cls: Any, foundation: type, dialect: str) -> None:
    """Raises HookError if a class builds on an optimizer of a host, of another dialect than its own."""
    order = cls.__mro__[: cls.__mro__.index(foundation)]
    between = [base for base in order if is_of_a_host(base) and lineage(base) is not None]
    own = getattr(foundation, "_kc_dialect", None) or _inherited(foundation)
    if between and own != dialect:
        raise HookError(
            "adopt({}): it builds on {}, which here is an optimizer of another API ({}) without the hooks "
            "that it calls. Import it inside `with kcompat.hooks.installed():`, where that name is the "
            "optimizer it was written for.".format(_path(cls), _path(between[0]), own)
        )


def _path(cls: type) -> str:
    return "{}.{}".format(cls.__module__, cls.__qualname__)


def bundled(name: str) -> Optional[type]:
    """TensorFlow's own OptimizerV2 optimizer of a name, such as "Adam"; None if this TensorFlow has none."""
    modules = {"SGD": "gradient_descent", "RMSprop": "rmsprop"}
    path = "tensorflow.python.keras.optimizer_v2." + modules.get(name, name.lower())
    try:
        module = importlib.import_module(path)
    except ImportError:
        return None
    found: Any = getattr(module, name, None)
    # In `installed()` the module has what was adopted from it, maybe for another host.
    return found if found is None else vars(found).get("_adopted_from", (found,))[0]
