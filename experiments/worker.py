"""A worker: trains the run that SEML started together with pending ones that fit, each with its own document."""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from pymongo.errors import PyMongoError
from seml.utils.multi_process import is_main_process

from experiments.assignment import Assignment
from experiments.claims import Claims
from experiments.companions import Candidate, choose, companions, pending
from experiments.database import Document, connect
from experiments.errors import UserError
from experiments.logs import RunLogs
from experiments.options import WorkerOptions
from experiments.progress import ProgressLine, clock, training_progress
from experiments.records import Records
from experiments.sources import commit_of
from experiments.supervisor import LEADER_FAILED, Stop
from walking_noise import Failure, Progress, Result, Stopped, default_pack_size, train_each

LEADER_FIELDS = (
    "batch_id", "config", "execution", "git", "slurm", "seml.output_file", "seml.source_files", "seml.working_dir",
)  # fmt: skip
TELL_SECONDS, TELL_SHARE = 60.0, 0.05
"""Two lines of progress in the runs' own logs are at least so much time and such a share of the training apart."""

log = logging.getLogger(__name__)


def work(
    assignment: Assignment, stop: Stop, experiment: Mapping[str, Any], host: Mapping[str, Any], command: str
) -> int:
    """Train the run of ``assignment`` and its companions; return the exit code of the process.

    0: the run has a result; 3: it failed; 75: the database is gone; 128 + n: given back after signal n.
    ``experiment``, ``host`` and ``command`` are what Sacred says of itself in every document.
    """
    if not is_main_process():  # of several that one Slurm task may start
        return 0
    try:
        runs = connect()[assignment.collection]
        leader = runs.find_one({"_id": assignment.leader}, LEADER_FIELDS)
        if leader is None:
            log.warning("run %d was deleted; nothing to do", assignment.leader)
            return 0
        claims = Claims(runs, assignment)
        options, chosen = _claim(claims, leader)
        worker = Worker(claims, leader, chosen, options, stop)
        worker.records.start(experiment, host, command)
        return worker.run()
    except (PyMongoError, UserError) as error:
        log.error("the database is gone: %s", error)
        return os.EX_TEMPFAIL


def _claim(claims: Claims, leader: Document) -> tuple[WorkerOptions, list[Candidate]]:
    """Claim the leader and what fits; what cannot be trained is claimed too, to be recorded as failed."""
    options, chosen = WorkerOptions(), [Candidate.of(leader)]
    try:
        options = WorkerOptions.from_environment()
        _refuse_several_workers(leader)
    except UserError as error:
        chosen = [Candidate(leader["_id"], None, str(error))]
    config = chosen[0].config
    if config is not None:
        matching = companions(leader, config)
        size = options.pack_size or default_pack_size(config, options.device)
        while True:
            wanted = choose(itertools.chain(chosen, pending(claims.runs, matching)), size)
            claimed = claims.take(leader, matching, [candidate.id for candidate in wanted])
            chosen = [candidate for candidate in wanted if candidate.id in claimed]
            if len(chosen) == len(wanted):  # else others were faster: choose again from what they left
                return options, chosen
    return options, [candidate for candidate in chosen if candidate.id in claims.take(leader, {}, [])]


def _refuse_several_workers(leader: Document) -> None:
    """Refuse ``experiments_per_job`` above 1, which would put several packs on one device."""
    for options in leader["slurm"]:
        if options.get("array_id") is not None and options.get("experiments_per_job", 1) > 1:
            raise UserError("slurm.experiments_per_job: above 1 is refused; a worker packs runs itself, leave it out")


class Worker:
    """Trains claimed runs and keeps their documents and logs."""

    def __init__(
        self, claims: Claims, leader: Document, chosen: list[Candidate], options: WorkerOptions, stop: Stop
    ) -> None:
        self.claims, self.leader, self.options, self.stop = claims, leader["_id"], options, stop
        self.chosen = chosen
        self.logs = RunLogs(leader)
        self.records = Records(claims, self.logs, {candidate.id for candidate in chosen}, commit_of(leader))
        self.logs.open(self.records.unfinished)
        self._in_slurm = "array_id" in leader.get("execution", {})
        self._line = ProgressLine()
        self._told_at, self._told = time.monotonic(), 0.0
        self._exit_code = 0

    def run(self) -> int:
        """Train, record, and give back what is not finished when asked to stop; return the exit code."""
        started = time.monotonic()
        for candidate in self.chosen:
            if candidate.config is None:
                self._finish(candidate.id, Failure(candidate.error))
        trained = [(candidate.id, candidate.config) for candidate in self.chosen if candidate.config is not None]
        log.info("run %d and %d others train together", self.leader, len(self.chosen) - 1)
        try:
            for index, outcome in train_each(
                [config for _, config in trained],
                device=self.options.device,
                networks=self.options.networks,
                progress=self._show,
                stop=self._must_stop,
            ):
                self._finish(trained[index][0], outcome)
        except Stopped:
            self._give_back()
        finally:
            self._line.end()
            self.records.flush()
        log.info(
            "%d of %d runs finished in %s, of which the records took %.1f s",
            len(self.chosen) - len(self.records.unfinished) - len(self.records.lost),
            len(self.chosen),
            clock(time.monotonic() - started),
            self.records.seconds,
        )
        return self._exit_code

    def _finish(self, run: int, outcome: Result | Failure) -> None:
        self.records.finish(run, outcome)
        failed = isinstance(outcome, Failure)
        text = _in_words(outcome)
        self.logs.write([run], text)
        if run == self.leader:
            self._line.end()
            log.log(logging.ERROR if failed else logging.INFO, "run %d %s", run, text)
            self._exit_code = LEADER_FAILED if failed else 0

    def _show(self, progress: Progress) -> None:
        self.records.trained = share = progress.epochs_done / progress.epochs_total
        self._line.show(training_progress(progress))
        if time.monotonic() > self._told_at + TELL_SECONDS and share >= self._told + TELL_SHARE:
            self._told_at, self._told = time.monotonic(), share
            self.logs.write(self.records.unfinished, training_progress(progress))

    def _must_stop(self) -> bool:
        return self.stop.requested or not self.records.poll()

    def _give_back(self) -> None:
        self.records.flush()
        unfinished = sorted(self.records.unfinished)
        count = self.claims.give_back(unfinished)
        if not self.stop.requested:
            log.warning("nothing left to train: all %d runs were cancelled, reset or deleted", len(unfinished))
            return
        self._exit_code = self.stop.exit_code
        self.logs.write(unfinished, f"given back after {self.stop.reason}: the run is PENDING again")
        log.warning(
            "%s: %d unfinished runs are PENDING again. The next task of their array takes them; if there is none, run "
            "`seml %s status`, `seml %s reset -s %s` and `seml %s start`",
            self.stop.reason,
            count,
            *(self.claims.runs.name,) * 2,
            "KILLED" if self._in_slurm else "PENDING",
            self.claims.runs.name,
        )


def _in_words(outcome: Result | Failure) -> str:
    if isinstance(outcome, Failure):
        return f"failed: {outcome.error}\n{outcome.trace}".rstrip()
    return f"{outcome.outcome}: accuracy {outcome.accuracy:.4f}"
