"""Which variables a transform is for: patterns of their names, and their number of dimensions."""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence, Tuple

from ..errors import HyperparameterError

_EXPECTED = 'a regular expression, or a dict such as {"name": "kernel", "ndim": [2, 4]}'


def check_patterns(where: str, patterns: Any) -> None:
    """Raises HyperparameterError if this is no list of patterns.

    Args:
        where: how the error names the argument, such as "WeightDecay(exclude=...)".
        patterns: a list; each item a regular expression, or a dict of "name" (a regular expression) and
            "ndim" (a number of dimensions or a list of those), of which each that is there must hold.
    """
    if isinstance(patterns, (str, bytes, Mapping)) or not isinstance(patterns, Sequence):
        raise HyperparameterError(
            "{}: was given {!r}; expected a list, each item {}.".format(where, patterns, _EXPECTED)
        )
    for pattern in patterns:
        try:
            if isinstance(pattern, Mapping):
                ok = bool(pattern) and not set(pattern) - {"name", "ndim"} and bool(_dimensions(pattern))
                re.compile(pattern.get("name", ""))
            else:
                ok = isinstance(pattern, str)
                re.compile(pattern)
        except (re.error, TypeError) as error:
            raise HyperparameterError(
                "{}: {!r}: {}; expected {}.".format(where, pattern, error, _EXPECTED)
            ) from error
        if not ok:
            raise HyperparameterError("{}: {!r}: expected {}.".format(where, pattern, _EXPECTED))


def matches(pattern: Any, name: str, shape: Tuple[int, ...]) -> bool:
    """Whether a variable is one of those that a pattern means; an expression is searched for in the name."""
    if isinstance(pattern, str):
        return re.search(pattern, name) is not None
    if "ndim" in pattern and len(shape) not in _dimensions(pattern):
        return False
    return re.search(pattern.get("name", ""), name) is not None


def selected(include: Sequence[Any], exclude: Sequence[Any], name: str, shape: Tuple[int, ...]) -> bool:
    """Whether a variable is one of `include` (all, if that is empty) and none of `exclude`."""
    if include and not any(matches(pattern, name, shape) for pattern in include):
        return False
    return not any(matches(pattern, name, shape) for pattern in exclude)


def _dimensions(pattern: Mapping[str, Any]) -> Tuple[int, ...]:
    ndim = pattern.get("ndim", 0)
    return (ndim,) if isinstance(ndim, int) else tuple(int(each) for each in ndim)
