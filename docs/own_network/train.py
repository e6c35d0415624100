"""Executable of this project's grids: that of walking_noise, which is installed."""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    runpy.run_module("experiments.train", run_name="__main__", alter_sys=True)
else:  # `seml add`
    from experiments.train import ex  # noqa: F401 - SEML looks for it here
