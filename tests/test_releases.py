"""The releases as data: the same as in this project's own tox.ini, and what `matrix` writes of them."""

import configparser
import itertools
import json
import os
import re

import pytest

from kcompat import releases
from kcompat.cli import main
from kcompat.environment import APIS
from kcompat.errors import UnknownReleaseError
from kcompat.releases import RELEASES, select

TOX = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tox.ini")


def expand(text):
    """`a{1,2}-b` as tox reads it: a1-b, a2-b."""
    parts = [part.split(",") for part in re.split(r"[{}]", text)]
    # Outside of braces a comma parts alternatives, which are dealt with before.
    choices = [part if number % 2 else [",".join(part)] for number, part in enumerate(parts)]
    return ["".join(each) for each in itertools.product(*choices)]


def alternatives(text):
    """Part at the commas outside of braces, and expand each."""
    return [each for part in re.split(r",(?![^{]*})", text) for each in expand(part)]


def holds(condition, env):
    factors = set(env.split("-"))
    return any(
        all(
            (word[1:] not in factors) if word.startswith("!") else word in factors for word in each.split("-")
        )
        for each in alternatives(condition)
    )


def lines_for(text, env):
    """The lines of a setting that count for an environment."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        condition = re.match(r"([\w.{},!-]+):\s+(.*)$", line) or re.match(r"([\w.{},!-]+):()$", line)
        if condition is None or holds(condition.group(1), env):
            found.append(condition.group(2) if condition else line)
    return found


def read(path_or_text):
    parser = configparser.ConfigParser(interpolation=None)
    if os.path.exists(path_or_text):
        parser.read(path_or_text, encoding="utf-8")
    else:
        parser.read_string(path_or_text)
    listed = filter(None, map(str.strip, parser["tox"]["env_list"].splitlines()))
    envs = [env for line in listed if not line.startswith("#") for env in alternatives(line)]
    return parser, envs


def described(parser, env):
    """Python, requirements and variables of an environment in tox.ini."""
    section = parser["testenv"]
    python = re.match(r"py(\d)(\d+)", env)
    clean = [
        re.sub(r"(?m)^\s*#.*$", "", section.get(name, "")) for name in ("deps", "set_env", "commands_pre")
    ]
    deps, variables, before = (lines_for(text, env) for text in clean)
    needs = [dep for dep in deps if not re.match(r"(pytest|pytest-timeout|hypothesis)$", dep)]
    for command in before:
        needs += re.findall(r"install (?:--quiet )?(\S+)$", command)
    settings = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in variables)
    return "{}.{}".format(*python.groups()), set(needs), settings


OWN, OWN_ENVS = read(TOX) if os.path.exists(TOX) else (None, [])
COPIES = ("-vendored", "-example", "-pages")
OURS = [env for env in OWN_ENVS if re.match(r"py\d+-(?!none)", env) and not env.endswith(COPIES)]


def test_the_reading_of_tox_ini():
    """Against what tox itself says of these."""
    assert holds("tf2.{9,15}-!keras3.3-!tf_keras,tf2.15-tf_keras", "py311-tf2.15-tf_keras")
    assert not holds("tf2.{9,15}-!keras3.3-!tf_keras", "py311-tf2.15-keras3.3")
    assert lines_for("a\ntf1.{13,14}: b<1.17\nkeras2.{2,3}: c", "py37-tf1.14") == ["a", "b<1.17"]


def test_the_same_environments():
    assert ["py{}-{}".format(each.python.replace(".", ""), each.name) for each in RELEASES] == OURS


@pytest.mark.parametrize("env", OURS)
def test_the_same_needs(env):
    (release,) = [each for each in RELEASES if each.name == env.partition("-")[2]]
    python, needs, settings = described(OWN, env)
    assert release.python == python
    assert set(release.requirements) | set(release.afterwards) == needs
    assert ",".join(release.apis) == settings["KCOMPAT_TEST_APIS"]
    assert [api for api in APIS if api in release.apis] == list(release.apis)
    switches = {name: settings[name] for name in ("KERAS_BACKEND", "TF_USE_LEGACY_KERAS") if name in settings}
    assert dict(release.variables) == switches


def test_vendored_environments_are_of_the_matrix():
    vendored = [env for env in OWN_ENVS if env.endswith("-vendored")]
    assert {env[: -len("-vendored")] for env in vendored} <= set(OURS) and len(vendored) == 4


# ------------------------------------------------------------ what an author gets


@pytest.mark.parametrize(
    "asked, names",
    [
        (["1.15", "2.4"], ["tf1.15", "tf2.4"]),
        (["newest"], ["tf2.22"]),
        (["2.4", "oldest", "tf2.4"], ["tf1.13", "tf2.4"]),
        (["2.16-tf_keras", "keras3-jax"], ["tf2.16-tf_keras", "keras3-jax"]),
        (["all"], [each.name for each in RELEASES]),
    ],
)
def test_select(asked, names):
    assert [each.name for each in select(asked)] == names


@pytest.mark.parametrize("asked", [["2.99"], [], ["2.4", "1.12"]])
def test_a_release_that_is_not_there(asked, capsys):
    with pytest.raises(UnknownReleaseError, match="expected some of .*newest"):
        select(asked)
    assert main(["matrix", "--releases", ",".join(asked)]) == 1
    assert "expected some of" in capsys.readouterr().err


def test_the_tox_section_has_the_same_needs(capsys):
    assert main(["matrix", "--releases", "all", "--package", "mylib"]) == 0
    printed = capsys.readouterr().out
    parser, envs = read(printed)
    assert len(envs) == len(RELEASES) and "mylib" in printed
    for release, env in zip(RELEASES, envs):
        python, needs, settings = described(parser, env)
        assert python == release.python and env.count("-") == 1
        assert needs == set(release.requirements) | set(release.afterwards), env
        settings = {name: value for name, value in settings.items() if name in dict(release.variables)}
        assert settings == dict(release.variables)


def test_the_workflow_has_the_same_needs(capsys):
    assert main(["matrix", "--github", "--releases", "1.15,newest,2.15-keras3.3,keras3-torch"]) == 0
    printed = capsys.readouterr().out
    # One line of JSON, which is YAML too, for each.
    rows = [json.loads(line.strip()[2:]) for line in printed.splitlines() if line.strip().startswith("- {")]
    assert [row["name"] for row in rows] == ["tf1.15", "tf2.22", "tf2.15-keras3.3", "keras3-torch"]
    for row, release in zip(rows, select([row["name"] for row in rows])):
        assert row["python"] == release.python
        assert row["requirements"].split() == ["'{}'".format(each) for each in release.requirements]
        assert row["afterwards"].split() == ["'{}'".format(each) for each in release.afterwards]
        assert row["variables"] == " ".join("{}={}".format(*pair) for pair in release.variables)
    assert [row["os"] for row in rows] == ["ubuntu-22.04"] + ["ubuntu-latest"] * 3
    yaml = pytest.importorskip("yaml", reason="PyYAML is not here")
    workflow = yaml.safe_load(printed)
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["include"] == rows


def test_the_files_are_written_and_not_over_others(tmp_path, capsys):
    target = tmp_path / ".github" / "workflows" / "matrix.yml"
    arguments = ["matrix", "--github", "--output", str(target)]
    assert main(arguments) == 0 and "jobs:" in target.read_text()
    target.write_text("mine")
    assert main(arguments) == 1 and target.read_text() == "mine"
    assert "exists" in capsys.readouterr().err


def test_the_default_covers_every_api_but_that_of_old_keras():
    found = {api for each in select(releases.DEFAULT) for api in each.apis}
    assert found == set(APIS) - {"get_updates"}
