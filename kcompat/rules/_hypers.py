"""Kinds of hyperparameter that several rules of the catalogue share."""

from __future__ import annotations

from typing import Any

from ..errors import HyperparameterError
from ..rule import Hyper, is_source


class Fixed(Hyper):
    """A static number with bounds: what initial slots or the rule's structure are made of.

    Args:
        default, doc, ge, gt, le, lt: as for `Hyper`.
        optional: whether None is a value, too.
        whole: whether it must be an integer.
    """

    __slots__ = ("_number", "optional", "whole")

    def __init__(
        self, default: Any, doc: str = "", *, optional: bool = False, whole: bool = False, **bounds: Any
    ) -> None:
        super().__init__(default, doc, static=True, **bounds)
        self._number = Hyper(0.0, static=False, **bounds)
        self.optional, self.whole = optional, whole

    def check(self, value: Any, where: str) -> Any:
        """The value as a Python number, or None where that is allowed.

        Raises:
            HyperparameterError: no number, out of bounds, no integer where one is needed, or something that
                changes during training.
        """
        if value is None and self.optional:
            return None
        if is_source(value):
            raise HyperparameterError(
                "{}({}={!r}): expected a number. It is fixed when the optimizer is made, so it can't be a "
                "schedule, a callable or a variable.".format(where, self.name, value)
            )
        self._number.name = self.name
        number = self._number.check(value, where)
        if self.whole and not isinstance(number, int):
            raise HyperparameterError("{}({}={!r}): expected an integer.".format(where, self.name, value))
        return number


class Flag(Hyper):
    """A static hyperparameter that is True or False and nothing else."""

    __slots__ = ()

    def check(self, value: Any, where: str) -> Any:
        """The value as a Python bool.

        Raises:
            HyperparameterError: anything but True or False.
        """
        value = super().check(value, where)
        if not isinstance(value, bool):
            raise HyperparameterError("{}({}={!r}): expected True or False.".format(where, self.name, value))
        return value


class OrNone(Hyper):
    """A dynamic number for which None means 0."""

    __slots__ = ()

    def check(self, value: Any, where: str) -> Any:
        """The value as `Hyper.check` has it, 0.0 for None."""
        return super().check(0.0 if value is None else value, where)
