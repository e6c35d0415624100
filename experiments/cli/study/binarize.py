"""``walking-noise binarize``: probes the networks that runs have kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.parameters import Collection
from experiments.errors import UserError


def binarize(
    collection: Collection,
    ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="ID", min=1, max=2**31 - 1, help="default: noisy runs with a network and no findings"),
    ] = None,
    networks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="folder of the kept networks; default: $WALKING_NOISE_NETWORKS")
    ] = None,
    samples: Annotated[
        int, typer.Option(metavar="N", min=1, help="validation samples over which values are collected")
    ] = 2500,
) -> None:
    """Find the clusters of values in kept networks and their accuracy when quantised to these clusters (figure 4).

    Applies to completed runs with training.keep_network: true, usually trained
    under strong multiplicative noise. The network of each run is compared with
    that of the same run trained without noise. Accuracies are over all
    validation samples. The findings are stored in the document of the run; the
    report reads them from there.

    Example: walking-noise binarize walking_mnist 3 17 --networks networks
    """
    from experiments.binarize_runs import binarize, kept_run, store, summary, unprobed_runs
    from experiments.database.connection import open_runs
    from experiments.terminal.progress_line import ProgressLine
    from experiments.worker.worker_options import WorkerOptions

    worker, line = WorkerOptions.from_environment(), ProgressLine()
    folder = networks or worker.networks
    if folder is None:
        raise UserError("the folder of networks is not given; use --networks DIR or set WALKING_NOISE_NETWORKS")
    with open_runs(collection) as runs:
        ids = list(dict.fromkeys(ids or [])) or unprobed_runs(runs)
        kept = [kept_run(runs, number, Path(folder)) for number in ids]  # all of them, before the first is probed
        for run in kept:
            findings = binarize(run, worker.device, samples, line.show)
            store(runs, run, findings)
            line.end()
            print(f"run {run.id}, {run.noise_text}: {summary(findings)}", flush=True)
