"""What all tests share: quiet frameworks, and a run that fails where a demanded API is missing."""

import os
from collections import Counter

# Before any framework is imported: no GPU, and no log of what the CPU could do.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import _apis
import _errors
import _package
import pytest


def pytest_sessionstart(session):
    """Stop at once where an API that this environment is there to test cannot be used."""
    _errors.start()
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


_not_collected = Counter()

# "core" leaves out the tests marked `wide`: what differs little between neighbouring releases runs on a few.
# "catalogue" runs the tests of that marker only.
TIER = "KCOMPAT_TEST_TIER"
# "core" runs these files in the first of each API's modes only.
FIRST_MODE = {"test_bad_input.py", "test_behaviour.py"}
# What these files test in NumPy alone, on no API, is left to the environments that have none.
ALONE = {
    "test_error_messages.py",
    "test_kit.py",
    "test_packaging.py",
    "test_plugin.py",
    "test_rules_addons.py",
    "test_rules_keras.py",
    "test_rules_papers.py",
    "test_schedules.py",
    "test_state_reader_errors.py",
    "test_transforms_more.py",
    "test_vendoring.py",
}


def pytest_configure(config):
    """Make the markers known."""
    config.addinivalue_line("markers", "wide: left out where {}=core".format(TIER))
    config.addinivalue_line("markers", "catalogue: run only where {}=catalogue".format(TIER))
    config.addinivalue_line("markers", "everywhere: run with and without a framework")


def pytest_collection_modifyitems(config, items):
    """Leave out tests that mean nothing here (no API, no TensorFlow, another release): not a skip but a fact.

    Their reasons are in the terminal summary.
    """
    kept, left_out = [], []
    for item in items:
        reasons = [
            str(mark.kwargs.get("reason"))
            for mark in item.iter_markers("skip")
            if str(mark.kwargs.get("reason")).startswith("got empty parameter set")
        ]
        reasons += [
            str(mark.kwargs["reason"]) for mark in item.iter_markers("skipif") if all(mark.args)
        ]
        if os.environ.get(TIER) == "core" and (item.get_closest_marker("wide") or _is_in_another_mode(item)):
            reasons.append("{}=core leaves the wide suites to other environments".format(TIER))
        if _apis.required() and _is_alone(item):
            reasons.append("what needs no API is tested in the environments that have none")
        if bool(item.get_closest_marker("catalogue")) != (os.environ.get(TIER) == "catalogue"):
            reasons.append("the catalogue's properties and all other tests run in environments of their own")
        (left_out if reasons else kept).append(item)
        _not_collected.update(reasons[:1])
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    # Last: they import every Keras there is. tf_keras 2.15 finds the layers of a saved model by names that it
    # shares with Keras 2.15: where that has been imported too, it is given the other's, and loads for ever.
    items[:] = sorted(kept, key=lambda item: _file(item).startswith("test_hooks"))


def _file(item):
    return os.path.basename(str(item.fspath))


def _is_in_another_mode(item):
    """Whether a test of the files in FIRST_MODE runs in another mode than the one that users have first."""
    from _modes import modes_of

    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if _file(item) not in FIRST_MODE or not {"api", "mode"} <= set(parameters):
        return False
    # Where no API of a test's is here, pytest gives it an empty set of parameters in place of names.
    if parameters["api"] not in _apis.APIS:
        return False
    return parameters["mode"] != modes_of(parameters["api"])[0]


def _is_alone(item):
    """Whether a test of the files in ALONE runs on no API."""
    parameters = getattr(item, "callspec", None)
    on_an_api = parameters is not None and any(name in ("api", "apis") for name in parameters.params)
    return _file(item) in ALONE and not on_an_api and not item.get_closest_marker("everywhere")


def pytest_terminal_summary(terminalreporter):
    """Say why tests were not collected."""
    for reason, count in sorted(_not_collected.items()):
        if not reason.startswith("got empty parameter set"):
            terminalreporter.write_line("not collected: {} tests: {}".format(count, reason))


def pytest_runtest_logstart(nodeid):
    """Errors that are made from here on are this test's."""
    _errors.running(nodeid)


def pytest_sessionfinish():
    """Leave what was taken down."""
    _errors.finish()


def pytest_report_header(config):
    """Name the copy of the package that is tested: the installed one, or this checkout's."""
    import kcompat

    where = os.path.dirname(kcompat.__file__)
    return "kcompat {} from {}, as {}".format(kcompat.__version__, where, _package.NAME)


@pytest.fixture(scope="session")
def apis():
    """The optimizer APIs under test here, as a tuple of names."""
    return _apis.APIS
