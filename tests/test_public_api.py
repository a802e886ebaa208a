"""The public names and signatures are those of tests/public_api.txt: a break is a decision, not an accident.

`python tests/test_public_api.py --write` writes that file anew; it wants a TensorFlow or Keras. What else is
made from the package is written by `python tests/test_stubs.py --write` and `python docs/make_catalogue.py`,
which want none.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
LISTING = os.path.join(HERE, "public_api.txt")
COMMAND = "python tests/test_public_api.py --write"

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(HERE))
else:
    import _package  # noqa: F401  stands in for the package where a vendored copy is tested
    import pytest
    from _apis import APIS

import kcompat  # noqa: E402
from kcompat import vendoring  # noqa: E402

MODULES = (
    "environment",
    "errors",
    "hooks",
    "rules",
    "schedules",
    "state",
    "testing",
    "transforms",
    "addons",
    "optimizers",
)
# Their names are there without a framework, their classes are not.
NATIVE = ("addons", "optimizers")
# The host's own classes, of which every release has others.
HOSTS_OWN = ("KerasLegacyOptimizer", "Optimizer")
# What every optimizer class has besides the arguments of its rule, on every API; `Adam` stands for all.
SURFACE = (
    "api",
    "apply_gradients",
    "build",
    "clipnorm",
    "clipvalue",
    "exclude_from_weight_decay",
    "from_config",
    "from_rule",
    "get_config",
    "get_slot",
    "get_slot_names",
    "get_weights",
    "global_clipnorm",
    "iterations",
    "learning_rate",
    "lr",
    "minimize",
    "rule",
    "rule_class",
    "set_weights",
    "swap_averages",
    "variables",
    "weight_decay",
)


def default(value):
    """A default as it is written: no addresses, and functions by name."""
    return value.__name__ if callable(value) and hasattr(value, "__name__") else repr(value)


def signature(function):
    """The arguments with their kinds and defaults; not their annotations, which are the type checkers'."""
    parameters = list(inspect.signature(function).parameters.values())
    plain = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
    parts, star = [], False
    for parameter in plain:
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        text = str(parameter.replace(default=parameter.empty))
        if parameter.default is not parameter.empty:
            text += "=" + default(parameter.default)
        parts.append(text)
    return "({})".format(", ".join(parts))


def own(name, cls):
    """Whether a name of a class is its own rather than a base's that it overrides."""
    return not any(name in vars(base) for base in cls.__mro__[1:])


def members(where, cls):
    """The public attributes that a class adds to those of its bases."""
    arguments = dict.fromkeys(getattr(cls, "hypers", ()), True)  # these are in the constructor's signature
    for name, value in sorted(vars(cls).items()):
        if name.startswith("_") or name in arguments or not own(name, cls):
            continue
        value = getattr(value, "__func__", value)
        text = "{}.{}".format(where, name)
        yield text + signature(value) if inspect.isfunction(value) else text


def described(where, value):
    """The lines of one public name."""
    if inspect.isclass(value) and issubclass(value, BaseException):
        yield "{} < {}".format(where, ", ".join(base.__name__ for base in value.__bases__))
    elif inspect.isclass(value):
        yield where + signature(value)
        yield from members(where, value)
    elif inspect.isfunction(value):
        yield where + signature(value)
    else:
        yield where


def framework_free():
    """The lines that need no framework."""
    for name in sorted(set(kcompat.__all__)):
        yield from described("kcompat." + name, getattr(kcompat, name))
    for part in MODULES:
        module = importlib.import_module("kcompat." + part)
        for name in sorted(set(module.__all__) - set(kcompat.__all__)):
            where = "kcompat.{}.{}".format(part, name)
            if part not in NATIVE:
                yield from described(where, getattr(module, name))


def native():
    """The lines of optimizer classes, which are the same on every API."""
    for part in NATIVE:
        module = importlib.import_module("kcompat." + part)
        for name in sorted(module.__all__):
            value = getattr(module, name)
            shown = callable(value) and name not in HOSTS_OWN
            yield "kcompat.{}.{}".format(part, name) + (signature(value) if shown else "")
    cls = kcompat.optimizers.Adam
    for name in SURFACE:
        if hasattr(cls, name):
            yield "kcompat.optimizers.Adam." + name


def listed():
    """The lines of the file: those that need no framework, and those of optimizer classes."""
    with open(LISTING, encoding="utf-8") as file:
        lines = [line for line in file.read().splitlines() if line and not line.startswith("#")]
    starts = tuple("kcompat.{}.".format(part) for part in NATIVE)
    of_classes = [line for line in lines if line.startswith(starts)]
    return [line for line in lines if not line.startswith(starts)], of_classes


def difference(found, expected):
    """What is not the same, in words, or ""."""
    gone, new = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if not gone and not new:
        return ""
    lines = ["- " + line for line in gone] + ["+ " + line for line in new]
    advice = "A line that is gone breaks its users: docs/stability.md says what it takes. If it is meant: "
    return "\n".join(["The public surface differs from tests/public_api.txt.", *lines, advice + COMMAND])


def main(arguments):
    """Write the file, or say what differs from it."""
    if not kcompat.detect().apis:
        print("{} needs a TensorFlow or Keras: half of the lines are optimizer classes.".format(COMMAND))
        return 2
    lines = [*framework_free(), *native()]
    if arguments == ["--write"]:
        with open(LISTING, "w", encoding="utf-8", newline="\n") as file:
            file.write("# The public names and signatures. Written by: {}\n".format(COMMAND))
            file.write("".join(line + "\n" for line in lines))
        return 0
    says = difference(lines, [line for part in listed() for line in part])
    print(says or "The public surface is that of tests/public_api.txt.")
    return bool(says)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))


def test_what_needs_no_framework():
    says = difference(list(framework_free()), listed()[0])
    assert not says, says


@pytest.mark.skipif(not APIS, reason="no optimizer API here")
def test_optimizer_classes():
    says = difference(list(native()), listed()[1])
    assert not says, says


@pytest.mark.parametrize("api", APIS)
def test_every_api_has_the_surface_of_an_optimizer(api):
    cls = kcompat.optimizer_class(kcompat.rules.Adam, api)
    assert [name for name in SURFACE if not hasattr(cls, name)] == []
    (line,) = [line for line in listed()[1] if line.startswith("kcompat.optimizers.Adam(")]
    assert line == "kcompat.optimizers.Adam" + signature(cls)


def test_names_of_optimizer_classes():
    found = {
        "kcompat.{}.{}".format(part, name)
        for part in NATIVE
        for name in importlib.import_module("kcompat." + part).__all__
    }
    assert found == {line.partition("(")[0] for line in listed()[1]} - {
        "kcompat.optimizers.Adam." + name for name in SURFACE
    }


def test_a_difference_is_told():
    says = difference(["kcompat.f(a, b=1)"], ["kcompat.f(a)"])
    assert "- kcompat.f(a)\n" in says and "+ kcompat.f(a, b=1)\n" in says and COMMAND in says
    assert difference(["kcompat.f"], ["kcompat.f"]) == ""


def sample(a, b=len, *rest, c=(1, "x"), d, **others):
    """Arguments of every kind."""


def keyword_only(a: int, *, b: float = 0.5) -> None:
    """Annotations are left out."""


def test_signatures_are_written_out():
    assert signature(sample) == "(a, b=len, *rest, c=(1, 'x'), d, **others)"
    assert signature(keyword_only) == "(a, *, b=0.5)"
    assert signature(kcompat.transforms.ClipByNorm) == "(inner, clipnorm)"
    assert signature(kcompat.transforms.Partition) == "(inner, parts=())"


def shown_to_checkers(module):
    """Name -> module, of the imports that a module has only for type checkers."""
    with open(module.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    return {
        alias.name: "." + (node.module or "")
        for block in tree.body
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }


def test_type_checkers_are_shown_every_lazy_name():
    advice = 'kcompat/rules/__init__.py: under "if TYPE_CHECKING", one line a rule of CATALOGUE'
    assert shown_to_checkers(kcompat.rules) == kcompat.rules.CATALOGUE, advice
    shown = shown_to_checkers(sys.modules[kcompat.UpdateRule.__module__[: -len(".rule")]])
    assert set(kcompat.__all__) - {"__version__"} == {name for name, where in shown.items() if where != "."}
    assert {name for name, where in shown.items() if where == "."} >= set(MODULES)


@pytest.mark.wide
def test_a_copy_with_fewer_rules_shows_type_checkers_those():
    """Of the whole package nothing is dropped; of a part, exactly the modules that are not in it."""
    every, _, _ = vendoring.contents()
    part, _, _ = vendoring.contents(only=["sgd", "adamw"])
    rules = "rules/__init__.py"
    shown = re.compile(rb"^    from \.(\w*) import (\w+) as \2$", re.M)
    assert len(shown.findall(every[rules])) == len(kcompat.rules.CATALOGUE)
    families = {b"adam", b"sgd"}
    assert {family for family, _ in shown.findall(part[rules])} >= families
    for family, _ in shown.findall(part[rules]):
        assert "rules/{}.py".format(family.decode()) in part
    top = {name for where, name in shown.findall(part["__init__.py"]) if not where}
    left_out = {b"addons", b"hooks", b"state", b"testing"}
    assert top == {name.encode() for name in MODULES + ("namespaces",)} - left_out
