"""Record of all measurements of a comparison, round by round, as a JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from experiments.terminal.output_file import write_whole
from tests.benchmarks.peers.comparison import Comparison
from tests.benchmarks.peers.goal_table import Table
from tests.benchmarks.peers.inference_study import Inference
from tests.benchmarks.peers.time_window import Timing


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
