"""Steps that Ctrl-C comes into."""

import pytest
from _apis import APIS
from _modes import api_modes
from _processes import check, run

# Under jax.jit the loop around the step puts results into variables.
PAIRS = [(api, mode) for api, mode in api_modes(APIS) if mode != "jit"]


@pytest.mark.parametrize("rule", ["momentum", "lion"])
@pytest.mark.parametrize(("api", "mode"), PAIRS)
def test_interrupts(api, mode, rule):
    check(run("interrupted.py", api, mode, rule))
