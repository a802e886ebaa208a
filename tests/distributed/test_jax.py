"""Keras 3's distributions on several JAX devices."""

import os

import pytest
from _processes import check, run

BACKEND = os.environ.get("KERAS_BACKEND")
pytestmark = pytest.mark.skipif(BACKEND != "jax", reason="Keras runs on another backend")
FEW = ("adam", "global_clipnorm", "accumulation", "ema", "lookahead", "row_and_column", "shared")


@pytest.mark.parametrize("how", ["fit", "loop", "eager"])
@pytest.mark.parametrize("distribution", ["data", "model"])
def test_distribution(distribution, how):
    flags = "--xla_force_host_platform_device_count=4"
    check(run("jax_devices.py", distribution, how, *FEW, XLA_FLAGS=flags))
