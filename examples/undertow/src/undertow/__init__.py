"""Optimizers with friction, native on whichever TensorFlow or Keras is installed.

`DiffGrad` is a class of the installed Keras' own optimizers; `undertow.for_api` makes it for another API.
"""

from __future__ import annotations

from typing import Any, List

from . import rules

__version__ = "0.1.0"
__all__ = ["DiffGrad", "for_api", "rules"]


def for_api(api: str) -> Any:
    """The optimizer class of one optimizer API, such as "tf1" or "keras_2_11".

    Args:
        api: a name that `python -m undertow._vendor.kcompat doctor` lists.

    Raises:
        ApiNotAvailableError: what is installed does not have it. The message says what does.
    """
    from ._vendor.kcompat import optimizer_class

    return optimizer_class(rules.DiffGrad, api=api)


def __getattr__(name: str) -> Any:
    # Not at import: what makes the class imports the framework, and `undertow.rules` needs none.
    if name != "DiffGrad":
        raise AttributeError("module {!r} has no attribute {!r}".format(__name__, name))
    from ._vendor.kcompat import optimizer_class

    made = globals()[name] = optimizer_class(rules.DiffGrad)
    return made


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
