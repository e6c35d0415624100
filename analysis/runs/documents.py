"""Documents of runs, read from MongoDB or from a file.

Only the fields that the analysis needs are read from the database. A file holds gzipped JSON lines: a header, then one
document per line. The standard library can read it. Numbers are stored exactly, and null differs from NaN, so that the
file and the database give the same documents. A Parquet file (:mod:`analysis.runs.parquet_file`) holds the same lines.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from analysis.errors import AnalysisError
from analysis.runs import parquet_file
from walking_noise.atomic_file import atomic_write

Document = dict[str, Any]

Record = tuple[bytes, Document]
"""Line of a file, and the document that it contains."""

RESULT_FIELDS = (
    "accuracy", "validation_curve", "outcome", "diverged_epoch", "overflow_epoch", "nonfinite", "floor", "epochs",
    "seconds", "pack_size", "device", "provenance", "mean_abs_weight", "network", "points", "audit.inference.signal",
    "draw_accuracies", "confusion",
)  # fmt: skip

PROJECTION: dict[str, Any] = {
    "status": 1, "batch_id": 1, "config": 1, "start_time": 1, "stop_time": 1, "fail_trace": {"$slice": -3},
    "binarization": 1,
    **{f"result.{name}": 1 for name in RESULT_FIELDS},
}  # fmt: skip

BATCH = 1000
PATIENCE_MS = 5000
"""Timeout for finding the server. After it, the database counts as unreachable."""
BUSY_MS = 600_000
"""Timeout of a query. The embedded database can take minutes for one query over many runs."""

_JSON: TypeAdapter[Any] = TypeAdapter(Any)
"""Parser of any JSON, faster than that of the standard library."""

FORMAT = {"format": "walking_noise runs", "version": 1}


class Source:
    """Documents, which can be read once.

    Attributes
    ----------
    collections
        Number of documents of each collection.
    records
        Each document with its line in a file.
    file
        File of JSON lines, if the source has all documents of one.
    """

    def __init__(self, collections: dict[str, int], records: Iterable[Record], file: Path | None = None) -> None:
        self.collections, self.records, self.file = collections, records, file
        self._hash = hashlib.sha256()

    @classmethod
    def of(cls, collections: dict[str, int], documents: Iterable[Document]) -> Source:
        """Source of documents without lines."""
        return cls(collections, ((_line(document), document) for document in documents))

    @property
    def documents(self) -> Iterator[Document]:
        """The documents."""
        for line, document in self.records:
            self._hash.update(line)
            yield document

    @property
    def total(self) -> int:
        """Number of documents."""
        return sum(self.collections.values())

    @property
    def checksum(self) -> str:
        """SHA-256 of the lines of the documents read so far. It does not depend on where they were read from."""
        return self._hash.hexdigest()


def from_database(names: Sequence[str]) -> Source:
    """Documents of some collections of SEML's database, sorted by collection and id.

    Raises
    ------
    AnalysisError
        The database does not answer or refuses the query, or a collection is missing or empty.
    """
    with _database() as database:
        existing = sorted(name for name in database.list_collection_names() if not name.startswith(("fs.", "system.")))
        totals = {name: database[name].count_documents({}) for name in sorted(set(names)) if name in existing}
    for name in names:
        if name not in existing:
            raise AnalysisError(
                f"collection {name!r} does not exist; existing collections: {', '.join(existing) or 'none'}"
            )
        if totals[name] == 0:
            raise AnalysisError(f"collection {name!r} has no runs; add runs with `seml {name} add FILE.yaml`")

    def documents() -> Iterator[Document]:
        with _database() as database:
            for name in totals:
                for document in database[name].find({}, PROJECTION).sort("_id", 1).batch_size(BATCH):
                    yield {"collection": name, **{key: to_json_value(value) for key, value in document.items()}}

    return Source.of(totals, documents())


def from_file(path: Path, names: Sequence[str] = ()) -> Source:
    """Documents that :func:`save` wrote to ``path``, or a Parquet file. ``names`` limits them to these collections.

    Raises
    ------
    AnalysisError
        The file is missing, damaged or has another format, or it has no documents of a collection.
    """
    is_parquet = path.suffix == parquet_file.ENDING
    stored = records(parquet_file.lines(path) if is_parquet else lines(path), path)
    _, header = next(stored, (b"", None))
    if not isinstance(header, dict) or {key: header.get(key) for key in FORMAT} != FORMAT:
        raise AnalysisError(f"{path} is not a file of runs in format {FORMAT['version']}; write it with --save-runs")
    totals: dict[str, int] = header["collections"]
    for name in names:
        if name not in totals:
            raise AnalysisError(f"{path} has no collection {name!r}; collections in the file: {', '.join(totals)}")
    selected = {name: totals[name] for name in sorted(set(names)) or totals}
    chosen = (record for record in stored if record[1]["collection"] in selected)
    return Source(selected, chosen, path if selected == totals and not is_parquet else None)


def from_files(paths: Sequence[Path], names: Sequence[str] = ()) -> Source:
    """Documents of several files, as :func:`from_file` reads one. No two of them may have a collection in common.

    Raises
    ------
    AnalysisError
        As for one file, or a collection is in several files.
    """
    if len(paths) == 1:
        return from_file(paths[0], names)
    sources: list[Source] = []
    where: dict[str, Path] = {}
    for path in paths:
        source = from_file(path)
        for name in source.collections:
            if name in where:
                raise AnalysisError(f"collection {name!r} is in {where[name]} and in {path}; read one of them")
            where[name] = path
        sources.append(source)
    missing = [name for name in names if name not in where]
    if missing:
        raise AnalysisError(f"no file has a collection {missing[0]!r}; collections in the files: {', '.join(where)}")
    totals = {name: count for source in sources for name, count in source.collections.items()}
    selected = {name: totals[name] for name in sorted(set(names)) or totals}
    stored = (record for source in sources for record in source.records)
    return Source(selected, (record for record in stored if record[1]["collection"] in selected))


def save(source: Source, path: Path) -> Source:
    """Return a source with the same documents. Reading them also writes them to ``path``.

    The file appears after the last document has been read.
    """

    def saved() -> Iterator[Record]:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
            file.write(header_line(source.collections))
            for line, document in source.records:
                file.write(line)
                yield line, document

    return Source(source.collections, saved())


def header_line(collections: dict[str, int]) -> bytes:
    """First line of a file with the documents of some collections."""
    return _line(FORMAT | {"collections": collections})


@contextmanager
def _database() -> Iterator[Any]:
    """Connect to SEML's database. Errors become one line, without details of the driver and without credentials."""
    from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError
    from seml.database import get_database, get_mongodb_config

    try:
        config = get_mongodb_config()
    except SystemExit as error:
        reason = str(error).split("\n")[0].removeprefix("MONGODB ERROR: ")
        raise AnalysisError(
            f"no database configured: {reason} Run `seml configure`, or `walking-noise db start` and "
            '`eval "$(walking-noise db env)"`'
        ) from None
    try:
        database = get_database(**config, serverSelectionTimeoutMS=PATIENCE_MS, connectTimeoutMS=BUSY_MS)
    except (PyMongoError, ValueError, OSError) as error:
        raise AnalysisError(
            f"invalid SEML configuration ({type(error).__name__}); run `walking-noise doctor` to find the fault"
        ) from None
    servers = database.client.topology_description.server_descriptions()
    address = ", ".join(f"{host}:{port}" for host, port in sorted(servers))
    try:
        with database.client:
            yield database
    except ConnectionFailure:
        raise AnalysisError(
            f"no database answers at {address}; start it (the embedded database with `walking-noise db start`) "
            "or check `seml configure`"
        ) from None
    except OperationFailure as error:
        reason = (error.details or {}).get("codeName", f"error {error.code}")
        raise AnalysisError(f"the database at {address} refuses the query: {reason}; check `seml configure`") from None
    except PyMongoError as error:
        raise AnalysisError(
            f"query of the database at {address} failed: {type(error).__name__}; run `walking-noise doctor`"
        ) from None


def _line(content: Document) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def lines(path: Path) -> Iterator[bytes]:
    """The header and the lines of a file of JSON lines."""
    with gzip.open(path, "rb") as file:
        yield from file


def checksum(path: Path) -> str:
    """:attr:`Source.checksum` of all documents of a file of JSON lines."""
    hashed = hashlib.sha256()
    with _readable(path):
        for line in islice(lines(path), 1, None):
            hashed.update(line)
    return hashed.hexdigest()


def records(stored: Iterable[bytes], path: Path) -> Iterator[tuple[bytes, Any]]:
    """Lines of a file, and what each contains.

    Raises
    ------
    AnalysisError
        The file cannot be read or is damaged.
    """
    with _readable(path):
        for line in stored:
            yield line, _JSON.validate_json(line)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AnalysisError(
            f"cannot read runs from {path}: {error.strerror or error}; check the path after --from"
        ) from None
    except (EOFError, zlib.error, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise AnalysisError(f"{path} is damaged ({reason}); write it again with --save-runs") from None


def to_json_value(value: Any) -> Any:
    """A value of a document in a form that JSON can hold. Times and ids of MongoDB become text."""
    if isinstance(value, dict):
        return {key: to_json_value(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json_value(inner) for inner in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)
