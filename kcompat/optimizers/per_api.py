"""How the modules of one API each resolve their optimizer classes on first access."""

from __future__ import annotations

from typing import Any, Callable, List, Tuple

from .. import rules
from ..adapters import optimizer_class


def lazy_classes(module: str, api: str) -> Tuple[Callable[[str], Any], Callable[[], List[str]]]:
    """The `__getattr__` and `__dir__` of a module with every rule of the catalogue as a class of one API."""

    def get(name: str) -> Any:
        if name in rules.CATALOGUE:
            return optimizer_class(getattr(rules, name), api=api)
        raise AttributeError(
            "module {!r} has no optimizer {!r}; it has {}".format(module, name, ", ".join(rules.CATALOGUE))
        )

    return get, lambda: sorted(rules.CATALOGUE)
