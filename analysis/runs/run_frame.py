"""Data frame of runs: one row per document."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analysis.runs.documents import Document
from analysis.runs.known_points import Points, model_of, with_points
from analysis.runs.run_settings import RunSettings
from walking_noise import RunConfig

DOCUMENT_COLUMNS = ("collection", "id", "batch_id", "status", "started", "stopped")

SEED_SETTINGS = ("seed", "noise.seed")

STORAGE_COLUMNS = ("validation_curve", "confusion", "network", "binarization")
"""Columns that can be missing in some of several equal runs."""

STATES = {
    "COMPLETED": "completed", "FAILED": "failed", "KILLED": "failed", "INTERRUPTED": "failed", "RUNNING": "running",
    "PENDING": "pending", "RESCHEDULED": "pending", "STAGED": "staged", "QUEUED": "staged",
}  # fmt: skip
"""SEML's status of a run -> the state under which the run is counted. Any other status counts as ``other``."""

STATE_NAMES = ("completed", "failed", "running", "pending", "staged", "other")

PROVENANCE = ("version", "commit", "data_checksum", "torch", "cuda", "device")

_LONGEST_CAUSE = 160
_NO_TRACEBACK = "no traceback: the run was ended from outside (cancelled, or at a time or memory limit)"


@dataclass
class Part:
    """Rows of successive documents, for :func:`frame_of`.

    Attributes
    ----------
    documents
        Number of documents.
    positions
        Position of each row's document in the part.
    shared
        Columns of each row that it shares with other rows.
    columns
        Values of the other columns.
    known
        Noise points of models, by :func:`analysis.runs.known_points.model_of`.
    waiting
        Positions and documents of runs without a row: the part has no result with the points of their model.
    """

    documents: int = 0
    positions: list[int] = field(default_factory=list)
    shared: list[dict[str, Any]] = field(default_factory=list)
    columns: defaultdict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    known: dict[str, Points] = field(default_factory=dict)
    waiting: list[tuple[int, Document]] = field(default_factory=list)

    @classmethod
    def of(cls, documents: Iterable[Document]) -> Part:
        """The part with these documents."""
        part, settings = cls(), RunSettings()
        for position, document, points in with_points(documents, part.known, part.waiting):
            part.add(position, document, points, settings)
        part.documents = len(part.positions) + len(part.waiting)
        return part

    def add(self, position: int, document: Document, points: Points | None, settings: RunSettings) -> None:
        """Add the row of a document."""
        of_settings, own = settings.read(document.get("config") or {}, points)
        self.positions.append(position)
        self.shared.append(of_settings)
        for name, value in _row(document, own, of_settings["refused"]).items():
            self.columns[name].append(sys.intern(value) if type(value) is str else value)


def to_frame(documents: Iterable[Document]) -> pd.DataFrame:
    """The frame of :func:`frame_of` for all documents."""
    return frame_of([Part.of(documents)])


def frame_of(parts: Sequence[Part]) -> pd.DataFrame:
    """One row per document, in the order of the documents.

    Columns
    -------
    collection, id, batch_id, status, started, stopped
        Fields of the document; ``id`` is unique within a collection.
    the dotted names of the settings
        All settings of :class:`walking_noise.RunConfig`, defaults included. A setting given per point is a tuple.
    level
        Level on the robustness curve: ``noise.std``, ``noise.amplitude`` of mixed noise, or the level of a kind with a
        function of its own; NaN without a single level.
    repetition
        Seeds of the run, as text; equal for the runs of one repetition of a series.
    points
        The model's noise points, a tuple of :class:`walking_noise.models.point.Point`.
    noisy
        Whether any level is above 0.
    run_key
        Key that is equal for equal runs, even if they store different parts of the result
        (:data:`analysis.runs.run_settings.STORAGE_SETTINGS`).
        None if the settings are refused; all settings, ``points`` and ``noisy`` are then None, too.
    refused
        Reason why the settings are refused, or None.
    state, cause
        One of :data:`STATE_NAMES`, and the cause of a missing result. The cause is None unless the run failed or its
        settings are refused.
    accuracy, floor, outcome, diverged_epoch, overflow_epoch, nonfinite, epochs_done, seconds, pack_size
        Fields of the result; accuracies are in [0, 1]. ``floor`` is the chance accuracy. NaN or None without a result.
    validation_curve
        Accuracies in [0, 1] after each epoch, or None.
    draw_accuracies
        The accuracy with each of several independent draws of the noise, or None.
    confusion
        Numbers of validation samples, by class and by answer; a list of lists, or None.
    signal
        Standard deviation of the signal at each noise point at inference, a tuple; None where it was not finite. None
        if it was not measured.
    mean_abs_weight
        Layer name -> mean absolute weight of each conv and linear layer after training; or None.
    network
        File of the trained network in the network cache, or None if it was not kept.
    binarization
        Findings of ``walking-noise binarize`` for the network, or None.
    version, commit, data_checksum, torch, cuda, device
        Code, data and device that produced the result.
    """
    whole, settings = Part(), RunSettings()
    for part in parts:
        whole.positions += [whole.documents + position for position in part.positions]
        whole.waiting += [(whole.documents + position, document) for position, document in part.waiting]
        whole.documents += part.documents
        whole.shared += part.shared
        whole.known = part.known | whole.known
        for name, values in part.columns.items():
            whole.columns[name] += values
    for position, document in whole.waiting:
        whole.add(position, document, whole.known.get(model_of(document)), settings)
    columns, shared = whole.columns, whole.shared
    for name in shared[0] if shared else ():
        columns[name] = [each[name] for each in shared]
    numeric = {"level", "accuracy", "floor", "nonfinite", "seconds"}
    index = pd.Index(whole.positions, dtype="int64")
    runs = pd.DataFrame({
        name: pd.Series(columns.pop(name), index, float if name in numeric else object) for name in _in_order(columns)
    })  # fmt: skip
    return runs if runs.index.is_monotonic_increasing else runs.sort_index()


def _in_order(columns: Iterable[str]) -> list[str]:
    """Names of columns: fields of the document, settings, and what is derived from them, then the result."""
    first = (*DOCUMENT_COLUMNS, *RunConfig().to_flat(), "level", "repetition", "points", "noisy", "run_key", "refused")
    return [name for name in dict.fromkeys((*first, *columns)) if name in columns]


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, each a dictionary from column name to value."""
    names = [str(name) for name in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.to_numpy(object)]


def distinct_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """One run of each group of equal runs: a completed one if possible, among these the one that stores most."""
    if runs["run_key"].is_unique:
        return runs
    state, stored = runs["state"].map(STATE_NAMES.index), runs[list(STORAGE_COLUMNS)].notna().sum(axis=1)
    best_first = runs.assign(state_order=state, stored=-stored).sort_values(["state_order", "stored"], kind="stable")
    return best_first.drop_duplicates("run_key")[runs.columns].sort_index()


def _row(document: Document, own: Mapping[str, Any], refused: str | None) -> dict[str, Any]:
    """Columns of a run without those that it shares with other runs of its settings; ``own`` are those of settings."""
    result = document.get("result") or {}
    status = document.get("status", "unknown")
    row = {
        "collection": document["collection"],
        "id": document["_id"],
        "batch_id": document.get("batch_id"),
        "status": status,
        "started": document.get("start_time"),
        "stopped": document.get("stop_time"),
        **own,
        "accuracy": _number(result.get("accuracy")),
        "floor": _number(result.get("floor")),
        "outcome": result.get("outcome"),
        "diverged_epoch": result.get("diverged_epoch"),
        "overflow_epoch": result.get("overflow_epoch"),
        "nonfinite": _number(result.get("nonfinite")),
        "epochs_done": result.get("epochs"),
        "seconds": _number(result.get("seconds")),
        "pack_size": result.get("pack_size"),
        "validation_curve": result.get("validation_curve"),
        "draw_accuracies": result.get("draw_accuracies"),
        "confusion": result.get("confusion"),
        "signal": _signal(result),
        "mean_abs_weight": result.get("mean_abs_weight"),
        "network": result.get("network"),
        "binarization": document.get("binarization"),
        **{name: (result.get("provenance") or {}).get(name) for name in PROVENANCE},
    }
    return row | _state_and_cause(row, refused, document.get("fail_trace"))


def _state_and_cause(row: Mapping[str, Any], refused: str | None, trace: list[str] | None) -> dict[str, Any]:
    """State of a run, and the cause of a missing result."""
    status = row["status"]
    state, cause = STATES.get(status, "other"), None
    if state == "failed":
        lines = [line.strip() for entry in trace or [] for line in str(entry).splitlines() if line.strip()]
        cause = lines[-1][:_LONGEST_CAUSE] if lines else _NO_TRACEBACK
    elif refused is not None:
        cause = f"settings refused: {refused}"[:_LONGEST_CAUSE]
    elif state == "completed" and math.isnan(row["accuracy"]):
        state, cause = "failed", "completed without an accuracy"
    return {"state": state, "cause": cause}


def _signal(result: Mapping[str, Any]) -> tuple[float | None, ...] | None:
    measured = ((result.get("audit") or {}).get("inference") or {}).get("signal")
    return None if measured is None else tuple(measured)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
