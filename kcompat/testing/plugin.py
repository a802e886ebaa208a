"""The pytest plugin: a test for each optimizer API that is installed.

Installed with the package, it is there by itself. In a copy inside another package, a conftest.py names it,
by the name that the copy has: `pytest_plugins = ["mylib._vendor.kcompat.testing.plugin"]`. Loading it imports
no framework; only a test that asks for `kcompat_api` does, when it is collected.
"""

from __future__ import annotations

from typing import Any, List

import pytest

FIXTURE = "kcompat_api"
MARKER = "kcompat_apis"


@pytest.fixture
def kcompat_api(request: Any) -> str:
    """The name of an optimizer API that works here: the test runs once with each."""
    return request.param


def pytest_configure(config: Any) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "{}(*names, exclude=()): run with these optimizer APIs only, those of them that are installed; or "
        "with all but some.".format(MARKER),
    )


def pytest_generate_tests(metafunc: Any) -> None:
    """Run a test that asks for `kcompat_api` with each API that works here."""
    if FIXTURE not in metafunc.fixturenames:
        return
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", "")
        if isinstance(names, str):
            names = names.split(",")
        if FIXTURE in [name.strip() for name in names]:
            return  # the test says itself which
    # Two copies of the package may each have this plugin; the first to come has the fixture.
    if any(FIXTURE in getattr(call, "params", {}) for call in metafunc._calls):
        return
    apis = _chosen(metafunc.definition.iter_markers(MARKER), metafunc.definition.nodeid)
    metafunc.parametrize(FIXTURE, apis, indirect=True)


def _chosen(marks: Any, where: str) -> List[str]:
    from ..environment import APIS, detect

    apis = list(detect().apis)
    for mark in marks:
        excluded = mark.kwargs.get("exclude", ())
        excluded = (excluded,) if isinstance(excluded, str) else tuple(excluded)
        wrong = [name for name in (*mark.args, *excluded) if name not in APIS]
        if wrong or set(mark.kwargs) - {"exclude"}:
            raise pytest.UsageError(
                "{}: @pytest.mark.{}({}): expected names of APIs, {}, and exclude=names.".format(
                    where,
                    MARKER,
                    ", ".join(
                        [*map(repr, mark.args), *("{}={!r}".format(*kw) for kw in mark.kwargs.items())]
                    ),
                    ", ".join(APIS),
                )
            )
        if mark.args:
            apis = [api for api in apis if api in mark.args]
        apis = [api for api in apis if api not in excluded]
    return apis
