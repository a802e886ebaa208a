"""Writes docs/errors.md: every message that kcompat raises, by class, so that a search for one finds it.

    python docs/make_errors.py          # --check: only tell whether it is up to date and tested
    python docs/make_errors.py --results .tox/results

The messages are read from the source; what a class means, and what to do about it, is written here. Which
test produces a message is taken from a run of the tests with KCOMPAT_RECORD_ERRORS, and kept in errors.json.
"""

import argparse
import ast
import datetime
import json
import pathlib
import re
import string
import sys
from typing import Dict, Iterator, List, NamedTuple, Optional

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE / "errors.json"
PACKAGE = HERE.parent / "kcompat"

# Class -> (what it also is, what it means, what to do).
CLASSES = {
    "RuleError": (
        "TypeError",
        "An update rule breaks the contract, is given where something else is expected, or can't be read "
        "off an optimizer.",
        "Most are raised when the rule's class or object is made. [Writing a rule](writing_a_rule.md) "
        "has the contract.",
    ),
    "HyperparameterError": (
        "ValueError",
        "A hyperparameter has a value that cannot be used, or is set in a way that could have no effect.",
        "[Learning rates](learning_rates.md) has what may be given, and when it may be set.",
    ),
    "HyperparameterTypeError": (
        "HyperparameterError and TypeError",
        "A hyperparameter is no number at all, where Keras raises a TypeError.",
        "[Learning rates](learning_rates.md) has what may be given.",
    ),
    "UnknownArgumentError": (
        "TypeError",
        "A constructor or a method was given an argument that it does not have.",
        "The message names the nearest one. [Optimizers](reference/optimizers.md) has all of them.",
    ),
    "GradientError": (
        "ValueError",
        "The gradients and variables of a step do not fit. Nothing was written.",
        "Compare the list with `optimizer.apply_gradients(zip(gradients, variables))`; see "
        "[sparse gradients](sparse_gradients.md) for indices.",
    ),
    "StateError": (
        "ValueError",
        "State can't be read, matched or put back without losing something. Nothing was assigned.",
        "[Saving and loading](saving.md) and [moving a model](state.md) have what fits where. Of a file that "
        "is damaged take another copy; what can't be read out of a file can be taken where it was made, with "
        "`kcompat.state.take()`, and saved.",
    ),
    "DistributionError": (
        "RuntimeError",
        "An optimizer was used where its host's rules of distribution forbid it, or can't do what is asked.",
        "Call it in the replica context, with variables of the strategy's scope; "
        "[decisions](decisions.md) has what works where.",
    ),
    "HookError": (
        "NotImplementedError",
        "A hook of an optimizer that was written for another API is missing, or can't be carried over.",
        "[Hooks](hooks.md) has what can.",
    ),
    "NotBuiltError": (
        "RuntimeError",
        "The optimizer has no variables yet, and what was asked needs them.",
        "Call `optimizer.build(variables)`, or take a step first.",
    ),
    "ApiNotAvailableError": (
        "ImportError",
        "The TensorFlow or Keras installed here does not offer the optimizer API that was asked for.",
        "`kcompat doctor` says what is installed, which APIs it offers, and why not the others.",
    ),
    "UnknownApiError": (
        "ApiNotAvailableError and ValueError",
        "That is not the name of any optimizer API.",
        "The names are `tf1`, `get_updates`, `optimizer_v2`, `keras_2_11` and `keras_3`.",
    ),
    "UnknownReleaseError": (
        "ValueError",
        "`kcompat matrix` was asked for a release that is not in its table.",
        "`kcompat matrix --list` prints the table.",
    ),
    "VendoringError": (
        "RuntimeError",
        "A copy of this package can't be written, or must not be replaced.",
        "[Vendoring](vendoring.md) has the command's options.",
    ),
    "ConformanceError": (
        "AssertionError",
        "A rule has failed the kit: the message is the whole report.",
        "[Testing](testing.md#what-a-failure-says) explains a failure.",
    ),
}

HEAD = """# Errors

Written by `python docs/make_errors.py` from the source; do not edit. Which test produces a message was taken
down by the tests as they ran, on the releases of [support](support.md); last on {date}, on a CPU, on Linux.

Every error that kcompat raises itself is a `kcompat.KcompatError`, and also the kind of error that one
would catch without knowing kcompat. A message says what was given, what was expected, and what to do; `…`
below stands for names and values of the moment. Messages of TensorFlow and Keras that optimizers meet, and
what to do about them, are told by `kcompat doctor --traceback FILE` ([doctor](doctor.md)).
"""


class Message(NamedTuple):
    """One message in the source."""

    error: str
    text: str
    file: str
    first_line: int
    last_line: int


def _text(node: ast.AST) -> Optional[str]:
    """The words of a message: a string, one with a format, or a sum of such."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return _text(node.func.value)
    if isinstance(node, ast.BinOp):
        left, right = _text(node.left), _text(node.right)
        return None if left is None and right is None else (left or "{}") + (right or "{}")
    return None


def messages() -> Iterator[Message]:
    """Every message of a class in CLASSES, or of a private one derived from it, that is made in the package.

    Raises:
        SystemExit: one that is not written where it is made, so that it would be missing.
    """
    for path in sorted(PACKAGE.rglob("*.py")):
        tree, place = ast.parse(path.read_text(encoding="utf-8")), path.relative_to(PACKAGE).as_posix()
        public = dict(zip(CLASSES, CLASSES))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and place != "errors.py":
                public.update(
                    (node.name, base.id)
                    for base in node.bases
                    if isinstance(base, ast.Name) and base.id in CLASSES
                )
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in public:
                error = public[node.func.id]
                text = _text(node.args[0]) if node.args else None
                if text is None and not _is_anothers(node):
                    raise SystemExit("{}:{}: write the message there.".format(place, node.lineno))
                if text is not None and "".join(_literals(text)).strip(": \n"):
                    yield Message(error, text, place, node.lineno, node.end_lineno or node.lineno)


def _is_anothers(node: ast.Call) -> bool:
    """Whether an error is made of another's message: `str(error)`."""
    made = node.args[0] if node.args else None
    return isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and made.func.id == "str"


def _literals(text: str) -> List[str]:
    """What stands between, before and after what is filled in."""
    pieces = [""]
    for literal, field, _, _ in string.Formatter().parse(text):
        pieces[-1] += literal
        if field is not None:
            pieces.append("")
    return pieces


def _shown(text: str) -> str:
    """A message with `…` in place of what is filled in, on one line."""
    return " ".join("…".join(_literals(text)).replace("`", "'").split())


def _fits(text: str, said: str) -> bool:
    """Whether a message was made of this text, and not of what stood on the same line in another commit."""
    return re.fullmatch(".*".join(map(re.escape, _literals(text))), said, re.DOTALL) is not None


def tests() -> Dict[str, str]:
    """Message, as it is shown -> a test that produces it."""
    found: Dict[str, str] = json.loads(TESTS.read_text(encoding="utf-8"))["tests"]
    return found


def take_results(folder: pathlib.Path) -> None:
    """Add what a run of the tests left, and drop messages that are gone."""
    known, made = tests(), list(messages())
    for path in sorted(folder.glob("errors-*.json")):
        for place, line, test, said in json.loads(path.read_text(encoding="utf-8")):
            for message in made:
                if message.file == place and message.first_line <= line <= message.last_line:
                    if _fits(message.text, said):
                        known.setdefault(_shown(message.text), test.rpartition("/")[2])
    texts = {_shown(message.text) for message in made}
    kept = {text: known[text] for text in sorted(known) if text in texts}
    data = {"date": datetime.date.today().isoformat(), "tests": kept}
    TESTS.write_text(json.dumps(data, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")


def check_classes() -> None:
    """Raise SystemExit if kcompat/errors.py has a class that CLASSES does not explain."""
    tree = ast.parse((PACKAGE / "errors.py").read_text(encoding="utf-8"))
    there = {node.name for node in tree.body if isinstance(node, ast.ClassDef)} - {"KcompatError"}
    if there - set(CLASSES):
        raise SystemExit("docs/make_errors.py does not explain {}.".format(", ".join(there - set(CLASSES))))


def page() -> str:
    """The whole page."""
    check_classes()
    produced = tests()
    by_class: Dict[str, List[Message]] = {}
    for message in messages():
        by_class.setdefault(message.error, []).append(message)
    parts = [HEAD.format(date=json.loads(TESTS.read_text(encoding="utf-8"))["date"])]
    for error, (also, means, cure) in CLASSES.items():
        parts.append("## `{}`\n\nAlso a {}. {} {}\n".format(error, also, means, cure))
        texts = sorted({_shown(message.text) for message in by_class.get(error, [])})
        if texts:
            rows = [
                "| {} | {} |".format(
                    text.replace("|", "\\|"), "`{}`".format(produced[text]) if text in produced else ""
                )
                for text in texts
            ]
            parts.append("\n".join(["| Message | A test that produces it |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if out of date")
    parser.add_argument("--results", type=pathlib.Path, help="the folder of a run of the tests")
    target = HERE / "errors.md"
    args = parser.parse_args()
    if args.results is not None:
        take_results(args.results)
    untested = {_shown(message.text) for message in messages()} - set(tests())
    if untested:
        print("No test produces:\n" + "\n".join(sorted(untested)), file=sys.stderr)
    if args.check:
        if target.read_text(encoding="utf-8") != page():
            print("docs/errors.md is out of date: run python docs/make_errors.py", file=sys.stderr)
            return 1
        return int(bool(untested))
    target.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
