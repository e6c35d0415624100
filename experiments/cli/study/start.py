"""``walking-noise start``: starts all waiting runs, in arrays of a size that Slurm accepts."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction

from experiments.cli.arguments import PassedOption, dictionary, positive
from experiments.errors import UserError


def add_parser(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command ``start``."""
    text = "Start all STAGED runs, and runs that no worker holds and whose Slurm array has ended."
    start = commands.add_parser(
        "start",
        help=text,
        description=f"{text} Calls `seml COLLECTION start` once per array, and no array exceeds Slurm's MaxArraySize.",
        allow_abbrev=False,
    )
    start.add_argument("collection", metavar="COLLECTION", help="name of the SEML collection")
    seml_options = start.add_argument_group("SEML options", "see `seml COLLECTION start --help`")
    seml_options.add_argument("-id", "--sacred-id", metavar="ID", type=int)
    seml_options.add_argument("-b", "--batch-id", metavar="BATCH", type=int)
    seml_options.add_argument("-fd", "--filter-dict", metavar="DICT", type=dictionary, default={})
    seml_options.add_argument("-n", "--num-experiments", metavar="N", type=positive)
    seml_options.add_argument("-nf", "--no-file-output", action=PassedOption, nargs=0)
    seml_options.add_argument("-l", "--local", action="store_true", help="train on this machine, without Slurm")
    for flags in (("-nw", "--no-worker"), ("-ss", "--steal-slurm"), ("-o", "--output-to-console")):
        seml_options.add_argument(*flags, action=PassedOption, nargs=0)
    seml_options.add_argument("-pm", "--post-mortem", action=PassedOption, nargs=0)
    seml_options.add_argument("-wg", "--worker-gpus", metavar="IDS", action=PassedOption)
    seml_options.add_argument("-wc", "--worker-cpus", metavar="N", action=PassedOption)
    seml_options.add_argument("-we", "--worker-env", metavar="DICT", action=PassedOption)
    start.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    from experiments.database.run_collections import open_database
    from experiments.submit.start_runs import start_here, start_in_slurm
    from experiments.submit.startable_runs import Startable

    selected = dict(options.filter_dict)
    if "status" in selected:
        raise UserError(
            "--filter-dict: the key 'status' is not allowed, because start selects runs by status itself; remove it"
        )
    if options.batch_id is not None:
        selected["batch_id"] = options.batch_id
    if options.sacred_id is not None:
        selected["_id"] = options.sacred_id
    with open_database([options.collection]) as database:
        start = start_here if options.local else start_in_slurm
        start(Startable(database[options.collection], selected), options.num_experiments, options.passed_on)
    return 0
