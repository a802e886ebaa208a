"""`kcompat bench`: what it chooses, that it measures, and the page made of what it wrote. No times."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from _apis import APIS

from kcompat import cli
from kcompat.benchmarking import job, report, workloads
from kcompat.benchmarking.cells import OPTIMIZERS, TARGETS, TF1, Job, jobs_of, shapes_of, target

ROOT = Path(__file__).resolve().parent.parent


def any_job(**changes):
    return Job("keras_3", "tensorflow", "eager", "many", "Adam")._replace(**changes)


def test_every_cell_has_the_target_that_is_its_own():
    assert target("step", any_job()) == 0.05
    assert target("step", any_job(optimizer="Momentum")) == 0.10
    assert target("step", any_job(api="optimizer_v2")) == 0.30
    assert target("step", any_job(optimizer="Ftrl")) == 1.05
    assert target("step", any_job(backend="torch", size="10M")) == 0.06
    assert target("step", any_job(way="fit", size="large")) == 0.60
    assert target("step", any_job(size="rows", sparse="rows")) == 0.02
    assert target("step", any_job(backend="jax", way="jit", against="optax")) is None
    assert target("first call", any_job(api="tf1")) == 1.10
    assert all(isinstance(values, tuple) for each in TARGETS for values in each.of.values())


def test_what_there_is_to_measure():
    quick = jobs_of("keras_3", "tensorflow", True, True, ["addons"])
    assert any_job() in quick and any_job(optimizer="Ftrl") not in quick
    assert {each.against for each in quick} == {"native", "addons"}
    everything = jobs_of("keras_3", "tensorflow", True, False, [])
    assert set(quick) - set(everything) == {each for each in quick if each.against == "addons"}
    assert {each.optimizer for each in everything} == set(OPTIMIZERS)
    session = jobs_of("tf1", "tensorflow", False, False, [])
    assert {each.way for each in session} == {"session", "memory"}
    assert {each.optimizer for each in session} == set(TF1)
    assert {each.against for each in jobs_of("keras_3", "jax", True, True, ["optax"])} == {"native", "optax"}
    assert shapes_of("variables 30") == [(100,)] * 30 and shapes_of("elements 10000") == [(10000,)]


@pytest.mark.parametrize("compiled", [True, False])
def test_the_bound_is_adams_arithmetic(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(workloads, "_compiled", lambda: None)
    bound = workloads.MemoryBound(any_job(size="tiny"))
    if compiled and bound.by != "C":
        pytest.skip("there is no C compiler here")
    for _ in range(3):
        bound()
    p, g, m, v = 0.5, 0.1, 0.0, 0.0
    for _ in range(3):
        m, v = m + 0.1 * (g - m), v + 0.001 * (g * g - v)
        p -= 0.001 * m / (v**0.5 + 1e-7)
    for array, expected in zip(bound.arrays, (p, g, m, v)):
        np.testing.assert_allclose(array, np.full(len(array), expected), rtol=1e-5)
    assert np.float32(1e-40) * np.float32(1) > 0  # as -ffast-math would not leave it


def test_rounds_take_turns_and_are_compared_one_by_one():
    calls = []
    clocks = job.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 5, 60.0)
    assert {len(clock.cpu) for clock in clocks.values()} == {5}
    assert calls.count("a") == calls.count("b")
    ours, theirs = job.Clock(), job.Clock()
    ours.cpu, theirs.cpu = [1.0, 4.0, 9.0], [2.0, 2.0, 90.0]
    ours.wall, theirs.wall = [3.0], [1.0]
    found = job.compared(ours, theirs)
    assert (found["low"], found["value"], found["high"]) == (0.1, 0.5, 2.0)
    assert (found["wall"], found["ours_ms"], found["rounds"]) == (3.0, 4000.0, 3)


def test_slope_of_what_grows_linearly():
    assert report.slope([(10, 3.0), (100, 30.0), (1000, 300.0)]) == pytest.approx(1)
    assert report.slope([(10, 1.0), (100, 100.0)]) == pytest.approx(2)


@pytest.mark.parametrize(
    "options,words",
    [
        (["--rounds", "0"], "expected at least 1"),
        (["--cell", "eager:huge"], "'huge': expected one of many"),
        (["--cell", "eagre"], "'eagre': expected one of eager"),
        (["--optimizer", "Adem"], "'Adem': expected one of Adam"),
        (["--api", "keras_4"], "'keras_4': expected one of"),
    ],
)
def test_wrong_options_are_told(options, words, capsys):
    assert cli.main(["bench", *options]) == 2
    assert words in capsys.readouterr().err


def test_options_of_argparse(capsys):
    with pytest.raises(SystemExit):
        cli.main(["bench", "--cores", "3"])
    assert "invalid choice: 3" in capsys.readouterr().err


needs_api = pytest.mark.skipif(not APIS, reason="no optimizer API is installed: there is nothing to measure")


@needs_api
def test_the_list(capsys):
    assert cli.main(["bench", "--list", "--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("import tiny Adam")
    assert len(lines) == len(set(lines)) > 5


@needs_api
def test_other_libraries_are_found(capsys, monkeypatch, tmp_path):
    (tmp_path / "tensorflow_addons").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert cli.main(["bench", "--list"]) == 0
    assert "many LAMB vs addons" in capsys.readouterr().out


@needs_api
@pytest.mark.wide
def test_a_tiny_cell_is_measured_and_written(tmp_path, capsys):
    ways = ["session", "eager"]
    options = [option for way in ways for option in ("--cell", way + ":tiny")]
    status = cli.main(["bench", *options, "--optimizer", "SGD", "--rounds", "2", "--output", str(tmp_path)])
    out, err = capsys.readouterr()
    assert status == 0, err
    (path,) = tmp_path.glob("*.json")
    found = report.read(str(path))
    assert found["machine"]["cores"] >= 1 and found["machine"]["versions"]
    steps = [each for each in found["records"] if each["measure"] == "step"]
    assert steps
    for each in steps:
        assert each["optimizer"] == "SGD" and each["value"] > 0 and each["rounds"] >= 1 and each["path"]
        assert each["target"] == 1.05 and each["met"] in (True, False)
    assert "SGD" in out and str(path) in out


def test_what_was_broken_off_is_resumed(tmp_path, monkeypatch, capsys):
    jobs = [any_job(), any_job(sparse="rows"), any_job(way="fit")]
    measured = []

    def run(job, *args, **kwargs):
        measured.append(job)
        # What a file leaves out of a record, and how many digits it keeps, must not matter.
        spread = {"low": 0.1, "high": 0.5}
        return [dict(job._asdict(), measure="step", unit="ratio", value=1 / 3, target=None, **spread)], ""

    monkeypatch.setattr("kcompat.benchmarking.job.run", run)
    options = ["bench", "--output", str(tmp_path)]
    monkeypatch.setattr("kcompat.cli.bench._chosen", lambda args: jobs[:2])
    assert cli.main(options) == 0
    (path,) = tmp_path.glob("*.json")
    before = report.read(str(path))
    monkeypatch.setattr("kcompat.cli.bench._chosen", lambda args: jobs[1:])
    assert cli.main([*options, "--resume"]) == 0
    assert measured == jobs
    after = report.read(str(path))
    assert after["records"][:2] == before["records"] and len(after["records"]) == 3
    assert after["command"].startswith(before["command"] + "; ")
    path.write_text("{}")
    assert cli.main([*options, "--resume"]) == 2
    assert "expected what `kcompat bench` writes" in capsys.readouterr().err


def test_resume_wants_a_folder(capsys, monkeypatch):
    monkeypatch.setattr("kcompat.cli.bench._chosen", lambda args: [any_job()])
    assert cli.main(["bench", "--resume"]) == 2
    assert "--output" in capsys.readouterr().err


RATIO = {"measure": "step", "unit": "ratio", "ours_ms": 1.0}
SAMPLE = [
    dict(any_job()._asdict(), value=0.04, low=0.03, high=0.05, path="blocks", **RATIO),
    dict(any_job(optimizer="Ftrl")._asdict(), value=2.0, low=1.5, high=2.5, **RATIO),
    dict(any_job(way="import")._asdict(), measure="import", unit="ms", value=3.0),
]
for sample in SAMPLE:
    sample["target"] = target(sample["measure"], Job(**{name: sample[name] for name in Job._fields}))
    sample["met"] = sample["value"] <= sample["target"]
for count in (10, 100, 1000, 3000):
    scaling = any_job(way="scaling", size="variables {}".format(count), against="")._asdict()
    SAMPLE.append(dict(scaling, measure="scaling", unit="ms", value=count / 10.0, first_ms=1.0 * count))


def script(name):
    spec = importlib.util.spec_from_file_location(name, str(ROOT / "benchmarks" / (name + ".py")))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_page():
    return script("make_page")


@pytest.mark.wide
def test_the_page_says_what_was_measured_where(tmp_path, make_page):
    (tmp_path / "bench").mkdir()
    about = report.machine(1)
    path = tmp_path / "bench" / (report.name_of(about, "") + ".json")
    report.write(str(path), about, "kcompat bench --quick", SAMPLE)
    assert len(json.loads(path.read_text())["records"]) == len(SAMPLE)
    output = tmp_path / "speed.md"
    assert make_page.main(["--results", str(tmp_path / "bench"), "--output", str(output)]) == 0
    text = output.read_text()
    for words in ("kcompat bench --quick", about["date"], about["python"], "MISSED"):
        assert words in text
    assert "0.0400 | 0.0300-0.0500" in text
    assert "- step keras_3 eager many Ftrl, 2.00 for 1.05: not known." in text
    assert "slope 1.00" in text
    reasons = [{"of": {"a": 2}, "reason": "x"}, {"of": {"b": 2}, "reason": "y"}]
    assert make_page.reason_for({"a": 1, "b": 2}, reasons) == "y"


def test_reasons_name_what_there_is(make_page):
    reasons = json.loads((ROOT / "benchmarks" / "reasons.json").read_text())["reasons"]
    names = {"measure", "unit", *Job._fields}
    assert all(set(each["of"]) <= names and each["reason"] for each in reasons)


def test_the_table_of_hooks_is_made_of_their_results():
    hooks = script("hooks")
    text = hooks.PAGE.read_text(encoding="utf-8")
    assert hooks.page(text) == text
    results = [report.read(str(path)) for path in hooks.RESULTS.glob("*.json")]
    assert {line[0] for line in hooks.rows(results)} == set(hooks.PACKAGES)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="expected what `kcompat bench` writes"):
        report.read(str(path))
