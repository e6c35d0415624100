"""Submission of a Slurm array by SEML, with fewer tasks than runs.

SEML writes the job script and the documents, as for ``seml start``: all runs of the array are PENDING and name it, so
that ``seml status``, ``cancel`` and ``reset`` work as usual, and every task may start with any of them. SEML would
submit a task for each run.
"""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Collection, Iterable, Iterator

from seml.commands.start import get_and_make_output_dir_path, get_exp_name, set_slurm_job_name, start_sbatch_job

from experiments.database.connection import Document, Runs
from experiments.database.run_status import STAGED
from experiments.errors import UserError
from experiments.submit.excluded_nodes import with_excluded, without_excluded
from experiments.submit.task_arrays import TaskArray

SUBMISSION_SECONDS = 300.0
"""The longest time for the submission of an array, with the update of its documents."""
SUBMITTED_FIELDS = ("batch_id", "seml", "slurm")


def submit(runs: Runs, array: TaskArray, *, output_to_file: bool = True, excluded: Collection[str] = ()) -> int:
    """Submit an array of the runs that are still STAGED, once for each Slurm configuration of their batch.

    Its tasks run on no node of ``excluded``, which the documents do not store: a later start may exclude others.
    Return the number of runs that have become PENDING. Raise :class:`UserError` if Slurm or SEML rejects the array.
    """
    staged = {"_id": {"$in": list(array.ids)}, "status": STAGED}
    ids = [document["_id"] for document in runs.find(staged, {"_id": 1})]  # another process may have started some
    run = runs.find_one({"_id": ids[0]}, SUBMITTED_FIELDS) if ids else None
    if run is None:
        return 0
    name = get_exp_name(run, runs.name)
    submitted = _Array([run, *({"_id": number} for number in ids[1:])], min(array.tasks, len(ids)))
    messages = _Messages()
    logging.root.addHandler(messages)
    try:
        folder = get_and_make_output_dir_path(run)
        for index, options in enumerate(run["slurm"]):
            sbatch = options["sbatch_options"]
            set_slurm_job_name(sbatch, name, run, runs.name)
            submitted_options = with_excluded(sbatch, excluded)
            with _time_limit():
                number = start_sbatch_job(
                    runs,
                    submitted,
                    index,
                    submitted_options,
                    name=name,
                    output_path=folder,
                    output_to_file=output_to_file,
                    max_simultaneous_jobs=options.get("max_simultaneous_jobs"),
                )
            if excluded:
                of_array = {"_id": {"$gte": min(ids), "$lte": max(ids)}, f"slurm.{index}.array_id": number}
                stored = without_excluded(submitted_options, sbatch)
                runs.update_many(of_array, {"$set": {f"slurm.{index}.sbatch_options": stored}})
    except _TooLong:
        raise UserError(
            f"an array was not submitted and recorded within {SUBMISSION_SECONDS:g} seconds; `squeue --me` shows "
            "whether Slurm has accepted it"
        ) from None
    except SystemExit as rejection:  # a message of SEML, or its exit code after it has logged that of sbatch
        raise UserError(
            "\n".join(
                [*messages.texts, *filter(None, ["" if isinstance(rejection.code, int) else str(rejection)])]
            ).strip()
        ) from None
    finally:
        logging.root.removeHandler(messages)
    return len(ids)


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    """Raise :class:`_TooLong` if the block takes longer than :data:`SUBMISSION_SECONDS`.

    A signal interrupts it, because SEML waits for sbatch without a limit. If Slurm accepts the array nevertheless, its
    tasks take runs of a later start, or end.
    """

    def interrupt(*_: object) -> None:
        raise _TooLong

    previous = signal.signal(signal.SIGALRM, interrupt)
    timer = signal.setitimer(signal.ITIMER_REAL, SUBMISSION_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, previous)


class _TooLong(Exception):
    """The time limit of a submission. It is no OSError, which pymongo would take for one of the network."""


class _Array(list[Document]):
    """The runs of an array. Its length is the number of tasks, which is what SEML takes it for."""

    def __init__(self, runs: Iterable[Document], tasks: int) -> None:
        super().__init__(runs)
        self.tasks = tasks

    def __len__(self) -> int:
        return self.tasks


class _Messages(logging.Handler):
    """Log messages of SEML."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
