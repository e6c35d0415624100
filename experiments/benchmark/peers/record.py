"""Record of all measurements of a comparison, round by round, as a JSON file."""

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
    """Measurements of packs and their peers on a device.

    Attributes
    ----------
    copied
        Bytes read and written per second by a copy, per round; empty if no case needs it.
    tables
        The printed tables.
    """

    device: str
    timing: Timing
    comparisons: tuple[Comparison, ...]
    copied: tuple[float, ...]
    inference: tuple[Inference, ...]
    tables: tuple[Table, ...]

    def save(self, file: Path) -> None:
        """Write the record to a file; an older one is replaced."""
        write_whole(file, json.dumps(asdict(self), indent=1))


def rounds_file(throughput: Path) -> Path:
    """The file of the rounds, in the folder of the throughput file."""
    return throughput.with_name(f"{throughput.stem}-rounds.json")
