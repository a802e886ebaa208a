"""The optimizer APIs that the tests run on: those found here, or those KCOMPAT_TEST_APIS demands.

`from _apis import APIS` in a test file, then `@pytest.mark.parametrize("api", APIS)`. The tuple is
computed when it is first asked for, because finding the APIs imports the frameworks; with none here
it is empty.
"""

import os
from typing import Any, Dict, List, Optional, Tuple

VARIABLE = "KCOMPAT_TEST_APIS"


def required() -> Optional[Tuple[str, ...]]:
    """The names in KCOMPAT_TEST_APIS (comma-separated), or None where it is not set.

    Set but empty, it demands that nothing is tested: the environments without a framework.
    """
    value = os.environ.get(VARIABLE)
    if value is None:
        return None
    return tuple(name.strip() for name in value.split(",") if name.strip())


def absent() -> Tuple[str, ...]:
    """The APIs that KCOMPAT_TEST_APIS demands and that are not found here."""
    names = required()
    if not names:
        return ()
    import kcompat

    return tuple(name for name in names if name not in kcompat.detect().apis)


def _apis() -> Tuple[str, ...]:
    names = required()
    if names is not None:
        return names
    import kcompat

    found = kcompat.detect().apis
    return tuple(found)


def with_hooks() -> List[str]:
    """Those of APIS on which classes with hooks of other people run."""
    import kcompat

    found = [api for api in __getattr__("APIS") if api != "get_updates"]
    on_tensorflow = kcompat.detect().keras_backend in (None, "tensorflow")
    return [api for api in found if api != "keras_3" or on_tensorflow]


_computed: Dict[str, Tuple[str, ...]] = {}


def __getattr__(name: str) -> Any:
    if name != "APIS":
        raise AttributeError("module {!r} has no attribute {!r}".format(__name__, name))
    if name not in _computed:
        _computed[name] = _apis()
    return _computed[name]
