"""The example that reads the same everywhere runs everywhere: on every API that a Keras here trains with."""

import os
import subprocess
import sys

import _package
import pytest
from _apis import APIS
from _arrays import backend

EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples")


def _trained_by_keras(api):
    """Whether a Keras here trains with this API's optimizers, without a wrapper of its own."""
    if api == "tf1":
        return False
    if backend(api) != "tensorflow" or api == "get_updates":
        return True
    import tensorflow as tf

    return tf.executing_eagerly() or api == "optimizer_v2"


@pytest.mark.wide
@pytest.mark.parametrize("api", [api for api in APIS if _trained_by_keras(api)])
def test_training_reads_the_same_everywhere(api):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", os.path.join(EXAMPLES, "training.py"), api],
        env=dict(os.environ, PYTHONPATH=_package.PATH),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert done.stdout.splitlines()[-1] == "averages are in place after 32 steps"
    assert "a copy went on exactly" in done.stdout
