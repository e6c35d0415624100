"""Chaos test: a grid on a private Slurm under random disturbances, with figures of their effects.

    python -m tests.cluster.chaos --runs 500 --kills 50

The only remedy is a cron job that regularly runs ``walking-noise rescue`` and ``walking-noise start``.
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
    """Run a grid of at least ``runs`` runs, kill ``kills`` processes during it, and return the figures.

    Parameters
    ----------
    epochs
        Epochs of the long runs, which reach a time limit.
    seed
        Seed of the disturbances. Their effects also depend on the timing of the machine.
    pause
        Mean time between two disturbances in seconds. It is shortened if the runs would be completed before all kills.
    seconds
        After this time the study is evaluated as it is.
    """
    with private_slurm(SITE) as slurm, login_node(slurm, OPTIONS) as login:
        study = login.study("chaos", **_grid(math.ceil(runs / RUNS_PER_SEED), epochs))
        study.start()
        monkey, line = Monkey(study, login, seed), ProgressLine()
        started = time.monotonic()
        with Witness(study.runs) as witness, Cron(study) as cron:
            next_disturbance = started
            while witness.completed < study.size and time.monotonic() < started + seconds:
                behind = monkey.kills * study.size < kills * witness.completed
                if monkey.kills < kills and (behind or time.monotonic() > next_disturbance):
                    monkey.disturb()
                    next_disturbance = time.monotonic() + monkey.random.expovariate(1 / pause)
                line.show(f"{witness.completed} of {study.size} runs completed, {monkey.kills} processes killed")
                time.sleep(POLL_SECONDS)
            line.end()
        duration = time.monotonic() - started
        witness.check()
        if witness.completed < study.size:
            print(*cron.outputs[-6:], study.statuses(), study.queue(), slurm.log_tails(), sep="\n")
        return figures_of(study, monkey, witness, duration)


def _grid(seeds: int, epochs: int) -> dict[str, Any]:
    """15 runs for each seed: all kinds of noise, some with noise at inference only, and one long run."""
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
    """Run the study and print its figures; return 1 if runs were lost, repeated or changed, or kills are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=150, help="epochs of the long runs")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=6.0, metavar="SECONDS", help="mean time between disturbances")
    parser.add_argument("--seconds", type=float, default=1500.0, help="longest duration of the study")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that all processes are ended
    figures = chaos(**vars(options))
    print(figures)
    return int(bool(figures.lost or figures.repeated or figures.changed or figures.kills < options.kills))


if __name__ == "__main__":
    sys.exit(main())
