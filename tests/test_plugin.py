"""The pytest plugin, the tests that `rule_tests` makes, and the command `kcompat check`."""

import os
import re
import shutil
import sys
from types import SimpleNamespace

import pytest
from _apis import APIS

import kcompat
from kcompat.cli import main
from kcompat.testing import plugin

pytest_plugins = ["pytester"]

PACKAGE = os.path.dirname(kcompat.__file__)
ROOT = os.path.dirname(PACKAGE)

RULES = '''
import kcompat

class Right(kcompat.UpdateRule):
    """Gradient descent."""
    learning_rate = kcompat.Hyper(0.1)

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * grad, {}

class Wrong(Right):
    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * grad / xp.abs(grad), {}

class Broken(Right):
    def init(self, xp, param):
        return {"m": xp.zeros_like(param)}

def one_step(grad, param, slots, hyper, step):
    return param - hyper.learning_rate * grad

right = Right(0.5)
'''


# With the plugin of this copy.
OPTIONS = ["-p", "no:cacheprovider", "-p", "kcompat.testing.plugin", "-rs", "-v"]


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Without the plugins that are installed, this package's among them."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def path(monkeypatch, pytester):
    """Processes find this copy of the package, and what the test writes."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(pytester.path), ROOT]))


def test_each_api_has_a_test_of_its_own(pytester):
    pytester.makepyfile(
        test_it="""
        import pytest

        def test_all(kcompat_api):
            assert kcompat_api

        @pytest.mark.kcompat_apis("tf1", "keras_2_11")
        def test_some(kcompat_api):
            assert kcompat_api in ("tf1", "keras_2_11")

        @pytest.mark.kcompat_apis(exclude="tf1")
        def test_but_one(kcompat_api):
            assert kcompat_api != "tf1"

        @pytest.mark.parametrize("kcompat_api", ["mine"])
        def test_own(kcompat_api):
            assert kcompat_api == "mine"

        @pytest.mark.parametrize("other", [1, 2])
        def test_both(kcompat_api, other):
            pass

        def test_none():
            pass
        """
    )
    kcompat.detect()  # known already: what a run in this process imports first is forgotten after it
    done = pytester.runpytest_inprocess(*OPTIONS, "--strict-markers")
    found = kcompat.detect().apis
    some = [api for api in found if api in ("tf1", "keras_2_11")]
    others = [api for api in found if api != "tf1"]
    text = done.stdout.str()
    for api in found:
        assert "test_it.py::test_all[{}] PASSED".format(api) in text
        assert ("test_some[{}] PASSED".format(api) in text) == (api in some)
        assert ("test_but_one[{}] PASSED".format(api) in text) == (api in others)
    counts = done.parseoutcomes()
    assert counts.pop("passed") == len(found) * 3 + len(some) + len(others) + 2
    skipped = sum([1 if not found else 0, 0 if some else 1, 0 if others else 1, 2 if not found else 0])
    assert counts.pop("skipped", 0) == skipped
    assert set(counts) <= {"warnings", "warning"}


@pytest.mark.parametrize(
    "given,keywords", [(("keras_7",), {}), ((), {"exclude": ["tf2"]}), ((), {"only": "tf1"})]
)
def test_a_wrong_name_in_the_marker_is_an_error(given, keywords):
    mark = SimpleNamespace(args=given, kwargs=keywords)
    with pytest.raises(pytest.UsageError, match="test_it.*expected names of APIs, tf1, get_updates"):
        plugin._chosen([mark], "test_it")


def test_the_plugin_imports_nothing_at_start(pytester, path):
    pytester.makepyfile(
        test_it="""
        import sys

        def test_it(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("kcompat.testing.plugin")
            slow = "tensorflow keras tf_keras jax torch numpy"
            assert not [name for name in slow.split() if name in sys.modules]
            ours = [name for name in sys.modules if name.startswith("kcompat")]
            assert not [name for name in ours if "adapters" in name or name == "kcompat.environment"]
        """
    )
    done = pytester.runpytest_subprocess(*OPTIONS)
    done.assert_outcomes(passed=1)


def test_in_a_copy_inside_another_package_it_has_that_name(pytester, path):
    vendor = pytester.path / "mylib" / "_vendor"
    vendor.mkdir(parents=True)
    for package in (vendor, vendor.parent):
        (package / "__init__.py").write_text("")
    shutil.copytree(PACKAGE, str(vendor / "kcompat"), ignore=shutil.ignore_patterns("__pycache__"))
    pytester.makepyfile(
        conftest='pytest_plugins = ["mylib._vendor.kcompat.testing.plugin"]\n',
        mine=RULES.replace("import kcompat", "from mylib._vendor import kcompat"),
        test_it="""
        from mine import Right
        from mylib._vendor.kcompat.testing import rule_tests

        test_rule = rule_tests(Right, apis=(), only=["contract", "finite"])

        def test_api(kcompat_api):
            assert kcompat_api
        """,
    )
    # The plugin of an installed package is there besides, and is the other copy's.
    done = pytester.runpytest_subprocess(*OPTIONS)
    apis = len(kcompat.detect().apis)
    assert done.parseoutcomes().get("passed") == 2 + apis
    assert "errors" not in done.parseoutcomes() and "failed" not in done.parseoutcomes()


def test_one_line_is_a_test_for_each_property_and_api(pytester, path):
    pytester.makepyfile(
        mine=RULES,
        test_it="""
        from kcompat.testing import rule_tests
        from mine import Broken, Right, Wrong, one_step

        some = ["contract", "agreement", "reference"]
        test_right = rule_tests(Right, reference=one_step, only=some)
        test_wrong = rule_tests(Wrong, apis=())
        test_broken = rule_tests(Broken, apis=(), only=["contract", "finite"])
        """,
    )
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-v", "-rs")
    text = done.stdout.str()
    assert "test_it.py::test_right[reference-numpy] PASSED" in text
    for api in APIS:
        assert "test_it.py::test_right[agreement-{}] PASSED".format(api) in text
    assert "test_wrong[zero_gradients-numpy] FAILED" in text
    assert "parameter 0 is not finite" in text and "gradients of step 1: 0.0" in text
    assert "test_wrong[contract-numpy] PASSED" in text
    assert "test_broken[contract-numpy] FAILED" in text and "drops slot 'm'" in text
    assert "test_broken[finite-numpy] SKIPPED" in text
    assert not (pytester.path / ".hypothesis").exists()


# The command.


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "mine"
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("rich", [True, False])
def test_the_command_prints_a_table_and_tells_by_its_status(mine, capsys, monkeypatch, rich):
    if not rich:
        monkeypatch.setitem(sys.modules, "rich", None)
    api = ["--api", APIS[0]] if APIS else []
    only = ["--only", "contract", "--only", "agreement", "--only", "reference"]
    assert main(["check", mine + ":Right", "--reference", mine + ":one_step", *api, *only]) == 0
    out = capsys.readouterr().out
    columns = ["property", "numpy", *APIS[:1]]
    assert re.search(r"\W+".join(columns), out), out
    assert re.search(r"reference\W+ok", out) and "0 of {} checks failed".format(2 + len(APIS[:1])) in out
    assert re.search(r"agreement\W+ok", out) or not APIS
    assert main(["check", mine + ":Wrong", *api, "--only", "contract", "--only", "zero_gradients"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"zero_gradients\W+FAILED", out) and "is not finite" in out


@pytest.mark.parametrize(
    "arguments,words",
    [
        (["mine"], "expected MODULE:NAME"),
        (["mine:Rigth"], "Did you mean 'right'"),
        (["mine.rules:Right"], "there is no module 'mine.rules'"),
        (["nowhere:Right"], "there is no module 'nowhere'"),
        (["mine:one_step"], "expected an update rule"),
        (["mine:Right", "--api", "keras_7"], "no such API"),
        (["mine:Right", "--only", "finit"], "Did you mean 'finite'"),
    ],
)
def test_what_can_not_be_checked_has_another_status(mine, capsys, arguments, words):
    assert main(["check", *arguments]) == 2
    assert words in capsys.readouterr().err
