"""``walking-noise start``: all runs that wait, in arrays that Slurm takes."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction

from experiments.cli.arguments import PassedOption, dictionary, positive
from experiments.errors import UserError


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``start``."""
    text = (
        "start what is STAGED, and PENDING runs whose Slurm array has ended: `seml COLLECTION start`, in as many "
        "arrays as Slurm's MaxArraySize asks for"
    )
    start = commands.add_parser("start", help=text, description=text, allow_abbrev=False)
    start.add_argument("collection", metavar="COLLECTION")
    of_seml = start.add_argument_group("options of seml", "as `seml COLLECTION start --help` says")
    of_seml.add_argument("-id", "--sacred-id", metavar="ID", type=int)
    of_seml.add_argument("-b", "--batch-id", metavar="BATCH", type=int)
    of_seml.add_argument("-fd", "--filter-dict", metavar="DICT", type=dictionary, default={})
    of_seml.add_argument("-n", "--num-experiments", metavar="N", type=positive)
    of_seml.add_argument("-nf", "--no-file-output", action=PassedOption, nargs=0)
    of_seml.add_argument("-l", "--local", action="store_true", help="train on this machine, without Slurm")
    for flags in (("-nw", "--no-worker"), ("-ss", "--steal-slurm"), ("-o", "--output-to-console")):
        of_seml.add_argument(*flags, action=PassedOption, nargs=0)
    of_seml.add_argument("-pm", "--post-mortem", action=PassedOption, nargs=0)
    of_seml.add_argument("-wg", "--worker-gpus", metavar="IDS", action=PassedOption)
    of_seml.add_argument("-wc", "--worker-cpus", metavar="N", action=PassedOption)
    of_seml.add_argument("-we", "--worker-env", metavar="DICT", action=PassedOption)
    start.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.database.run_collections import open_database
    from experiments.submit.start_runs import start_here, start_in_slurm
    from experiments.submit.startable_runs import Startable

    chosen = dict(options.filter_dict)
    if "status" in chosen:
        raise UserError("--filter-dict: which runs wait to be started is not to be chosen by their status")
    if options.batch_id is not None:
        chosen["batch_id"] = options.batch_id
    if options.sacred_id is not None:
        chosen["_id"] = options.sacred_id
    with open_database([options.collection]) as database:
        start = start_here if options.local else start_in_slurm
        start(Startable(database[options.collection], chosen), options.num_experiments, options.passed_on)
    return 0
