"""Compact form of a run's result for its document."""

from __future__ import annotations

from typing import Any

import numpy as np

COMPACT_ABOVE_EPOCHS = 50
"""The training loss of more epochs than this is stored as an array. A shorter one would save little."""


def compact(result: dict[str, Any]) -> dict[str, Any]:
    """Store a long training loss in Sacred's format of NumPy arrays.

    ``seml.get_results`` and ``sacred.serializer.restore`` read it back as a NumPy array of float32. No precision is
    lost, because training computes the losses of epochs in float32. None, for a loss that was not finite, becomes NaN.
    MongoDB needs 12.7 bytes for each number of a list, mostly for its index, and 5.5 bytes in this format.
    """
    from sacred.serializer import flatten  # imported here, so that COMPACT_ABOVE_EPOCHS is available without Sacred

    loss = result["training_loss"]
    if len(loss) <= COMPACT_ABOVE_EPOCHS:
        return result
    stored: dict[str, Any] = flatten(np.array(loss, np.float32))  # type: ignore[no-untyped-call]
    return {**result, "training_loss": stored}
