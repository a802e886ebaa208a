"""Many variables, many parameters, many steps, several optimizers, threads and processes."""

import pytest
from _apis import APIS
from _modes import modes_of
from _processes import check, run

# As users have it first, and as `fit` has it.
MODES = [
    (api, mode)
    for api in APIS
    if api != "get_updates"
    for mode in [m for m in ("function", "jit", "graph", "eager") if m in modes_of(api)][:1]
]


CASES = ["many_variables", "many_parameters", "two_optimizers", "threads", "spawn", "fork"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("api", "mode"), MODES)
def test_load(api, mode, case):
    check(run("load.py", api, mode, case))


@pytest.mark.parametrize(
    ("api", "mode"), [(a, m) for a in APIS if a != "get_updates" for m in modes_of(a) if m != "graph_ref"]
)
def test_memory_over_ten_thousand_steps(api, mode):
    check(run("load.py", api, mode, "memory", limit=900))
