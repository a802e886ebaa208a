"""Which saved variable is which: names of all generations are understood, and ambiguity is never guessed."""

import numpy as np
import pytest
from _apis import APIS

from kcompat.adapters.matching import in_order, match

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

pytestmark = pytest.mark.skipif(
    bool(APIS), reason="what needs no API is tested in the environments that have none"
)

S, T = (2, 3), (3,)


def named(*names):
    """Names and shapes: biases are vectors."""
    return [(name, T if "bias" in name else S) for name in names]


RELATED = {
    "the same": (["dense/kernel", "dense/bias"], ["dense/kernel", "dense/bias"]),
    "in another order": (["a/kernel", "b/kernel"], ["b/kernel", "a/kernel"]),
    "output numbers": (["dense/kernel:0", "dense/bias:0"], ["dense/kernel", "dense/bias"]),
    "a model's name": (["dense/kernel", "dense/bias"], ["sequential/dense/kernel", "sequential/dense/bias"]),
    "of some only": (["emb/kernel", "m/dense/kernel"], ["emb/kernel", "dense/kernel"]),
    "another copy": (["dense/kernel", "dense/bias"], ["dense_1/kernel", "dense_1/bias"]),
    "another copy of several": (
        ["dense/kernel", "dense_1/kernel", "dense_2/kernel"],
        ["dense_3/kernel", "dense_4/kernel", "dense_5/kernel"],
    ),
    "another copy with a model's name": (
        ["dense/kernel", "dense_1/kernel"],
        ["sequential_1/dense_2/kernel", "sequential_1/dense_3/kernel"],
    ),
    "past nine": (["d_9/kernel", "d_10/kernel"], ["m/d_11/kernel", "m/d_12/kernel"]),
    "another model's name": (["mine/a/kernel", "mine/b/kernel"], ["yours/a/kernel", "yours/b/kernel"]),
    "names that end with digits": (["v0_1", "v1_1"], ["v0_2", "v1_2"]),
}


@pytest.mark.parametrize("case", sorted(RELATED))
def test_related_names(case):
    saved, here = map(list, RELATED[case])
    found = match(named(*saved), named(*here))
    assert found.problems == []
    order = dict(enumerate(range(len(saved)))) if case != "in another order" else {0: 1, 1: 0}
    assert found.pairs == order
    assert match(named(*here), named(*saved)).pairs == {j: i for i, j in order.items()}


AMBIGUOUS = {
    "copies that overlap": (["dense/kernel", "dense_1/kernel"], ["dense_1/kernel", "dense_2/kernel"]),
    "copies in another order": (["dense/kernel", "dense_1/kernel"], ["dense_3/kernel", "dense_2/kernel"]),
    "the same twice": (["w", "w"], ["w", "w"]),
    "ends of several": (["kernel"], ["a/kernel", "b/kernel"]),
    "two ways": (["a/kernel", "b/a/kernel"], ["b/a/kernel", "c/b/a/kernel"]),
}


@pytest.mark.parametrize("case", sorted(AMBIGUOUS))
def test_ambiguous_names(case):
    saved, here = AMBIGUOUS[case]
    found = match(named(*saved), named(*here))
    assert any("ambiguous" in problem for problem in found.problems), found


def test_all_that_is_wrong_is_told():
    saved = [("a/kernel", S), ("b/kernel", S), ("c/kernel", (9, 9)), ("d/kernel", S)]
    here = [("a/kernel", S), ("m/c/kernel", S), ("c/kernel", (9, 8)), ("x/other", T)]
    found = match(saved, here)
    text = "\n".join(found.problems)
    for part in (
        "left over: b/kernel (2, 3)",
        "left over: d/kernel (2, 3)",
        "shape: c/kernel is saved with shape (9, 9), and has (9, 8)",
        "missing: nothing is saved of x/other (3,)",
        "missing: nothing is saved of m/c/kernel (2, 3)",
    ):
        assert part in text
    assert found.pairs == {0: 0}


def test_what_has_no_partner_may_be_let_be():
    found = match(named("a/kernel", "old/bias"), named("m/a/kernel", "head/bias"), partial=True)
    assert found == ({0: 0}, [])
    assert match(named("kernel"), named("a/kernel", "b/kernel"), partial=True).problems
    # Numbers of copies are not taken away where others may be missing.
    assert match(named("dense/kernel"), named("dense_1/kernel"), partial=True).pairs == {}


def test_by_order():
    assert in_order(named("a", "b"), named("c", "d")) == ({0: 0, 1: 1}, [])
    assert in_order(named("a"), named("c", "d")).problems
    assert "(3,)" in in_order(named("a_bias"), named("c")).problems[0]


PARTS = st.sampled_from(["dense", "conv", "a", "b", "block1", "norm"])
LAYERS = st.lists(st.lists(PARTS, min_size=1, max_size=2).map("/".join), min_size=1, max_size=6)
SIDES = st.lists(st.sampled_from([S, (4, 4)]), min_size=6, max_size=6)


def unique(layers, first=0):
    """Layers' names as Keras makes them unique: the first is `dense`, then `dense_1`."""
    counts, found = {}, []
    for layer in layers:
        count = counts.get(layer, first)
        counts[layer] = count + 1
        found.append("{}_{}".format(layer, count) if count else layer)
    return found


@settings(max_examples=300, deadline=None)
@given(LAYERS, SIDES, st.sampled_from(["", "m/", "model_3/"]), st.integers(0, 3), st.booleans(), st.randoms())
def test_never_the_wrong_one(layers, sides, prefix, first, number, random):
    """The same model of another generation, its variables in any order: the right pairs, or an error."""
    saved = [(name + "/kernel", shape) for name, shape in zip(unique(layers), sides)]
    others = [prefix + name + "/kernel" + ":0" * number for name in unique(layers, first)]
    here = list(zip(others, sides))
    order = list(range(len(here)))
    random.shuffle(order)
    found = match(saved, [here[i] for i in order])
    if not found.problems:
        assert len(found.pairs) == len(saved)
        assert all(order[j] == i for i, j in found.pairs.items())
    if not prefix and not first:  # the names are the same
        assert not found.problems


@settings(max_examples=200, deadline=None)
@given(LAYERS, LAYERS, SIDES, SIDES, st.booleans())
def test_anything_is_paired_once_or_told(one, other, shapes, others, partial):
    saved, here = list(zip(unique(one), shapes)), list(zip(unique(other), others))
    found = match(saved, here, partial=partial)
    assert len(set(found.pairs.values())) == len(found.pairs)
    assert all(saved[i][1] == here[j][1] for i, j in found.pairs.items())
    complete = len(found.pairs) == len(saved) == len(here)
    assert partial or complete != bool(found.problems)


def test_many_variables_are_matched_quickly():
    names = [("block_{}/dense/kernel".format(i), S) for i in range(2000)]
    order = np.random.RandomState(0).permutation(len(names))
    found = match(names, [names[i] for i in order])
    assert not found.problems and all(order[j] == i for i, j in found.pairs.items())
