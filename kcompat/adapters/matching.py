"""Which saved variable is which: by name and shape, never by position alone.

Names change between generations of the hosts: `dense/kernel:0`, `sequential/dense/kernel`, `dense_1/kernel`
in a second copy of a model. What is related in more than one way is ambiguous, and is matched in none.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Set, Tuple

# A variable's name and shape.
Named = Tuple[str, Tuple[int, ...]]


class Match(NamedTuple):
    """What belongs together.

    Attributes:
        pairs: index among the saved ones -> index among those here.
        problems: why the others have no partner, a sentence each; none if all have one.
    """

    pairs: Dict[int, int]
    problems: List[str]


class _Name:
    """A name's parts, and what it is without what hosts add: `:0`, numbers that tell copies apart."""

    __slots__ = ("bare", "numbers", "parts")

    def __init__(self, name: str) -> None:
        self.parts = tuple(part for part in re.sub(r":\d+$", "", name).split("/") if part)
        found = [re.match(r"(.+)_(\d+)$", part) for part in self.parts]
        self.bare = tuple(match.group(1) if match else part for match, part in zip(found, self.parts))
        self.numbers = tuple(int(match.group(2)) if match else 0 for match in found)


def _ends(one: Tuple[str, ...], other: Tuple[str, ...]) -> bool:
    """Whether one of two paths ends with the other."""
    length = min(len(one), len(other))
    return length > 0 and one[-length:] == other[-length:]


def _same_layer(one: Tuple[str, ...], other: Tuple[str, ...]) -> bool:
    """Whether two paths have the same last two parts, such as a layer and its weight."""
    return min(len(one), len(other)) >= 2 and one[-2:] == other[-2:]


# How two names may be related, from the closest to the loosest; each contains those before it, or nearly.
_RELATIONS: Tuple[Callable[[_Name, _Name], bool], ...] = (
    lambda a, b: a.parts == b.parts,
    lambda a, b: _ends(a.parts, b.parts),
    lambda a, b: a.bare == b.bare,
    lambda a, b: _ends(a.bare, b.bare),
    lambda a, b: _ends(a.parts, b.parts) or _same_layer(a.parts, b.parts),
    lambda a, b: _ends(a.bare, b.bare) or _same_layer(a.bare, b.bare),
)

# Those that may be used where some variables have no partner: they need no other variable to be trusted.
_ALONE = 2


def match(
    saved: Sequence[Named],
    here: Sequence[Named],
    partial: bool = False,
    repeated_in_order: bool = False,
) -> Match:
    """Matches saved variables with those here.

    Args:
        saved: names and shapes.
        here: names and shapes.
        partial: whether variables without a partner are let be. Then only names that are the same, or of
            which one is the end of the other, are matched.
        repeated_in_order: whether several variables of the very same name and shape are told apart by their
            order.

    Returns:
        The pairs, and unless `partial` what is wrong, if anything is. Where something is wrong, pairs are
        only what could be told.
    """
    ours, theirs = [_Name(name) for name, _ in saved], [_Name(name) for name, _ in here]
    best: Dict[int, int] = {}
    for level, related in enumerate(_RELATIONS[: _ALONE if partial else None]):
        edges = _edges(ours, theirs, saved, here, related)
        pairs = _resolve(edges, ours, theirs, repeated_in_order)
        if len(pairs) == len(saved) == len(here) and not _contradicts(pairs, saved, here):
            return Match(pairs, [])
        if level < _ALONE and len(pairs) > len(best):
            best = pairs
    if partial:
        return Match(best, _ambiguous(saved, here, ours, theirs, best))
    return Match(best, _problems(saved, here, ours, theirs, best))


def in_order(saved: Sequence[Named], here: Sequence[Named]) -> Match:
    """Matches by position, the shapes being the same."""
    problems = []
    if len(saved) != len(here):
        problems.append("{} variables are saved, and there are {}".format(len(saved), len(here)))
    for i, ((name, shape), (other, own)) in enumerate(zip(saved, here)):
        if shape != own:
            problems.append("number {}: {} has shape {}, and {} has {}".format(i, name, shape, other, own))
    return Match({i: i for i in range(min(len(saved), len(here)))}, problems)


def _edges(
    ours: Sequence[_Name],
    theirs: Sequence[_Name],
    saved: Sequence[Named],
    here: Sequence[Named],
    related: Callable[[_Name, _Name], bool],
) -> Dict[int, Set[int]]:
    """Who may be whom. Names are compared only where the last part, without its number, is the same."""
    by_end: Dict[Any, List[int]] = {}
    for j, (name, (_, shape)) in enumerate(zip(theirs, here)):
        by_end.setdefault((name.bare[-1:], shape), []).append(j)
    return {
        i: {j for j in by_end.get((name.bare[-1:], shape), ()) if related(name, theirs[j])}
        for i, (name, (_, shape)) in enumerate(zip(ours, saved))
    }


def _resolve(
    edges: Dict[int, Set[int]], ours: Sequence[_Name], theirs: Sequence[_Name], repeated_in_order: bool
) -> Dict[int, int]:
    """The pairs that follow from who may be whom."""
    pairs: Dict[int, int] = {}
    for left, right in _components(edges):
        complete = all(edges[i] == right for i in left)
        if repeated_in_order and complete and len({ours[i].parts for i in left}) == 1:
            if len({theirs[j].parts for j in right}) == 1:
                pairs.update(zip(sorted(left), sorted(right)))
        elif complete and len(left) == len(right) > 1:
            pairs.update(_by_numbers(left, right, ours, theirs))
        else:
            pairs.update(_forced({i: set(edges[i]) for i in left}))
    return pairs


def _components(edges: Dict[int, Set[int]]) -> List[Tuple[Set[int], Set[int]]]:
    """The connected parts of the graph, as (saved ones, those here)."""
    back: Dict[int, Set[int]] = {}
    for i, others in edges.items():
        for j in others:
            back.setdefault(j, set()).add(i)
    found: List[Tuple[Set[int], Set[int]]] = []
    seen: Set[int] = set()
    for start in edges:
        if start in seen or not edges[start]:
            continue
        left: Set[int] = set()
        right: Set[int] = set()
        pending = [start]
        while pending:
            i = pending.pop()
            if i in left:
                continue
            left.add(i)
            for j in edges[i] - right:
                right.add(j)
                pending += back[j]
        seen |= left
        found.append((left, right))
    return found


def _by_numbers(
    left: Set[int], right: Set[int], ours: Sequence[_Name], theirs: Sequence[_Name]
) -> Dict[int, int]:
    """Pairs of variables that only the hosts' numbers tell apart (`dense`, `dense_1`), in their order.

    None where the numbers do not tell them apart, or their order is not that of the variables.
    """
    one, other = sorted(left), sorted(right)
    if len({ours[i].bare for i in one}) > 1 or len({theirs[j].bare for j in other}) > 1:
        return {}
    for numbers in ([ours[i].numbers for i in one], [theirs[j].numbers for j in other]):
        if any(a >= b for a, b in zip(numbers, numbers[1:])):
            return {}
    return dict(zip(one, other))


def _forced(edges: Dict[int, Set[int]]) -> Dict[int, int]:
    """The pairs of the only way in which all of them can be paired; none if there are several ways.

    Where a bipartite graph has one such way only, some vertex has one edge only.
    """
    pairs: Dict[int, int] = {}
    count = len(edges)
    if count != len(set().union(*edges.values())):
        return {}
    while edges:
        back: Dict[int, List[int]] = {}
        for i, others in edges.items():
            for j in others:
                back.setdefault(j, []).append(i)
        single = next(((i, next(iter(others))) for i, others in edges.items() if len(others) == 1), None)
        if single is None:
            single = next(((those[0], j) for j, those in back.items() if len(those) == 1), None)
        if single is None:
            return {}
        pairs[single[0]] = single[1]
        del edges[single[0]]
        for others in edges.values():
            others.discard(single[1])
    return pairs if len(pairs) == count else {}


def _contradicts(pairs: Dict[int, int], saved: Sequence[Named], here: Sequence[Named]) -> bool:
    """Whether a variable is paired with one of another name although there is one of the very same."""
    exact = {(name.split(":")[0], shape): j for j, (name, shape) in enumerate(here)}
    for i, j in pairs.items():
        own = saved[i][0].split(":")[0], saved[i][1]
        if own in exact and here[j][0].split(":")[0] != own[0]:
            return True
    return False


def _problems(
    saved: Sequence[Named],
    here: Sequence[Named],
    ours: Sequence[_Name],
    theirs: Sequence[_Name],
    pairs: Dict[int, int],
) -> List[str]:
    problems = _ambiguous(saved, here, ours, theirs, pairs)
    told = {i for i in range(len(saved)) if _candidates(i, saved, here, ours, theirs)}
    asked = {j for i in told for j in _candidates(i, saved, here, ours, theirs)}
    taken = set(pairs.values())
    shaped = set()
    for i, (name, shape) in enumerate(saved):
        if i in pairs or i in told:
            continue
        free = (j for j in range(len(here)) if j not in taken)
        other = next((j for j in free if ours[i].parts == theirs[j].parts), None)
        if other is None:
            problems.append("left over: {} {} is saved, and no variable is it".format(name, shape))
        else:
            shaped.add(other)
            own = here[other][1]
            problems.append("shape: {} is saved with shape {}, and has {}".format(name, shape, own))
    for j, (name, shape) in enumerate(here):
        if j not in taken and j not in shaped and j not in asked:
            problems.append("missing: nothing is saved of {} {}".format(name, shape))
    if not problems:  # each has a partner, but together they say something else
        problems = [
            "ambiguous: {} {} may be another variable than {}".format(*saved[i], here[j][0])
            for i, j in sorted(pairs.items())
        ]
    return problems


def _candidates(
    i: int, saved: Sequence[Named], here: Sequence[Named], ours: Sequence[_Name], theirs: Sequence[_Name]
) -> List[int]:
    loosest = _RELATIONS[-1]
    return [j for j, (_, shape) in enumerate(here) if shape == saved[i][1] and loosest(ours[i], theirs[j])]


def _ambiguous(
    saved: Sequence[Named],
    here: Sequence[Named],
    ours: Sequence[_Name],
    theirs: Sequence[_Name],
    pairs: Dict[int, int],
) -> List[str]:
    problems = []
    for i, (name, shape) in enumerate(saved):
        if i in pairs:
            continue
        candidates = _candidates(i, saved, here, ours, theirs)
        if candidates:
            names = [here[j][0] for j in candidates]
            problems.append("ambiguous: {} {} may be {}".format(name, shape, " or ".join(names)))
    return problems
