"""The releases of TensorFlow and Keras that are tested on, and what each needs to be installed today.

One row a release: its latest patch, a Python that it supports, and what its own pins leave open but it cannot
run with. This project's own matrix (tox.ini) is checked against the table, and `python -m kcompat matrix`
writes the matrix of another library from it.
"""

from __future__ import annotations

from collections import namedtuple
from typing import Dict, List, Sequence, Tuple

from .errors import UnknownReleaseError, nearest

__all__ = ["DEFAULT", "RELEASES", "Release", "select"]


class Release(namedtuple("Release", ("name", "python", "requirements", "apis", "afterwards", "variables"))):
    """One release and how to install it.

    Fields: its name (``tf2.15``, ``keras3-jax``); the Python; the requirements, to be installed together; the
    optimizer APIs it has; what is installed afterwards, against the pins of what is there; and the
    environment variables that it is used with, as pairs.
    """

    __slots__ = ()
    name: str
    python: str
    requirements: Tuple[str, ...]
    apis: Tuple[str, ...]
    afterwards: Tuple[str, ...]
    variables: Tuple[Tuple[str, str], ...]

    @property
    def short(self) -> str:
        """The name as one asks for it: ``2.15`` for ``tf2.15``."""
        return self.name[2:] if self.name.startswith("tf") else self.name


def _release(
    name: str, python: str, requirements: str, apis: str, afterwards: str = "", variables: str = ""
) -> Release:
    pairs = [(key, value) for key, _, value in (each.partition("=") for each in variables.split())]
    needs = tuple(requirements.split())
    return Release(name, python, needs, tuple(apis.split()), tuple(afterwards.split()), tuple(pairs))


_OLDEST = "tf1 get_updates"
_STANDALONE = "tf1 get_updates optimizer_v2"
_V2 = "tf1 optimizer_v2"
_KERAS_2 = "tf1 optimizer_v2 keras_2_11"
_KERAS_3 = "tf1 keras_3"
_ALL_FOUR = "tf1 optimizer_v2 keras_2_11 keras_3"
_ALONE = "keras_3"

#: Every release, in the order of tox.ini. The lines there say why a requirement is needed.
RELEASES: Tuple[Release, ...] = (
    _release("tf1.13", "3.7", "tensorflow==1.13.2 h5py<3 numpy<1.17 protobuf<3.21", _OLDEST),
    _release("tf1.14", "3.7", "tensorflow==1.14.0 h5py<3 numpy<1.17 protobuf<3.21", _V2),
    _release("tf1.15", "3.7", "tensorflow-cpu==1.15.0 h5py<3 numpy<1.19 protobuf<3.21", _V2),
    _release("tf2.0", "3.7", "tensorflow==2.0.4 h5py<3 numpy<1.19 protobuf<3.21", _V2),
    _release("tf2.1", "3.7", "tensorflow-cpu==2.1.4 h5py<3 numpy<1.19 protobuf<3.21", _V2),
    _release("tf2.2", "3.8", "tensorflow-cpu==2.2.3 h5py<3 numpy<1.19 protobuf<3.21", _V2),
    _release("tf2.3", "3.8", "tensorflow-cpu==2.3.4 protobuf<3.21", _V2),
    _release("tf2.4", "3.8", "tensorflow-cpu==2.4.4 protobuf<3.21", _V2),
    _release("tf2.5", "3.9", "tensorflow-cpu==2.5.3 protobuf<3.21", _V2),
    _release("tf2.6", "3.9", "tensorflow-cpu==2.6.5 keras==2.6.* protobuf<3.21", _V2),
    _release("tf2.7", "3.9", "tensorflow-cpu==2.7.4 numpy<2 protobuf<3.21", _V2),
    _release("tf2.8", "3.10", "tensorflow-cpu==2.8.4 numpy<2 protobuf<3.21", _V2),
    _release("tf2.9", "3.10", "tensorflow-cpu==2.9.3 numpy<2", _KERAS_2),
    _release("tf2.10", "3.10", "tensorflow-cpu==2.10.1 numpy<2", _KERAS_2),
    _release("tf2.11", "3.10", "tensorflow-cpu==2.11.1 numpy<2", _KERAS_2),
    _release("tf2.12", "3.11", "tensorflow-cpu==2.12.1", _KERAS_2),
    _release("tf2.13", "3.11", "tensorflow-cpu==2.13.1", _KERAS_2),
    _release("tf2.14", "3.11", "tensorflow-cpu==2.14.1", _KERAS_2),
    _release("tf2.15", "3.11", "tensorflow-cpu==2.15.1", _KERAS_2),
    _release("tf2.16", "3.12", "tensorflow-cpu==2.16.2", _KERAS_3),
    _release("tf2.20", "3.13", "tensorflow-cpu==2.20.0 protobuf<7", _KERAS_3),
    _release("tf2.21", "3.13", "tensorflow-cpu==2.21.0", _KERAS_3),
    _release("tf2.22", "3.13", "tensorflow-cpu==2.22.0rc0", _KERAS_3),
    _release(
        "tf2.15-tf_keras",
        "3.11",
        "tensorflow==2.15.1 tf_keras==2.15.1",
        _KERAS_2,
        variables="TF_USE_LEGACY_KERAS=1",
    ),
    _release(
        "tf2.16-tf_keras",
        "3.12",
        "tensorflow==2.16.2 tf_keras==2.16.0",
        _ALL_FOUR,
        variables="TF_USE_LEGACY_KERAS=1",
    ),
    _release(
        "tf2.21-tf_keras",
        "3.13",
        "tensorflow==2.21.0 tf_keras==2.21.0",
        _ALL_FOUR,
        variables="TF_USE_LEGACY_KERAS=1",
    ),
    _release("tf2.15-keras3.3", "3.11", "tensorflow-cpu==2.15.1", _KERAS_3, afterwards="keras==3.3.3"),
    _release("tf2.16-keras3.0", "3.11", "tensorflow-cpu==2.16.2 keras==3.0.5", _KERAS_3),
    _release("tf2.17-keras3.6", "3.12", "tensorflow-cpu==2.17.1 keras==3.6.0", _KERAS_3),
    _release("tf2.18-keras3.9", "3.12", "tensorflow-cpu==2.18.1 keras==3.9.2", _KERAS_3),
    _release("tf2.19-keras3.12", "3.12", "tensorflow-cpu==2.19.1 keras==3.12.*", _KERAS_3),
    _release("keras3-jax", "3.13", "keras>=3.15 jax", _ALONE, variables="KERAS_BACKEND=jax"),
    _release("keras3.0-jax", "3.11", "keras==3.0.5 jax<0.6 numpy<2", _ALONE, variables="KERAS_BACKEND=jax"),
    _release("keras3-torch", "3.11", "keras>=3.15 torch==2.13.0", _ALONE, variables="KERAS_BACKEND=torch"),
    _release("keras3.6-torch", "3.11", "keras==3.6.0 torch==2.13.0", _ALONE, variables="KERAS_BACKEND=torch"),
    _release(
        "keras2.2", "3.7", "tensorflow-cpu==1.15.0 keras==2.2.5 h5py<3 numpy<1.19 protobuf<3.21", _STANDALONE
    ),
    _release(
        "keras2.3", "3.7", "tensorflow-cpu==1.15.0 keras==2.3.1 h5py<3 numpy<1.19 protobuf<3.21", _STANDALONE
    ),
)

#: What a matrix has when nothing is asked for: one release of each API, and Keras 3 without TensorFlow.
DEFAULT = ("1.15", "2.4", "2.10", "2.15", "newest", "keras3-jax")


def _ends() -> Tuple[Release, Release]:
    """The oldest and the newest TensorFlow with its own Keras."""
    plain = [each for each in RELEASES if each.name.startswith("tf") and "-" not in each.name]

    def number(release: Release) -> Tuple[int, ...]:
        return tuple(int(part) for part in release.short.split("."))

    return min(plain, key=number), max(plain, key=number)


def select(names: Sequence[str]) -> List[Release]:
    """Return the releases with these names, in the order of the table.

    Args:
        names: of each release its name or that without ``tf`` (``2.15``, ``tf2.15``, ``2.16-tf_keras``,
            ``keras3-jax``); or ``oldest``, ``newest``, ``all``.

    Raises:
        UnknownReleaseError: for another name, and for none at all.
    """
    known: Dict[str, Tuple[Release, ...]] = {each.short: (each,) for each in RELEASES}
    oldest, newest = _ends()
    known.update(oldest=(oldest,), newest=(newest,), all=RELEASES)
    wanted = [name[2:] if name.startswith("tf") else name for name in names]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise UnknownReleaseError(
            "No release {}; expected some of {}.{}".format(
                ", ".join(map(repr, unknown)) or "was given",
                ", ".join(known),
                nearest(unknown[0], known) if unknown else "",
            )
        )
    chosen = {release for name in wanted for release in known[name]}
    return [release for release in RELEASES if release in chosen]
