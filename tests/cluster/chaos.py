"""A grid on a private Slurm to which everything happens, and in figures what that has done to it.

    python -m tests.cluster.chaos --runs 500 --kills 50

Its user does no more than a cron job could: now and then ``walking-noise rescue`` and ``walking-noise start``.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from experiments.mongodb.database import Document
from experiments.progress import ProgressLine, clock
from experiments.workers.claims import COMPLETED
from tests.cluster.cron import Cron
from tests.cluster.login_node import LoginNode, choice, login_node
from tests.cluster.monkey import Monkey
from tests.cluster.private_slurm import Settings, private_slurm
from tests.cluster.study import Study
from tests.cluster.witness import Witness

OPTIONS = {
    "WALKING_NOISE_CHECKPOINT_SECONDS": "1",
    "WALKING_NOISE_LEASE_SECONDS": "15",
    "WALKING_NOISE_PACK_SIZE": "12",
}
RUNS_PER_SEED = 15
EPOCHS = 5
POLL_SECONDS = 1.0


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


def chaos(
    login: LoginNode, name: str, *, runs: int, epochs: int, kills: int, seed: int, pause: float, seconds: float
) -> Figures:
    """Run a grid of at least ``runs`` runs, kill ``kills`` processes meanwhile, and tell what has come of it.

    Parameters
    ----------
    epochs
        Of the long ones among the runs, to meet a time limit.
    seed
        Of what happens when; what else happens on the machine decides, too.
    pause
        Mean seconds between two disturbances; they come sooner if the runs would be completed before.
    seconds
        After this time the study is taken as it is.
    """
    study = login.study(name, **_grid(math.ceil(runs / RUNS_PER_SEED), epochs))
    study.start()
    monkey, line = Monkey(study, login, seed), ProgressLine()
    started = time.monotonic()
    with Witness(study.runs) as witness, Cron(study) as cron:
        next_strike = started
        while witness.completed < study.size and time.monotonic() < started + seconds:
            late = monkey.kills * study.size < kills * witness.completed
            if monkey.kills < kills and (late or time.monotonic() > next_strike):
                monkey.strike()
                next_strike = time.monotonic() + monkey.random.expovariate(1 / pause)
            line.show(f"{witness.completed} of {study.size} runs completed, {monkey.kills} processes killed")
            time.sleep(POLL_SECONDS)
        line.end()
    took = time.monotonic() - started
    witness.look()
    if witness.completed < study.size:
        print("\n".join(cron.said[-6:]), study.statuses(), study.queue(), sep="\n")
    return _figures(study, monkey, witness, took)


def _grid(seeds: int, epochs: int) -> dict[str, Any]:
    """15 runs for each seed: of all kinds, some with noise at inference only, and one that takes long."""
    levels, seed = choice(0.1, 0.3, 1.0, 3.0), {"type": "range", "min": 0, "max": seeds, "step": 1}
    return {
        "seml": {"reschedule_timeout": 20},
        "slurm": {
            "max_simultaneous_jobs": 4,
            "sbatch_options": {"gres": "gpu:1", "cpus-per-task": 2, "mem": "4G", "time": "0-00:03"},
        },
        "fixed": {"training.epochs": EPOCHS},
        "additive": {"grid": {"noise.std": levels, "seed": seed}},
        "multiplicative": {
            "fixed": {"noise.kind": "multiplicative", "noise.point": 3},
            "grid": {"noise.std": levels, "seed": seed},
        },
        "mixed": {
            "fixed": {"noise.kind": "mixed", "noise.ratio": 0.5},
            "grid": {"noise.amplitude": choice(0.3, 1.0), "seed": seed},
        },
        "at_inference": {"fixed": {"noise.in_training": False}, "grid": {"noise.std": levels, "seed": seed}},
        "long": {"fixed": {"training.epochs": epochs, "noise.std": 0.5}, "grid": {"seed": seed}},
    }


def _figures(study: Study, monkey: Monkey, witness: Witness, seconds: float) -> Figures:
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


def main(arguments: list[str] | None = None) -> int:
    """Run the study and print its figures; 1 if anything was lost, done twice or changed, or too little happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=150, help="of the long ones among the runs")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=6.0, metavar="SECONDS", help="mean time between disturbances")
    parser.add_argument("--seconds", type=float, default=1500.0, help="the most that it may take")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing is left running
    with (
        private_slurm(Settings(gpus=4, max_array_size=101, kill_wait=15)) as slurm,
        login_node(slurm, OPTIONS) as login,
    ):
        figures = chaos(login, "chaos", **vars(options))
    print(figures)
    return int(bool(figures.lost or figures.twice or figures.changed or figures.kills < options.kills))


if __name__ == "__main__":
    sys.exit(main())
