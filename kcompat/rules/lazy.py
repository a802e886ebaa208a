"""Adam that leaves rows without a gradient alone."""

from __future__ import annotations

from .adam import Adam


class LazyAdam(Adam):
    """Adam that, of a sparse gradient, reads, updates and writes the rows present only.

    TensorFlow Addons' LazyAdam. With dense gradients it is `Adam`. A row that is absent keeps its moments
    undecayed; the bias correction is that of the step, whatever a row has seen. Duplicate rows are summed
    first. amsgrad works here, by rows; Addons accepts it and leaves it out for sparse gradients.

    Slots: those of Adam.
    """

    sparse = "rows"
