"""What the code of a class says: which names it defines and uses. Nothing of it is run."""

from __future__ import annotations

from types import CodeType, FunctionType
from typing import Any, Iterator, List, Set


def names_in(namespace: Any) -> Set[str]:
    """The names that a class's body defines, and that its functions use or take as arguments.

    A function that it defines is there as "def name", too.
    """
    names = {name for name in namespace if not name.startswith("__")}
    names |= {"def " + name for name in names if any(True for _ in functions_of(namespace[name]))}
    for value in namespace.values():
        for function in functions_of(value):
            for code in codes_of(function.__code__):
                names |= set(code.co_names) | set(code.co_varnames[: code.co_argcount])
    return names


def functions_of(value: Any) -> Iterator[FunctionType]:
    """The functions that a value of a class's body consists of."""
    if isinstance(value, property):
        parts: List[Any] = [value.fget, value.fset]
    else:
        parts = [getattr(value, "__func__", value)]
    for part in parts:
        while part is not None and hasattr(part, "__wrapped__"):  # a decorator such as typeguard's
            part = part.__wrapped__
        if isinstance(part, FunctionType):
            yield part


def codes_of(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_of(constant)
