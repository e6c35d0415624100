"""Training of a single run without a database, with its progress on the terminal."""

from __future__ import annotations

import json
import sys
from typing import Any

from experiments.errors import UserError
from experiments.terminal.progress_line import ProgressLine, training_progress
from experiments.worker.worker_options import WorkerOptions
from walking_noise import Failure, Progress, RunConfig
from walking_noise.runtime.train_runs import train_each


def train_one(config: RunConfig) -> dict[str, Any]:
    """Train one run, with progress on standard error; return its result as plain values."""
    options, line = WorkerOptions.from_environment(), ProgressLine(seconds=5.0)

    def show(progress: Progress) -> None:
        if 0 < progress.epochs_done < progress.epochs_total:  # the end is reported by print_result
            line.show(training_progress(progress))

    ((_, outcome),) = train_each([config], device=options.device, networks=options.networks, progress=show)
    line.end()
    if isinstance(outcome, Failure):
        raise UserError(f"the run failed: {outcome.error}")
    return outcome.to_document()


def print_result(result: dict[str, Any]) -> None:
    """Print a result as JSON on standard output, and its accuracy in one line on standard error."""
    print(json.dumps(result, indent=2), flush=True)
    print(f"accuracy {result['accuracy']:.3f} ({result['outcome']})", file=sys.stderr)
