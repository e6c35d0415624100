"""A run by hand: without a database, with its progress on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.errors import UserError
from experiments.options import WorkerOptions
from experiments.progress import ProgressLine, training_progress
from walking_noise import Failure, Progress, RunConfig, train_each


def train_one(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train one run with progress on standard error; its result as plain values.

    Raises
    ------
    UserError
        The run failed; the text says why.
    """
    options, line = WorkerOptions.from_environment(), ProgressLine(seconds=5.0)

    def show(progress: Progress) -> None:
        line.show(training_progress(progress))

    configs = [RunConfig.from_dict(settings)]
    ((_, outcome),) = train_each(configs, device=options.device, networks=options.networks, progress=show)
    line.end()
    if isinstance(outcome, Failure):
        raise UserError(f"the run failed: {outcome.error}")
    return outcome.to_document()
