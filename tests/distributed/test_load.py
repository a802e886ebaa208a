"""Many variables, many parameters, many steps, several optimizers, threads and processes."""

import pytest
from _apis import APIS
from _modes import api_modes, modes_of
from _processes import check, run

# As users have it first, and as `fit` has it.
MODES = [
    (api, mode)
    for api in APIS
    for mode in [m for m in ("function", "jit", "graph", "eager") if m in modes_of(api)][:1]
]


LARGE = ["many_variables", "many_parameters"]
ALL = [(api, mode) for api, mode in api_modes(APIS) if mode != "graph_ref"]


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize(("api", "mode"), MODES)
def test_large(api, mode, case):
    check(run("load.py", api, mode, case))


@pytest.mark.parametrize("case", ["two_optimizers", "threads"])
@pytest.mark.parametrize(("api", "mode"), ALL)
def test_side_by_side(api, mode, case):
    check(run("load.py", api, mode, case))


@pytest.mark.parametrize("case", ["spawn", "fork"])
@pytest.mark.parametrize(("api", "mode"), MODES)
def test_processes(api, mode, case):
    check(run("load.py", api, mode, case))


@pytest.mark.parametrize(("api", "mode"), ALL)
def test_memory_over_ten_thousand_steps(api, mode):
    check(run("load.py", api, mode, "memory", limit=900))
