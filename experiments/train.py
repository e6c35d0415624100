"""The executable that the grids name: one run, or as many as fit with it.

Under SEML (``seml COLLECTION start``, with Slurm or ``--local``) it is a worker, see :mod:`experiments.worker.worker`.
By hand,

    python experiments/train.py with noise.std=0.5 training.epochs=2

it trains that one run, without a database, and prints its result.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1]))  # the code beside this file, whatever else is installed

# ruff: noqa: E402
from experiments.worker.assignment import Assignment
from experiments.worker.supervisor import continue_in_child, stop

ASSIGNMENT = Assignment.from_arguments(sys.argv) if __name__ == "__main__" else None
continue_in_child(ASSIGNMENT)  # before anything is imported that takes time

warnings.filterwarnings("ignore", "pkg_resources is deprecated")  # sacred

from typing import Any

import seml
from sacred.run import Run
from seml.utils.errors import ConfigError as Refusal  # ends SEML in one line

from experiments.database.source_files import import_all_sources
from experiments.database.stored_config import run_config
from experiments.errors import UserError
from experiments.worker.single_run import print_result, train_one
from experiments.worker.worker import work
from walking_noise import ConfigError, RunConfig

if __name__ != "__main__":  # `seml add`
    import_all_sources()

ex = seml.Experiment(
    "walking_noise",
    base_dir=Path(__file__).parents[1],
    add_mongodb_observer=False,  # experiments.worker.records.run_document keeps the documents
    collect_stats=False,
    save_git_info=False,  # SEML notes the commit when runs are added
    logger="default",
)
ex.add_config(RunConfig().to_dict())


@ex.config_hook
def refuse(config: dict[str, Any], command_name: str, logger: Any) -> dict[str, Any]:
    """Refuse bad settings in one line at ``seml add`` and by hand; a worker records them as failed."""
    if ASSIGNMENT is None:
        try:
            run_config(config)
        except ConfigError as error:
            raise Refusal(str(error)) from None
    return {}


@ex.command(unobserved=True)
def main(_run: Run, _config: dict[str, Any]) -> None:
    """Train: SEML's run and what fits with it, or the one run given by hand."""
    if ASSIGNMENT is not None:
        experiment = {**_run.experiment_info, "mainfile": "experiments/train.py"}
        _run.info["exit_code"] = work(ASSIGNMENT, stop, experiment, _run.host_info, "main")
        return
    try:
        _run.info["result"] = train_one(run_config(_config))
    except UserError as error:
        raise SystemExit(str(error)) from None


ex.default_command = "main"

if __name__ == "__main__":
    quietly = [] if "--force" in sys.argv else ["--force"]  # RunConfig refuses what Sacred would warn of
    run = ex.run_commandline([*sys.argv, *quietly])
    if run and "result" in run.info:  # by hand; after what Sacred has to say
        print_result(run.info["result"])
    sys.exit(run.info.get("exit_code", 0) if run else 0)
