"""What the package promises about itself: metadata, files, and which of its parts import which."""

import ast
import configparser
import pathlib
import re

import pytest

import kcompat

try:
    from importlib import metadata
except ImportError:  # CPython 3.7, where pytest brings the backport
    import importlib_metadata as metadata

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "kcompat"
MODULES = sorted(PACKAGE.rglob("*.py"))
FRAMEWORKS = {"tensorflow", "keras", "tf_keras", "jax", "torch", "h5py", "tensorflow_probability"}

# Imports go down this list, never up; the parts in one row are one layer. A module not named here
# (errors, the version) is common ground at the bottom: all may import it, and it imports only such.
LAYERS = [
    ("__init__", "__main__"),
    ("cli",),
    ("benchmarking",),
    ("optimizers",),
    ("adamw", "addons"),
    ("state",),
    ("testing",),
    ("vendoring",),
    ("hooks",),
    ("adapters",),
    ("transforms",),
    ("rules",),
    ("rule", "contract", "elementwise"),
    ("schedules",),
    ("namespaces",),
    ("environment",),
]
FRAMEWORK_FREE = {"transforms", "rules", "schedules", "rule"}


def part_of(path):
    """The part of the package that a file belongs to: its top module or subpackage."""
    return path.relative_to(PACKAGE).parts[0].replace(".py", "")


def level(part):
    """How far down a part is; common ground is deepest."""
    rows = [row for row, parts in enumerate(LAYERS) if part in parts]
    return rows[0] if rows else len(LAYERS)


def imports(path):
    """Every import statement of a file, also inside functions; not those for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checkers_only = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            checkers_only.update(id(inner) for child in node.body for inner in ast.walk(child))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in checkers_only:
            yield node


def absolute_names(path):
    """The top-level packages that a file imports by absolute name."""
    for node in imports(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0]
        elif not node.level:
            yield node.module.split(".")[0]


def relative_parts(path):
    """The parts of this package that a file imports relatively."""
    depth = len(path.relative_to(PACKAGE).parts)  # 1 for a top module
    for node in imports(path):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        above = depth - node.level  # how many folders of the package the dots leave standing
        assert above >= 0, "{}:{} imports from outside the package".format(path, node.lineno)
        inside = list(path.relative_to(PACKAGE).parts[:above])
        inside += node.module.split(".") if node.module else []
        if inside:
            yield inside[0]
        else:  # `from . import a, b` at the top: modules, or names of __init__
            for alias in node.names:
                places = PACKAGE / alias.name, PACKAGE / (alias.name + ".py")
                yield alias.name if any(place.exists() for place in places) else "__init__"


def identify(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_module_says_what_it_is_and_never_what_the_package_is_called(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "no docstring"
    assert "kcompat" not in set(absolute_names(path)), "import it relatively: it can be vendored"


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_imports_go_down_the_layers(path):
    part = part_of(path)
    upward = [
        other for other in relative_parts(path) if other != part and level(other) < level(part)
    ]
    assert not upward, "{} imports from a layer above it".format(part)


@pytest.mark.parametrize(
    "path", [path for path in MODULES if part_of(path) in FRAMEWORK_FREE], ids=identify
)
def test_rules_and_transforms_import_no_framework(path):
    assert not FRAMEWORKS & set(absolute_names(path))


def test_run_time_needs_no_framework():
    parser = configparser.ConfigParser()
    parser.read(str(ROOT / "setup.cfg"))
    needs = parser["options"]["install_requires"].split("\n")
    assert [need for need in needs if need] == ["numpy", "packaging"]


def test_version_stands_in_one_place():
    tree = ast.parse((PACKAGE / "_version.py").read_text())
    (assignment,) = [node for node in tree.body if isinstance(node, ast.Assign)]
    assert ast.literal_eval(assignment.value) == kcompat.__version__
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## .*\b{}\b".format(re.escape(kcompat.__version__)), changes, re.M)


def test_every_test_that_the_traps_name_exists():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "traps.md").read_text(encoding="utf-8")))
    found = set()
    for path in (ROOT / "tests").glob("test_*.py"):
        found.update(re.findall(r"^\s*def (test_\w+)\(", path.read_text(encoding="utf-8"), re.M))
    assert len(named) > 40
    assert not named - found, "docs/traps.md names tests that are not there"


def installed_distribution():
    """The wheel installed here, as tox does, or None. (A checkout's own egg-info is none.)"""
    for distribution in metadata.distributions():
        if distribution.metadata["Name"] == "kcompat" and distribution.read_text("RECORD"):
            return distribution
    return None


INSTALLED = installed_distribution()
needs_wheel = pytest.mark.skipif(INSTALLED is None, reason="no wheel of this package is installed")


@needs_wheel
def test_metadata_of_the_wheel():
    assert INSTALLED.version == kcompat.__version__
    run_time = [need for need in INSTALLED.requires if "extra ==" not in need]
    assert sorted(run_time) == ["numpy", "packaging"]
    extras = set(INSTALLED.metadata.get_all("Provides-Extra"))
    assert {"state", "cli", "tensorflow", "keras", "test"} <= extras
    scripts = [entry for entry in INSTALLED.entry_points if entry.group == "console_scripts"]
    assert [(entry.name, entry.value) for entry in scripts] == [("kcompat", "kcompat.cli:main")]


@needs_wheel
def test_files_of_the_wheel():
    files = {str(path).replace("\\", "/"): path for path in INSTALLED.files}
    assert "kcompat/py.typed" in files
    sources = {"kcompat/" + identify(path).replace("\\", "/"): path for path in MODULES}
    assert {name for name in files if name.endswith(".py")} == set(sources), (
        "the wheel and the checkout differ: remove the folder build/ and build again"
    )
    # The tests import the checkout; they hold for the wheel because it has the same content.
    for name, path in sources.items():
        assert pathlib.Path(str(files[name].locate())).read_bytes() == path.read_bytes(), name
