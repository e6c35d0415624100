"""Runs in a Parquet file, for pandas, R and DuckDB: a row per run, and the document of each run as a line of JSON.

The columns are those of :func:`analysis.runs.run_frame.to_frame`. A column of numbers or of truth values is typed; in
all others, null is missing, text is text, and what is nested is JSON. The column :data:`DOCUMENT` makes the file
lossless: the analysis reads nothing else. The header of the lines is the metadata :data:`HEADER` of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from walking_noise.atomic_file import atomic_write

ENDING = ".parquet"
DOCUMENT = "document"
HEADER = b"walking_noise"
_ROWS = 5000
"""Rows per row group."""


def lines(path: Path) -> Iterator[bytes]:
    """The header and the lines of the documents in a file.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or is damaged or foreign.
    """
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        header = (file.schema_arrow.metadata or {}).get(HEADER)
        if header is None or DOCUMENT not in file.schema_arrow.names:
            raise ValueError("no runs of walking_noise in it")
        yield header
        for batch in file.iter_batches(_ROWS, columns=[DOCUMENT]):
            for line in batch.column(0):
                yield line.as_py().encode()


def write(runs: pd.DataFrame, stored: Iterable[bytes], path: Path) -> None:
    """Write runs, a row each. ``stored`` has the header and the lines of their documents in the same order."""
    import pyarrow
    from pyarrow import parquet

    columns = {str(name): _plain(runs[name]) for name in runs}
    types = {name: pyarrow.array(values, from_pandas=True).type for name, values in columns.items()}
    remaining = iter(stored)
    header = next(remaining)
    schema = pyarrow.schema([*types.items(), (DOCUMENT, pyarrow.string())], {HEADER: header})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as raw, parquet.ParquetWriter(raw, schema, compression="zstd") as writer:
        for start in range(0, len(runs), _ROWS):
            rows = {name: values[start : start + _ROWS] for name, values in columns.items()}
            rows[DOCUMENT] = [line.decode() for line in islice(remaining, _ROWS)]
            writer.write_table(pyarrow.table(rows, schema))


def _plain(column: pd.Series[Any]) -> Any:
    """Values of a column as numbers, truth values or text, with None where one is missing."""
    if column.dtype != object:
        return column.to_numpy()
    values = [None if value is None else value for value in column]
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} or kinds <= {int}:
        return values
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else value if isinstance(value, str) else _json(value) for value in values]


def _json(value: Any) -> str:
    return json.dumps(value, default=str, separators=(",", ":"))
