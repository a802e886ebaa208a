"""What docs/how_it_is_built.md says of a step is what a step does."""

import os
import re
import sys

import _package
import numpy as np
import pytest
from _apis import APIS

import kcompat
from kcompat.testing.running import Training, modes_of

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "how_it_is_built.md")
PARAMETERS = [np.ones((2, 3), "float32")]
pytestmark = pytest.mark.wide


@pytest.fixture(scope="module")
def section():
    """The part of the page about one step."""
    with open(PAGE, encoding="utf-8") as file:
        return file.read().partition("## One step\n")[2].partition("\n## ")[0]


def names(text):
    """The functions that a text names."""
    return re.findall(r"`(\w+)`", text)


def calls_of_a_step(api, mode):
    """The methods of an optimizer that its first step calls, in the order of their first calls."""
    found = {}
    rule, gradients = kcompat.rules.Lion(0.1), [[np.ones_like(each) for each in PARAMETERS]]
    with Training(api, mode, lambda: kcompat.optimizer(rule, api=api), PARAMETERS) as training:
        optimizer = training.optimizer

        def note(frame, event, _):
            code = frame.f_code
            if event == "call" and code.co_argcount:
                if frame.f_locals.get(code.co_varnames[0]) is optimizer:
                    package = frame.f_globals.get("__name__", "").partition(".adapters")[0]
                    found.setdefault(code.co_name, package == _package.NAME)

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            training.build(gradients)
            training.step(gradients[0])
        finally:
            sys.setprofile(before)
    return found


@pytest.mark.parametrize("api", APIS)
def test_a_step(api, section):
    steps = [line for line in re.split(r"\n(?=\d\. )", section.partition("\n| ")[0]) if line[0].isdigit()]
    listed = [name for line in steps for name in names(line.partition(":")[0])]
    (row,) = [line.split(" | ") for line in section.splitlines() if line.startswith("| `{}` ".format(api))]
    assert len(steps) == 7 and len(listed) >= 8
    calls = calls_of_a_step(api, modes_of(api)[0])
    assert [name for name in calls if name in listed] == listed
    assert set(names(row[1])) & set(calls)
    for name in names(row[2]):
        assert calls[name] == (api == "get_updates"), name
