"""The main job in one command: a grid, run through SEML with an embedded database, and the report on it.

Everything lies in ``.demo`` in the checkout. Run again, it goes on where it was; what is done stays done.
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
from experiments.database.run_status import COMPLETED
from experiments.errors import UserError
from experiments.status.progress_text import CollectionProgress
from experiments.submit.environment import allowed_environment
from experiments.submit.process_group import ProcessGroup
from experiments.terminal.progress_line import ProgressLine, clock
from experiments.worker.exit_codes import STOP_SIGNALS
from experiments.worker.supervisor import Stop

CHECKOUT = Path(__file__).parents[2]
COLLECTION = "demo"
TRAININGS_AT_ONCE = 1000
"""A worker claims so many, all that may share a pack, so that few processes have to start."""
UNFINISHED = ("PENDING", "RUNNING", "FAILED", "KILLED", "INTERRUPTED")
"""Runs in one of these states are reset when the demo is run again."""
POLL_SECONDS = 0.5


def demo(folder: Path = CHECKOUT / ".demo", grid: Path = CHECKOUT / "seml_configs" / "demo.yaml") -> None:
    """Run a grid and report on it, with progress; a second call trains only what is missing.

    Raises
    ------
    UserError
        A step failed; the end of its log is printed.
    SystemExit
        A signal asked to stop; no process is left.
    """
    if not grid.exists():
        raise UserError(f"there is no {grid}; the demo runs in the checkout of walking_noise, after `make install`")
    folder.mkdir(mode=0o700, exist_ok=True)
    with _stop_signals() as check, _alone(folder):
        _forget_another_grid(folder, grid)
        print(f"database in {folder}", flush=True)
        with _database(folder) as database:
            check()
            steps = _Steps(folder, database, check)
            try:
                steps.add(grid)
                incomplete = steps.train()
                steps.report()
                steps.say_how_to_look()
            except PyMongoError as error:
                raise UserError(f"the database went away ({error}); see {database.server.log}") from error
            if incomplete:
                raise UserError(incomplete)


class _Steps:
    """The commands a user would type, one after the other."""

    def __init__(self, folder: Path, database: EmbeddedDatabase, check: Callable[[], None]) -> None:
        self.folder, self.database, self.check = folder, database, check
        self.logs = folder / "logs"
        self.logs.mkdir(exist_ok=True)
        self.line = ProgressLine(sys.stdout, seconds=5.0)
        self.bin = Path(sys.executable).parent
        self.environment = allowed_environment(
            PYTHONWARNINGS="ignore",
            XDG_CONFIG_HOME=str(folder),
            WALKING_NOISE_PACK_SIZE=str(TRAININGS_AT_ONCE),
        )

    def add(self, grid: Path) -> None:
        """Add what the database does not have, and reset what did not come to its end."""
        print(f"seml {COLLECTION} add {grid.name}", flush=True)
        self._seml("add", str(grid), show=lambda: "reading the grid")
        shutil.copyfile(grid, self.folder / grid.name)
        with self._client() as client:
            counts = CollectionProgress(client[DATABASE][COLLECTION]).counts
        states = [state for state in UNFINISHED if counts[state]]
        if states:
            chosen = [argument for state in states for argument in ("-s", state)]
            self._seml("reset", "-y", *chosen, show=lambda: "resetting the runs that were not finished")

    def train(self) -> str:
        """Run what is not done, on all cores of this machine; says what did not come to its end, if anything."""
        with self._client() as client:
            headway = CollectionProgress(client[DATABASE][COLLECTION])
            total = headway.counts.total()
            if headway.counts[COMPLETED] == total:
                print(f"all {total} runs are done", flush=True)
                return ""
            print(f"seml {COLLECTION} start --local", flush=True)
            self._seml("start", "--local", show=headway.text)
            headway.count()
        seconds = time.monotonic() - headway.started
        print(f"{headway.new} runs in {clock(seconds)} ({60 * headway.new / seconds:.0f} runs/min)", flush=True)
        others = [f"{count} {status}" for status, count in sorted(headway.counts.items()) if status != COMPLETED]
        if not others:
            return ""
        return (
            f"{headway.counts[COMPLETED]} of {total} runs were completed ({', '.join(others)}): see {self.logs}, or, "
            f"with the database started as above, `seml {COLLECTION} print-fail-trace`"
        )

    def report(self) -> None:
        """Make the report; it prints its table and where it is."""
        command = [
            sys.executable,
            "-m",
            "analysis.report",
            COLLECTION,
            "--out",
            str(self.folder / "report"),
        ]
        print(f"python -m analysis.report {COLLECTION} --out {self.folder / 'report'}", flush=True)
        with ProcessGroup(command, self.environment) as group:
            self._wait(group, None)
        if group.process.returncode:
            raise UserError(f"the report failed (exit code {group.process.returncode}); what it said stands above")

    def say_how_to_look(self) -> None:
        """Print the commands that show the runs."""
        here = Path.cwd()
        folder = shlex.quote(str(self.folder.relative_to(here) if self.folder.is_relative_to(here) else self.folder))
        print("To look at its runs:")
        if shutil.which("walking-noise") is None:
            print(f'    export PATH="{self.bin}:$PATH"')
        print(f"    walking-noise db start --folder {folder}")
        print(f'    eval "$(walking-noise db env --folder {folder})"')
        print(f"    seml {COLLECTION} status", flush=True)

    def _seml(self, action: str, *arguments: str, show: Callable[[], str]) -> None:
        log = self.logs / f"seml-{action}.log"
        with ProcessGroup([str(self.bin / "seml"), COLLECTION, action, *arguments], self.environment, log) as group:
            self._wait(group, show)
        if group.process.returncode:
            print(group.tail(), file=sys.stderr)
            raise UserError(f"`seml {COLLECTION} {action}` failed (exit code {group.process.returncode}); see {log}")

    def _wait(self, group: ProcessGroup, show: Callable[[], str] | None) -> None:
        while group.process.poll() is None:
            self.check()
            if show is not None:
                self.line.show(show())
            time.sleep(POLL_SECONDS)
        self.line.end()

    def _client(self) -> MongoClient[Document]:
        access = self.database.access
        assert access is not None  # it was started
        return access.client()


@contextlib.contextmanager
def _stop_signals() -> Iterator[Callable[[], None]]:
    """Note signals instead of ending at any place; the function given ends the program where that is safe."""
    stop = Stop()

    def check() -> None:
        if stop.requested:
            print("\nstopping; `make demo` goes on from here", flush=True)
            raise SystemExit(stop.exit_code)

    before = {signum: signal.signal(signum, stop.note) for signum in STOP_SIGNALS}
    try:
        yield check
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse a second demo in ``folder`` at the same time."""
    with (folder / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another demo runs in {folder}") from None
        yield


@contextlib.contextmanager
def _database(folder: Path) -> Iterator[EmbeddedDatabase]:
    database = EmbeddedDatabase(folder)
    try:
        database.start()
        yield database
    finally:
        database.stop()


def _forget_another_grid(folder: Path, grid: Path) -> None:
    """Begin anew if the runs in ``folder`` are of another grid: two in one collection would be reported on as one."""
    known = folder / grid.name
    if known.exists() and known.read_bytes() != grid.read_bytes():
        print(f"{grid.name} has changed: its old runs are dropped", flush=True)
        EmbeddedDatabase(folder).stop()
        for name in ("data", "seml"):
            shutil.rmtree(folder / name, ignore_errors=True)
        known.unlink()
