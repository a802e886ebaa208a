"""Checks of static hyperparameters, which `Hyper` itself takes as they are."""

from __future__ import annotations

import math
import numbers
from typing import Any, Optional

from ..errors import HyperparameterError


def check_flags(rule: Any, *names: str) -> None:
    """Raises HyperparameterError unless each named hyperparameter is True or False."""
    for name in names:
        value = getattr(rule, name)
        if not isinstance(value, bool):
            raise HyperparameterError(
                "{}({}={!r}): expected True or False.".format(type(rule).__name__, name, value)
            )


def check_count(rule: Any, name: str, optional: bool = False) -> None:
    """Raises HyperparameterError unless the hyperparameter is an integer of at least 1 (or None)."""
    value = getattr(rule, name)
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise HyperparameterError(
            "{}({}={!r}): expected an integer of at least 1{}.".format(
                type(rule).__name__, name, value, ", or None" if optional else ""
            )
        )


def check_number(
    rule: Any,
    name: str,
    *,
    above: Optional[float] = None,
    least: Optional[float] = None,
    below: Optional[float] = None,
    optional: bool = True,
) -> None:
    """Raises HyperparameterError unless the hyperparameter is a finite number in bounds (or None)."""
    value = getattr(rule, name)
    if optional and value is None:
        return
    fits = (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and (above is None or value > above)
        and (least is None or value >= least)
        and (below is None or value < below)
    )
    if not fits:
        bounds = [(above, ">"), (least, ">="), (below, "<")]
        wanted = " and ".join("{} {}".format(sign, bound) for bound, sign in bounds if bound is not None)
        wanted = "a number" + (" " + wanted if wanted else "") + (", or None" if optional else "")
        raise HyperparameterError(
            "{}({}={!r}): expected {}.".format(type(rule).__name__, name, value, wanted)
        )
