"""The exceptions kcompat raises, and the "did you mean" that their messages end with."""

from __future__ import annotations

# Not typing's own: that module alone costs an interpreter 6 to 10 ms. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

__all__ = [
    "ApiNotAvailableError",
    "DistributionError",
    "GradientError",
    "HookError",
    "HyperparameterError",
    "HyperparameterTypeError",
    "KcompatError",
    "NotBuiltError",
    "RuleError",
    "StateError",
    "UnknownApiError",
    "UnknownArgumentError",
    "UnknownReleaseError",
    "VendoringError",
    "nearest",
]


class KcompatError(Exception):
    """The root of every error that kcompat raises itself."""

    # AutoGraph raises anew what comes out of a tf.function, with places in the user's code. It keeps the
    # class only of errors that are made like Exception, and ValueError's own __init__ is another object.
    if not TYPE_CHECKING:  # to a checker it would be Exception's own, which a second base class contradicts
        __init__ = Exception.__init__


class RuleError(KcompatError, TypeError):
    """An update rule breaks the contract: what it defines, takes or returns is not as asked."""


class HyperparameterError(KcompatError, ValueError):
    """A hyperparameter has a value that cannot be used, or cannot be set the way it was tried."""


class HyperparameterTypeError(HyperparameterError, TypeError):
    """A hyperparameter has a value of a type that cannot be used."""


class UnknownArgumentError(KcompatError, TypeError):
    """A constructor or method was given an argument it does not have."""


class GradientError(KcompatError, ValueError):
    """The gradients do not fit: all None, a wrong shape, or no variable to go with."""


class DistributionError(KcompatError, RuntimeError):
    """The optimizer was called where a distribution strategy does not let it take a step."""


class HookError(KcompatError, NotImplementedError):
    """A hook of an optimizer written for another API is missing, or can't be carried over to this one."""


class StateError(KcompatError, ValueError):
    """Optimizer state cannot be taken, read, matched or put back without losing something."""


class NotBuiltError(KcompatError, RuntimeError):
    """The optimizer has no variables yet, and what was asked needs them."""


class ApiNotAvailableError(KcompatError, ImportError):
    """An optimizer API was asked for that the TensorFlow or Keras installed here does not offer."""

    if not TYPE_CHECKING:
        __init__ = ImportError.__init__  # which also takes name= and path=


class UnknownApiError(ApiNotAvailableError, ValueError):
    """A name was given that is not the name of any optimizer API."""


class UnknownReleaseError(KcompatError, ValueError):
    """A release was asked for that is not in the table of releases."""


class VendoringError(KcompatError, RuntimeError):
    """A copy of this package in another one cannot be written, or must not be replaced."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the one of `names` closest to `name`, or ``""``."""
    # Imported here: difflib costs milliseconds, and only a mistake ever needs it.
    from difflib import get_close_matches

    by_lower = {str(each).lower(): str(each) for each in names}
    close = get_close_matches(str(name).lower(), list(by_lower), n=1, cutoff=0.6)
    return " Did you mean {!r}?".format(by_lower[close[0]]) if close else ""
