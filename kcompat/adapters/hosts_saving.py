"""Where a host drops an optimizer's state in saving or loading, and has no hook that could help.

What is called there is `get_config` and `from_config`, which know nothing of the file. They ask here which
function of the host called them. The functions are those of finished releases: TensorFlow 1.15 to 2.15,
tf_keras, Keras 3.0 to 3.15. Where none is found, the optimizer does what the host would.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional

from .callers import caller


def saving_hdf5() -> bool:
    """Whether Keras is writing a model into an HDF5 file."""
    return caller("hdf5_format", "save_model_to_hdf5") is not None


def saving_zip() -> bool:
    """Whether Keras 2.12 to 2.15 is writing a model into a `.keras` file."""
    return caller("saving.saving_lib", "save_model") is not None


def saving_saved_model() -> bool:
    """Whether Keras is writing a model as a SavedModel."""
    return caller("saved_model.save", "save") is not None


def loading_saved_model() -> Optional[Mapping[str, Any]]:
    """The `model` and the `path`, if Keras is loading a model from a SavedModel."""
    found = caller("saved_model.load", "load")
    return found if found and "model" in found and "path" in found else None
