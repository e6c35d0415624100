"""A run's result in fewer bytes, for its document."""

from __future__ import annotations

from typing import Any

import numpy as np

COMPACT_ABOVE_EPOCHS = 50
"""A training loss of more epochs is stored as an array; a shorter one would not become smaller by much."""


def compact(result: dict[str, Any]) -> dict[str, Any]:
    """The result of :meth:`walking_noise.Result.to_document` with a long training loss as Sacred stores NumPy's arrays.

    ``seml.get_results`` makes a NumPy array of float32 of it, `sacred.serializer.restore` does so of any document's. No
    digit is lost: the losses of epochs are computed in float32. None, of a loss that was not finite, becomes NaN.

    MongoDB needs 12.7 bytes for each number in a list, most of it for its place, and 5.5 in such an array.
    """
    from sacred.serializer import flatten  # not before: whoever only wants to know LONG would load all of Sacred

    loss = result["training_loss"]
    if len(loss) <= COMPACT_ABOVE_EPOCHS:
        return result
    stored: dict[str, Any] = flatten(np.array(loss, np.float32))  # type: ignore[no-untyped-call]
    return {**result, "training_loss": stored}
