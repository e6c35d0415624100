"""``walking-noise binarize``: probes the networks that runs have kept."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace, _SubParsersAction
from pathlib import Path

from experiments.errors import UserError


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``binarize``."""
    text = (
        "Find the clusters of values in kept networks and their accuracy when quantised to these clusters (figure 4)."
    )
    binarize = commands.add_parser(
        "binarize",
        help=text,
        description=f"{text} Applies to completed runs with training.keep_network: true, usually trained under strong "
        "multiplicative noise. The network of each run is compared with that of the same run trained without noise. "
        "The findings are stored in the document of the run; the report reads them from there.",
    )
    ids = "ids of runs in the collection; default: all runs with noise that kept a network and have no findings yet"
    binarize.add_argument("collection", metavar="COLLECTION", help="name of the SEML collection")
    binarize.add_argument("ids", metavar="ID", type=_positive, nargs="*", help=ids)
    folder = "folder of the kept networks; default: $WALKING_NOISE_NETWORKS"
    binarize.add_argument("--networks", metavar="DIR", type=Path, help=folder)
    samples = "validation samples over which values are collected; default: 2500. Accuracies are over all samples"
    binarize.add_argument("--samples", metavar="N", type=_positive, default=2500, help=samples)
    binarize.set_defaults(run=_run)


def _positive(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 2**63):
        raise ArgumentTypeError(f"{text!r} is not a whole number between 1 and 2**63 - 1")
    return int(text)


def _run(options: Namespace) -> int:
    from experiments.binarize_runs import binarize, kept_runs, store, summary, unprobed_runs
    from experiments.database.connection import collection_runs
    from experiments.terminal.progress_line import ProgressLine
    from experiments.worker.worker_options import WorkerOptions

    worker, line = WorkerOptions.from_environment(), ProgressLine()
    folder = options.networks or worker.networks
    if folder is None:
        raise UserError("the folder of networks is not given; use --networks DIR or set WALKING_NOISE_NETWORKS")
    runs = collection_runs(options.collection)
    ids = list(dict.fromkeys(options.ids)) or unprobed_runs(runs)
    for run in kept_runs(runs, ids, Path(folder)):
        findings = binarize(run, worker.device, options.samples, line.show)
        store(runs, run, findings)
        line.end()
        print(f"run {run.id}, {run.noise_text}: {summary(findings)}", flush=True)
    return 0
