"""What the author of a library meets: the commands, the kit's hints, and several copies of the package."""

import os
import subprocess
import sys
import types

import numpy as np
import pytest
from test_releases import read  # how tox reads its file

import kcompat
from kcompat import testing, vendoring
from kcompat.cli import main
from kcompat.errors import RuleError

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXAMPLE = os.path.join(ROOT, "examples", "undertow")


# ------------------------------------------------------------ the matrix


def test_an_environment_of_37_gets_a_virtualenv_that_can_make_it(capsys):
    for release, pinned in (("1.15", True), ("2.4", False)):
        assert main(["matrix", "--releases", release]) == 0
        assert ("virtualenv<20.27" in read(capsys.readouterr().out)[0]["tox"].get("requires", "")) is pinned


def test_what_the_tests_need_besides_pytest(capsys):
    more = ["--also", "hypothesis", "--also", "pytest-xdist<4", "--releases", "2.4"]
    assert main(["matrix", *more]) == 0
    needs = read(capsys.readouterr().out)[0]["testenv"]["deps"].split()
    assert needs[:3] == ["pytest", "hypothesis", "pytest-xdist<4"]
    assert main(["matrix", "--github", *more]) == 0
    assert "install pytest 'hypothesis' 'pytest-xdist<4' . $" in capsys.readouterr().out


@pytest.mark.skipif(not os.path.isdir(EXAMPLE), reason="there are no examples beside these tests")
def test_the_example_has_the_matrix_that_is_written_today(capsys):
    with open(os.path.join(EXAMPLE, "tox.ini"), encoding="utf-8") as file:
        there = file.read()
    asked = "--releases 1.15,2.4,2.10,2.15,newest --package undertow --also hypothesis"
    assert main(["matrix", *asked.split()]) == 0
    assert capsys.readouterr().out == there
    # And this project's own runs the example on the same.
    own, envs = read(os.path.join(ROOT, "tox.ini"))
    assert [env + "-example" for env in read(there)[1]] == [env for env in envs if env.endswith("-example")]


# ------------------------------------------------------------ copies


@pytest.mark.wide
def test_a_copy_checks_itself(tmp_path):
    copy = tmp_path / "mine" / "_vendor"
    vendoring.vendor(str(copy))

    def check():
        return subprocess.run(
            [sys.executable, "-m", "mine._vendor.kcompat", "vendor", "mine/_vendor", "--check"],
            cwd=str(tmp_path),
            env=dict(os.environ, PYTHONPATH="", PYTHONDONTWRITEBYTECODE="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )

    done = check()
    assert done.returncode == 0 and "as it was vendored" in done.stdout, done.stdout
    (copy / "kcompat" / "py.typed").unlink()
    (copy / "kcompat" / "LICENSE").write_text("none")
    done = check()
    assert done.returncode == 1
    assert "edited: LICENSE\nmissing: py.typed\n" in done.stdout


def _rule_of_another_copy():
    """A class such as another copy's rules are of, and a rule of it."""
    base = type("UpdateRule", (), {"__module__": "theirs._vendor.kcompat.rule"})
    made = type("Theirs", (base,), {"__module__": "theirs.rules"})
    return made, made()


def test_a_rule_of_another_copy_is_told():
    rule_class, rule = _rule_of_another_copy()
    for call in (
        lambda: kcompat.optimizer_class(rule_class),
        lambda: kcompat.optimizer(rule),
        lambda: testing.check_rule(rule_class, apis=()),
        lambda: testing.check_rule(rule, apis=()),
    ):
        with pytest.raises(RuleError, match="another copy of kcompat, theirs._vendor.kcompat: use that copy"):
            call()
    for other in (types.SimpleNamespace(), dict):
        with pytest.raises(RuleError) as caught:
            testing.check_rule(other, apis=())
        assert "another copy" not in str(caught.value)


# ------------------------------------------------------------ where a reference differs


class Rms(kcompat.UpdateRule):
    """Its reference is below; the mistake is in how it uses one hyperparameter."""

    learning_rate = kcompat.Hyper(1e-3, ge=0)
    rho = kcompat.Hyper(0.9, ge=0, lt=1)
    momentum = kcompat.Hyper(0.5, ge=0, lt=1)
    epsilon = kcompat.Hyper(1e-6, ge=0)

    def init(self, xp, param):
        return {"v": xp.zeros_like(param), "m": xp.zeros_like(param)}

    def root(self, xp, v, hyper):
        return xp.sqrt(v) + hyper.epsilon

    def momentum_of(self, hyper):
        return hyper.momentum

    def update(self, xp, grad, param, slots, hyper, step):
        v = hyper.rho * slots["v"] + (1 - hyper.rho) * grad * grad
        m = self.momentum_of(hyper) * slots["m"] + grad / self.root(xp, v, hyper)
        return param - hyper.learning_rate * m, {"v": v, "m": m}


class EpsilonInside(Rms):
    def root(self, xp, v, hyper):
        return xp.sqrt(v + hyper.epsilon)


class MomentumSquared(Rms):
    def momentum_of(self, hyper):
        return hyper.momentum * hyper.momentum


class BothWrong(EpsilonInside, MomentumSquared):
    pass


def rms(grad, param, slots, hyper, step):
    v = hyper.rho * slots["v"] + (1 - hyper.rho) * grad**2
    m = hyper.momentum * slots["m"] + grad / (np.sqrt(v) + hyper.epsilon)
    return param - hyper.learning_rate * m, {"v": v, "m": m}


@pytest.mark.wide
@pytest.mark.parametrize("other", [rms, Rms])
def test_the_hyperparameter_that_a_mistake_is_with_is_named(other):
    def message(rule):
        (failure,) = testing.check_rule(rule, other, (), only=["reference"]).failures
        return failure.message

    assert testing.check_rule(Rms, other, (), only=["reference"]).ok
    assert message(EpsilonInside).endswith("after step 1. With epsilon=0 they agree: look at what it does.")
    assert "With momentum=0 they agree" in message(MomentumSquared)
    assert "agree" not in message(BothWrong)
