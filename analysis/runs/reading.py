"""Reading of runs by several processes: each decompresses a file of runs, and decodes some of its lines."""

from __future__ import annotations

import math
from itertools import islice

import pandas as pd

from analysis.processes import shared_out
from analysis.progress_bar import track
from analysis.runs import documents
from analysis.runs.documents import Source
from analysis.runs.run_frame import Part, frame_of, to_frame

PART = 5000
"""Number of runs that a process reads at a time. The frame does not depend on the number of processes."""


def read(source: Source, processes: int = 1) -> tuple[pd.DataFrame, str]:
    """Runs of a source as in :func:`analysis.runs.run_frame.to_frame`, and the checksum of its documents.

    Processes share the lines of a file of more than :data:`PART` runs. Decompression takes little of the time, so that
    each process does all of it; one more pass computes the checksum.

    Raises
    ------
    AnalysisError
        The documents cannot be read.
    """
    file, count = source.file, math.ceil(source.total / PART)
    if file is None or count <= 1:
        return to_frame(track(source.documents, "runs read", source.total)), source.checksum
    lines, taken = documents.lines(file), 0

    def read_part(number: int) -> Part | str:
        nonlocal taken
        if number == count:
            return documents.checksum(file)
        first, end = (1 + PART * each for each in (number, number + 1))
        chosen = islice(lines, first - taken, None if number == count - 1 else end - taken)
        taken = end
        return Part.of(document for _, document in documents.records(chosen, file))

    shared = shared_out(read_part, count + 1, processes)
    read = dict(track(shared, f"parts of {PART} runs and the checksum read", count + 1))
    checksum = str(read.pop(count))
    return frame_of([part for _, part in sorted(read.items()) if isinstance(part, Part)]), checksum
