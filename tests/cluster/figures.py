"""Figures of a disturbed study: lost, repeated and changed runs, disturbances and workers."""

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
    """Figures of a study.

    Attributes
    ----------
    disturbances
        Number of disturbances by kind.
    lost
        Number of runs without a result.
    repeated
        Number of runs that were completed more than once, or lost their status COMPLETED, according to the witness or
        to the counts of the workers.
    changed
        Runs whose result differs from that of an undisturbed run, with the names of the fields that differ.
    resumed
        Share of the work of all workers that was resumed from checkpoints.
    checks
        Number of times that the witness has read the runs.
    """

    runs: int
    seconds: float
    disturbances: Counter[str]
    kills: int
    lost: int
    repeated: int
    changed: dict[int, list[str]]
    workers: int
    attempts: Counter[str]
    resumed: float
    checks: int

    def __str__(self) -> str:
        disturbances = [f"    {count:4d}  {kind}" for kind, count in sorted(self.disturbances.items())]
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.attempts.items()))
        return "\n".join(
            [
                f"{self.runs} runs in {clock(self.seconds)} by {self.workers} workers; disturbances:",
                *disturbances,
                f"processes killed {self.kills}, runs lost {self.lost}, repeated {self.repeated}, "
                f"results changed {len(self.changed)}",
                f"attempts that ended without a result: {ends}; {self.resumed:.0%} of the work was resumed from "
                f"checkpoints; the witness has read the runs {self.checks} times",
            ]
        )


def figures_of(study: Study, monkey: Monkey, witness: Witness, seconds: float) -> Figures:
    """The figures of ``study``, which ``monkey`` disturbed and ``witness`` watched for ``seconds``."""
    workers, results, undisturbed = study.history(), study.results(), study.undisturbed()
    completed = sum(worker["completed"] for worker in workers)
    trained = sum(worker["runs"] * worker["trained"] for worker in workers)
    resumed = sum(worker["runs"] * worker["resumed"] for worker in workers)
    time_limits = {
        "time limit announced": sum(worker.get("end") == "SIGUSR1" for worker in workers),
        "time limit reached": len(study.queue("--states=TIMEOUT")),
    }
    return Figures(
        runs=study.size,
        seconds=seconds,
        disturbances=monkey.disturbances + Counter(time_limits),
        kills=monkey.kills,
        lost=study.size - study.statuses()[COMPLETED],
        repeated=len(witness.changed) + max(0, completed - study.size),
        changed={run: fields for run in results if (fields := _differences(results[run], undisturbed[run]))},
        workers=len(workers),
        attempts=Counter(attempt["end"] for attempt in study.attempts()),
        resumed=resumed / trained if trained else 0.0,
        checks=witness.checks,
    )


def _differences(one: Document, other: Document) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
