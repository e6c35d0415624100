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
from typing import Any

from experiments.terminal.progress_line import ProgressLine
from tests.cluster.cron import Cron
from tests.cluster.figures import Figures, figures_of
from tests.cluster.login_node import choice, login_node
from tests.cluster.monkey import Monkey
from tests.cluster.private_slurm import Settings, private_slurm
from tests.cluster.witness import Witness

OPTIONS = {
    "WALKING_NOISE_CHECKPOINT_SECONDS": "1",
    "WALKING_NOISE_LEASE_SECONDS": "15",
    "WALKING_NOISE_PACK_SIZE": "12",
}
SITE = Settings(gpus=2, max_array_size=101, kill_wait=15)
RUNS_PER_SEED = 15
EPOCHS = 5
POLL_SECONDS = 1.0


def chaos(*, runs: int, epochs: int, kills: int, seed: int, pause: float, seconds: float) -> Figures:
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
    with private_slurm(SITE) as slurm, login_node(slurm, OPTIONS) as login:
        study = login.study("chaos", **_grid(math.ceil(runs / RUNS_PER_SEED), epochs))
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
            print(*cron.said[-6:], study.statuses(), study.queue(), slurm.last_words(), sep="\n")
        return figures_of(study, monkey, witness, took)


def _grid(seeds: int, epochs: int) -> dict[str, Any]:
    """15 runs for each seed: of all kinds, some with noise at inference only, and one that takes long."""
    levels, seed = choice(0.1, 0.3, 1.0, 3.0), {"type": "range", "min": 0, "max": seeds, "step": 1}
    return {
        "seml": {"reschedule_timeout": 20},
        "slurm": {"sbatch_options": {"gres": "gpu:1", "cpus-per-task": 2, "mem": "4G", "time": "0-00:03"}},
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
    figures = chaos(**vars(options))
    print(figures)
    return int(bool(figures.lost or figures.twice or figures.changed or figures.kills < options.kills))


if __name__ == "__main__":
    sys.exit(main())
