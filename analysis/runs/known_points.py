"""Noise points of runs, as results store them; a run without a result has those of a run with the same model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from analysis.runs.documents import Document
from walking_noise.models.point import Point, points_of_document

Points = tuple[Point, ...]


def with_points(documents: Iterable[Document]) -> Iterator[tuple[int, Document, Points | None]]:
    """The position, the document, and the noise points of each run; None if the model has to be built to find them.

    A run without a result waits for the result of another run with the same settings of data and model. It comes last.
    Results of earlier versions store the names of the points only. Their models are built.
    """
    known: dict[str, Points] = {}
    waiting: list[tuple[int, Document]] = []
    for position, document in enumerate(documents):
        model, stored = _model(document), (document.get("result") or {}).get("points")
        if model not in known and (points := points_of_document(stored)) is not None:
            known[model] = points
        if stored or model in known:
            yield position, document, known.get(model)
        else:
            waiting.append((position, document))
    for position, document in waiting:
        yield position, document, known.get(_model(document))


def _model(document: Document) -> str:
    """The settings that decide the noise points, as text."""
    config = document.get("config") or {}
    groups = config.get("data"), config.get("model")
    return repr([sorted(group.items()) if isinstance(group, dict) else group for group in groups])
