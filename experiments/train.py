"""Executable of the grids: a worker under SEML, a single run when called by hand.

SEML calls it for ``seml COLLECTION start``, with Slurm or with ``--local``. It is then a worker, which trains the run
that SEML assigned to it together with all runs that fit into the same pack; see :mod:`experiments.worker.worker`.
Called by hand,

    python experiments/train.py with noise.std=0.5 training.epochs=2

it trains this one run without a database and prints the result.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1]))  # this checkout comes before an installed copy

# ruff: noqa: E402
from experiments.worker.assignment import Assignment
from experiments.worker.supervisor import continue_in_child, stop

ASSIGNMENT = Assignment.from_arguments(sys.argv) if __name__ == "__main__" else None
continue_in_child(ASSIGNMENT)  # before the slow imports

from walking_noise.process_setup import closed_pipe_ignored, set_up

if __name__ == "__main__":
    set_up()
warnings.filterwarnings("ignore", "pkg_resources is deprecated")  # from an import of Sacred

from typing import Any

import seml
from sacred.run import Run
from seml.utils.errors import ConfigError as SemlConfigError  # SEML prints it in one line and exits

from experiments.database.source_files import import_all_sources
from experiments.errors import UserError
from experiments.worker.single_run import print_result, train_one
from experiments.worker.worker import work
from experiments.worker.worker_options import check_variables
from walking_noise import ConfigError, RunConfig

if __name__ != "__main__":  # `seml add`
    import_all_sources()

ex = seml.Experiment(
    "walking_noise",
    base_dir=Path(__file__).parents[1],
    add_mongodb_observer=False,  # experiments.worker.records.run_document writes the documents
    collect_stats=False,
    save_git_info=False,  # SEML stores the commit when runs are added
    logger="default",
)
ex.add_config(RunConfig().to_dict())


@ex.config_hook
def validate(config: dict[str, Any], command_name: str, logger: Any) -> dict[str, Any]:
    """Reject invalid settings and options of workers in one line at ``seml add`` and by hand.

    A worker sets such a run to FAILED instead.
    """
    if ASSIGNMENT is None:
        try:
            RunConfig.from_document(config)
            check_variables()
        except (ConfigError, UserError) as error:
            raise SemlConfigError(str(error)) from None
    return {}


@ex.command(unobserved=True)
def main(_run: Run, _config: dict[str, Any]) -> None:
    """Train the run that SEML assigned and the runs that fit into its pack, or the one run given by hand."""
    if ASSIGNMENT is not None:
        experiment = {**_run.experiment_info, "mainfile": "experiments/train.py"}
        _run.info["exit_code"] = work(ASSIGNMENT, stop, experiment, _run.host_info, "main")
        return
    try:
        _run.info["result"] = train_one(RunConfig.from_document(_config))
    except UserError as error:
        raise SystemExit(str(error)) from None


ex.default_command = "main"

if __name__ == "__main__":
    no_warnings = [] if "--force" in sys.argv else ["--force"]  # RunConfig rejects what Sacred would only warn about
    run = ex.run_commandline([*sys.argv, *no_warnings])
    if run and "result" in run.info:  # by hand; after the messages of Sacred
        with closed_pipe_ignored():
            print_result(run.info["result"])
    sys.exit(run.info.get("exit_code", 0) if run else 0)
