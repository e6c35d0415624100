"""Executable that trains like ``experiments/train.py`` (its first argument), but not beyond an epoch until it may.

While the file ``$HOLD`` exists, no training goes on after ``$HOLD_EPOCHS`` epochs. A stop is noticed meanwhile.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path

from walking_noise.training.trainer import PackTrainer

train_epoch = PackTrainer.train_epoch


def held(self: PackTrainer, after_batch: Callable[[], None]) -> None:
    while self.epoch >= int(os.environ["HOLD_EPOCHS"]) and Path(os.environ["HOLD"]).exists():
        time.sleep(0.02)
        after_batch()
    train_epoch(self, after_batch)


PackTrainer.train_epoch = held  # type: ignore[method-assign]
del sys.argv[0]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
