"""A worker: trains the run that SEML started together with pending ones that fit, each with its own document."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Mapping
from typing import Any

import pymongo
import torch
from pymongo.errors import PyMongoError
from seml.utils.multi_process import is_main_process

from experiments.database.connection import Document, connect
from experiments.database.source_files import commit_of
from experiments.errors import UserError
from experiments.terminal.progress_line import ProgressLine, clock, training_progress
from experiments.terminal.text_table import runs_in_words
from experiments.worker.assignment import Assignment
from experiments.worker.companion_runs import Candidate, lease_with_companions
from experiments.worker.delivery.delivery import GONE, LAST_CALL_SECONDS, Delivery
from experiments.worker.delivery.state_folder import StateFolder
from experiments.worker.exit_codes import DATABASE_GONE, DEVICE_GONE, LEADER_FAILED
from experiments.worker.leases import Leases
from experiments.worker.records import history
from experiments.worker.records.history import FIELDS, Attempt, record_attempts
from experiments.worker.records.run_document import end_fields, start_fields
from experiments.worker.records.run_logs import RunLogs
from experiments.worker.recovery.at_startup import recover_at_startup
from experiments.worker.supervisor import Stop
from experiments.worker.time_limit import TimeLimit
from experiments.worker.worker_options import WorkerOptions
from walking_noise import CheckpointStore, Failure, Progress, Result, Stopped, __version__, train_each
from walking_noise.checkpoints.provenance import device_name
from walking_noise.runtime.sizing.capacity import default_device

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

    0: the run has a result; 3: it failed; 69: the GPU failed; 75: the database is gone; 128 + n: given back after
    signal n.
    ``experiment``, ``host`` and ``command`` are what Sacred says of itself in every document.
    """
    if not is_main_process():  # of several that one Slurm task may start
        return 0
    try:
        options, fault = WorkerOptions.from_environment(), ""
    except UserError as error:
        options, fault = WorkerOptions(), str(error)
    try:
        runs = connect()[assignment.collection]
        leader = runs.find_one({"_id": assignment.leader}, LEADER_FIELDS)
        if leader is None or not _started_here(leader):
            log.warning("run %d was deleted or taken over; nothing to do", assignment.leader)
            return 0
        state = StateFolder.for_run(options, leader)
        recover_at_startup(runs, leader, assignment.token, state, options.lease_seconds)
        leases = Leases(runs, assignment, options.lease_seconds)
        chosen = lease_with_companions(leases, leader, options.pack_size, options.device, fault)
        if not chosen:
            log.warning("run %d was cancelled or taken over; nothing to do", assignment.leader)
            return 0
        worker = Worker(leases, leader, chosen, options, state, stop)
        worker.begin(experiment, host, command)
    except (PyMongoError, UserError) as error:
        log.error("the database is gone: %s", error)
        return DATABASE_GONE
    return worker.run()


def _started_here(leader: Document, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the leader is still that of this Slurm task, if it was started in one."""
    names = {"array_id": "SLURM_ARRAY_JOB_ID", "task_id": "SLURM_ARRAY_TASK_ID"}
    execution = leader.get("execution", {})
    return all(
        str(execution[name]) == environment[variable]
        for name, variable in names.items()
        if name in execution and variable in environment
    )


class Worker:
    """Trains claimed runs and keeps their documents and logs."""

    def __init__(
        self,
        leases: Leases,
        leader: Document,
        chosen: list[Candidate],
        options: WorkerOptions,
        state: StateFolder | None,
        stop: Stop,
    ) -> None:
        self.leases, self.leader, self.options, self.state, self.stop = leases, leader, options, state, stop
        self.chosen, self.configs = chosen, {one.id: one.config for one in chosen if one.config is not None}
        self.logs = RunLogs(leader)
        spool = state.spool if state else None
        ids = [candidate.id for candidate in chosen]
        self.delivery = Delivery(leases, self.logs, ids, spool, options.patience_seconds, self._recorded)
        self.logs.open(ids)
        self._commit = commit_of(leader)
        self._time_limit = TimeLimit(leader)
        self._line = ProgressLine()
        self._told_at, self._told = time.monotonic(), 0.0
        self._broken = ""
        self._exit_code = 0

    def begin(self, experiment: Mapping[str, Any], host: Mapping[str, Any], command: str) -> None:
        """Say of all runs that they have begun."""
        device = self.options.device or default_device()
        self.delivery.begin(
            start_fields(experiment, host, command),
            self.leader,
            host=socket.gethostname(),
            device=device_name(device),
            gpu=device.type == "cuda",
            version=__version__,
        )

    def run(self) -> int:
        """Train, record, and give back what is not finished when asked to stop; return the exit code."""
        started = time.monotonic()
        log.info("run %d and %d others train together", self.leader["_id"], len(self.chosen) - 1)
        with self.delivery:
            for candidate in self.chosen:
                if candidate.config is None:
                    self._finish(candidate.id, Failure(candidate.error))
            try:
                self._train()
                self.delivery.drain(lambda: self.delivery.away and self.stop.requested)
            except Stopped:
                self.delivery.drain(lambda: self.delivery.away)
            except torch.AcceleratorError as error:
                self._broken = f"the GPU failed: {str(error).splitlines()[0]}"
                log.error(self._broken)
                self.delivery.drain(lambda: self.delivery.away)
            finally:
                self._line.end()
        if self.delivery.unfinished or self.delivery.waiting:
            self._leave()
        else:
            lost = self.delivery.lost
            self.delivery.end(f"{runs_in_words(len(lost))} {GONE}" if lost else history.DONE)
        log.info(
            "%d of %d runs finished in %s, of which the records took %.1f s",
            len(self.chosen) - len(self.delivery.unfinished) - len(self.delivery.lost),
            len(self.chosen),
            clock(time.monotonic() - started),
            self.delivery.seconds,
        )
        return self._exit_code

    def _train(self) -> None:
        ids = list(self.configs)
        for index, outcome in train_each(
            list(self.configs.values()),
            device=self.options.device,
            networks=self.options.networks,
            checkpoints=self.state.checkpoints if self.state else None,
            checkpoint_seconds=self.options.checkpoint_seconds,
            checkpoint_quota=self.options.state_quota,
            progress=self._show,
            stop=self._must_stop,
        ):
            self._finish(ids[index], outcome)

    def _finish(self, run: int, outcome: Result | Failure) -> None:
        self.delivery.finish(run, end_fields(outcome, self._commit))
        failed = isinstance(outcome, Failure)
        text = _in_words(outcome)
        self.logs.write([run], text)
        if run == self.leader["_id"]:
            self._line.end()
            log.log(logging.ERROR if failed else logging.INFO, "run %d %s", run, text)
            self._exit_code = LEADER_FAILED if failed else 0

    def _recorded(self, runs: set[int]) -> None:
        """Let go of the checkpoints that no unfinished run needs."""
        if self.state is not None:
            needed = {self.configs[run].network_key for run in self.delivery.unrecorded & self.configs.keys()}
            ended = (self.configs[run] for run in runs & self.configs.keys())
            CheckpointStore(self.state.checkpoints).discard([one for one in ended if one.network_key not in needed])

    def _show(self, progress: Progress) -> None:
        total = progress.epochs_total
        shares = (progress.epochs_resumed, progress.epochs_done, progress.epochs_kept)
        self.delivery.numbers = dict(
            zip(("resumed", "trained", "kept"), (share / total for share in shares), strict=True)
        )
        self._line.show(training_progress(progress))
        trained = progress.epochs_done / total
        if time.monotonic() > self._told_at + TELL_SECONDS and trained >= self._told + TELL_SHARE:
            self._told_at, self._told = time.monotonic(), trained
            self.logs.write(self.delivery.unfinished, training_progress(progress))

    def _must_stop(self) -> bool:
        if self._time_limit.ahead:
            self.stop.note(signal.SIGUSR1)
        return self.stop.requested or not self.delivery.needed

    def _leave(self) -> None:
        """Give back what is not finished, or say what becomes of it."""
        name = self.leases.runs.name
        if self.delivery.gave_up or self.delivery.waiting:
            self._exit_code = self.stop.exit_code or DATABASE_GONE
            log.error(
                "the database is away: %d results are kept in %s. When it is back, `walking-noise deliver %s` brings "
                "them there, and `walking-noise rescue %s` makes the other %d runs PENDING again",
                self.delivery.kept_on_disk,
                self.state.spool.folder if self.state else "no folder",
                self.state.spool.folder if self.state else "FOLDER",
                name,
                len(self.delivery.unfinished),
            )
            self._time_limit.request_requeue()
            return
        unfinished = sorted(self.delivery.unfinished)
        reason = self._broken or self.stop.reason
        if not reason:
            log.warning("nothing left to train: all %d runs were %s", len(unfinished), GONE)
            self.delivery.end(f"all its runs were {GONE}")
            return
        self._exit_code = DEVICE_GONE if self._broken else self.stop.exit_code
        try:
            with pymongo.timeout(LAST_CALL_SECONDS):
                claimed = list(self.leases.runs.find(self.leases.held(unfinished), FIELDS))
                count = self.leases.release(unfinished)
                attempts = (Attempt(run, history.GIVEN_BACK, reason) for run in unfinished)
                record_attempts(self.leases.runs, attempts, claimed)
        except PyMongoError as error:
            log.error("%d runs stay RUNNING until `walking-noise rescue %s`: %s", len(unfinished), name, error)
            self._time_limit.request_requeue()
            return
        self.delivery.end(reason, count)
        self._time_limit.request_requeue()
        self.logs.write((run["_id"] for run in claimed), f"given back after {reason}: the run is PENDING again")
        log.warning(
            "%s: %d unfinished runs are PENDING again. The next task of their array takes them; where there is none, "
            "`walking-noise start %s` does",
            reason,
            count,
            name,
        )


def _in_words(outcome: Result | Failure) -> str:
    if isinstance(outcome, Failure):
        return f"failed: {outcome.error}\n{outcome.trace}".rstrip()
    return f"{outcome.outcome}: accuracy {outcome.accuracy:.4f}"
