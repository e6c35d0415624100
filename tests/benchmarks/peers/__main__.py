"""Benchmark of packs against other ways to train many small networks.

``python -m tests.benchmarks.peers`` builds the peers, checks that they compute the same, times them in turn and prints
how much faster packs are, on the device on which the library would train.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Collection
from pathlib import Path

import torch

from experiments.benchmark.pack_rates import device_in_words
from experiments.terminal.progress_line import ProgressLine, clock
from experiments.worker.worker_options import WorkerOptions
from tests.benchmarks.peers.cases import cases
from tests.benchmarks.peers.ceilings import copy_bandwidth
from tests.benchmarks.peers.comparison import Comparison, compare
from tests.benchmarks.peers.goal_table import Table, comparison_table, heading, inference_table
from tests.benchmarks.peers.inference_study import Inference, measure_inference, study
from tests.benchmarks.peers.record import Record
from tests.benchmarks.peers.time_window import Timing
from walking_noise.runtime.sizing import capacity

TIMING = Timing()
INFERENCE_ROUNDS = 3


def against_peers(device: torch.device, models: Collection[str]) -> Record:
    """Compare packs of some models with their peers, and print the tables of goals."""
    line, started = ProgressLine(sys.stdout, seconds=5.0), time.monotonic()
    compared: list[Comparison] = []
    inference: list[Inference] = []
    tables: list[Table] = []
    chosen = [case for case in cases(device) if case.model in models]
    copied = copy_bandwidth(device, TIMING.rounds) if any(case.traffic_goal for case in chosen) else []
    if chosen:
        clock_used = "CPU time of one thread" if device.type == "cpu" else "time"
        print(f"{device_in_words(device)}, {TIMING.rounds} rounds, peers timed in turn; training steps, {clock_used}:")
        print(heading(), flush=True)
    for case in chosen:
        compared.append(compare(case, device, TIMING, line.show))
        tables.append(comparison_table(compared[-1], copied))
        line.end()
        print(tables[-1], flush=True)
    if "lenet5" in models:
        line.show("an inference-only study")
        inference.append(measure_inference(study(device), device, INFERENCE_ROUNDS))
        tables.append(inference_table(inference[-1]))
        line.end()
        print(tables[-1], flush=True)
    goals = [row.met for table in tables for row in table.rows if row.met is not None]
    if goals:
        outcome = f"{sum(goals)} of {len(goals)} goals met, {len(goals) - sum(goals)} missed"
        print(f"{outcome}; measured in {clock(time.monotonic() - started)}\n", flush=True)
    return Record(device_in_words(device), TIMING, tuple(compared), tuple(copied), tuple(inference), tuple(tables))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure how much faster packs train than single runs.")
    parser.add_argument("--models", nargs="+", choices=("mlp", "lenet5"), default=("mlp", "lenet5"))
    parser.add_argument("--save", metavar="FILE", type=Path, help="write every round to this JSON file")
    options = parser.parse_args()
    record = against_peers(WorkerOptions.from_environment().device or capacity.default_device(), options.models)
    if options.save:
        record.save(options.save)
