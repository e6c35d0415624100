"""Demo study: a grid that SEML runs with an embedded database, and the report on it, in one command.

All files are in the folder ``.demo`` of the checkout. A second call resumes the study and keeps completed runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from experiments.database.connection import Document
from experiments.database.embedded_server import DATABASE, EmbeddedDatabase
from experiments.database.run_collections import status_counts
from experiments.database.run_status import COMPLETED
from experiments.errors import UserError
from experiments.status.progress_text import CollectionProgress
from experiments.submit import seml_command
from experiments.submit.environment import allowed_environment
from experiments.submit.process_group import ProcessGroup
from experiments.terminal.progress_line import ProgressLine, clock
from experiments.terminal.text_table import runs_in_words
from experiments.worker.exit_codes import STOP_SIGNALS
from experiments.worker.supervisor import Stop

CHECKOUT = Path(__file__).parents[2]
COLLECTION = "demo"
PACK_SIZE = 1000
"""Pack size of a worker: it leases all runs that can share a pack, so that few processes have to start."""
UNFINISHED = ("PENDING", "RUNNING", "FAILED", "KILLED", "INTERRUPTED")
"""Statuses of the runs that a second call of the demo resets."""
POLL_SECONDS = 0.5


def demo(folder: Path = CHECKOUT / ".demo", grid: Path = CHECKOUT / "seml_configs" / "demo.yaml") -> None:
    """Run a grid and report on it, showing the progress; a second call trains only the runs that are not completed.

    After a signal, SystemExit is raised when all child processes have ended.
    """
    if not grid.exists():
        raise UserError(f"{grid} does not exist; run the demo in the checkout of walking_noise, after `make install`")
    folder.mkdir(mode=0o700, exist_ok=True)
    with _stop_signals() as exit_if_stopped, _locked(folder):
        _discard_other_grid(folder, grid)
        print(f"database in {folder}", flush=True)
        with _database(folder) as database:
            exit_if_stopped()
            steps = _Steps(folder, database, exit_if_stopped)
            try:
                steps.add(grid)
                incomplete = steps.train()
                steps.report()
                steps.print_commands()
            except PyMongoError as error:
                raise UserError(
                    f"the connection to the database was lost ({error}); see {database.server.log}"
                ) from error
            if incomplete:
                raise UserError(incomplete)


class _Steps:
    """Steps of the demo: the commands that a user would type, one after the other."""

    def __init__(self, folder: Path, database: EmbeddedDatabase, exit_if_stopped: Callable[[], None]) -> None:
        self.folder, self.database, self.exit_if_stopped = folder, database, exit_if_stopped
        self.logs = folder / "logs"
        self.logs.mkdir(exist_ok=True)
        self.line = ProgressLine(sys.stdout, seconds=5.0)
        self.bin = Path(sys.executable).parent
        self.environment = allowed_environment(
            PYTHONWARNINGS="ignore",
            XDG_CONFIG_HOME=str(folder),
            WALKING_NOISE_PACK_SIZE=str(PACK_SIZE),
        )

    def add(self, grid: Path) -> None:
        """Add the runs that the database does not have, and reset those that are not completed."""
        print(f"seml {COLLECTION} add {grid.name}", flush=True)
        self._seml("add", str(grid), show=lambda: "reading the grid")
        shutil.copyfile(grid, self.folder / grid.name)
        with self._client() as client:
            counts = status_counts(client[DATABASE][COLLECTION])
        states = [state for state in UNFINISHED if counts[state]]
        if states:
            selection = [argument for state in states for argument in ("-s", state)]
            self._seml("reset", "-y", *selection, show=lambda: "resetting the runs that are not completed")

    def train(self) -> str:
        """Train the runs that are not completed, on all cores; return the error message if some remain."""
        with self._client() as client:
            progress = CollectionProgress(client[DATABASE], COLLECTION)
            total = progress.counts.total()
            if progress.counts[COMPLETED] == total:
                print(f"all {total} runs are completed", flush=True)
                return ""
            print(f"seml {COLLECTION} start --local", flush=True)
            self._seml("start", "--local", show=progress.text)
            progress.query()
        seconds = time.monotonic() - progress.started
        print(
            f"{runs_in_words(progress.new)} in {clock(seconds)} ({60 * progress.new / seconds:.0f} runs/min)",
            flush=True,
        )
        others = [f"{count} {status}" for status, count in sorted(progress.counts.items()) if status != COMPLETED]
        if not others:
            return ""
        return (
            f"{progress.counts[COMPLETED]} of {total} runs are completed ({', '.join(others)}); see {self.logs}, or "
            f"start the database as shown above and run `seml {COLLECTION} print-fail-trace`"
        )

    def report(self) -> None:
        """Write the report; its command prints the table of midpoints and the path of the page."""
        command = ["-m", "analysis.report", COLLECTION, "--out", str(self.folder / "report")]
        print(f"python {' '.join(command)}", flush=True)
        with ProcessGroup([sys.executable, *command], self.environment) as group:
            self._wait(group, None)
        if group.process.returncode:
            raise UserError(f"the report failed (exit code {group.process.returncode}); see its output above")

    def print_commands(self) -> None:
        """Print the commands by which the user can inspect the runs."""
        here = Path.cwd()
        folder = shlex.quote(str(self.folder.relative_to(here) if self.folder.is_relative_to(here) else self.folder))
        print("To inspect the runs:")
        if shutil.which("walking-noise") is None:
            print(f'    export PATH="{self.bin}:$PATH"')
        print(f"    walking-noise db start --folder {folder}")
        print(f'    eval "$(walking-noise db env --folder {folder})"')
        print(f"    seml {COLLECTION} status", flush=True)

    def _seml(self, action: str, *arguments: str, show: Callable[[], str]) -> None:
        log = self.logs / f"seml-{action}.log"
        with ProcessGroup([*seml_command.SEML, COLLECTION, action, *arguments], self.environment, log) as group:
            self._wait(group, show)
        if group.process.returncode:
            print(group.tail(), file=sys.stderr)
            raise UserError(f"`seml {COLLECTION} {action}` failed (exit code {group.process.returncode}); see {log}")

    def _wait(self, group: ProcessGroup, show: Callable[[], str] | None) -> None:
        while group.process.poll() is None:
            self.exit_if_stopped()
            if show is not None:
                self.line.show(show())
            time.sleep(POLL_SECONDS)
        self.line.end()

    def _client(self) -> MongoClient[Document]:
        access = self.database.access
        assert access is not None  # the database was started
        return access.client()


@contextlib.contextmanager
def _stop_signals() -> Iterator[Callable[[], None]]:
    """Record stop signals; yield a function that exits the program if one has arrived, to call where that is safe."""
    stop = Stop()

    def exit_if_stopped() -> None:
        if stop.requested:
            print("\nstopping; run `make demo` again to continue", flush=True)
            raise SystemExit(stop.exit_code)

    previous = {signum: signal.signal(signum, stop.note) for signum in STOP_SIGNALS}
    try:
        yield exit_if_stopped
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock ``folder``, so that a second demo in it fails."""
    with (folder / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another demo is running in {folder}; wait until it has ended") from None
        yield


@contextlib.contextmanager
def _database(folder: Path) -> Iterator[EmbeddedDatabase]:
    database = EmbeddedDatabase(folder)
    try:
        database.start()
        yield database
    finally:
        database.stop()


def _discard_other_grid(folder: Path, grid: Path) -> None:
    """Delete the runs in ``folder`` if they belong to another grid; the report would combine both grids."""
    previous = folder / grid.name
    if previous.exists() and previous.read_bytes() != grid.read_bytes():
        print(f"{grid.name} has changed: its previous runs are deleted", flush=True)
        EmbeddedDatabase(folder).stop()
        for name in ("data", "seml"):
            shutil.rmtree(folder / name, ignore_errors=True)
        previous.unlink()
