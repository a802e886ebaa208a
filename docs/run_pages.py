"""A pytest plugin: the Python in these pages and in the README runs as tests.

    python -m pytest -p docs.run_pages docs README.md       # tox run -m pages

A page's blocks run in order, in one namespace. An HTML comment says what a reader need not see:
`<!--- skip: next if(...) -->` for what another release is needed for, `<!--- invisible-code-block: python`
for what a block takes as given. Where pages have no such comment, they run on every release.
"""

import os
import warnings

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Pages about other people's classes, whose blocks are what to leave behind, and notes that are no tutorial.
NOT_RUN = ["catalogue.md", "decisions.md", "stability.md", "traps.md"]


def _namespace(namespace):
    """What every page may use in its conditions: what is installed here."""
    import numpy as np

    import kcompat

    np.random.seed(0)
    found = kcompat.detect()
    namespace.update(APIS=found.apis, NO_TENSORFLOW=found.tensorflow is None)
    if found.tensorflow is not None:
        import tensorflow as tf

        tf.compat.v1.reset_default_graph()
        namespace["GRAPH"] = not tf.executing_eagerly()
    warnings.simplefilter("ignore", DeprecationWarning)


_arguments = {
    "parsers": [PythonCodeBlockParser(), SkipParser()],
    "setup": _namespace,
    "fixtures": ["in_an_empty_folder"],
}
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
pytest_collect_file = (
    Sybil(path=os.path.join(ROOT, "docs"), patterns=["*.md"], excludes=NOT_RUN, **_arguments)
    + Sybil(path=ROOT, filenames=["README.md"], **_arguments)
).pytest()


@pytest.fixture(scope="module")
def in_an_empty_folder(tmp_path_factory):
    """Pages write files."""
    before = os.getcwd()
    os.chdir(str(tmp_path_factory.mktemp("page")))
    yield
    os.chdir(before)
