"""What disturbances have done to a study, in figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from experiments.database.connection import Document
from experiments.database.run_status import COMPLETED
from experiments.terminal.progress_line import clock
from tests.cluster.monkey import Monkey
from tests.cluster.study import Study
from tests.cluster.witness import Witness


@dataclass(frozen=True)
class Figures:
    """What has come of a study.

    Attributes
    ----------
    struck
        How often what has happened to it.
    lost
        Runs without a result.
    twice
        Runs that were completed, and later were not or were completed anew, as seen by a witness or told by the
        workers.
    changed
        Runs with another result than they have when nothing happens to them, and in what it differs.
    resumed
        Share of the work of all workers that they took up from checkpoints.
    """

    runs: int
    seconds: float
    struck: Counter[str]
    kills: int
    lost: int
    twice: int
    changed: dict[int, list[str]]
    workers: int
    attempts: Counter[str]
    resumed: float
    looks: int

    def __str__(self) -> str:
        happened = [f"    {count:4d}  {what}" for what, count in sorted(self.struck.items())]
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.attempts.items()))
        return "\n".join(
            [
                f"{self.runs} runs in {clock(self.seconds)} by {self.workers} workers, to which this has happened:",
                *happened,
                f"processes killed {self.kills}, runs lost {self.lost}, done twice {self.twice}, "
                f"results changed {len(self.changed)}",
                f"attempts that ended without a result: {ends}; {self.resumed:.0%} of the work was taken up from "
                f"checkpoints; a witness looked {self.looks} times",
            ]
        )


def figures_of(study: Study, monkey: Monkey, witness: Witness, seconds: float) -> Figures:
    """What has come of ``study``, to which ``monkey`` and ``witness`` saw for so many seconds."""
    workers, results, undisturbed = study.history(), study.results(), study.undisturbed()
    told = sum(worker["completed"] for worker in workers)
    trained = sum(worker["runs"] * worker["trained"] for worker in workers)
    resumed = sum(worker["runs"] * worker["resumed"] for worker in workers)
    of_time = {
        "time limit, told ahead": sum(worker.get("end") == "SIGUSR1" for worker in workers),
        "time limit reached": len(study.queue("--states=TIMEOUT")),
    }
    return Figures(
        runs=study.size,
        seconds=seconds,
        struck=monkey.struck + Counter(of_time),
        kills=monkey.kills,
        lost=study.size - study.statuses()[COMPLETED],
        twice=len(witness.changed) + max(0, told - study.size),
        changed={run: fields for run in results if (fields := _differences(results[run], undisturbed[run]))},
        workers=len(workers),
        attempts=Counter(attempt["end"] for attempt in study.attempts()),
        resumed=resumed / trained if trained else 0.0,
        looks=witness.looks,
    )


def _differences(one: Document, other: Document) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
