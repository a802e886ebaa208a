"""`python -m kcompat doctor`, and how subcommands are found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import _package
import pytest

import kcompat
from kcompat import cli, environment
from kcompat.cli import doctor

TENSORFLOW = """
def hooks(*names):
    return {name: (lambda self, *args: None) for name in names}
class NS:
    def __init__(self, **names):
        self.__dict__.update(names)
__version__ = "1.15.0"
train = NS(Optimizer=type("Optimizer", (), hooks(
    "_apply_dense", "_apply_sparse", "_create_slots", "_finish", "_prepare",
    "_resource_apply_dense", "_resource_apply_sparse", "_zeros_slot",
    "apply_gradients", "compute_gradients")))
compat = NS(v1=NS(train=train))
"""


def command(*arguments, path=""):
    """Run the command with no site-packages (-S), so that no real framework is in sight."""
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, [str(path), _package.PATH])))
    for name in environment.VARIABLES:
        env.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "kcompat", *arguments],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture()
def tensorflow(tmp_path):
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(TENSORFLOW)
    return tmp_path


def test_nothing_installed():
    done = command("doctor")
    assert done.returncode == 1
    assert done.stderr == ""
    assert "default API    none" in done.stdout
    assert "pip install tensorflow" in done.stdout


def test_something_installed(tensorflow):
    done = command("doctor", path=tensorflow)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert "TensorFlow     1.15.0" in lines
    assert "default API    tf1" in lines
    assert "  tf1           yes  tf.compat.v1.train.Optimizer" in lines
    assert "problems" in lines  # this tf has no keras
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("installed", [True, False])
def test_json(tensorflow, installed):
    done = command("doctor", "--json", path=tensorflow if installed else "")
    assert done.returncode == (0 if installed else 1)
    found = json.loads(done.stdout)
    assert set(environment.Environment._fields) == set(found)
    assert found["default"] == ("tf1" if installed else None)
    assert found["apis"] == (["tf1"] if installed else [])


@pytest.mark.parametrize("apis, status", [((), 1), (("tf1",), 0)])
def test_exit_status(monkeypatch, capsys, apis, status):
    class Found:
        def __init__(self):
            self.apis = apis

        def __str__(self):
            return "what was found"

    monkeypatch.setattr(doctor.environment, "detect", Found)
    assert cli.main(["doctor"]) == status
    assert capsys.readouterr().out == "what was found\n"


def test_version():
    done = command("--version")
    assert done.returncode == 0
    assert done.stdout.strip() == kcompat.__version__


def test_no_command():
    done = command()
    assert done.returncode == 2
    for name, text in cli.COMMANDS.items():
        assert name in done.stdout and text.split()[0] in done.stdout


def test_unknown_command():
    done = command("docter")
    assert done.returncode == 2
    assert "docter" in done.stderr and "doctor" in done.stderr


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_commands_have_the_same_shape(name):
    directory = Path(cli.__file__).parent
    assert (directory / (name + ".py")).is_file() or (directory / name / "__init__.py").is_file()


def test_doctor_has_the_shape():
    module = import_module(cli.__name__ + ".doctor")
    assert callable(module.add_arguments) and callable(module.run)


def test_only_the_chosen_command_is_imported():
    code = (
        "import sys; from kcompat import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.modules if name.startswith(cli.__name__ + '.')])"
    )
    env = dict(os.environ, PYTHONPATH=_package.PATH)
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=env,
        stdout=subprocess.PIPE,
        universal_newlines=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
