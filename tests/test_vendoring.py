"""Copies of the package in other packages: how they are written, checked, replaced, and live side by side."""

import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys

import _package
import numpy as np
import pytest
from _apis import APIS
from _arrays import backend
from _training import TASKS
from _training import keras_of as keras_of_tensorflow

import kcompat
from kcompat import rules, vendoring
from kcompat.adapters.registration import _utils_of
from kcompat.cli import main
from kcompat.environment import host_class
from kcompat.errors import VendoringError
from kcompat.vendoring import STAMP, check, vendor

TASK = TASKS["linear"]
KERAS = [api for api in APIS if api not in ("tf1", "get_updates")]


@pytest.fixture(autouse=True)
def no_power_cuts(monkeypatch):
    """Waiting for the disk takes nine tenths of the time that a copy takes."""
    monkeypatch.setattr(vendoring.os, "fsync", lambda number: None)


@pytest.fixture()
def dest(tmp_path):
    return tmp_path / "lib" / "_vendor"


@pytest.fixture()
def copy(dest):
    vendor(str(dest))
    return dest / "kcompat"


def files_of(folder):
    """Every file under a folder with its content, without what Python puts there."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {str(path.relative_to(folder)).replace(os.sep, "/"): path.read_bytes() for path in paths}


def stamped(copy):
    return json.loads((copy / STAMP).read_text())


def run(*arguments, path, isolated=()):
    """Another Python with `path` on its path and nothing of this one's, in which only NumPy is at hand."""
    code = "import sys; sys.path.insert(0, {!r})\n".format(str(path))
    code += "sys.modules.update(dict.fromkeys({!r}))\n".format(list(isolated))
    done = subprocess.run(
        [sys.executable, "-I", "-c", code + arguments[0], *arguments[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ------------------------------------------------------------ what is in a copy


def test_a_copy_is_the_package_its_licence_and_a_stamp(copy):
    root = os.path.dirname(os.path.abspath(kcompat.__file__))
    written, stamp = files_of(copy), stamped(copy)
    for path, content in vendoring._sources().items():
        with open(os.path.join(root, path), "rb") as file:
            assert written[path] == content == file.read()
    assert "py.typed" in written and b"Apache License" in written["LICENSE"]
    assert b"BSD" in b"".join(text for path, text in written.items() if path.startswith("_packaging/LICENSE"))
    assert set(stamp["files"]) == set(written) - {STAMP}
    assert (stamp["version"], stamp["only"], stamp["left_out"]) == (kcompat.__version__, None, [])
    for path, value in stamp["files"].items():
        assert hashlib.sha256(written[path].replace(b"\r\n", b"\n")).hexdigest() == value
    assert str(copy.parent) not in (copy / STAMP).read_text()


def test_a_second_copy_is_the_same_to_the_byte(copy, tmp_path):
    vendor(str(tmp_path / "other"))
    assert files_of(tmp_path / "other" / "kcompat") == files_of(copy)


FIRST_STEP = """
import importlib, sys
kcompat = importlib.import_module(sys.argv[1])
import numpy as np
testing = importlib.import_module(sys.argv[1] + ".testing")
rules = importlib.import_module(sys.argv[1] + ".rules")
start, grads = [np.array([1.0, 2.0])], [[np.array([0.5, -2.0])]]
(param,), _ = testing.reference(rules.Adam(0.5, epsilon=0.25), start, grads)
print(repr(param.tolist()))
version = importlib.import_module(sys.argv[1] + ".environment").parse_version
early = version("2.22.0rc0").is_prerelease
print(type(version("2.10.1")).__module__, version("2.9") < version("2.10"), early)
assert "kcompat" not in sys.modules and {"packaging"} >= {n for n in sys.modules if n.startswith("packaging")}
"""


def test_it_works_with_numpy_alone(copy):
    absent = ("kcompat", "packaging", "tensorflow", "keras", "tf_keras", "jax", "torch")
    code = FIRST_STEP.replace('assert "kcompat" not in sys.modules', 'assert sys.modules["kcompat"] is None')
    lines = run(code, "lib._vendor.kcompat", path=copy.parent.parent.parent, isolated=absent).splitlines()
    got = np.array(json.loads(lines[0]))
    grad = np.array([0.5, -2.0])
    root = np.sqrt(1 - 0.999) * np.abs(grad)
    want = np.array([1.0, 2.0]) - 0.5 * np.sqrt(1 - 0.999) / (1 - 0.9) * 0.1 * grad / (root + 0.25)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    module, *order = lines[1].split()
    readable = sys.version_info >= (3, 8) or b"/)" not in (copy / "_packaging" / "version.py").read_bytes()
    assert module == "lib._vendor.kcompat." + ("_packaging.version" if readable else "environment")
    assert order == ["True", "True"]


@pytest.mark.parametrize("text", ["def broken(:\n", "LocalType = tuple[int | str, ...]\nnone = [] | []\n"])
def test_a_packaging_that_this_python_cannot_read_is_done_without(copy, text):
    (copy / "_packaging" / "version.py").write_text(text)
    code = (
        "from lib._vendor.kcompat.environment import parse_version as parse\n"
        "print(type(parse('1')).__name__, parse('2.9') < parse('2.10'), parse('2.0') == parse('2.0.0'))"
    )
    text = run(code, path=copy.parent.parent.parent, isolated=("packaging",))
    assert text.split() == ["_PlainVersion", "True", "True"]


def test_a_copy_runs_doctor_and_vendors_itself(copy, tmp_path):
    code = (
        "import runpy\n"
        "try:\n    runpy.run_module('lib._vendor.kcompat', run_name='__main__')\n"
        "except SystemExit as error:\n    print('STATUS', error.code)"
    )
    frameworks = ("kcompat", "tensorflow", "keras", "tf_keras", "jax", "torch")
    top = copy.parent.parent.parent
    assert "optimizer APIs" in run(code, "doctor", path=top, isolated=frameworks)
    again = tmp_path / "again"
    assert "STATUS 0" in run(code, "vendor", str(again), path=top, isolated=frameworks)
    assert files_of(again / "kcompat") == files_of(copy)
    # Neither onto itself nor with an edit of its own.
    assert "STATUS 1" in run(code, "vendor", str(copy.parent), "--update", path=top, isolated=frameworks)
    (copy / "rule.py").write_text("")
    assert "STATUS 1" in run(code, "vendor", str(tmp_path / "third"), path=top, isolated=frameworks)
    assert not (tmp_path / "third").exists()


# ------------------------------------------------------------ a part of the rules


@pytest.mark.parametrize("asked", ["ADAMW,adam"])
def test_only_some_families(asked, dest, capsys):
    assert main(["vendor", str(dest), "--only", asked]) == 0
    copy, printed = dest / "kcompat", capsys.readouterr().out
    written, stamp = files_of(copy), stamped(copy)
    assert {"rules/adam.py", "adapters/base.py", "cli/doctor.py"} <= set(written)
    gone = {"rules/sgd.py", "testing/oracle.py", "cli/vendor.py", "vendoring.py"}
    assert not gone & set(written) and gone <= set(stamp["left_out"])
    assert set(stamp["left_out"]) | set(stamp["files"]) >= set(vendoring._sources())
    assert "{} files, {:,} bytes".format(len(written), sum(map(len, written.values()))) in printed
    assert all(path in printed for path in gone)
    code = (
        "from lib._vendor.kcompat import rules, cli\n"
        "print(sorted(rules.CATALOGUE), sorted(cli.COMMANDS), rules.AdamW(0.5).learning_rate)\n"
        "try:\n    cli.main(['vendor', 'x'])\nexcept SystemExit as error:\n    print(error.code)"
    )
    text = run(code, path=dest.parent.parent, isolated=("kcompat", "packaging"))
    assert text.splitlines() == ["['Adam', 'AdamW'] ['doctor'] 0.5", "2"]
    # An update keeps the choice, and only the plain command changes it.
    assert vendor(str(dest), update=True).action == "unchanged"
    assert vendor(str(dest)).left_out == () and "rules/sgd.py" in files_of(copy)


def test_every_module_of_a_part_can_be_imported(dest):
    """What is imported relatively is there: nothing that stays needs what was left out."""
    vendor(str(dest), only=["sgd"])
    there = set(files_of(dest / "kcompat"))
    sources = {path: content for path, content in files_of(dest / "kcompat").items() if path.endswith(".py")}
    everything = set(vendoring._sources()) | there
    for path, content in sources.items():
        assert set(vendoring._imported(path, content, everything)) <= there, path


def test_a_name_that_is_of_two_families_keeps_both(dest):
    """Lamb is Keras' and LAMB is TensorFlow Addons', and case does not tell."""
    vendor(str(dest), only=["adam", "lamb"])
    assert {"rules/adam.py", "rules/lamb.py", "rules/lamb_addons.py"} <= set(files_of(dest / "kcompat"))


@pytest.mark.parametrize("asked", ["adamm", "", "sgd,nothing"])
def test_a_rule_that_is_not_there(asked, dest, capsys):
    assert main(["vendor", str(dest), "--only", asked]) == 1
    message = capsys.readouterr().err
    assert "no rule or family" in message and "AdamW" in message
    assert ("Did you mean" in message) == (asked == "adamm")
    assert not dest.exists()


# ------------------------------------------------------------ checking, and what is not overwritten


def test_check(copy, dest, capsys):
    assert main(["vendor", str(dest), "--check"]) == 0
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "rule.cpython-37.pyc").write_bytes(b"x")
    path = copy / "rule.py"  # as a checkout on Windows has it
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert check(str(dest)).ok
    path.write_text(path.read_text() + "# edited\n")
    (copy / "errors.py").unlink()
    (copy / "rules" / "mine.py").write_text("")
    capsys.readouterr()
    assert main(["vendor", str(dest), "--check"]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["edited: rule.py", "missing: errors.py", "extra: rules/mine.py"]


def test_check_without_a_copy(dest, capsys):
    assert main(["vendor", str(dest), "--check"]) == 1
    assert "there is no copy" in capsys.readouterr().out
    (dest / "kcompat").mkdir(parents=True)
    assert main(["vendor", str(dest), "--check"]) == 1
    assert STAMP in capsys.readouterr().out


def test_a_changed_stamp_is_no_stamp(copy, dest):
    stamp = stamped(copy)
    stamp["files"]["rule.py"] = "0" * 64
    (copy / STAMP).write_text(json.dumps(stamp))
    assert STAMP in check(str(dest)).problem
    with pytest.raises(VendoringError, match="no valid stamp"):
        vendor(str(dest), force=True)


def restamp(copy, version):
    """Let a copy pass for one that another version wrote."""
    for path, old in (("_version.py", kcompat.__version__), (STAMP, kcompat.__version__)):
        (copy / path).write_text(
            (copy / path).read_text().replace('"{}"'.format(old), '"{}"'.format(version))
        )
    stamp = stamped(copy)
    stamp["files"] = {p: vendoring._digest(c) for p, c in sorted(files_of(copy).items()) if p != STAMP}
    stamp["hash"] = vendoring._digest_of_all(stamp["files"])
    (copy / STAMP).write_text(json.dumps(stamp))


@pytest.mark.parametrize("version, word", [("0.0.9", "older"), ("99.0", "newer")])
def test_check_of_another_version(version, word, copy, dest, capsys):
    restamp(copy, version)
    assert main(["vendor", str(dest), "--check"]) == 0
    printed = capsys.readouterr().out
    assert "kcompat {}, {} than {}".format(version, word, kcompat.__version__) in printed
    assert vendor(str(dest), update=True).action == "written"
    assert stamped(copy)["version"] == kcompat.__version__ and not check(str(dest)).notes


@pytest.mark.parametrize("update", [False, True])
def test_an_edited_copy_is_replaced_by_force_alone(update, copy, dest):
    before = files_of(copy)
    (copy / "rule.py").write_text("mine = 1\n")
    (copy / "more.py").write_text("")
    with pytest.raises(VendoringError, match=r"rule\.py, more\.py.*--force"):
        vendor(str(dest), update=update)
    assert (copy / "rule.py").read_text() == "mine = 1\n"
    vendor(str(dest), update=update, force=True)
    assert files_of(copy) == before


def test_what_is_no_copy_is_left_alone(dest):
    (dest / "kcompat").mkdir(parents=True)
    (dest / "kcompat" / "theirs.py").write_text("1")
    for force in (False, True):
        with pytest.raises(VendoringError, match="not empty"):
            vendor(str(dest), force=force)
    assert [path.name for path in dest.iterdir()] == ["kcompat"]
    assert files_of(dest / "kcompat") == {"theirs.py": b"1"}
    (dest / "kcompat" / "theirs.py").unlink()
    with pytest.raises(VendoringError, match="no copy"):
        vendor(str(dest), update=True)
    assert vendor(str(dest)).action == "written"  # an empty folder is as good as none


def test_not_onto_itself_and_not_into_itself():
    package = os.path.dirname(os.path.abspath(kcompat.__file__))
    for dest in (os.path.dirname(package), os.path.join(package, "rules")):
        with pytest.raises(VendoringError, match="this very package"):
            vendor(dest)


# ------------------------------------------------------------ killed in the middle


class Killed(BaseException):
    """The process ends here: no handler of ordinary errors runs."""


def steps_of(monkeypatch):
    """Count what changes the disk; return the count, and a limit after which it is as if killed."""
    state = {"count": 0, "limit": None}

    def counted(original):
        def call(*args, **kwargs):
            if state["count"] == state["limit"]:
                raise Killed
            state["count"] += 1
            return original(*args, **kwargs)

        return call

    monkeypatch.setattr(vendoring.os, "rename", counted(os.rename))
    monkeypatch.setattr(vendoring.os, "fsync", counted(lambda number: None))
    monkeypatch.setattr(vendoring.shutil, "rmtree", counted(shutil.rmtree))
    return state


def test_a_kill_at_any_point_loses_nothing(copy, dest, monkeypatch):
    new = files_of(copy)
    restamp(copy, "0.0.9")
    old = files_of(copy)
    made = vendoring.contents()
    monkeypatch.setattr(vendoring, "contents", lambda only=None: made)
    aside = dest.parent / "aside"
    shutil.copytree(str(copy), str(aside))
    with monkeypatch.context() as patch:
        state = steps_of(patch)
        vendor(str(dest))
        total = state["count"]
    assert total > len(new) + 2  # each file, two renames, one removal
    # Of the files one in many; of the renames and the removal each.
    for limit in [0, len(new) // 2, *range(len(new) - 1, total)]:
        shutil.rmtree(str(dest))
        dest.mkdir()
        shutil.copytree(str(aside), str(copy))
        with monkeypatch.context() as patch:
            state = steps_of(patch)
            state["limit"] = limit
            with pytest.raises(Killed):
                vendor(str(dest))
        whole = [files_of(path) for path in (copy, dest / ".kcompat.old") if path.exists()]
        assert old in whole or new in whole, limit
        if not copy.exists():
            assert "interrupted" in check(str(dest)).problem
        vendor(str(dest), update=True)
        assert files_of(copy) == new
        assert [path.name for path in dest.iterdir()] == ["kcompat"], limit


# ------------------------------------------------------------ several copies in one process


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """The package under test, two libraries with copies of it (one older), and one of these copies moved."""
    top = tmp_path_factory.mktemp("libraries")
    names = ["older_lib._vendor.kcompat", "other_lib._vendor.kcompat", "moved_lib.inner.kcompat"]
    vendor(str(top / "older_lib" / "_vendor"))
    older = top / "older_lib" / "_vendor" / "kcompat"
    adam = older / "rules" / "adam.py"
    text = adam.read_text()
    adam.write_text(text.replace("epsilon = Hyper(1e-7", "epsilon = Hyper(1e-2"))
    assert adam.read_text() != text
    restamp(older, "0.0.9")
    vendor(str(top / "other_lib" / "_vendor"))
    shutil.copytree(str(top / "other_lib" / "_vendor"), str(top / "moved_lib" / "inner"))
    assert check(str(top / "moved_lib" / "inner")).ok
    sys.path.insert(0, str(top))
    try:
        packages = [importlib.import_module(name) for name in names]
        assert [package.__version__ for package in packages] == ["0.0.9"] + [kcompat.__version__] * 2
        yield [kcompat, *packages]
    finally:
        sys.path.remove(str(top))


def keras_of(api):
    return keras_of_tensorflow(api) if backend(api) == "tensorflow" else importlib.import_module("keras")


def model_of(api, optimizer):
    keras = keras_of(api)
    model = TASK.model(keras)
    three = hasattr(keras, "ops")
    model.compile(optimizer=optimizer, loss=keras.losses.MeanSquaredError() if three else "mse")
    return model, three


def trained(model, batches):
    for x, y in batches:
        model.train_on_batch(x, y)
    return [np.asarray(value) for value in model.get_weights()]


@pytest.mark.wide
@pytest.mark.parametrize("api", KERAS)
def test_copies_save_and_load_their_own(api, libraries, tmp_path):
    batches = TASK.batches(2)
    saved = []
    for number, package in enumerate(libraries):
        made = package.optimizer(package.rules.Adam(0.05), api)
        assert type(made).__module__.startswith(package.__name__ + ".")
        model, three = model_of(api, made)
        trained(model, batches[:1])
        directory = api == "keras_2_11" and not three and _tensorflow() < (2, 11)
        path = str(tmp_path / "model{}".format(number))
        path += "" if directory else ".keras" if three else ".h5"
        model.save(path, **({"save_format": "tf"} if directory else {}))
        saved.append((package, made, path, trained(model, batches[1:])))
    results = []
    # Loaded when all are registered, the last one first.
    for package, made, path, want in reversed(saved):
        model = keras_of(api).models.load_model(path)
        assert type(model.optimizer) is type(made), package.__name__
        assert model.optimizer.rule.epsilon == package.rules.Adam().epsilon
        got = trained(model, batches[1:])
        for left, right in zip(got, want):
            np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-7)
        results.append(got[0])
    # The older copy's Adam is another, and its model tells.
    assert np.abs(results[-1] - results[-2]).max() > 1e-4
    np.testing.assert_allclose(results[0], results[-1], rtol=1e-6, atol=1e-7)


def _tensorflow():
    import tensorflow as tf

    return tuple(int(part) for part in tf.__version__.split(".")[:2])


@pytest.mark.wide
@pytest.mark.parametrize("api", KERAS)
def test_copies_do_not_see_each_others_registrations(api, libraries):
    for package in libraries:
        package.optimizer_class(package.rules.SGD, api)
    objects = _utils_of(host_class(api)).get_custom_objects()
    names = [package.__name__ for package in libraries]
    for package in libraries:
        key = "{}.{}>SGD".format(package.__name__, api)
        assert objects[key].rule_class is package.rules.SGD
        assert not isinstance(objects[key], type) or issubclass(objects[key], host_class(api))
    # Also those of users' rules, whose modules are elsewhere.
    for key, made in list(objects.items()):
        owners = [name for name in names if key.startswith(name + ".")]
        assert len(owners) <= 1, key
        for package in libraries if owners else ():
            own = package.__name__ in owners
            assert issubclass(made.rule_class, package.UpdateRule) == own, key


def test_a_rule_of_one_copy_is_no_rule_of_another(libraries):
    for package in libraries[1:]:
        assert package.rules.Adam is not rules.Adam and not issubclass(package.rules.Adam, rules.Adam)
        assert package.errors.KcompatError is not kcompat.KcompatError


@pytest.mark.everywhere
def test_where_the_tests_run_against_a_copy_there_is_no_other():
    assert kcompat.__name__ == _package.NAME
    assert sys.modules["kcompat"] is sys.modules[_package.NAME]
    assert importlib.import_module("kcompat.rules.adam").Adam is rules.Adam
    assert rules.Adam.__module__ == _package.NAME + ".rules.adam"
