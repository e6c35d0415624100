"""Peak memory of a training step or of the evaluation of a block.

``python -m tests.walking_noise.training.one_step WHAT SETTINGS``, where WHAT is ``train`` or ``evaluate``,
prints the peak memory of the process in bytes, after a pack of 4 runs and after one of 16.
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


def run(what: str, configs: Sequence[RunConfig]) -> None:
    runs, batch, shape = len(configs), configs[0].training.batch_size, configs[0].data.shape
    samples, labels = torch.zeros(BLOCK, *shape, dtype=torch.uint8), torch.zeros(BLOCK, dtype=torch.int64)
    data = DataSet("none", configs[0].data.classes, ImageTransform(), samples, labels, samples, labels, checksum="")
    trainer = PackTrainer([Member(config) for config in configs], data, CPU)
    trainer.optimizer.anneal(1e-3)
    if what == "train":
        trainer.step(torch.rand(runs, batch, *shape), torch.zeros(runs, batch, dtype=torch.int64))
    else:
        evaluate(trainer.pack, range(runs), configs, data, 1, group_size=runs)


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def present_memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    what, settings = sys.argv[1], ast.literal_eval(sys.argv[2])
    # the peak of the imports may exceed what a small pack adds
    ballast = b"x" * max(0, peak_memory() - present_memory())
    for runs in (4, 16):
        with deterministic():
            run(what, [RunConfig.from_dict({**settings, "seed": seed}) for seed in range(runs)])
        print(peak_memory())
