"""Worker: it trains the run that SEML started, and pending companions; every run has its own document."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pymongo
import torch
from pymongo.errors import PyMongoError
from seml.utils.multi_process import is_main_process

from experiments import slurm
from experiments.database.collection_names import check_name
from experiments.database.connection import Document, connect
from experiments.database.source_files import commit_of
from experiments.errors import UserError
from experiments.terminal.progress_line import ProgressLine, clock, training_progress
from experiments.terminal.text_table import are_in_words, in_words, runs_in_words
from experiments.worker.assignment import Assignment
from experiments.worker.companion_runs import Candidate, lease_with_companions
from experiments.worker.delivery.delivery import NO_LONGER_HELD, Delivery
from experiments.worker.exit_codes import CLAIMS_STOPPED, DATABASE_UNREACHABLE, DEVICE_FAILED, LEADER_FAILED
from experiments.worker.failures.claims import refuse_claim
from experiments.worker.leases import Leases
from experiments.worker.pack_limits import PackLimit
from experiments.worker.records import history
from experiments.worker.records.history import FIELDS, Attempt, record_attempts
from experiments.worker.records.run_document import end_fields, start_fields
from experiments.worker.records.run_logs import RunLogs
from experiments.worker.recovery.at_startup import recover_at_startup
from experiments.worker.supervisor import Stop
from experiments.worker.time_limit import TimeLimit
from experiments.worker.worker_options import CHECKPOINTS, UNDELIVERED, WorkerOptions
from walking_noise import CheckpointStore, Failure, Progress, Result, Stopped, __version__
from walking_noise.checkpoints.provenance import device_name
from walking_noise.runtime.sizing.capacity import default_device
from walking_noise.runtime.train_runs import train_each

LEADER_FIELDS = (
    "batch_id", "config", "execution", "git", "slurm", "seml.output_file", "seml.source_files", "seml.working_dir",
)  # fmt: skip
LOG_SECONDS, LOG_SHARE = 60.0, 0.05
"""The shortest interval between two progress lines in the runs' logs: in seconds, and as a share of the training."""

log = logging.getLogger(__name__)


def work(
    assignment: Assignment, stop: Stop, experiment: Mapping[str, Any], host: Mapping[str, Any], command: str
) -> int:
    """Train the run of ``assignment`` and its companions; return the exit code of the process.

    Exit codes: 0, the leader has a result, or there was nothing to do; 3, the leader failed; 69, the GPU failed; 75,
    the database is unreachable; 78, earlier failures stop the worker; 128 + n, the runs were released after signal n.

    ``experiment``, ``host`` and ``command`` are Sacred's descriptions for the runs' documents.
    """
    if not is_main_process():  # a Slurm task may start several processes
        return 0
    try:
        check_name(assignment.collection)
        options, options_error = WorkerOptions.from_environment(), ""
    except UserError as error:
        options, options_error = WorkerOptions(), str(error)
    try:
        runs = connect()[assignment.collection]
        leader = runs.find_one({"_id": assignment.leader}, LEADER_FIELDS)
        if leader is None or not assignment.started_here(leader):
            log.warning("nothing to do: run %d was deleted or taken over", assignment.leader)
            return 0
        state = options.state_folder(leader)
        recover_at_startup(runs, leader, assignment.token, state, options.lease_seconds)
        if reason := refuse_claim(runs, assignment):
            log.error("no run is claimed: %s", reason)
            return CLAIMS_STOPPED
        leases = Leases(runs, assignment, options.lease_seconds)
        leased = lease_with_companions(leases, leader, options.pack_size, options.device, options_error)
        if not leased:
            log.warning("nothing to do: run %d was cancelled or taken over", assignment.leader)
            return 0
        worker = Worker(leases, leader, leased, options, state, stop)
        worker.begin(experiment, host, command)
    except (PyMongoError, UserError) as error:
        log.error("cannot use the database: %s", error)
        return DATABASE_UNREACHABLE
    return worker.run()


class Worker:
    """Trainer of leased runs, the leader among them, and writer of their documents and logs.

    Without a folder ``state`` there are no checkpoints, and undelivered results are not stored.
    """

    def __init__(
        self,
        leases: Leases,
        leader: Document,
        leased: list[Candidate],
        options: WorkerOptions,
        state: Path | None,
        stop: Stop,
    ) -> None:
        self.leases, self.leader, self.options, self.state, self.stop = leases, leader, options, state, stop
        self.leased, self.configs = leased, {one.id: one.config for one in leased if one.config is not None}
        config = leased[0].config
        self.pack_limit = PackLimit(leases.runs, config, options.device) if config else None
        self.logs = RunLogs(leader)
        spool = state / UNDELIVERED if state else None
        ids = [candidate.id for candidate in leased]
        self.delivery = Delivery(leases, self.logs, ids, spool, options.patience_seconds, self._discard_checkpoints)
        self.logs.open(ids)
        self._commit = commit_of(leader)
        self._time_limit = TimeLimit(leader)
        self._line = ProgressLine()
        self._logged_at, self._logged_share = time.monotonic(), 0.0
        self._device_error = ""
        self._exit_code = 0

    def begin(self, experiment: Mapping[str, Any], host: Mapping[str, Any], command: str) -> None:
        """Write the start of the worker and of its runs to the database."""
        device = self.options.device or default_device()
        self.delivery.begin(
            start_fields(experiment, host, command),
            self.leader,
            host=slurm.node_name(),
            device=device_name(device),
            gpu=device.type == "cuda",
            version=__version__,
            pack=self.pack_limit.pack_of(self.configs.values()) if self.pack_limit else None,
        )

    def run(self) -> int:
        """Train the runs and write their outcomes; release unfinished runs after a stop. Return the exit code."""
        started = time.monotonic()
        others = len(self.leased) - 1
        companions = f" and {in_words(others, 'companion')}" if others else ""
        log.info("this worker trains run %d%s", self.leader["_id"], companions)
        with self.delivery:
            for candidate in self.leased:
                if candidate.config is None:
                    self._finish(candidate.id, Failure(candidate.error))
            try:
                self._train()
                self.delivery.drain(lambda: self.delivery.unreachable and self.stop.requested)
            except Stopped:
                self.delivery.drain(lambda: self.delivery.unreachable)
            except torch.AcceleratorError as error:
                self._device_error = f"the GPU failed: {str(error).splitlines()[0]}"
                log.error(self._device_error)
                self.delivery.drain(lambda: self.delivery.unreachable)
            finally:
                self._line.end()
                if self.pack_limit:
                    self.pack_limit.remember(self.delivery.last_call_seconds)
        if self.delivery.unfinished or self.delivery.queued:
            self._end_unfinished()
        else:
            discarded = self.delivery.discarded
            self.delivery.end(f"{runs_in_words(len(discarded))} {NO_LONGER_HELD}" if discarded else history.DONE)
        log.info(
            "%d of %s finished in %s, of which database calls took %.1f s",
            len(self.leased) - len(self.delivery.unfinished) - len(self.delivery.discarded),
            runs_in_words(len(self.leased)),
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
            checkpoints=self.state / CHECKPOINTS if self.state else None,
            checkpoint_seconds=self.options.checkpoint_seconds,
            checkpoint_quota=self.options.state_quota,
            memory_limits=self.pack_limit.learned if self.pack_limit else None,
            progress=self._show,
            stop=self._must_stop,
        ):
            self._finish(ids[index], outcome)

    def _finish(self, run: int, outcome: Result | Failure) -> None:
        """Queue a run's outcome for delivery, and log it."""
        self.delivery.finish(run, end_fields(outcome, self._commit))
        failed = isinstance(outcome, Failure)
        text = _outcome_text(outcome)
        self.logs.write([run], text)
        if run == self.leader["_id"]:
            self._line.end()
            log.log(logging.ERROR if failed else logging.INFO, "run %d %s", run, text)
            self._exit_code = LEADER_FAILED if failed else 0

    def _discard_checkpoints(self, recorded: set[int]) -> None:
        """Discard the checkpoints of recorded runs that no unrecorded run needs."""
        if self.state is not None:
            needed = {
                one.network_key
                for run in self.delivery.unrecorded & self.configs.keys()
                for one in self.configs[run].with_teacher
            }
            ended = (one for run in recorded & self.configs.keys() for one in self.configs[run].with_teacher)
            CheckpointStore(self.state / CHECKPOINTS).discard([one for one in ended if one.network_key not in needed])

    def _show(self, progress: Progress) -> None:
        """Report the progress: for the history, on the terminal, and in the runs' logs."""
        total = progress.epochs_total
        shares = (progress.epochs_resumed, progress.epochs_done, progress.epochs_kept)
        self.delivery.numbers = dict(
            zip(("resumed", "trained", "kept"), (share / total for share in shares), strict=True)
        )
        self._line.show(training_progress(progress))
        trained = progress.epochs_done / total
        if time.monotonic() > self._logged_at + LOG_SECONDS and trained >= self._logged_share + LOG_SHARE:
            self._logged_at, self._logged_share = time.monotonic(), trained
            self.logs.write(self.delivery.unfinished, training_progress(progress))

    def _must_stop(self) -> bool:
        if self._time_limit.near:
            self.stop.note(signal.SIGUSR1)
        return self.stop.requested or not self.delivery.needed

    def _end_unfinished(self) -> None:
        """End with unfinished runs or undelivered outcomes: release the runs, or log the commands that recover them."""
        name = self.leases.runs.name
        if self.delivery.gave_up or self.delivery.queued:
            self._exit_code = self.stop.exit_code or DATABASE_UNREACHABLE
            log.error(self._undelivered_text())
            self._time_limit.request_requeue()
            return
        unfinished = sorted(self.delivery.unfinished)
        reason = self._device_error or self.stop.reason
        if not reason:
            runs = runs_in_words(len(unfinished))
            log.warning("nothing left to train: the worker no longer holds its %s (%s)", runs, NO_LONGER_HELD)
            self.delivery.end(f"all its runs were {NO_LONGER_HELD}")
            return
        self._exit_code = DEVICE_FAILED if self._device_error else self.stop.exit_code
        try:
            with pymongo.timeout(self.delivery.last_call_seconds):
                held = list(self.leases.runs.find(self.leases.held(unfinished), FIELDS))
                count = self.leases.release(unfinished)
                attempts = (Attempt(run, history.GIVEN_BACK, reason) for run in unfinished)
                record_attempts(self.leases.runs, attempts, held)
        except PyMongoError as error:
            runs = are_in_words(len(unfinished), "run")
            log.error("%s still RUNNING; run `walking-noise rescue %s` to release them (%s)", runs, name, error)
            self._time_limit.request_requeue()
            return
        self.delivery.end(reason, count)
        self._time_limit.request_requeue()
        self.logs.write((run["_id"] for run in held), f"released after {reason}: the run is PENDING again")
        log.warning(
            "%s: %s PENDING again. The next task of their array resumes them; if there is none, run "
            "`walking-noise start %s`",
            reason,
            are_in_words(count, "unfinished run"),
            name,
        )

    def _undelivered_text(self) -> str:
        """The error message about results that are not in the database, and runs that stay RUNNING."""
        saved = self.delivery.spooled
        lost = max(self.delivery.queued - saved, 0)
        running = len(self.delivery.unfinished) + lost
        text, commands = "the database could not be updated", []
        if saved and self.state is not None:
            folder = self.state / UNDELIVERED
            text += f"; {are_in_words(saved, 'result')} saved in {folder}"
            commands.append(f"`walking-noise deliver {folder}`")
        if lost:
            text += f"; {are_in_words(lost, 'result')} lost"
        if running:
            text += f"; {are_in_words(running, 'run')} still RUNNING"
            commands.append(f"`walking-noise rescue {self.leases.runs.name}`")
        return f"{text}. When the database answers again, run {', then '.join(commands)}"


def _outcome_text(outcome: Result | Failure) -> str:
    if isinstance(outcome, Failure):
        return f"failed: {outcome.error}\n{outcome.trace}".rstrip()
    return f"{outcome.outcome}: accuracy {outcome.accuracy:.4f}"
