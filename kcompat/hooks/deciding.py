"""Classes whose base class is found out when it is known which hooks are written on it.

What stands for a name, such as `tf.keras.optimizers.Optimizer`, is a placeholder. A class that is built on it
has hooks of one generation in its body, and the base class for them takes the placeholder's place. A class
without hooks may be what others with hooks are built on, each of another generation: it waits, with a base
class that is empty, and each of those has its own beside it. One on which nothing was built has the base
class that the name means on this host, when the `with` ends or as soon as it is called.
"""

from __future__ import annotations

import abc
import types
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ..errors import HookError
from .overrides import is_of_a_host
from .reading import names_in


class Choice(NamedTuple):
    """What a name means for the classes that are built on it.

    Attributes:
        real: the host's class of this name.
        choose: gives the base class for hooks, from the names that bodies of classes say and from these
            bodies; None if there are no hooks.
        default: gives the base class for a class without hooks.
        classes: what such classes may be subclasses of.
        waiting: the classes that have no base class yet.
    """

    real: Any
    choose: Callable[[Set[str], Sequence[Mapping[str, Any]]], Optional[Any]]
    default: Callable[[], Any]
    classes: Tuple[type, ...]
    waiting: List[Any]


def placeholder(choice: Choice) -> Any:
    """What stands for a name while packages are imported."""
    name = choice.real.__name__
    empty = Waiting("Undecided", (), {"_kc_empty": True, "_kc_choice": choice, "__module__": __name__})
    namespace = {
        "_kc_placeholder": True,
        "_kc_choice": choice._replace(classes=(*choice.classes, empty)),
        "_kc_base": empty,
        "__doc__": choice.real.__doc__,
        "__module__": choice.real.__module__,
    }
    return Deciding(name, (), namespace)


class Deciding(abc.ABCMeta):
    """The class of placeholders."""

    _kc_choice: Choice

    def __new__(mcs, name: str, bases: Tuple[Any, ...], namespace: Dict[str, Any], **kwargs: Any) -> Any:
        """A class that is built on a placeholder; of a namespace that says so, a placeholder."""
        if "_kc_placeholder" in namespace:
            return super().__new__(mcs, name, bases, namespace)
        bodies = _bodies(bases, namespace)
        names = _names(bodies)
        chosen = []
        for base in bases:
            if isinstance(base, Deciding):
                found = base._kc_choice.choose(names, bodies)
                base = vars(base)["_kc_base"] if found is None else found
            chosen.append(base)
        return types.new_class(name, tuple(chosen), kwargs, lambda body: body.update(namespace))

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """An optimizer of the host's own class."""
        return cls._kc_choice.real(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.__dict__["_kc_choice"].real, name)

    def __instancecheck__(cls, instance: Any) -> bool:
        # What was made by this name is one of the real class or of a dialect, over the same host.
        return isinstance(instance, cls._kc_choice.classes)

    def __subclasscheck__(cls, subclass: Any) -> bool:
        return cls is subclass or issubclass(subclass, cls._kc_choice.classes)


class Waiting(abc.ABCMeta):
    """The class of classes that are built on a name and have no hooks, and of what is built on them."""

    _kc_choice: Choice

    def __new__(mcs, name: str, bases: Tuple[Any, ...], namespace: Dict[str, Any], **kwargs: Any) -> Any:
        """A class that waits, or the first on one that waits which has hooks."""
        if "_kc_empty" in namespace:
            return super().__new__(mcs, name, bases, namespace)
        choice: Choice = next(base._kc_choice for base in bases if isinstance(base, Waiting))
        bodies = _bodies(bases, namespace)
        found = choice.choose(_names(bodies), bodies)
        waits = any(_waits(base) for base in bases)
        if found is None or not waits:
            made: Any = super().__new__(mcs, name, bases, namespace, **kwargs)
            if waits:
                choice.waiting.append(made)
            elif found is not None and not issubclass(made, found):
                raise _too_late(made, found)
            return made
        namespace = dict(namespace, _kc_decided=True)
        for base in bases:
            for each in base.__mro__:
                if _waits(each) and "_kc_empty" not in vars(each):
                    each._kc_is_built_on = True
        return super().__new__(_with(mcs, type(found)), name, (*bases, found), namespace, **kwargs)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """An optimizer; a class that waits has its base class first."""
        if _waits(cls):
            decide(cls)
        return super().__call__(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_kc") or not _waits(cls):
            raise AttributeError("type object {!r} has no attribute {!r}".format(cls.__name__, name))
        return getattr(cls._kc_choice.real, name)


def decide(cls: Any) -> None:
    """Gives a class that waits the base class that its name means for classes without hooks.

    Raises:
        HookError: classes with hooks are built on it, which have others.
    """
    if "_kc_is_built_on" in vars(cls):
        raise HookError(
            "{}.{} has no hook of an optimizer, and what is built on it has: it can't be used by itself. "
            "Call one of its subclasses.".format(cls.__module__, cls.__qualname__)
        )
    choice: Choice = cls._kc_choice
    default = choice.default()
    waiting = [each for each in cls.__mro__ if _waits(each) and "_kc_empty" not in vars(each)]
    if any("_kc_is_built_on" in vars(each) for each in waiting):
        cls._kc_decided = True
        cls.__bases__ = (*cls.__bases__, default)
    else:
        for each in reversed(waiting):
            each._kc_choice = choice  # which it has had from the empty one
            each.__bases__ = tuple(default if "_kc_empty" in vars(base) else base for base in each.__bases__)
    super(cls, cls).__init_subclass__()  # as if it had had this base class from the start


def settle(choices: Sequence[Choice]) -> None:
    """Gives every class that waits, and that nothing with hooks is built on, a base class."""
    for choice in choices:
        for cls in choice.waiting:
            if _waits(cls) and "_kc_is_built_on" not in vars(cls):
                decide(cls)


def _waits(cls: Any) -> bool:
    """Whether a class has no base class of an optimizer yet."""
    return (
        isinstance(cls, Waiting)
        and any("_kc_empty" in vars(each) for each in cls.__mro__)
        and not any("_kc_decided" in vars(each) for each in cls.__mro__)
    )


def _bodies(bases: Sequence[Any], namespace: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """What the bodies of a class that is made, and of those that it is built on, define."""
    found = [namespace]
    for base in bases:
        if not isinstance(base, Deciding):
            found += [vars(each) for each in base.__mro__[:-1] if not is_of_a_host(each)]
    return found


def _names(bodies: Sequence[Mapping[str, Any]]) -> Set[str]:
    return {name for body in bodies for name in names_in(body)}


def _with(mcs: Any, other: type) -> Any:
    """The class of a class whose base classes are of these two."""
    if issubclass(mcs, other):
        return mcs
    if (mcs, other) not in _combined:
        _combined[mcs, other] = type(mcs.__name__, (mcs, other), {})
    return _combined[mcs, other]


_combined: Dict[Tuple[type, type], type] = {}


def _too_late(made: Any, wanted: Any) -> HookError:
    return HookError(
        "{0}.{1} has hooks for which its base class would have to be {2}.{3}, and {4}.{5}, which it is built "
        "on, has another one already: it was made by itself, or outside of the `with "
        "kcompat.hooks.installed():` that this one is made in. Import both in one, and call neither in "
        "between.".format(
            made.__module__,
            made.__qualname__,
            wanted.__module__,
            wanted.__qualname__,
            made.__bases__[0].__module__,
            made.__bases__[0].__qualname__,
        )
    )
