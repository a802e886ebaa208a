"""What all tests share: quiet frameworks, and a run that fails where a demanded API is missing."""

import os

# Before any framework is imported: no GPU, and no log of what the CPU could do.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import _apis
import pytest


def pytest_sessionstart(session):
    """Stop at once where an API that this environment is there to test cannot be used."""
    absent = _apis.absent()
    if absent:
        import kcompat

        found = kcompat.detect()
        reasons = ["{}: {}".format(api, found.absent.get(api, "no such API")) for api in absent]
        raise pytest.UsageError(
            "{}={} demands what is not here.\n{}\n{}".format(
                _apis.VARIABLE, os.environ[_apis.VARIABLE], "\n".join(reasons), found.why
            )
        )


def pytest_collection_modifyitems(config, items):
    """Leave out tests over the APIs where there is none: they would only be reported as skipped."""
    kept, empty = [], []
    for item in items:
        reasons = [str(mark.kwargs.get("reason")) for mark in item.iter_markers("skip")]
        without = any(reason.startswith("got empty parameter set") for reason in reasons)
        (empty if without else kept).append(item)
    if empty:
        config.hook.pytest_deselected(items=empty)
        items[:] = kept


def pytest_report_header(config):
    """Name the copy of the package that is tested: the installed one, or this checkout's."""
    import kcompat

    return "kcompat {} from {}".format(kcompat.__version__, os.path.dirname(kcompat.__file__))


@pytest.fixture(scope="session")
def apis():
    """The optimizer APIs under test here, as a tuple of names."""
    return _apis.APIS
