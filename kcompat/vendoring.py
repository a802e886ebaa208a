"""Copy this package into another one, and tell later whether the copy is still what was written.

A copy is the folder `DEST/kcompat`: the package, its licence, the part of `packaging` that it uses (in
`_packaging`, with its licences), and the stamp `VENDORED.json`. The stamp has no dates and no paths of the
machine, and its hashes take CRLF for LF: the same release gives the same stamp anywhere.

The new copy is written to `DEST/.kcompat.new` and changes places with the old one by renaming. Whenever that
is interrupted, the next run finds a whole copy, in its place or in `DEST/.kcompat.old`, and goes on with it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
from collections import namedtuple
from typing import Any, Collection, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from ._version import __version__
from .environment import parse_version
from .errors import VendoringError, nearest

__all__ = ["NAME", "STAMP", "Check", "Result", "check", "contents", "vendor"]

#: The name of the folder that is written, and of the stamp in it.
NAME = "kcompat"
STAMP = "VENDORED.json"

_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGING = "_packaging"

# What a copy for one library's own rules does without, unless something that stays imports it: modules (or
# packages) at the top, and of the command line all but the record of what is installed.
_OPTIONAL = ("addons", "benchmarking", "hooks", "releases", "state", "testing", "vendoring")
_COMMANDS_KEPT = ("__init__", "doctor")


class Result(namedtuple("Result", ("path", "action", "files", "size", "left_out", "notes"))):
    """What `vendor` did: the copy, ``written`` or ``unchanged``, how large it is, and what to know."""

    __slots__ = ()
    path: str
    action: str
    files: int
    size: int
    left_out: Tuple[str, ...]
    notes: Tuple[str, ...]


class Check(namedtuple("Check", ("path", "version", "edited", "missing", "extra", "problem", "notes"))):
    """What `check` found: the files that differ from the stamp, or the problem with the whole copy."""

    __slots__ = ()
    path: str
    version: Optional[str]
    edited: Tuple[str, ...]
    missing: Tuple[str, ...]
    extra: Tuple[str, ...]
    problem: Optional[str]
    notes: Tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the copy is there and every file of it is as it was written."""
        return not (self.problem or self.edited or self.missing or self.extra)


# ------------------------------------------------------------ files


def _walk(root: str) -> Iterator[str]:
    """Yield the files under a folder as relative paths with slashes, without what Python puts there."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            if not name.endswith((".pyc", ".pyo")):
                path = os.path.relpath(os.path.join(folder, name), root)
                yield path.replace(os.sep, "/")


def _read(root: str, path: str) -> bytes:
    with open(os.path.join(root, *path.split("/")), "rb") as file:
        return file.read()


def _digest(content: bytes) -> str:
    """The hash of a file's content, the same whether a checkout ends its lines with LF or with CRLF."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def _digest_of_all(hashes: Mapping[str, str]) -> str:
    lines = "".join("{}  {}\n".format(hashes[path], path) for path in sorted(hashes))
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def _stamp_of(root: str) -> Optional[Dict[str, Any]]:
    """Return the stamp in a folder, or None where there is none that can be read."""
    try:
        found = json.loads(_read(root, STAMP).decode("utf-8"))
        fine = (
            isinstance(found, dict)
            and all(isinstance(found.get(key), str) for key in ("version", "hash"))
            and isinstance(found.get("files"), dict)
            and _digest_of_all(found["files"]) == found["hash"]
        )
    except (OSError, ValueError, TypeError):
        return None
    return found if fine else None


def _differences(root: str, stamp: Mapping[str, Any]) -> Tuple[List[str], List[str], List[str]]:
    """Return which files of a copy were edited, are missing, and do not belong to it."""
    expected = stamp["files"]
    there = [path for path in _walk(root) if path != STAMP]
    edited = [path for path in there if path in expected and _digest(_read(root, path)) != expected[path]]
    missing = [path for path in sorted(expected) if path not in there]
    extra = [path for path in there if path not in expected]
    return edited, missing, extra


# ------------------------------------------------------------ what belongs to a copy


def _sources() -> Dict[str, bytes]:
    """The files of this package itself, by path; of a copy, without what vendoring added to it."""
    stamp = _stamp_of(_HERE)
    if stamp is not None:
        if stamp["only"]:
            raise VendoringError(
                "This copy of kcompat has only {}: a copy of it would lack the rest. Run the installed "
                "kcompat: python -m kcompat vendor".format(", ".join(stamp["only"]))
            )
        changed = [path for paths in _differences(_HERE, stamp) for path in paths]
        if changed:
            raise VendoringError(
                "This copy of kcompat was changed since it was vendored ({}). Run the installed kcompat: "
                "python -m kcompat vendor".format(", ".join(changed))
            )
    return {
        path: _read(_HERE, path)
        for path in _walk(_HERE)
        if path not in ("LICENSE", STAMP) and not path.startswith(_PACKAGING + "/")
    }


def _distribution(name: str, beside: str) -> Optional[str]:
    """Return the metadata folder of the distribution `name` installed in the folder `beside`."""
    try:
        entries = sorted(os.listdir(beside))
    except OSError:
        return None
    for entry in entries:
        if entry.endswith((".dist-info", ".egg-info")) and entry.partition("-")[0].lower() == name:
            return os.path.join(beside, entry)
    return None


def _licences(folder: Optional[str]) -> Dict[str, bytes]:
    """Return the licence files of a metadata folder: at its top, or in licenses/ from newer tools."""
    found: Dict[str, bytes] = {}
    for place in ("", "licenses"):
        try:
            names = sorted(os.listdir(os.path.join(folder or "", place))) if folder else []
        except OSError:
            continue
        for name in names:
            if name.upper().startswith(("LICENSE", "LICENCE", "COPYING")) and folder:
                path = os.path.join(folder, place)
                if os.path.isfile(os.path.join(path, name)):
                    found[name] = _read(path, name)
    return found


def _own_licence() -> bytes:
    """This package's licence: a copy has it inside, a checkout beside, a wheel in its metadata."""
    above = os.path.dirname(_HERE)
    if _stamp_of(_HERE) is not None:
        return _read(_HERE, "LICENSE")
    # A LICENSE in site-packages would be another project's: a checkout has its set-up beside it.
    if os.path.isfile(os.path.join(above, "setup.cfg")) and os.path.isfile(os.path.join(above, "LICENSE")):
        return _read(above, "LICENSE")
    found = _licences(_distribution(NAME, above))
    if "LICENSE" not in found:
        raise VendoringError(
            "The licence of kcompat was found neither beside {} nor in the metadata of an installed kcompat, "
            "and a copy has to carry it. Install it anew: pip install --force-reinstall kcompat".format(_HERE)
        )
    return found["LICENSE"]


def _packaging() -> Tuple[Dict[str, bytes], Optional[str], List[str]]:
    """Return the part of `packaging` that is needed, by path in the copy; its version; and notes."""
    if _stamp_of(_HERE) is not None and os.path.isdir(os.path.join(_HERE, _PACKAGING)):
        paths = [path for path in _walk(_HERE) if path.startswith(_PACKAGING + "/")]
        version = (_stamp_of(_HERE) or {}).get("packaging")
        return {path: _read(_HERE, path) for path in paths}, version, []
    without = "without it versions are compared by their numbers alone"
    try:
        import packaging
    except ImportError:
        return {}, None, ["packaging is not installed, and not in the copy: {}".format(without)]
    root = os.path.dirname(os.path.abspath(str(packaging.__file__)))
    licences = _licences(_distribution("packaging", os.path.dirname(root)))
    if not licences:
        note = "packaging is installed with no licence file, and so not in the copy: {}. Install it with pip"
        return {}, None, [note.format(without)]
    files, waiting, notes = {}, ["version"], []
    while waiting:
        name = waiting.pop()
        path = "{}/{}.py".format(_PACKAGING, name)
        if path in files:
            continue
        files[path] = _read(root, name + ".py")
        for node in ast.walk(ast.parse(files[path])):
            if isinstance(node, ast.ImportFrom) and node.level:
                waiting += [node.module] if node.module else [alias.name for alias in node.names]
    options: Any = {"feature_version": (3, 7)} if hasattr(ast, "NamedExpr") else {}
    for content in files.values():
        try:
            ast.parse(content, **options)
        except SyntaxError:
            notes.append(
                "packaging {} is written for newer Pythons than 3.7, where {}. To carry one that 3.7 can "
                "read, vendor with packaging<24.1".format(packaging.__version__, without)
            )
            break
    text = '"""The part of packaging {} that kcompat uses; the licences are beside this file."""\n'
    files[_PACKAGING + "/__init__.py"] = text.format(packaging.__version__).encode("utf-8")
    files.update({"{}/{}".format(_PACKAGING, name): content for name, content in licences.items()})
    return files, str(packaging.__version__), notes


def _module_path(files: Collection[str], parts: Sequence[str]) -> Optional[str]:
    """Return the file of the module with these names, if it is one of `files`."""
    for path in ("/".join([*parts, "__init__.py"]), "/".join(parts) + ".py"):
        if path in files:
            return path
    return None


def _imported(path: str, source: bytes, files: Collection[str]) -> Iterator[str]:
    """Yield the files of this package that one of them imports, in functions too, not for type checkers."""
    tree = ast.parse(source)
    skipped: Set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(id(inner) for child in node.body for inner in ast.walk(child))
    folders = path.split("/")[:-1]
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level or id(node) in skipped:
            continue
        base = folders[: len(folders) - node.level + 1] + (node.module.split(".") if node.module else [])
        for parts in [base] + [[*base, alias.name] for alias in node.names]:
            # The packages around a module are run before it.
            for length in range(1, len(parts) + 1):
                found = _module_path(files, parts[:length])
                if found:
                    yield found


def _entries(source: bytes, name: str) -> Tuple[List[Tuple[str, str]], ast.Dict]:
    """Return the entries of the dictionary of strings that a module assigns to `name`, and its node."""
    for node in ast.parse(source).body:
        targets: Sequence[Any] = getattr(node, "targets", None) or [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            table = getattr(node, "value", None)
            if isinstance(table, ast.Dict):
                return list(ast.literal_eval(table).items()), table
    raise VendoringError("There is no dictionary {} to shorten; use no --only.".format(name))


def _cut(source: bytes, name: str, kept: Collection[str]) -> bytes:
    """Return the source of a module with only some keys of its dictionary `name`, which has one a line."""
    entries, table = _entries(source, name)
    lines = source.splitlines(keepends=True)
    starts = [int(getattr(key, "lineno", 0)) for key in table.keys]
    ends = [*starts[1:], 0]
    gone: Set[int] = set()
    for (key, _), start, end in zip(entries, starts, ends):
        if key not in kept:
            gone.update(range(start, end) if end else [start])
    return b"".join(line for number, line in enumerate(lines, 1) if number not in gone)


def _without_absent(path: str, source: bytes, files: Collection[str]) -> bytes:
    """Return the source of a module without the lines that show absent modules to type checkers."""
    gone: Set[int] = set()
    folders = path.split("/")[:-1]
    for block in ast.walk(ast.parse(source)):
        if not isinstance(block, ast.If) or "TYPE_CHECKING" not in ast.dump(block.test):
            continue
        for node in block.body:
            # Of several names on one import, each module is there; those that may be absent have their own.
            if isinstance(node, ast.ImportFrom) and node.level == 1 and len(node.names) == 1:
                parts = node.module.split(".") if node.module else [node.names[0].name]
                if not _module_path(files, [*folders, *parts]):
                    gone.add(node.lineno)
    return b"".join(
        line for number, line in enumerate(source.splitlines(keepends=True), 1) if number not in gone
    )


def _families(catalogue: Mapping[str, str], only: Sequence[str]) -> Set[str]:
    """Return the families asked for: by a rule's name or the family's, in any case of letters."""
    # One name may mean several: Lamb is Keras' and LAMB TensorFlow Addons', in families of their own.
    by_name: Dict[str, Set[str]] = {}
    for rule, family in catalogue.items():
        for name in (rule, family.lstrip(".")):
            by_name.setdefault(name.lower(), set()).add(family)
    unknown = [name for name in only if name.lower() not in by_name]
    if unknown or not only:
        known = [*catalogue, *sorted({family.lstrip(".") for family in catalogue.values()})]
        hint = nearest(unknown[0], known) if unknown else ""
        raise VendoringError(
            "--only {}: no rule or family of that name; expected some of {}.{}".format(
                ",".join(unknown) or "''", ", ".join(known), hint
            )
        )
    return set().union(*(by_name[name.lower()] for name in only))


def _select(files: Dict[str, bytes], only: Sequence[str]) -> Dict[str, bytes]:
    """Return what a copy with the rules of some families needs, the catalogue cut to them."""
    index, commands = "rules/__init__.py", "cli/__init__.py"
    catalogue = dict(_entries(files[index], "CATALOGUE")[0])
    families = {"rules/{}.py".format(name.lstrip(".")) for name in _families(catalogue, only)}

    def stays(path: str) -> bool:
        top, _, rest = path.partition("/")
        if top == "rules":
            return path == index or path in families
        if top == "cli":
            return rest.replace(".py", "") in _COMMANDS_KEPT
        return top.replace(".py", "") not in _OPTIONAL

    waiting = [path for path in files if stays(path)]
    kept: Set[str] = set()
    while waiting:
        path = waiting.pop()
        if path not in kept:
            kept.add(path)
            if path.endswith(".py"):
                waiting += _imported(path, files[path], files)
    chosen = {path: content for path, content in files.items() if path in kept}
    there = [rule for rule, name in catalogue.items() if "rules/{}.py".format(name.lstrip(".")) in kept]
    chosen[index] = _cut(files[index], "CATALOGUE", there)
    if commands in chosen:
        names = [name for name, _ in _entries(files[commands], "COMMANDS")[0]]
        there = [name for name in names if "cli/{}.py".format(name) in kept]
        chosen[commands] = _cut(files[commands], "COMMANDS", there)
    # The stubs name every rule; without them a type checker takes any name.
    chosen = {path: content for path, content in chosen.items() if not path.endswith(".pyi")}
    for path in (index, "__init__.py"):
        chosen[path] = _without_absent(path, chosen[path], chosen)
    return chosen


def contents(only: Optional[Sequence[str]] = None) -> Tuple[Dict[str, bytes], Dict[str, Any], List[str]]:
    """Return the files of a copy by path (without its stamp), the stamp, and notes for the author.

    Args:
        only: names of rules or of families, in any case of letters; None for the whole package.

    Raises:
        VendoringError: for a name that is none, for a licence that is not found, and where this is itself a
            copy that is not whole.
    """
    everything = _sources()
    files = dict(everything) if only is None else _select(everything, only)
    left_out = sorted(set(everything) - set(files))
    packaging, version, notes = _packaging()
    files.update(packaging)
    files["LICENSE"] = _own_licence()
    hashes = {path: _digest(content) for path, content in sorted(files.items())}
    stamp = {
        "version": __version__,
        "hash": _digest_of_all(hashes),
        "packaging": version,
        "only": sorted({name.lower() for name in only}) if only is not None else None,
        "left_out": left_out,
        "files": hashes,
    }
    return files, stamp, notes


# ------------------------------------------------------------ writing and checking


def _places(dest: str) -> Tuple[str, str, str]:
    """Return where the copy is, where a new one is written, and where the old one waits to be removed."""
    dest = os.path.abspath(dest)
    if os.path.exists(dest) and not os.path.isdir(dest):
        raise VendoringError("{} is no folder; give the folder that is to hold {!r}.".format(dest, NAME))
    copy = os.path.join(dest, NAME)
    return copy, os.path.join(dest, "." + NAME + ".new"), os.path.join(dest, "." + NAME + ".old")


def _refuse_itself(dest: str) -> None:
    """Raise where writing to `dest` would replace the files that are written from."""
    copy = os.path.join(os.path.abspath(dest), NAME)
    if os.path.realpath(copy) == os.path.realpath(_HERE):
        raise VendoringError("{} is this very package; give the folder of another one.".format(copy))
    if (os.path.realpath(dest) + os.sep).startswith(os.path.realpath(_HERE) + os.sep):
        raise VendoringError("{} is inside this very package; give the folder of another one.".format(dest))


def _recover(copy: str, new: str, old: str) -> None:
    """Put things right after a run that was killed: one whole copy in its place, nothing beside it."""
    if os.path.isdir(old):
        if not os.path.lexists(copy):
            os.rename(old, copy)
        else:  # the new copy is in its place; only the removal of the old one was left
            shutil.rmtree(old)
    if os.path.isdir(new):
        shutil.rmtree(new)


def _write(copy: str, new: str, old: str, files: Mapping[str, bytes], stamp: Mapping[str, Any]) -> None:
    """Write a copy and let it change places with the one there, such that a kill loses neither."""
    os.makedirs(new)
    text = json.dumps(stamp, indent=1, sort_keys=True) + "\n"
    for path, content in [*sorted(files.items()), (STAMP, text.encode("utf-8"))]:
        target = os.path.join(new, *path.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    replaced = os.path.lexists(copy)
    if replaced:
        os.rename(copy, old)
    try:
        os.rename(new, copy)
    except OSError:
        if replaced:
            os.rename(old, copy)
        raise
    if replaced:
        shutil.rmtree(old)


def vendor(
    dest: str, only: Optional[Sequence[str]] = None, update: bool = False, force: bool = False
) -> Result:
    """Write the copy `dest/kcompat`, or replace the one that is there.

    Args:
        dest: the folder that holds the copy, such as ``src/mylib/_vendor``; made when it is not there.
        only: names of rules or of families to keep, in any case of letters; None for all of them, and with
            `update` for those that the copy has.
        update: whether the copy must be there already.
        force: whether to replace a copy that was edited.

    Raises:
        VendoringError: for a folder ``dest/kcompat`` that is no copy (without a stamp and not empty), a copy
            that was edited, no copy to update, and what `contents` raises.
    """
    copy, new, old = _places(dest)
    _refuse_itself(dest)
    if os.path.islink(copy) or (os.path.exists(copy) and not os.path.isdir(copy)):
        raise VendoringError("{} is a link or a file, no folder; remove it first.".format(copy))
    interrupted = os.path.isdir(old) and not os.path.lexists(copy)
    present = old if interrupted else copy
    stamp = _stamp_of(present)
    if stamp is None:
        if os.path.isdir(present) and os.listdir(present):
            raise VendoringError(
                "{} is not empty and has no valid stamp {}: it is no copy that this command made. Remove "
                "it, or choose another folder.".format(present, STAMP)
            )
        if update:
            raise VendoringError("There is no copy {} to update; leave out --update.".format(copy))
    else:
        changed = [path for paths in _differences(present, stamp) for path in paths]
        if changed and not force:
            raise VendoringError(
                "{} was changed since it was vendored, and the changes would be lost: {}. Move them "
                "elsewhere, or replace the copy with --force.".format(copy, ", ".join(changed))
            )
        if update and only is None:
            only = stamp.get("only")
    # Everything that can go wrong with the content does so before anything is written.
    files, made, notes = contents(only)
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    _recover(copy, new, old)
    same = stamp is not None and stamp == made and not any(_differences(copy, stamp))
    if not same:
        _write(copy, new, old, files, made)
    if not os.path.isfile(os.path.join(os.path.dirname(copy), "__init__.py")):
        notes.append("{} has no __init__.py, which most build tools want".format(os.path.dirname(copy)))
    return Result(
        path=copy,
        action="unchanged" if same else "written",
        files=len(files) + 1,
        size=sum(os.path.getsize(os.path.join(copy, *path.split("/"))) for path in _walk(copy)),
        left_out=tuple(made["left_out"]),
        notes=tuple(notes),
    )


def check(dest: str) -> Check:
    """Compare the copy ``dest/kcompat`` with its stamp and with this package; change nothing.

    That the copy is of another version than this package is a note, no failure. A copy can check itself.
    """
    copy, _, old = _places(dest)
    empty: Tuple[str, ...] = ()
    if not os.path.isdir(copy):
        problem = "there is no copy"
        if os.path.isdir(old):
            problem += ", but one in {}: an update was interrupted, --update goes on with it".format(old)
        return Check(copy, None, empty, empty, empty, problem, empty)
    stamp = _stamp_of(copy)
    if stamp is None:
        problem = "{} is missing or was edited".format(STAMP)
        return Check(copy, None, empty, empty, empty, problem, empty)
    edited, missing, extra = _differences(copy, stamp)
    notes = []
    theirs, ours = parse_version(stamp["version"]), parse_version(__version__)
    if theirs != ours:
        text = "the copy has kcompat {}, {} than {}, which this is"
        notes.append(text.format(stamp["version"], "older" if theirs < ours else "newer", __version__))
    else:
        try:
            made = contents(stamp.get("only"))[1]
        except VendoringError:  # a copy can't tell what the whole package has
            made = stamp
        if _without_packaging(made) != _without_packaging(stamp):
            notes.append("the copy has kcompat {} as this is, with other content".format(__version__))
    return Check(copy, stamp["version"], tuple(edited), tuple(missing), tuple(extra), None, tuple(notes))


def _without_packaging(stamp: Mapping[str, Any]) -> Dict[str, str]:
    return {path: value for path, value in stamp["files"].items() if not path.startswith(_PACKAGING + "/")}
