"""``walking-noise start``: starts all waiting runs, in Slurm by a task for each lease of a worker."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from experiments.cli.parameters import Collection, dictionary, passed, passed_on, read
from experiments.errors import UserError


def start(
    context: typer.Context,
    collection: Collection,
    sacred_id: Annotated[int | None, read("-id", "--sacred-id", metavar="ID")] = None,
    batch_id: Annotated[int | None, read("-b", "--batch-id", metavar="BATCH")] = None,
    filter_dict: Annotated[Any, read("-fd", "--filter-dict", metavar="DICT", parser=dictionary)] = None,
    num_experiments: Annotated[int | None, read("-n", "--num-experiments", metavar="N", min=1)] = None,
    local: Annotated[bool, read("-l", "--local", help="train on this machine, without Slurm")] = False,
    no_file_output: Annotated[bool, passed("-nf", "--no-file-output")] = False,
    no_worker: Annotated[bool, passed("-nw", "--no-worker")] = False,
    steal_slurm: Annotated[bool, passed("-ss", "--steal-slurm")] = False,
    output_to_console: Annotated[bool, passed("-o", "--output-to-console")] = False,
    post_mortem: Annotated[bool, passed("-pm", "--post-mortem")] = False,
    worker_gpus: Annotated[str | None, passed("-wg", "--worker-gpus", metavar="IDS")] = None,
    worker_cpus: Annotated[str | None, passed("-wc", "--worker-cpus", metavar="N")] = None,
    worker_env: Annotated[str | None, passed("-we", "--worker-env", metavar="DICT")] = None,
) -> None:
    """Start all STAGED runs, and runs that no worker holds and no Slurm task will train.

    Submits a Slurm task for each lease of a worker, in arrays of at most
    MaxArraySize runs. `seml COLLECTION start --help` explains the SEML options.

    Example: walking-noise start table1_mnist --local
    """
    import os

    from experiments.database.run_collections import open_database
    from experiments.submit.start_runs import start_here, start_in_slurm
    from experiments.submit.startable_runs import Startable
    from experiments.worker.worker_options import check_variables

    selected = dict(filter_dict or {})
    if "status" in selected:
        raise UserError(
            "--filter-dict: the key 'status' is not allowed, because start selects runs by status itself; remove it"
        )
    if batch_id is not None:
        selected["batch_id"] = batch_id
    if sacred_id is not None:
        selected["_id"] = sacred_id
    if worker_env is not None:
        kept = os.environ.get("WALKING_NOISE_KEEP", "").split()
        check_variables({str(name): str(value) for name, value in dictionary(worker_env).items()}, kept)
    with open_database([collection]) as database:
        start = start_here if local else start_in_slurm
        start(Startable(database[collection], selected), num_experiments, passed_on(context))
