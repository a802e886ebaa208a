"""The subcommand `doctor`: what is installed here, and why an optimizer does not work or an error comes.

Exit status: 0 it works here, 1 it does not, or is not known; 2 wrong usage.
"""

from __future__ import annotations

import json
import sys

from .. import environment

# Not typing's own: that module alone costs an interpreter 6 to 10 ms. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

__all__ = ["add_arguments", "run"]

USAGE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument(
        "optimizer",
        nargs="?",
        metavar="MODULE:CLASS",
        help="an optimizer's class, such as mylib.opt:MyOptimizer: say whether it works here, and why not",
    )
    parser.add_argument(
        "--model",
        choices=("tf.keras", "keras", "tf_keras"),
        help="the Keras of the model that is to take the class (default: tf.keras, without TensorFlow keras)",
    )
    parser.add_argument(
        "--traceback",
        metavar="FILE",
        help="say what an error means: a file with its traceback, or - for stdin",
    )
    parser.add_argument("--json", action="store_true", help="print the record or the answer as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the record, or the answer; return 0 when some API or the class works here, 1 when not."""
    optimizer, traceback = getattr(args, "optimizer", None), getattr(args, "traceback", None)
    if optimizer is None and traceback is None and args.model is None:
        found = environment.detect()
        print(json.dumps(found.as_dict(), indent=2) if args.json else found)
        return 0 if found.apis else 1
    # Imported here: most runs only ask what is installed.
    from . import diagnosis

    try:
        if (optimizer is None) == (traceback is None):
            raise diagnosis.UsageError(
                "give either MODULE:CLASS or --traceback FILE; --model goes with a class"
            )
        if traceback is not None:
            answer = diagnosis.of_text(_read(traceback))
        else:
            answer = diagnosis.diagnose(str(optimizer), args.model)
    except (diagnosis.UsageError, OSError) as error:
        print("doctor: {}".format(error), file=sys.stderr)
        return USAGE
    _print(answer, args.json)
    return 0 if answer.works else 1


def _read(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _named(text: str) -> str:
    """The text, with the name that this copy of the package has."""
    package = __name__.rpartition(".cli.")[0]
    return text if package == "kcompat" else text.replace("kcompat.", package + ".")


def _print(answer: Any, as_json: bool) -> None:
    reasons = [_named(each) for each in answer.reasons]
    advice = [_named(each) for each in answer.advice]
    found = environment.detect()
    if as_json:
        record = dict(
            zip(answer._fields, answer), reasons=reasons, advice=advice, answer=_named(answer.answer)
        )
        print(json.dumps(dict(record, environment=found.as_dict()), indent=2))
        return
    from textwrap import fill

    def paragraph(text: str, first: str = "", then: str = "") -> str:
        return fill(
            text,
            100,
            initial_indent=first,
            subsequent_indent=then,
            break_long_words=False,
            break_on_hyphens=False,
        )

    print(paragraph(_named(answer.answer)))
    for title, texts in (("why", reasons), ("what to do", advice)):
        if texts:
            print("\n" + title)
            for text in texts:
                print(paragraph(_sentence(text), "- ", "  "))
    if answer.works is None:
        print("\nwhat is here\n{}".format(found))
        return
    rows = [(name, value) for name, value in answer.facts.items() if value is not None]
    rows.append(("here", _here(found)))
    width = max(len(name) for name, _ in rows)
    print()
    for name, value in rows:
        print(paragraph(value, "{:<{}}  ".format(name, width), " " * (width + 2)))


def _sentence(text: str) -> str:
    """A reason as a sentence; what begins with a name or a command stays as it is."""
    return text[:1].upper() + text[1:] if text.startswith(("it ", "its ")) else text


def _here(found: Any) -> str:
    """What is here, in one line."""
    parts = [
        "{} {}".format(name, value)
        for name, value in (
            ("TensorFlow", found.tensorflow),
            ("keras", found.keras),
            ("tf_keras", found.tf_keras),
        )
        if value
    ]
    apis = (
        "optimizer APIs {} (default {})".format(", ".join(found.apis), found.default)
        if found.apis
        else "no optimizer API"
    )
    return "Python {}; {}; {}".format(found.python, ", ".join(parts) or "no TensorFlow, no Keras", apis)
