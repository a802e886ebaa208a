"""The plan of a step: on which path each variable is updated, and why on that one."""

from __future__ import annotations

import os
from typing import Any, NamedTuple, Sequence, Tuple

# "plain" runs every rule operation by operation; what is not set, or "auto", takes the fastest path.
VARIABLE = "KCOMPAT_PLAN"
PLAIN, AUTO = "plain", "auto"


def choice() -> str:
    """What KCOMPAT_PLAN says.

    Raises:
        ValueError: neither "plain" nor "auto".
    """
    value = os.environ.get(VARIABLE, AUTO)
    if value not in (PLAIN, AUTO):
        raise ValueError("{}={!r}: expected {!r} or {!r}.".format(VARIABLE, value, PLAIN, AUTO))
    return value


class Way(NamedTuple):
    """How one variable is updated.

    Attributes:
        path: "rule", or what runs in its place, such as "kernel ResourceApplyAdam".
        why: the reason in words.
        kernel: what runs in the rule's place, or None.
        chain: the transforms around it, or None if there are none.
        large: the rule's step compiled for large variables, or None. It goes before a kernel.
        jitted: the rule's step compiled by JAX, for eager steps, or None.
        stacks: whether in a graph the rule may run once for several small variables, laid end to end.
        plain: whether every operation is to run by itself.
    """

    path: str
    why: str
    kernel: Any = None
    chain: Any = None
    large: Any = None
    jitted: Any = None
    stacks: bool = False
    plain: bool = False


class PlanLine(NamedTuple):
    """One variable of a plan."""

    variable: str
    shape: Tuple[int, ...]
    dtype: str
    path: str
    why: str


class Plan(Tuple[PlanLine, ...]):
    """The lines of a plan, one a variable; `str()` of it is a table."""

    def __new__(cls, lines: Sequence[PlanLine]) -> Plan:
        return super().__new__(cls, lines)

    def __str__(self) -> str:
        if not self:
            return "No variables yet: the plan is made when the optimizer is built."
        rows = [("variable", "shape", "dtype", "path", "why")]
        rows += [(line.variable, str(line.shape), line.dtype, line.path, line.why) for line in self]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            "  ".join([cell.ljust(width) for cell, width in zip(row, widths)] + [row[4]]).rstrip()
            for row in rows
        )


def no_kernel(rule: str) -> Way:
    """The way of a rule that nothing else computes."""
    return Way("rule", "no kernel computes {}".format(rule))


def the_rule(why: str) -> Way:
    """The way of a variable whose rule's own operations run."""
    return Way("rule", why)


def plain_rule() -> Way:
    """The way of a variable whose rule runs operation by operation, because KCOMPAT_PLAN says so."""
    return Way("rule", "{}={}".format(VARIABLE, PLAIN), plain=True)
