"""``walking-noise binarize``: looking inside networks that runs have kept."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace, _SubParsersAction
from pathlib import Path

from experiments.errors import UserError


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``binarize``."""
    text = "find the clusters of values in kept networks, and whether they work quantised to them (figure 4)"
    binarize = commands.add_parser(
        "binarize",
        help=text,
        description=f"{text}. For completed runs with training.keep_network: true, as a rule trained under very strong "
        "multiplicative noise. Each is compared with the network trained alike without noise, and the findings are "
        "stored in its document, from which the report draws.",
    )
    ids = "numbers of runs in the collection; default: all with noise that kept a network and were not looked into"
    binarize.add_argument("collection", metavar="COLLECTION", help="of SEML")
    binarize.add_argument("ids", metavar="ID", type=_positive, nargs="*", help=ids)
    folder = "folder of the networks; default: $WALKING_NOISE_NETWORKS"
    binarize.add_argument("--networks", metavar="DIR", type=Path, help=folder)
    samples = "validation samples whose values are looked at; default: 2500. Accuracies are those of all samples"
    binarize.add_argument("--samples", metavar="N", type=_positive, default=2500, help=samples)
    binarize.set_defaults(run=_run)


def _positive(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 2**63):
        raise ArgumentTypeError(f"{text!r} is refused; allowed is a whole number >= 1")
    return int(text)


def _run(options: Namespace) -> int:
    from experiments.binarize_runs import binarize, in_words, kept_runs, not_looked_into, store
    from experiments.database.connection import collection_runs
    from experiments.terminal.progress_line import ProgressLine
    from experiments.worker.worker_options import WorkerOptions

    worker, line = WorkerOptions.from_environment(), ProgressLine()
    folder = options.networks or worker.networks
    if folder is None:
        raise UserError("no folder of networks is given; use --networks DIR or set WALKING_NOISE_NETWORKS")
    runs = collection_runs(options.collection)
    ids = list(dict.fromkeys(options.ids)) or not_looked_into(runs)
    for run in kept_runs(runs, ids, Path(folder)):
        found = binarize(run, worker.device, options.samples, line.show)
        store(runs, run, found)
        line.end()
        print(f"run {run.id}, {run.noise_in_words}: {in_words(found)}", flush=True)
    return 0
