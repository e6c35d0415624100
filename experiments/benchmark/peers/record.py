"""All that a comparison measured, round by round, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from experiments.benchmark.peers.comparison import Comparison
from experiments.benchmark.peers.goal_table import Table
from experiments.benchmark.peers.inference_study import Inference
from experiments.benchmark.time_window import Timing
from experiments.terminal.output_file import write_whole


@dataclass(frozen=True)
class Record:
    """What was measured against peers on a device.

    Attributes
    ----------
    copied
        Bytes per second that copying read and wrote, per round; empty where no case asks for it.
    tables
        What was printed.
    """

    device: str
    timing: Timing
    comparisons: tuple[Comparison, ...]
    copied: tuple[float, ...]
    inference: tuple[Inference, ...]
    tables: tuple[Table, ...]

    def save(self, file: Path) -> None:
        """Write it in place of the last one."""
        write_whole(file, json.dumps(asdict(self), indent=1))


def rounds_file(throughput: Path) -> Path:
    """Where the rounds are kept: beside the file of throughputs."""
    return throughput.with_name(f"{throughput.stem}-rounds.json")
