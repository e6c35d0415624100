"""The memory of one training step, or one evaluated block: ``python -m tests.walking_noise.training.one_step WHAT SETTINGS``.

Prints the most that the process has held, in bytes, after a pack of 4 runs and after one of 16.
"""

from __future__ import annotations

import ast
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.data.images.image_transform import ImageTransform
from walking_noise.evaluation.evaluator import evaluate
from walking_noise.evaluation.shared_prefix import BLOCK
from walking_noise.reproducibility import deterministic
from walking_noise.training.member import Member
from walking_noise.training.trainer import PackTrainer

CPU = torch.device("cpu")


def do(what: str, configs: Sequence[RunConfig]) -> None:
    runs, batch, shape = len(configs), configs[0].training.batch_size, configs[0].data.shape
    samples, labels = torch.zeros(BLOCK, *shape, dtype=torch.uint8), torch.zeros(BLOCK, dtype=torch.int64)
    data = DataSet("none", configs[0].data.classes, ImageTransform(), samples, labels, samples, labels, checksum="")
    training = PackTrainer([Member(config) for config in configs], data, CPU)
    training.optimizer.anneal([1e-3] * runs)
    if what == "train":
        training.step(torch.rand(runs, batch, *shape), torch.zeros(runs, batch, dtype=torch.int64))
    else:
        evaluate(training.pack, range(runs), configs, data, 1, group_size=runs)


def most_held() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def snapshot() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    what, settings = sys.argv[1], ast.literal_eval(sys.argv[2])
    ballast = b"x" * max(0, most_held() - snapshot())  # imports may have held more for a moment than a small pack adds
    for runs in (4, 16):
        with deterministic():
            do(what, [RunConfig.from_dict({**settings, "seed": seed}) for seed in range(runs)])
        print(most_held())
