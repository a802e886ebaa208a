"""Steps that Ctrl-C comes into."""

import pytest
from _apis import APIS
from _modes import api_modes
from _processes import check, run


@pytest.mark.parametrize("rule", ["momentum", "lion"])
@pytest.mark.parametrize(("api", "mode"), [pair for pair in api_modes(APIS) if pair[0] != "get_updates"])
def test_interrupts(api, mode, rule):
    check(run("interrupted.py", api, mode, rule))
