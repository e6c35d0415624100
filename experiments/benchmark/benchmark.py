"""Parts of the benchmark in their order, and their printed output."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection

import torch

from experiments.benchmark.pack_rates import device_in_words, measure, studied
from experiments.benchmark.peers.cases import cases
from experiments.benchmark.peers.ceilings import copy_bandwidth
from experiments.benchmark.peers.comparison import Comparison, compare
from experiments.benchmark.peers.goal_table import Table, comparison_table, heading, inference_table
from experiments.benchmark.peers.inference_study import Inference, measure_inference, study
from experiments.benchmark.peers.record import Record
from experiments.benchmark.time_window import Timing
from experiments.plan.throughput import Rate
from experiments.terminal.progress_line import ProgressLine, clock
from experiments.terminal.text_table import in_words
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
        print(f"{device_in_words(device)}, {TIMING.rounds} rounds, peers timed in turn; training steps only:")
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


def rates_by_kind(device: torch.device, models: Collection[str]) -> list[Rate]:
    """Measure each kind of pack of some models, and print its speed."""
    processes = capacity.worker_processes(device)
    print(
        f"{device_in_words(device)}: {in_words(processes, 'pack')} in parallel; speed per run in packs of the default "
        "size:",
        flush=True,
    )
    rates = []
    for rate in measure(studied(models), device):
        rates.append(rate)
        step = f"step {rate.step_seconds * 1e6:9,.1f} µs ± {rate.spread / 2:3.0%}"
        steps = f"{processes / rate.step_seconds:9,.0f} run steps/s"
        sample = f"evaluation {rate.sample_seconds * 1e6:7,.2f} µs per sample"
        print(f"{rate.kind!s:50}  pack of {rate.pack_size:3}  {step}  {steps}  {sample}", flush=True)
    return rates
