"""Build the distributions and install them on every Python that they promise to support.

Not part of the test suite proper: `tox run -e build` runs it. An interpreter that is not here is
named as skipped. Needs `uv`, `build`, `twine` and `check-wheel-contents`.
"""

import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHONS = ("3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")

# Run in an empty environment: what must work there with no framework and none of the extras.
TRIAL = """
import sys
import kcompat
assert not {"numpy", "tensorflow", "keras"} & set(sys.modules), "the import imported too much"

class Descend(kcompat.UpdateRule):
    "Plain gradient descent."
    learning_rate = kcompat.Hyper(0.5)

    def init(self, xp, param):
        return {}

    def update(self, xp, grad, param, slots, hyper, step):
        return param - hyper.learning_rate * grad, {}

import numpy as np
from kcompat.testing import reference
params, slots = reference(Descend(), [np.ones(3)], [[np.ones(3)], [np.ones(3)]])
assert np.array_equal(params[0], np.zeros(3)), params
print(kcompat.__version__)
"""


def run(*command, **options):
    """Run a command; fail with all it said if it fails; return its standard output."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        **options
    )
    if done.returncode:
        pytest.fail("{}\n{}".format(" ".join(map(str, command)), done.stdout), pytrace=False)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The wheel and the sdist, built from a copy: nothing is left in the checkout."""
    source = tmp_path_factory.mktemp("source") / "kcompat"
    leave = shutil.ignore_patterns(".git", ".tox", "*.egg-info", "*cache*", "build", "dist")
    shutil.copytree(str(ROOT), str(source), ignore=leave)
    output = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--installer", "uv", "--outdir", output, source)
    return {"wheel": next(output.glob("*.whl")), "sdist": next(output.glob("*.tar.gz"))}


def test_wheel_is_for_every_python_and_platform(distributions):
    assert distributions["wheel"].name.endswith("-py3-none-any.whl")


def test_wheel_holds_the_package_and_nothing_else(distributions):
    with zipfile.ZipFile(str(distributions["wheel"])) as wheel:
        names = wheel.namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"kcompat"}
    assert "kcompat/py.typed" in names
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "kcompat").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources


def test_sdist_can_run_the_matrix(distributions):
    with tarfile.open(str(distributions["sdist"])) as sdist:
        names = {"/".join(name.split("/")[1:]) for name in sdist.getnames()}
    assert {"tox.ini", "toxfile.py", ".ci/run", "LICENSE", "README.md"} <= names
    assert {"tests/conftest.py", "tests/check_build.py", "examples/demo.py"} <= names
    assert not [name for name in names if "__pycache__" in name]


def test_index_would_accept_both(distributions):
    run(sys.executable, "-m", "twine", "check", "--strict", *distributions.values())


def test_the_wheel_has_what_belongs_there_and_nothing_else(distributions):
    run(sys.executable, "-m", "check_wheel_contents", "--toplevel", "kcompat", str(distributions["wheel"]))


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_installs_and_works_in_an_empty_environment(distributions, tmp_path, kind, python):
    venv = tmp_path / "venv"
    create = ["uv", "venv", "--quiet", "--python-preference", "system", "--python", python]
    made = subprocess.run(create + [str(venv)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if made.returncode:
        find = ["uv", "python", "find", "--no-python-downloads", python]
        if subprocess.run(find, stdout=subprocess.PIPE, stderr=subprocess.PIPE).returncode:
            pytest.skip("CPython {} is not on PATH and could not be fetched".format(python))
        pytest.fail(made.stdout.decode(), pytrace=False)
    interpreter = venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    run("uv", "pip", "install", "--quiet", "--python", interpreter, distributions[kind])
    run("uv", "pip", "check", "--quiet", "--python", interpreter)
    trial = tmp_path / "trial.py"
    trial.write_text(TRIAL)
    version = run(interpreter, "-I", trial, cwd=str(tmp_path)).split("\n")[-1]
    assert "-" + version + "-" in distributions["wheel"].name
    run(interpreter.parent / "kcompat", "--help", cwd=str(tmp_path))
